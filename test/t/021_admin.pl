#!/usr/bin/perl
#
# 021_admin.pl - proves that the extension never stands in an administrator's
# way: every statement that drops, renames, copies, rewrites or locks what the
# worker works with, every way to take a project or its rights away, and every
# way to stop the server succeeds while calls are under way and others hang, and
# waits for none of these.  The worker returns by itself wherever the extension
# still or again is, and what could not be sent meanwhile says why and is sent
# later.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Faults qw(ask backend process_status wait_worker);
use Inqud::Shop;
use PostgreSQL::Test::Utils ();
use Test::More;
use Time::HiRes qw(time usleep);

# Nobody but a superuser may end an autovacuum worker, which WITH (FORCE) would.
my $shop = Inqud::Shop->new(extension => 0,
	conf => [ 'autovacuum = off', 'restart_after_crash = on', "log_min_messages = 'warning'", 'wal_level = replica' ]);
my $emu = $shop->emu;
my ($slowest, $commands, $batch) = (0, 0, 0);

$shop->sql("CREATE ROLE merchant LOGIN; CREATE ROLE app LOGIN; CREATE ROLE maker LOGIN CREATEDB");

# A database with the extension, and orders in it.
sub new_store
{
	my ($name) = @_;
	my $store = $shop->in($name);

	$shop->sql("CREATE DATABASE $name OWNER merchant");
	set_up($store);
	return $store;
}

sub set_up
{
	my ($store) = @_;

	$store->sql('CREATE EXTENSION inqud');
	$store->project('shop', options => { max_inflight => 12, poll_new => '1h', poll_active => '1h', timeout => '10min' });
	$store->sql('CREATE TABLE orders (id text PRIMARY KEY)') if $store->sql("SELECT to_regclass('orders') IS NULL") eq 't';
	$store->sql("CREATE TRIGGER pay AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION
		inqud_order_trigger('shop', 'order_id={id}', 'name=Order {id}', 'return_url=https://shop.example/orders/{id}')");
	return;
}

# Has the worker busy: calls that hang, others that are quick or take some
# milliseconds, more that wait.
sub make_busy
{
	my ($store, $delay) = @_;

	$batch++;
	$emu->fault({ match => { method => 'POST', body => "\"hang-$batch-" }, action => 'hang', phase => 'before' });
	$emu->fault({ match => { method => 'POST' }, action => 'delay', delay => $delay // 30 });
	$store->sql("INSERT INTO orders SELECT 'hang-$batch-' || i FROM generate_series(1, 3) i;
		INSERT INTO orders SELECT 'quick-$batch-' || i FROM generate_series(1, 150) i");
	$shop->wait_requests(method => 'POST', body => "\"hang-$batch-", count => 3);
	$shop->wait_requests(method => 'POST', body => "\"quick-$batch-", count => 5);
	return;
}

# Lets all hanging calls go on and, with a store, tests that its orders come through.
sub calm_down
{
	my ($store, $name) = @_;

	$emu->clear_faults;
	$emu->control('release');
	$store->until("SELECT count(*) = 153 AND bool_and(state = 'open') FROM inqud.checkout WHERE order_id LIKE '%-$batch-%'", $name)
	  if $store;
	return;
}

# Tests that something ends well while calls hang, for longer than sessions and
# pg_ctl wait; says how quickly.
sub quick
{
	my ($name, $code) = @_;
	my $started = time;
	my $ok = eval { $code->(); 1 };
	my $error = $@;
	my $took = time - $started;

	$slowest = $took if $took > $slowest;
	$commands++;
	note(sprintf '%s: %.2f s', $name, $took);
	ok($ok, "$name succeeds while the worker is busy") or diag($error);
	return;
}

sub quick_sql
{
	my ($where, $sql, %options) = @_;

	return quick($options{name} // $sql, sub {
		my $session = $where->session(defined $options{user} ? (user => $options{user}) : ());
		my $answer = $session->query($sql);
		$session->close;
		die $answer->{err} if $answer->{error};
	});
}

# ---------------------------------------------------------------------
# The database
# ---------------------------------------------------------------------

my $store = new_store('store');

# Who may not do it cannot send the worker away either.
make_busy($store);
my $worker = wait_worker($store);
foreach my $sql ('DROP DATABASE store', 'ALTER DATABASE store RENAME TO mine', 'CREATE DATABASE mine TEMPLATE store')
{
	$shop->raises($sql, { state => '42501' }, "$sql is refused to others", user => 'maker');
}
is($store->worker_pid, $worker, 'and the worker stays');

# A statement that fails lets the worker return.
my $guest = $store->session;
quick('a refused DROP DATABASE', sub { die "dropped\n" unless $shop->error('DROP DATABASE store')->{state} eq '55006' });
$guest->close;
ok(wait_worker($store, $worker), 'after a DROP DATABASE that failed the worker returns');
calm_down($store, 'and everything comes through');

make_busy($store);
quick_sql($shop, 'CREATE DATABASE copy TEMPLATE store');
calm_down($store, 'after CREATE DATABASE ... TEMPLATE the worker returns, and everything comes through');
quick_sql($shop, 'DROP DATABASE copy');

make_busy($store);
quick_sql($shop, 'ALTER DATABASE store RENAME TO shelf', user => 'postgres');
$store = $shop->in('shelf');
calm_down($store, 'after RENAME the worker returns, and everything comes through');

my $space = PostgreSQL::Test::Utils::tempdir();
$shop->sql("CREATE TABLESPACE elsewhere LOCATION '$space'");
make_busy($store);
quick_sql($shop, 'ALTER DATABASE shelf SET TABLESPACE elsewhere');
calm_down($store, 'after SET TABLESPACE the worker returns, and everything comes through');
$shop->sql('ALTER DATABASE shelf SET TABLESPACE pg_default; DROP TABLESPACE elsewhere');

make_busy($store);
quick_sql($shop, 'DROP DATABASE shelf', user => 'merchant');
calm_down();
$store = new_store('forced');
make_busy($store);
my $visitor = $store->session(user => 'merchant');
quick_sql($shop, 'DROP DATABASE forced WITH (FORCE)', user => 'merchant', name => 'DROP DATABASE ... WITH (FORCE) by its owner');
eval { $visitor->close };
calm_down();
is($shop->sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'inqud worker' AND datname IN ('shelf', 'forced')"), '0',
	'no worker is left of what was dropped');

# ---------------------------------------------------------------------
# The extension
# ---------------------------------------------------------------------

$store = new_store('store');
make_busy($store);
quick_sql($store, 'DROP EXTENSION inqud CASCADE');
calm_down();
$shop->until("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'inqud worker' AND datname = 'store'",
	'the worker leaves with the extension');
set_up($store);
make_busy($store);
calm_down($store, 'it returns with the extension, and new orders come through');

make_busy($store);
quick_sql($store, 'BEGIN; DROP EXTENSION inqud CASCADE; ROLLBACK', name => 'DROP EXTENSION, rolled back');
calm_down($store, 'after a DROP EXTENSION that was rolled back everything comes through');

# ---------------------------------------------------------------------
# The tables
# ---------------------------------------------------------------------

foreach my $table (qw(checkout queue event inbox))
{
	make_busy($store);
	quick_sql($store, "VACUUM FULL inqud.$table");
	quick_sql($store, "REINDEX TABLE inqud.$table");
	quick_sql($store, "ANALYZE inqud.$table");
	quick_sql($store, "BEGIN; LOCK TABLE inqud.$table IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(0.3); COMMIT", name => "LOCK TABLE inqud.$table");
	calm_down($store, 'and everything comes through');
}
make_busy($store);
quick_sql($store, 'CREATE INDEX CONCURRENTLY mine ON inqud.checkout (created_at)');
quick_sql($store, 'DROP INDEX CONCURRENTLY inqud.mine');
quick_sql($store, 'REINDEX TABLE CONCURRENTLY inqud.queue');
quick_sql($store, 'TRUNCATE inqud.event');
calm_down($store, 'after CREATE INDEX CONCURRENTLY and TRUNCATE of the events everything comes through');

# What is under way when the queue is emptied is recorded; the rest is gone, and the worker goes on.
make_busy($store);
quick_sql($store, 'TRUNCATE inqud.queue');
$emu->clear_faults;
$emu->control('release');
$store->until("SELECT count(*) = 3 AND bool_and(state = 'open') FROM inqud.checkout WHERE order_id LIKE 'hang-$batch-%'",
	'answers under way while the queue is emptied are recorded');
make_busy($store);
quick_sql($store, 'TRUNCATE inqud.checkout, inqud.queue, inqud.call, inqud.event, inqud.inbox');
$emu->clear_faults;
$emu->control('release');
make_busy($store);
calm_down($store, 'after TRUNCATE of everything new orders come through');

# ---------------------------------------------------------------------
# The project
# ---------------------------------------------------------------------

# Takes something away while calls hang, which need it no more.
sub without
{
	my ($what, $take) = @_;

	$batch++;
	$emu->fault({ match => { method => 'POST', body => "\"hang-$batch-" }, action => 'hang', phase => 'before' });
	$store->sql("INSERT INTO orders SELECT 'hang-$batch-' || i FROM generate_series(1, 3) i");
	$shop->wait_requests(method => 'POST', body => "\"hang-$batch-", count => 3);
	quick_sql($store, $take, name => $what);
	$emu->clear_faults;
	$emu->control('release');
	$store->until("SELECT count(*) = 3 AND bool_and(state = 'open') FROM inqud.checkout WHERE order_id LIKE 'hang-$batch-%'",
		"$what: calls under way are recorded");
	return;
}

sub project
{
	my ($name) = @_;

	$store->project($name, options => { max_inflight => 12, poll_new => '1h', poll_active => '1h', timeout => '10min' });
	$store->sql("GRANT USAGE ON FOREIGN SERVER $name TO app");
	return;
}

my $mapping = sub { "CREATE USER MAPPING FOR PUBLIC SERVER $_[0] OPTIONS (token_id 'TKN-test', token_secret 'test-token-secret')" };

without('DROP USER MAPPING during calls', 'DROP USER MAPPING FOR PUBLIC SERVER shop');
$store->sql($mapping->('shop'));
without('DROP SERVER during calls', 'DROP SERVER shop CASCADE');
project('shop');

# What queued orders then lack: what is done, what inqud.trouble calls it and says, how it is mended.
my @lacks = (
	[ 'a', 'DROP USER MAPPING FOR PUBLIC SERVER a', 'no key: .*mapping', sub { $store->sql($mapping->('a')) } ],
	[ 'b', 'DROP SERVER b CASCADE', 'no server: server "b" was dropped', sub { project('b'); $store->sql("SELECT inqud_adopt('b')") } ],
	[ 'c', 'REVOKE USAGE ON FOREIGN SERVER c FROM app', 'no right: permission denied', sub { $store->sql('GRANT USAGE ON FOREIGN SERVER c TO app') } ],
	[ 'd', "ALTER SERVER d OPTIONS (SET project_id '" . Inqud::Shop::SECOND . "')", 'project_id changed: .*project_id',
		sub { $store->sql("ALTER SERVER d OPTIONS (SET project_id '" . Inqud::Shop::PROJECT . "')") } ]);
my $app = $store->session(user => 'app');

$store->sql('SELECT inqud_worker_stop()');
foreach my $lack (@lacks)
{
	project($lack->[0]);
	$app->query_safe($store->enqueue_sql("of-$lack->[0]", undef, $lack->[0]));
	quick_sql($store, $lack->[1]);
}
$app->close;
$store->sql('SELECT inqud_worker_start()');
foreach my $lack (@lacks)
{
	my ($name, $take, $says) = @$lack;

	$store->until("SELECT count(*) = 1 AND bool_and(trouble || ': ' || detail ~ '$says') FROM inqud.trouble WHERE order_id = 'of-$name'",
		"$take: inqud.trouble says what is wrong");
	is($store->sql("SELECT state FROM inqud.checkout WHERE order_id = 'of-$name'"), 'queued', 'and the order stays queued');
}
$_->[3]->() foreach @lacks;
my $mended = time;
foreach my $lack (@lacks)
{
	my ($name, $take) = @$lack;

	$store->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'of-$name'", "$take: the order is sent when that is mended");
	is($store->sql("SELECT count(*) FROM inqud.trouble WHERE order_id = 'of-$name'"), '0', 'and is no trouble any more');
}
note(sprintf 'sent %.1f s after it was mended', time - $mended);

# ---------------------------------------------------------------------
# inqud.enabled, stop and start
# ---------------------------------------------------------------------

# slow enough that some wait when it is off
make_busy($store, 1000);
quick('inqud.enabled = off', sub {
	$shop->sql("ALTER SYSTEM SET inqud.enabled = off");
	$shop->sql('SELECT pg_reload_conf()');
	# what was under way ends, and nothing else is taken
	$store->wait_until("SELECT count(*) = 3 FROM inqud.queue WHERE lease IS NOT NULL");
});
my $posts = $emu->get('counts')->{total};
my $left = $store->sql("SELECT count(*) FROM inqud.queue WHERE kind = 'create'");
cmp_ok($left, '>', 3, 'inqud.enabled = off: the rest waits');
$emu->clear_faults;
$emu->control('release');
$store->until("SELECT count(*) = 0 FROM inqud.queue WHERE lease IS NOT NULL", 'inqud.enabled = off: calls under way end well');
# each of these commits wakes the worker, which is asleep again before the next
my $pid = $store->worker_pid;
foreach my $n (1 .. 10)
{
	my $switches = process_status($pid, 'voluntary_ctxt_switches');
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;

	$store->sql("INSERT INTO orders VALUES ('while-off-$n')");
	until (process_status($pid, 'voluntary_ctxt_switches') > $switches)
	{
		die "the worker is not woken\n" if time > $end;
		usleep(5_000);
	}
}
is($store->sql("SELECT count(*) FROM inqud.queue WHERE lease IS NOT NULL"), '0', 'inqud.enabled = off: nothing is claimed');
is($emu->get('counts')->{total}, $posts, 'inqud.enabled = off: nothing is sent');
$shop->sql("ALTER SYSTEM RESET inqud.enabled");
$shop->sql('SELECT pg_reload_conf()');
calm_down($store, 'inqud.enabled = on: everything comes through');
$store->until("SELECT count(*) = 10 FROM inqud.checkout WHERE order_id LIKE 'while-off-%' AND state = 'open'", 'also what was queued meanwhile');

make_busy($store);
quick_sql($store, 'SELECT inqud_worker_stop()');
# it is not known what became of them: that is an attempt, and has its event
is($store->sql("SELECT count(*) || ' ' || count(*) FILTER (WHERE q.attempts = 1 AND q.lease IS NULL) || ' ' || count(*) FILTER (WHERE EXISTS
		(SELECT FROM inqud.event e WHERE e.checkout = c.id AND e.kind = 'error' AND e.detail ~ 'the worker left before the answer came.*outcome unknown'))
		FROM inqud.checkout c JOIN inqud.queue q ON q.checkout = c.id WHERE c.order_id LIKE 'hang-$batch-%'"), '3 3 3',
	'calls that it did not wait for are counted, and their events say that the outcome is unknown');
$store->until("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'inqud worker' AND datname = current_database()", 'inqud_worker_stop() stops it');
$store->sql("INSERT INTO orders VALUES ('while-stopped')");
# the launcher, which starts another database's worker after it, has seen that commit
my $witness = new_store('witness');
$witness->sql("INSERT INTO orders VALUES ('seen')");
$witness->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'seen'");
is($store->worker_pid, '', 'a commit does not bring it back');
$store->sql('SELECT inqud_worker_start()');
calm_down($store, 'inqud_worker_start() brings it back, and everything comes through');

# ---------------------------------------------------------------------
# Shutdown
# ---------------------------------------------------------------------

foreach my $mode ('smart', 'fast', 'immediate')
{
	make_busy($store);
	quick("$mode shutdown", sub { $shop->node->stop($mode, fail_ok => 1) or die "it does not stop\n" });
	$shop->start;
	calm_down($store, "after a $mode shutdown the worker starts by itself, and everything comes through");
}

my @log = grep { /PANIC|TRAP|was terminated by signal/ } split /\n/, PostgreSQL::Test::Utils::slurp_file($shop->node->logfile);
is_deeply(\@log, [], 'nothing has crashed');
note(sprintf 'administrative commands: %d; the slowest took %.2f s', $commands, $slowest);

done_testing();
