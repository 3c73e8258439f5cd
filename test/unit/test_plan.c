/*-------------------------------------------------------------------------
 *
 * test_plan.c
 *		When a checkout is read next: each phase along its time.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>

#include "client_internal.h"
#include "tap.h"

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define POLL_NEW (120 * SECOND)
#define POLL_ACTIVE (20 * SECOND)

/* Where the tails of all cases begin. */
#define TAIL (INT64_C(1800000000) * SECOND)

static const struct
{
	InqudPhase	phase;
	int64_t		after;			/* of the tail's begin */
	bool		over;
	int64_t		step;
	int64_t		until;			/* of the tail's begin; 0 = for ever */
	const char *name;
}			cases[] =
{
	{INQUD_PHASE_NEW, -HOUR, false, POLL_NEW, HOUR, "new, before its expiry"},
	{INQUD_PHASE_NEW, HOUR - 1, false, POLL_NEW, HOUR, "new, an hour beyond is not the end"},
	{INQUD_PHASE_NEW, HOUR, false, HOUR, 2 * DAY, "new, then hourly"},
	{INQUD_PHASE_NEW, 2 * DAY, false, DAY, 0, "new, then daily, for ever"},
	{INQUD_PHASE_NEW, 400 * DAY, false, DAY, 0, "new, a year later"},
	{INQUD_PHASE_ACTIVE, 0, false, POLL_ACTIVE, HOUR, "active, at its expiry"},
	{INQUD_PHASE_ACTIVE, HOUR, false, HOUR, 2 * DAY, "active, then hourly"},
	{INQUD_PHASE_ACTIVE, 3 * DAY, false, DAY, 0, "active, then daily, for ever"},
	{INQUD_PHASE_REOPENED, 0, false, POLL_ACTIVE, HOUR, "reopened, closely"},
	{INQUD_PHASE_REOPENED, HOUR, false, HOUR, 2 * DAY, "reopened, hourly"},
	{INQUD_PHASE_REOPENED, 2 * DAY, false, DAY, 9 * DAY, "reopened, daily"},
	{INQUD_PHASE_REOPENED, 9 * DAY, true, 0, 0, "reopened, over"},
	{INQUD_PHASE_LATE, 0, false, HOUR, 2 * DAY, "late, hourly for two days"},
	{INQUD_PHASE_LATE, 2 * DAY, false, DAY, 9 * DAY, "late, daily for seven"},
	{INQUD_PHASE_LATE, 9 * DAY, true, 0, 0, "late, over"},
	{INQUD_PHASE_CHECK, 0, false, 0, 4 * HOUR, "check, once, hours later"},
	{INQUD_PHASE_CHECK, 4 * HOUR, true, 0, 0, "check, over"}
};

static InqudPlan
plan_of(InqudPhase phase, int64_t after)
{
	return inqud_plan(phase, TAIL, TAIL + after, POLL_NEW, POLL_ACTIVE);
}

static void
test_cases(void)
{
	size_t		i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		InqudPlan	plan = plan_of(cases[i].phase, cases[i].after);
		bool		good = plan.over == cases[i].over;

		if (!plan.over)
			good = good && plan.step == cases[i].step &&
				plan.until == (cases[i].until ? TAIL + cases[i].until : INQUD_NEVER);
		ok(good, "%s", cases[i].name);
	}
}

/* Walk a checkout's life read by read; returns how many reads it took. */
static int
walk(InqudPhase phase, int64_t from, int64_t to, int64_t *last)
{
	int64_t		now = TAIL + from;
	int			reads = 0;

	while (now < TAIL + to)
	{
		InqudPlan	plan = inqud_plan(phase, TAIL, now, POLL_NEW, POLL_ACTIVE);
		int64_t		next = inqud_plan_next(&plan, 4711, now);

		if (plan.over)
			break;
		if (next <= now || next > plan.until)
		{
			ok(false, "a read lies ahead, and within its plan");
			return reads;
		}
		now = next;
		reads++;
	}
	*last = now - TAIL;
	return reads;
}

static void
test_walks(void)
{
	int64_t		last;
	int			reads;

	reads = walk(INQUD_PHASE_LATE, 0, 100 * DAY, &last);
	ok(reads >= 48 + 7 && reads <= 48 + 7 + 3, "late money is looked for %d times", reads);
	ok(last == 9 * DAY, "and for the last time when the nine days end");
	reads = walk(INQUD_PHASE_CHECK, 0, 100 * DAY, &last);
	ok(reads == 1 && last == 4 * HOUR, "one look for corrections");
	reads = walk(INQUD_PHASE_NEW, -HOUR, 30 * DAY, &last);
	ok(reads > 60 + 47 + 27 && last >= 30 * DAY, "an open one is never given up");
}

static void
test_edges(void)
{
	InqudPhase	phase;
	InqudPlan	plan;

	ok(inqud_phase_read("reopened", &phase) && phase == INQUD_PHASE_REOPENED, "a phase by its word");
	ok(!inqud_phase_read("later", &phase), "no phase");
	plan = inqud_plan(INQUD_PHASE_NEW, INT64_MAX, TAIL, POLL_NEW, POLL_ACTIVE);
	ok(!plan.over && plan.step == POLL_NEW, "an expiry beyond all clocks");
	ok(inqud_plan_next(&plan, INT64_MAX, TAIL) > TAIL, "and its next read");
	plan = plan_of(INQUD_PHASE_LATE, 9 * DAY);
	ok(inqud_plan_next(&plan, 1, TAIL + 9 * DAY) == TAIL + 9 * DAY, "the last read of a plan that is over is due");
}

int
main(void)
{
	test_cases();
	test_walks();
	test_edges();
	return tap_end();
}
