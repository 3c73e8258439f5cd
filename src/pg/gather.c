/*-------------------------------------------------------------------------
 *
 * gather.c
 *		The orders that a row trigger meets within one statement, recorded
 *		together when the statement's triggers have run.
 *
 * One order by itself costs two statements, most of whose time goes into their
 * beginning and end.  Triggers after rows are fired together at the end of the
 * outer statement anyway, so nobody sees the difference but another trigger of
 * the same statement, and where there may be one, of this table or of another
 * that the statement writes to, nothing is gathered.
 *
 * Only what the executor fires is gathered, since only there somebody tells
 * when all are through: COPY, replication and deferred triggers go row by row.
 * It must not gather across users or savepoints.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "parser/parsetree.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* Orders recorded at once at the most. */
#define BATCH 1000

/* A statement whose triggers are being fired, inside of others. */
typedef struct Gathering
{
	struct Gathering *outer;
	Oid			relation;		/* whose triggers may gather; InvalidOid = none */
	MemoryContext parent;		/* the statement's */
	MemoryContext context;		/* of the orders; NULL until there is one */
	int			nest_level;		/* of savepoints */
	Oid			userid;
	int			sec_context;
	InqudProject *project;		/* of all orders gathered; pinned */
	InqudNewOrder *orders;
	int			n;
	int			size;
} Gathering;

static ExecutorFinish_hook_type prev_executor_finish = NULL;
static Gathering *current = NULL;

/* Record what is gathered; a single order in the way that is quicker for one. */
static void
record(Gathering *gathering)
{
	MemoryContext old;
	Datum	   *orders;
	int			n = gathering->n;
	int			i;

	if (n == 0)
		return;
	old = MemoryContextSwitchTo(gathering->context);
	if (n == 1)
		inqud_enqueue_one(gathering->project, &gathering->orders[0]);
	else
	{
		orders = palloc(sizeof(Datum) * n);
		for (i = 0; i < n; i++)
			orders[i] = inqud_order_datum(&gathering->orders[i]);
		inqud_enqueue(gathering->project, orders, n);
	}
	MemoryContextSwitchTo(old);
	gathering->n = gathering->size = 0;
	gathering->orders = NULL;
	gathering->project = NULL;
	/* unpins the project */
	MemoryContextReset(gathering->context);
}

/*
 * Where the next order of the project is to be made, texts and all; NULL when it
 * cannot be gathered.  inqud_gather() must follow, or an error.
 */
MemoryContext
inqud_gathering(InqudProject *project, Oid relation)
{
	Oid			userid;
	int			sec_context;

	if (current == NULL || current->relation != relation || current->nest_level != GetCurrentTransactionNestLevel())
		return NULL;
	GetUserIdAndSecContext(&userid, &sec_context);
	if (userid != current->userid || sec_context != current->sec_context)
		return NULL;
	if (current->n == BATCH || (current->n > 0 && current->project != project))
		record(current);
	if (current->context == NULL)
		current->context = AllocSetContextCreate(current->parent, "inqud orders",
												 ALLOCSET_DEFAULT_SIZES);
	if (current->project == NULL)
	{
		inqud_project_release_with(inqud_project_pin(project), current->context);
		current->project = project;
	}
	return current->context;
}

void
inqud_gather(const InqudNewOrder *order)
{
	if (current->n == current->size)
	{
		current->size = Max(4, current->size * 2);
		if (current->orders == NULL)
			current->orders = MemoryContextAlloc(current->context,
												 sizeof(InqudNewOrder) * current->size);
		else
			current->orders = repalloc(current->orders, sizeof(InqudNewOrder) * current->size);
	}
	current->orders[current->n++] = *order;
}

/*
 * The table whose triggers may gather during this statement: that of a plain
 * INSERT.  A statement that writes elsewhere besides, by WITH or a conflict's
 * UPDATE, may fire triggers of other tables that look for the checkouts.
 */
static Oid
only_table(QueryDesc *query)
{
	PlannedStmt *plan = query->plannedstmt;
	int			relation;

	if (query->operation != CMD_INSERT || plan->hasModifyingCTE ||
		!IsA(plan->planTree, ModifyTable) ||
		((ModifyTable *) plan->planTree)->onConflictAction == ONCONFLICT_UPDATE ||
		list_length(plan->resultRelations) != 1)
		return InvalidOid;
	relation = linitial_int(plan->resultRelations);
	return rt_fetch(relation, plan->rtable)->relid;
}

static void
finish(QueryDesc *query)
{
	if (prev_executor_finish)
		prev_executor_finish(query);
	else
		standard_ExecutorFinish(query);
}

/*
 * The statement's own snapshot and role are still in place, as they are for a
 * trigger.  A statement that gathers nothing keeps those that are fired within
 * it from gathering for an outer one.
 */
static void
executor_finish(QueryDesc *query)
{
	Gathering	mine = {0};

	mine.outer = current;
	mine.relation = only_table(query);
	mine.parent = query->estate->es_query_cxt;
	mine.nest_level = GetCurrentTransactionNestLevel();
	GetUserIdAndSecContext(&mine.userid, &mine.sec_context);
	current = &mine;
	PG_TRY();
	{
		finish(query);
		record(&mine);
	}
	PG_FINALLY();
	{
		current = mine.outer;
	}
	PG_END_TRY();
}

/* Reading statements fire no triggers, and are spared. */
static void
executor_finish_if_writing(QueryDesc *query)
{
	if (query->operation != CMD_SELECT || query->plannedstmt->hasModifyingCTE)
		executor_finish(query);
	else
		finish(query);
}

void
inqud_gather_init(void)
{
	prev_executor_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = executor_finish_if_writing;
}
