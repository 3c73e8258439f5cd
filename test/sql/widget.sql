--
-- inqud_widget_html and inqud_widget_page: what they write, what they refuse,
-- and that nothing a row says becomes markup or code.
--
\getenv testdir PG_ABS_SRCDIR
\set common :testdir '/sql/common.psql'
\set ECHO none
\i :common
\set ECHO all

-- A row with these members changed; it need not be recorded.
CREATE FUNCTION inqud_test.row(members jsonb DEFAULT '{}') RETURNS inqud.checkout
LANGUAGE sql AS $$
  SELECT jsonb_populate_record(NULL::inqud.checkout, jsonb '{"id": 1, "project": "shop", "order_id": "1001", "name": "Order 1001", "state": "open",
    "status": "NEW", "checkout_id": "CCO-11111111-2222-4333-8444-555555555555", "acquiring_url": "https://pay.example/c/1?a=1&b=2",
    "return_url": "https://shop.example/orders/1001", "amount": 49.90, "currency": "USD"}' || members)
$$;

-- The lines that match.
CREATE FUNCTION inqud_test.lines(html text, pattern text) RETURNS SETOF text
LANGUAGE sql AS $$
  SELECT l FROM regexp_split_to_table(html, E'\n') AS l WHERE l ~ pattern
$$;

--
-- The whole of both, once
--
SELECT inqud_widget_html(inqud_test.row());
SELECT inqud_widget_html(inqud_test.row(), 'shop.onStatus', 'bm9uY2U=');
SELECT inqud_widget_page(inqud_test.row(), 'shop.onStatus', 'bm9uY2U=');

-- Without a nonce and a callback the page is the same but for these lines.
SELECT l FROM regexp_split_to_table(inqud_widget_page(inqud_test.row()), E'\n') WITH ORDINALITY AS t (l, n)
WHERE l NOT IN (SELECT inqud_test.lines(inqud_widget_page(inqud_test.row(), 'shop.onStatus', 'bm9uY2U='), '')) ORDER BY n;

--
-- Nulls, and checkouts that have no id
--
SELECT inqud_widget_html(NULL) IS NULL, inqud_widget_page(NULL) IS NULL, inqud_widget_page(NULL, 'not a name', '"') IS NULL;
SELECT s, inqud_test.answer(format('SELECT inqud_widget_html(inqud_test.row(%L))', jsonb_build_object('checkout_id', NULL, 'state', s)))
FROM (VALUES ('queued'), ('failed'), ('canceled'), (NULL)) AS t (s);
SELECT inqud_test.answer('SELECT inqud_widget_page(ROW(NULL)::inqud.checkout)') ~ 'cannot cast';
SELECT inqud_test.answer('SELECT inqud_widget_html(jsonb_populate_record(NULL::inqud.checkout, ''{}''))');
-- A row of nulls still has a page.
SELECT inqud_test.lines(inqud_widget_page(jsonb_populate_record(NULL::inqud.checkout, '{}')), '<(html|meta http|title|h1|p|script|noscript|app-widget|a)\y');
-- With an id and nothing else there still is a page.
SELECT inqud_test.lines(inqud_widget_page(jsonb_populate_record(NULL::inqud.checkout, '{"checkout_id": "CCO-1"}')), '<(title|h1|p|script|noscript|app-widget|a)\y');

--
-- What the page calls the order, and what it costs
--
SELECT m, inqud_test.lines(inqud_widget_page(inqud_test.row(m)), '<(title|h1)|price"') FROM (VALUES
  (1, jsonb '{}'), (2, '{"name": null}'), (3, '{"name": ""}'), (4, '{"name": " \t "}'), (5, '{"name": null, "order_id": null}'),
  (6, '{"amount": null}'), (7, '{"currency": null}'), (8, '{"amount": 0.000000000000000001, "currency": "BTC"}'),
  (9, '{"name": "Тарілка № 5 – café 日本 שלום"}')) AS t (n, m) ORDER BY n;

--
-- How the payment stands when the page is made: what is said, and whether there is a form
--
CREATE FUNCTION inqud_test.stands(members jsonb) RETURNS text
LANGUAGE sql AS $$
  SELECT coalesce(substring(p FROM '<p id="inqud-status"[^>]* data-status="([^"]*)"'), '-') || ': '
    || substring(p FROM '</svg><span>([^<]*)</span></p>')
    || CASE WHEN p ~ '<app-widget' AND p ~ '<script' THEN ' [form]' WHEN p ~ '<app-widget|<script' THEN ' [half a form]' ELSE '' END
    || CASE WHEN p ~ 'http-equiv="refresh"' THEN ' [looks again]' ELSE '' END
  FROM inqud_widget_page(inqud_test.row(members)) AS p
$$;
SELECT s, inqud_test.stands(jsonb_build_object('status', s)) FROM (VALUES
  ('NEW'), ('REQUEST_CREATED'), ('PAYMENT_DETECTED'), ('SUCCESS'), ('CONFLICT'), ('EXPIRED'), (NULL), (''), ('success'), ('COMPLETED'), ('"><script>'), ('constructor')) AS t (s);
SELECT m, inqud_test.stands(m) FROM (VALUES
  (jsonb '{"state": "queued", "status": null, "checkout_id": null}'), ('{"state": null, "status": null, "checkout_id": null}'),
  ('{"state": "failed", "status": null, "checkout_id": null}'), ('{"state": "failed", "status": null, "checkout_id": null, "current": false}'),
  ('{"state": "canceled", "status": null, "checkout_id": null}'), ('{"state": "canceled", "status": null, "checkout_id": null, "current": false, "canceled_at": "2020-01-01"}'),
  ('{"canceled_at": "2020-01-01", "current": false}'), ('{"canceled_at": "2020-01-01", "current": false, "status": "PAYMENT_DETECTED"}'),
  ('{"canceled_at": "2020-01-01", "current": false, "status": "SUCCESS", "state": "closed"}'), ('{"canceled_at": "2020-01-01", "current": false, "status": "EXPIRED", "state": "closed"}'),
  ('{"canceled_at": "2020-01-01", "current": false, "status": "CONFLICT", "state": "closed"}'),
  ('{"current": false}'), ('{"current": false, "order_id": null}'), ('{"current": false, "status": "EXPIRED"}'), ('{"current": true}'), ('{"current": null}'),
  ('{"state": "closed", "status": "ODD"}'), ('{"state": "closed", "status": null, "checkout_id": null}'), ('{"state": "open", "checkout_id": null}'),
  ('{"state": "open", "status": "PAYMENT_DETECTED", "checkout_id": null}'), ('{"state": "no such state"}'),
  ('{"state": "closed", "status": "SUCCESS", "paid_at": "2020-01-01", "money_event": 1}'), ('{"state": "closed", "status": "EXPIRED", "paid_at": "2020-01-01", "money_event": 1}'),
  ('{"state": "closed", "status": "CONFLICT", "paid_at": "2020-01-01"}'), ('{"status": "NEW", "paid_at": "2020-01-01"}'), ('{"canceled_at": "2020-01-01", "current": false, "status": "EXPIRED", "paid_at": "2020-01-01"}'),
  ('{"state": "closed", "status": "EXPIRED", "money_event": 1}'), ('{"state": "closed", "status": "CONFLICT", "money_event": 1}')) AS t (m);

--
-- Until when it is valid
--
SET TimeZone = 'Asia/Kolkata';
SELECT e, c, inqud_test.stands(jsonb_build_object('expires_at', e, 'created_at', c)),
  (SELECT inqud_test.lines(inqud_widget_page(inqud_test.row(jsonb_build_object('expires_at', e, 'created_at', c))), '"inqud-until"')) AS until
FROM (VALUES ('2999-01-31 23:59:59.9+00', NULL), ('2999-01-01 00:00+05:30', '2020-01-01'), ('2020-01-02 00:00+00', NULL), ('2020-01-02 00:00+00', '2020-01-01 00:00+00'),
  ('2020-01-01 00:00+00', '2020-01-01 00:00+00'), ('2020-01-01 00:00+00', '2021-01-01 00:00+00'), ('infinity', NULL), ('-infinity', NULL), ('20000-01-01 00:00+00', NULL), ('0044-03-15 00:00+00 BC', NULL), (NULL, NULL)) AS t (e, c);
SELECT s, count(l) FROM unnest(ARRAY['PAYMENT_DETECTED', 'SUCCESS', 'EXPIRED', 'CONFLICT']) AS s LEFT JOIN LATERAL
  inqud_test.lines(inqud_widget_page(inqud_test.row(jsonb_build_object('expires_at', '2999-01-01', 'status', s))), '"inqud-until"') AS l ON true GROUP BY s ORDER BY s;
RESET TimeZone;

--
-- Other texts
--
SELECT inqud_test.lines(inqud_widget_page(inqud_test.row('{"name": null, "expires_at": "2999-01-01 00:00+00"}'), NULL, NULL, t), '<(html|title|h1|p)\y|data-text|noscript')
FROM (VALUES (jsonb '{"lang": "ar-EG", "dir": "rtl", "order": "طلب {order_id}!", "waiting": "<b>&\"''{{x}}", "valid_until": "> {time} <", "paid": "\" onclick=\"x", "pay_link": "<i>", "no_form": "</p>", "back": "رجوع & <"}')) AS t (t);
SELECT inqud_test.lines(inqud_widget_page(inqud_test.row(m), NULL, NULL, '{"expired": "zu <spät>", "back": "zurück", "queued": "gleich", "look_again": "noch einmal", "payment": "Zahlung", "order": "ohne Nummer", "valid_until": ""}'), '<(h1|p)\y')
FROM (VALUES (jsonb '{"status": "EXPIRED"}'), ('{"status": null, "checkout_id": null, "state": "queued", "name": null}'), ('{"name": null, "order_id": null, "return_url": null, "expires_at": "2999-01-01"}')) AS t (m);
SELECT inqud_test.lines(inqud_widget_html(inqud_test.row(), 'f', NULL, '{"pay_link": "<zahlen>"}'), 'noscript'),
  inqud_test.lines(inqud_widget_html(inqud_test.row('{"acquiring_url": null}'), 'f', NULL, '{"no_script": "ohne <JS>"}'), 'noscript'),
  inqud_widget_html(inqud_test.row('{"status": "SUCCESS"}'), 'f', 'n', '{"paid": "bezahlt & \"gut\""}');
SELECT inqud_widget_page(inqud_test.row()) = inqud_widget_page(inqud_test.row(), NULL, NULL, '{}') AS same;
SELECT t, inqud_test.said(format('SELECT inqud_widget_page(inqud_test.row(), NULL, NULL, %L)', t)) FROM (VALUES
  ('{"expird": "x"}'), ('{"paid": 1}'), ('{"paid": null}'), ('{"paid": {"a": "b"}}'), ('{"paid": ["x"]}'), ('[]'), ('["paid"]'), ('"paid"'), ('1'), ('null'), ('{"": "x"}'), ('{"<b>": "x"}'),
  ('{"lang": ""}'), ('{"lang": "de\" onload=\"x"}'), ('{"lang": "é"}'), ('{"dir": "RTL"}'), ('{"dir": "\"><script>"}')) AS t (t);
SELECT inqud_test.said('SELECT inqud_widget_html(inqud_test.row(), NULL, NULL, ''{"x": "y"}'')') ~ '^22023';
-- No sentence is code: none of them adds a bracket or a quote.
CREATE FUNCTION inqud_test.skeleton(html text) RETURNS text
LANGUAGE sql AS $$ SELECT regexp_replace(html, '[^<>"'']', '', 'g') $$;
SELECT count(*), count(*) FILTER (WHERE inqud_test.skeleton(inqud_widget_page(inqud_test.row(m), 'f', 'n', jsonb_build_object(k, h)))
    = inqud_test.skeleton(inqud_widget_page(inqud_test.row(m), 'f', 'n', jsonb_build_object(k, 'x')))) AS same
FROM unnest(ARRAY['order', 'payment', 'queued', 'waiting', 'detected', 'paid', 'anomaly', 'conflict', 'expired', 'canceled', 'replaced', 'failed', 'closed',
    'pay_link', 'no_script', 'no_form', 'look_again', 'back']) AS k,
  (VALUES ('</script><script>hacked=1</script>'), ('"><svg onload=hacked=1>'), (''' onmouseover=''hacked=1'), ('" onmouseover="hacked=1'), ('</p></main><img src=x onerror=hacked=1>'), ('<!--'), (E'a\nb\x01')) AS t (h),
  (VALUES (jsonb '{"expires_at": "2999-01-01", "name": null}'), ('{"status": "EXPIRED"}'), ('{"checkout_id": null, "state": "queued"}'), ('{"state": "failed"}')) AS u (m);

--
-- Ids
--
SELECT to_json(left(i, 60)), left(split_part(inqud_test.answer(format('SELECT string_agg(l, '' '') FROM inqud_test.lines(inqud_widget_html(inqud_test.row(%L), ''f''), ''CCO'') l',
  jsonb_build_object('checkout_id', i))), E'\n', 1), 120) FROM (VALUES
  ('CCO-1'), ('CCO-abc-DEF-09'), ('CCO--'), ('CCO-' || repeat('x', 196)), ('CCO-' || repeat('x', 197)),
  (''), ('CCO-'), ('CCO'), ('cco-1'), ('CAPD-1'), ('PMT-1'), (' CCO-1'), ('CCO-1 '), (E'CCO-1\n'), ('CCO-1_2'), ('CCO-1.2'), ('CCO-é'), ('CCO-1"'), ('CCO-1'''), ('CCO-1`'),
  ('CCO-1"><script>alert(1)</script>'), ('CCO-1'');alert(1);('''), ('CCO-1</script>'), ('CCO-1\'), ('CCO-${alert(1)}'), ('CCO-{{1}}'), (E'CCO-1\u2028alert(1)')) AS t (i);

--
-- Names of functions
--
SELECT to_json(left(c, 60)), split_part(inqud_test.answer(format('SELECT string_agg(btrim(l), '' '') FROM inqud_test.lines(inqud_widget_html(inqud_test.row(), %L), ''detail'') l', c)), E'\n', 1) FROM (VALUES
  ('f'), ('shop.onStatus'), ('_'), ('$'), ('a.b.c.d'), ('$shop._on1'), ('window.parent.f'), ('iff'), ('newShop.returned'), (repeat('f', 200)),
  (NULL), (''), (' '), ('f '), (' f'), ('f()'), ('f;g'), ('f,g'), ('1f'), ('a..b'), ('.a'), ('a.'), ('a.1'), ('a b'), ('a-b'), ('a[0]'), ('a["b"]'), ('a?.b'), ('a/**/'), ('a//'), ('()=>1'),
  ('é'), ('\u0066'), (E'f\n'), (E'f\u2028'), ('f</script>'), ('f<!--'), ('`f`'), ('"f"'), ('f''+alert(1)+'''), ('${f}'), ('eval'), ('window.eval'), ('Function'), ('if'), ('return'), ('new'), ('this'),
  ('import'), ('void'), ('shop.delete'), (repeat('f', 201))) AS t (c);

--
-- Nonces
--
SELECT to_json(left(n, 60)), split_part(inqud_test.answer(format('SELECT string_agg(l, '' '') FROM inqud_test.lines(inqud_widget_html(inqud_test.row(), ''f'', %L), ''<(style|script)'') l', n)), E'\n', 1) FROM (VALUES
  ('a'), ('R4nd0m+/w=='), ('url_safe-1='), (NULL),
  (''), ('='), ('a b'), ('a"'), ('a'''), ('a>'), ('a" src="x'), ('a=b'), (E'a\n'), ('é'), ('{{a}}')) AS t (n);
SELECT inqud_test.said(format('SELECT inqud_widget_page(inqud_test.row(), NULL, %L)', repeat('a', n))) FROM (VALUES (200), (201)) AS t (n);
-- The errors in full
SELECT inqud_test.said('SELECT inqud_widget_html(inqud_test.row(''{"checkout_id": "<CCO-1>"}''))');
SELECT inqud_test.said('SELECT inqud_widget_html(inqud_test.row(), ''f()'')');

--
-- Links: only where http or https leads
--
SELECT to_json(left(u, 60)), inqud_test.lines(inqud_widget_html(inqud_test.row(jsonb_build_object('acquiring_url', u))), 'noscript') FROM (VALUES
  ('https://pay.example/1'), ('http://127.0.0.1:8080/1'), ('HTTPS://pay.example'), ('https://pay.example/?a=''&b={{x}}#`'), ('https://pay.example/é'),
  (NULL), (''), ('javascript:alert(1)'), ('JavaScript:alert(1)'), (' javascript:alert(1)'), ('data:text/html,<script>alert(1)</script>'), ('//pay.example'), ('/c/1'), ('ftp://pay.example'),
  ('https://pay.example/"onclick="alert(1)'), ('https://pay.example/<script>'), ('https://u:p@pay.example/'), (E'https://pay.example/\n'), ('https://')) AS t (u);
SELECT to_json(u), count(l) FROM (VALUES ('https://shop.example/'), (NULL), ('javascript:alert(1)'), ('https://shop.example/" onclick="x')) AS t (u)
LEFT JOIN LATERAL inqud_test.lines(inqud_widget_page(inqud_test.row(jsonb_build_object('return_url', u))), 'Back to the shop') l ON true GROUP BY u ORDER BY u;

--
-- Hostile texts in every column add no bracket and no quote to the page
--
SELECT c, count(*), count(*) FILTER (WHERE inqud_test.skeleton(inqud_widget_page(inqud_test.row(jsonb_build_object(c, h)), 'f', 'n'))
    = inqud_test.skeleton(inqud_widget_page(inqud_test.row(), 'f', 'n'))) AS same
FROM unnest(ARRAY['name', 'order_id', 'currency', 'status', 'reason', 'error', 'pay_currency', 'tx_hash', 'type']) AS c,
  (VALUES ('<script>hacked=1</script>'), ('</title><script>hacked=1</script>'), ('</h1></main></body><img src=x onerror=hacked=1>'), ('"><svg onload=hacked=1>'),
    (''' onmouseover=''hacked=1'), ('" onmouseover="hacked=1'), ('</script><script>hacked=1</script>'), ('<!--'), ('-->'), (']]>'), ('<![CDATA['), ('&lt;script&gt;'), ('&#60;script&#62;'), ('&'),
    ('${hacked=1}'), ('{{constructor.constructor("hacked=1")()}}'), ('`'), ('\'), ('\x3cscript\x3e'), ('\u003cscript\u003e'), (E'\u2028hacked=1\u2029'), (E'a\u202Eb'),
    (E'\x01\x1b\x7f'), ('</style><style>*{display:none}'), ('javascript:hacked=1'), ('+ADw-script+AD4-')) AS t (h)
GROUP BY c ORDER BY c;
SELECT inqud_test.lines(inqud_widget_page(inqud_test.row(jsonb_build_object('name', h))), '<(title|h1)') FROM (VALUES
  ('<b>"bold"</b> & ''more'''), (E'one\ntwo\x7f'), ('&amp;')) AS t (h);

--
-- The script's address: the server's option, whoever asks
--
ALTER SERVER shop OPTIONS (ADD widget_url 'https://cdn.example/w.js?a=1&b=''{{2}}');
CREATE FOREIGN DATA WRAPPER inqud_other;
CREATE SERVER inqud_other FOREIGN DATA WRAPPER inqud_other OPTIONS (widget_url 'https://evil.example/w.js');
SELECT p, inqud_test.lines(inqud_widget_html(inqud_test.row(jsonb_build_object('project', p))), ' src=')
FROM (VALUES ('shop'), ('no_such_server'), ('inqud_other'), (''), (NULL), (repeat('x', 100))) AS t (p);
CREATE ROLE inqud_test_visitor;
SET ROLE inqud_test_visitor;
SELECT has_server_privilege('shop', 'USAGE');
SELECT inqud_test.lines(inqud_widget_html(inqud_test.row()), ' src=');
SELECT count(*) FROM inqud.checkout c, inqud_widget_page(c);
RESET ROLE;
DROP ROLE inqud_test_visitor;
DROP FOREIGN DATA WRAPPER inqud_other CASCADE;

--
-- From the table, by the functions' other notation
--
SELECT (inqud_enqueue_checkout('shop', '1001', 'Order <1001>', 'https://shop.example/orders/1001')).state;
SELECT inqud_test.answer('SELECT inqud_widget_html(c) FROM inqud.checkout c');
SELECT provolatile, proparallel, proisstrict, has_function_privilege('public', oid, 'EXECUTE') FROM pg_proc WHERE proname IN ('inqud_widget_html', 'inqud_widget_page');
