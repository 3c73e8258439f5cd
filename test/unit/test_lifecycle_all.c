/*-------------------------------------------------------------------------
 *
 * test_lifecycle_all.c
 *		What an outcome means for a checkout: all combinations, by the rules of
 *		decision.h.
 *
 * Each combination is judged once with one choice of what is besides: ids, amounts, counters,
 * times, errors, other rows.  The choice follows from the number of the combination, so
 * a run is like any other.
 *
 *-------------------------------------------------------------------------
 */
#include "decision.h"
#include "tap.h"

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)
#define NOW (INT64_C(1800000000) * SECOND)

static const char *const statuses[] = {
	NULL, "NEW", "REQUEST_CREATED", "PAYMENT_DETECTED", "SUCCESS", "CONFLICT", "EXPIRED", "PARTIALLY_PAID"
};

#define N_STATUSES ((int) (sizeof(statuses) / sizeof(statuses[0])))
#define N_PHASES (INQUD_PHASE_CHECK + 1)

/* No row, a create, and in each phase a read by the clock and one that was asked for. */
#define N_QUEUES (2 + 2 * N_PHASES)

/* Each status after, each outcome but INQUD_OK. */
#define N_ENDINGS (N_STATUSES + INQUD_N_OUTCOMES - 1)

/* What is combined, and in how many ways. */
enum
{
	STATE, BEFORE, ENDING, AIM, QUEUE, OWN_LEASE, CANCELED, CURRENT, BY_WORKER, MONEY, SAID, N_WHEELS
};

/* What was said of money before, whatever the status is now. */
enum
{
	NO_MONEY, CONFLICT, PAID, PAID_AND_FREE, N_MONEY
};

/* What was said last against the record. */
enum
{
	NOTHING, THE_SAME, ANOTHER, N_SAID
};

static const int sizes[N_WHEELS] = {
	INQUD_CANCELED + 1, N_STATUSES, N_ENDINGS, INQUD_AIM_FOUND + 1, N_QUEUES, 2, 2, 2, 2, N_MONEY, N_SAID
};

/* Take the next of "n" choices from "bits". */
static int
choose(uint64_t *bits, int n)
{
	int			choice = (int) (*bits % (uint64_t) n);

	*bits /= (uint64_t) n;
	return choice;
}

/* The n-th combination, as one number for each wheel. */
static void
turn_to(int64_t n, int at[N_WHEELS])
{
	int			i;

	for (i = 0; i < N_WHEELS; i++)
	{
		at[i] = (int) (n % sizes[i]);
		n /= sizes[i];
	}
}

static void
set_up_record(Situation *s, const int at[N_WHEELS], uint64_t *bits)
{
	InqudRecord *c = &s->c;

	c->id = 7;
	c->state = (InqudState) at[STATE];
	c->canceled = at[CANCELED];
	c->current = at[CURRENT];
	c->made_at = NOW - HOUR;
	c->is.status = statuses[at[BEFORE]];
	c->is.id = choose(bits, 2) ? "CCO-1" : NULL;
	c->is.acquiring_url = choose(bits, 2) ? "https://pay.example/1" : NULL;
	c->is.order_id = choose(bits, 4) ? "order-1" : NULL;
	c->is.fixed_amount = "10";
	c->is.fixed_currency = "EUR";
	c->is.overpaid = -1;
	c->is.pay_currency = choose(bits, 2) ? "BTC" : NULL;
	c->is.expires_at = choose(bits, 2) ? NOW + HOUR : 0;
	c->is.updated_at = choose(bits, 2) ? NOW - 10 * SECOND : 0;
	c->closed_at = choose(bits, 2) ? NOW - 20 * SECOND : 0;
	c->is.paid_amount = choose(bits, 2) ? "0.1" : NULL;
	c->paid_at = at[MONEY] >= PAID || same(c->is.status, "SUCCESS") ? NOW - 30 * SECOND : 0;
	c->holds_money = at[MONEY] == CONFLICT || at[MONEY] == PAID;
	c->error = choose(bits, 2) ? "no answer" : NULL;
	c->fault = c->error != NULL ? INQUD_FAULT_UNKNOWN : INQUD_FAULT_NONE;
}

static void
set_up_queue(Situation *s, const int at[N_WHEELS], uint64_t *bits)
{
	InqudQueueRow *q = &s->q;
	int			kind = at[QUEUE];

	if (kind == 0)
		return;
	q->exists = true;
	q->creates = kind == 1;
	q->asked = kind >= 2 + N_PHASES;
	q->phase = kind < 2 ? INQUD_PHASE_NONE : (InqudPhase) ((kind - 2) % N_PHASES);
	q->tail_from = q->phase == INQUD_PHASE_NONE ? 0 : NOW - HOUR;
	q->lease = q->creates ? 11 : 0;
	q->poke = 3;
	q->attempts = choose(bits, 3);
	q->answers = 5;
	q->spent = 100 * SECOND * choose(bits, 3);
	q->due_at = NOW - SECOND;
}

static void
set_up_reply(Situation *s, int status, uint64_t *bits)
{
	InqudCheckout *reply = &s->o.reply;

	reply->status = statuses[status];
	reply->id = choose(bits, 3) ? "CCO-1" : "CCO-2";
	reply->acquiring_url = choose(bits, 2) ? "https://pay.example/2" : NULL;
	reply->order_id = choose(bits, 4) ? "order-1" : "order-2";
	reply->fixed_amount = choose(bits, 4) ? "10.00" : "11";
	reply->fixed_currency = choose(bits, 4) ? "eur" : NULL;
	reply->overpaid = choose(bits, 3) - 1;
	reply->has_request = choose(bits, 2);
	reply->pay_currency = choose(bits, 2) ? "BTC" : NULL;
	reply->reason = choose(bits, 4) ? NULL : "UNDERPAID";
	reply->updated_at = choose(bits, 4) ? NOW + (choose(bits, 3) - 2) * 10 * SECOND : 0;
	reply->paid_amount = choose(bits, 2) ? choose(bits, 2) ? "0.10" : "0.2" : NULL;
	reply->lost = choose(bits, 4) ? NULL : "txHash";
}

static void
set_up_ending(Situation *s, const int at[N_WHEELS], uint64_t *bits)
{
	InqudEnding *o = &s->o;
	int			failure = at[ENDING] - N_STATUSES;

	o->aim = (InqudAim) at[AIM];
	o->by_worker = at[BY_WORKER];
	o->lease = at[OWN_LEASE] ? 11 : 12;
	o->poke = 3 - !choose(bits, 3);
	o->answers = 5 - !choose(bits, 3);
	o->outcome = failure < 0 ? INQUD_OK : (InqudOutcome) (failure + 1);
	o->reply.overpaid = -1;
	o->retry_in = 50 * SECOND;
	o->retry_for = 200 * SECOND;
	o->read_in = 20 * SECOND * choose(bits, 2);
	o->sent_expires_at = choose(bits, 2) ? NOW + HOUR : 0;
	if (o->aim == INQUD_AIM_SECOND)
		o->second_of = 6;
	if (o->aim == INQUD_AIM_FOUND)
		o->named_order = choose(bits, 2) ? "order-2" : NULL;
	if (failure < 0)
		set_up_reply(s, at[ENDING], bits);
	else
	{
		o->fault = inqud_fault_of(o->outcome);
		o->message = choose(bits, 4) ? "no answer" : choose(bits, 2) ? "not this time" : "";
	}
}

static const int64_t siblings[] = {1, 2, 3, 4, 5, 6, 8, 9, 10};

static void
set_up_facts(Situation *s, uint64_t *bits)
{
	InqudFacts *f = &s->f;

	f->now = NOW;
	f->held_by = choose(bits, 8) ? 0 : 9;
	f->alone = choose(bits, 2);
	f->unsent = choose(bits, 2) ? siblings : NULL;
	f->n_unsent = f->unsent ? choose(bits, (int) (sizeof(siblings) / sizeof(siblings[0])) + 1) : 0;
}

/* Do these wheels only repeat what another combination is? */
static bool
is_repeated(const int at[N_WHEELS])
{
	/* a lease is a create's; what was said of money concerns reads */
	return (at[OWN_LEASE] && at[QUEUE] != 1) ||
		(at[AIM] != INQUD_AIM_READ && (at[MONEY] != NO_MONEY || at[SAID] != NOTHING)) ||
		(at[ENDING] >= N_STATUSES && at[SAID] != NOTHING);
}

/* Rows are added or chosen for answers alone, and no status that is not final follows money. */
static bool
is_impossible(const int at[N_WHEELS])
{
	return (at[MONEY] != NO_MONEY && !ends(statuses[at[BEFORE]])) ||
		(at[AIM] >= INQUD_AIM_SECOND && at[ENDING] >= N_STATUSES);
}

static void
set_up(Situation *s, int64_t n, const int at[N_WHEELS])
{
	uint64_t	bits = ((uint64_t) n + 1) * UINT64_C(0x9e3779b97f4a7c15);

	memset(s, 0, sizeof(*s));
	bits ^= bits >> 29;
	set_up_record(s, at, &bits);
	set_up_queue(s, at, &bits);
	bits = (bits + (uint64_t) n + 1) * UINT64_C(0xbf58476d1ce4e5b9);
	bits ^= bits >> 32;
	set_up_ending(s, at, &bits);
	bits = (bits + (uint64_t) n + 1) * UINT64_C(0x94d049bb133111eb);
	bits ^= bits >> 31;
	set_up_facts(s, &bits);
	if (at[SAID] == THE_SAME)
		s->c.contradiction = inqud_digest_against(&s->o.reply, choose(&bits, 2), choose(&bits, 2));
	else
		s->c.contradiction = at[SAID] == ANOTHER ? 99 : 0;
}

static void
show(const int at[N_WHEELS], int rule)
{
	printf("# not so: %s\n#   state %d, status %s, ending %d, aim %d, queue row %d, own lease %d,"
		   " canceled %d, current %d, by worker %d, money %d, said %d\n", rule < 0 ? "nothing changes an argument" : rules[rule].name,
		   at[STATE], statuses[at[BEFORE]] ? statuses[at[BEFORE]] : "(none)", at[ENDING], at[AIM], at[QUEUE],
		   at[OWN_LEASE], at[CANCELED], at[CURRENT], at[BY_WORKER], at[MONEY], at[SAID]);
}

/* How often each rule was broken, and arguments were changed; returns the number of combinations. */
static int
judge_all(int broken[N_RULES], int *changed)
{
	InqudDecision decisions[2];
	Situation	s;
	int			at[N_WHEELS];
	int64_t		all = 1;
	int64_t		n;
	int			judged = 0;
	int			rule;

	for (n = 0; n < N_WHEELS; n++)
		all *= sizes[n];
	for (n = 0; n < all; n++)
	{
		turn_to(n, at);
		if (is_repeated(at) || is_impossible(at))
			continue;
		set_up(&s, n, at);
		judged++;
		*changed += !decide_twice(&s, decisions);
		rule = broken_rule(&s, decisions);
		if (rule >= 0 && broken[rule]++ == 0)
			show(at, rule);
	}
	return judged;
}

int
main(void)
{
	int			broken[N_RULES] = {0};
	int			changed = 0;
	int			judged = judge_all(broken, &changed);
	int			i;

	for (i = 0; i < N_RULES; i++)
		ok(broken[i] == 0, "%s (%d combinations, %d break it)", rules[i].name, judged, broken[i]);
	ok(changed == 0, "no argument is changed");
	return tap_end();
}
