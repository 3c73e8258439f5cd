package Inqud::Older;

# A version of the extension to update from, in a PostgreSQL tree of its own, so
# that tests beside this one meet neither its scripts nor its library.
#
#   my $version;
#   BEGIN { $version = Inqud::Older::install() }	# before PostgreSQL's modules look for programs
#
# Once there has been a release with another version it is that one (lib.sh puts
# it into the folder "released"), and the update is the script in sql/.  Until then a step is made up: the version before
# has all parts of the install script but the last one that makes objects.
#
# The library is linked once more, by the Makefile, beside the scripts that it has
# to serve.  All of this goes away with the test.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp ();

# What every upgrade script ends with.
use constant { MADE_UP => '0.0.1', LAST => "GRANT USAGE ON SCHEMA inqud TO PUBLIC;\n" };

my $top = abs_path(dirname(__FILE__) . '/../../../..');
my $folder;

# Installs both versions, leads this process to them and returns the older one.
sub install
{
	my $released = "$ENV{INQUD_STAGE}/released";
	my $current = version_in($top);

	$folder = File::Temp->newdir('older_XXXXXX', TMPDIR => 1);
	run('cp', '-a', "$ENV{INQUD_STAGE}/pg", "$folder/pg");
	run('cp', '-a', $top, "$folder/src");
	(my $bin = dirname($ENV{PG_CONFIG})) =~ s{^\Q$ENV{INQUD_STAGE}\E/}{$folder/} or die "PG_CONFIG is outside of the stage\n";
	$ENV{PG_CONFIG} = "$bin/pg_config";
	$ENV{PATH} = "$bin:$ENV{PATH}";
	chomp(my $scripts = `$bin/pg_config --sharedir`);
	my $older = -d $released ? take_released($released, "$scripts/extension") : make_up($current, "$scripts/extension");

	build();
	return $older;
}

# The Makefile joins the script of a release as it does this one's.
sub take_released
{
	my ($released, $scripts) = @_;
	my $older = version_in($released);

	run('cp', '-a', $released, "$folder/released");
	run('make', '-s', '-C', "$folder/released", "$folder/released/sql/inqud--$older.sql");
	run('cp', "$folder/released/sql/inqud--$older.sql", $scripts);
	return $older;
}

sub make_up
{
	my ($current, $scripts) = @_;
	my ($list) = slurp("$top/Makefile") =~ /^SQL_PARTS = ((?:.*\\\n)*.*)\n/m;
	my @parts = split ' ', $list =~ s/\\\n//gr;
	my ($later) = splice @parts, -2, 1;
	my $step = "$folder/src/sql/inqud--${\MADE_UP}--$current.sql";

	spew("$scripts/inqud--${\MADE_UP}.sql", map { slurp("$top/sql/parts/$_.sql") } @parts);
	spew($step, "\\echo Use \"ALTER EXTENSION inqud UPDATE\" to load this file. \\quit\n",
		"SET LOCAL search_path TO pg_catalog, pg_temp;\n", map({ slurp("$top/sql/parts/$_.sql") } $later, $parts[-1]), LAST);
	# older than what was compiled, so that only the file below is compiled again
	utime 0, 0, $step;
	return MADE_UP;
}

# One file knows which versions the library serves.
sub build
{
	my ($knowing) = grep { slurp($_) =~ /\bINQUD_SERVES\b/ } glob("$folder/src/src/*/*.c"), glob("$folder/src/src/*.c");

	die "no file of src/ knows which versions are served\n" unless defined $knowing;
	utime undef, undef, $knowing;
	run('make', '-s', '-C', "$folder/src", 'WERROR=1', 'install');
	return;
}

sub version_in
{
	my ($sources) = @_;

	return slurp("$sources/inqud.control") =~ /^default_version\s*=\s*'([^']+)'/m ? $1 : die "\"$sources\" has no version\n";
}

sub run
{
	my @command = @_;

	open my $out, '-|', @command or die "could not run $command[0]: $!\n";
	my @said = <$out>;
	close $out or die "@command failed: @said\n";
	return;
}

sub slurp
{
	my ($file) = @_;

	open my $in, '<', $file or die "could not read \"$file\": $!\n";
	local $/;
	return scalar <$in>;
}

sub spew
{
	my ($file, @texts) = @_;

	open my $out, '>', $file or die "could not write \"$file\": $!\n";
	print $out @texts;
	close $out or die "could not write \"$file\": $!\n";
	return;
}

1;
