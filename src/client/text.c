/*-------------------------------------------------------------------------
 *
 * text.c
 *		Durations and sizes that people write, UTF-8, and texts made safe to show.
 *
 * Pure functions.  ctype.h must not be used: it follows the server's locale.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "client_internal.h"

#define MS_PER_DAY INT64_C(86400000)
#define MAX_DURATION_MS (10000 * MS_PER_DAY)

typedef struct Unit
{
	const char *name;
	int64_t		factor;
} Unit;

static const Unit duration_units[] =
{
	{"ms", 1},
	{"s", 1000},
	{"min", 60 * 1000},
	{"h", 3600 * 1000},
	{"day", MS_PER_DAY},
	{"days", MS_PER_DAY},
	{NULL, 0}
};

static const Unit size_units[] =
{
	{"", 1},
	{"B", 1},
	{"kB", 1024},
	{"MB", 1024 * 1024},
	{NULL, 0}
};

/*
 * Parse a whole number and one of the units, with spaces allowed around both,
 * up to "max" in the smallest unit.
 */
static bool
parse_with_unit(const char *text, const Unit *units, int64_t max,
				int64_t *result)
{
	int64_t		number = 0;
	size_t		len;
	const Unit *unit;

	text += strspn(text, " ");
	if (!inqud_is_digit(*text))
		return false;
	for (; inqud_is_digit(*text); text++)
	{
		int			digit = *text - '0';

		if (number > (max - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	text += strspn(text, " ");
	len = strlen(text);
	while (len > 0 && text[len - 1] == ' ')
		len--;
	for (unit = units; unit->name != NULL; unit++)
	{
		if (strlen(unit->name) == len && memcmp(unit->name, text, len) == 0)
			break;
	}
	if (unit->name == NULL || number > max / unit->factor)
		return false;
	*result = number * unit->factor;
	return true;
}

bool
inqud_parse_duration(const char *text, int64_t *ms)
{
	return parse_with_unit(text, duration_units, MAX_DURATION_MS, ms);
}

bool
inqud_parse_size(const char *text, int64_t *bytes)
{
	return parse_with_unit(text, size_units, INT64_MAX, bytes);
}

int
inqud_utf8_next(const char *text, size_t len, uint32_t *codepoint)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *s = (const unsigned char *) text;
	uint32_t	value;
	int			size = 2;
	int			i;

	if (len == 0)
		return 0;
	if (s[0] < 0x80)
	{
		*codepoint = s[0];
		return 1;
	}
	if (s[0] >= 0xe0)
		size = s[0] < 0xf0 ? 3 : 4;
	/* a byte that goes on, one of an overlong form, or beyond Unicode */
	if (s[0] < 0xc2 || s[0] > 0xf4 || (size_t) size > len)
		return 0;
	value = s[0] & (0x7fU >> size);
	for (i = 1; i < size; i++)
	{
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		value = (value << 6) | (s[i] & 0x3f);
	}
	/* overlong forms, surrogates, and what lies beyond Unicode */
	if (value < least[size] || value > 0x10ffff ||
		(value >= 0xd800 && value <= 0xdfff))
		return 0;
	*codepoint = value;
	return size;
}

bool
inqud_utf8_valid(const char *text, size_t len)
{
	uint32_t	codepoint;
	int			size;

	while (len > 0)
	{
		size = inqud_utf8_next(text, len, &codepoint);
		if (size == 0)
			return false;
		text += size;
		len -= (size_t) size;
	}
	return true;
}

/*
 * Characters that could change how a terminal or a page shows what follows:
 * C0 and C1 controls, line separators, and the marks that turn the direction
 * of writing.
 */
static bool
is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) ||
		(c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
		(c >= 0x2066 && c <= 0x2069);
}

/*
 * White space of any kind: Unicode's, and characters of no width that only part or
 * guard lines.  The joiners U+200C and U+200D are letters' business, and stay.
 */
static bool
is_space(uint32_t c)
{
	return (c >= 0x09 && c <= 0x0d) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
		c == 0x180e || (c >= 0x2000 && c <= 0x200b) || c == 0x2028 || c == 0x2029 ||
		c == 0x202f || c == 0x205f || c == 0x2060 || c == 0x3000 || c == 0xfeff;
}

bool
inqud_text_tidy(char *text)
{
	size_t		left = strlen(text);
	const char *in = text;
	char	   *out = text;
	bool		blank = false;
	bool		other = false;

	while (left > 0)
	{
		uint32_t	c = 0;
		int			n = inqud_utf8_next(in, left, &c);
		size_t		size = n > 0 ? (size_t) n : 1;

		if (n > 0 && is_space(c))
		{
			other |= c != ' ';
			blank = out > text;
		}
		else
		{
			if (blank)
				*out++ = ' ';
			blank = false;
			/* what is written is never longer than what was read */
			memmove(out, in, size);
			out += size;
		}
		in += size;
		left -= size;
	}
	*out = '\0';
	return other || out < in;
}

size_t
inqud_text_clean(char *out, size_t size, const char *text, size_t len)
{
	size_t		done = 0;
	size_t		i = 0;

	if (size == 0)
		return 0;
	while (i < len)
	{
		uint32_t	c = 0;
		int			n = inqud_utf8_next(text + i, len - i, &c);
		const char *piece = text + i;
		size_t		piece_len = n > 0 ? (size_t) n : 1;

		i += piece_len;
		if (n == 0)
			piece = "?";
		else if (c == '\n' || c == '\t')
			piece = " ";
		else if (is_control(c))
			continue;
		if (done + piece_len >= size)
			break;
		/* "out" may be "text": what is written is never longer than what was read */
		memmove(out + done, piece, piece_len);
		done += piece_len;
	}
	out[done] = '\0';
	return done;
}

bool
inqud_text_is_token(const char *text, size_t max)
{
	size_t		i;

	for (i = 0; text[i] != '\0'; i++)
	{
		if (i >= max || text[i] <= ' ' || text[i] >= 0x7f)
			return false;
	}
	return i > 0;
}
