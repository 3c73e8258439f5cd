#!/usr/bin/perl
#
# 042_encodings.pl - proves that text is converted or refused, and never stored
# broken, in databases of every kind of encoding: orders out through sessions,
# worker and triggers; replies, errors and webhooks in; notices, the widget; and
# a dump that is restored, also into UTF-8.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Encode qw(decode encode);
use Inqud::Shop;
use Inqud::Webhooks qw(digest receive_sql);
use JSON::PP ();
use PostgreSQL::Test::Utils ();
use Test::More;

my $shop = Inqud::Shop->new(options => { poll_new => '1day', poll_active => '1day', max_inflight => 100 });
my $emu = $shop->emu;
my $node = $shop->node;

# Each encoding: Perl's name of it, and a text that it can say.
my %encodings = (
	UTF8 => [ undef, "Gr\x{f6}\x{df}e \x{20ac} \x{41f}\x{440}\x{438} \x{65e5}\x{672c} \x{5e9}\x{5dc} e\x{301} \x{1f600}" ],
	SQL_ASCII => [ undef, "Gr\x{f6}\x{df}e \x{20ac} \x{1f600}" ],
	LATIN1 => [ 'iso-8859-1', "Gr\x{f6}\x{df}e \x{a3} \x{ff}" ],
	WIN1251 => [ 'cp1251', "\x{41f}\x{440}\x{438}\x{432}\x{435}\x{442} \x{2116}" ],
	EUC_JP => [ 'euc-jp', "\x{65e5}\x{672c}\x{8a9e} \x{30c6}\x{30b9}\x{30c8}" ]);

# What replies bring: JSON texts, and what they mean (undef: no text at all).
my %words = (
	umlauts => [ "\"Gr\x{f6}\x{df}e\"", "Gr\x{f6}\x{df}e" ], 'escaped umlauts' => [ '"Gr\u00f6\u00DFe"', "Gr\x{f6}\x{df}e" ],
	euro => [ "\"5 \x{20ac}\"", "5 \x{20ac}" ], cyrillic => [ "\"\x{416}\x{43e}\"", "\x{416}\x{43e}" ], kanji => [ "\"\x{65e5}\x{672c}\"", "\x{65e5}\x{672c}" ],
	emoji => [ "\"\x{1f600}\"", "\x{1f600}" ], 'an escaped emoji' => [ '"\ud83d\ude00"', "\x{1f600}" ], combining => [ "\"e\x{301}\"", "e\x{301}" ],
	'right to left' => [ "\"\x{5e9}\x{5dc}\"", "\x{5e9}\x{5dc}" ], 'a private character' => [ "\"\x{e000}\"", "\x{e000}" ], 'one of the last characters' => [ '"\udbff\udffd"', "\x{10fffd}" ],
	'a first half' => [ '"\ud83d"', "\x{fffd}" ], 'a second half' => [ '"\ude00"', "\x{fffd}" ], 'halves in the wrong order' => [ '"\ude00\ud83d"', "\x{fffd}\x{fffd}" ],
	NUL => [ '"a\u0000b"' ]);

my %broken = ('invalid UTF-8' => '22ff22', 'a cut character' => '22c322', 'an overlong one' => '22c08022', 'a surrogate' => '22eda08022', 'beyond Unicode' => '22f490808022', 'LATIN1' => '2247f622');

sub octets { return encode('UTF-8', $_[0]) }

# Can the encoding say it?
sub can_say
{
	my ($encoding, $text) = @_;
	my $perl = $encodings{$encoding}[0] // return 1;
	my $copy = $text;

	return defined eval { encode($perl, $copy, Encode::FB_CROAK()) };
}

# A literal in the bytes of UTF-8.
sub literal { return Inqud::Shop::literal(octets($_[0])) }

# Every text in the tables is text in the database's encoding.  In SQL_ASCII that
# must mean UTF-8, since no other database could take it.
sub intact
{
	my ($db, $session, $encoding, $name) = @_;
	my $as = $encoding eq 'SQL_ASCII' ? 'UTF8' : $encoding;
	my $bad = $session->query_safe("DO \$\$
		DECLARE r record;
		BEGIN
			FOR r IN SELECT t::text AS x FROM inqud.checkout t UNION ALL SELECT t::text FROM inqud.event t UNION ALL SELECT t::text FROM inqud.queue t
				UNION ALL SELECT t::text FROM inqud.inbox t UNION ALL SELECT t::text FROM inqud.trouble t LOOP
				PERFORM convert_from(convert_to(r.x, getdatabaseencoding()), '$as');
			END LOOP;
		END \$\$; SELECT count(*) FROM inqud.checkout WHERE " . join(' OR ', map { "$_ LIKE '%' || chr(127) || '%'" } qw(order_id name reason status error)));
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return is($bad, '0', "$encoding: $name");
}

# What Inqud got of an order, as characters.
sub sent
{
	my ($order) = @_;
	my ($request) = grep { ($_->{clientOrderId} // '') eq $order }
	  map { my $b = $_->{body}; JSON::PP->new->utf8(utf8::is_utf8($b) ? 0 : 1)->decode($b) } $shop->requests(method => 'POST');

	return $request // {};
}

# ---------------------------------------------------------------------
# Orders out
# ---------------------------------------------------------------------

sub orders_out
{
	my ($db, $session, $encoding, $text) = @_;
	my $url = "https://b\x{fc}cher.example/" . ($text =~ s/ /_/gr);
	my $order = "$encoding $text";

	$url = "https://shop.example/" . ($text =~ s/ /_/gr) unless can_say($encoding, $url);
	my $extra = JSON::PP->new->encode({ "k $text" => [ $text ] });
	my $columns = sub { my ($name) = @_; return join ', ', "'shop'", literal("$order $name"), literal($text), literal($url), 'NULL, NULL, NULL, NULL', literal($extra) };
	is($session->query('SELECT state FROM inqud_create_checkout(' . $columns->('create') . ')')->{out}, 'open', "$encoding: created at once");
	$session->query_safe('SELECT inqud_enqueue_checkout(' . $columns->('queue') . ')');
	$session->query_safe('CREATE TABLE orders (id text, title text, url text); CREATE TABLE bulk (LIKE orders);
		CREATE TRIGGER pay AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION inqud_order_trigger(\'shop\', \'order_id={id}\', ' . literal("name=$text {title}") . ', \'return_url={url}\');
		CREATE TRIGGER pay AFTER INSERT ON bulk REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION
			inqud_order_trigger(\'shop\', \'order_id={id}\', ' . literal("name=$text {title}") . ', \'return_url={url}\')');
	$session->query_safe("INSERT INTO $_->[0] VALUES (" . join(', ', map { literal($_) } "$order $_->[1]", $text, $url) . ')') foreach [ orders => 'row' ], [ bulk => 'statement' ];
	$db->until("SELECT count(*) FROM inqud.checkout WHERE state = 'open'", "$encoding: queued by hand and by triggers, and created", 4);
	foreach my $how (qw(create queue row statement))
	{
		my $sent = sent("$order $how");
		my $name = $how =~ /row|statement/ ? "$text $text" : $text;

		is_deeply([ @$sent{qw(name returnUrl)}, $how =~ /row|statement/ ? $extra : $sent->{"k $text"} ],
			[ $name, $url, $how =~ /row|statement/ ? $extra : [$text] ], "$encoding, $how: Inqud got what the order says");
		is($session->query_safe("SELECT encode(convert_to(order_id || '|' || name || '|' || return_url, 'UTF8'), 'hex') FROM inqud.checkout WHERE order_id = " . literal("$order $how")),
			unpack('H*', octets("$order $how|$name|$url")), "$encoding, $how: the row says the same");
	}
	return;
}

# In names white space of the encoding becomes a blank; in URLs a value is bytes of UTF-8.
sub values_shown
{
	my ($session, $encoding, $text) = @_;
	my ($space) = grep { can_say($encoding, $_) } "\x{a0}", "\x{3000}";
	my $title = "$space$text$space$space$text$space";
	my $url = 'https://shop.example/?v=' . join '', map { /[A-Za-z0-9._~-]/ ? $_ : sprintf '%%%02X', ord } split //, octets($title);

	$session->query_safe('CREATE TABLE shown (id text, title text);
		CREATE TRIGGER pay AFTER INSERT ON shown FOR EACH ROW EXECUTE FUNCTION inqud_order_trigger(\'shop\', \'order_id={id}\', \'name={title}\', \'return_url=https://shop.example/?v={title}\');
		INSERT INTO shown VALUES (\'shown\', ' . literal($title) . ')');
	is($session->query_safe("SELECT encode(convert_to(name || '|' || return_url, 'UTF8'), 'hex') FROM inqud.checkout WHERE order_id = 'shown'"),
		unpack('H*', octets("$text $text|$url")), "$encoding: white space in a name, and a value in a URL");
	return;
}

# Bytes that are no text in any encoding: an SQL_ASCII database lets a user write them.
sub bytes_refused
{
	my ($session) = @_;
	my $before = $session->query_safe('SELECT count(*) FROM inqud.checkout');

	foreach my $bytes ('\xe4', '\xc3', '\xc0\x80', '\xed\xa0\x80', '\xff\xfe', '\xf4\x90\x80\x80')
	{
		foreach my $i (0 .. 3)
		{
			my @values = ("E'o'", "E'n'", "E'https://shop.example/'", "E'{\"a\":\"b\"}'");

			$values[$i] =~ s/(['"]}?')?$/$bytes . ($1 \/\/ '')/e if $i == 3;
			$values[$i] = $i == 3 ? "E'{\"a\":\"b$bytes\"}'" : $values[$i] =~ s/'$/$bytes'/r;
			foreach my $function (qw(inqud_create_checkout inqud_enqueue_checkout))
			{
				my $error = $session->query("SELECT $function('shop', $values[0], $values[1], $values[2], extra => $values[3])")->{error};

				is($error->{state} // 'none', '22021', "SQL_ASCII: $function refuses $bytes in argument $i");
			}
			next if $i == 3;
			is($session->query("INSERT INTO $_ VALUES ($values[0], $values[1], $values[2])")->{error}{state} // 'none', '22021', "SQL_ASCII: a trigger on $_ refuses it")
			  foreach qw(orders bulk);
		}
	}
	is($session->query_safe('SELECT count(*) FROM inqud.checkout'), $before, 'SQL_ASCII: and nothing is recorded');
	return;
}

# ---------------------------------------------------------------------
# Replies in
# ---------------------------------------------------------------------

sub replies_in
{
	my ($db, $session, $encoding) = @_;
	my %cases;

	foreach my $word (keys %words)
	{
		$cases{"reason $word"} = { action => 'alter', override => { reason => octets($words{$word}[0]) } };
		$cases{"status $word"} = { action => 'alter', override => { status => octets($words{$word}[0]) } };
		$cases{"order $word"} = { action => 'alter', override => { clientOrderId => octets($words{$word}[0]) } };
		$cases{"message $word"} = { action => 'status', status => 422, body => '{"code":"NO","message":' . octets($words{$word}[0]) . '}' };
	}
	$cases{"bytes $_"} = { action => 'alter', override => { reason => { hex => $broken{$_} } } } foreach keys %broken;
	# lengths that cut within a character, wherever a text is cut
	$cases{"long $_"} = { action => 'status', status => 422, body => '{"code":"NO","message":"' . ('x' x $_) . octets("\x{f6}" x 2000) . '"}' } foreach 0, 1;
	$cases{"longer $_"} = { action => 'status', status => 422, body => '{"code":"NO","message":"' . ('x' x $_) . octets("\x{1f600}" x 1000) . '"}' } foreach 0 .. 3;
	$emu->clear_faults;
	foreach my $case (keys %cases)
	{
		my $fault = $cases{$case};

		$fault->{override}{$_} = ref $fault->{override}{$_} ? $fault->{override}{$_} : decode('UTF-8', $fault->{override}{$_}) foreach keys %{ $fault->{override} // {} };
		$fault->{body} = decode('UTF-8', $fault->{body}) if defined $fault->{body};
		$emu->fault({ %$fault, match => { method => 'POST', clientOrderId => "$encoding $case" } });
	}
	$session->query_safe('LISTEN inqud');
	$session->query_safe('BEGIN');
	$session->query_safe($shop->enqueue_sql("$encoding $_")) foreach sort keys %cases;
	$session->query_safe('COMMIT');
	$db->until("SELECT count(*) FROM inqud.checkout WHERE order_id LIKE '$encoding %' AND order_id ~ ' (reason|status|order|message|bytes|long|longer) ' AND (state <> 'queued' OR error IS NOT NULL)",
		"$encoding: every reply has been dealt with", scalar keys %cases);
	my %row;
	foreach my $line (split /\n/, $session->query_safe("SELECT concat_ws('|', order_id, state, coalesce(encode(convert_to(reason, 'UTF8'), 'hex'), '-'),
		coalesce(encode(convert_to(status, 'UTF8'), 'hex'), '-'), coalesce(encode(convert_to(error, 'UTF8'), 'hex'), '-')) FROM inqud.checkout WHERE order_id LIKE '$encoding %'"))
	{
		my ($order, $state, @texts) = split /\|/, $line;

		$row{$order} = { state => $state, map { $_->[0] => $_->[1] eq '-' ? undef : decode('UTF-8', pack('H*', $_->[1]), Encode::FB_CROAK()) }
			  [ reason => $texts[0] ], [ status => $texts[1] ], [ error => $texts[2] ] };
	}
	my @wrong;
	foreach my $word (sort keys %words)
	{
		my $text = $words{$word}[1];
		my $said = defined $text && can_say($encoding, $text) ? $text : undef;
		my %is = map { $_ => $row{"$encoding $_ $word"} } qw(reason status order message);

		push @wrong, "reason $word" unless $is{reason}{state} eq 'open' && ($is{reason}{reason} // '-') eq ($said // '-');
		# the status is the one word that must not get lost
		push @wrong, "status $word: " . octets($is{status}{status} // 'null') . ' ' . octets($is{status}{error} // '')
		  unless defined $text ? $is{status}{state} eq 'open' && $is{status}{status} eq ($said // octets($text) =~ s/[^\x00-\x7f]/?/gr) : $is{status}{state} eq 'queued';
		push @wrong, "order $word: $is{order}{state}" unless defined $text ? $is{order}{state} eq 'failed' && $is{order}{error} =~ /another order/ : 1;
		push @wrong, "message $word: " . octets($is{message}{error} // 'null')
		  unless !defined $text || $is{message}{state} eq 'failed' && index($is{message}{error}, $said // '?') >= 0;
	}
	is_deeply(\@wrong, [], "$encoding: " . 4 * keys(%words) . ' texts are stored as they are, or left out');
	is_deeply([ grep { $row{"$encoding bytes $_"}{state} ne 'queued' } keys %broken ], [], "$encoding: a reply with bytes that are no text is not understood");
	ok(!(grep { !defined $row{"$encoding $_"}{error} || length $row{"$encoding $_"}{error} < 100 } grep { /^long/ } keys %cases), "$encoding: long messages are cut");
	my @notices = $session->notifications;
	my @unreadable = grep { !defined eval { JSON::PP->new->decode(decode('UTF-8', $_, Encode::FB_CROAK())) } } @notices;
	cmp_ok(scalar @notices, '>', 10, "$encoding: notices have come");
	is_deeply(\@unreadable, [], "$encoding: each is JSON and text");
	$emu->clear_faults;

	# the same in a session
	my @session;
	foreach my $word (sort keys %words)
	{
		my ($json, $text) = @{ $words{$word} };

		$emu->fault({ action => 'status', status => 422, body => "{\"code\":\"NO\",\"message\":$json}", times => 1 });
		my $answer = $session->query($shop->create_sql("$encoding session $word"));
		my $said = defined $text ? can_say($encoding, $text) ? octets($text) : '?' : '';
		push @session, "$word: $answer->{err}" unless ($answer->{error}{state} // '') =~ /^IQ00/ && index($answer->{error}{detail}, $said) >= 0
		  && defined eval { decode('UTF-8', $answer->{err}, Encode::FB_CROAK()) };
		$emu->clear_faults;
	}
	is_deeply(\@session, [], "$encoding: a session's messages say what the encoding can say");
	return;
}

# ---------------------------------------------------------------------
# Webhooks, widget, dump
# ---------------------------------------------------------------------

sub webhooks
{
	my ($db, $session, $encoding, $text) = @_;
	my $secret = "key $text";

	$session->query_safe('ALTER USER MAPPING FOR PUBLIC SERVER shop OPTIONS (ADD webhook_secret ' . literal($secret) . ')');
	my @bad;
	foreach my $word (sort keys %words)
	{
		my $body = octets("{\"id\":\"CCO-none\",\"status\":$words{$word}[0],\"clientOrderId\":$words{$word}[0]}");
		my $answer = $session->query('SELECT ' . receive_sql('shop', $body, digest(octets($secret), $body)));

		push @bad, "$word: $answer->{err}" unless $answer->{out} eq 't';
	}
	foreach my $bytes (sort keys %broken)
	{
		my $body = '{"id":"CCO-none","status":' . pack('H*', $broken{$bytes}) . '}';
		my $answer = $session->query('SELECT ' . receive_sql('shop', $body, digest(octets($secret), $body)));

		push @bad, "$bytes: $answer->{err}" unless $answer->{out} eq 't';
	}
	is_deeply(\@bad, [], "$encoding: genuine webhooks are taken, whatever they say");
	is($session->query('SELECT ' . receive_sql('shop', '{}', digest('key', '{}')))->{error}{state}, 'IQ006', "$encoding: the secret counts in UTF-8");
	return;
}

sub widget
{
	my ($session, $encoding, $text) = @_;
	my $page = $session->query_safe('SELECT inqud_widget_page(c) FROM inqud.checkout c WHERE order_id = ' . literal("$encoding $text create"));

	like($page, qr/<html/, "$encoding: a page with the widget");
	ok(defined eval { decode('UTF-8', $page, Encode::FB_CROAK()) }, "$encoding: which is text");
	return;
}

# All rows, in UTF-8, as one hash.
sub fingerprint
{
	my ($db, $encoding) = @_;
	my $text = $encoding eq 'SQL_ASCII' ? "convert_to(t::text, 'SQL_ASCII')" : "convert_to(t::text, 'UTF8')";

	return $db->sql("SELECT md5(string_agg(h, '' ORDER BY h)) FROM (SELECT md5($text) FROM inqud.checkout t UNION ALL SELECT md5($text) FROM inqud.event t) x (h)");
}

sub dump_and_restore
{
	my ($db, $name, $encoding) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . "/$name.dump";

	$db->sql('SELECT inqud_worker_stop()');
	my $before = fingerprint($db, $encoding);
	$node->command_ok([ 'pg_dump', '-Fc', '-d', $node->connstr($name), '-f', $file ], "$encoding: dumped");
	foreach my $target ($encoding, $encoding eq 'UTF8' ? () : 'UTF8')
	{
		my $copy = "${name}_" . lc $target;

		$shop->sql("CREATE DATABASE $copy ENCODING '$target' LOCALE 'C' TEMPLATE template0");
		$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr($copy), $file ], "$encoding: restored into $target");
		is(fingerprint($shop->in($copy), $target), $before, "$encoding: with the same rows in $target");
		$shop->sql("DROP DATABASE $copy");
	}
	return;
}

foreach my $encoding (sort keys %encodings)
{
	my $name = lc $encoding;
	my $text = $encodings{$encoding}[1];

	$shop->sql("CREATE DATABASE $name ENCODING '$encoding' LOCALE 'C' TEMPLATE template0");
	my $db = $shop->in($name);
	$db->sql('CREATE EXTENSION inqud');
	$db->project('shop', options => { poll_new => '1day', poll_active => '1day', max_inflight => 100, retry_min => '1h', retry_max => '1h' });
	my $session = $db->session(env => { PGCLIENTENCODING => $encoding eq 'SQL_ASCII' ? 'SQL_ASCII' : 'UTF8' });
	orders_out($db, $session, $encoding, $text);
	values_shown($session, $encoding, $text);
	bytes_refused($session) if $encoding eq 'SQL_ASCII';
	replies_in($db, $session, $encoding);
	webhooks($db, $session, $encoding, $text);
	intact($db, $session, $encoding, 'every text in the tables is one');
	widget($session, $encoding, $text);
	dump_and_restore($db, $name, $encoding);
	$session->close;
}

# What a worker had to say, seen from a database of another encoding.
$shop->in('latin1')->sql("DO \$\$ BEGIN EXECUTE (SELECT format('CREATE OR REPLACE FUNCTION inqud._next_due(%s) RETURNS %s LANGUAGE plpgsql AS %L',
	pg_get_function_arguments(oid), pg_get_function_result(oid), 'BEGIN RAISE EXCEPTION ' || quote_literal('St' || chr(246) || 'rung ' || repeat(chr(228), 1000)) || '; END')
	FROM pg_proc WHERE oid = 'inqud._next_due'::regproc); END \$\$; SELECT inqud_worker_start()");
$shop->until("SELECT count(*) FROM inqud.worker WHERE database = 'latin1' AND error ~ '^St.rung '", 'an error of a worker is shown', 1);
is($shop->sql("SELECT error ~ '^St[?]rung [?]+\$' FROM inqud.worker WHERE database = 'latin1'"), 't', 'to a database of another encoding without what it may not be able to say');
is($shop->in('latin1')->sql("SELECT error ~ ('^St' || chr(246) || 'rung ' || chr(228) || '+\$') FROM inqud.worker WHERE database = 'latin1'"), 't', 'to its own as it is');

done_testing();
