"""P6 and P8: what polling writes, how tables grow, and whether memory and time stay what they were."""

import time

from api import CCO
from stage import Session, private_kb
from whole import INSERT

RELATIONS = ("SELECT c.oid::regclass::text, pg_relation_size(c.oid) FROM pg_class c "
             "WHERE c.relnamespace = 'inqud'::regnamespace AND c.relkind IN ('r', 'i') ORDER BY 1")


# What has been written, by kind of record.
WRITTEN = ("SELECT format('WAL: %s times %s, %s bytes', count, \"resource_manager/record_type\", combined_size) "
           "FROM pg_get_wal_stats('0/0'::pg_lsn + {}, least('0/0'::pg_lsn + {}, pg_current_wal_flush_lsn()), true) "
           "WHERE count > 0 ORDER BY combined_size DESC LIMIT 4")


class OldSnapshot:
    """A transaction elsewhere that keeps everything that was there when it began."""

    def __init__(self, db):
        self.session = Session(db)
        # an id of its own, too, as a transaction has that has written
        self.session.sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT txid_current()")

    def close(self):
        self.session.close()


def sizes(db):
    return {name: int(size) for name, size in (line.split("|") for line in db.sql(RELATIONS).splitlines())}


def wal(db):
    return int(db.sql("SELECT pg_current_wal_insert_lsn() - '0/0'"))


def opened(stage, n):
    """n orders created by the worker; returns its process."""
    db = stage.db
    db.clear()
    db.sql(INSERT.format(table="bench.orders_shop", n=n))
    pid = db.start_worker()
    db.followed(n)
    return pid


def poll_quickly(stage, interval):
    """A worker that reads every open checkout once in each interval; its schedule is made at its start."""
    stage.db.stop_worker()
    stage.db.option("shop", poll_new=interval)
    return stage.db.start_worker()


def wait_for_requests(stage, n):
    until = time.monotonic() + 600
    before = stage.api.requests()
    while stage.api.requests() < before + n and time.monotonic() < until:
        time.sleep(0.05)
    return stage.api.requests() - before


def polling(stage, table, size, old):
    db = stage.db
    n, rounds = size(10000, 100), size(100, 3)
    opened(stage, n)
    # autovacuum would do it in the midst of the polls
    db.sql("VACUUM ANALYZE")
    snapshot = OldSnapshot(db) if old else None
    poll_quickly(stage, "500ms")
    # the first read of each is compared with its row; from then on with the last reply
    wait_for_requests(stage, 3 * n)
    before, bytes_before = sizes(db), wal(db)
    made = wait_for_requests(stage, rounds * n)
    after, bytes_after = sizes(db), wal(db)
    if snapshot:
        snapshot.close()
    poll_quickly(stage, "30day")
    label = ", an old snapshot held elsewhere" if old else ""
    table.goal(f"bytes of WAL a poll{label}", [(bytes_after - bytes_before) / made], at_most=0.01)
    table.goal(f"tables and indexes that grew over {made // n} rounds{label}",
               [sum(after[name] > before[name] for name in before)], at_most=0)
    if bytes_after > bytes_before:
        for line in db.sql(WRITTEN.format(bytes_before, bytes_after)).splitlines():
            table.note(line)
    for name in before:
        if after[name] != before[name]:
            table.note(f"{name}: {before[name]} to {after[name]} bytes")


def created(stage, table, size):
    """WAL of an order from its insert to its URL, without images of whole pages."""
    db = stage.db
    n = size(10000, 100)
    db.clear()
    db.set("full_page_writes", "off")
    # the checkpointer, which has to hear of it for all, has done so when this is over
    db.sql("CHECKPOINT")
    start = wal(db)
    db.sql(INSERT.format(table="bench.orders", n=n))
    base = wal(db)
    db.sql(INSERT.format(table="bench.orders_shop", n=n))
    queued = wal(db)
    db.start_worker()
    db.followed(n)
    done = wal(db)
    db.set("full_page_writes", "on")
    table.row("bytes of WAL of an order without a trigger", [(base - start) / n])
    table.row("bytes of WAL of queueing it", [(queued - base - (base - start)) / n])
    table.row("bytes of WAL of claim, answer, event", [(done - queued) / n])


def p6(stage, table, size):
    table.head("P6", f"{size(10000, 100)} open checkouts, {size(100, 3)} rounds of polling that find nothing new")
    for old in (False, True):
        polling(stage, table, size, old)
    created(stage, table, size)


def memory_of_reads(stage, table, size):
    opened(stage, size(1000, 50))
    pid = poll_quickly(stage, "100ms")
    wait_for_requests(stage, size(2000, 100))
    memory = private_kb(pid)
    made = wait_for_requests(stage, size(100000, 500))
    after = private_kb(pid)
    poll_quickly(stage, "30day")
    table.row("worker after its first reads", [memory], "kB")
    table.row(f"worker after {made} further reads", [after], "kB")
    table.goal("growth", [after / memory], at_most=1.05)


def memory_of_creates(stage, table, size):
    """What is followed takes memory, so this one may grow with the number of checkouts."""
    few, all_ = size(1000, 50), size(100000, 500)
    pid = opened(stage, few)
    memory = private_kb(pid)
    stage.db.sql(f"INSERT INTO bench.orders_shop SELECT i, 10, 'USD' FROM generate_series({few} + 1, {all_}) i")
    stage.db.followed(all_)
    after = private_kb(pid)
    table.row(f"worker after {few} creates", [memory], "kB")
    table.row(f"worker after {all_ - few} further creates, each followed", [after], "kB")
    table.row("a followed checkout", [(after - memory) * 1024 / (all_ - few)], "bytes")


def sessions(stage, table, size):
    db = stage.db
    enqueue = "INSERT INTO bench.orders_shop VALUES ($1::bigint, 10, 'USD')"
    read = f"SELECT id FROM inqud_get_checkout('shop', '{CCO}1') WHERE $1::bigint > 0"
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
        table.goal(f"the last 1000 {name} / the first 1000", times, at_most=1.05)


def p8(stage, table, size):
    table.head("P8", "memory of processes, and the last transactions beside the first")
    memory_of_reads(stage, table, size)
    memory_of_creates(stage, table, size)
    sessions(stage, table, size)
