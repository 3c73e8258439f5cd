/*-------------------------------------------------------------------------
 *
 * known.c
 *		Entries of roles and servers: how rows know them, by oid at home.
 *
 * A name is anybody's who takes it, and an oid counts in its own database only; so
 * rows point to entries of inqud.known_role and inqud.known_server.  Each process
 * remembers them, since an order asks for two.  A statement that gives an entry
 * another home or oid has all processes forget (inqud._known_changed).
 *
 * Entries are read with a snapshot of their own, not with the transaction's: one that
 * another session has just made must be found at any isolation level.  One that this
 * transaction has made may be rolled back, and is not remembered.
 *
 *-------------------------------------------------------------------------
 */
#include "project/project.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(inqud_role_oid);
PG_FUNCTION_INFO_V1(inqud_server_oid);
PG_FUNCTION_INFO_V1(inqud_know_role);
PG_FUNCTION_INFO_V1(inqud_know_server);
PG_FUNCTION_INFO_V1(inqud_may_act_on);
PG_FUNCTION_INFO_V1(inqud_is_trusted_role);
PG_FUNCTION_INFO_V1(inqud_known_changed);

/* Columns of both tables, counted from 1. */
enum
{
	COLUMN_ID = 1, COLUMN_HOME, COLUMN_OID, COLUMN_NAME, COLUMN_NAMED_TO, COLUMN_FORMER
};

/* How many entries are remembered; when there are more, all are forgotten. */
#define MAX_KNOWN 4096

static const char *const tables[] = {
	[INQUD_KNOWN_ROLE] = "known_role",
	[INQUD_KNOWN_SERVER] = "known_server",
};
static const char *const by_oid[] = {
	[INQUD_KNOWN_ROLE] = "known_role_oid",
	[INQUD_KNOWN_SERVER] = "known_server_oid",
};
static const char *const by_id[] = {
	[INQUD_KNOWN_ROLE] = "known_role_pkey",
	[INQUD_KNOWN_SERVER] = "known_server_pkey",
};

/* What is remembered, in both directions. */
typedef struct KnownKey
{
	int32		what;
	int32		is_id;
	uint32		number;			/* the id, or the oid */
} KnownKey;

typedef struct Known
{
	KnownKey	key;			/* must be first */
	uint32		other;			/* the oid, or the id; never 0 */
} Known;

static HTAB *known = NULL;
static Oid	relations[lengthof(tables)];	/* the tables, as they were last read */
static uint64 changes = 0;

/* ---- What is remembered ---- */

static void
forget_all(void)
{
	HASH_SEQ_STATUS scan;
	Known	   *entry;

	hash_seq_init(&scan, known);
	while ((entry = hash_seq_search(&scan)) != NULL)
		hash_search(known, &entry->key, HASH_REMOVE, NULL);
}

/* Relcache callback. */
static void
known_invalidate(Datum arg, Oid relid)
{
	if (OidIsValid(relid) && relid != relations[INQUD_KNOWN_ROLE] && relid != relations[INQUD_KNOWN_SERVER])
		return;
	changes++;
	forget_all();
}

static void
prepare_cache(void)
{
	HASHCTL		control = {.keysize = sizeof(KnownKey), .entrysize = sizeof(Known), .hcxt = TopMemoryContext};

	if (known != NULL)
		return;
	known = hash_create("inqud known roles and servers", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(known_invalidate, (Datum) 0);
}

static void
remember(const KnownKey *key, uint32 other)
{
	Known	   *entry;

	if (hash_get_num_entries(known) >= MAX_KNOWN)
		forget_all();
	entry = hash_search(known, key, HASH_ENTER, NULL);
	entry->other = other;
}

uint64
inqud_known_changes(void)
{
	return changes;
}

/* ---- Reading the tables ---- */

static uint32
column_of(HeapTuple tuple, Relation rel, int column)
{
	bool		isnull;

	return DatumGetUInt32(heap_getattr(tuple, column, RelationGetDescr(rel), &isnull));
}

/*
 * The id of the entry of an oid at home, or the oid of the entry of an id if that is at
 * home; 0 when there is none.  *made: this transaction has made or changed it.
 */
static uint32
read_entry(const KnownKey *key, bool *made)
{
	Relation	rel = table_open(inqud_relation_oid(tables[key->what]), AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	uint32		other = 0;

	relations[key->what] = RelationGetRelid(rel);
	if (key->is_id)
		ScanKeyInit(&keys[0], COLUMN_ID, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum((int32) key->number));
	else
	{
		ScanKeyInit(&keys[0], COLUMN_HOME, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(inqud_this_home()));
		ScanKeyInit(&keys[1], COLUMN_OID, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(key->number));
	}
	scan = systable_beginscan(rel, inqud_relation_oid(key->is_id ? by_id[key->what] : by_oid[key->what]),
							  true, NULL, key->is_id ? 1 : 2, keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		home = heap_getattr(tuple, COLUMN_HOME, RelationGetDescr(rel), &isnull);

		*made = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
		if (DatumGetInt64(home) == inqud_this_home())
			other = column_of(tuple, rel, key->is_id ? COLUMN_OID : COLUMN_ID);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return other;
}

/* The same, from memory if it is remembered. */
static uint32
find_entry(InqudKnown what, bool is_id, uint32 number)
{
	KnownKey	key = {what, is_id, number};
	Known	   *entry;
	bool		made = false;
	uint64		before;
	uint32		other;

	prepare_cache();
	entry = hash_search(known, &key, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->other;
	before = changes;
	other = read_entry(&key, &made);
	if (other != 0 && !made && changes == before)
		remember(&key, other);
	return other;
}

int32
inqud_known_id(InqudKnown what, Oid oid)
{
	return (int32) find_entry(what, false, oid);
}

Oid
inqud_known_oid(InqudKnown what, int32 id)
{
	return id == 0 ? InvalidOid : find_entry(what, true, (uint32) id);
}

char *
inqud_known_name(InqudKnown what, int32 id)
{
	Relation	rel = table_open(inqud_relation_oid(tables[what]), AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *name = NULL;

	ScanKeyInit(&key, COLUMN_ID, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(id));
	scan = systable_beginscan(rel, inqud_relation_oid(by_id[what]), true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, COLUMN_NAME, RelationGetDescr(rel), &isnull);

		name = pstrdup(NameStr(*DatumGetName(value)));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return name;
}

/* ---- Making entries ---- */

/* The name of a role or server; NULL when it was dropped. */
static char *
name_of(InqudKnown what, Oid oid)
{
	ForeignServer *server;

	if (what == INQUD_KNOWN_ROLE)
		return GetUserNameFromId(oid, true);
	server = GetForeignServerExtended(oid, FSV_MISSING_OK);
	return server ? server->servername : NULL;
}

/*
 * Add an entry.  Two sessions may each add one of a role at the same time, which does no
 * harm; of a server the second one waits for the first one's commit.
 */
static void
add_entry(InqudKnown what, Oid oid, const char *name)
{
	static InqudStatement statements[] = {
		[INQUD_KNOWN_ROLE] = {"INSERT INTO inqud.known_role (home, oid, name) VALUES ($1, $2, $3)", "int8 oid name"},
		[INQUD_KNOWN_SERVER] = {"INSERT INTO inqud.known_server (home, oid, name) VALUES ($1, $2, $3)"
			" ON CONFLICT (home, oid) DO NOTHING", "int8 oid name"},
	};
	Datum		values[] = {Int64GetDatum(inqud_this_home()), ObjectIdGetDatum(oid), inqud_name_datum(name)};
	InqudRole	role;

	inqud_enter(&role);
	inqud_execute(&statements[what], values, NULL);
	inqud_leave(&role);
}

int32
inqud_know(InqudKnown what, Oid oid)
{
	int32		id = inqud_known_id(what, oid);
	char	   *name;

	if (id != 0)
		return id;
	name = name_of(what, oid);
	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("%s with OID %u does not exist", what == INQUD_KNOWN_ROLE ? "role" : "server", oid)));
	/* before its index is read: see inqud_lock_tables */
	LockRelationOid(inqud_relation_oid(tables[what]), RowExclusiveLock);
	while ((id = inqud_known_id(what, oid)) == 0)
	{
		CHECK_FOR_INTERRUPTS();
		add_entry(what, oid, name);
	}
	return id;
}

/* ---- Who may act ---- */

bool
inqud_is_trusted(Oid role)
{
	return superuser_arg(role) || role == inqud_extension_owner();
}

bool
inqud_may_act(Oid role, int32 owner_id)
{
	Oid			owner = inqud_known_oid(INQUD_KNOWN_ROLE, owner_id);

	return (OidIsValid(owner) && has_privs_of_role(role, owner)) || inqud_is_trusted(role);
}

/* ---- Names ---- */

static bool
has_name(HeapTuple tuple, Relation rel, const char *name)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, COLUMN_NAME, RelationGetDescr(rel), &isnull);
	Datum	   *names;
	int			n;

	if (!isnull && strcmp(NameStr(*DatumGetName(value)), name) == 0)
		return true;
	value = heap_getattr(tuple, COLUMN_FORMER, RelationGetDescr(rel), &isnull);
	if (isnull)
		return false;
	deconstruct_array(DatumGetArrayTypeP(value), NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR, &names, NULL, &n);
	for (int i = 0; i < n; i++)
		if (strcmp(NameStr(*DatumGetName(names[i])), name) == 0)
			return true;
	return false;
}

char *
inqud_renamed_server(const char *name)
{
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *now = NULL;

	if (!inqud_extension_present())
		return NULL;
	rel = table_open(inqud_relation_oid(tables[INQUD_KNOWN_SERVER]), AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (now == NULL && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		home = heap_getattr(tuple, COLUMN_HOME, RelationGetDescr(rel), &isnull);

		if (DatumGetInt64(home) == inqud_this_home() && has_name(tuple, rel, name))
			now = name_of(INQUD_KNOWN_SERVER, column_of(tuple, rel, COLUMN_OID));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return now;
}

/* ---- For SQL, between inqud_enter and inqud_leave ---- */

/*
 * None of these is strict: the planner would put null in the place of a call with null,
 * and not ask whether the role may call it.
 */

static Datum
oid_or_null(FunctionCallInfo fcinfo, InqudKnown what)
{
	Oid			oid = PG_ARGISNULL(0) ? InvalidOid : inqud_known_oid(what, PG_GETARG_INT32(0));

	if (!OidIsValid(oid))
		PG_RETURN_NULL();
	PG_RETURN_OID(oid);
}

/* inqud._role_oid(id) */
Datum
inqud_role_oid(PG_FUNCTION_ARGS)
{
	return oid_or_null(fcinfo, INQUD_KNOWN_ROLE);
}

/* inqud._server_oid(id) */
Datum
inqud_server_oid(PG_FUNCTION_ARGS)
{
	return oid_or_null(fcinfo, INQUD_KNOWN_SERVER);
}

static Datum
id_or_null(FunctionCallInfo fcinfo, InqudKnown what)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_INT32(inqud_know(what, PG_GETARG_OID(0)));
}

/* inqud._know_role(oid): raises 42704 for no role. */
Datum
inqud_know_role(PG_FUNCTION_ARGS)
{
	return id_or_null(fcinfo, INQUD_KNOWN_ROLE);
}

/* inqud._know_server(oid): raises 42704 for no server. */
Datum
inqud_know_server(PG_FUNCTION_ARGS)
{
	return id_or_null(fcinfo, INQUD_KNOWN_SERVER);
}

/* inqud._may_act(role, owner_id); an owner_id that is null is nobody's. */
Datum
inqud_may_act_on(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!PG_ARGISNULL(0) && inqud_may_act(PG_GETARG_OID(0), PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1)));
}

/* inqud._is_trusted(role) */
Datum
inqud_is_trusted_role(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!PG_ARGISNULL(0) && inqud_is_trusted(PG_GETARG_OID(0)));
}

/* Statement trigger on both tables: all processes forget what they remember, once this commits. */
Datum
inqud_known_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"inqud._known_changed\" was not called by trigger manager")));
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	return PointerGetDatum(NULL);
}
