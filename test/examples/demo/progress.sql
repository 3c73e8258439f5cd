-- How far the checkouts are, for the demo's line of progress.
SELECT count(*) FILTER (WHERE state = 'queued'),
	count(*) FILTER (WHERE status = 'NEW'),
	count(*) FILTER (WHERE status = 'REQUEST_CREATED'),
	count(*) FILTER (WHERE status = 'PAYMENT_DETECTED'),
	count(*) FILTER (WHERE status = 'SUCCESS'),
	count(*) FILTER (WHERE status = 'CONFLICT'),
	count(*) FILTER (WHERE status = 'EXPIRED'),
	(SELECT count(*) FROM orders WHERE paid)
FROM inqud.checkout;
