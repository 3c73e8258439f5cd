/*
 * pool.h
 *		Many transfers at a time: one libcurl multi handle driven by epoll, easy
 *		handles and connections kept.  What a plain C program would do.
 */
#ifndef POOL_H
#define POOL_H

#include <stdbool.h>
#include <stddef.h>

#define BODY_SIZE 8192

typedef struct Slot
{
	struct Slot *next;			/* free ones */
	void	   *easy;			/* a CURL */
	void	   *caller;			/* memory of the caller's */
	char		url[512];
	char		request[2048];		/* empty for a GET */
	char		reply[BODY_SIZE];
	size_t		reply_len;
} Slot;

/* A transfer has ended well; the slot is free again afterwards. */
typedef void (*PoolDone) (Slot *slot);

extern void pool_open(int window, size_t caller_size, PoolDone done);
extern Slot *pool_take(void);	/* NULL when the window is full */
extern void pool_start(Slot *slot);
extern int	pool_running(void);

/* Waits up to so long for sockets; true when one that is not libcurl's is ready. */
extern bool pool_turn(int timeout_ms);

/* Another descriptor to be told of. */
extern void pool_watch(int fd, bool out);

#endif
