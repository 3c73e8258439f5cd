/*-------------------------------------------------------------------------
 *
 * xact_end.c
 *		At the end of a transaction: wakes the worker after a commit, and logs
 *		checkouts whose rows were rolled back.
 *
 * The callbacks are registered once per process and test flags.  Code that runs
 * after the commit must not allocate or fail.  Rolling back to a savepoint leaves
 * a flag set; the worker then runs one query in vain.
 *
 * When the commit's callback runs, a new row is visible, but the invalidations of
 * a changed key have not been sent: a worker woken now would use its cached old
 * key once more.  So it is told of changed keys and rights only when resources are
 * released after the locks, which comes last.
 *
 *-------------------------------------------------------------------------
 */
#include "shared/shared.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

bool		inqud_in_worker = false;
TimestampTz	inqud_worker_queued = DT_NOEND;

/* A checkout that was created at Inqud by this transaction, whose row a rollback removes. */
typedef struct Unsure
{
	slist_node	node;
	SubTransactionId subid;
	char		text[400];
} Unsure;

static bool wake_pending = false;	/* wake the worker at the commit */
static TimestampTz queued_from = DT_NOEND;	/* for what is due from then on */
static bool change_pending = false; /* keys or rights have changed */
static bool unnoticed_pending = false;	/* a notice was left out */
static bool change_committed = false;	/* the same, committed, and the worker not told yet */
static slist_head unsure = SLIST_STATIC_INIT(unsure);

PG_FUNCTION_INFO_V1(inqud_queue_wake);

/* Log the checkouts that a rollback removes: of one subtransaction, or of all (InvalidSubTransactionId). */
static void
log_forgotten(SubTransactionId subid)
{
	slist_mutable_iter iter;

	slist_foreach_modify(iter, &unsure)
	{
		Unsure	   *entry = slist_container(Unsure, node, iter.cur);

		if (subid != InvalidSubTransactionId && entry->subid != subid)
			continue;
		ereport(LOG,
				(errmsg("rolled back: %s is recorded at Inqud only", entry->text),
				 errhint("A webhook of it will bring it back.")));
		slist_delete_current(&iter);
	}
}

static void
at_xact_end(XactEvent event, void *arg)
{
	bool		commits = event == XACT_EVENT_COMMIT || event == XACT_EVENT_PARALLEL_COMMIT;
	bool		aborts = event == XACT_EVENT_ABORT || event == XACT_EVENT_PARALLEL_ABORT;

	if (!commits && !aborts && event != XACT_EVENT_PREPARE)
		return;
	if (commits && change_pending)
		change_committed = true;
	if (commits && wake_pending && !change_pending)
		inqud_database_wake(MyDatabaseId, true, false, queued_from);
	else if (wake_pending && !aborts)
		inqud_database_note(MyDatabaseId);	/* at_release or COMMIT PREPARED (utility.c) wake who has a slot */
	if (commits && unnoticed_pending && inqud_database_unnoticed(MyDatabaseId) && !inqud_in_worker)
		inqud_database_wake(MyDatabaseId, true, false, DT_NOEND);
	queued_from = DT_NOEND;
	wake_pending = change_pending = unnoticed_pending = false;
	if (aborts)
		log_forgotten(InvalidSubTransactionId);
	slist_init(&unsure);
}

/* Resource release callback; the commit's invalidations have been sent before its last phase. */
static void
at_release(ResourceReleasePhase phase, bool is_commit, bool is_top_level, void *arg)
{
	if (!change_committed || phase != RESOURCE_RELEASE_AFTER_LOCKS || !is_top_level)
		return;
	change_committed = false;
	inqud_database_wake(MyDatabaseId, false, true, DT_NOBEGIN);
}

static void
at_subxact_end(SubXactEvent event, SubTransactionId mine,
			   SubTransactionId parent, void *arg)
{
	slist_iter	iter;

	if (event == SUBXACT_EVENT_ABORT_SUB)
		log_forgotten(mine);
	if (event != SUBXACT_EVENT_COMMIT_SUB)
		return;
	slist_foreach(iter, &unsure)
	{
		Unsure	   *entry = slist_container(Unsure, node, iter.cur);

		if (entry->subid == mine)
			entry->subid = parent;
	}
}

static void
register_callbacks(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(at_xact_end, NULL);
	RegisterSubXactCallback(at_subxact_end, NULL);
	RegisterResourceReleaseCallback(at_release, NULL);
	registered = true;
}

void
inqud_refuse_in_worker(void)
{
	if (inqud_in_worker)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("synchronous calls are not possible in the worker of inqud"),
				 errhint("In an on_status function, use inqud_enqueue_checkout or inqud_refresh.")));
}

void
inqud_wake_at_commit(TimestampTz from)
{
	if (inqud_in_worker)
	{
		inqud_worker_queued = Min(inqud_worker_queued, from);
		return;
	}
	register_callbacks();
	wake_pending = true;
	queued_from = Min(queued_from, from);
}

void
inqud_unnoticed_at_commit(void)
{
	register_callbacks();
	unnoticed_pending = true;
}

void
inqud_changed_at_commit(void)
{
	register_callbacks();
	change_pending = true;
}

void
inqud_log_if_forgotten(const char *project, const char *order_id,
					   const char *checkout_id)
{
	Unsure	   *entry = MemoryContextAllocZero(TopTransactionContext, sizeof(Unsure));

	register_callbacks();
	entry->subid = GetCurrentSubTransactionId();
	snprintf(entry->text, sizeof(entry->text),
			 "checkout \"%s\" of order \"%.100s\" in project \"%.64s\"",
			 checkout_id, order_id, project);
	slist_push_head(&unsure, &entry->node);
}

/* Statement trigger on inqud.queue, call and inbox: wakes the worker after what adds rows, also COPY and a restore. */
Datum
inqud_queue_wake(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"inqud._wake\" was not called by trigger manager")));
	/* what our functions add is not due before their transaction began; others may add any row */
	inqud_wake_at_commit(InLocalUserIdChange() ? GetCurrentTransactionStartTimestamp() : DT_NOBEGIN);
	return PointerGetDatum(NULL);
}
