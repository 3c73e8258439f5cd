--
-- Reports by day: which day something counts on, exact sums, and that what
-- cannot be added up is not.
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

-- Everybody sees what is theirs.
CREATE ROLE regress_inqud_app;
UPDATE inqud.checkout SET owner = 'regress_inqud_app' WHERE order_id IN ('1', '4');
SET ROLE regress_inqud_app;
SELECT project, day, currency, created, paid, paid_amount FROM inqud.daily ORDER BY project, day, currency;
RESET ROLE;
DROP ROLE regress_inqud_app;

DROP SCHEMA inqud_test CASCADE;
DROP EXTENSION inqud CASCADE;
