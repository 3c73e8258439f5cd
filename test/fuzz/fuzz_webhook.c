/*-------------------------------------------------------------------------
 *
 * fuzz_webhook.c
 *		Any bytes as the body of a webhook, and as extra members of a create.
 *
 *-------------------------------------------------------------------------
 */
#include "client_internal.h"
#include "fuzz.h"

/* Members that were accepted must make a body that is JSON again. */
static void
check_members(const char *extra, size_t len)
{
	InqudBuffer body;
	InqudJsonScan scan = {0};

	inqud_buffer_init(&body, len + 16);
	inqud_buffer_add_text(&body, "{\"type\":1");
	MUST(inqud_json_add_members(&body, extra, len));
	MUST(inqud_buffer_add_char(&body, '}'));
	MUST(inqud_json_scan(body.data, body.len, &scan));
	inqud_buffer_free(&body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text = to_text(data, size);
	InqudWebhook webhook;

	if (inqud_webhook_read(text, size, &webhook))
	{
		MUST(inqud_text_is_token(webhook.id, 200));
		MUST(webhook.status == NULL ||
			 inqud_utf8_valid(webhook.status, strlen(webhook.status)));
		inqud_webhook_free(&webhook);
	}
	if (inqud_check_extra(text, size) == NULL)
		check_members(text, size);
	free(text);
	return 0;
}
