/*-------------------------------------------------------------------------
 *
 * clock.c
 *		Notices when the machine's clock is set, shows it, and brings forward what
 *		waits for that.
 *
 * The worker's own schedule goes by the monotonic clock.  The tables have times of the
 * other one: set back by an hour, what was due a moment ago is due in an hour.  So
 * the times ahead are brought forward by as much.  The same is done at a worker's start
 * when what is recorded lies ahead: then this may be another machine, after a failover.
 *
 * What commits later, in a transaction that began before, is found each time that the
 * tables are looked at, until the clock is again where it was.
 *
 *-------------------------------------------------------------------------
 */
#include "worker/state.h"

#include "utils/timestamp.h"

/* A clock that differs by less was not set, or it does not matter. */
#define MOVED_US (2 * USECS_PER_SEC)

/* What is due later than this, while the clock has not come to where it was, is brought forward. */
#define BEYOND_US (10 * SECS_PER_MINUTE * USECS_PER_SEC)

/* The error is shown for this long. */
#define SHOWN_US (10 * SECS_PER_MINUTE * USECS_PER_SEC)

/* How far the machine's clock is ahead of the monotonic one; 0 = not looked at yet. */
static int64 ahead = 0;

/* By how much what is recorded is ahead, until when, and whether all of it is to be brought forward. */
static int64 lead = 0;
static InqudClock lead_until = 0;
static bool lead_new = false;
static bool looked_behind = false;

/* The clock was set back by so much, or is that much behind. */
static void
note_lead(int64 usec)
{
	InqudClock	now = inqud_clock_us();

	lead = Max(lead_until - now, 0) + usec;
	lead_until = now + lead;
	lead_new = true;
}

static void
show_moved(int64 usec, const char *message)
{
	inqud_shared_lock();
	worker.slot->clock_moved = usec;
	worker.slot->clock_moved_at = inqud_clock_us();
	inqud_shared_unlock();
	inqud_show_error_for(message, SHOWN_US);
	ereport(LOG, (errmsg_internal("%s", message)));
}

void
inqud_watch_clock(void)
{
	int64		is = GetCurrentTimestamp() - inqud_clock_us();
	int64		moved = ahead != 0 ? is - ahead : 0;

	ahead = is;
	if (moved < MOVED_US && moved > -MOVED_US)
		return;
	show_moved(moved, psprintf("the server's clock was set %s by " INT64_FORMAT " s", moved < 0 ? "back" : "forward",
							   ((moved < 0 ? -moved : moved) + USECS_PER_SEC / 2) / USECS_PER_SEC));
	/* times that were remembered say nothing of what is queued from now on */
	worker.look = true;
	if (moved < 0)
		note_lead(-moved);
}

/* Is the clock behind what is recorded? */
static void
look_behind(void)
{
	static InqudStatement statement = {"SELECT inqud._behind($1)", "timestamptz"};
	Datum		now = TimestampTzGetDatum(GetCurrentTimestamp());
	InqudRole	role;
	int64		behind;

	inqud_worker_begin(&role, COMMIT_LAZY);
	inqud_execute(&statement, &now, NULL);
	behind = inqud_first_int8(1);
	inqud_worker_commit(&role);
	looked_behind = true;
	if (behind < MOVED_US)
		return;
	note_lead(behind);
	show_moved(-behind, psprintf("the server's clock is " INT64_FORMAT " s behind what is recorded", behind / USECS_PER_SEC));
}

void
inqud_undo_lead(void)
{
	static InqudStatement statement = {"SELECT inqud._bring_forward($1, $2, $3 * interval '1 microsecond')", "int8 int8 int8"};
	Datum		values[3];
	InqudRole	role;

	if (!looked_behind)
		look_behind();
	if (inqud_clock_us() >= lead_until)
		return;
	values[0] = Int64GetDatum(worker.home);
	values[1] = Int64GetDatum(lead);
	values[2] = Int64GetDatum(lead_new ? 0 : BEYOND_US);
	inqud_worker_begin(&role, COMMIT_LAZY);
	inqud_execute(&statement, values, NULL);
	inqud_worker_commit(&role);
	lead_new = false;
	/* a transaction that began before may have queued rows that are due before its start */
	worker.look = true;
}
