/*-------------------------------------------------------------------------
 *
 * inqud.h
 *		What the files of src/pg share: settings, catalog access, the calls
 *		of one transfer, and errors.
 *
 * Words: a project is a foreign server; a task is a call that is due; an
 * outcome is how it ended; a lane is what the worker keeps per project.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_H
#define INQUD_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "datatype/timestamp.h"
#include "executor/spi.h"
#include "fmgr.h"

#include "client/inqud_client.h"
#include "pg/compat.h"
#include "pg/options.h"

/* ---------------------------------------------------------------------
 * module.c: settings
 * ---------------------------------------------------------------------
 */
extern bool inqud_enabled;
extern char *inqud_worker_role;
extern int	inqud_max_workers;

extern const char *inqud_user_agent(void);

/* ---------------------------------------------------------------------
 * catalog.c: finding the extension, and acting as its owner
 * ---------------------------------------------------------------------
 */

/* What is switched while this code acts as the extension's owner. */
typedef struct InqudRole
{
	Oid			userid;			/* who asked */
	int			sec_context;
	int			guc_level;
} InqudRole;

/* Is the extension here, and schema inqud its member?  Cached until it changes. */
extern bool inqud_extension_present(void);

/* Its version, if this library was not made for it; else NULL.  After the above. */
extern const char *inqud_unserved_version(void);

/* Say so: 55000, as an ERROR or LOG. */
extern void inqud_report_unserved(int level);

/*
 * From here to inqud_leave, act as the extension's owner, with a safe
 * search_path, connected to SPI.  Errors undo all of it.  Raises 42704 when the
 * extension's schema is not what the script made, and 55000 when its version is
 * not one that this library serves.
 */
extern void inqud_enter(InqudRole *role);
extern void inqud_leave(InqudRole *role);

/* The tuple descriptor of one of our composite types, e.g. "_outcome"; cached. */
extern TupleDesc inqud_type_desc(const char *name);
extern Oid	inqud_type_oid(const char *name);
extern Oid	inqud_type_array(const char *name);

/* A statement whose plan is kept for the life of the process. */
typedef struct InqudStatement
{
	const char *sql;
	int			nargs;
	const char *const *argtypes;	/* names; those of ours begin with "_" */
	SPIPlanPtr	plan;
	uint32		generation;		/* of the extension it was made for */
} InqudStatement;

/* This cluster and database as a number, see inqud._home(). */
extern int64 inqud_this_home(void);

/* Run it.  Between inqud_enter and inqud_leave only.  Returns the number of rows. */
extern uint64 inqud_execute(InqudStatement *statement, Datum *values,
							const char *nulls);

/* ---------------------------------------------------------------------
 * task.c: tasks out of rows, outcomes into rows, and the encodings between
 * ---------------------------------------------------------------------
 */
typedef struct InqudTask
{
	int64		checkout;		/* 0 = a read of what is not recorded; negative =
								 * inqud.inbox.id of one that a webhook named */
	bool		is_create;
	bool		is_poked;		/* a read that stands in the tables until it is done */
	bool		is_found;		/* of those, one that only a webhook named */
	int64		lease;
	int32		poke;
	int32		attempts;
	char	   *project;
	char	   *project_id;		/* NULL when is_found */
	char	   *owner;
	char	   *checkout_id;
	InqudOrder	order;			/* texts in UTF-8 */
	int64		sent_expires_at;	/* what the POST said, microseconds since 1970; 0 = nothing */
	MemoryContext context;		/* owns the task and all its texts */
} InqudTask;

/* Make a task of a row of type inqud._task, in a context of its own under "parent". */
extern InqudTask *inqud_task_from_tuple(HeapTuple tuple, TupleDesc desc, MemoryContext parent);
extern void inqud_task_free(InqudTask *task);

/* Build the HTTP request of a task; NULL with *why when it cannot be. */
extern InqudRequest *inqud_task_request(InqudTask *task, const InqudProject *project,
										const char **why);

/* How a call ended; lives until its outcome is recorded. */
typedef struct InqudResult
{
	const char *outcome;		/* inqud_outcome_name(), or "held", "blocked" */
	const char *message;		/* UTF-8 */
	int			http_status;
	TimestampTz started;
	TimestampTz arrived;
	int64		retry_in_ms;
	int64		retry_for_ms;
	int64		read_in_ms;
	InqudReply *reply;			/* or NULL */
} InqudResult;

/* An inqud._outcome of it. */
extern Datum inqud_outcome_datum(const InqudTask *task, const InqudResult *result);

/*
 * Text between the database's encoding and UTF-8.  Neither raises an error: "to"
 * puts '?' where the database holds what is no text, "from" gives NULL where the
 * database cannot say it.  "ascii_of" is for such texts: the rest becomes '?'.
 */
extern char *inqud_to_utf8(const char *text);
extern char *inqud_from_utf8(const char *text);
extern char *inqud_ascii_of(const char *text);

extern TimestampTz inqud_from_unix(int64 usec);
extern int64 inqud_to_unix(TimestampTz when);

/* ---------------------------------------------------------------------
 * crypto.c: the server's HMAC and random for the client
 * ---------------------------------------------------------------------
 */
extern const InqudCrypto inqud_crypto;
extern int64 inqud_random_lease(void);

/* ---------------------------------------------------------------------
 * transfer.c: one call of this session
 * ---------------------------------------------------------------------
 */

/*
 * Send the request and wait for its end, open to cancel and termination at any
 * time.  The reply is freed with "context".
 */
extern void inqud_call(const InqudProject *project, const InqudTask *task,
					   const InqudRequest *request, InqudResult *result,
					   MemoryContext context);

/*
 * The same on a new connection, with the response itself besides, but for its
 * body; texts are in "context".  Returns 0, or, with nothing sent, how many
 * microseconds its turn is away under the rate limit, if that is too long.
 */
extern int64 inqud_call_anew(const InqudProject *project, const InqudTask *task,
							 const InqudRequest *request, InqudResult *result,
							 InqudResponse *response, MemoryContext context);

/* Raises 55000 in the worker, which must not wait for a call. */
extern void inqud_refuse_in_worker(void);

/* The longest pause that a server's Retry-After may impose, in ms. */
#define INQUD_MAX_RETRY_AFTER (60 * 60 * 1000)

/* Free with the memory context. */
extern void inqud_request_free_with(InqudRequest *request, MemoryContext context);

/* ---------------------------------------------------------------------
 * errors.c: what an API failure is to a user; the one place that raises IQxxx
 * ---------------------------------------------------------------------
 */
#define ERRCODE_INQUD_REFUSED		MAKE_SQLSTATE('I','Q','0','0','1')
#define ERRCODE_INQUD_CREDENTIALS	MAKE_SQLSTATE('I','Q','0','0','2')
#define ERRCODE_INQUD_THROTTLED		MAKE_SQLSTATE('I','Q','0','0','3')
#define ERRCODE_INQUD_UNKNOWN		MAKE_SQLSTATE('I','Q','0','0','4')
#define ERRCODE_INQUD_REPLY			MAKE_SQLSTATE('I','Q','0','0','5')
#define ERRCODE_INQUD_DIGEST		MAKE_SQLSTATE('I','Q','0','0','6')

extern void inqud_raise_outcome(const InqudTask *task, const InqudProject *project,
								const InqudResult *result) pg_attribute_noreturn();
/* The answer to a create is not of this order; texts in the database's encoding. */
extern void inqud_raise_misfit(const char *order_id, const char *why) pg_attribute_noreturn();
extern void inqud_raise_throttled(const InqudProject *project, int64 wait_ms) pg_attribute_noreturn();

/* A webhook that is not genuine, or cannot be shown to be. */
extern void inqud_raise_digest(const InqudProject *project, const char *detail,
							   const char *hint) pg_attribute_noreturn();

/* A text from outside, for people; what the database's encoding lacks becomes '?'. */
extern char *inqud_readable(const char *utf8);

/* One sentence for the row's "error" and the event: outcome, status, Inqud's words.  UTF-8, palloc'ed. */
extern char *inqud_outcome_text(const InqudReply *reply, const InqudResponse *response);

/* ---------------------------------------------------------------------
 * hide.c: what must not come back out of what the other side says
 * ---------------------------------------------------------------------
 */
extern void inqud_hide_in_reply(InqudReply *reply, const InqudProject *project,
								const InqudRequest *request);
extern void inqud_hide_in_webhook(InqudWebhook *webhook, const InqudProject *project);

/* ---------------------------------------------------------------------
 * enqueue.c: orders into the queue
 * ---------------------------------------------------------------------
 */

/* An order as the caller gave it, in the database's encoding. */
typedef struct InqudNewOrder
{
	const char *order_id;
	const char *name;
	const char *return_url;
	const char *currency;		/* or NULL */
	const char *type;			/* or NULL = by the amount */
	bool		has_amount;
	Datum		amount;			/* numeric */
	bool		has_expires_at;
	TimestampTz expires_at;
	bool		has_extra;
	Datum		extra;			/* jsonb */
} InqudNewOrder;

/*
 * Check an order against the rules of section 3 of the design; raises the
 * error, or fills in the type.
 */
extern void inqud_check_order(InqudNewOrder *order, const InqudProject *project);

/* The order as inqud._order. */
extern Datum inqud_order_datum(const InqudNewOrder *order);

/*
 * Queue n orders of one project as the current user.  Returns the id of the
 * last one.
 */
extern int64 inqud_enqueue(const InqudProject *project, Datum *orders, int n);

/* Queue one order as the current user; the quicker way for one. */
extern int64 inqud_enqueue_one(const InqudProject *project, const InqudNewOrder *order);

/* ---------------------------------------------------------------------
 * gather.c: the orders of one statement's row triggers, recorded together
 * ---------------------------------------------------------------------
 */

/* The context to make an order in that is to be gathered; NULL when it must be queued by itself. */
extern MemoryContext inqud_gathering(InqudProject *project, Oid relation);

/* Gather an order, whose texts are in that context. */
extern void inqud_gather(const InqudNewOrder *order);

/* For _PG_init. */
extern void inqud_gather_init(void);

/* ---------------------------------------------------------------------
 * row.c: small things that the SQL functions share
 * ---------------------------------------------------------------------
 */
extern Datum inqud_name_datum(const char *name);
extern char *inqud_current_role(void);

/* Run a statement of ours that gives one composite value; 0 when null or no row. */
extern Datum inqud_row_of(InqudStatement *statement, Datum *values);

/* The row of inqud.checkout with this id, as it is now; 0 or an error (42704) when it is gone. */
extern Datum inqud_checkout_row_if_any(int64 id);
extern Datum inqud_checkout_row(int64 id);

/* A composite column of the first row of a result, in the context from before SPI. */
extern Datum inqud_keep_row(int column);

/* Sleep, open to interrupts. */
extern void inqud_nap(long ms, InqudWait what);

/* ---------------------------------------------------------------------
 * unchanged.c: what a session remembers of reads that brought nothing new
 * ---------------------------------------------------------------------
 */

/* Which versions of a checkout's row and of its queue row these are. */
typedef struct InqudVersion
{
	TransactionId xmin[2];
	ItemPointerData tid[2];
} InqudVersion;

/* The columns that tell, of the aliases k and q; from "column" on in a result. */
#define INQUD_VERSION_COLUMNS "k.xmin, k.ctid, q.xmin, q.ctid"
extern InqudVersion inqud_version(HeapTuple tuple, TupleDesc desc, int column);

/* The task of reading a checkout as it was at its last read; NULL if that is not known. */
extern InqudTask *inqud_recall(const char *project, const char *checkout_id, MemoryContext work);

/* The row, if it and the reply are as they were when it brought nothing new, else 0. */
extern Datum inqud_row_if_unchanged(const InqudTask *task, uint64 hash);
extern void inqud_forget_unchanged(const char *checkout_id);

/*
 * This reply has brought nothing new to a row that was in this version before.
 * Returns the row as it is now, 0 when it is gone.
 */
extern Datum inqud_note_unchanged(const InqudTask *task, uint64 hash, const InqudVersion *version);

#endif							/* INQUD_H */
