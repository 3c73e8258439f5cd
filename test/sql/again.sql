--
-- An order that is inserted again, and one that is updated: what is queued, said,
-- noted, and who needs a right.
--
\getenv testdir PG_ABS_SRCDIR
\set common :testdir '/sql/common.psql'
\set ECHO none
\i :common
\set ECHO all
\pset null null

CREATE TABLE inqud_test.orders (id int, total numeric, title text DEFAULT 'Order', note text, state text);
CREATE TRIGGER pay AFTER INSERT ON inqud_test.orders FOR EACH ROW EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name={title}', 'return_url=https://shop.example/o', 'amount={total}', 'currency=USD');
CREATE ROLE regress_inqud_clerk;
GRANT ALL ON ALL TABLES IN SCHEMA inqud_test TO regress_inqud_clerk;
-- Rows and events since the last look.
CREATE FUNCTION inqud_test.rows() RETURNS SETOF text LANGUAGE sql AS $$
  WITH said AS (DELETE FROM inqud.event WHERE kind IN ('again', 'order changed', 'resolved') RETURNING *)
  SELECT concat_ws('|', c.order_id, c.state, c.status, coalesce(c.amount::text, '-'), (SELECT string_agg(e.kind || ': ' || e.detail, ' / ' ORDER BY e.id) FROM said e WHERE e.checkout = c.id)) FROM inqud.checkout c ORDER BY c.id
$$;
CREATE FUNCTION inqud_test.say(wanted text, new_status text, new_state text DEFAULT 'closed') RETURNS void LANGUAGE sql AS $$
  UPDATE inqud.checkout SET state = new_state, status = new_status WHERE order_id = wanted AND current
$$;

--
-- Again
--
INSERT INTO inqud_test.orders (id, total) VALUES (1, 10), (2, 20), (3, 30), (4, 40), (5, 50);
SELECT inqud_test.say('1', 'SUCCESS'), inqud_test.say('2', 'NEW', 'open'), inqud_test.say('3', 'EXPIRED'), inqud_test.say('4', 'CONFLICT');
-- Numbers used again: one that expired is a new order, the others are not.
TRUNCATE inqud_test.orders;
INSERT INTO inqud_test.orders (id, total) VALUES (1, 10), (2, 20), (3, 30), (4, 40), (5, 50.00), (6, 60);
SELECT trouble, order_id, detail FROM inqud.trouble WHERE trouble = 'again' ORDER BY order_id;
-- Once more: one event is enough, until somebody resolves it.
INSERT INTO inqud_test.orders (id, total) VALUES (1, 10), (1, 10);
SELECT count(*) FROM inqud.event WHERE kind = 'again' AND checkout = 1;
INSERT INTO inqud.event (checkout, kind) VALUES (1, 'resolved');
SELECT order_id FROM inqud.trouble WHERE trouble = 'again' ORDER BY order_id;
INSERT INTO inqud_test.orders (id, total) VALUES (1, 10);
SELECT order_id FROM inqud.trouble WHERE trouble = 'again' ORDER BY order_id;
SELECT * FROM inqud_test.rows();
-- With other values it is refused; without a return_url, as one that was made in Inqud's app, it differs in nothing by that.
SELECT inqud_test.said('INSERT INTO inqud_test.orders (id, total) VALUES (1, 11)');
UPDATE inqud.checkout SET return_url = NULL WHERE order_id IN ('1', '2');
INSERT INTO inqud_test.orders (id, total) VALUES (1, 10), (2, 20);
SELECT inqud_test.said('INSERT INTO inqud_test.orders (id, total) VALUES (2, 21)');
SELECT inqud_test.said($$SELECT inqud_enqueue_checkout('shop', '2', 'Order', 'https://shop.example/elsewhere', 20, 'USD')$$);
-- A savepoint that is rolled back does not count, nor does a statement that fails.
BEGIN;
SAVEPOINT s;
INSERT INTO inqud_test.orders (id, total) VALUES (7, 70);
ROLLBACK TO s;
INSERT INTO inqud_test.orders (id, total) VALUES (7, 70);
SELECT inqud_test.said('INSERT INTO inqud_test.orders (id, total) VALUES (7, 70), (8, -1)');
INSERT INTO inqud_test.orders (id, total) VALUES (8, 80);
COMMIT;
SELECT * FROM inqud_test.rows();
-- In one transaction it does, and a number twice in one statement.
BEGIN;
INSERT INTO inqud_test.orders (id, total) VALUES (9, 90), (9, 90), (10, 1);
INSERT INTO inqud_test.orders (id, total) VALUES (9, 90);
COMMIT;
-- One WARNING a statement, whatever fires the triggers.
COPY inqud_test.orders (id, total) FROM stdin;
9	90
10	1
\.
CREATE FUNCTION inqud_test.nested() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO inqud_test.orders (id, total) VALUES (9, 90), (9, 90); RETURN NULL; END $$;
CREATE TABLE inqud_test.carts (id int);
CREATE TRIGGER pay AFTER INSERT ON inqud_test.carts FOR EACH STATEMENT EXECUTE FUNCTION inqud_test.nested();
WITH c AS (INSERT INTO inqud_test.carts VALUES (1)) INSERT INTO inqud_test.orders (id, total) VALUES (10, 1), (11, 1), (10, 1);
DROP TABLE inqud_test.carts;
-- A function's call again is none.
SELECT order_id, state FROM inqud_enqueue_checkout('shop', '9', 'Order', 'https://shop.example/o', 90, 'USD');
DELETE FROM inqud.event WHERE kind = 'again';
BEGIN;
SELECT state FROM inqud_enqueue_checkout('shop', '12', 'Order', 'https://shop.example/o', 12, 'USD');
SELECT state FROM inqud_enqueue_checkout('shop', '12', 'Order', 'https://shop.example/o', 12, 'USD');
COMMIT;
SELECT count(*) FROM inqud.event WHERE kind = 'again';
-- Of another role: refused as before.
GRANT USAGE ON FOREIGN SERVER shop TO regress_inqud_clerk;
SET ROLE regress_inqud_clerk;
SELECT inqud_test.said('INSERT INTO inqud_test.orders (id, total) VALUES (9, 90)');
RESET ROLE;
-- The statement form.
DROP TRIGGER pay ON inqud_test.orders;
CREATE TRIGGER pay AFTER INSERT ON inqud_test.orders REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name={title}', 'return_url=https://shop.example/o', 'amount={total}', 'currency=USD');
INSERT INTO inqud_test.orders (id, total) SELECT CASE WHEN i % 500 = 0 THEN 9 ELSE i END, 90 FROM generate_series(1000, 3500) i;
SELECT count(*), count(DISTINCT order_id) FROM inqud.checkout WHERE order_id::int >= 1000;
WITH c AS (DELETE FROM inqud.checkout WHERE order_id::int >= 1000 RETURNING id) DELETE FROM inqud.queue USING c WHERE checkout = c.id;
DROP TRIGGER pay ON inqud_test.orders;
SELECT * FROM inqud_test.rows();
-- What a person should look at is not pruned.
INSERT INTO inqud.event (checkout, kind, at) SELECT id, 'again', '2001-01-01' FROM inqud.checkout WHERE order_id IN ('1', '3') AND state = 'closed';
UPDATE inqud.checkout SET updated_at = '2001-01-01', created_at = '2001-01-01' WHERE state = 'closed';
DELETE FROM inqud.queue WHERE checkout IN (SELECT id FROM inqud.checkout WHERE state = 'closed');
CALL inqud_prune('1 day', 'checkouts');
CALL inqud_prune('1 day', 'events');
CALL inqud_prune('1 day', 'payment events');
CALL inqud_prune('1 day', 'payments');
SELECT order_id, (SELECT count(*) FROM inqud.event e WHERE e.checkout = c.id AND e.kind = 'again') FROM inqud.checkout c WHERE state = 'closed' ORDER BY id;
SELECT count(*) FROM inqud_test.rows();

--
-- Updates
--
DELETE FROM inqud.event;
DELETE FROM inqud.queue;
DELETE FROM inqud.checkout;
TRUNCATE inqud_test.orders;
REVOKE USAGE ON FOREIGN SERVER shop FROM regress_inqud_clerk;
CREATE TRIGGER pay AFTER INSERT OR UPDATE ON inqud_test.orders FOR EACH ROW WHEN (NEW.total > 0) EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name={title}', 'return_url=https://shop.example/o', 'amount={total}', 'currency=USD');
CREATE FUNCTION inqud_test.clerk(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  answer text;
BEGIN
  SET LOCAL ROLE regress_inqud_clerk;
  answer := inqud_test.said(command);
  RESET ROLE;
  RETURN answer;
END $$;
INSERT INTO inqud_test.orders (id, total) VALUES (1, 10), (2, 20), (3, 30), (4, NULL);
SELECT inqud_test.say('1', 'SUCCESS'), inqud_test.say('2', 'EXPIRED');
-- Nothing that a template uses: nothing is queued, and no right is asked for.
SELECT inqud_test.clerk($$UPDATE inqud_test.orders SET note = 'seen'$$);
SELECT inqud_test.clerk($$UPDATE inqud_test.orders SET total = total + 0.00, title = title || ''$$);
SELECT * FROM inqud_test.rows();
-- A paid order: it never fails, whoever changes it and to what, and is noted; also under another number.
SELECT inqud_test.clerk($$UPDATE inqud_test.orders SET total = 11, title = NULL WHERE id = 1$$);
SELECT inqud_test.clerk($$UPDATE inqud_test.orders SET id = 100 WHERE id = 1$$);
SELECT inqud_test.clerk($$UPDATE inqud_test.orders SET id = 1, total = 12 WHERE id = 100$$);
SELECT * FROM inqud_test.rows();
-- ... also when Inqud says another word since.
UPDATE inqud.checkout SET status = 'EXPIRED' WHERE order_id = '1';
SELECT inqud_test.clerk($$UPDATE inqud_test.orders SET total = 10 WHERE id = 1$$);
UPDATE inqud.checkout SET status = 'SUCCESS' WHERE order_id = '1';
SELECT * FROM inqud_test.rows();
-- An expired one: another price is a new order, for which a role needs the right.
SELECT inqud_test.clerk($$UPDATE inqud_test.orders SET total = 21 WHERE id = 2$$);
UPDATE inqud_test.orders SET total = 21 WHERE id = 2;
-- One that is queued: refused, as before.  The price comes later: queued.
SELECT inqud_test.said($$UPDATE inqud_test.orders SET total = 31 WHERE id = 3$$);
UPDATE inqud_test.orders SET total = 40 WHERE id = 4;
-- To what was queued: nothing, and nothing is said.
ALTER TABLE inqud_test.orders DISABLE TRIGGER pay;
UPDATE inqud_test.orders SET total = 41 WHERE id = 4;
ALTER TABLE inqud_test.orders ENABLE TRIGGER pay;
UPDATE inqud_test.orders SET total = 40 WHERE id = 4;
SELECT * FROM inqud_test.rows();
-- A value that was none before does not keep it from being mended.
DROP TRIGGER pay ON inqud_test.orders;
CREATE TRIGGER pay AFTER UPDATE ON inqud_test.orders FOR EACH ROW EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name={title}', 'return_url=https://shop.example/o', 'amount={note}', 'currency=USD');
INSERT INTO inqud_test.orders (id, note) VALUES (5, 'five');
UPDATE inqud_test.orders SET note = '5' WHERE id = 5;
UPDATE inqud_test.orders SET note = '5.0' WHERE id = 5;
SELECT inqud_test.said($$UPDATE inqud_test.orders SET note = 'six' WHERE id = 5$$);
DROP TRIGGER pay ON inqud_test.orders;
-- UPDATE OF a column that no template uses: once a statement, it is said that this queues nothing.
CREATE TRIGGER pay AFTER UPDATE OF state ON inqud_test.orders FOR EACH ROW WHEN (NEW.state = 'placed') EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name={title}', 'return_url=https://shop.example/o', 'amount={total}', 'currency=USD');
UPDATE inqud_test.orders SET state = 'placed' WHERE id IN (2, 3);
DROP TRIGGER pay ON inqud_test.orders;
-- The statement form.
CREATE TRIGGER pay AFTER UPDATE ON inqud_test.orders REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name={title}', 'return_url=https://shop.example/o', 'amount={total}', 'currency=USD');
INSERT INTO inqud_test.orders (id) SELECT i FROM generate_series(1001, 3500) i;
SELECT inqud_test.clerk($$UPDATE inqud_test.orders SET note = 'seen'$$);
SELECT inqud_test.clerk($$UPDATE inqud_test.orders SET total = 13 WHERE id = 1$$);
UPDATE inqud_test.orders SET total = CASE WHEN id = 1 THEN 14 WHEN id % 2 = 0 AND id > 1000 THEN id ELSE total END;
SELECT count(*), sum(amount) FROM inqud.checkout WHERE order_id::int > 1000;
WITH c AS (DELETE FROM inqud.checkout WHERE order_id::int > 1000 RETURNING id) DELETE FROM inqud.queue USING c WHERE checkout = c.id;
SELECT * FROM inqud_test.rows();
DROP TRIGGER pay ON inqud_test.orders;
CREATE TRIGGER pay AFTER UPDATE ON inqud_test.orders REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name={title}', 'return_url=https://shop.example/o', 'amount={total}', 'currency=USD');
SELECT inqud_test.said('UPDATE inqud_test.orders SET total = 1');
DROP TRIGGER pay ON inqud_test.orders;
-- ... with rows that move, and one that a trigger keeps from arriving.
CREATE TABLE inqud_test.parted (id int, total numeric, place text) PARTITION BY LIST (place);
CREATE TABLE inqud_test.here PARTITION OF inqud_test.parted FOR VALUES IN ('here');
CREATE TABLE inqud_test.there PARTITION OF inqud_test.parted FOR VALUES IN ('there');
INSERT INTO inqud_test.parted VALUES (2001, 1, 'here'), (2002, NULL, 'here'), (2003, 1, 'here');
CREATE TRIGGER pay AFTER UPDATE ON inqud_test.parted REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name=Order {id}', 'return_url=https://shop.example/o', 'amount={total}', 'currency=USD');
UPDATE inqud_test.parted SET place = CASE id WHEN 2001 THEN 'here' ELSE 'there' END, total = CASE id WHEN 2002 THEN 2 ELSE total END;
SELECT order_id, amount FROM inqud.checkout WHERE order_id::int > 2000 ORDER BY id;
CREATE FUNCTION inqud_test.stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER stop BEFORE INSERT ON inqud_test.there FOR EACH ROW WHEN (NEW.id = 2001) EXECUTE FUNCTION inqud_test.stop();
UPDATE inqud_test.parted SET place = 'there', total = 5;
SELECT order_id, amount FROM inqud.checkout WHERE order_id::int > 2000 ORDER BY id;

DELETE FROM inqud.queue;
DELETE FROM inqud.checkout;
DROP SCHEMA inqud_test CASCADE;
DROP OWNED BY regress_inqud_clerk;
DROP ROLE regress_inqud_clerk;
