#!/usr/bin/perl
#
# 003_statuses.pl - proves what each word of Inqud does to a checkout: every
# status of the contract, jumps over steps, too little and too much money, words
# that nobody knows, corrections of final statuses, and words that come after a
# final one.  For each: state, events, what on_status was told, and how the
# checkout is followed from there, and how often.  SUCCESS alone means paid.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib", "$FindBin::RealBin/../emulator/lib";
use Inqud::Shop;
use JSON::PP ();
use Test::More;

# Nothing is read by the clock here, so that no step is seen by chance.
my $shop = Inqud::Shop->new(options => { poll_new => '1day', poll_active => '1day' });
my $emu = $shop->emu;
my $session = $shop->session;

$shop->sql('CREATE TABLE told (n bigint GENERATED ALWAYS AS IDENTITY, order_id text, state text, status text, reason text);
	CREATE FUNCTION tell(c inqud.checkout) RETURNS void LANGUAGE sql
		AS $$ INSERT INTO told (order_id, state, status, reason) VALUES (c.order_id, c.state, c.status, c.reason) $$');
$shop->set_options('shop', on_status => 'public.tell');

# ---------------------------------------------------------------------
# Taking steps
# ---------------------------------------------------------------------

# Waits until nothing about an order is under way.
sub settled
{
	my ($order) = @_;

	$shop->wait_until("SELECT count(*) FILTER (WHERE kind IN ('create', 'hook', 'poked')) = 0
		FROM inqud.pending WHERE order_id = " . Inqud::Shop::literal($order));
	return;
}

# One step at Inqud, then a read.
sub step
{
	my ($order, $action, $body) = @_;

	$emu->control($action, { clientOrderId => $order, %{ $body // {} } });
	$session->query_safe('SELECT inqud_refresh(id) FROM inqud.checkout WHERE order_id = '
		. Inqud::Shop::literal($order));
	return settled($order);
}

# The history of an order in one line.
sub history
{
	my ($order) = @_;

	return $session->query_safe("SELECT string_agg(e.kind || coalesce(':' || coalesce(e.status_from, '') || '>' || e.status_to
			|| coalesce('/' || e.reason, ''), ''), ' ' ORDER BY e.id)
		FROM inqud.event e JOIN inqud.checkout c ON c.id = e.checkout WHERE c.order_id = " . Inqud::Shop::literal($order));
}

sub now_is
{
	my ($order, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return is($session->query_safe("SELECT concat_ws(' ', state, status, reason) FROM inqud.checkout WHERE order_id = "
			. Inqud::Shop::literal($order)), $expected, $name);
}

sub phase
{
	my ($order) = @_;

	return $session->query_safe('SELECT phase FROM inqud.pending WHERE order_id = ' . Inqud::Shop::literal($order));
}

sub paid
{
	my ($order) = @_;

	return $session->query_safe('SELECT count(*) FROM inqud.payment WHERE order_id = ' . Inqud::Shop::literal($order));
}

sub trouble
{
	my ($order) = @_;

	return $session->query_safe("SELECT coalesce(string_agg(trouble, ' ' ORDER BY trouble), '') FROM inqud.trouble WHERE order_id = "
		. Inqud::Shop::literal($order));
}

# A whole walk: steps of [action, body, state-status-reason], then how it is followed,
# whether it counts as paid, its history after the creation, and what trouble it is.
sub walk
{
	my ($order, $steps, %end) = @_;

	subtest $order => sub {
		my @told = ('open NEW');

		$session->query_safe($shop->enqueue_sql($order, "100, 'USD'"));
		settled($order);
		foreach my $step (@$steps)
		{
			my ($action, $body, $expected, $quiet) = @$step;

			step($order, $action, $body);
			now_is($order, $expected, "$action: $expected");
			push @told, $expected unless $quiet;
		}
		is(phase($order), $end{phase}, "it is followed as \"$end{phase}\"");
		is(paid($order), $end{paid} // 0, $end{paid} ? 'it counts as paid' : 'it does not count as paid');
		is(history($order), join(' ', 'created:>NEW', $end{history} // ()), 'its history');
		is($session->query_safe("SELECT string_agg(concat_ws(' ', state, status, reason), ', ' ORDER BY n) FROM told
			WHERE order_id = " . Inqud::Shop::literal($order)), join(', ', @told), 'on_status was told each change');
		is(trouble($order), $end{trouble} // '', 'what inqud.trouble says');
	};
	return;
}

# ---------------------------------------------------------------------
# The statuses of the contract, by step and by jump
# ---------------------------------------------------------------------

walk('every step',
	[ [ choose => {}, 'open REQUEST_CREATED' ], [ detect => {}, 'open PAYMENT_DETECTED' ], [ settle => {}, 'closed SUCCESS' ] ],
	phase => 'check', paid => 1,
	history => 'status:NEW>REQUEST_CREATED status:REQUEST_CREATED>PAYMENT_DETECTED status:PAYMENT_DETECTED>SUCCESS');
walk('nothing chosen', [], phase => 'new');
walk('chosen', [ [ choose => {}, 'open REQUEST_CREATED' ] ], phase => 'active', history => 'status:NEW>REQUEST_CREATED');
walk('detected', [ [ detect => {}, 'open PAYMENT_DETECTED' ] ], phase => 'active', history => 'status:NEW>PAYMENT_DETECTED');
walk('NEW to SUCCESS', [ [ settle => {}, 'closed SUCCESS' ] ],
	phase => 'check', paid => 1, history => 'status:NEW>SUCCESS');
walk('REQUEST_CREATED to SUCCESS', [ [ choose => {}, 'open REQUEST_CREATED' ], [ settle => {}, 'closed SUCCESS' ] ],
	phase => 'check', paid => 1, history => 'status:NEW>REQUEST_CREATED status:REQUEST_CREATED>SUCCESS');
walk('NEW to CONFLICT', [ [ settle => { factor => '0.5' }, 'closed CONFLICT UNDERPAID' ] ],
	phase => 'check', history => 'status:NEW>CONFLICT/UNDERPAID', trouble => 'conflict');
walk('underpaid', [ [ detect => {}, 'open PAYMENT_DETECTED' ], [ settle => { factor => '0.999' }, 'closed CONFLICT UNDERPAID' ] ],
	phase => 'check', history => 'status:NEW>PAYMENT_DETECTED status:PAYMENT_DETECTED>CONFLICT/UNDERPAID', trouble => 'conflict');
walk('overpaid', [ [ settle => { factor => '1.5' }, 'closed SUCCESS' ] ],
	phase => 'check', paid => 1, history => 'status:NEW>SUCCESS');
walk('expired unseen', [ [ expire => {}, 'closed EXPIRED' ] ], phase => 'check', history => 'status:NEW>EXPIRED');
walk('expired with an address shown', [ [ choose => {}, 'open REQUEST_CREATED' ], [ expire => {}, 'closed EXPIRED' ] ],
	phase => 'late', history => 'status:NEW>REQUEST_CREATED status:REQUEST_CREATED>EXPIRED');
# The address was shown between two reads.
subtest 'expired with an address shown between two reads' => sub {
	my $order = 'shown unseen';

	$session->query_safe($shop->enqueue_sql($order, "100, 'USD'"));
	settled($order);
	$emu->control('choose', { clientOrderId => $order });
	step($order, 'expire');
	now_is($order, 'closed EXPIRED', 'it expired');
	is(phase($order), 'late', 'late money is looked for');
};

my $over = $shop->checkout('overpaid');
is($over->{overpaid}, 'true', 'more money sets overpaid');
cmp_ok($over->{paid_amount}, '>', $over->{pay_amount}, 'and is recorded');
my $under = $shop->checkout('underpaid');
is($under->{overpaid}, 'false', 'less money does not');
cmp_ok($under->{paid_amount}, '<', $under->{pay_amount}, 'and is recorded');

# ---------------------------------------------------------------------
# Words that are not in the contract
# ---------------------------------------------------------------------

foreach my $word ('COMPLETED', 'CANCELLED', 'PARTIALLY_PAID', 'success', "\x{442}\x{435}\x{441}\x{442} 'quoted\"", 'W' x 90)
{
	my $text = substr $word, 0, 20;

	utf8::encode(my $bytes = $word);
	# later releases end a test whose name they cannot print
	walk("unknown word $text" =~ s/[^\w ]//gr =~ s/[^ -~]/?/gr,
		[ [ force => { status => $word }, "open $bytes" ], [ force => { status => 'SUCCESS' }, 'closed SUCCESS' ] ],
		phase => 'check', paid => 1,
		history => "status:NEW>$bytes error:>$bytes status:$bytes>SUCCESS");
}
walk('an unknown word stays', [ [ force => { status => 'ON_HOLD', reason => 'COMPLIANCE' }, 'open ON_HOLD COMPLIANCE' ] ],
	phase => 'active', history => 'status:NEW>ON_HOLD/COMPLIANCE error:>ON_HOLD', trouble => 'unknown status');
walk('an unknown reason', [ [ force => { status => 'CONFLICT', reason => 'WRONG_ASSET' }, 'closed CONFLICT WRONG_ASSET' ],
		[ force => { status => 'CONFLICT', reason => 'SEVERAL' }, 'closed CONFLICT SEVERAL', 'quiet' ] ],
	phase => 'check', history => 'status:NEW>CONFLICT/WRONG_ASSET changed:CONFLICT>CONFLICT/SEVERAL', trouble => 'conflict');

# ---------------------------------------------------------------------
# After the end
# ---------------------------------------------------------------------

walk('CONFLICT corrected', [ [ settle => { factor => '0.5' }, 'closed CONFLICT UNDERPAID' ],
		[ correct => { status => 'SUCCESS' }, 'closed SUCCESS' ] ],
	phase => 'check', paid => 1, history => 'status:NEW>CONFLICT/UNDERPAID status:CONFLICT>SUCCESS');
walk('SUCCESS taken back', [ [ settle => {}, 'closed SUCCESS' ],
		[ correct => { status => 'CONFLICT', reason => 'CHARGED_BACK' }, 'closed CONFLICT CHARGED_BACK' ] ],
	phase => 'check', paid => 1,
	history => 'status:NEW>SUCCESS status:SUCCESS>CONFLICT/CHARGED_BACK anomaly:SUCCESS>CONFLICT/CHARGED_BACK', trouble => 'anomaly');
walk('money after the end', [ [ choose => {}, 'open REQUEST_CREATED' ], [ expire => {}, 'closed EXPIRED' ],
		[ correct => { status => 'SUCCESS' }, 'closed SUCCESS' ] ],
	phase => 'check', paid => 1,
	history => 'status:NEW>REQUEST_CREATED status:REQUEST_CREATED>EXPIRED status:EXPIRED>SUCCESS');
walk('a step back is not taken', [ [ settle => {}, 'closed SUCCESS' ],
		[ force => { status => 'PAYMENT_DETECTED' }, 'closed SUCCESS', 'quiet' ],
		[ force => { status => 'NEW' }, 'closed SUCCESS', 'quiet' ] ],
	phase => 'reopened', paid => 1,
	history => 'status:NEW>SUCCESS anomaly:SUCCESS>PAYMENT_DETECTED anomaly:SUCCESS>NEW', trouble => 'anomaly anomaly');
walk('reopened, then SUCCESS', [ [ settle => { factor => '0.5' }, 'closed CONFLICT UNDERPAID' ],
		[ force => { status => 'PAYMENT_DETECTED' }, 'closed CONFLICT UNDERPAID', 'quiet' ],
		[ force => { status => 'SUCCESS' }, 'closed SUCCESS' ] ],
	phase => 'check', paid => 1,
	history => 'status:NEW>CONFLICT/UNDERPAID anomaly:CONFLICT>PAYMENT_DETECTED status:CONFLICT>SUCCESS', trouble => 'anomaly');
walk('reopened by an unknown word', [ [ expire => {}, 'closed EXPIRED' ],
		[ force => { status => 'ON_HOLD' }, 'closed EXPIRED', 'quiet' ], [ force => { status => 'SUCCESS' }, 'closed SUCCESS' ] ],
	phase => 'check', paid => 1,
	history => 'status:NEW>EXPIRED anomaly:EXPIRED>ON_HOLD status:EXPIRED>SUCCESS', trouble => 'anomaly');
walk('reopened, and the same again', [ [ settle => {}, 'closed SUCCESS' ],
		[ force => { status => 'PAYMENT_DETECTED' }, 'closed SUCCESS', 'quiet' ],
		[ force => { status => 'SUCCESS' }, 'closed SUCCESS', 'quiet' ] ],
	phase => 'check', paid => 1, history => 'status:NEW>SUCCESS anomaly:SUCCESS>PAYMENT_DETECTED', trouble => 'anomaly');
# Before the end every order of the words is taken as it comes.
walk('back and forth before the end', [ [ detect => {}, 'open PAYMENT_DETECTED' ],
		[ force => { status => 'NEW' }, 'open NEW' ], [ force => { status => 'SUCCESS' }, 'closed SUCCESS' ] ],
	phase => 'check', paid => 1,
	history => 'status:NEW>PAYMENT_DETECTED status:PAYMENT_DETECTED>NEW status:NEW>SUCCESS');

# ---------------------------------------------------------------------
# In the answer to the create itself
# ---------------------------------------------------------------------

foreach my $status (qw(REQUEST_CREATED SUCCESS CONFLICT EXPIRED ON_HOLD))
{
	$emu->fault({ match => { method => 'POST' }, action => 'alter', times => 1, override => { status => "\"$status\"" } });
	$session->query_safe($shop->enqueue_sql("born $status", "100, 'USD'"));
	settled("born $status");
	now_is("born $status", ($status =~ /SUCCESS|CONFLICT|EXPIRED/ ? 'closed' : 'open') . " $status", "a checkout can be born $status");
}

# ---------------------------------------------------------------------
# How the words are told
# ---------------------------------------------------------------------

foreach my $digits (0, 3, 6, 9)
{
	$emu->control('settings', { digits => $digits });
	$session->query_safe($shop->enqueue_sql("digits $digits", "100, 'USD'"));
	settled("digits $digits");
	step("digits $digits", 'settle');
	my ($real) = @{ $emu->get('checkouts', clientOrderId => "digits $digits") };
	is($session->query_safe("SELECT abs(extract(epoch FROM opened_at - '$real->{createdAt}')) < 0.000002
			AND abs(extract(epoch FROM status_at - '$real->{lastUpdatedAt}')) < 0.000002 FROM inqud.checkout
			WHERE order_id = 'digits $digits'"), 't', "times with $digits fraction digits are taken");
}
$emu->control('settings', { digits => undef });

# Nothing but id and status.
$session->query_safe($shop->enqueue_sql('terse', "100, 'USD'"));
settled('terse');
my $before = $shop->checkout('terse');
my @rest = grep { !/^(?:id|status)$/ } keys %{ $emu->get('checkouts', clientOrderId => 'terse')->[0] };
$emu->control('settings', { drop => \@rest });
step('terse', 'choose');
now_is('terse', 'open REQUEST_CREATED', 'id and status are enough');
$emu->control('settings', { drop => [], null => \@rest });
step('terse', 'settle');
now_is('terse', 'closed SUCCESS', 'the others may be null');
my $after = $shop->checkout('terse');
is_deeply({ map { $_ => $after->{$_} } qw(acquiring_url checkout_id amount name expires_at opened_at return_url) },
	{ map { $_ => $before->{$_} } qw(acquiring_url checkout_id amount name expires_at opened_at return_url) },
	'what was known stays known');
$emu->control('settings', { null => [], extra => JSON::PP::true() });
$session->query_safe($shop->enqueue_sql('wordy', "100, 'USD'"));
settled('wordy');
step('wordy', 'settle');
now_is('wordy', 'closed SUCCESS', 'members that nobody knows do no harm');
$emu->control('settings', { extra => undef, form => 'short' });
$session->query_safe($shop->enqueue_sql('short', "100, 'USD'"));
settled('short');
step('short', 'settle');
now_is('short', 'closed SUCCESS', 'short replies are enough');
$emu->control('settings', { form => undef, exponent => JSON::PP::true() });
$session->query_safe($shop->enqueue_sql('exponents', "100, 'USD'"));
settled('exponents');
step('exponents', 'settle');
$after = $shop->checkout('exponents');
my ($real) = @{ $emu->get('checkouts', clientOrderId => 'exponents') };
is($shop->sql("SELECT $after->{paid_amount} = $real->{request}{paidAmount}"), 't', 'numbers with exponents are taken');
$emu->control('settings', { exponent => undef });

# ---------------------------------------------------------------------
# Answers that cross
# ---------------------------------------------------------------------

# A read is answered late with what was true when it began; meanwhile a session
# has read something newer.
sub cross
{
	my ($order, $name) = @_;

	$session->query_safe($shop->enqueue_sql($order, "100, 'USD'"));
	settled($order);
	my $id = $shop->checkout($order)->{checkout_id};

	$emu->control('choose', { clientOrderId => $order });
	$emu->fault({ match => { checkout => $id }, action => 'hang', phase => 'headers', times => 1 });
	$session->query_safe("SELECT inqud_refresh(id) FROM inqud.checkout WHERE checkout_id = '$id'");
	$shop->wait_requests(path => $id);
	$emu->control('detect', { clientOrderId => $order });
	is($session->query_safe("SELECT status FROM inqud_get_checkout('shop', '$id')"), 'PAYMENT_DETECTED',
		"$name: the session reads the newer status");
	$emu->control('release');
	$shop->wait_requests(path => $id, count => 3, status => 200);
	settled($order);
	now_is($order, 'open PAYMENT_DETECTED', "$name: the older answer does not replace it");
	is(history($order), 'created:>NEW status:NEW>PAYMENT_DETECTED', "$name: not even for a moment");
	return;
}

# Three reads: two that cross, and one that settles it.
cross('crossing', 'with times');
$emu->control('settings', { drop => ['lastUpdatedAt'] });
cross('crossing blindly', 'without times');
$emu->control('settings', { drop => [] });

# ---------------------------------------------------------------------
# How often each is read
# ---------------------------------------------------------------------

# Two checkouts of one project, one that waits for its payer and one that is being paid,
# each with an interval of its own.  Reads come by a grid, so that there are never more
# of them than the interval allows; fewer only as far as the machine is late.
{
	my %every = (waiting => 2, paying => 0.2);
	my %id;

	$shop->project('paced', options => { poll_new => '2s', poll_active => '200ms' });
	foreach my $order (keys %every)
	{
		$session->query_safe($shop->enqueue_sql($order, "100, 'USD'", 'paced'));
		settled($order);
		$id{$order} = $shop->checkout($order)->{checkout_id};
	}
	step('paying', 'choose');
	is(phase('waiting') . ' ' . phase('paying'), 'new active', 'one checkout is new, the other active');
	my $seq = ($shop->requests)[-1]{seq};
	$shop->wait_requests(since => $seq, method => 'GET', path => $id{waiting}, count => 4);
	my @all = $shop->requests(since => $seq, method => 'GET');
	my $took = $all[-1]{epoch} - $all[0]{epoch};
	foreach my $order (sort keys %every)
	{
		my $n = grep { index($_->{path}, $id{$order}) >= 0 } @all;

		note(sprintf '%s: %d reads in %.1f s', $order, $n, $took);
		cmp_ok($n, '<=', $took / $every{$order} + 2, "$order: read no more often than its interval says");
		cmp_ok($n, '>=', $took / $every{$order} / 3 - 1, "$order: nor much more rarely");
	}
	$shop->sql('DROP SERVER paced CASCADE');
}

$session->close;
done_testing();
