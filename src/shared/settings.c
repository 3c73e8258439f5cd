/*-------------------------------------------------------------------------
 *
 * settings.c
 *		The settings of the extension.
 *
 * Limits of a project are options of its server.  A secret must never be a
 * setting, since every user can read settings.
 *
 *-------------------------------------------------------------------------
 */
#include "shared/shared.h"

#include "miscadmin.h"
#include "utils/guc.h"

/* Off = the workers claim nothing; outcomes of calls under way are still written. */
bool		inqud_enabled = true;

/*
 * Role of the workers' sessions; empty = the bootstrap superuser.  The
 * extension's own statements run as its owner in any case.
 */
char	   *inqud_worker_role = NULL;

/* Workers that run at the same time; more databases take turns. */
int			inqud_max_workers = 8;

void
inqud_settings_define(void)
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
