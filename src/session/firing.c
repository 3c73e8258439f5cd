/*-------------------------------------------------------------------------
 *
 * firing.c
 *		Which statement's AFTER triggers are being fired.
 *
 * A stack with an entry for each statement whose triggers run, put there by the hooks
 * in trigger_batch.c.  Triggers that no statement fires (at the commit, by logical
 * replication, or by a statement that began before the library was loaded) have no
 * entry, and must not be taken for those of an entry that is there.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "utils/fmgrprotos.h"

static InqudFiring *innermost = NULL;

/* How many triggers run within each other now. */
static int
trigger_depth(void)
{
	return DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0));
}

void
inqud_firing_begin(InqudFiring *mine, InqudFiredBy by, QueryDesc *query)
{
	mine->outer = innermost;
	mine->by = by;
	mine->query = query;
	mine->depth = trigger_depth() + 1;
	innermost = mine;
}

void
inqud_firing_end(InqudFiring *mine)
{
	innermost = mine->outer;
}

InqudFiring *
inqud_firing(void)
{
	return innermost;
}

InqudFiring *
inqud_fired_by(void)
{
	return innermost && innermost->depth == trigger_depth() ? innermost : NULL;
}
