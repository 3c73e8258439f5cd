#!/usr/bin/perl
#
# 090_readme.pl - proves that README.md can be followed: every ```sql block, in
# order, runs without an error on a fresh database, with nothing changed but the
# placeholders of project and key and the address of the project, and answers what
# 090_readme.out says, but for times, ids and hashes.  After the quick
# start, and at the end, orders are paid at the emulator and the shop's tables
# must say so.  The role that receives webhooks must be able to do so, and to do
# nothing else; what the README shows of a widget must be what comes.
#
# Each block begins when the worker has done what the ones before it have asked for,
# so that what it shows does not depend on how quick anybody is.  What a run has
# printed stands in 090_readme.out of its folder for logs: after a change of the
# README it is read, and takes the place of the old one.
#
# Lines of handlers in other languages must stand in the files of
# test/examples/receiver/hosts, which have a test of their own.  Other blocks that are no
# SQL (```sh, ```json, plain) are not looked at.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Digest::SHA qw(hmac_sha1_hex);
use Inqud::Shop;
use Test::More;

# Which file has what is shown in a language.
my %HOSTS = (nginx => 'nginx.conf', js => 'node.js', php => 'webhook.php', python => 'wsgi.py');

my $readme = "$FindBin::RealBin/../../README.md";
my $hosts = "$FindBin::RealBin/../examples/receiver/hosts";
my $shop = Inqud::Shop->new(extension => 0);
my $emu = $shop->emu;

$ENV{INQUD_TOKEN_SECRET} = Inqud::Shop::SECRET;

my @blocks = blocks($readme);
my @sql = grep { $_->{language} eq 'sql' } @blocks;

cmp_ok(scalar @sql, '>', 20, 'the README has its SQL blocks');
my $printed = '';
foreach my $block (@sql)
{
	settle();
	$printed .= run_block($block);
	# the order that the quick start ends with
	pay('1', 'orders', "id = 1") if $block->{text} =~ /^INSERT INTO orders /m;
	receive() if $block->{text} =~ /^GRANT EXECUTE ON FUNCTION inqud_receive_webhook/m;
}
pay('invoice-3', 'invoices', 'number = 3');
is($shop->sql("SELECT count(*) FROM inqud.trouble WHERE trouble <> 'anomaly'"), '0', 'nothing of it is in trouble');
is($shop->sql("SELECT count(*) FROM inqud.checkout WHERE acquiring_url IS NULL AND state <> 'canceled'"),
	'0', 'every checkout of the README has its page');

compare_output();

foreach my $language (sort keys %HOSTS)
{
	stands_in_file($_, "$hosts/$HOSTS{$language}") foreach shown_in($language);
}
is(($_->{text} =~ s/CCO-1{8}[-\w]*/ID/gr =~ s{https://paycrypto\.inqud\.com/\x{2026}}{URL}r), widget(),
	"line $_->{line}: the HTML of a widget is as shown") foreach shown_in('html');

done_testing();

# The blocks of a file that have a language: language, line (of the first statement) and text.
sub blocks
{
	my ($file) = @_;
	my (@blocks, $open);

	open my $in, '<:encoding(UTF-8)', $file or die "could not open $file: $!\n";
	while (my $line = <$in>)
	{
		if ($open && $line =~ /^```\s*$/)
		{
			$open = undef;
		}
		elsif ($open)
		{
			$open->{text} .= $line;
		}
		elsif ($line =~ /^```(\w*)\s*$/)
		{
			$open = { language => $1, line => $. + 1, text => '' };
			push @blocks, $open;
		}
	}
	close $in;
	return @blocks;
}

# The blocks in a language; it must have one.
sub shown_in
{
	my ($language) = @_;
	my @found = grep { $_->{language} eq $language } @blocks;

	ok(scalar @found, "the README shows $language");
	return @found;
}

# A handler is shown as it stands in the file that is tried.
sub stands_in_file
{
	my ($block, $file) = @_;
	my %has;

	open my $in, '<:encoding(UTF-8)', $file or die "could not open $file: $!\n";
	while (my $line = <$in>)
	{
		$line =~ s/^\s+|\s+$//g;
		$has{$line} = 1;
	}
	close $in;
	is(join("\n", grep { s/^\s+|\s+$//gr ne '' && !$has{ s/^\s+|\s+$//gr } } split /\n/, $block->{text}), '',
		"line $block->{line}: stands in $file");
	return;
}

# What a widget of an open checkout is, without what differs each time.
sub widget
{
	my $html = $shop->sql("SELECT inqud_widget_html(c, 'shop.onStatus') FROM inqud.checkout c
		WHERE order_id = 'invoice-5' AND current");

	return $html =~ s/CCO-[-\w]+/ID/gr =~ s{href="[^"]*"}{href="URL"}r;
}

# The receiving role hands over a webhook of order 1, with the secret that was filled in.
sub receive
{
	my $body = '{"id":"' . $shop->checkout('1')->{checkout_id} . '","status":"SUCCESS"}';
	my $digest = hmac_sha1_hex($body, Inqud::Shop::SECRET);
	my $as = 'SET ROLE inqud_receiver;';

	is($shop->sql("$as SELECT inqud_receive_webhook('shop', '$body', '$digest')"), 't', 'the receiving role can receive');
	is($shop->sql("SELECT count(*) FROM inqud.event e JOIN inqud.checkout c ON c.id = e.checkout
		WHERE e.kind = 'webhook' AND c.order_id = '1'"), '1', 'and the webhook is noted');
	$shop->raises("$as SELECT inqud_receive_webhook('shop', '$body', repeat('0', 40))", { state => 'IQ006' },
		'a forged one is refused');
	$shop->raises("$as " . $shop->enqueue_sql('9'), { state => '42501' }, 'the role can create nothing');
	is($shop->sql("$as SELECT count(*) FROM inqud.checkout"), '0', 'and sees no checkout');
	return;
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
	my $status = $shop->node->psql('postgres', "\\t off\n$text", stdout => \$out, stderr => \$err,
		on_error_die => 0, on_error_stop => 1);
	# what is tried in vain: the extension is dropped, and a ROLLBACK follows
	ok($err =~ s/WARNING:  extension "inqud" was dropped//, "line $block->{line} warns") if $text =~ /^DROP EXTENSION/m;
	ok($status == 0 && $err !~ /ERROR|WARNING/, "line $block->{line}: $first")
	  or diag("psql says $status: $err");
	unlike($text, qr/\xE2\x80\xA6/, "line $block->{line} leaves nothing to fill in");
	return '## ' . ($block->{text} =~ s/\n.*//sr) . "\n" . masked($out) . "\n";
}

# Waits until the worker has nothing to do but to follow what is open.
sub settle
{
	return if $shop->sql("SELECT to_regclass('inqud.checkout')") eq '';
	$shop->until("SELECT NOT EXISTS (SELECT FROM inqud.pending
			WHERE kind IN ('create', 'poked', 'hook') AND due_at < now() + interval '1 second')
		AND NOT EXISTS (SELECT FROM inqud.inbox)", 'the worker has done what was asked for');
	return;
}

# What a block has printed, without what is different each time.
sub masked
{
	my ($text) = @_;

	utf8::decode($text);
	# pages are looked at elsewhere
	$text =~ s/^<!DOCTYPE html>.*?^<\/html>\n/a page of HTML\n/gms;
	$text =~ s/\b(CCO|REQ|PAY)-[-\w]+/$1-\x{2026}/g;
	$text =~ s{https?://(?:127\.0\.0\.1|\[::1\]|localhost):\d+}{http://emulator}g;
	$text =~ s/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d(?::\d\d)?/TIME/g;
	$text =~ s/\b\d{4}-\d\d-\d\d\b/DAY/g;
	$text =~ s/\bversion \d+\.\d+\b/version N/g;
	$text =~ s/\b0x[0-9a-f]{16,}/HASH/g;
	$text =~ s/\bprocess \d+/process PID/g;
	$text =~ s/(?<![\d:])-?\d\d:\d\d:\d\d(?:\.\d+)?/INTERVAL/g;
	return $text;
}

# The whole of it against the file; a difference is shown by lines.
sub compare_output
{
	my $file = "$FindBin::RealBin/090_readme.out";
	my $log = "$PostgreSQL::Test::Utils::log_path/090_readme.out";

	open my $to, '>:encoding(UTF-8)', $log or die "could not write $log: $!\n";
	print $to $printed;
	close $to;
	my $difference = `diff -u "$file" "$log" 2>&1`;
	ok($? == 0, 'the blocks print what they should') or diag($difference);
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
