-- One order of the demo's shop, by its number :n, and the line that is printed
-- of it.  The INSERT is all that a shop does; the rest only looks.

INSERT INTO orders (customer, total)
	SELECT (ARRAY['Ada', 'Boris', 'Chen', 'Dana', 'Emeka', 'Fatima', 'Gil', 'Hana', 'Ines', 'Jonas'])[1 + :n % 10],
		round(9.95 + :n * :n * 1.37, 2)
	RETURNING id, customer, total, clock_timestamp() AS inserted \gset

-- A transaction of its own: what is waited for begins with the commit before.
SELECT format('   %5s  %-8s %10s  %-76s %4s ms', :id, :'customer', :total || ' USD', w.acquiring_url,
		round(1000 * extract(epoch FROM clock_timestamp() - :'inserted'::timestamptz)))
	FROM inqud.checkout c, inqud_wait_checkout(c.id, '10s') w
	WHERE c.project = 'shop' AND c.order_id = :'id';
