/*
 * answer.c
 *		Answers of the API, and arrays of texts: see answer.h.
 */
#include "answer.h"

#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* Length without noughts at the end of a fraction; no amount is ever a double. */
static size_t
amount_length(const char *amount)
{
	size_t		len = strlen(amount);

	if (strchr(amount, '.') == NULL)
		return len;
	while (amount[len - 1] == '0')
		len--;
	return amount[len - 1] == '.' ? len - 1 : len;
}

static bool
same_amount(const char *a, const char *b)
{
	size_t		len = amount_length(a);

	return len == amount_length(b) && memcmp(a, b, len) == 0;
}

json_object *
answer_open(const char *text, const char *project_id, const char *order_id, const char *amount)
{
	json_object *answer = json_tokener_parse(text);
	const char *project = answer_text(answer, NULL, "projectId");
	const char *order = answer_text(answer, NULL, "clientOrderId");
	const char *fixed = answer_text(answer, "fixedAmount", "amount");

	if (project == NULL || strcmp(project, project_id) != 0 || order == NULL ||
		strcmp(order, order_id) != 0 || fixed == NULL || !same_amount(fixed, amount))
		die("not the answer for order %s: %s", order_id, text);
	return answer;
}

const char *
answer_text(json_object *answer, const char *object, const char *key)
{
	json_object *value = answer;

	if (object != NULL && !json_object_object_get_ex(answer, object, &value))
		return NULL;
	/* a number comes as the API wrote it */
	return json_object_object_get_ex(value, key, &value) ? json_object_get_string(value) : NULL;
}

static void
append(TextArray *array, const char *data, size_t len)
{
	if (array->len + len + 1 > array->size)
	{
		array->size = (array->len + len + 1) * 2;
		array->text = realloc(array->text, array->size);
		if (array->text == NULL)
			die("out of memory");
	}
	memcpy(array->text + array->len, data, len);
	array->len += len;
	array->text[array->len] = '\0';
}

void
array_add(TextArray *array, const char *value)
{
	append(array, array->len == 0 ? "{" : ",", 1);
	if (value == NULL)
	{
		append(array, "NULL", 4);
		return;
	}
	append(array, "\"", 1);
	for (;;)
	{
		size_t		plain = strcspn(value, "\"\\");

		append(array, value, plain);
		value += plain;
		if (*value == '\0')
			break;
		append(array, "\\", 1);
		append(array, value++, 1);
	}
	append(array, "\"", 1);
}

const char *
array_close(TextArray *array)
{
	append(array, "}", 1);
	array->len = 0;
	return array->text;
}
