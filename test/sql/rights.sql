--
-- Who may do and see what: the catalogues, rows of others, functions that are
-- nobody's to call, and callers who lay out objects with our names.
--
\getenv testdir PG_ABS_SRCDIR
\set common :testdir '/sql/common.psql'
\set ECHO none
\i :common
\set ECHO all

--
-- What the catalogues say.  An owner's own rights are left out.
--
CREATE FUNCTION inqud_test.granted(acl aclitem[], owner oid) RETURNS text
LANGUAGE sql AS $$
  SELECT coalesce(string_agg(CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END || ': ' || a.privilege_type, ', ' ORDER BY a.privilege_type), '-')
  FROM aclexplode(acl) a WHERE a.grantee <> owner
$$;
CREATE VIEW inqud_test.members AS
  SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
  WHERE e.extname = 'inqud' AND d.deptype = 'e';

-- Functions that anybody may call.
SELECT p.oid::regprocedure FROM inqud_test.members m JOIN pg_proc p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass
WHERE has_function_privilege('public', p.oid, 'EXECUTE') ORDER BY p.oid::regprocedure::text COLLATE "C";
-- Functions that only the owner may call: these, and all others of the schema inqud.
SELECT p.oid::regprocedure FROM inqud_test.members m JOIN pg_proc p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass
WHERE p.pronamespace <> 'inqud'::regnamespace AND NOT has_function_privilege('public', p.oid, 'EXECUTE') ORDER BY p.oid::regprocedure::text COLLATE "C";
-- No function lends rights, none is granted to anybody by name.
SELECT p.oid::regprocedure FROM inqud_test.members m JOIN pg_proc p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass
WHERE p.prosecdef OR inqud_test.granted(coalesce(p.proacl, acldefault('f', p.proowner)), p.proowner) NOT IN ('-', 'PUBLIC: EXECUTE') OR p.proowner <> (SELECT extowner FROM pg_extension WHERE extname = 'inqud');
-- A search_path is pinned to what is safe or not at all.
SELECT DISTINCT c FROM inqud_test.members m JOIN pg_proc p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass, unnest(p.proconfig) c WHERE c LIKE 'search_path%';
-- Those that C calls pin it, unless they were bound to what they name when they were made, or are C themselves.
SELECT p.proname FROM inqud_test.members m JOIN pg_proc p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass JOIN pg_language l ON l.oid = p.prolang
WHERE l.lanname <> 'c' AND p.prosqlbody IS NULL AND NOT coalesce(p.proconfig::text LIKE '%search_path=pg_catalog, pg_temp%', false)
  AND p.proname IN ('_again', '_due', '_next_due', '_claim', '_asked', '_found', '_read', '_release_leases', '_followed', '_unfollow', '_record', '_take_calls', '_calls_done', '_webhook',
    '_refresh', '_retry', '_cancel', '_take', '_adopt');

-- Relations.
SELECT c.oid::regclass, c.relkind, CASE WHEN c.relrowsecurity THEN 'row security' END, CASE WHEN c.relkind = 'v' AND c.reloptions @> '{security_invoker=true}' THEN 'security_invoker' END,
  inqud_test.granted(coalesce(c.relacl, acldefault('r', c.relowner)), c.relowner)
FROM inqud_test.members m JOIN pg_class c ON c.oid = m.objid AND m.classid = 'pg_class'::regclass WHERE c.relkind NOT IN ('i', 'c') ORDER BY c.oid::regclass::text COLLATE "C";
SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE c.relnamespace = 'inqud'::regnamespace AND a.attacl IS NOT NULL;
SELECT tablename, policyname, permissive, roles, cmd FROM pg_policies WHERE schemaname = 'inqud' ORDER BY 1, 2;
SELECT n.nspname, inqud_test.granted(n.nspacl, n.nspowner) FROM inqud_test.members m JOIN pg_namespace n ON n.oid = m.objid AND m.classid = 'pg_namespace'::regclass;
SELECT f.fdwname, inqud_test.granted(coalesce(f.fdwacl, acldefault('F', f.fdwowner)), f.fdwowner), f.fdwhandler = 0 FROM inqud_test.members m JOIN pg_foreign_data_wrapper f ON f.oid = m.objid AND m.classid = 'pg_foreign_data_wrapper'::regclass;
-- Everything in the schema belongs to the extension.
SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'inqud'::regnamespace AND c.relkind IN ('r', 'v', 'f', 'm', 'S') AND NOT EXISTS (SELECT FROM inqud_test.members m WHERE m.objid = c.oid);
SELECT p.oid::regproc FROM pg_proc p WHERE p.pronamespace = 'inqud'::regnamespace AND NOT EXISTS (SELECT FROM inqud_test.members m WHERE m.objid = p.oid);

--
-- USAGE on the server is all that an application needs
--
CREATE ROLE regress_inqud_app;
CREATE ROLE regress_inqud_other;
CREATE ROLE regress_inqud_none;
CREATE ROLE regress_inqud_group;
CREATE ROLE regress_inqud_member IN ROLE regress_inqud_group;
CREATE ROLE regress_inqud_apart NOINHERIT IN ROLE regress_inqud_group;
CREATE ROLE regress_inqud_monitor IN ROLE pg_monitor;
CREATE ROLE regress_inqud_gone;
GRANT USAGE ON FOREIGN SERVER shop TO regress_inqud_app, regress_inqud_other, regress_inqud_group, regress_inqud_gone;
CREATE FUNCTION inqud_test.enqueue(wanted text) RETURNS text
LANGUAGE sql AS $$
  SELECT inqud_test.answer(format('SELECT concat_ws('' '', ''#'' || (c).id, (c).owner, (c).state) FROM inqud_enqueue_checkout(''shop'', %L, ''n'', ''https://shop.example'') c', wanted))
$$;
CREATE FUNCTION inqud_test.seen() RETURNS text
LANGUAGE sql AS $$
  SELECT concat_ws(', ', 'checkout ' || (SELECT string_agg(order_id, ' ' ORDER BY id) FROM inqud.checkout), 'queue ' || (SELECT count(*) FROM inqud.queue),
    'events of ' || (SELECT count(DISTINCT checkout) FROM inqud.event), 'pending ' || (SELECT count(*) FROM inqud.pending), 'payment ' || (SELECT count(*) FROM inqud.payment),
    'trouble ' || (SELECT count(DISTINCT checkout) FROM inqud.trouble))
$$;

SET ROLE regress_inqud_app;
SELECT inqud_test.enqueue('app'), inqud_test.enqueue('app paid'), inqud_test.enqueue('app failed');
SELECT inqud_test.seen();
SET ROLE regress_inqud_other;
SELECT inqud_test.seen();
SELECT inqud_test.enqueue('other');
SELECT inqud_test.seen();
-- Another's order is refused, and nothing of it is seen.
SELECT inqud_test.enqueue('app');
SET ROLE regress_inqud_group;
SELECT inqud_test.enqueue('group');
SET ROLE regress_inqud_gone;
SELECT inqud_test.enqueue('gone');
RESET ROLE;
DROP OWNED BY regress_inqud_gone;
DROP ROLE regress_inqud_gone;
SELECT inqud_test.answered(2, '{"status": "SUCCESS"}'), inqud_test.answered(3, '{"outcome": "refused", "message": "no"}'), inqud_test.answered(4, '{"status": "CONFLICT"}');

-- Everybody sees their own, and that of the groups whose rights they have.
SELECT inqud_test.seen();
SET ROLE regress_inqud_app;
SELECT inqud_test.seen();
SET ROLE regress_inqud_other;
SELECT inqud_test.seen();
SET ROLE regress_inqud_member;
SELECT inqud_test.seen();
SELECT inqud_test.enqueue('group');
SELECT (inqud_refresh(id)).owner FROM inqud.checkout;
SET ROLE regress_inqud_apart;
SELECT inqud_test.seen();
SET ROLE regress_inqud_monitor;
SELECT inqud_test.seen();
SELECT inqud_test.said('SELECT inqud_cancel(1)');
SET ROLE regress_inqud_none;
SELECT inqud_test.seen();
-- An owner who is gone is nobody.
SET ROLE regress_inqud_app;
SELECT inqud_test.enqueue('gone');
-- Row security cannot be switched off.
SET row_security = off;
SELECT count(*) FROM inqud.checkout;
RESET row_security;

--
-- Every policy of row security, by what is seen through it.  Rows are known by
-- their place, and by the owner of the checkout that they belong to.
--
RESET ROLE;
BEGIN;
INSERT INTO inqud.call (checkout, home, server_id, due_at) SELECT id, 0, server_id, now() FROM inqud.checkout;
INSERT INTO inqud.call (checkout, home, server_id, due_at) VALUES (0, 0, inqud_test.server('shop'), now());
INSERT INTO inqud.queue (checkout, home, server_id, kind, due_at) VALUES (0, 0, inqud_test.server('shop'), 'create', now());
INSERT INTO inqud.event (checkout, kind) SELECT id, 'changed' FROM inqud.checkout;
INSERT INTO inqud.event (kind) VALUES ('webhook');
INSERT INTO inqud.inbox (home, server_id, checkout) SELECT 0, server_id, id FROM inqud.checkout;
INSERT INTO inqud.inbox (home, server_id, checkout_id) VALUES (0, inqud_test.server('shop'), 'CCO-NOBODY');
CREATE TABLE inqud_test.place (tab oid, place tid, whose text);
GRANT SELECT ON inqud_test.place TO PUBLIC;
-- Whatever tables the schema has, and each with its policies; one that has none shows.
CREATE VIEW inqud_test.policy AS
  SELECT c.oid, c.relname, p.polname, p.polcmd FROM pg_class c LEFT JOIN pg_policy p ON p.polrelid = c.oid
  WHERE c.relnamespace = 'inqud'::regnamespace AND c.relkind IN ('r', 'p')
    -- names, as pg_roles and pg_foreign_server show them to everybody
    AND c.relname NOT IN ('known_role', 'known_server');
GRANT SELECT ON inqud_test.policy TO PUBLIC;
CREATE FUNCTION inqud_test.through() RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
  p record;
  whose text;
BEGIN
  FOR p IN SELECT * FROM inqud_test.policy ORDER BY relname COLLATE "C", polname LOOP
    EXECUTE format('SELECT string_agg(w || '' '' || n, '', '' ORDER BY w COLLATE "C")
      FROM (SELECT coalesce(l.whose, ''unknown'') AS w, count(*) AS n FROM inqud.%I t LEFT JOIN inqud_test.place l ON l.tab = t.tableoid AND l.place = t.ctid GROUP BY 1) s', p.relname) INTO whose;
    RETURN NEXT concat_ws(' ', p.relname, 'through', coalesce(p.polname, 'NO POLICY') || ':', coalesce(whose, 'nothing'));
  END LOOP;
END $$;
DO $$
DECLARE
  p record;
BEGIN
  FOR p IN SELECT DISTINCT oid, relname FROM inqud_test.policy LOOP
    EXECUTE format('INSERT INTO inqud_test.place SELECT t.tableoid, t.ctid, coalesce(replace(c.owner, ''regress_inqud_'', ''''), ''nobody'')
      FROM inqud.%I t LEFT JOIN inqud.checkout c ON c.id = t.%I', p.relname, CASE p.relname WHEN 'checkout' THEN 'id' ELSE 'checkout' END);
  END LOOP;
END $$;
-- All there is: rows of each owner, of a dropped role and of nobody.
SELECT inqud_test.through();
SET ROLE regress_inqud_app;
SELECT inqud_test.through();
SET ROLE regress_inqud_other;
SELECT inqud_test.through();
SET ROLE regress_inqud_group;
SELECT inqud_test.through();
SET ROLE regress_inqud_member;
SELECT inqud_test.through();
SET ROLE regress_inqud_apart;
SELECT inqud_test.through();
SET ROLE regress_inqud_monitor;
SELECT inqud_test.through();
SET ROLE regress_inqud_none;
SELECT inqud_test.through();
-- The server's owner sees no more of its orders than others, and a policy does not let anybody write.
RESET ROLE;
ALTER SERVER shop OWNER TO regress_inqud_none;
SET ROLE regress_inqud_none;
SELECT inqud_test.through();
RESET ROLE;
GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA inqud TO regress_inqud_app, regress_inqud_monitor;
CREATE FUNCTION inqud_test.written() RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
  p record;
  updated bigint;
  deleted bigint;
BEGIN
  FOR p IN SELECT DISTINCT oid, relname FROM inqud_test.policy ORDER BY relname LOOP
    EXECUTE format('UPDATE inqud.%I SET %I = %2$I', p.relname, CASE p.relname WHEN 'checkout' THEN 'id' ELSE 'checkout' END);
    GET DIAGNOSTICS updated = ROW_COUNT;
    EXECUTE format('DELETE FROM inqud.%I', p.relname);
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN NEXT format('%s: updated %s, deleted %s, insert %s', p.relname, updated, deleted, inqud_test.said(format('INSERT INTO inqud.%I (%s) SELECT %2$s FROM inqud.%1$I LIMIT 1', p.relname,
      (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
       WHERE a.attrelid = p.oid AND a.attnum > 0 AND a.attgenerated = '' AND NOT a.attisdropped))));
  END LOOP;
END $$;
SET ROLE regress_inqud_app;
SELECT inqud_test.written();
SET ROLE regress_inqud_monitor;
SELECT inqud_test.written();
ROLLBACK;

-- Without USAGE nothing can be queued, created or read.
RESET ROLE;
CREATE USER MAPPING FOR PUBLIC SERVER shop OPTIONS (token_id 'TKN-1', token_secret 's');
CREATE FUNCTION inqud_test.attempts(calls text[]) RETURNS SETOF text
LANGUAGE sql AS $$
  SELECT f || ': ' || inqud_test.said('SELECT ' || f) FROM unnest(calls) AS f
$$;
SET ROLE regress_inqud_none;
SELECT inqud_test.attempts(ARRAY[$$inqud_enqueue_checkout('shop', 'x', 'n', 'https://shop.example')$$, $$inqud_create_checkout('shop', 'x', 'n', 'https://shop.example')$$]);
SELECT inqud_test.attempts(ARRAY[$$inqud_get_checkout('shop', 'CCO-2')$$, 'inqud_wait_checkout(1)', 'inqud_refresh(2)', 'inqud_retry(3)', 'inqud_cancel(1)',
  'inqud_adopt()', 'inqud_worker_start()', 'inqud_worker_stop()', $$inqud_receive_webhook('shop', '', '')$$]);
-- With it, but for another's checkouts, it is the same; those are as absent as any.
SET ROLE regress_inqud_other;
SELECT inqud_test.attempts(ARRAY[$$inqud_get_checkout('shop', 'CCO-2')$$, 'inqud_wait_checkout(1)', 'inqud_refresh(2)', 'inqud_retry(3)', 'inqud_cancel(1)',
  'inqud_adopt()', 'inqud_worker_start()', 'inqud_worker_stop()', $$inqud_receive_webhook('shop', '', '')$$]);
-- The key that both use is for neither to read.
SELECT umoptions IS NULL FROM pg_user_mappings WHERE srvname = 'shop';
RESET ROLE;
SELECT id, order_id, state, status FROM inqud.checkout ORDER BY id;

-- Nobody writes the tables or the sequences, calls the functions inside, or makes a project.
SET ROLE regress_inqud_app;
SELECT c, inqud_test.said(c) FROM unnest(ARRAY['INSERT INTO inqud.checkout (project, project_id, order_id, owner) VALUES (''shop'', ''CAP-1'', ''x'', ''regress_inqud_app'')',
  'UPDATE inqud.checkout SET status = ''SUCCESS'' WHERE id = 1', 'DELETE FROM inqud.checkout', 'TRUNCATE inqud.checkout', 'SELECT id FROM inqud.checkout FOR UPDATE',
  'INSERT INTO inqud.queue SELECT * FROM inqud.queue', 'UPDATE inqud.queue SET lease = NULL', 'DELETE FROM inqud.queue', 'INSERT INTO inqud.event (kind) VALUES (''x'')', 'DELETE FROM inqud.event',
  'INSERT INTO inqud.inbox (home, server_id) VALUES (1, 1)', 'DELETE FROM inqud.inbox', 'SELECT nextval(''inqud.checkout_id_seq'')', 'SELECT setval(''inqud.event_id_seq'', 1)',
  'CREATE TABLE inqud.mine (a int)', 'CREATE TRIGGER t AFTER UPDATE ON inqud.checkout FOR EACH ROW EXECUTE FUNCTION inqud_order_trigger()',
  'CREATE SERVER mine FOREIGN DATA WRAPPER inqud OPTIONS (project_id ''CAP-1'')', 'ALTER SERVER shop OPTIONS (ADD base_url ''https://evil.example'')']) AS c;
SELECT left(answer, 5), count(*) > 30 FROM (SELECT inqud_test.said(format('SELECT inqud.%I(%s)', p.proname,
    (SELECT string_agg('NULL::' || format_type(a, NULL), ', ' ORDER BY i) FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS t (a, i)))) AS answer
  FROM pg_proc p WHERE p.pronamespace = 'inqud'::regnamespace AND p.proname NOT IN ('_advice_no_server', '_ended_at', '_home', '_is_ended', '_is_final', '_is_known_open', '_workers', '_stats', '_troubles')
    -- these write HTML, of what the caller sees
    AND p.proname !~ '^_(html|duration|bars|report)') t GROUP BY 1;
RESET ROLE;

-- A function that lends rights lends these, too.  A trigger lends none.
GRANT CREATE ON SCHEMA inqud_test TO regress_inqud_app;
SET ROLE regress_inqud_app;
CREATE FUNCTION inqud_test.lent() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$ SELECT inqud_test.enqueue('lent') $$;
CREATE TABLE inqud_test.orders (id text);
CREATE TRIGGER pay AFTER INSERT ON inqud_test.orders FOR EACH ROW EXECUTE FUNCTION inqud_order_trigger('shop', 'order_id={id}', 'name=n', 'return_url=https://shop.example');
GRANT INSERT ON inqud_test.orders TO PUBLIC;
SET ROLE regress_inqud_none;
SELECT inqud_test.lent();
SELECT inqud_test.seen();
SELECT inqud_test.said('INSERT INTO inqud_test.orders VALUES (''row'')');
SET ROLE regress_inqud_other;
SELECT inqud_test.said('INSERT INTO inqud_test.orders VALUES (''row'')');
SELECT order_id, owner FROM inqud.checkout WHERE order_id IN ('row', 'lent');
RESET ROLE;

-- Adopting is for the server's owner; a role that may call it adopts of its own servers, and only rows of roles as which it may act.
GRANT EXECUTE ON FUNCTION inqud_adopt(text) TO regress_inqud_app, regress_inqud_other;
ALTER SERVER shop OWNER TO regress_inqud_other;
INSERT INTO inqud.inbox (home, server_id, checkout_id) VALUES (inqud._home(), inqud_test.server('shop'), 'CCO-ELSEWHERE');
UPDATE inqud.queue SET home = home + 1;
UPDATE inqud.inbox SET home = home + 1;
UPDATE inqud.known_server SET home = home + 1;
UPDATE inqud.known_role SET home = home + 1;
CREATE FUNCTION inqud_test.adopted() RETURNS TABLE (queued bigint, named bigint, roles bigint) LANGUAGE sql AS $$
  SELECT (SELECT count(*) FROM inqud.queue WHERE home = inqud._home()), (SELECT count(*) FROM inqud.inbox WHERE home = inqud._home()),
    (SELECT count(*) FROM inqud.known_role WHERE home = inqud._home())
$$;
SET ROLE regress_inqud_app;
SELECT inqud_adopt();
RESET ROLE;
SELECT * FROM inqud_test.adopted();
SET ROLE regress_inqud_other;
SELECT inqud_adopt() > 0;
RESET ROLE;
SELECT * FROM inqud_test.adopted();
SELECT c.owner, q.home = inqud._home() AS here, count(*) FROM inqud.queue q JOIN inqud.checkout c ON c.id = q.checkout GROUP BY 1, 2 ORDER BY 1, 2;
-- The rest is a superuser's to adopt.
SELECT inqud_adopt() > 0;
SELECT count(*) FROM inqud.queue WHERE home <> inqud._home();
SELECT queued > 0, named FROM inqud_test.adopted();
SELECT count(*) FROM inqud.known_server WHERE name = 'shop';
DELETE FROM inqud.inbox;
GRANT USAGE ON FOREIGN SERVER shop TO regress_inqud_app;

--
-- Objects of a caller's that have the names of ours, and of PostgreSQL's
--
CREATE SCHEMA inqud_test_evil;
CREATE FUNCTION inqud_test_evil.reached() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'somebody else''s object was reached'; END $$;
CREATE FUNCTION inqud_test_evil.eq(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT inqud_test_evil.reached() IS NULL $$;
CREATE FUNCTION inqud_test_evil.eq(name, name) RETURNS boolean LANGUAGE sql AS $$ SELECT inqud_test_evil.reached() IS NULL $$;
CREATE FUNCTION inqud_test_evil.eq(bigint, bigint) RETURNS boolean LANGUAGE sql AS $$ SELECT inqud_test_evil.reached() IS NULL $$;
CREATE OPERATOR inqud_test_evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = inqud_test_evil.eq);
CREATE OPERATOR inqud_test_evil.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = inqud_test_evil.eq);
CREATE OPERATOR inqud_test_evil.= (LEFTARG = name, RIGHTARG = name, FUNCTION = inqud_test_evil.eq);
CREATE OPERATOR inqud_test_evil.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = inqud_test_evil.eq);
CREATE OPERATOR inqud_test_evil.<> (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = inqud_test_evil.eq);
CREATE FUNCTION inqud_test_evil.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT inqud_test_evil.reached()::timestamptz $$;
CREATE FUNCTION inqud_test_evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT inqud_test_evil.reached()::timestamptz $$;
CREATE FUNCTION inqud_test_evil.pg_has_role(name, oid, text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
CREATE FUNCTION inqud_test_evil.pg_has_role(oid, text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
CREATE FUNCTION inqud_test_evil.pg_notify(text, text) RETURNS void LANGUAGE sql AS $$ SELECT inqud_test_evil.reached() $$;
CREATE FUNCTION inqud_test_evil.format(text, text) RETURNS text LANGUAGE sql AS $$ SELECT inqud_test_evil.reached() $$;
CREATE FUNCTION inqud_test_evil.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT inqud_test_evil.reached() $$;
CREATE DOMAIN inqud_test_evil.text AS pg_catalog.text CHECK (VALUE IS NULL);
CREATE DOMAIN inqud_test_evil.bigint AS pg_catalog.int8 CHECK (VALUE IS NULL);
CREATE TABLE inqud_test_evil.checkout (LIKE inqud.checkout);
CREATE TABLE inqud_test_evil.queue (LIKE inqud.queue);
CREATE TABLE inqud_test_evil.pg_roles (rolname name, oid oid, rolsuper boolean);
CREATE TABLE inqud_test_evil.pg_foreign_server (srvname name, srvowner oid, srvoptions pg_catalog.text[]);
CREATE TYPE inqud_test_evil._order AS (a pg_catalog.text);
CREATE TYPE inqud_test_evil._task AS (a pg_catalog.text);
GRANT ALL ON SCHEMA inqud_test_evil TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA inqud_test_evil TO PUBLIC;
DELETE FROM inqud.queue;
DELETE FROM inqud.checkout WHERE status IS NULL;

SET ROLE regress_inqud_app;
CREATE TEMP TABLE checkout (LIKE inqud.checkout);
CREATE TEMP TABLE queue (LIKE inqud.queue);
CREATE TEMP TABLE pg_roles (rolname name, oid oid, rolsuper boolean);
SET search_path = inqud_test_evil, pg_catalog, pg_temp, public;
SELECT (public.inqud_enqueue_checkout('shop', 'evil', 'n', 'https://shop.example', 5, 'USD')).state;
SELECT (public.inqud_enqueue_checkout('shop', 'evil', 'n', 'https://shop.example', 5, 'USD')).state;
SELECT (public.inqud_refresh((public.inqud_enqueue_checkout('shop', 'evil', 'n', 'https://shop.example', 5, 'USD')).id)).state;
SELECT (public.inqud_cancel((public.inqud_enqueue_checkout('shop', 'evil', 'n', 'https://shop.example', 5, 'USD')).id)).state;
SELECT (public.inqud_wait_checkout(2)).status;
SELECT public.inqud_cancel(4);
INSERT INTO inqud_test.orders VALUES ('evil row');
SELECT order_id, owner, state FROM inqud.checkout ORDER BY id;
SELECT order_id FROM inqud.payment;
SELECT trouble FROM inqud.trouble WHERE checkout IS NOT NULL;
RESET ROLE;
-- The owner's own calls, as the worker makes them.
SELECT order_id AS "order" FROM inqud._claim(inqud._home(), inqud_test.server('shop'), 10, 7);
SELECT result FROM inqud._record(pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('checkout', (SELECT max(id) FROM inqud.checkout), 'kind', 'create', 'lease', 7, 'reply', '{"id": "CCO-EVIL", "status": "SUCCESS"}')), true);
SELECT result FROM inqud._record(pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('checkout', (SELECT max(id) FROM inqud.checkout), 'kind', 'read', 'answers', 1, 'reply', '{"id": "CCO-EVIL", "status": "CONFLICT"}')), true);
SELECT inqud._release_leases(1, 0), inqud._adopt('nowhere', 0);
SELECT count(*) FROM inqud._take_calls(1, inqud_test.server('shop'), 1, true), inqud._next_due(1), inqud._due(1), inqud._asked(1, inqud_test.server('shop'), 1), inqud._found(1, inqud_test.server('shop'), 1);
RESET search_path;
SELECT (SELECT count(*) FROM inqud_test_evil.checkout) + (SELECT count(*) FROM inqud_test_evil.queue);
DROP SCHEMA inqud_test_evil CASCADE;

--
-- A schema of our name that is not ours
--
-- The extension's own, renamed: nothing in its place is ever used.
ALTER SCHEMA inqud RENAME TO inqud_test_moved;
SELECT inqud_test.said($$SELECT inqud_enqueue_checkout('shop', 'moved', 'n', 'https://shop.example')$$);
CREATE SCHEMA inqud;
CREATE FUNCTION inqud._cancel(bigint, oid) RETURNS inqud_test_moved.checkout LANGUAGE plpgsql AS $$ BEGIN RAISE 'a look-alike was reached'; END $$;
SELECT inqud_test.said($$SELECT inqud_cancel(1)$$);
DROP SCHEMA inqud CASCADE;
ALTER SCHEMA inqud_test_moved RENAME TO inqud;
SELECT (inqud_enqueue_checkout('shop', 'moved back', 'n', 'https://shop.example')).state;

-- One that somebody made before the extension came.
DROP SCHEMA inqud_test CASCADE;
SET client_min_messages = error;
DROP EXTENSION inqud CASCADE;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_inqud_app', current_database()); END $$;
SET ROLE regress_inqud_app;
CREATE SCHEMA inqud;
CREATE TABLE inqud.checkout (id bigint, project text, order_id text, owner name, state text);
CREATE FUNCTION inqud._cancel(bigint, oid) RETURNS inqud.checkout LANGUAGE plpgsql AS $$ BEGIN RAISE 'a look-alike was reached'; END $$;
CREATE FUNCTION inqud.inqud_cancel(bigint) RETURNS inqud.checkout LANGUAGE c AS '$libdir/inqud', 'inqud_cancel';
CREATE EXTENSION inqud;
RESET ROLE;
CREATE EXTENSION inqud;
-- Even a function of the library that a superuser made by hand does not take it for ours.
CREATE FUNCTION inqud.by_hand(bigint) RETURNS inqud.checkout LANGUAGE c AS '$libdir/inqud', 'inqud_cancel';
SELECT inqud.by_hand(1);
DROP SCHEMA inqud CASCADE;
CREATE EXTENSION inqud;
DROP EXTENSION inqud;

DROP OWNED BY regress_inqud_app, regress_inqud_other, regress_inqud_none, regress_inqud_group, regress_inqud_member, regress_inqud_apart, regress_inqud_monitor;
DROP ROLE regress_inqud_app, regress_inqud_other, regress_inqud_none, regress_inqud_group, regress_inqud_member, regress_inqud_apart, regress_inqud_monitor;
