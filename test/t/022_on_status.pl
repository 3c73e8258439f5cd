#!/usr/bin/perl
#
# 022_on_status.pl - proves that no on_status function, whatever it does, loses
# a status, stops the worker, or holds up other rows and new orders until it is
# mended: it is called again until it succeeds, and inqud.trouble names it
# meanwhile.  It runs with the rights of its owner and cannot get
# beyond them, neither at once nor at the commit.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Faults qw(backend wait_worker);
use Inqud::Shop;
use PostgreSQL::Test::Utils ();
use Test::More;
use Time::HiRes qw(time);

# Of functions that sleep: so many that their timeouts of five seconds, one after
# the other, last for longer than a test waits.
use constant MANY => 100;

my $shop = Inqud::Shop->new(conf => ['restart_after_crash = on'], options => { poll_new => '1h', poll_active => '1h' });
my $emu = $shop->emu;
my ($longest, $healthy) = (0, 0);

$shop->sql(q{
	CREATE ROLE clerk;
	GRANT USAGE ON FOREIGN SERVER shop TO clerk;
	CREATE TABLE told (n bigint GENERATED ALWAYS AS IDENTITY, project text, order_id text, status text, role name);
	CREATE TABLE mood (project text PRIMARY KEY, bad boolean NOT NULL);
	CREATE TABLE shelf (id int PRIMARY KEY);
	INSERT INTO shelf VALUES (1);
	CREATE TABLE child (id int REFERENCES shelf DEFERRABLE INITIALLY DEFERRED);
	CREATE TABLE diary (n int);
	ALTER TABLE diary OWNER TO clerk;
	GRANT ALL ON told, mood, shelf, child TO clerk;
	CREATE FUNCTION note(c inqud.checkout) RETURNS void LANGUAGE sql AS $$
		INSERT INTO public.told (project, order_id, status, role) VALUES (c.project, c.order_id, c.status, current_user) $$;
	ALTER FUNCTION note OWNER TO clerk;
});
$shop->set_options('shop', on_status => 'public.note');

# One call that fails, alone in a database of its own, so that no later call begins its
# timeouts anew.  They end with the call; what came of it is looked at further below, when
# they would long have fired.  Gives the worker's pid.
sub fail_alone
{
	my ($lonely) = @_;

	$shop->sql("CREATE DATABASE $lonely->{db}");
	$lonely->sql('CREATE EXTENSION inqud; CREATE FUNCTION fail(c inqud.checkout) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION \'no\'; END $$');
	$lonely->project('shop', options => { poll_new => '1h', poll_active => '1h', on_status => 'public.fail' });
	$lonely->sql($lonely->enqueue_sql('alone'));
	$lonely->wait_until("SELECT count(*) > 0 FROM inqud.event WHERE kind = 'hook'");
	my $pid = wait_worker($lonely);
	$lonely->sql("DELETE FROM inqud.call");
	return $pid;
}

# What it says in the server's log that no worker should say.
sub errors_of
{
	my ($pid) = @_;

	return grep { /\[$pid\].*(?:ERROR|FATAL):/ } split /\n/, PostgreSQL::Test::Utils::slurp_file($shop->node->logfile);
}

my $lonely = $shop->in('lonely');
my $lonely_worker = fail_alone($lonely);

# A project whose function does something bad while its mood is bad.
sub bad_project
{
	my ($name, $body, %o) = @_;

	$shop->project($name, options => { poll_new => '1h', poll_active => '1h' });
	$shop->sql("INSERT INTO mood VALUES ('$name', true);
		CREATE FUNCTION f_$name(c inqud.checkout) RETURNS void LANGUAGE plpgsql AS \$\$
		BEGIN
			IF (SELECT bad FROM public.mood WHERE project = c.project) THEN
				$body
			END IF;
			PERFORM public.note(c);
		END \$\$;
		ALTER FUNCTION f_$name OWNER TO " . ($o{owner} // 'clerk'));
	$shop->set_options($name, on_status => "public.f_$name");
	return;
}

# How long a new order of the healthy project takes until its function was told.
sub healthy_order
{
	my $order = 'healthy-' . ++$healthy;
	my $started = time;

	$shop->sql($shop->enqueue_sql($order));
	return undef unless $shop->comes_true("SELECT count(*) = 1 FROM told WHERE order_id = '$order'");
	my $took = time - $started;
	$longest = $took if $took > $longest;
	return $took;
}

# ---------------------------------------------------------------------
# Rights
# ---------------------------------------------------------------------

# Whatever it tries, alone or by what fires later, runs as clerk at most.
my %tries = (
	set_role => q{EXECUTE 'SET ROLE postgres';},
	reset_role => q{EXECUTE 'RESET ROLE';},
	session_authorization => q{EXECUTE 'SET SESSION AUTHORIZATION DEFAULT';},
	superuser => q{ALTER ROLE clerk SUPERUSER;},
	program => q{COPY public.told TO PROGRAM 'cat';},
	temp_table => q{CREATE TEMP TABLE t (n int);},
	hold_cursor => q{EXECUTE 'DECLARE h CURSOR WITH HOLD FOR SELECT 1';},
	prepare => q{EXECUTE 'PREPARE p AS SELECT 1';},
	write_queue => q{DELETE FROM inqud.queue;},
	write_checkout => q{UPDATE inqud.checkout SET status = 'SUCCESS';},
	internal => q{PERFORM inqud._release_leases(0, 0);});
my @reached;

foreach my $try (sort keys %tries)
{
	$shop->sql("CREATE OR REPLACE FUNCTION f_tries(c inqud.checkout) RETURNS void LANGUAGE plpgsql AS \$\$
		BEGIN $tries{$try} PERFORM public.note(c); END \$\$; ALTER FUNCTION f_tries OWNER TO clerk");
	if ($shop->sql("SELECT count(*) FROM pg_foreign_server WHERE srvname = 'tries'") eq '0')
	{
		$shop->project('tries', options => { poll_new => '1h', poll_active => '1h' });
		$shop->set_options('tries', on_status => 'public.f_tries');
	}
	$shop->sql($shop->enqueue_sql("try-$try", undef, 'tries'));
	$shop->wait_until("SELECT EXISTS (SELECT FROM told WHERE order_id = 'try-$try')
		OR EXISTS (SELECT FROM inqud.event e JOIN inqud.checkout c ON c.id = e.checkout WHERE c.order_id = 'try-$try' AND e.kind = 'hook')");
	push @reached, $try if $shop->sql("SELECT count(*) FROM told WHERE order_id = 'try-$try'");
	$shop->sql("DELETE FROM inqud.call WHERE server_id = (SELECT id FROM inqud.known_server WHERE name = 'tries')");
}
is_deeply(\@reached, [], 'a function cannot do what its owner may not');
is($shop->sql("SELECT rolsuper FROM pg_roles WHERE rolname = 'clerk'"), 'f', 'and its owner is no superuser');

# Deferred triggers fire at the commit, which is the worker's.
$shop->sql(q{
	GRANT CREATE ON SCHEMA public TO clerk;
	CREATE TABLE late_role (project text, role name, super boolean);
	GRANT ALL ON late_role TO clerk;
	SET ROLE clerk;
	CREATE TABLE trap (n int);
	CREATE FUNCTION spring() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO public.late_role SELECT 'x', current_user, rolsuper FROM pg_roles WHERE rolname = current_user; RETURN NULL; END $$;
	CREATE CONSTRAINT TRIGGER spring AFTER INSERT ON trap DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION spring();
	RESET ROLE;
});
my $trap = 0;
foreach my $body (q{INSERT INTO public.trap VALUES (1);}, q{SET CONSTRAINTS ALL DEFERRED; INSERT INTO public.trap VALUES (2);},
	q{EXECUTE 'SET CONSTRAINTS public.spring DEFERRED'; INSERT INTO public.trap VALUES (3);})
{
	my $n = ++$trap;
	$shop->sql("CREATE OR REPLACE FUNCTION f_tries(c inqud.checkout) RETURNS void LANGUAGE plpgsql AS \$\$
		BEGIN $body PERFORM public.note(c); END \$\$; ALTER FUNCTION f_tries OWNER TO clerk");
	$shop->sql($shop->enqueue_sql("trap-$n", undef, 'tries'));
	$shop->wait_until("SELECT EXISTS (SELECT FROM told WHERE order_id = 'trap-$n')
		OR EXISTS (SELECT FROM inqud.event e JOIN inqud.checkout c ON c.id = e.checkout WHERE c.order_id = 'trap-$n' AND e.kind = 'hook')");
	is($shop->sql("SELECT coalesce(string_agg(DISTINCT role::text, ' '), '') FROM late_role WHERE role <> 'clerk'"), '',
		"a deferred trigger runs as nobody but its owner: $body");
	$shop->sql("DELETE FROM late_role; DELETE FROM inqud.call WHERE server_id = (SELECT id FROM inqud.known_server WHERE name = 'tries')");
}

# ---------------------------------------------------------------------
# What it may do wrong
# ---------------------------------------------------------------------

my @cases = (
	[ fails => q{RAISE EXCEPTION 'the shop is closed';}, qr/the shop is closed/ ],
	[ locks => q{PERFORM FROM public.shelf WHERE id = 1 FOR UPDATE;}, qr/lock timeout/ ],
	[ sleeps => q{PERFORM pg_sleep(3600);}, qr/statement timeout/ ],
	[ spins => q{LOOP END LOOP;}, qr/statement timeout/ ],
	[ cancels => q{RAISE query_canceled;}, qr/query_canceled/ ],
	[ breaks => q{INSERT INTO public.child VALUES (99);}, qr/foreign key/ ],
	[ breaks_late => q{SET CONSTRAINTS ALL DEFERRED; INSERT INTO public.child VALUES (99);}, qr/foreign key|deferred trigger/ ],
	[ calls => q{PERFORM public.inqud_create_checkout('shop', 'from-within', 'x', 'https://shop.example/');}, qr/synchronous/ ],
	[ reads => q{PERFORM public.inqud_get_checkout('shop', c.checkout_id);}, qr/synchronous/ ],
	[ drops => q{DROP TABLE public.diary; INSERT INTO public.diary VALUES (1);}, qr/diary/ ],
	[ spoils => q{DROP TABLE inqud.checkout CASCADE;}, qr/must be owner/ ],
	[ nests => q{PERFORM public.f_nests(c);}, qr/stack depth/ ],
	[ commits => q{COMMIT;}, qr/transaction termination/ ],
	[ unlocks => q{PERFORM pg_advisory_unlock_all(); PERFORM set_config('search_path', 'nowhere', false);
		PERFORM set_config('lock_timeout', '0', false); PERFORM set_config('statement_timeout', '0', false); PERFORM pg_sleep(3600);},
		qr/statement timeout/ ],
	[ ends => q{PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(10);}, undef, owner => 'postgres' ]);
my $holder = $shop->session;

$holder->query_safe('BEGIN; SELECT FROM shelf WHERE id = 1 FOR UPDATE');
foreach my $case (@cases)
{
	my ($name, $body, $says, %o) = @$case;

	bad_project($name, $body, %o);
	$shop->sql('GRANT USAGE ON FOREIGN SERVER ' . $name . ' TO clerk');
	$shop->sql($shop->enqueue_sql("of-$name", undef, $name));
	$shop->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'of-$name'");
	# its first call is under way, or done
	$shop->wait_until("SELECT count(*) = 0 FROM inqud.call WHERE server_id = (SELECT id FROM inqud.known_server WHERE name = '$name') AND attempts = 0");
	my $took = healthy_order();
	note(sprintf '%s: a healthy order took %.2f s', $name, $took // -1);
	ok(defined $took, "$name: a new order of another project is not held up until it is mended");
	if (defined $says)
	{
		$shop->wait_until("SELECT count(*) = 1 FROM inqud.trouble WHERE project = '$name' AND trouble = 'on_status failed'");
		like($shop->sql("SELECT detail FROM inqud.trouble WHERE project = '$name'"), $says, "$name: inqud.trouble says what is wrong");
	}
	is($shop->sql("SELECT count(*) FROM told WHERE project = '$name'"), '0', "$name: it has left nothing behind");
	is($shop->sql("SELECT state FROM inqud.checkout WHERE order_id = 'of-$name'"), 'open', "$name: the status itself is recorded");
	# those that take their whole timeout are mended at once; many of them at a time come below
	$shop->sql("UPDATE mood SET bad = false WHERE project = '$name'") if defined $says && 'statement timeout' =~ $says;
}
is($shop->sql("SELECT count(*) FROM inqud.checkout WHERE order_id = 'from-within'"), '0', 'no synchronous call was made in the worker');
is($shop->sql("SELECT to_regclass('public.diary') IS NOT NULL"), 't', 'what failed has dropped nothing');

# A function that is not there (any more), or not allowed.
$shop->project('lacks', options => { poll_new => '1h', poll_active => '1h' });
$shop->sql('CREATE FUNCTION f_lacks(c inqud.checkout) RETURNS void LANGUAGE sql AS $$ SELECT public.note(c) $$;
	ALTER FUNCTION f_lacks OWNER TO clerk');
$shop->set_options('lacks', on_status => 'public.f_lacks');
$shop->sql('DROP FUNCTION f_lacks');
$shop->sql($shop->enqueue_sql('of-lacks', undef, 'lacks'));
$shop->until("SELECT bool_or(detail ~ 'f_lacks') FROM inqud.trouble WHERE project = 'lacks'", 'a function that is not there stands in inqud.trouble');

# The server's owner chose the function, and must be allowed to call it.
$shop->project('bars', options => { poll_new => '1h', poll_active => '1h' });
$shop->sql('CREATE ROLE keeper; GRANT USAGE ON FOREIGN DATA WRAPPER inqud TO keeper;
	CREATE FUNCTION f_bars(c inqud.checkout) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$ SELECT public.note(c) $$;
	ALTER FUNCTION f_bars OWNER TO clerk; REVOKE EXECUTE ON FUNCTION f_bars FROM PUBLIC');
$shop->set_options('bars', on_status => 'public.f_bars');
$shop->sql('ALTER SERVER bars OWNER TO keeper');
$shop->sql($shop->enqueue_sql('of-bars', undef, 'bars'));
$shop->wait_until("SELECT EXISTS (SELECT FROM told WHERE project = 'bars') OR EXISTS (SELECT FROM inqud.trouble WHERE project = 'bars' AND trouble = 'on_status failed')");
is($shop->sql("SELECT count(*) FROM told WHERE project = 'bars'"), '0', 'a function that the server\'s owner may not call is not called');
# it stands there until the next attempt begins, and again when that has failed
$shop->until("SELECT EXISTS (SELECT FROM inqud.trouble WHERE project = 'bars' AND detail ~ 'permission denied for function public\\.f_bars')", 'which inqud.trouble says');
$shop->sql('GRANT EXECUTE ON FUNCTION f_bars TO keeper');

# ---------------------------------------------------------------------
# Called again until it succeeds
# ---------------------------------------------------------------------

$holder->query_safe('ROLLBACK');
$holder->close;
$shop->sql('UPDATE mood SET bad = false;
	CREATE FUNCTION f_lacks(c inqud.checkout) RETURNS void LANGUAGE sql AS $$ SELECT public.note(c) $$;
	ALTER FUNCTION f_lacks OWNER TO clerk');
# not to wait for the backoff
$shop->sql('UPDATE inqud.call SET due_at = now(); SELECT inqud_worker_start()');
foreach my $name ((map { $_->[0] } @cases), 'lacks', 'bars')
{
	# once more, if the update above had its row locked when the call was done
	$shop->until("SELECT count(*) > 0 FROM told WHERE project = '$name' AND status = 'NEW'", "$name: mended, it is told");
}
$shop->until("SELECT count(*) = 0 FROM inqud.call", 'nothing is left in the queue');
is($shop->sql("SELECT count(*) FROM inqud.trouble"), '0', 'nor in inqud.trouble');
is($shop->sql("SELECT string_agg(DISTINCT role, ' ') FROM told WHERE project <> 'ends'"), 'clerk', 'each ran as its owner');

# A change during a call is told as well.
$shop->sql("CREATE FUNCTION slow(c inqud.checkout) RETURNS void LANGUAGE plpgsql AS \$\$
	BEGIN PERFORM public.note(c); PERFORM FROM public.shelf WHERE id = 1 FOR UPDATE; END \$\$; ALTER FUNCTION slow OWNER TO clerk");
$shop->set_options('fails', on_status => 'public.slow');
$emu->control('settle', { clientOrderId => 'of-fails' });
my $blocker = $shop->session;
$blocker->query_safe('BEGIN; SELECT FROM shelf FOR UPDATE');
$shop->sql("SELECT inqud_refresh(id) FROM inqud.checkout WHERE order_id = 'of-fails'");
$shop->wait_until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE order_id = 'of-fails'");
$shop->wait_until("SELECT count(*) = 1 FROM inqud.call WHERE server_id = (SELECT id FROM inqud.known_server WHERE name = 'fails') AND attempts > 0");
$emu->control('correct', { clientOrderId => 'of-fails', status => 'CONFLICT', reason => 'LATER' });
$shop->sql("SELECT inqud_refresh(id) FROM inqud.checkout WHERE order_id = 'of-fails'");
$shop->wait_until("SELECT status = 'CONFLICT' FROM inqud.checkout WHERE order_id = 'of-fails'");
$blocker->query_safe('ROLLBACK');
$blocker->close;
$shop->until("SELECT status = 'CONFLICT' FROM told WHERE project = 'fails' ORDER BY n DESC LIMIT 1", 'the last status is told last');

# ---------------------------------------------------------------------
# Many in one transaction
# ---------------------------------------------------------------------

# Those that were due together share transactions.  One that fails, at once, at its end or
# at the commit, leaves nothing behind, and takes nothing of the others with it.
$shop->project('batch', options => { poll_new => '1h', poll_active => '1h' });
$shop->sql('SELECT ' . join ', ', map { "inqud_enqueue_checkout('batch', 'batch-$_', 'x', 'https://shop.example/')" } 1 .. 60);
$shop->wait_until("SELECT count(*) = 60 FROM inqud.checkout WHERE project = 'batch' AND state = 'open'");
$shop->sql(q{
	CREATE TABLE batch (order_id text, xid xid8, made int, role name);
	CREATE TABLE batch_child (id int REFERENCES shelf DEFERRABLE INITIALLY DEFERRED);
	GRANT ALL ON batch, batch_child TO clerk;
	CREATE FUNCTION f_batch(c inqud.checkout) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO public.batch VALUES (c.order_id, pg_current_xact_id(), (SELECT count(*) FROM public.batch), current_user);
		IF (SELECT bad FROM public.mood WHERE project = 'batch') THEN
			IF c.order_id = 'batch-13' THEN RAISE 'thirteen'; END IF;
			IF c.order_id = 'batch-14' THEN INSERT INTO public.batch_child VALUES (14); END IF;
			IF c.order_id = 'batch-15' THEN SET CONSTRAINTS ALL DEFERRED; INSERT INTO public.batch_child VALUES (15); END IF;
			IF c.order_id = 'batch-16' THEN PERFORM pg_sleep(3600); END IF;
			IF c.order_id = 'batch-17' THEN SET CONSTRAINTS ALL DEFERRED; SET LOCAL search_path = nowhere; PERFORM set_config('DateStyle', 'German', false); END IF;
		END IF;
	END $$;
	ALTER FUNCTION f_batch OWNER TO clerk;
	INSERT INTO mood VALUES ('batch', true)});
$shop->set_options('batch', on_status => 'public.f_batch');
$shop->sql("INSERT INTO inqud.call (checkout, home, server_id, due_at) SELECT id, inqud._home(), server_id, now() FROM inqud.checkout WHERE project = 'batch'");
$shop->until("SELECT count(DISTINCT c.order_id) = 4 FROM inqud.event e JOIN inqud.checkout c ON c.id = e.checkout WHERE c.project = 'batch' AND e.kind = 'hook'
	AND c.order_id ~ '1[3-6]\$'", 'four of sixty calls fail');
$shop->until("SELECT count(*) = 4 FROM inqud.call WHERE server_id = (SELECT id FROM inqud.known_server WHERE name = 'batch')", 'the others are made');
is($shop->sql("SELECT count(*), count(DISTINCT order_id), count(*) FILTER (WHERE order_id ~ '1[3-6]\$') FROM batch"), '56|56|0',
	'each once, and of those that failed nothing is left');
is($shop->sql("SELECT count(*) FROM inqud.trouble WHERE project = 'batch' AND trouble <> 'on_status failed' OR project = 'batch' AND NOT checkout IN
	(SELECT id FROM inqud.checkout WHERE order_id ~ 'batch-1[3-6]\$')"), '0', 'inqud.trouble names no other');
cmp_ok($shop->sql('SELECT count(DISTINCT xid) FROM batch'), '<', 50, 'many were in one transaction');
is($shop->sql("SELECT string_agg(DISTINCT role, ' ') FROM batch"), 'clerk', 'each as the function\'s owner');
$shop->sql("UPDATE mood SET bad = false WHERE project = 'batch'; UPDATE inqud.call SET due_at = now()");
$shop->until("SELECT count(*) = 60 AND (SELECT count(*) = 0 FROM inqud.call WHERE server_id = (SELECT id FROM inqud.known_server WHERE name = 'batch')) FROM batch", 'mended, they are told');
$shop->sql("TRUNCATE batch; INSERT INTO inqud.call (checkout, home, server_id, due_at) SELECT id, inqud._home(), server_id, now() FROM inqud.checkout WHERE project = 'batch'");
$shop->until("SELECT count(*) = 60 FROM batch", 'told again');
cmp_ok($shop->sql('SELECT count(DISTINCT xid) FROM batch'), '<', 30, 'in a few transactions');
is($shop->sql('SELECT count(DISTINCT made) FROM batch'), '60', 'each sees what the one before has written');

# ---------------------------------------------------------------------
# Many bad ones at once
# ---------------------------------------------------------------------

$shop->sql("UPDATE mood SET bad = true WHERE project = 'sleeps'");
$shop->sql('SELECT ' . join ', ', map { "inqud_enqueue_checkout('sleeps', 'many-$_', 'x', 'https://shop.example/')" } 1 .. MANY);
$shop->wait_until("SELECT count(*) > 0 FROM inqud.call WHERE server_id = (SELECT id FROM inqud.known_server WHERE name = 'sleeps') AND attempts > 0");
my $took = healthy_order();
note(sprintf 'beside %d sleeping functions a healthy order took %.1f s', MANY, $took // -1);
ok(defined $took, 'many calls that time out do not add up for a new order of another project');
cmp_ok($shop->sql("SELECT count(*) FROM inqud.call WHERE server_id = (SELECT id FROM inqud.known_server WHERE name = 'sleeps') AND attempts = 0"), '>', 0, 'nor does it wait for all of them');
$shop->sql("UPDATE mood SET bad = false WHERE project = 'sleeps'");
$shop->sql('UPDATE inqud.call SET due_at = now(); SELECT inqud_worker_start()');
$shop->until("SELECT count(DISTINCT order_id) = @{[MANY]} FROM told WHERE order_id LIKE 'many-%'", 'all of them are told in the end');

# One that will not be stopped.
bad_project('stubborn', 'LOOP BEGIN PERFORM pg_sleep(3600); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP;');
$shop->sql($shop->enqueue_sql('of-stubborn', undef, 'stubborn'));
$shop->wait_until("SELECT count(*) = 1 FROM inqud.call WHERE server_id = (SELECT id FROM inqud.known_server WHERE name = 'stubborn') AND attempts > 0");
$took = healthy_order();
note(sprintf 'beside a function that catches the timeout a healthy order took %.1f s', $took // -1);
ok(defined $took, 'a function that catches its timeout is ended all the same');
$shop->sql("UPDATE mood SET bad = false");
if (!defined $took)
{
	my ($pid) = backend($shop, 'inqud worker', 'postgres');
	$shop->sql("SELECT pg_terminate_backend($pid)");
}
$shop->until("SELECT count(*) = 1 FROM told WHERE order_id = 'of-stubborn'", 'and told when it is mended');

# ---------------------------------------------------------------------

# Every status is there, and the worker was ended by nothing but its own function.
foreach my $name (map { $_->[0] } @cases)
{
	next if $name eq 'fails';
	$emu->control('settle', { clientOrderId => "of-$name" });
	$shop->sql("SELECT inqud_refresh(id) FROM inqud.checkout WHERE order_id = 'of-$name'");
}
$shop->until("SELECT count(DISTINCT project) = " . (@cases - 1) . " FROM told WHERE status = 'SUCCESS'", 'every payment is told');

# The call that failed alone: its timeouts of five and ten seconds would have fired by now.
$lonely->wait_until("SELECT clock_timestamp() > max(at) + interval '11 s' FROM inqud.event WHERE kind = 'hook'");
is_deeply([ errors_of($lonely_worker) ], [], 'what bounds a call ends with it, also where it fails');
note(sprintf 'functions tried: %d; the longest that a healthy order took: %.1f s', @cases + keys(%tries) + 6, $longest);

done_testing();
