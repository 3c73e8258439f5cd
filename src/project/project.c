/*-------------------------------------------------------------------------
 *
 * project.c
 *		Looks a project up, and caches it until the catalogs or the secret file
 *		change.
 *
 * Each entry has a memory context of its own, and every text of a mapping is
 * registered to be wiped when that context is deleted.  An invalidation takes an
 * entry out of the cache at once.  A caller that has pinned it keeps using it, and
 * the last release frees it.  (The server's catalog caches hold the options, too, and
 * cannot be wiped.)
 *
 * It must not throw for a user's mistake, and must put nothing of a mapping into a
 * message, not even the path of the secret file.
 *
 *-------------------------------------------------------------------------
 */
#include "project/project.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_user_mapping.h"
#include "commands/extension.h"
#include "common/hashfn.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/syscache.h"

/*
 * How many pairs of server and role are cached.  A worker may meet thousands of
 * roles; when the cache is full, all entries are dropped.
 */
#define MAX_ENTRIES			1024

typedef struct ProjectKey
{
	Oid			serverid;
	Oid			roleid;
} ProjectKey;

typedef struct ProjectSlot
{
	ProjectKey	key;			/* must be first */
	InqudProjectEntry *entry;
} ProjectSlot;

static HTAB *projects = NULL;

/* Counts invalidations, to notice one that arrives while an entry is being built. */
static uint64 invalidations = 0;

/* ---- The cache ---- */

/* Take an entry out of the cache; frees it unless it is pinned. */
static void
discard_entry(ProjectSlot *slot)
{
	InqudProjectEntry *entry = slot->entry;

	hash_search(projects, &slot->key, HASH_REMOVE, NULL);
	entry->project.stale = true;
	if (entry->project.refcount == 0)
		MemoryContextDelete(entry->context);
}

/* Discard the entries of the server with this syscache hash; all entries for 0. */
static void
discard_matching(uint32 server_hash)
{
	HASH_SEQ_STATUS scan;
	ProjectSlot *slot;

	hash_seq_init(&scan, projects);
	while ((slot = hash_seq_search(&scan)) != NULL)
		if (server_hash == 0 || slot->entry->server_hash == server_hash)
			discard_entry(slot);
}

/*
 * Syscache callback: discard the entries of a changed server, or all entries when a
 * mapping or wrapper has changed.  A role's new mapping replaces PUBLIC's, and no
 * entry has the new one's hash.
 */
static void
projects_invalidate(Datum arg, int cacheid, uint32 hashvalue)
{
	invalidations++;
	discard_matching(cacheid == FOREIGNSERVEROID ? hashvalue : 0);
}

/* Make the cache, once per backend, since syscache callbacks cannot be unregistered. */
static void
prepare_cache(void)
{
	HASHCTL		control = {0};

	if (projects)
		return;
	control.keysize = sizeof(ProjectKey);
	control.entrysize = sizeof(ProjectSlot);
	control.hcxt = TopMemoryContext;
	projects = hash_create("inqud projects", 16, &control,
						   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, projects_invalidate, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, projects_invalidate, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, projects_invalidate, (Datum) 0);
}

static void
cache_entry(InqudProjectEntry *entry)
{
	ProjectKey	key = {entry->project.serverid, entry->project.roleid};
	ProjectSlot *slot;

	if (hash_get_num_entries(projects) >= MAX_ENTRIES)
		discard_matching(0);
	slot = hash_search(projects, &key, HASH_ENTER, NULL);
	slot->entry = entry;
}

/* A hint: the command that makes a server. */
static char *
create_server_hint(const char *server)
{
	return psprintf("Create one with CREATE SERVER %s FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-...').",
					quote_identifier(server));
}

/* ---------------------------------------------------------------------
 * Filling an entry.  These functions run in a short-lived memory context, and return
 * false with the problem noted.
 * ---------------------------------------------------------------------
 */

/* Add some bytes to the version of what the project was made of.  They are no secret. */
static void
add_version(InqudProject *project, const void *bytes, size_t len)
{
	project->version = hash_bytes_extended(bytes, (int) len, project->version);
}

/* Add the stamp of the secret file; zeros without one. */
static void
add_stamp(InqudProjectEntry *entry)
{
	const struct stat *st = &entry->stamp;
	struct timespec changed = INQUD_STAT_CTIME(*st);
	struct timespec modified = INQUD_STAT_MTIME(*st);
	int64		stamp[] = {
		(int64) st->st_dev, (int64) st->st_ino, st->st_size,
		changed.tv_sec, changed.tv_nsec, modified.tv_sec, modified.tv_nsec
	};

	add_version(&entry->project, stamp, sizeof(stamp));
}

/*
 * Set the options of a catalog's row.  They have passed the validator, though perhaps
 * that of another version: ignore an unknown option, and note a bad value as a
 * problem.
 */
static bool
set_from_catalog(InqudProjectEntry *entry, int cacheid, HeapTuple tuple,
				 AttrNumber column, Oid catalog, InqudProblem *problem)
{
	bool		isnull;
	Datum		options = SysCacheGetAttr(cacheid, tuple, column, &isnull);
	InqudOptionText *given;
	int			count;

	if (isnull)
		return true;
	given = inqud_option_texts(options, &count);
	for (int i = 0; i < count; i++)
	{
		const InqudOption *option = inqud_option_find(given[i].name, catalog);
		const char *complaint;

		if (option == NULL)
			continue;
		complaint = inqud_option_set(entry, option, given[i].value);
		if (complaint)
			return inqud_problem_set(problem, INQUD_FAULT_OPTIONS, ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
									 psprintf("invalid value for option \"%s\" of server \"%s\"",
											  option->name, entry->project.name),
									 psprintf("The value %s.", complaint), NULL);
	}
	return true;
}

bool
inqud_is_our_wrapper(Oid fdwid)
{
	Oid			extension = get_extension_oid("inqud", true);

	return OidIsValid(extension) &&
		getExtensionOfObject(ForeignDataWrapperRelationId, fdwid) == extension;
}

static bool
check_wrapper(Oid fdwid, const char *server, InqudProblem *problem)
{
	ForeignDataWrapper *wrapper;

	if (inqud_is_our_wrapper(fdwid))
		return true;
	wrapper = GetForeignDataWrapperExtended(fdwid, FDW_MISSING_OK);
	return inqud_problem_set(problem, INQUD_FAULT_OPTIONS, ERRCODE_WRONG_OBJECT_TYPE,
							 psprintf("server \"%s\" is not an Inqud project", server),
							 psprintf("Its foreign-data wrapper \"%s\" does not belong to extension \"inqud\".",
									  wrapper ? wrapper->fdwname : "?"),
							 create_server_hint("shop"));
}

static bool
set_from_server(InqudProjectEntry *entry, InqudProblem *problem)
{
	Datum		serverid = ObjectIdGetDatum(entry->project.serverid);
	HeapTuple	tuple = SearchSysCache1(FOREIGNSERVEROID, serverid);
	Form_pg_foreign_server form;
	Datum		options;
	bool		isnull;
	bool		ok;

	if (!HeapTupleIsValid(tuple))
		return inqud_problem_set(problem, INQUD_FAULT_NO_SERVER, ERRCODE_UNDEFINED_OBJECT,
								 "server was dropped concurrently", NULL, NULL);
	form = (Form_pg_foreign_server) GETSTRUCT(tuple);
	entry->project.name = MemoryContextStrdup(entry->context, NameStr(form->srvname));
	entry->server_hash = GetSysCacheHashValue1(FOREIGNSERVEROID, serverid);
	options = SysCacheGetAttr(FOREIGNSERVEROID, tuple, Anum_pg_foreign_server_srvoptions, &isnull);
	if (!isnull)
	{
		text	   *all = (text *) PG_DETOAST_DATUM(options);

		add_version(&entry->project, VARDATA_ANY(all), VARSIZE_ANY_EXHDR(all));
	}
	ok = check_wrapper(form->srvfdw, entry->project.name, problem) &&
		set_from_catalog(entry, FOREIGNSERVEROID, tuple,
						 Anum_pg_foreign_server_srvoptions,
						 ForeignServerRelationId, problem);
	ReleaseSysCache(tuple);
	if (ok && entry->project.account.project_id == NULL)
		return inqud_problem_set(problem, INQUD_FAULT_OPTIONS, ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED,
								 psprintf("server \"%s\" has no option \"project_id\"",
										  entry->project.name), NULL, NULL);
	return ok;
}

/* Set the options of the role's own mapping, else of PUBLIC's.  To have none is not a problem here. */
static bool
set_from_mapping(InqudProjectEntry *entry, InqudProblem *problem)
{
	Datum		serverid = ObjectIdGetDatum(entry->project.serverid);
	HeapTuple	tuple;
	TransactionId xmin;
	bool		ok;

	tuple = SearchSysCache2(USERMAPPINGUSERSERVER,
							ObjectIdGetDatum(entry->project.roleid), serverid);
	if (!HeapTupleIsValid(tuple))
		tuple = SearchSysCache2(USERMAPPINGUSERSERVER,
								ObjectIdGetDatum(InvalidOid), serverid);
	if (!HeapTupleIsValid(tuple))
		return true;
	entry->project.mappingid = ((Form_pg_user_mapping) GETSTRUCT(tuple))->oid;
	/* by its place and not by its options, so that no hash of a secret is kept */
	xmin = HeapTupleHeaderGetRawXmin(tuple->t_data);
	add_version(&entry->project, &xmin, sizeof(xmin));
	add_version(&entry->project, &tuple->t_self, sizeof(tuple->t_self));
	ok = set_from_catalog(entry, USERMAPPINGUSERSERVER, tuple,
						  Anum_pg_user_mapping_umoptions,
						  UserMappingRelationId, problem);
	ReleaseSysCache(tuple);
	return ok;
}

/* ---- Looking up ---- */

/* Set the digest of the account.  Slashes at the end of base_url do not count. */
static void
set_digest(InqudProject *project)
{
	const InqudAccount *account = &project->account;
	const char *texts[] = {
		account->base_url, account->project_id, account->token_id ? account->token_id : "",
		account->token_secret ? account->token_secret : ""
	};
	size_t		lengths[lengthof(texts)] = {0};

	for (int i = 0; i < (int) lengthof(texts); i++)
		lengths[i] = strlen(texts[i]);
	while (lengths[0] > 0 && account->base_url[lengths[0] - 1] == '/')
		lengths[0]--;
	inqud_digest_texts(&project->digest, texts, lengths, lengthof(texts));
	project->has_credentials = account->token_id && account->token_secret;
}

/* Build an entry, in a child of the current memory context; NULL with the problem noted. */
static InqudProjectEntry *
build_entry(Oid serverid, Oid roleid, InqudProblem *problem)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext own = AllocSetContextCreate(caller, "inqud project",
											  ALLOCSET_SMALL_SIZES);
	MemoryContext scratch = AllocSetContextCreate(caller, "inqud options",
												  ALLOCSET_DEFAULT_SIZES);
	InqudProjectEntry *entry = MemoryContextAllocZero(own, sizeof(InqudProjectEntry));
	bool		ok;

	entry->context = own;
	entry->project.serverid = serverid;
	entry->project.roleid = roleid;
	MemoryContextSwitchTo(scratch);
	inqud_option_set_defaults(entry);
	ok = set_from_server(entry, problem) &&
		set_from_mapping(entry, problem) &&
		inqud_secret_file_read(entry, problem);
	if (ok)
	{
		add_stamp(entry);
		set_digest(&entry->project);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	if (ok)
		return entry;
	MemoryContextDelete(own);
	return NULL;
}

/* The project from the cache or newly built, pinned; NULL with the problem noted. */
static InqudProject *
find_project(Oid serverid, Oid roleid, InqudProblem *problem)
{
	ProjectKey	key = {serverid, roleid};
	ProjectSlot *slot = hash_search(projects, &key, HASH_FIND, NULL);
	InqudProjectEntry *entry;
	uint64		before;

	if (slot && inqud_secret_file_unchanged(slot->entry))
		return inqud_project_pin(&slot->entry->project);
	if (slot)
		discard_entry(slot);

	before = invalidations;
	entry = build_entry(serverid, roleid, problem);
	if (entry == NULL)
		return NULL;
	/* if an invalidation has arrived meanwhile, use the entry once, and do not cache it */
	entry->project.stale = invalidations != before;
	if (!entry->project.stale)
		cache_entry(entry);
	MemoryContextSetParent(entry->context, TopMemoryContext);
	return inqud_project_pin(&entry->project);
}

/* Why there is no server of that name: it has another one now, or there was none. */
static void
note_no_server(InqudProblem *problem, const char *server)
{
	char	   *now = inqud_renamed_server(server);

	inqud_problem_set(problem, INQUD_FAULT_NO_SERVER, ERRCODE_UNDEFINED_OBJECT,
					  psprintf("server \"%s\" does not exist", server), NULL,
					  now == NULL ? create_server_hint(server) :
					  psprintf("It is named \"%s\" now. Name that, also in the arguments of triggers, which are made anew for it.", now));
}

/* Look up a server that exists. */
static InqudProject *
look_up(Oid serverid, Oid roleid, int needs, InqudProblem *problem)
{
	InqudProject *project;

	/*
	 * Checked at each look-up, since GRANT and REVOKE invalidate no entry.  (It
	 * throws if the server is dropped between these two steps.)
	 */
	if ((needs & INQUD_NEED_USAGE) &&
		inqud_server_aclcheck(serverid, roleid, ACL_USAGE) != ACLCHECK_OK)
	{
		inqud_problem_set(problem, INQUD_FAULT_NO_RIGHT, ERRCODE_INSUFFICIENT_PRIVILEGE,
						  psprintf("permission denied for foreign server %s", GetForeignServer(serverid)->servername),
						  NULL, NULL);
		return NULL;
	}
	project = find_project(serverid, roleid, problem);
	if (project && (needs & INQUD_NEED_CREDENTIALS) && !project->has_credentials)
	{
		inqud_problem_no_token(problem, project);
		inqud_project_release(project);
		return NULL;
	}
	return project;
}

/* Begin a look-up without a problem. */
static void
begin_look_up(InqudProblem *problem)
{
	memset(problem, 0, sizeof(*problem));
	problem->context = CurrentMemoryContext;
	prepare_cache();
}

InqudProject *
inqud_project_lookup(const char *server, Oid roleid, int needs, InqudProblem *problem)
{
	Oid			serverid;

	begin_look_up(problem);
	serverid = get_foreign_server_oid(server, true);
	if (OidIsValid(serverid))
		return look_up(serverid, roleid, needs, problem);
	note_no_server(problem, server);
	return NULL;
}

InqudProject *
inqud_project_lookup_oid(Oid serverid, Oid roleid, int needs, InqudProblem *problem)
{
	begin_look_up(problem);
	if (SearchSysCacheExists1(FOREIGNSERVEROID, ObjectIdGetDatum(serverid)))
		return look_up(serverid, roleid, needs, problem);
	inqud_problem_set(problem, INQUD_FAULT_NO_SERVER, ERRCODE_UNDEFINED_OBJECT,
					  "server was dropped", NULL, NULL);
	return NULL;
}

InqudProject *
inqud_project_get(const char *server, Oid roleid, int needs)
{
	InqudProblem problem;
	InqudProject *project = inqud_project_lookup(server, roleid, needs, &problem);

	if (project == NULL)
		inqud_problem_raise(&problem);
	return project;
}

uint64
inqud_project_changes(void)
{
	return invalidations + inqud_known_changes();
}

bool
inqud_has_mappings(Oid serverid)
{
	Relation	rel = table_open(UserMappingRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	int			found = 0;

	ScanKeyInit(&key, Anum_pg_user_mapping_umserver, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(serverid));
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 1, &key);
	while (found < 2 && HeapTupleIsValid(systable_getnext(scan)))
		found++;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found > 1;
}

/* ---- Pins ---- */

InqudProject *
inqud_project_pin(InqudProject *project)
{
	project->refcount++;
	return project;
}

void
inqud_project_release(InqudProject *project)
{
	Assert(project->refcount > 0);
	project->refcount--;
	if (project->stale && project->refcount == 0)
		MemoryContextDelete(((InqudProjectEntry *) project)->context);
}

/* Memory context callback. */
static void
release_callback(void *arg)
{
	inqud_project_release(arg);
}

void
inqud_project_release_with(InqudProject *project, MemoryContext context)
{
	MemoryContextCallback *callback =
		MemoryContextAllocExtended(context, sizeof(*callback), MCXT_ALLOC_NO_OOM);

	if (callback == NULL)
	{
		inqud_project_release(project);
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	}
	callback->func = release_callback;
	callback->arg = project;
	MemoryContextRegisterResetCallback(context, callback);
}

/* ---------------------------------------------------------------------
 * Secrets that a reply may repeat
 *
 * Inqud, or a proxy before it, may quote what it was sent.  Its texts get into
 * errors, rows, events and the log.  So all secrets of the mapping and the request's
 * signature are replaced in them first, by the client.
 * ---------------------------------------------------------------------
 */

InqudHider *
inqud_project_hider(const InqudProject *project, const InqudRequest *request)
{
	const char *secrets[3 + INQUD_WEBHOOK_SECRETS];
	int			n = 0;

	secrets[n++] = request ? inqud_request_signature(request) : NULL;
	secrets[n++] = project->account.token_secret;
	secrets[n++] = project->account.token_id;
	for (int i = 0; i < INQUD_WEBHOOK_SECRETS; i++)
		secrets[n++] = project->webhook_secret[i];
	return inqud_hider_new(secrets, n);
}
