/*-------------------------------------------------------------------------
 *
 * shared.h
 *		What sessions and workers share: settings, shared memory, the launcher,
 *		rate limits, counters, callbacks at the end of transactions, the hook for
 *		utility statements, and the errors of failed calls.
 *
 * Functions below that count, wake or lock need no transaction and raise no
 * error, unless something else is said: they may be called after a commit.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_SHARED_H
#define INQUD_SHARED_H

#include "project/project.h"

#include "lib/ilist.h"
#include "lib/stringinfo.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"

/* ---- settings.c ---- */
extern bool inqud_enabled;
extern char *inqud_worker_role;
extern int	inqud_max_workers;

/* Define the settings; for _PG_init.  Those that need preload are defined only then. */
extern void inqud_settings_define(void);

/* ---------------------------------------------------------------------
 * shared.c: one slot per database, the rate limiters and the counters.  Exists
 * only when the library is preloaded.
 * ---------------------------------------------------------------------
 */
#define INQUD_MAX_DATABASES 512
#define INQUD_MAX_LIMITERS 1024
#define INQUD_ERROR_LEN 200

/* The slot of one database and its worker.  Guarded by the lock, but for atomics and news. */
typedef struct InqudDatabase
{
	Oid			dbid;			/* InvalidOid = free */
	int			pid;			/* of the worker, 0 = none */
	Latch	   *latch;			/* of the worker; it is in shared memory, too */
	bool		known;			/* the extension was seen there */
	bool		wanted;			/* a worker should run, since there may be work */
	bool		starting;		/* the launcher has registered a worker that has not taken the slot yet */
	bool		stopped;		/* by inqud_worker_stop() */
	bool		leave;			/* the worker should exit now */
	bool		listening;		/* the next commit that queues work sets the worker's latch */
	int			away;			/* running statements that need the database for themselves */
	int			failures;		/* exits with an error since work was last done */
	InqudClock	not_before;		/* of the worker's next start */
	InqudClock	wake_at;		/* when something will be due without a worker; 0 = never */
	InqudClock	began;			/* start of the worker */
	TimestampTz since;			/* the same, to be shown */
	TimestampTz active_at;		/* last time a call was under way or waited to be written */
	int			in_flight;		/* transfers under way */
	int64		followed;		/* checkouts that the worker follows */
	int			unwritten;		/* answers that could not be written back so far */
	TimestampTz unwritten_since;	/* 0 = none */
	uint32		unnoticed;		/* counts commits that left out a notice */
	TimestampTz unnoticed_since;	/* the first that no notice has told of; 0 = none */
	int64		clock_moved;	/* microseconds by which the machine's clock was set, when a worker last saw that */
	InqudClock	clock_moved_at; /* when that was; 0 = never */
	char		error[INQUD_ERROR_LEN];	/* the worker's last one, without secrets */
	int			encoding;		/* of that text */
	pg_atomic_uint32 work;		/* number of commits that queued work */
	TimestampTz queued_from;	/* nothing that they queued, and the worker has not asked for, is due earlier */
	pg_atomic_uint32 changes;	/* number of commits that changed servers, mappings or rights */
	ConditionVariable news;		/* broadcast when an outcome was recorded */
} InqudDatabase;

/* True if there is shared memory, that is if the library was preloaded and fits it. */
extern bool inqud_shared_ready(void);

/* Request shared memory; for _PG_init when preloading. */
extern void inqud_shared_init(void);

/*
 * The slot of a database; "create": take a free one if it has none.  NULL if it
 * has none, without preload or when all 512 are taken.  Slots never move, and are
 * released only when the database or its extension is gone, so the pointer stays
 * valid for as long as the caller knows that both exist.
 */
extern InqudDatabase *inqud_database(Oid dbid, bool create);

/* Slot number i, 0 to INQUD_MAX_DATABASES - 1, in use or free.  With shared memory only. */
extern InqudDatabase *inqud_database_at(int i);

/* Release a slot.  The caller holds the lock and has seen that no worker or statement uses it. */
extern void inqud_database_free(InqudDatabase *database);

/* Take and release the one lock.  With shared memory only; hold it for a few instructions. */
extern void inqud_shared_lock(void);
extern void inqud_shared_unlock(void);

/* This process is the launcher: keep its latch until it exits.  With shared memory only. */
extern void inqud_launcher_register(void);

/* Set the launcher's latch, if it runs, so that it looks at all slots.  With shared memory only. */
extern void inqud_launcher_wake(void);

/* True if the launcher runs.  With shared memory only. */
extern bool inqud_launcher_present(void);

/*
 * Something was committed: wake the database's worker, or have the launcher start one.
 * "known": it queued work of the extension, so a database without a slot gets one.
 * "changed": servers, mappings or rights were changed, so that calls that lacked a key
 * or a right are tried again.  What was queued is not due before "from"; DT_NOBEGIN =
 * it may have been due for long.
 */
extern void inqud_database_wake(Oid dbid, bool known, bool changed, TimestampTz from);

/* From when on is due what was committed since the last call?  DT_NOEND = nothing was. */
extern TimestampTz inqud_database_queued(InqudDatabase *database);

/* The extension was seen in this database: keep a slot for it. */
extern void inqud_database_note(Oid dbid);

/*
 * Have the next such commit set the worker's latch; those after it do not, until this
 * is called again.  False if there were more than the "seen" commits counted in "work".
 */
extern bool inqud_database_listen(InqudDatabase *database, uint32 seen);

/* Set the worker's last error, which inqud.worker shows; "" clears it. */
extern void inqud_database_error(InqudDatabase *database, const char *message);

/*
 * A commit has left out a notice: the worker is to tell of that.  True if it is the first,
 * so that the worker must be woken; after that it looks by itself.
 */
extern bool inqud_database_unnoticed(Oid dbid);

/* An outcome was recorded: wake the sessions that wait for one. */
extern void inqud_database_news(InqudDatabase *database);

/*
 * Ask the worker to leave, which takes it 2 s at most.  "away": no worker may
 * start until inqud_database_return, which the caller owes then, also after an error.
 */
extern void inqud_database_send_away(InqudDatabase *database, bool away);

/* The statement that kept the worker away has ended: have one started. */
extern void inqud_database_return(InqudDatabase *database);

/* Wait until no worker has the slot; false if one has it after so many ms.  Interrupts are served. */
extern bool inqud_database_wait_gone(InqudDatabase *database, int ms);

/* ---- rate_limit.c: calls per second of one account, see client/limits.c ---- */

/*
 * Take one call of the project's account at this rate.  Returns 0 if the call may
 * start; else it was not taken, and the result is the microseconds to wait, for the
 * rate, for a pause, or because it is the other kind of asker's turn.
 */
extern int64 inqud_limiter_take(const InqudProject *project, double rate, InqudAsker asker);

/* A session that was told to wait does not: nobody is to leave it a call. */
extern void inqud_limiter_give_up(const InqudProject *project);

/* What that would return to the worker at this rate, without taking a call. */
extern int64 inqud_limiter_peek(const InqudDigest *account, double rate);

/* Inqud has answered 429: let no call of the account start for so many milliseconds, unless a longer pause lasts. */
extern void inqud_limiter_pause(const InqudProject *project, int64 ms);

/* When the account's next call may start (0 = now), and the end of a pause (0 = none).  Takes no place. */
extern void inqud_limiter_look(const InqudDigest *account, TimestampTz *next, TimestampTz *paused_until);

/* The INQUD_MAX_LIMITERS limiters in shared memory, guarded by its lock; NULL without preload. */
extern InqudLimiter *inqud_shared_limiters(void);

/* ---- counters.c: what is counted of each project's transfers ---- */
#define INQUD_MAX_PROJECTS 1024	/* that have counters of their own; all others share one */
#define INQUD_OUTCOMES (INQUD_BAD_REPLY + 1)
#define INQUD_STATUS_CLASSES 5	/* none, 2xx, 3xx, 4xx, 5xx */

/*
 * Latencies by powers of two: the first counts what took less than 1 ms, number
 * i what took from 2^(i-1) to 2^i ms, the last all that took longer.  No
 * transfer may take longer than 10 minutes.
 */
#define INQUD_LATENCIES 21

/* The counters of one project, since "since". */
typedef struct InqudCounters
{
	NameData	name;			/* of the server when it was last used */
	InqudDigest account;		/* that was used last: key of its rate limit */
	TimestampTz since;
	TimestampTz last_at;		/* end of the last transfer */
	int64		creates;		/* transfers, by what they asked for */
	int64		reads;
	int64		retries;		/* of them, repetitions of a failed call */
	int64		canceled;		/* canceled by us before they ended */
	int64		waits;			/* times that the rate limit made a call wait */
	int64		outcomes[INQUD_OUTCOMES];	/* by InqudOutcome */
	int64		classes[INQUD_STATUS_CLASSES];	/* by HTTP status */
	int64		bytes_sent;
	int64		bytes_received;
	int64		latency[INQUD_LATENCIES];
	int64		latency_sum;	/* microseconds, as the next */
	int64		latency_max;
	int64		slow_call;		/* of the last on_status call, if that holds back the next; else 0 */
	int			encoding;		/* of the name */
} InqudCounters;

/* The server that a slot of counters belongs to; dbid InvalidOid = free. */
typedef struct InqudCountersKey
{
	Oid			dbid;
	Oid			serverid;
} InqudCountersKey;

/* What counters.c has in shared memory.  The last counters are shared by all other projects. */
typedef struct InqudCountersArea
{
	InqudCountersKey keys[INQUD_MAX_PROJECTS];
	InqudCounters counters[INQUD_MAX_PROJECTS + 1];
} InqudCountersArea;

/* In shared.c; guarded by its lock; NULL without preload. */
extern InqudCountersArea *inqud_shared_counters(void);

/* A process's reference to the counters of a project; all zero = none yet. */
typedef struct InqudCounting
{
	Oid			serverid;
	InqudDigest account;
	NameData	name;
	int			slot;
} InqudCounting;

/*
 * Make the reference: find the project's counters, or take free ones.  Call it in
 * the transaction that has looked the project up, so that the server exists.  It
 * returns at once when nothing has changed.
 */
extern void inqud_counting_open(InqudCounting *counting, const InqudProject *project);

/* Count a transfer that has ended, one that was canceled, and a wait for the rate limit. */
extern void inqud_count_transfer(const InqudCounting *counting, bool is_create, bool is_retry,
								 InqudOutcome outcome, const InqudResponse *response);
extern void inqud_count_canceled(const InqudCounting *counting);
extern void inqud_count_wait(const InqudCounting *counting);

/* Note how many microseconds the last call of on_status took; 0 = not so long that the next ones are held back. */
extern void inqud_count_slow_call(const InqudCounting *counting, int64 usec);

/* Install the hook that releases counters of dropped servers; for _PG_init when preloading. */
extern void inqud_counters_init(void);

/* ---- launcher.c, utility.c: for _PG_init when preloading ---- */

/* Register the launcher. */
extern void inqud_launcher_init(void);

/* Install the hook for utility statements. */
extern void inqud_utility_init(void);

/* ---- drop_warning.c: before and after a statement that may drop the extension or a server ---- */

/* Count what it would take along; NIL for any other statement.  Raises nothing but 57014. */
extern List *inqud_drop_begins(Node *stmt);

/* Warn of what is gone, once. */
extern void inqud_drop_ends(List *things);

/* ---- xact_end.c: at the end of a transaction ---- */

/* True in the worker of a database. */
extern bool inqud_in_worker;

/* In the worker: from when on is due what statements have queued since the caller last set this to DT_NOEND. */
extern TimestampTz inqud_worker_queued;

/* Raise 55000 in the worker, which must not wait for a call. */
extern void inqud_refuse_in_worker(void);

/* Wake this database's worker when the transaction commits; "from" as for inqud_database_wake. */
extern void inqud_wake_at_commit(TimestampTz from);

/* A notice is left out: note it in the database's slot when the transaction commits. */
extern void inqud_unnoticed_at_commit(void);

/* Servers, mappings or rights have changed: tell the worker after the commit. */
extern void inqud_changed_at_commit(void);

/* Log this checkout if the current (sub)transaction is rolled back, and its row with it.  Texts are copied. */
extern void inqud_log_if_forgotten(const char *project, const char *order_id,
								   const char *checkout_id);

/* ---- call.c: calls of sessions and of the worker ---- */

/*
 * One call: what is due, how it is made and how it ended.  Its memory context owns
 * all that it points to, malloc'ed things too, but counting and state.
 */
typedef struct InqudCall
{
	MemoryContext context;
	MemoryContextCallback callback;
	/* what is due */
	InqudKind	kind;
	int64		checkout;		/* inqud.checkout.id; 0 = not recorded; negative =
								 * inqud.inbox.id of an id that a webhook named */
	int64		lease;
	int32		poke;
	int32		attempts;		/* of a create with this one, of a read before it */
	int32		answers;		/* recorded when this was looked up, to tell which is newer */
	int64		due_at;			/* of its queue row */
	bool		asked;			/* the queue or inbox has a due row until this read is done */
	char	   *server;			/* its name */
	char	   *project_id;		/* NULL when INQUD_KIND_FOUND */
	Oid			role;			/* the owner; InvalidOid = not known here */
	int32		owner_id;		/* the owner's entry; 0 = none */
	char	   *checkout_id;
	char	   *status;			/* as recorded; NULL when it is not known */
	InqudOrder	order;			/* of a create; texts in UTF-8; expires_at as it was sent */
	/* how it is made */
	InqudProject *project;		/* pinned; NULL when it could not be looked up */
	InqudRequest *request;
	InqudTransfer *transfer;
	const InqudCounting *counting;
	bool		counted;		/* the transfer is, as one that ended or was canceled */
	/* how it ended, until the outcome is recorded */
	InqudOutcome outcome;
	InqudFault	fault;			/* why there was no call; else follows from the outcome */
	const char *message;		/* UTF-8; NULL before the end */
	int			http_status;
	int64		retry_in_ms;
	InqudReply *reply;			/* or NULL */
	/* what the worker notes (worker/state.h) */
	dlist_node	node;
	struct ProjectState *state;
	InqudClock	started;
	InqudClock	retry_at;		/* write not before this; 0 = was not tried yet */
	int			failures;		/* to write its outcome */
	int			place;			/* where it is noted as under way; 0 = it is not */
	bool		locked;			/* another session had its row locked when that was last tried */
} InqudCall;

/* An empty call in a new context under "parent"; freed with that, if not before. */
extern InqudCall *inqud_call_new(MemoryContext parent);
extern void inqud_call_free(InqudCall *call);

/* Fill in what is due from a row of type inqud._task. */
extern void inqud_call_set_due(InqudCall *call, HeapTuple tuple, TupleDesc desc);

/* Build the request; false with the reason in *why when it cannot be built.  Raises no error. */
extern bool inqud_call_build(InqudCall *call, InqudWhy *why);

/*
 * The transfer has ended: fill in outcome and reply, without secrets, count the
 * transfer, and pause the rate limit after a 429, for pause_ms if the reply does not
 * say for how long.  False if go_on (NULL: always) said no; then nothing is done.
 */
extern bool inqud_call_judge(InqudCall *call, int64 pause_ms, InqudGoOn go_on);

/* Free the transfer, if there is one; one that has not been judged counts as canceled. */
extern void inqud_call_end_transfer(InqudCall *call);

/*
 * Make what does not exist yet: an engine, and a set of events to wait for, which are
 * this process's latch, the engine's descriptor and the postmaster's death.  Raises 53200.
 */
extern void inqud_open_engine(InqudEngine **engine, WaitEventSet **events, int connections);

/* ---- record.c: outcomes of calls into the tables ---- */

/* One outcome to be recorded, and what became of it.  Texts in the database's encoding. */
typedef struct InqudRecording
{
	int64		target;			/* inqud.checkout.id; INQUD_AIM_FOUND: -inqud.inbox.id */
	InqudEnding ending;
	bool		perhaps_same;	/* a read that may have brought nothing new */
	bool		has_reply;
	Datum		reply;			/* the whole of it, as jsonb */
	int			http_status;	/* 0 = none */
	/* set by inqud_record */
	InqudApplied applied;
	int64		checkout;		/* the row that it was recorded in; 0 = none */
	InqudQueueRow row;			/* its queue row now, when applied is DONE or SAME */
	bool		told;			/* the shop is told, and its on_status is to be called */
	bool		later;			/* INQUD_AIM_FOUND: it stays in the inbox and is read again */
} InqudRecording;

/* Fill in what is to be recorded; texts are palloc'ed.  Raises nothing but 53200. */
extern void inqud_recording_of(InqudRecording *item, const InqudCall *call, bool by_worker);

/*
 * Record n outcomes, between inqud_enter and inqud_leave.  A row that is locked
 * elsewhere is not waited for (INQUD_APPLIED_LOCKED).  Above READ COMMITTED, raises
 * 40001 for a row that another transaction has changed.
 */
extern void inqud_record(InqudRecording *items, int n);

/* A row of inqud.checkout as the reply shows it, for one that is not recorded (0) or must not be written now. */
extern Datum inqud_seen_checkout(Datum row, const InqudCall *call);

/* ---- notice.c: notices on the channel "inqud" ---- */

/* True while the server's queue of notices is less than half full; it is asked once a second at most. */
extern bool inqud_notices_pass(void);

/*
 * Send the notice of a checkout's news; texts in the database's encoding.  While notices
 * do not pass, the commit notes in the database's slot that one was left out.
 */
extern void inqud_notify(int64 id, const char *project, const char *state, const char *status);

/* Send the notice that others were left out. */
extern void inqud_notify_missed(void);

/* ---- Between the files that record outcomes, which README.md lists ---- */

/* One outcome while it is being recorded. */
typedef struct Entry
{
	InqudRecording *item;
	int64		inbox;			/* row of inqud.inbox that named it; 0 = none */
	bool		pending;
	bool		waits;			/* for the next round: for one of the same order or id, or to be locked */
	bool		to_lock;
	/* as looked up */
	bool		present;
	char	   *project;		/* name of the server */
	int32		server_id;
	uint64		order_hash;
	uint64		id_hash;		/* of the reply's id, if the row takes it */
	InqudRecord record;
	InqudQueueRow queue;
	InqudFacts	facts;
	InqudDecision decision;
	bool		locked;
} Entry;

/* The outcome is recorded, or will not be. */
extern void inqud_finish(Entry *e, InqudApplied applied);

/*
 * Look up the rows of these entries, and lock those that are "to_lock".  "present" says
 * whether there is one, "locked" whether it could be locked.
 */
extern void inqud_look_up(Entry **entries, int n, int64 now);

/* Look up the other checkouts of an order, for a decision that asks for them. */
extern void inqud_look_up_siblings(Entry *e);

/* Find the row for an id that a webhook named: one that waits for it, or a new one; or finish. */
extern void inqud_find_row(Entry *e, int64 now);

/* Forget the rows of the inbox that name the id, or have them wait. */
extern void inqud_settle_inbox(const Entry *e, bool later);

/* Write what was decided on these entries, whose rows are locked, and finish them. */
extern void inqud_write_entries(Entry **entries, int n);

/* Write to the history that what a webhook named could not be read. */
extern void inqud_note_unread(const Entry *e, const char *checkout_id, const char *why, int64 now);

extern Datum inqud_int8_array(Datum *values, int n);

/* The sentence, palloc'ed or constant; NULL for INQUD_SAYS_NOTHING. */
extern const char *inqud_sentence(const InqudSaying *says);

/* The columns that hold members of a reply: ", k.column" for each, or ", column = u.column" for each that an answer may change. */
extern char *inqud_columns(bool assigned);

/* Reads the columns of a row from left to right; null is 0, false or NULL. */
typedef struct RowReader
{
	Datum		values[64];
	bool		nulls[64];
	int			column;			/* the next one, from 0 */
} RowReader;

extern void inqud_reader_begin(RowReader *reader, HeapTuple tuple, TupleDesc desc);

/* The next column's value; 0 when it is null. */
extern Datum inqud_next(RowReader *reader);
#define inqud_next_int4(reader)	DatumGetInt32(inqud_next(reader))
#define inqud_next_bool(reader)	DatumGetBool(inqud_next(reader))

static inline int64
inqud_next_int8(RowReader *reader)
{
	Datum		value = inqud_next(reader);

	return value != (Datum) 0 ? DatumGetInt64(value) : 0;
}

extern char *inqud_next_text(RowReader *reader);
extern int64 inqud_next_time(RowReader *reader);	/* since 1970 */

/* All columns of inqud_columns(false). */
extern void inqud_next_checkout(RowReader *reader, InqudCheckout *is);

extern InqudState inqud_state_of(const char *word);
extern const char *inqud_state_word(InqudState state);

/* Forms rows of a table.  Columns that are not set are null. */
typedef struct RowWriter
{
	TupleDesc	desc;
	int			place;			/* of the column that was set last */
	Datum		values[64];
	bool		nulls[64];
} RowWriter;

/* Begin to form rows of this type; ReleaseTupleDesc(writer->desc) ends it. */
extern void inqud_writer_begin(RowWriter *writer, const char *type);

/* Set a column; NULL and 0 (time) leave it as it is. */
extern void inqud_set(RowWriter *writer, const char *column, Datum value);
extern void inqud_set_text(RowWriter *writer, const char *column, const char *text);
extern void inqud_set_time(RowWriter *writer, const char *column, int64 when);

/* The row; the next one begins with all columns null. */
extern Datum inqud_row_end(RowWriter *writer);

/* A row of inqud.checkout with what a decision changes. */
extern Datum inqud_checkout_datum(RowWriter *writer, const InqudRecording *item, const InqudDecision *decision,
								  int64 now);

/* A row of inqud.event. */
extern Datum inqud_event_datum(RowWriter *writer, int64 checkout, const InqudNote *note,
							   int http_status, int64 now);

/* ---- errors.c: the errors of failed calls; the only file that raises IQxxx ---- */
#define ERRCODE_INQUD_REFUSED		MAKE_SQLSTATE('I','Q','0','0','1')
#define ERRCODE_INQUD_CREDENTIALS	MAKE_SQLSTATE('I','Q','0','0','2')
#define ERRCODE_INQUD_THROTTLED		MAKE_SQLSTATE('I','Q','0','0','3')
#define ERRCODE_INQUD_UNKNOWN		MAKE_SQLSTATE('I','Q','0','0','4')
#define ERRCODE_INQUD_REPLY			MAKE_SQLSTATE('I','Q','0','0','5')
#define ERRCODE_INQUD_DIGEST		MAKE_SQLSTATE('I','Q','0','0','6')

/* Raise the error that fits the outcome of a call; the detail is its message. */
extern void inqud_raise_outcome(const InqudCall *call) pg_attribute_noreturn();

/* Raise IQ005: the answer to a create does not fit the order.  Texts in the database's encoding. */
extern void inqud_raise_misfit(const char *order_id, const char *why) pg_attribute_noreturn();

/* Raise IQ003: the rate limit has no call left before so many milliseconds. */
extern void inqud_raise_throttled(const InqudProject *project, int64 wait_ms) pg_attribute_noreturn();

/* Raise IQ006: a webhook's digest is wrong or cannot be checked.  No secret may be in the texts. */
extern void inqud_raise_digest(const InqudProject *project, const char *detail,
							   const char *hint) pg_attribute_noreturn();

/* A text from Inqud or libcurl for a message, palloc'ed; characters that the encoding lacks become '?'. */
extern char *inqud_readable(const char *utf8);

/* A sentence on a reply, for the row's "error" and the event: status, code, Inqud's words.  UTF-8, palloc'ed. */
extern char *inqud_outcome_text(const InqudReply *reply, const InqudResponse *response);

#endif							/* INQUD_SHARED_H */
