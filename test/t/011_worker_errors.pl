#!/usr/bin/perl
#
# 011_worker_errors.pl - proves what the worker does about each class of failure:
# a refused order fails, refused credentials and wrong routes pause the project
# with that mapping and lose nothing, throttling waits as told, and what may or
# may not have arrived is sent again, with growing delays, until retry_for ends.
# Reads that fail keep the row, and whatever failed succeeds once the cause is
# gone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use JSON::PP ();
use List::Util qw(min);
use Test::More;

my $shop = Inqud::Shop->new(options => { poll_new => '1day', poll_active => '1day' });
my $emu = $shop->emu;
my $session = $shop->session;

sub literal { return Inqud::Shop::literal(@_) }

sub queue
{
	my ($order, $rest, $project) = @_;

	$session->query_safe($shop->enqueue_sql($order, $rest, $project));
	return;
}

# Waits until something is true of an order's newest checkout (c) and queue row (q).
sub becomes
{
	my ($order, $what, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return $shop->until("SELECT $what FROM inqud.checkout c LEFT JOIN inqud.queue q ON q.checkout = c.id
		WHERE order_id = " . literal($order) . ' ORDER BY c.id DESC LIMIT 1', $name);
}

# The events of an order: kind and HTTP status.
sub events
{
	my ($order) = @_;

	return $session->query_safe("SELECT coalesce(string_agg(concat_ws(':', e.kind, e.http_status), ' ' ORDER BY e.id), '')
		FROM inqud.event e JOIN inqud.checkout c ON c.id = e.checkout WHERE c.order_id = " . literal($order));
}

sub trouble
{
	my ($order) = @_;

	return $session->query_safe("SELECT coalesce(string_agg(trouble, ' ' ORDER BY trouble), '') FROM inqud.trouble WHERE order_id = "
		. literal($order));
}

# The requests for an order's create.
sub posts { return $shop->requests(method => 'POST', body => "\"$_[0]\"") }

# A fault for the creates of one order.
sub fault
{
	my ($order, %fault) = @_;

	return $emu->fault({ match => { method => 'POST', clientOrderId => $order }, %fault });
}

sub status
{
	my ($status, $message, %more) = @_;

	return (action => 'status', status => $status, body => defined $message ? { code => 'SOME_CODE', message => $message } : '', %more);
}

# ---------------------------------------------------------------------
# Refused: the order fails, at once and for good
# ---------------------------------------------------------------------

my $listener = $shop->session;
$listener->query_safe('LISTEN inqud');

foreach my $code (400, 409, 422)
{
	my $order = "refused $code";

	fault($order, status($code, 'because'));
	queue($order);
	becomes($order, "c.state = 'failed'", "status $code: the order fails");
	like($shop->checkout($order)->{error}, qr/$code.*because/, 'the row says why');
	is(scalar posts($order), 1, 'it is not sent again');
	is(events($order), "failed:$code", 'it has its event');
	is(trouble($order), 'failed', 'it is in inqud.trouble');
	is($session->query_safe('SELECT count(*) FROM inqud.pending WHERE order_id = ' . literal($order)), 0, 'there is nothing left to do');
}
is(scalar(grep { /"state"\s*:\s*"failed"/ } $listener->wait_notifications(sub { 3 == grep { /failed/ } @_ })), 3, 'NOTIFY tells of each');
$listener->close;
foreach my $misfit ([ clientOrderId => '"another"', 'order' ], [ projectId => '"CAP-another"', 'project' ], [ type => '"FIXED_PRICE"', 'type' ],
	[ fixedAmount => '{"amount":10.000000000000000001,"currency":"USD"}', 'amount', "10, 'USD'" ],
	[ fixedAmount => '{"amount":10,"currency":"EUR"}', 'amount', "10, 'USD'" ])
{
	my ($member, $value, $what, $rest) = @$misfit;
	my $order = "misfit $what $value";

	$order =~ s/\W+/ /g;
	fault($order, action => 'alter', override => { $member => $value });
	queue($order, $rest);
	becomes($order, "c.state = 'failed' AND c.acquiring_url IS NULL AND c.error ~ 'another $what'", "an answer of another $what: the order fails");
}
queue('first');
becomes('first', "c.state = 'open'", 'an order is opened');
my $taken = $shop->checkout('first')->{checkout_id};
fault('second', action => 'alter', override => { id => "\"$taken\"" });
queue('second');
becomes('second', "c.state = 'failed' AND c.error ~ 'already'", 'an answer with the id of another order\'s checkout: the order fails');
is($shop->checkout('first')->{state}, 'open', 'and the other order keeps it');
$emu->clear_faults;

# ---------------------------------------------------------------------
# Outcome unknown: sent again
# ---------------------------------------------------------------------

my %unknown = (
	'reset after processing' => { action => 'drop_after' }, 'reset before' => { action => 'drop_before' }, 'closed' => { action => 'drop_after', how => 'fin' },
	'status 500' => { status(500, 'oh dear') }, 'status 503' => { status(503) }, 'cut' => { action => 'truncate' },
	'HTML' => { action => 'status', status => 200, body => '<html>' }, 'empty object' => { action => 'status', status => 200, body => '{}' },
	'garbage' => { action => 'raw', base64 => 'AGdhcmJhZ2U=' }, 'silence' => { action => 'hang', phase => 'headers' });

$shop->set_options('shop', timeout => '3s');
foreach my $name (sort keys %unknown)
{
	fault($name, %{ $unknown{$name} }, times => 2);
	queue($name, "5, 'USD'");
}
foreach my $name (sort keys %unknown)
{
	becomes($name, "c.state = 'open' AND c.error IS NULL", "$name: succeeds in the end");
	is(scalar posts($name), 3, 'by the third request');
	like(events($name), qr/^error(?::\d+)? error(?::\d+)? created:200$/, 'the two before are events');
}
is($session->query_safe("SELECT count(*) FROM inqud.event WHERE kind = 'error' AND detail !~ 'outcome unknown; the call will be repeated'"), 0,
	'which say that the outcome is unknown');
is($session->query_safe('SELECT count(*) FROM (SELECT FROM inqud.checkout GROUP BY order_id HAVING count(*) > 1) x'), 0, 'each order has one row');
$shop->set_options('shop', timeout => undef);
$emu->control('release');
$emu->clear_faults;

# ---------------------------------------------------------------------
# Backoff, and its end
# ---------------------------------------------------------------------

$shop->set_options('shop', retry_min => '100ms', retry_max => '400ms');
fault('backoff', status(500), times => 6);
queue('backoff');
becomes('backoff', "c.state = 'open'", 'seven attempts');
my @at = map { $_->{epoch} } posts('backoff');
my @gaps = map { $at[$_] - $at[ $_ - 1 ] } 1 .. $#at;
note('delays: ', join ' ', map { sprintf '%.0f ms', $_ * 1000 } @gaps);
is(scalar @gaps, 6, 'six delays');
# Half of the full delay is jitter; what is late is never too early.
is_deeply([ grep { $gaps[$_] < 0.5 * min(0.1 * 2**$_, 0.4) - 0.005 } 0 .. $#gaps ], [], 'the delays grow as retry_min and retry_max say');
is($shop->checkout('backoff')->{error}, undef, 'a success clears the error');

$shop->set_options('shop', retry_min => '50ms', retry_max => '100ms', retry_for => '1s');
fault('given up', status(500, 'oh dear'));
queue('given up');
becomes('given up', "c.state = 'failed' AND c.error ~ '^given up after \\d+ attempts: .*oh dear'", 'retry_for ends it');
cmp_ok(scalar posts('given up'), '>=', 5, 'after several attempts');
is(trouble('given up'), 'failed', 'inqud.trouble has it');
$shop->set_options('shop', retry_for => undef, retry_min => '50ms', retry_max => '200ms');
$emu->clear_faults;
$session->query_safe("SELECT inqud_retry(id) FROM inqud.checkout WHERE order_id = 'given up'");
becomes('given up', "c.state = 'open'", 'inqud_retry sends it again');

# ---------------------------------------------------------------------
# Not reached
# ---------------------------------------------------------------------

$shop->set_options('shop', base_url => $shop->refused_url);
queue("unreached $_") foreach 1 .. 3;
becomes('unreached 2', "c.state = 'queued' AND c.error IS NOT NULL AND q.attempts > 2", 'a refused connection is tried again and again');
is(trouble('unreached 2'), 'not sent yet', 'inqud.trouble says so');
$shop->set_options('shop', base_url => $emu->url);
becomes("unreached $_", "c.state = 'open' AND c.error IS NULL", 'and succeeds once the address is right') foreach 1 .. 3;
is(scalar posts("unreached $_"), 1, 'by one request') foreach 1 .. 3;

# ---------------------------------------------------------------------
# Credentials: the project pauses for this mapping, and for no other
# ---------------------------------------------------------------------

$shop->sql("CREATE ROLE good LOGIN; GRANT USAGE ON FOREIGN SERVER shop TO good;
	CREATE USER MAPPING FOR good SERVER shop OPTIONS (token_id 'TKN-second', token_secret 'second')");
$emu->control('token', { id => 'TKN-second', secret => 'second', account => 'first' });
$emu->control('token', { id => Inqud::Shop::TOKEN, revoked => JSON::PP::true() });
$shop->set_options('shop', retry_min => '1s', retry_max => '2s');
$emu->control('reset', { only => ['log'] });
queue("credentials $_") foreach 1 .. 5;
becomes('credentials 1', "c.state = 'queued' AND c.error ~ '401'", 'refused credentials: the order stays queued');
my $good = $shop->session(user => 'good');
$good->query_safe($shop->enqueue_sql("of the good $_")) foreach 1 .. 3;
becomes("of the good $_", "c.state = 'open'", 'a role with a mapping of its own goes on') foreach 1 .. 3;
$good->close;
is(trouble('credentials 1'), 'credentials refused', 'inqud.trouble says so');
# Five were sent at once, and then one after each pause at the most; a pause has half a
# second or more.
$shop->wait_until("SELECT clock_timestamp() > (SELECT min(created_at) + interval '2500 ms' FROM inqud.checkout WHERE order_id ~ '^credentials')");
my $refusals = grep { ($_->{status} // 0) == 401 } $shop->requests(method => 'POST');
my $pauses = $session->query_safe("SELECT ceil(2 * extract(epoch FROM clock_timestamp() - min(created_at))) FROM inqud.checkout WHERE order_id ~ '^credentials'");
cmp_ok($refusals, '<=', 10 + $pauses, 'there is no storm of calls');
# one that is being sent has an attempt more until its refusal is written
$shop->until("SELECT bool_and(NOT sending) AND max(attempts) = 0 FROM inqud.pending WHERE order_id ~ '^credentials'", 'no attempt is counted');
$emu->control('token', { id => Inqud::Shop::TOKEN, revoked => JSON::PP::false() });
becomes("credentials $_", "c.state = 'open' AND c.error IS NULL", 'all of them are sent once the token is good again') foreach 1 .. 5;

$emu->control('token', { id => Inqud::Shop::TOKEN, secret => 'rotated' });
$shop->set_options('shop', retry_min => '10min', retry_max => '20min');
queue('rotated');
becomes('rotated', "c.state = 'queued' AND c.error ~ '401'", 'a rotated token is refused');
$shop->set_mapping('shop', token_secret => 'rotated');
becomes('rotated', "c.state = 'open'", 'a new one in the mapping ends the wait at once');

# Eight calls that are refused together are one refusal: none lengthens the pause that
# another began.  If each doubled it, it would last for half an hour at least.
$emu->fault({ match => { method => 'POST', body => '"together ' }, action => 'hang', phase => 'before' });
$shop->set_options('shop', retry_min => '1min', retry_max => '1day');
queue("together $_") foreach 1 .. 8;
$shop->wait_requests(method => 'POST', body => '"together ', count => 8);
$emu->fault({ match => { method => 'POST', body => '"together ' }, %{ { status(401, 'no such token') } } });
$emu->control('token', { id => Inqud::Shop::TOKEN, revoked => JSON::PP::true() });
$emu->control('release');
$shop->until("SELECT count(*) = 8 FROM inqud.checkout c JOIN inqud.queue q ON q.checkout = c.id WHERE order_id ~ '^together' AND c.error ~ '401' AND q.lease IS NULL",
	'eight calls are refused together');
is($session->query_safe("SELECT count(*) FROM inqud.pending WHERE order_id ~ '^together' AND due_at > clock_timestamp() + interval '2 min'"), 0,
	'which is one refusal, and one pause');
$emu->clear_faults;
$emu->control('token', { id => Inqud::Shop::TOKEN, revoked => JSON::PP::false() });
$shop->set_options('shop', retry_min => '50ms', retry_max => '200ms');
becomes("together $_", "c.state = 'open' AND c.error IS NULL", "order $_ of them is sent in the end") foreach 1 .. 8;

# ---------------------------------------------------------------------
# Route: one mistake must not fail every order
# ---------------------------------------------------------------------

$shop->set_options('shop', retry_min => '50ms', retry_max => '200ms');
foreach my $case ([ 'HTML 404', action => 'status', status => 404, body => '<html>', content_type => 'text/html' ], [ 'JSON 404', status(404, 'no such project') ],
	[ '405', status(405) ], [ 'redirect', status(302, undef, headers => { Location => 'http://127.0.0.1:1/' }) ])
{
	my ($name, %fault) = @$case;

	$emu->fault({ match => { method => 'POST' }, %fault });
	queue("$name $_") foreach 1 .. 3;
	becomes("$name $_", "c.state = 'queued' AND c.error IS NOT NULL", "$name: queued $_") foreach 1;
	is(trouble("$name 1"), 'wrong address', 'in inqud.trouble');
	$emu->clear_faults;
	becomes("$name $_", "c.state = 'open' AND c.error IS NULL", "$name: sent $_ in the end") foreach 1 .. 3;
}

# ---------------------------------------------------------------------
# Throttled: as told
# ---------------------------------------------------------------------

foreach my $case ([ 'status 429', status(429, undef, retry_after => 1), 0.99 ], [ 'status 408', status(408, undef, retry_after => 1), 0.99 ],
	[ 'a date', status(429, undef, retry_after_date => 3), 0.99 ], [ 'no word of when', status(429), 0.02 ], [ 'nonsense', status(429, undef, retry_after => 'soon'), 0.02 ])
{
	my $least = pop @$case;
	my ($name, %fault) = @$case;

	fault($name, %fault, times => 1);
	queue($name);
	becomes($name, "c.state = 'open'", "$name: sent again");
	my ($first, $second) = posts($name);
	note(sprintf '%s: after %.0f ms', $name, ($second->{epoch} - $first->{epoch}) * 1000);
	cmp_ok($second->{epoch} - $first->{epoch}, '>=', $least, 'not before it was told');
}
fault('counted', status(429, undef, retry_after => 1), times => 1);
queue('counted');
becomes('counted', "q.attempts = 0 AND c.error ~ '429'", 'a throttled call counts as no attempt');
becomes('counted', "c.state = 'open'", 'and succeeds');

# ---------------------------------------------------------------------
# Reads
# ---------------------------------------------------------------------

$shop->set_options('shop', poll_new => '100ms', poll_active => '100ms', max_reply_size => '64kB');
my %reads = (
	'read 400' => [ { status(400, 'no') }, 'cannot be read' ], 'read 401' => [ { status(401, 'no') }, 'credentials refused' ],
	'read 404' => [ { status(404, 'no such checkout') }, 'cannot be read' ],
	'read 404 HTML' => [ { action => 'status', status => 404, body => '<html>' }, 'wrong address' ],
	'read 500' => [ { status(500, 'no') }, 'cannot be read' ], 'read reset' => [ { action => 'drop_after' }, 'cannot be read' ],
	'read HTML' => [ { action => 'status', status => 200, body => '<html>' }, 'cannot be read' ],
	'read another' => [ { action => 'alter', override => { id => '"CCO-another"' } }, 'cannot be read' ],
	'read wrong' => [ { action => 'alter', override => { status => '7' } }, 'cannot be read' ],
	'read large' => [ { action => 'oversize', bytes => 100_000 }, 'cannot be read' ]);

foreach my $order (sort keys %reads)
{
	queue($order);
	becomes($order, "c.state = 'open'", "$order: open");
	$emu->fault({ match => { method => 'GET' }, %{ $reads{$order}[0] } });
	becomes($order, "c.error IS NOT NULL AND c.state = 'open' AND c.status = 'NEW'", 'a failing read keeps the row as it is');
	is(trouble($order), $reads{$order}[1], 'inqud.trouble says so');
	# Several more reads, and still one event.
	my $seen = $shop->requests(method => 'GET');
	$shop->wait_requests(method => 'GET', count => $seen + 3);
	like(events($order), qr/^created:200 error(?::\d+)?$/, 'one event, however often it fails');
	$emu->control('settle', { clientOrderId => $order });
	$emu->clear_faults;
	becomes($order, "c.status = 'SUCCESS' AND c.error IS NULL", 'the status arrives once reads succeed');
	is(trouble($order), '', 'and the trouble is gone');
}

is($session->query_safe("SELECT count(*) FROM inqud.checkout WHERE state = 'queued'"), 0, 'nothing was lost');
$session->close;
done_testing();
