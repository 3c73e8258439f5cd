#!/usr/bin/python3
"""Measures how many requests a second the emulator answers: kept connections, one request at a time on each.

    load.py [--seconds 3] [--connections 16] [--what read|create|signed]

Starts an emulator of its own. The tests must not run it: it judges no figure.
"""

import argparse
import json
import os
import selectors
import socket
import subprocess
import sys
import time
import urllib.request

sys.dont_write_bytecode = True

import auth

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = "CAP-00000000-0000-4000-8000-000000000001"
BASE = f"/v1/user/crypto-acquiring/{PROJECT}/checkouts"
SECRET = "X-Token-API-Secret: test-token-secret\r\n"
BODY = ('{"clientOrderId":"order-%d","expiresAt":"2099-01-01T12:00:00Z","fixedAmount":{"amount":100,"currency":"USD"},'
        '"name":"Order","returnUrl":"https://shop.example/return","type":"FIXED_PRICE"}')


def message(method, path, body, login):
    """A whole request as libcurl would send it."""
    head = (f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n"
            f"X-Token-API-Id: TKN-test\r\n{login}")
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return (head + "\r\n").encode() + body


def messages(what, ident):
    """Endless requests of one kind."""
    number, fixed = 0, message("GET", f"{BASE}/{ident}", b"", SECRET)
    while True:
        number += 1
        if what == "read":
            yield fixed
            continue
        body, login = (BODY % number).encode(), SECRET
        if what == "signed":
            login = f"X-Salt: {number:064d}\r\nX-HMAC-SHA256-Signature: "
            login += auth.signature("test-token-secret", body, f"{number:064d}") + "\r\n"
        yield message("POST", BASE, body, login)


def complete(buffer):
    """Is a whole reply in the buffer?"""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return False
    at = buffer.find(b"Content-Length: ") + 16
    return len(buffer) >= end + 4 + int(buffer[at:buffer.find(b"\r", at)])


def run(port, source, connections, seconds):
    """Requests answered per second."""
    chooser, buffers, done = selectors.DefaultSelector(), {}, 0
    for _ in range(connections):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        chooser.register(sock, selectors.EVENT_READ)
        buffers[sock] = b""
        sock.sendall(next(source))
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        for key, _ in chooser.select(1):
            sock = key.fileobj
            data = buffers[sock] + sock.recv(65536)
            if not complete(data):
                buffers[sock] = data
                continue
            if not data.startswith(b"HTTP/1.1 200"):
                sys.exit("unexpected reply: " + data[:200].decode())
            buffers[sock] = b""
            done += 1
            sock.sendall(next(source))
    return done / (time.monotonic() - start)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--what", choices=("read", "create", "signed"), default="read")
    options = parser.parse_args()
    emulator = subprocess.Popen([sys.executable, HERE + "/emulator.py", "--until-eof"],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    url = emulator.stdout.readline().split()[1].decode()
    body = json.dumps({"type": "NO_PRICE"}).encode()
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    ident = json.load(direct.open(url + "/_emu/create", body))["id"]
    before = time.monotonic()
    rate = run(int(url.rsplit(":", 1)[1]), messages(options.what, ident), options.connections, options.seconds)
    with open(f"/proc/{emulator.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().split()
    busy = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - before)
    print(f"{options.what}: {rate:.0f} requests/s, emulator used {busy:.2f} of one core")
    emulator.stdin.close()
    emulator.wait()


if __name__ == "__main__":
    main()
