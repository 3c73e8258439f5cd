#!/usr/bin/perl
#
# 044_secret_file.pl - proves that a file of secrets is read with care: files of
# every wrong kind, mode and content are refused at once and told by line, never
# by text; what changes is seen with the next call, in sessions and in the worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use IO::Socket::UNIX;
use POSIX qw(mkfifo);
use PostgreSQL::Test::Utils ();
use Test::More;

# Stands in every file, and must be seen nowhere.
my $MARKER = 'xMARKERx';
my $dir = PostgreSQL::Test::Utils::tempdir_short() . "/$MARKER";
mkdir $dir or die "$dir: $!\n";
my $file = "$dir/secrets";
my $shop = Inqud::Shop->new(conf => ['log_min_messages = debug2'], options => { retry_min => '100ms', retry_max => '200ms', poll_new => '1day' },
	mapping => { token_id => undef, token_secret => undef, request_webhook_secret => 'x' });
my $emu = $shop->emu;
my ($id, $secret) = (Inqud::Shop::TOKEN, Inqud::Shop::SECRET);
my $good = "# $MARKER\n\ntoken_id = $id\n  token_secret=$secret  \n";
my @seen;

# Puts a file in the place of the one before, as an editor does.
sub put
{
	my ($text, $mode) = @_;

	open my $out, '>', "$file.new" or die "$file.new: $!\n";
	print {$out} $text;
	close $out or die "$file.new: $!\n";
	chmod $mode // oct(600), "$file.new";
	clear();
	rename "$file.new", $file or die "$file: $!\n";
	return;
}

sub clear
{
	unlink $file;
	rmdir $file;
	return;
}

put($good);
# so that the statement itself does not put the path into the log
$shop->sql("SET log_min_messages = warning; ALTER USER MAPPING FOR PUBLIC SERVER shop OPTIONS (ADD secret_file '$file')");
my $session = $shop->session;
my $orders = 0;

sub works
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $answer = $session->query('SELECT status FROM inqud_create_checkout(' . $shop->arguments('good ' . ++$orders) . ')');

	push @seen, $answer->{err};
	return is($answer->{out}, 'NEW', $name);
}

# A call fails with this SQLSTATE and detail.
sub fails
{
	my ($name, $state, $detail) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $answer = $session->query($shop->create_sql('bad ' . ++$orders));

	push @seen, $answer->{err};
	return Inqud::Shop::error_is($answer->{error}, { state => $state, detail => $detail }, $name);
}

works('a good file');

# ---------------------------------------------------------------------
# Files that are none
# ---------------------------------------------------------------------

clear();
fails('no file', 'F0000', qr/No such file/);
mkdir $file or die;
fails('a folder', 'F0000', qr/not a regular file/);
clear();
mkfifo($file, oct 600) or die;
fails('a pipe that nobody writes to', 'F0000', qr/not a regular file/);
clear();
{
	my $socket = IO::Socket::UNIX->new(Local => $file, Listen => 1) or die "socket: $!\n";
	chmod oct(600), $file;
	fails('a socket', 'F0000', qr/Opening it failed|not a regular file/);
}
foreach my $target ('/dev/zero', '/dev/null', '/dev/tty', $file, "$dir/none", '/proc/self/environ', '/etc/passwd')
{
	clear();
	symlink $target, $file or die;
	fails('a link to ' . ($target eq $file ? 'itself' : $target eq "$dir/none" ? 'nothing' : $target), 'F0000', qr/^(?:It is not|The file may|Opening it failed|A line must|The line contains)/);
}
clear();
foreach my $mode (qw(0644 0604 0602 0660 0620 0601 0777))
{
	put($good, oct $mode);
	fails("mode $mode", 'F0000', qr/chmod 0640 or less/);
}
put($good, 0);
fails('mode 0000', 'F0000', qr/Permission denied/) if $> != 0;
foreach my $mode (qw(0600 0400 0640 0440))
{
	put($good, oct $mode);
	works("mode $mode");
}
put($good . '#' x (64 * 1024));
fails('larger than 64 kB', 'F0000', qr/larger than 64 kB/);
put($good);
truncate $file, 20 * 1024 * 1024 * 1024 or die;
fails('20 GB with a hole', 'F0000', qr/larger than 64 kB/);
put($good . '#' x (64 * 1024 - length $good));
works('exactly 64 kB');

# ---------------------------------------------------------------------
# Lines that are none
# ---------------------------------------------------------------------

my %bad_line = (
	'no equals sign' => $MARKER, 'an unknown option' => "password = $MARKER", 'an option of a server' => "project_id = $MARKER", 'a file in the file' => "secret_file = /$MARKER",
	'a CA file' => "ca_file = /$MARKER", 'no value' => 'webhook_secret =', 'no name' => "= $MARKER", 'a control character' => "webhook_secret = $MARKER\x01",
	'a tab within' => "token_id = $MARKER\t$MARKER", 'a space within' => "token_id = $MARKER $MARKER", 'a NUL' => "webhook_secret = $MARKER\0$MARKER",
	'a long value' => "token_secret = $MARKER" . 'x' x 1000, 'an option twice' => "webhook_secret = $MARKER\nwebhook_secret = $MARKER",
	'capitals' => "TOKEN_ID = $MARKER", 'letters beyond ASCII' => "token_id = $MARKER\xc3\xa9", 'bytes that are no text' => "token_secret = $MARKER\xff\xfe",
	'a mark of byte order' => "\xef\xbb\xbftoken_id = $MARKER", 'an INI section' => "[$MARKER]", 'quotes for a name' => "\"token_id\" = $MARKER", 'a format' => '%s%n%p');

foreach my $name (sort keys %bad_line)
{
	put("# comment\n$bad_line{$name}\n");
	fails("$name", 'F0000', qr/^(?:A line must be|The value of option "\w+"|Option "\w+" is set twice|The line contains a zero byte)/);
	like($seen[-1], qr/invalid line [23] in secret file for server "shop"/, "$name: told by its line");
}
put('');
fails('an empty file', '42704', qr//);
put("# only a comment");
fails('only a comment', '42704', qr//);
put($good =~ s/\n/\r\n/gr);
works('line ends of Windows');
put($good =~ s/\n\z//r);
works('no line end at the end');

# ---------------------------------------------------------------------
# Changes
# ---------------------------------------------------------------------

$emu->control('token', { id => $id, secret => 'another-secret' });
fails('a secret that is no longer valid', 'IQ002', qr/401/);
put("token_id = $id\ntoken_secret = another-secret\n");
works('the next call takes the new one');
$emu->control('token', { id => $id, secret => 'ANOTHER-SECRET' });
{
	# of the same length, into the same file
	open my $out, '+<', $file or die "$file: $!\n";
	print {$out} "token_id = $id\ntoken_secret = ANOTHER-SECRET\n";
	close $out or die "$file: $!\n";
}
works('also when it is written into the same file');
$shop->sql('SET log_min_messages = warning; ALTER USER MAPPING FOR PUBLIC SERVER shop OPTIONS (ADD token_secret \'wrong\')');
fails('what the mapping itself says wins', 'IQ002', qr/401/);
$shop->sql('ALTER USER MAPPING FOR PUBLIC SERVER shop OPTIONS (DROP token_secret)');
works('and no longer');

# The worker: an order waits for the file, and goes when it is right.  A session
# that queues one looks at the file, too, so it is broken afterwards.
$session->query_safe('BEGIN');
$session->query_safe($shop->enqueue_sql('worker'));
clear();
mkfifo($file, oct 600) or die "mkfifo: $!\n";
$session->query_safe('COMMIT');
$shop->until("SELECT error IS NOT NULL AND state = 'queued' FROM inqud.checkout WHERE order_id = 'worker'", 'the worker waits for no pipe, but the order does');
push @seen, $shop->checkout('worker')->{error}, $shop->sql('SELECT t::text FROM inqud.event t');
put("token_id = $id\ntoken_secret = ANOTHER-SECRET\n");
$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'worker'", 'and goes when the file is right');

cmp_ok(scalar(grep { length } @seen), '>', 20, 'many messages were collected');
is_deeply([ grep { /$MARKER/ } @seen ], [], 'neither the path nor any text of a file was told');
is_deeply([ grep { /$MARKER/ } split /\n/, PostgreSQL::Test::Utils::slurp_file($shop->node->logfile) ], [], 'nor logged');
$session->close;

done_testing();
