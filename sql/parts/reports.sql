/*
 * reports.sql
 *		Views over what is recorded: payments, work to do, days and steps.
 *
 * They run with the rights of the role that asks, so row security holds.
 */

CREATE VIEW inqud.payment WITH (security_invoker = true) AS
	SELECT c.id AS checkout, c.project, c.order_id, c.owner, c.checkout_id, c.type, c.amount, c.currency,
		c.pay_amount, c.paid_amount, c.pay_currency, c.pay_blockchain, c.overpaid,
		c.merchant_fee, c.processing_amount, c.tx_hash, c.opened_at,
		inqud._ended_at(c.paid_at, c.status_at, c.closed_at) AS paid_at,
		c.paid_at - c.opened_at AS time_to_pay, c.current
	FROM inqud.checkout c
	-- as the index checkout_ended; no status that is not final follows SUCCESS
	WHERE c.paid_at IS NOT NULL AND inqud._is_ended(c.status);
COMMENT ON VIEW inqud.payment IS 'paid checkouts: all of which Inqud has said SUCCESS, whatever it said later';
COMMENT ON COLUMN inqud.payment.checkout IS 'inqud.checkout.id';
COMMENT ON COLUMN inqud.payment.project IS 'name of the foreign server';
COMMENT ON COLUMN inqud.payment.order_id IS 'the merchant''s order';
COMMENT ON COLUMN inqud.payment.owner IS 'role that asked for the checkout';
COMMENT ON COLUMN inqud.payment.checkout_id IS 'Inqud''s id';
COMMENT ON COLUMN inqud.payment.type IS 'type of the checkout';
COMMENT ON COLUMN inqud.payment.amount IS 'price, null if the payer chose it';
COMMENT ON COLUMN inqud.payment.currency IS 'currency of the price';
COMMENT ON COLUMN inqud.payment.pay_amount IS 'what the payer had to send';
COMMENT ON COLUMN inqud.payment.paid_amount IS 'what arrived';
COMMENT ON COLUMN inqud.payment.pay_currency IS 'asset of the payment';
COMMENT ON COLUMN inqud.payment.pay_blockchain IS 'chain of the payment';
COMMENT ON COLUMN inqud.payment.overpaid IS 'did more arrive than was asked for';
COMMENT ON COLUMN inqud.payment.merchant_fee IS 'fee borne by the merchant, in the asset of the payment';
COMMENT ON COLUMN inqud.payment.processing_amount IS 'what the merchant is credited, in the asset of the payment';
COMMENT ON COLUMN inqud.payment.tx_hash IS 'transaction on the chain';
COMMENT ON COLUMN inqud.payment.opened_at IS 'when Inqud made the checkout';
COMMENT ON COLUMN inqud.payment.paid_at IS 'when Inqud says it was first paid, or when that was first seen';
COMMENT ON COLUMN inqud.payment.time_to_pay IS 'from opened_at to paid_at';
COMMENT ON COLUMN inqud.payment.current IS 'is this still the order''s checkout; false: late money, see inqud.trouble';

CREATE VIEW inqud.pending WITH (security_invoker = true) AS
	SELECT q.checkout, c.project, c.order_id, c.owner, q.kind, q.phase, c.state, c.status,
		now() - c.created_at AS age, q.due_at,
		CASE WHEN q.due_at < now() THEN now() - q.due_at END AS overdue, q.sending, q.attempts, c.error
	FROM (SELECT w.checkout, CASE WHEN w.kind = 'create' THEN 'create' WHEN w.due_at IS NOT NULL THEN 'poked'
				WHEN w.phase IN ('active', 'reopened') THEN 'active' ELSE 'idle' END AS kind,
				w.phase, w.due_at, w.lease IS NOT NULL AS sending, w.attempts FROM inqud.queue w
			UNION ALL
			SELECT k.checkout, 'hook', NULL, k.due_at, false, k.attempts FROM inqud.call k) AS q
		JOIN inqud.checkout c ON c.id = q.checkout;
COMMENT ON VIEW inqud.pending IS 'what the worker still has to do';
COMMENT ON COLUMN inqud.pending.checkout IS 'inqud.checkout.id';
COMMENT ON COLUMN inqud.pending.project IS 'name of the foreign server';
COMMENT ON COLUMN inqud.pending.order_id IS 'the merchant''s order';
COMMENT ON COLUMN inqud.pending.owner IS 'role that asked for the checkout';
COMMENT ON COLUMN inqud.pending.kind IS 'create: to be sent; poked: to be read; active, idle: followed; hook: on_status to be called';
COMMENT ON COLUMN inqud.pending.phase IS 'how it is followed';
COMMENT ON COLUMN inqud.pending.state IS 'state of the checkout';
COMMENT ON COLUMN inqud.pending.status IS 'Inqud''s status';
COMMENT ON COLUMN inqud.pending.age IS 'since the checkout''s row was made';
COMMENT ON COLUMN inqud.pending.due_at IS 'not before; null for active and idle, which the worker reads by its own clock';
COMMENT ON COLUMN inqud.pending.overdue IS 'how long it has been due';
COMMENT ON COLUMN inqud.pending.sending IS 'is a create under way';
COMMENT ON COLUMN inqud.pending.attempts IS 'attempts so far';
COMMENT ON COLUMN inqud.pending.error IS 'last error of the checkout';

-- ---- By day ----

/*
 * The days on which checkouts were made, and the moments between which to look
 * for them. It walks the index day by day, so that a report over a few days
 * reads only their rows, in any time zone of a session. "since" is an hour
 * early because of clock changes at midnight; who uses the view also compares
 * the day.
 */
CREATE VIEW inqud._day_made WITH (security_invoker = true) AS
	WITH RECURSIVE d (day) AS (
		SELECT min(c.created_at)::date FROM inqud.checkout c
		UNION
		SELECT (SELECT min(c.created_at)::date FROM inqud.checkout c
				WHERE c.created_at >= (d.day + 1)::timestamptz - interval '1 hour' AND c.created_at::date > d.day)
		FROM d WHERE d.day IS NOT NULL
	)
	SELECT d.day, d.day::timestamptz - interval '1 hour' AS since, (d.day + 1)::timestamptz AS until
	FROM d WHERE d.day IS NOT NULL;

/* The same for the days on which checkouts were paid, expired or came into conflict. */
CREATE VIEW inqud._day_ended WITH (security_invoker = true) AS
	WITH RECURSIVE d (day) AS (
		SELECT min(inqud._ended_at(c.paid_at, c.status_at, c.closed_at))::date FROM inqud.checkout c WHERE inqud._is_ended(c.status)
		UNION
		SELECT (SELECT min(inqud._ended_at(c.paid_at, c.status_at, c.closed_at))::date FROM inqud.checkout c
				WHERE inqud._is_ended(c.status)
					AND inqud._ended_at(c.paid_at, c.status_at, c.closed_at) >= (d.day + 1)::timestamptz - interval '1 hour'
					AND inqud._ended_at(c.paid_at, c.status_at, c.closed_at)::date > d.day)
		FROM d WHERE d.day IS NOT NULL
	)
	SELECT d.day, d.day::timestamptz - interval '1 hour' AS since, (d.day + 1)::timestamptz AS until
	FROM d WHERE d.day IS NOT NULL;

/*
 * Each checkout counts on the day on which it was made, and once more on the day
 * on which its outcome came.  Prices are added up within one currency, what the
 * chains moved within one asset.
 */
CREATE VIEW inqud.daily WITH (security_invoker = true) AS
	SELECT a.project, a.day, a.currency,
		sum(a.created)::bigint AS created, sum(a.paid)::bigint AS paid,
		sum(a.conflict)::bigint AS conflict, sum(a.expired)::bigint AS expired,
		sum(a.created_amount) AS created_amount, sum(a.paid_amount) AS paid_amount,
		jsonb_object_agg(a.asset, a.received) FILTER (WHERE a.asset IS NOT NULL AND a.received IS NOT NULL) AS received,
		jsonb_object_agg(a.asset, a.fees) FILTER (WHERE a.asset IS NOT NULL AND a.fees IS NOT NULL) AS fees,
		jsonb_object_agg(a.asset, a.credited) FILTER (WHERE a.asset IS NOT NULL AND a.credited IS NOT NULL) AS credited
	FROM (
		SELECT m.project, d.day, m.currency, NULL::text AS asset,
			m.created, 0::bigint AS paid, 0::bigint AS conflict, 0::bigint AS expired,
			m.created_amount, NULL::numeric AS paid_amount,
			NULL::numeric AS received, NULL::numeric AS fees, NULL::numeric AS credited
		FROM inqud._day_made d CROSS JOIN LATERAL (
			SELECT c.project, c.currency, count(*) AS created, sum(c.amount) AS created_amount
			FROM inqud.checkout c
			WHERE c.created_at >= d.since AND c.created_at < d.until AND c.created_at::date = d.day
			GROUP BY 1, 2) AS m
		UNION ALL
		SELECT e.project, d.day, e.currency, e.asset, 0, e.paid, e.conflict, e.expired,
			NULL, e.paid_amount, e.received, e.fees, e.credited
		FROM inqud._day_ended d CROSS JOIN LATERAL (
			SELECT c.project, c.currency, c.pay_currency AS asset,
				count(*) FILTER (WHERE c.paid_at IS NOT NULL) AS paid,
				count(*) FILTER (WHERE c.status = 'CONFLICT' AND c.paid_at IS NULL) AS conflict,
				count(*) FILTER (WHERE c.status = 'EXPIRED' AND c.paid_at IS NULL) AS expired,
				sum(c.amount) FILTER (WHERE c.paid_at IS NOT NULL) AS paid_amount,
				sum(c.paid_amount) FILTER (WHERE c.paid_at IS NOT NULL) AS received,
				sum(c.merchant_fee) FILTER (WHERE c.paid_at IS NOT NULL) AS fees,
				sum(c.processing_amount) FILTER (WHERE c.paid_at IS NOT NULL) AS credited
			FROM inqud.checkout c
			WHERE inqud._is_ended(c.status)
				AND inqud._ended_at(c.paid_at, c.status_at, c.closed_at) >= d.since
				AND inqud._ended_at(c.paid_at, c.status_at, c.closed_at) < d.until
				AND inqud._ended_at(c.paid_at, c.status_at, c.closed_at)::date = d.day
			GROUP BY 1, 2, 3) AS e
	) AS a
	GROUP BY 1, 2, 3;
COMMENT ON VIEW inqud.daily IS 'what was made and what became of it, by project, day and currency';
COMMENT ON COLUMN inqud.daily.project IS 'name of the foreign server';
COMMENT ON COLUMN inqud.daily.day IS 'day in the session''s time zone';
COMMENT ON COLUMN inqud.daily.currency IS 'currency of the price; null where the payer chose the amount';
COMMENT ON COLUMN inqud.daily.created IS 'checkouts made on this day';
COMMENT ON COLUMN inqud.daily.paid IS 'checkouts paid on this day, whenever they were made';
COMMENT ON COLUMN inqud.daily.conflict IS 'checkouts that came into conflict on this day, and were never paid';
COMMENT ON COLUMN inqud.daily.expired IS 'checkouts that expired on this day, and were never paid';
COMMENT ON COLUMN inqud.daily.created_amount IS 'sum of the prices of what was made, in currency';
COMMENT ON COLUMN inqud.daily.paid_amount IS 'sum of the prices of what was paid, in currency';
COMMENT ON COLUMN inqud.daily.received IS 'what arrived for what was paid: a sum for each asset';
COMMENT ON COLUMN inqud.daily.fees IS 'fees of what was paid, borne by the merchant: a sum for each asset';
COMMENT ON COLUMN inqud.daily.credited IS 'what the merchant is credited for what was paid: a sum for each asset';

/*
 * How far the checkouts of a day came.  What a row says is enough where Inqud
 * sent its replies in full; where it did not, the history knows of the steps
 * between, and is asked about those rows only.
 */
CREATE VIEW inqud.funnel WITH (security_invoker = true) AS
	SELECT f.project, d.day, f.created, f.opened, f.chosen, f.detected, f.paid,
		f.conflict, f.expired, f.failed, f.canceled, f.unfinished,
		f.percentiles[1] AS time_to_pay_50, f.percentiles[2] AS time_to_pay_90, f.percentiles[3] AS time_to_pay_99
	FROM inqud._day_made d CROSS JOIN LATERAL (
		SELECT c.project, count(*) AS created,
			count(*) FILTER (WHERE s.step >= 1) AS opened,
			count(*) FILTER (WHERE s.step >= 2) AS chosen,
			count(*) FILTER (WHERE s.step >= 3) AS detected,
			count(*) FILTER (WHERE c.paid_at IS NOT NULL) AS paid,
			count(*) FILTER (WHERE c.status = 'CONFLICT' AND c.paid_at IS NULL) AS conflict,
			count(*) FILTER (WHERE c.status = 'EXPIRED' AND c.paid_at IS NULL) AS expired,
			count(*) FILTER (WHERE c.state = 'failed') AS failed,
			count(*) FILTER (WHERE c.state = 'canceled') AS canceled,
			count(*) FILTER (WHERE c.state IN ('queued', 'open')) AS unfinished,
			percentile_cont(ARRAY[0.5, 0.9, 0.99]) WITHIN GROUP (ORDER BY c.paid_at - c.opened_at)
				FILTER (WHERE c.paid_at IS NOT NULL) AS percentiles
		FROM inqud.checkout c
			-- OFFSET: once for each row, and for no row that is left out
			CROSS JOIN LATERAL (SELECT CASE
				WHEN c.checkout_id IS NULL THEN 0
				WHEN c.status IN ('PAYMENT_DETECTED', 'CONFLICT') OR c.paid_at IS NOT NULL OR c.paid_amount > 0 OR c.tx_hash IS NOT NULL THEN 3
				ELSE greatest(1,
					CASE WHEN c.status = 'REQUEST_CREATED' OR c.request_id IS NOT NULL OR c.pay_currency IS NOT NULL THEN 2 END,
					(SELECT max(CASE e.status_to WHEN 'REQUEST_CREATED' THEN 2 ELSE 3 END) FROM inqud.event e
					 WHERE e.checkout = c.id AND e.kind IN ('created', 'status')
						AND e.status_to IN ('REQUEST_CREATED', 'PAYMENT_DETECTED', 'SUCCESS', 'CONFLICT')))
				END OFFSET 0) AS s (step)
		WHERE c.created_at >= d.since AND c.created_at < d.until AND c.created_at::date = d.day
		GROUP BY 1) AS f;
COMMENT ON VIEW inqud.funnel IS 'how far the checkouts of a day came, by project and day; each step counts those that came further, too';
COMMENT ON COLUMN inqud.funnel.project IS 'name of the foreign server';
COMMENT ON COLUMN inqud.funnel.day IS 'day on which the checkouts were made, in the session''s time zone';
COMMENT ON COLUMN inqud.funnel.created IS 'step 0: checkouts asked for; the sum of paid, conflict, expired, failed, canceled and unfinished';
COMMENT ON COLUMN inqud.funnel.opened IS 'step 1: came into being at Inqud, so that there was a payment page';
COMMENT ON COLUMN inqud.funnel.chosen IS 'step 2: the payer chose a currency and was shown an address';
COMMENT ON COLUMN inqud.funnel.detected IS 'step 3: money was seen';
COMMENT ON COLUMN inqud.funnel.paid IS 'step 4: SUCCESS was said, whatever was said later';
COMMENT ON COLUMN inqud.funnel.conflict IS 'ended in CONFLICT, and never paid';
COMMENT ON COLUMN inqud.funnel.expired IS 'ended in EXPIRED, and never paid';
COMMENT ON COLUMN inqud.funnel.failed IS 'refused by Inqud, or given up';
COMMENT ON COLUMN inqud.funnel.canceled IS 'canceled before they were sent';
COMMENT ON COLUMN inqud.funnel.unfinished IS 'not at an end yet';
COMMENT ON COLUMN inqud.funnel.time_to_pay_50 IS 'half of those paid took no longer than this, as time_to_pay in inqud.payment';
COMMENT ON COLUMN inqud.funnel.time_to_pay_90 IS 'nine in ten of those paid took no longer';
COMMENT ON COLUMN inqud.funnel.time_to_pay_99 IS '99 in a hundred of those paid took no longer';
