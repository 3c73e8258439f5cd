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
-- The end
-- ------------------------------------------------------------------

-- Changes nothing, and tells every session and worker to look at the version
-- again: a change of the extension's row alone is told to nobody.
GRANT USAGE ON SCHEMA inqud TO PUBLIC;
