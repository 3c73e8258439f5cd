/*-------------------------------------------------------------------------
 *
 * http.c
 *		One HTTP transfer by libcurl: the options of its easy handle, and its response.
 *
 * A transfer owns an easy handle and is used again and again: what never changes is
 * set once a handle, what a request brings with it each time.  Callbacks keep to the
 * rules in receiver.c.
 *
 * Retry-After is read from the header, not from CURLINFO_RETRY_AFTER, which says
 * 0 for no header, "0", a date that has passed and text alike, and in 7.88 also
 * for a number beyond 64 bits.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "transfer.h"

_Static_assert(LIBCURL_VERSION_NUM >= 0x075700,
			   "libcurl 7.87 or later is needed: without CURLOPT_QUICK_EXIT a hanging resolver blocks the process");

#define MAX_LIFETIME_SECONDS 600
#define MAX_IDLE_SECONDS 20		/* servers close idle ones, and libcurl may send on them */
#define DNS_CACHE_SECONDS 60
#define CA_CACHE_SECONDS 600

#define MAX_RETRY_AFTER_SECONDS 86400

/* libcurl ends words that did not fit so many bytes before its buffer's end at most. */
#define ERROR_END 8

static bool
is_shortage(int error)
{
	return error == EMFILE || error == ENFILE;
}

/* Can this process open no descriptor now?  A resolver, or TLS, does not tell why it failed. */
static bool
lacks_descriptors(void)
{
	int			fd = dup(STDERR_FILENO);

	if (fd < 0)
		return is_shortage(errno);
	close(fd);
	return false;
}

/* libcurl calls this with the resolved address: no name must lead into the private network. */
static curl_socket_t
on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	InqudTransfer *transfer = arg;
	int			type = address->socktype;
	int			fd;

	(void) purpose;
	transfer->refused = inqud_connect_refusal(&address->addr,
											  transfer->request->host, transfer->ca_file);
	transfer->response.address_refused = transfer->refused != NULL &&
		transfer->refused != inqud_unfit_ca_file;
	if (transfer->refused != NULL)
		return CURL_SOCKET_BAD;
#ifdef SOCK_CLOEXEC
	type |= SOCK_CLOEXEC;
#endif
	fd = socket(address->family, type, address->protocol);
	transfer->no_descriptor |= fd < 0 && is_shortage(errno);
	return fd;
}

/* Options of every transfer; no variable of the environment may change them. */
static const struct
{
	CURLoption	option;
	long		value;
	bool		optional;		/* not every build has it; it decides nothing */
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

/* Set what never changes; the callbacks' argument is the transfer that owns the handle. */
static bool
set_policy(InqudTransfer *transfer, const char *user_agent)
{
	CURL	   *easy = transfer->easy;
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
	bad |= curl_easy_setopt(easy, CURLOPT_USERAGENT, user_agent);
	if (transfer->ca_file[0] != '\0')
		bad |= curl_easy_setopt(easy, CURLOPT_CAINFO, transfer->ca_file);
	bad |= curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	bad |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->curl_error);
	bad |= curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, inqud_on_request);
	bad |= curl_easy_setopt(easy, CURLOPT_PREREQDATA, &transfer->receiver);
	bad |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, inqud_on_body);
	bad |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer->receiver);
	bad |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, inqud_on_header);
	bad |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer->receiver);
	bad |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
	bad |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
	return bad == 0;
}

/* Make the handle ready for an account with this CA file. */
static bool
prepare_easy(InqudTransfer *transfer, const char *user_agent, const char *ca_file)
{
	if (ca_file == NULL)
		ca_file = "";
	if (transfer->easy != NULL && transfer->ca_file != NULL &&
		strcmp(transfer->ca_file, ca_file) == 0)
		return true;
	free(transfer->ca_file);
	transfer->ca_file = strdup(ca_file);
	if (transfer->easy == NULL)
		transfer->easy = curl_easy_init();
	else
		curl_easy_reset(transfer->easy);
	return transfer->easy != NULL && transfer->ca_file != NULL &&
		set_policy(transfer, user_agent);
}

/*
 * Link the request's headers to libcurl's list, without copying any.  "Expect:" at
 * its end keeps libcurl from waiting for "100 Continue" before a longer body.
 */
static void
list_headers(InqudTransfer *transfer)
{
	static char no_expect[] = "Expect:";
	const InqudRequest *request = transfer->request;
	int			i;

	for (i = 0; i < request->nheaders; i++)
	{
		/* not modified: curl_slist merely has no const */
		memcpy(&transfer->headers[i].data, &request->headers[i], sizeof(char *));
		transfer->headers[i].next = &transfer->headers[i + 1];
	}
	transfer->headers[i].data = no_expect;
	transfer->headers[i].next = NULL;
}

static long
to_timeout(int64_t ms)
{
	return ms < 1 ? 1 : ms < INT_MAX ? (long) ms : INT_MAX;
}

/* Set the options that depend on the request and its account. */
static bool
set_request(InqudTransfer *transfer, const InqudAccount *account)
{
	const InqudRequest *request = transfer->request;
	CURL	   *easy = transfer->easy;
	int			bad = 0;

	list_headers(transfer);
	bad |= curl_easy_setopt(easy, CURLOPT_URL, request->url.data);
	bad |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
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
							(curl_off_t) transfer->receiver.body.max);
	return bad == 0;
}

bool
inqud_http_prepare(InqudTransfer *transfer, const char *user_agent,
				   const InqudAccount *account, const InqudRequest *request)
{
	memset(&transfer->response, 0, sizeof(transfer->response));
	inqud_receiver_reset(&transfer->receiver, request->post, account->max_reply_size);
	transfer->request = request;
	transfer->no_descriptor = false;
	transfer->refused = NULL;
	transfer->address[0] = '\0';
	transfer->curl_error[0] = '\0';
	return prepare_easy(transfer, user_agent, account->ca_file) && set_request(transfer, account);
}

/* ---- The response ---- */

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
get_number(CURL *easy, CURLINFO info)
{
	long		small = 0;
	curl_off_t	value = 0;

	if ((info & CURLINFO_TYPEMASK) != CURLINFO_LONG)
		(void) curl_easy_getinfo(easy, info, &value);
	else if (curl_easy_getinfo(easy, info, &small) == CURLE_OK)
		value = small;
	return value > 0 ? value : 0;
}

/* How far the transfer came.  The code alone does not tell whether anything was sent. */
static InqudProgress
find_progress(InqudTransfer *transfer, CURLcode code)
{
	if (code == CURLE_OK)
		return INQUD_DONE;
	if (transfer->receiver.too_large || code == CURLE_FILESIZE_EXCEEDED)
		return INQUD_TOO_LARGE;
	if (transfer->receiver.attempts == 0 &&
		get_number(transfer->easy, CURLINFO_REQUEST_SIZE) == 0)
		return INQUD_NOT_SENT;
	return INQUD_NO_ANSWER;
}

/* The value of a header of the reply, of the first one of this name; NULL if there is none. */
static const char *
header_value(CURL *easy, const char *name)
{
	struct curl_header *header;

	return curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK ?
		header->value : NULL;
}

/* The pause that Retry-After asks for, in seconds or until a date; -1 = none. */
static int64_t
get_retry_after_ms(CURL *easy)
{
	const char *value = header_value(easy, "Retry-After");
	int64_t		seconds;

	if (value == NULL || *value == '\0')
		return -1;
	if (value[strspn(value, "0123456789")] == '\0')
		seconds = strtoll(value, NULL, 10); /* beyond 64 bits: the largest */
	else if ((seconds = curl_getdate(value, NULL)) >= 0)
		seconds -= time(NULL);
	else
		return -1;
	if (seconds > MAX_RETRY_AFTER_SECONDS)
		seconds = MAX_RETRY_AFTER_SECONDS;
	return seconds > 0 ? seconds * 1000 : 0;
}

/* The reply's Date in seconds since 1970; 0 = none. */
static int64_t
get_date(CURL *easy)
{
	const char *value = header_value(easy, "Date");
	int64_t		seconds = value != NULL ? curl_getdate(value, NULL) : 0;

	return seconds > 0 ? seconds : 0;
}

/*
 * Say what went wrong: in words of ours where libcurl's are vague, else in libcurl's.
 * Words that fill its buffer may have been cut, and where, may depend on a secret
 * that the other end has quoted; then only libcurl's name of the error is shown.
 */
static void
set_error_text(InqudTransfer *transfer, CURLcode code)
{
	const char *text = code == CURLE_OK ? "" : transfer->curl_error;

	if (transfer->receiver.no_memory)
		text = "out of memory";
	else if (transfer->receiver.too_large)
		text = "reply is too large";
	else if (transfer->response.no_descriptor)
		text = "no file descriptor is free";
	else if (transfer->refused != NULL && code == CURLE_COULDNT_CONNECT)
		text = transfer->refused;
	else if (code == CURLE_ABORTED_BY_CALLBACK)
		text = "the kept connection was closed without an answer";
	else if (code == CURLE_OPERATION_TIMEDOUT)
		text = "timed out";		/* libcurl's words count milliseconds */
	else if (code != CURLE_OK && (text[0] == '\0' || strlen(text) >= CURL_ERROR_SIZE - ERROR_END))
		text = curl_easy_strerror(code);
	inqud_text_clean(transfer->error, sizeof(transfer->error),
					 text, strlen(text));
	transfer->response.error = transfer->error;
}

void
inqud_http_finish(InqudTransfer *transfer, CURLcode code)
{
	CURL	   *easy = transfer->easy;
	InqudResponse *r = &transfer->response;
	const InqudBuffer *body = &transfer->receiver.body;
	int64_t		status = get_number(easy, CURLINFO_RESPONSE_CODE);

	/* libcurl takes a head that breaks off for a whole reply */
	if (code == CURLE_OK && !transfer->receiver.head_ended)
		code = CURLE_PARTIAL_FILE;
	r->progress = find_progress(transfer, code);
	r->timed_out = code == CURLE_OPERATION_TIMEDOUT;
	r->no_descriptor = r->progress == INQUD_NOT_SENT && !r->timed_out &&
		(transfer->no_descriptor || lacks_descriptors());
	r->name_failed = code == CURLE_COULDNT_RESOLVE_HOST ||
		(r->timed_out && r->progress == INQUD_NOT_SENT &&
		 get_number(easy, CURLINFO_NAMELOOKUP_TIME_T) == 0);
	r->tls_failed = is_tls_error(code) || transfer->refused == inqud_unfit_ca_file;
	/* libcurl takes "HTTP/28988" and "HTTP/2 9" for one, too */
	r->http_status = status >= 100 && status <= 999 ? (int) status : 0;
	r->retry_after_ms = get_retry_after_ms(easy);
	r->date = get_date(easy);
	r->body = body->data != NULL ? body->data : "";
	r->body_len = body->len;
	r->total_us = get_number(easy, CURLINFO_TOTAL_TIME_T);
	r->bytes_sent = get_number(easy, CURLINFO_REQUEST_SIZE) + get_number(easy, CURLINFO_SIZE_UPLOAD_T);
	r->bytes_received = get_number(easy, CURLINFO_HEADER_SIZE) + get_number(easy, CURLINFO_SIZE_DOWNLOAD_T);
	r->address = transfer->address;
	r->connected = transfer->address[0] != '\0' || r->progress != INQUD_NOT_SENT;
	set_error_text(transfer, code);
}
