/*
 * webhook.sql
 *		Webhooks: noted, then read from Inqud and recorded.
 *
 * A webhook is a hint.  It changes no checkout and locks nothing; only what a read
 * confirms is recorded.
 */

/*
 * Notes a genuine webhook, its digest checked, and has the worker read the checkout.
 * What it says of a status is not believed.  A burst of webhooks does not wait.
 */
CREATE FUNCTION inqud._webhook(server_id integer, id text, status text, checkout_id text, order_id text) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	cco text := CASE WHEN id LIKE 'CCO-%' THEN id ELSE checkout_id END;
	found_id bigint;
	found_cco text;
BEGIN
	SELECT f.id, f.checkout_id INTO found_id, found_cco FROM (
		SELECT 1 AS place, k.id, k.checkout_id FROM inqud.checkout k WHERE k.server_id = _webhook.server_id AND k.checkout_id = cco
		UNION ALL SELECT 2, k.id, k.checkout_id FROM inqud.checkout k
			WHERE k.request_id = _webhook.id AND k.server_id = _webhook.server_id AND _webhook.id LIKE 'CAPD-%'
		UNION ALL SELECT 2, k.id, k.checkout_id FROM inqud.checkout k
			WHERE k.payment_id = _webhook.id AND k.server_id = _webhook.server_id AND _webhook.id LIKE 'PMT-%'
		UNION ALL SELECT 3, k.id, k.checkout_id FROM inqud.checkout k
			WHERE k.server_id = _webhook.server_id AND k.order_id = _webhook.order_id AND k.current
				AND k.checkout_id IS NOT NULL AND cco IS NULL) AS f
		ORDER BY f.place, f.id DESC LIMIT 1;
	INSERT INTO inqud.event (checkout, kind, status_to, detail)
		VALUES (found_id, 'webhook', status, coalesce(id, 'the body was not understood'));
	IF found_id IS NOT NULL OR cco LIKE 'CCO-%' THEN
		INSERT INTO inqud.inbox (home, server_id, checkout, checkout_id, order_id)
			VALUES (inqud._home(), _webhook.server_id, found_id, coalesce(found_cco, cco), order_id);
	END IF;
END
$$;

/*
 * Has the worker read a checkout whose news a session could not write, since
 * the row is locked. It leaves a note that locks nothing, as a webhook does.
 * One note is enough, for the read it leads to begins later than this one; but
 * a snapshot that stays may show one that has led to its read already.
 */
CREATE FUNCTION inqud._request_read(checkout bigint) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
	INSERT INTO inqud.inbox (home, server_id, checkout, checkout_id)
		SELECT inqud._home(), k.server_id, k.id, k.checkout_id FROM inqud.checkout k
		WHERE k.id = _request_read.checkout AND (current_setting('transaction_isolation') IN ('repeatable read', 'serializable')
			OR NOT EXISTS (SELECT FROM inqud.inbox i WHERE i.checkout = k.id AND i.home = inqud._home()))
$$;

/*
 * When a checkout may be read that is asked for: not within 3 s of an answer that
 * brought nothing new, or of now if reads fail (INQUD_QUIET in lifecycle.c is the
 * same).  So a webhook that is replayed makes no more reads than that.  A read_at in the
 * future, which a failover or a clock set back has left behind, delays nothing; nor does
 * such an updated_at have everything read at once.
 */
CREATE FUNCTION inqud._read_from(updated_at timestamptz, read_at timestamptz, attempts integer) RETURNS timestamptz
	LANGUAGE sql PARALLEL SAFE
	RETURN greatest(clock_timestamp(), CASE WHEN attempts > 0 THEN clock_timestamp()
		WHEN read_at <= clock_timestamp() AND (updated_at < read_at OR updated_at > clock_timestamp()) THEN read_at END
			+ interval '3 seconds');

/* Has the checkouts read that webhooks have named, each once.  Rows that are locked elsewhere stay for the next look. */
CREATE FUNCTION inqud._inbox(home bigint) RETURNS void
	LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	c inqud.checkout;
	b record;
BEGIN
	-- another session has recorded it since
	UPDATE inqud.inbox b SET checkout = c.id FROM inqud.checkout c
		WHERE b.home = _inbox.home AND b.checkout IS NULL
			AND c.server_id = b.server_id AND c.checkout_id = b.checkout_id;
	FOR b IN SELECT i.checkout, array_agg(i.id) AS ids FROM inqud.inbox i
			WHERE i.home = _inbox.home AND i.checkout IS NOT NULL AND i.due_at <= clock_timestamp()
			GROUP BY i.checkout LIMIT 1000
	LOOP
		SELECT * INTO c FROM inqud.checkout k WHERE k.id = b.checkout FOR NO KEY UPDATE SKIP LOCKED;
		IF FOUND THEN
			PERFORM FROM inqud.queue k WHERE k.checkout = b.checkout FOR NO KEY UPDATE SKIP LOCKED;
		END IF;
		IF NOT FOUND AND (c.id IS NULL OR EXISTS (SELECT FROM inqud.queue k WHERE k.checkout = b.checkout))
			AND EXISTS (SELECT FROM inqud.checkout k WHERE k.id = b.checkout) THEN
			UPDATE inqud.inbox i SET due_at = clock_timestamp() + interval '200 milliseconds'
				WHERE i.id = ANY (b.ids);
			CONTINUE;
		END IF;
		IF c.id IS NULL THEN
			-- it was pruned since, so it is not recorded any more
			UPDATE inqud.inbox i SET checkout = NULL
				WHERE i.id = ANY (b.ids) AND i.checkout_id LIKE 'CCO-%';
		ELSIF c.checkout_id IS NOT NULL THEN
			INSERT INTO inqud.queue AS k (checkout, home, server_id, kind, due_at, poke, phase, tail_from)
				VALUES (c.id, inqud._home(), c.server_id, 'read', clock_timestamp(), 1,
					CASE WHEN c.state = 'closed' THEN 'check' ELSE 'active' END,
					CASE WHEN c.state = 'closed' THEN c.closed_at ELSE greatest(coalesce(c.expires_at, clock_timestamp()), c.created_at) END)
				ON CONFLICT (checkout) DO UPDATE
					SET poke = k.poke + 1,
						due_at = least(k.due_at, inqud._read_from(c.updated_at, k.read_at, k.attempts))
					WHERE k.kind <> 'create';
		END IF;
		DELETE FROM inqud.inbox i WHERE i.id = ANY (b.ids) AND i.checkout IS NOT NULL;
	END LOOP;
END
$$;

/*
 * Reads of ids that only a webhook has named: they are read before anything is recorded of
 * them.  "alone": the id of a suspect, which is read whenever it is due.
 */
CREATE FUNCTION inqud._found(home bigint, server_id integer, n integer, alone text DEFAULT NULL) RETURNS SETOF inqud._task
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	-- what names a suspect is one
	UPDATE inqud.inbox i SET crashes = s.crashes, due_at = s.due_at
		FROM inqud.inbox s WHERE s.home = _found.home AND s.crashes > 0 AND s.checkout IS NULL
			AND i.server_id = s.server_id AND i.checkout_id = s.checkout_id AND i.checkout IS NULL AND i.crashes = 0;
	-- read with the mapping of the role that ordered, else of the server's owner
	RETURN QUERY
		SELECT -min(i.id), 'found', NULL::bigint, 0, max(i.attempts), 0, min(i.due_at), NULL::text, NULL::text,
			coalesce((SELECT inqud._role_oid(k.owner_id) FROM inqud._of_order(i.server_id, min(i.order_id)) k
					ORDER BY k.current DESC, k.id DESC LIMIT 1),
				(SELECT s.srvowner FROM pg_foreign_server s WHERE s.oid = inqud._server_oid(i.server_id))),
			NULL::integer, i.checkout_id, NULL::text, min(i.order_id), NULL::text, NULL::text, NULL::text, NULL::text, NULL::text,
			NULL::timestamptz, NULL::text
		FROM inqud.inbox i
		WHERE i.home = _found.home AND i.server_id = _found.server_id AND i.checkout IS NULL
			AND CASE WHEN alone IS NULL THEN i.due_at <= clock_timestamp() AND i.crashes = 0 ELSE i.checkout_id = alone END
		GROUP BY i.server_id, i.checkout_id ORDER BY min(i.id) LIMIT n;
END
$$;

CREATE FUNCTION @extschema@.inqud_receive_webhook(project text, body bytea, digest text) RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'inqud_receive_webhook';
COMMENT ON FUNCTION @extschema@.inqud_receive_webhook(text, bytea, text)
	IS 'checks a webhook''s digest over its raw bytes and has the worker read the checkout it names';
