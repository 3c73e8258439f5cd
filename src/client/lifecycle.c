/*-------------------------------------------------------------------------
 *
 * lifecycle.c
 *		What the outcome of a call means for a checkout: every rule about
 *		statuses, phases, retries, anomalies and stale answers.
 *
 * A pure function of what is recorded and how the call ended.  It must not ask the
 * clock, read or write anything, or form a sentence.  A caller looks up the rows,
 * asks inqud_decide, and records what it says, on rows that are locked.
 *
 * A create				the row is queued, and the lease is that of the call
 *	  an id				recorded, open; closed if the status is final
 *	  refused			failed; also when the answer is not that of this order
 *	  no outcome		again after retry_in, until retry_for has been spent
 *	  auth, throttled	again after retry_in, not counted
 *	  lost lease		what is recorded stays; a second id gets a row of its own
 * A read
 *	  nothing new		nothing is written
 *	  news				recorded, except a status that is not final after a final one
 *	  of another order	not recorded, whatever it says: another order, project, type or amount
 *	  against the record	an anomaly, said once for each thing that is said: any word after
 *						SUCCESS, any but SUCCESS after CONFLICT, other amounts than were paid
 *	  perhaps stale		another answer was recorded during the call: read again
 *	  failed			the error is recorded, the status stays
 *
 * The first SUCCESS sets paid_at, which never changes.  An order is paid by it, whatever
 * is said later, and its amounts stay as SUCCESS said them first.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "client_internal.h"

#define SECOND	INT64_C(1000000)
#define HOUR	(3600 * SECOND)

/* When a session has recorded an answer and cannot say when to read next. */
#define READ_IN_DEFAULT		(10 * SECOND)

/* No read of a checkout follows so soon on one that brought nothing new (as inqud._read_from). */
#define INQUD_QUIET			(3 * SECOND)

/* A checkout without an expiry is followed as if it had this one. */
#define LIFE_DEFAULT		HOUR

/* An id that only a webhook named is forgotten after so many failed reads: some days. */
#define FOUND_ATTEMPTS		3000

InqudFault
inqud_fault_of(InqudOutcome outcome)
{
	_Static_assert((int) INQUD_FAULT_BAD_REPLY == (int) INQUD_BAD_REPLY, "faults begin like outcomes");
	return outcome <= INQUD_BAD_REPLY ? (InqudFault) outcome : INQUD_FAULT_NONE;
}

/* Another word counts as unpaid, and the checkout is followed. */
static bool
is_known_open(const char *status)
{
	return inqud_same_text(status, "NEW") || inqud_same_text(status, "REQUEST_CREATED") ||
		inqud_same_text(status, "PAYMENT_DETECTED");
}

static bool
is_paid(const char *status)
{
	return inqud_same_text(status, "SUCCESS");
}

static bool
is_conflict(const char *status)
{
	return inqud_same_text(status, "CONFLICT");
}

/* ---- Pieces of a decision ---- */

/* What a decision is made of; "d" is being filled in. */
typedef struct Case
{
	const InqudRecord *c;
	const InqudQueueRow *q;
	const InqudEnding *o;
	const InqudFacts *facts;
	InqudDecision *d;
} Case;

static InqudNote *
note(Case *k, InqudEventKind kind, InqudSentence what, const char *text)
{
	InqudNote  *n = &k->d->notes[k->d->n_notes++];

	*n = (InqudNote) {.kind = kind,.says = {.what = what,.text = text},.of_reply = true};
	return n;
}

/* Inqud's answer to a create cannot be that of this order, for this reason. */
static InqudSaying
mismatch(const Case *k)
{
	InqudSaying says = {.what = inqud_misfit(k->c, &k->o->reply)};

	if (says.what == INQUD_SAYS_NOTHING && k->facts->held_by != 0)
	{
		says.what = INQUD_SAYS_HELD;
		says.text = k->o->reply.id;
		says.number = k->facts->held_by;
	}
	return says;
}

/* The phase of following that a checkout enters when its status has just changed. */
static InqudPhase
phase_of(const Case *k)
{
	const InqudCheckout *after = &k->d->record.is;
	const char *before = k->c->is.status;

	if (inqud_same_text(after->status, "NEW"))
		return INQUD_PHASE_NEW;
	if (!inqud_is_final(after->status))
		return INQUD_PHASE_ACTIVE;
	/* an address was shown, so money may still come */
	if (inqud_same_text(after->status, "EXPIRED") &&
		((before != NULL && strcmp(before, "NEW") != 0) ||
		 k->o->reply.has_request || after->pay_currency != NULL))
		return INQUD_PHASE_LATE;
	return INQUD_PHASE_CHECK;
}

/*
 * From when a checkout is read more rarely: its expiry, but not before its row was made.
 * A reply may say an expiry that is long past.
 */
static int64_t
tail_of(const Case *k)
{
	const InqudRecord *after = &k->d->record;
	int64_t		tail = after->is.expires_at;

	if (inqud_is_final(after->is.status))
		return k->facts->now;
	if (tail == 0)
		tail = (after->is.created_at != 0 ? after->is.created_at : after->made_at) + LIFE_DEFAULT;
	return tail > after->made_at ? tail : after->made_at;
}

/* Record how the checkout is followed from here. */
static void
follow(Case *k, InqudPhase phase, int64_t tail_from)
{
	const InqudQueueRow *q = k->q;
	InqudQueueRow *row = &k->d->row;
	bool		again = q->exists && !q->creates && q->asked && q->poke != k->o->poke;

	*row = *q;
	row->exists = true;
	row->creates = false;
	row->phase = phase;
	row->tail_from = tail_from;
	row->asked = again || !k->o->by_worker;
	row->due_at = k->facts->now + (again && !k->d->write && k->o->outcome == INQUD_OK ? INQUD_QUIET : 0);
	/* the worker does not know yet: have it look when the next read is due */
	if (!again && !k->o->by_worker)
		row->due_at = phase == INQUD_PHASE_CHECK ? tail_from + INQUD_CHECK_AFTER :
			k->facts->now + (k->o->read_in != 0 ? k->o->read_in : READ_IN_DEFAULT);
	row->attempts = 0;
	row->lease = 0;
	row->spent = 0;
	if (k->o->outcome == INQUD_OK)
		row->answers++;
	if (k->o->outcome == INQUD_OK || q->lease != 0 || !q->exists || q->creates ||
		q->asked != row->asked || q->phase != phase || q->tail_from != tail_from)
		k->d->queue = INQUD_QUEUE_PUT;
}

/* What waits to be sent for an order that is paid is not sent. */
static void
drop_siblings(Case *k)
{
	int			i;

	if (!is_paid(k->d->record.is.status) || k->facts->alone)
		return;
	k->d->ask_siblings = k->facts->unsent == NULL;
	for (i = 0; !k->d->ask_siblings && i < k->facts->n_unsent && i < INQUD_MAX_SIBLINGS; i++)
		k->d->drop[k->d->n_drop++] = k->facts->unsent[i];
}

/* Note what an answer has changed: that it came to be, its status, or a detail. */
static void
note_change(Case *k)
{
	const InqudCheckout *before = &k->c->is;
	const InqudCheckout *after = &k->d->record.is;
	bool		created = before->id == NULL;
	bool		moved = !inqud_same_text(before->status, after->status);
	InqudNote  *n;

	if (k->o->reply.lost != NULL)
		note(k, INQUD_EVENT_ERROR, INQUD_SAYS_LOST, k->o->reply.lost);
	if (!created && !moved && !inqud_details_differ(before, after))
		return;
	n = note(k, created ? INQUD_EVENT_CREATED : moved ? INQUD_EVENT_STATUS : INQUD_EVENT_CHANGED,
			 created ? INQUD_SAYS_TEXT : INQUD_SAYS_NOTHING, created ? after->id : NULL);
	n->status_from = before->status;
	n->status_to = after->status;
	n->reason = after->reason;
	if (!created && moved && !inqud_is_final(after->status) && !is_known_open(after->status))
		note(k, INQUD_EVENT_ERROR, INQUD_SAYS_UNKNOWN_STATUS, NULL)->status_to = after->status;
}

/* The first SUCCESS says when it was paid: as Inqud has it, else now. */
static void
note_paid(InqudRecord *after, const InqudCheckout *reply, int64_t now)
{
	if (is_paid(after->is.status) && after->paid_at == 0)
		after->paid_at = reply->updated_at != 0 ? reply->updated_at : now;
}

/* SUCCESS or CONFLICT has come. */
static void
record_money(Case *k)
{
	InqudRecord *after = &k->d->record;

	if (!is_paid(after->is.status) && !is_conflict(after->is.status))
		return;
	k->d->money = true;
	after->holds_money = true;
	note_paid(after, &k->o->reply, k->facts->now);
}

/* Record the answer that d->record already has. */
static void
record_answer(Case *k)
{
	const InqudRecord *c = k->c;
	InqudRecord *after = &k->d->record;
	bool		moved = !inqud_same_text(c->is.status, after->is.status);

	k->d->write = true;
	k->d->keep_reply = true;
	after->fault = INQUD_FAULT_NONE;
	after->state = INQUD_OPEN;
	if (inqud_is_final(after->is.status))
	{
		after->state = INQUD_CLOSED;
		if (moved || c->closed_at == 0)
			after->closed_at = k->facts->now;
	}
	note_change(k);
	if (moved)
		record_money(k);
	if (moved || after->state != c->state)
	{
		drop_siblings(k);
		k->d->tell = true;
	}
}

/* Record an error without ending anything. */
static void
record_error(Case *k)
{
	k->d->write = true;
	k->d->record.fault = k->o->fault;
	k->d->error.what = INQUD_SAYS_TEXT;
	k->d->error.text = k->o->message;
}

static bool
is_same_error(const Case *k)
{
	return inqud_same_text(k->c->error, k->o->message) && k->c->fault == k->o->fault;
}

/* ---- Creates ---- */

/* Does the outcome count as an attempt, after which the call is repeated? */
static bool
is_counted(InqudOutcome outcome)
{
	return outcome == INQUD_UNREACHABLE || outcome == INQUD_UNKNOWN ||
		outcome == INQUD_BAD_REPLY || outcome == INQUD_NOT_FOUND;
}

/* The create will not succeed. */
static void
fail(Case *k, InqudFault fault, InqudSaying why)
{
	InqudDecision *d = k->d;
	bool		canceled = k->c->canceled;

	d->write = true;
	d->error = why;
	d->record.fault = fault;
	d->record.state = canceled ? INQUD_CANCELED : INQUD_FAILED;
	d->queue = INQUD_QUEUE_DELETE;
	note(k, canceled ? INQUD_EVENT_CANCELED : INQUD_EVENT_FAILED, why.what, NULL)->says = why;
	d->tell = true;
}

/* The row takes the answer to its create. */
static void
take_answer(Case *k)
{
	(void) inqud_merge_reply(&k->d->record, &k->o->reply);
	if (k->d->record.is.expires_at == 0)
		k->d->record.is.expires_at = k->o->sent_expires_at;
	record_answer(k);
	follow(k, phase_of(k), tail_of(k));
}

/*
 * The lease of a create is lost: what is recorded stays.  A second id gets a row of
 * its own and is followed, since a payer who has seen it can still pay.
 */
static void
decide_late(Case *k)
{
	bool		recorded = inqud_same_text(k->c->is.id, k->o->reply.id) || k->facts->held_by != 0;
	InqudSaying why;

	k->d->applied = INQUD_APPLIED_GONE;
	if (k->o->outcome != INQUD_OK || recorded)
		return;
	why = mismatch(k);
	if (why.what != INQUD_SAYS_NOTHING)
	{
		why.late = true;
		note(k, INQUD_EVENT_ERROR, why.what, NULL)->says = why;
		return;
	}
	k->d->applied = INQUD_APPLIED_DONE;
	if (k->c->state == INQUD_QUEUED && k->c->is.id == NULL)
		take_answer(k);
	else
		k->d->add_row = true;
}

/* The call is repeated after retry_in; what the account is to blame for does not count as an attempt. */
static void
decide_repeat(Case *k, bool counted)
{
	InqudQueueRow *row = &k->d->row;
	bool		unknown = k->o->outcome == INQUD_UNKNOWN;

	row->lease = 0;
	row->due_at = k->facts->now + k->o->retry_in;
	if (counted)
		row->spent += k->o->retry_in;
	else if (row->attempts > 0)
		row->attempts--;
	k->d->queue = INQUD_QUEUE_PUT;
	/* what was held was never sent: nothing is wrong */
	if (k->o->outcome == INQUD_HELD)
		return;
	if (!is_same_error(k))
		record_error(k);
	if (unknown || !is_same_error(k))
		note(k, INQUD_EVENT_ERROR, unknown ? INQUD_SAYS_REPEATED : INQUD_SAYS_TEXT, k->o->message);
}

static void
decide_create(Case *k)
{
	const InqudEnding *o = k->o;
	bool		counted = is_counted(o->outcome);
	InqudSaying why = {INQUD_SAYS_NOTHING};

	if (!k->q->exists || !k->q->creates || k->q->lease != o->lease)
		decide_late(k);
	else if (o->outcome == INQUD_OK)
	{
		why = mismatch(k);
		if (why.what != INQUD_SAYS_NOTHING)
			fail(k, INQUD_FAULT_MISFIT, why);
		else
			take_answer(k);
	}
	else if (o->outcome == INQUD_REFUSED || k->c->canceled)
	{
		/* canceled meanwhile, and no URL has been shown: it is not sent again */
		bool		said = o->message != NULL && o->message[0] != '\0';

		why.what = said ? INQUD_SAYS_TEXT : INQUD_SAYS_NOT_SENT;
		why.text = o->message;
		fail(k, o->fault, why);
	}
	else if (counted && k->q->spent + o->retry_in > o->retry_for)
	{
		why.what = INQUD_SAYS_GIVEN_UP;
		why.text = o->message;
		why.number = k->q->attempts;
		fail(k, o->fault, why);
	}
	else
		decide_repeat(k, counted);
}

/* ---- Reads ---- */

/*
 * Was another answer recorded since this call was made ready?  Then Inqud's
 * lastUpdatedAt decides, if both answers have it; else the older may be either.
 */
static bool
is_stale(const Case *k)
{
	if (!k->q->exists || k->q->answers == k->o->answers)
		return false;
	if (k->o->reply.updated_at != 0 && k->c->is.updated_at != 0)
		return k->o->reply.updated_at <= k->c->is.updated_at;
	return true;
}

/* Keep the read in the queue as one that was asked for. */
static void
ask_again(Case *k, int64_t delay, int attempts)
{
	k->d->row.asked = true;
	k->d->row.due_at = k->facts->now + delay;
	k->d->row.attempts = attempts;
	k->d->queue = INQUD_QUEUE_PUT;
}

/* How the checkout is followed after a read that left its phase and tail as they are. */
static void
go_on(Case *k)
{
	InqudPhase	phase = k->q->exists ? k->q->phase : INQUD_PHASE_NONE;
	int64_t		tail = k->q->tail_from;

	if (!k->q->exists)
		return;
	/* a row whose last read is done keeps nothing but its poke; then this was its last read again */
	if (phase == INQUD_PHASE_NONE)
		phase = INQUD_PHASE_CHECK;
	if (tail == 0)
		tail = k->c->closed_at != 0 ? k->c->closed_at : k->facts->now;
	follow(k, phase, tail);
}

static void
decide_failed_read(Case *k)
{
	if (!is_same_error(k) && k->o->outcome != INQUD_THROTTLED && k->o->outcome != INQUD_HELD)
	{
		record_error(k);
		note(k, INQUD_EVENT_ERROR, INQUD_SAYS_TEXT, k->o->message);
	}
	/* it was asked for, perhaps by a webhook that does not come again */
	if (k->q->exists && !k->q->creates && k->q->asked && k->o->by_worker)
		ask_again(k, k->o->retry_in, k->q->attempts + 1);
	else
		go_on(k);
}

/* Does this status take back what was said: SUCCESS, else CONFLICT, else an end? */
static bool
takes_back(const InqudRecord *c, const char *status)
{
	if (c->paid_at != 0)
		return !is_paid(status);
	if (c->holds_money || is_conflict(c->is.status))
		return !is_paid(status) && !is_conflict(status);
	return inqud_is_final(c->is.status) && !inqud_is_final(status);
}

/* In what an answer to a read cannot be that of this order.  Where none was ordered, any amount is the payer's choice. */
static InqudSentence
misfit_of_read(const InqudRecord *c, const InqudCheckout *reply)
{
	InqudSentence what = inqud_misfit(c, reply);

	return what == INQUD_SAYS_OTHER_AMOUNT && c->is.fixed_amount == NULL ? INQUD_SAYS_NOTHING : what;
}

/* Note what the answer says against the record; "misfit": against the order. */
static void
note_contradiction(Case *k, InqudSentence misfit)
{
	const InqudCheckout *reply = &k->o->reply;
	const InqudRecord *c = k->c;
	InqudNote  *n = note(k, INQUD_EVENT_ANOMALY, misfit, NULL);

	n->status_from = c->is.status;
	n->status_to = reply->status;
	n->reason = reply->reason;
	n->says.other = reply->status;
	if (misfit != INQUD_SAYS_NOTHING)
		n->says.text = inqud_misfit_text(c, reply, misfit);
	else if (!takes_back(c, reply->status))
		n->says = (InqudSaying) {.what = INQUD_SAYS_OTHER_PAYMENT};
	else if (inqud_is_final(reply->status))
		n->says = (InqudSaying) {INQUD_SAYS_TAKEN_BACK, .text = reply->status,.other = c->paid_at != 0 ? "SUCCESS" : "CONFLICT"};
	else
		n->says = (InqudSaying) {INQUD_SAYS_REOPENED, .text = reply->status,.other = c->is.status};
}

/* The digest of what the answer says against the record; 0 = nothing. */
static int64_t
contradiction_of(const Case *k, InqudSentence misfit)
{
	const InqudCheckout *reply = &k->o->reply;
	bool		amounts = inqud_pays_otherwise(k->c, reply);

	if (misfit == INQUD_SAYS_NOTHING && !amounts && !takes_back(k->c, reply->status))
		return 0;
	return inqud_digest_against(reply, misfit != INQUD_SAYS_NOTHING, amounts);
}

/* Record of an answer that is not applied nothing but that it came. */
static void
leave_answer(Case *k)
{
	k->d->write = true;
	k->d->record.fault = INQUD_FAULT_NONE;
}

static void
decide_news(Case *k, bool news, InqudSentence misfit)
{
	InqudPhase	phase = k->q->exists ? k->q->phase : INQUD_PHASE_NONE;
	const char *after = k->d->record.is.status;
	bool		ended = inqud_is_final(k->c->is.status);
	bool		left = misfit != INQUD_SAYS_NOTHING || (ended && !inqud_is_final(k->o->reply.status));
	bool		watched = left && ended;
	bool		said = k->d->record.contradiction != k->c->contradiction && k->d->record.contradiction != 0;

	if (news || k->c->error != NULL)
	{
		if (left)
			leave_answer(k);
		else
			record_answer(k);
	}
	if (said)
		note_contradiction(k, misfit);
	if (watched && said)
		follow(k, INQUD_PHASE_REOPENED, k->facts->now);	/* from now on closely */
	else if (!watched && (!inqud_same_text(k->c->is.status, after) || phase == INQUD_PHASE_NONE || phase == INQUD_PHASE_REOPENED))
		follow(k, phase_of(k), tail_of(k));
	else if (!inqud_is_final(after))
		follow(k, phase, tail_of(k));
	else
		go_on(k);
}

/*
 * A read that brings nothing new writes nothing.  One that the worker makes because it
 * was asked for does write: its queue row must change.
 */
static bool
is_nothing_new(const Case *k, bool news)
{
	bool		by_clock = k->q->exists && !k->q->creates && !k->q->asked;

	return !news && k->c->error == NULL && (by_clock || !k->o->by_worker);
}

static void
decide_read(Case *k)
{
	InqudSentence misfit;
	bool		news;

	if (k->o->outcome != INQUD_OK)
	{
		decide_failed_read(k);
		return;
	}
	misfit = misfit_of_read(k->c, &k->o->reply);
	k->d->record.contradiction = contradiction_of(k, misfit);
	news = k->d->record.contradiction != k->c->contradiction;
	if (misfit == INQUD_SAYS_NOTHING)
		news |= inqud_merge_reply(&k->d->record, &k->o->reply);
	if (is_nothing_new(k, news))
		k->d->applied = INQUD_APPLIED_SAME;
	else if (!is_stale(k))
		decide_news(k, news, misfit);
	else if (news)
		ask_again(k, 0, k->q->attempts);	/* two answers crossed: ask rather than guess */
	else
		go_on(k);
}

bool
inqud_show_reply(InqudRecord *record, const InqudCheckout *reply, int64_t now)
{
	if (misfit_of_read(record, reply) != INQUD_SAYS_NOTHING)
		return false;
	(void) inqud_merge_reply(record, reply);
	note_paid(record, reply, now);
	return true;
}

/* ---- All of them ---- */

/* The row was added, or chosen, for this answer. */
static void
decide_added(Case *k)
{
	take_answer(k);
	if (k->o->aim == INQUD_AIM_SECOND)
		note(k, INQUD_EVENT_ANOMALY, INQUD_SAYS_SECOND_ANSWER, NULL)->says.number = k->o->second_of;
	else
		note(k, INQUD_EVENT_WEBHOOK, INQUD_SAYS_FOUND, NULL);
	if (k->o->named_order != NULL)
		note(k, INQUD_EVENT_ANOMALY, INQUD_SAYS_FITS_NONE, k->o->named_order);
}

void
inqud_decide(const InqudRecord *checkout, const InqudQueueRow *queue, const InqudEnding *ending,
			 const InqudFacts *facts, InqudDecision *decision)
{
	Case		k = {checkout, queue, ending, facts, decision};

	*decision = (InqudDecision) {.applied = INQUD_APPLIED_DONE,.record = *checkout,.row = *queue};
	switch (ending->aim)
	{
		case INQUD_AIM_READ:
			decide_read(&k);
			break;
		case INQUD_AIM_CREATE:
			decide_create(&k);
			break;
		default:
			decide_added(&k);
	}
}

void
inqud_decide_found(const InqudEnding *ending, int attempts, const char *project_id,
				   const InqudRecord *rows, int n_rows, int waiting, int64_t held_by,
				   InqudFound *found)
{
	const InqudCheckout *reply = &ending->reply;
	bool		ok = ending->outcome == INQUD_OK;
	bool		fits = false;
	int			i;

	memset(found, 0, sizeof(InqudFound));
	found->why = ending->message;
	if (ok && inqud_contradicts(project_id, reply->project_id))
	{
		found->why = "Inqud says that it belongs to another project";
		return;
	}
	if (ending->outcome == INQUD_NOT_FOUND || project_id == NULL || (!ok && attempts >= FOUND_ATTEMPTS))
		return;
	/* a row that has the id already came after the webhook: it is due by itself */
	found->action = ok && held_by == 0 ? INQUD_FOUND_ADD : INQUD_FOUND_LATER;
	for (i = 0; ok && i < n_rows; i++)
		fits |= inqud_misfit(&rows[i], reply) == INQUD_SAYS_NOTHING;
	/* money that does not fit the order must never count as the order's */
	found->foreign = ok && n_rows > 0 && !fits;
	if (ok && waiting >= 0 && held_by == 0 && inqud_misfit(&rows[waiting], reply) == INQUD_SAYS_NOTHING)
	{
		found->action = INQUD_FOUND_TAKE;
		found->take = waiting;
	}
}
