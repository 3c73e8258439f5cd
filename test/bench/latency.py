"""W5 and P5: how long until the news is there, of a webhook and of an order."""

import subprocess
import time

from table import in_turn
from whole import INSERT

ORDER = ("INSERT INTO bench.orders_{table} (id, total, currency) VALUES ({{}}, 10, 'USD'); "
         "SELECT currval('inqud.checkout_id_seq')")
WEBHOOKS = ("INSERT INTO bench.webhooks SELECT row_number() OVER (ORDER BY id), id, body, "
            "encode(hmac(body, 'hook', 'sha1'), 'hex') FROM inqud.checkout, LATERAL (SELECT convert_to(json_build_object("
            "'id', checkout_id, 'clientOrderId', order_id, 'status', 'SUCCESS')::text, 'UTF8') AS body) b")


def order(table):
    """Arguments of the program for orders of a table, with numbers that no other call gives."""
    return "inqud", '"open"', time.time_ns() // 1000, ORDER.format(table=table)


def latency(stage, channel, word, first, sql, n, rate):
    return stage.program("latency", stage.db.conninfo, channel, word, first, n, rate, sql)


def goals(table, name, spreads, median=None, p99=None):
    """Rows of the median and the 99th percentile, with their goals where they have one."""
    for what, values, at_most in (("median", [s[0] for s in spreads], median),
                                  ("99th percentile", [s[3] for s in spreads], p99)):
        if at_most is None:
            table.row(f"{name}: {what}", values, "ms")
        else:
            table.goal(f"{name}: {what}, ms", values, at_most=at_most)


def paid(stage, n, rate):
    """From webhooks, one after the other, to the shop's own table; "rate" orders a second are made beside them."""
    db = stage.db
    db.clear()
    db.sql(INSERT.format(table="bench.orders_desk", n=n))
    db.start_worker()
    db.until("NOT EXISTS (SELECT FROM bench.orders_desk WHERE status IS NULL)")
    db.followed(n)
    db.sql(WEBHOOKS)
    beside = None
    if rate:
        channel, word, first, sql = order("desk")
        beside = subprocess.Popen([stage.path("latency"), db.conninfo, channel, word, str(first), "1000000", str(rate), sql])
        time.sleep(0.5)
    try:
        return latency(stage, "paid", "id", 1, "SELECT bench.webhook({})", n, 0)
    finally:
        if beside:
            beside.terminate()
            beside.wait()


def w5(stage, table, size):
    n = size(200, 20)
    rate = size(50, 5)
    stage.db.option("desk", on_status="bench.order_changed_and_told")
    table.head("W5", f"from a webhook's commit to \"paid\" in the shop's own table, 0 ms API, {n} a round")
    values = in_turn(size(3, 1), {"idle": lambda: paid(stage, n, 0),
                                  f"beside {rate} orders a second": lambda: paid(stage, n, rate)})
    for name, spreads in values.items():
        goals(table, name, spreads, 10, 40)
    stage.db.option("desk", on_status="bench.order_changed")


def visible(stage, table, name, n, rate, backlog=0):
    db = stage.db
    db.clear()
    db.start_worker()
    if backlog:
        db.sql(INSERT.format(table="bench.orders_shop", n=backlog))
    spread = latency(stage, *order(name), n, rate)
    if backlog and db.sql("SELECT count(*) = 0 FROM inqud.checkout WHERE project = 'shop' AND state = 'queued'") == "t":
        table.note("the backlog was done before the last order came: not a fair trial")
    return spread


def p5(stage, table, size):
    n, few, backlog, rate = size(500, 20), size(200, 5), size(100000, 1000), size(50, 5)
    table.head("P5", f"from an order's commit to its visible URL, 0 ms API, {n} orders a round")
    values = in_turn(size(3, 1), {
        "nothing but a notice, sent by the commit itself": lambda: visible(stage, table, "notice", n, 0),
        "idle": lambda: visible(stage, table, "shop", n, 0),
        f"{rate} a second": lambda: visible(stage, table, "shop", n, rate),
        f"another project has {backlog} orders queued": lambda: visible(stage, table, "other", few, 20, backlog),
    })
    for (name, spreads), at_most in zip(values.items(), (None, 3, 5, 10)):
        goals(table, name, spreads, at_most)
