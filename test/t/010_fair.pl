#!/usr/bin/perl
#
# 010_fair.pl - proves that nobody's trouble is anybody else's: a throttled
# project waits alone, one that is dead, that hangs or that may only call once in
# a while keeps no other waiting however much is queued for it, one hanging order
# does not hold up the rest of its own project, and creates go before polls even
# where polls alone would use up the rate.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);

use constant { MANY => 400, FEW => 50 };

my $shop = Inqud::Shop->new(emulator => { blackhole => 1 }, options => { poll_new => '1day', poll_active => '1day' });
my $emu = $shop->emu;
my $session = $shop->session;
my $ports = $emu->get('info')->{blackhole};

# A project of its own at the emulator.
sub project
{
	my ($name, %options) = @_;

	$emu->control('project', { id => "CAP-$name", name => $name, account => 'first' });
	$shop->project($name, options => { project_id => "CAP-$name", poll_new => '1day', poll_active => '1day', %options });
	return;
}

sub queue
{
	my ($project, $prefix, $n) = @_;

	$session->query_safe("SELECT count(inqud_enqueue_checkout('$project', '$prefix' || i, 'x', 'https://shop.example/')) FROM generate_series(1, $n) i");
	return;
}

# A query that says whether all of a project's orders are open.
sub open_all
{
	my ($project, $prefix) = @_;

	return "SELECT bool_and(state = 'open') FROM inqud.checkout WHERE project = '$project' AND order_id ~ '^$prefix'";
}

sub count
{
	my ($project, $state) = @_;

	return $session->query_safe("SELECT count(*) FROM inqud.checkout WHERE project = '$project' AND state = '$state'");
}

# Fifty orders of the healthy project are done while those of another are not,
# which would be waited for in vain.
sub healthy_goes_on
{
	my ($name) = @_;
	my $since = time;

	queue('shop', "$name ", FEW);
	$shop->until(open_all('shop', "$name "), "$name: the healthy project's orders are sent");
	note(sprintf '%s: %d orders of the healthy project in %.0f ms', $name, FEW, (time - $since) * 1000);
	return;
}

healthy_goes_on('nobody else');

# ---------------------------------------------------------------------
# A throttled project waits alone
# ---------------------------------------------------------------------

project('throttled');
$emu->fault({ match => { project => 'CAP-throttled' }, action => 'status', status => 429, body => '', retry_after => 3600, times => 8 });
queue('throttled', 't', 40);
$shop->wait_requests(path => 'CAP-throttled', status => 429, done => 1);
healthy_goes_on('throttled');
is(count('throttled', 'open'), 0, 'the throttled one is still waiting');

project('paused');
$emu->fault({ match => { project => 'CAP-paused' }, action => 'status', status => 429, body => '', retry_after => 4, times => 8 });
queue('paused', 't', 40);
$shop->until(open_all('paused', 't'), 'and one goes on after its pause');
my @at = map { $_->{epoch} } $shop->requests(path => 'CAP-paused');
my ($before) = sort { $b <=> $a } grep { $_ < $at[0] + 3.9 } @at;
my @first = grep { $_ <= $before } @at;
cmp_ok(scalar @first, '<=', 8, 'only what was under way was sent before the pause');
cmp_ok($at[ @first ] - $at[0], '>=', 3.9, 'and nothing during it');

# ---------------------------------------------------------------------
# Dead, hanging, slow
# ---------------------------------------------------------------------

project('dead', base_url => $shop->refused_url);
queue('dead', 'd', MANY);
$shop->wait_until("SELECT count(*) > 0 FROM inqud.checkout WHERE project = 'dead' AND error IS NOT NULL");
healthy_goes_on('dead');
is(count('dead', 'queued'), MANY, 'the dead project loses nothing');

project('hanging', base_url => "http://127.0.0.1:$ports->{connectHangs}", timeout => '10min', connect_timeout => '10min');
queue('hanging', 'h', MANY);
$shop->wait_until("SELECT count(*) > 0 FROM inqud.pending WHERE project = 'hanging' AND sending");
healthy_goes_on('hanging');
is(count('hanging', 'queued'), MANY, 'the hanging project loses nothing');
is($session->query_safe("SELECT count(*) FROM inqud.checkout WHERE project = 'hanging' AND error IS NOT NULL"), 0, 'none of its calls has come to an end meanwhile');
cmp_ok($session->query_safe("SELECT count(*) FROM inqud.pending WHERE project = 'hanging' AND sending"), '<=', 8, 'and claims no more than its window');

# fifty calls at this rate would take eight minutes
project('slow', rate_limit => '0.1');
queue('slow', 's', MANY);
$shop->wait_requests(path => 'CAP-slow');
healthy_goes_on('slow');
cmp_ok(count('slow', 'open'), '<', MANY, 'the slow project is still busy');
$session->query_safe("SELECT count(inqud_cancel(id)) FROM inqud.checkout WHERE project IN ('throttled', 'slow', 'dead', 'hanging') AND state = 'queued'");

# Many small projects get their turn as well.
project("small_$_", max_inflight => 1) foreach 1 .. 10;
queue("small_$_", 'x', 5) foreach 1 .. 10;
$shop->until("SELECT count(*) = 50 FROM inqud.checkout WHERE project ~ '^small' AND state = 'open'", 'ten small projects are served together');

# ---------------------------------------------------------------------
# One order hangs
# ---------------------------------------------------------------------

project('single', max_inflight => 2, timeout => '10min');
$emu->fault({ match => { clientOrderId => 'x1' }, action => 'hang', phase => 'before' });
queue('single', 'x', 1);
$shop->wait_requests(path => 'CAP-single');
queue('single', 'other', FEW);
$shop->until(open_all('single', 'other'), 'one hanging order does not hold up its project');
is(count('single', 'queued'), 1, 'it is still hanging');
$emu->clear_faults;
$emu->control('release');

# ---------------------------------------------------------------------
# Creates before polls
# ---------------------------------------------------------------------

# The requests of a project that came after a moment.
sub after
{
	my ($moment, $project) = @_;

	return grep { $_->{epoch} > $moment } $shop->requests(path => $project);
}

project('busy');
queue('busy', 'old', 200);
$shop->wait_until(open_all('busy', 'old'));
# 200 reads are due each second, and 20 calls are allowed.
$shop->set_options('busy', rate_limit => 20, poll_new => '1s', poll_active => '1s');
# the worker has learned of it when this is open
queue('busy', 'notice', 1);
$shop->wait_until(open_all('busy', 'notice'));
$session->query_safe("SELECT count(inqud_refresh(id)) FROM inqud.checkout WHERE project = 'busy'");
$shop->wait_until("SELECT count(*) = 0 FROM inqud.pending WHERE project = 'busy' AND kind = 'poked'");
my $seq = ($shop->requests)[-1]{seq};
$shop->wait_requests(since => $seq, path => 'CAP-busy', method => 'GET', count => 10);

queue('busy', 'new', 10);
my $moment = time;
$shop->until(open_all('busy', 'new'), 'new orders are sent all the same');
my @calls = after($moment, 'CAP-busy');
my ($last) = grep { $calls[$_]{method} eq 'POST' } reverse 0 .. $#calls;
note('creates were sent until call ' . ($last + 1));
# What had been claimed before goes first, and the moment is not quite that of the commit.
cmp_ok($last + 1, '<=', 10 + 5, 'creates go before polls');

my @asked = split /\n/, $session->query_safe("SELECT checkout_id FROM inqud.checkout WHERE project = 'busy' AND order_id IN ('old17', 'old117', 'old71')");
# before the commit, since the first of them may be read at once
$moment = time;
$session->query_safe("SELECT inqud_refresh(id) FROM inqud.checkout WHERE project = 'busy' AND order_id IN ('old17', 'old117', 'old71')");
$shop->wait_until("SELECT count(*) = 0 FROM inqud.pending WHERE project = 'busy' AND kind = 'poked'");
@calls = after($moment, 'CAP-busy');
is(scalar @asked, 3, 'three reads were asked for');
foreach my $checkout (@asked)
{
	my ($place) = grep { index($calls[$_]{path}, $checkout) >= 0 } 0 .. $#calls;

	cmp_ok($place // 'inf', '<=', 8, 'a read that was asked for goes before those by the clock');
}
my $most = $emu->get('counts', project => 'CAP-busy')->{inflightPeaks}{'CAP-busy'};
ok(defined $most && $most >= 1 && $most <= 8, 'no backlog of reads was ever under way') or diag($most // 'none was counted');

$session->close;
done_testing();
