/*-------------------------------------------------------------------------
 *
 * hide.c
 *		Takes a secret out of text that somebody else has written: a server
 *		may quote what it was sent.
 *
 * The bytes are overwritten in place with asterisks, so that a text keeps its
 * length and JSON stays JSON.  Must not allocate, and must not fail.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "client_internal.h"

#ifdef POSTGRES_H
#error "src/client must not include postgres.h"
#endif

void
inqud_hide_text(char *text, const char *secret)
{
	size_t		len = strlen(secret);
	char	   *p;

	for (p = strstr(text, secret); p != NULL; p = strstr(p + len, secret))
		memset(p, '*', len);
}

void
inqud_hide_cut(char *text, const char *secret)
{
	size_t		len = strlen(text);
	size_t		part = strlen(secret);

	if (part > len)
		part = len;
	for (; part > 0; part--)
	{
		if (memcmp(text + len - part, secret, part) == 0)
		{
			memset(text + len - part, '*', part);
			return;
		}
	}
}

/* Four hexadecimal digits, -1 if they are none. */
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

/* A code point as UTF-8; how many bytes. */
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

/* \uXXXX, or two of them for one character.  Returns how many bytes it took, 0 = is none. */
static size_t
read_u(const char *p, const char *end, char out[4], int *n)
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

/*
 * What stands at "p" within a JSON string: "n" bytes that mean it.  Returns how
 * many bytes it took, 0 at the string's end.
 */
static size_t
read_char(const char *p, const char *end, char out[4], int *n)
{
	static const char escapes[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	const char *found;

	*n = 1;
	out[0] = *p;
	if (*p == '"')
		return 0;
	if (*p != '\\')
		return 1;
	if (end - p < 2 || p[1] == '\0')
		return 0;
	if (p[1] == 'u')
		return read_u(p, end, out, n);
	found = strchr(escapes, p[1]);
	if (found == NULL)
		return 0;
	out[0] = meanings[found - escapes];
	return 2;
}

/* How many bytes of a JSON string spell the secret, however they are escaped; 0 if they do not. */
static size_t
spelled(const char *text, const char *end, const char *secret)
{
	const char *p = text;

	while (*secret != '\0')
	{
		char		c[4];
		int			n;
		size_t		took = p < end ? read_char(p, end, c, &n) : 0;

		if (took == 0 || strncmp(c, secret, (size_t) n) != 0)
			return 0;
		p += took;
		secret += n;
	}
	return (size_t) (p - text);
}

bool
inqud_hide_json(char *text, size_t len, const char *secret)
{
	size_t		secret_len = strlen(secret);
	const char *end = text + len;
	bool		in_string = false;
	char	   *p = text;

	if (memchr(text, '\\', len) == NULL && memmem(text, len, secret, secret_len) == NULL)
		return true;
	while (p < end)
	{
		char		c[4];
		int			n;
		size_t		took = in_string ? spelled(p, end, secret) : 0;

		if (took > 0)
			memset(p, '*', took);
		else if (in_string)
			took = read_char(p, end, c, &n);
		else if ((size_t) (end - p) >= secret_len && memcmp(p, secret, secret_len) == 0)
			return false;
		if (*p == '"')
			in_string = !in_string;
		p += took > 0 ? took : 1;
	}
	return true;
}
