/*-------------------------------------------------------------------------
 *
 * receiver.c
 *		What the callbacks of an exchange do with the bytes: count, copy, stop.
 *
 * The functions that begin with "on" run below libcurl's frames, and have the
 * shape libcurl wants without needing its header.  They may not allocate
 * outside the bounded buffer, log, throw, or call libcurl; on trouble they
 * return a short count, and a flag says what it was.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>
#include <strings.h>
#include <time.h>

#include "client_internal.h"

#ifdef POSTGRES_H
#error "src/client must not include postgres.h"
#endif

/* Ceiling of all header bytes of a reply together. */
#define MAX_HEADER_BYTES (64 * 1024)

void
inqud_receiver_reset(InqudReceiver *receiver, const InqudBuffer *to_send,
					 int64_t max_reply_size)
{
	receiver->to_send = to_send;
	receiver->sent = 0;
	receiver->header_bytes = 0;
	receiver->too_large = false;
	receiver->no_memory = false;
	receiver->retry_after_ms = -1;
	/* never beyond what the JSON reader takes; 0 would mean "no limit" */
	if (max_reply_size < 1)
		max_reply_size = 1;
	if (max_reply_size > (int64_t) INQUD_JSON_MAX_SIZE)
		max_reply_size = (int64_t) INQUD_JSON_MAX_SIZE;
	receiver->body.max = (size_t) max_reply_size;
}

/*
 * The body goes out through here, and there is no seek function: libcurl then
 * cannot send it twice by itself when a kept connection turns out to be
 * closed.  Whether to repeat a create is not libcurl's to decide.
 */
size_t
inqud_on_send(char *out, size_t size, size_t count, void *arg)
{
	InqudReceiver *receiver = arg;
	size_t		room = size * count;
	size_t		left = receiver->to_send->len - receiver->sent;

	if (left > room)
		left = room;
	if (left > 0)
		memcpy(out, receiver->to_send->data + receiver->sent, left);
	receiver->sent += left;
	return left;
}

size_t
inqud_on_body(char *data, size_t size, size_t count, void *arg)
{
	InqudReceiver *receiver = arg;
	size_t		len = size * count;

	if (len > receiver->body.max - receiver->body.len)
	{
		receiver->too_large = true;
		return 0;
	}
	if (!inqud_buffer_add(&receiver->body, data, len))
	{
		receiver->no_memory = true;
		return 0;
	}
	return len;
}

/* One header line at a time. */
size_t
inqud_on_header(char *data, size_t size, size_t count, void *arg)
{
	static const char name[] = "retry-after:";
	const size_t name_len = sizeof(name) - 1;
	InqudReceiver *receiver = arg;
	size_t		len = size * count;

	receiver->header_bytes += len;
	if (receiver->header_bytes > MAX_HEADER_BYTES)
	{
		receiver->too_large = true;
		return 0;
	}
	if (len > name_len && strncasecmp(data, name, name_len) == 0)
		receiver->retry_after_ms =
			inqud_retry_after_read(data + name_len, len - name_len,
								   (int64_t) time(NULL));
	return len;
}
