/*
 * status.sql
 *		Inqud's statuses: which are final, since when, which come before, what each means.
 *
 * Indexes and reports ask these functions, so a query meets the index when it
 * asks the same one.  The planner puts the function's text in their place, for
 * which the role that asks must be allowed to call them (rights.sql).
 */

/*
 * True for statuses that Inqud changes only in exceptional cases.  Null for null, since
 * coalesce() may leak a row, and no index is used for it under row security.
 */
CREATE FUNCTION inqud._is_ended(status text) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN status = ANY (ARRAY['SUCCESS', 'CONFLICT', 'EXPIRED']);

/* The same for code, which asks for the opposite, too: false for null. */
CREATE FUNCTION inqud._is_final(status text) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN coalesce(inqud._is_ended(status), false);

/* When a checkout was paid, else when it ended: as Inqud says, else when that was first seen.  A CASE does not count as leaking. */
CREATE FUNCTION inqud._ended_at(paid_at timestamptz, status_at timestamptz, closed_at timestamptz) RETURNS timestamptz
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN paid_at IS NOT NULL THEN paid_at WHEN status_at IS NULL THEN closed_at ELSE status_at END;

/* True for the statuses before a final one.  A word that is neither is unknown, counts as unpaid and is followed. */
CREATE FUNCTION inqud._is_known_open(status text) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN status = ANY (ARRAY['NEW', 'REQUEST_CREATED', 'PAYMENT_DETECTED']);

CREATE VIEW inqud.status WITH (security_invoker = true) AS
	SELECT s.status, s.meaning, inqud._is_final(s.status) AS final, s.status = 'SUCCESS' AS paid FROM (VALUES
		('NEW', 'created; the payer has not chosen a currency'),
		('REQUEST_CREATED', 'the payer chose a currency and was shown an address; nothing has arrived'),
		('PAYMENT_DETECTED', 'a transaction was seen and is being processed; not paid yet'),
		('SUCCESS', 'paid: processed and credited'),
		('CONFLICT', 'money arrived, but something is wrong (too little, for example); a person must decide'),
		('EXPIRED', 'not paid in time')
	) AS s (status, meaning);
COMMENT ON VIEW inqud.status IS 'Inqud''s statuses; any other word counts as neither final nor paid';
COMMENT ON COLUMN inqud.status.status IS 'the word as Inqud sends it';
COMMENT ON COLUMN inqud.status.meaning IS 'what it means';
COMMENT ON COLUMN inqud.status.final IS 'does it change only in exceptional cases';
COMMENT ON COLUMN inqud.status.paid IS 'may the order be fulfilled';
