/*-------------------------------------------------------------------------
 *
 * problem.c
 *		The reason why a project could not be looked up, as a value that a caller
 *		may raise as an error.
 *
 * The worker notes the problem for one row and continues, so no function here but
 * inqud_problem_raise() may throw, except for lack of memory.
 *
 *-------------------------------------------------------------------------
 */
#include "project/project.h"

#include "miscadmin.h"
#include "utils/builtins.h"

bool
inqud_problem_set(InqudProblem *problem, InqudFault fault, int sqlstate,
				  const char *message, const char *detail, const char *hint)
{
	problem->fault = fault;
	problem->sqlstate = sqlstate;
	problem->message = MemoryContextStrdup(problem->context, message);
	problem->detail = detail ? MemoryContextStrdup(problem->context, detail) : NULL;
	problem->hint = hint ? MemoryContextStrdup(problem->context, hint) : NULL;
	return false;
}

bool
inqud_problem_no_token(InqudProblem *problem, const InqudProject *project)
{
	const char *server = quote_identifier(project->name);
	char	   *role;

	if (OidIsValid(project->mappingid))
		return inqud_problem_set(problem, INQUD_FAULT_NO_KEY, ERRCODE_UNDEFINED_OBJECT,
								 psprintf("user mapping for server \"%s\" has no API token", project->name),
								 "Both \"token_id\" and \"token_secret\" are needed.",
								 psprintf("Set them with ALTER USER MAPPING FOR ... SERVER %s OPTIONS (ADD token_id '...', ADD token_secret '...'), or in the mapping's secret_file.",
										  server));
	role = GetUserNameFromId(project->roleid, true);
	return inqud_problem_set(problem, INQUD_FAULT_NO_KEY, ERRCODE_UNDEFINED_OBJECT,
							 psprintf("user mapping not found for user \"%s\", server \"%s\"",
									  role ? role : "unknown", project->name),
							 NULL,
							 psprintf("Create one with CREATE USER MAPPING FOR PUBLIC SERVER %s OPTIONS (token_id '...', token_secret '...').",
									  server));
}

void
inqud_problem_raise(const InqudProblem *problem)
{
	ereport(ERROR,
			(errcode(problem->sqlstate),
			 errmsg_internal("%s", problem->message),
			 problem->detail ? errdetail_internal("%s", problem->detail) : 0,
			 problem->hint ? errhint("%s", problem->hint) : 0));
	pg_unreachable();
}
