#!/usr/bin/perl
#
# 047_on_status_slow.pl - proves that a project whose on_status takes long, and
# succeeds, has only a share of the worker's time, and that all such projects
# together leave it time for others; that each of them is called all the same; and
# that inqud.trouble names what waits.  Quick functions are not held back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use Test::More;

my $shop = Inqud::Shop->new(options => { poll_new => '1h', poll_active => '1h' });

$shop->sql(q{
	CREATE TABLE told (project text, order_id text, began timestamptz, ended timestamptz, xid xid8 DEFAULT pg_current_xact_id());
	CREATE FUNCTION slow(c inqud.checkout) RETURNS void LANGUAGE plpgsql AS $$
	DECLARE
		began timestamptz := clock_timestamp();
	BEGIN
		PERFORM pg_sleep(0.6);
		INSERT INTO public.told VALUES (c.project, c.order_id, began, clock_timestamp());
	END $$;
	CREATE FUNCTION quick(c inqud.checkout) RETURNS void LANGUAGE sql AS $$
		INSERT INTO public.told VALUES (c.project, c.order_id, clock_timestamp(), clock_timestamp()) $$});

# A project with so many open checkouts, none of which has been told.
sub project
{
	my ($name, $n) = @_;

	$shop->project($name, options => { poll_new => '1h', poll_active => '1h' });
	$shop->sql("SELECT count(inqud_enqueue_checkout('$name', '$name-' || i, 'n', 'https://shop.example/')) FROM generate_series(1, $n) i");
	$shop->wait_until("SELECT count(*) = $n FROM inqud.checkout WHERE project = '$name' AND state = 'open'");
	return;
}

# Has the function called for all checkouts of these projects.
sub call_all
{
	my ($function, @projects) = @_;

	$shop->set_options($_, on_status => "public.$function") foreach @projects;
	$shop->sql('INSERT INTO inqud.call (checkout, home, server_id, due_at) SELECT id, inqud._home(), server_id, now() FROM inqud.checkout WHERE project IN ('
		. join(', ', map { "'$_'" } @projects) . ')');
	return;
}

# The share of the time, from the first call of these projects to the end of the last, in which one of them ran.
sub share
{
	my ($where) = @_;

	return $shop->sql("SELECT round((sum(extract(epoch FROM ended - began)) / extract(epoch FROM max(ended) - min(began)))::numeric, 2) FROM told WHERE $where");
}

project('slow', 10);
project('other', 300);
call_all('slow', 'slow');
$shop->wait_until("SELECT count(*) = 1 FROM told WHERE project = 'slow'");
call_all('quick', 'other');
$shop->until("SELECT count(*) = 300 FROM told WHERE project = 'other'", 'the calls of another project are made');
is($shop->sql("SELECT count(*) > 0 FROM inqud.call WHERE server_id = (SELECT id FROM inqud.known_server WHERE name = 'slow')"), 't', 'before those that take long');
cmp_ok($shop->sql("SELECT count(DISTINCT xid) FROM told WHERE project = 'other'"), '<', 100, 'and share transactions');
$shop->until("SELECT count(*) > 0 AND bool_and(project = 'slow' AND detail ~ 'took [0-9.]+ s' AND advice ~ 'server slow')
	FROM inqud.trouble WHERE trouble = 'on_status slow'", 'inqud.trouble names what waits, and why');
is($shop->sql("SELECT count(*) FROM inqud.trouble WHERE project = 'other'"), '0', 'and nothing of the other project');
is($shop->sql("SELECT string_agg(project, ' ') FROM inqud.stats WHERE slow_call IS NOT NULL"), 'slow', 'inqud.stats tells whose last call took long');
is($shop->sql("SELECT slow_call >= '600 ms' FROM inqud.stats WHERE project = 'slow'"), 't', 'and how long');
$shop->sql("SELECT inqud_stats_reset('slow')");
is($shop->sql("SELECT slow_call IS NOT NULL FROM inqud.stats WHERE project = 'slow'"), 't', 'a reset of the counts does not change that');
$shop->until("SELECT count(*) = 10 FROM told WHERE project = 'slow'", 'all of them are called in the end');
$shop->until("SELECT count(*) = 0 FROM inqud.trouble", 'and nothing is left in inqud.trouble');
my $alone = share("project = 'slow'");
cmp_ok($alone, '<', 0.45, "calls that take long have a share of the worker's time: $alone");
cmp_ok($alone, '>', 0.02, 'and do have it');

# Many such projects.
my @many = map { "slow$_" } 1 .. 5;

project($_, 3) foreach @many;
call_all('slow', @many);
$shop->until("SELECT count(*) = 15 FROM told WHERE project IN (" . join(', ', map { "'$_'" } @many) . ')', 'calls of five such projects are made');
my $together = share("project LIKE 'slow_'");
cmp_ok($together, '<', 0.8, "all together leave time: $together");
# the first calls are made before it is known that they take long; a project that is not served in turn has its second after all of another's
is($shop->sql("SELECT count(*) FROM (SELECT FROM (SELECT project FROM told WHERE project LIKE 'slow_' ORDER BY began LIMIT 11) x GROUP BY project HAVING count(*) >= 2) y"), '5', 'each has its turn')
  or diag($shop->sql("SELECT project, began FROM told WHERE project LIKE 'slow_' ORDER BY began"));

# Quick again.
$shop->sql('CREATE OR REPLACE FUNCTION slow(c inqud.checkout) RETURNS void LANGUAGE sql AS $$
	INSERT INTO public.told VALUES (c.project, \'again\', clock_timestamp(), clock_timestamp()) $$');
call_all('slow', 'slow');
$shop->until("SELECT count(*) = 10 FROM told WHERE order_id = 'again'", 'a function that is quick again is called as before');
is($shop->sql("SELECT count(*) FROM inqud.stats WHERE project = 'slow' AND slow_call IS NOT NULL"), '0', 'which inqud.stats tells, too');

done_testing();
