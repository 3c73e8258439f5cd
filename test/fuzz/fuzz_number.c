/*-------------------------------------------------------------------------
 *
 * fuzz_number.c
 *		Any text as a number.
 *
 * Money is at stake, so the value is compared with what a second reader makes
 * of the text: digits without zeros around them, and the power of ten of the
 * last one.
 *
 *-------------------------------------------------------------------------
 */
#include "client_internal.h"
#include "fuzz.h"

/* An exponent that settles the matter, however many digits there are. */
#define FAR 1000000000L

typedef struct Value
{
	bool		negative;
	char	   *digits;			/* none for zero */
	long		ndigits;
	long		power;
} Value;

/* "text" is a JSON number already; the caller frees the digits. */
static Value
take_apart(const char *text)
{
	Value		v = {text[0] == '-', malloc(strlen(text) + 1), 0, 0};
	const char *p = text + (text[0] == '-');
	bool		behind = false;

	MUST(v.digits != NULL);
	for (; *p != '\0' && *p != 'e' && *p != 'E'; p++)
	{
		if (*p == '.')
			behind = true;
		else
		{
			if (v.ndigits > 0 || *p != '0')
				v.digits[v.ndigits++] = *p;
			v.power -= behind;
		}
	}
	if (*p != '\0')
	{
		long		exponent = strtol(p + 1, NULL, 10);

		v.power += exponent > FAR ? FAR : exponent < -FAR ? -FAR : exponent;
	}
	for (; v.ndigits > 0 && v.digits[v.ndigits - 1] == '0'; v.ndigits--)
		v.power++;
	if (v.ndigits == 0)
		v.power = 0;
	return v;
}

/* C section 12: at most 38 digits that count, at most 18 of them decimals. */
static bool
fits(const Value *v)
{
	return v->ndigits == 0 ||
		(v->ndigits + v->power <= 38 && v->power >= -18 && v->ndigits <= 38);
}

static void
check_same(const Value *v, const char *plain)
{
	Value		w = take_apart(plain);

	MUST(w.ndigits == v->ndigits && memcmp(w.digits, v->digits, (size_t) v->ndigits) == 0);
	MUST(w.power == v->power);
	MUST(w.negative == (v->negative && v->ndigits > 0));
	free(w.digits);
}

/* What was written plainly must read as itself. */
static void
check_plain(const char *plain)
{
	char		again[INQUD_NUMBER_MAX];
	const char *point = strchr(plain, '.');

	MUST(strlen(plain) < 60);
	MUST(strpbrk(plain, "eE+") == NULL);
	MUST(point == NULL || (strlen(point) <= 19 && plain[strlen(plain) - 1] != '0'));
	MUST(inqud_number_plain(plain, strlen(plain), again));
	MUST(strcmp(plain, again) == 0);
}

/* Both readers of numbers must agree about what is one. */
static bool
is_number(const char *text, size_t size)
{
	InqudJsonScan scan = {0};

	return size > 0 && (text[0] == '-' || inqud_is_digit(text[0])) &&
		inqud_is_digit(text[size - 1]) && inqud_json_scan(text, size, &scan);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text = to_text(data, size);
	char		plain[INQUD_NUMBER_MAX];
	bool		taken = inqud_number_plain(text, size, plain);
	Value		v;

	MUST(!taken || is_number(text, size));
	if (is_number(text, size))
	{
		v = take_apart(text);
		MUST(taken == fits(&v));
		if (taken)
		{
			check_plain(plain);
			check_same(&v, plain);
		}
		free(v.digits);
	}
	free(text);
	return 0;
}
