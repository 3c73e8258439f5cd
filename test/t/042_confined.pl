#!/usr/bin/perl
#
# 042_confined.pl - proves that an on_status function leaves nothing of itself
# in the worker: whatever it does or tries, the next call, another project's, finds
# the same role, settings, locks, cursors, statements and channels as before, and
# orders go on being opened.  And that a schema "inqud" which somebody made where
# the extension is absent is called by nobody.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Faults qw(wait_worker);
use Inqud::Shop;
use PostgreSQL::Test::Utils ();
use Test::More;

my $shop = Inqud::Shop->new(options => { poll_new => '1h', poll_active => '1h' });

$shop->sql(q{
	CREATE ROLE clerk;
	GRANT CREATE ON SCHEMA public TO clerk;
	GRANT USAGE ON FOREIGN SERVER shop TO clerk;
	CREATE TABLE seen (order_id text, state text);
	CREATE TABLE effect (attempt text, role name);
	GRANT ALL ON seen, effect TO clerk;
	CREATE FUNCTION look(c inqud.checkout) RETURNS void LANGUAGE sql AS $$
		INSERT INTO public.seen SELECT c.order_id, concat_ws(' | ', current_user, session_user, current_setting('role'), current_setting('is_superuser'),
			(SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_catalog.pg_settings WHERE source <> 'default' AND name NOT LIKE 'log%' OR name IN ('search_path', 'DateStyle',
				'lock_timeout', 'statement_timeout', 'transaction_isolation', 'transaction_read_only', 'default_transaction_read_only', 'session_replication_role', 'row_security')),
			(SELECT string_agg(concat_ws(',', locktype, classid, objid, objsubid, mode), ' ' ORDER BY classid, objid) FROM pg_catalog.pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'),
			(SELECT count(*) FROM pg_catalog.pg_prepared_statements), (SELECT count(*) FROM pg_catalog.pg_cursors), (SELECT count(*) FROM pg_catalog.pg_listening_channels()),
			(SELECT count(*) FROM pg_catalog.pg_proc WHERE pronamespace = pg_my_temp_schema()) + (SELECT count(*) FROM pg_catalog.pg_type WHERE typnamespace = pg_my_temp_schema())) $$;
	ALTER FUNCTION look OWNER TO clerk});
$shop->set_options('shop', on_status => 'public.look');
$shop->project('tries', options => { poll_new => '1h', poll_active => '1h', retry_min => '1h', retry_max => '1h' });

# What the observer sees now.
my $orders = 0;
my $session = $shop->session;

$shop->watch_with($session);

sub look
{
	my $order = 'look ' . ++$orders;

	$session->query_safe($shop->enqueue_sql($order));
	$shop->wait_until("SELECT count(*) = 1 FROM seen WHERE order_id = '$order'");
	return $session->query_safe("SELECT state FROM seen WHERE order_id = '$order'");
}

# Commands of the function; each as it is, and within a block that catches its error.
my %tries = (
	'SET ROLE' => q{SET ROLE postgres}, 'RESET ROLE' => q{RESET ROLE}, 'SET LOCAL ROLE' => q{SET LOCAL ROLE postgres}, 'role by set_config' => q{SELECT set_config('role', 'postgres', false)},
	'SET SESSION AUTHORIZATION' => q{SET SESSION AUTHORIZATION postgres}, 'RESET SESSION AUTHORIZATION' => q{RESET SESSION AUTHORIZATION},
	'session_authorization by set_config' => q{SELECT set_config('session_authorization', 'postgres', false)},
	'search_path' => q{SELECT set_config('search_path', 'public', false)}, 'SET search_path' => q{SET search_path = public}, 'ALTER ROLE SET' => q{ALTER ROLE clerk SET search_path = public},
	'row_security' => q{SET row_security = off}, 'DateStyle' => q{SET DateStyle = 'German'}, 'read only' => q{SET default_transaction_read_only = on},
	'this one read only' => q{SET TRANSACTION READ ONLY}, 'session characteristics' => q{SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY}, 'RESET ALL' => q{RESET ALL},
	'replication role' => q{SET session_replication_role = replica}, 'timeouts' => q{SET lock_timeout = 0; SET statement_timeout = 0}, 'a custom setting' => q{SELECT set_config('inqud.mine', '1', false)},
	'inqud.enabled' => q{SET inqud.enabled = off}, 'DISCARD ALL' => q{DISCARD ALL}, 'DISCARD TEMP' => q{DISCARD TEMP}, 'DISCARD PLANS' => q{DISCARD PLANS},
	'a cursor that holds' => q{DECLARE h CURSOR WITH HOLD FOR SELECT 1}, 'a cursor' => q{DECLARE h CURSOR FOR SELECT 1}, 'PREPARE' => q{PREPARE p AS SELECT 1}, 'DEALLOCATE' => q{DEALLOCATE ALL},
	'LISTEN' => q{LISTEN inqud}, 'UNLISTEN' => q{UNLISTEN *}, 'NOTIFY' => q{NOTIFY inqud, 'forged'}, 'LOAD' => q{LOAD '$libdir/auto_explain'},
	'a temporary table' => q{CREATE TEMP TABLE checkout (id int)}, 'a temporary view' => q{CREATE TEMP VIEW queue AS SELECT 1}, 'a type in pg_temp' => q{CREATE DOMAIN pg_temp._order AS int}, 'a function in pg_temp' => q{CREATE FUNCTION pg_temp.now() RETURNS int LANGUAGE sql AS 'SELECT 1'},
	'an advisory lock' => q{SELECT pg_advisory_lock(4711)}, 'a shared advisory lock' => q{SELECT pg_advisory_lock_shared(4711, 1)}, 'unlocking all' => q{SELECT pg_advisory_unlock_all()},
	'the worker\'s lock' => q{SELECT pg_advisory_unlock(classid::int, objid::int) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'},
	'default privileges' => q{ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT ALL ON TABLES TO clerk}, 'an event trigger' => q{CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION public.look()},
	'ALTER SYSTEM' => q{ALTER SYSTEM SET inqud.enabled = off}, 'a member of postgres' => q{GRANT postgres TO clerk}, 'CREATE in inqud' => q{CREATE TABLE inqud.mine (a int)},
	'the worker\'s tables' => q{UPDATE inqud.checkout SET status = 'SUCCESS'}, 'the worker\'s functions' => q{SELECT inqud._home()}, 'the key' => q{SELECT 1 / count(umoptions) FROM pg_user_mappings},
	'pg_read_file' => q{SELECT pg_read_file('postgresql.conf')}, 'a subtransaction' => q{DO $d$ BEGIN BEGIN SET LOCAL work_mem = '128kB'; RAISE 'x'; EXCEPTION WHEN OTHERS THEN NULL; END; END $d$},
	'DO' => q{DO $d$ BEGIN PERFORM set_config('role', 'postgres', false); END $d$}, 'a function that sets role' => q{CREATE FUNCTION public.s() RETURNS void LANGUAGE sql SET role = 'postgres' AS 'SELECT'},
	'a deferred trigger' => q{SET CONSTRAINTS ALL DEFERRED; INSERT INTO public.trap VALUES (1)}, 'COMMIT' => q{COMMIT}, 'two phases' => q{PREPARE TRANSACTION 'x'});
$shop->sql(q{
	SET ROLE clerk;
	CREATE TABLE trap (n int);
	CREATE FUNCTION spring() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.effect VALUES ('trap', current_user); RETURN NULL; END $$;
	CREATE CONSTRAINT TRIGGER spring AFTER INSERT ON trap DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION spring()});

my $before = look();
like($before, qr/^clerk \| /, 'the observer runs as its owner');
note($before);
my $worker = wait_worker($shop);
my ($cases, @as_others, @not_run) = (0);
foreach my $name (sort keys %tries)
{
	foreach my $caught (0, 1)
	{
		my $n = ++$cases;
		my $command = join ' ', map { "EXECUTE \$x\$$_\$x\$;" } $name =~ /^DO$|subtransaction/ ? $tries{$name} : split /;\s*/, $tries{$name};
		my $note = "INSERT INTO public.effect VALUES ('$n', current_user);";

		$command = "BEGIN $command EXCEPTION WHEN OTHERS THEN NULL; END;" if $caught;
		$session->query_safe("CREATE OR REPLACE FUNCTION f_tries(c inqud.checkout) RETURNS void LANGUAGE plpgsql AS \$f\$ BEGIN $command $note END \$f\$; ALTER FUNCTION f_tries OWNER TO clerk");
		$shop->set_options('tries', on_status => 'public.f_tries') if $n == 1;
		$session->query_safe($shop->enqueue_sql("try $n", undef, 'tries'));
		push @not_run, "$name ($caught)" unless $shop->comes_true("SELECT EXISTS (SELECT FROM effect WHERE attempt = '$n') OR EXISTS (SELECT FROM inqud.event e JOIN inqud.checkout c ON c.id = e.checkout WHERE c.order_id = 'try $n' AND e.kind = 'hook')");
		my $after = look();
		push @as_others, "$name ($caught)" if $after ne $before;
		diag("$name ($caught): " . substr $after, length(($after ^ $before) =~ s/[^\0].*//sr)) if $after ne $before;
		$session->query_safe("DELETE FROM inqud.call WHERE server_id = (SELECT id FROM inqud.known_server WHERE name = 'tries')");
	}
}
is_deeply(\@not_run, [], 'every attempt was made');
is_deeply(\@as_others, [], "after each of $cases attempts the next function finds everything as before");
is($shop->sql("SELECT string_agg(DISTINCT role, ' ') FROM effect"), 'clerk', 'all ran as the function\'s owner');
is($shop->worker_pid, $worker, 'the worker is the same');
is($shop->sql("SELECT rolsuper OR pg_has_role('clerk', 'postgres', 'MEMBER') FROM pg_roles WHERE rolname = 'clerk'"), 'f', 'the owner has gained nothing');
is($shop->sql("SELECT count(*) FROM inqud.checkout WHERE status <> 'NEW'"), '0', 'no status was written');
is($shop->sql("SELECT count(*) FROM pg_default_acl"), '0', 'no default privileges');

# ---------------------------------------------------------------------
# A look-alike where the extension is absent
# ---------------------------------------------------------------------

$shop->sql('CREATE DATABASE other; GRANT CREATE ON DATABASE other TO clerk');
my $other = $shop->in('other');
my $functions = $shop->sql("SELECT string_agg(format('CREATE FUNCTION inqud.%I(%s) RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN RAISE WARNING ''a look-alike was reached: %s''; END \$\$',
		proname, pg_get_function_identity_arguments(oid), proname), '; ') FROM pg_proc WHERE pronamespace = 'inqud'::regnamespace AND NOT pg_get_function_identity_arguments(oid) ~ 'inqud|OUT |TABLE'
		AND prokind = 'f'
		AND proname !~ '_wake'");

$other->sql("SET ROLE clerk; CREATE SCHEMA inqud; CREATE TABLE inqud.checkout (id bigint); CREATE TABLE inqud.queue (checkout bigint, home bigint, kind text); INSERT INTO inqud.queue VALUES (1, 1, 'create'); $functions");
my $log = -s $shop->node->logfile;
$shop->watch_with(undef);
$session->close;
$shop->restart;
$session = $shop->session;
$shop->wait_until("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'inqud worker'");
$other->sql("SET ROLE clerk; INSERT INTO inqud.queue VALUES (2, 1, 'create'); NOTIFY inqud");
like($other->error('SET ROLE clerk; CREATE EXTENSION inqud')->{state} // '', qr/42501/, 'who made it cannot install the extension');
like($other->error('CREATE EXTENSION inqud')->{state} // '', qr/42P06/, 'and it is not taken for the extension\'s');
is(look() =~ s/,(?:\d+,){3}Exclusive//r, $before =~ s/,(?:\d+,){3}Exclusive//r, 'the worker of the database with the extension works as before');
Inqud::Shop::lacks(PostgreSQL::Test::Utils::slurp_file($shop->node->logfile, $log), qr/look-alike was reached/, 'nothing of it was called');
$other->sql('SELECT inqud._home()');
like(PostgreSQL::Test::Utils::slurp_file($shop->node->logfile, $log), qr/look-alike was reached: _home/, 'which would have been seen');
is($other->sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'inqud worker' AND datname = 'other'"), '0', 'no worker stays there');

done_testing();
