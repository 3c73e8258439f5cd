#!/usr/bin/perl
#
# 047_stops.pl - proves that nothing stops silently: while answers cannot be
# written, no queue is emptied into the dark, inqud.trouble says why, and all
# comes through once they can; answers that wait for a lock hold up nobody else;
# and a queue of notices that fills up keeps no payment from being recorded.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use PostgreSQL::Test::Utils ();
use Test::More;
use Time::HiRes qw(usleep);

use constant { WINDOW => 8, ORDERS => 500 };

my $dir = PostgreSQL::Test::Utils::tempdir;
my $usage = "$dir/usage";
my $shim = "$dir/usage.so";

# How full the queue of notices is taken to be.
sub set_usage
{
	my ($full) = @_;

	open my $file, '>', "$usage.new" or die "$usage: $!\n";
	print {$file} "$full\n";
	close $file or die "$usage: $!\n";
	rename "$usage.new", $usage or die "$usage: $!\n";
	return;
}

set_usage(0);
system(qw(cc -shared -fPIC -O1 -o), $shim, "$FindBin::RealBin/lib/usage.c") == 0 or die "cc failed\n";

my $shop = Inqud::Shop->new(options => { max_inflight => WINDOW, poll_new => '1h', poll_active => '1h' },
	env => { INQUD_TEST_USAGE => $usage, LD_PRELOAD => join(':', grep { defined && length } $shim, $ENV{LD_PRELOAD}) });
my $emu = $shop->emu;
my $session = $shop->session;
my $here = 'FROM inqud.worker WHERE database = current_database()';

$shop->watch_with($session);

# How many creates Inqud has received.
sub sent { return scalar $shop->requests(method => 'POST') }

# The server's log so far.
sub logged { return PostgreSQL::Test::Utils::slurp_file($shop->node->logfile) }

sub count_of
{
	my ($text, $pattern) = @_;

	return scalar(() = $text =~ /$pattern/g);
}

# ---------------------------------------------------------------------
# Answers that cannot be written
# ---------------------------------------------------------------------

$session->query_safe('CREATE ROLE clerk; GRANT USAGE ON FOREIGN SERVER shop TO clerk');
$session->query_safe("ALTER TABLE inqud.event ADD CONSTRAINT stop CHECK (kind <> 'created') NOT VALID");
$session->query_safe("SELECT count(inqud_enqueue_checkout('shop', 'dark-' || n, 'x', 'https://shop.example/')) FROM generate_series(1, ${\ORDERS}) n");
$shop->until("SELECT trouble || ': ' || detail FROM inqud.trouble WHERE trouble = 'not recorded' AND detail ~ '^${\WINDOW} '",
	'inqud.trouble says what cannot be recorded',
	'not recorded: ' . WINDOW . ' answers of Inqud cannot be written: new row for relation "event" violates check constraint "stop"');
is($session->query_safe("SELECT unwritten || ' ' || (unwritten_since <= now()) || ' ' || error $here"),
	WINDOW . ' true new row for relation "event" violates check constraint "stop"', 'inqud.worker says it, too');
is($shop->sql("SELECT ok || ' ' || (detail ~ 'cannot write ${\WINDOW} answers of Inqud: new row .*\"stop\"') FROM inqud_check_project('shop') WHERE step = 'worker'"),
	'false true', 'and so does inqud_check_project');
is($shop->sql("SET ROLE clerk; SELECT detail FROM inqud.trouble WHERE trouble = 'not recorded'"), WINDOW . ' answers of Inqud cannot be written',
	'who is no member of pg_monitor is not told the error');

# Each is tried again several times: that is when more would be sent.
$session->query_safe('CREATE SEQUENCE tried; GRANT USAGE ON tried TO PUBLIC');
$session->query_safe("CREATE FUNCTION tried() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM nextval(''public.tried''); RETURN NEW; END';
	CREATE TRIGGER tried BEFORE INSERT ON inqud.event FOR EACH ROW EXECUTE FUNCTION tried()");
$shop->wait_until('SELECT last_value > ' . 3 * WINDOW . ' FROM tried');
is(sent(), WINDOW, 'no more is sent than the window has places') or diag(sent());
is($session->query_safe("SELECT count(*) FROM inqud.trouble WHERE trouble = 'no worker'"), 0, 'the worker goes on');
# undone, since the worker does not look for what becomes due before what it has seen
$session->query_safe("BEGIN; UPDATE inqud.queue SET due_at = due_at - interval '2 minutes' WHERE lease IS NULL");
like($session->query_safe("SELECT DISTINCT detail || '; ' || advice FROM inqud.trouble WHERE trouble = 'not picked up'"),
	qr/violates check constraint "stop"; see the trouble "not recorded"/, 'what waits meanwhile is told why');
$session->query_safe('ROLLBACK');
my $lines = count_of(logged(), qr/ERROR:  new row for relation "event" violates/);
cmp_ok($lines, '>=', 1, 'the log says it');
cmp_ok($lines, '<=', 2, 'and not for each row and attempt');

$session->query_safe('ALTER TABLE inqud.event DROP CONSTRAINT stop; DROP TRIGGER tried ON inqud.event');
$shop->until("SELECT count(*) FROM inqud.checkout WHERE order_id LIKE 'dark-%' AND state = 'open'", 'all come through once it is mended', ORDERS);
is(sent(), ORDERS, 'and none was sent twice');
$shop->until("SELECT count(*) FROM inqud.trouble", 'inqud.trouble is empty again', 0);
is($session->query_safe("SELECT unwritten || ' ' || coalesce(unwritten_since::text, '-') || ' ' || coalesce(error, '-') $here"), '0 - -',
	'and inqud.worker says nothing any more');
is($shop->sql("SELECT ok FROM inqud_check_project('shop') WHERE step = 'worker'"), 't', 'nor does inqud_check_project');

# Creates cannot be recorded, and the payment of an order is all the same.
$shop->sql($shop->enqueue_sql('paid meanwhile'));
$shop->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'paid meanwhile'");
$session->query_safe("ALTER TABLE inqud.event ADD CONSTRAINT stop CHECK (kind <> 'created') NOT VALID");
$session->query_safe("SELECT count(inqud_enqueue_checkout('shop', 'again-' || n, 'x', 'https://shop.example/')) FROM generate_series(1, 400) n");
# what was sent before the first failure is sent; how many depends on how quick the answers were
$shop->wait_until("SELECT unwritten >= ${\WINDOW} AND in_flight = 0 $here");
my @again = $shop->requests(method => 'POST', body => '"again-');
cmp_ok(scalar @again, '<', 300, 'creates that cannot be recorded keep their places');
$emu->control('settle', { clientOrderId => 'paid meanwhile' });
$session->query_safe("SELECT inqud_refresh(id) FROM inqud.checkout WHERE order_id = 'paid meanwhile'");
$shop->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE order_id = 'paid meanwhile'", 'creates that cannot be recorded keep no payment from it');
my @after = $shop->requests(method => 'POST', body => '"again-');
is(scalar @after, scalar @again, 'and a read that is recorded has no more of them sent');
$session->query_safe('ALTER TABLE inqud.event DROP CONSTRAINT stop');
$shop->until("SELECT count(*) FROM inqud.checkout WHERE order_id LIKE 'again-%' AND state = 'open'", 'all come through', 400);

# What fails before anything is sent.
$session->query_safe('ALTER TABLE inqud.queue ADD CONSTRAINT stop CHECK (lease IS NULL) NOT VALID');
$session->query_safe($shop->enqueue_sql('not claimed'));
$shop->until("SELECT error $here", 'inqud.worker says what keeps orders from being claimed', 'new row for relation "queue" violates check constraint "stop"');
$session->query_safe('ALTER TABLE inqud.queue DROP CONSTRAINT stop');
$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'not claimed'", 'the order is sent once it is mended');
$shop->until("SELECT error IS NULL $here", 'and the error does not stay for ever');

# ---------------------------------------------------------------------
# Answers whose rows are locked
# ---------------------------------------------------------------------

my $holder = $shop->session;
my $clerk = $shop->session;

$shop->project('narrow', options => { max_inflight => 2, poll_new => '1h', poll_active => '1h' });
$session->query_safe('GRANT USAGE ON FOREIGN SERVER narrow TO clerk');
$clerk->query_safe('SET ROLE clerk');
$emu->fault({ match => { method => 'POST', body => '"locked-' }, action => 'hang', phase => 'before' });
$clerk->query_safe($shop->enqueue_sql($_, undef, 'narrow')) foreach 'locked-1', 'locked-2';
$shop->wait_requests(method => 'POST', body => '"locked-', count => 2);
$holder->query_safe("BEGIN; SELECT count(*) FROM (SELECT FROM inqud.checkout WHERE order_id LIKE 'locked-%' FOR UPDATE) x");
$emu->clear_faults;
$emu->control('release');
$shop->wait_until("SELECT in_flight = 0 $here");
$clerk->query_safe($shop->enqueue_sql("clerk-$_", undef, 'narrow')) foreach 1 .. 5;
$session->query_safe($shop->enqueue_sql("other-$_", undef, 'narrow')) foreach 1 .. 5;
$shop->until("SELECT count(*) FROM inqud.checkout WHERE order_id LIKE 'other-%' AND state = 'open'",
	'answers that wait for locks of one owner keep no place from others', 5);
is(scalar($shop->requests(method => 'POST', body => '"clerk-')), 0, 'and of that owner no more is sent into them');
$holder->query_safe('ROLLBACK');
$shop->until("SELECT count(*) FROM inqud.checkout WHERE project = 'narrow' AND state = 'open'", 'all come through when the locks are gone', 12);
is(scalar($shop->requests(method => 'POST', body => "\"$_")), 1, "$_: sent once") foreach 'locked-1', 'locked-2', 'clerk-5';

# A read is made again rather than kept.
$shop->project('quick');
$session->query_safe($shop->enqueue_sql('read again', undef, 'quick'));
$shop->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'read again'");
my $row = $shop->checkout('read again');
$holder->query_safe("BEGIN; SELECT FROM inqud.checkout WHERE id = $row->{id} FOR UPDATE");
$emu->control('settle', { clientOrderId => 'read again' });
my $reads = scalar $shop->requests(method => 'GET', path => $row->{checkout_id});
$shop->wait_requests(method => 'GET', path => $row->{checkout_id}, count => $reads + 4);
pass('a read by the clock whose row is locked is made again');
$holder->query_safe('ROLLBACK');
$shop->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE order_id = 'read again'", 'and recorded when the lock is gone');
$_->close foreach $holder, $clerk;

# ---------------------------------------------------------------------
# Notices
# ---------------------------------------------------------------------

my $real = $shop->node->pg_version >= 17;
my ($blocker, $listener);

# From 17 on the queue can be made small, and is filled; before, the library is told that it is full.
sub fill
{
	return set_usage(0.5) unless $real;
	$blocker = $shop->session;
	$blocker->query_safe('LISTEN other; BEGIN; SELECT 1');
	$session->query_safe("SELECT pg_notify('other', repeat('x', 7900))") foreach 1 .. 40;
	return;
}

sub drain
{
	return set_usage(0.49) unless $real;
	$blocker->query_safe('ROLLBACK; UNLISTEN *');
	$blocker->close;
	return;
}

if ($real)
{
	$shop->watch_with(undef);
	$session->close;
	$shop->node->append_conf('postgresql.conf', 'max_notify_queue_pages = 64');
	$shop->restart;
	$session = $shop->session;
	$shop->watch_with($session);
}
else
{
	note('before PostgreSQL 17 the queue of notices has 8 GB: the library is told how full it is, and the queue stays empty');
}
$listener = $shop->session;
$listener->query_safe('LISTEN inqud');

sub is_recorded
{
	my ($order) = @_;

	$session->query_safe($shop->enqueue_sql($order));
	$shop->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '$order'");
	return;
}

is_recorded('noticed');
fill();

# The server is asked once a second.
my $n = 0;
my $said;
until (($said = $session->query_safe("SELECT count(*) FROM inqud.trouble WHERE trouble = 'notices'")) > 0 || $n == 100)
{
	is_recorded('filling-' . ++$n);
	usleep(50_000);
}
is($said, 1, 'inqud.trouble says that notices are left out');
is_recorded('unnoticed');
pass('an order is recorded while the queue of notices is half full');
is($session->query_safe("SELECT unnoticed_since <= now() AND error IS NULL $here"), 't', 'inqud.worker says it, too');
like($shop->sql("SELECT detail FROM inqud_check_project('shop') WHERE step = 'worker' AND NOT ok"), qr/without a notice/, 'and so does inqud_check_project');
my ($unnoticed) = map { $_->{id} } $shop->checkout('unnoticed');
ok(!(grep { /missed/ } $listener->wait_notifications(sub { grep { /: "?open/ } @_ })), 'listeners are told nothing yet');
drain();
my @told = $listener->wait_notifications(sub { grep { /missed/ } @_ });
is($told[-1], '{"missed" : true}', 'when notices pass again, listeners are told that some were left out');
ok(!(grep { /"id" : $unnoticed,/ } @told), 'they were');
$shop->until("SELECT count(*) FROM inqud.trouble WHERE trouble = 'notices'", 'inqud.trouble is empty again', 0);
my $after = do { is_recorded('noticed again'); $shop->checkout('noticed again')->{id} };
@told = $listener->wait_notifications(sub { grep { /"id" : $after,/ } @_ });
is(scalar(grep { /missed/ } @told), 0, 'and each change has its notice, and no more is said to be missed');

# Of a session's change, without a worker.
$session->query_safe('SELECT inqud_worker_stop()');
fill();
$n = 0;
until ($session->query_safe("SELECT count(*) FROM inqud.trouble WHERE trouble = 'notices'") > 0 || $n == 100)
{
	my $id = $shop->checkout('filling-1')->{id};

	$session->query_safe("SELECT inqud_cancel($id)");
	$session->query_safe($shop->enqueue_sql('filling-1'));
	$n++;
	usleep(50_000);
}
cmp_ok($n, '<', 100, 'a session leaves them out, too');
$session->query_safe('SELECT inqud_worker_start()');
drain();
ok((grep { /missed/ } $listener->wait_notifications(sub { grep { /missed/ } @_ })), 'and the next worker tells of it');
$_->close foreach $listener, $session;

done_testing();
