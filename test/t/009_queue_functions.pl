#!/usr/bin/perl
#
# 009_queue_functions.pl - proves what one can do with what is queued: wait for
# its URL, have it read at once, send a failed one again, cancel one in
# every state (and what happens when a canceled one is paid all the same), take
# over work that came from another database, and stop and start the worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use Test::More;

# Nothing is read by the clock, so that a read has been asked for.
my $shop = Inqud::Shop->new(options => { poll_new => '1day', poll_active => '1day' });
my $emu = $shop->emu;
my $session = $shop->session;

$shop->sql('CREATE ROLE app LOGIN; GRANT USAGE ON FOREIGN SERVER shop TO app');

sub literal { return Inqud::Shop::literal(@_) }

sub queue
{
	my ($order, $rest) = @_;

	return $session->query_safe('SELECT id FROM inqud_enqueue_checkout(' . $shop->arguments($order, $rest) . ')');
}

# Queues an order and waits until it is open; gives its id.
sub opened
{
	my ($order, $rest) = @_;
	my $id = queue($order, $rest);

	$shop->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE id = $id");
	return $id;
}

sub is_row
{
	my ($id, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return is($session->query_safe("SELECT concat_ws(' ', state, status, CASE WHEN current THEN 'current' ELSE 'free' END)
		FROM inqud.checkout WHERE id = $id"), $expected, $name);
}

sub becomes
{
	my ($id, $condition, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return $shop->until("SELECT $condition FROM inqud.checkout WHERE id = $id", $name);
}

sub posts { return $shop->posts->{ $_[0] } // 0 }

sub trouble
{
	my ($id) = @_;

	return $session->query_safe("SELECT coalesce(string_agg(trouble || coalesce(': ' || detail, ''), '; ' ORDER BY since), '') FROM inqud.trouble WHERE checkout = $id");
}

sub stop_worker
{
	is($shop->sql('SELECT inqud_worker_stop()'), 't', 'the worker is stopped');
	$shop->wait_until("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'inqud worker'");
	return;
}

sub start_worker { return is($shop->sql('SELECT inqud_worker_start()'), 't', 'and started again') }

# A session's statement fails.
sub fails
{
	my ($sql, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $error = $session->query($sql)->{error};

	$session->query_safe('ROLLBACK') if $sql =~ /^BEGIN/;
	return Inqud::Shop::error_is($error, $expected, $name);
}

# ---------------------------------------------------------------------
# inqud_wait_checkout
# ---------------------------------------------------------------------

$emu->fault({ match => { method => 'POST', clientOrderId => 'awaited' }, action => 'delay', delay => 300 });
my $id = queue('awaited');
is($session->query_safe("SELECT state || ' ' || (acquiring_url IS NOT NULL) FROM inqud_wait_checkout($id)"), 'open true', 'it returns when the URL is there');
is($session->query_safe("SELECT state FROM inqud_wait_checkout($id, '0')"), 'open', 'and at once when it was there before');
$emu->fault({ match => { method => 'POST', clientOrderId => 'refused' }, action => 'status', status => 422, body => '{}' });
$id = queue('refused');
is($session->query_safe("SELECT state FROM inqud_wait_checkout($id)"), 'failed', 'and when it has failed');
$emu->clear_faults;

fails("BEGIN; SELECT inqud_wait_checkout((inqud_enqueue_checkout(" . $shop->arguments('own') . ")).id)",
	{ state => '55000', message => qr/was queued by this transaction/, hint => qr/Commit first/ }, 'an error at once in the same transaction');
fails('BEGIN; SAVEPOINT s; SELECT inqud_enqueue_checkout(' . $shop->arguments('own') . "); RELEASE s;
	SELECT inqud_wait_checkout(max(id)) FROM inqud.checkout", { state => '55000' }, 'also below a savepoint');
foreach my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	fails("BEGIN ISOLATION LEVEL $level; SELECT inqud_wait_checkout($id)", { state => '25001', hint => qr/READ COMMITTED/ }, "and at $level");
}
fails('SELECT inqud_wait_checkout(0)', { state => '42704', message => 'checkout 0 does not exist' }, 'an id that does not exist');
fails("SET ROLE app; SELECT inqud_wait_checkout($id)", { state => '42704' }, 'and one of another role');
$session->query_safe('RESET ROLE');

stop_worker();
$id = queue('later');
is($session->query_safe("SELECT state FROM inqud_wait_checkout($id, '200ms')"), 'queued', 'on timeout it returns the row as it is');
my $waiter = $shop->session;
$waiter->start("SELECT state FROM inqud_wait_checkout($id, '1min')");
$shop->wait_until("SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = " . $waiter->pid);
start_worker();
is($waiter->finish->{out}, 'open', 'who waits is told');
$waiter->close;

# ---------------------------------------------------------------------
# inqud_refresh
# ---------------------------------------------------------------------

$id = opened('refreshed', "10, 'USD'");
$emu->control('choose', { clientOrderId => 'refreshed' });
$session->query_safe("BEGIN; SELECT inqud_refresh($id); ROLLBACK");
is($session->query_safe("SELECT kind FROM inqud.pending WHERE checkout = $id"), 'idle', 'a rolled-back inqud_refresh asks for nothing');
is($session->query_safe("SELECT status FROM inqud_refresh($id)"), 'NEW', 'inqud_refresh calls nothing itself');
becomes($id, "status = 'REQUEST_CREATED'", 'the worker reads it');
$emu->control('settle', { clientOrderId => 'refreshed' });
$session->query_safe("SELECT inqud_refresh($id)");
becomes($id, "status = 'SUCCESS'", 'again');
$emu->control('correct', { clientOrderId => 'refreshed', status => 'CONFLICT' });
$session->query_safe("SELECT inqud_refresh($id)");
becomes($id, "status = 'CONFLICT'", 'a closed one is read, too');

# One that comes during a read is not lost.
$id = opened('poked', "10, 'USD'");
my $checkout = $shop->checkout('poked')->{checkout_id};
$emu->fault({ match => { checkout => $checkout }, action => 'delay', delay => 500, when => 'after', times => 1 });
$session->query_safe("SELECT inqud_refresh($id)");
$shop->wait_requests(path => $checkout);
$emu->control('settle', { clientOrderId => 'poked' });
$session->query_safe("SELECT inqud_refresh($id)");
becomes($id, "status = 'SUCCESS'", 'a refresh that comes during a read is not lost');
is(scalar(my @reads = $shop->requests(path => $checkout, method => 'GET')), 2, 'it takes one more read');

$shop->set_options('shop', retry_min => '1h', retry_max => '1h');
$emu->fault({ match => { method => 'POST', clientOrderId => $_ }, action => 'status', status => 500, times => 1 }) foreach 'late', 'later still';
$id = queue('late');
becomes($id, 'error IS NOT NULL', 'a create that waits for its next attempt');
$session->query_safe("SELECT inqud_refresh($id)");
becomes($id, "state = 'open'", 'is sent at once by inqud_refresh');
$id = queue('later still');
becomes($id, 'error IS NOT NULL', 'another one');
$session->query_safe("SELECT inqud_retry($id)");
becomes($id, "state = 'open'", 'is sent at once by inqud_retry');
$shop->set_options('shop', retry_min => '50ms', retry_max => '200ms');

# ---------------------------------------------------------------------
# inqud_retry
# ---------------------------------------------------------------------

$emu->fault({ match => { method => 'POST', clientOrderId => 'retried' }, action => 'status', status => 422, body => '{}', times => 2 });
$id = queue('retried');
becomes($id, "state = 'failed'", 'a failed one');
fails("SELECT inqud_refresh($id)", { state => '55000', hint => qr/inqud_retry/ }, 'cannot be read');
is($session->query_safe("SELECT state FROM inqud_retry($id)"), 'queued', 'inqud_retry queues it again');
becomes($id, "state = 'failed'", 'it fails again');
$session->query_safe("SELECT inqud_retry($id)");
becomes($id, "state = 'open' AND error IS NULL", 'and succeeds at last');
is(posts('retried'), 3, 'by its third request');
fails("SELECT inqud_retry($id)", { state => '55000', detail => qr/"open"/ }, 'an open one cannot be sent again');
fails('SELECT inqud_retry(0)', { state => '42704' }, 'nor one that does not exist');
$emu->fault({ match => { method => 'POST', clientOrderId => 'replaced' }, action => 'status', status => 422, body => '{}', times => 1 });
$id = queue('replaced');
becomes($id, "state = 'failed'", 'a failed one');
opened('replaced');
fails("SELECT inqud_retry($id)", { state => '55000', detail => qr/another checkout/ }, 'cannot be sent again once its order has another');
foreach my $function (qw(refresh retry cancel))
{
	fails("SET ROLE app; SELECT inqud_$function($id)", { state => '42704', message => "checkout $id does not exist" }, "inqud_$function: another role sees none");
	$session->query_safe('RESET ROLE');
}

# ---------------------------------------------------------------------
# inqud_cancel: not sent yet
# ---------------------------------------------------------------------

stop_worker();
$id = queue('unsent', "10, 'USD'");
is($session->query_safe("SELECT state || ' ' || current FROM inqud_cancel($id)"), 'canceled false', 'a queued one is canceled');
is($session->query_safe("SELECT count(*) FROM inqud.queue WHERE checkout = $id"), 0, 'there is nothing left to do');
is($session->query_safe("SELECT state FROM inqud_cancel($id)"), 'canceled', 'canceling again changes nothing');
is($session->query_safe("SELECT count(*) FROM inqud.event WHERE checkout = $id AND kind = 'canceled'"), 1, 'and is no second event');
fails("SELECT inqud_retry($id)", { state => '55000' }, 'it cannot be sent again');
fails("SELECT inqud_refresh($id)", { state => '55000' }, 'nor read');
my $next = queue('unsent', "12, 'EUR'");
Inqud::Shop::differs($next, $id, 'its order can have another');
is($session->query_safe("BEGIN; SELECT state FROM inqud_cancel((SELECT id FROM inqud_enqueue_checkout(" . $shop->arguments('at once') . '))); COMMIT'),
	'canceled', 'one of the same transaction can be canceled');
start_worker();
becomes($next, "state = 'open'", 'the other one is sent');
is(posts('unsent') . posts('at once'), '10', 'and the canceled ones never were');
is($emu->get('checkouts', clientOrderId => 'unsent')->[0]{fixedAmount}{amount}, 12, 'it is the new one that was sent');

# ---------------------------------------------------------------------
# inqud_cancel: being sent
# ---------------------------------------------------------------------

$emu->fault({ match => { method => 'POST', clientOrderId => 'being sent' }, action => 'hang', phase => 'headers', times => 1 });
$id = queue('being sent', "10, 'USD'");
$shop->wait_requests(body => '"being sent"');
is($session->query_safe("SELECT state || ' ' || current FROM inqud_cancel($id)"), 'queued false', 'one that is being sent is canceled');
$next = queue('being sent', "12, 'USD'");
Inqud::Shop::differs($next, $id, 'its order can have another');
becomes($next, "state = 'open'", 'which is sent');
$emu->control('release');
becomes($id, "state = 'open'", 'the answer to the first is recorded all the same');
is_row($id, 'open NEW free', 'beside the current one');
is_row($next, 'open NEW current', 'which stays current');
$emu->control('settle', { id => $shop->row("SELECT checkout_id FROM inqud.checkout WHERE id = $id")->{checkout_id} });
$session->query_safe("SELECT inqud_refresh($id)");
becomes($id, "status = 'SUCCESS'", 'it is followed, since it can be paid');
is_row($id, 'closed SUCCESS free', 'and stays free when it is paid');
like(trouble($id), qr/^anomaly: paid after it was canceled/, 'which is an anomaly');
is($session->query_safe('SELECT id FROM inqud_create_checkout(' . $shop->arguments('being sent', "10, 'USD'") . ')'), $id, 'the paid one counts from now on');

$shop->set_options('shop', timeout => '1s');
$emu->fault({ match => { method => 'POST', clientOrderId => 'never answered' }, action => 'hang', phase => 'headers' });
$id = queue('never answered');
$shop->wait_requests(body => '"never answered"');
$session->query_safe("SELECT inqud_cancel($id)");
becomes($id, "state = 'canceled'", 'a canceled one whose outcome is unknown is not sent again');
is(posts('never answered'), 1, 'really not');
$shop->set_options('shop', timeout => undef);
$emu->fault({ match => { method => 'POST', clientOrderId => 'forgotten' }, action => 'hang', phase => 'headers' });
$id = queue('forgotten');
$shop->wait_requests(body => '"forgotten"');
$session->query_safe("SELECT inqud_cancel($id)");
$shop->sql("SELECT pg_terminate_backend(" . $shop->worker_pid . ')');
becomes($id, "state = 'canceled'", 'nor is one whose worker ended meanwhile');
is(posts('forgotten'), 1, 'really not');
$emu->clear_faults;
$emu->control('release');

# ---------------------------------------------------------------------
# inqud_cancel: open, failed, closed
# ---------------------------------------------------------------------

$id = opened('open', "10, 'USD'");
my $was = $shop->checkout('open')->{checkout_id};
is($session->query_safe("SELECT state || ' ' || current FROM inqud_cancel($id)"), 'open false', 'an open one is canceled');
$next = opened('open', "10, 'USD'");
Inqud::Shop::differs($next, $id, 'its order gets another');
is(posts('open'), 2, 'by another request');
$emu->control('settle', { id => $was });
$session->query_safe("SELECT inqud_refresh($id)");
becomes($id, "status = 'SUCCESS'", 'the canceled one is paid all the same');
is(trouble($id), 'anomaly: paid after it was canceled', 'an anomaly');
is($session->query_safe("SELECT count(*) FROM inqud.payment WHERE checkout = $id AND NOT current"), 1, 'in inqud.payment, too');
$emu->control('settle', { id => $shop->row("SELECT checkout_id FROM inqud.checkout WHERE id = $next")->{checkout_id} });
$session->query_safe("SELECT inqud_refresh($next)");
becomes($next, "status = 'SUCCESS'", 'then the current one as well');
like(trouble($next), qr/paid twice: checkout $id/, 'paid twice is an anomaly');

# A create whose order has been paid meanwhile is not sent.
$id = opened('dropped', "10, 'USD'");
$was = $shop->checkout('dropped')->{checkout_id};
$session->query_safe("SELECT inqud_cancel($id)");
stop_worker();
$next = queue('dropped', "10, 'USD'");
$emu->control('settle', { id => $was });
is($session->query_safe("SELECT status FROM inqud_get_checkout('shop', '$was')"), 'SUCCESS', 'its canceled sibling is paid');
start_worker();
becomes($next, "state = 'canceled'", 'a queued one whose order is paid is dropped');
is(posts('dropped'), 1, 'and never sent');
is(queue('dropped', "10, 'USD'"), $id, 'the order keeps the paid one');

$emu->fault({ match => { method => 'POST', clientOrderId => 'failed' }, action => 'status', status => 422, body => '{}', times => 1 });
$id = queue('failed');
becomes($id, "state = 'failed'", 'a failed one');
$session->query_safe("SELECT inqud_cancel($id)");
is_row($id, 'failed free', 'is canceled');
is(trouble($id), '', 'and no trouble any more');
fails("SELECT inqud_retry($id)", { state => '55000', detail => qr/canceled/ }, 'it cannot be sent again');

$id = opened('conflict', "10, 'USD'");
$emu->control('settle', { clientOrderId => 'conflict', factor => '0.5' });
$session->query_safe("SELECT inqud_refresh($id)");
becomes($id, "status = 'CONFLICT'", 'an underpaid one');
like(trouble($id), qr/^conflict: .*UNDERPAID/, 'is trouble');
is(queue('conflict', "10, 'USD'"), $id, 'and keeps its order');
$session->query_safe("SELECT inqud_cancel($id)");
is_row($id, 'closed CONFLICT free', 'until it is canceled');
is(trouble($id), '', 'then it is no trouble any more');
$next = opened('conflict', "5, 'USD'");
Inqud::Shop::differs($next, $id, 'and its order gets another');

$id = opened('paid', "10, 'USD'");
$emu->control('settle', { clientOrderId => 'paid' });
$session->query_safe("SELECT inqud_refresh($id)");
becomes($id, "status = 'SUCCESS'", 'a paid one');
fails("SELECT inqud_cancel($id)", { state => '55000', message => "checkout $id is paid" }, 'cannot be canceled');
is_row($id, 'closed SUCCESS current', 'and stays its order\'s');
fails('SELECT inqud_cancel(0)', { state => '42704' }, 'nor one that does not exist');

# ---------------------------------------------------------------------
# inqud.enabled, and who may stop the worker
# ---------------------------------------------------------------------

$shop->sql('ALTER SYSTEM SET inqud.enabled = off');
$shop->node->reload;
$shop->wait_until("SHOW inqud.enabled", 'off');
$id = queue('disabled');
is($session->query_safe("SELECT state FROM inqud_wait_checkout($id, '300ms')"), 'queued', 'inqud.enabled off: nothing is claimed');
is(posts('disabled'), 0, 'nothing is sent');
$shop->sql('ALTER SYSTEM RESET inqud.enabled');
$shop->node->reload;
becomes($id, "state = 'open'", 'on: it goes on by itself');
fails("SET ROLE app; SELECT $_", { state => '42501' }, "$_ is not for everybody") foreach 'inqud_worker_stop()', 'inqud_worker_start()', 'inqud_adopt()';
$session->query_safe('RESET ROLE');

# ---------------------------------------------------------------------
# inqud_adopt: a copy of a database
# ---------------------------------------------------------------------

$shop->sql('CREATE DATABASE live');
my $live = $shop->in('live');
$live->sql('CREATE EXTENSION inqud');
$live->project('shop');
$live->sql('SELECT inqud_worker_stop()');
$live->sql($live->enqueue_sql("copied $_")) foreach 1 .. 3;
$shop->wait_until("SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'live'");
$shop->sql('CREATE DATABASE staging TEMPLATE live');
my $staging = $shop->in('staging');
$staging->sql($staging->enqueue_sql('made here'));
$staging->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'made here'", 'a copy works on what is queued in it');
is($staging->sql("SELECT count(*) FROM inqud.checkout WHERE state = 'queued'"), 3, 'and leaves alone what was copied');
is($staging->sql("SELECT count(*) FROM inqud.trouble WHERE trouble = 'foreign' AND advice ~ 'inqud_adopt'"), 3, 'inqud.trouble says why');
is(join(' ', map { posts("copied $_") } 1 .. 3), '0 0 0', 'none of that was sent');
is($staging->sql("SELECT inqud_adopt('other')"), 0, 'inqud_adopt takes over what belongs to the project');
is($staging->sql("SELECT inqud_adopt('shop')"), 3, 'all of it');
$staging->until("SELECT count(*) = 4 FROM inqud.checkout WHERE state = 'open'", 'then it is sent');
is($staging->sql('SELECT inqud_adopt()'), 0, 'there is nothing more to take over');
is($staging->sql("SELECT count(*) FROM inqud.trouble"), 0, 'and no trouble');

$session->close;
done_testing();
