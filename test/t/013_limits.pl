#!/usr/bin/perl
#
# 013_limits.pl - proves that a rate limit belongs to those who have the token:
# nobody else uses it up, pauses it, raises it or has it forgotten, and sessions
# that call without end leave the worker its part, as replayed webhooks leave other
# reads and new orders theirs.  And that a pause of refused credentials ends when
# the account has changed, and not when anything else has.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Faults qw(ask);
use Inqud::Shop;
use Inqud::Webhooks qw(digest receive_sql);
use JSON::PP ();
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;
use Time::HiRes qw(time usleep);

use constant { SERVERS => 1100, RATE => 5 };

my $shop = Inqud::Shop->new(conf => [ 'max_connections = 40', 'log_min_messages = debug1' ], mapping => { webhook_secret => 'hook-secret' },
	options => { rate_limit => RATE, poll_new => '1day', poll_active => '1day' });
my $emu = $shop->emu;
my $session = $shop->session;
my ($true, $false) = (JSON::PP::true(), JSON::PP::false());

# The stranger may use the wrapper, and make servers of his own.
$shop->sql('CREATE ROLE stranger LOGIN; GRANT USAGE ON FOREIGN DATA WRAPPER inqud TO stranger; GRANT USAGE ON FOREIGN SERVER shop TO stranger');

# SQL that reads a checkout of a project again and again, whatever comes of it.
sub calls
{
	my ($project, $n) = @_;
	my $loop = defined $n ? "FOR i IN 1 .. $n LOOP" : 'LOOP';

	return "DO \$\$ BEGIN $loop BEGIN PERFORM inqud_get_checkout('$project', 'CCO-nope'); EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END \$\$";
}

sub queue
{
	my ($order, $n) = @_;

	$session->query_safe($shop->enqueue_sql($_)) foreach $n ? map { "$order $_" } 1 .. $n : $order;
	return;
}

sub opens
{
	my ($order, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return $shop->until('SELECT bool_and(state = \'open\') FROM inqud.checkout WHERE order_id ~ ' . Inqud::Shop::literal("^$order"), $name);
}

# Ends sessions that call without end.
sub end
{
	my (@sessions) = @_;

	foreach my $caller (@sessions)
	{
		$shop->sql('SELECT pg_terminate_backend(' . $caller->pid . ')');
		$caller->finish;
		$caller->close;
	}
	return;
}

# The creates of orders whose names begin so, in the order of their arrival.
sub posts { return $shop->requests(method => 'POST', body => "\"$_[0]") }

# ---------------------------------------------------------------------
# The rate is not raised, and not used up
# ---------------------------------------------------------------------

my $stranger = $shop->session(user => 'stranger');
my $url = $emu->url;
my $id = Inqud::Shop::PROJECT;
my $token = Inqud::Shop::TOKEN;

# The same address, project and token id; he does not know the secret.
$stranger->query_safe("CREATE SERVER theirs FOREIGN DATA WRAPPER inqud OPTIONS (project_id '$id', base_url '$url', rate_limit '1000');
	CREATE USER MAPPING FOR stranger SERVER theirs OPTIONS (token_id '$token', token_secret 'guessed')");
ask($stranger, calls('theirs'));
$shop->wait_requests(path => 'CCO-nope', count => 20);
queue('beside him', 5);
opens('beside him', 'orders are sent beside a stranger who calls without end');
# one call in two seconds: a session looks every second whether it may
$shop->set_options('shop', rate_limit => '0.5');
$session->query_safe($shop->create_sql("paced $_")) foreach 1 .. 3;
$shop->set_options('shop', rate_limit => RATE);
my @at = map { $_->{epoch} } posts('paced');
cmp_ok($at[ $_ + 1 ] - $at[$_], '>=', 1.96, 'and no quicker than the rate says') foreach 0 .. 1;
end($stranger);

# ---------------------------------------------------------------------
# It is not paused
# ---------------------------------------------------------------------

my %pause = (action => 'status', status => 429, body => '', retry_after => 3600);

$emu->fault({ match => { path => 'CCO-pause' }, %pause });
is($shop->error("SELECT inqud_get_checkout('theirs', 'CCO-pause')", user => 'stranger')->{state}, 'IQ003', 'a stranger is paused for an hour');
queue('after their pause');
opens('after their pause', 'which pauses nobody else');

# Now with a token of his own in the shop's own project: the worker makes his calls, too.
$shop->sql("CREATE USER MAPPING FOR stranger SERVER shop OPTIONS (token_id 'TKN-theirs', token_secret 'theirs')");
$emu->control('token', { id => 'TKN-theirs', secret => 'theirs', account => 'first' });
$emu->fault({ match => { body => '"their order' }, %pause });
$stranger = $shop->session(user => 'stranger');
$stranger->query_safe($shop->enqueue_sql("their order $_")) foreach 1 .. 20;
$shop->wait_requests(method => 'POST', body => '"their order', status => 429, done => 1);
queue('beside them', 5);
opens('beside them', 'nor does a role with a token of its own, in the same project');
$emu->clear_faults;
$stranger->query_safe("SELECT count(inqud_cancel(id)) FROM inqud.checkout WHERE owner = 'stranger'");

# An hour's pause is over as soon as the token is another one.
$stranger->query_safe($shop->enqueue_sql('their last'));
$emu->control('token', { id => 'TKN-new', secret => 'new', account => 'first' });
$shop->sql("ALTER USER MAPPING FOR stranger SERVER shop OPTIONS (SET token_id 'TKN-new', SET token_secret 'new')");
opens('their last', 'a pause is that of a token, and another one has none');

# Each account has its own turns: many orders of one do not delay another's.
$stranger->query_safe($shop->enqueue_sql("their many $_")) foreach 1 .. 60;
queue('between', 3);
opens('between', 'orders of another account are sent');
cmp_ok(scalar posts('their many'), '<', 50, 'before those that were queued first');
$stranger->query_safe("SELECT count(inqud_cancel(id)) FROM inqud.checkout WHERE owner = 'stranger'");
$stranger->close;
$shop->sql('DROP USER MAPPING FOR stranger SERVER shop');

# ---------------------------------------------------------------------
# It is not forgotten
# ---------------------------------------------------------------------

$emu->fault({ match => { path => 'CCO-pause' }, %pause, retry_after => 600 });
is($shop->error("SELECT inqud_get_checkout('shop', 'CCO-pause')")->{state}, 'IQ003', 'the shop is paused');
$emu->clear_faults;
my $refused = $shop->refused_url;
# each has a call under way for the next thousand seconds
$stranger = $shop->session(user => 'stranger');
$stranger->query_safe("DO \$\$ BEGIN FOR i IN 1 .. @{[ SERVERS ]} LOOP
		EXECUTE format('CREATE SERVER crowd_%s FOREIGN DATA WRAPPER inqud OPTIONS (project_id ''CAP-%s'', base_url %L, rate_limit ''0.001'')', i, i, '$refused');
		EXECUTE format('CREATE USER MAPPING FOR stranger SERVER crowd_%s OPTIONS (token_id ''TKN-x'', token_secret ''x'')', i);
	END LOOP; END \$\$");
my $seen = length slurp_file($shop->node->logfile);
$stranger->query_safe("DO \$\$ BEGIN FOR i IN 1 .. @{[ SERVERS ]} LOOP
		BEGIN PERFORM inqud_get_checkout('crowd_' || i, 'CCO-nope'); EXCEPTION WHEN OTHERS THEN NULL; END;
	END LOOP; END \$\$");
is($session->query_safe("SELECT paused_until > now() FROM inqud.stats WHERE project = 'shop'"), 't', SERVERS . ' other accounts do not end the pause');
$shop->set_options('shop', timeout => '1s');
is($shop->error("SELECT inqud_get_checkout('shop', 'CCO-nope')")->{state}, 'IQ003', 'and no call is made');
$shop->set_options('shop', timeout => undef);
my @said = substr(slurp_file($shop->node->logfile), $seen) =~ /LOG:.*too many accounts of inqud are limited/g;
is(scalar @said, 1, 'the log says once that there are too many');
$stranger->query_safe("DO \$\$ BEGIN FOR i IN 1 .. @{[ SERVERS ]} LOOP EXECUTE format('DROP SERVER crowd_%s CASCADE', i); END LOOP; END \$\$");
$stranger->close;
# the pause ends with shared memory
$session->close;
$shop->restart;
$session = $shop->session;

# ---------------------------------------------------------------------
# Sessions beside the worker
# ---------------------------------------------------------------------

my @callers = map { $shop->session } 1 .. 5;
ask($_, calls('shop')) foreach @callers;
$shop->wait_requests(path => 'CCO-nope', since => ($shop->requests)[-1]{seq}, count => 6);
queue('beside sessions', 8);
opens('beside sessions', 'orders are sent beside five sessions that call without end');
end(@callers);
@at = map { $_->{epoch} } posts('beside sessions');
my $between = grep { $_->{epoch} > $at[0] && $_->{epoch} < $at[-1] } $shop->requests(path => 'CCO-nope');
note("$between calls of sessions between 8 orders");
cmp_ok($between, '<=', 16, 'of the calls, the worker has its part');
cmp_ok($between, '>=', 1, 'and the sessions have theirs');

# ---------------------------------------------------------------------
# Webhooks that are replayed
# ---------------------------------------------------------------------

# The last of the requests so far.
sub mark { return ($shop->requests)[-1]{seq} }

# How often a checkout has been read since.
sub reads
{
	my ($mark, @ids) = @_;

	return scalar map { $shop->requests(since => $mark, method => 'GET', path => $_) } @ids;
}

sub replay
{
	my (@ids) = @_;
	my @sql;

	foreach my $checkout (@ids)
	{
		my $body = "{\"id\":\"$checkout\",\"status\":\"NEW\"}";

		push @sql, receive_sql('shop', $body, digest('hook-secret', $body));
	}
	$session->query_safe('SELECT ' . join(', ', @sql));
	return;
}

sub ids_of
{
	return split /\n/, $session->query_safe("SELECT checkout_id FROM inqud.checkout WHERE order_id ~ '^$_[0]' ORDER BY id");
}

$shop->set_options('shop', rate_limit => 0);
queue('replayed', 40);
queue('watched', 3);
opens($_, "$_ orders are open") foreach 'replayed', 'watched';
$shop->set_options('shop', rate_limit => RATE);
my @replayed = ids_of('replayed');
my @watched = ids_of('watched');

my $since = mark();
until (reads($since, $replayed[0]) >= 2)
{
	replay($replayed[0]);
	usleep(100_000);
}
@at = map { $_->{epoch} } $shop->requests(since => $since, method => 'GET', path => $replayed[0]);
cmp_ok($at[1] - $at[0], '>=', 2.9, 'a webhook that is replayed all the time has its checkout read once in three seconds');

# A refresh in that time is made when it is over.
$shop->wait_until("SELECT count(*) = 0 FROM inqud.pending p JOIN inqud.checkout c ON c.id = p.checkout WHERE checkout_id = '$replayed[0]' AND p.kind = 'poked'");
$emu->control('settle', { id => $replayed[0] });
$session->query_safe("SELECT inqud_refresh(id) FROM inqud.checkout WHERE checkout_id = '$replayed[0]'");
$shop->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE checkout_id = '$replayed[0]'", 'a refresh in these seconds is not lost');

# Webhooks of forty checkouts ask for more reads than the rate allows.
$shop->set_options('shop', poll_new => '1s', poll_active => '1s');
$session->query_safe("UPDATE inqud.queue SET phase = 'check', tail_from = now() WHERE checkout IN (SELECT id FROM inqud.checkout WHERE order_id ~ '^(?!watched)')");
$shop->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'inqud worker'");
$shop->wait_until('SELECT followed >= 40 FROM inqud.worker WHERE database = current_database()');
$since = mark();
replay(@replayed);
queue('meanwhile', 2);
my $rounds = 0;
until (reads($since, @replayed) >= 32)
{
	replay(@replayed) if $rounds++ % 5 == 0;
	usleep(100_000);
}
# one read by the clock for four others, so eight, but the machine may be busy; those before the first webhook was seen do not count
my ($first) = sort { $a <=> $b } map { $_->{seq} } map { $shop->requests(since => $since, method => 'GET', path => $_) } @replayed;
cmp_ok(reads($first, @watched), '>=', 3, 'beside webhooks that ask for more than the rate allows, others are read by the clock');
cmp_ok(scalar posts('meanwhile'), '==', 2, 'and orders are sent');
$shop->set_options('shop', rate_limit => 0, poll_new => '1day', poll_active => '1day');

# ---------------------------------------------------------------------
# A pause of refused credentials
# ---------------------------------------------------------------------

$shop->sql("CREATE ROLE good LOGIN; GRANT USAGE ON FOREIGN SERVER shop TO good; CREATE ROLE club; CREATE TABLE other (id int);
	CREATE USER MAPPING FOR good SERVER shop OPTIONS (token_id 'TKN-good', token_secret 'good')");
$emu->control('token', { id => 'TKN-good', secret => 'good', account => 'first' });
$shop->set_options('shop', retry_min => '10min', retry_max => '20min');
$emu->control('token', { id => Inqud::Shop::TOKEN, revoked => $true });
queue('refused', 5);
$shop->until("SELECT bool_and(NOT sending AND due_at > now()) AND count(*) = 5 FROM inqud.pending WHERE order_id ~ '^refused'", 'refused credentials pause the project');
my $refusals = $shop->requests(method => 'POST', status => 401);

# Waits until the worker has looked at what was committed so far: an order of another account is sent.
sub worker_has_looked
{
	my ($order) = @_;
	my $good = $shop->session(user => 'good');

	$good->query_safe($shop->enqueue_sql($order));
	$good->close;
	$shop->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '$order'");
	return;
}

foreach my $i (1 .. 5)
{
	$session->query_safe("BEGIN; INSERT INTO other VALUES ($i); PREPARE TRANSACTION 'other'; COMMIT PREPARED 'other'");
	worker_has_looked("prepared $i");
}
is(scalar $shop->requests(method => 'POST', status => 401), $refusals, 'COMMIT PREPARED of others does not end it');
foreach my $i (1 .. 5)
{
	$session->query_safe('GRANT club TO stranger; REVOKE club FROM stranger');
	worker_has_looked("granted $i");
}
is(scalar $shop->requests(method => 'POST', status => 401), $refusals, 'nor does GRANT of a role');
foreach my $i (1 .. 5)
{
	my $other = $shop->session(user => 'stranger');

	$other->query_safe("CREATE USER MAPPING FOR stranger SERVER shop OPTIONS (token_id 'TKN-x', token_secret 'x')");
	worker_has_looked("mapped $i");
	$other->query_safe('DROP USER MAPPING FOR stranger SERVER shop');
	worker_has_looked("unmapped $i");
	$other->close;
}
is(scalar $shop->requests(method => 'POST', status => 401), $refusals, "nor does a role's own mapping");
$emu->control('token', { id => Inqud::Shop::TOKEN, revoked => $false });
$session->query_safe("BEGIN; ALTER USER MAPPING FOR PUBLIC SERVER shop OPTIONS (SET token_secret '@{[ Inqud::Shop::SECRET ]}');
	PREPARE TRANSACTION 'mapping'; COMMIT PREPARED 'mapping'");
opens('refused', 'a change of the mapping does, also by COMMIT PREPARED');

# ---------------------------------------------------------------------
# Databases without the extension
# ---------------------------------------------------------------------

$shop->sql('CREATE DATABASE plain');
$shop->sql('CREATE DATABASE another');
my $plain = $shop->in('plain');
my $oid = $shop->sql("SELECT oid FROM pg_database WHERE datname = 'plain'");

foreach my $i (1 .. 5)
{
	my $in = $plain->session;

	$in->query_safe('BEGIN; CREATE TABLE t (); DROP TABLE t');
	$in->query_safe("PREPARE TRANSACTION 'plain'; COMMIT PREPARED 'plain'");
	$in->query_safe('GRANT club TO stranger; REVOKE club FROM stranger');
	$in->close;
}
# the launcher has seen to those before it sees to this one, which has its first order by COMMIT PREPARED
my $another = $shop->in('another');
$another->sql('CREATE EXTENSION inqud');
$another->project('shop', options => { poll_new => '1day', poll_active => '1day' });
my $in = $another->session;
$in->query_safe('BEGIN');
$in->query_safe($shop->enqueue_sql('in another'));
$in->query_safe("PREPARE TRANSACTION 'first'");
$in->query_safe("COMMIT PREPARED 'first'");
$in->close;
$another->until("SELECT state = 'open' FROM inqud.checkout", 'the first order of a database may come by COMMIT PREPARED');

# a change of servers alone gives no slot, but an order with it does
$shop->sql('CREATE DATABASE third');
my $third = $shop->in('third');
$third->sql('CREATE EXTENSION inqud');
$in = $third->session;
$in->query_safe("BEGIN; CREATE SERVER shop FOREIGN DATA WRAPPER inqud OPTIONS (project_id '$id', base_url '$url');
	CREATE USER MAPPING FOR PUBLIC SERVER shop OPTIONS (token_id '$token', token_secret '@{[ Inqud::Shop::SECRET ]}')");
$in->query_safe($shop->enqueue_sql('in third'));
$in->query_safe('COMMIT');
$in->close;
$third->until("SELECT state = 'open' FROM inqud.checkout", 'and with its server in one transaction');

my $log = slurp_file($shop->node->logfile);
like($log, qr/background worker.*inqud worker for database/, 'the log tells of workers that are started');
unlike($log, qr/inqud worker for database $oid\b/, 'none is started for a database without the extension');

$session->close;
done_testing();
