/*-------------------------------------------------------------------------
 *
 * shared.h
 *		What the processes of a server share: one slot per database, and the
 *		rate limits.  There only when the library is preloaded.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_SHARED_H
#define INQUD_SHARED_H

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"

#define INQUD_MAX_DATABASES 512
#define INQUD_MAX_LIMITERS 1024
#define INQUD_ERROR_LEN 200

/* One database and its worker. */
typedef struct InqudDatabase
{
	Oid			dbid;			/* InvalidOid = free */
	int			pid;			/* of the worker, 0 = none */
	Latch	   *latch;			/* of the worker; latches lie in shared memory */
	bool		wanted;			/* there may be something to do */
	bool		starting;		/* the launcher has asked for it */
	bool		stopped;		/* by inqud_worker_stop() */
	bool		leave;			/* the worker shall end now */
	int			away;			/* statements that need the database for themselves */
	int			failures;		/* ends with an error, since the last good turn */
	TimestampTz not_before;		/* of its next start */
	TimestampTz wake_at;		/* when something will be due; 0 = never */
	TimestampTz since;			/* start of the worker */
	TimestampTz active_at;		/* last time it did something */
	int			in_flight;
	int64		followed;
	char		error[INQUD_ERROR_LEN];	/* last one, without secrets */
	int			encoding;		/* of that text, if a worker wrote it */
	pg_atomic_uint32 work;		/* commits that queued something, counted */
	pg_atomic_uint32 changes;	/* commits that changed servers, mappings or rights */
	ConditionVariable news;		/* something was recorded */
} InqudDatabase;

/* Is there shared memory (was the library preloaded)? */
extern bool inqud_shared_ready(void);

/* To be called by _PG_init when preloading. */
extern void inqud_shared_init(void);

/* This database's slot, made if need be; NULL without preload or when all are taken. */
extern InqudDatabase *inqud_database(Oid dbid, bool create);

extern InqudDatabase *inqud_database_at(int i);

/* Give a slot back, under the lock, when neither worker nor statement uses it. */
extern void inqud_database_free(InqudDatabase *database);

extern void inqud_shared_lock(void);
extern void inqud_shared_unlock(void);

/* The launcher's latch, for whoever has news for it. */
extern void inqud_launcher_register(void);
extern void inqud_launcher_wake(void);

/* Does the launcher run?  With shared memory only. */
extern bool inqud_launcher_present(void);

/* There is something to do in this database: wake its worker or have one started. */
extern void inqud_database_wake(Oid dbid);

/* Servers, mappings or rights of this database have changed: what was held back may go. */
extern void inqud_database_changed(Oid dbid);

/* Something was recorded: whoever waits for it looks again. */
extern void inqud_database_news(InqudDatabase *database);

/* ---------------------------------------------------------------------
 * limiter.c: calls per second to one base_url and project_id
 * ---------------------------------------------------------------------
 */

/*
 * Take one call.  0 = go; else microseconds to wait (because of the rate, or
 * because Inqud told us to pause).
 */
extern int64 inqud_limiter_take(uint64 key, double rate);

/* How many microseconds inqud_limiter_take would ask for, without taking. */
extern int64 inqud_limiter_peek(uint64 key, double rate);

/* Inqud asked for a pause. */
extern void inqud_limiter_pause(uint64 key, int64 ms);

/* When the next call may go, and until when Inqud asked to pause; 0 = at once, not at all. */
extern void inqud_limiter_look(uint64 key, TimestampTz *next, TimestampTz *paused_until);

typedef struct InqudLimiter
{
	uint64		key;			/* 0 = free */
	int64		tat;			/* see inqud_rate_take */
	int64		paused_until;	/* microseconds, PostgreSQL's clock */
	int64		used_at;
} InqudLimiter;

extern InqudLimiter *inqud_shared_limiters(void);

#endif							/* INQUD_SHARED_H */
