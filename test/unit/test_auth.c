/*-------------------------------------------------------------------------
 *
 * test_auth.c
 *		Requests as they are sent: bodies, headers, signatures; and digests of
 *		webhooks.
 *
 *-------------------------------------------------------------------------
 */
#include "client_internal.h"
#include "crypto.h"
#include "tap.h"

/* The contract's vector: body, salt and signatures belong together. */
#define VECTOR_BODY "{\"clientOrderId\":\"order-1001\",\"expiresAt\":\"2030-01-01T12:00:00Z\"," \
	"\"fixedAmount\":{\"amount\":100,\"currency\":\"USD\"},\"name\":\"Order 1001\"," \
	"\"returnUrl\":\"https://shop.example/return\",\"type\":\"FIXED_PRICE\"}"
#define VECTOR_SALT "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
#define VECTOR_SIGNATURE "38fa0f87b2a307dc5405cef7114363142c5b172c56d181152d80ab26b7c3099c"
#define VECTOR_GET "7bfd8a7d62c819601d748249087d1ca70b2391f388b4cd176be44c6e525990a0"

#define NOON_2030 INT64_C(1893499200000000)

static const InqudAccount account = {
	.base_url = "https://api.inqud.com",
	.project_id = "CAP-1",
	.checkout_path = "/v1/user/crypto-acquiring/{project}/checkouts/{checkout}",
	.token_id = "TKN-1",
	.token_secret = "test-token-secret",
	.connect_timeout_ms = 5000,
	.timeout_ms = 30000,
	.max_reply_size = 1024 * 1024
};

static const InqudOrder order = {
	.order_id = "order-1001",
	.name = "Order 1001",
	.type = "FIXED_PRICE",
	.amount = "100",
	.currency = "USD",
	.return_url = "https://shop.example/return",
	.expires_at = NOON_2030
};

static const char *
find_header(const InqudRequest *request, const char *name)
{
	const char *header;
	int			i;

	for (i = 0; (header = request->headers[i]) != NULL; i++)
	{
		if (strncmp(header, name, strlen(name)) == 0 && header[strlen(name)] == ':')
			return header + strlen(name) + 2;
	}
	return NULL;
}

/* Half of what test_random gives, so that the salt is the vector's. */
static bool
hmac_of_half_salt(const void *key, size_t keylen, const void *data1, size_t len1,
				  const void *data2, size_t len2, uint8_t digest[32])
{
	return test_hmac_sha256(key, keylen, data1, len1, data2, len2 / 2, digest);
}

static bool
fail_random(void *out, size_t len)
{
	memset(out, 0, len);
	return false;
}

static bool
fail_hmac(const void *key, size_t keylen, const void *data1, size_t len1,
		  const void *data2, size_t len2, uint8_t digest[32])
{
	(void) key;
	(void) keylen;
	(void) data1;
	(void) len1;
	(void) data2;
	(void) len2;
	memset(digest, 0, 32);
	return false;
}

static void
body_is(const InqudOrder *what, const char *expected, const char *name)
{
	InqudWhy	why = INQUD_WHY_NONE;
	InqudRequest *request;

	request = inqud_request_create_checkout(&account, &test_crypto, what, &why);
	if (expected == NULL)
		ok(request == NULL && why != INQUD_WHY_NONE, "%s: %s", name, inqud_why_words(why));
	else if (request == NULL)
		ok(false, "%s: %s", name, inqud_why_words(why));
	else
	{
		is(request->body.data, expected, name);
		is_int((long long) request->body.len, (long long) strlen(expected), "... to the last byte");
	}
	inqud_request_free(request);
}

static void
test_bodies(void)
{
	InqudOrder	o = order;

	body_is(&o, VECTOR_BODY, "the vector's body");
	o.amount = "100.00";
	body_is(&o, VECTOR_BODY, "trailing zeros of an amount are not sent");
	o.amount = "1E2";
	body_is(&o, VECTOR_BODY, "nor is an exponent");
	o.extra = "{}";
	body_is(&o, VECTOR_BODY, "an empty extra changes nothing");
	o.extra = " { \"cryptoCurrency\" : \"ETHEREUM_USDT\", \"x\": {\"a b\": [1, 1.10, 100000000000000000000]} } ";
	body_is(&o, "{\"clientOrderId\":\"order-1001\",\"expiresAt\":\"2030-01-01T12:00:00Z\","
			"\"fixedAmount\":{\"amount\":100,\"currency\":\"USD\"},\"name\":\"Order 1001\","
			"\"returnUrl\":\"https://shop.example/return\",\"type\":\"FIXED_PRICE\","
			"\"cryptoCurrency\":\"ETHEREUM_USDT\",\"x\":{\"a b\":[1,1.10,100000000000000000000]}}",
			"extra members come last, their numbers as they were");
	o = order;
	o.type = "NO_PRICE";
	o.amount = o.currency = NULL;
	body_is(&o, "{\"clientOrderId\":\"order-1001\",\"expiresAt\":\"2030-01-01T12:00:00Z\","
			"\"name\":\"Order 1001\",\"returnUrl\":\"https://shop.example/return\","
			"\"type\":\"NO_PRICE\"}", "no price");
	o.type = "SUGGESTED_FIXED_PRICE";
	o.amount = "5";
	o.currency = "USD";
	body_is(&o, "{\"clientOrderId\":\"order-1001\",\"expiresAt\":\"2030-01-01T12:00:00Z\","
			"\"name\":\"Order 1001\",\"returnUrl\":\"https://shop.example/return\","
			"\"type\":\"SUGGESTED_FIXED_PRICE\"}", "suggested prices are not sent");
	memset(&o, 0, sizeof(o));
	body_is(&o, "{}", "nothing given, nothing sent");
	o.extra = "{\"a\":1}";
	body_is(&o, "{\"a\":1}", "extra alone");
	o.extra = NULL;
	o.name = "\"\\/\b\f\n\r\t\x01\x7f \xe2\x82\xac";
	body_is(&o, "{\"name\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\x7f \xe2\x82\xac\"}",
			"characters that need escaping");
	o.name = "\xff";
	body_is(&o, NULL, "invalid UTF-8");
}

static void
test_amounts(void)
{
	static const char *const bad[] = {"NaN", "", "abc", "-1", "0", "0.00", "1e39",
	"0.0000000000000000001", "Infinity", "1;2"};
	InqudOrder	o = order;
	char		name[2000];
	size_t		i;

	o.name = o.return_url = NULL;
	o.expires_at = 0;
	o.amount = "12345678901234567890.123456789012345678";
	body_is(&o, "{\"clientOrderId\":\"order-1001\",\"fixedAmount\":{\"amount\":"
			"12345678901234567890.123456789012345678,\"currency\":\"USD\"},"
			"\"type\":\"FIXED_PRICE\"}", "38 digits, 18 decimals");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		o.amount = bad[i];
		snprintf(name, sizeof(name), "amount \"%s\"", bad[i]);
		body_is(&o, NULL, name);
	}
	o.amount = NULL;
	body_is(&o, NULL, "no amount");
	o.amount = "1";
	o.currency = NULL;
	body_is(&o, NULL, "no currency");
	o.currency = "";
	body_is(&o, NULL, "empty currency");
	o.currency = "USD";
	o.expires_at = -1;
	body_is(&o, NULL, "a time before 1970");
	o.expires_at = INT64_MAX;
	body_is(&o, NULL, "a time beyond 9999");
}

static InqudWhy
why_not(const InqudOrder *what)
{
	InqudWhy	why = INQUD_WHY_NONE;

	inqud_request_free(inqud_request_create_checkout(&account, &test_crypto, what, &why));
	return why;
}

/* Each reason has its own words, and which are the order's is seen by their subject. */
static void
test_reasons(void)
{
	InqudOrder	o = order;
	int			bad = 0;
	int			i;
	int			j;

	for (i = INQUD_WHY_NO_MEMORY; i <= INQUD_WHY_EXTRA_TYPE; i++)
	{
		const char *words = inqud_why_words((InqudWhy) i);
		bool		is_the_orders = strncmp(words, "extra ", 6) == 0 || strncmp(words, "amount ", 7) == 0;

		if (words[0] == '\0' || inqud_why_is_the_orders((InqudWhy) i) != is_the_orders)
			bad++;
		for (j = INQUD_WHY_NONE; j < i; j++)
			bad += strcmp(words, inqud_why_words((InqudWhy) j)) == 0;
	}
	is_int(bad, 0, "each reason has words of its own");
	is_int(why_not(&o), INQUD_WHY_NONE, "none for an order that is sent");
	is(inqud_why_words(INQUD_WHY_NONE), "", "and no words");
	o.extra = "{\"name\":1}";
	is_int(why_not(&o), INQUD_WHY_EXTRA_NAME, "a member of ours in extra");
	is(inqud_why_words(INQUD_WHY_EXTRA_NAME), "extra must not contain \"name\"", "in words");
	is(inqud_check_extra(o.extra, strlen(o.extra)), "must not contain \"name\"", "and as a predicate");
	o.extra = "[]";
	is_int(why_not(&o), INQUD_WHY_EXTRA_SHAPE, "an array as extra");
	is(inqud_check_extra(o.extra, strlen(o.extra)), "is not a JSON object", "as a predicate");
	o.extra = NULL;
	o.amount = NULL;
	is_int(why_not(&o), INQUD_WHY_AMOUNT_MISSING, "no amount");
	o.amount = "-1";
	is_int(why_not(&o), INQUD_WHY_AMOUNT_SIGN, "a negative amount");
	o.amount = "1";
	o.currency = NULL;
	is_int(why_not(&o), INQUD_WHY_CURRENCY_MISSING, "no currency");
}

static void
test_extra(void)
{
	static const char *const bad[] = {"", "[]", "1", "\"x\"", "null", "{", "{\"a\":1}x",
		"{\"name\":1}", "{\"type\":null}", "{\"clientOrderId\":\"\"}", "{\"expiresAt\":1}",
		"{\"fixedAmount\":{}}", "{\"returnUrl\":1}", "{\"n\\u0061me\":1}", "{'a':1}",
	"{\"a\":NaN}", "{\"a\":1,}", "{\"a\":\"\xff\"}"};
	size_t		i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(inqud_check_extra(bad[i], strlen(bad[i])) != NULL, "extra %s: %s", bad[i],
		   inqud_check_extra(bad[i], strlen(bad[i])));
	ok(inqud_check_extra("{\"Name\":1}", 10) == NULL, "names are compared with their case");
	ok(inqud_check_extra("{\"x\":{\"name\":1}}", 16) == NULL, "inner members are free");
	ok(inqud_check_extra("{\"name\\u0000\":1}", 16) == NULL, "a name is taken whole");
	ok(inqud_check_extra("{}garbage", 2) == NULL, "the length counts");
}

static void
test_signatures(void)
{
	InqudCrypto crypto = test_crypto;
	InqudAccount a = account;
	InqudWhy	why = INQUD_WHY_NONE;
	InqudRequest *request;

	a.auth_signed = true;
	crypto.hmac_sha256 = hmac_of_half_salt;
	request = inqud_request_create_checkout(&a, &crypto, &order, &why);
	is(find_header(request, "X-HMAC-SHA256-Signature"), VECTOR_SIGNATURE,
	   "signature of the vector");
	is(find_header(request, "X-Salt"), VECTOR_SALT VECTOR_SALT, "the salt is 64 digits");
	ok(find_header(request, "X-Token-API-Secret") == NULL, "the secret does not travel");
	is(find_header(request, "X-Token-API-Id"), "TKN-1", "the id does");
	is(find_header(request, "Content-Type"), "application/json", "content type");
	is(find_header(request, "Accept"), "application/json", "accept");
	is(request->url.data,
	   "https://api.inqud.com/v1/user/crypto-acquiring/CAP-1/checkouts", "URL of a create");
	inqud_request_free(request);
	request = inqud_request_read_checkout(&a, &crypto, "CCO-1", &why);
	is(find_header(request, "X-HMAC-SHA256-Signature"), VECTOR_GET,
	   "signature of a GET");
	ok(find_header(request, "Content-Type") == NULL, "a GET has no content type");
	is(request->url.data,
	   "https://api.inqud.com/v1/user/crypto-acquiring/CAP-1/checkouts/CCO-1", "URL of a read");
	inqud_request_free(request);
	crypto.random = fail_random;
	ok(inqud_request_read_checkout(&a, &crypto, "CCO-1", &why) == NULL, "no chance: %s", inqud_why_words(why));
	crypto = test_crypto;
	crypto.hmac_sha256 = fail_hmac;
	ok(inqud_request_read_checkout(&a, &crypto, "CCO-1", &why) == NULL, "no HMAC: %s", inqud_why_words(why));
	a.auth_signed = false;
	request = inqud_request_create_checkout(&a, &crypto, &order, &why);
	is(find_header(request, "X-Token-API-Secret"), "test-token-secret", "simple scheme");
	ok(find_header(request, "X-Salt") == NULL, "needs no salt");
	ok(request->nheaders == 4 && request->headers[4] == NULL, "there are four headers");
	inqud_request_free(request);
	inqud_request_free(NULL);
}

static void
refused(const InqudAccount *a, const char *checkout_id, const char *name)
{
	InqudWhy	why = INQUD_WHY_NONE;
	InqudRequest *request = inqud_request_read_checkout(a, &test_crypto, checkout_id, &why);

	ok(request == NULL && why != INQUD_WHY_NONE, "%s: %s", name, inqud_why_words(why));
	inqud_request_free(request);
}

static void
test_refusals(void)
{
	InqudAccount a = account;
	static char long_token[20000];

	a.base_url = "http://api.inqud.com";
	refused(&a, "CCO-1", "plain http");
	a = account;
	a.token_id = "TKN\r\nX-Other: 1";
	refused(&a, "CCO-1", "a line break in the token id");
	a = account;
	a.token_secret = "a\nb";
	refused(&a, "CCO-1", "a line break in the secret");
	a.token_secret = "";
	refused(&a, "CCO-1", "an empty secret");
	a.token_secret = NULL;
	refused(&a, "CCO-1", "no secret");
	memset(long_token, 'x', sizeof(long_token) - 1);
	a.token_secret = long_token;
	refused(&a, "CCO-1", "an endless secret");
	a = account;
	a.checkout_path = "/{project}";
	refused(&a, "CCO-1", "a bad path");
	a = account;
	a.project_id = "..";
	refused(&a, "CCO-1", "a project that is a path");
	a.project_id = "";
	refused(&a, "CCO-1", "an empty project");
	refused(&account, "", "an empty id");
	refused(&account, NULL, "no id");
	refused(&account, "..", "an id that is a path");
	refused(&account, ".", "and the other one");
}

static void
digest(const char *secret, const char *body, const char *text, bool good, const char *name)
{
	ok(inqud_webhook_digest_ok(&test_crypto, secret, body, strlen(body), text,
							   strlen(text)) == good, "digest: %s", name);
}

static void
test_digests(void)
{
	static const char body[] = "{\"id\":\"CCO-11111111-2222-4333-8444-555555555555\","
		"\"clientOrderId\":\"order-1001\",\"status\":\"SUCCESS\"}";
	static const char good[] = "39379c5653780f1c6e2a0349563cdae8b66dd6c4";
	char		changed[41];
	int			accepted = 0;
	int			i;

	digest("secret_value", "{\"field\":\"value\"}",
		   "7e36242a10fd65cbaacd7ff288df9fd3f9e75a46", true, "the vendor's");
	digest("test-webhook-secret", body, good, true, "ours");
	digest("test-webhook-secret", body, "39379C5653780F1C6E2A0349563CDAE8B66DD6C4", true,
		   "capital letters");
	digest("other-secret", body, good, false, "another secret");
	digest("", body, good, false, "an empty secret");
	digest("test-webhook-secret", "{}", good, false, "another body");
	digest("test-webhook-secret", body, "", false, "an empty digest");
	digest("test-webhook-secret", body, "39379c5653780f1c6e2a0349563cdae8b66dd6c", false,
		   "one digit less");
	digest("test-webhook-secret", body, "39379c5653780f1c6e2a0349563cdae8b66dd6c40", false,
		   "one digit more");
	ok(!inqud_webhook_digest_ok(&test_crypto, NULL, body, strlen(body), good, 40),
	   "digest: no secret");
	ok(!inqud_webhook_digest_ok(&test_crypto, "x", body, strlen(body), NULL, 0),
	   "digest: none");
	for (i = 0; i < 40 * 255; i++)
	{
		memcpy(changed, good, sizeof(changed));
		changed[i / 255] = (char) (changed[i / 255] + i % 255 + 1);
		if ((changed[i / 255] | 0x20) != (good[i / 255] | 0x20) &&
			inqud_webhook_digest_ok(&test_crypto, "test-webhook-secret", body,
									strlen(body), changed, 40))
			accepted++;
	}
	is_int(accepted, 0, "no changed character is accepted anywhere");
	memcpy(changed, good, sizeof(changed));
	changed[0] = '\x13';
	ok(!inqud_webhook_digest_ok(&test_crypto, "test-webhook-secret", body, strlen(body),
								changed, 40), "nor one that differs by the bit of case");
}

int
main(void)
{
	test_bodies();
	test_amounts();
	test_extra();
	test_reasons();
	test_signatures();
	test_refusals();
	test_digests();
	return tap_end();
}
