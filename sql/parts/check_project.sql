/*
 * check_project.sql
 *		What inqud_check_project looks up, and the function itself, which is written in C.
 */

/* What inqud_check_project looks up, only of checkouts on which the role may act. */
CREATE FUNCTION inqud._check(server_id integer, project text, project_id text, home bigint, role oid,
		OUT queued bigint, OUT overdue bigint, OUT elsewhere bigint, OUT other_project bigint,
		OUT checkout_id text)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	WITH mine AS (
		SELECT r.id FROM inqud.known_role r WHERE inqud._may_act(_check.role, r.id)
	)
	SELECT q.queued, q.overdue, q.elsewhere, q.other_project,
		(SELECT k.checkout_id FROM inqud.checkout k
			WHERE k.server_id = _check.server_id AND k.project_id = _check.project_id
				AND inqud._role_oid(k.owner_id) = _check.role AND k.checkout_id IS NOT NULL
			ORDER BY k.id DESC LIMIT 1)
	FROM (
		SELECT count(*) FILTER (WHERE w.kind = 'create' AND w.home = _check.home) AS queued,
			count(*) FILTER (WHERE w.kind = 'create' AND w.home = _check.home AND w.lease IS NULL
				AND w.due_at < clock_timestamp() - interval '1 minute') AS overdue,
			count(*) FILTER (WHERE w.home <> _check.home) AS elsewhere,
			count(*) FILTER (WHERE k.project_id <> _check.project_id) AS other_project
		FROM inqud.queue w JOIN inqud.checkout k ON k.id = w.checkout
		WHERE w.server_id IN (SELECT n.id FROM inqud.known_server n
				WHERE n.id = _check.server_id OR n.home <> _check.home AND n.name = _check.project)
			AND k.owner_id IN (SELECT m.id FROM mine m)
	) AS q;
END;

/*
 * Schemas in which the names of a function are looked up, and the roles beside its
 * owner that may create objects there; null if there are none. The names of a bound
 * body (BEGIN ATOMIC) are looked up no more. Superusers, and roles that are members
 * of the owner, need no such way.
 */
CREATE FUNCTION inqud._creators(called oid) RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	WITH function AS (
		SELECT p.proowner AS owner, p.pronamespace AS schema,
			(SELECT substr(c, length('search_path=') + 1) FROM unnest(p.proconfig) AS c WHERE c LIKE 'search\_path=%') AS path
		FROM pg_proc p WHERE p.oid = _creators.called AND p.prosqlbody IS NULL
	), schema AS (
		SELECT n.oid, n.nspname, f.owner FROM function f JOIN pg_namespace n ON CASE WHEN f.path IS NULL THEN n.oid = f.schema
			ELSE n.nspname IN (
				SELECT CASE v.name WHEN '$user' THEN pg_get_userbyid(f.owner) ELSE v.name END
				FROM regexp_matches(f.path, '"((?:[^"]|"")*)"|([^",[:space:]]+)', 'g') AS m,
					LATERAL (SELECT coalesce(replace(m[1], '""', '"'), lower(m[2])) AS name) AS v) END
	)
	SELECT string_agg(quote_ident(s.nspname) || ' (' || CASE WHEN has_schema_privilege('public', s.oid, 'CREATE') THEN 'everybody'
			ELSE array_to_string(r.names[1:3], ', ') || CASE WHEN cardinality(r.names) > 3 THEN ', ...' ELSE '' END END || ')',
			', ' ORDER BY s.nspname)
	FROM schema s, LATERAL (
		SELECT array_agg(quote_ident(r.rolname) ORDER BY r.rolname) AS names FROM pg_roles r
		WHERE NOT r.rolsuper AND r.rolname !~ '^pg_' AND has_schema_privilege(r.oid, s.oid, 'CREATE')
			AND NOT pg_has_role(r.oid, s.owner, 'MEMBER')) AS r
	WHERE r.names IS NOT NULL;
END;

/*
 * What inqud.trouble says of a project and of the worker, in one text; null if it says
 * nothing.  Called as the role that asks, which sees what row security lets it see.
 */
CREATE FUNCTION inqud._troubles(project text) RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE SET jit = off
BEGIN ATOMIC
	SELECT string_agg(t.trouble || CASE WHEN t.n > 1 THEN ' (' || t.n || ' times)' ELSE '' END || coalesce(': ' || t.advice, ''), '; ' ORDER BY t.trouble)
	FROM (
		SELECT v.trouble, count(*) AS n, (array_agg(v.advice ORDER BY v.since DESC))[1] AS advice
		FROM inqud.trouble v WHERE v.project = _troubles.project OR v.project IS NULL
		GROUP BY v.trouble
	) AS t;
END;

/* The order triggers of all tables.  A partition's is that of its parent, unless it fires otherwise. */
CREATE FUNCTION inqud._order_triggers(OUT relation oid, OUT trigger oid) RETURNS SETOF record
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT t.tgrelid, t.oid
	FROM pg_trigger t LEFT JOIN pg_trigger p ON p.oid = t.tgparentid
	WHERE t.tgfoid = '@extschema@.inqud_order_trigger()'::regprocedure
		AND (p.oid IS NULL OR p.tgenabled <> t.tgenabled)
	ORDER BY t.tgrelid::regclass::text COLLATE "C", t.tgname;
END;

CREATE FUNCTION @extschema@.inqud_check_project(project text)
		RETURNS TABLE (step text, ok boolean, detail text)
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE ROWS 20 AS 'MODULE_PATHNAME', 'inqud_check_project';
COMMENT ON FUNCTION @extschema@.inqud_check_project(text)
	IS 'what of a project works, step by step, and how to mend what does not; ok is null for what was not tried or cannot be known';
