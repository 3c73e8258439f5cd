/*-------------------------------------------------------------------------
 *
 * crypto.c
 *		The server's HMAC and random numbers, as the client asks for them.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "common/hmac.h"
#include "common/sha1.h"
#include "common/sha2.h"
#include "utils/resowner.h"

/*
 * The server's HMAC registers what it opens with the current resource owner, and
 * the worker signs between its transactions, where there is none: lend it one.
 */
static ResourceOwner
lend_owner(void)
{
	static ResourceOwner own = NULL;
	ResourceOwner before = CurrentResourceOwner;

	if (before == NULL)
	{
		if (own == NULL)
			own = ResourceOwnerCreate(NULL, "inqud");
		CurrentResourceOwner = own;
	}
	return before;
}

static bool
hmac(pg_cryptohash_type type, const void *key, size_t keylen,
	 const void *data1, size_t len1, const void *data2, size_t len2,
	 uint8 *digest, size_t digest_len)
{
	ResourceOwner before = lend_owner();
	pg_hmac_ctx *ctx = pg_hmac_create(type);
	bool		ok;

	if (ctx == NULL)
	{
		CurrentResourceOwner = before;
		return false;
	}
	ok = pg_hmac_init(ctx, key, keylen) >= 0 &&
		(len1 == 0 || pg_hmac_update(ctx, data1, len1) >= 0) &&
		(len2 == 0 || pg_hmac_update(ctx, data2, len2) >= 0) &&
		pg_hmac_final(ctx, digest, digest_len) >= 0;
	pg_hmac_free(ctx);
	CurrentResourceOwner = before;
	return ok;
}

static bool
hmac_sha256(const void *key, size_t keylen, const void *data1, size_t len1,
			const void *data2, size_t len2, uint8_t digest[32])
{
	return hmac(PG_SHA256, key, keylen, data1, len1, data2, len2,
				digest, PG_SHA256_DIGEST_LENGTH);
}

static bool
hmac_sha1(const void *key, size_t keylen, const void *data, size_t len,
		  uint8_t digest[20])
{
	return hmac(PG_SHA1, key, keylen, data, len, NULL, 0,
				digest, SHA1_DIGEST_LENGTH);
}

static bool
strong_random(void *out, size_t len)
{
	return pg_strong_random(out, len);
}

const InqudCrypto inqud_crypto = {
	.hmac_sha256 = hmac_sha256,
	.hmac_sha1 = hmac_sha1,
	.random = strong_random,
};

/* Who holds a lease: a number nobody guesses and no two processes share. */
int64
inqud_random_lease(void)
{
	int64		lease;

	if (!pg_strong_random(&lease, sizeof(lease)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random number")));
	return lease == 0 ? 1 : lease;
}
