/*-------------------------------------------------------------------------
 *
 * crypto.h
 *		The cryptography callbacks of the tests, through OpenSSL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_TEST_CRYPTO_H
#define INQUD_TEST_CRYPTO_H

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "inqud_client.h"

static bool
test_hmac_sha256(const void *key, size_t keylen, const void *data1, size_t len1,
				 const void *data2, size_t len2, uint8_t digest[32])
{
	unsigned char *message = malloc(len1 + len2 + 1);
	unsigned int len = 0;
	bool		good;

	if (message == NULL)
		return false;
	if (len1 > 0)
		memcpy(message, data1, len1);
	if (len2 > 0)
		memcpy(message + len1, data2, len2);
	good = HMAC(EVP_sha256(), key, (int) keylen, message, len1 + len2, digest,
				&len) != NULL;
	inqud_wipe(message, len1 + len2);
	free(message);
	return good && len == 32;
}

static bool
test_hmac_sha1(const void *key, size_t keylen, const void *data, size_t len,
			   uint8_t digest[20])
{
	unsigned int digest_len = 0;

	return HMAC(EVP_sha1(), key, (int) keylen, data, len, digest,
				&digest_len) != NULL && digest_len == 20;
}

/* The first half is the salt of the contract's test vector. */
static bool
test_random(void *out, size_t len)
{
	static const uint8_t salt[16] = {0x0f, 0x1e, 0x2d, 0x3c, 0x4b, 0x5a, 0x69,
	0x78, 0x87, 0x96, 0xa5, 0xb4, 0xc3, 0xd2, 0xe1, 0xf0};
	size_t		i;

	for (i = 0; i < len; i++)
		((uint8_t *) out)[i] = salt[i % 16];
	return true;
}

static const InqudCrypto test_crypto = {
	test_hmac_sha256, test_hmac_sha1, test_random
};

#endif							/* INQUD_TEST_CRYPTO_H */
