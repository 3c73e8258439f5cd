/*
 * session.c CONNINFO N SQL
 *		Runs one prepared statement N times in one session, $1 being the number of
 *		the run.  Prints "seconds first-1000 last-1000 kB-after-1000 kB-at-the-end":
 *		times in seconds, memory as the backend's own.
 */
#include <stdio.h>

#include "bench.h"

#define CHUNK 1000

int
main(int argc, char **argv)
{
	PGconn	   *conn;
	PGresult   *result;
	double		began;
	double		first = 0;
	double		chunk;
	long		early = 0;
	long		n;
	long		i;

	if (argc != 4)
		die("usage: session CONNINFO N SQL");
	n = number(argv[2]);
	conn = open_database(argv[1]);
	result = PQprepare(conn, "run", argv[3], 0, NULL);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		die("%s", PQerrorMessage(conn));
	PQclear(result);
	began = chunk = now_s();
	for (i = 1; i <= n; i++)
	{
		char		key[24];
		const char *values[1] = {key};

		snprintf(key, sizeof(key), "%ld", i);
		result = PQexecPrepared(conn, "run", 1, values, NULL, NULL, 0);
		if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
			die("%s", PQerrorMessage(conn));
		PQclear(result);
		if (i == CHUNK)
		{
			first = now_s() - began;
			early = private_kb(PQbackendPID(conn));
		}
		if (i == n - CHUNK)
			chunk = now_s();
	}
	printf("%.6f %.6f %.6f %ld %ld\n", now_s() - began, first, now_s() - chunk, early,
		   private_kb(PQbackendPID(conn)));
	return 0;
}
