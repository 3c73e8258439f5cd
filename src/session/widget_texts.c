/*-------------------------------------------------------------------------
 *
 * widget_texts.c
 *		The sentences of the payment page: their keys, the English ones, and those
 *		of the argument "texts" in their place.
 *
 * README.md has the same table for users.  What is written into the page is escaped in
 * widget_html.c, whoever has written the sentence.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "utils/builtins.h"

#define MAX_LANG 35				/* of a language tag, as RFC 5646 advises */

static const struct
{
	const char *key;
	const char *english;
}			texts[INQUD_TEXTS] = {
	[INQUD_TEXT_LANG] = {"lang", "en"},
	[INQUD_TEXT_DIR] = {"dir", ""},
	[INQUD_TEXT_ORDER] = {"order", "Order {order_id}"},
	[INQUD_TEXT_PAYMENT] = {"payment", "Payment"},
	[INQUD_TEXT_QUEUED] = {"queued", "Your payment is being prepared. This page looks again every few seconds."},
	[INQUD_TEXT_WAITING] = {"waiting", "Waiting for your payment."},
	[INQUD_TEXT_DETECTED] = {"detected", "Your payment has been seen and is being confirmed."},
	[INQUD_TEXT_PAID] = {"paid", "Your payment has arrived. Thank you!"},
	[INQUD_TEXT_ANOMALY] = {"anomaly", "Your payment has arrived. The shop is checking something about it."},
	[INQUD_TEXT_CONFLICT] = {"conflict", "Something about your payment does not fit, perhaps the amount. Please contact the shop."},
	[INQUD_TEXT_EXPIRED] = {"expired", "The time for this payment is over. Please do not send any money now."},
	[INQUD_TEXT_CANCELED] = {"canceled", "This payment was canceled. Please do not send any money."},
	[INQUD_TEXT_REPLACED] = {"replaced", "This page is not used any more. Please do not send any money here."},
	[INQUD_TEXT_FAILED] = {"failed", "This payment could not be prepared. Please contact the shop."},
	[INQUD_TEXT_CLOSED] = {"closed", "This payment has ended. Please do not send any money."},
	[INQUD_TEXT_VALID_UNTIL] = {"valid_until", "Valid until {time}"},
	[INQUD_TEXT_PAY_LINK] = {"pay_link", "Pay on the payment page"},
	[INQUD_TEXT_NO_SCRIPT] = {"no_script", "Paying takes JavaScript, which is switched off."},
	[INQUD_TEXT_NO_FORM] = {"no_form", "The payment form could not be loaded."},
	[INQUD_TEXT_LOOK_AGAIN] = {"look_again", "Look again"},
	[INQUD_TEXT_BACK] = {"back", "Back to the shop"},
};

/* Raise 22023: there is no text of that name. */
static void
raise_unknown(const char *key)
{
	StringInfoData hint;

	initStringInfo(&hint);
	appendStringInfo(&hint, "Valid keys are %s", texts[0].key);
	for (int i = 1; i < INQUD_TEXTS; i++)
		appendStringInfo(&hint, "%s%s", i < INQUD_TEXTS - 1 ? ", " : " and ", texts[i].key);
	appendStringInfoChar(&hint, '.');
	inqud_raise_invalid("texts", psprintf("There is no text \"%s\".", key), hint.data);
}

static int
place_of_key(const char *key)
{
	int			i = 0;

	while (i < INQUD_TEXTS && strcmp(texts[i].key, key) != 0)
		i++;
	if (i == INQUD_TEXTS)
		raise_unknown(key);
	return i;
}

/* Raise 22023 for a language or direction that an attribute cannot have. */
static void
check_attributes(const char *const *given)
{
	const char *lang = given[INQUD_TEXT_LANG];
	const char *dir = given[INQUD_TEXT_DIR];
	size_t		len = strspn(lang, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-");

	if (len == 0 || lang[len] != '\0' || len > MAX_LANG)
		inqud_raise_invalid("texts", "Its \"lang\" must be a language tag, such as de or pt-BR.", NULL);
	if (dir[0] != '\0' && strcmp(dir, "ltr") != 0 && strcmp(dir, "rtl") != 0 && strcmp(dir, "auto") != 0)
		inqud_raise_invalid("texts", "Its \"dir\" must be ltr, rtl or auto.", NULL);
}

/* The members of the object in the place of the English sentences. */
static void
read_members(const char **given, Jsonb *object)
{
	JsonbIterator *iterator = JsonbIteratorInit(&object->root);
	JsonbValue	value;
	JsonbIteratorToken token;
	int			place = -1;

	(void) JsonbIteratorNext(&iterator, &value, true);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) == WJB_KEY || token == WJB_VALUE)
	{
		if (token == WJB_KEY)
			place = place_of_key(pnstrdup(value.val.string.val, value.val.string.len));
		else if (value.type != jbvString)
			inqud_raise_invalid("texts", psprintf("Its \"%s\" is not text.", texts[place].key), NULL);
		else
			given[place] = pnstrdup(value.val.string.val, value.val.string.len);
	}
}

void
inqud_widget_texts(const char **given, Jsonb *object)
{
	for (int i = 0; i < INQUD_TEXTS; i++)
		given[i] = texts[i].english;
	if (object == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(object))
		inqud_raise_invalid("texts", "It is not a JSON object.", "Write, for example, {\"lang\": \"de\", \"back\": \"Zum Shop\"}.");
	read_members(given, object);
	check_attributes(given);
}
