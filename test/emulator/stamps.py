"""Timestamps in the API's format: ISO 8601 in UTC with up to nine fraction digits.

Keeps times as whole nanoseconds. Must not know what a time belongs to.
"""

import datetime
import functools
import re
import time

_SHAPE = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)")


def now():
    """Nanoseconds since 1970."""
    return time.time_ns()


@functools.lru_cache(maxsize=64)
def _second(seconds):
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def text(nanoseconds, digits=9):
    """Nanoseconds as ISO text, cut (not rounded) to the digits asked for."""
    if nanoseconds is None:
        return None
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    fraction = "." + f"{rest:09d}"[:digits] if digits else ""
    return _second(seconds) + fraction + "Z"


@functools.lru_cache(maxsize=4096)
def parse(iso):
    """ISO text to nanoseconds, or None when it is no timestamp."""
    found = _SHAPE.fullmatch(iso)
    if not found:
        return None
    day, clock, fraction, zone = found.groups()
    try:
        moment = datetime.datetime.fromisoformat(day + "T" + clock + zone.replace("Z", "+00:00"))
        seconds = int(moment.timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))
