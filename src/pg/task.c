/*-------------------------------------------------------------------------
 *
 * task.c
 *		Tasks out of rows, outcomes into rows, and the encodings between.
 *
 * The database speaks its own encoding, the client UTF-8.  What comes from
 * outside is converted without ever raising an error: a text that the database
 * cannot hold becomes null, and its member's name goes into the outcome, so that
 * one strange character never keeps a status from being recorded.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#define UNIX_TO_PG_USEC \
	((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

TimestampTz
inqud_from_unix(int64 usec)
{
	return usec - UNIX_TO_PG_USEC;
}

int64
inqud_to_unix(TimestampTz when)
{
	return when + UNIX_TO_PG_USEC;
}

/* ---------------------------------------------------------------------
 * Encodings
 * ---------------------------------------------------------------------
 */

/* Bytes that are no text in this encoding: keep what is ASCII of them. */
char *
inqud_ascii_of(const char *text)
{
	char	   *out = pstrdup(text);
	char	   *c;

	for (c = out; *c; c++)
	{
		if (IS_HIGHBIT_SET(*c))
			*c = '?';
	}
	return out;
}

char *
inqud_to_utf8(const char *text)
{
	int			encoding = GetDatabaseEncoding();
	int			len;
	int			size;
	char	   *out;
	Oid			proc;

	if (text == NULL)
		return NULL;
	len = (int) strlen(text);
	if (encoding == PG_UTF8 || len == 0)
		return pstrdup(text);
	if (encoding == PG_SQL_ASCII)
		return pg_verify_mbstr(PG_UTF8, text, len, true) ? pstrdup(text) : inqud_ascii_of(text);
	proc = FindDefaultConversionProc(encoding, PG_UTF8);
	if (!OidIsValid(proc))
		return inqud_ascii_of(text);
	size = len * MAX_CONVERSION_GROWTH + 1;
	out = palloc(size);
	if (pg_do_encoding_conversion_buf(proc, encoding, PG_UTF8, (unsigned char *) text, len,
									  (unsigned char *) out, size, true) < len)
		return inqud_ascii_of(text);
	return out;
}

char *
inqud_from_utf8(const char *text)
{
	int			encoding = GetDatabaseEncoding();
	size_t		len;
	char	   *out;
	Oid			proc;

	if (text == NULL)
		return NULL;
	len = strlen(text);
	/* UTF-8 is what the client made sure of; SQL_ASCII takes bytes as they are. */
	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII || len == 0)
		return pstrdup(text);
	proc = FindDefaultConversionProc(PG_UTF8, encoding);
	if (!OidIsValid(proc))
		return NULL;
	out = palloc(len * MAX_CONVERSION_GROWTH + 1);
	if (pg_do_encoding_conversion_buf(proc, PG_UTF8, encoding,
									  (unsigned char *) text, (int) len,
									  (unsigned char *) out,
									  (int) (len * MAX_CONVERSION_GROWTH + 1),
									  true) < (int) len)
	{
		pfree(out);
		return NULL;
	}
	return out;
}

/* ---------------------------------------------------------------------
 * Tasks
 * ---------------------------------------------------------------------
 */

/* A column as text in the current context; NULL when it is null. */
static char *
text_column(HeapTuple tuple, TupleDesc desc, const char *name)
{
	int			column = SPI_fnumber(desc, name);

	if (column <= 0)
		elog(ERROR, "a task has no column \"%s\"", name);
	return SPI_getvalue(tuple, desc, column);
}

static int64
int_column(HeapTuple tuple, TupleDesc desc, const char *name, bool wide)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, SPI_fnumber(desc, name), &isnull);

	if (isnull)
		return 0;
	return wide ? DatumGetInt64(value) : DatumGetInt32(value);
}

static void
fill_order(InqudOrder *order, HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	Datum		expires;

	order->order_id = inqud_to_utf8(text_column(tuple, desc, "order_id"));
	order->name = inqud_to_utf8(text_column(tuple, desc, "name"));
	order->type = inqud_to_utf8(text_column(tuple, desc, "type"));
	order->amount = text_column(tuple, desc, "amount");
	order->currency = inqud_to_utf8(text_column(tuple, desc, "currency"));
	order->return_url = inqud_to_utf8(text_column(tuple, desc, "return_url"));
	order->extra = inqud_to_utf8(text_column(tuple, desc, "extra"));
	expires = SPI_getbinval(tuple, desc, SPI_fnumber(desc, "expires_at"), &isnull);
	if (!isnull && !TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(expires)))
		order->expires_at = inqud_to_unix(DatumGetTimestampTz(expires));
}

InqudTask *
inqud_task_from_tuple(HeapTuple tuple, TupleDesc desc, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "inqud task",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	InqudTask  *task = palloc0(sizeof(InqudTask));
	char	   *kind;

	task->context = context;
	kind = text_column(tuple, desc, "kind");
	task->is_create = strcmp(kind, "create") == 0;
	task->is_found = strcmp(kind, "found") == 0;
	task->is_poked = task->is_found || strcmp(kind, "poked") == 0;
	task->checkout = int_column(tuple, desc, "checkout", true);
	task->lease = int_column(tuple, desc, "lease", true);
	task->poke = (int32) int_column(tuple, desc, "poke", false);
	task->attempts = (int32) int_column(tuple, desc, "attempts", false);
	task->project = text_column(tuple, desc, "project");
	task->project_id = text_column(tuple, desc, "project_id");
	task->owner = text_column(tuple, desc, "owner");
	task->checkout_id = text_column(tuple, desc, "checkout_id");
	if (task->is_create)
		fill_order(&task->order, tuple, desc);
	MemoryContextSwitchTo(old);
	return task;
}

void
inqud_task_free(InqudTask *task)
{
	if (task)
		MemoryContextDelete(task->context);
}

InqudRequest *
inqud_task_request(InqudTask *task, const InqudProject *project, const char **why)
{
	InqudOrder	order;

	if (!task->is_create)
		return inqud_request_read_checkout(&project->account, &inqud_crypto,
										   task->checkout_id, why);
	order = task->order;
	if (order.expires_at == 0)
	{
		/* whole seconds: nobody chooses a payment window to the microsecond */
		order.expires_at = inqud_to_unix(GetCurrentTimestamp()) +
			project->expires_in_ms * 1000;
		order.expires_at -= order.expires_at % 1000000;
	}
	task->sent_expires_at = order.expires_at;
	return inqud_request_create_checkout(&project->account, &inqud_crypto,
										 &order, why);
}

/* ---------------------------------------------------------------------
 * Outcomes
 * ---------------------------------------------------------------------
 */

/* A row of inqud._outcome being filled. */
typedef struct OutcomeRow
{
	TupleDesc	desc;
	Datum		values[64];
	bool		nulls[64];
	StringInfoData lost;		/* members that the database cannot hold */
} OutcomeRow;

static void
set(OutcomeRow *row, const char *name, Datum value)
{
	int			column = SPI_fnumber(row->desc, name);

	if (column <= 0 || column > (int) lengthof(row->values))
		elog(ERROR, "type inqud._outcome has no column \"%s\"", name);
	row->values[column - 1] = value;
	row->nulls[column - 1] = false;
}

static void
lose(OutcomeRow *row, const char *name)
{
	appendStringInfo(&row->lost, "%s%s", row->lost.len ? ", " : "", name);
}

static void
set_text(OutcomeRow *row, const char *name, const char *utf8)
{
	char	   *text = inqud_from_utf8(utf8);

	if (text)
		set(row, name, CStringGetTextDatum(text));
	else if (utf8)
		lose(row, name);
}

/*
 * A word that must not get lost whatever the encoding: what the database
 * cannot hold of it becomes '?'.
 */
static void
set_word(OutcomeRow *row, const char *name, const char *utf8)
{
	char	   *text = inqud_from_utf8(utf8);

	if (text == NULL && utf8 != NULL)
		text = inqud_ascii_of(utf8);
	if (text)
		set(row, name, CStringGetTextDatum(text));
}

/* The client has checked digits and bounds, so that numeric's input cannot fail. */
static void
set_number(OutcomeRow *row, const char *name, const char *number)
{
	if (number)
		set(row, name, DirectFunctionCall3(numeric_in, CStringGetDatum(number),
										   ObjectIdGetDatum(InvalidOid),
										   Int32GetDatum(-1)));
}

static void
set_time(OutcomeRow *row, const char *name, int64 usec)
{
	if (usec != 0)
		set(row, name, TimestampTzGetDatum(inqud_from_unix(usec)));
}

static void
set_interval(OutcomeRow *row, const char *name, int64 ms)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = ms * 1000;
	set(row, name, IntervalPGetDatum(interval));
}

/*
 * jsonb in a database that is not UTF-8 can refuse what the client let pass (an
 * escape for a character that the database lacks), hence the subtransaction; a
 * UTF-8 one cannot.
 */
static bool
json_value(const char *json, Datum *value)
{
	MemoryContext old = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	char	   *text;
	volatile bool ok = true;

	if (GetDatabaseEncoding() == PG_UTF8)
	{
		*value = DirectFunctionCall1(jsonb_in, CStringGetDatum(json));
		return true;
	}
	text = inqud_from_utf8(json);
	if (text == NULL)
		return false;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(old);
	PG_TRY();
	{
		*value = DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(old);
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		ok = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	CurrentResourceOwner = owner;
	return ok;
}

/*
 * What an answer to a create is compared with.  A text that the database cannot
 * say is another one than was ordered, and must not look as if it were absent.
 */
static void
set_ordered(OutcomeRow *row, const char *name, const char *utf8, bool is_create)
{
	if (is_create)
		set_word(row, name, utf8);
	else
		set_text(row, name, utf8);
}

static void
set_checkout(OutcomeRow *row, const InqudReply *reply, bool is_create)
{
	const InqudCheckout *c = inqud_reply_checkout(reply);
	const char *json;
	size_t		len;
	Datum		value;

	set_word(row, "id", c->id);
	set_word(row, "status", c->status);
	set_ordered(row, "project_id", c->project_id, is_create);
	set_ordered(row, "order_id", c->order_id, is_create);
	set_text(row, "reason", c->reason);
	set_text(row, "name", c->name);
	set_ordered(row, "type", c->type, is_create);
	set_text(row, "return_url", c->return_url);
	set_text(row, "acquiring_url", c->acquiring_url);
	set_number(row, "fixed_amount", c->fixed_amount);
	set_ordered(row, "fixed_currency", c->fixed_currency, is_create);
	set_time(row, "created_at", c->created_at);
	set_time(row, "updated_at", c->updated_at);
	set_time(row, "expires_at", c->expires_at);
	set(row, "has_request", BoolGetDatum(c->has_request));
	set_text(row, "request_id", c->request_id);
	set_text(row, "payment_id", c->payment_id);
	set_number(row, "pay_amount", c->pay_amount);
	set_text(row, "pay_currency", c->pay_currency);
	set_text(row, "pay_blockchain", c->pay_blockchain);
	set_number(row, "paid_amount", c->paid_amount);
	if (c->overpaid >= 0)
		set(row, "overpaid", BoolGetDatum(c->overpaid != 0));
	set_text(row, "tx_hash", c->tx_hash);
	set_number(row, "merchant_fee", c->merchant_fee);
	set_number(row, "processing_amount", c->processing_amount);
	if (c->lost)
		lose(row, c->lost);

	json = inqud_reply_json(reply, &len);
	if (json && json_value(json, &value))
		set(row, "reply", value);
	else
		lose(row, "reply");
}

static void
set_result(OutcomeRow *row, const InqudTask *task, const InqudResult *result)
{
	set(row, "checkout", Int64GetDatum(task->checkout));
	set(row, "kind", CStringGetTextDatum(task->is_create ? "create" :
										  task->is_found ? "found" : "read"));
	if (task->is_create)
		set(row, "lease", Int64GetDatum(task->lease));
	set(row, "poke", Int32GetDatum(task->poke));
	set(row, "started", TimestampTzGetDatum(result->started));
	set(row, "arrived", TimestampTzGetDatum(result->arrived));
	set(row, "outcome", CStringGetTextDatum(result->outcome));
	set(row, "http_status", Int32GetDatum(result->http_status));
	set_word(row, "message", result->message);
	set_interval(row, "retry_in", result->retry_in_ms);
	set_interval(row, "retry_for", result->retry_for_ms);
	set_interval(row, "read_in", result->read_in_ms);
	set_time(row, "sent_expires_at", task->sent_expires_at);
}

Datum
inqud_outcome_datum(const InqudTask *task, const InqudResult *result)
{
	OutcomeRow	row;
	HeapTuple	tuple;

	memset(&row, 0, sizeof(row));
	memset(row.nulls, true, sizeof(row.nulls));
	row.desc = inqud_type_desc("_outcome");
	initStringInfo(&row.lost);

	set_result(&row, task, result);
	if (result->reply && strcmp(result->outcome, "ok") == 0)
		set_checkout(&row, result->reply, task->is_create);
	if (row.lost.len > 0)
		set(&row, "lost", CStringGetTextDatum(row.lost.data));

	tuple = heap_form_tuple(row.desc, row.values, row.nulls);
	ReleaseTupleDesc(row.desc);
	return HeapTupleGetDatum(tuple);
}
