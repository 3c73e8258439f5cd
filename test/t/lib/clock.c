/*-------------------------------------------------------------------------
 *
 * clock.c
 *		Preloaded into a server by a test: its clock can be set, and the
 *		monotonic clock stays as it is.
 *
 * The file that INQUD_TEST_CLOCK names has the seconds by which the clock is ahead.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

typedef int (*Clock) (clockid_t, struct timespec *);

static long
ahead(void)
{
	const char *name = getenv("INQUD_TEST_CLOCK");
	int			file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
	char		text[32] = "";

	if (file >= 0)
	{
		if (read(file, text, sizeof(text) - 1) < 0)
			text[0] = '\0';
		close(file);
	}
	return strtol(text, NULL, 10);
}

int
clock_gettime(clockid_t which, struct timespec *now)
{
	static Clock real = NULL;
	int			result;

	if (real == NULL)
		real = (Clock) dlsym(RTLD_NEXT, "clock_gettime");
	result = real(which, now);
	if (which == CLOCK_REALTIME && result == 0)
		now->tv_sec += ahead();
	return result;
}

int
gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec fine;

	(void) zone;
	clock_gettime(CLOCK_REALTIME, &fine);
	now->tv_sec = fine.tv_sec;
	now->tv_usec = fine.tv_nsec / 1000;
	return 0;
}
