/*-------------------------------------------------------------------------
 *
 * fuzz_header.c
 *		Any bytes as a Retry-After, as the lines of a head, and as an error's
 *		text.
 *
 *-------------------------------------------------------------------------
 */
#include <strings.h>

#include <curl/curl.h>

#include "client_internal.h"
#include "fuzz.h"

#define NOW INT64_C(784111777)	/* Sun, 06 Nov 1994 08:49:37 GMT */
#define DAY_MS INT64_C(86400000)

static int64_t
clamp(int64_t ms)
{
	return ms < 0 ? 0 : ms > DAY_MS ? DAY_MS : ms;
}

/* libcurl wants a weekday that is one, and knows no leap second. */
static bool
is_curls_kind(const char *text)
{
	static const char days[] = "monday tuesday wednesday thursday friday saturday sunday";
	const char *day;
	size_t		len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

	for (day = days; day != NULL; day = strchr(day, ' '))
	{
		day += *day == ' ';
		if ((len == 3 || len == strcspn(day, " ")) && strncasecmp(day, text, len) == 0)
			return strstr(text, ":60") == NULL;
	}
	return false;
}

/* Seconds and dates must be what the C library and libcurl take them for. */
static void
check_retry_after(const char *text, size_t size)
{
	int64_t		ms = inqud_retry_after_read(text, size, NOW);
	int64_t		seconds;

	MUST(ms >= -1 && ms <= DAY_MS);
	MUST(inqud_retry_after_read(text, size, NOW) == ms);
	if (size > 0 && strspn(text, "0123456789") == size)
	{
		seconds = size > 12 && strspn(text, "0") < size - 12 ? DAY_MS :
			(int64_t) strtoll(text, NULL, 10);
		MUST(ms == clamp(seconds > DAY_MS ? DAY_MS : seconds * 1000));
	}
	else if (inqud_http_date_read(text, size, &seconds))
	{
		MUST(ms == clamp(seconds - NOW > DAY_MS ? DAY_MS : (seconds - NOW) * 1000));
		/* libcurl takes a year 70 for 2070, and newer releases 0079 for 1979 */
		if (seconds >= INT64_C(31536000) && curl_getdate(text, NULL) > 0 && is_curls_kind(text))
			MUST(curl_getdate(text, NULL) == (time_t) seconds);
	}
}

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
		MUST(receiver.retry_after_ms >= -1 && receiver.retry_after_ms <= DAY_MS);
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

	check_retry_after(text, size);
	check_head(text, size);
	check_clean(text, size);
	free(text);
	return 0;
}
