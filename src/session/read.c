/*-------------------------------------------------------------------------
 *
 * read.c
 *		inqud_get_checkout: reads one checkout now.  A backend remembers the
 *		reads that brought nothing new.
 *
 * Most reads bring nothing new.  What a reply means depends only on the row of the
 * checkout, its queue row and the reply.  So the backend returns the row from before
 * the call while all three are as in an earlier read that brought nothing: to look
 * up and decide again took 60 % more CPU.  Nothing here may decide what a reply means.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/resowner.h"

PG_FUNCTION_INFO_V1(inqud_get_checkout);

/*
 * Milliseconds to wait for a locked row.  The worker holds a lock for less; another
 * session may hold it for long, and is not waited for.
 */
#define HELD_MS 500

/* The cache has this many places, found by the id; a newer id replaces an older one. */
#define PLACES 128

/*
 * Reads that brought nothing new: each place has a hash over checkout, versions and
 * reply; 0 = free.
 */
static uint64 unchanged_reads[PLACES];

/*
 * A hash over the id of a checkout and the versions of its row and of its queue row,
 * from the columns xmin and ctid of each, which are read next.
 */
static uint64
version_of(int64 id, RowReader *reader)
{
	uint64		hash = (uint64) id;

	for (int i = 0; i < 2; i++)
	{
		Datum		xmin = inqud_next(reader);
		Datum		tid = inqud_next(reader);

		if (tid != (Datum) 0)
			hash = hash_combine64(hash, hash_bytes_extended((unsigned char *) DatumGetPointer(tid),
															sizeof(ItemPointerData), (uint64) xmin));
	}
	return hash;
}

/* Raise 42501 unless the role may act on the checkout. */
static void
check_owner(const InqudCall *call)
{
	if (!inqud_may_act(GetUserId(), call->owner_id))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for checkout \"%s\"", call->checkout_id),
				 errdetail("It belongs to another role.")));
}

/*
 * Fill in what the call of reading a checkout needs, the row and its version.
 * call->checkout stays 0 when there is no row; *version and *row are then unset.
 */
static void
look_up(InqudCall *call, uint64 *version, Datum *row)
{
	static InqudStatement statement = {
		"SELECT k.id, k.project_id, q.poke, q.answers, k.owner_id, k.xmin, k.ctid, q.xmin, q.ctid, k"
		" FROM inqud.checkout k LEFT JOIN inqud.queue q ON q.checkout = k.id"
		" WHERE k.server_id = $1 AND k.checkout_id = $2", "int4 text"
	};
	Datum		values[] = {
		Int32GetDatum(inqud_known_id(INQUD_KNOWN_SERVER, call->project->serverid)),
		CStringGetTextDatum(call->checkout_id)
	};
	InqudRole	role;

	inqud_enter(&role);
	if (inqud_execute(&statement, values, NULL) > 0)
	{
		RowReader	reader;
		MemoryContext old = MemoryContextSwitchTo(call->context);

		inqud_reader_begin(&reader, SPI_tuptable->vals[0], SPI_tuptable->tupdesc);
		call->checkout = inqud_next_int8(&reader);
		call->project_id = inqud_next_text(&reader);
		call->poke = inqud_next_int4(&reader);
		call->answers = inqud_next_int4(&reader);
		call->owner_id = inqud_next_int4(&reader);
		*version = version_of(call->checkout, &reader);
		*row = inqud_keep_value(10);
		MemoryContextSwitchTo(old);
	}
	inqud_leave(&role);
}

/*
 * Write a reply to a read above READ COMMITTED.  A row that another transaction has
 * changed since our snapshot counts as locked: an error would lose what was read, and
 * trying again is pointless, since the snapshot stays.
 */
static InqudApplied
apply_to_snapshot(const InqudCall *call)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile InqudApplied applied = INQUD_APPLIED_LOCKED;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		applied = inqud_apply(call);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (error->sqlerrcode != ERRCODE_T_R_SERIALIZATION_FAILURE)
			ReThrowError(error);
		applied = INQUD_APPLIED_LOCKED;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return applied;
}

/* Write a reply to a read; waits up to HELD_MS for a locked row. */
static InqudApplied
apply_read(const InqudCall *call)
{
	InqudClock	deadline = inqud_clock_us() + HELD_MS * 1000;
	InqudApplied applied;

	if (IsolationUsesXactSnapshot())
		return apply_to_snapshot(call);
	while ((applied = inqud_apply(call)) == INQUD_APPLIED_LOCKED && inqud_clock_us() < deadline)
		inqud_nap(INQUD_LOOK_AGAIN_MS, INQUD_WAIT_NEWS);
	return applied;
}

/* Have the worker, if there is one, read the checkout: this session could not write its news. */
static void
request_worker_read(int64 id)
{
	static InqudStatement statement = {"SELECT inqud._request_read($1)", "int8"};
	Datum		value = Int64GetDatum(id);

	if (inqud_shared_ready())
		(void) inqud_value_of(&statement, &value, NULL);
}

/*
 * Record a reply to a read, and return the row as it is then.  "row" and "version"
 * are those from before the call.
 */
static Datum
record_read(const InqudCall *call, Datum row, uint64 version)
{
	uint64		hash = hash_combine64(version, inqud_reply_hash(call->reply));
	uint64	   *place = &unchanged_reads[(uint64) call->checkout % PLACES];
	InqudApplied applied;

	if (*place == hash)
		return row;
	applied = apply_read(call);
	if (applied == INQUD_APPLIED_SAME)
		*place = hash;
	else if (applied == INQUD_APPLIED_LOCKED)
	{
		request_worker_read(call->checkout);
		return inqud_seen_checkout(row, call);
	}
	return inqud_checkout_row(call->checkout);
}

/*
 * inqud_get_checkout(project, checkout_id): reads one checkout now and returns its
 * row; a row with the reply's values if it is not recorded.  Writes nothing in a
 * read-only transaction or on a standby.  Errors: 22023 for the id; 42704, 42501 for
 * the project; 42501 for another role's checkout; 55000 for one of another
 * project_id; IQ002 to IQ005 and 08001 for the call.
 */
Datum
inqud_get_checkout(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *checkout_id = text_to_cstring(PG_GETARG_TEXT_PP(1));
	InqudCall  *call = inqud_call_new(CurTransactionContext);
	bool		writes = !XactReadOnly && !RecoveryInProgress();
	uint64		version = 0;
	Datum		row = (Datum) 0;

	if (*checkout_id == '\0' || strlen(checkout_id) > 200 || !inqud_is_visible_ascii(checkout_id))
		inqud_raise_invalid("checkout_id", "It is an id of Inqud, such as CCO-11111111-2222-4333-8444-555555555555.", NULL);
	call->server = name;
	call->checkout_id = checkout_id;
	call->project = inqud_project_get(name, GetUserId(), INQUD_NEED_USAGE | INQUD_NEED_CREDENTIALS);
	if (writes)
		inqud_lock_tables();
	look_up(call, &version, &row);
	if (call->checkout != 0)
	{
		check_owner(call);
		inqud_check_project_id(call);
	}
	inqud_call_now(call);
	if (call->checkout != 0 && writes)
		row = record_read(call, row, version);
	else
		row = inqud_seen_checkout(row, call);
	inqud_call_free(call);
	PG_RETURN_DATUM(row);
}
