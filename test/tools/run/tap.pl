#!/usr/bin/perl
#
# tap.pl - runs commands that print TAP, shows what they print and writes down
# how many of their tests passed, failed and were skipped, with --failures also
# which commands failed, one a line, and appends with --names what exactly failed
# in them, one test a line.
#
#   tap.pl --counts FILE [--failures FILE] [--names FILE] [--jobs N] [--prefix ...]
#          COMMAND ...
#
# Each COMMAND is one argument and goes to the shell, after the prefix.  The
# file gets one line "PASSED FAILED SKIPPED".  A test that was skipped, or that
# is marked as not done yet, never counts as passed.  A command that ends badly,
# breaks its plan or prints no test counts as one failure, if it reports none
# itself.
#
# It decides nothing else: which commands belong to a part is test.sh's matter.

use strict;
use warnings;

use Getopt::Long;
use TAP::Harness;

# Commands that bailed out, by their parser.
my %bailed;

# What the failed tests of each parser say.
my %said;

my ($counts, $failures, $names, $jobs, $prefix) = (undef, undef, undef, 1, '');

GetOptions(
	'counts=s' => \$counts,
	'failures=s' => \$failures,
	'names=s' => \$names,
	'jobs=i' => \$jobs,
	'prefix=s' => \$prefix)
  and defined $counts
  and @ARGV
  or die "usage: tap.pl --counts FILE [--failures FILE] [--names FILE] [--jobs N] [--prefix ...] COMMAND ...\n";

my $harness = PatientHarness->new(
	{
		exec => sub { return [ 'sh', '-c', "$prefix $_[1]" ] },
		jobs => $jobs,
		verbosity => $jobs > 1 ? 0 : 1,
	});
$harness->callback(made_parser => \&listen);
my $aggregate = $harness->runtests(@ARGV);

my %sum = (passed => 0, failed => 0, skipped => 0);
my @failed;
my @names;

foreach my $command ($aggregate->descriptions)
{
	my ($parser) = $aggregate->parsers($command);
	my %one = count($parser);

	$sum{$_} += $one{$_} foreach keys %sum;
	next if $one{failed} == 0;
	push @failed, $command;
	push @names, map { "$command: $_" } @{ $said{$parser} || ['no test of its own failed, but it ended badly'] };
}

write_file('>', $failures, map { "$_\n" } @failed) if defined $failures;
write_file('>>', $names, map { "$_\n" } @names) if defined $names;
write_file('>', $counts, "$sum{passed} $sum{failed} $sum{skipped}\n");
exit(@failed ? 1 : 0);

# Remembers what the failed tests of a command say, since the parser forgets it.
sub listen
{
	my ($parser) = @_;

	$parser->callback(
		test => sub {
			my ($test) = @_;

			push @{ $said{$parser} }, $test->number . ' ' . $test->description if !$test->is_ok;
		});
	return;
}

sub write_file
{
	my ($mode, $file, @lines) = @_;

	open my $out, $mode, $file or die "could not write \"$file\": $!\n";
	print $out @lines;
	close $out or die "could not write \"$file\": $!\n";
	return;
}

# What one command's tests came to.
sub count
{
	my ($parser) = @_;
	my %failed = map { $_ => 1 } $parser->failed;
	my %set_aside = map { $_ => 1 } grep { !$failed{$_} } $parser->skipped, $parser->todo;
	my $passed = grep { !$failed{$_} && !$set_aside{$_} } $parser->passed;
	my %n = (
		passed => $passed,
		failed => scalar(keys %failed),
		skipped => scalar(keys %set_aside));
	my $ended_badly = $parser->exit || $parser->wait || $parser->parse_errors || $bailed{$parser};

	$n{skipped}++ if $parser->skip_all && !$ended_badly;
	$n{failed}++
	  if $n{failed} == 0 && ($ended_badly || $n{passed} + $n{skipped} == 0);
	return %n;
}

# A command that bails out speaks for itself only; the others still run.
package PatientHarness;

use parent -norequire, 'TAP::Harness';

sub _bailout
{
	my ($self, $result, $parser) = @_;

	$bailed{$parser} = 1;
	return;
}
