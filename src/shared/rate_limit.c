/*-------------------------------------------------------------------------
 *
 * rate_limit.c
 *		Limits the calls per second of one account (address, project, token), over all
 *		processes and databases of the server.
 *
 * The rules are in client/limits.c; here are the tables and the lock.  Without
 * preload each process has limiters of its own, and so has one that finds no place
 * in shared memory: a place in use is never taken away from another account.
 *
 * This file must not wait: callers are told how long to wait.
 *
 *-------------------------------------------------------------------------
 */
#include "shared/shared.h"

#include "utils/timestamp.h"

/* The places that one role may have in use at the same time, so that none fills the table. */
#define SHARE_OF_ROLE (INQUD_MAX_LIMITERS / 8)

/* The limiters of this process. */
static InqudLimiter own_limiters[64];
static bool own_used = false;
static bool own_logged = false;

/* This process's limiter of an account; when all are in use, that of the account which is free first. */
static InqudLimiter *
own_limiter(const InqudProject *project, InqudClock now)
{
	int			n = lengthof(own_limiters);
	InqudLimiter *limiter = inqud_limiter_find(own_limiters, n, &project->digest);
	InqudLimiter *first = own_limiters;
	int			i;

	own_used = true;
	if (limiter == NULL)
		limiter = inqud_limiter_place(own_limiters, n, &project->digest, project->roleid, n, now);
	for (i = 0; limiter == NULL && i < n; i++)
	{
		if (Max(own_limiters[i].tat, own_limiters[i].paused_until) < Max(first->tat, first->paused_until))
			first = &own_limiters[i];
	}
	if (limiter != NULL)
		return limiter;
	first->tat = first->paused_until = 0;
	first->key = project->digest;
	return first;
}

/* The account's limiter in shared memory; NULL when there is no place.  The caller holds the lock. */
static InqudLimiter *
shared_limiter(const InqudProject *project, InqudClock now)
{
	InqudLimiter *limiters = inqud_shared_limiters();
	InqudLimiter *limiter = inqud_limiter_find(limiters, INQUD_MAX_LIMITERS, &project->digest);

	if (limiter == NULL)
		limiter = inqud_limiter_place(limiters, INQUD_MAX_LIMITERS, &project->digest, project->roleid,
									  SHARE_OF_ROLE, now);
	return limiter;
}

/* The account's limiter of this process, if it still holds the account back; else NULL. */
static InqudLimiter *
busy_here(const InqudDigest *account, InqudClock now)
{
	InqudLimiter *limiter = own_used ? inqud_limiter_find(own_limiters, lengthof(own_limiters), account) : NULL;

	return limiter != NULL && !inqud_limiter_idle(limiter, now) ? limiter : NULL;
}

/*
 * Lock the limiters and return the account's, with the time after taking the lock,
 * since its last holder may have used a later one than before.
 */
static InqudLimiter *
lock_limiter(const InqudProject *project, InqudClock *now)
{
	InqudLimiter *limiter;

	if (inqud_shared_ready())
		inqud_shared_lock();
	*now = inqud_clock_us();
	limiter = busy_here(&project->digest, *now);
	if (limiter == NULL && inqud_shared_ready())
		limiter = shared_limiter(project, *now);
	return limiter != NULL ? limiter : own_limiter(project, *now);
}

static void
unlock_limiter(void)
{
	if (!inqud_shared_ready())
		return;
	inqud_shared_unlock();
	if (!own_used || own_logged)
		return;
	own_logged = true;
	ereport(LOG,
			(errmsg("too many accounts of inqud are limited at the same time"),
			 errdetail("%d accounts in all, or %d of one role, have a limit that holds for all processes; of others this process limits its own calls only.",
					   INQUD_MAX_LIMITERS, SHARE_OF_ROLE)));
}

int64
inqud_limiter_take(const InqudProject *project, double rate, InqudAsker asker)
{
	InqudClock	now;
	InqudLimiter *limiter = lock_limiter(project, &now);
	int64		wait = inqud_limiter_ask(limiter, now, rate, asker, true);

	unlock_limiter();
	return wait;
}

void
inqud_limiter_give_up(const InqudProject *project)
{
	InqudClock	now;

	lock_limiter(project, &now)->waits_until[INQUD_BY_SESSION] = 0;
	unlock_limiter();
}

int64
inqud_limiter_peek(const InqudDigest *account, double rate)
{
	InqudClock	now;
	InqudLimiter *limiter;
	int64		wait = 0;

	if (inqud_shared_ready())
		inqud_shared_lock();
	now = inqud_clock_us();
	limiter = busy_here(account, now);
	if (limiter == NULL && inqud_shared_ready())
		limiter = inqud_limiter_find(inqud_shared_limiters(), INQUD_MAX_LIMITERS, account);
	if (limiter != NULL)
		wait = inqud_limiter_ask(limiter, now, rate, INQUD_BY_WORKER, false);
	if (inqud_shared_ready())
		inqud_shared_unlock();
	return wait;
}

void
inqud_limiter_pause(const InqudProject *project, int64 ms)
{
	InqudClock	now;
	InqudLimiter *limiter = lock_limiter(project, &now);

	inqud_limiter_hold(limiter, now + ms * 1000);
	unlock_limiter();
}

/* For people, who go by another clock, which is that much ahead; 0 for what is past. */
static TimestampTz
to_show(InqudClock when, InqudClock now, int64 ahead)
{
	return when > now ? when + ahead : 0;
}

void
inqud_limiter_look(const InqudDigest *account, TimestampTz *next, TimestampTz *paused_until)
{
	InqudLimiter *limiters = inqud_shared_limiters();
	const InqudLimiter *limiter;
	/* looked at once, so that equal times are shown as equal */
	InqudClock	now = inqud_clock_us();
	int64		ahead = GetCurrentTimestamp() - now;

	*next = *paused_until = 0;
	if (limiters == NULL)
		return;
	inqud_shared_lock();
	limiter = inqud_limiter_find(limiters, INQUD_MAX_LIMITERS, account);
	if (limiter != NULL)
	{
		*next = to_show(Max(limiter->tat, limiter->paused_until), now, ahead);
		*paused_until = to_show(limiter->paused_until, now, ahead);
	}
	inqud_shared_unlock();
}
