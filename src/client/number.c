/*-------------------------------------------------------------------------
 *
 * number.c
 *		JSON numbers as exact plain decimals.
 *
 * Amounts of money are text.  No double and no integer type may hold one, neither
 * here nor in a caller.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "client_internal.h"

#define MAX_DIGITS 38
#define MAX_DECIMALS 18

/* Beyond this an exponent decides the matter, whatever the digits are. */
#define MAX_EXPONENT INT64_C(1000000000)

/* A number taken apart: 0.DIGITS times ten to the power of "point". */
typedef struct Decimal
{
	bool		negative;
	char		digits[MAX_DIGITS];
	int			ndigits;		/* significant ones that were kept */
	int64_t		point;			/* digits left of the decimal point */
	bool		too_long;		/* more significant digits than fit */
} Decimal;

/*
 * Add one digit.  Zeros count only once a digit follows that is none, so
 * "pending" holds them back: then trailing zeros cost nothing.
 */
static void
add_digit(Decimal *d, char c, int64_t *pending)
{
	if (c == '0')
	{
		if (d->ndigits > 0 || d->too_long)
			(*pending)++;
		return;
	}
	if (*pending >= MAX_DIGITS - d->ndigits)
	{
		d->too_long = true;
		return;
	}
	memset(d->digits + d->ndigits, '0', (size_t) *pending);
	d->ndigits += (int) *pending;
	*pending = 0;
	d->digits[d->ndigits++] = c;
}

/* The digits before and behind the point.  Returns what follows, NULL if bad. */
static const char *
read_digits(const char *p, const char *end, Decimal *d)
{
	const char *start = p;
	int64_t		pending = 0;

	for (; p < end && inqud_is_digit(*p); p++)
	{
		add_digit(d, *p, &pending);
		if (d->ndigits > 0 || d->too_long)
			d->point++;
	}
	if (p == start || (*start == '0' && p - start > 1))
		return NULL;			/* no digit, or a leading zero */
	if (p == end || *p != '.')
		return p;
	start = ++p;
	for (; p < end && inqud_is_digit(*p); p++)
	{
		add_digit(d, *p, &pending);
		if (d->ndigits == 0 && !d->too_long)
			d->point--;
	}
	return p == start ? NULL : p;
}

/* An exponent, if there is one.  Must use up the text. */
static bool
read_exponent(const char *p, const char *end, int64_t *exponent)
{
	bool		negative = false;
	const char *start;

	*exponent = 0;
	if (p == end)
		return true;
	if (*p != 'e' && *p != 'E')
		return false;
	p++;
	if (p < end && (*p == '+' || *p == '-'))
		negative = *p++ == '-';
	start = p;
	for (; p < end && inqud_is_digit(*p); p++)
	{
		if (*exponent < MAX_EXPONENT)
			*exponent = *exponent * 10 + (*p - '0');
	}
	if (negative)
		*exponent = -*exponent;
	return p == end && p > start;
}

/* Write a decimal that fits. */
static void
write_plain(const Decimal *d, char *out)
{
	int			point = (int) d->point;
	int			i;

	if (d->negative)
		*out++ = '-';
	if (point <= 0)
		*out++ = '0';
	for (i = 0; i < point; i++)
		*out++ = i < d->ndigits ? d->digits[i] : '0';
	if (d->ndigits > point)
	{
		*out++ = '.';
		for (i = point; i < d->ndigits; i++)
			*out++ = i < 0 ? '0' : d->digits[i];
	}
	*out = '\0';
}

bool
inqud_number_plain(const char *text, size_t len, char out[INQUD_NUMBER_MAX])
{
	const char *end = text + len;
	const char *p = text;
	Decimal		d = {0};
	int64_t		exponent;

	if (p < end && *p == '-')
	{
		d.negative = true;
		p++;
	}
	p = read_digits(p, end, &d);
	if (p == NULL || !read_exponent(p, end, &exponent) || d.too_long)
		return false;
	if (d.ndigits == 0)
	{
		memcpy(out, "0", 2);
		return true;
	}
	d.point += exponent;
	if (d.point > MAX_DIGITS || d.ndigits - d.point > MAX_DECIMALS)
		return false;
	write_plain(&d, out);
	return true;
}
