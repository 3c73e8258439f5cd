#!/usr/bin/perl
#
# 048_in_the_way.pl - proves that what sessions do to each other and to the worker
# fails nobody and stops nothing: waiting for what the same transaction has locked,
# snapshots that are old, serializable transactions beside each other, an index that
# is built for long, sessions that call without end.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Faults qw(ask wait_worker);
use Inqud::Shop;
use Test::More;
use Time::HiRes qw(time usleep);

use constant { BUSY => 8, EACH => 25, QUEUED => 20_000 };

my $shop = Inqud::Shop->new(conf => [ 'max_connections = 40' ], options => { poll_new => '1day', poll_active => '1day' });
my $emu = $shop->emu;
my $session = $shop->session;
my $other = $shop->session;

sub opened
{
	my ($order) = @_;

	$shop->sql($shop->enqueue_sql($order));
	$shop->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '$order'");
	return $shop->checkout($order);
}

# ---------------------------------------------------------------------
# Snapshots and locks of sessions
# ---------------------------------------------------------------------

# A refresh locks the row until the commit: the worker could not write its URL meanwhile.
$shop->sql('SELECT inqud_worker_stop()');
my $id = $shop->row($shop->enqueue_sql('waited'))->{id};
my $from = time;
my $answer = $session->query("BEGIN; SELECT inqud_refresh($id); SELECT state FROM inqud_wait_checkout($id, '20s')");
is(($answer->{error} // {})->{state}, '55000', 'waiting for a row that the same transaction has refreshed is refused');
cmp_ok(time - $from, '<', 10, 'at once');
$session->query('ROLLBACK');
$answer = $session->query("BEGIN; SELECT inqud_refresh($id); SAVEPOINT s; SELECT state FROM inqud_wait_checkout($id, '1s')");
is(($answer->{error} // {})->{state}, '55000', 'also after a savepoint');
$session->query('ROLLBACK');
is($session->query_safe("SELECT state FROM inqud_wait_checkout($id, '10ms')"), 'queued', 'after the end of that transaction it is not');
$shop->sql('SELECT inqud_worker_start()');
$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE id = $id", 'and the order is sent');

# What a session reads is not lost because its snapshot is old.
foreach my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	my $row = opened("snapshot $level");

	$session->query_safe("BEGIN ISOLATION LEVEL $level; SELECT count(*) FROM inqud.checkout");
	$shop->sql("SELECT inqud_cancel($row->{id})");
	$emu->control('settle', { clientOrderId => "snapshot $level" });
	$answer = $session->query("SELECT status FROM inqud_get_checkout('shop', '$row->{checkout_id}')");
	is($answer->{error} ? $answer->{error}{state} : $answer->{out}, 'SUCCESS', "$level: a row that was changed since is read all the same");
	is(($session->query('COMMIT')->{error} // {})->{state}, undef, 'and the transaction commits');
	$shop->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE id = $row->{id}", 'what it has read is recorded');
}

# Orders of serializable transactions beside each other.
my @busy = map { $shop->session } 1 .. BUSY;
foreach my $n (1 .. BUSY)
{
	my $sql = join ';', map { "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM inqud_enqueue_checkout('shop', 'serial $n-$_', 'x', 'https://shop.example/'); COMMIT" } 1 .. EACH;

	ask($busy[ $n - 1 ], $sql);
}
foreach my $one (@busy)
{
	$one->finish;
	$one->query('ROLLBACK');
}
my $n = $shop->sql("SELECT count(*) FROM inqud.checkout WHERE order_id LIKE 'serial %'");
cmp_ok($n, '>=', 0.9 * BUSY * EACH, 'serializable transactions queue orders beside each other') or diag("$n of " . BUSY * EACH);
note(sprintf 'serialization failures: %d of %d', BUSY * EACH - $n, BUSY * EACH);

# ---------------------------------------------------------------------
# An index that is built for long
# ---------------------------------------------------------------------

$shop->wait_until("SELECT count(*) = 0 FROM inqud.checkout WHERE state = 'queued'");
$other->query_safe('BEGIN; LOCK TABLE inqud.event IN SHARE MODE');
$from = time;
is($session->query_safe('SELECT inqud_worker_stop()'), 't', 'the worker leaves beside CREATE INDEX');
note(sprintf 'inqud_worker_stop beside CREATE INDEX: %.1f s', time - $from);
$other->query_safe('ROLLBACK');
$session->query_safe('SELECT inqud_worker_start()');
wait_worker($shop);

# ---------------------------------------------------------------------
# Sessions that call without end
# ---------------------------------------------------------------------

$shop->set_options('shop', rate_limit => 5);
ask($_, "DO \$\$ BEGIN LOOP BEGIN PERFORM inqud_get_checkout('shop', 'CCO-nope'); EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END \$\$") foreach @busy[0 .. 4];
$shop->wait_requests(path => 'CCO-nope', count => 10);
my @took;
foreach my $i (1 .. 7)
{
	$from = time;
	$shop->sql($shop->enqueue_sql("beside $i"));
	$shop->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'beside $i'");
	push @took, time - $from;
}
@took = sort { $a <=> $b } @took;
note(sprintf 'an order beside five sessions that call without end: median %.2f s, longest %.2f s', $took[3], $took[-1]);
cmp_ok($took[3], '<', 3, 'an order beside five sessions that call without end has its URL in less than 3 s');
$shop->sql('SELECT pg_terminate_backend(' . $_->pid . ')') foreach @busy[0 .. 4];
$_->finish, $_->close foreach @busy[0 .. 4];

# ---------------------------------------------------------------------
# Many rows in the queue
# ---------------------------------------------------------------------

$shop->sql('ALTER SYSTEM SET inqud.enabled = off');
$shop->sql('SELECT pg_reload_conf()');
$shop->sql("SELECT count(inqud_enqueue_checkout('shop', 'many-' || i, 'x', 'https://shop.example/')) FROM generate_series(1, ${\QUEUED}) i");
$shop->sql('ANALYZE inqud.checkout, inqud.queue');
my %time;
foreach my $jit ('on', 'off')
{
	$from = time;
	$session->query_safe("SET jit = $jit; SELECT count(*) FROM inqud.trouble");
	$time{$jit} = time - $from;
}
note(sprintf 'inqud.trouble over %d queued orders: %.0f ms with jit, %.0f ms without', QUEUED, map { 1000 * $time{$_} } 'on', 'off');
cmp_ok($time{on}, '<', 5 * $time{off} + 0.2, 'inqud.trouble over many queued orders is not slower by being compiled');

$_->close foreach $session, $other, @busy[5 .. 7];
done_testing();
