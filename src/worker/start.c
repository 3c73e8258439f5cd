/*-------------------------------------------------------------------------
 *
 * start.c
 *		The start of a worker: takes its slot, pins its settings, releases the
 *		leases of its predecessor and loads the followed checkouts.
 *
 * The tables hold all that a worker needs to go on.  A worker must not hand
 * anything to its successor in another way, since it may end at any moment.
 *
 *-------------------------------------------------------------------------
 */
#include "worker/state.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

/* After an error, a worker that ran longer than this starts again with the shortest delay. */
#define RAN_WELL_MS 30000

void
inqud_pin_settings(void)
{
	static const char *const settings[][2] = {
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"search_path", "pg_catalog, pg_temp"},
		{"DateStyle", "ISO, YMD"},
		{"IntervalStyle", "postgres"},
		{"TimeZone", "UTC"},
		{"jit", "off"},
		{"session_replication_role", "origin"},
		{"row_security", "on"},
		{"statement_timeout", "0"},
		/* a session that holds a row for long must not hold up the worker */
		{"lock_timeout", "1s"},
		{"idle_in_transaction_session_timeout", "0"},
		{"application_name", "inqud worker"},
		{"max_parallel_workers_per_gather", "0"},
		INQUD_NEWER_TIMEOUTS
	};

	for (int i = 0; i < (int) lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * on_shmem_exit: release the slot and tell the launcher how this worker ended.
 * Registered first, so it runs last, when this backend has left the ProcArray:
 * DROP DATABASE waits for the slot and must not find us connected.
 */
static void
release_slot(int code, Datum arg)
{
	InqudDatabase *slot = worker.slot;

	inqud_shared_lock();
	slot->pid = 0;
	slot->latch = NULL;
	slot->in_flight = 0;
	/* gone with us: the next worker makes these calls again */
	slot->unwritten = 0;
	slot->unwritten_since = 0;
	if (!worker.good_end)
	{
		slot->wanted = true;
		/* a worker that ran for RAN_WELL_MS does not fail repeatedly */
		if (inqud_clock_us() - slot->began > RAN_WELL_MS * 1000)
			slot->failures = 0;
		slot->failures = Min(slot->failures + 1, 6);
		slot->not_before = inqud_clock_us() + (InqudClock) (500 << slot->failures) * 1000;
	}
	/* without the extension the slot is not needed, unless a commit has asked for a worker since */
	if (worker.absent && !slot->wanted && !slot->stopped && slot->away == 0)
		inqud_database_free(slot);
	inqud_shared_unlock();
	inqud_launcher_wake();
}

bool
inqud_take_slot(Oid dbid)
{
	InqudDatabase *slot = inqud_database(dbid, false);
	bool		ok;

	if (slot == NULL)
		return false;
	inqud_shared_lock();
	slot->starting = false;
	ok = slot->pid == 0 && !slot->stopped && slot->away == 0;
	if (ok)
	{
		slot->pid = MyProcPid;
		slot->latch = MyLatch;
		slot->since = GetCurrentTimestamp();
		slot->began = inqud_clock_us();
		slot->leave = false;
		/* the worker sees commits from here on by the counter "work" */
		slot->wanted = false;
		slot->wake_at = 0;
	}
	inqud_shared_unlock();
	worker.slot = slot;
	if (ok)
		on_shmem_exit(release_slot, (Datum) 0);
	return ok;
}

void
inqud_load_followed(void)
{
	static InqudStatement statement = {"SELECT * FROM inqud._followed($1)", "int8"};
	Datum		home = Int64GetDatum(worker.home);
	InqudRole	role;
	uint64		n;
	bool		isnull;

	inqud_worker_begin(&role, COMMIT_LAZY);
	n = inqud_execute(&statement, &home, NULL);
	for (uint64 i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		char	   *word = SPI_getvalue(tuple, desc, 3);
		InqudPhase	phase = INQUD_PHASE_CHECK;
		InqudClock	tail = inqud_clock_of(DatumGetTimestampTz(SPI_getbinval(tuple, desc, 4, &isnull)));
		ProjectState *state = inqud_project_state(DatumGetInt32(SPI_getbinval(tuple, desc, 2, &isnull)));

		if (word)
			(void) inqud_phase_read(word, &phase);
		/* the first read already needs the project's intervals */
		if (!state->known)
			inqud_state_read_options(state);
		(void) inqud_schedule(inqud_follow(DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull)),
										   state, phase, tail), 0);
		if (word)
			pfree(word);
	}
	inqud_worker_commit(&role);
}

void
inqud_release_held(void)
{
	static InqudStatement statement = {"SELECT inqud._release_held($1, $2)", "int8 int4[]"};
	Datum		values[2];
	InqudRole	role;
	List	   *changed;
	ArrayBuildState *servers;
	ListCell   *cell;

	inqud_options_changed();
	inqud_hasten_suspects();
	inqud_worker_begin(&role, COMMIT_LAZY);
	changed = inqud_take_changed();
	servers = initArrayResult(INT4OID, worker.turn, false);
	foreach(cell, changed)
		servers = accumArrayResult(servers, Int32GetDatum(lfirst_int(cell)), false, INT4OID, worker.turn);
	list_free(changed);
	values[0] = Int64GetDatum(worker.home);
	values[1] = makeArrayResult(servers, worker.turn);
	inqud_execute(&statement, values, NULL);
	inqud_worker_commit(&role);
	worker.look = true;
}

void
inqud_release_leases(void)
{
	static InqudStatement statement = {"SELECT inqud._release_leases($1, $2, $3, $4)", "int8 int8 int8 int8[]"};
	static Datum *under_way = NULL;
	static int	n = 0;
	static int64 former = 0;
	Datum		values[4];
	InqudRole	role;
	int64		left;
	int			unmarked = 0;

	if (!worker.begun)
		former = inqud_under_way_former(&under_way, &n);
	values[0] = Int64GetDatum(worker.home);
	values[1] = Int64GetDatum(worker.lease);
	values[2] = Int64GetDatum(former);
	/* flushed when the file that has them is written over below */
	inqud_worker_begin(&role, n > 0 ? COMMIT_FLUSHED : COMMIT_LAZY);
	values[3] = inqud_int8_array(under_way, n);
	inqud_execute(&statement, values, NULL);
	left = inqud_first_int8(1);
	inqud_worker_commit(&role);
	if (!worker.begun)
		inqud_under_way_begin();
	inqud_load_suspects();
	/* those whose rows were locked are marked later, and only they */
	for (int i = 0; i < n; i++)
	{
		if (inqud_find_suspect(DatumGetInt64(under_way[i])) == NULL)
			under_way[unmarked++] = under_way[i];
	}
	n = unmarked;
	worker.release_due = left > 0 ? inqud_clock_us() + USECS_PER_SEC : INQUD_FAR;
	worker.look = true;
}
