/*-------------------------------------------------------------------------
 *
 * latest.c
 *		The row of a deferred trigger as it is when the trigger runs.
 *
 * The server hands a trigger the version that its event was about, and later statements
 * of the transaction may have changed the row.  Its newest version is found by the chain
 * of updates that begins at that version.  A key must not be used for it: it may have
 * changed, and another row may have it now.
 *
 * Each of these statements has left an event, and all of them end at one version.  The
 * first one counts, since it has the row as it was before the transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "access/sysattr.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "utils/hsearch.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* A row that has counted for a trigger; each partition has a trigger of its own. */
typedef struct Counted
{
	Oid			trigger;
	CommandId	command;		/* that made it, since TRUNCATE gives its place to another row */
	ItemPointerData tid;
} Counted;

static HTAB *counted = NULL;	/* of this transaction */

/*
 * After an error or a rollback to a savepoint, the server fires the events again that
 * were fired since, and a place may be given to another row.
 */
static void
at_subxact_end(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && counted)
	{
		hash_destroy(counted);
		counted = NULL;
	}
}

/* The transaction's memory context, where the table is, goes by itself. */
static void
at_xact_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		counted = NULL;
}

static void
make_table(void)
{
	static bool registered = false;
	HASHCTL		control = {
		.keysize = sizeof(Counted),
		.entrysize = sizeof(Counted),
		.hcxt = TopTransactionContext
	};

	if (!registered)
	{
		RegisterXactCallback(at_xact_end, NULL);
		RegisterSubXactCallback(at_subxact_end, NULL);
	}
	registered = true;
	counted = hash_create("inqud rows", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Whether the row counts for the trigger: only once, if there may be several events. */
static bool
counts(const Trigger *trigger, TupleTableSlot *slot, const ItemPointerData *tid)
{
	Counted		key;
	bool		found;
	bool		isnull;

	if (!TRIGGER_FOR_UPDATE(trigger->tgtype))
		return true;
	if (counted == NULL)
		make_table();
	memset(&key, 0, sizeof(key));	/* also what lies between the members */
	key.trigger = trigger->tgoid;
	key.command = DatumGetCommandId(slot_getsysattr(slot, MinCommandIdAttributeNumber, &isnull));
	key.tid = *tid;
	(void) hash_search(counted, &key, HASH_ENTER, &found);
	return !found;
}

TupleTableSlot *
inqud_latest_row(const TriggerData *data, const TupleTableSlot *event)
{
	TupleTableSlot *slot = table_slot_create(data->tg_relation, NULL);
	ItemPointerData tid = event->tts_tid;
	TableScanDesc scan = table_beginscan_tid(data->tg_relation, SnapshotSelf);

	table_tuple_get_latest_tid(scan, &tid);
	table_endscan(scan);
	if (table_tuple_fetch_row_version(data->tg_relation, &tid, SnapshotSelf, slot) &&
		counts(data->tg_trigger, slot, &tid))
		return slot;
	ExecDropSingleTupleTableSlot(slot);
	return NULL;
}
