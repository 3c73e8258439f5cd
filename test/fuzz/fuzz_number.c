/*-------------------------------------------------------------------------
 *
 * fuzz_number.c
 *		Any text as a number and as a time.
 *
 *-------------------------------------------------------------------------
 */
#include "client_internal.h"
#include "fuzz.h"

/* What was written plainly must read as itself. */
static void
check_plain(const char *plain)
{
	char		again[INQUD_NUMBER_MAX];
	const char *point = strchr(plain, '.');

	MUST(strlen(plain) < 60);
	MUST(strpbrk(plain, "eE+") == NULL);
	MUST(point == NULL || strlen(point) <= 19);
	MUST(inqud_number_plain(plain, strlen(plain), again));
	MUST(strcmp(plain, again) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text = to_text(data, size);
	char		plain[INQUD_NUMBER_MAX];
	char		written[40];
	int64_t		usec;
	int64_t		again;

	if (inqud_number_plain(text, size, plain))
	{
		InqudJsonScan scan = {0};

		check_plain(plain);
		/* both readers of numbers agree about what is one */
		MUST(inqud_json_scan(text, size, &scan));
	}
	if (inqud_time_read(text, size, &usec))
	{
		inqud_time_write(usec, written);
		MUST(inqud_time_read(written, strlen(written), &again));
		MUST(usec == again);
	}
	if (size == sizeof(usec))
	{
		memcpy(&usec, data, sizeof(usec));
		inqud_time_write(usec, written);
		MUST(written[0] == '\0' ||
			 (inqud_time_read(written, strlen(written), &again) && again == usec));
	}
	free(text);
	return 0;
}
