/*-------------------------------------------------------------------------
 *
 * call_now.c
 *		Sends one call in the caller's backend and waits for its end, while
 *		interrupts are handled.
 *
 * A backend keeps one engine, and with it its connections, until it ends.  The
 * server's own wait event set waits for the latch, the engine's descriptor, the
 * engine's deadline and the postmaster's death at once.  So a cancel, a timeout or
 * a termination takes effect immediately, in every phase of a transfer.
 *
 * It must not write to a table, and libcurl must never call into this file: an
 * ereport would jump over libcurl's frames.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "miscadmin.h"
#include "storage/fd.h"

/* Sessions have one call at a time; a few more connections cover several projects. */
#define SESSION_CONNECTIONS 4
#define SESSION_DESCRIPTORS (SESSION_CONNECTIONS + 1)

static InqudEngine *engine = NULL;
static WaitEventSet *events = NULL;
static bool reserved = false;	/* the engine's descriptors are counted */

/* The place in shared memory that counts the calls of the project used last. */
static InqudCounting counting;

void
inqud_check_project_id(const InqudCall *call)
{
	const InqudProject *project = call->project;

	if (strcmp(call->project_id, project->account.project_id) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("checkout " INT64_FORMAT " belongs to another project of Inqud", call->checkout),
				 errdetail("It was made for project_id \"%s\", and server \"%s\" says \"%s\" now.",
						   call->project_id, project->name, project->account.project_id)));
}

/* Wait until the transfer has ended.  An interrupt is an error, and the call's release then cancels the transfer. */
static void
wait_for_transfer(InqudTransfer *transfer)
{
	for (;;)
	{
		WaitEvent	event;
		InqudTransfer *done;

		CHECK_FOR_INTERRUPTS();
		(void) inqud_engine_step(engine);
		while ((done = inqud_engine_done(engine)) != NULL)
		{
			if (done == transfer)
				return;
		}
		(void) WaitEventSetWait(events, inqud_engine_timeout(engine), &event, 1,
								inqud_wait_event(INQUD_WAIT_TRANSFER));
		ResetLatch(MyLatch);
	}
}

/*
 * Wait for this call's turn under the project's rate limit, for at most the
 * project's option "timeout".  Returns 0 when it may be sent, or, if the turn comes
 * later than that, how many microseconds it is away.
 */
static int64
wait_for_turn(const InqudProject *project)
{
	int64		patience = project->account.timeout_ms * 1000;
	InqudClock	began = inqud_clock_us();
	bool		waited = false;

	inqud_counting_open(&counting, project);
	for (;;)
	{
		int64		wait = inqud_limiter_take(project, project->rate_limit, INQUD_BY_SESSION);

		if (wait == 0)
			return 0;
		if (!waited)
			inqud_count_wait(&counting);
		waited = true;
		if (inqud_clock_us() - began + wait > patience)
		{
			inqud_limiter_give_up(project);
			return wait;
		}
		inqud_nap((long) (Min(wait, USECS_PER_SEC) / 1000 + 1), INQUD_WAIT_TURN);
	}
}

/* Open the engine, and count its descriptors among those that this process may open. */
static void
open_engine(void)
{
	int			i;

	inqud_open_engine(&engine, &events, SESSION_CONNECTIONS);
	for (i = 0; !reserved && i < SESSION_DESCRIPTORS; i++)
		ReserveExternalFD();
	reserved = true;
}

/* True unless the statement is to end; other interrupts can wait for the reply to be read. */
static bool
may_go_on(void)
{
	return !QueryCancelPending && !ProcDiePending;
}

/* Send the request, wait for its end and judge it. */
static void
send_and_wait(InqudCall *call)
{
	open_engine();
	call->counting = &counting;
	call->transfer = inqud_transfer_start(engine, &call->project->account, call->request, NULL);
	if (call->transfer == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("The transfer could not be started.")));
	wait_for_transfer(call->transfer);
	if (inqud_call_judge(call, call->project->retry_min_ms, may_go_on))
		return;
	CHECK_FOR_INTERRUPTS();
	/* interrupts are held back */
	(void) inqud_call_judge(call, call->project->retry_min_ms, NULL);
}

static void
build(InqudCall *call)
{
	InqudWhy	why;
	bool		creates = call->kind == INQUD_KIND_CREATE;

	if (!inqud_call_build(call, &why))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("could not build the request for %s \"%s\"", creates ? "order" : "checkout",
						creates ? inqud_readable(call->order.order_id) : call->checkout_id),
				 errdetail("Reason: %s.", inqud_why_words(why))));
}

void
inqud_call_now(InqudCall *call)
{
	int64		wait;

	inqud_refuse_in_worker();
	build(call);
	wait = wait_for_turn(call->project);
	if (wait > 0)
		inqud_raise_throttled(call->project, wait / 1000);
	send_and_wait(call);
	inqud_call_end_transfer(call);
	if (call->outcome != INQUD_OK)
		inqud_raise_outcome(call);
}

/* Close the engine: drops kept connections and the DNS cache. */
static void
close_engine(void)
{
	int			i;

	for (i = 0; reserved && i < SESSION_DESCRIPTORS; i++)
		ReleaseExternalFD();
	reserved = false;
	if (events)
		FreeWaitEventSet(events);
	events = NULL;
	inqud_engine_free(engine);
	engine = NULL;
}

int64
inqud_call_anew(InqudCall *call)
{
	int64		wait = wait_for_turn(call->project);

	if (wait > 0)
		return wait;
	close_engine();
	send_and_wait(call);
	return 0;
}
