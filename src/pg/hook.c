/*-------------------------------------------------------------------------
 *
 * hook.c
 *		Calls the shop's on_status functions.
 *
 * The function belongs to somebody: it runs with that role's rights, never the
 * worker's, in a security-restricted context, so that neither it nor what it
 * calls can reach further.  Deferred constraints fire inside of it, not at a
 * commit that would run them as the worker.  A lock timeout and a statement
 * timeout of our own bound it.
 *
 * The attempt is committed before the call.  So whatever the function does, to
 * itself or to the worker, it is called again later and not in a tight loop.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/dispatch.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "commands/trigger.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "pgstat.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

/* How long one call may take, and wait for one lock. */
#define HOOK_TIMEOUT_MS 5000
#define HOOK_LOCK_TIMEOUT "1s"

/* A function that catches its cancellation ends with the worker. */
#define HOOK_KILL_MS (2 * HOOK_TIMEOUT_MS)

/* Calls until the network is looked at again. */
#define HOOKS_BUDGET_MS 50

/* A call that took so long hung rather than failed. */
#define HOOK_HANG_MS 1000

/* A function that hangs again and again is left alone, longer each time, up to ... */
#define HOOK_HOLD_MAX_MS 30000

/* Calls that failed before wait for a quiet moment, but not longer than this. */
#define RISKY_AFTER_MS 10000

typedef struct Hook
{
	int64		checkout;
	char	   *project;
	int32		poke;
	int32		attempts;
} Hook;

/* Take a call of this project that is due; the attempt is committed when this returns. */
static bool
take_hook(Lane *lane, bool again, Hook *hook)
{
	static const char *const types[] = {"int8", "text", "bool"};
	static InqudStatement statement = {
		"SELECT checkout, poke, attempts FROM inqud._hook($1, $2, $3)", 3, types
	};
	Datum		values[3];
	InqudRole	role;
	bool		found;

	values[0] = Int64GetDatum(worker.home);
	values[1] = CStringGetTextDatum(lane->project);
	values[2] = BoolGetDatum(again);
	inqud_worker_begin(&role, false);
	found = inqud_execute(&statement, values, NULL) > 0;
	if (found)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;

		hook->checkout = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		hook->project = lane->project;
		hook->poke = DatumGetInt32(SPI_getbinval(tuple, desc, 2, &isnull));
		hook->attempts = DatumGetInt32(SPI_getbinval(tuple, desc, 3, &isnull));
	}
	inqud_worker_commit(&role);
	return found;
}

/* The server's on_status, or NULL when it has none any more. */
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

/*
 * Find the function.  A name without a schema is one in public.  The server's
 * owner, who chose it, must be allowed to call it.
 */
static Oid
find_function(const char *name, Oid server_owner)
{
	List	   *names = inqud_name_list(name);
	Oid			argument = inqud_type_oid("checkout");
	Oid			function;
	Oid			userid;
	int			context;

	if (list_length(names) == 1)
		names = lcons(makeString("public"), names);
	/* the worker's own role needs no rights on anybody's schema */
	GetUserIdAndSecContext(&userid, &context);
	SetUserIdAndSecContext(server_owner, context | SECURITY_LOCAL_USERID_CHANGE);
	function = LookupFuncName(names, 1, &argument, false);
	SetUserIdAndSecContext(userid, context);
	if (inqud_function_aclcheck(function, server_owner) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for function %s", name),
				 errdetail("The server's owner must have EXECUTE on its on_status function.")));
	return function;
}

static Oid
owner_of(Oid function, char **schema)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	*schema = get_namespace_name(((Form_pg_proc) GETSTRUCT(tuple))->pronamespace);
	ReleaseSysCache(tuple);
	return owner;
}

/* The call itself; what it returns does not matter. */
static void
call_with_row(Oid function, Datum row)
{
	LOCAL_FCINFO(fcinfo, 1);
	FmgrInfo	flinfo;

	fmgr_info(function, &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = row;
	fcinfo->args[0].isnull = false;
	(void) FunctionCallInvoke(fcinfo);
}

/* In a signal handler: have the process end where it next looks for interrupts. */
static void
kill_self(void)
{
	kill(MyProcPid, SIGTERM);
}

/* Call it as its owner, bounded in time and reach. */
static void
call_function(Oid function, Datum row)
{
	ConstraintsSetStmt immediate = {.type = T_ConstraintsSetStmt};
	Oid			userid;
	int			context;
	int			level = NewGUCNestLevel();
	static TimeoutId kill_timeout = MAX_TIMEOUTS;
	char	   *schema;
	Oid			owner = owner_of(function, &schema);

	if (kill_timeout == MAX_TIMEOUTS)
		kill_timeout = RegisterTimeout(USER_TIMEOUT, kill_self);
	(void) set_config_option("search_path",
							 psprintf("%s, pg_temp", quote_identifier(schema)),
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("lock_timeout", HOOK_LOCK_TIMEOUT,
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	GetUserIdAndSecContext(&userid, &context);
	SetUserIdAndSecContext(owner, context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	AfterTriggerSetState(&immediate);
	enable_timeout_after(STATEMENT_TIMEOUT, HOOK_TIMEOUT_MS);
	enable_timeout_after(kill_timeout, HOOK_KILL_MS);
	call_with_row(function, row);
	disable_timeout(STATEMENT_TIMEOUT, false);
	disable_timeout(kill_timeout, false);
	/* a timeout that fired just now belongs to this call */
	CHECK_FOR_INTERRUPTS();
	SetUserIdAndSecContext(userid, context);
	AtEOXact_GUC(false, level);
}

static void
note_done(const Hook *hook)
{
	static const char *const types[] = {"int8", "int4"};
	static InqudStatement statement = {
		"SELECT inqud._hook_done($1, $2)", 2, types
	};
	Datum		values[2];
	InqudRole	role;

	values[0] = Int64GetDatum(hook->checkout);
	values[1] = Int32GetDatum(hook->poke);
	inqud_enter(&role);
	inqud_execute(&statement, values, NULL);
	inqud_leave(&role);
}

static void
note_failed(const Hook *hook, const char *message)
{
	static const char *const types[] = {"int8", "text"};
	static InqudStatement statement = {
		"SELECT inqud._event($1, 'hook', $2)", 2, types
	};
	Datum		values[2];
	InqudRole	role;

	values[0] = Int64GetDatum(hook->checkout);
	values[1] = CStringGetTextDatum(psprintf("attempt %d of on_status: %s", hook->attempts, message));
	inqud_worker_begin(&role, false);
	inqud_execute(&statement, values, NULL);
	inqud_worker_commit(&role);
}

/* One transaction: the call, and the note that it was made. */
static void
run_hook(const Hook *hook)
{
	ForeignServer *server;
	char	   *name;
	Datum		row;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	server = GetForeignServerByName(hook->project, true);
	name = function_name(server);
	row = inqud_checkout_row_if_any(hook->checkout);
	if (name != NULL && row != (Datum) 0)
	{
		call_function(find_function(name, server->owner), row);
		/* note_done must see what the function wrote as done before it */
		CommandCounterIncrement();
	}
	note_done(hook);
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(worker.turn);
}

/* Do it; NULL, or what it failed of, with its transaction gone. */
static char *
try_to(void (*act) (const Hook *), const Hook *hook)
{
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		act(hook);
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
	return error ? error->message : NULL;
}

/* Returns whether it succeeded. */
static bool
try_hook(const Hook *hook)
{
	char	   *error = try_to(run_hook, hook);

	if (error == NULL)
		return true;
	ereport(LOG,
			(errmsg("on_status function of server \"%s\" failed for checkout " INT64_FORMAT ": %s",
					hook->project, hook->checkout, error)));
	note_failed(hook, error);
	return false;
}

static void
empty_pg_temp(const Hook *hook)
{
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	ResetTempTableNamespace();
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(worker.turn);
}

/*
 * What a function can leave in a session, it shall not leave in the worker:
 * advisory locks, which may also be ours that it has released, and what it made
 * in pg_temp.  The latter may take a lock that somebody holds; then it stays,
 * where nothing is found without being named, until the next time or the
 * worker's end.
 */
static void
clean_up(const Hook *hook)
{
	char	   *error;

	LockReleaseSession(USER_LOCKMETHOD);
	if (!inqud_lock_database())
		ereport(FATAL,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("another worker of inqud has taken over this database")));
	error = try_to(empty_pg_temp, hook);
	if (error)
		ereport(LOG,
				(errmsg("what an on_status function made in pg_temp could not be dropped: %s", error)));
}

/*
 * A function that hangs costs its timeout once, and then ever more rarely; one
 * that fails at once costs next to nothing, and its rows have delays of their
 * own.
 */
static void
note_time(Lane *lane, bool ok, TimestampTz began)
{
	TimestampTz now = GetCurrentTimestamp();

	if (ok || !TimestampDifferenceExceeds(began, now, HOOK_HANG_MS))
	{
		lane->hook_hangs = 0;
		return;
	}
	lane->hook_hangs = Min(lane->hook_hangs + 1, 10);
	if (lane->hook_hangs > 1)
		lane->hook_hold = TimestampTzPlusMilliseconds(now, Min(HOOK_TIMEOUT_MS << (lane->hook_hangs - 2),
															   HOOK_HOLD_MAX_MS));
}

/* When a call is due, as far as this worker knows. */
TimestampTz
inqud_next_hook(void)
{
	TimestampTz next = INQUD_FAR;
	dlist_iter	iter;

	dlist_foreach(iter, &worker.lanes)
	{
		Lane	   *lane = dlist_container(Lane, node, iter.cur);

		if (lane->hook_due != INQUD_FAR)
			next = Min(next, Max(lane->hook_due, lane->hook_hold));
	}
	return next;
}

/* May a call be made now that has failed before, and so may end the worker? */
static bool
may_risk(TimestampTz now)
{
	return (worker.n_in_flight == 0 && worker.n_finished == 0) ||
		now >= TimestampTzPlusMilliseconds(worker.risky_at, RISKY_AFTER_MS);
}

/* One call of this project; false when there was none to be made. */
static bool
run_one(Lane *lane, TimestampTz now)
{
	bool		again = may_risk(now);
	Hook		hook;
	bool		ok;

	if (!take_hook(lane, again, &hook))
	{
		/* those that are due have failed before, or are locked: soon, not at once */
		lane->hook_hold = now + USECS_PER_SEC;
		return false;
	}
	if (hook.attempts > 1)
		worker.risky_at = now;
	ok = try_hook(&hook);
	clean_up(&hook);
	note_time(lane, ok, now);
	pgstat_report_stat(false);
	/* when the next one is due only the table knows */
	lane->hook_due = INQUD_FAR;
	worker.look = true;
	return true;
}

/* Make calls that are due, project by project, for as long as the network may wait. */
void
inqud_run_hooks(void)
{
	TimestampTz began = GetCurrentTimestamp();
	bool		any = inqud_next_hook() <= began;

	while (any)
	{
		dlist_iter	iter;

		any = false;
		dlist_foreach(iter, &worker.lanes)
		{
			Lane	   *lane = dlist_container(Lane, node, iter.cur);
			TimestampTz now = GetCurrentTimestamp();

			if (TimestampDifferenceExceeds(began, now, HOOKS_BUDGET_MS))
				return;
			if (Max(lane->hook_due, lane->hook_hold) <= now)
				any |= run_one(lane, now);
		}
	}
}
