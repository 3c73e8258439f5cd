/*-------------------------------------------------------------------------
 *
 * test_outcome.c
 *		What a response means: the table of errors, messages, the hash; and
 *		reading webhooks.
 *
 *-------------------------------------------------------------------------
 */
#include "reply.h"

static void
outcome(int status, const char *body, InqudOutcome create, InqudOutcome get)
{
	InqudReply *reply = read_reply(status, body, strlen(body), true, NULL);

	ok(inqud_reply_outcome(reply) == create, "%d \"%s\" to a create is %s", status, body,
	   inqud_outcome_name(create));
	inqud_reply_free(reply);
	reply = read_reply(status, body, strlen(body), false, NULL);
	ok(inqud_reply_outcome(reply) == get, "%d \"%s\" to a read is %s", status, body,
	   inqud_outcome_name(get));
	ok((inqud_reply_message(reply)[0] == '\0') == (get == INQUD_OK), "... message: %s",
	   inqud_reply_message(reply));
	inqud_reply_free(reply);
}

static void
test_outcomes(void)
{
	static const char good[] = "{\"id\":\"CCO-1\",\"status\":\"NEW\"}";
	static const char json[] = "{\"message\":\"no\"}";
	static const char html[] = "<html>404</html>";

	outcome(200, good, INQUD_OK, INQUD_OK);
	outcome(201, good, INQUD_OK, INQUD_OK);
	outcome(299, good, INQUD_OK, INQUD_OK);
	outcome(204, "", INQUD_UNKNOWN, INQUD_BAD_REPLY);
	outcome(200, html, INQUD_UNKNOWN, INQUD_BAD_REPLY);
	outcome(301, "", INQUD_ROUTE, INQUD_ROUTE);
	outcome(302, good, INQUD_ROUTE, INQUD_ROUTE);
	outcome(304, "", INQUD_ROUTE, INQUD_ROUTE);
	outcome(400, json, INQUD_REFUSED, INQUD_REFUSED);
	outcome(400, html, INQUD_REFUSED, INQUD_REFUSED);
	outcome(401, json, INQUD_AUTH, INQUD_AUTH);
	outcome(403, html, INQUD_AUTH, INQUD_AUTH);
	outcome(404, json, INQUD_ROUTE, INQUD_NOT_FOUND);
	outcome(404, html, INQUD_ROUTE, INQUD_ROUTE);
	outcome(404, "", INQUD_ROUTE, INQUD_ROUTE);
	outcome(405, json, INQUD_ROUTE, INQUD_ROUTE);
	outcome(406, json, INQUD_REFUSED, INQUD_REFUSED);
	outcome(408, json, INQUD_THROTTLED, INQUD_THROTTLED);
	outcome(409, json, INQUD_REFUSED, INQUD_REFUSED);
	outcome(410, json, INQUD_REFUSED, INQUD_REFUSED);
	outcome(422, json, INQUD_REFUSED, INQUD_REFUSED);
	outcome(429, html, INQUD_THROTTLED, INQUD_THROTTLED);
	outcome(500, json, INQUD_UNKNOWN, INQUD_UNKNOWN);
	outcome(502, html, INQUD_UNKNOWN, INQUD_UNKNOWN);
	outcome(503, "", INQUD_UNKNOWN, INQUD_UNKNOWN);
	outcome(599, "", INQUD_UNKNOWN, INQUD_UNKNOWN);
	outcome(101, "", INQUD_UNKNOWN, INQUD_UNKNOWN);
	outcome(0, "", INQUD_UNKNOWN, INQUD_UNKNOWN);
	outcome(999, good, INQUD_UNKNOWN, INQUD_UNKNOWN);
}

static void
progress(InqudProgress how, int status, bool creating, InqudOutcome expected)
{
	InqudResponse response;
	InqudReply *reply;

	memset(&response, 0, sizeof(response));
	response.progress = how;
	response.http_status = status;
	response.body = "{\"id\":\"CCO-1\",\"status\":\"NEW\"}";
	response.body_len = 30;
	response.error = status == 0 ? NULL : "words of\nthe library";
	reply = inqud_reply_read(&response, creating, NULL, NULL, NULL);
	ok(inqud_reply_outcome(reply) == expected, "progress %d, status %d: %s (%s)", how, status,
	   inqud_outcome_name(expected), inqud_reply_message(reply));
	ok(inqud_reply_message(reply)[0] != '\0', "... has a message");
	inqud_reply_free(reply);
}

static void
test_progress(void)
{
	progress(INQUD_NOT_SENT, 0, true, INQUD_UNREACHABLE);
	progress(INQUD_NOT_SENT, 0, false, INQUD_UNREACHABLE);
	progress(INQUD_NO_ANSWER, 0, true, INQUD_UNKNOWN);
	progress(INQUD_NO_ANSWER, 200, true, INQUD_UNKNOWN);
	progress(INQUD_NO_ANSWER, 200, false, INQUD_UNKNOWN);
	progress(INQUD_TOO_LARGE, 200, true, INQUD_UNKNOWN);
	progress(INQUD_TOO_LARGE, 200, false, INQUD_BAD_REPLY);
	progress(INQUD_TOO_LARGE, 401, false, INQUD_AUTH);
	progress(INQUD_TOO_LARGE, 500, true, INQUD_UNKNOWN);
	progress(INQUD_TOO_LARGE, 404, false, INQUD_ROUTE);
}

static void
message_is(const char *body, const char *message, const char *code)
{
	InqudReply *reply = read_reply(400, body, strlen(body), true, NULL);

	is(inqud_reply_message(reply), message, body);
	is(inqud_reply_code(reply), code, "... code");
	inqud_reply_free(reply);
}

/* A text of so many bytes in JSON, with its quotes, is a message; or it is too long for one. */
static void
test_long_message(size_t len, bool taken)
{
	size_t		size = len + 100;
	char	   *body = malloc(size);
	InqudReply *reply;

	snprintf(body, size, "{\"title\":\"t\",\"message\":\"%0*d\"}", (int) len - 2, 7);
	reply = read_reply(400, body, strlen(body), true, NULL);
	is_int((long long) strlen(inqud_reply_message(reply)), taken ? 500 : 1, "a message that is long");
	inqud_reply_free(reply);
	free(body);
}

static void
test_messages(void)
{
	static const char quoting[] =
	"{\"message\":\"bad token s3cret, s3crets3cret\",\"code\":\"s3cret\"}";
	char		body[3000] = "{\"message\":\"";
	InqudReply *reply;
	int			i;

	message_is("{\"code\":\"VALIDATION_ERROR\",\"message\":\"fixedAmount.amount must be positive\"}",
			   "fixedAmount.amount must be positive", "VALIDATION_ERROR");
	message_is("{\"error\":\"e\",\"errorMessage\":\"m\",\"errorCode\":42}", "e", "42");
	message_is("{\"detail\":\"d\",\"title\":\"t\",\"code\":1.50}", "d", "1.50");
	message_is("{\"title\":\"t\",\"code\":[],\"errorCode\":\"x\"}", "t", "x");
	message_is("{\"message\":5,\"error\":{\"message\":\"inner\"},\"title\":\"t\"}", "t", "");
	message_is("{\"message\":\"a\\u0000b\",\"title\":\"t\"}", "t", "");
	message_is("{\"message\":\"a\\r\\nb\\u001b[31m\\u202e\"}", "a b[31m", "");
	message_is("{\"message\":null}", "HTTP status 400", "");
	message_is("[]", "HTTP status 400", "");
	message_is("<html>", "HTTP status 400", "");
	message_is("", "HTTP status 400", "");
	for (i = 0; i < 400; i++)
		memcpy(body + 12 + i * 3, "\xe2\x82\xac", 3);
	memcpy(body + 12 + 1200, "\"}", 3);
	reply = read_reply(400, body, strlen(body), true, NULL);
	is_int((long long) strlen(inqud_reply_message(reply)), 498, "a long message is cut between characters");
	ok(inqud_utf8_valid(inqud_reply_message(reply), 498), "and stays valid");
	inqud_reply_free(reply);
	test_long_message(16 * 1024, true);
	test_long_message(16 * 1024 + 1, false);
	reply = read_hiding(401, quoting, strlen(quoting), true, NULL, "s3cret", "");
	is(inqud_reply_message(reply), "bad token ******, ************", "secrets are hidden in a message");
	is(inqud_reply_code(reply), "******", "and in a code");
	inqud_reply_free(reply);
}

static uint64_t
hash_of(const char *body)
{
	InqudReply *reply = read_text(body);
	uint64_t	hash = inqud_reply_hash(reply);

	inqud_reply_free(reply);
	return hash;
}

static void
test_hash(void)
{
	uint64_t	a = hash_of("{\"id\":\"CCO-1\",\"status\":\"NEW\"}");

	ok(a == hash_of("{\"status\":\"NEW\", \"id\":\"CCO-1\",\"minLimits\":{\"x\":5}}"),
	   "order, space and other members do not change the hash");
	ok(a != hash_of("{\"id\":\"CCO-1\",\"status\":\"SUCCESS\"}"), "the status does");
	ok(a != hash_of("{\"id\":\"CCO-1\",\"status\":\"NEW\",\"reason\":\"\"}"), "an empty reason does");
	ok(a != hash_of("{\"id\":\"CCO-1\",\"status\":\"NEW\",\"reason\":5}"), "what is lost does");
	ok(a != hash_of("{\"id\":\"CCO-1\",\"status\":\"NEW\",\"lastUpdatedAt\":\"2030-01-01T00:00:00Z\"}"),
	   "a time does");
	ok(a != hash_of("{\"id\":\"CCO-1\",\"status\":\"NEW\",\"request\":{}}"), "a request does");
	ok(hash_of("{\"id\":\"CCO-1\",\"status\":\"NEW\",\"request\":{\"overpaid\":true}}") !=
	   hash_of("{\"id\":\"CCO-1\",\"status\":\"NEW\",\"request\":{\"overpaid\":false}}"), "a flag does");
	ok(hash_of("{\"id\":\"CCO-1\",\"status\":\"NEW\",\"name\":\"a\"}") !=
	   hash_of("{\"id\":\"CCO-1\",\"status\":\"NEW\",\"reason\":\"a\"}"), "where a text stands does");
	ok(hash_of("[]") != 0, "never 0");
}

static void
test_webhooks(void)
{
	static const char *const bad[] = {"", "[]", "{}", "{\"id\":\"\"}", "{\"id\":5}",
	"{\"id\":\"a b\"}", "{\"id\":null}", "x", "{\"id\":\"C\\u0000\"}", "{\"id\":\"C\"} x"};
	static const char good[] = "{\"id\":\"" ID "\",\"clientOrderId\":\"order-1001\",\"status\":\"SUCCESS\"}";
	static const char request[] = "{\"id\":\"CAPD-1\",\"checkoutId\":\"CCO-1\",\"status\":7}";
	InqudWebhook webhook;
	size_t		i;

	ok(inqud_webhook_read(good, strlen(good), NULL, &webhook), "a webhook is read");
	is(webhook.id, ID, "id");
	is(webhook.status, "SUCCESS", "status");
	is(webhook.order_id, "order-1001", "order");
	is(webhook.checkout_id, NULL, "no checkout");
	inqud_webhook_free(&webhook);
	ok(inqud_webhook_read(request, strlen(request), NULL, &webhook),
	   "a request's webhook is read");
	is(webhook.checkout_id, "CCO-1", "with its checkout");
	is(webhook.status, NULL, "without a status that is none");
	inqud_webhook_free(&webhook);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		ok(!inqud_webhook_read(bad[i], strlen(bad[i]), NULL, &webhook), "no webhook: %s", bad[i]);
		ok(webhook.id == NULL && webhook.order_id == NULL, "... leaves nothing");
	}
}

/* The words that SQL and messages know. */
static void
test_names(void)
{
	static const char *const names[] = {"ok", "refused", "auth", "route", "not_found",
	"throttled", "unreachable", "unknown", "bad_reply", "held", "blocked"};
	int			i;

	for (i = INQUD_OK; i <= INQUD_BLOCKED; i++)
		is(inqud_outcome_name((InqudOutcome) i), names[i], names[i]);
}

int
main(void)
{
	test_names();
	test_outcomes();
	test_progress();
	test_messages();
	test_hash();
	test_webhooks();
	return tap_end();
}
