#!/usr/bin/perl
#
# 004_sync.pl - proves the synchronous calls: what a create sends and returns
# for every type, amounts exact to the last digit in both directions, extra
# members, expiry; both ways of authentication; changed options and tokens count
# from the next call on, in sessions and worker alike; repeating a create calls
# nothing; queued rows are taken over; a rollback leaves a trace in the log.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use JSON::PP ();
use Test::More;
use PostgreSQL::Test::Utils ();

# The worker reads nothing by the clock unless a test wants it to.
my $shop = Inqud::Shop->new(options => { poll_new => '1day', poll_active => '1day' });
my $emu = $shop->emu;
my $session = $shop->session;

sub posts { return $shop->posts->{ $_[0] } // 0 }

# The body of the last request for an order, as text.
sub body
{
	my ($order) = @_;
	my @found = grep { JSON::PP->new->decode($_->{body})->{clientOrderId} eq $order } $shop->requests(method => 'POST');

	die "order $order was not sent\n" unless @found;
	return $found[-1]{body};
}

# ---------------------------------------------------------------------
# What is sent, and what comes back
# ---------------------------------------------------------------------

my $row = $shop->row($shop->create_sql('fixed', "100, 'USD'"));
my ($real) = @{ $emu->get('checkouts', clientOrderId => 'fixed') };
is_deeply({ map { $_ => $row->{$_} } qw(project project_id order_id current owner name type amount currency return_url
		state status reason checkout_id acquiring_url error) },
	{ project => 'shop', project_id => Inqud::Shop::PROJECT, order_id => 'fixed', current => 'true',
		owner => $shop->sql('SELECT current_user'), name => 'Order fixed', type => 'FIXED_PRICE', amount => '100', currency => 'USD',
		return_url => 'https://shop.example/orders/fixed', state => 'open', status => 'NEW', reason => undef,
		checkout_id => $real->{id}, acquiring_url => $real->{acquiringUrl}, error => undef },
	'a FIXED_PRICE create returns its row');
is_deeply($shop->row("SELECT * FROM inqud.checkout WHERE id = $row->{id}"), $row, 'and that row is recorded');
like(body('fixed'), qr/"fixedAmount":\{"amount":100,"currency":"USD"\}/, 'amount and currency are sent');

$row = $shop->row($shop->create_sql('open'));
is("$row->{type} $row->{status}", 'NO_PRICE NEW', 'without an amount the type is NO_PRICE');
Inqud::Shop::lacks(body('open'), qr/fixedAmount/, 'and none is sent');
$row = $shop->row($shop->create_sql('suggested', "type => 'SUGGESTED_FIXED_PRICE'"));
is("$row->{type} $row->{status}", 'SUGGESTED_FIXED_PRICE NEW', 'SUGGESTED_FIXED_PRICE on request');
Inqud::Shop::lacks(body('suggested'), qr/fixedAmount/, 'its amounts are not ours to send');

my $strange = "N\xc2\xb0 1 \xe2\x98\x95 \"quoted\" 'twice' \\back /slash";
$shop->row('SELECT * FROM inqud_create_checkout(' . join(', ', "'shop'", Inqud::Shop::literal($strange),
	Inqud::Shop::literal($strange), "'https://shop.example/?a=1&b=%20#c'") . ')');
my ($sent) = map { JSON::PP->new->decode($_->{body}) } grep { $_->{body} =~ /twice/ } $shop->requests(method => 'POST');
utf8::decode(my $characters = $strange);
is($sent->{clientOrderId}, $characters, 'any characters go into an order_id');
is($sent->{name}, $characters, 'and into a name');
is($shop->sql('SELECT count(*) FROM inqud.checkout WHERE order_id = ' . Inqud::Shop::literal($strange) . " AND name = order_id
	AND reply ->> 'clientOrderId' = order_id"), '1', 'and come back as they were');

# ---------------------------------------------------------------------
# Amounts
# ---------------------------------------------------------------------

my %plain = (
	'100' => '100', '0.000000000000000001' => '0.000000000000000001', '1e20' => '100000000000000000000', '1E-8' => '0.00000001',
	'18446744073709551615' => '18446744073709551615', '18446744073709551616' => '18446744073709551616',
	'99999999999999999999.999999999999999999' => '99999999999999999999.999999999999999999',
	'9223372036854775807.5' => '9223372036854775807.5', '12345.678901234567890123e3' => '12345678.901234567890123', '0.1' => '0.1');
foreach my $amount (sort keys %plain)
{
	my $order = "amount $amount";

	$row = $shop->row($shop->create_sql($order, "'$amount', 'USDT'"));
	is((body($order) =~ /"amount":([^,}]*)/)[0], $plain{$amount}, "$amount is sent exactly");
	is($shop->sql("SELECT amount = '$amount'::numeric AND (reply -> 'fixedAmount' ->> 'amount')::numeric = amount
		FROM inqud.checkout WHERE id = $row->{id}"), 't', "$amount comes back exactly");
}

$row = $shop->row($shop->create_sql('numbers', "100, 'USD'"));
# not paid yet: what SUCCESS says stays
$emu->control('detect', { clientOrderId => 'numbers' });
foreach my $number ('1E+20', '18446744073709551616', '99999999999999999999.999999999999999999', '1e-18', '0E-8', '105.82306278', '0.10',
	'-0')
{
	my $rule = $emu->fault({ action => 'alter', override => { 'request.payAmount' => $number, 'request.paidAmount' => $number,
		'request.merchantPlatformFee' => $number, 'request.processingAmount' => $number } });

	is($shop->sql("SELECT pay_amount = $number AND paid_amount = $number AND merchant_fee = $number AND processing_amount = $number
		FROM inqud_get_checkout('shop', '$row->{checkout_id}')"), 't', "$number is read exactly");
	$emu->clear_faults;
}
# What cannot be kept exactly is not kept at all, and keeps nothing else away.
$emu->control('force', { id => $row->{checkout_id}, status => 'CONFLICT', reason => 'numbers' });
my $known = $shop->checkout('numbers')->{paid_amount};
foreach my $number ('1e200000', '1e-200000', '123456789012345678901234567890123456789', '"x"', 'true', '[1]', '{}')
{
	$emu->fault({ action => 'alter', override => { 'request.paidAmount' => $number } });
	my $seen = $shop->row("SELECT * FROM inqud_get_checkout('shop', '$row->{checkout_id}')");
	is($seen->{status}, 'CONFLICT', "the status is read although an amount is $number");
	is($seen->{paid_amount}, $known, "and what was known of the amount stays");
	$emu->clear_faults;
}

# ---------------------------------------------------------------------
# Expiry and extra members
# ---------------------------------------------------------------------

$row = $shop->row($shop->create_sql('expiry', "expires_at => '2035-01-01 14:00:00+02'"));
like(body('expiry'), qr/"expiresAt":"2035-01-01T12:00:00Z"/, 'expires_at is sent in UTC');
is($shop->sql("SELECT expires_at = '2035-01-01 12:00:00+00' FROM inqud.checkout WHERE id = $row->{id}"), 't', 'and recorded');
$shop->set_options('shop', expires_in => '15min');
$row = $shop->row($shop->create_sql('lifetime'));
is($shop->sql("SELECT expires_at - created_at BETWEEN '12min' AND '18min' FROM inqud.checkout WHERE id = $row->{id}"),
	't', 'expires_in counts when none is given');

$row = $shop->row($shop->create_sql('extra', q(extra => '{"cryptoCurrency": "ETHEREUM_USDT", "n": 1.10, "deep": {"a": [1, "x", null]}}')));
my $extra = JSON::PP->new->decode(body('extra'));
is_deeply([ @$extra{qw(cryptoCurrency deep)} ], [ 'ETHEREUM_USDT', { a => [ 1, 'x', undef ] } ], 'extra members are sent');
like(body('extra'), qr/"n":1\.10?[,}]/, 'their numbers as they are');
is($shop->sql("SELECT extra ->> 'cryptoCurrency' FROM inqud.checkout WHERE id = $row->{id}"), 'ETHEREUM_USDT', 'and recorded');

# ---------------------------------------------------------------------
# Authentication
# ---------------------------------------------------------------------

# The headers of the last request, in lower case.
sub headers
{
	my $headers = ($shop->requests)[-1]{headers};

	$headers = { map { @$_ } @$headers } if ref $headers eq 'ARRAY';
	return { map { lc $_ => $headers->{$_} } keys %$headers };
}

$session->query_safe($shop->create_sql('secret'));
my $h = headers();
is($h->{'x-token-api-id'}, Inqud::Shop::TOKEN, 'the token\'s id is sent');
is($h->{'x-token-api-secret'}, Inqud::Shop::SECRET, 'auth "secret" sends the secret');
ok(!exists $h->{'x-salt'} && !exists $h->{'x-hmac-sha256-signature'}, 'and no signature');
is($h->{'content-type'}, 'application/json', 'the body is declared as JSON');

$shop->set_options('shop', auth => 'signed');
$session->query_safe($shop->create_sql('signed', "0.1, 'USD'"));
$h = headers();
is(posts('signed'), 1, 'auth "signed" works in the session that used "secret" before');
ok(!exists $h->{'x-token-api-secret'}, 'the secret does not travel');
ok(!(grep { index($_, Inqud::Shop::SECRET) >= 0 } values %$h), 'in no header at all');
my $salt = $h->{'x-salt'};
ok(length($salt // '') && length($h->{'x-hmac-sha256-signature'} // ''), 'but a salt and a signature');
my $id = $shop->checkout('signed')->{checkout_id};
is($session->query_safe("SELECT status FROM inqud_get_checkout('shop', '$id')"), 'NEW', 'a signed read works, too');
Inqud::Shop::differs(headers()->{'x-salt'}, $salt, 'the salt is a fresh one');
$session->query_safe($shop->enqueue_sql('signed by the worker', "7, 'EUR'"));
$shop->until("SELECT acquiring_url IS NOT NULL FROM inqud.checkout WHERE order_id = 'signed by the worker'", 'the worker signs');
$h = headers();
ok(exists $h->{'x-hmac-sha256-signature'} && !exists $h->{'x-token-api-secret'}, 'and sends no secret either');

# ---------------------------------------------------------------------
# Options and tokens change
# ---------------------------------------------------------------------

foreach my $auth (qw(signed secret))
{
	$shop->set_options('shop', auth => $auth);
	$emu->control('token', { id => Inqud::Shop::TOKEN, secret => "second-$auth" });
	Inqud::Shop::error_is($session->query($shop->create_sql("rotated $auth"))->{error}, { state => 'IQ002' },
		"auth $auth: an old token is refused");
	$session->query_safe($shop->enqueue_sql("worker rotated $auth"));
	$shop->until("SELECT error IS NOT NULL FROM inqud.checkout WHERE order_id = 'worker rotated $auth'",
		"auth $auth: the worker's, too");
	$shop->set_mapping('shop', token_secret => "second-$auth");
	is($session->query($shop->create_sql("rotated $auth"))->{error}, undef, "auth $auth: the next call of the session uses the new one");
	$shop->until("SELECT acquiring_url IS NOT NULL FROM inqud.checkout WHERE order_id = 'worker rotated $auth'",
		"auth $auth: so does the worker");
}
$shop->set_options('shop', project_id => Inqud::Shop::SECOND);
is($session->query_safe("SELECT project_id FROM inqud_create_checkout(" . $shop->arguments('in the second') . ')'),
	Inqud::Shop::SECOND, 'a changed project_id counts from the next call on');
$session->query_safe($shop->enqueue_sql('queued in the second'));
$shop->until("SELECT acquiring_url IS NOT NULL FROM inqud.checkout WHERE order_id = 'queued in the second'", 'in the worker, too');
is_deeply([ sort keys %{ $emu->get('counts', project => Inqud::Shop::SECOND)->{creates} } ],
	[ 'in the second', 'queued in the second' ], 'both went to the other project');
Inqud::Shop::error_is($session->query("SELECT inqud_get_checkout('shop', '$id')")->{error}, { state => '55000', detail => qr/made for/ },
	'a checkout of the former project is not read with the new one');
$shop->set_options('shop', project_id => Inqud::Shop::PROJECT);

# ---------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------

my $foreign = $emu->control('create', { type => 'FIXED_PRICE', clientOrderId => 'elsewhere', name => 'made elsewhere',
		fixedAmount => { amount => 12.345, currency => 'USDT' } });
$row = $shop->row("SELECT * FROM inqud_get_checkout('shop', '$foreign->{id}')");
is_deeply({ map { $_ => $row->{$_} } qw(id project order_id checkout_id status state name amount currency acquiring_url) },
	{ id => undef, project => 'shop', order_id => 'elsewhere', checkout_id => $foreign->{id}, status => 'NEW', state => 'open',
		name => 'made elsewhere', amount => '12.345', currency => 'USDT', acquiring_url => $foreign->{acquiringUrl} },
	'a checkout that is not recorded is read, with its amount and with id null');
is($shop->sql("SELECT count(*) FROM inqud.checkout WHERE order_id = 'elsewhere'"), '0', 'and stays unrecorded');
$session->query_safe($shop->create_sql('read'));
$id = $shop->checkout('read')->{checkout_id};
$emu->control('settle', { clientOrderId => 'read' });
is($session->query_safe("SELECT state || ' ' || status FROM inqud_get_checkout('shop', '$id')"), 'closed SUCCESS', 'a recorded one is read');
is($shop->checkout('read')->{status}, 'SUCCESS', 'and the news are written back');
$emu->control('correct', { id => $id, status => 'CONFLICT' });
is($session->query_safe("BEGIN READ ONLY; SELECT status FROM inqud_get_checkout('shop', '$id'); COMMIT"), 'CONFLICT',
	'a read-only transaction reads');
is($shop->checkout('read')->{status}, 'SUCCESS', 'and writes nothing');
is($session->query_safe("BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT status FROM inqud_get_checkout('shop', '$id'); COMMIT"), 'CONFLICT',
	'a serializable one reads');
is($shop->checkout('read')->{status}, 'CONFLICT', 'and writes');
is(scalar(grep { $_->{connection} == ($shop->requests)[-1]{connection} } $shop->requests(path => $id)), 3,
	'the session keeps its connection');

# A session remembers reads that brought nothing new.  That must hide nothing.
$session->query_safe($shop->create_sql('remembered'));
$row = $shop->checkout('remembered');
my $read = "SELECT status || ' ' || state || ' ' || current FROM inqud_get_checkout('shop', '$row->{checkout_id}')";
is($session->query_safe("$read; $read; $read"), join("\n", ('NEW open true') x 3), 'a checkout is read again and again');
is(scalar($shop->requests(path => $row->{checkout_id})), 3, 'each time at Inqud');
$shop->sql("CREATE ROLE stranger; GRANT USAGE ON FOREIGN SERVER shop TO stranger");
Inqud::Shop::error_is($session->query("SET ROLE stranger; $read")->{error}, { state => '42501', message => qr/permission denied for checkout/ },
	'but not as a role that must not see it');
$session->query_safe('RESET ROLE');
is(scalar($shop->requests(path => $row->{checkout_id})), 3, 'which calls nothing');
$shop->sql("SELECT inqud_cancel($row->{id})");
is($session->query_safe($read), 'NEW open false', 'what another session has changed is seen, although Inqud says the same');
is($session->query_safe("$read; $read"), join("\n", ('NEW open false') x 2), 'and goes on being seen');
$shop->sql("UPDATE inqud.checkout SET error = 'a read of the worker failed' WHERE id = $row->{id}");
is($session->query_safe("SELECT error IS NULL FROM inqud_get_checkout('shop', '$row->{checkout_id}')"), 't',
	'an error that was noted meanwhile is cleared, although Inqud says the same');
$emu->control('settle', { clientOrderId => 'remembered' });
is($session->query_safe($read), 'SUCCESS closed false', 'news are seen');
$shop->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE id = $row->{id}", 'and written back');

# What a session made, the worker follows.
$shop->set_options('shop', poll_new => '1s', poll_active => '1s');
$session->query_safe($shop->create_sql('followed'));
$emu->control('settle', { clientOrderId => 'followed' });
$shop->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE order_id = 'followed'", 'the worker follows a synchronous create');
$shop->set_options('shop', poll_new => '1day', poll_active => '1day');

# ---------------------------------------------------------------------
# Once more
# ---------------------------------------------------------------------

my $first = $shop->row($shop->create_sql('again', "10, 'USD'"));
is_deeply($shop->row($shop->create_sql('again', "10.0, 'USD'")), $first, 'a repeated create returns the same row');
is_deeply($shop->row($shop->enqueue_sql('again', "10, 'USD', 'FIXED_PRICE'")), $first, 'and so does a repeated enqueue');
is(posts('again'), 1, 'neither calls anything');
foreach my $other ([ amount => "11, 'USD'" ], [ currency => "10, 'EUR'" ], [ 'amount, currency, type' => '' ])
{
	$shop->raises($shop->create_sql('again', $other->[1]),
		{ state => '23505', message => qr/"again" already has another checkout/, detail => qr/differs in: \Q$other->[0]\E\./, hint => qr/prefix/ },
		"another $other->[0] is an error");
}
$shop->raises("SELECT inqud_create_checkout('shop', 'again', 'Another', 'https://shop.example/orders/again', 10, 'USD')",
	{ state => '23505', detail => qr/differs in: name\./ }, 'another name is an error');
$shop->raises("SELECT inqud_enqueue_checkout('shop', 'again', 'Order again', 'https://shop.example/', 10, 'USD')",
	{ state => '23505', detail => qr/differs in: return_url\./ }, 'another return_url is an error');
is(posts('again'), 1, 'none of them calls anything');

$emu->control('settle', { clientOrderId => 'again' });
$session->query_safe("SELECT inqud_get_checkout('shop', '$first->{checkout_id}')");
is($shop->row($shop->create_sql('again', "10, 'USD'"))->{id}, $first->{id}, 'a paid order keeps its checkout');

$first = $shop->row($shop->create_sql('expired', "10, 'USD'"));
$emu->control('expire', { clientOrderId => 'expired' });
$session->query_safe("SELECT inqud_get_checkout('shop', '$first->{checkout_id}')");
my $next = $shop->row($shop->create_sql('expired', "12, 'EUR'"));
Inqud::Shop::differs($next->{checkout_id}, $first->{checkout_id}, 'after EXPIRED an order gets another checkout');
is($shop->sql("SELECT string_agg(id || ' ' || current || ' ' || coalesce(status, ''), ', ' ORDER BY id) FROM inqud.checkout WHERE order_id = 'expired'"),
	"$first->{id} false EXPIRED, $next->{id} true NEW", 'and the old one stays on record');

$emu->fault({ match => { clientOrderId => 'refused' }, action => 'status', status => 422, body => { message => 'no' }, times => 1 });
$session->query_safe($shop->enqueue_sql('refused'));
$shop->until("SELECT state = 'failed' FROM inqud.checkout WHERE order_id = 'refused'", 'a refused one fails');
$next = $shop->row($shop->create_sql('refused'));
is($shop->sql("SELECT string_agg(state || ' ' || current, ', ' ORDER BY id) FROM inqud.checkout WHERE order_id = 'refused'"),
	'failed false, open true', 'after a failure an order gets another checkout');

# ---------------------------------------------------------------------
# Queued rows
# ---------------------------------------------------------------------

$shop->sql('SELECT inqud_worker_stop()');
$shop->wait_until("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'inqud worker'");
my $queued = $shop->row($shop->enqueue_sql('queued', "10, 'USD'"));
is("$queued->{state} " . posts('queued'), 'queued 0', 'a queued order waits for the worker');
$row = $shop->row($shop->create_sql('queued', "10, 'USD'"));
is("$row->{id} $row->{state} $row->{status}", "$queued->{id} open NEW", 'a synchronous create takes it over');
$shop->sql('SELECT inqud_worker_start()');
$session->query_safe($shop->enqueue_sql('after'));
$shop->until("SELECT acquiring_url IS NOT NULL FROM inqud.checkout WHERE order_id = 'after'", 'the worker goes on with the next');
is(posts('queued'), 1, 'and does not send it again');

$emu->fault({ match => { clientOrderId => 'being sent' }, action => 'delay', delay => 500, times => 1 });
$queued = $shop->row($shop->enqueue_sql('being sent'));
$shop->wait_requests(body => '"being sent"');
is($session->query("SELECT id || ' ' || state FROM inqud_create_checkout(" . $shop->arguments('being sent') . ')')->{out}, "$queued->{id} open",
	'one that the worker is sending is waited for');
is(posts('being sent'), 1, 'and not sent twice');
$emu->fault({ match => { clientOrderId => 'hanging' }, action => 'hang', phase => 'headers' });
$session->query_safe($shop->enqueue_sql('hanging'));
$shop->wait_requests(body => '"hanging"');
$shop->set_options('shop', timeout => '1s');
$shop->raises($shop->create_sql('hanging'), { state => '55P03', message => qr/is being sent by the worker/ }, 'but not longer than "timeout"');
$shop->set_options('shop', timeout => undef);
$emu->clear_faults;
$emu->control('release');
$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'hanging'", 'it is sent in the end');

# ---------------------------------------------------------------------
# Transactions
# ---------------------------------------------------------------------

# Where the server's log mentions a checkout id.
sub logged
{
	my ($checkout) = @_;

	return scalar grep { /LOG: .*\Q$checkout\E/ } split /\n/, PostgreSQL::Test::Utils::slurp_file($shop->node->logfile);
}

# Creates within a transaction that does the rest; gives the id at Inqud.
sub create_within
{
	my ($order, @rest) = @_;

	$session->query("BEGIN; " . $shop->create_sql($order) . '; ' . join '; ', @rest);
	return $emu->get('checkouts', clientOrderId => $order)->[-1]{id};
}

cmp_ok(logged(create_within('rolled back', 'ROLLBACK')), '>=', 1, 'a rollback logs the id that it forgets');
cmp_ok(logged(create_within('failed', 'SELECT 1/0', 'COMMIT')), '>=', 1, 'so does an error');
$session->query_safe('BEGIN; SAVEPOINT s; ' . $shop->create_sql('savepoint') . '; ROLLBACK TO s; COMMIT');
cmp_ok(logged($emu->get('checkouts', clientOrderId => 'savepoint')->[-1]{id}), '>=', 1, 'so does a rolled-back savepoint');
$session->query_safe('BEGIN; SAVEPOINT s; ' . $shop->create_sql('released') . '; RELEASE s; COMMIT');
is(logged($shop->checkout('released')->{checkout_id}), 0, 'a commit logs nothing');
is($shop->sql("SELECT count(*) FROM inqud.checkout WHERE order_id IN ('rolled back', 'failed', 'savepoint')"), '0', 'forgotten they are');
$row = $shop->row($shop->create_sql('rolled back'));
is("$row->{state} " . posts('rolled back'), 'open 2', 'creating it again makes another');

$shop->raises('BEGIN READ ONLY; ' . $shop->create_sql('read-only'), { state => '25006' }, 'a read-only transaction cannot create');
is(posts('read-only'), 0, 'and nothing is sent');
is($session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT state FROM inqud_create_checkout(' . $shop->arguments('repeatable') . '); COMMIT'),
	'open', 'REPEATABLE READ can');
foreach my $pair ([ off => 'on' ], [ local => 'on' ], [ remote_write => 'on' ], [ remote_apply => 'remote_apply' ])
{
	is($session->query_safe("SET synchronous_commit = $pair->[0]; BEGIN; SELECT FROM inqud_create_checkout("
		. $shop->arguments("commit $pair->[0]") . '); SHOW synchronous_commit; COMMIT; SHOW synchronous_commit') =~ s/\n/ /gr =~ s/^ //r,
		"$pair->[1] $pair->[0]", "synchronous_commit $pair->[0] becomes $pair->[1] for the transaction");
}
$session->close;

# ---------------------------------------------------------------------
# Without preload
# ---------------------------------------------------------------------

my $plain = Inqud::Shop->new(name => 'plain', preload => 0, emu => $emu, mapping => { token_secret => 'second-secret' });
is($plain->row($plain->create_sql('plain', "10, 'USD'"))->{status}, 'NEW', 'synchronous calls need no preload');
$id = $plain->checkout('plain')->{checkout_id};
$emu->control('settle', { clientOrderId => 'plain' });
is($plain->row("SELECT * FROM inqud_get_checkout('shop', '$id')")->{status}, 'SUCCESS', 'neither does reading');
is($plain->checkout('plain')->{state}, 'closed', 'nor recording');
is($plain->sql('SELECT count(*) FROM inqud.stats'), '0', 'without preload nothing is counted');
$plain->raises('SELECT inqud_stats_reset()', { state => '55000', hint => qr/shared_preload_libraries/ }, 'and nothing can begin anew');

done_testing();
