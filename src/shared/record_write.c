/*-------------------------------------------------------------------------
 *
 * record_write.c
 *		Writes what was decided on the outcomes of calls: one statement a table.
 *
 * The rows are locked.
 *
 *-------------------------------------------------------------------------
 */
#include "shared/shared.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

Datum
inqud_int8_array(Datum *values, int n)
{
	return PointerGetDatum(construct_array(values, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* ---- Writing ---- */

/* What is written together: rows, and ids of checkouts.  NULL = none. */
typedef struct Batch
{
	ArrayBuildState *checkouts;
	ArrayBuildState *queue_rows;	/* that exist */
	ArrayBuildState *new_rows;	/* of the queue */
	ArrayBuildState *ended;		/* ids whose queue row goes */
	ArrayBuildState *events;
	ArrayBuildState *calls;		/* ids whose on_status is to be called */
} Batch;

static void
add_id(ArrayBuildState **ids, int64 id)
{
	*ids = accumArrayResult(*ids, Int64GetDatum(id), false, INT8OID, CurrentMemoryContext);
}

static void
add_row(ArrayBuildState **rows, const RowWriter *writer, Datum row)
{
	*rows = accumArrayResult(*rows, row, false, writer->desc->tdtypeid, CurrentMemoryContext);
}

/* The statement that writes checkouts. */
static InqudStatement *
update_statement(void)
{
	static InqudStatement statement = {NULL, "inqud.checkout[]"};

	if (statement.sql == NULL)
		statement.sql = MemoryContextStrdup(TopMemoryContext,
			psprintf("UPDATE inqud.checkout AS k SET state = u.state, closed_at = u.closed_at,"
					 " updated_at = u.updated_at, error = u.error, fault = u.fault,"
					 " paid_at = u.paid_at, contradiction = u.contradiction,"
					 /* events that are written from here on have greater numbers */
					 " money_event = CASE WHEN u.money_event IS NULL THEN k.money_event ELSE nextval('inqud.event_id_seq') END,"
					 " reply = coalesce(u.reply, k.reply)%s FROM unnest($1) AS u WHERE k.id = u.id",
					 inqud_columns(true)));
	return &statement;
}

static Datum
queue_datum(RowWriter *writer, const Entry *e)
{
	const InqudQueueRow *row = &e->decision.row;
	Interval   *spent = palloc0(sizeof(Interval));

	spent->time = row->spent;
	inqud_set(writer, "checkout", Int64GetDatum(e->item->target));
	inqud_set(writer, "home", Int64GetDatum(inqud_this_home()));
	inqud_set(writer, "server_id", Int32GetDatum(e->server_id));
	inqud_set_text(writer, "kind", row->creates ? "create" : "read");
	/* null: the worker's clock says when */
	inqud_set_time(writer, "due_at", row->creates || row->asked ? row->due_at : 0);
	inqud_set(writer, "poke", Int32GetDatum(row->poke));
	inqud_set(writer, "attempts", Int32GetDatum(row->attempts));
	inqud_set(writer, "crashes", Int32GetDatum(0));
	inqud_set(writer, "spent", IntervalPGetDatum(spent));
	inqud_set_text(writer, "phase", inqud_phase_word(row->phase));
	inqud_set_time(writer, "tail_from", row->tail_from);
	inqud_set(writer, "answers", Int32GetDatum(row->answers));
	if (row->answers != e->queue.answers)
		inqud_set_time(writer, "read_at", e->facts.now);
	return inqud_row_end(writer);
}

static void
run_with(InqudStatement *statement, ArrayBuildState *list)
{
	Datum		array;

	if (list == NULL)
		return;
	array = makeArrayResult(list, CurrentMemoryContext);
	inqud_execute(statement, &array, NULL);
}

static void
write_batch(Batch *batch)
{
	static InqudStatement update_queue = {
		"UPDATE inqud.queue AS q SET kind = u.kind, due_at = u.due_at, phase = u.phase, tail_from = u.tail_from,"
		" attempts = u.attempts, lease = NULL, spent = u.spent, answers = u.answers,"
		" read_at = coalesce(u.read_at, q.read_at) FROM unnest($1) AS u WHERE q.checkout = u.checkout",
		"inqud.queue[]"
	};
	static InqudStatement insert_queue = {
		"INSERT INTO inqud.queue SELECT u.* FROM unnest($1) AS u", "inqud.queue[]"
	};
	static InqudStatement delete_queue = {
		"DELETE FROM inqud.queue q USING unnest($1) AS u (id) WHERE q.checkout = u.id", "int8[]"
	};
	static InqudStatement insert_events = {
		"INSERT INTO inqud.event (checkout, at, kind, status_from, status_to, reason, http_status, detail)"
		" SELECT u.checkout, u.at, u.kind, u.status_from, u.status_to, u.reason, u.http_status, u.detail"
		" FROM unnest($1) AS u", "inqud.event[]"
	};
	static InqudStatement insert_calls = {"SELECT inqud._call($1)", "int8[]"};

	run_with(update_statement(), batch->checkouts);
	run_with(&update_queue, batch->queue_rows);
	run_with(&insert_queue, batch->new_rows);
	run_with(&delete_queue, batch->ended);
	run_with(&insert_events, batch->events);
	run_with(&insert_calls, batch->calls);
}

void
inqud_note_unread(const Entry *e, const char *checkout_id, const char *why, int64 now)
{
	InqudNote	note = {.kind = INQUD_EVENT_ERROR, .of_reply = true};
	RowWriter	writer;
	Batch		batch = {0};

	note.says.what = INQUD_SAYS_UNREAD;
	note.says.text = checkout_id;
	note.says.other = why;
	inqud_writer_begin(&writer, "event");
	add_row(&batch.events, &writer, inqud_event_datum(&writer, 0, &note, e->item->http_status, now));
	ReleaseTupleDesc(writer.desc);
	write_batch(&batch);
}

void
inqud_finish(Entry *e, InqudApplied applied)
{
	e->pending = false;
	e->item->applied = applied;
}

void
inqud_settle_inbox(const Entry *e, bool later)
{
	static InqudStatement forget = {
		"DELETE FROM inqud.inbox i USING inqud.inbox b WHERE b.id = $1 AND i.server_id = b.server_id"
		" AND i.checkout_id = b.checkout_id AND i.checkout IS NULL", "int8"
	};
	static InqudStatement wait = {
		"UPDATE inqud.inbox i SET due_at = clock_timestamp() + $2 * interval '1 microsecond', attempts = i.attempts + 1"
		" FROM inqud.inbox b WHERE b.id = $1 AND i.server_id = b.server_id"
		" AND i.checkout_id = b.checkout_id AND i.checkout IS NULL", "int8 int8"
	};
	Datum		values[2];

	values[0] = Int64GetDatum(e->inbox);
	values[1] = Int64GetDatum(e->item->ending.retry_in);
	inqud_execute(later ? &wait : &forget, values, NULL);
}

/* A queued sibling of a paid checkout is not sent. */
static void
drop_siblings(const Entry *e)
{
	static InqudStatement statement = {"SELECT inqud._drop_unsent($1, $2)", "int8 int8"};
	int			i;

	for (i = 0; i < e->decision.n_drop; i++)
	{
		Datum		values[2];

		values[0] = Int64GetDatum(e->decision.drop[i]);
		values[1] = Int64GetDatum(e->item->target);
		inqud_execute(&statement, values, NULL);
	}
}

/* Form what is written of these entries. */
static void
fill_batch(Batch *batch, Entry **entries, int n)
{
	RowWriter	checkout;
	RowWriter	queue;
	RowWriter	event;

	inqud_writer_begin(&checkout, "checkout");
	inqud_writer_begin(&queue, "queue");
	inqud_writer_begin(&event, "event");
	for (int i = 0; i < n; i++)
	{
		const Entry *e = entries[i];
		const InqudDecision *d = &e->decision;

		if (d->write)
			add_row(&batch->checkouts, &checkout, inqud_checkout_datum(&checkout, e->item, d, e->facts.now));
		if (d->queue == INQUD_QUEUE_DELETE)
			add_id(&batch->ended, e->item->target);
		else if (d->queue == INQUD_QUEUE_PUT)
			add_row(e->queue.exists ? &batch->queue_rows : &batch->new_rows, &queue, queue_datum(&queue, e));
		for (int j = 0; j < d->n_notes; j++)
			add_row(&batch->events, &event,
					inqud_event_datum(&event, e->item->target, &d->notes[j], e->item->http_status, e->facts.now));
		if (d->tell)
			add_id(&batch->calls, e->item->target);
	}
	ReleaseTupleDesc(checkout.desc);
	ReleaseTupleDesc(queue.desc);
	ReleaseTupleDesc(event.desc);
}

void
inqud_write_entries(Entry **entries, int n)
{
	Batch		batch = {0};
	int			i;

	fill_batch(&batch, entries, n);
	write_batch(&batch);
	for (i = 0; i < n; i++)
	{
		Entry	   *e = entries[i];

		drop_siblings(e);
		if (e->decision.tell)
			inqud_notify(e->item->target, e->project, inqud_state_word(e->decision.record.state),
						 e->decision.record.is.status);
		if (e->inbox != 0)
			inqud_settle_inbox(e, false);
		e->item->told = e->decision.tell;
		inqud_finish(e, e->decision.applied);
	}
}
