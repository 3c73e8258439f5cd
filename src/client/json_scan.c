/*-------------------------------------------------------------------------
 *
 * json_scan.c
 *		The grammar of JSON, checked over the raw text.
 *
 * json-c is lenient where money is at stake: an integer beyond 64 bits becomes
 * another one, NaN passes, a name ends at \u0000.  So every text goes through
 * here first, and json.c mends what is reported or refuses the text.  Works in
 * one pass without recursion and without allocating, so no nesting and no
 * length can hurt it.  Must not know json-c.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "client_internal.h"

#ifdef POSTGRES_H
#error "src/client must not include postgres.h"
#endif

/* Any integer of so many digits fits 64 bits. */
#define SAFE_DIGITS 18

/*
 * Numbers with more digits than this on either side of the point are not
 * stored.  A double never has more; numeric would take more, but a short
 * "1e131000" would then grow to that many characters whenever it is printed.
 */
#define STORABLE_DIGITS 400

typedef enum Expect
{
	EXPECT_VALUE,
	EXPECT_VALUE_OR_CLOSE,
	EXPECT_NAME,
	EXPECT_NAME_OR_CLOSE,
	EXPECT_COMMA_OR_CLOSE,
	EXPECT_END
} Expect;

typedef struct Scanner
{
	const char *start;
	const char *p;
	const char *end;
	Expect		expect;
	int			depth;
	uint64_t	objects;		/* one bit a level, the innermost lowest: is it
								 * an object? */
	const char *member;			/* the top object's member being read */
	const char *member_value;	/* from behind its name */
	InqudJsonScan *scan;
} Scanner;

static void
report(Scanner *s, InqudJsonFlaw flaw, const char *where)
{
	s->scan->flaws++;
	if (s->scan->on_flaw != NULL)
		s->scan->on_flaw(s->scan->arg, flaw, (size_t) (where - s->start));
}

/* Four hexadecimal digits of an escape. */
static bool
scan_hex(Scanner *s, unsigned int *value)
{
	int			i;

	if (s->end - s->p < 4)
		return false;
	*value = 0;
	for (i = 0; i < 4; i++)
	{
		char		c = *s->p++;

		if (inqud_is_digit(c))
			*value = *value * 16 + (unsigned int) (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			*value = *value * 16 + (unsigned int) ((c | 0x20) - 'a' + 10);
		else
			return false;
	}
	return true;
}

/* Behind "\u".  Half a surrogate pair, and NUL, are JSON but cannot be stored. */
static bool
scan_unicode(Scanner *s, bool name)
{
	const char *digits = s->p;
	unsigned int value;
	unsigned int low;

	if (!scan_hex(s, &value))
		return false;
	if (value == 0)
	{
		s->scan->storable = false;
		if (name)
			report(s, INQUD_JSON_NUL_IN_NAME, digits);
	}
	else if (value >= 0xd800 && value <= 0xdbff)
	{
		const char *behind = s->p;

		if (s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u')
		{
			s->p += 2;
			if (!scan_hex(s, &low))
				return false;
			if (low >= 0xdc00 && low <= 0xdfff)
				return true;
		}
		/* no second half: what follows is looked at in its own right */
		s->p = behind;
		s->scan->storable = false;
	}
	else if (value >= 0xdc00 && value <= 0xdfff)
		s->scan->storable = false;
	return true;
}

static bool
scan_escape(Scanner *s, bool name)
{
	char		c;

	if (s->p == s->end)
		return false;
	c = *s->p++;
	if (c == 'u')
		return scan_unicode(s, name);
	return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
}

/* A string, from its opening to behind its closing quote. */
static bool
scan_string(Scanner *s, bool name)
{
	uint32_t	codepoint;
	int			size;

	if (s->p == s->end || *s->p != '"')
		return false;
	s->p++;
	while (s->p < s->end)
	{
		unsigned char c = (unsigned char) *s->p;

		if (c == '"')
		{
			s->p++;
			return true;
		}
		if (c < 0x20)
			return false;
		if (c == '\\')
		{
			s->p++;
			if (!scan_escape(s, name))
				return false;
		}
		else if (c < 0x80)
			s->p++;
		else
		{
			size = inqud_utf8_next(s->p, (size_t) (s->end - s->p), &codepoint);
			if (size == 0)
				return false;
			s->p += size;
		}
	}
	return false;
}

/* Skip digits; how many there were. */
static int64_t
scan_digits(Scanner *s)
{
	const char *start = s->p;

	while (s->p < s->end && inqud_is_digit(*s->p))
		s->p++;
	return s->p - start;
}

/* The exponent, if any, cut to a range in which sums cannot overflow. */
static bool
scan_exponent(Scanner *s, int64_t *exponent)
{
	bool		negative = false;
	const char *start;

	*exponent = 0;
	if (s->p == s->end || (*s->p != 'e' && *s->p != 'E'))
		return true;
	s->p++;
	if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
		negative = *s->p++ == '-';
	start = s->p;
	for (; s->p < s->end && inqud_is_digit(*s->p); s->p++)
	{
		if (*exponent < INT32_MAX)
			*exponent = *exponent * 10 + (*s->p - '0');
	}
	if (negative)
		*exponent = -*exponent;
	return s->p > start;
}

static bool
scan_number(Scanner *s)
{
	int64_t		before;
	int64_t		behind = 0;
	int64_t		exponent;
	const char *digits;
	bool		integer;

	if (*s->p == '-')
		s->p++;
	digits = s->p;
	before = scan_digits(s);
	if (before == 0 || (before > 1 && *digits == '0'))
		return false;
	if (s->p < s->end && *s->p == '.')
	{
		s->p++;
		behind = scan_digits(s);
		if (behind == 0)
			return false;
	}
	integer = behind == 0 && !(s->p < s->end && (*s->p | 0x20) == 'e');
	if (!scan_exponent(s, &exponent))
		return false;
	if (integer && before > SAFE_DIGITS)
		report(s, INQUD_JSON_LONG_INTEGER, s->p);
	if (before + exponent > STORABLE_DIGITS ||
		behind - exponent > STORABLE_DIGITS || before > STORABLE_DIGITS ||
		behind > STORABLE_DIGITS)
		s->scan->storable = false;
	return true;
}

static bool
scan_word(Scanner *s, const char *word)
{
	size_t		len = strlen(word);

	if ((size_t) (s->end - s->p) < len || memcmp(s->p, word, len) != 0)
		return false;
	s->p += len;
	return true;
}

static bool
scan_open(Scanner *s, bool object)
{
	if (s->depth == INQUD_JSON_MAX_DEPTH)
		return false;
	s->depth++;
	s->objects = s->objects << 1 | (object ? 1 : 0);
	s->expect = object ? EXPECT_NAME_OR_CLOSE : EXPECT_VALUE_OR_CLOSE;
	s->p++;
	return true;
}

/* A value ends here; with it, on the first level, a member of the top object. */
static void
value_done(Scanner *s)
{
	s->expect = s->depth > 0 ? EXPECT_COMMA_OR_CLOSE : EXPECT_END;
	if (s->depth != 1 || s->member == NULL)
		return;
	if (s->scan->on_member != NULL)
		s->scan->on_member(s->scan->arg, s->member,
						   (size_t) (s->member_value - s->member),
						   (size_t) (s->p - s->member));
	s->member = NULL;
}

static bool
scan_close(Scanner *s)
{
	if (*s->p != (s->objects & 1 ? '}' : ']'))
		return false;
	s->p++;
	s->depth--;
	s->objects >>= 1;
	value_done(s);
	return true;
}

static bool
scan_value(Scanner *s)
{
	bool		ok;

	switch (*s->p)
	{
		case '{':
		case '[':
			return scan_open(s, *s->p == '{');
		case '"':
			ok = scan_string(s, false);
			break;
		case 't':
			ok = scan_word(s, "true");
			break;
		case 'f':
			ok = scan_word(s, "false");
			break;
		case 'n':
			ok = scan_word(s, "null");
			break;
		default:
			ok = (*s->p == '-' || inqud_is_digit(*s->p)) && scan_number(s);
			break;
	}
	value_done(s);
	return ok;
}

static void
skip_space(Scanner *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' ||
							 *s->p == '\n' || *s->p == '\r'))
		s->p++;
}

/* A member's name and the colon behind it. */
static bool
scan_name(Scanner *s)
{
	const char *start = s->p;

	if (!scan_string(s, true))
		return false;
	if (s->depth == 1)
	{
		s->member = start;
		s->member_value = s->p;
	}
	skip_space(s);
	if (s->p == s->end || *s->p != ':')
		return false;
	s->p++;
	s->expect = EXPECT_VALUE;
	return true;
}

static bool
scan_comma(Scanner *s)
{
	if (*s->p != ',')
		return scan_close(s);
	s->p++;
	s->expect = s->objects & 1 ? EXPECT_NAME : EXPECT_VALUE;
	return true;
}

/* One step: the next thing behind white space. */
static bool
scan_step(Scanner *s)
{
	bool		closes = *s->p == '}' || *s->p == ']';

	switch (s->expect)
	{
		case EXPECT_VALUE:
			return scan_value(s);
		case EXPECT_VALUE_OR_CLOSE:
			return closes ? scan_close(s) : scan_value(s);
		case EXPECT_NAME:
			return scan_name(s);
		case EXPECT_NAME_OR_CLOSE:
			return closes ? scan_close(s) : scan_name(s);
		case EXPECT_COMMA_OR_CLOSE:
			return scan_comma(s);
		case EXPECT_END:
			break;
	}
	return false;
}

bool
inqud_json_scan(const char *text, size_t len, InqudJsonScan *scan)
{
	Scanner		s;

	scan->storable = true;
	scan->flaws = 0;
	if (text == NULL || len > INQUD_JSON_MAX_SIZE)
		return false;
	memset(&s, 0, sizeof(s));
	s.start = s.p = text;
	s.end = text + len;
	s.expect = EXPECT_VALUE;
	s.scan = scan;
	for (;;)
	{
		skip_space(&s);
		if (s.p == s.end)
			return s.expect == EXPECT_END;
		if (!scan_step(&s))
			return false;
	}
}
