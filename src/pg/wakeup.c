/*-------------------------------------------------------------------------
 *
 * wakeup.c
 *		What happens at the end of a transaction: the worker is woken, or a
 *		forgotten checkout is named in the log.
 *
 * The callbacks are registered once per process and look at flags; what runs
 * after the commit allocates nothing and cannot fail.  A savepoint that is
 * rolled back leaves the flag set: the worker then looks once for nothing.
 *
 * A new row is visible when the commit's callback runs.  A new key is not yet:
 * the worker's caches learn of it from the invalidations that are sent after
 * that, and it would try the old key once more.  So news of keys and rights is
 * held back until locks are released, which comes last.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "pg/worker.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/* A checkout that exists at Inqud and, so far, in this transaction only. */
typedef struct Unsure
{
	slist_node	node;
	SubTransactionId subid;
	char		text[400];
} Unsure;

static bool wake = false;
static bool changed = false;
static bool tell_changed = false;	/* committed, and others do not know yet */
static slist_head unsure = SLIST_STATIC_INIT(unsure);

PG_FUNCTION_INFO_V1(inqud_queue_wake);

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
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
			if (changed)
				tell_changed = true;
			else if (wake)
				inqud_database_wake(MyDatabaseId);
			wake = changed = false;
			slist_init(&unsure);
			break;
		case XACT_EVENT_PREPARE:
			/* COMMIT PREPARED wakes, see utility.c */
			wake = changed = false;
			slist_init(&unsure);
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
			wake = changed = false;
			log_forgotten(InvalidSubTransactionId);
			slist_init(&unsure);
			break;
		default:
			break;
	}
}

/* Comes after the commit's invalidations have been sent. */
static void
at_release(ResourceReleasePhase phase, bool is_commit, bool is_top_level, void *arg)
{
	if (!tell_changed || phase != RESOURCE_RELEASE_AFTER_LOCKS || !is_top_level)
		return;
	tell_changed = false;
	inqud_database_changed(MyDatabaseId);
}

static void
at_subxact_end(SubXactEvent event, SubTransactionId mine,
			   SubTransactionId parent, void *arg)
{
	slist_iter	iter;

	if (event == SUBXACT_EVENT_ABORT_SUB)
		log_forgotten(mine);
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		slist_foreach(iter, &unsure)
		{
			Unsure	   *entry = slist_container(Unsure, node, iter.cur);

			if (entry->subid == mine)
				entry->subid = parent;
		}
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
inqud_wake_at_commit(void)
{
	/* The worker knows what it writes itself. */
	if (inqud_in_worker)
		return;
	register_callbacks();
	wake = true;
}

void
inqud_changed_at_commit(void)
{
	register_callbacks();
	changed = true;
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

/*
 * Statement trigger on inqud.queue: whatever puts rows there, COPY and a
 * restore included, wakes the worker.
 */
Datum
inqud_queue_wake(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"inqud._wake\" was not called by trigger manager")));
	inqud_wake_at_commit();
	return PointerGetDatum(NULL);
}
