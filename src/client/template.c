/*-------------------------------------------------------------------------
 *
 * template.c
 *		Templates of the order trigger: text with {column} in it.
 *
 * Only cuts a template into parts; what a column holds is the caller's.  A
 * column's value must never be read as a template again.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "client_internal.h"

#ifdef POSTGRES_H
#error "src/client must not include postgres.h"
#endif

/* A template is an argument that somebody typed; this is far beyond any. */
#define MAX_TEMPLATE 10000

static const char *const out_of_memory = "out of memory";

/* Append one part; takes "len" bytes of "text". */
static const char *
add_part(InqudTemplate *tmpl, bool is_column, const char *text, size_t len)
{
	InqudTemplatePart *part = &tmpl->parts[tmpl->nparts];

	part->text = malloc(len + 1);
	if (part->text == NULL)
		return out_of_memory;
	if (len > 0)
		memcpy(part->text, text, len);
	part->text[len] = '\0';
	part->is_column = is_column;
	tmpl->nparts++;
	return NULL;
}

/* Literal text up to the next placeholder, braces halved into "scratch". */
static const char *
read_literal(const char **source, char *scratch, size_t *len)
{
	const char *p = *source;

	*len = 0;
	while (*p != '\0')
	{
		if (*p == '{' && p[1] != '{')
			break;
		if (*p == '}' && p[1] != '}')
			return "has a \"}\" without \"{\"";
		if (*p == '{' || *p == '}')
			p++;
		scratch[(*len)++] = *p++;
	}
	*source = p;
	return NULL;
}

/* "{column}" at *source. */
static const char *
read_column(const char **source, InqudTemplate *tmpl)
{
	const char *name = *source + 1;
	size_t		len = strcspn(name, "{}");

	if (name[len] != '}')
		return "has a \"{\" without \"}\"";
	if (len == 0)
		return "has an empty placeholder";
	*source = name + len + 1;
	return add_part(tmpl, true, name, len);
}

static const char *
read_parts(const char *source, char *scratch, InqudTemplate *tmpl)
{
	const char *why;
	size_t		len;

	while (*source != '\0')
	{
		if (*source == '{' && source[1] != '{')
			why = read_column(&source, tmpl);
		else
		{
			why = read_literal(&source, scratch, &len);
			if (why == NULL)
				why = add_part(tmpl, false, scratch, len);
		}
		if (why != NULL)
			return why;
	}
	return NULL;
}

const char *
inqud_template_read(const char *source, InqudTemplate *out)
{
	size_t		len = strlen(source);
	size_t		nparts = 1;
	char	   *scratch;
	const char *p;
	const char *why;

	memset(out, 0, sizeof(*out));
	if (len > MAX_TEMPLATE)
		return "is too long";
	/* each brace begins at most one placeholder and one text behind it */
	for (p = strchr(source, '{'); p != NULL; p = strchr(p + 1, '{'))
		nparts += 2;
	scratch = malloc(len + 1);
	out->parts = calloc(nparts, sizeof(*out->parts));
	if (scratch == NULL || out->parts == NULL)
		why = out_of_memory;
	else
		why = read_parts(source, scratch, out);
	free(scratch);
	if (why != NULL)
	{
		inqud_template_free(out);
		return why;
	}
	out->single_column = out->nparts == 1 && out->parts[0].is_column;
	return NULL;
}

void
inqud_template_free(InqudTemplate *tmpl)
{
	int			i;

	for (i = 0; i < tmpl->nparts; i++)
		free(tmpl->parts[i].text);	/* NOLINT(clang-analyzer-*): no parts, nparts is 0 */
	free(tmpl->parts);
	memset(tmpl, 0, sizeof(*tmpl));
}
