/*-------------------------------------------------------------------------
 *
 * job.c
 *		The calls of the worker, from the moment they are claimed: made, started,
 *		given back, given up.
 *
 * A job stands in exactly one list at a time: of its lane, ready or running; or
 * of the worker, finished.  Nothing in this file touches the database.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/dispatch.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* An outcome waits so long for others to be written with, if there is work to do meanwhile. */
#define GATHER_US 5000

void
inqud_job_free(Job *job)
{
	Followed   *followed;

	inqud_transfer_free(job->transfer);
	inqud_request_free(job->request);
	inqud_reply_free(job->reply);
	if (job->project)
		inqud_project_release(job->project);
	followed = inqud_followed(job->task->checkout);
	if (followed)
		followed->busy = false;
	inqud_task_free(job->task);
	pfree(job);
}

/* Its outcome is to be written. */
void
inqud_job_finish(Job *job)
{
	if (job->retry_at == 0)
		worker.write_by = Min(worker.write_by, GetCurrentTimestamp() + GATHER_US);
	dlist_push_tail(&worker.finished, &job->node);
	worker.n_finished++;
}

void
inqud_finish_unsent(Job *job, const char *outcome, const char *message, int64 retry_ms)
{
	job->message = MemoryContextStrdup(job->task->context, message);
	job->result.outcome = outcome;
	job->result.message = job->message;
	job->result.retry_in_ms = retry_ms;
	job->result.retry_for_ms = PG_INT32_MAX;
	job->result.started = job->result.arrived = GetCurrentTimestamp();
	inqud_job_finish(job);
}

Job *
inqud_job_new(InqudTask *task, Lane *lane)
{
	Job		   *job = MemoryContextAllocZero(worker.context, sizeof(Job));

	job->task = task;
	job->lane = lane;
	return job;
}

/* ---------------------------------------------------------------------
 * Start
 * ---------------------------------------------------------------------
 */

/* Only what the order itself says can be the order's fault. */
static void
finish_unbuilt(Job *job, const char *why)
{
	bool		its_fault = strncmp(why, "extra", 5) == 0 || strncmp(why, "amount", 6) == 0;

	if (its_fault)
		inqud_finish_unsent(job, job->task->is_create ? "refused" : "blocked", why, BLOCKED_MS);
	else
		inqud_finish_unsent(job, "held", "", 1000);
}

static void
start(Job *job)
{
	const char *why = NULL;

	/* built now: the expiry counts from here, and a salt is used once */
	job->request = inqud_task_request(job->task, job->project, &why);
	if (job->request == NULL)
	{
		finish_unbuilt(job, why ? why : "out of memory");
		return;
	}
	job->result.started = GetCurrentTimestamp();
	job->transfer = inqud_transfer_start(worker.engine, &job->project->account,
										 job->request, job);
	if (job->transfer == NULL)
	{
		inqud_finish_unsent(job, "held", "", 1000);
		return;
	}
	dlist_push_tail(&job->lane->running, &job->node);
	job->lane->in_flight++;
	worker.n_in_flight++;
}

/*
 * The worker leaves and will not wait for these any longer: what became of them
 * is unknown, and written down as that.
 */
void
inqud_give_up_running(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &worker.lanes)
	{
		Lane	   *lane = dlist_container(Lane, node, iter.cur);

		while (!dlist_is_empty(&lane->running))
		{
			Job		   *job = dlist_container(Job, node, dlist_pop_head_node(&lane->running));

			lane->in_flight--;
			worker.n_in_flight--;
			inqud_count_canceled(&lane->counting);
			inqud_transfer_free(job->transfer);
			job->transfer = NULL;
			inqud_finish_unsent(job, job->task->is_create ? "unknown" : "held",
						  "the worker left before the answer came", job->project->retry_min_ms);
			job->result.retry_for_ms = job->project->retry_for_ms;
		}
	}
}

/* Start what is ready, as far as window and rate allow. */
void
inqud_start_ready(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &worker.lanes)
	{
		Lane	   *lane = dlist_container(Lane, node, iter.cur);

		while (lane->n_ready > 0 && lane->in_flight < lane->window)
		{
			Job		   *job;
			int64		wait = inqud_limiter_take(lane->limiter, lane->rate);

			if (wait > 0)
			{
				inqud_lane_wait(lane, wait);
				break;
			}
			job = dlist_container(Job, node, dlist_pop_head_node(&lane->ready));
			lane->n_ready--;
			worker.n_ready--;
			start(job);
		}
	}
}

/* Give back what was claimed and not started: the worker leaves. */
void
inqud_release_ready(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &worker.lanes)
	{
		Lane	   *lane = dlist_container(Lane, node, iter.cur);

		while (lane->n_ready > 0)
		{
			Job		   *job = dlist_container(Job, node, dlist_pop_head_node(&lane->ready));

			lane->n_ready--;
			worker.n_ready--;
			inqud_finish_unsent(job, "held", "", 0);
		}
	}
}
