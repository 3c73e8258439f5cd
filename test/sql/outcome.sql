--
-- What the outcome of a create means for its row: every word of it, answers
-- that do not fit, cancellation, lost leases and a worker that ended.
--
\getenv testdir PG_ABS_SRCDIR
\set common :testdir '/sql/common.psql'
\set ECHO none
\i :common
\set ECHO all

-- An order, queued and claimed as "lease", its checkout's id returned.
CREATE FUNCTION inqud_test.sent(wanted text, lease bigint, amount numeric DEFAULT NULL, currency text DEFAULT 'USD') RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  id bigint := (inqud_enqueue_checkout('shop', wanted, 'n', 'https://shop.example', amount, CASE WHEN amount > 0 THEN currency END)).id;
BEGIN
  IF (inqud._take(id, lease)).checkout IS NULL THEN
    RAISE 'could not take %', id;
  END IF;
  RETURN id;
END $$;
CREATE FUNCTION inqud_test.outcome(wanted text, lease bigint, word text, members jsonb DEFAULT '{}', by_worker boolean DEFAULT true) RETURNS text
LANGUAGE sql AS $$
  SELECT inqud_test.apply(jsonb_build_object('checkout', (SELECT min(k.id) FROM inqud.checkout k WHERE k.order_id = wanted AND k.current), 'kind', 'create', 'lease', lease,
    'outcome', word, 'message', CASE WHEN word <> 'ok' THEN 'told: ' || word END, 'retry_in', '100 s', 'retry_for', '250 s') || members, by_worker)
$$;

--
-- Answered
--
-- With no more than an id and a status.
SELECT inqud_test.sent('short', 7);
SELECT inqud_test.outcome('short', 7, 'ok', '{"id": "CCO-S", "status": "NEW", "http_status": 200}');
SELECT inqud_test.said_of(c) FROM inqud.checkout c WHERE order_id = 'short';
SELECT inqud_test.look('short');

-- With all there is.
SELECT inqud_test.sent('full', 7, 49.90);
SELECT inqud_test.outcome('full', 7, 'ok', '{"id": "CCO-F", "status": "NEW", "http_status": 201, "project_id": "CAP-1", "order_id": "full", "name": "n", "type": "FIXED_PRICE",
  "return_url": "https://shop.example", "acquiring_url": "https://pay.example/F", "fixed_amount": 49.9, "fixed_currency": "USD", "created_at": "2998-01-01 00:00+00",
  "updated_at": "2998-01-01 00:00:01+00", "expires_at": "2998-01-01 01:00+00", "sent_expires_at": "2998-01-01 02:00+00", "reply": {"more": [1]}}');
SELECT inqud_test.said_of(c), created_at = updated_at FROM inqud.checkout c WHERE order_id = 'full';
SELECT inqud_test.look('full');

-- The expiry that was sent stands in where the answer has none.
SELECT inqud_test.sent('sent', 7);
SELECT inqud_test.outcome('sent', 7, 'ok', '{"id": "CCO-E", "status": "NEW", "sent_expires_at": "2998-01-01 02:00+00"}');
SELECT expires_at = '2998-01-01 02:00+00' FROM inqud.checkout WHERE order_id = 'sent';
SELECT inqud_test.look('sent');

-- With any status at once.
SELECT s, inqud_test.sent('at once ' || s, 7) > 0, inqud_test.outcome('at once ' || s, 7, 'ok', jsonb_build_object('id', 'CCO-' || s, 'status', s) || m)
FROM (VALUES ('REQUEST_CREATED', '{}'::jsonb), ('PAYMENT_DETECTED', '{}'), ('SUCCESS', '{}'), ('CONFLICT', '{"reason": "UNDERPAID"}'), ('EXPIRED', '{}'), ('WONDERFUL', '{}')) AS t (s, m);
SELECT inqud_test.look('at once ' || s) FROM unnest(ARRAY['REQUEST_CREATED', 'PAYMENT_DETECTED', 'SUCCESS', 'CONFLICT', 'EXPIRED', 'WONDERFUL']) AS s;
SELECT inqud_test.sent('expired late', 7), inqud_test.outcome('expired late', 7, 'ok', '{"id": "CCO-EL", "status": "EXPIRED", "has_request": true}');

-- By a session: the worker is to look later, when the next read would be.
SELECT inqud_test.sent('session', 7), inqud_test.outcome('session', 7, 'ok', '{"id": "CCO-I", "status": "NEW", "read_in": "120 s"}', false);
SELECT inqud_test.sent('session paid', 7), inqud_test.outcome('session paid', 7, 'ok', '{"id": "CCO-IP", "status": "SUCCESS", "read_in": "120 s"}', false);
SELECT inqud_test.look('session' || s) FROM unnest(ARRAY['', ' paid']) AS s;

-- What could not be stored is noted, and keeps nothing else from being recorded.
SELECT inqud_test.sent('lost', 7), inqud_test.outcome('lost', 7, 'ok', '{"id": "CCO-L", "status": "SUCCESS", "reply": {"name": [], "request": {"txHash": []}}, "http_status": 200}');
SELECT inqud_test.look('lost');

--
-- Not answered, or refused
--
SELECT w, inqud_test.sent(w, 7) > 0, inqud_test.outcome(w, 7, w, m)
FROM (VALUES ('refused', '{"http_status": 422}'::jsonb), ('auth', '{"http_status": 401}'), ('route', '{"http_status": 404}'), ('throttled', '{"http_status": 429}'),
  ('unreachable', '{"http_status": 0}'), ('unknown', '{"http_status": 502}'), ('bad_reply', '{"http_status": 200}'), ('not_found', '{"http_status": 404}'),
  ('held', '{"message": ""}'), ('blocked', '{}')) AS t (w, m);
SELECT inqud_test.look(w) FROM unnest(ARRAY['refused', 'auth', 'route', 'throttled', 'unreachable', 'unknown', 'bad_reply', 'not_found', 'held', 'blocked']) AS w;

-- The same again: what was counted goes on counting until its time is over, what was not is not even noted twice.
SELECT w, (inqud._take(id, 8)).attempts, inqud_test.outcome(w, 8, w) FROM inqud.checkout JOIN unnest(ARRAY['auth', 'route', 'throttled', 'unreachable', 'unknown', 'bad_reply', 'not_found', 'held', 'blocked']) AS w ON order_id = w ORDER BY id;
SELECT inqud_test.look(w) FROM unnest(ARRAY['auth', 'route', 'throttled', 'unreachable', 'unknown', 'bad_reply', 'not_found', 'held', 'blocked']) AS w;
SELECT w, (inqud._take(id, 9)).attempts, inqud_test.outcome(w, 9, w) FROM inqud.checkout JOIN unnest(ARRAY['auth', 'throttled', 'unreachable', 'unknown', 'bad_reply', 'not_found', 'held', 'blocked']) AS w ON order_id = w ORDER BY id;
SELECT inqud_test.look(w) FROM unnest(ARRAY['auth', 'throttled', 'unreachable', 'unknown', 'bad_reply', 'not_found', 'held', 'blocked']) AS w;

-- Time in which the project was paused does not count; another message is news.
SELECT (inqud._take(id, 10)).attempts, inqud_test.outcome('auth', 10, 'auth', '{"retry_in": "1 day", "message": "told: something else"}') FROM inqud.checkout WHERE order_id = 'auth';
SELECT inqud_test.look('auth');

-- retry_for 0: one attempt.
SELECT inqud_test.sent('once', 7), inqud_test.outcome('once', 7, 'unknown', '{"retry_for": "0 s"}');
SELECT inqud_test.look('once');

-- After all this it succeeds, and nothing of it is left but the history.
SELECT (inqud._take(id, 11)).attempts, inqud_test.outcome('auth', 11, 'ok', '{"id": "CCO-A", "status": "NEW"}') FROM inqud.checkout WHERE order_id = 'auth';
SELECT inqud_test.look('auth');

-- A failed one is sent again when somebody says so, from the beginning.
SELECT (inqud_retry(id)).state FROM inqud.checkout WHERE order_id = 'unknown';
SELECT inqud_test.look('unknown');
SELECT (inqud._take(id, 12)).attempts, inqud_test.outcome('unknown', 12, 'ok', '{"id": "CCO-U", "status": "NEW"}') FROM inqud.checkout WHERE order_id = 'unknown';
SELECT inqud_test.look('unknown');

--
-- Answers that are not of this order
--
SELECT m, inqud_test.sent('misfit ' || n, 7, 5) > 0, inqud_test.outcome('misfit ' || n, 7, 'ok', jsonb_build_object('id', 'CCO-M' || n, 'status', 'NEW', 'acquiring_url', 'https://pay.example/') || m)
FROM (VALUES (1, '{"order_id": "misfit 2"}'::jsonb), (2, '{"project_id": "CAP-2"}'), (3, '{"type": "NO_PRICE"}'), (4, '{"fixed_amount": 5.01, "fixed_currency": "USD"}'),
  (5, '{"fixed_amount": 5, "fixed_currency": "EUR"}'), (6, '{"fixed_currency": "EUR"}'), (7, '{"fixed_amount": 50}'), (8, '{"id": "CCO-F"}')) AS t (n, m);
SELECT inqud_test.look('misfit ' || n) FROM generate_series(1, 8) AS n;
SELECT count(*) FROM inqud.checkout WHERE order_id LIKE 'misfit%' AND (checkout_id IS NOT NULL OR acquiring_url IS NOT NULL OR status IS NOT NULL);
-- Fitting ones: written another way, or left out.
SELECT m, inqud_test.sent('fit ' || n, 7, 5) > 0, inqud_test.outcome('fit ' || n, 7, 'ok', jsonb_build_object('id', 'CCO-T' || n, 'status', 'NEW') || m)
FROM (VALUES (1, '{"fixed_amount": 5.000, "fixed_currency": "USD"}'::jsonb), (2, '{"name": "other", "return_url": "https://other.example"}'), (3, '{"fixed_currency": "USD"}')) AS t (n, m);
SELECT name, return_url FROM inqud.checkout WHERE order_id = 'fit 2';
-- A price where there was none.
SELECT inqud_test.sent('misfit 9', 7), inqud_test.outcome('misfit 9', 7, 'ok', '{"id": "CCO-M9", "status": "NEW", "fixed_amount": 1, "fixed_currency": "USD"}');
-- Another project may have the same id.
CREATE SERVER shop2 FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-2');
SELECT (inqud._take((inqud_enqueue_checkout('shop2', 'other', 'n', 'https://shop.example')).id, 7)).kind, inqud_test.outcome('other', 7, 'ok', '{"id": "CCO-F", "status": "NEW"}');
SELECT inqud_test.look('other');

--
-- Canceled while it was being sent
--
DO $$
DECLARE
  w text;
BEGIN
  FOREACH w IN ARRAY ARRAY['ok', 'refused', 'unknown', 'throttled', 'held', 'ok paid'] LOOP
    PERFORM inqud_cancel(inqud_test.sent('free ' || w, 7));
  END LOOP;
END $$;
SELECT inqud_test.look('free ok');
-- The order may have another one meanwhile.
SELECT (inqud_enqueue_checkout('shop', 'free ok', 'n', 'https://shop.example', 1, 'USD')).state;
SELECT c.order_id, inqud_test.apply(jsonb_build_object('checkout', c.id, 'kind', 'create', 'lease', 7, 'outcome', split_part(c.order_id, ' ', 2), 'retry_in', '100 s', 'retry_for', '1 h') || m)
FROM inqud.checkout c JOIN (VALUES ('ok', '{"id": "CCO-O", "status": "NEW", "acquiring_url": "https://pay.example/O"}'::jsonb), ('refused', '{"message": "told: refused"}'), ('unknown', '{"message": "told: unknown"}'),
  ('throttled', '{"message": "told: throttled"}'), ('held', '{"message": ""}'), ('ok paid', '{"id": "CCO-OP", "status": "SUCCESS"}')) AS t (w, m) ON c.order_id = 'free ' || w
WHERE c.canceled_at IS NOT NULL ORDER BY c.id;
SELECT inqud_test.look('free ' || w) FROM unnest(ARRAY['ok', 'refused', 'unknown', 'throttled', 'ok paid']) AS w;
SELECT state, error FROM inqud.checkout WHERE order_id = 'free held';

--
-- The lease was lost: somebody else sends it
--
SELECT inqud_test.sent('lost lease', 7);
SELECT inqud_test.outcome('lost lease', 8, 'refused');
SELECT inqud_test.outcome('lost lease', 8, 'unknown');
SELECT inqud_test.look('lost lease');
-- Its late answer is as good as any; the other one's then is a checkout of its own.
SELECT inqud_test.outcome('lost lease', 8, 'ok', '{"id": "CCO-LL1", "status": "NEW", "acquiring_url": "https://pay.example/LL1", "sent_expires_at": "2998-01-01 00:00+00"}');
SELECT inqud_test.outcome('lost lease', 7, 'ok', '{"id": "CCO-LL2", "status": "NEW", "acquiring_url": "https://pay.example/LL2", "sent_expires_at": "2998-01-01 00:00+00", "order_id": "lost lease"}');
SELECT inqud_test.look('lost lease');
SELECT current, checkout_id, acquiring_url, expires_at IS NOT NULL FROM inqud.checkout WHERE order_id = 'lost lease' ORDER BY id;
-- The same answer once more, and a late failure, mean nothing any more.
SELECT inqud_test.outcome('lost lease', 7, 'ok', '{"id": "CCO-LL2", "status": "NEW"}');
SELECT inqud_test.outcome('lost lease', 7, 'ok', '{"id": "CCO-LL1", "status": "NEW"}');
SELECT inqud_test.outcome('lost lease', 7, 'refused');
SELECT inqud_test.look('lost lease');

-- A late answer of another order, or with another amount, is not this order's money.
SELECT inqud_test.sent('late misfit', 7, 5);
SELECT inqud_test.outcome('late misfit', 8, 'ok', '{"id": "CCO-LM1", "status": "SUCCESS", "order_id": "somebody else"}') IS NOT NULL;
SELECT inqud_test.outcome('late misfit', 8, 'ok', '{"id": "CCO-LM2", "status": "SUCCESS", "fixed_amount": 0.01, "fixed_currency": "USD"}') IS NOT NULL;
SELECT current, state, status, checkout_id FROM inqud.checkout WHERE order_id = 'late misfit' ORDER BY id;
SELECT (inqud_enqueue_checkout('shop', 'late misfit', 'n', 'https://shop.example', 5, 'USD')).state;

-- A late answer to one that has failed or is canceled.
SELECT inqud_test.sent('late failed', 7), inqud_test.outcome('late failed', 7, 'refused');
SELECT inqud_test.outcome('late failed', 6, 'ok', '{"id": "CCO-LF", "status": "NEW"}');
SELECT inqud_test.look('late failed');

-- One that is not there at all.
SELECT inqud_test.apply('{"checkout": 99999, "kind": "create", "lease": 1, "outcome": "ok", "id": "CCO-X", "status": "NEW"}');

--
-- The worker ended
--
DELETE FROM inqud.queue;
SELECT inqud_test.sent('crash', 7), inqud_test.sent('crash canceled', 7), (inqud_enqueue_checkout('shop', 'not sent', 'n', 'https://shop.example')).state;
SELECT (inqud_cancel(id)).state FROM inqud.checkout WHERE order_id = 'crash canceled';
SELECT inqud._release_leases(inqud._home() + 1, 0);
SELECT inqud._release_leases(inqud._home(), 0);
SELECT inqud._release_leases(inqud._home(), 0);
SELECT inqud_test.look(o) FROM unnest(ARRAY['crash', 'not sent']) AS o;
-- What was canceled meanwhile need not be sent again.
SELECT c.order_id FROM inqud.checkout c, inqud._claim(inqud._home(), inqud_test.server('shop'), 10, 8) t WHERE t.checkout = c.id ORDER BY c.id;
SELECT c.state, q.kind FROM inqud.checkout c LEFT JOIN inqud.queue q ON q.checkout = c.id WHERE c.order_id = 'crash canceled';
-- What was under way is a suspect, and taken by itself only.
SELECT s.checkout = (SELECT id FROM inqud.checkout WHERE order_id = 'crash'), inqud_test.name(s.server_id), s.due_in <= 0 AS due FROM inqud._suspects(inqud._home()) s;
SELECT inqud_test.outcome('not sent', 8, 'held');
SELECT count(*) FROM inqud._claim_alone((SELECT id FROM inqud.checkout WHERE order_id = 'not sent'), 8);
-- Again and again: later and later, and not for ever.
CREATE TABLE inqud_test.waits (n int, due_in float8);
DO $$
BEGIN
  FOR i IN 2..19 LOOP
    PERFORM inqud._claim_alone(id, 8) FROM inqud.checkout WHERE order_id = 'crash';
    PERFORM inqud._release_leases(inqud._home(), 0);
    INSERT INTO inqud_test.waits SELECT i, round(s.due_in / 4) * 4 FROM inqud._suspects(inqud._home()) s;
  END LOOP;
END $$;
SELECT string_agg(due_in::text, ' ' ORDER BY n) AS waits FROM inqud_test.waits;
SELECT error, fault FROM inqud.checkout WHERE order_id = 'crash';
SELECT trouble, detail FROM inqud.trouble WHERE order_id = 'crash';
INSERT INTO inqud_test.shown SELECT id FROM inqud.event;
SELECT inqud_test.look('crash');
SELECT count(*) FROM inqud._claim_alone((SELECT id FROM inqud.checkout WHERE order_id = 'crash'), 8);
SELECT inqud._release_leases(inqud._home(), 0);
SELECT inqud_test.look('crash');
-- What was claimed and not begun is no suspect, if it is known what was.
SELECT inqud_test.sent('begun', 7), inqud_test.sent('not begun', 7), inqud_test.sent('of another', 6);
SELECT inqud._release_leases(inqud._home(), 0, 7, ARRAY(SELECT id FROM inqud.checkout WHERE order_id = 'begun'));
SELECT c.order_id, q.crashes FROM inqud.queue q JOIN inqud.checkout c ON c.id = q.checkout WHERE c.order_id IN ('begun', 'not begun', 'of another') ORDER BY c.id;
-- One that lives through it with an answer is none any more; without one it stays.
SELECT count(*) FROM inqud.checkout c, inqud._claim_alone(c.id, 8) WHERE c.order_id IN ('begun', 'of another');
SELECT c.order_id, inqud._tried(c.id, c.order_id = 'begun') FROM inqud.checkout c WHERE c.order_id IN ('begun', 'of another') ORDER BY c.id;
SELECT c.order_id, q.crashes FROM inqud.queue q JOIN inqud.checkout c ON c.id = q.checkout WHERE c.order_id IN ('begun', 'of another') ORDER BY c.id;
-- A read, by the schedule and asked for, is one, too.
SELECT inqud_test.sent('poison read', 7), inqud_test.outcome('poison read', 7, 'ok', '{"id": "CCO-PR", "status": "NEW", "acquiring_url": "https://pay.example/PR"}');
SELECT id AS read FROM inqud.checkout WHERE order_id = 'poison read' \gset
SELECT inqud._release_leases(inqud._home(), 0, 7, ARRAY[:read]);
SELECT count(*) FROM inqud._followed(inqud._home()) f WHERE f.checkout = :read;
SELECT (inqud_refresh(:read)).state;
SELECT count(*) FROM inqud._asked(inqud._home(), inqud_test.server('shop'), 100) a WHERE a.checkout = :read;
SELECT count(*) FROM inqud._due(inqud._home()) d WHERE d.kind = 'read';
SELECT kind, lease FROM inqud._claim_alone(:read, 8);
SELECT due_in > 3 AS later FROM inqud._suspects(inqud._home()) s WHERE s.checkout = :read;
SELECT trouble, detail FROM inqud.trouble WHERE order_id = 'poison read';
SELECT inqud._tried(:read, true), inqud._is_suspect(:read);
SELECT inqud._tried(-1, true), inqud._tried(999999, true);
-- An answer counts from the start.
SELECT inqud_test.sent('crash once', 7), inqud._release_leases(inqud._home(), 0);
SELECT (inqud._take(id, 8)).attempts, inqud_test.outcome('crash once', 8, 'unknown') FROM inqud.checkout WHERE order_id = 'crash once';
SELECT inqud_test.look('crash once');

--
-- A currency is compared whole and whatever the case of its letters, an amount to the last digit, by itself and many together
--
CREATE TABLE inqud_test.currency (n int, ordered text, answered text, amount numeric);
INSERT INTO inqud_test.currency VALUES (1, 'USDT', 'USDC', 5), (2, 'USDT', 'USD', 5), (3, 'USD', 'USDT', 5), (4, 'USDT', 'usdt', 5), (5, 'usdt', 'USDT', 5), (6, 'USDT', 'USDT', 5),
  (7, 'USD', 'USD', 4.99), (8, 'USD', 'USD', 5.000000000000000001), (9, 'USD', 'USD', 5.00);
SELECT n, inqud_test.sent('alone ' || n, 7, 5, ordered) > 0,
  inqud_test.outcome('alone ' || n, 7, 'ok', jsonb_build_object('id', 'CCO-A' || n, 'status', 'NEW', 'fixed_amount', amount, 'fixed_currency', answered))
FROM inqud_test.currency;
SELECT n, inqud_test.sent('together ' || n, 7, 5, ordered) > 0 FROM inqud_test.currency;
SELECT c.n, f.result
FROM inqud_test.currency c JOIN inqud.checkout k ON k.order_id = 'together ' || c.n
  JOIN inqud._record((SELECT jsonb_agg(jsonb_build_object('checkout', k.id, 'kind', 'create', 'lease', 7,
      'reply', jsonb_build_object('id', 'CCO-T' || c.n || 'G', 'status', 'NEW', 'fixedAmount', jsonb_build_object('amount', c.amount, 'currency', c.answered))) ORDER BY c.n)
    FROM inqud_test.currency c JOIN inqud.checkout k ON k.order_id = 'together ' || c.n), true) f ON f.checkout = k.id
ORDER BY c.n;
SELECT c.n, c.ordered, c.answered, c.amount, k.state, k.error FROM inqud_test.currency c JOIN inqud.checkout k ON k.order_id IN ('alone ' || c.n, 'together ' || c.n) ORDER BY c.n, k.id;

-- retry_for is used up to its end, and not beyond.
SELECT inqud_test.sent('to the end', 7), inqud_test.outcome('to the end', 7, 'unknown', '{"retry_for": "100 s"}');
SELECT state, error FROM inqud.checkout WHERE order_id = 'to the end';
SELECT (inqud._take(id, 8)).attempts, inqud_test.outcome('to the end', 8, 'unknown', '{"retry_in": "1 ms", "retry_for": "100 s"}') FROM inqud.checkout WHERE order_id = 'to the end';
SELECT state, error FROM inqud.checkout WHERE order_id = 'to the end';

-- The same words for another fault: of a create that was not sent, then of one that may have arrived; and of a read.
SELECT inqud_test.sent('timed out', 7), inqud_test.outcome('timed out', 7, 'unreachable', '{"message": "timed out"}');
SELECT error, fault FROM inqud.checkout WHERE order_id = 'timed out';
SELECT (inqud._take(id, 8)).attempts, inqud_test.outcome('timed out', 8, 'unknown', '{"message": "timed out"}') FROM inqud.checkout WHERE order_id = 'timed out';
SELECT error, fault FROM inqud.checkout WHERE order_id = 'timed out';
SELECT (inqud._take(id, 9)).attempts, inqud_test.outcome('timed out', 9, 'ok', '{"id": "CCO-TIMED", "status": "NEW"}') FROM inqud.checkout WHERE order_id = 'timed out';
SELECT f, inqud_test.read(id, jsonb_build_object('outcome', f, 'message', 'timed out')) FROM inqud.checkout, unnest(ARRAY['unreachable', 'unknown']) f WHERE order_id = 'timed out';
SELECT error, fault FROM inqud.checkout WHERE order_id = 'timed out';

DROP SCHEMA inqud_test CASCADE;
SET client_min_messages = error;
DROP EXTENSION inqud CASCADE;
