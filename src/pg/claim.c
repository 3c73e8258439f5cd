/*-------------------------------------------------------------------------
 *
 * claim.c
 *		Takes what is due from the tables and the schedule.
 *
 * Per project, by its free window and its rate: creates first, then reads that
 * somebody asked for, then those of active and of idle checkouts.  What cannot
 * be started soon is not claimed, so no backlog of one project delays another,
 * and a backlog of reads never builds up.
 *
 * Claims are one short transaction; the calls start after its commit.  Losing
 * the commit in a crash would only repeat calls whose answers nobody has seen,
 * so it is not flushed.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/dispatch.h"

#include "catalog/pg_type.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* A claim that found nothing is not repeated at once: somebody has the rows locked. */
#define HOLD_US (100 * 1000)

/* Rows taken at a time for a project whose server is gone; they only get an error. */
#define GONE_WINDOW 100

/* ---------------------------------------------------------------------
 * Accounts
 * ---------------------------------------------------------------------
 */

/* Look the account up, as the owner of the row; false with the reason in *why. */
static bool
find_account(Job *job, char **why)
{
	InqudTask  *task = job->task;
	Oid			owner = task->owner ? get_role_oid(task->owner, true) : InvalidOid;
	InqudProblem problem;

	if (!OidIsValid(owner))
	{
		*why = psprintf("role \"%s\" does not exist any more", task->owner ? task->owner : "");
		return false;
	}
	job->project = inqud_project_lookup(task->project, owner,
										INQUD_NEED_USAGE | INQUD_NEED_CREDENTIALS, &problem);
	if (job->project == NULL)
	{
		*why = problem.message;
		return false;
	}
	if (task->project_id &&
		strcmp(job->project->account.project_id, task->project_id) != 0)
	{
		*why = psprintf("made for project_id \"%s\", but server \"%s\" says \"%s\" now",
						task->project_id, task->project, job->project->account.project_id);
		return false;
	}
	return true;
}

/* Decide what becomes of a claimed task: a job that is ready, or an outcome at once. */
static void
add_job(InqudTask *task, Lane *lane, dlist_head *fresh)
{
	Job		   *job = inqud_job_new(task, lane);
	Followed   *followed = inqud_followed(task->checkout);
	char	   *why;
	TimestampTz paused;

	/* first, so that an error below finds it and gives it up */
	dlist_push_tail(fresh, &job->node);
	if (followed)
		followed->busy = true;
	if (!find_account(job, &why))
	{
		job->message = MemoryContextStrdup(task->context, inqud_to_utf8(why));
		job->result.outcome = "blocked";
	}
	else
	{
		inqud_lane_options(lane, job->project);
		paused = inqud_paused_until(inqud_pause_key(job->project));
		if (paused > GetCurrentTimestamp())
			job->result.outcome = "held";
	}
}

/* ---------------------------------------------------------------------
 * What is due
 * ---------------------------------------------------------------------
 */

static void
note_due(HeapTuple tuple, TupleDesc desc)
{
	char	   *project = SPI_getvalue(tuple, desc, 1);
	char	   *kind = SPI_getvalue(tuple, desc, 2);
	bool		isnull;
	TimestampTz due = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 3, &isnull));

	if (strcmp(kind, "hook") == 0)
		inqud_lane(project)->hook_due = due;
	else if (strcmp(kind, "create") == 0)
		inqud_lane(project)->create_due = due;
	else if (strcmp(kind, "found") == 0)
		inqud_lane(project)->found_due = due;
	else if (strcmp(kind, "inbox") == 0)
		worker.inbox_due = Min(worker.inbox_due, due);
	else
		inqud_lane(project)->poked_due = due;
}

/*
 * Read the options of projects that are new here.  Rows of one whose server is
 * gone get an error and no call, so they need neither window nor rate.
 */
void
inqud_learn_options(Lane *lane)
{
	InqudProblem problem;
	InqudProject *project = inqud_project_lookup(lane->project, GetUserId(), 0, &problem);

	if (project)
	{
		inqud_lane_options(lane, project);
		inqud_project_release(project);
	}
	else if (!OidIsValid(get_foreign_server_oid(lane->project, true)))
	{
		lane->window = GONE_WINDOW;
		lane->rate = 0;
	}
}

static void
learn_options(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &worker.lanes)
	{
		Lane	   *lane = dlist_container(Lane, node, iter.cur);

		if (!lane->known)
			inqud_learn_options(lane);
	}
}

/* Ask the tables when the next row of each project is due. */
void
inqud_look(void)
{
	static const char *const types[] = {"int8"};
	static InqudStatement statement = {
		"SELECT * FROM inqud._look($1)", 1, types
	};
	Datum		home = Int64GetDatum(worker.home);
	InqudRole	role;
	dlist_iter	iter;
	uint64		n;
	uint64		i;

	worker.look = false;
	inqud_worker_begin(&role, false);
	n = inqud_execute(&statement, &home, NULL);
	worker.inbox_due = INQUD_FAR;
	dlist_foreach(iter, &worker.lanes)
	{
		Lane	   *lane = dlist_container(Lane, node, iter.cur);

		lane->create_due = lane->poked_due = lane->found_due = lane->hook_due = INQUD_FAR;
	}
	for (i = 0; i < n; i++)
		note_due(SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
	learn_options();
	inqud_worker_commit(&role);
}

/* ---------------------------------------------------------------------
 * Claims
 * ---------------------------------------------------------------------
 */

static int
claim_creates(Lane *lane, int n, dlist_head *fresh)
{
	static const char *const types[] = {"int8", "text", "int4", "int8"};
	static InqudStatement statement = {
		"SELECT * FROM inqud._claim($1, $2, $3, $4)", 4, types
	};
	Datum		values[4];
	uint64		found;
	uint64		i;

	values[0] = Int64GetDatum(worker.home);
	values[1] = CStringGetTextDatum(lane->project);
	values[2] = Int32GetDatum(n);
	values[3] = Int64GetDatum(worker.lease);
	found = inqud_execute(&statement, values, NULL);
	for (i = 0; i < found; i++)
		add_job(inqud_task_from_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, worker.context),
				lane, fresh);
	if (found < (uint64) n)
	{
		/* done for now; when the next one is due only the table knows */
		lane->create_due = INQUD_FAR;
		worker.look = true;
	}
	return (int) found;
}

/* Reads that were asked for stay in the table until they are done, so skip those under way. */
static int
claim_asked(InqudStatement *statement, Lane *lane, int n, dlist_head *fresh)
{
	Datum		values[3];
	uint64		found;
	uint64		i;
	int			taken = 0;

	values[0] = Int64GetDatum(worker.home);
	values[1] = CStringGetTextDatum(lane->project);
	values[2] = Int32GetDatum(n + lane->in_flight + lane->n_ready + worker.n_finished);
	found = inqud_execute(statement, values, NULL);
	for (i = 0; i < found && taken < n; i++)
	{
		InqudTask  *task = inqud_task_from_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc,
												 worker.context);
		Followed   *followed = inqud_followed(task->checkout);

		if (followed && followed->busy)
		{
			inqud_task_free(task);
			continue;
		}
		if (followed == NULL)
			(void) inqud_follow(task->checkout, lane, "check", GetCurrentTimestamp());
		add_job(task, lane, fresh);
		taken++;
	}
	if (taken < n)
		worker.look = true;
	return taken;
}

static const char *const asked_types[] = {"int8", "text", "int4"};

static int
claim_poked(Lane *lane, int n, dlist_head *fresh)
{
	static InqudStatement statement = {
		"SELECT * FROM inqud._poked($1, $2, $3)", 3, asked_types
	};
	int			taken = claim_asked(&statement, lane, n, fresh);

	if (taken < n)
		lane->poked_due = INQUD_FAR;
	return taken;
}

static int
claim_found(Lane *lane, int n, dlist_head *fresh)
{
	static InqudStatement statement = {
		"SELECT * FROM inqud._found($1, $2, $3)", 3, asked_types
	};
	int			taken = claim_asked(&statement, lane, n, fresh);

	if (taken < n)
		lane->found_due = INQUD_FAR;
	return taken;
}

/* Read those whose turn it is by the worker's own clock. */
static int
claim_reads(Lane *lane, int n, dlist_head *fresh)
{
	static const char *const types[] = {"int8[]"};
	static InqudStatement statement = {
		"SELECT * FROM inqud._read($1)", 1, types
	};
	TimestampTz now = GetCurrentTimestamp();
	Datum	   *ids = palloc(sizeof(Datum) * n);
	Datum		array;
	Followed   *followed;
	int			asked = 0;
	uint64		found;
	uint64		i;

	while (asked < n && (followed = inqud_next_read(lane, now)) != NULL)
	{
		/* under way already because somebody asked for it: that read serves too */
		if (followed->busy)
			continue;
		ids[asked++] = Int64GetDatum(followed->id);
	}
	if (asked == 0)
		return 0;
	array = PointerGetDatum(construct_array(ids, asked, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
											TYPALIGN_DOUBLE));
	found = inqud_execute(&statement, &array, NULL);
	for (i = 0; i < found; i++)
		add_job(inqud_task_from_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, worker.context),
				lane, fresh);
	/* the others are no longer the worker's to schedule */
	for (i = 0; i < (uint64) asked; i++)
	{
		followed = inqud_followed(DatumGetInt64(ids[i]));
		if (followed && !followed->busy)
			inqud_forget(followed->id);
	}
	return asked;
}

static bool
is_due(Lane *lane, TimestampTz now)
{
	return inqud_lane_next(lane) <= now && inqud_lane_room(lane) > 0;
}

static void
claim_lane(Lane *lane, dlist_head *fresh)
{
	TimestampTz now = GetCurrentTimestamp();
	int			n = inqud_lane_room(lane);
	int			taken = 0;

	if (lane->rate > 0)
	{
		int64		wait = inqud_limiter_peek(lane->limiter, lane->rate);

		if (wait > 0)
		{
			inqud_lane_wait(lane, wait);
			return;
		}
	}
	if (lane->create_due <= now)
		taken += claim_creates(lane, n, fresh);
	if (n > taken && lane->poked_due <= now)
		taken += claim_poked(lane, n - taken, fresh);
	if (n > taken && lane->found_due <= now)
		taken += claim_found(lane, n - taken, fresh);
	if (n > taken)
		taken += claim_reads(lane, n - taken, fresh);
	if (taken == 0)
		lane->hold = now + HOLD_US;
}

/* Jobs whose claim did not come to be: the rows are as they were. */
static void
drop_fresh(dlist_head *fresh)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, fresh)
	{
		Job		   *job = dlist_container(Job, node, iter.cur);

		dlist_delete(&job->node);
		inqud_job_free(job);
	}
	inqud_reschedule_lost(GetCurrentTimestamp() + USECS_PER_SEC);
	worker.look = true;
}

/* The claims are committed: line the jobs up. */
static void
line_up(dlist_head *fresh)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, fresh)
	{
		Job		   *job = dlist_container(Job, node, iter.cur);

		dlist_delete(&job->node);
		if (job->result.outcome == NULL)
		{
			dlist_push_tail(&job->lane->ready, &job->node);
			job->lane->n_ready++;
			worker.n_ready++;
		}
		else if (strcmp(job->result.outcome, "blocked") == 0)
			inqud_finish_unsent(job, "blocked", job->message, BLOCKED_MS);
		else
			inqud_finish_unsent(job, "held", "", 1 +
						  Max(0, (inqud_paused_until(inqud_pause_key(job->project)) -
								  GetCurrentTimestamp()) / 1000));
	}
}

/* Claim what is due and has room, for all projects in one transaction. */
void
inqud_claim_round(void)
{
	TimestampTz now = GetCurrentTimestamp();
	dlist_head	fresh;
	dlist_iter	iter;
	InqudRole	role;
	bool		any = false;

	dlist_foreach(iter, &worker.lanes)
		any |= is_due(dlist_container(Lane, node, iter.cur), now);
	if (!any)
		return;

	dlist_init(&fresh);
	PG_TRY();
	{
		inqud_worker_begin(&role, false);
		dlist_foreach(iter, &worker.lanes)
		{
			Lane	   *lane = dlist_container(Lane, node, iter.cur);

			if (is_due(lane, now))
				claim_lane(lane, &fresh);
		}
		inqud_worker_commit(&role);
	}
	PG_CATCH();
	{
		drop_fresh(&fresh);
		PG_RE_THROW();
	}
	PG_END_TRY();
	line_up(&fresh);
}
