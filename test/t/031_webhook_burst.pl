#!/usr/bin/perl
#
# 031_webhook_burst.pl - proves that many webhooks at once harm nobody: ten
# thousand for a thousand checkouts cost about one read of each in the time that
# rate_limit grants for all of them, nothing waits for a lock, neither those who
# receive nor the worker, even while a session holds the very rows, a checkout
# that is named again and again keeps its place in the line, and in the end
# every payment is recorded.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use Inqud::Webhooks qw(digest receive_sql);
use IPC::Run;
use List::Util qw(max shuffle sum);
use Test::More;
use Time::HiRes qw(time usleep);

use constant {
	CHECKOUTS => 1000,
	EACH => 10,
	SESSIONS => 4,
	RATE => 200,
	SECRET => 'test-webhook-secret',
};

# The time that the rate grants for a read of each.
use constant WINDOW => CHECKOUTS / RATE;

my $shop = Inqud::Shop->new(
	conf => [ 'log_lock_waits = on', 'deadlock_timeout = 20ms' ],
	options => { poll_new => '1h', poll_active => '1h', max_inflight => 50 },
	mapping => { webhook_secret => SECRET });
my $emu = $shop->emu;
my $session = $shop->session;
my $folder = PostgreSQL::Test::Utils::tempdir;

sub call
{
	my ($id) = @_;
	my $body = qq({"id":"$id","status":"SUCCESS"});

	return 'SELECT ' . receive_sql('shop', $body, digest(SECRET, $body)) . ';';
}

# Starts a psql that runs statements one after the other, each a transaction.
sub start_psql
{
	my ($number, @statements) = @_;
	my $file = "$folder/$number.sql";
	my %one = (out => '', err => '');

	open my $to, '>', $file or die "$file: $!\n";
	print {$to} map { "$_\n" } @statements;
	close $to or die "$file: $!\n";
	$one{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $shop->node->connstr($shop->{db}) . ' user=receiver', '-f', $file ],
		'<', \undef, '>', \$one{out}, '2>', \$one{err}, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return \%one;
}

# What waits for a lock just now.  Those that several inserts take to extend a
# table's file are not for rows, and held for no longer than that takes.
sub waiting
{
	return $session->query_safe("SELECT coalesce(string_agg(concat_ws(' ', locktype, relation::regclass, mode), ', '), '')
		FROM pg_locks WHERE NOT granted AND locktype <> 'extend'");
}

# Waits until no webhook has anything left to do, looking for lock waits meanwhile.
sub settle
{
	my ($waits) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;

	while (time < $end)
	{
		my $left = $session->query_safe("SELECT (SELECT count(*) FROM inqud.inbox) + (SELECT count(*) FROM inqud.pending WHERE kind = 'poked')");

		return 1 if $left == 0;
		push @$waits, grep { length } waiting();
		usleep(20_000);
	}
	return 0;
}

$session->query_safe("CREATE ROLE receiver LOGIN;
	GRANT EXECUTE ON FUNCTION inqud_receive_webhook(text, bytea, text) TO receiver;
	SELECT count(inqud_enqueue_checkout('shop', i::text, 'x', 'https://shop.example/')) FROM generate_series(1, @{[CHECKOUTS]}) i");
$shop->until("SELECT bool_and(state = 'open') FROM inqud.checkout", CHECKOUTS . ' checkouts are open');
my %id_of = map { split / /, $_, 2 } split /\n/, $session->query_safe("SELECT order_id || ' ' || checkout_id FROM inqud.checkout");
# All of them are paid from here on, by one call instead of a thousand.
$emu->control('settings', { override => { status => '"SUCCESS"' } });
$shop->set_options('shop', rate_limit => RATE);
$emu->control('reset', { only => ['log'] });

# ---------------------------------------------------------------------
# The burst, while a session holds the rows of some
# ---------------------------------------------------------------------

# Fifty checkouts, the queue's rows of fifty others, and both of fifty more.
my $holder = $shop->session;
my @held = map { "'$_'" } 1 .. 150;
my ($of_checkout, $of_queue) = map { join ', ', @held[@$_] } [ 0 .. 49, 100 .. 149 ], [ 50 .. 149 ];
$holder->query_safe("BEGIN; SELECT count(*) FROM (SELECT FROM inqud.checkout WHERE order_id IN ($of_checkout) FOR UPDATE) x;
	SELECT count(*) FROM (SELECT FROM inqud.queue q WHERE checkout IN (SELECT id FROM inqud.checkout WHERE order_id IN ($of_queue)) FOR UPDATE) x");

srand 1;
my @calls = shuffle map { (call($_)) x EACH } values %id_of;
my (@waits, $samples);
my $per = @calls / SESSIONS;
my $start = time;
my @psql = map { start_psql($_, @calls[ $_ * $per .. ($_ + 1) * $per - 1 ]) } 0 .. SESSIONS - 1;
while (grep { $_->{run}->pumpable } @psql)
{
	eval { $_->{run}->pump_nb } foreach grep { $_->{run}->pumpable } @psql;
	push @waits, grep { length } waiting();
	$samples++;
	usleep(5_000);
}
my $took = time - $start;
is(scalar(grep { $_->{run}->finish } @psql), SESSIONS, 'all sessions are done, although the rows of 150 checkouts are held');
is(join('', map { $_->{err} } @psql), '', 'without an error');
is(scalar(map { $_->{out} =~ /^t$/mg } @psql), CHECKOUTS * EACH, CHECKOUTS * EACH . ' webhooks are taken');
note(sprintf '%d webhooks by %d sessions in %.1f s, %.0f a second', scalar @calls, SESSIONS, $took, @calls / $took);

$shop->until("SELECT count(*) = @{[CHECKOUTS - 150]} FROM inqud.checkout WHERE status = 'SUCCESS' AND order_id::int > 150",
	'those whose rows nobody holds are paid meanwhile');
is($session->query_safe("SELECT count(*) FROM inqud.checkout WHERE status = 'SUCCESS'"), CHECKOUTS - 150, 'those that are held are not');
push @waits, grep { length } waiting();
$holder->query_safe('ROLLBACK');
$holder->close;
ok(settle(\@waits), 'everything is done once they are let go');
my $all = time - $start;
is($session->query_safe("SELECT count(*) FROM inqud.checkout WHERE status = 'SUCCESS' AND state = 'closed'"), CHECKOUTS, 'all are paid');
is($session->query_safe("SELECT count(*) FROM inqud.event WHERE kind = 'webhook'"), CHECKOUTS * EACH, 'each webhook has its event');
is($session->query_safe("SELECT count(*) FROM inqud.event WHERE kind = 'status' AND status_to = 'SUCCESS'"), CHECKOUTS, 'each payment too, once');

my $counts = $emu->get('counts', project => Inqud::Shop::PROJECT);
my @reads = map { $counts->{reads}{$_} // 0 } values %id_of;
note(sprintf '%d reads, %d of one checkout at most, in %.1f s; rate_limit grants %.0f s for a read of each', sum(@reads), max(@reads), $all, WINDOW);
note(sprintf '%.0f payments a second recorded from the first webhook to the last', CHECKOUTS / $all);
is(scalar(grep { $_ == 0 } @reads), 0, 'each checkout was read');
# Once in each window, begun ones included, and once for what came during the last read.
cmp_ok(max(map { $counts->{reads}{ $id_of{$_} } // 0 } 151 .. CHECKOUTS), '<=', 2 + int($all / WINDOW), 'none more than once for each window');
# A read whose row is locked is dropped, and made again a second later.
cmp_ok(max(map { $counts->{reads}{ $id_of{$_} } // 0 } 1 .. 150), '<=', 2 + int($all), 'those that are held no more than once a second');
cmp_ok(sum(@reads), '<=', CHECKOUTS * (2 + int($took / WINDOW)), 'all together no more than the burst\'s own windows ask for');
cmp_ok(sum(@reads), '<=', RATE * ($all + 1), 'rate_limit was kept');
is(join("\n", @waits), '', "nobody waited for a lock in $samples samples");
my @said = grep { /still waiting|deadlock detected|PANIC|terminated by signal/ && !/still waiting for \w+ on extension of / }
  split /\n/, PostgreSQL::Test::Utils::slurp_file($shop->node->logfile);
is_deeply(\@said, [], 'nor does the server\'s log say so');

# ---------------------------------------------------------------------
# Named again and again
# ---------------------------------------------------------------------

# A hundred and twenty wait for three seconds; five of the first sixty are named
# all the time.  The places go by when a read was asked for, except that none
# follows within 3 s of one that brought nothing new; so those pass first.
$shop->until("SELECT coalesce(max(read_at), '-infinity') < clock_timestamp() - interval '3 s' FROM inqud.queue",
	'the last reads of the burst keep nobody waiting');
$shop->set_options('shop', rate_limit => 40, max_inflight => 4);
$emu->control('reset', { only => ['log'] });
my @line = map { $id_of{$_} } 201 .. 320;
my %again = map { $_ => 1 } @line[ 55 .. 59 ];
my $end = time + $PostgreSQL::Test::Utils::timeout_default;
$session->query_safe('BEGIN; ' . join(' ', map { call($_) } @line[ 0 .. 59 ]) . ' COMMIT');
$session->query_safe('BEGIN; ' . join(' ', map { call($_) } @line[ 60 .. 119 ]) . ' COMMIT');
until (@{ $emu->get('log', method => 'GET') } >= 110)
{
	die "the reads do not come\n" if time > $end;
	$session->query_safe(join ' ', map { call($_) } keys %again);
	usleep(10_000);
}
my @order = map { m{/checkouts/([^/?]+)} } map { $_->{path} } $shop->requests(method => 'GET');
my %place;
$place{ $order[$_] } //= $_ foreach 0 .. $#order;
note('places in the line: ', join ' ', map { $place{$_} // 'none' } keys %again);
cmp_ok(max(map { $place{$_} // 1000 } keys %again), '<', 90, 'checkouts that are named again and again keep their places');
ok(settle(\@waits), 'all are read in the end');
is(join("\n", @waits), '', 'without a wait');
is($session->query_safe("SELECT count(*) FROM inqud.checkout WHERE status <> 'SUCCESS'"), 0, 'and nothing has changed');

$session->close;
done_testing();
