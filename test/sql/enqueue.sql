--
-- inqud_enqueue_checkout: every argument good and bad, what is recorded, and
-- what an order gets that has a checkout already.  Nothing is sent.
--
\getenv testdir PG_ABS_SRCDIR
\set common :testdir '/sql/common.psql'
\set ECHO none
\i :common
\set ECHO all
--
-- What is recorded
--
SELECT inqud_test.said_of(inqud_enqueue_checkout('shop', '1001', 'Order 1001', 'https://shop.example/orders/1001'));
SELECT inqud_test.said_of(inqud_enqueue_checkout('shop', '1002', 'Order 1002', 'https://shop.example/orders/1002', 49.90, 'USD'));
SELECT inqud_test.said_of(inqud_enqueue_checkout(project => 'shop', order_id => '1003', name => 'All of it', return_url => 'http://shop.example',
  amount => 0.000000000000000001, currency => 'USDT', type => 'FIXED_PRICE', expires_at => '2999-12-31 23:59:59+00',
  extra => '{"cryptoCurrency": "ETHEREUM_USDT", "nested": {"type": [1, null, "x"]}}'));
SELECT inqud_test.said_of(inqud_enqueue_checkout('shop', '1004', 'Suggested', 'https://shop.example', type => 'SUGGESTED_FIXED_PRICE'));

-- The answer is the recorded row, complete.
SELECT inqud_enqueue_checkout('shop', '1005', 'Same', 'https://shop.example') IS NOT DISTINCT FROM (SELECT c FROM inqud.checkout c WHERE c.order_id = '1005');
SELECT inqud_enqueue_checkout('shop', '1005', 'Same', 'https://shop.example') IS NOT DISTINCT FROM (SELECT c FROM inqud.checkout c WHERE c.order_id = '1005');
SELECT owner = current_user, created_at = updated_at, created_at <= now(), closed_at IS NULL, canceled_at IS NULL, opened_at IS NULL, status_at IS NULL
FROM inqud.checkout WHERE order_id = '1005';

-- Each has its row in the queue, due at once, and no event yet.
SELECT c.order_id, q.kind, inqud_test.name(q.server_id) AS project, q.home = inqud._home() AS here, q.due_at <= clock_timestamp() AS due,
  q.poke, q.attempts, q.crashes, q.lease, q.spent, q.phase, q.tail_from, q.read_at
FROM inqud.checkout c JOIN inqud.queue q ON q.checkout = c.id ORDER BY c.id;
SELECT count(*) FROM inqud.event;

--
-- Bad arguments, one at a time
--
CREATE FUNCTION inqud_test.try(name text, value text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  args jsonb := '{"project": "shop", "order_id": "bad", "name": "n", "return_url": "https://shop.example"}';
BEGIN
  args := args || CASE name
    WHEN 'amount' THEN jsonb_build_object('amount', value, 'currency', 'USD')
    WHEN 'currency' THEN jsonb_build_object('amount', '1', 'currency', value)
    ELSE jsonb_build_object(name, value) END;
  RETURN inqud_test.said((SELECT 'SELECT inqud_enqueue_checkout('
    || string_agg(format('%I => %L', a.key, a.value), ', ') || ')' FROM jsonb_each_text(args) a));
END $$;

\pset null null
SELECT n, to_json(left(v, 40)), inqud_test.try(n, v) FROM (VALUES
  ('project', NULL), ('project', ''), ('project', 'shopp'), ('project', 'Shop'), ('project', E'sh\nop'), ('project', repeat('x', 100)),
  ('order_id', NULL), ('order_id', ''), ('order_id', repeat('x', 201)), ('order_id', repeat('é', 201)), ('order_id', E'a\tb'), ('order_id', E'a\x7f'),
  ('name', NULL), ('name', ''), ('name', repeat('x', 1001)), ('name', E'b\x07ell'),
  ('return_url', NULL), ('return_url', ''), ('return_url', 'shop.example'), ('return_url', '/orders/1'), ('return_url', 'ftp://shop.example'),
  ('return_url', 'javascript:alert(1)'), ('return_url', 'https://'), ('return_url', 'https:///path'), ('return_url', 'https://user:secret@shop.example/'),
  ('return_url', 'https://shop.example/a b'), ('return_url', 'https://shop.example/"'), ('return_url', 'https://shop.example\@evil.example'),
  ('return_url', 'https://shop.example:0'), ('return_url', 'https://shop.example:65536'), ('return_url', 'https://shop.example:x'), ('return_url', 'https://[::1'),
  ('return_url', 'https://shop.example/' || repeat('x', 1980)),
  ('amount', '0'), ('amount', '0.000'), ('amount', '-1'), ('amount', '-0.01'), ('amount', 'NaN'), ('amount', 'Infinity'), ('amount', '-Infinity'),
  ('amount', '0.0000000000000000001'), ('amount', '1.0000000000000000001'), ('amount', '100000000000000000000000000000000000000'), ('amount', '1e1000'),
  ('currency', NULL), ('currency', ''), ('currency', 'US D'), ('currency', 'USD;'), ('currency', '€'), ('currency', repeat('X', 21)),
  ('type', ''), ('type', 'fixed_price'), ('type', 'FREE'), ('type', 'FIXED_PRICE'),
  ('expires_at', '2001-01-01'), ('expires_at', 'infinity'), ('expires_at', '-infinity'), ('expires_at', '10000-01-01'), ('expires_at', '290000-01-01'),
  ('extra', 'null'), ('extra', '1'), ('extra', '"{}"'), ('extra', '[]'), ('extra', '[{"a": 1}]'),
  ('extra', '{"clientOrderId": "1"}'), ('extra', '{"expiresAt": null}'), ('extra', '{"fixedAmount": {}}'), ('extra', '{"name": "x"}'),
  ('extra', '{"returnUrl": "x"}'), ('extra', '{"a": 1, "type": "NO_PRICE"}')) AS t (n, v);

-- Arguments that do not go together.
SELECT inqud_test.said($$SELECT inqud_enqueue_checkout('shop', 'bad', 'n', 'https://shop.example', NULL, 'USD')$$);
SELECT inqud_test.said($$SELECT inqud_enqueue_checkout('shop', 'bad', 'n', 'https://shop.example', 5, 'USD', 'NO_PRICE')$$);
SELECT inqud_test.said($$SELECT inqud_enqueue_checkout('shop', 'bad', 'n', 'https://shop.example', 5, 'USD', 'SUGGESTED_FIXED_PRICE')$$);

-- Extras that no call could carry: nested too deeply, or too long.
BEGIN;
SELECT inqud_test.said($$SELECT inqud_enqueue_checkout('shop', 'bad', 'n', 'https://shop.example', extra => ('{"a":' || repeat('[', 100) || repeat(']', 100) || '}')::jsonb)$$) LIKE '22023 invalid value for "extra"%';
SELECT inqud_test.said($$SELECT inqud_enqueue_checkout('shop', 'bad', 'n', 'https://shop.example', extra => jsonb_build_object('a', repeat('x', 2000000)))$$) LIKE '22023 invalid value for "extra"%';
ROLLBACK;

-- A limit of names counts characters, and its server is named.
ALTER SERVER shop OPTIONS (ADD name_limit '5');
SELECT inqud_test.try('name', 'äöüßä');
SELECT inqud_test.try('name', '123456');
SELECT inqud_test.try('name', 'äöüßäö');
ALTER SERVER shop OPTIONS (DROP name_limit);

-- Good ones at the edge.  Amounts stay as they were written.
DELETE FROM inqud.queue WHERE checkout = (SELECT id FROM inqud.checkout WHERE order_id = 'bad');
DELETE FROM inqud.checkout WHERE order_id = 'bad';
CREATE FUNCTION inqud_test.edge(n text, v text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  answer text := inqud_test.try(n, v);
  c inqud.checkout;
BEGIN
  SELECT * INTO c FROM inqud.checkout k ORDER BY k.id DESC LIMIT 1;
  DELETE FROM inqud.queue WHERE checkout = c.id;
  DELETE FROM inqud.checkout WHERE id = c.id;
  RETURN concat_ws('|', answer, CASE n WHEN 'amount' THEN c.amount::text WHEN 'expires_at' THEN c.expires_at::text WHEN 'extra' THEN left(c.extra::text, 40)
    WHEN 'order_id' THEN length(c.order_id)::text WHEN 'name' THEN length(c.name)::text ELSE c.return_url END, c.currency, c.type);
END $$;
SELECT n, to_json(left(v, 40)), inqud_test.edge(n, v) FROM (VALUES
  ('amount', '99999999999999999999999999999999999999'), ('amount', '0.000000000000000001'), ('amount', '1.500000000000000000000000'), ('amount', '1e3'),
  ('amount', '12345678901234567890.123456789012345678'), ('currency', 'usd'), ('currency', 'A.b-c_9'), ('currency', repeat('X', 20)),
  ('order_id', repeat('é', 200)), ('order_id', ' '), ('order_id', '{id}''"\'), ('name', repeat('é', 1000)),
  ('return_url', 'HTTPS://shop.example'), ('return_url', 'http://localhost:8080/x?a=b#c'), ('return_url', 'https://[::1]:1/'),
  ('return_url', 'https://öbb.example/ä?ö=ü'), ('return_url', 'https://shop.example/?mail=a@b.example'),
  ('expires_at', '9999-12-31 23:59:59+00'), ('extra', '{}'), ('extra', '{"Type": 1, "Name": 2}'), ('extra', '{"amount": 1e100}')) AS t (n, v);

--
-- Rights and prerequisites of the neighbours, which find what is missing before anything is sent
--
SELECT replace(inqud_test.said($$SELECT inqud_create_checkout('shop', 'c1', 'n', 'https://shop.example')$$), current_user, 'me');
SELECT replace(inqud_test.said($$SELECT inqud_get_checkout('shop', 'CCO-1')$$), current_user, 'me');
SELECT inqud_test.said($$SELECT inqud_get_checkout('nowhere', 'CCO-1')$$);
SELECT inqud_test.said($$SELECT inqud_get_checkout('shop', '')$$);
SELECT inqud_test.said($$SELECT inqud_get_checkout('shop', E'CCO-1\r\nX: y')$$);
CREATE USER MAPPING FOR PUBLIC SERVER shop OPTIONS (token_id 'TKN-1');
SELECT inqud_test.said($$SELECT inqud_create_checkout('shop', 'c1', 'n', 'https://shop.example')$$);
ALTER USER MAPPING FOR PUBLIC SERVER shop OPTIONS (ADD token_secret 's');
SELECT inqud_test.said($$SELECT inqud_create_checkout('shop', 'c1', 'n', 'shop.example')$$);
SELECT inqud_test.said($$SELECT inqud_create_checkout('shop', 'c1', 'n', 'https://shop.example', 1)$$);
SELECT inqud_test.said($$SELECT inqud_create_checkout(NULL, 'c1', 'n', 'https://shop.example')$$);
DROP USER MAPPING FOR PUBLIC SERVER shop;
SELECT inqud_test.said($$SELECT inqud_get_checkout(NULL, 'CCO-1'), inqud_get_checkout('shop', NULL)$$);
SELECT count(*) FROM inqud.checkout WHERE order_id IN ('bad', 'c1');

-- Any server is not a project.
CREATE FOREIGN DATA WRAPPER inqud_test_other;
CREATE SERVER inqud_test_elsewhere FOREIGN DATA WRAPPER inqud_test_other OPTIONS (project_id 'CAP-1');
SELECT inqud_test.said($$SELECT inqud_enqueue_checkout('inqud_test_elsewhere', 'bad', 'n', 'https://shop.example')$$);
DROP FOREIGN DATA WRAPPER inqud_test_other CASCADE;

BEGIN TRANSACTION READ ONLY;
SELECT inqud_test.said($$SELECT inqud_enqueue_checkout('shop', 'bad', 'n', 'https://shop.example')$$);
SELECT inqud_test.said($$SELECT inqud_create_checkout('shop', 'bad', 'n', 'https://shop.example')$$);
SELECT f, left(inqud_test.said('SELECT ' || f), 5) FROM unnest(ARRAY['inqud_refresh(1)', 'inqud_retry(1)', 'inqud_cancel(1)', 'inqud_adopt()']) AS f;
ROLLBACK;

--
-- Again and again
--
SELECT count(*) FROM inqud.checkout;
SELECT (inqud_enqueue_checkout('shop', '1002', 'Order 1002', 'https://shop.example/orders/1002', 49.9, 'USD', 'FIXED_PRICE')).id = id FROM inqud.checkout WHERE order_id = '1002';
-- Another expiry or other extras are no other order.
SELECT (inqud_enqueue_checkout('shop', '1002', 'Order 1002', 'https://shop.example/orders/1002', 49.9, 'USD', expires_at => '2999-01-01', extra => '{"a": 1}')).id = id
FROM inqud.checkout WHERE order_id = '1002';
SELECT inqud_test.said($$SELECT inqud_enqueue_checkout('shop', '1002', 'Order 1002', 'https://shop.example/orders/1002', 49.91, 'USD')$$);
SELECT inqud_test.said($$SELECT inqud_enqueue_checkout('shop', '1002', 'Order 1002', 'https://shop.example/orders/1002', 49.90, 'EUR')$$);
SELECT inqud_test.said($$SELECT inqud_enqueue_checkout('shop', '1002', 'Order 1002', 'https://shop.example/orders/1002')$$);
SELECT inqud_test.said($$SELECT inqud_enqueue_checkout('shop', '1001', 'Order 1001', 'https://shop.example/orders/1001', type => 'SUGGESTED_FIXED_PRICE')$$);
SELECT inqud_test.said($$SELECT inqud_enqueue_checkout('shop', '1001', 'order 1001', 'https://shop.example/orders/1001')$$);
SELECT inqud_test.said($$SELECT inqud_enqueue_checkout('shop', '1001', 'Order 1001', 'https://shop.example/orders/1001/')$$);
SELECT inqud_test.said($$SELECT inqud_enqueue_checkout('shop', '1001', 'x', 'https://x.example', 1, 'EUR')$$);
SELECT count(*) FROM inqud.checkout;
SELECT inqud_test.look(o) FROM unnest(ARRAY['1001', '1002']) AS o;

-- The same number in another project is another order.
CREATE SERVER shop2 FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-2');
SELECT inqud_test.said_of(inqud_enqueue_checkout('shop2', '1001', 'Another', 'https://other.example'));

-- Many in one statement, some of them twice.
SELECT count(DISTINCT (c).id), count(*) FROM (SELECT inqud_enqueue_checkout('shop', 'many-' || i % 10, 'n', 'https://shop.example') AS c FROM generate_series(1, 25) i OFFSET 0) s;

--
-- What is rolled back was never queued
--
BEGIN;
SELECT (inqud_enqueue_checkout('shop', 'undone', 'n', 'https://shop.example')).state;
ROLLBACK;
BEGIN;
SAVEPOINT one;
SELECT (inqud_enqueue_checkout('shop', 'undone', 'n', 'https://shop.example')).state;
ROLLBACK TO one;
SELECT (inqud_enqueue_checkout('shop', 'done', 'n', 'https://shop.example')).state;
SAVEPOINT two;
SELECT (inqud_enqueue_checkout('shop', 'done', 'n', 'https://shop.example')).state;
SELECT (inqud_enqueue_checkout('shop', 'undone', 'n', 'https://shop.example')).state;
RELEASE two;
SAVEPOINT three;
SELECT (inqud_enqueue_checkout('shop', 'done too', 'n', 'https://shop.example')).state;
RELEASE three;
ROLLBACK TO one;
SELECT (inqud_enqueue_checkout('shop', 'done', 'n', 'https://shop.example')).state;
COMMIT;
DO $$
BEGIN
  PERFORM inqud_enqueue_checkout('shop', 'undone', 'n', 'https://shop.example');
  RAISE EXCEPTION 'no';
EXCEPTION WHEN OTHERS THEN
  PERFORM inqud_enqueue_checkout('shop', 'done again', 'n', 'https://shop.example');
END $$;
SELECT c.order_id, q.kind FROM inqud.checkout c LEFT JOIN inqud.queue q ON q.checkout = c.id WHERE c.order_id LIKE '%done%' ORDER BY c.id;
SELECT count(*) AS queue_without_checkout FROM inqud.queue q WHERE NOT EXISTS (SELECT FROM inqud.checkout c WHERE c.id = q.checkout);

--
-- What came to nothing is replaced, and stays on record
--
TRUNCATE inqud.checkout, inqud.queue, inqud.event RESTART IDENTITY;
CREATE FUNCTION inqud_test.enqueue(wanted text, amount numeric DEFAULT NULL) RETURNS text
LANGUAGE sql AS $$
  SELECT concat_ws(' ', '#' || c.id, c.state, c.status) FROM inqud_enqueue_checkout('shop', wanted, 'n', 'https://shop.example', amount, CASE WHEN amount > 0 THEN 'USD' END) AS c
$$;

-- Expired; the new one may differ.
SELECT inqud_test.enqueue('expired', 5);
SELECT inqud_test.answered(1, '{}');
SELECT inqud_test.enqueue('expired', 5);
SELECT inqud_test.read(1, '{"status": "EXPIRED"}');
SELECT inqud_test.enqueue('expired', 6);
SELECT inqud_test.enqueue('expired', 6);
SELECT inqud_test.look('expired');

-- Failed.
SELECT inqud_test.enqueue('failed');
SELECT inqud_test.answered(id, '{"outcome": "refused", "http_status": 400, "message": "HTTP 400: no"}') FROM inqud.checkout WHERE order_id = 'failed';
SELECT inqud_test.enqueue('failed', 1);
SELECT inqud_test.look('failed');

-- Canceled before it was sent.
SELECT inqud_test.enqueue('canceled');
SELECT (inqud_cancel(id)).state FROM inqud.checkout WHERE order_id = 'canceled';
SELECT inqud_test.enqueue('canceled');
SELECT inqud_test.look('canceled');

-- Canceled when open: both are followed.
SELECT inqud_test.enqueue('canceled open');
SELECT inqud_test.answered(id, '{}') FROM inqud.checkout WHERE order_id = 'canceled open';
SELECT (inqud_cancel(id)).state FROM inqud.checkout WHERE order_id = 'canceled open';
SELECT inqud_test.enqueue('canceled open');
SELECT inqud_test.look('canceled open');

-- Words that are not known are neither paid nor over.
SELECT inqud_test.enqueue('odd');
SELECT inqud_test.answered(id, '{"status": "HALTED"}') FROM inqud.checkout WHERE order_id = 'odd';
SELECT inqud_test.enqueue('odd');

-- Paid: this one and no other, for the same order only.
SELECT inqud_test.enqueue('paid', 5);
SELECT inqud_test.answered(id, '{"status": "SUCCESS"}') FROM inqud.checkout WHERE order_id = 'paid';
SELECT inqud_test.enqueue('paid', 5);
SELECT inqud_test.said($$SELECT inqud_test.enqueue('paid', 6)$$);
SELECT inqud_test.said($$SELECT inqud_cancel(id) FROM inqud.checkout WHERE order_id = 'paid'$$);

-- Conflict: the same, until it is canceled.
SELECT inqud_test.enqueue('conflict', 5);
SELECT inqud_test.answered(id, '{"status": "CONFLICT", "reason": "UNDERPAID"}') FROM inqud.checkout WHERE order_id = 'conflict';
SELECT inqud_test.enqueue('conflict', 5);
SELECT inqud_test.said($$SELECT inqud_test.enqueue('conflict')$$);
SELECT (inqud_cancel(id)).state FROM inqud.checkout WHERE order_id = 'conflict';
SELECT inqud_test.enqueue('conflict', 7);
SELECT inqud_test.look('conflict');

-- Late money on the replaced one: it is the order's, although not current.
SELECT inqud_test.enqueue('late', 5);
SELECT inqud_test.answered(id, '{"status": "EXPIRED"}') FROM inqud.checkout WHERE order_id = 'late';
SELECT inqud_test.enqueue('late', 5);
SELECT inqud_test.read(min(id), '{"status": "SUCCESS"}') FROM inqud.checkout WHERE order_id = 'late';
SELECT inqud_test.enqueue('late', 5);
SELECT inqud_test.said($$SELECT inqud_test.enqueue('late', 6)$$);
SELECT inqud_test.look('late');

-- The same when the replacing one is open already: the paid one counts.
SELECT inqud_test.enqueue('late open', 5);
SELECT inqud_test.answered(id, '{"status": "EXPIRED"}') FROM inqud.checkout WHERE order_id = 'late open';
SELECT inqud_test.enqueue('late open', 5);
SELECT inqud_test.answered(max(id), '{}') FROM inqud.checkout WHERE order_id = 'late open';
SELECT inqud_test.read(min(id), '{"status": "SUCCESS"}') FROM inqud.checkout WHERE order_id = 'late open';
SELECT inqud_test.enqueue('late open', 5);

-- A late conflict does not take the order away from the one that replaced it.
SELECT inqud_test.enqueue('late conflict', 5);
SELECT inqud_test.answered(id, '{"status": "EXPIRED"}') FROM inqud.checkout WHERE order_id = 'late conflict';
SELECT inqud_test.enqueue('late conflict', 5);
SELECT inqud_test.read(min(id), '{"status": "CONFLICT"}') FROM inqud.checkout WHERE order_id = 'late conflict';
SELECT inqud_test.enqueue('late conflict', 5);
-- ... unless that came to nothing, too.
SELECT inqud_test.answered(max(id), '{"outcome": "refused", "message": "no"}') FROM inqud.checkout WHERE order_id = 'late conflict';
SELECT inqud_test.enqueue('late conflict', 5);
SELECT inqud_test.look('late conflict');

-- One current row an order, whoever writes.
SELECT order_id, count(*) FILTER (WHERE current), count(*) FROM inqud.checkout GROUP BY order_id ORDER BY order_id COLLATE "C";
SELECT inqud_test.said($$INSERT INTO inqud.checkout (project, project_id, order_id, owner) SELECT project, project_id, order_id, owner FROM inqud.checkout WHERE order_id = 'odd'$$);
SELECT inqud_test.said($$INSERT INTO inqud.checkout (project, project_id, order_id, owner, current, checkout_id) VALUES ('shop', 'CAP-1', 'x', 'x', false, 'CCO-1')$$);

-- The project's id is that of the time of queueing.
ALTER SERVER shop OPTIONS (SET project_id 'CAP-3');
SELECT inqud_test.said_of(inqud_enqueue_checkout('shop', 'moved', 'n', 'https://shop.example'));
SELECT inqud_test.said_of(inqud_enqueue_checkout('shop', 'odd', 'n', 'https://shop.example'));

DROP SCHEMA inqud_test CASCADE;
SET client_min_messages = error;
DROP EXTENSION inqud CASCADE;
