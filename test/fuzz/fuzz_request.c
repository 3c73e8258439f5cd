/*-------------------------------------------------------------------------
 *
 * fuzz_request.c
 *		Any texts as an order and an account: what would be sent.  The first
 *		byte chooses, the rest are texts that a byte 0xff parts.
 *
 * What was ordered must come out of the body again, read by json-c; nothing in
 * it may become another member, header or path.
 *
 *-------------------------------------------------------------------------
 */
#include "../unit/crypto.h"
#include "client_internal.h"
#include "fuzz.h"

#define NTEXTS 9

static InqudAccount account = {
	.base_url = "https://a.example",
	.checkout_path = "/x/{project}/y/{checkout}",
	.timeout_ms = 1000,
	.max_reply_size = 1000
};

/* The input's texts in place; those that are missing are NULL. */
static void
cut(char *text, size_t size, char *texts[NTEXTS])
{
	size_t		i;
	int			n = 0;

	for (i = 0; i < size && n < NTEXTS; i++)
	{
		if (i == 0 || (uint8_t) text[i - 1] == 0)
			texts[n++] = text + i;
		if ((uint8_t) text[i] == 0xff)
			text[i] = '\0';
	}
}

static void
same(InqudJson *json, const char *name, const char *text)
{
	const char *found = inqud_json_text(json, name, false);

	/* one whose escapes are longer than what is read of a reply */
	if (found == NULL && text != NULL && strlen(text) * 6 >= INQUD_JSON_LONGEST)
		return;
	MUST(text == NULL || (found != NULL && strcmp(found, text) == 0));
}

static void
check_body(const InqudRequest *request, const InqudOrder *order)
{
	const char *body = request->body.data;
	size_t		len = request->body.len;
	InqudJsonScan scan = {0};
	static const char *const names[] = {"clientOrderId", "name", "type", "returnUrl", "expiresAt", "fixedAmount", NULL};
	static const InqudJsonWish wish = {NULL, 0, names};
	InqudJsonEnd end;
	InqudJson  *json = inqud_json_read(body, len, &wish, NULL, &end);

	MUST(inqud_json_scan(body, len, &scan));
	MUST(json != NULL && inqud_json_is_object(json));
	same(json, "clientOrderId", order->order_id);
	same(json, "name", order->name);
	same(json, "type", order->type);
	same(json, "returnUrl", order->return_url);
	MUST(inqud_json_has(json, "expiresAt", false) == (order->expires_at != 0));
	MUST(inqud_json_has(json, "fixedAmount", true) ==
		 (order->type != NULL && strcmp(order->type, "FIXED_PRICE") == 0));
	inqud_json_free(json);
}

/* One line each, as many as there should be, and the secret only where it belongs. */
static void
check_headers(const InqudRequest *request)
{
	const char *header;
	int			i;
	bool		secret = false;

	for (i = 0; (header = request->headers[i]) != NULL; i++)
	{
		const char *p;

		MUST(strstr(header, ": ") != NULL);
		for (p = header; *p != '\0'; p++)
			MUST((uint8_t) *p >= ' ' && *p != 0x7f);
		if (strncmp(header, "X-Token-API-Secret:", 19) == 0)
		{
			MUST(strcmp(header + 20, account.token_secret) == 0);
			secret = true;
		}
	}
	MUST(secret != account.auth_signed);
	MUST(i == 2 + request->post + (account.auth_signed ? 2 : 1));
}

/* As many parts as the template has, all of them harmless. */
static void
check_url(const char *url, int slashes)
{
	MUST(strncmp(url, "https://a.example/", 18) == 0);
	for (url += 17; *url != '\0'; url++)
	{
		MUST(*url > ' ' && (uint8_t) *url < 0x7f && strchr("?#@\\{}\"", *url) == NULL);
		MUST(strncmp(url, "/../", 4) != 0 && strncmp(url, "/./", 3) != 0);
		slashes -= *url == '/';
	}
	MUST(slashes == 0);
}

static void
check_create(const InqudOrder *order)
{
	InqudWhy	why = INQUD_WHY_NO_MEMORY;
	InqudRequest *request = inqud_request_create_checkout(&account, &test_crypto, order, &why);

	MUST((request == NULL) == (why != INQUD_WHY_NONE));
	if (request == NULL)
		return;
	check_body(request, order);
	check_headers(request);
	check_url(request->url.data, 5);
	inqud_request_free(request);
}

static void
check_read(const char *checkout_id)
{
	InqudWhy	why = INQUD_WHY_NO_MEMORY;
	InqudRequest *request = inqud_request_read_checkout(&account, &test_crypto, checkout_id, &why);

	MUST((request == NULL) == (why != INQUD_WHY_NONE));
	if (request == NULL)
		return;
	MUST(request->body.len == 0);
	check_headers(request);
	check_url(request->url.data, 4);
	inqud_request_free(request);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *texts[NTEXTS] = {NULL};
	InqudOrder	order = {0};
	char	   *text;

	if (size < 1)
		return 0;
	text = to_text(data + 1, size - 1);
	cut(text, size - 1, texts);
	order.order_id = texts[0];
	order.name = texts[1];
	order.type = data[0] & 1 ? "FIXED_PRICE" : texts[2];
	order.amount = texts[3];
	order.currency = data[0] & 2 ? "USD" : texts[4];
	order.return_url = texts[5];
	order.extra = texts[6];
	order.expires_at = data[0] & 4 ? (int64_t) data[0] * INT64_C(10000000000000) : 0;
	account.auth_signed = (data[0] & 8) != 0;
	account.project_id = data[0] & 16 || texts[7] == NULL ? "CAP-1" : texts[7];
	account.token_id = "TKN-1";
	account.token_secret = texts[8] != NULL ? texts[8] : "secret";
	check_create(&order);
	check_read(texts[0]);
	free(text);
	return 0;
}
