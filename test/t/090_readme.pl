#!/usr/bin/perl
#
# 090_readme.pl - proves that README.md can be followed: every ```sql block, in
# order, runs without an error on a fresh database, with nothing changed but the
# placeholders of project and key and the address of the project.  After the quick
# start, and at the end, orders are paid at the emulator and the shop's tables
# must say so.
#
# Blocks that are no SQL (```sh, ```json, plain) are not looked at.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use Test::More;

my $readme = "$FindBin::RealBin/../../README.md";
my $shop = Inqud::Shop->new(extension => 0);
my $emu = $shop->emu;

$ENV{INQUD_TOKEN_SECRET} = Inqud::Shop::SECRET;

my @blocks = blocks($readme);

cmp_ok(scalar @blocks, '>', 20, 'the README has its SQL blocks');
foreach my $block (@blocks)
{
	run_block($block);
	# the order that the quick start ends with
	pay('1', 'orders', "id = 1") if $block->{text} =~ /^INSERT INTO orders /m;
}
pay('invoice-3', 'invoices', 'number = 3');
is($shop->sql("SELECT count(*) FROM inqud.trouble WHERE trouble <> 'anomaly'"), '0', 'nothing of it is in trouble');
is($shop->sql("SELECT count(*) FROM inqud.checkout WHERE acquiring_url IS NULL AND state <> 'canceled'"),
	'0', 'every checkout of the README has its page');

done_testing();

# The ```sql blocks of a file: line (of the first statement) and text.
sub blocks
{
	my ($file) = @_;
	my (@blocks, $open);

	open my $in, '<:encoding(UTF-8)', $file or die "could not open $file: $!\n";
	while (my $line = <$in>)
	{
		if (defined $open)
		{
			if ($line =~ /^```\s*$/)
			{
				$open = undef;
				next;
			}
			$blocks[-1]{text} .= $line;
		}
		elsif ($line =~ /^```sql\s*$/)
		{
			push @blocks, { line => $. + 1, text => '' };
			$open = 1;
		}
		elsif ($line =~ /^```\w*\s*$/)
		{
			# some other block: skip to its end
			while (my $other = <$in>)
			{
				last if $other =~ /^```\s*$/;
			}
		}
	}
	close $in;
	return @blocks;
}

# What a reader has to fill in, filled in.
sub filled_in
{
	my ($text) = @_;
	my ($project, $url, $token, $secret) = (Inqud::Shop::PROJECT, $emu->url, Inqud::Shop::TOKEN, Inqud::Shop::SECRET);

	$text =~ s/project_id 'CAP-\x{2026}'/project_id '$project', base_url '$url'/g;
	$text =~ s/'TKN-\x{2026}'/'$token'/g;
	$text =~ s/'\x{2026}'/'$secret'/g;
	return $text;
}

sub run_block
{
	my ($block) = @_;
	my ($out, $err);
	my $text = filled_in($block->{text});
	my ($first) = $text =~ /^(.*)$/m;

	utf8::encode($text);
	my $status = $shop->node->psql('postgres', $text, stdout => \$out, stderr => \$err,
		on_error_die => 0, on_error_stop => 1);
	ok($status == 0 && $err !~ /ERROR|WARNING/, "line $block->{line}: $first")
	  or diag("psql says $status: $err");
	unlike($text, qr/\xE2\x80\xA6/, "line $block->{line} leaves nothing to fill in");
	return;
}

# The payer of an order pays, and the shop's own table says so.
sub pay
{
	my ($order, $table, $row) = @_;

	$shop->until("SELECT checkout_id IS NOT NULL FROM inqud.checkout WHERE order_id = '$order' AND current",
		"order $order has its checkout");
	$emu->control('settle', { clientOrderId => $order });
	$shop->sql("SELECT inqud_refresh(id) FROM inqud.checkout WHERE order_id = '$order' AND current");
	$shop->until("SELECT paid FROM $table WHERE $row", "order $order is paid in table $table");
	return;
}
