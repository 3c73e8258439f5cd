"""What the benchmark runs on: the programs, an nginx that answers alike each time, and a throw-away server.

Must not measure anything. All of it is on loopback or a socket, on free ports, in one temporary folder, and ends with the run.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.path.dirname(os.environ["PG_CONFIG"])
PROJECT_ID = "CAP-aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
DELAY_MS = 100

# A reply of the API with every member that is documented; {id} is a variable of nginx.
REPLY = ('{"id":"{id}","projectId":"' + PROJECT_ID + '","projectName":"demo","merchantDomain":"shop.example",'
         '"status":"NEW","reason":null,"type":"FIXED_PRICE","fixedAmount":{"currency":"USD","amount":10.00},'
         '"suggestedAmounts":null,"cryptoCurrencies":["ETHEREUM_USDT","TRON_USDT"],'
         '"cryptoCurrenciesByBlockchain":{"ETHEREUM":["ETHEREUM_USDT"],"TRON":["TRON_USDT"]},'
         '"cryptoCurrencyDetails":{},"estimatedPayAmounts":{"ETHEREUM_USDT":9.946291,"TRON_USDT":9.946291},'
         '"minLimits":{},"maxLimits":{},"merchantFixedPlatformFees":{"ETHEREUM_USDT":0.1},'
         '"merchantPercentPlatformFees":{"ETHEREUM_USDT":5},"payerFixedPlatformFees":{},"payerPercentPlatformFees":{},'
         '"request":null,"acquiringUrl":"https://paycrypto.inqud.com/checkout/{id}",'
         '"createdAt":"2029-12-31T09:17:26.081523507Z","lastUpdatedAt":null,"expiresAt":"2090-01-01T12:00:00Z"}')

NGINX = """
load_module /usr/lib/nginx/modules/ngx_http_echo_module.so;
daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/nginx.log;
events {{ worker_connections 4096; }}
http {{
    access_log off; default_type application/json; tcp_nodelay on;
    keepalive_timeout 1h; keepalive_time 1d; keepalive_requests 1000000000;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    server {{
        listen 127.0.0.1:{quick} backlog=4096;
        location = /status {{ stub_status; }}
        location ~ /checkouts$ {{ return 200 '{created}'; }}
        location ~ /checkouts/(?<cco>CCO-[0-9a-z-]+)$ {{ return 200 '{read}'; }}
    }}
    server {{
        listen 127.0.0.1:{slow} backlog=4096;
        location ~ /checkouts$ {{ echo_sleep {delay}; echo -n '{created}'; }}
    }}
}}
"""

CONF = """
listen_addresses = ''
unix_socket_directories = '{dir}'
shared_preload_libraries = 'inqud,pg_stat_statements'
pg_stat_statements.track = none
dynamic_shared_memory_type = mmap
shared_buffers = '512MB'
max_wal_size = '8GB'
checkpoint_timeout = '1h'
max_connections = 50
inqud.enabled = off
"""


class Trouble(Exception):
    """Something that keeps the benchmark from measuring."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(*command, feed=None, env=None, timeout=1800):
    """The words that a command prints."""
    done = subprocess.run(command, input=feed, capture_output=True, text=True, env=env, timeout=timeout)
    if done.returncode:
        raise Trouble(f"{command[0]}: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()


def cpu_s(pid):
    """Seconds of CPU that a process has used, to the nanosecond."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def private_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon:"))


class Api:
    """nginx: a port that answers at once and one that answers after DELAY_MS."""

    def __init__(self, folder):
        os.mkdir(folder)
        self.quick, self.slow = free_port(), free_port()
        with open(f"{folder}/nginx.conf", "w", encoding="ascii") as file:
            file.write(NGINX.format(dir=folder, quick=self.quick, slow=self.slow, delay=DELAY_MS / 1000,
                                    created=REPLY.replace("{id}", "CCO-$request_id"),
                                    read=REPLY.replace("{id}", "$cco")))
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-c", f"{folder}/nginx.conf", "-e", f"{folder}/nginx.log"],
                                        stderr=subprocess.PIPE, text=True)
        for port in (self.quick, self.slow):
            self.wait_for(port)

    def wait_for(self, port):
        until = time.monotonic() + 20
        while time.monotonic() < until and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        self.process.kill()
        raise Trouble(f"nginx did not start: {self.process.stderr.read()}")

    def url(self, slow=False):
        return f"http://127.0.0.1:{self.slow if slow else self.quick}"

    def create_url(self, slow=False):
        return f"{self.url(slow)}/v1/user/crypto-acquiring/{PROJECT_ID}/checkouts"

    def requests(self):
        """How many have been answered so far."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.url()}/status", timeout=20) as reply:
            return int(reply.read().split()[9])

    def close(self):
        self.process.terminate()
        self.process.wait(20)
        self.process.stderr.close()


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
        run("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-v", f"quick={api.url()}", "-v", f"slow={api.url(True)}",
            "-v", f"project_id={PROJECT_ID}", "-f", f"{HERE}/schema.sql", env=self.env)

    def sql(self, text, **settings):
        """What the last statement gives, as text."""
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        return run("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-f", "-", feed=text, env=dict(self.env, PGOPTIONS=options))

    def numbers(self, text):
        return [float(x) for x in self.sql(text).split("|")]

    def set(self, name, value):
        self.sql(f"ALTER SYSTEM SET {name} = {value}")
        self.sql("SELECT pg_reload_conf()")

    def option(self, server, **options):
        """Server options; they exist already."""
        self.sql(f"ALTER SERVER {server} OPTIONS ({', '.join(f'SET {k} $o${v}$o$' for k, v in options.items())})")

    def clear(self):
        """All tables empty, the worker gone, everything on disk."""
        self.sql("SELECT inqud_worker_stop()")
        self.until("SELECT pid IS NULL FROM inqud.worker WHERE database = current_database()")
        self.set("inqud.enabled", "off")
        self.sql("TRUNCATE inqud.checkout, inqud.queue, inqud.event, inqud.inbox, bench.job, bench.orders, "
                 "bench.orders_shop, bench.orders_other, bench.orders_notice RESTART IDENTITY")
        self.sql("CHECKPOINT")

    def start_worker(self, enabled=True):
        """The worker's process, which claims nothing unless enabled."""
        self.set("inqud.enabled", "on" if enabled else "off")
        self.sql("SELECT inqud_worker_start()")
        self.sql("UPDATE inqud.queue SET poke = poke WHERE false")
        self.until("SELECT pid IS NOT NULL AND state <> 'starting' FROM inqud.worker WHERE database = current_database()")
        return int(self.sql("SELECT pid FROM inqud.worker WHERE database = current_database()"))

    def until(self, question, seconds=900, pause=0.02):
        end = time.monotonic() + seconds
        while self.sql(question) not in ("t", ""):
            if time.monotonic() > end:
                raise Trouble(f"did not come true: {question}")
            time.sleep(pause)

    def close(self):
        run(f"{BIN}/pg_ctl", "-D", f"{self.dir}/data", "-s", "-w", "-m", "immediate", "stop")

    def complaints(self):
        with open(self.log, encoding="utf-8") as file:
            return [line for line in file if any(word in line for word in ("ERROR:", "FATAL:", "PANIC:", "WARNING:"))]


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
            self.db.close()
        self.api.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def program(self, name, *arguments, **more):
        """The numbers that one of our programs prints."""
        return [float(x) for x in run(f"{self.folder}/bin/{name}", *map(str, arguments), **more).split()]

    def path(self, name):
        return f"{self.folder}/bin/{name}"
