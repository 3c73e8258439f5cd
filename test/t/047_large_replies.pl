#!/usr/bin/perl
#
# 047_large_replies.pl - proves that a large reply costs little more than its bytes,
# however hostile it is: memory a small multiple of max_reply_size, time that does not
# depend on the secrets that are looked for in it, and an end at once when a statement
# is canceled, a backend terminated, the worker stopped or the server shut down.  Only
# a reply of up to 1 MB and 100 000 values is kept.  (How time grows with the length:
# test/unit/test_cost.c.)

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Faults qw(ask process_status seconds wait_gone wait_worker);
use Inqud::Shop;
use IO::Socket::INET;
use PostgreSQL::Test::Utils ();
use Test::More;
use Time::HiRes qw(time usleep);

my $MB = 1024 * 1024;
my $folder = PostgreSQL::Test::Utils::tempdir();

# ---------------------------------------------------------------------
# An API with large replies
# ---------------------------------------------------------------------

# The reply about an id or order, by its name.
# Made once, which takes longer than to send them.
my %made = (
	numbers => sub { ',"request":{"x":[1' . ',1' x (31 * $MB) . ']}' },
	members => sub { ',"":1' x (12 * $MB) },
	hostile => sub { ',"y":"\n","x":"' . 'a' x (8 * $MB) . '"' },
	text => sub { ',"x":"\n' . 'a' x ($MB - 200) . '"' },
	long => sub { ',"x":"\n' . 'a' x $MB . '"' },
	many => sub { ',"x":[1' . ',1' x 100_000 . ']' },
	fewer => sub { ',"x":[1' . ',1' x 99_000 . ']' });
my %reply = map { $_ => $made{$_}->() } keys %made;

sub write_file
{
	my ($name) = @_;

	open my $out, '>', "$folder/$name" or die "$name: $!\n";
	close $out;
	return;
}

# Answers one request.  What is "held" waits until it is let go.
sub serve
{
	my ($client) = @_;
	my ($head, $body) = ('', '');

	while (defined(my $line = <$client>))
	{
		last if $line =~ /^\r?\n$/;
		$head .= $line;
	}
	read $client, $body, $1 if $head =~ /^content-length: (\d+)/im;
	my ($name) = "$head$body" =~ /(?:CCO-|"clientOrderId":")([\w-]+)/;
	my ($kind) = $name =~ /([a-z]+)/;
	my $id = $head =~ /^GET/ ? "CCO-$name" : "CCO-$name-$$";
	my $reply = "{\"id\":\"$id\",\"status\":\"NEW\"" . ($reply{$kind} // $reply{fewer}) . '}';

	if ($name =~ /held(\d+)/)
	{
		write_file("asked.$name.$$");
		usleep(5_000) until -e "$folder/go$1";
	}
	print $client "HTTP/1.1 200 OK\r\nContent-Length: " . length($reply) . "\r\nConnection: close\r\n\r\n$reply";
	close $client;
	write_file("sent.$name.$$");
	return;
}

my $listening = IO::Socket::INET->new(Listen => 100, Proto => 'tcp', LocalAddr => '127.0.0.1') or die "could not listen: $!\n";
my $test = $$;
my $server = fork // die "could not fork: $!\n";

if ($server == 0)
{
	local $SIG{CHLD} = 'IGNORE';
	local $SIG{PIPE} = 'IGNORE';

	setpgrp;
	while (my $client = $listening->accept)
	{
		my $pid = fork // die "could not fork: $!\n";

		next if $pid;
		serve($client);
		exit 0;
	}
	exit 0;
}
END { kill '-TERM', $server if defined $server && $$ == $test && $server }

sub wait_files
{
	my ($pattern, $count) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;

	until ((() = glob "$folder/$pattern") >= $count)
	{
		die "there are never $count of $pattern\n" if time > $end;
		usleep(5_000);
	}
	return;
}

my $url = 'http://127.0.0.1:' . $listening->sockport;
my $shop = Inqud::Shop->new;
my %options = (base_url => $url, max_reply_size => '64MB', timeout => '100s', connect_timeout => '100s', max_inflight => 16, poll_new => '1day');
my @secrets = qw(token_secret webhook_secret webhook_secret_previous request_webhook_secret request_webhook_secret_previous);

$shop->project('easy', options => \%options);
$shop->project('big', options => { %options, project_id => Inqud::Shop::SECOND }, mapping => { map { $_ => 'a' x 999 . 'b' } 'token_id', @secrets });

my $session = $shop->session;

sub get_sql { return "SELECT status, reply IS NULL FROM inqud_get_checkout('$_[0]', 'CCO-$_[1]')" }

# ---------------------------------------------------------------------
# Memory and time in a session
# ---------------------------------------------------------------------

$session->query_safe(get_sql('big', 'fewer'));
my $before = process_status($session->pid, 'VmHWM');
is($session->query(get_sql('big', 'numbers'))->{out}, 'NEW|t', '62 MB of numbers are read, and not kept');
my $grown = process_status($session->pid, 'VmHWM') - $before;
note("the session grew by $grown kB at its peak");
cmp_ok($grown, '<', 3 * 64 * 1024, 'they take less than three times max_reply_size');

my %took = map { my $project = $_; $project => seconds(sub { is($session->query(get_sql($project, 'hostile'))->{out}, 'NEW|t', "$project: 8 MB, nearly of secrets") }) } qw(easy big);
note(sprintf '8 MB with other secrets: %.2f s, with secrets like them: %.2f s', @took{qw(easy big)});
cmp_ok($took{big}, '<', 10 * $took{easy}, 'secrets like the reply make no difference');
$took{$_} = seconds(sub { is($session->query(get_sql($_, 'text'))->{out}, 'NEW|f', "$_: 1 MB, nearly of secrets, is kept") }) foreach qw(easy big);
cmp_ok($took{big}, '<', 10 * $took{easy}, 'and they make none there');

# What is kept.
is($session->query(get_sql('big', $_))->{out}, 'NEW|t', "not kept: $_") foreach qw(long many);
is($session->query(get_sql('big', 'fewer'))->{out}, 'NEW|f', 'less than 100 000 values are kept');
$session->query_safe('SELECT id FROM inqud_create_checkout(' . $shop->arguments('many-1', undef, 'easy') . ')');
$session->query_safe($shop->enqueue_sql('long-1', undef, 'easy'));
$shop->until("SELECT count(*) = 2 FROM inqud.event e JOIN inqud.checkout c ON c.id = e.checkout WHERE c.state = 'open' AND c.acquiring_url IS NULL AND c.reply IS NULL
	AND e.detail = 'the reply has members that cannot be stored: reply'", 'a reply that is not kept has its event, from a session and from the worker');

# ---------------------------------------------------------------------
# An end of statements
# ---------------------------------------------------------------------

# A timeout while a reply is sent, and while it is read.
my $whole = seconds(sub { $session->query_safe(get_sql('big', 'members')) });
my @ends = map { my $answer = $session->query('SET statement_timeout = ' . int(1000 * $whole * $_) . '; ' . get_sql('big', 'members')); $answer->{error}{state} // $answer->{out} } 0.2, 0.8;
is_deeply([ grep { !/^(57014|NEW\|t)$/ } @ends ], [], 'a statement timeout ends a call, or comes too late');
is($ends[0], '57014', 'an early one ends it');
$session->query_safe('RESET statement_timeout');

# Seconds from the end of the other side's sending to that of the call, which may be
# canceled so many seconds after it; undef if that came too late.
my $control = $shop->session;
my $calls = 0;

sub time_to_read
{
	my ($cancel) = @_;
	my $name = 'members-' . ++$calls;

	ask($session, get_sql('big', $name));
	wait_files("sent.$name.*", 1);
	my $sent = time;
	if (defined $cancel)
	{
		usleep(1e6 * $cancel);
		$control->query_safe('SELECT pg_cancel_backend(' . $session->pid . ')');
	}
	my $answer = $session->finish;
	return !defined $cancel || ($answer->{error}{state} // '') eq '57014' ? time - $sent : undef;
}

my ($read) = sort { $a <=> $b } map { time_to_read() } 1 .. 3;
my ($canceled) = sort { $a <=> $b } grep { defined } map { time_to_read(0.2 * $read) } 1 .. 4;
note(sprintf 'a whole call: %.2f s; read in %.2f s, or until a cancel after a fifth of that in %.2f s', $whole, $read, $canceled // -1);
cmp_ok($canceled // 1e9, '<', 0.7 * $read, 'a cancel ends a call while its reply is read');
$control->close;
is($session->query('RESET statement_timeout; ' . get_sql('big', 'fewer'))->{out}, 'NEW|f', 'and the session goes on');
cmp_ok(process_status($session->pid, 'VmHWM') - $before, '<', 4 * 64 * 1024, 'with no memory left behind');

# The reply is here, and is read.  pg_terminate_backend says whether the process went.
foreach my $kind (qw(hostile numbers))
{
	my $doomed = $shop->session;

	ask($doomed, get_sql('big', "$kind-term"));
	wait_files("sent.$kind-term.*", 1);
	my $gone = $shop->sql('SELECT coalesce(pg_terminate_backend(pid, 5000), true) FROM (SELECT (SELECT pid FROM pg_stat_activity WHERE pid = ' . $doomed->pid . ') AS pid) x');
	is($gone, 't', "$kind: pg_terminate_backend ends the session");
	eval { $doomed->finish };
	eval { $doomed->close };
}
$session->close;

# ---------------------------------------------------------------------
# The worker
# ---------------------------------------------------------------------

# Eight replies come at once; their number in the order tells the round.
sub many_come
{
	my ($round) = @_;

	$shop->sql(join '; ', map { $shop->enqueue_sql("hostile-$_-held$round", undef, 'big') } 1 .. 8);
	wait_files("asked.hostile-*-held$round.*", 8);
	my $pid = wait_worker($shop);
	write_file("go$round");
	wait_files("sent.hostile-*-held$round.*", 1);
	return $pid;
}

many_come(1);
is($shop->sql('SELECT inqud_worker_stop()'), 't', 'inqud_worker_stop ends a worker that reads large replies');
$shop->sql('SELECT inqud_worker_start()');
$shop->until("SELECT count(*) FROM inqud.checkout WHERE order_id ~ 'held1' AND state = 'open'", 'all of them are recorded in the end', 8);
many_come(2);
$shop->sql($shop->enqueue_sql('other'));
$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'other'", 'an order of another project goes through');
$shop->until("SELECT count(*) FROM inqud.checkout WHERE order_id ~ 'held2' AND state = 'open'", 'and so do they', 8);
is($shop->sql("SELECT count(*) FROM inqud.checkout WHERE order_id ~ 'held' AND reply IS NOT NULL"), '0', 'none of them is kept');
my $pid = many_come(3);
is($shop->sql("SELECT pg_terminate_backend($pid, 5000)"), 't', 'pg_terminate_backend ends it');
$shop->until("SELECT count(*) FROM inqud.checkout WHERE order_id ~ 'held3' AND state = 'open'", 'its successor does the rest', 8);
many_come(4);
ok(eval { $shop->node->stop('fast'); 1 }, 'a fast shutdown ends it');
$shop->start;
$shop->until("SELECT count(*) FROM inqud.checkout WHERE order_id ~ 'held4' AND state = 'open'", 'and nothing is lost', 8);
is($shop->sql("SELECT count(DISTINCT order_id) = count(*) FROM inqud.checkout WHERE order_id ~ 'held' AND current"), 't', 'nor doubled');

done_testing();
