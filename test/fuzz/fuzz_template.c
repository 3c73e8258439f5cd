/*-------------------------------------------------------------------------
 *
 * fuzz_template.c
 *		Any text as a template.  Written again, an accepted one is the same.
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
		for (i = 0; i < tmpl.nparts; i++)
		{
			MUST(tmpl.parts[i].text[0] != '\0');
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
	inqud_buffer_free(&again);
	free(text);
	return 0;
}
