/*-------------------------------------------------------------------------
 *
 * test_hide.c
 *		Replies and webhooks that repeat a secret.
 *
 *-------------------------------------------------------------------------
 */
#include "crypto.h"
#include "reply.h"

#define KEY "k\"e/y-\xc3\xa4\xf0\x9f\x94\x91-0123456789"
#define STARS "*****"

#define SECRET "secret-0123456789"
#define LEN 17

/* Make one asterisk of several in a row. */
static void
collapse(char *text)
{
	char	   *out = text;

	for (; *text != '\0'; text++)
	{
		if (*text != '*' || text[1] != '*')
			*out++ = *text;
	}
	*out = '\0';
}

/* A secret and a text, plain or JSON, and what is shown of it, with one asterisk for several. */
static void
shown(const char *secret, const char *text, bool json, const char *expected)
{
	InqudHider *hider = inqud_hider_new(&secret, 1);
	char	   *copy = strdup(text);
	InqudHidden hidden = json ? inqud_hide_json(hider, copy, strlen(copy), NULL) :
		inqud_hide_text(hider, copy, strlen(copy), NULL);

	if (expected == NULL)
		is_int(hidden, INQUD_HIDDEN_NOT, text);
	else
	{
		is_int((long long) strlen(copy), (long long) strlen(text), "a text keeps its length");
		collapse(copy);
		is(copy, expected, text);
		is_int(hidden, strcmp(text, expected) == 0 ? INQUD_HIDDEN_NOTHING : INQUD_HIDDEN_ALL, "... as it says");
		if (!json)
			is_int(inqud_hider_finds(hider, text), strlen(secret) >= 8 && strcmp(text, expected) != 0,
				   "... as without hiding");
	}
	inqud_hider_free(hider);
	free(copy);
}

static void
test_encodings(void)
{
	shown("abab", "xababababx", false, "x*x");
	shown("abab", "xabaXababa", false, "xabaX*a");
	shown("k/y \"%", "k/y \"%", false, "*");
	shown("k/y \"%", "k%2Fy%20%22%25.", false, "*.");
	shown("k/y \"%", "%6b/%79 \"%", false, "*");
	shown("k/y \"%", "%6B%2fy%20%22$2", false, "%6B%2fy%20%22$2");
	shown("k/y \"%", "k\\/y \\u0022%.", false, "*.");
	shown("k/y \"%", "k\\/y \\\"\\u0025", false, "*");
	shown("k/y \"%", "k\\/y%20\\u0022%25", false, "*");
	shown("k/y \"%", "k/y \"%k%2Fy \"%%6", false, "*%6");
	shown("a%20b%41", "a%20b%41", false, "*");
	shown("a%20b%41", "a%2520b%2541", false, "*");
	shown("\\u0041\\n-", "\\u0041\\n-", false, "*");
	shown("\xc3\xa4\xf0\x9f\x94\x91", "\\u00e4\\uD83D\\udd11\\ud83d", false, "*\\ud83d");
	shown("\xc3\xa4\xf0\x9f\x94\x91", "%c3%A4\xf0%9f%94%91%", false, "*%");
	/* JSON: in strings alone, whole characters of them, and once more escaped in them */
	shown("k/y \"%---", "{\"a\":\"k\\/y \\\"%---\"}", true, "{\"a\":\"*\"}");
	shown("k/y \"%---", "{\"a\":\"k%2fy \\u0022%25---\",\"b\":\"%\"}", true, "{\"a\":\"*\",\"b\":\"%\"}");
	shown("k/y \"%---", "{\"a\":\"{\\\"b\\\":\\\"k\\\\/y \\\\\\\"%---\\\"}\"}", true, "{\"a\":\"{\\\"b\\\":\\\"*\\\"}\"}");
	shown("k/y \"%---", "{\"a\":\"k\\\\u002fy \\u005c\\u0022%---\"}", true, "{\"a\":\"*\"}");
	shown("u00e4bcd1", "{\"a\":\"\\u00e4bcd1\"}", true, "{\"a\":\"\\u00e4bcd1\"}");
	shown("nbcdefgh", "{\"a\":\"\\nbcdefgh\"}", true, "{\"a\":\"\\nbcdefgh\"}");
	shown("12345678", "{\"a\":\"12345678\",\"b\":812345678}", true, NULL);
	shown("abc\":\"def", "{\"abc\":\"def\"}", true, NULL);
	shown("abcdefg%", "{\"a\":\"abcdefg%\",\"b\":\"4\"}", true, "{\"a\":\"*\",\"b\":\"4\"}");
	shown("abcdefg", "{\"a\":\"abcdefg\"}", true, "{\"a\":\"abcdefg\"}");
}

/* Two secrets that overlap in a text: what belongs to either is hidden. */
static void
test_overlap(void)
{
	static const char body[] = "{\"message\":\"<abcdefghijkl> <abcdefg> <ghijkl>\"}";
	static const char mark[] = "{\"message\":\"<abc\\u200edef>\"}";
	InqudReply *reply = read_hiding(400, body, strlen(body), true, NULL, "abcdefgh", "fghijkl");

	is(inqud_reply_message(reply), "<************> <abcdefg> <ghijkl>", "secrets that overlap");
	inqud_reply_free(reply);
	reply = read_hiding(400, body, strlen(body), true, NULL, "abcdefghijkl", "efg");
	is(inqud_reply_message(reply), "<************> <abcd***> <ghijkl>", "one within the other");
	inqud_reply_free(reply);
	/* a character that is left out for people belongs to this secret */
	reply = read_hiding(400, mark, strlen(mark), true, NULL, "abc\xe2\x80\x8e""def", NULL);
	is(inqud_reply_message(reply), "<*********>", "a secret with a mark that is not shown");
	inqud_reply_free(reply);
}

/* The message or code of an error whose text is "before" and what follows it. */
static InqudReply *
read_error(const char *member, int before, const char *middle, const char *behind)
{
	char		body[2000];

	snprintf(body, sizeof(body), "{\"%s\":\"%0*d%s%s\"}", member, before, 0, middle, behind);
	return read_hiding(422, body, strlen(body), true, NULL, SECRET, NULL);
}

/*
 * A guess, right or wrong, that ends "beyond" bytes behind the cut at "cut": is it
 * shown as it came?
 */
static bool
as_it_came(const char *member, int cut, const char *guess, int beyond, const char *behind)
{
	int			before = cut + beyond - (int) strlen(guess);
	InqudReply *reply = read_error(member, before, guess, behind);
	const char *text = strcmp(member, "code") == 0 ? inqud_reply_code(reply) : inqud_reply_message(reply);
	char		expected[2000];
	bool		same;

	snprintf(expected, sizeof(expected), "%0*d%s%s", before, 0, guess, behind);
	if ((int) strlen(expected) > cut)
		expected[cut] = '\0';
	same = strcmp(text, expected) == 0;
	inqud_reply_free(reply);
	return same;
}

/* What is shown must not depend on whether a part of the secret stands at a cut. */
static void
test_guesses(const char *member, int cut)
{
	static const char *const behind[] = {"", "#", "##################################################"};
	int			wrong = 0;
	int			len;
	int			beyond;
	size_t		i;

	for (len = 1; len < LEN; len++)
	{
		for (beyond = -3; beyond < len; beyond++)
		{
			for (i = 0; i < 3; i++)
			{
				char		guess[LEN + 1] = SECRET;

				guess[len] = '\0';
				wrong += !as_it_came(member, cut, guess, beyond, behind[i]);
				wrong += !as_it_came(member, cut, &SECRET[LEN - len], beyond, behind[i]);
				guess[len - 1] = '!';
				wrong += !as_it_came(member, cut, guess, beyond, behind[i]);
			}
		}
	}
	ok(wrong == 0, "%s: a guess is shown as it came, be it right or wrong (%d were not)", member, wrong);
}

/* The whole secret is hidden wherever the cut falls, however it is written. */
static void
test_whole(const char *member, int cut)
{
	static const char *const forms[] = {SECRET, "secret\\u002d0123456789", "%73ecret-0123456789", "secret-012345678\\\\u0039", "sec\\u200eret-0123456789"};
	int			wrong = 0;
	int			before;
	size_t		i;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
	{
		for (before = cut - 30; before <= cut; before++)
		{
			InqudReply *reply = read_error(member, before, forms[i], "##");
			const char *text = strcmp(member, "code") == 0 ? inqud_reply_code(reply) : inqud_reply_message(reply);

			if (strspn(text, "0*#") != strlen(text) || (int) strspn(text, "0") < before - 1 || strlen(text) > (size_t) cut)
				wrong++;
			inqud_reply_free(reply);
		}
	}
	ok(wrong == 0, "%s: a whole secret is hidden wherever the cut is (%d times it was not)", member, wrong);
}

static void
test_words(void)
{
	static const char *const members[] = {"message", "error", "errorMessage", "detail", "title"};
	size_t		i;

	for (i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		test_guesses(members[i], 500);
	test_whole("message", 500);
	test_guesses("code", 100);
	test_whole("code", 100);
}

/* Words of libcurl, and bodies that are cut off or no JSON. */
static void
test_broken(void)
{
	static const char *const secrets[] = {SECRET};
	static const struct
	{
		InqudProgress progress;
		int			status;
		const char *error;
		const char *body;
		const char *message;
	}			cases[] =
	{
		{INQUD_NOT_SENT, 0, "no host secret-0123456789.example", "", "no host *****************.example"},
		{INQUD_NO_ANSWER, 0, "bad secret%2d0123456789", "", "bad *******************"},
		{INQUD_NO_ANSWER, 0, "bad secret-012345678", "", "bad secret-012345678"},
		{INQUD_TOO_LARGE, 400, "reply is too large", "{\"message\":\"" SECRET "\"}", "HTTP status 400"},
		{INQUD_TOO_LARGE, 200, "reply is too large", "{\"message\":\"secret-01", "the reply is larger than max_reply_size"},
		{INQUD_DONE, 502, "", "<html>" SECRET "</html>", "HTTP status 502"},
		{INQUD_DONE, 400, "", "{\"message\":\"secret-01", "HTTP status 400"},
	};
	InqudHider *hider = inqud_hider_new(secrets, 1);
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		InqudResponse response = {.progress = cases[i].progress,.http_status = cases[i].status,.error = cases[i].error,
		.body = cases[i].body,.body_len = strlen(cases[i].body)};
		InqudReply *reply = inqud_reply_read(&response, false, NULL, hider, NULL);

		is(inqud_reply_message(reply), cases[i].message, cases[i].message);
		inqud_reply_free(reply);
	}
	inqud_hider_free(hider);
}

/* A good reply with a member in it, and what becomes of its text and of what is lost. */
static void
hidden(const char *member, const char *expected, const char *lost)
{
	char		body[2000];
	char		text[2000];
	InqudReply *reply;
	uint64_t	before;
	size_t		len;

	snprintf(body, sizeof(body), "{\"id\":\"CCO-1\",\"status\":\"NEW\",%s}", member);
	snprintf(text, sizeof(text), "{\"id\":\"CCO-1\",\"status\":\"NEW\",%s}", expected != NULL ? expected : "");
	reply = read_text(body);
	before = inqud_reply_hash(reply);
	inqud_reply_free(reply);
	reply = read_hiding(200, body, strlen(body), false, NULL, KEY, NULL);
	if (ok(inqud_reply_outcome(reply) == INQUD_OK, "%s is a good reply", member))
	{
		is(inqud_reply_json(reply, &len), expected != NULL ? text : NULL, "... its JSON");
		is(inqud_reply_checkout(reply)->lost, lost, "... what is lost");
		ok(lost == NULL || before != inqud_reply_hash(reply), "... its hash");
	}
	inqud_reply_free(reply);
}

static void
test_members(void)
{
	/* as it is, escaped in every way, and in other places than ours */
	hidden("\"name\":\"k\\\"e/y-\xc3\xa4\xf0\x9f\x94\x91-0123456789\"", "\"name\":\"" STARS STARS STARS "*********\"", "name");
	hidden("\"name\":\"<k\\\"e\\/y-\\u00E4\\ud83d\\udd11-012345678\\u0039>\"",
		   "\"name\":\"<" STARS STARS STARS STARS STARS STARS STARS "*******>\"", "name");
	hidden("\"request\":{\"txHash\":\"\\u006b\\u0022e/y-\xc3\xa4\xf0\x9f\x94\x91-0123456789\"}",
		   "\"request\":{\"txHash\":\"" STARS STARS STARS STARS STARS STARS "***\"}", "request.txHash");
	hidden("\"z\":[{\"a\":\"k\\\"e/y-\\u00e4\xf0\x9f\x94\x91-0123456789\"}]", "\"z\":[{\"a\":\"" STARS STARS STARS STARS "********\"}]", NULL);
	hidden("\"returnUrl\":\"https://x.example/?k=k%22e%2Fy-%C3%A4%f0%9f%94%91-0123456789&\"",
		   "\"returnUrl\":\"https://x.example/?k=" STARS STARS STARS STARS STARS STARS STARS "****&\"", "returnUrl");
	hidden("\"k\\\"e/y-\xc3\xa4\xf0\x9f\x94\x91-0123456789\":1", "\"" STARS STARS STARS "*********\":1", NULL);
	/* nearly it */
	hidden("\"name\":\"k\\\"e/y-\\u00e4\\ud83d\\udd12-0123456789\"", "\"name\":\"k\\\"e/y-\\u00e4\\ud83d\\udd12-0123456789\"", NULL);
	hidden("\"name\":\"k\\\"e/y-\xc3\xa4\"", "\"name\":\"k\\\"e/y-\xc3\xa4\"", NULL);
	hidden("\"name\":\"\\\\\",\"type\":\"k\\\"\"", "\"name\":\"\\\\\",\"type\":\"k\\\"\"", NULL);
}

static void
essential(const char *body, bool creating)
{
	InqudReply *reply = read_hiding(200, body, strlen(body), creating, NULL, SECRET, NULL);
	size_t		len;

	is_int(inqud_reply_outcome(reply), creating ? INQUD_UNKNOWN : INQUD_BAD_REPLY, "a key as id or status makes a reply useless");
	ok(inqud_reply_checkout(reply) == NULL && inqud_reply_json(reply, &len) == NULL, "... nothing is left of it");
	ok(strstr(inqud_reply_message(reply), "secret") == NULL && inqud_reply_message(reply)[0] != '\0', "... but words");
	inqud_reply_free(reply);
}

static void
test_essential(void)
{
	static const char number[] = "{\"id\":\"CCO-1\",\"status\":\"NEW\",\"x\":1234567890}";
	static const char name[] = "{\"id\":\"CCO-1\",\"status\":\"NEW\",\"name\":\"N\"}";
	InqudReply *reply;
	size_t		len;
	int			i;

	for (i = 0; i < 2; i++)
	{
		essential("{\"id\":\"secret-0123456789\",\"status\":\"NEW\"}", i == 0);
		essential("{\"id\":\"CCO-1\",\"status\":\"<secret-012345678\\u0039>\"}", i == 0);
		essential("{\"id\":\"secret%2d0123456789\",\"status\":\"NEW\"}", i == 0);
	}
	/* a number that happens to be the key, where asterisks would be no JSON */
	reply = read_hiding(200, number, strlen(number), false, NULL, "1234567890", NULL);
	is_int(inqud_reply_outcome(reply), INQUD_OK, "a number like the key: a good reply");
	is(inqud_reply_json(reply, &len), NULL, "whose text is not kept");
	inqud_reply_free(reply);
	/* what is short is no secret, and must not spoil a reply */
	reply = read_hiding(200, name, strlen(name), false, NULL, "N", "");
	is(inqud_reply_json(reply, &len), name, "a short word is left");
	is(inqud_reply_checkout(reply)->lost, NULL, "nothing is lost");
	inqud_reply_free(reply);
}

static void
test_webhook(void)
{
	static const char body[] = "{\"id\":\"CCO-1\",\"status\":\"secret-0123456789\",\"checkoutId\":\"x-secret%2D0123456789\",\"clientOrderId\":\"o\"}";
	static const char *const secrets[] = {NULL, "o", SECRET};
	InqudHider *hider = inqud_hider_new(secrets, 3);
	InqudWebhook webhook;

	ok(inqud_webhook_read(body, strlen(body), hider, &webhook), "a webhook that repeats a key");
	inqud_hider_free(hider);
	is(webhook.id, "CCO-1", "its id");
	is(webhook.status, NULL, "no status");
	is(webhook.checkout_id, NULL, "no checkout");
	is(webhook.order_id, "o", "its order");
	inqud_webhook_free(&webhook);
}

static void
test_signature(void)
{
	InqudAccount account = {.base_url = "https://x.example",.project_id = "CAP-1",.checkout_path = "/{project}/{checkout}",
	.token_id = "TKN",.token_secret = "s",.auth_signed = true};
	InqudWhy	why;
	InqudRequest *request = inqud_request_read_checkout(&account, &test_crypto, "CCO-1", &why);

	is_int((long long) strlen(inqud_request_signature(request)), 64, "the signature of a request");
	inqud_request_free(request);
	account.auth_signed = false;
	request = inqud_request_read_checkout(&account, &test_crypto, "CCO-1", &why);
	is(inqud_request_signature(request), NULL, "none without one");
	inqud_request_free(request);
}

int
main(void)
{
	test_encodings();
	test_overlap();
	test_words();
	test_broken();
	test_members();
	test_essential();
	test_webhook();
	test_signature();
	return tap_end();
}
