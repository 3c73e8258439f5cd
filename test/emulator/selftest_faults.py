"""Checks of the faults that the emulator injects; run by selftest.py."""

import base64
import email.utils
import json
import time

from selftest_tools import *


# --- faults ---

def test_fault_drops(emu):
    for action, made in (("drop_before", 0), ("drop_after", 1)):
        for how, wanted in (("rst", "ConnectionResetError"), ("fin", "RemoteDisconnected")):
            order = emu.order()
            emu.fault(match={"clientOrderId": order}, action=action, how=how, times=1)
            same(failure(lambda: emu.create(clientOrderId=order)), wanted, f"{action} {how}")
            same(len(emu.get("checkouts?clientOrderId=" + order)), made, f"{action} {how}: {made} made")
            same(emu.create(clientOrderId=order)[0], 200, "only once")
    same([rule["hits"] for rule in emu.get("faults")], [1, 1, 1, 1], "hits are counted")
    emu.clear()
    same(emu.get("faults"), [], "cleared")


def test_fault_hangs(emu):
    ident = emu.create()[1]["id"]
    for phase, first in (("before", b""), ("headers", b""), ("body", b"\r\n\r\n")):
        emu.fault(action="hang", phase=phase, match={"method": "GET"}, times=1)
        line = Line(emu.port)
        since = emu.get("log")[-1]["seq"]
        line.ask("GET", path(P1, ident))
        entry = emu.get(f"log?since={since}&{WAIT}")[0]
        same((entry["fault"], entry["done"]), ("hang", False), f"hang in {phase}")
        got = line.until(first) if first else b""
        line.sock.settimeout(0.05)
        same(line.rest()[1], "silence", "nothing more comes")
        line.sock.settimeout(PATIENCE)
        same(emu.control("release")["released"], 1, "released")
        got += line.until(b'"expiresAt"')
        ok(got.startswith(b"HTTP/1.1 200") and ident.encode() in got, "and then answered")
        line.close()
    emu.fault(action="hang", match={"method": "GET"}, times=1)
    line = Line(emu.port)
    line.ask("GET", path(P1, ident))
    since = emu.get(f"log?{WAIT}")[-1]["seq"]
    line.close()
    ok(wait_until(lambda: emu.get(f"log?since={since - 1}")[0]["aborted"]), "a client that goes away is noted")
    emu.control("release")
    emu.clear()


def test_fault_slow(emu):
    ident = emu.create()[1]["id"]
    for when in ("before", "after"):
        emu.fault(delay=80, when=when, times=1)
        start = time.monotonic()
        same(emu.read(ident)[0], 200, f"delay {when}")
        ok(time.monotonic() - start >= 0.08, "took its time")
    emu.fault(action="drip", interval=1, chunk=64, times=1)
    start = time.monotonic()
    same(emu.read(ident)[1]["id"], ident, "drip arrives whole")
    ok(time.monotonic() - start > 0.02, "and slowly")
    emu.clear()


def test_fault_damage(emu):
    ident = emu.create()[1]["id"]
    emu.fault(action="truncate", times=1)
    same(failure(lambda: emu.read(ident)), "IncompleteRead", "truncate")
    emu.fault(action="truncate", keep=0, times=1)
    same(failure(lambda: emu.read(ident)), "IncompleteRead", "truncate to nothing")
    for chunked in (False, True):
        emu.fault(action="oversize", bytes=5_000_000, chunked=chunked, times=1)
        status, headers, body = emu.call("GET", path(P1, ident))
        same((status, len(body), "Transfer-Encoding" in headers), (200, 5_000_000, chunked), "oversize")
        ok(isinstance(json.loads(body)["id"], str), "well-formed for all its size")
    emu.fault(action="raw", base64=base64.b64encode(b"\x00garbage\xff").decode(), times=1)
    line = Line(emu.port)
    line.ask("GET", path(P1, ident))
    same(line.rest(), (b"\x00garbage\xff", "fin"), "raw bytes")
    line.close()
    emu.fault(action="alter", override={"id": "7"}, drop=["status"], times=1)
    altered = emu.read(ident)[1]
    ok(altered["id"] == 7 and "status" not in altered and emu.read(ident)[1]["id"] == ident, "altered once")
    emu.clear()


def test_fault_status(emu):
    ident = emu.create()[1]["id"]

    def once(**rule):
        emu.fault(action="status", times=1, **rule)
        return emu.call("GET", path(P1, ident))

    for code in (400, 401, 403, 408, 409, 422, 429, 500, 502, 503):
        status, headers, body = once(status=code, body={"code": "X", "message": "m"})
        same((status, headers["Content-Type"], json.loads(body)["code"]), (code, "application/json", "X"),
             f"status {code}")
    for value in (5, -3, "soon", 99999999999):
        same(once(status=429, retry_after=value)[1]["Retry-After"], str(value), f"Retry-After {value}")
    began = time.time()
    stamp = once(status=503, retry_after_date=60)[1]["Retry-After"]
    ok(began + 58 < email.utils.parsedate_to_datetime(stamp).timestamp() < time.time() + 61, "Retry-After as date", stamp)
    status, headers, body = once(status=404, body="<html>lost</html>", content_type="text/html")
    same((status, headers["Content-Type"], body), (404, "text/html", b"<html>lost</html>"), "HTML 404")
    same(once(status=200, body="hello", content_type="text/plain")[2], b"hello", "200 without JSON")
    same(once(status=200, body={"status": "NEW"})[2], b'{"status":"NEW"}', "200 without id")
    same(once(status=302, headers={"Location": "http://127.0.0.1:1/"})[1]["Location"], "http://127.0.0.1:1/",
         "redirect")
    order = emu.order()
    emu.fault(action="status", status=500, process=True, match={"clientOrderId": order}, times=1)
    same(emu.create(clientOrderId=order)[0], 500, "500 after processing")
    same(len(emu.get("checkouts?clientOrderId=" + order)), 1, "and yet made")
    emu.clear()


def test_fault_close_idle(emu):
    ident = emu.create()[1]["id"]
    for when in ("answer", "idle"):
        emu.fault(action="close_idle", when=when, idle=10, times=1)
        line = Line(emu.port)
        line.ask("GET", path(P1, ident))
        data, end = line.rest()
        ok(ident.encode() in data and b"Connection: close" not in data and end == "fin",
           "close after " + when, data[-80:])
        line.close()
    emu.fault(action="close_idle", when="next", how="rst", times=1)
    line = Line(emu.port)
    line.ask("GET", path(P1, ident))
    ok(ident.encode() in line.until(b'"expiresAt"'), "first request is answered")
    line.ask("GET", path(P1, ident))
    same(line.rest(), (b"", "rst"), "the next one on that connection is not")
    line.close()
    emu.clear()


def test_fault_matching(emu):
    order = emu.order()
    ident = emu.create(clientOrderId=order)[1]["id"]
    emu.fault(action="status", status=500, nth=[2, 3], match={"method": "GET", "path": "/checkouts/"})
    same([emu.read(ident)[0] for _ in range(4)], [200, 500, 500, 200], "nth")
    emu.clear()
    emu.fault(action="status", status=500, skip=1, times=1)
    same([emu.read(ident)[0] for _ in range(3)], [200, 500, 200], "skip and times")
    emu.clear()
    for match in ({"clientOrderId": order}, {"checkout": ident}, {"regex": "CCO-[0-9a-f]{8}"}, {"project": P1},
                  {"header": "X-Token-API-Id"}):
        emu.fault(action="status", status=503, match=match)
        same(emu.read(ident)[0], 503, "matched by " + next(iter(match)))
        emu.clear()
    emu.fault(action="status", status=503, match={"body": "needle"})
    same((emu.read(ident)[0], emu.create(name="a needle")[0]), (200, 503), "matched by body")
    emu.clear()
    emu.fault(action="status", status=503, match={"clientOrderId": "another"})
    same(emu.read(ident)[0], 200, "others are left alone")
    emu.clear()
    runs = []
    for _ in range(2):
        emu.fault(action="status", status=500, probability="0.5", seed=7)
        runs.append([emu.read(ident)[0] for _ in range(12)])
        emu.clear()
    ok(runs[0] == runs[1] and 0 < runs[0].count(500) < 12, "probability repeats with its seed", runs)
    emu.fault(delay=30)
    emu.fault(action="status", status=418)
    start = time.monotonic()
    ok(emu.read(ident)[0] == 418 and time.monotonic() - start >= 0.03, "a delay joins the rule after it")
    same(emu.refused("fault", action="explode"), 400, "unknown action is refused")
    same(emu.refused("fault", action="raw", mach={}), 400, "unknown member is refused")
    emu.clear()
