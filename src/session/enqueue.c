/*-------------------------------------------------------------------------
 *
 * enqueue.c
 *		Writes orders to the queue.
 *
 * They have been checked (order.c).  Nothing here may send anything.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "access/xact.h"

#include "access/htup_details.h"
#include "catalog/pg_collation.h"
#include "executor/executor.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/builtins.h"

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
	PROJECT, PROJECT_ID, OWNER, SERVER_ID, OWNER_ID, ROLE, HOME, IS_FREE, WANTS_ROW, ORDERS, NARGUMENTS
};

#define ARGUMENT_TYPES "text text name int4 int4 oid int8 bool bool inqud._order[]"

/*
 * Insert the orders that have no checkout yet; returns how many.  The result has, in
 * the order of the array, the row for WANTS_ROW and the order's number; they are read from
 * no table: under SERIALIZABLE that would conflict with every other session that inserts.
 * IS_FREE: inqud._again() has looked at what the order has.  OFFSET keeps EXISTS a look
 * into an index, whatever the number of orders that the plan is made for.
 */
static uint64
insert_new(Datum *values)
{
	static InqudStatement statement = {
		"WITH new AS ("
		" INSERT INTO inqud.checkout AS k (project, project_id, owner, server_id, owner_id, order_id, name, return_url,"
		"  amount, currency, type, expires_at, extra)"
		" SELECT $1, $2, $3, $4, $5, o.* FROM unnest($10) o"
		" WHERE $8 OR NOT EXISTS (SELECT FROM inqud.checkout r"
		"  WHERE r.server_id = $4 AND r.order_id = o.order_id AND NOT r.current OFFSET 0)"
		" ON CONFLICT (server_id, order_id) WHERE current DO NOTHING"
		" RETURNING k.id, k.order_id, CASE WHEN $9 THEN k END AS made"
		"), queued AS ("
		" INSERT INTO inqud.queue (checkout, home, server_id, kind, due_at)"
		" SELECT new.id, $7, $4, 'create', clock_timestamp() FROM new"
		") SELECT new.made, new.order_id FROM new", ARGUMENT_TYPES
	};

	return inqud_execute(&statement, values, NULL);
}

/* The checkout that a known order has, or 0 if it may have a new one now.  Raises 23505, 42501. */
static Datum
find_known(Datum *values)
{
	static InqudStatement statement = {
		"SELECT inqud._again($4, $1, $6, o) FROM unnest($10) o", ARGUMENT_TYPES
	};

	inqud_execute(&statement, values, NULL);
	return inqud_keep_value(1);
}

/*
 * Queue an order that may be known; returns its row, and whether it is a new one.  When
 * another transaction has queued it meanwhile, look at its row.  Above READ COMMITTED,
 * where that cannot be seen, ON CONFLICT raises 40001.
 */
static Datum
enqueue_known(Datum *values, Datum order, const ArrayBuildState *orders, bool *is_new)
{
	Datum		row = (Datum) 0;

	values[IS_FREE] = values[WANTS_ROW] = BoolGetDatum(true);
	values[ORDERS] = array_of(&order, 1, orders);
	while ((row = find_known(values)) == (Datum) 0 && insert_new(values) == 0)
		CHECK_FOR_INTERRUPTS();
	*is_new = row == (Datum) 0;
	return *is_new ? inqud_keep_value(1) : row;
}

/* Note that an order was inserted again which has this checkout: one event, as long as nobody has resolved it. */
static void
note_again(Datum *values, Datum checkout)
{
	static InqudStatement statement = {"SELECT inqud._note_again($1, $2)", "int8 name"};
	HeapTupleHeader row = DatumGetHeapTupleHeader(checkout);
	bool		isnull;
	Datum		arguments[] = {GetAttributeByName(row, "id", &isnull), values[OWNER]};

	inqud_execute(&statement, arguments, NULL);
	inqud_again_note(inqud_row_text(row, "order_id"));
}

/* Whether the order was inserted, whose place among the inserted ones is "made". */
static bool
was_inserted(Datum order, const SPITupleTable *inserted, uint64 made)
{
	bool		isnull;
	Datum		here = GetAttributeByNum(DatumGetHeapTupleHeader(order), INQUD_ORDER_ID + 1, &isnull);

	return made < inserted->numvals &&
		DatumGetBool(DirectFunctionCall2Coll(texteq, C_COLLATION_OID, here,
											 SPI_getbinval(inserted->vals[made], inserted->tupdesc, 2, &isnull)));
}

/* Queue the orders that insert_new() left, since they are known.  It has inserted the first of each number. */
static Datum
enqueue_rest(Datum *values, const ArrayBuildState *orders, InqudQueueing by)
{
	const SPITupleTable *inserted = SPI_tuptable;
	uint64		made = 0;
	Datum		row = (Datum) 0;
	bool		is_new;

	for (int i = 0; i < orders->nelems; i++)
	{
		if (was_inserted(orders->dvalues[i], inserted, made))
		{
			made++;
			continue;
		}
		row = enqueue_known(values, orders->dvalues[i], orders, &is_new);
		if (!is_new && by == INQUD_QUEUE_NEW)
			note_again(values, row);
	}
	return row;
}

/*
 * Ask for a wake-up at commit although the trigger on inqud.queue does so too: no
 * trigger fires in a session whose session_replication_role is "replica".
 */
Datum
inqud_enqueue(const InqudProject *project, const ArrayBuildState *orders, InqudQueueing by)
{
	InqudRole	role;
	Datum		values[NARGUMENTS];
	Datum		row = (Datum) 0;
	bool		all_new;

	/* before the entries are looked up */
	inqud_lock_checkouts();
	values[PROJECT] = CStringGetTextDatum(project->name);
	values[PROJECT_ID] = CStringGetTextDatum(project->account.project_id);
	values[OWNER] = inqud_name_datum(inqud_current_role());	/* before inqud_enter changes it */
	values[SERVER_ID] = Int32GetDatum(inqud_know(INQUD_KNOWN_SERVER, project->serverid));
	values[OWNER_ID] = Int32GetDatum(inqud_know(INQUD_KNOWN_ROLE, GetUserId()));
	values[ROLE] = ObjectIdGetDatum(GetUserId());
	values[HOME] = Int64GetDatum(inqud_this_home());
	values[IS_FREE] = BoolGetDatum(false);
	values[WANTS_ROW] = BoolGetDatum(by == INQUD_QUEUE_CALL);
	values[ORDERS] = array_of(orders->dvalues, orders->nelems, orders);
	inqud_enter(&role);
	all_new = insert_new(values) == (uint64) orders->nelems;
	if (all_new && by == INQUD_QUEUE_CALL)
		row = inqud_keep_value(1);
	else if (!all_new && by != INQUD_QUEUE_EITHER)
		row = enqueue_rest(values, orders, by);
	inqud_leave(&role);
	inqud_wake_at_commit(GetCurrentTransactionStartTimestamp());
	return row;
}

/* The entry of a server of that name; 0 if there is none. */
static Datum
known_server(const char *project)
{
	Oid			serverid = get_foreign_server_oid(project, true);

	return Int32GetDatum(OidIsValid(serverid) ? inqud_known_id(INQUD_KNOWN_SERVER, serverid) : 0);
}

bool
inqud_order_known(const char *project, const char *order_id)
{
	static InqudStatement statement = {
		"SELECT true FROM inqud._of_order($1, $2) LIMIT 1", "int4 text"
	};
	Datum		values[] = {(Datum) 0, CStringGetTextDatum(order_id)};

	/* before the entry is looked up */
	inqud_lock_tables();
	values[0] = known_server(project);
	return inqud_value_of(&statement, values, NULL) != (Datum) 0;
}

bool
inqud_order_changed(const char *project, const char *before, const char *after, const char *changed)
{
	static InqudStatement statement = {
		"SELECT inqud._note_changed($1, $2, $3, $4, $5)", "int4 text text name text"
	};
	Datum		values[] = {
		(Datum) 0,
		before ? CStringGetTextDatum(before) : (Datum) 0,
		after ? CStringGetTextDatum(after) : (Datum) 0,
		inqud_name_datum(inqud_current_role()),
		CStringGetTextDatum(changed)
	};
	char		nulls[] = {' ', before ? ' ' : 'n', after ? ' ' : 'n', ' ', ' ', '\0'};

	/* before the entry is looked up */
	inqud_lock_tables();
	values[0] = known_server(project);
	return DatumGetBool(inqud_value_of(&statement, values, nulls));
}
