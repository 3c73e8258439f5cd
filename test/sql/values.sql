--
-- What a template makes of a column's value: all types in all places, under
-- settings of the session that must change nothing; URLs, names, amounts and
-- expiries; and what an error says.
--
\getenv testdir PG_ABS_SRCDIR
\set common :testdir '/sql/common.psql'
\set ECHO none
\i :common
\set ECHO all
\pset null null
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';

--
-- Types and places: one table
--
CREATE TYPE inqud_test.coin AS ENUM ('USD', '7');
CREATE DOMAIN inqud_test.price AS numeric(12, 2) CHECK (VALUE >= 0);
CREATE DOMAIN inqud_test.code AS char(8);
CREATE DOMAIN inqud_test.code_again AS inqud_test.code;
CREATE DOMAIN inqud_test.moment AS timestamptz;
CREATE DOMAIN inqud_test.day AS date;
CREATE TYPE inqud_test.pair AS (at timestamptz, f float8);
-- a type of an extension, as citext is made
CREATE TYPE inqud_test.letters;
CREATE FUNCTION inqud_test.letters_in(cstring) RETURNS inqud_test.letters LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION inqud_test.letters_out(inqud_test.letters) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE inqud_test.letters (INPUT = inqud_test.letters_in, OUTPUT = inqud_test.letters_out, LIKE = text, CATEGORY = 'S');

CREATE TABLE inqud_test.kinds (n int GENERATED ALWAYS AS IDENTITY, type text, value text);
INSERT INTO inqud_test.kinds (type, value) VALUES
  ('smallint', '12'), ('integer', '1234567'), ('bigint', '9007199254740993'), ('numeric', '12.50'), ('numeric(12,2)', '49.9'),
  ('real', '0.1'), ('double precision', '1234567.89'), ('double precision', '0.30000000000000004'), ('double precision', 'Infinity'), ('numeric', 'NaN'),
  ('money', '49.90'), ('inqud_test.price', '49.9'),
  ('text', ' 49.90 '), ('text', E'Nº\u00a020'), ('varchar(20)', 'USD'), ('char(8)', '49.90'), ('char(8)', 'usd'), ('inqud_test.code_again', 'usd'), ('name', 'eur'),
  ('"char"', 'x'), ('inqud_test.letters', 'Usd'), ('inqud_test.coin', 'USD'), ('inqud_test.coin', '7'), ('text', '2999-07-01 12:00:00+02'), ('text', '2999-07-01 12:00'), ('text', '01/02/2999'),
  ('boolean', 'true'), ('uuid', '00000000-0000-4000-8000-00000000000a'), ('bytea', '\x00ff41'), ('jsonb', '12.50'), ('jsonb', '{"a": 1}'), ('json', '7'), ('xml', '<a>&amp;</a>'),
  ('date', '2999-07-01'), ('inqud_test.day', '2999-07-01'), ('timestamp', '2999-07-01 12:00:00.5'), ('timestamptz', '2999-07-01 12:00:00.000001+02'),
  ('inqud_test.moment', '2999-07-01 12:00+00'), ('timestamptz', 'infinity'), ('timestamptz', '0044-03-15 12:00:00+00 BC'), ('time', '12:00'), ('timetz', '12:00+05:30'), ('interval', '1 day 02:00'),
  ('integer[]', '{1,2}'), ('text[]', '{a,"b c"}'), ('date[]', '{2999-07-01}'), ('double precision[]', '{0.1,1234567.89}'), ('inqud_test.coin[]', '{USD,7}'),
  ('int4range', '[1,5)'), ('tstzrange', '[2999-07-01 12:00+00,)'), ('tstzmultirange', '{[2999-07-01 12:00+00,)}'), ('inqud_test.pair', '("2999-07-01 12:00+00",1234567.89)'),
  ('point', '(0.1,1234567.89)'), ('inet', '10.0.0.1/8'), ('bit(4)', '1010'), ('regclass', 'inqud_test.kinds'), ('oid', '42');

-- One table for each row of it, with a trigger for each place.
CREATE FUNCTION inqud_test.make_tables() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  k inqud_test.kinds;
  p record;
BEGIN
  FOR k IN SELECT * FROM inqud_test.kinds ORDER BY n LOOP
    EXECUTE format('CREATE TABLE inqud_test.k%s (place text, v %s)', k.n, k.type);
    EXECUTE format('INSERT INTO inqud_test.k%s VALUES (''stored'', %L)', k.n, k.value);
    FOR p IN VALUES ('key', ARRAY['order_id={v}', 'name=n', 'return_url=https://shop.example']), ('name', ARRAY['order_id=1', 'name={v}', 'return_url=https://shop.example']),
        ('url', ARRAY['order_id=1', 'name=n', 'return_url=https://shop.example/?v={v}']), ('amount', ARRAY['order_id=1', 'name=n', 'return_url=https://shop.example', 'amount={v}', 'currency=USD']),
        ('currency', ARRAY['order_id=1', 'name=n', 'return_url=https://shop.example', 'amount=1', 'currency={v}']), ('expiry', ARRAY['order_id=1', 'name=n', 'return_url=https://shop.example', 'expires_at={v}']) LOOP
      EXECUTE format('CREATE TRIGGER %I AFTER INSERT ON inqud_test.k%s FOR EACH ROW WHEN (NEW.place = %L) EXECUTE FUNCTION inqud_order_trigger(''shop'', %s)',
        p.column1, k.n, p.column1, (SELECT string_agg(quote_literal(a), ', ') FROM unnest(p.column2) a));
    END LOOP;
  END LOOP;
END $$;
SELECT inqud_test.make_tables();

-- What becomes of a stored value in a place: the value that is queued, or the SQLSTATE.
CREATE FUNCTION inqud_test.made(kind int, place text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  c inqud.checkout;
BEGIN
  EXECUTE format('INSERT INTO inqud_test.k%s SELECT %L, v FROM inqud_test.k%s WHERE place = ''stored''', kind, place, kind);
  DELETE FROM inqud.queue;
  DELETE FROM inqud.checkout RETURNING * INTO c;
  RETURN CASE place WHEN 'key' THEN c.order_id WHEN 'name' THEN c.name WHEN 'url' THEN c.return_url WHEN 'amount' THEN c.amount::text WHEN 'currency' THEN c.currency
    ELSE to_char(c.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') END;
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE;
END $$;
CREATE TABLE inqud_test.usual AS
  SELECT k.n, k.type, p.place, p.o, inqud_test.made(k.n, p.place) AS made FROM inqud_test.kinds k, unnest(ARRAY['key', 'name', 'url', 'amount', 'currency', 'expiry']) WITH ORDINALITY AS p (place, o);
SELECT type, string_agg(made, ' | ' ORDER BY o) FILTER (WHERE o <= 3) AS texts, string_agg(made, ' | ' ORDER BY o) FILTER (WHERE o > 3) AS "amount, currency, expiry"
  FROM inqud_test.usual GROUP BY n, type ORDER BY n;

-- The same under other settings: what differs.  The end of a day is the one exception.
CREATE FUNCTION inqud_test.differing(settings text[]) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. array_length(settings, 1) LOOP
    PERFORM set_config(settings[i][1], settings[i][2], true);
  END LOOP;
  RETURN QUERY SELECT concat_ws('|', u.type, u.place, u.made, inqud_test.made(u.n, u.place))
    FROM inqud_test.usual u WHERE inqud_test.made(u.n, u.place) IS DISTINCT FROM u.made ORDER BY u.n, u.o;
END $$;
SELECT inqud_test.differing(ARRAY[['DateStyle', 'SQL, DMY'], ['TimeZone', 'Asia/Kolkata'], ['IntervalStyle', 'sql_standard'], ['extra_float_digits', '-15'],
  ['bytea_output', 'escape'], ['xmlbinary', 'hex'], ['lc_monetary', 'POSIX'], ['quote_all_identifiers', 'on'], ['search_path', 'inqud_test, pg_catalog']]);
SELECT inqud_test.differing(ARRAY[['DateStyle', 'German'], ['TimeZone', 'Pacific/Chatham'], ['IntervalStyle', 'iso_8601'], ['extra_float_digits', '3'], ['xmloption', 'document']]);
SELECT inqud_test.differing(ARRAY[['DateStyle', 'Postgres, YMD'], ['TimeZone', 'America/St_Johns'], ['IntervalStyle', 'postgres_verbose'], ['extra_float_digits', '-1'], ['search_path', '']]);
-- Another currency of money, where the machine has a locale for it: "49.90" would be 4990.
CREATE FUNCTION inqud_test.foreign_money() RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
  BEGIN
    PERFORM set_config('lc_monetary', 'ja_JP.UTF-8', true);
  EXCEPTION WHEN invalid_parameter_value THEN
    RETURN;
  END;
  RETURN QUERY SELECT inqud_test.differing(ARRAY[['lc_monetary', 'ja_JP.UTF-8']]);
END $$;
SELECT inqud_test.foreign_money();
-- Nor did the settings of the session change by it.
SELECT current_setting('DateStyle'), current_setting('TimeZone'), current_setting('extra_float_digits'), current_setting('search_path');

--
-- Values in URLs
--
CREATE TABLE inqud_test.orders (id text, total numeric, url text, day date, currency text DEFAULT 'USD');
CREATE FUNCTION inqud_test.queued() RETURNS SETOF text
LANGUAGE sql AS $$
  WITH gone AS (DELETE FROM inqud.checkout RETURNING *), unqueued AS (DELETE FROM inqud.queue RETURNING checkout)
  SELECT concat_ws('|', order_id, '[' || name || ']', return_url, type, amount, currency) FROM gone ORDER BY id
$$;
CREATE TRIGGER pay AFTER INSERT ON inqud_test.orders FOR EACH ROW EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name=Order {id}', 'return_url=https://shop.example/o?n={id}&ok=1');
INSERT INTO inqud_test.orders VALUES ('A 18'), ('Nº 20'), ('A&ok=0'), ('../x?#%41'), ('azAZ09-._~'), ('{id}"''<>\^`|'), ('日本🙂'), ('a+b;c,d');
SELECT inqud_test.queued();
DROP TRIGGER pay ON inqud_test.orders;
-- A column by itself is taken as it is, and must be a URL.
CREATE TRIGGER pay AFTER INSERT ON inqud_test.orders FOR EACH ROW EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name=Order', 'return_url={url}');
INSERT INTO inqud_test.orders (id, url) VALUES (1, 'https://shop.example/o?n=1&ok=%20');
SELECT inqud_test.queued();
SELECT inqud_test.said($$INSERT INTO inqud_test.orders (id, url) VALUES (1, 'https://shop.example/A 18')$$);
DROP TRIGGER pay ON inqud_test.orders;
CREATE TRIGGER pay AFTER INSERT ON inqud_test.orders FOR EACH ROW EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name=Order', 'return_url={url}/{id}');
SELECT inqud_test.said($$INSERT INTO inqud_test.orders (id, url) VALUES (1, 'https://shop.example')$$);
DROP TRIGGER pay ON inqud_test.orders;

--
-- White space in names: the same for all ways
--
CREATE TRIGGER pay AFTER INSERT ON inqud_test.orders FOR EACH ROW EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id=1', 'name={id}', 'return_url=https://shop.example');
CREATE FUNCTION inqud_test.named(title text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
  answer text;
BEGIN
  FOREACH answer IN ARRAY ARRAY[
      inqud_test.said(format('INSERT INTO inqud_test.orders VALUES (%L)', title)),
      inqud_test.said(format('SELECT inqud_enqueue_checkout(''shop'', ''2'', %L, ''https://shop.example'')', title))] LOOP
    RETURN NEXT answer;
  END LOOP;
  RETURN QUERY SELECT inqud_test.queued();
END $$;
SELECT inqud_test.named(E'  Two\tlines\r\n and \u0085\u2028\u2029more\u00a0of\u200bthem\ufeff \n');
SELECT inqud_test.named(E'\u0085\u2028\u200b \t\n\u3000');
SELECT inqud_test.named(E'\U0001F468\u200d\U0001F469 stays');
SELECT inqud_test.named(E'bell\x07');
-- So two that differ in white space alone are the same order.
SELECT inqud_test.said($$SELECT inqud_enqueue_checkout('shop', '3', E'Order\n3', 'https://shop.example'), inqud_enqueue_checkout('shop', '3', ' Order  3 ', 'https://shop.example')$$);
SELECT inqud_test.queued();
DROP TRIGGER pay ON inqud_test.orders;

--
-- Amounts
--
CREATE FUNCTION inqud_test.pay(form text, further text DEFAULT '') RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  DROP TRIGGER IF EXISTS pay ON inqud_test.orders;
  EXECUTE format('CREATE TRIGGER pay AFTER INSERT ON inqud_test.orders %s EXECUTE FUNCTION
    inqud_order_trigger(''shop'', ''order_id={id}'', ''name=n'', ''return_url=https://shop.example'', ''amount={total}'', ''currency={currency}''%s)', form, further);
END $$;
\set row '''FOR EACH ROW'''
\set statement '''REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT'''
CREATE FUNCTION inqud_test.priced() RETURNS SETOF text
LANGUAGE sql AS $$
  SELECT concat_ws(': ', a, inqud_test.said(format('INSERT INTO inqud_test.orders VALUES (''1'', %s)', a)))
    FROM unnest(ARRAY['NULL', '0', '0.000', '-1', '''NaN''', '''Infinity''', '1.1234567890123456789', '1.5000000000000000000000', '1e38', '49.90']) a
  UNION ALL SELECT * FROM inqud_test.queued()
$$;
SELECT inqud_test.pay(:row);
SELECT inqud_test.priced();
SELECT inqud_test.pay(:statement);
SELECT inqud_test.priced();
-- Free orders are left out, and the others of the statement go on.
SELECT inqud_test.pay(:row, $$, 'skip_free=true'$$);
SELECT inqud_test.priced();
INSERT INTO inqud_test.orders VALUES ('11', 5), ('12', 0), ('13', NULL), ('14', 6), ('15', 0.00), (NULL, 0);
SELECT inqud_test.queued();
SELECT inqud_test.pay(:statement, $$, 'skip_free=true'$$);
SELECT inqud_test.priced();
INSERT INTO inqud_test.orders VALUES ('11', 5), ('12', 0), ('13', NULL), ('14', 6), ('15', 0.00), (NULL, 0);
INSERT INTO inqud_test.orders VALUES ('16', 0);
SELECT inqud_test.queued();
SELECT inqud_test.pay(:row, $$, 'skip_free=false'$$);
SELECT inqud_test.said('INSERT INTO inqud_test.orders VALUES (1, 0)');
SELECT inqud_test.pay(:row, $$, 'skip_free=perhaps'$$);
SELECT inqud_test.said('INSERT INTO inqud_test.orders VALUES (1, 0)');
-- Without a price where the trigger says so.
SELECT inqud_test.pay(:row, $$, 'type=NO_PRICE'$$);
SELECT inqud_test.said('INSERT INTO inqud_test.orders VALUES (1, NULL)');
SELECT inqud_test.said('INSERT INTO inqud_test.orders VALUES (2, 5)');
SELECT inqud_test.queued();
SELECT inqud_test.pay(:row, $$, 'type=FIXED_PRICE'$$);
SELECT inqud_test.said('INSERT INTO inqud_test.orders VALUES (1, NULL)');
DROP TRIGGER pay ON inqud_test.orders;
CREATE TRIGGER pay AFTER INSERT ON inqud_test.orders FOR EACH ROW EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name=n', 'return_url=https://shop.example', 'skip_free=true');
SELECT inqud_test.said('INSERT INTO inqud_test.orders VALUES (1, NULL)');
DROP TRIGGER pay ON inqud_test.orders;
-- A column's name in a hint is one that can be copied.
CREATE TABLE inqud_test.odd ("Total due" numeric);
CREATE TRIGGER "Pay" AFTER INSERT ON inqud_test.odd FOR EACH ROW EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id=1', 'name=n', 'return_url=https://shop.example', 'amount={Total due}', 'currency=usd');
SELECT inqud_test.said('INSERT INTO inqud_test.odd VALUES (0)');
SELECT inqud_test.said('INSERT INTO inqud_test.odd VALUES (1.0000000000000000001)');
SELECT inqud_test.said('INSERT INTO inqud_test.odd VALUES (1)');
SELECT inqud_test.queued();

--
-- Types that cannot serve, and texts that cannot be read
--
SELECT k.type, p AS place, inqud_test.said(format('INSERT INTO inqud_test.k%s SELECT %L, v FROM inqud_test.k%s WHERE place = ''stored''', n, p, n))
  FROM inqud_test.kinds k, unnest(ARRAY['amount', 'currency', 'expiry']) p WHERE (k.type, p) IN (('inqud_test.pair', 'amount'), ('integer[]', 'currency'), ('interval', 'expiry')) ORDER BY n;
CREATE TABLE inqud_test.texts (price text, until text);
CREATE TRIGGER pay AFTER INSERT ON inqud_test.texts FOR EACH ROW EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id=1', 'name=n', 'return_url=https://shop.example', 'amount={price}', 'currency=USD', 'expires_at={until}');
SELECT inqud_test.said($$INSERT INTO inqud_test.texts VALUES ('$49.90')$$);
SELECT inqud_test.said($$INSERT INTO inqud_test.texts VALUES ('')$$);
SELECT inqud_test.said($$INSERT INTO inqud_test.texts VALUES ('1', 'soon')$$);
SELECT inqud_test.said(format('INSERT INTO inqud_test.texts VALUES (%L)', repeat('x', 1000)));

--
-- A date ends with its day, in the session's time zone
--
CREATE TRIGGER pay AFTER INSERT ON inqud_test.orders FOR EACH ROW EXECUTE FUNCTION
  inqud_order_trigger('shop', 'order_id={id}', 'name=n', 'return_url=https://shop.example', 'expires_at={day}');
CREATE FUNCTION inqud_test.today(zone text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  c inqud.checkout;
BEGIN
  PERFORM set_config('TimeZone', zone, true);
  INSERT INTO inqud_test.orders (id, day) VALUES (zone, clock_timestamp()::date);
  DELETE FROM inqud.queue;
  DELETE FROM inqud.checkout RETURNING * INTO c;
  RETURN c.expires_at = (c.created_at::date + 1)::timestamptz;
END $$;
SELECT zone, inqud_test.today(zone) FROM unnest(ARRAY['UTC', 'Asia/Kolkata', 'Pacific/Chatham', 'America/St_Johns']) AS zone;
SELECT inqud_test.said('INSERT INTO inqud_test.orders (id, day) VALUES (1, current_date - 1)');
SELECT inqud_test.said($$INSERT INTO inqud_test.orders (id, day) VALUES (1, 'infinity')$$);
SELECT inqud_test.said($$INSERT INTO inqud_test.orders (id, day) VALUES (1, '5000000-01-01')$$);

DROP SCHEMA inqud_test CASCADE;
DROP EXTENSION inqud CASCADE;
