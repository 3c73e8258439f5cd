/*-------------------------------------------------------------------------
 *
 * reply.c
 *		What a response means: its outcome, and its words for people
 *		(C sections 9 and 10).
 *
 * Any bytes have an outcome; only lack of memory fails, or the host that wants to
 * stop.  Secrets are hidden in all texts from outside, and only then are texts for
 * people cut.  A raw body never becomes a message, nor does one that was cut off.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client_internal.h"

#define MAX_MESSAGE 500
#define MAX_CODE 100

/* Members of a reply that are looked at besides those of a checkout: an error's. */
static const char *const error_members[] = {
	"message", "error", "errorMessage", "detail", "title", "code", "errorCode", NULL
};

struct InqudReply
{
	InqudOutcome outcome;
	InqudJson  *json;
	InqudCheckout checkout;
	InqudLost	lost;
	uint64_t	hash;
	char	   *text;			/* the body, if it can be stored */
	size_t		text_len;
	char		message[MAX_MESSAGE + 1];
	char		code[MAX_CODE + 1];
};

/* What a response is read with. */
typedef struct Reading
{
	const InqudResponse *response;
	bool		creating;
	const char *checkout_id;
	InqudHider *hider;
	InqudGoOn	go_on;
} Reading;

const char *
inqud_outcome_name(InqudOutcome outcome)
{
	static const char *const names[] = {
		[INQUD_OK] = "ok",
		[INQUD_REFUSED] = "refused",
		[INQUD_AUTH] = "auth",
		[INQUD_ROUTE] = "route",
		[INQUD_NOT_FOUND] = "not_found",
		[INQUD_THROTTLED] = "throttled",
		[INQUD_UNREACHABLE] = "unreachable",
		[INQUD_UNKNOWN] = "unknown",
		[INQUD_BAD_REPLY] = "bad_reply",
		[INQUD_HELD] = "held",
		[INQUD_BLOCKED] = "blocked"
	};

	return names[outcome];
}

/* Words of ours.  Those from outside go through inqud_hide_words. */
static void
set_message(InqudReply *reply, const char *text)
{
	inqud_text_clean(reply->message, sizeof(reply->message), text, strlen(text));
}

/* ---- Status other than 2xx ---- */

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

/* Take message and code from the body, where it has them.  False when out of memory. */
static bool
read_error(InqudReply *reply, const Reading *reading)
{
	static const char *const messages[] = {"message", "error", "errorMessage",
	"detail", "title"};
	const char *text = NULL;
	size_t		i;

	if (reply->json == NULL)
		return true;
	for (i = 0; text == NULL && i < sizeof(messages) / sizeof(messages[0]); i++)
		text = inqud_json_text(reply->json, messages[i], false);
	if (text != NULL && !inqud_hide_words(reading->hider, text, reply->message, sizeof(reply->message)))
		return false;
	text = inqud_json_text(reply->json, "code", true);
	if (text == NULL)
		text = inqud_json_text(reply->json, "errorCode", true);
	return text == NULL || inqud_hide_words(reading->hider, text, reply->code, sizeof(reply->code));
}

/* Set a message of ours if the body had none. */
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

/* False when out of memory. */
static bool
judge_failure(InqudReply *reply, const Reading *reading)
{
	int			status = reading->response->http_status;

	reply->outcome = outcome_of_status(status, reading->creating, reply->json != NULL);
	if (!read_error(reply, reading))
		return false;
	explain_status(reply, status);
	return true;
}

/* ---- Status 2xx ---- */

/* Read the checkout of a 2xx.  NULL, or why it cannot be used. */
static const char *
find_fault_of_success(InqudReply *reply, const Reading *reading)
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
	if (reading->checkout_id != NULL && strcmp(reading->checkout_id, reply->checkout.id) != 0)
		return "the reply is about another checkout";
	if (reading->hider != NULL && inqud_checkout_hide(&reply->checkout, &reply->lost, reading->hider) != NULL)
		return "the reply repeats a key in its id or status";
	return NULL;
}

static void
drop_text(InqudReply *reply)
{
	inqud_wipe(reply->text, reply->text_len);
	free(reply->text);
	reply->text = NULL;
	reply->text_len = 0;
}

/* Copy the body without secrets, if it can be stored as jsonb.  False when out of memory or stopped. */
static bool
keep_text(InqudReply *reply, const Reading *reading)
{
	const InqudResponse *response = reading->response;
	InqudHidden hidden;

	if (!inqud_json_storable(reply->json) || response->body_len > INQUD_KEPT_BYTES ||
		inqud_json_values(reply->json) > INQUD_KEPT_VALUES)
		return true;
	reply->text = malloc(response->body_len + 1);
	if (reply->text == NULL)
		return false;
	memcpy(reply->text, response->body, response->body_len);
	reply->text[response->body_len] = '\0';
	reply->text_len = response->body_len;
	hidden = inqud_hide_json(reading->hider, reply->text, reply->text_len, reading->go_on);
	if (hidden == INQUD_HIDDEN_NOT)
		drop_text(reply);
	return hidden != INQUD_HIDDEN_STOPPED;
}

static void
judge_useless(InqudReply *reply, const Reading *reading, const char *why)
{
	reply->outcome = reading->creating ? INQUD_UNKNOWN : INQUD_BAD_REPLY;
	set_message(reply, why);
}

static bool
judge_success(InqudReply *reply, const Reading *reading)
{
	Reading		quick = *reading;
	const char *fault;

	/* usually there is no secret, and a look at each member can be saved */
	if (inqud_hider_passes(reading->hider, reading->response->body, reading->response->body_len))
		quick.hider = NULL;
	fault = find_fault_of_success(reply, &quick);
	if (fault != NULL)
	{
		judge_useless(reply, reading, fault);
		return true;
	}
	reply->outcome = INQUD_OK;
	reply->hash = inqud_checkout_hash(&reply->checkout);
	return keep_text(reply, &quick);
}

/* ---- Replies ---- */

/* Judge a reply that is not whole: by its status if it was cut off, else as no answer. */
static bool
judge_broken(InqudReply *reply, const Reading *reading)
{
	const InqudResponse *response = reading->response;

	if (response->progress == INQUD_TOO_LARGE && response->http_status >= 300)
		return judge_failure(reply, reading);
	if (response->progress == INQUD_TOO_LARGE)
	{
		judge_useless(reply, reading, "the reply is larger than max_reply_size");
		return true;
	}
	reply->outcome = response->progress == INQUD_NOT_SENT ?
		INQUD_UNREACHABLE : INQUD_UNKNOWN;
	return inqud_hide_words(reading->hider, response->error != NULL && response->error[0] != '\0' ?
							response->error : "no answer", reply->message, sizeof(reply->message));
}

/* False when out of memory or stopped. */
static bool
judge_response(InqudReply *reply, const Reading *reading)
{
	static const InqudJsonWish wish = {inqud_checkout_fields, INQUD_N_FIELDS, error_members};
	const InqudResponse *response = reading->response;
	InqudJsonEnd end;

	if (response->progress != INQUD_DONE)
		return judge_broken(reply, reading);
	reply->json = inqud_json_read(response->body, response->body_len, &wish, reading->go_on, &end);
	if (end == INQUD_JSON_NO_MEMORY || end == INQUD_JSON_STOPPED)
		return false;
	if (response->http_status >= 200 && response->http_status < 300)
		return judge_success(reply, reading);
	return judge_failure(reply, reading);
}

InqudReply *
inqud_reply_read(const InqudResponse *response, bool creating,
				 const char *checkout_id, InqudHider *hider, InqudGoOn go_on)
{
	Reading		reading = {response, creating, checkout_id, hider, go_on};
	InqudReply *reply = calloc(1, sizeof(*reply));

	if (reply == NULL)
		return NULL;
	if (!judge_response(reply, &reading))
	{
		inqud_reply_free(reply);
		return NULL;
	}
	return reply;
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
