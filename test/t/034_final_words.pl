#!/usr/bin/perl
#
# 034_final_words.pl - proves that what was paid stays paid, whatever Inqud says
# later; that a reply which contradicts the order is never silently paid; that what
# stands in inqud.trouble for it can be resolved; that a checkout made by hand is no
# case for a refund; and that an expiry long past does not end the close watch.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Digest::SHA qw(hmac_sha1_hex);
use Inqud::Shop;
use JSON::PP;
use Test::More;

# Nothing is read by the clock, unless a test says so.
my $shop = Inqud::Shop->new(mapping => { webhook_secret => 'hook-secret' },
	options => { poll_new => '1day', poll_active => '1day', on_status => 'order_changed' });
my $emu = $shop->emu;
my $json = JSON::PP->new->canonical;

$shop->sql(q{CREATE TABLE told (n bigint GENERATED ALWAYS AS IDENTITY, order_id text, status text, paid boolean);
	CREATE FUNCTION order_changed(c inqud.checkout) RETURNS void LANGUAGE sql SECURITY DEFINER
	BEGIN ATOMIC INSERT INTO told (order_id, status, paid) VALUES (c.order_id, c.status, c.paid_at IS NOT NULL); END});

# Queues an order of 5 USD and waits for its URL; its row.
sub order
{
	my ($order) = @_;

	my $id = $shop->sql('SELECT id FROM inqud_enqueue_checkout(' . $shop->arguments($order, "5, 'USD'") . ')');
	$shop->wait_until("SELECT state <> 'queued' FROM inqud.checkout WHERE id = $id");
	return $shop->row("SELECT * FROM inqud.checkout WHERE id = $id");
}

# Has a checkout read now, and waits until it was; its row.
sub reread
{
	my ($id) = @_;

	my $cco = $shop->sql("SELECT checkout_id FROM inqud.checkout WHERE id = $id");
	my $before = $emu->get('counts')->{reads}{$cco} // 0;
	$shop->sql("SELECT inqud_refresh($id)");
	$shop->wait_until("SELECT count(*) = 0 FROM inqud.pending WHERE checkout = $id AND kind = 'poked'");
	die "checkout $cco was not read\n" unless ($emu->get('counts')->{reads}{$cco} // 0) > $before;
	return $shop->row("SELECT * FROM inqud.checkout WHERE id = $id");
}

sub troubles
{
	my ($id) = @_;

	return $shop->sql("SELECT coalesce(string_agg(trouble || ': ' || detail, '; ' ORDER BY since), '') FROM inqud.trouble WHERE checkout = $id");
}

sub webhook
{
	my ($checkout) = @_;
	my $body = $json->encode({ map { $_ => $checkout->{$_} } qw(id clientOrderId status) });

	return $shop->sql("SELECT inqud_receive_webhook('shop', convert_to(" . Inqud::Shop::literal($body) . ", 'UTF8'), '"
		. hmac_sha1_hex($body, 'hook-secret') . "')");
}

# ---------------------------------------------------------------------
# SUCCESS, then another word
# ---------------------------------------------------------------------

{
	my $row = order('taken-back');
	$emu->control('settle', { id => $row->{checkout_id} });
	my $paid = reread($row->{id});
	ok(defined $paid->{paid_at}, 'SUCCESS says when it was paid');
	is(troubles($row->{id}), '', 'and nothing is wrong');

	$emu->control('correct', { id => $row->{checkout_id}, status => 'EXPIRED' });
	my $after = reread($row->{id});
	is($after->{status}, 'EXPIRED', 'Inqud says EXPIRED after it');
	is($after->{paid_at}, $paid->{paid_at}, 'when it was paid stays');
	is("$after->{paid_amount} $after->{merchant_fee}", "$paid->{paid_amount} $paid->{merchant_fee}", 'so do its amounts');
	is(troubles($row->{id}), 'anomaly: Inqud says EXPIRED after SUCCESS', 'inqud.trouble says so');
	is($shop->sql("SELECT checkout FROM inqud.payment WHERE order_id = 'taken-back'"), $row->{id}, 'inqud.payment has it');
	is($shop->sql('SELECT sum(paid) || \' \' || sum(expired) FROM inqud.daily'), '1 0', 'and inqud.daily');
	$shop->until("SELECT string_agg(status || ' ' || paid, ', ' ORDER BY n) = 'NEW false, SUCCESS true, EXPIRED true' FROM told WHERE order_id = 'taken-back'",
		'the shop is told, and that it is paid');
	is(order('taken-back')->{id}, $row->{id}, 'queued again, the order has it');
	is($shop->sql('SELECT id FROM inqud_create_checkout(' . $shop->arguments('taken-back', "5, 'USD'") . ')'), $row->{id}, 'so it has at once');
	is($shop->posts->{'taken-back'}, 1, 'and nothing is sent');
	$shop->raises("SELECT inqud_cancel($row->{id})", { state => '55000', message => qr/has an anomaly that nobody has resolved/,
		hint => qr/inqud_resolve\($row->{id}\)/ }, 'it cannot be canceled before it is resolved');

	is($shop->sql("SELECT status FROM inqud_resolve($row->{id}, 'asked Inqud')"), 'EXPIRED', 'resolved');
	is(troubles($row->{id}), '', 'it leaves inqud.trouble');
	like($shop->sql("SELECT detail FROM inqud.event WHERE checkout = $row->{id} AND kind = 'resolved'"), qr/^by .+: asked Inqud$/, 'the history has who and why');
	reread($row->{id});
	is(troubles($row->{id}), '', 'the same word again is no news');
	is($shop->sql("SELECT count(*) FROM inqud.event WHERE checkout = $row->{id} AND kind = 'resolved'"), '1', 'one event');
	is($shop->sql("SELECT id FROM inqud_resolve($row->{id})"), $row->{id}, 'nothing to resolve: the row');
	is($shop->sql("SELECT count(*) FROM inqud.event WHERE checkout = $row->{id} AND kind = 'resolved'"), '1', 'and nothing is written');
	$emu->control('correct', { id => $row->{checkout_id}, status => 'CONFLICT', reason => 'CHARGED_BACK' });
	is($shop->sql("SELECT status FROM inqud_get_checkout('shop', '$row->{checkout_id}')"), 'CONFLICT', 'a session reads another word');
	is(troubles($row->{id}), 'anomaly: Inqud says CONFLICT after SUCCESS', 'which stands anew');

	$shop->sql("SELECT inqud_resolve($row->{id}), inqud_cancel($row->{id})");
	my $next = order('taken-back');
	Inqud::Shop::differs($next->{id}, $row->{id}, 'resolved and canceled, the order has another one');
	is($shop->posts->{'taken-back'}, 2, 'which was sent');
	is($shop->sql("SELECT paid_at = '$paid->{paid_at}' FROM inqud.payment WHERE checkout = $row->{id}"), 't', 'what was paid stays in inqud.payment');
}

# ---------------------------------------------------------------------
# A read of another order
# ---------------------------------------------------------------------

{
	my $row = order('not-ours');
	my $rule = $emu->fault({ match => { method => 'GET', checkout => $row->{checkout_id} }, action => 'alter', override => { 'fixedAmount.amount' => '0.01' } });

	$emu->control('settle', { id => $row->{checkout_id} });
	my $after = reread($row->{id});
	is("$after->{state} $after->{status} " . ($after->{paid_at} // 'unpaid'), 'open NEW unpaid', 'another amount is not paid');
	like(troubles($row->{id}), qr/^anomaly: Inqud answered with a checkout of another amount, 0\.01; its status SUCCESS is not recorded$/, 'inqud.trouble says so');
	is($shop->sql("SELECT status FROM inqud_get_checkout('shop', '$row->{checkout_id}')"), 'NEW', 'a session sees no payment either');
	is($shop->sql("BEGIN READ ONLY; SELECT coalesce(paid_at::text, status) FROM inqud_get_checkout('shop', '$row->{checkout_id}'); COMMIT"), 'NEW', 'nor one that cannot write');
	is($shop->sql("SELECT count(*) FROM inqud.event WHERE checkout = $row->{id} AND kind = 'anomaly'"), '1', 'it is said once');
	is($shop->sql("SELECT count(*) FROM told WHERE order_id = 'not-ours' AND status <> 'NEW'"), '0', 'and the shop is not told');
	$shop->sql("SELECT inqud_resolve($row->{id})");
	$emu->clear_faults;
	is(reread($row->{id})->{status}, 'SUCCESS', 'what fits is recorded');
	is(troubles($row->{id}), '', 'and nothing is wrong any more');
}

# ---------------------------------------------------------------------
# Made by hand in Inqud's app
# ---------------------------------------------------------------------

{
	my %hand = (type => 'FIXED_PRICE', fixedAmount => { amount => 5, currency => 'USD' }, name => 'By hand', expiresAt => '2099-01-01T00:00:00Z');
	my $named = $emu->control('create', { %hand, clientOrderId => 'by-hand' });
	my $nameless = $emu->control('create', {%hand});

	foreach my $made ($named, $nameless)
	{
		$emu->control('settle', { id => $made->{id} });
		is(webhook({ %$made, status => 'SUCCESS' }), 't', 'a webhook names a checkout that nobody here has asked for');
		$shop->until("SELECT count(*) = 1 FROM inqud.checkout WHERE checkout_id = '$made->{id}' AND paid_at IS NOT NULL AND NOT current", 'it is recorded, and paid');
	}
	my $id = $shop->sql("SELECT id FROM inqud.checkout WHERE checkout_id = '$named->{id}'");
	is(troubles($id), 'anomaly: paid, and the order has no other checkout here', 'one that names an order is to be looked at');
	is($shop->sql("SELECT count(*) FROM inqud.trouble WHERE checkout = $id AND (advice ~ 'refund' OR detail ~ 'replaced|twice')"), '0', 'but not to be refunded');
	is(troubles($shop->sql("SELECT id FROM inqud.checkout WHERE checkout_id = '$nameless->{id}'")), '', 'one that names none is no trouble');
	is($shop->sql("SELECT id FROM inqud_enqueue_checkout('shop', 'by-hand', 'By hand', 'https://shop.example/', 5, 'USD')"), $id,
		'an order of that number has it, whatever the return_url');
	$shop->sql("SELECT inqud_resolve($id)");
	is($shop->sql("SELECT count(*) FROM inqud.trouble"), '0', 'all that was in trouble is settled');
}

# ---------------------------------------------------------------------
# An expiry long past
# ---------------------------------------------------------------------

{
	$shop->set_options('shop', poll_new => '200ms');
	$emu->fault({ match => { clientOrderId => 'vendor-2024' }, action => 'alter', override => { expiresAt => '"2024-12-01T12:00:00Z"' } });
	my $row = order('vendor-2024');
	my $read = sub { $emu->get('counts')->{reads}{ $row->{checkout_id} } // 0 };

	$shop->until("SELECT tail_from >= created_at FROM inqud.queue q JOIN inqud.checkout c ON c.id = q.checkout WHERE c.id = $row->{id}", 'its expiry counts from when the row was made');
	my $n = 0;
	for (1 .. 600)
	{
		last if ($n = $read->()) >= 4;
		select undef, undef, undef, 0.05;
	}
	cmp_ok($n, '>=', 4, 'so it is read closely');
	is(troubles($row->{id}), '', 'and is not overdue');
	$emu->clear_faults;
	$emu->control('settle', { id => $row->{checkout_id} });
	$shop->until("SELECT paid_at IS NOT NULL FROM inqud.checkout WHERE id = $row->{id}", 'its payment is seen by the clock');
}

done_testing();
