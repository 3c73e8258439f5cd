/*-------------------------------------------------------------------------
 *
 * test_cost.c
 *		What hostile replies cost: time that grows as their length does and no
 *		quicker, memory that is bounded, and an end when the host wants one.
 *
 * Times are compared with each other only.  The program's own malloc() counts what
 * is in use.  Built without sanitizers, which have a malloc() of their own.
 *
 *-------------------------------------------------------------------------
 */
#include <malloc.h>
#include <time.h>

#include "reply.h"

#define MB ((size_t) 1024 * 1024)

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void __libc_free(void *memory);

/* ---------------------------------------------------------------------
 * Memory in use
 * ---------------------------------------------------------------------
 */
static size_t in_use = 0;
static size_t peak = 0;

static void *
count(void *memory)
{
	if (memory != NULL)
		in_use += malloc_usable_size(memory);
	if (in_use > peak)
		peak = in_use;
	return memory;
}

void *
malloc(size_t size)
{
	return count(__libc_malloc(size));
}

void *
calloc(size_t n, size_t size)
{
	return count(__libc_calloc(n, size));
}

void
free(void *memory)
{
	if (memory != NULL)
		in_use -= malloc_usable_size(memory);
	__libc_free(memory);
}

void *
realloc(void *memory, size_t size)
{
	size_t		old = memory != NULL ? malloc_usable_size(memory) : 0;
	void	   *moved = malloc(size);

	if (moved != NULL && memory != NULL)
	{
		memcpy(moved, memory, old < size ? old : size);
		free(memory);
	}
	return moved;
}

/* ---------------------------------------------------------------------
 * Texts
 * ---------------------------------------------------------------------
 */

/* "start", then "piece" again and again, then "end"; at least "size" bytes. */
static char *
make_text(const char *start, const char *piece, const char *end, size_t size)
{
	size_t		len = strlen(start);
	char	   *text = malloc(len + size + strlen(piece) + strlen(end) + 1);

	memcpy(text, start, len);
	while (len < size)
	{
		memcpy(text + len, piece, strlen(piece));
		len += strlen(piece);
	}
	memcpy(text + len, end, strlen(end) + 1);
	return text;
}

/* Six secrets: "other", and five of about "size" bytes that are "piece" again and again, then "end". */
static InqudHider *
make_hider(const char *piece, size_t size, const char *end, const char *other)
{
	char	   *texts[5];
	const char *secrets[6] = {other};
	InqudHider *hider;
	int			i;

	for (i = 0; i < 5; i++)
		secrets[i + 1] = texts[i] = make_text("", piece, end, size - (size_t) i);
	hider = inqud_hider_new(secrets, 6);
	for (i = 0; i < 5; i++)
		free(texts[i]);
	return hider;
}

/* ---------------------------------------------------------------------
 * Time
 * ---------------------------------------------------------------------
 */
static double
cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

/* The shortest of several times that it takes to hide secrets in a text. */
static double
time_to_hide(InqudHider *hider, const char *text, bool json, int tries)
{
	size_t		len = strlen(text);
	double		best = 1e9;
	int			i;

	for (i = 0; i < tries; i++)
	{
		char	   *copy = strdup(text);
		double		began = cpu_seconds();

		if (json)
			(void) inqud_hide_json(hider, copy, len, NULL);
		else
			(void) inqud_hide_text(hider, copy, len, NULL);
		if (cpu_seconds() - began < best)
			best = cpu_seconds() - began;
		free(copy);
	}
	return best;
}

/*
 * Secrets and a text that is nearly made of them: eight times the text takes about
 * eight times the time, and no more than a few times what harmless secrets take.
 */
static void
hiding_is_linear(InqudHider *hider, const char *start, const char *piece, const char *end, const char *name)
{
	bool		json = *start == '{';
	char	   *small = make_text(start, piece, end, MB);
	char	   *large = make_text(start, piece, end, 8 * MB);
	InqudHider *harmless = make_hider("z", 9, "y", NULL);
	double		short_time = time_to_hide(hider, small, json, 3);
	double		long_time = time_to_hide(hider, large, json, 1);
	double		easy_time = time_to_hide(harmless, small, json, 1);

	ok(long_time < 20 * short_time, "%s: 8 MB take %.1f times what 1 MB takes", name, long_time / short_time);
	ok(short_time < 30 * easy_time, "%s: %.1f times what harmless secrets take", name, short_time / easy_time);
	inqud_hider_free(harmless);
	inqud_hider_free(hider);
	free(small);
	free(large);
}

static void
test_hiding(void)
{
	static const char start[] = "{\"y\":\"\\n\",\"x\":\"";

	hiding_is_linear(make_hider("a", 999, "b", NULL), start, "a", "\"}", "secrets of 1000 bytes");
	hiding_is_linear(make_hider("a", 999, "b", NULL), start, "\\u0061", "\"}", "... escaped");
	hiding_is_linear(make_hider("a", 999, "b", NULL), start, "%61", "\"}", "... in a URL");
	hiding_is_linear(make_hider("a", 999, "b", NULL), start, "\\\\u0061%61", "\"}", "... both");
	hiding_is_linear(make_hider("a", 999, "", NULL), start, "a", "\"}", "occurrences that overlap");
	hiding_is_linear(make_hider("xaby", 999, "", "ab"), "", "xaby", "", "... at other steps");
	hiding_is_linear(make_hider("\\", 999, "b", NULL), "", "\\", "", "backslashes");
	hiding_is_linear(make_hider("%", 999, "b", NULL), "", "%", "", "percent signs");
}

/* ---------------------------------------------------------------------
 * Replies
 * ---------------------------------------------------------------------
 */

static const struct
{
	const char *start;
	const char *piece;
	const char *end;
	const char *name;
}			hostile[] =
{
	{"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":[1", ",1", "]}", "numbers"},
	{"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"request\":[1", ",1", "]}", "numbers for an object"},
	{"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"request\":{\"x\":[1", ",1", "]}}", "numbers in an object that is read"},
	{"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"request\":{\"id\":{\"x\":[[]", ",[]", "]}}}", "arrays in a member that is read"},
	{"{\"id\":\"CCO-1\",\"status\":\"NEW\"", ",\"id\":\"CCO-1\"", "}", "a member again and again"},
	{"{\"id\":\"CCO-1\",\"status\":\"NEW\"", ",\"\\u0069d\":\"CCO-1\"", "}", "... with an escape in its name"},
	{"{\"id\":\"CCO-1\",\"status\":\"NEW\"", ",\"request\":{\"id\":\"1\",\"x\":2}", "}", "an object again and again"},
	{"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"name\":\"", "x", "\"}", "a long text"},
	{"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"name\":\"", "\\u00e4", "\"}", "a long text of escapes"},
	{"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x", "x", "\":1}", "a long name"},
	{"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":1", "1", "}", "a long number"},
	{"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":1e1", "1", "}", "a long exponent"},
	{"{\"id\":\"CCO-1\",\"status\":\"NEW\"", " ", "}", "blanks"},
	{"[1", ",1", "]", "an array of numbers"},
	{"{\"message\":\"", "x", "\"}", "a long message"},
};

static long asked;
static long no_at;

static bool
ask(void)
{
	return ++asked != no_at;
}

static InqudReply *
read_all(const char *body, int status, InqudHider *hider, InqudGoOn go_on)
{
	InqudResponse response = {.progress = INQUD_DONE,.http_status = status,.error = "",.body = body,.body_len = strlen(body)};

	asked = 0;
	return inqud_reply_read(&response, false, NULL, hider, go_on);
}

static void
read_hostile(size_t i, InqudHider *hider)
{
	char	   *body = make_text(hostile[i].start, hostile[i].piece, hostile[i].end, 8 * MB);
	size_t		before = in_use;
	size_t		len;
	InqudReply *reply;
	int			stop;

	peak = in_use;
	no_at = 0;
	reply = read_all(body, 200, hider, ask);
	ok(peak - before < MB, "%s: 8 MB take %zu kB beside them", hostile[i].name, (peak - before) / 1024);
	ok(asked >= 8 * 16 - 3 && asked <= 8 * 16 + 8, "... and %ld questions whether to go on", asked);
	ok(inqud_reply_json(reply, &len) == NULL, "... and are not kept");
	inqud_reply_free(reply);
	for (stop = 1; stop < 128; stop += 63)
	{
		no_at = stop;
		reply = read_all(body, stop % 2 == 0 ? 400 : 200, hider, ask);
		ok(reply == NULL && asked == stop, "... which ends them at once (%d, %ld)", stop, asked);
		inqud_reply_free(reply);
	}
	is_int((long long) in_use, (long long) before, "... with nothing left behind");
	free(body);
}

static void
test_replies(void)
{
	InqudHider *hider = make_hider("a", 999, "b", NULL);
	size_t		i;

	for (i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++)
		read_hostile(i, hider);
	inqud_hider_free(hider);
}

/* A text that is kept is looked through for secrets, and that can be stopped, too. */
static void
test_stop_hiding(void)
{
	InqudHider *hider = make_hider("a", 999, "b", NULL);
	char	   *body = make_text("{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":\"\\n", "a", "\"}", MB - 10);
	InqudReply *reply;
	long		all;
	size_t		len;

	no_at = 0;
	reply = read_all(body, 200, hider, ask);
	all = asked;
	ok(inqud_reply_json(reply, &len) != NULL && all > 24, "a reply of 1 MB is kept, after %ld questions", all);
	inqud_reply_free(reply);
	no_at = all;
	reply = read_all(body, 200, hider, ask);
	ok(reply == NULL, "its last question can still end it");
	inqud_reply_free(reply);
	free(body);
	body = make_text("{\"id\":\"CCO-1\",\"status\":\"NEW\"", " ", "}", 60 * 1024);
	no_at = 1;
	reply = read_all(body, 200, hider, ask);
	is_int(asked, 0, "a small one is read without a question");
	inqud_reply_free(reply);
	free(body);
	inqud_hider_free(hider);
}

/* Only so much is kept for the column "reply". */
static void
test_kept(void)
{
	static const struct
	{
		const char *piece;
		size_t		size;
		bool		kept;
	}			cases[] =
	{
		{" ", 1048575, true}, {" ", 1048576, false}, {",1", 200000, true}, {",1", 200100, false}, {",[]", 299999, true}, {",[]", 300100, false}
	};
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		char	   *body = make_text("{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":[1", cases[i].piece, "]}", cases[i].size - 1);
		InqudReply *reply = read_all(body, 200, NULL, NULL);
		size_t		len;

		is_int(inqud_reply_outcome(reply), INQUD_OK, "a good reply");
		is_int(inqud_reply_json(reply, &len) != NULL, cases[i].kept, "... is kept, or not");
		inqud_reply_free(reply);
		free(body);
	}
}

int
main(void)
{
	test_hiding();
	test_replies();
	test_stop_hiding();
	test_kept();
	return tap_end();
}
