/*-------------------------------------------------------------------------
 *
 * sayings.c
 *		The sentences that errors of a checkout and its history have for people.
 *
 * The decision (client/lifecycle.c) says which sentence, and what stands in it.
 * Nothing may find out from a sentence what has happened.
 *
 *-------------------------------------------------------------------------
 */
#include "shared/shared.h"

/* An answer that is not that of the order. */
static const char *
of_another(const InqudSaying *says, const char *what)
{
	if (says->text == NULL)
		return psprintf("Inqud answered with a checkout of another %s", what);
	return psprintf("Inqud answered with a checkout of another %s, %s; its status %s is not recorded", what, says->text, says->other);
}

/* The sentence itself; palloc'ed or constant. */
static const char *
sentence_of(const InqudSaying *says)
{
	long long	n = says->number;

	switch (says->what)
	{
		case INQUD_SAYS_NOTHING:
			return NULL;
		case INQUD_SAYS_TEXT:
			return says->text;
		case INQUD_SAYS_REPEATED:
			return psprintf("%s (outcome unknown; the call will be repeated)", says->text);
		case INQUD_SAYS_LOST:
			return psprintf("the reply has members that cannot be stored: %s", says->text);
		case INQUD_SAYS_UNKNOWN_STATUS:
			return "Inqud sent a status that this version does not know; it counts as unpaid";
		case INQUD_SAYS_SECOND_ANSWER:
			return psprintf("second answer for the order of checkout %lld", n);
		case INQUD_SAYS_REOPENED:
			return psprintf("Inqud says %s after %s; watching closely", says->text, says->other);
		case INQUD_SAYS_TAKEN_BACK:
			return psprintf("Inqud says %s after %s", says->text, says->other);
		case INQUD_SAYS_OTHER_PAYMENT:
			return "Inqud says other amounts than when it was paid; those are kept";
		case INQUD_SAYS_FOUND:
			return "recorded after a webhook named it";
		case INQUD_SAYS_FITS_NONE:
			return psprintf("it names order %s, and fits none of its checkouts", says->text);
		case INQUD_SAYS_UNREAD:
			return psprintf("a webhook named %s, and it could not be read: %s", says->text, says->other);
		case INQUD_SAYS_NOT_SENT:
			return "canceled before it was sent";
		case INQUD_SAYS_GIVEN_UP:
			return psprintf("given up after %lld attempt%s: %s", n, n != 1 ? "s" : "", says->text);
		case INQUD_SAYS_OTHER_ORDER:
			return of_another(says, "order");
		case INQUD_SAYS_OTHER_PROJECT:
			return of_another(says, "project");
		case INQUD_SAYS_OTHER_TYPE:
			return of_another(says, "type");
		case INQUD_SAYS_OTHER_AMOUNT:
			return of_another(says, "amount");
		case INQUD_SAYS_HELD:
			return psprintf("Inqud answered with %s, which checkout %lld has already", says->text, n);
	}
	return NULL;				/* keep compiler quiet */
}

const char *
inqud_sentence(const InqudSaying *says)
{
	const char *sentence = sentence_of(says);

	return says->late ? psprintf("late answer left aside: %s", sentence) : sentence;
}
