#!/usr/bin/perl
#
# 048_names.pl - proves that roles and servers are known by oid at home: a rename changes
# nothing, a new role or server of an old name inherits nothing, REASSIGN OWNED and
# inqud_reassign hand checkouts over, what belongs to a dropped server costs nothing and
# can be adopted, and elsewhere rows are nobody's until they are adopted.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use PostgreSQL::Test::Utils ();
use Test::More;

my $shop = Inqud::Shop->new(options => { poll_new => '200ms', poll_active => '200ms' });
my $emu = $shop->emu;

$shop->sql(q{
	CREATE ROLE app LOGIN; CREATE ROLE heir LOGIN; CREATE ROLE m LOGIN;
	GRANT USAGE ON FOREIGN SERVER shop TO app, heir, m;
	GRANT USAGE ON FOREIGN DATA WRAPPER inqud TO m;
	GRANT CREATE ON SCHEMA public TO app;
	CREATE USER MAPPING FOR app SERVER shop OPTIONS (token_id 'TKN-mine', token_secret 'my-own-secret');
	CREATE TABLE orders (id text); GRANT INSERT ON orders TO PUBLIC;
	CREATE TRIGGER pay AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION inqud_order_trigger('shop', 'order_id={id}', 'name=n', 'return_url=https://shop.example')});
$emu->control('token', { id => 'TKN-mine', secret => 'my-own-secret' });

my %session;

# A role's session; it may bear another name later.
sub as { my ($role) = @_; return $session{$role} //= $shop->session(user => $role) }

# How many checkouts a role sees.
sub sees { my ($role) = @_; return as($role)->query_safe('SELECT count(*) FROM inqud.checkout') }

sub queued { my ($role, $order, $project) = @_; return as($role)->query($shop->enqueue_sql($order, undef, $project))->{error} // { state => 'ok' } }

# What SQL says of the newest checkout of an order.
sub comes { my ($order, $condition, $name) = @_; return $shop->until("SELECT $condition FROM inqud.checkout WHERE order_id = '$order' ORDER BY id DESC LIMIT 1", $name) }

sub trouble { my ($order) = @_; return $shop->sql("SELECT string_agg(trouble, ',' ORDER BY trouble) FROM inqud.trouble WHERE order_id = '$order'") }

# The tokens that requests of an order's checkout were sent with, since the log was reset.
sub tokens
{
	my ($id) = @_;
	my %tokens = map { $_->[1] => 1 } grep { lc $_->[0] eq 'x-token-api-id' }
	  map { @{ $_->{headers} } } grep { $_->{path} =~ /\Q$id\E/ } $shop->requests;

	return join ' ', sort keys %tokens;
}

# ---------------------------------------------------------------------
# Renames
# ---------------------------------------------------------------------

foreach my $order ('renamed', 'renamed too')
{
	is(queued('app', $order)->{state}, 'ok', "$order: queued");
	comes($order, "state = 'open'", "$order: opened");
}
my $id = $shop->checkout('renamed')->{checkout_id};
as('app')->query_safe('SELECT 1');
$shop->sql('ALTER ROLE app RENAME TO shopkeeper; ALTER SERVER shop RENAME TO store');
$emu->control('reset', { only => ['log'] });
$emu->control('settle', { clientOrderId => 'renamed' });
comes('renamed', "status = 'SUCCESS'", 'after both are renamed a payment is noticed');
is(tokens($id), 'TKN-mine', 'with the mapping of before');
is(sees('app'), '2', 'the role sees its checkouts');
is(as('app')->query($shop->enqueue_sql('renamed too', undef, 'store'))->{error}, undef, 'its order is known');
$shop->until("SELECT count(*) = 0 FROM inqud.checkout WHERE owner <> 'shopkeeper' OR project <> 'store'", 'the worker brings the names in the rows up to date');
is($shop->sql("SELECT count(*) FROM inqud.known_role WHERE named_to IS NOT NULL"), '0', 'and comes to an end') if $shop->comes_true('SELECT count(*) = 0 FROM inqud.known_role WHERE named_to IS NOT NULL');
is($shop->sql("SELECT count(*) FROM inqud.trouble"), '0', 'nothing of it is trouble');
$shop->raises("INSERT INTO orders VALUES ('by trigger')", { state => '42704', message => qr/server "shop" does not exist/, hint => qr/named "store" now/ },
	'a trigger that names the old server fails, and is told the new name');
$shop->raises($shop->enqueue_sql('by name'), { state => '42704', hint => qr/named "store" now/ }, 'so is a call');

# A new role of the old name
$shop->sql('CREATE ROLE app LOGIN; GRANT USAGE ON FOREIGN SERVER store TO app;
	CREATE USER MAPPING FOR app SERVER store OPTIONS (token_id \'TKN-new\', token_secret \'new-secret\')');
my $new = $shop->session(user => 'app');
is($new->query_safe('SELECT count(*) FROM inqud.checkout'), '0', 'a new role of the old name sees nothing');
is($new->query($shop->enqueue_sql('renamed too', undef, 'store'))->{error}{state}, '42501', 'has no right on its orders');
my $row = $shop->checkout('renamed too')->{id};
is($new->query("SELECT inqud_cancel($row)")->{error}{state}, '42704', 'cannot cancel them');
$emu->control('reset', { only => ['log'] });
$emu->control('settle', { clientOrderId => 'renamed too' });
comes('renamed too', "status = 'SUCCESS'", 'they are still read');
is(tokens($shop->checkout('renamed too')->{checkout_id}), 'TKN-mine', 'and never with its key');

# ---------------------------------------------------------------------
# Reassigned, and dropped
# ---------------------------------------------------------------------

is(queued('app', $_, 'store')->{state}, 'ok', "$_: queued") foreach 'handed over', 'left behind';
comes('handed over', "state = 'open'", 'handed over: opened');
comes('left behind', "state = 'open'", 'left behind: opened');
$shop->sql('BEGIN; REASSIGN OWNED BY shopkeeper TO heir; ROLLBACK');
is(sees('heir'), '0', 'REASSIGN OWNED that is rolled back hands nothing over');
$shop->sql('REASSIGN OWNED BY shopkeeper TO heir');
is(sees('heir'), '4', 'REASSIGN OWNED takes the checkouts along');
is(sees('app'), '0', 'the role before does not see them any more');
is(as('heir')->query($shop->enqueue_sql('handed over', undef, 'store'))->{error}, undef, 'the new owner has the order');
is(queued('app', 'handed over', 'store')->{state}, '42501', 'the old one has it no more');
$shop->until("SELECT count(*) = 4 FROM inqud.checkout WHERE owner = 'heir'", 'the rows show the new owner');
$emu->control('reset', { only => ['log'] });
$emu->control('settle', { clientOrderId => 'handed over' });
comes('handed over', "status = 'SUCCESS'", 'the payment is noticed');
is(tokens($shop->checkout('handed over')->{checkout_id}), Inqud::Shop::TOKEN, 'with the mapping of the new owner');
is(queued('app', 'again', 'store')->{state}, 'ok', 'the old role goes on with orders of its own');
comes('again', "state = 'open' AND owner = 'shopkeeper'", 'which are its own');
is(sees('heir'), '4', 'and not the heir\'s');
is(sees('app'), '1', 'but seen by it');

$shop->sql('DROP OWNED BY shopkeeper');
is($shop->sql("SELECT count(*) FROM inqud.checkout WHERE order_id = 'again'"), '1', 'DROP OWNED deletes no checkout');
as('app')->close;
delete $session{app};
$shop->sql('DROP ROLE shopkeeper');
$shop->until("SELECT count(*) = 1 FROM inqud.trouble WHERE order_id = 'again' AND trouble = 'no owner' AND advice ~ 'inqud_reassign'", 'DROP ROLE: trouble has its checkouts, and the way out');
my $again = $shop->checkout('again');
$shop->sql('CREATE ROLE shopkeeper LOGIN');
is(sees('shopkeeper'), '0', 'a new role of that name sees nothing');
is($shop->error('SELECT inqud_reassign(\'shopkeeper\', \'heir\')', user => 'heir')->{state}, '42501', 'inqud_reassign is not for everybody');
$shop->raises('SELECT inqud_reassign(\'nobody there\', \'heir\')', { state => '42704' }, 'and not for names that nobody has had');
$shop->raises('SELECT inqud_reassign(\'shopkeeper\', \'nobody there\')', { state => '42704' }, 'nor for a role that is missing');
is($shop->sql("SELECT id FROM inqud_refresh($again->{id})"), $again->{id}, 'a superuser may refresh the checkout of a dropped role');
is($shop->sql("SELECT inqud_reassign('shopkeeper', 'heir')"), '1', 'inqud_reassign takes what a dropped role of that name had');
is(sees('heir'), '5', 'the heir sees it');
$emu->control('settle', { clientOrderId => 'again' });
comes('again', "status = 'SUCCESS' AND error IS NULL", 'and it is read again');
is(trouble('again'), '', 'and is no trouble');
$shop->sql('DROP ROLE shopkeeper; CREATE ROLE passing LOGIN; GRANT USAGE ON FOREIGN SERVER store TO passing');
is(queued('passing', 'canceled', 'store')->{state}, 'ok', 'canceled: queued');
comes('canceled', "state = 'open'", 'canceled: opened');
as('passing')->close;
$shop->sql('DROP OWNED BY passing; DROP ROLE passing');
is($shop->sql("SELECT current FROM inqud_cancel((SELECT id FROM inqud.checkout WHERE order_id = 'canceled'))"), 'f', 'a superuser may cancel the checkout of a dropped role');

# ---------------------------------------------------------------------
# A server that is dropped, and made again by another role
# ---------------------------------------------------------------------

$shop->project('shop4');
$shop->sql('GRANT USAGE ON FOREIGN SERVER shop4 TO heir; GRANT EXECUTE ON FUNCTION inqud_adopt(text) TO m');
is(queued('heir', 'four', 'shop4')->{state}, 'ok', 'four: queued');
comes('four', "state = 'open'", 'four: opened');
$shop->sql('SELECT inqud_worker_stop()');
$shop->sql("SELECT count(*) FROM generate_series(1, 2000) n, LATERAL inqud_enqueue_checkout('shop4', 'dead-' || n, 'n', 'https://shop.example')");
$shop->sql('DROP SERVER shop4 CASCADE; SELECT inqud_worker_start()');
is(queued('heir', 'beside', 'store')->{state}, 'ok', 'beside: queued');
comes('beside', "state = 'open'", 'other projects go on beside a dropped server');
is($shop->sql("SELECT count(*) FROM inqud.queue q JOIN inqud.checkout c ON c.id = q.checkout WHERE c.order_id ~ '^dead' AND (q.attempts > 0 OR q.lease IS NOT NULL OR c.error IS NOT NULL OR q.xmin::text <> c.xmin::text)"),
	'0', 'nothing is written for its rows');
is($shop->sql("SELECT string_agg(DISTINCT trouble, ',') || ' ' || count(*) FROM inqud.trouble WHERE order_id ~ '^dead|four'"), 'no server 2001', 'all of them are trouble, with its cause');
as('m')->query_safe("CREATE SERVER shop4 FOREIGN DATA WRAPPER inqud OPTIONS (project_id '" . Inqud::Shop::PROJECT . "', base_url '" . $emu->url . "');
	CREATE USER MAPPING FOR PUBLIC SERVER shop4 OPTIONS (token_id 'TKN-mine', token_secret 'my-own-secret')");
$emu->control('reset', { only => ['log'] });
is(as('m')->query_safe("SELECT inqud_adopt('shop4')"), '0', 'a new server\'s owner adopts no row of another role');
is(queued('heir', 'beside too', 'store')->{state}, 'ok', 'beside too: queued');
comes('beside too', "state = 'open'", 'beside too: opened');
is(tokens($shop->checkout('four')->{checkout_id}) . (grep { $_->{body} =~ /dead-/ } $shop->requests), '0', 'nothing of the old server is read or sent through the new one');
is(sees('m'), '0', 'nor seen by its owner');
is($shop->sql("SELECT string_agg(DISTINCT detail, ',') FROM inqud.trouble WHERE order_id ~ '^dead'"), 'server "shop4" was dropped; the one of that name is another one', 'trouble tells the two apart');
is(as('m')->query($shop->enqueue_sql('dead-1', undef, 'shop4'))->{error}, undef, 'its orders are its own');
comes('dead-1', "state = 'open' AND owner = 'm'", 'and are sent');
$shop->sql("DELETE FROM inqud.queue WHERE checkout IN (SELECT id FROM inqud.checkout WHERE order_id ~ '^dead-[0-9]{2}'); GRANT USAGE ON FOREIGN SERVER shop4 TO heir");
cmp_ok($shop->sql("SELECT inqud_adopt('shop4')"), '>=', 10, 'a superuser adopts them');
comes('dead-2', "state = 'open'", 'then they are sent');
$emu->control('settle', { clientOrderId => 'four' });
comes('four', "status = 'SUCCESS'", 'and read');
is($shop->sql("SELECT string_agg(state || ' ' || current, ',' ORDER BY id) FROM inqud.checkout WHERE order_id = 'dead-1'"), 'canceled false,open true', 'an order that both had keeps the newer checkout');
is($shop->sql("SELECT count(*) FROM inqud.known_server WHERE name = 'shop4'"), '1', 'both are one now');

# ---------------------------------------------------------------------
# The first order of a role and a server: once, and not before it is committed
# ---------------------------------------------------------------------

$shop->project('fresh');
$shop->sql('GRANT USAGE ON FOREIGN SERVER fresh TO app, heir');
is(queued('app', 'read only', 'store')->{state}, 'ok', 'read only: queued');
is($new->query("BEGIN READ ONLY; SELECT count(*) FROM inqud_get_checkout('fresh', 'CCO-nope'); ROLLBACK")->{error}{state}, 'IQ005', 'a project without rows can be read in a read-only transaction');
$new->query('ROLLBACK');
my ($one, $two) = ($shop->session(user => 'heir'), $shop->session(user => 'app'));
$one->query_safe('BEGIN; ' . $shop->enqueue_sql('undone', undef, 'fresh'));
$two->start($shop->enqueue_sql('first', undef, 'fresh'));
$shop->wait_until("SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = " . $two->pid . " AND wait_event_type = 'Lock'");
$one->query_safe('ROLLBACK');
is($two->finish->{error}, undef, 'the second session goes on when the first one is rolled back');
is($one->query($shop->enqueue_sql('second', undef, 'fresh'))->{error}, undef, 'and the first one remembers no entry that was rolled back');
is($shop->sql("SELECT count(*) || ' ' || (SELECT count(DISTINCT server_id) FROM inqud.checkout WHERE project = 'fresh') FROM inqud.known_server WHERE name = 'fresh'"), '1 1', 'a server has one entry');
$one->query_safe('BEGIN; ' . $shop->enqueue_sql('waits for nobody', undef, 'fresh'));
is($two->query($shop->enqueue_sql('nor this', undef, 'fresh'))->{error}, undef, 'once it is there, sessions do not wait for each other');
$one->query_safe('COMMIT');

# ---------------------------------------------------------------------
# Elsewhere: a dump with a role that is missing, restored; a template's copy
# ---------------------------------------------------------------------

$shop->sql('CREATE ROLE lost LOGIN; GRANT USAGE ON FOREIGN SERVER store TO lost');
is(queued($_ eq 'of lost' ? 'lost' : 'heir', $_, 'store')->{state}, 'ok', "$_: queued") foreach 'of lost', 'kept';
comes($_, "state = 'open'", "$_: opened") foreach 'of lost', 'kept', 'second', 'first', 'nor this', 'waits for nobody';
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
$shop->node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $shop->node->connstr('postgres') ], 'dumped');
as('lost')->close;
delete $session{lost};
$shop->sql('SELECT inqud_worker_stop(); DROP OWNED BY lost; DROP ROLE lost; CREATE DATABASE restored TEMPLATE template0');
$shop->node->command_checks_all([ 'pg_restore', '-d', $shop->node->connstr('restored'), $dump ], 1, [], [qr/role "lost" does not exist/], 'restored but for the rights of a role that is missing');
my $restored = $shop->in('restored');
# pg_restore grants all of an object's rights at once, or none
$restored->sql('GRANT USAGE ON FOREIGN SERVER store TO heir');
my $heir = $restored->session(user => 'heir');
is($restored->sql("SELECT count(*) FROM inqud.checkout WHERE order_id IN ('of lost', 'kept')"), '2', 'the rows are there');
is($heir->query_safe('SELECT count(*) FROM inqud.checkout'), '0', 'elsewhere a role of that name sees none of them');
$restored->until("SELECT count(*) = 1 FROM inqud.trouble WHERE trouble = 'foreign' AND order_id = 'kept'", 'they are foreign');
is($heir->query($restored->enqueue_sql('kept', undef, 'store'))->{error}, undef, 'new orders run at once');
$restored->until("SELECT count(*) = 1 FROM inqud.checkout WHERE order_id = 'kept' AND state = 'open' AND server_id = (SELECT id FROM inqud.known_server WHERE home = inqud._home() AND name = 'store')", 'whatever number they have');
cmp_ok($restored->sql('SELECT inqud_adopt()'), '>=', 2, 'adopted');
is($restored->sql('SELECT inqud_adopt()'), '0', 'once');
cmp_ok($heir->query_safe('SELECT count(*) FROM inqud.checkout'), '>', 2, 'then the role sees its checkouts');
is($restored->sql("SELECT string_agg(current::text, ',' ORDER BY id) FROM inqud.checkout WHERE order_id = 'kept'"), 'false,true', 'of an order that both have, the newer one is current');
$restored->until("SELECT count(*) = 1 FROM inqud.trouble WHERE order_id = 'of lost' AND trouble = 'no owner'", 'the missing role\'s have no owner');
is($restored->sql("SELECT inqud_reassign('lost', 'heir')"), '1', 'and get one');
$emu->control('settle', { clientOrderId => 'of lost' });
$restored->until("SELECT status = 'SUCCESS' AND owner = 'heir' FROM inqud.checkout WHERE order_id = 'of lost'", 'are read, and show it');
is($restored->sql("SELECT count(*) FROM inqud.trouble WHERE order_id IN ('of lost', 'kept') AND trouble IN ('foreign', 'no owner', 'no server')"), '0', 'and are no trouble');
$_->close foreach values %session, $new, $one, $two, $heir;
$restored->sql('SELECT inqud_worker_stop()');

$shop->in('template1')->sql('CREATE DATABASE copy TEMPLATE postgres');
my $copy = $shop->in('copy');
is($copy->session(user => 'heir')->query_safe('SELECT count(*) FROM inqud.checkout'), '0', 'in a template\'s copy oids are the same, and count for nothing');
cmp_ok($copy->sql('SELECT count(*) FROM inqud.trouble WHERE trouble = \'foreign\''), '>', 2, 'until it is adopted');

done_testing();
