/*-------------------------------------------------------------------------
 *
 * record_found.c
 *		Finds or adds the row for an id that only a webhook had named, once it was
 *		read.
 *
 * client/lifecycle.c decides which.
 *
 *-------------------------------------------------------------------------
 */
#include "shared/shared.h"

#include "utils/builtins.h"

/* What inqud.inbox says of an id, and who has it. */
typedef struct Named
{
	char	   *checkout_id;
	int			attempts;
	char	   *project_id;		/* of the server; NULL = there is none */
	int64		held_by;
} Named;

/* False when the row is gone, or the id was recorded meanwhile. */
static bool
look_up_named(const Entry *e, Named *named)
{
	static InqudStatement statement = {
		"SELECT i.checkout_id, i.attempts, (SELECT v.option_value FROM pg_foreign_server s,"
		"  pg_options_to_table(s.srvoptions) v WHERE s.oid = inqud._server_oid(i.server_id) AND v.option_name = 'project_id'),"
		" (SELECT h.id FROM inqud.checkout h WHERE h.server_id = i.server_id AND h.checkout_id = i.checkout_id)"
		" FROM inqud.inbox i WHERE i.id = $1 AND i.checkout IS NULL", "int8"
	};
	Datum		id = Int64GetDatum(e->inbox);
	RowReader	reader;

	if (inqud_execute(&statement, &id, NULL) == 0)
		return false;
	inqud_reader_begin(&reader, SPI_tuptable->vals[0], SPI_tuptable->tupdesc);
	named->checkout_id = inqud_next_text(&reader);
	named->attempts = inqud_next_int4(&reader);
	named->project_id = inqud_next_text(&reader);
	named->held_by = inqud_next_int8(&reader);
	return true;
}

/* All rows of the order that the reply names; returns how many. */
static int
look_up_order(const Entry *e, InqudRecord **records, int64 now)
{
	static InqudStatement statement = {
		"SELECT k.id FROM inqud.inbox i, inqud._of_order(i.server_id, $2) k WHERE i.id = $1 ORDER BY k.id", "int8 text"
	};
	Datum		values[2];
	Entry	   *rows;
	Entry	  **list;
	InqudRecording *items;
	int			n;

	if (e->item->ending.reply.order_id == NULL)
		return 0;
	values[0] = Int64GetDatum(e->inbox);
	values[1] = CStringGetTextDatum(e->item->ending.reply.order_id);
	n = (int) inqud_execute(&statement, values, NULL);
	if (n == 0)
		return 0;
	rows = palloc0(sizeof(Entry) * n);
	list = palloc(sizeof(Entry *) * n);
	items = palloc0(sizeof(InqudRecording) * n);
	*records = palloc(sizeof(InqudRecord) * n);
	for (int i = 0; i < n; i++)
	{
		RowReader	reader;

		inqud_reader_begin(&reader, SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
		items[i].target = inqud_next_int8(&reader);
		items[i].ending.outcome = INQUD_HELD;
		rows[i].item = &items[i];
		list[i] = &rows[i];
	}
	inqud_look_up(list, n, now);
	for (int i = 0; i < n; i++)
		(*records)[i] = rows[i].record;
	return n;
}

/* Index of the order's current row, if it has no id yet and may take one; else -1. */
static int
waiting_row(const InqudRecord *records, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (records[i].current && records[i].is.id == NULL &&
			(records[i].state == INQUD_QUEUED || records[i].state == INQUD_FAILED))
			return i;
	}
	return -1;
}

/* Add the row of an answer that needs one of its own, and aim at it. */
static void
add_found_row(Entry *e, bool foreign)
{
	static InqudStatement statement = {
		"SELECT inqud._add_found($1, $2, $3, $4, $5::numeric, $6)", "int8 bool text text text text"
	};
	InqudEnding *ending = &e->item->ending;
	const InqudCheckout *reply = &ending->reply;
	const char *texts[] = {reply->order_id, reply->project_id, reply->fixed_amount, reply->fixed_currency};
	Datum		values[6] = {Int64GetDatum(e->inbox), BoolGetDatum(foreign)};
	char		nulls[] = "  nnnn";

	for (int i = 0; i < (int) lengthof(texts); i++)
	{
		if (texts[i] == NULL)
			continue;
		values[2 + i] = CStringGetTextDatum(texts[i]);
		nulls[2 + i] = ' ';
	}
	inqud_execute(&statement, values, nulls);
	e->item->target = inqud_first_int8(1);
	ending->named_order = foreign ? reply->order_id : NULL;
}

void
inqud_find_row(Entry *e, int64 now)
{
	InqudEnding *ending = &e->item->ending;
	InqudRecord *records = NULL;
	InqudFound	found;
	Named		named;
	int			n;

	ending->named_order = NULL;
	if (!look_up_named(e, &named))
	{
		inqud_finish(e, INQUD_APPLIED_GONE);
		return;
	}
	n = ending->outcome == INQUD_OK ? look_up_order(e, &records, now) : 0;
	inqud_decide_found(ending, named.attempts, named.project_id, records, n,
					   waiting_row(records, n), named.held_by, &found);
	if (found.action == INQUD_FOUND_TAKE && records != NULL)
		e->item->target = records[found.take].id;
	else if (found.action == INQUD_FOUND_DROP || found.action == INQUD_FOUND_LATER)
	{
		e->item->later = found.action == INQUD_FOUND_LATER;
		if (!e->item->later)
			inqud_note_unread(e, named.checkout_id, found.why, now);
		inqud_settle_inbox(e, e->item->later);
		inqud_finish(e, INQUD_APPLIED_DONE);
	}
	else
		add_found_row(e, found.foreign);
}
