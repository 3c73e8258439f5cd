package Inqud::Emulator;

# Drives the payment API emulator from Perl tests: starts it on a free port, talks to its control routes, stops it.
# Core Perl only. Must leave no process behind, however the test ends.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use HTTP::Tiny;
use IPC::Open3 qw(open3);
use JSON::PP;

# Seconds to wait for a condition that must come true: as long as PostgreSQL's own tests wait, for a busy machine.
my $PATIENCE = $ENV{PG_TEST_TIMEOUT_DEFAULT} || 180;

my %running;
my $json = JSON::PP->new->utf8->canonical->allow_nonref;

# start(%options): port, tls_cert, tls_key, log, log_limit, project, token_id, token_secret, blackhole, python
sub start
{
    my ($class, %options) = @_;
    my @command = ($options{python} // '/usr/bin/python3', '-B', _script(), '--until-eof');
    for my $name (qw(port tls_cert tls_key log log_limit project token_id token_secret))
    {
        next unless defined $options{$name};
        (my $flag = $name) =~ tr/_/-/;
        push @command, "--$flag", $options{$name};
    }
    push @command, '--listen-blackhole' if $options{blackhole};
    my $pid = open3(my $stdin, my $stdout, '>&STDERR', @command);
    my $self = bless { pid => $pid, owner => $$, stdin => $stdin, stdout => $stdout }, $class;
    $running{$pid} = 1;
    $self->_read_addresses;
    # An environment's proxy must not come between a test and its emulator.
    local @ENV{qw(http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY)};
    delete @ENV{qw(http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY)};
    $self->{http} = HTTP::Tiny->new(timeout => $PATIENCE + 60);
    return $self;
}

sub _script
{
    return dirname(dirname(dirname(abs_path(__FILE__)))) . '/emulator.py';
}

sub _read_addresses
{
    my ($self) = @_;
    my $line = readline $self->{stdout};
    if (!defined $line or $line !~ m{^listening (https?://127\.0\.0\.1:(\d+))(?: control (\S+))?$})
    {
        $self->stop;
        die "the emulator did not start\n";
    }
    @$self{qw(url port)} = ($1, $2);
    $self->{control} = $3 // $1;
    return;
}

sub url  { return $_[0]{url} }
sub port { return $_[0]{port} }
sub pid  { return $_[0]{pid} }

# Address of the control routes: the same as url, except under TLS.
sub control_url { return $_[0]{control} }

# control($action, \%body): POST, gives the reply; dies with the emulator's message on failure.
sub control
{
    my ($self, $action, $body) = @_;
    return $self->_call('POST', $action, $body // {});
}

# get($report, %query): GET a report.
sub get
{
    my ($self, $report, %query) = @_;
    my $query = $self->{http}->www_form_urlencode(\%query);
    return $self->_call('GET', length $query ? "$report?$query" : $report);
}

# fault(\%rule): adds a rule, gives its number.
sub fault
{
    my ($self, $rule) = @_;
    return $self->control('fault', $rule)->{number};
}

sub clear_faults { return $_[0]->_call('DELETE', 'faults') }
sub reset        { return $_[0]->control('reset') }

# Waits until the log holds `count` matching requests (default 1); gives them, fewer on timeout.
sub wait_log
{
    my ($self, %query) = @_;
    return $self->get('log', wait => 1000 * $PATIENCE, %query);
}

sub wait_deliveries
{
    my ($self, %query) = @_;
    return $self->get('deliveries', wait => 1000 * $PATIENCE, done => 1, %query);
}

sub _call
{
    my ($self, $method, $path, $body) = @_;
    my %options;
    %options = (content => $json->encode($body), headers => { 'content-type' => 'application/json' })
        if defined $body;
    my $reply = $self->{http}->request($method, "$self->{control}/_emu/$path", \%options);
    die "emulator: $method $path: $reply->{status} $reply->{content}\n" unless $reply->{success};
    return $json->decode($reply->{content});
}

# Ends the emulator and waits for it; harmless when repeated, and in forked children.
sub stop
{
    my ($self) = @_;
    my $pid = $self->{pid};
    return unless defined $pid and $self->{owner} == $$;
    delete $self->{pid};
    delete $running{$pid};
    local ($?, $!, $@);
    close $self->{stdin};
    kill 'TERM', $pid;
    waitpid $pid, 0;
    close $self->{stdout};
    return;
}

sub DESTROY { $_[0]->stop; return }

my $main_pid = $$;

END
{
    my $status = $?;
    if ($$ == $main_pid)
    {
        for my $pid (keys %running)
        {
            kill 'TERM', $pid;
            waitpid $pid, 0;
        }
    }
    $? = $status;
}

1;
