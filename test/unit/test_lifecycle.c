/*-------------------------------------------------------------------------
 *
 * test_lifecycle.c
 *		What an outcome means for a checkout: each rule by cases.
 *
 * A case is a situation and all that is decided on it; decision_text.h says how both
 * are written.
 *
 *-------------------------------------------------------------------------
 */
#include "decision_text.h"
#include "tap.h"

#define ORDER "c.id=7 c.current=1 c.order=order-1 c.project=CAP-1 c.type=FIXED_PRICE c.amount=10 c.currency=EUR f.alone=1 "

/* A create that this call has sent, without an answer, and with the usual one. */
#define CREATE ORDER "c.state=queued c.made=now-60s q.exists=1 q.creates=1 q.lease=11 q.attempts=1 q.due=now-2s " \
	"o.aim=create o.by_worker=1 o.lease=11 o.retry_in=50s o.retry_for=200s "
#define CREATED CREATE "r.cco=CCO-1 r.status=NEW r.url=U1 "
#define FAILED CREATE "o.message=no "

/* The answer comes after another process took the create over. */
#define LATE CREATED "q.lease=12 "

/* A read by the worker's clock of a checkout that is open, or that has ended. */
#define READ ORDER "c.state=open c.made=now-1h c.cco=CCO-1 c.url=U1 c.status=NEW c.expires=now+1h " \
	"q.exists=1 q.phase=new q.tail=now+1h q.answers=5 q.due=now-30s o.by_worker=1 o.answers=5 o.retry_in=50s r.cco=CCO-1 "
#define READ_CLOSED READ "c.state=closed c.status=SUCCESS c.closed=now-4h q.phase=check q.tail=now-4h "
#define PAID_BEFORE READ_CLOSED "c.paid_at=now-4h c.money=1 "
#define CONFLICT_BEFORE READ_CLOSED "c.status=CONFLICT c.money=1 "
#define REOPENED READ_CLOSED "q.phase=reopened q.tail=now-10m "

/* It was asked for; a session makes it. */
#define ASKED "q.asked=1 "
#define SESSION "o.by_worker=0 "

typedef struct Example
{
	const char *name;
	const char *situation;
	const char *decision;
}			Example;

static const Example creates[] =
{
	{"an answer opens it", CREATED "r.expires=now+1h",
		"answer state=open cco=CCO-1 status=NEW url=U1 expires=now+1h "
		"put creates=0 lease=0 attempts=0 answers=1 due=now phase=new tail=now+1h +created:text(CCO-1) -..NEW tell"},
	{"without an expiry that of the request holds", CREATED "o.sent_expires=now+2h",
		"answer state=open cco=CCO-1 status=NEW url=U1 expires=now+2h "
		"put creates=0 lease=0 attempts=0 answers=1 due=now phase=new tail=now+2h +created:text(CCO-1) -..NEW tell"},
	{"but the reply's goes before it", CREATED "o.sent_expires=now+2h r.expires=now+3h",
		"answer state=open cco=CCO-1 status=NEW url=U1 expires=now+3h "
		"put creates=0 lease=0 attempts=0 answers=1 due=now phase=new tail=now+3h +created:text(CCO-1) -..NEW tell"},
	{"else an hour from when Inqud made it", CREATED "r.created=now-20m",
		"answer state=open cco=CCO-1 status=NEW url=U1 created=now-20m "
		"put creates=0 lease=0 attempts=0 answers=1 due=now phase=new tail=now+40m +created:text(CCO-1) -..NEW tell"},
	{"else from when we did", CREATED,
		"answer state=open cco=CCO-1 status=NEW url=U1 "
		"put creates=0 lease=0 attempts=0 answers=1 due=now phase=new tail=now+59m +created:text(CCO-1) -..NEW tell"},
	{"an expiry long past counts from when we made it", CREATED "r.expires=now-900d r.created=now-901d",
		"answer state=open cco=CCO-1 status=NEW url=U1 created=now-901d expires=now-900d "
		"put creates=0 lease=0 attempts=0 answers=1 due=now phase=new tail=now-1m +created:text(CCO-1) -..NEW tell"},
	{"a payment may be under way", CREATED "r.status=REQUEST_CREATED",
		"answer state=open cco=CCO-1 status=REQUEST_CREATED url=U1 "
		"put creates=0 lease=0 attempts=0 answers=1 due=now phase=active tail=now+59m "
		"+created:text(CCO-1) -..REQUEST_CREATED tell"},
	{"an unknown word is followed", CREATED "r.status=HALF_PAID",
		"answer state=open cco=CCO-1 status=HALF_PAID url=U1 "
		"put creates=0 lease=0 attempts=0 answers=1 due=now phase=active tail=now+59m +created:text(CCO-1) -..HALF_PAID tell"},
	{"it may be paid", CREATED "r.status=SUCCESS r.reason=R",
		"answer state=closed closed=now paid_at=now money=1 cco=CCO-1 status=SUCCESS reason=R url=U1 "
		"marked put creates=0 lease=0 attempts=0 answers=1 due=now phase=check tail=now "
		"+created:text(CCO-1) -..SUCCESS for R tell"},
	{"it may have expired", CREATED "r.status=EXPIRED",
		"answer state=closed closed=now cco=CCO-1 status=EXPIRED url=U1 "
		"put creates=0 lease=0 attempts=0 answers=1 due=now phase=check tail=now +created:text(CCO-1) -..EXPIRED tell"},
	{"then money may come if an address was shown", CREATED "r.status=EXPIRED r.has_request=1",
		"answer state=closed closed=now cco=CCO-1 status=EXPIRED url=U1 "
		"put creates=0 lease=0 attempts=0 answers=1 due=now phase=late tail=now +created:text(CCO-1) -..EXPIRED tell"},
	{"which a currency to pay in says, too", CREATED "r.status=EXPIRED r.pay_currency=BTC",
		"answer state=closed closed=now cco=CCO-1 status=EXPIRED url=U1 pay_currency=BTC "
		"put creates=0 lease=0 attempts=0 answers=1 due=now phase=late tail=now +created:text(CCO-1) -..EXPIRED tell"},
	{"errors before it are forgotten", CREATED "c.error=no c.fault=unknown q.spent=100s",
		"answer state=open fault=none cco=CCO-1 status=NEW url=U1 "
		"put creates=0 lease=0 attempts=0 answers=1 spent=0 due=now phase=new tail=now+59m +created:text(CCO-1) -..NEW tell"},
	{"it is recorded though canceled", CREATED "c.current=0 c.canceled=1",
		"answer state=open cco=CCO-1 status=NEW url=U1 "
		"put creates=0 lease=0 attempts=0 answers=1 due=now phase=new tail=now+59m +created:text(CCO-1) -..NEW tell"},
	{"members that cannot be stored are named", CREATED "r.lost=txHash",
		"answer state=open cco=CCO-1 status=NEW url=U1 "
		"put creates=0 lease=0 attempts=0 answers=1 due=now phase=new tail=now+59m "
		"+error:lost(txHash) +created:text(CCO-1) -..NEW tell"},
	{"a session has the worker look later", CREATED SESSION "o.read_in=20s",
		"answer state=open cco=CCO-1 status=NEW url=U1 "
		"put creates=0 asked=1 lease=0 attempts=0 answers=1 due=now+20s phase=new tail=now+59m "
		"+created:text(CCO-1) -..NEW tell"},
	{"in ten seconds if it cannot say when", CREATED SESSION,
		"answer state=open cco=CCO-1 status=NEW url=U1 "
		"put creates=0 asked=1 lease=0 attempts=0 answers=1 due=now+10s phase=new tail=now+59m "
		"+created:text(CCO-1) -..NEW tell"},
	{"in four hours after its end", CREATED SESSION "r.status=CONFLICT o.read_in=20s",
		"answer state=closed closed=now money=1 cco=CCO-1 status=CONFLICT url=U1 "
		"marked put creates=0 asked=1 lease=0 attempts=0 answers=1 due=now+4h phase=check tail=now "
		"+created:text(CCO-1) -..CONFLICT tell"},
};

/* The answer is another one's: the rest stays as it was. */
#define MISFIT(sentence) "write state=failed fault=misfit error:" sentence " delete +failed:" sentence " tell"

static const Example misfits[] =
{
	{"the answer of another order", CREATED "r.order=order-2", MISFIT("other_order")},
	{"of another project", CREATED "r.project=CAP-2", MISFIT("other_project")},
	{"of another type", CREATED "r.type=NO_PRICE", MISFIT("other_type")},
	{"of another amount", CREATED "r.amount=10.01", MISFIT("other_amount")},
	{"of an amount where none was ordered", CREATED "c.amount=- r.amount=10", MISFIT("other_amount")},
	{"of another currency", CREATED "r.currency=EURC", MISFIT("other_amount")},
	{"of a currency where none was ordered", CREATED "c.currency=- r.currency=EUR", MISFIT("other_amount")},
	{"of an id that another row has", CREATED "f.held_by=3", MISFIT("held(CCO-1#3)")},
	{"the first that does not fit is said", CREATED "f.held_by=3 r.order=order-2 r.amount=11", MISFIT("other_order")},
	{"a canceled one is not failed", CREATED "r.order=order-2 c.canceled=1",
		"write state=canceled fault=misfit error:other_order delete +canceled:other_order tell"},
	{"all that is said fits", CREATED "r.order=order-1 r.project=CAP-1 r.type=FIXED_PRICE r.amount=10.00 r.currency=eur",
		"answer state=open cco=CCO-1 status=NEW url=U1 "
		"put creates=0 lease=0 attempts=0 answers=1 due=now phase=new tail=now+59m +created:text(CCO-1) -..NEW tell"},
};

static const Example failed_creates[] =
{
	{"refused: it has failed", FAILED "o.outcome=refused o.fault=refused",
		"write state=failed fault=refused error:text(no) delete +failed:text(no) tell"},
	{"not reached: again, and the time is counted", FAILED "o.outcome=unreachable o.fault=unreachable",
		"write fault=unreachable error:text(no) put lease=0 spent=50s due=now+50s +error:text(no)"},
	{"outcome unknown: again, and it is said", FAILED "o.outcome=unknown o.fault=unknown",
		"write fault=unknown error:text(no) put lease=0 spent=50s due=now+50s +error:repeated(no)"},
	{"a reply that is not understood: again", FAILED "o.outcome=bad_reply o.fault=bad_reply",
		"write fault=bad_reply error:text(no) put lease=0 spent=50s due=now+50s +error:text(no)"},
	{"not found: again", FAILED "o.outcome=not_found o.fault=not_found",
		"write fault=not_found error:text(no) put lease=0 spent=50s due=now+50s +error:text(no)"},
	{"credentials refused: again, and not counted", FAILED "o.outcome=auth o.fault=auth q.spent=999s",
		"write fault=auth error:text(no) put lease=0 attempts=0 due=now+50s +error:text(no)"},
	{"a wrong address: the same", FAILED "o.outcome=route o.fault=route q.spent=999s",
		"write fault=route error:text(no) put lease=0 attempts=0 due=now+50s +error:text(no)"},
	{"throttled: the same", FAILED "o.outcome=throttled o.fault=throttled q.spent=999s",
		"write fault=throttled error:text(no) put lease=0 attempts=0 due=now+50s +error:text(no)"},
	{"no account for it: the same", FAILED "o.outcome=blocked o.fault=no_key q.spent=999s",
		"write fault=no_key error:text(no) put lease=0 attempts=0 due=now+50s +error:text(no)"},
	{"held: nothing is wrong", FAILED "o.outcome=held q.spent=999s", "put lease=0 attempts=0 due=now+50s"},
	{"no attempt is counted below none", FAILED "o.outcome=held q.attempts=0", "put lease=0 due=now+50s"},
	{"an error that is known is not written again", FAILED "o.outcome=unreachable o.fault=unreachable c.error=no c.fault=unreachable",
		"put lease=0 spent=50s due=now+50s"},
	{"but each unknown outcome is noted", FAILED "o.outcome=unknown o.fault=unknown c.error=no c.fault=unknown",
		"put lease=0 spent=50s due=now+50s +error:repeated(no)"},
	{"the same words may be another fault", FAILED "o.outcome=auth o.fault=auth c.error=no c.fault=unreachable",
		"write fault=auth error:text(no) put lease=0 attempts=0 due=now+50s +error:text(no)"},
	{"the same fault may have other words", FAILED "o.outcome=auth o.fault=auth c.error=not_yet c.fault=auth",
		"write error:text(no) put lease=0 attempts=0 due=now+50s +error:text(no)"},
	{"all of the time is used", FAILED "o.outcome=unreachable o.fault=unreachable q.spent=150s",
		"write fault=unreachable error:text(no) put lease=0 spent=200s due=now+50s +error:text(no)"},
	{"and no more than that", FAILED "o.outcome=unreachable o.fault=unreachable q.spent=151s q.attempts=3",
		"write state=failed fault=unreachable error:given_up(no#3) delete +failed:given_up(no#3) tell"},
	{"canceled: not again", FAILED "o.outcome=unreachable o.fault=unreachable c.canceled=1",
		"write state=canceled fault=unreachable error:text(no) delete +canceled:text(no) tell"},
	{"canceled while it was held", CREATE "o.outcome=held c.canceled=1",
		"write state=canceled error:not_sent delete +canceled:not_sent tell"},
	{"canceled and refused", FAILED "o.outcome=refused o.fault=refused c.canceled=1",
		"write state=canceled fault=refused error:text(no) delete +canceled:text(no) tell"},
};

static const Example late_creates[] =
{
	{"nobody has recorded an answer: it is taken", LATE,
		"answer state=open cco=CCO-1 status=NEW url=U1 "
		"put creates=0 lease=0 attempts=0 answers=1 due=now phase=new tail=now+59m +created:text(CCO-1) -..NEW tell"},
	{"also without a queue row", LATE "q.exists=0 q.creates=0 q.lease=0 q.attempts=0 o.sent_expires=now+2h",
		"answer state=open cco=CCO-1 status=NEW url=U1 expires=now+2h "
		"put exists=1 answers=1 due=now phase=new tail=now+2h +created:text(CCO-1) -..NEW tell"},
	{"a failure says nothing", LATE "o.outcome=unreachable o.fault=unreachable o.message=no", "gone"},
	{"nor does a refusal", LATE "o.outcome=refused o.fault=refused o.message=no", "gone"},
	{"the answer that is recorded already", LATE "c.state=open c.status=NEW c.cco=CCO-1 q.creates=0 q.lease=0", "gone"},
	{"the answer that another row has", LATE "f.held_by=3", "gone"},
	{"the answer of another order", LATE "r.order=order-2", "gone +error:late_other_order"},
	{"another answer gets a row of its own", LATE "c.state=open c.status=NEW c.cco=CCO-2 q.creates=0 q.lease=11", "add_row"},
	{"also when it is paid", LATE "c.state=open c.status=NEW c.cco=CCO-2 q.creates=0 r.status=SUCCESS f.alone=0", "add_row"},
	{"an answer after it failed", LATE "c.state=failed q.exists=0 q.creates=0 q.lease=0", "add_row"},
	{"after it was given free", LATE "c.state=canceled c.canceled=1 c.current=0 q.exists=0 q.creates=0 q.lease=0", "add_row"},
};

#define ADDED ORDER "c.state=queued c.made=now c.current=0 o.by_worker=1 f.alone=0 r.cco=CCO-2 r.status=NEW r.url=U2 "

static const Example added[] =
{
	{"a second answer", ADDED "o.aim=second o.second_of=3 o.sent_expires=now+2h",
		"answer state=open cco=CCO-2 status=NEW url=U2 expires=now+2h put exists=1 answers=1 due=now phase=new tail=now+2h "
		"+created:text(CCO-2) -..NEW +anomaly:second_answer(#3) tell"},
	{"a second answer that is paid", ADDED "o.aim=second o.second_of=3 r.status=SUCCESS",
		"answer state=closed closed=now paid_at=now money=1 cco=CCO-2 status=SUCCESS url=U2 "
		"marked put exists=1 answers=1 due=now phase=check tail=now +created:text(CCO-2) -..SUCCESS "
		"+anomaly:second_answer(#3) tell ask"},
	{"what a webhook named", ADDED "o.aim=found",
		"answer state=open cco=CCO-2 status=NEW url=U2 put exists=1 answers=1 due=now phase=new tail=now+1h "
		"+created:text(CCO-2) -..NEW +webhook:found tell"},
	{"and that names another order", ADDED "o.aim=found o.named_order=order-9",
		"answer state=open cco=CCO-2 status=NEW url=U2 put exists=1 answers=1 due=now phase=new tail=now+1h "
		"+created:text(CCO-2) -..NEW +webhook:found +anomaly:fits_none(order-9) tell"},
	{"a row that waits takes it", CREATED "o.aim=found c.error=no c.fault=unknown",
		"answer state=open fault=none cco=CCO-1 status=NEW url=U1 "
		"put creates=0 lease=0 attempts=0 answers=1 due=now phase=new tail=now+59m "
		"+created:text(CCO-1) -..NEW +webhook:found tell"},
	{"as does one that has failed", CREATED "o.aim=found c.state=failed c.error=no c.fault=unknown "
		"q.exists=0 q.creates=0 q.lease=0 q.attempts=0",
		"answer state=open fault=none cco=CCO-1 status=NEW url=U1 put exists=1 answers=1 due=now phase=new tail=now+59m "
		"+created:text(CCO-1) -..NEW +webhook:found tell"},
};

static const Example reads[] =
{
	{"nothing new", READ "r.status=NEW", "same"},
	{"nothing new in other digits", READ "c.paid=1.50 r.paid=1.5 r.status=NEW", "same"},
	{"nothing new after the end", READ_CLOSED "r.status=SUCCESS", "same"},
	{"a status", READ "r.status=PAYMENT_DETECTED r.updated=now-3s",
		"answer status=PAYMENT_DETECTED updated=now-3s put answers=6 due=now phase=active "
		"+status NEW..PAYMENT_DETECTED tell"},
	{"a status that is not known", READ "r.status=HALF_PAID",
		"answer status=HALF_PAID put answers=6 due=now phase=active "
		"+status NEW..HALF_PAID +error:unknown_status -..HALF_PAID tell"},
	{"an end", READ "r.status=SUCCESS r.reason=R",
		"answer state=closed closed=now paid_at=now money=1 status=SUCCESS reason=R marked put answers=6 due=now phase=check tail=now "
		"+status NEW..SUCCESS for R tell"},
	{"a reason goes with its status", READ "c.reason=R r.status=SUCCESS",
		"answer state=closed closed=now paid_at=now money=1 status=SUCCESS reason=- marked put answers=6 due=now phase=check tail=now "
		"+status NEW..SUCCESS tell"},
	{"and stays with it", READ "c.reason=R r.status=NEW", "same"},
	{"a reason alone", READ "r.status=NEW r.reason=R", "answer reason=R put answers=6 due=now +changed NEW..NEW for R"},
	{"a detail alone", READ "r.status=NEW r.pay_currency=BTC",
		"answer pay_currency=BTC put answers=6 due=now +changed NEW..NEW"},
	{"what is no detail is no event", READ "r.status=NEW r.fee=0.1", "answer fee=0.1 put answers=6 due=now"},
	{"another expiry is another rhythm", READ "r.status=NEW r.expires=now+2h",
		"answer expires=now+2h put answers=6 due=now tail=now+2h"},
	{"a corrected end", READ_CLOSED "c.status=EXPIRED r.status=CONFLICT",
		"answer closed=now money=1 status=CONFLICT marked put answers=6 due=now tail=now +status EXPIRED..CONFLICT tell"},
	{"a detail after the end", READ_CLOSED "r.status=SUCCESS r.tx=0x1",
		"answer tx=0x1 put answers=6 due=now +changed SUCCESS..SUCCESS"},
	{"an end whose moment was not recorded", READ_CLOSED "c.closed=0 r.status=SUCCESS r.tx=0x1",
		"answer closed=now tx=0x1 put answers=6 due=now +changed SUCCESS..SUCCESS"},
	{"an error is over", READ "c.error=no c.fault=unknown r.status=NEW", "answer fault=none put answers=6 due=now"},
	{"an error is over though nothing is new for a session", READ SESSION "c.error=no c.fault=unknown r.status=NEW",
		"answer fault=none put asked=1 answers=6 due=now+10s"},
	{"members that cannot be stored, with news", READ "r.status=NEW r.fee=0.1 r.lost=txHash",
		"answer fee=0.1 put answers=6 due=now +error:lost(txHash)"},
	{"and without", READ "r.status=NEW r.lost=txHash", "same"},
	{"a URL once recorded stays", READ "r.status=NEW r.url=U2 r.name=N", "answer name=N put answers=6 due=now"},
	{"no row in the queue any more", READ_CLOSED "q.exists=0 q.phase=none q.tail=0 q.answers=0 q.due=0 r.status=SUCCESS",
		"put exists=1 answers=1 due=now phase=check tail=now"},
	{"and news for a session", READ_CLOSED SESSION "c.status=EXPIRED q.exists=0 q.phase=none q.tail=0 q.answers=0 q.due=0 r.status=CONFLICT",
		"answer closed=now money=1 status=CONFLICT marked put exists=1 asked=1 answers=1 due=now+4h phase=check tail=now "
		"+status EXPIRED..CONFLICT tell"},
	{"and none for a session", READ_CLOSED SESSION "q.exists=0 q.phase=none q.tail=0 q.answers=0 q.due=0 r.status=SUCCESS", "same"},
};

static const Example asked_reads[] =
{
	{"nothing new: it was answered", READ ASKED "r.status=NEW", "put asked=0 answers=6 due=now"},
	{"nothing new, for a session", READ ASKED SESSION "r.status=NEW", "same"},
	{"it was asked for again meanwhile", READ ASKED "q.poke=2 o.poke=1 r.status=NEW", "put answers=6 due=now+3s"},
	{"again, and there are news", READ ASKED "q.poke=2 o.poke=1 r.status=SUCCESS",
		"answer state=closed closed=now paid_at=now money=1 status=SUCCESS marked put answers=6 due=now phase=check tail=now +status NEW..SUCCESS tell"},
	{"again, and a session brings them", READ ASKED SESSION "q.poke=2 o.poke=1 o.read_in=20s r.status=SUCCESS",
		"answer state=closed closed=now paid_at=now money=1 status=SUCCESS marked put answers=6 due=now phase=check tail=now +status NEW..SUCCESS tell"},
	{"a session brings news", READ SESSION "o.read_in=20s r.status=PAYMENT_DETECTED",
		"answer status=PAYMENT_DETECTED put asked=1 answers=6 due=now+20s phase=active +status NEW..PAYMENT_DETECTED tell"},
	{"a session brings the end", READ SESSION "r.status=SUCCESS",
		"answer state=closed closed=now paid_at=now money=1 status=SUCCESS marked put asked=1 answers=6 due=now+4h phase=check tail=now "
		"+status NEW..SUCCESS tell"},
	{"a session says that money may still come", READ SESSION "r.status=EXPIRED r.has_request=1 o.read_in=20s",
		"answer state=closed closed=now status=EXPIRED put asked=1 answers=6 due=now+20s phase=late tail=now "
		"+status NEW..EXPIRED tell"},
	{"the last read was done, and one was asked for", READ_CLOSED ASKED "q.phase=none q.tail=0 r.status=SUCCESS",
		"put asked=0 answers=6 due=now phase=check tail=now"},
};

static const Example stale_reads[] =
{
	{"another answer was recorded since: ask again", READ "q.answers=6 q.attempts=2 r.status=SUCCESS", "put asked=1 due=now"},
	{"also for a session", READ SESSION "q.answers=6 r.status=SUCCESS", "put asked=1 due=now"},
	{"it says the same", READ "q.answers=6 r.status=NEW", "same"},
	{"it says the same, and was asked for", READ ASKED "q.answers=6 r.status=NEW", "put asked=0 answers=7 due=now"},
	{"Inqud says that it is newer", READ "q.answers=6 c.updated=now-9s r.updated=now-8s r.status=PAYMENT_DETECTED",
		"answer status=PAYMENT_DETECTED updated=now-8s put answers=7 due=now phase=active "
		"+status NEW..PAYMENT_DETECTED tell"},
	{"of the same moment", READ "q.answers=6 c.updated=now-9s r.updated=now-9s r.status=SUCCESS", "put asked=1 due=now"},
	{"older", READ "q.answers=6 c.updated=now-9s r.updated=now-10s r.status=SUCCESS", "put asked=1 due=now"},
	{"only the reply has a time", READ "q.answers=6 r.updated=now-8s r.status=SUCCESS", "put asked=1 due=now"},
	{"only the record has one", READ "q.answers=6 c.updated=now-9s r.status=SUCCESS", "put asked=1 due=now"},
	{"nothing was recorded since, whatever the times", READ "c.updated=now-9s r.updated=now-10s r.status=PAYMENT_DETECTED",
		"answer status=PAYMENT_DETECTED updated=now-10s put answers=6 due=now phase=active "
		"+status NEW..PAYMENT_DETECTED tell"},
	{"without a queue row nothing is known of others",
		READ_CLOSED "c.status=EXPIRED q.exists=0 q.phase=none q.tail=0 q.answers=0 q.due=0 o.answers=3 r.status=CONFLICT",
		"answer closed=now money=1 status=CONFLICT marked put exists=1 answers=1 due=now phase=check tail=now "
		"+status EXPIRED..CONFLICT tell"},
	{"it does not say that it is final any more", READ_CLOSED "q.answers=6 r.status=NEW", "put asked=1 due=now"},
	{"nor did the one before", READ_CLOSED "q.answers=6 c.said=word r.status=NEW", "same"},
};

static const Example reopened[] =
{
	{"a word that is not final: not applied, and watched", READ_CLOSED "r.status=PAYMENT_DETECTED r.tx=0x1",
		"write said=word put answers=6 due=now phase=reopened tail=now "
		"+anomaly:reopened(PAYMENT_DETECTED,SUCCESS) SUCCESS..PAYMENT_DETECTED"},
	{"the next one is not said again", REOPENED "c.said=word r.status=PAYMENT_DETECTED", "same"},
	{"nor when it was asked for", REOPENED ASKED "c.said=word r.status=PAYMENT_DETECTED", "put asked=0 answers=6 due=now"},
	{"but another is", REOPENED "c.said=other r.status=HALF_PAID",
		"write said=word put answers=6 due=now tail=now +anomaly:reopened(HALF_PAID,SUCCESS) SUCCESS..HALF_PAID"},
	{"the end that was recorded", REOPENED "c.said=other r.status=SUCCESS",
		"answer said=- put answers=6 due=now phase=check tail=now"},
	{"the end that money may still follow", REOPENED "c.status=EXPIRED c.said=other r.status=EXPIRED",
		"answer said=- put answers=6 due=now phase=late tail=now"},
	{"money after all", REOPENED "c.status=EXPIRED c.said=other r.status=SUCCESS",
		"answer closed=now paid_at=now money=1 said=- status=SUCCESS marked put answers=6 due=now phase=check tail=now "
		"+status EXPIRED..SUCCESS tell"},
	{"an error is over, the status stays", READ_CLOSED "c.error=no c.fault=unknown r.status=NEW",
		"write said=word fault=none put answers=6 due=now phase=reopened tail=now +anomaly:reopened(NEW,SUCCESS) SUCCESS..NEW"},
	{"after an answer that crossed it", REOPENED "q.answers=6 r.status=CONFLICT", "put asked=1 due=now"},
	{"for a session", READ_CLOSED SESSION "r.status=NEW",
		"write said=word put asked=1 answers=6 due=now+10s phase=reopened tail=now +anomaly:reopened(NEW,SUCCESS) SUCCESS..NEW"},
};

#define NO_READ "o.message=no o.outcome=unreachable o.fault=unreachable "

static const Example failed_reads[] =
{
	{"by the clock: noted", READ NO_READ, "write fault=unreachable error:text(no) +error:text(no)"},
	{"no such checkout: noted", READ "o.message=no o.outcome=not_found o.fault=not_found",
		"write fault=not_found error:text(no) +error:text(no)"},
	{"noted once", READ NO_READ "c.error=no c.fault=unreachable", ""},
	{"the same words may be another fault", READ NO_READ "c.error=no c.fault=auth",
		"write fault=unreachable error:text(no) +error:text(no)"},
	{"throttled: nothing is wrong", READ "o.message=no o.outcome=throttled o.fault=throttled", ""},
	{"held: nothing is wrong", READ "o.outcome=held", ""},
	{"asked for: again", READ ASKED NO_READ "q.attempts=3",
		"write fault=unreachable error:text(no) put attempts=4 due=now+50s +error:text(no)"},
	{"asked for and throttled: again", READ ASKED "o.outcome=throttled", "put attempts=1 due=now+50s"},
	{"asked for again meanwhile", READ ASKED "q.poke=2 o.poke=1 o.outcome=held", "put attempts=1 due=now+50s"},
	{"by a session: the worker looks", READ SESSION NO_READ,
		"write fault=unreachable error:text(no) put asked=1 due=now+10s +error:text(no)"},
	{"by a session, and the worker was to look anyway", READ ASKED SESSION NO_READ,
		"write fault=unreachable error:text(no) +error:text(no)"},
	{"nobody follows it", READ_CLOSED NO_READ "q.exists=0 q.phase=none q.tail=0",
		"write fault=unreachable error:text(no) +error:text(no)"},
	{"the last read was done", READ_CLOSED "q.phase=none q.tail=0 o.outcome=held", "put due=now phase=check tail=now-4h"},
	{"and nothing says when it ended", READ_CLOSED "c.closed=0 q.phase=none q.tail=0 o.outcome=held",
		"put due=now phase=check tail=now"},
};

#define PAID READ "r.status=SUCCESS "
#define PAYS "answer state=closed closed=now paid_at=now money=1 status=SUCCESS marked " \
	"put answers=6 due=now phase=check tail=now +status NEW..SUCCESS "

static const Example siblings[] =
{
	{"paid after it was replaced", PAID "c.current=0", PAYS "tell"},
	{"paid after it was canceled", PAID "c.current=0 c.canceled=1", PAYS "tell"},
	{"the order has other rows: they are asked for", PAID "f.alone=0", PAYS "tell ask"},
	{"not for a conflict", READ "f.alone=0 r.status=CONFLICT",
		"answer state=closed closed=now money=1 status=CONFLICT marked put answers=6 due=now phase=check tail=now "
		"+status NEW..CONFLICT tell"},
	{"not again", PAID_BEFORE "f.alone=0 r.status=SUCCESS r.tx=0x1",
		"answer tx=0x1 put answers=6 due=now +changed SUCCESS..SUCCESS"},
	{"there were none", PAID "f.alone=0 f.siblings=0", PAYS "tell"},
	{"what waits is not sent", PAID "f.alone=0 f.siblings=2", PAYS "tell drop=4 drop=6"},
	{"eight others are all", PAID "c.current=0 f.alone=0 f.siblings=9",
		PAYS "tell drop=4 drop=6 drop=9 drop=12 drop=13 drop=14 drop=15 drop=16"},
};

#define TAKEN_BACK(from, to) "+anomaly:taken_back(" to "," from ") " from ".." to

static const Example final_words[] =
{
	{"as Inqud says when", PAID "r.updated=now-1h", "answer state=closed closed=now paid_at=now-1h money=1 status=SUCCESS "
		"updated=now-1h marked put answers=6 due=now phase=check tail=now +status NEW..SUCCESS tell"},
	{"EXPIRED after SUCCESS", PAID_BEFORE "r.status=EXPIRED",
		"answer closed=now said=word status=EXPIRED put answers=6 due=now phase=late tail=now +status SUCCESS..EXPIRED "
		TAKEN_BACK("SUCCESS", "EXPIRED") " tell"},
	{"said once", PAID_BEFORE "c.status=EXPIRED c.said=word r.status=EXPIRED", "same"},
	{"and no more when it was asked for", PAID_BEFORE ASKED "c.status=EXPIRED c.said=word r.status=EXPIRED",
		"put asked=0 answers=6 due=now"},
	{"another word after it", PAID_BEFORE "c.status=EXPIRED c.said=other r.status=CONFLICT r.reason=R",
		"answer closed=now said=word status=CONFLICT reason=R marked put answers=6 due=now tail=now "
		"+status EXPIRED..CONFLICT for R +anomaly:taken_back(CONFLICT,SUCCESS) EXPIRED..CONFLICT for R tell"},
	{"SUCCESS again is none", PAID_BEFORE "c.status=EXPIRED c.said=other r.status=SUCCESS",
		"answer closed=now said=- status=SUCCESS marked put answers=6 due=now tail=now +status EXPIRED..SUCCESS tell"},
	{"given free, then SUCCESS again", PAID_BEFORE "c.current=0 c.canceled=1 c.money=0 c.status=EXPIRED c.said=other r.status=SUCCESS",
		"answer closed=now money=1 said=- status=SUCCESS marked put answers=6 due=now tail=now +status EXPIRED..SUCCESS tell"},
	{"given free, and a word", PAID_BEFORE "c.current=0 c.canceled=1 c.money=0 c.status=EXPIRED c.said=other r.status=HALF_PAID",
		"write said=word put answers=6 due=now phase=reopened tail=now +anomaly:reopened(HALF_PAID,EXPIRED) EXPIRED..HALF_PAID"},
	{"SUCCESS after CONFLICT is a correction", CONFLICT_BEFORE "r.status=SUCCESS",
		"answer closed=now paid_at=now status=SUCCESS marked put answers=6 due=now tail=now +status CONFLICT..SUCCESS tell"},
	{"EXPIRED after CONFLICT", CONFLICT_BEFORE "r.status=EXPIRED",
		"answer closed=now said=word status=EXPIRED put answers=6 due=now phase=late tail=now +status CONFLICT..EXPIRED "
		TAKEN_BACK("CONFLICT", "EXPIRED") " tell"},
	{"said once, too", CONFLICT_BEFORE "c.status=EXPIRED c.said=word r.status=EXPIRED", "same"},
	{"CONFLICT again is none", CONFLICT_BEFORE "c.status=EXPIRED c.said=other r.status=CONFLICT",
		"answer closed=now said=- status=CONFLICT marked put answers=6 due=now tail=now +status EXPIRED..CONFLICT tell"},
	{"SUCCESS after both", CONFLICT_BEFORE "c.status=EXPIRED c.said=other r.status=SUCCESS",
		"answer closed=now paid_at=now said=- status=SUCCESS marked put answers=6 due=now tail=now +status EXPIRED..SUCCESS tell"},
	{"a conflict that was given free", CONFLICT_BEFORE "c.current=0 c.canceled=1 c.money=0 r.status=EXPIRED",
		"answer closed=now said=word status=EXPIRED put answers=6 due=now phase=late tail=now +status CONFLICT..EXPIRED "
		TAKEN_BACK("CONFLICT", "EXPIRED") " tell"},
	{"SUCCESS after EXPIRED is late money", READ_CLOSED "c.status=EXPIRED r.status=SUCCESS",
		"answer closed=now paid_at=now money=1 status=SUCCESS marked put answers=6 due=now tail=now +status EXPIRED..SUCCESS tell"},
};

static const Example amounts_paid[] =
{
	{"what was paid stays", PAID_BEFORE "c.paid=10 c.fee=0.1 r.status=SUCCESS r.paid=9 r.fee=0.1",
		"answer said=paid put answers=6 due=now +anomaly:other_payment SUCCESS..SUCCESS"},
	{"said once", PAID_BEFORE "c.paid=10 c.fee=0.1 c.said=paid r.status=SUCCESS r.paid=9.0 r.fee=0.1", "same"},
	{"the fee, too", PAID_BEFORE "c.paid=10 c.fee=0.1 r.status=SUCCESS r.fee=0.2",
		"answer said=paid put answers=6 due=now +anomaly:other_payment SUCCESS..SUCCESS"},
	{"what was not known is filled in", PAID_BEFORE "c.paid=10 r.status=SUCCESS r.paid=10.0 r.fee=0.2",
		"answer fee=0.2 put answers=6 due=now"},
	{"but not by another word", PAID_BEFORE "c.paid=10 r.status=EXPIRED r.paid=0 r.fee=0.2",
		"answer closed=now said=paid status=EXPIRED put answers=6 due=now phase=late tail=now +status SUCCESS..EXPIRED "
		TAKEN_BACK("SUCCESS", "EXPIRED") " tell"},
	{"before SUCCESS the last amount counts", READ "c.paid=5 r.status=SUCCESS r.paid=10",
		"answer state=closed closed=now paid_at=now money=1 status=SUCCESS paid=10 marked "
		"put answers=6 due=now phase=check tail=now +status NEW..SUCCESS tell"},
	{"the transaction may become known better", PAID_BEFORE "c.tx=0x1 r.status=SUCCESS r.tx=0x2",
		"answer tx=0x2 put answers=6 due=now +changed SUCCESS..SUCCESS"},
};

#define NOT_OURS(sentence, text, to) "write said=order put answers=6 due=now +anomaly:" sentence "(" text "," to ") NEW.." to

static const Example other_orders[] =
{
	{"another order", READ "r.status=SUCCESS r.order=order-2", NOT_OURS("other_order", "order-2", "SUCCESS")},
	{"another project", READ "r.status=SUCCESS r.project=CAP-2", NOT_OURS("other_project", "CAP-2", "SUCCESS")},
	{"another type", READ "r.status=SUCCESS r.type=NO_PRICE", NOT_OURS("other_type", "NO_PRICE", "SUCCESS")},
	{"another amount", READ "r.status=SUCCESS r.amount=0.01 r.currency=EUR", NOT_OURS("other_amount", "0.01", "SUCCESS")},
	{"another currency", READ "r.status=SUCCESS r.amount=10 r.currency=EURC", NOT_OURS("other_amount", "EURC", "SUCCESS")},
	{"the same in other digits", PAID "r.amount=10.00 r.currency=eur", PAYS "tell"},
	{"an amount where none was ordered is the payer's choice", PAID "c.amount=- c.currency=- r.amount=10 r.currency=EUR", PAYS "tell"},
	{"not paid either", READ "r.status=NEW r.amount=11", NOT_OURS("other_amount", "11", "NEW")},
	{"said once", READ "c.said=order r.status=SUCCESS r.amount=11", "same"},
	{"another amount again", READ "c.said=other r.status=SUCCESS r.amount=12", NOT_OURS("other_amount", "12", "SUCCESS")},
	{"nothing else of it is taken", READ "r.status=SUCCESS r.amount=11 r.paid=11 r.tx=0x1 r.expires=now+2h",
		NOT_OURS("other_amount", "11", "SUCCESS")},
	{"it fits again", READ "c.said=other r.status=NEW", "answer said=- put answers=6 due=now"},
	{"of a paid one", PAID_BEFORE "r.status=EXPIRED r.amount=11",
		"write said=order put answers=6 due=now phase=reopened tail=now +anomaly:other_amount(11,EXPIRED) SUCCESS..EXPIRED"},
	{"an error is over", READ "c.error=no c.fault=unknown c.said=order r.status=SUCCESS r.amount=11",
		"write fault=none put answers=6 due=now"},
	{"after another answer: ask again", READ "q.answers=6 r.status=SUCCESS r.amount=11", "put asked=1 due=now"},
	{"for a session", READ SESSION "r.status=SUCCESS r.amount=11",
		"write said=order put asked=1 answers=6 due=now+10s +anomaly:other_amount(11,SUCCESS) NEW..SUCCESS"},
};

static void
decide(InqudDecision *d, const Situation *s)
{
	memset(d, 0xa5, sizeof(*d));
	inqud_decide(&s->c, &s->q, &s->o, &s->f, d);
}

static void
test_examples(const char *title, const Example *examples, size_t n)
{
	InqudDecision d;
	Situation	s;
	Line		line;
	char		name[200];
	size_t		i;

	for (i = 0; i < n; i++)
	{
		read_situation(&s, examples[i].situation);
		decide(&d, &s);
		snprintf(name, sizeof(name), "%s: %s", title, examples[i].name);
		is(decision_text(&line, &s, &d), examples[i].decision, name);
	}
}

#define TEST_EXAMPLES(title, examples) test_examples(title, examples, sizeof(examples) / sizeof((examples)[0]))

/*
 * What a read does to each status: '=' is nothing new, 'R' not applied and watched
 * closely, else the first letter of the phase that begins.
 */
static const char *const words[] = {
	"NEW", "REQUEST_CREATED", "PAYMENT_DETECTED", "SUCCESS", "CONFLICT", "EXPIRED", "HALF_PAID", NULL
};
static const char *const moves[] = {
	"=aaccca",					/* NEW */
	"n=accla",					/* REQUEST_CREATED */
	"na=ccla",					/* PAYMENT_DETECTED */
	"RRR=clR",					/* SUCCESS */
	"RRRc=lR",					/* CONFLICT */
	"RRRcc=R",					/* EXPIRED */
	"naaccl="					/* HALF_PAID */
};

/* The letter for what was decided; '?' when it does not go together. */
static char
move_of(const Situation *s, const InqudDecision *d)
{
	bool		moved = !same(d->record.is.status, s->c.is.status);

	if (d->applied == INQUD_APPLIED_SAME)
		return '=';
	if (d->row.phase == INQUD_PHASE_REOPENED && !d->keep_reply && !moved && !d->tell)
		return 'R';
	if (!moved || !d->write || !d->tell || !same(d->record.is.status, s->o.reply.status))
		return '?';
	return phase_words[d->row.phase][0];
}

static void
test_moves(void)
{
	InqudDecision d;
	Situation	s;
	char		got[10];
	int			before;
	int			after;

	for (before = 0; words[before] != NULL; before++)
	{
		for (after = 0; words[after] != NULL; after++)
		{
			read_situation(&s, inqud_is_final(words[before]) ? READ_CLOSED : READ);
			s.c.is.status = words[before];
			s.o.reply.status = words[after];
			decide(&d, &s);
			got[after] = move_of(&s, &d);
		}
		got[after] = '\0';
		is(got, moves[before], words[before]);
	}
}

/* A create that fails: 'f' = it has failed, 'c' = counted and repeated, 'r' = repeated. */
static void
test_outcomes(void)
{
	static const char expected[] = "-frrcrcccrr";
	InqudDecision d;
	Situation	s;
	char		got[INQUD_N_OUTCOMES + 1] = "-";
	int			i;

	for (i = INQUD_OK + 1; i < INQUD_N_OUTCOMES; i++)
	{
		read_situation(&s, FAILED);
		s.o.outcome = (InqudOutcome) i;
		decide(&d, &s);
		got[i] = d.record.state == INQUD_FAILED ? 'f' : d.row.spent > 0 ? 'c' : 'r';
	}
	is(got, expected, "which outcomes of a create count");
	ok(inqud_fault_of(INQUD_OK) == INQUD_FAULT_NONE && inqud_fault_of(INQUD_HELD) == INQUD_FAULT_NONE &&
	   inqud_fault_of(INQUD_BLOCKED) == INQUD_FAULT_NONE, "no call, no fault");
	for (i = INQUD_REFUSED; i <= INQUD_BAD_REPLY; i++)
		is(fault_words[inqud_fault_of((InqudOutcome) i)], inqud_outcome_name((InqudOutcome) i), "a fault has the outcome's name");
}

/* ---------------------------------------------------------------------
 * What only a webhook has named
 * ---------------------------------------------------------------------
 */

/* Rows of the order that the reply names: one that waits, and one with an id. */
#define WAITS CREATE
#define HAS_ID READ

static const struct
{
	const char *name;
	const char *reply;
	int			attempts;
	const char *project_id;
	const char *rows[2];
	int			waiting;
	int64_t		held_by;
	const char *found;
}			found_examples[] =
{
	{"a row of its own", "r.status=NEW", 0, "CAP-1", {0}, -1, 0, "add"},
	{"it names a project that is ours", "r.status=NEW r.project=CAP-1", 0, "CAP-1", {0}, -1, 0, "add"},
	{"or another's", "r.status=NEW r.project=CAP-2", 0, "CAP-1", {0}, -1, 0,
		"drop: Inqud says that it belongs to another project"},
	{"there is no server any more", "r.status=NEW o.message=no", 0, NULL, {0}, -1, 0, "drop: no"},
	{"there is none, and it failed", "o.outcome=unreachable o.message=no", 0, NULL, {0}, -1, 0, "drop: no"},
	{"Inqud does not know it", "o.outcome=not_found o.message=no", 0, "CAP-1", {0}, -1, 0, "drop: no"},
	{"it could not be read", "o.outcome=auth o.message=no", 2999, "CAP-1", {0}, -1, 0, "later"},
	{"for days", "o.outcome=auth o.message=no", 3000, "CAP-1", {0}, -1, 0, "drop: no"},
	{"but then it is", "r.status=NEW", 3000, "CAP-1", {0}, -1, 0, "add"},
	{"a row has it meanwhile", "r.status=NEW", 0, "CAP-1", {0}, -1, 9, "later"},
	{"a row waits for it", "r.status=NEW r.order=order-1", 0, "CAP-1", {HAS_ID, WAITS}, 1, 0, "take 1"},
	{"but another one has it", "r.status=NEW r.order=order-1", 0, "CAP-1", {HAS_ID, WAITS}, 1, 9, "later"},
	{"of another amount", "r.status=NEW r.order=order-1 r.amount=11", 0, "CAP-1", {WAITS}, 0, 0, "add foreign"},
	{"none waits", "r.status=NEW r.order=order-1", 0, "CAP-1", {HAS_ID}, -1, 0, "add"},
	{"it fits none", "r.status=NEW r.order=order-1 r.type=NO_PRICE", 0, "CAP-1", {HAS_ID, WAITS}, -1, 0, "add foreign"},
	{"it fits one that does not wait", "r.status=NEW r.order=order-1 r.amount=11", 0, "CAP-1",
		{HAS_ID "c.amount=11", WAITS}, 1, 0, "add"},
	{"a failure fits nothing", "o.outcome=unknown o.message=no", 0, "CAP-1", {WAITS}, 0, 0, "later"},
};

static const char *
found_text(Line *line, const InqudFound *found)
{
	static const char *const actions[] = {"drop", "later", "take", "add"};

	line->len = 0;
	add(line, "%s", actions[found->action]);
	if (found->action == INQUD_FOUND_TAKE)
		add(line, " %d", found->take);
	if (found->action == INQUD_FOUND_DROP)
		add(line, ": %s", found->why ? found->why : "(nothing)");
	return add(line, "%s", found->foreign ? " foreign" : ""), line->text;
}

static void
test_found(void)
{
	InqudRecord rows[2];
	InqudFound	found;
	Situation	s;
	Line		line;
	size_t		i;
	int			n;

	for (i = 0; i < sizeof(found_examples) / sizeof(found_examples[0]); i++)
	{
		/* the texts of one situation are gone when the next is read */
		for (n = 0; n < 2 && found_examples[i].rows[n] != NULL; n++)
		{
			read_situation(&s, found_examples[i].rows[n]);
			rows[n] = s.c;
			rows[n].is.order_id = "order-1";
			rows[n].is.project_id = "CAP-1";
			rows[n].is.type = "FIXED_PRICE";
			rows[n].is.fixed_amount = strcmp(s.c.is.fixed_amount, "11") == 0 ? "11" : "10";
			rows[n].is.fixed_currency = "EUR";
		}
		read_situation(&s, found_examples[i].reply);
		memset(&found, 0xa5, sizeof(found));
		inqud_decide_found(&s.o, found_examples[i].attempts, found_examples[i].project_id, rows, n,
						   found_examples[i].waiting, found_examples[i].held_by, &found);
		is(found_text(&line, &found), found_examples[i].found, found_examples[i].name);
	}
}

int
main(void)
{
	TEST_EXAMPLES("create", creates);
	TEST_EXAMPLES("answer of another", misfits);
	TEST_EXAMPLES("failed create", failed_creates);
	TEST_EXAMPLES("late answer", late_creates);
	TEST_EXAMPLES("row for an answer", added);
	TEST_EXAMPLES("read", reads);
	TEST_EXAMPLES("read that was asked for", asked_reads);
	TEST_EXAMPLES("two answers", stale_reads);
	TEST_EXAMPLES("reopened", reopened);
	TEST_EXAMPLES("failed read", failed_reads);
	TEST_EXAMPLES("other rows of the order", siblings);
	TEST_EXAMPLES("final word", final_words);
	TEST_EXAMPLES("what was paid", amounts_paid);
	TEST_EXAMPLES("read of another order", other_orders);
	test_moves();
	test_outcomes();
	test_found();
	return tap_end();
}
