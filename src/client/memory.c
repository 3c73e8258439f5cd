/*-------------------------------------------------------------------------
 *
 * memory.c
 *		The malloc family for libcurl, which copies what it sends and does not
 *		wipe it: these wipe each block before it is freed.
 *
 * Every block is one of malloc, so that it does no harm when others in this
 * process use libcurl, too, and give back with free() what it has allocated.
 * That needs the system to say how large a block is; where it does not, nothing
 * is wiped.  Must not keep any state: libcurl's resolver calls it from a thread.
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

#ifdef POSTGRES_H
#error "src/client must not include postgres.h"
#endif

/* How large a block is at least; 0 = unknown. */
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

/* As realloc, which may leave the old bytes behind. */
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
