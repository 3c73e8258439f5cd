/*-------------------------------------------------------------------------
 *
 * tap.h
 *		The little of the Test Anything Protocol that the unit tests need.
 *
 * Each test program includes it once, calls ok() and is() and ends with
 * "return tap_end();".  A failed check is reported and the program goes on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_TAP_H
#define INQUD_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int	tap_run = 0;
static int	tap_failed = 0;

/* One check; its name is a printf format. */
__attribute__((format(printf, 2, 3), unused))
static bool
ok(bool good, const char *name,...)
{
	char		text[200];
	char	   *p;
	va_list		args;

	tap_run++;
	if (!good)
		tap_failed++;
	va_start(args, name);
	vsnprintf(text, sizeof(text), name, args);
	va_end(args);
	/* a line is a line, whatever was tested */
	for (p = text; *p != '\0'; p++)
	{
		if ((unsigned char) *p < ' ' || *p == '#')
			*p = '.';
	}
	printf("%sok %d - %s\n", good ? "" : "not ", tap_run, text);
	fflush(stdout);
	return good;
}

/* Two texts are the same; NULL equals NULL only. */
__attribute__((unused))
static bool
is(const char *got, const char *expected, const char *name)
{
	bool		good = got == NULL || expected == NULL ? got == expected :
		strcmp(got, expected) == 0;

	ok(good, "%s", name);
	if (!good)
		printf("#      got: %.200s\n# expected: %.200s\n",
			   got != NULL ? got : "(none)",
			   expected != NULL ? expected : "(none)");
	return good;
}

__attribute__((unused))
static bool
is_int(long long got, long long expected, const char *name)
{
	bool		good = got == expected;

	ok(good, "%s", name);
	if (!good)
		printf("#      got: %lld\n# expected: %lld\n", got, expected);
	return good;
}

static int
tap_end(void)
{
	printf("1..%d\n", tap_run);
	if (tap_failed > 0)
		printf("# %d of %d failed\n", tap_failed, tap_run);
	return tap_failed > 0 ? 1 : 0;
}

#endif							/* INQUD_TAP_H */
