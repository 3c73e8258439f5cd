/*-------------------------------------------------------------------------
 *
 * stats.c
 *		What shared memory knows of the workers, as rows.
 *
 * Reads only.  Who is no member of pg_monitor sees the current database and no
 * error texts.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pg/shared.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(inqud_workers);

#define NCOLUMNS 11

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
		values[10] = CStringGetTextDatum(slot->error);
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
