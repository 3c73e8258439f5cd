/*-------------------------------------------------------------------------
 *
 * fuzz_header.c
 *		Any bytes as the lines of a head, as a body, and as an error's text.
 *
 *-------------------------------------------------------------------------
 */
#include "client_internal.h"
#include "fuzz.h"

/* Line by line, as libcurl hands them out. */
static void
check_head(char *text, size_t size)
{
	InqudReceiver receiver = {0};
	size_t		done = 0;
	size_t		taken = 0;

	inqud_receiver_reset(&receiver, false, 100);
	while (done < size)
	{
		char	   *end = memchr(text + done, '\n', size - done);
		size_t		len = end != NULL ? (size_t) (end - (text + done)) + 1 : size - done;

		taken = inqud_on_header(text + done, 1, len, &receiver);
		MUST(taken == len || (taken == 0 && receiver.too_large));
		done += len;
	}
	MUST(receiver.header_bytes == size);
	MUST(receiver.too_large == (size > 64 * 1024));
	receiver.too_large = false;
	(void) inqud_on_body(text, 1, size, &receiver);
	MUST(receiver.body.len <= 100 && receiver.too_large == (size > 100));
	inqud_buffer_free(&receiver.body);
}

static void
check_clean(const char *text, size_t size)
{
	char		clean[64];
	char		again[64];
	size_t		limit = size > 0 ? (uint8_t) text[0] % sizeof(clean) + 1 : 1;
	size_t		len = inqud_text_clean(clean, limit, text, size);

	MUST(len < limit && clean[len] == '\0' && strlen(clean) == len);
	MUST(inqud_utf8_valid(clean, len));
	MUST(strpbrk(clean, "\r\n\t\033\177") == NULL);
	/* what is clean stays as it is */
	MUST(inqud_text_clean(again, sizeof(again), clean, len) == len);
	MUST(memcmp(again, clean, len) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text = to_text(data, size);

	check_head(text, size);
	check_clean(text, size);
	free(text);
	return 0;
}
