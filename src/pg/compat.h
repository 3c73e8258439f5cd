/*-------------------------------------------------------------------------
 *
 * compat.h
 *		The differences between PostgreSQL 15 and 18, each behind one name.
 *
 * Include it right after postgres.h.  It has only differences of the server's
 * interface and of the platform.  It must have no logic, and nothing that only one
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
#include "catalog/pg_namespace.h"
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

/*
 * Access checks have a function for each kind of object until 15, and one for all since
 * 16.  inqud_may_act_as: whether SET ROLE lets a role act as another one, an option of
 * the membership since 16, any membership before.  inqud_name_list: the parts of a name such as "schema.function"; raises 42602 for a
 * malformed one.  inqud_init_materialized: the tuplestore of a set-returning function.
 */
#if PG_VERSION_NUM >= 160000
#define inqud_server_aclcheck(server, role, mode) object_aclcheck(ForeignServerRelationId, server, role, mode)
#define inqud_function_aclcheck(function, role) object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE)
#define inqud_schema_aclcheck(schema, role) object_aclcheck(NamespaceRelationId, schema, role, ACL_USAGE)
#define inqud_database_ownercheck(database, role) object_ownercheck(DatabaseRelationId, database, role)
#define inqud_may_act_as(role, other) member_can_set_role(role, other)
#define inqud_name_list(name) stringToQualifiedNameList(name, NULL)
#define inqud_init_materialized(fcinfo) InitMaterializedSRF(fcinfo, 0)
#else
#define inqud_server_aclcheck(server, role, mode) pg_foreign_server_aclcheck(server, role, mode)
#define inqud_function_aclcheck(function, role) pg_proc_aclcheck(function, role, ACL_EXECUTE)
#define inqud_schema_aclcheck(schema, role) pg_namespace_aclcheck(schema, role, ACL_USAGE)
#define inqud_database_ownercheck(database, role) pg_database_ownercheck(database, role)
#define inqud_may_act_as(role, other) is_member_of_role(role, other)
#define inqud_name_list(name) stringToQualifiedNameList(name)
#define inqud_init_materialized(fcinfo) SetSingleFuncCall(fcinfo, 0)
#endif

static inline AclResult
inqud_database_aclcheck(Oid dbid, Oid roleid, AclMode mode)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(DatabaseRelationId, dbid, roleid, mode);
#else
	return pg_database_aclcheck(dbid, roleid, mode);
#endif
}

/* A wait event set that lives as long as the process: in a memory context until 16, without a resource owner since 17. */
#if PG_VERSION_NUM >= 170000
#define inqud_create_wait_event_set(nevents) CreateWaitEventSet(NULL, nevents)
#else
#define inqud_create_wait_event_set(nevents) CreateWaitEventSet(TopMemoryContext, nevents)
#endif

/* What a worker, the launcher, or a session in a function of ours waits for. */
typedef enum InqudWait
{
	INQUD_WAIT_TRANSFER,		/* an answer from the network */
	INQUD_WAIT_TURN,			/* the rate limit */
	INQUD_WAIT_NEWS,			/* the worker's answer to a checkout */
	INQUD_WAIT_WORK,			/* worker, launcher: something to do */
	INQUD_WAIT_RETRY,			/* worker: the pause after an error */
	INQUD_WAIT_WORKER			/* the worker's end */
} InqudWait;

/* The wait event for pg_stat_activity: an extension can name its own since 17. */
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

/* Whether a column is a virtual generated one, whose value a trigger in C does not get; since 18. */
#if PG_VERSION_NUM >= 180000
#define inqud_is_virtual(desc, column) \
	(TupleDescAttr(desc, (column) - 1)->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
#else
#define inqud_is_virtual(desc, column) false
#endif

/* Members of a list of settings that switches timeouts off: those since 17. */
#if PG_VERSION_NUM >= 170000
#define INQUD_NEWER_TIMEOUTS {"transaction_timeout", "0"},
#else
#define INQUD_NEWER_TIMEOUTS
#endif

/* A file's times with nanoseconds. */
#ifdef __APPLE__
#define INQUD_STAT_MTIME(st) ((st).st_mtimespec)
#define INQUD_STAT_CTIME(st) ((st).st_ctimespec)
#else
#define INQUD_STAT_MTIME(st) ((st).st_mtim)
#define INQUD_STAT_CTIME(st) ((st).st_ctim)
#endif

#endif							/* INQUD_COMPAT_H */
