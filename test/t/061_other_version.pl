#!/usr/bin/perl
#
# 061_other_version.pl - proves that a library which does not know the version of
# the extension's objects, because they are newer or because it has given them
# up, refuses politely: functions say what to do, the worker leaves and says
# why, nothing is called and nothing crashes.  Once both fit again, everything
# goes on by itself.
#
# The versions it makes up are scripts in the private PostgreSQL tree, which go
# away with the test.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Faults qw(wait_worker);
use Inqud::Shop;
use Inqud::Webhooks qw(digest receive_sql);
use PostgreSQL::Test::Utils ();
use Test::More;

use constant SECRET => 'test-webhook-secret';

# What every upgrade script does.
my $END = "GRANT USAGE ON SCHEMA inqud TO PUBLIC;\n";
my @scripts;

END
{
	local $?;
	unlink @scripts;
}

my $shop = Inqud::Shop->new(options => { poll_new => '1h', poll_active => '1h' }, mapping => { webhook_secret => SECRET });
my $emu = $shop->emu;
my $current = $shop->sql("SELECT extversion FROM pg_extension WHERE extname = 'inqud'");

sub script
{
	my ($from, $to, $text) = @_;
	my $file = $shop->node->config_data('--sharedir') . "/extension/inqud--$from--$to.sql";

	die "\"$file\" is there already\n" if -e $file;
	push @scripts, $file;
	PostgreSQL::Test::Utils::append_to_file($file, $text);
	return;
}

# The lines of the server's log in which the worker says why it left.
sub farewells
{
	my ($version) = @_;

	return scalar grep { /LOG:  the loaded library does not serve version "\Q$version\E"/ }
	  split /\n/, PostgreSQL::Test::Utils::slurp_file($shop->node->logfile);
}

script($current, '9.9', "CREATE FUNCTION inqud._of_the_future() RETURNS int LANGUAGE sql AS 'SELECT 1';\n$END");
script('9.9', $current, "DROP FUNCTION inqud._of_the_future();\n$END");
script($current, '0.9', $END);
script('0.9', $current, $END);
script($current, '9.8', "CREATE FUNCTION inqud._missing() RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'inqud_of_the_future';\n$END");

$shop->create_orders;
my $session = $shop->session;
my $other = $shop->session;

$session->query_safe("INSERT INTO orders VALUES (1, 5, 'USD')");
$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '1'", 'an order is sent');
my $first = $shop->checkout('1');

# ---------------------------------------------------------------------
# Objects that are newer, or older, than the library knows
# ---------------------------------------------------------------------

my $body = qq({"id":"$first->{checkout_id}","status":"SUCCESS"});
my %calls = (
	'inqud_enqueue_checkout' => $shop->enqueue_sql('new'), 'inqud_create_checkout' => $shop->create_sql('new'),
	'inqud_get_checkout' => "SELECT inqud_get_checkout('shop', '$first->{checkout_id}')",
	'inqud_wait_checkout' => "SELECT inqud_wait_checkout($first->{id})", 'inqud_refresh' => "SELECT inqud_refresh($first->{id})",
	'inqud_retry' => "SELECT inqud_retry($first->{id})", 'inqud_cancel' => "SELECT inqud_cancel($first->{id})",
	'inqud_adopt' => 'SELECT inqud_adopt()', 'inqud_receive_webhook' => 'SELECT ' . receive_sql('shop', $body, digest(SECRET, $body)),
	'the trigger' => "INSERT INTO orders VALUES (99, 5, 'USD')");
my $order = 100;

foreach my $version ('9.9', '0.9')
{
	my $refused = {
		state => '55000', message => qq(the loaded library does not serve version "$version" of extension "inqud"),
		detail => qr/^The library is of version \Q$current\E and serves .*\Q$current\E/, hint => qr/restart the server, then run ALTER EXTENSION inqud UPDATE/ };
	my $rows = $shop->sql('SELECT string_agg(c::text, \' \' ORDER BY id) FROM inqud.checkout c');
	my $calls = $emu->get('counts')->{total};

	ok(wait_worker($shop), "$version: there is a worker");
	$other->query_safe("ALTER EXTENSION inqud UPDATE TO '$version'");
	foreach my $name (sort keys %calls)
	{
		Inqud::Shop::error_is($session->query($calls{$name})->{error}, $refused, "$version: $name refuses in a session that was there before");
	}
	$shop->raises($calls{inqud_enqueue_checkout}, $refused, "$version: and in a new one");
	Inqud::Shop::error_is($other->query($calls{inqud_enqueue_checkout})->{error}, $refused, "$version: and in the one that made the change");
	$shop->until("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'inqud worker'", "$version: the worker leaves");
	is(farewells($version), 1, "$version: and says why in the log, once");
	is($session->query_safe("SELECT state || ': ' || error FROM inqud.worker WHERE database = current_database()"),
		qq(not needed: the loaded library does not serve version "$version" of the extension; restart the server after an installation, then ALTER EXTENSION inqud UPDATE),
		"$version: and in inqud.worker");
	is($emu->get('counts')->{total}, $calls, "$version: nothing was called");
	is($session->query_safe('SELECT string_agg(c::text, \' \' ORDER BY id) FROM inqud.checkout c'), $rows, "$version: the record can be read, and nothing has changed");

	# A restart brings no library that would fit; it is looked at once.
	$_->close foreach $session, $other;
	$shop->restart;
	($session, $other) = ($shop->session, $shop->session);
	$shop->until("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'inqud launcher'", "$version: after a restart there is a launcher");
	$shop->until("SELECT error ~ 'does not serve' AND pid IS NULL AND state = 'not needed' FROM inqud.worker WHERE database = current_database()",
		"$version: and the worker has come, seen and left");
	is(farewells($version), 2, "$version: once");
	Inqud::Shop::error_is($session->query($calls{inqud_enqueue_checkout})->{error}, $refused, "$version: functions refuse as before");

	# Fitting again: sessions and worker go on by themselves.
	$other->query_safe('ALTER EXTENSION inqud UPDATE');
	ok(wait_worker($shop), "$version: updated to what the library knows, the worker is back");
	$session->query_safe('INSERT INTO orders VALUES (' . ++$order . ", 5, 'USD')");
	$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '$order'", "$version: and an order is sent");
}

# ---------------------------------------------------------------------
# Undone, and a function that the library has not
# ---------------------------------------------------------------------

$session->query_safe("BEGIN; ALTER EXTENSION inqud UPDATE TO '9.9'; SAVEPOINT s");
is($session->query($calls{inqud_enqueue_checkout})->{error}{state}, '55000', 'refused within the transaction that changes the version');
$session->query_safe('ROLLBACK');
is($session->query_safe('SELECT state FROM (' . $shop->enqueue_sql('undone') . ') x'), 'queued', 'and not after it was undone');
$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'undone'", 'the worker has not been troubled');

my $worker = wait_worker($shop);
Inqud::Shop::error_is($session->query("ALTER EXTENSION inqud UPDATE TO '9.8'")->{error},
	{ state => '42883', message => qr/could not find function "inqud_of_the_future"/ }, 'a script that needs a newer library fails');
is($session->query_safe("SELECT extversion FROM pg_extension WHERE extname = 'inqud'"), $current, 'and changes nothing');
$session->query_safe("INSERT INTO orders VALUES (300, 5, 'USD')");
$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '300'", 'orders are sent as before');
is($shop->worker_pid, $worker, 'by the same worker');

# The extension can be dropped at a version that the library does not know.
$session->query_safe("ALTER EXTENSION inqud UPDATE TO '9.9'; DROP EXTENSION inqud CASCADE; CREATE EXTENSION inqud");
is($session->query_safe("SELECT extversion FROM pg_extension WHERE extname = 'inqud'"), $current, 'dropped and created anew');

$_->close foreach $session, $other;
my @bad = grep { /PANIC|TRAP|was terminated by signal/ } split /\n/, PostgreSQL::Test::Utils::slurp_file($shop->node->logfile);
is("@bad", '', 'nothing has crashed');
done_testing();
