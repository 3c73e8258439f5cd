/*-------------------------------------------------------------------------
 *
 * transfer.c
 *		One call of a session: send it, wait for it, stay open to interrupts.
 *
 * The session keeps one engine, and so its connections, for its life.  The wait
 * is the server's own: latch, the engine's descriptor, its deadline and the
 * postmaster's death in one place, so that a cancel, a timeout or a termination
 * takes effect at once, in whatever phase the transfer is.  Nothing here is
 * called by libcurl.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "miscadmin.h"
#include "pg/counters.h"
#include "pg/shared.h"
#include "pg/worker.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

/* Sessions have one call at a time; a few more connections cover several projects. */
#define SESSION_CONNECTIONS 4

static InqudEngine *engine = NULL;
static WaitEventSet *events = NULL;

/* Where the calls of the project that was used last are counted. */
static InqudCounting counting;

/* What a call holds outside of memory contexts. */
typedef struct Holder
{
	InqudRequest *request;
	InqudTransfer *transfer;
	InqudReply *reply;
	InqudCounting counting;		/* of the transfer */
} Holder;

static void
let_go(void *arg)
{
	Holder	   *holder = arg;

	if (holder->transfer)
		inqud_count_canceled(&holder->counting);
	inqud_transfer_free(holder->transfer);
	inqud_request_free(holder->request);
	inqud_reply_free(holder->reply);
	memset(holder, 0, sizeof(Holder));
}

/* An empty holder that is let go with the context, made before anything it will hold. */
static Holder *
make_holder(MemoryContext context)
{
	Holder	   *holder = MemoryContextAllocZero(context, sizeof(Holder));
	MemoryContextCallback *callback = MemoryContextAllocZero(context, sizeof(*callback));

	callback->func = let_go;
	callback->arg = holder;
	MemoryContextRegisterResetCallback(context, callback);
	return holder;
}

void
inqud_request_free_with(InqudRequest *request, MemoryContext context)
{
	make_holder(context)->request = request;
}

static void
open_engine(void)
{
	if (engine == NULL)
		engine = inqud_engine_new(SESSION_CONNECTIONS, inqud_user_agent());
	if (engine == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("The HTTP client could not be started.")));
	if (events == NULL)
	{
		WaitEventSet *set = inqud_create_wait_event_set(3);

		AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
		AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
		AddWaitEventToSet(set, WL_SOCKET_READABLE, inqud_engine_fd(engine), NULL, NULL);
		events = set;
	}
}

/* Wait for the transfer's end.  Interrupts are errors and end it through the holder. */
static void
wait_for(InqudTransfer *transfer)
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
 * Wait for this call's turn under the project's rate limit.  0, or how many
 * microseconds too long the wait would be for the project's timeout.
 */
static int64
wait_for_turn(const InqudProject *project)
{
	int64		patience = project->account.timeout_ms * 1000;
	TimestampTz began = GetCurrentTimestamp();
	bool		waited = false;

	inqud_counting_open(&counting, project);
	for (;;)
	{
		int64		wait = inqud_limiter_take(project->limiter, project->rate_limit);

		if (wait == 0)
			return 0;
		if (!waited)
			inqud_count_wait(&counting);
		waited = true;
		if (GetCurrentTimestamp() - began + wait > patience)
			return wait;
		inqud_nap((long) (Min(wait, USECS_PER_SEC) / 1000 + 1), INQUD_WAIT_TURN);
	}
}

/* When the worker should read next what this session has just read. */
static int64
next_read_ms(const InqudProject *project, const InqudReply *reply)
{
	const InqudCheckout *checkout = inqud_reply_checkout(reply);

	if (checkout && strcmp(checkout->status, "NEW") != 0)
		return project->poll_active_ms;
	return project->poll_new_ms;
}

static void
judge(const InqudProject *project, const InqudTask *task, const InqudRequest *request,
	  const InqudResponse *response, InqudResult *result, Holder *holder)
{
	InqudOutcome outcome;

	holder->reply = inqud_reply_read(response, task->is_create,
									 task->is_create ? NULL : task->checkout_id);
	if (holder->reply == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	inqud_hide_in_reply(holder->reply, project, request);
	outcome = inqud_reply_outcome(holder->reply);
	/* a session repeats no read by itself */
	inqud_count_transfer(&counting, task->is_create, task->is_create && task->attempts > 1,
						 outcome, response);
	result->reply = holder->reply;
	result->outcome = inqud_outcome_name(outcome);
	result->message = inqud_outcome_text(holder->reply, response);
	result->http_status = response->http_status;
	result->retry_for_ms = project->retry_for_ms;
	result->read_in_ms = next_read_ms(project, holder->reply);
	if (outcome == INQUD_THROTTLED)
	{
		result->retry_in_ms = response->retry_after_ms >= 0 ?
			Min(response->retry_after_ms, INQUD_MAX_RETRY_AFTER) : project->retry_min_ms;
		inqud_limiter_pause(project->limiter, result->retry_in_ms);
	}
}

void
inqud_refuse_in_worker(void)
{
	if (inqud_in_worker)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("synchronous calls are not possible in the worker of inqud"),
				 errhint("In an on_status function, use inqud_enqueue_checkout or inqud_refresh.")));
}

/* The response stays with the transfer, which stays with the holder. */
static const InqudResponse *
run(const InqudProject *project, const InqudTask *task,
	const InqudRequest *request, InqudResult *result, Holder *holder)
{
	const InqudResponse *response;

	open_engine();
	memset(result, 0, sizeof(InqudResult));
	result->started = GetCurrentTimestamp();
	holder->counting = counting;
	holder->transfer = inqud_transfer_start(engine, &project->account, request, NULL);
	if (holder->transfer == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("The transfer could not be started.")));
	wait_for(holder->transfer);
	result->arrived = GetCurrentTimestamp();
	response = inqud_transfer_response(holder->transfer);
	judge(project, task, request, response, result, holder);
	return response;
}

static void
end_transfer(Holder *holder)
{
	inqud_transfer_free(holder->transfer);
	holder->transfer = NULL;
}

void
inqud_call(const InqudProject *project, const InqudTask *task,
		   const InqudRequest *request, InqudResult *result, MemoryContext context)
{
	Holder	   *holder = make_holder(context);
	int64		wait;

	inqud_refuse_in_worker();
	wait = wait_for_turn(project);
	if (wait > 0)
		inqud_raise_throttled(project, wait / 1000);
	(void) run(project, task, request, result, holder);
	end_transfer(holder);
}

/* Part with the kept connections, and with what is known of names. */
static void
close_engine(void)
{
	if (events)
		FreeWaitEventSet(events);
	events = NULL;
	inqud_engine_free(engine);
	engine = NULL;
}

int64
inqud_call_anew(const InqudProject *project, const InqudTask *task,
				const InqudRequest *request, InqudResult *result,
				InqudResponse *response, MemoryContext context)
{
	Holder	   *holder = make_holder(context);
	int64		wait = wait_for_turn(project);
	MemoryContext old;

	if (wait > 0)
		return wait;
	close_engine();
	memcpy(response, run(project, task, request, result, holder), sizeof(InqudResponse));
	old = MemoryContextSwitchTo(context);
	response->error = pstrdup(response->error);
	response->content_type = pstrdup(response->content_type);
	response->address = pstrdup(response->address);
	MemoryContextSwitchTo(old);
	response->body = NULL;
	response->body_len = 0;
	end_transfer(holder);
	return 0;
}
