/*-------------------------------------------------------------------------
 *
 * templates.c
 *		The arguments of an order trigger: read once, and filled in from rows.
 *
 * Arguments are "key=template" and options.  What a value looks like is decided in
 * value.c, and what an order must be in order.c.  Nothing here may queue anything, or
 * ask for rights.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "catalog/pg_trigger.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/numeric.h"
#include "utils/rel.h"

/* The keys of templates are the members of an order before "extra". */
#define NKEYS INQUD_ORDER_EXTRA

/* How much of a value an error shows. */
#define MAX_SHOWN 100

/* A placeholder's column. */
typedef struct Column
{
	int			number;			/* 0 for a literal text */
	InqudValueType type;
} Column;

struct InqudTemplates
{
	InqudOrderSource source;
	bool		skip_free;		/* leave out orders without an amount, or with 0 */
	InqudTemplate templates[NKEYS]; /* of a key that is not given: without parts */
	Column	   *columns[NKEYS]; /* of each part */
};

/* ---- Reading ---- */

/* Raise an error about an argument; "hint" may be NULL. */
static void
bad_argument(const InqudTemplates *templates, const char *argument, int sqlstate, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg("invalid argument \"%s\" of inqud_order_trigger", argument),
			 errdetail_internal("%s It is an argument of trigger \"%s\" on table \"%s\".", detail,
								templates->source.trigger, templates->source.table),
			 hint ? errhint("%s", hint) : 0));
}

/* Memory context callback: what the client reads is malloc'ed. */
static void
free_templates(void *arg)
{
	InqudTemplates *templates = arg;

	for (int key = 0; key < NKEYS; key++)
		inqud_template_free(&templates->templates[key]);
}

/* The key of an argument "key=..."; -1 for none. */
static int
find_key(const char *argument, size_t len)
{
	for (int i = 0; i < NKEYS; i++)
		if (strlen(inqud_member_names[i]) == len && strncmp(inqud_member_names[i], argument, len) == 0)
			return i;
	return -1;
}

/* A hint for a name that no column has: what is no plain name was hardly meant as one. */
static const char *
missing_column_hint(const char *name)
{
	for (const char *p = name; *p; p++)
		if (!IS_HIGHBIT_SET(*p) && strchr("_$", *p) == NULL && !(*p >= '0' && *p <= '9') &&
			!(pg_ascii_tolower((unsigned char) *p) >= 'a' && pg_ascii_tolower((unsigned char) *p) <= 'z'))
			return "Write {{ for a brace.";
	return "If the column was renamed, drop the trigger and create it anew: its arguments are text, and keep the old name.";
}

/* A hint for a column whose type cannot serve. */
static const char *
type_hint(InqudMember member)
{
	if (member == INQUD_ORDER_AMOUNT)
		return "Use a column of a number's type, money or text; a generated column can make one of this.";
	if (member == INQUD_ORDER_EXPIRES_AT)
		return "Use a column of type timestamptz, timestamp (in UTC), date (until its end) or text.";
	return "Use a column of type text or char, or an enum.";
}

/* Find a placeholder's column; raises 22023 if it has no value, 42804 if it is alone and its type cannot serve. */
static void
find_column(const InqudTemplates *templates, InqudMember key, const char *argument, const char *name,
			TupleDesc desc, Column *column)
{
	Oid			type;

	column->number = SPI_fnumber(desc, name);
	if (column->number <= 0)
		bad_argument(templates, argument, ERRCODE_INVALID_PARAMETER_VALUE,
					 psprintf("The table has no column \"%s\".", name), missing_column_hint(name));
	if (inqud_is_virtual(desc, column->number))
		bad_argument(templates, argument, ERRCODE_INVALID_PARAMETER_VALUE,
					 psprintf("Column \"%s\" is a virtual generated column.", name),
					 "Make it STORED: a trigger does not see its value otherwise.");
	type = SPI_gettypeid(desc, column->number);
	inqud_value_type(&column->type, type);
	if (templates->templates[key].single_column && !inqud_value_serves(&column->type, key))
		bad_argument(templates, argument, ERRCODE_DATATYPE_MISMATCH,
					 psprintf("Column \"%s\" is of type %s, which cannot serve as \"%s\".", name,
							  format_type_be(type), inqud_member_names[key]), type_hint(key));
}

/* Read "key=template"; raises 22023, 42804. */
static void
read_template(InqudTemplates *templates, InqudMember key, const char *argument, TupleDesc desc)
{
	InqudTemplate *template = &templates->templates[key];
	const char *why;

	if (templates->source.arguments[key])
		bad_argument(templates, argument, ERRCODE_INVALID_PARAMETER_VALUE, "The key is given twice.", NULL);
	why = inqud_template_read(strchr(argument, '=') + 1, template);
	if (why)
		bad_argument(templates, argument, ERRCODE_INVALID_PARAMETER_VALUE, psprintf("The template %s.", why), NULL);
	templates->source.arguments[key] = argument;
	templates->columns[key] = palloc0(sizeof(Column) * Max(template->nparts, 1));
	for (int i = 0; i < template->nparts; i++)
		if (template->parts[i].is_column)
			find_column(templates, key, argument, template->parts[i].text, desc, &templates->columns[key][i]);
	if (key == INQUD_ORDER_AMOUNT && template->single_column)
		templates->source.amount_column = template->parts[0].text;
}

/* Read one argument; raises 22023, 42804. */
static void
read_argument(InqudTemplates *templates, const char *argument, TupleDesc desc)
{
	const char *equals = strchr(argument, '=');
	int			key = equals ? find_key(argument, equals - argument) : -1;

	if (key >= 0)
		read_template(templates, key, argument, desc);
	else if (strncmp(argument, "skip_free=", strlen("skip_free=")) == 0)
	{
		if (!parse_bool(equals + 1, &templates->skip_free))
			bad_argument(templates, argument, ERRCODE_INVALID_PARAMETER_VALUE, "It must be true or false.", NULL);
	}
	else
		bad_argument(templates, argument, ERRCODE_INVALID_PARAMETER_VALUE,
					 "It is not of the form key=template with a known key.",
					 "Valid keys are order_id, name, return_url, amount, currency, type, expires_at and skip_free.");
}

/* Raise 22023 for arguments that do not make an order together. */
static void
check_together(const InqudTemplates *templates)
{
	for (int i = INQUD_ORDER_ID; i <= INQUD_ORDER_RETURN_URL; i++)
		if (!templates->source.arguments[i])
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("inqud_order_trigger needs an argument \"%s=...\"", inqud_member_names[i]),
					 errdetail("Trigger \"%s\" on table \"%s\" has none.",
							   templates->source.trigger, templates->source.table)));
	if (templates->skip_free && !templates->source.arguments[INQUD_ORDER_AMOUNT])
		bad_argument(templates, "skip_free=true", ERRCODE_INVALID_PARAMETER_VALUE,
					 "It needs an argument \"amount=...\".", NULL);
}

InqudTemplates *
inqud_templates_read(const Trigger *trigger, Relation table)
{
	InqudTemplates *templates;
	MemoryContextCallback *callback;

	if (trigger->tgnargs < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("inqud_order_trigger needs the project as its first argument"),
				 errhint("EXECUTE FUNCTION inqud_order_trigger('shop', 'order_id={id}', 'name=Order {id}', 'return_url=https://shop.example/orders/{id}')")));
	templates = palloc0(sizeof(InqudTemplates));
	callback = palloc0(sizeof(MemoryContextCallback));
	callback->func = free_templates;
	callback->arg = templates;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	templates->source.trigger = pstrdup(trigger->tgname);
	templates->source.table = pstrdup(RelationGetRelationName(table));
	templates->source.for_row = TRIGGER_FOR_ROW(trigger->tgtype);
	for (int i = 1; i < trigger->tgnargs; i++)
		read_argument(templates, pstrdup(trigger->tgargs[i]), RelationGetDescr(table));
	check_together(templates);
	return templates;
}

bool
inqud_templates_use(const InqudTemplates *templates, int column)
{
	for (int key = 0; key < NKEYS; key++)
		for (int i = 0; i < templates->templates[key].nparts; i++)
			if (templates->columns[key][i].number == column)
				return true;
	return false;
}

/* ---- Filling in ---- */

/* Append a value to a URL, so that it cannot end the part that it stands in, or begin another. */
static void
append_encoded(StringInfo url, const char *text)
{
	const char *utf8 = pg_server_to_any(text, (int) strlen(text), PG_UTF8);
	char		code[3];

	for (; *utf8; utf8++)
		appendBinaryStringInfo(url, code, inqud_percent_code(*utf8, code));
}

/* Append a placeholder's value; nothing for null. */
static void
append_value(StringInfo text, Column *column, InqudMember key, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, column->number, &isnull);
	char	   *part;

	if (isnull)
		return;
	part = inqud_value_text(&column->type, value);
	if (key == INQUD_ORDER_RETURN_URL)
		append_encoded(text, part);
	else
		appendStringInfoString(text, part);
	pfree(part);
}

char *
inqud_templates_text(InqudTemplates *templates, InqudMember member, TupleTableSlot *slot)
{
	const InqudTemplate *template = &templates->templates[member];
	Column	   *columns = templates->columns[member];
	StringInfoData text;

	if (templates->source.arguments[member] == NULL)
		return NULL;
	if (template->single_column)
	{
		bool		isnull;
		Datum		value = slot_getattr(slot, columns[0].number, &isnull);

		return isnull ? NULL : inqud_value_text(&columns[0].type, value);
	}
	initStringInfo(&text);
	for (int i = 0; i < template->nparts; i++)
	{
		if (template->parts[i].is_column)
			append_value(&text, &columns[i], member, slot);
		else
			appendStringInfoString(&text, template->parts[i].text);
	}
	return text.data;
}

/* Raise that a row's value is no number or no moment. */
static void
raise_unreadable(InqudTemplates *templates, InqudMember member, TupleTableSlot *slot)
{
	char	   *text = inqud_templates_text(templates, member, slot);
	int			shown = pg_mbcliplen(text, (int) strlen(text), MAX_SHOWN);
	bool		is_number = member == INQUD_ORDER_AMOUNT;

	inqud_raise_member(&templates->source, member,
					   is_number ? ERRCODE_INVALID_TEXT_REPRESENTATION : ERRCODE_INVALID_DATETIME_FORMAT,
					   psprintf("\"%.*s\" is not %s.", shown, text, is_number ? "a number" : "a point in time"),
					   is_number ? "Use a column of type numeric, integer or money, or text such as 49.90." :
					   "Use a column of type timestamptz, timestamp (in UTC) or date, or text such as 2030-01-31 12:00:00+00.");
}

/* The value of a member; false for null. */
static bool
fill_member(InqudTemplates *templates, InqudMember member, TupleTableSlot *slot, Datum *out)
{
	bool		ok;

	if (templates->templates[member].single_column)
	{
		bool		isnull;
		Column	   *column = &templates->columns[member][0];
		Datum		value = slot_getattr(slot, column->number, &isnull);

		if (isnull)
			return false;
		ok = inqud_value_as(&column->type, value, member, out);
	}
	else
	{
		char	   *text = inqud_templates_text(templates, member, slot);

		if (text == NULL)
			return false;
		ok = inqud_text_as(text, member, out);
		/* its buffer has at least 1 kB, and a statement trigger makes up to 1000 orders before they are freed */
		pfree(text);
	}
	if (!ok)
		raise_unreadable(templates, member, slot);
	return true;
}

/* Whether an amount is 0. */
static bool
is_zero(Datum amount)
{
	return DatumGetBool(DirectFunctionCall2(numeric_eq, amount, NumericGetDatum(int64_to_numeric(0))));
}

bool
inqud_templates_fill(InqudTemplates *templates, TupleTableSlot *slot, const InqudProject *project, InqudNewOrder *order)
{
	bool		priced = fill_member(templates, INQUD_ORDER_AMOUNT, slot, &order->values[INQUD_ORDER_AMOUNT]);

	/* first, since what is to be left out must not fail for anything else */
	if (templates->skip_free && (!priced || is_zero(order->values[INQUD_ORDER_AMOUNT])))
		return false;
	for (int key = 0; key < NKEYS; key++)
		order->nulls[key] = key == INQUD_ORDER_AMOUNT ? !priced : !fill_member(templates, key, slot, &order->values[key]);
	order->nulls[INQUD_ORDER_EXTRA] = true;
	/* a table's currency column is often NOT NULL; without an amount it is to be ignored */
	if (!priced)
		order->nulls[INQUD_ORDER_CURRENCY] = true;
	order->source = &templates->source;
	inqud_check_order(order, project);
	return true;
}

/* ---- Comparing ---- */

/* Whether the bytes of a column that a template uses differ: mostly none do, and no text is made. */
static bool
columns_differ(const InqudTemplates *templates, InqudMember member, TupleTableSlot *before, TupleTableSlot *after)
{
	for (int i = 0; i < templates->templates[member].nparts; i++)
	{
		int			number = templates->columns[member][i].number;
		bool		null_before;
		bool		null_after;
		Datum		old;
		Datum		new;
		Form_pg_attribute attribute;

		if (number == 0)
			continue;
		attribute = TupleDescAttr(before->tts_tupleDescriptor, number - 1);
		old = slot_getattr(before, number, &null_before);
		new = slot_getattr(after, number, &null_after);
		if (null_before != null_after ||
			(!null_before && !datumIsEqual(old, new, attribute->attbyval, attribute->attlen)))
			return true;
	}
	return false;
}

/* Whether two texts are the same number, such as 5 and 5.00. */
static bool
same_number(const char *a, const char *b)
{
	char		plain_a[INQUD_NUMBER_MAX];
	char		plain_b[INQUD_NUMBER_MAX];

	return inqud_number_plain(a, strlen(a), plain_a) && inqud_number_plain(b, strlen(b), plain_b) &&
		strcmp(plain_a, plain_b) == 0;
}

/* Whether a member's value differs. */
static bool
member_differs(InqudTemplates *templates, InqudMember member, TupleTableSlot *before, TupleTableSlot *after)
{
	char	   *old;
	char	   *new;

	if (!columns_differ(templates, member, before, after))
		return false;
	old = inqud_templates_text(templates, member, before);
	new = inqud_templates_text(templates, member, after);
	if (old == NULL || new == NULL)
		return old != new;
	return strcmp(old, new) != 0 && !(member == INQUD_ORDER_AMOUNT && same_number(old, new));
}

char *
inqud_templates_changed(InqudTemplates *templates, TupleTableSlot *before, TupleTableSlot *after)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int key = 0; key < NKEYS; key++)
		if (member_differs(templates, key, before, after))
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", inqud_member_names[key]);
	return names.len > 0 ? names.data : NULL;
}
