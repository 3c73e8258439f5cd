#!/usr/bin/env python3
"""payer.py URL ACTION [ORDER [MEMBER=VALUE ...]] - a payer at the emulator, for the demo.

Actions are those of the emulator's control routes (choose, detect, settle, expire); "paid" prints the orders that are
paid, "posts" how many checkouts were asked for. Must never talk to anything but an emulator on loopback.
"""

import json
import sys
import urllib.request

# An environment's proxy must not come between the demo and its emulator.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def call(url, action, body=None):
    """The emulator's answer to one control request."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/_emu/{action}", data)
    with _open(request, timeout=30) as reply:
        return json.load(reply)


def main(url, action, *rest):
    """Do what the command line says."""
    if action == "paid":
        orders = [int(checkout["clientOrderId"]) for checkout in call(url, "checkouts?status=SUCCESS")]
        print(*sorted(orders))
    elif action == "posts":
        print(sum(call(url, "counts")["posts"].values()))
    else:
        order, *members = rest
        print(call(url, action, {"clientOrderId": order, **dict(member.split("=", 1) for member in members)})["status"])


main(*sys.argv[1:])
