--
-- The report page: its figures, what is escaped, and that it shows what the
-- caller may see and no more.  How it looks is for test/browser.
--
\getenv testdir PG_ABS_SRCDIR
\set common :testdir '/sql/common.psql'
\set ECHO none
\i :common
\set ECHO all
\pset null -

SET TimeZone = 'UTC';
-- What the page says, without markup and style, one thing a line.
CREATE FUNCTION inqud_test.lines(html text) RETURNS SETOF text
LANGUAGE sql AS $$
  SELECT btrim(l) FROM regexp_split_to_table(regexp_replace(regexp_replace(regexp_replace(regexp_replace(html, '<style>.*</style>', ''), 'Made [-0-9: ]+', 'Made NOW'),
    '</(th|td|dt)>|&nbsp;', ' ', 'g'), '<(/?(bdi|span|strong|summary|details|rect)|th|td|svg)[^>]*>', '', 'g'), '<[^>]+>') l WHERE l ~ '\S'
$$;
-- Escaping
SELECT inqud._html($$<a href="x" title='y'>&amp;</a>$$), inqud._html(E'\x01a\x08b\x0bc\x1fd\x7fe\tf'), inqud._html('äöü €'), inqud._html(NULL);
SELECT i, inqud._duration(i::interval) FROM unnest(ARRAY['-1 s', '0', '59.4 s', '59.6 s', '90 s', '1 h - 1 s', '1 h', '1 h 59 s', '24 h - 1 s', '24 h', '25 h', '400 d', NULL]) AS i;
-- Nothing there
SELECT inqud_test.lines(inqud_report_page('2026-03-01', '2026-03-02'));
-- Paid in several currencies and assets, over the bounds of the days, in different projects
INSERT INTO inqud.checkout (project, project_id, order_id, owner, amount, currency, state, status, checkout_id, pay_currency, paid_amount, merchant_fee, processing_amount, created_at, opened_at, status_at, closed_at)
SELECT p, 'CAP-1', n, current_user, a, c, 'closed', s, 'CCO-' || n, x, r, f, r - f, t::timestamptz, t::timestamptz, t::timestamptz + d::interval, now() FROM (VALUES
  (1, 'shop', 0.1, 'USD', 'SUCCESS', 'USDT', 0.100000000000000001, 0.01, '2026-03-01 00:00+00', '90 s'),
  (2, 'shop', 0.2, 'USD', 'SUCCESS', 'USDT', 0.200000000000000002, NULL, '2026-03-02 23:59+00', '59 s'),
  (3, 'shop', 7, 'EUR', 'SUCCESS', 'BTC', 0.5, 0.1, '2026-03-02 12:00+00', '3 h'),
  (4, 'shop', 100, 'USD', 'SUCCESS', 'BTC', 9, 1, '2026-03-02 23:59+00', '61 s'),
  (5, 'shop', 100, 'USD', 'SUCCESS', 'BTC', 9, 1, '2026-02-28 23:50+00', '9 min'),
  (6, 'shop', NULL, NULL, 'SUCCESS', 'BTC', 0.25, 0.01, '2026-03-01 12:00+00', '10 min'),
  (7, 'shop', 3, 'USD', 'EXPIRED', NULL, NULL, NULL, '2026-03-01 12:00+00', '1 h'),
  (8, 'shop', 3, 'USD', 'CONFLICT', 'BTC', 0.1, 0.01, '2026-03-01 12:00+00', '1 h'),
  (9, 'other', 5, 'USD', 'SUCCESS', NULL, NULL, NULL, '2026-03-01 12:00+00', '5 min')) AS v (n, p, a, c, s, x, r, f, t, d);
SELECT inqud_test.lines(inqud_report_page('2026-03-01', '2026-03-02'));
SELECT count(*) FROM inqud_test.lines(inqud_report_page('2026-03-01', '2026-03-02', 'other')) l WHERE l ~ 'USD by day: 5, from 1 payment$';
-- The other way round it is the same; nothing given is today.
SELECT inqud_report_page('2026-03-01', '2026-03-02') = inqud_report_page('2026-03-02', '2026-03-01'), inqud_report_page(NULL, NULL) = inqud_report_page(current_date, current_date);
-- Weeks and months for longer times
SELECT l FROM inqud_test.lines(inqud_report_page('2026-02-01', '2026-05-10')) l WHERE l ~ 'USD by|^20\d\d-.* [1-9]';
SELECT l FROM inqud_test.lines(inqud_report_page('2025-01-01', '2027-01-10')) l WHERE l ~ 'USD by|^20\d\d-.* [1-9]';
-- The last length of time that has days, or weeks, and the first that has not.
SELECT d, (SELECT l FROM inqud_test.lines(inqud_report_page('2026-03-01', date '2026-03-01' + d)) l WHERE l ~ 'EUR by' LIMIT 1) FROM unnest(ARRAY[91, 92, 730, 731]) AS d;
-- Whatever a name is, it opens no tag and leaves no attribute.
INSERT INTO inqud.checkout (project, project_id, order_id, owner, amount, currency, state, status, checkout_id, pay_currency, paid_amount, created_at, opened_at, status_at, closed_at)
SELECT x, 'CAP-1', x, current_user, 1, x, 'closed', 'SUCCESS', x, x, 1, t, t, t, t FROM unnest(ARRAY['<script>alert(1)</script>', '"><img src=x onerror=alert(1)>', $$'><svg onload='x$$, '</style>', '&lt;']) AS x, (VALUES (timestamptz '2026-04-01 12:00+00')) AS v (t);
SELECT m[1] FROM regexp_matches(inqud_report_page('2026-04-01', '2026-04-01', '<script>alert(1)</script>') || inqud_report_page('2026-04-01', '2026-04-01'), '<(/?[a-z!][a-z0-9]*)', 'gi') m GROUP BY 1 ORDER BY m[1] COLLATE "C";
SELECT n, l FROM (SELECT count(*) AS n, l FROM inqud_test.lines(inqud_report_page('2026-04-01', '2026-04-01')) l WHERE l ~ 'alert|svg|style|lt;' GROUP BY l) s ORDER BY l COLLATE "C";
SELECT l FROM inqud_test.lines(inqud_report_page('2026-04-01', '2026-04-01', '"><b>')) l LIMIT 1;
-- Nor does a time zone.
SET TimeZone = '<b>-3';
SELECT l FROM inqud_test.lines(inqud_report_page('2026-04-01', '2026-04-01')) l WHERE l ~ 'days in';
SELECT inqud_report_page('2026-04-01', '2026-04-01') ~ '<b>';
SET TimeZone = 'UTC';
-- More currencies than a page should have pictures
INSERT INTO inqud.checkout (project, project_id, order_id, owner, amount, currency, state, status, checkout_id, created_at, opened_at, status_at, closed_at)
SELECT 'many', 'CAP-1', n, current_user, n, 'C' || n, 'closed', 'SUCCESS', n, t, t, t, t FROM generate_series(1, 12) n, (VALUES (timestamptz '2026-04-02 12:00+00')) AS v (t);
SELECT l FROM inqud_test.lines(inqud_report_page('2026-04-02', '2026-04-02')) l WHERE l ~ 'by day|more';
-- Everybody sees what is theirs.
CREATE ROLE regress_inqud_app;
UPDATE inqud.checkout SET owner = 'regress_inqud_app' WHERE order_id = '3';
SET ROLE regress_inqud_app;
SELECT l FROM inqud_test.lines(inqud_report_page('2026-03-01', '2026-03-02')) l WHERE l ~ 'by day|^Checkouts|^[0-9]+$|BTC|USDT';
RESET ROLE;
DROP ROLE regress_inqud_app;

DROP SCHEMA inqud_test CASCADE;
SET client_min_messages = error;
DROP EXTENSION inqud CASCADE;
