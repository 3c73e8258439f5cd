#!/usr/bin/perl
#
# 046_guesses.pl - proves that nobody reads a key through error messages.  Inqud may
# quote what a role with USAGE has it sent; so a role can have a text shown that ends
# in a guess, wherever it wants.  Whatever part of a secret the guess is, whatever way
# it is quoted and wherever the text is cut, it is shown as any other text would be.
# A whole secret is hidden in all these ways, in errors, events, rows and the doctor.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use IO::Socket::INET;
use JSON::PP ();
use Test::More;

my $json = JSON::PP->new->canonical;
my %secret = (token_id => 'bead-cafe-01', token_secret => 'dead-face-02', webhook_secret => 'fade-deaf-03', webhook_secret_previous => 'ace/bed "%04',
	request_webhook_secret => 'cab-fab-dab-05', request_webhook_secret_previous => 'babe-fade-06');

# ---------------------------------------------------------------------
# An API that quotes the names of members that it does not know
# ---------------------------------------------------------------------

sub escaped { return join '', map { sprintf '\u%04x', ord } split //, $_[0] }
sub percent { return join '', map { sprintf '%%%02X', ord } split //, $_[0] }

# Status and body of a refusal, by the way to quote.
my %quote = (
	(map { my $member = $_; $member => sub { (422, $json->encode({ $member => $_[0] })) } } qw(message error errorMessage detail title)),
	code => sub { (400, $json->encode({ code => $_[0], message => 'no' })) },
	errorCode => sub { (409, $json->encode({ errorCode => $_[0], title => 'no' })) },
	escaped => sub { (422, '{"message":"' . escaped($_[0]) . '"}') },
	percent => sub { (422, $json->encode({ message => percent($_[0]) })) },
	nested => sub { (422, $json->encode({ message => escaped($_[0]) })) },
	html => sub { (403, "<html>$_[0]</html>") },
	large => sub { (422, $json->encode({ message => $_[0] . '.' x 5000 })) },
	open => sub { (422, "{\"message\":\"$_[0]") });

# What is to be shown of a text that is quoted so, if no secret is in it.
sub shown
{
	my ($way, $text) = @_;

	return '422: ' . substr($text, 0, 500) if $way =~ /^(message|error|errorMessage|detail|title|escaped)$/;
	return ($way eq 'code' ? '400 ' : '409 ') . substr($text, 0, 100) . ': no' if $way =~ /^(code|errorCode)$/;
	return '422: ' . substr(percent($text), 0, 500) if $way eq 'percent';
	return '422: ' . substr(escaped($text), 0, 500) if $way eq 'nested';
	return $way eq 'html' ? '403: HTTP status 403' : '422: HTTP status 422';
}

# A member that a shop does not send; its name is the text, its value the way.
sub answer
{
	my ($head, $body) = @_;
	my $sent = eval { $json->decode($body) } // {};
	my ($text) = grep { ($sent->{$_} // '') =~ /^way: / } keys %$sent;
	my $way = defined $text ? $sent->{$text} =~ s/^way: //r : '';

	# the doctor's read, and what a good answer quotes
	return (401, $json->encode({ message => $secret{token_secret}, code => $secret{token_id} })) if $head =~ /^GET/;
	return (200, $json->encode({ id => "CCO-$sent->{clientOrderId}", status => 'NEW', reason => $text, request => { txHash => percent($text) } })) if $way eq 'good';
	return $quote{$way} ? $quote{$way}->($text) : (500, '{}');
}

sub serve
{
	my ($client) = @_;
	my ($head, $body) = ('', '');

	while (defined(my $line = <$client>))
	{
		last if $line =~ /^\r?\n$/;
		$head .= $line;
	}
	read $client, $body, $1 if $head =~ /^content-length: (\d+)/im;
	my ($status, $reply) = answer($head, $body);
	print $client "HTTP/1.1 $status Quoted\r\nContent-Length: " . length($reply) . "\r\nConnection: close\r\n\r\n$reply";
	close $client;
	return;
}

my $listening = IO::Socket::INET->new(Listen => 50, Proto => 'tcp', LocalAddr => '127.0.0.1') or die "could not listen: $!\n";
my $test = $$;
my $server = fork // die "could not fork: $!\n";

if ($server == 0)
{
	while (my $client = $listening->accept) { serve($client) }
	exit 0;
}
END { kill 'TERM', $server if defined $server && $$ == $test && $server }

my $shop = Inqud::Shop->new(options => { base_url => 'http://127.0.0.1:' . $listening->sockport, max_reply_size => '4kB', retry_min => '1h', retry_max => '1h' }, mapping => \%secret);
my $session;
my $number = 0;

$shop->sql('CREATE ROLE mallory LOGIN; GRANT USAGE ON FOREIGN SERVER shop TO mallory');
$session = $shop->session;
$session->query_safe('SET ROLE mallory');

sub literal { return Inqud::Shop::literal(@_) }

# The arguments of an order whose extra has such a member.
sub order
{
	my ($way, $text) = @_;

	return $shop->arguments('g' . ++$number) . ', extra => jsonb_build_object(' . literal($text) . ', ' . literal("way: $way") . ')';
}

# What a role is shown when it has a text quoted, behind "HTTP ".
sub ask_for
{
	my ($way, $text) = @_;
	my $error = $session->query('SELECT inqud_create_checkout(' . order($way, $text) . ')')->{error};

	return ($error->{detail} // '(none)') =~ s/^.*?HTTP (?=\d)//r;
}

# ---------------------------------------------------------------------
# Guesses
# ---------------------------------------------------------------------

# Where each way cuts, in characters of the text.
my %cut = ((map { $_ => 500 } qw(message error errorMessage detail title escaped)), code => 100, errorCode => 100, percent => 166, nested => 83, html => 500, large => 500, open => 500);

# Tries guesses that end at or about the cut; what was not shown as it came.
sub attack
{
	my ($way, $option, @beyond) = @_;
	my @told;

	foreach my $known (1, 2, 4, length($secret{$option}) - 1)
	{
		my $right = substr $secret{$option}, 0, $known;

		foreach my $guess ($right, substr($right, 0, -1) . '!', substr($secret{$option}, -$known))
		{
			foreach my $beyond (grep { $_ < $known } @beyond)
			{
				my $text = '.' x ($cut{$way} + $beyond - $known) . $guess . '#' x 50;
				my $is = ask_for($way, $text);

				push @told, "'$guess' ends $beyond behind the cut: " . substr($is, -40) if $is ne shown($way, $text);
			}
		}
	}
	return @told;
}

foreach my $way (sort keys %quote)
{
	my @told = attack($way, 'token_secret', -3 .. 3);

	is(join("\n", @told), '', "$way: a guess of token_secret is shown as it came");
}
foreach my $option (grep { $_ ne 'token_secret' } sort keys %secret)
{
	is(join("\n", map { attack($_, $option, 0) } qw(message code)), '', "a guess of $option is shown as it came");
}
$shop->set_options('shop', auth => 'signed');
is(join("\n", map { attack($_, 'token_secret', 0, 1) } qw(message code)), '', 'and so it is where requests are signed');
$shop->set_options('shop', auth => 'secret');

# The attack itself: the secret is found character by character, if what is shown tells.
my $found = '';

while (length $found < 4)
{
	my ($next) = grep { ask_for('message', '.' x (500 - length("$found$_")) . "$found$_" . '#' x 50) =~ /[*]/ } 'a' .. 'f', '-';

	last unless defined $next;
	$found .= $next;
}
is($found, '', 'no character of a key is found');

# ---------------------------------------------------------------------
# Whole secrets
# ---------------------------------------------------------------------

foreach my $way (grep { $_ ne 'open' } sort keys %quote)
{
	my @told;

	foreach my $option (sort keys %secret)
	{
		foreach my $before (map { $cut{$way} - $_ } 1, 5, length $secret{$option}, 40)
		{
			my $is = ask_for($way, '.' x $before . $secret{$option} . '#' x 50);
			my $own = shown($way, '.' x $before . '*' x length($secret{$option}) . '#' x 50);

			# escapes are hidden with what they stand for
			$own = ($way eq 'percent' ? '422: ' . substr(percent('.' x $before) . '*' x 3 x length($secret{$option}) . percent('#' x 50), 0, 500)
				: '422: ' . substr(escaped('.' x $before) . '*' x 6 x length($secret{$option}) . escaped('#' x 50), 0, 500)) if $way =~ /^(percent|nested)$/;
			push @told, "$option behind $before: " . substr($is, -40) if $is ne $own;
		}
	}
	is(join("\n", @told), '', "$way: a whole secret is hidden wherever the cut is");
}

# In rows and events of the worker, and in what the doctor says.
foreach my $way (qw(message code percent nested large))
{
	my $right = '.' x ($cut{$way} - 6) . substr($secret{token_secret}, 0, 6) . '#' x 50;
	my $whole = '.' x ($cut{$way} - 6) . $secret{token_secret} . '#' x 50;
	my @numbers;

	foreach my $text ($right, $whole)
	{
		$session->query_safe('SELECT id FROM inqud_enqueue_checkout(' . order($way, $text) . ')');
		push @numbers, $number;
		$shop->wait_until("SELECT state = 'failed' FROM inqud.checkout WHERE order_id = 'g$number'");
	}
	my @rows = map { $shop->row("SELECT error, (SELECT string_agg(detail, '|') FROM inqud.event e WHERE e.checkout = c.id AND kind = 'failed') AS detail FROM inqud.checkout c WHERE order_id = 'g$_'") } @numbers;

	is($rows[0]{error}, 'HTTP ' . shown($way, $right), "$way: the worker records a guess as it came");
	is($rows[0]{detail}, $rows[0]{error}, 'and so does the event');
	unlike("$rows[1]{error} $rows[1]{detail}", qr/dead|face/, 'but no secret');
}
my $doctor = $shop->sql("SELECT string_agg(detail, '|') FROM inqud_check_project('shop')");

like($doctor, qr/HTTP 401 \*{12}: \*{12}/, 'the doctor quotes no secret');
Inqud::Shop::lacks($doctor, qr/dead|bead/, 'nor a part of one');

# A good answer: what would hold a secret is lost, a part of one is text as any other.
foreach my $text (substr($secret{token_secret}, 0, -1), $secret{token_secret})
{
	$session->query_safe('SELECT id FROM inqud_create_checkout(' . order('good', $text) . ')');
	my $row = $shop->row("SELECT reason, tx_hash, reply::text FROM inqud.checkout WHERE order_id = 'g$number'");

	if ($text eq $secret{token_secret})
	{
		is_deeply([ @$row{qw(reason tx_hash)} ], [ undef, undef ], 'members with a secret are lost');
		unlike($row->{reply}, qr/dead|%64%65|%44/i, 'and it is not in the reply');
		is($shop->sql("SELECT string_agg(detail, '|') FROM inqud.event e JOIN inqud.checkout c ON c.id = e.checkout WHERE order_id = 'g$number' AND detail ~ 'cannot be stored'"),
			'the reply has members that cannot be stored: reason, request.txHash', 'which has its event');
		next;
	}
	is_deeply([ @$row{qw(reason tx_hash)} ], [ $text, percent($text) ], 'members with a part of one are taken');
	like($row->{reply}, qr/\Q$text\E/, 'and kept');
}
$session->close;

done_testing();
