/*-------------------------------------------------------------------------
 *
 * record_look.c
 *		Looks up and locks the rows that outcomes are recorded in.
 *
 * What will be written is locked at once, so that it is decided on as it is.  No lock
 * is waited for.  Rows are locked in the order checkout, queue row.
 *
 *-------------------------------------------------------------------------
 */
#include "shared/shared.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* With the queue row, if there is one. */
static InqudStatement plain_look = {NULL, "int8[] text[] bool[]"};

/* Only those that have a queue row, and both are locked. */
static InqudStatement locking_look = {NULL, "int8[] text[] bool[]"};

/* Form a statement that looks rows up; its columns are read by read_row(). */
static void
form_look(InqudStatement *statement, const char *queue)
{
	char	   *sql = psprintf(
		"SELECT u.place, CASE WHEN u.reply_id <> '' THEN (SELECT h.id FROM inqud.checkout h"
		"  WHERE h.server_id = k.server_id AND h.checkout_id = u.reply_id AND h.id <> k.id) END,"
		" CASE WHEN u.paid THEN k.current AND NOT EXISTS (SELECT FROM inqud.checkout r"
		"  WHERE r.server_id = k.server_id AND r.order_id = k.order_id AND NOT r.current OFFSET 0) ELSE true END,"
		" k.project, k.server_id, k.state, k.current, k.canceled_at IS NOT NULL, k.created_at, k.closed_at,"
		" k.paid_at, k.money_event IS NOT NULL, k.contradiction, k.error, k.fault%s, q.kind, q.lease, q.poke, q.attempts, q.answers, q.spent, q.due_at, q.phase, q.tail_from"
		" FROM unnest($1, $2, $3) WITH ORDINALITY AS u (id, reply_id, paid, place)"
		" JOIN inqud.checkout k ON k.id = u.id %s", inqud_columns(false), queue);

	statement->sql = MemoryContextStrdup(TopMemoryContext, sql);
}

static void
read_queue_row(RowReader *reader, InqudQueueRow *queue)
{
	char	   *kind = inqud_next_text(reader);
	char	   *phase;
	Datum		spent;

	memset(queue, 0, sizeof(InqudQueueRow));
	queue->exists = kind != NULL;
	queue->creates = kind != NULL && strcmp(kind, "create") == 0;
	queue->lease = inqud_next_int8(reader);
	queue->poke = inqud_next_int4(reader);
	queue->attempts = inqud_next_int4(reader);
	queue->answers = inqud_next_int4(reader);
	spent = inqud_next(reader);
	queue->spent = spent == (Datum) 0 ? 0 : DatumGetIntervalP(spent)->time + DatumGetIntervalP(spent)->day * USECS_PER_DAY;
	queue->due_at = inqud_next_time(reader);
	queue->asked = queue->exists && !queue->creates && queue->due_at != 0;
	phase = inqud_next_text(reader);
	if (phase != NULL)
		(void) inqud_phase_read(phase, &queue->phase);
	queue->tail_from = inqud_next_time(reader);
}

static uint64
hash_text(const char *text, uint64 seed)
{
	return hash_bytes_extended((const unsigned char *) text, (int) strlen(text), seed);
}

static void
read_row(RowReader *reader, Entry *e)
{
	InqudRecord *record = &e->record;

	memset(record, 0, sizeof(InqudRecord));
	e->present = true;
	e->facts.held_by = inqud_next_int8(reader);
	e->facts.alone = inqud_next_bool(reader);
	e->project = inqud_next_text(reader);
	e->server_id = inqud_next_int4(reader);
	record->id = e->item->target;
	record->state = inqud_state_of(inqud_next_text(reader));
	record->current = inqud_next_bool(reader);
	record->canceled = inqud_next_bool(reader);
	record->made_at = inqud_next_time(reader);
	record->closed_at = inqud_next_time(reader);
	record->paid_at = inqud_next_time(reader);
	record->holds_money = inqud_next_bool(reader);
	record->contradiction = inqud_next_int8(reader);
	record->error = inqud_next_text(reader);
	record->fault = inqud_fault_of_word(inqud_next_text(reader));
	inqud_next_checkout(reader, &record->is);
	read_queue_row(reader, &e->queue);
	e->order_hash = record->is.order_id != NULL ?
		hash_text(record->is.order_id, (uint64) (uint32) e->server_id) : 0;
}

/* The id in the reply, if the row is to take it; "" otherwise. */
static const char *
new_id(const Entry *e)
{
	const InqudEnding *ending = &e->item->ending;

	return ending->aim != INQUD_AIM_READ && ending->outcome == INQUD_OK ? ending->reply.id : "";
}

static bool
says_paid(const Entry *e)
{
	const InqudEnding *ending = &e->item->ending;

	return ending->outcome == INQUD_OK && strcmp(ending->reply.status, "SUCCESS") == 0;
}

/* Run a statement of form_look() for these entries; those that it finds are present. */
static void
look_up(InqudStatement *statement, Entry **entries, int n)
{
	ArrayBuildState *ids = NULL;
	ArrayBuildState *reply_ids = NULL;
	ArrayBuildState *paid = NULL;
	MemoryContext context = CurrentMemoryContext;
	Datum		values[3];
	uint64		found;
	uint64		row;
	int			i;

	for (i = 0; i < n; i++)
	{
		ids = accumArrayResult(ids, Int64GetDatum(entries[i]->item->target), false, INT8OID, context);
		reply_ids = accumArrayResult(reply_ids, CStringGetTextDatum(new_id(entries[i])), false, TEXTOID, context);
		paid = accumArrayResult(paid, BoolGetDatum(says_paid(entries[i])), false, BOOLOID, context);
	}
	values[0] = makeArrayResult(ids, context);
	values[1] = makeArrayResult(reply_ids, context);
	values[2] = makeArrayResult(paid, context);
	found = inqud_execute(statement, values, NULL);
	for (row = 0; row < found; row++)
	{
		RowReader	reader;

		inqud_reader_begin(&reader, SPI_tuptable->vals[row], SPI_tuptable->tupdesc);
		read_row(&reader, entries[inqud_next_int8(&reader) - 1]);
	}
}

/*
 * Lock the checkouts of entries that have no queue row, it seems; "locked" says which.
 * A queue row is only added under this lock, so the next look sees whether there is one.
 */
static void
lock_checkouts(Entry **entries, int n)
{
	static InqudStatement statement = {
		"SELECT u.place FROM unnest($1) WITH ORDINALITY AS u (id, place) JOIN inqud.checkout k ON k.id = u.id"
		" FOR NO KEY UPDATE OF k SKIP LOCKED", "int8[]"
	};
	Datum	   *ids = palloc(sizeof(Datum) * n);
	Datum		array;
	uint64		found;
	uint64		row;
	int			i;

	for (i = 0; i < n; i++)
		ids[i] = Int64GetDatum(entries[i]->item->target);
	array = inqud_int8_array(ids, n);
	found = inqud_execute(&statement, &array, NULL);
	for (row = 0; row < found; row++)
	{
		RowReader	reader;

		inqud_reader_begin(&reader, SPI_tuptable->vals[row], SPI_tuptable->tupdesc);
		entries[inqud_next_int8(&reader) - 1]->locked = true;
	}
}

/* Put those that are not present, and are "to_lock" if that is asked for, into absent; returns how many. */
static int
list_absent(Entry **entries, int n, bool to_lock, Entry **absent)
{
	int			n_absent = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		if (!entries[i]->present && (entries[i]->to_lock || !to_lock))
			absent[n_absent++] = entries[i];
	}
	return n_absent;
}

void
inqud_look_up(Entry **entries, int n, int64 now)
{
	Entry	  **absent = palloc(sizeof(Entry *) * n);
	int			n_absent;
	int			i;

	if (plain_look.sql == NULL)
	{
		form_look(&locking_look, "JOIN inqud.queue q ON q.checkout = k.id"
				  " FOR NO KEY UPDATE OF k SKIP LOCKED FOR NO KEY UPDATE OF q SKIP LOCKED");
		form_look(&plain_look, "LEFT JOIN inqud.queue q ON q.checkout = k.id");
	}
	for (i = 0; i < n; i++)
	{
		Entry	   *e = entries[i];
		const char *id = new_id(e);

		e->present = e->locked = e->waits = false;
		memset(&e->facts, 0, sizeof(InqudFacts));
		e->facts.now = now;
		e->id_hash = id[0] != '\0' ? hash_text(id, 0) : 0;
	}
	n_absent = list_absent(entries, n, true, absent);
	if (n_absent > 0)
	{
		look_up(&locking_look, absent, n_absent);
		for (i = 0; i < n_absent; i++)
			absent[i]->locked = absent[i]->present;
		n_absent = list_absent(entries, n, true, absent);
	}
	if (n_absent > 0)
		lock_checkouts(absent, n_absent);
	n_absent = list_absent(entries, n, false, absent);
	if (n_absent == 0)
		return;
	look_up(&plain_look, absent, n_absent);
	for (i = 0; i < n_absent; i++)
		absent[i]->locked &= absent[i]->present && !absent[i]->queue.exists;
}

void
inqud_look_up_siblings(Entry *e)
{
	static InqudStatement statement = {
		"SELECT s.id FROM inqud.checkout k, inqud._of_order(k.server_id, k.order_id) s"
		" JOIN inqud.queue q ON q.checkout = s.id"
		" WHERE k.id = $1 AND s.id <> k.id AND s.state = 'queued' AND q.lease IS NULL"
		" ORDER BY s.id LIMIT 8", "int8"
	};
	int64	   *unsent = palloc(sizeof(int64) * INQUD_MAX_SIBLINGS);
	Datum		id = Int64GetDatum(e->item->target);
	int			i;

	e->facts.unsent = unsent;
	e->facts.n_unsent = (int) inqud_execute(&statement, &id, NULL);
	for (i = 0; i < e->facts.n_unsent; i++)
	{
		RowReader	reader;

		inqud_reader_begin(&reader, SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
		unsent[i] = inqud_next_int8(&reader);
	}
}
