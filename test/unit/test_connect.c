/*-------------------------------------------------------------------------
 *
 * test_connect.c
 *		Everything before a request is sent: names, addresses, connections,
 *		TLS.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "transfers.h"

/* ---------------------------------------------------------------------
 * A resolver of our own, below libcurl's: it stands in for the system's.
 *
 * "hang.example" hangs until the test ends, "private.example" leads to
 * loopback, "ADDRESS.to.example" to that address (colons written as "x"),
 * anything else is asked of the system.
 * ---------------------------------------------------------------------
 */
static pthread_mutex_t resolver_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t resolver_news = PTHREAD_COND_INITIALIZER;
static bool resolver_released = false;
static int	resolver_hanging = 0;
static int	resolver_unblocked = 0; /* threads that would take a signal */
static int	resolver_asked = 0; /* for names that lead to an address */

typedef int (*Resolver) (const char *, const char *, const struct addrinfo *,
						 struct addrinfo **);

int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
			struct addrinfo **result)
{
	Resolver	real;
	void	   *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
	sigset_t	mask;
	char		address[64];

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
	if (name != NULL && strstr(name, ".to.example") != NULL)
	{
		char	   *p;

		snprintf(address, sizeof(address), "%.*s", (int) (strstr(name, ".to.") - name), name);
		for (p = address; *p != '\0'; p++)
		{
			if (*p == 'x')
				*p = ':';
		}
		name = address;
		resolver_asked++;
	}
	pthread_mutex_unlock(&resolver_lock);
	return real(name, service, hints, result);
}

/* Wait until so many resolvers hang, or more: newer libcurl asks for both families at once. */
static void
await_hanging(int n)
{
	pthread_mutex_lock(&resolver_lock);
	while (n == 0 ? resolver_hanging != 0 : resolver_hanging < n)
		pthread_cond_wait(&resolver_news, &resolver_lock);
	pthread_mutex_unlock(&resolver_lock);
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

/* How far a transfer came that was not sent, and whether an address stopped it. */
static void
came_to(const InqudResponse *r, bool connected, bool refused, const char *name)
{
	ok(r->progress == INQUD_NOT_SENT && r->connected == connected && r->address_refused == refused,
	   "%s: connected %d, address refused %d", name, r->connected, r->address_refused);
	is(r->address, connected ? "127.0.0.1" : "", "... to whom");
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
	account.connect_timeout_ms = 1000;
	transfer = run(true, "do-ok");
	r = inqud_transfer_response(transfer);
	ok(r->progress == INQUD_NOT_SENT && r->timed_out, "the connect timeout covers the handshake");
	came_to(r, true, false, "a handshake that hangs");
	inqud_transfer_free(transfer);
	account.connect_timeout_ms = CONNECT_MS;

	close(silent);
	snprintf(base_url, sizeof(base_url), "http://127.0.0.1:%d", port);
	ends(true, "do-ok", INQUD_NOT_SENT, 0);
	transfer = run(true, "do-ok");
	came_to(inqud_transfer_response(transfer), false, false, "nobody listens");
	inqud_transfer_free(transfer);

	/* a name below localhost leads to loopback, and is not "localhost" */
	snprintf(base_url, sizeof(base_url), "https://rebound.localhost:%d", server_port(server));
	transfer = run(true, "do-ok");
	r = inqud_transfer_response(transfer);
	is_int(r->progress, INQUD_NOT_SENT, "a name that leads to loopback is not connected to");
	is(r->error, "the host's name leads to an address that is not public", "... says why");
	came_to(r, false, true, "a private address");
	inqud_transfer_free(transfer);
	snprintf(base_url, sizeof(base_url), "http://localhost:%d", server_port(server));
	ends(true, "do-ok", INQUD_DONE, 200);

	snprintf(base_url, sizeof(base_url), "https://no-such-host.invalid");
	account.connect_timeout_ms = 2000;
	transfer = run(true, "do-ok");
	r = inqud_transfer_response(transfer);
	ok(r->progress == INQUD_NOT_SENT && r->name_failed, "a name that does not exist: %s", r->error);
	came_to(r, false, false, "a name that does not exist");
	inqud_transfer_free(transfer);
	account.connect_timeout_ms = CONNECT_MS;

	snprintf(base_url, sizeof(base_url), "https://127.0.0.1:%d", server_port(server));
	account.connect_timeout_ms = 1000;
	transfer = run(true, "do-ok");
	r = inqud_transfer_response(transfer);
	ok(r->progress == INQUD_NOT_SENT || r->progress == INQUD_NO_ANSWER, "TLS to a plain server");
	inqud_transfer_free(transfer);
	account.connect_timeout_ms = CONNECT_MS;
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
	ok(now_ms() - start < SOON_MS, "freed at once while the resolver hangs");
	inqud_request_free(request);
	account.connect_timeout_ms = 1000;
	transfer = run(true, "do-ok");
	r = inqud_transfer_response(transfer);
	ok(r->progress == INQUD_NOT_SENT && r->timed_out && r->name_failed, "it times out: %s", r->error);
	ok(now_ms() - start < CONNECT_MS, "in time");
	inqud_transfer_free(transfer);
	account.connect_timeout_ms = CONNECT_MS;
	memcpy(base_url, saved, sizeof(saved));
	ends(true, "do-ok", INQUD_DONE, 200);
	is_int(resolver_unblocked, 0, "no resolver's thread would take a signal");
	pthread_mutex_lock(&resolver_lock);
	resolver_released = true;
	pthread_cond_broadcast(&resolver_news);
	pthread_mutex_unlock(&resolver_lock);
	await_hanging(0);
}

/*
 * Names that lead inside: the address itself is judged, on the way to the
 * connection.  A look-up of our own before it could be told something else
 * than libcurl is told, hence the counting.
 */
static void
test_leads_inside(void)
{
	static const char *const inside[] = {
		"0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.0.1", "169.254.169.254", "172.16.0.1",
		"192.0.0.8", "192.0.2.1", "192.168.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255",
		"xx1", "xx", "xxffffx127.0.0.1", "xxffffx10.0.0.1", "fe80xx1", "fc00xx1", "fd00xx1", "ff02xx1",
		"64xff9bxx10.0.0.1", "2002xa00x1xx1", "2001xx1", "2001xdb8xx1", "xx127.0.0.1"
	};
	char		saved[64];
	int			connections = server_connections(server);
	int			asked = resolver_asked;
	int			n = (int) (sizeof(inside) / sizeof(inside[0]));
	int			i;

	memcpy(saved, base_url, sizeof(saved));
	for (i = 0; i < n; i++)
	{
		InqudTransfer *transfer;
		const InqudResponse *r;

		snprintf(base_url, sizeof(base_url), "https://%s.to.example:%d", inside[i], server_port(server));
		transfer = run(i % 2 == 0, "do-ok");
		r = inqud_transfer_response(transfer);
		ok(r->progress == INQUD_NOT_SENT &&
		   strcmp(r->error, "the host's name leads to an address that is not public") == 0,
		   "a name must not lead to %s: %s", inside[i], r->error);
		inqud_transfer_free(transfer);
	}
	/* how often is libcurl's matter; newer releases ask for each kind of address */
	ok(resolver_asked > asked, "%d lookups for %d names", resolver_asked - asked, n);
	is_int(server_connections(server), connections, "nothing was connected to");

	/* what 127.0.0.1 was told once must not serve "localhost", nor the other way round */
	snprintf(base_url, sizeof(base_url), "http://localhost:%d", server_port(server));
	ends(true, "do-ok", INQUD_DONE, 200);
	snprintf(base_url, sizeof(base_url), "https://127.0.0.1.to.example:%d", server_port(server));
	ends(true, "do-ok", INQUD_NOT_SENT, 0);
	memcpy(base_url, saved, sizeof(saved));
}

/* A CA file of this kind is refused at once, before anything is connected to. */
static void
refuses_ca_file(const char *path, const char *what)
{
	int64_t		start = now_ms();
	InqudTransfer *transfer;
	const InqudResponse *r;

	account.ca_file = path;
	transfer = run(true, "do-ok");
	r = inqud_transfer_response(transfer);
	ok(r->progress == INQUD_NOT_SENT && r->tls_failed, "%s as CA file: %s", what, r->error);
	is(r->error, "ca_file is not a regular file of at most 16 MB", "... says why");
	ok(now_ms() - start < CONNECT_MS, "... before its time is over");
	inqud_transfer_free(transfer);
	account.ca_file = NULL;
}

static void
test_ca_files(void)
{
	char		folder[] = "/tmp/inqud-test-XXXXXX";
	char		path[64];
	char		saved[64];
	char		ca_file[64];
	Server	   *tls = server_start(ca_file, sizeof(ca_file));
	FILE	   *file;

	memcpy(saved, base_url, sizeof(saved));
	snprintf(base_url, sizeof(base_url), "https://127.0.0.1:%d", server_port(tls));
	if (mkdtemp(folder) == NULL)
		exit(2);
	snprintf(path, sizeof(path), "%s/file", folder);
	if (mkfifo(path, 0600) != 0)
		exit(2);
	refuses_ca_file(path, "a pipe");
	unlink(path);
	refuses_ca_file(folder, "a folder");
	refuses_ca_file("/dev/zero", "a device");
	file = fopen(path, "w");
	ok(file != NULL && ftruncate(fileno(file), 16 * 1024 * 1024 + 1) == 0, "a large file is made");
	refuses_ca_file(path, "a large file");
	is_int(server_connections(tls), 0, "nothing was connected to");
	if (file != NULL && ftruncate(fileno(file), 0) == 0)
		fputs("no certificate\n", file);
	if (file != NULL)
		fclose(file);
	account.ca_file = path;
	ends(true, "do-ok", INQUD_NOT_SENT, 0);
	/* one that is set right is read with the next connection */
	unlink(path);
	if (symlink(ca_file, path) != 0)
		exit(2);
	ends(true, "do-ok", INQUD_DONE, 200);
	unlink(path);
	rmdir(folder);
	account.ca_file = NULL;
	memcpy(base_url, saved, sizeof(saved));
	server_stop(tls);
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
	came_to(r, true, false, "an unknown certificate");
	inqud_transfer_free(transfer);
	account.ca_file = ca_file;
	for (i = 0; i < 3; i++)
		ends(i % 2 == 0, "do-ok", INQUD_DONE, 200);
	is_int(server_connections(tls), 2, "a known one is accepted, and the connection kept");
	ends(true, "do-closekept", INQUD_NO_ANSWER, 0);
	/* the certificate is for the address alone */
	snprintf(base_url, sizeof(base_url), "https://localhost:%d", server_port(tls));
	transfer = run(true, "do-ok");
	r = inqud_transfer_response(transfer);
	ok(r->progress == INQUD_NOT_SENT && r->tls_failed, "a certificate of another name is refused: %s", r->error);
	inqud_transfer_free(transfer);
	snprintf(base_url, sizeof(base_url), "https://127.0.0.1:%d", server_port(tls));
	account.ca_file = "/nonexistent/ca.pem";
	transfer = run(true, "do-ok");
	r = inqud_transfer_response(transfer);
	ok(r->progress == INQUD_NOT_SENT && r->tls_failed, "a missing CA file: %s", r->error);
	came_to(r, true, false, "a missing CA file");
	inqud_transfer_free(transfer);
	account.ca_file = NULL;
	transfer = run(true, "do-ok");
	ok(inqud_transfer_response(transfer)->tls_failed, "without the CA file it is unknown again");
	inqud_transfer_free(transfer);
	is_int(server_requests(tls), 4, "no request but the good ones was seen");
	memcpy(base_url, saved, sizeof(saved));
	server_stop(tls);
}

int
main(void)
{
	begin();
	test_not_sent();
	test_resolver();
	test_leads_inside();
	test_tls();
	test_ca_files();
	return end();
}
