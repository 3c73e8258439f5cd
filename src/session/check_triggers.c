/*-------------------------------------------------------------------------
 *
 * check_triggers.c
 *		Looks at the order triggers of a project: which there are, whether they
 *		fire, and whether their arguments fit the columns of their tables.
 *
 * Everything here can be read in the catalogs by any role.  It must read no row, run
 * nothing of a table's owner, and wait for no lock.
 *
 *-------------------------------------------------------------------------
 */
#include "session/session.h"

#include "access/relation.h"
#include "commands/trigger.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* What one trigger is, and of which table. */
typedef struct Subject
{
	Relation	relation;
	const Trigger *trigger;
	char	   *name;			/* of both, for people */
} Subject;

/* A table's name with its schema; "?" when it is gone. */
static const char *
table_name(Oid table)
{
	char	   *name = get_rel_name(table);

	return name ? quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)), name) : "?";
}

static InqudFinding *
finding(InqudVerdict verdict, const char *detail)
{
	InqudFinding *result = palloc(sizeof(InqudFinding));

	result->verdict = verdict;
	result->detail = detail;
	return result;
}

/* For inqud_try(). */
static void
check_arguments(void *arg)
{
	const Subject *subject = arg;

	inqud_check_trigger(subject->trigger, subject->relation);
}

/* How a trigger is told to fire again. */
static char *
enable_sql(const Subject *subject)
{
	return psprintf("ALTER TABLE %s ENABLE TRIGGER %s",
					table_name(RelationGetRelid(subject->relation)),
					quote_identifier(subject->trigger->tgname));
}

/* Message, detail and hint of an error in one text. */
static char *
error_text(const ErrorData *error)
{
	return psprintf("%s%s%s%s%s", error->message,
					error->detail ? ". " : "", error->detail ? error->detail : "",
					error->hint ? (error->detail ? " " : ". ") : "", error->hint ? error->hint : "");
}

/* What is found of one trigger. */
static InqudFinding *
look_at(Subject *subject)
{
	ErrorData  *error = inqud_try(check_arguments, subject);

	if (error)
		return finding(INQUD_STEP_BAD, psprintf("%s: each row that fires it fails: %s", subject->name, error_text(error)));
	if (get_foreign_server_oid(subject->trigger->tgargs[0], true) == InvalidOid)
		return finding(INQUD_STEP_BAD, psprintf("%s: names server \"%s\", which does not exist, so each row that fires it fails. Was it renamed? Drop the trigger, and create it anew with the server's name.",
									  subject->name, subject->trigger->tgargs[0]));
	switch (subject->trigger->tgenabled)
	{
		case TRIGGER_DISABLED:
			return finding(INQUD_STEP_BAD, psprintf("%s: is disabled, so it queues nothing. %s.", subject->name, enable_sql(subject)));
		case TRIGGER_FIRES_ON_REPLICA:
			return finding(INQUD_STEP_BAD, psprintf("%s: fires for replicated rows only, and not for the shop's own. %s.", subject->name, enable_sql(subject)));
		case TRIGGER_FIRES_ALWAYS:
			return finding(INQUD_STEP_GOOD, psprintf("%s: fires, and its arguments fit the table. It fires for replicated rows, too.", subject->name));
		default:
			if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA)
				return finding(INQUD_STEP_BAD, psprintf("%s: does not fire in this session, whose session_replication_role is replica", subject->name));
			return finding(INQUD_STEP_GOOD, psprintf("%s: fires, and its arguments fit the table", subject->name));
	}
}

/* Is this trigger of interest: one of the project, or of a server that does not exist? */
static bool
concerns(const Trigger *trigger, const char *server)
{
	return trigger->tgnargs < 1 || strcmp(trigger->tgargs[0], server) == 0 ||
		get_foreign_server_oid(trigger->tgargs[0], true) == InvalidOid;
}

/* The trigger of that oid; NULL when it is gone. */
static const Trigger *
find_trigger(Relation relation, Oid oid)
{
	/* a copy: the relation's own is freed by an invalidation */
	const TriggerDesc *all = CopyTriggerDesc(relation->trigdesc);

	for (int i = 0; all && i < all->numtriggers; i++)
		if (all->triggers[i].tgoid == oid)
			return &all->triggers[i];
	return NULL;
}

/* Add what is found of a trigger, unless it is another project's or gone. */
static List *
add_finding(List *findings, Oid table, Oid oid, const char *server)
{
	Subject		subject = {0};

	/* an ALTER TABLE that waits or works is not waited for */
	if (!ConditionalLockRelationOid(table, AccessShareLock))
		return lappend(findings, finding(INQUD_STEP_OPEN, psprintf("a trigger of table %s was not looked at, since the table is locked; try again",
														 table_name(table))));
	subject.relation = try_relation_open(table, NoLock);
	if (subject.relation)
	{
		subject.trigger = find_trigger(subject.relation, oid);
		if (subject.trigger && concerns(subject.trigger, server))
		{
			subject.name = psprintf("trigger %s of table %s", quote_identifier(subject.trigger->tgname), table_name(table));
			findings = lappend(findings, look_at(&subject));
		}
		relation_close(subject.relation, NoLock);
	}
	UnlockRelationOid(table, AccessShareLock);
	return findings;
}

List *
inqud_check_triggers(const char *server)
{
	static InqudStatement statement = {"SELECT relation, trigger FROM inqud._order_triggers()", ""};
	MemoryContext context = CurrentMemoryContext;
	List	   *findings = NIL;
	InqudRole	role;
	Oid		   *oids;
	uint64		n;

	inqud_enter(&role);
	n = inqud_execute(&statement, NULL, NULL);
	oids = MemoryContextAlloc(context, sizeof(Oid) * 2 * (n + 1));
	for (uint64 i = 0; i < 2 * n; i++)
	{
		bool		isnull;

		oids[i] = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[i / 2], SPI_tuptable->tupdesc, i % 2 + 1, &isnull));
	}
	inqud_leave(&role);
	MemoryContextSwitchTo(context);
	for (uint64 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		findings = add_finding(findings, oids[2 * i], oids[2 * i + 1], server);
	}
	return findings;
}
