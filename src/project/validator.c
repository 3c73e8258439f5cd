/*-------------------------------------------------------------------------
 *
 * validator.c
 *		The validator: refuses bad options of servers and user mappings when
 *		they are set.
 *
 * No message may contain any part of a mapping's value.  Of a server's values, a
 * message may contain only numbers and words: a URL may hold a password, which the
 * validator refuses.  Nothing here may open a file or check that an object exists,
 * so that a dump can be restored in its order.
 *
 *-------------------------------------------------------------------------
 */
#include "project/project.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_user_mapping.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(inqud_fdw_validator);

#define SERVER				ForeignServerRelationId
#define MAPPING				UserMappingRelationId

#define MAX_SHOWN			64	/* longest value repeated in a message */

/* The option whose name is nearest, if at most 3 edits and half of its length away; else NULL. */
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

/* A hint for a name that is no option of this catalog. */
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
 * Raise 42501 for an option that makes the server read a file, unless the role may
 * read the server's files anyway.
 *
 * A validator gets the whole list as it will be, but neither the object nor the list
 * before, so it cannot tell an option that is kept from one that is set.  Accepting
 * each value that some object has already would let an owner copy it to another
 * object.  So only privileged roles may alter an object with such an option, unless
 * the same command drops the option.  The owner may drop it, which cannot make the
 * server read anything.
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

/* Raise HV024; shows the value only of a server's number or word. */
static void
refuse_value(const InqudOption *option, const char *value, const char *complaint)
{
	bool		shown = option->catalog == SERVER &&
		option->is_number && strlen(value) <= MAX_SHOWN && !inqud_has_control(value);

	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\"", option->name),
			 shown ?
			 errdetail("The value \"%s\" is not valid: it %s.", value, complaint) :
			 errdetail("The value %s.", complaint)));
}

static void
check_option(InqudProjectEntry *entry, const InqudOptionText *given, Oid catalog)
{
	const InqudOption *option = inqud_option_find(given->name, catalog);
	const char *complaint;

	if (option == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"", given->name),
				 errhint("%s", unknown_name_hint(given->name, catalog))));
	check_privilege(option);
	complaint = inqud_option_set(entry, option, given->value);
	if (complaint)
		refuse_value(option, given->value, complaint);
	if (!inqud_option_begins_well(option, given->value))
		ereport(NOTICE,
				(errmsg("option \"%s\" does not begin with \"%s\"", option->name, option->begins),
				 errhint("Inqud's do.  Compare it with the Inqud app.")));
}

/* Check a server's options together: project_id is required (HV002), and retry_min not longer than retry_max (HV024). */
static void
check_server(const InqudProject *server)
{
	if (server->account.project_id == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				 errmsg("option \"project_id\" is required"),
				 errhint("Give the project's identifier with OPTIONS (project_id 'CAP-...').")));
	if (server->retry_min_ms > server->retry_max_ms)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"retry_min\" must not be longer than \"retry_max\""),
				 errdetail("They are %s and %s, as given or by default.",
						   inqud_duration_text(server->retry_min_ms), inqud_duration_text(server->retry_max_ms))));
}

/*
 * inqud_fdw_validator(options text[], catalog oid) returns void
 *
 * The server calls it in CREATE and ALTER of a server, user mapping, foreign table or
 * the wrapper itself, with the list that it would store.  Errors: HV00D for an
 * unknown option, HV024 for a bad value, HV002 without project_id, 42501 for an option
 * that the role may not set.
 */
Datum
inqud_fdw_validator(PG_FUNCTION_ARGS)
{
	Oid			catalog = PG_GETARG_OID(1);
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext,
												  "inqud options",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	InqudProjectEntry entry = {.context = scratch};
	int			count;
	InqudOptionText *given = inqud_option_texts(PG_GETARG_DATUM(0), &count);

	inqud_option_set_defaults(&entry);
	for (int i = 0; i < count; i++)
		check_option(&entry, &given[i], catalog);
	if (catalog == SERVER)
		check_server(&entry.project);

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	PG_RETURN_VOID();
}
