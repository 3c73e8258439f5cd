/*-------------------------------------------------------------------------
 *
 * server.c
 *		The misbehaving HTTP server of the unit tests.
 * One thread accepts, one serves each connection.  None waits for time to pass.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "server.h"

#define MAX_CONNECTIONS 600
#define MAX_REQUEST 65536

struct Server
{
	int			listener;
	int			port;
	SSL_CTX    *tls;
	char		ca_file[64];
	pthread_t	acceptor;
	pthread_mutex_t lock;
	pthread_cond_t news;
	int			connections;
	int			requests;
	char		last[MAX_REQUEST];
	int			fds[MAX_CONNECTIONS];	/* -1 once closed */
	pthread_t	threads[MAX_CONNECTIONS];
};

typedef struct Connection
{
	Server	   *server;
	int			index;
	int			fd;
	SSL		   *ssl;
	char		request[MAX_REQUEST];
	size_t		len;
	int			served;			/* requests on this connection */
} Connection;

static const char object[] = "{\"id\":\"CCO-1\",\"status\":\"NEW\",\"clientOrderId\":\"order-1\"}";

/* ---------------------------------------------------------------------
 * Bytes
 * ---------------------------------------------------------------------
 */

static bool
put(Connection *c, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0)
	{
		ssize_t		n = c->ssl != NULL ? SSL_write(c->ssl, p, (int) len) :
			send(c->fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		p += n;
		len -= (size_t) n;
	}
	return true;
}

static bool
put_text(Connection *c, const char *text)
{
	return put(c, text, strlen(text));
}

static ssize_t
get(Connection *c, char *out, size_t size)
{
	return c->ssl != NULL ? SSL_read(c->ssl, out, (int) size) :
		recv(c->fd, out, size, 0);
}

/* Read what comes until the client goes away. */
static void
wait_for_close(Connection *c)
{
	char		scrap[256];

	while (get(c, scrap, sizeof(scrap)) > 0)
		;
}

/* Read one request with its body into c->request. */
static bool
read_request(Connection *c)
{
	const char *end;
	const char *length;
	size_t		need = 0;

	c->len = 0;
	c->request[0] = '\0';
	for (;;)
	{
		ssize_t		n;

		end = strstr(c->request, "\r\n\r\n");
		if (end != NULL)
		{
			length = strcasestr(c->request, "\r\nContent-Length:");
			need = (size_t) (end + 4 - c->request);
			if (length != NULL && length < end)
				need += (size_t) strtoul(length + 17, NULL, 10);
			if (c->len >= need)
				return true;
		}
		n = get(c, c->request + c->len, MAX_REQUEST - 1 - c->len);
		if (n <= 0)
			return false;
		c->len += (size_t) n;
		c->request[c->len] = '\0';
	}
}

/* ---------------------------------------------------------------------
 * Replies, each under the word that asks for it
 * ---------------------------------------------------------------------
 */

static bool
reply_with(Connection *c, const char *status, const char *headers, const char *body)
{
	char		text[4096];

	snprintf(text, sizeof(text), "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status,
			 headers, strlen(body), body);
	return put_text(c, text);
}

static bool
do_ok(Connection *c)
{
	return reply_with(c, "200 OK", "Content-Type: application/json\r\n", object);
}

static bool
do_reset(Connection *c)
{
	struct linger now = {1, 0};

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	return false;
}

static bool
do_empty(Connection *c)
{
	(void) c;
	return false;
}

static bool
do_truncated(Connection *c)
{
	put_text(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"id\":");
	return false;
}

static bool
do_halfhead(Connection *c)
{
	put_text(c, "HTTP/1.1 200 OK\r\nContent-Le");
	return false;
}

static bool
do_oversized(Connection *c)
{
	put_text(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
	wait_for_close(c);
	return false;
}

/* A text, and another one for ever. */
static bool
flood(Connection *c, const char *start, const char *again)
{
	put_text(c, start);
	while (put_text(c, again))
		;
	return false;
}

/* No length announced, and no end. */
static bool
do_endless(Connection *c)
{
	return flood(c, "HTTP/1.1 200 OK\r\n\r\n", "                                                ");
}

static bool
do_bighead(Connection *c)
{
	return flood(c, "HTTP/1.1 200 OK\r\n", "X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n");
}

static bool
do_interim(Connection *c)
{
	return flood(c, "", "HTTP/1.1 100 Continue\r\n\r\n");
}

static bool
do_trailers(Connection *c)
{
	return flood(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
				 "X-Trailer: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n");
}

static bool
do_extensions(Connection *c)
{
	return flood(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
				 "1;name=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n \r\n");
}

/* One byte whenever the client has not gone away for 5 ms. */
static bool
do_drip(Connection *c)
{
	struct pollfd gone = {.fd = c->fd,.events = POLLIN};

	put_text(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
	while (poll(&gone, 1, 5) == 0 && put_text(c, " "))
		;
	return false;
}

static bool
do_hang(Connection *c)
{
	wait_for_close(c);
	return false;
}

static bool
do_hangbody(Connection *c)
{
	put_text(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{");
	wait_for_close(c);
	return false;
}

/* Keeps the connection once, and closes it on the next request. */
static bool
do_closekept(Connection *c)
{
	return c->served == 1 && do_ok(c);
}

static bool
do_redirect(Connection *c)
{
	char		location[100];

	snprintf(location, sizeof(location), "Location: http://127.0.0.1:%d/ok\r\n",
			 c->server->port);
	return reply_with(c, "302 Found", location, "");
}

static bool
do_garbage(Connection *c)
{
	put_text(c, "SMTP ready\r\n\r\nno HTTP at all\r\n");
	return false;
}

static bool
do_gzip(Connection *c)
{
	return reply_with(c, "200 OK", "Content-Encoding: gzip\r\n", "\x1f\x8b\x08\x01garbage");
}

static bool
do_chunked(Connection *c)
{
	return put_text(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
					"11\r\n{\"id\":\"CCO-1\",\"s\r\ne\r\ntatus\":\"NEW\"} \r\n0\r\n\r\n");
}

static bool
do_error(Connection *c)
{
	return reply_with(c, "422 No", "", "{\"code\":\"VALIDATION_ERROR\",\"message\":\"no\"}");
}

/* "retry-NAME": the header in several forms. */
static bool
do_retry(Connection *c)
{
	static const struct
	{
		const char *word;
		const char *header;
	}			forms[] =
	{
		{"retry-seconds", "Retry-After: 7\r\n"},
		{"retry-zero", "retry-after:0\r\n"},
		{"retry-negative", "Retry-After: -3\r\n"},
		{"retry-absurd", "Retry-After: 99999999999999999999\r\n"},
		{"retry-past", "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n"},
		{"retry-far", "RETRY-AFTER: Sun, 06 Nov 2094 08:49:37 GMT\r\n"},
		{"retry-spaces", "Retry-After:  120 \r\n"},
		{"retry-words", "Retry-After: soon\r\n"},
		{"retry-unit", "Retry-After: 5s\r\n"},
		{"retry-fraction", "Retry-After: 1.5\r\n"},
		{"retry-plus", "Retry-After: +5\r\n"},
		{"retry-empty", "Retry-After:\r\n"},
		{"retry-impossible", "Retry-After: Sun, 32 Nov 2094 08:49:37 GMT\r\n"},
		{"retry-none", ""},
		{"retry-dated", "date:  Sun, 06 Nov 1994 08:49:37 GMT \r\n"},
		{"retry-undated", "Date: today\r\n"}
	};
	size_t		i;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
	{
		if (strstr(c->request, forms[i].word) != NULL)
			return reply_with(c, "429 Slow down", forms[i].header, "{}");
	}
	return false;
}

/* "until-FORM": a Retry-After in an hour, in one of the three forms of an HTTP date. */
static bool
do_until(Connection *c)
{
	static const char *const forms[][2] = {
		{"until-fixdate", "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n"},
		{"until-rfc850", "Retry-After: %A, %d-%b-%y %H:%M:%S GMT\r\n"},
		{"until-asctime", "Retry-After: %a %b %e %H:%M:%S %Y\r\n"}
	};
	time_t		then = time(NULL) + 3600;
	struct tm	tm;
	char		header[100];
	size_t		i;

	gmtime_r(&then, &tm);
	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
	{
		if (strstr(c->request, forms[i][0]) != NULL &&
			strftime(header, sizeof(header), forms[i][1], &tm) > 0)
			return reply_with(c, "429 Slow down", header, "{}");
	}
	return false;
}

static const struct
{
	const char *word;
	bool		(*reply) (Connection *c);	/* false = close */
}			behaviours[] =
{
	{"/do-ok", do_ok},
	{"/do-reset", do_reset},
	{"/do-empty", do_empty},
	{"/do-truncated", do_truncated},
	{"/do-halfhead", do_halfhead},
	{"/do-oversized", do_oversized},
	{"/do-endless", do_endless},
	{"/do-bighead", do_bighead},
	{"/do-drip", do_drip},
	{"/do-interim", do_interim},
	{"/do-trailers", do_trailers},
	{"/do-extensions", do_extensions},
	{"/do-hangbody", do_hangbody},
	{"/do-hang", do_hang},
	{"/do-closekept", do_closekept},
	{"/do-redirect", do_redirect},
	{"/do-garbage", do_garbage},
	{"/do-gzip", do_gzip},
	{"/do-chunked", do_chunked},
	{"/do-error", do_error},
	{"/do-retry", do_retry},
	{"/do-until", do_until}
};

static bool
answer(Connection *c)
{
	char	   *line_end = strstr(c->request, "\r\n");
	bool		keep = false;
	size_t		i;

	*line_end = '\0';
	for (i = 0; i < sizeof(behaviours) / sizeof(behaviours[0]); i++)
	{
		if (strstr(c->request, behaviours[i].word) != NULL)
		{
			keep = behaviours[i].reply(c);
			break;
		}
	}
	return keep;
}

/* ---------------------------------------------------------------------
 * Threads
 * ---------------------------------------------------------------------
 */

static void
note_request(Connection *c)
{
	Server	   *server = c->server;

	pthread_mutex_lock(&server->lock);
	server->requests++;
	memcpy(server->last, c->request, c->len + 1);
	pthread_cond_broadcast(&server->news);
	pthread_mutex_unlock(&server->lock);
	c->served++;
}

static void *
serve(void *arg)
{
	Connection *c = arg;
	Server	   *server = c->server;

	if (server->tls != NULL)
	{
		c->ssl = SSL_new(server->tls);
		SSL_set_fd(c->ssl, c->fd);
	}
	if (c->ssl == NULL || SSL_accept(c->ssl) == 1)
	{
		while (read_request(c))
		{
			note_request(c);
			if (!answer(c))
				break;
		}
	}
	SSL_free(c->ssl);
	pthread_mutex_lock(&server->lock);
	server->fds[c->index] = -1;
	pthread_mutex_unlock(&server->lock);
	close(c->fd);
	free(c);
	return NULL;
}

static void *
accept_all(void *arg)
{
	Server	   *server = arg;
	int			fd;

	while ((fd = accept(server->listener, NULL, NULL)) >= 0)
	{
		Connection *c = calloc(1, sizeof(*c));
		int			i;

		pthread_mutex_lock(&server->lock);
		i = server->connections++;
		if (i >= MAX_CONNECTIONS)
			abort();
		c->server = server;
		c->index = i;
		c->fd = server->fds[i] = fd;
		pthread_create(&server->threads[i], NULL, serve, c);
		pthread_mutex_unlock(&server->lock);
	}
	return NULL;
}

/* A key and a certificate for 127.0.0.1, good for an hour. */
static void
make_tls(Server *server, char *ca_file, size_t size)
{
	EVP_PKEY   *key = EVP_EC_gen("P-256");
	X509	   *cert = X509_new();
	X509_NAME  *name = X509_get_subject_name(cert);
	X509_EXTENSION *extension;
	FILE	   *file;
	int			fd;

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *) "test", -1, -1, 0);
	X509_set_issuer_name(cert, name);
	X509_set_pubkey(cert, key);
	extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
	X509_add_ext(cert, extension, -1);
	X509_EXTENSION_free(extension);
	X509_sign(cert, key, EVP_sha256());
	server->tls = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate(server->tls, cert);
	SSL_CTX_use_PrivateKey(server->tls, key);
	snprintf(server->ca_file, sizeof(server->ca_file), "/tmp/inqud-test-ca-XXXXXX");
	fd = mkstemp(server->ca_file);
	file = fdopen(fd, "w");
	PEM_write_X509(file, cert);
	fclose(file);
	snprintf(ca_file, size, "%s", server->ca_file);
	X509_free(cert);
	EVP_PKEY_free(key);
}

Server *
server_start(char *ca_file, size_t size)
{
	Server	   *server = calloc(1, sizeof(*server));
	struct sockaddr_in address;
	socklen_t	len = sizeof(address);

	memset(&address, 0, sizeof(address));
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server->listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(server->listener, (struct sockaddr *) &address, sizeof(address)) != 0 ||
		listen(server->listener, 256) != 0 ||
		getsockname(server->listener, (struct sockaddr *) &address, &len) != 0)
	{
		perror("server");
		exit(2);
	}
	server->port = ntohs(address.sin_port);
	if (ca_file != NULL)
		make_tls(server, ca_file, size);
	pthread_mutex_init(&server->lock, NULL);
	pthread_cond_init(&server->news, NULL);
	pthread_create(&server->acceptor, NULL, accept_all, server);
	return server;
}

int
server_port(const Server *server)
{
	return server->port;
}

void
server_stop(Server *server)
{
	int			i;

	shutdown(server->listener, SHUT_RDWR);
	pthread_join(server->acceptor, NULL);
	close(server->listener);
	pthread_mutex_lock(&server->lock);
	for (i = 0; i < server->connections; i++)
	{
		if (server->fds[i] >= 0)
			shutdown(server->fds[i], SHUT_RDWR);
	}
	pthread_mutex_unlock(&server->lock);
	for (i = 0; i < server->connections; i++)
		pthread_join(server->threads[i], NULL);
	if (server->tls != NULL)
		unlink(server->ca_file);
	SSL_CTX_free(server->tls);
	pthread_mutex_destroy(&server->lock);
	pthread_cond_destroy(&server->news);
	free(server);
}

int
server_connections(Server *server)
{
	int			n;

	pthread_mutex_lock(&server->lock);
	n = server->connections;
	pthread_mutex_unlock(&server->lock);
	return n;
}

int
server_requests(Server *server)
{
	int			n;

	pthread_mutex_lock(&server->lock);
	n = server->requests;
	pthread_mutex_unlock(&server->lock);
	return n;
}

bool
server_await_requests(Server *server, int n)
{
	struct timespec until;
	bool		good;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	pthread_mutex_lock(&server->lock);
	while (server->requests < n)
	{
		if (pthread_cond_timedwait(&server->news, &server->lock, &until) == ETIMEDOUT)
			break;
	}
	good = server->requests >= n;
	pthread_mutex_unlock(&server->lock);
	return good;
}

void
server_last(Server *server, char *out, size_t size)
{
	pthread_mutex_lock(&server->lock);
	snprintf(out, size, "%s", server->last);
	pthread_mutex_unlock(&server->lock);
}
