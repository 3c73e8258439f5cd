#!/usr/bin/perl
#
# 050_stats.pl - proves that inqud.stats adds up: for each kind of outcome, of the
# worker and of sessions, exactly what happened is counted and nothing else; that
# projects, databases and roles are kept apart, counts can be begun anew, go with
# their server and database and with shared memory, and that more projects than
# there are places for are counted together.  Also what pg_stat_activity shows.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Faults qw(ask crash wait_worker);
use Inqud::Shop;
use Test::More;

use constant PLACES => 1024;

my $shop = Inqud::Shop->new(conf => [ 'autovacuum = off', 'restart_after_crash = on' ], options => { poll_new => '1day', poll_active => '1day' });
my $emu = $shop->emu;
my $json = { code => 'NO', message => 'no' };

my @outcomes = qw(ok refused auth route not_found throttled unreachable unknown bad_reply);
my @classes = qw(http_2xx http_3xx http_4xx http_5xx http_none);
my @counts = (qw(transfers creates reads retries canceled waits), @outcomes, @classes);

# The counts of a project, those that are not 0.
sub counts
{
	my ($project, $in) = @_;
	my ($row) = ($in // $shop)->rows("SELECT * FROM inqud.stats WHERE database = current_database() AND project = '$project'");

	return { map { $_ => $row->{$_} } grep { $row->{$_} } @counts };
}

# That a step counts what it should, and nothing else.
sub counted
{
	my ($name, $project, $step, %expected) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = counts($project);

	$step->();
	my $after = counts($project);
	my %more = map { $_ => ($after->{$_} // 0) - ($before->{$_} // 0) } @counts;
	is_deeply({ map { $_ => $more{$_} } grep { $more{$_} } @counts }, \%expected, "counted: $name");
	return;
}

# An order that the worker sends; it ends in a state.
sub order
{
	my ($order, $state, $project) = @_;

	$shop->sql($shop->enqueue_sql($order, undef, $project));
	$shop->wait_until("SELECT state = '$state' FROM inqud.checkout WHERE order_id = '$order'");
	return;
}

# An order that goes wrong so often, and then well.
sub fails
{
	my ($order, $times, %fault) = @_;

	$emu->fault({ match => { method => 'POST', clientOrderId => $order }, times => $times, %fault });
	order($order, 'open');
	$emu->clear_faults;
	return;
}

# Each transfer has one outcome, one class and one latency.
sub adds_up
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($outcomes, $classes) = (join('+', @outcomes), join('+', @classes));

	is($shop->sql("SELECT project FROM inqud.stats WHERE transfers <> $outcomes OR transfers <> $classes OR transfers <> creates + reads
		OR transfers <> (SELECT sum(n) FROM unnest(latency) n) OR retries > transfers
		OR latency_max > latency_sum OR transfers > 0 AND latency_sum <= '0' OR since > now()
		OR (transfers > 0) <> (last_at >= since) OR transfers > unreachable AND bytes_sent = 0"), '', $name);
	return;
}

# ---------------------------------------------------------------------
# The worker
# ---------------------------------------------------------------------

is($shop->sql('SELECT count(*) FROM inqud.stats'), '0', 'a project that nobody has used has no row');
counted('an order', 'shop', sub { order('plain', 'open') }, transfers => 1, creates => 1, ok => 1, http_2xx => 1);
counted('a hundred orders', 'shop', sub {
	$shop->sql("SELECT count(inqud_enqueue_checkout('shop', 'many-' || i, 'n', 'https://shop.example/')) FROM generate_series(1, 100) i");
	$shop->wait_until("SELECT count(*) = 100 FROM inqud.checkout WHERE order_id LIKE 'many-%' AND state = 'open'");
}, transfers => 100, creates => 100, ok => 100, http_2xx => 100);
counted('a refused order', 'shop', sub {
	$emu->fault({ match => { clientOrderId => 'refused' }, action => 'status', status => 422, body => $json });
	order('refused', 'failed');
	$emu->clear_faults;
}, transfers => 1, creates => 1, refused => 1, http_4xx => 1);
counted('refused credentials', 'shop', sub { fails('auth', 1, action => 'status', status => 401, body => $json) },
	transfers => 2, creates => 2, auth => 1, ok => 1, http_4xx => 1, http_2xx => 1);
counted('a redirect', 'shop', sub { fails('route', 1, action => 'status', status => 302, headers => { Location => 'http://127.0.0.1:1/' }) },
	transfers => 2, creates => 2, route => 1, ok => 1, http_3xx => 1, http_2xx => 1);
counted('throttling', 'shop', sub { fails('throttled', 1, action => 'status', status => 429, body => $json, retry_after => 0) },
	transfers => 2, creates => 2, throttled => 1, ok => 1, http_4xx => 1, http_2xx => 1);
counted('server errors', 'shop', sub { fails('error', 3, action => 'status', status => 500, body => 'oops') },
	transfers => 4, creates => 4, retries => 3, unknown => 3, ok => 1, http_5xx => 3, http_2xx => 1);
counted('an answer that is not understood', 'shop', sub { fails('garbage', 2, action => 'status', status => 200, body => 'garbage') },
	transfers => 3, creates => 3, retries => 2, unknown => 2, ok => 1, http_2xx => 3);
counted('connections that are closed', 'shop', sub { fails('closed', 1, action => 'drop_after', how => 'fin') },
	transfers => 2, creates => 2, retries => 1, unknown => 1, ok => 1, http_none => 1, http_2xx => 1);
$shop->set_options('shop', timeout => '3s');
counted('a timeout', 'shop', sub { fails('timeout', 1, action => 'hang', phase => 'before') },
	transfers => 2, creates => 2, retries => 1, unknown => 1, ok => 1, http_none => 1, http_2xx => 1);
$shop->set_options('shop', timeout => undef);
$emu->control('release');
counted('a read that was asked for', 'shop', sub {
	$emu->control('settle', { clientOrderId => 'plain' });
	$shop->sql("SELECT inqud_refresh(id) FROM inqud.checkout WHERE order_id = 'plain'");
	$shop->wait_until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE order_id = 'plain'");
}, transfers => 1, reads => 1, ok => 1, http_2xx => 1);
my $id = $shop->checkout('auth')->{checkout_id};
counted('a read that fails twice', 'shop', sub {
	$emu->fault({ match => { method => 'GET', checkout => $id }, action => 'status', status => 503, times => 2 });
	$emu->control('settle', { clientOrderId => 'auth' });
	$shop->sql("SELECT inqud_refresh(id) FROM inqud.checkout WHERE order_id = 'auth'");
	$shop->wait_until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE order_id = 'auth'");
}, transfers => 3, reads => 3, retries => 2, unknown => 2, ok => 1, http_5xx => 2, http_2xx => 1);
$emu->clear_faults;
adds_up('the worker: sums agree');
is($shop->sql("SELECT (SELECT sum(n) FROM unnest(latency[13:21]) n) >= 1 AND latency_max >= '3s' FROM inqud.stats"), 't',
	'the timeout stands in the histogram, between 2048 and 4096 ms or above')
  or diag($shop->sql('SELECT latency, latency_max FROM inqud.stats'));

# ---------------------------------------------------------------------
# Sessions
# ---------------------------------------------------------------------

counted('a create', 'shop', sub { $shop->sql($shop->create_sql('session')) }, transfers => 1, creates => 1, ok => 1, http_2xx => 1);
$id = $shop->checkout('session')->{checkout_id};
my $read = "SELECT inqud_get_checkout('shop', '$id')";

# A read that ends with an error.
sub read_fails
{
	my ($state, %fault) = @_;

	$emu->fault({ match => { method => 'GET', checkout => $id }, %fault });
	$shop->raises($read, { state => $state }, "a read ends with $state");
	$emu->clear_faults;
	return;
}

counted('reads', 'shop', sub { $shop->sql("$read; $read; $read") }, transfers => 3, reads => 3, ok => 3, http_2xx => 3);
counted('a read of what is not there', 'shop', sub { read_fails('IQ005', action => 'status', status => 404, body => $json) },
	transfers => 1, reads => 1, not_found => 1, http_4xx => 1);
counted('a read at a wrong address', 'shop',
	sub { read_fails('IQ005', action => 'status', status => 404, body => '<html>no</html>', content_type => 'text/html') },
	transfers => 1, reads => 1, route => 1, http_4xx => 1);
counted('a read that is not understood', 'shop', sub { read_fails('IQ005', action => 'status', status => 200, body => 'garbage') },
	transfers => 1, reads => 1, bad_reply => 1, http_2xx => 1);
counted('a reply that is too large', 'shop', sub { read_fails('IQ005', action => 'oversize', bytes => 3_000_000) },
	transfers => 1, reads => 1, bad_reply => 1, http_2xx => 1);
counted('a read with a server error', 'shop', sub { read_fails('IQ004', action => 'status', status => 500) },
	transfers => 1, reads => 1, unknown => 1, http_5xx => 1);
counted('a read that is canceled', 'shop', sub {
	$emu->fault({ match => { method => 'GET', checkout => $id }, action => 'hang', phase => 'before' });
	$shop->raises("SET statement_timeout = '2s'; $read", { state => '57014' }, 'a read ends with its statement');
	$emu->clear_faults;
	$emu->control('release');
}, canceled => 1);

$shop->project('nowhere', options => { base_url => $shop->refused_url });
counted('nobody there', 'nowhere', sub { $shop->raises($shop->create_sql('nobody', undef, 'nowhere'), { state => '08001' }, 'nobody answers') },
	transfers => 1, creates => 1, unreachable => 1, http_none => 1);
is($shop->sql("SELECT concat_ws(' ', bytes_sent, bytes_received, next_call_at, paused_until) FROM inqud.stats WHERE project = 'nowhere'"), '0 0',
	'where nothing was sent there are no bytes, and no limit');
adds_up('sessions: sums agree');

# ---------------------------------------------------------------------
# The rate limit
# ---------------------------------------------------------------------

$shop->project('slow', options => { project_id => Inqud::Shop::SECOND, rate_limit => '0.001', poll_new => '1day', poll_active => '1day' });
counted('the first call of a slow project', 'slow', sub { $shop->sql($shop->create_sql('slow-1', undef, 'slow')) },
	transfers => 1, creates => 1, ok => 1, http_2xx => 1);
counted('a turn that does not come', 'slow', sub { $shop->raises($shop->create_sql('slow-2', undef, 'slow'), { state => 'IQ003' }, 'the second call is too soon') },
	waits => 1);
is($shop->sql("SELECT next_call_at BETWEEN now() AND now() + interval '1000 s', paused_until FROM inqud.stats WHERE project = 'slow'"), 't|',
	'next_call_at says when the next call may go');
my $before = counts('slow');
$shop->sql("SELECT count(inqud_enqueue_checkout('slow', 'turns-' || i, 'n', 'https://shop.example/')) FROM generate_series(1, 10) i");
$shop->until("SELECT waits > $before->{waits} FROM inqud.stats WHERE project = 'slow'", 'the worker waits for its turn');
$shop->set_options('slow', rate_limit => '5');
$shop->until("SELECT count(*) = 10 FROM inqud.checkout WHERE order_id LIKE 'turns-%' AND state = 'open'", 'a rate that is raised holds at once');
my $after = counts('slow');
is($after->{ok} - $before->{ok}, 10, 'ten orders at five a second');
my $waits = $after->{waits} - $before->{waits};
cmp_ok($waits, '>=', 5, 'wait for their turn');
cmp_ok($waits, '<=', 13, 'and each wait is counted once');
note("waits: $waits");
$shop->set_options('slow', rate_limit => '0');
$emu->fault({ match => { clientOrderId => 'told' }, action => 'status', status => 429, body => $json, retry_after => 1000 });
counted('a session that is throttled', 'slow', sub { $shop->raises($shop->create_sql('told', undef, 'slow'), { state => 'IQ003' }, 'Inqud asks for a pause') },
	transfers => 1, creates => 1, throttled => 1, http_4xx => 1);
is($shop->sql("SELECT paused_until BETWEEN now() + interval '500 s' AND now() + interval '1000 s', next_call_at = paused_until
	FROM inqud.stats WHERE project = 'slow'"), 't|t', 'paused_until says how long');
$emu->clear_faults;
adds_up('the rate limit: sums agree');

# ---------------------------------------------------------------------
# What is due
# ---------------------------------------------------------------------

$shop->sql('SELECT inqud_worker_stop()');
is($shop->sql("SELECT oldest_due FROM inqud.stats WHERE project = 'shop'"), '', 'nothing is due');
$shop->sql($shop->enqueue_sql("due-$_")) foreach 1 .. 3;
is($shop->sql("SELECT oldest_due = (SELECT min(due_at) FROM inqud.queue WHERE kind = 'create') FROM inqud.stats WHERE project = 'shop'"), 't',
	'oldest_due is that of the oldest row');
is($shop->sql("SELECT count(oldest_due) FROM inqud.stats"), '1', 'of its own project');
$shop->sql('SELECT inqud_worker_start()');
$shop->until("SELECT oldest_due IS NULL FROM inqud.stats WHERE project = 'shop'", 'and null when all is taken');

# ---------------------------------------------------------------------
# Databases, roles
# ---------------------------------------------------------------------

$shop->sql('CREATE DATABASE other');
my $other = $shop->in('other');
$other->sql('CREATE EXTENSION inqud');
$other->project('shop', options => { poll_new => '1day', poll_active => '1day' });
$before = counts('shop');
$other->sql($other->create_sql("other-$_")) foreach 1 .. 2;
is_deeply(counts('shop', $other), { transfers => 2, creates => 2, ok => 2, http_2xx => 2 }, 'another database is counted for itself');
is_deeply(counts('shop'), $before, 'and not here');

$shop->sql('CREATE ROLE app; CREATE ROLE owner; CREATE ROLE nobody; CREATE ROLE monitor IN ROLE pg_monitor;
	GRANT USAGE ON FOREIGN SERVER shop TO app; GRANT USAGE ON FOREIGN DATA WRAPPER inqud TO owner; ALTER SERVER slow OWNER TO owner');
my %sees = (
	app => 'postgres.shop', owner => 'postgres.slow', nobody => '',
	monitor => 'other.shop postgres.nowhere postgres.shop postgres.slow');
foreach my $role (sort keys %sees)
{
	is($shop->sql("SET ROLE $role; SELECT string_agg(database || '.' || project, ' ' ORDER BY database, project) FROM inqud.stats"), $sees{$role},
		"$role sees what is his");
}
$shop->raises('SET ROLE monitor; SELECT inqud_stats_reset()', { state => '42501' }, 'nobody but the owner of the extension begins anew');
$shop->sql($shop->enqueue_sql('hidden') =~ s/^/SELECT inqud_worker_stop(); /r);
is($shop->sql("SET ROLE app; SELECT count(oldest_due) FROM inqud.stats"), '1', 'oldest_due is that of the project, as the counts are');
$shop->sql('SELECT inqud_worker_start()');
$shop->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'hidden'");

# ---------------------------------------------------------------------
# Names, and beginning anew
# ---------------------------------------------------------------------

$before = counts('slow');
$shop->sql('ALTER SERVER slow RENAME TO tired');
is_deeply(counts('tired'), $before, 'a project keeps its counts under another name');
$shop->sql('ALTER SERVER tired RENAME TO slow');

$shop->raises("SELECT inqud_stats_reset('missing')", { state => '42704' }, 'what is not there cannot be begun anew');
my $began = $shop->sql('SELECT clock_timestamp()');
$shop->sql("SELECT inqud_stats_reset('shop')");
is_deeply(counts('shop'), {}, 'a project begins anew');
is($shop->sql("SELECT since >= '$began', last_at, latency_sum, latency_max, bytes_sent + bytes_received, (SELECT sum(n) FROM unnest(latency) n)
	FROM inqud.stats WHERE project = 'shop' AND database = current_database()"), 't||00:00:00|00:00:00|0|0', 'with everything');
is_deeply(counts('slow'), $before, 'another one goes on');
$shop->sql('GRANT EXECUTE ON FUNCTION inqud_stats_reset TO app; SET ROLE app; SELECT inqud_stats_reset()');
is_deeply(counts('slow'), {}, 'all begin anew, by a role to which that was granted');
is(counts('shop', $other)->{ok}, 2, 'but not those of another database');
counted('an order after that', 'shop', sub { order('anew', 'open') }, transfers => 1, creates => 1, ok => 1, http_2xx => 1);
adds_up('after beginning anew: sums agree');

# ---------------------------------------------------------------------
# What pg_stat_activity shows
# ---------------------------------------------------------------------

my $named = $shop->sql("SELECT current_setting('server_version_num')::int >= 170000") eq 't';
my $activity = "FROM pg_stat_activity WHERE backend_type = 'inqud worker' AND datname = current_database()";
my $followed = $shop->sql("SELECT followed FROM inqud.worker WHERE database = current_database()");

# That the worker shows this, and waits for it.
sub shows
{
	my ($state, $query, $event) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $expected = join '|', $state, $query, 'inqud worker', 'Extension', $named ? $event : 'Extension';

	$shop->until("SELECT concat_ws('|', state, query, application_name, wait_event_type, wait_event) $activity", "pg_stat_activity shows: $state, $event", $expected);
	return;
}

shows('idle', "inqud: under way 0, followed $followed", 'InqudWork');
$emu->fault({ match => { body => '"hang' }, action => 'hang', phase => 'before' });
$shop->sql($shop->enqueue_sql("hang-$_")) foreach 1 .. 3;
shows('active', "inqud: under way 3, followed $followed", 'InqudTransfer');
is($shop->sql('SELECT state, in_flight FROM inqud.worker WHERE database = current_database()'), 'running|3', 'and so does inqud.worker');
$emu->clear_faults;
$emu->control('release');
$shop->wait_until("SELECT count(*) = 3 FROM inqud.checkout WHERE order_id LIKE 'hang-%' AND state = 'open'");
shows('idle', 'inqud: under way 0, followed ' . ($followed + 3), 'InqudWork');
is($shop->sql("SELECT state, in_flight, followed FROM inqud.worker WHERE database = current_database()"), 'idle|0|' . ($followed + 3), 'and so does inqud.worker');
$shop->until("SELECT concat_ws('|', backend_type, wait_event_type, wait_event) FROM pg_stat_activity WHERE backend_type = 'inqud launcher'",
	'the launcher waits for work', 'inqud launcher|Extension|' . ($named ? 'InqudWork' : 'Extension'));

my $session = $shop->session;
$emu->fault({ match => { body => '"slow-answer' }, action => 'hang', phase => 'before' });
ask($session, $shop->create_sql('slow-answer'));
$shop->until('SELECT wait_event FROM pg_stat_activity WHERE pid = ' . $session->pid, 'a session waits for its transfer', $named ? 'InqudTransfer' : 'Extension');
$shop->sql('SELECT pg_cancel_backend(' . $session->pid . ')');
$session->finish;
$emu->clear_faults;
$emu->control('release');
$shop->sql($shop->enqueue_sql('waits', undef, 'slow'));
ask($session, "SELECT inqud_wait_checkout(id) FROM inqud.checkout WHERE order_id = 'waits'");
$shop->until('SELECT wait_event FROM pg_stat_activity WHERE pid = ' . $session->pid, 'a session waits for news', $named ? 'InqudNews' : 'Extension');
$shop->sql('SELECT pg_cancel_backend(' . $session->pid . ')');
$session->finish;
$shop->sql("DELETE FROM inqud.queue WHERE server_id = (SELECT id FROM inqud.known_server WHERE name = 'slow')");
$shop->set_options('nowhere', rate_limit => '0.002', timeout => '10min');
$shop->error($shop->create_sql('first', undef, 'nowhere'));
ask($session, $shop->create_sql('second', undef, 'nowhere'));
$shop->until('SELECT wait_event FROM pg_stat_activity WHERE pid = ' . $session->pid, 'a session waits for its turn', $named ? 'InqudTurn' : 'Extension');
$shop->sql('SELECT pg_cancel_backend(' . $session->pid . ')');
$session->finish;
$session->close;

# ---------------------------------------------------------------------
# Servers and databases that go
# ---------------------------------------------------------------------

$before = counts('shop');
$shop->sql("BEGIN; DROP SERVER shop CASCADE; ROLLBACK");
$shop->sql("BEGIN; SAVEPOINT s; DROP SERVER shop CASCADE; ROLLBACK TO s; COMMIT");
is_deeply(counts('shop'), $before, 'a drop that is rolled back costs no counts');
$shop->project('short', options => { base_url => $shop->refused_url });
$shop->error($shop->create_sql('short', undef, 'short'));
is(counts('short')->{unreachable}, 1, 'a server is used');
$shop->sql("BEGIN; SAVEPOINT s; DROP SERVER short CASCADE; RELEASE s; COMMIT");
is($shop->sql("SELECT count(*) FROM inqud.stats WHERE project = 'short'"), '0', 'and dropped');
$shop->project('short', options => { base_url => $shop->refused_url });
is($shop->sql("SELECT count(*) FROM inqud.stats WHERE project = 'short'"), '0', 'another one of its name has no counts yet');
$shop->sql('DROP SERVER short CASCADE');

# ---------------------------------------------------------------------
# More projects than places
# ---------------------------------------------------------------------

my $refused = $shop->refused_url;

# Creates projects and calls each once, in vain.
sub use_projects
{
	my ($in, $prefix, $from, $to) = @_;

	$in->sql("DO \$\$
		BEGIN
			FOR i IN $from .. $to LOOP
				EXECUTE format('CREATE SERVER %I FOREIGN DATA WRAPPER inqud OPTIONS (project_id ''CAP-x'', base_url %L, rate_limit ''0'')', '$prefix' || i, '$refused');
				EXECUTE format('CREATE USER MAPPING FOR PUBLIC SERVER %I OPTIONS (token_id ''t'', token_secret ''s'')', '$prefix' || i);
			END LOOP;
		END \$\$");
	call_projects($in, $prefix, $from, $to);
	return;
}

sub call_projects
{
	my ($in, $prefix, $from, $to) = @_;

	$in->sql("DO \$\$
		BEGIN
			FOR i IN $from .. $to LOOP
				BEGIN
					PERFORM inqud_create_checkout('$prefix' || i, 'x', 'n', 'https://shop.example/');
				EXCEPTION WHEN sqlclient_unable_to_establish_sqlconnection THEN
					NULL;
				END;
			END LOOP;
		END \$\$");
	return;
}

# How many have a place of their own; what the others have been counted together.
my $own = 'SELECT count(*) FROM inqud.stats WHERE project IS NOT NULL';
my $together = "SELECT coalesce((SELECT concat_ws(' ', transfers, creates, unreachable) FROM inqud.stats WHERE database IS NULL AND project IS NULL), 'none')";

# A server that was never committed takes no place, although it was called.
foreach my $n (1 .. 5)
{
	my $made = "CREATE SERVER gone$n FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-gone', base_url '" . $shop->refused_url . "');
		CREATE USER MAPPING FOR PUBLIC SERVER gone$n OPTIONS (token_id 'TKN', token_secret 'secret');
		SELECT count(*) > 0 FROM inqud_check_project('gone$n')";

	is($shop->sql("BEGIN; $made; ROLLBACK"), 't', 'a project is checked and rolled back');
	is($shop->sql("BEGIN; SAVEPOINT s; $made; ROLLBACK TO s; COMMIT"), 't', 'to a savepoint');
}
my $taken = $shop->sql($own);
use_projects($other, 'o', 1, 10);
my $free = PLACES - $taken - 10;
use_projects($shop, 'p', 1, $free);
is($shop->sql($own), PLACES, 'as many projects as there are places');
is($shop->sql($together), 'none', 'have each their own');
use_projects($shop, 'p', $free + 1, $free + 20);
is($shop->sql($own), PLACES, 'no more have');
is($shop->sql($together), '20 20 20', 'and twenty more are counted together');
is($shop->sql('SET ROLE app; SELECT count(*) FROM inqud.stats WHERE project IS NULL'), '0', 'which only members of pg_monitor see');
adds_up('with all places taken: sums agree');
$shop->sql("DROP SERVER p1 CASCADE; DROP SERVER p2 CASCADE");
call_projects($shop, 'p', $free + 1, $free + 3);
is($shop->sql($own), PLACES, 'dropped servers make room');
is($shop->sql($together), '21 21 21', 'for as many');
$shop->sql('DROP DATABASE other');
call_projects($shop, 'p', $free + 3, $free + 20);
is($shop->sql($own), PLACES, 'a dropped database makes room');
is($shop->sql($together), '28 28 28', 'for as many projects as it had');
$shop->sql('SELECT inqud_stats_reset()');
is($shop->sql($together), 'none', 'those counted together begin anew with all');

# ---------------------------------------------------------------------
# A worker that ends badly
# ---------------------------------------------------------------------

order('before-the-crash', 'open');
my $worker = wait_worker($shop);
crash($shop, 'kill worker');
wait_worker($shop, $worker);
is($shop->sql("SELECT count(*) FROM inqud.stats WHERE transfers > 0"), '0', 'counts go with shared memory');
counted('an order after the crash', 'shop', sub { order('after-the-crash', 'open') }, transfers => 1, creates => 1, ok => 1, http_2xx => 1);
adds_up('after a crash: sums agree');

done_testing();
