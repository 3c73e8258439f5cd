/*
 * prune.sql
 *		Deletes old events and checkouts; what is paid only if it is named.
 */

/* True if anything was paid on a checkout, as far as is known. */
CREATE FUNCTION inqud._has_money(c inqud.checkout) RETURNS boolean
	LANGUAGE sql IMMUTABLE
	RETURN coalesce((c).status IN ('SUCCESS', 'CONFLICT'), false) OR coalesce((c).paid_amount > 0, false)
		OR (c).tx_hash IS NOT NULL;

/*
 * True if a checkout may be deleted: nothing is to be done for it, and inqud.trouble
 * does not have it.  One that is paid after it expired comes back by a webhook.
 */
CREATE FUNCTION inqud._prunable(c inqud.checkout, cutoff timestamptz, money boolean) RETURNS boolean
	LANGUAGE sql STABLE
	RETURN (c).updated_at < cutoff AND inqud._has_money(c) = money
		AND CASE (c).state WHEN 'closed' THEN (c).error IS NULL AND ((c).status <> 'CONFLICT' OR (c).canceled_at IS NOT NULL)
			WHEN 'failed' THEN NOT (c).current
			ELSE (c).state = 'canceled' END
		AND NOT EXISTS (SELECT FROM inqud.queue q WHERE q.checkout = (c).id)
		AND NOT EXISTS (SELECT FROM inqud.call k WHERE k.checkout = (c).id)
		AND NOT EXISTS (SELECT FROM inqud.inbox i WHERE i.checkout = (c).id)
		AND NOT EXISTS (SELECT FROM inqud.event e WHERE e.checkout = (c).id AND e.kind = 'anomaly')
		AND NOT EXISTS (SELECT FROM inqud._unresolved_again u WHERE u.checkout = (c).id);

/*
 * Deletes old events among the next n rows.  Returns how many, and where to go on; null
 * when what follows is too young.  Ids grow with time, except where transactions overlap.
 */
CREATE FUNCTION inqud._prune_events(cutoff timestamptz, payments boolean, after bigint, n integer,
		OUT pruned bigint, OUT reached bigint)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	WITH page AS MATERIALIZED (
		SELECT e.id, e.checkout, e.at, e.kind FROM inqud.event e
		WHERE e.id > _prune_events.after ORDER BY e.id LIMIT n
	), gone AS (
		DELETE FROM inqud.event e USING page p
		WHERE e.id = p.id AND p.at < cutoff AND p.kind NOT IN ('anomaly', 'again', 'resolved')
			AND NOT EXISTS (SELECT FROM inqud.queue q WHERE q.checkout = p.checkout)
			AND NOT EXISTS (SELECT FROM inqud.call k WHERE k.checkout = p.checkout)
			AND (payments OR NOT EXISTS (SELECT FROM inqud.checkout c WHERE c.id = p.checkout AND inqud._has_money(c)))
		RETURNING e.id
	)
	SELECT (SELECT count(*) FROM gone), max(page.id) FILTER (WHERE page.at < cutoff)
		INTO pruned, reached FROM page;
END
$$;

/* Deletes old checkouts among the next n, with their events.  Returns the same. */
CREATE FUNCTION inqud._prune_checkouts(cutoff timestamptz, payments boolean, after bigint, n integer,
		OUT pruned bigint, OUT reached bigint)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ids bigint[];
BEGIN
	SELECT max(p.id) FILTER (WHERE p.created_at < cutoff) INTO reached
		FROM (SELECT c.id, c.created_at FROM inqud.checkout c
			  WHERE c.id > _prune_checkouts.after ORDER BY c.id LIMIT n) AS p;
	SELECT array_agg(l.id) INTO ids FROM (
		SELECT c.id FROM inqud.checkout c
		WHERE c.id > _prune_checkouts.after AND c.id <= reached
			-- most of what is kept is known by this, without a call
			AND c.updated_at < cutoff AND inqud._has_money(c) = payments
			AND inqud._prunable(c, cutoff, payments)
		FOR UPDATE SKIP LOCKED) AS l;
	-- Asked again now that the rows are ours: a function that queues something for a checkout locks it first.
	DELETE FROM inqud.checkout c WHERE c.id = ANY (ids) AND inqud._prunable(c, cutoff, payments);
	GET DIAGNOSTICS pruned = ROW_COUNT;
	DELETE FROM inqud.event e
		WHERE e.checkout = ANY (ids) AND NOT EXISTS (SELECT FROM inqud.checkout c WHERE c.id = e.checkout);
END
$$;

/*
 * A procedure, since it commits after each batch and remembers where it was: a function
 * would read past all that is kept at each call.  It can have no SET clause of its own.
 */
CREATE PROCEDURE @extschema@.inqud_prune(older_than interval, what text DEFAULT 'events',
		batch integer DEFAULT 1000, INOUT pruned bigint DEFAULT 0)
	LANGUAGE plpgsql AS $$
DECLARE
	-- types are found when the procedure is first called, in the caller's search path
	cutoff pg_catalog.timestamptz;
	after pg_catalog.int8;
	n pg_catalog.int8;
BEGIN
	PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
	IF older_than IS NULL OR what IS NULL OR batch IS NULL THEN
		RAISE null_value_not_allowed USING MESSAGE = 'arguments of inqud_prune must not be null';
	ELSIF older_than < interval '0' THEN
		RAISE invalid_parameter_value USING MESSAGE = 'older_than must not be negative';
	ELSIF what NOT IN ('events', 'checkouts', 'payment events', 'payments') THEN
		RAISE invalid_parameter_value USING MESSAGE = format('invalid value for "what": "%s"', what),
			HINT = 'Valid values are: events, checkouts, payment events, payments.';
	ELSIF batch NOT BETWEEN 1 AND 100000 THEN
		RAISE invalid_parameter_value USING MESSAGE = 'batch must be between 1 and 100000';
	END IF;
	cutoff := now() - older_than;
	after := -9223372036854775808;
	pruned := 0;
	-- before anything is deleted: an error in a transaction block
	COMMIT;
	LOOP
		SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
		PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
		IF what IN ('events', 'payment events') THEN
			SELECT p.pruned, p.reached INTO n, after FROM inqud._prune_events(cutoff, what = 'payment events', after, batch) p;
		ELSE
			SELECT p.pruned, p.reached INTO n, after FROM inqud._prune_checkouts(cutoff, what = 'payments', after, batch) p;
		END IF;
		pruned := pruned + n;
		EXIT WHEN after IS NULL;
		COMMIT;
	END LOOP;
	-- the search path ends with the transaction
	COMMIT;
END
$$;
COMMENT ON PROCEDURE @extschema@.inqud_prune(interval, text, integer, bigint)
	IS 'deletes old events or checkouts, batch by batch; what is paid only if it is named';
