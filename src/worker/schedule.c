/*-------------------------------------------------------------------------
 *
 * schedule.c
 *		The worker's state of each project, and the schedule of reads.
 *
 * A checkout's next read follows from its queue row and the clock (client/plan.c),
 * so the schedule is kept in memory only, and a read that brings nothing new
 * writes nothing.  This file must not touch the database.
 *
 *-------------------------------------------------------------------------
 */
#include "worker/state.h"

#include "storage/fd.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

/* Used until a project's options have been read: the defaults of the options. */
#define DEFAULT_WINDOW 8
#define DEFAULT_RATE 5.0
#define DEFAULT_POLL_NEW (INT64CONST(120) * USECS_PER_SEC)
#define DEFAULT_POLL_ACTIVE (INT64CONST(20) * USECS_PER_SEC)

/* The largest value of max_inflight, and what libcurl may keep beside the calls under way. */
#define WIDEST 1000
#define SPARE_CONNECTIONS 4

static HTAB *followed_table = NULL;

/*
 * How far Unix time was ahead of the worker's clock at its start.  Plans go by the
 * sum, whose ticks are the same after a restart of the machine, or on another one.
 */
static int64 unix_ahead = 0;

/* Order of a heap: its first, the greatest, is the one that is due earliest. */
static int
compare_due(const pairingheap_node *a, const pairingheap_node *b, void *arg)
{
	const Followed *fa = pairingheap_const_container(Followed, node, a);
	const Followed *fb = pairingheap_const_container(Followed, node, b);

	return (fa->due < fb->due) - (fa->due > fb->due);
}

HTAB *
inqud_worker_table(const char *name, Size entry)
{
	HASHCTL		control = {.keysize = sizeof(int64), .entrysize = entry, .hcxt = worker.context};

	return hash_create(name, 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void
inqud_schedule_init(void)
{
	unix_ahead = inqud_to_unix(GetCurrentTimestamp()) - inqud_clock_us();
	dlist_init(&worker.projects);
	dlist_init(&worker.finished);
	followed_table = inqud_worker_table("inqud followed checkouts", sizeof(Followed));
}

InqudClock
inqud_clock_of(TimestampTz when)
{
	if (TIMESTAMP_NOT_FINITE(when))
		return TIMESTAMP_IS_NOEND(when) ? INQUD_FAR : 0;
	return when - GetCurrentTimestamp() + inqud_clock_us();
}

void
inqud_due_set(Due *due, TimestampTz when)
{
	due->at = inqud_clock_of(when);
	due->from = when;
}

void
inqud_due_earlier(Due *due, TimestampTz when)
{
	if (when < due->from)
		inqud_due_set(due, when);
}

void
inqud_due_never(Due *due)
{
	inqud_due_set(due, DT_NOEND);
}

/* ---- Projects ---- */

/* The sum of all windows, if none were wider than "most". */
static int
sum_windows(int most)
{
	int			sum = 0;

	for (ProjectState *state = inqud_next_project(NULL); state; state = inqud_next_project(state))
	{
		if (!state->gone)
			sum += Min(state->window, most);
	}
	return sum;
}

/* Reserve so many of the descriptors that the server lets this process open, or as many as there are. */
static int
reserve_descriptors(int wanted)
{
	static int	reserved = 0;

	while (reserved < wanted && AcquireExternalFD())
		reserved++;
	for (; reserved > wanted; reserved--)
		ReleaseExternalFD();
	return reserved;
}

static void
report_bound(int wanted, int possible)
{
	static bool reported = false;

	if (!reported)
		ereport(LOG,
				(errmsg("inqud makes %d transfers at the same time instead of %d", possible, wanted),
				 errdetail("A third of the files that a server process may open is for connections to others."),
				 errhint("Raise max_files_per_process and the limit of the operating system (ulimit -n), or lower max_inflight.")));
	reported = true;
}

/*
 * Let libcurl keep as many connections as all windows together need, and four
 * more, so that it closes none that is opened again.  If there are not so many
 * descriptors, wide windows are narrowed first: the widest that fits is searched for.
 */
static void
resize_connections(void)
{
	int			window = sum_windows(WIDEST);
	int			possible;
	int			low = 1;
	int			high = WIDEST;

	if (window == worker.window)
		return;
	worker.window = window;
	possible = Max(reserve_descriptors(window + SPARE_CONNECTIONS) - SPARE_CONNECTIONS, 1);
	while (low < high)
	{
		int			middle = (low + high + 1) / 2;

		if (sum_windows(middle) <= possible)
			low = middle;
		else
			high = middle - 1;
	}
	worker.fair = low;
	if (possible < window)
		report_bound(window, possible);
	inqud_engine_set_connections(worker.engine, Min(window, possible) + SPARE_CONNECTIONS);
}

ProjectState *
inqud_project_state(int32 server_id)
{
	MemoryContext old;
	ProjectState *state;

	for (ProjectState *known = inqud_next_project(NULL); known; known = inqud_next_project(known))
	{
		if (known->server_id == server_id)
			return known;
	}
	old = MemoryContextSwitchTo(worker.context);
	state = palloc0(sizeof(ProjectState));
	state->server_id = server_id;
	state->project = pstrdup("");
	state->active = pairingheap_allocate(compare_due, NULL);
	state->idle = pairingheap_allocate(compare_due, NULL);
	dlist_init(&state->ready);
	dlist_init(&state->running);
	inqud_due_never(&state->create_due);
	inqud_due_never(&state->asked_due);
	inqud_due_never(&state->found_due);
	inqud_due_never(&state->call_due);
	state->window = DEFAULT_WINDOW;
	state->rate = DEFAULT_RATE;
	state->poll_new = DEFAULT_POLL_NEW;
	state->poll_active = DEFAULT_POLL_ACTIVE;
	dlist_push_tail(&worker.projects, &state->node);
	MemoryContextSwitchTo(old);
	resize_connections();
	return state;
}

int
inqud_state_window(const ProjectState *state)
{
	return Min(state->window, worker.fair);
}

void
inqud_state_set_gone(ProjectState *state, bool gone)
{
	if (state->gone == gone)
		return;
	state->gone = gone;
	resize_connections();
}

/* It has another name, perhaps. */
static void
set_name(ProjectState *state, const char *name)
{
	char	   *old = state->project;

	if (strcmp(old, name) == 0)
		return;
	state->project = MemoryContextStrdup(worker.context, name);
	pfree(old);
}

void
inqud_state_set_options(ProjectState *state, const InqudProject *project)
{
	set_name(state, project->name);
	state->known = true;
	state->rate = project->rate_limit;
	state->poll_new = project->poll_new_ms * 1000;
	state->poll_active = project->poll_active_ms * 1000;
	state->on_status = project->on_status != NULL;
	inqud_counting_open(&state->counting, project);
	if (state->window != project->max_inflight)
	{
		state->window = project->max_inflight;
		resize_connections();
	}
}

/* Calls that end are counted in periods of this length. */
#define PERIOD_US (100 * 1000)

/* Calls that are claimed beyond the window, at most. */
#define MAX_AHEAD 256

void
inqud_state_count_ended(ProjectState *state)
{
	InqudClock	now = inqud_clock_us();

	if (now - state->counted_from >= PERIOD_US)
	{
		state->pace = now - state->counted_from < 2 * PERIOD_US ? state->n_ended : 0;
		state->n_ended = 0;
		state->counted_from = now;
	}
	state->n_ended++;
}

/* A wait is counted once, however often the limiter is asked during it. */
void
inqud_state_wait(ProjectState *state, int64 wait)
{
	InqudClock	now = inqud_clock_us();

	if (state->waits_until <= now)
		inqud_count_wait(&state->counting);
	state->hold = state->waits_until = now + wait;
}

/*
 * Claim ahead of the window by half of what ended in the last 100 ms, so that
 * claims are large and the window stays full while we write.  Zero when the API
 * is slow or the queue short.
 */
int
inqud_state_room(ProjectState *state, bool create)
{
	int			kept = state->gone ? 0 : inqud_places_kept(state, create);
	int			more = kept > 0 ? 0 : Min(state->pace / 2, MAX_AHEAD);
	int			n = inqud_state_window(state) + more - state->in_flight - state->n_ready - kept;

	if (state->gone)
		return 0;
	/* enough is ready: claim when half of it has started, so that claims stay large */
	if (more > 0 && state->n_ready > more / 2)
		return 0;
	/* under a rate limit, no more than may start within 100 ms, and at least one */
	if (state->rate > 0 && !state->accounts)
		n = Min(n, Max(1, (int) (state->rate / 10)) - state->n_ready);
	return Max(n, 0);
}

/* When the first read of a heap is due; INQUD_FAR = it is empty. */
static InqudClock
first_due(pairingheap *heap)
{
	return pairingheap_is_empty(heap) ? INQUD_FAR :
		pairingheap_container(Followed, node, pairingheap_first(heap))->due;
}

InqudClock
inqud_state_next_read(const ProjectState *state)
{
	return Min(first_due(state->active), first_due(state->idle));
}

/* When the next read is due, asked for or not. */
static InqudClock
next_read_due(ProjectState *state)
{
	return Min(Min(state->asked_due.at, state->found_due.at), inqud_state_next_read(state));
}

InqudClock
inqud_state_next_due(ProjectState *state)
{
	InqudClock	next = INQUD_FAR;

	if (state->n_ready > 0 && state->in_flight < inqud_state_window(state))
		return state->hold;
	/* when the window is full, the end of a transfer wakes the worker */
	if (inqud_state_room(state, true) > 0)
		next = state->create_due.at;
	if (inqud_state_room(state, false) > 0)
		next = Min(next, next_read_due(state));
	return next == INQUD_FAR ? next : Max(next, state->hold);
}

/* ---- Followed checkouts ---- */

/* The heap that a checkout is in while it is waiting. */
static pairingheap *
heap_of(const Followed *followed)
{
	return followed->in_active ? followed->state->active : followed->state->idle;
}

static void
remove_from_heap(Followed *followed)
{
	if (followed->waiting)
		pairingheap_remove(heap_of(followed), &followed->node);
	followed->waiting = false;
}

Followed *
inqud_followed(int64 id)
{
	return hash_search(followed_table, &id, HASH_FIND, NULL);
}

void
inqud_unfollow(int64 id)
{
	Followed   *followed = inqud_followed(id);

	if (followed == NULL)
		return;
	remove_from_heap(followed);
	hash_search(followed_table, &id, HASH_REMOVE, NULL);
	worker.n_followed--;
}

Followed *
inqud_follow(int64 id, ProjectState *state, InqudPhase phase, InqudClock tail_from)
{
	bool		found;
	Followed   *followed = hash_search(followed_table, &id, HASH_ENTER, &found);

	if (!found)
	{
		memset((char *) followed + sizeof(int64), 0, sizeof(Followed) - sizeof(int64));
		worker.n_followed++;
	}
	remove_from_heap(followed);
	followed->state = state;
	followed->phase = (uint8) phase;
	followed->tail_from = tail_from;
	return followed;
}

void
inqud_schedule_at(Followed *followed, InqudClock due)
{
	remove_from_heap(followed);
	followed->due = due;
	followed->in_active = followed->phase == INQUD_PHASE_ACTIVE ||
		followed->phase == INQUD_PHASE_REOPENED;
	pairingheap_add(heap_of(followed), &followed->node);
	followed->waiting = true;
}

bool
inqud_schedule(Followed *followed, InqudClock began)
{
	int64		now = inqud_clock_us() + unix_ahead;
	int64		tail = followed->tail_from == INQUD_FAR ? INQUD_NEVER : followed->tail_from + unix_ahead;
	InqudPlan	plan = inqud_plan((InqudPhase) followed->phase, tail, began != 0 ? began + unix_ahead : now,
								  followed->state->poll_new, followed->state->poll_active);
	int64		next;

	if (plan.over && began != 0)
		return false;
	next = inqud_plan_next(&plan, followed->id, now);
	inqud_schedule_at(followed, next == INQUD_NEVER ? INQUD_FAR : next - unix_ahead);
	return true;
}

/* Active checkouts come first, but every fourth time an idle one: they are read under a tight rate limit, too. */
Followed *
inqud_take_next_read(ProjectState *state, InqudClock now)
{
	bool		idle_first = (state->picks & 3) == 3;
	pairingheap *heap = idle_first ? state->idle : state->active;
	Followed   *followed;

	if (first_due(heap) > now)
		heap = idle_first ? state->active : state->idle;
	if (first_due(heap) > now)
		return NULL;
	followed = pairingheap_container(Followed, node, pairingheap_first(heap));
	remove_from_heap(followed);
	state->picks++;
	return followed;
}

void
inqud_reschedule_lost(InqudClock when)
{
	HASH_SEQ_STATUS status;
	Followed   *followed;

	hash_seq_init(&status, followed_table);
	while ((followed = hash_seq_search(&status)) != NULL)
	{
		if (!followed->waiting && !followed->busy)
			inqud_schedule_at(followed, when);
	}
}

void
inqud_options_changed(void)
{
	HASH_SEQ_STATUS status;
	Followed   *followed;

	for (ProjectState *state = inqud_next_project(NULL); state; state = inqud_next_project(state))
	{
		/* inqud_query_due reads the options again */
		state->known = state->has_account = false;
		state->hold = 0;
	}
	hash_seq_init(&status, followed_table);
	while ((followed = hash_seq_search(&status)) != NULL)
	{
		if (followed->attempts > 0 && followed->waiting)
			(void) inqud_schedule(followed, 0);
	}
}
