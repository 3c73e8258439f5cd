/*-------------------------------------------------------------------------
 *
 * fuzz_units.c
 *		Any text as a duration and as a size.
 *
 *-------------------------------------------------------------------------
 */
#include "client_internal.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text = to_text(data, size);
	int64_t		value = -1;

	if (inqud_parse_duration(text, &value))
		MUST(value >= 0 && value <= INT64_C(864000000000));
	value = -1;
	if (inqud_parse_size(text, &value))
		MUST(value >= 0);
	free(text);
	return 0;
}
