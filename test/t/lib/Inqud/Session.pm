package Inqud::Session;

# A psql session that stays open until the test closes it: run a statement and
# get its answer, or start a statement and fetch its answer later.  Answers carry the SQLSTATE,
# detail and hint of an error, and notifications are kept apart from rows.
#
# A session does not die of an SQL error: check {error} of the answer, or use
# query_safe.  The session ends when it is closed or the object is destroyed.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils ();
use Time::HiRes qw(time);

my $END = 'end of answer';

# new($node, $database, %options): user, env (a hash)
sub new
{
	my ($class, $node, $database, %options) = @_;
	my $connection = $node->connstr($database);
	my $self = bless {
		stdin => '', stdout => '', stderr => '', number => 0, notified => [],
		timer => IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default)
	}, $class;

	$connection .= " user='$options{user}'" if defined $options{user};
	local %ENV = (%ENV, LC_ALL => 'C', %{ $options{env} // {} });
	$self->{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $connection, '-f', '-' ],
		'<', \$self->{stdin}, '>', \$self->{stdout}, '2>', \$self->{stderr},
		$self->{timer});
	$self->{pid} = $self->query_safe('SELECT pg_backend_pid()');
	return $self;
}

# The pid of the session's backend.
sub pid { return $_[0]{pid} }

# Sends statements without waiting for the answer; finish returns it.
sub start
{
	my ($self, $sql) = @_;

	die "the session's last answer was not fetched\n" if $self->{open};
	$self->{open} = 1;
	$self->{number}++;
	$self->{timer}->start;
	$self->{stdin} .= "$sql\n;\n\\echo '$END $self->{number}'\n\\warn '$END $self->{number}'\n";
	$self->{run}->pump_nb while length $self->{stdin} && $self->{run}->pumpable;
	return;
}

# Waits for the answer: { out, error, messages, lost }.  "error" is undef or the
# first error; "lost" says that the connection ended.
sub finish
{
	my ($self) = @_;
	my $mark = qr/\Q$END $self->{number}\E\n/;

	until ($self->{stdout} =~ $mark && $self->{stderr} =~ $mark)
	{
		$self->{lost} = !$self->{run}->pumpable;
		last if $self->{lost};
		# pump dies when psql has just ended; the next check reports that
		eval { $self->{run}->pump; 1 } or $self->_rethrow($@);
	}
	$self->{open} = 0;
	my ($out, $err) = @$self{qw(stdout stderr)};
	@$self{qw(stdout stderr)} = ('', '');
	s/\n?$mark// foreach $out, $err;
	return $self->_answer($out, $err);
}

sub _rethrow
{
	my ($self, $error) = @_;

	die "a session's statement took too long\n" if $error =~ /timeout/;
	die $error if $self->{run}->pumpable;
	return;
}

sub _answer
{
	my ($self, $out, $err) = @_;
	my @messages = read_messages($err);
	my ($error) = grep { $_->{severity} =~ /^(?:ERROR|FATAL|PANIC)$/ } @messages;

	push @{ $self->{notified} }, $1
	  while $out =~ s/^Asynchronous notification "\w+" with payload "(.*)" received from .*\n?//m;
	$out =~ s/\n\z//;
	return { out => $out, error => $error, messages => \@messages, lost => $self->{lost}, err => $err };
}

# Runs statements and waits: see finish.
sub query
{
	my ($self, $sql) = @_;

	$self->start($sql);
	return $self->finish;
}

# The rows as text; dies of an error.
sub query_safe
{
	my ($self, $sql) = @_;
	my $answer = $self->query($sql);

	die "query failed: $sql\n$answer->{err}" if $answer->{error} || $answer->{lost};
	return $answer->{out};
}

# The payloads of the notifications that have come, each once.
sub notifications
{
	my ($self) = @_;

	$self->query_safe('SELECT 1');
	return splice @{ $self->{notified} };
}

# Waits until `wanted` is true of the list of payloads; returns all of them, and dies
# when it never is.
sub wait_notifications
{
	my ($self, $wanted) = @_;
	my $until = time + $PostgreSQL::Test::Utils::timeout_default;
	my @all;

	do
	{
		push @all, $self->notifications;
		return @all if $wanted->(@all);
		$self->query_safe('SELECT pg_sleep(0.02)');
	} while time < $until;
	die "waited in vain for notifications; these came: @all\n";
}

sub close
{
	my ($self) = @_;
	my $run = delete $self->{run};

	return unless $run;
	if ($run->pumpable)
	{
		$self->{stdin} .= "\\q\n";
		eval { $run->finish; 1 } or $run->kill_kill;
	}
	else
	{
		eval { $run->finish };
	}
	return;
}

sub DESTROY
{
	my ($self) = @_;

	local ($?, $!, $@);
	$self->{run}->kill_kill if $self->{run};
	return;
}

# Splits psql's output with VERBOSITY=verbose into messages: severity, state,
# message, detail, hint, context.
sub read_messages
{
	my ($text) = @_;
	my @messages;
	my $last;

	foreach my $line (split /\n/, $text)
	{
		if ($line =~ /^(?:psql:.*?: )?(ERROR|FATAL|PANIC|WARNING|NOTICE|LOG|INFO|DEBUG\d?): +(\w{5}): (.*)$/)
		{
			push @messages, { severity => $1, state => $2, message => $3, detail => '', hint => '', context => '' };
			$last = 'message';
		}
		elsif (@messages && $line =~ /^(DETAIL|HINT|CONTEXT): +(.*)$/)
		{
			$last = lc $1;
			$messages[-1]{$last} = $2;
		}
		elsif ($line =~ /^(?:LOCATION|LINE \d+|SCHEMA NAME|TABLE NAME|CONSTRAINT NAME|QUERY): |^server closed|^\s+\^/)
		{
			$last = undef;
		}
		elsif (@messages && defined $last)
		{
			$messages[-1]{$last} .= "\n$line";
		}
	}
	return @messages;
}

1;
