/*-------------------------------------------------------------------------
 *
 * alone.c
 *		Suspects, calls during which the worker has ended: which there are, when
 *		each is due, and who waits for it.
 *
 * While a suspect is made (trial.c), no other call begins, and those under way are
 * waited for; both for some seconds only, since a call can take long without any harm.
 * After that the others have at least as much time as they have waited.
 *
 * What is suspected stands in the tables.  This file must not touch them.
 *
 *-------------------------------------------------------------------------
 */
#include "worker/state.h"

Suspect *
inqud_find_suspect(int64 id)
{
	ListCell   *cell;

	foreach(cell, worker.suspects)
	{
		Suspect    *suspect = lfirst(cell);

		if (suspect->id == id)
			return suspect;
	}
	return NULL;
}

void
inqud_add_suspect(int64 id, int32 server_id, double due_in)
{
	MemoryContext old;
	Suspect    *suspect;

	if (inqud_find_suspect(id) != NULL)
		return;
	old = MemoryContextSwitchTo(worker.context);
	suspect = palloc0(sizeof(Suspect));
	suspect->id = id;
	suspect->state = inqud_project_state(server_id);
	suspect->due = inqud_clock_us() + (InqudClock) (Max(due_in, 0) * USECS_PER_SEC);
	worker.suspects = lappend(worker.suspects, suspect);
	MemoryContextSwitchTo(old);
}

void
inqud_forget_suspect(Suspect *suspect)
{
	worker.suspects = list_delete_ptr(worker.suspects, suspect);
	pfree(suspect);
}

Suspect *
inqud_first_suspect(void)
{
	Suspect    *first = NULL;
	ListCell   *cell;

	foreach(cell, worker.suspects)
	{
		Suspect    *suspect = lfirst(cell);

		/* of a server that was dropped nothing is sent */
		if (!suspect->tried && !suspect->state->gone && (first == NULL || suspect->due < first->due))
			first = suspect;
	}
	return first;
}

bool
inqud_is_quiet(void)
{
	return worker.quiet_from != 0 && inqud_clock_us() < worker.quiet_until;
}

void
inqud_end_quiet(void)
{
	InqudClock	now = inqud_clock_us();

	worker.next_trial = now + (now - worker.quiet_from);
	worker.quiet_from = 0;
}

InqudClock
inqud_next_alone(void)
{
	Suspect    *first = inqud_first_suspect();
	ListCell   *cell;

	if (worker.quiet_from != 0)
		return worker.alone != NULL && worker.alone->transfer == NULL ?
			Min(worker.quiet_until, Max(worker.alone->state->hold, inqud_clock_us())) : worker.quiet_until;
	foreach(cell, worker.suspects)
	{
		Suspect    *suspect = lfirst(cell);

		if (suspect->tried)
			return suspect->write_at;
	}
	return first == NULL || worker.alone != NULL ? INQUD_FAR : Max(first->due, worker.next_trial);
}

void
inqud_hasten_suspects(void)
{
	ListCell   *cell;

	foreach(cell, worker.suspects)
	{
		Suspect    *suspect = lfirst(cell);

		if (!suspect->tried && suspect->held)
			suspect->due = Min(suspect->due, inqud_clock_us());
	}
}

void
inqud_alone_ended(const InqudCall *call)
{
	InqudClock	now = inqud_clock_us();

	if (call != worker.alone)
		return;
	if (worker.quiet_from != 0)
		inqud_end_quiet();
	worker.on_trial->tried = true;
	worker.on_trial->answered = call->http_status != 0;
	worker.on_trial->held = call->outcome == INQUD_HELD || call->outcome == INQUD_BLOCKED;
	worker.on_trial->due = now + Max(call->retry_in_ms * 1000, INQUD_AGAIN_US);
	worker.on_trial->write_at = now;
	/* a suspect is not read by the schedule */
	if (!worker.on_trial->answered)
		inqud_unfollow(call->checkout);
	worker.alone = NULL;
	worker.on_trial = NULL;
}

