#!/usr/bin/perl
#
# 043_streams.pl - proves that what a reply costs is bounded while it comes in,
# whatever its framing says: compressed bombs, senseless chunks and lengths, floods
# of interim replies, headers and trailers, old and unknown versions, bytes that
# drip.  In sessions and in the worker: an error or a good answer, never more
# memory or time than the options allow.  (Damaged bodies: 008_hostile.pl.)

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use IO::Compress::Deflate ();
use IO::Compress::Gzip ();
use IO::Compress::RawDeflate ();
use Inqud::Faults qw(process_status wait_worker);
use Inqud::Shop;
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils ();
use Test::More;
use Time::HiRes qw(time);

my $shop = Inqud::Shop->new(options => { timeout => '10s', retry_min => '1h', retry_max => '1h', max_inflight => 100, poll_new => '1day', max_reply_size => '200kB' });
my $emu = $shop->emu;
my $session = $shop->session;
my $known = $emu->control('create', { type => 'NO_PRICE', clientOrderId => 'known' })->{id};

# 64 MB of blanks, in each compression that the standard knows by heart.
my %bomb;
foreach my $class (qw(Gzip Deflate RawDeflate))
{
	my $bytes;
	my $out = "IO::Compress::$class"->new(\$bytes) or die "$class\n";

	$out->print(' ' x (1024 * 1024)) foreach 1 .. 64;
	$out->close;
	$bomb{ lc $class } = $bytes;
}
IO::Compress::Gzip::gzip(\$bomb{gzip}, \$bomb{twice}) or die "gzip\n";

my $ok = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";

# A reply with its length.
sub sized
{
	my ($body, $headers, $line) = @_;

	return ($line // $ok) . ($headers // '') . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
}

sub chunked
{
	my ($chunks, $headers) = @_;

	return $ok . ($headers // '') . "Transfer-Encoding: chunked\r\n\r\n$chunks";
}

sub chunk { return sprintf("%x\r\n%s\r\n", length $_[0], $_[0]) }

sub gzipped
{
	my ($text) = @_;
	my $out;

	IO::Compress::Gzip::gzip(\$text, \$out) or die 'gzip';
	return $out;
}

# Replies by name: "good" ones are a proper answer, which must be taken; "bad"
# ones must be an error; of the others either will do.  Each is made of the JSON.
my %good = (
	'HTTP/1.0' => sub { sized($_[0], '', "HTTP/1.0 200 OK\r\n") },
	'HTTP/1.0 to its close' => sub { "HTTP/1.0 200 OK\r\n\r\n$_[0]" },
	'to its close' => sub { "$ok\r\n$_[0]" },
	'three interim replies' => sub { "HTTP/1.1 100 Continue\r\n\r\n" x 3 . sized($_[0]) },
	'early hints' => sub { "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" . sized($_[0]) },
	'a trailer' => sub { chunked(chunk($_[0]) . "0\r\nX-Sum: 1\r\n\r\n") },
	'single bytes' => sub { chunked(join('', map { chunk($_) } split //, $_[0]) . "0\r\n\r\n") },
	'identity' => sub { sized($_[0], "Content-Encoding: identity\r\n") });
my %bad = (
	'gzip, a bomb' => sub { sized($bomb{gzip}, "Content-Encoding: gzip\r\n") },
	'gzip, a bomb in chunks' => sub { chunked(chunk($bomb{gzip}) . "0\r\n\r\n", "Content-Encoding: gzip\r\n") },
	'gzip twice, a bomb' => sub { sized($bomb{twice}, "Content-Encoding: gzip, gzip\r\n") },
	'gzip seven times' => sub { sized($bomb{gzip}, 'Content-Encoding: ' . join(', ', ('gzip') x 7) . "\r\n") },
	'deflate, a bomb' => sub { sized($bomb{deflate}, "Content-Encoding: deflate\r\n") },
	'raw deflate, a bomb' => sub { sized($bomb{rawdeflate}, "Content-Encoding: deflate\r\n") },
	'transfer in gzip, a bomb' => sub { "${ok}Transfer-Encoding: gzip\r\n\r\n$bomb{gzip}" },
	'transfer in gzip and chunks, a bomb' => sub { "${ok}Transfer-Encoding: gzip, chunked\r\n\r\n" . chunk($bomb{gzip}) . "0\r\n\r\n" },
	'transfer in deflate, a bomb' => sub { "${ok}Transfer-Encoding: deflate, chunked\r\n\r\n" . chunk($bomb{deflate}) . "0\r\n\r\n" },
	'br' => sub { sized("\x{1b}\xff\xff" x 1000, "Content-Encoding: br\r\n") },
	'zstd' => sub { sized("\x28\xb5\x2f\xfd\xff\xff" x 1000, "Content-Encoding: zstd\r\n") },
	'gzip that nobody asked for' => sub { sized(gzipped($_[0]), "Content-Encoding: gzip\r\n") },
	'gzip that is none' => sub { sized("\x1f\x8b\x08\x00 nothing", "Content-Encoding: gzip\r\n") },
	(map { my $size = $_; "a chunk of size $size" => sub { chunked("$size\r\n$_[0]\r\n0\r\n\r\n") } } '-1', 'ffffffffffffffff', '7fffffffffffffff', '1' . 'f' x 20, 'zz', '', ' ', '0x5', '+5', 'fffff'),
	'no last chunk' => sub { chunked(chunk($_[0])) },
	'no chunk' => sub { chunked('') },
	'only a last chunk' => sub { chunked("0\r\n\r\n") },
	'a chunk without its end' => sub { chunked(sprintf("%x\r\n%s", length $_[0], $_[0]) . "0\r\n\r\n") },
	'a length in a thousand digits' => sub { "${ok}Content-Length: " . '9' x 1000 . "\r\n\r\n$_[0]" },
	'more than the length says' => sub { "${ok}Content-Length: 10\r\n\r\n$_[0]" },
	'less than the length says' => sub { "${ok}Content-Length: 100000\r\n\r\n$_[0]" },
	'a length of 0' => sub { "${ok}Content-Length: 0\r\n\r\n$_[0]" },
	'a negative length' => sub { "${ok}Content-Length: -5\r\n\r\n$_[0]" },
	'HTTP/0.9' => sub { $_[0] },
	'interim replies, 300 kB' => sub { "HTTP/1.1 100 Continue\r\n\r\n" x 12_000 . sized($_[0]) },
	'early hints, 300 kB' => sub { "HTTP/1.1 103 Early Hints\r\nLink: </xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx>\r\n\r\n" x 4_000 . sized($_[0]) },
	'headers, 300 kB' => sub { $ok . "X-A: b\r\n" x 40_000 . "\r\n$_[0]" },
	'one header, 300 kB' => sub { "${ok}X-A: " . 'b' x 300_000 . "\r\n\r\n$_[0]" },
	'headers, 70 kB' => sub { $ok . 'X-A: ' . 'b' x 1000 . "\r\n" . ('X-A: ' . 'b' x 1000 . "\r\n") x 69 . "\r\n$_[0]" },
	'trailers, 300 kB' => sub { chunked(chunk($_[0]) . "0\r\n" . "X-A: bbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n" x 10_000 . "\r\n") },
	'a status line, 300 kB' => sub { 'HTTP/1.1 200 ' . 'O' x 300_000 . "\r\n\r\n$_[0]" },
	'extensions, 300 kB' => sub { chunked(('1;x=' . 'y' x 10_000 . "\r\n \r\n") x 30) },
	'101' => sub { "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n" . sized($_[0]) },
	'204' => sub { "HTTP/1.1 204 No Content\r\n\r\n$_[0]" },
	'304' => sub { "HTTP/1.1 304 Not Modified\r\n\r\n$_[0]" });
my %other = (
	'HTTP/2 in the clear' => sub { sized($_[0], '', "HTTP/2 200\r\n") },
	'two lengths' => sub { "${ok}Content-Length: 10\r\n" . "Content-Length: " . length($_[0]) . "\r\n\r\n$_[0]" },
	'a list of lengths' => sub { "${ok}Content-Length: " . length($_[0]) . ', ' . length($_[0]) . "\r\n\r\n$_[0]" },
	'length and chunks' => sub { "${ok}Content-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n" . chunk($_[0]) . "0\r\n\r\n" },
	'chunked twice' => sub { "${ok}Transfer-Encoding: chunked, chunked\r\n\r\n" . chunk(chunk($_[0]) . "0\r\n\r\n") . "0\r\n\r\n" },
	'an unknown transfer encoding' => sub { "${ok}Transfer-Encoding: xyz\r\n\r\n$_[0]" },
	'an unknown content encoding' => sub { sized($_[0], "Content-Encoding: xyz\r\n") },
	'a folded header' => sub { "${ok}X-A: b\r\n  c\r\n" . 'Content-Length: ' . length($_[0]) . "\r\n\r\n$_[0]" },
	'NUL in a header' => sub { sized($_[0], "X-A: b\0c\r\n") },
	'a header without colon' => sub { sized($_[0], "nonsense\r\n") },
	'bare line feeds' => sub { "HTTP/1.1 200 OK\nContent-Length: " . length($_[0]) . "\n\n$_[0]" },
	'HTTP/9.9' => sub { sized($_[0], '', "HTTP/9.9 200 OK\r\n") },
	'a status of four digits' => sub { sized($_[0], '', "HTTP/1.1 2000 OK\r\n") },
	'a status of two digits' => sub { sized($_[0], '', "HTTP/1.1 20 OK\r\n") },
	'two replies' => sub { sized($_[0]) . sized('{"id":"CCO-evil","status":"SUCCESS"}') },
	'a length with a sign' => sub { "${ok}Content-Length: +" . length($_[0]) . "\r\n\r\n$_[0]" });

# ---------------------------------------------------------------------
# One after another in a session
# ---------------------------------------------------------------------

# The most memory that a process has had, in kB.
sub peak
{
	my ($pid) = @_;

	return process_status($pid, 'VmHWM');
}

sub reply { return { action => 'raw', base64 => encode_base64($_[0], '') } }

my %kind = ((map { $_ => 'good' } keys %good), (map { $_ => 'bad' } keys %bad), (map { $_ => 'other' } keys %other));
my %make = (%good, %bad, %other);
my $number = 0;
my ($slowest, $slow) = (0, '');

# Newer releases of libcurl keep the connection on which the reply before broke off.
# What is sent on it has an unknown outcome, and repeating it is safe.
sub once_more
{
	my ($query) = @_;
	my $answer = $session->query($query);

	# it has not met the reply that was meant for it
	return $answer unless ($answer->{error}{detail} // '') =~ /kept connection was closed without an answer/ &&
		grep { !$_->{hits} } @{ $emu->get('faults') };
	return $session->query($query);
}

# Does an answer fit the kind of reply?
sub fits
{
	my ($kind, $answer, $good) = @_;

	return 0 if $answer->{lost};
	return $answer->{out} eq $good if $kind eq 'good' || ($kind eq 'other' && !$answer->{error}{state});
	return ($answer->{error}{state} // '') =~ /^IQ00[145]$/;
}

$session->query_safe($shop->create_sql('before'));
my $before = peak($session->pid);
my @wrong;
foreach my $name (sort keys %make)
{
	my $started = time;

	$number++;
	$emu->fault({ match => { method => 'POST' }, %{ reply($make{$name}->("{\"id\":\"CCO-s$number\",\"status\":\"NEW\"}")) }, times => 1 });
	my $create = once_more('SELECT status FROM inqud_create_checkout(' . $shop->arguments("s $name") . ')');
	$emu->fault({ match => { method => 'GET' }, %{ reply($make{$name}->("{\"id\":\"$known\",\"status\":\"NEW\"}")) }, times => 1 });
	my $read = $session->query("SELECT status FROM inqud_get_checkout('shop', '$known')");
	push @wrong, "create, $name: $create->{out} $create->{err}" unless fits($kind{$name}, $create, 'NEW');
	push @wrong, "read, $name: $read->{out} $read->{err}" unless fits($kind{$name}, $read, 'NEW');
	last if $create->{lost} || $read->{lost};
	($slowest, $slow) = (time - $started, $name) if time - $started > $slowest;
	$emu->clear_faults;
}
is_deeply(\@wrong, [], 'session: ' . keys(%make) . ' kinds of framing');
my $grown = peak($session->pid) - $before;
note(sprintf 'the session grew by %d kB at its peak; the slowest pair of calls (%s) took %.2f s', $grown, $slow, $slowest);
cmp_ok($grown, '<', 40_000, 'session: its memory is bounded');

# ---------------------------------------------------------------------
# All at once in the worker
# ---------------------------------------------------------------------

$emu->fault({ match => { method => 'POST', clientOrderId => "w $_" }, %{ reply($make{$_}->('{"id":"CCO-w' . ++$number . '","status":"NEW"}')) } }) foreach sort keys %make;
$session->query_safe($shop->enqueue_sql('first'));
$shop->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'first'");
my $worker = wait_worker($shop);
$session->query_safe('BEGIN');
$session->query_safe($shop->enqueue_sql("w $_")) foreach sort keys %make;
$session->query_safe('COMMIT');
$shop->until("SELECT count(*) FROM inqud.checkout WHERE order_id LIKE 'w %' AND (state <> 'queued' OR error IS NOT NULL)", 'worker: every reply has been dealt with', scalar keys %make);
my %state = map { split /\|/ } split /\n/, $session->query_safe("SELECT substr(order_id, 3), state FROM inqud.checkout WHERE order_id LIKE 'w %'");
is_deeply([ grep { $state{$_} ne 'open' } sort keys %good ], [], 'worker: good answers are taken');
is_deeply([ grep { $state{$_} !~ /^(?:queued|failed)$/ } sort keys %bad ], [], 'worker: the others are errors');
is($session->query_safe("SELECT count(*) FROM inqud.checkout WHERE status = 'SUCCESS' OR checkout_id = 'CCO-evil'"), '0', 'what follows a reply is no reply');
is($shop->worker_pid, $worker, 'worker: it is still the same');
note('the worker\'s memory at its peak: ' . peak($worker) . ' kB');
cmp_ok(peak($worker), '<', 100_000, 'worker: its memory is bounded');
$emu->clear_faults;

# ---------------------------------------------------------------------
# Time
# ---------------------------------------------------------------------

# Whole, such a reply takes ten minutes, which is longer than a session waits.
$emu->control('settings', { extra => { pad => 'x' x 12_000 } });
$shop->set_options('shop', timeout => '500ms', retry_min => '100ms', retry_max => '200ms');
foreach my $drip ({ from => 'head' }, { from => 'body' })
{
	$emu->fault({ action => 'drip', interval => 50, chunk => 1, %$drip });
	foreach my $sql ($shop->create_sql("drip $drip->{from}"), "SELECT inqud_get_checkout('shop', '$known')")
	{
		my $started = time;
		my $error = $session->query($sql)->{error};

		is($error->{state}, 'IQ004', "$drip->{from} that drip in end by the timeout");
		note(sprintf 'after %.1f s', time - $started);
	}
	$session->query_safe($shop->enqueue_sql("worker $drip->{from}"));
	$shop->until("SELECT error ~ 'timed out' FROM inqud.checkout WHERE order_id = 'worker $drip->{from}'", "$drip->{from} that drip in: the worker, too");
	$emu->clear_faults;
}
$emu->control('settings', { extra => undef });
$shop->set_options('shop', timeout => '10s');
$shop->until("SELECT bool_and(state = 'open') FROM inqud.checkout WHERE order_id LIKE 'worker %'", 'and goes on');
$session->close;

done_testing();
