--
-- What the outcome of a read means for its row: the walk of statuses, answers
-- that crossed, corrections, late and double money, and that nothing at all is
-- written when there is nothing new.
--
\getenv testdir PG_ABS_SRCDIR
\set common :testdir '/sql/common.psql'
\set ECHO none
\i :common
\set ECHO all

-- An open checkout of an order; its id.
CREATE FUNCTION inqud_test.open(wanted text, members jsonb DEFAULT '{}') RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  new_id bigint := (inqud_enqueue_checkout('shop', wanted, 'n', 'https://shop.example')).id;
BEGIN
  PERFORM inqud_test.answered(new_id, members);
  INSERT INTO inqud_test.shown SELECT e.id FROM inqud.event e WHERE e.checkout = new_id;
  RETURN new_id;
END $$;
-- The newest checkout of an order reads this.
CREATE FUNCTION inqud_test.says(wanted text, members jsonb, by_worker boolean DEFAULT true) RETURNS text
LANGUAGE sql AS $$
  SELECT inqud_test.read(max(c.id), members, by_worker) FROM inqud.checkout c WHERE c.order_id = wanted
$$;

--
-- The usual walk, each step once and with all that belongs to it
--
SELECT inqud_test.open('walk', '{"created_at": "2020-01-01 00:00+00", "updated_at": "2020-01-01 00:00+00", "expires_at": "2998-01-01 00:00+00"}');
SELECT inqud_test.says('walk', '{"status": "REQUEST_CREATED", "updated_at": "2020-01-01 00:01+00", "has_request": true, "request_id": "CAPD-1", "payment_id": "PMT-1",
  "pay_amount": 0.0021, "pay_currency": "BTC", "pay_blockchain": "BITCOIN", "paid_amount": 0, "overpaid": false, "reply": {"step": 1}}');
SELECT inqud_test.look('walk');
SELECT inqud_test.says('walk', '{"status": "PAYMENT_DETECTED", "updated_at": "2020-01-01 00:02+00", "has_request": true, "tx_hash": "abc", "paid_amount": 0.0021, "reply": {"step": 2}}');
SELECT inqud_test.look('walk');
SELECT inqud_test.says('walk', '{"status": "SUCCESS", "updated_at": "2020-01-01 00:03+00", "has_request": true, "merchant_fee": 0.0001, "processing_amount": 0.002, "overpaid": true, "reply": {"step": 3}}');
SELECT inqud_test.look('walk');
SELECT inqud_test.said_of(c) FROM inqud.checkout c WHERE order_id = 'walk';

-- Short answers take nothing away, and what is recorded of the order is not theirs to change.
SELECT inqud_test.says('walk', '{"status": "SUCCESS"}');
SELECT inqud_test.says('walk', '{"status": "SUCCESS", "acquiring_url": "https://evil.example", "name": "other", "return_url": "https://evil.example", "order_id": "other", "type": "FIXED_PRICE", "fixed_amount": 1}');
SELECT inqud_test.look('walk');
SELECT order_id, name, type, amount, return_url, acquiring_url, pay_amount, tx_hash FROM inqud.checkout WHERE order_id = 'walk';

-- Jumps over steps, and words that are not known.
SELECT inqud_test.open('jump'), inqud_test.says('jump', '{"status": "SUCCESS"}');
SELECT inqud_test.open('conflict'), inqud_test.says('conflict', '{"status": "CONFLICT", "reason": "UNDERPAID", "paid_amount": 1}');
SELECT inqud_test.open('back', '{"status": "PAYMENT_DETECTED"}'), inqud_test.says('back', '{"status": "REQUEST_CREATED"}');
SELECT inqud_test.open('odd'), inqud_test.says('odd', '{"status": "ON_HOLD", "reason": "LOOKING"}'), inqud_test.says('odd', '{"status": "ON_HOLD"}');
SELECT inqud_test.look(o) FROM unnest(ARRAY['jump', 'conflict', 'back', 'odd']) AS o;
SELECT inqud_test.says('odd', '{"status": "success"}'), inqud_test.says('odd', '{"status": "SUCCESS"}');
SELECT inqud_test.look('odd');

-- Expired: whoever was shown an address may still pay.
SELECT s, m, inqud_test.open('expired ' || s || m, jsonb_build_object('status', s)) > 0, inqud_test.says('expired ' || s || m, '{"status": "EXPIRED"}' || m)
FROM (VALUES ('NEW', '{}'::jsonb), ('NEW', '{"has_request": true}'), ('NEW', '{"pay_currency": "BTC"}'), ('REQUEST_CREATED', '{}'), ('PAYMENT_DETECTED', '{}'), ('ODD', '{}')) AS t (s, m);

-- Details alone are noted as such.
SELECT inqud_test.open('changed', '{"status": "REQUEST_CREATED", "pay_amount": 1}');
SELECT m, inqud_test.says('changed', '{"status": "REQUEST_CREATED"}' || m)
FROM (VALUES ('{"pay_amount": 2}'::jsonb), ('{"pay_amount": 2.00}'), ('{"paid_amount": 1}'), ('{"reason": "WHY"}'), ('{"merchant_fee": 0.1}'), ('{"expires_at": "2998-01-01 00:00+00"}'), ('{"updated_at": "2998-01-01 00:00+00"}')) AS t (m);
SELECT inqud_test.look('changed');

--
-- Not answered
--
SELECT w, inqud_test.open('no ' || w) > 0, inqud_test.says('no ' || w, jsonb_build_object('outcome', w, 'message', 'told: ' || w, 'http_status', 0)), inqud_test.says('no ' || w, jsonb_build_object('outcome', w, 'message', 'told: ' || w))
FROM unnest(ARRAY['refused', 'auth', 'route', 'throttled', 'unreachable', 'unknown', 'bad_reply', 'not_found', 'held', 'blocked']) AS w;
SELECT inqud_test.look('no ' || w) FROM unnest(ARRAY['refused', 'auth', 'route', 'throttled', 'unreachable', 'unknown', 'bad_reply', 'not_found', 'held', 'blocked']) AS w;
-- Answered again: the error goes, and that is all.
SELECT inqud_test.says('no auth', '{"status": "NEW"}'), inqud_test.says('no auth', '{"status": "NEW"}');
SELECT inqud_test.look('no auth');

--
-- Nothing new: nothing is written, neither row nor transaction id nor lock
--
CREATE FUNCTION inqud_test.places(wanted text) RETURNS text
LANGUAGE sql AS $$
  SELECT concat_ws(' ', c.ctid, c.xmin, c.xmax, q.ctid, q.xmin, q.xmax, (SELECT count(*) FROM inqud.event), (SELECT last_value FROM inqud.event_id_seq))
  FROM inqud.checkout c LEFT JOIN inqud.queue q ON q.checkout = c.id WHERE c.order_id = wanted
$$;
CREATE FUNCTION inqud_test.unchanged(wanted text, members jsonb, by_worker boolean DEFAULT true) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  before text := inqud_test.places(wanted);
  answer text := inqud_test.says(wanted, members, by_worker);
BEGIN
  RETURN concat_ws(', ', answer, CASE WHEN pg_current_xact_id_if_assigned() IS NULL THEN 'no transaction id' ELSE 'WRITTEN' END,
    CASE WHEN before = inqud_test.places(wanted) THEN 'same rows' ELSE 'OTHER ROWS' END);
END $$;
SELECT inqud_test.open('same', '{"status": "REQUEST_CREATED", "pay_amount": 1.5, "expires_at": "2998-01-01 00:00+00", "reply": {"a": 1}}');
SELECT inqud_test.unchanged('same', '{"status": "REQUEST_CREATED"}');
SELECT inqud_test.unchanged('same', '{"status": "REQUEST_CREATED", "pay_amount": 1.50, "expires_at": "2998-01-01 01:00+01", "reply": {"b": 2}}');
SELECT inqud_test.unchanged('same', '{"status": "REQUEST_CREATED"}', false);
SELECT s, inqud_test.open('same ' || s) > 0, inqud_test.says('same ' || s, jsonb_build_object('status', s)) FROM unnest(ARRAY['SUCCESS', 'CONFLICT', 'EXPIRED', 'ODD']) AS s;
SELECT inqud_test.unchanged('same SUCCESS', '{"status": "SUCCESS"}');
SELECT inqud_test.unchanged('same CONFLICT', '{"status": "CONFLICT"}');
SELECT inqud_test.unchanged('same EXPIRED', '{"status": "EXPIRED"}');
SELECT inqud_test.unchanged('same ODD', '{"status": "ODD"}');
-- The counter-check: that test would see a write.
SELECT inqud_test.unchanged('same', '{"status": "PAYMENT_DETECTED"}');

--
-- Two answers that crossed: the one recorded last has the status of 11:00, and was not there yet when the other was asked for.
--
CREATE FUNCTION inqud_test.crossed() RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
  known text;
  asked text;
  news text;
  number bigint;
  answer text;
BEGIN
  FOREACH known IN ARRAY ARRAY['11:00', NULL] LOOP
    FOREACH asked IN ARRAY ARRAY['before', 'after'] LOOP
      FOREACH news IN ARRAY ARRAY['10:00', '11:00', '11:30', NULL] LOOP
        number := inqud_test.open(format('crossed %s %s %s', known, asked, news),
          jsonb_build_object('status', 'PAYMENT_DETECTED', 'updated_at', '2020-01-01 ' || known));
        answer := inqud_test.read(number, jsonb_build_object('status', 'SUCCESS', 'answers', CASE asked WHEN 'before' THEN 0 ELSE 1 END, 'updated_at', '2020-01-01 ' || news));
        RETURN NEXT format('recorded of %s, asked %s it, answer of %s: %s, %s', coalesce(known, '?'), asked, coalesce(news, '?'), answer,
          (SELECT c.status FROM inqud.checkout c WHERE c.id = number));
      END LOOP;
    END LOOP;
  END LOOP;
END $$;
SELECT inqud_test.crossed();

-- A crossed answer that says the same asks for nothing.
SELECT inqud_test.open('crossed same', '{"status": "PAYMENT_DETECTED"}');
SELECT inqud_test.says('crossed same', '{"status": "PAYMENT_DETECTED", "answers": 0}');
SELECT inqud_test.look('crossed same');
-- One that says something else has the checkout read again, now.
SELECT inqud_test.says('crossed same', '{"status": "SUCCESS", "answers": 0}');
SELECT inqud_test.look('crossed same');
SELECT inqud_test.says('crossed same', '{"status": "SUCCESS"}');
SELECT inqud_test.look('crossed same');
-- A read that failed has brought nothing that an answer could be older than.
SELECT inqud_test.open('failed between', '{"status": "PAYMENT_DETECTED"}');
SELECT inqud_test.says('failed between', '{"outcome": "unknown", "message": "told: unknown", "answers": 1}');
SELECT inqud_test.says('failed between', '{"status": "SUCCESS", "answers": 1}');
SELECT inqud_test.look('failed between');
-- Whichever comes first wins, and is never undone by the other.
SELECT inqud_test.open('crossed final', '{"status": "PAYMENT_DETECTED"}');
SELECT inqud_test.says('crossed final', '{"status": "SUCCESS", "answers": 1}');
SELECT inqud_test.says('crossed final', '{"status": "PAYMENT_DETECTED", "answers": 1}');
SELECT inqud_test.says('crossed final', '{"status": "EXPIRED", "answers": 1}');
SELECT inqud_test.look('crossed final');

--
-- Final, and then another word
--
-- A correction to another final word is applied.
SELECT inqud_test.open('corrected'), inqud_test.says('corrected', '{"status": "EXPIRED"}'), inqud_test.says('corrected', '{"status": "SUCCESS"}'),
  inqud_test.says('corrected', '{"status": "CONFLICT", "reason": "REVERSED"}'), inqud_test.says('corrected', '{"status": "SUCCESS"}');
SELECT inqud_test.look('corrected');
-- One that is not final is not, but it is watched closely until there is a final one again.
SELECT inqud_test.open('reopened', '{"arrived": "2020-01-01 12:00"}'), inqud_test.says('reopened', '{"status": "EXPIRED", "arrived": "2020-01-01 13:00"}');
SELECT inqud_test.says('reopened', '{"status": "PAYMENT_DETECTED", "pay_amount": 3, "tx_hash": "abc"}');
SELECT inqud_test.look('reopened');
SELECT inqud_test.says('reopened', '{"status": "PAYMENT_DETECTED"}'), inqud_test.says('reopened', '{"status": "REQUEST_CREATED"}');
SELECT inqud_test.look('reopened');
SELECT inqud_test.says('reopened', '{"status": "SUCCESS", "pay_amount": 3}');
SELECT inqud_test.look('reopened');
-- The same word as before ends the watch, too.
SELECT inqud_test.open('reopened same'), inqud_test.says('reopened same', '{"status": "SUCCESS"}'), inqud_test.says('reopened same', '{"status": "PAYMENT_DETECTED"}'), inqud_test.says('reopened same', '{"status": "SUCCESS"}');
SELECT inqud_test.look('reopened same');
-- A session that reads has the worker know.
SELECT inqud_test.open('reopened here'), inqud_test.says('reopened here', '{"status": "SUCCESS"}', false), inqud_test.says('reopened here', '{"status": "NEW"}', false);
SELECT inqud_test.look('reopened here');

--
-- Money where it should not be
--
-- Paid twice: the first was replaced after it had expired.
SELECT inqud_test.open('twice'), inqud_test.says('twice', '{"status": "EXPIRED"}'), inqud_test.open('twice'), inqud_test.says('twice', '{"status": "SUCCESS"}');
SELECT inqud_test.read(min(id), '{"status": "SUCCESS"}') FROM inqud.checkout WHERE order_id = 'twice';
SELECT inqud_test.look('twice');
-- Neither can be canceled, the replaced one as little as the order's own.
SELECT current, replace(inqud_test.said('SELECT inqud_cancel(' || id || ')'), id::text, 'N') FROM inqud.checkout WHERE order_id = 'twice' ORDER BY id;
SELECT current, state, status, canceled_at IS NULL FROM inqud.checkout WHERE order_id = 'twice' ORDER BY id;
-- Late money, and what was to be sent in its place is not, whether it waits, has failed and waits again, or is claimed just then.
SELECT inqud_test.open('dropped'), inqud_test.says('dropped', '{"status": "EXPIRED"}'), (inqud_enqueue_checkout('shop', 'dropped', 'n', 'https://shop.example')).state;
SELECT inqud_test.read(min(id), '{"status": "SUCCESS"}') FROM inqud.checkout WHERE order_id = 'dropped';
SELECT inqud_test.look('dropped');
SELECT inqud_test.open('dropped later'), inqud_test.says('dropped later', '{"status": "EXPIRED"}'), (inqud_enqueue_checkout('shop', 'dropped later', 'n', 'https://shop.example')).state;
SELECT inqud_test.answered(max(id), '{"outcome": "refused", "message": "told: refused", "http_status": 400}') FROM inqud.checkout WHERE order_id = 'dropped later';
SELECT inqud_test.read(min(id), '{"status": "SUCCESS"}') FROM inqud.checkout WHERE order_id = 'dropped later';
SELECT (inqud_retry(max(id))).state FROM inqud.checkout WHERE order_id = 'dropped later';
SELECT (t).checkout FROM inqud._claim(inqud._home(), inqud_test.server('shop'), 10, 9) t;
SELECT inqud_test.look('dropped later');
-- One that is being sent is answered, and both are followed.
SELECT inqud_test.open('sent'), inqud_test.says('sent', '{"status": "EXPIRED"}'), (inqud._take((inqud_enqueue_checkout('shop', 'sent', 'n', 'https://shop.example')).id, 9)).kind;
SELECT inqud_test.read(min(id), '{"status": "SUCCESS"}') FROM inqud.checkout WHERE order_id = 'sent';
SELECT inqud_test.apply(jsonb_build_object('checkout', max(id), 'kind', 'create', 'lease', 9, 'outcome', 'ok', 'id', 'CCO-SENT', 'status', 'NEW')) FROM inqud.checkout WHERE order_id = 'sent';
SELECT inqud_test.look('sent');
-- Canceled ones.
SELECT inqud_test.open('canceled');
SELECT (inqud_cancel(max(id))).current FROM inqud.checkout WHERE order_id = 'canceled';
SELECT inqud_test.says('canceled', '{"status": "CONFLICT"}'), inqud_test.says('canceled', '{"status": "SUCCESS"}');
SELECT inqud_test.look('canceled');

--
-- What is not followed any more
--
SELECT inqud_test.open('settled'), inqud_test.says('settled', '{"status": "SUCCESS"}');
SELECT inqud._unfollow(ARRAY[id]) FROM inqud.checkout WHERE order_id = 'settled';
SELECT inqud_test.look('settled');
SELECT inqud_test.unchanged('settled', '{"status": "SUCCESS"}', false);
SELECT inqud_test.says('settled', '{"status": "SUCCESS"}');
SELECT inqud_test.look('settled');
SELECT inqud_test.says('settled', '{"status": "CONFLICT"}', false);
SELECT inqud_test.look('settled');
SELECT inqud_test.apply('{"checkout": 99999, "kind": "read", "outcome": "ok", "id": "CCO-X", "status": "NEW"}');

--
-- closed_at: when its final status was first seen, whatever is written later
--
SELECT inqud_test.open('closed'), inqud_test.says('closed', '{"status": "EXPIRED"}');
SELECT closed_at AS first FROM inqud.checkout WHERE order_id = 'closed' \gset
SELECT inqud_test.says('closed', '{"status": "EXPIRED", "name": "x", "expires_at": "2998-01-01 00:00+00"}');
SELECT closed_at = :'first', updated_at > :'first' FROM inqud.checkout WHERE order_id = 'closed';
-- Another final status is seen when it comes, and one that is not final is not recorded.
SELECT inqud_test.says('closed', '{"status": "SUCCESS"}');
SELECT closed_at > :'first' FROM inqud.checkout WHERE order_id = 'closed';
SELECT closed_at AS first FROM inqud.checkout WHERE order_id = 'closed' \gset
SELECT inqud_test.says('closed', '{"status": "NEW", "merchant_fee": 1}'), inqud_test.says('closed', '{"status": "SUCCESS", "merchant_fee": 2}');
SELECT closed_at = :'first', merchant_fee FROM inqud.checkout WHERE order_id = 'closed';

DROP SCHEMA inqud_test CASCADE;
SET client_min_messages = error;
DROP EXTENSION inqud CASCADE;
