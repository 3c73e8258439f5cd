/*-------------------------------------------------------------------------
 *
 * trigger.c
 *		inqud_order_trigger: queues a checkout for each new row of an orders table.
 *
 * It serves as a row trigger, or as a statement trigger with a transition table for
 * bulk inserts.  Its arguments are the project and "key=template"; they are parsed
 * once per statement.
 *
 * The checkout's owner is the role that inserts the order, and that role needs USAGE
 * on the server: the trigger must not act with other rights.  It must not call Inqud,
 * since a rollback cannot undo a POST.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(inqud_order_trigger);

/* The keys of arguments are the members of an order before "extra". */
#define NKEYS INQUD_ORDER_EXTRA

/* The type of each, and its input function. */
static const struct
{
	Oid			type;
	PGFunction	input;
}			keys[NKEYS] = {
	[INQUD_ORDER_ID] = {TEXTOID, textin},
	[INQUD_ORDER_NAME] = {TEXTOID, textin},
	[INQUD_ORDER_RETURN_URL] = {TEXTOID, textin},
	[INQUD_ORDER_AMOUNT] = {NUMERICOID, numeric_in},
	[INQUD_ORDER_CURRENCY] = {TEXTOID, textin},
	[INQUD_ORDER_TYPE] = {TEXTOID, textin},
	[INQUD_ORDER_EXPIRES_AT] = {TIMESTAMPTZOID, timestamptz_in},
};

/* The trigger's parsed arguments; they live as long as the trigger's FmgrInfo. */
typedef struct TriggerPlan
{
	Oid			relation;
	bool		given[NKEYS];
	InqudTemplate templates[NKEYS];
	int		   *columns[NKEYS];	/* column number of each part, 0 for text */
	FmgrInfo   *outputs[NKEYS];	/* how that column becomes text */
} TriggerPlan;

/* Raise 22023; "hint" may be NULL. */
static void
bad_argument(const char *argument, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid argument \"%s\" of inqud_order_trigger", argument),
			 errdetail("%s", detail),
			 hint ? errhint("%s", hint) : 0));
}

/* Memory context callback: templates are malloc'ed. */
static void
free_trigger_plan(void *arg)
{
	TriggerPlan *plan = arg;

	for (int i = 0; i < NKEYS; i++)
		if (plan->given[i])
			inqud_template_free(&plan->templates[i]);
}

/* The key of that name, or -1. */
static int
find_key(const char *argument, size_t len)
{
	for (int i = 0; i < NKEYS; i++)
		if (strlen(inqud_member_names[i]) == len && strncmp(inqud_member_names[i], argument, len) == 0)
			return i;
	return -1;
}

/* Find the columns of a template's parts, and how they become text; raises 22023 for an unknown or virtual one. */
static void
find_columns(TriggerPlan *plan, int key, const char *argument, TupleDesc desc)
{
	const InqudTemplate *template = &plan->templates[key];
	int		   *columns = palloc0(sizeof(int) * Max(template->nparts, 1));
	FmgrInfo   *outputs = palloc0(sizeof(FmgrInfo) * Max(template->nparts, 1));

	plan->columns[key] = columns;
	plan->outputs[key] = outputs;
	for (int i = 0; i < template->nparts; i++)
	{
		const char *name = template->parts[i].text;
		Oid			output;
		bool		varlena;

		if (!template->parts[i].is_column)
			continue;
		columns[i] = SPI_fnumber(desc, name);
		if (columns[i] <= 0)
			bad_argument(argument, psprintf("The table has no column \"%s\".", name), "Write {{ for a brace.");
		if (inqud_is_virtual(desc, columns[i]))
			bad_argument(argument, psprintf("Column \"%s\" is a virtual generated column.", name),
						 "Make it STORED: a trigger does not see its value otherwise.");
		getTypeOutputInfo(SPI_gettypeid(desc, columns[i]), &output, &varlena);
		fmgr_info(output, &outputs[i]);
	}
}

/* Parse one "key=template" into the plan; raises 22023. */
static void
read_argument(TriggerPlan *plan, const char *argument, TupleDesc desc)
{
	const char *equals = strchr(argument, '=');
	const char *why;
	int			key = equals ? find_key(argument, equals - argument) : -1;

	if (key < 0)
		bad_argument(argument, "It is not of the form key=template with a known key.",
					 "Valid keys are order_id, name, return_url, amount, currency, type and expires_at.");
	if (plan->given[key])
		bad_argument(argument, "The key is given twice.", NULL);
	why = inqud_template_read(equals + 1, &plan->templates[key]);
	if (why)
		bad_argument(argument, psprintf("The template %s.", why), NULL);
	plan->given[key] = true;
	find_columns(plan, key, argument, desc);
}

/* The plan from the last row of this statement, or a new one; raises 22023. */
static TriggerPlan *
get_trigger_plan(FunctionCallInfo fcinfo, TriggerData *data)
{
	FmgrInfo   *flinfo = fcinfo->flinfo;
	TriggerPlan *plan = flinfo->fn_extra;
	Trigger    *trigger = data->tg_trigger;
	MemoryContextCallback *callback;
	MemoryContext old;

	if (plan && plan->relation == RelationGetRelid(data->tg_relation))
		return plan;
	if (trigger->tgnargs < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("inqud_order_trigger needs the project as its first argument"),
				 errhint("EXECUTE FUNCTION inqud_order_trigger('shop', 'order_id={id}', 'name=Order {id}', 'return_url=https://shop.example/orders/{id}')")));

	old = MemoryContextSwitchTo(flinfo->fn_mcxt);
	plan = palloc0(sizeof(TriggerPlan));
	callback = palloc0(sizeof(MemoryContextCallback));
	callback->func = free_trigger_plan;
	callback->arg = plan;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	for (int i = 1; i < trigger->tgnargs; i++)
		read_argument(plan, trigger->tgargs[i], RelationGetDescr(data->tg_relation));
	for (int i = INQUD_ORDER_ID; i <= INQUD_ORDER_RETURN_URL; i++)
		if (!plan->given[i])
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("inqud_order_trigger needs an argument \"%s=...\"", inqud_member_names[i])));
	plan->relation = RelationGetRelid(data->tg_relation);
	flinfo->fn_extra = plan;
	MemoryContextSwitchTo(old);
	return plan;
}

/* The text of one part of a template; NULL for a column that is null. */
static char *
part_text(const TriggerPlan *plan, int key, int part, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		value;

	if (!plan->templates[key].parts[part].is_column)
		return plan->templates[key].parts[part].text;
	value = slot_getattr(slot, plan->columns[key][part], &isnull);
	return isnull ? NULL : OutputFunctionCall(&plan->outputs[key][part], value);
}

/* Fill in a template from a row.  A null column gives NULL if it is the whole template, else nothing. */
static char *
fill_template(const TriggerPlan *plan, int key, TupleTableSlot *slot)
{
	const InqudTemplate *template = &plan->templates[key];
	StringInfoData text;

	if (!plan->given[key])
		return NULL;
	if (template->single_column)
		return part_text(plan, key, 0, slot);
	initStringInfo(&text);
	for (int i = 0; i < template->nparts; i++)
	{
		char	   *part = part_text(plan, key, i, slot);

		if (part)
			appendStringInfoString(&text, part);
	}
	return text.data;
}

/* The value of a key; false for none.  A column of the key's type needs no conversion. */
static bool
fill_value(Datum *value, const TriggerPlan *plan, int key, TupleTableSlot *slot)
{
	char	   *text;
	bool		isnull;

	if (plan->given[key] && plan->templates[key].single_column &&
		SPI_gettypeid(slot->tts_tupleDescriptor, plan->columns[key][0]) == keys[key].type)
	{
		*value = slot_getattr(slot, plan->columns[key][0], &isnull);
		return !isnull;
	}
	text = fill_template(plan, key, slot);
	if (text == NULL)
		return false;
	*value = DirectFunctionCall3(keys[key].input, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	/* a template's buffer has at least 1 kB, and a statement trigger makes up to 1000 orders before they are freed */
	pfree(text);
	return true;
}

/* Make an order from a row and check it; texts are in the current context, or the row's. */
static void
fill_order_from_row(InqudNewOrder *order, const TriggerPlan *plan, TupleTableSlot *slot,
					const InqudProject *project)
{
	for (int key = 0; key < NKEYS; key++)
		order->nulls[key] = !fill_value(&order->values[key], plan, key, slot);
	order->nulls[INQUD_ORDER_EXTRA] = true;
	/* a table's currency column is often NOT NULL; without an amount it is to be ignored */
	if (order->nulls[INQUD_ORDER_AMOUNT])
		order->nulls[INQUD_ORDER_CURRENCY] = true;
	inqud_check_order(order, project);
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

	fill_order_from_row(&order, plan, slot, project);
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
		fill_order_from_row(&order, plan, slot, project);
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

/* Raise 39P01 unless the trigger is AFTER INSERT or UPDATE, with a transition table if per statement. */
static void
check_fired(FunctionCallInfo fcinfo)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) ||
		!(TRIGGER_FIRED_BY_INSERT(data->tg_event) || TRIGGER_FIRED_BY_UPDATE(data->tg_event)))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("inqud_order_trigger must be fired after insert or update")));
	if (!TRIGGER_FIRED_FOR_ROW(data->tg_event) && data->tg_newtable == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("inqud_order_trigger for each statement needs a transition table"),
				 errhint("Add REFERENCING NEW TABLE AS new_rows.")));
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
