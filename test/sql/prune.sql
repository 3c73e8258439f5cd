--
-- What inqud_prune deletes, and above all what it leaves alone.
--
\getenv testdir PG_ABS_SRCDIR
\set common :testdir '/sql/common.psql'
\set ECHO none
\i :common
\set ECHO all
\pset null -

-- What is wrong is said before anything is done.
SELECT inqud_test.said($$CALL inqud_prune(NULL)$$);
SELECT inqud_test.said($$CALL inqud_prune('-1 day')$$);
SELECT inqud_test.said($$CALL inqud_prune('1 day', 'orders')$$);
SELECT inqud_test.said($$CALL inqud_prune('1 day', batch => 0)$$);
SELECT inqud_test.said($$CALL inqud_prune('1 day', batch => 100001)$$);
-- It commits, so it cannot be called where that is not possible.
BEGIN;
CALL inqud_prune('1 day');
ROLLBACK;
-- It is for the owner.
CREATE ROLE regress_inqud_app;
SET ROLE regress_inqud_app;
CALL inqud_prune('1 day');
SELECT inqud_test.said($$SELECT inqud._prune_events(now(), true, 0, 1)$$);
RESET ROLE;
DROP ROLE regress_inqud_app;
-- Nothing there.
CALL inqud_prune('0');
CALL inqud_prune('0', 'checkouts');

--
-- One row of each kind: how old, what is on it, and whether something is still to be done.
--
CREATE TABLE inqud_test.kind AS SELECT * FROM (VALUES
  ('expired', 'closed', 'EXPIRED', true), ('expired, replaced', 'closed', 'EXPIRED', false),
  ('paid', 'closed', 'SUCCESS', true), ('paid late', 'closed', 'SUCCESS', false),
  ('paid late, resolved', 'closed', 'SUCCESS', false), ('conflict, resolved', 'closed', 'CONFLICT', true), ('paid, a resolved anomaly', 'closed', 'SUCCESS', true),
  ('conflict', 'closed', 'CONFLICT', true), ('conflict, settled', 'closed', 'CONFLICT', false),
  ('expired with money', 'closed', 'EXPIRED', true), ('expired with a transaction', 'closed', 'EXPIRED', true),
  ('expired, followed', 'closed', 'EXPIRED', true), ('expired, on_status to be called', 'closed', 'EXPIRED', true),
  ('expired, a webhook waits', 'closed', 'EXPIRED', true), ('expired, an anomaly', 'closed', 'EXPIRED', true), ('paid, an anomaly', 'closed', 'SUCCESS', true),
  ('expired, cannot be read', 'closed', 'EXPIRED', true), ('expired, young', 'closed', 'EXPIRED', true), ('paid, young', 'closed', 'SUCCESS', true),
  ('failed', 'failed', NULL, true), ('failed, canceled', 'failed', NULL, false), ('canceled', 'canceled', NULL, false),
  ('open', 'open', 'NEW', true), ('queued', 'queued', NULL, true)) AS k (name, state, status, current);
CREATE FUNCTION inqud_test.fill() RETURNS void
LANGUAGE sql AS $$
  TRUNCATE inqud.checkout, inqud.queue, inqud.call, inqud.event, inqud.inbox;
  INSERT INTO inqud.checkout (project, project_id, order_id, owner, state, status, current, checkout_id, paid_amount, tx_hash, error, created_at, updated_at, closed_at, canceled_at)
    SELECT 'shop', 'CAP-1', k.name, current_user, k.state, k.status, k.current, CASE WHEN k.status <> '' THEN 'CCO-' || k.name END,
      CASE WHEN k.name ~ 'money' THEN 0.01 WHEN k.status = 'EXPIRED' THEN 0 END, CASE WHEN k.name ~ 'transaction' THEN 'abc' END, CASE WHEN k.name ~ 'cannot|failed' THEN 'no' END,
      now() - interval '2 years', CASE WHEN k.name ~ 'young' THEN now() - interval '1 month' ELSE now() - interval '2 years' END, now(), CASE WHEN NOT k.current THEN now() END
    FROM inqud_test.kind k;
  INSERT INTO inqud.queue (checkout, home, server_id, kind, due_at)
    SELECT c.id, inqud._home(), inqud_test.server('shop'), CASE WHEN c.state = 'queued' THEN 'create' ELSE 'read' END, CASE WHEN c.state = 'queued' THEN now() END
    FROM inqud.checkout c WHERE c.order_id ~ 'followed|open|queued';
  INSERT INTO inqud.call (checkout, home, server_id, due_at) SELECT c.id, inqud._home(), inqud_test.server('shop'), now() FROM inqud.checkout c WHERE c.order_id ~ 'on_status';
  INSERT INTO inqud.inbox (home, server_id, checkout, checkout_id) SELECT inqud._home(), inqud_test.server('shop'), c.id, c.checkout_id FROM inqud.checkout c WHERE c.order_id ~ 'webhook';
  INSERT INTO inqud.event (checkout, kind, at) SELECT c.id, k, CASE WHEN c.order_id ~ 'young' THEN now() - interval '1 month' ELSE now() - interval '2 years' END
    FROM inqud.checkout c, unnest(ARRAY['created', 'status']) k;
  INSERT INTO inqud.event (checkout, kind, at) SELECT c.id, 'anomaly', now() - interval '2 years' FROM inqud.checkout c WHERE c.order_id ~ 'anomaly';
  INSERT INTO inqud.event (checkout, kind, at) SELECT c.id, 'resolved', now() - interval '2 years' FROM inqud.checkout c WHERE c.order_id ~ 'resolved';
  -- webhooks of ids that are not recorded
  INSERT INTO inqud.event (kind, detail, at) VALUES ('webhook', 'CCO-old', now() - interval '2 years'), ('webhook', 'CCO-young', now() - interval '1 month');
$$;
-- What is gone: checkouts, and the kinds of events of those that are left.
CREATE FUNCTION inqud_test.gone() RETURNS SETOF text
LANGUAGE sql AS $$
  SELECT k.name || ': ' || CASE WHEN c.id IS NULL THEN 'the checkout' ELSE 'events' END
    FROM inqud_test.kind k LEFT JOIN inqud.checkout c ON c.order_id = k.name
    WHERE (SELECT count(*) FILTER (WHERE e.kind NOT IN ('anomaly', 'resolved')) FROM inqud.event e WHERE e.checkout = c.id) IS DISTINCT FROM 2
      OR k.name ~ 'anomaly' AND NOT EXISTS (SELECT FROM inqud.event e WHERE e.checkout = c.id AND e.kind = 'anomaly')
      OR k.name ~ 'resolved' AND NOT EXISTS (SELECT FROM inqud.event e WHERE e.checkout = c.id AND e.kind = 'resolved')
  UNION ALL
  SELECT 'events of nothing: ' || count(*) FROM inqud.event e WHERE e.checkout IS NULL OR NOT EXISTS (SELECT FROM inqud.checkout c WHERE c.id = e.checkout)
  ORDER BY 1
$$;
SELECT inqud_test.fill();
SELECT inqud_test.gone();
CALL inqud_prune('3 years');
CALL inqud_prune('3 years', 'checkouts');
CALL inqud_prune('3 years', 'payments');
SELECT inqud_test.gone();
-- By default: events of what was not paid.
CALL inqud_prune('1 year');
SELECT inqud_test.gone();
CALL inqud_prune('1 year', 'payment events');
SELECT inqud_test.gone();
SELECT inqud_test.fill();
CALL inqud_prune('1 year', 'checkouts');
SELECT inqud_test.gone();
CALL inqud_prune('1 year', 'payments');
SELECT inqud_test.gone();
-- By whatever size of batch it comes to the same.
SELECT inqud_test.fill();
CALL inqud_prune('1 year', 'checkouts', 1);
CALL inqud_prune('1 year', 'payments', 2);
CALL inqud_prune('1 year', 'events', 3);
SELECT inqud_test.gone();

--
-- What somebody holds is left for the next time; isolation and search path are its own
--
SELECT inqud_test.fill();
SET default_transaction_isolation = 'serializable';
CREATE SCHEMA inqud_evil;
CREATE FUNCTION inqud_evil.less(interval, interval) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'somebody else''s object was reached'; END $$;
CREATE OPERATOR inqud_evil.< (LEFTARG = interval, RIGHTARG = interval, FUNCTION = inqud_evil.less);
CREATE FUNCTION inqud_evil.plus(bigint, bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'somebody else''s object was reached'; END $$;
CREATE OPERATOR inqud_evil.+ (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = inqud_evil.plus);
CREATE FUNCTION inqud_evil.spring(anyelement) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'somebody else''s object was reached'; END $$;
CREATE DOMAIN inqud_evil.timestamptz AS pg_catalog.timestamptz CHECK (inqud_evil.spring(VALUE));
CREATE DOMAIN inqud_evil.int8 AS pg_catalog.int8 CHECK (inqud_evil.spring(VALUE));
-- types are looked up when a session calls it first
\c
SET client_min_messages = warning;
SET default_transaction_isolation = 'serializable';
SET search_path = inqud_evil, pg_catalog, public;
CALL inqud_prune('1 year', 'checkouts', 3);
CALL inqud_prune('1 year', 'events', 3);
RESET search_path;
RESET default_transaction_isolation;
SELECT inqud_test.gone();
DROP SCHEMA inqud_evil CASCADE;
-- nor is it left behind for what comes next in the caller's transaction
DO $$ DECLARE n bigint; BEGIN
  CALL inqud_prune('1 year', 'events', 1000, n);
  IF current_setting('search_path') ~ 'pg_temp' THEN RAISE 'the search path was left behind'; END IF;
END $$;

--
-- A webhook of a checkout that is pruned before the worker looks is one of a checkout that nobody recorded
--
TRUNCATE inqud.checkout, inqud.queue, inqud.call, inqud.event, inqud.inbox;
INSERT INTO inqud.checkout (project, project_id, order_id, owner, state, status, checkout_id, request_id, updated_at, created_at)
  SELECT 'shop', 'CAP-1', n, current_user, 'closed', 'EXPIRED', 'CCO-' || n, 'CAPD-' || n, now() - interval '2 years', now() - interval '2 years' FROM generate_series(1, 3) n;
SELECT inqud._webhook(inqud_test.server('shop'), 'CCO-1', 'SUCCESS', NULL, '1'), inqud._webhook(inqud_test.server('shop'), 'CAPD-2', 'SUCCESS', NULL, NULL);
SELECT checkout, checkout_id, order_id FROM inqud.inbox ORDER BY id;
CALL inqud_prune('1 year', 'checkouts');
SELECT order_id FROM inqud.checkout ORDER BY id;
-- As if the two had come after it had looked.
DELETE FROM inqud.checkout;
SELECT inqud_test.name(server_id), kind FROM inqud._next_due(inqud._home());
SELECT checkout, checkout_id, order_id FROM inqud.inbox ORDER BY id;
SELECT kind, checkout_id, order_id FROM inqud._found(inqud._home(), inqud_test.server('shop'), 10);
-- And paid: recorded again, and late money.
SELECT inqud_test.apply(jsonb_build_object('checkout', -min(id), 'kind', 'found', 'outcome', 'ok', 'http_status', 200, 'id', 'CCO-1', 'order_id', '1', 'project_id', 'CAP-1', 'status', 'SUCCESS')) FROM inqud.inbox WHERE checkout_id = 'CCO-1';
SELECT order_id, current, state, status, checkout_id FROM inqud.checkout;
SELECT order_id, trouble, detail FROM inqud.trouble WHERE trouble = 'anomaly';

DROP SCHEMA inqud_test CASCADE;
SET client_min_messages = error;
DROP EXTENSION inqud CASCADE;
