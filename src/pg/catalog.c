/*-------------------------------------------------------------------------
 *
 * catalog.c
 *		Finding the extension's objects, and acting as their owner.
 *
 * Users hold no right to write our tables, nor to call the functions that do.
 * C acts for them: it checks what they may, then switches to the extension's
 * owner with a safe search_path for as long as its own statements run.  Before
 * that it makes sure that schema inqud is a member of the extension, because
 * anybody with CREATE on a database can make a schema of that name, and that the
 * extension is of a version that this library was made for: the one is changed
 * by ALTER EXTENSION, the other by a restart.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "optimizer/cost.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#define SAFE_SEARCH_PATH "pg_catalog, pg_temp"

static bool known = false;		/* is the rest still true? */
static Oid	extension = InvalidOid;
static Oid	owner = InvalidOid;
static Oid	schema = InvalidOid;
static char version[64] = "";	/* of the extension */
static uint32 generation = 0;	/* moves when the extension is another one */

/*
 * CREATE and DROP EXTENSION, and ALTER SCHEMA, all touch pg_namespace.  ALTER
 * EXTENSION by itself tells nobody: upgrade scripts touch it for our sake.
 */
static void
forget(Datum arg, int cacheid, uint32 hashvalue)
{
	known = false;
}

/* Owner and version stand in pg_extension, which has no cache of its own. */
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
	owner = InvalidOid;
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

static void
look_up(void)
{
	static bool registered = false;
	Oid			extid;
	Oid			nspid;

	if (!registered)
	{
		CacheRegisterSyscacheCallback(NAMESPACEOID, forget, (Datum) 0);
		registered = true;
	}
	/* set first: an invalidation that arrives meanwhile must win */
	known = true;
	extid = get_extension_oid("inqud", true);
	nspid = get_namespace_oid("inqud", true);
	if (OidIsValid(extid) &&
		(!OidIsValid(nspid) ||
		 getExtensionOfObject(NamespaceRelationId, nspid) != extid))
		nspid = InvalidOid;
	if (extid != extension || nspid != schema)
		generation++;
	extension = extid;
	schema = OidIsValid(extid) ? nspid : InvalidOid;
	owner = InvalidOid;
	if (OidIsValid(extid))
		read_extension(extid);
}

bool
inqud_extension_present(void)
{
	if (!known)
		look_up();
	return OidIsValid(extension) && OidIsValid(schema) && OidIsValid(owner);
}

/* The versions that have a script beside this library's sources are those it serves. */
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

/* Until inqud_leave, or the end of the transaction. */
static void
set_for_now(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

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
		set_for_now("search_path", SAFE_SEARCH_PATH);
	/*
	 * A plan that is kept must serve a million rows as well as the ten that
	 * were there when it was made.
	 */
	if (enable_seqscan)
		set_for_now("enable_seqscan", "off");
	if (plan_cache_mode != PLAN_CACHE_MODE_FORCE_GENERIC_PLAN)
		set_for_now("plan_cache_mode", "force_generic_plan");
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

Oid
inqud_type_array(const char *name)
{
	return get_array_type(inqud_type_oid(name));
}

TupleDesc
inqud_type_desc(const char *name)
{
	return lookup_rowtype_tupdesc(inqud_type_oid(name), -1);
}

static Oid
argument_type(const char *name)
{
	static const struct
	{
		const char *name;
		Oid			type;
	}			known_types[] =
	{
		{"int8", INT8OID}, {"int4", INT4OID}, {"int8[]", INT8ARRAYOID},
		{"text", TEXTOID}, {"name", NAMEOID}, {"bool", BOOLOID},
		{"timestamptz", TIMESTAMPTZOID}, {"numeric", NUMERICOID},
		{"jsonb", JSONBOID},
	};
	int			i;

	if (name[0] == '_')
	{
		size_t		len = strlen(name);

		if (strcmp(name + len - 2, "[]") == 0)
			return inqud_type_array(pnstrdup(name, len - 2));
		return inqud_type_oid(name);
	}
	for (i = 0; i < (int) lengthof(known_types); i++)
	{
		if (strcmp(known_types[i].name, name) == 0)
			return known_types[i].type;
	}
	elog(ERROR, "unknown argument type \"%s\"", name);
	return InvalidOid;			/* keep compiler quiet */
}

static void
prepare(InqudStatement *statement)
{
	Oid			types[16];
	int			i;

	Assert(statement->nargs <= (int) lengthof(types));
	for (i = 0; i < statement->nargs; i++)
		types[i] = argument_type(statement->argtypes[i]);
	statement->plan = SPI_prepare(statement->sql, statement->nargs, types);
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

	/* Another CREATE EXTENSION made other types: their numbers are in the plan. */
	if (statement->plan != NULL && statement->generation != generation)
	{
		SPI_freeplan(statement->plan);
		statement->plan = NULL;
	}
	if (statement->plan == NULL)
		prepare(statement);
	result = SPI_execute_plan(statement->plan, values, nulls, false, 0);
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", statement->sql,
			 SPI_result_code_string(result));
	return SPI_processed;
}
