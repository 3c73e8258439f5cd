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

__attribute__((unused))
static InqudReply *
read_reply(int status, const char *body, size_t len, bool creating, const char *id)
{
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
	response.content_type = "";
	response.body = copy;
	response.body_len = len;
	reply = inqud_reply_read(&response, creating, id);
	free(copy);
	return reply;
}

__attribute__((unused))
static InqudReply *
read_text(const char *body)
{
	return read_reply(200, body, strlen(body), false, NULL);
}

#endif							/* INQUD_TEST_REPLY_H */
