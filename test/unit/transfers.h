/*-------------------------------------------------------------------------
 *
 * transfers.h
 *		Running transfers as a host does, for the tests that need a server.
 *
 * Each test program includes it once, calls begin() first and ends with
 * "return end();".
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_TEST_TRANSFERS_H
#define INQUD_TEST_TRANSFERS_H

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "client_internal.h"
#include "crypto.h"
#include "server.h"
#include "tap.h"

/* A test that takes longer has failed. */
#define PATIENCE_MS 40000

/* What is expected to succeed may take long on a busy machine. */
#define CONNECT_MS 30000

/* What ends at once does so within this, also under valgrind. */
#define SOON_MS 3000

static char base_url[64];
static InqudAccount account;
static InqudEngine *engine;
static Server *server;

static int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The word is the project of a create, the checkout of a read. */
static InqudRequest *
make(bool post, const char *word)
{
	static const InqudOrder order = {.order_id = "order-1",.name = "Order 1",.type = "NO_PRICE"};
	InqudAccount a = account;
	InqudWhy	why = INQUD_WHY_NONE;
	InqudRequest *request;

	if (post)
	{
		a.project_id = word;
		request = inqud_request_create_checkout(&a, &test_crypto, &order, &why);
	}
	else
		request = inqud_request_read_checkout(&a, &test_crypto, word, &why);
	if (request == NULL)
		printf("Bail out! %s\n", inqud_why_words(why));
	return request;
}

/* Wait as a host does: for the descriptor, no longer than the deadline. */
static void
wait_engine(void)
{
	struct pollfd fd = {.fd = inqud_engine_fd(engine),.events = POLLIN};
	long		timeout = inqud_engine_timeout(engine);

	poll(&fd, 1, timeout < 0 || timeout > PATIENCE_MS ? PATIENCE_MS : (int) timeout);
}

/* Go on until a transfer is done. */
static InqudTransfer *
next_done(void)
{
	int64_t		until = now_ms() + PATIENCE_MS;
	InqudTransfer *transfer;

	while ((transfer = inqud_engine_done(engine)) == NULL && now_ms() < until)
	{
		wait_engine();
		inqud_engine_step(engine);
	}
	return transfer;
}

/* One transfer from start to end; the request is freed, the transfer is not. */
static InqudTransfer *
run(bool post, const char *word)
{
	InqudRequest *request = make(post, word);
	InqudTransfer *transfer = inqud_transfer_start(engine, &account, request, NULL);
	InqudTransfer *done = next_done();

	if (transfer == NULL || done != transfer)
	{
		printf("Bail out! %s did not end\n", word);
		exit(2);
	}
	inqud_request_free(request);
	return done;
}

__attribute__((unused))
static void
ends(bool post, const char *word, InqudProgress progress, int status)
{
	InqudTransfer *transfer = run(post, word);
	const InqudResponse *r = inqud_transfer_response(transfer);

	ok(r->progress == progress && r->http_status == status,
	   "%s %s ends with progress %d, status %d (%d, %d %s)", post ? "POST" : "GET", word,
	   progress, status, r->progress, r->http_status, r->error);
	ok((r->error[0] == '\0') == (progress == INQUD_DONE), "... and words if it failed");
	inqud_transfer_free(transfer);
}

/* Ends by its timeout, "sent" says whether something may have happened. */
__attribute__((unused))
static void
times_out(const char *word, bool sent)
{
	int64_t		start = now_ms();
	InqudTransfer *transfer;
	const InqudResponse *r;

	account.timeout_ms = 1000;
	transfer = run(true, word);
	r = inqud_transfer_response(transfer);
	ok(r->progress == (sent ? INQUD_NO_ANSWER : INQUD_NOT_SENT), "%s: progress %d (%s)", word,
	   r->progress, r->error);
	ok(r->timed_out && !r->name_failed, "... timed out");
	ok(now_ms() - start >= 100 && now_ms() - start < CONNECT_MS, "... after its time");
	inqud_transfer_free(transfer);
	account.timeout_ms = CONNECT_MS;
}

/* Free in the middle: at once, and the engine goes on. */
static void
aborts(const char *word, bool wait_for_request, const char *name)
{
	InqudRequest *request = make(true, word);
	int			before = server_requests(server);
	InqudTransfer *transfer = inqud_transfer_start(engine, &account, request, NULL);
	int64_t		until = now_ms() + PATIENCE_MS;
	int64_t		start;

	if (!wait_for_request)
		inqud_engine_step(engine);
	while (wait_for_request && server_requests(server) == before && now_ms() < until)
	{
		struct pollfd fd = {.fd = inqud_engine_fd(engine),.events = POLLIN};

		poll(&fd, 1, 1);
		inqud_engine_step(engine);
	}
	start = now_ms();
	inqud_transfer_free(transfer);
	ok(now_ms() - start < SOON_MS, "%s: freed at once", name);
	inqud_request_free(request);
	ok(inqud_engine_done(engine) == NULL, "... and nothing is left");
}

/* A server and an engine, for a whole program. */
__attribute__((unused))
static void
begin(void)
{
	signal(SIGPIPE, SIG_IGN);
	server = server_start(NULL, 0);
	snprintf(base_url, sizeof(base_url), "http://127.0.0.1:%d", server_port(server));
	account.base_url = base_url;
	account.project_id = "CAP-1";
	account.checkout_path = "/v1/user/crypto-acquiring/{project}/checkouts/{checkout}";
	account.token_id = "TKN-1";
	account.token_secret = "test-token-secret";
	account.connect_timeout_ms = CONNECT_MS;
	account.timeout_ms = CONNECT_MS;
	account.max_reply_size = 100000;
	engine = inqud_engine_new(50, "inqud-test/1");
}

static int
end(void)
{
	inqud_engine_free(engine);
	server_stop(server);
	return tap_end();
}

#endif							/* INQUD_TEST_TRANSFERS_H */
