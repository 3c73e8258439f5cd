#!/usr/bin/perl
#
# 001_walk.pl - proves the walk of one order from end to end: an INSERT queues
# a checkout in its own transaction, the commit wakes the worker, the URL
# appears, the payer chooses and pays at the emulator, the statuses arrive, the
# on_status function marks the order as paid, listeners are told, and the
# reports say so.  What is rolled back queues nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use JSON::PP;
use Test::More;

my $shop = Inqud::Shop->new;
my $emu = $shop->emu;

$shop->create_orders;
my $listener = $shop->session;
$listener->query_safe('LISTEN inqud');

# ---------------------------------------------------------------------
# Rolled back is never sent
# ---------------------------------------------------------------------

my $buyer = $shop->session;

$buyer->query_safe("BEGIN; INSERT INTO orders (id, total, currency) VALUES (900, 1, 'USD')");
is($buyer->query_safe("SELECT state || ' ' || kind FROM inqud.checkout c JOIN inqud.queue q ON q.checkout = c.id"),
	'queued create', 'the order\'s own transaction sees its queued checkout');
is($shop->sql('SELECT count(*) FROM inqud.checkout'), '0', 'nobody else does before the commit');
$buyer->query_safe('ROLLBACK');
is($shop->sql('SELECT (SELECT count(*) FROM inqud.checkout) + (SELECT count(*) FROM inqud.queue)'),
	'0', 'a rolled-back order leaves nothing');

$buyer->query_safe("BEGIN;
	INSERT INTO orders (id, total, currency) VALUES (1, 100, 'USD');
	SAVEPOINT s;
	INSERT INTO orders (id, total, currency) VALUES (901, 1, 'USD');
	ROLLBACK TO s;
	SAVEPOINT t;
	INSERT INTO orders (id, total, currency) VALUES (2, 25.50, 'EUR');
	RELEASE t;
	SELECT FROM inqud_enqueue_checkout('shop', '3', 'Order 3', 'https://shop.example/orders/3');
	COMMIT");

# ---------------------------------------------------------------------
# Committed is sent
# ---------------------------------------------------------------------

$shop->until("SELECT count(acquiring_url) = 3 FROM inqud.checkout", 'the URLs are there after the commit');
is_deeply([ $shop->rows('SELECT order_id FROM inqud.checkout ORDER BY id') ],
	[ map { { order_id => $_ } } 1, 2, 3 ], 'a rolled-back savepoint queues nothing');
my $one = $shop->checkout(1);
my ($real) = @{ $emu->get('checkouts', clientOrderId => '1') };
is($one->{state}, 'open', 'the checkout is open');
is($one->{status}, 'NEW', 'its status is NEW');
is($one->{current}, 'true', 'it is its order\'s current one');
is($one->{checkout_id}, $real->{id}, 'it has Inqud\'s id');
is($one->{acquiring_url}, $real->{acquiringUrl}, 'it has Inqud\'s URL');
is($one->{project_id}, Inqud::Shop::PROJECT, 'it remembers the project');
is($one->{name}, 'Order 1', 'the name is filled in from the template');
is($one->{return_url}, 'https://shop.example/orders/1', 'so is return_url');
is("$one->{amount} $one->{currency} $one->{type}", '100 USD FIXED_PRICE', 'amount, currency and type are the order\'s');
is($shop->checkout(3)->{type}, 'NO_PRICE', 'an order without an amount lets the payer choose it');
ok(defined $one->{expires_at}, 'the expiry that was sent is recorded');
is($shop->sql("SELECT reply ->> 'id' FROM inqud.checkout WHERE order_id = '1'"), $real->{id}, 'the whole reply is kept');

my @sent = $shop->requests(method => 'POST');
is(scalar @sent, 3, 'three requests were made for three orders');
is_deeply([ map { $shop->posts->{$_} } 1, 2, 3 ], [ 1, 1, 1 ], 'one request for each order');
my ($request) = grep { $_->{body} =~ /"clientOrderId":"1"/ } @sent;
my $body = JSON::PP->new->decode($request->{body});
is_deeply([ sort keys %$body ],
	[qw(clientOrderId expiresAt fixedAmount name returnUrl type)], 'the request has the members it should have');
like($request->{body}, qr/"amount":100\b/, 'the amount is sent as a number');
is($shop->sql("SELECT string_agg(DISTINCT kind, ',') FROM inqud.pending WHERE NOT coalesce(kind = 'hook', false)"),
	'idle', 'inqud.pending says that they are followed');
is($shop->sql('SELECT count(*) FROM inqud.payment'), '0', 'nothing is paid yet');

# ---------------------------------------------------------------------
# The payer pays
# ---------------------------------------------------------------------

$emu->control('choose', { clientOrderId => '1', cryptoCurrency => 'TRON_USDT' });
$shop->sql("SELECT inqud_refresh(id) FROM inqud.checkout WHERE order_id = '1'");
$shop->until("SELECT status = 'REQUEST_CREATED' FROM inqud.checkout WHERE order_id = '1'",
	'the choice of a currency arrives');
$one = $shop->checkout(1);
is("$one->{pay_currency} $one->{pay_blockchain}", 'USDT TRON', 'with asset and chain');
ok($one->{pay_amount} > 0, 'and with the amount to pay');
$shop->until("SELECT status = 'REQUEST_CREATED' AND NOT paid FROM orders WHERE id = 1", 'on_status has told the orders table');

# From here on the worker finds out by itself.
$emu->control('detect', { clientOrderId => '1' });
$shop->until("SELECT status = 'PAYMENT_DETECTED' FROM inqud.checkout WHERE order_id = '1'",
	'the detected payment arrives by polling');
is($shop->sql('SELECT paid FROM orders WHERE id = 1'), 'f', 'a detected payment is not paid');
$emu->control('settle', { clientOrderId => '1' });
$shop->until("SELECT status = 'SUCCESS' AND paid FROM orders WHERE id = 1", 'the paid column of the order follows');
$one = $shop->checkout(1);
is("$one->{state} $one->{status}", 'closed SUCCESS', 'the checkout is closed');
is($one->{overpaid}, 'false', 'not overpaid');
is($one->{paid_amount}, $one->{pay_amount}, 'paid what was asked for');
ok(defined $one->{$_}, "$_ is recorded") foreach qw(tx_hash merchant_fee processing_amount closed_at opened_at status_at);

# One underpays, one walks away.
$emu->control('settle', { clientOrderId => '2', factor => '0.5' });
$emu->control('expire', { clientOrderId => '3' });
$shop->until("SELECT count(*) = 3 FROM inqud.checkout WHERE state = 'closed'", 'the other two end as well');
$shop->until("SELECT string_agg(id || ' ' || status || ' ' || paid, ', ' ORDER BY id)
	= '1 SUCCESS true, 2 CONFLICT false' FROM orders", 'the orders table knows how each ended');

# ---------------------------------------------------------------------
# Events, notices, reports
# ---------------------------------------------------------------------

is($shop->sql("SELECT string_agg(e.kind || ':' || coalesce(e.status_from, '-') || '>' || e.status_to, ' ' ORDER BY e.id)
	FROM inqud.event e JOIN inqud.checkout c ON c.id = e.checkout WHERE c.order_id = '1'"),
	'created:->NEW status:NEW>REQUEST_CREATED status:REQUEST_CREATED>PAYMENT_DETECTED status:PAYMENT_DETECTED>SUCCESS',
	'each change has one event, and unchanged polls have none');

my @notices = map { JSON::PP->new->decode($_) } $listener->wait_notifications(
	sub { (grep { /SUCCESS/ } @_) && (grep { /CONFLICT/ } @_) && grep { /EXPIRED/ } @_ });
my @of_one = grep { $_->{id} == $one->{id} } @notices;
is_deeply([ map { "$_->{project} $_->{state} $_->{status}" } @of_one ],
	[ 'shop open NEW', 'shop open REQUEST_CREATED', 'shop open PAYMENT_DETECTED', 'shop closed SUCCESS' ],
	'NOTIFY told every change, once');
is_deeply([ sort keys %{ $of_one[0] } ], [qw(id project state status)], 'a notice has ids and words only');

my @payments = $shop->rows('SELECT * FROM inqud.payment');
is(scalar @payments, 1, 'inqud.payment has the one payment');
is($payments[0]{order_id}, '1', 'that of the paid order');
is($payments[0]{paid_amount}, $one->{paid_amount}, 'with what was paid');
is($payments[0]{tx_hash}, $one->{tx_hash}, 'and its transaction');

is($shop->sql("SELECT string_agg(order_id || ' ' || trouble || ' ' || detail, '; ' ORDER BY order_id) FROM inqud.trouble")
		=~ /^2 conflict .*UNDERPAID/ ? 'yes' : 'no', 'yes', 'inqud.trouble has the underpaid order and nothing else');
$shop->until("SELECT bool_and(kind IN ('idle', 'active')) AND bool_and(phase IN ('check', 'late')) FROM inqud.pending",
	'what is pending are the late reads');
is($shop->sql("SELECT string_agg(status, ' ' ORDER BY status) FROM inqud.status WHERE final"),
	'CONFLICT EXPIRED SUCCESS', 'inqud.status knows the final ones');
is_deeply([ map { $shop->posts->{$_} } 1, 2, 3 ], [ 1, 1, 1 ], 'still one create request for each order');
is_deeply([ grep { $_ >= 900 } keys %{ $shop->posts } ], [], 'and none for what was rolled back');

$_->close foreach $listener, $buyer;
done_testing();
