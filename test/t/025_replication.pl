#!/usr/bin/perl
#
# 025_replication.pl - proves that a physical standby runs no worker and answers
# reads, that after its promotion the queue goes on where the primary stopped,
# with nothing lost and nothing created twice for a recorded order, that a
# server under synchronous replication stops although no standby is there, and
# that pg_dump and restore keep everything, while the copy calls nothing old
# until inqud_adopt().

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Faults qw(ask backend crash wait_worker);
use Inqud::Shop;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils ();
use Test::More;
use Time::HiRes qw(time usleep);

my $shop = Inqud::Shop->new(name => 'primary',
	conf => [ 'wal_level = replica', 'max_wal_senders = 5', 'hot_standby = on', 'wal_keep_size = 128MB' ],
	# no read comes due by chance, so that nothing but what is tested wakes the worker
	options => { max_inflight => 10, poll_new => '30day', poll_active => '30day' });
my $emu = $shop->emu;

$shop->create_orders(on_status => 0);

# The same shop on another server.
sub on
{
	my ($node) = @_;

	return bless { %$shop, node => $node }, ref $shop;
}

# ---------------------------------------------------------------------
# A standby
# ---------------------------------------------------------------------

$shop->sql("INSERT INTO orders SELECT i, 10, 'USD' FROM generate_series(1, 10) i");
$shop->wait_until("SELECT count(*) = 10 FROM inqud.checkout WHERE state = 'open'");
$shop->node->backup('base');
my $node = PostgreSQL::Test::Cluster->new('standby');
$node->init_from_backup($shop->node, 'base', has_streaming => 1);
$node->start;
my $standby = on($node);

$shop->sql("INSERT INTO orders SELECT i, 10, 'USD' FROM generate_series(11, 20) i");
$shop->wait_until("SELECT count(*) = 20 FROM inqud.checkout WHERE state = 'open'");
$standby->until("SELECT count(*) = 20 FROM inqud.checkout WHERE acquiring_url IS NOT NULL", 'a standby shows what the primary has recorded');
is($standby->sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'inqud%'"), '0', 'it runs neither launcher nor worker');
foreach my $view (qw(checkout queue event payment pending trouble status daily funnel worker stats))
{
	is($standby->error("SELECT * FROM inqud.$view")->{message}, undef, "inqud.$view can be read there");
}
my $row = $shop->checkout(5);
is($standby->sql("SELECT status FROM inqud_get_checkout('shop', '$row->{checkout_id}')"), 'NEW', 'inqud_get_checkout reads from Inqud there');
$standby->raises($standby->create_sql('x'), { state => '25006' }, 'inqud_create_checkout is refused');
$standby->raises($standby->enqueue_sql('x'), { state => '25006' }, 'so is inqud_enqueue_checkout');
$standby->raises("SELECT inqud_refresh($row->{id})", { state => '25006' }, 'and inqud_refresh');
is($standby->error("SELECT inqud_wait_checkout($row->{id})")->{message}, undef, 'inqud_wait_checkout answers');

# ---------------------------------------------------------------------
# Promotion under load
# ---------------------------------------------------------------------

$shop->sql("ALTER SYSTEM SET synchronous_standby_names = 'standby'");
$shop->sql('SELECT pg_reload_conf()');
$shop->until("SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'", 'replication is synchronous');
my $reader = Inqud::Faults::Reader->start($shop);
$emu->fault({ match => { method => 'POST' }, action => 'delay', delay => 20 });
my $committed = 20;
foreach (1 .. 4)
{
	my $from = $committed + 1;
	my $to = $committed + 100;
	$shop->sql("INSERT INTO orders SELECT i, 10, 'USD' FROM generate_series($from, $to) i");
	$committed = $to;
}
$shop->wait_until("SELECT count(*) >= 180 FROM inqud.checkout WHERE acquiring_url IS NOT NULL");
$shop->node->stop('immediate');
$reader->stop;
my $started = time;
$node->promote;
$standby->sql("ALTER SYSTEM SET synchronous_standby_names = ''");
$standby->sql('SELECT pg_reload_conf()');
my $before = $standby->sql("SELECT count(*) FROM inqud.checkout WHERE acquiring_url IS NOT NULL");
is($standby->sql('SELECT count(*) FROM orders'), $committed, 'every committed order is there after the promotion');
ok(wait_worker($standby), 'the worker starts by itself');
my $worker_after = time - $started;
$standby->until("SELECT count(*) = $committed AND count(acquiring_url) = $committed AND bool_and(state = 'open') FROM inqud.checkout",
	'and goes on where the primary stopped');
my $done_after = time - $started;
is($standby->sql('SELECT count(DISTINCT order_id) || \' \' || count(DISTINCT checkout_id) FROM inqud.checkout'), "$committed $committed", 'each order has one checkout of its own');
my @pairs = $reader->pairs;
cmp_ok(scalar @pairs, '>', 0, 'a session has read URLs on the primary');
is_deeply([ $reader->changed($standby) ], [], 'no URL that was read on the primary is another one now');
my $creates = $emu->get('counts')->{creates};
my %order = map { split / / } split /\n/, $standby->sql("SELECT id || ' ' || order_id FROM inqud.checkout");
is_deeply([ grep { $creates->{ $order{ $_->[0] } } != 1 } @pairs ], [], 'nothing that was recorded was created twice');
my $twice = grep { $creates->{$_} > 1 } keys %$creates;
# ten calls under way, and as many answers that were about to be written
cmp_ok($twice, '<=', 20, 'created again was at most what was under way');
is($standby->sql("SELECT count(*) FROM inqud.trouble"), '0', 'nothing is in inqud.trouble');
note(sprintf 'promotion: recorded before %d, URLs read %d, a worker after %.1f s, all %d orders done after %.1f s, created again %d',
	$before, scalar @pairs, $worker_after, $committed, $done_after, $twice);
$emu->clear_faults;

# ---------------------------------------------------------------------
# Synchronous replication without a standby
# ---------------------------------------------------------------------

$standby->sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
$standby->sql('SELECT pg_reload_conf()');
$standby->wait_until("SELECT current_setting('synchronous_standby_names') = 'nobody'");
foreach my $how ('terminate worker', 'fast stop', 'smart stop', 'immediate stop')
{
	my $order = $standby->sql("SET synchronous_commit = local; INSERT INTO orders VALUES (nextval('inqud.checkout_id_seq'), 10, 'USD') RETURNING id");
	$standby->until("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'inqud worker' AND wait_event = 'SyncRep'",
		"$how: the worker waits for a standby that is not there");
	is($standby->sql("SELECT acquiring_url IS NULL FROM inqud.checkout WHERE order_id = '$order'"), 't', "$how: no URL is visible before it is safe");
	# a worker or server that waited for the standby would not end at all
	my $took = eval { crash($standby, $how) };
	ok(defined $took, "$how: does not wait for the standby") or die $@;
	note(sprintf '%s under synchronous replication without a standby: %.2f s', $how, $took);
	$standby->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '$order'", "$how: afterwards the order is recorded");
	is($emu->get('counts')->{creates}{$order}, 1, "$how: created once");
}
# What the database's default leaves out, the worker does not.
$standby->sql("SET synchronous_commit = local; ALTER DATABASE postgres SET synchronous_commit = local");
crash($standby, 'terminate worker');
{
	my $order = $standby->sql("INSERT INTO orders VALUES (nextval('inqud.checkout_id_seq'), 10, 'USD') RETURNING id");
	my $url = "SELECT count(acquiring_url) FROM inqud.checkout WHERE order_id = '$order'";
	$standby->wait_until("SELECT ($url) = 1 OR EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'inqud worker' AND wait_event = 'SyncRep')");
	is($standby->sql($url), '0', 'synchronous_commit = local in the database: no URL is visible before a standby has it');
	crash($standby, 'terminate worker');
	$standby->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '$order'", 'afterwards the order is recorded');
}
$standby->sql("SET synchronous_commit = local; ALTER SYSTEM RESET synchronous_standby_names");
$standby->sql('SELECT pg_reload_conf()');

# Of the other defaults it is seen in the transaction that makes a URL visible.
$standby->wait_until("SELECT current_setting('synchronous_standby_names') = ''");
$standby->sql(q{CREATE TABLE committed (order_id text, how text);
	CREATE FUNCTION commits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO public.committed VALUES (NEW.order_id, current_setting('synchronous_commit')); RETURN NULL; END $$;
	CREATE TRIGGER commits AFTER UPDATE OF acquiring_url ON inqud.checkout FOR EACH ROW EXECUTE FUNCTION commits()});
foreach my $pair ([ off => 'on' ], [ local => 'on' ], [ remote_write => 'on' ], [ on => 'on' ], [ remote_apply => 'remote_apply' ])
{
	my ($default, $used) = @$pair;

	$standby->sql("ALTER DATABASE postgres SET synchronous_commit = $default; SELECT inqud_worker_stop()");
	$standby->sql($standby->enqueue_sql("default $default") . '; SELECT inqud_worker_start()');
	$standby->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'default $default'");
	is($standby->sql("SELECT string_agg(how, ' ') FROM committed WHERE order_id = 'default $default'"), $used, "default $default: a URL is committed with $used");
}
$standby->sql('ALTER DATABASE postgres RESET synchronous_commit; DROP TRIGGER commits ON inqud.checkout; DROP FUNCTION commits; DROP TABLE committed; SELECT inqud_worker_stop()');
$standby->sql('SELECT inqud_worker_start()');

# ---------------------------------------------------------------------
# Dump and restore
# ---------------------------------------------------------------------

my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
my $all = "SELECT md5(string_agg(c::text, E'\\n' ORDER BY id)) FROM inqud.checkout c";
my $events = "SELECT md5(string_agg(e::text, E'\\n' ORDER BY id)) FROM inqud.event e";

$emu->control('expire', { clientOrderId => '7' });
$standby->sql("SELECT inqud_refresh(id) FROM inqud.checkout WHERE order_id = '7'");
$standby->wait_until("SELECT status = 'EXPIRED' FROM inqud.checkout WHERE order_id = '7'");
$standby->sql('SELECT inqud_worker_stop()');
$standby->sql($standby->enqueue_sql('queued at the dump', "5, 'USD'"));
$standby->sql("SELECT inqud_refresh(id) FROM inqud.checkout WHERE order_id = '9'");
foreach my $format ('custom', 'plain')
{
	my $database = "restored_$format";
	my $requests = $emu->get('counts')->{total};
	my $copy = $standby->in($database);

	$standby->node->command_ok([ 'pg_dump', '-F', $format, '-f', "$dump.$format", '-d', $standby->node->connstr('postgres') ], "pg_dump, $format");
	$standby->sql("CREATE DATABASE $database TEMPLATE template0");
	my @restore = $format eq 'custom' ? ('pg_restore', '-e', '-d', $standby->node->connstr($database), "$dump.$format")
	  : ('psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-d', $standby->node->connstr($database), '-f', "$dump.$format");
	$standby->node->command_ok(\@restore, "restore, $format");
	is($copy->sql($all), $standby->sql($all), "$format: every checkout is there as it was");
	is($copy->sql($events), $standby->sql($events), "$format: so are the events");
	is($copy->sql('SELECT count(*) FROM inqud.queue'), $standby->sql('SELECT count(*) FROM inqud.queue'), "$format: and the queue");
	my $order = "new in $format";
	$copy->sql($copy->enqueue_sql($order));
	$copy->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '$order'", "$format: a new order runs at once");
	is($emu->get('counts')->{total}, $requests + 1, "$format: and is all that is called");
	cmp_ok($copy->sql("SELECT id FROM inqud.checkout WHERE order_id = '$order'"), '>', $standby->sql('SELECT max(id) FROM inqud.checkout'), "$format: numbers go on");
	is($copy->sql("INSERT INTO orders VALUES (900000, 1, 'USD') RETURNING id"), '900000', "$format: the trigger of the orders works");
	$copy->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '900000'", "$format: and its order is sent");
	cmp_ok($copy->sql("SELECT count(*) FROM inqud.trouble WHERE trouble = 'foreign'"), '>', 1, "$format: old work stands in inqud.trouble");
	cmp_ok($copy->sql('SELECT inqud_adopt()'), '>', 1, "$format: inqud_adopt() takes it over");
	$copy->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'queued at the dump'", "$format: what was queued is sent");
	$copy->until("SELECT count(*) = 0 FROM inqud.pending WHERE kind = 'poked'", "$format: and what was to be read is read");
	$standby->sql("DROP DATABASE $database");
}

done_testing();
