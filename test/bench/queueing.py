"""P4 and P7: enqueuing in triggers, and finding due work in large tables."""

from calls import ORDERS
from stage import PROJECT_ID, cpu_s
from table import in_turn

ROW = ("CREATE TRIGGER pay AFTER INSERT ON bench.orders FOR EACH ROW EXECUTE FUNCTION "
       "inqud_order_trigger('shop', 'order_id={id}', 'name=Order {id}', "
       "'return_url=https://shop.example/orders/{id}', 'amount={total}', 'currency={currency}')")
STATEMENT = ROW.replace("FOR EACH ROW", "REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT")
PLAIN = "CREATE TRIGGER pay AFTER INSERT ON bench.orders FOR EACH ROW EXECUTE FUNCTION bench.plain()"


def bulk(db, n, trigger):
    """Microseconds of time and of CPU a row of one bulk insert; a smaller one before has everything loaded."""
    db.sql("DROP TRIGGER IF EXISTS pay ON bench.orders; "
           "TRUNCATE bench.orders, bench.plain_queue, inqud.checkout, inqud.queue, inqud.event")
    db.sql("CHECKPOINT")
    if trigger:
        db.sql(trigger)
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
    db.clear()
    table.head("P4", f"bulk insert of {n} orders, a row")
    values = in_turn(size(7, 1), {
        "no trigger": lambda: bulk(db, n, None),
        "PL/pgSQL row trigger, one plain queue table": lambda: bulk(db, n, PLAIN),
        "inqud, row trigger": lambda: bulk(db, n, ROW),
        "inqud, statement trigger": lambda: bulk(db, n, STATEMENT),
    })
    table.rows({name: [x[0] for x in some] for name, some in values.items()}, "µs")
    cpu = {name: [x[1] for x in some] for name, some in values.items()}
    table.rows({f"CPU, {name}": some for name, some in cpu.items()}, "µs")
    base, plain, row, statement = cpu
    for name, at_most in ((row, 3), (statement, 1.7)):
        table.ratio(f"{name} / PL/pgSQL, CPU of the whole insert", cpu, name, plain)
        table.goal(f"{name} / PL/pgSQL, CPU of the trigger alone",
                   [(a - b) / (c - b) for a, b, c in zip(cpu[name], cpu[base], cpu[plain])], at_most=at_most)
    singles(db, table, size)
    db.sql("DROP TRIGGER pay ON bench.orders")
    db.clear()


def singles(db, table, size):
    """One order a statement, all in one transaction: nothing is there to be recorded together."""
    n = size(10000, 100)
    cpu = in_turn(size(3, 1), {name: lambda trigger=trigger: single(db, n, trigger) for name, trigger in (
        ("PL/pgSQL row trigger", PLAIN), ("inqud, row trigger", ROW))})
    table.rows({f"CPU of a statement with one order, {name}": some for name, some in cpu.items()}, "µs")
    table.ratio("inqud / PL/pgSQL, statements with one order", cpu, "inqud, row trigger", "PL/pgSQL row trigger")


def single(db, n, trigger):
    db.sql("DROP TRIGGER IF EXISTS pay ON bench.orders; "
           "TRUNCATE bench.orders, bench.plain_queue, inqud.checkout, inqud.queue, inqud.event")
    db.sql(trigger)
    return float(db.sql(
        "INSERT INTO bench.orders VALUES (0, 10, 'USD'); CREATE TEMP TABLE began AS SELECT bench.cpu_us() AS cpu; "
        f"DO $$BEGIN FOR i IN 1..{n} LOOP INSERT INTO bench.orders VALUES (i, 10, 'USD'); END LOOP; END$$; "
        f"SELECT (bench.cpu_us() - cpu) / {n} FROM began"))


def fill(db, n):
    """n checkouts, 99 % of them finished; the others are followed, and 20 000 more are queued."""
    db.clear()
    db.sql(f"INSERT INTO inqud.checkout (project, project_id, order_id, owner, name, type, amount, currency, return_url, "
           f"state, status, checkout_id) SELECT 'shop', '{PROJECT_ID}', i, 'postgres', 'Order', 'FIXED_PRICE', 10, 'USD', "
           f"'https://shop.example/', CASE WHEN i % 100 = 0 THEN 'open' ELSE 'closed' END, "
           f"CASE WHEN i % 100 = 0 THEN 'NEW' ELSE 'SUCCESS' END, 'CCO-' || i FROM generate_series(1, {n}) i")
    db.sql("INSERT INTO inqud.queue (checkout, home, project, kind, due_at, phase, tail_from) "
           "SELECT id, inqud._home(), 'shop', 'idle', clock_timestamp(), 'new', clock_timestamp() FROM inqud.checkout "
           "WHERE state = 'open'")
    # what new orders add, as the trigger adds it
    db.sql(f"INSERT INTO bench.orders_shop SELECT i, 10, 'USD' FROM generate_series({n} + 1, {n} + 20000) i")
    db.sql("VACUUM ANALYZE inqud.checkout, inqud.queue")


def find(db, rounds):
    """Microseconds for a look and a claim of 50, the median of many. What was claimed is out of the way before the next
    claim, as after an answer, so that none has to pass over it; the entries that it leaves in the index stay."""
    return float(db.sql(
        "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET jit = off; "  # as the worker does
        "CREATE TEMP TABLE took (us float); "
        "CREATE PROCEDURE pg_temp.many(n int) LANGUAGE plpgsql AS $$DECLARE began timestamptz; us float; ids bigint[]; BEGIN "
        "FOR i IN 1..n LOOP began := clock_timestamp(); PERFORM inqud._look(inqud._home()); "
        "ids := ARRAY(SELECT checkout FROM inqud._claim(inqud._home(), 'shop', 50, 1)); "
        "us := extract(epoch FROM clock_timestamp() - began) * 1e6; COMMIT; "
        "IF cardinality(ids) <> 50 THEN RAISE 'claimed % instead of 50', cardinality(ids); END IF; "
        "UPDATE inqud.queue SET kind = 'idle', phase = 'found', due_at = clock_timestamp(), lease = NULL, attempts = 0 "
        "WHERE checkout = ANY (ids) AND NOT hook; "
        "INSERT INTO took VALUES (us); COMMIT; END LOOP; END$$; "
        f"CALL pg_temp.many({rounds}); SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY us) FROM took"))


def free(db):
    db.sql("UPDATE inqud.queue SET kind = 'create', phase = NULL WHERE phase = 'found'")
    db.sql("VACUUM inqud.queue")


def way(db, n):
    """CPU of queueing one more order in its session, and of its way through the worker."""
    followed = "SELECT in_flight = 0 AND followed = (SELECT count(*) FROM inqud.queue) AND NOT EXISTS " \
        "(SELECT FROM inqud.queue WHERE kind = 'create') FROM inqud.worker WHERE database = current_database()"
    pid = db.start_worker()
    db.until(followed, pause=0.2)
    before = cpu_s(pid)
    session = float(db.sql(
        "CREATE TEMP TABLE began AS SELECT bench.cpu_us() AS cpu; "
        f"INSERT INTO bench.orders_shop SELECT -i, 10, 'USD' FROM generate_series(1, {n}) i; "
        f"SELECT (bench.cpu_us() - cpu) / {n} FROM began"))
    db.until(followed, pause=0.2)
    return session, (cpu_s(pid) - before) / n * 1e6


def p7(stage, table, size):
    db = stage.db
    sizes = (size(10000, 1000), size(5000000, 5000))
    values, ways = {}, {}
    for n in sizes:
        fill(db, n)
        values[n] = []
        for _ in range(size(5, 1)):
            values[n].append(find(db, size(200, 10)))
            free(db)
        ways[n] = way(db, size(10000, 100))
    table.head("P7", "a look and a claim of 50 creates, 99 % of all checkouts finished")
    for n, some in values.items():
        table.row(f"{n} checkouts", some, "µs")
    table.ratio(f"{sizes[1]} / {sizes[0]} checkouts", values, sizes[1], sizes[0], at_most=1.5)
    for i, what in enumerate(("queueing an order", "its way through the worker")):
        for n in sizes:
            table.row(f"CPU of {what}, {n} checkouts", [ways[n][i]], "µs")
        table.row(f"CPU of {what}, {sizes[1]} / {sizes[0]}", [ways[sizes[1]][i] / ways[sizes[0]][i]])
    db.clear()
