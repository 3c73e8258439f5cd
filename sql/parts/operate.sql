/*
 * operate.sql
 *		What users ask for of a checkout or of the worker: wait, refresh, retry, cancel, stop, start.
 *
 * Each function for users is written in C, which checks its arguments and calls the
 * one here as the extension's owner, naming the role that asks.
 */

/* Locks and returns a checkout that the role may act on.  One of another role does not exist for it. */
CREATE FUNCTION inqud._lock_own(id bigint, role oid) RETURNS inqud.checkout
	LANGUAGE plpgsql AS $$
DECLARE
	c inqud.checkout;
BEGIN
	SELECT * INTO c FROM inqud.checkout k WHERE k.id = _lock_own.id
		AND inqud._may_act(role, k.owner_id) FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE undefined_object USING MESSAGE = format('checkout %s does not exist', id);
	END IF;
	RETURN c;
END
$$;

/* Makes a checkout due now, or when the rule for reads allows. */
CREATE FUNCTION inqud._refresh(id bigint, role oid) RETURNS inqud.checkout
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	c inqud.checkout := inqud._lock_own(id, role);
BEGIN
	IF c.checkout_id IS NOT NULL THEN
		INSERT INTO inqud.queue AS q (checkout, home, server_id, kind, due_at, poke, phase, tail_from)
			VALUES (c.id, inqud._home(), c.server_id, 'read', clock_timestamp(), 1,
				CASE WHEN c.state = 'closed' THEN 'check' ELSE 'active' END,
				CASE WHEN c.state = 'closed' THEN c.closed_at ELSE greatest(coalesce(c.expires_at, clock_timestamp()), c.created_at) END)
			ON CONFLICT (checkout) DO UPDATE
				SET kind = 'read', due_at = least(q.due_at, inqud._read_from(c.updated_at, q.read_at, q.attempts)), poke = q.poke + 1;
	ELSIF c.state = 'queued' THEN
		UPDATE inqud.queue q SET due_at = clock_timestamp() WHERE q.checkout = c.id;
	ELSE
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('checkout %s has no id at Inqud to be read', id),
			DETAIL = format('Its state is "%s".', c.state),
			HINT = 'Use inqud_retry to send a failed one again.';
	END IF;
	RETURN c;
END
$$;

/* Queues a failed checkout again. */
CREATE FUNCTION inqud._retry(id bigint, role oid) RETURNS inqud.checkout
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	c inqud.checkout := inqud._lock_own(id, role);
BEGIN
	IF c.state = 'queued' THEN
		UPDATE inqud.queue q SET due_at = clock_timestamp(), spent = '0' WHERE q.checkout = c.id;
		RETURN c;
	ELSIF c.state <> 'failed' OR NOT c.current OR c.checkout_id IS NOT NULL THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('checkout %s cannot be sent again', id),
			DETAIL = CASE WHEN c.state = 'failed' THEN 'It was canceled, or its order has another checkout.'
				ELSE format('Its state is "%s".', c.state) END,
			HINT = 'Only a failed checkout that is its order''s current one can be sent again.';
	END IF;
	UPDATE inqud.checkout k SET state = 'queued', updated_at = clock_timestamp()
		WHERE k.id = c.id RETURNING * INTO c;
	INSERT INTO inqud.queue (checkout, home, server_id, kind, due_at)
		VALUES (c.id, inqud._home(), c.server_id, 'create', clock_timestamp());
	PERFORM inqud._event(c.id, 'retried', NULL);
	PERFORM inqud._notify(c);
	RETURN c;
END
$$;

/* Cancels a checkout, so that its order can have another one. */
CREATE FUNCTION inqud._cancel(id bigint, role oid) RETURNS inqud.checkout
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c inqud.checkout := inqud._lock_own(id, role);
	unsent boolean := false;
BEGIN
	IF c.money_event IS NOT NULL AND c.status = 'SUCCESS' AND c.contradiction IS NULL THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('checkout %s is paid', id),
			HINT = 'A paid order keeps its checkout; refunds are made at Inqud.';
	ELSIF c.canceled_at IS NOT NULL AND (c.paid_at IS NULL OR c.money_event IS NULL) THEN
		RETURN c;
	ELSIF c.money_event IS NOT NULL AND EXISTS (SELECT FROM inqud._unsettled u WHERE u.checkout = c.id AND u.trouble = 'anomaly') THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = format('checkout %s has an anomaly that nobody has resolved', id),
			DETAIL = CASE WHEN c.paid_at IS NOT NULL THEN 'Its order counts as paid meanwhile.' ELSE 'Money has arrived for it.' END,
			HINT = format('Look at it in inqud.trouble, decide, then call inqud_resolve(%s) first.', id);
	END IF;
	IF c.state = 'queued' THEN
		-- The claim holds this row only for the moment of its own transaction.
		unsent := (SELECT k.lease FROM inqud.queue k WHERE k.checkout = c.id FOR NO KEY UPDATE) IS NULL;
		DELETE FROM inqud.queue k WHERE k.checkout = c.id AND unsent;
	END IF;
	UPDATE inqud.checkout k SET current = false, canceled_at = clock_timestamp(), updated_at = clock_timestamp(),
			money_event = NULL, state = CASE WHEN unsent THEN 'canceled' ELSE k.state END
		WHERE k.id = c.id RETURNING * INTO c;
	PERFORM inqud._event(c.id, 'canceled', CASE
		WHEN unsent THEN 'canceled before it was sent'
		WHEN c.state = 'queued' THEN 'canceled while it was being sent; it is followed if it comes into being'
		WHEN c.paid_at IS NOT NULL THEN 'canceled, although it was paid'
		WHEN c.state = 'open' THEN 'canceled; it is followed, since it can still be paid'
		ELSE 'canceled' END);
	PERFORM inqud._notify(c);
	RETURN c;
END
$$;

/*
 * Notes that a person has dealt with what stands of a checkout in inqud._unsettled.  Events
 * with a greater number stand there anew.
 */
CREATE FUNCTION inqud._resolve(id bigint, note text, role oid) RETURNS inqud.checkout
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	c inqud.checkout;
BEGIN
	SELECT * INTO c FROM inqud.checkout k WHERE k.id = _resolve.id;
	IF NOT FOUND THEN
		RAISE undefined_object USING MESSAGE = format('checkout %s does not exist', _resolve.id);
	ELSIF NOT inqud._may_act(_resolve.role, c.owner_id) THEN
		RAISE insufficient_privilege USING
			MESSAGE = format('permission denied for checkout %s', _resolve.id), DETAIL = 'It belongs to another role.';
	ELSIF NOT EXISTS (SELECT FROM inqud._unsettled u WHERE u.checkout = c.id) THEN
		RETURN c;
	END IF;
	-- What other transactions are writing about this order gets its number before this, and is seen; or after it, and stands.
	PERFORM FROM inqud.checkout k WHERE k.id = c.id OR k.id = ANY (ARRAY(SELECT o.id FROM inqud._of_order(c.server_id, c.order_id) o))
		ORDER BY k.id FOR UPDATE;
	SELECT * INTO c FROM inqud.checkout k WHERE k.id = c.id;
	PERFORM inqud._event(c.id, 'resolved', concat('by ', pg_get_userbyid(_resolve.role), ': ' || _resolve.note));
	RETURN c;
END
$$;

/* Takes one create over, to be sent by a session; null while another session or the worker has it. */
CREATE FUNCTION inqud._take(id bigint, lease bigint) RETURNS inqud._task
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	q inqud.queue;
BEGIN
	IF NOT EXISTS (SELECT FROM inqud.queue k WHERE k.checkout = _take.id AND k.kind = 'create' AND k.lease IS NULL) THEN
		RETURN NULL;
	END IF;
	-- Both rows, in the order of locks, so that the outcome can be written without
	-- fail; or none, so that the process that was first can write its own.
	BEGIN
		PERFORM FROM inqud.checkout k WHERE k.id = _take.id FOR NO KEY UPDATE SKIP LOCKED;
		IF FOUND THEN
			PERFORM FROM inqud.queue k WHERE k.checkout = _take.id AND k.kind = 'create' AND k.lease IS NULL
				FOR NO KEY UPDATE SKIP LOCKED;
		END IF;
		IF NOT FOUND THEN
			RAISE lock_not_available;
		END IF;
	EXCEPTION WHEN lock_not_available THEN
		RETURN NULL;
	END;
	UPDATE inqud.queue k SET lease = _take.lease, attempts = k.attempts + 1, home = inqud._home()
		WHERE k.checkout = _take.id RETURNING * INTO q;
	RETURN (SELECT inqud._task(q, k) FROM inqud.checkout k WHERE k.id = _take.id);
END
$$;

CREATE FUNCTION @extschema@.inqud_wait_checkout(id bigint, timeout interval DEFAULT '30s') RETURNS inqud.checkout
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'inqud_wait_checkout';
COMMENT ON FUNCTION @extschema@.inqud_wait_checkout(bigint, interval)
	IS 'waits until a queued checkout has its URL or has failed';

CREATE FUNCTION @extschema@.inqud_refresh(id bigint) RETURNS inqud.checkout
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'inqud_refresh';
COMMENT ON FUNCTION @extschema@.inqud_refresh(bigint) IS 'has the worker read a checkout as soon as this commits';

CREATE FUNCTION @extschema@.inqud_retry(id bigint) RETURNS inqud.checkout
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'inqud_retry';
COMMENT ON FUNCTION @extschema@.inqud_retry(bigint) IS 'queues a failed checkout again';

CREATE FUNCTION @extschema@.inqud_cancel(id bigint) RETURNS inqud.checkout
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'inqud_cancel';
COMMENT ON FUNCTION @extschema@.inqud_cancel(bigint) IS 'cancels a checkout, so that its order can have another one';

CREATE FUNCTION @extschema@.inqud_resolve(id bigint, note text DEFAULT NULL) RETURNS inqud.checkout
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'inqud_resolve';
COMMENT ON FUNCTION @extschema@.inqud_resolve(bigint, text)
	IS 'notes that a person has dealt with a conflict, an anomaly or an order that was inserted again, which leaves inqud.trouble';

CREATE FUNCTION @extschema@.inqud_worker_start() RETURNS boolean
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'inqud_worker_start';
COMMENT ON FUNCTION @extschema@.inqud_worker_start() IS 'lets this database''s worker run again';

CREATE FUNCTION @extschema@.inqud_worker_stop() RETURNS boolean
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'inqud_worker_stop';
COMMENT ON FUNCTION @extschema@.inqud_worker_stop()
	IS 'stops this database''s worker until inqud_worker_start() or the server''s next start';
