#!/usr/bin/perl
#
# 008_hostile.pl - proves that no reply, however damaged, crashes anything, keeps
# other orders waiting, or loses an order: cut, endless, of wrong types, with
# NUL, bad UTF-8, deep nesting, HTML, nothing at all, absurd numbers.  For creates
# and reads, in sessions and in the worker.  What can be used of a reply is used,
# and what failed succeeds once the fault is gone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Faults qw(process_status wait_worker);
use Inqud::Shop;
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils ();
use Test::More;

my $shop = Inqud::Shop->new(options => { timeout => '3s', retry_min => '300ms', retry_max => '1s', max_inflight => 100,
		poll_new => '1day', poll_active => '1day' });
my $emu = $shop->emu;
my $session = $shop->session;

sub literal { return Inqud::Shop::literal(@_) }

# Bytes in place of a whole HTTP reply.
sub raw
{
	my ($bytes) = @_;

	return { action => 'raw', base64 => encode_base64($bytes, '') };
}

# Bytes as the body of a good HTTP reply.
sub body
{
	my ($bytes, %more) = @_;

	return { action => 'status', status => 200, body_base64 => encode_base64($bytes, ''), %more };
}

sub member { return { action => 'alter', override => {@_} } }

my $deep = 100_000;
my $head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
my $good = '{"id":"CCO-1","status":"NEW"}';

# ---------------------------------------------------------------------
# Replies of which nothing can be used
# ---------------------------------------------------------------------

my %useless = (
	'cut in the middle' => { action => 'truncate' }, 'cut at the start' => { action => 'truncate', keep => 0 }, 'cut before the end' => { action => 'truncate', keep => 40 },
	'256 MB' => { action => 'oversize', bytes => 256 * 1024 * 1024 }, '256 MB in chunks' => { action => 'oversize', bytes => 256 * 1024 * 1024, chunked => JSON::PP::true() },
	'HTML' => body('<html><body>500</body></html>', content_type => 'text/html'), 'nothing' => body(''), 'blanks' => body("  \n\t "),
	'arrays 100 000 deep' => body(('[' x $deep) . (']' x $deep)), 'arrays that never close' => body('[' x $deep),
	'objects 100 000 deep' => body(('{"a":' x $deep) . '1' . ('}' x $deep)), 'objects that never close' => body('{"a":' x $deep),
	'a member 100 000 deep' => member(name => { nest => $deep }), 'a deep member that never closes' => member(name => { nest => $deep, close => JSON::PP::false() }),
	'not UTF-8' => body("{\"id\":\"CCO-1\",\"status\":\"\xff\xfe\"}"), 'overlong UTF-8' => body("{\"id\":\"CCO-1\",\"status\":\"\xc0\x80\"}"),
	'a surrogate in UTF-8' => body("{\"id\":\"CCO-1\",\"status\":\"\xed\xa0\x80\"}"), 'UTF-16' => body(join '', map { "$_\0" } split //, $good),
	'NUL bytes' => body("\0" x 1000), 'random bytes' => body(join '', map { chr(($_ * 7919 + ($_ >> 3) * 31) % 256) } 1 .. 5000),
	'NUL in the id' => member(id => '"CCO\u0000-1"'), 'a NUL as status' => member(status => '"\u0000"'), 'a NUL in the status' => member(status => '"SUCCESS\u0000"'),
	'a number as id' => member(id => '7'), 'an object as id' => member(id => '{}'), 'null as id' => member(id => 'null'), 'an empty id' => member(id => '""'),
	'a number as status' => member(status => '7'), 'an array as status' => member(status => '["SUCCESS"]'), 'null as status' => member(status => 'null'),
	'true as status' => member(status => 'true'), 'no id' => { action => 'alter', drop => ['id'] }, 'no status' => { action => 'alter', drop => ['status'] },
	'an id of 100 000 characters' => member(id => '"' . 'C' x 100_000 . '"'), 'a line break in the id' => member(id => '"CCO-1\r\nX-Evil: 1"'),
	'an array' => body("[$good]"), 'a string' => body('"SUCCESS"'), 'a number' => body('1e200000'), 'two objects' => body("$good$good"), 'trailing text' => body("$good x"),
	'NaN' => body('{"id":"CCO-1","status":NaN}'), 'a comment' => body("/* $good */"), 'single quotes' => body("{'id':'CCO-1','status':'NEW'}"),
	'no HTTP' => raw("\0garbage"), 'only a status line' => raw("HTTP/1.1 200 OK\r\n"), 'a header without end' => raw($head . 'X-Long: ' . 'x' x 3_000_000),
	'very many headers' => raw($head . join('', map { "X-$_: y\r\n" } 1 .. 100_000)), 'a bad chunk' => raw("${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n$good\r\n0\r\n\r\n"),
	'a negative length' => raw("${head}Content-Length: -1\r\n\r\n"), 'an absurd length' => raw("${head}Content-Length: 99999999999999999999999\r\n\r\n$good"),
	'a length of 9 exabytes' => raw("${head}Content-Length: 9223372036854775807\r\n\r\n$good"), 'status 999' => raw("HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n"),
	'100 Continue for ever' => raw("HTTP/1.1 100 Continue\r\n\r\n" x 1000));

# ---------------------------------------------------------------------
# Replies with id and status, and a mess otherwise
# ---------------------------------------------------------------------

my @members = qw(reason name returnUrl acquiringUrl createdAt lastUpdatedAt expiresAt request cryptoCurrencies cryptoCurrencyDetails
	estimatedPayAmounts suggestedAmounts merchantDomain);
my @inner = map { "request.$_" } qw(payAmount paidAmount overpaid currency blockchain txHash merchantPlatformFee processingAmount status reason);

sub everything
{
	my ($value) = @_;

	return member(map { $_ => $value } @members, 'unheardOf');
}

my %mess = (
	(map { my $value = $_; "$value everywhere" => everything($value) } '7', 'true', '[]', '{}', 'null', '1e200000', '-1', '"x"', '[{"a":[{}]}]'),
	'NUL everywhere' => everything('"\u0000"'), 'unpaired surrogates everywhere' => everything('"\ud800"'),
	'control characters everywhere' => everything('"\u0001\u001b\u007f"'), 'long texts everywhere' => everything('"' . 'x' x 20_000 . '"'),
	'a deep unknown member' => member(unheardOf => '[' x 20 . ']' x 20),
	'duplicate members' => { action => 'alter', extra => { status2 => 'SUCCESS' } });

my %number_mess = map { my $value = $_; substr($value, 0, 20) . ' in the request' => member(map { $_ => $value } @inner) }
  '"x"', '[]', '{}', 'true', '1e200000', '-1e200000', '1e-200000', '"\u0000"', '9' x 400, '-0.0', '"NaN"', 'null';

my $log = 0;

# Nothing has crashed, and the worker, if it has had to do with it, is the same.
sub alive
{
	my ($worker, $name) = @_;
	my $text = PostgreSQL::Test::Utils::slurp_file($shop->node->logfile);
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is($shop->worker_pid, $worker, "$name: the worker is still the same") if $worker;
	return unlike(substr($text, $log), qr/terminated by signal|PANIC|TRAP|stack depth/, "$name: nothing crashed");
}

sub count
{
	my ($condition) = @_;

	return "SELECT count(*) FROM inqud.checkout WHERE $condition";
}

sub names
{
	my ($condition) = @_;

	return [ split /\n/, $session->query_safe("SELECT order_id FROM inqud.checkout WHERE $condition ORDER BY order_id COLLATE \"C\"") ];
}

# ---------------------------------------------------------------------
# Creates by the worker
# ---------------------------------------------------------------------

my %all = (%useless, %mess);

$session->query_safe($shop->enqueue_sql('first'));
$shop->wait_until(count("state = 'open'"), 1);

$emu->fault({ %{ $all{$_} }, match => { method => 'POST', clientOrderId => $_ } }) foreach keys %all;
$session->query_safe('BEGIN');
$session->query_safe($shop->enqueue_sql($_, "10, 'USD'")) foreach sort keys %all;
$session->query_safe($shop->enqueue_sql("healthy $_", "10, 'USD'")) foreach 1 .. 20;
$session->query_safe('COMMIT');
# not before: on a busy machine a worker may leave for want of work meanwhile
my $worker = wait_worker($shop);
$shop->until(count("order_id ~ '^healthy' AND state = 'open'"), 'worker, creates: healthy orders go on', 20);
$shop->until(count("order_id !~ '^(healthy|first)' AND (error IS NOT NULL OR state <> 'queued')"), 'every hostile one has been answered', scalar keys %all)
  or diag(@{ names("error IS NULL AND state = 'queued'") });
$shop->wait_until("SELECT coalesce(bool_and(q.attempts > 1), false) FROM inqud.queue q WHERE kind = 'create'");
is_deeply(names("state = 'queued'"), [ sort keys %useless ], 'what cannot be used keeps its order queued');
is_deeply(names("state NOT IN ('queued', 'open')"), [], 'none has failed');
is_deeply(names("state = 'open' AND order_id !~ '^(healthy|first)'"), [ sort keys %mess ], 'id and status are enough to open the others');
$session->query_safe($shop->enqueue_sql('healthy still'));
$shop->until(count("order_id = 'healthy still' AND state = 'open'"), 'an order among them is not delayed', 1);
alive($worker, 'worker, creates');
my $peak = process_status($worker, 'VmHWM');
note("the worker's memory at its peak: $peak kB");
cmp_ok($peak, '<', 200_000, '256 MB were never taken in');
$emu->clear_faults;
$shop->until(count("state <> 'open'"), 'all of them succeed once the faults are gone', 0);
is($session->query_safe(count('true') . " AND checkout_id IS NULL"), 0, 'no order is lost');
is($session->query_safe("SELECT count(*) FROM (SELECT FROM inqud.checkout GROUP BY order_id HAVING count(*) > 1) x"), 0, 'and none is doubled');

# ---------------------------------------------------------------------
# Reads by the worker
# ---------------------------------------------------------------------

my %reads = (%useless, %mess, %number_mess);

$session->query_safe($shop->enqueue_sql($_, "10, 'USD'")) foreach sort keys %number_mess;
$shop->wait_until(count("state <> 'open'"), 0);
my %id = map { split /\t/ } split /\n/, $session->query_safe("SELECT order_id || E'\\t' || checkout_id FROM inqud.checkout");
my $pages = $session->query_safe("CREATE TEMP TABLE pages AS SELECT id, acquiring_url FROM inqud.checkout; SELECT count(acquiring_url) FROM pages");
foreach my $order (keys %reads)
{
	my %fault = %{ $reads{$order} };

	$emu->control('choose', { id => $id{$order} });
	$emu->fault({ %fault, match => { method => 'GET', checkout => $id{$order} } });
}
$emu->control('settle', { id => $id{"healthy $_"} }) foreach 1 .. 20;
# on a busy machine the worker may have left for want of work; from here on it has some
$session->query_safe($shop->enqueue_sql('first of the reads'));
$shop->wait_until(count("order_id = 'first of the reads' AND state = 'open'"), 1);
$worker = wait_worker($shop);
$session->query_safe('SELECT count(inqud_refresh(id)) FROM inqud.checkout');
$shop->until(count("order_id ~ '^healthy \\d' AND status = 'SUCCESS'"), 'worker, reads: healthy ones go on', 20);
$shop->until(count("order_id !~ '^(healthy|first)' AND error IS NULL AND status = 'NEW'"), 'every hostile one has been answered', 0);
is_deeply(names("error IS NOT NULL"), [ sort keys %useless ], 'what cannot be used is an error, and nothing else is');
is($session->query_safe(count("error IS NOT NULL AND (state <> 'open' OR status <> 'NEW')")), 0, 'which changes nothing of what is known');
is_deeply(names("status = 'REQUEST_CREATED'"), [ sort keys %mess, keys %number_mess ], 'the status is recorded whatever the rest is');
is($session->query_safe('SELECT count(*) FROM pages JOIN inqud.checkout USING (id, acquiring_url)'), $pages, 'a payment page that is known stays');
is($session->query_safe("SELECT count(DISTINCT c.id) FROM inqud.event e JOIN inqud.checkout c ON c.id = e.checkout
	WHERE e.detail ~ 'cannot be stored' AND c.order_id IN ('NUL everywhere', '1e200000 in the request')"), 2, 'what cannot be stored has its event');
alive($worker, 'worker, reads');
$emu->clear_faults;
foreach my $order (keys %reads)
{
	$emu->control('settle', { id => $id{$order} });
}
$session->query_safe("SELECT count(inqud_refresh(id)) FROM inqud.checkout WHERE order_id !~ '^(healthy|first)'");
$shop->until(count("order_id !~ '^(healthy still|first)' AND (status <> 'SUCCESS' OR error IS NOT NULL)"), 'all of them are read once the faults are gone', 0);
is_deeply(names("status = 'SUCCESS' AND (pay_amount IS NULL OR paid_amount IS DISTINCT FROM pay_amount)"), [], 'with their amounts');

# ---------------------------------------------------------------------
# The same in a session
# ---------------------------------------------------------------------

my $foreign = $emu->control('create', { type => 'NO_PRICE', clientOrderId => 'foreign' })->{id};
my (@created, @read);

foreach my $name (sort keys %reads)
{
	my $order = "s $name";

	$emu->fault({ %{ $reads{$name} }, match => { method => 'POST' } });
	$emu->fault({ %{ $reads{$name} }, match => { method => 'GET' } });
	my $create = $session->query('SELECT state FROM inqud_create_checkout(' . $shop->arguments($order) . ')');
	my $read = $session->query("SELECT status FROM inqud_get_checkout('shop', '$foreign')");
	my $bad = exists $useless{$name};

	push @created, "$name: $create->{out} $create->{err}"
	  unless $bad ? ($create->{error}{state} // '') eq 'IQ004' : $create->{out} eq 'open';
	push @read, "$name: $read->{out} $read->{err}"
	  unless $bad ? ($read->{error}{state} // '') =~ /^IQ00[45]$/ : $read->{out} eq 'NEW';
	last if $create->{lost} || $read->{lost};
	$emu->clear_faults;
}
is_deeply(\@created, [], 'session, creates: IQ004, or what can be used');
is_deeply(\@read, [], 'session, reads: IQ004, IQ005, or what can be used');
is($session->query('SELECT state FROM inqud_create_checkout(' . $shop->arguments('s at last') . ')')->{out}, 'open', 'the session goes on');
# with nothing to do the worker may have left meanwhile
alive(undef, 'session');
$session->close;

done_testing();
