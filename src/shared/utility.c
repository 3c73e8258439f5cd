/*-------------------------------------------------------------------------
 *
 * utility.c
 *		The ProcessUtility hook: keeps the worker away from statements that need a
 *		database for themselves, wakes it after COMMIT PREPARED and changes of servers,
 *		mappings, rights and names, has REASSIGN OWNED take checkouts along, and has
 *		drop_warning.c warn.  (What has changed, and whether anything has, the
 *		worker finds out by itself.)
 *
 * DROP, RENAME, SET TABLESPACE and CREATE ... TEMPLATE fail while a backend is
 * connected to the database.  The worker must not make them fail: it is asked to
 * leave before the statement and kept away until the statement ends, also by an
 * error.  It must not be sent away for a user who may not run the statement.
 *
 *-------------------------------------------------------------------------
 */
#include "shared/shared.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/ipc.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/syscache.h"

/* A worker needs 2 s to end its transfers (worker.c), and longer on a busy machine. */
#define PATIENCE_MS 15000

static ProcessUtility_hook_type next_process_utility = NULL;

/* The option of that name, with a value; NULL = there is none. */
static DefElem *
find_option(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, name) == 0 && option->arg)
			return option;
	}
	return NULL;
}

/* The database that the statement needs for itself, or NULL. */
static const char *
database_of(Node *stmt)
{
	DefElem    *template;

	switch (nodeTag(stmt))
	{
		case T_DropdbStmt:
			return ((DropdbStmt *) stmt)->dbname;
		case T_RenameStmt:
			if (((RenameStmt *) stmt)->renameType == OBJECT_DATABASE)
				return ((RenameStmt *) stmt)->subname;
			return NULL;
		case T_CreatedbStmt:
			template = find_option(((CreatedbStmt *) stmt)->options, "template");
			return template ? defGetString(template) : "template1";
		case T_AlterDatabaseStmt:
			if (find_option(((AlterDatabaseStmt *) stmt)->options, "tablespace"))
				return ((AlterDatabaseStmt *) stmt)->dbname;
			return NULL;
		default:
			return NULL;
	}
}

/* A bool that is a column of a catalogue's row, found by oid; false without the row. */
static bool
catalog_bool(int cache, Oid oid, AttrNumber column)
{
	HeapTuple	tuple = SearchSysCache1(cache, ObjectIdGetDatum(oid));
	bool		result;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = DatumGetBool(SysCacheGetAttr(cache, tuple, column, &isnull));
	ReleaseSysCache(tuple);
	return result;
}

/* True if the user has the right to run the statement on this database. */
static bool
may_run(Node *stmt, Oid dbid)
{
	return inqud_database_ownercheck(dbid, GetUserId()) ||
		(IsA(stmt, CreatedbStmt) &&
		 (superuser() || catalog_bool(AUTHOID, GetUserId(), Anum_pg_authid_rolcreatedb)) &&
		 catalog_bool(DATABASEOID, dbid, Anum_pg_database_datistemplate));
}

/* Let the worker return; also called when the session ends during the statement. */
static void
allow_return(int code, Datum arg)
{
	inqud_database_return((InqudDatabase *) DatumGetPointer(arg));
}

/*
 * The slot of the database that the statement needs for itself; NULL if it needs
 * none, or that has no slot.  Not inlined, because process_utility has a setjmp,
 * after which the local variables would be undefined.
 */
static pg_noinline InqudDatabase *
slot_of(Node *stmt)
{
	const char *name = database_of(stmt);
	Oid			dbid;

	if (name == NULL || !inqud_shared_ready())
		return NULL;
	dbid = get_database_oid(name, true);
	if (!OidIsValid(dbid) || dbid == MyDatabaseId || !may_run(stmt, dbid))
		return NULL;
	return inqud_database(dbid, false);
}

/* True if after the statement a call may be possible that lacks a key or a right, or none is, or names are others. */
static bool
changes_rights(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_AlterForeignServerStmt:
		case T_CreateForeignServerStmt:
		case T_CreateUserMappingStmt:
		case T_AlterUserMappingStmt:
		case T_DropUserMappingStmt:
		case T_GrantRoleStmt:
		case T_ReassignOwnedStmt:
			return true;
		case T_RenameStmt:
			return ((RenameStmt *) stmt)->renameType == OBJECT_ROLE ||
				((RenameStmt *) stmt)->renameType == OBJECT_FOREIGN_SERVER;
		case T_DropStmt:
			return ((DropStmt *) stmt)->removeType == OBJECT_FOREIGN_SERVER;
		case T_AlterOwnerStmt:
			return ((AlterOwnerStmt *) stmt)->objectType == OBJECT_FOREIGN_SERVER;
		case T_GrantStmt:
			return ((GrantStmt *) stmt)->objtype == OBJECT_FOREIGN_SERVER;
		case T_AlterExtensionStmt:
			/* another version: a worker that left because of the old one may return */
			return strcmp(((AlterExtensionStmt *) stmt)->extname, "inqud") == 0;
		default:
			return false;
	}
}

/* REASSIGN OWNED was allowed, and is done: the roles' checkouts in this database go along. */
static void
reassign_checkouts(ReassignOwnedStmt *stmt)
{
	static InqudStatement statement = {"SELECT inqud._reassign($1, NULL, $2)", "oid oid"};
	Oid			target = get_rolespec_oid(stmt->newrole, false);
	ListCell   *cell;

	if (!inqud_extension_present() || inqud_unserved_version() != NULL)
		return;
	inqud_lock_tables();
	foreach(cell, stmt->roles)
	{
		Oid			source = get_rolespec_oid(lfirst(cell), false);
		Datum		values[] = {ObjectIdGetDatum(source), ObjectIdGetDatum(target)};

		if (inqud_known_id(INQUD_KNOWN_ROLE, source) != 0)
			(void) inqud_value_of(&statement, values, NULL);
	}
}

static void
process_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	InqudDatabase *database = slot_of(pstmt->utilityStmt);

	if (database == NULL)
	{
		Node	   *stmt = pstmt->utilityStmt;
		bool		commit_prepared = IsA(stmt, TransactionStmt) &&
			((TransactionStmt *) stmt)->kind == TRANS_STMT_COMMIT_PREPARED;
		bool		changes = changes_rights(stmt);
		/* what rolls back may free the statement, so that it is looked at before */
		ReassignOwnedStmt *reassigns = IsA(stmt, ReassignOwnedStmt) ? (ReassignOwnedStmt *) stmt : NULL;
		List	   *dropping = inqud_drop_begins(stmt);

		next_process_utility(pstmt, query, read_only_tree, context, params, env, dest, qc);
		if (reassigns)
			reassign_checkouts(reassigns);
		if (commit_prepared)
			inqud_database_wake(MyDatabaseId, false, false, DT_NOBEGIN);
		if (changes)
			inqud_changed_at_commit();
		inqud_drop_ends(dropping);
		return;
	}
	inqud_database_send_away(database, true);
	PG_ENSURE_ERROR_CLEANUP(allow_return, PointerGetDatum(database));
	{
		(void) inqud_database_wait_gone(database, PATIENCE_MS);
		next_process_utility(pstmt, query, read_only_tree, context, params, env, dest, qc);
	}
	PG_END_ENSURE_ERROR_CLEANUP(allow_return, PointerGetDatum(database));
	allow_return(0, PointerGetDatum(database));
}

void
inqud_utility_init(void)
{
	next_process_utility = ProcessUtility_hook ? ProcessUtility_hook : standard_ProcessUtility;
	ProcessUtility_hook = process_utility;
}
