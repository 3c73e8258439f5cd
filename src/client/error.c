/*-------------------------------------------------------------------------
 *
 * error.c
 *		What a response means: its outcome, and its words for people
 *		(C sections 9 and 10), and reading webhooks.
 *
 * Judging must never fail: whatever the bytes are, there is an outcome.  The
 * texts handed out are cleaned and cut; a raw body never becomes a message.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client_internal.h"

#ifdef POSTGRES_H
#error "src/client must not include postgres.h"
#endif

#define MAX_MESSAGE 500
#define MAX_CODE 100

/* All members of a reply that are looked at: a checkout's, then an error's. */
static const char *const wanted_members[] = {
	"id", "status", "projectId", "clientOrderId", "reason", "name", "type",
	"returnUrl", "acquiringUrl", "createdAt", "lastUpdatedAt", "expiresAt",
	"fixedAmount", "request",
	"message", "error", "errorMessage", "detail", "title", "code", "errorCode",
	NULL
};

struct InqudReply
{
	InqudOutcome outcome;
	bool		creating;
	InqudJson  *json;
	InqudCheckout checkout;
	InqudLost	lost;
	uint64_t	hash;
	char	   *text;			/* the body, if it can be stored */
	size_t		text_len;
	char		message[MAX_MESSAGE + 1];
	char		code[MAX_CODE + 1];
};

const char *
inqud_outcome_name(InqudOutcome outcome)
{
	switch (outcome)
	{
		case INQUD_OK:
			return "ok";
		case INQUD_REFUSED:
			return "refused";
		case INQUD_AUTH:
			return "auth";
		case INQUD_ROUTE:
			return "route";
		case INQUD_NOT_FOUND:
			return "not_found";
		case INQUD_THROTTLED:
			return "throttled";
		case INQUD_UNREACHABLE:
			return "unreachable";
		case INQUD_UNKNOWN:
			return "unknown";
		case INQUD_BAD_REPLY:
			return "bad_reply";
	}
	return "unknown";
}

static void
set_message(InqudReply *reply, const char *text)
{
	inqud_text_clean(reply->message, sizeof(reply->message), text, strlen(text));
}

/* ---------------------------------------------------------------------
 * Replies that are no success
 * ---------------------------------------------------------------------
 */

/* The outcome of a status that is not 2xx. */
static InqudOutcome
outcome_of_status(int status, bool creating, bool is_json)
{
	if (status == 401 || status == 403)
		return INQUD_AUTH;
	if (status == 404)
		return !creating && is_json ? INQUD_NOT_FOUND : INQUD_ROUTE;
	if (status == 405 || (status >= 300 && status < 400))
		return INQUD_ROUTE;
	if (status == 408 || status == 429)
		return INQUD_THROTTLED;
	if (status >= 400 && status < 500)
		return INQUD_REFUSED;
	return INQUD_UNKNOWN;
}

/* Inqud's own words and code, where the body has them. */
static void
read_error(InqudReply *reply)
{
	static const char *const messages[] = {"message", "error", "errorMessage",
	"detail", "title"};
	const char *text = NULL;
	size_t		i;

	if (reply->json == NULL)
		return;
	for (i = 0; text == NULL && i < sizeof(messages) / sizeof(messages[0]); i++)
		text = inqud_json_text(reply->json, messages[i], false);
	if (text != NULL)
		set_message(reply, text);
	text = inqud_json_text(reply->json, "code", true);
	if (text == NULL)
		text = inqud_json_text(reply->json, "errorCode", true);
	if (text != NULL)
		inqud_text_clean(reply->code, sizeof(reply->code), text, strlen(text));
}

/* Our words, where Inqud had none. */
static void
explain_status(InqudReply *reply, int status)
{
	const char *more = "";
	char		text[120];

	if (reply->message[0] != '\0')
		return;
	if (status >= 300 && status < 400)
		more = ", and redirects are not followed";
	else if (status == 404 && reply->outcome == INQUD_ROUTE)
		more = " without a JSON reply: the path is probably wrong";
	if (status == 404 && reply->json != NULL)
		more = "";
	if (status == 0)
		snprintf(text, sizeof(text), "the reply has no usable HTTP status");
	else
		snprintf(text, sizeof(text), "HTTP status %d%s", status, more);
	set_message(reply, text);
}

static void
judge_failure(InqudReply *reply, int status, bool creating)
{
	reply->outcome = outcome_of_status(status, creating, reply->json != NULL);
	read_error(reply);
	explain_status(reply, status);
}

/* ---------------------------------------------------------------------
 * Success, or what looks like it
 * ---------------------------------------------------------------------
 */

/* Why a 2xx cannot be used; NULL if it can. */
static const char *
find_fault(InqudReply *reply, const char *checkout_id)
{
	const char *missing;

	if (reply->json == NULL)
		return "the reply is not JSON";
	if (!inqud_json_is_object(reply->json))
		return "the reply is not a JSON object";
	missing = inqud_checkout_read(reply->json, &reply->checkout, &reply->lost);
	if (missing != NULL && strcmp(missing, "id") == 0)
		return "the reply has no usable \"id\"";
	if (missing != NULL)
		return "the reply has no usable \"status\"";
	if (checkout_id != NULL && strcmp(checkout_id, reply->checkout.id) != 0)
		return "the reply is about another checkout";
	return NULL;
}

/* Keep the body, if it can be stored.  False when out of memory. */
static bool
keep_text(InqudReply *reply, const InqudResponse *response)
{
	if (!inqud_json_storable(reply->json))
		return true;
	reply->text = malloc(response->body_len + 1);
	if (reply->text == NULL)
		return false;
	memcpy(reply->text, response->body, response->body_len);
	reply->text[response->body_len] = '\0';
	reply->text_len = response->body_len;
	return true;
}

static bool
judge_success(InqudReply *reply, const InqudResponse *response, bool creating,
			  const char *checkout_id)
{
	const char *fault = find_fault(reply, checkout_id);

	if (fault != NULL)
	{
		reply->outcome = creating ? INQUD_UNKNOWN : INQUD_BAD_REPLY;
		set_message(reply, fault);
		return true;
	}
	reply->outcome = INQUD_OK;
	reply->hash = inqud_checkout_hash(&reply->checkout);
	return keep_text(reply, response);
}

/* ---------------------------------------------------------------------
 * Everything
 * ---------------------------------------------------------------------
 */

/* No whole reply came.  A status that did come is still good for judging. */
static void
judge_broken(InqudReply *reply, const InqudResponse *response, bool creating)
{
	bool		success = response->http_status < 300;

	if (response->progress == INQUD_TOO_LARGE && !success)
	{
		judge_failure(reply, response->http_status, creating);
		return;
	}
	if (response->progress == INQUD_TOO_LARGE)
	{
		reply->outcome = creating ? INQUD_UNKNOWN : INQUD_BAD_REPLY;
		set_message(reply, "the reply is larger than max_reply_size");
		return;
	}
	reply->outcome = response->progress == INQUD_NOT_SENT ?
		INQUD_UNREACHABLE : INQUD_UNKNOWN;
	set_message(reply, response->error != NULL && response->error[0] != '\0' ?
				response->error : "no answer");
}

/* False when out of memory. */
static bool
judge(InqudReply *reply, const InqudResponse *response, bool creating,
	  const char *checkout_id)
{
	bool		no_memory;

	if (response->progress != INQUD_DONE)
	{
		judge_broken(reply, response, creating);
		return true;
	}
	reply->json = inqud_json_read(response->body, response->body_len,
								  wanted_members, &no_memory);
	if (no_memory)
		return false;
	if (response->http_status >= 200 && response->http_status < 300)
		return judge_success(reply, response, creating, checkout_id);
	judge_failure(reply, response->http_status, creating);
	return true;
}

InqudReply *
inqud_reply_read(const InqudResponse *response, bool creating,
				 const char *checkout_id)
{
	InqudReply *reply = calloc(1, sizeof(*reply));

	if (reply == NULL)
		return NULL;
	reply->creating = creating;
	if (!judge(reply, response, creating, checkout_id))
	{
		inqud_reply_free(reply);
		return NULL;
	}
	return reply;
}

static void
drop_text(InqudReply *reply)
{
	inqud_wipe(reply->text, reply->text_len);
	free(reply->text);
	reply->text = NULL;
	reply->text_len = 0;
}

void
inqud_reply_free(InqudReply *reply)
{
	if (reply == NULL)
		return;
	inqud_json_free(reply->json);
	drop_text(reply);
	inqud_wipe(reply, sizeof(*reply));
	free(reply);
}

InqudOutcome
inqud_reply_outcome(const InqudReply *reply)
{
	return reply->outcome;
}

const char *
inqud_reply_message(const InqudReply *reply)
{
	return reply->message;
}

const char *
inqud_reply_code(const InqudReply *reply)
{
	return reply->code;
}

const InqudCheckout *
inqud_reply_checkout(const InqudReply *reply)
{
	return reply->outcome == INQUD_OK ? &reply->checkout : NULL;
}

const char *
inqud_reply_json(const InqudReply *reply, size_t *len)
{
	*len = reply->text_len;
	return reply->text;
}

uint64_t
inqud_reply_hash(const InqudReply *reply)
{
	return reply->outcome == INQUD_OK ? reply->hash : 1;
}

/* Hide a secret in words of at most "size" bytes, which may have been cut. */
static void
hide_in_words(char *text, size_t size, const char *secret)
{
	inqud_hide_text(text, secret);
	/* a cut may come up to three bytes early, on a character's border */
	if (strlen(text) + 4 >= size)
		inqud_hide_cut(text, secret);
}

/* Without its id and status a reply is worth nothing, and they cannot be changed. */
static void
hide_in_success(InqudReply *reply, const char *secret)
{
	if (inqud_checkout_hide(&reply->checkout, &reply->lost, secret) != NULL)
	{
		reply->outcome = reply->creating ? INQUD_UNKNOWN : INQUD_BAD_REPLY;
		set_message(reply, "the reply repeats a key in its id or status");
		drop_text(reply);
		return;
	}
	if (reply->text != NULL && !inqud_hide_json(reply->text, reply->text_len, secret))
		drop_text(reply);
	reply->hash = inqud_checkout_hash(&reply->checkout);
}

void
inqud_reply_hide(InqudReply *reply, const char *secret)
{
	if (secret == NULL || *secret == '\0')
		return;
	hide_in_words(reply->message, sizeof(reply->message), secret);
	hide_in_words(reply->code, sizeof(reply->code), secret);
	if (reply->outcome == INQUD_OK && strlen(secret) >= INQUD_SECRET_MIN)
		hide_in_success(reply, secret);
}

/* ---------------------------------------------------------------------
 * Webhooks
 * ---------------------------------------------------------------------
 */

typedef struct WebhookFields
{
	const char *id;
	const char *status;
	const char *checkout_id;
	const char *order_id;
} WebhookFields;

#define WEBHOOK_TARGET(member) offsetof(WebhookFields, member)

static const InqudField webhook_fields[] =
{
	{NULL, "id", INQUD_FIELD_TOKEN, true, 200, WEBHOOK_TARGET(id)},
	{NULL, "status", INQUD_FIELD_TEXT, false, 100, WEBHOOK_TARGET(status)},
	{NULL, "checkoutId", INQUD_FIELD_TOKEN, false, 200, WEBHOOK_TARGET(checkout_id)},
	{NULL, "clientOrderId", INQUD_FIELD_TEXT, false, 1000, WEBHOOK_TARGET(order_id)}
};

/* A malloc'ed copy, NULL of NULL.  False when out of memory. */
static bool
copy_text(const char *text, char **copy)
{
	*copy = NULL;
	if (text == NULL)
		return true;
	*copy = strdup(text);
	return *copy != NULL;
}

bool
inqud_webhook_read(const char *body, size_t len, InqudWebhook *out)
{
	static const char *const wanted[] = {"id", "status", "checkoutId",
	"clientOrderId", NULL};
	WebhookFields found = {NULL, NULL, NULL, NULL};
	InqudLost	lost = {{0}, 0};
	InqudJson  *json;
	bool		no_memory;
	bool		ok;

	memset(out, 0, sizeof(*out));
	json = inqud_json_read(body, len, wanted, &no_memory);
	if (json == NULL)
		return false;
	ok = inqud_json_is_object(json) &&
		inqud_json_fields(json, webhook_fields, 4, &found, &lost) == NULL;
	ok = ok && copy_text(found.id, &out->id) &&
		copy_text(found.status, &out->status) &&
		copy_text(found.checkout_id, &out->checkout_id) &&
		copy_text(found.order_id, &out->order_id);
	inqud_json_free(json);
	if (!ok)
		inqud_webhook_free(out);
	return ok;
}

static void
drop_copy(char **copy)
{
	if (*copy != NULL)
		inqud_wipe(*copy, strlen(*copy));
	free(*copy);
	*copy = NULL;
}

void
inqud_webhook_hide(InqudWebhook *webhook, const char *secret)
{
	char	  **const texts[] = {&webhook->id, &webhook->status, &webhook->checkout_id, &webhook->order_id};
	size_t		i;

	if (secret == NULL || strlen(secret) < INQUD_SECRET_MIN)
		return;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		if (*texts[i] != NULL && strstr(*texts[i], secret) != NULL)
			drop_copy(texts[i]);
	}
}

void
inqud_webhook_free(InqudWebhook *webhook)
{
	drop_copy(&webhook->id);
	drop_copy(&webhook->status);
	drop_copy(&webhook->checkout_id);
	drop_copy(&webhook->order_id);
}
