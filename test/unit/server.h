/*-------------------------------------------------------------------------
 *
 * server.h
 *		A small HTTP server on an ephemeral loopback port that misbehaves on
 *		request.
 *
 * What it does with a request follows from a word in the request's path; see
 * server.c.  It runs in threads of the test program and ends with it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_TEST_SERVER_H
#define INQUD_TEST_SERVER_H

#include <stdbool.h>
#include <stddef.h>

typedef struct Server Server;

/* "ca_file" gets the path of its certificate; NULL = plain http. */
extern Server *server_start(char *ca_file, size_t size);
extern int	server_port(const Server *server);
extern void server_stop(Server *server);

/* How many since the start. */
extern int	server_connections(Server *server);
extern int	server_requests(Server *server);

/* Wait until it has got so many requests; false after 10 seconds. */
extern bool server_await_requests(Server *server, int n);

/* The last request, head and body, NUL-terminated. */
extern void server_last(Server *server, char *out, size_t size);

#endif							/* INQUD_TEST_SERVER_H */
