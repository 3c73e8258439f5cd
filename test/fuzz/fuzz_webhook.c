/*-------------------------------------------------------------------------
 *
 * fuzz_webhook.c
 *		Any bytes as the body of a webhook, as its digest, and as extra members
 *		of a create.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <strings.h>

#include "../unit/crypto.h"
#include "client_internal.h"
#include "fuzz.h"

#define DIGEST_LEN 40

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

static bool
digest_ok(const char *body, size_t size, const char *digest, size_t len)
{
	return inqud_webhook_digest_ok(&test_crypto, "key", body, size, digest, len);
}

/* The right digest is taken; one that differs anywhere is not, and no other bytes are. */
static void
check_digest(const char *body, size_t size)
{
	uint8_t		raw[20];
	char		digest[DIGEST_LEN + 1];
	size_t		i;

	MUST(test_hmac_sha1("key", 3, body, size, raw));
	for (i = 0; i < sizeof(raw); i++)
		snprintf(digest + i * 2, 3, i % 2 ? "%02x" : "%02X", raw[i]);
	MUST(digest_ok(body, size, digest, DIGEST_LEN));
	MUST(!digest_ok(body, size, digest, DIGEST_LEN - 1));
	MUST(!inqud_webhook_digest_ok(&test_crypto, "", body, size, digest, DIGEST_LEN));
	for (i = 0; i < size && i < 8; i++)
	{
		const char	right = digest[i];

		digest[i] = body[i];
		MUST(digest_ok(body, size, digest, DIGEST_LEN) ==
			 (strncasecmp(&right, &body[i], 1) == 0));
		digest[i] = right;
	}
	MUST(!digest_ok(body, size, body, size));
}

static void
check_text(const char *text, size_t limit)
{
	MUST(text == NULL || (strlen(text) <= limit && inqud_utf8_valid(text, strlen(text))));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text = to_text(data, size);
	InqudWebhook webhook;
	InqudJsonScan scan = {0};

	if (inqud_webhook_read(text, size, NULL, &webhook))
	{
		MUST(inqud_json_scan(text, size, &scan));
		MUST(inqud_text_is_token(webhook.id, 200));
		MUST(webhook.checkout_id == NULL || inqud_text_is_token(webhook.checkout_id, 200));
		check_text(webhook.status, 100);
		check_text(webhook.order_id, 1000);
		inqud_webhook_free(&webhook);
	}
	else
		MUST(webhook.id == NULL && webhook.status == NULL);
	if (inqud_check_extra(text, size) == NULL)
		check_members(text, size);
	check_digest(text, size);
	free(text);
	return 0;
}
