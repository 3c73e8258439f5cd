/*-------------------------------------------------------------------------
 *
 * fuzz_units.c
 *		Any text as a duration and as a size, compared with a second reader
 *		that knows the same rules and shares no code.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>

#include "client_internal.h"
#include "fuzz.h"

typedef struct Unit
{
	const char *name;
	int64_t		factor;
} Unit;

static const Unit durations[] = {
	{"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {"day", 86400000},
	{"days", 86400000}, {NULL, 0}
};
static const Unit sizes[] = {
	{"", 1}, {"B", 1}, {"kB", 1024}, {"MB", 1048576}, {NULL, 0}
};

/* Spaces, digits, spaces, unit, spaces; -1 where the text is not that. */
static __int128
read_again(const char *text, const Unit *units, int64_t max)
{
	__int128	number = 0;
	int			unit_at = -1;
	int			behind = -1;
	char		unit[8] = "";

	/* a number can be longer than any type; %n says where it ends */
	if (sscanf(text, "%*[ ]%n", &unit_at), unit_at < 0)
		unit_at = 0;
	text += unit_at;
	if (strspn(text, "0123456789") == 0)
		return -1;
	for (; *text >= '0' && *text <= '9'; text++)
		number = number > max ? number : number * 10 + (*text - '0');
	(void) sscanf(text, " %7[a-zA-Z]%n", unit, &behind);
	text += behind > 0 ? (size_t) behind : 0;
	if (text[strspn(text, " ")] != '\0')
		return -1;
	for (; units->name != NULL; units++)
	{
		if (strcmp(units->name, unit) == 0)
			return number * units->factor > max ? -1 : number * units->factor;
	}
	return -1;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text = to_text(data, size);
	int64_t		value;
	__int128	again;

	/* scanf's white space is more than a space */
	if (strpbrk(text, "\t\n\v\f\r") == NULL)
	{
		again = read_again(text, durations, INT64_C(864000000000));
		MUST(inqud_parse_duration(text, &value) ? again == value : again == -1);
		again = read_again(text, sizes, INT64_MAX);
		MUST(inqud_parse_size(text, &value) ? again == value : again == -1);
	}
	else
	{
		MUST(!inqud_parse_duration(text, &value));
		MUST(!inqud_parse_size(text, &value));
	}
	free(text);
	return 0;
}
