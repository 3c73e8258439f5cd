"""P6 and P8: what polling writes, how tables grow, and whether memory and time stay what they were."""

import subprocess
import time

from calls import ORDERS
from stage import private_kb

RELATIONS = ("SELECT c.oid::regclass::text, pg_relation_size(c.oid) FROM pg_class c "
             "WHERE c.relnamespace = 'inqud'::regnamespace AND c.relkind IN ('r', 'i') ORDER BY 1")


class OldSnapshot:
    """A transaction elsewhere that keeps everything that was there when it began."""

    def __init__(self, db):
        self.process = subprocess.Popen(["psql", "-XqAt"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=db.env)
        # an id of its own, too, as a transaction has that has written
        self.process.stdin.write("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT txid_current();\n")
        self.process.stdin.flush()
        self.process.stdout.readline()

    def close(self):
        self.process.communicate("ROLLBACK;\n")


def sizes(db):
    return {name: int(size) for name, size in (line.split("|") for line in db.sql(RELATIONS).splitlines())}


def wal(db):
    return float(db.sql("SELECT pg_current_wal_insert_lsn() - '0/0'"))


def opened(stage, n):
    """n orders created by the worker; returns its process."""
    db = stage.db
    db.sql(ORDERS.format(project="shop", n=n))
    pid = db.start_worker()
    db.until(f"SELECT in_flight = 0 AND followed = {n} FROM inqud.worker WHERE database = current_database()")
    return pid


def poll_quickly(stage, interval):
    """A worker that reads every open checkout once in each interval; its schedule is made at its start."""
    db = stage.db
    db.sql("SELECT inqud_worker_stop()")
    db.until("SELECT pid IS NULL FROM inqud.worker WHERE database = current_database()")
    db.option("shop", poll_new=interval)
    return db.start_worker()


def wait_for_requests(stage, n):
    until = time.monotonic() + 600
    goal = stage.api.requests() + n
    while stage.api.requests() < goal and time.monotonic() < until:
        time.sleep(0.05)
    return stage.api.requests() - goal + n


def polling(stage, table, size, old):
    db = stage.db
    n, rounds = size(10000, 100), size(100, 3)
    db.clear()
    opened(stage, n)
    snapshot = OldSnapshot(db) if old else None
    pid = poll_quickly(stage, "500ms")
    # the first read of each is compared with its row; from then on with the last reply
    wait_for_requests(stage, 3 * n)
    before, bytes_before, memory = sizes(db), wal(db), private_kb(pid)
    made = wait_for_requests(stage, rounds * n)
    after, bytes_after, memory_after = sizes(db), wal(db), private_kb(pid)
    if snapshot:
        snapshot.close()
    poll_quickly(stage, "1day")
    db.clear()
    label = ", an old snapshot held elsewhere" if old else ""
    table.goal(f"bytes of WAL an unchanged poll{label}", [(bytes_after - bytes_before) / made], at_most=120)
    table.goal(f"tables and indexes that grew over {made // n} rounds{label}",
               [sum(after[name] > before[name] for name in before)], at_most=0)
    for name in before:
        if after[name] != before[name]:
            table.note(f"{name}: {before[name]} to {after[name]} bytes")
    return memory, memory_after, made


def created(stage, table, size):
    """WAL of an order from its insert to its URL, without images of whole pages."""
    db = stage.db
    n = size(10000, 100)
    db.clear()
    db.set("full_page_writes", "off")
    # the checkpointer, which has to hear of it for all, has done so when this is over
    db.sql("CHECKPOINT")
    start = wal(db)
    db.sql(f"INSERT INTO bench.orders SELECT i, 10, 'USD' FROM generate_series(1, {n}) i")
    base = wal(db)
    db.sql(f"INSERT INTO bench.orders_shop SELECT i, 10, 'USD' FROM generate_series(1, {n}) i")
    queued = wal(db)
    db.start_worker()
    db.until(f"SELECT in_flight = 0 AND followed = {n} FROM inqud.worker WHERE database = current_database()")
    done = wal(db)
    db.set("full_page_writes", "on")
    table.row("bytes of WAL of an order without a trigger", [(base - start) / n])
    table.row("bytes of WAL of queueing it", [(queued - base - (base - start)) / n])
    table.row("bytes of WAL of claim, answer, event", [(done - queued) / n])
    db.clear()


def p6(stage, table, size):
    table.head("P6", f"{size(10000, 100)} open checkouts, {size(100, 3)} rounds of polling that find nothing new")
    for old in (False, True):
        polling(stage, table, size, old)
    created(stage, table, size)


def creates(stage, size):
    """The worker's memory after a thousand creates, after all, and how many all are."""
    db = stage.db
    few, all_ = size(1000, 50), size(100000, 500)
    db.clear()
    pid = opened(stage, few)
    memory = private_kb(pid)
    db.sql(f"INSERT INTO bench.orders_shop SELECT i, 10, 'USD' FROM generate_series({few} + 1, {all_}) i")
    db.until(f"SELECT in_flight = 0 AND followed = {all_} FROM inqud.worker WHERE database = current_database()")
    memory_after = private_kb(pid)
    db.clear()
    return memory, memory_after, all_ - few


def p8(stage, table, size):
    db = stage.db
    table.head("P8", "memory of processes, and the last transactions beside the first")
    n = size(1000, 50)
    db.clear()
    opened(stage, n)
    pid = poll_quickly(stage, "100ms")
    wait_for_requests(stage, size(2000, 100))
    memory = private_kb(pid)
    made = wait_for_requests(stage, size(100000, 500))
    after = private_kb(pid)
    poll_quickly(stage, "1day")
    table.row("worker after its first reads", [memory], "kB")
    table.row(f"worker after {made} further reads", [after], "kB")
    table.goal("growth", [after / memory], at_most=1.05)
    memory, after, made = creates(stage, size)
    table.row(f"worker after {size(1000, 50)} creates", [memory], "kB")
    table.row(f"worker after {made} further creates, each followed", [after], "kB")
    table.row("a followed checkout", [(after - memory) * 1024 / made], "bytes")
    sessions(stage, table, size)


def sessions(stage, table, size):
    db = stage.db
    enqueue = "INSERT INTO bench.orders_shop VALUES ($1::bigint, 10, 'USD')"
    read = "SELECT id FROM inqud_get_checkout('shop', 'CCO-11111111-2222-4333-8444-555555555555') WHERE $1::bigint > 0"
    for name, sql, n in (("enqueuing transactions", enqueue, size(30000, 2500)), ("reads", read, size(30000, 2500))):
        memory, times = [], []
        # several times, for a machine is twice as quick in one second as in another
        for _ in range(size(5, 1)):
            # without a worker, so that its work is not measured; for the same reason commits are not flushed
            db.clear()
            _, first, last, early, late = stage.program("session", db.conninfo + " options='-c synchronous_commit=off'", n, sql)
            memory.append((early, late))
            times.append(last / first)
        table.row(f"session after 1000 {name}", [m[0] for m in memory], "kB")
        table.row(f"session after {n} {name}", [m[1] for m in memory], "kB")
        table.goal(f"memory, {name}", [m[1] / m[0] for m in memory], at_most=1.05)
        table.goal(f"the last 1000 {name} / the first 1000", times, at_most=1.1)
    db.clear()
