/*-------------------------------------------------------------------------
 *
 * unchanged.c
 *		What a session remembers of reads that brought nothing new.
 *
 * Most reads bring nothing new, and finding that out from the tables costs as
 * much as the call.  What inqud._apply() answers to a read follows from the row
 * of the checkout, its queue row and the reply alone.  So a session need not
 * ask again while all three are the same, and the versions of the rows tell.
 *
 * Nothing here decides anything about a row, and nothing of it is needed: what
 * is not remembered is asked.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "access/htup_details.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* One place for each of so many ids; a later one takes it over. */
#define PLACES 128
#define LONGEST_ID 64

typedef struct Unchanged
{
	int64		id;				/* of the checkout; 0 = free */
	uint64		hash;			/* of the reply */
	InqudVersion version;
	char		checkout_id[LONGEST_ID];
	char		project_id[LONGEST_ID];
	NameData	project;
	NameData	owner;
} Unchanged;

static Unchanged places[PLACES];

static Unchanged *
place_of(const char *checkout_id)
{
	return &places[string_hash(checkout_id, LONGEST_ID) % PLACES];
}

InqudVersion
inqud_version(HeapTuple tuple, TupleDesc desc, int column)
{
	InqudVersion version;
	int			i;

	memset(&version, 0, sizeof(version));
	for (i = 0; i < 2; i++)
	{
		bool		isnull;
		Datum		xmin = SPI_getbinval(tuple, desc, column + 2 * i, &isnull);
		Datum		tid;

		if (isnull)
			continue;
		tid = SPI_getbinval(tuple, desc, column + 2 * i + 1, &isnull);
		version.xmin[i] = DatumGetTransactionId(xmin);
		version.tid[i] = *(ItemPointer) DatumGetPointer(tid);
	}
	return version;
}

/* The row with its version; 0 when it is gone. */
static Datum
row_and_version(int64 id, InqudVersion *version)
{
	static const char *const types[] = {"int8"};
	static InqudStatement statement = {
		"SELECT k, " INQUD_VERSION_COLUMNS " FROM inqud.checkout k"
		" LEFT JOIN inqud.queue q ON q.checkout = k.id AND NOT q.hook WHERE k.id = $1", 1, types
	};
	Datum		value = Int64GetDatum(id);
	InqudRole	role;
	Datum		row = (Datum) 0;

	inqud_enter(&role);
	if (inqud_execute(&statement, &value, NULL) > 0)
	{
		*version = inqud_version(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
		row = inqud_keep_row(1);
	}
	inqud_leave(&role);
	return row;
}

static bool
same_version(const InqudVersion *a, const InqudVersion *b)
{
	return memcmp(a, b, sizeof(InqudVersion)) == 0;
}

InqudTask *
inqud_recall(const char *project, const char *checkout_id, MemoryContext work)
{
	const Unchanged *place = place_of(checkout_id);
	MemoryContext old;
	InqudTask  *task;

	if (place->id == 0 || strcmp(place->checkout_id, checkout_id) != 0 ||
		strcmp(NameStr(place->project), project) != 0)
		return NULL;
	old = MemoryContextSwitchTo(work);
	task = palloc0(sizeof(InqudTask));
	task->checkout = place->id;
	/* not known: should there be news, the worker reads once more if it was asked to */
	task->poke = -1;
	task->project = pstrdup(project);
	task->checkout_id = pstrdup(checkout_id);
	task->project_id = pstrdup(place->project_id);
	task->owner = pstrdup(NameStr(place->owner));
	MemoryContextSwitchTo(old);
	return task;
}

Datum
inqud_row_if_unchanged(const InqudTask *task, uint64 hash)
{
	Unchanged  *place = place_of(task->checkout_id);
	InqudVersion now;
	Datum		row;

	if (place->id != task->checkout || place->hash != hash)
		return (Datum) 0;
	row = row_and_version(task->checkout, &now);
	return row != (Datum) 0 && same_version(&now, &place->version) ? row : (Datum) 0;
}

void
inqud_forget_unchanged(const char *checkout_id)
{
	place_of(checkout_id)->id = 0;
}

Datum
inqud_note_unchanged(const InqudTask *task, uint64 hash, const InqudVersion *version)
{
	Unchanged  *place = place_of(task->checkout_id);
	InqudVersion now;
	Datum		row = row_and_version(task->checkout, &now);

	place->id = 0;
	/* what was judged must be what was there before and is there now */
	if (row == (Datum) 0 || !same_version(&now, version) ||
		strlen(task->checkout_id) >= LONGEST_ID || strlen(task->project_id) >= LONGEST_ID)
		return row;
	place->hash = hash;
	place->version = now;
	strlcpy(place->checkout_id, task->checkout_id, LONGEST_ID);
	strlcpy(place->project_id, task->project_id, LONGEST_ID);
	namestrcpy(&place->project, task->project);
	namestrcpy(&place->owner, task->owner);
	place->id = task->checkout;
	return row;
}
