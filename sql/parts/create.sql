/*
 * create.sql
 *		How users make and read checkouts; all of it is written in C.
 */

CREATE FUNCTION @extschema@.inqud_create_checkout(project text, order_id text, name text, return_url text,
		amount numeric DEFAULT NULL, currency text DEFAULT NULL, type text DEFAULT NULL,
		expires_at timestamptz DEFAULT NULL, extra jsonb DEFAULT NULL) RETURNS inqud.checkout
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'inqud_create_checkout';
COMMENT ON FUNCTION @extschema@.inqud_create_checkout(text, text, text, text, numeric, text, text, timestamptz, jsonb)
	IS 'calls Inqud now, records the checkout and returns it';

CREATE FUNCTION @extschema@.inqud_enqueue_checkout(project text, order_id text, name text, return_url text,
		amount numeric DEFAULT NULL, currency text DEFAULT NULL, type text DEFAULT NULL,
		expires_at timestamptz DEFAULT NULL, extra jsonb DEFAULT NULL) RETURNS inqud.checkout
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'inqud_enqueue_checkout';
COMMENT ON FUNCTION @extschema@.inqud_enqueue_checkout(text, text, text, text, numeric, text, text, timestamptz, jsonb)
	IS 'queues a checkout in this transaction; the worker calls Inqud after the commit';

CREATE FUNCTION @extschema@.inqud_get_checkout(project text, checkout_id text) RETURNS inqud.checkout
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'inqud_get_checkout';
COMMENT ON FUNCTION @extschema@.inqud_get_checkout(text, text)
	IS 'reads a checkout from Inqud now, and writes the news back if it is recorded';

CREATE FUNCTION @extschema@.inqud_order_trigger() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'inqud_order_trigger';
COMMENT ON FUNCTION @extschema@.inqud_order_trigger()
	IS 'queues a checkout for each new order; arguments: the project, then key=template';
