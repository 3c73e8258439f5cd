/*-------------------------------------------------------------------------
 *
 * errors.c
 *		Raises the errors of failed calls.  No other file may raise SQLSTATEs of
 *		class IQ.
 *
 * The primary message is ours, factual and short.  Words of Inqud or libcurl go
 * into the detail; the client has taken secrets out of them, cleaned them, and only
 * then shortened them.  They are converted here.  No value of a user mapping may go
 * into a message.
 *
 *-------------------------------------------------------------------------
 */
#include "shared/shared.h"


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

/* The primary message: could not create checkout for order "1001" */
static char *
what_failed(const InqudCall *call)
{
	if (call->kind == INQUD_KIND_CREATE)
		return psprintf("could not create checkout for order \"%s\"",
						inqud_readable(call->order.order_id));
	return psprintf("could not read checkout \"%s\"", call->checkout_id);
}

void
inqud_raise_throttled(const InqudProject *project, int64 wait_ms)
{
	ereport(ERROR,
			(errcode(ERRCODE_INQUD_THROTTLED),
			 errmsg("too many calls for project \"%s\"", project->name),
			 errhint("Try again in %lld ms, or queue the order with inqud_enqueue_checkout; the server option \"rate_limit\" says how many calls a second are made.",
					 (long long) wait_ms)));
}

void
inqud_raise_misfit(const char *order_id, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_INQUD_REPLY),
			 errmsg("could not create checkout for order \"%s\"", order_id),
			 errdetail("%s; nothing was recorded.", why)));
}

void
inqud_raise_digest(const InqudProject *project, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INQUD_DIGEST),
			 errmsg("webhook digest for project \"%s\" does not match", project->name),
			 errdetail("%s", detail),
			 errhint("%s", hint)));
}

/* The SQLSTATE of a call that ended so, and our words before and after those of Inqud or libcurl. */
static const struct
{
	int			code;
	const char *before;
	const char *after;
}			failures[INQUD_N_OUTCOMES] =
{
	[INQUD_REFUSED] = {ERRCODE_INQUD_REFUSED, "Inqud refused it: ", ""},
	[INQUD_AUTH] = {ERRCODE_INQUD_CREDENTIALS, "The credentials were refused: ", ""},
	[INQUD_ROUTE] = {ERRCODE_INQUD_REPLY, "The address is probably wrong: ", ""},
	[INQUD_NOT_FOUND] = {ERRCODE_INQUD_REPLY, "Inqud knows no such checkout: ", ""},
	[INQUD_THROTTLED] = {ERRCODE_INQUD_THROTTLED, "Inqud asks to slow down: ", ""},
	[INQUD_UNREACHABLE] = {ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION, "", ""},
	[INQUD_UNKNOWN] = {ERRCODE_INQUD_UNKNOWN, "No answer: ", "; repeating is safe."},
	[INQUD_BAD_REPLY] = {ERRCODE_INQUD_REPLY, "The reply was not understood: ", ""},
	/* of a call that was made: it found no descriptor */
	[INQUD_BLOCKED] = {ERRCODE_INSUFFICIENT_RESOURCES, "", ""},
};

/* What the user can do about it; NULL when there is nothing to say. */
static char *
hint_for(const InqudCall *call)
{
	if (call->outcome == INQUD_AUTH)
		return psprintf("Check token_id and token_secret in the user mapping for server \"%s\", and whether the token may use the project.",
						call->project->name);
	if (call->outcome == INQUD_ROUTE)
		return psprintf("Check the options project_id, base_url and checkout_path of server \"%s\".",
						call->project->name);
	if (call->outcome == INQUD_THROTTLED)
		return psprintf("Try again in %lld ms.", (long long) call->retry_in_ms);
	return NULL;
}

void
inqud_raise_outcome(const InqudCall *call)
{
	const char *before = failures[call->outcome].before;
	const char *after = failures[call->outcome].after;
	char	   *hint = hint_for(call);

	if (call->outcome == INQUD_UNKNOWN && call->kind == INQUD_KIND_CREATE)
	{
		before = "The outcome is unknown: ";
		after = "; nothing was recorded, and repeating is safe.";
	}
	ereport(ERROR,
			(errcode(failures[call->outcome].code),
			 errmsg("%s", call->outcome == INQUD_UNREACHABLE ? "could not connect to payment service" : what_failed(call)),
			 errdetail("%s%s%s", before, inqud_readable(call->message), after),
			 hint ? errhint("%s", hint) : 0));
}
