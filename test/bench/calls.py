"""P1 to P3 and P5: calls of the API by sessions and by the worker, beside what plain C programs reach.

Numbers of rows come from "size", so that a smoke run takes seconds. Must leave the tables empty and the worker idle.
"""

import subprocess

from stage import PROJECT_ID, Trouble, cpu_s, run
from table import in_turn

ORDERS = ("INSERT INTO inqud.checkout (project, project_id, order_id, owner, name, type, amount, currency, return_url) "
          "SELECT '{project}', '" + PROJECT_ID + "', i, 'postgres', 'Order ' || i, 'FIXED_PRICE', 10, 'USD', "
          "'https://shop.example/orders/' || i FROM generate_series(1, {n}) i; "
          "INSERT INTO inqud.queue (checkout, home, project, kind, due_at) "
          "SELECT c.id, inqud._home(), c.project, 'create', clock_timestamp() FROM inqud.checkout c "
          "WHERE c.project = '{project}' ORDER BY c.id")
JOBS = ("INSERT INTO bench.job (order_id, name, return_url, amount, currency) "
        "SELECT i, 'Order ' || i, 'https://shop.example/orders/' || i, 10, 'USD' FROM generate_series(1, {n}) i")


def wrk(stage, connections, seconds, slow=False):
    """Requests a second that the server is good for."""
    path = f"{stage.folder}/post.lua"
    with open(path, "w", encoding="ascii") as file:
        file.write('wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
                   'wrk.body = \'{"clientOrderId":"1","type":"NO_PRICE"}\'\n')
    words = run("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", path, stage.api.create_url(slow))
    return float(words.split("Requests/sec:")[1].split()[0])


class Run:
    """One run of a worker: seconds, rows, and CPU of whoever took part."""

    def __init__(self, stage, n):
        self.stage, self.n = stage, n
        self.cpu = {}

    def rate(self, name, seconds, cpu):
        self.cpu.setdefault(name, []).append(cpu / self.n * 1e6)
        return self.n / seconds


def extension_run(run_, project, name):
    """From "enabled" until the last row is written: the worker runs and waits, with the orders queued."""
    db, n = run_.stage.db, run_.n
    db.clear()
    db.sql(ORDERS.format(project=project, n=n))
    db.sql("VACUUM ANALYZE inqud.checkout, inqud.queue")
    pid = db.start_worker(enabled=False)
    before = cpu_s(pid)
    # in one session, whose own start is not part of it
    db.sql("ALTER SYSTEM SET inqud.enabled = on")
    began = float(db.sql("SELECT extract(epoch FROM clock_timestamp()) FROM (SELECT pg_reload_conf() OFFSET 0) AS told"))
    db.until(f"SELECT in_flight = 0 AND followed = {n} FROM inqud.worker WHERE database = current_database()", pause=0.1)
    cpu = cpu_s(pid) - before
    ended = float(db.sql("SELECT extract(epoch FROM max(updated_at)) FROM inqud.checkout WHERE state = 'open'"))
    if db.sql("SELECT count(*) FROM inqud.checkout WHERE state = 'open' AND acquiring_url IS NOT NULL") != str(n):
        raise Trouble("not all checkouts were opened")
    db.clear()
    return run_.rate(name, ended - began, cpu)


def reference_run(run_, name, *more, slow=False, window=50):
    db, n = run_.stage.db, run_.n
    db.clear()
    db.sql(JOBS.format(n=n))
    db.sql("VACUUM ANALYZE bench.job")
    process = subprocess.Popen([run_.stage.path("reference"), db.conninfo, run_.stage.api.create_url(slow), str(window),
                                *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    words = process.stdout.readline().split()
    if len(words) != 4 or int(words[3]) != n:
        raise Trouble(f"the reference worker failed: {words} {process.communicate()[1]}")
    cpu = float(words[1]) + cpu_s(int(words[2]))
    process.communicate()
    return run_.rate(name, float(words[0]), cpu)


def bare_run(run_, name, slow=False, window=50):
    seconds, cpu = run_.stage.program("multi", run_.stage.api.create_url(slow), run_.n, window)
    return run_.rate(name, seconds, cpu)


def show_cpu(table, run_):
    for name, values in run_.cpu.items():
        table.row(f"CPU a transfer, {name}", values, "µs")


def p1(stage, table, size):
    """One session reads one checkout again and again, recorded and unchanged, as most are."""
    n = size(10000, 200)
    db = stage.db
    cco = "CCO-11111111-2222-4333-8444-555555555555"
    url = f"{stage.api.create_url()}/{cco}"
    db.clear()
    loop = ("DO $$BEGIN PERFORM inqud_get_checkout('shop', '{cco}'); END$$; "
            "CREATE TEMP TABLE began AS SELECT clock_timestamp() AS at, bench.cpu_us() AS cpu; "
            "DO $$BEGIN FOR i IN 1..{n} LOOP PERFORM inqud_get_checkout('shop', '{cco}'); END LOOP; END$$; "
            "SELECT extract(epoch FROM clock_timestamp() - at), bench.cpu_us() - cpu FROM began")
    cpu = {}

    def in_loop(cco, name=None):
        seconds, us = db.numbers(loop.format(n=n, cco=cco))
        if name:
            cpu.setdefault(name, []).append(us / n)
        return n / seconds

    def bare():
        seconds, used = stage.program("easy", url, n)[:2]
        cpu.setdefault("bare easy loop", []).append(used / n * 1e6)
        return n / seconds

    def by_statement():
        return n / stage.program("session", db.conninfo, n, f"SELECT id FROM inqud_get_checkout('shop', '{cco}') WHERE $1::int > 0")[0]

    db.sql(ORDERS.format(project="shop", n=1))
    db.sql(f"UPDATE inqud.checkout SET checkout_id = '{cco}', state = 'open'; UPDATE inqud.queue SET kind = 'idle', phase = 'new'")
    in_loop(cco)
    table.head("P1", f"{n} reads in one session, 0 ms server")
    table.row("server's limit for one connection (wrk)", [wrk(stage, 1, size(2, 1))], "/s")
    values = in_turn(size(5, 1), {
        "bare easy loop": bare,
        "inqud_get_checkout, recorded, loop in SQL": lambda: in_loop(cco, "recorded"),
        "inqud_get_checkout, not recorded, loop in SQL": lambda: in_loop("CCO-2" + cco[5:], "not recorded"),
        "inqud_get_checkout, recorded, statement by statement": by_statement,
    })
    table.rows(values, "/s")
    names = list(values)
    table.ratio("recorded / bare easy loop", values, names[1], names[0], at_least=0.6)
    table.ratio("not recorded / bare easy loop", values, names[2], names[0])
    for name, some in cpu.items():
        table.row(f"CPU a read, {name}", some, "µs")
    db.clear()


def p2(stage, table, size):
    for n, rounds in ((size(20000, 300), size(5, 1)), (size(100000, 500), size(3, 1))):
        run_ = Run(stage, n)
        table.head("P2", f"worker, {n} creates, 0 ms server, 50 in flight")
        table.row("server's limit (wrk)", [wrk(stage, 50, size(2, 1))], "/s")
        values = in_turn(rounds, {
            "bare multi loop, no database": lambda: bare_run(run_, "bare multi loop"),
            "reference worker": lambda: reference_run(run_, "reference worker and backend"),
            "reference worker that stores the reply": lambda: reference_run(run_, "the same, storing replies", "reply"),
            "inqud": lambda: extension_run(run_, "shop", "inqud"),
        })
        table.rows(values, "/s")
        names = list(values)
        table.ratio("inqud / reference worker", values, names[3], names[1], at_least=0.75)
        table.ratio("inqud / reference worker that stores the reply", values, names[3], names[2])
        show_cpu(table, run_)


def p3(stage, table, size):
    n = size(10000, 300)
    run_ = Run(stage, n)
    table.head("P3", f"worker, {n} creates, 100 ms server, 100 in flight; ideal 1000/s")
    values = in_turn(size(3, 1), {
        "bare multi loop, no database": lambda: bare_run(run_, "bare multi loop", slow=True, window=100),
        "reference worker": lambda: reference_run(run_, "reference worker and backend", slow=True, window=100),
        "inqud": lambda: extension_run(run_, "slow", "inqud"),
    })
    table.rows(values, "/s")
    table.goal("inqud / ideal", [x / 1000 for x in values["inqud"]], at_least=0.9)
    show_cpu(table, run_)


def p5(stage, table, size):
    db = stage.db
    n = size(500, 20)
    rounds = size(3, 1)

    def measure(project, rate, backlog=0):
        db.clear()
        pid = db.start_worker()
        if backlog:
            db.sql(ORDERS.format(project="shop", n=backlog))
        spread = stage.program("latency", db.conninfo, project, n if not backlog else size(200, 5), rate)
        left = int(db.sql("SELECT count(*) FROM inqud.queue WHERE kind = 'create' AND project = 'shop'"))
        if backlog and left == 0 and size(1, 0):
            table.note("the backlog was done before the last order came: not a fair trial")
        db.clear()
        return spread, pid

    table.head("P5", f"from an order's commit to its visible URL, milliseconds, 0 ms server, {n} orders a round")
    cases = (("nothing but a notice, sent by the commit itself", "notice", 0, 0),
             ("idle worker, one after another", "shop", 0, 0), ("50 a second", "shop", 50, 0),
             (f"another project has {size(100000, 1000)} orders queued", "other", 20, size(100000, 1000)))
    values = in_turn(rounds, {case[0]: lambda case=case: measure(*case[1:])[0] for case in cases})
    for name, some in values.items():
        if name in (cases[0][0], cases[-1][0]):
            # what the machine itself takes; and what a queue of many costs another's single order
            table.row(f"{name}: median", [s[0] for s in some])
            table.row(f"{name}: 99th percentile", [s[3] for s in some])
            continue
        table.goal(f"{name}: median", [s[0] for s in some], at_most=5)
        table.goal(f"{name}: 99th percentile", [s[3] for s in some], at_most=20)
