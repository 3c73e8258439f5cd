--
-- The webhook as PostgREST functions, in the schema that it exposes (here "api"):
-- POST /rpc/inqud_webhook.  Inqud sends application/json, which reaches the first;
-- the second is for a proxy that says application/octet-stream instead.  Both see
-- the bytes as they came, in a database whose encoding is UTF8: type json, unlike
-- jsonb, keeps its text.  PostgREST answers 200 to what returns a value, and 400
-- to an error.
--
-- They run as their owner, so the web role gets no right but to call them, and
-- the digest is checked inside.  A function that returned void would be answered
-- with 204, which Inqud takes for a failure.
--
CREATE FUNCTION api.inqud_webhook(json) RETURNS boolean
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
	RETURN inqud_receive_webhook('shop', convert_to($1::text, 'UTF8'),
		current_setting('request.headers', true)::json ->> 'x-payload-digest');

CREATE FUNCTION api.inqud_webhook(bytea) RETURNS boolean
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
	RETURN inqud_receive_webhook('shop', $1,
		current_setting('request.headers', true)::json ->> 'x-payload-digest');

REVOKE ALL ON FUNCTION api.inqud_webhook(json), api.inqud_webhook(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.inqud_webhook(json), api.inqud_webhook(bytea) TO web_anon;
