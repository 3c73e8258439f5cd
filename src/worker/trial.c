/*-------------------------------------------------------------------------
 *
 * trial.c
 *		Makes the call of a suspect alone, so that it is known whether it ends the
 *		worker, and takes no other call along.
 *
 * Before a suspect is sent, it is counted and put off in a commit that is flushed
 * (inqud._claim_alone); when an answer came and the worker lives, it is a suspect no
 * more.  One that ends the worker alone waits longer each time.  Nothing of this is
 * done for a call that is none.  When it is time for a trial, alone.c says.
 *
 *-------------------------------------------------------------------------
 */
#include "worker/state.h"

/* Others wait no longer than this for calls under way to end, and for a suspect's answer. */
#define PATIENCE_US (5 * USECS_PER_SEC)

/* A suspect's row that another session has locked is written after this long. */
#define LOCKED_US (200 * 1000)

void
inqud_load_suspects(void)
{
	static InqudStatement statement = {"SELECT * FROM inqud._suspects($1)", "int8"};
	Datum		home = Int64GetDatum(worker.home);
	InqudRole	role;
	uint64		n;
	bool		isnull;

	inqud_worker_begin(&role, COMMIT_FLUSHED);
	n = inqud_execute(&statement, &home, NULL);
	for (uint64 i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;

		inqud_add_suspect(DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull)), DatumGetInt32(SPI_getbinval(tuple, desc, 2, &isnull)),
					DatumGetFloat8(SPI_getbinval(tuple, desc, 3, &isnull)));
	}
	inqud_worker_commit(&role);
}

/* Is it a suspect in the tables, too?  A session may have canceled or paid it. */
static bool
is_suspect(int64 id)
{
	static InqudStatement statement = {"SELECT inqud._is_suspect($1)", "int8"};
	Datum		value = Int64GetDatum(id);
	InqudRole	role;
	bool		isnull;
	bool		is;

	inqud_worker_begin(&role, COMMIT_LAZY);
	inqud_execute(&statement, &value, NULL);
	is = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	inqud_worker_commit(&role);
	return is;
}

/* Send this suspect alone, if it can be claimed. */
static void
begin_trial(Suspect *suspect)
{
	/* first, so that after an error others are served first */
	suspect->due = inqud_clock_us() + PATIENCE_US;
	if (!inqud_claim_alone(suspect->id, suspect->state))
	{
		suspect->due = inqud_clock_us() + INQUD_AGAIN_US;
		inqud_end_quiet();
		if (!is_suspect(suspect->id))
			inqud_forget_suspect(suspect);
		return;
	}
	worker.on_trial = suspect;
	worker.quiet_until = inqud_clock_us() + PATIENCE_US;
}

/* Write how a trial has ended; false if the row is locked. */
static bool
write_trial(const Suspect *suspect)
{
	static InqudStatement statement = {"SELECT inqud._tried($1, $2)", "int8 bool"};
	Datum		values[] = {Int64GetDatum(suspect->id), BoolGetDatum(suspect->answered)};
	InqudRole	role;
	bool		isnull;
	bool		done;

	inqud_worker_begin(&role, COMMIT_LAZY);
	inqud_execute(&statement, values, NULL);
	done = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	inqud_worker_commit(&role);
	return done;
}

void
inqud_write_trials(void)
{
	InqudClock	now = inqud_clock_us();
	List	   *all = worker.suspects != NIL ? list_copy(worker.suspects) : NIL;
	ListCell   *cell;

	foreach(cell, all)
	{
		Suspect    *suspect = lfirst(cell);

		if (!suspect->tried || suspect->write_at > now)
			continue;
		/* after an error others are served first */
		suspect->write_at = now + PATIENCE_US;
		if (!write_trial(suspect))
			suspect->write_at = now + LOCKED_US;
		else if (suspect->answered)
		{
			inqud_forget_suspect(suspect);
			worker.look = true;
		}
		else
			suspect->tried = false;
	}
	list_free(all);
}

void
inqud_try_suspects(void)
{
	InqudClock	now = inqud_clock_us();
	Suspect    *suspect;

	if (worker.suspects == NIL)
		return;
	inqud_write_trials();
	if (worker.alone != NULL)
	{
		/* its answer takes long, and the others need not wait for it */
		if (worker.quiet_from != 0 && now >= worker.quiet_until)
			inqud_end_quiet();
		return;
	}
	suspect = inqud_first_suspect();
	if (suspect == NULL || Max(suspect->due, worker.next_trial) > now)
		return;
	if (worker.quiet_from == 0)
	{
		worker.quiet_from = now;
		worker.quiet_until = now + PATIENCE_US;
	}
	if (worker.n_in_flight == 0 || now >= worker.quiet_until)
		begin_trial(suspect);
}
