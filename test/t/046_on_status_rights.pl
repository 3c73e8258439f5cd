#!/usr/bin/perl
#
# 046_on_status_rights.pl - proves that nobody gains rights by on_status: a function
# runs only if the server's owner could have it run alone, whatever the names, the
# kind of function, and what has changed since the last call; what is refused stands
# in inqud.trouble with the way to mend it, and inqud_check_project says it before.
# It also says where others may have objects of theirs used by the function.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use Test::More;

my $shop = Inqud::Shop->new(options => { poll_new => '1h', poll_active => '1h' });
my $emu = $shop->emu;
my $version = $shop->sql('SHOW server_version_num');
my $session = $shop->session;

$shop->watch_with($session);
$session->query_safe(q{
	CREATE ROLE m; CREATE ROLE clerk; CREATE ROLE boss;
	CREATE ROLE top; CREATE ROLE middle IN ROLE top; GRANT middle TO m;
	CREATE ROLE apart; CREATE ROLE n NOINHERIT IN ROLE apart;
	GRANT USAGE ON FOREIGN DATA WRAPPER inqud TO m, n, clerk;
	CREATE TABLE told (n bigint GENERATED ALWAYS AS IDENTITY, order_id text, role name, xid xid8 DEFAULT pg_current_xact_id());
	GRANT ALL ON told TO PUBLIC});

# SQL for a function that notes who it is.
sub function_sql
{
	my ($name, %o) = @_;

	return "CREATE FUNCTION $name(" . ($o{arguments} // 'c inqud.checkout') . ') RETURNS void LANGUAGE plpgsql ' . ($o{how} // '')
	  . ' AS $f$ BEGIN ' . ($o{first} // '') . ' INSERT INTO public.told (order_id, role) VALUES ('
	  . ($o{order} // 'c.order_id') . ', current_user); END $f$;';
}

# ---------------------------------------------------------------------
# Orders are not paid by somebody else's server
# ---------------------------------------------------------------------

$shop->create_orders(on_status => 0);
$session->query_safe(q{
	CREATE FUNCTION order_changed(c inqud.checkout) RETURNS void LANGUAGE sql AS
		$$ UPDATE public.orders SET paid = true WHERE id = c.order_id::bigint AND c.status = 'SUCCESS' $$;
	ALTER SERVER shop OPTIONS (ADD on_status 'order_changed');
	INSERT INTO orders VALUES (1, 1000, 'USD');
	SET ROLE m;
	CREATE SERVER mine FOREIGN DATA WRAPPER inqud OPTIONS (project_id '} . Inqud::Shop::SECOND . q{', base_url '} . $emu->url . q{',
		rate_limit '0', on_status 'order_changed');
	CREATE USER MAPPING FOR m SERVER mine OPTIONS (token_id '} . Inqud::Shop::TOKEN . q{', token_secret '} . Inqud::Shop::SECRET . q{');
	SELECT inqud_enqueue_checkout('mine', '1', 'cheap', 'https://m.example/', 0.01, 'USD');
	RESET ROLE});
my $called = "(EXISTS (SELECT FROM orders WHERE paid) OR EXISTS (SELECT FROM inqud.event e JOIN inqud.checkout c ON c.id = e.checkout
	WHERE c.project = 'mine' AND e.kind = 'hook' AND c.status = 'SUCCESS'))";

$shop->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE project = 'mine'");
$emu->control('settle', { id => $shop->sql("SELECT checkout_id FROM inqud.checkout WHERE project = 'mine'") });
$session->query_safe("SELECT inqud_refresh(id) FROM inqud.checkout WHERE project = 'mine'");
$shop->wait_until("SELECT status = 'SUCCESS' FROM inqud.checkout WHERE project = 'mine'");
$session->query_safe("UPDATE inqud.call SET due_at = now() WHERE server_id = (SELECT id FROM inqud.known_server WHERE name = 'mine'); SELECT inqud_worker_start()");
$shop->wait_until("SELECT $called");
is($shop->sql('SELECT paid FROM orders WHERE id = 1'), 'f', 'an order of 1000 is not paid by 0.01 at a server of somebody else');
$shop->until("SELECT count(*) = 1 FROM inqud.trouble WHERE project = 'mine' AND trouble = 'on_status failed'
	AND detail ~ 'would run as its owner postgres, but the server.s owner m may not act as that role.*SECURITY DEFINER'",
	'inqud.trouble says why, and how to mend it');
$shop->wait_until("SELECT state = 'open' FROM inqud.checkout WHERE project = 'shop'");
$emu->control('settle', { id => $shop->sql("SELECT checkout_id FROM inqud.checkout WHERE project = 'shop'") });
$session->query_safe("SELECT inqud_refresh(id) FROM inqud.checkout WHERE project = 'shop'");
$shop->until('SELECT paid FROM orders WHERE id = 1', 'by the shop\'s own server it is');
$session->query_safe("DELETE FROM inqud.call WHERE server_id = (SELECT id FROM inqud.known_server WHERE name = 'mine')");

# ---------------------------------------------------------------------
# Whose function runs, and as whom
# ---------------------------------------------------------------------

my $cases = 0;

# Queues an order, and says as whom the function ran for it, or why it did not.
sub outcome
{
	my ($project) = @_;
	my $order = 'case-' . ++$cases;

	$session->query_safe("SELECT inqud_enqueue_checkout('$project', '$order', 'n', 'https://shop.example/')");
	$shop->wait_until("SELECT EXISTS (SELECT FROM told WHERE order_id = '$order')
		OR EXISTS (SELECT FROM inqud.event e JOIN inqud.checkout c ON c.id = e.checkout WHERE c.order_id = '$order' AND e.kind = 'hook')");
	my $told = $shop->sql("SELECT string_agg(DISTINCT 'as ' || role, ' ') FROM told WHERE order_id = '$order'");
	my $refused = $shop->sql("SELECT detail FROM inqud.event e JOIN inqud.checkout c ON c.id = e.checkout
		WHERE c.order_id = '$order' AND e.kind = 'hook' ORDER BY e.id LIMIT 1");

	$session->query_safe("DELETE FROM inqud.call WHERE server_id = (SELECT id FROM inqud.known_server WHERE name = '$project')");
	return $told . $refused;
}

# A project of m (or another role) whose function is made so.
sub case_is
{
	my ($name, $sql, $expected, %o) = @_;
	my $project = $o{project} // 'p' . ($cases + 1);
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$session->query_safe($sql =~ s/(?<![A-Za-z])P(?![A-Za-z])/$project/gr);
	if (!$o{project})
	{
		$shop->project($project, options => { poll_new => '1h', poll_active => '1h', retry_min => '1h', retry_max => '1h' });
		$shop->set_options($project, on_status => $o{named} // "f_$project");
		$session->query_safe("ALTER SERVER $project OWNER TO " . ($o{chooser} // 'm')) unless ($o{chooser} // '') eq 'postgres';
	}
	my $outcome = outcome($project);

	ref $expected ? like($outcome, $expected, $name) : is($outcome, $expected, $name);
	return $project;
}

my $definer = function_sql('f_P', how => 'SECURITY DEFINER') . 'ALTER FUNCTION f_P OWNER TO clerk;';
my $invoker = function_sql('f_P');
my $no_role = qr/would run as its owner \w+, but the server's owner \w+ may not act as that role/;
my $absent = qr/function public\.f_\w+\(inqud\.checkout\) does not exist/;

case_is('a superuser\'s', $invoker, $no_role);
case_is('one\'s own', "$invoker ALTER FUNCTION f_P OWNER TO m", 'as m');
case_is('another\'s', "$invoker ALTER FUNCTION f_P OWNER TO clerk", $no_role);
case_is('of a role that one reaches by two memberships', "$invoker ALTER FUNCTION f_P OWNER TO top", 'as top');
case_is('of a role whose rights must be taken with SET ROLE', "$invoker ALTER FUNCTION f_P OWNER TO apart", 'as apart', chooser => 'n');
case_is('of a member of one\'s own', "$invoker ALTER FUNCTION f_P OWNER TO m", $no_role, chooser => 'clerk');
SKIP:
{
	skip 'memberships have no option SET before 16', 1 if $version < 160000;
	case_is('of a role that one cannot SET', "CREATE ROLE held; GRANT held TO m WITH INHERIT TRUE, SET FALSE; $invoker ALTER FUNCTION f_P OWNER TO held", $no_role);
}
case_is('any, for a superuser\'s server', "$invoker ALTER FUNCTION f_P OWNER TO clerk; REVOKE EXECUTE ON FUNCTION f_P FROM PUBLIC", 'as clerk', chooser => 'postgres');
case_is('SECURITY DEFINER for everybody', $definer, 'as clerk');
case_is('SECURITY DEFINER for others', "$definer REVOKE EXECUTE ON FUNCTION f_P FROM PUBLIC",
	qr/permission denied for function public\.f_\w+\(inqud\.checkout\).*GRANT EXECUTE/);
case_is('SECURITY DEFINER for a role whose rights one has', "$definer REVOKE EXECUTE ON FUNCTION f_P FROM PUBLIC; GRANT EXECUTE ON FUNCTION f_P TO middle", 'as clerk');
$session->query_safe('CREATE SCHEMA shut');
case_is('in a schema that is not for one', function_sql('shut.f', how => 'SECURITY DEFINER'), qr/permission denied for schema shut.*GRANT USAGE/, named => 'shut.f');
case_is('a function of the extension', '', $no_role, named => 'inqud._notify');

# By other names and kinds.
case_is('without a schema it is one in public', 'CREATE SCHEMA theirs AUTHORIZATION m; ALTER ROLE m SET search_path = theirs; ' . function_sql('theirs.f_P'), $absent);
case_is('of any type', function_sql('f_P', arguments => 'c anyelement'), $absent);
case_is('of any row', function_sql('f_P', arguments => 'c inqud._order', order => "'x'"), $absent);
case_is('of any number of checkouts', function_sql('f_P', arguments => 'VARIADIC c inqud.checkout[]', order => 'c[1].order_id'), $absent);
case_is('of a domain', 'CREATE DOMAIN ours AS inqud.checkout; ' . function_sql('f_P', arguments => 'c ours', order => '(c).order_id'), $absent);
case_is('with a default argument', function_sql('f_P', arguments => 'c inqud.checkout, d int DEFAULT 1'), $absent);
case_is('of another with the same name', function_sql('f_P', arguments => 'c text', order => 'c', how => 'SECURITY DEFINER') . $invoker, $no_role);
case_is('a procedure', q{CREATE PROCEDURE f_P(c inqud.checkout) LANGUAGE sql AS $$ INSERT INTO public.told (order_id, role) VALUES (c.order_id, current_user) $$;
	ALTER PROCEDURE f_P OWNER TO m}, qr/is not a function/);
case_is('an aggregate', q{CREATE FUNCTION s_P(t text, c inqud.checkout) RETURNS text LANGUAGE sql AS 'SELECT $1'; CREATE AGGREGATE f_P(inqud.checkout) (SFUNC = s_P, STYPE = text);
	ALTER AGGREGATE f_P(inqud.checkout) OWNER TO m}, qr/is not a function/);
case_is('in pg_temp', function_sql('pg_temp.f_P'), qr/function pg_temp\.f_\w+\(inqud\.checkout\) does not exist/, named => 'pg_temp.f_p' . ($cases + 1));
case_is('in a session\'s pg_temp', function_sql('pg_temp.f_P', how => 'SECURITY DEFINER'), qr/permission denied for schema pg_temp_/,
	named => $session->query_safe('CREATE TEMP TABLE t (); SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()') . '.f_p' . ($cases + 1));

# What has changed since the last call.
my $p = case_is('first one\'s own', "$invoker ALTER FUNCTION f_P OWNER TO m", 'as m');
case_is('then given away', 'ALTER FUNCTION f_P OWNER TO postgres', $no_role, project => $p);
case_is('then made SECURITY DEFINER', 'ALTER FUNCTION f_P SECURITY DEFINER', 'as postgres', project => $p);
case_is('then taken from everybody', 'REVOKE EXECUTE ON FUNCTION f_P FROM PUBLIC', qr/permission denied for function/, project => $p);
case_is('then of the same server with another owner', 'ALTER SERVER P OWNER TO postgres', 'as postgres', project => $p);
case_is('then back', 'ALTER SERVER P OWNER TO m; ALTER FUNCTION f_P SECURITY INVOKER; GRANT EXECUTE ON FUNCTION f_P TO m', $no_role, project => $p);
case_is('then made anew', 'DROP FUNCTION f_P; ' . function_sql('f_P') . 'ALTER FUNCTION f_P OWNER TO m', 'as m', project => $p);
$p = case_is('of a role that is about to go', "CREATE ROLE leaver; GRANT leaver TO m; $invoker ALTER FUNCTION f_P OWNER TO leaver", 'as leaver');
case_is('which has left what it owned to a superuser', 'REASSIGN OWNED BY leaver TO postgres; DROP ROLE leaver', $no_role, project => $p);
$p = case_is('a server of such a role', "CREATE ROLE leaver; GRANT USAGE ON FOREIGN DATA WRAPPER inqud TO leaver; $invoker ALTER FUNCTION f_P OWNER TO leaver", 'as leaver', chooser => 'leaver');
case_is('which has left server and function to others', "ALTER FUNCTION f_P OWNER TO boss; REASSIGN OWNED BY leaver TO m; DROP OWNED BY leaver; DROP ROLE leaver", $no_role, project => $p);
case_is('a membership that is given', 'GRANT boss TO m', 'as boss', project => $p);
case_is('and taken', 'REVOKE boss FROM m', $no_role, project => $p);

# Within one transaction: what the function's manager remembers of it must not be used.
$shop->project('turns', options => { poll_new => '1h', poll_active => '1h' });
$session->query_safe('SELECT ' . join ', ', map { "inqud_enqueue_checkout('turns', 'turn-$_', 'n', 'https://shop.example/')" } 1 .. 5);
$shop->wait_until("SELECT count(*) = 5 FROM inqud.checkout WHERE project = 'turns' AND state = 'open'");
$session->query_safe(function_sql('f_turns', how => 'SECURITY DEFINER',
		first => "IF c.order_id = 'turn-1' THEN EXECUTE 'ALTER FUNCTION public.f_turns(inqud.checkout) OWNER TO clerk'; END IF;")
	. 'GRANT CREATE ON SCHEMA public TO clerk; ALTER SERVER turns OWNER TO m');
$shop->set_options('turns', on_status => 'f_turns');
$session->query_safe("INSERT INTO inqud.call (checkout, home, server_id, due_at)
	SELECT id, inqud._home(), server_id, now() - interval '1 ms' * (10 - row_number() OVER (ORDER BY order_id)) FROM inqud.checkout WHERE project = 'turns'");
$shop->wait_until("SELECT count(*) = 5 FROM told WHERE order_id LIKE 'turn-%'");
is($shop->sql("SELECT string_agg(role, ' ' ORDER BY n) FROM told WHERE order_id LIKE 'turn-%'"), 'postgres clerk clerk clerk clerk',
	'a function that has another owner runs as that at once');
is($shop->sql("SELECT count(DISTINCT xid) FROM told WHERE order_id LIKE 'turn-%'"), '1', 'within one transaction');
$session->query_safe('REVOKE CREATE ON SCHEMA public FROM clerk');

# ---------------------------------------------------------------------
# What inqud_check_project says of it
# ---------------------------------------------------------------------

sub step
{
	my ($step) = @_;

	return $session->query_safe("SELECT coalesce(ok::text, 'null') || ' ' || detail FROM inqud_check_project('checked') WHERE step = '$step'");
}

$shop->project('checked');
is(step('on_status_path'), 'null not set', 'without a function there is no path');
$session->query_safe(function_sql('f_checked') . 'ALTER SERVER checked OWNER TO m');
$shop->set_options('checked', on_status => 'f_checked');
like(step('on_status'), qr/^false .*$no_role.*SECURITY DEFINER/, 'a function that may not run is found before the first call');
like(step('on_status_path'), qr/^null not tried/, 'then nothing else of it is looked at');
$session->query_safe('ALTER FUNCTION f_checked SECURITY DEFINER');
like(step('on_status'), qr/^true .*as role "postgres"/, 'one that may run is good, and it says as whom');
like(step('on_status_path'), qr/^true /, 'nobody can put anything in the way of its names');
my @paths = (
	[ 'somebody may create in its schema', 'GRANT CREATE ON SCHEMA public TO m', qr/^false .*schema public \(m\).*schema of its own.*BEGIN ATOMIC.*SET search_path/ ],
	[ 'it has a search path of its own', 'ALTER FUNCTION f_checked SET search_path = pg_catalog, pg_temp', qr/^true / ],
	[ 'that has such a schema', 'ALTER FUNCTION f_checked SET search_path = pg_catalog, public, pg_temp', qr/^false .*public \(m\)/ ],
	[ 'that has one which needs quotes', 'CREATE SCHEMA "a, ""b"; GRANT CREATE ON SCHEMA "a, ""b" TO clerk; ALTER FUNCTION f_checked SET search_path = "$user", "a, ""b"', qr/^false .*"a, ""b" \(clerk\)\./ ],
	[ 'that has one of its owner\'s name', 'CREATE SCHEMA postgres; GRANT CREATE ON SCHEMA postgres TO m, n; ALTER FUNCTION f_checked SET search_path = "$user"', qr/^false .*postgres \(m, n\)/ ],
	[ 'everybody may create', 'GRANT CREATE ON SCHEMA public TO PUBLIC; ALTER FUNCTION f_checked RESET search_path', qr/^false .*public \(everybody\)/ ],
	[ 'who may create may act as its owner', 'REVOKE CREATE ON SCHEMA public FROM PUBLIC; ALTER FUNCTION f_checked OWNER TO top; REVOKE CREATE ON SCHEMA public FROM m; GRANT CREATE ON SCHEMA public TO middle', qr/^true / ],
	[ 'or is its owner', 'GRANT CREATE ON SCHEMA public TO top', qr/^true / ],
	[ 'the schema is somebody else\'s', 'CREATE SCHEMA theirs_too AUTHORIZATION clerk; GRANT USAGE ON SCHEMA theirs_too TO m; ALTER FUNCTION f_checked SET SCHEMA theirs_too; ALTER SERVER checked OPTIONS (SET on_status \'theirs_too.f_checked\')', qr/^false .*theirs_too \(clerk\)/ ],
	[ 'its names were bound when it was made', 'DROP FUNCTION theirs_too.f_checked; CREATE FUNCTION theirs_too.f_checked(c inqud.checkout) RETURNS void LANGUAGE sql BEGIN ATOMIC
		INSERT INTO public.told (order_id) SELECT c.order_id WHERE c.amount > 0; END; ALTER FUNCTION theirs_too.f_checked OWNER TO m', qr/^true / ]);

foreach my $path (@paths)
{
	my ($name, $sql, $expected) = @$path;

	$session->query_safe($sql);
	like(step('on_status_path'), $expected, "the doctor on names: $name");
}
$session->query_safe('DROP FUNCTION theirs_too.f_checked');
like(step('on_status'), qr/^false .*does not exist/, 'and on a function that is not there');

done_testing();
