"""P1 and P3: reads of one session beside a bare libcurl loop, and the worker beside what a slow API allows."""

from api import CCO
from table import in_turn
from whole import INSERT, Way, wrk


def p1(stage, table, size):
    """One session reads one checkout again and again, recorded and unchanged, as most are."""
    n = size(10000, 200)
    db = stage.db
    recorded, unrecorded = CCO + "1", CCO + "2"
    loop = ("DO $$BEGIN PERFORM inqud_get_checkout('shop', '{cco}'); END$$; "
            "CREATE TEMP TABLE began AS SELECT clock_timestamp() AS at, bench.cpu_us() AS cpu; "
            "DO $$BEGIN FOR i IN 1..{n} LOOP PERFORM inqud_get_checkout('shop', '{cco}'); END LOOP; END$$; "
            "SELECT extract(epoch FROM clock_timestamp() - at), bench.cpu_us() - cpu FROM began")
    cpu = {}

    def in_loop(cco, name):
        seconds, us = db.numbers(loop.format(n=n, cco=cco))
        cpu.setdefault(name, []).append(us / n)
        return n / seconds

    def bare():
        seconds, used = stage.program("easy", f"{stage.api.checkouts()}/{recorded}", n)
        cpu.setdefault("bare easy loop", []).append(used / n * 1e6)
        return n / seconds

    def by_statement():
        sql = f"SELECT id FROM inqud_get_checkout('shop', '{recorded}') WHERE $1::int > 0"
        return n / stage.program("session", db.conninfo, n, sql)[0]

    db.clear()
    db.sql(INSERT.format(table="bench.orders_shop", n=1))
    db.start_worker()
    db.followed(1)
    table.head("P1", f"{n} reads in one session, 0 ms API")
    table.row("the API's limit for one connection (wrk)", [wrk(stage, 1, size(2, 1), post=False)], "/s")
    values = in_turn(size(5, 1), {
        "bare easy loop": bare,
        "recorded": lambda: in_loop(recorded, "recorded"),
        "not recorded": lambda: in_loop(unrecorded, "not recorded"),
        "recorded, statement by statement": by_statement,
    })
    table.rows(values, "/s")
    table.ratio("recorded / bare easy loop", values, "recorded", "bare easy loop", "/s", at_least=0.7)
    table.ratio("not recorded / bare easy loop", values, "not recorded", "bare easy loop")
    table.rows({f"CPU a read, {name}": some for name, some in cpu.items()}, "µs")


def p3(stage, table, size):
    n = size(10000, 300)
    way = Way(stage, n)
    table.head("P3", f"worker, {n} creates, 100 ms API, 100 in flight; ideal 1000/s")
    values = in_turn(size(3, 1), {"inqud": lambda: way.create("slow")})
    table.row("inqud", [n / seconds for seconds, _ in values["inqud"]], "/s")
    table.goal("inqud / ideal", [n / seconds / 1000 for seconds, _ in values["inqud"]], at_least=0.95)
    table.row("CPU an order", [cpu / n * 1e6 for _, cpu in values["inqud"]], "µs")
