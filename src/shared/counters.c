/*-------------------------------------------------------------------------
 *
 * counters.c
 *		Counts transfers by project, for the view inqud.stats.
 *
 * Worker and sessions count in the same way, under the lock of shared memory,
 * which they hold for a few additions.  Counting needs no catalog and no
 * transaction: a process remembers the slot of a project's counters, and compares
 * the slot's key each time.  A slot is taken while the server is known to exist,
 * and released when the drop of the server commits; a transfer that ends after
 * that is not counted.
 *
 * Projects that find all 1024 slots taken are counted together.
 *
 *-------------------------------------------------------------------------
 */
#include "shared/shared.h"

#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "catalog/pg_foreign_server.h"
#include "foreign/foreign.h"
#include "lib/ilist.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define OTHERS INQUD_MAX_PROJECTS

PG_FUNCTION_INFO_V1(inqud_stats_reset);

/* ---- Slots ---- */

/* Set the counts to zero.  The caller holds the lock. */
static void
clear_counters(InqudCounters *counters)
{
	InqudCounters fresh = {0};

	fresh.name = counters->name;
	fresh.account = counters->account;
	fresh.encoding = counters->encoding;
	fresh.slow_call = counters->slow_call;
	fresh.since = GetCurrentTimestamp();
	*counters = fresh;
}

/*
 * The slot of a server, taken if it has none; OTHERS when all are taken.  The
 * caller holds the lock.
 */
static int
find_slot(InqudCountersArea *area, Oid dbid, Oid serverid)
{
	int			unused = OTHERS;
	int			i;

	for (i = 0; i < INQUD_MAX_PROJECTS; i++)
	{
		if (area->keys[i].serverid == serverid && area->keys[i].dbid == dbid)
			return i;
		if (!OidIsValid(area->keys[i].dbid) && unused == OTHERS)
			unused = i;
	}
	if (unused != OTHERS)
	{
		area->keys[unused].dbid = dbid;
		area->keys[unused].serverid = serverid;
		area->counters[unused].slow_call = 0;
		clear_counters(&area->counters[unused]);
	}
	return unused;
}

void
inqud_counting_open(InqudCounting *counting, const InqudProject *project)
{
	InqudCountersArea *area = inqud_shared_counters();
	const InqudCountersKey *key;
	bool		same;

	if (area == NULL)
		return;
	same = counting->serverid == project->serverid && strcmp(NameStr(counting->name), project->name) == 0;
	/* a project that is counted with others looks for a free slot each time */
	if (same && counting->slot != OTHERS &&
		(!project->has_credentials || memcmp(&counting->account, &project->digest, sizeof(InqudDigest)) == 0))
		return;
	counting->serverid = project->serverid;
	/* the worker reads the options without a token, too */
	if (project->has_credentials)
		counting->account = project->digest;
	else if (!same)
		memset(&counting->account, 0, sizeof(InqudDigest));
	namestrcpy(&counting->name, project->name);

	inqud_shared_lock();
	key = same ? &area->keys[counting->slot] : NULL;
	if (key == NULL || counting->slot == OTHERS ||
		key->dbid != MyDatabaseId || key->serverid != project->serverid)
		counting->slot = find_slot(area, MyDatabaseId, project->serverid);
	if (counting->slot != OTHERS)
	{
		area->counters[counting->slot].name = counting->name;
		area->counters[counting->slot].account = counting->account;
		area->counters[counting->slot].encoding = GetDatabaseEncoding();
	}
	inqud_shared_unlock();
}

/* ---- Counting ---- */

/*
 * Lock and return the counters; NULL, without the lock, if the project has none
 * or no longer.
 */
static InqudCounters *
lock_counters(const InqudCounting *counting)
{
	InqudCountersArea *area = inqud_shared_counters();
	const InqudCountersKey *key;

	if (area == NULL || !OidIsValid(counting->serverid))
		return NULL;
	inqud_shared_lock();
	if (counting->slot == OTHERS)
		return &area->counters[OTHERS];
	key = &area->keys[counting->slot];
	if (key->dbid == MyDatabaseId && key->serverid == counting->serverid)
		return &area->counters[counting->slot];
	inqud_shared_unlock();
	return NULL;
}

/* The index in InqudCounters.latency. */
static int
latency_of(int64 usec)
{
	int64		ms = usec / 1000;

	if (ms <= 0)
		return 0;
	return Min(pg_leftmost_one_pos64((uint64) ms) + 1, INQUD_LATENCIES - 1);
}

/* The index in InqudCounters.classes: 0 = no status, 1 = 2xx, to 4 = 5xx. */
static int
class_of(int http_status)
{
	int			hundreds = http_status / 100;

	return hundreds >= 2 && hundreds <= 5 ? hundreds - 1 : 0;
}

void
inqud_count_transfer(const InqudCounting *counting, bool is_create, bool is_retry,
					 InqudOutcome outcome, const InqudResponse *response)
{
	TimestampTz now = GetCurrentTimestamp();
	InqudCounters *counters = lock_counters(counting);

	if (counters == NULL)
		return;
	counters->last_at = now;
	if (is_create)
		counters->creates++;
	else
		counters->reads++;
	counters->retries += is_retry;
	counters->outcomes[outcome]++;
	counters->classes[class_of(response->http_status)]++;
	counters->bytes_sent += response->bytes_sent;
	counters->bytes_received += response->bytes_received;
	counters->latency[latency_of(response->total_us)]++;
	counters->latency_sum += response->total_us;
	counters->latency_max = Max(counters->latency_max, response->total_us);
	inqud_shared_unlock();
}

void
inqud_count_canceled(const InqudCounting *counting)
{
	InqudCounters *counters = lock_counters(counting);

	if (counters == NULL)
		return;
	counters->canceled++;
	inqud_shared_unlock();
}

void
inqud_count_wait(const InqudCounting *counting)
{
	InqudCounters *counters = lock_counters(counting);

	if (counters == NULL)
		return;
	counters->waits++;
	inqud_shared_unlock();
}

/* Projects that are counted together have none: it would not be theirs. */
void
inqud_count_slow_call(const InqudCounting *counting, int64 usec)
{
	InqudCounters *counters = counting->slot == OTHERS ? NULL : lock_counters(counting);

	if (counters == NULL)
		return;
	counters->slow_call = usec;
	inqud_shared_unlock();
}

/*
 * inqud_stats_reset(project): set a project's counts to zero.  Null: of all
 * projects of this database, and of those of all databases that are counted
 * together.  Needs EXECUTE only.  Errors: 42704 when there is no such server,
 * 55000 when the library is not preloaded.
 */
Datum
inqud_stats_reset(PG_FUNCTION_ARGS)
{
	InqudCountersArea *area = inqud_shared_counters();
	Oid			serverid = InvalidOid;
	int			i;

	if (area == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("inqud counts nothing in this server"),
				 errhint("Add inqud to shared_preload_libraries and restart the server.")));
	if (!PG_ARGISNULL(0))
		serverid = get_foreign_server_oid(text_to_cstring(PG_GETARG_TEXT_PP(0)), false);

	inqud_shared_lock();
	for (i = 0; i < INQUD_MAX_PROJECTS; i++)
	{
		if (area->keys[i].dbid == MyDatabaseId &&
			(!OidIsValid(serverid) || area->keys[i].serverid == serverid))
			clear_counters(&area->counters[i]);
	}
	if (!OidIsValid(serverid))
		clear_counters(&area->counters[OTHERS]);
	inqud_shared_unlock();
	PG_RETURN_VOID();
}

/* ---- Slots of servers that are dropped or rolled back ---- */

/*
 * A server, or with serverid InvalidOid a database, that this transaction drops:
 * its slots are released at the commit.  Or a server that it creates ("made"): its
 * slot is released at a rollback.
 */
typedef struct PendingKey
{
	slist_node	node;
	SubTransactionId subid;
	InqudCountersKey key;
	bool		made;
} PendingKey;

static slist_head pending_keys = SLIST_STATIC_INIT(pending_keys);
static object_access_hook_type prev_object_access_hook = NULL;

/*
 * Release the slots of pending keys of this kind: of one subtransaction, or of
 * all (InvalidSubTransactionId).
 */
static void
free_pending(bool made, SubTransactionId subid)
{
	InqudCountersArea *area = inqud_shared_counters();
	slist_iter	iter;
	int			i;

	if (area == NULL || slist_is_empty(&pending_keys))
		return;
	inqud_shared_lock();
	slist_foreach(iter, &pending_keys)
	{
		const PendingKey *entry = slist_container(PendingKey, node, iter.cur);
		const InqudCountersKey *key = &entry->key;

		if (entry->made != made || (subid != InvalidSubTransactionId && entry->subid != subid))
			continue;
		for (i = 0; i < INQUD_MAX_PROJECTS; i++)
		{
			if (area->keys[i].dbid == key->dbid &&
				(!OidIsValid(key->serverid) || area->keys[i].serverid == key->serverid))
				memset(&area->keys[i], 0, sizeof(InqudCountersKey));
		}
	}
	inqud_shared_unlock();
}

/* PREPARE counts as the commit of a drop: if it is rolled back later, only counts are lost. */
static void
counters_at_xact_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
		free_pending(false, InvalidSubTransactionId);
	else if (event == XACT_EVENT_ABORT)
		free_pending(true, InvalidSubTransactionId);
	else
		return;
	slist_init(&pending_keys);
}

static void
counters_at_subxact_end(SubXactEvent event, SubTransactionId mine,
			   SubTransactionId parent, void *arg)
{
	slist_mutable_iter iter;

	if (event == SUBXACT_EVENT_ABORT_SUB)
		free_pending(true, mine);
	slist_foreach_modify(iter, &pending_keys)
	{
		PendingKey *entry = slist_container(PendingKey, node, iter.cur);

		if (entry->subid != mine)
			continue;
		if (event == SUBXACT_EVENT_ABORT_SUB)
			slist_delete_current(&iter);
		else if (event == SUBXACT_EVENT_COMMIT_SUB)
			entry->subid = parent;
	}
}

/* Remember a server or database until the end of the transaction. */
static void
note_pending(Oid dbid, Oid serverid, bool made)
{
	static bool registered = false;
	PendingKey *entry = MemoryContextAllocZero(TopTransactionContext, sizeof(PendingKey));

	if (!registered)
	{
		RegisterXactCallback(counters_at_xact_end, NULL);
		RegisterSubXactCallback(counters_at_subxact_end, NULL);
		registered = true;
	}
	entry->subid = GetCurrentSubTransactionId();
	entry->key.dbid = dbid;
	entry->key.serverid = serverid;
	entry->made = made;
	slist_push_head(&pending_keys, &entry->node);
}

static void
object_access(ObjectAccessType access, Oid class, Oid object, int sub, void *arg)
{
	if (prev_object_access_hook)
		prev_object_access_hook(access, class, object, sub, arg);
	if (class == ForeignServerRelationId && (access == OAT_DROP || access == OAT_POST_CREATE))
		note_pending(MyDatabaseId, object, access == OAT_POST_CREATE);
	else if (class == DatabaseRelationId && access == OAT_DROP)
		note_pending(object, InvalidOid, false);
}

void
inqud_counters_init(void)
{
	prev_object_access_hook = object_access_hook;
	object_access_hook = object_access;
}
