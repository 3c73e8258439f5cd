#!/usr/bin/perl
#
# 030_webhooks.pl - proves what a webhook does: a genuine one makes a read due
# at once and nothing else, a forged one changes nothing at all; who receives
# cannot spend; an id that nobody recorded is confirmed by a read before it
# counts; and end to end, through the HTTP receiver, an order is paid without
# waiting to be polled, however webhooks are lost, doubled, late or replayed.

use strict;
use warnings;

use Digest::SHA ();
use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use Inqud::Webhooks qw(digest receive_sql);
use JSON::PP ();
use List::Util qw(max sum);
use Test::More;
use Time::HiRes qw(time usleep);

# Nothing is read by the clock, not even by chance: polling takes a month.
use constant { SECRET => 'test-webhook-secret', QUIET => { poll_new => '30day', poll_active => '30day' } };

my $shop = Inqud::Shop->new(options => QUIET, mapping => { webhook_secret => SECRET });
my $emu = $shop->emu;
my $session = $shop->session;
my $receiving;

sub literal { return Inqud::Shop::literal(@_) }

# Receives a webhook: project, secret or digest, session; gives "t" or the SQLSTATE.
sub hook
{
	my ($body, %o) = @_;
	my $digest = exists $o{digest} ? $o{digest} : digest($o{secret} // SECRET, $body);
	my $answer = ($o{session} // $receiving)->query('SELECT ' . receive_sql($o{project} // 'shop', $o{sql} // $body, $digest));

	return $answer->{error} ? $answer->{error}{state} : $answer->{out};
}

# A body like Inqud's.
sub body
{
	my ($id, $status, %more) = @_;

	return JSON::PP->new->canonical->encode({ id => $id, status => $status, %more });
}

# All that a webhook could change.
sub world
{
	return join ' ', $emu->get('counts')->{total}, $session->query_safe(q{
		SELECT concat_ws(' ', (SELECT count(*) FROM inqud.event), (SELECT count(*) FROM inqud.inbox),
			(SELECT md5(string_agg(c::text, '' ORDER BY c.id)) FROM inqud.checkout c),
			(SELECT md5(string_agg(q::text, '' ORDER BY q.checkout)) FROM inqud.queue q))});
}

# Waits until all that webhooks have asked for is done.
sub settled
{
	$shop->wait_until("SELECT NOT EXISTS (SELECT FROM inqud.inbox) AND NOT EXISTS (SELECT FROM inqud.pending WHERE kind IN ('poked', 'hook'))");
	return;
}

# How often the emulator was asked for an id.
sub reads { return scalar $shop->requests(method => 'GET', path => "/checkouts/$_[0]") }

# Tests how many reads something costs.
sub costs
{
	my ($id, $n, $code, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = reads($id);

	$code->();
	settled();
	return is(reads($id) - $before, $n, $name);
}

# The number of a kind of events, of an order's newest checkout or of none.
sub events
{
	my ($kind, $order) = @_;

	return $session->query_safe("SELECT count(*) FROM inqud.event WHERE kind = '$kind' AND checkout " . (defined $order
		? 'IN (SELECT max(id) FROM inqud.checkout WHERE order_id = ' . literal($order) . ')' : 'IS NULL'));
}

# Queues an order and waits for its checkout; gives the checkout's id.
sub opened
{
	my ($order, $project) = @_;

	$session->query_safe($shop->enqueue_sql($order, undef, $project));
	$shop->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = " . literal($order));
	return $shop->checkout($order)->{checkout_id};
}

# A checkout that only the emulator knows of.
sub elsewhere
{
	my ($order, %o) = @_;

	return $emu->control('create', { type => 'NO_PRICE', defined $order ? (clientOrderId => $order) : (), %o })->{id};
}

$shop->sql(q{
	CREATE ROLE receiver LOGIN;
	CREATE ROLE app LOGIN;
	GRANT EXECUTE ON FUNCTION inqud_receive_webhook(text, bytea, text) TO receiver;
	GRANT USAGE ON FOREIGN SERVER shop TO app;
});
$receiving = $shop->session(user => 'receiver');
my $app = $shop->session(user => 'app');

# ---------------------------------------------------------------------
# Digests
# ---------------------------------------------------------------------

my $first = opened('first');
my $news = body($first, 'SUCCESS');
my $vendors = '7e36242a10fd65cbaacd7ff288df9fd3f9e75a46';
my $own = '{"id":"CCO-11111111-2222-4333-8444-555555555555","clientOrderId":"order-1001","status":"SUCCESS"}';

is(hook($own, digest => '39379c5653780f1c6e2a0349563cdae8b66dd6c4'), 't', 'the contract\'s own check value');
settled();
$shop->set_mapping('shop', webhook_secret => 'secret_value');
is(hook('{"field":"value"}', digest => $vendors), 't', 'the vendor\'s check value');
is(hook('{"field":"value"}', digest => uc $vendors), 't', 'hex in upper case');
is(hook('{"field": "value"}', digest => $vendors), 'IQ006', 'another byte, another digest');
$shop->set_mapping('shop', webhook_secret => SECRET);
is(hook('{"field":"value"}', digest => $vendors), 'IQ006', 'a rotated secret counts at once in a session that used the old one');
is(hook($own), 't', 'and so does the new one');
settled();

my $good = digest(SECRET, $news);
my %bad = (
	'wrong' => digest('another', $news), 'missing' => undef, 'empty' => '', 'too short' => substr($good, 0, 38),
	'too long' => $good . '00', 'not hex' => 'g' . substr($good, 1), 'white space' => " $good", 'prefixed' => "sha1=$good",
	'one bit off' => substr($good, 0, 39) . ($good =~ /0$/ ? '1' : '0'), 'SHA-256' => Digest::SHA::hmac_sha256_hex($news, SECRET),
	'of no secret' => digest('', $news));
my $before = world();
is(hook($news, digest => $bad{$_}), 'IQ006', "a digest that is $_") foreach sort keys %bad;
is(world(), $before, 'nothing has changed and nothing was called');
Inqud::Shop::error_is($receiving->query('SELECT ' . receive_sql('shop', $news, undef))->{error},
	{ state => 'IQ006', message => qr/webhook digest/, detail => 'There is no digest.' }, 'the error says what is wrong');

my @secrets = qw(webhook_secret webhook_secret_previous request_webhook_secret request_webhook_secret_previous);
$shop->set_mapping('shop', map { $_ => "the $_" } @secrets);
costs($first, 1, sub { is(hook($news, secret => "the $_"), 't', "$_ counts") }, 'and the checkout is read') foreach @secrets;
is(hook($news), 'IQ006', 'no other does');
$shop->set_mapping('shop', map { $_ => undef } @secrets);
is(hook($news, digest => $_), 'IQ006', 'without any secret nothing is genuine') foreach digest('', $news), $good, undef, '';
$before = world();
is(hook($news, secret => $_), 'IQ006', 'not even by the API token\'s secret') foreach Inqud::Shop::SECRET, Inqud::Shop::TOKEN;
is(world(), $before, 'and nothing has changed');
$shop->set_mapping('shop', webhook_secret => SECRET);

# ---------------------------------------------------------------------
# Whose mapping, and which rights
# ---------------------------------------------------------------------

$shop->sql("CREATE USER MAPPING FOR receiver SERVER shop OPTIONS (webhook_secret 'the receiver''s')");
is(hook($news, secret => 'the receiver\'s'), 't', 'the caller\'s own mapping has the secret');
is(hook($news), 'IQ006', 'PUBLIC\'s is not looked at then');
is(hook($news, session => $session), 't', 'but for another caller it is');
is(hook($news, session => $session, secret => 'the receiver\'s'), 'IQ006', 'who does not have the first one\'s');
$shop->sql('CREATE SCHEMA api; GRANT USAGE ON SCHEMA api TO app;
	CREATE FUNCTION api.hook(body bytea, digest text) RETURNS boolean LANGUAGE sql SECURITY DEFINER
		AS $$ SELECT inqud_receive_webhook(\'shop\', body, digest) $$;
	GRANT CREATE ON SCHEMA api TO receiver; ALTER FUNCTION api.hook OWNER TO receiver');
is($app->query_safe(sprintf q{SELECT api.hook('\x%s', '%s')}, unpack('H*', $news), digest('the receiver\'s', $news)), 't',
	'a function with its owner\'s rights uses the owner\'s mapping');
$shop->sql('DROP USER MAPPING FOR receiver SERVER shop');
is(hook($news), 't', 'without a mapping of its own PUBLIC\'s counts at once');
settled();

is(hook($news, session => $app), '42501', 'without EXECUTE nobody receives, genuine or not');
$before = world();
foreach my $call ($shop->create_sql('spent'), $shop->enqueue_sql('spent'), "SELECT inqud_get_checkout('shop', '$first')")
{
	my ($name) = $call =~ /(inqud_\w+)/;

	is($receiving->query($call)->{error}{state}, '42501', "who may receive and nothing else cannot call $name");
}
is($receiving->query_safe('SELECT count(*) FROM inqud.checkout'), '0', 'nor see a checkout');
is($receiving->query("SELECT inqud._webhook(1, '$first', 'NEW', NULL, NULL)")->{error}{state}, '42501', 'nor go around the digest');
is($receiving->query($_)->{error}{state}, '42501', 'nor write a table')
  foreach "INSERT INTO inqud.inbox (home, server_id, checkout) SELECT 0, 1, 1", 'DELETE FROM inqud.inbox', 'DELETE FROM inqud.event';
is(world(), $before, 'nothing has changed and nothing was called');

my $file = $shop->node->data_dir . '/webhook.secrets';
sub write_secret
{
	my ($secret) = @_;

	open my $out, '>', $file or die "$file: $!\n";
	print {$out} "webhook_secret = $secret\n";
	close $out or die "$file: $!\n";
	chmod 0600, $file or die "$file: $!\n";
	return;
}
write_secret('secret 1');
$shop->set_mapping('shop', webhook_secret => undef, secret_file => $file);
is(hook($news, secret => 'secret 1'), 't', 'the secret can be in a file');
write_secret('secret 2');
is(hook($news, secret => 'secret 1'), 'IQ006', 'a file that has changed counts at once');
is(hook($news, secret => 'secret 2'), 't', 'also where it is just as long');
unlink $file;
Inqud::Shop::error_is($receiving->query('SELECT ' . receive_sql('shop', $news, digest('secret 2', $news)))->{error}, { state => qr/^(?!IQ)/ }, 'without the file it fails');
$shop->set_mapping('shop', webhook_secret => SECRET, secret_file => undef);
settled();

# ---------------------------------------------------------------------
# Genuine: a hint, taken at once
# ---------------------------------------------------------------------

my $told = events('webhook', 'first');
costs($first, 1, sub { is(hook($news), 't', 'a body that says SUCCESS is taken') }, 'and costs one read');
is(events('webhook', 'first') - $told, 1, 'it has its event');
is($session->query_safe("SELECT status_to FROM inqud.event WHERE kind = 'webhook' ORDER BY id DESC LIMIT 1"), 'SUCCESS', 'which notes what it said');
is(join(' ', @{ $shop->checkout('first') }{qw(state status)}), 'open NEW', 'and the status is what the API says');
is($session->query_safe("SELECT count(*) FROM inqud.event WHERE kind IN ('status', 'changed', 'anomaly', 'failed')"), 0, 'nothing else is noted');

$emu->control('choose', { id => $first });
my $since = time;
hook(body($first, 'REQUEST_CREATED'));
$shop->until("SELECT status = 'REQUEST_CREATED' FROM inqud.checkout WHERE order_id = 'first'", 'the worker reads, long before polling would');
note(sprintf 'from the webhook to the status: %.0f ms', (time - $since) * 1000);
settled();

$receiving->query_safe('BEGIN');
hook($news);
$receiving->query_safe('ROLLBACK');
costs($first, 0, sub { }, 'a webhook that is rolled back never came');
costs($first, 1, sub { $receiving->query_safe('BEGIN'); hook($news) foreach 1 .. 50; $receiving->query_safe('COMMIT') },
	'fifty in one transaction cost one read');
$session->query_safe('SELECT inqud_worker_stop()');
costs($first, 1, sub { is(hook($news), 't', 'taken without a worker, too'); $session->query_safe('SELECT inqud_worker_start()') }, 'and read once there is one');
my $start = time;
my $count = reads($first);
hook($news) foreach 1 .. 300;
settled();
note(sprintf '300 webhooks for one checkout, one after the other: %d reads in %.1f s', reads($first) - $count, time - $start);
cmp_ok(reads($first) - $count, '<=', 10 * (time - $start) + 2, 'one after the other they cost ten reads a second at the most');
is(events('webhook', 'first') - $told, 353, 'each has its event');

my $MB = 1024 * 1024;
my %strange = (
	'empty' => '', 'no JSON' => 'status=SUCCESS', 'cut' => '{"id":"CCO-1","sta', 'an array' => '["CCO-1"]', 'a number' => '12', 'null' => 'null',
	'without id' => '{"status":"SUCCESS"}', 'with a null id' => '{"id":null}', 'with a number as id' => '{"id":7,"status":"NEW"}',
	'with an empty id' => '{"id":""}', 'with an object as id' => '{"id":{"a":1}}', 'with a zero byte' => "{\"id\":\"CCO-\0\"}",
	'with an escaped zero' => '{"id":"CCO-\u0000","status":"\u0000"}', 'not UTF-8' => "{\"id\":\"CCO-\xff\xfe\",\"status\":\"\xc3\"}",
	'nested' => '[' x 100_000, 'with a long id' => '{"id":"CCO-' . 'x' x 100_000 . '"}', 'with a strange prefix' => '{"id":"ORD-1","status":"NEW"}',
	'a path' => '{"id":"CCO-/../../../wallet/balances","status":"NEW"}', 'with two ids' => '{"id":"CAPD-1","id":"PMT-1"}');
my $noted = $session->query_safe('SELECT count(*) FROM inqud.event WHERE kind = \'webhook\'');
is(hook($strange{$_}), 't', "a body that is $_ is taken") foreach sort keys %strange;
foreach my $n ($MB - 200, $MB + 1, 3 * $MB)
{
	my $large = body($first, 'NEW');
	my $pad = $n - length $large;
	my $sql = 'convert_to(' . literal($large) . " || repeat(' ', $pad), 'UTF8')";

	is(hook($large . ' ' x $pad, sql => \$sql), 't', "a body of $n bytes is taken");
}
settled();
is($session->query_safe('SELECT count(*) FROM inqud.event WHERE kind = \'webhook\'') - $noted, 3 + keys %strange, 'each is noted');
is_deeply([ map { $_->{path} } grep { $_->{path} !~ m{^/v1/user/crypto-acquiring/[^/]+/checkouts(?:/[^/]+)?$} } $shop->requests ], [], 'none leads the worker to another path');
is(join(' ', @{ $shop->checkout('first') }{qw(state status)}), 'open REQUEST_CREATED', 'and none has changed the checkout');

foreach my $case ([ 'no project', 'SELECT inqud_receive_webhook(NULL, \'\', \'\')', '22004' ], [ 'no body', "SELECT inqud_receive_webhook('shop', NULL, '')", '22004' ],
	[ 'an unknown project', "SELECT inqud_receive_webhook('nosuch', '', '')", '42704' ],
	[ 'a read-only transaction', 'BEGIN READ ONLY; SELECT ' . receive_sql('shop', $news, $good), '25006' ])
{
	my ($name, $call, $state) = @$case;

	is($receiving->query($call)->{error}{state}, $state, "$name: $state");
	$receiving->query('ROLLBACK');
}

# ---------------------------------------------------------------------
# By the id of the request or of the payment
# ---------------------------------------------------------------------

$emu->control('detect', { id => $first });
hook($news);
settled();
my ($request, $payment) = @{ $shop->checkout('first') }{qw(request_id payment_id)};
like($request // '', qr/^CAPD-/, 'the request\'s id is recorded');
like($payment // '', qr/^PMT-/, 'and the payment\'s');
costs($first, 1, sub { is(hook(body($_, 'SUCCESS')), 't', 'taken by the id of ' . ($_ eq $request ? 'the request' : 'the payment')) },
	'and read by the checkout\'s') foreach $request, $payment;
costs($first, 1, sub { hook(body('CAPD-unknown', 'SUCCESS', checkoutId => $first)) }, 'an unknown request that names its checkout');
costs($first, 1, sub { hook(body('PMT-unknown', 'SUCCESS', clientOrderId => 'first')) }, 'an unknown payment that names the order');
$before = $emu->get('counts')->{total};
is(hook(body($_, 'SUCCESS')), 't', 'one that is nobody\'s is taken') foreach 'CAPD-nobody', 'PMT-nobody';
settled();
is($emu->get('counts')->{total}, $before, 'and costs nothing');
# An id counts in the project that received it: another's checkout is not named by it.
$shop->project('another', options => { project_id => Inqud::Shop::SECOND, %{ +QUIET } }, mapping => { webhook_secret => 'another\'s' });
foreach my $case ([ 'the request' => $request ], [ 'the payment' => $payment ], [ 'the order' => 'PMT-unknown', clientOrderId => 'first' ])
{
	my ($what, $id, %more) = @$case;

	$noted = events('webhook', 'first');
	my $nobodys = events('webhook');
	costs($first, 0, sub { is(hook(body($id, 'SUCCESS', %more), project => 'another', secret => 'another\'s'), 't', "taken by another project by $what") },
		'and nothing is read');
	is((events('webhook', 'first') - $noted) . ' ' . (events('webhook') - $nobodys), '0 1', 'it is noted, and not as one of that checkout');
}
is($emu->get('counts')->{total}, $before, 'and costs nothing');
$shop->sql('DROP SERVER another CASCADE');
$emu->control('settle', { id => $first });
hook(body($payment, 'SUCCESS'));
$shop->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE order_id = 'first'", 'a webhook of the payment brings SUCCESS');
settled();
costs($first, 1, sub { hook(body($first, 'NEW')) }, 'an old body costs one read');
is($shop->checkout('first')->{status}, 'SUCCESS', 'and changes nothing');
$session->query_safe("DELETE FROM inqud.queue WHERE checkout IN (SELECT id FROM inqud.checkout WHERE order_id = 'first');
	UPDATE inqud.checkout SET closed_at = closed_at - interval '30 days' WHERE order_id = 'first'");
costs($first, 1, sub { hook(body($first, 'NEW')) }, 'so does one about a checkout that is no longer followed');
$shop->until("SELECT count(*) = 0 FROM inqud.queue q JOIN inqud.checkout c ON c.id = q.checkout WHERE order_id = 'first'", 'which then is not followed again');
is($session->query_safe("SELECT count(*) FROM inqud.event WHERE kind = 'anomaly'"), 0, 'none of this is an anomaly');

# ---------------------------------------------------------------------
# Ids that nobody recorded
# ---------------------------------------------------------------------

# The rows of an order: state, status, current, checkout id.
sub record
{
	my ($order) = @_;

	return join ', ', map { join ' ', map { $_ // '-' } @$_{qw(state status current checkout_id)} }
	  $shop->rows('SELECT * FROM inqud.checkout WHERE order_id = ' . literal($order) . ' ORDER BY id');
}

sub newest { return $emu->get('checkouts', clientOrderId => $_[0])->[-1]{id} }

$shop->set_options('shop', retry_min => '1h', retry_max => '2h');
$emu->fault({ match => { method => 'POST', clientOrderId => 'ambiguous' }, action => 'drop_after' });
$session->query_safe($shop->enqueue_sql('ambiguous', "10, 'USD'"));
$shop->until("SELECT error IS NOT NULL AND state = 'queued' FROM inqud.checkout WHERE order_id = 'ambiguous'", 'a create whose answer was lost waits');
my $id = newest('ambiguous');
hook(body($id, 'NEW', clientOrderId => 'ambiguous'));
settled();
is(record('ambiguous'), "open NEW true $id", 'a webhook names its id: the order\'s row takes it');
ok(defined $shop->checkout('ambiguous')->{acquiring_url}, 'with the URL');
is($shop->checkout('ambiguous')->{error}, undef, 'without the error');
is($shop->posts->{ambiguous}, 1, 'and it is not sent again');
is($session->query_safe("SELECT kind FROM inqud.pending WHERE order_id = 'ambiguous'"), 'idle', 'but followed');

$emu->fault({ match => { method => 'POST', clientOrderId => 'refused' }, action => 'status', status => 400, body => 'no', process => JSON::PP::true() });
$session->query_safe($shop->enqueue_sql('refused', "10, 'USD'"));
$shop->until("SELECT state = 'failed' FROM inqud.checkout WHERE order_id = 'refused'", 'a create that was refused has failed');
$id = newest('refused');
$emu->control('settle', { id => $id });
hook(body($id, 'SUCCESS', clientOrderId => 'refused'));
settled();
is(record('refused'), "closed SUCCESS true $id", 'a webhook says that it was not: the failed row takes the id, and is paid');

$emu->fault({ match => { method => 'POST', clientOrderId => 'dearer' }, action => 'drop_before' });
$session->query_safe($shop->enqueue_sql('dearer', "10, 'USD'"));
$shop->until("SELECT error IS NOT NULL FROM inqud.checkout WHERE order_id = 'dearer'", 'a create that never arrived waits');
$id = elsewhere('dearer', type => 'FIXED_PRICE', fixedAmount => { amount => 0.25, currency => 'USD' });
$emu->control('settle', { id => $id });
hook(body($id, 'SUCCESS', clientOrderId => 'dearer'));
settled();
is($session->query_safe("SELECT concat_ws(' ', state, status, checkout_id) FROM inqud.checkout WHERE order_id = 'dearer' AND current"),
	'queued', 'one of another amount, though paid, does not become the order\'s');
is($session->query_safe("SELECT amount || ' ' || status || ' ' || current FROM inqud.checkout WHERE checkout_id = '$id'"), '0.25 SUCCESS false', 'but is recorded as it is');
is($session->query($shop->enqueue_sql('dearer', "10, 'USD'") =~ s/\*/state/r)->{out}, 'queued', 'and ordering again gives the order\'s own checkout');
$emu->clear_faults;

$app->query_safe('BEGIN');
$id = $app->query_safe($shop->create_sql('rolled back', "10, 'USD'") =~ s/\*/checkout_id/r);
$app->query_safe('ROLLBACK');
is(record('rolled back'), '', 'a create that was rolled back is forgotten');
costs($id, 1, sub { $receiving->query_safe('BEGIN'); hook(body($id, 'NEW', clientOrderId => 'rolled back')) foreach 1 .. 5; $receiving->query_safe('COMMIT') },
	'five webhooks that name it cost one read');
is(record('rolled back'), "open NEW false $id", 'and bring it back, once, as not current');
is($session->query_safe("SELECT amount || currency || type || name FROM inqud.checkout WHERE checkout_id = '$id'"), '10USDFIXED_PRICEOrder rolled back', 'with what Inqud knows of it');
$emu->control('settle', { id => $id });
hook(body($id, 'SUCCESS'));
$shop->until("SELECT state = 'closed' AND status = 'SUCCESS' FROM inqud.checkout WHERE checkout_id = '$id'", 'it is followed, and paid');
is($session->query_safe("SELECT count(*) > 0 FROM inqud.trouble WHERE order_id = 'rolled back'"), 't', 'inqud.trouble shows it');

$id = opened('set back');
$session->query_safe("WITH gone AS (DELETE FROM inqud.checkout WHERE order_id = 'set back' RETURNING id)
	DELETE FROM inqud.queue q USING gone WHERE q.checkout = gone.id");
$emu->control('settle', { id => $id });
hook(body($id, 'SUCCESS', clientOrderId => 'set back'));
settled();
is(record('set back'), "closed SUCCESS false $id", 'an id that the database forgot comes back, with its payment');

$before = events('error');
costs('CCO-nosuch', 1, sub { hook(body('CCO-nosuch', 'SUCCESS', clientOrderId => 'first')) }, 'an id that Inqud does not know costs one read');
is(events('error') - $before, 1, 'and is noted');
is($session->query_safe("SELECT count(*) FROM inqud.checkout WHERE checkout_id = 'CCO-nosuch'"), 0, 'and forgotten');

$id = elsewhere('of another', project => Inqud::Shop::SECOND);
$before = events('error');
hook(body($id, 'NEW', clientOrderId => 'of another'));
settled();
is(record('of another'), '', 'an id of another project is not recorded');
is(events('error') - $before, 1, 'but noted');
$id = elsewhere('mixed up');
my $fault = $emu->fault({ match => { method => 'GET', checkout => $id }, action => 'alter', override => { projectId => '"' . Inqud::Shop::SECOND . '"' } });
hook(body($id, 'NEW', clientOrderId => 'mixed up'));
settled();
is(record('mixed up'), '', 'nor is one that Inqud says is another project\'s');
is($session->query_safe('SELECT count(DISTINCT project_id) FROM inqud.checkout'), 1, 'all that is recorded is of one project');
$emu->clear_faults;

$id = elsewhere(undef);
hook(body($id, 'NEW'));
settled();
is($session->query_safe("SELECT concat_ws(' ', state, status, current, order_id) FROM inqud.checkout WHERE checkout_id = '$id'"), 'open NEW f', 'one of no order is recorded for none');

$shop->set_options('shop', retry_min => '50ms', retry_max => '200ms');
$id = elsewhere('patient');
$emu->fault({ match => { method => 'GET', checkout => $id }, action => 'status', status => 500, times => 3 });
costs($id, 4, sub { hook(body($id, 'NEW')) }, 'reads that fail are repeated');
is(record('patient'), "open NEW false $id", 'until it is confirmed');
$emu->clear_faults;
my $many = join ', ', map { receive_sql('shop', body($_, 'NEW'), digest(SECRET, body($_, 'NEW'))) } map { elsewhere("found $_") } 1 .. 50;
$receiving->query_safe("SELECT $many");
settled();
is($session->query_safe("SELECT count(*) FROM inqud.checkout WHERE order_id LIKE 'found %' AND state = 'open' AND NOT current"), 50, 'fifty at once are all recorded');
is($session->query_safe('SELECT count(*) FROM inqud.queue WHERE checkout < 0'), 0, 'nothing of the inbox is in the queue');

# ---------------------------------------------------------------------
# End to end, through HTTP
# ---------------------------------------------------------------------

my $receiver = Inqud::Webhooks::Receiver->start($shop, user => 'receiver', arguments => [ '--timeout', 60 ]);
my $number = 1000;

sub webhooks
{
	my (%settings) = @_;

	$emu->control('webhooks', { checkout_url => $receiver->url, checkout_secret => SECRET, factor => '0.001', timeout => 60, %settings });
	return;
}

# An order by the table's trigger, and its checkout's id.
sub ordered
{
	my $order = ++$number;

	$session->query_safe("INSERT INTO orders VALUES ($order, 10, 'USD')");
	$shop->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '$order'");
	return ($order, $shop->checkout($order)->{checkout_id});
}

# Tests that an order becomes paid; gives the seconds.
sub paid
{
	my ($order, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $began = time;

	$shop->until("SELECT paid FROM orders WHERE id = $order", $name);
	return time - $began;
}

# What was answered to each attempt of an id's deliveries, sorted.
sub answers
{
	my ($id, $count) = @_;

	return join ' ', sort map { $_->{status} // 'none' } @{ $emu->wait_deliveries(id => $id, count => $count) };
}

$shop->create_orders;
webhooks(copies => 2);
my (@took, $order);
foreach my $n (1 .. 10)
{
	($order, $id) = ordered();
	$emu->control($_, { id => $id }) foreach 'choose', 'detect', 'settle';
	push @took, paid($order, "order $n is paid, long before polling would find it");
}
note(sprintf 'from the payment to the paid order: %.0f ms on average, %.0f ms at most', 1000 * sum(@took) / @took, 1000 * max(@took));
is(answers($id, 6), '200 200 200 200 200 200', 'duplicates are all answered with 200');
settled();
is($session->query_safe("SELECT count(*) FROM inqud.event e JOIN inqud.checkout c ON c.id = e.checkout WHERE order_id = '$order' AND e.status_to = 'SUCCESS' AND e.kind = 'status'"), 1,
	'and it is paid once');

webhooks(copies => 1, hold => JSON::PP::true());
($order, $id) = ordered();
$emu->control($_, { id => $id }) foreach 'choose', 'detect', 'settle';
$emu->control('webhook', { mode => 'flush', order => 'reverse' });
paid($order, 'webhooks in the wrong order: paid');
is(answers($id, 3), '200 200 200', 'all were taken');
settled();
is($shop->checkout($order)->{status}, 'SUCCESS', 'and it stays paid');
webhooks(copies => 1, hold => JSON::PP::false());
$emu->control('webhook', { id => $id, mode => 'replay', index => 0 });
is(answers($id, 4), '200 200 200 200', 'a replayed old body is taken');
settled();
is($session->query_safe("SELECT status || ' ' || paid FROM orders WHERE id = $order"), 'SUCCESS true', 'and changes nothing');

$before = world();
$emu->control('webhook', { id => $id, mode => $_ }) foreach qw(forged unsigned tampered);
is(answers($id, 7), '200 200 200 200 403 403 403', 'forged, unsigned and tampered ones are refused');
is(world(), $before, 'and nothing has changed');
($order, $id) = ordered();
$emu->control('webhook', { id => $id, mode => 'body', body => body($id, 'SUCCESS', clientOrderId => "$order") });
is(answers($id, 1), '200', 'a genuine body that says SUCCESS of an unpaid order is taken');
settled();
is($session->query_safe("SELECT paid FROM orders WHERE id = $order"), 'f', 'and the order is not paid');

webhooks(checkout_url => $shop->refused_url);
($order, $id) = ordered();
$emu->control('settle', { id => $id });
like(answers($id, 3), qr/^none none none/, 'the receiver is down');
webhooks();
paid($order, 'and up again: the next attempt makes the order paid');
$shop->sql('REVOKE EXECUTE ON FUNCTION inqud_receive_webhook(text, bytea, text) FROM receiver');
($order, $id) = ordered();
$emu->control('settle', { id => $id });
like(answers($id, 3), qr/500/, 'the database refuses');
$shop->sql('GRANT EXECUTE ON FUNCTION inqud_receive_webhook(text, bytea, text) TO receiver');
paid($order, 'until it does not: paid');

($order) = ordered();
$id = elsewhere("$order", type => 'FIXED_PRICE', fixedAmount => { amount => 0.25, currency => 'USD' });
$emu->control('webhook', { id => $id, mode => 'send' });
$shop->until("SELECT count(*) = 1 FROM inqud.checkout WHERE checkout_id = '$id'", 'a cheaper checkout, made elsewhere with the order\'s number, is recorded');
$emu->control('settle', { id => $id });
$shop->until("SELECT count(*) = 1 FROM inqud.checkout WHERE checkout_id = '$id' AND status = 'SUCCESS'", 'and paid');
settled();
is($session->query_safe("SELECT paid FROM orders WHERE id = $order"), 'f', 'that does not make the order paid');
is($session->query_safe("SELECT count(*) FROM inqud.checkout WHERE order_id = '$order' AND status = 'SUCCESS'"), 0, 'nor does it get the order\'s number later');

$shop->set_mapping('shop', request_webhook_secret => 'of requests');
webhooks(checkout_url => undef, request_url => $receiver->url, request_secret => 'of requests', inner_requests => JSON::PP::true());
($order, $id) = ordered();
$emu->control('settle', { id => $id });
paid($order, 'webhooks of requests alone: paid');

$shop->project('second', options => { project_id => Inqud::Shop::SECOND, poll_new => '200ms', poll_active => '200ms', on_status => 'public.order_status' });
$shop->order_trigger(project => 'second');
$emu->control('webhooks', { project => Inqud::Shop::SECOND, checkout_url => $receiver->url, checkout_secret => SECRET, suppress => JSON::PP::true() });
($order, $id) = ordered();
$emu->control('settle', { id => $id });
paid($order, 'without a webhook polling alone finds it: paid');
is(scalar @{ $emu->get('deliveries', id => $id) }, 0, 'there was none');

unlike($receiver->stop, qr/Traceback|@{[SECRET]}/, 'the receiver had no trouble of its own');
Inqud::Shop::lacks(PostgreSQL::Test::Utils::slurp_file($shop->node->logfile), qr/@{[SECRET]}|PANIC|terminated by signal/, 'no secret is in the server\'s log, and nothing crashed');
$_->close foreach $receiving, $app, $session;
done_testing();
