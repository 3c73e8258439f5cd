/*
 * on_status.sql
 *		Tells the shop of a change: NOTIFY, and the call of its on_status function.
 */

/* Sends the notice of a checkout's news. */
CREATE FUNCTION inqud._notice(checkout bigint, project text, state text, status text) RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'inqud_notice';

/*
 * Queues the call of the project's on_status function, which outlives this
 * transaction. A change during a call moves "poke", so that the call's end does
 * not delete the row.
 */
CREATE FUNCTION inqud._call(checkouts bigint[]) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO inqud.call AS k (checkout, home, server_id, due_at)
		SELECT c.id, inqud._home(), c.server_id, clock_timestamp()
		FROM inqud.checkout c
		WHERE c.id = ANY (checkouts) AND c.server_id = ANY (ARRAY(
			SELECT n.id FROM inqud.known_server n JOIN pg_foreign_server s ON s.oid = n.oid, pg_options_to_table(s.srvoptions) o
			WHERE n.home = inqud._home() AND o.option_name = 'on_status'))
	ON CONFLICT (checkout) DO UPDATE
		SET poke = k.poke + 1, due_at = least(k.due_at, excluded.due_at), home = excluded.home;
END
$$;

/* Tells the shop of a checkout's news. */
CREATE FUNCTION inqud._notify(c inqud.checkout) RETURNS void
	LANGUAGE plpgsql AS $$
BEGIN
	PERFORM inqud._notice(c.id, c.project, c.state, c.status);
	PERFORM inqud._call(ARRAY[c.id]);
END
$$;

/*
 * Takes up to n on_status calls of a project that are due: first calls, or one
 * that has failed before if it has waited longest.  The attempt and the time of
 * the next one are written before the call, so a function that ends the worker is
 * not called in a tight loop.  "again": one that has failed before may be taken;
 * it may end the worker, so C asks for it when nothing else is under way.  "since":
 * see _claim.  due_at is that of before.
 */
CREATE FUNCTION inqud._take_calls(home bigint, server_id integer, n integer, again boolean,
		since timestamptz DEFAULT '-infinity')
		RETURNS TABLE (checkout bigint, poke integer, attempts integer, due_at timestamptz)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
	SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
	till timestamptz := clock_timestamp();
BEGIN
	RETURN QUERY
		WITH due AS MATERIALIZED (
			SELECT k.checkout, k.attempts, k.due_at FROM inqud.call k
			WHERE k.home = _take_calls.home AND k.server_id = _take_calls.server_id
				AND k.due_at BETWEEN since AND till
				AND (again OR k.attempts = 0)
			ORDER BY k.due_at LIMIT n
			FOR NO KEY UPDATE SKIP LOCKED
		), oldest AS MATERIALIZED (
			SELECT d.checkout, d.attempts FROM due d ORDER BY d.due_at LIMIT 1)
		UPDATE inqud.call k SET attempts = k.attempts + 1,
				due_at = till + least(power(2, least(k.attempts, 10)), 600) * interval '1 second'
			FROM due, oldest o
			WHERE k.checkout = due.checkout AND (due.checkout = o.checkout OR o.attempts = 0 AND due.attempts = 0)
			RETURNING k.checkout, k.poke, k.attempts, due.due_at;
END
$$;

/*
 * The on_status function has seen these changes, or must see newer ones. Returns
 * how many rows are left. One that a session has locked is among them, since its
 * "poke" is about to move: then the call is due again, at its next time.
 */
CREATE FUNCTION inqud._calls_done(checkouts bigint[], pokes integer[]) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
	SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
	n bigint;
BEGIN
	WITH seen AS MATERIALIZED (
		SELECT k.checkout, k.poke = u.poke AS over
		FROM unnest(checkouts, pokes) AS u (checkout, poke) JOIN inqud.call k ON k.checkout = u.checkout
		FOR UPDATE OF k SKIP LOCKED
	), again AS (
		UPDATE inqud.call k SET attempts = 0, due_at = clock_timestamp()
		FROM seen WHERE k.checkout = seen.checkout AND NOT seen.over
	)
	DELETE FROM inqud.call k USING seen WHERE k.checkout = seen.checkout AND seen.over;
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN cardinality(checkouts) - n;
END
$$;
