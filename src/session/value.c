/*-------------------------------------------------------------------------
 *
 * value.c
 *		What a template makes of a column's value: its text, and the amount, code or
 *		moment that it is by itself.
 *
 * A text depends on the value alone.  It must not follow settings of the session, such
 * as DateStyle or extra_float_digits: the session's role chooses them, and the same
 * order would have another number or price.  The exceptions are an expiry of type date,
 * which ends when that day ends for the session, and values of types that are not the
 * server's own as far as they follow other settings than those below.
 *
 * What is needed of the catalog is looked up once, when a trigger's arguments are read.
 * Nothing here may look anything up for a row, or raise an error about a value: the
 * caller says where it comes from.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* ---- Settings ---- */

/*
 * Pin the settings that outputs and inputs follow, until AtEOXact_GUC(true, result).  The
 * order of a date's parts matters for texts such as 01/02/2030: with YMD they are
 * refused, and not guessed.
 */
static int
pin_settings(void)
{
	static const char *const settings[][2] = {
		{"DateStyle", "ISO, YMD"},
		{"TimeZone", "UTC"},
		{"IntervalStyle", "postgres"},
		{"extra_float_digits", "1"},
		{"bytea_output", "hex"},
		{"quote_all_identifiers", "off"},
		{"search_path", "pg_catalog"},
	};
	int			level = NewGUCNestLevel();

	for (size_t i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("lc_monetary", GetConfigOptionResetString("lc_monetary"), PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return level;
}

/* ---- Texts of types that follow settings ---- */

static Datum
float4_text(PG_FUNCTION_ARGS)
{
	char	   *text = palloc(FLOAT_SHORTEST_DECIMAL_LEN);

	float_to_shortest_decimal_buf(PG_GETARG_FLOAT4(0), text);
	PG_RETURN_CSTRING(text);
}

static Datum
float8_text(PG_FUNCTION_ARGS)
{
	char	   *text = palloc(DOUBLE_SHORTEST_DECIMAL_LEN);

	double_to_shortest_decimal_buf(PG_GETARG_FLOAT8(0), text);
	PG_RETURN_CSTRING(text);
}

/*
 * The number of a money value.  How many decimals it has goes by lc_monetary, also in the
 * server's cast; so the session's own must not be used.
 */
static Datum
money_number(Datum value)
{
	const char *usual = GetConfigOptionResetString("lc_monetary");
	int			level;

	if (strcmp(GetConfigOption("lc_monetary", false, false), usual) == 0)
		return DirectFunctionCall1(cash_numeric, value);
	level = NewGUCNestLevel();
	(void) set_config_option("lc_monetary", usual, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	value = DirectFunctionCall1(cash_numeric, value);
	AtEOXact_GUC(true, level);
	return value;
}

static Datum
money_text(PG_FUNCTION_ARGS)
{
	return DirectFunctionCall1(numeric_out, money_number(PG_GETARG_DATUM(0)));
}

static Datum
padded_text(PG_FUNCTION_ARGS)
{
	BpChar	   *value = PG_GETARG_BPCHAR_PP(0);

	PG_RETURN_CSTRING(pnstrdup(VARDATA_ANY(value), bpchartruelen(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value))));
}

static Datum
bytea_text(PG_FUNCTION_ARGS)
{
	bytea	   *value = PG_GETARG_BYTEA_PP(0);
	size_t		len = VARSIZE_ANY_EXHDR(value);
	char	   *text = palloc(len * 2 + 3);

	text[0] = '\\';
	text[1] = 'x';
	text[2 + hex_encode(VARDATA_ANY(value), len, text + 2)] = '\0';
	PG_RETURN_CSTRING(text);
}

static Datum
date_text(PG_FUNCTION_ARGS)
{
	DateADT		value = PG_GETARG_DATEADT(0);
	char	   *text = palloc(MAXDATELEN + 1);
	struct pg_tm tm;

	if (DATE_NOT_FINITE(value))
		EncodeSpecialDate(value, text);
	else
	{
		j2date(value + POSTGRES_EPOCH_JDATE, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
		EncodeDateOnly(&tm, USE_ISO_DATES, text);
	}
	PG_RETURN_CSTRING(text);
}

/* A moment, with or without time zone, which is UTC. */
static char *
moment_text(Timestamp value, bool has_zone)
{
	char	   *text = palloc(MAXDATELEN + 1);
	struct pg_tm tm;
	fsec_t		fraction;

	if (TIMESTAMP_NOT_FINITE(value) || timestamp2tm(value, NULL, &tm, &fraction, NULL, NULL) != 0)
		EncodeSpecialTimestamp(TIMESTAMP_IS_NOBEGIN(value) ? DT_NOBEGIN : DT_NOEND, text);
	else
	{
		tm.tm_isdst = 0;
		EncodeDateTime(&tm, fraction, has_zone, 0, NULL, USE_ISO_DATES, text);
	}
	return text;
}

static Datum
timestamp_text(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(moment_text(PG_GETARG_TIMESTAMP(0), false));
}

static Datum
timestamptz_text(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(moment_text(PG_GETARG_TIMESTAMPTZ(0), true));
}

/* ---- Types ---- */

/* What a value can be by itself; each can be a text. */
enum
{
	CODE = 1,					/* a currency, or a type of checkout */
	NUMBER = 2,
	MOMENT = 4,
	ANY = CODE | NUMBER | MOMENT
};

/* The types that are known here. */
typedef struct InqudTypeRule
{
	Oid			type;
	PGFunction	text;			/* returns a cstring that no setting changes */
	int			serves;
	bool		is_plain;		/* the type's own output follows no setting: of interest within arrays */
} InqudTypeRule;

static const InqudTypeRule rules[] = {
	{INT4OID, int4out, NUMBER, true},
	{INT8OID, int8out, NUMBER, true},
	{TEXTOID, textout, ANY, true},
	{NUMERICOID, numeric_out, NUMBER, true},
	{VARCHAROID, varcharout, ANY, true},
	{UUIDOID, uuid_out, 0, true},
	{TIMESTAMPTZOID, timestamptz_text, MOMENT, false},
	{TIMESTAMPOID, timestamp_text, MOMENT, false},
	{DATEOID, date_text, MOMENT, false},
	{BPCHAROID, padded_text, ANY, true},
	{BOOLOID, boolout, 0, true},
	{INT2OID, int2out, NUMBER, true},
	{FLOAT8OID, float8_text, NUMBER, false},
	{FLOAT4OID, float4_text, NUMBER, false},
	{MONEYOID, money_text, NUMBER, false},
	{JSONBOID, jsonb_out, NUMBER, true},
	{JSONOID, json_out, NUMBER, true},
	{BYTEAOID, bytea_text, 0, false},
	{NAMEOID, nameout, ANY, true},
	{CHAROID, charout, CODE, true},
};

static const InqudTypeRule *
find_rule(Oid type)
{
	for (size_t i = 0; i < lengthof(rules); i++)
		if (rules[i].type == type)
			return &rules[i];
	return NULL;
}

/* Whether a type's output may follow settings; its elements' output counts, too. */
static bool
follows_settings(Oid type)
{
	const InqudTypeRule *rule;
	Oid			element;

	type = getBaseType(type);
	rule = find_rule(type);
	if (rule)
		return !rule->is_plain;
	if (type_is_enum(type))
		return false;
	element = get_element_type(type);
	return OidIsValid(element) ? follows_settings(element) : true;
}

/* What values of a type without a rule can be: those of extensions are believed to be what their text is. */
static int
serves_by_category(Oid type)
{
	char		category;
	bool		preferred;

	get_type_category_preferred(type, &category, &preferred);
	if (category == TYPCATEGORY_STRING || category == TYPCATEGORY_ENUM)
		return ANY;
	if (type >= FirstNormalObjectId && (category == TYPCATEGORY_USER || category == TYPCATEGORY_NUMERIC))
		return ANY;
	return 0;
}

void
inqud_value_type(InqudValueType *out, Oid type)
{
	Oid			output;
	bool		varlena;

	/* most are known without asking the catalog */
	out->type = find_rule(type) ? type : getBaseType(type);
	out->rule = find_rule(out->type);
	if (out->rule)
	{
		out->serves = out->rule->serves;
		return;
	}
	out->serves = serves_by_category(out->type);
	out->follows_settings = follows_settings(out->type);
	getTypeOutputInfo(out->type, &output, &varlena);
	fmgr_info(output, &out->output);
}

bool
inqud_value_serves(const InqudValueType *type, InqudMember member)
{
	switch (member)
	{
		case INQUD_ORDER_AMOUNT:
			return (type->serves & NUMBER) != 0;
		case INQUD_ORDER_EXPIRES_AT:
			return (type->serves & MOMENT) != 0;
		case INQUD_ORDER_CURRENCY:
		case INQUD_ORDER_TYPE:
			return (type->serves & CODE) != 0;
		default:
			return true;
	}
}

char *
inqud_value_text(InqudValueType *type, Datum value)
{
	char	   *text;
	int			level;

	if (type->rule)
		return DatumGetCString(DirectFunctionCall1(type->rule->text, value));
	if (!type->follows_settings)
		return OutputFunctionCall(&type->output, value);
	level = pin_settings();
	text = OutputFunctionCall(&type->output, value);
	AtEOXact_GUC(true, level);
	return text;
}

/* ---- Values of members ---- */

/*
 * Call a type's input function; false for a text that it does not take.  The caller must
 * raise an error then: nothing is rolled back here.
 */
static bool
read_input(PGFunction input, const char *text, Datum *out)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool ok = true;

	PG_TRY();
	{
		*out = DirectFunctionCall3(input, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	}
	PG_CATCH();
	{
		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		ok = false;
	}
	PG_END_TRY();
	return ok;
}

static bool
read_moment(const char *text, Datum *out)
{
	int			level = pin_settings();
	bool		ok = read_input(timestamptz_in, text, out);

	AtEOXact_GUC(true, level);
	return ok;
}

bool
inqud_text_as(const char *text, InqudMember member, Datum *out)
{
	if (member == INQUD_ORDER_AMOUNT)
		return read_input(numeric_in, text, out);
	if (member == INQUD_ORDER_EXPIRES_AT)
		return read_moment(text, out);
	*out = CStringGetTextDatum(text);
	return true;
}

/* The end of a day in the session's time zone: the beginning of the next one. */
static bool
end_of_day(DateADT day, Datum *out)
{
	if (DATE_NOT_FINITE(day))
		*out = TimestampTzGetDatum(DATE_IS_NOBEGIN(day) ? DT_NOBEGIN : DT_NOEND);
	else if (day >= TIMESTAMP_END_JULIAN - POSTGRES_EPOCH_JDATE - 1)
		return false;
	else
		*out = DirectFunctionCall1(date_timestamptz, DateADTGetDatum(day + 1));
	return true;
}

/* The value by itself, if its type is one that needs no text in between. */
static bool
value_directly(Oid type, Datum value, InqudMember member, Datum *out)
{
	if (member == INQUD_ORDER_AMOUNT)
	{
		if (type == NUMERICOID)
			*out = value;
		else if (type == INT4OID)
			*out = NumericGetDatum(int64_to_numeric(DatumGetInt32(value)));
		else if (type == INT8OID)
			*out = NumericGetDatum(int64_to_numeric(DatumGetInt64(value)));
		else if (type == MONEYOID)
			*out = money_number(value);
		else
			return false;
		return true;
	}
	/* a moment without time zone is one of UTC, and has the same number */
	if (member == INQUD_ORDER_EXPIRES_AT)
	{
		*out = value;
		return type == TIMESTAMPTZOID || type == TIMESTAMPOID;
	}
	*out = value;
	return type == TEXTOID || type == VARCHAROID;
}

bool
inqud_value_as(InqudValueType *type, Datum value, InqudMember member, Datum *out)
{
	char	   *text;
	bool		ok;

	if (type->type == DATEOID && member == INQUD_ORDER_EXPIRES_AT)
		return end_of_day(DatumGetDateADT(value), out);
	if (value_directly(type->type, value, member, out))
		return true;
	text = inqud_value_text(type, value);
	ok = inqud_text_as(text, member, out);
	pfree(text);
	return ok;
}
