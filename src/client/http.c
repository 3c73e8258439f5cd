/*-------------------------------------------------------------------------
 *
 * http.c
 *		HTTP exchanges, many at a time, on one libcurl multi handle.
 *
 * The only file that includes curl/curl.h.  libcurl tells through callbacks
 * which sockets and which deadline it cares for; engine.c decides when to call
 * back in and keeps the books.  No callback, here or in receiver.c, may
 * allocate outside a bounded buffer, log, throw, or call libcurl.
 *
 * An exchange owns an easy handle and is used again and again: what never
 * changes is set once a handle, what a request brings with it each time.
 *
 *-------------------------------------------------------------------------
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <curl/curl.h>

#include "client_internal.h"

#ifdef POSTGRES_H
#error "src/client must not include postgres.h"
#endif

_Static_assert(LIBCURL_VERSION_NUM >= 0x075700,
			   "libcurl 7.87 or later is needed: without CURLOPT_QUICK_EXIT a hanging resolver blocks the process");

/* An exchange at rest keeps at most so much memory for the next body. */
#define KEEP_BODY (16 * 1024)

/* Deadlines in a row that one step follows. */
#define MAX_ROUNDS 16

#define MAX_LIFETIME_SECONDS 600
#define MAX_IDLE_SECONDS 20		/* servers close idle ones, and libcurl may send on them */
#define DNS_CACHE_SECONDS 60
#define CA_CACHE_SECONDS 600

struct InqudHttp
{
	CURLM	   *multi;
	int			poller;			/* engine.c's */
	int64_t		deadline;		/* of libcurl, monotonic microseconds; -1 none */
	const char *user_agent;		/* engine.c's */
};

struct InqudExchange
{
	CURL	   *easy;
	bool		running;		/* "easy" is with the multi handle */
	char	   *ca_file;		/* what "easy" was set up with, "" = none */
	void	   *owner;
	const InqudRequest *request;
	struct curl_slist headers[INQUD_MAX_HEADERS + 1];
	InqudReceiver receiver;
	const char *refused;		/* why the last connection was not opened */
	char		content_type[128];
	char		address[64];
	char		curl_error[CURL_ERROR_SIZE];
	char		error[CURL_ERROR_SIZE];
	InqudResponse response;
};

/* ---------------------------------------------------------------------
 * Callbacks of libcurl
 * ---------------------------------------------------------------------
 */

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	InqudHttp  *http = arg;
	InqudExchange *exchange = NULL;

	(void) socket_arg;
	/* libcurl tells of a connection only when TLS has been agreed on as well */
	if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &exchange) == CURLE_OK &&
		exchange != NULL && exchange->address[0] == '\0')
		inqud_address_of_peer(fd, exchange->address, sizeof(exchange->address));
	return inqud_poller_set(http->poller, fd,
							what == CURL_POLL_IN || what == CURL_POLL_INOUT,
							what == CURL_POLL_OUT || what == CURL_POLL_INOUT) ?
		0 : -1;
}

static int
on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	InqudHttp  *http = arg;

	(void) multi;
	http->deadline = timeout_ms < 0 ? -1 :
		inqud_clock_us() + (int64_t) timeout_ms * 1000;
	return 0;
}

/*
 * The last word on where a connection goes, asked with the address itself, so
 * that no name can lead into the private network.
 */
static curl_socket_t
on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	InqudExchange *exchange = arg;
	int			type = address->socktype;

	(void) purpose;
	exchange->refused = inqud_connect_refusal(&address->addr,
											  exchange->request->host, exchange->ca_file);
	exchange->response.address_refused = exchange->refused != NULL &&
		exchange->refused != inqud_unfit_ca_file;
	if (exchange->refused != NULL)
		return CURL_SOCKET_BAD;
#ifdef SOCK_CLOEXEC
	type |= SOCK_CLOEXEC;
#endif
	return socket(address->family, type, address->protocol);
}

/* ---------------------------------------------------------------------
 * Easy handles
 * ---------------------------------------------------------------------
 */

/* Where bytes go to and come from: the exchange that owns the handle. */
static bool
set_callbacks(CURL *easy, InqudExchange *exchange)
{
	InqudReceiver *receiver = &exchange->receiver;
	int			bad = 0;

	bad |= curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
	bad |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->curl_error);
	bad |= curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, inqud_on_request);
	bad |= curl_easy_setopt(easy, CURLOPT_PREREQDATA, receiver);
	bad |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, inqud_on_body);
	bad |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, receiver);
	bad |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, inqud_on_header);
	bad |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, receiver);
	bad |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
	bad |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, exchange);
	return bad == 0;
}

/* What holds for every exchange; the environment must not change any of it. */
static const struct
{
	CURLoption	option;
	long		value;
	bool		optional;		/* not every build has it, and it decides
								 * nothing */
}			policy[] =
{
	{CURLOPT_NOSIGNAL, 1, false},
	{CURLOPT_QUICK_EXIT, 1, false},
	{CURLOPT_FOLLOWLOCATION, 0, false},
	{CURLOPT_NETRC, CURL_NETRC_IGNORED, false},
	{CURLOPT_PATH_AS_IS, 1, false},
	{CURLOPT_SSL_VERIFYPEER, 1, false},
	{CURLOPT_SSL_VERIFYHOST, 2, false},
	{CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2, false},
	{CURLOPT_TCP_KEEPALIVE, 1, false},
	{CURLOPT_MAXLIFETIME_CONN, MAX_LIFETIME_SECONDS, false},
	{CURLOPT_MAXAGE_CONN, MAX_IDLE_SECONDS, false},
	{CURLOPT_DNS_CACHE_TIMEOUT, DNS_CACHE_SECONDS, false},
	{CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS, true},
	{CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_SECONDS, true}
};

static bool
set_policy(CURL *easy, const InqudHttp *http, const char *ca_file)
{
	unsigned int bad = 0;
	size_t		i;

	for (i = 0; i < sizeof(policy) / sizeof(policy[0]); i++)
	{
		CURLcode	code = curl_easy_setopt(easy, policy[i].option, policy[i].value);

		if (!policy[i].optional)
			bad |= code;
	}
	bad |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	bad |= curl_easy_setopt(easy, CURLOPT_PROXY, "");
	bad |= curl_easy_setopt(easy, CURLOPT_USERAGENT, http->user_agent);
	if (ca_file[0] != '\0')
		bad |= curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
	return bad == 0;
}

/* Make the handle ready for an account with this CA file. */
static bool
prepare_easy(InqudExchange *exchange, const InqudHttp *http, const char *ca_file)
{
	if (ca_file == NULL)
		ca_file = "";
	if (exchange->easy != NULL && exchange->ca_file != NULL &&
		strcmp(exchange->ca_file, ca_file) == 0)
		return true;
	free(exchange->ca_file);
	exchange->ca_file = strdup(ca_file);
	if (exchange->easy == NULL)
		exchange->easy = curl_easy_init();
	else
		curl_easy_reset(exchange->easy);
	return exchange->easy != NULL && exchange->ca_file != NULL &&
		set_callbacks(exchange->easy, exchange) &&
		set_policy(exchange->easy, http, ca_file);
}

/*
 * The request's headers as libcurl's list, without copying any.  Without
 * "Expect:" it would wait for "100 Continue" before a longer body.
 */
static void
link_headers(InqudExchange *exchange)
{
	static char no_expect[] = "Expect:";
	const InqudRequest *request = exchange->request;
	int			i;

	for (i = 0; i < request->nheaders; i++)
	{
		/* not modified: curl_slist merely has no const */
		memcpy(&exchange->headers[i].data, &request->headers[i], sizeof(char *));
		exchange->headers[i].next = &exchange->headers[i + 1];
	}
	exchange->headers[i].data = no_expect;
	exchange->headers[i].next = NULL;
}

static long
to_timeout(int64_t ms)
{
	return ms < 1 ? 1 : ms < INT_MAX ? (long) ms : INT_MAX;
}

/* What the request and its account bring with them. */
static bool
set_request(InqudExchange *exchange, const InqudAccount *account)
{
	const InqudRequest *request = exchange->request;
	CURL	   *easy = exchange->easy;
	int			bad = 0;

	link_headers(exchange);
	bad |= curl_easy_setopt(easy, CURLOPT_URL, request->url.data);
	bad |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->headers);
	if (request->post)
	{
		bad |= curl_easy_setopt(easy, CURLOPT_POST, 1L);
		bad |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
								(curl_off_t) request->body.len);
		/* not copied; the request outlives the transfer */
		bad |= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.data);
	}
	else
		bad |= curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	bad |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
							to_timeout(account->connect_timeout_ms));
	bad |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, to_timeout(account->timeout_ms));
	bad |= curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE,
							(curl_off_t) exchange->receiver.body.max);
	return bad == 0;
}

/* ---------------------------------------------------------------------
 * The end of an exchange
 * ---------------------------------------------------------------------
 */

static bool
is_tls_error(CURLcode code)
{
	return code == CURLE_SSL_CONNECT_ERROR || code == CURLE_SSL_CERTPROBLEM ||
		code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CIPHER ||
		code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_ISSUER_ERROR ||
		code == CURLE_SSL_INVALIDCERTSTATUS || code == CURLE_USE_SSL_FAILED;
}

/* A time or size; 0 where libcurl has none. */
static int64_t
get_info(CURL *easy, CURLINFO info)
{
	long		small = 0;
	curl_off_t	value = 0;

	if ((info & CURLINFO_TYPEMASK) != CURLINFO_LONG)
		(void) curl_easy_getinfo(easy, info, &value);
	else if (curl_easy_getinfo(easy, info, &small) == CURLE_OK)
		value = small;
	return value > 0 ? value : 0;
}

/* How far it came.  The error's code alone does not tell whether anything was sent. */
static InqudProgress
find_progress(InqudExchange *exchange, CURLcode code)
{
	if (code == CURLE_OK)
		return INQUD_DONE;
	if (exchange->receiver.too_large || code == CURLE_FILESIZE_EXCEEDED)
		return INQUD_TOO_LARGE;
	if (exchange->receiver.attempts == 0 &&
		get_info(exchange->easy, CURLINFO_REQUEST_SIZE) == 0)
		return INQUD_NOT_SENT;
	return INQUD_NO_ANSWER;
}

static void
measure(InqudExchange *exchange, InqudResponse *r)
{
	CURL	   *easy = exchange->easy;
	int64_t		connect;
	int64_t		tls;

	if (get_info(easy, CURLINFO_NUM_CONNECTS) > 0)
	{
		connect = get_info(easy, CURLINFO_CONNECT_TIME_T);
		tls = get_info(easy, CURLINFO_APPCONNECT_TIME_T);
		r->connect_us = tls > connect ? tls : connect;
	}
	r->total_us = get_info(easy, CURLINFO_TOTAL_TIME_T);
	r->bytes_sent = get_info(easy, CURLINFO_REQUEST_SIZE) +
		get_info(easy, CURLINFO_SIZE_UPLOAD_T);
	r->bytes_received = get_info(easy, CURLINFO_HEADER_SIZE) +
		get_info(easy, CURLINFO_SIZE_DOWNLOAD_T);
}

/* What went wrong, in libcurl's words unless we know better. */
static void
explain(InqudExchange *exchange, CURLcode code)
{
	const char *text = code == CURLE_OK ? "" : exchange->curl_error;

	if (exchange->receiver.no_memory)
		text = "out of memory";
	else if (exchange->receiver.too_large)
		text = "reply is too large";
	else if (exchange->refused != NULL && code == CURLE_COULDNT_CONNECT)
		text = exchange->refused;
	else if (code == CURLE_ABORTED_BY_CALLBACK)
		text = "the kept connection was closed without an answer";
	else if (code == CURLE_OPERATION_TIMEDOUT)
		text = "timed out";		/* libcurl's words count milliseconds */
	else if (text[0] == '\0' && code != CURLE_OK)
		text = curl_easy_strerror(code);
	inqud_text_clean(exchange->error, sizeof(exchange->error),
					 text, strlen(text));
	exchange->response.error = exchange->error;
}

static void
fill_response(InqudExchange *exchange, CURLcode code)
{
	InqudResponse *r = &exchange->response;
	const InqudBuffer *body = &exchange->receiver.body;
	int64_t		status = get_info(exchange->easy, CURLINFO_RESPONSE_CODE);
	const char *type = NULL;

	/* libcurl takes a head that breaks off for a whole reply */
	if (code == CURLE_OK && !exchange->receiver.head_ended)
		code = CURLE_PARTIAL_FILE;
	r->progress = find_progress(exchange, code);
	r->timed_out = code == CURLE_OPERATION_TIMEDOUT;
	r->name_failed = code == CURLE_COULDNT_RESOLVE_HOST ||
		(r->timed_out && r->progress == INQUD_NOT_SENT &&
		 get_info(exchange->easy, CURLINFO_NAMELOOKUP_TIME_T) == 0);
	r->tls_failed = is_tls_error(code) || exchange->refused == inqud_unfit_ca_file;
	/* libcurl takes "HTTP/28988" and "HTTP/2 9" for one, too */
	r->http_status = status >= 100 && status <= 999 ? (int) status : 0;
	r->retry_after_ms = exchange->receiver.retry_after_ms;
	r->date = exchange->receiver.date;
	if (curl_easy_getinfo(exchange->easy, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK &&
		type != NULL)
		inqud_text_clean(exchange->content_type, sizeof(exchange->content_type),
						 type, strlen(type));
	r->content_type = exchange->content_type;
	r->body = body->data != NULL ? body->data : "";
	r->body_len = body->len;
	measure(exchange, r);
	r->address = exchange->address;
	r->connected = exchange->address[0] != '\0' || r->progress != INQUD_NOT_SENT;
	explain(exchange, code);
}

/* ---------------------------------------------------------------------
 * Exchanges, as engine.c sees them
 * ---------------------------------------------------------------------
 */

InqudExchange *
inqud_exchange_new(void *owner)
{
	InqudExchange *exchange = calloc(1, sizeof(*exchange));

	if (exchange != NULL)
		exchange->owner = owner;
	return exchange;
}

const InqudResponse *
inqud_exchange_response(const InqudExchange *exchange)
{
	return &exchange->response;
}

static void
drop_easy(InqudExchange *exchange)
{
	if (exchange->easy != NULL)
		curl_easy_cleanup(exchange->easy);
	exchange->easy = NULL;
}

InqudStart
inqud_exchange_start(InqudHttp *http, InqudExchange *exchange,
					 const InqudAccount *account, const InqudRequest *request)
{
	memset(&exchange->response, 0, sizeof(exchange->response));
	inqud_receiver_reset(&exchange->receiver, request->post,
						 account->max_reply_size);
	exchange->request = request;
	exchange->refused = NULL;
	exchange->address[0] = '\0';
	exchange->content_type[0] = '\0';
	exchange->curl_error[0] = '\0';
	if (!prepare_easy(exchange, http, account->ca_file) ||
		!set_request(exchange, account))
	{
		/* a handle that is half set up is not used again */
		drop_easy(exchange);
		return INQUD_START_FAILED;
	}
	if (curl_multi_add_handle(http->multi, exchange->easy) != CURLM_OK)
	{
		drop_easy(exchange);
		return INQUD_START_LOST;
	}
	exchange->running = true;
	return INQUD_STARTED;
}

void
inqud_exchange_stop(InqudHttp *http, InqudExchange *exchange)
{
	if (exchange->running)
		curl_multi_remove_handle(http->multi, exchange->easy);
	exchange->running = false;
	exchange->request = NULL;
	inqud_buffer_clear(&exchange->receiver.body, KEEP_BODY);
}

void
inqud_exchange_lose(InqudHttp *http, InqudExchange *exchange)
{
	fill_response(exchange, CURLE_SEND_ERROR);
	exchange->response.progress = INQUD_NO_ANSWER;
	exchange->response.error = "the state of all transfers was lost";
	curl_multi_remove_handle(http->multi, exchange->easy);
	exchange->running = false;
	drop_easy(exchange);
}

void
inqud_exchange_free(InqudExchange *exchange)
{
	if (exchange == NULL)
		return;
	drop_easy(exchange);
	inqud_buffer_free(&exchange->receiver.body);
	free(exchange->ca_file);
	free(exchange);
}

/* ---------------------------------------------------------------------
 * The multi handle
 * ---------------------------------------------------------------------
 */

/* Once per process; there is no undoing it, since others may use libcurl too. */
static bool
init_libcurl(void)
{
	static bool done = false;

	if (!done)
		done = curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, inqud_memory_free,
									inqud_memory_resize, strdup, calloc) == CURLE_OK;
	return done;
}

InqudHttp *
inqud_http_new(int poller, const char *user_agent, int connections)
{
	InqudHttp  *http;
	int			bad = 0;

	if (!init_libcurl())
		return NULL;
	http = calloc(1, sizeof(*http));
	if (http == NULL)
		return NULL;
	http->poller = poller;
	http->user_agent = user_agent;
	http->deadline = -1;
	http->multi = curl_multi_init();
	bad |= curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	bad |= curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	bad |= curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	bad |= curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	inqud_http_set_connections(http, connections);
	if (bad == 0)
		return http;
	inqud_http_free(http);
	return NULL;
}

void
inqud_http_set_connections(InqudHttp *http, int connections)
{
	/* below the window, libcurl would close and reopen connections all the time */
	curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long) connections);
}

void
inqud_http_free(InqudHttp *http)
{
	if (http == NULL)
		return;
	curl_multi_cleanup(http->multi);
	free(http);
}

int64_t
inqud_http_wait_us(const InqudHttp *http)
{
	int64_t		left;

	if (http->deadline < 0)
		return -1;
	left = http->deadline - inqud_clock_us();
	return left > 0 ? left : 0;
}

bool
inqud_http_ready(InqudHttp *http, const InqudReady *ready)
{
	int			mask = (ready->in ? CURL_CSELECT_IN : 0) |
		(ready->out ? CURL_CSELECT_OUT : 0) |
		(ready->error ? CURL_CSELECT_ERR : 0);
	int			running;

	return curl_multi_socket_action(http->multi, ready->fd, mask,
									&running) == CURLM_OK;
}

/* A deadline that has come may be followed by another at once. */
bool
inqud_http_tick(InqudHttp *http)
{
	int			rounds = 0;
	int			running;

	while (inqud_http_wait_us(http) == 0 && rounds++ < MAX_ROUNDS)
	{
		http->deadline = -1;
		if (curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0,
									 &running) != CURLM_OK)
			return false;
	}
	return true;
}

void *
inqud_http_ended(InqudHttp *http)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(http->multi, &left)) != NULL)
	{
		CURLcode	code = message->data.result;
		InqudExchange *exchange = NULL;

		if (message->msg != CURLMSG_DONE ||
			curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE,
							  (char **) &exchange) != CURLE_OK)
			continue;
		fill_response(exchange, code);
		curl_multi_remove_handle(http->multi, exchange->easy);
		exchange->running = false;
		return exchange->owner;
	}
	return NULL;
}
