/*-------------------------------------------------------------------------
 *
 * claim.c
 *		Claims the calls that are due, from the tables and from the schedule.
 *
 * A project gets as many as its free window and its rate allow: creates first,
 * then reads that were asked for, then reads of active and of idle checkouts; each
 * kind keeps a part of the rate.
 * A call that cannot start soon is not claimed, so a backlog of one project does
 * not delay another project, and no backlog of reads builds up.
 *
 * All claims of a turn are one short transaction, and the calls start after its
 * commit.  The commit is not flushed: losing it in a crash only repeats calls
 * whose answers were never recorded.  This file must not start a call.
 *
 *-------------------------------------------------------------------------
 */
#include "worker/state.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

/*
 * After a claim that found nothing, since other sessions have the rows locked:
 * claim again after this long.
 */
#define HOLD_US (100 * 1000)

/*
 * While claims go on where the last one ended: look from the beginning after this
 * long, for rows that were locked, or whose transaction took long.
 */
#define LOOK_US USECS_PER_SEC

/* While the tables are queried for what is new, they are queried for all after this long. */
#define LOOK_ALL_US (10 * USECS_PER_SEC)

/* A create whose owner keeps the answers to others locked is taken again after this long. */
#define LOCKED_OUT_MS 5000

/* What a call costs that a waiting kind has earned, in calls of others that went before; and the most that it saves. */
#define EARNED_CALL 4
#define EARNED_MOST (16 * EARNED_CALL)

/* ---- Accounts ---- */

/*
 * Look up the account as the owner of the row; NULL, or the sentence that says why it
 * cannot be used, with the call's fault.
 */
static const char *
look_up_account(InqudCall *call)
{
	InqudProblem problem;

	if (!OidIsValid(call->role) || !SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(call->role)))
	{
		char	   *name = inqud_known_name(INQUD_KNOWN_ROLE, call->owner_id);

		call->fault = INQUD_FAULT_NO_OWNER;
		return psprintf("role \"%s\", which asked for it, was dropped or is not known here", name ? name : "");
	}
	/* of a project that a suspect made known, nothing has been read yet */
	call->state->serverid = inqud_known_oid(INQUD_KNOWN_SERVER, call->state->server_id);
	call->project = inqud_project_lookup_oid(call->state->serverid, call->role,
											 INQUD_NEED_USAGE | INQUD_NEED_CREDENTIALS, &problem);
	if (call->project == NULL)
	{
		call->fault = problem.fault;
		return problem.message;
	}
	if (call->project_id && strcmp(call->project->account.project_id, call->project_id) != 0)
	{
		call->fault = INQUD_FAULT_PROJECT_CHANGED;
		return psprintf("made for project_id \"%s\", but server \"%s\" says \"%s\" now",
						call->project_id, call->project->name, call->project->account.project_id);
	}
	return NULL;
}

static InqudCall *
call_of_row(uint64 i)
{
	InqudCall  *call = inqud_call_new(worker.context);

	inqud_call_set_due(call, SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
	return call;
}

/* Add a claimed call.  One that must not be sent gets its outcome here. */
static void
add_call(InqudCall *call, ProjectState *state, dlist_head *claimed)
{
	Followed   *followed = inqud_followed(call->checkout);
	const char *why;
	int64		left;

	/* first, so that after an error below drop_claimed finds it */
	dlist_push_tail(claimed, &call->node);
	call->state = state;
	if (followed)
	{
		followed->busy = true;
		call->attempts = Max(call->attempts, followed->attempts);
	}
	why = look_up_account(call);
	if (why != NULL)
	{
		inqud_set_unsent(call, INQUD_BLOCKED, inqud_to_utf8(why),
						 call->fault == INQUD_FAULT_NO_OWNER ? NO_OWNER_MS : BLOCKED_MS);
		return;
	}
	inqud_state_set_options(state, call->project);
	state->account = call->project->digest;
	state->has_account = true;
	if (inqud_is_create(call) && inqud_locks_many(state, call->role))
	{
		inqud_set_unsent(call, INQUD_HELD, "", LOCKED_OUT_MS);
		return;
	}
	left = inqud_pause_left(call->project);
	if (left > 0)
		inqud_set_unsent(call, INQUD_HELD, "", left);
}

/* ---- Due times ---- */

/* Where the state of a project has when its next row of a kind is due; NULL for a kind that is none of a project. */
static Due *
due_of(ProjectState *state, int kind)
{
	switch (kind)
	{
		case INQUD_KIND_CALL:
			return &state->call_due;
		case INQUD_KIND_CREATE:
			return &state->create_due;
		case INQUD_KIND_FOUND:
			return &state->found_due;
		default:
			return &state->asked_due;
	}
}

/* Keep one row of inqud._next_due(): a project, a kind and when its next row is due. */
static void
set_due(HeapTuple tuple, TupleDesc desc)
{
	int			kind = inqud_kind_of(SPI_getvalue(tuple, desc, 2));
	bool		isnull;
	int32		server_id = DatumGetInt32(SPI_getbinval(tuple, desc, 1, &isnull));
	TimestampTz due = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 3, &isnull));

	if (kind == INQUD_KIND_INBOX)
		worker.inbox_due = Min(worker.inbox_due, inqud_clock_of(due));
	else
		inqud_due_earlier(due_of(inqud_project_state(server_id), kind), due);
}

static bool
server_exists(const ProjectState *state)
{
	return OidIsValid(state->serverid) &&
		SearchSysCacheExists1(FOREIGNSERVEROID, ObjectIdGetDatum(state->serverid));
}

/* A server that was dropped costs nothing until something changes: nothing is claimed for it. */
void
inqud_state_read_options(ProjectState *state)
{
	InqudProblem problem;
	InqudProject *project;

	state->serverid = inqud_known_oid(INQUD_KNOWN_SERVER, state->server_id);
	inqud_state_set_gone(state, !server_exists(state));
	if (state->gone)
	{
		state->known = true;
		return;
	}
	state->accounts = inqud_has_mappings(state->serverid);
	project = inqud_project_lookup_oid(state->serverid, GetUserId(), 0, &problem);
	if (project)
	{
		inqud_state_set_options(state, project);
		inqud_project_release(project);
	}
}

/* Read the options of projects that are new, and of all after a change. */
static void
read_new_options(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &worker.projects)
	{
		ProjectState *state = dlist_container(ProjectState, node, iter.cur);

		if (!state->known)
			inqud_state_read_options(state);
	}
}

/* Forget when rows are due that the next query returns: of webhooks, and with "all" of the others, too. */
static void
forget_due(bool all)
{
	dlist_iter	iter;

	worker.inbox_due = INQUD_FAR;
	dlist_foreach(iter, &worker.projects)
	{
		ProjectState *state = dlist_container(ProjectState, node, iter.cur);

		inqud_due_never(&state->found_due);
		if (!all)
			continue;
		inqud_due_never(&state->create_due);
		inqud_due_never(&state->asked_due);
		inqud_due_never(&state->call_due);
	}
}

static Datum
known_projects(void)
{
	ArrayBuildState *servers = initArrayResult(INT4OID, worker.turn, false);

	for (ProjectState *state = inqud_next_project(NULL); state; state = inqud_next_project(state))
		servers = accumArrayResult(servers, Int32GetDatum(state->server_id), false, INT4OID, worker.turn);
	return makeArrayResult(servers, worker.turn);
}

void
inqud_look_from(TimestampTz from)
{
	worker.look_from = Min(worker.look_from, from);
}

bool
inqud_must_look(void)
{
	return worker.look || worker.look_from != DT_NOEND ||
		Min(worker.inbox_due, worker.look_by) <= inqud_clock_us();
}

/*
 * What is due earlier than what was queued last is known.  Its entries in the index
 * are passed over: most are dead, and stay there while another session holds an old
 * snapshot.  But once in a while all are looked at, for rows that were locked, or whose
 * clock was another; that takes a fiftieth of the time at most.
 */
void
inqud_query_due(void)
{
	static InqudStatement statement = {"SELECT * FROM inqud._next_due($1, $2, $3)", "int8 int4[] timestamptz"};
	Datum		values[3];
	InqudClock	began = inqud_clock_us();
	bool		all = worker.look || worker.look_by <= began ||
		(worker.look_from != DT_NOEND && worker.look_until <= began);
	InqudRole	role;
	uint64		n;
	uint64		i;

	inqud_worker_begin(&role, COMMIT_LAZY);
	values[0] = Int64GetDatum(worker.home);
	values[1] = known_projects();
	values[2] = TimestampTzGetDatum(all ? DT_NOBEGIN : Min(worker.look_from, GetCurrentTransactionStartTimestamp()));
	worker.look = false;
	worker.look_from = DT_NOEND;
	n = inqud_execute(&statement, values, NULL);
	forget_due(all);
	for (i = 0; i < n; i++)
		set_due(SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
	read_new_options();
	inqud_worker_commit(&role);
	if (!all)
		return;
	worker.look_by = INQUD_FAR;
	worker.look_until = inqud_clock_us() + Max(LOOK_ALL_US, 50 * (inqud_clock_us() - began));
}

/* ---- Claims ---- */

void
inqud_set_next(ProjectState *state, Due *due, const char *kind, bool full, TimestampTz from)
{
	static InqudStatement statement = {"SELECT inqud._next($1, $2, $3, $4)", "int8 int4 text timestamptz"};
	Datum		values[4];
	bool		isnull;

	if (full)
	{
		inqud_due_set(due, from);
		worker.look_by = Min(worker.look_by, inqud_clock_us() + LOOK_US);
		return;
	}
	values[0] = Int64GetDatum(worker.home);
	values[1] = Int32GetDatum(state->server_id);
	values[2] = CStringGetTextDatum(kind);
	values[3] = TimestampTzGetDatum(from);
	inqud_execute(&statement, values, NULL);
	from = DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	inqud_due_set(due, isnull ? DT_NOEND : from);
	/* what full claims have passed over is due earlier */
	if (worker.look_by != INQUD_FAR)
		worker.look = true;
}

/* Claim at most n creates; returns how many. */
static int
claim_creates(ProjectState *state, int n, dlist_head *claimed)
{
	static InqudStatement statement = {
		"SELECT * FROM inqud._claim($1, $2, $3, $4, $5)", "int8 int4 int4 int8 timestamptz"
	};
	Datum		values[5];
	TimestampTz last = state->create_due.from;
	bool		full;
	uint64		found;
	uint64		i;

	values[0] = Int64GetDatum(worker.home);
	values[1] = Int32GetDatum(state->server_id);
	values[2] = Int32GetDatum(n);
	values[3] = Int64GetDatum(worker.lease);
	values[4] = TimestampTzGetDatum(last);
	inqud_worker_queued = DT_NOEND;
	found = inqud_execute(&statement, values, NULL);
	for (i = 0; i < found; i++)
	{
		InqudCall  *call = call_of_row(i);

		last = inqud_from_unix(call->due_at);
		add_call(call, state, claimed);
	}
	/* rows that were locked are due before the last one: a claim that is not full leaves none behind */
	full = found == (uint64) n;
	inqud_set_next(state, &state->create_due, "create", full, full ? last : state->create_due.from);
	/* an order that was paid otherwise was dropped, which on_status is told */
	inqud_look_from(inqud_worker_queued);
	return (int) found;
}

/*
 * Claim at most n reads that were asked for, through a function in SQL; *due is
 * the member of state that says when the next one is due.  Their rows stay in the
 * table until the read is done, so skip those whose read is under way.  Returns
 * how many were claimed.
 */
static int
claim_asked(InqudStatement *statement, ProjectState *state, int n, Due *due,
			dlist_head *claimed)
{
	Datum		values[4];
	TimestampTz now = GetCurrentTimestamp();
	uint64		found;
	uint64		i;
	int			taken = 0;

	values[0] = Int64GetDatum(worker.home);
	values[1] = Int32GetDatum(state->server_id);
	values[2] = Int32GetDatum(n + state->in_flight + state->n_ready + worker.n_finished);
	values[3] = TimestampTzGetDatum(due->from);
	found = inqud_execute(statement, values, NULL);
	for (i = 0; i < found && taken < n; i++)
	{
		InqudCall  *call = call_of_row(i);
		Followed   *followed = inqud_followed(call->checkout);

		if (followed && followed->busy)
		{
			state->asked_again = true;
			inqud_call_free(call);
			continue;
		}
		if (followed == NULL)
			(void) inqud_follow(call->checkout, state, INQUD_PHASE_CHECK, inqud_clock_us());
		call->asked = true;
		add_call(call, state, claimed);
		taken++;
	}
	if (taken == n)
		return taken;
	if (due == &state->asked_due)
		inqud_set_next(state, due, "read", false, now);
	else
	{
		inqud_due_never(due);
		worker.look = true;
	}
	return taken;
}


static InqudStatement claim_asked_reads = {
	"SELECT * FROM inqud._asked($1, $2, $3, $4)", "int8 int4 int4 timestamptz"
};

static InqudStatement claim_found = {"SELECT * FROM inqud._found($1, $2, $3)", "int8 int4 int4 timestamptz"};

/* Claim at most n reads that the schedule says are due; returns how many were taken from it. */
static int
claim_reads(ProjectState *state, int n, dlist_head *claimed)
{
	static InqudStatement statement = {"SELECT * FROM inqud._read($1)", "int8[]"};
	InqudClock	now = inqud_clock_us();
	Datum	   *ids = palloc(sizeof(Datum) * n);
	Datum		array;
	Followed   *followed;
	int			asked = 0;
	uint64		found;
	uint64		i;

	while (asked < n && (followed = inqud_take_next_read(state, now)) != NULL)
	{
		/* a read that was asked for is under way, and serves for this one too */
		if (followed->busy)
			continue;
		ids[asked++] = Int64GetDatum(followed->id);
	}
	if (asked == 0)
		return 0;
	array = PointerGetDatum(construct_array(ids, asked, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
											TYPALIGN_DOUBLE));
	found = inqud_execute(&statement, &array, NULL);
	for (i = 0; i < found; i++)
		add_call(call_of_row(i), state, claimed);
	/* the tables say that the others are not read by the schedule any more */
	for (i = 0; i < (uint64) asked; i++)
	{
		followed = inqud_followed(DatumGetInt64(ids[i]));
		if (followed && !followed->busy)
			inqud_unfollow(followed->id);
	}
	return asked;
}

static bool
is_due(ProjectState *state, InqudClock now)
{
	return inqud_state_next_due(state) <= now &&
		(inqud_state_room(state, true) > 0 || inqud_state_room(state, false) > 0);
}

/* Is something of this kind due? */
static bool
kind_is_due(const ProjectState *state, CallKind kind, InqudClock now)
{
	switch (kind)
	{
		case CALL_CREATE:
			return state->create_due.at <= now;
		case CALL_ASKED:
			return state->asked_due.at <= now;
		case CALL_FOUND:
			return state->found_due.at <= now;
		default:
			return inqud_state_next_read(state) <= now;
	}
}

/* Claim at most n calls of one kind; returns how many. */
static int
claim_kind(ProjectState *state, CallKind kind, int n, dlist_head *claimed)
{
	switch (kind)
	{
		case CALL_CREATE:
			return claim_creates(state, n, claimed);
		case CALL_ASKED:
			return claim_asked(&claim_asked_reads, state, n, &state->asked_due, claimed);
		case CALL_FOUND:
			return claim_asked(&claim_found, state, n, &state->found_due, claimed);
		default:
			return claim_reads(state, n, claimed);
	}
}

/*
 * Claim what there is room for, in the order of kinds.  But a kind that waits earns a quarter
 * of a call by each that goes before it, and what it has earned goes first: so a part
 * of the rate is left to each, however many of another kind are due.
 */
static int
claim_shares(ProjectState *state, InqudClock now, dlist_head *claimed)
{
	int			n_creates = inqud_state_room(state, true);
	int			n_reads = inqud_state_room(state, false);
	int			taken[CALL_KINDS] = {0};
	int			all = 0;
	int			i;

	/* twice through the kinds: what was earned, and what there is room for */
	for (i = 0; i < 2 * CALL_KINDS; i++)
	{
		CallKind	kind = (CallKind) (i % CALL_KINDS);
		int			left = (kind == CALL_CREATE ? n_creates : n_reads) - all;
		int			most = i < CALL_KINDS ? Min(state->earned[kind] / EARNED_CALL, left) : left;
		int			more = most > 0 && kind_is_due(state, kind, now) ? claim_kind(state, kind, most, claimed) : 0;

		taken[kind] += more;
		all += more;
	}
	for (i = 0; i < CALL_KINDS; i++)
	{
		int			earned = state->earned[i] + all - taken[i] - EARNED_CALL * taken[i];

		state->earned[i] = kind_is_due(state, (CallKind) i, now) ? Max(Min(earned, EARNED_MOST), 0) : 0;
	}
	return all;
}

/* Claim for one project as much as its window and rate have room for. */
static void
claim_for_project(ProjectState *state, dlist_head *claimed)
{
	InqudClock	now = inqud_clock_us();

	/* dropped since the options were read */
	inqud_state_set_gone(state, !server_exists(state));
	if (state->gone)
		return;
	if (state->rate > 0 && state->has_account && !state->accounts)
	{
		int64		wait = inqud_limiter_peek(&state->account, state->rate);

		if (wait > 0)
		{
			inqud_state_wait(state, wait);
			return;
		}
	}
	if (claim_shares(state, now, claimed) == 0)
		state->hold = now + HOLD_US;
}

/* The claim was rolled back: free its calls, and schedule its reads again in a second. */
static void
drop_claimed(dlist_head *claimed)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, claimed)
	{
		dlist_delete(iter.cur);
		inqud_drop_call(dlist_container(InqudCall, node, iter.cur));
	}
	inqud_reschedule_lost(inqud_clock_us() + USECS_PER_SEC);
	worker.look = true;
}

/*
 * The claim is committed: queue its calls for the start, or for writing when they
 * have their outcome already.
 */
static void
queue_ready(dlist_head *claimed)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, claimed)
	{
		InqudCall  *call = dlist_container(InqudCall, node, iter.cur);

		dlist_delete(&call->node);
		if (call->message == NULL)
		{
			if (call == worker.alone)
				dlist_push_head(&call->state->ready, &call->node);
			else
				dlist_push_tail(&call->state->ready, &call->node);
			call->state->n_ready++;
			worker.n_ready++;
		}
		else
			inqud_finish_call(call);
	}
}

bool
inqud_claim_alone(int64 id, ProjectState *state)
{
	static InqudStatement statement = {"SELECT * FROM inqud._claim_alone($1, $2)", "int8 int8"};
	Datum		values[] = {Int64GetDatum(id), Int64GetDatum(worker.lease)};
	dlist_head	claimed;
	InqudRole	role;

	dlist_init(&claimed);
	PG_TRY();
	{
		/* flushed: if the call ends the worker, or the server, it must have been counted */
		inqud_worker_begin(&role, COMMIT_FLUSHED);
		if (inqud_execute(&statement, values, NULL) > 0)
		{
			InqudCall  *call = call_of_row(0);

			call->asked = call->kind != INQUD_KIND_CREATE && call->due_at != 0;
			if (call->kind != INQUD_KIND_CREATE)
				(void) inqud_follow(call->checkout, state, INQUD_PHASE_CHECK, inqud_clock_us());
			add_call(call, state, &claimed);
		}
		inqud_worker_commit(&role);
	}
	PG_CATCH();
	{
		drop_claimed(&claimed);
		inqud_end_quiet();
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (dlist_is_empty(&claimed))
		return false;
	worker.alone = dlist_head_element(InqudCall, node, &claimed);
	queue_ready(&claimed);
	return true;
}

void
inqud_claim_due(void)
{
	InqudClock	now = inqud_clock_us();
	dlist_head	claimed;
	dlist_iter	iter;
	InqudRole	role;
	bool		any = false;

	dlist_foreach(iter, &worker.projects)
		any |= is_due(dlist_container(ProjectState, node, iter.cur), now);
	if (!any)
		return;

	dlist_init(&claimed);
	PG_TRY();
	{
		inqud_worker_begin(&role, COMMIT_LAZY);
		dlist_foreach(iter, &worker.projects)
		{
			ProjectState *state = dlist_container(ProjectState, node, iter.cur);

			if (is_due(state, now))
				claim_for_project(state, &claimed);
		}
		inqud_worker_commit(&role);
	}
	PG_CATCH();
	{
		drop_claimed(&claimed);
		PG_RE_THROW();
	}
	PG_END_TRY();
	queue_ready(&claimed);
}
