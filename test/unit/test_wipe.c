/*-------------------------------------------------------------------------
 *
 * test_wipe.c
 *		No memory is given back with a key, a signature or a body in it.
 *
 * The program's own free() looks into every block before it lets it go, also
 * those of the libraries below.  (realloc() counts as a free: it may leave the
 * old block behind.)  Built without sanitizers, which have a free() of their
 * own.
 *
 *-------------------------------------------------------------------------
 */
#include <execinfo.h>
#include <malloc.h>

#include "reply.h"
#include "transfers.h"

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void __libc_free(void *memory);

/* What must not be left behind.  Written here with a gap, so that no copy of it is by chance. */
#define MAX_MARKERS 8
static char markers[MAX_MARKERS][100];
static int	nmarkers = 0;
/* the test's server has threads of its own, and keeps what it got */
static __thread volatile bool watching = false;
static int	left_behind[MAX_MARKERS];

static void
look(const char *memory, size_t size)
{
	int			i;

	for (i = 0; i < nmarkers; i++)
	{
		void	   *trace[20];

		if (memmem(memory, size, markers[i], strlen(markers[i])) == NULL)
			continue;
		left_behind[i]++;
		watching = false;
		if (getenv("TRACE") != NULL)
			backtrace_symbols_fd(trace, backtrace(trace, 20), 1);
		watching = true;
	}
}

void *
malloc(size_t size)
{
	return __libc_malloc(size);
}

void *
calloc(size_t n, size_t size)
{
	return __libc_calloc(n, size);
}

void
free(void *memory)
{
	if (memory != NULL && watching)
		look(memory, malloc_usable_size(memory));
	__libc_free(memory);
}

void *
realloc(void *memory, size_t size)
{
	size_t		old = memory != NULL ? malloc_usable_size(memory) : 0;
	void	   *moved = malloc(size);

	if (moved != NULL && memory != NULL)
	{
		memcpy(moved, memory, old < size ? old : size);
		free(memory);
	}
	return moved;
}

static void
watch_for(const char *marker)
{
	snprintf(markers[nmarkers++], sizeof(markers[0]), "%s", marker);
}

/* The check itself must be able to fail. */
static void
test_watch(void)
{
	char	   *block = strdup(markers[0]);
	bool		seen;

	free(block);
	seen = left_behind[0] > 0;
	left_behind[0] = 0;
	ok(seen, "a block that is not wiped is seen");
	block = strdup(markers[0]);
	inqud_wipe(block, strlen(block));
	free(block);
	is_int(left_behind[0], 0, "one that is wiped is not");
}

static void
nothing_left(const char *what)
{
	int			i;

	for (i = 0; i < nmarkers; i++)
	{
		is_int(left_behind[i], 0, what);
		if (left_behind[i] > 0)
			printf("# it was number %d: %s\n", i, markers[i]);
		left_behind[i] = 0;
	}
}

static void
test_requests(void)
{
	int			i;

	for (i = 0; i < 4; i++)
	{
		InqudRequest *request;

		account.auth_signed = i >= 2;
		request = make(i % 2 == 0, "do-ok");
		if (account.auth_signed)
			watch_for(inqud_request_signature(request));
		inqud_request_free(request);
		nothing_left(account.auth_signed ? "a signed request" : "a request");
	}
	account.auth_signed = false;
}

static void
test_transfers(void)
{
	static const char *const words[] = {"do-ok", "do-chunked", "do-error", "do-truncated", "do-reset"};
	size_t		i;

	for (i = 0; i < 2 * sizeof(words) / sizeof(words[0]); i++)
	{
		InqudTransfer *transfer = run(i % 2 == 0, words[i / 2]);

		inqud_transfer_free(transfer);
		nothing_left(words[i / 2]);
	}
	aborts("do-hang", true, "a transfer that is given up");
	nothing_left("a transfer that is given up");
	inqud_engine_free(engine);
	nothing_left("the engine's end");
	engine = inqud_engine_new(50, "inqud-test/1");
}

/* Replies and webhooks whose texts hold markers, escaped and not, in all places. */
static void
test_replies(void)
{
	static const char *const forms[] = {
		"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"name\":\"%s\",\"clientOrderId\":\"%s\"}",
		"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"other\":\"%s\",\"request\":{\"txHash\":\"%s\"}}",
		"{\"id\":\"CCO-1\",\"status\":\"NEW\",\"request\":[[\"%s\",{\"a\":\"x%s\"}],123456789012345678901234567890]}",
		"{\"message\":\"no: %s\",\"code\":\"%s\"}",
		"{\"id\":\"%s\",\"status\":\"%s\\u0000\"}",
		"{\"name\":\"%s\",\"type\":\"%s",
		"[\"%s\", \"%s\"]",
	};
	char		body[5000];
	size_t		i;

	for (i = 0; i < 2 * sizeof(forms) / sizeof(forms[0]); i++)
	{
		const char *secret = markers[0];
		InqudHider *hider;
		InqudReply *reply;
		InqudWebhook webhook;
		InqudResponse response;
		bool		read;

		snprintf(body, sizeof(body), forms[i / 2], markers[0], markers[1]);
		memset(&response, 0, sizeof(response));
		response.progress = INQUD_DONE;
		response.http_status = i % 2 == 0 ? 200 : 422;
		response.body = body;
		response.body_len = strlen(body);
		hider = inqud_hider_new(&secret, 1);
		reply = inqud_reply_read(&response, i % 3 == 0, NULL, hider, NULL);
		inqud_reply_free(reply);
		nothing_left("a reply");
		read = inqud_webhook_read(body, strlen(body), hider, &webhook);
		if (read)
			inqud_webhook_free(&webhook);
		inqud_hider_free(hider);
		nothing_left("a webhook");
		(void) inqud_check_extra(body, strlen(body));
		nothing_left("extra");
	}
}

int
main(void)
{
	char		secret[100];
	char		token[100];
	char		key[500];

	snprintf(secret, sizeof(secret), "marker-%s-secret", "2f8c");
	snprintf(token, sizeof(token), "TKN-%s-marker", "71aa");
	/* long, so that buffers grow while they hold it */
	snprintf(key, sizeof(key), "%s%0400d", secret, 0);
	begin();
	account.token_secret = key;
	account.token_id = token;
	watch_for(secret);
	watch_for(token);
	watch_for("order-1");
	watch_for("CCO-1");
	watching = true;
	test_watch();
	test_requests();
	test_replies();
	test_transfers();
	watching = false;
	return end();
}
