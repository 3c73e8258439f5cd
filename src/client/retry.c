/*-------------------------------------------------------------------------
 *
 * retry.c
 *		When to try again: backoff, ticks, rate limit, Retry-After.
 *
 * Pure arithmetic.  Clock and chance are arguments, so that every case can be
 * tested; no function here may ask for either.
 *
 *-------------------------------------------------------------------------
 */
#include "client_internal.h"

#ifdef POSTGRES_H
#error "src/client must not include postgres.h"
#endif

#define USEC_PER_SECOND INT64_C(1000000)
#define MS_PER_DAY INT64_C(86400000)

/* No interval between two calls is longer, however low the rate. */
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
mix(uint64_t x)
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
	phase = (int64_t) (mix((uint64_t) id) % (uint64_t) step);
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

	/* written so that a NaN is no limit either */
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

/* Digits as seconds; stops counting where a day is exceeded for certain. */
static int64_t
seconds_to_ms(const char *text, size_t len)
{
	int64_t		seconds = 0;
	size_t		i;

	for (i = 0; i < len; i++)
	{
		if (!inqud_is_digit(text[i]))
			return -1;
		if (seconds < MS_PER_DAY)
			seconds = seconds * 10 + (text[i] - '0');
	}
	return seconds < MS_PER_DAY / 1000 ? seconds * 1000 : MS_PER_DAY;
}

int64_t
inqud_retry_after_read(const char *text, size_t len, int64_t now_seconds)
{
	int64_t		then;

	while (len > 0 && (*text == ' ' || *text == '\t'))
	{
		text++;
		len--;
	}
	while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t' ||
					   text[len - 1] == '\r' || text[len - 1] == '\n'))
		len--;
	if (len == 0)
		return -1;
	if (inqud_is_digit(*text))
		return seconds_to_ms(text, len);
	if (!inqud_http_date_read(text, len, &then))
		return -1;
	if (then <= now_seconds)
		return 0;
	return then - now_seconds < MS_PER_DAY / 1000 ?
		(then - now_seconds) * 1000 : MS_PER_DAY;
}
