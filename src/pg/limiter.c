/*-------------------------------------------------------------------------
 *
 * limiter.c
 *		Calls per second to one base_url and project_id, by whichever process
 *		and from whichever database they come.
 *
 * A generic cell rate algorithm needs one number per project, so that a limit
 * is 32 bytes of shared memory.  Without preload each process counts for
 * itself.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "pg/shared.h"
#include "utils/timestamp.h"

/* What a process uses that has no shared memory. */
static InqudLimiter own_limiters[16];

/*
 * The limiter of a key, or the one that was used least lately.  The caller
 * holds the lock.
 */
static InqudLimiter *
find_limiter(InqudLimiter *limiters, int n, uint64 key)
{
	InqudLimiter *oldest = &limiters[0];
	int			start = (int) (key % n);
	int			i;

	for (i = 0; i < n; i++)
	{
		InqudLimiter *limiter = &limiters[(start + i) % n];

		if (limiter->key == key)
			return limiter;
		if (limiter->key == 0)
		{
			oldest = limiter;
			break;
		}
		if (limiter->used_at < oldest->used_at)
			oldest = limiter;
	}
	memset(oldest, 0, sizeof(InqudLimiter));
	oldest->key = key;
	return oldest;
}

static InqudLimiter *
lock_limiter(uint64 key)
{
	if (inqud_shared_ready())
	{
		inqud_shared_lock();
		return find_limiter(inqud_shared_limiters(), INQUD_MAX_LIMITERS, key);
	}
	return find_limiter(own_limiters, lengthof(own_limiters), key);
}

static void
unlock_limiter(void)
{
	if (inqud_shared_ready())
		inqud_shared_unlock();
}

static int64
ask(uint64 key, double rate, bool take)
{
	InqudLimiter *limiter = lock_limiter(key);
	/* not before the lock: whoever had it may have taken a later moment */
	int64		now = GetCurrentTimestamp();
	int64		wait;
	int64		tat = limiter->tat;

	limiter->used_at = now;
	if (limiter->paused_until > now)
		wait = limiter->paused_until - now;
	else
		wait = inqud_rate_take(&tat, now, rate);
	/* earlier than it was: the clock was set back, or the rate was raised */
	if ((take && wait == 0) || tat < limiter->tat)
		limiter->tat = tat;
	unlock_limiter();
	return wait;
}

int64
inqud_limiter_take(uint64 key, double rate)
{
	return ask(key, rate, true);
}

int64
inqud_limiter_peek(uint64 key, double rate)
{
	return ask(key, rate, false);
}

/* Looks only: what nobody has used takes no place for it. */
void
inqud_limiter_look(uint64 key, TimestampTz *next, TimestampTz *paused_until)
{
	InqudLimiter *limiters = inqud_shared_limiters();
	TimestampTz now = GetCurrentTimestamp();
	int			i;

	*next = *paused_until = 0;
	if (limiters == NULL || key == 0)
		return;
	inqud_shared_lock();
	for (i = 0; i < INQUD_MAX_LIMITERS; i++)
	{
		InqudLimiter *limiter = &limiters[(key + i) % INQUD_MAX_LIMITERS];

		if (limiter->key == key)
		{
			*next = Max(limiter->tat, limiter->paused_until);
			*paused_until = limiter->paused_until;
		}
		if (limiter->key == key || limiter->key == 0)
			break;
	}
	inqud_shared_unlock();
	if (*next <= now)
		*next = 0;
	if (*paused_until <= now)
		*paused_until = 0;
}

void
inqud_limiter_pause(uint64 key, int64 ms)
{
	int64		until = GetCurrentTimestamp() + ms * 1000;
	InqudLimiter *limiter = lock_limiter(key);

	limiter->used_at = GetCurrentTimestamp();
	if (limiter->paused_until < until)
		limiter->paused_until = until;
	unlock_limiter();
}
