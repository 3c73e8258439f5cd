/*-------------------------------------------------------------------------
 *
 * worker.c
 *		The worker of one database: its start, its loop, its end.
 *
 * One turn of the loop: move the transfers on, write outcomes back, query what is
 * due, claim it, start it, call on_status functions; then wait for the latch, the
 * network or the next due time.  No transaction, snapshot or lock may be open
 * while it waits.
 *
 * It runs no query while no commit has queued work and nothing is due.  When that
 * lasts for 30 s it exits, and the launcher starts another one when something is
 * due or a commit queues work.
 *
 *-------------------------------------------------------------------------
 */
#include "worker/state.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

/* Leave after QUIET_MS without work, if nothing is due within NOTHING_FOR_MS. */
#define QUIET_MS 30000
#define NOTHING_FOR_MS 300000

/* Commits wake the worker once in this time at most; later ones are found when it is over. */
#define LISTEN_AFTER_MS 2

/* Changes of keys and rights are looked at once in this time at most, since anybody can make some. */
#define CHANGES_AFTER_MS 500

/* The machine's clock is looked at once in this time at least. */
#define WATCH_MS 30000

/* When asked to leave, transfers under way get this long to end. */
#define GRACE_MS 2000
#define LEAVING_LOCK_TIMEOUT "200ms"

PGDLLEXPORT void inqud_worker_main(Datum arg) pg_attribute_noreturn();

static WaitEventSet *wait_set = NULL;
static uint32 work_seen = 0;
static uint32 changes_seen = 0;
static uint64 catalog_seen = 0;
static InqudClock changes_at = 0;
static InqudClock listen_at = 0;
static InqudClock quiet_since = 0;
static InqudClock leave_by = 0;
static InqudClock statistics_due = INQUD_FAR;

static void
set_up(void)
{
#ifdef __GLIBC__

	/*
	 * Each turn allocates and frees some hundred kilobytes.  With the default
	 * thresholds they go back to the kernel each time, and are faulted in again.
	 */
	(void) mallopt(M_MMAP_THRESHOLD, 4 * 1024 * 1024);
	(void) mallopt(M_TRIM_THRESHOLD, 8 * 1024 * 1024);
#endif
	worker.context = AllocSetContextCreate(TopMemoryContext, "inqud worker",
										   ALLOCSET_DEFAULT_SIZES);
	worker.turn = AllocSetContextCreate(TopMemoryContext, "inqud turn",
										ALLOCSET_DEFAULT_SIZES);
	inqud_open_engine(&worker.engine, &wait_set, 16);
	worker.home = inqud_this_home();
	worker.lease = inqud_random_lease();
	worker.inbox_due = worker.release_due = worker.look_by = worker.write_by = INQUD_FAR;
	/* an on_status call that failed before may have ended our predecessor: make other calls first */
	worker.risky_at = inqud_clock_us();
	worker.look = true;
	worker.look_from = DT_NOEND;
	worker.fair = 1;
	inqud_schedule_init();
}

/* ---- The end ---- */

/* The earliest due time that this worker knows; INQUD_FAR = none. */
static InqudClock
next_due(void)
{
	InqudClock	next = Min(Min(worker.inbox_due, inqud_next_alone()), Min(worker.release_due, worker.look_by));

	if (inqud_is_quiet())
		return next;
	next = Min(next, inqud_next_names());
	next = Min(next, inqud_next_call());
	for (ProjectState *state = inqud_next_project(NULL); state; state = inqud_next_project(state))
		next = Min(next, inqud_state_next_due(state));
	return next;
}

/* Exit, unless a commit has queued work meanwhile.  "again": have the launcher start another worker. */
static void
leave_unless_work_came(bool again)
{
	InqudClock	next = next_due();
	bool		stay;

	inqud_shared_lock();
	stay = !worker.leaving && pg_atomic_read_u32(&worker.slot->work) != work_seen;
	if (!stay)
	{
		worker.good_end = true;
		worker.slot->failures = 0;
		worker.slot->wanted = again;
		worker.slot->wake_at = next == INQUD_FAR ? 0 : next;
	}
	inqud_shared_unlock();
	if (!stay)
		proc_exit(0);
}

static bool
asked_to_leave(void)
{
	bool		asked;

	inqud_shared_lock();
	asked = worker.slot->leave;
	inqud_shared_unlock();
	return asked;
}

/*
 * Asked to leave: say when, and wait for locks no longer.  What fails before everything is
 * written, as beside CREATE INDEX, must not keep the worker.
 */
static void
begin_to_leave(void)
{
	if (!worker.leaving)
	{
		leave_by = inqud_clock_us() + GRACE_MS * 1000;
		SetConfigOption("lock_timeout", LEAVING_LOCK_TIMEOUT, PGC_SUSET, PGC_S_OVERRIDE);
		worker.leaving = true;
		inqud_release_ready();
		inqud_release_calls();
	}
	if (inqud_clock_us() >= leave_by + GRACE_MS * 1000 / 2)
		leave_unless_work_came(true);
}

/* Claim nothing, give transfers GRACE_MS to end, cancel the rest, write all outcomes, exit. */
static void
finish_and_leave(void)
{
	InqudClock	now = inqud_clock_us();

	if (now >= leave_by && worker.n_in_flight > 0)
	{
		inqud_cancel_running();
		inqud_write_back();
	}
	inqud_write_trials();
	if ((worker.n_in_flight == 0 && worker.n_finished == 0) || now >= leave_by)
		leave_unless_work_came(true);
}

/* Exit after QUIET_MS without work, if nothing is due within NOTHING_FOR_MS. */
static void
leave_if_quiet(InqudClock now, InqudClock next)
{
	if (worker.n_in_flight > 0 || worker.n_finished > 0 || inqud_must_look() || inqud_owes_notice() ||
		next < now + NOTHING_FOR_MS * 1000)
		quiet_since = now;
	else if (now >= quiet_since + QUIET_MS * 1000)
	{
		leave_unless_work_came(false);
		quiet_since = now;
	}
}

/* ---- The loop ---- */

/* Update what pg_stat_activity and inqud.worker show. */
static void
show_state(void)
{
	static int	shown = -1;
	static int64 shown_followed = -1;
	char		text[80];
	int			busy = worker.n_in_flight + worker.n_finished;

	worker.slot->in_flight = worker.n_in_flight;
	worker.slot->followed = worker.n_followed;
	if (busy == shown && worker.n_followed == shown_followed)
		return;
	shown = busy;
	shown_followed = worker.n_followed;
	if (busy > 0)
		worker.slot->active_at = GetCurrentTimestamp();
	snprintf(text, sizeof(text), "inqud: under way %d, followed " INT64_FORMAT,
			 worker.n_in_flight, worker.n_followed);
	pgstat_report_activity(busy > 0 ? STATE_RUNNING : STATE_IDLE, text);
}

/*
 * Report to the statistics what has been written, for autovacuum.  The server
 * flushes once a second at most, at the end of a transaction.  An idle worker has
 * none, so statistics_due wakes it once to report the rest of a burst.
 */
static void
flush_statistics(void)
{
	InqudClock	now = inqud_clock_us();

	if (pgstat_report_stat(statistics_due <= now) == 0)
		statistics_due = INQUD_FAR;
	else if (statistics_due == INQUD_FAR)
		statistics_due = now + USECS_PER_SEC;
}

static void
serve_signals(void)
{
	CHECK_FOR_INTERRUPTS();
	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	/* inqud.enabled may have been switched on */
	worker.look = true;
}

/* Have keys or rights changed since they were looked at? */
static bool
has_changes(void)
{
	return worker.begun && inqud_enabled &&
		(pg_atomic_read_u32(&worker.slot->changes) != changes_seen ||
		 inqud_project_changes() != catalog_seen || inqud_accounts_changed());
}

/* See whether commits have queued work or changed keys and rights since the last turn. */
static void
note_unseen_work(void)
{
	uint32		work = pg_atomic_read_u32(&worker.slot->work);
	uint32		changes = pg_atomic_read_u32(&worker.slot->changes);

	if (work != work_seen)
	{
		inqud_look_from(inqud_database_queued(worker.slot));
		listen_at = inqud_clock_us() + LISTEN_AFTER_MS * 1000;
	}
	work_seen = work;
	if (has_changes() && inqud_clock_us() >= changes_at)
	{
		changes_seen = changes;
		changes_at = inqud_clock_us() + CHANGES_AFTER_MS * 1000;
		inqud_release_held();
		inqud_look_at_names();
		catalog_seen = inqud_project_changes();
	}
}

/* Take over from the worker that ran before, once; query what is due, and claim it. */
static void
claim_due(void)
{
	if (!worker.begun || worker.release_due <= inqud_clock_us())
		inqud_release_leases();
	if (!worker.begun)
		inqud_load_followed();
	worker.begun = true;
	inqud_try_suspects();
	if (inqud_must_look())
	{
		inqud_undo_lead();
		inqud_query_due();
	}
	if (!inqud_is_quiet())
		inqud_claim_due();
}

/* Do what is due now; see the file's header. */
static void
turn(void)
{
	if (asked_to_leave())
		begin_to_leave();
	(void) inqud_engine_step(worker.engine);
	inqud_collect_ended();
	/* before writing, so that transfers run while outcomes are written */
	if (!worker.leaving)
		inqud_start_ready();
	inqud_write_back();

	if (worker.leaving)
	{
		finish_and_leave();
		return;
	}
	note_unseen_work();
	inqud_watch_clock();
	/* with inqud.enabled off write nothing, since this may be a copy of a server */
	if (inqud_enabled)
		claim_due();
	inqud_start_ready();
	(void) inqud_engine_step(worker.engine);
	if (inqud_enabled && !inqud_is_quiet())
	{
		inqud_make_calls();
		inqud_write_names();
	}
	inqud_tell_of_missed();
	inqud_turn_went_well();
	flush_statistics();
}

/*
 * True if a change or a request to leave came that the turn has not seen.  A wait
 * within the turn (for a lock, for synchronous replication, in an on_status function)
 * may have reset the latch that was set for it.
 */
static bool
has_unseen_change(void)
{
	return (has_changes() && inqud_clock_us() >= changes_at) || asked_to_leave();
}

/*
 * When to go on because of commits: at once if there are some that the turn has not
 * seen, at listen_at, or when one sets the latch.  While inqud.enabled is off nobody
 * wants to know of them.
 */
static InqudClock
next_commit(InqudClock now)
{
	if (!inqud_enabled)
		return INQUD_FAR;
	if (now < listen_at)
		return listen_at;
	return inqud_database_listen(worker.slot, work_seen) ? INQUD_FAR : now;
}

/* Milliseconds to wait at most until the next due time. */
static long
wait_timeout(void)
{
	InqudClock	now = inqud_clock_us();
	InqudClock	next = inqud_next_write();
	InqudClock	due = inqud_enabled && !worker.leaving ? next_due() : INQUD_FAR;
	long		engine = inqud_engine_timeout(worker.engine);
	long		ms;

	leave_if_quiet(now, inqud_enabled ? due : INQUD_FAR);
	if (!worker.leaving && ((inqud_must_look() && inqud_enabled) || has_unseen_change()))
		return 0;
	if (!worker.leaving)
		next = Min(next, next_commit(now));
	next = Min(Min(next, due), worker.leaving ? INQUD_FAR : inqud_next_in_trouble());
	if (!worker.leaving && has_changes())
		next = Min(next, changes_at);
	next = Min(next, worker.leaving ? leave_by : statistics_due);
	if (worker.n_in_flight == 0 && worker.n_finished == 0 && !worker.leaving)
		next = Min(next, quiet_since + (QUIET_MS + 1) * 1000);
	if (next == INQUD_FAR)
		next = now + WATCH_MS * 1000;
	ms = next <= now ? 0 : (long) Min((next - now) / 1000 + 1, WATCH_MS);
	return engine >= 0 ? Min(engine, ms) : ms;
}

/* Wait for the latch, the network or the next due time. */
static void
wait_for_event(void)
{
	WaitEvent	occurred[3];

	show_state();
	serve_signals();
	(void) WaitEventSetWait(wait_set, wait_timeout(), occurred, lengthof(occurred),
							inqud_wait_event(worker.n_in_flight > 0 ? INQUD_WAIT_TRANSFER : INQUD_WAIT_WORK));
	ResetLatch(MyLatch);
	serve_signals();
}

/* Wait, then take a turn.  After an error: log it, abort the transaction, and pause for a second. */
static void
guarded_turn(void)
{
	static bool failed = false;

	PG_TRY();
	{
		if (failed)
			inqud_nap(1000, INQUD_WAIT_RETRY);
		failed = false;
		wait_for_event();
		turn();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(worker.turn);
		error = CopyErrorData();
		EmitErrorReport();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		inqud_show_error(error->message);
		RESUME_INTERRUPTS();
		failed = worker.look = true;
	}
	PG_END_TRY();
	MemoryContextReset(worker.turn);
	MemoryContextSwitchTo(worker.turn);
}

void
inqud_worker_main(Datum arg)
{
	Oid			dbid = DatumGetObjectId(arg);
	Oid			roleid;

	memcpy(&roleid, MyBgworkerEntry->bgw_extra, sizeof(Oid));
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	inqud_in_worker = true;
	if (!inqud_shared_ready() || !inqud_take_slot(dbid))
		proc_exit(0);
	work_seen = pg_atomic_read_u32(&worker.slot->work);
	changes_seen = pg_atomic_read_u32(&worker.slot->changes);
	BackgroundWorkerInitializeConnectionByOid(dbid, roleid, 0);
	inqud_pin_settings();
	if (!inqud_lock_database())
		proc_exit(1);
	inqud_database_note(dbid);

	set_up();
	inqud_under_way_open();
	quiet_since = inqud_clock_us();
	inqud_clear_error();
	MemoryContextSwitchTo(worker.turn);
	for (;;)
		guarded_turn();
}
