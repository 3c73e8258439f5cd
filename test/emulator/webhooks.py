"""The webhook sender: one POST for every status change, with digest, retries and faults on demand.

Sends to loopback addresses only. Must not change checkouts; a body is a copy made when the status changed.
"""

import asyncio
import ipaddress
import random
from urllib.parse import urlsplit

import auth
import exact
import replies
import stamps

SCHEDULE_MINUTES = (1, 2, 5, 15, 30, 60, 120, 360, 720, 1440)
_SETTINGS = ("checkout_url", "checkout_secret", "request_url", "request_secret", "factor", "timeout", "retries",
             "suppress", "hold", "copies", "inner_requests")


def check_settings(settings):
    """Refuse unknown members and addresses that are not this machine; numbers may come as text."""
    for name in settings:
        if name not in _SETTINGS:
            raise ValueError("webhook settings are " + ", ".join(_SETTINGS))
    for name in ("factor", "timeout", "retries", "copies"):
        if settings.get(name) is not None:
            settings[name] = exact.to_decimal(settings[name])
    for name in ("checkout_url", "request_url"):
        if settings.get(name):
            parts = urlsplit(settings[name])
            loopback = parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname or "").is_loopback
            if parts.scheme != "http" or not loopback:
                raise ValueError(name + " must be http on a loopback address")


class Event:
    """One copy of a checkout or request, to be delivered."""

    def __init__(self, thing, body):
        self.id = thing.id
        self.kind = thing.kind
        self.status = thing.status
        self.project = thing.project
        self.body = body
        self.sent = False


class WebhookSender:
    """Delivers events and keeps the delivery log."""

    def __init__(self, base_url, spawn, wake):
        self.base_url = base_url
        self.spawn = spawn
        self.wake = wake
        self.seq = 0
        self.reset()

    def reset(self):
        self.deliveries = []
        self.events = {}       # id -> all pictures so far, oldest first
        self.held = []
        self.locks = {}

    # --- events ---

    def changed(self, thing):
        """Listener of the status machine."""
        settings = thing.project.webhooks
        if not settings.get(thing.kind + "_url"):
            return
        if thing.kind == "request" and thing.checkout is not None and not settings.get("inner_requests", False):
            return
        event = self.picture(thing)
        if settings.get("suppress"):
            return
        if settings.get("hold"):
            self.held.append(event)
            return
        for _ in range(int(settings.get("copies", 1))):
            self.spawn(self.deliver(event))

    def picture(self, thing):
        """Render the object as it is now and store it."""
        event = Event(thing, replies.render(thing, self.base_url))
        self.events.setdefault(thing.id, []).append(event)
        return event

    def flush(self, order="same", seed=1):
        """Send held events in the same, the reverse or a shuffled order, one after the other."""
        waiting, self.held = self.held, []
        if order == "reverse":
            waiting.reverse()
        elif order == "shuffle":
            random.Random(seed).shuffle(waiting)
        self.spawn(self._in_turn(waiting))
        return len(waiting)

    async def _in_turn(self, events):
        for event in events:
            await self.attempt(event, 1)

    # --- delivery ---

    async def deliver(self, event, digest=None, body=None):
        """All attempts of one event. First attempts for one object keep their order."""
        settings = event.project.webhooks
        lock = self.locks.setdefault(event.id, asyncio.Lock())
        async with lock:
            good = await self.attempt(event, 1, digest, body)
        factor = settings.get("factor", 1)
        for number in range(min(int(settings.get("retries", 10)), len(SCHEDULE_MINUTES))):
            if good:
                return
            await asyncio.sleep(float(SCHEDULE_MINUTES[number] * 60 * factor))
            good = await self.attempt(event, number + 2, digest, body)

    async def attempt(self, event, number, digest=None, body=None):
        """One POST; true when the answer was exactly 200 in time. An empty digest sends none."""
        settings = event.project.webhooks
        body = event.body if body is None else body
        secret = settings.get(event.kind + "_secret")
        if digest is None and secret:
            digest = auth.webhook_digest(secret, body)
        self.seq += 1
        record = {"seq": self.seq, "id": event.id, "eventStatus": event.status, "attempt": number,
                  "time": stamps.text(stamps.now(), 6), "digest": digest or None,
                  "body": body.decode("utf-8", "replace"), "status": None, "error": None, "done": False}
        self.deliveries.append(record)
        await self._exchange(settings, event, body, digest, record)
        record["done"] = True
        self.wake()
        return record["status"] == 200

    async def _exchange(self, settings, event, body, digest, record):
        try:
            limit = float(settings.get("timeout", 10))
            url = settings[event.kind + "_url"]
            record["status"] = await asyncio.wait_for(post(url, body, digest), limit)
        except (OSError, ValueError, KeyError, EOFError, asyncio.TimeoutError) as trouble:
            record["error"] = f"{type(trouble).__name__}: {trouble}"

    # --- faults on demand ---

    def provoke(self, thing, mode, spec):
        """Send something for one object now: see README for the modes."""
        known = self.events.get(thing.id, [])
        if mode == "replay":
            if not known:
                raise ValueError("there is no earlier event to replay")
            return self._go(known[spec.get("index", 0)])
        event = self.picture(thing)
        if mode == "send":
            return self._go(event)
        if mode == "duplicate":
            return [self._go(event) for _ in range(spec.get("copies", 2))]
        if mode == "forged":
            return self._go(event, digest=spec.get("digest", "0" * 40))
        if mode == "unsigned":
            return self._go(event, digest="")
        if mode == "tampered":
            return self._tampered(event)
        if mode == "body":
            return self._go(event, body=spec["body"].encode("utf-8"))
        raise ValueError("mode is send, duplicate, replay, forged, unsigned, tampered, body or flush")

    def _tampered(self, event):
        secret = event.project.webhooks.get(event.kind + "_secret", "")
        digest = auth.webhook_digest(secret, event.body)
        return self._go(event, digest=digest, body=event.body + b" ")

    def _go(self, event, digest=None, body=None):
        self.spawn(self.attempt(event, 1, digest, body))


async def post(url, body, digest):
    """POST a raw JSON body and give back the status code."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    try:
        target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        lines = [f"POST {target} HTTP/1.1", f"Host: {parts.netloc}", "Content-Type: application/json",
                 f"Content-Length: {len(body)}", "Connection: close"]
        if digest:
            lines.append("X-Payload-Digest: " + digest)
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        first = (await reader.readline()).decode("latin-1").split()
        if len(first) < 2 or not first[0].startswith("HTTP/") or not first[1].isdecimal():
            raise EOFError("no HTTP answer")
        return int(first[1])
    finally:
        writer.close()
