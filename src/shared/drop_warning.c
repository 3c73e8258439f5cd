/*-------------------------------------------------------------------------
 *
 * drop_warning.c
 *		Warns how many payments and open checkouts go with the extension, or stay
 *		behind of a server, when these are dropped, by whatever statement.
 *
 * They are counted before the statement runs, and told of after it has succeeded: so only a
 * user who may drop them hears of them, and only if they are gone.  Nothing here may keep
 * the statement from running.  What cannot be counted (tables that are damaged, locked,
 * or of another version) is said instead of a number.
 *
 *-------------------------------------------------------------------------
 */
#include "shared/shared.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "commands/extension.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "utils/guc.h"
#include "utils/resowner.h"

/* More are not counted. */
#define MOST 10000

/* A lock on the tables is not waited for longer than this; DROP SERVER does not need one. */
#define LOCK_TIMEOUT "1s"

/* What may be dropped by a statement: the extension (no server), or a server. */
typedef struct Thing
{
	Oid			server;			/* InvalidOid = the extension */
	Oid			extension;
	char	   *name;
	int64		payments;
	int64		unfinished;
	char	   *why;			/* why they could not be counted; else NULL */
} Thing;

/* ---- Before the statement ---- */

/* Run the count, as the extension's owner.  Raises what that raises. */
static void
count_as_owner(Thing *thing)
{
	static InqudStatement statement = {"SELECT h.payments, h.unfinished FROM inqud._holds($1, $2) h", "oid int8"};
	Datum		values[2];
	char		nulls[2] = {' ', ' '};
	InqudRole	role;

	values[0] = ObjectIdGetDatum(thing->server);
	values[1] = Int64GetDatum(MOST + 1);
	if (!OidIsValid(thing->server))
		nulls[0] = 'n';
	inqud_enter(&role);
	(void) set_config_option("lock_timeout", LOCK_TIMEOUT, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) inqud_execute(&statement, values, nulls);
	thing->payments = inqud_first_int8(1);
	thing->unfinished = inqud_first_int8(2);
	inqud_leave(&role);
}

/*
 * Count in a subtransaction, which is rolled back in any case: so the locks are released
 * before the statement takes stronger ones.
 */
static void
count(Thing *thing)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		count_as_owner(thing);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	thing->why = error ? error->message : NULL;
}

static Thing *
new_thing(Oid extension, Oid server, const char *name)
{
	Thing	   *thing = palloc0(sizeof(Thing));

	thing->extension = extension;
	thing->server = server;
	thing->name = pstrdup(name);
	return thing;
}

/* Add the servers of our wrapper: those that are named, or all (NIL). */
static List *
add_servers(List *things, List *names)
{
	Relation	rel = table_open(ForeignServerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_foreign_server server = (Form_pg_foreign_server) GETSTRUCT(tuple);

		if ((names == NIL || list_member(names, makeString(NameStr(server->srvname)))) &&
			inqud_is_our_wrapper(server->srvfdw))
			things = lappend(things, new_thing(InvalidOid, server->oid, NameStr(server->srvname)));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return things;
}

/* What the statement may drop.  It is looked at afterwards whether it has. */
static List *
things_of(Node *stmt, Oid extension)
{
	DropStmt   *drop = IsA(stmt, DropStmt) ? (DropStmt *) stmt : NULL;
	List	   *things = NIL;

	if (drop && drop->removeType == OBJECT_FOREIGN_SERVER)
		return add_servers(NIL, drop->objects);
	if (drop && drop->removeType == OBJECT_EXTENSION && drop->behavior != DROP_CASCADE &&
		!list_member(drop->objects, makeString("inqud")))
		return NIL;
	if (drop && drop->removeType != OBJECT_EXTENSION &&
		!(drop->removeType == OBJECT_SCHEMA && drop->behavior == DROP_CASCADE))
		return NIL;
	if (drop == NULL)
		things = add_servers(NIL, NIL);
	return lappend(things, new_thing(extension, InvalidOid, "inqud"));
}

List *
inqud_drop_begins(Node *stmt)
{
	Oid			extension;
	List	   *things;
	ListCell   *cell;

	if (!IsA(stmt, DropStmt) && !IsA(stmt, DropOwnedStmt))
		return NIL;
	if (!IsTransactionState() || XactReadOnly)
		return NIL;
	extension = get_extension_oid("inqud", true);
	if (!OidIsValid(extension))
		return NIL;
	things = things_of(stmt, extension);
	foreach(cell, things)
	{
		count(lfirst(cell));
	}
	return things;
}

/* ---- After it ---- */

/* A number for people. */
static char *
number(int64 n)
{
	return n > MOST ? psprintf("more than %d", MOST) : psprintf(INT64_FORMAT, n);
}

static bool
is_gone(const Thing *thing)
{
	if (OidIsValid(thing->server))
		return GetForeignServerExtended(thing->server, FSV_MISSING_OK) == NULL;
	return get_extension_oid("inqud", true) != thing->extension;
}

/* What was counted, as a sentence or two. */
static char *
counted(const Thing *sum, const char *payments)
{
	if (sum->why)
		return psprintf("Its payments and open checkouts could not be counted: %s.", sum->why);
	return psprintf("%s: %s. Open checkouts, which can still be paid at Inqud and are not followed any more: %s.",
					payments, number(sum->payments), number(sum->unfinished));
}

static void
warn_of_extension(const Thing *thing)
{
	ereport(WARNING,
			(errmsg("extension \"inqud\" was dropped with everything it had recorded"),
			 errdetail("%s", counted(thing, "Payments")),
			 IsTransactionBlock() ? errhint("ROLLBACK keeps them.") : 0));
}

static void
warn_of_servers(const Thing *sum)
{
	ereport(WARNING,
			(errmsg("checkouts of dropped server %s stay behind", sum->name),
			 errdetail("%s", counted(sum, "Payments, which stay on record")),
			 errhint("Create a server of that name and call inqud_adopt(), or give them up with inqud_cancel().")));
}

static bool
is_worth_telling(const Thing *thing)
{
	return is_gone(thing) && (thing->why || thing->payments > 0 || thing->unfinished > 0);
}

void
inqud_drop_ends(List *things)
{
	Thing		sum = {0};
	ListCell   *cell;

	foreach(cell, things)
	{
		const Thing *thing = lfirst(cell);

		if (!is_worth_telling(thing))
			continue;
		if (!OidIsValid(thing->server))
		{
			/* the servers are gone with it, of which then nothing more is to be said */
			warn_of_extension(thing);
			return;
		}
		sum.name = sum.name ? psprintf("%s, \"%s\"", sum.name, thing->name) : psprintf("\"%s\"", thing->name);
		sum.payments += thing->payments;
		sum.unfinished += thing->unfinished;
		sum.why = thing->why ? thing->why : sum.why;
	}
	if (sum.name)
		warn_of_servers(&sum);
}
