/*-------------------------------------------------------------------------
 *
 * record.c
 *		Writes the outcomes of calls back into the tables.
 *
 * Outcomes are written in batches of at most 128, each in one transaction that is
 * flushed, so a URL is visible only after it is safe.  If the transaction fails,
 * even at its commit, each outcome is written again in a transaction of its own.
 * One that fails alone stays in memory and is retried later, and does not hold up
 * the others.
 *
 * A read whose reply has the same hash as the last one needs no transaction.
 * There must be no transaction, snapshot or lock open after a function here.
 *
 *-------------------------------------------------------------------------
 */
#include "worker/state.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

/* Outcomes in one transaction at most; with so many the flush costs little for each. */
#define BATCH 128

/* The queue row of a checkout whose last read is done stays so long, see inqud._read_from. */
#define SETTLED_US (4 * USECS_PER_SEC)

/* Large replies may be read for so long before the rest of the turn comes; others of this turn wait for the next. */
#define COLLECT_US (20 * 1000)

/* An outcome whose row another session has locked is written again after this long. */
#define LOCKED_US (200 * 1000)

/* A read whose row was locked is made again after this long. */
#define READ_AGAIN_US USECS_PER_SEC

/* Before an outcome that could not be written is tried again: the first delay, and how often it is doubled. */
#define FAILED_US (200 * 1000)
#define MAX_DOUBLINGS 6

/* ---- Judging ---- */

/* False when the worker is to leave, which need not wait for a large reply to be read. */
static bool
may_go_on(void)
{
	return !ProcDiePending && !worker.slot->leave;
}

/*
 * Read the reply of a call that has ended, and fill in its outcome and when to try again.
 * Begins or ends the pause of the credentials.
 */
static void
judge(InqudCall *call)
{
	ProjectState *state = call->state;

	if (!inqud_call_judge(call, inqud_backoff(call->project, state->throttled + 1), may_go_on))
	{
		inqud_cut_off(call);
		return;
	}
	inqud_call_end_transfer(call);
	if (call->outcome == INQUD_THROTTLED)
	{
		state->throttled = Min(state->throttled + 1, 30);
		return;
	}
	if (call->outcome == INQUD_BLOCKED)
	{
		inqud_database_error(worker.slot, call->message);
		return;
	}
	if (call->outcome == INQUD_OK || call->outcome == INQUD_REFUSED)
		state->throttled = 0;
	if (call->outcome == INQUD_OK)
		inqud_unpause(call->project);
	else if (call->outcome == INQUD_AUTH || call->outcome == INQUD_ROUTE)
		call->retry_in_ms = inqud_pause(call);
	else
		call->retry_in_ms = inqud_backoff(call->project, Max(call->attempts + (call->kind != INQUD_KIND_CREATE), 1));
}

/*
 * After an answer: schedule the next read, or unfollow the checkout if this was the
 * last read of its plan.  Its queue row is deleted later (write_settled): it says that
 * the checkout has just been read, to those who ask for a read.
 */
static void
schedule_next(const InqudCall *call, Followed *followed)
{
	MemoryContext old;
	Settled    *settled;

	if (inqud_schedule(followed, call->kind == INQUD_KIND_CREATE ? 0 : call->started))
		return;
	/* a list, since an array asks the catalogue, and there is no transaction here */
	old = MemoryContextSwitchTo(worker.context);
	settled = palloc(sizeof(Settled));
	settled->id = followed->id;
	settled->until = inqud_clock_us() + SETTLED_US;
	worker.settled = lappend(worker.settled, settled);
	MemoryContextSwitchTo(old);
	inqud_unfollow(followed->id);
}

/*
 * True if a read brought the same reply as the last one, so that nothing needs
 * to be written.
 */
static bool
is_unchanged(const InqudCall *call, const Followed *followed)
{
	return call->kind != INQUD_KIND_CREATE && !call->asked && followed != NULL &&
		followed->attempts == 0 && followed->hash != 0 &&
		call->outcome == INQUD_OK &&
		inqud_reply_hash(call->reply) == followed->hash;
}

void
inqud_collect_ended(void)
{
	InqudClock	until = inqud_clock_us() + COLLECT_US;
	InqudTransfer *transfer;

	/* the engine has its deadline now while more have ended */
	while (inqud_clock_us() < until && (transfer = inqud_engine_done(worker.engine)) != NULL)
	{
		InqudCall  *call = inqud_transfer_owner(transfer);
		Followed   *followed = inqud_followed(call->checkout);

		dlist_delete(&call->node);
		call->state->in_flight--;
		worker.n_in_flight--;
		inqud_state_count_ended(call->state);
		judge(call);
		if (is_unchanged(call, followed))
		{
			schedule_next(call, followed);
			inqud_drop_call(call);
		}
		else
			inqud_finish_call(call);
	}
}

/* ---- Writing ---- */

/* In the last transaction of write_calls the tables could be locked: they are not held by a CREATE INDEX. */
static bool tables_locked = false;

/* Write n outcomes in one transaction; items[i] says what became of that of calls[i]. */
static void
write_calls(InqudCall **calls, int n, InqudRecording *items)
{
	InqudRole	role;
	int			i;

	tables_locked = false;
	inqud_worker_begin(&role, COMMIT_DURABLE);
	tables_locked = true;
	for (i = 0; i < n; i++)
		inqud_recording_of(&items[i], calls[i], true);
	inqud_record(items, n);
	inqud_worker_commit(&role);
}

/*
 * After an outcome was written: a queue row that the schedule does not know says
 * when it is due.
 */
static void
note_queue_row(ProjectState *state, const InqudRecording *item)
{
	if (item->later)
		inqud_due_earlier(&state->found_due, GetCurrentTimestamp() + item->ending.retry_in);
	else if (item->row.exists && item->row.creates)
		inqud_due_earlier(&state->create_due, inqud_from_unix(item->row.due_at));
	else if (item->row.exists && item->row.asked)
		inqud_due_earlier(&state->asked_due, inqud_from_unix(item->row.due_at));
}

/* Follow the checkout of an outcome that was written, as its queue row says. */
static void
follow_as_written(InqudCall *call, const InqudRecording *item)
{
	Followed   *followed;

	if (!item->row.exists || item->row.creates || item->row.asked)
	{
		/* 0: the checkout is gone */
		inqud_unfollow(item->checkout != 0 ? item->checkout : call->checkout);
		return;
	}
	followed = inqud_follow(item->checkout, call->state, item->row.phase,
							inqud_clock_of(inqud_from_unix(item->row.tail_from)));
	followed->busy = false;
	if (call->outcome == INQUD_OK)
	{
		followed->attempts = 0;
		followed->hash = inqud_reply_hash(call->reply);
		schedule_next(call, followed);
	}
	else
	{
		followed->attempts = Min(followed->attempts + 1, 30);
		followed->hash = 0;
		inqud_schedule_at(followed, inqud_clock_us() + call->retry_in_ms * 1000);
	}
}

/* Write this outcome again after so many microseconds; others are written meanwhile. */
static void
retry_write_later(InqudCall *call, int64 usec)
{
	call->retry_at = inqud_clock_us() + usec;
	inqud_finish_call(call);
}

/*
 * Another session has the row of this outcome locked.  A read by the clock is made again,
 * since rows can be locked for long, and answers take memory.
 */
static void
wait_for_lock(InqudCall *call)
{
	Followed   *followed = inqud_followed(call->checkout);

	if (call->kind == INQUD_KIND_READ && !call->asked && followed != NULL)
	{
		(void) inqud_write_done(call);
		inqud_schedule_at(followed, inqud_clock_us() + READ_AGAIN_US);
		inqud_drop_call(call);
		return;
	}
	call->locked = true;
	inqud_alone_ended(call);
	retry_write_later(call, LOCKED_US);
}

/* An outcome that had failed was written: try the others that have failed now. */
static void
retry_failed_now(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &worker.finished)
	{
		InqudCall  *call = dlist_container(InqudCall, node, iter.cur);

		if (call->failures > 0)
			call->retry_at = Min(call->retry_at, inqud_clock_us());
	}
}

/*
 * This outcome was written, in a transaction that began later than that: update the
 * schedule and free the call, or retry if the row is locked.
 */
static void
outcome_written(InqudCall *call, const InqudRecording *item, TimestampTz began)
{
	if (item->applied == INQUD_APPLIED_LOCKED)
	{
		wait_for_lock(call);
		return;
	}
	if (inqud_write_done(call))
		retry_failed_now();
	/* a row of the inbox is followed under its negative id until its checkout is recorded */
	if (call->kind == INQUD_KIND_FOUND)
		inqud_unfollow(call->checkout);
	/* another session has recorded the answer to this create: following stays as it is */
	if (call->kind != INQUD_KIND_CREATE || item->applied != INQUD_APPLIED_GONE)
	{
		note_queue_row(call->state, item);
		follow_as_written(call, item);
	}
	/* writing may have queued a call of on_status, due since then at the earliest */
	if (item->told && call->state->on_status)
		inqud_due_earlier(&call->state->call_due, began);
	inqud_drop_call(call);
}

/* Log the error that is being handled, if it is not said again and again, and return its message. */
static char *
report_error(void)
{
	char	   *message = CopyErrorData()->message;

	if (inqud_may_log(message))
		EmitErrorReport();
	return message;
}

/*
 * Write n outcomes in one transaction.  When that failed it was rolled back, and the
 * result is false; one that was alone is noted as failed, and the error logged.  So are
 * all when the tables could not be locked, since each would wait for that again.
 */
static bool
try_write(InqudCall **calls, int n, InqudRecording *items)
{
	volatile bool ok = false;
	int			i;

	PG_TRY();
	{
		write_calls(calls, n, items);
		ok = true;
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(worker.turn);
		if (n == 1 || !tables_locked)
		{
			char	   *message = report_error();

			for (i = 0; i < n; i++)
				inqud_write_failed(calls[i], message);
		}
		FlushErrorState();
		AbortOutOfAnyTransaction();
		MemoryContextSwitchTo(worker.turn);
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	return ok;
}

/* The write has failed: retry after 200 ms, then after twice as long each time, up to 12.8 s. */
static void
retry_failed(InqudCall *call)
{
	inqud_alone_ended(call);
	retry_write_later(call, (int64) FAILED_US << Min(call->failures - 1, MAX_DOUBLINGS));
}

static void
write_alone(InqudCall *call, TimestampTz began)
{
	InqudRecording item;

	if (try_write(&call, 1, &item))
		outcome_written(call, &item, began);
	else
		retry_failed(call);
}

/*
 * A scheduled read that was held before it was sent leaves nothing to write:
 * schedule it again, free the call and return true.
 */
static bool
skip_unmade_read(InqudCall *call)
{
	Followed   *followed;

	if (call->kind == INQUD_KIND_CREATE || call->asked ||
		call->outcome != INQUD_HELD)
		return false;
	followed = inqud_followed(call->checkout);
	if (followed)
		inqud_schedule_at(followed, inqud_clock_us() + call->retry_in_ms * 1000);
	inqud_drop_call(call);
	return true;
}

/*
 * True if no other call of this project is waiting to start: then it is a single
 * order, and is written at once.
 */
static bool
is_single_order(InqudCall *call)
{
	return call->state->n_ready == 0;
}

/*
 * Take at most BATCH calls off the list that may be written now: single orders,
 * or all others.
 */
static int
take_batch(InqudCall **calls, bool single, InqudClock now)
{
	dlist_mutable_iter iter;
	int			n = 0;

	dlist_foreach_modify(iter, &worker.finished)
	{
		InqudCall  *call = dlist_container(InqudCall, node, iter.cur);

		if (n == BATCH)
			break;
		if (call->retry_at > now || is_single_order(call) != single)
			continue;
		inqud_take_finished(call);
		/* not locked any more, or it is said again */
		call->locked = false;
		if (!skip_unmade_read(call))
			calls[n++] = call;
	}
	return n;
}

/* When write_settled has something to do; INQUD_FAR = no row is to be deleted. */
static InqudClock
next_settled(void)
{
	return worker.settled != NIL ? ((Settled *) linitial(worker.settled))->until : INQUD_FAR;
}

/*
 * Delete the queue rows of checkouts whose last read is done; not flushed, since
 * a restart finds them again.
 */
static void
write_settled(InqudClock now)
{
	static InqudStatement statement = {"SELECT inqud._unfollow($1)", "int8[]"};
	Datum	   *ids = MemoryContextAlloc(worker.turn, sizeof(Datum) * list_length(worker.settled));
	Datum		array;
	InqudRole	role;
	ListCell   *cell;
	int			taken = 0;
	int			n = 0;

	foreach(cell, worker.settled)
	{
		Settled    *settled = lfirst(cell);

		if (settled->until > now)
			break;
		/* it may have been read, and be followed, again */
		if (inqud_followed(settled->id) == NULL)
			ids[n++] = Int64GetDatum(settled->id);
		pfree(settled);
		taken++;
	}
	/* taken off first: if the transaction fails, the next worker finds the rows again */
	worker.settled = list_delete_first_n(worker.settled, taken);
	inqud_worker_begin(&role, COMMIT_LAZY);
	array = inqud_int8_array(ids, n);
	inqud_execute(&statement, &array, NULL);
	inqud_worker_commit(&role);
}

/*
 * True while outcomes should wait for others to share a transaction: for 5 ms at
 * most, while fewer than BATCH have finished, and only if more calls are ready to
 * start than have finished, so that the network stays busy meanwhile.
 */
static bool
is_gathering(InqudClock now)
{
	/* write_by is INQUD_FAR when no new outcome has come since the last write */
	return worker.write_by != INQUD_FAR && now < worker.write_by &&
		worker.n_ready > worker.n_finished && worker.n_finished < BATCH && !worker.leaving;
}

InqudClock
inqud_next_write(void)
{
	InqudClock	next = next_settled();
	InqudClock	fresh = is_gathering(inqud_clock_us()) ? worker.write_by : 0;
	dlist_iter	iter;

	dlist_foreach(iter, &worker.finished)
	{
		InqudCall  *call = dlist_container(InqudCall, node, iter.cur);

		/* retry_at is 0 before the first attempt to write */
		next = Min(next, is_single_order(call) ? call->retry_at : Max(call->retry_at, fresh));
	}
	return next;
}

/* Write all finished calls that may be written now: single orders, or all others. */
static void
write_finished(bool single)
{
	InqudCall  *calls[BATCH];
	InqudRecording items[BATCH];
	/* taken once, so that what fails below waits for the next turn */
	InqudClock	now = inqud_clock_us();
	TimestampTz began = GetCurrentTimestamp();
	int			n;
	int			i;

	while ((n = take_batch(calls, single, now)) > 0)
	{
		int			failures = calls[0]->failures;

		if (n > 1 && try_write(calls, n, items))
		{
			for (i = 0; i < n; i++)
				outcome_written(calls[i], &items[i], began);
		}
		else
		{
			/* all have failed together, or each is tried */
			bool		all = n > 1 && calls[0]->failures > failures;

			for (i = 0; i < n; i++)
			{
				if (all)
					retry_failed(calls[i]);
				else
					write_alone(calls[i], began);
			}
		}
		inqud_database_news(worker.slot);
		/* work was done: a later failure starts with the shortest delay again */
		worker.slot->failures = 0;
	}
}

/* Single orders go first, so that they need not wait for the many of another project. */
void
inqud_write_back(void)
{
	write_finished(true);
	if (!is_gathering(inqud_clock_us()))
	{
		worker.write_by = INQUD_FAR;
		write_finished(false);
	}
	if (next_settled() <= inqud_clock_us())
		write_settled(inqud_clock_us());
}
