#!/usr/bin/perl
#
# 060_upgrade.pl - proves that a database which was made with the version before
# this one and updated has the same catalogue as one in which the extension was
# just created, that the objects of the version before work with this library, and
# that an update is nothing to be afraid of: it waits for nobody, loses nothing,
# sends nothing twice, and the worker and all sessions go on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Catalogue qw(catalogue differences);
use Inqud::Faults qw(wait_worker);
use Inqud::Older;
my $first;
BEGIN { $first = Inqud::Older::install() }
use Inqud::Shop;
use Inqud::Webhooks qw(digest receive_sql);
use PostgreSQL::Test::Utils ();
use Test::More;

use constant SECRET => 'test-webhook-secret';

my $shop = Inqud::Shop->new(extension => 0);
my $emu = $shop->emu;
my $current = $shop->sql("SELECT default_version FROM pg_available_extensions WHERE name = 'inqud'");

isnt($current, $first, 'there is an update to be tested');

# ---------------------------------------------------------------------
# The catalogue
# ---------------------------------------------------------------------

sub with_extension
{
	my ($name, @statements) = @_;
	my $database = $shop->in($name);

	$shop->sql("CREATE DATABASE $name");
	$database->sql($_) foreach @statements;
	return $database;
}

my $fresh = with_extension('fresh', 'CREATE EXTENSION inqud');
my @expected = catalogue($fresh);

cmp_ok(scalar @expected, '>', 500, 'there is much to compare');
my $upgraded = with_extension('upgraded', "CREATE EXTENSION inqud VERSION '$first'", 'ALTER EXTENSION inqud UPDATE');
my @differences = differences(\@expected, [ catalogue($upgraded) ]);

is(scalar @differences, 0, "made as $first and updated, it is the same as a fresh one") or diag(join "\n", @differences);

# Default privileges give nobody a right, neither at first nor on what the update makes; what was granted
# in between stays, and does not become the extension's.
my $granted = with_extension('granted', 'CREATE ROLE m; CREATE ROLE receiver',
	map({ "ALTER DEFAULT PRIVILEGES GRANT ALL ON $_ TO m" } qw(TABLES SEQUENCES FUNCTIONS SCHEMAS TYPES)), "CREATE EXTENSION inqud VERSION '$first'",
	'GRANT EXECUTE ON FUNCTION inqud_receive_webhook TO receiver; GRANT USAGE ON FOREIGN DATA WRAPPER inqud TO receiver', 'ALTER EXTENSION inqud UPDATE');
is($granted->sql("SELECT has_function_privilege('receiver', 'inqud_receive_webhook(text, bytea, text)', 'EXECUTE')
	AND has_foreign_data_wrapper_privilege('receiver', 'inqud', 'USAGE')"), 't', 'an update takes no right that was granted');
$granted->sql('REVOKE EXECUTE ON FUNCTION inqud_receive_webhook FROM receiver; REVOKE USAGE ON FOREIGN DATA WRAPPER inqud FROM receiver');
@differences = differences(\@expected, [ catalogue($granted) ]);
is(scalar @differences, 0, 'nor does it add one by default privileges') or diag(join "\n", @differences);

# The comparison would have seen it.
foreach my $change (
	"ALTER TABLE inqud.queue SET (fillfactor = 61)", "ALTER TABLE inqud.checkout ALTER COLUMN amount SET DEFAULT 1",
	"ALTER TABLE inqud.event ALTER COLUMN detail SET NOT NULL", "ALTER TABLE inqud.event ADD COLUMN more text",
	"GRANT SELECT ON inqud.event TO pg_monitor", "REVOKE USAGE ON SCHEMA inqud FROM PUBLIC",
	"COMMENT ON VIEW inqud.pending IS 'another'", "COMMENT ON COLUMN inqud.pending.kind IS 'another'",
	"ALTER FUNCTION public.inqud_cancel(bigint) COST 7", "ALTER FUNCTION inqud._home() SET work_mem = '1MB'",
	"GRANT EXECUTE ON FUNCTION inqud._home() TO pg_monitor", "CREATE INDEX another ON inqud.checkout (name)",
	"ALTER TABLE inqud.checkout ADD CONSTRAINT another CHECK (id > 0)", "ALTER TABLE inqud.checkout DISABLE ROW LEVEL SECURITY",
	"CREATE POLICY another ON inqud.checkout FOR SELECT USING (true)", "ALTER TABLE inqud.queue DISABLE TRIGGER ALL",
	"CREATE FUNCTION inqud.another() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER EXTENSION inqud ADD FUNCTION inqud.another()",
	"ALTER VIEW inqud.pending SET (security_invoker = false)", "ALTER SEQUENCE inqud.event_id_seq CACHE 7",
	"SELECT pg_extension_config_dump('inqud.event', 'WHERE true')")
{
	# pg_extension_config_dump runs in scripts only
	my $statement = $change =~ /config_dump/ ? "UPDATE pg_extension SET extcondition[1] = 'WHERE true' WHERE extname = 'inqud'" : $change;

	isnt(scalar(differences(\@expected, [ catalogue($fresh, $statement) ])), 0, "the comparison notices: $change");
}

# ---------------------------------------------------------------------
# The version before with this library
# ---------------------------------------------------------------------

$shop->sql("CREATE EXTENSION inqud VERSION '$first'");
$shop->project('shop', options => { poll_new => '1h', poll_active => '1h', max_inflight => 10 }, mapping => { webhook_secret => SECRET });
$shop->create_orders;
my $session = $shop->session;

sub literal { return Inqud::Shop::literal(@_) }

# What was recorded, in full.
sub world
{
	return $session->query_safe("SELECT string_agg(to_jsonb(c)::text, ' ' ORDER BY c.id) FROM inqud.checkout c WHERE c.state <> 'queued'");
}

$session->query_safe("INSERT INTO orders VALUES (1, 12.5, 'USD')");
$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '1'", "$first: an order is sent");
is($session->query_safe('SELECT state FROM (' . $shop->create_sql('2') . ') x'), 'open', "$first: a checkout is made directly");
my $direct = $shop->checkout('2');
is($session->query_safe("SELECT status FROM inqud_get_checkout('shop', '$direct->{checkout_id}')"), 'NEW', "$first: and read");
is($session->query_safe("SELECT state FROM inqud_wait_checkout($direct->{id})"), 'open', "$first: and waited for");
$emu->control('settle', { clientOrderId => '2' });
is($session->query_safe("SELECT state FROM inqud_refresh($direct->{id})"), 'open', "$first: a read is asked for");
$shop->until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE order_id = '2'", "$first: and done");
$emu->control('settle', { clientOrderId => '1' });
my $body = '{"id":"' . $shop->checkout('1')->{checkout_id} . '","status":"SUCCESS"}';
is($session->query_safe('SELECT ' . receive_sql('shop', $body, digest(SECRET, $body))), 't', "$first: a webhook is taken");
$shop->until("SELECT paid FROM orders WHERE id = 1", "$first: and the order is paid");
is($session->query_safe("SELECT count(*) FROM inqud.payment"), '2', "$first: the reports say so");
is($session->query_safe("SELECT count(*) FROM inqud.trouble"), '0', "$first: and nothing is wrong");

# ---------------------------------------------------------------------
# The update, in the middle of everything
# ---------------------------------------------------------------------

my $enqueuer = $shop->session;
$enqueuer->query_safe('PREPARE enqueue AS SELECT (inqud_enqueue_checkout(\'shop\', $1, \'n\', \'https://shop.example\')).state');
$enqueuer->query_safe("EXECUTE enqueue('3')");
$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '3'", 'a session has its plans');
my $worker = wait_worker($shop);

$emu->fault({ match => { method => 'POST', body => '"10' }, action => 'hang', phase => 'before' });
$session->query_safe("INSERT INTO orders SELECT i, 5, 'USD' FROM generate_series(100, 139) i");
$shop->wait_requests(method => 'POST', body => '"10', count => 10);
my $before = world();
$session->query_safe('ALTER EXTENSION inqud UPDATE');
is($session->query_safe("SELECT extversion FROM pg_extension WHERE extname = 'inqud'"), $current, 'updated while ten calls are under way and thirty orders wait');
is(world(), $before, 'nothing that was recorded has changed');
is($enqueuer->query_safe("EXECUTE enqueue('4')"), 'queued', 'a session that was there before goes on');
$session->query_safe("INSERT INTO orders VALUES (200, 5, 'USD')");
$emu->clear_faults;
$emu->control('release');
$shop->until("SELECT count(*) = 42 AND bool_and(state = 'open') FROM inqud.checkout WHERE order_id IN ('200', '4') OR order_id ~ '^1\\d\\d\$'",
	'all of them come through, those from before and those from after');
is(scalar $shop->requests(method => 'POST', body => "\"$_\""), 1, "order $_ was sent once") foreach 100, 109, 110, 139, 200;
is($shop->worker_pid, $worker, 'by the worker that was there before');
is($session->query_safe("SELECT count(*) FROM (SELECT FROM inqud.checkout GROUP BY order_id HAVING count(*) > 1) x"), '0', 'each has one row');
$emu->control('settle', { clientOrderId => '100' });
$session->query_safe("SELECT inqud_refresh(id) FROM inqud.checkout WHERE order_id = '100'");
$shop->until("SELECT paid FROM orders WHERE id = 100", 'and is followed to its end');

# Undone, it never was.
my $second = $shop->in('second');
$shop->sql('CREATE DATABASE second');
$second->sql("CREATE EXTENSION inqud VERSION '$first'");
my @first = catalogue($second);
$second->sql('BEGIN; ALTER EXTENSION inqud UPDATE; ROLLBACK');
is(scalar(differences(\@first, [ catalogue($second) ])), 0, 'an update that is rolled back leaves the version before');

$enqueuer->close;
$session->close;
my @bad = grep { /PANIC|TRAP|was terminated by signal/ } split /\n/, PostgreSQL::Test::Utils::slurp_file($shop->node->logfile);
is("@bad", '', 'nothing has crashed');
done_testing();
