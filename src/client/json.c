/*-------------------------------------------------------------------------
 *
 * json.c
 *		Reading JSON through tables of fields, and writing it.
 *
 * The only file that includes json-c.  Nothing is parsed that json_scan.c has
 * not found good, and no number leaves here except as text: json-c's own
 * conversions to integer and double must not be used.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "client_internal.h"

#ifdef POSTGRES_H
#error "src/client must not include postgres.h"
#endif

_Static_assert(JSON_C_VERSION_NUM >= ((0 << 16) | (16 << 8)),
			   "json-c 0.16 or later is needed: earlier ones lack its check of UTF-8");

/* Amounts of one reply that keep their plain text here; a table has fewer. */
#define MAX_AMOUNTS 8

struct InqudJson
{
	json_object *root;			/* NULL unless the text is an object */
	bool		storable;
	int			namounts;
	char		amounts[MAX_AMOUNTS][INQUD_NUMBER_MAX];
};

/* ---------------------------------------------------------------------
 * Parsing
 * ---------------------------------------------------------------------
 */

/* Text that is known to hold a value. */
static const char *
skip_space(const char *text)
{
	while (strchr(" \t\r\n", *text) != NULL)
		text++;
	return text;
}

/* A copy in the making that holds the wanted members only. */
typedef struct Choosing
{
	const char *const *wanted;
	InqudBuffer out;
} Choosing;

/* A name with an escape in it may be any, so it is wanted. */
static bool
is_wanted(const char *const *wanted, const char *name, size_t len)
{
	if (wanted == NULL || memchr(name, '\\', len) != NULL)
		return true;
	for (; *wanted != NULL; wanted++)
	{
		if ((*wanted)[0] == name[0] && strncmp(*wanted, name, len) == 0 &&
			(*wanted)[len] == '\0')
			return true;
	}
	return false;
}

static void
choose(void *arg, const char *member, size_t name_len, size_t len)
{
	Choosing   *c = arg;

	if (!is_wanted(c->wanted, member + 1, name_len - 2))
		return;
	inqud_buffer_add_char(&c->out, c->out.len == 0 ? '{' : ',');
	inqud_buffer_add(&c->out, member, len);
}

/* Another copy, in which flaws are mended. */
typedef struct Mending
{
	const char *text;
	size_t		copied;
	InqudBuffer out;
} Mending;

/*
 * A long integer gets ".0" behind it, since json-c keeps the text of a
 * fraction; a NUL in a name becomes the replacement character, so that the
 * name stays different from any other.
 */
static void
mend(void *arg, InqudJsonFlaw flaw, size_t offset)
{
	Mending    *m = arg;

	inqud_buffer_add(&m->out, m->text + m->copied, offset - m->copied);
	m->copied = offset;
	if (flaw == INQUD_JSON_LONG_INTEGER)
		inqud_buffer_add_text(&m->out, ".0");
	else
	{
		inqud_buffer_add_text(&m->out, "fffd");
		m->copied += 4;
	}
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

		/* its own memory, which it has no other way to wipe */
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
parse(const char *text, size_t len)
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

static json_object *
parse_mended(const char *text, size_t len, size_t flaws)
{
	Mending		m;
	InqudJsonScan scan = {0};
	json_object *root = NULL;

	m.text = text;
	m.copied = 0;
	inqud_buffer_init(&m.out, len + 2 * flaws);
	scan.on_flaw = mend;
	scan.arg = &m;
	if (inqud_json_scan(text, len, &scan) &&
		inqud_buffer_add(&m.out, text + m.copied, len - m.copied))
		root = parse(m.out.data, m.out.len);
	inqud_buffer_free(&m.out);
	return root;
}

/* The object of the chosen members; NULL when out of memory. */
static json_object *
parse_chosen(Choosing *c, size_t flaws)
{
	if (c->out.len == 0)
		inqud_buffer_add_char(&c->out, '{');
	if (!inqud_buffer_add_char(&c->out, '}'))
		return NULL;
	return flaws == 0 ? parse(c->out.data, c->out.len) :
		parse_mended(c->out.data, c->out.len, flaws);
}

InqudJson *
inqud_json_read(const char *text, size_t len, const char *const *wanted,
				bool *no_memory)
{
	InqudJsonScan scan = {0};
	Choosing	c;
	InqudJson  *json = NULL;

	*no_memory = false;
	c.wanted = wanted;
	inqud_buffer_init(&c.out, len + 2);
	scan.on_member = choose;
	scan.arg = &c;
	/* without the room choosing fails, and that is told below */
	(void) inqud_buffer_reserve(&c.out, len + 2);
	if (inqud_json_scan(text, len, &scan))
	{
		json = calloc(1, sizeof(*json));
		*no_memory = json == NULL;
	}
	if (json != NULL)
	{
		json->storable = scan.storable;
		if (*skip_space(text) == '{')
		{
			json->root = parse_chosen(&c, scan.flaws);
			/* the grammar is right, so only memory can be missing */
			*no_memory = json->root == NULL;
		}
	}
	inqud_buffer_free(&c.out);
	if (*no_memory)
	{
		inqud_json_free(json);
		json = NULL;
	}
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

/* ---------------------------------------------------------------------
 * Single members
 * ---------------------------------------------------------------------
 */

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

/* ---------------------------------------------------------------------
 * Fields
 * ---------------------------------------------------------------------
 */

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

/* A member that may be an object; another shape is lost, once. */
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

/* ---------------------------------------------------------------------
 * Writing
 * ---------------------------------------------------------------------
 */

/* One character that cannot stand in a string as it is. */
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
