/*-------------------------------------------------------------------------
 *
 * call.c
 *		What calls of sessions and of the worker have in common: what is due, the
 *		request, what the reply means, and the release of all of it.
 *
 * This file must not wait or touch a table, and libcurl must never call into it.
 *
 *-------------------------------------------------------------------------
 */
#include "shared/shared.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* The longest pause that a Retry-After of Inqud can cause, in ms. */
#define MAX_RETRY_AFTER (60 * 60 * 1000)

/* When this process may open no more descriptors: what is said, and when it is tried again, in ms. */
#define NO_DESCRIPTOR "not sent: the server process may open no more files; raise its limit (ulimit -n), or lower max_inflight"
#define NO_DESCRIPTOR_MS 2000

void
inqud_open_engine(InqudEngine **engine, WaitEventSet **events, int connections)
{
	WaitEventSet *set;

	if (*engine == NULL)
		*engine = inqud_engine_new(connections, inqud_user_agent());
	if (*engine == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("The HTTP client could not be started.")));
	if (*events != NULL)
		return;
	set = inqud_create_wait_event_set(3);
	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(set, WL_SOCKET_READABLE, inqud_engine_fd(*engine), NULL, NULL);
	*events = set;
}

/* Memory context callback. */
static void
release(void *arg)
{
	InqudCall  *call = arg;

	inqud_call_end_transfer(call);
	inqud_request_free(call->request);
	inqud_reply_free(call->reply);
	if (call->project)
		inqud_project_release(call->project);
}

InqudCall *
inqud_call_new(MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "inqud call", ALLOCSET_SMALL_SIZES);
	InqudCall  *call = MemoryContextAllocZero(context, sizeof(InqudCall));

	call->context = context;
	call->callback.func = release;
	call->callback.arg = call;
	MemoryContextRegisterResetCallback(context, &call->callback);
	return call;
}

void
inqud_call_free(InqudCall *call)
{
	MemoryContextDelete(call->context);
}

void
inqud_call_end_transfer(InqudCall *call)
{
	if (call->transfer && !call->counted)
		inqud_count_canceled(call->counting);
	call->counted = true;
	inqud_transfer_free(call->transfer);
	call->transfer = NULL;
}

static char *
next_as_utf8(RowReader *reader)
{
	return inqud_to_utf8(inqud_next_text(reader));
}

static void
set_order(InqudOrder *order, RowReader *reader)
{
	int64		expires_at;

	order->order_id = next_as_utf8(reader);
	order->name = next_as_utf8(reader);
	order->type = next_as_utf8(reader);
	order->amount = inqud_next_text(reader);
	order->currency = next_as_utf8(reader);
	order->return_url = next_as_utf8(reader);
	expires_at = inqud_next_time(reader);
	if (expires_at != INQUD_NEVER && expires_at != PG_INT64_MIN)
		order->expires_at = expires_at;
	order->extra = next_as_utf8(reader);
}

void
inqud_call_set_due(InqudCall *call, HeapTuple tuple, TupleDesc desc)
{
	RowReader	reader;
	MemoryContext old = MemoryContextSwitchTo(call->context);

	inqud_reader_begin(&reader, tuple, desc);
	call->checkout = inqud_next_int8(&reader);
	call->kind = inqud_kind_of(inqud_next_text(&reader));
	call->lease = inqud_next_int8(&reader);
	call->poke = inqud_next_int4(&reader);
	call->attempts = inqud_next_int4(&reader);
	call->answers = inqud_next_int4(&reader);
	call->due_at = inqud_next_time(&reader);
	call->server = inqud_next_text(&reader);
	call->project_id = inqud_next_text(&reader);
	call->role = DatumGetObjectId(inqud_next(&reader));
	call->owner_id = inqud_next_int4(&reader);
	call->checkout_id = inqud_next_text(&reader);
	call->status = inqud_next_text(&reader);
	if (call->kind == INQUD_KIND_CREATE)
		set_order(&call->order, &reader);
	MemoryContextSwitchTo(old);
}

bool
inqud_call_build(InqudCall *call, InqudWhy *why)
{
	const InqudAccount *account = &call->project->account;

	if (call->kind != INQUD_KIND_CREATE)
		call->request = inqud_request_read_checkout(account, &inqud_crypto, call->checkout_id, why);
	else
	{
		if (call->order.expires_at == 0)
		{
			/* in whole seconds: a payment window need not be finer */
			call->order.expires_at = inqud_to_unix(GetCurrentTimestamp()) + call->project->expires_in_ms * 1000;
			call->order.expires_at -= call->order.expires_at % USECS_PER_SEC;
		}
		call->request = inqud_request_create_checkout(account, &inqud_crypto, &call->order, why);
	}
	return call->request != NULL;
}

/* Read the reply; NULL when out of memory or stopped. */
static InqudReply *
read_reply(const InqudCall *call, const InqudResponse *response, InqudGoOn go_on)
{
	bool		creates = call->kind == INQUD_KIND_CREATE;
	InqudHider *hider = inqud_project_hider(call->project, call->request);
	InqudReply *reply = NULL;

	/* what may hold a secret is not read without it */
	if (hider)
		reply = inqud_reply_read(response, creates, creates ? NULL : call->checkout_id, hider, go_on);
	inqud_hider_free(hider);
	return reply;
}

bool
inqud_call_judge(InqudCall *call, int64 pause_ms, InqudGoOn go_on)
{
	const InqudResponse *response = inqud_transfer_response(call->transfer);
	bool		creates = call->kind == INQUD_KIND_CREATE;
	MemoryContext old;

	call->reply = read_reply(call, response, go_on);
	if (call->reply == NULL && go_on != NULL && !go_on())
		return false;
	old = MemoryContextSwitchTo(call->context);
	/* out of memory while reading the reply: same as no answer */
	call->outcome = call->reply ? inqud_reply_outcome(call->reply) : INQUD_UNKNOWN;
	call->message = call->reply ? inqud_outcome_text(call->reply, response) : "out of memory";
	call->http_status = response->http_status;
	MemoryContextSwitchTo(old);
	if (response->no_descriptor)
	{
		/* not Inqud's fault, and no call: it counts as canceled */
		call->outcome = INQUD_BLOCKED;
		call->fault = INQUD_FAULT_DESCRIPTORS;
		call->message = NO_DESCRIPTOR;
		call->retry_in_ms = NO_DESCRIPTOR_MS;
		return true;
	}
	/* a first create is attempt 1, a first read attempt 0 */
	inqud_count_transfer(call->counting, creates, call->attempts > (creates ? 1 : 0),
						 call->outcome, response);
	call->counted = true;
	if (call->outcome == INQUD_THROTTLED)
	{
		call->retry_in_ms = response->retry_after_ms >= 0 ?
			Min(response->retry_after_ms, MAX_RETRY_AFTER) : pause_ms;
		inqud_limiter_pause(call->project, call->retry_in_ms);
	}
	return true;
}
