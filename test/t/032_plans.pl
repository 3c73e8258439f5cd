#!/usr/bin/perl
#
# 032_plans.pl - proves that nothing is planned for an order: neither the session
# that inserts it nor the worker makes a plan for each, from the INSERT to the
# shop's own table saying that it is paid.  Plans are made at first, and kept.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Faults qw(wait_worker);
use Inqud::Shop;
use PostgreSQL::Test::Utils ();
use Test::More;

# A plan for some of a batch is no plan for each order.
use constant { FIRST => 100, ORDERS => 1000, SLACK => 100 };

# The server's log has a line for each planning, also within functions.  What autovacuum
# finds out has plans made anew.
my $shop = Inqud::Shop->new(
	emulator => { log_limit => 0 },
	conf => [ 'autovacuum = off', 'log_planner_stats = on' ],
	options => { max_inflight => 50, poll_new => '1day', poll_active => '1day' });
my $emu = $shop->emu;

$shop->create_orders(on_status => 0);
$shop->sql("CREATE FUNCTION order_status(c inqud.checkout) RETURNS void LANGUAGE plpgsql AS \$\$
	BEGIN UPDATE orders SET status = c.status, paid = c.status = 'SUCCESS' WHERE id = c.order_id::bigint; END \$\$");
$shop->set_options('shop', on_status => 'public.order_status');
my $session = $shop->session;
my $sent = 0;

sub by_session
{
	my ($sql) = @_;

	$sent++;
	$session->query_safe($sql);
	return;
}

# Orders from one number to another until they are paid: half of them one a statement, the
# others together.
sub orders
{
	my ($from, $to) = @_;
	my $half = int(($from + $to) / 2);
	my $of = "id BETWEEN $from AND $to";
	my $n = $to - $from + 1;

	by_session("INSERT INTO orders VALUES ($_, 10, 'USD')") foreach $from .. $half;
	by_session("INSERT INTO orders SELECT i, 10, 'USD' FROM generate_series($half + 1, $to) i");
	$shop->wait_until("SELECT count(*) = $n FROM orders WHERE $of AND status = 'NEW'");
	$emu->control('settle', { clientOrderId => "$_" }) foreach $from .. $to;
	by_session("SELECT count(inqud_refresh(c.id)) FROM inqud.checkout c JOIN orders o ON c.order_id = o.id::text WHERE o.$of");
	$shop->wait_until("SELECT count(*) = $n FROM orders WHERE $of AND paid");
	return;
}

# Plannings of a process that the log has.
sub plans
{
	my ($pid) = @_;
	my $n = () = PostgreSQL::Test::Utils::slurp_file($shop->node->logfile) =~ /\[$pid\].*PLANNER STATISTICS/g;

	return $n;
}

orders(1, FIRST);
my $worker = wait_worker($shop);
my $pid = $session->pid;
my @before = map { plans($_) } $worker, $pid;
cmp_ok($before[0], '>', 0, 'the log has what the worker plans');
$sent = 0;
orders(10_001, 10_000 + ORDERS);
my @made = (plans($worker) - $before[0], plans($pid) - $before[1]);
note(sprintf '%d orders: %d plannings in the worker, %d in the session for %d statements; before, for %d orders: %d and %d',
	ORDERS, @made, $sent, FIRST, @before);
is(wait_worker($shop), $worker, 'the worker is the same');
cmp_ok($made[0], '<', SLACK, 'the worker has planned next to nothing');
cmp_ok($made[1], '<', $sent + SLACK, 'the session has planned its own statements');
is($shop->sql('SELECT count(*) FROM orders WHERE paid'), FIRST + ORDERS, 'all orders are paid');

$session->close;
done_testing();
