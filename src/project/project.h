/*-------------------------------------------------------------------------
 *
 * project.h
 *		A project of Inqud: the options of a server and a user mapping.
 *
 * A project is looked up by the server's name and a role, and cached until the
 * catalogs or the secret file change.  The look-up must not throw for a user's
 * mistake: it returns the problem, so that the worker can note it for one row and
 * continue.  Secrets are only in the cache entry, which is wiped before it is freed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_PROJECT_H
#define INQUD_PROJECT_H

#include <sys/stat.h>

#include "pg/inqud.h"
#include "storage/itemptr.h"

#define INQUD_WEBHOOK_SECRETS 4

typedef struct InqudProject
{
	char	   *name;			/* of the server */
	Oid			serverid;
	Oid			roleid;			/* for whom it was looked up */
	Oid			mappingid;		/* the mapping used (of roleid, or PUBLIC's), InvalidOid = none;
								 * changes of its options do not change it */
	uint64		version;		/* of server, mapping and secret file: changes with their options */
	InqudDigest digest;			/* of base_url, project_id and token: key of the rate limit */
	InqudAccount account;		/* strings belong to the project */
	double		rate_limit;		/* calls per second, 0 = none */
	int			max_inflight;
	int64		retry_min_ms;
	int64		retry_max_ms;
	int64		retry_for_ms;
	int64		poll_active_ms;
	int64		poll_new_ms;
	int64		expires_in_ms;
	int			name_limit;		/* characters, 0 = none */
	char	   *on_status;		/* function's name as written, or NULL */
	char	   *widget_url;
	char	   *webhook_secret[INQUD_WEBHOOK_SECRETS];	/* of checkouts: current, previous; of
														 * requests: the same; NULL where not set */
	bool		has_credentials;	/* token_id and token_secret are both set */
	int			refcount;		/* pins by users; see inqud_project_release */
	bool		stale;			/* no longer in the cache; freed with the last pin */
} InqudProject;

/* Why a look-up failed.  Texts are in English. */
typedef struct InqudProblem
{
	MemoryContext context;		/* of the texts: that of the look-up's caller */
	InqudFault	fault;
	int			sqlstate;
	char	   *message;
	char	   *detail;			/* or NULL */
	char	   *hint;			/* or NULL */
} InqudProblem;

/* What a look-up requires besides the server. */
#define INQUD_NEED_USAGE		0x01	/* the role has USAGE on the server */
#define INQUD_NEED_CREDENTIALS	0x02	/* a mapping exists and has a token */

/*
 * Look a project up for a role.  Needs a transaction.  Returns a pinned project, which
 * the caller releases, or NULL with *problem filled in.  Its SQLSTATE is 42704 for no
 * such server, no mapping or no token; 42809 for a server of another wrapper; 42501
 * without USAGE; HV024 for a bad option, HV002 without project_id; F0000 for a
 * secret_file that is unreadable or malformed.
 */
extern InqudProject *inqud_project_lookup(const char *server, Oid roleid,
										  int needs, InqudProblem *problem);

/* The same for a server known by its oid. */
extern InqudProject *inqud_project_lookup_oid(Oid serverid, Oid roleid,
											  int needs, InqudProblem *problem);

/* The first one, but raises the problem as an error. */
extern InqudProject *inqud_project_get(const char *server, Oid roleid, int needs);

/*
 * How often servers, mappings, wrappers or entries have changed since this process's
 * first look-up, as far as its transactions have seen it.
 */
extern uint64 inqud_project_changes(void);

/* Does the server have more than one user mapping, so that calls have different accounts? */
extern bool inqud_has_mappings(Oid serverid);

/* problem.c: fill in a problem for a mapping that is missing or has no token; returns false. */
extern bool inqud_problem_no_token(InqudProblem *problem, const InqudProject *project);

/* Raise a problem as an error, with its SQLSTATE. */
extern void inqud_problem_raise(const InqudProblem *problem) pg_attribute_noreturn();

/*
 * known.c: the entries by which rows know roles and servers.  They need a transaction.
 */
typedef enum InqudKnown
{
	INQUD_KNOWN_ROLE,
	INQUD_KNOWN_SERVER
} InqudKnown;

/* The id of the entry of a role or server of here; 0 when there is none. */
extern int32 inqud_known_id(InqudKnown what, Oid oid);

/*
 * The same, made if there is none.  Raises 42704 when there is no such role or server.  A
 * transaction that is to write a row with the id holds its lock on inqud.checkout before
 * it asks (inqud_lock_checkouts), since inqud_adopt() may join two entries.
 */
extern int32 inqud_know(InqudKnown what, Oid oid);

/* The role or server of an entry, whether it still exists or not; InvalidOid when it is not known here. */
extern Oid	inqud_known_oid(InqudKnown what, int32 id);

/* The name that an entry was last known by, palloc'ed; NULL when there is no entry. */
extern char *inqud_known_name(InqudKnown what, int32 id);

/* How often entries have got another home or oid, as far as this process has seen it. */
extern uint64 inqud_known_changes(void);

/* Superusers and the extension's owner are trusted with everything. */
extern bool inqud_is_trusted(Oid role);

/* Whether a role may act on the checkouts of this owner (an entry): a member of it, and who is trusted. */
extern bool inqud_may_act(Oid role, int32 owner_id);

/* The name that a server has now which had this name before, palloc'ed; NULL when there is none. */
extern char *inqud_renamed_server(const char *name);

/* The shop's function that a server option names. */
typedef struct InqudCallback
{
	Oid			function;
	Oid			owner;			/* as whom it runs */
	char	   *schema;			/* palloc'ed or constant */
	TransactionId xmin;			/* these two are others when it has been altered */
	ItemPointerData tid;
} InqudCallback;

/*
 * callback.c: the function that an option such as on_status names.  Returns true when
 * it may run for a server of that owner, else false with *problem filled in, whose
 * message and hint name functions and roles only.  Needs a transaction.
 */
extern bool inqud_callback_find(InqudCallback *callback, const char *option, Oid server_owner,
								InqudProblem *problem);

/* Whether a wrapper is the extension's, by membership: any may be named "inqud".  Needs a transaction. */
extern bool inqud_is_our_wrapper(Oid fdwid);

/*
 * Pin and unpin.  A pinned project stays as it is, even when the cache drops it; a
 * pin may be held across transactions.  Pinning returns the project.
 */
extern InqudProject *inqud_project_pin(InqudProject *project);
extern void inqud_project_release(InqudProject *project);

/*
 * Release when the memory context is reset or deleted, so also after an error.  If
 * that cannot be registered, releases at once and raises 53200.
 */
extern void inqud_project_release_with(InqudProject *project, MemoryContext context);

/*
 * What finds the mapping's secrets, and the request's signature, in a reply or
 * webhook (request NULL).  NULL when out of memory.  The caller frees it.
 */
extern InqudHider *inqud_project_hider(const InqudProject *project, const InqudRequest *request);

/* ---------------------------------------------------------------------
 * Within src/project: the table of options, which of others only the widget and the doctor read.
 *
 * Each option has one reader, which says what a text must be.  So the validator and
 * the look-up, which reads lines of a secret file, refuse with the same words.
 * ---------------------------------------------------------------------
 */

/* A project in the cache, with what only src/project needs. */
typedef struct InqudProjectEntry
{
	InqudProject project;		/* must be first: users hold a pointer to it */
	MemoryContext context;		/* holds the entry and all its texts */
	uint32		server_hash;	/* the syscache's hash of the server's oid */
	char	   *secret_file;	/* or NULL */
	struct stat stamp;			/* of secret_file when it was read; zeros without */
} InqudProjectEntry;

typedef struct InqudOption
{
	const char *name;
	Oid			catalog;		/* ForeignServerRelationId or UserMappingRelationId */

	/*
	 * Put a text into the member, which is of the reader's type.  NULL when it is good,
	 * else what it must be ("must be ..."), without any part of it.
	 */
	const char *(*read) (const struct InqudOption *option, const char *text, void *member);
	bool		is_number;		/* or a word; else the member is a text */
	size_t		offset;			/* of the member in InqudProjectEntry */
	const char *initial;		/* default as a user would write it, or NULL */
	int64		min;
	int64		max;
	bool		privileged;		/* makes the server read a file */
	const char *begins;			/* how Inqud's identifiers of that kind begin, or NULL */
} InqudOption;

/*
 * Read a text and put it into its member, copied into the entry's context and wiped
 * with it.  Returns NULL when it is good, else what it must be ("must be ...").
 */
extern const char *inqud_option_set(InqudProjectEntry *entry,
									const InqudOption *option, const char *text);

/* Whether a text begins as Inqud's identifiers of that kind do; true where no such thing is known. */
extern bool inqud_option_begins_well(const InqudOption *option, const char *text);

/* Set the defaults of all options. */
extern void inqud_option_set_defaults(InqudProjectEntry *entry);

/* Milliseconds as a text in the largest unit that divides them, such as "5 min". */
extern const char *inqud_duration_text(int64 ms);

/* An option's name and text, as a catalog has them. */
typedef struct InqudOptionText
{
	char	   *name;
	char	   *value;
} InqudOptionText;

/* The option at index i, from 0; NULL behind the last. */
extern const InqudOption *inqud_option_at(int i);

/* The option of that name in a catalog, or in any for InvalidOid; NULL when there is none. */
extern const InqudOption *inqud_option_find(const char *name, Oid catalog);

/* The names of a catalog's options, separated by commas, palloc'ed; "" when it has none. */
extern char *inqud_option_names(Oid catalog, bool with_privileged);

/* Whether a text has a byte below 32, or 127. */
extern bool inqud_has_control(const char *text);

/* Whether all bytes of a text are printable ASCII characters other than the blank. */
extern bool inqud_is_visible_ascii(const char *text);

/*
 * wiped.c: split a catalog's text[] into names and values.  They live in the current
 * memory context and are wiped when it is reset or deleted.
 */
extern InqudOptionText *inqud_option_texts(Datum options, int *count);

/* Wipe "len" bytes at "memory" when the context is reset or deleted.  Call it before they are filled. */
extern void inqud_wipe_with(MemoryContext context, void *memory, Size len);

/* Copy "len" bytes of a text into the context, zero-terminated, and wipe them with it. */
extern char *inqud_wiped_copy(MemoryContext context, const char *text, Size len);

/* Set the options that are in the secret file, if there is one, and not in the mapping; false with the problem noted. */
extern bool inqud_secret_file_read(InqudProjectEntry *entry, InqudProblem *problem);

/* Whether the secret file is the one that was read, by its stamp; false for a missing file. */
extern bool inqud_secret_file_unchanged(const InqudProjectEntry *entry);

/* problem.c: fill in a problem; the texts are copied.  Returns false, for the caller to return. */
extern bool inqud_problem_set(InqudProblem *problem, InqudFault fault, int sqlstate,
							  const char *message, const char *detail, const char *hint);

#endif							/* INQUD_PROJECT_H */
