/*-------------------------------------------------------------------------
 *
 * shared.c
 *		Shared memory: one slot per database, the rate limits, and what is counted
 *		of transfers.
 *
 * Plain data only: no process-local pointer, no descriptor.  The struct begins
 * with its size and version, so that a library that was replaced under a
 * running server sees that it does not fit and does without.
 *
 * One lock guards all of it; it is held for a few instructions at a time, never
 * while anything is waited for.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "miscadmin.h"
#include "pg/counters.h"
#include "pg/shared.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#define INQUD_SHARED_VERSION 2

typedef struct InqudShared
{
	Size		size;
	uint32		version;
	Latch	   *launcher;		/* NULL while none runs */
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
	int			i;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	area = ShmemInitStruct("inqud", sizeof(InqudShared), &found);
	if (!found)
	{
		memset(area, 0, sizeof(InqudShared));
		area->size = sizeof(InqudShared);
		area->version = INQUD_SHARED_VERSION;
		for (i = 0; i < INQUD_MAX_DATABASES; i++)
		{
			pg_atomic_init_u32(&area->databases[i].work, 0);
			pg_atomic_init_u32(&area->databases[i].changes, 0);
			ConditionVariableInit(&area->databases[i].news);
		}
		/* these are never taken, so nobody else says since when they count */
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

/* The caller holds the lock. */
static InqudDatabase *
find_database(Oid dbid, bool create)
{
	InqudDatabase *unused = NULL;
	int			i;

	for (i = 0; i < INQUD_MAX_DATABASES; i++)
	{
		InqudDatabase *database = &shared->databases[i];

		if (database->dbid == dbid)
			return database;
		if (database->dbid == InvalidOid && unused == NULL)
			unused = database;
	}
	if (!create || unused == NULL)
		return NULL;
	unused->dbid = dbid;
	return unused;
}

/*
 * Find or make the slot.  Slots never move, and are given back only when the
 * database or its extension is gone, so the pointer stays good for as long as
 * the caller knows that they are there.
 */
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

/* The slot is anybody's again.  The caller holds the lock and knows that nobody uses it. */
void
inqud_database_free(InqudDatabase *database)
{
	database->dbid = InvalidOid;
	database->wanted = database->stopped = database->leave = false;
	database->failures = 0;
	database->wake_at = database->not_before = database->active_at = 0;
	database->in_flight = 0;
	database->followed = 0;
	database->error[0] = '\0';
}

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
	int			i;

	before_shmem_exit(launcher_unregister, (Datum) 0);
	inqud_shared_lock();
	shared->launcher = MyLatch;
	/* what a launcher before this one had asked for, nobody waits for any more */
	for (i = 0; i < INQUD_MAX_DATABASES; i++)
	{
		if (shared->databases[i].pid == 0)
			shared->databases[i].starting = false;
	}
	inqud_shared_unlock();
}

bool
inqud_launcher_present(void)
{
	bool		present;

	inqud_shared_lock();
	present = shared->launcher != NULL;
	inqud_shared_unlock();
	return present;
}

void
inqud_launcher_wake(void)
{
	Latch	   *latch;

	if (shared == NULL)
		return;
	inqud_shared_lock();
	latch = shared->launcher;
	inqud_shared_unlock();
	if (latch)
		SetLatch(latch);
}

/* Found and marked under one lock: between the two the slot could become another's. */
static void
wake(Oid dbid, bool changed)
{
	InqudDatabase *database;
	Latch	   *latch = NULL;

	if (shared == NULL)
		return;
	inqud_shared_lock();
	database = find_database(dbid, true);
	if (database != NULL)
	{
		if (changed)
			pg_atomic_fetch_add_u32(&database->changes, 1);
		pg_atomic_fetch_add_u32(&database->work, 1);
		database->wanted = true;
		latch = database->pid != 0 ? database->latch : NULL;
	}
	inqud_shared_unlock();
	if (latch)
		SetLatch(latch);
	else if (database != NULL)
		inqud_launcher_wake();
}

/*
 * Called after commits, so it must not fail.  The worker that runs is told
 * itself; if there is none, the launcher is.
 */
void
inqud_database_wake(Oid dbid)
{
	wake(dbid, false);
}

/* Called after commits. */
void
inqud_database_changed(Oid dbid)
{
	wake(dbid, true);
}

void
inqud_database_news(InqudDatabase *database)
{
	if (database)
		ConditionVariableBroadcast(&database->news);
}
