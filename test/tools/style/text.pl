#!/usr/bin/perl
#
# text.pl - how the project's files are written: length of files and functions,
# white space, header comments, functions that are not used, and nothing that
# only holds on somebody's machine.
#
# Looks at text only.  What it finds is a fault in the file, never a reason to
# make an exception here without saying why.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use Sources qw(files code lines functions report);
use Test::More;

use constant {
	MAX_FILE => 900,
	MAX_FUNCTION => 75,
	LONG_FUNCTION => 60,
};

# What PostgreSQL's programs print is compared, not written; a fuzzer's seeds are
# bytes; an install script is joined from its parts, or one upgrade.
my $EXPECTED = qr{^expected/|^test/fuzz/seeds/};
my $ANY_LENGTH = qr{\.md$|^sql/inqud--|^LICENSE$};
my $SCRIPT = qr{\.(?:sh|pl|pm|py)$|^\.ci/run$};

my @all = files(qr/./);
my @written = grep { $_ !~ $EXPECTED } @all;
my @c = grep { /\.[ch]$/ } @all;
my @tabbed = grep { /\.(?:[ch]|sh)$|^\.ci\/run$/ } @all;

report('no file has ' . MAX_FILE . ' lines or more',
	map { too_long($_) } grep { $_ !~ $ANY_LENGTH } @written);
report('no function is longer than ' . MAX_FUNCTION . ' lines',
	map { long_functions($_, MAX_FUNCTION) } grep { /\.c$/ } @c);
note(map { "long: $_\n" } map { long_functions($_, LONG_FUNCTION) } grep { /\.c$/ } @c);
report('C and shell are indented by tabs', map { lines_like($_, qr/^\t* {4,}\S/) } @tabbed);
report('no white space at the end of a line', map { lines_like($_, qr/[ \t]\n?\z/) } @written);
report('lines end with a line feed alone', map { lines_like($_, qr/\r/) } @written);
report('files end with a line feed', grep { unended($_) } @written);
report('functions without a bound are not used',
	map { unbounded($_) } @c);
report('each file begins by saying what it is', grep { !introduced($_) } @written);
report('scripts can be run', grep { starts_with($_, '#!') && !-x $_ && !m{^test/(?:t|tools)/.*\.pl$} && !/\.py$/ } @written);
report('nothing names a folder of somebody\'s machine',
	map { lines_like($_, qr{(?<![\w.])/(?:work|home|Users|shared)/\w}) } @all);

done_testing();

sub too_long
{
	my ($file) = @_;
	my $n = scalar(lines($file));

	return $n >= MAX_FILE ? "$file: $n lines" : ();
}

sub long_functions
{
	my ($file, $limit) = @_;

	return map { "$file:$_->{line}: $_->{name}, $_->{length} lines" }
	  grep { $_->{length} > $limit } functions($file);
}

sub lines_like
{
	my ($file, $pattern) = @_;
	my @lines = lines($file);

	return map { $lines[$_] =~ $pattern ? "$file:" . ($_ + 1) : () } 0 .. $#lines;
}

sub unended
{
	my ($file) = @_;
	my @lines = lines($file);

	return @lines && $lines[-1] !~ /\n\z/;
}

# Functions that write past their target, or read numbers without noticing
# what is wrong with them.
sub unbounded
{
	my ($file) = @_;
	my @lines = code($file);
	my $names = qr/\b((?:v?sprintf|strcpy|strcat|strncat|stpcpy|gets|ato[ifl]|atoll|alloca|strtok))\s*\(/;

	return map { $lines[$_] =~ $names ? "$file:" . ($_ + 1) . ": $1" : () } 0 .. $#lines;
}

# Has a comment within its first lines, in the language of its ending.
sub introduced
{
	my ($file) = @_;
	my @head = grep { defined } (lines($file))[ 0 .. 3 ];

	if ($file =~ /\.[ch]$/)
	{
		return "@head" =~ m{^\s*/\*};
	}
	if ($file =~ /\.sql$/)
	{
		return "@head" =~ m{^(?:--\s*\w|/\*)}m || "@head" =~ m{--\s*\S};
	}
	if ($file =~ $SCRIPT || $file =~ m{(?:^|/)Makefile$|\.spec$|\.control$})
	{
		return grep { /^#(?!!)\s*\S/ || /^"""/ } @head;
	}
	return 1;
}

sub starts_with
{
	my ($file, $text) = @_;
	my ($first) = lines($file);

	return defined $first && index($first, $text) == 0;
}
