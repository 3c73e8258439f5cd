/*-------------------------------------------------------------------------
 *
 * order.c
 *		The rules of an order, whichever way it comes in.
 *
 * An order that is wrong must be refused here, in the caller's transaction: the
 * worker could not report it.  A rule for one way alone must not stand here, except
 * for what an error says of where a value comes from.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#define MAX_ORDER_ID 200		/* characters; 64 at least are needed */
#define MAX_NAME 1000			/* characters, unless name_limit says less */
#define MAX_CURRENCY 20
#define MAX_URL 2000
#define MAX_EXTRA 65536			/* bytes, as text */

const char *const inqud_member_names[INQUD_ORDER_MEMBERS] = {
	"order_id", "name", "return_url", "amount", "currency", "type", "expires_at", "extra"
};

/* ---- Errors ---- */

void
inqud_raise_invalid(const char *name, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for \"%s\"", name),
			 errdetail("%s", detail),
			 hint ? errhint("%s", hint) : 0));
}

/* The detail, and where the value comes from; the argument names key and columns. */
static const char *
detail_with_source(const char *detail, const InqudOrderSource *source, InqudMember member)
{
	if (source == NULL)
		return detail;
	if (source->arguments[member] == NULL)
		return psprintf("%s Trigger \"%s\" on table \"%s\" has no argument \"%s=...\".", detail,
						source->trigger, source->table, inqud_member_names[member]);
	return psprintf("%s It comes from \"%s\" of trigger \"%s\" on table \"%s\".", detail,
					source->arguments[member], source->trigger, source->table);
}

void
inqud_raise_member(const InqudOrderSource *source, InqudMember member, int sqlstate,
				   const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg("invalid value for \"%s\"", inqud_member_names[member]),
			 errdetail_internal("%s", detail_with_source(detail, source, member)),
			 hint ? errhint("%s", hint) : 0));
	pg_unreachable();
}

static void
raise_invalid(const InqudNewOrder *order, InqudMember member, const char *detail, const char *hint)
{
	inqud_raise_member(order->source, member, ERRCODE_INVALID_PARAMETER_VALUE, detail, hint);
}

static void
raise_null(const InqudNewOrder *order, InqudMember member, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("\"%s\" must not be null", inqud_member_names[member]),
			 order->source ? errdetail_internal("%s", detail_with_source("The value is null.", order->source, member)) : 0,
			 hint ? errhint("%s", hint) : 0));
}

/* ---- Texts ---- */

/* Counts characters only if there are more bytes than "max", since counting is slow. */
static bool
is_longer(const char *value, int max)
{
	return strlen(value) > (size_t) max && pg_mbstrlen(value) > max;
}

/* A member that must be a text, not empty, of at most "max" characters and none of control. */
static char *
check_text(const InqudNewOrder *order, InqudMember member, int max)
{
	char	   *value;

	if (order->nulls[member])
		raise_null(order, member, NULL);
	value = TextDatumGetCString(order->values[member]);
	if (value[0] == '\0')
		raise_invalid(order, member, "It must not be empty.", NULL);
	if (is_longer(value, max))
		raise_invalid(order, member, psprintf("It has %d characters, more than %d.",
											  pg_mbstrlen(value), max), NULL);
	if (inqud_has_control(value))
		raise_invalid(order, member, "It must not contain control characters.", NULL);
	/* raises 22021 for a text that cannot be converted to UTF-8, before the worker meets it */
	(void) pg_server_to_any(value, (int) strlen(value), PG_UTF8);
	return value;
}

/* Make white space of any kind one blank, and none at the ends: titles have it, and no payer sees it. */
static void
tidy_name(InqudNewOrder *order)
{
	char	   *value = TextDatumGetCString(order->values[INQUD_ORDER_NAME]);
	char	   *utf8 = pg_server_to_any(value, (int) strlen(value), PG_UTF8);

	if (inqud_text_tidy(utf8))
		order->values[INQUD_ORDER_NAME] =
			CStringGetTextDatum(pg_any_to_server(utf8, (int) strlen(utf8), PG_UTF8));
}

static void
check_name(InqudNewOrder *order, const InqudProject *project)
{
	char	   *value;

	if (!order->nulls[INQUD_ORDER_NAME])
		tidy_name(order);
	value = check_text(order, INQUD_ORDER_NAME, MAX_NAME);
	if (project->name_limit > 0 && is_longer(value, project->name_limit))
		raise_invalid(order, INQUD_ORDER_NAME,
					  psprintf("It has %d characters, more than name_limit %d of server \"%s\".",
							   pg_mbstrlen(value), project->name_limit, project->name),
					  "Names are never cut; give a shorter one.");
}

/* How a URL that a trigger has made can be mended; NULL if nothing is known. */
static const char *
url_hint(const InqudNewOrder *order, const char *url)
{
	if (order->source == NULL)
		return NULL;
	if (strstr(url, "%3A%2F%2F") != NULL)
		return "Beside other text a column's value is percent-encoded. Write the beginning of the URL into the argument, or use one column that holds all of it.";
	return "A template that is one {column} is taken as it is. Beside other text, as in return_url=https://shop.example/orders/{id}, a column's value is percent-encoded.";
}

static void
check_url(const InqudNewOrder *order)
{
	char	   *value = check_text(order, INQUD_ORDER_RETURN_URL, MAX_URL);
	const char *why = inqud_check_web_url(inqud_to_utf8(value));

	if (why)
		raise_invalid(order, INQUD_ORDER_RETURN_URL, psprintf("It %s.", why), url_hint(order, value));
}

/* ---- Amount, currency and type ---- */

/* An example of rounding the amount, for hints. */
static const char *
round_hint(const InqudOrderSource *source)
{
	if (source == NULL)
		return "Round it, for example with round(amount, 8).";
	return psprintf("Round it in a generated column, for example with round(%s, 8), or make the column's type numeric(20, 8).",
					source->amount_column ? quote_identifier(source->amount_column) : "...");
}

/* How to keep amounts out of a table that no payer could pay; NaN is above all numbers. */
static const char *
check_hint(const InqudOrderSource *source)
{
	const char *column;

	if (source == NULL || source->amount_column == NULL)
		return NULL;
	column = quote_identifier(source->amount_column);
	return psprintf("A constraint such as CHECK (%s > 0 AND %s < 1e12) keeps such values out of the table.", column, column);
}

/* Raise that the number, in the form of numeric_out, is none that Inqud takes. */
static void
raise_not_plain(const InqudNewOrder *order, const char *text)
{
	const char *point = strchr(text, '.');
	size_t		decimals = point ? strlen(point + 1) : 0;

	while (decimals > 0 && point[decimals] == '0')
		decimals--;
	if (text[strspn(text, "0123456789.-")] != '\0')
		raise_invalid(order, INQUD_ORDER_AMOUNT, psprintf("It is %s, and not a finite number.", text),
					  check_hint(order->source));
	if (decimals > 18)
		raise_invalid(order, INQUD_ORDER_AMOUNT, psprintf("It has %zu decimals, more than 18.", decimals),
					  round_hint(order->source));
	raise_invalid(order, INQUD_ORDER_AMOUNT, "It has more than 38 digits.", check_hint(order->source));
}

/* How rows without a price are left out of a row trigger. */
static const char *
when_hint(const InqudOrderSource *source)
{
	return psprintf("WHEN (%s > 0)", source->amount_column ?
					psprintf("NEW.%s", quote_identifier(source->amount_column)) : "...");
}

static void
raise_not_positive(const InqudNewOrder *order, bool is_zero)
{
	const InqudOrderSource *source = order->source;
	const char *hint = NULL;

	if (source == NULL)
		hint = "An order with nothing to pay needs no checkout.";
	else if (source->for_row)
		hint = psprintf("Leave such orders out: add %s to the trigger%s.", when_hint(source),
						is_zero ? ", or the argument 'skip_free=true'" : "");
	else
		hint = is_zero ? "Leave such orders out: add the argument 'skip_free=true' to the trigger." : check_hint(source);
	raise_invalid(order, INQUD_ORDER_AMOUNT, is_zero ? "It is 0, and must be positive." :
				  "It is negative, and must be positive.", hint);
}

static void
check_amount(const InqudNewOrder *order)
{
	char		plain[INQUD_NUMBER_MAX];
	char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out, order->values[INQUD_ORDER_AMOUNT]));

	if (!inqud_number_plain(text, strlen(text), plain))
		raise_not_plain(order, text);
	if (plain[0] == '-' || strcmp(plain, "0") == 0)
		raise_not_positive(order, plain[0] != '-');
	if (order->nulls[INQUD_ORDER_CURRENCY])
		raise_invalid(order, INQUD_ORDER_CURRENCY, "An amount needs a currency.",
					  order->source ? "If all orders have the same one, write it into the trigger, as 'currency=USD'." : NULL);
}

static void
check_currency(InqudNewOrder *order)
{
	char	   *value;

	if (order->nulls[INQUD_ORDER_AMOUNT])
		raise_invalid(order, INQUD_ORDER_CURRENCY, "A currency needs an amount.",
					  "Without an amount the payer chooses both.");
	value = check_text(order, INQUD_ORDER_CURRENCY, MAX_CURRENCY);
	if (value[strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.")] != '\0')
		raise_invalid(order, INQUD_ORDER_CURRENCY, "It must be a code such as USD or USDT.", NULL);
	if (value[strcspn(value, "abcdefghijklmnopqrstuvwxyz")] == '\0')
		return;
	for (char *p = value; *p; p++)
		*p = (char) pg_ascii_toupper((unsigned char) *p);
	order->values[INQUD_ORDER_CURRENCY] = CStringGetTextDatum(value);
}

/* An order by a trigger that names the amount: null would let the payer choose what the total turns out to be. */
static void
check_priced(const InqudNewOrder *order)
{
	if (order->source && order->source->arguments[INQUD_ORDER_AMOUNT])
		raise_null(order, INQUD_ORDER_AMOUNT,
				   "If the payer shall choose the amount, add 'type=NO_PRICE'. If the total comes later, let the trigger fire later, deferred or AFTER UPDATE. Leave free orders out by 'skip_free=true'.");
}

static void
check_type(InqudNewOrder *order)
{
	bool		priced = !order->nulls[INQUD_ORDER_AMOUNT];
	bool		fixed;
	char	   *type;

	if (order->nulls[INQUD_ORDER_TYPE])
	{
		if (!priced)
			check_priced(order);
		order->values[INQUD_ORDER_TYPE] = CStringGetTextDatum(priced ? "FIXED_PRICE" : "NO_PRICE");
	}
	order->nulls[INQUD_ORDER_TYPE] = false;
	type = TextDatumGetCString(order->values[INQUD_ORDER_TYPE]);
	fixed = strcmp(type, "FIXED_PRICE") == 0;
	if (!fixed && strcmp(type, "NO_PRICE") != 0 && strcmp(type, "SUGGESTED_FIXED_PRICE") != 0)
		raise_invalid(order, INQUD_ORDER_TYPE, "It is not a type of checkout.",
					  "Valid types are FIXED_PRICE, NO_PRICE and SUGGESTED_FIXED_PRICE.");
	if (fixed && !priced)
	{
		check_priced(order);
		raise_invalid(order, INQUD_ORDER_TYPE, "FIXED_PRICE needs an amount and a currency.", NULL);
	}
	if (!fixed && priced)
		raise_invalid(order, INQUD_ORDER_TYPE, psprintf("%s takes no amount.", type),
					  "The amounts of SUGGESTED_FIXED_PRICE come from the widget's settings.");
}

/* ---- The rest ---- */

static void
check_expires_at(const InqudNewOrder *order)
{
	TimestampTz expires_at = DatumGetTimestampTz(order->values[INQUD_ORDER_EXPIRES_AT]);
	char		text[40];
	int64		back;

	if (TIMESTAMP_NOT_FINITE(expires_at))
		raise_invalid(order, INQUD_ORDER_EXPIRES_AT, "It must be finite.", NULL);
	if (expires_at <= GetCurrentTimestamp())
		raise_invalid(order, INQUD_ORDER_EXPIRES_AT, "It must lie in the future.", NULL);
	inqud_time_write(inqud_to_unix(expires_at), text);
	if (!inqud_time_read(text, strlen(text), &back))
		raise_invalid(order, INQUD_ORDER_EXPIRES_AT, "It lies too far in the future.", NULL);
}

static void
check_extra(const InqudNewOrder *order)
{
	Jsonb	   *extra = DatumGetJsonbP(order->values[INQUD_ORDER_EXTRA]);
	char	   *text = JsonbToCString(NULL, &extra->root, VARSIZE(extra));
	char	   *utf8 = pg_server_to_any(text, (int) strlen(text), PG_UTF8);
	const char *why = inqud_check_extra(utf8, strlen(utf8));

	if (why)
		raise_invalid(order, INQUD_ORDER_EXTRA, psprintf("It %s.", why),
							"It is an object of further members for Inqud.");
	if (strlen(utf8) > MAX_EXTRA)
		raise_invalid(order, INQUD_ORDER_EXTRA, psprintf("It has %zu bytes, more than %d.", strlen(utf8), MAX_EXTRA), NULL);
}

void
inqud_check_order(InqudNewOrder *order, const InqudProject *project)
{
	(void) check_text(order, INQUD_ORDER_ID, MAX_ORDER_ID);
	check_name(order, project);
	check_url(order);
	if (!order->nulls[INQUD_ORDER_CURRENCY])
		check_currency(order);
	if (!order->nulls[INQUD_ORDER_AMOUNT])
		check_amount(order);
	check_type(order);
	if (!order->nulls[INQUD_ORDER_EXPIRES_AT])
		check_expires_at(order);
	if (!order->nulls[INQUD_ORDER_EXTRA])
		check_extra(order);
}
