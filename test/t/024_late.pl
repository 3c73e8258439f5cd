#!/usr/bin/perl
#
# 024_late.pl - proves that no payment is lost when Inqud and the database do
# not agree: money on checkouts that expired, were replaced or canceled, money
# twice, corrections and words out of order, answers that are another order's,
# and ids that a rollback, a failover or a restore has forgotten and a webhook
# brings back.  A copied database calls nothing until inqud_adopt().

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Digest::SHA qw(hmac_sha1_hex);
use Inqud::Faults qw(backend);
use Inqud::Shop;
use JSON::PP;
use PostgreSQL::Test::Utils ();
use Test::More;

# Nothing is read by the clock, unless a test says so.
my $shop = Inqud::Shop->new(mapping => { webhook_secret => 'hook-secret' },
	options => { poll_new => '1day', poll_active => '1day' });
my $emu = $shop->emu;
my $json = JSON::PP->new->canonical;

# Has an order's newest checkout, or the one of an id, read now; waits until it was.
sub reread
{
	my ($order, $id) = @_;

	$id //= $shop->checkout($order)->{id};
	my $cco = $shop->sql("SELECT checkout_id FROM inqud.checkout WHERE id = $id");
	my $before = $emu->get('counts')->{reads}{$cco} // 0;
	$shop->sql("SELECT inqud_refresh($id)");
	$shop->wait_until("SELECT count(*) = 0 FROM inqud.pending WHERE checkout = $id AND kind = 'poked'");
	die "checkout $cco was not read\n" unless ($emu->get('counts')->{reads}{$cco} // 0) > $before;
	return $shop->row("SELECT * FROM inqud.checkout WHERE id = $id");
}

# Queues an order and waits for its URL; its row.
sub order
{
	my ($order, $rest) = @_;

	my $id = $shop->sql('SELECT id FROM inqud_enqueue_checkout(' . $shop->arguments($order, $rest) . ')');
	$shop->wait_until("SELECT state <> 'queued' FROM inqud.checkout WHERE id = $id");
	return $shop->row("SELECT * FROM inqud.checkout WHERE id = $id");
}

sub anomalies
{
	my ($id) = @_;

	return $shop->sql("SELECT coalesce(string_agg(detail, '; ' ORDER BY since), '') FROM inqud.trouble WHERE checkout = $id AND trouble = 'anomaly'");
}

sub troubles
{
	my ($id) = @_;

	return $shop->sql("SELECT coalesce(string_agg(trouble || ': ' || detail, '; ' ORDER BY since), '') FROM inqud.trouble WHERE checkout = $id");
}

# Sends a webhook about a checkout as it is at Inqud; the error, if any.
sub webhook
{
	my ($checkout, $secret) = @_;
	my $body = $json->encode({ map { $_ => $checkout->{$_} } qw(id clientOrderId status) });

	return $shop->error("SELECT inqud_receive_webhook('shop', convert_to(" . Inqud::Shop::literal($body) . ", 'UTF8'), '"
		. hmac_sha1_hex($body, $secret // 'hook-secret') . "')");
}

sub real
{
	my ($order) = @_;

	return @{ $emu->get('checkouts', clientOrderId => $order) };
}

# ---------------------------------------------------------------------
# Late money, and money twice
# ---------------------------------------------------------------------

{
	my $old = order('late');
	$emu->control('expire', { id => $old->{checkout_id} });
	is(reread('late')->{status}, 'EXPIRED', 'an order expires');
	is($shop->sql("SELECT kind || ' ' || phase FROM inqud.pending WHERE checkout = $old->{id}"), 'idle check', 'straight from NEW: one more look');
	my $new = order('late');
	Inqud::Shop::differs($new->{id}, $old->{id}, 'ordered again, it has a new checkout');
	is($shop->sql("SELECT string_agg(current::text, ' ' ORDER BY id) FROM inqud.checkout WHERE order_id = 'late'"), 'false true', 'which is the current one');

	$emu->control('correct', { id => $old->{checkout_id}, status => 'SUCCESS' });
	my $paid = reread('late', $old->{id});
	is("$paid->{status} $paid->{state} $paid->{current}", 'SUCCESS closed false', 'money on the replaced one is recorded');
	is(anomalies($old->{id}), 'paid after it was replaced', 'as an anomaly');
	like(troubles($old->{id}), qr/anomaly: paid after it was replaced/, 'which stands in inqud.trouble');
	is($shop->sql("SELECT count(*) FROM inqud.payment WHERE order_id = 'late' AND NOT current"), '1', 'inqud.payment has it, marked as not current');
	is(order('late')->{id}, $old->{id}, 'ordered once more, the paid one is given back');
	is($shop->posts->{late}, 2, 'and nothing is called');

	$emu->control('settle', { id => $new->{checkout_id} });
	is(reread('late', $new->{id})->{status}, 'SUCCESS', 'money on the second one is recorded, too');
	like(anomalies($new->{id}), qr/paid twice/, 'as an anomaly');
	like(troubles($new->{id}), qr/paid twice/, 'which stands in inqud.trouble');
	is($shop->sql("SELECT count(*) FROM inqud.payment WHERE order_id = 'late'"), '2', 'inqud.payment has both');
}

# The look for late money comes by itself.
{
	my $row = order('looked-at');
	$emu->control('expire', { id => $row->{checkout_id} });
	reread('looked-at');
	$emu->control('correct', { id => $row->{checkout_id}, status => 'SUCCESS' });
	$shop->sql('SELECT inqud_worker_stop()');
	$shop->sql("UPDATE inqud.queue SET tail_from = tail_from - interval '4 hours' WHERE checkout = $row->{id};
		SELECT inqud_worker_start()");
	$shop->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE id = $row->{id}", 'some hours after the expiry it is looked at by itself');
}
{
	my $row = order('address-shown', "10, 'USD'");
	$emu->control('choose', { id => $row->{checkout_id}, cryptoCurrency => 'TRON_USDT' });
	reread('address-shown');
	$emu->control('expire', { id => $row->{checkout_id} });
	reread('address-shown');
	is($shop->sql("SELECT kind || ' ' || phase FROM inqud.pending WHERE checkout = $row->{id}"), 'idle late', 'expired after an address was shown, it is followed for days');
	$emu->control('correct', { id => $row->{checkout_id}, status => 'SUCCESS' });
	$shop->sql('SELECT inqud_worker_stop()');
	# the last read of the plan is at its end
	$shop->sql("UPDATE inqud.queue SET tail_from = tail_from - interval '9 days' WHERE checkout = $row->{id};
		SELECT inqud_worker_start()");
	$shop->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE id = $row->{id}", 'and read once more at the end');
}

# A create whose order was paid meanwhile is not sent.
{
	my $old = order('paid-meanwhile');
	$emu->control('expire', { id => $old->{checkout_id} });
	reread('paid-meanwhile');
	$shop->sql('SELECT inqud_worker_stop()');
	my $id = $shop->sql('SELECT id FROM inqud_enqueue_checkout(' . $shop->arguments('paid-meanwhile') . ')');
	$emu->control('correct', { id => $old->{checkout_id}, status => 'SUCCESS' });
	is($shop->sql("SELECT status FROM inqud_get_checkout('shop', '$old->{checkout_id}')"), 'SUCCESS', 'late money arrives while a new one is queued');
	$shop->sql('SELECT inqud_worker_start()');
	$shop->until("SELECT state = 'canceled' FROM inqud.checkout WHERE id = $id", 'which is then dropped');
	is($shop->posts->{'paid-meanwhile'}, 1, 'and not sent');
}

# ---------------------------------------------------------------------
# Corrections, and words out of order
# ---------------------------------------------------------------------

{
	my $row = order('corrected');
	foreach my $status ('EXPIRED', 'SUCCESS', 'CONFLICT', 'SUCCESS')
	{
		$emu->control($row->{status} eq 'NEW' && $status eq 'EXPIRED' ? 'expire' : 'correct', { id => $row->{checkout_id}, status => $status });
		is(reread('corrected')->{status}, $status, "a final status may be corrected: $status");
	}
	is(anomalies($row->{id}), 'Inqud says CONFLICT after SUCCESS', 'of which only what takes SUCCESS back is an anomaly');
}
{
	my $row = order('reopened');
	$emu->control('expire', { id => $row->{checkout_id} });
	reread('reopened');
	$emu->control('force', { id => $row->{checkout_id}, status => 'PAYMENT_DETECTED', quiet => JSON::PP::true });
	is(reread('reopened')->{status}, 'EXPIRED', 'a word that is not final does not follow one that is');
	is($shop->sql("SELECT kind || ' ' || phase FROM inqud.pending WHERE checkout = $row->{id}"), 'active reopened', 'but it is watched again');
	like(anomalies($row->{id}), qr/PAYMENT_DETECTED after EXPIRED/, 'and noted');
	$shop->set_options('shop', poll_active => '200ms');
	$emu->control('force', { id => $row->{checkout_id}, status => 'SUCCESS', quiet => JSON::PP::true });
	# a worker that starts derives the reads anew
	$shop->sql('SELECT inqud_worker_stop()');
	$shop->sql('SELECT inqud_worker_start()');
	$shop->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE id = $row->{id}", 'so the payment after it is seen without being asked for');
	$shop->set_options('shop', poll_active => '1day');
	reread('reopened');
}

# Reads that do not overlap are as new as they are late, whatever lastUpdatedAt says.
foreach my $case ([ missing => undef ], [ null => undef ], [ older => '2001-01-01T00:00:00Z' ], [ equal => 'same' ], [ nonsense => 'yesterday' ])
{
	my ($name, $stamp) = @$case;
	my $row = order("stamp-$name");
	my $first = '2026-01-01T00:00:00Z';

	$emu->control('settings', { drop => ['lastUpdatedAt'] }) if $name eq 'missing';
	$emu->control('force', { id => $row->{checkout_id}, status => 'PAYMENT_DETECTED', lastUpdatedAt => $first });
	is(reread("stamp-$name")->{status}, 'PAYMENT_DETECTED', "lastUpdatedAt $name: a step");
	$emu->control('force', { id => $row->{checkout_id}, status => 'SUCCESS', lastUpdatedAt => $name eq 'equal' ? $first : $stamp });
	is(reread("stamp-$name")->{status}, 'SUCCESS', "lastUpdatedAt $name: the payment is seen");
	$emu->control('settings', { drop => undef });
}

# ---------------------------------------------------------------------
# Canceled, then paid
# ---------------------------------------------------------------------

{
	$shop->sql('SELECT inqud_worker_stop()');
	my $id = $shop->sql('SELECT id FROM inqud_enqueue_checkout(' . $shop->arguments('cancel-before') . ')');
	$shop->sql("SELECT inqud_cancel($id)");
	$shop->sql('SELECT inqud_worker_start()');
	my $new = order('cancel-before');
	is($shop->sql("SELECT state FROM inqud.checkout WHERE id = $id"), 'canceled', 'canceled before the call: it is not sent');
	is($shop->posts->{'cancel-before'}, 1, 'only what was ordered afterwards is');

	$emu->fault({ match => { method => 'POST', clientOrderId => 'cancel-during' }, action => 'hang', phase => 'headers', times => 1 });
	$id = $shop->sql('SELECT id FROM inqud_enqueue_checkout(' . $shop->arguments('cancel-during') . ')');
	$shop->wait_requests(method => 'POST', body => 'cancel-during');
	$shop->sql("SELECT inqud_cancel($id)");
	$new = order('cancel-during');
	$emu->control('release');
	$shop->until("SELECT state = 'open' AND NOT current AND checkout_id IS NOT NULL FROM inqud.checkout WHERE id = $id",
		'canceled during the call: what came into being is followed');
	Inqud::Shop::differs($new->{checkout_id}, $shop->sql("SELECT checkout_id FROM inqud.checkout WHERE id = $id"), 'beside the new one');
	$emu->control('settle', { id => $shop->sql("SELECT checkout_id FROM inqud.checkout WHERE id = $id") });
	is(reread('', $id)->{status}, 'SUCCESS', 'and its payment is seen');
	is(anomalies($id), 'paid after it was canceled', 'as an anomaly');
	like(troubles($id), qr/paid after it was canceled/, 'which stands in inqud.trouble');

	my $row = order('cancel-after');
	$shop->sql("SELECT inqud_cancel($row->{id})");
	$new = order('cancel-after');
	$emu->control('settle', { id => $row->{checkout_id} });
	is(reread('', $row->{id})->{status}, 'SUCCESS', 'canceled after the call: its payment is seen');
	is(anomalies($row->{id}), 'paid after it was canceled', 'as an anomaly');
	$emu->control('settle', { id => $new->{checkout_id} });
	reread('', $new->{id});
	like(anomalies($new->{id}), qr/paid twice/, 'paying the new one, too, is money twice');
}

# ---------------------------------------------------------------------
# Answers that are not this order's
# ---------------------------------------------------------------------

my $held = order('holder');

foreach my $case ([ order => { clientOrderId => '"another"' }, qr/another order/ ], [ project => { projectId => '"CAP-another"' }, qr/another project/ ],
	[ type => { type => '"NO_PRICE"' }, qr/another type/ ], [ amount => { 'fixedAmount.amount' => '11' }, qr/another amount/ ],
	[ currency => { 'fixedAmount.currency' => '"EUR"' }, qr/another amount/ ], [ id => { id => "\"$held->{checkout_id}\"" }, qr/which checkout $held->{id} has already/ ])
{
	my ($what, $override, $says) = @$case;
	$emu->fault({ match => { method => 'POST', clientOrderId => "echo-$what" }, action => 'alter', override => $override });
	my $row = order("echo-$what", "10, 'USD'");
	is($row->{state}, 'failed', "an answer with another $what: the order fails");
	like($row->{error}, $says, "an answer with another $what: and says why");
	is($row->{acquiring_url}, undef, "an answer with another $what: no URL is shown");
	like(troubles($row->{id}), qr/^failed/, "an answer with another $what: inqud.trouble has it");
}
$emu->clear_faults;
is($shop->sql("SELECT state || ' ' || order_id FROM inqud.checkout WHERE checkout_id = '$held->{checkout_id}'"), 'open holder', 'who held the id goes on holding it');
is(order('same-amount', "10.000000000000000000, 'USD'")->{state}, 'open', 'an amount may be written in another way');

# ---------------------------------------------------------------------
# Forgotten ids
# ---------------------------------------------------------------------

{
	my $session = $shop->session;
	$session->query_safe('BEGIN');
	$session->query_safe($shop->create_sql('rolled-back', "10, 'USD'"));
	$session->query_safe('ROLLBACK');
	$session->close;
	is($shop->sql("SELECT count(*) FROM inqud.checkout WHERE order_id = 'rolled-back'"), '0', 'a rolled-back create is forgotten');
	my ($real) = real('rolled-back');
	like(PostgreSQL::Test::Utils::slurp_file($shop->node->logfile), qr/rolled back: checkout "$real->{id}"/, 'but the log names it');
	$emu->control('settle', { id => $real->{id} });
	is_deeply(webhook($real), {}, 'a webhook of it is taken');
	$shop->until("SELECT count(*) = 1 FROM inqud.checkout WHERE checkout_id = '$real->{id}' AND status = 'SUCCESS' AND NOT current AND order_id = 'rolled-back'",
		'and brings it back with its payment');
	is($shop->sql("SELECT amount || ' ' || currency || ' ' || (acquiring_url = '$real->{acquiringUrl}') FROM inqud.checkout WHERE checkout_id = '$real->{id}'"),
		'10 USD true', 'with what Inqud knows of it');
	$shop->until("SELECT count(*) = 1 FROM inqud.queue q JOIN inqud.checkout c ON c.id = q.checkout WHERE c.checkout_id = '$real->{id}'", 'and it is followed');
	is(order('rolled-back', "10, 'USD'")->{checkout_id}, $real->{id}, 'the order is paid, and has no second checkout');
}

# The order's own row takes what it has been waiting for, also when it has failed.
{
	$emu->control('settings', { duplicates => 'reject' });
	$emu->fault({ match => { method => 'POST', clientOrderId => 'adopted' }, action => 'drop_after', times => 1 });
	my $row = order('adopted');
	is($row->{state}, 'failed', 'an order fails of which Inqud has a checkout');
	$emu->control('settings', { duplicates => undef });
	my ($real) = real('adopted');
	webhook($real);
	$shop->until("SELECT checkout_id = '$real->{id}' AND state = 'open' AND current FROM inqud.checkout WHERE id = $row->{id}",
		'a webhook brings the checkout to the failed order');
	is($shop->sql("SELECT count(*) FROM inqud.checkout WHERE order_id = 'adopted'"), '1', 'and makes no second row');
}

# What a restore has lost, while the order was sent anew.
{
	my $row = order('restored');
	$shop->sql("DELETE FROM inqud.queue WHERE checkout = $row->{id}; DELETE FROM inqud.checkout WHERE id = $row->{id}");
	my $new = order('restored');
	Inqud::Shop::differs($new->{checkout_id}, $row->{checkout_id}, 'an order that was lost in a restore is sent anew');
	my ($real) = grep { $_->{id} eq $row->{checkout_id} } real('restored');
	webhook($real) for 1 .. 3;
	$shop->until("SELECT count(*) = 1 FROM inqud.checkout WHERE checkout_id = '$row->{checkout_id}' AND NOT current", 'webhooks bring the lost one back, once');
	is($shop->sql("SELECT checkout_id FROM inqud.checkout WHERE order_id = 'restored' AND current"), $new->{checkout_id}, 'and leave the new one as it is');
	$emu->control('settle', { id => $row->{checkout_id} });
	webhook($real);
	$shop->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE checkout_id = '$row->{checkout_id}'", 'a payment of it is seen');
	like(anomalies($shop->sql("SELECT id FROM inqud.checkout WHERE checkout_id = '$row->{checkout_id}'")), qr/paid after it was replaced/, 'as an anomaly');
}

# Nothing is believed that is not so.
{
	my $rows = $shop->sql('SELECT count(*) FROM inqud.checkout');
	is(webhook({ id => 'CCO-00000000-0000-4000-8000-00000000dead', clientOrderId => 'x', status => 'SUCCESS' }, 'wrong')->{state}, 'IQ006', 'a forged webhook is refused');
	is($shop->sql('SELECT count(*) FROM inqud.inbox'), '0', 'and changes nothing');
	is_deeply(webhook({ id => 'CCO-00000000-0000-4000-8000-00000000dead', clientOrderId => 'holder', status => 'SUCCESS' }), {}, 'a genuine one of an unknown id is taken');
	$shop->until("SELECT count(*) = 0 FROM inqud.inbox", 'and looked at');
	is($shop->sql('SELECT count(*) FROM inqud.checkout'), $rows, 'but Inqud does not know it, so nothing is recorded');
	is($shop->checkout('holder')->{status}, 'NEW', 'a status is never taken from a webhook');
}

# ---------------------------------------------------------------------
# A copy of the database
# ---------------------------------------------------------------------

{
	$shop->sql('SELECT inqud_worker_stop()');
	$shop->sql($shop->enqueue_sql('copied'));
	my $open = $shop->checkout('holder');
	$emu->control('settle', { id => $open->{checkout_id} });
	$shop->sql("SELECT inqud_refresh($open->{id})");
	$shop->in('template1')->sql('CREATE DATABASE copy TEMPLATE postgres');
	my $copy = $shop->in('copy');
	my $mine = sub { grep { $_->{body} =~ /copied/ || $_->{path} =~ /$open->{checkout_id}/ } $shop->requests };
	my $before = $mine->();

	$copy->sql($copy->enqueue_sql('new in the copy'));
	$copy->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'new in the copy'", 'a copy: new orders run at once');
	is($mine->(), $before, 'a copy: what was queued in the original is not called');
	is($copy->sql("SELECT state FROM inqud.checkout WHERE order_id = 'copied'"), 'queued', 'a copy: it stays as it is');
	is($copy->sql("SELECT count(*) FROM inqud.trouble WHERE trouble = 'foreign' AND order_id IN ('copied', 'holder')"), '2', 'a copy: inqud.trouble names it');
	is($shop->sql("SELECT count(*) FROM inqud.trouble WHERE trouble = 'foreign'"), '0', 'the original: nothing is foreign');
	crash_copy($copy);
	is($mine->(), $before, 'a copy: nor by another worker');

	# the original goes on
	$shop->sql('SELECT inqud_worker_start()');
	$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'copied'", 'the original: what was queued is sent');
	$shop->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE order_id = 'holder'", 'the original: and read');
	is($shop->posts->{copied}, 1, 'once, with a copy beside');
	cmp_ok($copy->sql('SELECT inqud_adopt()'), '>=', 2, 'a copy: inqud_adopt() takes it over');
	$copy->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE order_id = 'holder'", 'a copy: then it is read');
	$copy->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'copied'", 'a copy: and sent');
	is($copy->sql("SELECT count(*) FROM inqud.trouble WHERE trouble = 'foreign'"), '0', 'a copy: nothing is foreign any more');
	is($copy->sql('SELECT inqud_adopt()'), '0', 'a copy: there is nothing more to adopt');
}

sub crash_copy
{
	my ($copy) = @_;
	my ($pid) = backend($copy, 'inqud worker', 'copy');

	$copy->sql("SELECT pg_terminate_backend($pid)") if $pid;
	$copy->sql($copy->enqueue_sql('newer in the copy'));
	$copy->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'newer in the copy'");
	return;
}

done_testing();
