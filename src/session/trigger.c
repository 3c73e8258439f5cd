/*-------------------------------------------------------------------------
 *
 * trigger.c
 *		inqud_order_trigger: queues a checkout for each new row of an orders table.
 *
 * It serves as a row trigger, or as a statement trigger with a transition table for
 * bulk inserts.  Its arguments are the project and "key=template" (templates.c); they are
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
#include "miscadmin.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(inqud_order_trigger);

/* The trigger's arguments; they live as long as the trigger's FmgrInfo. */
typedef struct TriggerPlan
{
	Oid			relation;
	InqudTemplates *templates;
} TriggerPlan;

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
 * Whether another AFTER trigger may look for the checkout before the statement ends.
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
			TRIGGER_FOR_AFTER(trigger->tgtype))
			return true;
	}
	return false;
}

/* Queue the order of one row, in the statement's batch if that is possible. */
static void
enqueue_row(const TriggerPlan *plan, TriggerData *data, InqudProject *project)
{
	bool		updated = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
	TupleTableSlot *slot = updated ? data->tg_newslot : data->tg_trigslot;
	InqudNewOrder order;

	if (!inqud_templates_fill(plan->templates, slot, project, &order))
		return;
	if (updated || other_triggers_may_look(data) ||
		!inqud_batch_add(project, RelationGetRelid(data->tg_relation), &order))
		inqud_enqueue(project, inqud_orders_add(NULL, &order, CurrentMemoryContext), false);
}

/* Queue the orders of a transition table, INQUD_MAX_BATCH at a time. */
static void
enqueue_table(const TriggerPlan *plan, TriggerData *data, const InqudProject *project)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(data->tg_relation),
													&TTSOpsMinimalTuple);
	MemoryContext batch = AllocSetContextCreate(CurrentMemoryContext, "inqud orders",
												ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(batch);
	ArrayBuildState *orders = NULL;
	InqudNewOrder order;

	tuplestore_rescan(data->tg_newtable);
	while (tuplestore_gettupleslot(data->tg_newtable, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		if (!inqud_templates_fill(plan->templates, slot, project, &order))
			continue;
		orders = inqud_orders_add(orders, &order, batch);
		if (orders->nelems < INQUD_MAX_BATCH)
			continue;
		inqud_enqueue(project, orders, false);
		MemoryContextReset(batch);
		orders = NULL;
	}
	if (orders)
		inqud_enqueue(project, orders, false);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(batch);
	ExecDropSingleTupleTableSlot(slot);
}

/* Raise 39P01 unless a trigger is fired after insert or update, and is for each row or has a transition table. */
static void
check_kind(bool after_change, bool has_rows)
{
	if (!after_change)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("inqud_order_trigger must be fired after insert or update")));
	if (!has_rows)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("inqud_order_trigger for each statement needs a transition table"),
				 errhint("Add REFERENCING NEW TABLE AS new_rows.")));
}

static void
check_fired(FunctionCallInfo fcinfo)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	check_kind(CALLED_AS_TRIGGER(fcinfo) && TRIGGER_FIRED_AFTER(data->tg_event) &&
			   (TRIGGER_FIRED_BY_INSERT(data->tg_event) || TRIGGER_FIRED_BY_UPDATE(data->tg_event)),
			   CALLED_AS_TRIGGER(fcinfo) && (TRIGGER_FIRED_FOR_ROW(data->tg_event) || data->tg_newtable != NULL));
}

void
inqud_check_trigger(const Trigger *trigger, Relation relation)
{
	int16		type = trigger->tgtype;

	check_kind(TRIGGER_FOR_AFTER(type) && (TRIGGER_FOR_INSERT(type) || TRIGGER_FOR_UPDATE(type)),
			   TRIGGER_FOR_ROW(type) || trigger->tgnewtable != NULL);
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
	TriggerPlan *plan;
	InqudProject *project;
	MemoryContext work;
	MemoryContext old;

	check_fired(fcinfo);
	work = AllocSetContextCreate(CurTransactionContext, "inqud trigger", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(work);
	plan = get_trigger_plan(fcinfo, data);
	project = inqud_project_get(data->tg_trigger->tgargs[0], GetUserId(), INQUD_NEED_USAGE);
	inqud_project_release_with(project, work);
	if (TRIGGER_FIRED_FOR_ROW(data->tg_event))
		enqueue_row(plan, data, project);
	else
		enqueue_table(plan, data, project);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
	return PointerGetDatum(NULL);
}
