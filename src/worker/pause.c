/*-------------------------------------------------------------------------
 *
 * pause.c
 *		Accounts whose calls must wait: pauses of credentials that Inqud refuses (401,
 *		403, wrong address), and turns in a project with several accounts.
 *
 * What is kept is that of a server and a user mapping, so that one role's bad mapping
 * does not stop the calls of other roles, and it ends when one of the two, or the
 * secret file, has changed.  It is in the worker's memory only.  A reply 429 pauses
 * the account in all processes instead: shared/rate_limit.c.
 *
 *-------------------------------------------------------------------------
 */
#include "worker/state.h"

#include "common/pg_prng.h"
#include "utils/hsearch.h"

/* From so many entries on, those that keep nobody waiting are dropped before one is added. */
#define MANY_PAUSES 1024

typedef struct Pause
{
	uint64		key;			/* hash key: server and mapping */
	uint64		version;		/* of them, see InqudProject */
	ProjectState *state;
	Oid			roleid;			/* for whom they were looked up */
	InqudClock	until;
	int			times;			/* refusals in a row */
	InqudClock	next_turn;
} Pause;

static HTAB *pause_table = NULL;

/* Projects (entries of servers, in worker.context) of whose accounts one has changed while calls waited for it. */
static List *changed = NIL;

static bool
is_over(const Pause *pause)
{
	return Max(pause->until, pause->next_turn) <= inqud_clock_us();
}

/* The account is not what it was: the calls that wait for it may be made. */
static void
note_changed(const Pause *pause)
{
	MemoryContext old;

	if (is_over(pause))
		return;
	old = MemoryContextSwitchTo(worker.context);
	changed = lappend_int(changed, pause->state->server_id);
	MemoryContextSwitchTo(old);
}

static Pause *
find_pause(const InqudProject *project, HASHACTION action, bool *found)
{
	uint64		key = (uint64) project->serverid << 32 | project->mappingid;

	if (pause_table == NULL)
		pause_table = inqud_worker_table("inqud pauses", sizeof(Pause));
	return hash_search(pause_table, &key, action, found);
}

/* What is kept of the project's account; NULL if there is nothing, or not of it as it is now. */
static Pause *
current_pause(const InqudProject *project)
{
	Pause	   *pause = find_pause(project, HASH_FIND, NULL);

	if (pause == NULL || pause->version == project->version)
		return pause;
	note_changed(pause);
	(void) find_pause(project, HASH_REMOVE, NULL);
	return NULL;
}

static void
drop_over(void)
{
	HASH_SEQ_STATUS status;
	Pause	   *pause;

	hash_seq_init(&status, pause_table);
	while ((pause = hash_seq_search(&status)) != NULL)
	{
		if (is_over(pause))
			hash_search(pause_table, &pause->key, HASH_REMOVE, NULL);
	}
}

/* The same, added if there is nothing. */
static Pause *
open_pause(const InqudCall *call)
{
	Pause	   *pause = current_pause(call->project);
	bool		found;

	if (pause != NULL)
		return pause;
	if (hash_get_num_entries(pause_table) >= MANY_PAUSES)
		drop_over();
	pause = find_pause(call->project, HASH_ENTER, &found);
	pause->version = call->project->version;
	pause->state = call->state;
	pause->roleid = call->project->roleid;
	pause->times = 0;
	pause->until = pause->next_turn = 0;
	return pause;
}

int64
inqud_pause_left(const InqudProject *project)
{
	Pause	   *pause = current_pause(project);
	int64		left = pause ? pause->until - inqud_clock_us() : 0;

	return left > 0 ? left / 1000 + 1 : 0;
}

int64
inqud_pause(const InqudCall *call)
{
	Pause	   *pause = open_pause(call);

	/* calls that were under way together count as one refusal */
	if (inqud_pause_left(call->project) == 0)
	{
		pause->times = Min(pause->times + 1, 30);
		pause->until = inqud_clock_us() + inqud_backoff(call->project, pause->times) * 1000;
	}
	return inqud_pause_left(call->project);
}

void
inqud_unpause(const InqudProject *project)
{
	Pause	   *pause = find_pause(project, HASH_FIND, NULL);

	if (pause != NULL)
		pause->until = pause->times = 0;
}

int64
inqud_turn(const InqudCall *call, int64 wait)
{
	Pause	   *pause = open_pause(call);
	InqudClock	now = inqud_clock_us();
	InqudClock	turn = Max(pause->next_turn, now + wait);

	pause->next_turn = turn;
	if (call->project->rate_limit > 0)
		pause->next_turn += (int64) (USECS_PER_SEC / Max(call->project->rate_limit, 0.001));
	return (turn - now) / 1000 + 1;
}

/* Is the account what it was, as the catalogs say now? */
static bool
is_same(const Pause *pause)
{
	InqudProblem problem;
	InqudProject *project = inqud_project_lookup_oid(pause->state->serverid, pause->roleid, 0, &problem);
	bool		same;

	if (project == NULL)
		return false;
	same = pause->key == ((uint64) project->serverid << 32 | project->mappingid) &&
		pause->version == project->version;
	inqud_project_release(project);
	return same;
}

bool
inqud_accounts_changed(void)
{
	return changed != NIL;
}

List *
inqud_take_changed(void)
{
	List	   *servers;
	HASH_SEQ_STATUS status;
	Pause	   *pause;

	if (pause_table == NULL)
		return NIL;
	hash_seq_init(&status, pause_table);
	while ((pause = hash_seq_search(&status)) != NULL)
	{
		if (is_over(pause) || is_same(pause))
			continue;
		note_changed(pause);
		hash_search(pause_table, &pause->key, HASH_REMOVE, NULL);
	}
	servers = changed;
	changed = NIL;
	return servers;
}

int64
inqud_backoff(const InqudProject *project, int attempts)
{
	return inqud_backoff_ms(attempts, project->retry_min_ms, project->retry_max_ms,
							pg_prng_uint32(&pg_global_prng_state));
}
