/*
 * head.sql
 *		How the script begins: guard, search path, schema, and what projects are.
 *
 * SQL decides what is due and who may claim it; what an outcome means for the row
 * is decided in src/client/lifecycle.c.  C carries: as the extension's owner it calls the functions whose
 * names begin with "_"; no other role may call them or write to the tables.
 * Nothing here talks to the network.
 *
 * Of these functions, those that C calls pin their search_path, and with it
 * that of the functions they call.  C also has their plans made once, so that
 * they use the indexes (inqud_enter).
 *
 * The Makefile joins the parts, in the order of its list SQL_PARTS, into the
 * script of the version that stands in inqud.control.
 */

\echo Use "CREATE EXTENSION inqud" to load this file. \quit

/*
 * Every name is resolved here and now, so no other schema's objects may come in
 * between.  What belongs to users goes to @extschema@, named each time.
 */
SET LOCAL search_path TO pg_catalog, pg_temp;

CREATE SCHEMA inqud;
COMMENT ON SCHEMA inqud IS 'record, queue and reports of crypto payments through Inqud';

-- ---- Projects: foreign servers of a wrapper that only holds options ----

CREATE FUNCTION @extschema@.inqud_fdw_validator(options text[], catalog oid) RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'inqud_fdw_validator';
COMMENT ON FUNCTION @extschema@.inqud_fdw_validator(text[], oid)
	IS 'checks the options of servers (projects) and user mappings (keys) of the wrapper inqud';

CREATE FOREIGN DATA WRAPPER inqud VALIDATOR @extschema@.inqud_fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER inqud
	IS 'holds Inqud projects as servers and API tokens as user mappings; has no tables';
