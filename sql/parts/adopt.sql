/*
 * adopt.sql
 *		Which server and which role rows belong to, when that is not what it was: after a
 *		copy or restore, a drop, a reassignment, a rename.
 *
 * Rows point to entries (inqud.known_server, inqud.known_role), so these functions
 * change entries.  Checkouts are moved only between two entries of one server, and the
 * fewer of the two are.
 */

/* Our servers, by their names of now. */
CREATE VIEW inqud._server_here WITH (security_invoker = true) AS
	SELECT s.oid, s.srvname AS name, s.srvowner AS owner FROM pg_foreign_server s
	WHERE s.srvfdw = (SELECT d.objid FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid
		WHERE d.classid = 'pg_foreign_data_wrapper'::regclass AND d.refclassid = 'pg_extension'::regclass
			AND d.deptype = 'e' AND x.extname = 'inqud' LIMIT 1);

/* Servers of here that were dropped, while rows still point to them. */
CREATE VIEW inqud._dropped_server WITH (security_invoker = true) AS
	SELECT n.id, n.name FROM inqud.known_server n
	WHERE n.home = (SELECT inqud._home()) AND NOT EXISTS (SELECT FROM pg_foreign_server s WHERE s.oid = n.oid);

/*
 * Moves checkouts from one entry of a server to another: those of these owners, or all
 * for null.  A checkout of Inqud that both have stays once, as the row that was first,
 * and is read again.  Where an order has a current row in both, the last one stays it.
 */
CREATE FUNCTION inqud._move_rows(source integer, target integer, owners integer[]) RETURNS void
	LANGUAGE plpgsql AS $$
DECLARE
	d record;
BEGIN
	FOR d IN SELECT least(a.id, b.id) AS kept, greatest(a.id, b.id) AS gone, a.checkout_id
		FROM inqud.checkout a JOIN inqud.checkout b ON b.server_id = target AND b.checkout_id = a.checkout_id
		WHERE a.server_id = source AND (owners IS NULL OR a.owner_id = ANY (owners))
	LOOP
		UPDATE inqud.event e SET checkout = d.kept WHERE e.checkout = d.gone;
		DELETE FROM inqud.queue q WHERE q.checkout = d.gone;
		DELETE FROM inqud.call k WHERE k.checkout = d.gone;
		DELETE FROM inqud.inbox i WHERE i.checkout = d.gone;
		DELETE FROM inqud.checkout c WHERE c.id = d.gone;
		INSERT INTO inqud.inbox (home, server_id, checkout, checkout_id) VALUES (inqud._home(), target, d.kept, d.checkout_id);
	END LOOP;
	FOR d IN SELECT k.id, k.state FROM inqud.checkout a
			JOIN inqud.checkout b ON b.server_id = target AND b.order_id = a.order_id AND b.current
			JOIN inqud.checkout k ON k.id = least(a.id, b.id)
		WHERE a.server_id = source AND a.current AND (owners IS NULL OR a.owner_id = ANY (owners))
	LOOP
		UPDATE inqud.checkout k SET current = false, updated_at = clock_timestamp(),
				state = CASE WHEN k.state = 'queued' THEN 'canceled' ELSE k.state END,
				canceled_at = CASE WHEN k.state = 'queued' THEN clock_timestamp() ELSE k.canceled_at END
			WHERE k.id = d.id;
		IF d.state = 'queued' THEN
			DELETE FROM inqud.queue q WHERE q.checkout = d.id;
			PERFORM inqud._event(d.id, 'canceled', 'not sent: its order has a newer checkout here');
		END IF;
	END LOOP;
	UPDATE inqud.checkout k SET server_id = target
		WHERE k.server_id = source AND (owners IS NULL OR k.owner_id = ANY (owners));
	-- due, so that the worker follows them as those of the other entry
	UPDATE inqud.queue q SET server_id = target, poke = q.poke + 1, due_at = coalesce(q.due_at, clock_timestamp())
		FROM inqud.checkout c WHERE q.server_id = source AND c.id = q.checkout AND c.server_id = target;
	UPDATE inqud.call k SET server_id = target
		FROM inqud.checkout c WHERE k.server_id = source AND c.id = k.checkout AND c.server_id = target;
	UPDATE inqud.inbox i SET server_id = target
		WHERE i.server_id = source AND (owners IS NULL OR EXISTS (SELECT FROM inqud.checkout c WHERE c.id = i.checkout AND c.server_id = target));
END
$$;

/* Lets roles of here be those of that name elsewhere, whose checkouts the role that asks may adopt. */
CREATE FUNCTION inqud._adopt_roles(project text, role oid) RETURNS void
	LANGUAGE plpgsql AS $$
BEGIN
	UPDATE inqud.known_role k SET home = inqud._home(), oid = r.oid
		FROM pg_roles r
		WHERE k.home <> inqud._home() AND r.rolname = k.name
			AND (inqud._is_trusted(role) OR pg_has_role(role, r.oid, 'USAGE'))
			AND k.id IN (SELECT c.owner_id FROM inqud.checkout c JOIN inqud.known_server n ON n.id = c.server_id
					JOIN inqud._server_here s ON s.name = n.name
				WHERE (_adopt_roles.project IS NULL OR n.name = _adopt_roles.project)
					AND (inqud._is_trusted(role) OR pg_has_role(role, s.owner, 'USAGE')));
END
$$;

/* Of the owners of a server's rows, those as which a role may act; all for null. */
CREATE FUNCTION inqud._adoptable(server integer, role oid) RETURNS integer[]
	LANGUAGE plpgsql AS $$
DECLARE
	owners integer[];
	others boolean;
BEGIN
	IF inqud._is_trusted(role) THEN
		RETURN NULL;
	END IF;
	SELECT coalesce(array_agg(o.owner_id) FILTER (WHERE o.may), '{}'), coalesce(bool_or(NOT o.may), false)
			OR EXISTS (SELECT FROM inqud.inbox i WHERE i.server_id = server AND i.checkout IS NULL)
		INTO owners, others
		FROM (SELECT d.owner_id, inqud._may_act(role, d.owner_id) AND EXISTS (SELECT FROM pg_roles r WHERE r.oid = inqud._role_oid(d.owner_id)) AS may
			FROM (SELECT DISTINCT c.owner_id FROM inqud.checkout c WHERE c.server_id = server) d) o;
	RETURN CASE WHEN others THEN owners END;
END
$$;

/* Takes the rows of an entry, of these owners or of all for null, to a server of here; returns how much is to be done. */
CREATE FUNCTION inqud._adopt_entry(entry integer, server oid, owners integer[]) RETURNS bigint
	LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	here bigint := inqud._home();
	target integer := (SELECT k.id FROM inqud.known_server k WHERE k.home = here AND k.oid = server);
	n bigint;
	calls bigint;
BEGIN
	-- the worker does not schedule these yet: have them read once
	UPDATE inqud.queue q SET home = here, lease = CASE WHEN q.home = here THEN q.lease END, crashes = 0, poke = q.poke + 1,
			due_at = coalesce(q.due_at, clock_timestamp())
		FROM inqud.checkout c
		WHERE c.id = q.checkout AND q.server_id = entry AND (owners IS NULL OR c.owner_id = ANY (owners));
	GET DIAGNOSTICS n = ROW_COUNT;
	UPDATE inqud.call k SET home = here
		FROM inqud.checkout c
		WHERE c.id = k.checkout AND k.server_id = entry AND (owners IS NULL OR c.owner_id = ANY (owners));
	GET DIAGNOSTICS calls = ROW_COUNT;
	UPDATE inqud.inbox i SET home = here, crashes = 0
		WHERE i.server_id = entry AND (owners IS NULL
			OR EXISTS (SELECT FROM inqud.checkout c WHERE c.id = i.checkout AND c.owner_id = ANY (owners)));
	IF owners IS NOT NULL THEN
		PERFORM inqud._move_rows(entry, inqud._know_server(server), owners);
		RETURN n + calls;
	ELSIF target IS NOT NULL AND (SELECT count(*) FROM inqud.checkout c WHERE c.server_id = entry)
			<= (SELECT count(*) FROM inqud.checkout c WHERE c.server_id = target) THEN
		PERFORM inqud._move_rows(entry, target, NULL);
		DELETE FROM inqud.known_server k WHERE k.id = entry;
		RETURN n + calls;
	ELSIF target IS NOT NULL THEN
		PERFORM inqud._move_rows(target, entry, NULL);
		DELETE FROM inqud.known_server k WHERE k.id = target;
	END IF;
	UPDATE inqud.known_server k SET home = here, oid = server WHERE k.id = entry;
	RETURN n + calls;
END
$$;

/*
 * Takes over what came from another database, or belongs to a server that was dropped
 * here, where there is a server of that name.
 */
CREATE FUNCTION inqud._adopt(project text, role oid) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n bigint := 0;
	e record;
BEGIN
	PERFORM inqud._adopt_roles(project, role);
	FOR e IN SELECT k.id, s.oid FROM inqud.known_server k JOIN inqud._server_here s ON s.name = k.name
		WHERE (k.home <> inqud._home() OR k.id IN (SELECT d.id FROM inqud._dropped_server d))
			AND (_adopt.project IS NULL OR k.name = _adopt.project)
			AND (inqud._is_trusted(role) OR pg_has_role(role, s.owner, 'USAGE'))
		ORDER BY k.id
	LOOP
		n := n + inqud._adopt_entry(e.id, e.oid, inqud._adoptable(e.id, role));
	END LOOP;
	RETURN n;
END
$$;

CREATE FUNCTION @extschema@.inqud_adopt(project text DEFAULT NULL) RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'inqud_adopt';
COMMENT ON FUNCTION @extschema@.inqud_adopt(text)
	IS 'takes over queued work that came from another database, or whose server was dropped and made again; returns how much';

/*
 * Hands the checkouts of a role over to another one: those of a role that lives, by its
 * oid, and with a name also those of roles that were dropped, or are known elsewhere,
 * and had that name last.  Returns the entries.
 */
CREATE FUNCTION inqud._reassign(source oid, old_name name, target oid) RETURNS integer[]
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ids integer[];
BEGIN
	WITH given AS (
		UPDATE inqud.known_role k SET home = inqud._home(), oid = target, name = pg_get_userbyid(target), named_to = 0
			WHERE k.home = inqud._home() AND k.oid = source
				OR k.name = old_name AND (k.home <> inqud._home() OR NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = k.oid))
			RETURNING k.id)
	SELECT coalesce(array_agg(given.id), '{}') INTO ids FROM given;
	RETURN ids;
END
$$;

/* The same; returns how many checkouts that are. */
CREATE FUNCTION inqud._reassign_count(source oid, old_name name, target oid) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ids integer[] := inqud._reassign(source, old_name, target);
BEGIN
	IF source = 0 AND cardinality(ids) = 0 THEN
		RAISE undefined_object USING MESSAGE = format('role "%s" does not exist', old_name),
			DETAIL = 'Nor does a checkout belong to a role that had this name and was dropped.';
	END IF;
	RETURN (SELECT count(*) FROM inqud.checkout c WHERE c.owner_id = ANY (ids));
END
$$;

CREATE FUNCTION @extschema@.inqud_reassign(from_role name, to_role name) RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'inqud_reassign';
COMMENT ON FUNCTION @extschema@.inqud_reassign(name, name)
	IS 'hands a role''s checkouts over to another role, also those of a role that was dropped; returns how many';

-- ---- Names that rows show ----

/* Notes the names that roles and servers have now, and that checkouts are to show them. */
CREATE FUNCTION inqud._note_names(home bigint) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE inqud.known_role k SET name = r.rolname, named_to = 0
		FROM pg_roles r WHERE k.home = _note_names.home AND r.oid = k.oid AND r.rolname <> k.name;
	UPDATE inqud.known_server k SET former = (ARRAY[k.name] || k.former)[1:16], name = s.srvname, named_to = 0
		FROM pg_foreign_server s WHERE k.home = _note_names.home AND s.oid = k.oid AND s.srvname <> k.name;
END
$$;

/*
 * Brings the names in the next n checkouts up to date, for one entry that has another
 * name now.  A row that is locked elsewhere is where the next step begins.  Returns true
 * if there is more to do, false if that is locked, null if nothing is left.
 */
CREATE FUNCTION inqud._rename_some(home bigint, n integer) RETURNS boolean
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	e record;
	reached bigint;
	held bigint;
BEGIN
	SELECT k.id, k.name, k.named_to, true AS is_role INTO e
		FROM inqud.known_role k WHERE k.home = _rename_some.home AND k.named_to IS NOT NULL LIMIT 1;
	IF NOT FOUND THEN
		SELECT k.id, k.name, k.named_to, false AS is_role INTO e
			FROM inqud.known_server k WHERE k.home = _rename_some.home AND k.named_to IS NOT NULL LIMIT 1;
	END IF;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	SELECT max(p.id) INTO reached
		FROM (SELECT c.id FROM inqud.checkout c WHERE c.id > e.named_to ORDER BY c.id LIMIT n) AS p;
	IF e.is_role THEN
		WITH mine AS MATERIALIZED (
			SELECT c.id FROM inqud.checkout c
			WHERE c.id > e.named_to AND c.id <= reached AND c.owner_id = e.id AND c.owner <> e.name
			FOR NO KEY UPDATE SKIP LOCKED)
		UPDATE inqud.checkout k SET owner = e.name FROM mine WHERE k.id = mine.id;
		held := (SELECT min(c.id) FROM inqud.checkout c
			WHERE c.id > e.named_to AND c.id <= reached AND c.owner_id = e.id AND c.owner <> e.name);
		UPDATE inqud.known_role k SET named_to = coalesce(held - 1, reached) WHERE k.id = e.id;
	ELSE
		WITH mine AS MATERIALIZED (
			SELECT c.id FROM inqud.checkout c
			WHERE c.id > e.named_to AND c.id <= reached AND c.server_id = e.id AND c.project <> e.name
			FOR NO KEY UPDATE SKIP LOCKED)
		UPDATE inqud.checkout k SET project = e.name FROM mine WHERE k.id = mine.id;
		held := (SELECT min(c.id) FROM inqud.checkout c
			WHERE c.id > e.named_to AND c.id <= reached AND c.server_id = e.id AND c.project <> e.name);
		UPDATE inqud.known_server k SET named_to = coalesce(held - 1, reached) WHERE k.id = e.id;
	END IF;
	RETURN held IS NULL OR held - 1 > e.named_to;
END
$$;
