/*-------------------------------------------------------------------------
 *
 * create.c
 *		inqud_create_checkout, which sends an order now, and
 *		inqud_enqueue_checkout, which leaves it to the worker.
 *
 * Each checks the order and the caller's USAGE on the server.  client/lifecycle.c
 * decides what an outcome means for the row, for sessions and the worker alike;
 * nothing here may.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(inqud_create_checkout);
PG_FUNCTION_INFO_V1(inqud_enqueue_checkout);

/* Look the project up for a call, and check and queue the order; returns the checkout's row. */
static Datum
enqueue_from_arguments(FunctionCallInfo fcinfo, int needs, InqudCall *call)
{
	InqudNewOrder order = {0};

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"project\" must not be null")));
	call->project = inqud_project_get(text_to_cstring(PG_GETARG_TEXT_PP(0)), GetUserId(), needs);
	for (int i = 0; i < INQUD_ORDER_MEMBERS; i++)
	{
		order.values[i] = PG_GETARG_DATUM(i + 1);
		order.nulls[i] = PG_ARGISNULL(i + 1);
	}
	inqud_check_order(&order, call->project);
	return inqud_enqueue(call->project, inqud_orders_add(NULL, &order, CurrentMemoryContext), INQUD_QUEUE_CALL);
}

/*
 * inqud_enqueue_checkout(project, order_id, name, return_url, amount, currency,
 * type, expires_at, extra): queues an order and returns its row of inqud.checkout.
 * Errors: 22023, 22004 for the arguments; 42704, 42501 for the project; 23505 when
 * the order has another checkout; 25006 in a read-only transaction.
 */
Datum
inqud_enqueue_checkout(PG_FUNCTION_ARGS)
{
	InqudCall  *call = inqud_call_new(CurTransactionContext);
	Datum		row;

	PreventCommandIfReadOnly("inqud_enqueue_checkout()");
	row = enqueue_from_arguments(fcinfo, INQUD_NEED_USAGE, call);
	inqud_call_free(call);
	PG_RETURN_DATUM(row);
}

/*
 * Make this transaction's commit wait for the flush: the caller can show the URL to
 * a payer as soon as the function returns, so a crash must not lose the row.
 */
static void
raise_synchronous_commit(void)
{
	if (synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_FLUSH)
		(void) set_config_option("synchronous_commit", "on", PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/* Claim the queued create for this session; false while another process holds it. */
static bool
claim_create(int64 id, InqudCall *call)
{
	static InqudStatement statement = {"SELECT * FROM inqud._take($1, $2)", "int8 int8"};
	Datum		values[] = {Int64GetDatum(id), Int64GetDatum(inqud_random_lease())};
	InqudRole	role;
	bool		claimed;

	inqud_lock_tables();
	inqud_enter(&role);
	inqud_execute(&statement, values, NULL);
	claimed = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1) != NULL;
	if (claimed)
		inqud_call_set_due(call, SPI_tuptable->vals[0], SPI_tuptable->tupdesc);
	inqud_leave(&role);
	return claimed;
}

static bool
has_state(Datum checkout, const char *state)
{
	return strcmp(inqud_row_text(DatumGetHeapTupleHeader(checkout), "state"), state) == 0;
}

/* Whether the checkout is still queued, by a new snapshot at READ COMMITTED. */
static bool
is_queued(int64 id)
{
	static InqudStatement statement = {
		"SELECT true FROM inqud.checkout k WHERE k.id = $1 AND k.state = 'queued'", "int8"
	};
	Datum		value = Int64GetDatum(id);

	return inqud_value_of(&statement, &value, NULL) != (Datum) 0;
}

/*
 * Claim a queued create, or wait while the worker sends it, for at most the
 * project's option "timeout" (then 55P03).  False when it is no longer queued.
 */
static bool
claim_or_wait(int64 id, InqudCall *call)
{
	TimestampTz deadline = GetCurrentTimestamp() + call->project->account.timeout_ms * 1000;

	while (is_queued(id))
	{
		if (claim_create(id, call))
			return true;
		if (GetCurrentTimestamp() > deadline)
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("checkout " INT64_FORMAT " is being sent by the worker", id),
					 errhint("Use inqud_wait_checkout to wait for its URL.")));
		inqud_nap(INQUD_LOOK_AGAIN_MS, INQUD_WAIT_NEWS);
	}
	return false;
}

/*
 * Send a create that this session has claimed, and record its outcome; returns the row.
 * Raises IQ005 if the answer was refused because it does not fit the order.  The writer has
 * put the reason into the row; the error rolls that back.
 */
static Datum
send_create(InqudCall *call)
{
	Datum		row;
	HeapTupleHeader checkout;

	raise_synchronous_commit();
	inqud_check_project_id(call);
	inqud_call_now(call);
	inqud_log_if_forgotten(call->server, inqud_from_utf8(call->order.order_id),
						   inqud_reply_checkout(call->reply)->id);
	/* cannot happen: inqud._take() has locked both rows for this session */
	if (inqud_apply(call) == INQUD_APPLIED_LOCKED)
		elog(ERROR, "could not write checkout " INT64_FORMAT " back", call->checkout);
	row = inqud_checkout_row(call->checkout);
	checkout = DatumGetHeapTupleHeader(row);
	if (has_state(row, "failed"))
		inqud_raise_misfit(inqud_row_text(checkout, "order_id"), inqud_row_text(checkout, "error"));
	return row;
}

/*
 * inqud_create_checkout: arguments and errors as of inqud_enqueue_checkout, and
 * sends the order now.  Further errors: IQ001 to IQ005 and 08001 for the call; 55P03
 * when the worker has been sending it for longer than the project's "timeout".
 */
Datum
inqud_create_checkout(PG_FUNCTION_ARGS)
{
	InqudCall  *call = inqud_call_new(CurTransactionContext);
	Datum		row;
	int64		id;
	bool		isnull;

	PreventCommandIfReadOnly("inqud_create_checkout()");
	row = enqueue_from_arguments(fcinfo, INQUD_NEED_USAGE | INQUD_NEED_CREDENTIALS, call);
	id = DatumGetInt64(GetAttributeByName(DatumGetHeapTupleHeader(row), "id", &isnull));
	row = claim_or_wait(id, call) ? send_create(call) : inqud_checkout_row(id);
	inqud_call_free(call);
	PG_RETURN_DATUM(row);
}
