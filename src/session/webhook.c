/*-------------------------------------------------------------------------
 *
 * webhook.c
 *		inqud_receive_webhook: checks a webhook's digest, and has the worker read
 *		the checkout that it names.
 *
 * The digest is checked over the raw bytes, before anything is parsed.  The body is
 * only a hint, because it has no nonce and can be replayed: a status must come from
 * a read and never from a webhook.  It must change no checkout and lock none.
 *
 * The caller needs EXECUTE and no right on the server, so that a role which receives
 * webhooks cannot create checkouts.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(inqud_receive_webhook);

/* A webhook is a checkout or request object, a few kB; a larger one is not read. */
#define MAX_BODY (1024 * 1024)

/* Raise IQ006 unless the digest was made of the body with a secret of the project. */
static void
verify_digest(const InqudProject *project, const bytea *body, const char *digest)
{
	bool		any = false;
	bool		fits = false;

	/* try all of them, so that the time does not tell which one fitted */
	for (int i = 0; i < INQUD_WEBHOOK_SECRETS; i++)
	{
		const char *secret = project->webhook_secret[i];

		any = any || secret;
		if (secret && digest &&
			inqud_webhook_digest_ok(&inqud_crypto, secret, VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body),
									digest, strlen(digest)))
			fits = true;
	}
	if (!any)
		inqud_raise_digest(project, "No webhook secret is set.",
						   "Set webhook_secret, as in Inqud's webhook settings, in the user mapping of the receiving role or of PUBLIC.");
	if (digest == NULL || digest[0] == '\0')
		inqud_raise_digest(project, "There is no digest.",
						   "Pass the header X-Payload-Digest; Inqud sends it when a secret is set there.");
	if (!fits)
		inqud_raise_digest(project, "It was made with another secret or of other bytes.",
						   "Pass the body's raw bytes as they came, not JSON that was parsed and printed again.");
}

/* Write the webhook to inqud.event and inqud.inbox; the worker reads what it names. */
static void
record_webhook(const InqudProject *project, const InqudWebhook *webhook)
{
	static InqudStatement statement = {
		"SELECT inqud._webhook($1, $2, $3, $4, $5)", "int4 text text text text"
	};
	const char *const texts[] = {webhook->id, webhook->status, webhook->checkout_id, webhook->order_id};
	Datum		values[5];
	char		nulls[] = "     ";

	values[0] = Int32GetDatum(inqud_know(INQUD_KNOWN_SERVER, project->serverid));
	for (int i = 0; i < (int) lengthof(texts); i++)
	{
		if (texts[i])
			values[i + 1] = CStringGetTextDatum(inqud_readable(texts[i]));
		else
			nulls[i + 1] = 'n';
	}
	/* the trigger on inqud.inbox wakes the worker at the commit */
	(void) inqud_value_of(&statement, values, nulls);
}

static void
free_webhook(void *arg)
{
	inqud_webhook_free(arg);
}

/*
 * Parse the body, and take the project's secrets out of it.  A body that is too long
 * or not understood gives an empty webhook.  The result is freed with the context.
 */
static InqudWebhook *
read_webhook(const InqudProject *project, const bytea *body, MemoryContext context)
{
	InqudWebhook *webhook = MemoryContextAllocZero(context, sizeof(InqudWebhook));
	MemoryContextCallback *callback = MemoryContextAllocZero(context, sizeof(*callback));
	InqudHider *hider;

	callback->func = free_webhook;
	callback->arg = webhook;
	MemoryContextRegisterResetCallback(context, callback);
	if (VARSIZE_ANY_EXHDR(body) > MAX_BODY)
		return webhook;
	hider = inqud_project_hider(project, NULL);
	if (hider == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	/* leaves it empty if it is not understood */
	(void) inqud_webhook_read(VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body), hider, webhook);
	inqud_hider_free(hider);
	return webhook;
}

/*
 * inqud_receive_webhook(project, body, digest): returns true when the digest is
 * right, also for an unknown id, a duplicate, an old webhook, or a body that is not
 * understood: asking Inqud to send it again would not help.  Errors: IQ006 for a
 * missing or wrong digest or secret; 42704, 42809 for the project; 22004 for nulls.
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
	verify_digest(project, body, digest);
	record_webhook(project, read_webhook(project, body, work));
	MemoryContextDelete(work);
	PG_RETURN_BOOL(true);
}
