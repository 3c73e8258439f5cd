/*-------------------------------------------------------------------------
 *
 * options.h
 *		What a server and a user mapping say: one Inqud project and how, how
 *		fast and as whom to reach it.
 *
 * A project is looked up by the server's name and a role, and cached until the
 * catalogs change (or the secret file does).  The lookup never throws for what
 * a user got wrong: it says what is missing, so that the worker can note it for
 * one row and go on.  Secrets live only in the cache entry, which is wiped
 * before it is freed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_OPTIONS_H
#define INQUD_OPTIONS_H

#include "client/inqud_client.h"
#include "pg/compat.h"

#define INQUD_MAX_SECRETS 2		/* current, previous */

typedef struct InqudProject
{
	char	   *name;			/* of the server */
	Oid			serverid;
	Oid			roleid;			/* for whom it was looked up */
	Oid			mappingid;		/* the mapping used (of roleid, or PUBLIC's); changes of the
								 * mapping's options do not change it */
	uint64		credential;		/* hash of token id and secret: who is paused after a 401 */
	uint64		limiter;		/* hash of base_url and project_id: whose rate is limited */
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
	char	   *webhook_secret[INQUD_MAX_SECRETS];	/* NULL where not set */
	char	   *request_webhook_secret[INQUD_MAX_SECRETS];
	bool		has_credentials;	/* token_id and token_secret are both set */
	int			refcount;		/* pins by users; see inqud_project_release */
	bool		stale;			/* out of the cache already; freed with the last pin */
} InqudProject;

/* Why a lookup failed; texts are palloc'ed in the caller's context, translated by nobody. */
typedef struct InqudProblem
{
	int			sqlstate;
	char	   *message;
	char	   *detail;			/* or NULL */
	char	   *hint;			/* or NULL */
} InqudProblem;

/* What a lookup must hold. */
#define INQUD_NEED_USAGE		0x01	/* the role has USAGE on the server */
#define INQUD_NEED_CREDENTIALS	0x02	/* a mapping exists and has a token */

/*
 * Find the project.  Needs a transaction.  Returns a pinned project, or NULL
 * with *problem filled: no such server, server of another wrapper (checked by
 * membership in the extension), no USAGE, no mapping, unreadable or malformed
 * secret_file.
 */
extern InqudProject *inqud_project_lookup(const char *server, Oid roleid,
										  int needs, InqudProblem *problem);

/* As above, but raises the problem as an error. */
extern InqudProject *inqud_project_get(const char *server, Oid roleid, int needs);

/* Throw a problem as an error. */
extern void inqud_problem_raise(const InqudProblem *problem) pg_attribute_noreturn();

/* Pin and unpin; a pin may be held across transactions. */
extern InqudProject *inqud_project_pin(InqudProject *project);
extern void inqud_project_release(InqudProject *project);

/*
 * Release automatically when the memory context is reset or deleted (error
 * paths of functions).
 */
extern void inqud_project_release_with(InqudProject *project, MemoryContext context);

#endif							/* INQUD_OPTIONS_H */
