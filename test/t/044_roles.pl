#!/usr/bin/perl
#
# 044_roles.pl - proves which role the worker acts as: the owner of the row, whose
# mapping is used and whose USAGE is asked for anew at each claim; that one role's bad
# mapping pauses nobody else; that SECURITY DEFINER, SET ROLE, memberships, the trigger
# and a dropped role mean what they mean elsewhere; and that who receives webhooks
# cannot spend.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use Inqud::Webhooks qw(digest receive_sql);
use Test::More;

my $shop = Inqud::Shop->new(mapping => { webhook_secret => 'a-webhook-secret' }, options => { poll_new => '1h', poll_active => '1h', retry_min => '10min', retry_max => '10min' });
my $emu = $shop->emu;

$shop->sql(q{
	CREATE ROLE app LOGIN; CREATE ROLE other LOGIN; CREATE ROLE wrong LOGIN; CREATE ROLE nobody LOGIN; CREATE ROLE team; CREATE ROLE member LOGIN IN ROLE team;
	CREATE ROLE gone LOGIN; CREATE ROLE receiver LOGIN; CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
	GRANT USAGE ON FOREIGN SERVER shop TO app, other, wrong, team, gone;
	GRANT EXECUTE ON FUNCTION inqud_receive_webhook(text, bytea, text) TO receiver;
	CREATE USER MAPPING FOR other SERVER shop OPTIONS (token_id 'TKN-mine', token_secret 'my-own-secret');
	CREATE USER MAPPING FOR wrong SERVER shop OPTIONS (token_id 'TKN-wrong', token_secret 'no-such-secret');
	CREATE TABLE orders (id text); GRANT INSERT ON orders TO PUBLIC;
	CREATE TRIGGER pay AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION inqud_order_trigger('shop', 'order_id={id}', 'name=n', 'return_url=https://shop.example');
	GRANT CREATE ON SCHEMA public TO app;
	SET ROLE app;
	CREATE FUNCTION lent(o text) RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$ SELECT owner::text FROM inqud_enqueue_checkout('shop', o, 'n', 'https://shop.example') $$});
$emu->control('token', { id => 'TKN-mine', secret => 'my-own-secret' });

my %session = map { $_ => $shop->session(user => $_) } qw(app other wrong nobody member gone receiver monitor);

sub queue
{
	my ($role, $order) = @_;

	return $session{$role}->query($shop->enqueue_sql($order))->{error}{state} // 'ok';
}

sub opened { return $shop->until("SELECT state = 'open' AND owner = '$_[1]' FROM inqud.checkout WHERE order_id = '$_[0]'", "$_[0]: opened, of $_[1]") }

# The token that an order was sent with.
sub token
{
	my ($order) = @_;
	my ($request) = $shop->requests(method => 'POST', body => "\"$order\"");

	return join ' ', map { $_->[1] } grep { lc $_->[0] eq 'x-token-api-id' } @{ $request->{headers} };
}

# One's own bad mapping stands in inqud.trouble, before anything has succeeded.
is(queue('wrong', 'of wrong'), 'ok', 'a role with a wrong token may queue');
$shop->until("SELECT count(*) = 1 FROM inqud.trouble WHERE order_id = 'of wrong' AND trouble = 'credentials refused' AND owner = 'wrong'", 'the wrong token stands in inqud.trouble');

# Each role's own mapping, else PUBLIC's; and that one pauses nobody else.
is(queue($_, "of $_"), 'ok', "$_ may queue") foreach qw(app other member);
opened("of $_", $_) foreach qw(app other member);
is(token('of app'), Inqud::Shop::TOKEN, 'app is served with the mapping of PUBLIC');
is(token('of other'), 'TKN-mine', 'other with its own');
is(queue('nobody', 'of nobody'), '42501', 'without USAGE nothing is queued');

foreach my $n (1 .. 3)
{
	queue('app', "beside $n");
	opened("beside $n", 'app');
}
is($shop->sql("SELECT state FROM inqud.checkout WHERE order_id = 'of wrong'"), 'queued', 'while the other waits');
$session{wrong}->query_safe("ALTER USER MAPPING FOR wrong SERVER shop OPTIONS (SET token_id 'TKN-mine', SET token_secret 'my-own-secret')");
opened('of wrong', 'wrong');

# USAGE is asked for at the claim.
$shop->sql('SELECT inqud_worker_stop()');
queue('app', 'revoked');
$shop->sql('REVOKE USAGE ON FOREIGN SERVER shop FROM app; SELECT inqud_worker_start()');
$shop->until("SELECT count(*) = 1 FROM inqud.trouble WHERE order_id = 'revoked' AND owner = 'app' AND detail ~ 'permission denied for foreign server shop'", 'who has lost USAGE is served no more, and inqud.trouble says why');
is($emu->get('counts')->{posts}{revoked}, undef, 'nothing was sent');
is($session{app}->query_safe("SELECT count(*) FROM inqud.trouble WHERE order_id = 'revoked'"), '1', 'the role itself sees it');
is($session{other}->query_safe("SELECT count(*) FROM inqud.trouble WHERE order_id = 'revoked'"), '0', 'another does not');
is($session{monitor}->query_safe("SELECT count(*) FROM inqud.trouble WHERE order_id = 'revoked'"), '1', 'a monitor does');
queue('other', 'meanwhile');
opened('meanwhile', 'other');
$shop->sql('GRANT USAGE ON FOREIGN SERVER shop TO app');
opened('revoked', 'app');

# A membership that ends is a right that ends.
$shop->sql('SELECT inqud_worker_stop()');
queue('member', 'left');
$shop->sql('REVOKE team FROM member; SELECT inqud_worker_start()');
$shop->until("SELECT count(*) = 1 FROM inqud.trouble WHERE order_id = 'left' AND trouble = 'no right' AND detail ~ 'permission denied'", 'nor who has left the group that had it');
$shop->sql('GRANT team TO member');
opened('left', 'member');

# A dropped role's orders are sent as nobody.
$shop->sql('SELECT inqud_worker_stop()');
queue('gone', 'of gone');
$session{gone}->close;
$shop->sql('DROP OWNED BY gone; DROP ROLE gone; SELECT inqud_worker_start()');
$shop->until("SELECT count(*) = 1 FROM inqud.trouble WHERE order_id = 'of gone' AND trouble = 'no owner' AND detail ~ 'gone'", 'the order of a dropped role stands in inqud.trouble');
is($emu->get('counts')->{posts}{'of gone'}, undef, 'and is not sent');
is($session{app}->query_safe("SELECT count(*) FROM inqud.checkout WHERE order_id = 'of gone'"), '0', 'others do not see it');

# An open one that it leaves behind is read by nobody who is not above all roles.
$shop->sql('CREATE ROLE left_one LOGIN; GRANT USAGE ON FOREIGN SERVER shop TO left_one');
$session{left_one} = $shop->session(user => 'left_one');
queue('left_one', 'left behind');
opened('left behind', 'left_one');
my $behind = $shop->checkout('left behind')->{checkout_id};
my $reading = "SELECT status FROM inqud_get_checkout('shop', '$behind')";
is($session{left_one}->query_safe($reading), 'NEW', 'its owner reads a checkout');
is($session{app}->query($reading)->{error}{state}, '42501', 'another role does not');
(delete $session{left_one})->close;
$shop->sql('DROP OWNED BY left_one; DROP ROLE left_one');
is($session{app}->query($reading)->{error}{state}, '42501', 'nor when the owner is dropped');

# What an order came to is its owner's: no other role gets it by asking for the same order.
foreach my $case ([ 'done' => 'settle', {}, 'SUCCESS' ], [ 'short' => 'settle', { factor => '0.5' }, 'CONFLICT' ], [ 'over' => 'expire', {}, 'EXPIRED' ])
{
	my ($order, $action, $how, $status) = @$case;

	$session{app}->query_safe($shop->enqueue_sql($order, "10, 'USD'"));
	opened($order, 'app');
	$emu->control($action, { clientOrderId => $order, %$how });
	$session{app}->query_safe("SELECT inqud_refresh(id) FROM inqud.checkout WHERE order_id = '$order'");
	$shop->until("SELECT state = 'closed' AND status = '$status' FROM inqud.checkout WHERE order_id = '$order'", "$order: closed, $status");
	foreach my $sql ($shop->enqueue_sql($order, "10, 'USD'"), $shop->create_sql($order, "10, 'USD'"))
	{
		Inqud::Shop::error_is($session{other}->query($sql)->{error}, { state => '42501', message => "permission denied for order \"$order\"" },
			"$status: " . ($sql =~ /(inqud_\w+)/)[0] . ' of another role is refused');
	}
	is($shop->sql("SELECT count(*) FROM inqud.checkout WHERE order_id = '$order'"), '1', "$status: and makes no other checkout");
}

# Lent rights, the trigger, SET ROLE.
is($session{nobody}->query_safe("SELECT lent('lent')"), 'app', 'a SECURITY DEFINER function lends its owner\'s rights');
opened('lent', 'app');
is($session{nobody}->query("INSERT INTO orders VALUES ('x')")->{error}{state}, '42501', 'a trigger lends none');
# Nor does one on a table of its own tell a role without rights which orders are paid, or write to them.
$shop->sql($shop->enqueue_sql('paid'));
opened('paid', 'postgres');
$emu->control('settle', { clientOrderId => 'paid' });
$shop->sql("SELECT inqud_refresh(id) FROM inqud.checkout WHERE order_id = 'paid'");
$shop->until("SELECT paid_at IS NOT NULL FROM inqud.checkout WHERE order_id = 'paid'", 'an order is paid');
$session{nobody}->query_safe("CREATE TEMP TABLE mine (id text, n text); INSERT INTO mine VALUES ('paid', 'n'), ('not there', 'n');
	CREATE TRIGGER ask AFTER UPDATE ON mine FOR EACH ROW EXECUTE FUNCTION inqud_order_trigger('shop', 'order_id={id}', 'name={n}', 'return_url=https://shop.example')");
is($session{nobody}->query("UPDATE mine SET n = 'other' WHERE id = '$_'")->{error}{state}, '42501', "nobody learns of order \"$_\" by a trigger of its own") foreach 'paid', 'not there';
is($shop->sql("SELECT count(*) FROM inqud.event WHERE kind = 'order changed'"), '0', 'nor writes to it');
$session{other}->query_safe("INSERT INTO orders VALUES ('by trigger')");
opened('by trigger', 'other');
is(token('by trigger'), 'TKN-mine', 'with the mapping of who inserted');
$session{member}->query_safe("SET ROLE team; " . $shop->enqueue_sql('as team') . '; RESET ROLE');
opened('as team', 'team');
is($session{member}->query_safe("SELECT count(*) FROM inqud.checkout WHERE order_id = 'as team'"), '1', 'seen by the members');

# Who receives webhooks cannot spend.
my $id = $shop->checkout('of app')->{checkout_id};
my $body = qq({"id":"$id","status":"NEW"});
is($session{receiver}->query_safe('SELECT ' . receive_sql('shop', $body, digest('a-webhook-secret', $body))), 't', 'a receiver receives');
foreach my $sql ($shop->create_sql('spent'), $shop->enqueue_sql('spent'), "SELECT inqud_get_checkout('shop', '$id')", "INSERT INTO orders VALUES ('spent')")
{
	is($session{receiver}->query($sql)->{error}{state}, '42501', 'and may not ' . ($sql =~ /(inqud_\w+|INSERT)/)[0]);
}
is($session{receiver}->query_safe('SELECT (SELECT count(*) FROM inqud.checkout) + (SELECT count(*) FROM inqud.queue) + (SELECT count(*) FROM inqud.inbox)'), '0', 'nor see anything');
is($session{receiver}->query_safe("SELECT count(*) FROM pg_user_mappings WHERE umoptions IS NOT NULL"), '0', 'nor read the key');
is($session{app}->query($_)->{error}{state}, '42501', "app may not $_") foreach 'SELECT ' . receive_sql('shop', $body, digest('a-webhook-secret', $body)), 'SELECT inqud_adopt()', 'SELECT inqud_worker_stop()';
$_->close foreach values %session;

done_testing();
