/*-------------------------------------------------------------------------
 *
 * decision.h
 *		What must hold of every decision of lifecycle.c, whatever was recorded and
 *		however the call ended.
 *
 * For the sweep over all combinations and for the fuzzer.  A rule here says less than
 * the code that it judges, and must not be written by looking at it: it stands for a
 * sentence about payments.  Situations that cannot arise are judged, too, so a rule
 * names what it needs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_TEST_DECISION_H
#define INQUD_TEST_DECISION_H

#include "situation.h"

/* A situation, and what was decided. */
typedef struct Judged
{
	const InqudRecord *c;
	const InqudQueueRow *q;
	const InqudEnding *o;
	const InqudFacts *f;
	const InqudDecision *d;
	const InqudDecision *again; /* decided a second time */
} Judged;

/* ---------------------------------------------------------------------
 * Words for what the rules speak of
 * ---------------------------------------------------------------------
 */

static bool
ends(const char *status)
{
	return same(status, "SUCCESS") || same(status, "CONFLICT") || same(status, "EXPIRED");
}

static bool
is_answer(const Judged *j)
{
	return j->o->outcome == INQUD_OK;
}

/* The row was added, or chosen, for this answer. */
static bool
is_for_answer(const Judged *j)
{
	return j->o->aim == INQUD_AIM_SECOND || j->o->aim == INQUD_AIM_FOUND;
}

static bool
is_read(const Judged *j)
{
	return j->o->aim == INQUD_AIM_READ;
}

/* A create that is still this call's. */
static bool
is_own_create(const Judged *j)
{
	return j->o->aim == INQUD_AIM_CREATE && j->q->exists && j->q->creates && j->q->lease == j->o->lease;
}

static bool
is_late_create(const Judged *j)
{
	return j->o->aim == INQUD_AIM_CREATE && !is_own_create(j);
}

/* The answer to a create is not that of this order. */
static bool
is_wrong_answer(const Judged *j)
{
	return j->f->held_by != 0 || inqud_misfit(j->c, &j->o->reply) != INQUD_SAYS_NOTHING;
}

/* An answer is recorded, not an error. */
static bool
records_answer(const Judged *j)
{
	return j->d->write && j->d->keep_reply;
}

static bool
moves_status(const Judged *j)
{
	return j->d->write && !same(j->c->is.status, j->d->record.is.status);
}

/* Another answer was recorded during this call, and Inqud's times do not say that this one is newer. */
static bool
may_be_older(const Judged *j)
{
	int64_t		said = j->o->reply.updated_at;
	int64_t		known = j->c->is.updated_at;

	return is_read(j) && is_answer(j) && j->q->exists && j->q->answers != j->o->answers &&
		(said == 0 || known == 0 || said <= known);
}

/* A read's answer says another order than this one.  Where no amount was ordered, any is the payer's choice. */
static bool
is_of_another(const Judged *j)
{
	InqudSentence what = inqud_misfit(j->c, &j->o->reply);

	return is_read(j) && is_answer(j) && what != INQUD_SAYS_NOTHING &&
		!(what == INQUD_SAYS_OTHER_AMOUNT && j->c->is.fixed_amount == NULL);
}

/* A queue row that is a read's.  A read of what is still to be created cannot be. */
static bool
is_sane_read(const Judged *j)
{
	return is_read(j) && !(j->q->exists && j->q->creates);
}

/* Nothing is recorded, nothing said. */
static bool
is_silent(const Judged *j)
{
	const InqudDecision *d = j->d;

	return !d->write && !d->keep_reply && !d->tell && !d->ask_siblings && d->queue == INQUD_QUEUE_KEEP &&
		d->error.what == INQUD_SAYS_NOTHING && d->n_drop == 0;
}

/* ---------------------------------------------------------------------
 * The record
 * ---------------------------------------------------------------------
 */

static bool
keeps_first(const char *before, const char *after)
{
	return before == NULL || same(before, after);
}

/* The payer's way to pay, once recorded, stays. */
static bool
rule_identity(const Judged *j)
{
	const InqudCheckout *before = &j->c->is;
	const InqudCheckout *after = &j->d->record.is;

	return keeps_first(before->id, after->id) && keeps_first(before->acquiring_url, after->acquiring_url) &&
		keeps_first(before->name, after->name) && keeps_first(before->type, after->type) &&
		keeps_first(before->return_url, after->return_url);
}

/* What was ordered, and who it was for, is never a reply's to change. */
static bool
rule_order(const Judged *j)
{
	const InqudRecord *before = j->c;
	const InqudRecord *after = &j->d->record;

	return after->id == before->id && after->current == before->current && after->canceled == before->canceled &&
		after->made_at == before->made_at && same(after->is.project_id, before->is.project_id) &&
		same(after->is.order_id, before->is.order_id) && same(after->is.fixed_amount, before->is.fixed_amount) &&
		same(after->is.fixed_currency, before->is.fixed_currency);
}

static bool
rule_final(const Judged *j)
{
	return !ends(j->c->is.status) || ends(j->d->record.is.status);
}

/* When it was first paid never changes, and an order that is paid has it. */
static bool
rule_paid_at(const Judged *j)
{
	const InqudRecord *after = &j->d->record;
	bool		first = records_answer(j) && moves_status(j) && same(after->is.status, "SUCCESS") && j->c->paid_at == 0;

	if (!first)
		return after->paid_at == j->c->paid_at;
	return after->paid_at == (j->o->reply.updated_at != 0 ? j->o->reply.updated_at : j->f->now);
}

/* What is recorded of a payment stays. */
static bool
rule_amounts(const Judged *j)
{
	const InqudCheckout *before = &j->c->is;
	const InqudCheckout *after = &j->d->record.is;

	return j->c->paid_at == 0 || (keeps_first(before->pay_amount, after->pay_amount) &&
								  keeps_first(before->pay_currency, after->pay_currency) &&
								  keeps_first(before->pay_blockchain, after->pay_blockchain) &&
								  keeps_first(before->paid_amount, after->paid_amount) &&
								  keeps_first(before->merchant_fee, after->merchant_fee) &&
								  keeps_first(before->processing_amount, after->processing_amount) &&
								  (before->overpaid < 0 || after->overpaid == before->overpaid));
}

/* SUCCESS and CONFLICT hold the order, and the row says from when on; no answer gives it free. */
static bool
rule_holds_money(const Judged *j)
{
	const char *status = j->d->record.is.status;
	bool		comes = records_answer(j) && moves_status(j) && (same(status, "SUCCESS") || same(status, "CONFLICT"));

	return j->d->money == comes && j->d->record.holds_money == (j->c->holds_money || comes);
}

/* Of another order nothing is recorded, and it is said aloud, but not the same twice. */
static bool
rule_of_another(const Judged *j)
{
	if (!is_of_another(j) || may_be_older(j))
		return true;
	return !moves_status(j) && !j->d->keep_reply && !j->d->tell && j->d->record.contradiction != 0 &&
		memcmp(&j->d->record.is, &j->c->is, sizeof(InqudCheckout)) == 0 &&
		(j->d->n_notes == 1) == (j->d->record.contradiction != j->c->contradiction);
}

/* After SUCCESS any other word is an anomaly, after CONFLICT any but SUCCESS; the same again is no news. */
static bool
rule_taken_back(const Judged *j)
{
	const char *said = j->o->reply.status;
	bool		taken = j->c->paid_at != 0 ? !same(said, "SUCCESS") :
		(j->c->holds_money || same(j->c->is.status, "CONFLICT")) && !same(said, "SUCCESS") && !same(said, "CONFLICT");
	int			anomalies = 0;
	int			i;

	if (!is_read(j) || !is_answer(j) || !taken || may_be_older(j))
		return true;
	for (i = 0; i < j->d->n_notes; i++)
		anomalies += j->d->notes[i].kind == INQUD_EVENT_ANOMALY && same(j->d->notes[i].status_to, said);
	return j->d->record.contradiction != 0 && anomalies == (j->d->record.contradiction != j->c->contradiction);
}

/*
 * What Inqud says to be paid is recorded as paid.  Or it is asked again, when another
 * answer crossed this one; or it is said aloud, when it is not that of this order;
 * or the row that it belongs to is another one.
 */
static bool
rule_money(const Judged *j)
{
	const InqudDecision *d = j->d;

	if (!is_answer(j) || !same(j->o->reply.status, "SUCCESS"))
		return true;
	if (same(d->record.is.status, "SUCCESS") && (d->write || same(j->c->is.status, "SUCCESS")))
		return true;
	if (is_of_another(j) && !may_be_older(j))
		return d->record.contradiction != 0;
	if (is_read(j))
		return may_be_older(j) && ((d->queue == INQUD_QUEUE_PUT && d->row.asked && d->row.due_at == j->f->now) ||
								   d->record.contradiction == j->c->contradiction);
	if (is_own_create(j))
		return is_wrong_answer(j) && d->record.fault == INQUD_FAULT_MISFIT && d->tell;
	return d->add_row || j->f->held_by != 0 || same(j->c->is.id, j->o->reply.id) ||
		(is_wrong_answer(j) && d->n_notes == 1);
}

/* What may be older than what is recorded is not recorded. */
static bool
rule_stale(const Judged *j)
{
	return !may_be_older(j) || (!j->d->write && !j->d->tell && j->d->n_notes == 0);
}

/* A row has ended when its status has, and an answer takes all errors away. */
static bool
rule_state(const Judged *j)
{
	const InqudRecord *after = &j->d->record;

	if (!records_answer(j))
		return true;
	if (after->fault != INQUD_FAULT_NONE || j->d->error.what != INQUD_SAYS_NOTHING)
		return false;
	return after->state == (ends(after->is.status) ? INQUD_CLOSED : INQUD_OPEN);
}

/* It has ended when its status changed to the final one that it has. */
static bool
rule_closed_at(const Judged *j)
{
	const InqudRecord *after = &j->d->record;

	if (!records_answer(j) || !ends(after->is.status))
		return after->closed_at == j->c->closed_at;
	if (moves_status(j) || j->c->closed_at == 0)
		return after->closed_at == j->f->now;
	return after->closed_at == j->c->closed_at;
}

/* A call that failed says nothing about the checkout. */
static bool
rule_failed_call(const Judged *j)
{
	if (is_answer(j) || is_for_answer(j))
		return true;
	return !j->d->keep_reply && memcmp(&j->d->record.is, &j->c->is, sizeof(InqudCheckout)) == 0;
}

/* What was not sent, or is to be sent a little later, is no error. */
static bool
rule_no_error(const Judged *j)
{
	bool		quiet = j->o->outcome == INQUD_HELD || (is_read(j) && j->o->outcome == INQUD_THROTTLED);

	if (!quiet || is_for_answer(j) || j->d->queue == INQUD_QUEUE_DELETE)
		return true;
	return !j->d->write && j->d->n_notes == 0;
}

/* ---------------------------------------------------------------------
 * Creates
 * ---------------------------------------------------------------------
 */

/* The URL of another order's checkout is never shown. */
static bool
rule_wrong_answer(const Judged *j)
{
	if (!is_own_create(j) || !is_answer(j) || !is_wrong_answer(j))
		return true;
	return j->d->queue == INQUD_QUEUE_DELETE && same(j->d->record.is.id, j->c->is.id) &&
		same(j->d->record.is.status, j->c->is.status) && !j->d->keep_reply;
}

/* A late answer never takes the place of what is recorded; a second id gets a row. */
static bool
rule_late_create(const Judged *j)
{
	const InqudDecision *d = j->d;
	bool		known = j->f->held_by != 0 || same(j->c->is.id, j->o->reply.id);
	bool		waits = j->c->state == INQUD_QUEUED && j->c->is.id == NULL;

	if (!is_late_create(j))
		return true;
	if (!is_answer(j) || known)
		return d->applied == INQUD_APPLIED_GONE && is_silent(j) && d->n_notes == 0 && !d->add_row;
	if (is_wrong_answer(j))
		return d->applied == INQUD_APPLIED_GONE && is_silent(j) && d->n_notes == 1 && d->notes[0].says.late && !d->add_row;
	return d->add_row == !waits && d->write == waits;
}

/* For a row of its own nothing is decided but that. */
static bool
rule_add_row(const Judged *j)
{
	return !j->d->add_row || (is_silent(j) && j->d->n_notes == 0 && j->d->applied == INQUD_APPLIED_DONE);
}

/* A create ends without an answer when it is refused, canceled, or was retried long enough. */
static bool
rule_giving_up(const Judged *j)
{
	InqudOutcome o = j->o->outcome;
	bool		counted = o == INQUD_UNREACHABLE || o == INQUD_UNKNOWN || o == INQUD_BAD_REPLY || o == INQUD_NOT_FOUND;
	bool		over = counted && j->q->spent + j->o->retry_in > j->o->retry_for;

	if (!is_own_create(j) || is_answer(j))
		return true;
	if (o == INQUD_REFUSED || j->c->canceled || over)
		return j->d->queue == INQUD_QUEUE_DELETE;
	return j->d->queue == INQUD_QUEUE_PUT && j->d->row.creates && j->d->row.lease == 0 &&
		j->d->row.due_at == j->f->now + j->o->retry_in &&
		j->d->row.spent == j->q->spent + (counted ? j->o->retry_in : 0) &&
		j->d->row.attempts == j->q->attempts - (!counted && j->q->attempts > 0);
}

/* Only what failed or was canceled leaves the queue, and whoever waits for it is told. */
static bool
rule_leaving(const Judged *j)
{
	InqudState	end = j->c->canceled ? INQUD_CANCELED : INQUD_FAILED;

	if (j->d->queue != INQUD_QUEUE_DELETE)
		return j->d->record.state == j->c->state || records_answer(j);
	return is_own_create(j) && j->d->write && j->d->tell && !j->d->keep_reply && j->d->record.state == end &&
		j->d->error.what != INQUD_SAYS_NOTHING && j->d->n_notes == 1;
}

/* ---------------------------------------------------------------------
 * The queue row
 * ---------------------------------------------------------------------
 */

/* Whatever was answered is followed. */
static bool
rule_followed(const Judged *j)
{
	const InqudQueueRow *row = &j->d->row;

	if (!records_answer(j))
		return true;
	return j->d->queue == INQUD_QUEUE_PUT && row->exists && !row->creates && row->lease == 0 &&
		row->phase != INQUD_PHASE_NONE && row->spent == 0;
}

/* No row is lost by a read, and none comes from nothing. */
static bool
rule_row_stays(const Judged *j)
{
	if (j->d->queue == INQUD_QUEUE_PUT)
		return j->d->row.exists;
	return j->d->queue != INQUD_QUEUE_DELETE || j->o->aim == INQUD_AIM_CREATE;
}

/* An answer that is recorded counts, so that another one that is under way is seen to be older. */
static bool
rule_counted(const Judged *j)
{
	int			more = j->d->row.answers - j->q->answers;

	return more == 0 || more == 1 ? more == 1 || !records_answer(j) : false;
}

/* After a read that brought nothing new, one that was asked for meanwhile waits so long. */
#define QUIET (3 * INT64_C(1000000))

/* A request for a read that came during this one is not lost, nor is its count. */
static bool
rule_poke(const Judged *j)
{
	if (j->d->row.poke != j->q->poke)
		return false;
	if (!is_sane_read(j) || !j->q->exists || !j->q->asked || j->q->poke == j->o->poke)
		return true;
	return j->d->applied == INQUD_APPLIED_SAME || (j->d->row.asked &&
												   j->d->row.due_at <= j->f->now + (!is_answer(j) ? j->o->retry_in : j->d->write ? 0 : QUIET));
}

/* A read that was asked for and failed is asked for until it succeeds, by the worker that has it. */
static bool
rule_asked(const Judged *j)
{
	if (!is_sane_read(j) || is_answer(j) || !j->q->exists || !j->q->asked || !j->o->by_worker)
		return true;
	return j->d->queue == INQUD_QUEUE_PUT && j->d->row.asked && j->d->row.attempts == j->q->attempts + 1 &&
		j->d->row.due_at == j->f->now + j->o->retry_in;
}

/* The worker must come to know of what a session has recorded. */
static bool
rule_session(const Judged *j)
{
	return j->o->by_worker || !records_answer(j) || j->d->row.asked;
}

/* The phase fits the status that has just changed. */
static bool
rule_phase(const Judged *j)
{
	InqudPhase	phase = j->d->row.phase;
	const char *status = j->d->record.is.status;

	if (!moves_status(j))
		return true;
	if (!ends(status))
		return phase == (same(status, "NEW") ? INQUD_PHASE_NEW : INQUD_PHASE_ACTIVE);
	if (j->d->row.tail_from != j->f->now)
		return false;
	return phase == INQUD_PHASE_CHECK || (phase == INQUD_PHASE_LATE && same(status, "EXPIRED"));
}

/* ---------------------------------------------------------------------
 * What is said
 * ---------------------------------------------------------------------
 */

static bool
rule_tell(const Judged *j)
{
	bool		changes = j->d->write && (moves_status(j) || j->d->record.state != j->c->state);

	return j->d->tell == (changes || j->d->queue == INQUD_QUEUE_DELETE);
}

static bool
is_good_anomaly(const Judged *j, const InqudNote *note)
{
	switch (note->says.what)
	{
		case INQUD_SAYS_SECOND_ANSWER:
			return note->says.number == j->o->second_of && j->o->aim == INQUD_AIM_SECOND;
		case INQUD_SAYS_REOPENED:
			return ends(note->status_from) && !ends(note->status_to) && is_read(j) &&
				same(note->says.text, j->o->reply.status) && same(note->says.other, j->c->is.status);
		case INQUD_SAYS_TAKEN_BACK:
			return is_read(j) && ends(note->status_to) && same(note->says.text, j->o->reply.status) &&
				same(note->says.other, j->c->paid_at != 0 ? "SUCCESS" : "CONFLICT");
		case INQUD_SAYS_OTHER_PAYMENT:
			return is_read(j) && j->c->paid_at != 0 && same(j->o->reply.status, "SUCCESS");
		case INQUD_SAYS_OTHER_ORDER:
		case INQUD_SAYS_OTHER_PROJECT:
		case INQUD_SAYS_OTHER_TYPE:
		case INQUD_SAYS_OTHER_AMOUNT:
			return is_of_another(j) && note->says.text != NULL && same(note->says.other, j->o->reply.status);
		case INQUD_SAYS_FITS_NONE:
			return note->says.text == j->o->named_order && note->says.text != NULL;
		default:
			return false;
	}
}

/* An error has a sentence, and the words of the call where it quotes them. */
static bool
is_good_error(const Judged *j, const InqudNote *note)
{
	switch (note->says.what)
	{
		case INQUD_SAYS_TEXT:
		case INQUD_SAYS_REPEATED:
			return note->says.text == j->o->message;
		case INQUD_SAYS_LOST:
			return note->says.text != NULL;
		case INQUD_SAYS_NOTHING:
			return false;
		default:
			return true;
	}
}

static bool
is_good_note(const Judged *j, const InqudNote *note)
{
	const InqudCheckout *after = &j->d->record.is;
	bool		of_change = same(note->status_from, j->c->is.status) && same(note->status_to, after->status) &&
		same(note->reason, after->reason);

	switch (note->kind)
	{
		case INQUD_EVENT_CREATED:
			return of_change && j->c->is.id == NULL && note->says.what == INQUD_SAYS_TEXT && same(note->says.text, after->id);
		case INQUD_EVENT_STATUS:
			return of_change && !same(note->status_from, note->status_to);
		case INQUD_EVENT_CHANGED:
			return of_change && same(note->status_from, note->status_to);
		case INQUD_EVENT_WEBHOOK:
			return note->says.what == INQUD_SAYS_FOUND && j->o->aim == INQUD_AIM_FOUND;
		case INQUD_EVENT_ERROR:
			return is_good_error(j, note);
		case INQUD_EVENT_FAILED:
		case INQUD_EVENT_CANCELED:
			return note->says.what != INQUD_SAYS_NOTHING && (note->kind == INQUD_EVENT_CANCELED) == j->c->canceled;
		case INQUD_EVENT_ANOMALY:
			return is_good_anomaly(j, note);
	}
	return false;
}

static bool
rule_notes(const Judged *j)
{
	int			i;

	if (j->d->n_notes < 0 || j->d->n_notes > INQUD_MAX_NOTES)
		return false;
	for (i = 0; i < j->d->n_notes; i++)
	{
		if (!is_good_note(j, &j->d->notes[i]))
			return false;
	}
	return true;
}

/* A status never changes without a row of the history that says so. */
static bool
rule_history(const Judged *j)
{
	int			changes = 0;
	int			i;

	for (i = 0; i < j->d->n_notes; i++)
		changes += j->d->notes[i].kind == INQUD_EVENT_CREATED || j->d->notes[i].kind == INQUD_EVENT_STATUS ||
			j->d->notes[i].kind == INQUD_EVENT_CHANGED;
	return changes <= 1 && (changes == 1 || !moves_status(j));
}

/* What waits to be sent for the order is asked for once it is paid, and no other time. */
static bool
rule_siblings(const Judged *j)
{
	const InqudDecision *d = j->d;
	bool		given = records_answer(j) && d->tell && same(d->record.is.status, "SUCCESS") && !j->f->alone;
	int			n = given && j->f->unsent != NULL ? j->f->n_unsent : 0;
	int			i;

	if (n > INQUD_MAX_SIBLINGS)
		n = INQUD_MAX_SIBLINGS;
	for (i = 0; i < n && i < d->n_drop; i++)
	{
		if (d->drop[i] != j->f->unsent[i])
			return false;
	}
	return d->ask_siblings == (given && j->f->unsent == NULL) && d->n_drop == n;
}

/* ---------------------------------------------------------------------
 * All of it
 * ---------------------------------------------------------------------
 */

/* A read of what is known writes nothing. */
static bool
rule_same(const Judged *j)
{
	return j->d->applied != INQUD_APPLIED_SAME ||
		(is_silent(j) && j->d->n_notes == 0 && !j->d->add_row && is_read(j) && is_answer(j));
}

/* Nothing is written by two calls alike that come one after the other, but for what was asked for. */
static bool
rule_applied(const Judged *j)
{
	switch (j->d->applied)
	{
		case INQUD_APPLIED_DONE:
		case INQUD_APPLIED_SAME:
			return true;
		case INQUD_APPLIED_GONE:
			return is_late_create(j) && is_silent(j) && !j->d->add_row;
		default:
			return false;
	}
}

static bool
is_same_saying(const InqudSaying *a, const InqudSaying *b)
{
	return a->what == b->what && a->late == b->late && a->text == b->text && a->other == b->other && a->number == b->number;
}

static bool
is_same_note(const InqudNote *a, const InqudNote *b)
{
	return a->kind == b->kind && is_same_saying(&a->says, &b->says) && a->of_reply == b->of_reply &&
		a->status_from == b->status_from && a->status_to == b->status_to && a->reason == b->reason;
}

/* What memory held before makes no difference. */
static bool
rule_deterministic(const Judged *j)
{
	const InqudDecision *a = j->d;
	const InqudDecision *b = j->again;
	int			i;

	if (a->applied != b->applied || a->write != b->write || a->keep_reply != b->keep_reply ||
		a->queue != b->queue || a->tell != b->tell || a->n_notes != b->n_notes || a->n_drop != b->n_drop ||
		a->add_row != b->add_row || a->money != b->money || a->ask_siblings != b->ask_siblings || !is_same_saying(&a->error, &b->error))
		return false;
	for (i = 0; i < a->n_notes; i++)
	{
		if (!is_same_note(&a->notes[i], &b->notes[i]))
			return false;
	}
	return memcmp(&a->record.is, &b->record.is, sizeof(a->record.is)) == 0 && a->record.state == b->record.state &&
		a->record.fault == b->record.fault && a->record.closed_at == b->record.closed_at &&
		a->record.paid_at == b->record.paid_at && a->record.holds_money == b->record.holds_money &&
		a->record.contradiction == b->record.contradiction &&
		memcmp(&a->row, &b->row, sizeof(a->row)) == 0 && memcmp(a->drop, b->drop, sizeof(a->drop[0]) * a->n_drop) == 0;
}

static const struct
{
	bool		(*holds) (const Judged *j);
	const char *name;
}			rules[] =
{
	{rule_identity, "an id or URL that is recorded never changes"},
	{rule_order, "what was ordered never changes"},
	{rule_final, "no status that is not final follows one that is"},
	{rule_money, "what is paid is recorded, asked again or said aloud"},
	{rule_paid_at, "when it was paid never changes"},
	{rule_amounts, "what was paid never changes"},
	{rule_holds_money, "SUCCESS and CONFLICT hold the order"},
	{rule_of_another, "nothing is recorded of another order, and it is said once"},
	{rule_taken_back, "what is said after SUCCESS or CONFLICT is an anomaly, once"},
	{rule_stale, "what may be older is not recorded"},
	{rule_state, "the state follows the status, and an answer takes errors away"},
	{rule_closed_at, "the end is the moment of the final status"},
	{rule_failed_call, "a call that failed changes nothing of what Inqud said"},
	{rule_no_error, "what is put off is no error"},
	{rule_wrong_answer, "the answer of another order is not shown"},
	{rule_late_create, "a late answer takes nothing's place"},
	{rule_add_row, "nothing else is decided when a row is to be added"},
	{rule_giving_up, "a create is repeated, until it may not be"},
	{rule_leaving, "only what failed or was canceled leaves the queue, and is told"},
	{rule_followed, "whatever was answered is followed"},
	{rule_row_stays, "no row is lost by a read"},
	{rule_counted, "each answer that is recorded counts once"},
	{rule_poke, "a request that came during the read is not lost"},
	{rule_asked, "a read that was asked for is repeated when it fails"},
	{rule_session, "the worker is made to look at what a session has recorded"},
	{rule_phase, "the phase fits a status that has changed"},
	{rule_tell, "the shop is told when state or status changes, and no other time"},
	{rule_notes, "the history has a sentence where it needs one, and room for all"},
	{rule_history, "the history says each change of status, once"},
	{rule_siblings, "other rows of a paid order are looked at, and not sent"},
	{rule_same, "nothing new means that nothing is written"},
	{rule_applied, "a result has a word that a decision may give"},
	{rule_deterministic, "what memory held before makes no difference"},
};

#define N_RULES ((int) (sizeof(rules) / sizeof(rules[0])))

/* Decide twice, into memory of other content.  False when an argument was changed. */
static bool
decide_twice(const Situation *s, InqudDecision decisions[2])
{
	Situation	before;

	memcpy(&before, s, sizeof(before));
	memset(&decisions[0], 0, sizeof(decisions[0]));
	memset(&decisions[1], 0xa5, sizeof(decisions[1]));
	inqud_decide(&s->c, &s->q, &s->o, &s->f, &decisions[0]);
	inqud_decide(&s->c, &s->q, &s->o, &s->f, &decisions[1]);
	return memcmp(&before, s, sizeof(before)) == 0;
}

/* The first rule that does not hold; -1 if all do. */
static int
broken_rule(const Situation *s, const InqudDecision decisions[2])
{
	Judged		j = {&s->c, &s->q, &s->o, &s->f, &decisions[0], &decisions[1]};
	int			i;

	for (i = 0; i < N_RULES; i++)
	{
		if (!rules[i].holds(&j))
			return i;
	}
	return -1;
}

#endif							/* INQUD_TEST_DECISION_H */
