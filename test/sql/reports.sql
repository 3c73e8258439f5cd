--
-- The views over rows of every kind, that everything has its comment, and what
-- of the extension is dumped.
--
\getenv testdir PG_ABS_SRCDIR
\set common :testdir '/sql/common.psql'
\set ECHO none
\i :common
\set ECHO all
\pset null -

--
-- Comments of what users see: an object that lacks one is listed
--
SELECT 'relation', c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'inqud'::regnamespace AND c.relkind IN ('r', 'v') AND obj_description(c.oid, 'pg_class') IS NULL AND c.relname !~ '^_';
SELECT 'column', c.oid::regclass, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'inqud'::regnamespace AND c.relkind IN ('r', 'v') AND col_description(c.oid, a.attnum) IS NULL AND c.relname !~ '^_';
SELECT 'type', t.oid::regtype FROM pg_type t JOIN pg_class c ON c.oid = t.typrelid WHERE t.typnamespace = 'inqud'::regnamespace AND c.relkind = 'c' AND obj_description(t.oid, 'pg_type') IS NULL AND t.typname !~ '^_';
SELECT 'policy', p.polrelid::regclass, p.polname FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = 'inqud'::regnamespace AND obj_description(p.oid, 'pg_policy') IS NULL;
SELECT 'trigger', t.tgrelid::regclass, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = 'inqud'::regnamespace AND obj_description(t.oid, 'pg_trigger') IS NULL;
SELECT 'member', pg_describe_object(d.classid, d.objid, 0) FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'inqud' AND d.deptype = 'e' AND obj_description(d.objid, d.classid::regclass::name) IS NULL AND pg_describe_object(d.classid, d.objid, 0) !~ 'inqud\._'
  AND NOT EXISTS (SELECT FROM pg_class c WHERE d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind IN ('S', 'i'))
  AND NOT EXISTS (SELECT FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid AND (t.typelem <> 0 OR c.relkind <> 'c'));
SELECT obj_description(oid, 'pg_extension') <> '' FROM pg_extension WHERE extname = 'inqud';

--
-- What is dumped: all rows of all tables, and the sequences
--
SELECT t.oid::regclass, quote_literal(t.condition) FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS t (oid, condition) WHERE e.extname = 'inqud' ORDER BY t.oid::regclass::text COLLATE "C";
SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'inqud'::regnamespace AND c.relkind IN ('r', 'S') AND c.oid <> ALL ((SELECT extconfig FROM pg_extension WHERE extname = 'inqud')::oid[]);

--
-- The dictionary
--
TABLE inqud.status;
SELECT status, inqud._is_final(status) <> final FROM inqud.status WHERE inqud._is_final(status) <> final;

--
-- Payments
--
CREATE FUNCTION inqud_test.open(wanted text, members jsonb DEFAULT '{}') RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  new_id bigint := (inqud_enqueue_checkout('shop', wanted, 'n', 'https://shop.example', 10, 'USD')).id;
BEGIN
  PERFORM inqud_test.answered(new_id, members);
  RETURN new_id;
END $$;
SELECT inqud_test.open('paid', '{"created_at": "2020-01-01 10:00+00", "status": "REQUEST_CREATED", "pay_amount": 0.1, "pay_currency": "BTC", "pay_blockchain": "BITCOIN", "expires_at": "2998-01-01"}');
SELECT inqud_test.read(1, '{"status": "SUCCESS", "updated_at": "2020-01-01 10:07:30+00", "paid_amount": 0.11, "overpaid": true, "merchant_fee": 0.001, "processing_amount": 0.109, "tx_hash": "abc"}');
SELECT inqud_test.open('paid without times', '{"status": "SUCCESS"}'), inqud_test.open('conflict', '{"status": "CONFLICT"}'), inqud_test.open('new'), inqud_test.open('odd', '{"status": "success"}');
SELECT to_jsonb(p) - 'owner' FROM inqud.payment p WHERE order_id = 'paid';
SELECT order_id, owner = current_user, paid_at <= clock_timestamp(), opened_at, time_to_pay, pay_currency, current FROM inqud.payment WHERE order_id <> 'paid';
-- Late money is a payment, too.
SELECT inqud_test.open('late', '{"status": "EXPIRED"}'), inqud_test.open('late');
SELECT clock_timestamp() AS expired \gset
SELECT inqud_test.read(min(id), '{"status": "SUCCESS"}') FROM inqud.checkout WHERE order_id = 'late';
SELECT order_id, current, paid_at >= :'expired' AS paid_after_expiry FROM inqud.payment WHERE order_id = 'late';

--
-- Pending
--
SELECT (inqud_enqueue_checkout('shop', 'waits', 'n', 'https://shop.example')).state, (inqud._take((inqud_enqueue_checkout('shop', 'is sent', 'n', 'https://shop.example')).id, 7)).attempts,
  inqud_test.answered((inqud_enqueue_checkout('shop', 'is retried', 'n', 'https://shop.example')).id, '{"outcome": "unreachable", "message": "told: unreachable", "retry_in": "1 h", "retry_for": "1 day"}');
SELECT (inqud_refresh(id)).status FROM inqud.checkout WHERE order_id = 'new';
UPDATE inqud.queue SET due_at = clock_timestamp() - interval '100 s' WHERE due_at IS NOT NULL AND attempts = 0;
SELECT order_id, owner = current_user AS mine, kind, phase, state, status, inqud_test.ahead(clock_timestamp() - age) AS made, inqud_test.ahead(due_at) AS due,
  inqud_test.ahead(clock_timestamp() - overdue) AS overdue, sending, attempts, error FROM inqud.pending WHERE project = 'shop' ORDER BY checkout;
-- Of each kind: what waits for its time can be late, what the worker's own clock reads cannot.
BEGIN;
DELETE FROM inqud.queue;
INSERT INTO inqud.queue (checkout, home, server_id, kind, due_at, phase)
  SELECT (SELECT min(id) FROM inqud.checkout WHERE project = 'shop') + n, inqud._home(), inqud_test.server('shop'), k, CASE WHEN d THEN now() - interval '1 min' END, p
  FROM (VALUES (1, 'create', true, NULL), (2, 'read', true, 'new'), (3, 'read', false, 'active'), (4, 'read', false, 'reopened'), (5, 'read', false, 'new'), (6, 'read', false, 'late')) AS u (n, k, d, p);
INSERT INTO inqud.call (checkout, home, server_id, due_at) SELECT checkout, home, server_id, due_at FROM inqud.queue WHERE kind = 'create';
SELECT kind, overdue FROM inqud.pending ORDER BY kind;
UPDATE inqud.queue SET due_at = now() + interval '1 min' WHERE due_at IS NOT NULL;
UPDATE inqud.call SET due_at = now() + interval '1 min';
SELECT count(*), count(overdue) FROM inqud.pending;
ROLLBACK;

--
-- Trouble
--
CREATE FUNCTION inqud_test.trouble(wanted text) RETURNS SETOF text
LANGUAGE sql AS $$
  SELECT concat_ws(' | ', '#' || t.checkout, t.trouble, inqud_test.ahead(t.since), t.detail, t.advice) FROM inqud.trouble t WHERE t.order_id = wanted ORDER BY t.checkout, t.trouble, t.since
$$;
TRUNCATE inqud.checkout, inqud.queue, inqud.event RESTART IDENTITY;
-- Nothing is wrong with these.
SELECT inqud_test.open('fine'), inqud_test.open('fine paid', '{"status": "SUCCESS"}'), inqud_test.open('fine expired', '{"status": "EXPIRED"}'), (inqud_enqueue_checkout('shop', 'fine waits', 'n', 'https://shop.example')).state;
SELECT * FROM inqud.trouble WHERE checkout IS NOT NULL;
SELECT inqud_test.answered((inqud_enqueue_checkout('shop', 'failed', 'n', 'https://shop.example')).id, '{"outcome": "refused", "message": "HTTP 400: no"}');
SELECT inqud_test.trouble('failed');
-- A failed one is no trouble any more once its order has another or is canceled.
SELECT (inqud_enqueue_checkout('shop', 'failed', 'n', 'https://shop.example', 2, 'USD')).state;
SELECT inqud_test.trouble('failed');
SELECT inqud_test.open('conflict', '{"status": "CONFLICT", "reason": "UNDERPAID", "paid_amount": 1.50, "pay_amount": 2, "pay_currency": "BTC"}');
SELECT inqud_test.open('conflict 2', '{"status": "CONFLICT"}');
SELECT inqud_test.trouble(o) FROM unnest(ARRAY['conflict', 'conflict 2']) AS o;
SELECT (inqud_cancel(id)).current FROM inqud.checkout WHERE order_id = 'conflict';
SELECT inqud_test.trouble('conflict');
-- Queued, and why it is not sent yet: what comes of an answer, and what the worker says before it sends.
CREATE FUNCTION inqud_test.not_sent(wanted text, outcome text, message text, fault text DEFAULT NULL) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM inqud_test.answered((inqud_enqueue_checkout('shop', wanted, 'n', 'https://shop.example')).id, jsonb_build_object('outcome', outcome, 'message', message,
    'http_status', substring(message FROM '^HTTP ([0-9]+)'), 'retry_in', '1 s', 'retry_for', '1 day')
    || CASE WHEN fault IS NULL THEN '{}' ELSE jsonb_build_object('fault', fault) END);
  RETURN QUERY SELECT replace(t, current_user, 'OWNER') FROM inqud_test.trouble(wanted) t;
END $$;
SELECT inqud_test.not_sent('401', 'auth', 'HTTP 401 UNAUTHORIZED: no');
SELECT inqud_test.not_sent('403', 'auth', 'HTTP 403: no');
SELECT inqud_test.not_sent('404', 'route', 'HTTP 404: HTTP status 404 without a JSON reply: the path is probably wrong');
SELECT inqud_test.not_sent('405', 'route', 'HTTP 405: no');
SELECT inqud_test.not_sent('429', 'throttled', 'HTTP 429: slow down');
SELECT inqud_test.not_sent('500', 'unknown', 'HTTP 500: no');
SELECT inqud_test.not_sent('no answer', 'unreachable', 'could not connect to 127.0.0.1');
SELECT inqud_test.not_sent('right', 'blocked', 'permission denied for foreign server shop', 'no_right');
SELECT inqud_test.not_sent('mapping', 'blocked', 'user mapping not found for user "app", server "shop"', 'no_key');
SELECT inqud_test.not_sent('token', 'blocked', 'user mapping for server "shop" has no API token', 'no_key');
SELECT inqud_test.not_sent('project_id', 'blocked', 'made for project_id "CAP-1", but server "shop" says "CAP-2" now', 'project_changed');
SELECT inqud_test.not_sent('server', 'blocked', 'server was dropped', 'no_server');
SELECT inqud_test.not_sent('owner', 'blocked', 'role "app", which asked for it, was dropped or is not known here', 'no_owner');
-- What a message says decides nothing, neither Inqud's words nor ours.
SELECT inqud_test.not_sent('words', 'unknown', 'HTTP 500: permission denied for foreign server shop');
SELECT inqud_test.not_sent('our words', 'blocked', 'permission denied for foreign server shop', 'options');
-- What is right again is no trouble any more.
SELECT inqud_test.answered(id, '{"status": "NEW"}') FROM inqud.checkout WHERE order_id = '401';
SELECT inqud_test.trouble('401');
SELECT (inqud_enqueue_checkout('shop', 'not picked up', 'n', 'https://shop.example')).state;
UPDATE inqud.queue SET due_at = clock_timestamp() - interval '100 s' WHERE checkout = (SELECT id FROM inqud.checkout WHERE order_id = 'not picked up');
SELECT inqud_test.trouble('not picked up');
SELECT inqud_test.open('cannot be read') AS id \gset
SELECT inqud_test.read(:id, '{"outcome": "not_found", "message": "HTTP 404: no such checkout"}');
SELECT inqud_test.trouble('cannot be read');
SELECT inqud_test.read(:id, '{"outcome": "auth", "http_status": 401, "message": "HTTP 401: no"}');
SELECT replace(inqud_test.trouble('cannot be read'), current_user, 'OWNER');
SELECT inqud_test.read(:id, '{"outcome": "route", "http_status": 404, "message": "HTTP 404: HTTP status 404 without a JSON reply: the path is probably wrong"}');
SELECT inqud_test.trouble('cannot be read');
SELECT inqud_test.open('unknown', '{"status": "FROZEN"}');
SELECT inqud_test.trouble('unknown');
SELECT inqud_test.open('overdue', '{"expires_at": "2020-01-01 00:00+00"}') AS id \gset
-- An expiry long past counts from when the row was made.
SELECT trouble FROM inqud.trouble WHERE order_id = 'overdue';
UPDATE inqud.queue SET tail_from = '2020-01-01 00:00+00' WHERE checkout = :id;
SELECT trouble, since, detail, advice FROM inqud.trouble WHERE order_id = 'overdue';
SELECT inqud_test.open('anomaly', '{"status": "EXPIRED"}'), inqud_test.open('anomaly', '{"status": "SUCCESS"}');
SELECT inqud_test.read(min(id), '{"status": "SUCCESS"}') FROM inqud.checkout WHERE order_id = 'anomaly';
SELECT inqud_test.trouble('anomaly');
SELECT (inqud_enqueue_checkout('shop', 'foreign', 'n', 'https://shop.example')).state;
UPDATE inqud.queue SET home = home + 1 WHERE checkout = (SELECT id FROM inqud.checkout WHERE order_id = 'foreign');
SELECT inqud_test.trouble('foreign');
-- A server that was dropped: of what waits for it, and of what had another fault before.
CREATE SERVER dropped FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-3');
SELECT (inqud_enqueue_checkout('dropped', 'dropped', 'n', 'https://shop.example')).state;
DROP SERVER dropped;
SELECT inqud_test.trouble('dropped');
CREATE SERVER dropped FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-3');
SELECT detail FROM inqud.trouble WHERE order_id = 'dropped';
UPDATE inqud.queue SET due_at = now() - interval '1 h' WHERE checkout = (SELECT id FROM inqud.checkout WHERE order_id = 'dropped');
UPDATE inqud.checkout SET error = 'no', fault = 'auth' WHERE order_id = 'dropped';
SELECT inqud_test.trouble('dropped');
SELECT inqud_adopt('dropped');
UPDATE inqud.checkout SET error = NULL, fault = NULL WHERE order_id = 'dropped';
SELECT count(*) FROM inqud.trouble WHERE order_id = 'dropped' AND trouble <> 'not picked up';
-- on_status that fails, not one that has only just been called.
ALTER SERVER shop OPTIONS (ADD on_status 'inqud_test.changed');
SELECT inqud_test.open('hook') AS id \gset
SELECT inqud_test.trouble('hook');
SELECT attempts FROM inqud._take_calls(inqud._home(), inqud_test.server('shop'), 1, true);
SELECT inqud_test.trouble('hook');
INSERT INTO inqud.event (checkout, kind, detail) VALUES (:id, 'hook', 'attempt 1 of on_status: function inqud_test.changed(inqud.checkout) does not exist');
UPDATE inqud.call SET due_at = clock_timestamp();
SELECT attempts FROM inqud._take_calls(inqud._home(), inqud_test.server('shop'), 1, true);
SELECT inqud_test.trouble('hook');
SELECT inqud._calls_done(ARRAY[:id], ARRAY[0]);
SELECT inqud_test.trouble('hook');
ALTER SERVER shop OPTIONS (DROP on_status);
-- A webhook that cannot be confirmed, of a checkout that is recorded and of one that is not.
INSERT INTO inqud.inbox (home, server_id, checkout, checkout_id, order_id, due_at, attempts) VALUES
  (inqud._home(), inqud_test.server('shop'), NULL, 'CCO-unknown', 'a webhook', clock_timestamp(), 3),
  (inqud._home(), inqud_test.server('shop'), 1, 'CCO-1', 'another webhook', clock_timestamp() - interval '100 s', 0),
  (inqud._home(), inqud_test.server('shop'), NULL, 'CCO-fresh', 'a fresh webhook', clock_timestamp(), 2);
SELECT inqud_test.trouble(o) FROM unnest(ARRAY['a webhook', 'another webhook', 'a fresh webhook']) AS o;
-- The worker is kept from working here; that is trouble as long as there is anything to do.
SELECT count(*), bool_and(checkout IS NULL AND detail <> '' AND advice <> '') FROM inqud.trouble WHERE trouble = 'no worker';
BEGIN;
DELETE FROM inqud.queue;
SELECT count(*) FROM inqud.trouble WHERE trouble = 'no worker';
ROLLBACK;
-- All of it at a glance.
SELECT trouble, count(*) FROM inqud.trouble GROUP BY 1 ORDER BY trouble COLLATE "C";

DROP SCHEMA inqud_test CASCADE;
SET client_min_messages = error;
DROP EXTENSION inqud CASCADE;
