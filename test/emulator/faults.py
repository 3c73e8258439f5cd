"""Fault rules: which request goes wrong, and in which way.

Only chooses; course.py applies the fault to the connection.
"""

import random
import re

import exact
import journal

ACTIONS = ("none", "delay", "drop_before", "drop_after", "hang", "drip", "truncate", "oversize", "status", "raw",
           "close_idle", "alter")
_MATCH = ("method", "path", "regex", "project", "clientOrderId", "checkout", "body", "header")
_LIMITS = ("nth", "skip", "times", "probability", "seed", "name", "match", "action")
_NUMBERS = ("delay", "interval", "chunk", "keep", "bytes", "idle", "status", "times", "skip", "probability", "seed",
            "retry_after_date")
_ARGUMENTS = ("delay", "when", "how", "phase", "interval", "chunk", "from", "keep", "bytes", "chunked", "status",
              "body", "body_base64", "content_type", "headers", "retry_after", "retry_after_date", "process",
              "base64", "text", "close", "idle", "override", "drop", "null", "extra")


class Rule:
    """One rule with its match, its limits and its hits."""

    def __init__(self, number, spec):
        self.number = number
        self.shown = spec
        self.spec = dict(spec)
        for name in _NUMBERS:
            if name in spec:
                self.spec[name] = exact.number(spec[name])
        self.action = spec.get("action", "delay" if "delay" in spec else None)
        self.match = spec.get("match", {})
        self._check()
        nth = spec.get("nth")
        self.nth = None if nth is None else {int(n) for n in (nth if isinstance(nth, list) else [nth])}
        self.regex = re.compile(self.match["regex"]) if "regex" in self.match else None
        self.dice = random.Random(self.spec.get("seed", 1))
        self.probability = self.spec.get("probability")
        self.seen = 0
        self.hits = 0

    def _check(self):
        if self.action not in ACTIONS:
            raise ValueError("action is one of " + ", ".join(ACTIONS))
        for name in self.spec:
            if name not in _LIMITS + _ARGUMENTS:
                raise ValueError("a rule has no member " + name)
        for name in self.match:
            if name not in _MATCH:
                raise ValueError("match is by " + ", ".join(_MATCH))

    def fits(self, request, book):
        """True if the request matches; counts nothing."""
        match = self.match
        if "method" in match and request.method != match["method"]:
            return False
        if "path" in match and match["path"] not in request.target:
            return False
        if self.regex is not None and not self.regex.search(request.target):
            return False
        if "project" in match and (request.route is None or request.route[1] != match["project"]):
            return False
        if "body" in match and match["body"].encode() not in request.body:
            return False
        if "header" in match and match["header"].lower() not in request.headers:
            return False
        return self._fits_object(request, book)

    def _fits_object(self, request, book):
        match = self.match
        if "checkout" in match and (request.route is None or request.route[2] != match["checkout"]):
            return False
        if "clientOrderId" not in match:
            return True
        if request.route is not None and request.route[2] is not None:
            thing = book.find(request.route[2])
            return thing is not None and thing.client_order_id == match["clientOrderId"]
        return journal.order_of(request) == match["clientOrderId"]

    def fires(self):
        """Count a matching request and say whether this one is hit."""
        self.seen += 1
        if self.seen <= self.spec.get("skip", 0):
            return False
        if self.nth is not None and self.seen not in self.nth:
            return False
        if "times" in self.spec and self.hits >= self.spec["times"]:
            return False
        if self.probability is not None and self.dice.random() >= self.probability:
            return False
        self.hits += 1
        return True

    def members(self):
        return {"number": self.number, "rule": self.shown, "seen": self.seen, "hits": self.hits}


class FaultBook:
    """All rules, in order."""

    def __init__(self, book):
        self.book = book
        self.rules = []
        self.last = 0

    def add(self, spec):
        rule = Rule(self.last + 1, spec)
        self.last += 1
        self.rules.append(rule)
        return rule

    def clear(self, number=None):
        """Remove one rule or all."""
        self.rules = [] if number is None else [rule for rule in self.rules if rule.number != number]

    def pick(self, request):
        """Rules that hit a request: delays and alterations, up to the first rule with another action."""
        hit = []
        for rule in self.rules:
            if rule.fits(request, self.book) and rule.fires():
                hit.append(rule)
                if rule.action not in ("delay", "alter"):
                    break
        return hit
