-- The shop of the demo: its own table, the project at Inqud, and what connects
-- them.  psql is given the emulator's address as :base_url, that of the widget's
-- script as :widget_url, and the secret of the webhooks as :webhook_secret.

SET client_min_messages = warning;

CREATE ROLE app LOGIN;

CREATE TABLE orders (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	customer text NOT NULL,
	total numeric(12, 2) NOT NULL,
	currency text NOT NULL DEFAULT 'USD',
	payment text NOT NULL DEFAULT 'open',
	paid boolean NOT NULL DEFAULT false
);
GRANT INSERT, SELECT ON orders TO app;

CREATE EXTENSION inqud;

-- What follows each status change: the shop's own columns.  A paid order stays
-- paid, whatever becomes of another checkout of it.  What another project or
-- another amount is about does not count.
CREATE FUNCTION order_changed(c inqud.checkout) RETURNS void
	LANGUAGE sql
BEGIN ATOMIC
	UPDATE orders
		SET payment = CASE WHEN paid THEN payment ELSE lower(coalesce(c.status, c.state)) END,
			paid = paid OR c.status = 'SUCCESS'
		WHERE id = c.order_id::bigint AND c.project = 'shop' AND total = c.amount AND currency = c.currency;
END;
REVOKE EXECUTE ON FUNCTION order_changed(inqud.checkout) FROM PUBLIC;

-- The first two lines are all that the real Inqud needs, with your project's id.
-- The others are for a demo: addresses on loopback, no rate to speak of, and
-- polling so rare that nothing could come by it in time.
CREATE SERVER shop FOREIGN DATA WRAPPER inqud OPTIONS (
	project_id 'CAP-00000000-0000-4000-8000-000000000001',
	on_status 'order_changed',
	base_url :'base_url', widget_url :'widget_url', rate_limit '200', poll_new '1h', poll_active '1h');
CREATE USER MAPPING FOR PUBLIC SERVER shop
	OPTIONS (token_id 'TKN-test', token_secret 'test-token-secret', webhook_secret :'webhook_secret');
GRANT USAGE ON FOREIGN SERVER shop TO app;

-- Who hands webhooks over may do that and nothing else.
CREATE ROLE inqud_receiver LOGIN;
GRANT EXECUTE ON FUNCTION inqud_receive_webhook(text, bytea, text) TO inqud_receiver;

CREATE TRIGGER pay AFTER INSERT ON orders
	FOR EACH ROW WHEN (NEW.total > 0) EXECUTE FUNCTION inqud_order_trigger('shop',
		'order_id={id}', 'name=Order {id}', 'return_url=https://shop.example/orders/{id}',
		'amount={total}', 'currency={currency}');
