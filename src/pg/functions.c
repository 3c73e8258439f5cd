/*-------------------------------------------------------------------------
 *
 * functions.c
 *		The SQL functions that create, queue and read.
 *
 * Each checks what the caller may (USAGE on the server, membership in the
 * checkout's owner), then has the extension's own SQL functions do the writing.
 * What is written about an outcome is decided there, for sessions and worker
 * alike.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pg/worker.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(inqud_create_checkout);
PG_FUNCTION_INFO_V1(inqud_enqueue_checkout);
PG_FUNCTION_INFO_V1(inqud_get_checkout);

/* How long a session waits before it looks again at what another process does. */
#define LOOK_AGAIN_MS 20

/* The worker has a row for a moment only; who has it for longer is not waited for. */
#define HELD_MS 500

/* A context that ends with the (sub)transaction at the latest, whatever happens. */
static MemoryContext
begin_work(void)
{
	return AllocSetContextCreate(CurTransactionContext, "inqud call", ALLOCSET_SMALL_SIZES);
}

/* ---------------------------------------------------------------------
 * Create and enqueue
 * ---------------------------------------------------------------------
 */

static char *
text_argument(FunctionCallInfo fcinfo, int i)
{
	return PG_ARGISNULL(i) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(i));
}

/* The arguments of inqud_create_checkout and inqud_enqueue_checkout. */
static void
read_order(FunctionCallInfo fcinfo, InqudNewOrder *order)
{
	memset(order, 0, sizeof(InqudNewOrder));
	order->order_id = text_argument(fcinfo, 1);
	order->name = text_argument(fcinfo, 2);
	order->return_url = text_argument(fcinfo, 3);
	order->has_amount = !PG_ARGISNULL(4);
	order->amount = order->has_amount ? PG_GETARG_DATUM(4) : (Datum) 0;
	order->currency = text_argument(fcinfo, 5);
	order->type = text_argument(fcinfo, 6);
	order->has_expires_at = !PG_ARGISNULL(7);
	order->expires_at = order->has_expires_at ? PG_GETARG_TIMESTAMPTZ(7) : 0;
	order->has_extra = !PG_ARGISNULL(8);
	order->extra = order->has_extra ? PG_GETARG_DATUM(8) : (Datum) 0;
}

/* Check everything, then queue; returns the checkout's id. */
static int64
enqueue(FunctionCallInfo fcinfo, int needs, InqudProject **project, MemoryContext work)
{
	InqudNewOrder order;
	char	   *name = text_argument(fcinfo, 0);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"project\" must not be null")));
	*project = inqud_project_get(name, GetUserId(), needs);
	inqud_project_release_with(*project, work);
	read_order(fcinfo, &order);
	inqud_check_order(&order, *project);
	return inqud_enqueue_one(*project, &order);
}

/*
 * inqud_enqueue_checkout: see section 3 of the design.  Errors: 22023, 22004 for
 * the arguments; 42704, 42501 for the project; 23505 when the order has another
 * checkout.
 */
Datum
inqud_enqueue_checkout(PG_FUNCTION_ARGS)
{
	MemoryContext work = begin_work();
	InqudProject *project;
	int64		id;

	PreventCommandIfReadOnly("inqud_enqueue_checkout()");
	id = enqueue(fcinfo, INQUD_NEED_USAGE, &project, work);
	MemoryContextDelete(work);
	PG_RETURN_DATUM(inqud_checkout_row(id));
}

/* A URL is visible outside as soon as this returns, so its row's commit must be durable. */
static void
raise_synchronous_commit(void)
{
	if (synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_FLUSH)
		(void) set_config_option("synchronous_commit", "on", PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/* Take the create over from the queue; NULL while somebody else has it. */
static InqudTask *
take(int64 id, MemoryContext work)
{
	static const char *const types[] = {"int8", "int8"};
	static InqudStatement statement = {
		"SELECT * FROM inqud._take($1, $2)", 2, types
	};
	Datum		values[2];
	InqudRole	role;
	InqudTask  *task = NULL;

	values[0] = Int64GetDatum(id);
	values[1] = Int64GetDatum(inqud_random_lease());
	inqud_enter(&role);
	inqud_execute(&statement, values, NULL);
	if (SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1) != NULL)
		task = inqud_task_from_tuple(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, work);
	inqud_leave(&role);
	return task;
}

/* Is it still to be sent?  As everybody sees it now. */
static bool
is_queued(int64 id)
{
	static const char *const types[] = {"int8"};
	static InqudStatement statement = {
		"SELECT FROM inqud.checkout k WHERE k.id = $1 AND k.state = 'queued'", 1, types
	};
	Datum		value = Int64GetDatum(id);
	InqudRole	role;
	uint64		n;

	inqud_enter(&role);
	n = inqud_execute(&statement, &value, NULL);
	inqud_leave(&role);
	return n > 0;
}

/*
 * Get hold of a queued create, or wait while the worker sends it.  NULL when it
 * is no longer queued.
 */
static InqudTask *
take_or_wait(int64 id, const InqudProject *project, MemoryContext work)
{
	TimestampTz deadline = GetCurrentTimestamp() + project->account.timeout_ms * 1000;

	while (is_queued(id))
	{
		InqudTask  *task = take(id, work);

		if (task)
			return task;
		if (GetCurrentTimestamp() > deadline)
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("checkout " INT64_FORMAT " is being sent by the worker", id),
					 errhint("Use inqud_wait_checkout to wait for its URL.")));
		inqud_nap(LOOK_AGAIN_MS, INQUD_WAIT_NEWS);
	}
	return NULL;
}

/* What became of an outcome that was written back. */
typedef enum Applied
{
	APPLIED,
	APPLIED_SAME,				/* it brought nothing new, and nothing was written */
	APPLIED_LOCKED				/* another session or the worker has the row locked */
} Applied;

/* Have SQL write an outcome back. */
static Applied
apply(const InqudTask *task, const InqudResult *result)
{
	static const char *const types[] = {"_outcome"};
	static InqudStatement statement = {
		"SELECT f.result FROM inqud._apply($1, false) f", 1, types
	};
	Datum		value = inqud_outcome_datum(task, result);
	InqudRole	role;
	char	   *word;
	Applied		applied = APPLIED;

	inqud_enter(&role);
	inqud_execute(&statement, &value, NULL);
	word = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (strcmp(word, "locked") == 0)
		applied = APPLIED_LOCKED;
	else if (strcmp(word, "same") == 0)
		applied = APPLIED_SAME;
	inqud_leave(&role);
	if (applied != APPLIED_SAME)
		inqud_wake_at_commit();
	return applied;
}

static bool
is_ok(const InqudResult *result)
{
	return inqud_reply_outcome(result->reply) == INQUD_OK;
}

static void
check_project_id(const InqudTask *task, const InqudProject *project)
{
	if (strcmp(task->project_id, project->account.project_id) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("checkout " INT64_FORMAT " belongs to another project of Inqud", task->checkout),
				 errdetail("It was made for project_id \"%s\", and server \"%s\" says \"%s\" now.",
						   task->project_id, project->name, project->account.project_id)));
}

/* Send a create that is ours now, and record what comes of it. */
static void
create_now(InqudTask *task, const InqudProject *project, MemoryContext work)
{
	InqudResult result;
	const char *why;
	InqudRequest *request;
	const InqudCheckout *reply;

	check_project_id(task, project);
	request = inqud_task_request(task, project, &why);
	if (request == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("could not build the request for order \"%s\"",
						inqud_from_utf8(task->order.order_id)),
				 errdetail("Reason: %s.", why)));
	inqud_request_free_with(request, work);
	inqud_call(project, task, request, &result, work);
	if (!is_ok(&result))
		inqud_raise_outcome(task, project, &result);
	reply = inqud_reply_checkout(result.reply);
	inqud_log_if_forgotten(task->project, inqud_from_utf8(task->order.order_id), reply->id);
	/* it is this session that holds the locks; see inqud._take() */
	if (apply(task, &result) == APPLIED_LOCKED)
		elog(ERROR, "could not write checkout " INT64_FORMAT " back", task->checkout);
}

/* The answer did not fit the order: SQL has noted why, and the error undoes the note. */
static void
check_created(int64 id)
{
	static const char *const types[] = {"int8"};
	static InqudStatement statement = {
		"SELECT k.error, k.order_id FROM inqud.checkout k WHERE k.id = $1 AND k.state = 'failed'",
		1, types
	};
	Datum		value = Int64GetDatum(id);
	InqudRole	role;

	inqud_enter(&role);
	if (inqud_execute(&statement, &value, NULL) > 0)
		inqud_raise_misfit(SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2),
						   SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
	inqud_leave(&role);
}

/*
 * inqud_create_checkout: as inqud_enqueue_checkout, and sends it now.  Further
 * errors: IQ001 to IQ005 and 08001 for the call; 55P03 when the worker has been
 * sending it for too long; 25006 in a read-only transaction.
 */
Datum
inqud_create_checkout(PG_FUNCTION_ARGS)
{
	MemoryContext work = begin_work();
	InqudProject *project;
	InqudTask  *task;
	int64		id;

	PreventCommandIfReadOnly("inqud_create_checkout()");
	id = enqueue(fcinfo, INQUD_NEED_USAGE | INQUD_NEED_CREDENTIALS, &project, work);
	task = take_or_wait(id, project, work);
	if (task)
	{
		raise_synchronous_commit();
		create_now(task, project, work);
		check_created(id);
	}
	MemoryContextDelete(work);
	PG_RETURN_DATUM(inqud_checkout_row(id));
}

/* ---------------------------------------------------------------------
 * Read
 * ---------------------------------------------------------------------
 */

/* A checkout is read by members of its owner only. */
static void
check_owner(const InqudTask *task)
{
	Oid			owner = get_role_oid(task->owner, true);

	if (!OidIsValid(owner) || !has_privs_of_role(GetUserId(), owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for checkout \"%s\"", task->checkout_id),
				 errdetail("It belongs to another role.")));
}

/* The task of reading a checkout; task->checkout stays 0 when it is not recorded. */
static InqudTask *
find_recorded(const char *project, const char *checkout_id, InqudVersion *version, MemoryContext work)
{
	static const char *const types[] = {"text", "text"};
	static InqudStatement statement = {
		"SELECT k.id, k.project_id, coalesce(q.poke, 0), k.owner, " INQUD_VERSION_COLUMNS
		" FROM inqud.checkout k LEFT JOIN inqud.queue q ON q.checkout = k.id AND NOT q.hook"
		" WHERE k.project = $1 AND k.checkout_id = $2", 2, types
	};
	MemoryContext old = MemoryContextSwitchTo(work);
	InqudTask  *task = palloc0(sizeof(InqudTask));
	Datum		values[2];
	InqudRole	role;
	bool		isnull;

	task->project = pstrdup(project);
	task->checkout_id = pstrdup(checkout_id);
	values[0] = CStringGetTextDatum(project);
	values[1] = CStringGetTextDatum(checkout_id);
	MemoryContextSwitchTo(old);

	inqud_enter(&role);
	if (inqud_execute(&statement, values, NULL) > 0)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;

		task->checkout = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		task->project_id = MemoryContextStrdup(work, SPI_getvalue(tuple, desc, 2));
		task->poke = DatumGetInt32(SPI_getbinval(tuple, desc, 3, &isnull));
		task->owner = MemoryContextStrdup(work, SPI_getvalue(tuple, desc, 4));
		*version = inqud_version(tuple, desc, 5);
	}
	inqud_leave(&role);
	return task;
}

/* What a reply says, as a row that is not recorded (or cannot be written to now). */
static Datum
seen(const InqudTask *task, const InqudProject *project, const InqudResult *result)
{
	static const char *const types[] = {"text", "text", "int8", "_outcome"};
	static InqudStatement statement = {
		"SELECT inqud._seen($1, $2, $3, $4)", 4, types
	};
	Datum		values[4];

	values[0] = CStringGetTextDatum(project->name);
	values[1] = CStringGetTextDatum(project->account.project_id);
	values[2] = Int64GetDatum(task->checkout);
	values[3] = inqud_outcome_datum(task, result);
	return inqud_row_of(&statement, values);
}

/*
 * Write what a reply to a read brought.  A snapshot that stays for the whole
 * transaction would not see what whoever has the row writes to it, so there the
 * first answer counts.
 */
static Applied
apply_read(const InqudTask *task, const InqudResult *result)
{
	TimestampTz deadline = GetCurrentTimestamp() + HELD_MS * 1000;
	Applied		applied;

	while ((applied = apply(task, result)) == APPLIED_LOCKED &&
		   !IsolationUsesXactSnapshot() && GetCurrentTimestamp() < deadline)
		inqud_nap(LOOK_AGAIN_MS, INQUD_WAIT_NEWS);
	return applied;
}

/* The news could not be written here: the worker, if there is one, reads it once more. */
static void
leave_to_worker(int64 id)
{
	static const char *const types[] = {"int8"};
	static InqudStatement statement = {
		"SELECT inqud._ask($1)", 1, types
	};
	Datum		value = Int64GetDatum(id);
	InqudRole	role;

	if (!inqud_shared_ready())
		return;
	inqud_enter(&role);
	inqud_execute(&statement, &value, NULL);
	inqud_leave(&role);
}

/*
 * Record what a reply to a read brought, and give back the row as it is then.
 * "version" is the row's from before the call, NULL if that was only recalled.
 */
static Datum
record(const InqudTask *task, const InqudProject *project, const InqudResult *result,
	   const InqudVersion *version)
{
	uint64		hash = inqud_reply_hash(result->reply);
	Datum		row = inqud_row_if_unchanged(task, hash);
	Applied		applied;

	if (row != (Datum) 0)
		return row;
	inqud_forget_unchanged(task->checkout_id);
	applied = apply_read(task, result);
	if (applied == APPLIED_LOCKED)
	{
		leave_to_worker(task->checkout);
		return seen(task, project, result);
	}
	if (applied == APPLIED_SAME && version != NULL)
		row = inqud_note_unchanged(task, hash, version);
	return row != (Datum) 0 ? row : inqud_checkout_row(task->checkout);
}

static void
check_checkout_id(const char *checkout_id)
{
	const char *c;

	for (c = checkout_id; *c > ' ' && *c < 0x7f; c++)
		 /* skip */ ;
	if (*c != '\0' || c == checkout_id || c - checkout_id > 200)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for \"checkout_id\""),
				 errdetail("It is an id of Inqud, such as CCO-11111111-2222-4333-8444-555555555555.")));
}

/*
 * inqud_get_checkout: reads one checkout now.  Errors: those of the project
 * (42704, 42501), 42501 for another role's checkout, IQ002 to IQ005 and 08001
 * for the call.
 */
Datum
inqud_get_checkout(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *checkout_id = text_to_cstring(PG_GETARG_TEXT_PP(1));
	MemoryContext work = begin_work();
	InqudProject *project;
	InqudTask  *task;
	InqudRequest *request;
	InqudResult result;
	InqudVersion version;
	bool		recalled;
	const char *why;
	Datum		row;

	check_checkout_id(checkout_id);
	project = inqud_project_get(name, GetUserId(), INQUD_NEED_USAGE | INQUD_NEED_CREDENTIALS);
	inqud_project_release_with(project, work);
	task = inqud_recall(name, checkout_id, work);
	recalled = task != NULL;
	if (!recalled)
		task = find_recorded(name, checkout_id, &version, work);
	if (task->checkout != 0)
	{
		check_owner(task);
		check_project_id(task, project);
	}
	request = inqud_task_request(task, project, &why);
	if (request == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("could not build the request for checkout \"%s\"", checkout_id),
				 errdetail("Reason: %s.", why)));
	inqud_request_free_with(request, work);
	inqud_call(project, task, request, &result, work);
	if (!is_ok(&result))
		inqud_raise_outcome(task, project, &result);
	if (task->checkout != 0 && !XactReadOnly && !RecoveryInProgress())
		row = record(task, project, &result, recalled ? NULL : &version);
	else
		row = seen(task, project, &result);
	MemoryContextDelete(work);
	PG_RETURN_DATUM(row);
}
