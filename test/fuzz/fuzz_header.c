/*-------------------------------------------------------------------------
 *
 * fuzz_header.c
 *		Any bytes as a Retry-After, as a header line, and as an error's text.
 *
 *-------------------------------------------------------------------------
 */
#include "client_internal.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	InqudReceiver receiver = {0};
	char		clean[64];
	char	   *text = to_text(data, size);
	size_t		limit = size > 0 ? data[0] % sizeof(clean) + 1 : 1;
	int64_t		ms = inqud_retry_after_read(text, size, INT64_C(784111777));
	size_t		len;

	MUST(ms >= -1 && ms <= INT64_C(86400000));
	inqud_receiver_reset(&receiver, false, 100);
	(void) inqud_on_header(text, 1, size, &receiver);
	MUST(receiver.retry_after_ms >= -1 && receiver.retry_after_ms <= INT64_C(86400000));
	(void) inqud_on_body(text, 1, size, &receiver);
	MUST(receiver.body.len <= 100);
	inqud_buffer_free(&receiver.body);
	len = inqud_text_clean(clean, limit, text, size);
	MUST(len < limit && clean[len] == '\0' && strlen(clean) == len);
	MUST(inqud_utf8_valid(clean, len));
	free(text);
	return 0;
}
