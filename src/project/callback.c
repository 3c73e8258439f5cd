/*-------------------------------------------------------------------------
 *
 * callback.c
 *		The shop's function that a server option names: which one it is, and
 *		whether it may run.
 *
 * The server's owner chooses the function, so nothing may run that the server's
 * owner could not run alone.  A function runs as its own owner.  Therefore either
 * the server's owner may act as that role, or the function is SECURITY DEFINER and
 * the server's owner may execute it.  Without this rule a role that may make a
 * server could have any function called with the rights of its owner, perhaps of a
 * superuser.
 *
 * The function is one that takes an inqud.checkout and nothing else, by its exact
 * signature: no search path, no default argument and no polymorphic type takes part
 * in the look-up.
 *
 *-------------------------------------------------------------------------
 */
#include "project/project.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

/* Note a problem with the function; false, for the caller to return. */
static bool
refuse(InqudProblem *problem, int sqlstate, char *message, char *hint)
{
	return inqud_problem_set(problem, INQUD_FAULT_NONE, sqlstate, message, NULL, hint);
}

/* The name of a role, quoted where SQL needs it. */
static const char *
role_name(Oid role)
{
	char	   *name = GetUserNameFromId(role, true);

	return name ? quote_identifier(name) : "unknown";
}

/* Whether the server's owner could have this function run alone; the rule above. */
static bool
may_run(const char *name, Form_pg_proc proc, Oid server_owner, InqudProblem *problem)
{
	const char *chooser = role_name(server_owner);
	const char *owner = role_name(proc->proowner);

	if (inqud_may_act_as(server_owner, proc->proowner))
		return true;
	if (!proc->prosecdef)
		return refuse(problem, ERRCODE_INSUFFICIENT_PRIVILEGE,
					  psprintf("%s would run as its owner %s, but the server's owner %s may not act as that role",
							   name, owner, chooser),
					  psprintf("ALTER FUNCTION %s OWNER TO %s, or make it SECURITY DEFINER and GRANT EXECUTE ON FUNCTION %s TO %s.",
							   name, chooser, name, chooser));
	if (inqud_function_aclcheck(proc->oid, server_owner) == ACLCHECK_OK)
		return true;
	return refuse(problem, ERRCODE_INSUFFICIENT_PRIVILEGE,
				  psprintf("permission denied for function %s: the server's owner %s may not execute it", name, chooser),
				  psprintf("GRANT EXECUTE ON FUNCTION %s TO %s.", name, chooser));
}

/* Check the function, and fill in what a caller needs to call it. */
static bool
take_function(InqudCallback *callback, const char *name, HeapTuple tuple, Oid server_owner, InqudProblem *problem)
{
	Form_pg_proc proc = (Form_pg_proc) GETSTRUCT(tuple);

	if (proc->prokind != PROKIND_FUNCTION)
		return refuse(problem, ERRCODE_WRONG_OBJECT_TYPE, psprintf("%s is not a function", name),
					  pstrdup("It must be made by CREATE FUNCTION."));
	callback->function = proc->oid;
	callback->owner = proc->proowner;
	callback->xmin = HeapTupleHeaderGetRawXmin(tuple->t_data);
	callback->tid = tuple->t_self;
	return may_run(name, proc, server_owner, problem);
}

bool
inqud_callback_find(InqudCallback *callback, const char *option, Oid server_owner, InqudProblem *problem)
{
	List	   *names = inqud_name_list(option);
	Oid			argument = inqud_type_oid("checkout");
	Oid			schema;
	HeapTuple	tuple;
	char	   *name;
	bool		result;

	problem->context = CurrentMemoryContext;
	callback->schema = list_length(names) > 1 ? strVal(linitial(names)) : "public";
	name = psprintf("%s(inqud.checkout)", quote_qualified_identifier(callback->schema, strVal(llast(names))));
	schema = get_namespace_oid(callback->schema, true);
	if (OidIsValid(schema) && inqud_schema_aclcheck(schema, server_owner) != ACLCHECK_OK)
		return refuse(problem, ERRCODE_INSUFFICIENT_PRIVILEGE,
					  psprintf("permission denied for schema %s: the server's owner %s may not use it",
							   quote_identifier(callback->schema), role_name(server_owner)),
					  psprintf("GRANT USAGE ON SCHEMA %s TO %s.", quote_identifier(callback->schema), role_name(server_owner)));
	tuple = SearchSysCache3(PROCNAMEARGSNSP, CStringGetDatum(strVal(llast(names))),
							PointerGetDatum(buildoidvector(&argument, 1)), ObjectIdGetDatum(schema));
	if (!HeapTupleIsValid(tuple))
		return refuse(problem, ERRCODE_UNDEFINED_FUNCTION, psprintf("function %s does not exist", name),
					  pstrdup("Create it with that one argument, or name another one in the server's options."));
	result = take_function(callback, name, tuple, server_owner, problem);
	ReleaseSysCache(tuple);
	return result;
}
