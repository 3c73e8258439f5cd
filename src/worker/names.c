/*-------------------------------------------------------------------------
 *
 * names.c
 *		Brings the names of roles and servers in the rows up to date after a rename.
 *
 * Rows know both by entries, so nothing depends on these names; people read them.
 * After a change of names, checkouts are gone through by id, some at a time, and orders
 * go on between.  How far that came stands in the entry, for the next worker.
 *
 *-------------------------------------------------------------------------
 */
#include "worker/state.h"

/* How many checkouts a step looks at, and how long after one the next begins. */
#define STEP 500
#define NEXT_STEP_US (20 * 1000)

/* After a step that could not go on, since another session has a row locked. */
#define LOCKED_US USECS_PER_SEC

static bool look = true;
static InqudClock next_step = 0;

void
inqud_look_at_names(void)
{
	look = true;
	next_step = 0;
}

/* Note the names of now.  Returns when the next step is due. */
static InqudClock
step(void)
{
	static InqudStatement note = {"SELECT inqud._note_names($1)", "int8"};
	static InqudStatement rename = {"SELECT inqud._rename_some($1, $2)", "int8 int4"};
	Datum		values[] = {Int64GetDatum(worker.home), Int32GetDatum(STEP)};
	InqudRole	role;
	bool		isnull;
	bool		more;

	inqud_worker_begin(&role, COMMIT_LAZY);
	if (look)
		inqud_execute(&note, values, NULL);
	inqud_execute(&rename, values, NULL);
	more = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	inqud_worker_commit(&role);
	look = false;
	if (isnull)
		return INQUD_FAR;
	return inqud_clock_us() + (more ? NEXT_STEP_US : LOCKED_US);
}

void
inqud_write_names(void)
{
	if (!worker.begun || inqud_clock_us() < next_step)
		return;
	/* if it fails, not at once again */
	next_step = inqud_clock_us() + LOCKED_US;
	next_step = step();
}

InqudClock
inqud_next_names(void)
{
	return worker.begun ? next_step : INQUD_FAR;
}
