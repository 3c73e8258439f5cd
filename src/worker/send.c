/*-------------------------------------------------------------------------
 *
 * send.c
 *		Starts claimed calls, and when the worker leaves, releases those not
 *		started and cancels those under way.
 *
 * A call stands in exactly one list at a time: "ready" or "running" of its
 * project, or "finished" of the worker.  This file must not touch the database.
 *
 *-------------------------------------------------------------------------
 */
#include "worker/state.h"

/* How long an outcome may wait for others that are written in the same transaction. */
#define GATHER_US 5000

void
inqud_drop_call(InqudCall *call)
{
	Followed   *followed = inqud_followed(call->checkout);

	if (followed)
		followed->busy = false;
	if (call->state->asked_again)
		inqud_due_set(&call->state->asked_due, DT_NOBEGIN);
	call->state->asked_again = false;
	inqud_alone_ended(call);
	inqud_under_way_forget(call);
	inqud_call_free(call);
}

/* A call has come to those whose outcome is to be written (1), or has gone (-1). */
static void
count_finished(const InqudCall *call, int n)
{
	worker.n_finished += n;
	if (call->locked)
		worker.n_locked += n;
	else
		call->state->n_unwritten[inqud_is_create(call)] += n;
}

void
inqud_finish_call(InqudCall *call)
{
	if (call->retry_at == 0)
		worker.write_by = Min(worker.write_by, inqud_clock_us() + GATHER_US);
	dlist_push_tail(&worker.finished, &call->node);
	count_finished(call, 1);
}

void
inqud_take_finished(InqudCall *call)
{
	dlist_delete(&call->node);
	count_finished(call, -1);
}

void
inqud_set_unsent(InqudCall *call, InqudOutcome outcome, const char *message, int64 retry_ms)
{
	call->outcome = outcome;
	call->message = MemoryContextStrdup(call->context, message);
	call->retry_in_ms = retry_ms;
}

static void
finish_unsent(InqudCall *call, InqudOutcome outcome, const char *message, int64 retry_ms)
{
	inqud_set_unsent(call, outcome, message, retry_ms);
	inqud_finish_call(call);
}

/*
 * The request could not be built.  If the order's amount or extra is at fault, its
 * create is refused.  For all other reasons, of the account or for want of memory,
 * the call is held and tried again in a second.
 */
static void
finish_unbuilt(InqudCall *call, InqudWhy why)
{
	if (inqud_why_is_the_orders(why))
	{
		call->fault = INQUD_FAULT_ORDER;
		finish_unsent(call, call->kind == INQUD_KIND_CREATE ? INQUD_REFUSED : INQUD_BLOCKED,
					  inqud_why_words(why), BLOCKED_MS);
	}
	else
		finish_unsent(call, INQUD_HELD, "", 1000);
}

/* Build the request of a call and start its transfer. */
static void
start_call(InqudCall *call)
{
	InqudWhy	why;

	inqud_under_way_note(call);
	/* built only now: the expiry counts from here, and each attempt needs a new salt */
	if (!inqud_call_build(call, &why))
	{
		finish_unbuilt(call, why);
		return;
	}
	call->started = inqud_clock_us();
	call->counting = &call->state->counting;
	call->transfer = inqud_transfer_start(worker.engine, &call->project->account,
										  call->request, call);
	if (call->transfer == NULL)
	{
		finish_unsent(call, INQUD_HELD, "", 1000);
		return;
	}
	dlist_push_tail(&call->state->running, &call->node);
	call->state->in_flight++;
	worker.n_in_flight++;
}

/* True if answers that cannot be written leave the next call a place. */
static bool
has_place(ProjectState *state)
{
	const InqudCall *next = dlist_container(InqudCall, node, dlist_head_node(&state->ready));
	int			kept = inqud_places_kept(state, inqud_is_create(next));

	return kept == 0 || state->in_flight + kept < inqud_state_window(state);
}

/* Take the first call that is ready out of its list. */
static InqudCall *
pop_ready(ProjectState *state)
{
	state->n_ready--;
	worker.n_ready--;
	return dlist_container(InqudCall, node, dlist_pop_head_node(&state->ready));
}

void
inqud_cut_off(InqudCall *call)
{
	inqud_call_end_transfer(call);
	inqud_set_unsent(call, call->kind == INQUD_KIND_CREATE ? INQUD_UNKNOWN : INQUD_HELD,
					 "the worker left before the answer came", call->project->retry_min_ms);
}

void
inqud_cancel_running(void)
{
	for (ProjectState *state = inqud_next_project(NULL); state; state = inqud_next_project(state))
	{
		while (!dlist_is_empty(&state->running))
		{
			InqudCall  *call = dlist_container(InqudCall, node, dlist_pop_head_node(&state->running));

			state->in_flight--;
			worker.n_in_flight--;
			inqud_cut_off(call);
			inqud_finish_call(call);
		}
	}
}

/*
 * The rate limit makes the first call that is ready wait; false if the others of its
 * project wait with it.  A short wait it stays ready for.  A longer one, or one that
 * is not that of other accounts, it waits for in the queue.
 */
static bool
put_off(ProjectState *state, int64 wait)
{
	InqudCall  *call;

	if (!state->accounts)
		inqud_state_wait(state, wait);
	if (!state->accounts && wait <= USECS_PER_SEC)
		return false;
	call = pop_ready(state);
	finish_unsent(call, INQUD_HELD, "", inqud_turn(call, wait));
	return state->accounts;
}

/* Start this project's ready calls, as far as its window and rate allow. */
static void
start_ready_of(ProjectState *state)
{
	while (state->n_ready > 0 && state->in_flight < inqud_state_window(state))
	{
		InqudCall  *call = dlist_head_element(InqudCall, node, &state->ready);
		int64		wait;

		if (inqud_is_quiet() && call != worker.alone)
			break;
		if (!has_place(state))
		{
			/* due at once, and claimed again when there is room */
			finish_unsent(pop_ready(state), INQUD_HELD, "", 0);
			continue;
		}
		wait = inqud_limiter_take(call->project, state->rate, INQUD_BY_WORKER);
		if (wait == 0)
			start_call(pop_ready(state));
		else if (!put_off(state, wait))
			break;
	}
}

void
inqud_start_ready(void)
{
	for (ProjectState *state = inqud_next_project(NULL); state; state = inqud_next_project(state))
		start_ready_of(state);
}

void
inqud_release_ready(void)
{
	for (ProjectState *state = inqud_next_project(NULL); state; state = inqud_next_project(state))
	{
		while (state->n_ready > 0)
			finish_unsent(pop_ready(state), INQUD_HELD, "", 0);
	}
}
