package Inqud::Webhooks;

# Webhooks for tests: digests, calls of inqud_receive_webhook, and the receiver
# of test/examples/receiver as a process that ends with the test.
#
#   my $receiver = Inqud::Webhooks::Receiver->start($shop, user => 'receiver');
#   $emu->control('webhooks', { checkout_url => $receiver->url, checkout_secret => 's' });

use strict;
use warnings;

use Digest::SHA qw(hmac_sha1_hex);
use Exporter qw(import);

our @EXPORT_OK = qw(digest receive_sql);

# The digest that Inqud sends with a body.
sub digest
{
	my ($secret, $body) = @_;

	return hmac_sha1_hex($body, $secret);
}

# The call, as SQL.  The body is bytes, or a reference to an SQL expression.
sub receive_sql
{
	my ($project, $body, $digest) = @_;
	my $bytes = ref $body ? $$body : "'\\x" . unpack('H*', $body) . "'::bytea";

	return 'inqud_receive_webhook(' . join(', ', "'$project'", $bytes, defined $digest ? "'$digest'" : 'NULL') . ')';
}

package Inqud::Webhooks::Receiver;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IPC::Run;
use PostgreSQL::Test::Utils ();

# start($shop, %options): user, project ("shop"), arguments (more of the receiver's)
sub start
{
	my ($class, $shop, %o) = @_;
	my $script = dirname(dirname(dirname(dirname(abs_path(__FILE__))))) . '/examples/receiver/receiver.py';
	my $self = bless { stdin => '', stdout => '', stderr => '' }, $class;

	$self->{run} = IPC::Run::start(
		[ '/usr/bin/python3', '-B', $script, '--project', $o{project} // 'shop', '--port', 0, '--until-eof',
			'--dsn', $shop->node->connstr($shop->{db}) . " user=$o{user}", @{ $o{arguments} // [] } ],
		'<', \$self->{stdin}, '>', \$self->{stdout}, '2>', \$self->{stderr},
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	until ($self->{stdout} =~ m{^listening (http://\S+)\n})
	{
		die "the receiver did not start: $self->{stderr}\n" unless $self->{run}->pumpable;
		eval { $self->{run}->pump; 1 } or last;
	}
	($self->{url}) = $self->{stdout} =~ m{^listening (\S+)} or die "the receiver did not start: $self->{stderr}\n";
	return $self;
}

sub url { return $_[0]{url} }

# Ends it; returns what it printed.
sub stop
{
	my ($self) = @_;
	my $run = delete $self->{run} or return $self->{stderr};

	# the end of its standard input ends it
	eval { $run->finish; 1 } or $run->kill_kill;
	return $self->{stderr};
}

sub DESTROY
{
	my ($self) = @_;

	local ($?, $!, $@);
	$self->stop;
	return;
}

1;
