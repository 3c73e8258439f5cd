/*-------------------------------------------------------------------------
 *
 * module.c
 *		Magic block, _PG_init and the settings.
 *
 * The functions need no preload: only the launcher, the workers and what they
 * share do.  libcurl is not touched here, so that the postmaster never holds
 * TLS state that every process would inherit.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "catalog/pg_control.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "pg/counters.h"
#include "pg/worker.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"

INQUD_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(inqud_home);

void		_PG_init(void);

/* Off = the workers claim nothing; what is under way is still written back. */
bool		inqud_enabled = true;

/*
 * Role of the workers' sessions; empty = the bootstrap superuser.  The
 * extension's own statements run as its owner in any case.
 */
char	   *inqud_worker_role = NULL;

/* How many databases are served at the same time; more take turns. */
int			inqud_max_workers = 8;

const char *
inqud_user_agent(void)
{
	return "inqud/" INQUD_VERSION " PostgreSQL/" PG_VERSION;
}

/*
 * The system identifier survives promotion and is another one after a restore,
 * the database's oid is another one in a copy within the cluster.
 */
int64
inqud_this_home(void)
{
	static int64 home = 0;

	if (home == 0)
		home = DatumGetInt64(DirectFunctionCall2(hashint8extended,
												 Int64GetDatum((int64) GetSystemIdentifier()),
												 Int64GetDatum((int64) MyDatabaseId)));
	return home;
}

Datum
inqud_home(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(inqud_this_home());
}

static void
define_settings(void)
{
	DefineCustomBoolVariable("inqud.enabled",
							 "Lets the workers take up work.",
							 "When off, orders are queued and nothing is called; set it before a copy of a server is started.",
							 &inqud_enabled, true, PGC_SIGHUP, 0,
							 NULL, NULL, NULL);
	if (!process_shared_preload_libraries_in_progress)
		return;
	DefineCustomStringVariable("inqud.worker_role",
							   "Role of the workers.",
							   "Empty means the bootstrap superuser. Before PostgreSQL 17 the role needs LOGIN.",
							   &inqud_worker_role, "", PGC_POSTMASTER, 0,
							   NULL, NULL, NULL);
	DefineCustomIntVariable("inqud.max_workers",
							"Number of databases served at the same time.",
							"More take turns. Each worker needs one of max_worker_processes.",
							&inqud_max_workers, 8, 1, 256, PGC_POSTMASTER, 0,
							NULL, NULL, NULL);
}

void
_PG_init(void)
{
	define_settings();
	MarkGUCPrefixReserved("inqud");
	inqud_gather_init();
	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	inqud_shared_init();
	inqud_launcher_init();
	inqud_utility_init();
	inqud_counters_init();
}
