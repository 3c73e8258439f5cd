#!/usr/bin/perl
#
# symbols.pl - who calls whom, by the symbols of the object files: calls go down
# from wing to wing only, session and worker never meet, and no files call each
# other in a circle.
#
# Reads what nm prints of the object files below src/, so the sources must have
# been built where it runs.  It sees variables as well as functions, but neither
# function pointers nor names that stand in strings, such as a worker's entry.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use Sources qw(files report);
use Wings qw(wing below);
use Test::More;

my @objects = map { s/\.c$/.o/r } files(qr/\.c$/, 'src');
my @missing = grep { !-e } @objects;

report('every source file has been built', @missing);
BAIL_OUT('there is nothing to look at') if @missing == @objects;

my (%home, %wanted);
read_symbols($_) foreach grep { -e } @objects;

my %calls = map { $_ => called_by($_) } keys %wanted;

ok(keys %home > 100, 'there are symbols to look at');
report('calls go down from wing to wing only', map { upward($_) } sort keys %calls);
report('no files call each other in a circle', circles());

done_testing();

# Notes what an object file defines and what it wants from others.
sub read_symbols
{
	my ($object) = @_;

	open my $nm, '-|', 'nm', $object or die "could not run nm: $!\n";
	while (<$nm>)
	{
		$home{$1} = $object if /\s[TDBRCVW]\s+(\S+)$/;
		$wanted{$object}{$1} = 1 if /\s[Uwv]\s+(\S+)$/;
	}
	close $nm or die "nm could not read $object\n";
	return;
}

# The object files that one calls, each with the names by which it does.
sub called_by
{
	my ($object) = @_;
	my %called;

	foreach my $name (sort keys %{ $wanted{$object} })
	{
		my $other = $home{$name};

		push @{ $called{$other} }, $name if defined $other && $other ne $object;
	}
	return \%called;
}

sub upward
{
	my ($object) = @_;

	return map { "$object calls $_: @{ $calls{$object}{$_} }" }
	  grep { wing($_) ne wing($object) && !below(wing($_), wing($object)) }
	  sort keys %{ $calls{$object} };
}

# Files that can be reached from themselves, one line for each.
sub circles
{
	return grep { reaches_itself($_) } sort keys %calls;
}

sub reaches_itself
{
	my ($start) = @_;
	my %seen;
	my @next = keys %{ $calls{$start} };

	while (defined(my $object = shift @next))
	{
		return 1 if $object eq $start;
		push @next, keys %{ $calls{$object} } unless $seen{$object}++;
	}
	return 0;
}
