/*-------------------------------------------------------------------------
 *
 * shared.c
 *		Shared memory: one slot per database, the rate limiters, and the counters
 *		of transfers.
 *
 * It must hold plain data only: no process-local pointer, no descriptor.  The
 * struct begins with its size and version.  A library that was replaced under a
 * running server and finds others there works as if it were not preloaded.
 *
 * One lock guards all of it.  It is held for a few instructions, and must not be
 * held while waiting.
 *
 *-------------------------------------------------------------------------
 */
#include "shared/shared.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#define INQUD_SHARED_VERSION 5

typedef struct InqudShared
{
	Size		size;
	uint32		version;
	Latch	   *launcher;		/* NULL while no launcher runs */
	InqudDatabase databases[INQUD_MAX_DATABASES];
	InqudLimiter limiters[INQUD_MAX_LIMITERS];
	InqudCountersArea counters;
} InqudShared;

static InqudShared *shared = NULL;
static LWLock *lock = NULL;
static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void
shared_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(InqudShared)));
	RequestNamedLWLockTranche("inqud", 1);
}

static void
shared_startup(void)
{
	bool		found;
	InqudShared *area;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	area = ShmemInitStruct("inqud", sizeof(InqudShared), &found);
	if (!found)
	{
		memset(area, 0, sizeof(InqudShared));
		area->size = sizeof(InqudShared);
		area->version = INQUD_SHARED_VERSION;
		for (int i = 0; i < INQUD_MAX_DATABASES; i++)
		{
			pg_atomic_init_u32(&area->databases[i].work, 0);
			pg_atomic_init_u32(&area->databases[i].changes, 0);
			area->databases[i].queued_from = DT_NOEND;
			ConditionVariableInit(&area->databases[i].news);
		}
		/* no project takes this slot, so its start is set here */
		area->counters.counters[INQUD_MAX_PROJECTS].since = GetCurrentTimestamp();
	}
	lock = &(GetNamedLWLockTranche("inqud"))->lock;
	LWLockRelease(AddinShmemInitLock);

	if (area->size == sizeof(InqudShared) && area->version == INQUD_SHARED_VERSION)
		shared = area;
}

void
inqud_shared_init(void)
{
	/* before the first process is forked: the places of limiters are found by it */
	inqud_digest_init();
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = shared_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = shared_startup;
}

bool
inqud_shared_ready(void)
{
	return shared != NULL;
}

void
inqud_shared_lock(void)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
}

void
inqud_shared_unlock(void)
{
	LWLockRelease(lock);
}

InqudLimiter *
inqud_shared_limiters(void)
{
	return shared ? shared->limiters : NULL;
}

InqudCountersArea *
inqud_shared_counters(void)
{
	return shared ? &shared->counters : NULL;
}

InqudDatabase *
inqud_database_at(int i)
{
	return &shared->databases[i];
}

/* The slot of a database, or NULL; "create": take a free one.  The caller holds the lock. */
static InqudDatabase *
find_database(Oid dbid, bool create)
{
	InqudDatabase *unused = NULL;

	for (int i = 0; i < INQUD_MAX_DATABASES; i++)
	{
		InqudDatabase *database = &shared->databases[i];

		if (database->dbid == dbid)
			return database;
		if (database->dbid == InvalidOid && unused == NULL)
			unused = database;
	}
	if (!create)
		return NULL;
	if (unused != NULL)
		unused->dbid = dbid;
	return unused;
}

InqudDatabase *
inqud_database(Oid dbid, bool create)
{
	InqudDatabase *database;

	if (shared == NULL)
		return NULL;
	inqud_shared_lock();
	database = find_database(dbid, create);
	inqud_shared_unlock();
	return database;
}

void
inqud_database_error(InqudDatabase *database, const char *message)
{
	int			len = pg_mbcliplen(message, (int) strlen(message), INQUD_ERROR_LEN - 1);

	inqud_shared_lock();
	memcpy(database->error, message, len);
	database->error[len] = '\0';
	database->encoding = GetDatabaseEncoding();
	inqud_shared_unlock();
}

void
inqud_database_free(InqudDatabase *database)
{
	database->dbid = InvalidOid;
	database->known = database->wanted = database->stopped = database->leave = false;
	database->failures = 0;
	database->wake_at = database->not_before = database->clock_moved_at = 0;
	database->active_at = 0;
	database->queued_from = DT_NOEND;
	database->in_flight = 0;
	database->followed = 0;
	database->unwritten = 0;
	database->unwritten_since = database->unnoticed_since = 0;
	database->error[0] = '\0';
}

/* before_shmem_exit of the launcher. */
static void
launcher_unregister(int code, Datum arg)
{
	inqud_shared_lock();
	shared->launcher = NULL;
	inqud_shared_unlock();
}

void
inqud_launcher_register(void)
{
	before_shmem_exit(launcher_unregister, (Datum) 0);
	inqud_shared_lock();
	shared->launcher = MyLatch;
	/* starts that an earlier launcher has asked for are not watched any more */
	for (int i = 0; i < INQUD_MAX_DATABASES; i++)
		shared->databases[i].starting = false;
	inqud_shared_unlock();
}

/* The latch of the launcher; NULL = it does not run. */
static Latch *
launcher_latch(void)
{
	Latch	   *latch;

	inqud_shared_lock();
	latch = shared->launcher;
	inqud_shared_unlock();
	return latch;
}

bool
inqud_launcher_present(void)
{
	return launcher_latch() != NULL;
}

void
inqud_launcher_wake(void)
{
	Latch	   *latch = launcher_latch();

	if (latch)
		SetLatch(latch);
}

/*
 * Count a commit and wake the worker, or the launcher if none runs.  The slot is
 * found and changed under one lock, since another database could take it between.
 *
 * A signal costs more than the rest of a small transaction when its receiver has to
 * wake up for it.  So the worker gets one when it listens, and the launcher one until
 * a worker has started; a change of keys or rights is rare, and always wakes.
 */
void
inqud_database_wake(Oid dbid, bool known, bool changed, TimestampTz from)
{
	InqudDatabase *database;
	Latch	   *latch = NULL;
	bool		start = false;

	if (shared == NULL)
		return;
	inqud_shared_lock();
	database = find_database(dbid, known);
	if (database != NULL)
	{
		database->known |= known;
		if (changed)
			pg_atomic_fetch_add_u32(&database->changes, 1);
		pg_atomic_fetch_add_u32(&database->work, 1);
		database->queued_from = Min(database->queued_from, from);
		if (database->pid != 0 && (database->listening || changed))
			latch = database->latch;
		start = database->pid == 0 && (!database->wanted || changed);
		database->listening = false;
		database->wanted = true;
	}
	inqud_shared_unlock();
	if (latch)
		SetLatch(latch);
	if (start)
		inqud_launcher_wake();
}

TimestampTz
inqud_database_queued(InqudDatabase *database)
{
	TimestampTz from;

	inqud_shared_lock();
	from = database->queued_from;
	database->queued_from = DT_NOEND;
	inqud_shared_unlock();
	return from;
}

bool
inqud_database_listen(InqudDatabase *database, uint32 seen)
{
	bool		none;

	inqud_shared_lock();
	none = pg_atomic_read_u32(&database->work) == seen;
	database->listening = none;
	inqud_shared_unlock();
	return none;
}

bool
inqud_database_unnoticed(Oid dbid)
{
	InqudDatabase *database;
	bool		first = false;

	if (shared == NULL)
		return false;
	inqud_shared_lock();
	database = find_database(dbid, true);
	if (database != NULL)
	{
		first = database->unnoticed_since == 0;
		if (first)
			database->unnoticed_since = GetCurrentTimestamp();
		database->unnoticed++;
	}
	inqud_shared_unlock();
	return first;
}

void
inqud_database_note(Oid dbid)
{
	InqudDatabase *database;

	if (shared == NULL)
		return;
	inqud_shared_lock();
	database = find_database(dbid, true);
	if (database != NULL)
		database->known = true;
	inqud_shared_unlock();
}

void
inqud_database_send_away(InqudDatabase *database, bool away)
{
	Latch	   *latch;

	inqud_shared_lock();
	if (away)
		database->away++;
	database->leave = true;
	latch = database->pid ? database->latch : NULL;
	inqud_shared_unlock();
	if (latch)
		SetLatch(latch);
}

void
inqud_database_return(InqudDatabase *database)
{
	inqud_shared_lock();
	database->away--;
	database->wanted = true;
	database->not_before = 0;
	inqud_shared_unlock();
	inqud_launcher_wake();
}

bool
inqud_database_wait_gone(InqudDatabase *database, int ms)
{
	InqudClock	deadline = inqud_clock_us() + (int64) ms * 1000;

	for (;;)
	{
		bool		gone;

		inqud_shared_lock();
		gone = database->pid == 0 && !database->starting;
		inqud_shared_unlock();
		if (gone || inqud_clock_us() >= deadline)
			return gone;
		inqud_nap(10, INQUD_WAIT_WORKER);
	}
}

void
inqud_database_news(InqudDatabase *database)
{
	ConditionVariableBroadcast(&database->news);
}
