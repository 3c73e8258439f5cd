#!/usr/bin/perl
#
# 051_check_project.pl - proves that inqud_check_project finds each fault that a
# project can have, at the step where it is, with the way to mend it; that what
# comes before is found good and what comes after is not tried; that it creates
# nothing, raises no error but that of a cancel (and of the worker), tells a role
# without USAGE nothing, and never shows a key.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use JSON::PP ();
use List::Util qw(uniq);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils ();
use Test::More;

# The steps that depend on each other, and those that stand alone.
my @CHAIN = qw(server rights options mapping name connection tls answer credentials route);
my @STEPS = ('version', @CHAIN, qw(clock ids worker queue trouble on_status on_status_path webhooks trigger));

my $shop = Inqud::Shop->new(
	emulator => { blackhole => 1 },
	conf => [ 'wal_level = replica', 'max_wal_senders = 5', 'hot_standby = on' ],
	options => { timeout => '3s', connect_timeout => '2s', poll_new => '30day', poll_active => '30day' });
my $emu = $shop->emu;
my $dir = PostgreSQL::Test::Utils::tempdir();
my @seen;

# The verdicts of a call and the details, by step; the steps must be those above, in order.
sub check
{
	my ($sql, %o) = @_;
	my $where = $o{shop} // $shop;
	my $session = $where->session;
	my $answer = $session->query(($o{role} ? "SET ROLE $o{role};" : '')
		. "SELECT step || '|' || coalesce(ok::text, 'null') || '|' || detail FROM inqud_check_project(" . Inqud::Shop::literal($sql) . ')');

	$session->close;
	push @seen, $answer->{out}, $answer->{err};
	my @rows = map { [ split /\|/, $_, 3 ] } split /\n/, $answer->{out};

	is(join(' ', uniq(map { $_->[0] } @rows)), "@STEPS", "$sql: every step has its row") or diag($answer->{err});
	return { (map { $_->[0] => { ok => $_->[1], detail => $_->[2] } } @rows), triggers => [ map { "$_->[1] $_->[2]" } grep { $_->[0] eq 'trigger' } @rows ] };
}

# Tests that of the chain everything before a step is good (or null where said),
# the step is as expected with this detail, and what follows is not tried.
sub stops_at
{
	my ($name, $step, $detail, %o) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $found = $o{found} // check($o{project} // 'shop', %o);
	my $plain = $o{https} ? 'true' : 'null';
	my ($past, @is, @should);

	foreach my $s (@CHAIN)
	{
		push @is, "$s $found->{$s}{ok}";
		push @should, "$s " . ($s eq $step ? 'false' : $o{$s} // ($past ? 'null' : $s eq 'tls' ? $plain : 'true'));
		$past = 1 if $s eq $step;
	}
	is("@is", "@should", "$name: $step fails, and it alone");
	like($found->{$step}{detail}, $detail, "$name: says how to mend it");
	return $found;
}

# Tests that nothing of the chain fails.
sub passes
{
	my ($name, %o) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $found = $o{found} // check($o{project} // 'shop', %o);

	is(join(' ', grep { $found->{$_}{ok} ne 'true' && $_ ne 'tls' } @CHAIN), '', "$name: all of the chain is good");
	is($found->{tls}{ok}, $o{https} ? 'true' : 'null', "$name: tls");
	return $found;
}

# Tests one step that stands alone.
sub step_is
{
	my ($found, $step, $ok, $detail, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is($found->{$step}{ok}, $ok, "$name: $step is $ok");
	like($found->{$step}{detail}, $detail, "$name: $step says why");
	return;
}

# ---------------------------------------------------------------------
# All is well
# ---------------------------------------------------------------------

my $found = passes('a new project');
step_is($found, 'version', 'true', qr/\d+\.\d+ and serves/, 'a new project');
step_is($found, 'options', 'true', qr/\Q${\ Inqud::Shop::PROJECT}\E at \Q${\ $emu->url}\E/, 'a new project');
step_is($found, 'mapping', 'true', qr/for PUBLIC/, 'a new project');
step_is($found, 'name', 'true', qr/127\.0\.0\.1/, 'a new project');
step_is($found, 'answer', 'true', qr/^HTTP 404$/, 'a new project');
step_is($found, 'route', 'true', qr/id that nobody has.*first checkout/, 'a new project');
step_is($found, 'clock', 'null', qr/no date/, 'a new project');
step_is($found, 'worker', 'true', qr/process \d+|not needed now/, 'a new project');
step_is($found, 'queue', 'true', qr/^0 checkouts/, 'a new project');
step_is($found, 'on_status', 'null', qr/not set/, 'a new project');
step_is($found, 'webhooks', 'null', qr/no secret/, 'a new project');
step_is($found, 'ids', 'true', qr/as Inqud's do/, 'a new project');
step_is($found, 'trouble', 'true', qr/has nothing/, 'a new project');
step_is($found, 'trigger', 'null', qr/no table has a trigger.*calls only/, 'a new project');
is(scalar($shop->requests), 1, 'one call was made');

$shop->sql($shop->enqueue_sql('1'));
$shop->wait_until("SELECT state = 'open' FROM inqud.checkout");
my $id = $shop->checkout('1')->{checkout_id};
my $before = $shop->sql('SELECT k, (SELECT count(*) FROM inqud.event) FROM inqud.checkout k');
$emu->control('choose', { id => $id });
$found = passes('a project with a checkout');
step_is($found, 'route', 'true', qr/^\Q$id\E was read$/, 'a project with a checkout');
is($shop->sql('SELECT k, (SELECT count(*) FROM inqud.event) FROM inqud.checkout k'), $before, 'what was read is not written');
is_deeply($shop->posts, { 1 => 1 }, 'and nothing is ever created');
$shop->set_options('shop', auth => 'signed');
passes('auth signed');
$shop->set_options('shop', auth => 'secret');
is($shop->sql('SELECT count(*) FROM inqud_check_project(NULL)'), '0', 'null has no rows');
is($shop->sql("BEGIN READ ONLY; SELECT count(*) FROM inqud_check_project('shop') WHERE ok IS FALSE; COMMIT"), '0', 'a read-only transaction will do');

# ---------------------------------------------------------------------
# Server, rights, options, mapping
# ---------------------------------------------------------------------

$shop->sql("CREATE ROLE app LOGIN; CREATE ROLE stranger LOGIN; GRANT USAGE ON FOREIGN SERVER shop TO app;
	CREATE FOREIGN DATA WRAPPER dummy; CREATE SERVER other FOREIGN DATA WRAPPER dummy;
	CREATE SERVER bare FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-bare', base_url '" . $emu->url . "');
	CREATE SERVER half FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-half', base_url '" . $emu->url . "');
	CREATE USER MAPPING FOR PUBLIC SERVER half OPTIONS (token_id 'TKN-test')");
my $calls = scalar $shop->requests;

stops_at('no such server', 'server', qr/"none" does not exist.*CREATE SERVER "none"/, project => 'none');
stops_at('a server of another wrapper', 'server', qr/"other" is not an Inqud project.*"dummy"/, project => 'other');
$found = stops_at('no USAGE', 'rights', qr/permission denied.*GRANT USAGE ON FOREIGN SERVER shop TO stranger/, role => 'stranger');
is(join("\n", sort map { "$_: $found->{$_}{detail}" } grep { $_ !~ /^(?:version|server|rights)$/ } @STEPS),
	join("\n", sort map { "$_: not tried, because of the step above" } grep { $_ !~ /^(?:version|server|rights)$/ } @STEPS), 'without USAGE nothing is told');
# What the validator would not let pass, from another version of it perhaps.
$shop->sql("CREATE SERVER spoiled FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-1');
	UPDATE pg_foreign_server SET srvoptions = srvoptions || 'timeout=marker-value'::text WHERE srvname = 'spoiled'");
$found = stops_at('an option that cannot be read', 'options', qr/invalid value for option "timeout" of server "spoiled"/, project => 'spoiled');
Inqud::Shop::lacks($found->{options}{detail}, qr/marker-value/, 'its value is not repeated');
stops_at('no mapping', 'mapping', qr/user mapping not found.*CREATE USER MAPPING/, project => 'bare');
stops_at('a mapping without a secret', 'mapping', qr/no API token.*ALTER USER MAPPING/, project => 'half');

my $file = "$dir/secrets";
$shop->sql("CREATE SERVER filed FOREIGN DATA WRAPPER inqud OPTIONS (project_id '" . Inqud::Shop::PROJECT . "', base_url '" . $emu->url . "', rate_limit '0');
	CREATE USER MAPPING FOR PUBLIC SERVER filed OPTIONS (secret_file '$file')");

sub write_secrets
{
	my ($text, $mode) = @_;

	unlink $file;
	PostgreSQL::Test::Utils::append_to_file($file, $text);
	chmod $mode, $file;
	return;
}

$found = stops_at('no secret file', 'mapping', qr/could not read secret file.*No such file/, project => 'filed');
Inqud::Shop::lacks($found->{mapping}{detail}, qr/\Q$file\E/, 'its path is not told');
write_secrets("token_id = TKN-test\ntoken_secret = test-token-secret\n", 0644);
stops_at('a secret file that all may read', 'mapping', qr/chmod 0640/, project => 'filed');
write_secrets("token_id = TKN-test\ntoken_sekret = test-token-secret\n", 0600);
stops_at('a bad line in the secret file', 'mapping', qr/line 2 in secret file/, project => 'filed');
write_secrets("token_id = TKN-test\n", 0600);
stops_at('a secret file without the secret', 'mapping', qr/no API token.*secret_file/, project => 'filed');
is(scalar($shop->requests), $calls, 'of all that, nothing was sent');
write_secrets("token_id = TKN-test\ntoken_secret = test-token-secret\n", 0600);
passes('a good secret file', project => 'filed');

$found = passes('an application\'s role', role => 'app');
step_is($found, 'route', 'true', qr/id that nobody has/, 'others\' checkouts are not read');
$shop->sql("CREATE USER MAPPING FOR app SERVER shop OPTIONS (token_id 'TKN-test', token_secret 'wrong')");
stops_at('a wrong mapping of its own', 'credentials', qr/refused: .*token_id and token_secret/, role => 'app');
step_is(check('shop', role => 'app'), 'mapping', 'true', qr/role's own/, 'a mapping of its own');
$shop->sql('DROP USER MAPPING FOR app SERVER shop');

# ---------------------------------------------------------------------
# The way there
# ---------------------------------------------------------------------

my $ports = $emu->get('info')->{blackhole};

sub at
{
	my ($url) = @_;

	$shop->set_options('shop', base_url => $url);
	return;
}

at('https://no-such-host.invalid');
stops_at('an unknown host', 'name', qr/no-such-host\.invalid has no address.*name servers/);
at($emu->url =~ s{^http://[^:]+}{https://rebound.localhost}r);
stops_at('a name that leads to a private address', 'name', qr/not public.*base_url/);
at($shop->refused_url);
stops_at('refused', 'connection', qr/127\.0\.0\.1:\d+: .*firewall/);
at("http://127.0.0.1:$ports->{connectHangs}");
stops_at('a connect that hangs', 'connection', qr/timed out.*firewall/);
at("https://127.0.0.1:$ports->{answerHangs}");
stops_at('a TLS handshake that hangs', 'tls', qr/no agreement within connect_timeout/);
at($emu->url =~ s/^http:/https:/r);
stops_at('no TLS at the other end', 'tls', qr/./);

sub openssl
{
	PostgreSQL::Test::Utils::run_log([ 'openssl', @_ ]) or die "openssl did not make a certificate\n";
	return;
}

# A certificate that is its own authority: its name and its time.
sub certificate
{
	my ($name, $from, $to) = @_;
	my $base = "$dir/" . lc($name =~ s/\W/_/gr) . $from;

	PostgreSQL::Test::Utils::append_to_file("$base.conf", <<"CONF");
[ca]
default_ca = c
[c]
database = $base.index
new_certs_dir = $dir
rand_serial = yes
default_md = sha256
policy = p
[p]
commonName = supplied
[e]
basicConstraints = CA:TRUE
subjectAltName = $name
CONF
	PostgreSQL::Test::Utils::append_to_file("$base.index", '');
	openssl('req', '-new', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=test', '-keyout', "$base.key", '-out', "$base.csr");
	openssl('ca', '-batch', '-notext', '-selfsign', '-config', "$base.conf", '-extensions', 'e', '-keyfile', "$base.key", '-in', "$base.csr",
		'-out', "$base.pem", '-startdate', "${from}0101000000Z", '-enddate', "${to}0101000000Z");
	return { ca => "$base.pem", emu => Inqud::Emulator->start(tls_cert => "$base.pem", tls_key => "$base.key") };
}

my $good = certificate('IP:127.0.0.1', 2020, 2060);
my $elsewhere = certificate('DNS:elsewhere.example', 2020, 2060);
my $expired = certificate('IP:127.0.0.1', 2019, 2020);

at($good->{emu}->url);
stops_at('a certificate that nobody knows', 'tls', qr/certificate.*ca_file/i);
$shop->set_options('shop', ca_file => $elsewhere->{ca}, base_url => $elsewhere->{emu}->url);
stops_at('a certificate for another name', 'tls', qr/base_url/);
$shop->set_options('shop', ca_file => $expired->{ca}, base_url => $expired->{emu}->url);
stops_at('an expired certificate', 'tls', qr/expired/);
$shop->set_options('shop', ca_file => "$dir/none.pem", base_url => $good->{emu}->url);
stops_at('no ca_file', 'tls', qr/ca_file/);
is($_->{emu}->get('counts')->{total}, 0, 'nothing was sent there') foreach $good, $elsewhere, $expired;
$shop->set_options('shop', ca_file => $good->{ca});
$found = check('shop');
step_is($found, 'tls', 'true', qr/good/, 'a certificate that is known');
step_is($found, 'route', 'false', qr/does not know \Q$id\E, which is recorded here.*project_id/, 'an Inqud that does not know what is recorded');
$shop->set_options('shop', ca_file => undef);
at($emu->url);

# ---------------------------------------------------------------------
# Answers
# ---------------------------------------------------------------------

# The check under a fault.
sub under
{
	my ($name, $fault, $step, $detail, %o) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$emu->fault({ match => { method => 'GET' }, %$fault });
	my $result = check('shop');
	$emu->clear_faults;
	$emu->control('release');
	return stops_at($name, $step, $detail, found => $result, %o);
}

sub status
{
	my ($status, %more) = @_;

	return { action => 'status', status => $status, body => { code => 'X', message => 'because of Y' }, %more };
}

my %html = (body => '<html>no</html>', content_type => 'text/html');

under('401', status(401), 'credentials', qr/refused: HTTP \d+ X: because of Y.*token_secret/);
under('403', status(403), 'credentials', qr/refused: HTTP \d+ X: because of Y.*may use project CAP-/);
under('an answer that repeats the secret', status(401, body => { message => 'not ' . Inqud::Shop::SECRET }), 'credentials', qr/refused: HTTP 401: not \*+/);
under('404 in HTML', status(404, %html), 'route', qr/404.*checkout_path/, credentials => 'null');
under('a redirect', status(302, headers => { Location => $emu->url }), 'route', qr/302.*base_url.*redirects are not followed/, credentials => 'null');
under('405', status(405), 'route', qr/checkout_path/, credentials => 'null');
under('500', status(500), 'answer', qr/because of Y.*Try again/);
under('503 in HTML', status(503, %html), 'answer', qr/503.*Try again/);
under('a captive portal', status(200, %html), 'answer', qr/not JSON.*not Inqud's API/);
under('another API', status(200, body => '{}'), 'answer', qr/not Inqud's API/);
under('garbage', { action => 'raw', base64 => 'AGdhcmJhZ2U=' }, 'answer', qr/Try again/);
under('a reset', { action => 'drop_after' }, 'answer', qr/Try again/);
under('no answer', { action => 'hang', phase => 'headers' }, 'answer', qr/timed out.*Try again/);
$emu->fault({ match => { method => 'GET' }, %{ status(400) } });
$found = check('shop');
$emu->clear_faults;
step_is($found, $_, 'null', qr/cannot be told.*because of Y/, 'an id that is refused') foreach qw(credentials route);

$shop->set_options('shop', checkout_path => '/v0/{project}/{checkout}');
stops_at('a wrong checkout_path', 'route', qr/404.*checkout_path/, credentials => 'null');
$shop->set_options('shop', checkout_path => undef);

$shop->set_options('shop', project_id => Inqud::Shop::FOREIGN);
$found = stops_at('another account\'s project', 'credentials', qr/may use project/);
step_is($found, 'queue', 'false', qr/^1 checkouts were made for another project_id/, 'another account\'s project');
$shop->set_options('shop', project_id => Inqud::Shop::PROJECT);

$emu->control('token', { id => 'TKN-test', revoked => JSON::PP::true });
stops_at('a revoked token', 'credentials', qr/still exists/);
$emu->control('token', { id => 'TKN-test', revoked => JSON::PP::false });

# The emulator's answers have no Date but that of a fault.
sub http_date
{
	my ($off) = @_;
	my @t = gmtime(time + $off);

	return sprintf '%s, %02d %s %d %02d:%02d:%02d GMT', (qw(Sun Mon Tue Wed Thu Fri Sat))[ $t[6] ], $t[3],
	  (qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec))[ $t[4] ], $t[5] + 1900, @t[ 2, 1, 0 ];
}

foreach my $case ([ 0, 'true', qr/agrees/ ], [ 3600, 'false', qr/behind the answer's.*NTP/ ], [ -3600, 'false', qr/ahead of the answer's.*NTP/ ])
{
	$emu->fault({ match => { method => 'GET' }, %{ status(404, headers => { Date => http_date($case->[0]) }) } });
	$found = check('shop');
	$emu->clear_faults;
	step_is($found, 'clock', $case->[1], $case->[2], "a clock that is $case->[0] seconds off");
}
# A pause is the project's, so this one has a project of its own.
$emu->control('project', { id => 'CAP-slow', name => 'slow', account => 'first' });
$shop->project('slow', options => { project_id => 'CAP-slow' });
$emu->fault({ %{ status(429, retry_after => 1000) }, times => 1 });
stops_at('429', 'answer', qr/because of Y.*again in 1000 s.*rate_limit/, project => 'slow');
$calls = scalar $shop->requests;
step_is(check('slow'), 'name', 'null', qr/pause for (?:[5-9]\d\d|1000) s/, 'during a pause');
is(scalar($shop->requests), $calls, 'during a pause nothing is sent');

# ---------------------------------------------------------------------
# Identifiers
# ---------------------------------------------------------------------

# An identifier that does not begin as Inqud's do: a hint when it is set, a step here.
my %ID = (project => qr/^project_id does not begin with "CAP-"/, token => qr/^token_id does not begin with "TKN-"/);
my $hinted = $shop->session;
my $hint = $hinted->query("CREATE SERVER named FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'my-shop', base_url '" . $emu->url . "')");

is($hint->{messages}[0]{message}, 'option "project_id" does not begin with "CAP-"', 'a notice where it is set');
like($hint->{messages}[0]{hint}, qr/Inqud app/, 'with a hint');
$hint = $hinted->query("CREATE USER MAPPING FOR PUBLIC SERVER named OPTIONS (token_id 'hush-hush-hush', token_secret 'x')");
is($hint->{messages}[0]{message}, 'option "token_id" does not begin with "TKN-"', 'and one for the token');
Inqud::Shop::lacks($hint->{err}, qr/hush/, 'without the token');
is(join(' ', map { $_->{severity} } @{ $hinted->query("ALTER SERVER named OPTIONS (SET project_id 'CAP-1')")->{messages} }), '', 'none for one that begins well');
$hinted->close;
$shop->sql("ALTER SERVER named OPTIONS (SET project_id 'my-shop')");
step_is(check('named'), 'ids', 'false', $ID{project}, 'a name for an identifier');
$shop->sql("ALTER SERVER named OPTIONS (SET project_id 'CAP-1'); GRANT USAGE ON FOREIGN SERVER named TO app");
step_is(check('named'), 'ids', 'false', $ID{token}, 'a name for a token');
step_is(check('named', role => 'app'), 'ids', 'true', qr/as Inqud's do/, 'which only those hear of who may set it');
$shop->sql('DROP SERVER named CASCADE');

# ---------------------------------------------------------------------
# Order triggers
# ---------------------------------------------------------------------

my @GOOD = ("'order_id={id}'", "'name=Order {id}'", "'return_url=https://shop.example/{id}'");

sub pay
{
	my ($name, $table, $how, @arguments) = @_;

	return "CREATE TRIGGER $name AFTER INSERT ON $table $how EXECUTE FUNCTION inqud_order_trigger(" . join(', ', @arguments) . ');';
}

# Tests what is said of triggers that statements leave, and that reading nothing of the table is enough.
sub triggers_are
{
	my ($name, $sql, @expected) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$shop->sql($sql);
	foreach my $role (undef, 'app')
	{
		my @is = @{ check('shop', role => $role)->{triggers} };

		is(scalar(grep { ($is[$_] // '') =~ $expected[$_] } 0 .. $#expected), scalar @expected, "$name: said" . ($role ? " to $role" : '')) or diag(join "\n", @is);
		is(scalar @is, scalar @expected, "$name: and nothing else");
	}
	return;
}

$shop->sql('CREATE TABLE bills (id bigint PRIMARY KEY, total numeric, note text); CREATE SCHEMA "the Shop"; CREATE TABLE "the Shop".bills (id bigint);
	REVOKE ALL ON bills FROM PUBLIC');
triggers_are('a good one', pay('pay', 'bills', 'FOR EACH ROW', "'shop'", @GOOD, "'amount={total}'", "'currency=USD'"), qr/^true trigger pay of table public\.bills: fires, and its arguments fit/);
triggers_are('of another table, too', pay('"Pay"', '"the Shop".bills', 'REFERENCING NEW TABLE AS n FOR EACH STATEMENT', "'shop'", @GOOD),
	qr/^true trigger "Pay" of table "the Shop"\.bills/, qr/^true trigger pay of/);
triggers_are('disabled', 'ALTER TABLE bills DISABLE TRIGGER pay; DROP TABLE "the Shop".bills', qr/^false .*is disabled.*ALTER TABLE public\.bills ENABLE TRIGGER pay\.$/);
triggers_are('for replicated rows', 'ALTER TABLE bills ENABLE REPLICA TRIGGER pay', qr/^false .*replicated rows only.*ENABLE TRIGGER pay\.$/);
triggers_are('for these, too', 'ALTER TABLE bills ENABLE ALWAYS TRIGGER pay', qr/^true .*replicated rows, too/);
$shop->sql('ALTER TABLE bills ENABLE TRIGGER pay; ALTER DATABASE postgres SET session_replication_role = replica');
like(check('shop')->{triggers}[0], qr/^false .*session_replication_role is replica/, 'a session in which it does not fire');
$shop->sql('ALTER DATABASE postgres RESET session_replication_role');
triggers_are('a renamed column', 'ALTER TABLE bills RENAME total TO sum', qr/^false .*each row that fires it fails: invalid argument "amount=\{total\}".*no column "total".*create it anew/);
$shop->raises('INSERT INTO bills VALUES (1, 2)', { state => '22023', detail => qr/no column "total"/, hint => qr/create it anew/ }, 'and the row says the same');
$shop->raises(pay('brace', 'bills', 'FOR EACH ROW', "'shop'", @GOOD, "'currency={not a name}'") . 'ALTER TABLE bills DISABLE TRIGGER pay; INSERT INTO bills VALUES (1, 2)', { hint => 'Write {{ for a brace.' },
	'what is no name was hardly meant as one');
$shop->sql('ALTER TABLE bills RENAME sum TO total; DROP TRIGGER brace ON bills');
triggers_are('a dropped column', 'ALTER TABLE bills ENABLE TRIGGER pay; ALTER TABLE bills DROP total', qr/^false .*no column "total"/);
triggers_are('a column of another type', 'ALTER TABLE bills ADD total date', qr/^false .*each row that fires it fails: .*total/);
triggers_are('an argument that is missing', 'DROP TRIGGER pay ON bills; ' . pay('pay', 'bills', 'FOR EACH ROW', "'shop'", $GOOD[0]), qr/^false .*needs an argument "name=\.\.\."/);
triggers_are('no argument', 'DROP TRIGGER pay ON bills; ' . pay('pay', 'bills', 'FOR EACH ROW'), qr/^false .*needs the project/);
triggers_are('before the row', 'DROP TRIGGER pay ON bills; ' . pay('pay', 'bills', 'FOR EACH ROW', "'shop'", @GOOD) =~ s/AFTER/BEFORE/r, qr/^false .*must be fired after/);
triggers_are('without a transition table', 'DROP TRIGGER pay ON bills; ' . pay('pay', 'bills', 'FOR EACH STATEMENT', "'shop'", @GOOD), qr/^false .*transition table.*REFERENCING/);
triggers_are('of another project', 'DROP TRIGGER pay ON bills; ' . pay('pay', 'bills', 'FOR EACH ROW', "'filed'", @GOOD), qr/^null no table has a trigger/);
triggers_are('of a server that is gone', 'DROP TRIGGER pay ON bills; ' . pay('pay', 'bills', 'FOR EACH ROW', "'former'", @GOOD), qr/^false .*names server "former", which does not exist.*renamed/);
triggers_are('of a partitioned table', 'DROP TABLE bills; CREATE TABLE bills (id bigint) PARTITION BY LIST (id); CREATE TABLE bills_1 PARTITION OF bills FOR VALUES IN (1); CREATE TABLE bills_2 PARTITION OF bills DEFAULT;'
	. pay('pay', 'bills', 'FOR EACH ROW', "'shop'", @GOOD), qr/^true .*public\.bills: fires/);
triggers_are('disabled for a partition', 'ALTER TABLE bills_2 DISABLE TRIGGER pay', qr/^true .*public\.bills: fires/, qr/^false .*public\.bills_2: is disabled/);
my $locker = $shop->session;
$locker->query_safe('BEGIN; LOCK TABLE bills');
like(join(' ', @{ check('shop')->{triggers} }), qr/^null a trigger of table public\.bills was not looked at, since the table is locked/, 'a lock is not waited for');
$locker->close;
$shop->sql('DROP TABLE bills');

# ---------------------------------------------------------------------
# Cancel
# ---------------------------------------------------------------------

$emu->fault({ match => { method => 'GET' }, action => 'hang', phase => 'headers' });
$shop->set_options('shop', timeout => '1min');
$calls = scalar $shop->requests;
my $session = $shop->session;
$session->start("SELECT * FROM inqud_check_project('shop')");
$shop->wait_requests(count => $calls + 1);
$shop->sql('SELECT pg_cancel_backend(' . $session->pid . ')');
is($session->finish->{error}{state}, '57014', 'a cancel ends it');
$emu->clear_faults;
$emu->control('release');
is($session->query_safe("SELECT count(*) FROM inqud_check_project('shop') WHERE ok IS FALSE"), '0', 'and the session goes on');
is($session->query_safe("SELECT checkout_id FROM inqud_get_checkout('shop', '$id')"), $id, 'with other calls, too');
$session->close;
$shop->set_options('shop', timeout => '700ms');

# ---------------------------------------------------------------------
# This server: worker, queue, callbacks
# ---------------------------------------------------------------------

$shop->set_options('shop', on_status => 'public.told');
step_is(check('shop'), 'on_status', 'false', qr/public\.told\(inqud\.checkout\) does not exist/, 'no on_status function');
$shop->sql('CREATE FUNCTION told(text) RETURNS void LANGUAGE sql AS $$ $$');
step_is(check('shop'), 'on_status', 'false', qr/does not exist/, 'one with another argument');
$shop->sql('CREATE FUNCTION told(c inqud.checkout) RETURNS void LANGUAGE sql AS $$ SELECT FROM inqud_check_project(c.project) $$;
	REVOKE EXECUTE ON FUNCTION told(inqud.checkout) FROM PUBLIC; CREATE ROLE keeper; GRANT USAGE ON FOREIGN DATA WRAPPER inqud TO keeper;
	ALTER SERVER shop OWNER TO keeper');
step_is(check('shop'), 'on_status', 'false', qr/public\.told\(inqud\.checkout\) would run as its owner.*GRANT EXECUTE/, 'one that the owner may not have run');
$shop->sql('ALTER SERVER shop OWNER TO CURRENT_USER');
step_is(check('shop'), 'on_status', 'true', qr/there/, 'a good one');
$emu->control('settle', { id => $id });
$shop->sql("SELECT inqud_refresh(id) FROM inqud.checkout");
$shop->until("SELECT detail LIKE '%not possible in the worker%' FROM inqud.event WHERE kind = 'hook' ORDER BY id DESC LIMIT 1",
	'the worker does not check projects');
$shop->sql('CREATE OR REPLACE FUNCTION told(c inqud.checkout) RETURNS void LANGUAGE sql AS $$ $$');

$shop->set_mapping('shop', webhook_secret => 'hush-hush-hush');
step_is(check('shop'), 'webhooks', 'true', qr/is set/, 'a webhook secret');

$shop->sql('SELECT inqud_worker_stop()');
step_is(check('shop'), 'worker', 'false', qr/inqud_worker_start/, 'a stopped worker');
step_is(check('shop', role => 'app'), 'worker', 'false', qr/inqud_worker_start/, 'a stopped worker, for the application');
$shop->sql($shop->enqueue_sql('2'));
step_is(check('shop'), 'queue', 'true', qr/^1 checkouts to be sent/, 'what waits');
step_is(check('shop'), 'trouble', 'false', qr/no worker: SELECT inqud_worker_start\(\)/, 'what waits');

# All that inqud.trouble says of the project is said, to those who see it, and of no other one.
$shop->sql(q{CREATE TABLE kept AS SELECT * FROM inqud.checkout WHERE order_id = '2'});
foreach my $fault (split /\n/, $shop->sql(q{SELECT unnest(ARRAY['auth', 'route', 'throttled', 'no_right', 'no_key', 'project_changed', 'no_server', 'descriptors', 'no_owner', 'unreachable', 'crashed', 'failed', 'CONFLICT', 'WORD'])}))
{
	$shop->sql($fault eq 'failed' ? "UPDATE inqud.checkout SET state = 'failed', error = 'x', fault = NULL WHERE order_id = '2'"
		: $fault =~ /^[A-Z]/ ? "UPDATE inqud.checkout SET state = 'open', checkout_id = 'CCO-2', status = '$fault', error = NULL, fault = NULL WHERE order_id = '2'"
		: "UPDATE inqud.checkout SET state = 'queued', error = 'x', fault = '$fault' WHERE order_id = '2'");
	my ($word, $advice) = split /\|/, $shop->sql("SELECT trouble, advice FROM inqud.trouble WHERE order_id = '2' AND trouble <> 'foreign' ORDER BY trouble = 'not picked up' LIMIT 1");

	like(check('shop')->{trouble}{detail}, qr/(?:^|; )\Q$word\E(?: \(\d+ times\))?: \Q$advice\E/, "$fault: $word");
}
step_is(check('shop', role => 'app'), 'trouble', 'true', qr/nothing that this role may see/, 'app sees no trouble of others');
$shop->sql(q{DELETE FROM inqud.checkout WHERE order_id = '2'; INSERT INTO inqud.checkout OVERRIDING SYSTEM VALUE SELECT * FROM kept; DROP TABLE kept});
$shop->sql("UPDATE inqud.queue SET due_at = now() - interval '5 minutes' WHERE kind = 'create'");
step_is(check('shop'), 'queue', 'false', qr/^1 checkouts should have been sent.*inqud\.trouble/, 'what is overdue');
$shop->sql('UPDATE inqud.queue SET home = home + 1');
step_is(check('shop'), 'queue', 'false', qr/another database.*inqud_adopt\('shop'\)/, 'what is not at home');
step_is(check('shop', role => 'app'), 'queue', 'true', qr/^0 checkouts/, 'others\' rows are not counted');
$shop->sql('UPDATE inqud.queue SET home = home - 1');
$shop->sql('SELECT inqud_worker_start()');
$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = '2'", 'the worker is back');
step_is(check('shop'), 'worker', 'true', qr/^runs as process \d+$/, 'a worker');

$shop->sql('ALTER SYSTEM SET inqud.enabled = off');
$shop->sql('SELECT pg_reload_conf()');
$shop->wait_until("SELECT current_setting('inqud.enabled') = 'off'");
step_is(check('shop'), 'worker', 'false', qr/inqud\.enabled is off/, 'disabled');
$shop->sql('ALTER SYSTEM RESET inqud.enabled');
$shop->sql('SELECT pg_reload_conf()');
$shop->wait_until("SELECT current_setting('inqud.enabled') = 'on'");

my $version = $shop->sql("SELECT extversion FROM pg_extension WHERE extname = 'inqud'");
$shop->sql("UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'inqud'");
$found = check('shop');
step_is($found, 'version', 'false', qr/of version 0\.9 here.*ALTER EXTENSION inqud UPDATE/, 'another version');
is(join(' ', map { $found->{$_}{ok} } @STEPS[ 1 .. $#STEPS ]), join(' ', ('null') x $#STEPS), 'then nothing else is tried');
$shop->sql("UPDATE pg_extension SET extversion = '$version' WHERE extname = 'inqud'");

# A standby.
$shop->node->backup('base');
my $node = PostgreSQL::Test::Cluster->new('standby');
$node->init_from_backup($shop->node, 'base', has_streaming => 1);
$node->start;
my $standby = bless { %$shop, node => $node }, ref $shop;
step_is(passes('a standby', shop => $standby), 'worker', 'null', qr/standby.*promoted/, 'a standby');
$node->stop('immediate');

# Not enough processes: one for the launcher and none for workers, then none at all.
foreach my $case ([ 2, 'null', qr/waits for its turn.*max_worker_processes or inqud\.max_workers/ ], [ 1, 'false', qr/launcher of inqud does not run/ ])
{
	$shop->node->append_conf('postgresql.conf', "max_worker_processes = $case->[0]");
	$shop->restart;
	$shop->sql($shop->enqueue_sql("processes $case->[0]"));
	$shop->wait_until("SELECT ok IS NOT DISTINCT FROM " . ($case->[1] eq 'null' ? 'NULL' : 'false')
		. " AND detail NOT LIKE '%launcher%not%' FROM inqud_check_project('shop') WHERE step = 'worker'") if $case->[0] == 2;
	step_is(check('shop'), 'worker', $case->[1], $case->[2], "max_worker_processes $case->[0]");
}
$shop->node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$shop->restart;
step_is(passes('without preload'), 'worker', 'false', qr/not preloaded.*shared_preload_libraries/, 'without preload');

cmp_ok(scalar(grep { length } @seen), '>', 40, 'many reports were collected');
is(scalar(grep { /\Q${\ Inqud::Shop::SECRET}\E|hush-hush/ } @seen), 0, 'a key was never shown');
is_deeply([ grep { $_->{method} ne 'GET' && $_->{body} !~ /"clientOrderId":"[12]"/ } $shop->requests ], [], 'nothing was ever created');

done_testing();
