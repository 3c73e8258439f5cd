/*-------------------------------------------------------------------------
 *
 * on_status.c
 *		Calls the shop's on_status functions.
 *
 * A function runs with the rights of its owner, never with the worker's, in a
 * security-restricted context that also binds what it calls; and only if the
 * server's owner could have it run alone (project/callback.c).  Deferred
 * constraints are checked within the call, because at the commit they would run
 * as the worker.  Its time is limited: 1 s for a lock, 5 s for the statement.
 *
 * Up to 64 calls of one server share a transaction, since taking, noting and
 * committing one took three times as long as the call itself.  There are no
 * savepoints, because a function in SQL would be planned anew within each.  If a
 * call or the commit fails, all of the batch is rolled back, and each of its calls
 * is made alone.  No call begins later than 20 ms after the first of its batch, so
 * its locks are not held for long.
 *
 * The attempt and the time of the next one are committed before the call.  So a
 * function that ends the worker is called again later, not in a tight loop.
 * A call that has failed before waits until nothing else is under way, 10 s at
 * most.  A project is held back by the time that its calls take, whether they fail
 * or not, since the worker does nothing else meanwhile.  A function that catches
 * its cancellation ends with the worker, at twice the timeout.
 *
 *-------------------------------------------------------------------------
 */
#include "worker/state.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

/* Calls that share a transaction, at most. */
#define MAX_CALLS 64

/* No call of a batch begins later than this after the first. */
#define BATCH_MS 20

/* How long one call may take, and how long it may wait for one lock. */
#define CALL_TIMEOUT_MS 5000
#define CALL_LOCK_TIMEOUT "1s"

/* A call of a batch may take no longer than this; it is made again, alone. */
#define BATCH_TIMEOUT_MS 1000

/* A function that catches its cancellation and goes on has the worker ended after this long. */
#define CALL_KILL_MS (2 * CALL_TIMEOUT_MS)

/* How long calls are made before the worker serves the network again. */
#define CALLS_BUDGET_MS 50

/* A batch may take so long; what it takes above is followed by so many times as long without a call of its project. */
#define CALL_FREE_MS 100
#define CALL_REST 4

/* A call that failed before waits until no transfer is under way, but not longer than this. */
#define RISKY_AFTER_MS 10000

typedef struct Call
{
	int64		checkout;
	int32		poke;
	int32		attempts;
} Call;

/* Calls of one project that are taken and not made yet. */
struct TakenCalls
{
	Call		calls[MAX_CALLS];
	int			next;			/* the first of them */
	int			n;				/* the end */
	int			alone;			/* those before this one are made alone, since their batch failed */
};

/* Calls for one transaction. */
typedef struct Batch
{
	ProjectState *state;
	const Call *calls;
	int			n;
	int			begun;			/* how many were begun; the others are left for the next batch */
	bool		all_done;		/* none of these has changed meanwhile */
	bool		refused;		/* the function may not run */
	int64		took;			/* microseconds in the functions, when none has failed */
	Datum		rows[MAX_CALLS];	/* the checkouts; 0 = gone */
} Batch;

/* ---- Taking calls, and noting what became of them ---- */

/*
 * Take due calls of this project and commit their attempts; false when there are
 * none.  "again": one that has failed before may be taken, alone.
 */
static bool
take_calls(ProjectState *state, bool again)
{
	static InqudStatement statement = {
		"SELECT checkout, poke, attempts, due_at FROM inqud._take_calls($1, $2, $3, $4, $5)", "int8 int4 int4 bool timestamptz"
	};
	struct TakenCalls *taken = state->taken;
	TimestampTz last = state->call_due.from;
	Due			next;
	Datum		values[5];
	InqudRole	role;
	bool		isnull;
	int			n;

	values[0] = Int64GetDatum(worker.home);
	values[1] = Int32GetDatum(state->server_id);
	values[2] = Int32GetDatum(MAX_CALLS);
	values[3] = BoolGetDatum(again);
	values[4] = TimestampTzGetDatum(last);
	inqud_worker_begin(&role, COMMIT_LAZY);
	n = (int) inqud_execute(&statement, values, NULL);
	for (int i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;

		taken->calls[i].checkout = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		taken->calls[i].poke = DatumGetInt32(SPI_getbinval(tuple, desc, 2, &isnull));
		taken->calls[i].attempts = DatumGetInt32(SPI_getbinval(tuple, desc, 3, &isnull));
		last = Max(last, DatumGetTimestampTz(SPI_getbinval(tuple, desc, 4, &isnull)));
	}
	inqud_set_next(state, &next, "call", n == MAX_CALLS, n == MAX_CALLS ? last : state->call_due.from);
	inqud_worker_commit(&role);
	state->call_due = next;
	/* set when the attempts are committed, since only those may be made */
	taken->next = taken->alone = 0;
	taken->n = n;
	return n > 0;
}

/* The ids of n calls as an array. */
static Datum
ids_of(const Call *calls, int n)
{
	Datum		ids[MAX_CALLS];

	for (int i = 0; i < n; i++)
		ids[i] = Int64GetDatum(calls[i].checkout);
	return PointerGetDatum(construct_array(ids, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/*
 * Note n calls done: they leave the table, but for those whose checkout has changed
 * again since they were taken.  "made" is false for calls that were not made, which
 * become due again.  Returns false if a row is left.
 */
static bool
note_done(const Call *calls, int n, bool made)
{
	static InqudStatement statement = {"SELECT inqud._calls_done($1, $2)", "int8[] int4[]"};
	Datum		pokes[MAX_CALLS];
	Datum		values[2];
	InqudRole	role;
	bool		all;

	for (int i = 0; i < n; i++)
		pokes[i] = Int32GetDatum(made ? calls[i].poke : -1);
	values[0] = ids_of(calls, n);
	values[1] = PointerGetDatum(construct_array(pokes, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	inqud_enter(&role);
	inqud_execute(&statement, values, NULL);
	all = inqud_first_int8(1) == 0;
	inqud_leave(&role);
	return all;
}

/* Record a failed call as an event of the checkout, and log it. */
static void
note_failed(ProjectState *state, const Call *call, const char *message)
{
	static InqudStatement statement = {"SELECT inqud._event($1, 'hook', $2)", "int8 text"};
	Datum		values[2];
	InqudRole	role;

	ereport(LOG,
			(errmsg("on_status function of server \"%s\" failed for checkout " INT64_FORMAT ": %s",
					state->project, call->checkout, message)));
	values[0] = Int64GetDatum(call->checkout);
	values[1] = CStringGetTextDatum(psprintf("attempt %d of on_status: %s", call->attempts, message));
	inqud_worker_begin(&role, COMMIT_LAZY);
	inqud_execute(&statement, values, NULL);
	inqud_worker_commit(&role);
}

/* ---- The function ---- */

/* The value of the server's option on_status; NULL without server or option. */
static char *
function_name(ForeignServer *server)
{
	ListCell   *cell;

	if (server == NULL)
		return NULL;
	foreach(cell, server->options)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, "on_status") == 0)
			return strVal(option->arg);
	}
	return NULL;
}

/* Call the function with the row, and ignore its result. */
static void
call_with_row(FmgrInfo *function, Datum row)
{
	LOCAL_FCINFO(fcinfo, 1);

	InitFunctionCallInfoData(*fcinfo, function, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = row;
	fcinfo->args[0].isnull = false;
	(void) FunctionCallInvoke(fcinfo);
}

/* Timeout handler: end this process at its next CHECK_FOR_INTERRUPTS. */
static void
kill_self(void)
{
	kill(MyProcPid, SIGTERM);
}

/* Change a setting for the function's call. */
static void
set_for_call(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* Call the function as its owner, security-restricted and with timeouts. */
static void
call_function(const InqudCallback *callback, FmgrInfo *function, Datum row, int timeout_ms)
{
	ConstraintsSetStmt immediate = {.type = T_ConstraintsSetStmt};
	Oid			userid;
	int			context;
	int			level = NewGUCNestLevel();
	static TimeoutId kill_timeout = MAX_TIMEOUTS;

	if (kill_timeout == MAX_TIMEOUTS)
		kill_timeout = RegisterTimeout(USER_TIMEOUT, kill_self);
	set_for_call("search_path", psprintf("%s, pg_temp", quote_identifier(callback->schema)));
	set_for_call("lock_timeout", CALL_LOCK_TIMEOUT);
	GetUserIdAndSecContext(&userid, &context);
	SetUserIdAndSecContext(callback->owner, context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	/* for all constraints: a call before may have deferred some */
	AfterTriggerSetState(&immediate);
	enable_timeout_after(STATEMENT_TIMEOUT, timeout_ms);
	enable_timeout_after(kill_timeout, CALL_KILL_MS);
	call_with_row(function, row);
	disable_timeout(STATEMENT_TIMEOUT, false);
	disable_timeout(kill_timeout, false);
	/* if a timeout has just fired, raise it within this call */
	CHECK_FOR_INTERRUPTS();
	SetUserIdAndSecContext(userid, context);
	AtEOXact_GUC(false, level);
}

/* ---- One transaction ---- */

/* Read the checkouts of a batch. */
static void
read_rows(Batch *batch)
{
	static InqudStatement statement = {"SELECT k.id, k FROM inqud.checkout k WHERE k.id = ANY ($1)", "int8[]"};
	Datum		ids = ids_of(batch->calls, batch->n);
	InqudRole	role;
	bool		isnull;
	int			found;

	memset(batch->rows, 0, sizeof(batch->rows));
	inqud_lock_tables();
	inqud_enter(&role);
	found = (int) inqud_execute(&statement, &ids, NULL);
	for (int i = 0; i < found; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		int64		id = DatumGetInt64(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &isnull));

		for (int k = 0; k < batch->n; k++)
		{
			if (batch->calls[k].checkout == id)
				batch->rows[k] = SPI_datumTransfer(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 2, &isnull),
												   false, -1);
		}
	}
	inqud_leave(&role);
}

/*
 * Find the server's function as the catalogues are now; false when none is named.
 * A function that may not run is raised as an error.
 */
static bool
find_function(Batch *batch, InqudCallback *callback)
{
	ForeignServer *server;
	InqudProblem problem;
	char	   *name;

	AcceptInvalidationMessages();
	server = GetForeignServerExtended(batch->state->serverid, FSV_MISSING_OK);
	name = function_name(server);
	if (name == NULL)
		return false;
	batch->refused = !inqud_callback_find(callback, name, server->owner, &problem);
	if (batch->refused)
		inqud_problem_raise(&problem);
	return true;
}

/* Whether a function is the one that was called before, and has not been altered since. */
static bool
is_same(InqudCallback *a, InqudCallback *b)
{
	return a->function == b->function && a->xmin == b->xmin && ItemPointerEquals(&a->tid, &b->tid);
}

/*
 * Call the function for each checkout of the batch.  What is known of it is kept
 * within the batch, for one in SQL is planned at its first call only.  It is looked
 * up for each, because a call or another session may have changed server, function
 * or rights; then nothing of it is kept, for the function's manager remembers the
 * role of a SECURITY DEFINER function.
 */
static void
make_calls(Batch *batch)
{
	InqudClock	began = inqud_clock_us();
	InqudCallback last = {.function = InvalidOid};
	InqudCallback callback;
	FmgrInfo	function = {.fn_addr = NULL};

	do
	{
		Datum		row = batch->rows[batch->begun++];

		if (row == (Datum) 0)
			continue;
		PushActiveSnapshot(GetTransactionSnapshot());
		if (find_function(batch, &callback))
		{
			if (function.fn_addr == NULL || !is_same(&callback, &last))
				fmgr_info(callback.function, &function);
			last = callback;
			call_function(&callback, &function, row, batch->n > 1 ? BATCH_TIMEOUT_MS : CALL_TIMEOUT_MS);
		}
		PopActiveSnapshot();
		/* what comes next must see what the function has written */
		CommandCounterIncrement();
	} while (batch->begun < batch->n &&
			 inqud_clock_us() - began <= BATCH_MS * 1000);
	batch->took = inqud_clock_us() - began;
}

/* Call the function and record that it was called, in one transaction. */
static void
run_batch(Batch *batch)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	read_rows(batch);
	PopActiveSnapshot();
	make_calls(batch);
	PushActiveSnapshot(GetTransactionSnapshot());
	batch->all_done = note_done(batch->calls, batch->begun, true);
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(worker.turn);
}

/* Drop the temporary objects of this session. */
static void
empty_pg_temp(Batch *batch)
{
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	ResetTempTableNamespace();
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(worker.turn);
}

/*
 * Run act; NULL, or the message of its error after the transaction has been rolled
 * back.  To a refusal of ours belongs its hint; those of functions may show what is
 * not for the checkout's owner.
 */
static char *
catch_error(void (*act) (Batch *), Batch *batch)
{
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		act(batch);
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(worker.turn);
		disable_all_timeouts(false);
		QueryCancelPending = false;
		error = CopyErrorData();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		MemoryContextSwitchTo(worker.turn);
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	if (error && error->hint && batch->refused)
		return psprintf("%s. %s", error->message, error->hint);
	return error ? error->message : NULL;
}

/*
 * Undo what a function may leave behind in our session: its advisory locks, and
 * our own if it released it, and temporary objects.  Dropping those may need a
 * lock that another session holds; then they stay until the next call of any
 * function or the worker's end.  They do no harm meanwhile, since pg_temp comes
 * last in every search path here.
 */
static void
clean_up(Batch *batch)
{
	char	   *error;

	LockReleaseSession(USER_LOCKMETHOD);
	if (!inqud_lock_database())
		ereport(FATAL,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("another worker of inqud has taken over this database")));
	error = catch_error(empty_pg_temp, batch);
	if (error)
		ereport(LOG,
				(errmsg("what an on_status function made in pg_temp could not be dropped: %s", error)));
}

/* ---- Which calls, and when ---- */

/*
 * After a batch whose calls took so long: a project whose calls take long waits before
 * its next one, whether they fail or not.  What they take above CALL_FREE_MS counts
 * CALL_REST times, so a project has a fifth of the worker's time at most.  All such
 * projects together have half of it, however many there are.
 */
static void
note_time(ProjectState *state, bool ok, int64 took)
{
	InqudClock	now = inqud_clock_us();
	int64		over = took - CALL_FREE_MS * 1000;

	state->call_slow = over > 0;
	state->call_alone = !ok || state->call_slow;
	if (state->call_slow)
	{
		state->call_hold = now + CALL_REST * over;
		worker.slow_hold = now + over;
	}
	inqud_count_slow_call(&state->counting, state->call_slow ? took : 0);
}

static bool
has_taken(const ProjectState *state)
{
	return state->taken != NULL && state->taken->next < state->taken->n;
}

/* When this project's next call may be made; INQUD_FAR = none is known. */
static InqudClock
next_call(const ProjectState *state)
{
	InqudClock	hold = state->call_slow ? Max(state->call_hold, worker.slow_hold) : state->call_hold;

	if (has_taken(state))
		return hold;
	if (state->gone)
		return INQUD_FAR;
	return state->call_due.at == INQUD_FAR ? INQUD_FAR : Max(state->call_due.at, hold);
}

InqudClock
inqud_next_call(void)
{
	InqudClock	next = INQUD_FAR;
	dlist_iter	iter;

	dlist_foreach(iter, &worker.projects)
		next = Min(next, next_call(dlist_container(ProjectState, node, iter.cur)));
	return next;
}

/*
 * A call that failed before may end the worker: true if no transfer would be
 * lost, or it has waited long enough.
 */
static bool
may_risk(InqudClock now)
{
	return (worker.n_in_flight == 0 && worker.n_finished == 0) ||
		now >= worker.risky_at + RISKY_AFTER_MS * 1000;
}

/* Take the project's next calls if none is left; false when there is none to make. */
static bool
have_calls(ProjectState *state, InqudClock now)
{
	if (state->taken == NULL)
		state->taken = MemoryContextAllocZero(worker.context, sizeof(struct TakenCalls));
	if (has_taken(state))
		return true;
	if (!take_calls(state, may_risk(now)))
	{
		/* those that are due have failed before or are locked: try again in a second */
		if (state->call_due.at <= now)
			state->call_hold = now + USECS_PER_SEC;
		return false;
	}
	if (state->taken->calls[0].attempts > 1)
		worker.risky_at = now;
	return true;
}

/*
 * Make the project's next calls in one transaction: many, or a single one after a
 * failure, which may be the function's, and after one that took long.
 */
static void
run_next(ProjectState *state, InqudClock now)
{
	struct TakenCalls *taken = state->taken;
	bool		alone = state->call_alone || taken->next < taken->alone;
	Batch		batch = {.state = state, .calls = taken->calls + taken->next};
	char	   *error;

	batch.n = alone ? 1 : taken->n - taken->next;
	inqud_worker_queued = DT_NOEND;
	error = catch_error(run_batch, &batch);
	if (error != NULL && batch.n > 1)
		taken->alone = taken->next + Max(batch.begun, 1);
	else
		/* before what may fail, so that no call is made twice */
		taken->next += error != NULL ? 1 : batch.begun;
	clean_up(&batch);
	/* the commit is not the function's: a slow disk must not have each call made alone */
	note_time(state, error == NULL, error == NULL ? batch.took : inqud_clock_us() - now);
	/* what the functions have queued, or must be called again, only the tables say */
	worker.look |= error != NULL || !batch.all_done;
	inqud_look_from(inqud_worker_queued);
	if (error != NULL && batch.n == 1)
		note_failed(state, batch.calls, error);
	pgstat_report_stat(false);
}

/* The first project in the list that has a call to make now; NULL when none has. */
static ProjectState *
next_to_call(InqudClock now)
{
	dlist_iter	iter;

	dlist_foreach(iter, &worker.projects)
	{
		ProjectState *state = dlist_container(ProjectState, node, iter.cur);

		if (next_call(state) <= now && have_calls(state, now))
			return state;
	}
	return NULL;
}

/* Who was served goes to the end of the list, so that each project has its turn. */
void
inqud_make_calls(void)
{
	InqudClock	began = inqud_clock_us();
	InqudClock	now = began;
	ProjectState *state;

	while (now - began < CALLS_BUDGET_MS * 1000 && (state = next_to_call(now)) != NULL)
	{
		dlist_delete(&state->node);
		dlist_push_tail(&worker.projects, &state->node);
		run_next(state, now);
		now = inqud_clock_us();
	}
}

/* A successor would take what is only taken for failed. */
void
inqud_release_calls(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &worker.projects)
	{
		ProjectState *state = dlist_container(ProjectState, node, iter.cur);
		InqudRole	role;
		int			next;

		if (!has_taken(state))
			continue;
		next = state->taken->next;
		state->taken->next = state->taken->n;
		inqud_worker_begin(&role, COMMIT_LAZY);
		note_done(state->taken->calls + next, state->taken->n - next, false);
		inqud_worker_commit(&role);
	}
}
