/*-------------------------------------------------------------------------
 *
 * check_project.c
 *		inqud_check_project: tries a project step by step, and says for each step
 *		whether it works and how to mend it.
 *
 * A fault becomes a row, not an error; a step that was not tried because of it says
 * so.  It makes one read, on a new connection and under the rate limit: of the
 * caller's newest checkout, or of an id that no checkout has.  There is one row a step,
 * and one for each of the project's order triggers.
 *
 * It must write nothing.  No row may contain anything of a user mapping or of
 * another role's checkout.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(inqud_check_project);

/* An id of the right shape that no checkout has. */
#define UNUSED_ID "CCO-00000000-0000-4000-8000-000000000000"

/* A reply's Date has whole seconds and may come from a cache; a larger difference is the clock's. */
#define MAX_SKEW_SECONDS 60

#define NOT_TRIED "not tried, because of the step above"

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
	STEP_IDS,
	STEP_WORKER,
	STEP_QUEUE,
	STEP_TROUBLE,
	STEP_ON_STATUS,
	STEP_ON_STATUS_PATH,
	STEP_WEBHOOKS,
	STEP_TRIGGER
} Step;

#define NSTEPS (STEP_TRIGGER + 1)

static const char *const step_names[NSTEPS] = {
	"version", "server", "rights", "options", "mapping", "name", "connection",
	"tls", "answer", "credentials", "route", "clock", "ids", "worker", "queue",
	"trouble", "on_status", "on_status_path", "webhooks", "trigger"
};

typedef struct Check
{
	const char *server;
	InqudProject *project;		/* NULL until it is found */
	MemoryContext context;
	InqudVerdict verdict[NSTEPS];
	const char *detail[NSTEPS];
	/* what inqud._check says */
	int64		queued;
	int64		overdue;
	int64		elsewhere;
	int64		other_project;
	char	   *checkout_id;	/* the caller's newest, or NULL */
	List	   *triggers;		/* InqudFinding; NIL for one row of that step as for others */
} Check;

/* Set the row of a step; a later call replaces it. */
static void
note_step(Check *check, Step step, InqudVerdict verdict, const char *detail)
{
	check->verdict[step] = verdict;
	check->detail[step] = detail;
}

/* ---- Version, server, rights, options, mapping ---- */

/* Check that extension and library fit; false when they do not and nothing else can be tried. */
static bool
check_version(Check *check)
{
	bool		present = inqud_extension_present();
	const char *unserved = present ? inqud_unserved_version() : NULL;

	if (!present)
		note_step(check, STEP_VERSION, INQUD_STEP_BAD, "the extension is not installed as its script made it: schema inqud must be its member, under that name");
	else if (unserved)
		note_step(check, STEP_VERSION, INQUD_STEP_BAD, psprintf("the extension is of version %s here, which the loaded library of version %s does not serve. Install the library that belongs to it and restart the server, then run ALTER EXTENSION inqud UPDATE.",
													 unserved, INQUD_VERSION));
	else
		note_step(check, STEP_VERSION, INQUD_STEP_GOOD, "the library is of version " INQUD_VERSION " and serves this database's");
	return present && unserved == NULL;
}

/* Message, detail and hint of a problem in one text. */
static char *
problem_text(const InqudProblem *problem)
{
	return psprintf("%s%s%s%s%s", problem->message,
					problem->detail ? ". " : "", problem->detail ? problem->detail : "",
					problem->hint ? (problem->detail ? " " : ". ") : "",
					problem->hint ? problem->hint : "");
}

/* The step that a problem of the lookup belongs to. */
static Step
step_of_problem(const InqudProblem *problem)
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

/* Note a problem of the lookup at its step, and that the steps of the lookup before it worked. */
static void
note_problem(Check *check, Step step, const InqudProblem *problem)
{
	note_step(check, step, INQUD_STEP_BAD, psprintf("%s%s", problem_text(problem), step != STEP_RIGHTS ? "" :
										 psprintf(". Grant it with GRANT USAGE ON FOREIGN SERVER %s TO %s.",
												  quote_identifier(check->server), quote_identifier(inqud_current_role()))));
	for (int i = STEP_SERVER; i < (int) step; i++)
		note_step(check, i, INQUD_STEP_GOOD, i == STEP_RIGHTS ?
				  psprintf("role \"%s\" has USAGE", inqud_current_role()) : "found");
}

/* Check server, rights, options and mapping; false when the project cannot be called. */
static bool
check_setup(Check *check)
{
	InqudProblem problem;
	InqudProject *project = inqud_project_lookup(check->server, GetUserId(),
												 INQUD_NEED_USAGE, &problem);
	bool		own;

	if (project == NULL)
	{
		note_problem(check, step_of_problem(&problem), &problem);
		return false;
	}
	inqud_project_release_with(project, check->context);
	check->project = project;
	note_step(check, STEP_SERVER, INQUD_STEP_GOOD, "found");
	note_step(check, STEP_RIGHTS, INQUD_STEP_GOOD, psprintf("role \"%s\" has USAGE", inqud_current_role()));
	note_step(check, STEP_OPTIONS, INQUD_STEP_GOOD, psprintf("project %s at %s",
												  project->account.project_id, project->account.base_url));
	if (!project->has_credentials)
	{
		inqud_problem_no_token(&problem, project);
		note_problem(check, STEP_MAPPING, &problem);
		return false;
	}
	own = SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(project->roleid),
								ObjectIdGetDatum(project->serverid));
	note_step(check, STEP_MAPPING, INQUD_STEP_GOOD, psprintf("%s has a token, sent as auth '%s' says",
												  own ? "the role's own" : "that for PUBLIC",
												  project->account.auth_signed ? "signed" : "secret"));
	return true;
}

/* ---- The call ---- */

/* Note the step that failed when the request could not be sent, and why. */
static void
note_not_sent(Check *check, const InqudResponse *response, const char *error)
{
	const char *url = check->project->account.base_url;

	if (response->name_failed)
		note_step(check, STEP_NAME, INQUD_STEP_BAD, psprintf("the host of %s has no address: %s. Check base_url, and the name servers of this machine.",
												  url, error));
	else if (response->address_refused)
		note_step(check, STEP_NAME, INQUD_STEP_BAD, psprintf("%s of %s. Nothing is sent there; if that is meant, write the address itself into base_url.",
												  error, url));
	else if (response->connected && response->timed_out)
		note_step(check, STEP_TLS, INQUD_STEP_BAD, psprintf("no agreement within connect_timeout. Does %s speak https at that port, and does something between hold it up?",
												 url));
	else if (response->tls_failed || response->connected)
		note_step(check, STEP_TLS, INQUD_STEP_BAD, psprintf("%s. Are the CA certificates of this machine there (package ca-certificates), is the right name in base_url, and is nothing between that replaces certificates? A CA of your own goes into ca_file.",
												 error));
	else
		note_step(check, STEP_CONNECTION, INQUD_STEP_BAD, psprintf("%s: %s. Can this machine reach it, and does a firewall let the server's process out? Proxies of the environment are not used.",
														url, error));
}

/* Note how far the connection came: name, connection, TLS. */
static void
note_connection(Check *check, const InqudResponse *response, const InqudCall *call)
{
	bool		plain = strncmp(check->project->account.base_url, "http:", 5) == 0;

	if (response->connected)
	{
		note_step(check, STEP_NAME, INQUD_STEP_GOOD, psprintf("leads to %s", response->address));
		note_step(check, STEP_CONNECTION, INQUD_STEP_GOOD, "connected");
	}
	else if (!response->name_failed && !response->address_refused)
		note_step(check, STEP_NAME, INQUD_STEP_GOOD, "has an address");
	if (response->progress != INQUD_NOT_SENT)
		note_step(check, STEP_TLS, plain ? INQUD_STEP_OPEN : INQUD_STEP_GOOD, plain ? "not used: base_url is plain http, to a loopback address" : "the certificate is good");
	else
		/* not the response's own words, which may quote a secret */
		note_not_sent(check, response, inqud_readable(call->message));
}

/* Note that the answer says nothing of credentials and route. */
static void
note_not_known(Check *check, const char *why)
{
	note_step(check, STEP_CREDENTIALS, INQUD_STEP_OPEN, why);
	note_step(check, STEP_ROUTE, INQUD_STEP_OPEN, why);
}

static void
note_credentials_refused(Check *check, const char *said)
{
	note_step(check, STEP_CREDENTIALS, INQUD_STEP_BAD, psprintf("refused: %s. Check token_id and token_secret in the user mapping, whether the token still exists and may use project %s, and whether Inqud wants to know this machine's address%s",
													 said, check->project->account.project_id,
													 check->project->account.auth_signed ? ". With auth 'signed' a wrong secret is a wrong signature." : "."));
	note_step(check, STEP_ROUTE, INQUD_STEP_OPEN, NOT_TRIED);
}

static void
note_not_found(Check *check, const char *said)
{
	if (check->checkout_id)
		note_step(check, STEP_ROUTE, INQUD_STEP_BAD, psprintf("Inqud does not know %s, which is recorded here: %s. Does project_id belong to another account now?",
												   check->checkout_id, said));
	else
		note_step(check, STEP_ROUTE, INQUD_STEP_GOOD, psprintf("Inqud says, of an id that nobody has: %s. Whether the project exists cannot be told from that; the first checkout will.",
													said));
	note_step(check, STEP_CREDENTIALS, INQUD_STEP_GOOD, "not refused");
}

/* Note what the answer, or its absence, says of answer, credentials and route. */
static void
note_answer(Check *check, const InqudCall *call)
{
	char	   *said = inqud_readable(call->message);

	if (call->http_status != 0)
		note_step(check, STEP_ANSWER, INQUD_STEP_GOOD, psprintf("HTTP %d", call->http_status));
	else
		note_step(check, STEP_ANSWER, INQUD_STEP_BAD, "something answered, but not with an HTTP status. Is base_url right?");
	switch (call->outcome)
	{
		case INQUD_OK:
			note_step(check, STEP_CREDENTIALS, INQUD_STEP_GOOD, "accepted");
			note_step(check, STEP_ROUTE, INQUD_STEP_GOOD, psprintf("%s was read", check->checkout_id ? check->checkout_id : UNUSED_ID));
			return;
		case INQUD_NOT_FOUND:
			note_not_found(check, said);
			return;
		case INQUD_AUTH:
			note_credentials_refused(check, said);
			return;
		case INQUD_ROUTE:
			note_step(check, STEP_CREDENTIALS, INQUD_STEP_OPEN, NOT_TRIED);
			note_step(check, STEP_ROUTE, INQUD_STEP_BAD, psprintf("%s. Check project_id, base_url and checkout_path; redirects are not followed.", said));
			return;
		case INQUD_REFUSED:
			note_not_known(check, psprintf("cannot be told: Inqud does not take the id that was asked for: %s", said));
			return;
		case INQUD_THROTTLED:
			note_step(check, STEP_ANSWER, INQUD_STEP_BAD, psprintf("Inqud asks to slow down: %s. Try again in " INT64_FORMAT " s; see rate_limit.",
														said, (call->retry_in_ms + 999) / 1000));
			break;
		case INQUD_BAD_REPLY:
			note_step(check, STEP_ANSWER, INQUD_STEP_BAD, psprintf("%s. This is not Inqud's API: check base_url, and what stands between.", said));
			break;
		default:
			note_step(check, STEP_ANSWER, INQUD_STEP_BAD, psprintf("%s. Try again; if it stays so, ask Inqud.", said));
			break;
	}
	note_not_known(check, NOT_TRIED);
}

/* Compare this machine's clock with the Date of the answer. */
static void
note_clock(Check *check, const InqudResponse *response)
{
	int64		ahead = inqud_to_unix(GetCurrentTimestamp()) / USECS_PER_SEC - response->date;

	if (response->date == 0)
		note_step(check, STEP_CLOCK, INQUD_STEP_OPEN, "the answer has no date");
	else if (ahead > MAX_SKEW_SECONDS || ahead < -MAX_SKEW_SECONDS)
		note_step(check, STEP_CLOCK, INQUD_STEP_BAD, psprintf("this machine's clock is " INT64_FORMAT " seconds %s the answer's. Expiries would be wrong by as much; have the clock set by the network (NTP).",
												   ahead > 0 ? ahead : -ahead, ahead > 0 ? "ahead of" : "behind"));
	else
		note_step(check, STEP_CLOCK, INQUD_STEP_GOOD, "agrees with the answer's");
}

/* Make the read, and note the steps from name to clock. */
static void
try_call(Check *check)
{
	InqudCall  *call = inqud_call_new(check->context);
	const InqudResponse *response;
	InqudWhy	why;
	int64		wait;

	call->project = inqud_project_pin(check->project);
	call->checkout_id = check->checkout_id ? check->checkout_id : pstrdup(UNUSED_ID);
	if (!inqud_call_build(call, &why))
	{
		note_step(check, STEP_NAME, INQUD_STEP_BAD, psprintf("the request cannot be built: %s", inqud_why_words(why)));
		return;
	}
	wait = inqud_call_anew(call);
	if (wait > 0)
	{
		note_step(check, STEP_NAME, INQUD_STEP_OPEN, psprintf("not tried: calls of this project pause for " INT64_FORMAT " s, because Inqud asked for it or by rate_limit; try again then",
												   (wait + USECS_PER_SEC - 1) / USECS_PER_SEC));
		return;
	}
	response = inqud_transfer_response(call->transfer);
	note_connection(check, response, call);
	if (response->progress == INQUD_NOT_SENT)
		return;
	note_answer(check, call);
	note_clock(check, response);
}

/* ---- Identifiers ---- */

/* Whether the caller may be told of a mapping's token: who owns the server can have it anyway. */
static bool
may_know_token(const InqudProject *project)
{
	const ForeignServer *server = GetForeignServerExtended(project->serverid, FSV_MISSING_OK);

	return server != NULL && has_privs_of_role(GetUserId(), server->owner);
}

/* Note an identifier that does not begin as Inqud's do; whether it does. */
static bool
check_id(Check *check, const char *name, Oid catalog, const char *text)
{
	const InqudOption *option = inqud_option_find(name, catalog);

	if (inqud_option_begins_well(option, text))
		return true;
	note_step(check, STEP_IDS, INQUD_STEP_BAD, psprintf("%s does not begin with \"%s\", as Inqud's do. Is it the identifier, and not a name? Compare it with the Inqud app.",
											 name, option->begins));
	return false;
}

static void
check_ids(Check *check)
{
	const InqudProject *project = check->project;
	const char *token = project->account.token_id;

	if (check_id(check, "project_id", ForeignServerRelationId, project->account.project_id) &&
		(token == NULL || !may_know_token(project) || check_id(check, "token_id", UserMappingRelationId, token)))
		note_step(check, STEP_IDS, INQUD_STEP_GOOD, "the identifiers begin as Inqud's do");
}

/* ---- What is in this database and server ---- */

/* Read from the tables what the caller may see, by inqud._check(). */
static void
look_up_rows(Check *check)
{
	static InqudStatement statement = {
		"SELECT queued, overdue, elsewhere, other_project, checkout_id"
		" FROM inqud._check($1, $2, $3, $4, $5)", "int4 text text int8 oid"
	};
	Datum		values[5];
	InqudRole	role;
	RowReader	reader;

	values[0] = Int32GetDatum(inqud_known_id(INQUD_KNOWN_SERVER, check->project->serverid));
	values[1] = CStringGetTextDatum(check->server);
	values[2] = CStringGetTextDatum(check->project->account.project_id);
	values[3] = Int64GetDatum(inqud_this_home());
	values[4] = ObjectIdGetDatum(GetUserId());
	inqud_enter(&role);
	inqud_execute(&statement, values, NULL);
	MemoryContextSwitchTo(check->context);
	inqud_reader_begin(&reader, SPI_tuptable->vals[0], SPI_tuptable->tupdesc);
	check->queued = inqud_next_int8(&reader);
	check->overdue = inqud_next_int8(&reader);
	check->elsewhere = inqud_next_int8(&reader);
	check->other_project = inqud_next_int8(&reader);
	check->checkout_id = inqud_next_text(&reader);
	inqud_leave(&role);
}

/* Note the state of this database's worker by its slot; without a slot it was never needed. */
static void
note_slot(Check *check)
{
	const InqudDatabase *shared = inqud_database(MyDatabaseId, false);
	bool		monitor = has_privs_of_role(GetUserId(), ROLE_PG_MONITOR);
	InqudDatabase slot = {0};

	if (shared)
		slot = inqud_slot_copy(shared);
	if (slot.stopped)
		note_step(check, STEP_WORKER, INQUD_STEP_BAD, "stopped by inqud_worker_stop(); start it with inqud_worker_start()");
	else if (slot.failures > 0)
		note_step(check, STEP_WORKER, INQUD_STEP_BAD, psprintf("has ended with an error %d times in a row%s%s; the server's log says more",
													slot.failures, monitor && slot.error[0] ? ": " : "", monitor ? slot.error : ""));
	else if (slot.unwritten > 0)
		note_step(check, STEP_WORKER, INQUD_STEP_BAD, psprintf("runs as process %d, and cannot write %d answers of Inqud%s%s; see inqud.trouble and the server's log",
													slot.pid, slot.unwritten, monitor && slot.error[0] ? ": " : "", monitor ? slot.error : ""));
	else if (slot.unnoticed_since != 0)
		note_step(check, STEP_WORKER, INQUD_STEP_BAD, "changes are recorded without a notice, since the server's queue of notices is filling up; see inqud.trouble");
	else if (slot.pid != 0)
		note_step(check, STEP_WORKER, INQUD_STEP_GOOD, psprintf("runs as process %d", slot.pid));
	else if (slot.starting)
		note_step(check, STEP_WORKER, INQUD_STEP_OPEN, "is being started");
	else if (slot.wanted && !slot.away)
		note_step(check, STEP_WORKER, INQUD_STEP_OPEN, "waits for its turn; if that lasts, raise max_worker_processes or inqud.max_workers");
	else
		note_step(check, STEP_WORKER, INQUD_STEP_GOOD, "not needed now; the next order brings it back");
}

static void
check_worker(Check *check)
{
	if (!inqud_shared_ready())
		note_step(check, STEP_WORKER, INQUD_STEP_BAD, "inqud is not preloaded, so what is queued waits; add it to shared_preload_libraries and restart the server");
	else if (RecoveryInProgress())
		note_step(check, STEP_WORKER, INQUD_STEP_OPEN, "this is a standby; the worker begins when it is promoted");
	else if (!inqud_enabled)
		note_step(check, STEP_WORKER, INQUD_STEP_BAD, "inqud.enabled is off; set it to on and reload the configuration");
	else if (!inqud_launcher_present())
		note_step(check, STEP_WORKER, INQUD_STEP_BAD, "the launcher of inqud does not run; raise max_worker_processes and restart the server, whose log says more");
	else
		note_slot(check);
}

static void
check_queue(Check *check)
{
	if (check->other_project > 0)
		note_step(check, STEP_QUEUE, INQUD_STEP_BAD, psprintf(INT64_FORMAT " checkouts were made for another project_id and stand still; set it back, or cancel them",
												   check->other_project));
	else if (check->elsewhere > 0)
		note_step(check, STEP_QUEUE, INQUD_STEP_BAD, psprintf(INT64_FORMAT " rows were queued in another database or cluster and stand still. If this is not a copy: SELECT inqud_adopt(%s)",
												   check->elsewhere, quote_literal_cstr(check->server)));
	else if (check->overdue > 0)
		note_step(check, STEP_QUEUE, INQUD_STEP_BAD, psprintf(INT64_FORMAT " checkouts should have been sent a minute ago or more; inqud.trouble and inqud.pending say which",
												   check->overdue));
	else
		note_step(check, STEP_QUEUE, INQUD_STEP_GOOD, psprintf(INT64_FORMAT " checkouts to be sent, none overdue", check->queued));
}

/* For inqud_try(): what inqud.trouble says of the project, as the caller sees it. */
static void
look_up_trouble(void *arg)
{
	static InqudStatement statement = {"SELECT inqud._troubles($1)", "text"};
	Check	   *check = arg;
	Datum		value = CStringGetTextDatum(check->server);
	RowReader	reader;
	char	   *words;

	SPI_connect();
	inqud_execute(&statement, &value, NULL);
	MemoryContextSwitchTo(check->context);
	inqud_reader_begin(&reader, SPI_tuptable->vals[0], SPI_tuptable->tupdesc);
	words = inqud_next_text(&reader);
	SPI_finish();
	if (words)
		note_step(check, STEP_TROUBLE, INQUD_STEP_BAD, psprintf("%s. See inqud.trouble.", words));
	else
		note_step(check, STEP_TROUBLE, INQUD_STEP_GOOD, "inqud.trouble has nothing that this role may see");
}

static void
check_trouble(Check *check)
{
	const ErrorData *error = inqud_try(look_up_trouble, check);

	if (error)
		note_step(check, STEP_TROUBLE, INQUD_STEP_OPEN, psprintf("inqud.trouble cannot be read: %s", error->message));
}

static void
check_triggers(Check *check)
{
	MemoryContext old = MemoryContextSwitchTo(check->context);

	check->triggers = inqud_check_triggers(check->server);
	MemoryContextSwitchTo(old);
	if (check->triggers == NIL)
		note_step(check, STEP_TRIGGER, INQUD_STEP_OPEN, "no table has a trigger that queues its rows for this project; orders come by calls only");
}

/* Note whether others may put an object in the way of a function's names. */
static void
check_path(Check *check, Oid function)
{
	static InqudStatement statement = {"SELECT inqud._creators($1)", "oid"};
	Datum		value = ObjectIdGetDatum(function);
	InqudRole	role;
	RowReader	reader;
	char	   *creators;

	inqud_enter(&role);
	inqud_execute(&statement, &value, NULL);
	MemoryContextSwitchTo(check->context);
	inqud_reader_begin(&reader, SPI_tuptable->vals[0], SPI_tuptable->tupdesc);
	creators = inqud_next_text(&reader);
	inqud_leave(&role);
	if (creators == NULL)
		note_step(check, STEP_ON_STATUS_PATH, INQUD_STEP_GOOD, "nobody else may create objects where the function's names are looked up");
	else
		note_step(check, STEP_ON_STATUS_PATH, INQUD_STEP_BAD, psprintf("others may create objects where the function's names are looked up, and have theirs used instead: schema %s. Move it into a schema of its own, write it with BEGIN ATOMIC, or give it a SET search_path without such schemas.",
															creators));
}

static void
check_callbacks(Check *check)
{
	const InqudProject *project = check->project;
	ForeignServer *server = GetForeignServerExtended(project->serverid, FSV_MISSING_OK);
	InqudCallback callback;
	InqudProblem problem;

	if (server == NULL)
		note_step(check, STEP_ON_STATUS, INQUD_STEP_BAD, "the server was dropped meanwhile");
	else if (project->on_status == NULL)
	{
		note_step(check, STEP_ON_STATUS, INQUD_STEP_OPEN, "not set; statuses are in inqud.checkout only");
		note_step(check, STEP_ON_STATUS_PATH, INQUD_STEP_OPEN, "not set");
	}
	else if (!inqud_callback_find(&callback, project->on_status, server->owner, &problem))
		note_step(check, STEP_ON_STATUS, INQUD_STEP_BAD, problem_text(&problem));
	else
	{
		note_step(check, STEP_ON_STATUS, INQUD_STEP_GOOD, psprintf("the function is there, and may run as role \"%s\"",
														GetUserNameFromId(callback.owner, false)));
		check_path(check, callback.function);
	}
	if (project->webhook_secret[0] || project->webhook_secret[2])
		note_step(check, STEP_WEBHOOKS, INQUD_STEP_GOOD, "a secret is set");
	else
		note_step(check, STEP_WEBHOOKS, INQUD_STEP_OPEN, "no secret is set in this role's mapping; news comes by polling");
}

/* ---- The function ---- */

static void
return_row(ReturnSetInfo *rsinfo, Step step, InqudVerdict verdict, const char *detail)
{
	Datum		values[3];
	bool		nulls[3] = {false};

	values[0] = CStringGetTextDatum(step_names[step]);
	values[1] = BoolGetDatum(verdict == INQUD_STEP_GOOD);
	nulls[1] = verdict == INQUD_STEP_OPEN;
	values[2] = CStringGetTextDatum(detail);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
return_rows(const Check *check, ReturnSetInfo *rsinfo)
{
	ListCell   *cell;

	for (int i = 0; i < NSTEPS; i++)
		if (i != STEP_TRIGGER || check->triggers == NIL)
			return_row(rsinfo, i, check->verdict[i], check->detail[i]);
	foreach(cell, check->triggers)
	{
		const InqudFinding *found = lfirst(cell);

		return_row(rsinfo, STEP_TRIGGER, found->verdict, found->detail);
	}
}

static void
try_all(Check *check)
{
	bool		usable = check_setup(check);

	if (check->project)
	{
		check_ids(check);
		look_up_rows(check);
		if (usable)
			try_call(check);
	}
	if (check->verdict[STEP_RIGHTS] != INQUD_STEP_BAD)
		check_worker(check);
	if (check->project)
	{
		check_queue(check);
		check_trouble(check);
		check_callbacks(check);
		check_triggers(check);
	}
}

/*
 * inqud_check_project(project): the rows of all steps, in their order.  A role
 * without USAGE learns only that it lacks USAGE.  Errors: 57014 when canceled; 55000
 * in the worker.
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
		note_step(check, i, INQUD_STEP_OPEN, NOT_TRIED);
	if (check_version(check))
		try_all(check);
	return_rows(check, (ReturnSetInfo *) fcinfo->resultinfo);
	MemoryContextDelete(check->context);
	return (Datum) 0;
}
