#!/usr/bin/perl
#
# 040_reports.pl - proves what a report or a clean-up needs a running worker for:
# inqud.trouble says that nobody works, and why; pruning beside a worker that is
# busy takes nothing that it needs; and a checkout that was pruned and is paid
# late comes back by its webhook.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use Inqud::Webhooks qw(digest receive_sql);
use Test::More;

use constant SECRET => 'test-webhook-secret';

my $shop = Inqud::Shop->new(options => { poll_new => '1h', poll_active => '1h', rate_limit => '0' },
	mapping => { webhook_secret => SECRET });
my $emu = $shop->emu;

# What inqud.trouble says of the worker.
sub nobody
{
	return $shop->sql("SELECT coalesce(string_agg(detail || ' / ' || advice, '; '), '') FROM inqud.trouble WHERE trouble = 'no worker'");
}

# ---------------------------------------------------------------------
# Nobody works
# ---------------------------------------------------------------------

is(nobody(), '', 'nothing to do: no trouble');
$shop->sql($shop->enqueue_sql('first'));
$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'first'", 'an order is sent');
is(nobody(), '', 'a worker that does its work is no trouble');
$shop->sql('SELECT inqud_worker_stop()');
like(nobody(), qr{stopped by inqud_worker_stop\(\) / SELECT inqud_worker_start\(\)}, 'a stopped worker is trouble while anything is followed');
$shop->sql('SELECT inqud_worker_start()');
is(nobody(), '', 'and none when it may run again');
$shop->sql('ALTER SYSTEM SET inqud.enabled = off; SELECT pg_reload_conf()');
$shop->wait_until("SELECT current_setting('inqud.enabled') = 'off'");
like(nobody(), qr{inqud\.enabled is off.* / ALTER SYSTEM SET inqud\.enabled = on}, 'so is one that is disabled');
$shop->sql('ALTER SYSTEM RESET inqud.enabled; SELECT pg_reload_conf()');
$shop->wait_until("SELECT current_setting('inqud.enabled') = 'on'");
is(nobody(), '', 'until it is enabled');

# ---------------------------------------------------------------------
# Pruning beside a worker
# ---------------------------------------------------------------------

$shop->sql(q{INSERT INTO inqud.checkout (project, project_id, order_id, owner, state, status, checkout_id, created_at, updated_at, closed_at, paid_at)
		SELECT 'shop', 'CAP-1', 'old-' || n, current_user, 'closed', CASE n % 2 WHEN 0 THEN 'SUCCESS' ELSE 'EXPIRED' END, 'CCO-' || n,
			'2020-01-01', '2020-01-01', '2020-01-01', CASE n % 2 WHEN 0 THEN '2020-01-01'::timestamptz END FROM generate_series(1, 2000) n;
	INSERT INTO inqud.event (checkout, kind, at) SELECT id, 'created', '2020-01-01' FROM inqud.checkout WHERE order_id LIKE 'old-%';
	SELECT count(inqud_enqueue_checkout('shop', 'new-' || n, 'n', 'https://shop.example')) FROM generate_series(1, 200) n});
is($shop->sql("CALL inqud_prune('1 year', 'checkouts', 100)"), '1000', 'old checkouts go while new ones are sent');
is($shop->sql("CALL inqud_prune('0', 'checkouts', 7)"), '0', 'whatever the age, nothing that is to be sent or followed');
is($shop->sql("CALL inqud_prune('1 year', 'events', 100)"), '0', 'the history of payments stays');
is($shop->sql("CALL inqud_prune('1 year', 'payment events', 100)"), '1000', 'but if it is named');
$shop->until("SELECT count(*) = 200 FROM inqud.checkout WHERE order_id LIKE 'new-%' AND state = 'open'", 'every new order has its checkout');
is($shop->sql("SELECT count(*) FROM inqud.checkout WHERE order_id LIKE 'old-%' AND status = 'SUCCESS'"), '1000', 'payments are all there');
is($shop->sql("SELECT count(*) FROM inqud.event e WHERE e.checkout NOT IN (SELECT id FROM inqud.checkout)"), '0', 'no event is left without its checkout');

# ---------------------------------------------------------------------
# Pruned, and paid after all
# ---------------------------------------------------------------------

my $id = $shop->checkout('first')->{checkout_id};

$emu->control('expire', { id => $id });
$shop->sql("SELECT inqud_refresh(id) FROM inqud.checkout WHERE checkout_id = '$id'");
$shop->until("SELECT status = 'EXPIRED' FROM inqud.checkout WHERE checkout_id = '$id'", 'a checkout expires');
is($shop->sql("CALL inqud_prune('0', 'checkouts')"), '0', 'it is not pruned before its last read');
# as when its last read is over
$shop->sql('SELECT inqud_worker_stop()');
$shop->sql("DELETE FROM inqud.queue WHERE checkout = (SELECT id FROM inqud.checkout WHERE checkout_id = '$id')");
is($shop->sql("CALL inqud_prune('0', 'checkouts')"), '1', 'then it is');
$shop->sql('SELECT inqud_worker_start()');
$emu->control('force', { id => $id, status => 'SUCCESS' });
my $body = qq({"id":"$id","clientOrderId":"first","status":"SUCCESS"});
$shop->sql('SELECT ' . receive_sql('shop', $body, digest(SECRET, $body)));
$shop->until("SELECT count(*) = 1 FROM inqud.payment WHERE checkout_id = '$id' AND order_id = 'first'", 'paid late, it is recorded again');
is($shop->sql("SELECT trouble FROM inqud.trouble WHERE order_id = 'first'"), 'anomaly', 'and stands in inqud.trouble');
is($shop->sql("CALL inqud_prune('0', 'payments')"), '1000', 'pruning payments takes those that are done with');
is($shop->sql("SELECT count(*) FROM inqud.payment WHERE order_id = 'first'"), '1', 'and not this one');

done_testing();
