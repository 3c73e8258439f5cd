#!/usr/bin/perl
#
# 041_network.pl - proves where calls go and whom they trust, in sessions and in
# the worker: certificates of all kinds and old TLS, redirects, proxies and files
# of the environment, names that lead inside, and other protocols.  What must
# not be connected to listens, and hears nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use IO::Select;
use IO::Socket::INET;
use IPC::Run;
use PostgreSQL::Test::Utils ();
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();

# A port of 127.0.0.1 that listens and never answers.
sub trap
{
	return IO::Socket::INET->new(Listen => 100, Proto => 'tcp', LocalAddr => '127.0.0.1', LocalPort => 0) // die "could not listen: $!\n";
}

sub untouched
{
	my ($trap, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	my $clean = !IO::Select->new($trap)->can_read(0);
	my $guest = IO::Socket::INET->new(Proto => 'tcp', PeerAddr => '127.0.0.1', PeerPort => $trap->sockport) // die "could not connect: $!\n";

	# had somebody come, it would have been seen
	die "the trap does not notice a guest\n" unless IO::Select->new($trap)->can_read($PostgreSQL::Test::Utils::timeout_default);
	close $trap->accept;
	return ok($clean, $name);
}

sub write_file
{
	my ($name, $text) = @_;

	open my $file, '>', "$dir/$name" or die "$dir/$name: $!\n";
	print {$file} $text;
	close $file or die "$dir/$name: $!\n";
	return "$dir/$name";
}

sub run_quiet
{
	my (@command) = @_;
	my $out = '';

	IPC::Run::run(\@command, '<', \undef, '>&', \$out) or die "@command:\n$out\n";
	return $out;
}

# ---------------------------------------------------------------------
# Certificates
# ---------------------------------------------------------------------

# A certificate authority; "own" = signs for itself, with these names.
sub authority
{
	my ($name, $names) = @_;

	run_quiet(qw(openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj), "/CN=$name",
		(defined $names ? ('-addext', "subjectAltName=$names") : ()), '-keyout', "$dir/$name.key", '-out', "$dir/$name.pem");
	return "$dir/$name.pem";
}

run_quiet(qw(openssl req -newkey rsa:2048 -nodes -subj /CN=test -keyout), "$dir/key.pem", '-out', "$dir/request.pem");

# From OpenSSL 3.4 on no certificate ends before it begins; it may have begun long ago.
sub lifetime
{
	my ($days) = @_;

	return ('-days', $days) if $days > 0 || `openssl x509 -help 2>&1` !~ /-not_after/;
	return ('-not_before', '20200101000000Z', '-not_after', '20200102000000Z');
}

# A certificate by an authority for these names.
sub certificate
{
	my ($name, $authority, $names, $days) = @_;
	my $extensions = write_file("$name.ext", "subjectAltName=$names\nbasicConstraints=CA:FALSE\n");

	run_quiet(qw(openssl x509 -req -in), "$dir/request.pem", '-CA', "$dir/$authority.pem", '-CAkey', $authority eq 'good' ? "$dir/key.pem" : "$dir/$authority.key",
		'-set_serial', 1000 + int rand 1e9, lifetime($days // 2), '-extfile', $extensions, '-out', "$dir/$name.pem");
	return "$dir/$name.pem";
}

my $ca = authority('ca');
authority('other_ca');
my $names = 'IP:127.0.0.1,DNS:localhost,DNS:*.to.example';
my %tls = (
	good => { file => certificate('good', 'ca', $names) },
	expired => { file => certificate('expired', 'ca', $names, -1), says => qr/expired/ },
	wrong_host => { file => certificate('wrong_host', 'ca', 'DNS:elsewhere.example,DNS:127.0.0.1,IP:127.0.0.2'), says => qr/127\.0\.0\.1/ },
	self_signed => { file => authority('self_signed', $names), key => "$dir/self_signed.key", says => qr/self.signed/ },
	unknown_ca => { file => certificate('unknown_ca', 'other_ca', $names), says => qr/issuer/ });
{
	# who has a certificate of the authority is no authority
	my $leaf = certificate('by_leaf', 'good', $names);
	open my $chain, '>>', $leaf or die "$leaf: $!\n";
	print {$chain} PostgreSQL::Test::Utils::slurp_file($tls{good}{file});
	close $chain or die "$leaf: $!\n";
	$tls{by_leaf} = { file => $leaf, says => qr/certificate/ };
}
$_->{emu} = Inqud::Emulator->start(tls_cert => $_->{file}, tls_key => $_->{key} // "$dir/key.pem") foreach values %tls;

# ---------------------------------------------------------------------
# A server with an environment that wants to lead astray
# ---------------------------------------------------------------------

my $proxy = trap();
my $proxy_url = 'http://127.0.0.1:' . $proxy->sockport;
my $shim = "$dir/elsewhere.so";
my $connects = write_file('connects', '');

run_quiet(qw(cc -shared -fPIC -O1 -o), $shim, "$FindBin::RealBin/lib/elsewhere.c", '-ldl');
write_file('.netrc', "machine 127.0.0.1 login netrc-login password netrc-password\ndefault login netrc-login password netrc-password\n");
write_file($_, "insecure\nlocation\nproxy = \"$proxy_url\"\nuser = \"curlrc-login:curlrc-password\"\nheader = \"X-Curlrc: 1\"\n") foreach '.curlrc', 'curlrc';
# TLS as weak as it gets, so that what is refused is refused by the extension
my $weak = write_file('openssl.cnf', "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = weak\n[weak]\nMinProtocol = None\nCipherString = DEFAULT\@SECLEVEL=0\n");
my %astray = (
	(map { $_ => $proxy_url, uc $_ => $proxy_url } qw(http_proxy https_proxy all_proxy ftp_proxy)), no_proxy => '', NO_PROXY => '',
	HOME => $dir, CURL_HOME => $dir, XDG_CONFIG_HOME => $dir, NETRC => "$dir/.netrc",
	CURL_CA_BUNDLE => "$dir/other_ca.pem", SSL_CERT_FILE => "$dir/other_ca.pem", SSL_CERT_DIR => $dir, OPENSSL_CONF => $weak,
	LD_PRELOAD => $shim, INQUD_TEST_CONNECTS => $connects);
my $shop = Inqud::Shop->new(env => \%astray, options => { timeout => '20s', connect_timeout => '10s', poll_new => '1day', ca_file => $ca });
my $emu = $shop->emu;
my $session = $shop->session;
my $projects = 0;

# A project of its own with this base_url (and options).
sub project_at
{
	my ($url, %options) = @_;
	my $project = 'p' . ++$projects;

	$shop->project($project, options => { timeout => '20s', connect_timeout => '10s', poll_new => '1day', base_url => $url, ca_file => $ca, %options });
	return $project;
}

# Both kinds of call in a session, and an order for the worker, come to nothing.
sub refused
{
	my ($name, $project, $says) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	foreach my $sql ($shop->create_sql("s $name", undef, $project), "SELECT inqud_get_checkout('$project', 'CCO-1')")
	{
		Inqud::Shop::error_is($session->query($sql)->{error}, { state => '08001', message => 'could not connect to payment service', detail => $says },
			"$name: refused in a session, " . ($sql =~ /create/ ? 'create' : 'read'));
	}
	$session->query_safe($shop->enqueue_sql("w $name", undef, $project));
	$shop->until("SELECT error IS NOT NULL AND state = 'queued' FROM inqud.checkout WHERE order_id = 'w $name'", "$name: refused in the worker");
	like($shop->checkout("w $name")->{error}, $says, "$name: which says why");
	$session->query_safe("SELECT inqud_cancel(id) FROM inqud.checkout WHERE order_id = 'w $name'");
	return;
}

sub accepted
{
	my ($name, $project) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is($session->query('SELECT status FROM inqud_create_checkout(' . $shop->arguments("s $name", undef, $project) . ')')->{out}, 'NEW', "$name: accepted in a session");
	$session->query_safe($shop->enqueue_sql("w $name", undef, $project));
	$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'w $name'", "$name: accepted in the worker");
	return;
}

# ---------------------------------------------------------------------
# Whom calls trust
# ---------------------------------------------------------------------

accepted('good', project_at($tls{good}{emu}->url));
accepted('good, localhost', project_at($tls{good}{emu}->url =~ s/127\.0\.0\.1/localhost/r));
refused('without ca_file', project_at($tls{good}{emu}->url, ca_file => undef), qr/certificate/i);
foreach my $name (grep { $_ ne 'good' } sort keys %tls)
{
	refused($name, project_at($tls{$name}{emu}->url), $tls{$name}{says});
	is($tls{$name}{emu}->get('counts')->{total}, 0, "$name: no request was sent");
}

# A server of one version of TLS; gives its port.
sub tls_server
{
	my (@arguments) = @_;
	my $server = { out => '' };
	my @command = (qw(openssl s_server -accept 127.0.0.1:0 -cert), $tls{good}{file}, '-key', "$dir/key.pem", '-www', @arguments);

	$server->{run} = IPC::Run::start(\@command, '<', \undef, '>&', \$server->{out}, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	$server->{run}->pump until $server->{out} =~ /^ACCEPT .*:(\d+)/m || !$server->{run}->pumpable;
	$server->{port} = $server->{out} =~ /^ACCEPT .*:(\d+)/m ? $1 : die "no TLS server: $server->{out}\n";
	return $server;
}

foreach my $version ([ '1.1', 0 ], [ '1.2', 1 ])
{
	my ($number, $good) = @$version;
	my $flag = '-tls' . $number =~ s/\./_/r;
	my $server = tls_server($flag, '-cipher', 'DEFAULT@SECLEVEL=0');
	my $says = run_quiet(qw(openssl s_client -connect), "127.0.0.1:$server->{port}", '-CAfile', $ca, $flag, '-cipher', 'DEFAULT@SECLEVEL=0');
	my $project = project_at("https://127.0.0.1:$server->{port}");

	like($says, qr/Protocol *: TLSv\Q$number\E\n.*Verify return code: 0/s, "TLS $number: the server speaks it, and its certificate is good");
	refused("TLS $number only", $project, qr/TLS|SSL|protocol/) if !$good;
	# it answers in HTML: that much was heard
	is($session->query("SELECT inqud_get_checkout('$project', 'CCO-1')")->{error}{state}, 'IQ005', "TLS $number is spoken") if $good;
	$server->{run}->kill_kill;
}

# ---------------------------------------------------------------------
# What replies try
# ---------------------------------------------------------------------

my $known = $emu->control('create', { type => 'NO_PRICE', clientOrderId => 'known' })->{id};
my $target = trap();
my $there = '127.0.0.1:' . $target->sockport;
my $redirects = 0;

foreach my $status (301, 302, 303, 307, 308)
{
	foreach my $location ("http://$there/", "http://localhost:" . $target->sockport . '/', "https://$there/", "//$there/", "ftp://$there/x", "gopher://$there/_x",
		'file:///etc/passwd', "dict://$there/x", "http://user:pw\@$there/", $emu->url . '/elsewhere')
	{
		my $order = 'redirect ' . ++$redirects;

		$emu->fault({ match => $_->[0], action => 'status', status => $status, headers => { Location => $location }, times => $_->[1] })
		  foreach [ { clientOrderId => "s $order" }, 1 ], [ { clientOrderId => "w $order" }, 1000 ], [ { method => 'GET', checkout => $known }, 1 ];
		my $create = $session->query($shop->create_sql("s $order"));
		my $read = $session->query("SELECT inqud_get_checkout('shop', '$known')");
		is(join(' ', map { $_->{error}{state} // 'none' } $create, $read), 'IQ005 IQ005', "$status to $location in a session");
		$session->query_safe($shop->enqueue_sql("w $order"));
	}
}
$shop->until("SELECT count(*) FROM inqud.checkout WHERE order_id LIKE 'w redirect%' AND state = 'queued' AND error ~ 'redirect'", 'redirects in the worker', $redirects);
untouched($target, "$redirects redirects lead nowhere");
is(scalar(grep { $_->{path} =~ /elsewhere/ } $shop->requests), 0, 'not even to the same server');
$emu->clear_faults;
$shop->until("SELECT count(*) FROM inqud.checkout WHERE order_id LIKE 'w redirect%' AND state = 'open'", 'and keep nobody from paying later', $redirects);

# Headers that a browser would act on.
$emu->fault({ action => 'status', status => 200, process => JSON::PP::true(), headers => {
			'Set-Cookie' => 'stolen=1; Path=/', 'Alt-Svc' => "h2=\"$there\"; ma=999, h3=\"$there\"", 'Strict-Transport-Security' => 'max-age=999999',
			Refresh => "0; url=http://$there/", Link => "<http://$there/>; rel=preload", Location => "http://$there/" }, times => 2 });
$session->query($shop->create_sql('s headers'));
$session->query("SELECT inqud_get_checkout('shop', '$known')");
foreach my $scheme ('Basic', 'Digest', 'NTLM', 'Negotiate', 'Bearer')
{
	my %challenge = $scheme eq 'Digest' ? (nonce => 'x', qop => 'auth') : ();
	my $text = join ', ', "$scheme realm=\"x\"", map { "$_=\"$challenge{$_}\"" } sort keys %challenge;

	foreach my $status (401, 407)
	{
		$emu->clear_faults;
		$emu->fault({ action => 'status', status => $status, headers => { 'WWW-Authenticate' => $text, 'Proxy-Authenticate' => $text }, times => 1 });
		like($session->query("SELECT inqud_get_checkout('shop', '$known')")->{error}{state} // 'none', qr/^IQ00[1-5]$/, "$scheme, $status: an error");
	}
}
$emu->clear_faults;
is($session->query_safe("SELECT status FROM inqud_get_checkout('shop', '$known')"), 'NEW', 'after such headers calls go on');
untouched($target, 'and nowhere else');
my @sent = grep { /^(?:cookie|authorization|proxy-.*|x-curlrc|referer):/i } map { map { join ': ', @$_ } @{ $_->{headers} } }
  map { @{ $_->get('log') } } $emu, $tls{good}{emu};
is_deeply(\@sent, [], 'no cookie, no login and nothing of a curlrc was ever sent');
untouched($proxy, 'no proxy of the environment was ever used');

# ---------------------------------------------------------------------
# Names that lead inside
# ---------------------------------------------------------------------

my $port = $tls{good}{emu}->port;
my $before = $tls{good}{emu}->get('counts')->{total};
my $inside = qr/leads to an address that is not public/;
my @addresses = qw(127.0.0.1 127.8.8.8 0.0.0.0 10.0.0.1 100.64.0.1 169.254.169.254 172.16.0.1 192.168.1.1 198.18.0.1 224.0.0.1 255.255.255.255
	xx xx1 fe80xx1 fc00xx1 fd00xx1 ff02xx1 xxffffx127.0.0.1 xxffffx10.0.0.1 64xff9bxx10.0.0.1 2002xa00x1xx1 2001xx1);

open my $empty, '>', $connects or die "$connects: $!\n";
close $empty;
refused("name to $_", project_at("https://$_.to.example:$port"), $inside) foreach @addresses;
refused('name below localhost', project_at("https://inqud.localhost:$port"), $inside);
# a connection to localhost is kept, and must not serve it
refused('localhost with a point', project_at("https://localhost.:$port"), qr/not public|resolve host/);
is($tls{good}{emu}->get('counts')->{total}, $before, 'no request has come');
is(PostgreSQL::Test::Utils::slurp_file($connects), '', 'nothing at all was connected to');
# the record is one
refused('an address that nobody has', project_at("https://127.0.0.2:$port"), qr/./);
like(PostgreSQL::Test::Utils::slurp_file($connects), qr/^(?:127\.0\.0\.2\n)+\z/, 'what is connected to is recorded');

# ---------------------------------------------------------------------
# Other protocols
# ---------------------------------------------------------------------

foreach my $url ('file:///etc/passwd', "ftp://$there", "gopher://$there/_x", "dict://$there", "ldap://$there", "smtp://$there", "telnet://$there", "tftp://$there",
	"ws://$there", "scp://$there", "rtsp://$there", "imap://$there", "http+unix://%2ftmp%2fx", "HTTP\\://$there", "http://$there\@evil.example")
{
	Inqud::Shop::error_is($session->query("ALTER SERVER shop OPTIONS (SET base_url '$url')")->{error}, { state => 'HV024', message => qr/"base_url"/ }, "base_url $url");
	# past the validator, as only a superuser can
	$session->query_safe("BEGIN; UPDATE pg_foreign_server SET srvoptions = ARRAY['project_id=CAP-1', 'base_url=' || " . Inqud::Shop::literal($url) . "] WHERE srvname = 'shop'");
	like($session->query("SELECT inqud_get_checkout('shop', '$known')")->{error}{state} // 'none', qr/^HV024$/, 'nor from the catalog');
	$session->query_safe('ROLLBACK');
}
untouched($target, 'no protocol but http was spoken');
is($session->query_safe("SELECT status FROM inqud_get_checkout('shop', '$known')"), 'NEW', 'and the session goes on');
$session->close;

done_testing();
