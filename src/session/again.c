/*-------------------------------------------------------------------------
 *
 * again.c
 *		Tells the client how many orders of a statement had a checkout already.
 *
 * One WARNING a statement, however many triggers its rows fire.  It must not write
 * anything: the event of each order is written where the order is refused
 * (enqueue.c).
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "access/xact.h"
#include "lib/stringinfo.h"
#include "utils/memutils.h"

/* Of triggers that no statement fires: of the commit, and of logical replication. */
static InqudAgain at_commit;

/* Say what was noted, and forget it. */
static void
say(InqudAgain *again)
{
	StringInfoData numbers;

	initStringInfo(&numbers);
	for (int i = 0; i < INQUD_AGAIN_SHOWN && again->numbers[i]; i++)
		appendStringInfo(&numbers, "%s\"%s\"", i ? ", " : "", again->numbers[i]);
	if (again->more)
		appendStringInfoString(&numbers, ", ...");
	ereport(WARNING,
			(errmsg_plural("%d order was inserted again, and nothing was queued for it: %s",
						   "%d orders were inserted again, and nothing was queued for them: %s",
						   again->count, again->count, numbers.data),
			 errdetail("An order of each number is paid, or has a checkout that can be paid."),
			 errhint("See inqud.trouble. A new order needs a number that was never used.")));
	pfree(numbers.data);
	memset(again, 0, sizeof(*again));
}

/* Transaction callback: deferred triggers have run before the commit is prepared. */
static void
at_xact_end(XactEvent event, void *arg)
{
	if ((event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE) && at_commit.count > 0)
		say(&at_commit);
	if (event == XACT_EVENT_ABORT)
		memset(&at_commit, 0, sizeof(at_commit));
}

static void
register_callback(void)
{
	static bool registered = false;

	if (!registered)
		RegisterXactCallback(at_xact_end, NULL);
	registered = true;
}

/* Keep a number, unless it is shown already or there are enough; those beyond are only counted. */
static void
add_number(InqudAgain *again, const char *number)
{
	int			n = 0;

	while (n < INQUD_AGAIN_SHOWN && again->numbers[n])
		if (strcmp(again->numbers[n++], number) == 0)
			return;
	if (n < INQUD_AGAIN_SHOWN)
		again->numbers[n] = MemoryContextStrdup(TopTransactionContext, number);
	else
		again->more = true;
}

void
inqud_again_note(const char *number)
{
	InqudFiring *firing = inqud_firing();
	InqudAgain *again = firing ? &firing->again : &at_commit;

	register_callback();
	again->count++;
	add_number(again, number);
}

void
inqud_again_say(InqudFiring *firing)
{
	if (firing->again.count > 0)
		say(&firing->again);
}
