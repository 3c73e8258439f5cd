#!/usr/bin/env python3
"""payer.py URL ACTION [ORDER [MEMBER=VALUE ...]] - a payer at the emulator, for the demo.

Actions are those of the emulator's control routes (choose, detect, settle, expire). Besides: "paid" prints the orders that
are paid, "posts" how many checkouts were asked for, "webhooks ADDRESS SECRET" has webhooks sent, "sent" waits until all of
them are answered and prints how many, and how many with 200; "widget ID" prints the status that the widget shows, "page
NAME" a page. Must never talk to anything but loopback.
"""

import json
import sys
import time
import urllib.request

PATIENCE = 30

# An environment's proxy must not come between the demo and its emulator.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def fetch(url, data=None):
    """The bytes at an address."""
    with _open(urllib.request.Request(url, data), timeout=PATIENCE) as reply:
        return reply.read()


def call(url, action, body=None):
    """The emulator's answer to one control request."""
    return json.loads(fetch(f"{url}/_emu/{action}", None if body is None else json.dumps(body).encode()))


def sent(url):
    """Webhooks sent, and those among them that were answered with 200."""
    end = time.monotonic() + PATIENCE
    while True:
        deliveries = call(url, "deliveries")
        if all(one["done"] for one in deliveries) or time.monotonic() > end:
            return len(deliveries), sum(one["status"] == 200 for one in deliveries)
        time.sleep(0.1)


def main(url, action, *rest):
    """Do what the command line says."""
    if action == "paid":
        orders = [int(checkout["clientOrderId"]) for checkout in call(url, "checkouts?status=SUCCESS")]
        print(*sorted(orders))
    elif action == "posts":
        print(sum(call(url, "counts")["posts"].values()))
    elif action == "webhooks":
        call(url, "webhooks", {"checkout_url": rest[0], "checkout_secret": rest[1]})
    elif action == "sent":
        print(*sent(url))
    elif action == "widget":
        print(call(url, "widget-status?id=" + rest[0])["status"])
    elif action == "page":
        sys.stdout.buffer.write(fetch(f"{url}/{rest[0]}"))
    else:
        order, *members = rest
        print(call(url, action, {"clientOrderId": order, **dict(member.split("=", 1) for member in members)})["status"])


main(*sys.argv[1:])
