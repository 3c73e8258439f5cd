/*
 * latency.c CONNINFO PROJECT N RATE
 *		From the commit of an order to the notice of its URL, N times: one after
 *		the other has been answered (RATE 0), or RATE a second whatever happens.
 *
 * The notice is sent by the commit that makes the URL visible.  Time begins
 * when the order's commit has been answered.  Prints "median minimum maximum
 * p99" in milliseconds.
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
insert_order(const char *project, long key)
{
	char		sql[512];
	PGresult   *result;
	Order	   *order = &orders[n_orders];

	snprintf(sql, sizeof(sql),
			 "INSERT INTO bench.orders_%s (id, total, currency) VALUES (%ld, 10, 'USD');"
			 " SELECT currval('inqud.checkout_id_seq')", project, key);
	result = PQexec(writer, sql);
	order->committed = now_s();
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		die("%s", PQerrorMessage(writer));
	order->id = number(PQgetvalue(result, 0, 0));
	PQclear(result);
	n_orders++;
}

/* Takes the notices that are there, waiting for the first one up to so long. */
static void
hear(int timeout_ms)
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
		if (i >= 0 && orders[i].visible == 0)
		{
			if (strstr(notice->extra, "\"open\"") == NULL)
				die("not opened: %s", notice->extra);
			orders[i].visible = now;
			n_visible++;
		}
		PQfreemem(notice);
	}
}

int
main(int argc, char **argv)
{
	double	   *times;
	double		next;
	double		rate;
	int			n;
	int			i;

	if (argc != 5)
		die("usage: latency CONNINFO PROJECT N RATE");
	n = (int) number(argv[3]);
	rate = (double) number(argv[4]);
	writer = open_database(argv[1]);
	listener = open_database(argv[1]);
	must(listener, "LISTEN inqud");
	orders = calloc(n, sizeof(Order));
	times = calloc(n, sizeof(double));
	next = now_s();
	while (n_visible < n)
	{
		double		now = now_s();

		if (n_orders < n && (rate > 0 ? now >= next : n_visible == n_orders))
		{
			insert_order(argv[2], (long) (now * 1e6));
			next += rate > 0 ? 1 / rate : 0;
		}
		if (now - next > 60)
			die("no URL after a minute");
		if (rate == 0)
			next = now;
		hear(n_orders < n && rate > 0 ? (next > now ? (int) ((next - now) * 1e3) : 0) : 100);
	}
	for (i = 0; i < n; i++)
		times[i] = orders[i].visible - orders[i].committed;
	print_spread(times, n);
	return 0;
}
