/*-------------------------------------------------------------------------
 *
 * row.c
 *		Rows of inqud.checkout for users, and small things that the SQL
 *		functions share.
 *
 *-------------------------------------------------------------------------
 */
#include "pg/inqud.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"

Datum
inqud_name_datum(const char *name)
{
	return DirectFunctionCall1(namein, CStringGetDatum(name));
}

char *
inqud_current_role(void)
{
	return GetUserNameFromId(GetUserId(), false);
}

Datum
inqud_keep_row(int column)
{
	bool		isnull;
	Datum		row = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
									column, &isnull);

	return isnull ? (Datum) 0 : SPI_datumTransfer(row, false, -1);
}

Datum
inqud_row_of(InqudStatement *statement, Datum *values)
{
	InqudRole	role;
	Datum		row = (Datum) 0;

	inqud_enter(&role);
	if (inqud_execute(statement, values, NULL) > 0)
		row = inqud_keep_row(1);
	inqud_leave(&role);
	return row;
}

Datum
inqud_checkout_row_if_any(int64 id)
{
	static const char *const types[] = {"int8"};
	static InqudStatement statement = {
		"SELECT k FROM inqud.checkout k WHERE k.id = $1", 1, types
	};
	Datum		value = Int64GetDatum(id);

	return inqud_row_of(&statement, &value);
}

Datum
inqud_checkout_row(int64 id)
{
	Datum		row = inqud_checkout_row_if_any(id);

	/* an administrator may delete rows */
	if (row == (Datum) 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("checkout " INT64_FORMAT " does not exist any more", id)));
	return row;
}

void
inqud_nap(long ms, InqudWait what)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms,
					 inqud_wait_event(what));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}
