#!/usr/bin/perl
#
# 014_descriptors.pl - proves that the worker opens no more connections than the
# server's processes may open files, shares them out so that wide windows are
# narrowed first, and that running out of descriptors is called what it is: nothing
# is counted against an order, and the cause is named.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Emulator;
use Inqud::Faults qw(backend wait_gone wait_worker);
use Inqud::Shop;
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;

use constant { FILES => 256, ORDERS => 400 };

# The limit of open files of a process, soft and hard, and setting the soft one.
sub limits
{
	my ($pid) = @_;
	my ($line) = slurp_file("/proc/$pid/limits") =~ /^Max open files\s+(\d+)\s+\d+/m or die "no limit of $pid\n";

	return $line;
}

sub set_limit
{
	my ($pid, $files) = @_;

	system('prlimit', '--pid', $pid, "--nofile=$files:") == 0 or die "prlimit failed\n";
	return;
}

plan skip_all => 'this needs /proc and prlimit' unless -r "/proc/$$/limits" && !system('prlimit --version > /dev/null');

# The emulator, and this program, keep their limit.
my $emu = Inqud::Emulator->start;
my $mine = limits($$);
set_limit($$, FILES);
my $shop = Inqud::Shop->new(emu => $emu, options => { max_inflight => 1000, poll_new => '1day', poll_active => '1day' });
set_limit($$, $mine);
my $session = $shop->session;

$session->query_safe($shop->enqueue_sql('first'));
is(limits(wait_worker($shop)), FILES, 'the worker may open few files');

# ---------------------------------------------------------------------
# The window
# ---------------------------------------------------------------------

$emu->fault({ match => { method => 'POST', body => '"wide ' }, action => 'hang', phase => 'before' });
$session->query_safe("SELECT count(inqud_enqueue_checkout('shop', 'wide ' || i, 'x', 'https://shop.example/')) FROM generate_series(1, @{[ ORDERS ]}) i");
# as many as the server allows, which is a third of what is left of FILES
$shop->wait_requests(method => 'POST', body => '"wide ', count => FILES / 8);

# Another project beside it has what it needs.
$emu->control('project', { id => 'CAP-narrow', name => 'narrow', account => 'first' });
$shop->project('narrow', options => { project_id => 'CAP-narrow', poll_new => '1day', poll_active => '1day' });
$session->query_safe("SELECT count(inqud_enqueue_checkout('narrow', 'narrow ' || i, 'x', 'https://shop.example/')) FROM generate_series(1, 20) i");
$shop->until("SELECT count(*) = 20 FROM inqud.checkout WHERE project = 'narrow' AND state = 'open'", 'a window of 1000 leaves another project its 8');

$emu->clear_faults;
$emu->control('release');
$shop->until("SELECT count(*) = @{[ ORDERS ]} FROM inqud.checkout WHERE order_id ~ '^wide' AND state = 'open'", 'all orders are sent');
is($session->query_safe("SELECT count(*) FROM inqud.event WHERE kind = 'error'"), 0, 'and none was without a descriptor');
cmp_ok($emu->get('counts')->{inflightPeaks}{ Inqud::Shop::PROJECT() }, '<=', FILES / 2, 'no more were under way than the server allows');
like(slurp_file($shop->node->logfile), qr/LOG:.*inqud makes \d+ transfers at the same time instead of 1000\b/, 'the log says so');

# ---------------------------------------------------------------------
# None is left
# ---------------------------------------------------------------------

# The lowest descriptor that a process has not opened.
sub free_descriptor
{
	my ($pid) = @_;
	my $fd = 0;

	$fd++ while -l "/proc/$pid/fd/$fd";
	return $fd;
}

# A new worker, without kept connections.
my $old = wait_worker($shop);
kill 'TERM', $old;
wait_gone($old);
my $worker = wait_worker($shop);
$shop->wait_until('SELECT followed > 0 FROM inqud.worker WHERE database = current_database()');
set_limit($worker, free_descriptor($worker));
$session->query_safe($shop->enqueue_sql("without $_")) foreach 1 .. 5;
$shop->until("SELECT count(*) >= 1 FROM inqud.checkout WHERE order_id ~ '^without' AND fault = 'descriptors'", 'an order that finds no descriptor is not sent, and says why');
is($session->query_safe("SELECT DISTINCT detail ~ 'may open no more files' AND advice ~ 'ulimit' FROM inqud.trouble WHERE order_id ~ '^without' AND detail IS NOT NULL"),
	't', 'inqud.trouble names the cause');
like($session->query_safe('SELECT error FROM inqud.worker WHERE database = current_database()'), qr/may open no more files/, 'and so does inqud.worker');
$shop->until("SELECT bool_and(NOT sending) AND max(attempts) = 0 FROM inqud.pending WHERE order_id ~ '^without'", 'no attempt is counted');
is($session->query_safe("SELECT sum(unreachable) FROM inqud.stats"), 0, 'nor is it said that Inqud was not reached');
set_limit($worker, FILES);
$shop->until("SELECT bool_and(state = 'open' AND error IS NULL) FROM inqud.checkout WHERE order_id ~ '^without'", 'with descriptors all are sent');
is($shop->worker_pid, $worker, 'by the same worker');

# The same in a session: its error is not one of Inqud's.
my $pid = $session->pid;
$session->query_safe('SELECT count(*) FROM inqud.checkout');
my @states;
# the first descriptors go to the server's own wait for events, which says XX000
foreach my $more (1 .. 8)
{
	set_limit($pid, free_descriptor($pid) + $more);
	push @states, ($session->query($shop->create_sql('in a session'))->{error} // {})->{state} // 'none';
	last if $states[-1] eq 'none';
}
ok((grep { /^53/ } @states) > 0, 'a session raises 53000') or diag("@states");
is((grep { !/^(?:53...|XX000|none)$/ } @states), 0, "and no error of Inqud's") or diag("@states");
set_limit($pid, FILES);
is($session->query($shop->create_sql('in a session'))->{error}, undef, 'and goes on when there are some');

$session->close;
done_testing();
