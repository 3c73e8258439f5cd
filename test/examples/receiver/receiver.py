#!/usr/bin/python3
"""Receives Inqud's webhooks over HTTP and hands each to inqud_receive_webhook in PostgreSQL.

Stands behind nginx or any proxy that speaks TLS. Listens on loopback, knows one route, and answers exactly 200 only after
the database has committed; it keeps no state, so it may be stopped, doubled or upgraded at any time. Takes Python 3.9 or
later and psycopg 3 (Debian: python3-psycopg). The database is found as by psql (PGHOST, PGSERVICE, ...) or by --dsn; the
role needs EXECUTE on inqud_receive_webhook and nothing else:

    CREATE ROLE inqud_receiver LOGIN;
    GRANT EXECUTE ON FUNCTION inqud_receive_webhook(text, bytea, text) TO inqud_receiver;

Parameters never stand in the statement, so neither body nor digest gets into the server's log.
"""

import argparse
import http.server
import ipaddress
import os
import queue
import re
import signal
import socket
import sys
import threading
import time

import psycopg

STATEMENT = "SELECT inqud_receive_webhook(%s, %s, %s)"
WRONG_DIGEST = "IQ006"
READ_ONLY = "25006"                 # the server we know has become a standby
DIGEST = re.compile("[0-9A-Fa-f]{40}")


def log(text):
    print(text, file=sys.stderr, flush=True)


class Busy(Exception):
    """All connections are in use for too long."""


class Database:
    """A few connections, opened when needed, kept, and opened anew when they break."""

    def __init__(self, options):
        self.options = options
        self.free = queue.LifoQueue()
        for _ in range(options.connections):
            self.free.put(None)

    def _connect(self, deadline):
        left = max(2, int(deadline - time.monotonic()))         # libpq takes no less
        connection = psycopg.connect(self.options.dsn, autocommit=True, connect_timeout=left,
                                     tcp_user_timeout=int(self.options.timeout * 1000),
                                     fallback_application_name="inqud webhook receiver")
        connection.prepare_threshold = None                     # a pooler may stand between
        connection.execute("SELECT set_config('statement_timeout', %s, false)", (f"{self.options.timeout * 1000:.0f}",))
        return connection

    def receive(self, body, digest):
        """Hand a webhook over; true when it is recorded. Raises Busy or psycopg.Error."""
        deadline = time.monotonic() + self.options.timeout
        try:
            connection = self.free.get(timeout=self.options.timeout)
        except queue.Empty:
            raise Busy from None
        try:
            kept = connection is not None
            try:
                connection = connection or self._connect(deadline)
                return self._call(connection, body, digest)
            except psycopg.Error as error:
                # A kept connection may have died while nobody looked. Repeating is safe, also where it was committed.
                if not kept or not (connection.closed or error.sqlstate == READ_ONLY):
                    raise
                connection.close()
                connection = self._connect(deadline)
                return self._call(connection, body, digest)
        finally:
            if connection is not None and connection.closed:
                connection = None
            self.free.put(connection)

    def _call(self, connection, body, digest):
        return connection.execute(STATEMENT, (self.options.project, body, digest)).fetchone()[0] is True


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection carries one request."""

    protocol_version = "HTTP/1.1"
    server_version = "inqud-receiver"
    sys_version = ""
    timeout = 10                    # for any one read

    def handle_one_request(self):
        super().handle_one_request()
        self.close_connection = True

    def answer(self, status, text, **headers):
        body = (text + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self):
        if self.path.partition("?")[0] != self.server.options.path:
            return self.answer(404, "not found")
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not re.fullmatch("[0-9]{1,18}", length, re.ASCII):
            return self.answer(411, "a length is required")
        if int(length) > self.server.options.max_body:
            return self.answer(413, "too large")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return self.answer(400, "incomplete")
        digests = self.headers.get_all("X-Payload-Digest", [])
        if len(digests) != 1 or not DIGEST.fullmatch(digests[0]):
            return self.answer(403, "no digest")
        return self.answer(*self.receive(body, digests[0]))

    def receive(self, body, digest):
        """Status and text of the answer."""
        try:
            if self.server.database.receive(body, digest):
                return 200, "ok"
            log("inqud_receive_webhook did not return true")
        except psycopg.Error as error:
            if error.sqlstate == WRONG_DIGEST:
                log(f"refused: {error.diag.message_primary}")
                return 403, "wrong digest"
            log(f"failed: {error.sqlstate or 'no connection'}: {error.diag.message_primary or str(error).strip()}")
        except Busy:
            log("failed: all connections are busy")
        return 500, "try again"

    def refuse_method(self):
        self.answer(405, "POST only", Allow="POST")

    do_GET = do_HEAD = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = refuse_method

    def log_message(self, *_):
        pass                        # the proxy keeps the access log


class Server(http.server.ThreadingHTTPServer):
    """At most so many requests at the same time; further ones wait in the system's queue."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, options):
        self.options = options
        self.database = Database(options)
        self.room = threading.BoundedSemaphore(options.threads)
        if ipaddress.ip_address(options.listen).version == 6:
            self.address_family = socket.AF_INET6
        super().__init__((options.listen, options.port), Handler)

    def server_bind(self):
        """Without the look-up of the host's name."""
        http.server.socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def process_request(self, request, client_address):
        self.room.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.room.release()

    def handle_error(self, request, client_address):
        log(f"connection failed: {sys.exc_info()[1]}")

    @property
    def url(self):
        host = f"[{self.server_name}]" if ":" in self.server_name else self.server_name
        return f"http://{host}:{self.server_port}{self.options.path}"


def parse_options(arguments=None):
    parser = argparse.ArgumentParser(description="Receives Inqud's webhooks for PostgreSQL.")
    parser.add_argument("--project", required=True, help="name of the foreign server")
    parser.add_argument("--dsn", default="", help="connection string (default: PGHOST and so on); keep passwords in ~/.pgpass")
    parser.add_argument("--listen", default="127.0.0.1", metavar="ADDRESS")
    parser.add_argument("--port", type=int, default=8009, help="0 = any free one; default 8009")
    parser.add_argument("--path", default="/inqud/webhook")
    parser.add_argument("--max-body", type=int, default=65536, metavar="BYTES")
    parser.add_argument("--connections", type=int, default=4, help="to the database, at most")
    parser.add_argument("--threads", type=int, default=32, help="requests at the same time, at most")
    parser.add_argument("--timeout", type=float, default=3, metavar="SECONDS",
                        help="for a connection and for the statement; Inqud waits 10 s for the answer")
    parser.add_argument("--until-eof", action="store_true", help="stop when standard input ends")
    return parser.parse_args(arguments)


def watch_stdin(stop):
    while os.read(0, 4096):
        pass
    stop()


def main():
    server = Server(parse_options())

    def stop(*_):
        threading.Thread(target=server.shutdown, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    if server.options.until_eof:
        threading.Thread(target=watch_stdin, args=(stop,), daemon=True).start()
    print("listening " + server.url, flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()


if __name__ == "__main__":
    main()
