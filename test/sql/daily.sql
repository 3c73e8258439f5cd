--
-- Reports by day: which day something counts on, exact sums, that what cannot be
-- added up is not, how far checkouts came, and that a day is read by itself.
--
\getenv testdir PG_ABS_SRCDIR
\set common :testdir '/sql/common.psql'
\set ECHO none
\i :common
\set ECHO all
\pset null -

SET TimeZone = 'UTC';
SELECT count(*) FROM inqud.daily;
INSERT INTO inqud.checkout (project, project_id, order_id, owner, amount, currency, state, status, pay_currency, pay_blockchain, paid_amount, merchant_fee, processing_amount, created_at, status_at, closed_at) VALUES
  -- made before midnight, paid after it
  ('shop', 'CAP-1', '1', current_user, 0.1, 'USD', 'closed', 'SUCCESS', 'USDT', 'TRON', 0.100000000000000001, 0.000000000000000001, 0.1, '2026-03-01 23:30+00', '2026-03-02 00:30+00', '2026-03-02 00:31+00'),
  -- Inqud does not say when: when it was seen counts
  ('shop', 'CAP-1', '2', current_user, 0.2, 'USD', 'closed', 'SUCCESS', 'USDT', 'ETHEREUM', 0.200000000000000002, NULL, 0.2, '2026-03-02 10:00+00', NULL, '2026-03-02 12:00+00'),
  ('shop', 'CAP-1', '3', current_user, 99999999999999999999.000000000000000001, 'USD', 'closed', 'SUCCESS', 'BTC', 'BITCOIN', 0.5, 0.01, 0.49, '2026-03-02 10:00+00', '2026-03-02 11:00+00', '2026-03-02 12:00+00'),
  -- another currency, no price, another project
  ('shop', 'CAP-1', '4', current_user, 7, 'EUR', 'closed', 'SUCCESS', 'BTC', 'BITCOIN', 0.25, 0.02, 0.23, '2026-03-02 10:00+00', '2026-03-02 11:00+00', '2026-03-02 12:00+00'),
  ('shop', 'CAP-1', '5', current_user, NULL, NULL, 'closed', 'SUCCESS', 'BTC', 'BITCOIN', 0.125, NULL, NULL, '2026-03-02 10:00+00', '2026-03-02 11:00+00', '2026-03-02 12:00+00'),
  ('other', 'CAP-2', '6', current_user, 5, 'USD', 'closed', 'SUCCESS', NULL, NULL, NULL, NULL, NULL, '2026-03-02 10:00+00', '2026-03-02 11:00+00', '2026-03-02 12:00+00'),
  -- not paid: neither its price nor what arrived is revenue
  ('shop', 'CAP-1', '7', current_user, 3, 'USD', 'closed', 'CONFLICT', 'USDT', 'TRON', 1, 0.5, 0.5, '2026-03-02 10:00+00', '2026-03-02 11:00+00', '2026-03-02 12:00+00'),
  ('shop', 'CAP-1', '8', current_user, 4, 'USD', 'closed', 'EXPIRED', NULL, NULL, NULL, NULL, NULL, '2026-03-02 10:00+00', '2026-03-03 11:00+00', '2026-03-03 12:00+00'),
  ('shop', 'CAP-1', '9', current_user, 4, 'USD', 'open', 'PAYMENT_DETECTED', 'USDT', 'TRON', 4, 0.1, 3.9, '2026-03-02 10:00+00', '2026-03-02 11:00+00', NULL),
  ('shop', 'CAP-1', '10', current_user, 4, 'USD', 'failed', NULL, NULL, NULL, NULL, NULL, NULL, '2026-03-02 10:00+00', NULL, NULL),
  -- a word that nobody knows is no outcome
  ('shop', 'CAP-1', '11', current_user, 4, 'USD', 'open', 'success', 'USDT', 'TRON', 4, NULL, NULL, '2026-03-02 10:00+00', '2026-03-02 11:00+00', NULL);
SELECT * FROM inqud.daily ORDER BY project, day, currency NULLS LAST;
-- Days are those of the session.
SET TimeZone = 'Pacific/Auckland';
SELECT project, day, currency, created, paid, conflict, expired FROM inqud.daily WHERE currency = 'USD' ORDER BY 1, 2;
SET TimeZone = 'America/Los_Angeles';
SELECT project, day, currency, created, paid, conflict, expired FROM inqud.daily WHERE currency = 'USD' ORDER BY 1, 2;
SET TimeZone = 'UTC';

-- Where clocks are set back at midnight, or forward, a day is what the clock says.
CREATE TABLE inqud_test.moment AS SELECT row_number() OVER () AS id, t FROM (VALUES
  ('2018-02-18 01:30+00'::timestamptz), ('2018-02-18 02:30+00'), ('2018-02-18 03:30+00'), ('2018-11-04 02:30+00'), ('2018-11-04 03:30+00'), ('2018-11-05 02:30+00'),
  ('2018-11-04 04:30+00'), ('2018-11-05 04:30+00'), ('2018-11-04 05:30+00')) AS m (t);
INSERT INTO inqud.checkout (project, project_id, order_id, owner, state, status, created_at, closed_at)
  SELECT 'clocks', 'CAP-1', id, current_user, 'closed', 'EXPIRED', t, t FROM inqud_test.moment;
CREATE VIEW inqud_test.wrong AS
  SELECT day, d.created, d.expired, m.n FROM (SELECT * FROM inqud.daily WHERE project = 'clocks') d
    FULL JOIN (SELECT t::date AS day, count(*) AS n FROM inqud_test.moment GROUP BY 1) m USING (day) WHERE (d.created, d.expired) IS DISTINCT FROM (m.n, m.n);
SET TimeZone = 'America/Sao_Paulo';
SELECT day, created, expired FROM inqud.daily WHERE project = 'clocks' ORDER BY 1;
SELECT * FROM inqud_test.wrong;
SET TimeZone = 'America/Havana';
SELECT day, created, expired FROM inqud.daily WHERE project = 'clocks' ORDER BY 1;
SELECT * FROM inqud_test.wrong;
SET TimeZone = 'Pacific/Apia';
SELECT * FROM inqud_test.wrong;
SET TimeZone = 'UTC';

-- Everybody sees what is theirs.
CREATE ROLE regress_inqud_app;
UPDATE inqud.checkout SET owner = 'regress_inqud_app' WHERE order_id IN ('1', '4');
SET ROLE regress_inqud_app;
SELECT project, day, currency, created, paid, paid_amount FROM inqud.daily ORDER BY project, day, currency;
SELECT project, day, created, paid FROM inqud.funnel ORDER BY day;
RESET ROLE;
DROP ROLE regress_inqud_app;

--
-- How far they came
--
TRUNCATE inqud.checkout;
SELECT * FROM inqud.funnel;
INSERT INTO inqud.checkout (project, project_id, order_id, owner, state, status, checkout_id, request_id, pay_currency, paid_amount, tx_hash, closed_at, created_at)
SELECT 'shop', 'CAP-1', n, current_user, state, status, id, request, asset, paid, tx, CASE WHEN state = 'closed' THEN now() END, '2026-03-01 12:00+00' FROM (VALUES
  (1, 'queued', NULL, NULL, NULL, NULL, NULL, NULL),
  (2, 'failed', NULL, NULL, NULL, NULL, NULL, NULL),
  (3, 'canceled', NULL, NULL, NULL, NULL, NULL, NULL),
  (4, 'open', 'NEW', 'CCO-4', NULL, NULL, NULL, NULL),
  (5, 'open', 'REQUEST_CREATED', 'CCO-5', NULL, NULL, NULL, NULL),
  (6, 'open', 'PAYMENT_DETECTED', 'CCO-6', NULL, NULL, NULL, NULL),
  -- a word that nobody knows: as far as the rest of the reply says
  (7, 'open', 'success', 'CCO-7', NULL, NULL, NULL, NULL),
  (8, 'open', 'FROZEN', 'CCO-8', 'CAPD-8', NULL, 1, NULL),
  -- expired: at once; with an address by the reply, and by the history; with money in sight by the history, and by a transaction
  (9, 'closed', 'EXPIRED', 'CCO-9', NULL, NULL, NULL, NULL),
  (10, 'closed', 'EXPIRED', 'CCO-10', 'CAPD-10', NULL, 0, NULL),
  (11, 'closed', 'EXPIRED', 'CCO-11', NULL, NULL, NULL, NULL),
  (12, 'closed', 'EXPIRED', 'CCO-12', NULL, NULL, NULL, NULL),
  (13, 'closed', 'EXPIRED', 'CCO-13', NULL, 'BTC', NULL, 'abc'),
  (14, 'closed', 'CONFLICT', 'CCO-14', NULL, NULL, NULL, NULL)) AS c (n, state, status, id, request, asset, paid, tx);
-- Paid after 1, 2, ... 10 minutes; how long the last one took is not known.  And others on other days.
INSERT INTO inqud.checkout (project, project_id, order_id, owner, state, status, checkout_id, opened_at, status_at, closed_at, created_at)
  SELECT 'shop', 'CAP-1', 'p' || n, current_user, 'closed', 'SUCCESS', 'CCO-p' || n, CASE WHEN n < 11 THEN '2026-03-01 12:00+00'::timestamptz END,
    '2026-03-01 12:00+00'::timestamptz + n * interval '1 min', now(), '2026-03-01 12:00+00' FROM generate_series(1, 11) n;
INSERT INTO inqud.checkout (project, project_id, order_id, owner, state, status, checkout_id, created_at)
  SELECT p, 'CAP-1', p || d, current_user, 'open', 'NEW', 'CCO-' || p || d, '2026-03-01 12:00+00'::timestamptz + d * interval '1 day' FROM unnest(ARRAY['shop', 'other']) p, generate_series(1, 2) d;
INSERT INTO inqud.event (checkout, kind, status_from, status_to) SELECT c.id, e.kind, e.f, e.t FROM inqud.checkout c JOIN (VALUES
  ('11', 'created', NULL, 'REQUEST_CREATED'), ('12', 'status', 'NEW', 'PAYMENT_DETECTED'),
  -- what a webhook claims, and what was not applied, counts for nothing
  ('9', 'webhook', NULL, 'SUCCESS'), ('9', 'anomaly', 'EXPIRED', 'PAYMENT_DETECTED'), ('4', 'created', NULL, 'NEW')) AS e (o, kind, f, t) ON c.order_id = e.o;
SELECT * FROM inqud.funnel ORDER BY project, day;
SELECT count(*) FROM inqud.funnel WHERE created <> paid + conflict + expired + failed + canceled + unfinished;

--
-- Over many rows nothing is read from end to end, neither for whoever sees all nor under row security
--
CREATE FUNCTION inqud_test.full_scans(query text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
  line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
    IF line ~ 'Seq Scan on (checkout|event)' THEN
      RETURN NEXT btrim(line);
    END IF;
  END LOOP;
END $$;
CREATE ROLE regress_inqud_app;
TRUNCATE inqud.checkout, inqud.event, inqud.queue, inqud.call;
ALTER TABLE inqud.checkout DISABLE TRIGGER inqud_test_number;
INSERT INTO inqud.checkout (id, project, project_id, order_id, owner, state, status, checkout_id, request_id, opened_at, status_at, closed_at, created_at)
  SELECT n, 'shop', 'CAP-1', n, CASE n % 2 WHEN 0 THEN 'regress_inqud_app' ELSE current_user END, CASE WHEN n > 29900 THEN 'open' ELSE 'closed' END,
    CASE WHEN n > 29900 THEN 'NEW' WHEN n % 3 = 0 THEN 'EXPIRED' ELSE 'SUCCESS' END, 'CCO-' || n, CASE WHEN n % 2 = 0 THEN 'CAPD-' || n END, t, CASE WHEN n <= 29900 THEN t END, CASE WHEN n <= 29900 THEN t END, t
  FROM (SELECT n, '2026-03-01'::timestamptz + n * interval '10 min' AS t FROM generate_series(1, 30000) n) g;
INSERT INTO inqud.event (checkout, kind, status_to) SELECT id, k, status FROM inqud.checkout, unnest(ARRAY['created', 'status']) k;
INSERT INTO inqud.event (checkout, kind) SELECT id, 'anomaly' FROM inqud.checkout WHERE id % 10000 = 0;
INSERT INTO inqud.queue (checkout, home, server_id, kind, due_at, phase, tail_from) SELECT id, inqud._home(), server_id, 'read', NULL, 'new', now() FROM inqud.checkout WHERE state = 'open';
INSERT INTO inqud.call (checkout, home, server_id, due_at) SELECT checkout, home, server_id, now() FROM inqud.queue;
ANALYZE inqud.checkout, inqud.event, inqud.queue, inqud.call;
CREATE TABLE inqud_test.question AS SELECT * FROM (VALUES
  (1, $$SELECT * FROM inqud.trouble$$), (2, $$SELECT * FROM inqud.trouble WHERE project = 'shop' ORDER BY since$$), (3, $$SELECT * FROM inqud.pending$$),
  (4, $$SELECT * FROM inqud.payment WHERE paid_at >= '2026-09-20'$$), (5, $$SELECT * FROM inqud.payment WHERE project = 'shop' ORDER BY paid_at DESC LIMIT 20$$),
  (6, $$SELECT * FROM inqud.daily WHERE day >= '2026-09-20'$$), (7, $$SELECT * FROM inqud.funnel WHERE day >= '2026-09-20' AND project = 'shop'$$)) AS q (n, query);
GRANT SELECT ON inqud_test.question TO PUBLIC;
SELECT n, inqud_test.full_scans(query) FROM inqud_test.question ORDER BY n;
SELECT count(*) FROM inqud.daily WHERE day >= '2026-09-20';
SET ROLE regress_inqud_app;
SELECT n, inqud_test.full_scans(query) FROM inqud_test.question ORDER BY n;
SELECT count(*), sum(created) = sum(paid) + sum(expired) + sum(unfinished), sum(created) FROM inqud.funnel;
RESET ROLE;
-- The question is a good one: this has to read all of it.
SELECT inqud_test.full_scans('SELECT * FROM inqud.checkout WHERE tx_hash IS NULL');
DROP OWNED BY regress_inqud_app;
DROP ROLE regress_inqud_app;

DROP SCHEMA inqud_test CASCADE;
SET client_min_messages = error;
DROP EXTENSION inqud CASCADE;
