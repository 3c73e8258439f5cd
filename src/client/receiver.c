/*-------------------------------------------------------------------------
 *
 * receiver.c
 *		What the callbacks of an exchange do with the bytes: count, copy, stop.
 *
 * The functions that begin with "on" run below libcurl's frames, and have the
 * shape libcurl wants without needing its header.  They may not allocate
 * outside the bounded buffer, log, throw, or call libcurl; on trouble they
 * return what ends the transfer, and a flag says what it was.
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
inqud_receiver_reset(InqudReceiver *receiver, bool send_once,
					 int64_t max_reply_size)
{
	receiver->send_once = send_once;
	receiver->attempts = 0;
	receiver->header_bytes = 0;
	receiver->head_ended = false;
	receiver->too_large = false;
	receiver->no_memory = false;
	receiver->retry_after_ms = -1;
	receiver->date = 0;
	/* never beyond what the JSON reader takes; 0 would mean "no limit" */
	if (max_reply_size < 1)
		max_reply_size = 1;
	if (max_reply_size > (int64_t) INQUD_JSON_MAX_SIZE)
		max_reply_size = (int64_t) INQUD_JSON_MAX_SIZE;
	receiver->body.max = (size_t) max_reply_size;
}

/*
 * Asked before every attempt to send the request, on whatever connection, and
 * when nothing of it has been sent.  libcurl would send a second time by
 * itself when a kept connection turns out to be closed; whether to repeat a
 * create is not libcurl's to decide.  (A read function without a seek function
 * prevents it too, but sends head and body apart, which costs a third more.)
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

/* The value of a header line of this name (in lower case, with its colon), or NULL. */
static const char *
value_of(const char *line, size_t *len, const char *name)
{
	size_t		name_len = strlen(name);

	if (*len <= name_len || strncasecmp(line, name, name_len) != 0)
		return NULL;
	*len -= name_len;
	return line + name_len;
}

static void
read_date(InqudReceiver *receiver, const char *value, size_t len)
{
	int64_t		seconds;

	while (len > 0 && (*value == ' ' || *value == '\t'))
	{
		value++;
		len--;
	}
	while (len > 0 && (value[len - 1] == '\r' || value[len - 1] == '\n' ||
					   value[len - 1] == ' ' || value[len - 1] == '\t'))
		len--;
	if (inqud_http_date_read(value, len, &seconds))
		receiver->date = seconds;
}

static void
read_header(InqudReceiver *receiver, const char *line, size_t len)
{
	size_t		rest = len;
	const char *value = value_of(line, &rest, "retry-after:");

	if (value != NULL)
		receiver->retry_after_ms = inqud_retry_after_read(value, rest,
														  (int64_t) time(NULL));
	else if ((value = value_of(line, &rest, "date:")) != NULL)
		read_date(receiver, value, rest);
}

/* One header line at a time. */
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
	else
		read_header(receiver, data, len);
	return len;
}
