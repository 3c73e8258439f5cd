/*-------------------------------------------------------------------------
 *
 * widget.c
 *		inqud_widget_html and inqud_widget_page: the payment widget of a
 *		checkout, as HTML.
 *
 * This file checks what may go into the page; widget_html.c writes it.  The caller
 * needs the row that it passes and no other right.  Nothing here may decide whether
 * an order is paid: what a browser shows is never proof of that.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "access/xact.h"
#include "commands/defrem.h"
#include "executor/executor.h"
#include "foreign/foreign.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(inqud_widget_html);
PG_FUNCTION_INFO_V1(inqud_widget_page);

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

#define ID_PREFIX "CCO-"
#define MAX_ID 200
#define MAX_CALLBACK 200
#define MAX_NONCE 200

/* ---- What may go in ---- */

static bool
is_checkout_id(const char *id)
{
	size_t		prefix = strlen(ID_PREFIX);
	size_t		len = strlen(id);

	return strncmp(id, ID_PREFIX, prefix) == 0 && len > prefix && len <= MAX_ID &&
		strspn(id, LETTERS DIGITS "-") == len;
}

/* Raise 22023 unless the nonce is base64 of either alphabet, as in a Content-Security-Policy. */
static void
check_nonce(const char *nonce)
{
	size_t		len = strspn(nonce, LETTERS DIGITS "+/-_");
	size_t		all = len + strspn(nonce + len, "=");

	if (len == 0 || nonce[all] != '\0' || all > MAX_NONCE)
		inqud_raise_invalid("nonce", psprintf("It must be base64, 1 to %d characters, as in the Content-Security-Policy.", MAX_NONCE), NULL);
}

/* Whether a word is reserved in JavaScript, or is a function that runs text as code. */
static bool
is_reserved(const char *word, size_t len)
{
	static const char *const reserved[] = {
		"Function", "arguments", "await", "break", "case", "catch", "class", "const", "continue",
		"debugger", "default", "delete", "do", "else", "enum", "eval", "export", "extends", "false",
		"finally", "for", "function", "if", "implements", "import", "in", "instanceof", "interface",
		"let", "new", "null", "package", "private", "protected", "public", "return", "static",
		"super", "switch", "this", "throw", "true", "try", "typeof", "var", "void", "while", "with",
		"yield"
	};

	for (int i = 0; i < (int) lengthof(reserved); i++)
		if (strlen(reserved[i]) == len && strncmp(reserved[i], word, len) == 0)
			return true;
	return false;
}

/* The length of the JavaScript identifier at the beginning of the text; 0 when there is none or it is reserved. */
static size_t
identifier_length(const char *text)
{
	size_t		len = strspn(text, DIGITS) > 0 ? 0 : strspn(text, LETTERS DIGITS "_$");

	return is_reserved(text, len) ? 0 : len;
}

/*
 * Raise 22023 unless the callback is a path of identifiers, such as "shop.onStatus".
 * It becomes code of the page, so the page's author must choose it, never a visitor.
 */
static void
check_callback(const char *callback)
{
	const char *name = callback;
	size_t		len;

	while ((len = identifier_length(name)) > 0 && name[len] == '.')
		name += len + 1;
	if (len == 0 || name[len] != '\0' || strlen(callback) > MAX_CALLBACK)
		inqud_raise_invalid("on_status", "It must name a JavaScript function in ASCII, such as shop.onStatus.", NULL);
}

/* The URL if it is http or https and well-formed, so that a link may lead there; else NULL. */
static char *
linkable_url(char *url)
{
	const char *utf8 = url ? inqud_to_utf8(url) : NULL;

	return utf8 && inqud_check_web_url(utf8) == NULL ? url : NULL;
}

/* ---- Reading the row ---- */

static char *
numeric_column(HeapTupleHeader row, const char *name)
{
	bool		isnull;
	Datum		value = GetAttributeByName(row, name, &isnull);

	return isnull ? NULL : DatumGetCString(DirectFunctionCall1(numeric_out, value));
}

/* Whether a column has a value, of whatever type. */
static bool
has_value(HeapTupleHeader row, const char *name)
{
	bool		isnull;

	(void) GetAttributeByName(row, name, &isnull);
	return !isnull;
}

/* Whether a bool column is false, and not null. */
static bool
is_false(HeapTupleHeader row, const char *name)
{
	bool		isnull;
	Datum		value = GetAttributeByName(row, name, &isnull);

	return !isnull && !DatumGetBool(value);
}

/* The checkout's id at Inqud, or NULL; raises 22023 for one of another form. */
static char *
id_of_row(HeapTupleHeader row)
{
	char	   *id = inqud_row_text(row, "checkout_id");

	if (id && !is_checkout_id(id))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("checkout has an id that is not of the expected form"),
				 errdetail("An id that can be shown is \"%s\" followed by letters, digits and hyphens, at most %d characters.",
						   ID_PREFIX, MAX_ID)));
	return id;
}

/* Raise 55000 unless there is an id, without which there is nothing to embed. */
static void
require_id(const InqudWidget *widget)
{
	bool		queued = widget->state && strcmp(widget->state, "queued") == 0;

	if (widget->id == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("checkout has no id of Inqud"),
				 widget->state ? errdetail("Its state is \"%s\".", widget->state) : 0,
				 queued ? errhint("Commit, then use inqud_wait_checkout to wait for the id.") :
				 errhint("inqud_widget_page shows how such a checkout stands.")));
}

/*
 * Fill in until when the checkout is valid.  A time that was past when the row was made
 * says nothing (Inqud's own examples have such), nor does infinity, or a year of more
 * than four digits.
 */
static void
read_expiry(HeapTupleHeader row, InqudWidget *widget)
{
	bool		isnull;
	bool		unknown;
	TimestampTz until = DatumGetTimestampTz(GetAttributeByName(row, "expires_at", &isnull));
	TimestampTz made = DatumGetTimestampTz(GetAttributeByName(row, "created_at", &unknown));
	struct pg_tm when;
	fsec_t		fraction;

	if (isnull || TIMESTAMP_NOT_FINITE(until) || (!unknown && until <= made))
		return;
	widget->overdue = until <= GetCurrentStatementStartTimestamp();
	if (!widget->overdue && timestamp2tm(until, NULL, &when, &fraction, NULL, NULL) == 0 && when.tm_year <= 9999)
		widget->valid_until = psprintf("%04d-%02d-%02d %02d:%02d", when.tm_year, when.tm_mon, when.tm_mday,
									   when.tm_hour, when.tm_min);
}

/*
 * The option widget_url of the checkout's server; its default when it is not set or
 * the server does not exist.  Reads the server's options directly instead of looking
 * the project up: the caller needs no USAGE to show a page, and no user mapping or
 * secret file should be read for it.
 */
static char *
script_url(const char *project)
{
	ForeignServer *server = project ? GetForeignServerByName(project, true) : NULL;
	const InqudOption *option = inqud_option_find("widget_url", ForeignServerRelationId);
	bool		ours = server && inqud_is_our_wrapper(server->fdwid);
	ListCell   *cell;

	Assert(option != NULL);
	foreach(cell, ours ? server->options : NIL)
	{
		DefElem    *given = lfirst(cell);

		if (strcmp(given->defname, option->name) == 0 && linkable_url(defGetString(given)))
			return defGetString(given);
	}
	return pstrdup(option->initial);
}

/* Fill in the widget from the row and the arguments, all checked.  Raises 55000, 22023. */
static void
read_widget(FunctionCallInfo fcinfo, InqudWidget *widget)
{
	HeapTupleHeader row = PG_GETARG_HEAPTUPLEHEADER(0);

	widget->id = id_of_row(row);
	widget->script = script_url(inqud_row_text(row, "project"));
	widget->order_id = inqud_row_text(row, "order_id");
	widget->name = inqud_row_text(row, "name");
	widget->amount = numeric_column(row, "amount");
	widget->currency = inqud_row_text(row, "currency");
	widget->state = inqud_row_text(row, "state");
	widget->status = inqud_row_text(row, "status");
	widget->paid = has_value(row, "paid_at");
	widget->contested = has_value(row, "money_event") && !widget->paid;
	widget->canceled = has_value(row, "canceled_at");
	widget->replaced = is_false(row, "current") && widget->order_id;
	read_expiry(row, widget);
	widget->acquiring_url = linkable_url(inqud_row_text(row, "acquiring_url"));
	widget->return_url = linkable_url(inqud_row_text(row, "return_url"));
	widget->callback = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	widget->nonce = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	if (widget->callback)
		check_callback(widget->callback);
	if (widget->nonce)
		check_nonce(widget->nonce);
	inqud_widget_texts(widget->texts, PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3));
	widget->standing = inqud_widget_standing(widget);
}

/* The result of both functions: the HTML that "write" appends for the arguments; null for no row. */
static Datum
widget_text(FunctionCallInfo fcinfo, void (*write) (StringInfo, const InqudWidget *))
{
	StringInfoData out;
	InqudWidget widget = {0};

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	read_widget(fcinfo, &widget);
	if (write == inqud_widget_write_html)
		require_id(&widget);
	initStringInfo(&out);
	write(&out, &widget);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

/*
 * inqud_widget_html(checkout, on_status, nonce, texts): a snippet to put where the
 * payment form should be, once in a page; a sentence instead of the form when the
 * checkout is over.  Null for no row.  "on_status" names the JavaScript function that is
 * called with id and status; it is looked up each time a status comes, and without it the
 * snippet has no listener.  "texts" has sentences in the place of the English ones.
 * Errors: 55000 while the checkout has no id; 22023 for an id, on_status, nonce or texts
 * of another form.
 */
Datum
inqud_widget_html(PG_FUNCTION_ARGS)
{
	return widget_text(fcinfo, inqud_widget_write_html);
}

/*
 * inqud_widget_page(checkout, on_status, nonce, texts): a whole page around that snippet,
 * which says how the payment stands and until when it can be made.  There is a page for
 * any row, with an id or without.  Errors: 22023 as above.
 */
Datum
inqud_widget_page(PG_FUNCTION_ARGS)
{
	return widget_text(fcinfo, inqud_widget_write_page);
}
