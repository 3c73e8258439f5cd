#!/usr/bin/perl
#
# 020_crash.pl - proves that crashes lose and change nothing: the worker, the
# launcher and the whole server are ended in every way at every step of an
# order's walk and again and again under load.  Afterwards each order is there
# with one checkout id, and no URL that another session has ever read is
# another one now, also with synchronous_commit = off.  No recovery waits for a
# call that was under way, or pays for crashes of long ago.  Storms of signals
# lose nothing and end nobody.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Faults qw(ask backend crash wait_worker);
use Inqud::Shop;
use Test::More;
use Time::HiRes qw(time usleep);

# The WAL writer must not make durable by chance what nobody asked to be.
my $shop = Inqud::Shop->new(
	conf => [ 'restart_after_crash = on', 'wal_writer_delay = 10s', 'wal_writer_flush_after = 1GB', 'max_connections = 30' ],
	options => { max_inflight => 20, poll_new => '1h', poll_active => '1h', timeout => '10min' });
my $emu = $shop->emu;
my ($survived, $slowest, $next_order) = (0, 0, 1);

$shop->create_orders(on_status => 0);

sub insert
{
	my ($n) = @_;
	my $from = $next_order;

	$next_order += $n;
	$shop->sql("INSERT INTO orders (id, total, currency) SELECT i, 10, 'USD' FROM generate_series($from, $next_order - 1) i");
	return $from;
}

# Crashes in one way, and waits until the order has its URL, for less long than its
# call could last; counts and measures.
sub survive
{
	my ($how, $order, $step) = @_;
	my $started = time;

	crash($shop, $how);
	# whoever was kept waiting may go on, to an answer that nobody awaits any more
	$emu->clear_faults;
	$emu->control('release');
	my $ok = $shop->comes_true("SELECT state = 'open' AND acquiring_url IS NOT NULL FROM inqud.checkout WHERE order_id = '$order' AND current");
	my $took = time - $started;

	$survived++;
	$slowest = $took if $took > $slowest;
	ok($ok, "$how $step: the order has its checkout");
	return;
}

# Is the one row of an order, of which `creates` exist at Inqud, one of those?
sub one_row
{
	my ($order, $name) = @_;
	my %exists = map { $_->{id} => $_->{acquiringUrl} } @{ $emu->get('checkouts', clientOrderId => $order) };
	my @rows = $shop->rows("SELECT * FROM inqud.checkout WHERE order_id = '$order'");

	ok(@rows == 1 && ($exists{ $rows[0]{checkout_id} } // '') eq $rows[0]{acquiring_url}, $name);
	return;
}

# ---------------------------------------------------------------------
# At each step
# ---------------------------------------------------------------------

my $reader = Inqud::Faults::Reader->start($shop);
my @ways = ('terminate worker', 'kill worker', 'immediate stop', 'kill launcher');

# Between claim and send: what a worker leaves that ends there is a lease.
foreach my $how ('terminate worker', 'immediate stop')
{
	$shop->sql('SELECT inqud_worker_stop()');
	my $order = insert(1);
	$shop->sql("UPDATE inqud.queue SET lease = 4711, attempts = 1 WHERE kind = 'create'");
	$shop->sql('SELECT inqud_worker_start()') if $how eq 'terminate worker';
	$shop->restart('immediate') if $how ne 'terminate worker';
	$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '$order'",
		"a lease that a worker left ($how) is freed at the next one's start");
	is($shop->posts->{$order}, 1, 'and the order is sent once');
	is($shop->sql("SELECT count(*) FROM inqud.event e JOIN inqud.checkout c ON c.id = e.checkout
		WHERE c.order_id = '$order' AND e.detail LIKE 'the worker ended before%'"), '1', 'which is noted');
}

# Between send and answer, not processed and processed.
foreach my $how (@ways)
{
	foreach my $phase ('before', 'headers')
	{
		$emu->fault({ match => { method => 'POST' }, action => 'hang', phase => $phase });
		my $order = insert(1);
		$shop->wait_requests(method => 'POST', body => "\"$order\"");
		survive($how, $order, "while a call hangs ($phase)");
		one_row($order, 'with one row, and a checkout that exists');
		my $noted = $shop->sql("SELECT count(*) FROM inqud.event e JOIN inqud.checkout c ON c.id = e.checkout
			WHERE c.order_id = '$order' AND e.kind = 'error'");
		ok($noted <= 1, 'and at most one note of it');
	}
}

# Between answer and completion: the row is locked, so the answer waits in the worker.
foreach my $how (@ways)
{
	$emu->fault({ match => { method => 'POST' }, action => 'hang', phase => 'before', times => 1 });
	my $order = insert(1);
	$shop->wait_requests(method => 'POST', body => "\"$order\"");
	my $holder = $shop->session;
	$holder->query_safe("BEGIN; SELECT FROM inqud.checkout WHERE order_id = '$order' FOR UPDATE");
	$emu->control('release');
	# the answer is there, and waits
	$shop->wait_requests(method => 'POST', body => "\"$order\"", status => 200, done => 1);
	is($shop->sql("SELECT checkout_id IS NULL FROM inqud.checkout WHERE order_id = '$order'"), 't',
		"$how: an answer waits for a locked row");
	# it ends although the row is still locked
	crash($shop, $how);
	$holder->close;
	$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '$order'", 'an answer not yet written is asked for again');
	$survived++;
	one_row($order, 'with one row, and a checkout that exists');
}

# ---------------------------------------------------------------------
# A late result of a lost lease
# ---------------------------------------------------------------------

{
	# A session sends what was queued, and the worker that starts meanwhile must not think it is its own.
	$shop->sql('SELECT inqud_worker_stop()');
	my $order = 'late';
	$shop->sql($shop->enqueue_sql($order));
	my $session = $shop->session;
	$emu->fault({ match => { method => 'POST' }, action => 'hang', phase => 'headers', times => 1 });
	ask($session, 'SELECT checkout_id FROM inqud_create_checkout(' . $shop->arguments($order) . ')');
	$shop->wait_requests(method => 'POST', body => '"late"');
	$shop->sql('SELECT inqud_worker_start()');
	my $other = insert(1);
	$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '$other'", 'a worker that starts during a session\'s call works');
	is($shop->posts->{$order}, 1, 'and does not send what the session sends');
	$emu->control('release');
	my $answer = $session->finish;
	is($answer->{error}, undef, 'the session gets its checkout');
	is($shop->sql("SELECT string_agg(checkout_id, ' ') FROM inqud.checkout WHERE order_id = '$order'"), $answer->{out},
		'the one that is recorded');
	$session->close;

	# The worker's own lease is lost while its call is under way: somebody else sent it meanwhile.
	$order = 'later';
	$emu->fault({ match => { method => 'POST' }, action => 'hang', phase => 'headers', times => 1 });
	$shop->sql($shop->enqueue_sql($order));
	$shop->wait_requests(method => 'POST', body => '"later"');
	$shop->sql("UPDATE inqud.queue SET lease = NULL WHERE kind = 'create'");
	my $own = $shop->row($shop->create_sql($order));
	is("$own->{current} $own->{state}", 'true open', 'a session that takes a lost lease over has its checkout');
	$emu->control('release');
	$shop->until("SELECT count(*) = 2 FROM inqud.checkout WHERE order_id = '$order'", 'the late answer becomes a row of its own');
	my ($kept, $late) = $shop->rows("SELECT * FROM inqud.checkout WHERE order_id = '$order' ORDER BY id");
	is("$kept->{checkout_id} $kept->{acquiring_url} $kept->{current}", "$own->{checkout_id} $own->{acquiring_url} true",
		'and leaves what is recorded as it was');
	is("$late->{current} $late->{state}", 'false open', 'it is not current, and open');
	Inqud::Shop::differs($late->{checkout_id}, $kept->{checkout_id}, 'with the other id');
	is($shop->sql("SELECT string_agg(kind, ' ') FROM inqud.pending WHERE checkout = $late->{id}"), 'idle', 'and is followed');
	is($shop->sql("SELECT trouble FROM inqud.trouble WHERE checkout = $late->{id}"), 'anomaly', 'inqud.trouble has it');
}

# ---------------------------------------------------------------------
# Terminated again and again
# ---------------------------------------------------------------------

# What happened long ago, and was followed by good work, must not slow a recovery:
# the delay before a start doubles with each failure that is remembered.
{
	foreach my $round (1 .. 6)
	{
		wait_worker($shop);
		my $started = time;
		crash($shop, 'terminate worker');
		my $order = insert(20);
		$shop->until("SELECT count(*) = 20 FROM inqud.checkout WHERE order_id::text ~ '^[0-9]+\$' AND order_id::bigint >= $order AND state = 'open'",
			"termination $round: 20 orders are done") or last;
		$survived++;
		note(sprintf 'termination %d: 20 orders done after %.1f s', $round, time - $started);
		$shop->until('SELECT failures = 0 FROM inqud.worker WHERE database = current_database()',
			"termination $round: is forgotten by then") or last;
	}
	crash($shop, 'terminate launcher');
	my $order = insert(5);
	$shop->until("SELECT count(*) = 5 FROM inqud.checkout WHERE order_id ~ '^[0-9]+\$' AND order_id::bigint >= $order AND state = 'open'",
		'a launcher that is terminated leaves the worker at work');
	$shop->wait_until("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'inqud launcher'");
	$survived++;
	is(scalar(backend($shop, 'inqud worker')), 1, 'and there is one worker');
}

# One that only follows checkouts comes back by itself, too: twice, since the launcher
# looks into every database after a start, and with no commit that would call for it.
{
	$shop->project('followed', options => { poll_new => '1s', poll_active => '1s' });
	$shop->sql($shop->enqueue_sql('followed', "10, 'USD'", 'followed'));
	$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'followed'", 'a checkout is followed');
	foreach my $end (1, 2)
	{
		my $worker = wait_worker($shop);

		crash($shop, 'terminate worker');
		$shop->until("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'inqud worker' AND pid <> $worker",
			"end $end of a worker that only follows checkouts: another one comes, without a commit");
		$survived++;
	}
	$emu->control('settle', { clientOrderId => 'followed' });
	$shop->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE order_id = 'followed'", 'and sees the payment');
}

# ---------------------------------------------------------------------
# Under load
# ---------------------------------------------------------------------

# Inserts and crashes in turn; the crash comes while a part is done.
sub storm
{
	my ($rounds, @how) = @_;
	my $from = $next_order;

	foreach my $round (0 .. $rounds - 1)
	{
		my $how = $how[$round % @how];
		my $done = $shop->sql("SELECT count(*) FROM inqud.checkout WHERE acquiring_url IS NOT NULL");
		insert(80);
		my $wanted = $done + 5 + int rand 60;
		$shop->wait_until("SELECT count(*) >= $wanted FROM inqud.checkout WHERE acquiring_url IS NOT NULL");
		my $started = time;
		crash($shop, $how);
		wait_worker($shop);
		my $took = time - $started;
		$survived++;
		$slowest = $took if $took > $slowest;
		note(sprintf '%s: a worker is there again after %.1f s', $how, $took);
	}
	return $from;
}

# Every order that is there from `from` on has one checkout, of its own.
sub all_there
{
	my ($from, $name) = @_;
	my $of = "order_id ~ '^[0-9]+\$' AND order_id::bigint >= $from";

	$shop->until("SELECT count(*) = 0 FROM orders o WHERE o.id >= $from AND NOT EXISTS
		(SELECT FROM inqud.checkout c WHERE c.order_id = o.id::text AND c.current AND c.state = 'open' AND c.checkout_id IS NOT NULL)",
		"$name: every order has its checkout");
	is($shop->sql("SELECT count(*) - count(DISTINCT order_id) FROM inqud.checkout WHERE $of AND current"), '0', "$name: one each");
	is($shop->sql("SELECT count(*) - count(DISTINCT checkout_id) FROM inqud.checkout WHERE $of"), '0', "$name: no id twice");
	my %real = map { $_->{id} => $_ } @{ $emu->get('checkouts') };
	my @wrong = grep { !$real{ $_->{checkout_id} } || $real{ $_->{checkout_id} }{clientOrderId} ne $_->{order_id}
		|| $real{ $_->{checkout_id} }{acquiringUrl} ne $_->{acquiring_url} }
	  $shop->rows("SELECT order_id, checkout_id, acquiring_url FROM inqud.checkout WHERE $of");
	is(scalar @wrong, 0, "$name: each is its own order's");
	is($shop->sql("SELECT count(*) FROM inqud.queue WHERE kind = 'create'"), '0', "$name: nothing is left in the queue");
	return;
}

$emu->fault({ match => { method => 'POST' }, action => 'delay', delay => 15 });
my $from = storm(8, @ways);
all_there($from, 'under load');
is($shop->sql("SELECT count(*) FROM orders WHERE id >= $from"), 8 * 80, 'no committed order is lost');

# With asynchronous commits an order may be lost with the crash; a URL may not.
$shop->sql('ALTER DATABASE postgres SET synchronous_commit = off');
crash($shop, 'fast stop');
$from = storm(6, 'immediate stop', 'kill worker');
all_there($from, 'synchronous_commit = off');
note('orders that asynchronous commits lost: ' . (6 * 80 - $shop->sql("SELECT count(*) FROM orders WHERE id >= $from")));
$shop->sql('ALTER DATABASE postgres RESET synchronous_commit');
crash($shop, 'fast stop');

# ---------------------------------------------------------------------
# Storms of signals
# ---------------------------------------------------------------------

{
	my $worker = wait_worker($shop);
	my ($launcher) = backend($shop, 'inqud launcher');
	my $first = $next_order;
	my $until = time + 3;
	my $sent = 0;

	insert(300);
	while (time < $until)
	{
		kill 'HUP', $worker, $launcher;
		kill 'USR1', $worker, $launcher;
		$sent += 4;
		usleep(500);
	}
	note("$sent signals sent");
	all_there($first, 'signal storm');
	my $posts = $shop->posts;
	is(scalar(grep { ($posts->{$_} // 0) != 1 } $first .. $next_order - 1), 0, 'signal storm: one call for each order');
	is($shop->worker_pid, $worker, 'signal storm: the worker is the same as before');
	is((backend($shop, 'inqud launcher'))[0], $launcher, 'signal storm: the launcher, too');
}

# ---------------------------------------------------------------------
# What was ever read is so now
# ---------------------------------------------------------------------

$reader->stop;
my @pairs = $reader->pairs;
my @changed = $reader->changed($shop);
cmp_ok(scalar @pairs, '>', 300, 'another session has read many URLs meanwhile');
is_deeply(\@changed, [], 'and none of them is another one now');
note(sprintf 'crashes survived: %d; slowest recovery: %.1f s; URLs read: %d; URLs changed: %d',
	$survived, $slowest, scalar @pairs, scalar @changed);

done_testing();
