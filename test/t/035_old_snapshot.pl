#!/usr/bin/perl
#
# 035_old_snapshot.pl - proves that an order costs the same after many others while
# a session holds an old snapshot: what was done stays in the index of the queue as
# dead entries then, and nobody may read them for each order.
#
# What is bounded is the number of entries read, as the server counts them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use Test::More;

use constant { MANY => 2000, FEW => 60 };

my $shop = Inqud::Shop->new(
	emulator => { log_limit => 0 },
	options => { poll_new => '1day', poll_active => '1day', max_inflight => 50 });
$shop->create_orders(on_status => 1);
my $session = $shop->session;

# Entries of an index that were read so far.  A worker that ends tells of all.
sub entries
{
	my ($index) = @_;

	$shop->until('SELECT inqud_worker_stop()', 'the worker tells of what it has read');
	return $session->query_safe("SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelid = '$index'::regclass");
}

sub all_are_told
{
	my ($n) = @_;

	$shop->until("SELECT count(*) = $n FROM orders WHERE status = 'NEW'", "the shop's table has the news of $n orders");
	return;
}

my $holder = $shop->session;
$holder->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM inqud.queue');

$session->query_safe("INSERT INTO orders (id, total, currency) SELECT i, 5, 'USD' FROM generate_series(1, @{[MANY]}) i");
all_are_told(MANY);
my $n = MANY;
foreach my $index ('inqud.queue_due', 'inqud.call_due')
{
	my $before = entries($index);
	$session->query_safe('SELECT inqud_worker_start()');
	foreach my $i (1 .. FEW)
	{
		$n++;
		$session->query_safe("INSERT INTO orders (id, total, currency) VALUES ($n, 5, 'USD')");
		all_are_told($n);
	}
	my $read = entries($index) - $before;
	note(sprintf '%s: %.0f entries an order', $index, $read / FEW);
	# all of them are read at the worker's start, and now and then
	cmp_ok($read, '<', 0.5 * FEW * MANY, "$index: the entries of what was done are not read for each order");
}
$holder->query_safe('ROLLBACK');
$holder->close;
$session->close;
done_testing();
