#!/usr/bin/perl
#
# 027_locks.pl - proves that a session which holds locks on rows of
# inqud.checkout or inqud.queue for long delays only those rows, at every step
# of the worker, its start included; and that a batch of completions that fails
# at any point, the commit included, is redone row by row, so that only the row
# that cannot be written waits, and is written without another call later.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Digest::SHA qw(hmac_sha1_hex);
use Inqud::Faults qw(backend wait_worker);
use Inqud::Shop;
use PostgreSQL::Test::Utils ();
use Test::More;
use Time::HiRes qw(time usleep);

my $shop = Inqud::Shop->new(mapping => { webhook_secret => 's' },
	options => { max_inflight => 50, poll_new => '1day', poll_active => '1day' });
my $emu = $shop->emu;
my ($others, $longest) = (0, 0);

$shop->sql("CREATE TABLE told (order_id text, status text);
	CREATE FUNCTION tell(c inqud.checkout) RETURNS void LANGUAGE sql AS \$\$ INSERT INTO public.told VALUES (c.order_id, c.status) \$\$");

sub enqueue
{
	my (@orders) = @_;

	$shop->sql('SELECT ' . join ', ', map { "(inqud_enqueue_checkout('shop', '$_', 'x', 'https://shop.example/')).id" } @orders);
	return;
}

# Tests that other orders and reads come through, although the lock is not let go
# before they do.
sub others_pass
{
	my ($name) = @_;
	my $n = ++$others;
	my $started = time;

	enqueue(map { "other-$n-$_" } 1 .. 20);
	my $ok = $shop->comes_true("SELECT count(*) = 20 FROM inqud.checkout WHERE order_id LIKE 'other-$n-%' AND state = 'open'");
	$emu->control('settle', { clientOrderId => "other-$n-1" }) if $ok;
	$shop->sql("SELECT inqud_refresh(id) FROM inqud.checkout WHERE order_id = 'other-$n-1'") if $ok;
	$ok &&= $shop->comes_true("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE order_id = 'other-$n-1'");
	my $took = time - $started;
	$longest = $took if $took > $longest;
	return ok($ok, "$name: others do not wait");
}

# Holds the rows that a query locks, while `code` runs.
sub while_locked
{
	my ($query, $code) = @_;
	my $session = $shop->session;

	$session->query_safe('BEGIN');
	die "nothing was locked: $query\n" unless length $session->query_safe("$query FOR UPDATE");
	$code->();
	$session->query_safe('ROLLBACK');
	$session->close;
	return;
}

# Queues an order whose answer waits until it is let go.
sub hanging
{
	my ($order) = @_;

	$emu->fault({ match => { method => 'POST', clientOrderId => $order }, action => 'hang', phase => 'before', times => 1 });
	enqueue($order);
	$shop->wait_requests(method => 'POST', body => "\"$order\"");
	return;
}

sub let_go
{
	my ($order) = @_;

	$emu->control('release');
	$shop->wait_requests(method => 'POST', body => "\"$order\"", status => 200, done => 1);
	return;
}

# ---------------------------------------------------------------------
# Locks
# ---------------------------------------------------------------------

# Before it is claimed.
foreach my $table ('queue', 'checkout')
{
	my $order = "unclaimed-$table";
	my $column = $table eq 'queue' ? 'checkout' : 'id';

	$shop->sql('SELECT inqud_worker_stop()');
	enqueue($order);
	while_locked("SELECT 1 FROM inqud.$table WHERE $column = (SELECT id FROM inqud.checkout WHERE order_id = '$order')", sub {
		$shop->sql('SELECT inqud_worker_start()');
		others_pass("a queued order whose row of inqud.$table is locked");
		is($shop->checkout($order)->{state}, 'queued', 'it waits itself');
	});
	$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '$order'", 'and comes through when it is not locked any more');
	is($shop->posts->{$order}, 1, 'by one call');
}

# Between claim and completion.
foreach my $table ('queue', 'checkout')
{
	my $order = "sent-$table";
	my $column = $table eq 'queue' ? 'checkout' : 'id';

	hanging($order);
	while_locked("SELECT 1 FROM inqud.$table WHERE $column = (SELECT id FROM inqud.checkout WHERE order_id = '$order')", sub {
		let_go($order);
		others_pass("an answer whose row of inqud.$table is locked");
		is($shop->checkout($order)->{state}, 'queued', 'it waits itself');
	});
	$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '$order'", 'and is recorded when it is not locked any more');
	is($shop->posts->{$order}, 1, 'by one call');
}

# A worker that starts frees the leases of its predecessor, but not by waiting.
foreach my $table ('queue', 'checkout')
{
	my $order = "leased-$table";
	my $column = $table eq 'queue' ? 'checkout' : 'id';

	hanging($order);
	while_locked("SELECT 1 FROM inqud.$table WHERE $column = (SELECT id FROM inqud.checkout WHERE order_id = '$order')", sub {
		my $worker = wait_worker($shop);
		$shop->sql("SELECT pg_terminate_backend($worker)");
		$emu->control('release');
		others_pass("a worker that starts beside a lease whose row of inqud.$table is locked");
	});
	$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '$order'", 'which is sent when it is not locked any more');
}

# Rows that are read.
enqueue('read-queue', 'read-checkout', 'webhook-queue', 'webhook-checkout');
$shop->wait_until("SELECT count(*) = 4 FROM inqud.checkout WHERE order_id ~ '^(read|webhook)-' AND state = 'open'");
foreach my $how ('read', 'webhook')
{
	foreach my $table ('queue', 'checkout')
	{
		my $order = "$how-$table";
		my $row = $shop->checkout($order);
		my $column = $table eq 'queue' ? 'checkout' : 'id';

		$emu->control('settle', { clientOrderId => $order });
		$shop->sql("SELECT inqud_refresh($row->{id})") if $how eq 'read' && $table eq 'queue';
		while_locked("SELECT 1 FROM inqud.$table WHERE $column = $row->{id}", sub {
			if ($how eq 'webhook')
			{
				my $body = qq({"id":"$row->{checkout_id}","status":"SUCCESS"});
				$shop->sql("SET lock_timeout = '2s'; SELECT inqud_receive_webhook('shop', '$body'::bytea, '" . hmac_sha1_hex($body, 's') . "')");
				pass('a webhook is taken although the row is locked');
			}
			else
			{
				# as a webhook or the clock would
				$shop->sql("INSERT INTO inqud.inbox (home, server_id, checkout) SELECT home, server_id, checkout FROM inqud.queue WHERE checkout = $row->{id}");
			}
			others_pass("a read ($how) whose row of inqud.$table is locked");
		});
		$shop->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE order_id = '$order'", 'and its payment is seen when it is not locked any more');
	}
}

# Calls of on_status.
$shop->set_options('shop', on_status => 'public.tell');
$shop->sql('CREATE TABLE gate (n int); INSERT INTO gate VALUES (1)');
enqueue('hook');
$shop->wait_until("SELECT count(*) = 1 FROM told WHERE order_id = 'hook'");
{
	# A function that fails keeps its row in the queue.
	$shop->sql("CREATE OR REPLACE FUNCTION tell(c inqud.checkout) RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN
		IF c.order_id LIKE 'hook%' THEN RAISE EXCEPTION 'not now'; END IF; INSERT INTO public.told VALUES (c.order_id, c.status); END \$\$");
	enqueue('hook-2');
	$shop->wait_until("SELECT count(*) = 1 FROM inqud.call q JOIN inqud.checkout c ON c.id = q.checkout WHERE c.order_id = 'hook-2' AND q.attempts > 0");
	my $row = $shop->checkout('hook-2');
	$emu->control('settle', { clientOrderId => 'hook-2' });
	while_locked("SELECT 1 FROM inqud.call WHERE checkout = $row->{id}", sub {
		# the new status wants to be told through the locked row
		$shop->sql("SELECT inqud_refresh($row->{id})");
		others_pass('a status whose row for on_status is locked');
	});
	$shop->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE id = $row->{id}", 'and is recorded');

	# The row is locked while the function runs, which is until the gate opens.
	$shop->sql("CREATE OR REPLACE FUNCTION tell(c inqud.checkout) RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN
		WHILE c.order_id = 'hook-3' AND (SELECT n FROM public.gate) = 1 LOOP PERFORM pg_sleep(0.01); END LOOP;
		INSERT INTO public.told VALUES (c.order_id, c.status); END \$\$");
	enqueue('hook-3');
	$shop->wait_until("SELECT count(*) = 1 FROM inqud.call q JOIN inqud.checkout c ON c.id = q.checkout WHERE c.order_id = 'hook-3' AND q.attempts > 0");
	while_locked("SELECT 1 FROM inqud.call WHERE checkout = (SELECT id FROM inqud.checkout WHERE order_id = 'hook-3')", sub {
		$shop->sql('UPDATE gate SET n = 2');
		others_pass('a call of on_status whose row is locked while it runs');
	});
	$shop->until("SELECT count(*) >= 1 FROM told WHERE order_id = 'hook-3'", 'it is told');
	$shop->until("SELECT count(*) >= 1 FROM told WHERE order_id = 'hook-2' AND status = 'SUCCESS'", 'so is the one before');
	$shop->until('SELECT count(*) = 0 FROM inqud.call', 'and nothing is left to be told');
}

# A checkout whose last read is done leaves the queue.
{
	enqueue('settled');
	$shop->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'settled'");
	$emu->control('expire', { clientOrderId => 'settled' });
	my $row = $shop->checkout('settled');
	$shop->sql("SELECT inqud_refresh($row->{id})");
	$shop->wait_until("SELECT phase = 'check' AND kind = 'idle' FROM inqud.pending WHERE checkout = $row->{id}");
	$shop->sql('SELECT inqud_worker_stop()');
	$shop->sql("UPDATE inqud.queue SET tail_from = tail_from - interval '4 hours' WHERE checkout = $row->{id}");
	while_locked("SELECT 1 FROM inqud.queue WHERE checkout = $row->{id}", sub {
		$shop->sql('SELECT inqud_worker_start()');
		$shop->wait_requests(method => 'GET', path => $row->{checkout_id}, count => 2);
		others_pass('a checkout whose last read is done and whose row is locked');
	});
	# at once, or at the worker's next start
	$shop->sql('SELECT inqud_worker_stop()');
	$shop->sql('SELECT inqud_worker_start()');
	$shop->until("SELECT count(*) = 0 FROM inqud.queue WHERE checkout = $row->{id}", 'it leaves the queue in the end');
}

# Money on a replaced checkout looks at its siblings.
{
	enqueue('sibling');
	$shop->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'sibling'");
	my $old = $shop->checkout('sibling');
	$emu->control('expire', { id => $old->{checkout_id} });
	$shop->sql("SELECT inqud_refresh($old->{id})");
	$shop->wait_until("SELECT status = 'EXPIRED' FROM inqud.checkout WHERE id = $old->{id}");
	$shop->sql('SELECT inqud_worker_stop()');
	enqueue('sibling');
	$emu->control('correct', { id => $old->{checkout_id}, status => 'SUCCESS' });
	$shop->sql("SELECT inqud_refresh($old->{id})");
	while_locked("SELECT 1 FROM inqud.checkout WHERE order_id = 'sibling' AND current", sub {
		$shop->sql('SELECT inqud_worker_start()');
		others_pass('a payment whose sibling is locked');
	});
	$shop->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE id = $old->{id}", 'the payment is seen');
}

# News that a session reads while somebody has the row.
foreach my $table ('queue', 'checkout')
{
	my $order = "news-$table";
	my $column = $table eq 'queue' ? 'checkout' : 'id';

	enqueue($order);
	$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '$order'", 'a checkout is open');
	$emu->control('settle', { clientOrderId => $order });
	my $row = $shop->checkout($order);
	while_locked("SELECT 1 FROM inqud.$table WHERE $column = $row->{id}", sub {
		is($shop->sql("SELECT status FROM inqud_get_checkout('shop', '$row->{checkout_id}')"), 'SUCCESS',
			"a session that reads it, its row of inqud.$table locked, sees the news") foreach 1 .. 2;
		is($shop->checkout($order)->{status}, 'NEW', 'which cannot be written');
		is($shop->sql("SELECT count(*) FROM inqud.inbox WHERE checkout = $row->{id}"), 1, 'and are asked for again, once');
	});
	$shop->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE id = $row->{id}", 'they are written when the lock is gone');
}

# A row that somebody has for a moment: what the session gives back is the row with
# the news written to it.  On a slow machine a moment may be long, hence some tries.
my ($holder, $reader) = ($shop->session, $shop->session);
my $written = 0;
for (my $try = 1; $try <= 10 && !$written; $try++)
{
	my $order = "moment-$try";

	enqueue($order);
	$shop->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '$order'");
	$emu->control('settle', { clientOrderId => $order });
	my $row = $shop->checkout($order);
	$holder->query_safe("BEGIN; SELECT FROM inqud.checkout WHERE id = $row->{id} FOR UPDATE");
	$reader->start("SELECT status, closed_at IS NOT NULL FROM inqud_get_checkout('shop', '$row->{checkout_id}')");
	$shop->wait_requests(method => 'GET', path => $row->{checkout_id}, done => 1);
	# until it naps, or has given up
	my $state;
	do
	{
		$state = $shop->sql("SELECT concat_ws(' ', state, wait_event) FROM pg_stat_activity WHERE pid = @{[$reader->pid]}");
	} until $state =~ /^idle|InqudNews|Extension/;
	$holder->query_safe('ROLLBACK');
	$written = $reader->finish->{out} eq 'SUCCESS|t' && $state !~ /^idle/;
}
ok($written, 'a session waits for a lock that is held for a moment, and writes the news');
$_->close foreach $holder, $reader;

# An answer that waits for its row, of a project that has more to send and may not for an hour.
$shop->project('paused', options => { project_id => Inqud::Shop::SECOND, rate_limit => 0, poll_new => '1day', poll_active => '1day' });
$emu->fault({ match => { method => 'POST', clientOrderId => 'kept' }, action => 'hang', phase => 'before', times => 1 });
$shop->sql($shop->enqueue_sql('kept', undef, 'paused'));
$shop->wait_requests(method => 'POST', body => '"kept"');
$emu->fault({ match => { method => 'POST', body => '"pauses-' }, action => 'status', status => 429, body => '', retry_after => 3600 });
while_locked("SELECT 1 FROM inqud.checkout WHERE order_id = 'kept'", sub {
	$shop->sql("SELECT count(inqud_enqueue_checkout('paused', 'pauses-' || i, 'x', 'https://shop.example/')) FROM generate_series(1, 40) i");
	$shop->until("SELECT paused_until IS NOT NULL FROM inqud.stats WHERE project = 'paused'", 'a project pauses');
	$shop->until("SELECT count(*) > 1 FROM inqud.queue WHERE server_id = (SELECT id FROM inqud.known_server WHERE name = 'paused') AND lease IS NOT NULL", 'more of it are claimed');
	let_go('kept');
	# nothing else may come in now: news of others would have the worker look at this one, too
	$shop->until('SELECT in_flight = 0 FROM inqud.worker WHERE database = current_database()', 'the answer to one has come');
});
$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'kept'", 'it is written when the lock is gone, long before the pause ends');
$emu->clear_faults;
$shop->sql("DELETE FROM inqud.queue WHERE server_id = (SELECT id FROM inqud.known_server WHERE name = 'paused')");

# ---------------------------------------------------------------------
# Batches that fail
# ---------------------------------------------------------------------

$shop->set_options('shop', on_status => undef);
foreach my $when ('at the statement', 'at the commit')
{
	my $name = $when =~ /commit/ ? 'commit' : 'statement';
	my $how = $name eq 'commit' ? 'CONSTRAINT TRIGGER refuse AFTER UPDATE ON inqud.checkout DEFERRABLE INITIALLY DEFERRED'
	  : 'TRIGGER refuse BEFORE UPDATE ON inqud.checkout';

	$shop->sql("CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
		IF new.order_id = 'bad-$name' THEN RAISE EXCEPTION 'refused %', new.order_id; END IF; RETURN new; END \$\$;
		CREATE $how FOR EACH ROW EXECUTE FUNCTION refuse()");
	# all answers come at the same time
	$emu->fault({ match => { method => 'POST' }, action => 'hang', phase => 'before' });
	enqueue("bad-$name", map { "good-$name-$_" } 1 .. 45);
	$shop->wait_requests(method => 'POST', body => "-$name", count => 46);
	$emu->clear_faults;
	$emu->control('release');
	$shop->until("SELECT count(*) = 45 FROM inqud.checkout WHERE order_id LIKE 'good-$name-%' AND state = 'open'",
		"a batch that fails $when is redone row by row");
	is($shop->checkout("bad-$name")->{state}, 'queued', 'only the row that cannot be written waits');
	others_pass("a row that cannot be written ($when)");
	is_deeply([ grep { ($shop->posts->{"good-$name-$_"} // 0) != 1 } 1 .. 45 ], [], 'nothing was sent again');
	$shop->sql('DROP TRIGGER refuse ON inqud.checkout');
	$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'bad-$name'", 'it is written when it can be');
	is($shop->posts->{"bad-$name"}, 1, 'without another call');
}

# What a claim passes over since it is locked is older than what it takes; nothing tells the worker of the rollback.
$shop->sql('SELECT inqud_worker_stop()');
enqueue('earlier');
enqueue('later');
my $lock = $shop->session;
$lock->query_safe("BEGIN; SELECT FROM inqud.queue q JOIN inqud.checkout c ON c.id = q.checkout WHERE c.order_id = 'earlier' FOR UPDATE OF q");
$shop->sql('SELECT inqud_worker_start()');
$shop->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'later'");
$lock->query_safe('ROLLBACK');
$lock->close;
$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'earlier'", 'an order that was locked while a later one was claimed is sent after a rollback');

# REINDEX locks the table, then its indexes: whoever reads through an index must have locked the table for writing.
foreach my $table ('checkout', 'queue', 'event')
{
	my $reindex = $shop->session;

	hanging("reindex-$table");
	$reindex->query_safe("SET deadlock_timeout = '10ms'; BEGIN; LOCK TABLE inqud.$table IN SHARE MODE");
	let_go("reindex-$table");
	$shop->wait_until("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE backend_type = 'inqud worker'");
	is($reindex->query("REINDEX TABLE inqud.$table; COMMIT")->{err}, '', "REINDEX of inqud.$table ends while an answer waits for it");
	$reindex->close;
	$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'reindex-$table'", 'and the answer is written then');
}

# The same of a session.
foreach my $of (['refresh', 'queue'], ['cancel', 'checkout'])
{
	my ($command, $table) = @$of;
	my ($reindex, $session) = ($shop->session, $shop->session);
	my $id = $shop->checkout('later')->{id};

	$reindex->query_safe("SET deadlock_timeout = '10ms'; BEGIN; LOCK TABLE inqud.$table IN SHARE MODE");
	$session->start("SELECT inqud_$command($id)");
	$shop->wait_until("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $session->{pid}");
	is($reindex->query("REINDEX TABLE inqud.$table; COMMIT")->{err}, '', "REINDEX of inqud.$table ends beside inqud_$command");
	is($session->finish->{err}, '', 'which goes on then');
	$_->close foreach $reindex, $session;
}

# And of one that waits for an answer, which it will write.
{
	my ($reindex, $session) = ($shop->session, $shop->session);
	my $id = $shop->checkout('later')->{checkout_id};

	$emu->control('settle', { clientOrderId => 'later' });
	$emu->fault({ match => { method => 'GET' }, action => 'hang', phase => 'before', times => 1 });
	$session->start("SELECT status FROM inqud_get_checkout('shop', '$id')");
	$shop->wait_requests(method => 'GET', done => 0);
	$reindex->start("SET deadlock_timeout = '10ms'; REINDEX TABLE inqud.checkout");
	$shop->wait_until("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $reindex->{pid}");
	$emu->control('release');
	is($session->finish->{out}, 'SUCCESS', 'inqud_get_checkout writes its news beside a REINDEX');
	is($reindex->finish->{err}, '', 'which ends then');
	$_->close foreach $reindex, $session;
}

is($shop->sql('SELECT count(*) - count(DISTINCT checkout_id) FROM inqud.checkout WHERE checkout_id IS NOT NULL'), '0', 'no id stands twice');
note(sprintf 'the longest that others took beside a lock: %.1f s', $longest);

done_testing();
