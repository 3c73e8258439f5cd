#!/usr/bin/perl
#
# meta.pl [FILE] - META.json is what version 1.0.0 of PGXN's specification asks
# for, and names files that are there.  Without FILE it looks at the one from
# which "make dist" makes it.
#
# Looks at text only.  Where PGXN's own validator is installed, it has its say.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JSON::PP;
use Sources qw(lines report);
use Test::More;

my $file = $ARGV[0] // 'test/tools/dist/META.json';
my $text = join '', lines($file);

# What "make dist" puts in; it adds the install script, too, which is not here.
$text =~ s/\@SEMVER\@/1.2.3/g unless @ARGV;
my $script = !@ARGV && $text =~ s{(sql/inqud--)\@VERSION\@(\.sql)}{${1}1.2.3$2}g ? 'sql/inqud--1.2.3.sql' : '';
my $meta = eval { JSON::PP->new->utf8->decode($text) };

ok(ref $meta eq 'HASH', 'it is a JSON object') or diag($@);
$meta = {} unless ref $meta eq 'HASH';

my $semver = qr/^(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-?[a-zA-Z][-0-9A-Za-z]*)?$/;
my $term = qr{^[^\s/\\\x00-\x1f]{2,}$};
my %kinds = (
	name => $term, abstract => qr/\S/, description => qr/\S/, version => $semver, generated_by => qr/\S/,
	license => qr/^(?:agpl_3|apache_1_1|apache_2_0|artistic_1|artistic_2|bsd|freebsd|gfdl_1_2|gfdl_1_3|gpl_1|gpl_2|gpl_3|lgpl_2_1|lgpl_3_0|mit|mozilla_1_0|mozilla_1_1|openssl|perl_5|postgresql|qpl_1_0|ssleay|sun|zlib|open_source|restricted|unrestricted|unknown)$/,
	release_status => qr/^(?:stable|testing|unstable)$/);
my %others = map { $_ => 1 } qw(maintainer provides meta-spec no_index prereqs resources tags);

report('what is mandatory is there',
	grep { !exists $meta->{$_} } qw(name version abstract license maintainer meta-spec provides));
report('each plain member is of its kind',
	grep { exists $meta->{$_} && (ref $meta->{$_} || $meta->{$_} !~ $kinds{$_}) } sort keys %kinds);
report('no member is unknown', grep { !$kinds{$_} && !$others{$_} && !/^[xX]_/ } sort keys %$meta);
report('somebody maintains it', grep { ref $_ || !/\S/ } list($meta->{maintainer}));
is($meta->{'meta-spec'}{version}, '1.0.0', 'the specification is named');
report('tags are words', grep { ref $_ || !/^\S.{0,254}$/ || m{[/\\]} } list($meta->{tags} // ['none']));
report('what it provides has a version and files that are there', map { wrong_provision($_) } sort keys %{ $meta->{provides} // { none => {} } });
report('what it needs has versions', map { wrong_needs($_) } sort keys %{ $meta->{prereqs} // {} });
report('what is not indexed is there', grep { !-d top() . "/$_" } @{ $meta->{no_index}{directory} // [] });

if (eval { require PGXN::Meta::Validator })
{
	my $validator = PGXN::Meta::Validator->new($meta);

	ok($validator->is_valid, 'PGXN::Meta::Validator has nothing to say') or diag(join "\n", $validator->errors);
}

done_testing();

sub top { return "$FindBin::Bin/../../.." }

sub is_there
{
	my ($name) = @_;

	return $name eq $script || -e top() . "/$name";
}

# One or several; none at all is wrong.
sub list
{
	my ($value) = @_;
	my @all = ref $value eq 'ARRAY' ? @$value : $value;

	return @all && defined $all[0] ? @all : ({});
}

sub wrong_provision
{
	my ($name) = @_;
	my $it = $meta->{provides}{$name};
	my @wrong;

	push @wrong, "$name: name" if $name !~ $term;
	push @wrong, "$name: version" if ($it->{version} // '') !~ $semver;
	push @wrong, map { "$name: no file " . ($it->{$_} // '') } grep { !is_there($it->{$_} // 'none') } 'file', exists $it->{docfile} ? 'docfile' : ();
	return @wrong;
}

sub wrong_needs
{
	my ($phase) = @_;
	my @wrong;

	return $phase if $phase !~ /^(?:configure|build|test|runtime|develop)$/;
	foreach my $relation (sort keys %{ $meta->{prereqs}{$phase} })
	{
		my $needs = $meta->{prereqs}{$phase}{$relation};

		push @wrong, "$phase $relation" if $relation !~ /^(?:requires|recommends|suggests|conflicts)$/;
		push @wrong, map { "$phase $relation $_" } grep { $needs->{$_} !~ $semver && $needs->{$_} ne '0' } sort keys %$needs;
	}
	return @wrong;
}
