/*-------------------------------------------------------------------------
 *
 * plan.c
 *		When a checkout is read next: pure arithmetic on its phase and times.
 *
 * A plan is calculated from the queue row and not stored.  So a new worker goes on
 * where the last one was, and a read that brings no news writes nothing.
 *
 * Until an hour after the expiry a checkout is read at the server's intervals,
 * then hourly until two days after it, then daily.  Daily reads go on until Inqud
 * says a final status, since money may come late (C section 14); after EXPIRED, and
 * after a status that came behind a final one, they end after another week.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "client_internal.h"

#define HOUR	INT64_C(3600000000)
#define DAY		(24 * HOUR)

/* How long the server's intervals hold (Inqud may extend a payment), then the rarer ones. */
#define CLOSE_FOR		(1 * HOUR)
#define HOURLY_FOR		(2 * DAY)
#define DAILY_FOR		(7 * DAY)

static const char *const phase_words[] = {NULL, "new", "active", "reopened", "late", "check"};

const char *
inqud_phase_word(InqudPhase phase)
{
	return phase_words[phase];
}

bool
inqud_phase_read(const char *word, InqudPhase *phase)
{
	size_t		i;

	for (i = 1; i < sizeof(phase_words) / sizeof(phase_words[0]); i++)
	{
		if (strcmp(word, phase_words[i]) == 0)
		{
			*phase = (InqudPhase) i;
			return true;
		}
	}
	return false;
}

InqudPlan
inqud_plan(InqudPhase phase, int64_t tail_from, int64_t now,
		   int64_t poll_new, int64_t poll_active)
{
	InqudPlan	plan = {false, DAY, INQUD_NEVER};
	bool		ended = phase == INQUD_PHASE_LATE || phase == INQUD_PHASE_REOPENED;

	/* an expiry of "infinity" must not overflow below */
	if (tail_from > INQUD_NEVER - HOURLY_FOR - DAILY_FOR)
		tail_from = INQUD_NEVER - HOURLY_FOR - DAILY_FOR;

	if (phase == INQUD_PHASE_CHECK)
	{
		plan.step = 0;
		plan.until = tail_from + INQUD_CHECK_AFTER;
	}
	else if (phase != INQUD_PHASE_LATE && now < tail_from + CLOSE_FOR)
	{
		plan.step = phase == INQUD_PHASE_NEW ? poll_new : poll_active;
		plan.until = tail_from + CLOSE_FOR;
	}
	else if (now < tail_from + HOURLY_FOR)
	{
		plan.step = HOUR;
		plan.until = tail_from + HOURLY_FOR;
	}
	else if (ended)
		plan.until = tail_from + HOURLY_FOR + DAILY_FOR;
	plan.over = now >= plan.until;
	return plan;
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
