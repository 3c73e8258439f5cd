/*
 * claim.sql
 *		What is due, and who takes it.
 *
 * Creates are taken by a lease, reads by nothing but the clock: to read twice does
 * no harm.  No function here waits for a row that is locked elsewhere.
 */

/* When the next row of one project and kind is due, of those that are not due before "since". */
CREATE FUNCTION inqud._next(home bigint, project text, kind text, since timestamptz) RETURNS timestamptz
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF kind = 'call' THEN
		RETURN (SELECT k.due_at FROM inqud.call k
			WHERE k.home = _next.home AND k.project = _next.project AND k.due_at >= since
			ORDER BY k.due_at LIMIT 1);
	END IF;
	RETURN (SELECT q.due_at FROM inqud.queue q
		WHERE q.home = _next.home AND q.project = _next.project AND q.kind = _next.kind AND q.due_at >= since
			AND q.lease IS NULL
		ORDER BY q.due_at LIMIT 1);
END
$$;

/* The first project that has something to do, of those behind "low" and before "high" (null = no end). */
CREATE FUNCTION inqud._first_project(home bigint, low text, high text) RETURNS text
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF high IS NULL THEN
		RETURN least((SELECT q.project FROM inqud.queue q
				WHERE q.home = _first_project.home AND q.project > low AND q.due_at IS NOT NULL
				ORDER BY q.project LIMIT 1),
			(SELECT k.project FROM inqud.call k
				WHERE k.home = _first_project.home AND k.project > low
				ORDER BY k.project LIMIT 1));
	END IF;
	RETURN least((SELECT q.project FROM inqud.queue q
			WHERE q.home = _first_project.home AND q.project > low AND q.project < high AND q.due_at IS NOT NULL
			ORDER BY q.project LIMIT 1),
		(SELECT k.project FROM inqud.call k
			WHERE k.home = _first_project.home AND k.project > low AND k.project < high
			ORDER BY k.project LIMIT 1));
END
$$;

/*
 * When the next row of each project and kind is due; "call" is one of on_status.
 * Of the known projects only what is due from "since" on is looked at: what was done
 * before has left dead entries in the index, see _claim.
 * Like all that is called on an order's way it is no function in SQL, which would
 * be planned at each call.
 */
CREATE FUNCTION inqud._due(home bigint, known text[] DEFAULT '{}', since timestamptz DEFAULT '-infinity')
		RETURNS TABLE (project text, kind text, due_at timestamptz)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
	RETURN QUERY
	WITH RECURSIVE gap(low, high) AS (
		SELECT p.name, lead(p.name) OVER (ORDER BY p.name)
		FROM (SELECT '' UNION ALL SELECT unnest(known)) p(name)
	), other(name, high) AS (
		SELECT inqud._first_project(home, g.low, g.high), g.high FROM gap g
		UNION ALL
		SELECT inqud._first_project(home, o.name, o.high), o.high FROM other o WHERE o.name IS NOT NULL
	), looked_at(name, since) AS (
		SELECT g.low, _due.since FROM gap g WHERE g.low <> ''
		UNION ALL
		SELECT o.name, '-infinity' FROM other o WHERE o.name IS NOT NULL
	)
	SELECT l.name, w.kind, d.due_at FROM looked_at l, (VALUES ('create'), ('read'), ('call')) w(kind),
		LATERAL (SELECT inqud._next(home, l.name, w.kind, l.since) AS due_at OFFSET 0) d
	WHERE d.due_at IS NOT NULL;
END
$$;

/* What the worker has to do, by project and kind, and when; "known" and "since" as for _due. */
CREATE FUNCTION inqud._next_due(home bigint, known text[] DEFAULT '{}', since timestamptz DEFAULT '-infinity')
		RETURNS TABLE (project text, kind text, due_at timestamptz)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM inqud.inbox i WHERE i.home = _next_due.home) THEN
		PERFORM inqud._inbox(home);
		RETURN QUERY SELECT i.project, CASE WHEN i.checkout IS NULL THEN 'found' ELSE 'inbox' END, min(i.due_at)
			FROM inqud.inbox i WHERE i.home = _next_due.home GROUP BY 1, 2;
	END IF;
	RETURN QUERY SELECT d.project, d.kind, d.due_at FROM inqud._due(home, known, since) d;
END
$$;

/* What a call needs to know. */
CREATE FUNCTION inqud._task(q inqud.queue, c inqud.checkout) RETURNS inqud._task
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN ROW((q).checkout, (q).kind, (q).lease, (q).poke, (q).attempts, (q).answers, (q).due_at, (c).project, (c).project_id,
		(c).owner::text, (c).checkout_id, (c).status, (c).order_id, (c).name, (c).type, (c).amount::text, (c).currency,
		(c).return_url, (c).expires_at, (c).extra::text)::inqud._task;

/*
 * Cancels a queued checkout whose order was paid through another checkout: it
 * is not sent, or not sent again.
 */
CREATE FUNCTION inqud._drop_paid(checkout bigint, paid_by bigint) RETURNS void
	LANGUAGE plpgsql AS $$
DECLARE
	c inqud.checkout;
BEGIN
	-- Others lock the checkout before its queue row, so it must not be waited for here.
	PERFORM FROM inqud.checkout k WHERE k.id = _drop_paid.checkout FOR NO KEY UPDATE SKIP LOCKED;
	IF NOT FOUND THEN
		UPDATE inqud.queue q SET lease = NULL, due_at = clock_timestamp() + interval '1 second'
			WHERE q.checkout = _drop_paid.checkout;
		RETURN;
	END IF;
	UPDATE inqud.checkout k SET state = 'canceled', current = false, updated_at = clock_timestamp(),
			canceled_at = clock_timestamp(), error = NULL, fault = NULL
		WHERE k.id = _drop_paid.checkout AND k.state = 'queued' RETURNING * INTO c;
	IF FOUND THEN
		DELETE FROM inqud.queue q WHERE q.checkout = _drop_paid.checkout;
		PERFORM inqud._event(c.id, 'canceled', format('not sent: the order was paid through checkout %s', paid_by));
		PERFORM inqud._notify(c);
	END IF;
END
$$;

/*
 * The functions of this part are called all the time, on a table whose size
 * changes faster than its statistics: their SET clauses leave the planner
 * nothing but the indexes.
 *
 * Claim up to n creates.  The lease is the worker's (or session's) random
 * number; it has no end of its own: a worker that starts releases what its
 * predecessor held (_release_leases), and while a worker lives, what it holds is
 * in its memory.  "since" is where the last claim ended: the entries of what was
 * done before are dead, and stay in the index while another session holds an old
 * snapshot.
 */
CREATE FUNCTION inqud._claim(home bigint, project text, n integer, lease bigint,
		since timestamptz DEFAULT '-infinity') RETURNS SETOF inqud._task
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
	SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
	till timestamptz := clock_timestamp();
	r record;
BEGIN
	FOR r IN
		WITH due AS MATERIALIZED (
			SELECT q.checkout FROM inqud.queue q
			WHERE q.home = _claim.home AND q.project = _claim.project AND q.kind = 'create'
				AND q.due_at BETWEEN since AND till AND q.lease IS NULL
			ORDER BY q.due_at LIMIT n
			FOR NO KEY UPDATE SKIP LOCKED
		), mine AS (
			UPDATE inqud.queue q SET lease = _claim.lease, attempts = q.attempts + 1
			FROM due WHERE q.checkout = due.checkout
			RETURNING q.*
		)
		SELECT inqud._task(mine::inqud.queue, c) AS task,
			(SELECT min(s.id) FROM inqud.checkout s
			 WHERE s.project = c.project AND s.order_id = c.order_id AND NOT s.current
				AND s.paid_at IS NOT NULL AND s.money_event IS NOT NULL) AS paid_by
		FROM mine JOIN inqud.checkout c ON c.id = mine.checkout
		ORDER BY mine.due_at
	LOOP
		IF r.paid_by IS NULL THEN
			RETURN NEXT r.task;
		ELSE
			PERFORM inqud._drop_paid((r.task).checkout, r.paid_by);
		END IF;
	END LOOP;
END
$$;

/* Reads that were asked for and are due. */
CREATE FUNCTION inqud._asked(home bigint, project text, n integer,
		since timestamptz DEFAULT '-infinity') RETURNS SETOF inqud._task
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
	SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
	till timestamptz := clock_timestamp();
BEGIN
	RETURN QUERY
		SELECT (t).* FROM (
			SELECT inqud._task(q, c) AS t FROM inqud.queue q JOIN inqud.checkout c ON c.id = q.checkout
			WHERE q.home = _asked.home AND q.project = _asked.project AND q.kind = 'read'
				AND q.due_at BETWEEN since AND till
			ORDER BY q.due_at LIMIT n) s;
END
$$;

/*
 * Reads that the worker's clock says are due; a missing id is no longer
 * followed.
 */
CREATE FUNCTION inqud._read(ids bigint[]) RETURNS SETOF inqud._task
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
	SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
	RETURN QUERY
		SELECT (t).* FROM (
			SELECT inqud._task(q, c) AS t FROM inqud.queue q JOIN inqud.checkout c ON c.id = q.checkout
			WHERE q.checkout = ANY (ids) AND q.kind = 'read' AND q.due_at IS NULL) s;
END
$$;

/*
 * Releases the leases of a worker that has ended, when the next one starts.
 * Returns how many rows are locked elsewhere and must wait.
 *
 * A row whose sending ends the worker every time must not keep it from the
 * others: from the third time on it waits, up to five minutes, and after 20 it
 * fails.
 */
CREATE FUNCTION inqud._release_leases(home bigint, mine bigint) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	q inqud.queue;
	c inqud.checkout;
BEGIN
	FOR q IN
		WITH held AS MATERIALIZED (
			SELECT k.checkout FROM inqud.queue k
			WHERE k.home = _release_leases.home AND k.kind = 'create' AND k.due_at IS NOT NULL AND k.lease <> mine
			FOR NO KEY UPDATE SKIP LOCKED)
		UPDATE inqud.queue k SET lease = NULL, crashes = k.crashes + 1,
				due_at = CASE WHEN k.crashes < 2 THEN k.due_at
						 ELSE clock_timestamp() + least(power(2, k.crashes), 300) * interval '1 second' END
			FROM held WHERE k.checkout = held.checkout
			RETURNING k.*
	LOOP
		SELECT * INTO c FROM inqud.checkout k WHERE k.id = q.checkout;
		IF c.canceled_at IS NOT NULL THEN
			-- canceled meanwhile, and no URL has been shown: it is not sent again
			UPDATE inqud.checkout k SET state = 'canceled', updated_at = clock_timestamp()
				WHERE k.id = q.checkout RETURNING * INTO c;
			DELETE FROM inqud.queue k WHERE k.checkout = q.checkout;
			PERFORM inqud._event(c.id, 'canceled', 'the worker ended before the outcome was recorded; not sent again');
			PERFORM inqud._notify(c);
			CONTINUE;
		END IF;
		PERFORM inqud._event(q.checkout, 'error', 'the worker ended before the outcome was recorded; the call will be repeated');
		IF q.crashes >= 20 THEN
			UPDATE inqud.checkout k SET state = 'failed', error = 'sending this order ended the worker again and again',
					fault = 'crashed', updated_at = clock_timestamp()
				WHERE k.id = q.checkout RETURNING * INTO c;
			DELETE FROM inqud.queue k WHERE k.checkout = q.checkout;
			PERFORM inqud._event(c.id, 'failed', c.error);
			PERFORM inqud._notify(c);
		END IF;
	END LOOP;
	RETURN (SELECT count(*) FROM inqud.queue k
			WHERE k.home = _release_leases.home AND k.kind = 'create' AND k.due_at IS NOT NULL AND k.lease <> mine);
END
$$;

/*
 * Makes creates due that wait without a counted attempt: those that lacked a right or
 * a mapping, since something has changed, and those of projects of which an account
 * has changed that was held back.
 */
CREATE FUNCTION inqud._release_held(home bigint, projects text[]) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp
	AS $$
	WITH held AS MATERIALIZED (
		SELECT q.checkout FROM inqud.queue q
		WHERE q.home = $1 AND q.kind = 'create' AND q.lease IS NULL AND q.attempts = 0
			AND q.due_at > clock_timestamp()
			AND (q.project = ANY ($2) OR EXISTS (SELECT FROM inqud.checkout k WHERE k.id = q.checkout
				AND k.fault IN ('no_owner', 'no_server', 'no_right', 'no_key', 'options', 'project_changed')))
		FOR NO KEY UPDATE SKIP LOCKED)
	UPDATE inqud.queue q SET due_at = clock_timestamp()
	FROM held WHERE q.checkout = held.checkout
	$$;

/* The checkouts whose reads the worker schedules in memory; no index has them. */
CREATE FUNCTION inqud._followed(home bigint) RETURNS TABLE (checkout bigint, project text, phase text, tail_from timestamptz)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = on
	AS $$
	SELECT q.checkout, q.project, q.phase, q.tail_from
	FROM inqud.queue q WHERE q.home = $1 AND q.kind = 'read' AND q.due_at IS NULL
	$$;

/* Ends the following of checkouts that have had their last read. */
CREATE FUNCTION inqud._unfollow(ids bigint[]) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	WITH over AS MATERIALIZED (
		SELECT q.checkout FROM inqud.queue q
		WHERE q.checkout = ANY (ids) AND q.kind = 'read' AND q.due_at IS NULL
		FOR UPDATE SKIP LOCKED)
	DELETE FROM inqud.queue q USING over WHERE q.checkout = over.checkout;
END
$$;
