#!/usr/bin/perl
#
# 028_idle.pl - proves that an idle worker runs no query, does not wake up and
# goes away after a while, that every way of putting work into the queue brings
# it back (a commit, COMMIT PREPARED, COPY, a restored queue), and that a server
# without free background worker slots says so once, recovers, and has databases
# take turns.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Faults qw(ask crash process_status wait_worker);
use Inqud::Shop;
use PostgreSQL::Test::Utils ();
use Test::More;
use Time::HiRes qw(time usleep);

my $shop = Inqud::Shop->new(conf => [ 'autovacuum = off' ], options => { poll_new => '1day', poll_active => '1day' });
my ($started, $end);

# ---------------------------------------------------------------------
# What wakes an idle worker
# ---------------------------------------------------------------------

$shop->sql('CREATE TABLE orders (id text PRIMARY KEY)');
$shop->sql("CREATE TRIGGER pay AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION
	inqud_order_trigger('shop', 'order_id={id}', 'name=Order {id}', 'return_url=https://shop.example/orders/{id}')");

# The order gets its URL; says how quickly.
sub served
{
	my ($order, $name) = @_;
	my $from = time;

	$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '$order'", $name);
	note(sprintf '%s: %.2f s', $name, time - $from);
	return;
}

sub transactions
{
	return $shop->in('template1')->sql("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'postgres'");
}

$shop->sql("INSERT INTO orders VALUES ('plain')");
served('plain', 'a commit wakes the worker');
my $worker = wait_worker($shop);

$shop->sql("BEGIN; INSERT INTO orders VALUES ('prepared'); PREPARE TRANSACTION 'p'");
$shop->sql("BEGIN; INSERT INTO orders VALUES ('prepared-in-vain'); PREPARE TRANSACTION 'q'; ROLLBACK PREPARED 'q'");
is($shop->sql("SELECT count(*) FROM inqud.checkout WHERE order_id LIKE 'prepared%'"), '0', 'a prepared transaction queues nothing yet');
$shop->sql("COMMIT PREPARED 'p'");
served('prepared', 'COMMIT PREPARED wakes the worker');

$shop->sql("COPY orders FROM STDIN;\ncopied\n\\.\n");
served('copied', 'COPY into the orders wakes the worker');

$shop->sql("BEGIN; INSERT INTO orders VALUES ('in-function'); COMMIT");
served('in-function', 'a transaction block wakes the worker');
$shop->sql("DO \$\$ BEGIN INSERT INTO orders VALUES ('in-procedure'); COMMIT; INSERT INTO orders VALUES ('never'); ROLLBACK; PERFORM pg_sleep(0); END \$\$");
served('in-procedure', 'COMMIT in a procedure wakes the worker');

# A queue as a restore writes it.
$shop->sql('SELECT inqud_worker_stop()');
$shop->sql("INSERT INTO orders VALUES ('restored')");
my $line = $shop->sql("COPY inqud.queue TO STDOUT") =~ /^(.*\tcreate\t.*)$/m ? $1 : die "there is no queue row\n";
$shop->sql("DELETE FROM inqud.queue WHERE kind = 'create'");
$shop->sql('SELECT inqud_worker_start()');
wait_worker($shop);
$shop->sql("COPY inqud.queue FROM STDIN;\n$line\n\\.\n");
served('restored', 'a restored queue wakes the worker');

# Prepared before a crash.
$shop->sql("BEGIN; INSERT INTO orders VALUES ('prepared-before'); PREPARE TRANSACTION 'p'");
crash($shop, 'immediate stop');
$shop->sql("COMMIT PREPARED 'p'");
served('prepared-before', 'COMMIT PREPARED after a crash wakes the worker');
is_deeply([ map { $shop->posts->{$_} } qw(plain prepared copied in-procedure restored prepared-before) ], [ (1) x 6 ], 'each was sent once');
is_deeply([ grep { /in-vain|never/ } keys %{ $shop->posts } ], [], 'and nothing that was rolled back');

# ---------------------------------------------------------------------
# Idle
# ---------------------------------------------------------------------

# Nothing is due, and no read may come due by chance.
$shop->wait_until("SELECT count(*) = 0 FROM inqud.pending WHERE kind IN ('create', 'poked', 'hook')");
$shop->sql('SELECT inqud_worker_stop(); DELETE FROM inqud.queue; SELECT inqud_worker_start()');
$worker = wait_worker($shop);

# Statistics are written out with a delay: wait until they stand still, then look
# on for longer than that.
my ($count, $still) = (transactions(), time);
$end = time + $PostgreSQL::Test::Utils::timeout_default;
while (time - $still < 8 && time < $end)
{
	usleep(200_000);
	my $now = transactions();
	($count, $still) = ($now, time) if $now != $count;
}
cmp_ok(time - $still, '>=', 8, 'an idle worker runs no query');
SKIP:
{
	skip 'there is no /proc here', 1 unless -e "/proc/$worker/status";
	my $from = process_status($worker, 'voluntary_ctxt_switches');
	my $until = time + 3;
	usleep(100_000) while time < $until;
	cmp_ok(process_status($worker, 'voluntary_ctxt_switches') - $from, '<=', 3, 'nor does it wake up');
}
is($shop->worker_pid, $worker, 'it is still there meanwhile');

# In a session of another database, so that nothing here keeps the worker.
$started = time;
my $outside = $shop->in('template1');
$outside->until("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'inqud worker'", 'it goes away after a while');
note(sprintf 'the idle worker left after another %.0f s', time - $started);
is($outside->sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'inqud launcher'"), '1', 'the launcher stays');
$shop->sql("INSERT INTO orders VALUES ('after-the-pause')");
served('after-the-pause', 'and the next commit brings it back');

# ---------------------------------------------------------------------
# No slot for a worker
# ---------------------------------------------------------------------

$shop->sql('ALTER SYSTEM SET max_worker_processes = 3');
crash($shop, 'fast stop');
wait_worker($shop);
my $log = $shop->node->logfile;
my $offset = -s $log;

# The logical replication launcher and ours have two of them, and a parallel worker the third.
$shop->sql('SELECT inqud_worker_stop()');
my $hog = $outside->session;
# renamed in 16
my $forced = $outside->sql("SELECT name FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')");
ask($hog, "SET $forced = on; SELECT pg_sleep(600)");
{
	$outside->until("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'parallel worker'", 'a parallel worker takes the last slot');
	$shop->sql('SELECT inqud_worker_start()');
	$shop->sql("INSERT INTO orders VALUES ('no-slot-$_')") foreach 1 .. 10;
	my $said = qr/no worker of inqud could be started.*\n.*HINT:.*max_worker_processes/;
	ok($shop->node->wait_for_log($said, $offset), 'without a free slot the log says so, with a hint');
	$shop->sql("INSERT INTO orders VALUES ('no-slot-$_')") foreach 11 .. 20;
	# longer than one of its pauses
	my $until = time + 7;
	usleep(100_000) while time < $until;
	my $lines = () = PostgreSQL::Test::Utils::slurp_file($log, $offset) =~ /no worker of inqud could be started/g;
	is($lines, 1, 'once, however often it is tried');
	like(join(' ', map { values %$_ } $shop->rows("SELECT * FROM inqud.worker")), qr/max_worker_processes/, 'inqud.worker says so, too');
	$started = time;
	$shop->sql("SELECT pg_cancel_backend(" . $hog->pid . ')');
	$hog->finish;
	$hog->close;
	$shop->until("SELECT count(*) = 20 FROM inqud.checkout WHERE order_id LIKE 'no-slot-%' AND state = 'open'", 'when a slot is free again the orders are sent');
	note(sprintf 'orders sent %.1f s after a slot was free', time - $started);
}

# One slot and two databases that both have reads to make: they take turns.
$shop->set_options('shop', poll_new => '1s', poll_active => '1s');
$shop->sql('CREATE DATABASE other');
my $other = $shop->in('other');
$other->sql('CREATE EXTENSION inqud');
$other->project('shop');
$shop->sql("INSERT INTO orders VALUES ('first')");
served('first', 'the one slot serves one database');
$other->sql($other->enqueue_sql('second'));
$started = time;
$other->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'second'", 'and the other, although the first has reads to make');
note(sprintf 'the second database was served after %.1f s', time - $started);
my $shortages = () = PostgreSQL::Test::Utils::slurp_file($log, $offset) =~ /no worker of inqud could be started/g;
cmp_ok($shortages, '<=', 3, 'which is not said again at every turn');

done_testing();
