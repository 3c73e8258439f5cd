/*-------------------------------------------------------------------------
 *
 * fuzz_http.c
 *		Any bytes as all that a server sends: status line, head and body,
 *		through libcurl and the engine, over a connection to this process.
 *
 * The first byte chooses create or read and the largest reply; the second one
 * where the bytes are cut in two.  However it ends, nothing may be sent a
 * second time, and no redirect be followed.  Each run has an engine of its own,
 * so that an input is a finding by itself.
 *
 *-------------------------------------------------------------------------
 */
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit/crypto.h"
#include "client_internal.h"
#include "fuzz.h"

/* A turn waits this long at most, so a run that hangs ends as a finding. */
#define TURN_MS 1000
#define MAX_TURNS 200

static int	listener = -1;
static InqudEngine *engine;
static char base_url[64];
static InqudAccount account = {
	.base_url = base_url,
	.project_id = "CAP-1",
	.checkout_path = "/c/{project}/{checkout}",
	.token_id = "TKN-1",
	.token_secret = "secret",
	.connect_timeout_ms = 20000,
	.timeout_ms = 20000
};

static void
begin(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t	len = sizeof(address);

	signal(SIGPIPE, SIG_IGN);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	MUST(listener >= 0 && bind(listener, (struct sockaddr *) &address, len) == 0);
	MUST(listen(listener, 16) == 0);
	MUST(getsockname(listener, (struct sockaddr *) &address, &len) == 0);
	snprintf(base_url, sizeof(base_url), "http://127.0.0.1:%d", ntohs(address.sin_port));
}

/* Let the engine move, once something happened to it or to the other descriptor, or at "most". */
static void
turn(int other, long most)
{
	struct pollfd fds[2] = {
		{.fd = inqud_engine_fd(engine), .events = POLLIN},
		{.fd = other, .events = POLLIN}
	};
	long		timeout = inqud_engine_timeout(engine);

	poll(fds, 2, (int) (timeout < 0 || timeout > most ? most : timeout));
	MUST(inqud_engine_step(engine));
}

static int
await_connection(void)
{
	int			fd = -1;
	int			turns;

	for (turns = 0; fd < 0 && turns < MAX_TURNS; turns++)
	{
		fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			turn(listener, TURN_MS);
	}
	MUST(fd >= 0);
	return fd;
}

/* Until head and body of the request are here. */
static void
await_request(int fd, size_t body_len)
{
	char		got[4096];
	size_t		len = 0;
	int			turns;
	char	   *end = NULL;

	for (turns = 0; turns < MAX_TURNS; turns++)
	{
		ssize_t		n = recv(fd, got + len, sizeof(got) - 1 - len, 0);

		MUST(n != 0);
		len += n > 0 ? (size_t) n : 0;
		got[len] = '\0';
		end = strstr(got, "\r\n\r\n");
		if (end != NULL && len == (size_t) (end + 4 - got) + body_len)
			return;
		turn(fd, TURN_MS);
	}
	MUST(false);
}

/* What the client does not take any more is lost, as it may be. */
static void
send_bytes(int fd, const uint8_t *data, size_t size)
{
	(void) !send(fd, data, size, MSG_NOSIGNAL);
	turn(-1, 0);
}

static void
check_response(const InqudResponse *r)
{
	MUST(r->progress != INQUD_NOT_SENT);
	MUST((r->error[0] == '\0') == (r->progress == INQUD_DONE));
	MUST(r->http_status == 0 || (r->http_status >= 100 && r->http_status <= 999));
	MUST(r->retry_after_ms >= -1 && r->retry_after_ms <= INT64_C(86400000));
	MUST(r->date >= 0);
	MUST((int64_t) r->body_len <= account.max_reply_size);
	MUST(strcmp(r->error, "out of memory") != 0);
	MUST(!r->timed_out && !r->name_failed && !r->tls_failed);
}

static void
check_reply(const InqudResponse *r, bool post)
{
	InqudReply *reply = inqud_reply_read(r, post, NULL, NULL, NULL);
	InqudOutcome outcome;

	MUST(reply != NULL);
	outcome = inqud_reply_outcome(reply);
	/* only a whole 2xx is a success, and only a whole status a refusal */
	MUST(outcome != INQUD_OK || (r->progress == INQUD_DONE && r->http_status / 100 == 2));
	MUST(outcome != INQUD_REFUSED || r->http_status / 100 == 4);
	MUST(outcome != INQUD_UNREACHABLE);
	inqud_reply_free(reply);
}

/*
 * Does an empty line end the head?  Without, nothing is whole.  (A line with a NUL
 * in it ends there for libcurl 7.88, if it comes in two pieces.)
 */
static bool
has_head(const uint8_t *data, size_t size)
{
	return memchr(data, '\0', size) != NULL || memmem(data, size, "\n\n", 2) != NULL || memmem(data, size, "\n\r", 2) != NULL;
}

/* One exchange; the connection that came for it must be the only one. */
static void
exchange(const InqudRequest *request, const uint8_t *data, size_t size, size_t first)
{
	InqudTransfer *transfer = inqud_transfer_start(engine, &account, request, NULL);
	InqudTransfer *done = NULL;
	int			fd;
	int			turns;

	MUST(transfer != NULL);
	fd = await_connection();
	await_request(fd, request->body.len);
	send_bytes(fd, data, first);
	send_bytes(fd, data + first, size - first);
	shutdown(fd, SHUT_WR);
	for (turns = 0; done == NULL && turns < MAX_TURNS; turns++)
	{
		done = inqud_engine_done(engine);
		if (done == NULL)
			turn(-1, TURN_MS);
	}
	MUST(done == transfer);
	check_response(inqud_transfer_response(transfer));
	MUST(inqud_transfer_response(transfer)->progress != INQUD_DONE || has_head(data, size));
	check_reply(inqud_transfer_response(transfer), request->post);
	MUST(accept(listener, NULL, NULL) < 0);
	inqud_transfer_free(transfer);
	close(fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int64_t sizes[] = {1, 100, 2000, 100000};
	static const InqudOrder order = {.order_id = "order-1", .name = "Order 1", .type = "NO_PRICE"};
	InqudWhy	why;
	InqudRequest *request;

	if (size < 2)
		return 0;
	if (listener < 0)
		begin();
	account.max_reply_size = sizes[data[0] >> 1 & 3];
	request = data[0] & 1 ?
		inqud_request_create_checkout(&account, &test_crypto, &order, &why) :
		inqud_request_read_checkout(&account, &test_crypto, "CCO-1", &why);
	MUST(request != NULL);
	engine = inqud_engine_new(1, "inqud-fuzz/1");
	MUST(engine != NULL);
	exchange(request, data + 2, size - 2, (size_t) data[1] < size - 2 ? data[1] : size - 2);
	inqud_engine_free(engine);
	inqud_request_free(request);
	return 0;
}
