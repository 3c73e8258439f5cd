# Sources.pm - how the checks in this folder find and read the project's files.
#
# Reads only; a check runs from the top folder of the sources and must give the
# same answer in any copy of them.

package Sources;

use strict;
use warnings;

use Exporter 'import';
use File::Find;

our @EXPORT_OK = qw(files lines code functions report);

# All text files below the given places (default: everywhere), sorted.
sub files
{
	my ($pattern, @places) = @_;
	my @found;

	@places = ('.') unless @places;
	@places = grep { -e } @places;
	return () unless @places;
	find(
		{
			no_chdir => 1,
			wanted => sub {
				if ($_ =~ m{(?:^|/)(?:\.git|__pycache__|results|tmp_check|output_iso|log)$})
				{
					$File::Find::prune = 1;
					return;
				}
				(my $name = $_) =~ s{^\./}{};
				push @found, $name if -f $_ && -T $_ && $name =~ $pattern;
			}
		},
		@places);
	my %seen;
	return sort grep { !$seen{$_}++ } @found;
}

sub lines
{
	my ($file) = @_;

	open my $in, '<', $file or die "could not read \"$file\": $!\n";
	my @lines = <$in>;
	close $in;
	return @lines;
}

# The lines of a C file with the text of comments and strings blanked, so that
# what a sentence mentions is not taken for what the program does.
sub code
{
	my ($file) = @_;
	my $text = join '', lines($file);

	$text =~ s{
		( /\* .*? \*/ | //[^\n]* )			# a comment
		| ( "(?:[^"\\\n]|\\.)*" )			# a string
		| ( '(?:[^'\\\n]|\\.)*' )			# a character
	}{ defined $1 ? blank($1) : defined $2 ? '""' : "' '" }gsex;
	return split /(?<=\n)/, $text;
}

sub blank
{
	my ($text) = @_;

	$text =~ s/[^\n]//g;
	return " $text";
}

# The functions of a C file: name, first line and number of lines, from the
# opening brace in the first column to the closing one.
sub functions
{
	my ($file) = @_;
	my @lines = code($file);
	my @found;
	my $start;
	my $name;

	for my $i (0 .. $#lines)
	{
		if (!defined $start && $lines[$i] =~ /^\w.*\)?\s*\{\s*$|^\{\s*$/)
		{
			my $head = join ' ', @lines[ ($i > 12 ? $i - 12 : 0) .. $i ];
			$head =~ s/.*[;}]//s;
			$start = $i;
			$name = $head =~ /(\w+)\s*\(/ ? $1 : undef;
		}
		elsif (defined $start && $lines[$i] =~ /^\}/)
		{
			push @found, { name => $name, line => $start + 1, length => $i - $start + 1 }
			  if defined $name && $lines[$i] =~ /^\}\s*$/;
			$start = undef;
		}
	}
	return @found;
}

# One TAP result for a rule: the places that break it, or none.
sub report
{
	my ($rule, @broken) = @_;

	Test::More::ok(!@broken, $rule) or Test::More::diag(map { "  $_\n" } @broken);
	return;
}

1;
