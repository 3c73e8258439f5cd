/*-------------------------------------------------------------------------
 *
 * trouble.c
 *		What keeps the worker from recording answers and from telling of them: how
 *		much claiming that leaves, what inqud.worker and inqud.trouble show of it, and
 *		how often it is logged.
 *
 * From the first answer of a kind (to a create, to a read) that cannot be written until
 * one is written, answers keep their places in the project's window.  Else a whole
 * queue would be sent, and nothing of it recorded.  Here only the worker's books are
 * kept; this file must not write to a table.
 *
 *-------------------------------------------------------------------------
 */
#include "worker/state.h"

#include "common/hashfn.h"
#include "utils/timestamp.h"

/*
 * While answers keep their places, one more call may be sent each time this has gone by.
 * Rows that can never be written, as many as the window, would stop a project for good.
 */
#define PROBE_US (10 * SECS_PER_MINUTE * USECS_PER_SEC)

/* The same message is logged once in this time, and of others no more than there is room for. */
#define LOG_US (SECS_PER_MINUTE * USECS_PER_SEC)
#define LOGGED 16

/* A turn's error is shown until none has come for this long. */
#define HEALED_US (10 * USECS_PER_SEC)

/* While notices are left out, the server's queue is looked at this often. */
#define TELL_US USECS_PER_SEC

/* Of reads, creates: since when answers keep their places; 0 = they do not. */
static InqudClock unwritten_from[2] = {0, 0};

static int	n_unwritten = 0;	/* answers whose write has failed */
static InqudClock error_until = 0;	/* how long the error of a turn is shown; 0 = none is */
static InqudClock tell_at = 0;

/* ---- What is shown and logged ---- */

void
inqud_show_error(const char *message)
{
	inqud_show_error_for(message, HEALED_US);
}

void
inqud_show_error_for(const char *message, int64 usec)
{
	inqud_database_error(worker.slot, message);
	error_until = inqud_clock_us() + usec;
}

void
inqud_clear_error(void)
{
	inqud_database_error(worker.slot, "");
	error_until = 0;
}

void
inqud_turn_went_well(void)
{
	if (error_until == 0 || n_unwritten > 0 || inqud_clock_us() < error_until)
		return;
	inqud_clear_error();
}

bool
inqud_may_log(const char *message)
{
	static struct
	{
		uint32		hash;
		InqudClock	until;
	}			logged[LOGGED];
	uint32		hash = hash_bytes((const unsigned char *) message, (int) strlen(message));
	InqudClock	now = inqud_clock_us();
	int			unused = -1;
	int			i;

	for (i = 0; i < LOGGED; i++)
	{
		if (logged[i].until <= now)
			unused = i;
		else if (logged[i].hash == hash)
			return false;
	}
	if (unused < 0)
		return false;
	logged[unused].hash = hash;
	logged[unused].until = now + LOG_US;
	return true;
}

static void
show_unwritten(void)
{
	inqud_shared_lock();
	worker.slot->unwritten = n_unwritten;
	if (n_unwritten == 0)
		worker.slot->unwritten_since = 0;
	else if (worker.slot->unwritten_since == 0)
		worker.slot->unwritten_since = GetCurrentTimestamp();
	inqud_shared_unlock();
}

/* ---- Answers that cannot be written ---- */

void
inqud_write_failed(InqudCall *call, const char *message)
{
	InqudClock *from = &unwritten_from[inqud_is_create(call)];

	if (call->failures == 0)
	{
		/* only then: a row that can never be written fails again and again beside others that are written */
		if (*from == 0)
			*from = inqud_clock_us();
		n_unwritten++;
		show_unwritten();
	}
	call->failures++;
	inqud_show_error(message);
}

bool
inqud_write_done(InqudCall *call)
{
	bool		healed = call->failures > 0;

	/* what was not sent says nothing of how answers fare */
	if (healed || call->outcome == INQUD_OK)
		unwritten_from[inqud_is_create(call)] = 0;
	if (!healed)
		return false;
	call->failures = 0;
	n_unwritten--;
	show_unwritten();
	if (n_unwritten == 0)
		inqud_clear_error();
	return true;
}

int
inqud_places_kept(const ProjectState *state, bool create)
{
	InqudClock	from = unwritten_from[create];
	int64		probes;

	if (from == 0)
		return 0;
	probes = (inqud_clock_us() - from) / PROBE_US;
	return (int) Max(state->n_unwritten[create] - probes, 0);
}

bool
inqud_locks_many(const ProjectState *state, Oid owner)
{
	dlist_iter	iter;
	int			n = 0;

	if (worker.n_locked < state->window)
		return false;
	dlist_foreach(iter, &worker.finished)
	{
		const InqudCall *call = dlist_container(InqudCall, node, iter.cur);

		if (call->locked && inqud_is_create(call) && call->state == state && call->role == owner)
			n++;
	}
	return n >= state->window;
}

/* ---- Notices that were left out ---- */

bool
inqud_owes_notice(void)
{
	return worker.slot->unnoticed_since != 0;
}

void
inqud_tell_of_missed(void)
{
	InqudRole	role;
	uint32		seen = worker.slot->unnoticed;

	if (!inqud_owes_notice() || inqud_clock_us() < tell_at)
		return;
	tell_at = inqud_clock_us() + TELL_US;
	if (!inqud_notices_pass())
		return;
	inqud_worker_begin(&role, COMMIT_LAZY);
	inqud_notify_missed();
	inqud_worker_commit(&role);
	inqud_shared_lock();
	if (worker.slot->unnoticed == seen)
		worker.slot->unnoticed_since = 0;
	inqud_shared_unlock();
}

InqudClock
inqud_next_in_trouble(void)
{
	InqudClock	tell = inqud_owes_notice() ? tell_at : INQUD_FAR;
	InqudClock	healed = error_until != 0 && n_unwritten == 0 ? error_until : INQUD_FAR;

	return Min(tell, healed);
}
