--
-- Whatever default privileges stand where the extension is created, its members
-- have the rights that they have without any, and nobody else has one.
--
\getenv testdir PG_ABS_SRCDIR
\set common :testdir '/sql/common.psql'
\set ECHO none
\i :common
\set ECHO all

-- The rights on every member, in a schema that outlives the extension.
CREATE FUNCTION inqud_test.rights() RETURNS TABLE (object text, holder text, privilege text, grantable boolean)
LANGUAGE sql AS $$
  WITH member AS (
    SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
    WHERE e.extname = 'inqud' AND d.deptype = 'e'
  ), lists (object, acl) AS (
    SELECT 'function ' || p.oid::regprocedure, coalesce(p.proacl, acldefault('f', p.proowner)) FROM member m JOIN pg_proc p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass
    UNION ALL SELECT 'relation ' || c.oid::regclass, coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))
      FROM member m JOIN pg_class c ON c.oid = m.objid AND m.classid = 'pg_class'::regclass
    UNION ALL SELECT 'schema ' || n.oid::regnamespace, coalesce(n.nspacl, acldefault('n', n.nspowner)) FROM member m JOIN pg_namespace n ON n.oid = m.objid AND m.classid = 'pg_namespace'::regclass
    UNION ALL SELECT 'type ' || t.oid::regtype, coalesce(t.typacl, acldefault('T', t.typowner)) FROM member m JOIN pg_type t ON t.oid = m.objid AND m.classid = 'pg_type'::regclass
    UNION ALL SELECT 'wrapper ' || w.fdwname, coalesce(w.fdwacl, acldefault('F', w.fdwowner)) FROM member m JOIN pg_foreign_data_wrapper w ON w.oid = m.objid AND m.classid = 'pg_foreign_data_wrapper'::regclass
  )
  SELECT l.object, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END, a.privilege_type, a.is_grantable FROM lists l, aclexplode(l.acl) a
$$;
CREATE TABLE inqud_test.plain AS SELECT * FROM inqud_test.rights();
SELECT split_part(object, ' ', 1) AS kind, count(DISTINCT object) > 0, bool_or(holder = 'PUBLIC') FROM inqud_test.plain GROUP BY 1 ORDER BY 1;
-- What an installation has more, and what it lacks.
CREATE FUNCTION inqud_test.differs() RETURNS TABLE (what text, kind text, holder text, privilege text, example text)
LANGUAGE sql AS $$
  SELECT d.what, split_part(d.object, ' ', 1), d.holder, d.privilege, min(d.object)
  FROM (SELECT 'more' AS what, m.* FROM (SELECT * FROM inqud_test.rights() EXCEPT TABLE inqud_test.plain) m
    UNION ALL SELECT 'less', l.* FROM (TABLE inqud_test.plain EXCEPT SELECT * FROM inqud_test.rights()) l) d
  GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
$$;
SELECT * FROM inqud_test.differs();

-- Everything to another role.
CREATE ROLE regress_inqud_m;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO regress_inqud_m WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO regress_inqud_m;
ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO regress_inqud_m;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO regress_inqud_m;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TYPES TO regress_inqud_m;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO regress_inqud_m;
DROP EXTENSION inqud CASCADE;
CREATE EXTENSION inqud;
SELECT * FROM inqud_test.differs();
CREATE TABLE inqud_test.theirs (id bigint);
SELECT has_table_privilege('regress_inqud_m', 'inqud_test.theirs', 'TRIGGER') AS the_defaults_are_at_work;
-- A trigger on the queue would run as the worker.
GRANT CREATE ON SCHEMA inqud_test TO regress_inqud_m;
SET ROLE regress_inqud_m;
CREATE FUNCTION inqud_test.spring() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ALTER ROLE regress_inqud_m SUPERUSER; RETURN NEW; END $$;
SELECT inqud_test.said(c) FROM unnest(ARRAY[
  'CREATE TRIGGER t BEFORE INSERT ON inqud.queue FOR EACH ROW EXECUTE FUNCTION inqud_test.spring()',
  'INSERT INTO inqud.event (kind) VALUES (''x'')', 'TRUNCATE inqud.checkout', 'SELECT nextval(''inqud.checkout_id_seq'')',
  'CREATE TABLE inqud.mine (a int)', 'SELECT inqud._release_leases(0, 0)', 'SELECT inqud_adopt()']) AS c;
RESET ROLE;

-- Something to everybody, and nothing to the owner.
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON FUNCTIONS FROM PUBLIC, CURRENT_USER;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TYPES FROM PUBLIC, CURRENT_USER;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM CURRENT_USER;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON SEQUENCES FROM CURRENT_USER;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON SCHEMAS FROM CURRENT_USER;
DROP EXTENSION inqud CASCADE;
CREATE EXTENSION inqud;
SELECT * FROM inqud_test.differs();

DROP EXTENSION inqud CASCADE;
DROP SCHEMA inqud_test CASCADE;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON SEQUENCES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON SCHEMAS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO PUBLIC, CURRENT_USER;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TYPES TO PUBLIC, CURRENT_USER;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO CURRENT_USER;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO CURRENT_USER;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO CURRENT_USER;
DROP OWNED BY regress_inqud_m;
DROP ROLE regress_inqud_m;
SELECT count(*) AS default_privileges_left FROM pg_default_acl;
