/*-------------------------------------------------------------------------
 *
 * manage.c
 *		The SQL functions that act on a recorded checkout: wait, refresh,
 *		retry, cancel, adopt.
 *
 * None of them calls Inqud; they change what the worker does, or wait for what
 * it has done.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "pg/worker.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(inqud_wait_checkout);
PG_FUNCTION_INFO_V1(inqud_refresh);
PG_FUNCTION_INFO_V1(inqud_retry);
PG_FUNCTION_INFO_V1(inqud_cancel);
PG_FUNCTION_INFO_V1(inqud_adopt);

/* Without shared memory nobody tells: look again after so long. */
#define LOOK_AGAIN_MS 20

/* ---------------------------------------------------------------------
 * Wait
 * ---------------------------------------------------------------------
 */

/*
 * Is there news for somebody who waits?  Raises 42704 when the role must not see
 * the checkout, and 55000 when this transaction queued it itself and so waits for
 * what its own commit would start.
 */
static bool
has_news(int64 id)
{
	static const char *const types[] = {"int8", "name"};
	static InqudStatement statement = {
		"SELECT k.state <> 'queued', k.xmin FROM inqud.checkout k WHERE k.id = $1"
		" AND EXISTS (SELECT FROM pg_roles r WHERE r.rolname = k.owner AND pg_has_role($2, r.oid, 'USAGE'))",
		2, types
	};
	Datum		values[2];
	InqudRole	role;
	bool		isnull;
	bool		news;
	TransactionId xmin;

	values[0] = Int64GetDatum(id);
	values[1] = inqud_name_datum(inqud_current_role());
	inqud_enter(&role);
	if (inqud_execute(&statement, values, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("checkout " INT64_FORMAT " does not exist", id)));
	news = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	xmin = DatumGetTransactionId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	inqud_leave(&role);
	if (!news && TransactionIdIsCurrentTransactionId(xmin))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("checkout " INT64_FORMAT " was queued by this transaction", id),
				 errdetail("It is sent after the commit."),
				 errhint("Commit first, then wait.")));
	return news;
}

static TimestampTz
wait_until(Interval *timeout)
{
	TimestampTz now = GetCurrentTimestamp();

	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(now),
												   IntervalPGetDatum(timeout)));
}

/*
 * inqud_wait_checkout: waits until the URL is there or the checkout failed; on
 * timeout the row as it is.  Errors: 42704, 55000 (queued by this transaction),
 * 25001 above READ COMMITTED.
 */
Datum
inqud_wait_checkout(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	TimestampTz deadline = wait_until(PG_GETARG_INTERVAL_P(1));
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
		long		left = (long) ((deadline - GetCurrentTimestamp()) / 1000);

		CHECK_FOR_INTERRUPTS();
		if (left <= 0)
			break;
		/* whoever records news tells; another look each second costs nothing */
		if (database)
			(void) ConditionVariableTimedSleep(&database->news, Min(left, 1000),
											   inqud_wait_event(INQUD_WAIT_NEWS));
		else
			inqud_nap(Min(left, LOOK_AGAIN_MS), INQUD_WAIT_NEWS);
	}
	if (database)
		ConditionVariableCancelSleep();
	PG_RETURN_DATUM(inqud_checkout_row(id));
}

/* ---------------------------------------------------------------------
 * Refresh, retry, cancel, adopt
 * ---------------------------------------------------------------------
 */

static Datum
ask(InqudStatement *statement, const char *command, int64 id)
{
	Datum		values[2];
	Datum		row;

	PreventCommandIfReadOnly(command);
	values[0] = Int64GetDatum(id);
	values[1] = inqud_name_datum(inqud_current_role());
	row = inqud_row_of(statement, values);
	inqud_wake_at_commit();
	return row;
}

static const char *const id_and_role[] = {"int8", "name"};

Datum
inqud_refresh(PG_FUNCTION_ARGS)
{
	static InqudStatement statement = {
		"SELECT inqud._refresh($1, $2)", 2, id_and_role
	};

	PG_RETURN_DATUM(ask(&statement, "inqud_refresh()", PG_GETARG_INT64(0)));
}

Datum
inqud_retry(PG_FUNCTION_ARGS)
{
	static InqudStatement statement = {
		"SELECT inqud._retry($1, $2)", 2, id_and_role
	};

	PG_RETURN_DATUM(ask(&statement, "inqud_retry()", PG_GETARG_INT64(0)));
}

Datum
inqud_cancel(PG_FUNCTION_ARGS)
{
	static InqudStatement statement = {
		"SELECT inqud._cancel($1, $2)", 2, id_and_role
	};

	PG_RETURN_DATUM(ask(&statement, "inqud_cancel()", PG_GETARG_INT64(0)));
}

Datum
inqud_adopt(PG_FUNCTION_ARGS)
{
	static const char *const types[] = {"text", "name"};
	static InqudStatement statement = {
		"SELECT inqud._adopt($1, $2)", 2, types
	};
	Datum		values[2];
	char		nulls[2] = {' ', ' '};
	InqudRole	role;
	bool		isnull;
	int64		n;

	PreventCommandIfReadOnly("inqud_adopt()");
	values[0] = PG_ARGISNULL(0) ? (Datum) 0 : PG_GETARG_DATUM(0);
	nulls[0] = PG_ARGISNULL(0) ? 'n' : ' ';
	values[1] = inqud_name_datum(inqud_current_role());
	inqud_enter(&role);
	inqud_execute(&statement, values, nulls);
	n = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	inqud_leave(&role);
	inqud_wake_at_commit();
	PG_RETURN_INT64(n);
}
