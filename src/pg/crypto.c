/*-------------------------------------------------------------------------
 *
 * crypto.c
 *		The server's HMAC and random numbers, for the client (InqudCrypto).
 *
 * These functions must not throw, since the client calls them; only
 * inqud_random_lease() and the functions for digests may.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "common/hmac.h"
#include "common/sha1.h"
#include "common/sha2.h"
#include "utils/resowner.h"

/*
 * Set a resource owner if there is none, and return the one before, for the caller
 * to set again.  The server's HMAC registers with the current one, and the worker
 * signs between its transactions, where there is none.
 */
static ResourceOwner
ensure_resource_owner(void)
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

/* HMAC over data1 followed by data2; false when it fails. */
static bool
hmac(pg_cryptohash_type type, const void *key, size_t keylen,
	 const void *data1, size_t len1, const void *data2, size_t len2,
	 uint8 *digest, size_t digest_len)
{
	ResourceOwner before = ensure_resource_owner();
	pg_hmac_ctx *ctx = pg_hmac_create(type);
	bool		ok;

	ok = ctx != NULL && pg_hmac_init(ctx, key, keylen) >= 0 &&
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

/*
 * Each text is hashed with what came before it as the key, so that texts cannot be
 * cut elsewhere to the same end.  The first key is random, and in no memory that is
 * shared: processes inherit it from the postmaster, or have their own.
 */
static uint8 digest_key[PG_SHA256_DIGEST_LENGTH];
static bool digest_key_drawn = false;

void
inqud_digest_init(void)
{
	if (digest_key_drawn)
		return;
	if (!pg_strong_random(digest_key, sizeof(digest_key)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random number")));
	digest_key_drawn = true;
}

void
inqud_digest_texts(InqudDigest *digest, const char *const *texts, const size_t *lengths, int n)
{
	int			i;

	inqud_digest_init();
	memcpy(digest->bytes, digest_key, sizeof(digest_key));
	for (i = 0; i < n; i++)
	{
		InqudDigest before = *digest;

		if (!hmac_sha256(before.bytes, sizeof(before.bytes), texts[i], lengths[i], NULL, 0, digest->bytes))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not compute HMAC")));
	}
}

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
