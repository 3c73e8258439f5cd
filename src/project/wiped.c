/*-------------------------------------------------------------------------
 *
 * wiped.c
 *		Copies of a user mapping's texts, which are wiped when their memory context
 *		is reset or deleted.
 *
 * Every copy of a secret in src/project must be made here or registered here before
 * it is filled.
 *
 *-------------------------------------------------------------------------
 */
#include "project/project.h"

#include "catalog/pg_type.h"
#include "utils/array.h"

/* A registered piece of memory. */
typedef struct WipeLater
{
	MemoryContextCallback callback;
	void	   *memory;
	Size		len;
} WipeLater;

static void
wipe_callback(void *arg)
{
	WipeLater  *later = arg;

	inqud_wipe(later->memory, later->len);
}

void
inqud_wipe_with(MemoryContext context, void *memory, Size len)
{
	WipeLater  *later = MemoryContextAlloc(context, sizeof(WipeLater));

	later->memory = memory;
	later->len = len;
	later->callback.func = wipe_callback;
	later->callback.arg = later;
	MemoryContextRegisterResetCallback(context, &later->callback);
}

char *
inqud_wiped_copy(MemoryContext context, const char *text, Size len)
{
	char	   *copy = MemoryContextAlloc(context, len + 1);

	inqud_wipe_with(context, copy, len);
	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

/* Not untransformRelOptions(): it leaves copies of the values in memory that cannot be wiped. */
InqudOptionText *
inqud_option_texts(Datum options, int *count)
{
	ArrayType  *array = DatumGetArrayTypePCopy(options);
	Datum	   *elements;
	InqudOptionText *result;

	inqud_wipe_with(CurrentMemoryContext, array, VARSIZE(array));
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, NULL, count);
	result = palloc0(sizeof(InqudOptionText) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
	{
		text	   *element = (text *) DatumGetPointer(elements[i]);
		char	   *copy = inqud_wiped_copy(CurrentMemoryContext,
											VARDATA_ANY(element),
											VARSIZE_ANY_EXHDR(element));
		char	   *equals = strchr(copy, '=');

		result[i].name = copy;
		if (equals)
			*equals = '\0';
		result[i].value = equals ? equals + 1 : copy + strlen(copy);
	}
	return result;
}
