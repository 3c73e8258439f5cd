#!/usr/bin/perl
#
# 026_many_databases.pl - proves that 20 databases with the extension, beside 20
# without, share four workers fairly: all are served, also beside databases whose
# calls hang, and all can be dropped; and that those which refuse the workers' role
# hold no place, or say so.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Faults qw(crash);
use Inqud::Shop;
use PostgreSQL::Test::Utils ();
use Test::More;
use Time::HiRes qw(time usleep);

use constant { DATABASES => 20, WORKERS => 4 };

my $shop = Inqud::Shop->new(
	conf => [ 'inqud.max_workers = ' . WORKERS, 'max_worker_processes = 12', 'autovacuum = off', 'max_connections = 60' ],
	options => { poll_new => '1day', poll_active => '1day' });
my $emu = $shop->emu;

# ---------------------------------------------------------------------
# Many databases, few workers
# ---------------------------------------------------------------------

$shop->sql('CREATE DATABASE model');
my $model = $shop->in('model');
$model->sql('CREATE EXTENSION inqud');
$model->project('shop', options => { poll_new => '1s', poll_active => '1s', timeout => '10min' });
$model->sql('CREATE TABLE orders (id text PRIMARY KEY)');
$model->sql("CREATE TRIGGER pay AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION
	inqud_order_trigger('shop', 'order_id={id}', 'name=Order {id}', 'return_url=https://shop.example/orders/{id}')");
foreach my $i (1 .. DATABASES)
{
	$shop->sql("CREATE DATABASE with_$i TEMPLATE model");
	$shop->sql("CREATE DATABASE without_$i");
}
crash($shop, 'fast stop');

my $started = time;
my $most = 0;
$shop->in("with_$_")->sql("INSERT INTO orders SELECT 'of-$_-' || i FROM generate_series(1, 5) i") foreach 1 .. DATABASES;
my $end = time + $PostgreSQL::Test::Utils::timeout_default;
my $sent = 0;
while ($sent < 5 * DATABASES && time < $end)
{
	my $now = $shop->sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'inqud worker'");
	$most = $now if $now > $most;
	$sent = grep { /^of-/ } keys %{ $shop->posts };
	usleep(50_000);
}
my $all = time - $started;
is($sent, 5 * DATABASES, 'every database is served, although each has reads to make all the time');
cmp_ok($most, '<=', WORKERS, 'by no more workers at the same time than inqud.max_workers');
note(sprintf '%d databases with %d workers: all served after %.1f s; most workers at once: %d', DATABASES, WORKERS, $all, $most);
is(scalar(grep { $_ != 1 } values %{ $shop->posts }), 0, 'each order was sent once');
my $recorded = 0;
foreach (1 .. DATABASES)
{
	my $database = $shop->in("with_$_");
	$recorded++ if $database->comes_true("SELECT count(*) = 5 FROM inqud.checkout WHERE state = 'open'");
}
is($recorded, DATABASES, 'and recorded');
$model->until("SELECT count(*) = 0 FROM inqud.worker WHERE database LIKE 'without%'",
	'databases without the extension hold no place in shared memory');

# A database whose calls hang keeps its worker, and the others go on.
$emu->fault({ match => { method => 'POST', body => '"hang' }, action => 'hang', phase => 'before' });
$shop->in("with_$_")->sql("INSERT INTO orders VALUES ('hang-$_')") foreach 1 .. WORKERS;
$shop->wait_requests(method => 'POST', body => '"hang', count => 1);
$started = time;
$shop->in('with_' . DATABASES)->sql("INSERT INTO orders VALUES ('beside')");
$shop->in('with_' . DATABASES)->until("SELECT state = 'open' FROM inqud.checkout WHERE order_id = 'beside'", 'databases whose calls hang do not keep another from its turn');
note(sprintf 'beside %d databases whose calls hang: %.1f s', WORKERS, time - $started);
$emu->clear_faults;
$emu->control('release');

# Dropping many of them at once hangs nowhere: each ends without an error, before the session has waited too long.
$started = time;
my $session = $shop->session;
$session->query_safe("DROP DATABASE $_") foreach (map { "with_$_" } 1 .. DATABASES), (map { "without_$_" } 1 .. DATABASES), 'model';
note(sprintf '%d databases dropped after %.1f s', 2 * DATABASES + 1, time - $started);
is($session->query_safe("SELECT count(*) FROM pg_database WHERE datname ~ '^with|^model'"), '0', 'all of them can be dropped');
$session->close;

# ---------------------------------------------------------------------
# Databases that refuse the workers' role
# ---------------------------------------------------------------------

my $strict = Inqud::Shop->new(name => 'strict', emu => $emu, extension => 0, conf => [ "inqud.worker_role = 'hand'" ]);
$strict->sql('CREATE ROLE hand LOGIN');
$strict->sql("CREATE DATABASE $_") foreach qw(closed ours);
$strict->sql("REVOKE CONNECT ON DATABASE $_ FROM PUBLIC") foreach qw(closed ours);
my $ours = $strict->in('ours');
$ours->sql('CREATE EXTENSION inqud');
$ours->project('shop');
$strict->restart;
$ours->until("SELECT count(*) = 0 FROM inqud.worker WHERE database = 'closed'", 'a database that refuses the role, and is not known to have the extension, holds no place');
$ours->sql($ours->enqueue_sql('refused'));
$ours->until("SELECT error ~ 'may not connect to this database' FROM inqud.worker WHERE database = 'ours'", 'one that has it says why it has no worker');
$ours->sql('GRANT CONNECT ON DATABASE ours TO hand');
$ours->sql('SELECT inqud_worker_start()');
$ours->until("SELECT state = 'open' FROM inqud.checkout", 'and has one when that is mended');

done_testing();
