--
-- Rows that UPDATE or MERGE moves to another partition are no new orders, whoever
-- moves them and by whatever statement; rows that are inserted are.
--
\getenv testdir PG_ABS_SRCDIR
\set common :testdir '/sql/common.psql'
\set ECHO none
\i :common
\set ECHO all
\pset null null

CREATE TABLE inqud_test.customers (id int PRIMARY KEY);
CREATE TABLE inqud_test.orders (id int, total numeric, place text, note text, customer int, PRIMARY KEY (id, place)) PARTITION BY LIST (place);
CREATE TABLE inqud_test.live PARTITION OF inqud_test.orders FOR VALUES IN ('live');
-- its columns stand in another order
CREATE TABLE inqud_test.gone (note text, place text NOT NULL, dropped int, id int NOT NULL, customer int, total numeric);
ALTER TABLE inqud_test.gone DROP COLUMN dropped;
ALTER TABLE inqud_test.orders ATTACH PARTITION inqud_test.gone FOR VALUES IN ('gone');
-- partitions of partitions
CREATE TABLE inqud_test.old PARTITION OF inqud_test.orders FOR VALUES IN ('old', 'older') PARTITION BY LIST (place);
CREATE TABLE inqud_test.old_1 PARTITION OF inqud_test.old FOR VALUES IN ('old');
CREATE TABLE inqud_test.old_2 PARTITION OF inqud_test.old FOR VALUES IN ('older');
CREATE ROLE regress_inqud_mover;
GRANT USAGE ON SCHEMA inqud_test TO regress_inqud_mover;
GRANT ALL ON ALL TABLES IN SCHEMA inqud_test TO regress_inqud_mover;

-- What stands where, and each order's checkouts: all are ended, so that a new one could be queued.
CREATE FUNCTION inqud_test.look_at(number text) RETURNS text LANGUAGE sql AS $$
  SELECT (SELECT string_agg(o.tableoid::regclass::text, ' ') FROM inqud_test.orders o WHERE o.id::text = number) || ': '
    || (SELECT coalesce(string_agg(c.state, ' ' ORDER BY c.id), 'no checkout') FROM inqud.checkout c WHERE c.order_id = number)
$$;
CREATE FUNCTION inqud_test.start(form text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM inqud.event;
  DELETE FROM inqud.queue;
  DELETE FROM inqud.checkout;
  DROP TRIGGER IF EXISTS pay ON inqud_test.orders;
  DELETE FROM inqud_test.orders;
  -- an order that is older than the trigger
  INSERT INTO inqud_test.orders VALUES (9, 9, 'live');
  EXECUTE format('CREATE %s ON inqud_test.orders %s EXECUTE FUNCTION inqud_order_trigger(''shop'', ''order_id={id}'', ''name=Order {id}'', ''return_url=https://shop.example/o/{id}'', ''amount={total}'', ''currency=USD'')',
    split_part(form, '|', 1), split_part(form, '|', 2));
  INSERT INTO inqud_test.orders VALUES (1, 10, 'live'), (2, 20, 'live'), (3, 30, 'live');
  SET CONSTRAINTS ALL IMMEDIATE;
  SET CONSTRAINTS ALL DEFERRED;
  UPDATE inqud.checkout SET state = 'closed', status = 'EXPIRED' WHERE order_id IN ('1', '2');
  UPDATE inqud.checkout SET state = 'closed', status = 'SUCCESS' WHERE order_id = '3';
  DELETE FROM inqud.queue;
  RETURN (SELECT string_agg(inqud_test.look_at(id::text), ', ' ORDER BY id) FROM inqud_test.orders);
END $$;

--
-- For each row
--
SELECT inqud_test.start('TRIGGER pay AFTER INSERT|FOR EACH ROW');
UPDATE inqud_test.orders SET place = 'gone';
SELECT inqud_test.look_at(i::text) FROM unnest(ARRAY[1, 2, 3, 9]) i;
-- With other values, even wrong ones, and of a role that has no right; on to a partition of a partition, and within it.
SET ROLE regress_inqud_mover;
UPDATE inqud_test.orders SET place = 'old', total = -1 WHERE id IN (1, 3);
UPDATE inqud_test.old SET place = 'older' WHERE id = 3;
WITH moved AS (UPDATE inqud_test.orders SET place = 'live' WHERE id = 2 RETURNING id) SELECT * FROM moved;
RESET ROLE;
SELECT inqud_test.look_at(i::text) FROM unnest(ARRAY[1, 2, 3, 9]) i;

-- By a function, a cursor, and a statement within a trigger.
CREATE FUNCTION inqud_test.move(number int, there text) RETURNS void LANGUAGE sql AS 'UPDATE inqud_test.orders SET place = there WHERE id = number';
SELECT inqud_test.move(1, 'gone');
DO $$
DECLARE
  o CURSOR FOR SELECT * FROM inqud_test.orders WHERE id = 1 FOR UPDATE;
BEGIN
  OPEN o;
  MOVE NEXT FROM o;
  UPDATE inqud_test.orders SET place = 'older' WHERE CURRENT OF o;
END $$;
CREATE FUNCTION inqud_test.on_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE inqud_test.orders SET place = 'gone' WHERE id = NEW.id; RETURN NULL; END $$;
CREATE TRIGGER zz AFTER UPDATE OF note ON inqud_test.orders FOR EACH ROW EXECUTE FUNCTION inqud_test.on_note();
UPDATE inqud_test.orders SET note = 'n' WHERE id = 1;
DROP TRIGGER zz ON inqud_test.orders;
SELECT inqud_test.look_at('1');
-- An order inserted within a move, and one moved within an insert.
CREATE FUNCTION inqud_test.on_move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO inqud_test.orders VALUES (NEW.id + 100, 1, 'gone'); RETURN NULL; END $$;
CREATE TRIGGER zz AFTER INSERT ON inqud_test.orders FOR EACH ROW WHEN (NEW.id < 100) EXECUTE FUNCTION inqud_test.on_move();
UPDATE inqud_test.orders SET place = 'live' WHERE id = 1;
DROP TRIGGER zz ON inqud_test.orders;
CREATE TRIGGER zz AFTER INSERT ON inqud_test.orders FOR EACH ROW WHEN (NEW.id > 100) EXECUTE FUNCTION inqud_test.on_note();
INSERT INTO inqud_test.orders VALUES (111, 1, 'old');
DROP TRIGGER zz ON inqud_test.orders;
SELECT inqud_test.look_at(i::text) FROM unnest(ARRAY[1, 101, 111]) i;
-- COPY within a move inserts.
CREATE FUNCTION inqud_test.on_copy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN COPY inqud_test.orders (id, total, place) FROM PROGRAM 'echo 121,1,gone' (FORMAT csv); RETURN NULL; END $$;
CREATE TRIGGER zz AFTER INSERT ON inqud_test.orders FOR EACH ROW WHEN (NEW.id = 2) EXECUTE FUNCTION inqud_test.on_copy();
UPDATE inqud_test.orders SET place = 'gone' WHERE id = 2;
DROP TRIGGER zz ON inqud_test.orders;
SELECT inqud_test.look_at(i::text) FROM unnest(ARRAY[2, 121]) i;

-- What inserts: ON CONFLICT, which moves nothing, COPY, a partition by its name; and an order again is one.
INSERT INTO inqud_test.orders VALUES (131, 1, 'old'), (1, 10, 'live') ON CONFLICT (id, place) DO UPDATE SET note = 'kept';
COPY inqud_test.orders FROM stdin;
132	1	old	\N	\N
\.
INSERT INTO inqud_test.old_1 VALUES (133, 1, 'old');
INSERT INTO inqud_test.old VALUES (134, 1, 'older');
SELECT inqud_test.look_at(i::text) FROM generate_series(131, 134) i;
INSERT INTO inqud_test.orders VALUES (131, 1, 'live');
COPY inqud_test.orders FROM stdin;
132	1	live	\N	\N
133	1	live	\N	\N
\.
SELECT inqud_test.said($$INSERT INTO inqud_test.orders VALUES (133, 2, 'gone')$$);
-- A WITH that changes another table moves nothing here.
WITH c AS (UPDATE inqud_test.customers SET id = id) INSERT INTO inqud_test.orders VALUES (134, 1, 'live');
SELECT checkout, order_id, trouble FROM inqud.trouble WHERE trouble = 'again' ORDER BY order_id;

-- A MERGE that inserts only, one that moves only, one that could insert and does not: known.
SELECT inqud_test.start('TRIGGER pay AFTER INSERT|FOR EACH ROW');
MERGE INTO inqud_test.orders o USING (VALUES (1, 'gone'), (11, 'gone')) AS n (id, place) ON o.id = n.id WHEN NOT MATCHED THEN INSERT VALUES (n.id, 5, n.place);
MERGE INTO inqud_test.orders o USING (VALUES (1, 'gone'), (9, 'gone')) AS n (id, place) ON o.id = n.id WHEN MATCHED THEN UPDATE SET place = n.place;
SET ROLE regress_inqud_mover;
MERGE INTO inqud_test.orders o USING (VALUES (2, 'gone'), (9, 'old')) AS n (id, place) ON o.id = n.id WHEN MATCHED THEN UPDATE SET place = n.place, total = -1 WHEN NOT MATCHED THEN INSERT VALUES (n.id, 5, n.place);
RESET ROLE;
SELECT inqud_test.look_at(i::text) FROM unnest(ARRAY[1, 2, 9, 11]) i;
-- One that does both: an order that has a checkout is left alone, one that has none is queued.
MERGE INTO inqud_test.orders o USING (VALUES (1, 'live'), (2, 'live'), (3, 'gone'), (12, 'live')) AS n (id, place) ON o.id = n.id
  WHEN MATCHED THEN UPDATE SET place = n.place, total = 99 WHEN NOT MATCHED THEN INSERT VALUES (n.id, 5, n.place);
SELECT inqud_test.look_at(i::text) FROM unnest(ARRAY[1, 2, 3, 12]) i;
UPDATE inqud_test.orders SET total = 9 WHERE id = 9;
-- The price: so is one that is older than the trigger.  Who has no right cannot add an order so, and can move those that have a checkout.
MERGE INTO inqud_test.orders o USING (VALUES (9, 'gone'), (13, 'live')) AS n (id, place) ON o.id = n.id
  WHEN MATCHED THEN UPDATE SET place = n.place WHEN NOT MATCHED THEN INSERT VALUES (n.id, 5, n.place);
SELECT inqud_test.look_at(i::text) FROM unnest(ARRAY[9, 13]) i;
SET ROLE regress_inqud_mover;
SELECT inqud_test.said($$MERGE INTO inqud_test.orders o USING (VALUES (1, 'old'), (14, 'live')) AS n (id, place) ON o.id = n.id
  WHEN MATCHED THEN UPDATE SET place = n.place WHEN NOT MATCHED THEN INSERT VALUES (n.id, 5, n.place)$$);
RESET ROLE;
-- WITH that moves beside an INSERT, and the other way round.
WITH m AS (UPDATE inqud_test.orders SET place = 'older' WHERE id IN (1, 3) RETURNING id) INSERT INTO inqud_test.orders VALUES (15, 5, 'live');
WITH n AS (INSERT INTO inqud_test.orders VALUES (16, 5, 'live') RETURNING id) UPDATE inqud_test.orders SET place = 'older' WHERE id = 2;
SELECT inqud_test.look_at(i::text) FROM unnest(ARRAY[1, 2, 3, 15, 16]) i;
SELECT count(*) FROM inqud.event WHERE kind = 'again';

-- A foreign key that changes the partition.
SELECT inqud_test.start('TRIGGER pay AFTER INSERT|FOR EACH ROW');
CREATE TABLE inqud_test.places (place text PRIMARY KEY);
INSERT INTO inqud_test.places VALUES ('live'), ('old'), ('older');
ALTER TABLE inqud_test.orders ADD FOREIGN KEY (place) REFERENCES inqud_test.places ON UPDATE CASCADE;
UPDATE inqud_test.places SET place = 'gone' WHERE place = 'live';
SELECT inqud_test.look_at(i::text) FROM unnest(ARRAY[1, 2, 3, 9]) i;
DROP TABLE inqud_test.places CASCADE;

--
-- For each statement
--
SELECT inqud_test.start('TRIGGER pay AFTER INSERT|REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT');
UPDATE inqud_test.orders SET place = 'gone' WHERE id IN (1, 2, 9);
SET ROLE regress_inqud_mover;
MERGE INTO inqud_test.orders o USING (VALUES (1, 'old'), (2, 'old')) AS n (id, place) ON o.id = n.id WHEN MATCHED THEN UPDATE SET place = n.place, total = -1 WHEN NOT MATCHED THEN INSERT VALUES (n.id, 5, n.place);
RESET ROLE;
MERGE INTO inqud_test.orders o USING (VALUES (1, 'live'), (3, 'gone'), (11, 'live')) AS n (id, place) ON o.id = n.id WHEN MATCHED THEN UPDATE SET place = n.place WHEN NOT MATCHED THEN INSERT VALUES (n.id, 5, n.place);
SELECT inqud_test.look_at(i::text) FROM unnest(ARRAY[1, 2, 3, 9, 11]) i;
-- The transition table of an INSERT has what it inserts, whatever its WITH moves.
WITH m AS (UPDATE inqud_test.orders SET place = 'older' WHERE id = 2) INSERT INTO inqud_test.orders VALUES (12, 5, 'live'), (11, 5, 'gone');
SELECT inqud_test.look_at(i::text) FROM unnest(ARRAY[2, 12]) i;

--
-- Deferred to the commit: the statement is over, and the facts decide.
--
SELECT inqud_test.start('CONSTRAINT TRIGGER pay AFTER INSERT|DEFERRABLE INITIALLY DEFERRED FOR EACH ROW');
SET ROLE regress_inqud_mover;
UPDATE inqud_test.orders SET place = 'gone', total = -1 WHERE id IN (1, 2, 3);
RESET ROLE;
-- Inserted and moved by one transaction: one order.
BEGIN;
INSERT INTO inqud_test.orders VALUES (11, 1, 'live');
UPDATE inqud_test.orders SET place = 'gone', total = 2 WHERE id = 11;
UPDATE inqud_test.orders SET place = 'old', total = 3 WHERE id = 11;
UPDATE inqud_test.orders SET total = 4 WHERE id = 11;
COMMIT;
BEGIN;
INSERT INTO inqud_test.orders VALUES (12, 1, 'live');
UPDATE inqud_test.orders SET place = 'gone' WHERE id = 12;
DELETE FROM inqud_test.orders WHERE id = 12;
COMMIT;
SELECT inqud_test.look_at(i::text) FROM unnest(ARRAY[1, 2, 3, 11]) i;
SELECT order_id, amount FROM inqud.checkout WHERE order_id IN ('11', '12');

DELETE FROM inqud.queue;
DELETE FROM inqud.checkout;
DROP SCHEMA inqud_test CASCADE;
DROP OWNED BY regress_inqud_mover;
DROP ROLE regress_inqud_mover;
