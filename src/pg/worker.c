/*-------------------------------------------------------------------------
 *
 * worker.c
 *		The worker of one database: its start, its loop, its end.
 *
 * One turn of the loop: move the transfers on, write back what has ended, see
 * what is due, claim it, start it, call on_status functions; then wait for
 * latch, network or the next moment that something is due.  There is never a
 * transaction, snapshot or lock open while it waits.
 *
 * It runs no query when it was not told of work and nothing is due, and leaves
 * when that lasts: the launcher has it started again in time, or at the next
 * commit that queues something.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/dispatch.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

/* Leave after so long without anything to do, if nothing is due within ... */
#define QUIET_MS 30000
#define NOTHING_FOR_MS 300000

/* When asked to leave, creates under way get this long to end. */
#define GRACE_MS 2000

PGDLLEXPORT void inqud_worker_main(Datum arg) pg_attribute_noreturn();

bool		inqud_in_worker = false;
Worker		worker;

static WaitEventSet *events = NULL;
static uint32 work_seen = 0;
static uint32 changes_seen = 0;
static TimestampTz quiet_since = 0;
static TimestampTz leave_by = 0;
static TimestampTz statistics_due = INQUD_FAR;

/*
 * Each turn takes some hundred kilobytes and gives them back.  Unless told so the
 * allocator returns them to the kernel every time, and faults them in again.
 */
static void
keep_memory(void)
{
#ifdef __GLIBC__
	(void) mallopt(M_MMAP_THRESHOLD, 4 * 1024 * 1024);
	(void) mallopt(M_TRIM_THRESHOLD, 8 * 1024 * 1024);
#endif
}

static void
set_up(void)
{
	keep_memory();
	worker.context = AllocSetContextCreate(TopMemoryContext, "inqud worker",
										   ALLOCSET_DEFAULT_SIZES);
	worker.turn = AllocSetContextCreate(TopMemoryContext, "inqud turn",
										ALLOCSET_DEFAULT_SIZES);
	worker.engine = inqud_engine_new(16, inqud_user_agent());
	if (worker.engine == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("The HTTP client could not be started.")));
	worker.home = inqud_this_home();
	worker.lease = inqud_random_lease();
	worker.inbox_due = worker.release_due = worker.write_by = INQUD_FAR;
	/* one that failed before may have ended our predecessor: others first */
	worker.risky_at = GetCurrentTimestamp();
	worker.look = true;
	inqud_lanes_init();

	events = inqud_create_wait_event_set(3);
	AddWaitEventToSet(events, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(events, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(events, WL_SOCKET_READABLE, inqud_engine_fd(worker.engine), NULL, NULL);
}

/* ---------------------------------------------------------------------
 * The end
 * ---------------------------------------------------------------------
 */

/* When something will be due, as far as this worker knows. */
static TimestampTz
next_due(void)
{
	TimestampTz next = Min(Min(inqud_next_hook(), worker.inbox_due), worker.release_due);
	dlist_iter	iter;

	dlist_foreach(iter, &worker.lanes)
	{
		Lane	   *lane = dlist_container(Lane, node, iter.cur);

		next = Min(next, inqud_lane_next(lane));
	}
	return next;
}

/* End well, unless work has come in meanwhile.  "again": there is work left. */
static void
leave(bool again)
{
	TimestampTz next = next_due();
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

/* On the way out: no new work; what is under way may end; then go. */
static void
leave_in_time(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!worker.leaving)
	{
		worker.leaving = true;
		leave_by = TimestampTzPlusMilliseconds(now, GRACE_MS);
		inqud_release_ready();
	}
	if (now >= leave_by && worker.n_in_flight > 0)
	{
		inqud_give_up_running();
		inqud_write_back();
	}
	if ((worker.n_in_flight == 0 && worker.n_finished == 0) || now >= leave_by)
		leave(true);
}

/* Nothing to do for long, and nothing due soon: the next commit or moment brings us back. */
static void
leave_if_quiet(TimestampTz now, TimestampTz next)
{
	if (worker.n_in_flight > 0 || worker.n_finished > 0 || worker.look ||
		next < TimestampTzPlusMilliseconds(now, NOTHING_FOR_MS))
	{
		quiet_since = now;
		return;
	}
	if (now >= TimestampTzPlusMilliseconds(quiet_since, QUIET_MS))
	{
		leave(false);
		quiet_since = now;
	}
}

/* ---------------------------------------------------------------------
 * The loop
 * ---------------------------------------------------------------------
 */

/* What pg_stat_activity and inqud.worker show. */
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
 * Tell autovacuum and others what has been written.  The server does so once a
 * second at most, and counts from the last transaction: without our own clock the
 * rest of a burst would be kept back for as long as the worker has nothing to do.
 */
static void
flush_statistics(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (pgstat_report_stat(statistics_due <= now) == 0)
		statistics_due = INQUD_FAR;
	else if (statistics_due == INQUD_FAR)
		statistics_due = now + USECS_PER_SEC;
}

static void
note_error(const char *message)
{
	int			len = pg_mbcliplen(message, (int) strlen(message),
								   sizeof(worker.slot->error) - 1);

	inqud_shared_lock();
	memcpy(worker.slot->error, message, len);
	worker.slot->error[len] = '\0';
	worker.slot->encoding = GetDatabaseEncoding();
	inqud_shared_unlock();
}

static void
reload_if_asked(void)
{
	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	/* "enabled" may have changed */
	worker.look = true;
}

/* Have commits queued something since we looked? */
static void
notice_work(void)
{
	uint32		work = pg_atomic_read_u32(&worker.slot->work);

	uint32		changes = pg_atomic_read_u32(&worker.slot->changes);

	if (work != work_seen)
		worker.look = true;
	work_seen = work;
	if (changes != changes_seen && worker.begun && inqud_enabled)
	{
		changes_seen = changes;
		inqud_hurry();
	}
}

/* Take over from whoever was here before. */
static void
begin_work(void)
{
	inqud_release_leases();
	inqud_load_followed();
	worker.begun = true;
	worker.look = true;
}

static void
turn(void)
{
	bool		free_to_claim;

	(void) inqud_engine_step(worker.engine);
	inqud_collect();
	/* first, so that the network has something to do while others are written */
	if (!worker.leaving)
		inqud_start_ready();
	inqud_write_back();

	if (asked_to_leave())
	{
		leave_in_time();
		return;
	}
	notice_work();
	free_to_claim = inqud_enabled;
	/* not before that, so that a copy kept quiet is not written to */
	if (free_to_claim && !worker.begun)
		begin_work();
	else if (free_to_claim && worker.release_due <= GetCurrentTimestamp())
		inqud_release_leases();
	if (free_to_claim && (worker.look || worker.inbox_due <= GetCurrentTimestamp()))
		inqud_look();
	if (free_to_claim)
		inqud_claim_round();
	inqud_start_ready();
	(void) inqud_engine_step(worker.engine);
	if (free_to_claim)
		inqud_run_hooks();
	flush_statistics();
}

/*
 * Has anything been asked of us that the turn has not seen?  Waits inside of it
 * (for a lock, for synchronous replication, in an on_status function) may have
 * used up the latch that told.
 */
static bool
news_came(void)
{
	if (worker.leaving)
		return false;
	return pg_atomic_read_u32(&worker.slot->work) != work_seen ||
		(worker.begun && inqud_enabled &&
		 pg_atomic_read_u32(&worker.slot->changes) != changes_seen) ||
		asked_to_leave();
}

/* Milliseconds until the loop has something to do by itself; -1 = never. */
static long
time_to_wait(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = inqud_next_write();
	TimestampTz due = inqud_enabled && !worker.leaving ? next_due() : INQUD_FAR;
	long		engine = inqud_engine_timeout(worker.engine);
	long		ms;

	leave_if_quiet(now, inqud_enabled ? due : INQUD_FAR);
	if ((worker.look && inqud_enabled && !worker.leaving) || news_came())
		return 0;
	next = Min(next, due);
	next = Min(next, worker.leaving ? leave_by : statistics_due);
	if (worker.n_in_flight == 0 && worker.n_finished == 0 && !worker.leaving)
		next = Min(next, TimestampTzPlusMilliseconds(quiet_since, QUIET_MS + 1));
	if (next == INQUD_FAR)
		return engine;
	ms = next <= now ? 0 : (long) Min((next - now) / 1000 + 1, 3600000);
	return engine >= 0 ? Min(engine, ms) : ms;
}

static void
wait_for_something(void)
{
	WaitEvent	occurred[3];

	show_state();
	CHECK_FOR_INTERRUPTS();
	reload_if_asked();
	(void) WaitEventSetWait(events, time_to_wait(), occurred, lengthof(occurred),
							inqud_wait_event(worker.n_in_flight > 0 ? INQUD_WAIT_TRANSFER : INQUD_WAIT_WORK));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	reload_if_asked();
}

/* A turn that failed leaves no transaction behind, and is followed by a better one. */
static void
guarded_turn(void)
{
	volatile bool failed = false;

	PG_TRY();
	{
		wait_for_something();
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
		note_error(error->message);
		RESUME_INTERRUPTS();
		failed = true;
	}
	PG_END_TRY();
	MemoryContextReset(worker.turn);
	MemoryContextSwitchTo(worker.turn);
	if (failed)
	{
		worker.look = true;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 1000, inqud_wait_event(INQUD_WAIT_RETRY));
		ResetLatch(MyLatch);
	}
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
	if (!inqud_extension_is_here())
		inqud_leave_absent();
	inqud_leave_if_unserved();
	if (!inqud_lock_database())
		proc_exit(1);

	set_up();
	quiet_since = GetCurrentTimestamp();
	note_error("");
	MemoryContextSwitchTo(worker.turn);
	for (;;)
		guarded_turn();
}
