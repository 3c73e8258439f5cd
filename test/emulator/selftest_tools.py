"""What the checks of the emulator share: TAP lines, an emulator process, raw connections.

Holds no check of its own.
"""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from decimal import Decimal

sys.dont_write_bytecode = True

HERE = os.path.dirname(os.path.abspath(__file__))
STEM = "CAP-00000000-0000-4000-8000-00000000000"
P1, P2, P3 = STEM + "1", STEM + "2", STEM + "3"
LOGIN = {"X-Token-API-Id": "TKN-test", "X-Token-API-Secret": "test-token-secret"}
VECTOR_BODY = (b'{"clientOrderId":"order-1001","expiresAt":"2030-01-01T12:00:00Z","fixedAmount":{"amount":100,'
               b'"currency":"USD"},"name":"Order 1001","returnUrl":"https://shop.example/return","type":"FIXED_PRICE"}')
SALT = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
FIXED = {"type": "FIXED_PRICE", "fixedAmount": {"amount": 100, "currency": "USD"}, "name": "Order",
         "returnUrl": "https://shop.example/r", "expiresAt": "2099-01-01T12:00:00Z"}

# Seconds to wait for a condition that must come true; long, for a busy machine.
PATIENCE = int(os.environ.get("PG_TEST_TIMEOUT_DEFAULT") or 180)
WAIT = f"wait={PATIENCE * 1000}"

passed = failed = 0


def ok(good, name, detail=""):
    """One TAP line."""
    global passed, failed
    number = passed + failed + 1
    passed, failed = (passed + 1, failed) if good else (passed, failed + 1)
    print(("ok" if good else "not ok") + f" {number} - {name}", flush=True)
    if not good and detail != "":
        print("# " + str(detail)[:800].replace("\n", "\n# "))


def same(got, wanted, name):
    ok(got == wanted, name, f"got {got!r}\nwanted {wanted!r}")


class Emulator:
    """An emulator process and the calls tests make to it."""

    def __init__(self, *flags):
        command = [sys.executable, HERE + "/emulator.py", "--until-eof", *flags]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        words = self.process.stdout.readline().decode().split()
        self.url, self.control_url = words[1], words[-1]
        self.port = int(self.url.rsplit(":", 1)[1])
        self.control_port = int(self.control_url.rsplit(":", 1)[1])
        self.orders = 0

    def stop(self):
        self.process.stdin.close()
        code = self.process.wait(PATIENCE)
        self.process.stdout.close()
        return code

    def call(self, method, path, body=None, headers=None, port=None, timeout=PATIENCE + 10):
        """(status, headers, body bytes) over a connection of its own."""
        link = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=timeout)
        try:
            if body is not None and not isinstance(body, bytes):
                body = json.dumps(body).encode()
            link.request(method, path, body, LOGIN if headers is None else headers)
            reply = link.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()
        finally:
            link.close()

    def control(self, action, /, **body):
        """A control call that must succeed."""
        status, _, text = self.call("POST", "/_emu/" + action, body, {}, self.control_port)
        assert status == 200, f"{action}: {status} {text}"
        return json.loads(text, parse_float=Decimal)

    def refused(self, action, /, **body):
        """Status of a control call that must fail."""
        return self.call("POST", "/_emu/" + action, body, {}, self.control_port)[0]

    def get(self, report):
        return json.loads(self.call("GET", "/_emu/" + report, None, {}, self.control_port)[2], parse_float=Decimal)

    def fault(self, **rule):
        return self.control("fault", **rule)["number"]

    def clear(self):
        self.call("DELETE", "/_emu/faults", None, {}, self.control_port)

    def order(self):
        self.orders += 1
        return f"order-{self.orders}"

    def create(self, project=P1, body=None, **more):
        """POST a create; (status, JSON or bytes)."""
        whole = {**FIXED, "clientOrderId": self.order(), **more} if body is None else body
        return decoded(self.call("POST", path(project), whole))

    def read(self, ident, project=P1):
        return decoded(self.call("GET", path(project, ident)))


def path(project=P1, ident=None, kind="checkouts"):
    return f"/v1/user/crypto-acquiring/{project}/{kind}" + (f"/{ident}" if ident else "")


def decoded(reply):
    try:
        return reply[0], json.loads(reply[2], parse_float=Decimal)
    except ValueError:
        return reply[0], reply[2]


def failure(call):
    """Name of the exception a call ends with."""
    try:
        call()
    except (OSError, http.client.HTTPException) as trouble:
        return type(trouble).__name__
    return "no failure"


class Line:
    """A raw connection, for what http.client hides."""

    def __init__(self, port, timeout=PATIENCE):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)

    def send(self, data):
        self.sock.sendall(data)

    def ask(self, method, target, body=b""):
        self.send(f"{method} {target} HTTP/1.1\r\nHost: x\r\nX-Token-API-Id: TKN-test\r\nX-Token-API-Secret: "
                  f"test-token-secret\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    def until(self, mark):
        data = b""
        while mark not in data:
            piece = self.sock.recv(65536)
            if not piece:
                break
            data += piece
        return data

    def rest(self):
        """All bytes to the end, and how it ended."""
        data = b""
        try:
            while True:
                piece = self.sock.recv(1 << 20)
                if not piece:
                    return data, "fin"
                data += piece
        except ConnectionResetError:
            return data, "rst"
        except TimeoutError:
            return data, "silence"

    def close(self):
        self.sock.close()


def wait_until(test, limit=PATIENCE):
    """Poll a condition."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if test():
            return True
        time.sleep(0.01)
    return False


def summary():
    """The plan and the closing line; what the process should end with."""
    print(f"1..{passed + failed}")
    print(f"# {passed} passed, {failed} failed")
    return 1 if failed else 0
