/*-------------------------------------------------------------------------
 *
 * record.c
 *		Records the outcome of a session's call, and offers recording to SQL.
 *
 * shared/record.c does it, as for the worker; nothing here may decide what an
 * outcome means.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "access/xact.h"

#include "funcapi.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(inqud_record_outcomes);
PG_FUNCTION_INFO_V1(inqud_notice);

/* In how many microseconds the worker reads again what this session has just read. */
static int64
read_in(const InqudCall *call)
{
	bool		is_new = strcmp(inqud_reply_checkout(call->reply)->status, "NEW") == 0;

	return (is_new ? call->project->poll_new_ms : call->project->poll_active_ms) * 1000;
}

InqudApplied
inqud_apply(const InqudCall *call)
{
	InqudRecording item;
	InqudRole	role;

	inqud_enter(&role);
	inqud_recording_of(&item, call, false);
	item.ending.read_in = read_in(call);
	inqud_record(&item, 1);
	inqud_leave(&role);
	if (item.applied != INQUD_APPLIED_SAME)
		inqud_wake_at_commit(GetCurrentTransactionStartTimestamp());
	return item.applied;
}

/* The outcome of a call that brought no checkout, by its word. */
static InqudOutcome
outcome_of(const char *word)
{
	int			i = INQUD_REFUSED;

	while (i < INQUD_N_OUTCOMES && strcmp(inqud_outcome_name((InqudOutcome) i), word) != 0)
		i++;
	if (i == INQUD_N_OUTCOMES)
		elog(ERROR, "unexpected word \"%s\"", word);
	return (InqudOutcome) i;
}

/* Form an item from a row of the statement below, by way of a call that ended so. */
static void
form_item(InqudRecording *item, RowReader *reader, bool by_worker)
{
	InqudCall  *call = inqud_call_new(CurrentMemoryContext);
	InqudResponse response = {.http_status = 200};
	int64		retry_for;
	int64		read_in;

	call->checkout = inqud_next_int8(reader);
	call->kind = inqud_kind_of(inqud_next_text(reader));
	call->lease = inqud_next_int8(reader);
	call->poke = inqud_next_int4(reader);
	call->answers = inqud_next_int4(reader);
	call->http_status = inqud_next_int4(reader);
	call->fault = inqud_fault_of_word(inqud_next_text(reader));
	call->message = inqud_next_text(reader);
	call->order.expires_at = inqud_next_time(reader);
	call->retry_in_ms = inqud_next_int8(reader);
	retry_for = inqud_next_int8(reader);
	read_in = inqud_next_int8(reader);
	response.body = inqud_next_text(reader);
	if (response.body != NULL)
	{
		response.body_len = strlen(response.body);
		call->reply = inqud_reply_read(&response, call->kind == INQUD_KIND_CREATE, NULL, NULL, NULL);
		call->outcome = call->reply ? inqud_reply_outcome(call->reply) : INQUD_UNKNOWN;
	}
	else
		call->outcome = outcome_of(inqud_next_text(reader));
	inqud_recording_of(item, call, by_worker);
	item->ending.retry_for = retry_for * 1000;
	item->ending.read_in = read_in * 1000;
}

/*
 * inqud._record(outcomes jsonb, by_worker boolean): records an array of outcomes that
 * are written by hand, for tests; returns in their order which rows took them, and how.
 */
Datum
inqud_record_outcomes(PG_FUNCTION_ARGS)
{
	static InqudStatement statement = {
		"SELECT checkout, kind, lease, poke, answers, http_status, fault, message, sent_expires_at,"
		"  extract(epoch FROM retry_in * 1000)::int8, extract(epoch FROM retry_for * 1000)::int8,"
		"  extract(epoch FROM read_in * 1000)::int8, reply, coalesce(outcome, '')"
		" FROM jsonb_to_recordset($1) AS o (checkout int8, kind text, lease int8, poke int4, answers int4,"
		"  http_status int4, fault text, message text, sent_expires_at timestamptz, retry_in interval,"
		"  retry_for interval, read_in interval, reply text, outcome text)", "jsonb"
	};
	static const char *const words[] = {
		[INQUD_APPLIED_DONE] = "done",
		[INQUD_APPLIED_SAME] = "same",
		[INQUD_APPLIED_LOCKED] = "locked",
		[INQUD_APPLIED_GONE] = "gone",
	};
	ReturnSetInfo *set = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		outcomes = PG_GETARG_DATUM(0);
	InqudRecording *items;
	InqudRole	role;
	int			n;

	inqud_init_materialized(fcinfo);
	inqud_enter(&role);
	n = (int) inqud_execute(&statement, &outcomes, NULL);
	items = palloc(sizeof(InqudRecording) * n);
	for (int i = 0; i < n; i++)
	{
		RowReader	reader;

		inqud_reader_begin(&reader, SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
		form_item(&items[i], &reader, PG_GETARG_BOOL(1));
	}
	inqud_record(items, n);
	for (int i = 0; i < n; i++)
	{
		Datum		values[2];
		bool		nulls[2] = {false, false};

		values[0] = Int64GetDatum(items[i].checkout != 0 ? items[i].checkout : items[i].target);
		values[1] = CStringGetTextDatum(words[items[i].applied]);
		tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
	}
	inqud_leave(&role);
	return (Datum) 0;
}

/* inqud._notice(id bigint, project text, state text, status text): sends a notice. */
Datum
inqud_notice(PG_FUNCTION_ARGS)
{
	inqud_notify(PG_GETARG_INT64(0), text_to_cstring(PG_GETARG_TEXT_PP(1)),
				 text_to_cstring(PG_GETARG_TEXT_PP(2)),
				 PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3)));
	PG_RETURN_VOID();
}
