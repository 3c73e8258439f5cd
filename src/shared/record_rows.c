/*-------------------------------------------------------------------------
 *
 * record_rows.c
 *		Rows of checkouts, queue and history to the structs of the decision, and
 *		back; outcomes of calls to what the decision takes.
 *
 * One table of columns serves for all of it.  Nothing here may decide what a value
 * means.
 *
 *-------------------------------------------------------------------------
 */
#include "shared/shared.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

typedef enum ColumnType
{
	TEXT,
	NUMBER,
	TIME,
	FLAG						/* an int that is -1 for null */
} ColumnType;

/* What becomes of a text of a reply that the database cannot store. */
typedef enum Conversion
{
	OR_LOST,					/* null, and its name is noted */
	OR_ASCII,					/* it must not be null: '?' for its characters */
	OR_DIFFERS					/* that in an answer that is compared with its order, where null would fit any */
} Conversion;

/* The members of a reply: their names where they are lost, and in table inqud.checkout, in its order. */
static const struct
{
	const char *member;
	const char *column;
	size_t		offset;			/* in InqudCheckout */
	ColumnType	type;
	Conversion	conversion;
	bool		written;
}			columns[] =
{
	{"project_id", "project_id", offsetof(InqudCheckout, project_id), TEXT, OR_DIFFERS, false},
	{"order_id", "order_id", offsetof(InqudCheckout, order_id), TEXT, OR_DIFFERS, false},
	{"name", "name", offsetof(InqudCheckout, name), TEXT, OR_LOST, true},
	{"type", "type", offsetof(InqudCheckout, type), TEXT, OR_DIFFERS, true},
	{"fixed_amount", "amount", offsetof(InqudCheckout, fixed_amount), NUMBER, OR_LOST, false},
	{"fixed_currency", "currency", offsetof(InqudCheckout, fixed_currency), TEXT, OR_DIFFERS, false},
	{"return_url", "return_url", offsetof(InqudCheckout, return_url), TEXT, OR_LOST, true},
	{"expires_at", "expires_at", offsetof(InqudCheckout, expires_at), TIME, OR_LOST, true},
	{"status", "status", offsetof(InqudCheckout, status), TEXT, OR_ASCII, true},
	{"reason", "reason", offsetof(InqudCheckout, reason), TEXT, OR_LOST, true},
	{"id", "checkout_id", offsetof(InqudCheckout, id), TEXT, OR_ASCII, true},
	{"acquiring_url", "acquiring_url", offsetof(InqudCheckout, acquiring_url), TEXT, OR_LOST, true},
	{"pay_amount", "pay_amount", offsetof(InqudCheckout, pay_amount), NUMBER, OR_LOST, true},
	{"pay_currency", "pay_currency", offsetof(InqudCheckout, pay_currency), TEXT, OR_LOST, true},
	{"pay_blockchain", "pay_blockchain", offsetof(InqudCheckout, pay_blockchain), TEXT, OR_LOST, true},
	{"paid_amount", "paid_amount", offsetof(InqudCheckout, paid_amount), NUMBER, OR_LOST, true},
	{"overpaid", "overpaid", offsetof(InqudCheckout, overpaid), FLAG, OR_LOST, true},
	{"tx_hash", "tx_hash", offsetof(InqudCheckout, tx_hash), TEXT, OR_LOST, true},
	{"merchant_fee", "merchant_fee", offsetof(InqudCheckout, merchant_fee), NUMBER, OR_LOST, true},
	{"processing_amount", "processing_amount", offsetof(InqudCheckout, processing_amount), NUMBER, OR_LOST, true},
	{"created_at", "opened_at", offsetof(InqudCheckout, created_at), TIME, OR_LOST, true},
	{"updated_at", "status_at", offsetof(InqudCheckout, updated_at), TIME, OR_LOST, true},
	{"request_id", "request_id", offsetof(InqudCheckout, request_id), TEXT, OR_LOST, true},
	{"payment_id", "payment_id", offsetof(InqudCheckout, payment_id), TEXT, OR_LOST, true},
};

#define N_COLUMNS ((int) lengthof(columns))
#define TEXT_AT(checkout, i) (*(const char **) ((char *) (checkout) + columns[i].offset))
#define TIME_AT(checkout, i) (*(int64 *) ((char *) (checkout) + columns[i].offset))
#define FLAG_AT(checkout, i) (*(int *) ((char *) (checkout) + columns[i].offset))

static const char *const state_words[] = {
	[INQUD_QUEUED] = "queued",
	[INQUD_OPEN] = "open",
	[INQUD_CLOSED] = "closed",
	[INQUD_FAILED] = "failed",
	[INQUD_CANCELED] = "canceled",
};

static const char *const event_words[] = {
	[INQUD_EVENT_CREATED] = "created",
	[INQUD_EVENT_STATUS] = "status",
	[INQUD_EVENT_CHANGED] = "changed",
	[INQUD_EVENT_WEBHOOK] = "webhook",
	[INQUD_EVENT_ERROR] = "error",
	[INQUD_EVENT_FAILED] = "failed",
	[INQUD_EVENT_CANCELED] = "canceled",
	[INQUD_EVENT_ANOMALY] = "anomaly",
};

const char *
inqud_state_word(InqudState state)
{
	return state_words[state];
}

/* ---- Times: of the server, since 2000, and of the client, since 1970 ---- */

static int64
time_of(Datum value)
{
	TimestampTz when = DatumGetTimestampTz(value);

	return TIMESTAMP_NOT_FINITE(when) ? (TIMESTAMP_IS_NOEND(when) ? INQUD_NEVER : PG_INT64_MIN) : inqud_to_unix(when);
}

static Datum
time_datum(int64 when)
{
	if (when == INQUD_NEVER)
		return TimestampTzGetDatum(DT_NOEND);
	if (when == PG_INT64_MIN)
		return TimestampTzGetDatum(DT_NOBEGIN);
	return TimestampTzGetDatum(inqud_from_unix(when));
}

/* ---- Reading rows ---- */

/* Set a member of a checkout from a value of its column. */
static void
set_member(InqudCheckout *is, int i, Datum value, bool isnull)
{
	switch (columns[i].type)
	{
		case TEXT:
			TEXT_AT(is, i) = isnull ? NULL : TextDatumGetCString(value);
			break;
		case NUMBER:
			TEXT_AT(is, i) = isnull ? NULL : DatumGetCString(DirectFunctionCall1(numeric_out, value));
			break;
		case TIME:
			TIME_AT(is, i) = isnull ? 0 : time_of(value);
			break;
		case FLAG:
			FLAG_AT(is, i) = isnull ? -1 : DatumGetBool(value);
	}
}

char *
inqud_columns(bool assigned)
{
	StringInfoData sql;
	int			i;

	initStringInfo(&sql);
	for (i = 0; i < N_COLUMNS; i++)
	{
		if (!assigned)
			appendStringInfo(&sql, ", k.%s", columns[i].column);
		else if (columns[i].written)
			appendStringInfo(&sql, ", %s = u.%s", columns[i].column, columns[i].column);
	}
	return sql.data;
}

void
inqud_reader_begin(RowReader *reader, HeapTuple tuple, TupleDesc desc)
{
	if (desc->natts > (int) lengthof(reader->values))
		elog(ERROR, "too many columns");
	heap_deform_tuple(tuple, desc, reader->values, reader->nulls);
	reader->column = 0;
}

Datum
inqud_next(RowReader *reader)
{
	Datum		value = reader->nulls[reader->column] ? (Datum) 0 : reader->values[reader->column];

	reader->column++;
	return value;
}

char *
inqud_next_text(RowReader *reader)
{
	Datum		value = inqud_next(reader);

	return value != (Datum) 0 ? TextDatumGetCString(value) : NULL;
}

int64
inqud_next_time(RowReader *reader)
{
	bool		isnull = reader->nulls[reader->column];
	Datum		value = inqud_next(reader);

	return isnull ? 0 : time_of(value);
}

void
inqud_next_checkout(RowReader *reader, InqudCheckout *is)
{
	int			i;

	memset(is, 0, sizeof(InqudCheckout));
	for (i = 0; i < N_COLUMNS; i++)
	{
		bool		isnull = reader->nulls[reader->column];

		set_member(is, i, inqud_next(reader), isnull);
	}
}

InqudState
inqud_state_of(const char *word)
{
	return (InqudState) inqud_place_of_word(state_words, lengthof(state_words), word);
}

/* ---- Writing rows ---- */

static void
clear_row(RowWriter *writer)
{
	memset(writer->nulls, true, sizeof(writer->nulls));
}

void
inqud_writer_begin(RowWriter *writer, const char *type)
{
	writer->desc = inqud_type_desc(type);
	if (writer->desc->natts > (int) lengthof(writer->values))
		elog(ERROR, "type inqud.%s has too many columns", type);
	writer->place = 0;
	clear_row(writer);
}

/* A column's place in the values.  It is looked for behind the last one, since most are set in their order. */
static int
place_of(RowWriter *writer, const char *column)
{
	int			n = writer->desc->natts;

	for (int i = 0; i < n; i++)
	{
		writer->place = (writer->place + 1) % n;
		if (strcmp(NameStr(TupleDescAttr(writer->desc, writer->place)->attname), column) == 0)
			return writer->place;
	}
	elog(ERROR, "there is no column \"%s\"", column);
}

void
inqud_set(RowWriter *writer, const char *column, Datum value)
{
	int			place = place_of(writer, column);

	writer->values[place] = value;
	writer->nulls[place] = false;
}

void
inqud_set_text(RowWriter *writer, const char *column, const char *text)
{
	if (text != NULL)
		inqud_set(writer, column, CStringGetTextDatum(text));
}

void
inqud_set_time(RowWriter *writer, const char *column, int64 when)
{
	if (when != 0)
		inqud_set(writer, column, time_datum(when));
}

Datum
inqud_row_end(RowWriter *writer)
{
	Datum		row = HeapTupleGetDatum(heap_form_tuple(writer->desc, writer->values, writer->nulls));

	clear_row(writer);
	return row;
}

/* Set the columns of members of a reply; "all": also those that no answer changes. */
static void
set_members(RowWriter *writer, const InqudCheckout *is, bool all)
{
	int			i;

	for (i = 0; i < N_COLUMNS; i++)
	{
		const char *column = columns[i].column;

		if (!columns[i].written && !all)
			continue;
		switch (columns[i].type)
		{
			case TEXT:
				inqud_set_text(writer, column, TEXT_AT(is, i));
				break;
			case NUMBER:
				/* the client has checked digits and range, or it comes from a row */
				if (TEXT_AT(is, i) != NULL)
					inqud_set(writer, column, DirectFunctionCall3(numeric_in, CStringGetDatum(TEXT_AT(is, i)),
																  ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
				break;
			case TIME:
				inqud_set_time(writer, column, TIME_AT(is, i));
				break;
			case FLAG:
				if (FLAG_AT(is, i) >= 0)
					inqud_set(writer, column, BoolGetDatum(FLAG_AT(is, i) != 0));
		}
	}
}

Datum
inqud_checkout_datum(RowWriter *writer, const InqudRecording *item, const InqudDecision *decision, int64 now)
{
	const InqudRecord *record = &decision->record;

	inqud_set(writer, "id", Int64GetDatum(item->target));
	set_members(writer, &record->is, false);
	inqud_set_text(writer, "state", state_words[record->state]);
	inqud_set_time(writer, "closed_at", record->closed_at);
	inqud_set_time(writer, "updated_at", now);
	inqud_set_text(writer, "error", inqud_sentence(&decision->error));
	inqud_set_text(writer, "fault", inqud_fault_word(record->fault));
	if (decision->keep_reply && item->has_reply)
		inqud_set(writer, "reply", item->reply);
	inqud_set_time(writer, "paid_at", record->paid_at);
	/* the statement that writes it draws the number */
	if (decision->money)
		inqud_set(writer, "money_event", Int64GetDatum(0));
	if (record->contradiction != 0)
		inqud_set(writer, "contradiction", Int64GetDatum(record->contradiction));
	return inqud_row_end(writer);
}

Datum
inqud_event_datum(RowWriter *writer, int64 checkout, const InqudNote *note, int http_status, int64 now)
{
	if (checkout > 0)
		inqud_set(writer, "checkout", Int64GetDatum(checkout));
	inqud_set_time(writer, "at", now);
	inqud_set_text(writer, "kind", event_words[note->kind]);
	inqud_set_text(writer, "status_from", note->status_from);
	inqud_set_text(writer, "status_to", note->status_to);
	inqud_set_text(writer, "reason", note->reason);
	if (note->of_reply && http_status != 0)
		inqud_set(writer, "http_status", Int32GetDatum(http_status));
	inqud_set_text(writer, "detail", inqud_sentence(&note->says));
	return inqud_row_end(writer);
}

/* ---- Outcomes ---- */

static void
append_name(StringInfo names, const char *name)
{
	appendStringInfo(names, "%s%s", names->len > 0 ? ", " : "", name);
}

/* A text of a reply as the database stores it; NULL and its name noted when it cannot. */
static const char *
storable(int i, const char *utf8, bool compared, StringInfo lost)
{
	char	   *text = inqud_from_utf8(utf8);

	if (text != NULL || utf8 == NULL)
		return text;
	if (columns[i].conversion == OR_ASCII || (columns[i].conversion == OR_DIFFERS && compared))
		return inqud_ascii_of(utf8);
	append_name(lost, columns[i].member);
	return NULL;
}

/* The reply's checkout with texts as the database stores them. */
static void
set_reply(InqudRecording *item, const InqudReply *reply)
{
	InqudCheckout *is = &item->ending.reply;
	StringInfoData lost;
	const char *json;
	size_t		len;
	int			i;

	*is = *inqud_reply_checkout(reply);
	initStringInfo(&lost);
	for (i = 0; i < N_COLUMNS; i++)
	{
		if (columns[i].type == TEXT)
			TEXT_AT(is, i) = storable(i, TEXT_AT(is, i), item->target > 0, &lost);
	}
	if (is->lost)
		append_name(&lost, is->lost);
	json = inqud_reply_json(reply, &len);
	item->has_reply = json != NULL && inqud_json_value(json, &item->reply);
	if (!item->has_reply)
		append_name(&lost, "reply");
	is->lost = lost.len > 0 ? lost.data : NULL;
}

void
inqud_recording_of(InqudRecording *item, const InqudCall *call, bool by_worker)
{
	InqudEnding *ending = &item->ending;

	memset(item, 0, sizeof(InqudRecording));
	item->target = call->checkout;
	item->http_status = call->http_status;
	ending->aim = call->kind == INQUD_KIND_CREATE ? INQUD_AIM_CREATE :
		call->kind == INQUD_KIND_FOUND ? INQUD_AIM_FOUND : INQUD_AIM_READ;
	ending->by_worker = by_worker;
	ending->lease = call->lease;
	ending->poke = call->poke;
	ending->answers = call->answers;
	ending->outcome = call->outcome;
	ending->fault = call->fault != INQUD_FAULT_NONE ? call->fault : inqud_fault_of(call->outcome);
	ending->message = call->message ? inqud_readable(call->message) : NULL;
	ending->retry_in = call->retry_in_ms * 1000;
	/* a call that lacks its project is held or blocked, which does not count */
	ending->retry_for = call->project ? call->project->retry_for_ms * 1000 : 0;
	ending->sent_expires_at = call->order.expires_at;
	if (call->reply && call->outcome == INQUD_OK)
		set_reply(item, call->reply);
	item->perhaps_same = ending->aim == INQUD_AIM_READ && ending->outcome == INQUD_OK &&
		(call->status == NULL || (ending->reply.status && strcmp(call->status, ending->reply.status) == 0));
}

/* ---- A checkout as a reply shows it ---- */

/* Begin with a row of inqud.checkout; what a reply may change goes to "record". */
static void
begin_with_row(RowWriter *writer, InqudRecord *record, HeapTupleHeader row)
{
	HeapTupleData tuple;
	int			paid = place_of(writer, "paid_at");
	int			i;

	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	tuple.t_data = row;
	heap_deform_tuple(&tuple, writer->desc, writer->values, writer->nulls);
	for (i = 0; i < N_COLUMNS; i++)
	{
		int			place = place_of(writer, columns[i].column);

		set_member(&record->is, i, writer->values[place], writer->nulls[place]);
		writer->nulls[place] = true;
	}
	record->paid_at = writer->nulls[paid] ? 0 : time_of(writer->values[paid]);
}

Datum
inqud_seen_checkout(Datum row, const InqudCall *call)
{
	InqudRecord record = {0};
	InqudRecording item;
	RowWriter	writer;
	Datum		seen;
	bool		shown;

	inqud_recording_of(&item, call, false);
	inqud_writer_begin(&writer, "checkout");
	if (row != (Datum) 0)
		begin_with_row(&writer, &record, DatumGetHeapTupleHeader(row));
	else
	{
		inqud_set_text(&writer, "project", call->project->name);
		record.is.project_id = call->project->account.project_id;
		record.is.order_id = item.ending.reply.order_id;
		record.is.fixed_amount = item.ending.reply.fixed_amount;
		record.is.fixed_currency = item.ending.reply.fixed_currency;
		record.is.overpaid = -1;
	}
	shown = inqud_show_reply(&record, &item.ending.reply, inqud_to_unix(GetCurrentTimestamp()));
	set_members(&writer, &record.is, true);
	inqud_set_text(&writer, "state", state_words[inqud_is_final(record.is.status) ? INQUD_CLOSED : INQUD_OPEN]);
	inqud_set_time(&writer, "paid_at", record.paid_at);
	if (shown && item.has_reply)
		inqud_set(&writer, "reply", item.reply);
	seen = inqud_row_end(&writer);
	ReleaseTupleDesc(writer.desc);
	return seen;
}
