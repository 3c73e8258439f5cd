/*-------------------------------------------------------------------------
 *
 * enqueue.c
 *		Checks an order, and writes it to the queue.
 *
 * An order that is wrong must be refused here, in the caller's transaction: the
 * worker could not report it.  Nothing here may send anything.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "access/htup_details.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#define MAX_ORDER_ID 200		/* characters; 64 at least are needed */
#define MAX_NAME 1000			/* characters, unless name_limit says less */
#define MAX_CURRENCY 20
#define MAX_URL 2000
#define MAX_EXTRA 65536			/* bytes, as text */

const char *const inqud_member_names[INQUD_ORDER_MEMBERS] = {
	"order_id", "name", "return_url", "amount", "currency", "type", "expires_at", "extra"
};

void
inqud_raise_invalid(const char *name, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for \"%s\"", name),
			 errdetail("%s", detail),
			 hint ? errhint("%s", hint) : 0));
}

/* Counts characters only if there are more bytes than "max", since counting is slow. */
static bool
is_longer(const char *value, int max)
{
	return strlen(value) > (size_t) max && pg_mbstrlen(value) > max;
}

/* A member that must be a text, not empty, of at most "max" characters and none of control. */
static char *
check_text(const InqudNewOrder *order, InqudMember member, int max)
{
	const char *name = inqud_member_names[member];
	char	   *value;

	if (order->nulls[member])
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"%s\" must not be null", name)));
	value = TextDatumGetCString(order->values[member]);
	if (value[0] == '\0')
		inqud_raise_invalid(name, "It must not be empty.", NULL);
	if (is_longer(value, max))
		inqud_raise_invalid(name, psprintf("It has %d characters, more than %d.",
										   pg_mbstrlen(value), max), NULL);
	if (inqud_has_control(value))
		inqud_raise_invalid(name, "It must not contain control characters.", NULL);
	/* raises 22021 for a text that cannot be converted to UTF-8, before the worker meets it */
	(void) pg_server_to_any(value, (int) strlen(value), PG_UTF8);
	return value;
}

static void
check_name(const InqudNewOrder *order, const InqudProject *project)
{
	char	   *value = check_text(order, INQUD_ORDER_NAME, MAX_NAME);

	if (project->name_limit > 0 && is_longer(value, project->name_limit))
		inqud_raise_invalid("name",
							psprintf("It has %d characters, more than name_limit %d of server \"%s\".",
									 pg_mbstrlen(value), project->name_limit, project->name),
							"Names are never cut; give a shorter one.");
}

static void
check_url(const InqudNewOrder *order)
{
	char	   *value = check_text(order, INQUD_ORDER_RETURN_URL, MAX_URL);
	const char *why = inqud_check_web_url(inqud_to_utf8(value));

	if (why)
		inqud_raise_invalid("return_url", psprintf("It %s.", why), NULL);
}

static void
check_amount(const InqudNewOrder *order)
{
	char		plain[INQUD_NUMBER_MAX];
	char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out, order->values[INQUD_ORDER_AMOUNT]));

	if (!inqud_number_plain(text, strlen(text), plain))
		inqud_raise_invalid("amount", "It must be a number of at most 38 digits, 18 of them decimals.", NULL);
	if (plain[0] == '-' || plain[strspn(plain, "0.")] == '\0')
		inqud_raise_invalid("amount", "It must be positive.", "Leave it null to let the payer choose.");
	if (order->nulls[INQUD_ORDER_CURRENCY])
		inqud_raise_invalid("currency", "An amount needs a currency.", NULL);
}

static void
check_currency(const InqudNewOrder *order)
{
	char	   *value;

	if (order->nulls[INQUD_ORDER_AMOUNT])
		inqud_raise_invalid("currency", "A currency needs an amount.",
							"Without an amount the payer chooses both.");
	value = check_text(order, INQUD_ORDER_CURRENCY, MAX_CURRENCY);
	if (value[strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.")] != '\0')
		inqud_raise_invalid("currency", "It must be a code such as USD or USDT.", NULL);
}

static void
check_type(InqudNewOrder *order)
{
	bool		priced = !order->nulls[INQUD_ORDER_AMOUNT];
	bool		fixed;
	char	   *type;

	if (order->nulls[INQUD_ORDER_TYPE])
		order->values[INQUD_ORDER_TYPE] = CStringGetTextDatum(priced ? "FIXED_PRICE" : "NO_PRICE");
	order->nulls[INQUD_ORDER_TYPE] = false;
	type = TextDatumGetCString(order->values[INQUD_ORDER_TYPE]);
	fixed = strcmp(type, "FIXED_PRICE") == 0;
	if (!fixed && strcmp(type, "NO_PRICE") != 0 && strcmp(type, "SUGGESTED_FIXED_PRICE") != 0)
		inqud_raise_invalid("type", "It is not a type of checkout.",
							"Valid types are FIXED_PRICE, NO_PRICE and SUGGESTED_FIXED_PRICE.");
	if (fixed && !priced)
		inqud_raise_invalid("type", "FIXED_PRICE needs an amount and a currency.", NULL);
	if (!fixed && priced)
		inqud_raise_invalid("type", psprintf("%s takes no amount.", type),
							"The amounts of SUGGESTED_FIXED_PRICE come from the widget's settings.");
}

static void
check_expires_at(const InqudNewOrder *order)
{
	TimestampTz expires_at = DatumGetTimestampTz(order->values[INQUD_ORDER_EXPIRES_AT]);
	char		text[40];
	int64		back;

	if (TIMESTAMP_NOT_FINITE(expires_at))
		inqud_raise_invalid("expires_at", "It must be finite.", NULL);
	if (expires_at <= GetCurrentTimestamp())
		inqud_raise_invalid("expires_at", "It must lie in the future.", NULL);
	inqud_time_write(inqud_to_unix(expires_at), text);
	if (!inqud_time_read(text, strlen(text), &back))
		inqud_raise_invalid("expires_at", "It lies too far in the future.", NULL);
}

static void
check_extra(const InqudNewOrder *order)
{
	Jsonb	   *extra = DatumGetJsonbP(order->values[INQUD_ORDER_EXTRA]);
	char	   *text = JsonbToCString(NULL, &extra->root, VARSIZE(extra));
	char	   *utf8 = pg_server_to_any(text, (int) strlen(text), PG_UTF8);
	const char *why = inqud_check_extra(utf8, strlen(utf8));

	if (why)
		inqud_raise_invalid("extra", psprintf("It %s.", why),
							"It is an object of further members for Inqud.");
	if (strlen(utf8) > MAX_EXTRA)
		inqud_raise_invalid("extra", psprintf("It has %zu bytes, more than %d.", strlen(utf8), MAX_EXTRA), NULL);
}

void
inqud_check_order(InqudNewOrder *order, const InqudProject *project)
{
	(void) check_text(order, INQUD_ORDER_ID, MAX_ORDER_ID);
	check_name(order, project);
	check_url(order);
	if (!order->nulls[INQUD_ORDER_CURRENCY])
		check_currency(order);
	if (!order->nulls[INQUD_ORDER_AMOUNT])
		check_amount(order);
	check_type(order);
	if (!order->nulls[INQUD_ORDER_EXPIRES_AT])
		check_expires_at(order);
	if (!order->nulls[INQUD_ORDER_EXTRA])
		check_extra(order);
}

ArrayBuildState *
inqud_orders_add(ArrayBuildState *orders, InqudNewOrder *order, MemoryContext context)
{
	TupleDesc	desc = inqud_type_desc("_order");
	Datum		row = HeapTupleGetDatum(heap_form_tuple(desc, order->values, order->nulls));

	Assert(desc->natts == INQUD_ORDER_MEMBERS);
	orders = accumArrayResult(orders, row, false, desc->tdtypeid, context);
	ReleaseTupleDesc(desc);
	return orders;
}

/* An array of n orders. */
static Datum
array_of(Datum *rows, int n, const ArrayBuildState *orders)
{
	return PointerGetDatum(construct_array(rows, n, orders->element_type, orders->typlen,
										   orders->typbyval, orders->typalign));
}

/* The arguments of both statements below. */
enum
{
	PROJECT, PROJECT_ID, OWNER, HOME, IS_FREE, WANTS_ROW, ORDERS, NARGUMENTS
};

#define ARGUMENT_TYPES "text text name int8 bool bool inqud._order[]"

/*
 * Insert the orders that have no checkout yet; returns how many, and the row of the
 * first if WANTS_ROW, read from no table: under SERIALIZABLE that would conflict
 * with every other session that inserts.  IS_FREE: inqud._again() has looked at what
 * the order has.  OFFSET keeps EXISTS a look into an index, whatever the number of
 * orders that the plan is made for.
 */
static uint64
insert_new(Datum *values)
{
	static InqudStatement statement = {
		"WITH new AS ("
		" INSERT INTO inqud.checkout AS k (project, project_id, owner, order_id, name, return_url,"
		"  amount, currency, type, expires_at, extra)"
		" SELECT $1, $2, $3, o.* FROM unnest($7) o"
		" WHERE $5 OR NOT EXISTS (SELECT FROM inqud.checkout r"
		"  WHERE r.project = $1 AND r.order_id = o.order_id AND NOT r.current OFFSET 0)"
		" ON CONFLICT (project, order_id) WHERE current DO NOTHING"
		" RETURNING k.id, CASE WHEN $6 THEN k END AS made"
		"), queued AS ("
		" INSERT INTO inqud.queue (checkout, home, project, kind, due_at)"
		" SELECT new.id, $4, $1, 'create', clock_timestamp() FROM new"
		") SELECT new.made FROM new", ARGUMENT_TYPES
	};

	return inqud_execute(&statement, values, NULL);
}

/* The checkout that a known order has, or 0 if it may have a new one now.  Raises 23505, 42501. */
static Datum
find_known(Datum *values)
{
	static InqudStatement statement = {
		"SELECT inqud._again($1, $3, o) FROM unnest($7) o", ARGUMENT_TYPES
	};

	inqud_execute(&statement, values, NULL);
	return inqud_keep_value(1);
}

/*
 * Queue orders one by one, because some are known; returns the row of the last one.  When
 * another transaction has queued one meanwhile, look at its row.  Above READ COMMITTED,
 * where that cannot be seen, ON CONFLICT raises 40001.
 */
static Datum
enqueue_one_by_one(Datum *values, const ArrayBuildState *orders)
{
	Datum		row = (Datum) 0;

	values[IS_FREE] = values[WANTS_ROW] = BoolGetDatum(true);
	for (int i = 0; i < orders->nelems; i++)
	{
		values[ORDERS] = array_of(&orders->dvalues[i], 1, orders);
		while ((row = find_known(values)) == (Datum) 0 && insert_new(values) == 0)
			CHECK_FOR_INTERRUPTS();
		if (row == (Datum) 0)
			row = inqud_keep_value(1);
	}
	return row;
}

/*
 * Ask for a wake-up at commit although the trigger on inqud.queue does so too: no
 * trigger fires in a session whose session_replication_role is "replica".
 */
Datum
inqud_enqueue(const InqudProject *project, const ArrayBuildState *orders, bool wants_row)
{
	InqudRole	role;
	Datum		values[NARGUMENTS];
	Datum		row = (Datum) 0;

	values[PROJECT] = CStringGetTextDatum(project->name);
	values[PROJECT_ID] = CStringGetTextDatum(project->account.project_id);
	values[OWNER] = inqud_name_datum(inqud_current_role());	/* before inqud_enter changes it */
	values[HOME] = Int64GetDatum(inqud_this_home());
	values[IS_FREE] = BoolGetDatum(false);
	values[WANTS_ROW] = BoolGetDatum(wants_row);
	values[ORDERS] = array_of(orders->dvalues, orders->nelems, orders);
	inqud_enter(&role);
	if (insert_new(values) < (uint64) orders->nelems)
		row = enqueue_one_by_one(values, orders);
	else if (wants_row)
		row = inqud_keep_value(1);
	inqud_leave(&role);
	inqud_wake_at_commit();
	return row;
}
