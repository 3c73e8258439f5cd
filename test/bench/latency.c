/*
 * latency.c CONNINFO CHANNEL WORD FIRST N RATE SQL
 *		From the commit of SQL to the notice that what follows of it is there, N
 *		times: one after the other has been answered (RATE 0), or RATE a second
 *		whatever happens.
 *
 * In SQL, {} stands for a number, FIRST and so on.  It returns the checkout; the
 * notice is one on CHANNEL that has this checkout's id and WORD, and is sent by
 * the very commit that makes the news visible.  Time begins when SQL's commit
 * has been answered.  Prints "median minimum maximum p99" in milliseconds.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

typedef struct Order
{
	long		id;
	double		committed;
	double		visible;
} Order;

static PGconn *writer;
static PGconn *listener;
static Order *orders;
static int	n_orders;
static int	n_visible;

static void
run(const char *sql, long key)
{
	const char *at = strstr(sql, "{}");
	char		text[1024];
	PGresult   *result;
	Order	   *order = &orders[n_orders];

	if (at == NULL)
		die("no {} in %s", sql);
	snprintf(text, sizeof(text), "%.*s%ld%s", (int) (at - sql), sql, key, at + 2);
	result = PQexec(writer, text);
	order->committed = now_s();
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		die("%s", PQerrorMessage(writer));
	order->id = number(PQgetvalue(result, 0, 0));
	PQclear(result);
	n_orders++;
}

/* Takes the notices that are there, waiting for the first one up to so long. */
static void
hear(const char *word, int timeout_ms)
{
	struct pollfd socket = {.fd = PQsocket(listener), .events = POLLIN};
	PGnotify   *notice;
	double		now;

	if (poll(&socket, 1, timeout_ms) < 0 || !PQconsumeInput(listener))
		die("%s", PQerrorMessage(listener));
	now = now_s();
	while ((notice = PQnotifies(listener)) != NULL)
	{
		const char *at = strstr(notice->extra, "\"id\" : ");
		long		id = at ? strtol(at + 7, NULL, 10) : 0;
		int			i;

		for (i = n_orders - 1; i >= 0 && orders[i].id != id; i--)
			 /* look on */ ;
		if (i >= 0 && orders[i].visible == 0 && strstr(notice->extra, word) != NULL)
		{
			orders[i].visible = now;
			n_visible++;
		}
		PQfreemem(notice);
	}
}

/* Until n have been sent and heard of. */
static void
work(const char *word, long first, int n, double rate, const char *sql)
{
	double		next = now_s();
	double		heard = next;
	int			before = 0;

	while (n_visible < n)
	{
		double		now = now_s();

		if (n_orders < n && (rate > 0 ? now >= next : n_visible == n_orders))
		{
			run(sql, first + n_orders);
			next += rate > 0 ? 1 / rate : 0;
		}
		hear(word, n_orders < n && rate > 0 ? (next > now ? (int) ((next - now) * 1e3) : 0) : 100);
		if (n_visible > before)
			heard = now;
		before = n_visible;
		if (now - heard > 60)
			die("no news for a minute");
	}
}

int
main(int argc, char **argv)
{
	double	   *times;
	char		listen[64];
	int			n;
	int			i;

	if (argc != 8)
		die("usage: latency CONNINFO CHANNEL WORD FIRST N RATE SQL");
	n = (int) number(argv[5]);
	writer = open_database(argv[1]);
	listener = open_database(argv[1]);
	snprintf(listen, sizeof(listen), "LISTEN %s", argv[2]);
	must(listener, listen);
	orders = calloc(n, sizeof(Order));
	times = calloc(n, sizeof(double));
	work(argv[3], number(argv[4]), n, (double) number(argv[6]), argv[7]);
	for (i = 0; i < n; i++)
		times[i] = orders[i].visible - orders[i].committed;
	print_spread(times, n);
	return 0;
}
