/*-------------------------------------------------------------------------
 *
 * fuzz_hide.c
 *		Two secrets and any text: what is hidden in it is what belongs to a whole
 *		secret, and no more.
 *
 * The input is a length and a first secret, a length and a second one, and the text.
 * A plain and slow search says which bytes belong to a secret.
 *
 *-------------------------------------------------------------------------
 */
#include "client_internal.h"
#include "fuzz.h"

/* A text with its escapes resolved, and where each byte of it stood. */
typedef struct Read
{
	char	   *text;
	size_t	   *starts;
	size_t	   *ends;
	size_t		len;
} Read;

static size_t
decode(const char *p, const char *end, bool percents, char out[4], int *n)
{
	*n = 1;
	out[0] = *p;
	if (!percents)
		return inqud_json_unescape(p, end, out, n);
	if (*p != '%' || end - p < 3 || inqud_hex_value(p[1]) < 0 || inqud_hex_value(p[2]) < 0)
		return 0;
	out[0] = (char) (inqud_hex_value(p[1]) * 16 + inqud_hex_value(p[2]));
	return 3;
}

static Read
new_read(size_t len)
{
	Read		read = {malloc(4 * len + 1), malloc((4 * len + 1) * sizeof(size_t)), malloc((4 * len + 1) * sizeof(size_t)), 0};

	if (read.text == NULL || read.starts == NULL || read.ends == NULL)
		exit(1);
	return read;
}

static void
drop(Read *read)
{
	free(read->text);
	free(read->starts);
	free(read->ends);
}

/* Resolve escapes of one kind; "from" is given back. */
static Read
resolve(Read from, bool percents)
{
	Read		to = new_read(from.len);
	size_t		i = 0;

	while (i < from.len)
	{
		char		c[4];
		int			n;
		size_t		took = decode(from.text + i, from.text + from.len, percents, c, &n);
		int			j;

		if (took == 0)
		{
			took = 1;
			n = 1;
			c[0] = from.text[i];
		}
		for (j = 0; j < n; j++)
		{
			to.text[to.len] = c[j];
			to.starts[to.len] = from.starts[i];
			to.ends[to.len++] = from.ends[i + took - 1];
		}
		i += took;
	}
	drop(&from);
	return to;
}

/* Mark the bytes of all occurrences of a secret in one reading of the text. */
static void
mark(const char *text, size_t len, int view, const char *secret, char *hidden)
{
	Read		read = new_read(len);
	size_t		secret_len = strlen(secret);
	size_t		i;

	memcpy(read.text, text, len);
	read.len = len;
	for (i = 0; i < len; i++)
	{
		read.starts[i] = i;
		read.ends[i] = i + 1;
	}
	if (view & 1)
		read = resolve(read, false);
	if (view & 2)
		read = resolve(read, true);
	for (i = 0; i + secret_len <= read.len; i++)
	{
		if (memcmp(read.text + i, secret, secret_len) == 0)
			memset(hidden + read.starts[i], 1, read.ends[i + secret_len - 1] - read.starts[i]);
	}
	drop(&read);
}

/* Hidden is what the slow search finds; another look finds nothing that was not there. */
static void
check_text(InqudHider *hider, const char *const secrets[2], const char *text, size_t len)
{
	char	   *copy = to_text((const uint8_t *) text, len);
	char	   *hidden = calloc(1, len + 1);
	bool		any = false;
	size_t		i;
	int			view;

	MUST(hidden != NULL);
	for (view = 0; view < 8; view++)
	{
		if (secrets[view / 4][0] != '\0')
			mark(text, len, view % 4, secrets[view / 4], hidden);
	}
	(void) inqud_hide_text(hider, copy, len, NULL);
	for (i = 0; i < len; i++)
	{
		MUST(copy[i] == (hidden[i] ? '*' : text[i]));
		any = any || hidden[i];
	}
	if (strlen(secrets[0]) >= INQUD_SECRET_MIN && secrets[1][0] == '\0' && strlen(text) == len)
		MUST(inqud_hider_finds(hider, text) == any);
	free(hidden);
	free(copy);
}

/* JSON stays JSON, of the same length. */
static void
check_json(InqudHider *hider, const char *text, size_t len)
{
	InqudJsonScan scan = {0};
	char	   *copy = to_text((const uint8_t *) text, len);
	InqudHidden hidden;

	if (inqud_json_scan(text, len, &scan))
	{
		hidden = inqud_hide_json(hider, copy, len, NULL);
		MUST(hidden == INQUD_HIDDEN_NOT || inqud_json_scan(copy, len, &scan));
		MUST(hidden != INQUD_HIDDEN_NOTHING || memcmp(copy, text, len) == 0);
	}
	free(copy);
}

/* What people see of a text in which there is no whole secret is the same as without secrets. */
static void
check_words(InqudHider *hider, const char *text)
{
	char		with[101];
	char		without[101];
	char	   *clean = strdup(text);

	MUST(clean != NULL);
	MUST(inqud_hide_words(hider, text, with, sizeof(with)) && inqud_hide_words(NULL, text, without, sizeof(without)));
	MUST(strlen(with) <= 100 && inqud_utf8_valid(with, strlen(with)));
	inqud_text_clean(clean, strlen(text) + 1, text, strlen(text));
	if (inqud_hide_text(hider, clean, strlen(clean), NULL) == INQUD_HIDDEN_NOTHING)
	{
		memcpy(clean, text, strlen(text) + 1);
		if (inqud_hide_text(hider, clean, strlen(clean), NULL) == INQUD_HIDDEN_NOTHING)
			MUST(strcmp(with, without) == 0);
	}
	free(clean);
}

/* Take a secret off the input: valid UTF-8 without asterisks, or else none. */
static const char *
take_secret(const uint8_t **data, size_t *size, char secret[20])
{
	size_t		len = *size > 0 ? (*data)[0] % 16 : 0;

	secret[0] = '\0';
	if (len + 1 > *size)
		return secret;
	memcpy(secret, *data + 1, len);
	secret[len] = '\0';
	*data += len + 1;
	*size -= len + 1;
	if (strchr(secret, '*') != NULL || !inqud_utf8_valid(secret, strlen(secret)))
		secret[0] = '\0';
	return secret;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char		first[20];
	char		second[20];
	const char *secrets[2];
	InqudHider *hider;
	char	   *text;

	secrets[0] = take_secret(&data, &size, first);
	secrets[1] = take_secret(&data, &size, second);
	hider = inqud_hider_new(secrets, 2);
	MUST(hider != NULL);
	text = to_text(data, size);
	check_text(hider, secrets, text, size);
	check_json(hider, text, size);
	check_words(hider, text);
	free(text);
	inqud_hider_free(hider);
	return 0;
}
