/*-------------------------------------------------------------------------
 *
 * restore.c
 *		Tells a restore of the orders table from new orders.
 *
 * pg_restore in two steps (-s, then -a) makes the trigger before the rows come back.  It
 * would queue all of them as new orders, and the rows of inqud.checkout that follow would
 * collide with those.  So the trigger does nothing in a COPY under the settings that
 * every dump of pg_dump begins with.  No setting is ours, and nobody else has a reason to
 * set both: an empty search_path alone is what a pooler may leave behind, and COPY
 * alone is how a shop loads orders.  A deferred trigger runs at the commit, when the
 * statement is not known any more; there the settings decide.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "tcop/pquery.h"
#include "utils/guc.h"
#include "utils/rel.h"

bool
inqud_is_restore(Relation orders)
{
	static TimestampTz warned = 0;

	if (check_function_bodies || namespace_search_path[0] != '\0' ||
		(ActivePortal && ActivePortal->commandTag != CMDTAG_COPY))
		return false;
	if (warned != GetCurrentStatementStartTimestamp())
		ereport(WARNING,
				(errmsg("rows of table \"%s\" that are restored queue no checkouts", RelationGetRelationName(orders)),
				 errdetail("A dump has the checkouts of its orders in schema inqud."),
				 errhint("Queue those that have none with inqud_enqueue_checkout.")));
	warned = GetCurrentStatementStartTimestamp();
	return true;
}
