--
-- inqud_order_trigger: both forms, its arguments, templates over columns of
-- many types, bulk inserts, and what it refuses to be.
--
\getenv testdir PG_ABS_SRCDIR
\set common :testdir '/sql/common.psql'
\set ECHO none
\i :common
\set ECHO all
\pset null null

CREATE TABLE inqud_test.orders (id int, total numeric, currency text DEFAULT 'USD', title text, until timestamptz);
CREATE FUNCTION inqud_test.queued() RETURNS SETOF text
LANGUAGE sql AS $$
  WITH gone AS (DELETE FROM inqud.checkout RETURNING *), unqueued AS (DELETE FROM inqud.queue RETURNING checkout)
  SELECT concat_ws('|', CASE WHEN u.checkout IS NULL THEN 'NOT QUEUED' END, c.project, c.order_id, c.name, c.return_url, c.type,
    coalesce(c.amount::text, '-'), coalesce(c.currency, '-'), coalesce(c.expires_at::text, '-'))
  FROM gone c LEFT JOIN unqueued u ON u.checkout = c.id ORDER BY c.id
$$;

--
-- For each row
--
CREATE TRIGGER pay AFTER INSERT ON inqud_test.orders FOR EACH ROW EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name=Order {id}', 'return_url=https://shop.example/orders/{id}', 'amount={total}', 'currency={currency}', 'expires_at={until}');
INSERT INTO inqud_test.orders VALUES (1, 10.50);
INSERT INTO inqud_test.orders VALUES (2, 7, 'EUR', NULL, '2999-01-01 00:00:00.5+00'), (4, 0.000000000000000001, 'BTC', NULL, NULL);
SELECT inqud_test.queued();

-- The commit of the order is the commit of the checkout.
BEGIN;
INSERT INTO inqud_test.orders VALUES (5, 1);
SAVEPOINT s;
INSERT INTO inqud_test.orders VALUES (6, 1);
ROLLBACK TO s;
COMMIT;
BEGIN;
INSERT INTO inqud_test.orders VALUES (7, 1);
ROLLBACK;
SELECT inqud_test.queued();

-- A row that is not inserted has no checkout; COPY has.
CREATE UNIQUE INDEX orders_id ON inqud_test.orders (id);
INSERT INTO inqud_test.orders VALUES (1, 99), (8, 1) ON CONFLICT DO NOTHING;
COPY inqud_test.orders FROM stdin;
9	1.5	usd	nine	\N
10	10	USD	ten	2999-01-01
\.
MERGE INTO inqud_test.orders o USING (VALUES (10), (11)) AS n (id) ON o.id = n.id WHEN NOT MATCHED THEN INSERT VALUES (n.id, 3) WHEN MATCHED THEN UPDATE SET title = 'merged';
SELECT inqud_test.queued();

-- The order is refused with what is wrong in its checkout.
SELECT inqud_test.said('INSERT INTO inqud_test.orders VALUES (20, NULL)');
SELECT inqud_test.said('INSERT INTO inqud_test.orders VALUES (20, 0)');
SELECT inqud_test.said('INSERT INTO inqud_test.orders VALUES (20, -1)');
SELECT inqud_test.said('INSERT INTO inqud_test.orders VALUES (20, 1, NULL)');
SELECT inqud_test.said('INSERT INTO inqud_test.orders VALUES (NULL, 1)');
SELECT inqud_test.said('INSERT INTO inqud_test.orders VALUES (20, 1, ''USD'', NULL, ''2001-01-01'')');
SELECT count(*) FROM inqud_test.orders WHERE id = 20 OR id IS NULL;

-- An order again: the same is the same, another is refused.
DROP INDEX inqud_test.orders_id;
INSERT INTO inqud_test.orders VALUES (30, 1), (30, 1.0);
SELECT inqud_test.said('INSERT INTO inqud_test.orders VALUES (31, 1), (30, 2)');
SELECT inqud_test.queued();

-- Many at once are recorded together at the end of the statement, in their order, some of them known.
INSERT INTO inqud_test.orders SELECT i, i FROM generate_series(1001, 3501) i;
INSERT INTO inqud_test.orders SELECT i, i FROM generate_series(3501, 3400, -1) i UNION ALL SELECT 900, 900 UNION ALL SELECT 900, 900.0;
SELECT count(*), count(DISTINCT order_id), sum(amount), count(q.checkout), bool_and(c.order_id = '900' OR c.id - f.id = c.order_id::int - 1001)
  FROM inqud.checkout c LEFT JOIN inqud.queue q ON q.checkout = c.id AND q.kind = 'create', (SELECT min(id) AS id FROM inqud.checkout) f;
SELECT inqud_test.said('INSERT INTO inqud_test.orders SELECT i, CASE WHEN i = 6500 THEN 0 ELSE i END FROM generate_series(5001, 6501) i');
SELECT inqud_test.said('INSERT INTO inqud_test.orders VALUES (800, 3), (1001, 5), (801, 6)');
SELECT count(*) FROM inqud.checkout;
DELETE FROM inqud.queue;
DELETE FROM inqud.checkout;
-- A statement within the statement, one that is undone, another role, and a failure that is caught.
CREATE ROLE regress_inqud_seller;
GRANT USAGE ON SCHEMA inqud_test TO regress_inqud_seller;
GRANT CREATE ON SCHEMA inqud_test TO regress_inqud_seller;
GRANT INSERT ON inqud_test.orders TO regress_inqud_seller;
GRANT USAGE ON FOREIGN SERVER shop TO regress_inqud_seller;
CREATE TABLE inqud_test.carts (id int);
CREATE FUNCTION inqud_test.sell() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  INSERT INTO inqud_test.orders VALUES (NEW.id, 1), (NEW.id + 1, 1);
  BEGIN
    INSERT INTO inqud_test.orders VALUES (NEW.id + 2, 1), (NEW.id + 3, 1);
    INSERT INTO inqud_test.orders VALUES (NEW.id + 4, 1), (NEW.id + 5, 0);
  EXCEPTION WHEN OTHERS THEN
    INSERT INTO inqud_test.orders VALUES (NEW.id + 6, 1), (NEW.id + 7, 1);
  END;
  RETURN NULL;
END $$;
ALTER FUNCTION inqud_test.sell() OWNER TO regress_inqud_seller;
CREATE TRIGGER sell AFTER INSERT ON inqud_test.carts FOR EACH ROW EXECUTE FUNCTION inqud_test.sell();
WITH cart AS (INSERT INTO inqud_test.carts VALUES (7100), (7200))
  INSERT INTO inqud_test.orders VALUES (7001, 1), (7002, 1), (7003, 1);
SELECT owner = 'regress_inqud_seller' AS seller, array_agg(order_id ORDER BY id) FROM inqud.checkout GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM inqud_test.queued();
DROP TABLE inqud_test.carts;
DROP FUNCTION inqud_test.sell();
-- Another trigger of the same rows finds the checkout.
CREATE FUNCTION inqud_test.look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM inqud.checkout WHERE order_id = NEW.id::text) THEN
    RAISE 'no checkout of order %', NEW.id;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER zz AFTER INSERT ON inqud_test.orders FOR EACH ROW EXECUTE FUNCTION inqud_test.look();
INSERT INTO inqud_test.orders VALUES (7301, 1), (7302, 1);
DROP TRIGGER zz ON inqud_test.orders;
-- So does one of another table that the same statement fills.
CREATE TABLE inqud_test.items (id int);
CREATE TRIGGER zz AFTER INSERT ON inqud_test.items FOR EACH ROW EXECUTE FUNCTION inqud_test.look();
WITH o AS (INSERT INTO inqud_test.orders VALUES (7311, 1), (7312, 1) RETURNING id)
  INSERT INTO inqud_test.items SELECT id FROM o;
DROP TABLE inqud_test.items;
SELECT inqud_test.queued();
-- Two triggers of ours, and two projects in one statement.
CREATE TRIGGER pay_other AFTER INSERT ON inqud_test.orders FOR EACH ROW WHEN (NEW.id % 2 = 0) EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id=again-{id}', 'name=Other', 'return_url=https://shop.example');
INSERT INTO inqud_test.orders VALUES (7401, 1), (7402, 1), (7403, 1);
DROP TRIGGER pay_other ON inqud_test.orders;
CREATE SERVER shop2 FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-11111111-2222-4333-8444-555555555556');
CREATE USER MAPPING FOR PUBLIC SERVER shop2 OPTIONS (token_id 'TKN-2', token_secret 'secret');
CREATE TABLE inqud_test.others (id int);
CREATE TRIGGER pay AFTER INSERT ON inqud_test.others FOR EACH ROW EXECUTE FUNCTION
  inqud_order_trigger('shop2', 'order_id={id}', 'name=Other', 'return_url=https://shop.example');
WITH other AS (INSERT INTO inqud_test.others VALUES (7501), (7502) RETURNING id)
  INSERT INTO inqud_test.orders SELECT id + 10, 1 FROM other;
SELECT inqud_test.queued();
DROP TABLE inqud_test.others;
DROP SERVER shop2 CASCADE;
DELETE FROM inqud_test.orders WHERE id > 100;
DROP OWNED BY regress_inqud_seller;
DROP ROLE regress_inqud_seller;
DROP TRIGGER pay ON inqud_test.orders;

-- With a condition, and deferred to the commit.
CREATE TRIGGER pay AFTER INSERT ON inqud_test.orders FOR EACH ROW WHEN (NEW.total > 5) EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name=Big', 'return_url=https://shop.example');
INSERT INTO inqud_test.orders VALUES (40, 5), (41, 6), (42, NULL);
SELECT inqud_test.queued();
DROP TRIGGER pay ON inqud_test.orders;
CREATE CONSTRAINT TRIGGER pay AFTER INSERT ON inqud_test.orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name=Late', 'return_url=https://shop.example');
BEGIN;
INSERT INTO inqud_test.orders VALUES (43, 1);
SELECT count(*) FROM inqud.checkout;
COMMIT;
SELECT inqud_test.queued();
DROP TRIGGER pay ON inqud_test.orders;

-- On a partition: a trigger of the whole table, which runs within the statement, finds the checkouts.
CREATE TABLE inqud_test.parted (id int) PARTITION BY RANGE (id);
CREATE TABLE inqud_test.part PARTITION OF inqud_test.parted FOR VALUES FROM (1) TO (100);
CREATE TABLE inqud_test.parted_seen (n bigint);
CREATE FUNCTION inqud_test.look_at_parted() RETURNS trigger
LANGUAGE plpgsql AS $$ BEGIN INSERT INTO inqud_test.parted_seen SELECT count(*) FROM inqud.checkout; RETURN NULL; END $$;
CREATE TRIGGER pay AFTER INSERT ON inqud_test.parted FOR EACH ROW EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name=Part', 'return_url=https://shop.example');
CREATE TRIGGER pay_seen AFTER INSERT ON inqud_test.parted FOR EACH STATEMENT EXECUTE FUNCTION inqud_test.look_at_parted();
INSERT INTO inqud_test.parted VALUES (44), (45);
SELECT n FROM inqud_test.parted_seen;
SELECT inqud_test.queued();
DROP TABLE inqud_test.parted, inqud_test.parted_seen;

-- After an update.
CREATE TRIGGER pay AFTER UPDATE OF total ON inqud_test.orders FOR EACH ROW WHEN (OLD.total IS NULL) EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name={title}', 'return_url=https://shop.example', 'amount={total}', 'currency={currency}');
INSERT INTO inqud_test.orders VALUES (50, NULL, 'USD', 'old');
UPDATE inqud_test.orders SET title = 'older' WHERE id = 50;
UPDATE inqud_test.orders SET title = 'new', total = 12 WHERE id = 50;
UPDATE inqud_test.orders SET total = 13 WHERE id = 50;
SELECT inqud_test.queued();
DROP TRIGGER pay ON inqud_test.orders;

--
-- For each statement
--
CREATE TRIGGER pay AFTER INSERT ON inqud_test.orders REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name=Order {id}', 'return_url=https://shop.example', 'amount={total}', 'currency={currency}');
TRUNCATE inqud_test.orders;
INSERT INTO inqud_test.orders SELECT i, i FROM generate_series(1, 3) i;
INSERT INTO inqud_test.orders SELECT 0 WHERE false;
COPY inqud_test.orders FROM stdin;
4	1.5	EUR	four	\N
5	5	USD	five	\N
\.
SELECT inqud_test.queued();

-- A single row, alone and behind a full batch.
INSERT INTO inqud_test.orders VALUES (6, 6);
INSERT INTO inqud_test.orders SELECT i, i FROM generate_series(10001, 11001) i;
SELECT count(*), min(order_id::int), max(order_id::int) FROM inqud.checkout;
DELETE FROM inqud.queue;
DELETE FROM inqud.checkout;
DELETE FROM inqud_test.orders WHERE id > 5;

-- More than one batch of it.
INSERT INTO inqud_test.orders SELECT i, i FROM generate_series(1001, 3501) i;
SELECT count(*), count(DISTINCT order_id), sum(amount), count(q.checkout) FROM inqud.checkout c LEFT JOIN inqud.queue q ON q.checkout = c.id AND q.kind = 'create';
-- ... all of them known, or some.
INSERT INTO inqud_test.orders SELECT i, i FROM generate_series(1001, 2501) i;
INSERT INTO inqud_test.orders SELECT i, i FROM generate_series(1000, 1002) i;
INSERT INTO inqud_test.orders VALUES (1, 1), (1, 1.00), (2, 2), (1, 1);
SELECT count(*), count(DISTINCT order_id), sum(amount), count(q.checkout) FROM inqud.checkout c LEFT JOIN inqud.queue q ON q.checkout = c.id AND q.kind = 'create';
-- One bad row refuses the statement.
SELECT inqud_test.said('INSERT INTO inqud_test.orders SELECT i, CASE WHEN i = 5500 THEN 0 ELSE i END FROM generate_series(5001, 5501) i');
SELECT inqud_test.said('INSERT INTO inqud_test.orders VALUES (3, 3), (1001, 5), (6, 6)');
SELECT count(*) FROM inqud.checkout;
DELETE FROM inqud.queue;
DELETE FROM inqud.checkout;
DROP TRIGGER pay ON inqud_test.orders;
CREATE TRIGGER pay AFTER UPDATE ON inqud_test.orders REFERENCING OLD TABLE AS before NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name={title}', 'return_url=https://shop.example');
UPDATE inqud_test.orders SET title = 'updated ' || id WHERE id IN (4, 5);
SELECT inqud_test.queued();
DROP TRIGGER pay ON inqud_test.orders;

--
-- Templates
--
CREATE FUNCTION inqud_test.template(template text, key text DEFAULT 'name') RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
  answer text;
BEGIN
  EXECUTE format('CREATE TRIGGER pay AFTER INSERT ON inqud_test.orders FOR EACH ROW EXECUTE FUNCTION inqud_order_trigger(%s%L)',
    concat('''shop'', ', CASE WHEN key <> 'order_id' THEN '''order_id={id}'', ' END, CASE WHEN key <> 'name' THEN '''name=n'', ' END,
      CASE WHEN key <> 'return_url' THEN '''return_url=https://shop.example'', ' END), key || '=' || template);
  answer := inqud_test.said('INSERT INTO inqud_test.orders VALUES (1, 5, ''USD'', ''{id} of %s'', ''2999-01-01'')');
  DROP TRIGGER pay ON inqud_test.orders;
  IF answer <> 'ok' THEN
    RETURN NEXT answer;
  END IF;
  RETURN QUERY SELECT inqud_test.queued();
END $$;
SELECT t, inqud_test.template(t) FROM unnest(ARRAY['plain', '{title}', 'a {id} b {total}{currency}', '{id}{id}', '{{id}}', '{{{id}}}', '}}{{', 'a=b={id}',
  '{{{{', '{title} {until}', '%s %L', repeat('{{', 30)]) AS t;
SELECT t, inqud_test.template(t) FROM unnest(ARRAY['', '{', '}', '{}', '{id', 'id}', '{id}}', '{{id}', '{i{d}', '{nothing}', '{ID}', '{ id}', '{ctid}', '{tableoid}', '{id,total}', '{"id"}']) AS t;
SELECT left(inqud_test.template(repeat('x', 20000)), 60);
SELECT k, t, inqud_test.template(t, k) FROM (VALUES ('order_id', 'shop-{id}'), ('order_id', '{until}'), ('return_url', 'https://shop.example/?o={id}&t={{}}'), ('return_url', '{title}'),
  ('type', 'SUGGESTED_FIXED_PRICE'), ('type', '{title}'), ('type', 'FIXED_PRICE'), ('currency', 'USD'), ('expires_at', '2999-01-02 03:04:05+00'), ('expires_at', 'soon'), ('expires_at', '')) AS v (k, t);

--
-- Arguments
--
CREATE FUNCTION inqud_test.arguments(arguments text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  answer text;
BEGIN
  answer := inqud_test.said(format('CREATE TRIGGER pay AFTER INSERT ON inqud_test.orders FOR EACH ROW EXECUTE FUNCTION inqud_order_trigger(%s)', arguments));
  IF answer = 'ok' THEN
    answer := inqud_test.said('INSERT INTO inqud_test.orders VALUES (1, 5)');
    DROP TRIGGER pay ON inqud_test.orders;
  END IF;
  RETURN answer;
END $$;
SELECT inqud_test.arguments($$$$);
SELECT inqud_test.arguments($$'shop'$$);
SELECT inqud_test.arguments($$'shop', 'order_id={id}', 'name=n'$$);
SELECT inqud_test.arguments($$'shop', 'return_url=https://shop.example', 'name=n'$$);
SELECT inqud_test.arguments($$'shop', 'order_id={id}', 'return_url=https://shop.example'$$);
SELECT inqud_test.arguments($$'order_id={id}', 'name=n', 'return_url=https://shop.example'$$);
SELECT inqud_test.arguments($$'', 'order_id={id}', 'name=n', 'return_url=https://shop.example'$$);
SELECT inqud_test.arguments($$'nowhere', 'order_id={id}', 'name=n', 'return_url=https://shop.example'$$);
SELECT inqud_test.arguments($$'shop', 'order_id={id}', 'name=n', 'return_url=https://shop.example', 'name=m'$$);
SELECT inqud_test.arguments($$'shop', 'order_id={id}', 'name=n', 'return_url=https://shop.example', 'colour=red'$$);
SELECT inqud_test.arguments($$'shop', 'order_id={id}', 'name=n', 'return_url=https://shop.example', 'extra={}'$$);
SELECT inqud_test.arguments($$'shop', 'order_id={id}', 'name=n', 'return_url=https://shop.example', 'Amount={total}'$$);
SELECT inqud_test.arguments($$'shop', 'order_id={id}', 'name=n', 'return_url=https://shop.example', ' amount={total}'$$);
SELECT inqud_test.arguments($$'shop', 'order_id={id}', 'name', 'return_url=https://shop.example'$$);
SELECT inqud_test.arguments($$'shop', 'order_id={id}', '', 'return_url=https://shop.example'$$);
SELECT inqud_test.arguments($$'shop', 'order_id={id}', '=n', 'return_url=https://shop.example'$$);
SELECT inqud_test.arguments($$'shop', 'order_id={id}', 'name=n', 'return_url=https://shop.example', 'amount={total}'$$);
SELECT inqud_test.arguments($$'shop', 'order_id={id}', 'name=n', 'return_url=https://shop.example', 'amount=5', 'currency=USD'$$);
SELECT inqud_test.queued();

--
-- Columns of other types
--
CREATE DOMAIN inqud_test.price AS numeric(12, 2) CHECK (VALUE >= 0);
CREATE TABLE inqud_test.types (gone int, key uuid, n int, big bigint, f double precision, t text, d inqud_test.price, ts timestamp, day date, "Odd name" varchar(20), twice numeric GENERATED ALWAYS AS (n::numeric * 2) STORED, j jsonb, flag boolean);
ALTER TABLE inqud_test.types DROP COLUMN gone;
CREATE FUNCTION inqud_test.typed(amount text, rest text DEFAULT 'expires_at=2999-01-01 00:00:00+00', id text DEFAULT 'order_id={key}') RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
  answer text;
BEGIN
  EXECUTE format('CREATE TRIGGER pay AFTER INSERT ON inqud_test.types FOR EACH ROW EXECUTE FUNCTION
    inqud_order_trigger(''shop'', %L, ''name={Odd name}'', ''return_url=https://shop.example'', ''currency=USD'', %L, %L)', id, amount, rest);
  answer := inqud_test.said($i$INSERT INTO inqud_test.types VALUES ('00000000-0000-0000-0000-000000000001', 2147483647, 9223372036854775807, 0.1, ' 12.50 ', 3.4, '2999-07-01 12:00', '2999-07-01', 'O''dd {t}', DEFAULT, '{"a": 1}', true)$i$);
  DROP TRIGGER pay ON inqud_test.types;
  IF answer <> 'ok' THEN
    RETURN NEXT answer;
  END IF;
  RETURN QUERY SELECT inqud_test.queued();
END $$;
SET timezone = 'UTC';
SELECT a, inqud_test.typed(a) FROM unnest(ARRAY['amount={n}', 'amount={big}', 'amount={f}', 'amount={t}', 'amount={d}', 'amount={twice}', 'amount={n}.{n}', 'amount={day}', 'amount={Odd name}', 'amount={flag}']) AS a;
SELECT a, inqud_test.typed('amount=1', a) FROM unnest(ARRAY['expires_at={ts}', 'expires_at={day}', 'expires_at={day} 12:00+02']) AS a;
-- Settings of the session change none of them.
SET datestyle = 'SQL, DMY';
SELECT a, inqud_test.typed('amount=1', a) FROM unnest(ARRAY['expires_at={ts}', 'expires_at={day}']) AS a;
RESET datestyle;
SELECT a, inqud_test.typed('amount=1', id => a) FROM unnest(ARRAY['order_id={big}', 'order_id={j}', 'order_id={flag}', 'order_id={........pg.dropped.1........}']) AS a;

-- Nulls: alone they stay null, beside text they are empty.
CREATE TRIGGER pay AFTER INSERT ON inqud_test.types FOR EACH ROW EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id=a{key}', 'name=[{t}]', 'return_url=https://shop.example', 'amount={n}', 'currency={Odd name}', 'type=NO_PRICE', 'expires_at={day}');
INSERT INTO inqud_test.types DEFAULT VALUES;
SELECT inqud_test.queued();
DROP TRIGGER pay ON inqud_test.types;
CREATE TRIGGER pay AFTER INSERT ON inqud_test.types FOR EACH ROW EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id=1', 'name={t}', 'return_url={t}', 'amount={t}{t}');
SELECT inqud_test.said('INSERT INTO inqud_test.types DEFAULT VALUES');
DROP TRIGGER pay ON inqud_test.types;

-- A column that goes away, or gets another name, under a trigger that has run.
CREATE TRIGGER pay AFTER INSERT ON inqud_test.types FOR EACH ROW EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={n}', 'name={t}', 'return_url=https://shop.example');
INSERT INTO inqud_test.types (n, t) VALUES (1, 'one');
ALTER TABLE inqud_test.types DROP COLUMN key;
INSERT INTO inqud_test.types (n, t) VALUES (2, 'two');
ALTER TABLE inqud_test.types RENAME COLUMN t TO title;
SELECT inqud_test.said('INSERT INTO inqud_test.types (n, title) VALUES (3, ''three'')');
ALTER TABLE inqud_test.types ADD COLUMN t text DEFAULT 'default';
INSERT INTO inqud_test.types (n) VALUES (4);
SELECT inqud_test.queued();

--
-- Partitions, whose columns may stand in another order
--
CREATE TABLE inqud_test.parted (id int, total numeric, title text) PARTITION BY RANGE (id);
CREATE TABLE inqud_test.low (title text, dropped int, total numeric, id int);
ALTER TABLE inqud_test.low DROP COLUMN dropped;
ALTER TABLE inqud_test.parted ATTACH PARTITION inqud_test.low FOR VALUES FROM (0) TO (10);
CREATE TABLE inqud_test.high PARTITION OF inqud_test.parted FOR VALUES FROM (10) TO (20);
CREATE TRIGGER pay AFTER INSERT ON inqud_test.parted FOR EACH ROW EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name={title}', 'return_url=https://shop.example', 'amount={total}', 'currency=USD');
INSERT INTO inqud_test.parted VALUES (1, 1.1, 'one'), (11, 11.1, 'eleven'), (2, 2.2, 'two'), (12, 12.1, 'twelve');
SELECT inqud_test.queued();
DROP TRIGGER pay ON inqud_test.parted;
CREATE TRIGGER pay AFTER INSERT ON inqud_test.parted REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name={title}', 'return_url=https://shop.example', 'amount={total}', 'currency=USD');
INSERT INTO inqud_test.parted VALUES (1, 1.1, 'one'), (11, 11.1, 'eleven'), (2, 2.2, 'two');
COPY inqud_test.parted FROM stdin;
12	12.1	twelve
3	3.3	three
\.
SELECT inqud_test.queued();

--
-- A text that its table keeps out of line
--
CREATE TABLE inqud_test.wide (id int, pad text, title text);
ALTER TABLE inqud_test.wide ALTER pad SET STORAGE PLAIN, ALTER title SET STORAGE EXTERNAL;
CREATE TRIGGER pay AFTER INSERT ON inqud_test.wide FOR EACH ROW EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name={title}', 'return_url=https://shop.example');
INSERT INTO inqud_test.wide VALUES (301, repeat('p', 1900), repeat('t', 900));
SELECT pg_relation_size(reltoastrelid) > 0 FROM pg_class WHERE oid = 'inqud_test.wide'::regclass;
WITH gone AS (DELETE FROM inqud.checkout RETURNING name) SELECT length(name) FROM gone;
--
-- What it refuses to be
--
CREATE TABLE inqud_test.refused (id int);
CREATE FUNCTION inqud_test.refuse(kind text, command text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  answer text := inqud_test.said(format('CREATE TRIGGER pay %s EXECUTE FUNCTION inqud_order_trigger(''shop'', ''order_id={id}'', ''name=n'', ''return_url=https://shop.example'')', kind));
BEGIN
  IF answer = 'ok' THEN
    answer := inqud_test.said(command);
  END IF;
  RETURN answer;
END $$;
BEGIN; SELECT inqud_test.refuse('BEFORE INSERT ON inqud_test.refused FOR EACH ROW', 'INSERT INTO inqud_test.refused VALUES (1)'); ROLLBACK;
BEGIN; SELECT inqud_test.refuse('BEFORE UPDATE ON inqud_test.orders FOR EACH ROW', 'UPDATE inqud_test.orders SET id = 1'); ROLLBACK;
BEGIN; SELECT inqud_test.refuse('BEFORE INSERT ON inqud_test.refused FOR EACH STATEMENT', 'INSERT INTO inqud_test.refused VALUES (1)'); ROLLBACK;
BEGIN; SELECT inqud_test.refuse('AFTER INSERT ON inqud_test.refused FOR EACH STATEMENT', 'INSERT INTO inqud_test.refused VALUES (1)'); ROLLBACK;
BEGIN; SELECT inqud_test.refuse('AFTER INSERT ON inqud_test.refused', 'INSERT INTO inqud_test.refused VALUES (1)'); ROLLBACK;
BEGIN; SELECT inqud_test.refuse('AFTER UPDATE ON inqud_test.orders REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT', 'UPDATE inqud_test.orders SET title = NULL'); ROLLBACK;
BEGIN; SELECT inqud_test.refuse('AFTER DELETE ON inqud_test.orders FOR EACH ROW', 'DELETE FROM inqud_test.orders'); ROLLBACK;
BEGIN; SELECT inqud_test.refuse('AFTER TRUNCATE ON inqud_test.orders FOR EACH STATEMENT', 'TRUNCATE inqud_test.orders'); ROLLBACK;
CREATE VIEW inqud_test.shown_orders AS SELECT * FROM inqud_test.orders;
BEGIN; SELECT inqud_test.refuse('INSTEAD OF INSERT ON inqud_test.shown_orders FOR EACH ROW', 'INSERT INTO inqud_test.shown_orders VALUES (1)'); ROLLBACK;
SELECT inqud_test.said('SELECT inqud_order_trigger()');
SELECT inqud_test.queued();

DROP SCHEMA inqud_test CASCADE;
DROP EXTENSION inqud CASCADE;
