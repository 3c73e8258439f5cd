--
-- Rights and safety settings of every member of the extension, one line each:
-- whatever changes here was meant, or is a mistake.
--
\getenv testdir PG_ABS_SRCDIR
\set common :testdir '/sql/common.psql'
\set ECHO none
\i :common
\set ECHO all

CREATE VIEW inqud_test.members AS
  SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
  WHERE e.extname = 'inqud' AND d.deptype = 'e';
-- An access list without its grantor; what is left empty by default is written out, and the owner is "owner".
CREATE FUNCTION inqud_test.acl(acl aclitem[], kind "char", owner oid) RETURNS text
LANGUAGE sql AS $$
  SELECT coalesce(string_agg(who || '=' || rights, ' ' ORDER BY who), 'nobody')
  FROM (SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' WHEN owner THEN 'owner' ELSE a.grantee::regrole::text END AS who,
      string_agg(a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END, ',' ORDER BY a.privilege_type) AS rights
    FROM aclexplode(coalesce(acl, acldefault(kind, owner))) a
    -- what versions from 17 on have more
    WHERE a.privilege_type <> 'MAINTAIN' GROUP BY 1) t
$$;
CREATE FUNCTION inqud_test.owner(role oid) RETURNS text
LANGUAGE sql AS $$ SELECT CASE WHEN role = extowner THEN 'extension''s' ELSE role::regrole::text END FROM pg_extension WHERE extname = 'inqud' $$;

-- What kinds of members there are.  An index, a row type or a rule goes with its table or view.
SELECT classid::regclass FROM inqud_test.members GROUP BY classid ORDER BY classid::regclass::text COLLATE "C";

-- pg_proc: rights, SECURITY DEFINER, settings, volatility, parallel safety, strictness, leak-proof, language, owner.
SELECT p.oid::regprocedure || ': ' || inqud_test.acl(p.proacl, 'f', p.proowner),
  CASE WHEN p.prosecdef THEN 'SECURITY DEFINER' ELSE 'invoker' END, p.provolatile, p.proparallel,
  CASE WHEN p.proisstrict THEN 'strict' END, CASE WHEN p.proleakproof THEN 'LEAKPROOF' END, l.lanname,
  CASE WHEN p.prosqlbody IS NOT NULL THEN 'bound body' END, p.proconfig, inqud_test.owner(p.proowner)
FROM inqud_test.members m JOIN pg_proc p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass JOIN pg_language l ON l.oid = p.prolang
ORDER BY p.oid::regprocedure::text COLLATE "C";

-- pg_class: rights, row security, options, owner.
SELECT c.oid::regclass || ': ' || inqud_test.acl(c.relacl, CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner), c.relkind,
  CASE WHEN c.relrowsecurity THEN 'row security' END, CASE WHEN c.relforcerowsecurity THEN 'FORCED' END, c.relpersistence,
  (SELECT string_agg(o, ' ' ORDER BY o) FROM unnest(c.reloptions) o WHERE o !~ '^(autovacuum|fillfactor)'), inqud_test.owner(c.relowner)
FROM inqud_test.members m JOIN pg_class c ON c.oid = m.objid AND m.classid = 'pg_class'::regclass ORDER BY c.oid::regclass::text COLLATE "C";
-- Rights on columns.
SELECT a.attrelid::regclass, a.attname, inqud_test.acl(a.attacl, 'c', c.relowner) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE a.attacl IS NOT NULL AND (c.relnamespace = 'inqud'::regnamespace OR a.attrelid IN (SELECT objid FROM inqud_test.members)) ORDER BY 1, 2;
-- Row security.
SELECT p.polrelid::regclass, p.polname, p.polcmd, p.polpermissive, p.polroles::regrole[], pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
FROM pg_policy p JOIN inqud_test.members m ON m.objid = p.polrelid ORDER BY p.polrelid::regclass::text COLLATE "C", p.polname;
-- Triggers and rules, but those of views and of this test.
SELECT t.tgrelid::regclass, t.tgname, t.tgenabled, t.tgfoid::regprocedure FROM pg_trigger t JOIN inqud_test.members m ON m.objid = t.tgrelid
WHERE t.tgname <> 'inqud_test_number' ORDER BY t.tgrelid::regclass::text COLLATE "C", t.tgname;
SELECT r.ev_class::regclass, r.rulename FROM pg_rewrite r JOIN inqud_test.members m ON m.objid = r.ev_class WHERE r.rulename <> '_RETURN';

-- pg_namespace, pg_type, pg_foreign_data_wrapper, pg_extension.
SELECT n.nspname || ': ' || inqud_test.acl(n.nspacl, 'n', n.nspowner), inqud_test.owner(n.nspowner)
FROM inqud_test.members m JOIN pg_namespace n ON n.oid = m.objid AND m.classid = 'pg_namespace'::regclass;
SELECT t.oid::regtype || ': ' || inqud_test.acl(t.typacl, 'T', t.typowner), t.typtype, inqud_test.owner(t.typowner)
FROM inqud_test.members m JOIN pg_type t ON t.oid = m.objid AND m.classid = 'pg_type'::regclass
-- those of arrays and of tables' rows are members since 17, and follow what they are of
WHERE t.typelem = 0 AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
ORDER BY t.oid::regtype::text COLLATE "C";
SELECT f.fdwname || ': ' || inqud_test.acl(f.fdwacl, 'F', f.fdwowner), f.fdwhandler, f.fdwvalidator::regprocedure, f.fdwoptions, inqud_test.owner(f.fdwowner)
FROM inqud_test.members m JOIN pg_foreign_data_wrapper f ON f.oid = m.objid AND m.classid = 'pg_foreign_data_wrapper'::regclass;
SELECT a.superuser, a.trusted, a.relocatable, e.extrelocatable, e.extnamespace::regnamespace, a.requires FROM pg_available_extension_versions a
JOIN pg_extension e ON e.extname = a.name AND e.extversion = a.version WHERE a.name = 'inqud';
-- Default privileges: it sets none.
SELECT count(*) FROM pg_default_acl;

DROP SCHEMA inqud_test CASCADE;
DROP EXTENSION inqud CASCADE;
