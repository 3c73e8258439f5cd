#!/usr/bin/perl
#
# 045_clock.pl - proves that the worker's schedule does not notice when the
# machine's clock is set: back by an hour, and nothing waits for an hour; forward
# by days, and nothing is read that is not due.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
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
set_clock(-3600);
is_ahead(-3600, 'the clock is set back by an hour');
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

done_testing();
