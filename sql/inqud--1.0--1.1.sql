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
		SELECT c.project, c.created_at::date AS day, c.currency, NULL::text AS asset,
			count(*) AS created, 0::bigint AS paid, 0::bigint AS conflict, 0::bigint AS expired,
			sum(c.amount) AS created_amount, NULL::numeric AS paid_amount,
			NULL::numeric AS received, NULL::numeric AS fees, NULL::numeric AS credited
		FROM inqud.checkout c
		GROUP BY 1, 2, 3
		UNION ALL
		SELECT c.project, coalesce(c.status_at, c.closed_at)::date, c.currency, c.pay_currency,
			0, count(*) FILTER (WHERE c.status = 'SUCCESS'), count(*) FILTER (WHERE c.status = 'CONFLICT'),
			count(*) FILTER (WHERE c.status = 'EXPIRED'),
			NULL, sum(c.amount) FILTER (WHERE c.status = 'SUCCESS'),
			sum(c.paid_amount) FILTER (WHERE c.status = 'SUCCESS'),
			sum(c.merchant_fee) FILTER (WHERE c.status = 'SUCCESS'),
			sum(c.processing_amount) FILTER (WHERE c.status = 'SUCCESS')
		FROM inqud.checkout c
		WHERE c.status IN ('SUCCESS', 'CONFLICT', 'EXPIRED')
		GROUP BY 1, 2, 3, 4
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

GRANT SELECT ON inqud.daily TO PUBLIC;

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
-- The end
-- ------------------------------------------------------------------

-- Changes nothing, and tells every session and worker to look at the version
-- again: a change of the extension's row alone is told to nobody.
GRANT USAGE ON SCHEMA inqud TO PUBLIC;
