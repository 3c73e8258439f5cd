#!/usr/bin/perl
#
# 062_restore.pl - proves that every usual way to dump and restore a shop brings back
# checkouts, queue, history and sequences, that a copy calls Inqud for nothing old
# before inqud_adopt(), and that new orders in it run at once; and that whoever drops
# the extension or a server is told what goes along or stays behind.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use PostgreSQL::Test::Utils ();
use Test::More;

# Orders stand in a schema that sorts before "inqud", and in one that sorts behind.
use constant ORDERS => 'app.orders';

my $shop = Inqud::Shop->new(conf => ['autovacuum = off'], options => { poll_new => '1h', poll_active => '1h' });
my ($node, $emu) = ($shop->node, $shop->emu);
my $folder = PostgreSQL::Test::Utils::tempdir();

sub make_trigger
{
	my ($table, $prefix, $how) = @_;

	return "CREATE TRIGGER pay AFTER INSERT ON $table $how EXECUTE FUNCTION inqud_order_trigger('shop', 'order_id=$prefix-{id}',
		'name=Order {id}', 'return_url=https://shop.example/$prefix/{id}', 'amount={total}', 'currency=USD');";
}

$shop->sql("CREATE ROLE app LOGIN; GRANT USAGE ON FOREIGN SERVER shop TO app;
	CREATE SCHEMA app; CREATE SCHEMA zoo; GRANT USAGE ON SCHEMA app, zoo TO app;
	CREATE TABLE app.orders (id int PRIMARY KEY, total numeric NOT NULL);
	CREATE TABLE zoo.tickets (id int PRIMARY KEY, total numeric NOT NULL);
	CREATE TABLE app.later (id int PRIMARY KEY, total numeric NOT NULL);
	GRANT SELECT, INSERT ON app.orders, app.later, zoo.tickets TO app;"
	. make_trigger('app.orders', 'o', 'FOR EACH ROW')
	. make_trigger('app.later', 'l', 'DEFERRABLE INITIALLY DEFERRED FOR EACH ROW') =~ s/CREATE TRIGGER/CREATE CONSTRAINT TRIGGER/r
	. make_trigger('zoo.tickets', 't', 'FOR EACH STATEMENT') =~ s/tickets FOR EACH/tickets REFERENCING NEW TABLE AS new_rows FOR EACH/r);
$shop->sql('SET ROLE app; INSERT INTO app.orders SELECT i, 10 + i FROM generate_series(1, 6) i;
	INSERT INTO zoo.tickets SELECT i, 20 + i FROM generate_series(1, 3) i; INSERT INTO app.later VALUES (1, 30)');
$shop->wait_until("SELECT count(*) = 10 FROM inqud.checkout WHERE state = 'open'");
$emu->control('settle', { clientOrderId => $_ }) foreach 'o-1', 't-1';
$emu->control('expire', { clientOrderId => 'o-2' });
$shop->sql("SELECT inqud_refresh(id) FROM inqud.checkout WHERE order_id IN ('o-1', 't-1', 'o-2')");
$shop->wait_until("SELECT count(*) = 3 FROM inqud.checkout WHERE state = 'closed'");
$shop->sql('SELECT inqud_worker_stop()');
$shop->sql('SET ROLE app; INSERT INTO app.orders VALUES (7, 17)');

# ---------------------------------------------------------------------
# What is compared
# ---------------------------------------------------------------------

# The tables and sequences that a dump has to contain, and the orders.
my %kept = (r => [ ORDERS, 'app.later', 'zoo.tickets' ], S => []);
foreach my $line (split /\n/, $shop->sql("SELECT c.relkind, c.relname FROM pg_class c
	WHERE c.relnamespace = 'inqud'::regnamespace AND c.relkind IN ('r', 'S') ORDER BY 2"))
{
	my ($kind, $name) = split /\|/, $line;

	push @{ $kept{$kind} }, "inqud.$name";
}

# Each table's rows, and where each sequence stands.
sub contents
{
	my ($in) = @_;

	return $in->sql(join '; ', (map { "SELECT '$_', count(*), md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '')) FROM $_ t" } @{ $kept{r} }),
		map { "SELECT '$_', last_value, is_called FROM $_" } @{ $kept{S} });
}

my $contents = contents($shop);
like($contents, qr/^inqud\.queue\|[1-9]/m, 'there is something queued');

sub run_tool
{
	my ($name, @command) = @_;
	my ($out, $err) = ('', '');
	my $good = IPC::Run::run(\@command, '>', \$out, '2>', \$err);

	ok($good, $name) or diag("$out$err");
	return $err;
}

sub dump_shop
{
	my ($file, @options) = @_;

	run_tool("pg_dump @options", 'pg_dump', '-f', "$folder/$file", @options, '-d', $node->connstr('postgres'));
	return "$folder/$file";
}

sub restore
{
	my ($copy, $file, @options) = @_;

	return run_tool("pg_restore @options", 'pg_restore', '-e', @options, '-d', $node->connstr($copy->{db}), $file);
}

my $copies = 0;

sub new_database
{
	my $copy = $shop->in('copy_' . ++$copies);

	$shop->sql("CREATE DATABASE $copy->{db} TEMPLATE template0");
	return $copy;
}

# A restored copy holds what was dumped, has called nothing of it, and takes new orders.
sub is_whole
{
	my ($copy, $name) = @_;
	my $number = 1000 + $copies;
	my $calls = $emu->get('counts')->{total};

	is(contents($copy), $contents, "$name: rows and sequences are as they were");
	is($copy->sql("SELECT bool_and(home <> inqud._home()) FROM inqud.queue"), 't', "$name: what is queued is at home elsewhere");
	$copy->sql("INSERT INTO app.orders VALUES ($number, 1)");
	$copy->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'o-$number'", "$name: a new order runs at once");
	is($emu->get('counts')->{total}, $calls + 1, "$name: and is all that is called");
	return;
}

sub drop_copy
{
	my ($copy) = @_;

	$shop->sql("DROP DATABASE $copy->{db}");
	return;
}

# ---------------------------------------------------------------------
# Whole restores
# ---------------------------------------------------------------------

my $custom = dump_shop('custom', '-Fc');
my $copy = new_database();
restore($copy, $custom);
is_whole($copy, 'one file');
cmp_ok($copy->sql('SELECT inqud_adopt()'), '>', 1, 'inqud_adopt() takes the rest over');
$copy->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'o-7'", 'and what was queued is sent');
drop_copy($copy);

$copy = new_database();
restore($copy, dump_shop('folder', '-Fd'), '-j', '4');
is_whole($copy, 'four jobs');
drop_copy($copy);

$copy = new_database();
my $plain = dump_shop('plain', '-Fp', '--inserts');
run_tool('psql', 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($copy->{db}), '-f', $plain);
is_whole($copy, 'a script of inserts');
# over what is there, as it is after a first try
restore($copy, $custom, '--clean', '--if-exists');
is_whole($copy, 'over an existing database');
drop_copy($copy);

$copy = new_database();
$copy->sql('CREATE EXTENSION inqud');
restore($copy, $custom);
is_whole($copy, 'into a database that has the extension');
drop_copy($copy);

# ---------------------------------------------------------------------
# In two steps
# ---------------------------------------------------------------------

$copy = new_database();
restore($copy, $custom, '-s');
my $said = restore($copy, $custom, '-a', '-v');
like($said, qr/WARNING:.*"orders".*queue no checkouts/, 'schema, then data: the restore says that its orders queue nothing');
is_whole($copy, 'schema, then data');
is($copy->sql("SELECT count(*) FROM inqud.checkout WHERE order_id LIKE 't-%'"), '3', 'schema, then data: nor do those of a statement trigger');
drop_copy($copy);

$copy = new_database();
restore($copy, $custom, '-s');
restore($copy, $custom, '-a', '-1');
is_whole($copy, 'schema, then data in one transaction');
drop_copy($copy);

$copy = new_database();
restore($copy, $custom, '-s');
unlike(restore($copy, $custom, '-a', '-v', '--disable-triggers'), qr/WARNING/, 'with --disable-triggers there is nothing to say');
is_whole($copy, 'schema, then data, triggers disabled');

# COPY alone, and the settings of a dump alone, queue as always
$copy->sql("COPY app.orders FROM stdin;\n2000\t5\n\\.\n");
$copy->sql("SET check_function_bodies = off; SELECT set_config('search_path', '', false); INSERT INTO app.orders VALUES (2001, 5)");
$copy->sql("SELECT set_config('search_path', '', false); COPY app.orders FROM stdin;\n2002\t5\n\\.\n");
is($copy->sql("SELECT count(*) FROM inqud.checkout WHERE order_id IN ('o-2000', 'o-2001', 'o-2002')"), '3',
	'a COPY, and the settings of a dump, are new orders each without the other');
drop_copy($copy);

# ---------------------------------------------------------------------
# Parts, and dumps by others than superusers
# ---------------------------------------------------------------------

my $part = dump_shop('schema', '-Fc', '-n', 'inqud');
is(scalar(grep { /TABLE DATA inqud/ } split /\n/, `pg_restore -l $part`), 0, '-n inqud has no rows of it');
$part = dump_shop('extension', '-Fc', '-e', 'inqud');
$copy = new_database();
restore($copy, $part);
is($copy->sql('SELECT count(*) FROM inqud.checkout'), '11', '-e inqud has the record, without servers and orders');
drop_copy($copy);

$shop->sql('CREATE ROLE backup LOGIN; GRANT pg_read_all_data TO backup');
my @as_backup = ('pg_dump', '-U', 'backup', '-Fc', '-f', "$folder/backup", '-d', $node->connstr('postgres'));
my ($out, $err) = ('', '');
ok(!IPC::Run::run(\@as_backup, '>', \$out, '2>', \$err), 'a role that only reads all data cannot dump under row security');
like($err, qr/row-level security policy for table/, 'and is told why');
# what is true of backups after CREATE EXTENSION is said by it
like(warnings_of($shop->in('template1'), 'BEGIN; CREATE EXTENSION inqud; ROLLBACK'), qr/WARNING: .*BYPASSRLS.*\n.*: backup\./, 'CREATE EXTENSION says so');
$shop->sql('ALTER ROLE backup BYPASSRLS');
is(warnings_of($shop->in('template1'), 'BEGIN; CREATE EXTENSION inqud; ROLLBACK'), '', 'and nothing where backups can be made');
run_tool('pg_dump by a role with BYPASSRLS', @as_backup);
$copy = new_database();
restore($copy, "$folder/backup");
is(contents($copy), $contents, 'that dump is whole');
is($copy->sql("SELECT umoptions IS NULL FROM pg_user_mapping"), 't', 'but for the keys');
drop_copy($copy);

# ---------------------------------------------------------------------
# A cluster without the roles
# ---------------------------------------------------------------------

$shop->sql('DROP OWNED BY app; ALTER ROLE app RENAME TO somebody');
$copy = new_database();
($out, $err) = ('', '');
IPC::Run::run([ 'pg_restore', '-d', $node->connstr($copy->{db}), $custom ], '>', \$out, '2>', \$err);
like($err, qr/role "app" does not exist/, 'without the roles: pg_restore says so, and goes on');
is(contents($copy), $contents, 'without the roles: rows and sequences are as they were');
drop_copy($copy);

# ---------------------------------------------------------------------
# Dropping
# ---------------------------------------------------------------------

# What psql prints of warnings beside the answer of statements.
sub warnings_of
{
	my ($in, $sql) = @_;
	my $errors = '';

	die "$sql: $errors\n" if $node->psql($in->{db}, "SET client_min_messages = warning; $sql", stderr => \$errors, on_error_stop => 1) != 0;
	return $errors =~ s/^psql:<stdin>:\d+: //mgr;
}

$copy = new_database();
restore($copy, $custom, '--no-owner', '--no-acl');
$shop->sql('CREATE ROLE app');
$copy->sql('GRANT USAGE ON FOREIGN SERVER shop TO app; SELECT inqud_adopt()');
$copy->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'o-7'");
like(warnings_of($copy, 'BEGIN; DROP EXTENSION inqud CASCADE; ROLLBACK'),
	qr/^WARNING:  extension "inqud" was dropped.*\nDETAIL:  Payments: 2\..*: 8\.\nHINT:  ROLLBACK/, 'DROP EXTENSION says what goes along');
like(warnings_of($copy, 'BEGIN; DROP SCHEMA public CASCADE; ROLLBACK'), qr/"inqud" was dropped.*\n.*Payments: 2/, 'so does the schema that it is in');
is(() = warnings_of($copy, 'BEGIN; DROP EXTENSION inqud CASCADE; ROLLBACK') =~ /WARNING/g, 1, 'once');
like(warnings_of($copy, 'BEGIN; DROP SERVER shop CASCADE; ROLLBACK'),
	qr/^WARNING:  checkouts of dropped server "shop" stay behind\nDETAIL:  .*: 2\..*: 8\.\nHINT:  .*inqud_adopt/, 'DROP SERVER says what stays behind');
like(warnings_of($copy, 'BEGIN; DO $$BEGIN DROP SERVER shop CASCADE; END$$; ROLLBACK'), qr/"shop" stay behind/, 'also in a function');
$copy->project('other');
is(warnings_of($copy, 'BEGIN; DROP SERVER other CASCADE; ROLLBACK'), '', 'nothing is said of a server without checkouts');
$copy->sql('CREATE ROLE keeper; ALTER SERVER shop OWNER TO keeper');
like(warnings_of($copy, 'BEGIN; DROP OWNED BY keeper CASCADE; ROLLBACK'), qr/"shop" stay behind/, 'so does DROP OWNED');
$copy->sql('ALTER SERVER shop OWNER TO postgres; CREATE ROLE stranger LOGIN');
says_nothing('DROP EXTENSION inqud', 'a statement that fails');
says_nothing('SET ROLE stranger; DROP EXTENSION inqud CASCADE', 'a user who may not drop it');

sub says_nothing
{
	my ($sql, $name) = @_;
	my $errors = '';

	isnt($node->psql($copy->{db}, $sql, stderr => \$errors, on_error_stop => 1), 0, "$name: refused");
	unlike($errors, qr/WARNING/, "$name: hears no number");
	return;
}

# What is locked, or gone, stops nothing.
my $holder = $shop->session(db => $copy->{db});
$holder->query('BEGIN; LOCK TABLE inqud.checkout');
like(warnings_of($copy, 'BEGIN; DROP SERVER shop CASCADE; ROLLBACK'), qr/could not be counted: canceling statement due to lock timeout/, 'a locked table does not stop DROP SERVER');
$holder->query('ROLLBACK');
$holder->close;
$copy->sql('ALTER EXTENSION inqud DROP FUNCTION inqud._holds; DROP FUNCTION inqud._holds');
like(warnings_of($copy, 'DROP EXTENSION inqud CASCADE'), qr/"inqud" was dropped.*\n.*could not be counted: function/, 'nor does a function that is gone stop DROP EXTENSION');
is($copy->sql("SELECT count(*) FROM pg_extension WHERE extname = 'inqud'"), '0', 'which is done');
is(warnings_of($copy, 'CREATE EXTENSION inqud; DROP EXTENSION inqud'), '', 'nothing is said of one that has recorded nothing');
drop_copy($copy);

done_testing();
