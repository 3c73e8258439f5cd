/*-------------------------------------------------------------------------
 *
 * options.c
 *		The table of the options of servers and user mappings.
 *
 * An entry says whether a server or a mapping has the option, how its text is read,
 * its range and default, and which member of a project it fills.  A reader returns
 * what is wrong with a text.  It must not throw for that, repeat the text, open a
 * file, or read a catalog other than pg_conversion.  Readers run in a short-lived
 * memory context.
 *
 *-------------------------------------------------------------------------
 */
#include "project/project.h"

#include <ctype.h>

#include "catalog/pg_user_mapping.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/varlena.h"

#define MAX_TEXT			1000	/* bytes of a token or a secret */
#define MAX_PROJECT_ID		200

#define KB					INT64CONST(1024)
#define MB					(1024 * KB)
#define SECOND				INT64CONST(1000)
#define MINUTE				(60 * SECOND)
#define HOUR				(60 * MINUTE)
#define DAY					(24 * HOUR)

/* ---- Readers ---- */

bool
inqud_is_visible_ascii(const char *text)
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

/* Put a number into a member; whether it is in the option's range. */
static bool
put_int64(const InqudOption *option, int64 n, int64 *member)
{
	*member = n;
	return n >= option->min && n <= option->max;
}

const char *
inqud_duration_text(int64 ms)
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
read_duration(const InqudOption *option, const char *text, void *member)
{
	int64_t		ms;

	if (inqud_parse_duration(text, &ms) && put_int64(option, ms, member))
		return NULL;
	return psprintf("must be a duration from %s to %s, such as \"500ms\", \"20s\", \"5min\", \"1h\" or \"1day\"",
					inqud_duration_text(option->min), inqud_duration_text(option->max));
}

static const char *
read_size(const InqudOption *option, const char *text, void *member)
{
	int64_t		bytes;

	if (inqud_parse_size(text, &bytes) && put_int64(option, bytes, member))
		return NULL;
	return psprintf("must be a size from " INT64_FORMAT " kB to " INT64_FORMAT " MB, such as \"64kB\" or \"1MB\"",
					option->min / KB, option->max / MB);
}

/* Whether a text has 1 to 9 digits and nothing else but, if "point", a decimal point between them. */
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
read_integer(const InqudOption *option, const char *text, void *member)
{
	int64		n;

	if (is_decimal(text, false) && put_int64(option, strtol(text, NULL, 10), &n))
	{
		*(int *) member = (int) n;
		return NULL;
	}
	return psprintf("must be a whole number from " INT64_FORMAT " to " INT64_FORMAT,
					option->min, option->max);
}

static const char *
read_decimal(const InqudOption *option, const char *text, void *member)
{
	double		n = strtod(text, NULL);

	*(double *) member = n;
	if (is_decimal(text, true) && n >= (double) option->min && n <= (double) option->max)
		return NULL;
	return psprintf("must be a number from " INT64_FORMAT " to " INT64_FORMAT
					" of at most nine digits, such as \"5\" or \"0.5\"",
					option->min, option->max);
}

static const char *
read_auth(const InqudOption *option, const char *text, void *member)
{
	bool		is_signed = strcmp(text, "signed") == 0;

	*(bool *) member = is_signed;
	if (is_signed || strcmp(text, "secret") == 0)
		return NULL;
	return "must be \"secret\" or \"signed\"";
}

/* For URLs, which are sent unchanged, so that they must not depend on the encoding; "complaint" is what else is wrong. */
static const char *
read_url(const char *text, const char *complaint)
{
	return inqud_is_visible_ascii(text) ? complaint :
		"must consist of printable ASCII characters without spaces";
}

static const char *
read_base_url(const InqudOption *option, const char *text, void *member)
{
	return read_url(text, inqud_check_base_url(text));
}

static const char *
read_web_url(const InqudOption *option, const char *text, void *member)
{
	return read_url(text, inqud_check_web_url(text));
}

static const char *
read_checkout_path(const InqudOption *option, const char *text, void *member)
{
	static const char *const required[] = {"project", "checkout", NULL};

	return read_url(text, inqud_check_path_template(text, required));
}

/* It becomes one segment of a URL's path, so no character may end that segment or leave it. */
static const char *
read_project_id(const InqudOption *option, const char *text, void *member)
{
	if (*text && strlen(text) <= MAX_PROJECT_ID && inqud_is_visible_ascii(text) &&
		strpbrk(text, "/\\?#%") == NULL && strcmp(text, ".") != 0 &&
		strstr(text, "..") == NULL)
		return NULL;
	return psprintf("must consist of 1 to %d printable ASCII characters without spaces, and without \"/\", \"\\\", \"?\", \"#\", \"%%\" and \"..\"",
					MAX_PROJECT_ID);
}

static const char *
read_token(const InqudOption *option, const char *text, void *member)
{
	if (*text && strlen(text) <= MAX_TEXT && inqud_is_visible_ascii(text))
		return NULL;
	return psprintf("must consist of 1 to %d printable ASCII characters without spaces",
					MAX_TEXT);
}

/*
 * A secret in UTF-8, wiped with the current context; NULL if it cannot be converted.
 * pg_server_to_any() would throw an error that shows bytes of the secret.
 */
static char *
secret_in_utf8(const char *text)
{
	int			encoding = GetDatabaseEncoding();
	int			len = strlen(text);
	int			max = INQUD_CONVERTED_SIZE(len);
	char	   *result;

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return inqud_wiped_copy(CurrentMemoryContext, text, len);
	result = palloc0(max);
	inqud_wipe_with(CurrentMemoryContext, result, max);
	return inqud_convert(text, encoding, PG_UTF8, result, max) ? result : NULL;
}

/* A webhook's secret may have any characters; the digest is made with their bytes in UTF-8. */
static const char *
read_secret(const InqudOption *option, const char *text, void *member)
{
	if (*text && strlen(text) <= MAX_TEXT && !inqud_has_control(text) &&
		(*(char **) member = secret_in_utf8(text)) != NULL)
		return NULL;
	return psprintf("must be 1 to %d bytes long, without control characters and expressible in UTF-8",
					MAX_TEXT);
}

/* Whether a text has, outside of double quotes, only letters, digits, "_", "$" and ".". */
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
 * A name, perhaps with a schema.  Must not check that the function exists: a restored
 * dump makes servers before functions.  The worker checks it at each call.
 */
static const char *
read_function(const InqudOption *option, const char *text, void *member)
{
	List	   *names = NIL;

	if (!inqud_has_control(text) && is_plain_name(text) &&
		SplitIdentifierString(pstrdup(text), '.', &names) &&
		list_length(names) >= 1 && list_length(names) <= 2)
		return NULL;
	return "must be the name of a function without parentheses, such as \"order_changed\" or \"shop.order_changed\"";
}

static const char *
read_file_name(const InqudOption *option, const char *text, void *member)
{
	if (is_absolute_path(text) && strlen(text) < MAXPGPATH && !inqud_has_control(text))
		return NULL;
	return psprintf("must be an absolute path of less than %d bytes without control characters",
					MAXPGPATH);
}

static bool
ends_with(const char *text, const char *end)
{
	size_t		len = strlen(text);

	return len >= strlen(end) && strcmp(text + len - strlen(end), end) == 0;
}

/*
 * Whether a text is what documents write in place of a value: "...", "CAP-...", "<token id>".
 * A secret may have any of these characters elsewhere.  The ellipsis is that of UTF-8.
 */
static bool
is_placeholder(const char *text)
{
	size_t		len = strlen(text);

	if (ends_with(text, "...") || ends_with(text, "\xe2\x80\xa6"))
		return true;
	return len > 2 && text[0] == '<' && text[len - 1] == '>' &&
		strspn(text + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ _-") == len - 2;
}

/* ---- The table ---- */

#define AT(member)			offsetof(InqudProjectEntry, project.member)
#define SERVER				ForeignServerRelationId
#define MAPPING				UserMappingRelationId

/* Minima are low, for tests: they would wait long otherwise. */
static const InqudOption option_table[] = {
	{"project_id", SERVER, read_project_id, false, AT(account.project_id), NULL, .begins = "CAP-"},
	{"base_url", SERVER, read_base_url, false, AT(account.base_url), "https://api.inqud.com"},
	{"checkout_path", SERVER, read_checkout_path, false, AT(account.checkout_path), "/v1/user/crypto-acquiring/{project}/checkouts/{checkout}"},
	{"auth", SERVER, read_auth, true, AT(account.auth_signed), "secret"},
	{"rate_limit", SERVER, read_decimal, true, AT(rate_limit), "5", 0, 100000},
	{"max_inflight", SERVER, read_integer, true, AT(max_inflight), "8", 1, 1000},
	{"connect_timeout", SERVER, read_duration, true, AT(account.connect_timeout_ms), "5s", 1, 10 * MINUTE},
	{"timeout", SERVER, read_duration, true, AT(account.timeout_ms), "30s", 1, 10 * MINUTE},
	{"max_reply_size", SERVER, read_size, true, AT(account.max_reply_size), "1MB", KB, 64 * MB},
	{"retry_min", SERVER, read_duration, true, AT(retry_min_ms), "1s", 1, DAY},
	{"retry_max", SERVER, read_duration, true, AT(retry_max_ms), "5min", 1, DAY},
	{"retry_for", SERVER, read_duration, true, AT(retry_for_ms), "1day", 0, 1000 * DAY},
	{"poll_active", SERVER, read_duration, true, AT(poll_active_ms), "20s", 10, 30 * DAY},
	{"poll_new", SERVER, read_duration, true, AT(poll_new_ms), "2min", 10, 30 * DAY},
	{"expires_in", SERVER, read_duration, true, AT(expires_in_ms), "1h", SECOND, 10000 * DAY},
	{"name_limit", SERVER, read_integer, true, AT(name_limit), NULL, 1, 10000},
	{"on_status", SERVER, read_function, false, AT(on_status), NULL},
	{"widget_url", SERVER, read_web_url, false, AT(widget_url), "https://paycrypto.inqud.com/widget.js"},
	{"ca_file", SERVER, read_file_name, false, AT(account.ca_file), NULL, 0, 0, true},

	{"token_id", MAPPING, read_token, false, AT(account.token_id), NULL, .begins = "TKN-"},
	{"token_secret", MAPPING, read_token, false, AT(account.token_secret), NULL},
	{"webhook_secret", MAPPING, read_secret, false, AT(webhook_secret[0]), NULL},
	{"webhook_secret_previous", MAPPING, read_secret, false, AT(webhook_secret[1]), NULL},
	{"request_webhook_secret", MAPPING, read_secret, false, AT(webhook_secret[2]), NULL},
	{"request_webhook_secret_previous", MAPPING, read_secret, false, AT(webhook_secret[3]), NULL},
	{"secret_file", MAPPING, read_file_name, false, offsetof(InqudProjectEntry, secret_file), NULL, 0, 0, true},
};

const InqudOption *
inqud_option_at(int i)
{
	return i < (int) lengthof(option_table) ? &option_table[i] : NULL;
}

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

bool
inqud_option_begins_well(const InqudOption *option, const char *text)
{
	return option->begins == NULL || strncmp(text, option->begins, strlen(option->begins)) == 0;
}

const char *
inqud_option_set(InqudProjectEntry *entry, const InqudOption *option, const char *text)
{
	void	   *member = (char *) entry + option->offset;
	const char *kept = text;
	const char *complaint = is_placeholder(text) ? "must not be a placeholder, such as \"...\" or \"<secret>\"" :
		option->read(option, text, option->is_number ? member : &kept);

	if (complaint == NULL && !option->is_number)
		*(char **) member = inqud_wiped_copy(entry->context, kept, strlen(kept));
	/* a complaint never points into the text */
	return complaint;			/* cppcheck-suppress returnDanglingLifetime */
}

void
inqud_option_set_defaults(InqudProjectEntry *entry)
{
	for (int i = 0; i < (int) lengthof(option_table); i++)
		if (option_table[i].initial &&
			inqud_option_set(entry, &option_table[i], option_table[i].initial))
			elog(ERROR, "default of option \"%s\" is not valid", option_table[i].name);
}
