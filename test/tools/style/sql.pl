#!/usr/bin/perl
#
# sql.pl - the parts of the install script are all in the Makefile's list and say
# what each of their objects is for, the version has one home, and every
# regression or isolation test has its expected output.
#
# Looks at text only; what the catalogues say is for the regression tests.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use Sources qw(files lines report);
use Test::More;

my ($version) = join('', lines('inqud.control')) =~ /^default_version\s*=\s*'([^']+)'/m;
my @listed = map { "sql/parts/$_.sql" } split ' ', join('', lines('Makefile')) =~ /^SQL_PARTS = ((?:.*\\\n)*.*)\n/m ? $1 =~ s/\\\n//gr : '';
my @parts = grep { !/inqud--/ } files(qr/\.sql$/, 'sql');
my @upgrades = grep { /inqud--.*--/ } files(qr/\.sql$/, 'sql');
my %text = map { $_ => join '', lines($_) } @parts, @upgrades;

is(join(' ', sort @listed), "@parts", 'the parts are those in the list SQL_PARTS, each once');
report('each part begins with its name and what it is for',
	grep { my ($name) = m{([^/]+)$}; $text{$_} !~ m{\A/\*\n \* \Q$name\E\n \*\t\t\S.*\n(?: \*.*\n)* \*/\n} } @parts);
report('no part names the version',
	grep { $text{$_} =~ /['"]\Q$version\E['"]|(?:version\W{1,4}|--)\Q$version\E(?!\.?\d)/i } @parts);
report('nothing but comments comes before the guard against psql',
	grep { $text{$_} !~ m{\A(?:/\*.*?\*/\s*|--.*\n)*\\echo .*\\quit$}sm } $listed[0] // 'no part', @upgrades);
report('the guard stands once', grep { $text{$_} =~ /^\\echo/m } @listed[ 1 .. $#listed ]);
report('scripts are ASCII, which every database can read', grep { $text{$_} =~ /[^\x00-\x7f]/ } @parts, @upgrades);
report('each object is made once', more_than_once(map { made($_) } @parts));
report("every object for users has a comment in the catalogue", map { uncommented($_) } @parts, @upgrades);
report('every internal object has a comment before it', map { unexplained($_) } @parts, @upgrades);
report('rights stand in the last part',
	grep { $_ ne $listed[-1] && statements($_) =~ /^\s*(?:GRANT|REVOKE)\s/m } @parts);
report('the upgrade to this version sets rights as the install script does',
	grep { /--\Q$version\E\.sql$/ && index($text{$_}, $text{ $listed[-1] }) < 0 } @upgrades);
ok(!@upgrades || (grep { /--\Q$version\E\.sql$/ } @upgrades), 'if there are upgrades, one leads to the version of the control file');
report('upgrade scripts have sessions look at the version again',
	grep { $text{$_} !~ /^GRANT USAGE ON SCHEMA inqud TO PUBLIC;\n\z/m } @upgrades);
report('the version stands in the control file only',
	(grep { join('', lines($_)) =~ /\Q"$version"\E/ } files(qr/\.[ch]$/, 'src')),
	(grep { join('', lines($_)) =~ /version\W{1,4}\Q$version\E(?![.\d])/i } grep { !m{^sql/inqud--|^expected/|^inqud\.control$} } files(qr/./)));
report('every test has its expected output',
	grep { !-e "expected/$_.out" } tests('test/sql', 'sql'), tests('test/specs', 'spec'));
report('every expected output has its test', grep { !has_test($_) } files(qr/\.out$/, 'expected'));

done_testing();

# What may be made, each with one word for its kind.
sub kinds { return qr/FUNCTION|PROCEDURE|TABLE|VIEW|TYPE|DOMAIN|SEQUENCE|FOREIGN\s+DATA\s+WRAPPER/i }

# The text of a script without what functions and comments say.
sub statements
{
	my ($file) = @_;

	return $text{$file} =~ s{/\*.*?\*/|--[^\n]*|(\$\w*\$).*?\1}{}gsr;
}

# The objects that a script makes.
sub made
{
	my ($file) = @_;
	my $kinds = kinds();
	my $text = statements($file);
	my @made;

	push @made, uc($1) . " $2" while $text =~ /^\s*CREATE\s+(?:OR\s+REPLACE\s+)?($kinds)\s+(?:IF\s+NOT\s+EXISTS\s+)?([\w."@]+)/gm;
	return @made;
}

sub more_than_once
{
	my %count;

	$count{$_}++ foreach @_;
	return grep { $count{$_} > 1 } sort keys %count;
}

sub is_internal { return $_[0] =~ /\binqud\._/ }

# Objects for users that have no comment in the catalogue.
sub uncommented
{
	my ($file) = @_;
	my $kinds = kinds();
	my $text = statements($file);
	my %said;

	$said{ uc($1) . " $2" } = 1 while $text =~ /^\s*COMMENT\s+ON\s+($kinds)\s+([\w."@]+)/gm;
	return map { "$file: $_" } grep { !$said{$_} && !is_internal($_) } made($file);
}

# Internal objects that no comment of the script explains, right before them.
sub unexplained
{
	my ($file) = @_;
	my $kinds = kinds();
	my @bare;

	while ($text{$file} =~ m{^(.*)\n(?=CREATE\s+(?:$kinds)\s+(inqud\._\w+))}gm)
	{
		push @bare, "$file: $2" unless $1 =~ m{\*/$|^--\s*\S};
	}
	return @bare;
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
