/*-------------------------------------------------------------------------
 *
 * reply.h
 *		Making replies out of bodies, for the tests that read them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_TEST_REPLY_H
#define INQUD_TEST_REPLY_H

#include <stdlib.h>

#include "client_internal.h"
#include "tap.h"

#define ID "CCO-11111111-2222-4333-8444-555555555555"

/* Read a body, and hide secrets in what is made of it: two at most, NULL = none. */
__attribute__((unused))
static InqudReply *
read_hiding(int status, const char *body, size_t len, bool creating, const char *id,
			const char *secret, const char *other)
{
	const char *const secrets[] = {other, secret};
	InqudHider *hider = inqud_hider_new(secrets, 2);
	InqudResponse response;
	InqudReply *reply;
	char	   *copy;

	/* exactly sized, so that a byte too many is seen */
	copy = malloc(len + 1);
	memcpy(copy, body, len);
	copy[len] = '\0';
	memset(&response, 0, sizeof(response));
	response.progress = INQUD_DONE;
	response.http_status = status;
	response.retry_after_ms = -1;
	response.error = "";
	response.body = copy;
	response.body_len = len;
	reply = inqud_reply_read(&response, creating, id, hider, NULL);
	inqud_hider_free(hider);
	free(copy);
	return reply;
}

__attribute__((unused))
static InqudReply *
read_reply(int status, const char *body, size_t len, bool creating, const char *id)
{
	return read_hiding(status, body, len, creating, id, NULL, NULL);
}

__attribute__((unused))
static InqudReply *
read_text(const char *body)
{
	return read_reply(200, body, strlen(body), false, NULL);
}

#endif							/* INQUD_TEST_REPLY_H */
