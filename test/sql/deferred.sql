--
-- A deferred constraint trigger queues the row as it is at the commit: whatever
-- the transaction did to it, once, and nothing for one that is gone.
--
\getenv testdir PG_ABS_SRCDIR
\set common :testdir '/sql/common.psql'
\set ECHO none
\i :common
\set ECHO all
\pset null null

CREATE TABLE inqud_test.orders (id int PRIMARY KEY, total numeric, note text, other int UNIQUE) WITH (fillfactor = 50);
CREATE TABLE inqud_test.items (orders int REFERENCES inqud_test.orders (id), price numeric);
CREATE CONSTRAINT TRIGGER pay AFTER INSERT OR UPDATE ON inqud_test.orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name=Order {id}', 'return_url=https://shop.example/o/{id}', 'amount={total}', 'currency=USD');
CREATE FUNCTION inqud_test.queued() RETURNS SETOF text LANGUAGE sql AS $$
  WITH gone AS (DELETE FROM inqud.checkout RETURNING *), unqueued AS (DELETE FROM inqud.queue), said AS (DELETE FROM inqud.event RETURNING *)
  SELECT concat_ws('|', c.order_id, c.name, coalesce(c.amount::text, '-'), (SELECT string_agg(e.kind, ' ') FROM said e WHERE e.checkout = c.id)) FROM gone c ORDER BY c.id
$$;

-- Parent first, total later.
BEGIN;
INSERT INTO inqud_test.orders (id) VALUES (1);
UPDATE inqud_test.orders SET total = 49.90 WHERE id = 1;
COMMIT;
SELECT inqud_test.queued();

-- Many updates: in place and to other pages, with and without change of an index, locked by a foreign key's check and by hand.
BEGIN;
INSERT INTO inqud_test.orders (id) SELECT i FROM generate_series(2, 100) i;
SELECT id FROM inqud_test.orders WHERE id = 50 FOR UPDATE;
INSERT INTO inqud_test.items VALUES (50, 1);
UPDATE inqud_test.orders SET total = 1, note = repeat('x', 500);
UPDATE inqud_test.orders SET total = 2, other = id;
SAVEPOINT s;
SELECT id FROM inqud_test.orders WHERE id = 50 FOR NO KEY UPDATE;
UPDATE inqud_test.orders SET total = 3, other = id + 1000, note = repeat('y', 1000);
INSERT INTO inqud_test.items VALUES (50, 1);
RELEASE s;
UPDATE inqud_test.orders SET total = 4;
SELECT id FROM inqud_test.orders WHERE id = 50 FOR KEY SHARE;
COMMIT;
SELECT count(*), count(DISTINCT order_id), min(amount), max(amount) FROM inqud.checkout;
SELECT count(*) FROM inqud_test.queued();

-- Savepoints that are rolled back: an update, an update of an update, a deletion, an insertion.
BEGIN;
INSERT INTO inqud_test.orders (id, total) VALUES (201, 1), (202, 1), (203, 1), (204, 1);
INSERT INTO inqud_test.items VALUES (204, 1);
UPDATE inqud_test.orders SET total = 2 WHERE id = 202;
SAVEPOINT s;
UPDATE inqud_test.orders SET total = 10 WHERE id BETWEEN 201 AND 204;
INSERT INTO inqud_test.items VALUES (204, 1);
DELETE FROM inqud_test.orders WHERE id = 203;
INSERT INTO inqud_test.orders (id, total) VALUES (205, 5);
ROLLBACK TO s;
UPDATE inqud_test.orders SET total = 3 WHERE id = 202;
INSERT INTO inqud_test.orders (id, total) VALUES (206, 6);
COMMIT;
SELECT inqud_test.queued();

-- Gone at the commit.
BEGIN;
INSERT INTO inqud_test.orders (id, total) VALUES (301, 1), (302, 1);
UPDATE inqud_test.orders SET total = 2 WHERE id = 302;
DELETE FROM inqud_test.orders WHERE id IN (301, 302);
COMMIT;
-- ... and another row of that number there: it is found by its place, and the number by its last state.
BEGIN;
INSERT INTO inqud_test.orders (id, total) VALUES (303, 1);
DELETE FROM inqud_test.orders WHERE id = 303;
INSERT INTO inqud_test.orders (id, total) VALUES (303, 2), (305, 5);
UPDATE inqud_test.orders SET id = 304 WHERE id = 303;
INSERT INTO inqud_test.orders (id, total) VALUES (303, 3);
COMMIT;
SELECT inqud_test.queued();

-- Before the commit, and once more afterwards.
BEGIN;
INSERT INTO inqud_test.orders (id, total) VALUES (401, 1);
SAVEPOINT s;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT order_id, amount FROM inqud.checkout;
ROLLBACK TO s;
UPDATE inqud_test.orders SET total = 2 WHERE id = 401;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT order_id, amount FROM inqud.checkout;
UPDATE inqud_test.orders SET note = 'later' WHERE id = 401;
COMMIT;
SELECT inqud_test.queued();

-- What a later deferred trigger changes comes too late; what an earlier one changes counts.
CREATE FUNCTION inqud_test.sum_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE inqud_test.orders SET total = 77 WHERE id = NEW.id; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER early AFTER INSERT ON inqud_test.orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION inqud_test.sum_up();
INSERT INTO inqud_test.orders (id) VALUES (501);
DROP TRIGGER early ON inqud_test.orders;
SELECT inqud_test.queued();

-- An order of an earlier transaction: compared with what it was, however often it was changed.
INSERT INTO inqud_test.orders (id, total) VALUES (601, 1), (602, 1);
UPDATE inqud.checkout SET state = 'closed', status = 'EXPIRED';
BEGIN;
UPDATE inqud_test.orders SET total = 5 WHERE id = 601;
UPDATE inqud_test.orders SET total = 1 WHERE id = 601;
UPDATE inqud_test.orders SET total = 2 WHERE id = 602;
UPDATE inqud_test.orders SET total = 3 WHERE id = 602;
COMMIT;
SELECT order_id, state, amount FROM inqud.checkout ORDER BY id;
SELECT count(*) FROM inqud_test.queued();

-- The same number twice in one transaction: one WARNING at the commit.
ALTER TABLE inqud_test.items DROP CONSTRAINT items_orders_fkey;
ALTER TABLE inqud_test.orders DROP CONSTRAINT orders_pkey;
BEGIN;
INSERT INTO inqud_test.orders (id, total) VALUES (701, 1), (701, 1);
INSERT INTO inqud_test.orders (id, total) VALUES (702, 1), (702, 1), (702, 1);
COMMIT;
SELECT inqud_test.queued();

-- A place in the table that another order had before a TRUNCATE.
TRUNCATE inqud_test.orders;
BEGIN;
SET CONSTRAINTS ALL IMMEDIATE;
INSERT INTO inqud_test.orders (id, total) VALUES (751, 1);
TRUNCATE inqud_test.orders;
INSERT INTO inqud_test.orders (id, total) VALUES (752, 1);
COMMIT;
SELECT inqud_test.queued();

-- In two phases.
BEGIN;
INSERT INTO inqud_test.orders (id) VALUES (801);
UPDATE inqud_test.orders SET total = 8 WHERE id = 801;
SELECT count(*) FROM inqud.checkout;
ROLLBACK;

DELETE FROM inqud.queue;
DELETE FROM inqud.checkout;
DROP SCHEMA inqud_test CASCADE;
