/*-------------------------------------------------------------------------
 *
 * fuzz_template.c
 *		Any text as a template.  Written again, an accepted one is the same;
 *		what is refused has a brace out of place.
 *
 *-------------------------------------------------------------------------
 */
#include "client_internal.h"
#include "fuzz.h"

static void
write_literal(InqudBuffer *out, const char *text)
{
	for (; *text != '\0'; text++)
	{
		inqud_buffer_add_char(out, *text);
		if (*text == '{' || *text == '}')
			inqud_buffer_add_char(out, *text);
	}
}

/* Are all braces pairs, placeholders aside? */
static bool
is_well_formed(const char *text)
{
	while (*text != '\0')
	{
		size_t		name = strcspn(text + 1, "{}");

		if ((*text == '{' || *text == '}') && text[1] == *text)
			text += 2;
		else if (*text == '}' || (*text == '{' && (name == 0 || text[name + 1] != '}')))
			return false;
		else
			text += *text == '{' ? name + 2 : 1;
	}
	return true;
}

static void
check_part(const InqudTemplatePart *part)
{
	MUST(part->text[0] != '\0');
	MUST(!part->is_column || strpbrk(part->text, "{}") == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text = to_text(data, size);
	InqudTemplate tmpl;
	InqudBuffer again;
	int			i;

	inqud_buffer_init(&again, size + 2);
	if (inqud_template_read(text, &tmpl) == NULL)
	{
		MUST(tmpl.single_column == (tmpl.nparts == 1 && tmpl.parts[0].is_column));
		for (i = 0; i < tmpl.nparts; i++)
		{
			check_part(&tmpl.parts[i]);
			if (tmpl.parts[i].is_column)
			{
				inqud_buffer_add_char(&again, '{');
				inqud_buffer_add_text(&again, tmpl.parts[i].text);
				inqud_buffer_add_char(&again, '}');
			}
			else
				write_literal(&again, tmpl.parts[i].text);
		}
		MUST(!again.failed);
		MUST(strcmp(again.data != NULL ? again.data : "", text) == 0);
		inqud_template_free(&tmpl);
	}
	else
	{
		MUST(tmpl.parts == NULL && tmpl.nparts == 0);
		MUST(!is_well_formed(text) || strlen(text) > 10000);
	}
	inqud_buffer_free(&again);
	free(text);
	return 0;
}
