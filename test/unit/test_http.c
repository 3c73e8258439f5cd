/*-------------------------------------------------------------------------
 *
 * test_http.c
 *		Transfers against a server that misbehaves.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "client_internal.h"
#include "crypto.h"
#include "server.h"
#include "tap.h"

/* A test that takes longer has failed. */
#define PATIENCE_MS 20000

static char base_url[64];
static InqudAccount account;
static InqudEngine *engine;
static Server *server;

/* ---------------------------------------------------------------------
 * A resolver of our own, below libcurl's: it stands in for the system's.
 *
 * "hang.example" hangs until the test ends, "private.example" leads to
 * loopback, anything else is asked of the system.
 * ---------------------------------------------------------------------
 */
static pthread_mutex_t resolver_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t resolver_news = PTHREAD_COND_INITIALIZER;
static bool resolver_released = false;
static int	resolver_hanging = 0;
static int	resolver_unblocked = 0; /* threads that would take a signal */

typedef int (*Resolver) (const char *, const char *, const struct addrinfo *,
						 struct addrinfo **);

int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
			struct addrinfo **result)
{
	Resolver	real;
	void	   *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
	sigset_t	mask;

	memcpy(&real, &symbol, sizeof(real));
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	pthread_mutex_lock(&resolver_lock);
	if (!sigismember(&mask, SIGUSR1) || !sigismember(&mask, SIGTERM))
		resolver_unblocked++;
	if (name != NULL && strcmp(name, "hang.example") == 0)
	{
		resolver_hanging++;
		pthread_cond_broadcast(&resolver_news);
		while (!resolver_released)
			pthread_cond_wait(&resolver_news, &resolver_lock);
		resolver_hanging--;
		pthread_cond_broadcast(&resolver_news);
		name = "127.0.0.1";
	}
	if (name != NULL && strcmp(name, "private.example") == 0)
		name = "127.0.0.1";
	pthread_mutex_unlock(&resolver_lock);
	return real(name, service, hints, result);
}

/* Wait until so many resolvers hang. */
static void
await_hanging(int n)
{
	pthread_mutex_lock(&resolver_lock);
	while (resolver_hanging != n)
		pthread_cond_wait(&resolver_news, &resolver_lock);
	pthread_mutex_unlock(&resolver_lock);
}

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
	const char *why = NULL;
	InqudRequest *request;

	if (post)
	{
		a.project_id = word;
		request = inqud_request_create_checkout(&a, &test_crypto, &order, &why);
	}
	else
		request = inqud_request_read_checkout(&a, &test_crypto, word, &why);
	if (request == NULL)
		printf("Bail out! %s\n", why);
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
	is(r->content_type, "application/json", "and a type");
	is_int(r->retry_after_ms, -1, "without a Retry-After");
	ok(r->total_us > 0 && r->connect_us > 0 && r->total_us >= r->connect_us, "times are measured");
	ok(r->bytes_sent > 100 && r->bytes_received > 50, "bytes are counted");
	is_int((long long) strlen(r->body), (long long) r->body_len, "the body ends with a NUL");
	reply = inqud_reply_read(r, true, NULL);
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
	is_int(inqud_transfer_response(transfer)->connect_us, 0, "a kept connection costs nothing");
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
		ends(post, "do-oversized", INQUD_TOO_LARGE, 200);
		ends(post, "do-endless", INQUD_TOO_LARGE, 200);
		ends(post, "do-bighead", INQUD_TOO_LARGE, 200);
		ends(post, "do-garbage", INQUD_NO_ANSWER, 0);
		ends(post, "do-gzip", INQUD_DONE, 200);
		ends(post, "do-ok", INQUD_DONE, 200);
	}
}

/* Ends by its timeout, "sent" says whether something may have happened. */
static void
times_out(const char *word, bool sent)
{
	int64_t		start = now_ms();
	InqudTransfer *transfer;
	const InqudResponse *r;

	account.timeout_ms = 150;
	transfer = run(true, word);
	r = inqud_transfer_response(transfer);
	ok(r->progress == (sent ? INQUD_NO_ANSWER : INQUD_NOT_SENT), "%s: progress %d (%s)", word,
	   r->progress, r->error);
	ok(r->timed_out && !r->name_failed, "... timed out");
	ok(now_ms() - start >= 100 && now_ms() - start < 5000, "... after its time");
	inqud_transfer_free(transfer);
	account.timeout_ms = 10000;
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
	ok(now_ms() - start < 100, "%s: freed at once", name);
	inqud_request_free(request);
	ok(inqud_engine_done(engine) == NULL, "... and nothing is left");
}

static void
test_time(void)
{
	char		saved[64];
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
	memcpy(saved, base_url, sizeof(saved));
	snprintf(base_url, sizeof(base_url), "https://no-such-host.invalid");
	aborts("do-ok", false, "resolving");
	memcpy(base_url, saved, sizeof(saved));
	ends(false, "do-ok", INQUD_DONE, 200);
}

/* A listener that accepts nothing, so that a TLS handshake hangs. */
static int
open_silent(int *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t	len = sizeof(address);
	int			fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *) &address, sizeof(address)) != 0 || listen(fd, 5) != 0 ||
		getsockname(fd, (struct sockaddr *) &address, &len) != 0)
		exit(2);
	*port = ntohs(address.sin_port);
	return fd;
}

static void
test_not_sent(void)
{
	char		saved[64];
	int			port;
	int			silent = open_silent(&port);
	InqudTransfer *transfer;
	const InqudResponse *r;

	memcpy(saved, base_url, sizeof(saved));
	snprintf(base_url, sizeof(base_url), "https://127.0.0.1:%d", port);
	times_out("do-ok", false);
	aborts("do-ok", false, "in the TLS handshake");
	account.connect_timeout_ms = 100;
	transfer = run(true, "do-ok");
	r = inqud_transfer_response(transfer);
	ok(r->progress == INQUD_NOT_SENT && r->timed_out, "the connect timeout covers the handshake");
	inqud_transfer_free(transfer);
	account.connect_timeout_ms = 5000;

	close(silent);
	snprintf(base_url, sizeof(base_url), "http://127.0.0.1:%d", port);
	ends(true, "do-ok", INQUD_NOT_SENT, 0);

	/* a name below localhost leads to loopback, and is not "localhost" */
	snprintf(base_url, sizeof(base_url), "https://rebound.localhost:%d", server_port(server));
	transfer = run(true, "do-ok");
	r = inqud_transfer_response(transfer);
	is_int(r->progress, INQUD_NOT_SENT, "a name that leads to loopback is not connected to");
	is(r->error, "the host's name leads to an address that is not public", "... says why");
	inqud_transfer_free(transfer);
	snprintf(base_url, sizeof(base_url), "http://localhost:%d", server_port(server));
	ends(true, "do-ok", INQUD_DONE, 200);

	snprintf(base_url, sizeof(base_url), "https://no-such-host.invalid");
	account.connect_timeout_ms = 2000;
	transfer = run(true, "do-ok");
	r = inqud_transfer_response(transfer);
	ok(r->progress == INQUD_NOT_SENT && r->name_failed, "a name that does not exist: %s", r->error);
	inqud_transfer_free(transfer);
	account.connect_timeout_ms = 5000;

	snprintf(base_url, sizeof(base_url), "https://127.0.0.1:%d", server_port(server));
	transfer = run(true, "do-ok");
	r = inqud_transfer_response(transfer);
	ok(r->progress == INQUD_NOT_SENT || r->progress == INQUD_NO_ANSWER, "TLS to a plain server");
	inqud_transfer_free(transfer);
	memcpy(base_url, saved, sizeof(saved));
	ends(true, "do-ok", INQUD_DONE, 200);
}

/* A resolver that hangs must hold up nobody. */
static void
test_resolver(void)
{
	char		saved[64];
	InqudRequest *request;
	InqudTransfer *transfer;
	const InqudResponse *r;
	int64_t		start = now_ms();

	memcpy(saved, base_url, sizeof(saved));
	snprintf(base_url, sizeof(base_url), "https://private.example:%d", server_port(server));
	transfer = run(true, "do-ok");
	is(inqud_transfer_response(transfer)->error,
	   "the host's name leads to an address that is not public", "a name that leads inside");
	inqud_transfer_free(transfer);

	snprintf(base_url, sizeof(base_url), "https://hang.example");
	request = make(true, "do-ok");
	transfer = inqud_transfer_start(engine, &account, request, NULL);
	inqud_engine_step(engine);
	await_hanging(1);
	start = now_ms();
	inqud_transfer_free(transfer);
	ok(now_ms() - start < 100, "freed at once while the resolver hangs");
	inqud_request_free(request);
	account.connect_timeout_ms = 100;
	transfer = run(true, "do-ok");
	r = inqud_transfer_response(transfer);
	ok(r->progress == INQUD_NOT_SENT && r->timed_out && r->name_failed, "it times out: %s", r->error);
	ok(now_ms() - start < 5000, "in time");
	inqud_transfer_free(transfer);
	account.connect_timeout_ms = 5000;
	memcpy(base_url, saved, sizeof(saved));
	ends(true, "do-ok", INQUD_DONE, 200);
	is_int(resolver_unblocked, 0, "no resolver's thread would take a signal");
	pthread_mutex_lock(&resolver_lock);
	resolver_released = true;
	pthread_cond_broadcast(&resolver_news);
	pthread_mutex_unlock(&resolver_lock);
	await_hanging(0);
}

static void
test_tls(void)
{
	char		saved[64];
	char		ca_file[64];
	Server	   *tls = server_start(ca_file, sizeof(ca_file));
	InqudTransfer *transfer;
	const InqudResponse *r;
	int			i;

	memcpy(saved, base_url, sizeof(saved));
	snprintf(base_url, sizeof(base_url), "https://127.0.0.1:%d", server_port(tls));
	transfer = run(true, "do-ok");
	r = inqud_transfer_response(transfer);
	ok(r->progress == INQUD_NOT_SENT && r->tls_failed, "an unknown certificate is refused: %s", r->error);
	inqud_transfer_free(transfer);
	account.ca_file = ca_file;
	for (i = 0; i < 3; i++)
		ends(i % 2 == 0, "do-ok", INQUD_DONE, 200);
	is_int(server_connections(tls), 2, "a known one is accepted, and the connection kept");
	ends(true, "do-closekept", INQUD_NO_ANSWER, 0);
	account.ca_file = "/nonexistent/ca.pem";
	transfer = run(true, "do-ok");
	r = inqud_transfer_response(transfer);
	ok(r->progress == INQUD_NOT_SENT && r->tls_failed, "a missing CA file: %s", r->error);
	inqud_transfer_free(transfer);
	account.ca_file = NULL;
	transfer = run(true, "do-ok");
	ok(inqud_transfer_response(transfer)->tls_failed, "without the CA file it is unknown again");
	inqud_transfer_free(transfer);
	is_int(server_requests(tls), 4, "no request but the good ones was seen");
	memcpy(base_url, saved, sizeof(saved));
	server_stop(tls);
}

static void
test_closed_kept(void)
{
	InqudRequest *words[4];
	InqudTransfer *transfers[4];
	int			requests;
	int			i;

	/* a connection of its own for the pair */
	inqud_engine_free(engine);
	engine = inqud_engine_new(50, "inqud-test/1");
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

static void
test_retry_after(void)
{
	retry_is("do-retry-seconds", 7000, 7000);
	retry_is("do-retry-zero", 0, 0);
	retry_is("do-retry-negative", -1, -1);
	retry_is("do-retry-absurd", 86400000, 86400000);
	retry_is("do-retry-past", 0, 0);
	retry_is("do-retry-far", 86400000, 86400000);
	retry_is("do-retry-words", -1, -1);
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
	signal(SIGPIPE, SIG_IGN);
	server = server_start(NULL, 0);
	snprintf(base_url, sizeof(base_url), "http://127.0.0.1:%d", server_port(server));
	account.base_url = base_url;
	account.project_id = "CAP-1";
	account.checkout_path = "/v1/user/crypto-acquiring/{project}/checkouts/{checkout}";
	account.token_id = "TKN-1";
	account.token_secret = "test-token-secret";
	account.connect_timeout_ms = 5000;
	account.timeout_ms = 10000;
	account.max_reply_size = 100000;
	engine = inqud_engine_new(50, "inqud-test/1");
	test_normal();
	test_misbehaviour();
	test_time();
	test_not_sent();
	test_resolver();
	test_tls();
	test_closed_kept();
	test_redirect();
	test_retry_after();
	test_many();
	test_mixed();
	test_lost();
	test_engine();
	inqud_engine_free(engine);
	server_stop(server);
	return tap_end();
}
