/*-------------------------------------------------------------------------
 *
 * counters.c
 *		Counts transfers by project, for the view inqud.stats.
 *
 * Worker and sessions count alike, under the one lock of shared memory and for
 * a few additions.  Nothing is looked up in the catalogs for it: a process
 * remembers where a project's counters are, and the key that stands there says
 * whether they still are.  They are taken while the server is known to exist
 * and freed when its drop commits; a transfer that ends after that counts for
 * nobody.
 *
 * When all are taken, further projects are counted together.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/counters.h"

#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "catalog/pg_foreign_server.h"
#include "foreign/foreign.h"
#include "lib/ilist.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pg/shared.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define OTHERS INQUD_MAX_PROJECTS

PG_FUNCTION_INFO_V1(inqud_stats_reset);

/* ---------------------------------------------------------------------
 * Places
 * ---------------------------------------------------------------------
 */

/* The caller holds the lock, here and wherever an area is an argument. */
static void
clear(InqudCounters *counters)
{
	InqudCounters fresh = {0};

	fresh.name = counters->name;
	fresh.limiter = counters->limiter;
	fresh.encoding = counters->encoding;
	fresh.since = GetCurrentTimestamp();
	*counters = fresh;
}

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
		clear(&area->counters[unused]);
	}
	return unused;
}

void
inqud_counting_open(InqudCounting *counting, const InqudProject *project)
{
	InqudCountersArea *area = inqud_shared_counters();

	if (area == NULL)
		return;
	/* one of the others may find a place of its own meanwhile */
	if (counting->serverid == project->serverid && counting->slot != OTHERS &&
		counting->limiter == project->limiter &&
		strcmp(NameStr(counting->name), project->name) == 0)
		return;
	counting->serverid = project->serverid;
	counting->limiter = project->limiter;
	namestrcpy(&counting->name, project->name);

	inqud_shared_lock();
	counting->slot = find_slot(area, MyDatabaseId, project->serverid);
	if (counting->slot != OTHERS)
	{
		area->counters[counting->slot].name = counting->name;
		area->counters[counting->slot].limiter = counting->limiter;
		area->counters[counting->slot].encoding = GetDatabaseEncoding();
	}
	inqud_shared_unlock();
}

/* ---------------------------------------------------------------------
 * Counting
 * ---------------------------------------------------------------------
 */

/* Lock the counters; NULL, and no lock, when there are none (any more). */
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

static int
latency_of(int64 usec)
{
	int64		ms = usec / 1000;

	if (ms <= 0)
		return 0;
	return Min(pg_leftmost_one_pos64((uint64) ms) + 1, INQUD_LATENCIES - 1);
}

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

/*
 * inqud_stats_reset(project): begin anew at zero; null is all of this database,
 * and those of all databases that have no place of their own.  Whoever has
 * EXECUTE may.  Errors: 42704 when there is no such server, 55000 when the
 * library is not preloaded.
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
			clear(&area->counters[i]);
	}
	if (!OidIsValid(serverid))
		clear(&area->counters[OTHERS]);
	inqud_shared_unlock();
	PG_RETURN_VOID();
}

/* ---------------------------------------------------------------------
 * What is dropped, or never came to be
 * ---------------------------------------------------------------------
 */

/*
 * A server, or with serverid InvalidOid a database, whose drop is not committed
 * yet; or a server that this transaction has made, and that is none if it fails.
 */
typedef struct Noted
{
	slist_node	node;
	SubTransactionId subid;
	InqudCountersKey key;
	bool		made;
} Noted;

static slist_head noted = SLIST_STATIC_INIT(noted);
static object_access_hook_type prev_object_access_hook = NULL;

/* Free what is noted of this kind: by this savepoint, or by all (InvalidSubTransactionId). */
static void
free_noted(bool made, SubTransactionId subid)
{
	InqudCountersArea *area = inqud_shared_counters();
	slist_iter	iter;
	int			i;

	if (area == NULL || slist_is_empty(&noted))
		return;
	inqud_shared_lock();
	slist_foreach(iter, &noted)
	{
		const Noted *entry = slist_container(Noted, node, iter.cur);
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

/* A drop that is prepared counts as committed: all that is lost if it is not are counts. */
static void
at_xact_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
		free_noted(false, InvalidSubTransactionId);
	else if (event == XACT_EVENT_ABORT)
		free_noted(true, InvalidSubTransactionId);
	else
		return;
	slist_init(&noted);
}

static void
at_subxact_end(SubXactEvent event, SubTransactionId mine,
			   SubTransactionId parent, void *arg)
{
	slist_mutable_iter iter;

	if (event == SUBXACT_EVENT_ABORT_SUB)
		free_noted(true, mine);
	slist_foreach_modify(iter, &noted)
	{
		Noted	   *entry = slist_container(Noted, node, iter.cur);

		if (entry->subid != mine)
			continue;
		if (event == SUBXACT_EVENT_ABORT_SUB)
			slist_delete_current(&iter);
		else if (event == SUBXACT_EVENT_COMMIT_SUB)
			entry->subid = parent;
	}
}

static void
note(Oid dbid, Oid serverid, bool made)
{
	static bool registered = false;
	Noted	   *entry = MemoryContextAllocZero(TopTransactionContext, sizeof(Noted));

	if (!registered)
	{
		RegisterXactCallback(at_xact_end, NULL);
		RegisterSubXactCallback(at_subxact_end, NULL);
		registered = true;
	}
	entry->subid = GetCurrentSubTransactionId();
	entry->key.dbid = dbid;
	entry->key.serverid = serverid;
	entry->made = made;
	slist_push_head(&noted, &entry->node);
}

static void
object_access(ObjectAccessType access, Oid class, Oid object, int sub, void *arg)
{
	if (prev_object_access_hook)
		prev_object_access_hook(access, class, object, sub, arg);
	if (class == ForeignServerRelationId && (access == OAT_DROP || access == OAT_POST_CREATE))
		note(MyDatabaseId, object, access == OAT_POST_CREATE);
	else if (class == DatabaseRelationId && access == OAT_DROP)
		note(object, InvalidOid, false);
}

void
inqud_counters_init(void)
{
	prev_object_access_hook = object_access_hook;
	object_access_hook = object_access;
}
