/*
 * reference.c CONNINFO URL WINDOW [reply]
 *		The reference worker: what a good C program makes of the same job.
 *
 * One connection to the database, used without waiting for it: while it claims
 * or writes, transfers go on.  It claims by UPDATE, up to AHEAD rows before they
 * are needed, and writes answers back up to BATCH at once with one UPDATE FROM
 * unnest() and one commit.  Of the answer it takes id, address and status from
 * the text, without a JSON parser; with "reply" it stores the whole of it, too.
 *
 * Prints "seconds cpu-seconds backend-pid rows", from its first claim to the
 * commit of the last row.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "pool.h"

#define AHEAD 1000
#define CLAIM 500
#define BATCH 500
#define LATEST 0.050				/* seconds until a short batch is written */

typedef struct Row
{
	int64_t		id;
	char		order_id[64];
	char		name[128];
	char		return_url[256];
	char		amount[32];
	char		currency[8];
} Row;

static PGconn *conn;
static bool keep_reply;
static bool busy;					/* a statement is under way */
static bool claiming;				/* and it is a claim */
static bool exhausted;				/* the last claim came back short */
static Row	rows[AHEAD];
static int	first_row;
static int	n_rows;
static int	n_sent;					/* outcomes in the statement under way */
static long written;

/* Outcomes, as the text of the arrays that the write-back takes. */
static struct
{
	char	   *text;
	size_t		len;
	size_t		size;
}			arrays[5];
static int	n_done;
static double oldest;

static const char claim_sql[] =
	"UPDATE bench.job j SET lease = 1, attempts = attempts + 1 FROM ("
	" SELECT id FROM bench.job WHERE state = 'queued' AND lease IS NULL AND due_at <= now()"
	" ORDER BY due_at, id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED) d"
	" WHERE j.id = d.id RETURNING j.id, order_id, name, return_url, amount::text, currency";
static const char write_sql[] =
	"UPDATE bench.job j SET state = 'open', checkout_id = u.cco, acquiring_url = u.url,"
	" status = u.status, reply = u.reply::jsonb, lease = NULL, updated_at = clock_timestamp()"
	" FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[])"
	" AS u (id, cco, url, status, reply) WHERE j.id = u.id";

/* ---------------------------------------------------------------------
 * Answers
 * ---------------------------------------------------------------------
 */

static void
append(int i, const char *data, size_t len)
{
	if (arrays[i].len + len + 1 > arrays[i].size)
	{
		arrays[i].size = (arrays[i].len + len + 1) * 2;
		arrays[i].text = realloc(arrays[i].text, arrays[i].size);
	}
	memcpy(arrays[i].text + arrays[i].len, data, len);
	arrays[i].len += len;
	arrays[i].text[arrays[i].len] = '\0';
}

/* An element in quotes; backslashes and quotes are escaped. */
static void
append_quoted(int i, const char *data, size_t len)
{
	const char *end = data + len;

	append(i, "\"", 1);
	while (data < end)
	{
		size_t		plain = strcspn(data, "\"\\");

		if (data + plain > end)
			plain = end - data;
		append(i, data, plain);
		data += plain;
		if (data < end)
		{
			append(i, "\\", 1);
			append(i, data++, 1);
		}
	}
	append(i, "\"", 1);
}

static void
append_member(int i, const char *reply, const char *key)
{
	const char *at = strstr(reply, key);

	if (at == NULL)
		die("a reply without %s", key);
	at += strlen(key);
	append_quoted(i, at, strcspn(at, "\""));
}

static void
on_done(Slot *slot, long status)
{
	char		id[24];
	int			i;

	(void) status;
	for (i = 0; i < 5; i++)
		append(i, n_done == 0 ? "{" : ",", 1);
	append(0, id, snprintf(id, sizeof(id), "%lld", (long long) slot->tag));
	append_member(1, slot->reply, "\"id\":\"");
	append_member(2, slot->reply, "\"acquiringUrl\":\"");
	append_member(3, slot->reply, "\"status\":\"");
	if (keep_reply)
		append_quoted(4, slot->reply, slot->reply_len);
	else
		append(4, "NULL", 4);
	if (n_done++ == 0)
		oldest = now_s();
}

/* ---------------------------------------------------------------------
 * The database
 * ---------------------------------------------------------------------
 */

static void
send_prepared(const char *name, int n, const char *const *values)
{
	if (!PQsendQueryPrepared(conn, name, n, values, NULL, NULL, 0))
		die("%s", PQerrorMessage(conn));
	busy = true;
	pool_watch(PQsocket(conn), PQflush(conn) != 0);
}

static void
send_claim(void)
{
	char		limit[12];
	const char *values[1] = {limit};

	snprintf(limit, sizeof(limit), "%d", CLAIM);
	claiming = true;
	send_prepared("claim", 1, values);
}

static void
send_answers(void)
{
	const char *values[5];
	int			i;

	for (i = 0; i < 5; i++)
	{
		append(i, "}", 1);
		values[i] = arrays[i].text;
		arrays[i].len = 0;
	}
	claiming = false;
	n_sent = n_done;
	n_done = 0;
	send_prepared("write", 5, values);
}

static void
take_rows(PGresult *result)
{
	int			n = PQntuples(result);
	int			i;

	exhausted = n < CLAIM;
	for (i = 0; i < n; i++)
	{
		Row		   *row = &rows[(first_row + n_rows++) % AHEAD];

		row->id = strtoll(PQgetvalue(result, i, 0), NULL, 10);
		snprintf(row->order_id, sizeof(row->order_id), "%s", PQgetvalue(result, i, 1));
		snprintf(row->name, sizeof(row->name), "%s", PQgetvalue(result, i, 2));
		snprintf(row->return_url, sizeof(row->return_url), "%s", PQgetvalue(result, i, 3));
		snprintf(row->amount, sizeof(row->amount), "%s", PQgetvalue(result, i, 4));
		snprintf(row->currency, sizeof(row->currency), "%s", PQgetvalue(result, i, 5));
	}
}

/* Something came from the database: take the result when it is whole. */
static void
hear_database(void)
{
	PGresult   *result;

	pool_watch(PQsocket(conn), PQflush(conn) != 0);
	if (!PQconsumeInput(conn))
		die("%s", PQerrorMessage(conn));
	while (busy && !PQisBusy(conn))
	{
		result = PQgetResult(conn);
		if (result == NULL)
		{
			busy = false;
			return;
		}
		if (PQresultStatus(result) == PGRES_TUPLES_OK && claiming)
			take_rows(result);
		else if (PQresultStatus(result) == PGRES_COMMAND_OK && !claiming)
			written += n_sent;
		else
			die("%s", PQresultErrorMessage(result));
		PQclear(result);
	}
}

/* What the connection should do next; claims first, so that the window never runs dry. */
static void
feed_database(void)
{
	bool		nothing_else = n_rows == 0 && pool_running() == 0 && exhausted;

	if (busy)
		return;
	if (!exhausted && n_rows <= AHEAD - CLAIM)
		send_claim();
	else if (n_done >= BATCH || (n_done > 0 && (nothing_else || now_s() - oldest > LATEST)))
		send_answers();
}

/* ---------------------------------------------------------------------
 * The loop
 * ---------------------------------------------------------------------
 */

static void
start_rows(void)
{
	Slot	   *slot;

	while (n_rows > 0 && (slot = pool_take()) != NULL)
	{
		Row		   *row = &rows[first_row];

		slot->tag = row->id;
		snprintf(slot->request, sizeof(slot->request),
				 "{\"clientOrderId\":\"%s\",\"expiresAt\":\"2030-01-01T12:00:00Z\",\"fixedAmount\":{\"amount\":%s,\"currency\":\"%s\"},"
				 "\"name\":\"%s\",\"returnUrl\":\"%s\",\"type\":\"FIXED_PRICE\"}",
				 row->order_id, row->amount, row->currency, row->name, row->return_url);
		pool_start(slot);
		first_row = (first_row + 1) % AHEAD;
		n_rows--;
	}
}

static void
prepare(const char *name, const char *sql)
{
	PGresult   *result = PQprepare(conn, name, sql, 0, NULL);

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		die("%s", PQerrorMessage(conn));
	PQclear(result);
}

int
main(int argc, char **argv)
{
	double		began;
	double		cpu;

	if (argc < 4)
		die("usage: reference CONNINFO URL WINDOW [reply]");
	keep_reply = argc > 4;
	conn = open_database(argv[1]);
	must(conn, "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off");
	prepare("claim", claim_sql);
	prepare("write", write_sql);
	PQsetnonblocking(conn, 1);
	pool_open(argv[2], (int) number(argv[3]), true, on_done);
	pool_watch(PQsocket(conn), false);
	began = now_s();
	cpu = own_cpu_s();
	while (!exhausted || busy || n_rows > 0 || n_done > 0 || pool_running() > 0)
	{
		feed_database();
		start_rows();
		if (pool_turn(10))
			hear_database();
	}
	printf("%.6f %.6f %d %ld\n", now_s() - began, own_cpu_s() - cpu, PQbackendPID(conn), written);
	fflush(stdout);
	/* whoever started us reads the backend's CPU before it ends */
	(void) getchar();
	return 0;
}
