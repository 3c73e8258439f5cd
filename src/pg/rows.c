/*-------------------------------------------------------------------------
 *
 * rows.c
 *		Converts words to enums, JSON to jsonb, and texts between encodings.
 *
 * The database has its own encoding, and the client uses UTF-8.  Converting a text
 * of a reply must never raise an error: a single character must not prevent a status
 * from being recorded.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/resowner.h"

#define UNIX_TO_PG_USEC \
	((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

TimestampTz
inqud_from_unix(int64 usec)
{
	return usec - UNIX_TO_PG_USEC;
}

int64
inqud_to_unix(TimestampTz when)
{
	return when + UNIX_TO_PG_USEC;
}

/* ---- Encodings ---- */

char *
inqud_ascii_of(const char *text)
{
	char	   *out = pstrdup(text);

	for (char *c = out; *c; c++)
		if (IS_HIGHBIT_SET(*c))
			*c = '?';
	return out;
}

bool
inqud_convert(const char *text, int from, int to, char *out, int size)
{
	Oid			proc = FindDefaultConversionProc(from, to);
	int			len = (int) strlen(text);

	return OidIsValid(proc) &&
		pg_do_encoding_conversion_buf(proc, from, to,
									  (unsigned char *) unconstify(char *, text), len,
									  (unsigned char *) out, size, true) == len;
}

/* The text converted, palloc'ed; NULL where a character has no counterpart. */
static char *
converted(const char *text, int from, int to)
{
	int			size = INQUD_CONVERTED_SIZE(strlen(text));
	char	   *out = palloc(size);

	return inqud_convert(text, from, to, out, size) ? out : NULL;
}

char *
inqud_to_utf8(const char *text)
{
	int			encoding = GetDatabaseEncoding();
	char	   *out;

	if (text == NULL)
		return NULL;
	if (encoding == PG_SQL_ASCII)
		out = pg_verify_mbstr(PG_UTF8, text, (int) strlen(text), true) ? pstrdup(text) : NULL;
	else
		out = encoding == PG_UTF8 ? pstrdup(text) : converted(text, encoding, PG_UTF8);
	return out ? out : inqud_ascii_of(text);
}

char *
inqud_from_utf8(const char *text)
{
	int			encoding = GetDatabaseEncoding();

	if (text == NULL)
		return NULL;
	/* the client has checked that it is UTF-8; SQL_ASCII stores any bytes */
	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII || *text == '\0')
		return pstrdup(text);
	return converted(text, PG_UTF8, encoding);
}

/* ---- Words ---- */

int
inqud_place_of_word(const char *const *words, int n, const char *word)
{
	for (int i = 0; word != NULL && i < n; i++)
		if (words[i] != NULL && strcmp(words[i], word) == 0)
			return i;
	elog(ERROR, "unexpected word \"%s\"", word ? word : "");
}

static const char *const kind_words[] = {
	[INQUD_KIND_READ] = "read",
	[INQUD_KIND_CREATE] = "create",
	[INQUD_KIND_FOUND] = "found",
	[INQUD_KIND_CALL] = "call",
	[INQUD_KIND_INBOX] = "inbox",
};

InqudKind
inqud_kind_of(const char *word)
{
	return (InqudKind) inqud_place_of_word(kind_words, lengthof(kind_words), word);
}

static const char *const fault_words[] = {
	[INQUD_FAULT_REFUSED] = "refused",
	[INQUD_FAULT_AUTH] = "auth",
	[INQUD_FAULT_ROUTE] = "route",
	[INQUD_FAULT_NOT_FOUND] = "not_found",
	[INQUD_FAULT_THROTTLED] = "throttled",
	[INQUD_FAULT_UNREACHABLE] = "unreachable",
	[INQUD_FAULT_UNKNOWN] = "unknown",
	[INQUD_FAULT_BAD_REPLY] = "bad_reply",
	[INQUD_FAULT_NO_OWNER] = "no_owner",
	[INQUD_FAULT_NO_SERVER] = "no_server",
	[INQUD_FAULT_NO_RIGHT] = "no_right",
	[INQUD_FAULT_NO_KEY] = "no_key",
	[INQUD_FAULT_OPTIONS] = "options",
	[INQUD_FAULT_PROJECT_CHANGED] = "project_changed",
	[INQUD_FAULT_ORDER] = "order",
	[INQUD_FAULT_MISFIT] = "misfit",
	[INQUD_FAULT_CRASHED] = "crashed",
	[INQUD_FAULT_DESCRIPTORS] = "descriptors",
};

const char *
inqud_fault_word(InqudFault fault)
{
	return fault_words[fault];
}

InqudFault
inqud_fault_of_word(const char *word)
{
	return word == NULL ? INQUD_FAULT_NONE :
		(InqudFault) inqud_place_of_word(fault_words, lengthof(fault_words), word);
}

/* ---- Errors that are no error ---- */

ErrorData *
inqud_try(void (*run) (void *arg), void *arg)
{
	MemoryContext old = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(old);
	PG_TRY();
	{
		run(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(old);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	CurrentResourceOwner = owner;
	if (error && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	return error;
}

/* ---- JSON ---- */

typedef struct JsonText
{
	const char *text;
	Datum	   *value;
} JsonText;

static void
read_json(void *arg)
{
	JsonText   *json = arg;

	*json->value = DirectFunctionCall1(jsonb_in, CStringGetDatum(json->text));
}

bool
inqud_json_value(const char *json, Datum *value)
{
	JsonText	arg = {json, value};

	if (GetDatabaseEncoding() == PG_UTF8)
	{
		read_json(&arg);
		return true;
	}
	arg.text = inqud_from_utf8(json);
	return arg.text != NULL && inqud_try(read_json, &arg) == NULL;
}
