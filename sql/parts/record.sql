/*
 * record.sql
 *		What recording an outcome asks of SQL beside plain writes.
 *
 * Outcomes are recorded by src/shared/record.c.
 */

/* Adds a row to the history. */
CREATE FUNCTION inqud._event(checkout bigint, kind text, detail text) RETURNS void
	LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO inqud.event (checkout, kind, detail) VALUES ($1, $2, $3);
END
$$;

/* Records an array of outcomes that are written by hand, for tests; the worker and sessions do it in C. */
CREATE FUNCTION inqud._record(outcomes jsonb, by_worker boolean) RETURNS TABLE (checkout bigint, result text)
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'inqud_record_outcomes';

/* Adds a row for a second answer to the create of an order; returns its id. */
CREATE FUNCTION inqud._add_second(first bigint) RETURNS bigint
	LANGUAGE sql
BEGIN ATOMIC
	INSERT INTO inqud.checkout AS k (project, project_id, order_id, current, owner, name, type, amount, currency,
			return_url, extra, server_id, owner_id)
		SELECT c.project, c.project_id, c.order_id, false, c.owner, c.name, c.type, c.amount, c.currency,
			c.return_url, c.extra, c.server_id, c.owner_id
		FROM inqud.checkout c WHERE c.id = $1
		RETURNING k.id;
END;

/*
 * Adds a row for what only a webhook had named; returns its id. "foreign": it fits
 * none of the order's rows, so it does not become the order's.  It belongs to the owner
 * of the order that it names, else to the server's.
 */
CREATE FUNCTION inqud._add_found(inbox bigint, is_foreign boolean, order_id text, project_id text,
		amount numeric, currency text) RETURNS bigint
	LANGUAGE sql
BEGIN ATOMIC
	INSERT INTO inqud.checkout AS k (project, server_id, project_id, order_id, current, owner, owner_id, amount, currency)
		SELECT s.srvname, i.server_id, coalesce($4, v.option_value), CASE WHEN NOT $2 THEN $3 END, false,
			coalesce(x.owner, pg_get_userbyid(s.srvowner)),
			CASE WHEN x.id IS NULL THEN inqud._know_role(s.srvowner) ELSE x.owner_id END, $5, $6
		FROM inqud.inbox i JOIN pg_foreign_server s ON s.oid = inqud._server_oid(i.server_id)
			JOIN pg_options_to_table(s.srvoptions) v ON v.option_name = 'project_id'
			LEFT JOIN LATERAL (SELECT c.* FROM inqud._of_order(i.server_id, $3) c ORDER BY c.current DESC, c.id DESC LIMIT 1) x ON true
		WHERE i.id = $1
		RETURNING k.id;
END;

/* Cancels a queued checkout whose order was paid through another one, unless a process is about to send it. */
CREATE FUNCTION inqud._drop_unsent(checkout bigint, paid_by bigint) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	-- a process that holds it now is claiming it, and looks for a paid one itself
	PERFORM FROM inqud.queue q WHERE q.checkout = _drop_unsent.checkout AND q.lease IS NULL
		FOR NO KEY UPDATE SKIP LOCKED;
	IF FOUND THEN
		PERFORM inqud._drop_paid(checkout, paid_by);
	END IF;
END
$$;
