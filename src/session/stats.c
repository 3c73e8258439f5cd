/*-------------------------------------------------------------------------
 *
 * stats.c
 *		The contents of shared memory as rows: workers, and counters of each
 *		project's transfers.
 *
 * It must not write.  A role that is no member of pg_monitor sees the current
 * database only, without error texts of the worker, and of the projects those that
 * it owns or may use.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "catalog/pg_type.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(inqud_workers);
PG_FUNCTION_INFO_V1(inqud_stats);

#define MAX_COLUMNS 33

InqudDatabase
inqud_slot_copy(const InqudDatabase *slot)
{
	InqudDatabase copy;

	inqud_shared_lock();
	memcpy(&copy, slot, sizeof(copy));
	inqud_shared_unlock();
	return copy;
}

/* A clock that was set is shown for this long. */
#define MOVED_US (10 * SECS_PER_MINUTE * USECS_PER_SEC)

bool
inqud_clock_has_moved(const InqudDatabase *slot)
{
	return slot->clock_moved_at != 0 && inqud_clock_us() < slot->clock_moved_at + MOVED_US;
}

/* The column "state" of inqud.worker. */
static const char *
worker_state(const InqudDatabase *slot)
{
	if (slot->pid != 0)
		return slot->in_flight > 0 ? "running" : "idle";
	if (slot->starting)
		return "starting";
	if (slot->stopped)
		return "stopped";
	if (slot->away > 0)
		return "kept away";
	if (slot->wanted)
		return "waiting";
	return "not needed";
}

/* A row being filled, column after column. */
typedef struct Row
{
	Datum		values[MAX_COLUMNS];
	bool		nulls[MAX_COLUMNS];
	int			n;
} Row;

static void
put_column(Row *row, Datum value, bool isnull)
{
	row->values[row->n] = value;
	row->nulls[row->n++] = isnull;
}

static void
put_time(Row *row, TimestampTz when)
{
	put_column(row, TimestampTzGetDatum(when), when == 0);
}

/* A time of the monotonic clock, for people, who go by another one. */
static void
put_clock(Row *row, InqudClock when)
{
	put_time(row, when == 0 ? 0 : when - inqud_clock_us() + GetCurrentTimestamp());
}

static void
put_interval(Row *row, int64 usec)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = usec;
	put_column(row, IntervalPGetDatum(interval), false);
}

static void
put_name(Row *row, const char *name)
{
	put_column(row, name ? inqud_name_datum(name) : (Datum) 0, name == NULL);
}

/* Add the row to the function's result. */
static void
put_row(ReturnSetInfo *rsinfo, Row *row)
{
	Assert(row->n == rsinfo->setDesc->natts);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row->values, row->nulls);
}

/* A text of shared memory; of one in another encoding only the ASCII is kept. */
static const char *
shown_text(const char *text, int encoding)
{
	return encoding == GetDatabaseEncoding() ? text : inqud_ascii_of(text);
}

/* Add a worker's row; "all" when the role may see error texts. */
static void
add_slot(ReturnSetInfo *rsinfo, const InqudDatabase *slot, bool all)
{
	Row			row = {.n = 0};
	char	   *name = get_database_name(slot->dbid);
	bool		runs = slot->pid != 0;

	if (name == NULL)
		return;
	put_name(&row, name);
	put_column(&row, Int32GetDatum(slot->pid), !runs);
	put_column(&row, CStringGetTextDatum(worker_state(slot)), false);
	put_time(&row, runs ? slot->since : 0);
	put_time(&row, slot->active_at);
	put_column(&row, Int32GetDatum(slot->in_flight), false);
	put_column(&row, Int64GetDatum(slot->followed), false);
	put_column(&row, Int32GetDatum(slot->failures), false);
	put_clock(&row, !runs && slot->wanted ? slot->not_before : 0);
	put_clock(&row, !runs ? slot->wake_at : 0);
	put_column(&row, CStringGetTextDatum(shown_text(slot->error, slot->encoding)),
			   !all || slot->error[0] == '\0');
	put_column(&row, Int32GetDatum(slot->unwritten), false);
	put_time(&row, slot->unwritten_since);
	put_time(&row, slot->unnoticed_since);
	put_interval(&row, slot->clock_moved);
	row.nulls[row.n - 1] = !inqud_clock_has_moved(slot);
	put_clock(&row, inqud_clock_has_moved(slot) ? slot->clock_moved_at : 0);
	put_row(rsinfo, &row);
}

/* inqud._workers(): see view inqud.worker.  No rows when the library is not preloaded. */
Datum
inqud_workers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		all = has_privs_of_role(GetUserId(), ROLE_PG_MONITOR);

	inqud_init_materialized(fcinfo);
	for (int i = 0; inqud_shared_ready() && i < INQUD_MAX_DATABASES; i++)
	{
		InqudDatabase slot = inqud_slot_copy(inqud_database_at(i));

		if (OidIsValid(slot.dbid) && (all || slot.dbid == MyDatabaseId))
			add_slot(rsinfo, &slot, all);
	}
	return (Datum) 0;
}

/* ---- Transfers by project ---- */

static void
put_counts(Row *row, const int64 *counts, int n)
{
	for (int i = 0; i < n; i++)
		put_column(row, Int64GetDatum(counts[i]), false);
}

static void
put_latencies(Row *row, const InqudCounters *counters)
{
	Datum		counts[INQUD_LATENCIES];

	for (int i = 0; i < INQUD_LATENCIES; i++)
		counts[i] = Int64GetDatum(counters->latency[i]);
	put_column(row, PointerGetDatum(construct_array(counts, INQUD_LATENCIES, INT8OID, sizeof(int64),
													FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)), false);
	put_interval(row, counters->latency_sum);
	put_interval(row, counters->latency_max);
}

static void
add_counters(ReturnSetInfo *rsinfo, const char *database, const char *project,
			 const InqudCounters *counters, TimestampTz oldest_due)
{
	Row	row = {.n = 0};
	TimestampTz next;
	TimestampTz paused_until;
	const int64 counts[] = {
		counters->creates + counters->reads, counters->creates, counters->reads,
		counters->retries, counters->canceled, counters->waits
	};

	put_name(&row, database);
	put_name(&row, project);
	put_time(&row, counters->since);
	put_time(&row, counters->last_at);
	put_counts(&row, counts, lengthof(counts));
	put_counts(&row, counters->outcomes, INQUD_OUTCOMES);
	put_counts(&row, counters->classes + 1, INQUD_STATUS_CLASSES - 1);
	put_counts(&row, counters->classes, 1);
	put_counts(&row, &counters->bytes_sent, 1);
	put_counts(&row, &counters->bytes_received, 1);
	put_latencies(&row, counters);
	inqud_limiter_look(&counters->account, &next, &paused_until);
	put_time(&row, next);
	put_time(&row, paused_until);
	put_time(&row, oldest_due);
	put_interval(&row, counters->slow_call);
	row.nulls[row.n - 1] = counters->slow_call == 0;
	put_row(rsinfo, &row);
}

/* A project, and since when its oldest queue row has been due. */
typedef struct Due
{
	Oid			serverid;
	TimestampTz at;
} Due;

/*
 * The oldest due row of each project of this database, up to an entry without a server,
 * palloc'ed.  Read as the extension's owner, which costs one index look-up per
 * project; under row security the planner would read every checkout.
 */
static Due *
find_due(void)
{
	static InqudStatement statement = {
		"SELECT inqud._server_oid(d.server_id), min(d.due_at) FROM inqud._due($1) d WHERE d.due_at <= clock_timestamp() GROUP BY 1",
		"int8"
	};
	MemoryContext here = CurrentMemoryContext;
	Datum		home = Int64GetDatum(inqud_this_home());
	Due		   *dues;
	InqudRole	role;
	uint64		n;

	inqud_enter(&role);
	n = inqud_execute(&statement, &home, NULL);
	dues = MemoryContextAllocZero(here, (n + 1) * sizeof(Due));
	for (uint64 i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		bool		isnull;

		dues[i].serverid = DatumGetObjectId(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &isnull));
		dues[i].at = DatumGetTimestampTz(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 2, &isnull));
	}
	inqud_leave(&role);
	return dues;
}

/* Since when the project has something due; 0 when nothing is. */
static TimestampTz
oldest_due_of(const Due *due, Oid serverid)
{
	while (OidIsValid(due->serverid) && due->serverid != serverid)
		due++;
	return due->at;
}

/* Add a project of this database, if its server exists and the role owns it or may use it. */
static void
add_own_project(ReturnSetInfo *rsinfo, Oid serverid, bool all, const Due *dues, const InqudCounters *counters)
{
	ForeignServer *server = GetForeignServerExtended(serverid, FSV_MISSING_OK);

	if (server == NULL)
		return;
	if (all || has_privs_of_role(GetUserId(), server->owner) ||
		inqud_server_aclcheck(serverid, GetUserId(), ACL_USAGE) == ACLCHECK_OK)
		add_counters(rsinfo, get_database_name(MyDatabaseId), server->servername, counters,
					 oldest_due_of(dues, serverid));
}

/* Add a project of another database by the name in shared memory, as its catalogs cannot be read. */
static void
add_project_elsewhere(ReturnSetInfo *rsinfo, Oid dbid, const InqudCounters *counters)
{
	char	   *database = get_database_name(dbid);

	if (database)
		add_counters(rsinfo, database, shown_text(NameStr(counters->name), counters->encoding), counters, 0);
}

/* inqud._stats(): see view inqud.stats.  No rows when the library is not preloaded. */
Datum
inqud_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	InqudCountersArea *area = inqud_shared_counters();
	bool		all = has_privs_of_role(GetUserId(), ROLE_PG_MONITOR);
	Due		   *dues = area ? find_due() : NULL;

	inqud_init_materialized(fcinfo);
	for (int i = 0; area != NULL && i <= INQUD_MAX_PROJECTS; i++)
	{
		InqudCountersKey key = {InvalidOid, InvalidOid};
		InqudCounters copy;

		inqud_shared_lock();
		if (i < INQUD_MAX_PROJECTS)
			key = area->keys[i];
		copy = area->counters[i];
		inqud_shared_unlock();
		if (i == INQUD_MAX_PROJECTS && all && copy.last_at != 0)
			add_counters(rsinfo, NULL, NULL, &copy, 0);
		else if (OidIsValid(key.dbid) && key.dbid == MyDatabaseId)
			add_own_project(rsinfo, key.serverid, all, dues, &copy);
		else if (OidIsValid(key.dbid) && all)
			add_project_elsewhere(rsinfo, key.dbid, &copy);
	}
	return (Datum) 0;
}
