/*-------------------------------------------------------------------------
 *
 * launcher.c
 *		The launcher: starts a worker for each database that wants one.
 *
 * It starts with the server, after recovery, so on a standby only after its
 * promotion.  At its start it has a worker look into every database once; from
 * then on commits say which database wants a worker (xact_end.c).  It must not
 * connect to a database, and runs no query while nothing happens.
 *
 *		free -> wanted -> starting -> running -> (left | failed) -> ...
 *
 * A worker that leaves sets when it is needed again; after a failure it is
 * started again with a growing delay.  When more databases want a worker than
 * inqud.max_workers, the one that has run longest is asked to leave.
 *
 * All its times are of the monotonic clock: a worker must not wait when the machine's
 * clock is set back.
 *
 *-------------------------------------------------------------------------
 */
#include "shared/shared.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* While other databases wait for a worker, each may run this long. */
#define TURN_MS 5000
#define NEVER PG_INT64_MAX

/* A database that refuses the workers' role is tried again after this long. */
#define REFUSED_MS 30000

PGDLLEXPORT void inqud_launcher_main(Datum arg) pg_attribute_noreturn();

/* Handles of the workers that were started, by slot; NULL = none. */
static BackgroundWorkerHandle *handles[INQUD_MAX_DATABASES];

/* The server has no free background worker slot: said in the log; no start before. */
static bool no_slot_logged = false;
static InqudClock no_slot_until = 0;

/* Databases (Oids) for which no worker has been asked since the launcher's start. */
static List *unprobed = NIL;

/* What launcher and workers have in common. */
static const BackgroundWorker background_worker = {
	.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
	.bgw_start_time = BgWorkerStart_RecoveryFinished,
	.bgw_library_name = "inqud",
};

void
inqud_launcher_init(void)
{
	BackgroundWorker launcher = background_worker;

	launcher.bgw_restart_time = 1;
	strlcpy(launcher.bgw_function_name, "inqud_launcher_main", BGW_MAXLEN);
	strlcpy(launcher.bgw_name, "inqud launcher", BGW_MAXLEN);
	strlcpy(launcher.bgw_type, "inqud launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&launcher);
}

/* Fill the list with every database that accepts connections. */
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
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		if (form->datallowconn && !form->datistemplate)
			unprobed = lappend_oid(unprobed, form->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
}

/*
 * Ask for a worker in each of them, as long as there are slots.  A worker that
 * finds no extension releases its slot, which serves for the next database.
 */
static void
request_probes(void)
{
	while (unprobed != NIL)
	{
		InqudDatabase *database = inqud_database(linitial_oid(unprobed), true);

		if (database == NULL)
			return;
		inqud_shared_lock();
		database->wanted = true;
		inqud_shared_unlock();
		unprobed = list_delete_first(unprobed);
	}
}

/* The role of workers, InvalidOid = the bootstrap superuser; in *refused, why it cannot connect, or NULL. */
static Oid
worker_role(Oid dbid, const char **refused)
{
	Oid			roleid;

	if (inqud_worker_role == NULL || inqud_worker_role[0] == '\0')
		return InvalidOid;
	roleid = get_role_oid(inqud_worker_role, true);
	if (!OidIsValid(roleid))
		*refused = "the role of setting \"inqud.worker_role\" does not exist";
	else if (!superuser_arg(roleid) && inqud_database_aclcheck(dbid, roleid, ACL_CONNECT) != ACLCHECK_OK)
		*refused = "the role of setting \"inqud.worker_role\" may not connect to this database";
	return roleid;
}

/* True if a worker can connect to the database, as role *roleid.  If not because of it, *refused says why. */
static bool
can_connect(Oid dbid, Oid *roleid, const char **refused)
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
	*refused = NULL;
	*roleid = ok ? worker_role(dbid, refused) : InvalidOid;
	CommitTransactionCommand();
	return ok && *refused == NULL;
}

/* Register a worker; false when the server has no free background worker slot. */
static bool
register_worker(int slot, Oid dbid, Oid roleid)
{
	BackgroundWorker worker = background_worker;

	/* the launcher decides when to start it again */
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_function_name, "inqud_worker_main", BGW_MAXLEN);
	snprintf(worker.bgw_name, BGW_MAXLEN, "inqud worker for database %u", dbid);
	strlcpy(worker.bgw_type, "inqud worker", BGW_MAXLEN);
	worker.bgw_main_arg = ObjectIdGetDatum(dbid);
	memcpy(worker.bgw_extra, &roleid, sizeof(Oid));
	worker.bgw_notify_pid = MyProcPid;
	return RegisterDynamicBackgroundWorker(&worker, &handles[slot]);
}

/* The server has no free background worker slot: log it once, and start no worker for 5 s. */
static void
note_no_slot(InqudDatabase *database)
{
	inqud_shared_lock();
	database->starting = false;
	inqud_shared_unlock();
	inqud_database_error(database, "no background worker slot is free; increase max_worker_processes");
	if (!no_slot_logged)
		ereport(LOG,
				(errmsg("no worker of inqud could be started: all background worker slots are in use"),
				 errhint("Increase the setting \"max_worker_processes\".")));
	no_slot_logged = true;
	no_slot_until = inqud_clock_us() + 5 * USECS_PER_SEC;
}

/* If the slot's process has ended, drop its handle.  A start that failed is tried again after a second. */
static void
forget_ended(int slot, InqudDatabase *database)
{
	pid_t		pid;

	if (handles[slot] == NULL || GetBackgroundWorkerPid(handles[slot], &pid) != BGWH_STOPPED)
		return;
	pfree(handles[slot]);
	handles[slot] = NULL;
	/* a background worker slot of the server is free again */
	no_slot_until = 0;
	inqud_shared_lock();
	if (database->starting)
	{
		/* it ended before it could take its slot */
		database->starting = false;
		database->failures++;
		database->not_before = inqud_clock_us() + USECS_PER_SEC;
	}
	inqud_shared_unlock();
}

/* The workers' role cannot connect to a database with the extension: say so where its users look, try again later. */
static void
note_refused(InqudDatabase *database, const char *why)
{
	bool		said;

	inqud_shared_lock();
	said = strcmp(database->error, why) == 0;
	database->failures = Min(database->failures + 1, 6);
	database->not_before = inqud_clock_us() + REFUSED_MS * 1000;
	inqud_shared_unlock();
	inqud_database_error(database, why);
	if (!said)
		ereport(LOG,
				(errmsg("no worker of inqud can serve database %u: %s", database->dbid, why)));
}

/* A slot at one moment. */
typedef struct SlotView
{
	Oid			dbid;
	bool		busy;			/* a worker runs or starts */
	InqudClock	ready_at;		/* when a worker should be started, or NEVER */
	InqudClock	began;			/* start of the worker */
} SlotView;

/* Read a slot, after setting "wanted" if its time has come. */
static SlotView
read_slot(InqudDatabase *database, InqudClock now)
{
	SlotView	view;

	inqud_shared_lock();
	if (database->wake_at != 0 && database->wake_at <= now)
	{
		database->wanted = true;
		database->wake_at = 0;
	}
	view.dbid = database->dbid;
	view.busy = database->pid != 0 || database->starting;
	view.began = database->began;
	view.ready_at = NEVER;
	if (!view.busy && !database->stopped)
	{
		if (database->wanted && database->away == 0)
			view.ready_at = database->not_before;
		else if (database->wake_at != 0)
			view.ready_at = database->wake_at;
	}
	inqud_shared_unlock();
	return view;
}

/* Start a worker, or release the slot if none can connect; false without a free background worker slot. */
static bool
try_start(int slot, InqudDatabase *database, Oid dbid)
{
	const char *refused;
	Oid			roleid;
	bool		ok = can_connect(dbid, &roleid, &refused);

	inqud_shared_lock();
	if (!database->known)
		refused = NULL;			/* the database is none of ours */
	if (ok)
	{
		database->starting = true;
		database->leave = false;
	}
	else if (refused == NULL && database->pid == 0 && !database->starting && database->away == 0)
		inqud_database_free(database);
	inqud_shared_unlock();
	if (refused)
		note_refused(database, refused);
	if (!ok || register_worker(slot, dbid, roleid))
		return true;
	note_no_slot(database);
	return false;
}

/* What schedule_workers finds out about all slots. */
typedef struct Overview
{
	int			running;		/* workers that start, run or end */
	int			waiting;		/* databases that want a worker and cannot get one now */
	int			oldest;			/* slot of the worker that has run longest; -1 = none */
	InqudClock	oldest_began;
} Overview;

/* Count the workers, and find the one that has run longest. */
static Overview
count_workers(InqudClock now)
{
	Overview	overview = {.oldest = -1};

	for (int i = 0; i < INQUD_MAX_DATABASES; i++)
	{
		SlotView	view;

		forget_ended(i, inqud_database_at(i));
		view = read_slot(inqud_database_at(i), now);
		/* a worker that has released its slot counts until its process has ended */
		if (!view.busy && handles[i] == NULL)
			continue;
		overview.running++;
		if (view.busy && (overview.oldest < 0 || view.began < overview.oldest_began))
		{
			overview.oldest = i;
			overview.oldest_began = view.began;
		}
	}
	return overview;
}

/* Start due workers, within inqud.max_workers and the server's limit.  Returns when to try again, or NEVER. */
static InqudClock
start_due_workers(Overview *overview, InqudClock now)
{
	static int	first = 0;		/* the slot behind the last start, so that all take turns */
	int			begin = first;	/* "first" moves with each start below */
	InqudClock	next = NEVER;

	for (int i = 0; i < INQUD_MAX_DATABASES; i++)
	{
		int			slot = (begin + i) % INQUD_MAX_DATABASES;
		InqudDatabase *database = inqud_database_at(slot);
		SlotView	view = read_slot(database, now);

		if (view.dbid == InvalidOid || view.ready_at == NEVER || handles[slot] != NULL)
			continue;
		if (view.ready_at > now)
			next = Min(next, view.ready_at);
		else if (overview->running >= inqud_max_workers)
			overview->waiting++;
		else if (no_slot_until <= now && try_start(slot, database, view.dbid))
		{
			overview->running++;
			first = (slot + 1) % INQUD_MAX_DATABASES;
			/* not started, since it refuses the workers' role: when to try again */
			next = Min(next, Max(read_slot(database, now).ready_at, now + 1));
		}
		else
		{
			next = Min(next, no_slot_until);
			overview->waiting++;
		}
	}
	return next;
}

/* Databases wait: end the longest turn, after TURN_MS at the earliest.  Returns when to look again, or NEVER. */
static InqudClock
end_longest_turn(const Overview *overview, InqudClock now)
{
	InqudClock	turn_ends;

	if (overview->waiting == 0 || overview->oldest < 0)
		return NEVER;
	turn_ends = overview->oldest_began + TURN_MS * 1000;
	if (turn_ends <= now)
	{
		inqud_database_send_away(inqud_database_at(overview->oldest), false);
		turn_ends = now + TURN_MS * 1000;
	}
	return turn_ends;
}

/* Start and end workers as the slots ask for.  Returns when to look again, or NEVER. */
static InqudClock
schedule_workers(void)
{
	InqudClock	now = inqud_clock_us();
	Overview	overview = count_workers(now);
	InqudClock	next_start = start_due_workers(&overview, now);
	InqudClock	next_turn = end_longest_turn(&overview, now);

	/* the next shortage is another one, and is logged again */
	if (overview.waiting == 0)
		no_slot_logged = false;
	return Min(next_start, next_turn);
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
		InqudClock	left;

		request_probes();
		left = schedule_workers() - inqud_clock_us();
		pgstat_report_activity(STATE_IDLE, NULL);
		inqud_nap((long) Max(1, Min(left / 1000 + 1, 3600000)), INQUD_WAIT_WORK);
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
	}
}
