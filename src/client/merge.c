/*-------------------------------------------------------------------------
 *
 * merge.c
 *		Lays a reply over what is recorded of a checkout, and compares the two;
 *		digests of what a reply says against the record.
 *
 * The table of fields (checkout.c) says for each member which value stays.  What a change means
 * is decided in lifecycle.c and not here.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>
#include <strings.h>

#include "client_internal.h"

bool
inqud_same_text(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}

/* The digits of a plain decimal that count: without zeros at its ends, the point included. */
static void
trim_number(const char **text, size_t *len)
{
	while (**text == '0' && inqud_is_digit((*text)[1]))
		(*text)++;
	*len = strlen(*text);
	if (strchr(*text, '.') == NULL)
		return;
	while ((*text)[*len - 1] == '0')
		(*len)--;
	if ((*text)[*len - 1] == '.')
		(*len)--;
}

static bool
same_number(const char *a, const char *b)
{
	size_t		la;
	size_t		lb;

	if (a == NULL || b == NULL)
		return a == b;
	trim_number(&a, &la);
	trim_number(&b, &lb);
	return la == lb && memcmp(a, b, la) == 0;
}

bool
inqud_is_final(const char *status)
{
	return inqud_same_text(status, "SUCCESS") || inqud_same_text(status, "CONFLICT") ||
		inqud_same_text(status, "EXPIRED");
}

#define MEMBER_OF(checkout, field, type) (*(type const *) ((const char *) (checkout) + (field)->offset))

static bool
has_member(const InqudField *field, const InqudCheckout *c)
{
	switch (field->type)
	{
		case INQUD_FIELD_TIME:
			return MEMBER_OF(c, field, int64_t) != 0;
		case INQUD_FIELD_FLAG:
			return MEMBER_OF(c, field, int) >= 0;
		default:
			return MEMBER_OF(c, field, const char *) != NULL;
	}
}

static bool
same_member(const InqudField *field, const InqudCheckout *a, const InqudCheckout *b)
{
	switch (field->type)
	{
		case INQUD_FIELD_TIME:
			return MEMBER_OF(a, field, int64_t) == MEMBER_OF(b, field, int64_t);
		case INQUD_FIELD_FLAG:
			return MEMBER_OF(a, field, int) == MEMBER_OF(b, field, int);
		case INQUD_FIELD_AMOUNT:
			return same_number(MEMBER_OF(a, field, const char *), MEMBER_OF(b, field, const char *));
		default:
			return inqud_same_text(MEMBER_OF(a, field, const char *), MEMBER_OF(b, field, const char *));
	}
}

static bool
is_of_payment(const InqudField *field)
{
	return field->keep == INQUD_KEEP_MONEY || field->keep == INQUD_KEEP_PAYMENT;
}

/* Is a member settled, so that no reply changes it? */
static bool
is_settled(const InqudField *field, const InqudRecord *record, const InqudCheckout *reply)
{
	bool		kept = has_member(field, &record->is);

	if (is_of_payment(field) && record->paid_at != 0)
		return kept || !inqud_same_text(reply->status, "SUCCESS");
	return field->keep == INQUD_KEEP_APART || (field->keep == INQUD_KEEP_FIRST && kept);
}

/* Lay one member over another by its rule; returns whether it changes. */
static bool
merge_member(const InqudField *field, InqudRecord *record, const InqudCheckout *reply)
{
	InqudCheckout *is = &record->is;
	size_t		size = field->type == INQUD_FIELD_TIME ? sizeof(int64_t) :
		field->type == INQUD_FIELD_FLAG ? sizeof(int) : sizeof(const char *);
	bool		changed = !same_member(field, is, reply);

	if (!has_member(field, reply) || is_settled(field, record, reply))
		return false;
	memcpy((char *) is + field->offset, (const char *) reply + field->offset, size);
	return changed;
}

/* A new status brings its own reason, or none; the same one keeps the reason it has. */
static bool
merge_status(InqudCheckout *is, const InqudCheckout *reply)
{
	bool		changed = !inqud_same_text(is->status, reply->status);

	if (changed || reply->reason != NULL)
	{
		changed |= !inqud_same_text(is->reason, reply->reason);
		is->reason = reply->reason;
	}
	is->status = reply->status;
	return changed;
}

bool
inqud_merge_reply(InqudRecord *record, const InqudCheckout *reply)
{
	bool		changed;
	int			i;

	if (inqud_is_final(record->is.status) && !inqud_is_final(reply->status))
		return false;
	changed = merge_status(&record->is, reply);
	for (i = 0; i < INQUD_N_FIELDS; i++)
		changed |= merge_member(&inqud_checkout_fields[i], record, reply);
	return changed;
}

bool
inqud_details_differ(const InqudCheckout *a, const InqudCheckout *b)
{
	bool		differ = !inqud_same_text(a->reason, b->reason);
	int			i;

	for (i = 0; i < INQUD_N_FIELDS; i++)
		differ |= inqud_checkout_fields[i].keep >= INQUD_KEEP_PAYMENT &&
			!same_member(&inqud_checkout_fields[i], a, b);
	return differ;
}

bool
inqud_contradicts(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) != 0;
}

InqudSentence
inqud_misfit(const InqudRecord *checkout, const InqudCheckout *reply)
{
	const InqudCheckout *is = &checkout->is;

	if (inqud_contradicts(is->order_id, reply->order_id))
		return INQUD_SAYS_OTHER_ORDER;
	if (inqud_contradicts(is->project_id, reply->project_id))
		return INQUD_SAYS_OTHER_PROJECT;
	if (inqud_contradicts(is->type, reply->type))
		return INQUD_SAYS_OTHER_TYPE;
	if (reply->fixed_amount != NULL && !same_number(is->fixed_amount, reply->fixed_amount))
		return INQUD_SAYS_OTHER_AMOUNT;
	if (reply->fixed_currency != NULL &&
		(is->fixed_currency == NULL || strcasecmp(is->fixed_currency, reply->fixed_currency) != 0))
		return INQUD_SAYS_OTHER_AMOUNT;
	return INQUD_SAYS_NOTHING;
}

const char *
inqud_misfit_text(const InqudRecord *checkout, const InqudCheckout *reply, InqudSentence misfit)
{
	switch (misfit)
	{
		case INQUD_SAYS_OTHER_ORDER:
			return reply->order_id;
		case INQUD_SAYS_OTHER_PROJECT:
			return reply->project_id;
		case INQUD_SAYS_OTHER_TYPE:
			return reply->type;
		default:
			return reply->fixed_amount != NULL && !same_number(checkout->is.fixed_amount, reply->fixed_amount) ?
				reply->fixed_amount : reply->fixed_currency;
	}
}

bool
inqud_pays_otherwise(const InqudRecord *record, const InqudCheckout *reply)
{
	int			i;

	for (i = 0; i < INQUD_N_FIELDS && record->paid_at != 0; i++)
	{
		const InqudField *field = &inqud_checkout_fields[i];

		if (is_of_payment(field) && has_member(field, &record->is) && has_member(field, reply) &&
			!same_member(field, &record->is, reply))
			return true;
	}
	return false;
}

/* A member, the same for 1.5 and 1.50. */
static uint64_t
hash_member(uint64_t hash, const InqudField *field, const InqudCheckout *c)
{
	const char *number;
	size_t		len;

	hash = inqud_hash_text(hash, field->name);
	if (!has_member(field, c))
		return hash;
	if (field->type == INQUD_FIELD_FLAG)
		return inqud_hash_text(hash, MEMBER_OF(c, field, int) ? "true" : "false");
	if (field->type != INQUD_FIELD_AMOUNT)
		return inqud_hash_text(hash, MEMBER_OF(c, field, const char *));
	number = MEMBER_OF(c, field, const char *);
	trim_number(&number, &len);
	return inqud_hash_bytes(hash, number, len);
}

int64_t
inqud_digest_against(const InqudCheckout *reply, bool ordered, bool paid)
{
	uint64_t	hash = inqud_hash_text(INQUD_HASH_START, reply->status);
	int			i;

	if (ordered)
	{
		hash = inqud_hash_text(hash, reply->order_id);
		hash = inqud_hash_text(hash, reply->project_id);
		hash = inqud_hash_text(hash, reply->type);
	}
	for (i = 0; i < INQUD_N_FIELDS; i++)
	{
		const InqudField *field = &inqud_checkout_fields[i];

		if ((ordered && field->object != NULL && strcmp(field->object, "fixedAmount") == 0) ||
			(paid && is_of_payment(field)))
			hash = hash_member(hash, field, reply);
	}
	return hash != 0 ? (int64_t) hash : 1;
}
