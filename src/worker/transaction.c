/*-------------------------------------------------------------------------
 *
 * transaction.c
 *		The worker's transactions as the extension's owner, the lock that keeps a
 *		second worker out of the database, and its exit when the extension is
 *		missing or of another version.
 *
 * A transaction must not stay open while the worker waits for the network.
 *
 *-------------------------------------------------------------------------
 */
#include "worker/state.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

/* The two numbers of the worker's advisory lock: the letters of "inqud". */
#define LOCK_CLASS 0x696e71
#define LOCK_NUMBER 0x7564

/* All state of the worker; see state.h. */
Worker		worker;

/*
 * Exit, which is no failure, if the extension is missing or of a version that the
 * library does not serve.  It cannot know what the objects of another version look
 * like.  Calls under way are dropped.  The commit of the first order after CREATE
 * EXTENSION, ALTER EXTENSION or a restart of the server has a worker started again.
 */
static void
leave_if_unserved(void)
{
	bool		present = inqud_extension_present();
	const char *version = present ? inqud_unserved_version() : NULL;

	if (present && version == NULL)
		return;
	if (present)
	{
		inqud_report_unserved(LOG);
		inqud_database_error(worker.slot,
							 psprintf("the loaded library does not serve version \"%s\" of the extension; restart the server after an installation, then ALTER EXTENSION inqud UPDATE",
									  version));
	}
	worker.absent = !present;
	worker.good_end = true;
	inqud_shared_lock();
	worker.slot->known = present;
	worker.slot->wanted = false;
	worker.slot->failures = 0;
	inqud_shared_unlock();
	proc_exit(0);
}

void
inqud_worker_begin(InqudRole *role, CommitKind kind)
{
	static const char *const levels[] = {
		[COMMIT_LAZY] = "off", [COMMIT_FLUSHED] = "local", [COMMIT_DURABLE] = "on"
	};

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	leave_if_unserved();
	if (kind != COMMIT_DURABLE || synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_FLUSH)
		(void) set_config_option("synchronous_commit", levels[kind], PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	PushActiveSnapshot(GetTransactionSnapshot());
	inqud_enter(role);
	inqud_lock_tables();
}

void
inqud_worker_commit(InqudRole *role)
{
	inqud_leave(role);
	PopActiveSnapshot();
	CommitTransactionCommand();
	/* the commit has switched to TopMemoryContext, which is never reset */
	MemoryContextSwitchTo(worker.turn);
}

bool
inqud_lock_database(void)
{
	LOCKTAG		tag;
	bool		locked;

	/* SQL functions use 1 or 2 as the last number, so no session can take this lock */
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, LOCK_CLASS, LOCK_NUMBER, 3);
	StartTransactionCommand();
	leave_if_unserved();
	locked = LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
	CommitTransactionCommand();
	return locked;
}
