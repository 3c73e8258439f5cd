package Inqud::Shop;

# A shop for a test: a PostgreSQL server with the extension preloaded, the
# emulator, and a project "shop" whose base_url is the emulator.
#
#   my $shop = Inqud::Shop->new(options => { timeout => '2s' });
#   $shop->create_orders;
#   $shop->sql("INSERT INTO orders VALUES (1, 12.50, 'USD')");
#   $shop->until("SELECT acquiring_url IS NOT NULL FROM inqud.checkout", 'the URL is there');
#
# Server and emulator stop by themselves at the end of the test.

use strict;
use warnings;

# Seconds until a test that waits in vain fails; long, for a busy machine.
BEGIN
{
	$ENV{PG_TEST_TIMEOUT_DEFAULT} //= 180;
	$ENV{PGCTLTIMEOUT} //= $ENV{PG_TEST_TIMEOUT_DEFAULT};
}

use Inqud::Emulator;
use Inqud::Session;
use IO::Socket::INET;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils ();
use Test::More;
use Time::HiRes qw(time usleep);

use constant {
	PROJECT => 'CAP-00000000-0000-4000-8000-000000000001',
	SECOND => 'CAP-00000000-0000-4000-8000-000000000002',
	FOREIGN => 'CAP-00000000-0000-4000-8000-000000000003',
	TOKEN => 'TKN-test',
	SECRET => 'test-token-secret',
};

# The options of every project unless a test sets others: short delays, so that
# tests do not wait for them.
my %QUICK = (
	rate_limit => 0, retry_min => '50ms', retry_max => '200ms',
	poll_active => '1s', poll_new => '1s');

# new(%options): name, conf (lines), options (of the server "shop"; undef leaves
# one out), mapping (of its PUBLIC mapping), emulator (arguments of its start),
# emu (an emulator that is there already), preload (0 = not), env (of the
# server), extension (0 = do not create it)
sub new
{
	my ($class, %o) = @_;
	my $self = bless { db => 'postgres', env => $o{env} // {}, sockets => [] }, $class;

	$self->{emu} = $o{emu} // Inqud::Emulator->start(%{ $o{emulator} // {} });
	$self->{node} = PostgreSQL::Test::Cluster->new($o{name} // 'shop');
	# the superuser is postgres, regardless of the user that runs the tests
	$ENV{PGUSER} = 'postgres';
	$self->{node}->init(extra => [ '-U', 'postgres', '-E', 'UTF8', '--no-locale' ]);
	$self->{node}->append_conf('postgresql.conf', join "\n", @{ $self->_conf(%o) }, '');
	$self->start;
	if ($o{extension} // 1)
	{
		$self->sql('CREATE EXTENSION inqud');
		$self->project('shop', options => $o{options}, mapping => $o{mapping});
	}
	return $self;
}

sub _conf
{
	my ($self, %o) = @_;
	my @lines = ("log_statement = 'none'", 'autovacuum_naptime = 5s', 'max_prepared_transactions = 10');

	push @lines, "shared_preload_libraries = 'inqud'" if $o{preload} // 1;
	return [ @lines, @{ $o{conf} // [] } ];
}

# The same shop with another database of the server.
sub in
{
	my ($self, $database) = @_;

	return bless { %$self, db => $database, watch => undef }, ref $self;
}

sub node { return $_[0]{node} }
sub emu { return $_[0]{emu} }

# Starts the server, with the shop's additions to the environment.
sub start
{
	my ($self) = @_;
	local %ENV = (%ENV, %{ $self->{env} });

	$self->{node}->start;
	return;
}

sub restart
{
	my ($self, $mode) = @_;

	$self->{node}->stop($mode // 'fast');
	$self->start;
	return;
}

# ---------------------------------------------------------------------
# SQL
# ---------------------------------------------------------------------

# A text as an SQL literal; undef is null.
sub literal
{
	my ($text) = @_;

	return 'NULL' unless defined $text;
	$text =~ s/'/''/g;
	return "'$text'" unless $text =~ /\\/;
	$text =~ s/\\/\\\\/g;
	return "E'$text'";
}

# Runs statements; returns what they print; dies of an error.
sub sql
{
	my ($self, $sql) = @_;

	return $self->{node}->safe_psql($self->{db}, $sql);
}

# The rows of a query, each a hash of texts; null is undef.
sub rows
{
	my ($self, $query) = @_;
	my $out = $self->sql("SELECT coalesce((SELECT json_object_agg(e.key, e.value)
		FROM jsonb_each_text(to_jsonb(x)) e), '{}') FROM ($query) x");

	return map { JSON::PP->new->decode($_) } split /\n/, $out;
}

# The one row of a query.
sub row
{
	my ($self, $query) = @_;
	my @rows = $self->rows($query);

	die scalar(@rows) . " rows instead of one: $query\n" unless @rows == 1;
	return $rows[0];
}

# The newest checkout of an order as a hash.
sub checkout
{
	my ($self, $order) = @_;

	return $self->row('SELECT * FROM inqud.checkout WHERE order_id = ' . literal($order)
		. ' ORDER BY id DESC LIMIT 1');
}

# A session; see Inqud::Session.
sub session
{
	my ($self, %options) = @_;

	return Inqud::Session->new($self->{node}, $options{db} // $self->{db}, %options);
}

# The error that statements raise, as a hash (see Inqud::Session); {} for none.
sub error
{
	my ($self, $sql, %options) = @_;
	my $session = $self->session(%options);
	my $answer = $session->query($sql);

	$session->close;
	return $answer->{error} // {};
}

# Tests that statements raise an error: state (text), message, detail and hint
# (texts or patterns; those not given are not checked).
sub raises
{
	my ($self, $sql, $expected, $name, %options) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return error_is($self->error($sql, %options), $expected, $name);
}

# Tests an error hash; see raises.  One test.
sub error_is
{
	my ($error, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @wrong;

	foreach my $key (sort keys %$expected)
	{
		my ($is, $should) = (($error // {})->{$key} // '(none)', $expected->{$key});

		push @wrong, "$key: $is\n  expected: $should"
		  unless ref $should ? $is =~ $should : $is eq $should;
	}
	return ok(!@wrong, $name) || diag(join "\n", @wrong);
}

# Tests that a text is there and does not match.  "unlike" is content without a text.
sub lacks
{
	my ($text, $pattern, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return ok(defined $text && length $text && $text !~ $pattern, $name)
	  || diag(defined $text && length $text ? "the text: $text\nmatches: $pattern" : 'there is no text');
}

# Tests that two texts are there and differ.  "isnt" is content without the first one.
sub differs
{
	my ($text, $other, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return ok(defined $text && length $text && defined $other && length $other && $text ne $other, $name)
	  || diag('these should be two: ' . join ', ', map { $_ // 'undef' } $text, $other);
}

# Tests that a query returns "t" (or `expected`) within the time limit.
sub until
{
	my ($self, $query, $name, $expected) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return ok($self->comes_true($query, $expected), $name);
}

# Waits until a query returns "t" (or `expected`); dies when it never does, since what
# follows would test something else.
sub wait_until
{
	my ($self, $query, $expected) = @_;

	$self->comes_true($query, $expected) or die "waited in vain for: $query\n";
	return;
}

# Waits in this session from now on, or with undef in a new one each time, which is
# slower but is in nobody's way: not of an idle worker, a DROP DATABASE or a restart.
sub watch_with
{
	my ($self, $session) = @_;

	$self->{watch} = $session;
	return;
}

# Does a query come to return "t" (or `expected`) within the time limit?  Shows what it
# returned when it never does.  For results that are tested; else use wait_until.
sub comes_true
{
	my ($self, $query, $expected) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;
	my $session = $self->{watch} // $self->session;
	my $answer;

	$expected //= 't';
	do
	{
		$answer = $session->query($query);
		return 1 if !$answer->{error} && $answer->{out} eq $expected;
		usleep(10_000);
	} while time < $end && !$answer->{lost};
	diag("waited in vain for \"$expected\": $query\nlast answer: $answer->{out}$answer->{err}");
	return 0;
}

# ---------------------------------------------------------------------
# Projects
# ---------------------------------------------------------------------

sub _options
{
	my (%options) = @_;

	return join ', ', map { "$_ " . literal($options{$_}) }
	  grep { defined $options{$_} } sort keys %options;
}

# Creates a server and its mapping: options, mapping, user (PUBLIC).
sub project
{
	my ($self, $name, %o) = @_;
	my %options = (project_id => PROJECT, base_url => $self->{emu}->url, %QUICK, %{ $o{options} // {} });
	my %mapping = (token_id => TOKEN, token_secret => SECRET, %{ $o{mapping} // {} });

	$self->sql("CREATE SERVER $name FOREIGN DATA WRAPPER inqud OPTIONS (" . _options(%options) . ");
		CREATE USER MAPPING FOR " . ($o{user} // 'PUBLIC') . " SERVER $name OPTIONS (" . _options(%mapping) . ')');
	return;
}

# The actions that make the options of `has` those of `wanted`; undef drops one.
sub _changes
{
	my ($has, %wanted) = @_;

	return join ', ', map
	{
		!defined $wanted{$_} ? ($has->{$_} ? "DROP $_" : ())
		  : ($has->{$_} ? 'SET' : 'ADD') . " $_ " . literal($wanted{$_})
	} sort keys %wanted;
}

# Sets server options, whether or not they were set before; undef drops one.
sub set_options
{
	my ($self, $project, %options) = @_;
	my %has = map { $_ => 1 } split /\n/, $self->sql("SELECT o.option_name FROM pg_foreign_server s,
		pg_options_to_table(s.srvoptions) o WHERE s.srvname = " . literal($project));
	my $changes = _changes(\%has, %options);

	$self->sql("ALTER SERVER $project OPTIONS ($changes)") if length $changes;
	return;
}

# Changes options of a server's PUBLIC mapping.
sub set_mapping
{
	my ($self, $project, %options) = @_;
	my %has = map { $_ => 1 } split /\n/, $self->sql("SELECT o.option_name FROM pg_user_mappings m,
		pg_options_to_table(m.umoptions) o WHERE m.usename = 'public' AND m.srvname = " . literal($project));
	my $changes = _changes(\%has, %options);

	$self->sql("ALTER USER MAPPING FOR PUBLIC SERVER $project OPTIONS ($changes)") if length $changes;
	return;
}

# A base_url on which every connection is refused, for as long as the shop lives.
sub refused_url
{
	my ($self) = @_;
	my $socket = IO::Socket::INET->new(Proto => 'tcp', LocalAddr => '127.0.0.1', LocalPort => 0)
	  or die "could not bind a port: $!\n";

	# Bound and not listening: no other process can bind the port, and connections are refused.
	push @{ $self->{sockets} }, $socket;
	return 'http://127.0.0.1:' . $socket->sockport;
}

# ---------------------------------------------------------------------
# Orders
# ---------------------------------------------------------------------

# Creates the table orders with the trigger, and the on_status function that
# keeps its columns status and paid: project ("shop"), statement (true: the
# set-based trigger), on_status (0 = without).
sub create_orders
{
	my ($self, %o) = @_;
	my $project = $o{project} // 'shop';

	$self->sql('CREATE TABLE orders (id bigint PRIMARY KEY, total numeric, currency text,
		status text, paid boolean NOT NULL DEFAULT false)');
	$self->order_trigger(%o);
	return if defined $o{on_status} && !$o{on_status};
	$self->sql("CREATE FUNCTION order_status(c inqud.checkout) RETURNS void LANGUAGE sql AS \$\$
		UPDATE orders SET status = c.status, paid = c.status IS NOT DISTINCT FROM 'SUCCESS'
		WHERE id = c.order_id::bigint \$\$");
	$self->set_options($project, on_status => 'public.order_status');
	return;
}

# Creates (or replaces) the trigger of the table orders.
sub order_trigger
{
	my ($self, %o) = @_;
	my $project = $o{project} // 'shop';
	my $how = $o{statement} ? 'REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT' : 'FOR EACH ROW';

	$self->sql("DROP TRIGGER IF EXISTS pay ON orders;
		CREATE TRIGGER pay AFTER INSERT ON orders $how EXECUTE FUNCTION
		inqud_order_trigger('$project', 'order_id={id}', 'name=Order {id}',
			'return_url=https://shop.example/orders/{id}', 'amount={total}', 'currency={currency}')");
	return;
}

# The arguments of a create for an order, as SQL: rest is appended.
sub arguments
{
	my ($self, $order, $rest, $project) = @_;
	my $place = $order =~ s/([^\w-])/sprintf '%%%02X', ord $1/ger;

	return join ', ', literal($project // 'shop'), literal($order), literal("Order $order"),
	  literal("https://shop.example/orders/$place"), defined $rest && length $rest ? $rest : ();
}

# SQL that creates an order's checkout now, or queues it.
sub create_sql
{
	my ($self, @order) = @_;

	return 'SELECT * FROM inqud_create_checkout(' . $self->arguments(@order) . ')';
}

sub enqueue_sql
{
	my ($self, @order) = @_;

	return 'SELECT * FROM inqud_enqueue_checkout(' . $self->arguments(@order) . ')';
}

# ---------------------------------------------------------------------
# The worker and the emulator
# ---------------------------------------------------------------------

# The pid of the database's worker; empty when there is none.
sub worker_pid
{
	my ($self) = @_;

	return $self->sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'inqud worker'
		AND datname = current_database()");
}

# The requests that the emulator has seen: see its GET log.
sub requests
{
	my ($self, %query) = @_;

	return @{ $self->{emu}->get('log', %query) };
}

# Waits until the emulator has received `count` (1) requests that fit, answered
# or not; returns them.
sub wait_requests
{
	my ($self, %query) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;
	my $count = delete $query{count} // 1;
	my @found;

	until ((@found = $self->requests(%query)) >= $count)
	{
		die "the emulator did not receive $count requests\n" if time > $end;
		usleep(5_000);
	}
	return @found;
}

# Creates received, by order.
sub posts
{
	my ($self, %query) = @_;

	return $self->{emu}->get('counts', %query)->{posts};
}

1;
