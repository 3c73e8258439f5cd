/*-------------------------------------------------------------------------
 *
 * auth.c
 *		Who we are: the headers of a request, its signature, and the digest of
 *		a webhook (C sections 3 and 11).
 *
 * Secrets end up in the request's header text and nowhere else; that buffer is
 * wiped with the request.  Nothing here may put a secret into a message.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "client_internal.h"

#ifdef POSTGRES_H
#error "src/client must not include postgres.h"
#endif

#define SALT_BYTES 32
#define SHA256_BYTES 32
#define SHA1_BYTES 20

#define SIGNATURE_HEADER "X-HMAC-SHA256-Signature"

static void
to_hex(const uint8_t *bytes, size_t n, char *out)
{
	static const char hex[] = "0123456789abcdef";
	size_t		i;

	for (i = 0; i < n; i++)
	{
		out[i * 2] = hex[bytes[i] >> 4];
		out[i * 2 + 1] = hex[bytes[i] & 15];
	}
	out[n * 2] = '\0';
}

/*
 * Append "Name: value" and its NUL.  A line break in a value would become
 * another header.
 */
static bool
add_header(InqudRequest *request, const char *name, const char *value)
{
	InqudBuffer *text = &request->header_text;

	if (request->nheaders == INQUD_MAX_HEADERS)
		return false;
	request->nheaders++;
	return inqud_buffer_add_text(text, name) &&
		inqud_buffer_add_text(text, ": ") &&
		inqud_buffer_add(text, value, strlen(value) + 1);
}

/* Point at the headers, once the buffer does not move any more. */
static void
link_headers(InqudRequest *request)
{
	const char *p = request->header_text.data;
	int			i;

	for (i = 0; i < request->nheaders; i++)
	{
		request->headers[i] = p;
		p += strlen(p) + 1;
	}
	request->headers[i] = NULL;
}

/* Salt and signature: HMAC of the body's exact bytes followed by the salt. */
static const char *
add_signature(InqudRequest *request, const InqudAccount *account,
			  const InqudCrypto *crypto)
{
	uint8_t		random[SALT_BYTES];
	uint8_t		digest[SHA256_BYTES];
	char		salt[SALT_BYTES * 2 + 1];
	char		signature[SHA256_BYTES * 2 + 1];
	bool		ok;

	if (!crypto->random(random, sizeof(random)))
		return "could not get random bytes";
	to_hex(random, sizeof(random), salt);
	if (!crypto->hmac_sha256(account->token_secret,
							 strlen(account->token_secret),
							 request->body.data != NULL ? request->body.data : "",
							 request->body.len, salt, strlen(salt), digest))
		return "could not calculate the signature";
	to_hex(digest, sizeof(digest), signature);
	ok = add_header(request, "X-Salt", salt) &&
		add_header(request, SIGNATURE_HEADER, signature);
	inqud_wipe(digest, sizeof(digest));
	inqud_wipe(signature, sizeof(signature));
	return ok ? NULL : "out of memory";
}

static bool
add_token(InqudRequest *request, const InqudAccount *account)
{
	return add_header(request, "X-Token-API-Id", account->token_id) &&
		(account->auth_signed ||
		 add_header(request, "X-Token-API-Secret", account->token_secret));
}

/* May this stand in a header?  Not empty, no control character. */
static bool
is_header_value(const char *value)
{
	const char *p;

	if (value == NULL || *value == '\0')
		return false;
	for (p = value; *p != '\0'; p++)
	{
		if ((unsigned char) *p < 0x20 || *p == 0x7f)
			return false;
	}
	return true;
}

const char *
inqud_auth_headers(InqudRequest *request, const InqudAccount *account,
				   const InqudCrypto *crypto)
{
	const char *why = NULL;

	if (!is_header_value(account->token_id))
		return "token_id is empty or contains a control character";
	if (!is_header_value(account->token_secret))
		return "token_secret is empty or contains a control character";
	if (!add_header(request, "Accept", "application/json") ||
		(request->post &&
		 !add_header(request, "Content-Type", "application/json")) ||
		!add_token(request, account))
		return "token is too long or out of memory";
	if (account->auth_signed)
		why = add_signature(request, account, crypto);
	if (why == NULL)
		link_headers(request);
	return why;
}

const char *
inqud_request_signature(const InqudRequest *request)
{
	const size_t len = strlen(SIGNATURE_HEADER ": ");
	int			i;

	for (i = 0; i < request->nheaders; i++)
	{
		if (strncmp(request->headers[i], SIGNATURE_HEADER ": ", len) == 0)
			return request->headers[i] + len;
	}
	return NULL;
}

bool
inqud_webhook_digest_ok(const InqudCrypto *crypto, const char *secret,
						const void *body, size_t body_len,
						const char *digest, size_t digest_len)
{
	uint8_t		expected[SHA1_BYTES];
	unsigned int difference = 0;
	size_t		i;

	if (secret == NULL || *secret == '\0' || digest == NULL ||
		digest_len != SHA1_BYTES * 2)
		return false;
	if (!crypto->hmac_sha1(secret, strlen(secret), body, body_len, expected))
		return false;
	/* no early end: time must not tell how many bytes were right */
	for (i = 0; i < SHA1_BYTES; i++)
	{
		int			high = inqud_hex_value(digest[i * 2]);
		int			low = inqud_hex_value(digest[i * 2 + 1]);

		difference |= (unsigned int) (high < 0) | (unsigned int) (low < 0);
		difference |= (((unsigned int) high << 4) | (unsigned int) low) ^ expected[i];
	}
	inqud_wipe(expected, sizeof(expected));
	return difference == 0;
}
