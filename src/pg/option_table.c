/*-------------------------------------------------------------------------
 *
 * option_table.c
 *		The options of servers and user mappings: one table that says everything
 *		about an option.
 *
 * Whose it is, how its text is read, its range and default, and which member of
 * a project it fills.  Readers return what is wrong; they never throw for it,
 * never repeat the text, open no file and look at no catalog but that of
 * conversions.  They run in a short-lived memory context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pg/compat.h"

#include <ctype.h>

#include "catalog/namespace.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_type.h"
#include "catalog/pg_user_mapping.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

#include "pg/option_table.h"

#define MAX_TEXT			1000	/* bytes of a token or a secret */
#define MAX_PROJECT_ID		200

#define KB					INT64CONST(1024)
#define MB					(1024 * KB)
#define SECOND				INT64CONST(1000)
#define MINUTE				(60 * SECOND)
#define HOUR				(60 * MINUTE)
#define DAY					(24 * HOUR)

/* ---------------------------------------------------------------------
 * Readers
 * ---------------------------------------------------------------------
 */

static bool
is_visible_ascii(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text > '~')
			return false;
	return true;
}

bool
inqud_has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char) *text < ' ' || *text == 0x7f)
			return true;
	return false;
}

/* Write a number of milliseconds as a user would, in the largest unit that fits. */
static const char *
duration_text(int64 ms)
{
	static const struct
	{
		int64		ms;
		const char *unit;
	}			units[] = {
		{DAY, "day"}, {HOUR, "h"}, {MINUTE, "min"}, {SECOND, "s"}, {1, "ms"}
	};
	int			i = 0;

	if (ms == 0)
		return "0 s";
	while (ms % units[i].ms != 0)
		i++;
	return psprintf(INT64_FORMAT " %s%s", ms / units[i].ms, units[i].unit,
					i == 0 && ms > DAY ? "s" : "");
}

static const char *
read_duration(const InqudOption *option, const char *text, InqudOptionValue *value)
{
	int64_t		ms;

	if (inqud_parse_duration(text, &ms) && ms >= option->min && ms <= option->max)
	{
		value->integer = ms;
		return NULL;
	}
	return psprintf("must be a duration from %s to %s, such as \"500ms\", \"20s\", \"5min\", \"1h\" or \"1day\"",
					duration_text(option->min), duration_text(option->max));
}

static const char *
read_size(const InqudOption *option, const char *text, InqudOptionValue *value)
{
	int64_t		bytes;

	if (inqud_parse_size(text, &bytes) && bytes >= option->min && bytes <= option->max)
	{
		value->integer = bytes;
		return NULL;
	}
	return psprintf("must be a size from " INT64_FORMAT " kB to " INT64_FORMAT " MB, such as \"64kB\" or \"1MB\"",
					option->min / KB, option->max / MB);
}

/* Digits, and with "point" a decimal point between digits; nine digits at most. */
static bool
is_decimal(const char *text, bool point)
{
	int			digits = 0;

	for (; *text; text++)
	{
		if (isdigit((unsigned char) *text))
			digits++;
		else if (*text == '.' && point && digits > 0 && text[1] != '\0')
			point = false;
		else
			return false;
	}
	return digits > 0 && digits <= 9;
}

static const char *
read_integer(const InqudOption *option, const char *text, InqudOptionValue *value)
{
	if (is_decimal(text, false))
	{
		value->integer = (int) strtol(text, NULL, 10);
		if (value->integer >= option->min && value->integer <= option->max)
			return NULL;
	}
	return psprintf("must be a whole number from " INT64_FORMAT " to " INT64_FORMAT,
					option->min, option->max);
}

static const char *
read_decimal(const InqudOption *option, const char *text, InqudOptionValue *value)
{
	if (is_decimal(text, true))
	{
		value->real = strtod(text, NULL);
		if (value->real >= (double) option->min && value->real <= (double) option->max)
			return NULL;
	}
	return psprintf("must be a number from " INT64_FORMAT " to " INT64_FORMAT
					" of at most nine digits, such as \"5\" or \"0.5\"",
					option->min, option->max);
}

static const char *
read_auth(const InqudOption *option, const char *text, InqudOptionValue *value)
{
	value->integer = strcmp(text, "signed") == 0;
	if (value->integer || strcmp(text, "secret") == 0)
		return NULL;
	return "must be \"secret\" or \"signed\"";
}

/* For texts that go out as they are: another encoding must not come into it. */
static const char *
read_ascii(const char *text, InqudOptionValue *value)
{
	value->text = text;
	return is_visible_ascii(text) ? NULL :
		"must consist of printable ASCII characters without spaces";
}

static const char *
read_base_url(const InqudOption *option, const char *text, InqudOptionValue *value)
{
	const char *complaint = read_ascii(text, value);

	return complaint ? complaint : inqud_check_base_url(text);
}

static const char *
read_web_url(const InqudOption *option, const char *text, InqudOptionValue *value)
{
	const char *complaint = read_ascii(text, value);

	return complaint ? complaint : inqud_check_web_url(text);
}

static const char *
read_checkout_path(const InqudOption *option, const char *text, InqudOptionValue *value)
{
	static const char *const required[] = {"project", "checkout", NULL};
	const char *complaint = read_ascii(text, value);

	return complaint ? complaint : inqud_check_path_template(text, required);
}

/* It becomes one segment of a path: nothing in it may end or leave that segment. */
static const char *
read_project_id(const InqudOption *option, const char *text, InqudOptionValue *value)
{
	value->text = text;
	if (*text && strlen(text) <= MAX_PROJECT_ID && is_visible_ascii(text) &&
		strpbrk(text, "/\\?#%") == NULL && strcmp(text, ".") != 0 &&
		strstr(text, "..") == NULL)
		return NULL;
	return psprintf("must consist of 1 to %d printable ASCII characters without spaces, and without \"/\", \"\\\", \"?\", \"#\", \"%%\" and \"..\"",
					MAX_PROJECT_ID);
}

static const char *
read_token(const InqudOption *option, const char *text, InqudOptionValue *value)
{
	value->text = text;
	if (*text && strlen(text) <= MAX_TEXT && is_visible_ascii(text))
		return NULL;
	return psprintf("must consist of 1 to %d printable ASCII characters without spaces",
					MAX_TEXT);
}

/*
 * Convert to UTF-8, or return NULL; the usual conversion would throw an error
 * that shows bytes of the text.
 */
static char *
to_utf8(const char *text)
{
	int			encoding = GetDatabaseEncoding();
	int			len = strlen(text);
	int			max = len * MAX_CONVERSION_GROWTH + 1;
	char	   *result;
	Oid			conversion;

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return inqud_wiped_copy(CurrentMemoryContext, text, len);
	conversion = FindDefaultConversionProc(encoding, PG_UTF8);
	if (!OidIsValid(conversion))
		return NULL;
	result = palloc0(max);
	inqud_wipe_with(CurrentMemoryContext, result, max);
	if (pg_do_encoding_conversion_buf(conversion, encoding, PG_UTF8,
									  (unsigned char *) unconstify(char *, text), len,
									  (unsigned char *) result, max, true) != len)
		return NULL;
	return result;
}

/*
 * A webhook's secret is a text that people chose; what is hashed with it are
 * its bytes in UTF-8.
 */
static const char *
read_secret(const InqudOption *option, const char *text, InqudOptionValue *value)
{
	if (*text && strlen(text) <= MAX_TEXT && !inqud_has_control(text) &&
		(value->text = to_utf8(text)) != NULL)
		return NULL;
	return psprintf("must be 1 to %d bytes long, without control characters and expressible in UTF-8",
					MAX_TEXT);
}

/* Outside of double quotes nothing but letters, digits, "_", "$" and points? */
static bool
is_plain_name(const char *text)
{
	bool		quoted = false;

	for (; *text; text++)
	{
		if (*text == '"')
			quoted = !quoted;
		else if (!quoted && !isalnum((unsigned char) *text) &&
				 !IS_HIGHBIT_SET(*text) && strchr("_$.", *text) == NULL)
			return false;
	}
	return true;
}

/*
 * A name, perhaps with a schema.  Whether the function exists is asked when it
 * is called: a restored dump makes servers before functions.
 */
static const char *
read_function(const InqudOption *option, const char *text, InqudOptionValue *value)
{
	List	   *names = NIL;

	value->text = text;
	if (!inqud_has_control(text) && is_plain_name(text) &&
		SplitIdentifierString(pstrdup(text), '.', &names) &&
		list_length(names) >= 1 && list_length(names) <= 2)
		return NULL;
	return "must be the name of a function without parentheses, such as \"order_changed\" or \"shop.order_changed\"";
}

static const char *
read_file_name(const InqudOption *option, const char *text, InqudOptionValue *value)
{
	value->text = text;
	if (is_absolute_path(text) && strlen(text) < MAXPGPATH && !inqud_has_control(text))
		return NULL;
	return psprintf("must be an absolute path of less than %d bytes without control characters",
					MAXPGPATH);
}

/* ---------------------------------------------------------------------
 * The table
 * ---------------------------------------------------------------------
 */

#define AT(member)			offsetof(InqudProjectEntry, project.member)
#define SERVER				ForeignServerRelationId
#define MAPPING				UserMappingRelationId

/* Short intervals are allowed so that a test need not wait. */
static const InqudOption option_table[] = {
	{"project_id", SERVER, read_project_id, INQUD_OPTION_TEXT,
	AT(account.project_id), NULL, 0, 0, false},
	{"base_url", SERVER, read_base_url, INQUD_OPTION_TEXT,
	AT(account.base_url), "https://api.inqud.com", 0, 0, false},
	{"checkout_path", SERVER, read_checkout_path, INQUD_OPTION_TEXT,
		AT(account.checkout_path),
	"/v1/user/crypto-acquiring/{project}/checkouts/{checkout}", 0, 0, false},
	{"auth", SERVER, read_auth, INQUD_OPTION_BOOL,
	AT(account.auth_signed), "secret", 0, 0, false},
	{"rate_limit", SERVER, read_decimal, INQUD_OPTION_DOUBLE,
	AT(rate_limit), "5", 0, 100000, false},
	{"max_inflight", SERVER, read_integer, INQUD_OPTION_INT,
	AT(max_inflight), "8", 1, 1000, false},
	{"connect_timeout", SERVER, read_duration, INQUD_OPTION_INT64,
	AT(account.connect_timeout_ms), "5s", 1, 10 * MINUTE, false},
	{"timeout", SERVER, read_duration, INQUD_OPTION_INT64,
	AT(account.timeout_ms), "30s", 1, 10 * MINUTE, false},
	{"max_reply_size", SERVER, read_size, INQUD_OPTION_INT64,
	AT(account.max_reply_size), "1MB", KB, 64 * MB, false},
	{"retry_min", SERVER, read_duration, INQUD_OPTION_INT64,
	AT(retry_min_ms), "1s", 1, DAY, false},
	{"retry_max", SERVER, read_duration, INQUD_OPTION_INT64,
	AT(retry_max_ms), "5min", 1, DAY, false},
	{"retry_for", SERVER, read_duration, INQUD_OPTION_INT64,
	AT(retry_for_ms), "1day", 0, 1000 * DAY, false},
	{"poll_active", SERVER, read_duration, INQUD_OPTION_INT64,
	AT(poll_active_ms), "20s", 10, 30 * DAY, false},
	{"poll_new", SERVER, read_duration, INQUD_OPTION_INT64,
	AT(poll_new_ms), "2min", 10, 30 * DAY, false},
	{"expires_in", SERVER, read_duration, INQUD_OPTION_INT64,
	AT(expires_in_ms), "1h", SECOND, 10000 * DAY, false},
	{"name_limit", SERVER, read_integer, INQUD_OPTION_INT,
	AT(name_limit), NULL, 1, 10000, false},
	{"on_status", SERVER, read_function, INQUD_OPTION_TEXT,
	AT(on_status), NULL, 0, 0, false},
	{"widget_url", SERVER, read_web_url, INQUD_OPTION_TEXT,
	AT(widget_url), "https://paycrypto.inqud.com/widget.js", 0, 0, false},
	{"ca_file", SERVER, read_file_name, INQUD_OPTION_TEXT,
	AT(account.ca_file), NULL, 0, 0, true},

	{"token_id", MAPPING, read_token, INQUD_OPTION_TEXT,
	AT(account.token_id), NULL, 0, 0, false},
	{"token_secret", MAPPING, read_token, INQUD_OPTION_TEXT,
	AT(account.token_secret), NULL, 0, 0, false},
	{"webhook_secret", MAPPING, read_secret, INQUD_OPTION_TEXT,
	AT(webhook_secret[0]), NULL, 0, 0, false},
	{"webhook_secret_previous", MAPPING, read_secret, INQUD_OPTION_TEXT,
	AT(webhook_secret[1]), NULL, 0, 0, false},
	{"request_webhook_secret", MAPPING, read_secret, INQUD_OPTION_TEXT,
	AT(request_webhook_secret[0]), NULL, 0, 0, false},
	{"request_webhook_secret_previous", MAPPING, read_secret, INQUD_OPTION_TEXT,
	AT(request_webhook_secret[1]), NULL, 0, 0, false},
	{"secret_file", MAPPING, read_file_name, INQUD_OPTION_TEXT,
	offsetof(InqudProjectEntry, secret_file), NULL, 0, 0, true},
};

/* The option by index, NULL behind the last. */
const InqudOption *
inqud_option_at(int i)
{
	return i < (int) lengthof(option_table) ? &option_table[i] : NULL;
}

/* An option of that class (InvalidOid: of any). */
const InqudOption *
inqud_option_find(const char *name, Oid catalog)
{
	for (int i = 0; i < (int) lengthof(option_table); i++)
	{
		const InqudOption *option = &option_table[i];

		if (strcmp(option->name, name) == 0 &&
			(catalog == InvalidOid || option->catalog == catalog))
			return option;
	}
	return NULL;
}

/* The names of a class's options, separated by commas; "" when it has none. */
char *
inqud_option_names(Oid catalog, bool with_privileged)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < (int) lengthof(option_table); i++)
	{
		const InqudOption *option = &option_table[i];

		if (option->catalog == catalog && (with_privileged || !option->privileged))
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", option->name);
	}
	return names.data;
}

const char *
inqud_option_set(InqudProjectEntry *entry, const InqudOption *option, const char *text)
{
	void	   *member = (char *) entry + option->offset;
	InqudOptionValue value = {0};
	const char *complaint = option->read(option, text, &value);

	/* a complaint never points into the value */
	if (complaint)
		return complaint;		/* cppcheck-suppress returnDanglingLifetime */
	switch (option->type)
	{
		case INQUD_OPTION_INT64:
			*(int64 *) member = value.integer;
			break;
		case INQUD_OPTION_INT:
			*(int *) member = (int) value.integer;
			break;
		case INQUD_OPTION_DOUBLE:
			*(double *) member = value.real;
			break;
		case INQUD_OPTION_BOOL:
			*(bool *) member = value.integer != 0;
			break;
		case INQUD_OPTION_TEXT:
			*(char **) member = inqud_wiped_copy(entry->context, value.text,
												 strlen(value.text));
			break;
	}
	return NULL;
}

/* ---------------------------------------------------------------------
 * Texts that are wiped
 * ---------------------------------------------------------------------
 */

typedef struct WipeLater
{
	MemoryContextCallback callback;
	void	   *memory;
	Size		len;
} WipeLater;

static void
wipe_now(void *arg)
{
	WipeLater  *later = arg;

	inqud_wipe(later->memory, later->len);
}

void
inqud_wipe_with(MemoryContext context, void *memory, Size len)
{
	WipeLater  *later = MemoryContextAlloc(context, sizeof(WipeLater));

	later->memory = memory;
	later->len = len;
	later->callback.func = wipe_now;
	later->callback.arg = later;
	MemoryContextRegisterResetCallback(context, &later->callback);
}

char *
inqud_wiped_copy(MemoryContext context, const char *text, Size len)
{
	char	   *copy = MemoryContextAlloc(context, len + 1);

	inqud_wipe_with(context, copy, len);
	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

/*
 * The server's own way to list options leaves copies of the values behind that
 * nobody can find again, hence this one.
 */
InqudOptionText *
inqud_option_texts(Datum options, int *count)
{
	ArrayType  *array = DatumGetArrayTypePCopy(options);
	Datum	   *elements;
	InqudOptionText *result;

	inqud_wipe_with(CurrentMemoryContext, array, VARSIZE(array));
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, NULL, count);
	result = palloc0(sizeof(InqudOptionText) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
	{
		text	   *element = (text *) DatumGetPointer(elements[i]);
		char	   *copy = inqud_wiped_copy(CurrentMemoryContext,
											VARDATA_ANY(element),
											VARSIZE_ANY_EXHDR(element));
		char	   *equals = strchr(copy, '=');

		result[i].name = copy;
		if (equals)
			*equals = '\0';
		result[i].value = equals ? equals + 1 : copy + strlen(copy);
	}
	return result;
}
