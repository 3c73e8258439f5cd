/*-------------------------------------------------------------------------
 *
 * stats.c
 *		What shared memory knows of the workers and of each project's transfers,
 *		as rows.
 *
 * Reads only.  Who is no member of pg_monitor sees the current database: of the
 * workers no error texts, of the projects those whose server they may use.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "catalog/pg_type.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "pg/counters.h"
#include "pg/shared.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(inqud_workers);
PG_FUNCTION_INFO_V1(inqud_stats);

#define NCOLUMNS 11
#define NSTATS 32

/* A slot, copied under the lock. */
static InqudDatabase
copy_slot(int i)
{
	InqudDatabase copy;

	inqud_shared_lock();
	memcpy(&copy, inqud_database_at(i), sizeof(copy));
	inqud_shared_unlock();
	return copy;
}

static const char *
state_of(const InqudDatabase *slot)
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

static void
set_time(Datum *values, bool *nulls, int i, TimestampTz when)
{
	nulls[i] = when == 0;
	values[i] = TimestampTzGetDatum(when);
}

/* Another database may have another encoding: of its text only ASCII is sure. */
static Datum
error_text(const InqudDatabase *slot)
{
	bool		ours = slot->encoding == GetDatabaseEncoding();

	return CStringGetTextDatum(ours ? slot->error : inqud_ascii_of(slot->error));
}

static void
add_slot(ReturnSetInfo *rsinfo, const InqudDatabase *slot, bool all)
{
	Datum		values[NCOLUMNS] = {0};
	bool		nulls[NCOLUMNS] = {false};
	char	   *name = get_database_name(slot->dbid);

	if (name == NULL)
		return;
	values[0] = DirectFunctionCall1(namein, CStringGetDatum(name));
	values[1] = Int32GetDatum(slot->pid);
	nulls[1] = slot->pid == 0;
	values[2] = CStringGetTextDatum(state_of(slot));
	set_time(values, nulls, 3, slot->pid != 0 ? slot->since : 0);
	set_time(values, nulls, 4, slot->active_at);
	values[5] = Int32GetDatum(slot->in_flight);
	values[6] = Int64GetDatum(slot->followed);
	values[7] = Int32GetDatum(slot->failures);
	set_time(values, nulls, 8, slot->pid == 0 && slot->wanted ? slot->not_before : 0);
	set_time(values, nulls, 9, slot->pid == 0 ? slot->wake_at : 0);
	nulls[10] = !all || slot->error[0] == '\0';
	if (!nulls[10])
		values[10] = error_text(slot);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* inqud._workers(): see view inqud.worker.  No rows when the library is not preloaded. */
Datum
inqud_workers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		all = has_privs_of_role(GetUserId(), ROLE_PG_MONITOR);
	int			i;

	inqud_init_materialized(fcinfo);
	for (i = 0; inqud_shared_ready() && i < INQUD_MAX_DATABASES; i++)
	{
		InqudDatabase slot = copy_slot(i);

		if (OidIsValid(slot.dbid) && (all || slot.dbid == MyDatabaseId))
			add_slot(rsinfo, &slot, all);
	}
	return (Datum) 0;
}

/* ---------------------------------------------------------------------
 * Transfers by project
 * ---------------------------------------------------------------------
 */

/* A row that is being made; values are put in order of the columns. */
typedef struct Row
{
	Datum		values[NSTATS];
	bool		nulls[NSTATS];
	int			n;
} Row;

static void
put(Row *row, Datum value, bool isnull)
{
	row->values[row->n] = value;
	row->nulls[row->n++] = isnull;
}

static void
put_counts(Row *row, const int64 *counts, int n)
{
	int			i;

	for (i = 0; i < n; i++)
		put(row, Int64GetDatum(counts[i]), false);
}

static void
put_time(Row *row, TimestampTz when)
{
	put(row, TimestampTzGetDatum(when), when == 0);
}

static void
put_name(Row *row, const char *name)
{
	put(row, name ? DirectFunctionCall1(namein, CStringGetDatum(name)) : (Datum) 0, name == NULL);
}

static void
put_interval(Row *row, int64 usec)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = usec;
	put(row, IntervalPGetDatum(interval), false);
}

static void
put_latencies(Row *row, const InqudCounters *counters)
{
	Datum		counts[INQUD_LATENCIES];
	int			i;

	for (i = 0; i < INQUD_LATENCIES; i++)
		counts[i] = Int64GetDatum(counters->latency[i]);
	put(row, PointerGetDatum(construct_array(counts, INQUD_LATENCIES, INT8OID, sizeof(int64),
											 FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)), false);
	put_interval(row, counters->latency_sum);
	put_interval(row, counters->latency_max);
}

static void
add_counters(ReturnSetInfo *rsinfo, const char *database, const char *project,
			 const InqudCounters *counters, TimestampTz oldest_due)
{
	Row			row = {.n = 0};
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
	inqud_limiter_look(counters->limiter, &next, &paused_until);
	put_time(&row, next);
	put_time(&row, paused_until);
	put_time(&row, oldest_due);
	Assert(row.n == rsinfo->setDesc->natts);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row.values, row.nulls);
}

/* Since when the oldest row of a project has been due. */
typedef struct Due
{
	NameData	project;
	TimestampTz at;
} Due;

/*
 * Of all projects of this database, as the extension's owner: one look into the
 * index for each, where row security would have every checkout looked at.
 */
static List *
find_due(void)
{
	static const char *const types[] = {"int8"};
	static InqudStatement statement = {
		"SELECT d.project, min(d.due_at) FROM inqud._due($1) d WHERE d.due_at <= clock_timestamp() GROUP BY 1",
		1, types
	};
	MemoryContext here = CurrentMemoryContext;
	Datum		home = Int64GetDatum(inqud_this_home());
	List	   *result = NIL;
	InqudRole	role;
	uint64		n;
	uint64		i;

	inqud_enter(&role);
	n = inqud_execute(&statement, &home, NULL);
	for (i = 0; i < n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(here);
		Due		   *due = palloc0(sizeof(Due));
		bool		isnull;

		namestrcpy(&due->project, SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1));
		due->at = DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc,
													2, &isnull));
		result = lappend(result, due);
		MemoryContextSwitchTo(old);
	}
	inqud_leave(&role);
	return result;
}

static TimestampTz
due_of(List *dues, const char *project)
{
	ListCell   *cell;

	foreach(cell, dues)
	{
		Due		   *due = lfirst(cell);

		if (strcmp(NameStr(due->project), project) == 0)
			return due->at;
	}
	return 0;
}

/* A project of this database, if it is there and the role may use or owns it. */
static void
add_own(ReturnSetInfo *rsinfo, Oid serverid, bool all, List *dues, const InqudCounters *counters)
{
	ForeignServer *server = GetForeignServerExtended(serverid, FSV_MISSING_OK);

	if (server == NULL)
		return;
	if (all || has_privs_of_role(GetUserId(), server->owner) ||
		inqud_server_aclcheck(serverid, GetUserId(), ACL_USAGE) == ACLCHECK_OK)
		add_counters(rsinfo, get_database_name(MyDatabaseId), server->servername, counters,
					 due_of(dues, server->servername));
}

/* One of another database, whose catalogs say nothing here. */
static void
add_foreign(ReturnSetInfo *rsinfo, Oid dbid, const InqudCounters *counters)
{
	char	   *database = get_database_name(dbid);

	const char *name = NameStr(counters->name);

	/* of a name in another encoding only ASCII is sure */
	if (counters->encoding != GetDatabaseEncoding())
		name = inqud_ascii_of(name);
	if (database)
		add_counters(rsinfo, database, name, counters, 0);
}

/* inqud._stats(): see view inqud.stats.  No rows when the library is not preloaded. */
Datum
inqud_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	InqudCountersArea *area = inqud_shared_counters();
	bool		all = has_privs_of_role(GetUserId(), ROLE_PG_MONITOR);
	List	   *dues = area ? find_due() : NIL;
	int			i;

	inqud_init_materialized(fcinfo);
	for (i = 0; area != NULL && i <= INQUD_MAX_PROJECTS; i++)
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
			add_own(rsinfo, key.serverid, all, dues, &copy);
		else if (OidIsValid(key.dbid) && all)
			add_foreign(rsinfo, key.dbid, &copy);
	}
	return (Datum) 0;
}
