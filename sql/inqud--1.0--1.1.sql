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
-- A report to look at
-- ------------------------------------------------------------------

/*
 * Pictures are SVG without any text in it, stretched to the width of the page;
 * texts stand around them as HTML, so they keep their size on a phone.  All that
 * comes from a row goes through _html().
 */
CREATE FUNCTION inqud._html(t text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN replace(replace(replace(replace(replace(regexp_replace(t, '[\x01-\x08\x0b-\x1f\x7f]', '', 'g'),
		'&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;'), '''', '&#39;');
COMMENT ON FUNCTION inqud._html(text) IS 'a text as it may stand in HTML, between tags and in quotes';

CREATE FUNCTION inqud._duration(i interval) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN (SELECT CASE
		WHEN s < 0 THEN '0 s'
		WHEN s < 60 THEN s || ' s'
		WHEN s < 3600 THEN s / 60 || ' min ' || s % 60 || ' s'
		WHEN s < 86400 THEN s / 3600 || ' h ' || s % 3600 / 60 || ' min'
		ELSE s / 86400 || ' d ' || s % 86400 / 3600 || ' h' END
		FROM (SELECT round(extract(epoch FROM i))::bigint AS s) AS e);
COMMENT ON FUNCTION inqud._duration(interval) IS 'a length of time for people to read';

/* A picture of columns with its table.  Titles and texts are HTML already. */
CREATE FUNCTION inqud._bars(n integer, title text, description text, heads text[], labels text[],
		sizes numeric[], texts text[]) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	WITH b AS (
		SELECT i, label, said, CASE WHEN max(size) OVER () > 0 THEN round(coalesce(size, 0) / max(size) OVER () * 100, 2) ELSE 0 END AS height,
			first_value(said) OVER (ORDER BY size DESC NULLS LAST, i) AS most
		FROM unnest(labels, sizes, texts) WITH ORDINALITY AS u (label, size, said, i))
	SELECT format('<figure><figcaption>%1$s</figcaption><div class="chart%12$s"><p class="most" aria-hidden="true">%2$s</p>'
			'<svg role="img" aria-labelledby="t%3$s d%3$s" viewBox="0 0 %4$s 100" preserveAspectRatio="none">'
			'<title id="t%3$s">%1$s</title><desc id="d%3$s">%5$s</desc>%6$s</svg>'
			'<p class="ends" aria-hidden="true"><span>%7$s</span><span>%8$s</span></p></div>'
			'<details><summary>As a table</summary><table><thead><tr><th scope="col">%9$s</th><th scope="col">%10$s</th></tr></thead><tbody>%11$s</tbody></table></details></figure>',
		title, min(most), n, cardinality(labels), description,
		string_agg(format('<rect x="%s" y="%s" width="0.8" height="%s"><title>%s: %s</title></rect>',
			i - 0.9, 100 - height, height, label, said), '' ORDER BY i),
		labels[1], CASE WHEN cardinality(labels) > 1 THEN labels[cardinality(labels)] END, heads[1], heads[2],
		string_agg(format('<tr><th scope="row">%s</th><td>%s</td></tr>', label, said), '' ORDER BY i),
		CASE WHEN cardinality(labels) < 8 THEN ' few' END)
	FROM b;
END;
COMMENT ON FUNCTION inqud._bars(integer, text, text, text[], text[], numeric[], text[])
	IS 'columns as SVG, and as a table';

CREATE FUNCTION inqud._report_style() RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN ':root{color-scheme:light dark;--ground:#fff;--text:#1c2430;--soft:#5a6472;--line:#d5dae1;--card:#f4f6f9;--bar:#2f6fb3;--end:#9aa5b4}'
		'@media (prefers-color-scheme:dark){:root{--ground:#14181e;--text:#e6eaf0;--soft:#a3adba;--line:#343c47;--card:#1d232b;--bar:#6aa9e6;--end:#5c6877}}'
		'*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--text);font:16px/1.5 system-ui,sans-serif}'
		'main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 3rem;overflow-wrap:anywhere}'
		'h1{font-size:1.6rem;line-height:1.2;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .6rem}'
		'p{margin:.4rem 0}.soft{color:var(--soft)}'
		'dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.7rem;margin:1.2rem 0}'
		'dl div{background:var(--card);border-radius:.5rem;padding:.7rem .9rem}dt{color:var(--soft);font-size:.9rem}dd{margin:0;font-size:1.4rem;font-weight:600;line-height:1.3}'
		'figure{margin:0 0 1.8rem}figcaption{font-weight:600}'
		'.chart{margin:.2rem 0 .4rem}.few{max-width:20rem}.chart svg{display:block;width:100%;height:10rem;border-bottom:1px solid var(--line)}rect{fill:var(--bar)}'
		'.most,.ends{margin:0;color:var(--soft);font-size:.85rem}.most{border-bottom:1px dashed var(--line)}.ends{display:flex;justify-content:space-between;gap:1rem}'
		'table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{padding:.25rem .5rem;border-bottom:1px solid var(--line);text-align:right;font-weight:400;vertical-align:top}'
		'th:first-child{text-align:left;padding-left:0}thead th{color:var(--soft);font-size:.9rem}'
		'.funnel{overflow-wrap:normal}.funnel td:last-child{width:45%;padding-right:0;vertical-align:middle}.funnel svg{display:block;width:100%;height:1.1rem}.funnel .end rect{fill:var(--end)}'
		'summary{color:var(--soft);cursor:pointer}'
		'@media (max-width:30rem){table{font-size:.82rem}.funnel td:last-child{width:25%}th,td{padding:.25rem .3rem}}'
		'@media print{:root{--ground:#fff;--text:#000;--soft:#444;--line:#bbb;--card:#fff;--bar:#2f6fb3;--end:#999}rect{print-color-adjust:exact;-webkit-print-color-adjust:exact}'
		'figure,tr{break-inside:avoid}details:not([open]){display:none}}';
COMMENT ON FUNCTION inqud._report_style() IS 'how a report looks: light, dark, narrow and printed';

/* What came of the checkouts of a time: the steps, one below the other, then the other ends. */
CREATE FUNCTION inqud._report_funnel(since date, until date, project text) RETURNS text
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT '<table class="funnel"><thead><tr><th scope="col">Step</th><th scope="col">Checkouts</th><th scope="col">Share</th><td></td></tr></thead><tbody>'
		|| string_agg(format('<tr%s><th scope="row">%s</th><td>%s</td><td>%s</td><td><svg aria-hidden="true" viewBox="0 0 100 10" preserveAspectRatio="none"><rect width="%s" height="10"/></svg></td></tr>',
			CASE WHEN s.n > 5 THEN ' class="end"' END, s.label, s.size, coalesce(round(100.0 * s.size / nullif(f.created, 0), 1) || '&nbsp;%', '&ndash;'),
			coalesce(round(100.0 * s.size / nullif(f.created, 0), 2), 0)), '' ORDER BY s.n)
		|| '</tbody></table>'
	FROM (SELECT coalesce(sum(created), 0) AS created, coalesce(sum(opened), 0) AS opened, coalesce(sum(chosen), 0) AS chosen,
			coalesce(sum(detected), 0) AS detected, coalesce(sum(paid), 0) AS paid, coalesce(sum(conflict), 0) AS conflict,
			coalesce(sum(expired), 0) AS expired, coalesce(sum(failed), 0) AS failed, coalesce(sum(canceled), 0) AS canceled,
			coalesce(sum(unfinished), 0) AS unfinished
		  FROM inqud.funnel v
		  WHERE v.day BETWEEN $1 AND $2 AND ($3 IS NULL OR v.project = $3)) AS f
		CROSS JOIN LATERAL (VALUES (1, 'Asked for', f.created), (2, 'Payment page there', f.opened), (3, 'Currency chosen', f.chosen),
			(4, 'Money seen', f.detected), (5, 'Paid', f.paid), (6, 'Conflict', f.conflict), (7, 'Expired', f.expired),
			(8, 'Failed', f.failed), (9, 'Canceled', f.canceled), (10, 'Not at an end', f.unfinished)) AS s (n, label, size);
END;
COMMENT ON FUNCTION inqud._report_funnel(date, date, text) IS 'how far checkouts came, as HTML';

/* A picture for each currency of prices; the eight in which most was paid. */
CREATE FUNCTION inqud._report_revenue(since date, until date, project text) RETURNS text
	LANGUAGE sql STABLE
BEGIN ATOMIC
	WITH u AS (
		SELECT CASE WHEN $2 - $1 < 92 THEN 'day' WHEN $2 - $1 < 731 THEN 'week' ELSE 'month' END AS unit
	), d AS MATERIALIZED (
		SELECT v.currency, date_trunc(u.unit, v.day::timestamp)::date AS bucket, sum(v.paid) AS paid, sum(v.paid_amount) AS amount
		FROM u, inqud.daily v
		WHERE v.day BETWEEN $1 AND $2 AND ($3 IS NULL OR v.project = $3) AND v.paid > 0 AND v.currency IS NOT NULL
		GROUP BY 1, 2
	), c AS (
		SELECT d.currency, sum(d.paid) AS paid, sum(d.amount) AS amount,
			row_number() OVER (ORDER BY sum(d.paid) DESC, d.currency) AS n, count(*) OVER () AS many
		FROM d GROUP BY d.currency
	), b AS (
		SELECT c.n, c.currency, c.paid, c.amount, u.unit, s.bucket::date AS bucket, d.amount AS size
		FROM c CROSS JOIN u
			CROSS JOIN LATERAL generate_series(date_trunc(u.unit, $1::timestamp), $2::timestamp, ('1 ' || u.unit)::interval) AS s (bucket)
			LEFT JOIN d ON d.currency = c.currency AND d.bucket = s.bucket::date
		WHERE c.n <= 8
	)
	SELECT coalesce((SELECT string_agg(f.html, '' ORDER BY f.n) FROM (
			SELECT b.n, inqud._bars(b.n::integer,
				format('<bdi>%s</bdi> by %s: %s, from %s payment%s', inqud._html(b.currency), b.unit, b.amount, b.paid, CASE WHEN b.paid <> 1 THEN 's' END),
				format('Columns for each %s from %s to %s; the table below says the same.', b.unit, to_char($1, 'YYYY-MM-DD'), to_char($2, 'YYYY-MM-DD')),
				ARRAY[initcap(b.unit), 'Paid'],
				array_agg(to_char(b.bucket, 'YYYY-MM-DD') ORDER BY b.bucket), array_agg(b.size ORDER BY b.bucket),
				array_agg(coalesce(b.size, 0)::text ORDER BY b.bucket)) AS html
			FROM b GROUP BY b.n, b.currency, b.paid, b.amount, b.unit) AS f), '<p>Nothing with a price was paid in this time.</p>')
		|| coalesce((SELECT format('<p>Not shown: %s more currencies.</p>', c.many - 8) FROM c WHERE c.n = 9), '');
END;
COMMENT ON FUNCTION inqud._report_revenue(date, date, text) IS 'revenue over time, by currency, as HTML';

/* What arrived, by asset. */
CREATE FUNCTION inqud._report_assets(since date, until date, project text) RETURNS text
	LANGUAGE sql STABLE
BEGIN ATOMIC
	WITH d AS MATERIALIZED (
		SELECT v.received, v.fees, v.credited FROM inqud.daily v
		WHERE v.day BETWEEN $1 AND $2 AND ($3 IS NULL OR v.project = $3) AND v.paid > 0
	)
	SELECT coalesce('<table><thead><tr><th scope="col">Asset</th><th scope="col">Received</th><th scope="col">Fees</th><th scope="col">Credited</th></tr></thead><tbody>'
		|| string_agg(format('<tr><th scope="row"><bdi>%s</bdi></th><td>%s</td><td>%s</td><td>%s</td></tr>', inqud._html(s.asset),
			coalesce(trim_scale(s.received)::text, '&ndash;'), coalesce(trim_scale(s.fees)::text, '&ndash;'), coalesce(trim_scale(s.credited)::text, '&ndash;')), '' ORDER BY s.asset)
		|| '</tbody></table>', '<p>Inqud has not said what arrived.</p>')
	FROM (SELECT k.asset, sum(k.received) AS received, sum(k.fees) AS fees, sum(k.credited) AS credited
		  FROM (SELECT e.key AS asset, e.value::numeric AS received, NULL::numeric AS fees, NULL::numeric AS credited
				FROM d CROSS JOIN LATERAL jsonb_each_text(d.received) AS e
				UNION ALL SELECT e.key, NULL, e.value::numeric, NULL FROM d CROSS JOIN LATERAL jsonb_each_text(d.fees) AS e
				UNION ALL SELECT e.key, NULL, NULL, e.value::numeric FROM d CROSS JOIN LATERAL jsonb_each_text(d.credited) AS e) AS k
		  GROUP BY k.asset) AS s;
END;
COMMENT ON FUNCTION inqud._report_assets(date, date, text) IS 'what arrived by asset, as HTML';

CREATE FUNCTION inqud._report_times(since date, until date, project text) RETURNS text
	LANGUAGE sql STABLE
BEGIN ATOMIC
	WITH p AS MATERIALIZED (
		SELECT v.time_to_pay AS t, width_bucket(extract(epoch FROM v.time_to_pay), ARRAY[60, 120, 300, 600, 1200, 1800, 3600, 7200]::numeric[]) + 1 AS k
		FROM inqud.payment v
		WHERE v.paid_at >= $1::timestamptz AND v.paid_at < ($2 + 1)::timestamptz AND ($3 IS NULL OR v.project = $3)
			AND v.time_to_pay IS NOT NULL
	), k AS (
		SELECT n, label, (SELECT count(*) FROM p WHERE p.k = n) AS size
		FROM unnest(ARRAY['under 1 min', '1 to 2 min', '2 to 5 min', '5 to 10 min', '10 to 20 min', '20 to 30 min', '30 min to 1 h', '1 to 2 h', 'over 2 h'])
			WITH ORDINALITY AS u (label, n)
	)
	SELECT CASE WHEN q.n = 0 THEN '<p>Nothing was paid of which Inqud has said how long it took.</p>'
		ELSE format('<p>Half took no longer than <strong>%s</strong>, nine in ten no longer than <strong>%s</strong>, 99 in a hundred no longer than %s.</p>',
				inqud._duration(q.t[1]), inqud._duration(q.t[2]), inqud._duration(q.t[3]))
			|| (SELECT inqud._bars(100, 'Payments by the time they took', 'Columns for lengths of time, from under a minute to over two hours; the table below says the same.',
					ARRAY['Time', 'Payments'], array_agg(k.label ORDER BY k.n), array_agg(k.size ORDER BY k.n), array_agg(k.size::text ORDER BY k.n)) FROM k) END
	FROM (SELECT count(*) AS n, percentile_cont(ARRAY[0.5, 0.9, 0.99]) WITHIN GROUP (ORDER BY p.t) AS t FROM p) AS q;
END;
COMMENT ON FUNCTION inqud._report_times(date, date, text) IS 'how long payers took, as HTML';

CREATE FUNCTION @extschema@.inqud_report_page(since date DEFAULT current_date - 29, until date DEFAULT current_date,
		project text DEFAULT NULL) RETURNS text
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT '<!DOCTYPE html>' || E'\n' || '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
		|| '<title>' || a.title || '</title><style>' || inqud._report_style() || '</style></head><body><main>'
		|| format('<h1>%s</h1><p class="soft">%s to %s, days in %s. Made %s.</p>', a.title,
			to_char(a.since, 'YYYY-MM-DD'), to_char(a.until, 'YYYY-MM-DD'),
			inqud._html(current_setting('TimeZone')), to_char(now(), 'YYYY-MM-DD HH24:MI'))
		|| format('<dl><div><dt>Checkouts made</dt><dd>%s</dd></div><div><dt>Paid</dt><dd>%s</dd></div><div><dt>Conflicts</dt><dd>%s</dd></div><div><dt>To be looked at</dt><dd>%s</dd></div></dl>',
			s.created, s.paid, s.conflict, (SELECT count(*) FROM inqud.trouble t WHERE a.project IS NULL OR t.project = a.project))
		|| '<h2>Revenue</h2>' || inqud._report_revenue(a.since, a.until, a.project)
		|| '<h2>What arrived</h2>' || inqud._report_assets(a.since, a.until, a.project)
		|| '<h2>How far the checkouts made in this time came</h2>' || inqud._report_funnel(a.since, a.until, a.project)
		|| '<h2>Time to pay</h2>' || inqud._report_times(a.since, a.until, a.project)
		|| '</main></body>' || E'\n' || '</html>' || E'\n'
	FROM (SELECT coalesce(least($1, $2), current_date) AS since, coalesce(greatest($1, $2), current_date) AS until, $3 AS project,
			'Payments' || coalesce(' of ' || inqud._html($3), '') AS title) AS a
		CROSS JOIN LATERAL (
			SELECT coalesce(sum(v.created), 0) AS created, coalesce(sum(v.paid), 0) AS paid, coalesce(sum(v.conflict), 0) AS conflict
			FROM inqud.daily v
			WHERE v.day BETWEEN a.since AND a.until AND (a.project IS NULL OR v.project = a.project)) AS s;
END;
COMMENT ON FUNCTION @extschema@.inqud_report_page(date, date, text)
	IS 'a page with pictures of what was made and paid from one day to another, in HTML without scripts; send it as UTF-8';

-- the page calls them as whoever asks for it, and sees what that role sees
GRANT EXECUTE ON FUNCTION inqud._html(text), inqud._duration(interval), inqud._report_style(),
	inqud._bars(integer, text, text, text[], text[], numeric[], text[]),
	inqud._report_revenue(date, date, text), inqud._report_assets(date, date, text),
	inqud._report_funnel(date, date, text), inqud._report_times(date, date, text) TO PUBLIC;

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

-- ------------------------------------------------------------------
-- Rights: what only the owner may call
-- ------------------------------------------------------------------

REVOKE ALL ON FUNCTION inqud._has_money(inqud.checkout), inqud._prunable(inqud.checkout, timestamptz, boolean),
	inqud._prune_events(timestamptz, boolean, bigint, integer),
	inqud._prune_checkouts(timestamptz, boolean, bigint, integer) FROM PUBLIC;
REVOKE ALL ON PROCEDURE @extschema@.inqud_prune(interval, text, integer, bigint) FROM PUBLIC;

-- ------------------------------------------------------------------
-- What of a project works
-- ------------------------------------------------------------------

/*
 * Only of checkouts whose owner the role is a member of.  on_status: null when
 * the server has none, '' when it can be called, else what is wrong.
 */
CREATE FUNCTION inqud._check(project text, project_id text, home bigint, role name,
		OUT queued bigint, OUT overdue bigint, OUT elsewhere bigint, OUT other_project bigint,
		OUT checkout_id text, OUT on_status text)
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	WITH mine AS (
		SELECT r.rolname FROM pg_roles r WHERE pg_has_role(_check.role, r.oid, 'USAGE')
	), hook AS (
		SELECT o.option_value AS named, s.srvowner AS owner,
			CASE cardinality(n.parts) WHEN 1 THEN 'public' ELSE n.parts[1] END AS schema,
			n.parts[cardinality(n.parts)] AS name
		FROM pg_foreign_server s, pg_options_to_table(s.srvoptions) o,
			LATERAL parse_ident(o.option_value) AS n (parts)
		WHERE s.srvname = _check.project AND o.option_name = 'on_status'
	)
	SELECT q.queued, q.overdue, q.elsewhere, q.other_project,
		(SELECT k.checkout_id FROM inqud.checkout k
			WHERE k.project = _check.project AND k.project_id = _check.project_id
				AND k.owner = _check.role AND k.checkout_id IS NOT NULL
			ORDER BY k.id DESC LIMIT 1),
		(SELECT CASE
				WHEN f.oid IS NULL THEN 'function ' || h.named || '(inqud.checkout) does not exist; on_status cannot be called'
				WHEN NOT has_function_privilege(h.owner, f.oid, 'EXECUTE')
					OR NOT has_schema_privilege(h.owner, n.oid, 'USAGE')
					THEN 'the owner of the server may not call ' || h.named || '(inqud.checkout); grant EXECUTE, and USAGE on its schema'
				ELSE '' END
			FROM hook h LEFT JOIN (pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace)
				ON n.nspname = h.schema AND f.proname = h.name AND f.prokind = 'f'
					AND f.pronargs = 1 AND f.proargtypes[0] = 'inqud.checkout'::regtype)
	FROM (
		SELECT count(*) FILTER (WHERE w.kind = 'create' AND w.home = _check.home) AS queued,
			count(*) FILTER (WHERE w.kind = 'create' AND w.home = _check.home AND w.lease IS NULL
				AND w.due_at < clock_timestamp() - interval '1 minute') AS overdue,
			count(*) FILTER (WHERE w.home <> _check.home) AS elsewhere,
			count(*) FILTER (WHERE k.project_id <> _check.project_id) AS other_project
		FROM inqud.queue w JOIN inqud.checkout k ON k.id = w.checkout
		WHERE w.project = _check.project AND k.owner IN (SELECT m.rolname FROM mine m)
	) AS q;
END;
COMMENT ON FUNCTION inqud._check(text, text, bigint, name) IS 'what inqud_check_project looks up in tables';
REVOKE ALL ON FUNCTION inqud._check(text, text, bigint, name) FROM PUBLIC;

CREATE FUNCTION @extschema@.inqud_check_project(project text)
		RETURNS TABLE (step text, ok boolean, detail text)
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE ROWS 16 AS 'MODULE_PATHNAME', 'inqud_check_project';
COMMENT ON FUNCTION @extschema@.inqud_check_project(text)
	IS 'what of a project works, step by step, and how to mend what does not; ok is null for what was not tried or cannot be known';

-- ------------------------------------------------------------------
-- The end
-- ------------------------------------------------------------------

-- Changes nothing, and tells every session and worker to look at the version
-- again: a change of the extension's row alone is told to nobody.
GRANT USAGE ON SCHEMA inqud TO PUBLIC;
