/*-------------------------------------------------------------------------
 *
 * template.c
 *		Templates of the order trigger: text with {column} in it.
 *
 * Only cuts a template into parts; the caller fills in the columns.  A column's
 * value must never be read as a template.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "client_internal.h"

/* Templates are typed by hand; none needs so many bytes. */
#define MAX_TEMPLATE 10000

/*
 * A literal text up to the next placeholder, its braces halved, goes to *out.  What
 * is written is never longer than what was read, its NUL included: behind a literal
 * text comes a placeholder, whose braces are not written, or the end.
 */
static const char *
read_literal(const char **source, char **out)
{
	const char *p = *source;

	while (*p != '\0')
	{
		if (*p == '{' && p[1] != '{')
			break;
		if (*p == '}' && p[1] != '}')
			return "has a \"}\" without \"{\"";
		if (*p == '{' || *p == '}')
			p++;
		*(*out)++ = *p++;
	}
	*source = p;
	return NULL;
}

/* The name in "{column}" goes to *out. */
static const char *
read_column(const char **source, char **out)
{
	const char *name = *source + 1;
	size_t		len = strcspn(name, "{}");

	if (name[len] != '}')
		return "has a \"{\" without \"}\"";
	if (len == 0)
		return "has an empty placeholder";
	memcpy(*out, name, len);
	*out += len;
	*source = name + len + 1;
	return NULL;
}

static const char *
read_parts(const char *source, InqudTemplate *tmpl)
{
	char	   *out = tmpl->text;
	const char *why;

	while (*source != '\0')
	{
		InqudTemplatePart *part = &tmpl->parts[tmpl->nparts++];

		part->is_column = *source == '{' && source[1] != '{';
		part->text = out;
		why = part->is_column ? read_column(&source, &out) : read_literal(&source, &out);
		if (why != NULL)
			return why;
		*out++ = '\0';
	}
	return NULL;
}

const char *
inqud_template_read(const char *source, InqudTemplate *out)
{
	size_t		len = strlen(source);
	size_t		nparts = 1;
	const char *p;
	const char *why = "out of memory";

	memset(out, 0, sizeof(*out));
	if (len > MAX_TEMPLATE)
		return "is too long";
	/* each brace begins at most one placeholder and one text behind it */
	for (p = strchr(source, '{'); p != NULL; p = strchr(p + 1, '{'))
		nparts += 2;
	out->text = malloc(len + 1);
	out->parts = calloc(nparts, sizeof(*out->parts));
	if (out->text != NULL && out->parts != NULL)
		why = read_parts(source, out);
	if (why != NULL)
		inqud_template_free(out);
	out->single_column = out->nparts == 1 && out->parts[0].is_column;
	return why;
}

void
inqud_template_free(InqudTemplate *tmpl)
{
	free(tmpl->parts);
	free(tmpl->text);
	memset(tmpl, 0, sizeof(*tmpl));
}
