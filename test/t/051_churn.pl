#!/usr/bin/perl
#
# 051_churn.pl - proves that autovacuum hears of what the worker writes while the
# worker runs on, also of the rest of a burst after which it has nothing to do,
# and that queue and inbox stay small however much goes through them.
#
# What is bounded are pages of table and indexes after rounds of orders and
# webhooks, against the first round.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Digest::SHA qw(hmac_sha1_hex);
use Inqud::Faults qw(wait_worker);
use Inqud::Shop;
use Test::More;

# Orders in all.
use constant { ROUNDS => 10, ORDERS => 10_000 };

my $shop = Inqud::Shop->new(
	conf => [ 'autovacuum_naptime = 1s', 'fsync = off' ],
	options => { poll_new => '1day', poll_active => '1day', max_inflight => 50 },
	mapping => { webhook_secret => 's' });

# ---------------------------------------------------------------------
# Statistics
# ---------------------------------------------------------------------

$shop->sql($shop->enqueue_sql('first'));
$shop->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'first'");
my $worker = wait_worker($shop);

# Orders one after the other: most are written less than a second after the first,
# whose statistics have just been told.
foreach my $i (1 .. 2)
{
	foreach my $j (1 .. 5)
	{
		$shop->sql($shop->enqueue_sql("told-$i-$j"));
		$shop->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'told-$i-$j'");
	}
	# each of them is updated by the worker alone, and once
	$shop->until("SELECT n_tup_upd = 1 + 5 * $i FROM pg_stat_user_tables WHERE relid = 'inqud.checkout'::regclass",
		"what the worker has written is told while it has nothing to do ($i)");
}
is($shop->worker_pid, $worker, 'and not because it ended');

# ---------------------------------------------------------------------
# Queue and inbox under churn
# ---------------------------------------------------------------------

my $orders = ORDERS / ROUNDS;

# Pages of a table with its indexes.
sub pages
{
	my ($table) = @_;

	return $shop->sql("SELECT pg_total_relation_size('$table') / current_setting('block_size')::bigint");
}

# One round: orders are queued and made, each gets a webhook and is read for it,
# and none is followed any longer.
sub round
{
	my ($i) = @_;
	my @webhooks;

	$shop->sql("SELECT count(inqud_enqueue_checkout('shop', 'r$i-' || i, 'n', 'https://shop.example/')) FROM generate_series(1, $orders) i");
	$shop->wait_until("SELECT count(*) = 0 FROM inqud.queue WHERE kind = 'create'");
	foreach my $id (split /\n/, $shop->sql("SELECT checkout_id FROM inqud.checkout WHERE order_id LIKE 'r$i-%'"))
	{
		my $body = qq({"id":"$id","status":"NEW"});

		push @webhooks, "SELECT inqud_receive_webhook('shop', '$body', '" . hmac_sha1_hex($body, 's') . "');";
	}
	$shop->sql(join "\n", '\\o /dev/null', @webhooks);
	$shop->wait_until("SELECT NOT EXISTS (SELECT FROM inqud.inbox) AND NOT EXISTS (SELECT FROM inqud.pending WHERE kind = 'poked')");
	# as after the last read of its plan
	$shop->sql('SELECT inqud._unfollow(array_agg(checkout)) FROM inqud.queue');
	return;
}

my (%first, %most);
foreach my $i (1 .. ROUNDS)
{
	round($i);
	my %now = map { $_ => pages("inqud.$_") } qw(queue inbox checkout);

	foreach my $table (sort keys %now)
	{
		$first{$table} //= $now{$table};
		$most{$table} = $now{$table} if $now{$table} > ($most{$table} // 0);
	}
	note("after round $i: " . join ', ', map { "$_ $now{$_}" } sort keys %now);
}
is($shop->sql("SELECT count(*) FROM inqud.checkout WHERE order_id LIKE 'r%-%' AND state = 'open'"), ROUNDS * $orders, 'all orders went through');
is($shop->sql('SELECT (SELECT count(*) FROM inqud.queue), (SELECT count(*) FROM inqud.inbox)'), '0|0', 'and nothing of them is left in queue and inbox');
foreach my $table (qw(queue inbox))
{
	cmp_ok($most{$table}, '<=', 4 * $first{$table} + 20, "$table with its indexes stays small: $first{$table} pages after the first round, $most{$table} at most");
	$shop->until("SELECT autovacuum_count > 0 FROM pg_stat_user_tables WHERE relid = 'inqud.$table'::regclass", "autovacuum looks after $table");
}

done_testing();
