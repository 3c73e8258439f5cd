/*-------------------------------------------------------------------------
 *
 * origin.c
 *		Whether the row of an INSERT trigger is new, or was moved from another partition.
 *
 * An UPDATE or MERGE that changes a row's partition deletes the row in one and inserts
 * it in the other, and fires the INSERT triggers there.  Nothing in the trigger's data
 * tells such a row from a new one; only the statement does.  So its plan is looked at,
 * for rows of partitioned tables alone.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "parser/parsetree.h"
#include "utils/rel.h"
#include "utils/relcache.h"

/* What the statement may have done to the table of the trigger. */
typedef struct Deeds
{
	bool		inserts;
	bool		moves;
} Deeds;

/* Whether a table is that of the trigger, or a partitioned table above it. */
static bool
holds(Oid table, Relation partition)
{
	List	   *above;
	bool		found;

	if (table == RelationGetRelid(partition))
		return true;
	if (!partition->rd_rel->relispartition)
		return false;
	above = get_partition_ancestors(RelationGetRelid(partition));
	found = list_member_oid(above, table);
	list_free(above);
	return found;
}

/* Whether a MERGE may do this by any of its actions. */
static bool
merge_does(const ModifyTable *plan, CmdType command)
{
	ListCell   *table;
	ListCell   *action;

	foreach(table, plan->mergeActionLists)
	{
		foreach(action, (List *) lfirst(table))
			if (lfirst_node(MergeAction, action)->commandType == command)
				return true;
	}
	return false;
}

/* What was done to a table that holds the trigger's. */
static void
add_deeds(Deeds *deeds, const ModifyTableState *state, bool for_row)
{
	const ModifyTable *plan = (const ModifyTable *) state->ps.plan;

	/* an UPDATE has transition tables of its own, a MERGE the one of its inserts */
	if (plan->operation == CMD_INSERT)
		deeds->inserts = true;
	else if (plan->operation == CMD_UPDATE)
		deeds->moves |= for_row;
	else if (plan->operation == CMD_MERGE)
	{
		deeds->inserts |= state->mt_merge_inserted > 0;
		deeds->moves |= merge_does(plan, CMD_UPDATE);
	}
}

/* The same for one node of the statement. */
static void
add_node(Deeds *deeds, const PlanState *node, const TriggerData *data, List *range_table)
{
	const ModifyTable *plan;

	if (!IsA(node, ModifyTableState))
		return;
	plan = (const ModifyTable *) node->plan;
	if (holds(rt_fetch(plan->nominalRelation, range_table)->relid, data->tg_relation))
		add_deeds(deeds, (const ModifyTableState *) node, TRIGGER_FIRED_FOR_ROW(data->tg_event));
	else if (plan->operation != CMD_INSERT || plan->onConflictAction == ONCONFLICT_UPDATE)
		/* a foreign key's ON UPDATE or ON DELETE may change the partition, too */
		deeds->moves |= RelationGetFKeyList(data->tg_relation) != NIL;
}

/* What the statement, its WITH included, may have done to the trigger's table. */
static Deeds
deeds_of(const QueryDesc *query, const TriggerData *data)
{
	List	   *range_table = query->plannedstmt->rtable;
	Deeds		deeds = {false, false};
	ListCell   *cell;

	add_node(&deeds, query->planstate, data, range_table);
	foreach(cell, query->estate->es_auxmodifytables)
	{
		add_node(&deeds, lfirst(cell), data, range_table);
	}
	return deeds;
}

InqudOrigin
inqud_row_origin(const TriggerData *data)
{
	const InqudFiring *firing;
	Deeds		deeds;

	if (!data->tg_relation->rd_rel->relispartition &&
		data->tg_relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return INQUD_ROW_NEW;
	firing = inqud_fired_by();
	if (firing && firing->by == INQUD_FIRED_BY_COPY)
		return INQUD_ROW_NEW;
	if (firing == NULL || firing->query == NULL)
		return INQUD_ROW_EITHER;
	deeds = deeds_of(firing->query, data);
	if (deeds.inserts == deeds.moves)
		return INQUD_ROW_EITHER;
	return deeds.inserts ? INQUD_ROW_NEW : INQUD_ROW_MOVED;
}
