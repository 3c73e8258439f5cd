package Inqud::Attempts;

# What a party tries, and what came of it: many statements in one psql session, each
# with the SQLSTATE that it ended with and all that it said.
#
#   my @outcomes = attempt($shop, 'app', [ 'read of a table', 'TABLE inqud.checkout' ]);
#   $outcomes[0]{state}    # 'ok', or the SQLSTATE of the first error
#   $outcomes[0]{text}     # rows and messages of every kind

use strict;
use warnings;

use Exporter qw(import);
use Inqud::Session;

our @EXPORT_OK = qw(attempt functions options relations);

# Runs [ name, SQL ] as a role, each in its own transaction unless it has its own.
sub attempt
{
	my ($shop, $role, @attempts) = @_;
	my $node = $shop->node;
	# debugging messages may tell more than errors do; a function that tells what it is given costs the planner nothing
	my $script = "SET client_min_messages = debug1;
		CREATE FUNCTION pg_temp.tell(t text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS \$\$ BEGIN RAISE NOTICE 'told: %', t; RETURN true; END \$\$;\n";
	my ($out, $err);

	$script .= "\\echo 'attempt $_'\n\\warn 'attempt $_'\n$attempts[$_][1];\nROLLBACK;\n" foreach 0 .. $#attempts;
	$script .= "\\echo 'attempt " . @attempts . "'\n\\warn 'attempt " . @attempts . "'\n";
	$node->psql($shop->{db}, $script, stdout => \$out, stderr => \$err, on_error_stop => 0,
		connstr => $node->connstr($shop->{db}) . " user='$role'", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	my @out = split /^attempt \d+\n?/m, $out;
	my @err = split /^(?:psql:.*?: )?attempt \d+\n?/m, $err;

	die "the attempts of $role did not come to their end: $err\n" unless $err =~ /attempt ${\ scalar @attempts}\b/;
	return map { _outcome($attempts[$_], $out[ $_ + 1 ] // '', $err[ $_ + 1 ] // '') } 0 .. $#attempts;
}

sub _outcome
{
	my ($attempt, $out, $err) = @_;
	my ($error) = grep { $_->{severity} =~ /^(?:ERROR|FATAL|PANIC)$/ } Inqud::Session::read_messages($err);

	return { name => $attempt->[0], sql => $attempt->[1], state => $error ? $error->{state} : 'ok', message => $error ? $error->{message} : '', out => $out, text => "$out\n$err" };
}

# The extension's members, so that a new one is there at once.
my $MEMBERS = "pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'inqud' AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'";

# Its functions: name, schema, public (may PUBLIC execute it), kind, returns, arguments ([ name, type ]).
sub functions
{
	my ($shop) = @_;

	return map { { %$_, arguments => [ map { [ split /:/, $_, 2 ] } split /\|/, $_->{arguments} // '' ], public => $_->{public} eq 'true' } } $shop->rows("
		SELECT p.proname AS name, p.pronamespace::regnamespace AS schema, has_function_privilege('public', p.oid, 'EXECUTE') AS public, p.prokind AS kind,
			p.prorettype::regtype AS returns,
			(SELECT string_agg(coalesce(p.proargnames[i], '') || ':' || format_type(t, NULL), '|' ORDER BY i) FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a (t, i)) AS arguments
		FROM $MEMBERS JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid ORDER BY 2, 1");
}

# Its relations: name, kind ("r", "v" or "S"), and the first column.
sub relations
{
	my ($shop) = @_;

	return $shop->rows("SELECT c.oid::regclass AS name, c.relkind AS kind, (SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = c.oid AND attnum = 1) AS first
		FROM $MEMBERS JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') ORDER BY 1");
}

# The names of the options of a "server" or "user mapping", as the validator lists them.
sub options
{
	my ($shop, $of) = @_;
	my $sql = $of eq 'server' ? 'CREATE SERVER unknown FOREIGN DATA WRAPPER inqud OPTIONS (x_y_z_option \'1\')'
	  : 'ALTER USER MAPPING FOR PUBLIC SERVER shop OPTIONS (ADD x_y_z_option \'1\')';
	my ($list) = ($shop->error($sql)->{hint} // '') =~ /Valid options of a $of are: (.*)\./;

	die "the validator does not list the options of a $of\n" unless defined $list;
	return split /, /, $list;
}

1;
