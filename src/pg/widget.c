/*-------------------------------------------------------------------------
 *
 * widget.c
 *		inqud_widget_html and inqud_widget_page: the payment widget of a
 *		checkout, as HTML.
 *
 * Here is decided what may go into the page; widget_html.c writes it.  The
 * caller needs nothing but the row that it passes.  Nothing here decides whether
 * an order is paid: what a browser shows is never proof of that.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "catalog/dependency.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "executor/executor.h"
#include "foreign/foreign.h"
#include "utils/builtins.h"

#include "pg/option_table.h"
#include "pg/widget.h"

PG_FUNCTION_INFO_V1(inqud_widget_html);
PG_FUNCTION_INFO_V1(inqud_widget_page);

#define ID_PREFIX "CCO-"
#define MAX_ID 200
#define MAX_CALLBACK 200
#define MAX_NONCE 200

/* ---------------------------------------------------------------------
 * What may go in
 * ---------------------------------------------------------------------
 */

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_alnum(char c)
{
	return is_letter(c) || (c >= '0' && c <= '9');
}

static bool
is_checkout_id(const char *id)
{
	size_t		len = strlen(id);

	if (strncmp(id, ID_PREFIX, strlen(ID_PREFIX)) != 0 ||
		len == strlen(ID_PREFIX) || len > MAX_ID)
		return false;
	for (; *id; id++)
		if (!is_alnum(*id) && *id != '-')
			return false;
	return true;
}

/* Base64, in either alphabet: the form a policy's nonce has. */
static void
check_nonce(const char *nonce)
{
	const char *c = nonce;

	while (is_alnum(*c) || (*c && strchr("+/-_", *c)))
		c++;
	if (c > nonce)
		c += strspn(c, "=");
	if (c == nonce || *c != '\0' || c - nonce > MAX_NONCE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for \"nonce\""),
				 errdetail("It must be base64, 1 to %d characters, as in the Content-Security-Policy.",
						   MAX_NONCE)));
}

/* Words that cannot begin an expression that is a function, or that run text as code. */
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

/* The length of the identifier that begins here; 0 when there is none. */
static size_t
identifier_length(const char *text)
{
	size_t		len = 0;

	while (is_letter(text[len]) || text[len] == '_' || text[len] == '$' ||
		   (len > 0 && is_alnum(text[len])))
		len++;
	return len;
}

/*
 * A path of identifiers, such as "shop.onStatus".  It becomes code of the page:
 * whoever writes the page chooses it, never its visitor.
 */
static void
check_callback(const char *callback)
{
	const char *c = callback;
	size_t		len = identifier_length(c);

	while (len > 0 && !is_reserved(c, len) && c[len] == '.')
	{
		c += len + 1;
		len = identifier_length(c);
	}
	if (len == 0 || is_reserved(c, len) || c[len] != '\0' || strlen(callback) > MAX_CALLBACK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for \"on_status\""),
				 errdetail("It must name a JavaScript function in ASCII, such as shop.onStatus.")));
}

/* The URL if a link may lead there, else NULL. */
static char *
web_url(char *url)
{
	const char *utf8 = url ? inqud_to_utf8(url) : NULL;

	return utf8 && inqud_check_web_url(utf8) == NULL ? url : NULL;
}

/* ---------------------------------------------------------------------
 * Reading the row
 * ---------------------------------------------------------------------
 */

static char *
text_column(HeapTupleHeader row, const char *name)
{
	bool		isnull;
	Datum		value = GetAttributeByName(row, name, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static char *
numeric_column(HeapTupleHeader row, const char *name)
{
	bool		isnull;
	Datum		value = GetAttributeByName(row, name, &isnull);

	return isnull ? NULL : DatumGetCString(DirectFunctionCall1(numeric_out, value));
}

static char *
checkout_id(HeapTupleHeader row)
{
	char	   *id = text_column(row, "checkout_id");
	char	   *state = text_column(row, "state");

	if (id == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("checkout has no id of Inqud"),
				 state ? errdetail("Its state is \"%s\".", state) : 0,
				 state && strcmp(state, "queued") == 0 ?
				 errhint("Commit, then use inqud_wait_checkout to wait for the id.") : 0));
	if (!is_checkout_id(id))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("checkout has an id that is not of the expected form"),
				 errdetail("An id that can be shown is \"%s\" followed by letters, digits and hyphens, at most %d characters.",
						   ID_PREFIX, MAX_ID)));
	return id;
}

/* Any wrapper may be called "inqud"; ours is a member of the extension. */
static bool
is_project(ForeignServer *server)
{
	Oid			extension = get_extension_oid("inqud", true);

	return OidIsValid(extension) &&
		getExtensionOfObject(ForeignDataWrapperRelationId, server->fdwid) == extension;
}

/*
 * The option widget_url of the checkout's server, or its default, also when
 * there is no such server (any more).  Read straight from the server, and not
 * by looking the project up: whoever shows a page needs no USAGE, and neither a
 * user mapping nor its secret file should be read for it.
 */
static char *
script_url(const char *project)
{
	ForeignServer *server = project ? GetForeignServerByName(project, true) : NULL;
	const InqudOption *option = inqud_option_find("widget_url", ForeignServerRelationId);
	ListCell   *cell;

	Assert(option != NULL);
	if (server == NULL || !is_project(server))
		return pstrdup(option->initial);
	foreach(cell, server->options)
	{
		DefElem    *given = lfirst(cell);

		if (strcmp(given->defname, option->name) == 0 && web_url(defGetString(given)))
			return defGetString(given);
	}
	return pstrdup(option->initial);
}

/* Everything a page needs, or an error. */
static void
read_widget(FunctionCallInfo fcinfo, InqudWidget *widget)
{
	HeapTupleHeader row = PG_GETARG_HEAPTUPLEHEADER(0);

	widget->id = checkout_id(row);
	widget->script = script_url(text_column(row, "project"));
	widget->order_id = text_column(row, "order_id");
	widget->name = text_column(row, "name");
	widget->amount = numeric_column(row, "amount");
	widget->currency = text_column(row, "currency");
	widget->status = text_column(row, "status");
	widget->acquiring_url = web_url(text_column(row, "acquiring_url"));
	widget->return_url = web_url(text_column(row, "return_url"));
	widget->callback = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	widget->nonce = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	if (widget->callback)
		check_callback(widget->callback);
	if (widget->nonce)
		check_nonce(widget->nonce);
}

/* ---------------------------------------------------------------------
 * The SQL functions
 * ---------------------------------------------------------------------
 */

/*
 * inqud_widget_html(checkout, on_status, nonce): what to put where the payment
 * form should be, once in a page.  Null for no row.  "on_status" names the
 * JavaScript function called with id and status, looked up whenever a status
 * comes; without it nothing listens.  Errors: 55000 while the checkout has no
 * id; 22023 for an id, on_status or nonce that is not of its form.
 */
Datum
inqud_widget_html(PG_FUNCTION_ARGS)
{
	StringInfoData out;
	InqudWidget widget;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	read_widget(fcinfo, &widget);
	initStringInfo(&out);
	inqud_widget_write_html(&out, &widget);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

/*
 * inqud_widget_page(checkout, on_status, nonce): a whole page in English around
 * the same, which says in words how the payment stands.  Errors as above.
 */
Datum
inqud_widget_page(PG_FUNCTION_ARGS)
{
	StringInfoData out;
	InqudWidget widget;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	read_widget(fcinfo, &widget);
	initStringInfo(&out);
	inqud_widget_write_page(&out, &widget);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}
