--
-- Installing: into other schemas, by other owners, dropping, and coming back
-- under a session that had used it.
--
SET client_min_messages = error;
\set SHOW_CONTEXT never
\pset format unaligned
\pset tuples_only on
DROP EXTENSION IF EXISTS inqud CASCADE;
DROP SCHEMA IF EXISTS inqud CASCADE;
CREATE SCHEMA inqud_test_tools;
-- As in the other tests: what becomes of a command.
CREATE FUNCTION inqud_test_tools.said(command text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  detail text;
  hint text;
BEGIN
  EXECUTE command;
  RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN concat_ws(E'\n  ', SQLSTATE || ' ' || SQLERRM, 'DETAIL: ' || nullif(detail, ''), 'HINT: ' || nullif(hint, ''));
END $$;

--
-- Where the functions are
--
CREATE EXTENSION inqud;
DO $$ BEGIN PERFORM inqud_worker_stop(); EXCEPTION WHEN object_not_in_prerequisite_state THEN NULL; END $$;
SELECT extversion = default_version, extrelocatable FROM pg_extension e JOIN pg_available_extensions a ON a.name = e.extname WHERE extname = 'inqud';
SELECT p.pronamespace::regnamespace, count(*) > 0 FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid WHERE e.extname = 'inqud' GROUP BY 1 ORDER BY min(p.proname) COLLATE "C";
SELECT inqud_test_tools.said('ALTER EXTENSION inqud SET SCHEMA inqud_test_tools');
DROP EXTENSION inqud;
SELECT count(*) FROM pg_namespace WHERE nspname = 'inqud';

-- Another schema, with an awkward name, full of things that are called like PostgreSQL's.
CREATE SCHEMA "inqud test";
CREATE FUNCTION "inqud test".pg_extension_config_dump(regclass, text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'a look-alike was reached'; END $$;
CREATE FUNCTION "inqud test".pg_has_role(oid, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE TABLE "inqud test".pg_roles (rolname name, oid oid);
CREATE EXTENSION inqud SCHEMA "inqud test";
SELECT n.nspname, count(*) > 0 FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.proname LIKE 'inqud%checkout' GROUP BY 1;
SELECT pg_get_expr(polqual, polrelid) ~ 'test' FROM pg_policy WHERE polrelid = 'inqud.checkout'::regclass;
CREATE SERVER shop FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-1', base_url 'http://127.0.0.1:9');
SELECT left(inqud_test_tools.said($$SELECT inqud_enqueue_checkout('shop', '1', 'n', 'https://shop.example')$$), 5);
SELECT ("inqud test".inqud_enqueue_checkout('shop', '1', 'n', 'https://shop.example')).state;
CREATE TABLE inqud_test_tools.orders (id int);
CREATE TRIGGER pay AFTER INSERT ON inqud_test_tools.orders FOR EACH ROW EXECUTE FUNCTION "inqud test".inqud_order_trigger('shop', 'order_id=o{id}', 'name=n', 'return_url=https://shop.example');
INSERT INTO inqud_test_tools.orders VALUES (1);
SELECT order_id, state, kind FROM inqud.pending ORDER BY checkout;
SELECT ("inqud test".inqud_cancel(1)).state;
DROP TRIGGER pay ON inqud_test_tools.orders;

-- Never into the schema that it makes for itself.
DROP EXTENSION inqud CASCADE;
CREATE SCHEMA inqud;
SELECT inqud_test_tools.said('CREATE EXTENSION inqud SCHEMA inqud');
DROP SCHEMA inqud;
DROP SCHEMA "inqud test" CASCADE;

--
-- Dropping
--
CREATE EXTENSION inqud;
CREATE SERVER shop FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-1', base_url 'http://127.0.0.1:9');
CREATE USER MAPPING FOR PUBLIC SERVER shop OPTIONS (token_id 'TKN-1', token_secret 's');
SELECT (inqud_enqueue_checkout('shop', '1', 'n', 'https://shop.example')).state;
SELECT inqud_test_tools.said('DROP EXTENSION inqud');
SELECT inqud_test_tools.said('DROP SCHEMA inqud CASCADE');
SELECT inqud_test_tools.said('DROP TABLE inqud.event');
SELECT inqud_test_tools.said('DROP FUNCTION inqud._home()');
SELECT order_id FROM inqud.checkout;
CREATE TRIGGER pay AFTER INSERT ON inqud_test_tools.orders FOR EACH ROW EXECUTE FUNCTION inqud_order_trigger('shop', 'order_id=o{id}', 'name=n', 'return_url=https://shop.example');
INSERT INTO inqud_test_tools.orders VALUES (2);
-- A server may go before its work is done; the record stays.
BEGIN;
DROP SERVER shop CASCADE;
SELECT inqud_test_tools.said('INSERT INTO inqud_test_tools.orders VALUES (3)');
SELECT (inqud_cancel(1)).state;
SELECT order_id, state FROM inqud.checkout ORDER BY id;
ROLLBACK;

--
-- Coming back under the same session: plans were made for what is gone
--
CREATE FUNCTION inqud_test_tools.enqueue(wanted text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  c record;
BEGIN
  c := inqud_enqueue_checkout('shop', wanted, 'n', 'https://shop.example', 5, 'USD');
  RETURN concat_ws(' ', c.order_id, c.state);
END $$;
PREPARE enqueue AS SELECT (inqud_enqueue_checkout('shop', $1, 'n', 'https://shop.example', 5, 'USD')).state;
PREPARE seen AS SELECT order_id, state FROM inqud.checkout ORDER BY id;
SELECT inqud_test_tools.enqueue('before');
EXECUTE enqueue('before');
EXECUTE seen;
SELECT (inqud_refresh(id)).state, (inqud_cancel(id)).state FROM inqud.checkout WHERE order_id = 'before';
DROP EXTENSION inqud CASCADE;
SELECT tgname FROM pg_trigger WHERE tgrelid = 'inqud_test_tools.orders'::regclass;
SELECT left(inqud_test_tools.said($$SELECT inqud_test_tools.enqueue('gone')$$), 5);
SELECT inqud_test_tools.said('EXECUTE seen');
INSERT INTO inqud_test_tools.orders VALUES (4);
SELECT count(*) FROM pg_namespace WHERE nspname = 'inqud';

CREATE EXTENSION inqud;
CREATE SERVER shop FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-9', base_url 'http://127.0.0.1:9');
CREATE TRIGGER pay AFTER INSERT ON inqud_test_tools.orders FOR EACH ROW EXECUTE FUNCTION inqud_order_trigger('shop', 'order_id=o{id}', 'name=n', 'return_url=https://shop.example');
SELECT inqud_test_tools.enqueue('after');
EXECUTE enqueue('after');
EXECUTE enqueue('after too');
INSERT INTO inqud_test_tools.orders VALUES (5);
EXECUTE seen;
SELECT (inqud_refresh(id)).state, (inqud_cancel(id)).state FROM inqud.checkout WHERE order_id = 'after';
SELECT project_id, count(*) FROM inqud.checkout GROUP BY 1;

-- There and back within a transaction, undone or not.
BEGIN;
DROP EXTENSION inqud CASCADE;
SELECT left(inqud_test_tools.said($$SELECT inqud_test_tools.enqueue('gone')$$), 5);
CREATE EXTENSION inqud;
CREATE SERVER shop FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-10', base_url 'http://127.0.0.1:9');
SELECT inqud_test_tools.enqueue('within');
EXECUTE seen;
ROLLBACK;
SELECT inqud_test_tools.enqueue('undone');
SELECT (inqud_cancel(id)).state FROM inqud.checkout WHERE order_id = 'undone';
EXECUTE seen;
BEGIN;
SAVEPOINT s;
DROP EXTENSION inqud CASCADE;
ROLLBACK TO s;
SELECT inqud_test_tools.enqueue('after savepoint');
DROP EXTENSION inqud CASCADE;
CREATE EXTENSION inqud;
CREATE SERVER shop FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-10', base_url 'http://127.0.0.1:9');
SELECT inqud_test_tools.enqueue('within');
COMMIT;
SELECT inqud_test_tools.enqueue('at last');
EXECUTE seen;

-- Several times, and each time with an order.
DO $$
BEGIN
  FOR i IN 1..5 LOOP
    DROP EXTENSION inqud CASCADE;
    CREATE EXTENSION inqud;
    CREATE SERVER shop FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-11', base_url 'http://127.0.0.1:9');
    IF inqud_test_tools.enqueue('turn ' || i) <> 'turn ' || i || ' queued' THEN
      RAISE 'turn % failed', i;
    END IF;
  END LOOP;
END $$;
EXECUTE seen;

--
-- Owners
--
DROP EXTENSION inqud CASCADE;
CREATE ROLE regress_inqud_super SUPERUSER;
CREATE ROLE regress_inqud_app;
GRANT USAGE ON SCHEMA inqud_test_tools TO regress_inqud_app;
SET ROLE regress_inqud_super;
CREATE EXTENSION inqud;
CREATE SERVER shop FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-1', base_url 'http://127.0.0.1:9');
GRANT USAGE ON FOREIGN SERVER shop TO regress_inqud_app;
SET ROLE regress_inqud_app;
SELECT inqud_test_tools.enqueue('owned');
RESET ROLE;
-- The owner needs to be no superuser for what it lends to the functions.
ALTER ROLE regress_inqud_super NOSUPERUSER;
SET ROLE regress_inqud_app;
SELECT inqud_test_tools.enqueue('owned by less');
SELECT (inqud_refresh(id)).state, (inqud_cancel(id)).state FROM inqud.checkout WHERE order_id = 'owned by less';
EXECUTE seen;
RESET ROLE;
SELECT (t).order_id FROM inqud._claim(inqud._home(), (SELECT id FROM inqud.known_server WHERE name = 'shop'), 10, 7) t;
-- Another owner takes over.
DO $$ BEGIN EXECUTE format('REASSIGN OWNED BY regress_inqud_super TO %I', current_user); END $$;
DROP ROLE regress_inqud_super;
SET ROLE regress_inqud_app;
SELECT inqud_test_tools.enqueue('owned by another');
SELECT (inqud_refresh(id)).state, (inqud_cancel(id)).state FROM inqud.checkout WHERE order_id = 'owned by another';
RESET ROLE;
DROP EXTENSION inqud CASCADE;

DROP OWNED BY regress_inqud_app;
DROP ROLE regress_inqud_app;
DEALLOCATE ALL;
DROP SCHEMA inqud_test_tools CASCADE;
