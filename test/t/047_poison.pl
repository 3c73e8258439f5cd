#!/usr/bin/perl
#
# 047_poison.pl - proves that a call that ends the worker takes no other along: each
# call that was under way then is made alone once, a create as well as a read; the one
# that ends the worker again is made later each time, and named; and nobody else waits.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Faults qw(crash wait_worker);
use Inqud::Shop;
use Test::More;
use Time::HiRes qw(usleep);

use constant { WINDOW => 8, ORDERS => 30 };

my $shop = Inqud::Shop->new(conf => [ 'restart_after_crash = on' ],
	options => { max_inflight => WINDOW, poll_new => '1day', poll_active => '1day', timeout => '5min' });
my $emu = $shop->emu;

# Waits until so many calls that fit were made, and ends the worker in the last of them.  How
# many others were under way then, and when it was sent.
sub end_worker
{
	my ($how, $count, %query) = @_;
	my $found = ($shop->wait_requests(%query, count => $count))[-1];
	my $others = grep { !$_->{done} && $_->{seq} != $found->{seq} } $shop->requests;

	crash($shop, "$how worker");
	return ($others, $found->{epoch});
}

sub opens
{
	my ($orders, $n, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return $shop->until("SELECT count(*) FROM inqud.checkout WHERE order_id LIKE '$orders' AND state = 'open'", $name, $n);
}

# ---------------------------------------------------------------------
# A create
# ---------------------------------------------------------------------

# What is sent beside it hangs, too, so that a whole window is under way when the worker ends.
$emu->fault({ match => { method => 'POST', body => '"poison"' }, action => 'hang', phase => 'before' });
my $beside = $emu->fault({ match => { method => 'POST', body => '"good-' }, action => 'hang', phase => 'before', times => WINDOW - 1 });
$shop->sql("SELECT count(inqud_enqueue_checkout('shop', CASE i WHEN 4 THEN 'poison' ELSE 'good-' || i END, 'x', 'https://shop.example/'))
	FROM generate_series(1, ${\ORDERS}) i");
$shop->wait_requests(method => 'POST', body => '"good-', count => WINDOW - 1);
my ($others, $at) = end_worker('kill', 1, method => 'POST', body => '"poison"');
is($others, WINDOW - 1, 'the worker ends while a whole window is under way');

my @at;
foreach my $round (2 .. 4)
{
	my ($beside_it, $when) = end_worker($round == 2 ? 'kill' : 'terminate', $round, method => 'POST', body => '"poison"');

	is($beside_it, 0, "time $round: it is sent alone");
	push @at, $when;
	opens('good-%', ORDERS - 1, 'and all others are recorded') if $round == 2;
}
cmp_ok($at[1] - $at[0], '>=', 3.9, 'it is sent later');
cmp_ok($at[2] - $at[1], '>', 1.5 * ($at[1] - $at[0]), 'and later each time');
my $posts = $shop->posts;
my @sent = map { $posts->{"good-$_"} } grep { $_ != 4 } 1 .. ORDERS;
is((grep { $_ > 2 } @sent), 0, 'no other was sent more than twice');
is((grep { $_ == 2 } @sent), WINDOW - 1, 'and only those that were under way the first time were sent twice');
$shop->until("SELECT trouble || ': ' || detail FROM inqud.trouble WHERE order_id = 'poison'", 'inqud.trouble names it',
	'ended the worker: the worker ended 3 times when this call was made alone');
is($shop->sql("SELECT count(*) FROM inqud.queue WHERE crashes > 0"), 1, 'nothing else is suspected');

# Others are served as if nothing was.
$shop->sql("SELECT count(inqud_enqueue_checkout('shop', 'later-' || i, 'x', 'https://shop.example/')) FROM generate_series(1, 20) i");
opens('later-%', 20, 'orders that come meanwhile are sent');

# Not for ever: it fails at last, and a person can have it sent again.
wait_worker($shop);
$shop->sql("UPDATE inqud.queue SET crashes = 19, due_at = now() WHERE crashes > 0");
crash($shop, 'terminate worker');
end_worker('terminate', 5, method => 'POST', body => '"poison"');
$shop->until("SELECT state || ' ' || fault FROM inqud.checkout WHERE order_id = 'poison'", 'after many times it fails', 'failed crashed');
$emu->clear_faults;
$shop->sql("SELECT inqud_retry(id) FROM inqud.checkout WHERE order_id = 'poison'");
opens('poison', 1, 'inqud_retry has it sent again');

# ---------------------------------------------------------------------
# A read
# ---------------------------------------------------------------------

$shop->project('reads', options => { max_inflight => WINDOW, poll_new => '200ms', poll_active => '200ms', timeout => '5min' });
$shop->sql($shop->enqueue_sql($_, undef, 'reads')) foreach 'toxic', 'harmless';
$shop->wait_until("SELECT count(*) = 2 FROM inqud.checkout WHERE project = 'reads' AND state = 'open'");
my %read = (method => 'GET', path => $shop->checkout('toxic')->{checkout_id});

$emu->fault({ match => \%read, action => 'hang', phase => 'before' });
usleep(20_000) until grep { !$_->{done} } $shop->requests(%read);
my $first = $shop->requests(%read);
crash($shop, 'kill worker');
@at = ();
foreach my $round (1, 2)
{
	my ($beside_it, $when) = end_worker($round == 1 ? 'kill' : 'terminate', $first + $round, %read);

	is($beside_it, 0, "read $round after the first: it is made alone");
	push @at, $when;
}
cmp_ok($at[1] - $at[0], '>=', 3.9, 'and later');
$shop->until("SELECT trouble FROM inqud.trouble WHERE order_id = 'toxic'", 'inqud.trouble names it', 'ended the worker');
$emu->control('settle', { clientOrderId => 'harmless' });
$shop->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE order_id = 'harmless'", 'other reads go on');
$shop->sql($shop->enqueue_sql('meanwhile'));
opens('meanwhile', 1, 'and so do orders');
$emu->clear_faults;
$emu->control('release');
$emu->control('settle', { clientOrderId => 'toxic' });
$shop->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE order_id = 'toxic'", 'once it ends nobody any more, the payment is recorded');
$shop->until("SELECT count(*) FROM inqud.trouble", 'inqud.trouble is empty', 0);
$shop->until("SELECT count(*) FROM inqud.queue WHERE crashes > 0", 'and nothing is suspected', 0);

done_testing();
