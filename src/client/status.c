/*-------------------------------------------------------------------------
 *
 * status.c
 *		The dictionary of checkout statuses (C section 7).
 *
 * It explains the words it knows.  Nothing may be refused because its word is
 * not here: a new word is stored as it came, and means neither final nor paid.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "client_internal.h"

#ifdef POSTGRES_H
#error "src/client must not include postgres.h"
#endif

static const InqudStatusMeaning statuses[] =
{
	{"NEW", false, false,
	"The checkout exists; the payer has not chosen a currency."},
	{"REQUEST_CREATED", false, false,
	"The payer has chosen a currency; Inqud waits for the money."},
	{"PAYMENT_DETECTED", false, false,
	"A transaction was seen and is being processed; this is not paid yet."},
	{"SUCCESS", true, true,
	"The payment was processed and credited to the merchant's balance."},
	{"CONFLICT", true, false,
	"A transaction was processed but something is wrong, for example too little was paid; a person must decide."},
	{"EXPIRED", true, false,
	"The checkout was not paid in time."}
};

#define NSTATUSES ((int) (sizeof(statuses) / sizeof(statuses[0])))

const InqudStatusMeaning *
inqud_status_meaning(const char *status)
{
	int			i;

	for (i = 0; status != NULL && i < NSTATUSES; i++)
	{
		if (strcmp(statuses[i].status, status) == 0)
			return &statuses[i];
	}
	return NULL;
}

const InqudStatusMeaning *
inqud_status_at(int i)
{
	return i >= 0 && i < NSTATUSES ? &statuses[i] : NULL;
}
