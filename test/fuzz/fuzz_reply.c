/*-------------------------------------------------------------------------
 *
 * fuzz_reply.c
 *		Any bytes as the body of a reply.  The first two bytes choose the
 *		status and whether it answers a create.
 *
 *-------------------------------------------------------------------------
 */
#include "client_internal.h"
#include "fuzz.h"

static void
check_amount(const char *amount)
{
	char		plain[INQUD_NUMBER_MAX];

	if (amount == NULL)
		return;
	MUST(inqud_number_plain(amount, strlen(amount), plain));
	MUST(strcmp(plain, amount) == 0 && amount[0] != '-');
}

static void
check_text(const char *text)
{
	MUST(text == NULL || inqud_utf8_valid(text, strlen(text)));
}

static void
check_checkout(const InqudCheckout *c)
{
	MUST(inqud_text_is_token(c->id, 200));
	MUST(c->status[0] != '\0');
	check_text(c->status);
	check_text(c->reason);
	check_text(c->name);
	check_text(c->order_id);
	check_text(c->tx_hash);
	check_text(c->lost);
	check_amount(c->fixed_amount);
	check_amount(c->pay_amount);
	check_amount(c->paid_amount);
	check_amount(c->merchant_fee);
	check_amount(c->processing_amount);
	MUST(c->acquiring_url == NULL || inqud_check_web_url(c->acquiring_url) == NULL);
	MUST(c->overpaid >= -1 && c->overpaid <= 1);
	MUST(c->created_at >= 0 && c->updated_at >= 0 && c->expires_at >= 0);
}

/* For people: no control characters. */
static void
check_message(const InqudReply *reply)
{
	const char *p;

	MUST(strlen(inqud_reply_message(reply)) <= 500);
	check_text(inqud_reply_message(reply));
	check_text(inqud_reply_code(reply));
	for (p = inqud_reply_message(reply); *p != '\0'; p++)
		MUST((unsigned char) *p >= ' ' && *p != 0x7f);
}

#define SECRET "secret-1"

/* Is there no secret in the body, nor anything that could be one when it is resolved or left out? */
static bool
says_it_all(const InqudResponse *response)
{
	const unsigned char *p = (const unsigned char *) response->body;
	size_t		i;

	for (i = 0; i < response->body_len; i++)
	{
		if (p[i] >= 0x7f || p[i] == '%' || p[i] == '\\')
			return false;
	}
	return memmem(p, response->body_len, SECRET, strlen(SECRET)) == NULL;
}

static bool
always(void)
{
	return true;
}

/*
 * The same with a secret to hide.  It stands nowhere in what comes of it; and a body
 * in which no whole one stands, whatever part of it does, makes no difference.
 */
static void
check_hiding(const InqudResponse *response, bool creating, const char *id, const InqudReply *plain)
{
	static const char *const secrets[] = {SECRET};
	InqudHider *hider = inqud_hider_new(secrets, 1);
	InqudReply *reply = inqud_reply_read(response, creating, id, hider, always);
	size_t		len = 0;
	const char *text = inqud_reply_json(reply, &len);

	MUST(strstr(inqud_reply_message(reply), SECRET) == NULL && strstr(inqud_reply_code(reply), SECRET) == NULL);
	MUST(text == NULL || memmem(text, len, SECRET, strlen(SECRET)) == NULL);
	if (says_it_all(response))
	{
		MUST(inqud_reply_outcome(reply) == inqud_reply_outcome(plain) && inqud_reply_hash(reply) == inqud_reply_hash(plain));
		MUST(strcmp(inqud_reply_message(reply), inqud_reply_message(plain)) == 0);
		MUST(strcmp(inqud_reply_code(reply), inqud_reply_code(plain)) == 0);
	}
	inqud_reply_free(reply);
	inqud_hider_free(hider);
}

/* What a status can lead to, whatever the body says. */
static void
check_outcome(InqudOutcome outcome, int status, bool creating)
{
	switch (outcome)
	{
		case INQUD_OK:
			MUST(status / 100 == 2);
			break;
		case INQUD_BAD_REPLY:
			MUST(status < 300 && !creating);
			break;
		case INQUD_NOT_FOUND:
			MUST(status == 404 && !creating);
			break;
		case INQUD_REFUSED:
			MUST(status == 400 || status == 409);
			break;
		case INQUD_AUTH:
			MUST(status == 401);
			break;
		case INQUD_THROTTLED:
			MUST(status == 408 || status == 429);
			break;
		case INQUD_ROUTE:
			MUST(status == 302 || status == 404 || status == 405);
			break;
		case INQUD_UNKNOWN:
			MUST(status >= 500 || (status < 300 && (creating || status == 0)));
			break;
		case INQUD_UNREACHABLE:
		case INQUD_HELD:
		case INQUD_BLOCKED:
			MUST(false);
	}
}

/* What is kept for jsonb is the body, and is fit for it. */
static void
check_json(const InqudReply *reply, const char *body, size_t body_len)
{
	InqudJsonScan scan = {0};
	size_t		len = 0;
	const char *text = inqud_reply_json(reply, &len);

	MUST(inqud_json_scan(body, body_len, &scan));
	MUST((text != NULL) == scan.storable);
	MUST(text == NULL || (len == body_len && memcmp(text, body, len) == 0));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int statuses[] = {200, 201, 302, 400, 401, 404, 405, 408, 409, 429, 500, 0};
	InqudResponse response;
	InqudReply *reply;
	bool		creating;
	const char *id;
	char	   *body;
	size_t		len;

	if (size < 2)
		return 0;
	creating = (data[1] & 1) != 0;
	id = (data[1] & 2) != 0 ? "CCO-1" : NULL;
	body = to_text(data + 2, size - 2);
	memset(&response, 0, sizeof(response));
	response.progress = (data[1] & 0x60) == 0 ? INQUD_TOO_LARGE : INQUD_DONE;
	response.http_status = statuses[data[0] % (sizeof(statuses) / sizeof(statuses[0]))];
	response.error = "";
	response.body = body;
	response.body_len = size - 2;
	reply = inqud_reply_read(&response, creating, id, NULL, NULL);
	MUST(reply != NULL);
	MUST(inqud_reply_hash(reply) != 0);
	check_outcome(inqud_reply_outcome(reply), response.http_status, creating);
	if (inqud_reply_outcome(reply) == INQUD_OK)
	{
		MUST(response.progress == INQUD_DONE);
		check_checkout(inqud_reply_checkout(reply));
		MUST(id == NULL || strcmp(inqud_reply_checkout(reply)->id, id) == 0);
		check_json(reply, body, response.body_len);
	}
	else
		MUST(inqud_reply_checkout(reply) == NULL && inqud_reply_json(reply, &len) == NULL);
	check_message(reply);
	check_hiding(&response, creating, id, reply);
	inqud_reply_free(reply);
	free(body);
	return 0;
}
