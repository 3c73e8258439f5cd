/*-------------------------------------------------------------------------
 *
 * module.c
 *		Magic block and _PG_init, which runs in each process that loads the
 *		library.  The only file above all wings.
 *
 * Without preload the SQL functions work; launcher, workers and shared memory
 * need it.  This file must not call libcurl: every process would inherit the TLS
 * state of the postmaster.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "miscadmin.h"
#include "utils/guc.h"

INQUD_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	inqud_settings_define();
	MarkGUCPrefixReserved("inqud");
	inqud_batch_init();
	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	inqud_shared_init();
	inqud_launcher_init();
	inqud_utility_init();
	inqud_counters_init();
}
