#!/usr/bin/perl
#
# 005_errors.pl - proves what the synchronous functions say when something is
# wrong: arguments, projects, rights and mappings before anything is sent; then
# each class of failure with its SQLSTATE, detail and hint, for creates and
# reads.  Nothing is recorded of a call that failed, no credential is ever shown,
# and the session goes on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use PostgreSQL::Test::Utils ();
use Test::More;

my $shop = Inqud::Shop->new(
	emulator => { blackhole => 1 },
	options => { timeout => '30s', connect_timeout => '30s', max_reply_size => '64kB', poll_new => '1day' });
my $emu = $shop->emu;
my $session = $shop->session;
my @seen;

sub literal { return Inqud::Shop::literal(@_) }

# Tests the error that a statement in the common session raises.
sub fails
{
	my ($sql, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $answer = $session->query($sql);

	push @seen, $answer->{err};
	return Inqud::Shop::error_is($answer->{error}, $expected, $name);
}

# ---------------------------------------------------------------------
# Arguments
# ---------------------------------------------------------------------

my %good = (project => 'shop', order_id => '1', name => 'Order', return_url => 'https://shop.example/');

# A call with named arguments: the good ones, changed.
sub call
{
	my ($function, %changed) = @_;
	my %arguments = (%good, %changed);

	return "SELECT $function(" . join(', ', map { "$_ => " . literal($arguments{$_}) } sort keys %arguments) . ')';
}

my @wrong = (
	[ { order_id => undef }, '22004', 'order_id' ], [ { order_id => '' }, '22023', 'order_id', qr/empty/ ],
	[ { order_id => 'x' x 201 }, '22023', 'order_id', qr/201 characters/ ], [ { order_id => "a\tb" }, '22023', 'order_id', qr/control/ ],
	[ { name => undef }, '22004', 'name' ], [ { name => '' }, '22023', 'name', qr/empty/ ], [ { name => "a\x07b" }, '22023', 'name', qr/control/ ],
	(map { [ { name => $_ }, '22023', 'name', qr/empty/ ] } ' ', "\n\t ", "\xc2\x85\xe2\x80\xa8\xe2\x80\x8b\xc2\xa0"),
	[ { return_url => undef }, '22004', 'return_url' ], [ { return_url => '' }, '22023', 'return_url' ],
	(map { [ { return_url => $_ }, '22023', 'return_url' ] } 'ftp://shop.example/', 'javascript:alert(1)', 'shop.example', '/orders/1',
		'https://', 'https:///x', 'https://shop.example/a b', "https://shop.example/\x01", 'https://user:pw@shop.example/'),
	(map { [ { amount => $_, currency => 'USD' }, '22023', 'amount' ] } '0', '0.000', '-1', 'NaN', 'Infinity', '-Infinity',
		'0.0000000000000000001', '1.1234567890123456789', '1' x 39, '1e38', '1e400'),
	[ { amount => '10' }, '22023', 'currency', qr/needs a currency/ ], [ { currency => 'USD' }, '22023', 'currency', qr/needs an amount/ ],
	(map { [ { amount => '10', currency => $_ }, '22023', 'currency' ] } '', 'US D', 'U"', "\xe2\x82\xac", 'X' x 21),
	[ { type => 'fixed' }, '22023', 'type', qr/not a type/ ], [ { type => '' }, '22023', 'type' ], [ { type => 'FIXED_PRICE' }, '22023', 'type', qr/needs an amount/ ],
	[ { type => 'NO_PRICE', amount => '1', currency => 'USD' }, '22023', 'type', qr/takes no amount/ ],
	[ { type => 'SUGGESTED_FIXED_PRICE', amount => '1', currency => 'USD' }, '22023', 'type', qr/takes no amount/ ],
	(map { [ { expires_at => $_ }, '22023', 'expires_at' ] } '2020-01-01', 'infinity', '-infinity', '200000-01-01'),
	(map { [ { extra => $_ }, '22023', 'extra' ] } '[]', '1', '"x"', 'null', map { "{\"$_\": 1}" } qw(type fixedAmount clientOrderId name expiresAt returnUrl)),
);

foreach my $function (qw(inqud_create_checkout inqud_enqueue_checkout))
{
	my @bad;

	foreach my $case (@wrong)
	{
		my ($changed, $state, $argument, $detail) = @$case;
		my $answer = $session->query(call($function, %$changed));
		my $error = $answer->{error} // { state => 'none', message => '', detail => '' };

		push @bad, join ' ', %{ { map { $_ => $changed->{$_} // 'NULL' } keys %$changed } }, "-> $error->{state} $error->{message} $error->{detail}"
		  unless $error->{state} eq $state && $error->{message} =~ /"$argument"/ && (!$detail || $error->{detail} =~ $detail);
	}
	is_deeply(\@bad, [], "$function: " . @wrong . ' kinds of wrong arguments are refused');
	fails(call($function, project => undef), { state => '22004', message => qr/"project"/ }, "$function: a null project");
	fails(call($function, project => 'none'), { state => '42704', message => qr/"none"/ }, "$function: an unknown project");
}
$shop->set_options('shop', name_limit => 10);
fails(call('inqud_create_checkout', name => 'x' x 11), { state => '22023', detail => qr/name_limit 10/, hint => qr/never cut/ }, 'name_limit counts');
fails(call('inqud_create_checkout', name => "\xc3\xa4" x 11), { state => '22023', detail => qr/11 characters/ }, 'in characters');
$shop->set_options('shop', name_limit => undef);
fails("SELECT inqud_get_checkout('shop', " . literal($_) . ')', { state => '22023', message => qr/"checkout_id"/ }, 'reading "' . s/\n/\\n/r . '"')
  foreach '', 'a b', "a\nb", "\xc3\xa4", 'x' x 201;
is($session->query_safe("SELECT inqud_get_checkout('shop', NULL) IS NULL"), 't', 'reading null is null');
fails("SELECT inqud_get_checkout('none', 'CCO-1')", { state => '42704', message => qr/"none"/ }, 'reading from an unknown project');

# ---------------------------------------------------------------------
# Projects, rights, mappings
# ---------------------------------------------------------------------

$shop->sql("CREATE ROLE app LOGIN; CREATE ROLE stranger LOGIN;
	CREATE FOREIGN DATA WRAPPER dummy; CREATE SERVER other FOREIGN DATA WRAPPER dummy;
	CREATE SERVER bare FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-bare', base_url '" . $emu->url . "');
	CREATE SERVER half FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-half', base_url '" . $emu->url . "');
	CREATE USER MAPPING FOR PUBLIC SERVER half OPTIONS (token_id 'TKN-test')");
fails(call('inqud_create_checkout', project => 'other'), { state => '42809', message => qr/"other" is not an Inqud project/ }, 'a server of another wrapper');
fails(call('inqud_create_checkout', project => 'bare'), { state => '42704', message => qr/user mapping not found/, hint => qr/CREATE USER MAPPING/ },
	'no user mapping');
fails(call('inqud_create_checkout', project => 'half'), { state => '42704', message => qr/no API token/, hint => qr/ALTER USER MAPPING/ },
	'a user mapping without a secret');
foreach my $what (call('inqud_create_checkout'), call('inqud_enqueue_checkout'), "SELECT inqud_get_checkout('shop', 'CCO-1')")
{
	fails("SET ROLE stranger; $what; RESET ROLE", { state => '42501', message => qr/permission denied for foreign server shop/ },
		'no USAGE: ' . ($what =~ /(inqud_\w+)/)[0]);
	$session->query_safe('RESET ROLE');
}
foreach my $options ([ "ALTER SERVER shop OPTIONS (ADD nonsense '1')", 'HV00D', qr/"nonsense"/, qr/base_url/ ],
	[ "ALTER SERVER shop OPTIONS (SET base_url 'http://shop.example')", 'HV024', qr/"base_url"/ ],
	[ "ALTER SERVER shop OPTIONS (SET timeout 'soon')", 'HV024', qr/"timeout"/ ])
{
	fails($options->[0], { state => $options->[1], message => $options->[2], $options->[3] ? (hint => $options->[3]) : () }, $options->[0]);
}

is($emu->get('counts')->{total}, 0, 'of all that, nothing was sent');
is($shop->sql('SELECT (SELECT count(*) FROM inqud.checkout) + (SELECT count(*) FROM inqud.queue)'), 0, 'and nothing recorded');

# An id goes into a path as one segment, whatever it is.
fails("SELECT inqud_get_checkout('shop', '../x?a=1#b%2e')", { state => 'IQ005' }, 'a strange checkout id is asked for');
like(($shop->requests)[-1]{path}, qr{/checkouts/\.\.%2Fx%3Fa%3D1%23b%252e$}i, 'as one segment of the path');

# ---------------------------------------------------------------------
# Failures of the call
# ---------------------------------------------------------------------

my $known = $emu->control('create', { type => 'NO_PRICE', clientOrderId => 'known' })->{id};
my $number = 0;

# A create and a read under a fault: what each raises.
sub under
{
	my ($name, $fault, $create, $read) = @_;
	my $order = 'fault ' . ++$number;

	if ($create)
	{
		$emu->fault({ match => { method => 'POST' }, %$fault });
		fails($shop->create_sql($order), { message => qq(could not create checkout for order "$order"), %$create }, "create, $name: $create->{state}");
		is($shop->sql('SELECT count(*) FROM inqud.checkout'), 0, 'nothing is recorded');
	}
	$emu->clear_faults;
	if ($read)
	{
		$emu->fault({ match => { method => 'GET' }, %$fault });
		fails("SELECT inqud_get_checkout('shop', '$known')", { message => qq(could not read checkout "$known"), %$read }, "read, $name: $read->{state}");
	}
	$emu->clear_faults;
	$emu->control('release');
	return;
}

sub status
{
	my ($status, $message, %more) = @_;

	return { action => 'status', status => $status, body => defined $message ? { code => 'SOME_CODE', message => $message } : '', %more };
}

my %html = (body => '<html>404</html>', content_type => 'text/html');
my $mapping = qr/user mapping for server "shop"/;
my $address = qr/project_id, base_url and checkout_path of server "shop"/;
my $unknown = qr/nothing was recorded, and repeating is safe/;

foreach my $status (400, 409, 410, 422)
{
	under("status $status", status($status, 'because'), { state => 'IQ001', detail => qr/$status.*because/ }, { state => 'IQ001', detail => qr/$status.*because/ });
}
foreach my $status (401, 403)
{
	my $expected = { state => 'IQ002', detail => qr/$status.*who are you/, hint => $mapping };

	under("status $status", status($status, 'who are you'), $expected, $expected);
}
under('status 404, JSON', status(404, 'no such thing'), { state => 'IQ005', detail => qr/404.*no such thing/, hint => $address },
	{ state => 'IQ005', detail => qr/knows no such checkout.*404/, hint => '' });
under('status 404, HTML', { action => 'status', status => 404, %html }, map { { state => 'IQ005', detail => qr/404/, hint => $address } } 1, 2);
under('status 405', status(405, 'no'), { state => 'IQ005', detail => qr/405/, hint => $address }, { state => 'IQ005' });
under('a redirect', status(302, undef, headers => { Location => $emu->url . '/' }), map { { state => 'IQ005', detail => qr/redirect/ } } 1, 2);
under("status $_", status($_, 'oh dear'), { state => 'IQ004', detail => $unknown }, { state => 'IQ004', detail => qr/oh dear.*repeating is safe/ })
  foreach 500, 502, 503;
under('status 500, HTML', { action => 'status', status => 500, %html }, { state => 'IQ004', detail => $unknown }, { state => 'IQ004' });

$shop->set_options('shop', timeout => '700ms');
under('no answer', { action => 'hang', phase => 'headers' }, { state => 'IQ004', detail => $unknown }, { state => 'IQ004', detail => qr/repeating is safe/ });
under('half an answer', { action => 'hang', phase => 'body' }, { state => 'IQ004', detail => $unknown }, { state => 'IQ004' });
under('a dripping answer', { action => 'drip', interval => 50 }, { state => 'IQ004', detail => $unknown }, { state => 'IQ004' });
$shop->set_options('shop', timeout => '30s');
under('a reset', { action => 'drop_after' }, { state => 'IQ004', detail => $unknown }, { state => 'IQ004' });
under('a close', { action => 'drop_before', how => 'fin' }, { state => 'IQ004', detail => $unknown }, { state => 'IQ004' });
under('a cut reply', { action => 'truncate' }, { state => 'IQ004', detail => $unknown }, { state => 'IQ004' });
under('garbage', { action => 'raw', base64 => 'AGdhcmJhZ2U=' }, { state => 'IQ004', detail => $unknown }, { state => 'IQ004' });

under('HTML for a reply', { action => 'status', status => 200, %html }, { state => 'IQ004', detail => qr/not JSON.*$unknown/ },
	{ state => 'IQ005', detail => qr/not understood.*not JSON/ });
under('an empty reply', status(200), { state => 'IQ004', detail => $unknown }, { state => 'IQ005' });
under('status 204', status(204), { state => 'IQ004', detail => $unknown }, { state => 'IQ005' });
under("$_ for a reply", { action => 'status', status => 200, body => $_ }, { state => 'IQ004', detail => $unknown }, { state => 'IQ005' })
  foreach '[]', '{}', '1', 'null', '"x"', '{"id":"CCO-1"}', '{"status":"NEW"}', '{"id":7,"status":"NEW"}', '{"id":"","status":"NEW"}';
under('a large reply', { action => 'oversize', bytes => 100_000 }, { state => 'IQ004', detail => qr/max_reply_size.*$unknown/ },
	{ state => 'IQ005', detail => qr/max_reply_size/ });
under('another checkout', { action => 'alter', override => { id => '"CCO-another"' } }, undef, { state => 'IQ005', detail => qr/another checkout/ });
foreach my $misfit ([ clientOrderId => '"another"', 'order' ], [ projectId => '"CAP-another"', 'project' ], [ type => '"FIXED_PRICE"', 'type' ],
	[ fixedAmount => '{"amount":1,"currency":"USD"}', 'amount' ])
{
	under("another $misfit->[2]", { action => 'alter', override => { $misfit->[0] => $misfit->[1] } },
		{ state => 'IQ005', detail => qr/another $misfit->[2].*nothing was recorded/ });
}

# ---------------------------------------------------------------------
# Not reached
# ---------------------------------------------------------------------

my $ports = $emu->get('info')->{blackhole};

sub unreachable
{
	my ($name, $url, $detail) = @_;

	$shop->set_options('shop', base_url => $url);
	fails($shop->create_sql('unreachable'), { state => '08001', message => 'could not connect to payment service', $detail ? (detail => $detail) : () },
		"create, $name: 08001");
	fails("SELECT inqud_get_checkout('shop', '$known')", { state => '08001', message => 'could not connect to payment service' }, "read, $name: 08001");
	return;
}

unreachable('refused', $shop->refused_url, qr/./);
$shop->set_options('shop', connect_timeout => '400ms');
unreachable('a host name that does not exist', 'https://no-such-host.invalid');
unreachable('a connect that hangs', "http://127.0.0.1:$ports->{connectHangs}");
unreachable('a TLS handshake that hangs', "https://127.0.0.1:$ports->{answerHangs}");
$shop->set_options('shop', connect_timeout => '30s');
unreachable('no TLS at the other end', $emu->url =~ s/^http:/https:/r);

# Certificates: one for this address, and one for another name.
my $dir = PostgreSQL::Test::Utils::tempdir();
my %tls;

foreach my $name ('IP:127.0.0.1', 'DNS:elsewhere.example')
{
	my $file = "$dir/" . lc((split /:/, $name)[0]);

	PostgreSQL::Test::Utils::run_log([ 'openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=test',
			'-addext', "subjectAltName=$name", '-keyout', "$file.key", '-out', "$file.pem" ]) or die "openssl did not make a certificate\n";
	$tls{$name} = { file => "$file.pem", emu => Inqud::Emulator->start(tls_cert => "$file.pem", tls_key => "$file.key") };
}
unreachable('a certificate that nobody signed', $tls{'IP:127.0.0.1'}{emu}->url, qr/certificate/i);
$shop->set_options('shop', ca_file => $tls{'DNS:elsewhere.example'}{file});
unreachable('a certificate for another name', $tls{'DNS:elsewhere.example'}{emu}->url, qr/./);
unreachable('a certificate of another authority', $tls{'IP:127.0.0.1'}{emu}->url, qr/./);
is($tls{$_}{emu}->get('counts')->{total}, 0, "nothing was sent to $_") foreach sort keys %tls;
$shop->set_options('shop', ca_file => $tls{'IP:127.0.0.1'}{file});
is($session->query_safe('SELECT status FROM inqud_create_checkout(' . $shop->arguments('tls') . ')'), 'NEW', 'with the right ca_file the call succeeds');
$shop->set_options('shop', ca_file => undef, base_url => $emu->url);

# ---------------------------------------------------------------------
# Throttled
# ---------------------------------------------------------------------

# A pause is the project's, so each of these takes a project of its own.
my @throttles = (
	[ 'status 429', status(429, 'slow down', retry_after => 1000), qr/Try again in 1000000 ms/ ],
	[ 'status 408', status(408, 'slow down'), qr/Try again in \d+ ms/ ],
	# time() goes by a coarse clock, which can show the second before the emulator's
	[ 'Retry-After as a date', status(429, undef, retry_after_date => 1000), qr/Try again in (?:9\d\d|100[01])\d{3} ms/ ],
	[ 'an absurd Retry-After', status(429, undef, retry_after => '999999999999999999999'), qr/Try again in 3600000 ms/ ],
	[ 'a senseless Retry-After', status(429, undef, retry_after => 'soon'), qr/Try again in \d{1,4} ms/ ],
	[ 'a negative Retry-After', status(429, undef, retry_after => '-5'), qr/Try again in \d{1,4} ms/ ]);

foreach my $case (@throttles)
{
	my ($name, $fault, $hint) = @$case;
	my $project = 'throttled_' . ++$number;

	$emu->control('project', { id => "CAP-$project", name => $project, account => 'first' });
	$shop->project($project, options => { project_id => "CAP-$project" });
	$emu->fault({ %$fault, times => 1 });
	fails($shop->create_sql('x', undef, $project), { state => 'IQ003', message => 'could not create checkout for order "x"', hint => $hint },
		"create, $name: IQ003");
}
fails($shop->create_sql('y', undef, "throttled_$_"), { state => 'IQ003', message => qr/too many calls/, hint => qr/Try again in \d+ ms/ },
	'a session does not wait for the end of a pause that is longer than "timeout"') foreach $number - 5;
is($emu->get('counts', project => "CAP-throttled_" . ($number - 5))->{posts}{y}, undef, 'and sends nothing meanwhile');

$emu->control('project', { id => 'CAP-slow', name => 'slow', account => 'first' });
$shop->project('slow', options => { project_id => 'CAP-slow', rate_limit => '0.001' });
$session->query_safe($shop->create_sql('first', undef, 'slow'));
fails($shop->create_sql('second', undef, 'slow'), { state => 'IQ003', message => 'too many calls for project "slow"', hint => qr/rate_limit/ },
	'rate_limit: IQ003 when a turn would come after "timeout"');
is($emu->get('counts', project => 'CAP-slow')->{posts}{second}, undef, 'nothing was sent');

# ---------------------------------------------------------------------
# What is shown of the other side's words, and what never
# ---------------------------------------------------------------------

$emu->fault({ match => { method => 'POST' }, %{ status(422, "bell \x07 and\nline and \x1b[31m " . ('long ' x 2000)) } });
my $error = $session->query($shop->create_sql('words'))->{error};
like($error->{detail}, qr/bell.*and.*line/s, 'the other side\'s words are shown');
Inqud::Shop::lacks($error->{detail}, qr/[\x00-\x09\x0b-\x1f]/, 'control characters are taken out');
cmp_ok(length $error->{detail}, '<', 1000, 'long words are cut');
$emu->clear_faults;
foreach my $auth (qw(secret signed))
{
	$shop->set_options('shop', auth => $auth);
	$emu->fault({ %{ status(401, 'the secret ' . Inqud::Shop::SECRET . ' is wrong') } });
	my $answer = $session->query($shop->create_sql('echo'));
	push @seen, $answer->{err};
	is($answer->{error}{state}, 'IQ002', "auth $auth: a reply that repeats the secret");
	$emu->clear_faults;
}
cmp_ok(scalar(grep { length } @seen), '>', 40, 'many messages were collected');
is(scalar(grep { index($_, Inqud::Shop::SECRET) >= 0 } @seen), 0, 'the secret never stands in a message');
# only our own CREATE USER MAPPING, were it logged, may have it
is(scalar(grep { index($_, Inqud::Shop::SECRET) >= 0 && !/STATEMENT|statement/ }
	split /\n/, PostgreSQL::Test::Utils::slurp_file($shop->node->logfile)), 0, 'nor in the server\'s log');

$shop->set_options('shop', auth => 'secret');
is($session->query_safe('SELECT status FROM inqud_create_checkout(' . $shop->arguments('at last') . ')'), 'NEW', 'after all that the session works');
is($shop->sql("SELECT count(*) FROM inqud.checkout WHERE order_id LIKE 'fault%'"), 0, 'nothing of the failed ones was recorded');
$session->close;

done_testing();
