/*
 * trouble.sql
 *		What a person should look at, and why: one view a kind of trouble, and
 *		their union.
 *
 * Each view reaches its rows by what only they have: the index checkout_trouble,
 * of which its condition repeats a part word for word, or the queue, which is
 * short.  A column, or the word in inqud.checkout.fault, says what is wrong; no view
 * looks into the text of a message.
 */

/* What to do about a server that was dropped. */
CREATE FUNCTION inqud._advice_no_server(project text, project_id text, checkout bigint) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN 'if a server ' || project || ' with project_id ' || project_id || ' is to go on with it, create it and SELECT inqud_adopt('
		|| quote_literal(project) || '); else inqud_cancel(' || checkout || ') as a superuser';

/* Refused by Inqud, or given up. */
CREATE VIEW inqud._trouble_failed WITH (security_invoker = true) AS
	SELECT c.id AS checkout, c.project, c.order_id, c.owner, 'failed' AS trouble, c.updated_at AS since, c.error AS detail,
		'mend the cause, then inqud_retry(' || c.id || '), or inqud_cancel(' || c.id || ')' AS advice
	FROM inqud.checkout c WHERE c.state = 'failed' AND c.current;

/* A word that this version does not know. */
CREATE VIEW inqud._trouble_status WITH (security_invoker = true) AS
	SELECT c.id AS checkout, c.project, c.order_id, c.owner, 'unknown status' AS trouble, c.updated_at AS since,
		'Inqud says ' || c.status || ', which this version does not know; it counts as unpaid and is followed' AS detail,
		'look at ' || c.checkout_id || ' in the Inqud app' AS advice
	FROM inqud.checkout c WHERE c.state = 'open' AND NOT inqud._is_known_open(c.status);

/* A create or read that went wrong and is tried again.  Words that are not listed get a general advice. */
CREATE VIEW inqud._trouble_call WITH (security_invoker = true) AS
	SELECT c.id AS checkout, c.project, c.order_id, c.owner,
		coalesce(a.trouble, CASE WHEN c.state = 'queued' THEN 'not sent yet' ELSE 'cannot be read' END) AS trouble,
		c.updated_at AS since, c.error AS detail,
		coalesce(a.advice, 'the worker goes on trying; mend the cause if it is on this side') AS advice
	FROM inqud.checkout c LEFT JOIN LATERAL (VALUES
			('auth', 'credentials refused', 'set token_id and token_secret of the user mapping for ' || c.owner
				|| ' or PUBLIC, server ' || c.project || '; is the widget active at Inqud?'),
			('route', 'wrong address', 'compare project_id, base_url and checkout_path of server ' || c.project || ' with the Inqud app'),
			('throttled', 'throttled', 'Inqud asks for fewer calls: lower rate_limit of server ' || c.project),
			('no_right', 'no right', 'GRANT USAGE ON FOREIGN SERVER ' || quote_ident(c.project) || ' TO ' || quote_ident(c.owner)),
			('no_key', 'no key', 'give server ' || c.project || ' a user mapping for ' || c.owner
				|| ' or PUBLIC, with token_id and token_secret'),
			('project_changed', 'project_id changed', 'set project_id of server ' || c.project || ' back to ' || c.project_id
				|| ', and use another server for another project'),
			('no_server', 'no server', inqud._advice_no_server(c.project, c.project_id, c.id)),
			('crashed', 'ended the worker', 'the server log says how the worker ended; the call is made alone, later each time; inqud_cancel('
				|| c.id || ') lets the order have another checkout'),
			('descriptors', NULL, 'raise the limit of open files (ulimit -n, and max_files_per_process), or lower max_inflight of server ' || c.project),
			('no_owner', 'no owner', 'the role is not known here: as a superuser, SELECT inqud_reassign(' || quote_literal(c.owner)
				|| ', ''another role''), or inqud_cancel(' || c.id || '); after a restore, create it and SELECT inqud_adopt()')
		) AS a (fault, trouble, advice) ON a.fault = CASE WHEN c.server_id = ANY (ARRAY(SELECT d.id FROM inqud._dropped_server d))
			THEN 'no_server' ELSE c.fault END
	WHERE c.error IS NOT NULL AND c.state IN ('queued', 'open', 'closed');

/* To be done for a server that was dropped; what has an error is told above. */
CREATE VIEW inqud._trouble_no_server WITH (security_invoker = true) AS
	SELECT c.id AS checkout, c.project, c.order_id, c.owner, 'no server' AS trouble, c.updated_at AS since,
		CASE WHEN EXISTS (SELECT FROM pg_foreign_server s WHERE s.srvname = c.project)
			THEN 'server "' || c.project || '" was dropped; the one of that name is another one'
			ELSE 'server "' || c.project || '" was dropped' END AS detail,
		inqud._advice_no_server(c.project, c.project_id, c.id) AS advice
	FROM inqud._dropped_server d JOIN (
			SELECT q.checkout, q.server_id FROM inqud.queue q WHERE q.home = (SELECT inqud._home())
			UNION SELECT k.checkout, k.server_id FROM inqud.call k WHERE k.home = (SELECT inqud._home())) AS w ON w.server_id = d.id
		JOIN inqud.checkout c ON c.id = w.checkout
	WHERE c.error IS NULL OR c.state NOT IN ('queued', 'open', 'closed');

/* Due, and no worker takes it. */
CREATE VIEW inqud._trouble_not_picked_up WITH (security_invoker = true) AS
	SELECT c.id AS checkout, c.project, c.order_id, c.owner, 'not picked up' AS trouble, q.due_at AS since,
		'due, but no worker has taken it' || coalesce('; its last error: '
			|| (SELECT k.error FROM inqud._workers() k WHERE k.database = current_database()), '') AS detail,
		CASE WHEN (SELECT k.unwritten > 0 FROM inqud._workers() k WHERE k.database = current_database())
			THEN 'see the trouble "not recorded": nothing is sent while answers cannot be written'
			ELSE 'see inqud.worker; if one runs, there is more to send than rate_limit of server ' || c.project || ' lets through'
			END AS advice
	FROM inqud.queue q JOIN inqud.checkout c ON c.id = q.checkout
	WHERE q.kind = 'create' AND q.lease IS NULL AND q.home = (SELECT inqud._home()) AND c.error IS NULL
		AND q.due_at < clock_timestamp() - interval '1 minute'
		AND q.server_id <> ALL (ARRAY(SELECT d.id FROM inqud._dropped_server d));

/* Expired here long ago, and Inqud has not said so. */
CREATE VIEW inqud._trouble_overdue WITH (security_invoker = true) AS
	SELECT c.id AS checkout, c.project, c.order_id, c.owner, 'overdue' AS trouble, q.tail_from AS since,
		'ended here two days ago, and Inqud still says ' || c.status AS detail, 'ask Inqud about ' || c.checkout_id AS advice
	FROM inqud.queue q JOIN inqud.checkout c ON c.id = q.checkout
	WHERE c.state = 'open' AND q.phase IN ('new', 'active') AND q.tail_from < now() - interval '2 days';

/* The shop's function has failed, or the first call of it did not come back. */
CREATE VIEW inqud._trouble_on_status WITH (security_invoker = true) AS
	SELECT c.id AS checkout, c.project, c.order_id, c.owner, 'on_status failed' AS trouble,
		(SELECT min(e.at) FROM inqud.event e WHERE e.checkout = c.id AND e.kind = 'hook') AS since,
		coalesce((SELECT e.detail FROM inqud.event e WHERE e.checkout = c.id AND e.kind = 'hook' ORDER BY e.id DESC LIMIT 1),
			k.attempts || ' attempts') AS detail,
		'mend the on_status function of server ' || c.project || '; it is called again until it succeeds' AS advice
	FROM inqud.call k JOIN inqud.checkout c ON c.id = k.checkout
	WHERE k.attempts > 1 OR k.attempts = 1 AND k.due_at > clock_timestamp()
		AND EXISTS (SELECT FROM inqud.event e WHERE e.checkout = c.id AND e.kind = 'hook');

/*
 * To be called for seconds, and held back because the last call of its project took
 * long; the worker tells how long by shared memory.
 */
CREATE VIEW inqud._trouble_on_status_slow WITH (security_invoker = true) AS
	SELECT c.id AS checkout, c.project, c.order_id, c.owner, 'on_status slow' AS trouble, k.due_at AS since,
		'the last call of on_status took ' || round(extract(epoch FROM s.slow_call), 1) || ' s, so the next ones wait longer' AS detail,
		'make the on_status function of server ' || c.project || ' quicker; until then it is called more rarely' AS advice
	FROM inqud.call k JOIN inqud.checkout c ON c.id = k.checkout
		JOIN inqud._stats() s ON s.project = c.project AND s.database = current_database()
	WHERE k.home = (SELECT inqud._home()) AND k.attempts <= 1 AND k.due_at < clock_timestamp() - interval '5 seconds'
		AND s.slow_call IS NOT NULL;

/* Queued in another database: this is a copy, or was restored. */
CREATE VIEW inqud._trouble_foreign WITH (security_invoker = true) AS
	SELECT c.id AS checkout, c.project, c.order_id, c.owner, 'foreign' AS trouble, coalesce(q.due_at, c.updated_at) AS since,
		'queued in another database or cluster than this one' AS detail, 'if this is not a copy: SELECT inqud_adopt()' || CASE WHEN EXISTS (SELECT FROM pg_foreign_server s WHERE s.srvname = c.project)
			THEN '' ELSE ', once there is a server ' || c.project END AS advice
	FROM inqud.queue q JOIN inqud.checkout c ON c.id = q.checkout
	WHERE q.home <> (SELECT inqud._home());

/*
 * ---- What stands until inqud_resolve ----
 *
 * An event "resolved" of a checkout settles what has a smaller number there: events, and
 * the last SUCCESS or CONFLICT (money_event).  Numbers say what came first, since a clock
 * may be set back.
 */

/* Money arrived, and something is wrong with it. */
CREATE VIEW inqud._trouble_conflict WITH (security_invoker = true) AS
	SELECT c.id AS checkout, c.project, c.order_id, c.owner, 'conflict' AS trouble,
		inqud._ended_at(c.paid_at, c.status_at, c.closed_at) AS since,
		concat_ws(' ', 'Inqud says CONFLICT', c.reason, 'paid ' || c.paid_amount || ' of ' || c.pay_amount || ' ' || c.pay_currency) AS detail,
		'decide with the payer and Inqud; inqud_cancel(' || c.id || ') lets the order have another checkout, inqud_resolve('
			|| c.id || ', note) keeps it' AS advice
	FROM inqud.checkout c WHERE c.status = 'CONFLICT' AND c.canceled_at IS NULL AND c.paid_at IS NULL
		AND NOT EXISTS (SELECT FROM inqud.event r WHERE r.checkout = c.id AND r.kind = 'resolved' AND r.id > c.money_event);

/* What Inqud said against the record, or what should not be. */
CREATE VIEW inqud._trouble_anomaly WITH (security_invoker = true) AS
	SELECT c.id AS checkout, c.project, c.order_id, c.owner, 'anomaly' AS trouble, e.at AS since, e.detail,
		'look at ' || coalesce(c.checkout_id, 'the order') || ' in the Inqud app'
			|| CASE WHEN c.paid_at IS NOT NULL THEN '; the order counts as paid meanwhile' ELSE '' END
			|| '; then inqud_resolve(' || c.id || ', note)' AS advice
	FROM inqud.event e JOIN inqud.checkout c ON c.id = e.checkout
	WHERE e.kind = 'anomaly'
		AND NOT EXISTS (SELECT FROM inqud.event r WHERE r.checkout = e.checkout AND r.kind = 'resolved' AND r.id > e.id);

/* An order was inserted that has its checkout already. */
CREATE VIEW inqud._trouble_again WITH (security_invoker = true) AS
	SELECT c.id AS checkout, c.project, c.order_id, c.owner, 'again' AS trouble, e.at AS since, e.detail,
		'was a number used twice? Then give the new order another one; inqud_resolve(' || c.id || ', note) if all is well' AS advice
	FROM inqud.event e JOIN inqud.checkout c ON c.id = e.checkout
	WHERE e.kind = 'again'
		AND NOT EXISTS (SELECT FROM inqud.event r WHERE r.checkout = e.checkout AND r.kind = 'resolved' AND r.id > e.id);

/*
 * Money for a checkout that is not its order's current one.  One that was made by hand in
 * Inqud's app, and names no order, is no trouble; where its order has no other row here,
 * nothing was replaced.
 */
CREATE VIEW inqud._trouble_late WITH (security_invoker = true) AS
	SELECT c.id AS checkout, c.project, c.order_id, c.owner, 'anomaly' AS trouble,
		inqud._ended_at(c.paid_at, c.status_at, c.closed_at) AS since,
		CASE WHEN c.paid_at IS NOT NULL THEN 'paid' ELSE 'money arrived' END
			|| CASE WHEN c.canceled_at IS NOT NULL THEN ' after it was canceled' WHEN o.other THEN ' after it was replaced'
				ELSE ', and the order has no other checkout here' END AS detail,
		CASE WHEN c.canceled_at IS NOT NULL OR o.other THEN 'look at the checkouts of this order; a refund may be due'
			ELSE 'compare it with order ' || c.order_id || ', which did not ask for it here' END
			|| '; then inqud_resolve(' || c.id || ', note)' AS advice
	FROM inqud.checkout c CROSS JOIN LATERAL (SELECT
			EXISTS (SELECT FROM inqud.checkout x WHERE x.server_id = c.server_id AND x.order_id = c.order_id AND x.current)
			OR EXISTS (SELECT FROM inqud.checkout x WHERE x.server_id = c.server_id AND x.order_id = c.order_id AND NOT x.current
				AND x.id <> c.id) AS other) AS o
	WHERE NOT c.current AND c.money_event IS NOT NULL AND c.order_id IS NOT NULL
		AND NOT EXISTS (SELECT FROM inqud.event r WHERE r.checkout = c.id AND r.kind = 'resolved' AND r.id > c.money_event);

/* Two checkouts of an order are paid: said of the one that was paid later.  One of them is not current. */
CREATE VIEW inqud._trouble_twice WITH (security_invoker = true) AS
	SELECT c.id AS checkout, c.project, c.order_id, c.owner, 'anomaly' AS trouble, c.closed_at AS since,
		'paid twice: checkout ' || CASE WHEN c.id = n.id THEN s.id ELSE n.id END || ' of the same order is paid too' AS detail,
		'look at the checkouts of this order; a refund may be due; then inqud_resolve(' || c.id || ', note)' AS advice
	FROM inqud.checkout n CROSS JOIN LATERAL (
			SELECT x.id, x.money_event FROM inqud.checkout x
			WHERE x.server_id = n.server_id AND x.order_id = n.order_id AND x.current AND x.paid_at IS NOT NULL
			UNION ALL
			SELECT x.id, x.money_event FROM inqud.checkout x
			WHERE x.server_id = n.server_id AND x.order_id = n.order_id AND NOT x.current AND x.paid_at IS NOT NULL AND x.id < n.id) AS s
		JOIN inqud.checkout c ON c.id = CASE WHEN s.money_event > n.money_event THEN s.id ELSE n.id END
	WHERE NOT n.current AND n.money_event IS NOT NULL AND n.paid_at IS NOT NULL AND s.money_event IS NOT NULL
		AND NOT EXISTS (SELECT FROM inqud.event r WHERE r.checkout = c.id AND r.kind = 'resolved' AND r.id > c.money_event);

/* All that inqud_resolve settles. */
CREATE VIEW inqud._unsettled WITH (security_invoker = true) AS
	SELECT * FROM inqud._trouble_conflict
	UNION ALL SELECT * FROM inqud._trouble_anomaly
	UNION ALL SELECT * FROM inqud._trouble_again
	UNION ALL SELECT * FROM inqud._trouble_late
	UNION ALL SELECT * FROM inqud._trouble_twice;

/* A webhook named something that could not be read so far. */
CREATE VIEW inqud._trouble_webhook WITH (security_invoker = true) AS
	SELECT i.checkout, n.name::text AS project, i.order_id, NULL::name AS owner, CASE WHEN i.crashes > 1 THEN 'ended the worker' ELSE 'webhook not confirmed' END AS trouble, i.due_at AS since,
		coalesce(i.checkout_id, 'a checkout') || ', which a webhook (or a session that found it locked) named, could not be read so far; '
			|| i.attempts || ' attempts' AS detail,
		'is there a user mapping for the server''s owner or PUBLIC? After a restore: SELECT inqud_adopt()' AS advice
	FROM inqud.inbox i LEFT JOIN inqud.known_server n ON n.id = i.server_id
	WHERE i.attempts > 2 OR i.crashes > 1 OR i.due_at < clock_timestamp() - interval '1 minute';

/* Since when something has been waiting for the worker of this database; for a server that was dropped it does nothing. */
CREATE VIEW inqud._waiting WITH (security_invoker = true) AS
	SELECT q.due_at FROM inqud.queue q WHERE q.home = (SELECT inqud._home()) AND q.due_at IS NOT NULL
		AND q.server_id <> ALL (ARRAY(SELECT d.id FROM inqud._dropped_server d))
	UNION ALL SELECT k.due_at FROM inqud.call k WHERE k.home = (SELECT inqud._home())
		AND k.server_id <> ALL (ARRAY(SELECT d.id FROM inqud._dropped_server d));

/* Why no worker serves this database, and what to do; no row when one does. */
CREATE VIEW inqud._worker_fault WITH (security_invoker = true) AS
	SELECT v.detail, v.advice
	FROM (SELECT current_setting('inqud.enabled', true) AS enabled) AS g
		LEFT JOIN inqud._workers() AS k ON k.database = current_database()
		CROSS JOIN LATERAL (VALUES
			(1, g.enabled = 'off', 'inqud.enabled is off: nothing is sent, and no payment is noticed',
				'ALTER SYSTEM SET inqud.enabled = on, then SELECT pg_reload_conf()'),
			(2, k.database IS NULL, 'no worker knows of this database: nothing is sent, and no payment is noticed',
				'put inqud into shared_preload_libraries and restart the server'),
			(3, k.state = 'stopped', 'the worker was stopped by inqud_worker_stop()', 'SELECT inqud_worker_start()'),
			(4, k.state IN ('waiting', 'starting') AND k.failures > 0,
				'the worker ended with an error ' || k.failures || ' time' || CASE WHEN k.failures > 1 THEN 's in a row' ELSE '' END
					|| coalesce(': ' || k.error, ''),
				'read the server log; it is started again by itself'),
			(5, k.pid IS NULL AND EXISTS (SELECT FROM inqud._waiting w WHERE w.due_at < clock_timestamp() - interval '1 minute'),
				'something has been due for a minute, and the worker is ' || k.state,
				'is a slot free? Raise max_worker_processes or inqud.max_workers if the server log says so')
		) AS v (n, fits, detail, advice)
	WHERE v.fits ORDER BY v.n LIMIT 1;

/* Something is queued here, and no worker serves this database. */
CREATE VIEW inqud._trouble_no_worker WITH (security_invoker = true) AS
	SELECT NULL::bigint AS checkout, NULL::text AS project, NULL::text AS order_id, NULL::name AS owner, 'no worker' AS trouble,
		(SELECT min(s.due_at) FROM inqud._waiting s) AS since, w.detail, w.advice
	FROM inqud._worker_fault w
	WHERE (EXISTS (SELECT FROM inqud.queue q WHERE q.home = (SELECT inqud._home()))
		OR EXISTS (SELECT FROM inqud._waiting)) AND NOT pg_is_in_recovery();

/* Inqud has answered, and that cannot be written. */
CREATE VIEW inqud._trouble_not_recorded WITH (security_invoker = true) AS
	SELECT NULL::bigint AS checkout, NULL::text AS project, NULL::text AS order_id, NULL::name AS owner, 'not recorded' AS trouble,
		k.unwritten_since AS since,
		k.unwritten || ' answer' || CASE WHEN k.unwritten > 1 THEN 's' ELSE '' END || ' of Inqud cannot be written'
			|| coalesce(': ' || k.error, '') AS detail,
		'mend the cause; the server log has all of the error. The worker keeps the answers and sends nothing more of their kind meanwhile; if it ends, it sends those again' AS advice
	FROM inqud._workers() k WHERE k.database = current_database() AND k.unwritten > 0;

/* The server's queue of notices is filling up. */
CREATE VIEW inqud._trouble_notices WITH (security_invoker = true) AS
	SELECT NULL::bigint AS checkout, NULL::text AS project, NULL::text AS order_id, NULL::name AS owner, 'notices' AS trouble,
		k.unnoticed_since AS since,
		'the server''s queue of notices is half full or more: changes are recorded without a notice' AS detail,
		'end the session that listens, in whatever database, and stays in a transaction: the server log names its pid, and pg_stat_activity has an old xact_start' AS advice
	FROM inqud._workers() k WHERE k.database = current_database() AND k.unnoticed_since IS NOT NULL;

/* The machine's clock was set. */
CREATE VIEW inqud._trouble_clock WITH (security_invoker = true) AS
	SELECT NULL::bigint AS checkout, NULL::text AS project, NULL::text AS order_id, NULL::name AS owner, 'clock' AS trouble,
		k.clock_moved_at AS since,
		'the server''s clock was set ' || CASE WHEN k.clock_moved < interval '0' THEN 'back' ELSE 'forward' END || ' by '
			|| date_trunc('second', greatest(k.clock_moved, -k.clock_moved) + interval '0.5 seconds') || ', or is that much behind what is recorded' AS detail,
		'nothing waits for it; is the time of all servers synchronized? Times recorded before and after do not fit each other' AS advice
	FROM inqud._workers() k WHERE k.database = current_database() AND k.clock_moved IS NOT NULL;

CREATE VIEW inqud.trouble WITH (security_invoker = true) AS
	SELECT * FROM inqud._trouble_failed
	UNION ALL SELECT * FROM inqud._unsettled
	UNION ALL SELECT * FROM inqud._trouble_status
	UNION ALL SELECT * FROM inqud._trouble_call
	UNION ALL SELECT * FROM inqud._trouble_no_server
	UNION ALL SELECT * FROM inqud._trouble_not_picked_up
	UNION ALL SELECT * FROM inqud._trouble_overdue
	UNION ALL SELECT * FROM inqud._trouble_on_status
	UNION ALL SELECT * FROM inqud._trouble_on_status_slow
	UNION ALL SELECT * FROM inqud._trouble_foreign
	UNION ALL SELECT * FROM inqud._trouble_webhook
	UNION ALL SELECT * FROM inqud._trouble_no_worker
	UNION ALL SELECT * FROM inqud._trouble_not_recorded
	UNION ALL SELECT * FROM inqud._trouble_notices
	UNION ALL SELECT * FROM inqud._trouble_clock;
COMMENT ON VIEW inqud.trouble IS 'what a person should look at, and why';
COMMENT ON COLUMN inqud.trouble.checkout IS 'inqud.checkout.id; null if it is about no checkout, or one that is not recorded';
COMMENT ON COLUMN inqud.trouble.project IS 'name of the foreign server';
COMMENT ON COLUMN inqud.trouble.order_id IS 'the merchant''s order';
COMMENT ON COLUMN inqud.trouble.owner IS 'role that asked for the checkout';
COMMENT ON COLUMN inqud.trouble.trouble IS 'what is wrong, in a word or three';
COMMENT ON COLUMN inqud.trouble.since IS 'since when';
COMMENT ON COLUMN inqud.trouble.detail IS 'what is known of it';
COMMENT ON COLUMN inqud.trouble.advice IS 'what to do';
