"""What the benchmark runs on: the programs, the API, and a throw-away server.

Must not judge anything. All of it is on loopback or a socket, on free ports, in one temporary folder, and ends with the run.
"""

import os
import shutil
import subprocess
import tempfile
import time

from api import PROJECT_ID, Api, Trouble

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.path.dirname(os.environ["PG_CONFIG"])

CONF = """
listen_addresses = ''
unix_socket_directories = '{dir}'
shared_preload_libraries = 'inqud'
dynamic_shared_memory_type = mmap
shared_buffers = '512MB'
max_wal_size = '8GB'
checkpoint_timeout = '1h'
max_connections = 50
inqud.enabled = off
"""

# The checkouts and whatever hangs on one, and the contenders' tables.
TABLES = ("SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c "
          "WHERE c.relkind = 'r' AND (c.relnamespace IN ('bench'::regnamespace, 'peer'::regnamespace) "
          "OR c.oid = 'inqud.checkout'::regclass OR c.relnamespace = 'inqud'::regnamespace AND EXISTS "
          "(SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'checkout'))")
WORKER = "inqud.worker WHERE database = current_database()"


def run(*command, feed=None, env=None, timeout=1800):
    """The words that a command prints."""
    done = subprocess.run(command, input=feed, capture_output=True, text=True, env=env, timeout=timeout)
    if done.returncode:
        raise Trouble(f"{command[0]}: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()


def cpu_s(pid):
    """Seconds of CPU that a process has used, to the nanosecond; none if it is gone."""
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[0]) / 1e9
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def stat_of(pid):
    """The numbers of /proc/PID/stat after the state: parent first, CPU of children that have ended at 12 and 13."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return [int(x) for x in file.read().rpartition(")")[2].split()[1:]]
    except (FileNotFoundError, ProcessLookupError):
        return [0]


def private_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon:"))


class Session:
    """One psql that stays, for what is asked often, or goes on meanwhile."""

    def __init__(self, db):
        self.process = subprocess.Popen(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=db.env)
        self.pid = int(self.sql("SELECT pg_backend_pid()"))

    def send(self, text):
        self.process.stdin.write(f"{text};\n\\echo .\n")
        self.process.stdin.flush()

    def receive(self):
        lines = []
        for line in self.process.stdout:
            if line == ".\n":
                return "\n".join(lines)
            lines.append(line.rstrip("\n"))
        raise Trouble(f"psql: {lines}")

    def sql(self, text):
        self.send(text)
        return self.receive()

    def until(self, question, seconds=900, pause=0.02):
        end = time.monotonic() + seconds
        while self.sql(f"SELECT {question}") != "t":
            if time.monotonic() > end:
                raise Trouble(f"did not come true: {question}")
            time.sleep(pause)

    def close(self):
        self.process.communicate()


class Database:
    """A server of its own with the extension, orders and the contenders' tables."""

    def __init__(self, folder, api):
        self.dir = folder
        self.log = f"{folder}/log"
        os.mkdir(folder)
        self.env = dict(os.environ, PGHOST=folder, PGPORT="5432", PGUSER="postgres", PGDATABASE="postgres")
        self.conninfo = f"host={folder} port=5432 user=postgres dbname=postgres"
        run(f"{BIN}/initdb", "-D", f"{folder}/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale",
            "--no-sync")
        with open(f"{folder}/data/postgresql.conf", "a", encoding="ascii") as file:
            file.write(CONF.format(dir=folder))
        run(f"{BIN}/pg_ctl", "-D", f"{folder}/data", "-l", self.log, "-s", "-w", "start", timeout=60)
        with open(f"{folder}/data/postmaster.pid", encoding="ascii") as file:
            self.postmaster = int(file.readline())
        urls = [word for name in api.ports for word in ("-v", f"{name}={api.url(name)}")]
        for file in ("schema.sql", "peer.sql"):
            run("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *urls, "-v", f"project_id={PROJECT_ID}", "-f", f"{HERE}/{file}",
                env=self.env)
        self.watch = Session(self)

    def sql(self, text):
        """What the last statement gives, as text."""
        return run("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-f", "-", feed=text, env=self.env)

    def numbers(self, text):
        return [float(x) for x in self.sql(text).split("|")]

    def until(self, question, **more):
        self.watch.until(question, **more)

    def cpu_s(self):
        """CPU of all processes of the server, those that have ended too, without the one that only watches."""
        children = [pid for pid in os.listdir("/proc") if pid.isdigit() and stat_of(pid)[0] == self.postmaster]
        ended = sum(stat_of(self.postmaster)[12:14]) / os.sysconf("SC_CLK_TCK")
        return ended + sum(cpu_s(pid) for pid in [self.postmaster, *children]) - cpu_s(self.watch.pid)

    def set(self, name, value):
        self.watch.sql(f"ALTER SYSTEM SET {name} = {value}")
        self.watch.sql("SELECT pg_reload_conf()")

    def option(self, server, **options):
        """Server options; they exist already."""
        self.sql(f"ALTER SERVER {server} OPTIONS ({', '.join(f'SET {k} $o${v}$o$' for k, v in options.items())})")

    def clear(self):
        """All tables empty, the worker gone, everything on disk."""
        self.stop_worker()
        self.set("inqud.enabled", "off")
        self.sql(f"TRUNCATE {self.watch.sql(TABLES)} RESTART IDENTITY")
        self.sql("CHECKPOINT")

    def stop_worker(self):
        self.sql("SELECT inqud_worker_stop()")
        self.until(f"(SELECT pid IS NULL FROM {WORKER})")

    def start_worker(self, enabled=True):
        """The worker's process, which claims nothing unless enabled."""
        self.set("inqud.enabled", "on" if enabled else "off")
        self.sql("SELECT inqud_worker_start()")
        self.until(f"(SELECT pid IS NOT NULL AND state <> 'starting' FROM {WORKER})")
        return int(self.watch.sql(f"SELECT pid FROM {WORKER}"))

    def followed(self, n, **more):
        """Waits until the worker follows n checkouts and has nothing else to do. Until it has looked around, the view
        says what an earlier worker followed; hence the question about creates."""
        self.until(f"(SELECT in_flight = 0 AND followed = {n} AND NOT EXISTS (SELECT FROM inqud.queue WHERE kind = 'create') "
                   f"FROM {WORKER})", **more)

    def close(self):
        run(f"{BIN}/pg_ctl", "-D", f"{self.dir}/data", "-s", "-w", "-m", "immediate", "stop")

    def complaints(self):
        with open(self.log, encoding="utf-8") as file:
            # a contender that listens may end while a notice is being sent to it
            return [line for line in file if any(word in line for word in ("ERROR:", "FATAL:", "PANIC:", "WARNING:"))
                    and "FATAL:  connection to client lost" not in line]


class Stage:
    """Everything together; use it in a with statement."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="bench.")
        self.api = self.db = None

    def __enter__(self):
        run("make", "-s", "-C", HERE, f"BUILD={self.folder}/bin")
        self.api = Api(f"{self.folder}/api")
        try:
            self.db = Database(f"{self.folder}/db", self.api)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *trouble):
        self.close()

    def close(self):
        if self.db:
            self.db.watch.close()
            self.db.close()
        self.api.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def program(self, name, *arguments, **more):
        """The numbers that one of our programs prints."""
        return [float(x) for x in run(self.path(name), *map(str, arguments), **more).split()]

    def path(self, name):
        return f"{self.folder}/bin/{name}"
