#!/usr/bin/perl
#
# 002_many.pl - proves that many orders at once become as many checkouts, each
# by exactly one request: 500 in one transaction by row trigger, by statement
# trigger with a transition table, and by COPY.  Never more transfers are under
# way than max_inflight says, and never more calls are made in a second than
# rate_limit says, by workers and sessions of several databases together.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use Test::More;
use Time::HiRes qw(time);

use constant { ORDERS => 500, INFLIGHT => 7, RATE => 20 };

my $shop = Inqud::Shop->new(options => { max_inflight => INFLIGHT, poll_new => '1day', poll_active => '1day' });
my $emu = $shop->emu;

$shop->create_orders(on_status => 0);

# Tests that the orders from..to have their URLs, by one request each.
sub all_created
{
	my ($from, $to, $how) = @_;
	my $n = $to - $from + 1;
	my $of = "order_id::bigint BETWEEN $from AND $to";

	$shop->until("SELECT count(*) = $n AND count(acquiring_url) = $n AND bool_and(state = 'open')
		FROM inqud.checkout WHERE $of", "$how: all $n have their URL");
	my $counts = $emu->get('counts');
	is(scalar(grep { ($counts->{posts}{$_} // 0) == 1 } $from .. $to), $n, "$how: one request for each order");
	is(scalar(grep { ($counts->{creates}{$_} // 0) == 1 } $from .. $to), $n, "$how: one checkout for each at Inqud");
	is($shop->sql("SELECT count(DISTINCT checkout_id) FROM inqud.checkout WHERE $of"), $n,
		"$how: no checkout was given to two orders");
	is($shop->sql("SELECT count(*) FROM inqud.event e JOIN inqud.checkout c ON c.id = e.checkout WHERE $of AND e.kind <> 'created'"),
		'0', "$how: nothing went wrong on the way");
	return $counts;
}

# ---------------------------------------------------------------------
# Row trigger
# ---------------------------------------------------------------------

my $delay = $emu->fault({ match => { method => 'POST' }, action => 'delay', delay => 20 });

$shop->sql("INSERT INTO orders (id, total, currency) SELECT i, i + 0.25, 'USD' FROM generate_series(1, " . ORDERS . ') i');
my $counts = all_created(1, ORDERS, 'row trigger');
my $peak = $counts->{inflightPeaks}{ +Inqud::Shop::PROJECT };
cmp_ok($peak, '<=', INFLIGHT, 'never more transfers at once than max_inflight');
cmp_ok($peak, '>', INFLIGHT / 2, 'the window was used');
# one more is the test's own
cmp_ok($counts->{connections}{opened}, '<=', 2 * INFLIGHT, 'connections are kept from call to call');
is($shop->sql("SELECT count(*) FROM inqud.checkout c WHERE (reply -> 'fixedAmount' ->> 'amount')::numeric = c.amount
	AND c.amount = c.order_id::numeric + 0.25"), ORDERS, 'each checkout is that of its own order');
$emu->clear_faults;

# ---------------------------------------------------------------------
# Statement trigger, and COPY
# ---------------------------------------------------------------------

$shop->order_trigger(statement => 1);
$shop->sql("INSERT INTO orders (id, total, currency) SELECT i, i + 0.25, 'USD' FROM generate_series(1001, 1000 + " . ORDERS . ') i');
all_created(1001, 1000 + ORDERS, 'statement trigger');

$shop->sql("COPY orders (id, total, currency) FROM STDIN;\n"
	. join('', map { "$_\t$_.25\tUSD\n" } 2001 .. 2000 + ORDERS) . "\\.\n");
all_created(2001, 2000 + ORDERS, 'COPY, statement trigger');

$shop->order_trigger;
$shop->sql("COPY orders (id, total, currency) FROM STDIN;\n"
	. join('', map { "$_\t$_.25\tUSD\n" } 3001 .. 3000 + ORDERS) . "\\.\n");
all_created(3001, 3000 + ORDERS, 'COPY, row trigger');

# An empty statement has a transition table without rows.
$shop->order_trigger(statement => 1);
$shop->sql("INSERT INTO orders (id) SELECT 1 WHERE false");
is($shop->sql('SELECT count(*) FROM inqud.checkout'), 4 * ORDERS, 'a statement without rows queues nothing');

# ---------------------------------------------------------------------
# rate_limit
# ---------------------------------------------------------------------

$shop->set_options('shop', rate_limit => RATE, max_inflight => 50);
$shop->sql('CREATE DATABASE other');
my $other = $shop->in('other');
$other->sql('CREATE EXTENSION inqud');
$other->project('shop', options => { rate_limit => RATE, poll_new => '1day' });
$emu->control('reset', { only => ['log'] });

my $session = $shop->session;
my $began = time;
$session->start("DO \$\$ BEGIN FOR i IN 1..10 LOOP
	PERFORM inqud_create_checkout('shop', 's' || i, 'x', 'https://shop.example/'); END LOOP; END \$\$");
$shop->sql("INSERT INTO orders (id, total, currency) SELECT i, 5, 'USD' FROM generate_series(5001, 5020) i");
$other->sql("SELECT inqud_enqueue_checkout('shop', 'o' || i, 'x', 'https://shop.example/') FROM generate_series(1, 20) i");
is($session->finish->{error}, undef, 'a session waits for its turn');
$shop->until("SELECT count(*) = 30 FROM inqud.checkout WHERE acquiring_url IS NOT NULL AND (order_id ~ 's' OR order_id::bigint > 5000)",
	'worker and session get theirs sent');
$other->until("SELECT count(acquiring_url) = 20 FROM inqud.checkout", 'so does the other database\'s worker');
$counts = $emu->get('counts');
is_deeply([ grep { $counts->{posts}{$_} != 1 } keys %{ $counts->{posts} } ], [], 'one request for each');
is(scalar keys %{ $counts->{posts} }, 50, 'and for all');
note("most requests in a second: $counts->{peaks}{ +Inqud::Shop::PROJECT }");
# Requests that are late may arrive together, but none arrives before it may be sent.
my @at = map { $_->{epoch} - $began } $shop->requests;
is_deeply([ grep { $at[$_] < $_ / RATE } 0 .. $#at ], [], 'rate_limit holds for all of them together');
$session->close;

done_testing();
