"""W1 to W3: the way of an order from the queue to "paid", beside the C program that writes the same record.

Each phase ends when the last row is written, and has the CPU of all the server's processes and of the C program.
Must not look into the extension's queue.
"""

import subprocess
import time

from api import Trouble
from stage import run
from table import in_turn

WINDOW = 50
INSERT = "INSERT INTO {table} (id, total, currency) SELECT i, 10, 'USD' FROM generate_series(1, {n}) i"
ALL_OPEN = "NOT EXISTS (SELECT FROM inqud.checkout WHERE state = 'queued' OR acquiring_url IS NULL)"
ALL_CLOSED = "NOT EXISTS (SELECT FROM inqud.checkout WHERE state <> 'closed' OR paid_amount IS NULL)"
SHOP_NEW = "NOT EXISTS (SELECT FROM bench.orders_desk WHERE status IS NULL)"
SHOP_PAID = "NOT EXISTS (SELECT FROM bench.orders_desk WHERE NOT paid)"
# What both have to write alike; times of writing, and names of projects, are each one's own.
RECORDED = {"checkout": "project_id, order_id, current, owner, name, type, amount, currency, return_url, expires_at, extra, state, "
                        "status, reason, checkout_id, acquiring_url, pay_amount, pay_currency, pay_blockchain, paid_amount, "
                        "overpaid, tx_hash, merchant_fee, processing_amount, opened_at, status_at, closed_at IS NULL, error, reply",
            "event": "kind, status_from, status_to, reason, http_status, detail"}


def wrk(stage, connections, seconds, post=True):
    """Requests a second that the API is good for."""
    path = f"{stage.folder}/post.lua"
    with open(path, "w", encoding="ascii") as file:
        file.write('wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
                   'wrk.body = \'{"clientOrderId":"1","type":"NO_PRICE"}\'\n')
    url = stage.api.checkouts() if post else stage.api.checkouts("paid") + "/CCO-11111111-2222-4333-8444-1"
    words = run("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", *(("-s", path) if post else ()), url)
    return float(words.split("Requests/sec:")[1].split()[0])


class Way:
    """The phases for n orders; each gives seconds of time and of CPU."""

    def __init__(self, stage, n):
        self.stage, self.db, self.n = stage, stage.db, n

    def phase(self, work):
        before = self.db.cpu_s()
        seconds, own = work()
        return seconds, self.db.cpu_s() - before + own

    # the extension

    def until_written(self, begin, done):
        """Runs "begin"; the table is looked at only when the API has answered nearly all, since a look takes time. Of
        many checkouts that are read once in 30 days, one or two have been read before."""
        answered = self.stage.api.requests() + self.n * 99 // 100
        began = time.monotonic()
        begin()
        while self.stage.api.requests() < answered:
            time.sleep(0.02)
        self.db.until(done, pause=0.05)
        return time.monotonic() - began, 0

    def queue(self, server):
        """Queues n orders beside a worker that waits."""
        self.db.clear()
        self.db.sql(INSERT.format(table=f"bench.orders_{server}", n=self.n))
        self.db.sql("VACUUM ANALYZE inqud.checkout, inqud.queue")
        self.db.start_worker(enabled=False)

    def enable(self, done):
        return self.phase(lambda: self.until_written(lambda: self.db.set("inqud.enabled", "on"), done))

    def read_all(self, server, done):
        """A worker that starts has every open checkout due at once, since it polls every 10 ms."""
        self.db.followed(self.n)
        self.db.stop_worker()
        self.db.option(server, poll_new="10ms")
        self.db.sql("VACUUM ANALYZE inqud.checkout, inqud.queue")
        self.db.start_worker(enabled=False)
        took = self.enable(done)
        self.db.option(server, poll_new="30day")
        return took

    def create(self, server):
        self.queue(server)
        return self.enable(ALL_OPEN)

    def w1(self):
        return self.create("paid")

    def w2(self):
        self.w1()
        return self.read_all("paid", ALL_CLOSED)

    def w3(self):
        self.db.clear()
        self.db.start_worker()
        insert = INSERT.format(table="bench.orders_desk", n=self.n)
        created = self.phase(lambda: self.until_written(lambda: self.db.sql(insert), SHOP_NEW))
        paid = self.read_all("desk", SHOP_PAID)
        return created[0] + paid[0], created[1] + paid[1]

    # the C program

    def contend(self, mode, *more):
        process = subprocess.Popen(
            [self.stage.path("contender"), self.db.conninfo, self.stage.api.checkouts("paid"), str(WINDOW), mode, *more],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            process.stdout.readline()
            return self.phase(lambda: self.go(process))
        finally:
            process.communicate()

    def go(self, process):
        process.stdin.write("go\n")
        process.stdin.flush()
        words = process.stdout.readline().split()
        if len(words) != 3 or int(words[2]) != self.n:
            raise Trouble(f"the C program failed: {words} {process.stderr.read() if not words else ''}")
        return float(words[0]), float(words[1])

    def peer_w1(self):
        self.db.clear()
        self.db.sql(INSERT.format(table="peer.orders", n=self.n))
        self.db.sql("VACUUM ANALYZE peer.checkout, peer.queue")
        return self.contend("create")

    def peer_w2(self):
        self.peer_w1()
        self.db.sql("VACUUM ANALYZE peer.checkout, peer.queue")
        return self.contend("read")

    def peer_w3(self):
        self.db.clear()
        created = self.contend("create", "shop", INSERT.format(table="peer.orders", n=self.n))
        self.db.sql("VACUUM ANALYZE peer.checkout, peer.queue")
        paid = self.contend("read", "shop")
        if self.db.sql("SELECT count(*) FROM peer.orders WHERE paid") != str(self.n):
            raise Trouble("not all orders of the C program's shop are paid")
        return created[0] + paid[0], created[1] + paid[1]


def check_records(way):
    """Both go all the way, and what they have written is compared, row by row."""
    db = way.db
    for schema, walk in (("peer", way.peer_w3), ("inqud", way.w3)):
        walk()
        for name, columns in RECORDED.items():
            db.sql(f"CREATE TABLE public.{schema}_{name} AS SELECT {columns} FROM {schema}.{name}")
    for name in RECORDED:
        peer, own = (f"SELECT * FROM public.{schema}_{name}" for schema in ("peer", "inqud"))
        differ = db.sql(f"({peer} EXCEPT ALL {own}) UNION ALL ({own} EXCEPT ALL {peer}) LIMIT 2")
        if differ or db.sql(f"SELECT count(*) FROM public.peer_{name}") != str(way.n * (2 if name == "event" else 1)):
            raise Trouble(f"the C program and inqud do not write the same {name}: {differ}")
        db.sql(f"DROP TABLE public.peer_{name}, public.inqud_{name}")


def compare(table, n, values, rate, cpu):
    """Rate and CPU of both, and what the one is of the other."""
    rates = {name: [n / seconds for seconds, _ in some] for name, some in values.items()}
    costs = {name: [used / n * 1e6 for _, used in some] for name, some in values.items()}
    table.rows(rates, "/s")
    table.ratio("rate, inqud / C", rates, "inqud", "C", "/s", at_least=rate)
    table.rows({f"CPU an order, {name}": some for name, some in costs.items()}, "µs")
    table.ratio("CPU, inqud / C", costs, "inqud", "C", "µs", at_most=cpu)
    return costs


def w1(stage, table, size):
    n = size(20000, 300)
    way = Way(stage, n)
    table.head("W1", f"{n} queued orders → POST → recorded, {WINDOW} in flight")
    table.row("the API's limit (wrk)", [wrk(stage, WINDOW, size(2, 1))], "/s")
    compare(table, n, in_turn(size(5, 1), {"C": way.peer_w1, "inqud": way.w1}), 0.65, 1.2)


def w2(stage, table, size):
    n = size(20000, 300)
    way = Way(stage, n)
    table.head("W2", f"{n} open checkouts → GET says SUCCESS → recorded, {WINDOW} in flight")
    table.row("the API's limit (wrk)", [wrk(stage, WINDOW, size(2, 1), post=False)], "/s")
    compare(table, n, in_turn(size(5, 1), {"C": way.peer_w2, "inqud": way.w2}), 0.6, 1.3)


def w3(stage, table, size):
    n, few = size(20000, 300), size(5000, 100)
    many, less = Way(stage, n), Way(stage, few)
    table.head("W3", f"{n} orders inserted → created → the shop's table says NEW → SUCCESS → the shop's table says paid")
    check_records(less)
    values = in_turn(size(3, 1), {"C": many.peer_w3, "inqud": many.w3, f"inqud, {few} orders": less.w3})
    fewer = values.pop(f"inqud, {few} orders")
    costs = compare(table, n, values, 0.5, 1.4)
    costs["few"] = [used / few * 1e6 for _, used in fewer]
    table.row(f"CPU an order, inqud, {few} orders", costs["few"], "µs")
    table.ratio(f"CPU an order, {n} / {few} orders", costs, "inqud", "few", "µs", at_most=1.1)
