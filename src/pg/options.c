/*-------------------------------------------------------------------------
 *
 * options.c
 *		The validator: refuses bad options of servers and user mappings when
 *		they are set.
 *
 * Rules: no message may contain any part of a mapping's value, and of a server's
 * value only what is a number or a word (a URL may hold a password that its
 * author is just about to be told not to write there).  Nothing here opens a
 * file or asks whether something exists: a dump must be restorable in its order.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pg/compat.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

#include "pg/option_table.h"

PG_FUNCTION_INFO_V1(inqud_fdw_validator);

#define SERVER				ForeignServerRelationId
#define MAPPING				UserMappingRelationId

#define MAX_SHOWN			64	/* longest value repeated in a message */

/* The option whose name is so near that it must have been meant, or NULL. */
static const char *
nearest_name(const char *name, Oid catalog)
{
	const InqudOption *option;
	const char *nearest = NULL;
	int			len = strlen(name);
	int			best = Min(3, len / 2) + 1;

	if (len >= NAMEDATALEN)
		return NULL;
	for (int i = 0; (option = inqud_option_at(i)) != NULL; i++)
	{
		int			distance;

		if (option->catalog != catalog)
			continue;
		distance = varstr_levenshtein_less_equal(name, len, option->name,
												 strlen(option->name),
												 1, 1, 1, best, true);
		if (distance < best)
		{
			best = distance;
			nearest = option->name;
		}
	}
	return nearest;
}

/* What to write instead of a name that the class does not have. */
static char *
unknown_name_hint(const char *name, Oid catalog)
{
	const InqudOption *elsewhere = inqud_option_find(name, InvalidOid);
	const char *nearest = nearest_name(name, catalog);
	StringInfoData hint;

	initStringInfo(&hint);
	if (elsewhere)
		appendStringInfo(&hint, "\"%s\" is an option of a %s.  ", name,
						 elsewhere->catalog == SERVER ? "server" : "user mapping");
	else if (nearest)
		appendStringInfo(&hint, "Perhaps you meant \"%s\".  ", nearest);
	if (catalog == SERVER || catalog == MAPPING)
		appendStringInfo(&hint, "Valid options of a %s are: %s.",
						 catalog == SERVER ? "server" : "user mapping",
						 inqud_option_names(catalog, true));
	else
		appendStringInfoString(&hint, "There are no valid options in this context.");
	return hint.data;
}

/*
 * Options that make the server read a file are for those who may read the
 * server's files anyway.
 *
 * A validator sees the whole list as it will be, but neither the object nor the
 * list before, so it cannot tell "kept" from "set": no catalog can be asked
 * which server or mapping this is about, and to accept any value that some
 * object already has would let an owner copy it to another.  So an object with
 * such an option is altered by privileged roles alone, unless the option is
 * dropped in the same command.  Dropping is allowed to the owner; it cannot make
 * the server read anything.
 */
static void
check_privilege(const InqudOption *option)
{
	if (!option->privileged || has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to set option \"%s\"", option->name),
			 errdetail("Only superusers and members of \"pg_read_server_files\" may set this option, or change other options while it is set."),
			 errhint("Where it is set already, drop it in the same command with OPTIONS (DROP %s, ...), or ask one of these roles to make the change.",
					 option->name)));
}

static void
refuse_value(const InqudOption *option, const char *value, const char *complaint)
{
	bool		shown = option->catalog == SERVER &&
		option->type != INQUD_OPTION_TEXT &&
		strlen(value) <= MAX_SHOWN && !inqud_has_control(value);

	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\"", option->name),
			 shown ?
			 errdetail("The value \"%s\" is not valid: it %s.", value, complaint) :
			 errdetail("The value %s.", complaint)));
}

static void
check_option(const InqudOptionText *given, Oid catalog)
{
	const InqudOption *option = inqud_option_find(given->name, catalog);
	InqudOptionValue value;
	const char *complaint;

	if (option == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"", given->name),
				 errhint("%s", unknown_name_hint(given->name, catalog))));
	check_privilege(option);
	complaint = option->read(option, given->value, &value);
	if (complaint)
		refuse_value(option, given->value, complaint);
}

/* The text given for an option, or NULL. */
static const char *
text_of(const char *name, const InqudOptionText *given, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(given[i].name, name) == 0)
			return given[i].value;
	return NULL;
}

/* The shortest wait must not be longer than the longest, be it given or default. */
static void
check_retry(const char *given_min, const char *given_max)
{
	const char *min = given_min ? given_min : inqud_option_find("retry_min", SERVER)->initial;
	const char *max = given_max ? given_max : inqud_option_find("retry_max", SERVER)->initial;
	int64_t		min_ms = 0;
	int64_t		max_ms = 0;

	if (!inqud_parse_duration(min, &min_ms) || !inqud_parse_duration(max, &max_ms) ||
		min_ms <= max_ms)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\"", given_min ? "retry_min" : "retry_max"),
			 errdetail("The time \"retry_min\", which is \"%s\", must not be longer than \"retry_max\", which is \"%s\".",
					   min, max)));
}

static void
check_server(const InqudOptionText *given, int count)
{
	if (text_of("project_id", given, count) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				 errmsg("option \"project_id\" is required"),
				 errhint("Give the project's identifier with OPTIONS (project_id 'CAP-...').")));
	check_retry(text_of("retry_min", given, count), text_of("retry_max", given, count));
}

/*
 * inqud_fdw_validator(options text[], catalog oid) returns void
 *
 * Called by CREATE and ALTER of a server, user mapping, foreign table or the
 * wrapper itself, with the list that would be stored.
 */
Datum
inqud_fdw_validator(PG_FUNCTION_ARGS)
{
	Oid			catalog = PG_GETARG_OID(1);
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext,
												  "inqud options",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	int			count;
	InqudOptionText *given = inqud_option_texts(PG_GETARG_DATUM(0), &count);

	for (int i = 0; i < count; i++)
		check_option(&given[i], catalog);
	if (catalog == SERVER)
		check_server(given, count);

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	PG_RETURN_VOID();
}
