/*-------------------------------------------------------------------------
 *
 * hide.c
 *		Replaces secrets in text from a server, which may quote what it was sent.
 *
 * A byte is hidden if it belongs to a whole secret, and for no other reason: who
 * sends guesses and reads what is shown of them must not learn a beginning or an
 * end of a secret.  So everything is hidden before it is cut, and a part of a
 * secret at the end of a text is left as it is.
 *
 * The bytes are overwritten in place with asterisks, so that a text keeps its
 * length and JSON stays JSON.
 *
 * All secrets are looked for at once (Aho and Corasick's automaton), in the text as
 * it is and in what it says when escapes of JSON, "%41" of URLs, or both are
 * resolved.  The time is proportional to the text's length, whatever it and the
 * secrets are; nothing is allocated for it.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "client_internal.h"

#define NVIEWS 4

/* The longest escape, two halves of a surrogate pair. */
#define MAX_ESCAPE 12

/* The host is asked whether to go on each time so many bytes have been looked at. */
#define ASK_EVERY (64 * 1024)

/* A beginning of one or several secrets.  Node 0 is the empty one. */
typedef struct Node
{
	unsigned char byte;			/* its last one */
	uint32_t	child;			/* the first that is longer by a byte; 0 = none */
	uint32_t	sibling;		/* the next child of the same node; 0 = none */
	uint32_t	fallback;		/* the longest end of it that is a beginning, too */
	uint32_t	hides;			/* length of the longest secret that it ends with; 0 = none */
	uint32_t	queued;			/* nodes[i].queued: the i-th node, by length */
} Node;

/* A character of a text: its bytes, and where it stands in the source. */
typedef struct Unit
{
	char		bytes[4];
	int			n;
	bool		decoded;		/* of an escape */
	size_t		start;
	size_t		end;
} Unit;

typedef size_t (*Decoder) (const char *p, const char *end, char out[4], int *n);

/* Resolves escapes in a stream of bytes. */
typedef struct Stage
{
	bool		used;
	char		special;		/* each escape begins with it */
	int			longest;
	Decoder		decode;
	int			n;				/* bytes that wait, since they may be an escape */
	char		bytes[MAX_ESCAPE];
	size_t		starts[MAX_ESCAPE];
	size_t		ends[MAX_ESCAPE];
} Stage;

/* One way to read the text, and what of the secrets has been seen in it. */
typedef struct View
{
	bool		used;
	Stage		escapes;
	Stage		percents;
	uint32_t	node;
	size_t		count;			/* bytes seen */
	size_t	   *starts;			/* where the last of them stand in the source, a ring */
} View;

struct InqudHider
{
	Node	   *nodes;
	uint32_t	nnodes;
	uint32_t	root[256];		/* the children of node 0, by byte */
	size_t		ring;			/* size of the rings, less one */
	size_t		size;			/* of all of this memory */
	View		views[NVIEWS];
};

/* A text that is being looked at. */
typedef struct Run
{
	InqudHider *hider;
	char	   *text;			/* to overwrite; NULL = only look */
	size_t		least;			/* shorter secrets are left */
	bool		found;
	bool		json;
	Stage		outer;			/* resolves the escapes of the JSON text itself */
	bool		in_string;
	size_t		outside;		/* end of the last byte outside of a string, quotes included */
	bool		found_outside;
	size_t		low;			/* what was overwritten last: from here */
	size_t		high;			/* to here */
} Run;

/* ---- The automaton ---- */

static uint32_t
find_child(const InqudHider *hider, uint32_t node, unsigned char byte)
{
	uint32_t	child = hider->nodes[node].child;

	if (node == 0)
		return hider->root[byte];
	while (child != 0 && hider->nodes[child].byte != byte)
		child = hider->nodes[child].sibling;
	return child;
}

/* The node behind one more byte.  Falling back costs no more than what was read before. */
static uint32_t
next_node(const InqudHider *hider, uint32_t node, unsigned char byte)
{
	uint32_t	child;

	while (node != 0)
	{
		child = find_child(hider, node, byte);
		if (child != 0)
			return child;
		node = hider->nodes[node].fallback;
	}
	return hider->root[byte];
}

static uint32_t
add_child(InqudHider *hider, uint32_t node, unsigned char byte)
{
	uint32_t	child = hider->nnodes++;

	hider->nodes[child].byte = byte;
	if (node == 0)
		hider->root[byte] = child;
	else
	{
		hider->nodes[child].sibling = hider->nodes[node].child;
		hider->nodes[node].child = child;
	}
	return child;
}

static void
add_secret(InqudHider *hider, const char *secret)
{
	uint32_t	node = 0;
	size_t		i;

	for (i = 0; secret[i] != '\0'; i++)
	{
		unsigned char byte = (unsigned char) secret[i];
		uint32_t	child = find_child(hider, node, byte);

		node = child != 0 ? child : add_child(hider, node, byte);
	}
	if (i > 0)
		hider->nodes[node].hides = (uint32_t) i;
}

/* Give the children of a node their fallbacks, and queue them. */
static void
link_children(InqudHider *hider, uint32_t node, uint32_t *queued)
{
	Node	   *nodes = hider->nodes;
	uint32_t	child;

	for (child = nodes[node].child; child != 0; child = nodes[child].sibling)
	{
		nodes[child].fallback = next_node(hider, nodes[node].fallback, nodes[child].byte);
		if (nodes[child].hides == 0)
			nodes[child].hides = nodes[nodes[child].fallback].hides;
		nodes[(*queued)++].queued = child;
	}
}

static void
link_all(InqudHider *hider)
{
	uint32_t	queued = 0;
	uint32_t	i;

	for (i = 0; i < 256; i++)
	{
		if (hider->root[i] != 0)
			hider->nodes[queued++].queued = hider->root[i];
	}
	for (i = 0; i < queued; i++)
		link_children(hider, hider->nodes[i].queued, &queued);
}

InqudHider *
inqud_hider_new(const char *const *secrets, int n)
{
	size_t		ring = 1;
	size_t		nnodes = 1;
	size_t		size;
	InqudHider *hider;
	int			i;

	for (i = 0; i < n; i++)
	{
		size_t		len = secrets[i] != NULL ? strlen(secrets[i]) : 0;

		nnodes += len;
		while (ring < len)
			ring *= 2;
	}
	size = sizeof(InqudHider) + nnodes * sizeof(Node) + NVIEWS * ring * sizeof(size_t);
	hider = calloc(1, size);
	if (hider == NULL)
		return NULL;
	hider->size = size;
	hider->ring = ring - 1;
	hider->nnodes = 1;
	for (i = 0; i < NVIEWS; i++)
		hider->views[i].starts = (size_t *) (hider + 1) + (size_t) i * ring;
	hider->nodes = (Node *) ((size_t *) (hider + 1) + NVIEWS * ring);
	for (i = 0; i < n; i++)
	{
		if (secrets[i] != NULL)
			add_secret(hider, secrets[i]);
	}
	link_all(hider);
	return hider;
}

void
inqud_hider_free(InqudHider *hider)
{
	if (hider != NULL)
		inqud_wipe(hider, hider->size);
	free(hider);
}

/* ---- Escapes ---- */

static size_t
decode_percent(const char *p, const char *end, char out[4], int *n)
{
	int			high = end - p >= 3 ? inqud_hex_value(p[1]) : -1;
	int			low = high >= 0 ? inqud_hex_value(p[2]) : -1;

	*n = 1;
	out[0] = (char) (high * 16 + low);
	return low >= 0 ? 3 : 0;
}

static void
set_stage(Stage *stage, bool used, bool percents)
{
	stage->used = used;
	stage->special = percents ? '%' : '\\';
	stage->longest = percents ? 3 : MAX_ESCAPE;
	stage->decode = percents ? decode_percent : inqud_json_unescape;
	stage->n = 0;
}

static void
stage_push(Stage *stage, char byte, size_t start, size_t end)
{
	stage->bytes[stage->n] = byte;
	stage->starts[stage->n] = start;
	stage->ends[stage->n++] = end;
}

static void
stage_shift(Stage *stage, int by)
{
	size_t		left = (size_t) (stage->n -= by);

	memmove(stage->bytes, stage->bytes + by, left);
	memmove(stage->starts, stage->starts + by, left * sizeof(size_t));
	memmove(stage->ends, stage->ends + by, left * sizeof(size_t));
}

/* Take the next character out of a stage; false if more bytes are needed to know it, unless "all" have come. */
static bool
stage_next(Stage *stage, bool all, Unit *unit)
{
	size_t		took = 0;

	if (stage->n == 0)
		return false;
	if (stage->bytes[0] == stage->special)
	{
		if (!all && stage->n < stage->longest)
			return false;
		took = stage->decode(stage->bytes, stage->bytes + stage->n, unit->bytes, &unit->n);
	}
	unit->decoded = took > 0;
	if (took == 0)
	{
		took = 1;
		unit->n = 1;
		unit->bytes[0] = stage->bytes[0];
	}
	unit->start = stage->starts[0];
	unit->end = stage->ends[took - 1];
	stage_shift(stage, (int) took);
	return true;
}

/* ---- Views ---- */

/* A secret stands there in the source. */
static void
hide_range(Run *run, size_t start, size_t end)
{
	run->found = true;
	if (run->json && start < run->outside)
		run->found_outside = true;
	if (run->text == NULL || run->found_outside)
		return;
	/* occurrences may overlap by nearly their whole length: write each byte once */
	if (start < run->low || start > run->high)
		run->low = run->high = start;
	if (end <= run->high)
		return;
	memset(run->text + run->high, '*', end - run->high);
	run->high = end;
}

static void
look_at_byte(Run *run, View *view, char byte, size_t start, size_t end)
{
	InqudHider *hider = run->hider;
	uint32_t	hides;

	view->starts[view->count++ & hider->ring] = start;
	view->node = next_node(hider, view->node, (unsigned char) byte);
	hides = hider->nodes[view->node].hides;
	if (hides > 0 && hides >= run->least)
		hide_range(run, view->starts[(view->count - hides) & hider->ring], end);
}

static void
look_at_unit(Run *run, View *view, const Unit *unit)
{
	int			i;

	for (i = 0; i < unit->n; i++)
		look_at_byte(run, view, unit->bytes[i], unit->start, unit->end);
}

static void
drain_percents(Run *run, View *view, bool all)
{
	Unit		unit;

	while (stage_next(&view->percents, all, &unit))
		look_at_unit(run, view, &unit);
}

static void
feed_percents(Run *run, View *view, const Unit *unit)
{
	int			i;

	if (!view->percents.used || (view->percents.n == 0 && memchr(unit->bytes, '%', (size_t) unit->n) == NULL))
	{
		look_at_unit(run, view, unit);
		return;
	}
	for (i = 0; i < unit->n; i++)
	{
		stage_push(&view->percents, unit->bytes[i], unit->start, unit->end);
		drain_percents(run, view, false);
	}
}

static void
drain_escapes(Run *run, View *view, bool all)
{
	Unit		unit;

	while (stage_next(&view->escapes, all, &unit))
		feed_percents(run, view, &unit);
}

static void
feed_view(Run *run, View *view, const Unit *unit)
{
	int			i;

	if (!view->escapes.used || (view->escapes.n == 0 && memchr(unit->bytes, '\\', (size_t) unit->n) == NULL))
	{
		feed_percents(run, view, unit);
		return;
	}
	for (i = 0; i < unit->n; i++)
	{
		stage_push(&view->escapes, unit->bytes[i], unit->start, unit->end);
		drain_escapes(run, view, false);
	}
}

/* What waits in the views is all that comes of this text or string. */
static void
drain_views(Run *run)
{
	int			i;

	for (i = 0; i < NVIEWS; i++)
	{
		drain_escapes(run, &run->hider->views[i], true);
		drain_percents(run, &run->hider->views[i], true);
	}
}

/* ---- Texts ---- */

/* Which views are needed: without an escape in the text all are the same. */
static void
set_views(Run *run, const char *text, size_t len)
{
	bool		percents = memchr(text, '%', len) != NULL || memmem(text, len, "\\u0025", 6) != NULL;
	bool		escapes = memchr(text, '\\', len) != NULL;
	int			i;

	/* in JSON a backslash that is meant has one before it, or is \u005c */
	if (run->json && escapes)
		escapes = memmem(text, len, "\\\\", 2) != NULL || memmem(text, len, "\\u005", 5) != NULL;
	for (i = 0; i < NVIEWS; i++)
	{
		View	   *view = &run->hider->views[i];

		set_stage(&view->escapes, (i & 1) != 0, false);
		set_stage(&view->percents, (i & 2) != 0, true);
		view->node = 0;
		view->count = 0;
		view->used = ((i & 1) == 0 || escapes) && ((i & 2) == 0 || percents);
	}
}

/* A character of the text; of JSON with its escapes resolved. */
static void
look_at_character(Run *run, const Unit *unit)
{
	bool		quote = run->json && !unit->decoded && unit->bytes[0] == '"';
	int			i;

	if (quote)
		drain_views(run);
	if (quote || !run->in_string)
		run->outside = unit->end;
	if (quote)
		run->in_string = !run->in_string;
	for (i = 0; i < NVIEWS; i++)
	{
		if (run->hider->views[i].used)
			feed_view(run, &run->hider->views[i], unit);
	}
}

/* Look at all of a text.  False when the host said that it must not go on. */
static bool
look_at_text(Run *run, const char *text, size_t len, InqudGoOn go_on)
{
	Unit		unit;
	size_t		i;

	set_views(run, text, len);
	set_stage(&run->outer, run->json, false);
	for (i = 0; i < len; i++)
	{
		if (i % ASK_EVERY == ASK_EVERY - 1 && go_on != NULL && !go_on())
			return false;
		if (run->outer.n == 0 && (!run->json || text[i] != '\\'))
		{
			unit = (Unit) {{text[i]}, 1, false, i, i + 1};
			look_at_character(run, &unit);
			continue;
		}
		stage_push(&run->outer, text[i], i, i + 1);
		while (stage_next(&run->outer, false, &unit))
			look_at_character(run, &unit);
	}
	while (stage_next(&run->outer, true, &unit))
		look_at_character(run, &unit);
	drain_views(run);
	return true;
}

/*
 * Has the text neither an escape nor a secret?  The usual case, in which a byte
 * costs about a nanosecond.  A long text is left to look_at_text, which asks the host.
 */
static bool
is_plain_and_clean(const InqudHider *hider, const char *text, size_t len, size_t least)
{
	uint32_t	node = 0;
	size_t		i;

	if (hider == NULL || hider->nnodes == 1)
		return true;
	if (len > ASK_EVERY || memchr(text, '\\', len) != NULL || memchr(text, '%', len) != NULL)
		return false;
	for (i = 0; i < len; i++)
	{
		uint32_t	hides;

		node = next_node(hider, node, (unsigned char) text[i]);
		if (node == 0)
			continue;
		hides = hider->nodes[node].hides;
		if (hides > 0 && hides >= least)
			return false;
	}
	return true;
}

bool
inqud_hider_passes(const InqudHider *hider, const char *json, size_t len)
{
	return is_plain_and_clean(hider, json, len, INQUD_SECRET_MIN);
}

/* Look through a text; "writable" is the same text, or NULL to leave it as it is. */
static InqudHidden
look_through(InqudHider *hider, const char *text, char *writable, size_t len, size_t least, bool json, InqudGoOn go_on)
{
	Run			run = {.hider = hider,.text = writable,.least = least,.json = json};

	if (is_plain_and_clean(hider, text, len, least))
		return INQUD_HIDDEN_NOTHING;
	if (!look_at_text(&run, text, len, go_on))
		return INQUD_HIDDEN_STOPPED;
	return run.found_outside ? INQUD_HIDDEN_NOT : run.found ? INQUD_HIDDEN_ALL : INQUD_HIDDEN_NOTHING;
}

InqudHidden
inqud_hide_text(InqudHider *hider, char *text, size_t len, InqudGoOn go_on)
{
	return look_through(hider, text, text, len, 1, false, go_on);
}

InqudHidden
inqud_hide_json(InqudHider *hider, char *text, size_t len, InqudGoOn go_on)
{
	return look_through(hider, text, text, len, INQUD_SECRET_MIN, true, go_on);
}

bool
inqud_hider_finds(InqudHider *hider, const char *text)
{
	return look_through(hider, text, NULL, strlen(text), INQUD_SECRET_MIN, false, NULL) != INQUD_HIDDEN_NOTHING;
}

bool
inqud_hide_words(InqudHider *hider, const char *text, char *out, size_t size)
{
	size_t		len = strlen(text);
	char	   *copy = malloc(len + 1);
	size_t		left;

	if (copy == NULL)
		return false;
	memcpy(copy, text, len + 1);
	(void) inqud_hide_text(hider, copy, len, NULL);
	left = inqud_text_clean(copy, len + 1, copy, len);
	/* a control character may have stood in a secret */
	(void) inqud_hide_text(hider, copy, left, NULL);
	inqud_text_clean(out, size, copy, left);
	inqud_wipe(copy, len);
	free(copy);
	return true;
}
