/*-------------------------------------------------------------------------
 *
 * decision_text.h
 *		Situations and decisions as lines of words, so that a table of cases can be
 *		read.
 *
 * A situation is a list of "member=value"; what it does not name is 0, and of two of
 * a name the last one holds.
 *
 *		c.	what is recorded: c.state=open c.status=NEW c.closed=now-20s
 *		q.	the queue row: q.exists=1 q.phase=new q.tail=now+1h
 *		o.	how the call ended: o.aim=read o.outcome=ok o.retry_in=50s
 *		r.	the reply: r.status=SUCCESS
 *		f.	what else was found: f.held_by=9 f.siblings=2
 *
 * A time is 0 or "now", with a distance from it; "-" is no text.  A decision says in
 * this order, of each thing only if there is something to say:
 *
 *		same, gone			applied
 *		answer, write ...	the record is written, with the reply or without: what changes
 *		error:...			the sentence of the error
 *		put ..., delete		the queue row: what changes
 *		+kind ...			a row of the history; "own" if no reply has caused it
 *		tell, add_row, ask, drop=...
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_TEST_DECISION_TEXT_H
#define INQUD_TEST_DECISION_TEXT_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "situation.h"

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)
#define NOW (INT64_C(1800000000) * SECOND)

static const char *const state_words[] = {"queued", "open", "closed", "failed", "canceled", NULL};
static const char *const aim_words[] = {"read", "create", "second", "found", NULL};
static const char *const outcome_words[] = {
	"ok", "refused", "auth", "route", "not_found", "throttled", "unreachable", "unknown", "bad_reply", "held", "blocked",
	NULL
};
static const char *const fault_words[] = {
	"none", "refused", "auth", "route", "not_found", "throttled", "unreachable", "unknown", "bad_reply", "no_owner",
	"no_server", "no_right", "no_key", "options", "project_changed", "order", "misfit", "crashed", "descriptors", NULL
};
static const char *const phase_words[] = {"none", "new", "active", "reopened", "late", "check", NULL};
static const char *const event_words[] = {
	"created", "status", "changed", "webhook", "error", "failed", "canceled", "anomaly", NULL
};
static const char *const sentence_words[] = {
	"nothing", "text", "repeated", "lost", "unknown_status", "second_answer", "reopened", "taken_back", "other_payment",
	"found", "fits_none", "unread", "not_sent", "given_up", "other_order", "other_project", "other_type", "other_amount",
	"held", NULL
};

/* Of what of the reply a digest is; "other" is that of another reply. */
static const char *const digest_words[] = {"-", "word", "order", "paid", "all", "other", NULL};

typedef enum MemberKind
{
	KIND_BOOL,
	KIND_INT,
	KIND_NUMBER,				/* int64_t */
	KIND_SPAN,
	KIND_TIME,
	KIND_TEXT,
	KIND_DIGEST,				/* int64_t: the digest of what the reply says */
	KIND_WORD					/* of an enum */
} MemberKind;

typedef struct Member
{
	const char *name;
	size_t		offset;			/* in Situation, or in InqudCheckout */
	MemberKind	kind;
	const char *const *words;
} Member;

#define AT(member) offsetof(Situation, member)

static const Member record_members[] = {
	{"id", AT(c.id), KIND_NUMBER},
	{"state", AT(c.state), KIND_WORD, state_words},
	{"current", AT(c.current), KIND_BOOL},
	{"canceled", AT(c.canceled), KIND_BOOL},
	{"made", AT(c.made_at), KIND_TIME},
	{"closed", AT(c.closed_at), KIND_TIME},
	{"paid_at", AT(c.paid_at), KIND_TIME},
	{"money", AT(c.holds_money), KIND_BOOL},
	{"said", AT(c.contradiction), KIND_DIGEST},
	{"error", AT(c.error), KIND_TEXT},
	{"fault", AT(c.fault), KIND_WORD, fault_words},
	{NULL}
};

static const Member checkout_members[] = {
	{"cco", offsetof(InqudCheckout, id), KIND_TEXT},
	{"status", offsetof(InqudCheckout, status), KIND_TEXT},
	{"project", offsetof(InqudCheckout, project_id), KIND_TEXT},
	{"order", offsetof(InqudCheckout, order_id), KIND_TEXT},
	{"reason", offsetof(InqudCheckout, reason), KIND_TEXT},
	{"name", offsetof(InqudCheckout, name), KIND_TEXT},
	{"type", offsetof(InqudCheckout, type), KIND_TEXT},
	{"return_url", offsetof(InqudCheckout, return_url), KIND_TEXT},
	{"url", offsetof(InqudCheckout, acquiring_url), KIND_TEXT},
	{"amount", offsetof(InqudCheckout, fixed_amount), KIND_TEXT},
	{"currency", offsetof(InqudCheckout, fixed_currency), KIND_TEXT},
	{"created", offsetof(InqudCheckout, created_at), KIND_TIME},
	{"updated", offsetof(InqudCheckout, updated_at), KIND_TIME},
	{"expires", offsetof(InqudCheckout, expires_at), KIND_TIME},
	{"has_request", offsetof(InqudCheckout, has_request), KIND_BOOL},
	{"request", offsetof(InqudCheckout, request_id), KIND_TEXT},
	{"payment", offsetof(InqudCheckout, payment_id), KIND_TEXT},
	{"pay_amount", offsetof(InqudCheckout, pay_amount), KIND_TEXT},
	{"pay_currency", offsetof(InqudCheckout, pay_currency), KIND_TEXT},
	{"pay_chain", offsetof(InqudCheckout, pay_blockchain), KIND_TEXT},
	{"paid", offsetof(InqudCheckout, paid_amount), KIND_TEXT},
	{"overpaid", offsetof(InqudCheckout, overpaid), KIND_INT},
	{"tx", offsetof(InqudCheckout, tx_hash), KIND_TEXT},
	{"fee", offsetof(InqudCheckout, merchant_fee), KIND_TEXT},
	{"processing", offsetof(InqudCheckout, processing_amount), KIND_TEXT},
	{"lost", offsetof(InqudCheckout, lost), KIND_TEXT},
	{NULL}
};

static const Member queue_members[] = {
	{"exists", AT(q.exists), KIND_BOOL},
	{"creates", AT(q.creates), KIND_BOOL},
	{"asked", AT(q.asked), KIND_BOOL},
	{"lease", AT(q.lease), KIND_NUMBER},
	{"poke", AT(q.poke), KIND_INT},
	{"attempts", AT(q.attempts), KIND_INT},
	{"answers", AT(q.answers), KIND_INT},
	{"spent", AT(q.spent), KIND_SPAN},
	{"due", AT(q.due_at), KIND_TIME},
	{"phase", AT(q.phase), KIND_WORD, phase_words},
	{"tail", AT(q.tail_from), KIND_TIME},
	{NULL}
};

static const Member ending_members[] = {
	{"aim", AT(o.aim), KIND_WORD, aim_words},
	{"by_worker", AT(o.by_worker), KIND_BOOL},
	{"lease", AT(o.lease), KIND_NUMBER},
	{"poke", AT(o.poke), KIND_INT},
	{"answers", AT(o.answers), KIND_INT},
	{"outcome", AT(o.outcome), KIND_WORD, outcome_words},
	{"fault", AT(o.fault), KIND_WORD, fault_words},
	{"message", AT(o.message), KIND_TEXT},
	{"retry_in", AT(o.retry_in), KIND_SPAN},
	{"retry_for", AT(o.retry_for), KIND_SPAN},
	{"read_in", AT(o.read_in), KIND_SPAN},
	{"sent_expires", AT(o.sent_expires_at), KIND_TIME},
	{"second_of", AT(o.second_of), KIND_NUMBER},
	{"named_order", AT(o.named_order), KIND_TEXT},
	{NULL}
};

static const Member fact_members[] = {
	{"held_by", AT(f.held_by), KIND_NUMBER},
	{"alone", AT(f.alone), KIND_BOOL},
	{"siblings", AT(f.n_unsent), KIND_INT},
	{NULL}
};

/* ---------------------------------------------------------------------
 * Reading
 * ---------------------------------------------------------------------
 */

/* The texts of the situation being read. */
static char arena[2000];
static size_t arena_used;

__attribute__((noreturn))
static void
not_understood(const char *text)
{
	fprintf(stderr, "not understood: %s\n", text);
	exit(1);
}

static const char *
keep_text(const char *text, size_t len)
{
	char	   *copy = arena + arena_used;

	if (arena_used + len + 1 > sizeof(arena))
		not_understood(text);
	memcpy(copy, text, len);
	copy[len] = '\0';
	arena_used += len + 1;
	return copy;
}

/* "50s", "2m", "1h" or "1d"; 0 has no unit. */
static int64_t
span_of(const char *text)
{
	char	   *unit;
	int64_t		n = strtoll(text, &unit, 10);

	switch (*unit)
	{
		case '\0':
			return n;
		case 's':
			return n * SECOND;
		case 'm':
			return n * 60 * SECOND;
		case 'h':
			return n * HOUR;
		case 'd':
			return n * 24 * HOUR;
		default:
			not_understood(text);
	}
}

static int64_t
time_of(const char *text)
{
	if (strncmp(text, "now", 3) != 0)
		return span_of(text);
	return text[3] == '\0' ? NOW : NOW + span_of(text + 3);
}

static int
word_of(const char *text, const char *const *words)
{
	int			i;

	for (i = 0; words[i] != NULL; i++)
	{
		if (strcmp(text, words[i]) == 0)
			return i;
	}
	not_understood(text);
}

/* The digest that a word of digest_words stands for. */
static int64_t
digest_of(const InqudCheckout *reply, int64_t word)
{
	if (word == 0 || digest_words[word + 1] == NULL)
		return word;
	return inqud_digest_against(reply, word == 2 || word == 4, word >= 3);
}

/* Give a member the value that a text says. */
static void
set(void *base, const Member *m, const char *value)
{
	char	   *at = (char *) base + m->offset;

	switch (m->kind)
	{
		case KIND_BOOL:
			*(bool *) at = *value == '1';
			break;
		case KIND_INT:
			*(int *) at = (int) strtol(value, NULL, 10);
			break;
		case KIND_NUMBER:
			*(int64_t *) at = strtoll(value, NULL, 10);
			break;
		case KIND_SPAN:
			*(int64_t *) at = span_of(value);
			break;
		case KIND_TIME:
			*(int64_t *) at = time_of(value);
			break;
		case KIND_TEXT:
			*(const char **) at = strcmp(value, "-") == 0 ? NULL : value;
			break;
		case KIND_DIGEST:
			*(int64_t *) at = word_of(value, digest_words);
			break;
		case KIND_WORD:
			*(int *) at = word_of(value, m->words);
	}
}

static const Member *
member_named(const Member *m, const char *name, size_t len)
{
	for (; m->name != NULL; m++)
	{
		if (strlen(m->name) == len && strncmp(m->name, name, len) == 0)
			return m;
	}
	return NULL;
}

/* One "x.member=value". */
static void
read_item(Situation *s, const char *item, size_t len)
{
	static const char letters[] = "cqof";
	static const Member *const tables[] = {record_members, queue_members, ending_members, fact_members};
	const char *equals = memchr(item, '=', len);
	const char *letter = strchr(letters, item[0]);
	const Member *m = NULL;
	void	   *base = s;
	size_t		name_len;

	if (equals == NULL || item[1] != '.')
		not_understood(item);
	name_len = equals - item - 2;
	if (letter != NULL)
		m = member_named(tables[letter - letters], item + 2, name_len);
	if (m == NULL && (item[0] == 'c' || item[0] == 'r'))
	{
		base = item[0] == 'c' ? &s->c.is : &s->o.reply;
		m = member_named(checkout_members, item + 2, name_len);
	}
	if (m == NULL)
		not_understood(item);
	set(base, m, keep_text(equals + 1, item + len - equals - 1));
}

/* These may wait to be sent beside a checkout of an order. */
static const int64_t some_siblings[] = {4, 6, 9, 12, 13, 14, 15, 16, 17};

static void
read_situation(Situation *s, const char *text)
{
	memset(s, 0, sizeof(*s));
	arena_used = 0;
	s->c.is.overpaid = s->o.reply.overpaid = -1;
	s->f.now = NOW;
	s->f.n_unsent = -1;
	while (*text != '\0')
	{
		size_t		len = strcspn(text, " ");

		if (len > 0)
			read_item(s, text, len);
		text += len + (text[len] == ' ');
	}
	s->c.contradiction = digest_of(&s->o.reply, s->c.contradiction);
	/* none were looked up */
	if (s->f.n_unsent < 0)
		s->f.n_unsent = 0;
	else
		s->f.unsent = some_siblings;
}

/* ---------------------------------------------------------------------
 * Writing
 * ---------------------------------------------------------------------
 */
typedef struct Line
{
	char		text[1000];
	size_t		len;
} Line;

/* Append a piece. */
__attribute__((format(printf, 2, 3)))
static void
add(Line *line, const char *format,...)
{
	va_list		args;
	int			n;

	va_start(args, format);
	n = vsnprintf(line->text + line->len, sizeof(line->text) - line->len, format, args);
	va_end(args);
	line->len += (size_t) n;
	if (line->len >= sizeof(line->text))
		not_understood(line->text);
}

static void
add_span(Line *line, int64_t span)
{
	static const struct
	{
		int64_t		length;
		const char *unit;
	}			units[] = {{24 * HOUR, "d"}, {HOUR, "h"}, {60 * SECOND, "m"}, {SECOND, "s"}, {1, ""}};
	int			i = 0;

	while (span % units[i].length != 0)
		i++;
	add(line, "%" PRId64 "%s", span / units[i].length, span == 0 ? "" : units[i].unit);
}

static void
add_time(Line *line, int64_t moment)
{
	if (moment < NOW / 2)
	{
		add_span(line, moment);
		return;
	}
	add(line, moment > NOW ? "now+" : "now");
	if (moment != NOW)
		add_span(line, moment - NOW);
}

static void
add_value(Line *line, const void *base, const Member *m)
{
	const char *at = (const char *) base + m->offset;

	add(line, " %s=", m->name);
	switch (m->kind)
	{
		case KIND_BOOL:
			add(line, "%d", *(const bool *) at);
			break;
		case KIND_INT:
			add(line, "%d", *(const int *) at);
			break;
		case KIND_NUMBER:
			add(line, "%" PRId64, *(const int64_t *) at);
			break;
		case KIND_SPAN:
			add_span(line, *(const int64_t *) at);
			break;
		case KIND_TIME:
			add_time(line, *(const int64_t *) at);
			break;
		case KIND_TEXT:
			add(line, "%s", *(const char *const *) at ? *(const char *const *) at : "-");
			break;
		case KIND_DIGEST:
			add(line, "%s", digest_words[*(const int64_t *) at]);
			break;
		case KIND_WORD:
			add(line, "%s", m->words[*(const int *) at]);
	}
}

static bool
differs(const Member *m, const void *a, const void *b)
{
	static const size_t sizes[] = {
		[KIND_BOOL] = sizeof(bool), [KIND_INT] = sizeof(int), [KIND_NUMBER] = sizeof(int64_t),
		[KIND_SPAN] = sizeof(int64_t), [KIND_DIGEST] = sizeof(int64_t), [KIND_TIME] = sizeof(int64_t), [KIND_WORD] = sizeof(int)
	};
	const char *x = (const char *) a + m->offset;
	const char *y = (const char *) b + m->offset;

	if (m->kind == KIND_TEXT)
		return !same(*(const char *const *) x, *(const char *const *) y);
	return memcmp(x, y, sizes[m->kind]) != 0;
}

/* Say which members have changed, and into what. */
static void
add_changes(Line *line, const Member *members, const void *before, const void *after)
{
	const Member *m;

	for (m = members; m->name != NULL; m++)
	{
		if (differs(m, before, after))
			add_value(line, after, m);
	}
}

static void
add_saying(Line *line, const InqudSaying *says)
{
	add(line, ":%s%s", says->late ? "late_" : "", sentence_words[says->what]);
	if (says->text != NULL || says->other != NULL || says->number != 0)
		add(line, "(%s%s%s", says->text ? says->text : "", says->other ? "," : "", says->other ? says->other : "");
	if (says->number != 0)
		add(line, "#%" PRId64, says->number);
	if (says->text != NULL || says->other != NULL || says->number != 0)
		add(line, ")");
}

static void
add_note(Line *line, const InqudNote *note)
{
	add(line, " +%s", event_words[note->kind]);
	if (note->says.what != INQUD_SAYS_NOTHING)
		add_saying(line, &note->says);
	if (note->status_from != NULL || note->status_to != NULL)
		add(line, " %s..%s", note->status_from ? note->status_from : "-", note->status_to ? note->status_to : "-");
	if (note->reason != NULL)
		add(line, " for %s", note->reason);
	if (!note->of_reply)
		add(line, " own");
}

static int64_t
word_of_digest(const InqudCheckout *reply, int64_t digest)
{
	int64_t		word = 0;

	while (digest_words[word + 1] != NULL && digest_of(reply, word) != digest)
		word++;
	return word;
}

static void
add_record(Line *line, const Situation *before, const Situation *after, const InqudDecision *d)
{
	Situation	worded = *after;

	add(line, d->keep_reply ? " answer" : " write");
	if (after->c.contradiction != before->c.contradiction)
		worded.c.contradiction = word_of_digest(&before->o.reply, after->c.contradiction);
	add_changes(line, record_members, before, &worded);
	add_changes(line, checkout_members, &before->c.is, &after->c.is);
	if (d->error.what != INQUD_SAYS_NOTHING)
	{
		add(line, " error");
		add_saying(line, &d->error);
	}
	if (d->money)
		add(line, " marked");
}

/* The line of a decision on this situation. */
__attribute__((unused))
static const char *
decision_text(Line *line, const Situation *s, const InqudDecision *d)
{
	static const char *const applied[] = {"", " same", " locked", " gone"};
	Situation	after = {.c = d->record, .q = d->row};
	int			i;

	line->len = 0;
	add(line, "%s", applied[d->applied]);
	if (d->write)
		add_record(line, s, &after, d);
	if (d->queue == INQUD_QUEUE_PUT)
	{
		add(line, " put");
		add_changes(line, queue_members, s, &after);
	}
	else if (d->queue == INQUD_QUEUE_DELETE)
		add(line, " delete");
	for (i = 0; i < d->n_notes; i++)
		add_note(line, &d->notes[i]);
	add(line, "%s%s%s", d->tell ? " tell" : "", d->add_row ? " add_row" : "", d->ask_siblings ? " ask" : "");
	for (i = 0; i < d->n_drop; i++)
		add(line, " drop=%" PRId64, d->drop[i]);
	return line->len > 0 ? line->text + 1 : "";
}

#endif							/* INQUD_TEST_DECISION_TEXT_H */
