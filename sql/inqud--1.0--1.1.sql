/*
 * inqud--1.0--1.1.sql
 *		What version 1.1 adds: reports and operations.
 *
 * Views over what version 1.0 records, and functions that look after it.  This
 * file changes no table that holds payments, and decides nothing about them.
 */
\echo Use "ALTER EXTENSION inqud UPDATE TO '1.1'" to load this file. \quit

-- As in 1.0: every name is resolved here and now.
SET LOCAL search_path TO pg_catalog, pg_temp;

-- ------------------------------------------------------------------
-- Reports
-- ------------------------------------------------------------------

/*
 * The days on which there is anything, found one after the other along an index,
 * and the moments between which to look for them.  So whoever asks a report for
 * some days has these read and no others, in whatever time zone, of which no
 * index on a day could know.  Where clocks are set back at midnight, a day
 * begins an hour before the moment that its name stands for: the bounds are that
 * much wider, and who uses them compares the day too.
 */
CREATE VIEW inqud._day_made WITH (security_invoker = true) AS
	WITH RECURSIVE d (day, since, until, next) AS (
		SELECT f.day, f.day::timestamptz - interval '1 hour', (f.day + 1)::timestamptz,
			(f.day + 1)::timestamptz - interval '1 hour'
		FROM (SELECT min(c.created_at)::date AS day FROM inqud.checkout c) AS f
		WHERE f.day IS NOT NULL
		UNION
		SELECT n.day, n.day::timestamptz - interval '1 hour', (n.day + 1)::timestamptz,
			(n.day + 1)::timestamptz - interval '1 hour'
		FROM d CROSS JOIN LATERAL (
			SELECT min(c.created_at)::date AS day FROM inqud.checkout c
			WHERE c.created_at >= d.next AND c.created_at::date > d.day) AS n
		WHERE n.day IS NOT NULL
	)
	SELECT d.day, d.since, d.until FROM d;
COMMENT ON VIEW inqud._day_made IS 'days on which checkouts were made';
COMMENT ON COLUMN inqud._day_made.day IS 'day in the session''s time zone';
COMMENT ON COLUMN inqud._day_made.since IS 'it begins at this moment or later';
COMMENT ON COLUMN inqud._day_made.until IS 'it ends before this moment';

CREATE VIEW inqud._day_ended WITH (security_invoker = true) AS
	WITH RECURSIVE d (day, since, until, next) AS (
		SELECT f.day, f.day::timestamptz - interval '1 hour', (f.day + 1)::timestamptz,
			(f.day + 1)::timestamptz - interval '1 hour'
		FROM (SELECT min(CASE WHEN c.status_at IS NULL THEN c.closed_at ELSE c.status_at END)::date AS day FROM inqud.checkout c
			  WHERE c.status IN ('SUCCESS', 'CONFLICT', 'EXPIRED')) AS f
		WHERE f.day IS NOT NULL
		UNION
		SELECT n.day, n.day::timestamptz - interval '1 hour', (n.day + 1)::timestamptz,
			(n.day + 1)::timestamptz - interval '1 hour'
		FROM d CROSS JOIN LATERAL (
			SELECT min(CASE WHEN c.status_at IS NULL THEN c.closed_at ELSE c.status_at END)::date AS day FROM inqud.checkout c
			WHERE c.status IN ('SUCCESS', 'CONFLICT', 'EXPIRED')
				AND CASE WHEN c.status_at IS NULL THEN c.closed_at ELSE c.status_at END >= d.next
				AND CASE WHEN c.status_at IS NULL THEN c.closed_at ELSE c.status_at END::date > d.day) AS n
		WHERE n.day IS NOT NULL
	)
	SELECT d.day, d.since, d.until FROM d;
COMMENT ON VIEW inqud._day_ended IS 'days on which checkouts were paid, expired or came into conflict';
COMMENT ON COLUMN inqud._day_ended.day IS 'day in the session''s time zone';
COMMENT ON COLUMN inqud._day_ended.since IS 'it begins at this moment or later';
COMMENT ON COLUMN inqud._day_ended.until IS 'it ends before this moment';

/*
 * Each checkout counts on the day on which it was made, and once more on the day
 * on which its outcome came.  Prices are added up within one currency, what the
 * chains moved within one asset.
 */
CREATE VIEW inqud.daily WITH (security_invoker = true) AS
	SELECT a.project, a.day, a.currency,
		sum(a.created)::bigint AS created, sum(a.paid)::bigint AS paid,
		sum(a.conflict)::bigint AS conflict, sum(a.expired)::bigint AS expired,
		sum(a.created_amount) AS created_amount, sum(a.paid_amount) AS paid_amount,
		jsonb_object_agg(a.asset, a.received) FILTER (WHERE a.asset IS NOT NULL AND a.received IS NOT NULL) AS received,
		jsonb_object_agg(a.asset, a.fees) FILTER (WHERE a.asset IS NOT NULL AND a.fees IS NOT NULL) AS fees,
		jsonb_object_agg(a.asset, a.credited) FILTER (WHERE a.asset IS NOT NULL AND a.credited IS NOT NULL) AS credited
	FROM (
		SELECT m.project, d.day, m.currency, NULL::text AS asset,
			m.created, 0::bigint AS paid, 0::bigint AS conflict, 0::bigint AS expired,
			m.created_amount, NULL::numeric AS paid_amount,
			NULL::numeric AS received, NULL::numeric AS fees, NULL::numeric AS credited
		FROM inqud._day_made d CROSS JOIN LATERAL (
			SELECT c.project, c.currency, count(*) AS created, sum(c.amount) AS created_amount
			FROM inqud.checkout c
			WHERE c.created_at >= d.since AND c.created_at < d.until AND c.created_at::date = d.day
			GROUP BY 1, 2) AS m
		UNION ALL
		SELECT e.project, d.day, e.currency, e.asset, 0, e.paid, e.conflict, e.expired,
			NULL, e.paid_amount, e.received, e.fees, e.credited
		FROM inqud._day_ended d CROSS JOIN LATERAL (
			SELECT c.project, c.currency, c.pay_currency AS asset,
				count(*) FILTER (WHERE c.status = 'SUCCESS') AS paid,
				count(*) FILTER (WHERE c.status = 'CONFLICT') AS conflict,
				count(*) FILTER (WHERE c.status = 'EXPIRED') AS expired,
				sum(c.amount) FILTER (WHERE c.status = 'SUCCESS') AS paid_amount,
				sum(c.paid_amount) FILTER (WHERE c.status = 'SUCCESS') AS received,
				sum(c.merchant_fee) FILTER (WHERE c.status = 'SUCCESS') AS fees,
				sum(c.processing_amount) FILTER (WHERE c.status = 'SUCCESS') AS credited
			FROM inqud.checkout c
			WHERE c.status IN ('SUCCESS', 'CONFLICT', 'EXPIRED')
				AND CASE WHEN c.status_at IS NULL THEN c.closed_at ELSE c.status_at END >= d.since AND CASE WHEN c.status_at IS NULL THEN c.closed_at ELSE c.status_at END < d.until
				AND CASE WHEN c.status_at IS NULL THEN c.closed_at ELSE c.status_at END::date = d.day
			GROUP BY 1, 2, 3) AS e
	) AS a
	GROUP BY 1, 2, 3;
COMMENT ON VIEW inqud.daily IS 'what was made and what became of it, by project, day and currency';
COMMENT ON COLUMN inqud.daily.project IS 'name of the foreign server';
COMMENT ON COLUMN inqud.daily.day IS 'day in the session''s time zone';
COMMENT ON COLUMN inqud.daily.currency IS 'currency of the price; null where the payer chose the amount';
COMMENT ON COLUMN inqud.daily.created IS 'checkouts made on this day';
COMMENT ON COLUMN inqud.daily.paid IS 'checkouts paid on this day, whenever they were made';
COMMENT ON COLUMN inqud.daily.conflict IS 'checkouts that came into conflict on this day';
COMMENT ON COLUMN inqud.daily.expired IS 'checkouts that expired on this day';
COMMENT ON COLUMN inqud.daily.created_amount IS 'sum of the prices of what was made, in currency';
COMMENT ON COLUMN inqud.daily.paid_amount IS 'sum of the prices of what was paid, in currency';
COMMENT ON COLUMN inqud.daily.received IS 'what arrived for what was paid: a sum for each asset';
COMMENT ON COLUMN inqud.daily.fees IS 'fees of what was paid, borne by the merchant: a sum for each asset';
COMMENT ON COLUMN inqud.daily.credited IS 'what the merchant is credited for what was paid: a sum for each asset';

/*
 * How far the checkouts of a day came.  What a row says is enough where Inqud
 * sent its replies in full; where it did not, the history knows of the steps
 * between, and is asked about those rows only.
 */
CREATE VIEW inqud.funnel WITH (security_invoker = true) AS
	SELECT f.project, d.day, f.created, f.opened, f.chosen, f.detected, f.paid,
		f.conflict, f.expired, f.failed, f.canceled, f.unfinished,
		f.percentiles[1] AS time_to_pay_50, f.percentiles[2] AS time_to_pay_90, f.percentiles[3] AS time_to_pay_99
	FROM inqud._day_made d CROSS JOIN LATERAL (
		SELECT c.project, count(*) AS created,
			count(*) FILTER (WHERE s.step >= 1) AS opened,
			count(*) FILTER (WHERE s.step >= 2) AS chosen,
			count(*) FILTER (WHERE s.step >= 3) AS detected,
			count(*) FILTER (WHERE c.status = 'SUCCESS') AS paid,
			count(*) FILTER (WHERE c.status = 'CONFLICT') AS conflict,
			count(*) FILTER (WHERE c.status = 'EXPIRED') AS expired,
			count(*) FILTER (WHERE c.state = 'failed') AS failed,
			count(*) FILTER (WHERE c.state = 'canceled') AS canceled,
			count(*) FILTER (WHERE c.state IN ('queued', 'open')) AS unfinished,
			percentile_cont(ARRAY[0.5, 0.9, 0.99]) WITHIN GROUP (ORDER BY CASE WHEN c.status_at IS NULL THEN c.closed_at ELSE c.status_at END - c.opened_at)
				FILTER (WHERE c.status = 'SUCCESS') AS percentiles
		FROM inqud.checkout c
			-- OFFSET: once for each row, and for no row that is left out
			CROSS JOIN LATERAL (SELECT CASE
				WHEN c.checkout_id IS NULL THEN 0
				WHEN c.status IN ('PAYMENT_DETECTED', 'SUCCESS', 'CONFLICT') OR c.paid_amount > 0 OR c.tx_hash IS NOT NULL THEN 3
				ELSE greatest(1,
					CASE WHEN c.status = 'REQUEST_CREATED' OR c.request_id IS NOT NULL OR c.pay_currency IS NOT NULL THEN 2 END,
					(SELECT max(CASE e.status_to WHEN 'REQUEST_CREATED' THEN 2 ELSE 3 END) FROM inqud.event e
					 WHERE e.checkout = c.id AND e.kind IN ('created', 'status')
						AND e.status_to IN ('REQUEST_CREATED', 'PAYMENT_DETECTED', 'SUCCESS', 'CONFLICT')))
				END OFFSET 0) AS s (step)
		WHERE c.created_at >= d.since AND c.created_at < d.until AND c.created_at::date = d.day
		GROUP BY 1) AS f;
COMMENT ON VIEW inqud.funnel IS 'how far the checkouts of a day came, by project and day; each step counts those that came further, too';
COMMENT ON COLUMN inqud.funnel.project IS 'name of the foreign server';
COMMENT ON COLUMN inqud.funnel.day IS 'day on which the checkouts were made, in the session''s time zone';
COMMENT ON COLUMN inqud.funnel.created IS 'step 0: checkouts asked for; the sum of paid, conflict, expired, failed, canceled and unfinished';
COMMENT ON COLUMN inqud.funnel.opened IS 'step 1: came into being at Inqud, so that there was a payment page';
COMMENT ON COLUMN inqud.funnel.chosen IS 'step 2: the payer chose a currency and was shown an address';
COMMENT ON COLUMN inqud.funnel.detected IS 'step 3: money was seen';
COMMENT ON COLUMN inqud.funnel.paid IS 'step 4: SUCCESS';
COMMENT ON COLUMN inqud.funnel.conflict IS 'ended in CONFLICT';
COMMENT ON COLUMN inqud.funnel.expired IS 'ended in EXPIRED';
COMMENT ON COLUMN inqud.funnel.failed IS 'refused by Inqud, or given up';
COMMENT ON COLUMN inqud.funnel.canceled IS 'given free before they were sent';
COMMENT ON COLUMN inqud.funnel.unfinished IS 'not at an end yet';
COMMENT ON COLUMN inqud.funnel.time_to_pay_50 IS 'half of those paid took no longer than this, as time_to_pay in inqud.payment';
COMMENT ON COLUMN inqud.funnel.time_to_pay_90 IS 'nine in ten of those paid took no longer';
COMMENT ON COLUMN inqud.funnel.time_to_pay_99 IS '99 in a hundred of those paid took no longer';

GRANT SELECT ON inqud._day_made, inqud._day_ended, inqud.daily, inqud.funnel TO PUBLIC;

-- ------------------------------------------------------------------
-- Operations
-- ------------------------------------------------------------------

CREATE FUNCTION inqud._stats()
		RETURNS TABLE (database name, project name, since timestamptz, last_at timestamptz,
			transfers bigint, creates bigint, reads bigint, retries bigint, canceled bigint, waits bigint,
			ok bigint, refused bigint, auth bigint, route bigint, not_found bigint, throttled bigint,
			unreachable bigint, unknown bigint, bad_reply bigint,
			http_2xx bigint, http_3xx bigint, http_4xx bigint, http_5xx bigint, http_none bigint,
			bytes_sent bigint, bytes_received bigint,
			latency bigint[], latency_sum interval, latency_max interval,
			next_call_at timestamptz, paused_until timestamptz, oldest_due timestamptz)
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'inqud_stats';
COMMENT ON FUNCTION inqud._stats() IS 'what shared memory knows of transfers: of projects whose server the caller may use; members of pg_monitor get all, of all databases';
REVOKE ALL ON FUNCTION inqud._stats() FROM PUBLIC;
-- a view calls its functions as whoever asks it
GRANT EXECUTE ON FUNCTION inqud._stats() TO PUBLIC;

CREATE VIEW inqud.stats WITH (security_invoker = true) AS
	SELECT * FROM inqud._stats();
COMMENT ON VIEW inqud.stats IS 'transfers of workers and sessions by project, since the server''s start or a reset; projects whose server one may use, for members of pg_monitor all of all databases';
COMMENT ON COLUMN inqud.stats.database IS 'name of the database; null: of projects that have no place of their own, all together';
COMMENT ON COLUMN inqud.stats.project IS 'name of the foreign server';
COMMENT ON COLUMN inqud.stats.since IS 'when counting began';
COMMENT ON COLUMN inqud.stats.last_at IS 'end of the last transfer';
COMMENT ON COLUMN inqud.stats.transfers IS 'transfers that ended: creates and reads; each has one outcome, one http status class and one latency';
COMMENT ON COLUMN inqud.stats.creates IS 'of them, those that create a checkout';
COMMENT ON COLUMN inqud.stats.reads IS 'of them, those that read one';
COMMENT ON COLUMN inqud.stats.retries IS 'of them, those that repeat a failed one; a create that was throttled or refused for its key counts as not yet attempted';
COMMENT ON COLUMN inqud.stats.canceled IS 'transfers that this side ended: cancel, timeout of the statement, a worker that had to leave; counted nowhere else';
COMMENT ON COLUMN inqud.stats.waits IS 'turns that had to be waited for, because of rate_limit or a pause that Inqud asked for';
COMMENT ON COLUMN inqud.stats.ok IS 'answered with a usable checkout';
COMMENT ON COLUMN inqud.stats.refused IS 'Inqud refused the order (400, 409, 422)';
COMMENT ON COLUMN inqud.stats.auth IS 'credentials refused (401, 403)';
COMMENT ON COLUMN inqud.stats.route IS 'no such project, or a wrong address (404, 405, a redirect)';
COMMENT ON COLUMN inqud.stats.not_found IS 'read: Inqud has no such checkout';
COMMENT ON COLUMN inqud.stats.throttled IS 'Inqud says that there are too many calls (408, 429)';
COMMENT ON COLUMN inqud.stats.unreachable IS 'nothing was sent: name, connection or TLS';
COMMENT ON COLUMN inqud.stats.unknown IS 'sent, and no whole answer or a server error came; of a create also an answer that is not understood';
COMMENT ON COLUMN inqud.stats.bad_reply IS 'read: the answer is not understood, or too large';
COMMENT ON COLUMN inqud.stats.http_2xx IS 'by the status of the HTTP reply: success';
COMMENT ON COLUMN inqud.stats.http_3xx IS 'redirect, which is not followed';
COMMENT ON COLUMN inqud.stats.http_4xx IS 'refusal';
COMMENT ON COLUMN inqud.stats.http_5xx IS 'server error';
COMMENT ON COLUMN inqud.stats.http_none IS 'no status came, or one of no class';
COMMENT ON COLUMN inqud.stats.bytes_sent IS 'bytes of requests, headers included, TLS not';
COMMENT ON COLUMN inqud.stats.bytes_received IS 'bytes of replies, headers included, TLS not';
COMMENT ON COLUMN inqud.stats.latency IS 'histogram: number 1 counts transfers of less than 1 ms, number i those from 2^(i-2) to 2^(i-1) ms, number 21 all above';
COMMENT ON COLUMN inqud.stats.latency_sum IS 'time of all transfers together; latency_sum / transfers is the mean';
COMMENT ON COLUMN inqud.stats.latency_max IS 'time of the longest transfer';
COMMENT ON COLUMN inqud.stats.next_call_at IS 'rate limiter: no call before this; null: the next may go at once';
COMMENT ON COLUMN inqud.stats.paused_until IS 'rate limiter: end of a pause that Inqud asked for; null: none';
COMMENT ON COLUMN inqud.stats.oldest_due IS 'since when the oldest of the project''s rows of the queue, whoever owns it, has been due and waits; null: none does, or of another database';
GRANT SELECT ON inqud.stats TO PUBLIC;

CREATE FUNCTION @extschema@.inqud_stats_reset(project text DEFAULT NULL) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'inqud_stats_reset';
COMMENT ON FUNCTION @extschema@.inqud_stats_reset(text)
	IS 'begins the counts of a project in inqud.stats anew; null: of all projects of this database';
REVOKE ALL ON FUNCTION @extschema@.inqud_stats_reset(text) FROM PUBLIC;

-- ------------------------------------------------------------------
-- Retention
-- ------------------------------------------------------------------

CREATE FUNCTION inqud._has_money(c inqud.checkout) RETURNS boolean
	LANGUAGE sql IMMUTABLE
	RETURN coalesce((c).status IN ('SUCCESS', 'CONFLICT'), false) OR coalesce((c).paid_amount > 0, false)
		OR (c).tx_hash IS NOT NULL;
COMMENT ON FUNCTION inqud._has_money(inqud.checkout) IS 'has anything been paid on a checkout, as far as is known';

/*
 * May a checkout be forgotten?  Not while anything is still to be done for it,
 * nor while it stands in inqud.trouble.  One that expired and is paid after all
 * is unknown then, and comes back by a webhook like any that nobody recorded.
 */
CREATE FUNCTION inqud._prunable(c inqud.checkout, cutoff timestamptz, money boolean) RETURNS boolean
	LANGUAGE sql STABLE
	RETURN (c).updated_at < cutoff AND inqud._has_money(c) = money
		AND CASE (c).state WHEN 'closed' THEN (c).error IS NULL AND ((c).status <> 'CONFLICT' OR (c).canceled_at IS NOT NULL)
			WHEN 'failed' THEN NOT (c).current
			ELSE (c).state = 'canceled' END
		AND NOT EXISTS (SELECT FROM inqud.queue q WHERE q.checkout = (c).id)
		AND NOT EXISTS (SELECT FROM inqud.inbox i WHERE i.checkout = (c).id)
		AND NOT EXISTS (SELECT FROM inqud.event e WHERE e.checkout = (c).id AND e.kind = 'anomaly');
COMMENT ON FUNCTION inqud._prunable(inqud.checkout, timestamptz, boolean)
	IS 'may a checkout be deleted, which is one with money or one without';

/*
 * Delete what may go among the next n rows.  Gives back how many went, and where
 * to go on; null when what follows is too young.  Ids grow with time, but for
 * transactions that overlap.
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
		WHERE e.id = p.id AND p.at < cutoff AND p.kind <> 'anomaly'
			AND NOT EXISTS (SELECT FROM inqud.queue q WHERE q.checkout = p.checkout)
			AND (payments OR NOT EXISTS (SELECT FROM inqud.checkout c
										 WHERE c.id = p.checkout AND inqud._has_money(c)))
		RETURNING e.id
	)
	SELECT (SELECT count(*) FROM gone), max(page.id) FILTER (WHERE page.at < cutoff)
		INTO pruned, reached FROM page;
END
$$;
COMMENT ON FUNCTION inqud._prune_events(timestamptz, boolean, bigint, integer) IS 'deletes old events among the next n';

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
	-- Asked again now that the rows are ours: who wants something of a checkout locks it first.
	DELETE FROM inqud.checkout c WHERE c.id = ANY (ids) AND inqud._prunable(c, cutoff, payments);
	GET DIAGNOSTICS pruned = ROW_COUNT;
	DELETE FROM inqud.event e
		WHERE e.checkout = ANY (ids) AND NOT EXISTS (SELECT FROM inqud.checkout c WHERE c.id = e.checkout);
END
$$;
COMMENT ON FUNCTION inqud._prune_checkouts(timestamptz, boolean, bigint, integer)
	IS 'deletes old checkouts among the next n, with their events';

/*
 * A procedure, since it commits after each batch and remembers where it was: a
 * function called again for each batch would have to read past everything that
 * is kept, each time.  It can have no SET clause of its own.
 */
CREATE PROCEDURE @extschema@.inqud_prune(older_than interval, what text DEFAULT 'events',
		batch integer DEFAULT 1000, INOUT pruned bigint DEFAULT 0)
	LANGUAGE plpgsql AS $$
DECLARE
	cutoff timestamptz;
	after bigint;
	n bigint;
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
END
$$;
COMMENT ON PROCEDURE @extschema@.inqud_prune(interval, text, integer, bigint)
	IS 'deletes old events or checkouts, batch by batch; what is paid only if it is named';

-- ------------------------------------------------------------------
-- Rights: what only the owner may call
-- ------------------------------------------------------------------

REVOKE ALL ON FUNCTION inqud._has_money(inqud.checkout), inqud._prunable(inqud.checkout, timestamptz, boolean),
	inqud._prune_events(timestamptz, boolean, bigint, integer),
	inqud._prune_checkouts(timestamptz, boolean, bigint, integer) FROM PUBLIC;
REVOKE ALL ON PROCEDURE @extschema@.inqud_prune(interval, text, integer, bigint) FROM PUBLIC;

-- ------------------------------------------------------------------
-- The end
-- ------------------------------------------------------------------

-- Changes nothing, and tells every session and worker to look at the version
-- again: a change of the extension's row alone is told to nobody.
GRANT USAGE ON SCHEMA inqud TO PUBLIC;
