/*-------------------------------------------------------------------------
 *
 * dispatch.h
 *		What the files of the worker share: lanes, jobs, and the checkouts it
 *		follows.
 *
 *		worker.c	the process: loop, waits, end
 *		startup.c	its start, and its transactions
 *		lane.c		projects, the schedule of reads, who is paused
 *		claim.c		takes what is due
 *		job.c		starts the calls, gives them back or up
 *		complete.c	what the calls brought, back into the tables
 *		hook.c		on_status functions
 *
 * All of it lives in the worker's memory and is derived anew from the tables
 * after a restart.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_DISPATCH_H
#define INQUD_DISPATCH_H

#include "pg/counters.h"
#include "pg/worker.h"

#include "lib/ilist.h"
#include "lib/pairingheap.h"
#include "nodes/pg_list.h"

#define INQUD_FAR PG_INT64_MAX	/* a time that never comes */

/* One project. */
typedef struct Lane
{
	dlist_node	node;
	char	   *project;
	TimestampTz create_due;		/* earliest create, INQUD_FAR = none known */
	TimestampTz poked_due;
	TimestampTz found_due;		/* ids that only a webhook named */
	TimestampTz hold;			/* no claim before */
	TimestampTz waits_until;	/* for its turn under the rate limit */
	pairingheap *active;		/* followed checkouts by their next read */
	pairingheap *idle;
	dlist_head	ready;			/* jobs claimed and not started yet */
	dlist_head	running;		/* jobs whose call is under way */
	int			n_ready;
	int			in_flight;
	int			n_ended;		/* calls that ended since ... */
	TimestampTz counted_from;
	int			pace;			/* calls that ended within the period before */
	int			throttled;		/* replies 429 in a row */
	uint32		picks;			/* reads taken from the heaps */
	TimestampTz hook_due;		/* earliest on_status call */
	TimestampTz hook_hold;		/* none before, since the function has hung */
	int			hook_hangs;		/* calls in a row that took too long */
	bool		known;			/* its server's options have been read */
	/* from the server's options, as of the last lookup */
	int			window;
	double		rate;
	uint64		limiter;
	int64		poll_new;		/* microseconds */
	int64		poll_active;
	InqudCounting counting;		/* where its calls are counted */
} Lane;

/* A checkout that is followed.  A million of them take about 140 MB, hash table and heap included. */
typedef struct Followed
{
	int64		id;				/* hash key */
	pairingheap_node node;
	Lane	   *lane;
	TimestampTz due;
	TimestampTz until;			/* then its plan changes */
	TimestampTz tail_from;
	uint64		hash;			/* of the last reply that was applied, 0 = unknown */
	uint8		phase;
	uint8		attempts;		/* failed reads in a row */
	bool		in_active;		/* which heap */
	bool		waiting;		/* stands in the heap */
	bool		busy;			/* a call is under way, or its outcome is not written yet */
} Followed;

/* One call, from the claim until its outcome is written. */
typedef struct Job
{
	dlist_node	node;
	InqudTask  *task;
	Lane	   *lane;
	InqudProject *project;		/* NULL when it could not be looked up */
	InqudRequest *request;
	InqudTransfer *transfer;
	InqudReply *reply;
	InqudResult result;
	char	   *message;		/* of the result; in the task's context */
	TimestampTz retry_at;		/* writing back failed: not before; 0 = has not been tried */
	int			failures;		/* of writing back */
} Job;

/* What the whole worker is about. */
typedef struct Worker
{
	InqudDatabase *slot;
	InqudEngine *engine;
	int64		home;
	int64		lease;
	dlist_head	lanes;
	dlist_head	finished;		/* jobs whose outcome is to be written */
	int			n_finished;
	TimestampTz write_by;		/* when fresh outcomes are written at the latest */
	int			n_in_flight;
	int			n_ready;
	int			window;			/* of all lanes together */
	int64		n_followed;
	TimestampTz risky_at;		/* when an on_status call that failed before was last made */
	TimestampTz release_due;	/* leases of a predecessor that were locked elsewhere */
	TimestampTz inbox_due;		/* webhooks whose checkout was locked */
	bool		look;			/* ask the tables what is due */
	bool		begun;			/* the predecessor's leases are free, and what is followed is known */
	bool		leaving;
	bool		good_end;		/* the launcher need not count this end as a failure */
	bool		absent;			/* the extension is not here */
	List	   *settled;		/* ids (int64 *) whose last read is done */
	MemoryContext context;
	MemoryContext turn;			/* reset every turn */
} Worker;

extern Worker worker;

/* startup.c */
extern bool inqud_take_slot(Oid dbid);
extern void inqud_pin_settings(void);
extern bool inqud_lock_database(void);
extern bool inqud_extension_is_here(void);
extern void inqud_leave_absent(void) pg_attribute_noreturn();
extern void inqud_leave_if_unserved(void);
extern void inqud_release_leases(void);
extern void inqud_load_followed(void);
extern void inqud_hurry(void);

/* A transaction of the worker's own, as the extension's owner. */
extern void inqud_worker_begin(InqudRole *role, bool durable);
extern void inqud_worker_commit(InqudRole *role);

/* lane.c */
extern void inqud_lanes_init(void);
extern Lane *inqud_lane(const char *project);
extern void inqud_lane_options(Lane *lane, const InqudProject *project);
extern Followed *inqud_follow(int64 id, Lane *lane, const char *phase, TimestampTz tail_from);
extern Followed *inqud_followed(int64 id);
extern void inqud_forget(int64 id);
extern void inqud_schedule(Followed *followed, TimestampTz instead);
extern void inqud_reschedule_lost(TimestampTz when);
extern Followed *inqud_next_read(Lane *lane, TimestampTz now);
extern int	inqud_lane_room(Lane *lane);
extern void inqud_count_ended(Lane *lane);
extern void inqud_lane_wait(Lane *lane, int64 wait);
extern TimestampTz inqud_lane_next(Lane *lane);

/* Who is refused (401, 403, wrong address) pauses, with a growing delay. */
extern uint64 inqud_pause_key(const InqudProject *project);
extern TimestampTz inqud_paused_until(uint64 key);
extern int64 inqud_pause(uint64 key, int64 min_ms, int64 max_ms);
extern void inqud_unpause(uint64 key);
extern void inqud_unpause_all(void);

/* claim.c */
extern void inqud_look(void);
extern void inqud_claim_round(void);
extern void inqud_learn_options(Lane *lane);

/* Who lacks a right or a mapping is looked at again after this long. */
#define BLOCKED_MS 20000

/* job.c */
extern Job *inqud_job_new(InqudTask *task, Lane *lane);
extern void inqud_job_free(Job *job);
extern void inqud_job_finish(Job *job);
extern void inqud_finish_unsent(Job *job, const char *outcome, const char *message, int64 retry_ms);
extern void inqud_start_ready(void);
extern void inqud_release_ready(void);
extern void inqud_give_up_running(void);

/* complete.c */
extern void inqud_collect(void);
extern void inqud_write_back(void);
extern TimestampTz inqud_next_write(void);

/* hook.c */
extern TimestampTz inqud_next_hook(void);
extern void inqud_run_hooks(void);

#endif							/* INQUD_DISPATCH_H */
