/*
 * backup.sql
 *		What CREATE EXTENSION changes for backups.
 *
 * pg_dump reads with row_security off, so the tables' policies end the dump of a role
 * that they hold for, and with it the backup of the whole database.
 */
DO $backup$
DECLARE
	names text := (SELECT string_agg(quote_ident(r.rolname), ', ' ORDER BY r.rolname) FROM pg_roles r
		WHERE r.rolcanlogin AND NOT r.rolsuper AND NOT r.rolbypassrls AND pg_has_role(r.oid, 'pg_read_all_data', 'USAGE'));
BEGIN
	IF names IS NOT NULL THEN
		RAISE WARNING 'dumps of this database need BYPASSRLS from now on' USING
			DETAIL = 'Row security protects the tables of inqud. Roles that may read all data, and could not dump these: ' || names || '.',
			HINT = 'ALTER ROLE ... BYPASSRLS for those that make backups.';
	END IF;
END
$backup$;
