#!/usr/bin/perl
#
# 012_defaults.pl - proves that the defaults of server options are those that
# README documents: of each option one, and none of an option that is not there.
#
# Needs no server: a default shows from outside only after the time it stands for.

use strict;
use warnings;

use File::Find;
use FindBin;
use Test::More;

my $top = "$FindBin::RealBin/../..";
my $readme = text("$top/README.md");
my ($table) = $readme =~ /^### Server options\n\n(.*?)\n\n/ms;
my (%said, %coded);

foreach my $row (grep { /^\| `/ } split /\n/, $table // '')
{
	my (undef, $names, $defaults) = split /\s*\|\s*/, $row;
	my @names = $names =~ /`([^`]+)`/g;
	my @defaults = map { s/`//gr } split /, /, $defaults;

	is(scalar(@defaults), scalar(@names), "README has a default for each of $names");
	@said{@names} = @defaults;
}

# An entry of the options' table: {"name", SERVER, reader, type, place, default, ...
find({ no_chdir => 1, wanted => sub {
	return unless /\.c$/;
	my $code = text($_);

	while ($code =~ /\{"(\w+)", SERVER,\s*\w+,\s*\w+,\s*AT\([\w.\[\]]+\),\s*(?:"([^"]*)"|NULL)[,}]/g)
	{
		$coded{$1} = $2 // ($1 eq 'project_id' ? 'required' : 'none');
	}
} }, "$top/src");

cmp_ok(scalar(keys %coded), '>', 10, 'the table of options is found');
is_deeply(\%said, \%coded, 'the defaults in README are those of the code');

done_testing();

sub text
{
	my ($file) = @_;

	open my $in, '<', $file or die "could not read \"$file\": $!\n";
	local $/;
	return scalar <$in>;
}
