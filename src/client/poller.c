/*-------------------------------------------------------------------------
 *
 * poller.c
 *		Many descriptors behind one that becomes readable with any of them.
 *
 * This is what lets a backend wait for all transfers with its ordinary wait
 * for its latch.  Never waits itself, and knows nothing of HTTP.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/epoll.h>
#else
#include <fcntl.h>
#include <sys/types.h>
#include <sys/event.h>
#include <sys/time.h>
#endif

#include "client_internal.h"

#ifdef POSTGRES_H
#error "src/client must not include postgres.h"
#endif

/* Events taken from the kernel in one call. */
#define MAX_EVENTS 64

#ifdef __linux__

int
inqud_poller_new(void)
{
	return epoll_create1(EPOLL_CLOEXEC);
}

bool
inqud_poller_set(int poller, int fd, bool in, bool out)
{
	struct epoll_event event;

	memset(&event, 0, sizeof(event));
	event.events = (in ? EPOLLIN : 0) | (out ? EPOLLOUT : 0);
	event.data.fd = fd;
	if (!in && !out)
	{
		/* a closed descriptor is gone already, and that is as good */
		(void) epoll_ctl(poller, EPOLL_CTL_DEL, fd, &event);
		return true;
	}
	if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) == 0)
		return true;
	return errno == EEXIST && epoll_ctl(poller, EPOLL_CTL_MOD, fd, &event) == 0;
}

int
inqud_poller_ready(int poller, InqudReady *ready, int max)
{
	struct epoll_event events[MAX_EVENTS];
	int			n;
	int			i;

	n = epoll_wait(poller, events, max < MAX_EVENTS ? max : MAX_EVENTS, 0);
	if (n < 0)
		return errno == EINTR ? 0 : -1;
	for (i = 0; i < n; i++)
	{
		ready[i].fd = events[i].data.fd;
		ready[i].in = (events[i].events & (EPOLLIN | EPOLLHUP)) != 0;
		ready[i].out = (events[i].events & EPOLLOUT) != 0;
		ready[i].error = (events[i].events & (EPOLLERR | EPOLLHUP)) != 0;
	}
	return n;
}

#else							/* kqueue */

int
inqud_poller_new(void)
{
	int			poller = kqueue();

	if (poller >= 0)
		(void) fcntl(poller, F_SETFD, FD_CLOEXEC);
	return poller;
}

/* One direction; forgetting what was never watched is no failure. */
static bool
set_filter(int poller, int fd, short filter, bool on)
{
	struct kevent change;

	EV_SET(&change, fd, filter, on ? EV_ADD : EV_DELETE, 0, 0, 0);
	return kevent(poller, &change, 1, NULL, 0, NULL) == 0 || !on;
}

bool
inqud_poller_set(int poller, int fd, bool in, bool out)
{
	bool		ok = set_filter(poller, fd, EVFILT_READ, in);

	return set_filter(poller, fd, EVFILT_WRITE, out) && ok;
}

int
inqud_poller_ready(int poller, InqudReady *ready, int max)
{
	struct kevent events[MAX_EVENTS];
	struct timespec now = {0, 0};
	int			n;
	int			i;

	n = kevent(poller, NULL, 0, events, max < MAX_EVENTS ? max : MAX_EVENTS,
			   &now);
	if (n < 0)
		return errno == EINTR ? 0 : -1;
	for (i = 0; i < n; i++)
	{
		ready[i].fd = (int) events[i].ident;
		ready[i].in = events[i].filter == EVFILT_READ;
		ready[i].out = events[i].filter == EVFILT_WRITE;
		ready[i].error = (events[i].flags & EV_ERROR) != 0;
	}
	return n;
}

#endif

int64_t
inqud_clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
