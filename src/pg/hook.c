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

/* Calls between two looks at the network. */
#define HOOKS_AT_ONCE 10

typedef struct Hook
{
	int64		checkout;
	char	   *project;
	char	   *owner;
	int32		poke;
	int32		attempts;
} Hook;

/* Take calls that are due; the attempts are committed when this returns. */
static int
take_hooks(Hook *hooks)
{
	static const char *const types[] = {"int8", "int4"};
	static InqudStatement statement = {
		"SELECT * FROM inqud._hooks($1, $2)", 2, types
	};
	Datum		values[2];
	InqudRole	role;
	int			n;
	int			i;

	values[0] = Int64GetDatum(worker.home);
	values[1] = Int32GetDatum(HOOKS_AT_ONCE);
	inqud_worker_begin(&role, false);
	n = (int) inqud_execute(&statement, values, NULL);
	for (i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;

		hooks[i].checkout = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		hooks[i].project = MemoryContextStrdup(worker.turn, SPI_getvalue(tuple, desc, 2));
		hooks[i].owner = MemoryContextStrdup(worker.turn, SPI_getvalue(tuple, desc, 3));
		hooks[i].poke = DatumGetInt32(SPI_getbinval(tuple, desc, 4, &isnull));
		hooks[i].attempts = DatumGetInt32(SPI_getbinval(tuple, desc, 5, &isnull));
	}
	inqud_worker_commit(&role);
	return n;
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

	if (list_length(names) == 1)
		names = lcons(makeString("public"), names);
	function = LookupFuncName(names, 1, &argument, false);
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

/* Call it as its owner, bounded in time and reach. */
static void
call_function(Oid function, Datum row)
{
	ConstraintsSetStmt immediate = {.type = T_ConstraintsSetStmt};
	Oid			userid;
	int			context;
	int			level = NewGUCNestLevel();
	char	   *schema;
	Oid			owner = owner_of(function, &schema);

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
	call_with_row(function, row);
	disable_timeout(STATEMENT_TIMEOUT, false);
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
	row = inqud_checkout_row(hook->checkout);
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

static void
try_hook(const Hook *hook)
{
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		run_hook(hook);
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
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	if (error == NULL)
		return;
	ereport(LOG,
			(errmsg("on_status function of server \"%s\" failed for checkout " INT64_FORMAT ": %s",
					hook->project, hook->checkout, error->message)));
	note_failed(hook, error->message);
}

/* Call what is due; a few at a time, so that the network is not kept waiting. */
void
inqud_run_hooks(void)
{
	Hook		hooks[HOOKS_AT_ONCE];
	int			n;
	int			i;

	if (worker.hook_due > GetCurrentTimestamp())
		return;
	n = take_hooks(hooks);
	for (i = 0; i < n; i++)
	{
		try_hook(&hooks[i]);
		pgstat_report_stat(false);
	}
	if (n == 0)
		worker.hook_due = GetCurrentTimestamp() + USECS_PER_SEC;
	else
		worker.look = true;
}
