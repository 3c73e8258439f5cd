/*-------------------------------------------------------------------------
 *
 * counters.h
 *		What is counted of each project's transfers, in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_COUNTERS_H
#define INQUD_COUNTERS_H

#include "pg/inqud.h"

#define INQUD_MAX_PROJECTS 1024	/* counted apart; all others together */
#define INQUD_OUTCOMES (INQUD_BAD_REPLY + 1)
#define INQUD_STATUS_CLASSES 5	/* none, 2xx, 3xx, 4xx, 5xx */

/*
 * Latencies by powers of two: the first counts what took less than 1 ms, number
 * i what took from 2^(i-1) to 2^i ms, the last all that took longer.  No
 * transfer may take longer than 10 minutes.
 */
#define INQUD_LATENCIES 21

/* One project.  Counts since "since". */
typedef struct InqudCounters
{
	NameData	name;			/* of the server when it was last used */
	uint64		limiter;		/* whose rate limit it is under, 0 = not known */
	TimestampTz since;
	TimestampTz last_at;		/* end of the last transfer */
	int64		creates;		/* transfers, by what they asked for */
	int64		reads;
	int64		retries;		/* of them, repetitions of a failed one */
	int64		canceled;		/* given up by this side before they ended */
	int64		waits;			/* turns that had to be waited for */
	int64		outcomes[INQUD_OUTCOMES];	/* by InqudOutcome */
	int64		classes[INQUD_STATUS_CLASSES];
	int64		bytes_sent;
	int64		bytes_received;
	int64		latency[INQUD_LATENCIES];
	int64		latency_sum;	/* microseconds */
	int64		latency_max;
	int			encoding;		/* of the name */
} InqudCounters;

/* Whose counters they are; dbid InvalidOid = free. */
typedef struct InqudCountersKey
{
	Oid			dbid;
	Oid			serverid;
} InqudCountersKey;

/* The part of shared memory that counters.c looks after.  The last are those of all others. */
typedef struct InqudCountersArea
{
	InqudCountersKey keys[INQUD_MAX_PROJECTS];
	InqudCounters counters[INQUD_MAX_PROJECTS + 1];
} InqudCountersArea;

/* shared.c; NULL without preload. */
extern InqudCountersArea *inqud_shared_counters(void);

/* Where a process counts the transfers of a project; all zero = nowhere yet. */
typedef struct InqudCounting
{
	Oid			serverid;
	uint64		limiter;
	NameData	name;
	int			slot;
} InqudCounting;

/*
 * Find the project's counters, or take free ones.  To be called while the
 * server is known to exist, that is in the transaction that has looked it up;
 * costs next to nothing when nothing has changed.
 */
extern void inqud_counting_open(InqudCounting *counting, const InqudProject *project);

/* A transfer has ended; one was given up; a turn has to be waited for.  These need no transaction. */
extern void inqud_count_transfer(const InqudCounting *counting, bool is_create, bool is_retry,
								 InqudOutcome outcome, const InqudResponse *response);
extern void inqud_count_canceled(const InqudCounting *counting);
extern void inqud_count_wait(const InqudCounting *counting);

/* For _PG_init when preloading: counters go with what they are about. */
extern void inqud_counters_init(void);

#endif							/* INQUD_COUNTERS_H */
