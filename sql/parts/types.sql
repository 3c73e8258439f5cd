/*
 * types.sql
 *		Composite types that C and SQL hand each other.
 *
 * The order of members counts: C forms and reads these rows.
 */

/* An order to be queued, already checked. */
CREATE TYPE inqud._order AS (
	order_id text,
	name text,
	return_url text,
	amount numeric,
	currency text,
	type text,
	expires_at timestamptz,
	extra jsonb
);

/* A call that is due, with all that the client needs for it. */
CREATE TYPE inqud._task AS (
	checkout bigint,
	kind text,
	lease bigint,
	poke integer,
	attempts integer,
	answers integer,
	due_at timestamptz,
	project text,
	project_id text,
	owner oid,
	owner_id integer,
	checkout_id text,
	status text,
	order_id text,
	name text,
	type text,
	amount text,
	currency text,
	return_url text,
	expires_at timestamptz,
	extra text
);
