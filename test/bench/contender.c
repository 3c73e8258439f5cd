/*
 * contender.c CONNINFO URL WINDOW create|read [shop] [SQL]
 *		What a good C program makes of the same job, writing the same record.
 *
 * libcurl and the database go on side by side: the one connection is never
 * waited for.  Creates are claimed by UPDATE, reads by their place in the queue, up
 * to AHEAD rows before they are needed; up to BATCH answers are written at once, in
 * one statement, of which peer.sql has the tables.  With "shop" the status goes
 * into the shop's own table, too.  SQL, an INSERT of orders, is run first.
 *
 * Prints "ready", waits for a line, and prints "seconds cpu-seconds rows", from
 * the SQL or the first claim to the commit of the last row; ends with its input.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "bench.h"
#include "pool.h"

#define AHEAD 1000
#define CLAIM 500
#define BATCH 500
#define LATEST 0.050				/* seconds until a short batch is written */
#define MAX_ARRAYS 20

/* What is kept of an answer: members in the order of the statement's arrays. */
typedef struct Member
{
	const char *object;
	const char *key;
} Member;

typedef struct Mode
{
	const char *claim;				/* $1 how many; $2, of reads, after which checkout */
	const char *write;				/* its arrays are a (id, ..., reply) */
	const char *event;
	Member		members[MAX_ARRAYS];
} Mode;

static const Mode create_mode = {
	"UPDATE peer.queue q SET lease = 1, attempts = attempts + 1 FROM ("
	" SELECT checkout FROM peer.queue WHERE kind = 'create' AND lease IS NULL AND due_at <= now()"
	" ORDER BY due_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED) d JOIN peer.checkout c ON c.id = d.checkout"
	" WHERE q.checkout = d.checkout"
	" RETURNING c.id, c.project_id, order_id, amount::text, name, return_url, currency",

	"WITH a AS MATERIALIZED (SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[],"
	" $5::timestamptz[], $6::timestamptz[], $7::text[]) AS a (id, cco, status, url, opened, expires, reply)),"
	" q AS (UPDATE peer.queue q SET kind = 'read', due_at = clock_timestamp(), lease = NULL, attempts = 0"
	" FROM a WHERE q.checkout = a.id),"
	" c AS (UPDATE peer.checkout c SET state = 'open', status = a.status, checkout_id = cco, acquiring_url = url,"
	" opened_at = opened, expires_at = expires, reply = a.reply::jsonb, updated_at = clock_timestamp()"
	" FROM a WHERE c.id = a.id RETURNING c.id, project, order_id, state, c.status, checkout_id),",

	"'created', NULL, status, 200, checkout_id",
	{{NULL, "id"}, {NULL, "status"}, {NULL, "acquiringUrl"}, {NULL, "createdAt"}, {NULL, "expiresAt"}}
};

static const Mode read_mode = {
	"SELECT c.id, c.project_id, order_id, amount::text, checkout_id FROM ("
	" SELECT checkout FROM peer.queue WHERE kind = 'read' AND due_at <= now() AND checkout > $2"
	" ORDER BY checkout LIMIT $1) q JOIN peer.checkout c ON c.id = q.checkout",

	/* one more look some hours later, as corrections may come */
	"WITH a AS MATERIALIZED (SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[],"
	" $6::text[], $7::numeric[], $8::text[], $9::text[], $10::numeric[], $11::boolean[], $12::text[],"
	" $13::numeric[], $14::numeric[], $15::timestamptz[], $16::text[]) AS a (id, cco, status, reason, request,"
	" payment, pay, pay_currency, chain, paid, over, tx, fee, credited, changed, reply)),"
	" q AS (UPDATE peer.queue q SET kind = 'check', due_at = clock_timestamp() + interval '4 hours'"
	" FROM a WHERE q.checkout = a.id),"
	" c AS (UPDATE peer.checkout c SET state = 'closed', status = a.status, reason = a.reason, request_id = request,"
	" payment_id = payment, pay_amount = pay, pay_currency = a.pay_currency, pay_blockchain = chain,"
	" paid_amount = paid, overpaid = over, tx_hash = tx, merchant_fee = fee, processing_amount = credited,"
	" status_at = changed, closed_at = clock_timestamp(), reply = a.reply::jsonb, updated_at = clock_timestamp()"
	" FROM a WHERE c.id = a.id AND a.cco = c.checkout_id AND a.status = 'SUCCESS'"
	" RETURNING c.id, project, order_id, state, c.status, checkout_id),",

	"'status', 'NEW', status, 200, NULL",
	{{NULL, "id"}, {NULL, "status"}, {NULL, "reason"}, {"request", "id"}, {"request", "paymentId"},
	{"request", "payAmount"}, {"request", "currency"}, {"request", "blockchain"}, {"request", "paidAmount"},
	{"request", "overpaid"}, {"request", "txHash"}, {"request", "merchantPlatformFee"},
	{"request", "processingAmount"}, {NULL, "lastUpdatedAt"}}
};

static const char shop_sql[] =
	" s AS (UPDATE peer.orders o SET status = c.status, paid = paid OR c.status = 'SUCCESS'"
	" FROM c WHERE o.id = c.order_id::bigint),";
static const char tell_sql[] =
	" e AS (INSERT INTO peer.event (checkout, kind, status_from, status_to, http_status, detail)"
	" SELECT id, %s FROM c)"
	" SELECT count(pg_notify('peer', json_build_object('id', id, 'project', project, 'state', state,"
	" 'status', status)::text)) FROM c";

typedef struct Row
{
	int64_t		id;
	char		project_id[64];
	char		order_id[32];
	char		amount[32];
	char		name[64];				/* or the checkout's id, of a read */
	char		return_url[128];
	char		currency[8];
} Row;

static PGconn *conn;
static const Mode *mode;
static const char *url;
static bool busy;					/* a statement is under way */
static bool claiming;				/* and it is a claim */
static bool exhausted;				/* the last claim came back short */
static Row	rows[AHEAD];
static int	first_row;
static int	n_rows;
static int64_t last_claimed;
static int	n_arrays;
static TextArray arrays[MAX_ARRAYS];
static int	n_done;
static double oldest;
static long written;

/* ---------------------------------------------------------------------
 * Transfers
 * ---------------------------------------------------------------------
 */

static void
start_transfer(Slot *slot, const Row *row)
{
	*(Row *) slot->caller = *row;
	if (mode == &read_mode)
	{
		snprintf(slot->url, sizeof(slot->url), "%s/%s", url, row->name);
		pool_start(slot);
		return;
	}
	snprintf(slot->url, sizeof(slot->url), "%s", url);
	snprintf(slot->request, sizeof(slot->request),
			 "{\"clientOrderId\":\"%s\",\"expiresAt\":\"2030-01-01T12:00:00Z\",\"fixedAmount\":{\"amount\":%s,\"currency\":\"%s\"},"
			 "\"name\":\"%s\",\"returnUrl\":\"%s\",\"type\":\"FIXED_PRICE\"}",
			 row->order_id, row->amount, row->currency, row->name, row->return_url);
	pool_start(slot);
}

static void
on_done(Slot *slot)
{
	const Row  *row = (const Row *) slot->caller;
	json_object *answer = answer_open(slot->reply, row->project_id, row->order_id, row->amount);
	char		id[24];
	int			i;

	snprintf(id, sizeof(id), "%lld", (long long) row->id);
	array_add(&arrays[0], id);
	for (i = 1; i < n_arrays - 1; i++)
		array_add(&arrays[i], answer_text(answer, mode->members[i - 1].object, mode->members[i - 1].key));
	array_add(&arrays[n_arrays - 1], slot->reply);
	json_object_put(answer);
	if (n_done++ == 0)
		oldest = now_s();
}

static void
start_rows(void)
{
	Slot	   *slot;

	while (n_rows > 0 && (slot = pool_take()) != NULL)
	{
		start_transfer(slot, &rows[first_row]);
		first_row = (first_row + 1) % AHEAD;
		n_rows--;
	}
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
	char		after[24];
	const char *values[2] = {limit, after};

	snprintf(limit, sizeof(limit), "%d", CLAIM);
	snprintf(after, sizeof(after), "%lld", (long long) last_claimed);
	claiming = true;
	send_prepared("claim", mode == &read_mode ? 2 : 1, values);
}

static void
send_answers(void)
{
	const char *values[MAX_ARRAYS];
	int			i;

	for (i = 0; i < n_arrays; i++)
		values[i] = array_close(&arrays[i]);
	claiming = false;
	n_done = 0;
	send_prepared("write", n_arrays, values);
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
		last_claimed = row->id > last_claimed ? row->id : last_claimed;
		snprintf(row->project_id, sizeof(row->project_id), "%s", PQgetvalue(result, i, 1));
		snprintf(row->order_id, sizeof(row->order_id), "%s", PQgetvalue(result, i, 2));
		snprintf(row->amount, sizeof(row->amount), "%s", PQgetvalue(result, i, 3));
		snprintf(row->name, sizeof(row->name), "%s", PQgetvalue(result, i, 4));
		if (mode == &read_mode)
			continue;
		snprintf(row->return_url, sizeof(row->return_url), "%s", PQgetvalue(result, i, 5));
		snprintf(row->currency, sizeof(row->currency), "%s", PQgetvalue(result, i, 6));
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
		if (PQresultStatus(result) != PGRES_TUPLES_OK)
			die("%s", PQresultErrorMessage(result));
		if (claiming)
			take_rows(result);
		else
			written += number(PQgetvalue(result, 0, 0));
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

static void
prepare(const char *name, const char *sql)
{
	PGresult   *result = PQprepare(conn, name, sql, 0, NULL);

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		die("%s", PQerrorMessage(conn));
	PQclear(result);
}

/* ---------------------------------------------------------------------
 * The program
 * ---------------------------------------------------------------------
 */

static void
prepare_all(bool shop)
{
	char		sql[8192];
	int			len = snprintf(sql, sizeof(sql), "%s%s", mode->write, shop ? shop_sql : "");

	snprintf(sql + len, sizeof(sql) - len, tell_sql, mode->event);
	must(conn, "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;"
		 " SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off");
	prepare("claim", mode->claim);
	prepare("write", sql);
	for (n_arrays = 2; mode->members[n_arrays - 2].key != NULL; n_arrays++)
		 /* the id, the members, the whole reply */ ;
}

static void
work(const char *sql)
{
	if (sql != NULL)
		must(conn, sql);
	PQsetnonblocking(conn, 1);
	while (!exhausted || busy || n_rows > 0 || n_done > 0 || pool_running() > 0)
	{
		feed_database();
		start_rows();
		if (pool_turn(10))
			hear_database();
	}
}

int
main(int argc, char **argv)
{
	double		began;
	double		cpu;
	bool		shop = argc > 5 && strcmp(argv[5], "shop") == 0;

	if (argc < 5)
		die("usage: contender CONNINFO URL WINDOW create|read [shop] [SQL]");
	url = argv[2];
	mode = strcmp(argv[4], "read") == 0 ? &read_mode : &create_mode;
	conn = open_database(argv[1]);
	prepare_all(shop);
	pool_open((int) number(argv[3]), sizeof(Row), on_done);
	pool_watch(PQsocket(conn), false);
	puts("ready");
	fflush(stdout);
	(void) getchar();
	began = now_s();
	cpu = own_cpu_s();
	work(argc > 5 + shop ? argv[5 + shop] : NULL);
	printf("%.6f %.6f %ld\n", now_s() - began, own_cpu_s() - cpu, written);
	fflush(stdout);
	/* whoever started us reads the backend's CPU before it ends */
	while (getchar() != EOF)
		 /* wait */ ;
	return 0;
}
