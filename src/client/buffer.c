/*-------------------------------------------------------------------------
 *
 * buffer.c
 *		A growing buffer that cannot grow beyond its ceiling, and wiping.
 *
 * Every byte that comes from the network or goes to it passes through such a
 * buffer, so none can take more memory than was agreed and none is given back
 * to malloc with a secret in it.  Must not call anything but malloc and free:
 * libcurl's callbacks use it.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "client_internal.h"

#ifdef POSTGRES_H
#error "src/client must not include postgres.h"
#endif

#define FIRST_SIZE 256

/*
 * A compiler may drop a memset of memory that is freed next; it cannot look
 * through a volatile pointer.
 */
static void *(*const volatile wipe_memset) (void *, int, size_t) = memset;

void
inqud_wipe(void *memory, size_t len)
{
	if (memory != NULL && len > 0)
		wipe_memset(memory, 0, len);
}

void
inqud_buffer_init(InqudBuffer *buffer, size_t max)
{
	memset(buffer, 0, sizeof(*buffer));
	/* keep the arithmetic of grow() far from overflow */
	buffer->max = max < SIZE_MAX / 4 ? max : SIZE_MAX / 4;
}

/*
 * Make room for "needed" bytes and the NUL.  No realloc, since it could leave
 * a copy of the old bytes behind.
 */
static bool
grow(InqudBuffer *buffer, size_t needed)
{
	size_t		size = buffer->size > 0 ? buffer->size : FIRST_SIZE;
	char	   *data;

	while (size < needed + 1)
		size *= 2;
	if (size > buffer->max + 1)
		size = buffer->max + 1;
	data = malloc(size);
	if (data == NULL)
		return false;
	if (buffer->data != NULL)
	{
		memcpy(data, buffer->data, buffer->len);
		inqud_wipe(buffer->data, buffer->size);
		free(buffer->data);
	}
	buffer->data = data;
	buffer->size = size;
	return true;
}

bool
inqud_buffer_reserve(InqudBuffer *buffer, size_t len)
{
	return len <= buffer->max && (len < buffer->size || grow(buffer, len));
}

bool
inqud_buffer_add(InqudBuffer *buffer, const void *data, size_t len)
{
	if (buffer->failed)
		return false;
	if (len > buffer->max - buffer->len ||
		(buffer->len + len + 1 > buffer->size &&
		 !grow(buffer, buffer->len + len)))
	{
		buffer->failed = true;
		return false;
	}
	if (len > 0)
		memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
	buffer->data[buffer->len] = '\0';
	return true;
}

bool
inqud_buffer_add_text(InqudBuffer *buffer, const char *text)
{
	return inqud_buffer_add(buffer, text, strlen(text));
}

bool
inqud_buffer_add_char(InqudBuffer *buffer, char c)
{
	return inqud_buffer_add(buffer, &c, 1);
}

void
inqud_buffer_clear(InqudBuffer *buffer, size_t keep)
{
	if (buffer->size > keep)
	{
		inqud_buffer_free(buffer);
		return;
	}
	inqud_wipe(buffer->data, buffer->len);
	buffer->len = 0;
	buffer->failed = false;
}

void
inqud_buffer_free(InqudBuffer *buffer)
{
	inqud_wipe(buffer->data, buffer->len);
	free(buffer->data);
	inqud_buffer_init(buffer, buffer->max);
}
