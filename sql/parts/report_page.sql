/*
 * report_page.sql
 *		A page of reports in HTML, made of the views of reports.sql.
 *
 * It runs with the rights of the role that asks.
 */

/*
 * Pictures are SVG without any text in it, stretched to the width of the page;
 * texts stand around them as HTML, so they keep their size on a phone.  All that
 * comes from a row goes through _html().
 */
CREATE FUNCTION inqud._html(t text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN replace(replace(replace(replace(replace(regexp_replace(t, '[\x01-\x08\x0b-\x1f\x7f]', '', 'g'),
		'&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;'), '''', '&#39;');

/* A length of time for people to read. */
CREATE FUNCTION inqud._duration(i interval) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN (SELECT CASE
		WHEN s < 0 THEN '0 s'
		WHEN s < 60 THEN s || ' s'
		WHEN s < 3600 THEN s / 60 || ' min ' || s % 60 || ' s'
		WHEN s < 86400 THEN s / 3600 || ' h ' || s % 3600 / 60 || ' min'
		ELSE s / 86400 || ' d ' || s % 86400 / 3600 || ' h' END
		FROM (SELECT round(extract(epoch FROM i))::bigint AS s) AS e);

/* Columns as SVG, and the same as a table.  Titles and texts are HTML already. */
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

/* How a report looks: light, dark, narrow and printed. */
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

/* How far the checkouts of a time came, as HTML: the steps, then the other ends. */
CREATE FUNCTION inqud._report_funnel(since date, until date, project text) RETURNS text
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT '<table class="funnel"><thead><tr><th scope="col">Step</th><th scope="col">Checkouts</th><th scope="col">Share</th><td></td></tr></thead><tbody>'
		|| string_agg(format('<tr%s><th scope="row">%s</th><td>%s</td><td>%s</td><td><svg aria-hidden="true" viewBox="0 0 100 10" preserveAspectRatio="none"><rect width="%s" height="10"/></svg></td></tr>',
			CASE WHEN s.n > 5 THEN ' class="end"' END, s.label, coalesce(s.size, 0), coalesce(round(100.0 * s.size / nullif(f.created, 0), 1) || '&nbsp;%', '&ndash;'),
			coalesce(round(100.0 * s.size / nullif(f.created, 0), 2), 0)), '' ORDER BY s.n)
		|| '</tbody></table>'
	FROM (SELECT sum(created) AS created, sum(opened) AS opened, sum(chosen) AS chosen, sum(detected) AS detected, sum(paid) AS paid,
			sum(conflict) AS conflict, sum(expired) AS expired, sum(failed) AS failed, sum(canceled) AS canceled, sum(unfinished) AS unfinished
		  FROM inqud.funnel v
		  WHERE v.day BETWEEN $1 AND $2 AND ($3 IS NULL OR v.project = $3)) AS f
		CROSS JOIN LATERAL (VALUES (1, 'Asked for', f.created), (2, 'Payment page there', f.opened), (3, 'Currency chosen', f.chosen),
			(4, 'Money seen', f.detected), (5, 'Paid', f.paid), (6, 'Conflict', f.conflict), (7, 'Expired', f.expired),
			(8, 'Failed', f.failed), (9, 'Canceled', f.canceled), (10, 'Not at an end', f.unfinished)) AS s (n, label, size);
END;

/* Revenue over time as HTML: a picture for each currency of prices, for the eight in which most was paid. */
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

/* What arrived, by asset, as HTML. */
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
	FROM (SELECT e.key AS asset, sum(e.value::numeric) FILTER (WHERE k.n = 1) AS received,
			sum(e.value::numeric) FILTER (WHERE k.n = 2) AS fees, sum(e.value::numeric) FILTER (WHERE k.n = 3) AS credited
		  FROM d CROSS JOIN LATERAL (VALUES (1, d.received), (2, d.fees), (3, d.credited)) AS k (n, amounts)
			CROSS JOIN LATERAL jsonb_each_text(k.amounts) AS e
		  GROUP BY e.key) AS s;
END;

/* How long payers took, as HTML. */
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
