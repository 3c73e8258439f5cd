/*-------------------------------------------------------------------------
 *
 * test_retry.c
 *		Backoff, ticks and the rate limit, by their properties.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdlib.h>

#include "client_internal.h"
#include "tap.h"

static uint32_t
random32(void)
{
	return (uint32_t) random() << 16 ^ (uint32_t) random();
}

static void
test_backoff(void)
{
	int			bad = 0;
	int			i;

	is_int(inqud_backoff_ms(1, 1000, 300000, 0), 500, "the least first wait");
	is_int(inqud_backoff_ms(1, 1000, 300000, UINT32_MAX), 1000, "the longest first wait");
	is_int(inqud_backoff_ms(2, 1000, 300000, UINT32_MAX), 2000, "it doubles");
	is_int(inqud_backoff_ms(9, 1000, 300000, UINT32_MAX), 256000, "and doubles");
	is_int(inqud_backoff_ms(10, 1000, 300000, UINT32_MAX), 300000, "up to the limit");
	is_int(inqud_backoff_ms(1000000, 1000, 300000, 0), 150000, "half the limit at least");
	is_int(inqud_backoff_ms(INT32_MAX, 1, INT64_MAX, UINT32_MAX), INT64_MAX,
		   "nothing overflows");
	is_int(inqud_backoff_ms(0, 1000, 300000, UINT32_MAX), 1000, "no attempt counts as one");
	is_int(inqud_backoff_ms(-5, 1000, 300000, UINT32_MAX), 1000, "nor do fewer");
	is_int(inqud_backoff_ms(5, 0, 1000, UINT32_MAX), 0, "no wait stays none");
	is_int(inqud_backoff_ms(5, 5000, 1000, UINT32_MAX), 1000, "a limit below the first wait");
	is_int(inqud_backoff_ms(5, 5000, -1, 7), 0, "a senseless limit");
	is_int(inqud_backoff_ms(1, 1, 1, 0), 1, "one millisecond is not halved");
	srandom(1);
	for (i = 0; i < 200000; i++)
	{
		int			attempts = (int) (random() % 70);
		int64_t		min = random() % 100000 + 1;
		int64_t		max = min + random() % 10000000;
		int64_t		full = attempts > 40 ? max : min << (attempts > 1 ? attempts - 1 : 0);
		int64_t		wait = inqud_backoff_ms(attempts, min, max, random32());

		if (full > max)
			full = max;
		if (wait > full || wait * 2 < full)
			bad++;
	}
	is_int(bad, 0, "always between a half and the whole");
}

static void
test_ticks(void)
{
	int64_t		halves[2] = {0, 0};
	int			bad = 0;
	int			i;

	srandom(2);
	for (i = 0; i < 200000; i++)
	{
		int64_t		id = (int64_t) random32() << 20;
		int64_t		step = random() % 600000000 + 1;
		int64_t		now = (int64_t) random32() * 500000;
		int64_t		tick = inqud_next_tick(id, step, now);

		if (tick <= now || tick > now + step)
			bad++;
		/* the same tick until it has come, then one step further */
		if (inqud_next_tick(id, step, tick - 1) != tick ||
			inqud_next_tick(id, step, tick) != tick + step)
			bad++;
	}
	is_int(bad, 0, "ticks come once a step and do not depend on when one asks");
	for (i = 0; i < 100000; i++)
		halves[(inqud_next_tick(i, 1000000, 0) - 1) / 500000]++;
	ok(halves[0] > 49000 && halves[1] > 49000, "neighbouring ids spread evenly");
	ok(inqud_next_tick(5, 0, 10) == 11, "a step of nothing is one of 1");
	ok(inqud_next_tick(5, -7, 10) == 11, "and so is a negative one");
	ok(inqud_next_tick(5, 1000, -500) > -500, "before 1970");
	ok(inqud_next_tick(5, INT64_MAX, INT64_MAX - 1) > 0, "far away");
	is_int(inqud_next_tick(5, 10, INT64_MAX), INT64_MAX, "at the end of time");
}

/* Call whenever allowed, waiting as told, for "span"; how many calls went. */
static int
drive(double rate, int64_t span, int64_t coarseness)
{
	int64_t		start = INT64_C(1700000000000000);
	int64_t		now = start;
	int64_t		tat = 0;
	int			calls = 0;

	while (now < start + span)
	{
		int64_t		wait = inqud_rate_take(&tat, now, rate);

		if (wait == 0)
			calls++;
		else if (wait < 0)
			return -1;
		/* a timer that is late */
		now += wait > 0 ? (wait + coarseness - 1) / coarseness * coarseness : 0;
	}
	return calls;
}

static void
test_rate(void)
{
	int64_t		tat = 0;
	int64_t		now = INT64_C(1700000000000000);
	int			calls;

	is_int(drive(5, 10000000, 1), 50, "5 a second for 10 seconds");
	is_int(drive(1, 10000000, 1000), 10, "1 a second for 10 seconds");
	is_int(drive(0.5, 10000000, 1000), 5, "one every 2 seconds");
	calls = drive(1000, 10000000, 1000);
	ok(calls >= 9900 && calls <= 10010, "1000 a second with a coarse timer: %d", calls);
	calls = drive(700, 10000000, 1000);
	ok(calls >= 6900 && calls <= 7010, "700 a second with a coarse timer: %d", calls);
	is_int(inqud_rate_take(&tat, now, 0), 0, "0 is no limit");
	is_int(inqud_rate_take(&tat, now, -1), 0, "nor is less");
	is_int(inqud_rate_take(&tat, now, (double) NAN), 0, "nor what is no number");
	is_int(tat, 0, "and nothing is noted");
	is_int(inqud_rate_take(&tat, now, 5), 0, "the first call goes");
	is_int(inqud_rate_take(&tat, now, 5), 200000, "the second waits");
	is_int(inqud_rate_take(&tat, now + 150000, 5), 50000, "less and less");
	is_int(inqud_rate_take(&tat, now + 200000, 5), 0, "and goes");
	is_int(inqud_rate_take(&tat, now + 100000000, 5), 0, "after a rest one goes");
	is_int(inqud_rate_take(&tat, now + 100000000, 5), 200000, "but not two");
	is_int(inqud_rate_take(&tat, now - 100000000, 5), 200000, "a clock set back costs one wait");
	ok(inqud_rate_take(&tat, now, 1e-300) >= 0, "a rate near nothing");
	ok(inqud_rate_take(&tat, now, (double) INFINITY) >= 0, "an endless one");
}

int
main(void)
{
	test_backoff();
	test_ticks();
	test_rate();
	return tap_end();
}
