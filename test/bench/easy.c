/*
 * easy.c URL N
 *		A bare libcurl easy loop: N times the same GET over one kept handle.
 *		Prints "seconds cpu-seconds".
 */
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "pool.h"

static char body[BODY_SIZE];
static size_t len;

static size_t
on_body(char *data, size_t size, size_t n, void *arg)
{
	(void) size;
	(void) arg;
	if (len + n >= sizeof(body))
		return 0;
	memcpy(body + len, data, n);
	len += n;
	return n;
}

int
main(int argc, char **argv)
{
	struct curl_slist *headers = NULL;
	CURL	   *easy;
	double		began;
	double		cpu;
	long		n;
	long		i;

	if (argc != 3)
		die("usage: easy URL N");
	n = number(argv[2]);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	easy = curl_easy_init();
	headers = curl_slist_append(headers, "Accept: application/json");
	headers = curl_slist_append(headers, "X-Token-API-ID: TKN-bench");
	headers = curl_slist_append(headers, "X-Token-API-Secret: secret");
	curl_easy_setopt(easy, CURLOPT_URL, argv[1]);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	began = now_s();
	cpu = own_cpu_s();
	for (i = 0; i < n; i++)
	{
		CURLcode	code;

		len = 0;
		code = curl_easy_perform(easy);
		if (code != CURLE_OK)
			die("%s", curl_easy_strerror(code));
	}
	printf("%.6f %.6f\n", now_s() - began, own_cpu_s() - cpu);
	return 0;
}
