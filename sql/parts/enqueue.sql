/*
 * enqueue.sql
 *		An order into the queue, or the checkout that the order has already.
 */

/* All checkouts of an order; written so that the two partial indexes serve it. */
CREATE FUNCTION inqud._of_order(server_id integer, order_id text) RETURNS SETOF inqud.checkout
	LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT k.* FROM inqud.checkout k WHERE k.server_id = $1 AND k.order_id = $2 AND k.current
	UNION ALL
	SELECT k.* FROM inqud.checkout k WHERE k.server_id = $1 AND k.order_id = $2 AND NOT k.current;
END;

/*
 * The checkout of an order that has one; null if it may have a new one, which replaces one
 * that came to nothing.  One that holds money (money_event) counts, whichever it is and
 * also when Inqud says something else later, until inqud_cancel releases the order.  What was made
 * at Inqud without a return_url differs in nothing by that.
 */
CREATE FUNCTION inqud._again(server_id integer, project text, role oid, o inqud._order) RETURNS inqud.checkout
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	c inqud.checkout;
	differs text;
BEGIN
	SELECT * INTO c FROM inqud._of_order(_again.server_id, o.order_id) k
		WHERE (k.current OR k.money_event IS NOT NULL AND (k.paid_at IS NOT NULL OR k.canceled_at IS NULL))
		ORDER BY k.paid_at IS NOT NULL AND k.money_event IS NOT NULL DESC,
			k.current AND (k.state IN ('queued', 'open') OR k.money_event IS NOT NULL) DESC,
			k.money_event IS NOT NULL DESC, k.id DESC
		LIMIT 1;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	IF NOT inqud._may_act(role, c.owner_id) THEN
		RAISE insufficient_privilege USING
			MESSAGE = format('permission denied for order "%s"', o.order_id),
			DETAIL = format('The order has a checkout in project "%s" that belongs to another role.', _again.project);
	END IF;
	IF c.state IN ('queued', 'open') OR c.money_event IS NOT NULL THEN
		differs := concat_ws(', ',
			CASE WHEN c.amount IS DISTINCT FROM o.amount THEN 'amount' END,
			CASE WHEN c.currency IS DISTINCT FROM o.currency THEN 'currency' END,
			CASE WHEN c.type IS DISTINCT FROM o.type THEN 'type' END,
			CASE WHEN c.name IS DISTINCT FROM o.name THEN 'name' END,
			-- one made in Inqud's app may have none
			CASE WHEN c.return_url <> o.return_url THEN 'return_url' END);
		IF differs <> '' THEN
			RAISE unique_violation USING
				MESSAGE = format('order "%s" already has another checkout', o.order_id),
				DETAIL = format('Checkout %s of project "%s" differs in: %s.', c.id, _again.project, differs),
				HINT = 'If two tables use the same numbers, give order_id a prefix; to change an unpaid order, call inqud_cancel first.';
		END IF;
		RETURN c;
	END IF;
	UPDATE inqud.checkout k SET current = false, updated_at = clock_timestamp()
		WHERE k.id = c.id AND k.current AND k.state = c.state AND k.status IS NOT DISTINCT FROM c.status;
	RETURN NULL;
END
$$;

/* Notes that an order was inserted again which has this checkout, unless that is noted and nobody has resolved it. */
CREATE FUNCTION inqud._note_again(checkout bigint, role name) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO inqud.event (checkout, kind, detail)
		SELECT $1, 'again', format('the order was inserted again by %s; nothing was queued for it', role)
		WHERE NOT EXISTS (SELECT FROM inqud.event e WHERE e.checkout = $1 AND e.kind = 'again'
			AND NOT EXISTS (SELECT FROM inqud.event r WHERE r.checkout = $1 AND r.kind = 'resolved' AND r.id > e.id));
END
$$;

/*
 * Notes that an order was changed that is paid, by its number before or after the change;
 * false when neither is paid.  Several events of a deferred trigger are noted once.
 */
CREATE FUNCTION inqud._note_changed(server_id integer, before text, after text, role name, changed text) RETURNS boolean
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	paid bigint;
	said CONSTANT text := format('the order was changed by %s after it was paid: %s', role, changed);
BEGIN
	SELECT k.id INTO paid FROM inqud._of_order(server_id, before) k WHERE k.paid_at IS NOT NULL LIMIT 1;
	IF NOT FOUND AND after IS DISTINCT FROM before THEN
		SELECT k.id INTO paid FROM inqud._of_order(server_id, after) k WHERE k.paid_at IS NOT NULL LIMIT 1;
	END IF;
	IF paid IS NOT NULL AND NOT EXISTS (SELECT FROM inqud.event e
			WHERE e.checkout = paid AND e.kind = 'order changed' AND e.at >= now() AND e.detail = said) THEN
		PERFORM inqud._event(paid, 'order changed', said);
	END IF;
	RETURN paid IS NOT NULL;
END
$$;
