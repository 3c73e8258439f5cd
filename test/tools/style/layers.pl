#!/usr/bin/perl
#
# layers.pl - the wings of src/ include what is below them only: the client knows
# nothing of PostgreSQL, the other wings know the client by its one header, session
# and worker do not know each other, and what is dangerous or foreign has one place
# each.
#
# Looks at the text of the sources; it must not need a compiler.  What the compiled
# code calls is for symbols.pl.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use Sources qw(files code lines report);
use Wings qw(@WINGS wing below);
use Test::More;

my @client = files(qr/\.[ch]$/, 'src/client');
my @pg = grep { wing($_) ne 'client' } files(qr/\.[ch]$/, 'src');

# Libraries of others, and how many files may know each.
my %one_place = (curl => qr{^curl/}, 'json-c' => qr{^(?:json-c/|json\.h$)});

ok(@client > 0, 'there are client sources');
ok(@pg > 0, 'there are sources of the PostgreSQL side');

report('the client includes its own headers and the system\'s only',
	map { own_includes($_) } @client);
report('the client calls nothing of PostgreSQL',
	map { matches($_, qr/\b(?:ereport|elog|errmsg|palloc0?|pfree|pstrdup|psprintf|SPI_\w+|CHECK_FOR_INTERRUPTS|PG_TRY)\b/) } @client);
report('the client prints nothing and never ends the process',
	map { matches($_, qr/\b(?:printf|fprintf|vprintf|vfprintf|puts|perror|exit|_exit|abort)\s*\(/) } @client);
foreach my $library (sort keys %one_place)
{
	my @knowing = grep { grep { $_ =~ $one_place{$library} } included($_) } @client;

	ok(@knowing <= 1, "$library is known to one file") or diag("  @knowing");
	report("the PostgreSQL side does not include $library",
		grep { grep { $_ =~ $one_place{$library} } included($_) } @pg);
}
report('the PostgreSQL side includes no header of the client but inqud_client.h',
	map { client_includes($_) } @pg);
report('every folder of src/ is a wing',
	grep { my $wing = wing($_); !grep { $_ eq $wing } @WINGS } @client, @pg);
report('a wing includes headers of wings below it and its own only',
	map { upward_includes($_) } @pg);
report('each wing but the client has one header, and compat.h stands beside it',
	grep { !/^src\/(?:pg\/(?:inqud|compat)|project\/project|shared\/shared|session\/session|worker\/state)\.h$/ }
	  grep { /\.h$/ } @pg);
report('ERRCODE_INQUD_ codes are raised in src/shared/errors.c only',
	map { matches($_, qr/^(?!\s*#\s*define\b).*\bERRCODE_INQUD_/) }
	  grep { $_ ne 'src/shared/errors.c' } @pg);
report('what differs between versions of PostgreSQL stands in src/pg/compat.h only',
	map { matches($_, qr/\b(?:PG_VERSION_NUM|PG_MAJORVERSION_NUM|CATALOG_VERSION_NO)\b/) }
	  grep { $_ ne 'src/pg/compat.h' } @client, @pg);
report('exec, fork, system and popen are not used',
	map { matches($_, qr/\b(?:system|popen|fork|exec[lv]p?e?)\s*\(/) } @client, @pg);

done_testing();

# The names that a file includes, without quotes or brackets.
sub included
{
	my ($file) = @_;

	return map { /^\s*#\s*include\s*[<"]([^>"]+)[>"]/ ? $1 : () } lines($file);
}

# Includes of the client that lead out of it: a quoted name that is no file
# there, or PostgreSQL's headers however they are spelt.
sub own_includes
{
	my ($file) = @_;
	my @broken;

	foreach my $line (lines($file))
	{
		next unless $line =~ /^\s*#\s*include\s*([<"])([^>"]+)/;
		my ($kind, $name) = ($1, $2);
		(my $base = $name) =~ s{^client/}{};

		push @broken, "$file: $name"
		  if ($kind eq '"' && !-e "src/client/$base")
		  || $name =~ m{^(?:postgres|fmgr|pg_config|libpq|server/|postgresql/)};
	}
	return @broken;
}

sub client_includes
{
	my ($file) = @_;

	return map { "$file: $_" }
	  grep { m{client/} && !m{(?:^|/)inqud_client\.h$} || (-e "src/client/$_" && $_ ne 'inqud_client.h') }
	  included($file);
}

# Headers of wings above the file's own, or beside it.
sub upward_includes
{
	my ($file) = @_;

	return map { "$file: $_" }
	  grep { -e "src/$_" && wing("src/$_") ne wing($file) && !below(wing("src/$_"), wing($file)) }
	  included($file);
}

sub matches
{
	my ($file, $pattern) = @_;
	my @lines = code($file);

	return map { $lines[$_] =~ $pattern ? "$file:" . ($_ + 1) . ': ' . trimmed($lines[$_]) : () }
	  0 .. $#lines;
}

sub trimmed
{
	my ($line) = @_;

	$line =~ s/^\s+|\s+$//g;
	return $line;
}
