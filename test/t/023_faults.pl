#!/usr/bin/perl
#
# 023_faults.pl - proves what every fault of the network and of Inqud's API does
# to queued orders and to reads: they recover by themselves, or end in "failed"
# with Inqud's own message; nothing is lost, nothing that is recorded is done
# again, the events say what happened; and what concerns one project or row
# holds up no other.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Faults ();
use Inqud::Shop;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);

my $shop = Inqud::Shop->new(
	emulator => { blackhole => 1 },
	options => { max_inflight => 50, poll_new => '1h', poll_active => '1h', timeout => '3s', connect_timeout => '2s',
		max_reply_size => '100kB' });
my $emu = $shop->emu;
my $faults = 0;

# The kinds and details of an order's events, in their order.
sub events
{
	my ($order) = @_;

	return $shop->rows("SELECT e.kind, e.detail, e.http_status FROM inqud.event e JOIN inqud.checkout c ON c.id = e.checkout
		WHERE c.order_id = '$order' ORDER BY e.id");
}

sub kinds { return join ' ', map { $_->{kind} } events(@_) }

# ---------------------------------------------------------------------
# Creates that recover by themselves
# ---------------------------------------------------------------------

# name, what goes wrong, what the event says, was it processed
my @passing = (
	[ 'reset-before', { action => 'drop_before', how => 'rst' }, qr/outcome unknown/, 0 ],
	[ 'closed-before', { action => 'drop_before', how => 'fin' }, qr/outcome unknown/, 0 ],
	[ 'reset-after', { action => 'drop_after', how => 'rst' }, qr/outcome unknown/, 1 ],
	[ 'closed-after', { action => 'drop_after', how => 'fin' }, qr/outcome unknown/, 1 ],
	[ 'hang-before', { action => 'hang', phase => 'before' }, qr/timed out.*outcome unknown/, 0 ],
	[ 'hang-headers', { action => 'hang', phase => 'headers' }, qr/timed out.*outcome unknown/, 1 ],
	[ 'hang-body', { action => 'hang', phase => 'body' }, qr/timed out.*outcome unknown/, 1 ],
	[ 'drip', { action => 'drip', interval => 50, chunk => 1, from => 'body' }, qr/timed out.*outcome unknown/, 1 ],
	[ 'truncated', { action => 'truncate' }, qr/outcome unknown/, 1 ],
	[ 'oversized', { action => 'oversize', bytes => 1000000 }, qr/max_reply_size.*outcome unknown/, 0 ],
	[ 'oversized-chunked', { action => 'oversize', bytes => 1000000, chunked => JSON::PP::true }, qr/max_reply_size.*outcome unknown/, 0 ],
	[ 'no-json', { action => 'status', status => 200, body => 'welcome', content_type => 'text/plain' }, qr/not JSON.*outcome unknown/, 0 ],
	[ 'no-object', { action => 'status', status => 200, body => '[]' }, qr/not a JSON object/, 0 ],
	[ 'empty', { action => 'status', status => 200, body => '' }, qr/not JSON/, 0 ],
	[ 'no-id', { action => 'alter', drop => ['id'] }, qr/no usable "id"/, 1 ],
	[ 'null-id', { action => 'alter', null => ['id'] }, qr/no usable "id"/, 1 ],
	[ 'no-status', { action => 'alter', drop => ['status'] }, qr/no usable "status"/, 1 ],
	[ 'nothing', { action => 'raw', text => '' }, qr/outcome unknown/, 0 ],
	[ 'garbage', { action => 'raw', base64 => 'AGdhcmJhZ2UKCg==' }, qr/outcome unknown/, 0 ],
	[ 's500', { action => 'status', status => 500 }, qr/500.*outcome unknown/, 0 ],
	[ 's500-processed', { action => 'status', status => 500, process => JSON::PP::true }, qr/outcome unknown/, 1 ],
	[ 's502', { action => 'status', status => 502, body => '<html>bad gateway</html>', content_type => 'text/html' }, qr/502.*outcome unknown/, 0 ],
	[ 's503', { action => 'status', status => 503 }, qr/503.*outcome unknown/, 0 ]);

$emu->fault({ %{ $_->[1] }, match => { method => 'POST', clientOrderId => $_->[0] }, times => 2 }) foreach @passing;
$shop->sql('SELECT ' . join ', ', map { 'inqud_enqueue_checkout(' . $shop->arguments($_->[0]) . ')' } @passing);
$shop->wait_until('SELECT bool_and(acquiring_url IS NOT NULL) FROM inqud.checkout');
my $counts = $emu->get('counts');
foreach my $case (@passing)
{
	my ($order, undef, $says, $processed) = @$case;
	my @events = events($order);
	my $row = $shop->checkout($order);

	$faults++;
	is("$row->{state} " . ($row->{error} // 'fine'), 'open fine', "$order: the order recovers by itself");
	is(join(' ', map { $_->{kind} } @events), 'error error created', "$order: the events are the faults and the end");
	like($events[0]{detail}, $says, "$order: and say what happened");
	is($counts->{posts}{$order}, 3, "$order: it was sent three times");
	is($counts->{creates}{$order}, $processed ? 3 : 1, "$order: and processed as often as it was");
}
is($shop->sql('SELECT count(*) - count(DISTINCT order_id) FROM inqud.checkout'), '0', 'each order has one row');
$emu->clear_faults;
$emu->control('release');

# ---------------------------------------------------------------------
# Where nobody answers at all
# ---------------------------------------------------------------------

my $info = $emu->get('info');
my %nowhere = (
	'name-not-resolved' => 'https://inqud.invalid', 'connection-refused' => $shop->refused_url,
	'connect-hangs' => "http://127.0.0.1:$info->{blackhole}{connectHangs}",
	'tls-hangs' => "https://127.0.0.1:$info->{blackhole}{answerHangs}");

$shop->project('nowhere', options => { poll_new => '1h', poll_active => '1h', timeout => '3s', connect_timeout => '2s' });
foreach my $case (sort keys %nowhere)
{
	$faults++;
	$shop->set_options('nowhere', base_url => $nowhere{$case});
	$shop->sql($shop->enqueue_sql($case, undef, 'nowhere'));
	$shop->until("SELECT count(*) >= 1 FROM inqud.trouble WHERE order_id = '$case' AND trouble = 'not sent yet'", "$case: inqud.trouble has it");
	$shop->set_options('nowhere', base_url => $emu->url);
	$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '$case'", "$case: the order recovers by itself");
	like(kinds($case), qr/^error( error)* created$/, "$case: the events are the faults and the end");
	my ($event) = events($case);
	note("$case: $event->{detail}");
	is($shop->posts->{$case}, 1, "$case: it was sent once");
}

# ---------------------------------------------------------------------
# Refusals
# ---------------------------------------------------------------------

foreach my $status (400, 409, 422)
{
	my $order = "refused-$status";

	$faults++;
	$emu->fault({ match => { clientOrderId => $order }, action => 'status', status => $status,
		body => { code => 'NO', message => "Inqud says no to $status" } });
	$shop->sql($shop->enqueue_sql($order));
	$shop->until("SELECT state = 'failed' FROM inqud.checkout WHERE order_id = '$order'", "$status: the order fails");
	like($shop->checkout($order)->{error}, qr/Inqud says no to $status/, "$status: with Inqud's own message");
	is(kinds($order), 'failed', "$status: the event says so");
	is((events($order))[0]{http_status}, $status, "$status: with the HTTP status");
	is($shop->posts->{$order}, 1, "$status: it is not sent again");
	is($shop->sql("SELECT trouble FROM inqud.trouble WHERE order_id = '$order'"), 'failed', "$status: inqud.trouble has it");
}
$emu->clear_faults;
$shop->sql("SELECT inqud_retry(id) FROM inqud.checkout WHERE state = 'failed'");
$shop->until("SELECT count(*) = 3 FROM inqud.checkout WHERE order_id LIKE 'refused-%' AND state = 'open'", 'inqud_retry sends them again');

# Refusals that are no fault of the order: it waits until they are mended.
foreach my $case ([ 401, { code => 'UNAUTHORIZED', message => 'no such token' } ], [ 403, { code => 'FORBIDDEN', message => 'not yours' } ],
	[ 404, '<html>not found</html>' ], [ 405, { code => 'METHOD', message => 'not allowed' } ], [ 302, 'elsewhere' ])
{
	my ($status, $body) = @$case;
	my $order = "waits-$status";

	$faults++;
	my $rule = $emu->fault({ match => { clientOrderId => $order }, action => 'status', status => $status, body => $body,
		(ref $body ? () : (content_type => 'text/html')), times => 3 });
	$shop->sql($shop->enqueue_sql($order));
	$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '$order'", "$status: the order recovers by itself");
	like(kinds($order), qr/^error( error)* created$/, "$status: the events are the fault and the end");
	is((events($order))[0]{http_status}, $status, "$status: with the HTTP status");
	is($shop->posts->{$order}, 4, "$status: three attempts were refused");
}

# ---------------------------------------------------------------------
# Throttled
# ---------------------------------------------------------------------

$shop->project('second', options => { project_id => Inqud::Shop::SECOND, poll_new => '1h', poll_active => '1h', max_inflight => 50 });
foreach my $case ([ none => {} , 0 ], [ seconds => { retry_after => 2 }, 1.9 ], [ date => { retry_after_date => 3 }, 1.5 ],
	[ negative => { retry_after => '-5' }, 0 ], [ nonsense => { retry_after => 'soon' }, 0 ], [ zero => { retry_after => 0 }, 0 ])
{
	my ($name, $header, $pause) = @$case;
	my $order = "throttled-$name";

	$faults++;
	$emu->fault({ match => { clientOrderId => $order }, action => 'status', status => 429, %$header, times => 1 });
	$shop->sql($shop->enqueue_sql($order));
	my ($first) = $shop->wait_requests(body => "\"$order\"", status => 429, done => 1);
	$shop->wait_until("SELECT q.lease IS NULL FROM inqud.queue q JOIN inqud.checkout c ON c.id = q.checkout WHERE c.order_id = '$order' AND c.error IS NOT NULL
		UNION ALL SELECT true WHERE EXISTS (SELECT FROM inqud.checkout WHERE order_id = '$order' AND state = 'open')");
	my $started = time;
	$shop->sql($shop->enqueue_sql("after-$name"));
	$shop->sql($shop->enqueue_sql("beside-$name", undef, 'second'));
	$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'beside-$name'", "429 ($name): another project goes on");
	note(sprintf '429 (%s): another project after %.2f s', $name, time - $started);
	$shop->until("SELECT count(*) = 2 FROM inqud.checkout WHERE order_id IN ('$order', 'after-$name') AND state = 'open'",
		"429 ($name): the orders recover by themselves");
	my ($after) = $shop->requests(body => "\"after-$name\"");
	my (undef, $again) = $shop->requests(body => "\"$order\"");
	my ($least) = sort { $a <=> $b } map { $_->{epoch} - $first->{epoch} } $after, $again;
	note(sprintf '429 (%s): next call of the project after %.2f s', $name, $least);
	cmp_ok($least, '>=', $pause, "429 ($name): the project pauses as told");
	is($shop->sql("SELECT attempts FROM inqud.queue WHERE checkout = (SELECT id FROM inqud.checkout WHERE order_id = '$order') AND kind = 'create'
		UNION ALL SELECT 0 LIMIT 1"), '0', "429 ($name): no attempt is counted");
}

# One absurd header must not stop a project's payments for a day.
$faults++;
$shop->project('absurd', options => { project_id => 'CAP-absurd', rate_limit => 5 });
$emu->control('project', { id => 'CAP-absurd', name => 'absurd', account => 'first' });
$emu->fault({ match => { project => 'CAP-absurd' }, action => 'status', status => 429, retry_after => '99999999999999999999', times => 1 });
$shop->sql($shop->enqueue_sql('throttled-absurd', undef, 'absurd'));
$shop->wait_until("SELECT error IS NOT NULL FROM inqud.checkout WHERE order_id = 'throttled-absurd'");
my $error = $shop->error($shop->create_sql('too-soon', undef, 'absurd'));
is($error->{state}, 'IQ003', '429 (absurd): a session is told that the project pauses');
my ($pause) = ($error->{hint} // '') =~ /Try again in (\d+) ms/;
ok(defined $pause && $pause > 0 && $pause <= 3_600_000, '429 (absurd): for an hour at most') or diag($error->{hint} // 'there is no hint');
$shop->sql($shop->enqueue_sql('beside-absurd', undef, 'second'));
$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'beside-absurd'", '429 (absurd): and no other project pauses');
is($shop->checkout('throttled-absurd')->{state}, 'queued', '429 (absurd): while this one does');
$shop->sql("DELETE FROM inqud.queue WHERE server_id = (SELECT id FROM inqud.known_server WHERE name = 'absurd')");

# ---------------------------------------------------------------------
# A server that would allow, return or reject a repeated order
# ---------------------------------------------------------------------

foreach my $mode ('allow', 'return', 'reject')
{
	my $order = "repeated-$mode";

	$faults++;
	$emu->control('settings', { duplicates => $mode });
	$emu->fault({ match => { method => 'POST', clientOrderId => $order }, action => 'drop_after', times => 1 });
	$shop->sql($shop->enqueue_sql($order));
	$shop->until("SELECT state <> 'queued' FROM inqud.checkout WHERE order_id = '$order'", "repeated orders, $mode: it comes to an end");
	my @real = @{ $emu->get('checkouts', clientOrderId => $order) };
	my $row = $shop->checkout($order);
	is($shop->posts->{$order}, 2, "repeated orders, $mode: sent twice");
	is(scalar @real, $mode eq 'allow' ? 2 : 1, "repeated orders, $mode: what exists at Inqud");
	if ($mode eq 'reject')
	{
		is($row->{state}, 'failed', "repeated orders, $mode: it fails");
		like($row->{error}, qr/\S/, "repeated orders, $mode: with Inqud's message");
		note("repeated orders, $mode: $row->{error}");
		next;
	}
	is($row->{state}, 'open', "repeated orders, $mode: it is open");
	ok((grep { $_->{id} eq $row->{checkout_id} && $_->{acquiringUrl} eq $row->{acquiring_url} } @real), "repeated orders, $mode: the recorded one exists");
}
$emu->control('settings', { duplicates => undef });

# ---------------------------------------------------------------------
# Reads
# ---------------------------------------------------------------------

my @reads = (@passing,
	[ 'r404', { action => 'status', status => 404, body => { code => 'NOT_FOUND', message => 'no such checkout' } }, qr/no such checkout/ ],
	[ 'r400', { action => 'status', status => 400, body => { code => 'NO', message => 'bad read' } }, qr/bad read/ ],
	[ 'other', { action => 'alter', override => { id => '"CCO-another"' } }, qr/another checkout/ ]);

$shop->sql('SELECT ' . join ', ', map { "inqud_enqueue_checkout('shop', 'read-$_->[0]', 'x', 'https://shop.example/')" } @reads);
$shop->wait_until("SELECT bool_and(state = 'open') FROM inqud.checkout WHERE order_id LIKE 'read-%'");
foreach my $case (@reads)
{
	my $row = $shop->checkout("read-$case->[0]");

	$faults++;
	$emu->control('settle', { clientOrderId => "read-$case->[0]" });
	$emu->fault({ %{ $case->[1] }, match => { method => 'GET', checkout => $row->{checkout_id} }, times => 2 });
}
$shop->sql("SELECT inqud_refresh(id) FROM inqud.checkout WHERE order_id LIKE 'read-%'");
$shop->until("SELECT bool_and(status = 'SUCCESS') FROM inqud.checkout WHERE order_id LIKE 'read-%'", 'reads: every payment is seen in the end');
foreach my $case (@reads)
{
	my @events = events("read-$case->[0]");

	# libcurl may repeat a GET by itself when a kept connection was closed; a
	# timeout says each time how many milliseconds it took
	like(join(' ', map { $_->{kind} } @events), $case->[0] =~ /^(?:reset|closed|nothing)/ ? qr/^created (?:error )?status$/ : qr/^created error (?:error )?status$/,
		"read, $case->[0]: the events are the fault, once, and the payment");
	is($shop->checkout("read-$case->[0]")->{error}, undef, "read, $case->[0]: the error is gone");
}
is($shop->sql("SELECT count(*) FROM inqud.trouble WHERE order_id LIKE 'read-%'"), '0', 'reads: nothing is left in inqud.trouble');
$emu->clear_faults;
$emu->control('release');

# ---------------------------------------------------------------------
# An outage
# ---------------------------------------------------------------------

my $rule = $emu->fault({ match => { method => 'POST' }, action => 'status', status => 503 });
$shop->set_options('shop', retry_for => '1day');
$shop->sql("SELECT count(inqud_enqueue_checkout('shop', 'out-' || i, 'x', 'https://shop.example/')) FROM generate_series(1, 200) i");
$shop->wait_until("SELECT count(*) = 200 AND min(attempts) >= 10 FROM inqud.queue WHERE kind = 'create'");
$emu->clear_faults;
$shop->until("SELECT count(*) = 200 FROM inqud.checkout WHERE order_id LIKE 'out-%' AND state = 'open'", 'an outage of many attempts costs no order');
is($shop->sql("SELECT count(DISTINCT checkout_id) FROM inqud.checkout WHERE order_id LIKE 'out-%'"), '200', 'each has its own');

$emu->fault({ match => { method => 'POST' }, action => 'status', status => 503, body => { message => 'under maintenance' } });
$shop->set_options('shop', retry_for => '1s');
$shop->sql($shop->enqueue_sql('given-up'));
$shop->until("SELECT state = 'failed' FROM inqud.checkout WHERE order_id = 'given-up'", 'after retry_for a create is given up');
like($shop->checkout('given-up')->{error}, qr/^given up after \d+ attempts: .*under maintenance/, 'with the last message');
$emu->clear_faults;
$shop->sql("SELECT inqud_retry(id) FROM inqud.checkout WHERE order_id = 'given-up'");
$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'given-up'", 'and can be sent again');
$shop->set_options('shop', retry_for => undef);

# ---------------------------------------------------------------------
# One does not hold up another
# ---------------------------------------------------------------------

my $round = 0;

# 50 orders of the healthy project are through.
sub healthy
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $n = ++$round;
	my $started = time;

	$shop->sql("SELECT count(inqud_enqueue_checkout('second', 'healthy-$n-' || i, 'x', 'https://shop.example/')) FROM generate_series(1, 50) i");
	$shop->until("SELECT count(*) = 50 FROM inqud.checkout WHERE order_id LIKE 'healthy-$n-%' AND state = 'open'", $name);
	note(sprintf '%s: %.2f s', $name, time - $started);
	return;
}

# Projects whose own orders are not through before the test has lost its patience.
my %bad = (
	refused => { base_url => $shop->refused_url }, unresolved => { base_url => 'https://inqud.invalid' },
	hangs => { base_url => $nowhere{'connect-hangs'}, timeout => '10min', connect_timeout => '10min' },
	tls_hangs => { base_url => $nowhere{'tls-hangs'}, timeout => '10min', connect_timeout => '10min' }, credentials => { mapping => { token_secret => 'wrong' } },
	slow => {});
foreach my $case (sort keys %bad)
{
	my %o = %{ $bad{$case} };
	my $mapping = delete $o{mapping};

	$faults++;
	$shop->project("bad_$case", options => { max_inflight => 50, poll_new => '1h', poll_active => '1h', %o }, mapping => $mapping);
	$emu->fault({ match => { method => 'POST', body => '"slow-' }, action => 'delay', delay => 5000 });
	$shop->sql("SELECT count(inqud_enqueue_checkout('bad_$case', '$case-' || i, 'x', 'https://shop.example/')) FROM generate_series(1, 5000) i");
	$shop->wait_until("SELECT count(*) > 0 FROM inqud.queue WHERE server_id = (SELECT id FROM inqud.known_server WHERE name = 'bad_$case') AND attempts > 0") if $case ne 'credentials';
	healthy("50 orders of a healthy project are through beside 5000 of another ($case)");
	cmp_ok($shop->sql("SELECT count(*) FROM inqud.queue WHERE server_id = (SELECT id FROM inqud.known_server WHERE name = 'bad_$case') AND kind = 'create'"), '>', 0, "which are not ($case)");
	is($shop->sql("SELECT count(*) FROM inqud.checkout WHERE project = 'bad_$case' AND error IS NOT NULL"), '0', "none of its calls has come to an end meanwhile ($case)")
	  if $case =~ /hangs/;
	$shop->sql("DELETE FROM inqud.queue WHERE server_id = (SELECT id FROM inqud.known_server WHERE name = 'bad_$case'); DELETE FROM inqud.checkout WHERE project = 'bad_$case'; DROP SERVER bad_$case CASCADE");
	$emu->clear_faults;
}

# Rows that cannot be sent, whatever made them so.
$shop->sql('SELECT inqud_worker_stop(); CREATE ROLE gone; GRANT USAGE ON FOREIGN SERVER shop TO gone');
$shop->wait_until("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'inqud worker'");
$shop->sql('SELECT ' . join ', ', map { "inqud_enqueue_checkout('shop', 'poison-$_', 'x', 'https://shop.example/', 1, 'USD')" } qw(nan extra owner project none));
$shop->sql(q{
	UPDATE inqud.checkout SET amount = 'NaN' WHERE order_id = 'poison-nan';
	UPDATE inqud.checkout SET extra = '[1]' WHERE order_id = 'poison-extra';
	UPDATE inqud.checkout SET owner = 'nobody-at-all', owner_id = 999999 WHERE order_id = 'poison-owner';
	UPDATE inqud.checkout SET project_id = 'CAP-else' WHERE order_id = 'poison-project';
	INSERT INTO inqud.queue (checkout, home, server_id, kind, due_at) SELECT 999999, home, server_id, kind, due_at FROM inqud.queue WHERE kind = 'create' LIMIT 1});
$shop->sql('SELECT inqud_worker_start()');
healthy('rows that cannot be sent hold nobody up');
$shop->sql("SELECT count(inqud_enqueue_checkout('shop', 'beside-poison-' || i, 'x', 'https://shop.example/')) FROM generate_series(1, 50) i");
$shop->until("SELECT count(*) = 50 FROM inqud.checkout WHERE order_id LIKE 'beside-poison-%' AND state = 'open'", 'nor others of their own project');
$shop->until("SELECT count(*) = 3 FROM inqud.trouble WHERE order_id IN ('poison-owner', 'poison-project', 'poison-nan')", 'and stand in inqud.trouble');
note($shop->sql("SELECT order_id, state, error FROM inqud.checkout WHERE order_id LIKE 'poison%'"));

is($shop->sql('SELECT count(*) - count(DISTINCT checkout_id) FROM inqud.checkout WHERE checkout_id IS NOT NULL'), '0', 'no id stands twice');
note("faults tried: $faults");

done_testing();
