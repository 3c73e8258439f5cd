/*-------------------------------------------------------------------------
 *
 * fuzz_plan.c
 *		Any numbers as times, intervals and rates: some of them come from
 *		replies and options.  Overflow is what is looked for, and a clock that
 *		does not go on.
 *
 *-------------------------------------------------------------------------
 */
#include "client_internal.h"
#include "fuzz.h"

/* PostgreSQL's clock, in microseconds since 1970: what "now" can be. */
#define LAST_NOW INT64_C(9223371331200000000)

typedef struct Input
{
	int64_t		now;
	int64_t		tail_from;
	int64_t		step1;
	int64_t		step2;
	int64_t		id;
	double		rate;
	uint32_t	random;
	int32_t		attempts;
	uint8_t		phase;
} Input;

static void
check_plan(const Input *in)
{
	InqudPlan	plan = inqud_plan((InqudPhase) (in->phase % 5), in->tail_from, in->now,
								  in->step1, in->step2);
	int64_t		next = inqud_plan_next(&plan, in->id, in->now);

	if (plan.over)
		MUST(next == in->now);
	else
		MUST(next > in->now && next <= plan.until);
}

static void
check_tick(const Input *in)
{
	int64_t		step = in->step1 < 1 ? 1 : in->step1;
	int64_t		next = inqud_next_tick(in->id, in->step1, in->now);

	MUST(next > in->now);
	MUST(next == INT64_MAX || next - in->now <= step);
	/* a rhythm: the tick after it is one step later */
	if (next < INT64_MAX - step)
		MUST(inqud_next_tick(in->id, in->step1, next) == next + step);
}

static void
check_backoff(const Input *in)
{
	int64_t		least = in->step1 < 0 ? 0 : in->step1;
	int64_t		most = in->step2 < 0 ? 0 : in->step2;
	int64_t		wait = inqud_backoff_ms(in->attempts, in->step1, in->step2, in->random);

	if (least > most)
		least = most;
	MUST(wait >= least / 2 && wait <= most);
}

/* Calls as fast as they are allowed to come; never more than a day apart. */
static void
check_rate(const Input *in)
{
	int64_t		now = in->now < 0 ? 0 : in->now;
	int64_t		tat = in->tail_from < 0 ? 0 : in->tail_from;
	int64_t		wait;
	int			i;

	for (i = 0; i < 3; i++)
	{
		wait = inqud_rate_take(&tat, now, in->rate);
		MUST(wait >= 0 && wait <= INT64_C(86400000000));
		now += wait;
		if (wait > 0)
			MUST(inqud_rate_take(&tat, now, in->rate) == 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		in = {0};

	memcpy(&in, data, size < sizeof(in) ? size : sizeof(in));
	if (in.now > LAST_NOW)
		in.now = LAST_NOW;
	check_plan(&in);
	check_tick(&in);
	check_backoff(&in);
	check_rate(&in);
	return 0;
}
