/*-------------------------------------------------------------------------
 *
 * state.h
 *		What the files of the worker share: the state of each project, calls, and
 *		the checkouts it follows.
 *
 * All state is in the worker's memory, and a new worker derives it from the
 * tables.  No file of another wing may include this.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_WORKER_STATE_H
#define INQUD_WORKER_STATE_H

#include "shared/shared.h"

#include "lib/ilist.h"
#include "lib/pairingheap.h"
#include "utils/hsearch.h"

/*
 * The worker's own schedule goes by the monotonic clock, so that nothing waits and
 * nothing is sent again when the machine's clock is set.  Times of the tables are
 * converted where they are read.
 */
#define INQUD_FAR PG_INT64_MAX	/* later than any time: never */

/* When the next row of a kind is due: by the worker's clock, and in the table, from where a claim looks. */
typedef struct Due
{
	InqudClock	at;
	TimestampTz from;
} Due;

/* Kinds of calls, in the order in which they are claimed. */
typedef enum CallKind
{
	CALL_CREATE,
	CALL_ASKED,					/* a read that was asked for */
	CALL_FOUND,					/* a read of an id that only a webhook named */
	CALL_SCHEDULED,				/* a read by the schedule */
	CALL_KINDS
} CallKind;

/* What the worker keeps of one project.  Times that are INQUD_FAR: none is known. */
typedef struct ProjectState
{
	dlist_node	node;
	int32		server_id;		/* its entry, by which the tables know it */
	Oid			serverid;		/* InvalidOid = not known here, or not read yet */
	char	   *project;		/* its name, to be told */
	Due			create_due;		/* earliest create */
	Due			asked_due;		/* earliest read that was asked for */
	Due			found_due;		/* earliest read of an id that only a webhook named */
	int			earned[CALL_KINDS];	/* by waiting, see claim_shares */
	bool		asked_again;	/* a read was asked for while one was under way */
	InqudClock	hold;			/* claim nothing before this */
	InqudClock	waits_until;	/* end of the wait that the rate limit asked for */
	pairingheap *active;		/* followed checkouts by next read, while a payment is under way */
	pairingheap *idle;			/* the same, while no payment is under way */
	dlist_head	ready;			/* claimed calls that have not started */
	dlist_head	running;		/* calls whose transfer is under way */
	int			n_ready;		/* length of ready */
	int			in_flight;		/* length of running */
	int			n_unwritten[2];	/* reads, creates in worker.finished whose row nobody has locked */
	int			n_ended;		/* calls that ended since counted_from */
	InqudClock	counted_from;
	int			pace;			/* calls that ended in the 100 ms before that */
	int			throttled;		/* replies 429 in a row */
	uint32		picks;			/* reads taken from the heaps, to give idle ones every fourth */
	Due			call_due;		/* earliest on_status call */
	InqudClock	call_hold;		/* no on_status call before this */
	bool		call_slow;		/* the last one took long: see worker.slow_hold */
	bool		call_alone;		/* the last one failed or took long: the next is made alone */
	struct TakenCalls *taken;	/* on_status calls that are to be made; NULL at first */
	bool		known;			/* its server's options have been read; false again when they change */
	/* from the server's options, as of the last lookup */
	int			window;			/* calls under way at most; but see inqud_state_window */
	double		rate;			/* calls per second; 0 = no limit */
	InqudDigest account;		/* of the last call: key of the rate limit */
	bool		has_account;	/* there was a call since the options were read */
	bool		accounts;		/* the server has several user mappings: each account waits for itself */
	bool		gone;			/* the server was dropped: nothing is done for it */
	int64		poll_new;		/* microseconds between reads */
	int64		poll_active;	/* microseconds, while a payment is under way */
	bool		on_status;		/* it has a function */
	InqudCounting counting;		/* where its calls are counted */
} ProjectState;

/* A checkout that is read by the schedule.  A million take about 140 MB, with hash table and heaps. */
typedef struct Followed
{
	int64		id;				/* hash key */
	pairingheap_node node;
	ProjectState *state;
	InqudClock	due;			/* of the next read */
	InqudClock	tail_from;		/* see inqud_plan */
	uint64		hash;			/* of the last reply that was recorded; 0 = unknown */
	uint8		phase;			/* InqudPhase */
	uint8		attempts;		/* failed reads in a row */
	bool		in_active;		/* which heap it is in */
	bool		waiting;		/* it is in a heap */
	bool		busy;			/* a call reads it, from the claim until its outcome is written */
} Followed;

/* A checkout whose last read is done; its queue row is deleted then. */
typedef struct Settled
{
	int64		id;
	InqudClock	until;
} Settled;

/* A call during which a worker has ended: it is made alone. */
typedef struct Suspect
{
	int64		id;				/* as InqudCall.checkout */
	ProjectState *state;
	InqudClock	due;
	InqudClock	write_at;		/* not before this */
	bool		tried;			/* how its trial ended is to be written */
	bool		answered;		/* an answer came */
	bool		held;			/* the last time it was not sent */
} Suspect;

/* The state of this worker.  Times that are INQUD_FAR: none. */
typedef struct Worker
{
	InqudDatabase *slot;		/* in shared memory */
	InqudEngine *engine;
	int64		home;			/* this database; rows of others are not touched */
	int64		lease;			/* random number that marks the rows this worker has claimed */
	dlist_head	projects;		/* of ProjectState */
	dlist_head	finished;		/* calls whose outcome is to be written */
	int			n_finished;
	int			n_locked;		/* of them, those whose row another session had locked */
	InqudClock	write_by;		/* new outcomes are written by then */
	int			n_in_flight;	/* transfers under way */
	int			n_ready;		/* claimed calls that have not started */
	int			window;			/* of all projects together, as their options say */
	int			fair;			/* the most that one project gets of it, for want of descriptors */
	int64		n_followed;		/* followed checkouts */
	InqudClock	risky_at;		/* when an on_status call that had failed before was last made */
	InqudClock	slow_hold;		/* no on_status call of a project whose last one took long before this */
	InqudClock	release_due;	/* retry to release leases whose rows were locked */
	InqudClock	inbox_due;		/* retry to sort webhooks whose queue row was locked */
	bool		look;			/* query the tables for all that is due */
	TimestampTz look_from;		/* for what is due from then on; DT_NOEND = nothing new is */
	InqudClock	look_by;		/* for all by then, since claims have passed over locked rows, perhaps */
	InqudClock	look_until;		/* after this the next query is for all */
	List	   *suspects;		/* of Suspect */
	InqudCall  *alone;			/* the call of a suspect, which is made alone; NULL = none */
	Suspect    *on_trial;		/* whose call that is */
	InqudClock	quiet_from;		/* since when other calls wait for it; 0 = they do not */
	InqudClock	quiet_until;
	InqudClock	next_trial;		/* not before this */
	bool		begun;			/* leases are released and followed checkouts loaded */
	bool		leaving;		/* asked to leave: nothing more is claimed */
	bool		good_end;		/* this exit is no failure */
	bool		absent;			/* the extension is not in this database */
	List	   *settled;		/* of Settled, the earliest first */
	MemoryContext context;		/* for the worker's life */
	MemoryContext turn;			/* reset after every turn */
} Worker;

extern Worker worker;

/* The project after that one, or the first after NULL; NULL behind the last. */
static inline ProjectState *
inqud_next_project(ProjectState *state)
{
	dlist_node *next = state ? state->node.next : worker.projects.head.next;

	return next == &worker.projects.head ? NULL : dlist_container(ProjectState, node, next);
}

/*
 * Functions below that read or write tables open and commit a transaction of
 * their own and raise its errors, unless something else is said; guarded_turn in
 * worker.c catches them.  The others raise errors only when memory runs out.
 */

/* ---- start.c: how a worker begins ---- */

/* Take the database's slot until this process ends; false if there is none, it is taken, or no worker is wanted. */
extern bool inqud_take_slot(Oid dbid);

/* Override settings that defaults of the database or the role must not change. */
extern void inqud_pin_settings(void);

/*
 * Release the leases of an earlier worker, and make suspects of the calls that it had
 * begun; locked rows are tried again after a second.
 */
extern void inqud_release_leases(void);

/* Follow and schedule the checkouts that the tables say are followed. */
extern void inqud_load_followed(void);

/* Keys or rights have changed: make calls due that waited for them, or for an account that has changed. */
extern void inqud_release_held(void);

/* ---- transaction.c ---- */

/*
 * Take the advisory lock of this database's worker; false if another process has
 * it.  Exits if the extension is missing or of a version that is not served.
 */
extern bool inqud_lock_database(void);

/*
 * Begin a transaction as the extension's owner, with a snapshot; exits as the function
 * above.  How its commit is waited for goes by its kind, whatever the database's default
 * says.
 */
typedef enum CommitKind
{
	COMMIT_LAZY,				/* not at all: losing it only repeats a call */
	COMMIT_FLUSHED,				/* flushed here: it counts a call that may end the server */
	COMMIT_DURABLE				/* as for users' commits: it makes a URL visible, which a standby must have */
} CommitKind;
extern void inqud_worker_begin(InqudRole *role, CommitKind kind);

/* Commit it; the current memory context is then worker.turn. */
extern void inqud_worker_commit(InqudRole *role);

/* ---- schedule.c ---- */

/* Make the empty lists and tables; once, at the start. */
extern void inqud_schedule_init(void);

/* A time of the tables by the worker's clock; INQUD_FAR for infinity. */
extern InqudClock inqud_clock_of(TimestampTz when);

/* The next row is due at that time of the tables; or at that time, if that is earlier; or there is none. */
extern void inqud_due_set(Due *due, TimestampTz when);
extern void inqud_due_earlier(Due *due, TimestampTz when);
extern void inqud_due_never(Due *due);

/* A hash table with a 64-bit key and entries of that many bytes, for the worker's life. */
extern HTAB *inqud_worker_table(const char *name, Size entry);

/* Keys, rights or options have changed: read options again, and let failed reads follow their plan. */
extern void inqud_options_changed(void);

/* The state of a project, by its server's entry, made if there is none.  It stays for the worker's life. */
extern ProjectState *inqud_project_state(int32 server_id);

/* Copy the project's options into its state. */
extern void inqud_state_set_options(ProjectState *state, const InqudProject *project);

/* Its server was dropped, or is there (again). */
extern void inqud_state_set_gone(ProjectState *state, bool gone);

/* How many calls of this project may be under way. */
extern int	inqud_state_window(const ProjectState *state);

/* How many creates or reads of this project may be claimed now. */
extern int	inqud_state_room(ProjectState *state, bool create);

/* Count a call of this project that has ended, for its pace. */
extern void inqud_state_count_ended(ProjectState *state);

/* The rate limit says to wait so many microseconds: claim nothing until then. */
extern void inqud_state_wait(ProjectState *state, int64 wait);

/* When it can start or claim a call without an event from outside; INQUD_FAR = not at all, or after a call ends. */
extern InqudClock inqud_state_next_due(ProjectState *state);

/* When the schedule has the next read; INQUD_FAR = none. */
extern InqudClock inqud_state_next_read(const ProjectState *state);

/* Follow a checkout, or change how it is followed; it must be scheduled next. */
extern Followed *inqud_follow(int64 id, ProjectState *state, InqudPhase phase, InqudClock tail_from);

/* The followed checkout with this id, or NULL; valid until it is unfollowed. */
extern Followed *inqud_followed(int64 id);

/* Do not follow this checkout any longer; nothing happens if it was not followed. */
extern void inqud_unfollow(int64 id);

/* Schedule the next read at that time. */
extern void inqud_schedule_at(Followed *followed, InqudClock due);

/*
 * Schedule the next read by the plan.  "began" is when the last read began, 0 if there
 * was none.  Returns false, and schedules nothing, if that was the plan's last read.
 */
extern bool inqud_schedule(Followed *followed, InqudClock began);

/* After a claim that was rolled back: schedule the reads it had taken at that time. */
extern void inqud_reschedule_lost(InqudClock when);

/* Take a due read out of its heap; NULL if none is due.  The caller reads or schedules it. */
extern Followed *inqud_take_next_read(ProjectState *state, InqudClock now);

/* ---- pause.c: credentials that Inqud refuses are not used for a growing time; turns ---- */

/* What is left of a pause of the project's credentials in that project, in milliseconds; 0 = none. */
extern int64 inqud_pause_left(const InqudProject *project);

/* Inqud has refused the call: begin a pause, unless one lasts.  Returns what is left of it. */
extern int64 inqud_pause(const InqudCall *call);

/* End a pause, and start again with the shortest. */
extern void inqud_unpause(const InqudProject *project);

/*
 * The rate limit makes a call wait so many microseconds, in a project with several
 * accounts, where others must not wait with it.  Returns after how many milliseconds
 * it is its turn: each call of the account gets a turn of its own.
 */
extern int64 inqud_turn(const InqudCall *call, int64 wait);

/* Has an account been found changed for which calls wait? */
extern bool inqud_accounts_changed(void);

/*
 * Look whether accounts for which calls wait have changed, within the caller's
 * transaction, and end what holds them back.  The entries of their servers; the caller
 * frees the list.
 */
extern List *inqud_take_changed(void);

/* Milliseconds until a call is tried again after so many attempts (at least 1), with chance in it. */
extern int64 inqud_backoff(const InqudProject *project, int attempts);

/* ---- claim.c ---- */

/* Query the tables for when the next row of each project is due. */
extern void inqud_query_due(void);

/* Something was queued that is not due before "from"; DT_NOEND = nothing was. */
extern void inqud_look_from(TimestampTz from);

/* Must the tables be queried for what is due? */
extern bool inqud_must_look(void);

/*
 * A claim within the caller's transaction has found rows from *due on, or none.  Set
 * *due to where the next one begins: after a full claim at the due time of its last
 * row, else at the next row in the table that is due at "from" or later.  "kind" is a
 * word of inqud._next().
 */
extern void inqud_set_next(ProjectState *state, Due *due, const char *kind, bool full, TimestampTz from);

/* Claim this suspect, put it before all calls that are ready, and set worker.alone; false if it is not to be had. */
extern bool inqud_claim_alone(int64 id, ProjectState *state);

/* Claim what is due and has room, for all projects in one transaction. */
extern void inqud_claim_due(void);

/* Look up the project and set its options, within the caller's transaction. */
extern void inqud_state_read_options(ProjectState *state);

/* A call that lacks a right or a mapping is tried again after this long. */
#define BLOCKED_MS 20000

/* The owner of a row is missing: tried again after this long, or when the role is there. */
#define NO_OWNER_MS (60 * 60 * 1000)

/* ---- send.c ---- */

/* Free a call, which must be in no list: its checkout is not busy any more. */
extern void inqud_drop_call(InqudCall *call);

/* Put a call, which must be in no list, to those whose outcome is to be written. */
extern void inqud_finish_call(InqudCall *call);

/* Take a call from there. */
extern void inqud_take_finished(InqudCall *call);

/* A call is not sent, or was canceled: set its outcome, with a copied message and the delay in ms. */
extern void inqud_set_unsent(InqudCall *call, InqudOutcome outcome, const char *message, int64 retry_ms);

/* The worker leaves before the answer was read: free the transfer, and set the outcome. */
extern void inqud_cut_off(InqudCall *call);

/* Start ready calls, as far as windows and rates allow. */
extern void inqud_start_ready(void);

/* The worker leaves: finish all ready calls as held, which releases their claims. */
extern void inqud_release_ready(void);

/* The worker leaves: cancel all transfers; the outcome of a create is then unknown. */
extern void inqud_cancel_running(void);

/* ---- under_way.c: which calls are under way, in a file that outlives the worker ---- */

/* Open the file of the worker before, or a new one. */
extern void inqud_under_way_open(void);

/* The ids of calls in it, in worker.context; returns the lease of the worker that has noted them, 0 = nothing is known. */
extern int64 inqud_under_way_former(Datum **ids, int *n);

/* From now on it is this worker's, and has no calls. */
extern void inqud_under_way_begin(void);

/* This call begins, or is over: its outcome is written, or is not to be. */
extern void inqud_under_way_note(InqudCall *call);
extern void inqud_under_way_forget(InqudCall *call);

/* ---- alone.c: suspects, calls during which a worker has ended ---- */

/* A suspect that could not be claimed or sent is tried again after this long. */
#define INQUD_AGAIN_US USECS_PER_SEC

/* Add a suspect that is due in so many seconds, unless it is there. */
extern void inqud_add_suspect(int64 id, int32 server_id, double due_in);

/* Free a suspect that is none any more. */
extern void inqud_forget_suspect(Suspect *suspect);

/* A suspect by the id of its call; NULL = it is none. */
extern Suspect *inqud_find_suspect(int64 id);

/* The suspect that is due first; NULL = there is none. */
extern Suspect *inqud_first_suspect(void);

/* True while a suspect is to be alone: no other call may begin. */
extern bool inqud_is_quiet(void);

/* The others go on, for as long as they have waited. */
extern void inqud_end_quiet(void);

/* When inqud_try_suspects has something to do next; INQUD_FAR = never. */
extern InqudClock inqud_next_alone(void);

/* A call is over; if it was a suspect's, note how it ended. */
extern void inqud_alone_ended(const InqudCall *call);

/* Keys or rights have changed: suspects that were not sent are due. */
extern void inqud_hasten_suspects(void);

/* ---- trial.c: makes their calls ---- */

/* Find the suspects that the tables name. */
extern void inqud_load_suspects(void);

/* Send the next suspect, if it is due; and write how trials have ended. */
extern void inqud_try_suspects(void);
extern void inqud_write_trials(void);

/* ---- record.c ---- */

/* Take ended transfers from the engine; those that need a write become finished calls. */
extern void inqud_collect_ended(void);

/* Write finished calls whose time has come.  One that cannot be written stays; no error then. */
extern void inqud_write_back(void);

/* When inqud_write_back has something to do next; INQUD_FAR = no outcome waits. */
extern InqudClock inqud_next_write(void);

/* ---- trouble.c: what cannot be written, or told of; only inqud_tell_of_missed raises errors ---- */

/* The error that inqud.worker shows, of a turn or of a write; primary message only. */
extern void inqud_show_error(const char *message);

/* The same, and it is shown for so many microseconds, since nothing heals it. */
extern void inqud_show_error_for(const char *message, int64 usec);

/* It is healed. */
extern void inqud_clear_error(void);

/* A turn came to its end: an error of an earlier one is not shown for ever. */
extern void inqud_turn_went_well(void);

/* May this be logged?  The same message once a minute. */
extern bool inqud_may_log(const char *message);

/* The outcome of one call could not be written, alone in its transaction. */
extern void inqud_write_failed(InqudCall *call, const char *message);

/* It is written, or is not to be any more.  True if that had failed before: others may succeed now, too. */
extern bool inqud_write_done(InqudCall *call);

/* So many places of the project's window are kept by answers that cannot be written, from creates or reads. */
extern int	inqud_places_kept(const ProjectState *state, bool create);

/* True if answers to as many creates of this owner wait for locks of others as the window has places. */
extern bool inqud_locks_many(const ProjectState *state, Oid owner);

/* True while a notice was left out and listeners were not told of that. */
extern bool inqud_owes_notice(void);

/* If notices pass again, tell listeners that some were left out. */
extern void inqud_tell_of_missed(void);

/* When the two above and inqud_turn_went_well have something to do; INQUD_FAR = never. */
extern InqudClock inqud_next_in_trouble(void);

static inline bool
inqud_is_create(const InqudCall *call)
{
	return call->kind == INQUD_KIND_CREATE;
}

/* ---- clock.c: when the machine's clock is set ---- */

/* See whether the clock was set, and show it. */
extern void inqud_watch_clock(void);

/* Bring forward what waits in the tables because of that; each time before they are looked at. */
extern void inqud_undo_lead(void);

/* ---- names.c: the names of roles and servers in the rows ---- */

/* Names may have changed: look at them. */
extern void inqud_look_at_names(void);

/* Bring some names in the rows up to date, if there are others now. */
extern void inqud_write_names(void);

/* When the function above has something to do; INQUD_FAR = nothing. */
extern InqudClock inqud_next_names(void);

/* ---- on_status.c ---- */

/* When the next known call of on_status is due; INQUD_FAR = none. */
extern InqudClock	inqud_next_call(void);

/* Make due calls of on_status, project by project, for about 50 ms.  Errors of functions are logged. */
extern void inqud_make_calls(void);

/* The worker leaves: calls that were taken and not made become due again. */
extern void inqud_release_calls(void);

#endif							/* INQUD_WORKER_STATE_H */
