/*-------------------------------------------------------------------------
 *
 * usage.c
 *		Preloaded into a server by a test: it takes its queue of notices to be as full
 *		as a file says.
 *
 * Before PostgreSQL 17 that queue has 8 GB, which no test can fill.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>

/* In place of the library's function of this name: see pg/inqud.h. */
double		inqud_notices_usage(void);

double
inqud_notices_usage(void)
{
	const char *name = getenv("INQUD_TEST_USAGE");
	FILE	   *file = name ? fopen(name, "r") : NULL;
	double		usage = 0;

	if (file != NULL)
	{
		if (fscanf(file, "%lf", &usage) != 1)
			usage = 0;
		fclose(file);
	}
	return usage;
}
