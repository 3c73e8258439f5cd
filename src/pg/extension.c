/*-------------------------------------------------------------------------
 *
 * extension.c
 *		Finds the extension's objects, and acts as their owner.
 *
 * Users have no right to write our tables.  Callers check the user's rights, and
 * inqud_enter() switches to the extension's owner, with a safe search_path.  Nothing
 * here may run a statement of ours outside of inqud_enter and inqud_leave.
 *
 * First it checks that schema inqud is a member of the extension, because any role
 * with CREATE on the database can make a schema of that name; and that this library
 * serves the extension's version.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "jit/jit.h"
#include "miscadmin.h"
#include "optimizer/cost.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(inqud_home);

#define SAFE_SEARCH_PATH "pg_catalog, pg_temp"

static uint64 invalidations = 1;	/* so far */
static uint64 looked_up = 0;	/* how many there were when the rest was looked up */
static Oid	extension = InvalidOid;
static Oid	owner = InvalidOid;
static Oid	schema = InvalidOid;
static char version[64] = "";	/* of the extension */
static uint32 generation = 0;	/* counts changes of the extension's or schema's oid */

/*
 * Syscache callback of pg_namespace: CREATE EXTENSION, DROP EXTENSION and ALTER
 * SCHEMA change it.  ALTER EXTENSION UPDATE by itself invalidates nothing, so each of
 * our upgrade scripts ends with a GRANT on the schema.
 */
static void
extension_invalidate(Datum arg, int cacheid, uint32 hashvalue)
{
	invalidations++;
}

/* Read owner and version from pg_extension, which has no syscache. */
static void
read_extension(Oid extid)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extid));
	scan = systable_beginscan(rel, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	version[0] = '\0';
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, Anum_pg_extension_extversion,
										RelationGetDescr(rel), &isnull);

		owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
		if (!isnull)
			text_to_cstring_buffer(DatumGetTextPP(value), version, sizeof(version));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/* Look up extension, schema, owner and version, and cache them until an invalidation. */
static void
look_up_extension(void)
{
	static bool registered = false;
	uint64		before = invalidations;
	Oid			extid;
	Oid			nspid;

	if (!registered)
	{
		CacheRegisterSyscacheCallback(NAMESPACEOID, extension_invalidate, (Datum) 0);
		registered = true;
	}
	extid = get_extension_oid("inqud", true);
	nspid = get_namespace_oid("inqud", true);
	if (!OidIsValid(extid) || !OidIsValid(nspid) ||
		getExtensionOfObject(NamespaceRelationId, nspid) != extid)
		nspid = InvalidOid;
	if (extid != extension || nspid != schema)
		generation++;
	extension = extid;
	schema = nspid;
	owner = InvalidOid;
	if (OidIsValid(schema))
		read_extension(extid);
	/* an error, or an invalidation meanwhile, has the next caller look again */
	looked_up = before;
}

bool
inqud_extension_present(void)
{
	if (looked_up != invalidations)
		look_up_extension();
	return OidIsValid(owner);
}

/* INQUD_SERVES has the versions whose scripts are among this library's sources. */
const char *
inqud_unserved_version(void)
{
	char		word[sizeof(version) + 2];

	snprintf(word, sizeof(word), " %s ", version);
	return strstr(" " INQUD_SERVES " ", word) != NULL ? NULL : version;
}

void
inqud_report_unserved(int level)
{
	ereport(level,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the loaded library does not serve version \"%s\" of extension \"inqud\"",
					version),
			 errdetail("The library is of version %s and serves %s.",
					   INQUD_VERSION, INQUD_SERVES),
			 errhint("Install the library that belongs to it, restart the server, then run ALTER EXTENSION inqud UPDATE.")));
}

/* Change a setting until inqud_leave, or until an abort. */
static void
set_until_leave(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/* Raise 42704 without the extension's schema, 55000 for a version that is not served. */
static void
require_extension(void)
{
	if (!inqud_extension_present())
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"inqud\" is not installed as its script made it"),
				 errhint("Schema \"inqud\" must be a member of the extension; do not rename it.")));
	if (inqud_unserved_version() != NULL)
		inqud_report_unserved(ERROR);
}

void
inqud_enter(InqudRole *role)
{
	require_extension();
	GetUserIdAndSecContext(&role->userid, &role->sec_context);
	role->guc_level = NewGUCNestLevel();
	if (strcmp(namespace_search_path, SAFE_SEARCH_PATH) != 0)
		set_until_leave("search_path", SAFE_SEARCH_PATH);
	/*
	 * A kept plan is made once, perhaps for ten rows, and must still be good for
	 * a million.
	 */
	if (enable_seqscan)
		set_until_leave("enable_seqscan", "off");
	/* what must scan costs 10^10 then, and would be compiled: 47 ms of an inqud_cancel */
	if (jit_enabled)
		set_until_leave("jit", "off");
	if (plan_cache_mode != PLAN_CACHE_MODE_FORCE_GENERIC_PLAN)
		set_until_leave("plan_cache_mode", "force_generic_plan");
	SetUserIdAndSecContext(owner, role->sec_context | SECURITY_LOCAL_USERID_CHANGE);
	SPI_connect();
}

void
inqud_leave(InqudRole *role)
{
	SPI_finish();
	SetUserIdAndSecContext(role->userid, role->sec_context);
	AtEOXact_GUC(true, role->guc_level);
}

/* Take the locks of writing, and of inqud.checkout this one. */
static void
lock_tables(LOCKMODE of_checkouts)
{
	/* the last one made first, as DROP EXTENSION locks them */
	static const char *const names[] = {"event", "inbox", "call", "queue", "checkout", "known_server", "known_role"};
	int			i;

	require_extension();
	for (i = 0; i < (int) lengthof(names); i++)
		LockRelationOid(get_relname_relid(names[i], schema),
						strcmp(names[i], "checkout") == 0 ? of_checkouts : RowExclusiveLock);
	/* an update may have held the locks */
	require_extension();
}

void
inqud_lock_tables(void)
{
	lock_tables(RowExclusiveLock);
}

void
inqud_lock_tables_alone(void)
{
	lock_tables(ShareRowExclusiveLock);
}

Oid
inqud_relation_oid(const char *name)
{
	Oid			result;

	require_extension();
	result = get_relname_relid(name, schema);
	if (!OidIsValid(result))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation inqud.%s does not exist", name),
				 errhint("Update the extension: ALTER EXTENSION inqud UPDATE.")));
	return result;
}

void
inqud_lock_checkouts(void)
{
	LockRelationOid(inqud_relation_oid("checkout"), RowExclusiveLock);
}

Oid
inqud_extension_owner(void)
{
	require_extension();
	return owner;
}

Oid
inqud_type_oid(const char *name)
{
	Oid			result;

	require_extension();
	result = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
							 CStringGetDatum(name), ObjectIdGetDatum(schema));
	if (!OidIsValid(result))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("type inqud.%s does not exist", name),
				 errhint("Update the extension: ALTER EXTENSION inqud UPDATE.")));
	return result;
}

TupleDesc
inqud_type_desc(const char *name)
{
	return lookup_rowtype_tupdesc(inqud_type_oid(name), -1);
}

/* Make the statement's plan, and keep it. */
static void
prepare_statement(InqudStatement *statement)
{
	Oid			types[16];
	int			n = 0;
	char	   *words = pstrdup(statement->types);
	char	   *word;

	while ((word = strsep(&words, " ")) != NULL)
	{
		Assert(n < (int) lengthof(types));
		if (*word != '\0')
			types[n++] = DatumGetObjectId(DirectFunctionCall1(regtypein, CStringGetDatum(word)));
	}
	statement->plan = SPI_prepare(statement->sql, n, types);
	if (statement->plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", statement->sql,
			 SPI_result_code_string(SPI_result));
	SPI_keepplan(statement->plan);
	statement->generation = generation;
}

uint64
inqud_execute(InqudStatement *statement, Datum *values, const char *nulls)
{
	int			result;

	/* A new CREATE EXTENSION has made new types; the plan has the oids of the old ones. */
	if (statement->plan != NULL && statement->generation != generation)
	{
		SPI_freeplan(statement->plan);
		statement->plan = NULL;
	}
	if (statement->plan == NULL)
		prepare_statement(statement);
	result = SPI_execute_plan(statement->plan, values, nulls, false, 0);
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", statement->sql,
			 SPI_result_code_string(result));
	return SPI_processed;
}

int64
inqud_first_int8(int column)
{
	bool		isnull;

	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
									   column, &isnull));
}

/* ---- Names of this cluster and library ---- */

const char *
inqud_user_agent(void)
{
	return "inqud/" INQUD_VERSION " PostgreSQL/" PG_VERSION;
}

/*
 * A hash of system identifier and database oid.  A promotion keeps the system
 * identifier; restoring a dump into a new cluster changes it.  A copy of the database
 * within the cluster has another oid.
 */
int64
inqud_this_home(void)
{
	static int64 home = 0;

	if (home == 0)
		home = DatumGetInt64(DirectFunctionCall2(hashint8extended,
												 Int64GetDatum((int64) GetSystemIdentifier()),
												 Int64GetDatum((int64) MyDatabaseId)));
	return home;
}

/* inqud._home(): the same for SQL. */
Datum
inqud_home(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(inqud_this_home());
}

/* ---- Rows for users, and what SQL functions in C share ---- */

Datum
inqud_name_datum(const char *name)
{
	return DirectFunctionCall1(namein, CStringGetDatum(name));
}

char *
inqud_current_role(void)
{
	return GetUserNameFromId(GetUserId(), false);
}

Datum
inqud_keep_value(int column)
{
	TupleDesc	desc = SPI_tuptable->tupdesc;
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], desc, column, &isnull);

	return isnull ? (Datum) 0 :
		SPI_datumTransfer(value, TupleDescAttr(desc, column - 1)->attbyval,
						  TupleDescAttr(desc, column - 1)->attlen);
}

Datum
inqud_value_of(InqudStatement *statement, Datum *values, const char *nulls)
{
	InqudRole	role;
	Datum		value = (Datum) 0;

	inqud_enter(&role);
	if (inqud_execute(statement, values, nulls) > 0)
		value = inqud_keep_value(1);
	inqud_leave(&role);
	return value;
}

Datum
inqud_checkout_row(int64 id)
{
	static InqudStatement statement = {"SELECT k FROM inqud.checkout k WHERE k.id = $1", "int8"};
	Datum		value = Int64GetDatum(id);
	Datum		row = inqud_value_of(&statement, &value, NULL);

	/* an administrator may delete rows */
	if (row == (Datum) 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("checkout " INT64_FORMAT " does not exist any more", id)));
	return row;
}

char *
inqud_row_text(HeapTupleHeader row, const char *column)
{
	bool		isnull;
	Datum		value = GetAttributeByName(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

double
inqud_notices_usage(void)
{
	/* takes no argument, and does not look */
	return DatumGetFloat8(DirectFunctionCall1(pg_notification_queue_usage, (Datum) 0));
}

void
inqud_nap(long ms, InqudWait what)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms,
					 inqud_wait_event(what));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}
