/*-------------------------------------------------------------------------
 *
 * complete.c
 *		What the calls brought, back into the tables.
 *
 * What has finished meanwhile is written in batches, each one transaction, flushed
 * before anybody can see a URL.  If that transaction fails at any point, the
 * commit included, each outcome is redone in one of its own; what cannot be
 * written even so stays here and is tried again, and stops nobody else.
 *
 * A read whose reply hashes as the last one did needs no transaction at all.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/dispatch.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Outcomes written in one transaction: as many as make a commit cheap. */
#define BATCH 128

/* What is locked elsewhere is tried again after this long. */
#define LOCKED_US (200 * 1000)

/* What a transaction said about one outcome; copied out of it. */
typedef struct Answer
{
	int64		checkout;
	char		result[8];		/* done, same, locked, gone */
	char		kind[8];		/* "" = no longer followed */
	char		phase[12];
	TimestampTz tail_from;
} Answer;

static uint32
any_number(void)
{
	uint32		n;

	if (!pg_strong_random(&n, sizeof(n)))
		n = (uint32) GetCurrentTimestamp();
	return n;
}

/* ---------------------------------------------------------------------
 * Judging
 * ---------------------------------------------------------------------
 */

/* How long until it should be tried again, and who else has to wait. */
static int64
delay_after(Job *job, InqudOutcome outcome, const InqudResponse *response)
{
	const InqudProject *project = job->project;
	Followed   *followed;
	int			attempts = job->task->attempts;
	int64		ms;

	switch (outcome)
	{
		case INQUD_OK:
		case INQUD_REFUSED:
			job->lane->throttled = 0;
			if (outcome == INQUD_OK)
				inqud_unpause(inqud_pause_key(project));
			if (job->task->is_create || outcome == INQUD_OK)
				return 0;
			break;
		case INQUD_AUTH:
		case INQUD_ROUTE:
			return inqud_pause(inqud_pause_key(project),
							   project->retry_min_ms, project->retry_max_ms);
		case INQUD_THROTTLED:
			job->lane->throttled = Min(job->lane->throttled + 1, 30);
			ms = response->retry_after_ms >= 0 ?
				Min(response->retry_after_ms, INQUD_MAX_RETRY_AFTER) :
				inqud_backoff_ms(job->lane->throttled, project->retry_min_ms,
								 project->retry_max_ms, any_number());
			inqud_limiter_pause(project->limiter, ms);
			return ms;
		default:
			break;
	}
	followed = inqud_followed(job->task->checkout);
	if (!job->task->is_create)
		attempts = Max(attempts, followed ? followed->attempts : 0) + 1;
	return inqud_backoff_ms(Max(attempts, 1), project->retry_min_ms,
							project->retry_max_ms, any_number());
}

/* Does this call repeat one that has failed?  (A first create is attempt 1, a first read 0.) */
static bool
is_retry(Job *job)
{
	Followed   *followed;

	if (job->task->is_create)
		return job->task->attempts > 1;
	followed = inqud_followed(job->task->checkout);
	return job->task->attempts > 0 || (followed != NULL && followed->attempts > 0);
}

static void
judge(Job *job)
{
	const InqudResponse *response = inqud_transfer_response(job->transfer);
	InqudOutcome outcome;
	MemoryContext old;

	job->reply = inqud_reply_read(response, job->task->is_create,
								  job->task->is_create ? NULL : job->task->checkout_id);
	if (job->reply)
		inqud_hide_in_reply(job->reply, job->project, job->request);
	/* out of memory: as if no answer had come */
	outcome = job->reply ? inqud_reply_outcome(job->reply) : INQUD_UNKNOWN;
	old = MemoryContextSwitchTo(job->task->context);
	job->message = job->reply ? inqud_outcome_text(job->reply, response) : pstrdup("out of memory");
	MemoryContextSwitchTo(old);
	inqud_count_transfer(&job->lane->counting, job->task->is_create, is_retry(job),
						 outcome, response);
	job->result.reply = job->reply;
	job->result.outcome = inqud_outcome_name(outcome);
	job->result.message = job->message;
	job->result.http_status = response->http_status;
	job->result.arrived = GetCurrentTimestamp();
	job->result.retry_in_ms = delay_after(job, outcome, response);
	job->result.retry_for_ms = job->project->retry_for_ms;
	job->result.read_in_ms = job->project->poll_new_ms;
}

/* Has the last read of its plan just been made?  Then its row has nothing more to do. */
static void
settle_or_schedule(Followed *followed, TimestampTz started)
{
	if (followed->until <= started)
	{
		InqudPlan	plan = inqud_plan((InqudPhase) followed->phase,
									  inqud_to_unix(followed->tail_from),
									  inqud_to_unix(started),
									  followed->lane->poll_new, followed->lane->poll_active);

		if (plan.over)
		{
			MemoryContext old = MemoryContextSwitchTo(worker.context);
			int64	   *id = palloc(sizeof(int64));

			*id = followed->id;
			worker.settled = lappend(worker.settled, id);
			MemoryContextSwitchTo(old);
			inqud_forget(followed->id);
			return;
		}
	}
	inqud_schedule(followed, 0);
}

/* Nothing new, and nothing in the tables that should change. */
static bool
nothing_new(Job *job, Followed *followed)
{
	return !job->task->is_create && !job->task->is_poked && followed != NULL &&
		followed->attempts == 0 && followed->hash != 0 &&
		strcmp(job->result.outcome, inqud_outcome_name(INQUD_OK)) == 0 &&
		inqud_reply_hash(job->reply) == followed->hash;
}

/* Take what has ended from the engine. */
void
inqud_collect(void)
{
	InqudTransfer *transfer;

	while ((transfer = inqud_engine_done(worker.engine)) != NULL)
	{
		Job		   *job = inqud_transfer_owner(transfer);
		Followed   *followed = inqud_followed(job->task->checkout);

		dlist_delete(&job->node);
		job->lane->in_flight--;
		worker.n_in_flight--;
		inqud_count_ended(job->lane);
		judge(job);
		inqud_transfer_free(job->transfer);
		job->transfer = NULL;
		if (nothing_new(job, followed))
		{
			settle_or_schedule(followed, job->result.started);
			inqud_job_free(job);
		}
		else
			inqud_job_finish(job);
	}
}

/* ---------------------------------------------------------------------
 * Writing
 * ---------------------------------------------------------------------
 */

static void
read_answer(Answer *answer, HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	char	   *text;

	memset(answer, 0, sizeof(Answer));
	answer->checkout = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
	strlcpy(answer->result, SPI_getvalue(tuple, desc, 2), sizeof(answer->result));
	if ((text = SPI_getvalue(tuple, desc, 4)) != NULL)
		strlcpy(answer->kind, text, sizeof(answer->kind));
	if ((text = SPI_getvalue(tuple, desc, 5)) != NULL)
		strlcpy(answer->phase, text, sizeof(answer->phase));
	answer->tail_from = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 6, &isnull));
	if (isnull)
		answer->tail_from = 0;
}

/* One transaction for n outcomes; the answers come in their order. */
static void
write_jobs(Job **jobs, int n, Answer *answers)
{
	static const char *const types[] = {"_outcome[]"};
	static InqudStatement statement = {
		"SELECT * FROM inqud._complete($1)", 1, types
	};
	Datum	   *outcomes = MemoryContextAlloc(worker.turn, sizeof(Datum) * n);
	Datum		array;
	InqudRole	role;
	int			i;

	inqud_worker_begin(&role, true);
	for (i = 0; i < n; i++)
		outcomes[i] = inqud_outcome_datum(jobs[i]->task, &jobs[i]->result);
	array = PointerGetDatum(construct_array(outcomes, n, inqud_type_oid("_outcome"), -1, false,
											TYPALIGN_DOUBLE));
	if (inqud_execute(&statement, &array, NULL) != (uint64) n)
		elog(ERROR, "inqud._complete did not answer for each of %d outcomes", n);
	for (i = 0; i < n; i++)
		read_answer(&answers[i], SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
	inqud_worker_commit(&role);
}

/* The followed checkout of an outcome that is written. */
static void
follow_up(Job *job, const Answer *answer)
{
	Lane	   *lane = job->lane;
	Followed   *followed = inqud_followed(answer->checkout);
	TimestampTz now = GetCurrentTimestamp();
	bool		ok = strcmp(job->result.outcome, inqud_outcome_name(INQUD_OK)) == 0;

	/* a number of the inbox is nothing to be followed */
	if (job->task->is_found)
		inqud_forget(job->task->checkout);
	/* the answer to a create that somebody else recorded: what is followed stays so */
	if (job->task->is_create && strcmp(answer->result, "gone") == 0)
		return;
	if (strcmp(answer->kind, "create") == 0)
		lane->create_due = Min(lane->create_due, now + job->result.retry_in_ms * 1000);
	else if (strcmp(answer->kind, "found") == 0 || strcmp(answer->kind, "poked") == 0)
		worker.look = true;
	if (strcmp(answer->kind, "active") != 0 && strcmp(answer->kind, "idle") != 0)
	{
		if (followed)
			inqud_forget(answer->checkout);
		return;
	}
	followed = inqud_follow(answer->checkout, lane, answer->phase, answer->tail_from);
	followed->busy = false;
	if (ok)
	{
		followed->attempts = 0;
		followed->hash = inqud_reply_hash(job->reply);
		if (!job->task->is_create)
		{
			/* by the plan as it was when the read began */
			InqudPlan	plan = inqud_plan((InqudPhase) followed->phase,
										  inqud_to_unix(followed->tail_from),
										  inqud_to_unix(job->result.started),
										  lane->poll_new, lane->poll_active);

			followed->until = plan.over ? job->result.started : INQUD_FAR;
			settle_or_schedule(followed, job->result.started);
			return;
		}
		inqud_schedule(followed, 0);
		return;
	}
	followed->attempts = Min(followed->attempts + 1, 30);
	followed->hash = 0;
	inqud_schedule(followed, now + job->result.retry_in_ms * 1000);
}

/* It could not be written now: keep it, and let the others pass. */
static void
keep(Job *job, int64 usec)
{
	job->retry_at = GetCurrentTimestamp() + usec;
	inqud_job_finish(job);
}

static void
written(Job *job, const Answer *answer)
{
	if (strcmp(answer->result, "locked") == 0)
	{
		keep(job, LOCKED_US);
		return;
	}
	follow_up(job, answer);
	/* it may have queued a call of on_status */
	if (job->project && job->project->on_status)
		worker.look = true;
	inqud_job_free(job);
}

/* Write one outcome; on failure keep it, later and later. */
static void
write_alone(Job *job)
{
	Answer		answer;
	volatile bool ok = false;

	PG_TRY();
	{
		write_jobs(&job, 1, &answer);
		ok = true;
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(worker.turn);
		EmitErrorReport();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		MemoryContextSwitchTo(worker.turn);
		RESUME_INTERRUPTS();
		job->failures = Min(job->failures + 1, 10);
		keep(job, (INT64CONST(1) << job->failures) * 100 * 1000);
	}
	PG_END_TRY();
	if (ok)
		written(job, &answer);
}

/* Write n outcomes together; false when that failed and each must be tried alone. */
static bool
write_together(Job **jobs, int n, Answer *answers)
{
	volatile bool ok = false;

	if (n == 1)
		return false;
	PG_TRY();
	{
		write_jobs(jobs, n, answers);
		ok = true;
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(worker.turn);
		FlushErrorState();
		AbortOutOfAnyTransaction();
		MemoryContextSwitchTo(worker.turn);
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	return ok;
}

/* Is there anything to write for it?  A read that was never made has changed nothing. */
static bool
needs_no_writing(Job *job)
{
	Followed   *followed;

	if (job->task->is_create || job->task->is_poked ||
		strcmp(job->result.outcome, "held") != 0)
		return false;
	followed = inqud_followed(job->task->checkout);
	if (followed)
		inqud_schedule(followed, GetCurrentTimestamp() + job->result.retry_in_ms * 1000);
	inqud_job_free(job);
	return true;
}

/* Has its project nothing else that was claimed and waits to be started?  Then this is not one of many. */
static bool
is_light(Job *job)
{
	return job->lane->n_ready == 0;
}

/* Take up to BATCH jobs whose time has come off the list, light ones or the others. */
static int
take_batch(Job **jobs, bool light, TimestampTz now)
{
	dlist_mutable_iter iter;
	int			n = 0;

	dlist_foreach_modify(iter, &worker.finished)
	{
		Job		   *job = dlist_container(Job, node, iter.cur);

		if (n == BATCH)
			break;
		if (job->retry_at > now || is_light(job) != light)
			continue;
		dlist_delete(&job->node);
		worker.n_finished--;
		if (!needs_no_writing(job))
			jobs[n++] = job;
	}
	return n;
}

static void
write_settled(void)
{
	static const char *const types[] = {"int8[]"};
	static InqudStatement statement = {
		"SELECT inqud._settle($1)", 1, types
	};
	int			n = list_length(worker.settled);
	Datum	   *ids = MemoryContextAlloc(worker.turn, sizeof(Datum) * n);
	Datum		array;
	InqudRole	role;
	int			i;

	for (i = 0; i < n; i++)
		ids[i] = Int64GetDatum(*(int64 *) list_nth(worker.settled, i));
	/* if this fails, the rows are found again at the next start */
	list_free_deep(worker.settled);
	worker.settled = NIL;
	inqud_worker_begin(&role, false);
	array = PointerGetDatum(construct_array(ids, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
											TYPALIGN_DOUBLE));
	inqud_execute(&statement, &array, NULL);
	inqud_worker_commit(&role);
}

/*
 * Fresh outcomes of a project with many are gathered while more calls than that
 * are ready and can go on meanwhile, and not for long.  When there is little to do
 * they are written at once.
 */
static bool
gathering(TimestampTz now)
{
	/* without fresh ones there is nothing to gather, and no end to it */
	return worker.write_by != INQUD_FAR && now < worker.write_by &&
		worker.n_ready > worker.n_finished && worker.n_finished < BATCH && !worker.leaving;
}

/* When outcomes are to be written next; INQUD_FAR = there are none. */
TimestampTz
inqud_next_write(void)
{
	TimestampTz next = INQUD_FAR;
	TimestampTz fresh = gathering(GetCurrentTimestamp()) ? worker.write_by : 0;
	dlist_iter	iter;

	dlist_foreach(iter, &worker.finished)
	{
		Job		   *job = dlist_container(Job, node, iter.cur);

		/* 0 = fresh */
		next = Min(next, is_light(job) ? job->retry_at : Max(job->retry_at, fresh));
	}
	return next;
}

static void
write_out(bool light)
{
	Job		   *jobs[BATCH];
	Answer		answers[BATCH];
	/* what is kept meanwhile waits for the next time */
	TimestampTz now = GetCurrentTimestamp();
	int			n;
	int			i;

	while ((n = take_batch(jobs, light, now)) > 0)
	{
		if (write_together(jobs, n, answers))
		{
			for (i = 0; i < n; i++)
				written(jobs[i], &answers[i]);
		}
		else
		{
			for (i = 0; i < n; i++)
				write_alone(jobs[i]);
		}
		inqud_database_news(worker.slot);
		/* a good turn: should this worker end badly, it is not the first failure of many */
		worker.slot->failures = 0;
	}
}

/*
 * Write back all that has finished and whose time has come: the single orders of
 * some projects before the many of another.
 */
void
inqud_write_back(void)
{
	write_out(true);
	if (!gathering(GetCurrentTimestamp()))
	{
		worker.write_by = INQUD_FAR;
		write_out(false);
	}
	if (worker.settled != NIL)
		write_settled();
}
