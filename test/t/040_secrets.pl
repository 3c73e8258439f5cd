#!/usr/bin/perl
#
# 040_secrets.pl - proves that no key, and no signature made with one, comes to
# stand where it must never appear, whatever goes wrong: server log at its most
# talkative, errors with all their fields, pg_stat_activity, tables and views,
# NOTIFY, core's EXPLAIN, process titles, dumps of memory contexts, and every
# file of the data directory but the catalog itself and the WAL.  The other side
# may quote back all that it was sent.
#
# The user's own statements with a key in them are kept out of the log as README
# says: in a transaction that logs nothing.

use strict;
use warnings;

use File::Find ();
use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Faults qw(ask crash wait_worker);
use Inqud::Shop;
use Inqud::Webhooks qw(digest receive_sql);
use IO::Socket::INET;
use JSON::PP ();
use List::Util qw(uniq);
use PostgreSQL::Test::Utils ();
use Test::More;

# ---------------------------------------------------------------------
# Keys, and where they are looked for
# ---------------------------------------------------------------------

my @options = qw(token_id token_secret webhook_secret webhook_secret_previous request_webhook_secret request_webhook_secret_previous);
# of the mapping, and of the secret file
my %key = map { $_ => "KEY-$_-" . join '', map { ('a' .. 'z')[ rand 26 ] } 1 .. 24 } @options, map { "file_$_" } @options;
my @markers = values %key;
my (@said, %places);

# Whatever was given out somewhere: it is searched at the end, when all signatures are known.
sub say_all { push @said, [@_]; return }

# The markers in a text.
sub found
{
	my ($text) = @_;
	state_markers() unless defined $places{re};

	return uniq($text =~ /($places{re})/g);
}

sub state_markers { $places{re} = join '|', map { quotemeta } @markers; return }

# ---------------------------------------------------------------------
# A server that quotes what it was sent, and the other keys of the mapping
# ---------------------------------------------------------------------

# A text as a JSON string, each character escaped.
sub escaped { return join '', map { sprintf '\u%04x', ord } split //, $_[0] }

sub echo_reply
{
	my ($mode, $n, $leak) = @_;
	my $json = JSON::PP->new->ascii->canonical;
	my %checkout = (id => "CCO-$mode-$n", status => 'NEW');
	my $words = { code => $leak->[1], message => "bad key @$leak" };

	return (401, $json->encode($words)) if $mode eq 'refused';
	return (403, $json->encode({ message => 'x' x 470 . join '', @$leak })) if $mode eq 'cut';
	return (409, '{"error":"' . escaped(join ' ', @$leak) . '"}') if $mode eq 'conflict';
	return (500, $json->encode($words)) if $mode eq 'broken';
	return (502, "<html>@$leak</html>") if $mode eq 'html';
	return (200, "@$leak") if $mode eq 'garbage';
	return (200, $json->encode({ %checkout, id => $leak->[ $n % @$leak ] })) if $mode eq 'id';
	return (200, $json->encode({ %checkout, status => $leak->[ $n % @$leak ] })) if $mode eq 'status';
	return (200, $json->encode({ %checkout, clientOrderId => $leak->[ $n % @$leak ] })) if $mode eq 'order';
	if ($mode eq 'escaped')
	{
		my $text = escaped(join ' ', @$leak);

		return (200, qq({"id":"$checkout{id}","status":"NEW","reason":"$text","other":["$text"],"request":{"txHash":"$text","id":") . escaped($leak->[0]) . '"}}');
	}
	return (200, $json->encode({ %checkout, (map { $_ => "@$leak" } qw(reason name type projectName)), returnUrl => "https://shop.example/$leak->[0]",
			acquiringUrl => "https://pay.example/?key=$leak->[1]", @$leak,
			request => { id => $leak->[2], paymentId => $leak->[3], currency => $leak->[0], blockchain => "@$leak", txHash => "@$leak" } }));
}

# Answers one request of a connection.
sub echo_one
{
	my ($client, $n) = @_;
	my ($head, $body) = ('', '');

	while (defined(my $line = <$client>))
	{
		last if $line =~ /^\r?\n$/;
		$head .= $line;
	}
	read $client, $body, $1 if $head =~ /^content-length: (\d+)/im;
	my $mode = $body =~ /"clientOrderId":"echo (\w+)/ ? $1 : 'all';

	($mode, $n) = ($1, $2) if $head =~ m{^GET \S+/CCO-(\w+)-(\d+) };
	my @leak = ((map { $_ // () } map { $head =~ /^\Q$_\E: (\S+)/im ? $1 : undef } qw(X-Token-API-Secret X-Token-API-Id X-HMAC-SHA256-Signature)), @key{@options});
	my ($status, $reply) = echo_reply($mode, $n, @leak % 2 ? [ @leak, $leak[0] ] : \@leak);

	print $client "HTTP/1.1 $status $leak[0]\r\nContent-Type: application/json; $leak[1]\r\nRetry-After: $leak[0]\r\nX-Echo: @leak\r\n",
	  'Content-Length: ' . length($reply) . "\r\nConnection: close\r\n\r\n$reply";
	return;
}

my $listening = IO::Socket::INET->new(Listen => 50, Proto => 'tcp', LocalAddr => '127.0.0.1') or die "could not listen: $!\n";
my $echo = 'http://127.0.0.1:' . $listening->sockport;
my $test = $$;
my $server = fork // die "could not fork: $!\n";

if ($server == 0)
{
	my $n = 0;

	while (my $client = $listening->accept)
	{
		echo_one($client, $n++);
		close $client;
	}
	exit 0;
}
END { kill 'TERM', $server if defined $server && $$ == $test && $server }

# ---------------------------------------------------------------------
# The shop
# ---------------------------------------------------------------------

chomp(my $libdir = `pg_config --pkglibdir`);
my @watching = qw(auto_explain pg_stat_statements);

# they come with the server
-e "$libdir/$_.so" or die "$_ is not installed\n" foreach @watching;
my $shop = Inqud::Shop->new(emulator => { blackhole => 1 }, mapping => { token_id => 'none-yet', token_secret => 'none-yet' },
	options => { timeout => '2s', connect_timeout => '1s', retry_min => '100ms', retry_max => '200ms', poll_new => '1h', poll_active => '1h' },
	conf => [ "shared_preload_libraries = '" . join(', ', 'inqud', @watching) . "'", 'restart_after_crash = on', 'autovacuum = off',
		'log_min_messages = debug5', 'log_error_verbosity = verbose', 'log_min_error_statement = debug5', 'log_min_duration_statement = 0', 'log_duration = on',
		'log_connections = on', 'log_temp_files = 0', 'log_lock_waits = on', 'log_parameter_max_length_on_error = -1', "log_line_prefix = '%m [%p] %q%u@%d %a %i '",
		"temp_tablespaces = ''", 'work_mem = 64kB', 'update_process_title = on', 'track_activity_query_size = 100kB',
		(grep { /auto_explain/ } @watching) ? ('auto_explain.log_min_duration = 0', 'auto_explain.log_nested_statements = on', 'auto_explain.log_verbose = on',
			'auto_explain.log_analyze = on', 'auto_explain.log_level = log') : ()]);
my $emu = $shop->emu;
my $file = PostgreSQL::Test::Utils::tempdir() . '/keys';

# Statements with keys in them, as README has it.
my $quiet = "BEGIN; SET LOCAL log_statement = 'none'; SET LOCAL log_min_duration_statement = -1; SET LOCAL log_duration = off; SET LOCAL log_min_error_statement = 'panic';"
  . ((grep { /pg_stat/ } @watching) ? 'SET LOCAL pg_stat_statements.track_utility = off;' : '');

sub quietly
{
	my ($session, $sql) = @_;
	# one statement after the other, as they would be typed
	my $answer = $session->query(join("\n", map { "$_;" } split /;\s*/, $quiet) . "\n$sql;\nCOMMIT;");

	say_all("answer to DDL", $answer->{err} . $answer->{out});
	return $answer;
}

my $admin = $shop->session;
my $app = $shop->session;
my $listener = $shop->session;

sub mapping_options
{
	my ($prefix, $action) = @_;

	return join ', ', map { "$action $_ '$key{\"$prefix$_\"}'" } @options;
}

$listener->query_safe('LISTEN inqud');
$shop->sql('CREATE EXTENSION pg_stat_statements') if grep { /pg_stat/ } @watching;
ok(!quietly($admin, 'ALTER USER MAPPING FOR PUBLIC SERVER shop OPTIONS (' . mapping_options('', 'ADD') =~ s/ADD (token_\w+)/SET $1/gr . ')')->{error}, 'keys are set');
$emu->control('token', { id => $key{token_id}, secret => $key{token_secret} });
$emu->control('token', { id => $key{file_token_id}, secret => $key{file_token_secret} });

sub write_file
{
	my ($text) = @_;

	open my $out, '>', $file or die "$file: $!\n";
	print $out $text;
	close $out;
	chmod 0600, $file;
	return;
}

my $lines = join '', map { "$_ = $key{\"file_$_\"}\n" } @options;
write_file($lines);
foreach my $project ([ fromfile => $emu->url, 'secret' ], [ signedfile => $emu->url, 'signed' ], [ echo => $echo, 'secret' ], [ echosigned => $echo, 'signed' ])
{
	my ($name, $url, $auth) = @$project;

	$shop->sql("CREATE SERVER $name FOREIGN DATA WRAPPER inqud OPTIONS (project_id '" . Inqud::Shop::PROJECT . "', base_url '$url', auth '$auth', rate_limit '0', timeout '2s',
		retry_min '100ms', retry_max '200ms', poll_new '1h', poll_active '1h')");
	ok(!quietly($admin, $name =~ /file/ ? "CREATE USER MAPPING FOR PUBLIC SERVER $name OPTIONS (secret_file '$file')"
		: "CREATE USER MAPPING FOR PUBLIC SERVER $name OPTIONS (" . mapping_options('', '') . ')')->{error}, "a mapping for $name");
}

# ---------------------------------------------------------------------
# Looking
# ---------------------------------------------------------------------

# What the server and the system show of a moment.
sub sample
{
	my ($what) = @_;

	say_all("pg_stat_activity, $what", $shop->sql('SELECT a::text FROM pg_stat_activity a'));
	say_all("process titles, $what", join "\n", map { local (@ARGV, $/) = ($_); my $title = eval { no warnings; <> }; $title // '' } glob '/proc/[0-9]*/cmdline');
	$shop->sql("SELECT pg_log_backend_memory_contexts(pid) FROM pg_stat_activity WHERE backend_type IN ('client backend', 'inqud worker')");
	return;
}

# Runs a statement in the application's session; all that it says is kept.
sub call
{
	my ($what, $sql, $state) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $answer = $app->query($sql);

	say_all("answer, $what", $answer->{out} . $answer->{err});
	is($answer->{error} ? $answer->{error}{state} : 'ok', $state, $what) if defined $state;
	return $answer;
}

# ---------------------------------------------------------------------
# What happens
# ---------------------------------------------------------------------

# Both ways of authentication, sessions and worker, from the mapping and from the file.
foreach my $project (qw(shop fromfile signedfile))
{
	my $answer = call("create, $project", 'SELECT checkout_id FROM inqud_create_checkout(' . $shop->arguments("sync $project", undef, $project) . ')', 'ok');

	call("get, $project", "SELECT inqud_get_checkout('$project', '$answer->{out}')", 'ok');
	call("enqueue, $project", $shop->enqueue_sql("queued $project", undef, $project), 'ok');
	$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'queued $project'", "$project: the worker's order is open");
}
$shop->set_options('shop', auth => 'signed');
call('create, signed', $shop->create_sql('signed'), 'ok');
$shop->set_options('shop', auth => 'secret');

# During a call: a session's and the worker's.
foreach my $auth (qw(secret signed))
{
	$shop->set_options('shop', auth => $auth);
	$emu->fault({ match => { method => 'POST' }, action => 'hang', phase => 'headers' });
	$shop->sql($shop->enqueue_sql("hangs $auth"));
	ask($app, "SET application_name = 'calling'; SELECT * FROM inqud_create_checkout(" . $shop->arguments("hangs too $auth") . ')');
	$shop->wait_requests(body => "\"hangs $auth\"");
	$shop->wait_requests(body => "\"hangs too $auth\"");
	sample("during calls, $auth");
	# a cancel in the middle
	$shop->sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'calling'");
	my $answer = $app->finish;
	say_all('a cancel', $answer->{err});
	is($answer->{error}{state}, '57014', 'a canceled call');
	call('a statement timeout', "SET statement_timeout = '300ms'; SELECT * FROM inqud_create_checkout(" . $shop->arguments("late $auth") . ')', '57014');
	call('back', 'RESET statement_timeout', 'ok');
	if ($auth eq 'signed')
	{
		my $worker = $shop->worker_pid;
		$_->close foreach $app, $admin, $listener;
		crash($shop, 'kill worker');
		wait_worker($shop, $worker);
		($app, $admin, $listener) = map { $shop->session } 1 .. 3;
		$listener->query_safe('LISTEN inqud');
	}
	$emu->clear_faults;
	$emu->control('release');
	$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'hangs $auth'", "$auth: sent again");
}

# The other side repeats everything.
my %state = (refused => 'IQ002', cut => 'IQ002', conflict => 'IQ001', broken => 'IQ004', html => 'IQ004', garbage => 'IQ004', id => 'IQ004', status => 'IQ004', order => 'ok',
	escaped => 'ok', all => 'ok');
foreach my $project (qw(echo echosigned))
{
	foreach my $mode (sort keys %state)
	{
		call("$project, create: $mode", $shop->create_sql("echo $mode $project", undef, $project), $state{$mode});
		call("$project, get: $mode", "SELECT inqud_get_checkout('$project', 'CCO-$mode-1')");
		$shop->sql($shop->enqueue_sql("echo $mode $project queued", undef, $project));
		my $done = $state{$mode} eq 'ok' ? "state = 'open'" : $state{$mode} =~ /IQ00[15]/ ? "state = 'failed'" : 'error IS NOT NULL';
		$shop->until("SELECT $done FROM inqud.checkout WHERE order_id = 'echo $mode $project queued'", "$project, worker: $mode");
		if ($state{$mode} eq 'ok')
		{
			$shop->sql("SELECT inqud_refresh(id) FROM inqud.checkout WHERE order_id = 'echo $mode $project queued'");
			$shop->wait_until("SELECT NOT EXISTS (SELECT FROM inqud.pending WHERE kind = 'poked' AND due_at <= now())");
		}
		# what is refused is not tried for ever here
		$shop->sql("SELECT inqud_cancel(id) FROM inqud.checkout WHERE order_id = 'echo $mode $project queued' AND current");
		# an end to the pause that a refusal brings
		$shop->set_options($project, retry_min => '1' . (join '', map { int rand 10 } 1 .. 2) . 'ms');
	}
}
is($shop->sql("SELECT count(*) FROM inqud.checkout WHERE order_id ~ '^echo (all|escaped|order)' AND state = 'open' AND reply::text ~ '[*]{8}'"), 12,
	'replies with keys in them are kept, without the keys');
cmp_ok($shop->sql("SELECT count(*) FROM inqud.event WHERE detail ~ 'cannot be stored: .*reason'"), '>=', 8, 'what was lost has an event');

# Refused credentials, bad URLs, no TLS, no answer.
foreach my $status (400, 401, 403, 409, 500)
{
	$emu->fault({ action => 'status', status => $status, body => { code => $key{token_id}, message => "$key{token_secret}: @key{@options}" }, times => 1 });
	call("status $status", $shop->create_sql("status $status"));
}
$shop->set_options('shop', base_url => $emu->url =~ s/^http:/https:/r);
call('no TLS at the other end', $shop->create_sql('tls'), '08001');
$shop->set_options('shop', base_url => 'https://127.0.0.1:' . $emu->get('info')->{blackhole}{answerHangs});
call('a TLS handshake that hangs', $shop->create_sql('tls 2'), '08001');
$shop->set_options('shop', base_url => $shop->refused_url);
call('refused', $shop->create_sql('tcp'), '08001');
$shop->set_options('shop', base_url => $emu->url);

# A secret file with errors, in a session and in the worker.
my $n = 0;
foreach my $text ("$lines$lines", "token_id $key{file_token_id}\n", "token_id = $key{file_token_id}\x01\n", "$key{file_token_secret} = 1\n", "secret_file = $key{file_token_id}\n",
	"token_secret = $key{file_token_secret}\0x\n", "$lines\n$key{file_token_secret}", "token_id = $key{file_token_id}\ntoken_secret=\n", $lines . '#' x 70_000, undef)
{
	my $order = 'file ' . ++$n;

	defined $text ? write_file($text) : unlink $file;
	my $answer = call('a bad secret file', $shop->create_sql($order, undef, 'fromfile'));
	ok($answer->{error}, "secret file $n: $answer->{error}{message}");
	say_all('enqueue with a bad secret file', $app->query($shop->enqueue_sql("$order queued", undef, 'fromfile'))->{err});
}
write_file($lines);
chmod 0644, $file;
ok(call('a secret file for everybody', $shop->create_sql('file mode', undef, 'fromfile'))->{error}, 'a secret file that others can read');
chmod 0600, $file;
call('the file is good again', $shop->create_sql('file good', undef, 'fromfile'), 'ok');

# Bad options of a mapping: none is echoed.
foreach my $options ("token_id '$key{token_id}', token_id '$key{token_id}'", "token_secret E'$key{token_secret}\\x01'", "nonsense '$key{token_secret}'", "base_url '$key{token_secret}'",
	"secret_file '$key{token_secret}'", "webhook_secret '', token_id '$key{token_id}'", "token_secrets '$key{token_secret}'")
{
	ok(quietly($admin, "CREATE USER MAPPING FOR CURRENT_USER SERVER echo OPTIONS ($options)")->{error}, "a bad mapping is refused: " . $options =~ s/'[^']*'/'...'/gr);
}

# Webhooks, good and wrong.
my $id = $shop->checkout('queued shop')->{checkout_id};
my $body = qq({"id":"$id","status":"NEW"});
foreach my $option (grep { /webhook/ } @options)
{
	foreach my $prefix ('', 'file_')
	{
		my $project = $prefix ? 'fromfile' : 'shop';

		call("a webhook by $prefix$option", 'SELECT ' . receive_sql($project, $body, digest($key{"$prefix$option"}, $body)), 'ok');
	}
	my $telling = qq({"id":"$key{$option}","status":"$key{token_secret}","checkoutId":"$key{token_id}","clientOrderId":"$key{webhook_secret}"});
	call('a webhook that repeats keys', 'SELECT ' . receive_sql('shop', \("pg_catalog.current_setting('t.body')::bytea"), digest($key{$option}, $telling)), 'ok')
	  if call('its body', "DO \$\$ BEGIN PERFORM set_config('t.body', 'x', false); END \$\$", 'ok') && quietly($app, "SET t.body = '$telling'") && 1;
}
call('a wrong webhook', 'SELECT ' . receive_sql('shop', $body, digest('wrong', $body)), 'IQ006');
call('a webhook without digest', 'SELECT ' . receive_sql('shop', $body, undef), 'IQ006');

# on_status that fails, a worker that cannot write, EXPLAIN.
$shop->sql(q{CREATE FUNCTION fails(c inqud.checkout) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'no: %', c; END $$;
	CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.order_id = 'spoilt' AND NEW.state <> 'queued' THEN RAISE 'spoilt: %', NEW; END IF; RETURN NEW; END $$;
	CREATE TRIGGER spoil BEFORE UPDATE ON inqud.checkout FOR EACH ROW EXECUTE FUNCTION spoil()});
$shop->set_options('shop', on_status => 'public.fails');
$shop->sql($shop->enqueue_sql('hooked'));
$shop->until("SELECT count(*) > 0 FROM inqud.trouble WHERE trouble = 'on_status failed'", 'on_status fails');
my $log = -s $shop->node->logfile;
$shop->sql($shop->enqueue_sql('spoilt'));
$shop->wait_requests(body => '"spoilt"');
ok($shop->node->wait_for_log(qr/spoilt: \(/, $log), 'the worker cannot write an outcome');
$shop->sql('DROP TRIGGER spoil ON inqud.checkout');
$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'spoilt'", 'and then it can');
foreach my $sql ($shop->create_sql('explained'), $shop->enqueue_sql('explained 2'), 'SELECT * FROM inqud.trouble', "SELECT * FROM pg_user_mappings WHERE false", 'SELECT * FROM inqud.payment')
{
	call('EXPLAIN', "EXPLAIN (ANALYZE, VERBOSE, SETTINGS, BUFFERS) $sql", 'ok');
}
call('a foreign table', 'CREATE FOREIGN TABLE ft (a int) SERVER shop', 'ok');
call('EXPLAIN of a foreign table', 'EXPLAIN VERBOSE SELECT * FROM ft');
sample('at the end');

# ---------------------------------------------------------------------
# Nothing, anywhere
# ---------------------------------------------------------------------

my @sent = grep { $_->{headers} } $shop->requests;
my @signatures = uniq(grep { defined } map { map { $_->[1] } grep { $_->[0] =~ /signature/i } @{ $_->{headers} } } @sent);
my $seen = JSON::PP->new->encode(\@sent);
cmp_ok(scalar @signatures, '>=', 4, 'signatures were sent');
push @markers, @signatures;
is(scalar(grep { index($seen, $key{$_}) < 0 } qw(token_id token_secret file_token_id file_token_secret)), 0, 'and so were keys');

foreach my $relation (split /\n/, $shop->sql("SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'inqud'::regnamespace AND c.relkind IN ('r', 'v', 'm')"))
{
	say_all($relation, $shop->sql("SELECT x::text FROM $relation x"));
}
say_all('pg_stat_statements', $shop->sql('SELECT query FROM pg_stat_statements')) if grep { /pg_stat/ } @watching;
my @notified = $listener->notifications;
cmp_ok(scalar @notified, '>', 5, 'notifications were received');
say_all('NOTIFY', join "\n", @notified);
say_all('the server log', PostgreSQL::Test::Utils::slurp_file($shop->node->logfile));
like($said[-1][1], qr/DEBUG:/, 'the log is talkative');
like($said[-1][1], qr/inqud project/, 'it has memory contexts');
like($said[-1][1], qr/Query Text/, 'and plans') if grep { /auto_explain/ } @watching;

# Every file, with the server running and at rest; but the catalog's own, and WAL.
my %own = map { $_ => 1 } split /\n/, $shop->sql("SELECT pg_relation_filepath(oid) FROM pg_class WHERE oid = 'pg_user_mapping'::regclass
	OR oid = (SELECT reltoastrelid FROM pg_class WHERE oid = 'pg_user_mapping'::regclass)");
my $data = $shop->node->data_dir;
my ($files, $in_catalog) = (0, 0);

sub search_files
{
	my ($when) = @_;

	File::Find::find({ no_chdir => 1, wanted => sub
	{
		my $path = $File::Find::name;
		my $relative = $path =~ s{^\Q$data\E/}{}r;

		return if !-f $path || $relative =~ m{^pg_wal/};
		my $text = eval { PostgreSQL::Test::Utils::slurp_file($path) } // return;
		my @found = found($text);
		$files++;
		$in_catalog += @found, return if $own{ $relative =~ s/\.\d+$//r };
		is(join(' ', map { s/-[a-z]{24}$//r } @found), '', "$when: no key in $relative") if @found;
	} }, $data);
	return;
}

state_markers();
$shop->sql('CHECKPOINT');
search_files('running');
$_->close foreach $app, $admin, $listener;
$shop->node->stop;
search_files('at rest');
cmp_ok($files, '>', 500, "$files files were searched");
cmp_ok($in_catalog, '>=', 6, 'the keys are found where they belong, so the search can find them');

my %where;
foreach my $said (@said)
{
	my ($place, $text) = @$said;

	$where{$place}{ s/-[a-z]{24}$//r }++ foreach found($text);
}
is(join("\n", map { "$_: " . join ' ', sort keys %{ $where{$_} } } sort keys %where), '', 'no key stands in any of ' . @said . ' other texts');
note(sprintf 'keys: %d, signatures: %d, texts: %d with %d bytes, watching: %s', scalar keys %key, scalar @signatures, scalar @said, eval { my $sum = 0; $sum += length $_->[1] foreach @said; $sum },
	join ' ', @watching);

done_testing();
