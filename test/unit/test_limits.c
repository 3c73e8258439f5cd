/*-------------------------------------------------------------------------
 *
 * test_limits.c
 *		The table of rate limits: places, turns, pauses.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "client_internal.h"
#include "tap.h"

#define PLACES 8
#define SECOND INT64_C(1000000)
#define START (1000 * SECOND)

static InqudLimiter table[PLACES];

/* A key that begins with "head" and ends with "tail". */
static InqudDigest
key(uint8_t head, uint8_t tail)
{
	InqudDigest digest = {{0}};

	digest.bytes[0] = head;
	digest.bytes[31] = tail;
	return digest;
}

/* The place of a key, taken if it has none; for a holder that may have all places. */
static InqudLimiter *
limiter_of(InqudDigest digest, InqudClock now)
{
	InqudLimiter *limiter = inqud_limiter_find(table, PLACES, &digest);

	return limiter ? limiter : inqud_limiter_place(table, PLACES, &digest, 1, PLACES, now);
}

static void
test_places(void)
{
	InqudDigest wanted = key(3, 200);
	InqudLimiter *a;
	InqudLimiter *b;
	int			i;

	memset(table, 0, sizeof(table));
	a = limiter_of(key(3, 1), START);
	b = limiter_of(key(3, 2), START);
	ok(a != NULL && b != NULL && a != b, "keys that begin alike have places of their own");
	ok(inqud_limiter_find(table, PLACES, &a->key) == a, "and each finds its own");
	inqud_limiter_hold(a, START + 3600 * SECOND);
	is_int(inqud_limiter_ask(b, START, 5, INQUD_BY_WORKER, true), 0, "a pause of one is none of the other");
	is_int(inqud_limiter_ask(a, START, 5, INQUD_BY_WORKER, true), 3600 * SECOND, "it is of the first");

	for (i = 0; i < 100; i++)
		(void) inqud_limiter_ask(limiter_of(key(3, 10 + i), START + i * SECOND), START + i * SECOND, 5, INQUD_BY_SESSION, true);
	is_int(inqud_limiter_ask(limiter_of(key(3, 1), START + 100 * SECOND), START + 100 * SECOND, 5, INQUD_BY_WORKER, true),
		   3500 * SECOND, "a hundred others do not end a pause");

	for (i = 0; i < PLACES; i++)
		inqud_limiter_hold(&table[i], START + 3600 * SECOND);
	ok(inqud_limiter_place(table, PLACES, &wanted, 1, PLACES, START) == NULL, "no place when all are paused");
	ok(inqud_limiter_place(table, PLACES, &wanted, 1, PLACES, START + 3600 * SECOND) != NULL, "there is one when they have ended");

	memset(table, 0, sizeof(table));
	(void) inqud_limiter_ask(limiter_of(key(3, 1), START), START, 0.1, INQUD_BY_SESSION, true);
	for (i = 0; i < 100; i++)
		(void) limiter_of(key(3, 10 + i), START);
	is_int(inqud_limiter_ask(limiter_of(key(3, 1), START), START, 0.1, INQUD_BY_SESSION, true), 10 * SECOND,
		   "nor do they give a call back");
}

static void
test_share(void)
{
	InqudDigest digest;
	int			i;

	memset(table, 0, sizeof(table));
	for (i = 0; i < 3; i++)
	{
		digest = key((uint8_t) i, 1);
		inqud_limiter_hold(inqud_limiter_place(table, PLACES, &digest, 7, 3, START), START + SECOND);
	}
	digest = key(5, 1);
	ok(inqud_limiter_place(table, PLACES, &digest, 7, 3, START) == NULL, "a holder has no more places than its share");
	ok(inqud_limiter_place(table, PLACES, &digest, 8, 3, START) != NULL, "another one has");
	digest = key(6, 1);
	ok(inqud_limiter_place(table, PLACES, &digest, 7, 3, START + SECOND) != NULL, "places that are idle do not count");
}

/*
 * Sessions ask every millisecond, the worker every "late" milliseconds, for ten
 * seconds at five calls a second.  Returns how many calls the worker has had, and in
 * *both how many were made.
 */
static int
calls_of_worker(int sessions, int late, int *both)
{
	InqudLimiter limiter = {.tat = 0};
	int			worker = 0;
	int			ms;
	int			i;

	*both = 0;
	for (ms = 0; ms < 10000; ms++)
	{
		for (i = 0; i < sessions; i++)
			*both += inqud_limiter_ask(&limiter, START + ms * 1000, 5, INQUD_BY_SESSION, true) == 0;
		if (late != 0 && ms % late == 0 &&
			inqud_limiter_ask(&limiter, START + ms * 1000, 5, INQUD_BY_WORKER, true) == 0)
			worker++;
	}
	*both += worker;
	return worker;
}

static void
test_turns(void)
{
	int			both;
	int			worker = calls_of_worker(5, 50, &both);

	ok(worker >= 22 && worker <= 26, "beside five busy sessions the worker has every second call");
	ok(both >= 42 && both <= 51, "and the rate is used");
	worker = calls_of_worker(0, 1, &both);
	is_int(worker, 50, "without sessions it has all of them");
	(void) calls_of_worker(5, 0, &both);
	is_int(both, 50, "without a worker sessions have all of them");
	(void) calls_of_worker(5, 4000, &both);
	ok(both >= 35, "a worker that does not come again keeps them waiting for a second at most");
}

static void
test_peek(void)
{
	InqudLimiter limiter = {.tat = 0};

	is_int(inqud_limiter_ask(&limiter, START, 5, INQUD_BY_SESSION, true), 0, "a session takes a call");
	is_int(inqud_limiter_ask(&limiter, START, 5, INQUD_BY_WORKER, false), 200000, "a worker asks when the next one goes");
	ok(inqud_limiter_ask(&limiter, START + 200000, 5, INQUD_BY_SESSION, true) > 0, "which is then left to it");
	is_int(inqud_limiter_ask(&limiter, START + 200000, 5, INQUD_BY_WORKER, true), 0, "and it takes it");
	is_int(inqud_limiter_ask(&limiter, START + 200000, 0, INQUD_BY_WORKER, true), 0, "without a rate nobody waits");
	memset(&limiter, 0, sizeof(limiter));
	(void) inqud_limiter_ask(&limiter, START, 0.001, INQUD_BY_WORKER, true);
	(void) inqud_limiter_ask(&limiter, START, 0.001, INQUD_BY_SESSION, true);
	is_int(inqud_limiter_ask(&limiter, START, 5, INQUD_BY_WORKER, true), 200000, "a rate that is raised holds at once");
	is_int(inqud_limiter_ask(&limiter, START + 1300000, 5, INQUD_BY_WORKER, true), 0, "and so for those who wished for a later call");
	memset(&limiter, 0, sizeof(limiter));
	inqud_limiter_hold(&limiter, START + 2 * SECOND);
	inqud_limiter_hold(&limiter, START + SECOND);
	is_int(inqud_limiter_ask(&limiter, START + 400000, 0, INQUD_BY_SESSION, true), 1600000, "but for a pause, of which the longest holds");
}

int
main(void)
{
	test_places();
	test_share();
	test_turns();
	test_peek();
	return tap_end();
}
