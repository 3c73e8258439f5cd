/*-------------------------------------------------------------------------
 *
 * startup.c
 *		How a worker begins: its slot, its settings, what its predecessor left,
 *		and the transactions of its own.
 *
 * Everything it needs to go on stands in the tables; nothing is handed over
 * from worker to worker in any other way.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/dispatch.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Advisory lock of the worker: two numbers that mean nothing to anybody else. */
#define LOCK_CLASS 0x696e71
#define LOCK_NUMBER 0x7564

#define RAN_WELL_MS 30000

/* ---------------------------------------------------------------------
 * Transactions of our own
 * ---------------------------------------------------------------------
 */

/*
 * The extension is not here (any more): what is under way has nowhere to be
 * written to.  Should it come back, its first order will have us started.
 */
void
inqud_leave_absent(void)
{
	worker.good_end = true;
	if (worker.slot)
	{
		inqud_shared_lock();
		worker.slot->wanted = false;
		worker.slot->failures = 0;
		inqud_shared_unlock();
		worker.absent = true;
	}
	proc_exit(0);
}

/*
 * The extension's objects are of a version that this library was not made for:
 * to touch them would be a guess.  A restart or ALTER EXTENSION brings us back.
 */
void
inqud_leave_if_unserved(void)
{
	const char *version = inqud_unserved_version();

	if (version == NULL)
		return;
	inqud_report_unserved(LOG);
	worker.good_end = true;
	inqud_shared_lock();
	worker.slot->wanted = false;
	worker.slot->failures = 0;
	snprintf(worker.slot->error, sizeof(worker.slot->error),
			 "the loaded library does not serve version \"%s\" of the extension; restart the server after an installation, then ALTER EXTENSION inqud UPDATE",
			 version);
	inqud_shared_unlock();
	proc_exit(0);
}

/*
 * Begin a transaction as the extension's owner.  "durable": its commit is
 * flushed whatever the database's default says, since it makes a URL visible;
 * else it is not waited for, since losing it only repeats a call.
 */
void
inqud_worker_begin(InqudRole *role, bool durable)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (!inqud_extension_present())
		inqud_leave_absent();
	inqud_leave_if_unserved();
	if (!durable)
		(void) set_config_option("synchronous_commit", "off", PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	else if (synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_FLUSH)
		(void) set_config_option("synchronous_commit", "on", PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	PushActiveSnapshot(GetTransactionSnapshot());
	inqud_enter(role);
}

void
inqud_worker_commit(InqudRole *role)
{
	inqud_leave(role);
	PopActiveSnapshot();
	CommitTransactionCommand();
	/* a commit leaves us in the context that is never reset */
	MemoryContextSwitchTo(worker.turn);
}

/* ---------------------------------------------------------------------
 * Start
 * ---------------------------------------------------------------------
 */

/* What the database's or role's defaults must not change. */
void
inqud_pin_settings(void)
{
	static const char *const settings[][2] = {
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"search_path", "pg_catalog, pg_temp"},
		{"DateStyle", "ISO, YMD"},
		{"IntervalStyle", "postgres"},
		{"TimeZone", "UTC"},
		{"jit", "off"},
		{"session_replication_role", "origin"},
		{"row_security", "on"},
		{"statement_timeout", "0"},
		/* whoever holds a row for long delays that row, not the worker */
		{"lock_timeout", "1s"},
		{"idle_in_transaction_session_timeout", "0"},
		{"application_name", "inqud worker"},
		{"max_parallel_workers_per_gather", "0"},
		INQUD_NEWER_TIMEOUTS
	};
	int			i;

	for (i = 0; i < (int) lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * The slot is given back, with what the launcher should know.  By then this process
 * is on no list of those that use the database, since callbacks run in reverse and
 * this one was registered first: whoever waits for us to be gone, to drop the
 * database perhaps, must not meet us there.
 */
static void
give_back(int code, Datum arg)
{
	InqudDatabase *slot = worker.slot;

	inqud_shared_lock();
	slot->pid = 0;
	slot->latch = NULL;
	slot->in_flight = 0;
	if (!worker.good_end)
	{
		slot->wanted = true;
		/* one that ran well for long is not failing again and again */
		if (TimestampDifferenceExceeds(slot->since, GetCurrentTimestamp(), RAN_WELL_MS))
			slot->failures = 0;
		slot->failures = Min(slot->failures + 1, 6);
		slot->not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   500 << slot->failures);
	}
	/* unless something has been queued since we saw that the extension is not here */
	if (worker.absent && !slot->wanted && !slot->stopped && slot->away == 0)
		inqud_database_free(slot);
	inqud_shared_unlock();
	inqud_launcher_wake();
}

/* Take the database's slot; false when it is not to be had, or we are not wanted. */
bool
inqud_take_slot(Oid dbid)
{
	InqudDatabase *slot = inqud_database(dbid, false);
	bool		ok = false;

	if (slot == NULL)
		return false;
	inqud_shared_lock();
	slot->starting = false;
	if (slot->pid == 0 && !slot->stopped && slot->away == 0)
	{
		slot->pid = MyProcPid;
		slot->latch = MyLatch;
		slot->since = GetCurrentTimestamp();
		slot->leave = false;
		/* what is queued from here on is counted */
		slot->wanted = false;
		slot->wake_at = 0;
		ok = true;
	}
	inqud_shared_unlock();
	worker.slot = slot;
	if (ok)
		on_shmem_exit(give_back, (Datum) 0);
	return ok;
}

/* One worker a database, and everybody can see it in pg_locks. */
bool
inqud_lock_database(void)
{
	LOCKTAG		tag;
	bool		locked;

	/* the last number is one that SQL functions cannot make, so nobody else can take it */
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, LOCK_CLASS, LOCK_NUMBER, 3);
	StartTransactionCommand();
	locked = LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
	CommitTransactionCommand();
	return locked;
}

bool
inqud_extension_is_here(void)
{
	bool		here;

	StartTransactionCommand();
	here = inqud_extension_present();
	CommitTransactionCommand();
	return here;
}

/* Follow what the tables say is followed. */
void
inqud_load_followed(void)
{
	static const char *const types[] = {"int8"};
	static InqudStatement statement = {
		"SELECT * FROM inqud._followed($1)", 1, types
	};
	Datum		home = Int64GetDatum(worker.home);
	InqudRole	role;
	uint64		n;
	uint64		i;
	bool		isnull;

	inqud_worker_begin(&role, false);
	n = inqud_execute(&statement, &home, NULL);
	for (i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		char	   *project = SPI_getvalue(tuple, desc, 3);
		char	   *phase = SPI_getvalue(tuple, desc, 5);
		TimestampTz tail = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 6, &isnull));
		Lane	   *lane = inqud_lane(project);

		/* its intervals are those of the project from the first read on */
		if (!lane->known)
			inqud_learn_options(lane);
		inqud_schedule(inqud_follow(DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull)),
									lane, phase ? phase : "check", tail), 0);
		pfree(project);
		if (phase)
			pfree(phase);
	}
	inqud_worker_commit(&role);
}

/* Keys or rights have changed: what was held back for want of them is tried now. */
void
inqud_hurry(void)
{
	static const char *const types[] = {"int8"};
	static InqudStatement statement = {
		"SELECT inqud._hurry($1)", 1, types
	};
	Datum		home = Int64GetDatum(worker.home);
	InqudRole	role;

	inqud_unpause_all();
	inqud_worker_begin(&role, false);
	inqud_execute(&statement, &home, NULL);
	inqud_worker_commit(&role);
	worker.look = true;
}

/* Free the leases of whoever was here before. */
void
inqud_release_leases(void)
{
	static const char *const types[] = {"int8", "int8"};
	static InqudStatement statement = {
		"SELECT inqud._begin($1, $2)", 2, types
	};
	Datum		values[2];
	InqudRole	role;
	bool		isnull;
	int64		left;

	values[0] = Int64GetDatum(worker.home);
	values[1] = Int64GetDatum(worker.lease);
	inqud_worker_begin(&role, false);
	inqud_execute(&statement, values, NULL);
	left = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	inqud_worker_commit(&role);
	worker.release_due = left > 0 ? GetCurrentTimestamp() + USECS_PER_SEC : INQUD_FAR;
	worker.look = true;
}
