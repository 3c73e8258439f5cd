/*-------------------------------------------------------------------------
 *
 * elsewhere.c
 *		Preloaded into a server by tests: names that lead where a test wants,
 *		and a record of where it connects to.
 *
 * The name ADDRESS.to.example leads to that address (a colon is written "x").
 * Every address that a connection is made to is added to the file that
 * INQUD_TEST_CONNECTS names, one a line.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef int (*Resolver) (const char *, const char *, const struct addrinfo *,
						 struct addrinfo **);
typedef int (*Connector) (int, const struct sockaddr *, socklen_t);

int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
			struct addrinfo **result)
{
	Resolver	real = (Resolver) dlsym(RTLD_NEXT, "getaddrinfo");
	const char *end = name ? strstr(name, ".to.example") : NULL;
	char		address[64];

	if (end == NULL)
		return real(name, service, hints, result);
	snprintf(address, sizeof(address), "%.*s", (int) (end - name), name);
	for (char *p = address; *p; p++)
		if (*p == 'x')
			*p = ':';
	return real(address, service, hints, result);
}

int
connect(int fd, const struct sockaddr *to, socklen_t len)
{
	Connector	real = (Connector) dlsym(RTLD_NEXT, "connect");
	const char *file = getenv("INQUD_TEST_CONNECTS");
	char		text[INET6_ADDRSTRLEN + 1] = "";

	if (to->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *) to)->sin_addr, text, sizeof(text) - 1);
	else if (to->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *) to)->sin6_addr, text, sizeof(text) - 1);
	if (file && text[0] != '\0')
	{
		int			log = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
		size_t		n = strlen(text);

		text[n] = '\n';
		if (log >= 0 && write(log, text, n + 1) < 0)
			abort();
		if (log >= 0)
			close(log);
	}
	return real(fd, to, len);
}
