/*-------------------------------------------------------------------------
 *
 * plan.c
 *		When a checkout is read next: pure arithmetic on its phase and times.
 *
 * Nothing here is stored.  A plan follows from the queue row alone, so that a
 * worker that starts anew goes on where its predecessor was, and a read that
 * brings no news need not write anything.
 *
 * Reads become rarer with time, and none of them stops because of our own
 * clock before Inqud has said a final word (C section 14; late money).
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "client/inqud_client.h"

#ifdef POSTGRES_H
#error "the client must not know PostgreSQL"
#endif

#define HOUR	INT64_C(3600000000)
#define DAY		(24 * HOUR)

/* One more look for corrections, some hours after the end. */
#define CHECK_AFTER		(4 * HOUR)

/* While the API may still move: the payment extension of C section 14. */
#define CLOSE_FOR		(1 * HOUR)
#define HOURLY_FOR		(2 * DAY)
#define DAILY_FOR		(7 * DAY)

bool
inqud_phase_read(const char *word, InqudPhase *phase)
{
	static const char *const words[] = {"new", "active", "reopened", "late", "check"};
	size_t		i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
	{
		if (strcmp(word, words[i]) == 0)
		{
			*phase = (InqudPhase) i;
			return true;
		}
	}
	return false;
}

static InqudPlan
every(int64_t step, int64_t until)
{
	InqudPlan	plan = {false, step, until};

	return plan;
}

/* Is the clock "span" after the tail's begin still ahead of now? */
static bool
before(int64_t tail_from, int64_t span, int64_t now)
{
	return now < tail_from + span;
}

InqudPlan
inqud_plan(InqudPhase phase, int64_t tail_from, int64_t now,
		   int64_t poll_new, int64_t poll_active)
{
	InqudPlan	over = {true, 0, INQUD_NEVER};
	bool		ended = phase == INQUD_PHASE_LATE || phase == INQUD_PHASE_REOPENED;

	/* "infinity" as an expiry: the tail never begins */
	if (tail_from > INQUD_NEVER - HOURLY_FOR - DAILY_FOR)
		tail_from = INQUD_NEVER - HOURLY_FOR - DAILY_FOR;

	if (phase == INQUD_PHASE_CHECK)
		return before(tail_from, CHECK_AFTER, now) ?
			every(0, tail_from + CHECK_AFTER) : over;
	if (phase != INQUD_PHASE_LATE && before(tail_from, CLOSE_FOR, now))
		return every(phase == INQUD_PHASE_NEW ? poll_new : poll_active,
					 tail_from + CLOSE_FOR);
	if (before(tail_from, HOURLY_FOR, now))
		return every(HOUR, tail_from + HOURLY_FOR);
	if (!ended)
		return every(DAY, INQUD_NEVER);
	if (before(tail_from, HOURLY_FOR + DAILY_FOR, now))
		return every(DAY, tail_from + HOURLY_FOR + DAILY_FOR);
	return over;
}

int64_t
inqud_plan_next(const InqudPlan *plan, int64_t id, int64_t now)
{
	int64_t		next;

	if (plan->over)
		return now;
	if (plan->step == 0)
		return plan->until;
	next = inqud_next_tick(id, plan->step, now);
	return next < plan->until ? next : plan->until;
}
