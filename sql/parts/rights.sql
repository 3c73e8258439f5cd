/*
 * rights.sql
 *		Who may do what with the members of the extension; the last part, since it
 *		is about all objects before it, and the only one that grants.
 *
 * Each script ends with it, an upgrade with a copy.  First it takes all rights from
 * everybody, for ALTER DEFAULT PRIVILEGES may have given any role any right on what
 * the script has made.  A role that may put a trigger on inqud.queue has the worker
 * run it, and becomes superuser by it.  Then it grants what the documents say.
 *
 * An upgrade must not take away what administrators have granted meanwhile, nor have
 * it become a part of the extension, which no dump contains.  So it leaves objects
 * alone that a script has set the rights of before: pg_init_privs has these.
 */
DO $rights$
DECLARE
	-- internal functions that views and the page call, with the rights of the role that asks
	shown CONSTANT text[] := ARRAY['_home', '_is_ended', '_is_final', '_ended_at', '_is_known_open', '_workers', '_stats', '_troubles',
		'_advice_no_server', '_html', '_duration', '_bars', '_report_style', '_report_revenue', '_report_assets', '_report_funnel', '_report_times'];
	-- what only superusers, and the roles that they choose, may call
	kept CONSTANT text[] := ARRAY['inqud_adopt', 'inqud_reassign', 'inqud_worker_start', 'inqud_worker_stop', 'inqud_receive_webhook',
		'inqud_stats_reset', 'inqud_prune'];
	m record;
	holders text;
BEGIN
	FOR m IN
		WITH member AS (
			SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid
			WHERE x.extname = 'inqud' AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
				AND NOT EXISTS (SELECT FROM pg_init_privs i
					WHERE i.classoid = d.classid AND i.objoid = d.objid AND i.objsubid = 0)
		)
		SELECT 'ROUTINE ' || p.oid::regprocedure AS name, p.proowner AS owner, coalesce(p.proacl, acldefault('f', p.proowner)) AS acl,
			CASE WHEN CASE WHEN p.pronamespace = 'inqud'::regnamespace THEN p.proname = ANY (shown) ELSE p.proname <> ALL (kept) END
				THEN 'EXECUTE' END AS everybody
			FROM member o JOIN pg_proc p ON o.classid = 'pg_proc'::regclass AND o.objid = p.oid
		UNION ALL
		SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || c.oid::regclass, c.relowner,
			coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)),
			CASE WHEN c.relkind <> 'S' THEN 'SELECT' END
			FROM member o JOIN pg_class c ON o.classid = 'pg_class'::regclass AND o.objid = c.oid
			WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S')
		UNION ALL
		SELECT 'SCHEMA ' || n.oid::regnamespace, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner)), 'USAGE'
			FROM member o JOIN pg_namespace n ON o.classid = 'pg_namespace'::regclass AND o.objid = n.oid
		UNION ALL
		-- those of arrays and of tables' rows are members since 17, and have no rights of their own
		SELECT 'TYPE ' || t.oid::regtype, t.typowner, coalesce(t.typacl, acldefault('T', t.typowner)), 'USAGE'
			FROM member o JOIN pg_type t ON o.classid = 'pg_type'::regclass AND o.objid = t.oid
			WHERE t.typelem = 0 AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
		UNION ALL
		SELECT 'FOREIGN DATA WRAPPER ' || quote_ident(w.fdwname), w.fdwowner, coalesce(w.fdwacl, acldefault('F', w.fdwowner)), NULL
			FROM member o JOIN pg_foreign_data_wrapper w ON o.classid = 'pg_foreign_data_wrapper'::regclass AND o.objid = w.oid
	LOOP
		SELECT string_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, ', ')
			INTO holders FROM aclexplode(m.acl) a;
		IF holders IS NOT NULL THEN
			EXECUTE format('REVOKE ALL ON %s FROM %s', m.name, holders);
		END IF;
		EXECUTE format('GRANT ALL ON %s TO %I', m.name, pg_get_userbyid(m.owner));
		IF m.everybody IS NOT NULL THEN
			EXECUTE format('GRANT %s ON %s TO PUBLIC', m.everybody, m.name);
		END IF;
	END LOOP;
END
$rights$;
