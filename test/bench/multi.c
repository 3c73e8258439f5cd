/*
 * multi.c URL N WINDOW
 *		A bare libcurl multi loop with epoll: N times the same POST, WINDOW at a
 *		time, and nothing else.  Prints "seconds cpu-seconds".
 */
#include <stdio.h>

#include "bench.h"
#include "pool.h"

static long done;

static void
on_done(Slot *slot, long status)
{
	(void) slot;
	(void) status;
	done++;
}

int
main(int argc, char **argv)
{
	double		began;
	double		cpu;
	long		n;
	long		started = 0;

	if (argc != 4)
		die("usage: multi URL N WINDOW");
	n = number(argv[2]);
	pool_open(argv[1], (int) number(argv[3]), true, on_done);
	began = now_s();
	cpu = own_cpu_s();
	while (done < n)
	{
		Slot	   *slot;

		while (started < n && (slot = pool_take()) != NULL)
		{
			snprintf(slot->request, sizeof(slot->request),
					 "{\"clientOrderId\":\"%ld\",\"expiresAt\":\"2030-01-01T12:00:00Z\",\"fixedAmount\":{\"amount\":10.00,\"currency\":\"USD\"},"
					 "\"name\":\"Order %ld\",\"returnUrl\":\"https://shop.example/orders/%ld\",\"type\":\"FIXED_PRICE\"}",
					 started, started, started);
			pool_start(slot);
			started++;
		}
		(void) pool_turn(1000);
	}
	printf("%.6f %.6f\n", now_s() - began, own_cpu_s() - cpu);
	return 0;
}
