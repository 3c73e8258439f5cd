/*-------------------------------------------------------------------------
 *
 * worker.h
 *		The launcher and the workers: what others must know of them, and what
 *		the worker's own files share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_WORKER_H
#define INQUD_WORKER_H

#include "pg/inqud.h"
#include "pg/shared.h"

/* Is this process the worker of a database? */
extern bool inqud_in_worker;

/* To be called by _PG_init when preloading. */
extern void inqud_launcher_init(void);

/* wakeup.c: wake this database's worker when the transaction commits. */
extern void inqud_wake_at_commit(void);

/* wakeup.c: servers, mappings or rights have changed; tell the worker when the transaction commits. */
extern void inqud_changed_at_commit(void);

/* wakeup.c: a rollback of the current (sub)transaction forgets this id; say so in the log then. */
extern void inqud_log_if_forgotten(const char *project, const char *order_id,
								   const char *checkout_id);

/* utility.c: statements that need a database for themselves.  For _PG_init. */
extern void inqud_utility_init(void);

#endif							/* INQUD_WORKER_H */
