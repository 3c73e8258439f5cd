/*-------------------------------------------------------------------------
 *
 * webhook.c
 *		Reads the body of a webhook (C section 11).
 *
 * Its digest must have been checked before (auth.c).  Only what names a checkout
 * is read: a webhook says which checkout to ask Inqud about, and nothing else of
 * it is used.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "client_internal.h"

#define TARGET(member) offsetof(InqudWebhook, member)

static const InqudField webhook_fields[] =
{
	{NULL, "id", INQUD_FIELD_TOKEN, true, 200, TARGET(id), INQUD_KEEP_APART},
	{NULL, "status", INQUD_FIELD_TEXT, false, 100, TARGET(status), INQUD_KEEP_APART},
	{NULL, "checkoutId", INQUD_FIELD_TOKEN, false, 200, TARGET(checkout_id), INQUD_KEEP_APART},
	{NULL, "clientOrderId", INQUD_FIELD_TEXT, false, 1000, TARGET(order_id), INQUD_KEEP_APART}
};

#define NFIELDS ((int) (sizeof(webhook_fields) / sizeof(webhook_fields[0])))

bool
inqud_webhook_read(const char *body, size_t len, InqudHider *hider, InqudWebhook *out)
{
	static const InqudJsonWish wish = {webhook_fields, NFIELDS, NULL};
	InqudLost	lost = {{0}, 0};
	InqudJsonEnd end;
	int			i;

	memset(out, 0, sizeof(*out));
	out->json = inqud_json_read(body, len, &wish, NULL, &end);
	if (out->json == NULL || !inqud_json_is_object(out->json) ||
		inqud_json_fields(out->json, webhook_fields, NFIELDS, out, &lost) != NULL)
	{
		inqud_webhook_free(out);
		return false;
	}
	for (i = 0; i < NFIELDS; i++)
	{
		const char **text = (const char **) ((char *) out + webhook_fields[i].offset);

		if (*text != NULL && inqud_hider_finds(hider, *text))
			*text = NULL;
	}
	return true;
}

void
inqud_webhook_free(InqudWebhook *webhook)
{
	inqud_json_free(webhook->json);
	memset(webhook, 0, sizeof(*webhook));
}
