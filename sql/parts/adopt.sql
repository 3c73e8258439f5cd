/*
 * adopt.sql
 *		Takes over queued work that came from another database or cluster.
 */

/* Takes over queued work that came from another database. */
CREATE FUNCTION inqud._adopt(project text, role name) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	n bigint;
	calls bigint;
	here bigint := inqud._home();
	of_all boolean := (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = _adopt.role);
	own text[] := ARRAY(SELECT s.srvname FROM pg_foreign_server s, pg_roles r
		WHERE r.rolname = _adopt.role AND pg_has_role(r.oid, s.srvowner, 'USAGE'));
BEGIN
	-- the worker does not schedule these yet: have them read once
	UPDATE inqud.queue q SET home = here, lease = NULL, crashes = 0, poke = q.poke + 1,
			due_at = coalesce(q.due_at, clock_timestamp())
		FROM inqud.checkout c
		WHERE c.id = q.checkout AND q.home <> here AND (_adopt.project IS NULL OR q.project = _adopt.project)
			AND (of_all OR q.project = ANY (own));
	GET DIAGNOSTICS n = ROW_COUNT;
	UPDATE inqud.call k SET home = here
		WHERE k.home <> here AND (_adopt.project IS NULL OR k.project = _adopt.project)
			AND (of_all OR k.project = ANY (own));
	GET DIAGNOSTICS calls = ROW_COUNT;
	UPDATE inqud.inbox i SET home = here, crashes = 0
		WHERE i.home <> here AND (_adopt.project IS NULL OR i.project = _adopt.project)
			AND (of_all OR i.project = ANY (own));
	RETURN n + calls;
END
$$;

CREATE FUNCTION @extschema@.inqud_adopt(project text DEFAULT NULL) RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'inqud_adopt';
COMMENT ON FUNCTION @extschema@.inqud_adopt(text)
	IS 'takes over queued work that came from another database; returns how much';
