#!/usr/bin/perl
#
# shell.pl - the project's shell scripts are strict, can be parsed and, where
# shellcheck is at hand, have nothing it complains about; its Perl and Python
# compile.
#
# Runs checkers on the files and changes none of them.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use Sources qw(files lines report);
use Test::More;

my @shell = files(qr{\.sh$|^\.ci/run$});
my @perl = files(qr/\.(?:pl|pm)$/);
my @python = files(qr/\.py$/);

report('shell scripts can be parsed', grep { !quiet('bash', '-n', $_) } @shell);
report('shell scripts stop at the first error',
	grep { !sourced($_) && !strict($_) } @shell);
report('Perl is strict', grep { !strict_perl($_) } @perl);

SKIP:
{
	skip 'shellcheck is not installed', 1 unless quiet('sh', '-c', 'command -v shellcheck');
	my $said = qx(shellcheck -x -f gcc @shell 2>&1);

	report('shellcheck has nothing to say', split /\n/, $said);
}

SKIP:
{
	skip 'python3 is not installed', 1 unless quiet('sh', '-c', 'command -v python3');
	report('Python compiles', grep { !compiles_python($_) } @python);
}

done_testing();

sub quiet
{
	my (@command) = @_;
	my $pid = fork();

	die "could not fork: $!\n" unless defined $pid;
	if ($pid == 0)
	{
		open STDOUT, '>', '/dev/null';
		open STDERR, '>', '/dev/null';
		exec @command or exit 127;
	}
	waitpid $pid, 0;
	return $? == 0;
}

sub compiles_python
{
	my ($file) = @_;

	return quiet('python3', '-c',
		'import ast, sys; ast.parse(open(sys.argv[1], encoding="utf-8").read())', $file);
}

sub sourced
{
	my ($file) = @_;

	return (lines($file))[0] !~ /^#!/;
}

sub strict
{
	my ($file) = @_;

	my @lines = lines($file);
	my $option = $lines[0] =~ /bash/ ? qr/^set -euo pipefail$/ : qr/^set -eu$/;

	return grep { $_ =~ $option } @lines;
}

sub strict_perl
{
	my ($file) = @_;
	my $text = join '', lines($file);

	return $text =~ /^use strict;/m && $text =~ /^use warnings/m;
}
