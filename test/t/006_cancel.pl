#!/usr/bin/perl
#
# 006_cancel.pl - proves that a cancel, statement_timeout and termination take
# effect in whatever phase a synchronous call is, and do not wait for its end:
# looking up the host name, connecting, shaking hands, waiting for headers,
# reading the body, waiting for its turn or for the worker.  Afterwards the
# session works as before and holds nothing more than before: no descriptor, no
# memory, no thread.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Faults qw(process_status);
use Inqud::Shop;
use PostgreSQL::Test::Utils ();
use Test::More;
use Time::HiRes qw(time);

# Left alone, each call here goes on for longer than so many seconds: its timeout
# is ten minutes, its turn comes after eight, and the kernel gives a connect up
# after two.  What was measured, milliseconds, is printed.
use constant BY_ITSELF => 120;

my $HANGING = 'resolver-hangs.example';

# ---------------------------------------------------------------------
# A resolver that hangs for one name, as long as a file is there
# ---------------------------------------------------------------------

my $dir = PostgreSQL::Test::Utils::tempdir();
my $hang = "$dir/hang";

sub write_file
{
	my ($file, $text) = @_;

	open my $out, '>', $file or die "could not write \"$file\": $!\n";
	print $out $text;
	close $out or die "could not write \"$file\": $!\n";
	return;
}

write_file($hang, '');
write_file("$dir/resolver.c", <<"END");
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res)
{
	static int	(*real) (const char *, const char *, const struct addrinfo *, struct addrinfo **);

	if (node != NULL && strcmp(node, "$HANGING") == 0)
	{
		while (access("$hang", F_OK) == 0)
			usleep(20000);
		return EAI_NONAME;
	}
	if (real == NULL)
		real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(node, service, hints, res);
}
END
PostgreSQL::Test::Utils::run_log([ 'cc', '-shared', '-fPIC', '-o', "$dir/resolver.so", "$dir/resolver.c", '-ldl' ])
  or die "the resolver was not built\n";

my $shop = Inqud::Shop->new(
	emulator => { blackhole => 1 },
	env => { LD_PRELOAD => join(':', grep { defined && length } "$dir/resolver.so", $ENV{LD_PRELOAD}) });
my $emu = $shop->emu;
my $ports = $emu->get('info')->{blackhole};
my %patient = (timeout => '10min', connect_timeout => '10min');

$shop->project('dns', options => { %patient, base_url => "https://$HANGING" });
$shop->project('connect', options => { %patient, base_url => "http://127.0.0.1:$ports->{connectHangs}" });
$shop->project('tls', options => { %patient, base_url => "https://127.0.0.1:$ports->{answerHangs}" });
$shop->project('patient', options => { %patient, project_id => Inqud::Shop::SECOND });
$shop->sql('CREATE TABLE about (what text, id bigint)');

my $known = $emu->control('create', { type => 'NO_PRICE', clientOrderId => 'known', project => Inqud::Shop::SECOND })->{id};
my $admin = $shop->session;
my $counter = 0;

# Each phase: how to get a call into it, as [statement, what must have happened then].
my %faults = (
	headers => { action => 'hang', phase => 'headers' }, 'not processed' => { action => 'hang', phase => 'before' },
	body => { action => 'hang', phase => 'body' }, drip => { action => 'drip', interval => 1000 });

sub read_of
{
	my ($project, $id) = @_;

	return "SELECT inqud_get_checkout('$project', '" . ($id // 'CCO-1') . "')";
}

# A project that has just had its turn.
sub slow_project
{
	my $project = 'slow_' . ++$counter;

	$emu->control('project', { id => "CAP-$project", name => $project, account => 'first' });
	$shop->project($project, options => { %patient, project_id => "CAP-$project", rate_limit => '0.002' });
	$shop->sql($shop->create_sql('its only turn', undef, $project));
	return $project;
}

sub fault_of
{
	my ($phase) = @_;

	$emu->clear_faults;
	$emu->control('reset', { only => ['log'] });
	$emu->fault({ match => { project => Inqud::Shop::SECOND }, %{ $faults{$phase} } });
	return;
}

my %phases = (
	dns => sub { return read_of('dns') },
	connect => sub { return read_of('connect') },
	'TLS handshake' => sub { return read_of('tls') },
	'its turn' => sub { return read_of(slow_project()) },
	(map { my $phase = $_; $phase => sub { fault_of($phase); return (read_of('patient', $known), 1) } } keys %faults),
	(map { my $phase = $_; "create, $phase" => sub { fault_of($phase); return ($shop->create_sql('c' . ++$counter, undef, 'patient'), 1) } } keys %faults),
	'the worker' => sub {
		fault_of('headers');
		my $order = 'w' . ++$counter;
		$admin->query_safe($shop->enqueue_sql($order, undef, 'patient'));
		$shop->wait_requests(body => "\"$order\"");
		return $shop->create_sql($order, undef, 'patient');
	},
	'inqud_wait_checkout' => sub {
		fault_of('headers');
		my $order = 'w' . ++$counter;
		$admin->query_safe($shop->enqueue_sql($order, undef, 'patient'));
		$shop->wait_requests(body => "\"$order\"");
		return "SELECT inqud_wait_checkout((SELECT id FROM inqud.checkout WHERE order_id = '$order'), '10min')";
	});

# Starts a call and waits until it is in its phase.
sub enter
{
	my ($session, $phase) = @_;
	my ($sql, $arrives) = $phases{$phase}->();

	$session->start($sql);
	$shop->wait_requests if $arrives;
	$shop->wait_until("SELECT state = 'active' AND wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = " . $session->pid);
	return;
}

sub does_not_wait
{
	my ($since, $name) = @_;
	my $took = time - $since;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	note(sprintf '%s: %.0f ms', $name, $took * 1000);
	return cmp_ok($took, '<', BY_ITSELF, "$name does not wait for the call's end");
}

# A session's descriptors, without the files of the server's own, which come and
# go with its caches.
sub descriptors
{
	my ($session) = @_;

	return grep { (readlink // '') !~ m{^/} } glob '/proc/' . $session->pid . '/fd/*';
}

# What a session holds: descriptors and the extension's memory contexts.
sub holds
{
	my ($session) = @_;
	my @descriptors = descriptors($session);

	return { descriptors => scalar @descriptors, contexts => $session->query_safe(
			"SELECT count(*) FROM pg_backend_memory_contexts WHERE name ~ '^inqud (call|task)'") };
}

sub works
{
	my ($session, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return is($session->query('SELECT status FROM inqud_create_checkout(' . $shop->arguments('works ' . ++$counter) . ')')->{out}, 'NEW',
		"$name: the session goes on calling");
}

# ---------------------------------------------------------------------
# Every phase, every way
# ---------------------------------------------------------------------

my $victim = $shop->session;

works($victim, 'at first');
foreach my $phase (sort keys %phases)
{
	# twice, so that what the first cancel left would show
	foreach my $round (1, 2)
	{
		my $before = holds($victim);

		enter($victim, $phase);
		my $since = time;
		$admin->query_safe('SELECT pg_cancel_backend(' . $victim->pid . ')');
		my $answer = $victim->finish;
		does_not_wait($since, "cancel, $phase");
		Inqud::Shop::error_is($answer->{error}, { state => '57014', message => 'canceling statement due to user request' }, "cancel, $phase: 57014");
		works($victim, "cancel, $phase");
		my $after = holds($victim);
		next if $round == 1;
		is($after->{contexts}, 0, "cancel, $phase: no memory is left behind");
		# the connection to the emulator may have been opened meanwhile
		cmp_ok($after->{descriptors}, '<=', $before->{descriptors} + ($phase eq 'dns' ? 4 : 1), "cancel, $phase: no descriptor is left behind")
		  or diag(join "\n", map { "$_ " . (readlink // '') } glob '/proc/' . $victim->pid . '/fd/*');
	}

	$victim->query_safe("SET statement_timeout = '300ms'");
	my ($sql) = $phases{$phase}->();
	my $since = time;
	my $answer = $victim->query($sql);
	Inqud::Shop::error_is($answer->{error}, { state => '57014', message => 'canceling statement due to statement timeout' }, "statement_timeout, $phase: 57014");
	does_not_wait($since + 0.3, "statement_timeout, $phase");
	$victim->query_safe('RESET statement_timeout');
	works($victim, "statement_timeout, $phase");

	my $doomed = $shop->session;
	enter($doomed, $phase);
	$since = time;
	$admin->query_safe('SELECT pg_terminate_backend(' . $doomed->pid . ')');
	$answer = $doomed->finish;
	ok($answer->{lost} && ($answer->{error}{state} // '') eq '57P01', "termination, $phase: the session ends");
	does_not_wait($since, "termination, $phase");
	$shop->until('SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ' . $doomed->pid, "termination, $phase: the process is gone");
	does_not_wait($since, "the end of the process, $phase,");
	$doomed->close;
	$emu->clear_faults;
	$emu->control('release');
}

# Waiting for a cancel in a block that catches it is the caller's right.
is($victim->query(<<"SQL")->{error}, undef, 'a block may catch the cancel and go on');
SET statement_timeout = '300ms';
DO \$\$
BEGIN
	PERFORM inqud_get_checkout('connect', 'CCO-1');
EXCEPTION WHEN query_canceled THEN
	SET LOCAL statement_timeout = 0;
	INSERT INTO about SELECT 'caught', id FROM inqud_create_checkout(@{[ $shop->arguments('caught') ]});
END
\$\$;
RESET statement_timeout;
SQL
is($shop->sql("SELECT count(*) FROM about a JOIN inqud.checkout c ON c.id = a.id WHERE c.state = 'open'"), 1, 'its next call succeeds');

# A resolver's thread cannot be ended, only left; it goes when the resolver returns.
unlink $hang or die "could not remove \"$hang\": $!\n";
my $threads;
my $end = time + $PostgreSQL::Test::Utils::timeout_default;
do
{
	$threads = process_status($victim->pid, 'Threads');
} while $threads > 1 && time < $end && $admin->query_safe('SELECT pg_sleep(0.05)') eq '';
is($threads, 1, 'no thread is left behind');
my $left = holds($victim);
note("descriptors at the end: $left->{descriptors}");
works($victim, 'at last');
$victim->close;

# ---------------------------------------------------------------------
# The worker, and the server
# ---------------------------------------------------------------------

write_file($hang, '');
fault_of('headers');
$admin->query_safe($shop->enqueue_sql('hanging', undef, 'patient'));
$admin->query_safe($shop->enqueue_sql('unresolved', undef, 'dns'));
$shop->wait_requests(body => '"hanging"');
my $worker = $shop->worker_pid;
my $since = time;
$admin->query_safe("SELECT pg_terminate_backend($worker)");
$shop->until("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $worker", 'a worker with calls under way can be terminated');
does_not_wait($since, 'terminating the worker with calls under way');
$emu->clear_faults;
$emu->control('release');
$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'hanging'", 'its successor sends the order again');

fault_of('headers');
$admin->query_safe($shop->enqueue_sql('at the stop', undef, 'patient'));
$shop->wait_requests(body => '"at the stop"');
my $caller = $shop->session;
enter($caller, 'dns');
$admin->close;
$since = time;
# The worker gives creates under way a moment to end; the calls would take longer than pg_ctl waits.
ok($shop->node->stop('fast', fail_ok => 1), 'a fast stop waits for no call');
note(sprintf 'fast stop: %.0f ms', (time - $since) * 1000);
$caller->finish;
$caller->close;

done_testing();
