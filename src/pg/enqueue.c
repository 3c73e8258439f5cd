/*-------------------------------------------------------------------------
 *
 * enqueue.c
 *		Orders into the queue: what is asked of an order before anything is
 *		recorded or sent, and the call that records it.
 *
 * Whatever can be wrong with an order is found here, in the caller's
 * transaction, and never later by the worker.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pg/worker.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#define MAX_ORDER_ID 200		/* characters; C section 1 asks for at least 64 */
#define MAX_NAME 1000			/* characters, unless name_limit says less */
#define MAX_CURRENCY 20
#define MAX_URL 2000
#define MAX_EXTRA 65536			/* bytes, as text */

static void
invalid(const char *name, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for \"%s\"", name),
			 errdetail("%s", detail),
			 hint ? errhint("%s", hint) : 0));
}

static void
missing(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("\"%s\" must not be null", name)));
}

static bool
has_control(const char *text)
{
	for (; *text; text++)
	{
		if ((unsigned char) *text < 0x20 || *text == 0x7f)
			return true;
	}
	return false;
}

/* Characters are counted only where there are more bytes than that. */
static bool
is_longer(const char *value, int max)
{
	return strlen(value) > (size_t) max && pg_mbstrlen(value) > max;
}

/* A text that must be there, without control characters, of at most max characters. */
static void
check_text(const char *name, const char *value, int max)
{
	if (value == NULL)
		missing(name);
	if (value[0] == '\0')
		invalid(name, "It must not be empty.", NULL);
	if (is_longer(value, max))
		invalid(name, psprintf("It has %d characters, more than %d.",
							   pg_mbstrlen(value), max), NULL);
	if (has_control(value))
		invalid(name, "It must not contain control characters.", NULL);
	/* what cannot be sent as UTF-8 is found here (22021), not by the worker */
	(void) pg_server_to_any(value, (int) strlen(value), PG_UTF8);
}

static void
check_name(const char *value, const InqudProject *project)
{
	check_text("name", value, MAX_NAME);
	if (project->name_limit > 0 && is_longer(value, project->name_limit))
		invalid("name",
				psprintf("It has %d characters, more than name_limit %d of server \"%s\".",
						 pg_mbstrlen(value), project->name_limit, project->name),
				"Names are never cut; give a shorter one.");
}

static void
check_url(const char *value)
{
	const char *why;

	check_text("return_url", value, MAX_URL);
	why = inqud_check_web_url(inqud_to_utf8(value));
	if (why)
		invalid("return_url", psprintf("It %s.", why), NULL);
}

static void
check_amount(const InqudNewOrder *order)
{
	char		plain[INQUD_NUMBER_MAX];
	char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out, order->amount));
	const char *c;

	if (!inqud_number_plain(text, strlen(text), plain))
		invalid("amount", "It must be a number of at most 38 digits, 18 of them decimals.", NULL);
	for (c = plain; *c == '0' || *c == '.'; c++)
		 /* skip */ ;
	if (plain[0] == '-' || *c == '\0')
		invalid("amount", "It must be positive.", "Leave it null to let the payer choose.");
	if (order->currency == NULL)
		invalid("currency", "An amount needs a currency.", NULL);
}

static void
check_currency(const InqudNewOrder *order)
{
	const char *c;

	if (!order->has_amount)
		invalid("currency", "A currency needs an amount.",
				"Without an amount the payer chooses both.");
	check_text("currency", order->currency, MAX_CURRENCY);
	for (c = order->currency; *c; c++)
	{
		if (!((*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') ||
			  (*c >= '0' && *c <= '9') || *c == '_' || *c == '-' || *c == '.'))
			invalid("currency", "It must be a code such as USD or USDT.", NULL);
	}
}

static void
check_type(InqudNewOrder *order)
{
	if (order->type == NULL)
		order->type = order->has_amount ? "FIXED_PRICE" : "NO_PRICE";
	if (strcmp(order->type, "FIXED_PRICE") == 0)
	{
		if (!order->has_amount)
			invalid("type", "FIXED_PRICE needs an amount and a currency.", NULL);
	}
	else if (strcmp(order->type, "NO_PRICE") == 0 ||
			 strcmp(order->type, "SUGGESTED_FIXED_PRICE") == 0)
	{
		if (order->has_amount)
			invalid("type", psprintf("%s takes no amount.", order->type),
					"The amounts of SUGGESTED_FIXED_PRICE come from the widget's settings.");
	}
	else
		invalid("type", "It is not a type of checkout.",
				"Valid types are FIXED_PRICE, NO_PRICE and SUGGESTED_FIXED_PRICE.");
}

static void
check_expires_at(const InqudNewOrder *order)
{
	int64		usec;
	char		text[40];
	int64		back;

	if (TIMESTAMP_NOT_FINITE(order->expires_at))
		invalid("expires_at", "It must be finite.", NULL);
	if (order->expires_at <= GetCurrentTimestamp())
		invalid("expires_at", "It must lie in the future.", NULL);
	usec = inqud_to_unix(order->expires_at);
	inqud_time_write(usec, text);
	if (!inqud_time_read(text, strlen(text), &back))
		invalid("expires_at", "It lies too far in the future.", NULL);
}

static void
check_extra(const InqudNewOrder *order)
{
	Jsonb	   *extra = DatumGetJsonbP(order->extra);
	char	   *text = JsonbToCString(NULL, &extra->root, VARSIZE(extra));
	char	   *utf8 = pg_server_to_any(text, (int) strlen(text), PG_UTF8);
	const char *why = inqud_check_extra(utf8, strlen(utf8));

	/* the client's sentence names its subject, ours is "It" */
	if (why && strncmp(why, "extra ", 6) == 0)
		why += 6;
	if (why)
		invalid("extra", psprintf("It %s.", why),
				"It is an object of further members for Inqud.");
	if (strlen(utf8) > MAX_EXTRA)
		invalid("extra", psprintf("It has %zu bytes, more than %d.", strlen(utf8), MAX_EXTRA), NULL);
}

void
inqud_check_order(InqudNewOrder *order, const InqudProject *project)
{
	check_text("order_id", order->order_id, MAX_ORDER_ID);
	check_name(order->name, project);
	check_url(order->return_url);
	if (order->currency)
		check_currency(order);
	if (order->has_amount)
		check_amount(order);
	check_type(order);
	if (order->has_expires_at)
		check_expires_at(order);
	if (order->has_extra)
		check_extra(order);
}

Datum
inqud_order_datum(const InqudNewOrder *order)
{
	TupleDesc	desc = inqud_type_desc("_order");
	Datum		values[8] = {0};
	bool		nulls[8] = {false};
	HeapTuple	tuple;

	Assert(desc->natts == (int) lengthof(values));
	values[0] = CStringGetTextDatum(order->order_id);
	values[1] = CStringGetTextDatum(order->name);
	values[2] = CStringGetTextDatum(order->return_url);
	values[3] = order->amount;
	nulls[3] = !order->has_amount;
	if (order->currency)
		values[4] = CStringGetTextDatum(order->currency);
	else
		nulls[4] = true;
	values[5] = CStringGetTextDatum(order->type);
	values[6] = TimestampTzGetDatum(order->expires_at);
	nulls[6] = !order->has_expires_at;
	values[7] = order->extra;
	nulls[7] = !order->has_extra;
	tuple = heap_form_tuple(desc, values, nulls);
	ReleaseTupleDesc(desc);
	return HeapTupleGetDatum(tuple);
}

/* What every queued row is made from. */
static void
common_values(Datum *values, const InqudProject *project, const char *owner)
{
	values[0] = CStringGetTextDatum(project->name);
	values[1] = CStringGetTextDatum(project->account.project_id);
	values[2] = DirectFunctionCall1(namein, CStringGetDatum(owner));
	values[3] = Int64GetDatum(inqud_this_home());
}

static int64
first_int8(void)
{
	bool		isnull;

	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
									   1, &isnull));
}

/*
 * The commit wakes the worker.  The trigger on inqud.queue has it do so too, for
 * whoever else puts rows there; but no trigger fires in a session whose
 * session_replication_role is "replica".
 */
int64
inqud_enqueue(const InqudProject *project, Datum *orders, int n)
{
	static const char *const types[] = {"text", "text", "name", "int8", "_order[]"};
	static InqudStatement statement = {
		"SELECT inqud._enqueue($1, $2, $3, $4, $5)", 5, types
	};
	InqudRole	role;
	Datum		values[5];
	char	   *owner = GetUserNameFromId(GetUserId(), false);
	int64		id;

	inqud_enter(&role);
	common_values(values, project, owner);
	values[4] = PointerGetDatum(construct_array(orders, n, inqud_type_oid("_order"), -1, false,
												TYPALIGN_DOUBLE));
	inqud_execute(&statement, values, NULL);
	id = first_int8();
	inqud_leave(&role);
	inqud_wake_at_commit();
	return id;
}

/* Insert a new order's checkout; 0 when the order is known already. */
static int64
insert_checkout(Datum *values, const char *nulls)
{
	static const char *const types[] = {
		"text", "text", "name", "int8", "text", "text", "text", "numeric", "text", "text",
		"timestamptz", "jsonb"
	};
	static InqudStatement statement = {
		"INSERT INTO inqud.checkout (project, project_id, owner, order_id, name, return_url,"
		" amount, currency, type, expires_at, extra)"
		" SELECT $1, $2, $3, $5, $6, $7, $8, $9, $10, $11, $12"
		" WHERE NOT EXISTS (SELECT FROM inqud.checkout r"
		"  WHERE r.project = $1 AND r.order_id = $5 AND NOT r.current)"
		" ON CONFLICT (project, order_id) WHERE current DO NOTHING"
		" RETURNING id", 12, types
	};

	return inqud_execute(&statement, values, nulls) > 0 ? first_int8() : 0;
}

static void
insert_queue(int64 id, Datum home, Datum project)
{
	static const char *const types[] = {"int8", "int8", "text"};
	static InqudStatement statement = {
		"INSERT INTO inqud.queue (checkout, home, project, kind, due_at)"
		" VALUES ($1, $2, $3, 'create', clock_timestamp())", 3, types
	};
	Datum		values[3];

	values[0] = Int64GetDatum(id);
	values[1] = home;
	values[2] = project;
	inqud_execute(&statement, values, NULL);
}

/*
 * One order, as the row trigger has it: what inqud._enqueue() does for a new
 * order, as two plain statements, which take half the time of a function call
 * around them.  An order that is known already goes to that function.
 */
int64
inqud_enqueue_one(const InqudProject *project, const InqudNewOrder *order)
{
	InqudRole	role;
	Datum		values[12];
	char		nulls[12];
	char	   *owner = GetUserNameFromId(GetUserId(), false);
	Datum		again;
	int64		id;

	inqud_enter(&role);
	memset(nulls, ' ', sizeof(nulls));
	common_values(values, project, owner);
	values[4] = CStringGetTextDatum(order->order_id);
	values[5] = CStringGetTextDatum(order->name);
	values[6] = CStringGetTextDatum(order->return_url);
	values[7] = order->amount;
	nulls[7] = order->has_amount ? ' ' : 'n';
	values[8] = order->currency ? CStringGetTextDatum(order->currency) : (Datum) 0;
	nulls[8] = order->currency ? ' ' : 'n';
	values[9] = CStringGetTextDatum(order->type);
	values[10] = TimestampTzGetDatum(order->expires_at);
	nulls[10] = order->has_expires_at ? ' ' : 'n';
	values[11] = order->extra;
	nulls[11] = order->has_extra ? ' ' : 'n';
	id = insert_checkout(values, nulls);
	if (id != 0)
		insert_queue(id, values[3], values[0]);
	inqud_leave(&role);
	inqud_wake_at_commit();
	if (id != 0)
		return id;
	again = inqud_order_datum(order);
	return inqud_enqueue(project, &again, 1);
}
