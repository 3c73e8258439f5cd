/*-------------------------------------------------------------------------
 *
 * lane.c
 *		Projects, the schedule of reads, and who is paused.
 *
 * A checkout's next read follows from its queue row alone (client/plan.c), so
 * the schedule is kept here and never written: a read that brings nothing new
 * leaves no trace in the tables.  Nothing in this file touches the database.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/dispatch.h"

#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* What holds until a project's options have been read. */
#define DEFAULT_WINDOW 8
#define DEFAULT_RATE 5.0
#define DEFAULT_POLL_NEW (INT64CONST(120) * USECS_PER_SEC)
#define DEFAULT_POLL_ACTIVE (INT64CONST(20) * USECS_PER_SEC)

typedef struct Pause
{
	uint64		key;			/* hash key */
	TimestampTz until;
	int			times;
} Pause;

static HTAB *followed_table = NULL;
static HTAB *pause_table = NULL;

static int
later_first(const pairingheap_node *a, const pairingheap_node *b, void *arg)
{
	const Followed *fa = pairingheap_const_container(Followed, node, a);
	const Followed *fb = pairingheap_const_container(Followed, node, b);

	/* the heap gives the greatest first, and the earliest is wanted */
	if (fa->due != fb->due)
		return fa->due < fb->due ? 1 : -1;
	return 0;
}

static HTAB *
make_table(const char *name, Size entry)
{
	HASHCTL		control;

	memset(&control, 0, sizeof(control));
	control.keysize = sizeof(int64);
	control.entrysize = entry;
	control.hcxt = worker.context;
	return hash_create(name, 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void
inqud_lanes_init(void)
{
	dlist_init(&worker.lanes);
	dlist_init(&worker.finished);
	followed_table = make_table("inqud followed checkouts", sizeof(Followed));
	pause_table = make_table("inqud pauses", sizeof(Pause));
}

/* ---------------------------------------------------------------------
 * Lanes
 * ---------------------------------------------------------------------
 */

Lane *
inqud_lane(const char *project)
{
	dlist_iter	iter;
	MemoryContext old;
	Lane	   *lane;

	dlist_foreach(iter, &worker.lanes)
	{
		lane = dlist_container(Lane, node, iter.cur);
		if (strcmp(lane->project, project) == 0)
			return lane;
	}
	old = MemoryContextSwitchTo(worker.context);
	lane = palloc0(sizeof(Lane));
	lane->project = pstrdup(project);
	lane->active = pairingheap_allocate(later_first, NULL);
	lane->idle = pairingheap_allocate(later_first, NULL);
	dlist_init(&lane->ready);
	dlist_init(&lane->running);
	lane->create_due = lane->poked_due = lane->found_due = lane->hook_due = INQUD_FAR;
	lane->window = DEFAULT_WINDOW;
	lane->rate = DEFAULT_RATE;
	lane->poll_new = DEFAULT_POLL_NEW;
	lane->poll_active = DEFAULT_POLL_ACTIVE;
	dlist_push_tail(&worker.lanes, &lane->node);
	MemoryContextSwitchTo(old);
	return lane;
}

/* Connections: enough for all windows together, so that none is closed to be opened again. */
static void
fit_connections(void)
{
	dlist_iter	iter;
	int			window = 0;

	dlist_foreach(iter, &worker.lanes)
		window += dlist_container(Lane, node, iter.cur)->window;
	if (window == worker.window)
		return;
	worker.window = window;
	inqud_engine_set_connections(worker.engine, window + 4);
}

void
inqud_lane_options(Lane *lane, const InqudProject *project)
{
	lane->known = true;
	lane->rate = project->rate_limit;
	lane->limiter = project->limiter;
	lane->poll_new = project->poll_new_ms * 1000;
	lane->poll_active = project->poll_active_ms * 1000;
	inqud_counting_open(&lane->counting, project);
	if (lane->window != project->max_inflight)
	{
		lane->window = project->max_inflight;
		fit_connections();
	}
}

/* Throughput is counted in periods of this length. */
#define PERIOD_US (100 * 1000)

/* Calls claimed beyond the window at most. */
#define MAX_AHEAD 256

/* One more call of this lane has ended. */
void
inqud_count_ended(Lane *lane)
{
	TimestampTz now = GetCurrentTimestamp();

	if (now - lane->counted_from >= PERIOD_US)
	{
		lane->pace = now - lane->counted_from < 2 * PERIOD_US ? lane->n_ended : 0;
		lane->n_ended = 0;
		lane->counted_from = now;
	}
	lane->n_ended++;
}

/* The limiter says to wait so many microseconds.  Asking again meanwhile is the same wait. */
void
inqud_lane_wait(Lane *lane, int64 wait)
{
	TimestampTz now = GetCurrentTimestamp();

	if (lane->waits_until <= now)
		inqud_count_wait(&lane->counting);
	lane->hold = lane->waits_until = now + wait;
}

/*
 * How many more than the window to claim, so that claims are large and the window
 * is filled while others are written: what starts within half of a period, going
 * by the last one.  A slow API or a short queue leave nothing of it.
 */
static int
ahead(Lane *lane)
{
	return Min(lane->pace / 2, MAX_AHEAD);
}

/* How many calls of this lane may be claimed now. */
int
inqud_lane_room(Lane *lane)
{
	int			more = ahead(lane);
	int			n = lane->window + more - lane->in_flight - lane->n_ready;

	/* enough is ready: wait until a claim is worth it */
	if (more > 0 && lane->n_ready > more / 2)
		return 0;
	/* not more than may start within a tenth of a second */
	if (lane->rate > 0)
		n = Min(n, Max(1, (int) (lane->rate / 10)) - lane->n_ready);
	return Max(n, 0);
}

/*
 * When this lane can do something by itself next.  While its window is full
 * that is when a call ends, which the network tells.
 */
TimestampTz
inqud_lane_next(Lane *lane)
{
	TimestampTz next = Min(Min(lane->create_due, lane->poked_due), lane->found_due);

	if (lane->n_ready > 0 && lane->in_flight < lane->window)
		return lane->hold;
	if (inqud_lane_room(lane) == 0)
		return INQUD_FAR;
	if (!pairingheap_is_empty(lane->active))
		next = Min(next, pairingheap_container(Followed, node, pairingheap_first(lane->active))->due);
	if (!pairingheap_is_empty(lane->idle))
		next = Min(next, pairingheap_container(Followed, node, pairingheap_first(lane->idle))->due);
	if (next == INQUD_FAR)
		return next;
	return Max(next, lane->hold);
}

/* ---------------------------------------------------------------------
 * Followed checkouts
 * ---------------------------------------------------------------------
 */

static void
take_out(Followed *followed)
{
	if (!followed->waiting)
		return;
	pairingheap_remove(followed->in_active ? followed->lane->active : followed->lane->idle,
					   &followed->node);
	followed->waiting = false;
}

Followed *
inqud_followed(int64 id)
{
	return hash_search(followed_table, &id, HASH_FIND, NULL);
}

void
inqud_forget(int64 id)
{
	Followed   *followed = inqud_followed(id);

	if (followed == NULL)
		return;
	take_out(followed);
	hash_search(followed_table, &id, HASH_REMOVE, NULL);
	worker.n_followed--;
}

/* Follow a checkout as its queue row says; its next read is scheduled separately. */
Followed *
inqud_follow(int64 id, Lane *lane, const char *phase, TimestampTz tail_from)
{
	bool		found;
	Followed   *followed = hash_search(followed_table, &id, HASH_ENTER, &found);
	InqudPhase	read = INQUD_PHASE_NEW;

	if (!found)
	{
		memset((char *) followed + sizeof(int64), 0, sizeof(Followed) - sizeof(int64));
		worker.n_followed++;
	}
	take_out(followed);
	(void) inqud_phase_read(phase, &read);
	followed->lane = lane;
	followed->phase = (uint8) read;
	followed->tail_from = TIMESTAMP_NOT_FINITE(tail_from) ? GetCurrentTimestamp() : tail_from;
	return followed;
}

/*
 * Put it in the heap of its lane: for the next read of its plan, or, after a read
 * that came to nothing, at "instead" (0 = none), which may be sooner or later.
 */
void
inqud_schedule(Followed *followed, TimestampTz instead)
{
	TimestampTz now = GetCurrentTimestamp();
	InqudPlan	plan;
	int64		next;

	take_out(followed);
	plan = inqud_plan((InqudPhase) followed->phase, inqud_to_unix(followed->tail_from),
					  inqud_to_unix(now), followed->lane->poll_new, followed->lane->poll_active);
	next = inqud_plan_next(&plan, followed->id, inqud_to_unix(now));
	followed->due = instead != 0 ? instead : inqud_from_unix(next);
	followed->until = plan.until == INQUD_NEVER ? INQUD_FAR :
		plan.over ? now : inqud_from_unix(plan.until);
	if (plan.over)
		followed->until = now;
	followed->in_active = followed->phase == INQUD_PHASE_ACTIVE ||
		followed->phase == INQUD_PHASE_REOPENED;
	pairingheap_add(followed->in_active ? followed->lane->active : followed->lane->idle,
					&followed->node);
	followed->waiting = true;
}

/*
 * Take the next checkout out that is due to be read; active ones first, but every
 * fourth time an idle one, so that under a tight rate nobody is left out.
 */
Followed *
inqud_next_read(Lane *lane, TimestampTz now)
{
	pairingheap *heaps[2];
	int			i;

	bool		idle_first = (lane->picks & 3) == 3;

	heaps[0] = idle_first ? lane->idle : lane->active;
	heaps[1] = idle_first ? lane->active : lane->idle;
	for (i = 0; i < 2; i++)
	{
		Followed   *followed;

		if (pairingheap_is_empty(heaps[i]))
			continue;
		followed = pairingheap_container(Followed, node, pairingheap_first(heaps[i]));
		if (followed->due > now)
			continue;
		take_out(followed);
		lane->picks++;
		return followed;
	}
	return NULL;
}

/* A claim failed: put back what had been taken out for it. */
void
inqud_reschedule_lost(TimestampTz when)
{
	HASH_SEQ_STATUS status;
	Followed   *followed;

	hash_seq_init(&status, followed_table);
	while ((followed = hash_seq_search(&status)) != NULL)
	{
		if (!followed->waiting && !followed->busy)
			inqud_schedule(followed, when);
	}
}

/* ---------------------------------------------------------------------
 * Pauses
 * ---------------------------------------------------------------------
 */

uint64
inqud_pause_key(const InqudProject *project)
{
	return project->credential ^ (project->limiter * UINT64CONST(0x9E3779B97F4A7C15));
}

TimestampTz
inqud_paused_until(uint64 key)
{
	Pause	   *pause = hash_search(pause_table, &key, HASH_FIND, NULL);

	return pause ? pause->until : 0;
}

/* Returns the milliseconds of the pause. */
int64
inqud_pause(uint64 key, int64 min_ms, int64 max_ms)
{
	bool		found;
	TimestampTz now = GetCurrentTimestamp();
	Pause	   *pause = hash_search(pause_table, &key, HASH_ENTER, &found);
	int64		ms;

	if (!found)
	{
		pause->times = 0;
		pause->until = 0;
	}
	/* those that were under way together are one refusal */
	if (pause->until <= now)
	{
		uint32		random;

		if (!pg_strong_random(&random, sizeof(random)))
			random = (uint32) now;
		pause->times = Min(pause->times + 1, 30);
		ms = inqud_backoff_ms(pause->times, min_ms, max_ms, random);
		pause->until = TimestampTzPlusMilliseconds(now, ms);
	}
	else
		ms = (pause->until - now) / 1000 + 1;
	return ms;
}

void
inqud_unpause(uint64 key)
{
	(void) hash_search(pause_table, &key, HASH_REMOVE, NULL);
}

/* Keys, rights or options have changed: nobody is paused, and failed reads are due as usual. */
void
inqud_unpause_all(void)
{
	HASH_SEQ_STATUS status;
	Pause	   *pause;
	Followed   *followed;
	dlist_iter	iter;

	dlist_foreach(iter, &worker.lanes)
	{
		Lane	   *lane = dlist_container(Lane, node, iter.cur);

		/* the next look reads the options again */
		lane->known = false;
		lane->hold = 0;
	}
	hash_seq_init(&status, pause_table);
	while ((pause = hash_seq_search(&status)) != NULL)
		(void) hash_search(pause_table, &pause->key, HASH_REMOVE, NULL);
	hash_seq_init(&status, followed_table);
	while ((followed = hash_seq_search(&status)) != NULL)
	{
		if (followed->attempts > 0 && followed->waiting)
			inqud_schedule(followed, 0);
	}
}
