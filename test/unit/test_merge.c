/*-------------------------------------------------------------------------
 *
 * test_merge.c
 *		A reply laid over what is recorded: each member; and comparing the two.
 *
 *-------------------------------------------------------------------------
 */
#include "decision_text.h"
#include "tap.h"

/* What becomes of a member that record and reply both have. */
typedef enum Fate
{
	FIRST,						/* what is recorded stays */
	LAST,						/* the reply's is taken */
	NEVER						/* it is not the reply's to say */
} Fate;

static const struct
{
	const char *name;
	Fate		fate;
	bool		detail;
	const char *recorded;
	const char *said;
}			fates[] =
{
	{"cco", FIRST, false, "CCO-1", "CCO-2"},
	{"project", NEVER, false, "CAP-1", "CAP-2"},
	{"order", NEVER, false, "order-1", "order-2"},
	{"name", FIRST, false, "N", "M"},
	{"type", FIRST, false, "FIXED_PRICE", "NO_PRICE"},
	{"return_url", FIRST, false, "R1", "R2"},
	{"url", FIRST, false, "U1", "U2"},
	{"amount", NEVER, false, "10", "11"},
	{"currency", NEVER, false, "EUR", "USD"},
	{"created", LAST, false, "now-2h", "now-1h"},
	{"updated", LAST, false, "now-2h", "now-1h"},
	{"expires", LAST, false, "now+2h", "now+1h"},
	{"request", LAST, false, "CAPD-1", "CAPD-2"},
	{"payment", LAST, false, "PMT-1", "PMT-2"},
	{"pay_amount", LAST, true, "0.1", "0.2"},
	{"pay_currency", LAST, true, "BTC", "ETH"},
	{"pay_chain", LAST, true, "BITCOIN", "ETHEREUM"},
	{"paid", LAST, true, "0.1", "0.2"},
	{"overpaid", LAST, true, "1", "0"},
	{"tx", LAST, true, "0x1", "0x2"},
	{"fee", LAST, false, "0.1", "0.2"},
	{"processing", LAST, false, "0.1", "0.2"},
	{"lost", NEVER, false, "-", "txHash"},
	{"has_request", NEVER, false, "0", "1"},
};

/* A record and a reply, of which only this member may differ. */
static void
read_pair(Situation *s, const char *name, const char *recorded, const char *said)
{
	char		text[200];

	snprintf(text, sizeof(text), "c.status=NEW r.status=NEW c.%s=%s r.%s=%s", name, recorded, name, said);
	read_situation(s, text);
}

static bool
is_like(const Member *m, const InqudCheckout *a, const InqudCheckout *b)
{
	return !differs(m, a, b);
}

static void
test_member(size_t i)
{
	const char *name = fates[i].name;
	const char *none = strcmp(name, "overpaid") == 0 ? "-1" : fates[i].said[0] == 'n' || strcmp(name, "has_request") == 0 ?
		"0" : "-";
	const Member *m = member_named(checkout_members, name, strlen(name));
	Situation	s;
	InqudRecord after;
	bool		changed;

	read_pair(&s, name, fates[i].recorded, fates[i].said);
	after = s.c;
	changed = inqud_merge_reply(&after, &s.o.reply);
	ok(changed == (fates[i].fate == LAST) && is_like(m, &after.is, changed ? &s.o.reply : &s.c.is), "%s: %s", name,
	   changed ? "the reply's is taken" : "what is recorded stays");
	ok(inqud_details_differ(&s.c.is, &s.o.reply) == fates[i].detail, "... is %s", fates[i].detail ? "a detail" : "no detail");
	if (fates[i].fate == NEVER)
		return;
	read_pair(&s, name, fates[i].recorded, none);
	after = s.c;
	ok(!inqud_merge_reply(&after, &s.o.reply) && is_like(m, &after.is, &s.c.is), "... stays if the reply has none");
	read_pair(&s, name, none, fates[i].said);
	after = s.c;
	ok(inqud_merge_reply(&after, &s.o.reply) && is_like(m, &after.is, &s.o.reply), "... is taken if there was none");
	read_pair(&s, name, fates[i].said, fates[i].said);
	after = s.c;
	ok(!inqud_merge_reply(&after, &s.o.reply) && !inqud_details_differ(&after.is, &s.o.reply), "... may be the same");
}

/* Everything that Inqud may say of a checkout has its fate, but for status and reason. */
static void
test_members(void)
{
	const Member *m;
	size_t		known = 0;
	size_t		i;

	for (m = checkout_members; m->name != NULL; m++)
		known++;
	is_int(sizeof(fates) / sizeof(fates[0]) + 2, known, "no member is left out");
	for (i = 0; i < sizeof(fates) / sizeof(fates[0]); i++)
		test_member(i);
}

static void
merge(const char *situation, bool changed, const char *status, const char *reason, const char *name)
{
	Situation	s;

	read_situation(&s, situation);
	ok(inqud_merge_reply(&s.c, &s.o.reply) == changed && same(s.c.is.status, status) && same(s.c.is.reason, reason),
	   "%s", name);
}

static void
test_status(void)
{
	Situation	s;

	merge("r.status=NEW", true, "NEW", NULL, "the first status");
	merge("c.status=NEW r.status=NEW", false, "NEW", NULL, "the same status");
	merge("c.status=NEW r.status=SUCCESS r.reason=R", true, "SUCCESS", "R", "a status with its reason");
	merge("c.status=NEW c.reason=R r.status=SUCCESS", true, "SUCCESS", NULL, "a status without one");
	merge("c.status=NEW c.reason=R r.status=NEW", false, "NEW", "R", "a reason stays with its status");
	merge("c.status=NEW c.reason=R r.status=NEW r.reason=R", false, "NEW", "R", "the same reason");
	merge("c.status=NEW c.reason=R r.status=NEW r.reason=S", true, "NEW", "S", "another reason");
	merge("c.status=EXPIRED r.status=SUCCESS", true, "SUCCESS", NULL, "a final status may be corrected");
	merge("c.status=EXPIRED c.reason=R r.status=NEW r.reason=S", false, "EXPIRED", "R", "and is never undone");
	read_situation(&s, "c.status=SUCCESS r.status=NEW r.tx=0x1 r.updated=now r.paid=0");
	ok(!inqud_merge_reply(&s.c, &s.o.reply) && s.c.is.tx_hash == NULL && s.c.is.updated_at == 0 && s.c.is.paid_amount == NULL,
	   "nor is anything else taken from such a reply");
	read_situation(&s, "c.status=NEW r.status=NEW c.reason=R");
	ok(inqud_details_differ(&s.c.is, &s.o.reply), "a reason is a detail");
}

static void
test_numbers(void)
{
	static const struct
	{
		const char *a;
		const char *b;
		bool		same;
	}			pairs[] = {
		{"1", "1", true}, {"1", "1.0", true}, {"1.50", "1.5", true}, {"100", "1", false}, {"100", "10", false},
		{"0", "0.00", true}, {"00", "0", true}, {"0.10", "0.1", true}, {"0.01", "0.1", false}, {"007", "7", true},
		{"00.5", "0.5", true}, {"10.", "10", true}, {"1", "-1", false}, {"0.000000000000000001", "0", false},
		{"99999999999999999999999999999999999999", "99999999999999999999999999999999999998", false},
		{"12345678901234567890.12", "12345678901234567890.120", true}, {"9007199254740993", "9007199254740992", false}
	};
	InqudRecord record = {.is = {.overpaid = -1}};
	InqudCheckout reply = {.overpaid = -1};
	size_t		i;

	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
	{
		record.is.fixed_amount = record.is.paid_amount = pairs[i].a;
		reply.fixed_amount = reply.paid_amount = pairs[i].b;
		ok((inqud_misfit(&record, &reply) == INQUD_SAYS_NOTHING) == pairs[i].same &&
		   inqud_details_differ(&record.is, &reply) != pairs[i].same, "%s is %s%s", pairs[i].a, pairs[i].same ? "" : "not ",
		   pairs[i].b);
	}
}

static void
misfit(const char *situation, InqudSentence expected, const char *name)
{
	Situation	s;

	read_situation(&s, situation);
	is(sentence_words[inqud_misfit(&s.c, &s.o.reply)], sentence_words[expected], name);
}

static void
test_misfits(void)
{
	misfit("", INQUD_SAYS_NOTHING, "nothing said fits nothing ordered");
	misfit("c.order=A c.project=P c.type=T c.amount=1 c.currency=EUR", INQUD_SAYS_NOTHING, "what is not said fits");
	misfit("r.order=A r.project=P r.type=T", INQUD_SAYS_NOTHING, "what was not ordered fits");
	misfit("c.order=A r.order=a", INQUD_SAYS_OTHER_ORDER, "an order's case matters");
	misfit("c.project=P r.project=Q", INQUD_SAYS_OTHER_PROJECT, "another project");
	misfit("c.type=T r.type=U", INQUD_SAYS_OTHER_TYPE, "another type");
	misfit("r.amount=1", INQUD_SAYS_OTHER_AMOUNT, "an amount that was not ordered does not fit");
	misfit("r.currency=EUR", INQUD_SAYS_OTHER_AMOUNT, "nor does a currency");
	misfit("c.amount=1 c.currency=EUR r.amount=1", INQUD_SAYS_NOTHING, "an amount without a currency");
	misfit("c.amount=1 c.currency=EUR r.currency=EUR", INQUD_SAYS_NOTHING, "a currency without an amount");
	misfit("c.currency=eur r.currency=EUR", INQUD_SAYS_NOTHING, "a currency's case does not matter");
	misfit("c.currency=EUR r.currency=EURC", INQUD_SAYS_OTHER_AMOUNT, "a currency's letters all matter");
	misfit("c.currency=EURC r.currency=EUR", INQUD_SAYS_OTHER_AMOUNT, "on both sides");
	misfit("c.order=A r.order=B c.project=P r.project=Q c.type=T r.type=U r.amount=1", INQUD_SAYS_OTHER_ORDER,
		   "the order comes first");
	misfit("c.project=P r.project=Q c.type=T r.type=U r.amount=1", INQUD_SAYS_OTHER_PROJECT, "then the project");
	misfit("c.type=T r.type=U r.amount=1", INQUD_SAYS_OTHER_TYPE, "then the type");
}

static void
test_words(void)
{
	ok(inqud_is_final("SUCCESS") && inqud_is_final("CONFLICT") && inqud_is_final("EXPIRED"), "three words are final");
	ok(!inqud_is_final(NULL) && !inqud_is_final("NEW") && !inqud_is_final("success") && !inqud_is_final("SUCCESSFUL") &&
	   !inqud_is_final("") && !inqud_is_final("PAYMENT_DETECTED"), "and no others");
}

int
main(void)
{
	test_members();
	test_status();
	test_numbers();
	test_misfits();
	test_words();
	return tap_end();
}
