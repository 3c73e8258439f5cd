/*-------------------------------------------------------------------------
 *
 * receiver.c
 *		libcurl's callbacks for the bytes of one transfer: they count, copy the
 *		body, and stop what exceeds a limit.
 *
 * libcurl calls the functions named "inqud_on..."; their types need no header of it.
 * They must not allocate outside the bounded buffer, log, throw, or call libcurl.  To
 * end the transfer they return what libcurl takes for an error, and set a flag that
 * says what it was.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "client_internal.h"

/* The most bytes that all headers of a reply may have together. */
#define MAX_HEADER_BYTES (64 * 1024)

void
inqud_receiver_reset(InqudReceiver *receiver, bool send_once,
					 int64_t max_reply_size)
{
	*receiver = (InqudReceiver) {.send_once = send_once,.body = receiver->body};
	/* never beyond what the JSON reader takes; 0 would mean "no limit" */
	if (max_reply_size < 1)
		max_reply_size = 1;
	if (max_reply_size > (int64_t) INQUD_JSON_MAX_SIZE)
		max_reply_size = (int64_t) INQUD_JSON_MAX_SIZE;
	receiver->body.max = (size_t) max_reply_size;
}

/*
 * libcurl calls this before each attempt to send the request, when nothing of it has
 * been sent.  When a kept connection turns out to be closed, libcurl would send it
 * again; a create must not be sent twice, so the second attempt is refused.
 */
int
inqud_on_request(void *arg, char *remote_ip, char *local_ip, int remote_port,
				 int local_port)
{
	InqudReceiver *receiver = arg;

	(void) remote_ip;
	(void) local_ip;
	(void) remote_port;
	(void) local_port;
	receiver->attempts++;
	return receiver->send_once && receiver->attempts > 1 ? 1 : 0;
}

size_t
inqud_on_body(char *data, size_t size, size_t count, void *arg)
{
	InqudReceiver *receiver = arg;
	size_t		len = size * count;

	if (len > receiver->body.max - receiver->body.len)
		receiver->too_large = true;
	else if (inqud_buffer_add(&receiver->body, data, len))
		return len;
	else
		receiver->no_memory = true;
	return 0;
}

/* libcurl calls this for each line of the head. */
size_t
inqud_on_header(char *data, size_t size, size_t count, void *arg)
{
	InqudReceiver *receiver = arg;
	size_t		len = size * count;

	receiver->header_bytes += len;
	if (receiver->header_bytes > MAX_HEADER_BYTES)
	{
		receiver->too_large = true;
		return 0;
	}
	if (len > 5 && memcmp(data, "HTTP/", 5) == 0)
		receiver->head_ended = false;	/* another one after "100 Continue" */
	else if (len > 0 && (data[0] == '\r' || data[0] == '\n'))
		receiver->head_ended = true;
	return len;
}
