#!/usr/bin/perl
#
# 045_clock.pl - proves that the worker's schedule does not notice when the
# machine's clock is set: back by an hour, and nothing waits for an hour; forward
# by days, and nothing is read that is not due.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Faults qw(crash wait_worker);
use Inqud::Shop;
use PostgreSQL::Test::Utils ();
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $clock = "$dir/clock";
my $shim = "$dir/clock.so";

set_clock(0);
system(qw(cc -shared -fPIC -O1 -o), $shim, "$FindBin::RealBin/lib/clock.c", '-ldl') == 0 or die "cc failed\n";

# An expiry must lie ahead for Inqud, too, whose clock is not set.
my $shop = Inqud::Shop->new(options => { expires_in => '1day' },
	env => { INQUD_TEST_CLOCK => $clock, LD_PRELOAD => join(':', grep { defined && length } $shim, $ENV{LD_PRELOAD}) });
my $emu = $shop->emu;

$shop->project('slow', options => { expires_in => '1day', poll_new => '30day', poll_active => '30day' });

# The server's clock is so many seconds ahead.
sub set_clock
{
	my ($seconds) = @_;

	open my $file, '>', $clock or die "$clock: $!\n";
	print {$file} "$seconds\n";
	close $file or die "$clock: $!\n";
	return;
}

sub is_ahead
{
	my ($seconds, $name) = @_;
	my $is = $shop->sql('SELECT extract(epoch FROM clock_timestamp())') - time;

	return ok(abs($is - $seconds) < 60, $name) || diag("it is $is seconds ahead");
}

# Has the order sent and read at least once.
sub follow
{
	my ($order, $project) = @_;

	$shop->sql($shop->enqueue_sql($order, "10, 'USD'", $project));
	$shop->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '$order'");
	$shop->wait_requests(method => 'GET', path => $shop->checkout($order)->{checkout_id}) unless defined $project;
	return;
}

sub paid
{
	my ($order, $name) = @_;

	$emu->control('settle', { clientOrderId => $order });
	return $shop->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE order_id = '$order'", $name);
}

# followed all the time, so that the worker stays
follow('open');
my $worker = $shop->worker_pid;

follow('before');
# one that waits for its next attempt, and one whose transaction commits later
$emu->fault({ match => { method => 'POST', body => '"retried"' }, action => 'status', status => 500, times => 1 });
$shop->sql($shop->enqueue_sql('retried', "10, 'USD'", 'slow'));
$shop->wait_requests(method => 'POST', body => '"retried"', done => 1);
my $open = $shop->session;
$open->query_safe('BEGIN; ' . $shop->enqueue_sql('committed later', "10, 'USD'"));
set_clock(-3600);
is_ahead(-3600, 'the clock is set back by an hour');
my $set = time;
$shop->until("SELECT trouble || ': ' || detail FROM inqud.trouble", 'inqud.trouble names it',
	"clock: the server's clock was set back by 01:00:00, or is that much behind what is recorded")
  if $shop->until("SELECT count(*) > 0 FROM inqud.trouble WHERE trouble = 'clock'", 'within a minute');
note(sprintf 'inqud.trouble names it after %d s', time - $set);
cmp_ok(time - $set, '<', 60, 'within a minute');
is($shop->sql('SELECT error FROM inqud.worker WHERE database = current_database()'), "the server's clock was set back by 3600 s", 'and so does inqud.worker');
$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'retried'", 'a create that waited for its next attempt is made');
$open->query_safe('COMMIT');
$open->close;
$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'committed later'", 'one that commits later is not late');
paid('before', 'a checkout from before is read, and paid');
follow('after');
paid('after', 'so is one from after');

follow('throttled');
$emu->fault({ match => { method => 'GET', clientOrderId => 'throttled' }, action => 'status', status => 429, retry_after => '2', times => 1 });
$shop->wait_requests(method => 'GET', status => 429);
set_clock(-7200);
is_ahead(-7200, 'the clock is set back by another hour, during a pause');
paid('throttled', 'the pause ends in time');

follow('slow', 'slow');
set_clock(10 * 86_400);
is_ahead(10 * 86_400, 'the clock is set forward by days');
follow('marker');
paid('marker', 'calls go on');
is(scalar($shop->requests(method => 'GET', path => $shop->checkout('slow')->{checkout_id})), 0, 'a checkout that is not due is not read');
is($shop->worker_pid, $worker, 'all of it by one worker');

# ---------------------------------------------------------------------
# Over a failover: what is recorded lies ahead
# ---------------------------------------------------------------------

# A worker that has just ended is started again, although its pause ends in the future.
follow('ahead');
my $id = $shop->checkout('ahead')->{id};
my $cco = $shop->checkout('ahead')->{checkout_id};
$shop->sql('SELECT inqud_worker_stop()');
$shop->sql($shop->enqueue_sql('left behind', "10, 'USD'"));
$shop->sql("UPDATE inqud.queue SET read_at = now() + interval '1 day' WHERE checkout = $id");
$emu->control('settle', { clientOrderId => 'ahead' });
is($shop->sql("SELECT status FROM inqud_get_checkout('shop', '$cco')"), 'SUCCESS', 'inqud_get_checkout returns what it has read');
set_clock(0);
is_ahead(0, 'the clock is ten days behind, and no worker has seen that');
$shop->sql('SELECT inqud_worker_start()');
$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'left behind'", 'what was left behind is sent');
$shop->until("SELECT error ~ 'clock is [0-9]+ s behind what is recorded\$' FROM inqud.worker WHERE database = current_database()", 'inqud.worker says so');

# A webhook is due at once, whatever an answer of before has left behind.
$shop->sql($shop->enqueue_sql('hooked', "10, 'USD'", 'slow'));
$shop->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'hooked'");
my $hooked = $shop->checkout('hooked');
$shop->sql("UPDATE inqud.queue SET read_at = now() + interval '1 hour' WHERE checkout = $hooked->{id}");
$emu->control('settle', { clientOrderId => 'hooked' });
is($shop->sql("SELECT inqud._read_from(now() - interval '1 minute', now() + interval '1 hour', 0) <= clock_timestamp()"), 't', 'a read_at in the future delays nothing');
$shop->sql("INSERT INTO inqud.inbox (home, server_id, checkout, checkout_id) VALUES (inqud._home(), (SELECT id FROM inqud.known_server WHERE name = 'slow'), $hooked->{id}, '$hooked->{checkout_id}')");
$shop->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE order_id = 'hooked'", 'a webhook is read at once');

# The launcher's times are none of that clock's.
$worker = wait_worker($shop);
crash($shop, 'terminate worker');
set_clock(-3600);
ok(wait_worker($shop, $worker), 'a worker that has ended while the clock was set back is started again');

done_testing();
