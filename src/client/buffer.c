/*-------------------------------------------------------------------------
 *
 * buffer.c
 *		Buffers with a ceiling, and wiping: of buffers, and of what libcurl frees.
 *
 * All bytes from and to the network go through such a buffer.  Must not call anything
 * but malloc and free, since libcurl's callbacks use it.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#if defined(__linux__)
#include <malloc.h>
#elif defined(__FreeBSD__)
#include <malloc_np.h>
#elif defined(__APPLE__)
#include <malloc/malloc.h>
#endif

#include "client_internal.h"

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
grow_buffer(InqudBuffer *buffer, size_t needed)
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
		memcpy(data, buffer->data, buffer->len);
	inqud_wipe(buffer->data, buffer->size);
	free(buffer->data);
	buffer->data = data;
	buffer->size = size;
	return true;
}

bool
inqud_buffer_reserve(InqudBuffer *buffer, size_t len)
{
	return len <= buffer->max && (len < buffer->size || grow_buffer(buffer, len));
}

bool
inqud_buffer_add(InqudBuffer *buffer, const void *data, size_t len)
{
	if (buffer->failed)
		return false;
	if (len > buffer->max - buffer->len ||
		(buffer->len + len + 1 > buffer->size &&
		 !grow_buffer(buffer, buffer->len + len)))
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

/*
 * The malloc family for libcurl, which copies what it sends and does not wipe it.
 * Each block is one of malloc: others in this process may use libcurl too, and give
 * back with free() what it has allocated.  No state is kept here, since libcurl's
 * resolver calls these from a thread.
 */

/* How large a block is at least; 0 = unknown to the C library, and then nothing is wiped. */
static size_t
memory_size(void *memory)
{
#if defined(__linux__) || defined(__FreeBSD__)
	return malloc_usable_size(memory);
#elif defined(__APPLE__)
	return malloc_size(memory);
#else
	(void) memory;
	return 0;
#endif
}

void
inqud_memory_free(void *memory)
{
	if (memory != NULL)
		inqud_wipe(memory, memory_size(memory));
	free(memory);
}

void *
inqud_memory_resize(void *memory, size_t size)
{
	size_t		old = memory != NULL ? memory_size(memory) : 0;
	void	   *moved;

	if (memory != NULL && old == 0)
		return realloc(memory, size);
	if (memory != NULL && size <= old && size >= old / 2)
		return memory;
	moved = malloc(size);
	if (moved == NULL || memory == NULL)
		return moved;
	memcpy(moved, memory, old < size ? old : size);
	inqud_memory_free(memory);
	return moved;
}
