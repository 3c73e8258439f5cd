/*
 * answer.h
 *		What the contender makes of an answer: it is parsed with json-c and
 *		compared with the order before anything is written.
 */
#ifndef ANSWER_H
#define ANSWER_H

#include <json-c/json.h>

/* A parsed answer; ends the program unless it is one to this order. */
extern json_object *answer_open(const char *text, const char *project_id,
								const char *order_id, const char *amount);

/* The text of a member, or of a member of "request"; NULL where it is null. */
extern const char *answer_text(json_object *answer, const char *object, const char *key);

/* Texts as a literal of an array, such as {"a",NULL,"b"}. */
typedef struct TextArray
{
	char	   *text;
	size_t		len;
	size_t		size;
} TextArray;

extern void array_add(TextArray *array, const char *value);

/* The literal; it holds until the next value is added, which begins anew. */
extern const char *array_close(TextArray *array);

#endif
