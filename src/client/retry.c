/*-------------------------------------------------------------------------
 *
 * retry.c
 *		When to try again: backoff, ticks, rate limit.
 *
 * Pure arithmetic.  The time and the random number are arguments, so that every
 * case can be tested; no function here may ask for either.
 *
 *-------------------------------------------------------------------------
 */
#include "client_internal.h"

#define USEC_PER_SECOND INT64_C(1000000)

/* The longest interval between two calls, for the lowest of rates: a day. */
#define MAX_INTERVAL (INT64_C(86400) * USEC_PER_SECOND)

int64_t
inqud_backoff_ms(int attempts, int64_t min_ms, int64_t max_ms, uint32_t random)
{
	int64_t		wait = min_ms > 0 ? min_ms : 0;
	int64_t		spread;
	int			i;

	for (i = 1; i < attempts && wait > 0 && wait < max_ms; i++)
		wait = wait > INT64_MAX / 2 ? INT64_MAX : wait * 2;
	if (wait > max_ms)
		wait = max_ms > 0 ? max_ms : 0;
	spread = wait / 2;
	/* 16 random bits scale the spread; in two steps, so that nothing overflows */
	random >>= 16;
	return wait - spread + spread / 65535 * random +
		spread % 65535 * random / 65535;
}

/* Spread neighbouring ids over the whole range (a 64-bit finalizer). */
static uint64_t
mix_bits(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

int64_t
inqud_next_tick(int64_t id, int64_t step, int64_t now)
{
	int64_t		phase;
	int64_t		into;
	int64_t		wait;

	if (step < 1)
		step = 1;
	phase = (int64_t) (mix_bits((uint64_t) id) % (uint64_t) step);
	/* how far "now" is behind the last tick, 0 to step - 1 */
	into = now % step;
	if (into < 0)
		into += step;
	into -= phase;
	if (into < 0)
		into += step;
	wait = step - into;
	return now > INT64_MAX - wait ? INT64_MAX : now + wait;
}

int64_t
inqud_rate_take(int64_t *tat, int64_t now, double rate)
{
	int64_t		interval;
	int64_t		credit;

	/* in this form NaN is no limit either */
	if (!(rate > 0))
		return 0;
	if (rate <= (double) USEC_PER_SECOND / (double) MAX_INTERVAL)
		interval = MAX_INTERVAL;
	else
		interval = (int64_t) ((double) USEC_PER_SECOND / rate);

	/*
	 * Low rates are kept to the letter.  At high ones a call that was late by
	 * a timer's coarseness gives the time back to the next, else the rate
	 * could not be reached.
	 */
	credit = interval < 50000 ? 5000 : 0;

	/* further ahead than one call can put it: the clock was set back, or the rate raised */
	if (*tat > now && *tat - now > interval)
		*tat = now + interval;
	if (*tat > now)
		return *tat - now;
	*tat = (*tat > now - credit ? *tat : now - credit) + interval;
	return 0;
}
