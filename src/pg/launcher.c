/*-------------------------------------------------------------------------
 *
 * launcher.c
 *		Finds the databases that have something to do, and starts their
 *		workers.
 *
 * Started with the server, after recovery, so never on a standby before its
 * promotion.  At its start it has every database looked into once; from then on
 * commits tell it (wakeup.c).  It is connected to no database and runs no query
 * while nothing happens.
 *
 *		free -> wanted -> starting -> running -> (left | failed) -> ...
 *
 * A worker that leaves says when it is needed again; one that fails is started
 * again with a growing delay.  When more databases want a worker than there may
 * be, the one that has run longest is asked to leave.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pg/worker.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

/* A worker that others wait for may run this long. */
#define TURN_MS 5000
#define NEVER PG_INT64_MAX

PG_FUNCTION_INFO_V1(inqud_worker_start);
PG_FUNCTION_INFO_V1(inqud_worker_stop);

PGDLLEXPORT void inqud_launcher_main(Datum arg) pg_attribute_noreturn();

/* What is known of a start that was asked for, by slot. */
static BackgroundWorkerHandle *handles[INQUD_MAX_DATABASES];
static bool no_slot_logged = false;
static TimestampTz no_slot_until = 0;

/* Databases that have not been looked into since the launcher's start. */
static List *to_probe = NIL;

void
inqud_launcher_init(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 1;
	snprintf(worker.bgw_library_name, BGW_MAXLEN, "inqud");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "inqud_launcher_main");
	snprintf(worker.bgw_name, BGW_MAXLEN, "inqud launcher");
	snprintf(worker.bgw_type, BGW_MAXLEN, "inqud launcher");
	RegisterBackgroundWorker(&worker);
}

/* Note every database, to be looked into. */
static void
list_databases(void)
{
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext old;

		if (!form->datallowconn || form->datistemplate)
			continue;
		old = MemoryContextSwitchTo(TopMemoryContext);
		to_probe = lappend_oid(to_probe, form->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
}

/*
 * Have them looked into, as many as there are slots for: a database without the
 * extension gives its slot back, for the next one.
 */
static void
probe(void)
{
	while (to_probe != NIL)
	{
		InqudDatabase *database = inqud_database(linitial_oid(to_probe), true);

		if (database == NULL)
			return;
		inqud_shared_lock();
		database->wanted = true;
		inqud_shared_unlock();
		to_probe = list_delete_first(to_probe);
	}
}

/* May a worker connect to it?  Also gives the worker's role. */
static bool
can_connect(Oid dbid, Oid *roleid)
{
	HeapTuple	tuple;
	bool		ok = false;

	StartTransactionCommand();
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(dbid));
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		ok = form->datallowconn && !form->datistemplate;
		ReleaseSysCache(tuple);
	}
	*roleid = InvalidOid;
	if (ok && inqud_worker_role && inqud_worker_role[0])
	{
		*roleid = get_role_oid(inqud_worker_role, true);
		if (!OidIsValid(*roleid))
		{
			ok = false;
			ereport(LOG,
					(errmsg("role \"%s\" of setting \"inqud.worker_role\" does not exist",
							inqud_worker_role)));
		}
	}
	CommitTransactionCommand();
	return ok;
}

/* All slots of the server are taken: say so once, and wait. */
static void
note_no_slot(void)
{
	if (!no_slot_logged)
		ereport(LOG,
				(errmsg("no worker of inqud could be started: all background worker slots are in use"),
				 errhint("Increase the setting \"max_worker_processes\".")));
	no_slot_logged = true;
	no_slot_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), 5000);
}

static bool
start_worker(int slot, Oid dbid, Oid roleid)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	/* started again by the launcher, which knows whether it should be */
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	snprintf(worker.bgw_library_name, BGW_MAXLEN, "inqud");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "inqud_worker_main");
	snprintf(worker.bgw_name, BGW_MAXLEN, "inqud worker for database %u", dbid);
	snprintf(worker.bgw_type, BGW_MAXLEN, "inqud worker");
	worker.bgw_main_arg = ObjectIdGetDatum(dbid);
	memcpy(worker.bgw_extra, &roleid, sizeof(Oid));
	worker.bgw_notify_pid = MyProcPid;

	if (!RegisterDynamicBackgroundWorker(&worker, &handles[slot]))
	{
		handles[slot] = NULL;
		note_no_slot();
		return false;
	}
	return true;
}

/* Has a start that was asked for come to nothing, or a worker ended? */
static void
reap(int slot, InqudDatabase *database)
{
	pid_t		pid;

	if (handles[slot] == NULL)
		return;
	if (GetBackgroundWorkerPid(handles[slot], &pid) != BGWH_STOPPED)
		return;
	pfree(handles[slot]);
	handles[slot] = NULL;
	/* its place is free for whoever found none */
	no_slot_until = 0;
	inqud_shared_lock();
	if (database->starting)
	{
		/* it ended before it could take its slot */
		database->starting = false;
		database->failures++;
		database->not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), 1000);
	}
	inqud_shared_unlock();
}

static void
forget_database(InqudDatabase *database)
{
	inqud_shared_lock();
	if (database->pid == 0 && !database->starting && database->away == 0)
		inqud_database_free(database);
	inqud_shared_unlock();
}

/* A slot as it is now. */
typedef struct Look
{
	Oid			dbid;
	bool		busy;			/* has a worker, or one is starting */
	bool		wants;
	int64		ready_at;		/* NEVER, or when a worker should be started */
	TimestampTz since;
} Look;

static Look
look_at(InqudDatabase *database, TimestampTz now)
{
	Look		look;

	inqud_shared_lock();
	if (database->wake_at != 0 && database->wake_at <= now)
	{
		database->wanted = true;
		database->wake_at = 0;
	}
	look.dbid = database->dbid;
	look.busy = database->pid != 0 || database->starting;
	look.since = database->since;
	look.wants = database->wanted && !database->stopped && database->away == 0;
	look.ready_at = NEVER;
	if (!look.busy && look.wants)
		look.ready_at = database->not_before;
	else if (!look.busy && database->wake_at != 0 && !database->stopped)
		look.ready_at = database->wake_at;
	inqud_shared_unlock();
	return look;
}

static void
ask_to_leave(InqudDatabase *database)
{
	Latch	   *latch;

	inqud_shared_lock();
	database->leave = true;
	latch = database->pid ? database->latch : NULL;
	inqud_shared_unlock();
	if (latch)
		SetLatch(latch);
}

/* False when it has to wait for a free place. */
static bool
try_start(int slot, InqudDatabase *database, Oid dbid)
{
	Oid			roleid;

	if (!can_connect(dbid, &roleid))
	{
		forget_database(database);
		return true;
	}
	inqud_shared_lock();
	database->starting = true;
	database->leave = false;
	inqud_shared_unlock();
	if (!start_worker(slot, dbid, roleid))
	{
		inqud_shared_lock();
		database->starting = false;
		strlcpy(database->error, "no background worker slot is free; increase max_worker_processes",
				sizeof(database->error));
		inqud_shared_unlock();
		return false;
	}
	return true;
}

/*
 * One look at all slots: start what may be started.  Returns when to look again.
 */
static int64
look_around(void)
{
	static int	first = 0;		/* whose turn it is to be looked at first */
	TimestampTz now = GetCurrentTimestamp();
	int64		next = NEVER;
	int			running = 0;
	int			waiting = 0;
	int			oldest = -1;
	TimestampTz oldest_since = 0;
	int			i;

	for (i = 0; i < INQUD_MAX_DATABASES; i++)
	{
		Look		look;

		reap(i, inqud_database_at(i));
		look = look_at(inqud_database_at(i), now);
		/* one that has given its slot back still has to end */
		if (!look.busy && handles[i] == NULL)
			continue;
		running++;
		if (look.busy && (oldest < 0 || look.since < oldest_since))
		{
			oldest = i;
			oldest_since = look.since;
		}
	}
	for (i = 0; i < INQUD_MAX_DATABASES; i++)
	{
		int			slot = (first + i) % INQUD_MAX_DATABASES;
		InqudDatabase *database = inqud_database_at(slot);
		Look		look = look_at(database, now);

		if (look.dbid == InvalidOid || look.ready_at == NEVER || handles[slot] != NULL)
			continue;
		if (look.ready_at > now)
			next = Min(next, look.ready_at);
		else if (running >= inqud_max_workers)
			waiting++;
		else if (no_slot_until > now)
		{
			next = Min(next, no_slot_until);
			waiting++;
		}
		else
		{
			if (try_start(slot, database, look.dbid))
			{
				running++;
				first = (slot + 1) % INQUD_MAX_DATABASES;
			}
			else
			{
				next = Min(next, no_slot_until);
				waiting++;
			}
		}
	}
	/* the next shortage is another one, and said again */
	if (waiting == 0)
		no_slot_logged = false;
	if (waiting > 0 && oldest >= 0)
	{
		int64		turn_ends = TimestampTzPlusMilliseconds(oldest_since, TURN_MS);

		if (turn_ends <= now)
		{
			ask_to_leave(inqud_database_at(oldest));
			turn_ends = TimestampTzPlusMilliseconds(now, TURN_MS);
		}
		next = Min(next, turn_ends);
	}
	return next;
}

void
inqud_launcher_main(Datum arg)
{
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	if (!inqud_shared_ready())
		proc_exit(0);
	inqud_launcher_register();
	list_databases();

	for (;;)
	{
		int64		next;
		long		timeout = -1;

		probe();
		next = look_around();
		if (next != NEVER)
			timeout = Max(1, Min((next - GetCurrentTimestamp()) / 1000 + 1, 3600000));
		pgstat_report_activity(STATE_IDLE, NULL);
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (timeout >= 0 ? WL_TIMEOUT : 0),
						 timeout, inqud_wait_event(INQUD_WAIT_WORK));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
	}
}

/* ---------------------------------------------------------------------
 * Stop and start by hand
 * ---------------------------------------------------------------------
 */

static InqudDatabase *
own_database(void)
{
	InqudDatabase *database = inqud_database(MyDatabaseId, true);

	if (database == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("inqud has no workers in this server"),
				 errhint("Add inqud to shared_preload_libraries and restart the server.")));
	return database;
}

/* Errors: 55000 when the library is not preloaded. */
Datum
inqud_worker_start(PG_FUNCTION_ARGS)
{
	InqudDatabase *database = own_database();

	inqud_shared_lock();
	database->stopped = false;
	database->not_before = 0;
	inqud_shared_unlock();
	inqud_database_wake(MyDatabaseId);
	PG_RETURN_BOOL(true);
}

/* Errors: as above.  Returns when the worker has left, at the latest after five seconds. */
Datum
inqud_worker_stop(PG_FUNCTION_ARGS)
{
	InqudDatabase *database = own_database();
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), 5000);
	bool		gone = false;

	inqud_shared_lock();
	database->stopped = true;
	inqud_shared_unlock();
	ask_to_leave(database);
	while (!gone && GetCurrentTimestamp() < deadline)
	{
		inqud_shared_lock();
		gone = database->pid == 0 && !database->starting;
		inqud_shared_unlock();
		if (gone)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 10, inqud_wait_event(INQUD_WAIT_WORKER));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	PG_RETURN_BOOL(gone);
}
