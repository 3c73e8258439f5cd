/*
 * remove.sql
 *		What goes along, or stays behind, when the extension or a server is dropped.
 */

/*
 * How many payments and open checkouts there are, of all projects (null) or of one; counted
 * up to "most", so that a large record keeps nobody waiting.
 */
CREATE FUNCTION inqud._holds(server oid, most bigint, OUT payments bigint, OUT unfinished bigint)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	WITH s AS (SELECT n.id FROM inqud.known_server n WHERE n.home = inqud._home() AND n.oid = $1)
	SELECT (SELECT count(*) FROM (SELECT FROM inqud.checkout c
			WHERE c.paid_at IS NOT NULL AND inqud._is_ended(c.status) AND ($1 IS NULL OR c.server_id = (SELECT s.id FROM s)) LIMIT most) p),
		(SELECT count(*) FROM (SELECT FROM inqud.queue q JOIN inqud.checkout c ON c.id = q.checkout
			WHERE c.state IN ('queued', 'open') AND ($1 IS NULL OR c.server_id = (SELECT s.id FROM s)) LIMIT most) u);
END;
