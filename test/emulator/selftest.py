#!/usr/bin/python3
"""Checks the emulator over real sockets and prints TAP.

Starts emulators on free ports, waits on conditions and never on fixed times. Must leave no process behind.
"""

import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.dont_write_bytecode = True

import auth
from selftest_faults import *
from selftest_tools import *


# --- authentication ---

def test_auth(emu):
    same(auth.signature("test-token-secret", VECTOR_BODY, SALT),
         "38fa0f87b2a307dc5405cef7114363142c5b172c56d181152d80ab26b7c3099c", "signature of the vector body")
    same(auth.signature("test-token-secret", b"", SALT),
         "7bfd8a7d62c819601d748249087d1ca70b2391f388b4cd176be44c6e525990a0", "signature without a body")
    same(emu.call("POST", path(), VECTOR_BODY)[0], 200, "simple scheme is accepted")
    signed = {"X-Token-API-Id": "TKN-test", "X-Salt": SALT,
              "X-HMAC-SHA256-Signature": auth.signature("test-token-secret", VECTOR_BODY, SALT)}
    status, _, text = emu.call("POST", path(), VECTOR_BODY, signed)
    same(status, 200, "signed scheme is accepted")
    same(emu.call("POST", path(), VECTOR_BODY + b" ", signed)[0], 401, "signature is over the exact bytes")
    signed["X-HMAC-SHA256-Signature"] = auth.signature("test-token-secret", b"", SALT)
    same(emu.call("GET", path(P1, json.loads(text)["id"]), None, signed)[0], 200, "signed read: the salt alone")
    cases = [("no token", {}), ("unknown token", {**LOGIN, "X-Token-API-Id": "TKN-x"}),
             ("wrong secret", {**LOGIN, "X-Token-API-Secret": "x"}), ("token id alone", {"X-Token-API-Id": "TKN-test"}),
             ("old header name", {"X-Token-API-Id": "TKN-test", "X-Token-Secret": "test-token-secret"}),
             ("signature without salt", {"X-Token-API-Id": "TKN-test", "X-HMAC-SHA256-Signature": "0" * 64})]
    for name, headers in cases:
        status, body = decoded(emu.call("POST", path(), VECTOR_BODY, headers))
        same((status, body["code"]), (401, "UNAUTHORIZED"), name + " is refused")


def test_tokens(emu):
    emu.control("token", id="TKN-test", secret="rotated")
    same(emu.create()[0], 401, "old secret is refused after rotation")
    emu.control("token", id="TKN-test", secret="test-token-secret")
    same(emu.create()[0], 200, "and accepted again after rotating back")
    emu.control("token", id="TKN-test", revoked=True)
    same(emu.create()[0], 401, "revoked token is refused")
    emu.control("token", id="TKN-test", revoked=False)
    emu.control("token", id="TKN-new", secret="s2")
    headers = {"X-Token-API-Id": "TKN-new", "X-Token-API-Secret": "s2"}
    same(emu.call("POST", path(), VECTOR_BODY, headers)[0], 200, "added token works")
    emu.control("project", id="CAP-new", name="added")
    same(emu.create("CAP-new")[1]["projectName"], "added", "added project works")


# --- routes and refusals ---

def test_routes(emu):
    status, headers, body = emu.call("GET", "/v1/user/crypto-acquiring/requests/CAPD-1")
    ok(status == 404 and b"<html>" in body and headers["Content-Type"].startswith("text/html"),
       "unknown route: HTML 404")
    for name, reply, wanted in [
            ("unknown project", emu.create("CAP-none"), (404, "NOT_FOUND")),
            ("unknown checkout", emu.read("CCO-none"), (404, "NOT_FOUND")),
            ("unknown request", decoded(emu.call("GET", path(P1, "CAPD-none", "requests"))), (404, "NOT_FOUND")),
            ("foreign project", emu.create(P3), (403, "FORBIDDEN")),
            ("wrong method", decoded(emu.call("DELETE", path())), (405, "METHOD_NOT_ALLOWED"))]:
        same((reply[0], reply[1]["code"]), wanted, name)
    ident = emu.create()[1]["id"]
    same(emu.read(ident, P2)[0], 404, "a checkout is not found under another project")
    emu.control("project", id=P2, active=False)
    same(emu.create(P2)[0], 403, "inactive widget")
    emu.control("project", id=P2, active=True)


def test_validation(emu):
    price = FIXED["fixedAmount"]
    cases = [("not JSON", b"{"), ("not an object", b"[]"), ("NaN", b'{"type":NaN}'), ("bad UTF-8", b'{"type":"\xff"}'),
             ("too deep", b"[" * 100000), ("no type", {"name": "x"}), ("unknown type", {"type": "OTHER"}),
             ("no fixedAmount", {"type": "FIXED_PRICE"}),
             ("zero amount", {**FIXED, "fixedAmount": {**price, "amount": 0}}),
             ("negative amount", {**FIXED, "fixedAmount": {**price, "amount": -1}}),
             ("amount as text", {**FIXED, "fixedAmount": {**price, "amount": "100"}}),
             ("absurd amount", b'{"type":"FIXED_PRICE","fixedAmount":{"amount":1e200000,"currency":"USD"}}'),
             ("past expiry", {**FIXED, "expiresAt": "2001-01-01T00:00:00Z"}),
             ("bad expiry", {**FIXED, "expiresAt": "soon"}),
             ("order as number", {**FIXED, "clientOrderId": 7})]
    for name, body in cases:
        status, reply = emu.create(body=body)
        same((status, reply.get("code") if isinstance(reply, dict) else reply), (400, "VALIDATION_ERROR"),
             "refused: " + name)
    same(emu.create(body={**FIXED, "type": "NO_PRICE"})[0], 200, "fixedAmount on another type is tolerated")
    emu.control("settings", name_limit=5)
    same((emu.create(name="123456")[0], emu.create(name="12345")[0]), (400, 200), "name limit")
    emu.control("settings", name_limit=None)


# --- objects and numbers ---

def test_object(emu):
    status, made = emu.create(name="Tür \U0001f600", expiresAt="2099-01-01T12:00:00.5+02:00")
    same(status, 200, "create")
    same(made["status"], "NEW", "starts NEW")
    same((made["request"], made["lastUpdatedAt"], made["reason"]), (None, None, None), "nulls at the start")
    same(made["fixedAmount"], {"currency": "USD", "amount": 100}, "amount is a number")
    same(made["name"], "Tür \U0001f600", "name is echoed in UTF-8")
    same(made["expiresAt"], "2099-01-01T12:00:00.5+02:00", "expiresAt is echoed")
    same(made["acquiringUrl"], "https://paycrypto.inqud.com/checkout/" + made["id"], "acquiringUrl")
    same(made["estimatedPayAmounts"]["ETHEREUM_USDT"], Decimal("99.46291"), "estimate")
    ok(len(made["createdAt"]) == 30 and made["createdAt"].endswith("Z"), "nanosecond digits", made["createdAt"])
    same(emu.read(made["id"]), (200, made), "read gives the same object")
    exact = b'{"type":"FIXED_PRICE","fixedAmount":{"amount":1234567890123456789.123456789012345678,"currency":"USD"}}'
    ok(b'"amount":1234567890123456789.123456789012345678}' in emu.call("POST", path(), exact)[2],
       "37 digits stay exact")
    free = emu.create(body={"type": "NO_PRICE"})[1]
    same((free["fixedAmount"], free["estimatedPayAmounts"], free["clientOrderId"]), (None, {}, None), "no price")
    offered = emu.create(body={"type": "SUGGESTED_FIXED_PRICE"})[1]
    same(offered["suggestedAmounts"], {"currency": "USD", "amounts": [10, 25, 50]}, "suggested amounts")


def test_switches(emu):
    ident = emu.create()[1]["id"]
    emu.control("choose", id=ident)

    def text(**switches):
        emu.control("settings", **switches)
        found = emu.call("GET", path(P1, ident))[2]
        emu.control("settings", **{name: None for name in switches})
        return found

    short = json.loads(text(form="short"))
    ok("minLimits" not in short and "reason" not in short and short["request"]["id"], "short form", short)
    for digits, length in ((0, 20), (3, 24), (9, 30)):
        same(len(json.loads(text(digits=digits))["createdAt"]), length, f"{digits} fraction digits")
    ok(b'"amount":1.00E+2' in text(exponent=True), "exponent numbers")
    ok("emuUnknownObject" in json.loads(text(extra=True)), "extra members")
    same(json.loads(text(extra={"x": [1]}))["x"], [1], "own extra members")
    changed = json.loads(text(drop=["name", "request.address"], null=["type", "request.payAmount"]))
    ok("name" not in changed and "address" not in changed["request"], "dropped members")
    same((changed["type"], changed["request"]["payAmount"]), (None, None), "nulled members")
    wild = text(override={"id": "123", "status": '"\\u0000"', "request.payAmount": "1e200000",
                          "reason": {"hex": "22ff22"}, "name": {"nest": 100000}})
    ok(b'"id":123,' in wild and b'"\\u0000"' in wild and b'"payAmount":1e200000' in wild, "raw overrides")
    ok(b'"reason":"\xff"' in wild and b'"name":' + b"[" * 100000 + b"]" * 100000 in wild, "invalid UTF-8, deep nesting")
    ok(json.loads(text(own_page=True))["acquiringUrl"].startswith(emu.url + "/checkout/"), "own page address")
    same(emu.refused("settings", nonsense=1), 400, "unknown switch is refused")
    emu.control("settings", project=P2, form="short")
    ok("minLimits" not in emu.create(P2)[1] and "minLimits" in emu.create(P1)[1], "switch of one project")
    emu.control("settings", project=P2, form=None)
    emu.control("settings", create_status=201)
    same(emu.create()[0], 201, "status code of creates")
    emu.control("settings", create_status=None)


def test_duplicates(emu):
    first = emu.create(clientOrderId="dup")[1]
    same(emu.create(clientOrderId="dup")[1]["id"] == first["id"], False, "allow: another checkout")
    emu.control("settings", project=P1, duplicates="return")
    same(emu.create(clientOrderId="dup"), (200, first), "return: the same object")
    same(emu.create(P2, clientOrderId="dup")[0], 200, "other projects are not meant")
    emu.control("settings", project=P1, duplicates="reject")
    status, body = emu.create(clientOrderId="dup")
    same((status, body["code"]), (409, "DUPLICATE_ORDER"), "reject: 409")
    emu.control("settings", project=P1, duplicates=None)
    counts = emu.get("counts?project=" + P1)
    same((counts["posts"]["dup"], counts["creates"]["dup"]), (4, 2), "posts and creates are counted apart")


# --- the status machine ---

def test_walk(emu):
    order = emu.order()
    ident = emu.create(clientOrderId=order)[1]["id"]
    emu.control("choose", project=P1, clientOrderId=order, cryptoCurrency="TRON_USDT")
    now = emu.read(ident)[1]
    request = now["request"]
    same((now["status"], request["status"], request["checkoutId"]), ("REQUEST_CREATED", "WAITING_PAYMENT", ident),
         "choose")
    wanted = {"requestAmountConverted": "99.46291", "convertRate": "1.0054", "payAmount": "99.46291",
              "merchantPlatformFee": "5.07315", "processingAmount": "94.38976"}
    same({k: str(request[k]) for k in wanted}, wanted, "the vendor's example is reproduced")
    same((request["convertPair"], request["blockchain"], request["paidAmount"]), ("USDTUSD", "TRON", None),
         "request members")
    ok(now["lastUpdatedAt"] > now["createdAt"], "lastUpdatedAt is set")
    emu.control("detect", id=ident)
    seen = emu.read(ident)[1]
    same((seen["status"], seen["request"]["status"], seen["request"]["payment"]["status"]),
         ("PAYMENT_DETECTED", "PENDING_PAYMENT", "PENDING"), "detect")
    ok(seen["lastUpdatedAt"] > now["lastUpdatedAt"] and seen["request"]["txHash"], "newer stamp, transaction")
    emu.control("settle", id=ident)
    done = emu.read(ident)[1]
    same((done["status"], done["request"]["status"], str(done["request"]["paidAmount"]), done["request"]["overpaid"]),
         ("SUCCESS", "SUCCESS", "99.46291", False), "settle")
    same(emu.refused("expire", id=ident), 409, "no expiry after success")
    balance = decoded(emu.call("GET", "/v1/user/wallet/balances"))
    same(balance[0], 200, "balances")
    ok(any(row["currency"] == "USDT" and row["balance"] >= Decimal("94.38976") for row in balance[1]),
       "credited", balance)
    same(decoded(emu.call("GET", path(P1, request["id"], "requests")))[1]["status"], "SUCCESS",
         "linked request is readable")


def settled(emu, **how):
    ident = emu.create()[1]["id"]
    emu.control("settle", id=ident, **how)
    return emu.read(ident)[1]


def test_outcomes(emu):
    under = settled(emu, factor="0.5")
    same((under["status"], under["reason"], under["request"]["reason"]), ("CONFLICT", "UNDERPAID", "UNDERPAID"),
         "underpaid")
    over = settled(emu, factor="1.1")
    same((over["status"], over["request"]["overpaid"]), ("SUCCESS", True), "overpaid")
    same(str(settled(emu, paidAmount="99.46290")["request"]["paidAmount"]), "99.46290", "paid amount as text")
    ident = emu.create()[1]["id"]
    emu.control("expire", id=ident)
    same(emu.read(ident)[1]["status"], "EXPIRED", "expired from NEW")
    emu.control("correct", id=ident, status="CONFLICT", reason="LATE")
    same((emu.read(ident)[1]["status"], emu.read(ident)[1]["reason"]), ("CONFLICT", "LATE"), "corrected")
    ident = emu.create()[1]["id"]
    emu.control("choose", id=ident)
    emu.control("expire", id=ident)
    emu.control("correct", id=ident, status="SUCCESS")
    late = emu.read(ident)[1]
    same((late["status"], str(late["request"]["paidAmount"])), ("SUCCESS", "99.46291"), "late money")
    same(emu.refused("correct", id=ident, status="NEW"), 409, "no correction to a non-final status")
    emu.control("force", id=ident, status="ON_HOLD", reason="COMPLIANCE", lastUpdatedAt="2001-01-01T00:00:00Z")
    forced = emu.read(ident)[1]
    same((forced["status"], forced["reason"], forced["lastUpdatedAt"]), ("ON_HOLD", "COMPLIANCE",
         "2001-01-01T00:00:00Z"), "forced")
    same(emu.refused("detect", id="CCO-none"), 404, "control: unknown id")
    same(emu.refused("detect", clientOrderId="nobody"), 404, "control: unknown order")
    emu.control("settings", auto_expire=True)
    for margin in (0.3, 3, 30):         # what is over when it arrives is refused
        moment = time.time() + margin
        expires = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03d}Z"
        status, made = emu.create(expiresAt=expires)
        if status == 200:
            break
    ok(wait_until(lambda: emu.read(made["id"])[1]["status"] == "EXPIRED"), "auto_expire")
    emu.control("settings", auto_expire=None)


def test_requests(emu):
    body = {"amount": 100, "amountIn": "USD", "clientOrderId": "r-1", "cryptoCurrency": "ETHEREUM_USDT"}
    status, made = decoded(emu.call("POST", path(kind="requests"), body))
    same((status, made["status"], made["checkoutId"], str(made["payAmount"])),
         (200, "WAITING_PAYMENT", None, "99.46291"), "request by API")
    emu.control("detect", id=made["id"])
    emu.control("settle", id=made["id"], factor="0.9")
    read = decoded(emu.call("GET", path(P1, made["id"], "requests")))[1]
    same((read["status"], read["reason"]), ("CONFLICT", "UNDERPAID"), "request settles by itself")
    free = decoded(emu.call("POST", path(kind="requests"), {"cryptoCurrency": "BITCOIN_BTC"}))[1]
    same((free["payAmount"], str(free["minLimit"])), (None, "0.00001000"), "request without price")
    body = {"amount": 5, "amountIn": "USDT", "cryptoCurrency": "TRON_USDT"}
    crypto = decoded(emu.call("POST", path(kind="requests"), body))[1]
    same((crypto["convertPair"], crypto["payAmount"]), (None, 5), "no conversion")
    same(emu.call("POST", path(kind="requests"), {"cryptoCurrency": "X"})[0], 400, "unknown currency")
    options = decoded(emu.call("GET", path(kind="deposit-options")))[1]
    same(str(options["amountInOptions"]["ETHEREUM_USDT"]["USD"]["maxLimit"]), "1005398.9946", "deposit options")


# --- transport ---

def test_transport(emu):
    line = Line(emu.port)
    one = f"GET {path(P1, 'CCO-x')} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    line.send(one * 3)
    data = b""
    while data.count(b"UNAUTHORIZED") < 3:
        data += line.sock.recv(65536)
    same(data.count(b"HTTP/1.1 401"), 3, "pipelined requests are answered in turn")
    for byte in one:
        line.send(bytes([byte]))
    ok(line.until(b"UNAUTHORIZED").startswith(b"HTTP/1.1 401"), "request in single bytes")
    head = f"POST {path()} HTTP/1.1\r\nHost: x\r\nX-Token-API-Id: TKN-test\r\nX-Token-API-Secret: test-token-secret\r\n"
    line.send(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n"
              b'5\r\n{"typ\r\nd;x=1\r\ne":"NO_PRICE"\r\n1\r\n}\r\n0\r\n\r\n')
    ok(line.until(b'"expiresAt"').startswith(b"HTTP/1.1 200"), "chunked request body")
    line.send(head.encode() + f"Content-Length: {len(VECTOR_BODY)}\r\nExpect: 100-continue\r\n\r\n".encode())
    same(line.until(b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n", "100-continue")
    line.send(VECTOR_BODY)
    ok(line.until(b'"expiresAt"').startswith(b"HTTP/1.1 200"), "and the answer")
    line.close()
    line = Line(emu.port)
    line.send(b"nonsense\r\n\r\n")
    data, end = line.rest()
    ok(data.startswith(b"HTTP/1.1 400") and end == "fin", "malformed request: 400 and closed")
    line.close()
    line = Line(emu.port)
    line.send(one.replace(b"Host: x", b"Connection: close"))
    same(line.rest()[1], "fin", "Connection: close is honoured")
    line.close()


def test_log(emu):
    emu.control("reset", only=["log"])
    order = emu.order()
    emu.create(clientOrderId=order)
    entry = emu.get("log?path=/checkouts&method=POST")[0]
    ok(["X-Token-API-Secret", "test-token-secret"] in entry["headers"], "log has the headers")
    same((json.loads(entry["body"])["clientOrderId"], entry["status"], entry["fault"]), (order, 200, None), "log entry")
    same(len(emu.get(f"log?since={entry['seq']}")), 0, "nothing after it")
    ident = emu.get("checkouts?clientOrderId=" + order)[0]["id"]
    for _ in range(3):
        emu.read(ident)
    counts = emu.get("counts")
    same((counts["creates"][order], counts["reads"][ident]), (1, 3), "counts")
    same((counts["peaks"][P1], counts["inflightPeaks"][P1], counts["inflight"][P1]), (4, 1, 0), "peaks")
    results = []
    waiter = threading.Thread(target=lambda: results.append(emu.get(f"log?since={entry['seq']}&count=4&{WAIT}")))
    waiter.start()
    emu.read(ident)
    waiter.join()
    same(len(results[0]), 4, "waiting for the log")
    same(emu.get("log?since=999999&wait=20"), [], "waiting ends empty-handed")
    same(emu.control("create", type="NO_PRICE", clientOrderId="behind")["status"], "NEW",
         "create behind the API's back")
    same(emu.get("counts")["posts"].get("behind"), None, "which is no request")


def test_inflight(emu):
    emu.control("reset", only=["log"])
    ident = emu.create()[1]["id"]
    emu.fault(action="hang", match={"method": "GET"})
    lines = [Line(emu.port) for _ in range(5)]
    for line in lines:
        line.ask("GET", path(P1, ident))
    emu.get(f"log?count=6&{WAIT}")
    same(emu.get("counts")["inflightPeaks"][P1], 5, "requests at the same time")
    emu.clear()
    emu.control("release")
    for line in lines:
        line.until(b'"expiresAt"')
        line.close()


# --- webhooks ---

class Receiver:
    """A webhook receiver that answers what it is told to."""

    def __init__(self):
        self.got, self.codes = [], []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((self.headers.get("X-Payload-Digest"), body))
                self.send_response(outer.codes.pop(0) if outer.codes else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?a=1"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def take(self, number):
        """Wait for a number of posts and forget them."""
        wait_until(lambda: len(self.got) >= number)
        got, self.got = self.got, []
        return [(digest, body, json.loads(body)["status"]) for digest, body in got]


def test_webhooks(emu):
    same(auth.webhook_digest("secret_value", b'{"field":"value"}'), "7e36242a10fd65cbaacd7ff288df9fd3f9e75a46",
         "vendor's digest")
    own = b'{"id":"CCO-11111111-2222-4333-8444-555555555555","clientOrderId":"order-1001","status":"SUCCESS"}'
    same(auth.webhook_digest("test-webhook-secret", own), "39379c5653780f1c6e2a0349563cdae8b66dd6c4", "own digest")
    receiver = Receiver()
    same(emu.refused("webhooks", checkout_url="http://192.0.2.1/"), 400, "loopback only")
    emu.control("webhooks", checkout_url=receiver.url, checkout_secret="s", factor="0.0001")
    ident = emu.create()[1]["id"]
    emu.control("choose", id=ident)
    emu.control("detect", id=ident)
    emu.control("settle", id=ident)
    got = receiver.take(3)
    same([row[2] for row in got], ["REQUEST_CREATED", "PAYMENT_DETECTED", "SUCCESS"], "every transition, in order")
    ok(all(auth.webhook_digest("s", body) == digest for digest, body, _ in got), "digest over the raw body")
    same(emu.call("GET", path(P1, ident))[2], got[2][1], "body is the checkout object")
    receiver.codes[:] = [201, 500]
    ident = emu.create()[1]["id"]
    emu.control("expire", id=ident)
    same(len(receiver.take(3)), 3, "anything but 200 is tried again")
    log = emu.get(f"deliveries?id={ident}&count=3&done=1&{WAIT}")
    same([(d["attempt"], d["status"]) for d in log], [(1, 201), (2, 500), (3, 200)], "delivery log")
    test_webhook_tricks(emu, receiver, ident)
    test_request_webhooks(emu, receiver)
    emu.control("reset", only=["webhooks", "projects"])
    receiver.server.shutdown()
    receiver.server.server_close()


def test_webhook_tricks(emu, receiver, ident):
    emu.control("webhook", id=ident, mode="duplicate", copies=3)
    same(len(receiver.take(3)), 3, "duplicates")
    emu.control("webhook", id=ident, mode="forged")
    same(receiver.take(1)[0][0], "0" * 40, "forged digest")
    emu.control("webhook", id=ident, mode="unsigned")
    same(receiver.take(1)[0][0], None, "no digest")
    emu.control("webhook", id=ident, mode="tampered")
    digest, body, _ = receiver.take(1)[0]
    ok(digest == auth.webhook_digest("s", body[:-1]), "tampered body")
    emu.control("webhooks", hold=True)
    ident = emu.create()[1]["id"]
    emu.control("settle", id=ident)
    same(emu.control("webhook", mode="flush", order="reverse")["sent"], 3, "held and flushed")
    same([row[2] for row in receiver.take(3)], ["SUCCESS", "PAYMENT_DETECTED", "REQUEST_CREATED"], "in disorder")
    emu.control("webhook", id=ident, mode="replay", index=0)
    same(receiver.take(1)[0][2], "REQUEST_CREATED", "replay of an old body")
    emu.control("webhooks", hold=None, suppress=True)
    emu.control("settle", id=emu.create()[1]["id"])
    emu.control("webhooks", suppress=None)
    emu.control("expire", id=emu.create()[1]["id"])
    same([row[2] for row in receiver.take(1)], ["EXPIRED"], "suppressed ones never come")


def test_request_webhooks(emu, receiver):
    emu.control("webhooks", checkout_url=None, request_url=receiver.url, request_secret="r")
    made = decoded(emu.call("POST", path(kind="requests"), {"cryptoCurrency": "TRON_USDT"}))[1]
    emu.control("expire", id=made["id"])
    digest, body, status = receiver.take(1)[0]
    ok(json.loads(body)["id"] == made["id"] and status == "EXPIRED" and digest == auth.webhook_digest("r", body),
       "request webhook")
    emu.control("webhooks", inner_requests=True)
    emu.control("choose", id=emu.create()[1]["id"])
    same(receiver.take(1)[0][2], "WAITING_PAYMENT", "inner requests on demand")


# --- pages, ports, ends ---

def test_pages(emu):
    status, headers, body = emu.call("GET", "/widget.js", None, {})
    ok(status == 200 and b"statusChanged" in body and "javascript" in headers["Content-Type"], "widget script")
    ident = emu.create()[1]["id"]
    status, headers, body = emu.call("GET", "/_emu/widget-status?id=" + ident, None, {})
    same((headers["Access-Control-Allow-Origin"], json.loads(body)["status"]), ("*", "NEW"), "widget status")
    status, headers, body = emu.call("GET", "/checkout/" + ident, None, {})
    ok(status == 200 and b"Underpay" in body, "hosted page")


def test_reset(emu):
    emu.fault(action="status", status=500)
    emu.control("project", id=P1, name="renamed")
    emu.control("reset")
    made = emu.create()
    same((made[0], made[1]["projectName"], len(emu.get("checkouts"))), (200, "demo", 1), "reset")


def test_blackhole():
    emu = Emulator("--listen-blackhole")
    ports = emu.get("info")["blackhole"]
    same(failure(lambda: socket.create_connection(("127.0.0.1", ports["connectHangs"]), 0.2)), "TimeoutError",
         "connect hangs")
    line = Line(ports["answerHangs"], 0.1)
    line.send(b"GET / HTTP/1.1\r\n\r\n")
    same(line.rest(), (b"", "silence"), "accepted, but never a word")
    line.close()
    context = ssl.create_default_context()
    raw = socket.create_connection(("127.0.0.1", ports["answerHangs"]), 0.2)
    same(failure(lambda: context.wrap_socket(raw, server_hostname="localhost")), "TimeoutError", "TLS handshake hangs")
    raw.close()
    same(emu.stop(), 0, "ends at end of input")


def test_tls():
    with tempfile.TemporaryDirectory() as folder:
        cert, key = folder + "/cert.pem", folder + "/key.pem"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                   "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=127.0.0.1",
                   "-addext", "subjectAltName=IP:127.0.0.1"]
        made = subprocess.run(command, capture_output=True, check=False)
        if made.returncode:
            ok(True, "TLS # SKIP openssl could not make a certificate")
            return
        emu = Emulator("--tls-cert", cert, "--tls-key", key)
        context = ssl.create_default_context(cafile=cert)

        def create():
            link = http.client.HTTPSConnection("127.0.0.1", emu.port, context=context, timeout=PATIENCE)
            try:
                link.request("POST", path(), VECTOR_BODY, LOGIN)
                return link.getresponse().status
            finally:
                link.close()

        same(create(), 200, "create over TLS")
        emu.fault(action="drop_after", times=1)
        ok(failure(create) != "no failure", "drop over TLS")
        same(len(emu.get("checkouts")), 2, "control over plain http beside it")
        same(emu.stop(), 0, "TLS emulator ends")


def test_signal():
    command = [sys.executable, HERE + "/emulator.py"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    line = process.stdout.readline()
    ok(line.startswith(b"listening http://127.0.0.1:"), "starts without --until-eof", line)
    process.terminate()
    same((process.wait(PATIENCE), process.stdout.read()), (0, b""), "ends on SIGTERM after one line")
    process.stdout.close()


def test_perl():
    script = r"""
use strict; use warnings; use Inqud::Emulator;
my $emu = Inqud::Emulator->start(blackhole => 1);
my $made = $emu->control('create', { type => 'NO_PRICE', clientOrderId => 'p' });
$emu->control('settle', { id => $made->{id} });
my $rule = $emu->fault({ action => 'status', status => 500 });
$emu->clear_faults;
if (!fork) { exit 0 }
wait;
my $n = @{ $emu->get('checkouts', clientOrderId => 'p', status => 'SUCCESS') };
my $bad = eval { $emu->control('detect', { id => 'none' }); 1 } ? 'lived' : 'died';
print join(' ', $n, $rule, $bad, $emu->port > 0, $emu->get('info')->{blackhole}{answerHangs} > 0, $emu->pid), "\n";
exit 3;
"""
    done = subprocess.run(["perl", "-I", HERE + "/lib", "-e", script], capture_output=True, check=False,
                          env={**os.environ, "http_proxy": "http://127.0.0.1:1"})
    words = done.stdout.decode().split()
    same((words[:5], done.returncode), (["1", "1", "died", "1", "1"], 3), "Perl driver" + done.stderr.decode())
    ok(words and not os.path.exists("/proc/" + words[-1]), "and no process is left")


SHARED = [test_auth, test_tokens, test_routes, test_validation, test_object, test_switches, test_duplicates, test_walk,
          test_outcomes, test_requests, test_fault_drops, test_fault_hangs, test_fault_slow, test_fault_damage,
          test_fault_status, test_fault_close_idle, test_fault_matching, test_transport, test_log, test_inflight,
          test_webhooks, test_pages, test_reset]
ALONE = [test_blackhole, test_tls, test_signal, test_perl]


def guarded(test, *arguments):
    """A test that raises an exception is a failure; the tests after it still run."""
    print("# " + test.__name__)
    try:
        test(*arguments)
    except Exception as trouble:      # whatever it is, the other tests go on
        ok(False, f"{test.__name__} fell over", f"{type(trouble).__name__}: {trouble}")


def main():
    emu = Emulator()
    try:
        for test in SHARED:
            guarded(test, emu)
        same(emu.stop(), 0, "emulator ends at end of input")
    finally:
        emu.process.kill()
    for test in ALONE:
        guarded(test)
    return summary()


if __name__ == "__main__":
    sys.exit(main())
