/*-------------------------------------------------------------------------
 *
 * trigger.c
 *		inqud_order_trigger: queues a checkout for each new order in an orders table.
 *
 * It serves as a row trigger, or as a statement trigger with transition tables for
 * bulk changes.  Its arguments are the project and "key=template" (templates.c); they are
 * read once per statement.
 *
 * The checkout's owner is the role that inserts the order, and that role needs USAGE
 * on the server: the trigger must not act with other rights.  It must not call Inqud,
 * since a rollback cannot undo a POST.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(inqud_order_trigger);

/* The trigger's arguments; they live as long as the trigger's FmgrInfo. */
typedef struct TriggerPlan
{
	Oid			relation;
	InqudTemplates *templates;
	bool		warned;			/* see warn_if_useless */
} TriggerPlan;

/* One call of the trigger. */
typedef struct TriggerCall
{
	const TriggerData *data;
	TriggerPlan *plan;
	InqudProject *project;		/* NULL until a row is to be queued */
	MemoryContext context;		/* of the call */
	MemoryContext row;			/* of what is asked about one row of a transition table */
	MemoryContext batch;		/* of the orders of a transition table */
	ArrayBuildState *orders;	/* the same; NULL while there are none */
} TriggerCall;

/* The plan from the last row of this statement, or a new one; raises as inqud_templates_read. */
static TriggerPlan *
get_trigger_plan(FunctionCallInfo fcinfo, TriggerData *data)
{
	FmgrInfo   *flinfo = fcinfo->flinfo;
	TriggerPlan *plan = flinfo->fn_extra;
	MemoryContext old;

	if (plan && plan->relation == RelationGetRelid(data->tg_relation))
		return plan;
	old = MemoryContextSwitchTo(flinfo->fn_mcxt);
	plan = palloc0(sizeof(TriggerPlan));
	plan->templates = inqud_templates_read(data->tg_trigger, data->tg_relation);
	plan->relation = RelationGetRelid(data->tg_relation);
	flinfo->fn_extra = plan;
	MemoryContextSwitchTo(old);
	return plan;
}

/*
 * Whether another AFTER INSERT trigger may look for the checkout before the statement ends.
 * For a partition the answer is yes, because the triggers of the partitioned table
 * are not known here.  Foreign keys' triggers never look.
 */
static bool
other_triggers_may_look(const TriggerData *data)
{
	const TriggerDesc *all = data->tg_relation->trigdesc;

	if (data->tg_trigger->tgdeferrable || data->tg_relation->rd_rel->relispartition)
		return true;
	for (int i = 0; i < all->numtriggers; i++)
	{
		const Trigger *trigger = &all->triggers[i];

		if (trigger->tgoid != data->tg_trigger->tgoid && !trigger->tgisinternal &&
			TRIGGER_FOR_AFTER(trigger->tgtype) && TRIGGER_FOR_INSERT(trigger->tgtype))
			return true;
	}
	return false;
}

/*
 * The project, for a row that is to be queued: only then is the role asked for its right
 * to use the server.  Raises 42704, 42501.
 */
static InqudProject *
get_project(TriggerCall *call)
{
	if (call->project == NULL)
	{
		call->project = inqud_project_get(call->data->tg_trigger->tgargs[0], GetUserId(), INQUD_NEED_USAGE);
		inqud_project_release_with(call->project, call->context);
	}
	return call->project;
}

/* Queue the order of one row, in the statement's batch if that is possible. */
static void
queue_row(TriggerCall *call, TupleTableSlot *slot, InqudQueueing by)
{
	InqudProject *project = get_project(call);
	InqudNewOrder order;

	if (!inqud_templates_fill(call->plan->templates, slot, project, &order))
		return;
	if (by != INQUD_QUEUE_NEW || other_triggers_may_look(call->data) ||
		!inqud_batch_add(project, RelationGetRelid(call->data->tg_relation), &order))
		inqud_enqueue(project, inqud_orders_add(NULL, &order, CurrentMemoryContext), by);
}

/* Queue the orders of a transition table that are waiting. */
static void
queue_waiting(TriggerCall *call, InqudQueueing by)
{
	if (call->orders == NULL)
		return;
	inqud_enqueue(call->project, call->orders, by);
	MemoryContextReset(call->batch);
	call->orders = NULL;
}

/* The order of a row of a transition table: INQUD_MAX_BATCH are queued at a time. */
static void
add_row(TriggerCall *call, TupleTableSlot *slot, InqudQueueing by)
{
	InqudProject *project = get_project(call);
	MemoryContext old = MemoryContextSwitchTo(call->batch);
	InqudNewOrder order;

	CHECK_FOR_INTERRUPTS();
	if (inqud_templates_fill(call->plan->templates, slot, project, &order))
		call->orders = inqud_orders_add(call->orders, &order, call->batch);
	if (call->orders && call->orders->nelems == INQUD_MAX_BATCH)
		queue_waiting(call, by);
	MemoryContextSwitchTo(old);
}

/*
 * Whether an order may be looked up before anybody is asked for a right: only if the owner
 * of the table, who had the trigger made, or the role may use the server.  Else any role
 * could ask about orders by a trigger on a table of its own.
 */
static bool
may_look(const TriggerCall *call)
{
	Oid			server = get_foreign_server_oid(call->data->tg_trigger->tgargs[0], true);

	return OidIsValid(server) &&
		(inqud_server_aclcheck(server, call->data->tg_relation->rd_rel->relowner, ACL_USAGE) == ACLCHECK_OK ||
		 inqud_server_aclcheck(server, GetUserId(), ACL_USAGE) == ACLCHECK_OK);
}

/* Whether a row's order has a checkout. */
static bool
is_known(const TriggerCall *call, TupleTableSlot *slot)
{
	char	   *number = inqud_templates_text(call->plan->templates, INQUD_ORDER_ID, slot);

	return number && may_look(call) && inqud_order_known(call->data->tg_trigger->tgargs[0], number);
}

/* ---- Updates ---- */

/*
 * Warn, once a statement, of a trigger AFTER UPDATE OF columns that no template uses.  It
 * was made to queue orders when these change, and can not.
 */
static void
warn_if_useless(const TriggerCall *call)
{
	const Trigger *trigger = call->data->tg_trigger;
	Relation	table = call->data->tg_relation;

	if (call->plan->warned || trigger->tgnattr == 0)
		return;
	/* what a template uses may be computed from the column */
	if (table->trigdesc->trig_update_before_row)
		return;
	for (int i = 1; i <= RelationGetNumberOfAttributes(table); i++)
	{
		if (TupleDescAttr(RelationGetDescr(table), i - 1)->attgenerated && inqud_templates_use(call->plan->templates, i))
			return;
	}
	for (int i = 0; i < trigger->tgnattr; i++)
		if (inqud_templates_use(call->plan->templates, trigger->tgattr[i]))
			return;
	call->plan->warned = true;
	ereport(WARNING,
			(errmsg("trigger \"%s\" of table \"%s\" has queued nothing", trigger->tgname,
					RelationGetRelationName(call->data->tg_relation)),
			 errdetail("No template uses a column of its UPDATE OF, and an order is queued only when a value of a template changes."),
			 errhint("Use a column that changes: amount={due} with skip_free=true, where \"due\" is null until the order is to be paid.")));
}

/* Whether an UPDATE has made an order that is to be queued.  What is changed of a paid one is noted. */
static bool
is_changed(const TriggerCall *call, TupleTableSlot *before, TupleTableSlot *after)
{
	char	   *changed = inqud_templates_changed(call->plan->templates, before, after);

	if (changed == NULL)
		warn_if_useless(call);
	return changed &&
		!(may_look(call) &&
		  inqud_order_changed(call->data->tg_trigger->tgargs[0],
							  inqud_templates_text(call->plan->templates, INQUD_ORDER_ID, before),
							  inqud_templates_text(call->plan->templates, INQUD_ORDER_ID, after), changed));
}

/* ---- Both forms ---- */

/* A row trigger's row.  "origin" is for an INSERT. */
static void
fire_row(TriggerCall *call, InqudOrigin origin)
{
	const TriggerData *data = call->data;
	bool		updated = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
	TupleTableSlot *slot = updated ? data->tg_newslot : data->tg_trigslot;
	TupleTableSlot *latest = NULL;

	if (data->tg_trigger->tgdeferrable)
	{
		slot = latest = inqud_latest_row(data, slot);
		if (latest == NULL)
			return;
	}
	if (updated)
	{
		if (is_changed(call, data->tg_trigslot, slot))
			queue_row(call, slot, INQUD_QUEUE_CHANGED);
	}
	else if (origin == INQUD_ROW_NEW)
		queue_row(call, slot, INQUD_QUEUE_NEW);
	else if (!is_known(call, slot))
		queue_row(call, slot, INQUD_QUEUE_EITHER);
	if (latest)
		ExecDropSingleTupleTableSlot(latest);
}

/* A slot for the rows of a transition table. */
static TupleTableSlot *
table_slot(const TriggerData *data)
{
	return MakeSingleTupleTableSlot(RelationGetDescr(data->tg_relation), &TTSOpsMinimalTuple);
}

/* Whether a row is to be queued: one that was changed, or where that is not known, one without a checkout. */
static bool
is_wanted(const TriggerCall *call, TupleTableSlot *before, TupleTableSlot *after)
{
	MemoryContext old = MemoryContextSwitchTo(call->row);
	bool		wanted = before ? is_changed(call, before, after) : !is_known(call, after);

	MemoryContextSwitchTo(old);
	MemoryContextReset(call->row);
	return wanted;
}

/* The rows of a transition table of an INSERT. */
static void
fire_table(TriggerCall *call, InqudOrigin origin)
{
	InqudQueueing by = origin == INQUD_ROW_NEW ? INQUD_QUEUE_NEW : INQUD_QUEUE_EITHER;
	TupleTableSlot *slot = table_slot(call->data);

	tuplestore_rescan(call->data->tg_newtable);
	while (tuplestore_gettupleslot(call->data->tg_newtable, true, false, slot))
		if (by == INQUD_QUEUE_NEW || is_wanted(call, NULL, slot))
			add_row(call, slot, by);
	queue_waiting(call, by);
	ExecDropSingleTupleTableSlot(slot);
}

/*
 * The rows of the two transition tables of an UPDATE, which have each row at the same
 * place; unless a trigger has kept a row from arriving in another partition.  Then nobody
 * can say what was changed.
 */
static void
fire_tables(TriggerCall *call)
{
	Tuplestorestate *old = call->data->tg_oldtable;
	Tuplestorestate *new = call->data->tg_newtable;
	TupleTableSlot *before = table_slot(call->data);
	TupleTableSlot *after = table_slot(call->data);
	bool		paired = tuplestore_tuple_count(old) == tuplestore_tuple_count(new);

	tuplestore_rescan(old);
	tuplestore_rescan(new);
	while (tuplestore_gettupleslot(new, true, false, after))
	{
		if (paired)
			(void) tuplestore_gettupleslot(old, true, false, before);
		if (is_wanted(call, paired ? before : NULL, after))
			add_row(call, after, INQUD_QUEUE_CHANGED);
	}
	queue_waiting(call, INQUD_QUEUE_CHANGED);
	ExecDropSingleTupleTableSlot(before);
	ExecDropSingleTupleTableSlot(after);
}

/* A statement trigger's rows. */
static void
fire_statement(TriggerCall *call, InqudOrigin origin)
{
	call->batch = AllocSetContextCreate(call->context, "inqud orders", ALLOCSET_DEFAULT_SIZES);
	call->row = AllocSetContextCreate(call->context, "inqud row", ALLOCSET_DEFAULT_SIZES);
	if (TRIGGER_FIRED_BY_UPDATE(call->data->tg_event))
		fire_tables(call);
	else
		fire_table(call, origin);
}

/* Raise 39P01 unless a trigger is fired after insert or update, and is for each row or has its transition tables. */
static void
check_kind(bool after_change, bool has_new, bool has_old)
{
	if (!after_change)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("inqud_order_trigger must be fired after insert or update")));
	if (!has_new)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("inqud_order_trigger for each statement needs a transition table"),
				 errhint("Add REFERENCING NEW TABLE AS new_rows.")));
	if (!has_old)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("inqud_order_trigger after update for each statement needs both transition tables"),
				 errhint("Make the trigger anew, with REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows.")));
}

static void
check_fired(FunctionCallInfo fcinfo)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	bool		by_update;
	bool		for_row;

	if (!CALLED_AS_TRIGGER(fcinfo))
		check_kind(false, false, false);
	by_update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
	for_row = TRIGGER_FIRED_FOR_ROW(data->tg_event);
	check_kind(TRIGGER_FIRED_AFTER(data->tg_event) && (by_update || TRIGGER_FIRED_BY_INSERT(data->tg_event)),
			   for_row || data->tg_newtable != NULL, for_row || !by_update || data->tg_oldtable != NULL);
}

void
inqud_check_trigger(const Trigger *trigger, Relation relation)
{
	int16		type = trigger->tgtype;
	bool		for_row = TRIGGER_FOR_ROW(type);

	check_kind(TRIGGER_FOR_AFTER(type) && (TRIGGER_FOR_INSERT(type) || TRIGGER_FOR_UPDATE(type)),
			   for_row || trigger->tgnewtable != NULL,
			   for_row || !TRIGGER_FOR_UPDATE(type) || trigger->tgoldtable != NULL);
	(void) inqud_templates_read(trigger, relation);
}

/*
 * inqud_order_trigger('project', 'key=template', ...): see the head of this file.
 * Errors: 39P01 when it is fired otherwise; 22023 for its arguments; 42704, 42501 for
 * the project; those of inqud_check_order() and inqud_enqueue() for an order.
 */
Datum
inqud_order_trigger(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	InqudOrigin origin = INQUD_ROW_NEW;
	TriggerCall call = {0};
	MemoryContext old;

	check_fired(fcinfo);
	if (inqud_is_restore(data->tg_relation))
		return PointerGetDatum(NULL);
	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
		origin = inqud_row_origin(data);
	/* before anything that could fail */
	if (origin == INQUD_ROW_MOVED)
		return PointerGetDatum(NULL);
	call.data = data;
	call.context = AllocSetContextCreate(CurTransactionContext, "inqud trigger", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(call.context);
	call.plan = get_trigger_plan(fcinfo, data);
	if (TRIGGER_FIRED_FOR_ROW(data->tg_event))
		fire_row(&call, origin);
	else
		fire_statement(&call, origin);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(call.context);
	return PointerGetDatum(NULL);
}
