/*-------------------------------------------------------------------------
 *
 * fuzz_lifecycle.c
 *		Any record, queue row, outcome and other rows: the rules of decision.h must
 *		hold.  Memory of the wrong size, and texts that are no numbers, are what is
 *		looked for besides.
 *
 * The input is read byte by byte: first small numbers that choose, then, to its end,
 * two texts with a NUL between them, which stand where amounts stand.
 *
 *-------------------------------------------------------------------------
 */
#include "decision.h"
#include "fuzz.h"

#define SECOND INT64_C(1000000)
#define NOW (INT64_C(1800000000) * SECOND)

/* More than a decision has room for. */
#define MANY_SIBLINGS (INQUD_MAX_SIBLINGS + 4)
#define SOME_ROWS 3

typedef struct Bytes
{
	const uint8_t *next;
	const uint8_t *end;
	const char *texts[2];		/* those at the end of the input */
} Bytes;

/* 0 when there are no more. */
static uint8_t
byte(Bytes *in)
{
	return in->next < in->end ? *in->next++ : 0;
}

static int
choice(Bytes *in, int n)
{
	return byte(in) % n;
}

static bool
coin(Bytes *in)
{
	return byte(in) & 1;
}

/* None, a word, or one of the texts. */
static const char *
text(Bytes *in, const char *const *words, int n)
{
	int			i = choice(in, n + 3);

	if (i == 0)
		return NULL;
	return i <= n ? words[i - 1] : in->texts[i - n - 1];
}

#define TEXT(in, words) text(in, words, (int) (sizeof(words) / sizeof((words)[0])))

static const char *const statuses[] = {
	"NEW", "REQUEST_CREATED", "PAYMENT_DETECTED", "SUCCESS", "CONFLICT", "EXPIRED", "HALF_PAID"
};
static const char *const few_words[] = {"A", "B"};
static const char *const amounts[] = {"10", "10.00", "0.1"};
static const char *const currencies[] = {"EUR", "eur", "BTC"};
static const char *const messages[] = {"no answer", ""};

/* None, within days of now, or any within the years that a reply can say. */
static int64_t
moment(Bytes *in)
{
	uint64_t	any = 0;
	int			kind = choice(in, 8);
	int			i;

	if (kind == 0)
		return 0;
	if (kind < 7)
		return NOW + (byte(in) - 128) * (kind < 4 ? SECOND : 3600 * SECOND);
	for (i = 0; i < 7; i++)
		any = any << 8 | byte(in);
	return (int64_t) any;
}

static int64_t
span(Bytes *in)
{
	return byte(in) * 10 * SECOND;
}

static void
read_checkout(Bytes *in, InqudCheckout *is)
{
	is->id = TEXT(in, few_words);
	is->status = TEXT(in, statuses);
	is->project_id = TEXT(in, few_words);
	is->order_id = TEXT(in, few_words);
	is->reason = TEXT(in, few_words);
	is->name = TEXT(in, few_words);
	is->type = TEXT(in, few_words);
	is->return_url = TEXT(in, few_words);
	is->acquiring_url = TEXT(in, few_words);
	is->fixed_amount = TEXT(in, amounts);
	is->fixed_currency = TEXT(in, currencies);
	is->created_at = moment(in);
	is->updated_at = moment(in);
	is->expires_at = moment(in);
	is->has_request = coin(in);
	is->request_id = TEXT(in, few_words);
	is->payment_id = TEXT(in, few_words);
	is->pay_amount = TEXT(in, amounts);
	is->pay_currency = TEXT(in, currencies);
	is->pay_blockchain = TEXT(in, few_words);
	is->paid_amount = TEXT(in, amounts);
	is->overpaid = choice(in, 3) - 1;
	is->tx_hash = TEXT(in, few_words);
	is->merchant_fee = TEXT(in, amounts);
	is->processing_amount = TEXT(in, amounts);
	is->lost = TEXT(in, few_words);
}

static void
read_record(Bytes *in, InqudRecord *c)
{
	c->id = choice(in, 8) + 1;
	c->state = (InqudState) choice(in, INQUD_CANCELED + 1);
	c->current = coin(in);
	c->canceled = coin(in);
	read_checkout(in, &c->is);
	c->made_at = moment(in);
	c->closed_at = moment(in);
	c->paid_at = moment(in);
	c->holds_money = coin(in);
	/* no status that is not final follows money */
	if (!ends(c->is.status))
	{
		c->paid_at = 0;
		c->holds_money = false;
	}
	else if (c->paid_at == 0 && same(c->is.status, "SUCCESS"))
		c->paid_at = NOW;
	c->error = TEXT(in, messages);
	c->fault = (InqudFault) choice(in, INQUD_FAULT_CRASHED + 1);
}

static void
read_queue_row(Bytes *in, InqudQueueRow *q, int64_t expires_at)
{
	q->exists = coin(in);
	if (!q->exists)
		return;
	q->creates = coin(in);
	q->asked = coin(in);
	q->lease = choice(in, 3);
	q->poke = choice(in, 3);
	q->attempts = choice(in, 4);
	q->answers = choice(in, 3);
	q->spent = span(in);
	q->due_at = moment(in);
	q->phase = (InqudPhase) choice(in, INQUD_PHASE_CHECK + 1);
	q->tail_from = moment(in);
	/* an expiry may be "infinity" */
	if (expires_at == INT64_MAX && (q->phase == INQUD_PHASE_NEW || q->phase == INQUD_PHASE_ACTIVE))
		q->tail_from = expires_at;
}

static void
read_ending(Bytes *in, InqudEnding *o)
{
	o->aim = (InqudAim) choice(in, INQUD_AIM_FOUND + 1);
	o->by_worker = coin(in);
	o->lease = choice(in, 3);
	o->poke = choice(in, 3);
	o->answers = choice(in, 3);
	o->outcome = (InqudOutcome) choice(in, INQUD_N_OUTCOMES);
	o->fault = (InqudFault) choice(in, INQUD_FAULT_CRASHED + 1);
	o->message = TEXT(in, messages);
	o->retry_in = span(in);
	o->retry_for = span(in);
	o->read_in = span(in);
	o->sent_expires_at = moment(in);
	read_checkout(in, &o->reply);
	o->second_of = choice(in, 8);
	o->named_order = TEXT(in, few_words);
	/* rows are added or chosen for answers alone, and an answer has an id */
	if (o->aim == INQUD_AIM_SECOND || o->aim == INQUD_AIM_FOUND)
		o->outcome = INQUD_OK;
	if (o->reply.id == NULL)
		o->reply.id = "A";
}

/* In memory of exactly its size; the caller frees it. */
static int64_t *
read_siblings(Bytes *in, int n)
{
	int64_t    *siblings = calloc(n > 0 ? n : 1, sizeof(int64_t));
	int			i;

	if (siblings == NULL)
		exit(1);
	for (i = 0; i < n; i++)
		siblings[i] = choice(in, 100) + 10;
	return siblings;
}

static void
check_decision(Bytes *in)
{
	InqudDecision *decisions = malloc(2 * sizeof(InqudDecision));
	int64_t    *siblings;
	Situation	s;

	if (decisions == NULL)
		exit(1);
	memset(&s, 0, sizeof(s));
	read_record(in, &s.c);
	if (choice(in, 16) == 15)
		s.c.is.expires_at = INT64_MAX;
	read_queue_row(in, &s.q, s.c.is.expires_at);
	/* what is over is read from when it ended */
	if (s.c.is.expires_at == INT64_MAX && (s.q.phase == INQUD_PHASE_NONE || s.q.phase == INQUD_PHASE_CHECK))
		s.c.is.expires_at = NOW;
	read_ending(in, &s.o);
	s.f.now = NOW;
	s.f.held_by = coin(in) ? choice(in, 8) : 0;
	s.f.alone = coin(in);
	s.f.n_unsent = choice(in, MANY_SIBLINGS + 1);
	siblings = read_siblings(in, s.f.n_unsent);
	if (coin(in))
		s.f.unsent = siblings;
	else
		s.f.n_unsent = 0;
	if (coin(in))
		s.c.contradiction = inqud_digest_against(&s.o.reply, coin(in), coin(in));
	MUST(decide_twice(&s, decisions));
	MUST(broken_rule(&s, decisions) == -1);
	free(siblings);
	free(decisions);
}

static void
check_found(Bytes *in)
{
	InqudRecord rows[SOME_ROWS];
	InqudEnding ending;
	InqudFound	found;
	int			n = choice(in, SOME_ROWS + 1);
	int			waiting = choice(in, n + 1) - 1;
	int64_t		held_by = choice(in, 2);
	const char *project = TEXT(in, few_words);
	bool		fits = false;
	int			i;

	memset(rows, 0, sizeof(rows));
	memset(&ending, 0, sizeof(ending));
	memset(&found, 0xa5, sizeof(found));
	for (i = 0; i < n; i++)
		read_record(in, &rows[i]);
	read_ending(in, &ending);
	inqud_decide_found(&ending, byte(in) * 100, project, rows, n, waiting, held_by, &found);
	for (i = 0; i < n; i++)
		fits |= inqud_misfit(&rows[i], &ending.reply) == INQUD_SAYS_NOTHING;
	/* only an answer is recorded, once, in a row that it fits */
	if (found.action == INQUD_FOUND_TAKE)
		MUST(found.take == waiting && inqud_misfit(&rows[waiting], &ending.reply) == INQUD_SAYS_NOTHING && !found.foreign);
	if (found.action == INQUD_FOUND_TAKE || found.action == INQUD_FOUND_ADD)
		MUST(ending.outcome == INQUD_OK && held_by == 0 && project != NULL &&
			 !inqud_contradicts(project, ending.reply.project_id));
	if (found.action == INQUD_FOUND_ADD)
		MUST(found.foreign == (n > 0 && !fits));
	/* what was read, and is ours, is never dropped */
	if (found.action == INQUD_FOUND_DROP)
		MUST(ending.outcome != INQUD_OK || project == NULL || inqud_contradicts(project, ending.reply.project_id));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* what chooses takes no more than this */
	size_t		choosing = size < 300 ? size : 300;
	Bytes		in = {data, data + choosing, {NULL, NULL}};
	char	   *rest = to_text(data + choosing, size - choosing);
	size_t		len = strlen(rest);
	bool		two = len < size - choosing;
	char	   *second = to_text(data + choosing + len + two, size - choosing - len - two);

	in.texts[0] = rest;
	in.texts[1] = second;
	if (coin(&in))
		check_found(&in);
	else
		check_decision(&in);
	free(second);
	free(rest);
	return 0;
}
