/*-------------------------------------------------------------------------
 *
 * session.h
 *		What the files of src/session share.
 *
 * They run in the caller's backend and in the caller's transaction.  None of them
 * may call src/worker.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_SESSION_H
#define INQUD_SESSION_H

#include "shared/shared.h"

#include "commands/trigger.h"
#include "executor/execdesc.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/array.h"
#include "utils/jsonb.h"
#include "utils/relcache.h"
#include "utils/reltrigger.h"

/* How many milliseconds a session sleeps before it looks again at a row of another process. */
#define INQUD_LOOK_AGAIN_MS 20

/* How many orders are queued by one statement at most. */
#define INQUD_MAX_BATCH 1000

/* ---- order.c: the rules of an order ---- */

/* The members of an order, as those of type inqud._order. */
typedef enum InqudMember
{
	INQUD_ORDER_ID,
	INQUD_ORDER_NAME,
	INQUD_ORDER_RETURN_URL,
	INQUD_ORDER_AMOUNT,
	INQUD_ORDER_CURRENCY,
	INQUD_ORDER_TYPE,			/* null = by the amount */
	INQUD_ORDER_EXPIRES_AT,
	INQUD_ORDER_EXTRA,
	INQUD_ORDER_MEMBERS
} InqudMember;

/* Their names. */
extern const char *const inqud_member_names[INQUD_ORDER_MEMBERS];

/* The trigger that made an order from a row, for what errors say. */
typedef struct InqudOrderSource
{
	const char *trigger;
	const char *table;
	const char *arguments[INQUD_ORDER_MEMBERS]; /* "amount={total}"; NULL if there is none */
	const char *amount_column;	/* if the amount is one column; else NULL */
	bool		for_row;		/* else for each statement */
} InqudOrderSource;

/* An order as the caller gave it, in the database's encoding. */
typedef struct InqudNewOrder
{
	Datum		values[INQUD_ORDER_MEMBERS];
	bool		nulls[INQUD_ORDER_MEMBERS];
	const InqudOrderSource *source; /* NULL for arguments of a function */
} InqudNewOrder;

/*
 * Check an order: lengths, control characters, UTF-8, amount with currency, type,
 * expiry, extra.  Fills in the type if it is null, tidies the name, and brings the
 * currency into capitals.  Raises 22004 for a null, 22023 for what is wrong, 22021 for a
 * text that cannot be converted to UTF-8.
 */
extern void inqud_check_order(InqudNewOrder *order, const InqudProject *project);

/* Raise 22023 for an argument of a function; "hint" may be NULL. */
extern void inqud_raise_invalid(const char *name, const char *detail, const char *hint);

/*
 * Raise an error about a member of an order; its detail says where the value comes from.
 * "hint" may be NULL.
 */
extern void inqud_raise_member(const InqudOrderSource *source, InqudMember member, int sqlstate,
							   const char *detail, const char *hint) pg_attribute_noreturn();

/* ---- value.c: what a template makes of a column's value ---- */

/* A column's type as a template needs it. */
typedef struct InqudValueType
{
	Oid			type;			/* under its domains */
	const struct InqudTypeRule *rule;	/* NULL if the type's own output is used: */
	FmgrInfo	output;
	bool		follows_settings;	/* the output */
	int			serves;			/* what values can be by themselves */
} InqudValueType;

/* Look up what is needed of a type; "out" is filled with zeros. */
extern void inqud_value_type(InqudValueType *out, Oid type);

/* Whether values of the type can be that member by themselves. */
extern bool inqud_value_serves(const InqudValueType *type, InqudMember member);

/* A value as text, palloc'ed; the same whatever the session's settings are. */
extern char *inqud_value_text(InqudValueType *type, Datum value);

/*
 * A value or a text as the value of a member: text, numeric or timestamptz; palloc'ed, or
 * the value itself.  False where it is none: then the caller must raise an error.
 */
extern bool inqud_value_as(InqudValueType *type, Datum value, InqudMember member, Datum *out);
extern bool inqud_text_as(const char *text, InqudMember member, Datum *out);

/* ---- templates.c: the arguments of an order trigger, and orders made by them ---- */

typedef struct InqudTemplates InqudTemplates;

/*
 * Read the arguments of a trigger for a table with these columns; lives in the current
 * context.  Needs no row.  Raises 22023 for an argument, 42804 for a column whose type cannot serve.
 */
extern InqudTemplates *inqud_templates_read(const Trigger *trigger, Relation table);

/*
 * Make an order of a row, and check it; its values are in the current context, or the
 * row's.  False for an order with nothing to pay that is to be left out.  Errors as of
 * inqud_check_order, 22P02 for a text that is no number, 22007 for one that is no moment.
 */
extern bool inqud_templates_fill(InqudTemplates *templates, TupleTableSlot *slot,
								 const InqudProject *project, InqudNewOrder *order);

/* The text that a row gives for a member, palloc'ed; NULL if the argument is not there or the value is null.  Checks nothing. */
extern char *inqud_templates_text(InqudTemplates *templates, InqudMember member, TupleTableSlot *slot);

/*
 * The names of the members whose values differ between two versions of a row, palloc'ed;
 * NULL if there are none.  Neither has to be a valid order.
 */
extern char *inqud_templates_changed(InqudTemplates *templates, TupleTableSlot *before, TupleTableSlot *after);

/* Whether any template uses this column. */
extern bool inqud_templates_use(const InqudTemplates *templates, int column);

/* ---- enqueue.c: orders into the queue ---- */

/*
 * Add a copy of a checked order to those of its project that are to be queued together.
 * Before the first one, "orders" is NULL, and they are made in this context.
 */
extern ArrayBuildState *inqud_orders_add(ArrayBuildState *orders, InqudNewOrder *order,
										 MemoryContext context);

/* By what an order is queued, which tells what becomes of one that has a checkout. */
typedef enum InqudQueueing
{
	INQUD_QUEUE_CALL,			/* a function: the checkout is returned */
	INQUD_QUEUE_NEW,			/* a row that was inserted: noted as "again" */
	INQUD_QUEUE_CHANGED,		/* a row that was updated: nothing */
	INQUD_QUEUE_EITHER			/* a row that may have been moved: nothing, whatever the checkout is */
} InqudQueueing;

/*
 * Queue these orders as the current user.  Returns the row of inqud.checkout for
 * INQUD_QUEUE_CALL, which has one order.  An order that has a checkout already keeps it if
 * it is the same; raises 23505 if it is another one, 42501 for an order of another role,
 * neither for INQUD_QUEUE_EITHER, and 40001 above READ COMMITTED when another transaction
 * has queued it meanwhile.
 */
extern Datum inqud_enqueue(const InqudProject *project, const ArrayBuildState *orders, InqudQueueing by);

/* Whether an order has a checkout, of whatever state and whoever's.  Asks for no right. */
extern bool inqud_order_known(const char *project, const char *order_id);

/*
 * Note that an order was changed that is paid, by its number before or after; false when
 * neither is.  "changed" names what was changed.  Asks for no right.
 */
extern bool inqud_order_changed(const char *project, const char *before, const char *after, const char *changed);

/* ---- firing.c: whose triggers are being fired ---- */

/* What fires triggers. */
typedef enum InqudFiredBy
{
	INQUD_FIRED_BY_QUERY,
	INQUD_FIRED_BY_COPY,
	INQUD_FIRED_BY_SET_CONSTRAINTS
} InqudFiredBy;

/* How many numbers of orders a warning shows. */
#define INQUD_AGAIN_SHOWN 3

/* What a statement's warning about orders that have a checkout says. */
typedef struct InqudAgain
{
	int			count;			/* of rows */
	char	   *numbers[INQUD_AGAIN_SHOWN]; /* different ones, the first NULL ends them */
	bool		more;			/* there are others */
} InqudAgain;

/* A statement whose triggers are being fired; filled with zeros before its begin. */
typedef struct InqudFiring
{
	struct InqudFiring *outer;
	InqudFiredBy by;
	QueryDesc  *query;			/* NULL unless by a query */
	int			depth;			/* of the triggers that it fires itself */
	InqudAgain	again;
} InqudFiring;

/* Put a statement on the stack and take it away, also after an error. */
extern void inqud_firing_begin(InqudFiring *mine, InqudFiredBy by, QueryDesc *query);
extern void inqud_firing_end(InqudFiring *mine);

/* The innermost statement, or NULL. */
extern InqudFiring *inqud_firing(void);

/* The statement that has fired the trigger which runs now; NULL if that is not known. */
extern InqudFiring *inqud_fired_by(void);

/* ---- origin.c: new rows and moved ones ---- */

/* Where the row of an INSERT trigger comes from. */
typedef enum InqudOrigin
{
	INQUD_ROW_NEW,
	INQUD_ROW_MOVED,			/* from another partition */
	INQUD_ROW_EITHER			/* the statement may have done both, or is not known */
} InqudOrigin;

/* For an INSERT trigger: the row's origin, or that of all rows of the statement. */
extern InqudOrigin inqud_row_origin(const TriggerData *data);

/* ---- latest.c: the row of a deferred trigger ---- */

/*
 * The newest version of an event's row, which may be the one of the event; NULL when it
 * is gone, has moved to another partition, or has counted for this trigger already.  The
 * caller drops the slot.
 */
extern TupleTableSlot *inqud_latest_row(const TriggerData *data, const TupleTableSlot *event);

/* ---- again.c: the warning about orders that have a checkout ---- */

/* Note an order for the warning of the statement, or of the commit. */
extern void inqud_again_note(const char *number);

/* Raise the WARNING of a statement, if there is anything to say. */
extern void inqud_again_say(InqudFiring *firing);

/* ---- trigger.c: the order trigger ---- */

/*
 * Check an order trigger of a table as at its first row, but without a row: raises
 * 39P01 for a trigger of the wrong kind, and as inqud_templates_read for its arguments.
 */
extern void inqud_check_trigger(const Trigger *trigger, Relation relation);

/* ---- trigger_batch.c: the orders of one statement's row triggers, queued together ---- */

/*
 * Add an order to this statement's batch; false when it must be queued by itself.
 * "relation" is the table whose trigger runs.  Queues the batch first when it is full or
 * of another project.
 */
extern bool inqud_batch_add(InqudProject *project, Oid relation, InqudNewOrder *order);

/* Install the hooks for statements that fire triggers; for _PG_init. */
extern void inqud_batch_init(void);

/* ---- restore.c: a restore of the orders table ---- */

/* True while rows are copied back from a dump, which are no new orders; warns once a statement. */
extern bool inqud_is_restore(Relation orders);

/* ---- call_now.c: one call of this session ---- */

/* Raises 55000 if the checkout was made for another project_id than the server has now. */
extern void inqud_check_project_id(const InqudCall *call);

/*
 * Build the call's request, send it and wait for its end; a cancel or termination
 * ends it at any time.  First waits for the rate limit.  A call that does not succeed
 * raises 22023 or IQ001 to IQ005 or 08001 (shared/errors.c); 55000 in the worker; 53200.
 */
extern void inqud_call_now(InqudCall *call);

/*
 * Send a request that is built on a new connection, for inqud_check_project: a call
 * that does not succeed is no error, and its transfer stays for who wants to know
 * more.  Returns 0; or, when the turn under the rate limit comes later than the
 * project's timeout, how many microseconds it is away, and then sends nothing.
 */
extern int64 inqud_call_anew(InqudCall *call);

/* ---- check_triggers.c: the order triggers of a project, for inqud_check_project ---- */

/* What inqud_check_project says of a step. */
typedef enum InqudVerdict
{
	INQUD_STEP_GOOD,
	INQUD_STEP_BAD,
	INQUD_STEP_OPEN					/* not tried, not needed, or cannot be known; null in the row */
} InqudVerdict;

/* What is found of one trigger. */
typedef struct InqudFinding
{
	InqudVerdict verdict;
	const char *detail;
} InqudFinding;

/*
 * The findings of all triggers that name this project, or a server that does not exist;
 * NIL without any.  Reads no row and waits for no lock.  In the current context.
 */
extern List *inqud_check_triggers(const char *server);

/* ---- record.c: the outcome of a session's call into the tables ---- */

/*
 * Write the outcome of a call to the tables.  INQUD_APPLIED_LOCKED when another
 * process has the row locked: nothing is written then.
 */
extern InqudApplied inqud_apply(const InqudCall *call);

/* ---- stats.c: shared memory as rows ---- */

/* A copy of a database's slot, made under the lock of shared memory. */
extern InqudDatabase inqud_slot_copy(const InqudDatabase *slot);

/* Has the worker seen, not long ago, that the machine's clock was set? */
extern bool inqud_clock_has_moved(const InqudDatabase *slot);

/* ---- widget_texts.c: the sentences of the payment page ---- */

typedef enum InqudText
{
	INQUD_TEXT_LANG,			/* language tag of the page */
	INQUD_TEXT_DIR,				/* direction, or empty */
	INQUD_TEXT_ORDER,			/* heading without a name */
	INQUD_TEXT_PAYMENT,			/* heading without an order */
	INQUD_TEXT_QUEUED,
	INQUD_TEXT_WAITING,
	INQUD_TEXT_DETECTED,
	INQUD_TEXT_PAID,
	INQUD_TEXT_ANOMALY,
	INQUD_TEXT_CONFLICT,
	INQUD_TEXT_EXPIRED,
	INQUD_TEXT_CANCELED,
	INQUD_TEXT_REPLACED,
	INQUD_TEXT_FAILED,
	INQUD_TEXT_CLOSED,
	INQUD_TEXT_VALID_UNTIL,
	INQUD_TEXT_PAY_LINK,
	INQUD_TEXT_NO_SCRIPT,
	INQUD_TEXT_NO_FORM,
	INQUD_TEXT_LOOK_AGAIN,
	INQUD_TEXT_BACK,
	INQUD_TEXTS
} InqudText;

/* Fill in all sentences, those of the object (or NULL) in the place of the English ones.  Raises 22023. */
extern void inqud_widget_texts(const char **given, Jsonb *object);

/* ---- widget_standing.c: how a checkout stands for its payer ---- */

typedef enum InqudStands
{
	INQUD_STANDS_QUEUED,		/* not at Inqud yet */
	INQUD_STANDS_WAITING,
	INQUD_STANDS_DETECTED,
	INQUD_STANDS_PAID,
	INQUD_STANDS_ANOMALY,		/* paid, and Inqud says another word now */
	INQUD_STANDS_CONFLICT,
	INQUD_STANDS_EXPIRED,
	INQUD_STANDS_CANCELED,
	INQUD_STANDS_REPLACED,		/* not the order's checkout any more */
	INQUD_STANDS_FAILED,
	INQUD_STANDS_CLOSED			/* ended with a word that is not known here */
} InqudStands;

/* What is shown of it. */
typedef struct InqudStanding
{
	const char *word;			/* data-status of the page; NULL = none */
	InqudText	text;
	bool		form;			/* it can be paid */
} InqudStanding;

/* What is shown of a checkout; texts in the database's encoding, or NULL. */
typedef struct InqudWidget
{
	char	   *id;				/* checked: of the form CCO-... */
	char	   *script;			/* URL of the widget's script */
	char	   *order_id;
	char	   *name;
	char	   *amount;
	char	   *currency;
	char	   *state;
	char	   *status;
	bool		paid;			/* Inqud has once said SUCCESS */
	bool		contested;		/* Inqud has once said CONFLICT */
	bool		canceled;
	bool		replaced;		/* not current */
	bool		overdue;		/* its expiry has passed */
	char	   *valid_until;	/* in UTC: 2026-01-31 23:59; NULL = not known, or passed */
	char	   *acquiring_url;	/* checked: http or https */
	char	   *return_url;		/* checked: http or https */
	char	   *callback;		/* checked: path of identifiers */
	char	   *nonce;			/* checked: base64 */
	const char *texts[INQUD_TEXTS];
	InqudStanding standing;
} InqudWidget;

extern InqudStanding inqud_widget_standing(const InqudWidget *widget);
extern InqudStanding inqud_widget_standing_of(InqudStands which);

/* ---- widget_html.c: what the payment widget shows, as widget.c has checked it ---- */

/* Append the snippet to embed, or the whole page.  Both expect a checked widget and raise nothing. */
extern void inqud_widget_write_html(StringInfo out, const InqudWidget *widget);
extern void inqud_widget_write_page(StringInfo out, const InqudWidget *widget);

#endif							/* INQUD_SESSION_H */
