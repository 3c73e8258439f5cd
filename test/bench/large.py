"""P7: what an order costs in large tables, and beside an old snapshot.

An order's cost is CPU of the whole server, from its insert to its URL: queueing, looking for due work, claiming,
recording. Single orders have a look and a claim each.
"""

import time

from api import CCO, PROJECT_ID
from growth import OldSnapshot
from latency import latency, order
from whole import INSERT

FINISHED = ("INSERT INTO inqud.checkout (server_id, owner_id, project, project_id, order_id, owner, name, type, amount, currency, return_url, "
            "state, status, checkout_id, closed_at, paid_at, money_event) SELECT e.server, e.owner, 'shop', '" + PROJECT_ID + "', i, 'postgres', 'Order ' || i, "
            "'FIXED_PRICE', 10, 'USD', 'https://shop.example/orders/' || i, CASE WHEN i % 100 = 0 THEN 'open' ELSE 'closed' END, "
            "CASE WHEN i % 100 = 0 THEN 'NEW' ELSE 'SUCCESS' END, '" + CCO + "' || i, "
            "CASE WHEN i % 100 > 0 THEN now() - interval '10 days' END, "
            "CASE WHEN i % 100 > 0 THEN now() - interval '10 days' END, CASE WHEN i % 100 > 0 THEN 0 END FROM generate_series(1, {n}) i, "
            "(SELECT inqud._know_server(s.oid) AS server, inqud._know_role('postgres'::regrole) AS owner "
            "FROM pg_foreign_server s WHERE s.srvname = 'shop' OFFSET 0) e")


def fill(db, n):
    """n checkouts, of which one in a hundred is open and followed; a refresh has it read once."""
    db.clear()
    db.sql(FINISHED.format(n=n))
    db.sql("SELECT count((inqud_refresh(id)).id) FROM inqud.checkout WHERE state = 'open'")
    db.sql("VACUUM ANALYZE inqud.checkout, inqud.queue")
    db.start_worker()
    db.followed(n // 100, pause=0.2)


def cost(db, n, first, single):
    """Microseconds of CPU of one of n more orders; each in a transaction of its own, or all in one."""
    followed = int(db.watch.sql("SELECT sum(followed) FROM inqud.worker"))
    before = db.cpu_s()
    if single:
        db.sql(f"DO $$BEGIN FOR i IN {first + 1}..{first + n} LOOP INSERT INTO bench.orders_shop VALUES (-i, 10, 'USD'); "
               "COMMIT; PERFORM pg_sleep(0.005); END LOOP; END$$")
    else:
        db.sql(f"INSERT INTO bench.orders_shop SELECT -i, 10, 'USD' FROM generate_series({first + 1}, {first + n}) i")
    db.followed(followed + n)
    return (db.cpu_s() - before) / n * 1e6


def costs(db, size):
    many, few, first = size(10000, 100), size(500, 20), 0
    found = {"single orders": [], "orders of one statement": []}
    for _ in range(size(5, 1)):
        found["single orders"].append(cost(db, few, first, True))
        found["orders of one statement"].append(cost(db, many, first + few, False))
        first += few + many
    return found


def snapshot(stage, table, size):
    """The first hundred orders and the last of many, one after the other, while nothing may be cleaned up."""
    db = stage.db
    few, many = size(100, 10), size(20000, 300)
    took, cpu = [], []
    for _ in range(size(3, 1)):
        db.clear()
        db.start_worker()
        old = OldSnapshot(db)
        for _ in range(2):
            before = db.cpu_s()
            took.append(latency(stage, *order("shop"), few, 0)[0])
            cpu.append((db.cpu_s() - before) / few * 1e6)
            if len(took) % 2:
                db.sql(INSERT.format(table="bench.orders_shop", n=many - 2 * few))
                db.followed(many - few)
        old.close()
    for what, values, unit in (("commit to URL", took, "ms"), ("CPU", cpu, "µs")):
        found = {"first": values[::2], "last": values[1::2]}
        table.row(f"{what}, beside an old snapshot, the first {few} orders", found["first"], unit)
        table.row(f"{what}, the last {few} of {many}", found["last"], unit)
        table.ratio(f"{what} beside an old snapshot, last / first", found, "last", "first", unit, at_most=2)


def p7(stage, table, size):
    db = stage.db
    small, large = size(10000, 1000), size(5000000, 5000)
    table.head("P7", f"CPU of an order, insert to URL, beside {small} and {large} checkouts, 99 % of them finished")
    found = {}
    for n in (small, large):
        began = time.monotonic()
        fill(db, n)
        table.note(f"{n} checkouts were made in {time.monotonic() - began:.0f} s")
        found[n] = costs(db, size)
    for what in found[small]:
        values = {n: found[n][what] for n in found}
        table.rows({f"{what}, {n} checkouts": some for n, some in values.items()}, "µs")
        table.ratio(f"{what}, {large} / {small} checkouts", values, large, small, "µs", at_most=1.2)
    snapshot(stage, table, size)
