"""Applies fault rules to one request: delays, drops, hangs and damaged replies on the wire.

Carries out what faults.py chose. Must not decide anything itself, and must leave the emulator's state right: what is
processed stays processed, also when the answer is lost.
"""

import asyncio
import base64
import email.utils
import time

import exact
from wire import JSON, Reply

_BLOCK = 65536


def _body_of(spec):
    if "body_base64" in spec:
        return base64.b64decode(spec["body_base64"])
    body = spec.get("body", "")
    return body.encode("utf-8") if isinstance(body, str) else exact.encode(exact.dumps(body))


def _headers_of(spec):
    headers = spec.get("headers", [])
    pairs = list(headers.items()) if isinstance(headers, dict) else [tuple(pair) for pair in headers]
    if "retry_after" in spec:
        pairs.append(("Retry-After", str(spec["retry_after"])))
    if "retry_after_date" in spec:
        moment = time.time() + spec["retry_after_date"]
        pairs.append(("Retry-After", email.utils.formatdate(moment, usegmt=True)))
    return pairs


def stated_reply(spec):
    """The reply that a `status` rule describes."""
    body = _body_of(spec)
    content_type = spec.get("content_type", JSON)
    return Reply(spec.get("status", 500), body, content_type, _headers_of(spec), spec.get("close", False))


class Course:
    """One request under one or more rules."""

    def __init__(self, hub, request, rules):
        self.hub = hub
        self.request = request
        self.connection = request.connection
        self.spec = next((r.spec for r in rules if r.action not in ("delay", "alter")), {})
        self.action = next((r.action for r in rules if r.action not in ("delay", "alter")), "none")
        self.alterations = self._alterations(rules)
        self.before = self._delay(rules, "before")
        self.after = self._delay(rules, "after")
        self.reply = None
        self.held = None
        request.entry.fault = "+".join(rule.spec.get("name") or rule.action for rule in rules)

    @staticmethod
    def _delay(rules, when):
        return sum(r.spec.get("delay", 0) for r in rules if r.spec.get("when", "after") == when) / 1000

    @staticmethod
    def _alterations(rules):
        found = {"override": {}, "drop": [], "null": [], "extra": None}
        for rule in rules:
            found["override"].update(rule.spec.get("override", {}))
            found["drop"] += rule.spec.get("drop", [])
            found["null"] += rule.spec.get("null", [])
            found["extra"] = rule.spec.get("extra", found["extra"])
        return found if any(found.values()) else None

    def _later(self, delay, step):
        if delay > 0:
            asyncio.get_running_loop().call_later(delay, step)
        else:
            step()

    def _hold(self, step):
        """Wait until control releases the held requests."""
        self.held = step
        self.hub.held.append(self)

    def release(self):
        step, self.held = self.held, None
        if step is not None:
            step()

    # --- the stages ---

    def start(self):
        if self.action == "drop_before":
            self._later(self.before + self.after, self._drop)
        elif self.action == "hang" and self.spec.get("phase") == "before":
            self._hold(self.process)
        else:
            self._later(self.before, self.process)

    def process(self):
        replaces = self.action in ("status", "raw", "oversize")
        if not replaces or self.spec.get("process", False):
            self.reply = self.hub.api.answer(self.request, self.alterations)
        if self.action == "status":
            self.reply = stated_reply(self.spec)
        self._later(self.after, self.deliver)

    def deliver(self):
        if self.connection.closed:
            self._done(None)
            return
        getattr(self, "_deliver_" + self.action, self._deliver_whole)()

    def _done(self, status, close=False):
        self.hub.journal.finish(self.request.entry, status)
        self.connection.end(close)

    def _drop(self):
        self.connection.drop(self.spec.get("how", "rst"))
        self._done(None)

    def _deliver_whole(self):
        self.hub.journal.finish(self.request.entry, self.reply.status)
        self.connection.answer(self.reply)

    def _deliver_drop_after(self):
        self._drop()

    def _deliver_hang(self):
        phase = self.spec.get("phase", "headers")
        if phase == "body":
            self.connection.transport.write(self.reply.head())
            self._hold(self._deliver_rest)
        elif phase == "headers":
            self._hold(self.deliver_released)
        else:
            self._deliver_whole()

    def deliver_released(self):
        if self.connection.closed:
            self._done(None)
        else:
            self._deliver_whole()

    def _deliver_rest(self):
        if not self.connection.closed:
            self.connection.transport.write(self.reply.body)
        self._done(self.reply.status, self.reply.close)

    def _deliver_truncate(self):
        body = self.reply.body
        keep = self.spec.get("keep", len(body) // 2)
        self.connection.transport.write(self.reply.head() + body[:keep])
        self.connection.drop("fin")
        self._done(self.reply.status)

    def _deliver_raw(self):
        data = base64.b64decode(self.spec["base64"]) if "base64" in self.spec else self.spec.get("text", "").encode()
        self.connection.transport.write(data)
        self._done(None, self.spec.get("close", True))

    def _deliver_close_idle(self):
        how, when = self.spec.get("how", "fin"), self.spec.get("when", "answer")
        connection = self.connection
        self._deliver_whole()
        if when == "next":
            connection.poison = how
        elif when == "idle":
            asyncio.get_running_loop().call_later(self.spec.get("idle", 50) / 1000, connection.drop, how)
        else:
            connection.drop("fin")

    def _deliver_drip(self):
        head = self.reply.head()
        if self.spec.get("from", "head") == "body":
            self.connection.transport.write(head)
            head = b""
        self.hub.spawn(self._stream(self._drip(head + self.reply.body)))

    async def _drip(self, data):
        size, pause = self.spec.get("chunk", 1), self.spec.get("interval", 100) / 1000
        for at in range(0, len(data), size):
            if self.connection.closed:
                self._done(None)
                return
            self.connection.transport.write(data[at:at + size])
            await asyncio.sleep(pause)
        self._done(self.reply.status)

    def _deliver_oversize(self):
        total = self.spec.get("bytes", 64 * 1024 * 1024)
        self.hub.spawn(self._stream(self._oversize(total, self.spec.get("chunked", False))))

    async def _stream(self, work):
        """A reply that is sent slowly; a reset of the emulator resets its connection."""
        try:
            await work
        except asyncio.CancelledError:
            self.connection.drop()
            raise

    async def _oversize(self, total, chunked):
        """A well-formed JSON object of that many bytes, never in memory as a whole."""
        status = self.spec.get("status", 200)
        self.connection.transport.write(Reply(status).head(total, chunked))
        start, end = b'{"id":"', b'"}'
        await self._piece(start, chunked)
        left = max(total - len(start) - len(end), 0)
        while left and not self.connection.closed:
            await self._piece(b"x" * min(left, _BLOCK), chunked)
            left -= min(left, _BLOCK)
        await self._piece(end, chunked)
        if chunked and not self.connection.closed:
            self.connection.transport.write(b"0\r\n\r\n")
        self._done(None if left else status)

    async def _piece(self, data, chunked):
        connection = self.connection
        if connection.closed:
            return
        if chunked:
            data = b"%x\r\n%s\r\n" % (len(data), data)
        connection.transport.write(data)
        if connection.writable is not None:
            await connection.writable
