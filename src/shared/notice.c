/*-------------------------------------------------------------------------
 *
 * notice.c
 *		Notices on the channel "inqud".
 *
 * A notice is a hint.  A transaction that sends one fails at its commit when the
 * server's queue of notices is full, and any session that listens and stays in a
 * transaction fills that.  So from half full on, changes are recorded without one.
 *
 *-------------------------------------------------------------------------
 */
#include "shared/shared.h"

#include "commands/async.h"
#include "mb/pg_wchar.h"
#include "utils/json.h"

#define CHANNEL "inqud"

/* A notice has names and words up to this many characters. */
#define NOTICE_WORD 200

/* Send no notice while the server's queue is as full as this. */
#define FULL_ENOUGH 0.5

/* The server is asked once in this time at most. */
#define ASK_US USECS_PER_SEC

bool
inqud_notices_pass(void)
{
	static bool pass = false;
	static InqudClock ask_at = 0;
	InqudClock	now = inqud_clock_us();

	if (now >= ask_at)
	{
		pass = inqud_notices_usage() < FULL_ENOUGH;
		ask_at = now + ASK_US;
	}
	return pass;
}

/* Append a JSON string of at most NOTICE_WORD characters; null for NULL. */
static void
append_word(StringInfo notice, const char *word)
{
	if (word == NULL)
		appendStringInfoString(notice, "null");
	else
		escape_json(notice, pnstrdup(word, pg_mbcharcliplen(word, (int) strlen(word), NOTICE_WORD)));
}

void
inqud_notify(int64 id, const char *project, const char *state, const char *status)
{
	StringInfoData notice;

	if (!inqud_notices_pass())
	{
		inqud_unnoticed_at_commit();
		return;
	}
	initStringInfo(&notice);
	appendStringInfo(&notice, "{\"id\" : " INT64_FORMAT ", \"project\" : ", id);
	append_word(&notice, project);
	appendStringInfoString(&notice, ", \"state\" : ");
	append_word(&notice, state);
	appendStringInfoString(&notice, ", \"status\" : ");
	append_word(&notice, status);
	appendStringInfoChar(&notice, '}');
	Async_Notify(CHANNEL, notice.data);
	pfree(notice.data);
}

void
inqud_notify_missed(void)
{
	Async_Notify(CHANNEL, "{\"missed\" : true}");
}
