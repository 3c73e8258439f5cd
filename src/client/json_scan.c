/*-------------------------------------------------------------------------
 *
 * json_scan.c
 *		The grammar of JSON, checked over the raw text.
 *
 * json-c is lenient where money is at stake: an integer beyond 64 bits becomes
 * another one, NaN passes, a name ends at \u0000.  It also makes 100 bytes of one
 * or two, and cannot be interrupted.  So every text goes through here first, and
 * json.c gives json-c only the few members that it wants.  One pass, without
 * recursion and without allocating, so that neither depth nor length of the text
 * costs stack or memory.  Must not know json-c.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "client_internal.h"

/*
 * Numbers with more digits than this on either side of the point are not
 * stored.  A double never has more; numeric would take more, but a short
 * "1e131000" would then grow to that many characters whenever it is printed.
 */
#define STORABLE_DIGITS 400

/* The host is asked whether to go on each time so many bytes have been read. */
#define ASK_EVERY (64 * 1024)

/* ---- Escapes ---- */

/* The value of four hexadecimal digits; -1 if they are none. */
static int
hex4(const char *p, const char *end)
{
	int			value = 0;
	int			i;

	if (end - p < 4)
		return -1;
	for (i = 0; i < 4; i++)
	{
		int			digit = inqud_hex_value(p[i]);

		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	return value;
}

/* Write a code point as UTF-8; returns how many bytes that takes. */
static int
put_utf8(uint32_t c, char out[4])
{
	static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
	int			n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	int			i;

	if (n == 1)
	{
		out[0] = (char) c;
		return 1;
	}
	for (i = n - 1; i > 0; i--, c >>= 6)
		out[i] = (char) (0x80 | (c & 0x3f));
	out[0] = (char) (first[n] | c);
	return n;
}

/* \uXXXX, or a surrogate pair of two. */
static size_t
unescape_u(const char *p, const char *end, char out[4], int *n)
{
	int			c = hex4(p + 2, end);
	int			low;

	if (c < 0)
		return 0;
	if (c >= 0xd800 && c < 0xdc00 && end - p >= 12 && p[6] == '\\' && p[7] == 'u')
	{
		low = hex4(p + 8, end);
		if (low >= 0xdc00 && low < 0xe000)
		{
			*n = put_utf8(0x10000 + (((uint32_t) c - 0xd800) << 10) + ((uint32_t) low - 0xdc00), out);
			return 12;
		}
	}
	*n = put_utf8((uint32_t) c, out);
	return 6;
}

size_t
inqud_json_unescape(const char *p, const char *end, char out[4], int *n)
{
	static const char escapes[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (end - p < 2 || p[0] != '\\' || p[1] == '\0')
		return 0;
	if (p[1] == 'u')
		return unescape_u(p, end, out, n);
	found = strchr(escapes, p[1]);
	if (found == NULL)
		return 0;
	*n = 1;
	out[0] = meanings[found - escapes];
	return 2;
}

/* ---- The grammar ---- */

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
	const char *p;
	const char *end;
	const char *ask_at;			/* the host is asked when this has been read */
	Expect		expect;
	int			depth;
	uint64_t	objects;		/* one bit a level, the innermost lowest: is it
								 * an object? */
	InqudJsonMember members[2]; /* the one being read, on the first two levels */
	InqudJsonScan *scan;
} Scanner;

/* Ask the host whether to go on, once for each piece of the text. */
static bool
may_go_on(Scanner *s)
{
	if (s->p < s->ask_at)
		return true;
	if (!s->scan->stopped)
		s->scan->stopped = s->scan->go_on != NULL && !s->scan->go_on();
	if (s->scan->stopped)
		return false;
	s->ask_at = s->end - s->p > ASK_EVERY ? s->p + ASK_EVERY : s->end;
	return true;
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
		int			digit = inqud_hex_value(*s->p++);

		if (digit < 0)
			return false;
		*value = *value * 16 + (unsigned int) digit;
	}
	return true;
}

/* Behind "\u".  Half a surrogate pair, and NUL, are JSON but cannot be stored. */
static bool
scan_unicode(Scanner *s)
{
	unsigned int value;
	unsigned int low;

	if (!scan_hex(s, &value))
		return false;
	if (value >= 0xd800 && value <= 0xdbff)
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
	else if (value == 0 || (value >= 0xdc00 && value <= 0xdfff))
		s->scan->storable = false;
	return true;
}

static bool
scan_escape(Scanner *s)
{
	char		c;

	if (s->p == s->end)
		return false;
	c = *s->p++;
	if (c == 'u')
		return scan_unicode(s);
	return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
}

/* A string, from its opening to behind its closing quote. */
static bool
scan_string(Scanner *s)
{
	uint32_t	codepoint;
	int			size;

	if (s->p == s->end || *s->p != '"')
		return false;
	s->p++;
	while (s->p < s->end && may_go_on(s))
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
			if (!scan_escape(s))
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

/* Skip digits; returns how many there were. */
static int64_t
scan_digits(Scanner *s)
{
	const char *start = s->p;

	while (s->p < s->end && inqud_is_digit(*s->p) && may_go_on(s))
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
	for (; s->p < s->end && inqud_is_digit(*s->p) && may_go_on(s); s->p++)
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
	if (!scan_exponent(s, &exponent))
		return false;
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
	s->scan->object = s->scan->object || (object && s->depth == 1);
	s->objects = s->objects << 1 | (object ? 1 : 0);
	s->expect = object ? EXPECT_NAME_OR_CLOSE : EXPECT_VALUE_OR_CLOSE;
	s->p++;
	return true;
}

/* A value ends here; with it, on the first two levels, a member of an object. */
static void
value_done(Scanner *s)
{
	InqudJsonMember *member;

	s->expect = s->depth > 0 ? EXPECT_COMMA_OR_CLOSE : EXPECT_END;
	if (s->depth < 1 || s->depth > 2)
		return;
	member = &s->members[s->depth - 1];
	if (member->name == NULL)
		return;
	member->len = (size_t) (s->p - member->value);
	if (s->scan->on_member != NULL)
		s->scan->on_member(s->scan->arg, s->depth, member);
	member->name = NULL;
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

	s->scan->values++;
	switch (*s->p)
	{
		case '{':
		case '[':
			return scan_open(s, *s->p == '{');
		case '"':
			ok = scan_string(s);
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
scan_space(Scanner *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' ||
							 *s->p == '\n' || *s->p == '\r') && may_go_on(s))
		s->p++;
}

/* Remember the member whose name begins at "start" and whose value comes next, if it may be asked for. */
static void
note_member(Scanner *s, const char *start, size_t len)
{
	InqudJsonMember *member;

	/* on the second level in an object of the top object only */
	if (s->depth > 2 || (s->objects & 3) != (s->depth == 2 ? 3 : 1))
		return;
	member = &s->members[s->depth - 1];
	member->name = start;
	member->name_len = len;
	member->value = s->p;
}

/* A member's name, the colon and the white space behind it. */
static bool
scan_name(Scanner *s)
{
	const char *start = s->p + 1;
	size_t		len;

	if (!scan_string(s))
		return false;
	len = (size_t) (s->p - start) - 1;
	scan_space(s);
	if (s->p == s->end || *s->p != ':')
		return false;
	s->p++;
	scan_space(s);
	note_member(s, start, len);
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
	scan->values = 0;
	scan->object = false;
	scan->stopped = false;
	if (text == NULL || len > INQUD_JSON_MAX_SIZE)
		return false;
	memset(&s, 0, sizeof(s));
	s.p = text;
	s.end = text + len;
	s.ask_at = len > ASK_EVERY ? text + ASK_EVERY : s.end;
	s.expect = EXPECT_VALUE;
	s.scan = scan;
	for (;;)
	{
		scan_space(&s);
		if (s.p == s.end)
			return s.expect == EXPECT_END && !scan->stopped;
		if (!may_go_on(&s) || !scan_step(&s))
			return false;
	}
}
