/*-------------------------------------------------------------------------
 *
 * test_reply.c
 *		Reading the object of a reply, hostile bodies included.
 *
 *-------------------------------------------------------------------------
 */
#include "reply.h"

/* The contract's example, with a linked request as in its section 8. */
static const char full[] =
"{\"id\":\"" ID "\",\"projectId\":\"CAP-aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee\",\"projectName\":\"demo\",\n"
" \"merchantDomain\":\"shop.example\",\"clientOrderId\":\"order-1002\",\"status\":\"NEW\",\"reason\":null,"
"\"name\":\"Order 1002\",\"type\":\"FIXED_PRICE\",\n"
" \"fixedAmount\":{\"currency\":\"USD\",\"amount\":100},\"suggestedAmounts\":null,\n"
" \"cryptoCurrencies\":[\"ETHEREUM_USDT\",\"TRON_USDT\"],\"cryptoCurrenciesByBlockchain\":"
"{\"ETHEREUM\":[\"ETHEREUM_USDT\"],\"TRON\":[\"TRON_USDT\"]},\n"
" \"cryptoCurrencyDetails\":{},\"estimatedPayAmounts\":{\"ETHEREUM_USDT\":99.46291,\"TRON_USDT\":99.46291},"
"\"minLimits\":{},\"maxLimits\":{},\n"
" \"request\":{\"id\":\"CAPD-1\",\"orderId\":\"ORD-1\",\"currency\":\"USDT\",\"blockchain\":\"ETHEREUM\","
"\"status\":\"WAITING_PAYMENT\",\"payAmount\":104.54291,\"merchantPlatformFee\":5.07315,"
"\"processingAmount\":94.38976,\"paidAmount\":1E-8,\"overpaid\":false,\"txHash\":null,\"paymentId\":\"PMT-1\"},"
"\"returnUrl\":\"https://shop.example/return\",\n"
" \"acquiringUrl\":\"https://paycrypto.inqud.com/checkout/" ID "\",\n"
" \"createdAt\":\"2029-12-31T09:17:26.081523507Z\",\"lastUpdatedAt\":null,\"expiresAt\":\"2030-01-01T12:00:00Z\"}";

static void
test_object(void)
{
	InqudReply *reply = read_reply(200, full, strlen(full), false, ID);
	const InqudCheckout *c = inqud_reply_checkout(reply);
	size_t		len;

	is_int(inqud_reply_outcome(reply), INQUD_OK, "the whole object is read");
	is(c->id, ID, "id");
	is(c->status, "NEW", "status");
	is(c->project_id, "CAP-aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee", "project");
	is(c->order_id, "order-1002", "order");
	is(c->reason, NULL, "no reason");
	is(c->name, "Order 1002", "name");
	is(c->type, "FIXED_PRICE", "type");
	is(c->return_url, "https://shop.example/return", "return URL");
	is(c->acquiring_url, "https://paycrypto.inqud.com/checkout/" ID, "page");
	is(c->fixed_amount, "100", "amount");
	is(c->fixed_currency, "USD", "currency");
	is_int(c->created_at, 1893403046081524, "created");
	is_int(c->updated_at, 0, "never updated");
	is_int(c->expires_at, 1893499200000000, "expires");
	ok(c->has_request, "there is a request");
	is(c->request_id, "CAPD-1", "its id");
	is(c->payment_id, "PMT-1", "payment");
	is(c->pay_amount, "104.54291", "amount to pay");
	is(c->pay_currency, "USDT", "currency to pay");
	is(c->pay_blockchain, "ETHEREUM", "chain");
	is(c->paid_amount, "0.00000001", "amount paid, from an exponent");
	is_int(c->overpaid, 0, "not overpaid");
	is(c->tx_hash, NULL, "no transaction");
	is(c->merchant_fee, "5.07315", "fee");
	is(c->processing_amount, "94.38976", "net");
	is(c->lost, NULL, "nothing is lost");
	is(inqud_reply_json(reply, &len), full, "the text is kept as it came");
	is_int((long long) len, (long long) strlen(full), "to its last byte");
	is(inqud_reply_message(reply), "", "no message");
	is(inqud_reply_code(reply), "", "no code");
	ok(inqud_reply_hash(reply) != 0, "a hash");
	inqud_reply_free(reply);
}

/* Each time goes where it belongs. */
static void
test_times(void)
{
	InqudReply *reply = read_text("{\"id\":\"CCO-1\",\"status\":\"NEW\",\"createdAt\":\"1970-01-01T00:00:01Z\","
								  "\"lastUpdatedAt\":\"1970-01-01T00:00:02Z\",\"expiresAt\":\"1970-01-01T00:00:03Z\"}");
	const InqudCheckout *c = inqud_reply_checkout(reply);

	is_int(c->created_at, 1000000, "createdAt");
	is_int(c->updated_at, 2000000, "lastUpdatedAt");
	is_int(c->expires_at, 3000000, "expiresAt");
	inqud_reply_free(reply);
}

/* One member of a small object, and what is made of it. */
static void
lost_is(const char *member, const char *lost)
{
	char		body[5000];
	InqudReply *reply;

	snprintf(body, sizeof(body), "{\"id\":\"CCO-1\",\"status\":\"NEW\",%s}", member);
	reply = read_text(body);
	if (ok(inqud_reply_outcome(reply) == INQUD_OK, "%s does not spoil the reply", member))
		is(inqud_reply_checkout(reply)->lost, lost, "... lost");
	inqud_reply_free(reply);
}

static void
test_lost(void)
{
	static const char *const texts[] = {"projectId", "clientOrderId", "reason", "name",
		"type", "returnUrl", "acquiringUrl", "createdAt", "lastUpdatedAt", "expiresAt",
	"fixedAmount", "request"};
	static const char *const inner[] = {"id", "paymentId", "payAmount", "currency",
		"blockchain", "paidAmount", "overpaid", "txHash", "merchantPlatformFee",
	"processingAmount"};
	static const char *const wrong[] = {"12", "-1.5e3", "[\"x\"]", "[]", "1e200000"};
	char		member[3000];
	char		name[100];
	char		long_text[2100];
	size_t		i;
	size_t		j;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		for (j = 0; j < sizeof(wrong) / sizeof(wrong[0]); j++)
		{
			snprintf(member, sizeof(member), "\"%s\":%s", texts[i], wrong[j]);
			lost_is(member, texts[i]);
		}
		snprintf(member, sizeof(member), "\"%s\":null", texts[i]);
		lost_is(member, NULL);
	}
	for (i = 0; i < sizeof(inner) / sizeof(inner[0]); i++)
	{
		snprintf(member, sizeof(member), "\"request\":{\"%s\":[{}]}", inner[i]);
		snprintf(name, sizeof(name), "request.%s", inner[i]);
		lost_is(member, name);
		snprintf(member, sizeof(member), "\"request\":{\"%s\":null}", inner[i]);
		lost_is(member, NULL);
	}
	lost_is("\"fixedAmount\":{\"amount\":-1}", "fixedAmount.amount");
	lost_is("\"fixedAmount\":{\"amount\":true,\"currency\":5}",
			"fixedAmount.amount, fixedAmount.currency");
	lost_is("\"fixedAmount\":{\"amount\":\"12.50\"}", NULL);
	lost_is("\"fixedAmount\":{\"amount\":\"12.50 USD\"}", "fixedAmount.amount");
	lost_is("\"fixedAmount\":{\"amount\":1e200000}", "fixedAmount.amount");
	lost_is("\"fixedAmount\":{\"amount\":0.0000000000000000001}", "fixedAmount.amount");
	lost_is("\"reason\":\"a\\u0000b\"", "reason");
	lost_is("\"reason\":\"\"", NULL);
	lost_is("\"acquiringUrl\":\"javascript:alert(1)\"", "acquiringUrl");
	lost_is("\"acquiringUrl\":\"\"", "acquiringUrl");
	lost_is("\"createdAt\":\"yesterday\"", "createdAt");
	lost_is("\"request\":{\"overpaid\":\"true\"}", "request.overpaid");
	lost_is("\"request\":{\"id\":\"has space\"}", "request.id");
	lost_is("\"unknown\":{\"deep\":[1,2,{\"er\":null}]}", NULL);
	memset(long_text, 'x', sizeof(long_text));
	long_text[1001] = '\0';
	snprintf(member, sizeof(member), "\"reason\":\"%s\"", long_text);
	lost_is(member, "reason");
	long_text[1000] = '\0';
	snprintf(member, sizeof(member), "\"reason\":\"%s\"", long_text);
	lost_is(member, NULL);
	long_text[1000] = long_text[1001] = 'x';
	long_text[2049] = '\0';
	snprintf(member, sizeof(member), "\"returnUrl\":\"%s\"", long_text);
	lost_is(member, "returnUrl");
}

static void
amount_is(const char *json, const char *expected)
{
	char		body[400];
	InqudReply *reply;

	snprintf(body, sizeof(body),
			 "{\"id\":\"CCO-1\",\"status\":\"NEW\",\"request\":{\"paidAmount\":%s}}", json);
	reply = read_text(body);
	is(inqud_reply_checkout(reply)->paid_amount, expected, json);
	is(inqud_reply_checkout(reply)->lost, expected == NULL ? "request.paidAmount" : NULL,
	   "... lost or not");
	inqud_reply_free(reply);
}

static void
test_amounts(void)
{
	amount_is("18446744073709551615", "18446744073709551615");
	amount_is("18446744073709551616", "18446744073709551616");
	amount_is("100000000000000000000", "100000000000000000000");
	amount_is("9223372036854775808", "9223372036854775808");
	amount_is("999999999999999999", "999999999999999999");
	amount_is("1000000000000000000", "1000000000000000000");
	amount_is("99999999999999999999999999999999999999", "99999999999999999999999999999999999999");
	amount_is("100000000000000000000000000000000000000", NULL);
	amount_is("-9223372036854775809", NULL);
	amount_is("0.1", "0.1");
	amount_is("0.30000000000000004", "0.30000000000000004");
	amount_is("0.123456789012345678", "0.123456789012345678");
	amount_is("12345678901234567890.123456789012345678", "12345678901234567890.123456789012345678");
	amount_is("0E-8", "0");
	amount_is("-0", "0");
	amount_is("1.5e3", "1500");
	amount_is("1e37", "10000000000000000000000000000000000000");
	amount_is("1e38", NULL);
	amount_is("\"18446744073709551616\"", "18446744073709551616");
	amount_is("\"\"", NULL);
	amount_is("\"1\\u0000\"", NULL);
}

/* A 200 that must not be used. */
static void
unusable(const char *body, size_t len, const char *name)
{
	InqudReply *reply = read_reply(200, body, len, false, NULL);

	ok(inqud_reply_outcome(reply) == INQUD_BAD_REPLY && inqud_reply_checkout(reply) == NULL,
	   "%s is a bad reply to a read", name);
	ok(inqud_reply_message(reply)[0] != '\0', "... %s", inqud_reply_message(reply));
	inqud_reply_free(reply);
	reply = read_reply(200, body, len, true, NULL);
	ok(inqud_reply_outcome(reply) == INQUD_UNKNOWN, "... and unknown to a create");
	ok(inqud_reply_json(reply, &len) == NULL, "... with nothing to store");
	inqud_reply_free(reply);
}

static void
test_hostile(void)
{
	static const char *const bodies[] = {"", " ", "null", "true", "1", "\"x\"", "[]",
		"[{\"id\":\"CCO-1\",\"status\":\"NEW\"}]", "{}", "{\"id\":\"CCO-1\"}",
		"{\"status\":\"NEW\"}", "{\"id\":\"\",\"status\":\"NEW\"}",
		"{\"id\":\"CCO-1\",\"status\":\"\"}", "{\"id\":1,\"status\":\"NEW\"}",
		"{\"id\":\"CCO-1\",\"status\":null}", "{\"id\":\"CCO-1\",\"status\":[]}",
		"{\"id\":[\"CCO-1\"],\"status\":\"NEW\"}", "{\"id\":\"a b\",\"status\":\"NEW\"}",
		"{\"id\":\"\xc3\xa9\",\"status\":\"NEW\"}", "{\"id\":\"a\\nb\",\"status\":\"NEW\"}",
		"{\"id\":\"CCO-1\\u0000\",\"status\":\"NEW\"}",
		"{\"id\":\"CCO-1\",\"status\":\"NEW\\u0000\"}",
		"<html><body>404</body></html>", "OK",
		"{\"id\":\"CCO-1\",\"status\":\"NEW\"}x", "{\"id\":\"CCO-1\",\"status\":\"NEW\"}{}",
		"{\"id\":\"CCO-1\",\"status\":\"NEW\",}", "{\"id\":\"CCO-1\" \"status\":\"NEW\"}",
		"{'id':'CCO-1','status':'NEW'}", "{id:\"CCO-1\",status:\"NEW\"}",
		"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":NaN}",
		"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":Infinity}",
		"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":-Infinity}",
		"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":01}",
		"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":.5}",
		"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":1.}",
		"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":+1}",
		"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":0x10}",
		"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":TRUE}",
		"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":\"\xff\"}",
		"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\xc3\":1}",
		"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":\"\xed\xa0\x80\"}",
		"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":\"\x01\"}",
		"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":\"\\x41\"}",
		"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":\"\\u12\"}",
		"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":/* no */1}",
		"\xef\xbb\xbf{\"id\":\"CCO-1\",\"status\":\"NEW\"}",
	"\x1f\x8b\x08\x03gzip"};
	char		name[40];
	size_t		i;

	for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
	{
		snprintf(name, sizeof(name), "hostile body %zu", i);
		unusable(bodies[i], strlen(bodies[i]), name);
	}
	unusable("{\"id\":\"CCO-1\",\"status\":\"NEW\"}\0", 31, "a NUL at the end");
}

static void
test_truncated(void)
{
	int			bad = 0;
	size_t		i;

	for (i = 0; i < strlen(full); i++)
	{
		InqudReply *reply = read_reply(200, full, i, false, NULL);

		if (inqud_reply_outcome(reply) != INQUD_BAD_REPLY)
			bad++;
		inqud_reply_free(reply);
	}
	is_int(bad, 0, "no beginning of an object passes for the whole");
	for (i = 0; i < strlen(full); i++)
	{
		char		copy[sizeof(full)];
		InqudReply *reply;

		memcpy(copy, full, sizeof(full));
		copy[i] = (char) 0xff;
		reply = read_reply(200, copy, strlen(full), false, NULL);
		if (inqud_reply_outcome(reply) != INQUD_BAD_REPLY)
			bad++;
		inqud_reply_free(reply);
	}
	is_int(bad, 0, "nor does one with a wrong byte anywhere");
}

/* "levels" arrays inside one another, in an otherwise good object. */
static InqudReply *
read_nested(size_t levels)
{
	static const char start[] = "{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":";
	size_t		len = sizeof(start) - 1 + levels * 2 + 1;
	char	   *body = malloc(len + 1);
	InqudReply *reply;

	memcpy(body, start, sizeof(start) - 1);
	memset(body + sizeof(start) - 1, '[', levels);
	memset(body + sizeof(start) - 1 + levels, ']', levels);
	body[len - 1] = '}';
	reply = read_reply(200, body, len, false, NULL);
	free(body);
	return reply;
}

static void
test_nesting(void)
{
	InqudReply *reply = read_nested(31);
	char	   *open;

	is_int(inqud_reply_outcome(reply), INQUD_OK, "32 levels are read");
	inqud_reply_free(reply);
	reply = read_nested(32);
	is_int(inqud_reply_outcome(reply), INQUD_BAD_REPLY, "33 are not");
	inqud_reply_free(reply);
	reply = read_nested(100000);
	is_int(inqud_reply_outcome(reply), INQUD_BAD_REPLY, "100000 are not, and do no harm");
	inqud_reply_free(reply);
	open = malloc(100000);
	memset(open, '[', 100000);
	unusable(open, 100000, "100000 levels never closed");
	memset(open, '{', 100000);
	unusable(open, 100000, "and with braces");
	free(open);
}

static void
storable(const char *member, bool good)
{
	char		body[2000];
	size_t		len = 0;
	InqudReply *reply;

	snprintf(body, sizeof(body), "{\"id\":\"CCO-1\",\"status\":\"NEW\",%s}", member);
	reply = read_text(body);
	is_int(inqud_reply_outcome(reply), INQUD_OK, "the reply is fine");
	ok((inqud_reply_json(reply, &len) != NULL) == good, "%s can %sbe stored", member,
	   good ? "" : "not ");
	inqud_reply_free(reply);
}

static void
test_storable(void)
{
	storable("\"x\":1", true);
	storable("\"x\":\"\\ud83d\\ude00 \\u0041\"", true);
	storable("\"x\":100000000000000000000", true);
	storable("\"x\":1e308", true);
	storable("\"x\":1e-308", true);
	storable("\"x\":1e200000", false);
	storable("\"x\":1e-200000", false);
	storable("\"x\":1e131072", false);
	storable("\"x\":-1e99999999999999999999", false);
	storable("\"x\":0e99999999999999999999", false);
	storable("\"x\":\"\\u0000\"", false);
	storable("\"\\u0000\":1", false);
	storable("\"x\":[{\"y\":\"a\\u0000\"}]", false);
	storable("\"x\":\"\\ud83d\"", false);
	storable("\"x\":\"\\ude00\"", false);
	storable("\"x\":\"\\ud83d\\u0041\"", false);
	storable("\"x\":\"\\ud83d\\ud83d\\ude00\"", false);
	storable("\"x\":\"\\\\u0000\"", true);
}

static void
test_names(void)
{
	InqudReply *reply = read_text("{\"id\":\"CCO-1\",\"status\":\"NEW\",\"id\":\"CCO-2\"}");

	is(inqud_reply_checkout(reply)->id, "CCO-2", "of two members the last one counts");
	inqud_reply_free(reply);
	reply = read_text("{\"id\":\"CCO-1\",\"status\":\"NEW\",\"id\\u0000x\":\"CCO-2\","
					  "\"status\\u0000\":\"SUCCESS\",\"n\":100000000000000000000}");
	is(inqud_reply_checkout(reply)->id, "CCO-1", "a name with a NUL is another name");
	is(inqud_reply_checkout(reply)->status, "NEW", "of the status too");
	inqud_reply_free(reply);
	reply = read_text("{\"id\":\"CCO-1\",\"status\":\"NEW\",\"\":5,\"i\":6,\"idx\":7,\"x\":{\"id\":8,\"status\":9}}");
	is(inqud_reply_checkout(reply)->id, "CCO-1", "names that are like it are others");
	inqud_reply_free(reply);
	reply = read_text("{\"\\u0069d\":\"CCO-1\",\"status\":\"N\\u0045W\"}");
	is(inqud_reply_checkout(reply)->status, "NEW", "escapes are resolved");
	inqud_reply_free(reply);
	reply = read_text("{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":{\"paidAmount\":1},\"request\":{\"payAmount\":2},"
					  "\"y\":{\"payAmount\":3,\"currency\":\"X\"}}");
	is(inqud_reply_checkout(reply)->paid_amount, NULL, "a member of another object is not the request's");
	is(inqud_reply_checkout(reply)->pay_amount, "2", "which keeps its own");
	is(inqud_reply_checkout(reply)->fixed_currency, NULL, "nor is it the amount's");
	inqud_reply_free(reply);
	reply = read_text("{\"id\":\"CCO-1\",\"status\":\"NEW\",\"request\":{\"payAmount\":2,\"paidAmount\":1},"
					  "\"r\\u0065quest\":{\"p\\u0061yAmount\":3,\"payAmount\":4}}");
	is(inqud_reply_checkout(reply)->pay_amount, "4", "of two objects the last one counts");
	is(inqud_reply_checkout(reply)->paid_amount, NULL, "as a whole");
	inqud_reply_free(reply);
	reply = read_text("{\"id\":\"CCO-1\",\"status\":\"NEW\",\"request\":[{\"payAmount\":2}]}");
	is(inqud_reply_checkout(reply)->lost, "request", "an array of objects is none");
	inqud_reply_free(reply);
	reply = read_reply(200, full, strlen(full), false, "CCO-other");
	is_int(inqud_reply_outcome(reply), INQUD_BAD_REPLY, "another checkout is not the one asked for");
	inqud_reply_free(reply);
	reply = read_text(" \r\n\t{ \"id\" : \"CCO-1\" , \"status\" : \"WHATEVER NEXT\" } \n");
	ok(inqud_reply_checkout(reply)->overpaid == -1 && !inqud_reply_checkout(reply)->has_request,
	   "without a request nothing is said about it");
	is(inqud_reply_checkout(reply)->status, "WHATEVER NEXT", "unknown statuses are taken as they come");
	inqud_reply_free(reply);
}

int
main(void)
{
	test_object();
	test_times();
	test_lost();
	test_amounts();
	test_hostile();
	test_truncated();
	test_nesting();
	test_storable();
	test_names();
	return tap_end();
}
