#!/usr/bin/python3
"""Tries the webhook receiver, and the handlers for other hosts, with webhooks that the emulator sends.

Prints TAP. Needs a running server with the extension installed, reached by psql's own settings, and psycopg; a host that is
not installed (PHP, Node.js with pg, nginx) is skipped. PostgREST is not to be had from Debian: what it does is done in SQL.
Tests the way from HTTP to inqud_receive_webhook; what that does is for other tests.
"""

import hashlib
import hmac
import http.client
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.join(HERE, "..", "..", "tools", "run"))

from testing import PATIENCE, Emulator, SqlError, Tap, sql

SECRET = "test-webhook-secret"
BODY = '{"id":"CCO-11111111-2222-4333-8444-555555555555","clientOrderId":"order-1001","status":"SUCCESS"}'.encode()
JSON_OF = '{"id":"%s","status":"NEW"}'
ROLE = "inqud_receiver"
RECEIVER = [sys.executable, "-B", HERE + "/receiver.py", "--project", "shop", "--port", "0", "--until-eof"]
PATIENT = [*RECEIVER, "--timeout", "60"]         # where the database answers, sooner or later

WSGI = """
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server
sys.path.insert(0, sys.argv[1])
import wsgi
WSGIRequestHandler.log_message = lambda *_: None
server = make_server('127.0.0.1', 0, wsgi.app)
print(f'listening http://127.0.0.1:{server.server_port}/', flush=True)
server.serve_forever()
"""


def digest(body):
    return hmac.new(SECRET.encode(), body, hashlib.sha1).hexdigest()


def events():
    return int(sql("SELECT count(*) FROM inqud.event WHERE kind = 'webhook';"))


@contextmanager
def running(command, pattern=r"listening (http://\S+)", **environment):
    """A host as a child, its log in a file; gives its address and ends it."""
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                 env=dict(os.environ, PGDATABASE="postgres", PGUSER=ROLE, **environment))
        try:
            found = None
            while not found:
                line = child.stdout.readline()
                if not line:
                    raise RuntimeError(f"{command[0]} did not start: {said.seek(0) or said.read()}")
                said.write(line)
                found = re.search(pattern, line)
            drain = threading.Thread(target=shutil.copyfileobj, args=(child.stdout, said), daemon=True)
            drain.start()
            yield found[1]
        finally:
            child.stdin.close()
            if child.args[0] != sys.executable or "--until-eof" not in command:
                child.terminate()
            child.wait(PATIENCE)
            drain.join(PATIENCE)
            child.stdout.close()


def post(url, body, method="POST", **headers):
    """One request as it is; gives the status."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
    try:
        connection.request(method, parts.path, body, {"Content-Type": "application/json",
                                                      **{name.replace("_", "-"): value for name, value in headers.items()}})
        return connection.getresponse().status
    finally:
        connection.close()


def raw(url, data):
    """Bytes as they are; gives the status."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), PATIENCE) as connection:
        connection.sendall(data)
        return int(connection.makefile("rb").readline().split()[1])


class Test:
    def __init__(self, tap, emulator):
        self.tap, self.emulator = tap, emulator
        self.ident = emulator.control("create", type="NO_PRICE", clientOrderId="1")["id"]
        self.since = 0

    def status_of(self, mode, **more):
        """Have the emulator send a webhook; gives the answer's status and how many were recorded."""
        before = events()
        self.emulator.control("webhook", id=self.ident, mode=mode, **more)
        sent = self.emulator.get(f"deliveries?since={self.since}&done=1&count=1&wait={PATIENCE * 1000}")
        self.since = sent[-1]["seq"]
        return sent[-1]["status"], events() - before

    def usual(self, name, url):
        """What every host must do."""
        self.emulator.control("webhooks", checkout_url=url, checkout_secret=SECRET)
        self.tap.same(self.status_of("send"), (200, 1), name + ": a genuine webhook gets 200 and is recorded")
        self.tap.same(self.status_of("body", body='{"id": "CCO-\u00e9", "x": "\\u0000\\\\ \' $1 \U0001f600"}  '), (200, 1),
                      name + ": so does one with a strange body, byte for byte")
        for mode in ("forged", "unsigned", "tampered"):
            self.tap.same(self.status_of(mode), (403, 0), f"{name}: one that is {mode} gets 403 and is not")
        self.tap.same(post(url, BODY, X_Payload_Digest=digest(BODY).upper()), 200, name + ": hex in upper case will do")
        if name != "Python (WSGI)":
            self.tap.same((post(url, None, "GET"), post(url, b"x" * 70000, X_Payload_Digest=digest(b"x" * 70000))), (405, 413),
                          name + ": GET gets 405, a large body 413")


def test_receiver(t):
    with running(PATIENT) as url:
        t.usual("receiver", url)
        t.tap.same(t.since and [post(url + "x", BODY, X_Payload_Digest=digest(BODY)), post(url + "?a=1", BODY, X_Payload_Digest=digest(BODY))],
                   [404, 200], "receiver: one route, whatever the query")
        oddities(t, url)
        pids(t, url)
        pace(t, url)
    with running(RECEIVER) as url:
        stuck(t, url)
    print(f"# memory of the receiver, at most: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024} MB", flush=True)
    with running([*RECEIVER, "--max-body", "10", "--path", "/other"]) as url:
        t.tap.ok(url.endswith("/other"), "receiver: the path can be chosen")
        t.tap.same([post(url, b"0123456789", X_Payload_Digest=digest(b"0123456789")), post(url, b"0123456789a", X_Payload_Digest="0" * 40)],
                   [200, 413], "receiver: and the longest body")
    with running(RECEIVER, PGHOST="/nonexistent") as url:
        t.tap.same(post(url, BODY, X_Payload_Digest=digest(BODY)), 500, "receiver: without a database 500")
    with running([*RECEIVER, "--project", "nosuch"]) as url:
        t.tap.same(post(url, BODY, X_Payload_Digest=digest(BODY)), 500, "receiver: with a project that does not exist 500")


def pace(t, url, clients=8, each=250):
    """How quick it is, in figures; and that none is lost at that pace."""
    body = (JSON_OF % t.ident).encode()
    good = {"X_Payload_Digest": digest(body)}
    took, answers = [], []

    def send():
        for _ in range(each):
            began = time.monotonic()
            answers.append(post(url, body, **good))
            took.append(time.monotonic() - began)

    before, began = events(), time.monotonic()
    crowd = [threading.Thread(target=send) for _ in range(clients)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    seconds = time.monotonic() - began
    t.tap.same((answers.count(200), events() - before), (clients * each,) * 2, f"receiver: {clients * each} in a row are all taken")
    took.sort()
    print(f"# {clients * each} webhooks by {clients} clients: {clients * each / seconds:.0f} a second; "
          f"median {1000 * took[len(took) // 2]:.1f} ms, 99 % within {1000 * took[len(took) * 99 // 100]:.1f} ms", flush=True)


def oddities(t, url):
    start = f"POST {urlsplit(url).path} HTTP/1.1\r\nHost: x\r\nX-Payload-Digest: {digest(BODY)}\r\n".encode()
    for what, data, wanted in (
            ("no length", b"\r\n", 411), ("a chunked body", b"Transfer-Encoding: chunked\r\n\r\n", 411),
            ("a negative length", b"Content-Length: -1\r\n\r\n", 411), ("a length that is no number", b"Content-Length: 1e1\r\n\r\n", 411),
            ("two digests", b"X-Payload-Digest: %s\r\nContent-Length: %d\r\n\r\n" % (digest(BODY).encode(), len(BODY)) + BODY, 403),
            ("all as it should be", b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY, 200)):
        t.tap.same(raw(url, start + data), wanted, f"receiver: {what}: {wanted}")
    t.tap.same(post(url, BODY, X_Payload_Digest="' OR true --" + "0" * 28), 403, "receiver: a digest that is none")


def pids(t, url):
    who = "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE application_name = 'inqud webhook receiver';"
    good = {"X_Payload_Digest": digest(BODY)}
    first = sql(who)
    t.tap.ok(first and post(url, BODY, **good) == 200 and sql(who) == first, "receiver: the connection is kept", first, sql(who))
    sql("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'inqud webhook receiver';")
    t.tap.same(post(url, BODY, **good), 200, "receiver: and opened anew after it was lost")
    t.tap.ok(sql(who) not in ("", first), "receiver: by another process of the server")
    answers = []
    crowd = [threading.Thread(target=lambda: answers.append(post(url, BODY, **good))) for _ in range(60)]
    before = events()
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    t.tap.same((answers, events() - before), ([200] * 60, 60), "receiver: 60 at once are all taken")
    t.tap.ok(len(sql(who).split()) <= 4, "receiver: by four connections at most", sql(who))


def stuck(t, url):
    """The database takes too long: an answer comes in time all the same."""
    with subprocess.Popen(["psql", "-XqAt", "-d", "postgres"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        other.stdin.write("BEGIN; LOCK TABLE inqud.event; SELECT 1;\n")
        other.stdin.flush()
        other.stdout.readline()
        t.tap.same(post(url, BODY, X_Payload_Digest=digest(BODY)), 500, "receiver: a statement that hangs gets 500 while it hangs")
        other.stdin.close()
        other.stdout.read()
    t.tap.same(post(url, BODY, X_Payload_Digest=digest(BODY)), 200, "receiver: and the next 200")


def test_wsgi(t):
    with running([sys.executable, "-B", "-c", WSGI, HERE + "/hosts"]) as url:
        t.usual("Python (WSGI)", url)


def test_node(t):
    if not has("node", "-e", "require('pg')"):
        return t.tap.skip("Node.js with the package pg is not at hand")
    with running(["node", HERE + "/hosts/node.js"], PORT="0") as url:
        t.usual("Node.js", url)


def test_php(t):
    if not has("php", "-r", "exit(function_exists('pg_connect') ? 0 : 1);"):
        return t.tap.skip("PHP with pgsql is not at hand")
    with running(["php", "-S", "127.0.0.1:0", HERE + "/hosts/webhook.php"], r"\((http://\S+)\) started") as url:
        t.usual("PHP", url + "/")


def test_nginx(t):
    """The lines of hosts/nginx.conf in front of the receiver."""
    nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if not nginx:
        return t.tap.skip("nginx is not at hand")
    folder = tempfile.mkdtemp(prefix="nginx.")
    try:
        with running(RECEIVER) as url:
            with open(HERE + "/hosts/nginx.conf", encoding="utf-8") as lines:
                location = lines.read().replace("http://127.0.0.1:8009", url.rsplit("/inqud", 1)[0])
            temp = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            with open(folder + "/conf", "w", encoding="utf-8") as conf:
                conf.write(f"daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}\n"
                           f"http {{ access_log off; {temp}\nserver {{ listen unix:{folder}/s;\n{location}}} }}\n")
            with subprocess.Popen([nginx, "-p", folder, "-e", "stderr", "-c", folder + "/conf"], stderr=subprocess.DEVNULL) as child:
                try:
                    t.tap.ok(wait_for(lambda: os.path.exists(folder + "/s")), "nginx: takes the lines of hosts/nginx.conf")
                    through(t, folder + "/s")
                finally:
                    child.terminate()
    finally:
        shutil.rmtree(folder)


def through(t, path):
    def ask(body, method="POST", mark=None):
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(path)
        connection.request(method, "/inqud/webhook", body, {"X-Payload-Digest": mark or digest(body or b"")})
        status = connection.getresponse().status
        connection.close()
        return status

    before = events()
    t.tap.same([ask(BODY), ask(BODY, mark="0" * 40), ask(b"x" * 65537), ask(None, "GET")], [200, 403, 413, 403], "nginx: 200, 403, 413, and 403 for GET")
    t.tap.same(events() - before, 1, "nginx: one recorded")


def wait_for(condition, patience=PATIENCE):
    end = time.monotonic() + patience
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def test_postgrest(t):
    """As PostgREST calls a function: the role, the headers as a setting, the body as the only parameter."""
    with open(HERE + "/hosts/postgrest.sql", encoding="utf-8") as file:
        sql("CREATE SCHEMA api; CREATE ROLE web_anon; GRANT USAGE ON SCHEMA api TO web_anon;" + file.read())

    def call(body, mark, kind):
        try:
            return sql("BEGIN; SET LOCAL ROLE web_anon; SELECT set_config('request.headers', :'headers', true) \\g /dev/null\n"
                       f"SELECT api.inqud_webhook({kind}); COMMIT;", body=body.decode(), hex="\\x" + body.hex(),
                       headers='{"host": "x", "x-payload-digest": "%s"}' % mark)
        except SqlError as error:
            return re.search(r"ERROR:\s+(\w+)", str(error))[1]

    spaced = b'{ "id" :"CCO-1", "status":"NEW",  "status":"SUCCESS", "n": 1.00E+2 }\n'
    for kind in (":'body'::json", ":'hex'::bytea"):
        before = events()
        t.tap.same([call(spaced, digest(spaced), kind), call(spaced, digest(BODY), kind), call(spaced, "", kind)],
                   ["t", "IQ006", "IQ006"], f"PostgREST's call with {kind}: taken, refused, refused")
        t.tap.same(events() - before, 1, "one recorded")
    try:
        sql("SET ROLE web_anon; SELECT inqud_receive_webhook('shop', '', '');")
        t.tap.ok(False, "the web role has no right of its own")
    except SqlError as error:
        t.tap.ok("42501" in str(error), "the web role has no right of its own", error)


def has(*command):
    try:
        return subprocess.run(command, capture_output=True, timeout=PATIENCE).returncode == 0
    except OSError:
        return False


TESTS = (test_receiver, test_wsgi, test_node, test_php, test_nginx, test_postgrest)


def main():
    tap, emulator = Tap(), Emulator()
    try:
        sql("""DROP EXTENSION IF EXISTS inqud CASCADE; CREATE EXTENSION inqud; CREATE ROLE inqud_receiver LOGIN;
            CREATE SERVER shop FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-00000000-0000-4000-8000-000000000001', base_url :'url');
            CREATE USER MAPPING FOR inqud_receiver SERVER shop OPTIONS (webhook_secret :'secret');
            CREATE USER MAPPING FOR PUBLIC SERVER shop OPTIONS (webhook_secret :'secret');
            GRANT EXECUTE ON FUNCTION inqud_receive_webhook(text, bytea, text) TO inqud_receiver;""", url=emulator.url, secret=SECRET)
        t = Test(tap, emulator)
        for test in TESTS:
            print("# " + test.__name__[5:], flush=True)
            test(t)
    finally:
        emulator.close()
        sql("DROP EXTENSION inqud CASCADE; DROP SCHEMA IF EXISTS api CASCADE; DROP ROLE IF EXISTS inqud_receiver, web_anon;")
    return tap.close()


if __name__ == "__main__":
    sys.exit(main())
