/*-------------------------------------------------------------------------
 *
 * limits.c
 *		A table of rate limits: who has a place in it, whose turn the next call is,
 *		pauses.
 *
 * Pure: the host has the table, the lock over it and the clock.  A place is found
 * by the first bytes of its key, and taken for the account only if the whole key
 * is the same.  Keys are digests with a secret of the host (see InqudDigest), so
 * nobody can look for two that begin alike.
 *
 * A place that is in use is never given away: neither a pause nor a rate could be
 * ended by filling the table.  One that is idle is as good as a new one.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "client_internal.h"

/* A wish for a call stands for five calls' time beyond the next one, within these bounds. */
#define WISH_CALLS	5
#define WISH_MIN	INT64_C(100000)
#define WISH_MAX	INT64_C(1000000)

static bool
same_key(const InqudDigest *a, const InqudDigest *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* Place number i of those where a key may stand, in the order in which they are looked at. */
static InqudLimiter *
candidate(InqudLimiter *table, int n, const InqudDigest *key, int i)
{
	uint32_t	start;

	memcpy(&start, key->bytes, sizeof(start));
	return &table[(start % (uint32_t) n + (uint32_t) i) % (uint32_t) n];
}

bool
inqud_limiter_idle(const InqudLimiter *limiter, InqudClock now)
{
	return limiter->tat <= now && limiter->paused_until <= now;
}

/* Places stay used, so a free one ends the search. */
InqudLimiter *
inqud_limiter_find(InqudLimiter *table, int n, const InqudDigest *key)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		InqudLimiter *limiter = candidate(table, n, key, i);

		if (!limiter->used)
			return NULL;
		if (same_key(&limiter->key, key))
			return limiter;
	}
	return NULL;
}

/* How many places a holder has in use. */
static int
count_held(const InqudLimiter *table, int n, uint32_t holder, InqudClock now)
{
	int			held = 0;
	int			i;

	for (i = 0; i < n; i++)
		held += table[i].used && table[i].holder == holder && !inqud_limiter_idle(&table[i], now);
	return held;
}

InqudLimiter *
inqud_limiter_place(InqudLimiter *table, int n, const InqudDigest *key, uint32_t holder, int share,
					InqudClock now)
{
	InqudLimiter *place = NULL;
	int			i;

	if (count_held(table, n, holder, now) >= share)
		return NULL;
	/* a free one, else the first that is idle */
	for (i = 0; i < n; i++)
	{
		InqudLimiter *limiter = candidate(table, n, key, i);

		if (!limiter->used)
		{
			place = limiter;
			break;
		}
		if (place == NULL && inqud_limiter_idle(limiter, now))
			place = limiter;
	}
	if (place == NULL)
		return NULL;
	memset(place, 0, sizeof(*place));
	place->used = true;
	place->key = *key;
	place->holder = holder;
	return place;
}

/* How long a wish stands after the call that it is for may go. */
static int64_t
wish_us(double rate)
{
	double		calls = WISH_CALLS * 1e6 / rate;

	return calls < WISH_MIN ? WISH_MIN : calls < WISH_MAX ? (int64_t) calls : WISH_MAX;
}

/*
 * The next call may go, and this kind of asker had the last one: how long it leaves
 * the call to the other kind, if that waits for one.
 */
static int64_t
leave_for(const InqudLimiter *limiter, InqudAsker asker, InqudClock now, int64_t interval)
{
	int64_t		wish = limiter->waits_until[!asker] - now;

	if (limiter->last != asker || wish <= 0)
		return 0;
	if (interval < 1000)
		interval = 1000;
	return wish < interval ? wish : interval;
}

/* The rate was raised: the next call goes earlier, and wishes were for a later one. */
static void
bring_forward(InqudLimiter *limiter, InqudClock tat, double rate)
{
	limiter->tat = tat;
	for (int i = INQUD_BY_SESSION; i <= INQUD_BY_WORKER; i++)
	{
		if (limiter->waits_until[i] > tat + wish_us(rate))
			limiter->waits_until[i] = tat + wish_us(rate);
	}
}

int64_t
inqud_limiter_ask(InqudLimiter *limiter, InqudClock now, double rate, InqudAsker asker, bool take)
{
	int64_t		tat = limiter->tat;
	int64_t		wait;

	if (limiter->paused_until > now)
		return limiter->paused_until - now;
	/* in this form NaN is no limit either */
	if (!(rate > 0))
		return 0;
	wait = inqud_rate_take(&tat, now, rate);
	if (wait == 0)
		wait = leave_for(limiter, asker, now, tat - now);
	if (tat < limiter->tat)
		bring_forward(limiter, tat, rate);
	if (take && wait == 0)
	{
		limiter->tat = tat;
		limiter->last = asker;
		limiter->waits_until[asker] = 0;
	}
	else
		limiter->waits_until[asker] = now + wait + wish_us(rate);
	return wait;
}

void
inqud_limiter_hold(InqudLimiter *limiter, InqudClock until)
{
	if (limiter->paused_until < until)
		limiter->paused_until = until;
}
