/*-------------------------------------------------------------------------
 *
 * record.c
 *		Records outcomes of calls: the one writer, for creates, reads and ids that
 *		webhooks named, for sessions and the worker.
 *
 * All outcomes of a batch go together.  The rows are looked up and locked,
 * client/lifecycle.c decides what each outcome means, and what has changed is written
 * with one statement a table.  The row of a read that may have brought nothing new is
 * locked only when there is something to write, and decided on anew.  A row that is
 * locked elsewhere is not waited for.
 *
 * This file must not decide what an outcome means.
 *
 *-------------------------------------------------------------------------
 */
#include "shared/shared.h"

#include "utils/timestamp.h"

/* Of outcomes of one order, so many are recorded now; the others are left for later. */
#define MAX_ROUNDS 10

/* ---- Deciding ---- */

/* Entries of one order or one id follow each other, since each must see what the one before has written. */
static bool
must_wait(Entry **entries, int i)
{
	int			j;

	for (j = 0; j < i; j++)
	{
		if (!entries[j]->waits &&
			(entries[j]->item->target == entries[i]->item->target ||
			 (entries[i]->order_hash != 0 && entries[j]->order_hash == entries[i]->order_hash) ||
			 (entries[i]->id_hash != 0 && entries[j]->id_hash == entries[i]->id_hash)))
			return true;
	}
	return false;
}

/* A row that a webhook's id was to go into has got another one: look for a row again. */
static bool
is_taken(const Entry *e)
{
	return e->item->ending.aim == INQUD_AIM_FOUND &&
		(!e->present || e->record.is.id != NULL ||
		 (e->record.state != INQUD_QUEUED && e->record.state != INQUD_FAILED));
}

/* Add the row for a second answer to a create, and aim at it. */
static void
add_second_row(Entry *e)
{
	static InqudStatement statement = {"SELECT inqud._add_second($1)", "int8"};
	InqudEnding *ending = &e->item->ending;
	Datum		id = Int64GetDatum(e->item->target);

	inqud_execute(&statement, &id, NULL);
	ending->second_of = e->item->target;
	ending->aim = INQUD_AIM_SECOND;
	e->item->target = inqud_first_int8(1);
}

static bool
is_nothing_to_write(const InqudDecision *d)
{
	return !d->write && d->queue == INQUD_QUEUE_KEEP && d->n_notes == 0;
}

/* Decide on one entry, and finish it when there is nothing to write. */
static void
decide(Entry *e)
{
	InqudDecision *d = &e->decision;

	if (!e->present)
	{
		inqud_finish(e, INQUD_APPLIED_GONE);
		return;
	}
	inqud_decide(&e->record, &e->queue, &e->item->ending, &e->facts, d);
	if (d->ask_siblings)
	{
		inqud_look_up_siblings(e);
		inqud_decide(&e->record, &e->queue, &e->item->ending, &e->facts, d);
	}
	e->item->checkout = e->item->target;
	e->item->row = d->row;
	if (d->queue == INQUD_QUEUE_DELETE)
		e->item->row.exists = false;
	if (d->add_row && e->locked)
		add_second_row(e);
	else if (!d->add_row && is_nothing_to_write(d))
		inqud_finish(e, d->applied);
	else if (e->locked)
		return;
	else if (e->to_lock)
		inqud_finish(e, INQUD_APPLIED_LOCKED);
	e->to_lock = e->waits = true;
}

/* ---- All of it ---- */

/* The entries that are still to be recorded and have a row; returns how many. */
static int
take_pending(Entry *all, int n, Entry **entries, int64 now)
{
	int			taken = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		Entry	   *e = &all[i];

		if (e->pending && e->inbox != 0 && e->item->target < 0)
			inqud_find_row(e, now);
		if (e->pending)
			entries[taken++] = e;
	}
	return taken;
}

/* One round: look up, decide, write.  What has to wait or must be locked first is left pending. */
static void
record_round(Entry **entries, int n, int64 now)
{
	Entry	  **writes = palloc(sizeof(Entry *) * n);
	int			n_writes = 0;
	int			i;

	inqud_look_up(entries, n, now);
	for (i = 0; i < n; i++)
	{
		Entry	   *e = entries[i];

		if (is_taken(e))
		{
			e->item->target = -e->inbox;
			e->waits = true;
			continue;
		}
		e->waits = must_wait(entries, i);
		if (!e->waits)
			decide(e);
		if (!e->waits && e->pending)
			writes[n_writes++] = e;
	}
	if (n_writes > 0)
		inqud_write_entries(writes, n_writes);
}

void
inqud_record(InqudRecording *items, int n)
{
	Entry	   *all = palloc0(sizeof(Entry) * n);
	Entry	  **entries = palloc(sizeof(Entry *) * n);
	int64		now = inqud_to_unix(GetCurrentTimestamp());
	int			rounds;
	int			i;

	for (i = 0; i < n; i++)
	{
		all[i].item = &items[i];
		all[i].pending = true;
		all[i].to_lock = !items[i].perhaps_same;
		if (items[i].ending.aim == INQUD_AIM_FOUND)
			all[i].inbox = -items[i].target;
		items[i].applied = INQUD_APPLIED_LOCKED;
	}
	for (rounds = 0; rounds < MAX_ROUNDS; rounds++)
	{
		int			pending = take_pending(all, n, entries, now);

		if (pending == 0)
			return;
		record_round(entries, pending, now);
	}
	/* what was added for an answer must not stay without it */
	for (i = 0; i < n; i++)
	{
		if (all[i].pending && items[i].ending.aim >= INQUD_AIM_SECOND)
			elog(ERROR, "could not record what was found of checkout " INT64_FORMAT, items[i].target);
	}
}
