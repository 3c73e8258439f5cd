/*-------------------------------------------------------------------------
 *
 * operate.c
 *		The SQL functions that act on a recorded checkout: wait, refresh,
 *		retry, cancel, resolve, adopt, reassign; and those that start and stop the
 *		worker.
 *
 * They change rows for the worker, or wait for what the worker has written.  They
 * must not call Inqud.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(inqud_wait_checkout);
PG_FUNCTION_INFO_V1(inqud_refresh);
PG_FUNCTION_INFO_V1(inqud_retry);
PG_FUNCTION_INFO_V1(inqud_cancel);
PG_FUNCTION_INFO_V1(inqud_resolve);
PG_FUNCTION_INFO_V1(inqud_adopt);
PG_FUNCTION_INFO_V1(inqud_reassign);
PG_FUNCTION_INFO_V1(inqud_worker_start);
PG_FUNCTION_INFO_V1(inqud_worker_stop);

/* ---- Wait ---- */

/*
 * Whether the checkout is no longer queued.  Raises 42704 when it does not exist or
 * the role must not see it, and 55000 when this transaction has queued it, or has made
 * it due: the worker sends it after the commit, so waiting would never end.
 */
static bool
has_news(int64 id)
{
	static InqudStatement statement = {
		"SELECT k.state <> 'queued', k.xmin, (SELECT q.xmin FROM inqud.queue q WHERE q.checkout = k.id)"
		" FROM inqud.checkout k WHERE k.id = $1 AND inqud._may_act($2, k.owner_id)", "int8 oid"
	};
	Datum		values[] = {Int64GetDatum(id), ObjectIdGetDatum(GetUserId())};
	InqudRole	role;
	RowReader	reader;
	bool		news;
	TransactionId made;
	TransactionId queued;

	inqud_enter(&role);
	if (inqud_execute(&statement, values, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("checkout " INT64_FORMAT " does not exist", id)));
	inqud_reader_begin(&reader, SPI_tuptable->vals[0], SPI_tuptable->tupdesc);
	news = inqud_next_bool(&reader);
	made = DatumGetTransactionId(inqud_next(&reader));
	queued = DatumGetTransactionId(inqud_next(&reader));
	inqud_leave(&role);
	if (!news && (TransactionIdIsCurrentTransactionId(made) || TransactionIdIsCurrentTransactionId(queued)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("checkout " INT64_FORMAT " was queued by this transaction", id),
				 errdetail("It is sent after the commit."),
				 errhint("Commit first, then wait.")));
	return news;
}

/* An interval from now on in microseconds, a year at most. */
static int64
patience_of(Datum interval)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz end = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(now), interval));

	if (end <= now)
		return 0;
	return Min(end - now, INT64CONST(366) * USECS_PER_DAY);
}

/*
 * inqud_wait_checkout(checkout, timeout): waits until the checkout is no longer
 * queued, so until it has a URL or has failed or was canceled.  Returns the row as
 * it is then, or at the end of the timeout.  Errors: 42704; 55000 when this
 * transaction has queued it; 25001 above READ COMMITTED.
 */
Datum
inqud_wait_checkout(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	InqudClock	deadline = inqud_clock_us() + patience_of(PG_GETARG_DATUM(1));
	InqudDatabase *database = inqud_database(MyDatabaseId, true);

	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("inqud_wait_checkout cannot see news in this transaction"),
				 errdetail("Its isolation level shows the state of its beginning."),
				 errhint("Wait in a transaction of its own, at READ COMMITTED.")));

	if (database)
		ConditionVariablePrepareToSleep(&database->news);
	while (!has_news(id))
	{
		long		left = (long) ((deadline - inqud_clock_us()) / 1000);

		CHECK_FOR_INTERRUPTS();
		if (left <= 0)
			break;
		/* recording news signals this; looking once a second as well is cheap */
		if (database)
			(void) ConditionVariableTimedSleep(&database->news, Min(left, 1000),
											   inqud_wait_event(INQUD_WAIT_NEWS));
		else
			inqud_nap(Min(left, INQUD_LOOK_AGAIN_MS), INQUD_WAIT_NEWS);
	}
	if (database)
		ConditionVariableCancelSleep();
	PG_RETURN_DATUM(inqud_checkout_row(id));
}

/* ---- Refresh, retry, cancel, resolve, adopt, reassign ---- */

/*
 * Run a statement that changes checkouts as the current role may, and return its
 * result.  SQL raises 42704 for an unknown id or another role's checkout, 55000 for a
 * checkout in another state; 25006 in a read-only transaction ("command" is named there).
 */
static Datum
change(FunctionCallInfo fcinfo, InqudStatement *statement, const char *command)
{
	Datum		values[] = {PG_GETARG_DATUM(0), ObjectIdGetDatum(GetUserId())};
	Datum		result;

	PreventCommandIfReadOnly(command);
	inqud_lock_tables();
	result = inqud_value_of(statement, values, PG_ARGISNULL(0) ? "n " : NULL);
	inqud_wake_at_commit(DT_NOBEGIN);
	return result;
}

/* inqud_refresh(checkout): have the worker read it soon.  Errors: see change(). */
Datum
inqud_refresh(PG_FUNCTION_ARGS)
{
	static InqudStatement statement = {"SELECT inqud._refresh($1, $2)", "int8 oid"};

	return change(fcinfo, &statement, "inqud_refresh()");
}

/* inqud_retry(checkout): queue a failed one again.  Errors: see change(). */
Datum
inqud_retry(PG_FUNCTION_ARGS)
{
	static InqudStatement statement = {"SELECT inqud._retry($1, $2)", "int8 oid"};

	return change(fcinfo, &statement, "inqud_retry()");
}

/* inqud_cancel(checkout): let the order have another one.  Errors: see change(). */
Datum
inqud_cancel(PG_FUNCTION_ARGS)
{
	static InqudStatement statement = {"SELECT inqud._cancel($1, $2)", "int8 oid"};

	return change(fcinfo, &statement, "inqud_cancel()");
}

/*
 * inqud_resolve(checkout, note or null): note that a person has dealt with its conflict,
 * anomalies and orders that were inserted again; NULL for NULL.  Returns the row, and
 * writes nothing where nothing is to be resolved.  Errors: 42704 for an unknown id, 42501
 * for another role's checkout, 25006.
 */
Datum
inqud_resolve(PG_FUNCTION_ARGS)
{
	static InqudStatement statement = {"SELECT inqud._resolve($1, $2, $3)", "int8 text oid"};
	Datum		values[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), ObjectIdGetDatum(GetUserId())};

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PreventCommandIfReadOnly("inqud_resolve()");
	inqud_lock_tables();
	PG_RETURN_DATUM(inqud_value_of(&statement, values, PG_ARGISNULL(1) ? " n " : NULL));
}

/*
 * inqud_adopt(project or null for all): take over rows that were queued in another
 * database or cluster, or whose server was dropped here; returns how many.  Errors: those of inqud._adopt(), and 25006.
 */
Datum
inqud_adopt(PG_FUNCTION_ARGS)
{
	static InqudStatement statement = {"SELECT inqud._adopt($1, $2)", "text oid"};

	PreventCommandIfReadOnly("inqud_adopt()");
	/* first, so that change() asks for no lower lock before it */
	inqud_lock_tables_alone();
	return change(fcinfo, &statement, "inqud_adopt()");
}

/*
 * inqud_reassign(from, to): hand the checkouts of a role over, also of one that was
 * dropped; returns how many.  Errors: 42501 but for superusers and the extension's owner;
 * 42704 for no such roles; 25006.
 */
Datum
inqud_reassign(PG_FUNCTION_ARGS)
{
	static InqudStatement statement = {"SELECT inqud._reassign_count($1, $2, $3)", "oid name oid"};
	Name		from;
	Datum		values[3];
	Datum		result;

	PreventCommandIfReadOnly("inqud_reassign()");
	if (!inqud_is_trusted(GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to reassign checkouts"),
				 errhint("Superusers and the owner of the extension may.")));
	/* not strict: the planner would not ask whether the role may call it with null */
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	from = PG_GETARG_NAME(0);
	values[0] = ObjectIdGetDatum(get_role_oid(NameStr(*from), true));
	values[1] = NameGetDatum(from);
	values[2] = ObjectIdGetDatum(get_role_oid(NameStr(*PG_GETARG_NAME(1)), false));
	inqud_lock_tables();
	result = inqud_value_of(&statement, values, NULL);
	/* the worker writes the names, and uses other mappings */
	inqud_changed_at_commit();
	PG_RETURN_DATUM(result);
}

/* ---- Stop and start the worker ---- */

/* This database's slot, made if need be.  Raises 55000 without shared memory. */
static InqudDatabase *
require_own_slot(void)
{
	InqudDatabase *database = inqud_database(MyDatabaseId, true);

	if (database == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("inqud has no workers in this server"),
				 errhint("Add inqud to shared_preload_libraries and restart the server.")));
	return database;
}

/* inqud_worker_start(): allow and start the worker.  Errors: 55000 when the library is not preloaded. */
Datum
inqud_worker_start(PG_FUNCTION_ARGS)
{
	InqudDatabase *database = require_own_slot();

	inqud_shared_lock();
	database->stopped = false;
	database->not_before = 0;
	inqud_shared_unlock();
	inqud_database_wake(MyDatabaseId, true, false, DT_NOBEGIN);
	/* it may have been told before, while no worker was allowed to start */
	inqud_launcher_wake();
	PG_RETURN_BOOL(true);
}

/*
 * inqud_worker_stop(): stop the worker until inqud_worker_start() allows it again.
 * Returns true when the worker has ended, false when it has not after 5 seconds.
 * Errors: as above.
 */
Datum
inqud_worker_stop(PG_FUNCTION_ARGS)
{
	InqudDatabase *database = require_own_slot();

	inqud_shared_lock();
	database->stopped = true;
	inqud_shared_unlock();
	inqud_database_send_away(database, false);
	PG_RETURN_BOOL(inqud_database_wait_gone(database, 5000));
}
