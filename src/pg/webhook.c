/*-------------------------------------------------------------------------
 *
 * webhook.c
 *		inqud_receive_webhook: a genuine webhook makes a checkout due.
 *
 * The digest is checked over the raw bytes, before anything is parsed.  What the
 * body then says is a hint: bodies carry no nonce and can be replayed, so the
 * status comes from a read and from nothing else (C section 11).
 *
 * The caller needs EXECUTE and no right on the server: who receives webhooks
 * cannot spend.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(inqud_receive_webhook);

/* A webhook is a checkout or request object, a few kB; a larger one is not read. */
#define MAX_BODY (1024 * 1024)

static bool
fits_any(char *const *secrets, const bytea *body, const char *digest)
{
	bool		fits = false;
	int			i;

	for (i = 0; i < INQUD_MAX_SECRETS; i++)
	{
		/* all of them are tried, so that the time does not tell which one fitted */
		if (secrets[i] && inqud_webhook_digest_ok(&inqud_crypto, secrets[i],
												  VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body),
												  digest, strlen(digest)))
			fits = true;
	}
	return fits;
}

static bool
has_any(char *const *secrets)
{
	return secrets[0] || secrets[1];
}

static void
verify(const InqudProject *project, const bytea *body, const char *digest)
{
	bool		fits;

	if (!has_any(project->webhook_secret) && !has_any(project->request_webhook_secret))
		inqud_raise_digest(project, "No webhook secret is set.",
						   "Set webhook_secret, as in Inqud's webhook settings, in the user mapping of the receiving role or of PUBLIC.");
	if (digest == NULL || digest[0] == '\0')
		inqud_raise_digest(project, "There is no digest.",
						   "Pass the header X-Payload-Digest; Inqud sends it when a secret is set there.");
	fits = fits_any(project->webhook_secret, body, digest);
	fits = fits_any(project->request_webhook_secret, body, digest) || fits;
	if (!fits)
		inqud_raise_digest(project, "It was made with another secret or of other bytes.",
						   "Pass the body's raw bytes as they came, not JSON that was parsed and printed again.");
}

/* A text of the body as a value; null where there is none. */
static void
set_text(Datum *values, char *nulls, int i, const char *utf8)
{
	nulls[i] = utf8 ? ' ' : 'n';
	if (utf8)
		values[i] = CStringGetTextDatum(inqud_readable(utf8));
}

/* Note it, and have the worker read what it names. */
static void
note(const InqudProject *project, const InqudWebhook *webhook)
{
	static const char *const types[] = {"text", "text", "text", "text", "text"};
	static InqudStatement statement = {
		"SELECT inqud._webhook($1, $2, $3, $4, $5)", 5, types
	};
	Datum		values[5];
	char		nulls[5];
	InqudRole	role;

	set_text(values, nulls, 0, NULL);
	values[0] = CStringGetTextDatum(project->name);
	nulls[0] = ' ';
	set_text(values, nulls, 1, webhook->id);
	set_text(values, nulls, 2, webhook->status);
	set_text(values, nulls, 3, webhook->checkout_id);
	set_text(values, nulls, 4, webhook->order_id);
	inqud_enter(&role);
	/* the trigger on inqud.inbox has the commit wake the worker */
	inqud_execute(&statement, values, nulls);
	inqud_leave(&role);
}

static void
free_webhook(void *arg)
{
	inqud_webhook_free(arg);
}

/* Read the body; what was malloc'ed goes with the context. */
static InqudWebhook *
parse(const InqudProject *project, const bytea *body, MemoryContext context)
{
	InqudWebhook *webhook = MemoryContextAllocZero(context, sizeof(InqudWebhook));
	MemoryContextCallback *callback = MemoryContextAllocZero(context, sizeof(*callback));

	callback->func = free_webhook;
	callback->arg = webhook;
	MemoryContextRegisterResetCallback(context, callback);
	if (VARSIZE_ANY_EXHDR(body) > MAX_BODY ||
		!inqud_webhook_read(VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body), webhook))
		memset(webhook, 0, sizeof(InqudWebhook));
	inqud_hide_in_webhook(webhook, project);
	return webhook;
}

/*
 * inqud_receive_webhook(project, body, digest): true when the webhook is genuine,
 * also for one that names an unknown id, a duplicate, an old one, or a body that
 * is not understood (asking Inqud to send it again would not help).  Errors:
 * IQ006 for a missing or wrong digest or secret; 42704, 42809 for the project;
 * 22004 for nulls.
 */
Datum
inqud_receive_webhook(PG_FUNCTION_ARGS)
{
	MemoryContext work;
	InqudProject *project;
	bytea	   *body;
	char	   *digest = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"%s\" must not be null", PG_ARGISNULL(0) ? "project" : "body")));
	body = PG_GETARG_BYTEA_PP(1);

	work = AllocSetContextCreate(CurTransactionContext, "inqud webhook", ALLOCSET_SMALL_SIZES);
	project = inqud_project_get(text_to_cstring(PG_GETARG_TEXT_PP(0)), GetUserId(), 0);
	inqud_project_release_with(project, work);
	verify(project, body, digest);
	note(project, parse(project, body, work));
	MemoryContextDelete(work);
	PG_RETURN_BOOL(true);
}
