/*-------------------------------------------------------------------------
 *
 * compat.h
 *		What differs between PostgreSQL 15 and 18, behind one name each.
 *
 * Include it right after postgres.h.  It holds differences of the server's
 * interface and of the platform only: no logic, and nothing that just one
 * version needs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef INQUD_COMPAT_H
#define INQUD_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "inqud needs PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"				/* was part of postgres.h */
#endif

#include "catalog/pg_database.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_proc.h"
#include "funcapi.h"
#include "storage/latch.h"
#if PG_VERSION_NUM >= 180000
#include "storage/waiteventset.h"
#endif
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/wait_event.h"

/* PostgreSQL 18 knows only pg_noreturn, which stands before a declaration. */
#ifndef pg_attribute_noreturn
#define pg_attribute_noreturn() __attribute__((noreturn))
#endif

/* What pg_get_loaded_modules() shows of the library; since 18. */
#if PG_VERSION_NUM >= 180000
#define INQUD_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "inqud", .version = INQUD_VERSION)
#else
#define INQUD_MODULE_MAGIC PG_MODULE_MAGIC
#endif

/* One function per kind of object until 15, one for all since 16. */
static inline AclResult
inqud_server_aclcheck(Oid serverid, Oid roleid, AclMode mode)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ForeignServerRelationId, serverid, roleid, mode);
#else
	return pg_foreign_server_aclcheck(serverid, roleid, mode);
#endif
}

static inline AclResult
inqud_function_aclcheck(Oid function, Oid roleid)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ProcedureRelationId, function, roleid, ACL_EXECUTE);
#else
	return pg_proc_aclcheck(function, roleid, ACL_EXECUTE);
#endif
}

/* "schema.function" cut at its dots, quotes understood. */
static inline List *
inqud_name_list(const char *name)
{
#if PG_VERSION_NUM >= 160000
	return stringToQualifiedNameList(name, NULL);
#else
	return stringToQualifiedNameList(name);
#endif
}

static inline bool
inqud_database_ownercheck(Oid dbid, Oid roleid)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(DatabaseRelationId, dbid, roleid);
#else
	return pg_database_ownercheck(dbid, roleid);
#endif
}

/* A set for the life of the process: owned by a memory context until 16, by nobody since 17. */
static inline WaitEventSet *
inqud_create_wait_event_set(int nevents)
{
#if PG_VERSION_NUM >= 170000
	return CreateWaitEventSet(NULL, nevents);
#else
	return CreateWaitEventSet(TopMemoryContext, nevents);
#endif
}

/* What a process of ours, or a session for us, waits for. */
typedef enum InqudWait
{
	INQUD_WAIT_TRANSFER,		/* an answer from the network */
	INQUD_WAIT_TURN,			/* the rate limit */
	INQUD_WAIT_NEWS,			/* the worker's answer to a checkout */
	INQUD_WAIT_WORK,			/* worker, launcher: something to do */
	INQUD_WAIT_RETRY,			/* worker: the pause after an error */
	INQUD_WAIT_WORKER			/* the worker's end */
} InqudWait;

/* What pg_stat_activity shows meanwhile: extensions can name theirs since 17. */
static inline uint32
inqud_wait_event(InqudWait what)
{
#if PG_VERSION_NUM >= 170000
	static const char *const names[] = {
		"InqudTransfer", "InqudTurn", "InqudNews", "InqudWork", "InqudRetry", "InqudWorkerEnd"
	};
	static uint32 events[lengthof(names)];

	if (events[what] == 0)
		events[what] = WaitEventExtensionNew(names[what]);
	return events[what];
#else
	return PG_WAIT_EXTENSION;
#endif
}

/* A set-returning function that fills a tuplestore; renamed in 16. */
static inline void
inqud_init_materialized(FunctionCallInfo fcinfo)
{
#if PG_VERSION_NUM >= 160000
	InitMaterializedSRF(fcinfo, 0);
#else
	SetSingleFuncCall(fcinfo, 0);
#endif
}

/* A generated column that is computed when it is read, which no trigger in C sees; since 18. */
static inline bool
inqud_is_virtual(TupleDesc desc, int column)
{
#if PG_VERSION_NUM >= 180000
	return TupleDescAttr(desc, column - 1)->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL;
#else
	return false;
#endif
}

/* Timeouts that not every version has, as members of a list of settings; since 17. */
#if PG_VERSION_NUM >= 170000
#define INQUD_NEWER_TIMEOUTS {"transaction_timeout", "0"},
#else
#define INQUD_NEWER_TIMEOUTS
#endif

/* Times of a file to the nanosecond. */
#ifdef __APPLE__
#define INQUD_STAT_MTIME(st) ((st).st_mtimespec)
#define INQUD_STAT_CTIME(st) ((st).st_ctimespec)
#else
#define INQUD_STAT_MTIME(st) ((st).st_mtim)
#define INQUD_STAT_CTIME(st) ((st).st_ctim)
#endif

#endif							/* INQUD_COMPAT_H */
