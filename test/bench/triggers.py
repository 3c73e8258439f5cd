"""W4 and P4: what a trigger adds to the insert of an order, one at a time and in bulk.

No order is sent: the worker is there, so that each commit wakes it, and does nothing else.
"""

from stage import run
from table import in_turn

ROW = ("CREATE TRIGGER pay AFTER INSERT ON bench.orders FOR EACH ROW EXECUTE FUNCTION "
       "inqud_order_trigger('shop', 'order_id={id}', 'name=Order {id}', "
       "'return_url=https://shop.example/orders/{id}', 'amount={total}', 'currency={currency}')")
STATEMENT = ROW.replace("FOR EACH ROW", "REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT")
PLAIN = "CREATE TRIGGER pay AFTER INSERT ON bench.orders FOR EACH ROW EXECUTE FUNCTION peer.plain()"
RECORD = "CREATE TRIGGER pay AFTER INSERT ON bench.orders FOR EACH ROW EXECUTE FUNCTION peer.record()"


def put(db, trigger):
    """Everything empty, and this trigger on the orders."""
    db.clear()
    db.sql("DROP TRIGGER IF EXISTS pay ON bench.orders")
    db.start_worker(enabled=False)
    if trigger:
        db.sql(trigger)


def singles(stage, sessions, seconds, trigger, locks=None):
    """Transactions a second of so many sessions that insert one order after the other, and microseconds of the server's
    CPU that each takes."""
    db = stage.db
    put(db, trigger)
    script = f"{stage.folder}/single.sql"
    with open(script, "w", encoding="ascii") as file:
        file.write("INSERT INTO bench.orders (total, currency) VALUES (10, 'USD');\n")
    before = db.cpu_s()
    db.watch.send(f"SELECT * FROM bench.sample({seconds})")
    words = run("pgbench", "-n", "-M", "prepared", "-c", str(sessions), "-j", str(min(sessions, 2)), "-T", str(seconds),
                "-f", script, env=db.env)
    active, waiting = [int(x) for x in db.watch.receive().split("|")]
    if locks is not None:
        locks.append(100 * waiting / max(active, 1))
    rate = float(words.split("tps = ")[1].split()[0])
    made = int(words.split("actually processed: ")[1].split()[0].split("/")[0])
    return rate, (db.cpu_s() - before) / made * 1e6


def w4(stage, table, size):
    for sessions in (1, 4, 8):
        locks = []
        seconds = size(2, 1)
        table.head("W4", f"single orders, one a transaction, {sessions} at a time")
        values = in_turn(size(7, 1), {
            "plain queue": lambda: singles(stage, sessions, seconds, PLAIN),
            "C's record in PL/pgSQL": lambda: singles(stage, sessions, seconds, RECORD),
            "inqud": lambda: singles(stage, sessions, seconds, ROW, locks),
        })
        rates, cpu = ({name: [x[i] for x in some] for name, some in values.items()} for i in (0, 1))
        beside = f", {sessions} at a time"
        table.rows(rates, "/s")
        table.ratio(f"inqud / plain queue{beside}", rates, "inqud", "plain queue", "/s", at_least=0.75)
        table.ratio(f"inqud / C's record in PL/pgSQL{beside}", rates, "inqud", "C's record in PL/pgSQL", "/s", at_least=0.85)
        table.rows({f"CPU an order, {name}": some for name, some in cpu.items()}, "µs")
        table.ratio("CPU, inqud / C's record in PL/pgSQL", cpu, "inqud", "C's record in PL/pgSQL")
        table.goal(f"% of samples that wait for a heavyweight lock{beside}", locks, at_most=1)
    put(stage.db, None)


def bulk(db, n, trigger):
    """Microseconds of time and of CPU a row of one bulk insert; a smaller one before has everything loaded."""
    put(db, trigger)
    return db.numbers(
        "CREATE TEMP TABLE began AS SELECT clock_timestamp() AS at, bench.cpu_us() AS cpu; "
        "INSERT INTO bench.orders SELECT -i, 10, 'USD' FROM generate_series(1, 100) i; "
        "UPDATE began SET at = clock_timestamp(), cpu = bench.cpu_us(); "
        f"INSERT INTO bench.orders SELECT i, 10, 'USD' FROM generate_series(1, {n}) i; "
        f"SELECT extract(epoch FROM clock_timestamp() - at) * 1e6 / {n}, (bench.cpu_us() - cpu) / {n} FROM began")


def p4(stage, table, size):
    """What counts is CPU: nothing is waited for here, and a busy machine takes time away, not work."""
    db = stage.db
    n = size(20000, 200)
    table.head("P4", f"bulk insert of {n} orders, a row")
    values = in_turn(size(7, 1), {
        "no trigger": lambda: bulk(db, n, None),
        "plain queue": lambda: bulk(db, n, PLAIN),
        "inqud, row trigger": lambda: bulk(db, n, ROW),
        "inqud, statement trigger": lambda: bulk(db, n, STATEMENT),
    })
    table.rows({name: [x[0] for x in some] for name, some in values.items()}, "µs")
    cpu = {name: [x[1] for x in some] for name, some in values.items()}
    table.rows({f"CPU, {name}": some for name, some in cpu.items()}, "µs")
    base, plain, row, statement = cpu
    for name, at_most in ((row, 1.5), (statement, 1.4)):
        table.ratio(f"{name} / plain queue, CPU of the whole insert", cpu, name, plain)
        alone = {which: [a - b for a, b in zip(cpu[which], cpu[base])] for which in (name, plain)}
        table.ratio(f"{name} / plain queue, CPU of the trigger alone", alone, name, plain, "µs", at_most=at_most)
    put(db, None)
