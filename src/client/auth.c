/*-------------------------------------------------------------------------
 *
 * auth.c
 *		The headers of a request, its signature, and the digest of a webhook
 *		(C sections 3 and 11).
 *
 * Secrets are written to the request's header text and nowhere else; it is wiped with
 * the request.  No message may contain a secret.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "client_internal.h"

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

/* Append "Name: value" and its NUL.  A line break in a value would become another header. */
static bool
add_header(InqudRequest *request, const char *name, const char *value)
{
	InqudBuffer *text = &request->header_text;

	if (request->nheaders == INQUD_MAX_HEADERS)
		return false;
	request->headers[request->nheaders++] = text->data + text->len;
	return inqud_buffer_add_text(text, name) &&
		inqud_buffer_add_text(text, ": ") &&
		inqud_buffer_add(text, value, strlen(value) + 1);
}

/* Add salt and signature, the HMAC of the body's exact bytes followed by the salt. */
static InqudWhy
add_signature(InqudRequest *request, const InqudAccount *account,
			  const InqudCrypto *crypto)
{
	uint8_t		random[SALT_BYTES];
	uint8_t		digest[SHA256_BYTES];
	char		salt[SALT_BYTES * 2 + 1];
	char		signature[SHA256_BYTES * 2 + 1];

	if (!crypto->random(random, sizeof(random)))
		return INQUD_WHY_RANDOM;
	to_hex(random, sizeof(random), salt);
	if (!crypto->hmac_sha256(account->token_secret,
							 strlen(account->token_secret),
							 request->body.data != NULL ? request->body.data : "",
							 request->body.len, salt, strlen(salt), digest))
		return INQUD_WHY_SIGNATURE;
	to_hex(digest, sizeof(digest), signature);
	if (add_header(request, "X-Salt", salt) &&
		add_header(request, SIGNATURE_HEADER, signature))
		request->signature = request->headers[request->nheaders - 1] + strlen(SIGNATURE_HEADER ": ");
	inqud_wipe(digest, sizeof(digest));
	inqud_wipe(signature, sizeof(signature));
	return request->signature != NULL ? INQUD_WHY_NONE : INQUD_WHY_NO_MEMORY;
}

static bool
add_token(InqudRequest *request, const InqudAccount *account)
{
	return add_header(request, "X-Token-API-Id", account->token_id) &&
		(account->auth_signed ||
		 add_header(request, "X-Token-API-Secret", account->token_secret));
}

/* Is it fit as a header's value: not empty, no control character? */
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

InqudWhy
inqud_auth_headers(InqudRequest *request, const InqudAccount *account,
				   const InqudCrypto *crypto)
{
	if (!is_header_value(account->token_id))
		return INQUD_WHY_TOKEN_ID;
	if (!is_header_value(account->token_secret))
		return INQUD_WHY_TOKEN_SECRET;
	/* all at once: the pointers to the headers lead into it */
	if (!inqud_buffer_reserve(&request->header_text, request->header_text.max))
		return INQUD_WHY_NO_MEMORY;
	if (!add_header(request, "Accept", "application/json") ||
		(request->post &&
		 !add_header(request, "Content-Type", "application/json")) ||
		!add_token(request, account))
		return INQUD_WHY_TOKEN_LENGTH;
	return account->auth_signed ? add_signature(request, account, crypto) : INQUD_WHY_NONE;
}

const char *
inqud_request_signature(const InqudRequest *request)
{
	return request->signature;
}

bool
inqud_webhook_digest_ok(const InqudCrypto *crypto, const char *secret,
						const void *body, size_t body_len,
						const char *digest, size_t digest_len)
{
	uint8_t		expected[SHA1_BYTES];
	char		hex[SHA1_BYTES * 2 + 1];
	unsigned int difference = 0;
	size_t		i;

	if (secret == NULL || *secret == '\0' || digest == NULL || digest_len != SHA1_BYTES * 2 ||
		!crypto->hmac_sha1(secret, strlen(secret), body, body_len, expected))
		return false;
	to_hex(expected, SHA1_BYTES, hex);
	/* no early end: the time taken must not tell how many digits were right */
	for (i = 0; i < SHA1_BYTES * 2; i++)
	{
		char		c = digest[i];

		difference |= (unsigned char) hex[i] ^ (unsigned char) (c >= 'A' && c <= 'F' ? c + 'a' - 'A' : c);
	}
	inqud_wipe(expected, sizeof(expected));
	inqud_wipe(hex, sizeof(hex));
	return difference == 0;
}
