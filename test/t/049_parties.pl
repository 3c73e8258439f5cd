#!/usr/bin/perl
#
# 049_parties.pl - the table of trust with figures.  Each party tries to learn, change,
# spend and stop what is not its own, by every function, relation and option that the
# catalogues and the validator know, so that a new one is tried at once, or fails here
# for want of an expectation.  Nothing may change by it, no order be sent, nobody be
# stopped, and no secret and no row of another owner stand in any answer, message,
# notice, statistics or the log.  Each way to look and to write is proved to be one, by
# a party that may.  At the end stands a table: party, attempts, held.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Attempts qw(attempt functions options relations);
use Inqud::Catalogue qw(catalogue differences);
use Inqud::Shop;
use Inqud::Webhooks qw(digest receive_sql);
use JSON::PP ();
use PostgreSQL::Test::Utils ();
use Test::More;

my $json = JSON::PP->new->canonical->allow_nonref;

# ---------------------------------------------------------------------
# The parties, and what they are after
# ---------------------------------------------------------------------

# In the order of README's table of trust; "on" is whose server they attack.
my @PARTIES = (
	[ 'owner of the server' => 'boss', 'other' ], [ 'owner of another server' => 'rival', 'shop' ], [ 'role with USAGE' => 'app', 'shop' ],
	[ 'receiver of webhooks' => 'receiver', 'shop' ], [ 'member of pg_monitor' => 'watcher', 'shop' ], [ 'any login' => 'stranger', 'shop' ]);

# Secrets of the mappings, by whose they are.
my @SECRETS = qw(token_id token_secret webhook_secret webhook_secret_previous request_webhook_secret request_webhook_secret_previous);
my %key = map { my $of = $_; $of => { map { $_ => ($_ eq 'token_id' ? 'TKN-' : '') . "KEY$of-$_-jvwyq" } @SECRETS } } qw(shop other till);

my $shop = Inqud::Shop->new(extension => 0, conf => [ "shared_preload_libraries = 'inqud, pg_stat_statements'", 'log_min_messages = debug1', 'autovacuum = off' ]);
my $emu = $shop->emu;

sub literal { return Inqud::Shop::literal(@_) }
sub list { my (%options) = @_; return join ', ', map { "$_ " . literal($options{$_}) } sort keys %options }

# Whoever sets secrets by SQL has them in the text of a statement, which is not to be kept here.
my $QUIETLY = "SET pg_stat_statements.track_utility = off; SET log_min_messages = warning; SET log_min_error_statement = panic;";

$shop->sql("$QUIETLY
	CREATE EXTENSION pg_stat_statements; CREATE ROLE keeper SUPERUSER LOGIN; SET ROLE keeper; CREATE EXTENSION inqud; RESET ROLE; ALTER ROLE keeper NOSUPERUSER;
	CREATE ROLE till LOGIN; CREATE ROLE boss LOGIN; CREATE ROLE rival LOGIN; CREATE ROLE app LOGIN; CREATE ROLE receiver LOGIN; CREATE ROLE stranger LOGIN;
	CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
	CREATE SCHEMA lab; GRANT ALL ON SCHEMA lab TO PUBLIC;
	GRANT USAGE ON FOREIGN DATA WRAPPER inqud TO boss, rival; GRANT EXECUTE ON FUNCTION inqud_receive_webhook(text, bytea, text) TO receiver;");
foreach my $server ([ shop => 'boss', Inqud::Shop::PROJECT ], [ other => 'rival', Inqud::Shop::SECOND ])
{
	my ($name, $owner, $project) = @$server;

	$shop->sql("$QUIETLY CREATE SERVER $name FOREIGN DATA WRAPPER inqud OPTIONS (" . list(project_id => $project, base_url => $emu->url, rate_limit => 0, timeout => '3s',
			retry_min => '1day', retry_max => '1day', poll_new => '30day', poll_active => '30day') . ");
		ALTER SERVER $name OWNER TO $owner; CREATE USER MAPPING FOR PUBLIC SERVER $name OPTIONS (" . list(%{ $key{$name} }) . ')');
	$emu->control('token', { id => $key{$name}{token_id}, secret => $key{$name}{token_secret} });
}
$emu->control('token', { id => $key{till}{token_id}, secret => $key{till}{token_secret} });
$shop->sql("$QUIETLY GRANT USAGE ON FOREIGN SERVER shop TO app, till; CREATE USER MAPPING FOR till SERVER shop OPTIONS (" . list(%{ $key{till} }) . ')');

# The rows of till and of rival that are to stay hidden, in all states.  Others may guess the number of one order.
my %end = (open => undef, paid => [ settle => {} ], short => [ settle => { factor => '0.5' } ], late => [ expire => {} ], guess => undef, refused => undef, waiting => undef);

sub order_of
{
	my ($state, $role) = @_;

	return $state eq 'guess' ? 'guess-1' : "$role-kqxz-$state";
}

sub hidden_order
{
	my ($state, $role, $server) = @_;
	my $order = order_of($state, $role);

	$emu->fault({ match => { body => "\"$order\"" }, action => 'status', status => $state eq 'refused' ? 422 : 503, body => { message => "$role-kqxz-message" } }) if $state =~ /refused|waiting/;
	$shop->sql("SET SESSION AUTHORIZATION $role; SELECT id FROM inqud_enqueue_checkout('$server', '$order', '$role-kqxz-name', 'https://shop.example/$role-kqxz-url', 31337.4242, 'USD',
		extra => '{\"note\": \"$role-kqxz-extra\"}')");
	return;
}

foreach my $owner ([ till => 'shop', Inqud::Shop::PROJECT ], [ rival => 'other', Inqud::Shop::SECOND ])
{
	my ($role, $server, $project) = @$owner;

	hidden_order($_, $role, $server) foreach sort keys %end;
	$shop->wait_until("SELECT count(*) = 5 AND count(reply) = 5 FROM inqud.checkout WHERE owner = '$role' AND state = 'open'");
	$shop->wait_until("SELECT count(*) = 2 FROM inqud.checkout WHERE owner = '$role' AND error ~ 'kqxz-message'");
	foreach my $state (grep { $end{$_} } sort keys %end)
	{
		$emu->control($end{$state}[0], { project => $project, clientOrderId => order_of($state, $role), %{ $end{$state}[1] } });
		$shop->sql("SELECT inqud_refresh(id) FROM inqud.checkout WHERE owner = '$role' AND order_id = '" . order_of($state, $role) . "'");
	}
	$shop->wait_until("SELECT count(*) = 3 FROM inqud.checkout WHERE owner = '$role' AND status IN ('SUCCESS', 'CONFLICT', 'EXPIRED')");
}
$emu->clear_faults;
# what waits for another database stays as it is
$shop->sql("INSERT INTO inqud.call (checkout, home, server_id, due_at) SELECT id, inqud._home() + 1, server_id, now() FROM inqud.checkout;
	INSERT INTO inqud.inbox (home, server_id, checkout, checkout_id, order_id) SELECT inqud._home() + 1, server_id, id, checkout_id, order_id FROM inqud.checkout WHERE order_id <> 'guess-1';
	INSERT INTO inqud.event (checkout, kind, detail) SELECT id, 'hook', owner || '-kqxz-detail' FROM inqud.checkout; ANALYZE");
$shop->wait_until("SELECT count(*) = 0 FROM inqud.queue WHERE home = inqud._home() AND due_at < now() + interval '1 hour'");

# The order that others may guess, and what nobody but the owner may see, by server and by owner.
my %target = map { $_->[0] => $shop->row("SELECT id, checkout_id FROM inqud.checkout WHERE owner = '$_->[1]' AND order_id = 'guess-1'") } [ shop => 'till' ], [ other => 'rival' ];
my %hidden = map { my $role = $_; $role => join '|', "$role-kqxz", map { quotemeta } grep { length } split /\n/,
	$shop->sql("SELECT unnest(ARRAY[checkout_id, acquiring_url, request_id, payment_id, tx_hash]) FROM inqud.checkout WHERE owner = '$role' AND order_id <> 'guess-1'") } qw(till rival);
my %tried;

# ---------------------------------------------------------------------
# Judging
# ---------------------------------------------------------------------

# Takes note of what a party tried, and shows what did not hold.
sub judge
{
	my ($party, $kind, $holds, @outcomes) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @broken = grep { !$holds->($_) } @outcomes;

	push @{ $tried{$party} }, [ $kind, scalar @outcomes, @outcomes - @broken ];
	return ok(@outcomes && !@broken, "$party: $kind (" . @outcomes . ')')
	  || diag(join "\n", map { "$_->{state} $_->{message}\n  $_->{sql}" . ($_->{told} ? "\n  told: $_->{told}" : '') } @broken[ 0 .. ($#broken > 7 ? 7 : $#broken) ]);
}

# Does an answer show a role nothing of others' keys and rows?  "keys": of which server it may see them.
sub silent
{
	my ($outcome, $role, $keys) = @_;
	my @forbidden = map { "KEY$_-" } grep { $_ ne ($keys // '') } sort keys %key;

	push @forbidden, map { $hidden{$_} } grep { $_ ne $role } sort keys %hidden unless $role eq 'watcher';
	my $all = join '|', @forbidden;

	($outcome->{told}) = $outcome->{text} =~ /(.{0,40}(?:$all).{0,40})/;
	return !defined $outcome->{told};
}

# All rows of the extension's tables, and what the catalogues say of it and of servers, mappings and roles.
sub state_of_all
{
	my %state = map { $_->{name} => $shop->sql("SELECT md5(string_agg(x::text, '|' ORDER BY x::text)) FROM $_->{name} x") } grep { $_->{kind} eq 'r' } relations($shop);

	$state{$_} = $shop->sql("SELECT md5(string_agg(x::text, '|' ORDER BY x::text)) FROM $_ x") foreach qw(pg_foreign_server pg_user_mapping pg_foreign_data_wrapper pg_authid pg_auth_members pg_trigger pg_policy pg_db_role_setting);
	$state{posts} = $json->encode($emu->get('counts')->{posts});
	return \%state;
}

my $before = state_of_all();
my @catalogue = catalogue($shop);

# ---------------------------------------------------------------------
# Looking and writing, by relation
# ---------------------------------------------------------------------

my @relations = relations($shop);
# Each way to look; only rows that the role may see may come out, whatever becomes of it.
my %LOOK = (
	'rows' => 'SELECT x::text FROM %s x',
	'rows as JSON' => 'SELECT to_jsonb(x) FROM %s x',
	'a function that tells' => 'SELECT count(*) FROM %s x WHERE pg_temp.tell(x::text)',
	'an error that tells' => 'SELECT count((x::text)::int) FROM %s x',
	'COPY' => 'COPY (TABLE %s) TO STDOUT',
	'a view' => 'BEGIN; CREATE TEMP VIEW v AS TABLE %s; SELECT v::text FROM v',
	'row security off' => 'SET LOCAL row_security = off; TABLE %s',
	'EXPLAIN' => 'EXPLAIN (ANALYZE, VERBOSE) TABLE %s');
# Each way to write or to stop, with the name of the first column.
my %WRITE = (
	'INSERT' => 'INSERT INTO %s DEFAULT VALUES', 'UPDATE' => 'UPDATE %1$s SET %2$s = %2$s', 'DELETE' => 'DELETE FROM %s', 'TRUNCATE' => 'TRUNCATE %s',
	'COPY FROM' => "COPY %s FROM '/dev/null'", 'FOR UPDATE' => 'SELECT FROM %s FOR UPDATE', 'LOCK' => 'LOCK TABLE %s IN ROW EXCLUSIVE MODE',
	'MERGE' => 'MERGE INTO %s USING (SELECT 1) u ON true WHEN MATCHED THEN DELETE',
	'trigger' => 'CREATE TRIGGER t BEFORE INSERT ON %s FOR EACH STATEMENT EXECUTE FUNCTION suppress_redundant_updates_trigger()',
	'index' => 'CREATE INDEX ON %1$s (%2$s)', 'policy' => 'CREATE POLICY p ON %s USING (true)', 'no row security' => 'ALTER TABLE %s DISABLE ROW LEVEL SECURITY',
	'rule' => 'CREATE RULE r AS ON INSERT TO %s DO ALSO NOTHING', 'owner' => 'ALTER TABLE %s OWNER TO CURRENT_USER', 'drop' => 'DROP TABLE %s CASCADE',
	'inherit' => 'CREATE TABLE lab.c () INHERITS (%s)', 'reference' => 'CREATE TABLE lab.f (a bigint REFERENCES %s)', 'comment' => "COMMENT ON COLUMN %1\$s.%2\$s IS 'x'",
	'statistics' => 'CREATE STATISTICS lab.s (mcv) ON (%2$s IS NULL), (%2$s IS NOT NULL) FROM %1$s');
my %SEQUENCE = ('nextval' => "SELECT nextval('%s')", 'setval' => "SELECT setval('%s', 100000)", 'last value' => 'SELECT last_value FROM %s', 'ALTER SEQUENCE' => 'ALTER SEQUENCE %s RESTART');

sub by_relation
{
	my ($ways, @of) = @_;

	return map { my $r = $_; map { [ "$_, $r->{name}", 'BEGIN; ' . sprintf($ways->{$_}, $r->{name}, $r->{first}) ] } sort keys %$ways } @of;
}

my @tables = grep { $_->{kind} eq 'r' } @relations;
my @seen = grep { $_->{kind} ne 'S' } @relations;
my @sequences = grep { $_->{kind} eq 'S' } @relations;

# Elsewhere: what the server shows to everybody.
my @ELSEWHERE = map { [ $_, "SELECT x::text FROM $_ x" ] } qw(pg_user_mappings pg_foreign_server pg_stat_activity pg_stat_statements pg_stats pg_stats_ext pg_settings pg_locks pg_trigger pg_proc
	pg_prepared_xacts pg_cursors pg_prepared_statements pg_backend_memory_contexts pg_shmem_allocations pg_user_mapping pg_statistic pg_hba_file_rules), 'information_schema.user_mapping_options', 'information_schema.foreign_server_options';

foreach my $party (@PARTIES)
{
	my ($name, $role) = @$party;
	my @looks = attempt($shop, $role, by_relation(\%LOOK, @seen));

	judge($name, 'looks at tables and views', sub { silent($_[0], $role) }, @looks);
	judge($name, 'looks elsewhere', sub { silent($_[0], $role, $_[0]{name} =~ /mapping/ ? { boss => 'shop', rival => 'other' }->{$role} : undef) }, attempt($shop, $role, @ELSEWHERE));
	judge($name, 'writes tables and views', sub { silent($_[0], $role) && $_[0]{state} =~ /^(?:42501|42809|0A000|55000|428C9|42P16)$/ }, attempt($shop, $role, by_relation(\%WRITE, @seen)));
	judge($name, 'draws numbers', sub { $_[0]{state} eq '42501' }, attempt($shop, $role, by_relation(\%SEQUENCE, @sequences)));
}

# Whoever may look sees it: so each way is one, and the marks are found.
foreach my $role (qw(postgres keeper watcher till))
{
	my %shows = map { $_->{name} => $_->{text} =~ /till-kqxz-\w/ ? 1 : 0 } attempt($shop, $role, by_relation(\%LOOK, grep { $_->{name} =~ /^inqud\.(?:checkout|event|trouble|payment)$/ } @seen));

	is(join(', ', grep { !$shows{$_} && !/EXPLAIN|, inqud\.payment|an error|row security/ } sort keys %shows), '', "$role sees the rows of till in each way");
	is(scalar(grep { /an error/ && $shows{$_} } keys %shows) >= 1, 1, "$role: in an error, too");
}
foreach my $table (@tables)
{
	cmp_ok($shop->sql("SELECT count(*) FROM $table->{name}"), '>', 0, "$table->{name} has rows to hide");
}
my %works;
# a member of the extension is not dropped by itself, a row without values is refused for them
$works{ $_->{name} =~ s/, .*//r } += $_->{state} =~ /^(?:ok|2BP01|23502)$/ foreach attempt($shop, 'postgres', by_relation(\%WRITE, @tables)), attempt($shop, 'postgres', by_relation(\%SEQUENCE, @sequences));
is(join(', ', grep { !$works{$_} } sort keys %works), '', 'a superuser can write and stop in each way');
like($shop->sql('SELECT string_agg(x::text, E\'\n\') FROM pg_user_mappings x'), qr/KEYtill-token_secret/, 'a superuser finds the keys where they belong');
is_deeply(state_of_all(), $before, 'nothing has changed by looking and writing');

# ---------------------------------------------------------------------
# Functions
# ---------------------------------------------------------------------

# What functions that everybody may execute do with what is another's: refuse, or show nothing of it.
my %EXPECT = (
	(map { $_ => 'refuses' } qw(inqud_create_checkout inqud_enqueue_checkout inqud_get_checkout inqud_wait_checkout inqud_refresh inqud_retry inqud_cancel inqud_resolve inqud_order_trigger)),
	(map { $_ => 'shows nothing' } qw(inqud_check_project inqud_report_page inqud_widget_html inqud_widget_page inqud_fdw_validator
		_home _is_ended _is_final _ended_at _is_known_open _workers _stats _troubles _advice_no_server _html _duration _bars _report_style _report_revenue _report_assets _report_funnel _report_times)));

# Arguments by name, else by type, aimed at somebody's order on a server.
sub argument
{
	my ($argument, $server) = @_;
	my ($name, $type) = @$argument;
	my $of = $target{$server};
	my %by_name = (project => "'$server'", server => "'$server'", order_id => "'guess-1'", checkout_id => "'$of->{checkout_id}'", return_url => "'https://shop.example/'", currency => "'USD'",
		type => "'FIXED_PRICE'", role => "'till'", extra => 'NULL', expires_at => 'NULL', on_status => 'NULL', nonce => 'NULL', from_role => "'till'", to_role => 'CURRENT_USER');
	my %by_type = (bigint => $of->{id}, 'bigint[]' => "ARRAY[$of->{id}]", text => "'guess-1'", name => "'till'", integer => 1, 'integer[]' => 'ARRAY[1]', numeric => 1, 'numeric[]' => 'ARRAY[1]',
		boolean => 'true', 'text[]' => "ARRAY['guess-1']", date => 'current_date', interval => "'10ms'", 'timestamp with time zone' => 'now()', jsonb => "'{}'", bytea => "'{}'", oid => "'inqud_cancel(bigint)'::regprocedure",
		'inqud.checkout' => "jsonb_populate_record(NULL::inqud.checkout, '" . $json->encode({ id => $of->{id}, project => $server, checkout_id => $of->{checkout_id}, return_url => 'https://shop.example/' }) . "')",
		map { $_ => "NULL::$_" } 'inqud.queue', 'inqud._order', 'inqud._task', 'inqud.event');

	return defined $by_name{$name} && $type =~ /^(?:text|name|jsonb|timestamp with time zone)$/ ? "$by_name{$name}::$type" : exists $by_type{$type} ? "$by_type{$type}::$type" : undef;
}

# The calls of a function: aimed at both servers, and with nulls.
sub calls
{
	my ($f) = @_;
	my $name = "$f->{schema}.$f->{name}";
	my @given = map { my $server = $_; [ map { argument($_, $server) } @{ $f->{arguments} } ] } qw(shop other);

	push @given, [ map { "NULL::$_->[1]" } @{ $f->{arguments} } ] if @{ $f->{arguments} };
	return map { [ $f->{name}, ($f->{kind} eq 'p' ? "CALL $name(%s)" : $f->{returns} eq 'trigger' ? "SELECT $name(%s)" : "SELECT x::text FROM $name(%s) x") =~ s/%s/join ', ', map { $_ \/\/ 'NULL' } @$_/er ] } @given;
}

my @functions = functions($shop);
is(join(', ', sort map { my $f = $_; map { "$f->{name}: $_->[1]" } grep { !defined argument($_, 'shop') } @{ $f->{arguments} } } @functions), '', 'there is an argument for each type: add it to argument() if not');
is(join(', ', map { $_->{name} } grep { $_->{public} && !$EXPECT{ $_->{name} } } @functions), '', 'there is an expectation for each function that everybody may execute: add it to %EXPECT if not');

foreach my $party (@PARTIES)
{
	my ($name, $role, $server) = @$party;
	my %granted = (receiver => 'inqud_receive_webhook');
	my @kept = grep { !$_->{public} && $_->{name} ne ($granted{$role} // '') } @functions;
	my @own = grep { ($EXPECT{ $_->{name} } // '') eq 'refuses' } @functions;
	my @open = grep { ($EXPECT{ $_->{name} } // '') eq 'shows nothing' } @functions;

	judge($name, 'calls functions that are not for it', sub { $_[0]{state} eq '42501' && silent($_[0], $role) }, attempt($shop, $role, map { calls($_) } @kept));
	judge($name, 'aims functions at what is another\'s', sub { $_[0]{state} =~ /^(?:42501|42704|22004|22023|0A000|39P01)$/ && silent($_[0], $role) || $_[0]{sql} =~ /NULL::/ && $_[0]{state} eq 'ok' && $_[0]{out} =~ /^[\s(,)]*$/ },
		attempt($shop, $role, grep { $role ne 'rival' || $_->[1] !~ /'other'|\b$target{other}{id}\b/ } map { calls($_) } @own));
	judge($name, 'calls functions that show', sub { silent($_[0], $role) && $_[0]{state} !~ /^(?:XX|42883|42601|42725)/ }, attempt($shop, $role, map { calls($_) } @open));
}
is_deeply(state_of_all(), $before, 'nothing has changed by calling, and no order was sent');

# The same calls for what is one's own.
my @answers = attempt($shop, 'till', map { [ $_->[0], "BEGIN; $_->[1]" ] } grep { $_->[1] !~ /NULL::(?:text|bigint)|'other'|\b$target{other}{id}\b/ } map { calls($_) } grep { ($EXPECT{ $_->{name} } // '') eq 'refuses' } @functions);
is(join(', ', map { "$_->{name} $_->{state} $_->{message}" } grep { $_->{state} =~ /^(?:42501|42704)$/ } @answers), '', 'the owner is refused none of them');
cmp_ok(scalar(grep { $_->{state} eq 'ok' } @answers), '>=', 3, 'and these work: ' . join ' ', map { $_->{name} } grep { $_->{state} eq 'ok' } @answers);

# ---------------------------------------------------------------------
# Options
# ---------------------------------------------------------------------

# A good value of each option; a bad one that must not be repeated.
my %VALUE = (project_id => 'CAP-x', base_url => 'http://127.0.0.1:1', checkout_path => '/{project}/{checkout}', auth => 'signed', rate_limit => 100000, max_inflight => 1000, connect_timeout => '1s',
	timeout => '1s', max_reply_size => '64MB', retry_min => '1s', retry_max => '1day', retry_for => '1s', poll_active => '1s', poll_new => '1s', expires_in => '1s', name_limit => 1,
	on_status => 'public.order_changed', widget_url => 'https://shop.example/w.js', ca_file => '/etc/passwd', (map { $_ => 'x' } @SECRETS), secret_file => '/etc/passwd');
my %PRIVILEGED = map { $_ => 1 } qw(ca_file secret_file);
my %options = map { $_ => [ options($shop, $_) ] } 'server', 'user mapping';

is(join(' ', grep { !defined $VALUE{$_} } map { @$_ } values %options), '', 'there is a value for each option: add it to %VALUE if not');

# Setting an option of a server, or of a role's mapping for it; whether it stands there does not matter to those who may not.
sub setting
{
	my ($server, $of, $option, $value, $whose) = @_;
	my $object = $of eq 'server' ? "SERVER $server" : "USER MAPPING FOR $whose SERVER $server";
	my $there = $shop->sql($of eq 'server' ? "SELECT srvoptions::text ~ '\\m$option=' FROM pg_foreign_server WHERE srvname = '$server'" : "SELECT true") eq 't';

	$there = 0 if $option eq 'secret_file';
	return [ "$option of $server", "BEGIN; ALTER $object OPTIONS (" . ($there ? 'SET' : 'ADD') . " $option " . literal($value) . ')' ];
}

sub all_settings
{
	my ($server, @whose) = @_;

	return ((map { setting($server, 'server', $_, $VALUE{$_}) } @{ $options{server} }),
		map { my $whose = $_; map { setting($server, 'user mapping', $_, $VALUE{$_}, $whose) } @{ $options{'user mapping'} } } @whose);
}

my %own = (boss => 'shop', rival => 'other');
foreach my $party (@PARTIES)
{
	my ($name, $role, $server) = @$party;

	judge($name, 'sets options of another\'s project', sub { $_[0]{state} eq '42501' && silent($_[0], $role) }, attempt($shop, $role, all_settings($server, 'PUBLIC', $server eq 'shop' ? 'till' : ())));
	next unless $own{$role};
	judge($name, 'makes the server read a file', sub { $_[0]{state} eq '42501' }, attempt($shop, $role, grep { $PRIVILEGED{ (split / /, $_->[0])[0] } } all_settings($own{$role}, 'PUBLIC')));
	is(join(', ', map { "$_->{sql}: $_->{message}" } grep { $_->{state} ne 'ok' } attempt($shop, $role, grep { !$PRIVILEGED{ (split / /, $_->[0])[0] } } all_settings($own{$role}, 'PUBLIC'))), '', "$name sets all others of its own project");
}
# A value that is refused is repeated nowhere, unless it is a server's number or word.
judge('owner of the server', 'has a bad value repeated', sub { $_[0]{state} =~ /^HV/ && silent($_[0], 'boss') },
	attempt($shop, 'boss', (map { setting('shop', 'user mapping', $_, "KEYshop-jvwyq\x01", 'PUBLIC') } grep { !$PRIVILEGED{$_} } @{ $options{'user mapping'} }),
		setting('shop', 'server', 'base_url', 'https://user:KEYshop-jvwyq@inqud.example'), setting('shop', 'server', 'widget_url', 'https://user:KEYshop-jvwyq@inqud.example/')));
# Addresses at which a key must not arrive.
judge('owner of the server', 'sends keys in the clear', sub { $_[0]{state} eq 'HV024' }, attempt($shop, 'boss', map { setting('shop', 'server', 'base_url', $_) }
	'http://inqud.example', 'http://169.254.169.254', 'http://10.0.0.1', 'http://localhost.example', 'ftp://127.0.0.1', 'file:///etc/passwd', 'gopher://127.0.0.1', 'http://127.0.0.1@inqud.example', 'https://', '//inqud.example', "http://127.0.0.1\t"));

# ---------------------------------------------------------------------
# Objects, roles and processes
# ---------------------------------------------------------------------

foreach my $party (@PARTIES)
{
	# one without work has left after 30 s, and nobody is refused to end a process that is gone
	$shop->sql('SELECT inqud_worker_start()');
	$shop->wait_until("SELECT count(*) = 1 FROM inqud.worker WHERE pid IS NOT NULL");
	my $worker = $shop->worker_pid;
	my ($name, $role, $server) = @$party;
	my $victim = $server eq 'shop' ? 'till' : 'rival';
	my @stops = ("DROP EXTENSION inqud CASCADE", "DROP SCHEMA inqud CASCADE", "ALTER EXTENSION inqud UPDATE", "ALTER EXTENSION inqud DROP TABLE inqud.checkout", "CREATE TABLE inqud.mine (a int)",
		"CREATE FUNCTION inqud.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE OR REPLACE FUNCTION inqud_cancel(bigint) RETURNS inqud.checkout LANGUAGE sql AS 'SELECT NULL::inqud.checkout'",
		"ALTER FUNCTION inqud_cancel(bigint) SECURITY DEFINER", "ALTER SCHEMA inqud RENAME TO mine", "DROP SERVER $server CASCADE", "ALTER SERVER $server OWNER TO CURRENT_USER", "ALTER SERVER $server RENAME TO mine",
		"GRANT USAGE ON FOREIGN SERVER $server TO CURRENT_USER", "ALTER FOREIGN DATA WRAPPER inqud NO VALIDATOR", "ALTER FOREIGN DATA WRAPPER inqud OWNER TO CURRENT_USER", "DROP FOREIGN DATA WRAPPER inqud CASCADE",
		"CREATE USER MAPPING FOR watcher SERVER $server", "DROP USER MAPPING FOR PUBLIC SERVER $server", "SET ROLE $victim", "SET ROLE keeper",
		"SET SESSION AUTHORIZATION $victim", "GRANT $victim TO CURRENT_USER", "ALTER ROLE $victim LOGIN", "REASSIGN OWNED BY $victim TO CURRENT_USER", "DROP OWNED BY $victim", "ALTER SYSTEM SET inqud.enabled = off",
		"ALTER DATABASE postgres SET session_replication_role = replica", "SET session_replication_role = replica", "SELECT pg_reload_conf()", "SELECT pg_terminate_backend($worker)", "SELECT pg_cancel_backend($worker)",
		"SELECT pg_log_backend_memory_contexts($worker)", "SELECT pg_read_file('pg_hba.conf')", "SELECT pg_stat_reset()", "SELECT pg_stat_statements_reset()",
		"CREATE FUNCTION pg_temp.by_hand(bigint) RETURNS inqud.checkout LANGUAGE c AS '\$libdir/inqud', 'inqud_cancel'");

	push @stops, "CREATE SERVER mine FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-1')" unless $own{$role};
	push @stops, "DROP USER MAPPING FOR till SERVER shop" if $server eq 'shop';
	push @stops, "CREATE FOREIGN TABLE pg_temp.ft (a int) SERVER $server", "CREATE USER MAPPING FOR CURRENT_USER SERVER $server" unless $role eq 'app';
	judge($name, 'takes, drops and stops', sub { ($_[0]{state} =~ /^(?:42501|0LP01)$/ || $_[0]{text} =~ /no privileges were granted/) && silent($_[0], $role) },
		attempt($shop, $role, map { [ $_, /^ALTER SYSTEM/ ? $_ : "BEGIN; $_" ] } @stops));
	judge($name, 'changes settings', sub { $_[0]{state} =~ /^(?:42501|55P02)$/ }, attempt($shop, $role, map { [ $_, "SET $_ = '1'" ] } split /\n/, $shop->sql("SELECT name FROM pg_settings WHERE name ~ '^inqud'")));
}
is_deeply(state_of_all(), $before, 'nothing has changed by that');
is_deeply([ differences(\@catalogue, [ catalogue($shop) ]) ], [], 'nor have the extension\'s objects');

# ---------------------------------------------------------------------
# Senders of webhooks
# ---------------------------------------------------------------------

my $body = $json->encode({ id => $target{shop}{checkout_id}, status => 'SUCCESS', clientOrderId => 'guess-1' });
my $good = digest($key{shop}{webhook_secret}, $body);
my @forged = (undef, '', 'x', $good . '0', substr($good, 0, -1), scalar reverse($good), '0' x 40, "\xc3\xa9" x 20, "$good\n", (map { digest($_, $body) } '', 'webhook_secret', 'null'),
	(map { my $of = $_; map { digest($key{$of}{$_}, $body) } @SECRETS } qw(other till)), (map { digest($key{shop}{$_}, $body) } qw(token_id token_secret)), digest($key{shop}{webhook_secret}, "$body "));

foreach my $server (qw(shop nowhere))
{
	judge('sender of webhooks', "forges a digest, $server", sub { $_[0]{state} =~ ($server eq 'shop' ? qr/^IQ006$/ : qr/^42704$/) && silent($_[0], 'receiver') }, attempt($shop, 'receiver', map { [ 'digest', 'SELECT ' . receive_sql($server, $body, $_) ] } @forged));
}
is_deeply(state_of_all(), $before, 'no forged webhook has changed anything');
is(join(' ', map { $_->{state} } attempt($shop, 'receiver', [ good => 'BEGIN; SELECT ' . receive_sql('shop', $body, $good) ])), 'ok', 'a genuine one is taken');

# ---------------------------------------------------------------------
# Inqud's replies, and the network
# ---------------------------------------------------------------------

$shop->sql("SET SESSION AUTHORIZATION app; SELECT id FROM inqud_enqueue_checkout('shop', 'app-1', 'n', 'https://shop.example/', 5, 'USD')");
$shop->wait_until("SELECT checkout_id IS NOT NULL FROM inqud.checkout WHERE order_id = 'app-1'");
my $mine = $shop->checkout('app-1')->{checkout_id};
my ($members) = map { $json->decode($_) } $shop->sql("SELECT reply FROM inqud.checkout WHERE order_id = 'till-kqxz-paid'");
my @members = ((grep { !ref $members->{$_} } sort keys %$members), map { "request.$_" } grep { !ref $members->{request}{$_} } sort keys %{ $members->{request} // {} });
# What each member could say: of others, keys, and what cannot be stored or understood.
my @says = ($json->encode($target{shop}{checkout_id}), '"guess-1"', '"till-x"', (map { $json->encode($key{shop}{$_}) } qw(token_id token_secret webhook_secret)), '1e200000', '-1', 'null', '{}', '[]', '"\\u0000"', '"\\ud800"', '"a\\nb"', '"' . 'x' x 3000 . '"');

# What is not the order of the reply.
sub rest_of_all
{
	return join ' ', map { $shop->sql("SELECT md5(string_agg(x::text, '|' ORDER BY x::text)) FROM inqud.$_->[0] x WHERE $_->[1] IN (SELECT id FROM inqud.checkout WHERE owner <> 'app')") } [ checkout => 'id' ], map { [ $_ => 'checkout' ] } qw(queue call event inbox);
}

my $rest = rest_of_all();
my @replies;
foreach my $member (@members)
{
	foreach my $say (@says)
	{
		$emu->fault({ match => { method => 'GET', checkout => $mine }, action => 'alter', override => { $member => $say }, times => 1 });
		push @replies, [ "$member: " . substr($say, 0, 50), "SELECT x::text FROM inqud_get_checkout('shop', '$mine') x" ];
	}
}
my @read = attempt($shop, 'app', @replies);
judge('Inqud\'s replies', 'say something else', sub { silent($_[0], 'app') && $_[0]{state} =~ /^(?:ok|IQ00[1-5])$/ }, @read);
cmp_ok(scalar(grep { $_->{state} eq 'ok' } @read), '>', @read / 4, 'many of them are taken');
$emu->clear_faults;

my @faults = ({ action => 'drop_before' }, { action => 'drop_after' }, { action => 'truncate' }, { action => 'oversize', bytes => 3_000_000 }, { action => 'raw', base64 => 'AGdhcmJhZ2U=' }, { action => 'raw', text => "HTTP/1.1 200 OK\r\n" },
	(map { { action => 'status', status => $_, headers => { Location => $emu->url }, body => { message => "$key{shop}{token_secret} $key{shop}{token_id}" } } } 301, 307, 400, 401, 403, 404, 409, 422, 429, 500, 503),
	{ action => 'status', status => 200, body => '<html>', content_type => 'text/html' });
my @met;
foreach my $fault (@faults)
{
	$emu->fault({ match => { method => 'GET', checkout => $mine }, times => 1, %$fault });
	push @met, attempt($shop, 'app', [ $json->encode($fault), "SELECT x::text FROM inqud_get_checkout('shop', '$mine') x" ]);
	$emu->clear_faults;
	# an end to the pause that 429 brings
	$shop->set_options('shop', rate_limit => 1000 + @met) if ($fault->{status} // 0) == 429;
}
judge('network', 'drops, garbles, redirects', sub { silent($_[0], 'app') && $_[0]{state} =~ /^(?:IQ00[1-5]|08001)$/ }, @met);
is(rest_of_all(), $rest, 'nothing of other orders has changed by that');

# ---------------------------------------------------------------------
# Nobody was stopped, and nothing stands where it does not belong
# ---------------------------------------------------------------------

my $listener = $shop->session(user => 'stranger');
$listener->query_safe('LISTEN inqud');
$shop->sql("SET SESSION AUTHORIZATION till; SELECT id FROM inqud_enqueue_checkout('shop', 'till-kqxz-last', 'n', 'https://shop.example/', 5, 'USD')");
$shop->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'till-kqxz-last'", 'orders are sent as before');
my @notices = $listener->wait_notifications(sub { scalar grep { /"state"\s*:\s*"open"/ } @_ });
judge('any login', 'listens', sub { silent($_[0], 'stranger') }, map { { text => $_, state => 'ok', message => '', sql => 'LISTEN' } } @notices);
judge('member of pg_monitor', 'reads statistics', sub { silent($_[0], 'watcher') }, attempt($shop, 'watcher', map { [ $_, "SELECT x::text FROM $_ x" ] } qw(pg_stat_activity pg_stat_statements)));
$listener->close;
my $log = PostgreSQL::Test::Utils::slurp_file($shop->node->logfile);
like($log, qr/DEBUG: .*STATEMENT: .*guess-1/s, 'the log tells much');
judge('reader of the log', 'reads', sub { silent($_[0], 'watcher') }, map { { text => $_, state => 'ok', message => '', sql => 'the log' } } split /^(?=\d{4}-\d\d-\d\d )/m, $log =~ s/KEYshop-jvwyq//gr);

note(sprintf '%-28s %8s %8s', 'Party', 'attempts', 'held');
foreach my $party (sort keys %tried)
{
	my ($attempts, $held) = (0, 0);

	$attempts += $_->[1], $held += $_->[2] foreach @{ $tried{$party} };
	note(sprintf '%-28s %8d %8d', $party, $attempts, $held);
}

done_testing();
