/*
 * claim.sql
 *		What is due, and who takes it.
 *
 * Creates are taken by a lease, reads by nothing but the clock: to read twice does
 * no harm.  No function here waits for a row that is locked elsewhere.
 */

/* When the next row of one project and kind is due, of those that are not due before "since". */
CREATE FUNCTION inqud._next(home bigint, server_id integer, kind text, since timestamptz) RETURNS timestamptz
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF kind = 'call' THEN
		RETURN (SELECT k.due_at FROM inqud.call k
			WHERE k.home = _next.home AND k.server_id = _next.server_id AND k.due_at >= since
			ORDER BY k.due_at LIMIT 1);
	END IF;
	RETURN (SELECT q.due_at FROM inqud.queue q
		WHERE q.home = _next.home AND q.server_id = _next.server_id AND q.kind = _next.kind AND q.due_at >= since
			AND q.lease IS NULL AND q.crashes = 0
		ORDER BY q.due_at LIMIT 1);
END
$$;

/* The first server's entry that has something to do, of those behind "low" and before "high" (null = no end). */
CREATE FUNCTION inqud._first_server(home bigint, low integer, high integer) RETURNS integer
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF high IS NULL THEN
		RETURN least((SELECT q.server_id FROM inqud.queue q
				WHERE q.home = _first_server.home AND q.server_id > low AND q.due_at IS NOT NULL
				ORDER BY q.server_id LIMIT 1),
			(SELECT k.server_id FROM inqud.call k
				WHERE k.home = _first_server.home AND k.server_id > low
				ORDER BY k.server_id LIMIT 1));
	END IF;
	RETURN least((SELECT q.server_id FROM inqud.queue q
			WHERE q.home = _first_server.home AND q.server_id > low AND q.server_id < high AND q.due_at IS NOT NULL
			ORDER BY q.server_id LIMIT 1),
		(SELECT k.server_id FROM inqud.call k
			WHERE k.home = _first_server.home AND k.server_id > low AND k.server_id < high
			ORDER BY k.server_id LIMIT 1));
END
$$;

/*
 * When the next row of each project and kind is due; "call" is one of on_status.
 * Of the known projects only what is due from "since" on is looked at: what was done
 * before has left dead entries in the index, see _claim.
 * Like all that is called on an order's way it is no function in SQL, which would
 * be planned at each call.
 */
CREATE FUNCTION inqud._due(home bigint, known integer[] DEFAULT '{}', since timestamptz DEFAULT '-infinity')
		RETURNS TABLE (server_id integer, kind text, due_at timestamptz)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
	SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
	RETURN QUERY
	WITH RECURSIVE gap(low, high) AS (
		SELECT p.id, lead(p.id) OVER (ORDER BY p.id)
		FROM (SELECT 0 UNION ALL SELECT unnest(known)) p(id)
	), other(id, high) AS (
		SELECT inqud._first_server(home, g.low, g.high), g.high FROM gap g
		UNION ALL
		SELECT inqud._first_server(home, o.id, o.high), o.high FROM other o WHERE o.id IS NOT NULL
	), looked_at(id, since) AS (
		SELECT g.low, _due.since FROM gap g WHERE g.low <> 0
		UNION ALL
		SELECT o.id, '-infinity' FROM other o WHERE o.id IS NOT NULL
	)
	SELECT l.id, w.kind, d.due_at FROM looked_at l, (VALUES ('create'), ('read'), ('call')) w(kind),
		LATERAL (SELECT inqud._next(home, l.id, w.kind, l.since) AS due_at OFFSET 0) d
	WHERE d.due_at IS NOT NULL;
END
$$;

/* What the worker has to do, by project and kind, and when; "known" and "since" as for _due. */
CREATE FUNCTION inqud._next_due(home bigint, known integer[] DEFAULT '{}', since timestamptz DEFAULT '-infinity')
		RETURNS TABLE (server_id integer, kind text, due_at timestamptz)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM inqud.inbox i WHERE i.home = _next_due.home) THEN
		PERFORM inqud._inbox(home);
		RETURN QUERY SELECT i.server_id, CASE WHEN i.checkout IS NULL THEN 'found' ELSE 'inbox' END, min(i.due_at)
			FROM inqud.inbox i WHERE i.home = _next_due.home AND i.crashes = 0 GROUP BY 1, 2;
	END IF;
	RETURN QUERY SELECT d.server_id, d.kind, d.due_at FROM inqud._due(home, known, since) d;
END
$$;

/* What a call needs to know. */
CREATE FUNCTION inqud._task(q inqud.queue, c inqud.checkout) RETURNS inqud._task
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN ROW((q).checkout, (q).kind, (q).lease, (q).poke, (q).attempts, (q).answers, (q).due_at, (c).project, (c).project_id,
		inqud._role_oid((c).owner_id), (c).owner_id, (c).checkout_id, (c).status, (c).order_id, (c).name, (c).type, (c).amount::text, (c).currency,
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
CREATE FUNCTION inqud._claim(home bigint, server_id integer, n integer, lease bigint,
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
			WHERE q.home = _claim.home AND q.server_id = _claim.server_id AND q.kind = 'create'
				AND q.due_at BETWEEN since AND till AND q.lease IS NULL AND q.crashes = 0
			ORDER BY q.due_at LIMIT n
			FOR NO KEY UPDATE SKIP LOCKED
		), mine AS (
			UPDATE inqud.queue q SET lease = _claim.lease, attempts = q.attempts + 1
			FROM due WHERE q.checkout = due.checkout
			RETURNING q.*
		)
		SELECT inqud._task(mine::inqud.queue, c) AS task,
			(SELECT min(s.id) FROM inqud.checkout s
			 WHERE s.server_id = c.server_id AND s.order_id = c.order_id AND NOT s.current
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
CREATE FUNCTION inqud._asked(home bigint, server_id integer, n integer,
		since timestamptz DEFAULT '-infinity') RETURNS SETOF inqud._task
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
	SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
	till timestamptz := clock_timestamp();
BEGIN
	RETURN QUERY
		SELECT (t).* FROM (
			SELECT inqud._task(q, c) AS t FROM inqud.queue q JOIN inqud.checkout c ON c.id = q.checkout
			WHERE q.home = _asked.home AND q.server_id = _asked.server_id AND q.kind = 'read'
				AND q.due_at BETWEEN since AND till AND q.crashes = 0
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
			WHERE q.checkout = ANY (ids) AND q.kind = 'read' AND q.due_at IS NULL AND q.crashes = 0) s;
END
$$;

/*
 * Releases the leases of a worker that has ended, when the next one starts, and makes
 * suspects of the calls that were under way.  Returns how many rows are locked elsewhere
 * and must wait.
 *
 * "under_way" has the calls that the worker whose lease was "former" had begun
 * (src/worker/under_way.c): checkouts, and rows of the inbox with a minus.  What another
 * lease holds may have been begun.  A suspect is sent alone from then on: see _claim_alone.
 */
CREATE FUNCTION inqud._release_leases(home bigint, mine bigint, former bigint DEFAULT NULL,
		under_way bigint[] DEFAULT '{}') RETURNS bigint
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
		UPDATE inqud.queue k SET lease = NULL,
				crashes = CASE WHEN k.lease IS DISTINCT FROM former OR k.checkout = ANY (under_way)
						  THEN greatest(k.crashes, 1) ELSE k.crashes END
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
		IF q.crashes > 0 THEN
			PERFORM inqud._event(q.checkout, 'error', 'the worker ended before the outcome was recorded; the call will be repeated');
		END IF;
		IF q.crashes >= 20 THEN
			UPDATE inqud.checkout k SET state = 'failed', error = 'sending this order ended the worker again and again',
					fault = 'crashed', updated_at = clock_timestamp()
				WHERE k.id = q.checkout RETURNING * INTO c;
			DELETE FROM inqud.queue k WHERE k.checkout = q.checkout;
			PERFORM inqud._event(c.id, 'failed', c.error);
			PERFORM inqud._notify(c);
		END IF;
	END LOOP;
	-- reads have no lease, and that of a create is lost if the server crashed right after the claim
	WITH begun AS MATERIALIZED (
		SELECT k.checkout FROM inqud.queue k
		WHERE k.home = _release_leases.home AND k.lease IS NULL AND k.crashes = 0 AND k.checkout = ANY (under_way)
		FOR NO KEY UPDATE SKIP LOCKED
	), noted AS (
		UPDATE inqud.queue k SET crashes = 1 FROM begun WHERE k.checkout = begun.checkout RETURNING k.checkout, k.kind
	)
	INSERT INTO inqud.event (checkout, kind, detail)
		SELECT n.checkout, 'error', 'the worker ended before the outcome was recorded; the call will be repeated'
		FROM noted n WHERE n.kind = 'create';
	UPDATE inqud.inbox i SET crashes = 1
		WHERE i.home = _release_leases.home AND i.crashes = 0 AND -i.id = ANY (under_way);
	RETURN (SELECT count(*) FROM inqud.queue k
			WHERE k.home = _release_leases.home AND k.kind = 'create' AND k.due_at IS NOT NULL AND k.lease <> mine)
		+ (SELECT count(*) FROM inqud.queue k
			WHERE k.home = _release_leases.home AND k.lease IS NULL AND k.crashes = 0 AND k.checkout = ANY (under_way));
END
$$;

/* ---- Suspects: calls during which the worker has ended ---- */

/*
 * How long a call waits, in seconds, when "crashes" is this: longer each time that the
 * worker has ended while the call was alone.
 */
CREATE FUNCTION inqud._alone_after(crashes integer) RETURNS double precision
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN crashes < 2 THEN 0 ELSE least(power(2, least(crashes, 12)), 3600) END;

/*
 * The suspects and in how many seconds each is due, for a worker that starts.  A call that
 * is counted twice or more has ended the worker alone, which is recorded here.
 */
CREATE FUNCTION inqud._suspects(home bigint) RETURNS TABLE (checkout bigint, server_id integer, due_in double precision)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = on AS $$
#variable_conflict use_column
BEGIN
	WITH ended AS MATERIALIZED (
		SELECT c.id, CASE WHEN q.crashes = 2 THEN 'the worker ended when this call was made alone'
			ELSE format('the worker ended %s times when this call was made alone', q.crashes - 1) END AS error
		FROM inqud.queue q JOIN inqud.checkout c ON c.id = q.checkout
		WHERE q.home = _suspects.home AND q.crashes > 1
		FOR NO KEY UPDATE OF c SKIP LOCKED
	), told AS (
		UPDATE inqud.checkout c SET error = e.error, fault = 'crashed', updated_at = clock_timestamp()
		FROM ended e WHERE c.id = e.id AND c.error IS DISTINCT FROM e.error
		RETURNING c.id, c.error
	)
	INSERT INTO inqud.event (checkout, kind, detail) SELECT t.id, 'error', t.error FROM told t;
	RETURN QUERY
		SELECT q.checkout, q.server_id, CASE WHEN q.due_at IS NOT NULL
				THEN extract(epoch FROM q.due_at - clock_timestamp())::double precision
				ELSE inqud._alone_after(q.crashes) END
		FROM inqud.queue q WHERE q.home = _suspects.home AND q.crashes > 0
		UNION ALL
		SELECT -min(i.id), i.server_id, extract(epoch FROM min(i.due_at) - clock_timestamp())::double precision
		FROM inqud.inbox i WHERE i.home = _suspects.home AND i.crashes > 0 AND i.checkout IS NULL
		GROUP BY i.server_id, i.checkout_id;
END
$$;

/*
 * Claims a suspect, which is to be sent alone.  It is counted before that, and due later,
 * in case the worker ends; _tried says that it has not.  Nothing if the row is locked
 * elsewhere, or is no suspect any more.
 */
CREATE FUNCTION inqud._claim_alone(id bigint, mine bigint) RETURNS SETOF inqud._task
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	q inqud.queue;
	c inqud.checkout;
	paid_by bigint;
BEGIN
	IF id < 0 THEN
		UPDATE inqud.inbox i SET crashes = i.crashes + 1,
				due_at = clock_timestamp() + inqud._alone_after(i.crashes + 1) * interval '1 second'
			FROM inqud.inbox b WHERE b.id = -_claim_alone.id AND i.server_id = b.server_id AND i.checkout_id = b.checkout_id
				AND i.checkout IS NULL AND i.crashes > 0;
		RETURN QUERY SELECT t.* FROM inqud.inbox b, inqud._found(b.home, b.server_id, 1, b.checkout_id) t
			WHERE b.id = -_claim_alone.id AND b.crashes > 0;
		RETURN;
	END IF;
	PERFORM FROM inqud.queue k WHERE k.checkout = _claim_alone.id AND k.crashes > 0 AND k.lease IS NULL
		FOR NO KEY UPDATE SKIP LOCKED;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	SELECT * INTO c FROM inqud.checkout k WHERE k.id = _claim_alone.id;
	paid_by := (SELECT min(s.id) FROM inqud.checkout s
		WHERE s.server_id = c.server_id AND s.order_id = c.order_id AND NOT s.current
			AND s.paid_at IS NOT NULL AND s.money_event IS NOT NULL);
	IF paid_by IS NOT NULL AND c.state = 'queued' THEN
		-- no call, so nothing is counted
		PERFORM inqud._drop_paid(id, paid_by);
		RETURN;
	END IF;
	UPDATE inqud.queue k SET crashes = k.crashes + 1,
			lease = CASE WHEN k.kind = 'create' THEN mine END,
			attempts = CASE WHEN k.kind = 'create' THEN k.attempts + 1 ELSE k.attempts END,
			due_at = CASE WHEN k.due_at IS NOT NULL
				THEN clock_timestamp() + inqud._alone_after(k.crashes + 1) * interval '1 second' END
		WHERE k.checkout = _claim_alone.id RETURNING * INTO q;
	RETURN NEXT inqud._task(q, c);
END
$$;

/* Is it a suspect still? */
CREATE FUNCTION inqud._is_suspect(id bigint) RETURNS boolean
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN EXISTS (SELECT FROM inqud.queue q WHERE q.checkout = id AND q.crashes > 0)
		OR EXISTS (SELECT FROM inqud.inbox i WHERE i.id = -_is_suspect.id AND i.crashes > 0);
END
$$;

/*
 * The worker has made this call alone, and lives.  If an answer came, it is no suspect any
 * more; else it has not been tried.  False if the row is locked elsewhere and must wait.
 */
CREATE FUNCTION inqud._tried(id bigint, answered boolean) RETURNS boolean
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE inqud.inbox i SET crashes = CASE WHEN answered THEN 0 ELSE greatest(i.crashes - 1, 1) END
		FROM inqud.inbox b WHERE b.id = -_tried.id AND i.server_id = b.server_id AND i.checkout_id = b.checkout_id
			AND i.crashes > 0;
	PERFORM FROM inqud.queue q WHERE q.checkout = _tried.id FOR NO KEY UPDATE SKIP LOCKED;
	IF NOT FOUND THEN
		RETURN NOT EXISTS (SELECT FROM inqud.queue q WHERE q.checkout = _tried.id);
	END IF;
	UPDATE inqud.queue q SET crashes = CASE WHEN answered THEN 0 ELSE greatest(q.crashes - 1, 1) END
		WHERE q.checkout = _tried.id AND q.crashes > 0;
	RETURN true;
END
$$;

/*
 * Makes calls due that wait without a counted attempt: those that lacked a right or
 * a mapping, since something has changed, and creates of projects of which an account
 * has changed that was held back.  Not those whose server or owner is still missing.
 */
CREATE FUNCTION inqud._release_held(home bigint, servers integer[]) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp
	AS $$
	WITH held AS MATERIALIZED (
		SELECT q.checkout FROM inqud.queue q
		WHERE q.home = $1 AND q.due_at > clock_timestamp()
			AND (q.kind = 'read' OR q.lease IS NULL AND q.attempts = 0)
			AND q.server_id = ANY (ARRAY(SELECT n.id FROM inqud.known_server n JOIN pg_foreign_server s ON s.oid = n.oid WHERE n.home = $1))
			AND (q.server_id = ANY ($2) AND q.kind = 'create' OR EXISTS (SELECT FROM inqud.checkout k WHERE k.id = q.checkout
				AND (k.fault IN ('no_server', 'no_right', 'no_key', 'options', 'project_changed')
					OR k.fault = 'no_owner' AND EXISTS (SELECT FROM pg_roles r WHERE r.oid = inqud._role_oid(k.owner_id)))))
		FOR NO KEY UPDATE SKIP LOCKED)
	UPDATE inqud.queue q SET due_at = clock_timestamp()
	FROM held WHERE q.checkout = held.checkout
	$$;

/* The checkouts whose reads the worker schedules in memory; no index has them. */
CREATE FUNCTION inqud._followed(home bigint) RETURNS TABLE (checkout bigint, server_id integer, phase text, tail_from timestamptz)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = on
	AS $$
	SELECT q.checkout, q.server_id, q.phase, q.tail_from
	FROM inqud.queue q WHERE q.home = $1 AND q.kind = 'read' AND q.due_at IS NULL AND q.crashes = 0
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

-- ---- Clocks ----

/*
 * By how many microseconds this machine's clock, which is read in C, is behind what is
 * recorded, as after a failover to one whose clock is behind; 0 if it is not.
 */
CREATE FUNCTION inqud._behind(clock timestamptz) RETURNS bigint
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN greatest(0, extract(epoch FROM greatest(
		(SELECT e.at FROM inqud.event e ORDER BY e.id DESC LIMIT 1),
		(SELECT c.created_at FROM inqud.checkout c ORDER BY c.created_at DESC LIMIT 1)) - clock) * 1000000);
END
$$;

/* Brings forward by so many microseconds what is due later than "beyond" from now. */
CREATE FUNCTION inqud._bring_forward(home bigint, usec bigint, beyond interval) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	lead interval := usec * interval '1 microsecond';
BEGIN
	WITH late AS MATERIALIZED (
		SELECT q.checkout FROM inqud.queue q
		WHERE q.home = _bring_forward.home AND q.due_at > clock_timestamp() + beyond FOR NO KEY UPDATE SKIP LOCKED)
	UPDATE inqud.queue q SET due_at = greatest(q.due_at - lead, clock_timestamp()) FROM late WHERE q.checkout = late.checkout;
	WITH late AS MATERIALIZED (
		SELECT k.checkout FROM inqud.call k
		WHERE k.home = _bring_forward.home AND k.due_at > clock_timestamp() + beyond FOR NO KEY UPDATE SKIP LOCKED)
	UPDATE inqud.call k SET due_at = greatest(k.due_at - lead, clock_timestamp()) FROM late WHERE k.checkout = late.checkout;
	WITH late AS MATERIALIZED (
		SELECT i.id FROM inqud.inbox i
		WHERE i.home = _bring_forward.home AND i.due_at > clock_timestamp() + beyond FOR NO KEY UPDATE SKIP LOCKED)
	UPDATE inqud.inbox i SET due_at = greatest(i.due_at - lead, clock_timestamp()) FROM late WHERE i.id = late.id;
END
$$;
