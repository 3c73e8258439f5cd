/*-------------------------------------------------------------------------
 *
 * trigger.c
 *		inqud_order_trigger: a checkout for each new row of an orders table.
 *
 * Row trigger, or statement trigger with a transition table for bulk inserts.
 * The arguments are the project and "key=template"; they are cut once per
 * statement.  The row's owner is whoever inserts the order: no right is lent.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "access/htup_details.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(inqud_order_trigger);

/* How many orders of a transition table one call of _enqueue takes at the most. */
#define BATCH 1000

/* What an order is made of, in the order of the names below. */
enum
{
	KEY_ORDER_ID, KEY_NAME, KEY_RETURN_URL, KEY_AMOUNT, KEY_CURRENCY,
	KEY_TYPE, KEY_EXPIRES_AT, NKEYS
};

static const char *const key_names[NKEYS] = {
	"order_id", "name", "return_url", "amount", "currency", "type", "expires_at"
};

/* The trigger's arguments, cut; kept as long as the trigger's FmgrInfo. */
typedef struct TriggerPlan
{
	Oid			relation;
	char	   *project;
	bool		given[NKEYS];
	InqudTemplate templates[NKEYS];
	int		   *columns[NKEYS];	/* column number of each part, 0 for text */
	FmgrInfo   *outputs[NKEYS];	/* how that column becomes text */
} TriggerPlan;

static void
bad_argument(const char *argument, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid argument \"%s\" of inqud_order_trigger", argument),
			 errdetail("%s", detail),
			 hint ? errhint("%s", hint) : 0));
}

static void
free_plan(void *arg)
{
	TriggerPlan *plan = arg;
	int			i;

	for (i = 0; i < NKEYS; i++)
	{
		if (plan->given[i])
			inqud_template_free(&plan->templates[i]);
	}
}

static int
find_key(const char *argument, size_t len)
{
	int			i;

	for (i = 0; i < NKEYS; i++)
	{
		if (strlen(key_names[i]) == len && strncmp(key_names[i], argument, len) == 0)
			return i;
	}
	return -1;
}

/* Look the columns of a template up. */
static int *
find_columns(const InqudTemplate *template, const char *argument, TupleDesc desc)
{
	int		   *columns = palloc0(sizeof(int) * Max(template->nparts, 1));
	int			i;

	for (i = 0; i < template->nparts; i++)
	{
		if (!template->parts[i].is_column)
			continue;
		columns[i] = SPI_fnumber(desc, template->parts[i].text);
		if (columns[i] <= 0)
			bad_argument(argument,
						 psprintf("The table has no column \"%s\".", template->parts[i].text),
						 "Write {{ for a brace.");
		if (inqud_is_virtual(desc, columns[i]))
			bad_argument(argument,
						 psprintf("Column \"%s\" is a virtual generated column.", template->parts[i].text),
						 "Make it STORED: a trigger does not see its value otherwise.");
	}
	return columns;
}

/* How these columns become texts. */
static FmgrInfo *
find_outputs(const InqudTemplate *template, const int *columns, TupleDesc desc)
{
	FmgrInfo   *outputs = palloc0(sizeof(FmgrInfo) * Max(template->nparts, 1));
	Oid			output;
	bool		varlena;
	int			i;

	for (i = 0; i < template->nparts; i++)
	{
		if (!template->parts[i].is_column)
			continue;
		getTypeOutputInfo(TupleDescAttr(desc, columns[i] - 1)->atttypid, &output, &varlena);
		fmgr_info(output, &outputs[i]);
	}
	return outputs;
}

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
	plan->columns[key] = find_columns(&plan->templates[key], argument, desc);
	plan->outputs[key] = find_outputs(&plan->templates[key], plan->columns[key], desc);
}

/* Cut the arguments, or find what was cut for the last row. */
static TriggerPlan *
get_plan(FunctionCallInfo fcinfo, TriggerData *data)
{
	FmgrInfo   *flinfo = fcinfo->flinfo;
	TriggerPlan *plan = flinfo->fn_extra;
	Trigger    *trigger = data->tg_trigger;
	MemoryContextCallback *callback;
	MemoryContext old;
	int			i;

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
	callback->func = free_plan;
	callback->arg = plan;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	plan->project = pstrdup(trigger->tgargs[0]);
	for (i = 1; i < trigger->tgnargs; i++)
		read_argument(plan, trigger->tgargs[i], RelationGetDescr(data->tg_relation));
	for (i = KEY_ORDER_ID; i <= KEY_RETURN_URL; i++)
	{
		if (!plan->given[i])
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("inqud_order_trigger needs an argument \"%s=...\"", key_names[i])));
	}
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

/* A template filled in from a row.  A lone null column stays null; beside text it is empty. */
static char *
fill_in(const TriggerPlan *plan, int key, TupleTableSlot *slot)
{
	const InqudTemplate *template = &plan->templates[key];
	StringInfoData text;
	char	   *result;
	int			i;

	if (!plan->given[key])
		return NULL;
	if (template->single_column)
		return part_text(plan, key, 0, slot);
	initStringInfo(&text);
	for (i = 0; i < template->nparts; i++)
	{
		char	   *part = part_text(plan, key, i, slot);

		if (part)
			appendStringInfoString(&text, part);
	}
	/* the buffer is many times as large, and up to a thousand orders are held */
	result = pnstrdup(text.data, text.len);
	pfree(text.data);
	return result;
}

/* Is the template one column of this type, so that its value can be taken as it is? */
static bool
is_plain_column(const TriggerPlan *plan, int key, TupleTableSlot *slot, Oid type)
{
	return plan->given[key] && plan->templates[key].single_column &&
		TupleDescAttr(slot->tts_tupleDescriptor, plan->columns[key][0] - 1)->atttypid == type;
}

static void
fill_amount(InqudNewOrder *order, const TriggerPlan *plan, TupleTableSlot *slot)
{
	char	   *text;
	bool		isnull;

	if (is_plain_column(plan, KEY_AMOUNT, slot, NUMERICOID))
	{
		order->amount = slot_getattr(slot, plan->columns[KEY_AMOUNT][0], &isnull);
		order->has_amount = !isnull;
		return;
	}
	text = fill_in(plan, KEY_AMOUNT, slot);
	if (text == NULL)
		return;
	order->amount = DirectFunctionCall3(numeric_in, CStringGetDatum(text),
										ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	order->has_amount = true;
}

static void
fill_expires_at(InqudNewOrder *order, const TriggerPlan *plan, TupleTableSlot *slot)
{
	char	   *text;
	bool		isnull;

	if (is_plain_column(plan, KEY_EXPIRES_AT, slot, TIMESTAMPTZOID))
	{
		order->expires_at = DatumGetTimestampTz(slot_getattr(slot, plan->columns[KEY_EXPIRES_AT][0], &isnull));
		order->has_expires_at = !isnull;
		return;
	}
	text = fill_in(plan, KEY_EXPIRES_AT, slot);
	if (text == NULL)
		return;
	order->expires_at = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text),
																ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	order->has_expires_at = true;
}

static void
order_of_row(InqudNewOrder *order, const TriggerPlan *plan, TupleTableSlot *slot,
			 const InqudProject *project)
{
	memset(order, 0, sizeof(InqudNewOrder));
	order->order_id = fill_in(plan, KEY_ORDER_ID, slot);
	order->name = fill_in(plan, KEY_NAME, slot);
	order->return_url = fill_in(plan, KEY_RETURN_URL, slot);
	order->currency = fill_in(plan, KEY_CURRENCY, slot);
	order->type = fill_in(plan, KEY_TYPE, slot);
	fill_amount(order, plan, slot);
	fill_expires_at(order, plan, slot);
	/* a table's currency column is usually never null; without an amount it means nothing */
	if (!order->has_amount)
		order->currency = NULL;
	inqud_check_order(order, project);
}

/*
 * Could another trigger look for the checkout as soon as this one has run?  Those
 * of a partitioned table are not known here, and foreign keys do not look.
 */
static bool
others_may_look(const TriggerData *data)
{
	const TriggerDesc *all = data->tg_relation->trigdesc;
	int			i;

	if (data->tg_trigger->tgdeferrable || data->tg_relation->rd_rel->relispartition)
		return true;
	for (i = 0; i < all->numtriggers; i++)
	{
		const Trigger *trigger = &all->triggers[i];

		if (trigger->tgoid != data->tg_trigger->tgoid && !trigger->tgisinternal &&
			TRIGGER_FOR_AFTER(trigger->tgtype))
			return true;
	}
	return false;
}

static void
enqueue_row(const TriggerPlan *plan, TriggerData *data, InqudProject *project)
{
	bool		updated = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
	TupleTableSlot *slot = updated ? data->tg_newslot : data->tg_trigslot;
	MemoryContext gathering = NULL;
	MemoryContext old;
	InqudNewOrder order;

	if (!updated && !others_may_look(data))
		gathering = inqud_gathering(project, RelationGetRelid(data->tg_relation));
	if (gathering == NULL)
	{
		order_of_row(&order, plan, slot, project);
		inqud_enqueue_one(project, &order);
		return;
	}
	old = MemoryContextSwitchTo(gathering);
	order_of_row(&order, plan, slot, project);
	/* the one value that may still be the row's */
	if (order.has_amount)
		order.amount = PointerGetDatum(PG_DETOAST_DATUM_COPY(order.amount));
	inqud_gather(&order);
	MemoryContextSwitchTo(old);
}

static void
enqueue_table(const TriggerPlan *plan, TriggerData *data, const InqudProject *project)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(data->tg_relation),
													&TTSOpsMinimalTuple);
	MemoryContext batch = AllocSetContextCreate(CurrentMemoryContext, "inqud orders",
												ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(batch);
	Datum	   *orders = MemoryContextAlloc(old, sizeof(Datum) * BATCH);
	InqudNewOrder order;
	int			n = 0;

	tuplestore_rescan(data->tg_newtable);
	while (tuplestore_gettupleslot(data->tg_newtable, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		order_of_row(&order, plan, slot, project);
		orders[n++] = inqud_order_datum(&order);
		if (n < BATCH)
			continue;
		inqud_enqueue(project, orders, n);
		MemoryContextReset(batch);
		n = 0;
	}
	if (n > 0)
		inqud_enqueue(project, orders, n);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(batch);
	ExecDropSingleTupleTableSlot(slot);
}

static void
check_call(TriggerData *data)
{
	bool		row = TRIGGER_FIRED_FOR_ROW(data->tg_event);

	if (!TRIGGER_FIRED_AFTER(data->tg_event) ||
		!(TRIGGER_FIRED_BY_INSERT(data->tg_event) || TRIGGER_FIRED_BY_UPDATE(data->tg_event)))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("inqud_order_trigger must be fired after insert or update")));
	if (!row && data->tg_newtable == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("inqud_order_trigger for each statement needs a transition table"),
				 errhint("Add REFERENCING NEW TABLE AS new_rows.")));
}

Datum
inqud_order_trigger(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	TriggerPlan *plan;
	InqudProject *project;
	MemoryContext work;
	MemoryContext old;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("inqud_order_trigger was not called by trigger manager")));
	check_call(data);

	work = AllocSetContextCreate(CurTransactionContext, "inqud trigger", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(work);
	plan = get_plan(fcinfo, data);
	project = inqud_project_get(plan->project, GetUserId(), INQUD_NEED_USAGE);
	inqud_project_release_with(project, work);
	if (TRIGGER_FIRED_FOR_ROW(data->tg_event))
		enqueue_row(plan, data, project);
	else
		enqueue_table(plan, data, project);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
	return PointerGetDatum(NULL);
}
