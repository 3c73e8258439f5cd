/*-------------------------------------------------------------------------
 *
 * check.c
 *		inqud_check_project: what of a project works, step by step, and how to
 *		mend what does not.
 *
 * What is wrong becomes a row, not an error, and what was not tried for that
 * reason says so.  One read is made, on a new connection and under the rate limit:
 * of the caller's newest checkout, or of an id that nobody has.  Nothing is written.
 *
 * Nothing of a mapping may get into a row, nor of other roles' checkouts.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_user_mapping.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pg/shared.h"
#include "pg/worker.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(inqud_check_project);

/* An id of the right shape that no checkout has. */
#define NOBODYS_ID "CCO-00000000-0000-4000-8000-000000000000"

/* A reply's Date has whole seconds and may come from a cache; this is beyond both. */
#define MAX_SKEW_SECONDS 60

#define NOT_TRIED "not tried, because of the step above"

typedef enum Verdict
{
	GOOD,
	BAD,
	OPEN						/* not tried, not needed, or cannot be known */
} Verdict;

/* The steps, in the order of their rows. */
typedef enum Step
{
	STEP_VERSION,
	STEP_SERVER,
	STEP_RIGHTS,
	STEP_OPTIONS,
	STEP_MAPPING,
	STEP_NAME,
	STEP_CONNECTION,
	STEP_TLS,
	STEP_ANSWER,
	STEP_CREDENTIALS,
	STEP_ROUTE,
	STEP_CLOCK,
	STEP_WORKER,
	STEP_QUEUE,
	STEP_ON_STATUS,
	STEP_WEBHOOKS
} Step;

#define NSTEPS (STEP_WEBHOOKS + 1)

static const char *const step_names[NSTEPS] = {
	"version", "server", "rights", "options", "mapping", "name", "connection",
	"tls", "answer", "credentials", "route", "clock", "worker", "queue",
	"on_status", "webhooks"
};

typedef struct Check
{
	const char *server;
	InqudProject *project;		/* NULL until it is found */
	MemoryContext context;
	Verdict		verdict[NSTEPS];
	char	   *detail[NSTEPS];
	/* what inqud._check says */
	int64		queued;
	int64		overdue;
	int64		elsewhere;
	int64		other_project;
	char	   *checkout_id;	/* the caller's newest, or NULL */
	char	   *on_status;		/* what is wrong with it, "" = nothing, NULL = there is none */
} Check;

static void note(Check *check, Step step, Verdict verdict, const char *format,...)
			__attribute__((format(printf, 4, 5)));

static void
note(Check *check, Step step, Verdict verdict, const char *format,...)
{
	StringInfoData text;

	initStringInfo(&text);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&text, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}
	check->verdict[step] = verdict;
	check->detail[step] = text.data;
}

static int64
count_column(int column)
{
	bool		isnull;

	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull));
}

static char *
text_column(const Check *check, int column)
{
	char	   *text = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column);

	return text ? MemoryContextStrdup(check->context, text) : NULL;
}

/* ---------------------------------------------------------------------
 * Version, server, rights, options, mapping
 * ---------------------------------------------------------------------
 */

/* False when nothing in this database may be used. */
static bool
check_version(Check *check)
{
	bool		present = inqud_extension_present();
	const char *unserved = present ? inqud_unserved_version() : NULL;

	if (present && unserved == NULL)
	{
		note(check, STEP_VERSION, GOOD, "the library is of version %s and serves this database's", INQUD_VERSION);
		return true;
	}
	if (present)
		note(check, STEP_VERSION, BAD, "the extension is of version %s here, which the loaded library of version %s does not serve. Install the library that belongs to it and restart the server, then run ALTER EXTENSION inqud UPDATE.",
			 unserved, INQUD_VERSION);
	else
		note(check, STEP_VERSION, BAD, "the extension is not installed as its script made it: schema inqud must be its member, under that name");
	return false;
}

static char *
describe(const InqudProblem *problem)
{
	return psprintf("%s%s%s%s%s", problem->message,
					problem->detail ? ". " : "", problem->detail ? problem->detail : "",
					problem->hint ? (problem->detail ? " " : ". ") : "",
					problem->hint ? problem->hint : "");
}

/* Which step a problem of the lookup belongs to. */
static Step
step_of(const InqudProblem *problem)
{
	switch (problem->sqlstate)
	{
		case ERRCODE_UNDEFINED_OBJECT:
		case ERRCODE_WRONG_OBJECT_TYPE:
			return STEP_SERVER;
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			return STEP_RIGHTS;
		case ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED:
		case ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE:
			return STEP_OPTIONS;
		default:
			return STEP_MAPPING;	/* the secret file */
	}
}

static void
note_problem(Check *check, Step step, const InqudProblem *problem)
{
	note(check, step, BAD, "%s%s", describe(problem), step != STEP_RIGHTS ? "" :
		 psprintf(". Grant it with GRANT USAGE ON FOREIGN SERVER %s TO %s.",
				  quote_identifier(check->server), quote_identifier(inqud_current_role())));
	for (int i = STEP_SERVER; i < (int) step; i++)
		note(check, i, GOOD, "%s", i == STEP_RIGHTS ?
			 psprintf("role \"%s\" has USAGE", inqud_current_role()) : "found");
}

static bool
is_public_mapping(Oid mapping)
{
	HeapTuple	tuple = SearchSysCache1(USERMAPPINGOID, ObjectIdGetDatum(mapping));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = !OidIsValid(((Form_pg_user_mapping) GETSTRUCT(tuple))->umuser);
	ReleaseSysCache(tuple);
	return result;
}

/* False when there is no project that could be called. */
static bool
check_setup(Check *check)
{
	InqudProblem problem;
	InqudProject *project = inqud_project_lookup(check->server, GetUserId(),
												 INQUD_NEED_USAGE, &problem);
	InqudProject *usable;

	if (project == NULL)
	{
		note_problem(check, step_of(&problem), &problem);
		return false;
	}
	inqud_project_release_with(project, check->context);
	check->project = project;
	note(check, STEP_SERVER, GOOD, "found");
	note(check, STEP_RIGHTS, GOOD, "role \"%s\" has USAGE", inqud_current_role());
	note(check, STEP_OPTIONS, GOOD, "project %s at %s",
		 project->account.project_id, project->account.base_url);
	usable = inqud_project_lookup(check->server, GetUserId(),
								  INQUD_NEED_USAGE | INQUD_NEED_CREDENTIALS, &problem);
	if (usable == NULL)
	{
		note_problem(check, STEP_MAPPING, &problem);
		return false;
	}
	inqud_project_release(usable);
	note(check, STEP_MAPPING, GOOD, "%s has a token, sent as auth '%s' says",
		 is_public_mapping(project->mappingid) ? "that for PUBLIC" : "the role's own",
		 project->account.auth_signed ? "signed" : "secret");
	return true;
}

/* ---------------------------------------------------------------------
 * The call
 * ---------------------------------------------------------------------
 */

static InqudTask *
make_task(const Check *check)
{
	InqudTask  *task = palloc0(sizeof(InqudTask));

	task->project = pstrdup(check->server);
	task->checkout_id = pstrdup(check->checkout_id ? check->checkout_id : NOBODYS_ID);
	return task;
}

/* The step at which nothing could be sent. */
static void
note_not_sent(Check *check, const InqudResponse *response)
{
	const char *url = check->project->account.base_url;
	char	   *error = inqud_readable(response->error);

	if (response->name_failed)
		note(check, STEP_NAME, BAD, "the host of %s has no address: %s. Check base_url, and the name servers of this machine.",
			 url, error);
	else if (response->address_refused)
		note(check, STEP_NAME, BAD, "%s of %s. Nothing is sent there; if that is meant, write the address itself into base_url.",
			 error, url);
	else if (response->connected && response->timed_out)
		note(check, STEP_TLS, BAD, "no agreement within connect_timeout. Does %s speak https at that port, and does something between hold it up?",
			 url);
	else if (response->tls_failed || response->connected)
		note(check, STEP_TLS, BAD, "%s. Are the CA certificates of this machine there (package ca-certificates), is the right name in base_url, and is nothing between that replaces certificates? A CA of your own goes into ca_file.",
			 error);
	else
		note(check, STEP_CONNECTION, BAD, "%s: %s. Can this machine reach it, and does a firewall let the server's process out? Proxies of the environment are not used.",
			 url, error);
}

static void
note_connection(Check *check, const InqudResponse *response)
{
	bool		plain = strncmp(check->project->account.base_url, "http:", 5) == 0;

	if (response->connected)
	{
		note(check, STEP_NAME, GOOD, "leads to %s", response->address);
		note(check, STEP_CONNECTION, GOOD, "connected");
	}
	else if (!response->name_failed && !response->address_refused)
		note(check, STEP_NAME, GOOD, "has an address");
	if (response->progress != INQUD_NOT_SENT)
		note(check, STEP_TLS, plain ? OPEN : GOOD, "%s",
			 plain ? "not used: base_url is plain http, to a loopback address" : "the certificate is good");
	else
		note_not_sent(check, response);
}

/* Two steps about which an answer of this kind says nothing. */
static void
leave_open(Check *check, const char *why)
{
	note(check, STEP_CREDENTIALS, OPEN, "%s", why);
	note(check, STEP_ROUTE, OPEN, "%s", why);
}

static void
note_credentials_refused(Check *check, const char *said)
{
	note(check, STEP_CREDENTIALS, BAD, "refused: %s. Check token_id and token_secret in the user mapping, whether the token still exists and may use project %s, and whether Inqud wants to know this machine's address%s",
		 said, check->project->account.project_id,
		 check->project->account.auth_signed ? ". With auth 'signed' a wrong secret is a wrong signature." : ".");
	note(check, STEP_ROUTE, OPEN, NOT_TRIED);
}

static void
note_not_found(Check *check, const char *said)
{
	if (check->checkout_id)
		note(check, STEP_ROUTE, BAD, "Inqud does not know %s, which is recorded here: %s. Does project_id belong to another account now?",
			 check->checkout_id, said);
	else
		note(check, STEP_ROUTE, GOOD, "Inqud says, of an id that nobody has: %s. Whether the project exists cannot be told from that; the first checkout will.",
			 said);
	note(check, STEP_CREDENTIALS, GOOD, "not refused");
}

/* What an answer, or the want of one, says. */
static void
note_answer(Check *check, const InqudResult *result, const InqudResponse *response)
{
	char	   *said = inqud_readable(result->message);
	InqudOutcome outcome = inqud_reply_outcome(result->reply);

	if (response->http_status != 0)
		note(check, STEP_ANSWER, GOOD, "HTTP %d", response->http_status);
	else
		note(check, STEP_ANSWER, BAD, "something answered, but not with an HTTP status. Is base_url right?");
	switch (outcome)
	{
		case INQUD_OK:
			note(check, STEP_CREDENTIALS, GOOD, "accepted");
			note(check, STEP_ROUTE, GOOD, "%s was read", check->checkout_id ? check->checkout_id : NOBODYS_ID);
			return;
		case INQUD_NOT_FOUND:
			note_not_found(check, said);
			return;
		case INQUD_AUTH:
			note_credentials_refused(check, said);
			return;
		case INQUD_ROUTE:
			note(check, STEP_CREDENTIALS, OPEN, NOT_TRIED);
			note(check, STEP_ROUTE, BAD, "%s. Check project_id, base_url and checkout_path; redirects are not followed.", said);
			return;
		case INQUD_REFUSED:
			leave_open(check, psprintf("cannot be told: Inqud does not take the id that was asked for: %s", said));
			return;
		case INQUD_THROTTLED:
			note(check, STEP_ANSWER, BAD, "Inqud asks to slow down: %s. Try again in " INT64_FORMAT " s; see rate_limit.",
				 said, (result->retry_in_ms + 999) / 1000);
			break;
		case INQUD_BAD_REPLY:
			note(check, STEP_ANSWER, BAD, "%s. This is not Inqud's API: check base_url, and what stands between.", said);
			break;
		default:
			note(check, STEP_ANSWER, BAD, "%s. Try again; if it stays so, ask Inqud.", said);
			break;
	}
	leave_open(check, NOT_TRIED);
}

static void
note_clock(Check *check, const InqudResponse *response, TimestampTz arrived)
{
	int64		ahead = inqud_to_unix(arrived) / USECS_PER_SEC - response->date;

	if (response->date == 0)
		note(check, STEP_CLOCK, OPEN, "the answer has no date");
	else if (ahead > MAX_SKEW_SECONDS || ahead < -MAX_SKEW_SECONDS)
		note(check, STEP_CLOCK, BAD, "this machine's clock is " INT64_FORMAT " seconds %s the answer's. Expiries would be wrong by as much; have the clock set by the network (NTP).",
			 ahead > 0 ? ahead : -ahead, ahead > 0 ? "ahead of" : "behind");
	else
		note(check, STEP_CLOCK, GOOD, "agrees with the answer's");
}

static void
check_call(Check *check)
{
	InqudTask  *task = make_task(check);
	InqudRequest *request;
	InqudResult result;
	InqudResponse response;
	const char *why;
	int64		wait;

	request = inqud_task_request(task, check->project, &why);
	if (request == NULL)
	{
		note(check, STEP_NAME, BAD, "the request cannot be built: %s", why);
		return;
	}
	inqud_request_free_with(request, check->context);
	wait = inqud_call_anew(check->project, task, request, &result, &response, check->context);
	if (wait > 0)
	{
		note(check, STEP_NAME, OPEN, "not tried: calls of this project pause for " INT64_FORMAT " s, because Inqud asked for it or by rate_limit; try again then",
			 (wait + USECS_PER_SEC - 1) / USECS_PER_SEC);
		return;
	}
	note_connection(check, &response);
	if (response.progress == INQUD_NOT_SENT)
		return;
	note_answer(check, &result, &response);
	note_clock(check, &response, result.arrived);
}

/* ---------------------------------------------------------------------
 * What is in this database and server
 * ---------------------------------------------------------------------
 */

/* Have SQL look at the rows that the caller may see. */
static void
look_at_rows(Check *check)
{
	static const char *const types[] = {"text", "text", "int8", "name"};
	static InqudStatement statement = {
		"SELECT queued, overdue, elsewhere, other_project, checkout_id, on_status"
		" FROM inqud._check($1, $2, $3, $4)", 4, types
	};
	Datum		values[4];
	InqudRole	role;

	values[0] = CStringGetTextDatum(check->server);
	values[1] = CStringGetTextDatum(check->project->account.project_id);
	values[2] = Int64GetDatum(inqud_this_home());
	values[3] = inqud_name_datum(inqud_current_role());
	inqud_enter(&role);
	inqud_execute(&statement, values, NULL);
	check->queued = count_column(1);
	check->overdue = count_column(2);
	check->elsewhere = count_column(3);
	check->other_project = count_column(4);
	check->checkout_id = text_column(check, 5);
	check->on_status = text_column(check, 6);
	inqud_leave(&role);
}

/* This database's slot, as it was a moment ago; false when there is none. */
static bool
copy_slot(InqudDatabase *copy)
{
	InqudDatabase *slot = inqud_database(MyDatabaseId, false);

	if (slot == NULL)
		return false;
	inqud_shared_lock();
	memcpy(copy, slot, sizeof(*copy));
	inqud_shared_unlock();
	return true;
}

static void
note_slot(Check *check, const InqudDatabase *slot)
{
	bool		monitor = has_privs_of_role(GetUserId(), ROLE_PG_MONITOR);

	if (slot->stopped)
		note(check, STEP_WORKER, BAD, "stopped by inqud_worker_stop(); start it with inqud_worker_start()");
	else if (slot->failures > 0)
		note(check, STEP_WORKER, BAD, "has ended with an error %d times in a row%s%s; the server's log says more",
			 slot->failures, monitor && slot->error[0] ? ": " : "", monitor ? slot->error : "");
	else if (slot->pid != 0)
		note(check, STEP_WORKER, GOOD, "runs as process %d", slot->pid);
	else if (slot->starting)
		note(check, STEP_WORKER, OPEN, "is being started");
	else if (slot->wanted && !slot->away)
		note(check, STEP_WORKER, OPEN, "waits for its turn; if that lasts, raise max_worker_processes or inqud.max_workers");
	else
		note(check, STEP_WORKER, GOOD, "not needed now; the next order brings it back");
}

static void
check_worker(Check *check)
{
	InqudDatabase slot;

	if (!inqud_shared_ready())
		note(check, STEP_WORKER, BAD, "inqud is not preloaded, so what is queued waits; add it to shared_preload_libraries and restart the server");
	else if (RecoveryInProgress())
		note(check, STEP_WORKER, OPEN, "this is a standby; the worker begins when it is promoted");
	else if (!inqud_enabled)
		note(check, STEP_WORKER, BAD, "inqud.enabled is off; set it to on and reload the configuration");
	else if (!inqud_launcher_present())
		note(check, STEP_WORKER, BAD, "the launcher of inqud does not run; raise max_worker_processes and restart the server, whose log says more");
	else if (copy_slot(&slot))
		note_slot(check, &slot);
	else
		note(check, STEP_WORKER, GOOD, "not needed now; the next order brings it back");
}

static void
check_queue(Check *check)
{
	if (check->other_project > 0)
		note(check, STEP_QUEUE, BAD, INT64_FORMAT " checkouts were made for another project_id and stand still; set it back, or cancel them",
			 check->other_project);
	else if (check->elsewhere > 0)
		note(check, STEP_QUEUE, BAD, INT64_FORMAT " rows were queued in another database or cluster and stand still. If this is not a copy: SELECT inqud_adopt(%s)",
			 check->elsewhere, quote_literal_cstr(check->server));
	else if (check->overdue > 0)
		note(check, STEP_QUEUE, BAD, INT64_FORMAT " checkouts should have been sent a minute ago or more; inqud.trouble and inqud.pending say which",
			 check->overdue);
	else
		note(check, STEP_QUEUE, GOOD, INT64_FORMAT " checkouts to be sent, none overdue", check->queued);
}

static void
check_callbacks(Check *check)
{
	const InqudProject *project = check->project;

	if (check->on_status == NULL)
		note(check, STEP_ON_STATUS, OPEN, "not set; statuses are in inqud.checkout only");
	else if (check->on_status[0] == '\0')
		note(check, STEP_ON_STATUS, GOOD, "the function is there");
	else
		note(check, STEP_ON_STATUS, BAD, "%s", check->on_status);
	if (project->webhook_secret[0] || project->request_webhook_secret[0])
		note(check, STEP_WEBHOOKS, GOOD, "a secret is set");
	else
		note(check, STEP_WEBHOOKS, OPEN, "no secret is set in this role's mapping; news comes by polling");
}

/* ---------------------------------------------------------------------
 * The function
 * ---------------------------------------------------------------------
 */

static void
give_rows(const Check *check, ReturnSetInfo *rsinfo)
{
	for (int i = 0; i < NSTEPS; i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false};

		values[0] = CStringGetTextDatum(step_names[i]);
		values[1] = BoolGetDatum(check->verdict[i] == GOOD);
		nulls[1] = check->verdict[i] == OPEN;
		values[2] = CStringGetTextDatum(check->detail[i]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

static void
check_all(Check *check)
{
	bool		usable = check_setup(check);

	if (check->project)
	{
		look_at_rows(check);
		if (usable)
			check_call(check);
	}
	if (check->verdict[STEP_RIGHTS] != BAD)
		check_worker(check);
	if (check->project)
	{
		check_queue(check);
		check_callbacks(check);
	}
}

/*
 * inqud_check_project: see above.  A role without USAGE learns that it lacks it,
 * and no more.  Errors: 57014 when canceled; 55000 in the worker.
 */
Datum
inqud_check_project(PG_FUNCTION_ARGS)
{
	Check	   *check = palloc0(sizeof(Check));

	inqud_refuse_in_worker();
	inqud_init_materialized(fcinfo);
	check->server = text_to_cstring(PG_GETARG_TEXT_PP(0));
	check->context = AllocSetContextCreate(CurTransactionContext, "inqud check", ALLOCSET_SMALL_SIZES);
	for (int i = 0; i < NSTEPS; i++)
		note(check, i, OPEN, NOT_TRIED);
	if (check_version(check))
		check_all(check);
	give_rows(check, (ReturnSetInfo *) fcinfo->resultinfo);
	MemoryContextDelete(check->context);
	return (Datum) 0;
}
