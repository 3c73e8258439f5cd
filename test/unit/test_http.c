/*-------------------------------------------------------------------------
 *
 * test_http.c
 *		Transfers over a connection, against a server that misbehaves.
 *
 *-------------------------------------------------------------------------
 */
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "transfers.h"

static void
test_normal(void)
{
	char		last[4096];
	char		length[40];
	int			connections;
	InqudTransfer *transfer = run(true, "do-ok");
	const InqudResponse *r = inqud_transfer_response(transfer);
	InqudReply *reply;

	is_int(r->progress, INQUD_DONE, "a create is answered");
	is_int(r->http_status, 200, "with 200");
	ok(r->connected && strcmp(r->address, "127.0.0.1") == 0, "and the address is known");
	is_int(r->retry_after_ms, -1, "without a Retry-After");
	ok(r->total_us > 0, "its time is measured");
	ok(r->bytes_sent > 100 && r->bytes_received > 50, "bytes are counted");
	is_int((long long) strlen(r->body), (long long) r->body_len, "the body ends with a NUL");
	reply = inqud_reply_read(r, true, NULL, NULL, NULL);
	is_int(inqud_reply_outcome(reply), INQUD_OK, "the reply is good");
	inqud_transfer_free(transfer);
	is(inqud_reply_checkout(reply)->id, "CCO-1", "and outlives its transfer");
	inqud_reply_free(reply);

	server_last(server, last, sizeof(last));
	ok(strncmp(last, "POST /v1/user/crypto-acquiring/do-ok/checkouts HTTP/1.1\r\n", 57) == 0,
	   "the request line");
	ok(strstr(last, "\r\n\r\n{\"clientOrderId\":\"order-1\",\"name\":\"Order 1\",\"type\":\"NO_PRICE\"}") != NULL,
	   "the body");
	ok(strstr(last, "\r\nContent-Type: application/json\r\n") != NULL, "its type");
	snprintf(length, sizeof(length), "\r\nContent-Length: %zu\r\n",
			 strlen(strstr(last, "\r\n\r\n") + 4));
	ok(strstr(last, length) != NULL, "its length");
	ok(strstr(last, "\r\nX-Token-API-Secret: test-token-secret\r\n") != NULL, "the token");
	ok(strstr(last, "\r\nUser-Agent: inqud-test/1\r\n") != NULL, "the agent");
	ok(strcasestr(last, "\r\nExpect") == NULL, "no Expect");
	ok(strcasestr(last, "\r\nAccept-Encoding") == NULL, "no compression asked for");

	connections = server_connections(server);
	transfer = run(false, "do-ok");
	r = inqud_transfer_response(transfer);
	ok(r->connected, "a kept connection counts as one");
	inqud_transfer_free(transfer);
	ends(true, "do-ok", INQUD_DONE, 200);
	ends(false, "do-chunked", INQUD_DONE, 200);
	ends(false, "do-error", INQUD_DONE, 422);
	is_int(server_connections(server), connections, "all on the same connection");
	server_last(server, last, sizeof(last));
	ok(strncmp(last, "GET /v1/user/crypto-acquiring/CAP-1/checkouts/do-error HTTP/1.1\r\n", 65) == 0,
	   "a read's request line");
	ok(strcasestr(last, "\r\nContent-") == NULL, "and no body");
}

/*
 * Connections to begin anew with: libcurl 8.22 keeps the one on which a head was
 * cut off, and what is sent on it next gets no answer.  That is safe, see
 * test_closed_kept, and not what the next test is about.
 */
static void
renew_engine(void)
{
	inqud_engine_free(engine);
	engine = inqud_engine_new(50, "inqud-test/1");
}

static void
test_misbehaviour(void)
{
	int			i;

	for (i = 0; i < 2; i++)
	{
		bool		post = i == 0;

		ends(post, "do-reset", INQUD_NO_ANSWER, 0);
		ends(post, "do-empty", INQUD_NO_ANSWER, 0);
		ends(post, "do-truncated", INQUD_NO_ANSWER, 200);
		ends(post, "do-halfhead", INQUD_NO_ANSWER, 200);
		renew_engine();
		ends(post, "do-oversized", INQUD_TOO_LARGE, 200);
		ends(post, "do-endless", INQUD_TOO_LARGE, 200);
		ends(post, "do-bighead", INQUD_TOO_LARGE, 200);
		ends(post, "do-interim", INQUD_TOO_LARGE, 100);
		ends(post, "do-trailers", INQUD_TOO_LARGE, 200);
		ends(post, "do-extensions", INQUD_TOO_LARGE, 200);
		ends(post, "do-garbage", INQUD_NO_ANSWER, 0);
		ends(post, "do-gzip", INQUD_DONE, 200);
		ends(post, "do-ok", INQUD_DONE, 200);
	}
}

static void
test_time(void)
{
	InqudRequest *request;
	InqudTransfer *transfer;

	times_out("do-hang", true);
	times_out("do-hangbody", true);
	times_out("do-drip", true);
	aborts("do-hang", false, "just started");
	aborts("do-hang", true, "waiting for an answer");
	aborts("do-hangbody", true, "in the body");
	request = make(true, "do-ok");
	transfer = inqud_transfer_start(engine, &account, request, NULL);
	inqud_transfer_free(transfer);
	ok(true, "freed before the first step");
	inqud_request_free(request);
	ends(false, "do-ok", INQUD_DONE, 200);
}

static void
test_closed_kept(void)
{
	InqudRequest *words[4];
	InqudTransfer *transfers[4];
	int			requests;
	int			i;

	/* a connection of its own for the pair */
	renew_engine();
	requests = server_requests(server);
	ends(true, "do-closekept", INQUD_DONE, 200);
	ends(true, "do-closekept", INQUD_NO_ANSWER, 0);
	is_int(server_requests(server) - requests, 2, "a POST is not repeated by itself");
	ends(true, "do-closekept", INQUD_DONE, 200);
	ends(false, "do-closekept", INQUD_DONE, 200);
	is_int(server_requests(server) - requests, 5, "a GET is, and that is fine");
	for (i = 0; i < 4; i++)
	{
		words[i] = make(true, "do-closekept");
		transfers[i] = inqud_transfer_start(engine, &account, words[i], NULL);
	}
	for (i = 0; i < 4; i++)
		(void) next_done();
	for (i = 0; i < 4; i++)
	{
		inqud_transfer_free(transfers[i]);
		inqud_request_free(words[i]);
	}
	requests = server_requests(server);
	ends(true, "do-closekept", INQUD_NO_ANSWER, 0);
	is_int(server_requests(server) - requests, 1, "nor on another kept connection");
}

static void
test_redirect(void)
{
	int			requests = server_requests(server);

	ends(true, "do-redirect", INQUD_DONE, 302);
	ends(false, "do-redirect", INQUD_DONE, 302);
	is_int(server_requests(server) - requests, 2, "no redirect is followed");
}

static void
retry_is(const char *word, long long least, long long most)
{
	InqudTransfer *transfer = run(false, word);
	const InqudResponse *r = inqud_transfer_response(transfer);

	ok(r->http_status == 429 && r->retry_after_ms >= least && r->retry_after_ms <= most,
	   "%s: %lld ms", word, (long long) r->retry_after_ms);
	inqud_transfer_free(transfer);
}

/* The Date of a reply is kept, if it is one. */
static void
test_date(void)
{
	static const struct
	{
		const char *word;
		int64_t		date;
	}			cases[] =
	{
		{"do-retry-dated", 784111777},
		{"do-retry-undated", 0},
		{"do-retry-none", 0}
	};
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		InqudTransfer *transfer = run(false, cases[i].word);

		is_int(inqud_transfer_response(transfer)->date, cases[i].date, cases[i].word);
		inqud_transfer_free(transfer);
	}
}

static void
test_retry_after(void)
{
	retry_is("do-retry-seconds", 7000, 7000);
	retry_is("do-retry-zero", 0, 0);
	retry_is("do-retry-negative", -1, -1);
	retry_is("do-retry-absurd", 86400000, 86400000);
	retry_is("do-retry-past", 0, 0);
	retry_is("do-retry-far", 86400000, 86400000);
	retry_is("do-retry-spaces", 120000, 120000);
	retry_is("do-until-fixdate", 3600000 - PATIENCE_MS, 3600000);
	retry_is("do-until-rfc850", 3600000 - PATIENCE_MS, 3600000);
	retry_is("do-until-asctime", 3600000 - PATIENCE_MS, 3600000);
	retry_is("do-retry-words", -1, -1);
	retry_is("do-retry-unit", -1, -1);
	retry_is("do-retry-fraction", -1, -1);
	retry_is("do-retry-plus", -1, -1);
	retry_is("do-retry-empty", -1, -1);
	retry_is("do-retry-impossible", -1, -1);
	retry_is("do-retry-none", -1, -1);
}

/* 200 through a window of 50, each ending exactly once. */
static void
test_many(void)
{
	int			before = server_connections(server);
	InqudRequest *requests[200];
	int			ended[200] = {0};
	int			indexes[200];
	int			started = 0;
	int			done = 0;
	int			bad = 0;
	int			i;

	for (i = 0; i < 200; i++)
	{
		requests[i] = make(i % 2 == 0, "do-ok");
		indexes[i] = i;
	}
	while (done < 200)
	{
		InqudTransfer *transfer;

		while (started < 200 && started - done < 50)
		{
			if (inqud_transfer_start(engine, &account, requests[started], &indexes[started]) == NULL)
				bad++;
			started++;
		}
		transfer = next_done();
		if (transfer == NULL)
			break;
		ended[*(int *) inqud_transfer_owner(transfer)]++;
		if (inqud_transfer_response(transfer)->progress != INQUD_DONE)
			bad++;
		inqud_transfer_free(transfer);
		done++;
	}
	for (i = 0; i < 200; i++)
	{
		if (ended[i] != 1)
			bad++;
		inqud_request_free(requests[i]);
	}
	is_int(bad, 0, "200 transfers through a window of 50 end once each");
	ok(server_connections(server) - before <= 51, "over no more connections than that: %d",
	   server_connections(server) - before);
	ok(inqud_engine_done(engine) == NULL, "and no more");
}

/* Some hang, some are freed, the others must not notice. */
static void
test_mixed(void)
{
	static const char *const words[] = {"do-ok", "do-hang", "do-reset", "do-drip", "do-truncated"};
	InqudRequest *requests[40];
	InqudTransfer *transfers[40];
	int			left = 0;
	int			good = 0;
	int			i;

	for (i = 0; i < 40; i++)
	{
		requests[i] = make(true, words[i % 5]);
		transfers[i] = inqud_transfer_start(engine, &account, requests[i], &transfers[i]);
		if (i % 5 != 1 && i % 5 != 3)
			left++;
	}
	while (left > 0)
	{
		InqudTransfer *transfer = next_done();

		if (transfer == NULL)
			break;
		if (inqud_transfer_response(transfer)->progress == INQUD_DONE)
			good++;
		*(InqudTransfer **) inqud_transfer_owner(transfer) = NULL;
		inqud_transfer_free(transfer);
		left--;
	}
	is_int(good, 8, "good transfers end beside hanging ones");
	for (i = 0; i < 40; i++)
	{
		inqud_transfer_free(transfers[i]);
		inqud_request_free(requests[i]);
	}
	ends(true, "do-ok", INQUD_DONE, 200);
}

/*
 * Put another descriptor in the poller's place: then libcurl's socket callback
 * fails, and with it the multi handle.
 */
static void
test_lost(void)
{
	int			fd = inqud_engine_fd(engine);
	int			null = open("/dev/null", O_RDONLY);
	int			fresh;
	InqudRequest *request = make(true, "do-hang");
	InqudTransfer *transfers[3];
	bool		lost = false;
	int			ended = 0;
	int			i;

	for (i = 0; i < 3; i++)
		transfers[i] = inqud_transfer_start(engine, &account, request, NULL);
	dup2(null, fd);
	for (i = 0; i < 5 && !lost; i++)
		lost = !inqud_engine_step(engine);
	ok(lost, "a lost state is reported");
	is_int(inqud_engine_timeout(engine), 0, "there is something to fetch");
	for (i = 0; i < 3; i++)
	{
		InqudTransfer *transfer = inqud_engine_done(engine);

		if (transfer != NULL && inqud_transfer_response(transfer)->progress == INQUD_NO_ANSWER)
			ended++;
	}
	is_int(ended, 3, "all under way end without an answer");
	for (i = 0; i < 3; i++)
		inqud_transfer_free(transfers[i]);
	inqud_request_free(request);
	fresh = epoll_create1(EPOLL_CLOEXEC);
	dup2(fresh, fd);
	close(fresh);
	close(null);
	ends(true, "do-ok", INQUD_DONE, 200);
}

/*
 * libcurl's words name the host.  It cuts them at 256 bytes, and what stands at a cut is
 * not shown.
 */
static void
test_long_words(void)
{
	static const struct
	{
		int			len;
		bool		shown;
	}			cases[] = {{100, true}, {215, true}, {250, false}};
	char		url[300];
	InqudEngine *kept = engine;
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		InqudTransfer *transfer;
		const InqudResponse *r;

		/* libcurl 8.14 does not free the name that a handle has looked up when it is used again */
		engine = inqud_engine_new(1, "x");
		snprintf(url, sizeof(url), "https://x%0*dx", cases[i].len, 0);
		account.base_url = url;
		transfer = run(true, "CAP-1");
		r = inqud_transfer_response(transfer);
		ok(r->name_failed && r->error[0] != '\0', "a host's name of %d bytes is none: %s", cases[i].len, r->error);
		is_int(strstr(r->error, "000000") != NULL, cases[i].shown, "... and is named unless that does not fit");
		inqud_transfer_free(transfer);
		inqud_engine_free(engine);
	}
	engine = kept;
	account.base_url = base_url;
}

static void
test_engine(void)
{
	InqudEngine *other = inqud_engine_new(0, "x");
	InqudRequest *request = make(true, "do-hang");
	InqudTransfer *transfer;
	sigset_t	before;
	sigset_t	after;

	is_int(inqud_engine_timeout(other), -1, "an idle engine waits for nothing");
	ok(inqud_engine_step(other) && inqud_engine_done(other) == NULL, "nothing happens in it");
	inqud_engine_set_connections(other, 10);
	transfer = inqud_transfer_start(other, &account, request, NULL);
	is_int(inqud_engine_timeout(other), 0, "a new transfer wants a step at once");
	sigemptyset(&before);
	sigaddset(&before, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	inqud_engine_step(other);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	ok(sigismember(&after, SIGUSR2) == 1 && sigismember(&after, SIGUSR1) == 0,
	   "the mask of signals is as before");
	inqud_engine_free(other);
	inqud_transfer_free(transfer);
	ok(true, "an engine may go before its transfers");
	inqud_request_free(request);
	inqud_engine_free(NULL);
	inqud_transfer_free(NULL);
	/* nothing of the environment may bend the way */
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	ends(true, "do-ok", INQUD_DONE, 200);
}

int
main(void)
{
	begin();
	test_normal();
	test_misbehaviour();
	test_time();
	test_closed_kept();
	test_redirect();
	test_retry_after();
	test_date();
	test_many();
	test_mixed();
	test_lost();
	test_long_words();
	test_engine();
	return end();
}
