/*-------------------------------------------------------------------------
 *
 * project.c
 *		Finds what a server and a user mapping say of a project, and keeps it
 *		until the catalogs or the secret file change.
 *
 * Each entry lives in a memory context of its own, with every text of a mapping
 * registered to be wiped before that context goes, whichever way it goes.  An
 * entry leaves the cache as soon as a change is heard of; who has pinned it may
 * go on with it and frees it with the last pin.  (The server's own catalog
 * caches hold the options too; those are out of reach.)
 *
 * Must not throw for what a user got wrong, and must put nothing of a mapping,
 * the secret file's path included, into a message.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pg/compat.h"

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/extension.h"
#include "common/hashfn.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "pg/option_table.h"

/*
 * Pairs of server and role that are kept.  A worker may meet thousands of
 * roles; beyond this number the cache starts again.
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

/* Counts changes heard of, to see that one came while an entry was being built. */
static uint64 generation = 0;

/* ---------------------------------------------------------------------
 * The cache
 * ---------------------------------------------------------------------
 */

static void
free_entry(InqudProjectEntry *entry)
{
	MemoryContextDelete(entry->context);
}

/* Take an entry out of the cache. */
static void
discard(ProjectSlot *slot)
{
	InqudProjectEntry *entry = slot->entry;

	hash_search(projects, &slot->key, HASH_REMOVE, NULL);
	entry->project.stale = true;
	if (entry->project.refcount == 0)
		free_entry(entry);
}

/* Discard the entries of one server by its hash value, or all for 0. */
static void
discard_matching(uint32 server_hash)
{
	HASH_SEQ_STATUS scan;
	ProjectSlot *slot;

	hash_seq_init(&scan, projects);
	while ((slot = hash_seq_search(&scan)) != NULL)
		if (server_hash == 0 || slot->entry->server_hash == server_hash)
			discard(slot);
}

/*
 * A changed mapping discards everything: one that is new for a role replaces
 * PUBLIC's, and no entry can know its hash.
 */
static void
hear_of_change(Datum arg, int cacheid, uint32 hashvalue)
{
	generation++;
	discard_matching(cacheid == FOREIGNSERVEROID ? hashvalue : 0);
}

/* Once per backend; the callbacks cannot be taken back. */
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
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, hear_of_change, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, hear_of_change, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, hear_of_change, (Datum) 0);
}

static void
keep_entry(InqudProjectEntry *entry)
{
	ProjectKey	key = {entry->project.serverid, entry->project.roleid};
	ProjectSlot *slot;

	if (hash_get_num_entries(projects) >= MAX_ENTRIES)
		discard_matching(0);
	slot = hash_search(projects, &key, HASH_ENTER, NULL);
	slot->entry = entry;
	MemoryContextSetParent(entry->context, TopMemoryContext);
}

/* ---------------------------------------------------------------------
 * Problems
 * ---------------------------------------------------------------------
 */

/* Note a problem; returns false for the caller to return. */
bool
inqud_problem_set(InqudProblem *problem, int sqlstate, char *message, char *detail, char *hint)
{
	problem->sqlstate = sqlstate;
	problem->message = message;
	problem->detail = detail;
	problem->hint = hint;
	return false;
}

/* Copy the texts out of a context that is about to go. */
static void
bring_home(InqudProblem *problem)
{
	problem->message = pstrdup(problem->message);
	if (problem->detail)
		problem->detail = pstrdup(problem->detail);
	if (problem->hint)
		problem->hint = pstrdup(problem->hint);
}

static char *
create_server_hint(const char *server)
{
	return psprintf("Create one with CREATE SERVER %s FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-...').",
					quote_identifier(server));
}

static bool
fail_credentials(InqudProblem *problem, const InqudProject *project)
{
	const char *server = quote_identifier(project->name);
	char	   *role;

	if (OidIsValid(project->mappingid))
		return inqud_problem_set(problem, ERRCODE_UNDEFINED_OBJECT,
								 psprintf("user mapping for server \"%s\" has no API token", project->name),
								 pstrdup("Both \"token_id\" and \"token_secret\" are needed."),
								 psprintf("Set them with ALTER USER MAPPING FOR ... SERVER %s OPTIONS (ADD token_id '...', ADD token_secret '...'), or in the mapping's secret_file.",
										  server));
	role = GetUserNameFromId(project->roleid, true);
	return inqud_problem_set(problem, ERRCODE_UNDEFINED_OBJECT,
							 psprintf("user mapping not found for user \"%s\", server \"%s\"",
									  role ? role : "unknown", project->name),
							 NULL,
							 psprintf("Create one with CREATE USER MAPPING FOR PUBLIC SERVER %s OPTIONS (token_id '...', token_secret '...').",
									  server));
}

void
inqud_problem_raise(const InqudProblem *problem)
{
	ereport(ERROR,
			(errcode(problem->sqlstate),
			 errmsg_internal("%s", problem->message),
			 problem->detail ? errdetail_internal("%s", problem->detail) : 0,
			 problem->hint ? errhint("%s", problem->hint) : 0));
	pg_unreachable();
}

/* ---------------------------------------------------------------------
 * Filling an entry; all of it runs in a short-lived memory context
 * ---------------------------------------------------------------------
 */

static void
set_defaults(InqudProjectEntry *entry)
{
	const InqudOption *option;

	for (int i = 0; (option = inqud_option_at(i)) != NULL; i++)
		if (option->initial && inqud_option_set(entry, option, option->initial))
			elog(ERROR, "default of option \"%s\" is not valid", option->name);
}

/*
 * Take the options of a catalog's row.  They passed the validator, though
 * perhaps that of another version: an unknown one is left alone, a bad one is a
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
			return inqud_problem_set(problem, ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
									 psprintf("invalid value for option \"%s\" of server \"%s\"",
											  option->name, entry->project.name),
									 psprintf("The value %s.", complaint), NULL);
	}
	return true;
}

/* Any wrapper may be called "inqud"; ours is a member of the extension. */
static bool
check_wrapper(Oid fdwid, const char *server, InqudProblem *problem)
{
	Oid			extension = get_extension_oid("inqud", true);
	ForeignDataWrapper *wrapper;

	if (OidIsValid(extension) &&
		getExtensionOfObject(ForeignDataWrapperRelationId, fdwid) == extension)
		return true;
	wrapper = GetForeignDataWrapperExtended(fdwid, FDW_MISSING_OK);
	return inqud_problem_set(problem, ERRCODE_WRONG_OBJECT_TYPE,
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
	bool		ok;

	if (!HeapTupleIsValid(tuple))
		return inqud_problem_set(problem, ERRCODE_UNDEFINED_OBJECT,
								 pstrdup("server was dropped concurrently"), NULL, NULL);
	form = (Form_pg_foreign_server) GETSTRUCT(tuple);
	entry->project.name = MemoryContextStrdup(entry->context, NameStr(form->srvname));
	entry->server_hash = GetSysCacheHashValue1(FOREIGNSERVEROID, serverid);
	ok = check_wrapper(form->srvfdw, entry->project.name, problem) &&
		set_from_catalog(entry, FOREIGNSERVEROID, tuple,
						 Anum_pg_foreign_server_srvoptions,
						 ForeignServerRelationId, problem);
	ReleaseSysCache(tuple);
	if (ok && entry->project.account.project_id == NULL)
		return inqud_problem_set(problem, ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED,
								 psprintf("server \"%s\" has no option \"project_id\"",
										  entry->project.name), NULL, NULL);
	return ok;
}

/* The role's own mapping, else PUBLIC's; none is no problem here. */
static bool
set_from_mapping(InqudProjectEntry *entry, InqudProblem *problem)
{
	Datum		serverid = ObjectIdGetDatum(entry->project.serverid);
	HeapTuple	tuple;
	bool		ok;

	tuple = SearchSysCache2(USERMAPPINGUSERSERVER,
							ObjectIdGetDatum(entry->project.roleid), serverid);
	if (!HeapTupleIsValid(tuple))
		tuple = SearchSysCache2(USERMAPPINGUSERSERVER,
								ObjectIdGetDatum(InvalidOid), serverid);
	if (!HeapTupleIsValid(tuple))
		return true;
	entry->project.mappingid = ((Form_pg_user_mapping) GETSTRUCT(tuple))->oid;
	ok = set_from_catalog(entry, USERMAPPINGUSERSERVER, tuple,
						  Anum_pg_user_mapping_umoptions,
						  UserMappingRelationId, problem);
	ReleaseSysCache(tuple);
	return ok;
}

/* ---------------------------------------------------------------------
 * Looking up
 * ---------------------------------------------------------------------
 */

/* A hash over two texts that differs when the border between them moves. */
static uint64
hash_pair(const char *a, size_t len, const char *b)
{
	uint64		seed = hash_bytes_extended((const unsigned char *) a, len, 0);

	return hash_bytes_extended((const unsigned char *) b, strlen(b), seed);
}

static void
set_hashes(InqudProject *project)
{
	const InqudAccount *account = &project->account;
	size_t		len = strlen(account->base_url);

	while (len > 0 && account->base_url[len - 1] == '/')
		len--;
	project->limiter = hash_pair(account->base_url, len, account->project_id);
	project->has_credentials = account->token_id && account->token_secret;
	if (project->has_credentials)
		project->credential = hash_pair(account->token_id, strlen(account->token_id),
										account->token_secret);
}

static bool
fill_entry(InqudProjectEntry *entry, InqudProblem *problem)
{
	set_defaults(entry);
	if (!set_from_server(entry, problem) ||
		!set_from_mapping(entry, problem) ||
		!inqud_secret_file_read(entry, problem))
		return false;
	set_hashes(&entry->project);
	return true;
}

/* Build an entry in a child of the current memory context, or say why not. */
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
	ok = fill_entry(entry, problem);
	MemoryContextSwitchTo(caller);
	if (!ok)
		bring_home(problem);
	MemoryContextDelete(scratch);
	if (ok)
		return entry;
	free_entry(entry);
	return NULL;
}

/* The cached entry, or a new one; pinned. */
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
		discard(slot);

	before = generation;
	entry = build_entry(serverid, roleid, problem);
	if (entry == NULL)
		return NULL;
	if (generation == before)
		keep_entry(entry);
	else
	{
		/* something changed meanwhile: good for this once, not for keeping */
		entry->project.stale = true;
		MemoryContextSetParent(entry->context, TopMemoryContext);
	}
	return inqud_project_pin(&entry->project);
}

InqudProject *
inqud_project_lookup(const char *server, Oid roleid, int needs, InqudProblem *problem)
{
	Oid			serverid;
	InqudProject *project;

	memset(problem, 0, sizeof(*problem));
	prepare_cache();
	serverid = get_foreign_server_oid(server, true);
	if (!OidIsValid(serverid))
	{
		inqud_problem_set(problem, ERRCODE_UNDEFINED_OBJECT,
						  psprintf("server \"%s\" does not exist", server), NULL,
						  create_server_hint(server));
		return NULL;
	}

	/*
	 * Asked each time: granting and revoking change nothing in an entry.  (It
	 * throws if the server is dropped between these two steps.)
	 */
	if ((needs & INQUD_NEED_USAGE) &&
		inqud_server_aclcheck(serverid, roleid, ACL_USAGE) != ACLCHECK_OK)
	{
		inqud_problem_set(problem, ERRCODE_INSUFFICIENT_PRIVILEGE,
						  psprintf("permission denied for foreign server %s", server), NULL, NULL);
		return NULL;
	}
	project = find_project(serverid, roleid, problem);
	if (project && (needs & INQUD_NEED_CREDENTIALS) && !project->has_credentials)
	{
		fail_credentials(problem, project);
		inqud_project_release(project);
		return NULL;
	}
	return project;
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

/* ---------------------------------------------------------------------
 * Pins
 * ---------------------------------------------------------------------
 */

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
		free_entry((InqudProjectEntry *) project);
}

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
