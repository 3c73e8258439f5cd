package Inqud::Catalogue;

# Prints what the catalogues have about the extension, one line for each row and
# without the numbers of objects, so that two databases can be compared.
#
#   my @fresh = catalogue($shop->in('fresh'));
#   is_deeply([ differences(\@fresh, [ catalogue($other) ]) ], [], 'they are the same');

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(catalogue differences);

# Each query returns texts; "m" are the extension's members.
my @QUERIES = (
	# its own row
	q{SELECT concat_ws(' | ', 'extension', extversion, extrelocatable, extowner::regrole, extnamespace::regnamespace) FROM e},
	q{SELECT concat_ws(' | ', 'dumped', c.relation::regclass, c.condition) FROM e, unnest(extconfig, extcondition) AS c(relation, condition)},
	# members, what depends on them, what they depend on, comments, rights
	q{SELECT concat_ws(' | ', 'member', pg_describe_object(classid, objid, objsubid)) FROM m},
	q{SELECT concat_ws(' | ', 'depends', pg_describe_object(d.classid, d.objid, d.objsubid), d.deptype,
		pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid))
		FROM pg_depend d WHERE EXISTS (SELECT FROM parts p WHERE (p.classid, p.objid) = (d.classid, d.objid))},
	q{SELECT concat_ws(' | ', 'comment', pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description)
		FROM pg_description d WHERE EXISTS (SELECT FROM parts p WHERE (p.classid, p.objid) = (d.classoid, d.objoid))},
	q{SELECT concat_ws(' | ', 'first rights', pg_describe_object(i.classoid, i.objoid, i.objsubid), i.privtype, i.initprivs)
		FROM pg_init_privs i JOIN m ON (m.classid, m.objid) = (i.classoid, i.objoid)},
	q{SELECT concat_ws(' | ', 'owner', pg_describe_object(d.classid, d.objid, 0), d.deptype, d.refobjid::regrole)
		FROM pg_shdepend d JOIN m USING (classid, objid)
		WHERE d.refclassid = 'pg_authid'::regclass AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())},
	# functions
	q{SELECT concat_ws(' | ', 'function', p.oid::regprocedure, pg_get_functiondef(p.oid), p.proowner::regrole, p.proacl, p.prorows, p.procost)
		FROM pg_proc p JOIN m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid WHERE p.prokind IN ('f', 'p')},
	# relations and their columns (pg_attver is a number that the server draws)
	q{SELECT concat_ws(' | ', 'relation', c.oid::regclass, c.relkind, c.relpersistence, c.relowner::regrole, c.relacl, c.reloptions,
		c.relrowsecurity, c.relforcerowsecurity, c.relreplident, c.relchecks, t.reloptions)
		FROM pg_class c LEFT JOIN pg_class t ON t.oid = c.reltoastrelid WHERE c.oid IN (SELECT oid FROM relations)},
	q{SELECT concat_ws(' | ', 'column', a.attrelid::regclass, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
		a.attidentity, a.attgenerated, a.attstorage, a.attcompression, a.attstattarget, a.attacl,
		(SELECT string_agg(o, ',') FROM unnest(a.attoptions) o WHERE o !~ '^pg_attver='), (SELECT collname FROM pg_collation WHERE oid = a.attcollation), pg_get_expr(d.adbin, d.adrelid))
		FROM pg_attribute a LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
		WHERE a.attrelid IN (SELECT oid FROM relations) AND a.attnum > 0 AND NOT a.attisdropped},
	q{SELECT concat_ws(' | ', 'index', pg_get_indexdef(indexrelid), indisvalid, indisclustered, indisreplident, indimmediate)
		FROM pg_index WHERE indrelid IN (SELECT oid FROM relations)},
	q{SELECT concat_ws(' | ', 'constraint', coalesce(nullif(conrelid, 0)::regclass::text, contypid::regtype::text), conname,
		pg_get_constraintdef(oid), convalidated) FROM pg_constraint
		WHERE conrelid IN (SELECT oid FROM relations) OR contypid IN (SELECT objid FROM m WHERE classid = 'pg_type'::regclass)},
	q{SELECT concat_ws(' | ', 'trigger', pg_get_triggerdef(oid), tgenabled) FROM pg_trigger
		WHERE tgrelid IN (SELECT oid FROM relations) AND NOT tgisinternal},
	q{SELECT concat_ws(' | ', 'policy', polrelid::regclass, polname, polcmd, polpermissive,
		(SELECT string_agg(r::regrole::text, ',') FROM unnest(polroles) r), pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
		FROM pg_policy WHERE polrelid IN (SELECT oid FROM relations)},
	q{SELECT concat_ws(' | ', 'rule', ev_class::regclass, pg_get_ruledef(oid)) FROM pg_rewrite WHERE ev_class IN (SELECT oid FROM relations)},
	q{SELECT concat_ws(' | ', 'sequence', s.seqrelid::regclass, s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache,
		s.seqcycle) FROM pg_sequence s WHERE s.seqrelid IN (SELECT oid FROM relations)},
	q{SELECT concat_ws(' | ', 'statistics', pg_get_statisticsobjdef(oid)) FROM pg_statistic_ext WHERE stxrelid IN (SELECT oid FROM relations)},
	# the rest
	q{SELECT concat_ws(' | ', 'type', t.oid::regtype, t.typtype, t.typcategory, t.typowner::regrole, t.typacl, t.typnotnull,
		format_type(t.typbasetype, t.typtypmod), t.typdefault, (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid))
		FROM pg_type t JOIN m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid},
	q{SELECT concat_ws(' | ', 'schema', n.nspname, n.nspowner::regrole, n.nspacl)
		FROM pg_namespace n JOIN m ON m.classid = 'pg_namespace'::regclass AND m.objid = n.oid},
	q{SELECT concat_ws(' | ', 'wrapper', w.fdwname, w.fdwowner::regrole, w.fdwhandler::regproc, w.fdwvalidator::regproc, w.fdwacl, w.fdwoptions)
		FROM pg_foreign_data_wrapper w JOIN m ON m.classid = 'pg_foreign_data_wrapper'::regclass AND m.objid = w.oid});

# Members, the relations among them with the tables' own indexes and sequences,
# and the parts of those that are not members by themselves.
my $WITH = q{WITH e AS (SELECT * FROM pg_extension WHERE extname = 'inqud'),
	m AS (SELECT d.classid, d.objid, d.objsubid FROM pg_depend d, e
		WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'),
	relations AS (SELECT objid AS oid FROM m WHERE classid = 'pg_class'::regclass
		UNION SELECT indexrelid FROM pg_index WHERE indrelid IN (SELECT objid FROM m WHERE classid = 'pg_class'::regclass)),
	parts AS (SELECT classid, objid FROM m
		UNION SELECT 'pg_class'::regclass, oid FROM relations
		UNION SELECT 'pg_constraint'::regclass, oid FROM pg_constraint WHERE conrelid IN (SELECT oid FROM relations)
		UNION SELECT 'pg_trigger'::regclass, oid FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM relations)
		UNION SELECT 'pg_policy'::regclass, oid FROM pg_policy WHERE polrelid IN (SELECT oid FROM relations)
		UNION SELECT 'pg_rewrite'::regclass, oid FROM pg_rewrite WHERE ev_class IN (SELECT oid FROM relations)
		UNION SELECT 'pg_attrdef'::regclass, oid FROM pg_attrdef WHERE adrelid IN (SELECT oid FROM relations)) };

# The lines about a shop's database, sorted; "before" are statements that run first
# in the same transaction, which is rolled back.
sub catalogue
{
	my ($shop, $before) = @_;
	my @lines;

	foreach my $query (@QUERIES)
	{
		my $out = $shop->sql("BEGIN; SET LOCAL search_path = pg_catalog; " . ($before // '') . ";
			$WITH SELECT translate(x.line, E'\\n', ' ') FROM ($query) AS x(line); ROLLBACK");

		push @lines, split /\n/, $out;
	}
	return sort @lines;
}

# The lines that only one of the two lists has.
sub differences
{
	my ($one, $other) = @_;
	my %count;

	$count{$_}++ foreach @$one;
	$count{$_}-- foreach @$other;
	return map { ($count{$_} > 0 ? 'first: ' : 'second: ') . $_ } grep { $count{$_} != 0 } sort keys %count;
}

1;
