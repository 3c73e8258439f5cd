/*-------------------------------------------------------------------------
 *
 * hide.c
 *		Which secrets must not come back out of what the other side says.
 *
 * A server, or something between it and us, may quote what it was sent.  What
 * it says goes into errors, rows, events and the log; so every option of the
 * mapping and the request's signature are taken out of it first.  How, is the
 * client's matter.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

/* All texts of a mapping, as far as they are set; how many. */
static int
secrets_of(const InqudProject *project, const char *secrets[2 + 2 * INQUD_MAX_SECRETS])
{
	int			n = 0;

	secrets[n++] = project->account.token_secret;
	secrets[n++] = project->account.token_id;
	for (int i = 0; i < INQUD_MAX_SECRETS; i++)
	{
		secrets[n++] = project->webhook_secret[i];
		secrets[n++] = project->request_webhook_secret[i];
	}
	return n;
}

void
inqud_hide_in_reply(InqudReply *reply, const InqudProject *project,
					const InqudRequest *request)
{
	const char *secrets[2 + 2 * INQUD_MAX_SECRETS];
	int			n = secrets_of(project, secrets);

	for (int i = 0; i < n; i++)
		inqud_reply_hide(reply, secrets[i]);
	inqud_reply_hide(reply, inqud_request_signature(request));
}

void
inqud_hide_in_webhook(InqudWebhook *webhook, const InqudProject *project)
{
	const char *secrets[2 + 2 * INQUD_MAX_SECRETS];
	int			n = secrets_of(project, secrets);

	for (int i = 0; i < n; i++)
		inqud_webhook_hide(webhook, secrets[i]);
}
