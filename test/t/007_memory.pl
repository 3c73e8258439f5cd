#!/usr/bin/perl
#
# 007_memory.pl - proves that a session's memory is flat over 10 000 synchronous
# calls: what the process holds after the first 1 000 is what it holds after the
# last, for calls that succeed, for calls that end in every kind of error, and
# for creates.  Measured in the process (private memory from /proc) and in the
# server's memory contexts.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Faults qw(process_status);
use Inqud::Shop;
use PostgreSQL::Test::Utils ();
use Test::More;

# Kilobytes that may come and go by chance, however many calls there are; 9 000
# calls that lose 60 bytes each lose more.
use constant { SLACK_PROCESS => 512, SLACK_CONTEXTS => 64 };

my $shop = Inqud::Shop->new(
	emulator => { log_limit => 0 },
	options => { timeout => '2s', max_reply_size => '64kB', poll_new => '1day', poll_active => '1day' });
my $emu = $shop->emu;

plan skip_all => 'there is no /proc' unless -r "/proc/$$/status";

# Kilobytes that a session holds: in the process, and in memory contexts.
sub held
{
	my ($session) = @_;

	return [ process_status($session->pid, 'RssAnon'), $session->query_safe('SELECT sum(total_bytes) / 1024 FROM pg_backend_memory_contexts') ];
}

# Runs batches of statements: the first part to warm up, then the rest; tests
# that the session holds what it held before.
sub is_flat
{
	my ($what, $batch, $warm, $all) = @_;
	my $session = $shop->session;

	subtest $what => sub {
		$session->query_safe($batch->()) foreach 1 .. $warm;
		held($session);
		my $before = held($session);
		$session->query_safe($batch->()) foreach $warm + 1 .. $all;
		my $after = held($session);
		my @grown = map { $after->[$_] - $before->[$_] } 0, 1;

		note(sprintf '%s: %d kB and %.0f kB at first, grown by %d kB and %.0f kB', $what, @$before, @grown);
		cmp_ok($grown[0], '<=', SLACK_PROCESS, 'the process has not grown');
		cmp_ok($grown[1], '<=', SLACK_CONTEXTS, 'nor have its memory contexts');
		is($session->query_safe("SELECT count(*) FROM pg_backend_memory_contexts WHERE name ~ '^inqud (call|task)'"), 0, 'no call is left');
	};
	$session->close;
	return;
}

# A statement that makes n calls, each of which may raise an error of class IQ or 08.
sub calls
{
	my ($n, $call) = @_;

	return "DO \$\$ BEGIN FOR i IN 1..$n LOOP
		BEGIN PERFORM $call;
		EXCEPTION WHEN OTHERS THEN IF SQLSTATE !~ '^(IQ|08)' THEN RAISE; END IF; END; END LOOP; END \$\$";
}

# ---------------------------------------------------------------------
# Reads
# ---------------------------------------------------------------------

my $recorded = $shop->row($shop->create_sql('recorded', "10, 'USD'"))->{checkout_id};
my $unrecorded = $emu->control('create', { type => 'NO_PRICE', clientOrderId => 'unrecorded' })->{id};

foreach my $what ([ recorded => $recorded ], [ unrecorded => $unrecorded ])
{
	my ($kind, $id) = @$what;
	my ($warm, $all) = $kind eq 'recorded' ? (10, 100) : (5, 30);

	is_flat("reads, $kind: " . 100 * $all . ' calls',
		sub { return "DO \$\$ BEGIN FOR i IN 1..100 LOOP PERFORM inqud_get_checkout('shop', '$id'); END LOOP; END \$\$" }, $warm, $all);
}

# Reads that bring news each time are written each time.
$emu->control('settle', { id => $recorded });
my $turn = 0;
is_flat('reads with news: 300 calls', sub {
	$emu->control('correct', { id => $recorded, status => $turn++ % 2 ? 'SUCCESS' : 'CONFLICT' });
	return "SELECT inqud_get_checkout('shop', '$recorded')";
}, 100, 300);

# ---------------------------------------------------------------------
# Errors
# ---------------------------------------------------------------------

my %errors = (
	'status 422' => { action => 'status', status => 422, body => { message => 'no' x 200 } },
	'status 401' => { action => 'status', status => 401, body => '' },
	'HTML' => { action => 'status', status => 200, body => '<html>' x 100 },
	'a reset' => { action => 'drop_after' },
	'a cut reply' => { action => 'truncate' },
	'a reply that is too large' => { action => 'oversize', bytes => 100_000 },
	'wrong types' => { action => 'alter', override => { map { $_ => '[{"a":1}]' } qw(status name type fixedAmount request createdAt) } });

foreach my $name (sort keys %errors)
{
	$emu->fault({ %{ $errors{$name} } });
	is_flat("$name: 600 calls", sub { return calls(50, "inqud_get_checkout('shop', '$unrecorded')") }, 6, 12);
	is_flat("create, $name: 300 calls", sub { return calls(50, 'inqud_create_checkout(' . $shop->arguments('bad', "10, 'USD'") . ')') }, 3, 6);
	$emu->clear_faults;
}
$shop->project('refused', options => { base_url => $shop->refused_url });
is_flat('a refused connection: 2000 calls', sub { return calls(100, "inqud_get_checkout('refused', 'CCO-1')") }, 10, 20);
is_flat('wrong arguments: 2000 calls', sub {
	return "DO \$\$ BEGIN FOR i IN 1..100 LOOP BEGIN PERFORM inqud_create_checkout('shop', 'x', 'x', 'ftp://x');
		EXCEPTION WHEN invalid_parameter_value THEN NULL; END; END LOOP; END \$\$";
}, 10, 20);
$emu->fault({ match => { method => 'GET' }, action => 'hang' });
is_flat('timeouts: 60 calls', sub {
	return "SET statement_timeout = '200ms'; DO \$\$ BEGIN PERFORM inqud_get_checkout('shop', '$unrecorded');
		EXCEPTION WHEN query_canceled THEN NULL; END \$\$; RESET statement_timeout";
}, 20, 60);
$emu->clear_faults;
$emu->control('release');

# ---------------------------------------------------------------------
# Creates, queued and sent
# ---------------------------------------------------------------------

my $order = 0;
is_flat('creates: 1000 calls', sub {
	$order += 50;
	return "SELECT count(inqud_create_checkout('shop', 'c' || i, 'Order ' || i, 'https://shop.example/', 10, 'USD'))
		FROM generate_series($order, $order + 49) i";
}, 5, 20);
is_flat('enqueues: 5000 calls', sub {
	$order += 250;
	return "SELECT count(inqud_enqueue_checkout('shop', 'q' || i, 'Order ' || i, 'https://shop.example/', 10, 'USD'))
		FROM generate_series($order, $order + 249) i";
}, 5, 20);
$shop->until("SELECT count(*) = 0 FROM inqud.checkout WHERE state = 'queued'", 'what was queued is sent');

done_testing();
