#!/usr/bin/perl
#
# 043_hostile_install.pl - proves that installing and updating the extension is
# captured by nobody: with objects of every kind that an unprivileged user can make
# in public, in a schema of their own and in pg_temp, all on the installer's
# search_path, none is called and none becomes part of what is installed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Older;
my $older;
BEGIN { $older = Inqud::Older::install() }
use Inqud::Shop;
use Test::More;

my $shop = Inqud::Shop->new(extension => 0, preload => 0);
my $session = $shop->session;

# What a user can lay out in one schema; "reached" says so if it is ever called.
sub traps
{
	my ($schema) = @_;
	my @types = qw(text name bigint integer boolean numeric jsonb timestamptz interval oid);
	my @made = ("CREATE FUNCTION $schema.reached() RETURNS text LANGUAGE plpgsql AS \$\$ BEGIN RAISE 'somebody else''s object was reached'; END \$\$");

	foreach my $type (@types)
	{
		push @made, "CREATE FUNCTION $schema.op(pg_catalog.$type, pg_catalog.$type) RETURNS pg_catalog.bool LANGUAGE sql AS \$\$ SELECT $schema.reached() IS NULL \$\$" =~ s/pg_catalog\.(bigint|integer|boolean|numeric)/$1/gr;
		push @made, map { "CREATE OPERATOR $schema.$_ (LEFTARG = $type, RIGHTARG = $type, FUNCTION = $schema.op)" } '=', '<>', '<', '||', '->>', '~', '@>';
	}
	push @made, map { "CREATE FUNCTION $schema.$_ LANGUAGE plpgsql AS \$\$ BEGIN PERFORM $schema.reached(); END \$\$" } 'now() RETURNS timestamptz', 'clock_timestamp() RETURNS timestamptz',
	  'pg_has_role(oid, text) RETURNS boolean', 'pg_has_role(name, text) RETURNS boolean', 'pg_has_role(name, oid, text) RETURNS boolean', 'current_database() RETURNS name',
	  'pg_extension_config_dump(regclass, text) RETURNS void', 'hashint8extended(bigint, bigint) RETURNS bigint', 'concat_ws(text, text, text) RETURNS text', 'upper(text) RETURNS text',
	  'format(text, text) RETURNS text', 'unnest(text[]) RETURNS SETOF text', 'pg_control_system() RETURNS bigint', 'pg_notify(text, text) RETURNS void', 'left(text, integer) RETURNS text',
	  'inqud_fdw_validator(text) RETURNS void', 'inqud_cancel(integer) RETURNS integer', 'jsonb_object_agg(text, numeric) RETURNS jsonb';
	push @made, "CREATE AGGREGATE $schema.count(*) (SFUNC = int4inc, STYPE = integer, INITCOND = '0')", "CREATE AGGREGATE $schema.sum(numeric) (SFUNC = numeric_add, STYPE = numeric)",
	  "CREATE AGGREGATE $schema.max(bigint) (SFUNC = int8larger, STYPE = bigint)";
	push @made, map { "CREATE TABLE $schema.$_ (id bigint, oid oid, rolname name, datname name, srvname name, srvoptions text[])" } qw(pg_roles pg_foreign_server pg_database checkout queue event inbox);
	push @made, map { "CREATE VIEW $schema.$_ AS SELECT $schema.reached() AS x" } qw(pg_user pg_settings payment trouble status pending worker daily);
	push @made, map { "CREATE TYPE $schema.$_ AS (x pg_catalog.text)" } qw(_order _task);
	push @made, "CREATE SEQUENCE $schema.checkout_id_seq", "CREATE COLLATION $schema.\"C\" FROM pg_catalog.\"C\"", "CREATE TYPE $schema.mood AS ENUM ('a')",
	  "CREATE TYPE $schema.span AS RANGE (SUBTYPE = pg_catalog.int8)", "CREATE CAST ($schema.mood AS text) WITH INOUT AS IMPLICIT";
	# at last, since these are what everything above would be made of
	push @made, map { "CREATE DOMAIN $schema.$_->[0] AS pg_catalog.$_->[1] CHECK (VALUE IS NULL)" } [ 'text', 'text' ], [ 'name', 'name' ], [ 'int8', 'int8' ], [ 'jsonb', 'jsonb' ],
	  [ 'timestamptz', 'timestamptz' ], [ 'oid', 'oid' ];
	return grep { length } @made;
}

$shop->sql('CREATE ROLE evil; CREATE SCHEMA evil AUTHORIZATION evil; GRANT CREATE ON SCHEMA public TO evil');
my ($made, @failed) = (0);

foreach my $schema (qw(evil public pg_temp))
{
	# of pg_temp it must be the installer's own session that has them
	$session->query_safe('SET ROLE evil; SET search_path = pg_catalog');
	foreach my $trap (traps($schema))
	{
		my $answer = $session->query($trap);

		$made++ unless $answer->{error};
		push @failed, "$trap: $answer->{error}{message}" if $answer->{error};
	}
	$session->query_safe('RESET ROLE');
}
is_deeply(\@failed, [], 'traps are laid');

foreach my $path ('evil, public, pg_temp, pg_catalog', 'pg_temp, evil, pg_catalog, public', 'public, pg_catalog, pg_temp')
{
	foreach my $how ([ 'CREATE EXTENSION inqud SCHEMA public' ], [ "CREATE EXTENSION inqud SCHEMA public VERSION '$older'", 'ALTER EXTENSION inqud UPDATE' ])
	{
		$session->query_safe("SET search_path = $path");
		foreach my $sql (@$how)
		{
			my $answer = $session->query($sql);

			is($answer->{error}{message}, undef, "$sql with search_path $path");
		}
		$session->query_safe('SET search_path = pg_catalog');
		is($session->query_safe("SELECT string_agg(DISTINCT pg_describe_object(d.refclassid, d.refobjid, 0), ', ') FROM pg_depend m JOIN pg_extension x ON x.extname = 'inqud' AND m.refobjid = x.oid
			AND m.deptype = 'e', LATERAL (SELECT m.classid, m.objid UNION SELECT 'pg_rewrite'::regclass, r.oid FROM pg_rewrite r WHERE r.ev_class = m.objid
				UNION SELECT 'pg_policy'::regclass, p.oid FROM pg_policy p WHERE p.polrelid = m.objid UNION SELECT 'pg_attrdef'::regclass, a.oid FROM pg_attrdef a WHERE a.adrelid = m.objid
				UNION SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index i WHERE i.indrelid = m.objid) o (classid, objid)
			JOIN pg_depend d ON d.classid = o.classid AND d.objid = o.objid
			WHERE pg_describe_object(d.refclassid, d.refobjid, 0) ~ '(evil|public|pg_temp\\w*)[.]' AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = d.refobjid AND e.deptype = 'e')
				AND pg_describe_object(d.refclassid, d.refobjid, 0) !~ 'inqud_'"), '', 'what is installed depends on nothing of theirs');
		is($session->query_safe("SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid WHERE c.relnamespace = 'inqud'::regnamespace
			AND t.typnamespace NOT IN ('pg_catalog'::regnamespace, 'inqud'::regnamespace)"), '0', 'no column has a type of theirs');
		# and it works for a caller who has all of it first
		$session->query_safe("CREATE SERVER shop FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-1', base_url 'http://127.0.0.1:9'); SET search_path = $path");
		is($session->query("SELECT (public.inqud_enqueue_checkout('shop', '1', 'n', 'https://shop.example', 5, 'USD')).state")->{out}, 'queued', 'an order is queued');
		is($session->query('SELECT (public.inqud_cancel(1::pg_catalog.int8)).state')->{out}, 'canceled', 'and canceled');
		foreach my $view (qw(payment pending trouble status worker daily funnel stats))
		{
			my $answer = $session->query("SELECT x FROM inqud.$view x");

			is($answer->{error}{message}, undef, "inqud.$view is read");
		}
		foreach my $call ("SELECT public.inqud_report_page()", "SELECT count(*) FROM public.inqud_check_project('shop')",
			"CALL public.inqud_prune('1 day')", "CALL public.inqud_prune('1 day', 'checkouts')")
		{
			# each in a session of its own, where nothing has been looked up before
			my $fresh = $shop->session;

			$fresh->query_safe("SET search_path = $path");
			is($fresh->query($call)->{error}{message}, undef, $call);
			$fresh->close;
		}
		$session->query_safe('SET search_path = pg_catalog; DROP EXTENSION inqud CASCADE');
	}
}
cmp_ok($made, '>=', 300, "hostile objects of every kind were there: $made");
$session->close;

done_testing();
