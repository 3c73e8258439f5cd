/*-------------------------------------------------------------------------
 *
 * utility.c
 *		Statements that need a database for themselves, COMMIT PREPARED, and
 *		changes of servers, mappings and rights.
 *
 * DROP, RENAME, SET TABLESPACE and CREATE ... TEMPLATE fail while anybody is
 * connected to the database.  The worker is no reason for that: it is asked to
 * leave before such a statement, kept away until the statement ends, and
 * returns afterwards, also after an error.  Only a user who may run the
 * statement can have that.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pg/worker.h"
#include "storage/ipc.h"
#include "tcop/utility.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

/* A worker ends its transfers within two seconds, see worker.c; on a busy machine it takes longer. */
#define PATIENCE_MS 15000

static ProcessUtility_hook_type prev_process_utility = NULL;

static const char *
template_of(CreatedbStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->options)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, "template") == 0 && option->arg)
			return defGetString(option);
	}
	return "template1";
}

static const char *
tablespace_of(AlterDatabaseStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->options)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, "tablespace") == 0)
			return stmt->dbname;
	}
	return NULL;
}

/* The database that the statement needs for itself, or NULL. */
static const char *
database_of(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_DropdbStmt:
			return ((DropdbStmt *) stmt)->dbname;
		case T_RenameStmt:
			if (((RenameStmt *) stmt)->renameType == OBJECT_DATABASE)
				return ((RenameStmt *) stmt)->subname;
			return NULL;
		case T_CreatedbStmt:
			return template_of((CreatedbStmt *) stmt);
		case T_AlterDatabaseStmt:
			return tablespace_of((AlterDatabaseStmt *) stmt);
		default:
			return NULL;
	}
}

static bool
may_create_databases(void)
{
	HeapTuple	tuple;
	bool		result;

	if (superuser())
		return true;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
	ReleaseSysCache(tuple);
	return result;
}

/* Would the statement get past its own check of rights? */
static bool
may_run(Node *stmt, Oid dbid)
{
	HeapTuple	tuple;
	bool		is_template;

	if (inqud_database_ownercheck(dbid, GetUserId()))
		return true;
	if (!IsA(stmt, CreatedbStmt) || !may_create_databases())
		return false;
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(dbid));
	if (!HeapTupleIsValid(tuple))
		return false;
	is_template = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
	ReleaseSysCache(tuple);
	return is_template;
}

static bool
is_gone(InqudDatabase *database)
{
	bool		gone;

	inqud_shared_lock();
	gone = database->pid == 0 && !database->starting;
	inqud_shared_unlock();
	return gone;
}

static void
send_away(InqudDatabase *database)
{
	Latch	   *latch;

	inqud_shared_lock();
	database->away++;
	database->leave = true;
	latch = database->pid ? database->latch : NULL;
	inqud_shared_unlock();
	if (latch)
		SetLatch(latch);
}

/* Also called when the session ends in the middle of it. */
static void
let_return(int code, Datum arg)
{
	InqudDatabase *database = (InqudDatabase *) DatumGetPointer(arg);

	inqud_shared_lock();
	database->away--;
	database->wanted = true;
	database->not_before = 0;
	inqud_shared_unlock();
	inqud_launcher_wake();
}

static void
wait_gone(InqudDatabase *database)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), PATIENCE_MS);

	while (!is_gone(database) && GetCurrentTimestamp() < deadline)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 10, inqud_wait_event(INQUD_WAIT_WORKER));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* The slot of a database that has a worker, or may get one, and that the statement needs. */
/* not inlined: process_utility has a setjmp, which local variables would not survive */
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

static bool
is_commit_prepared(Node *stmt)
{
	return IsA(stmt, TransactionStmt) &&
		((TransactionStmt *) stmt)->kind == TRANS_STMT_COMMIT_PREPARED;
}

/* May it let something go that was held back for want of a key or a right? */
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
			return true;
		case T_AlterOwnerStmt:
			return ((AlterOwnerStmt *) stmt)->objectType == OBJECT_FOREIGN_SERVER;
		case T_GrantStmt:
			return ((GrantStmt *) stmt)->objtype == OBJECT_FOREIGN_SERVER;
		case T_AlterExtensionStmt:
			/* another version: a worker that did not know the one before may return */
			return strcmp(((AlterExtensionStmt *) stmt)->extname, "inqud") == 0;
		default:
			return false;
	}
}

static void
run(PlannedStmt *pstmt, const char *query, bool read_only_tree,
	ProcessUtilityContext context, ParamListInfo params,
	QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	if (prev_process_utility)
		prev_process_utility(pstmt, query, read_only_tree, context, params, env, dest, qc);
	else
		standard_ProcessUtility(pstmt, query, read_only_tree, context, params, env, dest, qc);
}

static void
process_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	bool		commit_prepared = is_commit_prepared(pstmt->utilityStmt);
	InqudDatabase *database = slot_of(pstmt->utilityStmt);

	if (database == NULL)
	{
		bool		changes = changes_rights(pstmt->utilityStmt);

		run(pstmt, query, read_only_tree, context, params, env, dest, qc);
		if (commit_prepared)
			inqud_database_changed(MyDatabaseId);
		if (changes)
			inqud_changed_at_commit();
		return;
	}
	send_away(database);
	PG_ENSURE_ERROR_CLEANUP(let_return, PointerGetDatum(database));
	{
		wait_gone(database);
		run(pstmt, query, read_only_tree, context, params, env, dest, qc);
	}
	PG_END_ENSURE_ERROR_CLEANUP(let_return, PointerGetDatum(database));
	let_return(0, PointerGetDatum(database));
}

void
inqud_utility_init(void)
{
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}
