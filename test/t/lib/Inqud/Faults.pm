package Inqud::Faults;

# Crashes and administration for tests: ends servers and workers in every way,
# measures how long code takes, and runs a reader in the background that records
# every URL it has read.
#
#   my $reader = Inqud::Faults::Reader->start($shop);
#   crash($shop, 'kill worker');
#   is_deeply([ $reader->stop->changed($shop) ], [], 'no URL has changed');

use strict;
use warnings;

# Seconds until a test that waits in vain fails.
BEGIN { $ENV{PG_TEST_TIMEOUT_DEFAULT} //= 180 }

use Exporter qw(import);
use PostgreSQL::Test::Utils ();
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT_OK = qw(ask backend crash process_status seconds wait_gone wait_up wait_worker);

# Starts a statement in a session as Inqud::Session::start does, but returns as
# soon as it was sent, also when the statement prints nothing for long.
sub ask
{
	my ($session, $sql) = @_;

	die "the session's last answer was not fetched\n" if $session->{open};
	$session->{open} = 1;
	my $n = ++$session->{number};
	$session->{timer}->start;
	$session->{stdin} .= "$sql\n;\n\\echo 'end of answer $n'\n\\warn 'end of answer $n'\n";
	while (length $session->{stdin} && $session->{run}->pumpable)
	{
		$session->{run}->pump_nb;
		usleep(1_000);
	}
	$session->{run}->pump_nb;
	return;
}

# The pids of a kind of backend of the server: "inqud worker", "inqud launcher".
sub backend
{
	my ($shop, $type, $database) = @_;
	my $where = defined $database ? " AND datname = '$database'" : '';

	return split /\n/, $shop->sql("SELECT pid FROM pg_stat_activity WHERE backend_type = '$type'$where ORDER BY backend_start");
}

# Waits until the server accepts connections; dies when it never does.
sub wait_up
{
	my ($shop) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;
	my $node = $shop->node;

	while (time < $end)
	{
		my ($out, $err);
		my $status = eval { $node->psql('postgres', 'SELECT 1', stdout => \$out, stderr => \$err, timeout => 10) };

		return if defined $status && $status == 0;
		usleep(20_000);
	}
	die "the server does not take connections again\n";
}

# Waits until the database has a worker other than `not`; returns its pid, and dies when
# none ever comes.
sub wait_worker
{
	my ($shop, $not) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;

	while (time < $end)
	{
		my $pid = eval { $shop->worker_pid } // '';

		return $pid if length $pid && $pid ne ($not // '');
		usleep(20_000);
	}
	die "no worker comes\n";
}

# Ends something and waits until the server is up: "kill worker", "terminate
# worker", "kill launcher", "terminate launcher", "immediate stop", "fast stop".
# Returns the seconds that this took.
sub crash
{
	my ($shop, $how) = @_;
	my $started = time;

	if ($how =~ /^(immediate|fast|smart) stop$/)
	{
		$shop->restart($1);
	}
	else
	{
		my ($verb, $what) = split / /, $how;
		my ($pid) = $what eq 'worker' ? backend($shop, 'inqud worker', $shop->{db}) : backend($shop, 'inqud launcher');

		die "there is no $what to $verb\n" unless defined $pid;
		if ($verb eq 'kill')
		{
			kill 'KILL', $pid;
			wait_gone($pid);
		}
		else
		{
			$shop->sql("SELECT pg_terminate_backend($pid)");
			wait_gone($pid);
		}
		wait_up($shop);
	}
	return time - $started;
}

# Waits until a process has gone.
sub wait_gone
{
	my ($pid) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;

	while (kill 0, $pid)
	{
		die "process $pid does not end\n" if time > $end;
		usleep(5_000);
	}
	return;
}

# A number that the system tells of a process: VmHWM (kB), RssAnon (kB), Threads,
# voluntary_ctxt_switches; dies where it tells none, since none is not little.
sub process_status
{
	my ($pid, $name) = @_;

	return PostgreSQL::Test::Utils::slurp_file("/proc/$pid/status") =~ /^$name:\s+(\d+)/m ? $1
	  : die "/proc/$pid/status says nothing of $name\n";
}

# The seconds that some code takes.
sub seconds
{
	my ($code) = @_;
	my $started = time;

	$code->();
	return time - $started;
}

package Inqud::Faults::Reader;

# Another session, in a process of its own, that reads id and URL of every
# checkout all the time, through every crash, and keeps all that it has read.

use strict;
use warnings;

use IPC::Run;

# The process's loop: runs one psql after the other, until it is told to end.
my $READER = <<'PROGRAM';
use strict;
use warnings;
my ($connection) = @ARGV;
my $query = "SELECT id || ' ' || acquiring_url FROM inqud.checkout
	WHERE acquiring_url IS NOT NULL AND updated_at > clock_timestamp() - interval '3 seconds' \\watch 0.02\n";
my ($pid, %seen);
$| = 1;
$SIG{TERM} = sub { kill 'KILL', $pid if $pid; exit 0 };
while (1)
{
	pipe my $from, my $to or die "pipe: $!\n";
	$pid = open my $psql, '-|';
	die "fork: $!\n" unless defined $pid;
	if ($pid == 0)
	{
		open STDERR, '>', '/dev/null';
		open STDIN, '<&', $from;
		close $to;
		exec 'psql', '-XAtq', '-d', $connection, '-f', '-';
		exit 1;
	}
	close $from;
	syswrite $to, $query;
	close $to;
	while (my $line = <$psql>)
	{
		print $line if $line =~ /^\d+ http/ && !$seen{$line}++;
	}
	close $psql;
	$pid = 0;
	select undef, undef, undef, 0.02;
}
PROGRAM

sub start
{
	my ($class, $shop) = @_;
	my $self = bless { out => '', err => '' }, $class;

	$self->{run} = IPC::Run::start([ $^X, '-e', $READER, $shop->node->connstr($shop->{db}) ],
		'<', \undef, '>', \$self->{out}, '2>', \$self->{err});
	return $self;
}

# Ends the reading.
sub stop
{
	my ($self) = @_;
	my $run = delete $self->{run} or return $self;

	$run->pump_nb;
	$run->signal('TERM');
	eval { $run->finish };
	return $self;
}

sub DESTROY
{
	my ($self) = @_;

	local ($?, $!, $@);
	$self->stop;
	return;
}

# All that was read: lists of id and URL.
sub pairs { return map { [ split / / ] } split /\n/, $_[0]{out} }

# The URLs that have changed since they were read: "id: URL read, URL now" each.
sub changed
{
	my ($self, $shop) = @_;
	my %now = map { split / /, $_, 2 } split /\n/,
	  $shop->sql("SELECT id || ' ' || coalesce(acquiring_url, 'none') FROM inqud.checkout");

	return map { "$_->[0]: $_->[1], now " . ($now{ $_->[0] } // 'no such row') }
	  grep { ($now{ $_->[0] } // '') ne $_->[1] } $self->pairs;
}

1;
