/*-------------------------------------------------------------------------
 *
 * checkout.c
 *		Checkouts as the API speaks of them: paths, request bodies, and the
 *		object in a reply (C sections 4 to 6 and 8).
 *
 * Only "id" and "status" are essential in a reply.  Nothing else may ever make
 * a reply unusable, whatever its shape.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "client_internal.h"

#ifdef POSTGRES_H
#error "src/client must not include postgres.h"
#endif

/* Creating has a documented path; reading has a template in the account. */
#define CREATE_PATH "/v1/user/crypto-acquiring/{project}/checkouts"

#define MAX_URL_BUILT 8192
#define MAX_BODY (1024 * 1024)
#define MAX_HEADER_TEXT 16384

static const char *const out_of_memory = "out of memory";

/* ---------------------------------------------------------------------
 * Requests
 * ---------------------------------------------------------------------
 */

static InqudRequest *
request_new(bool post)
{
	InqudRequest *request = calloc(1, sizeof(*request));

	if (request == NULL)
		return NULL;
	request->post = post;
	inqud_buffer_init(&request->url, MAX_URL_BUILT);
	inqud_buffer_init(&request->body, MAX_BODY);
	inqud_buffer_init(&request->header_text, MAX_HEADER_TEXT);
	return request;
}

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

/* A part of the path that servers could take for "here" or "one up". */
static bool
is_dots(const char *part)
{
	return strcmp(part, ".") == 0 || strcmp(part, "..") == 0;
}

static const char *
write_url(InqudRequest *request, const InqudAccount *account,
		  const char *path_template, const char *checkout_id)
{
	/* checked again here: what is sent must never depend on a check elsewhere */
	if (inqud_check_base_url(account->base_url) != NULL)
		return "base_url is not acceptable";
	if (!inqud_text_is_token(account->project_id, 200) ||
		is_dots(account->project_id))
		return "project_id is not acceptable";
	if (checkout_id != NULL && is_dots(checkout_id))
		return "checkout id is not acceptable";
	request->host = inqud_url_host_kind(account->base_url);
	if (!inqud_url_build(&request->url, account->base_url, path_template,
						 account->project_id, checkout_id))
		return "URL is too long";
	return NULL;
}

static bool
add_text_member(InqudBuffer *body, const char *name, const char *text)
{
	return text == NULL ||
		(inqud_json_add_name(body, name) && inqud_json_add_string(body, text));
}

static const char *
add_expiry(InqudBuffer *body, int64_t expires_at)
{
	char		text[40];

	if (expires_at == 0)
		return NULL;
	inqud_time_write(expires_at, text);
	if (text[0] == '\0')
		return "expiry time is out of range";
	return add_text_member(body, "expiresAt", text) ? NULL : out_of_memory;
}

/* fixedAmount, of fixed prices only; the other types take it from elsewhere. */
static const char *
add_amount(InqudBuffer *body, const InqudOrder *order)
{
	char		plain[INQUD_NUMBER_MAX];

	if (order->type == NULL || strcmp(order->type, "FIXED_PRICE") != 0)
		return NULL;
	if (order->amount == NULL)
		return "amount is missing";
	if (order->currency == NULL || order->currency[0] == '\0')
		return "currency is missing";
	if (!inqud_number_plain(order->amount, strlen(order->amount), plain))
		return "amount is not a number of at most 38 digits and 18 decimals";
	if (plain[0] == '-' || strcmp(plain, "0") == 0)
		return "amount is not positive";
	if (!inqud_json_add_name(body, "fixedAmount") ||
		!inqud_buffer_add_text(body, "{\"amount\":") ||
		!inqud_buffer_add_text(body, plain) ||
		!add_text_member(body, "currency", order->currency) ||
		!inqud_buffer_add_char(body, '}'))
		return out_of_memory;
	return NULL;
}

static const char *
add_extra(InqudBuffer *body, const char *extra)
{
	const char *why;

	if (extra == NULL)
		return NULL;
	why = inqud_check_extra(extra, strlen(extra));
	if (why != NULL)
		return why;
	return inqud_json_add_members(body, extra, strlen(extra)) ?
		NULL : "extra is too long";
}

/* All texts of an order are the caller's, so they are looked at first. */
static const char *
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
			return "order contains text that is not valid UTF-8";
		total += strlen(texts[i]);
	}
	/* escaping makes six bytes of one at worst */
	return total > MAX_BODY / 8 ? "order is too long" : NULL;
}

/* The body, its members in the order of the contract's examples. */
static const char *
write_body(InqudBuffer *body, const InqudOrder *order)
{
	const char *why = check_texts(order);

	if (why != NULL)
		return why;
	if (!inqud_buffer_add_char(body, '{') ||
		!add_text_member(body, "clientOrderId", order->order_id))
		return out_of_memory;
	why = add_expiry(body, order->expires_at);
	if (why == NULL)
		why = add_amount(body, order);
	if (why != NULL)
		return why;
	if (!add_text_member(body, "name", order->name) ||
		!add_text_member(body, "returnUrl", order->return_url) ||
		!add_text_member(body, "type", order->type))
		return out_of_memory;
	why = add_extra(body, order->extra);
	if (why == NULL && !inqud_buffer_add_char(body, '}'))
		why = out_of_memory;
	return why;
}

InqudRequest *
inqud_request_create_checkout(const InqudAccount *account,
							  const InqudCrypto *crypto,
							  const InqudOrder *order, const char **why)
{
	InqudRequest *request = request_new(true);

	*why = out_of_memory;
	if (request == NULL)
		return NULL;
	*why = write_url(request, account, CREATE_PATH, NULL);
	if (*why == NULL)
		*why = write_body(&request->body, order);
	if (*why == NULL)
		*why = inqud_auth_headers(request, account, crypto);
	if (*why == NULL)
		return request;
	inqud_request_free(request);
	return NULL;
}

InqudRequest *
inqud_request_read_checkout(const InqudAccount *account,
							const InqudCrypto *crypto,
							const char *checkout_id, const char **why)
{
	static const char *const placeholders[] = {"project", "checkout", NULL};
	InqudRequest *request;

	*why = "checkout id is not acceptable";
	if (checkout_id == NULL || checkout_id[0] == '\0')
		return NULL;
	*why = "checkout_path is not acceptable";
	if (inqud_check_path_template(account->checkout_path, placeholders) != NULL)
		return NULL;
	*why = out_of_memory;
	request = request_new(false);
	if (request == NULL)
		return NULL;
	*why = write_url(request, account, account->checkout_path, checkout_id);
	if (*why == NULL)
		*why = inqud_auth_headers(request, account, crypto);
	if (*why == NULL)
		return request;
	inqud_request_free(request);
	return NULL;
}

const char *
inqud_request_url(const InqudRequest *request)
{
	return request->url.data;
}

const char *
inqud_request_body(const InqudRequest *request, size_t *len)
{
	*len = request->body.len;
	return request->body.data != NULL ? request->body.data : "";
}

const char *
inqud_request_header(const InqudRequest *request, int i)
{
	return i >= 0 && i < request->nheaders ? request->headers[i] : NULL;
}

const char *
inqud_check_extra(const char *extra, size_t len)
{
	static const struct
	{
		const char *name;
		const char *why;
	}			ours[] =
	{
		{"clientOrderId", "extra must not contain \"clientOrderId\""},
		{"expiresAt", "extra must not contain \"expiresAt\""},
		{"fixedAmount", "extra must not contain \"fixedAmount\""},
		{"name", "extra must not contain \"name\""},
		{"returnUrl", "extra must not contain \"returnUrl\""},
		{"type", "extra must not contain \"type\""}
	};
	const char *why = NULL;
	bool		no_memory;
	InqudJson  *json;
	size_t		i;

	json = inqud_json_read(extra, len, NULL, &no_memory);
	if (json == NULL)
		return no_memory ? out_of_memory : "extra is not a JSON object";
	if (!inqud_json_is_object(json))
		why = "extra is not a JSON object";
	for (i = 0; why == NULL && i < sizeof(ours) / sizeof(ours[0]); i++)
	{
		if (inqud_json_has(json, ours[i].name, false))
			why = ours[i].why;
	}
	inqud_json_free(json);
	return why;
}

/* ---------------------------------------------------------------------
 * Replies
 * ---------------------------------------------------------------------
 */

#define TARGET(member) offsetof(InqudCheckout, member)

/* Limits are far above what was ever seen; see the header for what is lost. */
static const InqudField fields[] =
{
	{NULL, "id", INQUD_FIELD_TOKEN, true, 200, TARGET(id)},
	{NULL, "status", INQUD_FIELD_TEXT, true, 100, TARGET(status)},
	{NULL, "projectId", INQUD_FIELD_TEXT, false, 200, TARGET(project_id)},
	{NULL, "clientOrderId", INQUD_FIELD_TEXT, false, 1000, TARGET(order_id)},
	{NULL, "reason", INQUD_FIELD_TEXT, false, 1000, TARGET(reason)},
	{NULL, "name", INQUD_FIELD_TEXT, false, 1000, TARGET(name)},
	{NULL, "type", INQUD_FIELD_TEXT, false, 1000, TARGET(type)},
	{NULL, "returnUrl", INQUD_FIELD_TEXT, false, 2048, TARGET(return_url)},
	{NULL, "acquiringUrl", INQUD_FIELD_URL, false, 2048, TARGET(acquiring_url)},
	{NULL, "createdAt", INQUD_FIELD_TIME, false, 0, TARGET(created_at)},
	{NULL, "lastUpdatedAt", INQUD_FIELD_TIME, false, 0, TARGET(updated_at)},
	{NULL, "expiresAt", INQUD_FIELD_TIME, false, 0, TARGET(expires_at)},
	{"fixedAmount", "amount", INQUD_FIELD_AMOUNT, false, 0, TARGET(fixed_amount)},
	{"fixedAmount", "currency", INQUD_FIELD_TEXT, false, 1000, TARGET(fixed_currency)},
	{"request", "id", INQUD_FIELD_TOKEN, false, 200, TARGET(request_id)},
	{"request", "paymentId", INQUD_FIELD_TOKEN, false, 200, TARGET(payment_id)},
	{"request", "payAmount", INQUD_FIELD_AMOUNT, false, 0, TARGET(pay_amount)},
	{"request", "currency", INQUD_FIELD_TEXT, false, 1000, TARGET(pay_currency)},
	{"request", "blockchain", INQUD_FIELD_TEXT, false, 1000, TARGET(pay_blockchain)},
	{"request", "paidAmount", INQUD_FIELD_AMOUNT, false, 0, TARGET(paid_amount)},
	{"request", "overpaid", INQUD_FIELD_FLAG, false, 0, TARGET(overpaid)},
	{"request", "txHash", INQUD_FIELD_TEXT, false, 1000, TARGET(tx_hash)},
	{"request", "merchantPlatformFee", INQUD_FIELD_AMOUNT, false, 0, TARGET(merchant_fee)},
	{"request", "processingAmount", INQUD_FIELD_AMOUNT, false, 0, TARGET(processing_amount)}
};

#define NFIELDS ((int) (sizeof(fields) / sizeof(fields[0])))

const char *
inqud_checkout_read(InqudJson *json, InqudCheckout *checkout, InqudLost *lost)
{
	const char *missing;

	memset(checkout, 0, sizeof(*checkout));
	checkout->overpaid = -1;
	memset(lost, 0, sizeof(*lost));
	missing = inqud_json_fields(json, fields, NFIELDS, checkout, lost);
	checkout->has_request = inqud_json_has(json, "request", true);
	checkout->lost = lost->len > 0 ? lost->text : NULL;
	return missing;
}

const char *
inqud_checkout_hide(InqudCheckout *checkout, InqudLost *lost, const char *secret)
{
	int			i;

	for (i = 0; i < NFIELDS; i++)
	{
		const char **target = (const char **) ((char *) checkout + fields[i].offset);

		if (fields[i].type == INQUD_FIELD_TIME || fields[i].type == INQUD_FIELD_FLAG ||
			fields[i].type == INQUD_FIELD_AMOUNT ||
			*target == NULL || strstr(*target, secret) == NULL)
			continue;
		if (fields[i].required)
			return fields[i].name;
		*target = NULL;
		inqud_lost_add(lost, fields[i].object, fields[i].name);
	}
	checkout->lost = lost->len > 0 ? lost->text : NULL;
	return NULL;
}

/* FNV-1a; quick, and nobody gains from a collision. */
static uint64_t
hash_bytes(uint64_t hash, const void *data, size_t len)
{
	const uint8_t *bytes = data;
	size_t		i;

	for (i = 0; i < len; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static uint64_t
hash_text(uint64_t hash, const char *text)
{
	/* absent, empty, and where a text ends must all differ */
	if (text == NULL)
		return hash_bytes(hash, "\1", 1);
	return hash_bytes(hash, text, strlen(text) + 1);
}

uint64_t
inqud_checkout_hash(const InqudCheckout *checkout)
{
	uint64_t	hash = UINT64_C(0xcbf29ce484222325);
	int			i;

	for (i = 0; i < NFIELDS; i++)
	{
		const char *target = (const char *) checkout + fields[i].offset;

		if (fields[i].type == INQUD_FIELD_TIME)
			hash = hash_bytes(hash, target, sizeof(int64_t));
		else if (fields[i].type == INQUD_FIELD_FLAG)
			hash = hash_bytes(hash, target, sizeof(int));
		else
			hash = hash_text(hash, *(const char *const *) target);
	}
	hash = hash_bytes(hash, checkout->has_request ? "y" : "n", 1);
	hash = hash_text(hash, checkout->lost);
	return hash != 0 ? hash : 1;
}
