--
-- What Inqud says after a word about money, and of another order: what counts as paid,
-- what stands in inqud.trouble until inqud_resolve, and what gives an order free.
--
\getenv testdir PG_ABS_SRCDIR
\set common :testdir '/sql/common.psql'
\set ECHO none
\i :common
\set ECHO all

-- An order's checkout, opened; its id.
CREATE FUNCTION inqud_test.open(wanted text, members jsonb DEFAULT '{}', price numeric DEFAULT 5) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  id bigint := (inqud_enqueue_checkout('shop', wanted, 'n', 'https://shop.example', price, CASE WHEN price > 0 THEN 'USD' END)).id;
BEGIN
  PERFORM inqud_test.answered(id, members);
  RETURN id;
END $$;
-- The order queued again: the same row, or a new one.
CREATE FUNCTION inqud_test.again(wanted text) RETURNS text
LANGUAGE sql AS $$
  SELECT concat_ws(' ', '#' || c.id, c.state, c.status, CASE WHEN c.paid_at IS NOT NULL THEN 'paid' END)
    FROM inqud_enqueue_checkout('shop', wanted, 'n', 'https://shop.example', 5, 'USD') c
$$;
-- What stands of a checkout.
CREATE FUNCTION inqud_test.stands(id bigint) RETURNS SETOF text
LANGUAGE sql AS $$
  SELECT t.trouble || ': ' || t.detail || ' | ' || t.advice FROM inqud.trouble t WHERE t.checkout = id AND t.trouble <> 'no worker' ORDER BY 1
$$;

--
-- SUCCESS, then EXPIRED: it is paid all the same
--
SELECT inqud_test.open('taken back') AS id \gset
SELECT inqud_test.read(:id, '{"status": "SUCCESS", "paid_amount": 5.01, "pay_currency": "USDT", "merchant_fee": 0.1, "processing_amount": 4.91, "updated_at": "2026-03-01 12:00+00"}');
SELECT paid_at = '2026-03-01 12:00+00' FROM inqud.checkout WHERE id = :id;
SELECT count(*) FROM inqud_test.stands(:id);
SELECT inqud_test.said(format('SELECT inqud_cancel(%s)', :id));
SELECT inqud_test.read(:id, '{"status": "EXPIRED", "paid_amount": 0, "merchant_fee": 0, "updated_at": "2026-03-02 12:00+00"}');
SELECT inqud_test.look('taken back');
SELECT inqud_test.stands(:id);
SELECT paid_at = '2026-03-01 12:00+00', paid_amount, merchant_fee, processing_amount FROM inqud.checkout WHERE id = :id;
SELECT paid_at = '2026-03-01 12:00+00', paid_amount, merchant_fee FROM inqud.payment WHERE checkout = :id;
SELECT paid, expired, paid_amount, received FROM inqud.daily WHERE day = '2026-03-01' AND paid > 0;
SELECT count(*) FROM inqud.daily WHERE day = '2026-03-02';
SELECT paid, expired FROM inqud.funnel;
-- The order has its checkout, and nothing is sent.
SELECT inqud_test.again('taken back') = '#' || :id || ' closed EXPIRED paid', count(*) FROM inqud.queue WHERE kind = 'create';
-- The same word is no news; another one is.
SELECT inqud_test.read(:id, '{"status": "EXPIRED", "paid_amount": 0, "merchant_fee": 0}');
SELECT count(*) FROM inqud_test.stands(:id);
SELECT inqud_test.said(format('SELECT inqud_cancel(%s)', :id));
SELECT (inqud_resolve(:id, 'the payer''s bank was slow')).status;
SELECT inqud_test.stands(:id);
SELECT kind, replace(detail, current_user, 'OWNER') FROM inqud.event WHERE checkout = :id AND kind = 'resolved';
SELECT inqud_test.read(:id, '{"status": "EXPIRED", "paid_amount": 0, "merchant_fee": 0}');
SELECT inqud_test.stands(:id);
SELECT inqud_test.again('taken back') = '#' || :id || ' closed EXPIRED paid';
SELECT inqud_test.read(:id, '{"status": "CONFLICT", "reason": "CHARGED_BACK"}');
SELECT inqud_test.stands(:id);
SELECT inqud_test.said(format('SELECT inqud_cancel(%s)', :id)) LIKE '55000 %';
-- Resolved and canceled, the order is free, and what was paid stays paid.
SELECT (inqud_resolve(:id)).status, (inqud_cancel(:id)).current;
SELECT inqud_test.stands(:id);
SELECT inqud_test.again('taken back') AS next \gset
SELECT :'next' LIKE '% queued', (SELECT count(*) FROM inqud._claim(inqud._home(), inqud_test.server('shop'), 10, 7));
SELECT count(*) FROM inqud.payment WHERE order_id = 'taken back';
SELECT (inqud_cancel(:id)).status;
-- SUCCESS once more holds it again, and that is late money.
SELECT inqud_test.read(:id, '{"status": "SUCCESS"}');
SELECT inqud_test.stands(:id);
SELECT inqud_test.again('taken back') = '#' || :id || ' closed SUCCESS paid';
SELECT inqud_test.look('taken back');

--
-- A word that is not final after SUCCESS
--
SELECT inqud_test.open('reopened') AS id \gset
SELECT w, inqud_test.read(:id, jsonb_build_object('status', w)) FROM unnest(ARRAY['SUCCESS', 'PAYMENT_DETECTED', 'PAYMENT_DETECTED', 'HALF_PAID']) w;
SELECT inqud_test.look('reopened');
SELECT inqud_test.said(format('SELECT inqud_cancel(%s)', :id)) LIKE '55000 %';
SELECT (inqud_resolve(:id, NULL)).status;
SELECT inqud_test.read(:id, '{"status": "HALF_PAID"}');
SELECT count(*) FROM inqud_test.stands(:id);
SELECT inqud_test.read(:id, '{"status": "SUCCESS"}');
SELECT inqud_test.said(format('SELECT inqud_cancel(%s)', :id));

--
-- Any word but SUCCESS after CONFLICT
--
SELECT inqud_test.open('conflict') AS id \gset
SELECT inqud_test.read(:id, '{"status": "CONFLICT", "reason": "UNDERPAID"}');
SELECT inqud_test.stands(:id);
SELECT inqud_test.read(:id, '{"status": "EXPIRED"}');
SELECT inqud_test.look('conflict');
SELECT inqud_test.again('conflict') = '#' || :id || ' closed EXPIRED', inqud_test.said(format('SELECT inqud_cancel(%s)', :id));
SELECT (inqud_resolve(:id)).status, inqud_test.again('conflict') = '#' || :id || ' closed EXPIRED';
SELECT inqud_test.read(:id, '{"status": "EXPIRED"}');
SELECT count(*) FROM inqud_test.stands(:id);
SELECT (inqud_cancel(:id)).current, inqud_test.again('conflict') LIKE '% queued';
-- SUCCESS after CONFLICT is a correction, and settles it.
SELECT inqud_test.open('corrected') AS id \gset
SELECT w, inqud_test.read(:id, jsonb_build_object('status', w)) FROM unnest(ARRAY['CONFLICT', 'SUCCESS']) w;
SELECT inqud_test.look('corrected');
-- A conflict that is resolved stays the order's; canceled, it is free, as before.
SELECT inqud_test.open('kept') AS id \gset
SELECT inqud_test.read(:id, '{"status": "CONFLICT"}');
SELECT (inqud_resolve(:id, 'the payer sends the rest')).status, inqud_test.again('kept') = '#' || :id || ' closed CONFLICT', (SELECT count(*) FROM inqud_test.stands(:id));
SELECT (inqud_cancel(:id)).current, inqud_test.again('kept') LIKE '% queued';

--
-- Other amounts than when it was paid
--
SELECT inqud_test.open('amounts') AS id \gset
SELECT inqud_test.read(:id, '{"status": "SUCCESS", "paid_amount": 5, "pay_currency": "USDT"}');
SELECT inqud_test.read(:id, '{"status": "SUCCESS", "paid_amount": 5.00, "pay_currency": "USDT", "merchant_fee": 0.1}');
SELECT inqud_test.read(:id, '{"status": "SUCCESS", "paid_amount": 4, "pay_currency": "USDT", "merchant_fee": 0.2}');
SELECT inqud_test.read(:id, '{"status": "SUCCESS", "paid_amount": 4.0, "pay_currency": "USDT", "merchant_fee": 0.20}');
SELECT paid_amount, merchant_fee FROM inqud.payment WHERE checkout = :id;
SELECT inqud_test.look('amounts');

--
-- A read of another order
--
SELECT inqud_test.open('not ours') AS id \gset
SELECT m, inqud_test.read(:id, m), inqud_test.read(:id, m) FROM (VALUES ('{"status": "SUCCESS", "fixed_amount": 0.01, "fixed_currency": "USD"}'::jsonb), ('{"status": "SUCCESS", "fixed_amount": 5, "fixed_currency": "EUR"}'),
  ('{"status": "SUCCESS", "order_id": "another"}'), ('{"status": "SUCCESS", "project_id": "CAP-2"}'), ('{"status": "SUCCESS", "type": "NO_PRICE"}'), ('{"status": "EXPIRED", "type": "NO_PRICE"}')) AS t (m);
SELECT inqud_test.look('not ours');
SELECT count(*) FROM inqud.payment WHERE checkout = :id;
SELECT (inqud_resolve(:id)).status, (SELECT count(*) FROM inqud_test.stands(:id));
SELECT inqud_test.read(:id, '{"status": "SUCCESS", "fixed_amount": 5.0, "fixed_currency": "usd"}');
SELECT inqud_test.look('not ours');
-- Where no amount was ordered, the payer's choice may be said.
SELECT inqud_test.open('payer chooses', price => NULL) AS id \gset
SELECT inqud_test.read(:id, '{"status": "SUCCESS", "fixed_amount": 3, "fixed_currency": "EUR"}');
SELECT inqud_test.look('payer chooses');

--
-- Twice, and after it was replaced
--
SELECT inqud_test.open('twice', '{"status": "EXPIRED"}') AS old \gset
SELECT inqud_test.open('twice') AS new \gset
SELECT inqud_test.read(:old, '{"status": "SUCCESS"}');
SELECT inqud_test.look('twice');
SELECT (inqud_resolve(:old)).status;
SELECT inqud_test.read(:new, '{"status": "SUCCESS"}');
SELECT inqud_test.look('twice');
SELECT (inqud_resolve(:old)).status, (inqud_resolve(:new, 'sent back')).status;
SELECT inqud_test.look('twice');
-- What is resolved, and paid again, stands anew.
SELECT inqud_test.read(:old, '{"status": "CONFLICT"}'), inqud_test.read(:old, '{"status": "SUCCESS"}');
SELECT inqud_test.look('twice');

--
-- An order that was inserted again
--
SELECT inqud_test.open('inserted again') AS id \gset
INSERT INTO inqud.event (checkout, kind, detail) VALUES (:id, 'again', 'by a test');
SELECT inqud_test.look('inserted again');
SELECT inqud_test.read(:id, '{"status": "SUCCESS"}');
SELECT (inqud_resolve(:id)).status, inqud_test.said(format('SELECT inqud_cancel(%s)', :id)) LIKE '55000 %is paid%';
SELECT count(*) FROM inqud_test.stands(:id);

--
-- What nobody here has asked for
--
INSERT INTO inqud.inbox (home, server_id, checkout_id, order_id) VALUES (inqud._home(), inqud_test.server('shop'), 'CCO-BYHAND', NULL), (inqud._home(), inqud_test.server('shop'), 'CCO-NAMES', 'named by hand');
SELECT inqud_test.apply(jsonb_build_object('checkout', -i.id, 'kind', 'found', 'outcome', 'ok', 'http_status', 200, 'id', i.checkout_id, 'order_id', i.order_id, 'name', 'n', 'type', 'FIXED_PRICE', 'fixed_amount', 5, 'fixed_currency', 'USD', 'status', 'SUCCESS'))
  FROM inqud.inbox i WHERE checkout IS NULL;
SELECT order_id, paid_at IS NOT NULL, (SELECT string_agg(s, E'\n') FROM inqud_test.stands(c.id) s) FROM inqud.checkout c WHERE checkout_id IN ('CCO-BYHAND', 'CCO-NAMES') ORDER BY id;
-- An order of that number has it; that it has no return_url is no difference.
SELECT inqud_test.again('named by hand') LIKE '% closed SUCCESS paid';

--
-- Who may resolve, and what is nothing to resolve
--
SELECT count(*) AS events FROM inqud.event \gset
SELECT (inqud_resolve(:new)).id = :new, inqud_resolve(NULL) IS NULL, inqud_resolve(NULL, 'x') IS NULL;
SELECT count(*) = :events FROM inqud.event;
SELECT inqud_test.said('SELECT inqud_resolve(99999)');
CREATE ROLE regress_inqud_app;
CREATE ROLE regress_inqud_member;
CREATE ROLE regress_inqud_other;
GRANT regress_inqud_app TO regress_inqud_member;
SELECT inqud_test.open('rights', '{"status": "CONFLICT"}') AS id \gset
UPDATE inqud.checkout SET owner = 'regress_inqud_app' WHERE id = :id;
SET ROLE regress_inqud_other;
SELECT inqud_test.said(format('SELECT inqud_resolve(%s)', :id));
SELECT inqud_test.said('SELECT inqud_resolve(99999)');
SET ROLE regress_inqud_member;
BEGIN READ ONLY;
SELECT inqud_resolve(:id);
ROLLBACK;
BEGIN;
SELECT (inqud_resolve(:id, 'looked at')).status;
SELECT detail FROM inqud.event WHERE checkout = :id AND kind = 'resolved';
ROLLBACK;
RESET ROLE;
SELECT inqud_test.stands(:id);
UPDATE inqud.checkout SET owner = 'regress_inqud_gone' WHERE id = :id;
SELECT (inqud_resolve(:id)).status;
-- All that was in trouble can be settled.
SELECT count(inqud_resolve(checkout)) > 3 FROM inqud._unsettled;
SELECT count(*) FROM inqud._unsettled;
SELECT trouble, count(*) FROM inqud.trouble WHERE trouble IN ('anomaly', 'conflict', 'again') GROUP BY 1;
DROP ROLE regress_inqud_app, regress_inqud_member, regress_inqud_other;

DROP SCHEMA inqud_test CASCADE;
SET client_min_messages = error;
DROP EXTENSION inqud CASCADE;
