/*-------------------------------------------------------------------------
 *
 * errors.c
 *		What a failure of the API is to a user: the one place that raises the
 *		SQLSTATEs of class IQ.
 *
 * The primary message is ours, factual and short.  What Inqud or libcurl say
 * stands in the detail, cut and cleaned by the client, converted here.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "utils/builtins.h"

/* A text from outside, for a message; what the encoding lacks becomes '?'. */
char *
inqud_readable(const char *utf8)
{
	char	   *text = inqud_from_utf8(utf8);

	return text ? text : inqud_ascii_of(utf8 ? utf8 : "");
}

char *
inqud_outcome_text(const InqudReply *reply, const InqudResponse *response)
{
	const char *message = inqud_reply_message(reply);
	const char *code = inqud_reply_code(reply);

	if (inqud_reply_outcome(reply) == INQUD_OK)
		return pstrdup("");
	if (response->http_status == 0)
		return pstrdup(message);
	if (code[0] != '\0')
		return psprintf("HTTP %d %s: %s", response->http_status, code, message);
	return psprintf("HTTP %d: %s", response->http_status, message);
}

/* "could not create checkout for order "1001"" */
static char *
what_failed(const InqudTask *task)
{
	if (task->is_create)
		return psprintf("could not create checkout for order \"%s\"",
						inqud_readable(task->order.order_id));
	return psprintf("could not read checkout \"%s\"", task->checkout_id);
}

void
inqud_raise_throttled(const InqudProject *project, int64 wait_ms)
{
	ereport(ERROR,
			(errcode(ERRCODE_INQUD_THROTTLED),
			 errmsg("too many calls for project \"%s\"", project->name),
			 errhint("Try again in %lld ms, or queue the order with inqud_enqueue_checkout; the server option \"rate_limit\" says how many calls a second are made.",
					 (long long) wait_ms)));
	pg_unreachable();
}

void
inqud_raise_misfit(const char *order_id, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_INQUD_REPLY),
			 errmsg("could not create checkout for order \"%s\"", order_id),
			 errdetail("%s; nothing was recorded.", why)));
	pg_unreachable();
}

void
inqud_raise_digest(const InqudProject *project, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INQUD_DIGEST),
			 errmsg("webhook digest for project \"%s\" does not match", project->name),
			 errdetail("%s", detail),
			 errhint("%s", hint)));
	pg_unreachable();
}

static void
raise_refused(const InqudTask *task, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INQUD_REFUSED),
			 errmsg("%s", what_failed(task)),
			 errdetail("Inqud refused it: %s", detail)));
}

static void
raise_credentials(const InqudTask *task, const InqudProject *project, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INQUD_CREDENTIALS),
			 errmsg("%s", what_failed(task)),
			 errdetail("The credentials were refused: %s", detail),
			 errhint("Check token_id and token_secret in the user mapping for server \"%s\", and whether the token may use the project.",
					 project->name)));
}

static void
raise_route(const InqudTask *task, const InqudProject *project, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INQUD_REPLY),
			 errmsg("%s", what_failed(task)),
			 errdetail("The address is probably wrong: %s", detail),
			 errhint("Check the options project_id, base_url and checkout_path of server \"%s\".",
					 project->name)));
}

static void
raise_throttled_by_api(const InqudTask *task, const char *detail, int64 wait_ms)
{
	ereport(ERROR,
			(errcode(ERRCODE_INQUD_THROTTLED),
			 errmsg("%s", what_failed(task)),
			 errdetail("Inqud asks to slow down: %s", detail),
			 errhint("Try again in %lld ms.", (long long) wait_ms)));
}

static void
raise_unknown(const InqudTask *task, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INQUD_UNKNOWN),
			 errmsg("%s", what_failed(task)),
			 task->is_create ?
			 errdetail("The outcome is unknown: %s; nothing was recorded, and repeating is safe.", detail) :
			 errdetail("No answer: %s; repeating is safe.", detail)));
}

static void
raise_reply(const InqudTask *task, const char *outcome, const char *detail)
{
	if (strcmp(outcome, inqud_outcome_name(INQUD_NOT_FOUND)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INQUD_REPLY),
				 errmsg("%s", what_failed(task)),
				 errdetail("Inqud knows no such checkout: %s", detail)));
	ereport(ERROR,
			(errcode(ERRCODE_INQUD_REPLY),
			 errmsg("%s", what_failed(task)),
			 errdetail("The reply was not understood: %s", detail)));
}

void
inqud_raise_outcome(const InqudTask *task, const InqudProject *project,
					const InqudResult *result)
{
	char	   *detail = inqud_readable(result->message);

	switch (inqud_reply_outcome(result->reply))
	{
		case INQUD_REFUSED:
			raise_refused(task, detail);
			break;
		case INQUD_AUTH:
			raise_credentials(task, project, detail);
			break;
		case INQUD_ROUTE:
			raise_route(task, project, detail);
			break;
		case INQUD_THROTTLED:
			raise_throttled_by_api(task, detail, result->retry_in_ms);
			break;
		case INQUD_UNREACHABLE:
			ereport(ERROR,
					(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
					 errmsg("could not connect to payment service"),
					 errdetail("%s", detail)));
			break;
		case INQUD_UNKNOWN:
			raise_unknown(task, detail);
			break;
		case INQUD_NOT_FOUND:
		case INQUD_BAD_REPLY:
		case INQUD_OK:
			/* OK comes here when the answer does not fit the order */
			raise_reply(task, result->outcome, detail);
			break;
	}
	pg_unreachable();
}
