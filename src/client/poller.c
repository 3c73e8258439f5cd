/*-------------------------------------------------------------------------
 *
 * poller.c
 *		One descriptor that is readable whenever one of many is (epoll, or kqueue).
 *
 * With it a backend waits for all transfers together with its latch.  Must never
 * wait itself; knows nothing of HTTP.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
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

#ifdef __linux__

int
inqud_poller_new(void)
{
	return epoll_create1(EPOLL_CLOEXEC);
}

bool
inqud_poller_set(int poller, int fd, bool in, bool out)
{
	struct epoll_event event = {.events = (in ? EPOLLIN : 0) | (out ? EPOLLOUT : 0), .data.fd = fd};

	if (!in && !out)
	{
		/* fails for a descriptor that was closed, which has left the set already */
		(void) epoll_ctl(poller, EPOLL_CTL_DEL, fd, &event);
		return true;
	}
	if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) == 0)
		return true;
	return errno == EEXIST && epoll_ctl(poller, EPOLL_CTL_MOD, fd, &event) == 0;
}

int
inqud_poller_ready(int poller, int ready[INQUD_READY_AT_ONCE])
{
	struct epoll_event events[INQUD_READY_AT_ONCE];
	int			n = epoll_wait(poller, events, INQUD_READY_AT_ONCE, 0);
	int			i;

	if (n < 0)
		return errno == EINTR ? 0 : -1;
	for (i = 0; i < n; i++)
		ready[i] = events[i].data.fd;
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

/* Watch one direction or not.  To drop one that was not watched is no error. */
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
inqud_poller_ready(int poller, int ready[INQUD_READY_AT_ONCE])
{
	struct kevent events[INQUD_READY_AT_ONCE];
	struct timespec now = {0, 0};
	int			n = kevent(poller, NULL, 0, events, INQUD_READY_AT_ONCE, &now);
	int			i;

	if (n < 0)
		return errno == EINTR ? 0 : -1;
	for (i = 0; i < n; i++)
		ready[i] = (int) events[i].ident;
	return n;
}

#endif

InqudClock
inqud_clock_us(void)
{
	struct timespec now;

#ifdef CLOCK_BOOTTIME
	/* goes on while a virtual machine is suspended */
	clock_gettime(CLOCK_BOOTTIME, &now);
#else
	clock_gettime(CLOCK_MONOTONIC, &now);
#endif
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
