#!/usr/bin/perl
#
# 029_forgotten.pl - proves that a checkout which Inqud has and the database has
# forgotten comes back by its webhook: after a failover to an asynchronous
# standby that had not heard of it, and after a point-in-time restore.  What was
# queued before is sent anew then, and money on either checkout is recorded.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use Inqud::Webhooks qw(digest receive_sql);
use PostgreSQL::Test::Cluster;
use Test::More;

use constant SECRET => 'test-webhook-secret';

my $shop = Inqud::Shop->new(name => 'primary',
	conf => [ 'wal_level = replica', 'max_wal_senders = 5', 'hot_standby = on', 'wal_keep_size = 128MB' ],
	options => { poll_new => '30day', poll_active => '30day' }, mapping => { webhook_secret => SECRET });
my $emu = $shop->emu;

# The same shop on another server.
sub on
{
	my ($node) = @_;

	return bless { %$shop, node => $node }, ref $shop;
}

sub queue
{
	my ($order) = @_;

	$shop->sql($shop->enqueue_sql($order, "10, 'USD'"));
	return;
}

# Waits until the order has its checkout; gives the row.
sub opened
{
	my ($on, $order) = @_;

	$on->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '$order' AND current");
	return $on->row("SELECT * FROM inqud.checkout WHERE order_id = '$order' AND current");
}

# Pays at Inqud, whose webhook then reaches the server that is left.
sub pay
{
	my ($on, $id) = @_;
	my $body = qq({"id":"$id","status":"SUCCESS"});

	$emu->control('settle', { id => $id });
	$on->sql('SELECT ' . receive_sql('shop', $body, digest(SECRET, $body)));
	return;
}

sub enabled
{
	my ($value) = @_;

	$shop->sql("ALTER SYSTEM SET inqud.enabled = $value");
	$shop->sql('SELECT pg_reload_conf()');
	$shop->wait_until("SELECT current_setting('inqud.enabled') = '$value'");
	return;
}

# Two orders: "half" is in what the other server knows, its answer is not; of
# "never" the other server knows nothing.  lost() gives their checkouts' ids.
sub half
{
	my ($half) = @_;

	enabled('off');
	queue($half);
	return;
}

sub lost
{
	my ($half, $never) = @_;

	enabled('on');
	queue($never);
	return map { opened($shop, $_)->{checkout_id} } $half, $never;
}

# What must hold on the server that is left, however it came about.
sub comes_back
{
	my ($on, $what, $half, $half_id, $never, $never_id) = @_;
	my $new = opened($on, $half);

	Inqud::Shop::differs($new->{checkout_id}, $half_id, "$what: what was queued is sent anew");
	is($on->sql("SELECT count(*) FROM inqud.checkout WHERE order_id = '$never' OR checkout_id IN ('$half_id', '$never_id')"), '0',
		"$what: of the others nothing is known");
	pay($on, $_) foreach $half_id, $never_id;
	$on->until("SELECT count(*) = 1 FROM inqud.checkout WHERE checkout_id = '$never_id' AND order_id = '$never' AND status = 'SUCCESS'",
		"$what: a webhook brings an unknown order's checkout back, paid");
	$on->until("SELECT count(*) = 1 FROM inqud.checkout WHERE checkout_id = '$half_id' AND order_id = '$half' AND status = 'SUCCESS' AND NOT current",
		"$what: and the first one of the order that was sent anew");
	is($on->sql("SELECT checkout_id FROM inqud.checkout WHERE order_id = '$half' AND current"), $new->{checkout_id},
		"$what: whose own URL stays as it was");
	$on->until("SELECT count(*) = 1 FROM inqud.trouble WHERE order_id = '$half' AND detail ~ 'paid'", "$what: inqud.trouble names that money");
	is($on->row($on->enqueue_sql($never, "10, 'USD'"))->{checkout_id}, $never_id, "$what: the unknown order, queued again, is paid and not sent");
	is($on->sql("SELECT count(*) FROM (SELECT FROM inqud.checkout WHERE checkout_id IS NOT NULL GROUP BY checkout_id HAVING count(*) > 1) x"), '0',
		"$what: no id stands twice");
	return;
}

# ---------------------------------------------------------------------
# A point-in-time restore, from an archive
# ---------------------------------------------------------------------

$shop->node->enable_archiving;
$shop->restart;
$shop->node->backup('base');
half('half-1');
$shop->sql("SELECT pg_create_restore_point('before')");
my @restored = lost('half-1', 'never-1');
my $segment = $shop->sql('SELECT pg_walfile_name(pg_current_wal_lsn())');
$shop->sql('SELECT pg_switch_wal()');
$shop->wait_until("SELECT last_archived_wal >= '$segment' FROM pg_stat_archiver");

# ---------------------------------------------------------------------
# A failover to a standby that does not wait for anything
# ---------------------------------------------------------------------

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($shop->node, 'base', has_streaming => 1);
$standby->start;
half('half-2');
$shop->node->wait_for_catchup($standby);
$standby->stop;
my @failed_over = lost('half-2', 'never-2');
$shop->node->stop('immediate');

$standby->append_conf('postgresql.conf', 'inqud.enabled = on');
$standby->start;
$standby->promote;
comes_back(on($standby), 'failover', 'half-2', $failed_over[0], 'never-2', $failed_over[1]);
is(on($standby)->sql("SELECT state || ' ' || current FROM inqud.checkout WHERE checkout_id = '$restored[0]'"), 'open true',
	'failover: what had reached the standby is as it was');
$standby->stop;

my $old = PostgreSQL::Test::Cluster->new('restored');
$old->init_from_backup($shop->node, 'base', has_restoring => 1, standby => 0);
$old->append_conf('postgresql.conf', "recovery_target_name = 'before'\nrecovery_target_action = 'promote'\ninqud.enabled = on");
$old->start;
comes_back(on($old), 'restore', 'half-1', $restored[0], 'never-1', $restored[1]);
$old->stop;

done_testing();
