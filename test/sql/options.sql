--
-- Options of servers and user mappings: every one of them good and bad, on the
-- wrong kind of object, misspelt, and in hands that may not set it.
--
-- No network, no files.  Commands are tried by a function that says what became
-- of them, and that would say so if a message repeated a secret.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS inqud;
\pset format unaligned
\pset tuples_only on

CREATE SCHEMA options_test;
GRANT USAGE ON SCHEMA options_test TO PUBLIC;

-- Whatever contains this word must never be seen in a message.
\set marker 'xMARKERx'

CREATE FUNCTION options_test.said(command text, brief boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  message text;
  detail text;
  hint text;
  answer text;
BEGIN
  EXECUTE command;
  RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  answer := concat_ws(E'\n  ', SQLSTATE || ' ' || message, 'DETAIL: ' || nullif(detail, ''), 'HINT: ' || nullif(hint, ''));
  IF answer LIKE '%MARKER%' THEN
    RETURN 'ECHOED: ' || answer;
  ELSIF brief THEN
    RETURN SQLSTATE || ' ' || message || CASE WHEN detail = '' THEN ' (without detail)' ELSE '' END;
  END IF;
  RETURN answer;
END $$;

-- A server with that option, made and dropped.
CREATE FUNCTION options_test.server(option text, value text, brief boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  answer text := options_test.said(format('CREATE SERVER options_probe FOREIGN DATA WRAPPER inqud OPTIONS (%s%I %L)',
    CASE WHEN option <> 'project_id' THEN 'project_id ''CAP-1'', ' ELSE '' END, option, value), brief);
BEGIN
  DROP SERVER IF EXISTS options_probe;
  RETURN answer;
END $$;

-- A mapping with that option, made and dropped.
CREATE SERVER options_mapped FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-1');
CREATE FUNCTION options_test.mapping(option text, value text, brief boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  answer text := options_test.said(format('CREATE USER MAPPING FOR PUBLIC SERVER options_mapped OPTIONS (%I %L)', option, value), brief);
BEGIN
  DROP USER MAPPING IF EXISTS FOR PUBLIC SERVER options_mapped;
  RETURN answer;
END $$;

--
-- Good values
--
SELECT o, left(v, 60), options_test.server(o, v) FROM (VALUES
  ('project_id', 'CAP-11111111-2222-4333-8444-555555555555'), ('project_id', 'a.b:c~d_e'), ('project_id', repeat('x', 200)),
  ('base_url', 'https://api.inqud.com'), ('base_url', 'https://api.inqud.com/'), ('base_url', 'https://gateway.example:8443/inqud'),
  ('base_url', 'http://localhost:8080'), ('base_url', 'http://127.0.0.1:8080'), ('base_url', 'http://127.8.9.10'), ('base_url', 'http://[::1]:8080'),
  ('checkout_path', '/v1/user/crypto-acquiring/{project}/checkouts/{checkout}'), ('checkout_path', '/{checkout}/of/{project}'),
  ('auth', 'secret'), ('auth', 'signed'),
  ('rate_limit', '0'), ('rate_limit', '5'), ('rate_limit', '0.25'), ('rate_limit', '100000'),
  ('max_inflight', '1'), ('max_inflight', '1000'),
  ('connect_timeout', '1ms'), ('connect_timeout', '10min'), ('timeout', '500ms'), ('timeout', '10 min'),
  ('max_reply_size', '1kB'), ('max_reply_size', '1024'), ('max_reply_size', '64MB'),
  ('retry_min', '1ms'), ('retry_min', '5min'), ('retry_max', '1s'), ('retry_max', '1day'), ('retry_for', '0s'), ('retry_for', '1000 days'),
  ('poll_active', '10ms'), ('poll_active', '30 days'), ('poll_new', '10ms'), ('poll_new', '2min'),
  ('expires_in', '1s'), ('expires_in', '1h'), ('expires_in', '10000 days'),
  ('name_limit', '1'), ('name_limit', '10000'),
  ('on_status', 'order_changed'), ('on_status', 'shop.order_changed'), ('on_status', '"Shop"."order (changed)"'),
  ('widget_url', 'https://paycrypto.inqud.com/widget.js'), ('widget_url', 'https://cdn.example/w.js?v=2'),
  ('ca_file', '/etc/ssl/certs/own.pem')) AS t (o, v);

SELECT o, left(v, 20), options_test.mapping(o, v) FROM (VALUES
  ('token_id', 'TKN-1'), ('token_id', '!~'), ('token_secret', 's3cret'), ('token_secret', repeat('x', 1000)),
  ('webhook_secret', 'one'), ('webhook_secret', 'words with spaces = "quotes"'), ('webhook_secret_previous', 'two'),
  ('request_webhook_secret', 'three'), ('request_webhook_secret_previous', 'four'),
  ('secret_file', '/etc/inqud/shop.secrets')) AS t (o, v);

-- All at once.
CREATE SERVER options_all FOREIGN DATA WRAPPER inqud OPTIONS (
  project_id 'CAP-1', base_url 'http://localhost:1', checkout_path '/{project}/{checkout}', auth 'signed', rate_limit '7.5', max_inflight '3',
  connect_timeout '1s', timeout '2s', max_reply_size '2kB', retry_min '3s', retry_max '4s', retry_for '5h', poll_active '6s', poll_new '7s',
  expires_in '8min', name_limit '9', on_status 'f', widget_url 'https://w.example/w.js', ca_file '/ca.pem');
CREATE USER MAPPING FOR PUBLIC SERVER options_all OPTIONS (
  token_id 'a', token_secret 'b', webhook_secret 'c', webhook_secret_previous 'd', request_webhook_secret 'e', request_webhook_secret_previous 'f', secret_file '/g');
SELECT cardinality(srvoptions), cardinality(umoptions) FROM pg_foreign_server s JOIN pg_user_mapping m ON m.umserver = s.oid WHERE srvname = 'options_all';
DROP SERVER options_all CASCADE;

--
-- Bad values of a server: each once with all that is said
--
SELECT options_test.server('project_id', 'a b');
SELECT options_test.server('auth', 'basic');
SELECT options_test.server('rate_limit', '-1');
SELECT options_test.server('max_inflight', '0');
SELECT options_test.server('connect_timeout', '5');
SELECT options_test.server('timeout', '11min');
SELECT options_test.server('max_reply_size', '65MB');
SELECT options_test.server('retry_min', '0s');
SELECT options_test.server('retry_max', '2 fortnights');
SELECT options_test.server('retry_for', '1001 days');
SELECT options_test.server('poll_active', '9ms');
SELECT options_test.server('poll_new', '31 days');
SELECT options_test.server('expires_in', '999ms');
SELECT options_test.server('name_limit', '10001');
SELECT options_test.server('on_status', '');
SELECT options_test.server('ca_file', 'relative.pem');

-- ... and in all ways, briefly.  Every one is refused.
SELECT o, to_json(left(v, 60)), options_test.server(o, v, true) FROM (VALUES
  ('project_id', ''), ('project_id', '.'), ('project_id', '..'), ('project_id', 'a..b'), ('project_id', 'a/b'), ('project_id', 'a\b'),
  ('project_id', 'a?b'), ('project_id', 'a#b'), ('project_id', '%2e%2e'), ('project_id', 'é'), ('project_id', E'a\nb'), ('project_id', repeat('x', 201)),
  ('base_url', ''), ('base_url', 'api.inqud.com'), ('base_url', 'https://'), ('base_url', 'ftp://api.inqud.com'), ('base_url', 'file:///etc/passwd'),
  ('base_url', 'http://api.inqud.com'), ('base_url', 'http://10.0.0.1'), ('base_url', 'http://128.0.0.1'), ('base_url', 'http://[::2]'),
  ('base_url', 'https://127.1'), ('base_url', 'https://0x7f.1'), ('base_url', 'https://2130706433'), ('base_url', 'http://[::ffff:127.0.0.1]'),
  ('base_url', 'http://localhost.'), ('base_url', 'https://api.inqud.com/%2e%2e/'), ('base_url', 'https://api.inqud.com\@evil.example'), ('base_url', 'https://api.inqud.com:0'),
  ('base_url', 'https://api.inqud.com:65536'), ('base_url', 'https://api.inqud.com/../x'), ('base_url', 'gopher://localhost'),
  ('base_url', 'http://localhost.evil.example'), ('base_url', 'http://evil-localhost'), ('base_url', 'http://evil.localhost.example'),
  ('base_url', 'http://127.0.0.1.evil.example'), ('base_url', 'http://evil.example/127.0.0.1'), ('base_url', 'http://localhost@evil.example'),
  ('base_url', 'https://user:xMARKERx@api.inqud.com'), ('base_url', 'https://user@api.inqud.com'),
  ('base_url', 'https://api.inqud.com?key=xMARKERx'), ('base_url', 'https://api.inqud.com#x'),
  ('base_url', 'https://api.inqud .com'), ('base_url', E'https://api.inqud.com/\tx'), ('base_url', E'https://api.inqud.com\r\nX: y'), ('base_url', 'https://inqüd.example'),
  ('checkout_path', ''), ('checkout_path', 'v1/{project}/{checkout}'), ('checkout_path', '/v1/{project}'), ('checkout_path', '/v1/{checkout}'),
  ('checkout_path', '/{project}/{checkout}/{checkout}'), ('checkout_path', '/{project}/{checkout}/{other}'), ('checkout_path', '/{project}/../{checkout}'),
  ('checkout_path', '/{project}/{checkout}?a=b'), ('checkout_path', '/{project}/{checkout}#a'), ('checkout_path', E'/{project}/\n{checkout}'), ('checkout_path', '/{project}/{checkout} '),
  ('checkout_path', '/{project}/%2e%2e/{checkout}'), ('checkout_path', '/{project}/{checkout}%2f'), ('checkout_path', '/{project}\{checkout}'), ('checkout_path', E'/{project}/{checkout}\r\nX: y'),
  ('checkout_path', '/{project}/{checkout}/..'), ('checkout_path', '/{project}/{'), ('checkout_path', 'https://evil.example/{project}/{checkout}'),
  ('auth', ''), ('auth', 'SIGNED'),
  ('rate_limit', ''), ('rate_limit', 'many'), ('rate_limit', '1e3'), ('rate_limit', '1.'), ('rate_limit', '.5'), ('rate_limit', '1.2.3'), ('rate_limit', 'NaN'), ('rate_limit', 'inf'),
  ('rate_limit', '100000.1'), ('rate_limit', '0x10'), ('rate_limit', ' 1'),
  ('max_inflight', ''), ('max_inflight', '1001'), ('max_inflight', '8.0'), ('max_inflight', '+8'), ('max_inflight', '99999999999999999999'),
  ('connect_timeout', '0ms'), ('connect_timeout', '601s'), ('connect_timeout', '-5s'), ('timeout', '0s'), ('timeout', '1.5s'), ('timeout', 's'), ('timeout', ''), ('timeout', '5 parsecs'),
  ('timeout', '99999999999999999999999s'),
  ('max_reply_size', '0'), ('max_reply_size', '1023'), ('max_reply_size', '1GB'), ('max_reply_size', '-1kB'), ('max_reply_size', 'kB'),
  ('retry_min', '25h'), ('retry_max', '0ms'), ('retry_max', '2 days'), ('retry_for', '-1s'), ('poll_active', 'x'), ('poll_new', '9ms'), ('expires_in', '10001 days'),
  ('name_limit', '0'), ('name_limit', 'none'),
  ('on_status', 'a.b.c.d'), ('on_status', 'f(inqud.checkout)'), ('on_status', '"unfinished'), ('on_status', '.f'), ('on_status', 'a.b.c'), ('on_status', 'f; g'), ('on_status', E'f\n'),
  ('widget_url', ''), ('widget_url', 'widget.js'), ('widget_url', 'javascript:alert(1)'), ('widget_url', E'https://w.example/\nw.js'), ('widget_url', 'https://w.example/w js'),
  ('ca_file', ''), ('ca_file', E'/ca\n.pem'), ('ca_file', '/' || repeat('x', 1024))) AS t (o, v);

-- Only numbers and words are repeated, and only short ones without control characters.
SELECT options_test.server('max_inflight', repeat('9', 65));
SELECT options_test.server('timeout', E'5\nLOG:  forged');
SELECT options_test.server('on_status', '1 xMARKERx');
SELECT options_test.server('project_id', 'my xMARKERx');

-- Bounds that belong together, by default or as set.
SELECT options_test.server('retry_min', '6min');
SELECT options_test.server('retry_max', '500ms');
CREATE SERVER options_retry FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-1', retry_min '10min', retry_max '10min');
SELECT options_test.said('ALTER SERVER options_retry OPTIONS (SET retry_max ''9min'')');
SELECT options_test.said('ALTER SERVER options_retry OPTIONS (DROP retry_max)');
SELECT options_test.said('ALTER SERVER options_retry OPTIONS (DROP retry_max, DROP retry_min)');

-- The project is what a server is about.
SELECT options_test.said('CREATE SERVER options_probe FOREIGN DATA WRAPPER inqud');
SELECT options_test.said('CREATE SERVER options_probe FOREIGN DATA WRAPPER inqud OPTIONS (rate_limit ''1'')');
SELECT options_test.said('ALTER SERVER options_retry OPTIONS (DROP project_id)');
SELECT options_test.said('ALTER SERVER options_retry OPTIONS (SET project_id ''CAP-2'')');
SELECT srvoptions FROM pg_foreign_server WHERE srvname = 'options_retry';
DROP SERVER options_retry;

--
-- Bad values of a mapping: what is expected is said, nothing of the value is
--
SELECT options_test.mapping('token_id', 'my xMARKERx');
SELECT options_test.mapping('token_secret', E'xMARKERx\n');
SELECT options_test.mapping('webhook_secret', E'xMARKERx\t');
SELECT options_test.mapping('secret_file', 'xMARKERx');

SELECT o, options_test.mapping(o, v, true) FROM (VALUES
  ('token_id', ''), ('token_id', 'xMARKERxé'), ('token_id', E'xMARKERx\r\nX-Header: y'), ('token_id', 'xMARKERx' || repeat('x', 993)),
  ('token_secret', ''), ('token_secret', ' xMARKERx'), ('token_secret', E'xMARKERx\x7f'), ('token_secret', 'xMARKERx' || repeat('x', 993)),
  ('webhook_secret', ''), ('webhook_secret', 'xMARKERx' || repeat('x', 993)), ('webhook_secret_previous', ''), ('webhook_secret_previous', E'xMARKERx\x01'),
  ('request_webhook_secret', ''), ('request_webhook_secret', E'xMARKERx\n'), ('request_webhook_secret_previous', ''), ('request_webhook_secret_previous', E'\x1bxMARKERx'),
  ('secret_file', ''), ('secret_file', './xMARKERx'), ('secret_file', E'/xMARKERx\n'), ('secret_file', '/xMARKERx' || repeat('x', 1024))) AS t (o, v);

-- Neither is it when the name is the mistake, or another option of the same mapping.
SELECT options_test.mapping('token_sceret', :'marker');
SELECT options_test.mapping('api_key', :'marker');
-- What documents write in place of a value is refused; a secret may have the same characters elsewhere.
SELECT v, options_test.mapping(o, v, true) FROM unnest(ARRAY['token_id', 'webhook_secret']) AS o, unnest(ARRAY['...', '…', 'TKN-…', 'xMARKERx...', '<secret>', '<your token id>']) AS v ORDER BY o, v COLLATE "C";
SELECT options_test.mapping('token_secret', '<xMARKERx>');
SELECT options_test.server('project_id', 'CAP-…'), options_test.server('base_url', 'https://…', true), options_test.server('timeout', '...', true);
SELECT v, options_test.mapping('webhook_secret', v) FROM unnest(ARRAY['a...b', '...a', '<a>b', '<>', '<a9>', 'a…b', '..']) AS v ORDER BY v COLLATE "C";
SELECT options_test.said('CREATE USER MAPPING FOR PUBLIC SERVER options_mapped OPTIONS (token_secret ''xMARKERx'', token_id '''')');
SELECT options_test.said('CREATE USER MAPPING FOR PUBLIC SERVER options_mapped OPTIONS (token_secret ''xMARKERx'', token_secret ''xMARKERx'')');
CREATE USER MAPPING FOR PUBLIC SERVER options_mapped OPTIONS (token_id 'TKN-xMARKERx', token_secret 'xMARKERx');
SELECT options_test.said('ALTER USER MAPPING FOR PUBLIC SERVER options_mapped OPTIONS (SET token_id ''a b'')');
SELECT options_test.said('ALTER USER MAPPING FOR PUBLIC SERVER options_mapped OPTIONS (ADD password ''xMARKERx'')');
SELECT options_test.said('ALTER USER MAPPING FOR PUBLIC SERVER options_mapped OPTIONS (SET token_secret ''renewed'')');
SELECT umoptions FROM pg_user_mappings WHERE srvname = 'options_mapped';
DROP USER MAPPING FOR PUBLIC SERVER options_mapped;

-- A mapping may also be empty, or have webhook secrets only.
SELECT options_test.said('CREATE USER MAPPING FOR PUBLIC SERVER options_mapped');
DROP USER MAPPING FOR PUBLIC SERVER options_mapped;

--
-- Unknown names, and names of the other kind of object
--
SELECT options_test.server('poll_now', '1s');
SELECT options_test.server('Project_id', 'CAP-1');
SELECT options_test.server('host', 'x');
SELECT options_test.server('token_secret', :'marker');
SELECT options_test.server('webhook_secret', :'marker');
SELECT options_test.mapping('project_id', :'marker');
SELECT options_test.mapping('ca_file', :'marker');
SELECT options_test.mapping('user', :'marker');
SELECT options_test.said('ALTER FOREIGN DATA WRAPPER inqud OPTIONS (ADD base_url ''https://api.inqud.com'')');
SELECT options_test.said('ALTER FOREIGN DATA WRAPPER inqud OPTIONS (ADD debug ''on'')');
SELECT options_test.said('CREATE FOREIGN TABLE options_test.f (a int) SERVER options_mapped OPTIONS (table_name ''t'')');
SELECT o, options_test.server(o, 'x', true) FROM unnest(ARRAY['token_id', 'token_secret', 'webhook_secret', 'webhook_secret_previous',
  'request_webhook_secret', 'request_webhook_secret_previous', 'secret_file']) AS o;
SELECT o, options_test.mapping(o, 'x', true) FROM unnest(ARRAY['project_id', 'base_url', 'checkout_path', 'auth', 'rate_limit', 'max_inflight', 'connect_timeout',
  'timeout', 'max_reply_size', 'retry_min', 'retry_max', 'retry_for', 'poll_active', 'poll_new', 'expires_in', 'name_limit', 'on_status', 'widget_url', 'ca_file']) AS o;

--
-- Who may name files of the server
--
CREATE ROLE regress_inqud_owner;
CREATE ROLE regress_inqud_reader IN ROLE pg_read_server_files;
CREATE ROLE regress_inqud_user;
GRANT USAGE ON FOREIGN DATA WRAPPER inqud TO regress_inqud_owner, regress_inqud_reader;

SET ROLE regress_inqud_owner;
SELECT options_test.said('CREATE SERVER options_owned FOREIGN DATA WRAPPER inqud OPTIONS (project_id ''CAP-1'', ca_file ''/ca.pem'')');
CREATE SERVER options_owned FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-1');
GRANT USAGE ON FOREIGN SERVER options_owned TO regress_inqud_user;
SELECT options_test.said('ALTER SERVER options_owned OPTIONS (ADD ca_file ''/ca.pem'')');
SELECT options_test.said('CREATE USER MAPPING FOR PUBLIC SERVER options_owned OPTIONS (secret_file ''/xMARKERx'')');
CREATE USER MAPPING FOR PUBLIC SERVER options_owned OPTIONS (token_id 'a', token_secret 'b');
SELECT options_test.said('ALTER USER MAPPING FOR PUBLIC SERVER options_owned OPTIONS (ADD secret_file ''/xMARKERx'')');

-- The role of a mapping may change it, though not to read a file.
SET ROLE regress_inqud_user;
SELECT options_test.said('CREATE USER MAPPING FOR CURRENT_USER SERVER options_owned OPTIONS (secret_file ''/xMARKERx'')');
SELECT options_test.said('CREATE USER MAPPING FOR CURRENT_USER SERVER options_owned OPTIONS (token_id ''c'')');
SELECT options_test.said('ALTER USER MAPPING FOR CURRENT_USER SERVER options_owned OPTIONS (ADD secret_file ''/xMARKERx'')');
SELECT options_test.said('ALTER USER MAPPING FOR CURRENT_USER SERVER options_owned OPTIONS (SET token_id ''d'', ADD token_secret ''e'')');
DROP USER MAPPING FOR CURRENT_USER SERVER options_owned;

-- What a superuser set, the owner can neither keep nor change, only drop.
RESET ROLE;
ALTER SERVER options_owned OPTIONS (ADD ca_file '/ca.pem');
ALTER USER MAPPING FOR PUBLIC SERVER options_owned OPTIONS (ADD secret_file '/xMARKERx');
SET ROLE regress_inqud_owner;
SELECT options_test.said('ALTER SERVER options_owned OPTIONS (SET ca_file ''/other.pem'')');
SELECT options_test.said('ALTER SERVER options_owned OPTIONS (ADD timeout ''10s'')');
SELECT options_test.said('ALTER SERVER options_owned OPTIONS (DROP ca_file, ADD timeout ''10s'')');
SELECT options_test.said('ALTER USER MAPPING FOR PUBLIC SERVER options_owned OPTIONS (SET token_id ''z'')');
SELECT options_test.said('ALTER USER MAPPING FOR PUBLIC SERVER options_owned OPTIONS (SET token_id ''z'', DROP secret_file)');

-- A member of pg_read_server_files may do all this with objects of its own.
SET ROLE regress_inqud_reader;
SELECT options_test.said('CREATE SERVER options_read FOREIGN DATA WRAPPER inqud OPTIONS (project_id ''CAP-1'', ca_file ''/ca.pem'')');
SELECT options_test.said('ALTER SERVER options_read OPTIONS (SET ca_file ''/other.pem'', ADD timeout ''10s'')');
SELECT options_test.said('CREATE USER MAPPING FOR PUBLIC SERVER options_read OPTIONS (secret_file ''/secrets'')');
SELECT options_test.said('ALTER USER MAPPING FOR PUBLIC SERVER options_read OPTIONS (ADD token_id ''a'')');
RESET ROLE;

-- Who may no longer read the server's files may keep nothing going that makes
-- the server read one but what is set; a new owner who never might, neither.
REVOKE pg_read_server_files FROM regress_inqud_reader;
SET ROLE regress_inqud_reader;
SELECT options_test.said('ALTER SERVER options_read OPTIONS (SET ca_file ''/third.pem'')', true);
SELECT options_test.said('ALTER SERVER options_read OPTIONS (SET timeout ''11s'')', true);
SELECT options_test.said('ALTER USER MAPPING FOR PUBLIC SERVER options_read OPTIONS (SET secret_file ''/xMARKERx'')', true);
SELECT options_test.said('ALTER USER MAPPING FOR PUBLIC SERVER options_read OPTIONS (SET token_id ''xMARKERx'')', true);
RESET ROLE;
ALTER SERVER options_read OWNER TO regress_inqud_owner;
SET ROLE regress_inqud_owner;
SELECT options_test.said('ALTER SERVER options_read OPTIONS (SET ca_file ''/third.pem'')', true);
SELECT options_test.said('ALTER SERVER options_read OPTIONS (SET timeout ''11s'')', true);
SELECT options_test.said('ALTER USER MAPPING FOR PUBLIC SERVER options_read OPTIONS (SET secret_file ''/xMARKERx'')', true);
SELECT options_test.said('CREATE USER MAPPING FOR CURRENT_USER SERVER options_read OPTIONS (secret_file ''/secrets'')', true);
SELECT options_test.said('ALTER SERVER options_read OPTIONS (DROP ca_file, SET timeout ''11s'')', true);
SELECT options_test.said('ALTER USER MAPPING FOR PUBLIC SERVER options_read OPTIONS (DROP secret_file, SET token_id ''b'')', true);
RESET ROLE;
SELECT srvoptions FROM pg_foreign_server WHERE srvname = 'options_read';
SELECT umoptions FROM pg_user_mappings WHERE srvname = 'options_read';

-- ADD, SET and DROP as the server has them, and columns of foreign tables.
SELECT options_test.said('ALTER SERVER options_mapped OPTIONS (ADD project_id ''CAP-2'')', true);
SELECT options_test.said('ALTER SERVER options_mapped OPTIONS (SET timeout ''2s'')', true);
SELECT options_test.said('ALTER SERVER options_mapped OPTIONS (DROP timeout)', true);
SELECT options_test.said('ALTER SERVER options_mapped OPTIONS (ADD timeout ''2s'', ADD timeout ''3s'')', true);
SELECT options_test.said('ALTER SERVER options_mapped OPTIONS (ADD "Timeout" ''2s'')', true);
SELECT options_test.said('ALTER SERVER options_mapped OPTIONS (ADD "timeout " ''2s'')', true);
SELECT options_test.said('CREATE SERVER options_probe FOREIGN DATA WRAPPER inqud OPTIONS (project_id ''CAP-1'', project_id ''CAP-2'')', true);
SELECT options_test.said('CREATE FOREIGN TABLE options_test.f (a int OPTIONS (token_secret ''xMARKERx'')) SERVER options_mapped', true);
SELECT options_test.said('CREATE FOREIGN DATA WRAPPER options_other VALIDATOR inqud_fdw_validator OPTIONS (token_secret ''xMARKERx'')', true);

-- No kind of value of a mapping comes back, whatever is wrong with it.
SELECT count(*) AS tried, count(*) FILTER (WHERE answer NOT LIKE 'HV024 %') AS not_refused, count(*) FILTER (WHERE answer LIKE '%ECHOED%') AS echoed
FROM (SELECT options_test.mapping(o, v, true) AS answer
  FROM unnest(ARRAY['token_id', 'token_secret', 'webhook_secret', 'webhook_secret_previous', 'request_webhook_secret', 'request_webhook_secret_previous', 'secret_file']) AS o,
    unnest(ARRAY[E'xMARKERx\n', E'xMARKERx\r\nX: y', E'\txMARKERx', E'xMARKERx\x01', E'xMARKERx\x7f', E'\x1b[31mxMARKERx', 'xMARKERx' || repeat('x', 1100),
      E'xMARKERx\n' || repeat('x', 100000), E'%s%n xMARKERx\n', E'"xMARKERx"\n', E'xMARKERx=\n', E'''xMARKERx''\n', E'xMARKERxé\n']) AS v) AS x;

-- The validator called by hand says no more than through the commands.
SELECT options_test.said(format('SELECT %s(ARRAY[''token_secret=xMARKERx '', ''token_id''], ''pg_user_mapping''::regclass)',
  (SELECT fdwvalidator::regproc FROM pg_foreign_data_wrapper WHERE fdwname = 'inqud')));
SELECT options_test.said(format('SELECT %s(ARRAY[NULL]::text[], ''pg_user_mapping''::regclass)',
  (SELECT fdwvalidator::regproc FROM pg_foreign_data_wrapper WHERE fdwname = 'inqud')), true);

DROP SERVER options_owned, options_read, options_mapped CASCADE;
DROP OWNED BY regress_inqud_owner, regress_inqud_reader, regress_inqud_user;
DROP ROLE regress_inqud_owner, regress_inqud_reader, regress_inqud_user;
DROP SCHEMA options_test CASCADE;
