/*-------------------------------------------------------------------------
 *
 * fuzz_url.c
 *		Any text as a URL and as a path.
 *
 * libcurl's own parser is asked too: a base URL that we take for loopback must
 * be loopback to the library that connects.
 *
 *-------------------------------------------------------------------------
 */
#include <strings.h>

#include <curl/curl.h>

#include "client_internal.h"
#include "fuzz.h"

static bool
is_loopback_host(const char *host)
{
	return strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
		strncmp(host, "[::1]", 5) == 0 || strncmp(host, "[0", 2) == 0 ||
		strncmp(host, "[::0", 4) == 0;
}

static void
check_base(const char *url)
{
	CURLU	   *parsed = curl_url();
	char	   *scheme = NULL;
	char	   *host = NULL;
	char	   *user = NULL;

	MUST(parsed != NULL);
	if (curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK)
	{
		MUST(curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK);
		MUST(curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK);
		MUST(strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0);
		MUST(curl_url_get(parsed, CURLUPART_USER, &user, 0) != CURLUE_OK);
		if (strcmp(scheme, "http") == 0)
			MUST(is_loopback_host(host));
		if (inqud_url_host_kind(url) == INQUD_HOST_LOCAL)
			MUST(strcasecmp(host, "localhost") == 0);
	}
	curl_free(scheme);
	curl_free(host);
	curl_free(user);
	curl_url_cleanup(parsed);
}

static void
check_path(const char *path)
{
	static const char *const required[] = {"project", "checkout", NULL};
	InqudBuffer url;

	if (inqud_check_path_template(path, required) != NULL)
		return;
	inqud_buffer_init(&url, 8192);
	MUST(inqud_url_build(&url, "https://a.example", path, "CAP-1", "CCO /?#{project}"));
	MUST(strchr(url.data, '{') == NULL && strchr(url.data, '?') == NULL);
	MUST(strstr(url.data, "CAP-1") != NULL);
	MUST(strstr(url.data, "CCO%20%2F%3F%23%7Bproject%7D") != NULL);
	inqud_buffer_free(&url);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *text = to_text(data, size);

	if (inqud_check_base_url(text) == NULL)
	{
		MUST(inqud_check_web_url(text) == NULL);
		check_base(text);
	}
	else
		(void) inqud_check_web_url(text);
	(void) inqud_url_host_kind(text);
	check_path(text);
	free(text);
	return 0;
}
