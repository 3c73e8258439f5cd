/*-------------------------------------------------------------------------
 *
 * test_hide.c
 *		Replies and webhooks that repeat a secret.
 *
 *-------------------------------------------------------------------------
 */
#include "crypto.h"
#include "reply.h"

#define KEY "k\"e/y-\xc3\xa4\xf0\x9f\x94\x91-0123456789"
#define STARS "*****"

static void
test_words(void)
{
	char		body[1000];
	char		expected[1000];
	InqudReply *reply;
	int			i;
	int			wrong = 0;

	/* wherever the cut at 500 bytes falls, no beginning of the key is left */
	for (i = 470; i <= 500; i++)
	{
		memset(expected, 'x', sizeof(expected));
		snprintf(body, sizeof(body), "{\"message\":\"%.*s%s\"}", i, expected, "secret-0123456789");
		reply = read_reply(401, body, strlen(body), true, NULL);
		inqud_reply_hide(reply, "secret-0123456789");
		if (strpbrk(inqud_reply_message(reply), "secrt-0123456789") != NULL)
			wrong++;
		inqud_reply_free(reply);
	}
	is_int(wrong, 0, "a key that is cut at a message's end is hidden, too");
	snprintf(body, sizeof(body), "{\"message\":\"a sentence that ends with s\"}");
	reply = read_reply(401, body, strlen(body), true, NULL);
	inqud_reply_hide(reply, "secret-0123456789");
	is(inqud_reply_message(reply), "a sentence that ends with s", "what was not cut is left alone");
	inqud_reply_free(reply);
	memset(body, 'c', 300);
	memcpy(body + 300, "", 1);
	snprintf(expected, sizeof(expected), "{\"message\":\"m\",\"code\":\"%.95ssecret-0123456789\"}", body);
	reply = read_reply(401, expected, strlen(expected), true, NULL);
	inqud_reply_hide(reply, "secret-0123456789");
	ok(strchr(inqud_reply_code(reply), 's') == NULL, "nor in a code that was cut");
	inqud_reply_free(reply);
}

/* A good reply with a member in it, and what becomes of its text and of what is lost. */
static void
hidden(const char *member, const char *expected, const char *lost)
{
	char		body[2000];
	char		text[2000];
	InqudReply *reply;
	uint64_t	before;
	size_t		len;

	snprintf(body, sizeof(body), "{\"id\":\"CCO-1\",\"status\":\"NEW\",%s}", member);
	snprintf(text, sizeof(text), "{\"id\":\"CCO-1\",\"status\":\"NEW\",%s}", expected != NULL ? expected : "");
	reply = read_text(body);
	before = inqud_reply_hash(reply);
	inqud_reply_hide(reply, KEY);
	if (ok(inqud_reply_outcome(reply) == INQUD_OK, "%s is a good reply", member))
	{
		is(inqud_reply_json(reply, &len), expected != NULL ? text : NULL, "... its JSON");
		is(inqud_reply_checkout(reply)->lost, lost, "... what is lost");
		ok(lost == NULL || before != inqud_reply_hash(reply), "... its hash");
	}
	inqud_reply_free(reply);
}

static void
test_members(void)
{
	/* as it is, escaped in every way, and in other places than ours */
	hidden("\"name\":\"k\\\"e/y-\xc3\xa4\xf0\x9f\x94\x91-0123456789\"", "\"name\":\"" STARS STARS STARS "*********\"", "name");
	hidden("\"name\":\"<k\\\"e\\/y-\\u00E4\\ud83d\\udd11-012345678\\u0039>\"",
		   "\"name\":\"<" STARS STARS STARS STARS STARS STARS STARS "*******>\"", "name");
	hidden("\"request\":{\"txHash\":\"\\u006b\\u0022e/y-\xc3\xa4\xf0\x9f\x94\x91-0123456789\"}",
		   "\"request\":{\"txHash\":\"" STARS STARS STARS STARS STARS STARS "***\"}", "request.txHash");
	hidden("\"z\":[{\"a\":\"k\\\"e/y-\\u00e4\xf0\x9f\x94\x91-0123456789\"}]", "\"z\":[{\"a\":\"" STARS STARS STARS STARS "********\"}]", NULL);
	hidden("\"k\\\"e/y-\xc3\xa4\xf0\x9f\x94\x91-0123456789\":1", "\"" STARS STARS STARS "*********\":1", NULL);
	/* nearly it */
	hidden("\"name\":\"k\\\"e/y-\\u00e4\\ud83d\\udd12-0123456789\"", "\"name\":\"k\\\"e/y-\\u00e4\\ud83d\\udd12-0123456789\"", NULL);
	hidden("\"name\":\"k\\\"e/y-\xc3\xa4\"", "\"name\":\"k\\\"e/y-\xc3\xa4\"", NULL);
	hidden("\"name\":\"\\\\\",\"type\":\"k\\\"\"", "\"name\":\"\\\\\",\"type\":\"k\\\"\"", NULL);
}

static void
essential(const char *body, bool creating)
{
	InqudReply *reply = read_reply(200, body, strlen(body), creating, NULL);
	size_t		len;

	inqud_reply_hide(reply, "secret-0123456789");
	is_int(inqud_reply_outcome(reply), creating ? INQUD_UNKNOWN : INQUD_BAD_REPLY, "a key as id or status makes a reply useless");
	ok(inqud_reply_checkout(reply) == NULL && inqud_reply_json(reply, &len) == NULL, "... nothing is left of it");
	ok(strstr(inqud_reply_message(reply), "secret") == NULL && inqud_reply_message(reply)[0] != '\0', "... but words");
	inqud_reply_free(reply);
}

static void
test_essential(void)
{
	InqudReply *reply;
	size_t		len;
	int			i;

	for (i = 0; i < 2; i++)
	{
		essential("{\"id\":\"secret-0123456789\",\"status\":\"NEW\"}", i == 0);
		essential("{\"id\":\"CCO-1\",\"status\":\"<secret-012345678\\u0039>\"}", i == 0);
	}
	/* a number that happens to be the key, where asterisks would be no JSON */
	reply = read_text("{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":1234567890}");
	inqud_reply_hide(reply, "1234567890");
	is_int(inqud_reply_outcome(reply), INQUD_OK, "a number like the key: a good reply");
	is(inqud_reply_json(reply, &len), NULL, "whose text is not kept");
	inqud_reply_free(reply);
	/* what is short is no secret, and must not spoil a reply */
	reply = read_text("{\"id\":\"CCO-1\",\"status\":\"NEW\",\"name\":\"N\"}");
	inqud_reply_hide(reply, "N");
	inqud_reply_hide(reply, "");
	inqud_reply_hide(reply, NULL);
	is(inqud_reply_json(reply, &len), "{\"id\":\"CCO-1\",\"status\":\"NEW\",\"name\":\"N\"}", "a short word is left");
	is(inqud_reply_checkout(reply)->lost, NULL, "nothing is lost");
	inqud_reply_free(reply);
}

static void
test_webhook(void)
{
	static const char body[] = "{\"id\":\"CCO-1\",\"status\":\"secret-0123456789\",\"checkoutId\":\"x-secret-0123456789\",\"clientOrderId\":\"o\"}";
	InqudWebhook webhook;

	ok(inqud_webhook_read(body, strlen(body), &webhook), "a webhook that repeats a key");
	inqud_webhook_hide(&webhook, NULL);
	inqud_webhook_hide(&webhook, "o");
	inqud_webhook_hide(&webhook, "secret-0123456789");
	is(webhook.id, "CCO-1", "its id");
	is(webhook.status, NULL, "no status");
	is(webhook.checkout_id, NULL, "no checkout");
	is(webhook.order_id, "o", "its order");
	inqud_webhook_free(&webhook);
}

static void
test_signature(void)
{
	InqudAccount account = {.base_url = "https://x.example",.project_id = "CAP-1",.checkout_path = "/{project}/{checkout}",
	.token_id = "TKN",.token_secret = "s",.auth_signed = true};
	const char *why;
	InqudRequest *request = inqud_request_read_checkout(&account, &test_crypto, "CCO-1", &why);

	is_int((long long) strlen(inqud_request_signature(request)), 64, "the signature of a request");
	inqud_request_free(request);
	account.auth_signed = false;
	request = inqud_request_read_checkout(&account, &test_crypto, "CCO-1", &why);
	is(inqud_request_signature(request), NULL, "none without one");
	inqud_request_free(request);
}

int
main(void)
{
	test_words();
	test_members();
	test_essential();
	test_webhook();
	test_signature();
	return tap_end();
}
