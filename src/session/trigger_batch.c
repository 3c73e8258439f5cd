/*-------------------------------------------------------------------------
 *
 * trigger_batch.c
 *		Queues the orders of one statement's row triggers together, when these
 *		triggers have run.
 *
 * One order by itself costs two statements, and most of their time is overhead.
 * AFTER ROW triggers run at the end of the outer statement anyway, so only another
 * trigger of the same statement could see the difference.  Where there may be such
 * a trigger, of this table or of another one that the statement writes to, orders
 * are not batched.
 *
 * Only triggers that the executor fires are batched, because only
 * ExecutorFinish_hook tells when all have run.  COPY, replication and deferred
 * triggers queue row by row.  A batch must never span roles or savepoints.
 *
 * The hooks are here, so that what else needs to know of the statement (firing.c,
 * again.c) has no hook of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parsetree.h"
#include "tcop/utility.h"

/* A statement whose triggers are being fired, and its orders; a statement within it has its own. */
typedef struct Batch
{
	InqudFiring firing;
	struct Batch *outer;
	Oid			relation;		/* whose triggers may add orders; InvalidOid = none */
	MemoryContext parent;		/* the statement's */
	MemoryContext context;		/* of the orders; NULL until there is one */
	ArrayBuildState *orders;	/* NULL while there are none */
	int			nest_level;		/* of the transaction, counting savepoints */
	Oid			userid;
	int			sec_context;
	InqudProject *project;		/* of all orders in the batch; pinned */
} Batch;

static ExecutorFinish_hook_type prev_executor_finish = NULL;
static ProcessUtility_hook_type next_process_utility = NULL;
static Batch *innermost = NULL;

/* Queue the orders of the batch, and empty it. */
static void
record_batch(Batch *batch)
{
	MemoryContext old;

	if (batch->orders == NULL)
		return;
	old = MemoryContextSwitchTo(batch->context);
	inqud_enqueue(batch->project, batch->orders, INQUD_QUEUE_NEW);
	MemoryContextSwitchTo(old);
	batch->orders = NULL;
	/* frees the orders and releases the project */
	MemoryContextReset(batch->context);
}

/* Begin a batch of this project. */
static void
begin_batch(Batch *batch, InqudProject *project)
{
	if (batch->context == NULL)
		batch->context = AllocSetContextCreate(batch->parent, "inqud orders",
											   ALLOCSET_DEFAULT_SIZES);
	inqud_project_release_with(inqud_project_pin(project), batch->context);
	batch->project = project;
}

bool
inqud_batch_add(InqudProject *project, Oid relation, InqudNewOrder *order)
{
	Oid			userid;
	int			sec_context;

	if (innermost == NULL || innermost->relation != relation || innermost->nest_level != GetCurrentTransactionNestLevel())
		return false;
	GetUserIdAndSecContext(&userid, &sec_context);
	if (userid != innermost->userid || sec_context != innermost->sec_context)
		return false;
	if (innermost->orders &&
		(innermost->orders->nelems == INQUD_MAX_BATCH || innermost->project != project))
		record_batch(innermost);
	if (innermost->orders == NULL)
		begin_batch(innermost, project);
	innermost->orders = inqud_orders_add(innermost->orders, order, innermost->context);
	return true;
}

/*
 * The table whose triggers may add to the batch during this statement: that of a
 * plain INSERT.  A statement that also writes elsewhere, by WITH or by ON CONFLICT
 * DO UPDATE, may fire other triggers that look for the checkouts.
 */
static Oid
batch_table(QueryDesc *query)
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

/* Call the hook that was installed before ours, or the server's function. */
static void
call_next_finish(QueryDesc *query)
{
	if (prev_executor_finish)
		prev_executor_finish(query);
	else
		standard_ExecutorFinish(query);
}

/*
 * Run the statement's triggers, then queue its batch, while the statement's snapshot
 * and role are still set, as for a trigger.  Push an entry even if this statement
 * batches nothing, so that nested statements cannot add to the outer batch.
 */
static void
finish_with_batch(QueryDesc *query)
{
	Batch		mine = {0};

	mine.outer = innermost;
	mine.relation = batch_table(query);
	mine.parent = query->estate->es_query_cxt;
	mine.nest_level = GetCurrentTransactionNestLevel();
	GetUserIdAndSecContext(&mine.userid, &mine.sec_context);
	innermost = &mine;
	inqud_firing_begin(&mine.firing, INQUD_FIRED_BY_QUERY, query);
	PG_TRY();
	{
		call_next_finish(query);
		record_batch(&mine);
		inqud_again_say(&mine.firing);
	}
	PG_FINALLY();
	{
		inqud_firing_end(&mine.firing);
		innermost = mine.outer;
	}
	PG_END_TRY();
}

/* The hook.  A statement that only reads fires no triggers, and is passed on. */
static void
executor_finish(QueryDesc *query)
{
	if (query->operation != CMD_SELECT || query->plannedstmt->hasModifyingCTE)
		finish_with_batch(query);
	else
		call_next_finish(query);
}

/* Whether a utility statement fires triggers of rows: COPY FROM, and SET CONSTRAINTS those that were deferred. */
static bool
fires_triggers(const Node *stmt, InqudFiredBy *by)
{
	*by = IsA(stmt, CopyStmt) ? INQUD_FIRED_BY_COPY : INQUD_FIRED_BY_SET_CONSTRAINTS;
	return IsA(stmt, ConstraintsSetStmt) || (IsA(stmt, CopyStmt) && ((const CopyStmt *) stmt)->is_from);
}

/* The hook for COPY and SET CONSTRAINTS; it batches nothing. */
static void
process_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	InqudFiring mine = {0};
	InqudFiredBy by;

	if (!fires_triggers(pstmt->utilityStmt, &by))
	{
		next_process_utility(pstmt, query, read_only_tree, context, params, env, dest, qc);
		return;
	}
	inqud_firing_begin(&mine, by, NULL);
	PG_TRY();
	{
		next_process_utility(pstmt, query, read_only_tree, context, params, env, dest, qc);
		inqud_again_say(&mine);
	}
	PG_FINALLY();
	{
		inqud_firing_end(&mine);
	}
	PG_END_TRY();
}

void
inqud_batch_init(void)
{
	prev_executor_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = executor_finish;
	next_process_utility = ProcessUtility_hook ? ProcessUtility_hook : standard_ProcessUtility;
	ProcessUtility_hook = process_utility;
}
