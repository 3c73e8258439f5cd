/*-------------------------------------------------------------------------
 *
 * fuzz_time.c
 *		Any text as a time of the API, any number as a time to be written.
 *
 * The C library's calendar is the judge.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <time.h>

#include "client_internal.h"
#include "fuzz.h"

/* What was written must be the C library's date, and must read as itself. */
static void
check_written(int64_t usec, const char *written)
{
	time_t		seconds = (time_t) (usec / 1000000);
	char		expected[64];
	struct tm	tm;
	int64_t		again;

	MUST(gmtime_r(&seconds, &tm) != NULL);
	MUST(strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S", &tm) == 19);
	MUST(strncmp(written, expected, 19) == 0);
	MUST((usec % 1000000 == 0) == (written[19] == 'Z'));
	MUST(written[strlen(written) - 1] == 'Z' && written[strlen(written) - 2] != '.');
	MUST(inqud_time_read(written, strlen(written), &again));
	MUST(usec == again);
}

/* Whole seconds in UTC as the C library has them; what it says of the rest is not asked. */
static void
check_read(const char *text, size_t size, int64_t usec)
{
	struct tm	tm = {0};
	int			end = 0;

	if (size != 20 || (text[19] != 'Z' && text[19] != 'z'))
		return;
	MUST(sscanf(text, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon,
				&tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &end) == 6);
	if (end != 19)
		return;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	MUST((int64_t) timegm(&tm) * 1000000 == usec);
}

/* The same with another zone must be as much earlier or later. */
static void
check_zone(const char *text, size_t size, int64_t usec)
{
	char		other[64];
	int64_t		moved;

	if (size > 40 || size < 2 || (text[size - 1] != 'Z' && text[size - 1] != 'z'))
		return;
	snprintf(other, sizeof(other), "%.*s+05:30", (int) size - 1, text);
	MUST(inqud_time_read(other, strlen(other), &moved) == (usec >= INT64_C(19800000000)));
	MUST(usec < INT64_C(19800000000) || moved == usec - INT64_C(19800000000));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text = to_text(data, size);
	char		written[40];
	int64_t		usec;

	if (inqud_time_read(text, size, &usec))
	{
		MUST(usec >= 0);
		inqud_time_write(usec, written);
		check_written(usec, written);
		check_read(text, size, usec);
		check_zone(text, size, usec);
	}
	if (size == sizeof(usec))
	{
		memcpy(&usec, data, sizeof(usec));
		inqud_time_write(usec, written);
		MUST((written[0] == '\0') == (usec < 0 || usec >= INT64_C(253402300800000000)));
		if (written[0] != '\0')
			check_written(usec, written);
	}
	free(text);
	return 0;
}
