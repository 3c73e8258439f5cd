/*-------------------------------------------------------------------------
 *
 * json.c
 *		Reading JSON through tables of fields, and writing it.
 *
 * The only file that includes json-c.  Nothing is parsed that json_scan.c has
 * not found good, and of that only what is wanted, each value bounded: json-c makes
 * 60 bytes of a number of one digit, and cannot be interrupted.  No number leaves
 * here except as text: json-c's own conversions to integer and double must not be
 * used.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "client_internal.h"

_Static_assert(JSON_C_VERSION_NUM >= ((0 << 16) | (16 << 8)),
			   "json-c 0.16 or later is needed: earlier ones lack its check of UTF-8");

/* Amounts of one reply that keep their plain text here; a table has fewer. */
#define MAX_AMOUNTS 8

struct InqudJson
{
	json_object *root;			/* NULL unless the text is an object */
	bool		storable;
	size_t		values;
	int			namounts;
	char		amounts[MAX_AMOUNTS][INQUD_NUMBER_MAX];
};

/* ---- Parsing ---- */

/* A place for a member that is wanted. */
typedef struct Slot
{
	const char *object;			/* the member it stands in; NULL = top level */
	const char *name;
	size_t		name_len;
	bool		is_object;		/* other slots stand in it */
	const char *value;			/* NULL = not found */
	size_t		len;
	const char *found;			/* in an object whose own name is not known yet */
	size_t		found_len;
} Slot;

#define MAX_SLOTS 48

/* The top level's slots come first. */
typedef struct Slots
{
	int			n;
	int			ntop;
	bool		found_any;
	Slot		slots[MAX_SLOTS];
} Slots;

static void
add_slot(Slots *slots, const char *object, const char *name, bool is_object)
{
	if (slots->n < MAX_SLOTS)
		slots->slots[slots->n++] = (Slot) {.object = object,.name = name,.name_len = strlen(name),.is_object = is_object};
}

/* Slots for all that is wanted. */
static void
add_slots(Slots *slots, const InqudJsonWish *wish)
{
	int			i;

	for (i = 0; wish->names != NULL && wish->names[i] != NULL; i++)
		add_slot(slots, NULL, wish->names[i], false);
	for (i = 0; i < wish->nfields; i++)
	{
		const char *object = wish->fields[i].object;

		if (object == NULL)
			add_slot(slots, NULL, wish->fields[i].name, false);
		else if (i == 0 || wish->fields[i - 1].object != object)
			add_slot(slots, NULL, object, true);
	}
	slots->ntop = slots->n;
	for (i = 0; i < wish->nfields; i++)
	{
		if (wish->fields[i].object != NULL)
			add_slot(slots, wish->fields[i].object, wish->fields[i].name, false);
	}
}

/* Is that the member's name, in which there are escapes? */
static bool
has_escaped_name(const InqudJsonMember *member, const char *name)
{
	const char *p = member->name;
	const char *end = p + member->name_len;

	while (p < end)
	{
		char		c[4] = {*p};
		int			n = 1;
		size_t		took = inqud_json_unescape(p, end, c, &n);

		if (strncmp(name, c, (size_t) n) != 0 || *name == '\0')
			return false;
		p += took > 0 ? took : 1;
		name += n;
	}
	return *name == '\0';
}

/* What was found in the object that ends here counts, if it is the one that the slots are for. */
static void
take_found(Slots *slots, const char *object)
{
	int			i;

	for (i = slots->ntop; i < slots->n; i++)
	{
		Slot	   *slot = &slots->slots[i];

		if (slot->object != object)
			continue;
		slot->value = slot->found;
		slot->len = slot->found_len;
	}
}

static void
forget_found(Slots *slots)
{
	int			i;

	for (i = slots->ntop; i < slots->n; i++)
		slots->slots[i].found = NULL;
	slots->found_any = false;
}

/* Of several members of one name the last one counts. */
static void
fill_slot(Slots *slots, Slot *slot, const InqudJsonMember *member)
{
	if (slot->object != NULL)
	{
		slot->found = member->value;
		slot->found_len = member->len;
		slots->found_any = true;
		return;
	}
	slot->value = member->value;
	slot->len = member->len;
	if (slot->is_object)
		take_found(slots, slot->name);
}

static void
on_member(void *arg, int level, const InqudJsonMember *member)
{
	Slots	   *slots = arg;
	bool		escaped = memchr(member->name, '\\', member->name_len) != NULL;
	int			i = level == 1 ? 0 : slots->ntop;
	int			end = level == 1 ? slots->ntop : slots->n;

	for (; i < end; i++)
	{
		Slot	   *slot = &slots->slots[i];

		/* there may be millions of members */
		if (escaped ? has_escaped_name(member, slot->name) :
			slot->name_len == member->name_len && memcmp(slot->name, member->name, slot->name_len) == 0)
			fill_slot(slots, slot, member);
	}
	if (level == 1 && slots->found_any)
		forget_found(slots);
}

/*
 * Write a value as json-c may see it.  An integer of more than 18 digits gets ".0"
 * behind it, since json-c would make another number of it, but keeps the text of a
 * fraction.
 */
static void
add_value(InqudBuffer *out, const Slot *slot)
{
	size_t		digits = strspn(slot->value, "-0123456789");

	if (*slot->value == '{')
		inqud_buffer_add_text(out, "{}");
	else if (*slot->value == '[' || slot->len > INQUD_JSON_LONGEST)
		inqud_buffer_add_text(out, "[]");
	else
		inqud_buffer_add(out, slot->value, slot->len);
	if (digits == slot->len && digits > 18)
		inqud_buffer_add_text(out, ".0");
}

/* Write the members of one object that were found, or of the top level (NULL). */
static void
add_members(InqudBuffer *out, const Slots *slots, const char *object)
{
	bool		first = true;
	int			i;

	inqud_buffer_add_char(out, '{');
	for (i = 0; i < slots->n; i++)
	{
		const Slot *slot = &slots->slots[i];

		if (slot->value == NULL || slot->object != object)
			continue;
		inqud_buffer_add_text(out, first ? "\"" : ",\"");
		inqud_buffer_add_text(out, slot->name);
		inqud_buffer_add_text(out, "\":");
		first = false;
		if (slot->is_object && *slot->value == '{')
			add_members(out, slots, slot->name);
		else
			add_value(out, slot);
	}
	inqud_buffer_add_char(out, '}');
}

/* Wipe the texts of a value; the scan has bounded how deep it goes. */
static void
wipe_value(json_object *value)
{
	size_t		i;

	if (json_object_is_type(value, json_type_string))
	{
		char	   *text;
		const char *own = json_object_get_string(value);

		/* the object's own memory, which json-c has no function to wipe */
		memcpy(&text, &own, sizeof(text));
		inqud_wipe(text, (size_t) json_object_get_string_len(value));
	}
	else if (json_object_is_type(value, json_type_array))
	{
		for (i = 0; i < json_object_array_length(value); i++)
			wipe_value(json_object_array_get_idx(value, i));
	}
	else if (json_object_is_type(value, json_type_object))
	{
		json_object_object_foreach(value, name, member)
		{
			(void) name;
			wipe_value(member);
		}
	}
}

static void
free_object(json_object *root)
{
	wipe_value(root);
	json_object_put(root);
}

static json_tokener *
new_tokener(size_t len)
{
	json_tokener *tokener;

	/* json-c counts levels differently; the scan has applied our limit */
	tokener = json_tokener_new_ex(INQUD_JSON_MAX_DEPTH + 2);
	if (tokener == NULL)
		return NULL;
	/* room for all at once: growing would leave copies behind */
	if (printbuf_memset(tokener->pb, 0, 0, (int) len + 1) < 0)
	{
		json_tokener_free(tokener);
		return NULL;
	}
	printbuf_reset(tokener->pb);

	/*
	 * Not JSON_TOKENER_STRICT: the scan is stricter, and json-c 0.18 takes
	 * every character beyond ASCII for a control character then.
	 */
	json_tokener_set_flags(tokener, JSON_TOKENER_VALIDATE_UTF8);
	return tokener;
}

static json_object *
parse_json(const char *text, size_t len)
{
	json_tokener *tokener = new_tokener(len);
	json_object *root;

	if (tokener == NULL)
		return NULL;
	root = json_tokener_parse_ex(tokener, text, (int) len);
	if (json_tokener_get_error(tokener) != json_tokener_success)
	{
		free_object(root);
		root = NULL;
	}
	inqud_wipe(tokener->pb->buf, (size_t) tokener->pb->size);
	json_tokener_free(tokener);
	return root;
}

/* The object of what was found; NULL when out of memory, since the grammar is right. */
static json_object *
parse_found(const Slots *slots)
{
	InqudBuffer out;
	json_object *root = NULL;

	inqud_buffer_init(&out, MAX_SLOTS * (INQUD_JSON_LONGEST + 100));
	/* nearly always enough; growing costs copies that are wiped */
	(void) inqud_buffer_reserve(&out, 2000);
	add_members(&out, slots, NULL);
	if (!out.failed)
		root = parse_json(out.data, out.len);
	inqud_buffer_free(&out);
	return root;
}

InqudJson *
inqud_json_read(const char *text, size_t len, const InqudJsonWish *wish, InqudGoOn go_on, InqudJsonEnd *end)
{
	InqudJsonScan scan = {.go_on = go_on};
	Slots		slots = {0};
	InqudJson  *json;

	add_slots(&slots, wish);
	scan.on_member = on_member;
	scan.arg = &slots;
	*end = INQUD_JSON_NONE;
	if (!inqud_json_scan(text, len, &scan))
	{
		if (scan.stopped)
			*end = INQUD_JSON_STOPPED;
		return NULL;
	}
	*end = INQUD_JSON_NO_MEMORY;
	json = calloc(1, sizeof(*json));
	if (json == NULL)
		return NULL;
	json->storable = scan.storable;
	json->values = scan.values;
	if (scan.object)
		json->root = parse_found(&slots);
	if (scan.object && json->root == NULL)
	{
		inqud_json_free(json);
		return NULL;
	}
	*end = INQUD_JSON_READ;
	return json;
}

void
inqud_json_free(InqudJson *json)
{
	if (json == NULL)
		return;
	free_object(json->root);
	inqud_wipe(json, sizeof(*json));
	free(json);
}

bool
inqud_json_is_object(const InqudJson *json)
{
	return json->root != NULL;
}

bool
inqud_json_storable(const InqudJson *json)
{
	return json->storable;
}

size_t
inqud_json_values(const InqudJson *json)
{
	return json->values;
}

/* ---- Single members ---- */

bool
inqud_json_has(const InqudJson *json, const char *name, bool object)
{
	json_object *value;

	return json->root != NULL &&
		json_object_object_get_ex(json->root, name, &value) &&
		(!object || json_object_is_type(value, json_type_object));
}

/* The text of a string, unless a NUL is in it. */
static const char *
string_text(json_object *value)
{
	const char *text = json_object_get_string(value);

	if (text == NULL || strlen(text) != (size_t) json_object_get_string_len(value))
		return NULL;
	return text;
}

static bool
is_number(json_object *value)
{
	return json_object_is_type(value, json_type_int) ||
		json_object_is_type(value, json_type_double);
}

const char *
inqud_json_text(InqudJson *json, const char *name, bool or_number)
{
	json_object *value;

	if (json->root == NULL ||
		!json_object_object_get_ex(json->root, name, &value))
		return NULL;
	if (json_object_is_type(value, json_type_string))
		return string_text(value);
	return or_number && is_number(value) ? json_object_get_string(value) : NULL;
}

/* ---- Fields ---- */

void
inqud_lost_add(InqudLost *lost, const char *object, const char *name)
{
	size_t		room = sizeof(lost->text) - lost->len;
	int			n;

	n = snprintf(lost->text + lost->len, room, "%s%s%s%s",
				 lost->len > 0 ? ", " : "", object != NULL ? object : "",
				 object != NULL ? "." : "", name);
	if (n < 0 || (size_t) n >= room)
		lost->text[lost->len] = '\0';
	else
		lost->len += (size_t) n;
}

static bool
read_text(json_object *value, const InqudField *field, const char **target)
{
	const char *text;

	if (!json_object_is_type(value, json_type_string))
		return false;
	text = string_text(value);
	if (text == NULL || strlen(text) > field->limit)
		return false;
	if (field->type == INQUD_FIELD_TOKEN &&
		!inqud_text_is_token(text, field->limit))
		return false;
	if (field->type == INQUD_FIELD_URL && inqud_check_web_url(text) != NULL)
		return false;
	if (field->required && text[0] == '\0')
		return false;
	*target = text;
	return true;
}

/* A JSON number, or a string that holds one. */
static bool
read_amount(InqudJson *json, json_object *value, const char **target)
{
	const char *text = NULL;
	char	   *plain;

	if (json->namounts == MAX_AMOUNTS)
		return false;
	if (is_number(value))
		text = json_object_get_string(value);
	else if (json_object_is_type(value, json_type_string))
		text = string_text(value);
	plain = json->amounts[json->namounts];
	if (text == NULL || !inqud_number_plain(text, strlen(text), plain) ||
		plain[0] == '-')
		return false;
	json->namounts++;
	*target = plain;
	return true;
}

static bool
read_time(json_object *value, int64_t *target)
{
	const char *text;
	int64_t		usec;

	if (!json_object_is_type(value, json_type_string))
		return false;
	text = string_text(value);
	if (text == NULL || !inqud_time_read(text, strlen(text), &usec))
		return false;
	*target = usec;
	return true;
}

static bool
read_field(InqudJson *json, json_object *value, const InqudField *field,
		   void *target)
{
	switch (field->type)
	{
		case INQUD_FIELD_TEXT:
		case INQUD_FIELD_TOKEN:
		case INQUD_FIELD_URL:
			return read_text(value, field, target);
		case INQUD_FIELD_AMOUNT:
			return read_amount(json, value, target);
		case INQUD_FIELD_TIME:
			return read_time(value, target);
		case INQUD_FIELD_FLAG:
			if (!json_object_is_type(value, json_type_boolean))
				return false;
			*(int *) target = json_object_get_boolean(value) ? 1 : 0;
			return true;
	}
	return false;
}

/* The member of this name if it is an object, else NULL; another shape is noted as lost. */
static json_object *
find_object(json_object *root, const char *name, InqudLost *lost)
{
	json_object *value;

	if (!json_object_object_get_ex(root, name, &value) || value == NULL)
		return NULL;
	if (json_object_is_type(value, json_type_object))
		return value;
	inqud_lost_add(lost, NULL, name);
	return NULL;
}

const char *
inqud_json_fields(InqudJson *json, const InqudField *fields, int nfields,
				  void *target, InqudLost *lost)
{
	const char *missing = NULL;
	json_object *object = json->root;
	int			i;

	for (i = 0; i < nfields; i++)
	{
		const InqudField *field = &fields[i];
		json_object *value = NULL;
		bool		present;
		bool		good;

		if (i > 0 && field->object != fields[i - 1].object)
			object = find_object(json->root, field->object, lost);
		present = object != NULL &&
			json_object_object_get_ex(object, field->name, &value) &&
			value != NULL;
		good = present && read_field(json, value, field,
									 (char *) target + field->offset);
		if (present && !good)
			inqud_lost_add(lost, field->object, field->name);
		if (!good && field->required && missing == NULL)
			missing = field->name;
	}
	return missing;
}

/* ---- Writing ---- */

/* Append the escape of a character that must not stand in a string as it is. */
static bool
add_escaped(InqudBuffer *out, char c)
{
	static const char special[] = "\"\\\b\f\n\r\t";
	static const char letters[] = "\"\\bfnrt";
	const char *found = strchr(special, c);
	char		escape[8];

	if (found != NULL && c != '\0')
		snprintf(escape, sizeof(escape), "\\%c", letters[found - special]);
	else
		snprintf(escape, sizeof(escape), "\\u%04x", (unsigned int) c & 0xff);
	return inqud_buffer_add_text(out, escape);
}

bool
inqud_json_add_string(InqudBuffer *out, const char *text)
{
	const char *start = text;
	const char *p;

	if (!inqud_utf8_valid(text, strlen(text)) || !inqud_buffer_add_char(out, '"'))
		return false;
	for (p = text; *p != '\0'; p++)
	{
		unsigned char c = (unsigned char) *p;

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		if (!inqud_buffer_add(out, start, (size_t) (p - start)) ||
			!add_escaped(out, *p))
			return false;
		start = p + 1;
	}
	return inqud_buffer_add(out, start, (size_t) (p - start)) &&
		inqud_buffer_add_char(out, '"');
}

bool
inqud_json_add_name(InqudBuffer *out, const char *name)
{
	if (out->len > 0 && out->data[out->len - 1] != '{' &&
		!inqud_buffer_add_char(out, ','))
		return false;
	return inqud_json_add_string(out, name) && inqud_buffer_add_char(out, ':');
}

/* Copy JSON text that is known to be good, without the white space in it. */
static bool
add_compact(InqudBuffer *out, const char *text, size_t len)
{
	bool		in_string = false;
	size_t		i;

	for (i = 0; i < len; i++)
	{
		char		c = text[i];

		if (!in_string && (c == ' ' || c == '\t' || c == '\n' || c == '\r'))
			continue;
		if (!inqud_buffer_add_char(out, c))
			return false;
		if (in_string && c == '\\' && i + 1 < len)
		{
			if (!inqud_buffer_add_char(out, text[++i]))
				return false;
		}
		else if (c == '"')
			in_string = !in_string;
	}
	return true;
}

bool
inqud_json_add_members(InqudBuffer *out, const char *object, size_t len)
{
	const char *open = memchr(object, '{', len);
	const char *close = object + len;
	size_t		before;

	while (close > object && close[-1] != '}')
		close--;
	if (open == NULL || close - open < 2)
		return false;
	before = out->len;
	if (before > 0 && out->data[before - 1] != '{' &&
		!inqud_buffer_add_char(out, ','))
		return false;
	if (!add_compact(out, open + 1, (size_t) (close - open) - 2))
		return false;
	/* an empty object adds nothing, not even the comma */
	if (out->len == before + 1 && out->data[before] == ',')
		out->data[--out->len] = '\0';
	return true;
}
