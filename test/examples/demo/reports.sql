-- The reports at the demo's end: plain queries, as a shop would write them.

\pset border 2
\pset linestyle unicode
\pset footer off
\pset null '-'

\echo 'Payments (inqud.payment): what was asked for, what arrived, what is credited'
SELECT order_id AS "order", amount AS price, currency AS "in", pay_amount AS to_pay, paid_amount AS arrived,
	pay_currency AS asset, pay_blockchain AS chain, overpaid AS over, merchant_fee AS fee,
	processing_amount AS credited, to_char(time_to_pay, 'MI:SS.MS') AS time_to_pay
FROM inqud.payment ORDER BY order_id::int;

\echo 'The day in figures (inqud.daily)'
SELECT day, currency AS "in", created, created_amount AS made_for, paid, paid_amount AS paid_for, conflict, expired, received, fees, credited
FROM inqud.daily ORDER BY day, currency;

\echo 'How far the checkouts came (inqud.funnel)'
SELECT day, created, opened, chosen, detected, paid, conflict, expired, unfinished,
	to_char(time_to_pay_50, 'MI:SS.MS') AS half_paid_within
FROM inqud.funnel ORDER BY day;

\echo 'What a person should look at (inqud.trouble)'
\x on
SELECT order_id AS "order", trouble, detail, advice FROM inqud.trouble;
\x off

\echo 'What the worker still follows (inqud.pending): late money, late corrections'
SELECT status, kind, phase, count(*) AS checkouts,
	string_agg(order_id, ' ' ORDER BY order_id::int) AS orders
FROM inqud.pending GROUP BY status, kind, phase ORDER BY status, phase;

\echo 'The shop''s own table: "payment" and "paid" were written by on_status'
SELECT id, customer, total, currency, payment, paid FROM orders ORDER BY id;

\echo 'Both together: orders and money'
SELECT o.payment, count(*) AS orders, sum(o.total) AS total, o.currency,
	sum(p.processing_amount) AS credited, string_agg(DISTINCT p.pay_currency, ', ') AS asset
FROM orders o LEFT JOIN inqud.payment p ON p.project = 'shop' AND p.order_id = o.id::text
GROUP BY o.payment, o.currency ORDER BY count(*) DESC, o.payment;
