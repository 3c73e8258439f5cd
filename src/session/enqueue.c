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
	inqud_wake_at_commit(GetCurrentTransactionStartTimestamp());
	return row;
}
