--
-- The queue: what is claimed and in which order, what refresh, retry, cancel,
-- wait and adopt do to it, and the calls of on_status.
--
\getenv testdir PG_ABS_SRCDIR
\set common :testdir '/sql/common.psql'
\set ECHO none
\i :common
\set ECHO all

CREATE SERVER shop2 FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-2');
SELECT inqud._home() AS home \gset
CREATE FUNCTION inqud_test.add(wanted text, server text DEFAULT 'shop') RETURNS bigint
LANGUAGE sql AS $$
  SELECT (inqud_enqueue_checkout(server, wanted, 'n', 'https://shop.example', 5, 'USD', expires_at => '2998-01-01 00:00+00', extra => '{"a": 1}')).id
$$;
CREATE FUNCTION inqud_test.claimed(server text, n int, lease bigint, since timestamptz DEFAULT '-infinity') RETURNS SETOF text
LANGUAGE sql AS $$
  SELECT t.order_id FROM inqud._claim(inqud._home(), inqud_test.server(server), n, lease, since) t
$$;

--
-- Claims
--
SELECT inqud_test.add('one');
SELECT to_jsonb(t) - ARRAY['owner', 'owner_id', 'due_at'] FROM inqud._claim(:home, inqud_test.server('shop'), 10, 7) t;
SELECT inqud_test.look('one');
-- The oldest first, as many as are asked for, each once.
SELECT inqud_test.add('order ' || i) FROM generate_series(1, 5) i;
UPDATE inqud.queue q SET due_at = now() - (6 - right(c.order_id, 1)::int % 3) * interval '1 min' - right(c.order_id, 1)::int * interval '1 s' FROM inqud.checkout c WHERE c.id = q.checkout AND c.order_id LIKE 'order%';
SELECT c.order_id FROM inqud.queue q JOIN inqud.checkout c ON c.id = q.checkout WHERE c.order_id LIKE 'order%' ORDER BY q.due_at;
SELECT inqud_test.claimed('shop', 2, 7);
SELECT inqud_test.claimed('shop', 0, 7);
SELECT inqud_test.claimed('shop', 100, 8);
SELECT inqud_test.claimed('shop', 100, 9);
-- Not yet due, due before the bound, of another project, of another home.
SELECT inqud_test.add(o) FROM unnest(ARRAY['future', 'past', 'foreign']) AS o;
SELECT inqud_test.add('elsewhere', 'shop2');
UPDATE inqud.queue SET due_at = now() + interval '1 hour' WHERE checkout = (SELECT id FROM inqud.checkout WHERE order_id = 'future');
UPDATE inqud.queue SET due_at = now() - interval '1 hour' WHERE checkout = (SELECT id FROM inqud.checkout WHERE order_id = 'past');
UPDATE inqud.queue SET home = :home + 1 WHERE checkout = (SELECT id FROM inqud.checkout WHERE order_id = 'foreign');
SELECT inqud_test.claimed('shop', 100, 7, now() - interval '1 min');
SELECT inqud_test.claimed('shop', 100, 7);
SELECT inqud_test.claimed('shop2', 100, 7);
SELECT inqud_test.claimed('nowhere', 100, 7);
SELECT t.order_id FROM inqud._claim(:home + 1, inqud_test.server('shop'), 100, 7) t;
-- What a session takes is no longer there, and what is claimed cannot be taken.
SELECT inqud_test.add('taken') AS id \gset
SELECT (t).order_id, (t).attempts FROM inqud._take(:id, 5) t;
SELECT (t).order_id IS NULL FROM inqud._take(:id, 6) t;
SELECT inqud_test.claimed('shop', 100, 7);

-- When something is due: the first of each kind that nobody holds.
TRUNCATE inqud.queue, inqud.checkout RESTART IDENTITY;
SELECT inqud_test.add('due ' || i) FROM generate_series(1, 3) i;
SELECT inqud_test.add('due 4', 'shop2');
UPDATE inqud.queue SET due_at = '2020-01-01 00:00+00'::timestamptz + checkout * interval '1 min';
SELECT inqud_test.name(server_id), kind, due_at FROM inqud._due(:home) ORDER BY 1, 2;
SELECT (inqud._take(1, 7)).kind;
SELECT inqud_test.name(server_id), kind, due_at FROM inqud._due(:home) ORDER BY 1, 2;
SELECT inqud_test.answered(2, '{}'), inqud_test.answered(3, '{"status": "REQUEST_CREATED"}');
SELECT inqud_test.name(server_id), kind FROM inqud._due(:home) ORDER BY 1, 2;
SELECT count(*) FROM inqud._due(:home + 1);

--
-- Reads
--
SELECT checkout, inqud_test.name(server_id), phase FROM inqud._followed(:home) ORDER BY checkout;
SELECT (t).checkout, (t).kind, (t).checkout_id, (t).poke FROM inqud._read(ARRAY[1, 2, 3, 4, 99]) t ORDER BY 1;
SELECT count(*) FROM inqud._asked(:home, inqud_test.server('shop'), 10);
SELECT (inqud_refresh(2)).state;
SELECT (t).checkout, (t).kind, (t).checkout_id, (t).poke FROM inqud._asked(:home, inqud_test.server('shop'), 10) t;
SELECT (t).checkout FROM inqud._read(ARRAY[2, 3]) t;
SELECT count(*) FROM inqud._followed(:home);

--
-- Refresh
--
INSERT INTO inqud_test.shown SELECT id FROM inqud.event;
SELECT (inqud_refresh(2)).status;
SELECT inqud_test.look('due 2');
-- One that comes while it is being read is not lost.
SELECT inqud_test.read(2, '{"status": "NEW", "poke": 1}');
SELECT inqud_test.look('due 2');
SELECT inqud_test.read(2, '{"status": "REQUEST_CREATED", "poke": 1}');
SELECT inqud_test.look('due 2');
SELECT inqud_test.read(2, '{"status": "REQUEST_CREATED", "poke": 2}');
SELECT inqud_test.look('due 2');
-- A queued one is due at once, one whose last read was made is read again, one without an id cannot be.
UPDATE inqud.queue SET due_at = now() + interval '1 hour' WHERE checkout = 4;
SELECT (inqud_refresh(4)).state;
SELECT inqud_test.look('due 4');
SELECT inqud_test.read(3, '{"status": "SUCCESS"}');
SELECT inqud._unfollow(ARRAY[3]);
SELECT (inqud_refresh(3)).status;
SELECT inqud_test.look('due 3');
SELECT inqud_test.read(3, '{"status": "SUCCESS", "poke": 1}');
SELECT inqud_test.look('due 3');
SELECT inqud_test.answered(4, '{"outcome": "refused", "message": "told: refused"}');
SELECT inqud_test.said('SELECT inqud_refresh(4)');
SELECT inqud_test.said('SELECT inqud_refresh(99)');
SELECT inqud_refresh(NULL) IS NULL;

--
-- Retry
--
SELECT (inqud_retry(4)).state;
SELECT inqud_test.look('due 4');
SELECT inqud_test.said('SELECT inqud_retry(2)');
SELECT inqud_test.said('SELECT inqud_retry(3)');
SELECT inqud_test.said('SELECT inqud_retry(99)');
-- A queued one: now, and with all its time again.
SELECT inqud_test.answered(4, '{"outcome": "unreachable", "message": "told: unreachable", "retry_in": "100 s", "retry_for": "150 s"}');
SELECT (inqud_retry(4)).state;
SELECT inqud_test.look('due 4');
-- A failed one whose order has another checkout, or was canceled.
SELECT inqud_test.answered(4, '{"outcome": "refused", "message": "told: refused"}'), inqud_test.add('due 4', 'shop2') AS id \gset
SELECT inqud_test.said('SELECT inqud_retry(4)');
SELECT (inqud_cancel(:id)).state;
SELECT inqud_test.said('SELECT inqud_retry(' || :id || ')') LIKE '55000 %';
SELECT inqud_test.add('due 6') AS id \gset
SELECT inqud_test.answered(:id, '{"outcome": "refused", "message": "told: refused"}');
SELECT (inqud_cancel(:id)).state;
SELECT inqud_test.said('SELECT inqud_retry(' || :id || ')') LIKE '55000 %';

--
-- Cancel
--
SELECT inqud_test.look(o) FROM unnest(ARRAY['due 4', 'due 6']) AS o;
-- Twice is once.
SELECT (inqud_cancel(:id)).canceled_at = (SELECT canceled_at FROM inqud.checkout WHERE id = :id);
SELECT inqud_test.said('SELECT inqud_cancel(3)');
SELECT inqud_test.said('SELECT inqud_cancel(99)');
SELECT (inqud_cancel(2)).current;
SELECT inqud_test.look('due 2');
-- What is rolled back is not canceled.
BEGIN;
SELECT (inqud_cancel(1)).state;
ROLLBACK;
SELECT state, canceled_at IS NULL FROM inqud.checkout WHERE id = 1;

--
-- Wait
--
SELECT inqud_test.said('SELECT inqud_wait_checkout(99)');
SELECT (inqud_wait_checkout(2)).checkout_id;
SELECT (inqud_wait_checkout(4, '1 day')).error;
SELECT inqud_test.add('waited') AS id \gset
SELECT (inqud_wait_checkout(:id, '10 ms')).state;
SELECT (inqud_wait_checkout(:id, '-1 s')).state;
BEGIN;
SELECT inqud_test.add('waited here') AS id \gset
SELECT replace(inqud_test.said('SELECT inqud_wait_checkout(' || :id || ')'), :'id', 'N');
SAVEPOINT s;
SELECT replace(inqud_test.said('SELECT inqud_wait_checkout(' || :id || ')'), :'id', 'N');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT inqud_test.said('SELECT inqud_wait_checkout(2)');
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT inqud_test.said('SELECT inqud_wait_checkout(2)');
ROLLBACK;
SET statement_timeout = '50ms';
SELECT inqud_wait_checkout(id, '1 day') FROM inqud.checkout WHERE order_id = 'waited';
RESET statement_timeout;
SELECT inqud_test.said($$SELECT inqud_wait_checkout(NULL)$$);

--
-- Adopt: what came from another database
--
SELECT inqud_test.add('came along', 'shop2') > 0;
UPDATE inqud.queue SET home = home + 1;
UPDATE inqud.known_server SET home = home + 1;
UPDATE inqud.known_role SET home = home + 1;
SELECT inqud_test.name(server_id), count(*) FROM inqud.queue WHERE home <> :home GROUP BY 1 ORDER BY 1;
SELECT inqud_adopt('nowhere');
SELECT inqud_adopt('shop');
SELECT count(*) FROM inqud.queue WHERE home <> :home AND inqud_test.name(server_id) = 'shop';
UPDATE inqud.queue SET lease = 3 WHERE inqud_test.name(server_id) = 'shop2';
SELECT inqud_adopt();
SELECT inqud_adopt();
SELECT count(*) FILTER (WHERE home = :home), count(lease) FROM inqud.queue WHERE server_id = inqud_test.server('shop2');

--
-- Webhooks: an id of one project says nothing in another
--
TRUNCATE inqud.queue, inqud.checkout, inqud.event, inqud.inbox RESTART IDENTITY;
SELECT inqud_test.add('named'), inqud_test.answered(1, '{"id": "CCO-NAMED", "status": "REQUEST_CREATED", "request_id": "CAPD-NAMED", "payment_id": "PMT-NAMED"}');
DELETE FROM inqud.event;
SELECT count(inqud._webhook(inqud_test.server(server), id, 'SUCCESS', NULL, 'named')) FROM unnest(ARRAY['shop2', 'shop']) AS server, unnest(ARRAY['CAPD-NAMED', 'PMT-NAMED', 'CCO-NAMED']) AS id;
SELECT checkout, kind, status_to, detail FROM inqud.event ORDER BY id;
SELECT inqud_test.name(server_id), checkout, checkout_id FROM inqud.inbox ORDER BY id;

--
-- on_status
--
TRUNCATE inqud.queue, inqud.call, inqud.checkout, inqud.event RESTART IDENTITY;
DELETE FROM inqud_test.shown;
ALTER SERVER shop OPTIONS (ADD on_status 'inqud_test.changed');
SELECT inqud_test.add('hook'), inqud_test.add('hook', 'shop2');
SELECT inqud_test.look('hook');
SELECT inqud_test.answered(1, '{}');
SELECT inqud_test.look('hook');
SELECT checkout, poke, attempts FROM inqud._take_calls(:home, inqud_test.server('shop'), 1, true);
SELECT count(*) FROM inqud._take_calls(:home, inqud_test.server('shop'), 1, true);
SELECT attempts, inqud_test.ahead(due_at) FROM inqud.call;
-- Called; and the next change calls again.
SELECT inqud._calls_done(ARRAY[1], ARRAY[0]);
SELECT count(*) FROM inqud.call;
SELECT inqud_test.read(1, '{"status": "REQUEST_CREATED"}');
SELECT checkout, poke, attempts FROM inqud._take_calls(:home, inqud_test.server('shop'), 1, true);
-- A change during the call has it called once more.
SELECT inqud_test.read(1, '{"status": "SUCCESS"}');
SELECT inqud._calls_done(ARRAY[1], ARRAY[0]);
SELECT poke, attempts, inqud_test.ahead(due_at) FROM inqud.call;
-- It fails: later and later.
DO $$
BEGIN
  FOR i IN 1..12 LOOP
    UPDATE inqud.call SET due_at = now();
    PERFORM inqud._take_calls(inqud._home(), inqud_test.server('shop'), 1, true);
  END LOOP;
END $$;
SELECT poke, attempts, inqud_test.ahead(due_at) FROM inqud.call;
-- One that has failed is taken only when nothing else is under way.
BEGIN;
UPDATE inqud.call SET due_at = now();
SELECT (SELECT count(*) FROM inqud._take_calls(:home, inqud_test.server('shop'), 1, false)), (SELECT count(*) FROM inqud._take_calls(:home, inqud_test.server('shop'), 1, true));
ROLLBACK;
-- Following the checkout goes on beside it.
SELECT inqud_test.look('hook');
-- Details alone call nobody; failing and cancel do.
SELECT inqud._calls_done(ARRAY[1], ARRAY[1]);
SELECT inqud_test.read(1, '{"status": "SUCCESS", "merchant_fee": 1}');
SELECT count(*) FROM inqud.call;
SELECT inqud_test.add('hook failed') AS id \gset
SELECT inqud_test.answered(:id, '{"outcome": "refused", "message": "told: refused"}');
SELECT inqud_test.add('hook canceled') AS id \gset
SELECT (inqud_cancel(:id)).state;
SELECT c.order_id, q.poke FROM inqud.call q JOIN inqud.checkout c ON c.id = q.checkout ORDER BY 1;
-- Many at a time: those that are due first, but for one that has failed; it is taken alone, when it has waited longest.
TRUNCATE inqud.call;
INSERT INTO inqud.call (checkout, home, server_id, due_at, attempts)
  SELECT n, :home, inqud_test.server('shop'), now() - (10 - n) * interval '1 s', CASE WHEN n IN (2, 4) THEN 3 ELSE 0 END FROM generate_series(1, 6) n;
INSERT INTO inqud.call (checkout, home, server_id, due_at) VALUES (7, :home, inqud_test.server('shop'), now() + interval '1 h'), (8, :home, inqud_test.server('shop2'), now()), (9, :home + 1, inqud_test.server('shop'), now());
SELECT checkout, attempts FROM inqud._take_calls(:home, inqud_test.server('shop'), 3, true) ORDER BY 1;
SELECT checkout, attempts FROM inqud._take_calls(:home, inqud_test.server('shop'), 64, true) ORDER BY 1;
SELECT checkout, attempts FROM inqud._take_calls(:home, inqud_test.server('shop'), 64, true) ORDER BY 1;
SELECT checkout, attempts FROM inqud._take_calls(:home, inqud_test.server('shop'), 64, false) ORDER BY 1;
SELECT checkout, attempts, inqud_test.ahead(due_at) FROM inqud.call ORDER BY 1;
-- Of those that were made, one has changed meanwhile.
UPDATE inqud.call SET poke = 1 WHERE checkout = 3;
SELECT inqud._calls_done(ARRAY[1, 3, 5, 99], ARRAY[0, 0, 0, 0]);
SELECT checkout, attempts, poke, inqud_test.ahead(due_at) FROM inqud.call ORDER BY 1;

DROP SCHEMA inqud_test CASCADE;
SET client_min_messages = error;
DROP EXTENSION inqud CASCADE;
