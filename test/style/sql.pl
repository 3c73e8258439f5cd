#!/usr/bin/perl
#
# sql.pl - the install scripts say what each of their objects is for, the version
# has one home, and every regression or isolation test has its expected output.
#
# Looks at text only; what the catalogues say is for the regression tests.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use Sources qw(files lines report);
use Test::More;

my ($version) = join('', lines('inqud.control')) =~ /^default_version\s*=\s*'([^']+)'/m;

ok(reachable($version), "the control file's version has its install script, or a chain of upgrades to it");
report('every object of an install script has a comment',
	map { uncommented($_) } files(qr/\.sql$/, 'sql'));
report('install scripts refuse to be run by psql alone',
	grep { join('', lines($_)) !~ /^\\echo .*\\quit$/m } files(qr/\.sql$/, 'sql'));
report('install scripts are ASCII, which every database can read',
	grep { join('', lines($_)) =~ /[^\x00-\x7f]/ } files(qr/\.sql$/, 'sql'));
report('upgrade scripts have sessions look at the version again',
	grep { /--.*--/ && join('', lines($_)) !~ /^GRANT USAGE ON SCHEMA inqud TO PUBLIC;\n\z/m } files(qr/\.sql$/, 'sql'));
report('the version stands in the control file only',
	(grep { join('', lines($_)) =~ /\Q"$version"\E/ } files(qr/\.[ch]$/, 'src')),
	(grep { join('', lines($_)) =~ /version\W{1,4}\Q$version\E(?![.\d])/i } grep { !m{^sql/|^expected/|^inqud\.control$} } files(qr/./)));
report('every test has its expected output',
	grep { !-e "expected/$_.out" } tests('test/sql', 'sql'), tests('test/specs', 'spec'));
report('every expected output has its test', grep { !has_test($_) } files(qr/\.out$/, 'expected'));

done_testing();

# Whether scripts lead to a version: one that installs it, or one that upgrades
# to it from a version that scripts lead to.
sub reachable
{
	my ($wanted) = @_;

	return 1 if -e "sql/inqud--$wanted.sql";
	foreach my $script (files(qr/\.sql$/, 'sql'))
	{
		return 1 if $script =~ m{inqud--([^/]+?)--\Q$wanted\E\.sql$} && reachable($1);
	}
	return 0;
}

# Functions, tables, views and types that an install script creates and does
# not comment on.
sub uncommented
{
	my ($file) = @_;
	my $text = join '', lines($file);
	my (%made, %said);

	$text =~ s/--[^\n]*//g;
	$text =~ s/(\$\w*\$).*?\1/''/gs;
	while ($text =~ /^\s*CREATE\s+(?:OR\s+REPLACE\s+)?(FUNCTION|PROCEDURE|TABLE|VIEW|TYPE|DOMAIN|SEQUENCE|FOREIGN\s+DATA\s+WRAPPER)\s+(?:IF\s+NOT\s+EXISTS\s+)?([\w."@]+)/gim)
	{
		$made{ uc($1) . " $2" } = 1;
	}
	while ($text =~ /^\s*COMMENT\s+ON\s+(FUNCTION|PROCEDURE|TABLE|VIEW|TYPE|DOMAIN|SEQUENCE|FOREIGN\s+DATA\s+WRAPPER)\s+([\w."@]+)/gim)
	{
		$said{ uc($1) . " $2" } = 1;
	}
	return map { "$file: $_" } grep { !$said{$_} } sort keys %made;
}

sub tests
{
	my ($folder, $ending) = @_;

	return map { m{([^/]+)\.\Q$ending\E$} ? $1 : () } files(qr/\.\Q$ending\E$/, $folder);
}

# Whether a file of expected output belongs to a test, as its first or as one
# of its alternatives.
sub has_test
{
	my ($file) = @_;
	my ($name) = $file =~ m{([^/]+)\.out$};
	my ($plain) = $name =~ /^(.*?)(?:_\d)?$/;

	return grep { -e "test/sql/$_.sql" || -e "test/specs/$_.spec" } $name, $plain;
}
