/*-------------------------------------------------------------------------
 *
 * checkout.c
 *		Requests about checkouts (path and body), and the checkout object in a
 *		reply (C sections 4 to 6 and 8).
 *
 * Only "id" and "status" are essential in a reply.  Nothing else may ever make
 * a reply unusable, whatever its shape.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "client_internal.h"

/* The path of a create is documented; that of a read is a template in the account. */
#define CREATE_PATH "/v1/user/crypto-acquiring/{project}/checkouts"

#define MAX_URL_BUILT 8192
#define MAX_BODY (1024 * 1024)
#define MAX_HEADER_TEXT 16384

static const char *const reasons[] =
{
	[INQUD_WHY_NONE] = "",
	[INQUD_WHY_NO_MEMORY] = "out of memory",
	[INQUD_WHY_BASE_URL] = "base_url is not acceptable",
	[INQUD_WHY_PROJECT_ID] = "project_id is not acceptable",
	[INQUD_WHY_CHECKOUT_PATH] = "checkout_path is not acceptable",
	[INQUD_WHY_URL_LENGTH] = "URL is too long",
	[INQUD_WHY_TOKEN_ID] = "token_id is empty or contains a control character",
	[INQUD_WHY_TOKEN_SECRET] = "token_secret is empty or contains a control character",
	[INQUD_WHY_TOKEN_LENGTH] = "token is too long or out of memory",
	[INQUD_WHY_RANDOM] = "could not get random bytes",
	[INQUD_WHY_SIGNATURE] = "could not calculate the signature",
	[INQUD_WHY_CHECKOUT_ID] = "checkout id is not acceptable",
	[INQUD_WHY_ORDER_UTF8] = "order contains text that is not valid UTF-8",
	[INQUD_WHY_ORDER_LENGTH] = "order is too long",
	[INQUD_WHY_EXPIRY] = "expiry time is out of range",
	[INQUD_WHY_CURRENCY_MISSING] = "currency is missing",
	[INQUD_WHY_AMOUNT_MISSING] = "amount is missing",
	[INQUD_WHY_AMOUNT_NUMBER] = "amount is not a number of at most 38 digits and 18 decimals",
	[INQUD_WHY_AMOUNT_SIGN] = "amount is not positive",
	[INQUD_WHY_EXTRA_SHAPE] = "extra is not a JSON object",
	[INQUD_WHY_EXTRA_LENGTH] = "extra is too long",
	[INQUD_WHY_EXTRA_ORDER_ID] = "extra must not contain \"clientOrderId\"",
	[INQUD_WHY_EXTRA_EXPIRES_AT] = "extra must not contain \"expiresAt\"",
	[INQUD_WHY_EXTRA_FIXED_AMOUNT] = "extra must not contain \"fixedAmount\"",
	[INQUD_WHY_EXTRA_NAME] = "extra must not contain \"name\"",
	[INQUD_WHY_EXTRA_RETURN_URL] = "extra must not contain \"returnUrl\"",
	[INQUD_WHY_EXTRA_TYPE] = "extra must not contain \"type\""
};

const char *
inqud_why_words(InqudWhy why)
{
	return reasons[why];
}

bool
inqud_why_is_the_orders(InqudWhy why)
{
	return why >= INQUD_WHY_AMOUNT_MISSING;
}

/* ---- Requests ---- */

void
inqud_request_free(InqudRequest *request)
{
	if (request == NULL)
		return;
	inqud_buffer_free(&request->url);
	inqud_buffer_free(&request->body);
	inqud_buffer_free(&request->header_text);
	free(request);
}

/* Is it "." or "..", which a server could take for another path? */
static bool
is_dots(const char *part)
{
	return strcmp(part, ".") == 0 || strcmp(part, "..") == 0;
}

static InqudWhy
write_request_url(InqudRequest *request, const InqudAccount *account,
				  const char *path_template, const char *checkout_id)
{
	/* checked again, so that what is sent does not depend on a check elsewhere */
	if (inqud_check_base_url(account->base_url) != NULL)
		return INQUD_WHY_BASE_URL;
	if (!inqud_text_is_token(account->project_id, 200) ||
		is_dots(account->project_id))
		return INQUD_WHY_PROJECT_ID;
	if (checkout_id != NULL && is_dots(checkout_id))
		return INQUD_WHY_CHECKOUT_ID;
	request->host = inqud_url_host_kind(account->base_url);
	if (!inqud_url_build(&request->url, account->base_url, path_template,
						 account->project_id, checkout_id))
		return INQUD_WHY_URL_LENGTH;
	return INQUD_WHY_NONE;
}

static bool
add_text_member(InqudBuffer *body, const char *name, const char *text)
{
	return text == NULL ||
		(inqud_json_add_name(body, name) && inqud_json_add_string(body, text));
}

/* Write the expiry, "" for none. */
static InqudWhy
write_expiry(const InqudOrder *order, char text[40])
{
	text[0] = '\0';
	if (order->expires_at == 0)
		return INQUD_WHY_NONE;
	inqud_time_write(order->expires_at, text);
	return text[0] != '\0' ? INQUD_WHY_NONE : INQUD_WHY_EXPIRY;
}

/* Write the amount of a FIXED_PRICE, "" for other types. */
static InqudWhy
write_amount(const InqudOrder *order, char plain[INQUD_NUMBER_MAX])
{
	plain[0] = '\0';
	if (order->type == NULL || strcmp(order->type, "FIXED_PRICE") != 0)
		return INQUD_WHY_NONE;
	if (order->amount == NULL)
		return INQUD_WHY_AMOUNT_MISSING;
	if (order->currency == NULL || order->currency[0] == '\0')
		return INQUD_WHY_CURRENCY_MISSING;
	if (!inqud_number_plain(order->amount, strlen(order->amount), plain))
		return INQUD_WHY_AMOUNT_NUMBER;
	if (plain[0] == '-' || strcmp(plain, "0") == 0)
		return INQUD_WHY_AMOUNT_SIGN;
	return INQUD_WHY_NONE;
}

static bool
add_amount(InqudBuffer *body, const char *plain, const char *currency)
{
	return inqud_json_add_name(body, "fixedAmount") &&
		inqud_buffer_add_text(body, "{\"amount\":") &&
		inqud_buffer_add_text(body, plain) &&
		add_text_member(body, "currency", currency) &&
		inqud_buffer_add_char(body, '}');
}

/* What is wrong with "extra", of "len" bytes. */
static InqudWhy
find_fault_of_extra(const char *extra, size_t len)
{
	/* the members that we set, in the order of InqudWhy */
	static const char *const ours[] = {"clientOrderId", "expiresAt", "fixedAmount", "name", "returnUrl", "type", NULL};
	static const InqudJsonWish wish = {NULL, 0, ours};
	InqudWhy	why = INQUD_WHY_NONE;
	InqudJsonEnd end;
	InqudJson  *json;
	int			i;

	json = inqud_json_read(extra, len, &wish, NULL, &end);
	if (json == NULL)
		return end == INQUD_JSON_NO_MEMORY ? INQUD_WHY_NO_MEMORY : INQUD_WHY_EXTRA_SHAPE;
	if (!inqud_json_is_object(json))
		why = INQUD_WHY_EXTRA_SHAPE;
	for (i = 0; why == INQUD_WHY_NONE && ours[i] != NULL; i++)
	{
		if (inqud_json_has(json, ours[i], false))
			why = (InqudWhy) (INQUD_WHY_EXTRA_ORDER_ID + i);
	}
	inqud_json_free(json);
	return why;
}

const char *
inqud_check_extra(const char *extra, size_t len)
{
	InqudWhy	why = find_fault_of_extra(extra, len);

	if (why == INQUD_WHY_NONE)
		return NULL;
	return inqud_why_words(why) + (inqud_why_is_the_orders(why) ? strlen("extra ") : 0);
}

static InqudWhy
add_extra(InqudBuffer *body, const char *extra)
{
	InqudWhy	why = find_fault_of_extra(extra, strlen(extra));

	if (why == INQUD_WHY_NONE && !inqud_json_add_members(body, extra, strlen(extra)))
		why = INQUD_WHY_EXTRA_LENGTH;
	return why;
}

/* Check the order's texts before any of them is written. */
static InqudWhy
check_texts(const InqudOrder *order)
{
	const char *const texts[] = {order->order_id, order->name, order->type,
	order->currency, order->return_url};
	size_t		total = 0;
	size_t		i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		if (texts[i] == NULL)
			continue;
		if (!inqud_utf8_valid(texts[i], strlen(texts[i])))
			return INQUD_WHY_ORDER_UTF8;
		total += strlen(texts[i]);
	}
	/* escaping makes at most six bytes of one */
	return total > MAX_BODY / 8 ? INQUD_WHY_ORDER_LENGTH : INQUD_WHY_NONE;
}

/* Write the body, with its members in the order of the contract's examples. */
static InqudWhy
write_request_body(InqudBuffer *body, const InqudOrder *order)
{
	char		expiry[40];
	char		amount[INQUD_NUMBER_MAX];
	InqudWhy	why = check_texts(order);

	if (why == INQUD_WHY_NONE)
		why = write_expiry(order, expiry);
	if (why == INQUD_WHY_NONE)
		why = write_amount(order, amount);
	if (why != INQUD_WHY_NONE)
		return why;
	if (!inqud_buffer_add_char(body, '{') ||
		!add_text_member(body, "clientOrderId", order->order_id) ||
		!add_text_member(body, "expiresAt", expiry[0] != '\0' ? expiry : NULL) ||
		(amount[0] != '\0' && !add_amount(body, amount, order->currency)) ||
		!add_text_member(body, "name", order->name) ||
		!add_text_member(body, "returnUrl", order->return_url) ||
		!add_text_member(body, "type", order->type))
		return INQUD_WHY_NO_MEMORY;
	if (order->extra != NULL)
		why = add_extra(body, order->extra);
	if (why == INQUD_WHY_NONE && !inqud_buffer_add_char(body, '}'))
		why = INQUD_WHY_NO_MEMORY;
	return why;
}

/* Build a create if there is an order, else a read. */
static InqudRequest *
build_request(const InqudAccount *account, const InqudCrypto *crypto, const InqudOrder *order,
			  const char *path_template, const char *checkout_id, InqudWhy *why)
{
	InqudRequest *request = calloc(1, sizeof(*request));

	*why = INQUD_WHY_NO_MEMORY;
	if (request == NULL)
		return NULL;
	request->post = order != NULL;
	inqud_buffer_init(&request->url, MAX_URL_BUILT);
	inqud_buffer_init(&request->body, MAX_BODY);
	inqud_buffer_init(&request->header_text, MAX_HEADER_TEXT);
	*why = write_request_url(request, account, path_template, checkout_id);
	if (*why == INQUD_WHY_NONE && order != NULL)
		*why = write_request_body(&request->body, order);
	if (*why == INQUD_WHY_NONE)
		*why = inqud_auth_headers(request, account, crypto);
	if (*why == INQUD_WHY_NONE)
		return request;
	inqud_request_free(request);
	return NULL;
}

InqudRequest *
inqud_request_create_checkout(const InqudAccount *account, const InqudCrypto *crypto,
							  const InqudOrder *order, InqudWhy *why)
{
	return build_request(account, crypto, order, CREATE_PATH, NULL, why);
}

InqudRequest *
inqud_request_read_checkout(const InqudAccount *account, const InqudCrypto *crypto,
							const char *checkout_id, InqudWhy *why)
{
	static const char *const placeholders[] = {"project", "checkout", NULL};

	*why = INQUD_WHY_CHECKOUT_ID;
	if (checkout_id == NULL || checkout_id[0] == '\0')
		return NULL;
	*why = INQUD_WHY_CHECKOUT_PATH;
	if (inqud_check_path_template(account->checkout_path, placeholders) != NULL)
		return NULL;
	return build_request(account, crypto, NULL, account->checkout_path, checkout_id, why);
}

/* ---- Replies ---- */

#define TARGET(member) offsetof(InqudCheckout, member)

/* The limits are far above what was seen; a longer text is lost, see InqudCheckout. */
const InqudField inqud_checkout_fields[INQUD_N_FIELDS] =
{
	{NULL, "id", INQUD_FIELD_TOKEN, true, 200, TARGET(id), INQUD_KEEP_FIRST},
	{NULL, "status", INQUD_FIELD_TEXT, true, 100, TARGET(status), INQUD_KEEP_APART},
	{NULL, "projectId", INQUD_FIELD_TEXT, false, 200, TARGET(project_id), INQUD_KEEP_APART},
	{NULL, "clientOrderId", INQUD_FIELD_TEXT, false, 1000, TARGET(order_id), INQUD_KEEP_APART},
	{NULL, "reason", INQUD_FIELD_TEXT, false, 1000, TARGET(reason), INQUD_KEEP_APART},
	{NULL, "name", INQUD_FIELD_TEXT, false, 1000, TARGET(name), INQUD_KEEP_FIRST},
	{NULL, "type", INQUD_FIELD_TEXT, false, 1000, TARGET(type), INQUD_KEEP_FIRST},
	{NULL, "returnUrl", INQUD_FIELD_TEXT, false, 2048, TARGET(return_url), INQUD_KEEP_FIRST},
	{NULL, "acquiringUrl", INQUD_FIELD_URL, false, 2048, TARGET(acquiring_url), INQUD_KEEP_FIRST},
	{NULL, "createdAt", INQUD_FIELD_TIME, false, 0, TARGET(created_at), INQUD_KEEP_LAST},
	{NULL, "lastUpdatedAt", INQUD_FIELD_TIME, false, 0, TARGET(updated_at), INQUD_KEEP_LAST},
	{NULL, "expiresAt", INQUD_FIELD_TIME, false, 0, TARGET(expires_at), INQUD_KEEP_LAST},
	{"fixedAmount", "amount", INQUD_FIELD_AMOUNT, false, 0, TARGET(fixed_amount), INQUD_KEEP_APART},
	{"fixedAmount", "currency", INQUD_FIELD_TEXT, false, 1000, TARGET(fixed_currency), INQUD_KEEP_APART},
	{"request", "id", INQUD_FIELD_TOKEN, false, 200, TARGET(request_id), INQUD_KEEP_LAST},
	{"request", "paymentId", INQUD_FIELD_TOKEN, false, 200, TARGET(payment_id), INQUD_KEEP_LAST},
	{"request", "payAmount", INQUD_FIELD_AMOUNT, false, 0, TARGET(pay_amount), INQUD_KEEP_PAYMENT},
	{"request", "currency", INQUD_FIELD_TEXT, false, 1000, TARGET(pay_currency), INQUD_KEEP_PAYMENT},
	{"request", "blockchain", INQUD_FIELD_TEXT, false, 1000, TARGET(pay_blockchain), INQUD_KEEP_PAYMENT},
	{"request", "paidAmount", INQUD_FIELD_AMOUNT, false, 0, TARGET(paid_amount), INQUD_KEEP_PAYMENT},
	{"request", "overpaid", INQUD_FIELD_FLAG, false, 0, TARGET(overpaid), INQUD_KEEP_PAYMENT},
	{"request", "txHash", INQUD_FIELD_TEXT, false, 1000, TARGET(tx_hash), INQUD_KEEP_DETAIL},
	{"request", "merchantPlatformFee", INQUD_FIELD_AMOUNT, false, 0, TARGET(merchant_fee), INQUD_KEEP_MONEY},
	{"request", "processingAmount", INQUD_FIELD_AMOUNT, false, 0, TARGET(processing_amount), INQUD_KEEP_MONEY}
};

const char *
inqud_checkout_read(InqudJson *json, InqudCheckout *checkout, InqudLost *lost)
{
	const char *missing;

	memset(checkout, 0, sizeof(*checkout));
	checkout->overpaid = -1;
	memset(lost, 0, sizeof(*lost));
	missing = inqud_json_fields(json, inqud_checkout_fields, INQUD_N_FIELDS, checkout, lost);
	checkout->has_request = inqud_json_has(json, "request", true);
	checkout->lost = lost->len > 0 ? lost->text : NULL;
	return missing;
}

const char *
inqud_checkout_hide(InqudCheckout *checkout, InqudLost *lost, InqudHider *hider)
{
	int			i;

	for (i = 0; i < INQUD_N_FIELDS; i++)
	{
		const InqudField *field = &inqud_checkout_fields[i];
		const char **target = (const char **) ((char *) checkout + field->offset);

		if (field->type >= INQUD_FIELD_AMOUNT || *target == NULL || !inqud_hider_finds(hider, *target))
			continue;
		if (field->required)
			return field->name;
		*target = NULL;
		inqud_lost_add(lost, field->object, field->name);
	}
	checkout->lost = lost->len > 0 ? lost->text : NULL;
	return NULL;
}

/* Quick, and it need not withstand collisions made on purpose. */
uint64_t
inqud_hash_bytes(uint64_t hash, const void *data, size_t len)
{
	const uint8_t *bytes = data;
	size_t		i;

	for (i = 0; i < len; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

uint64_t
inqud_hash_text(uint64_t hash, const char *text)
{
	/* absent, empty, and where a text ends must all differ */
	if (text == NULL)
		return inqud_hash_bytes(hash, "\1", 1);
	return inqud_hash_bytes(hash, text, strlen(text) + 1);
}

uint64_t
inqud_checkout_hash(const InqudCheckout *checkout)
{
	uint64_t	hash = INQUD_HASH_START;
	int			i;

	for (i = 0; i < INQUD_N_FIELDS; i++)
	{
		const char *target = (const char *) checkout + inqud_checkout_fields[i].offset;

		if (inqud_checkout_fields[i].type == INQUD_FIELD_TIME)
			hash = inqud_hash_bytes(hash, target, sizeof(int64_t));
		else if (inqud_checkout_fields[i].type == INQUD_FIELD_FLAG)
			hash = inqud_hash_bytes(hash, target, sizeof(int));
		else
			hash = inqud_hash_text(hash, *(const char *const *) target);
	}
	hash = inqud_hash_bytes(hash, checkout->has_request ? "y" : "n", 1);
	hash = inqud_hash_text(hash, checkout->lost);
	return hash != 0 ? hash : 1;
}
