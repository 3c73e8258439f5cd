"""The record of requests: the log, the counts and the peaks.

Only records and reports. Must not influence any answer.
"""

import base64
import datetime
import time
from collections import Counter, deque

import exact


class Entry:
    """One request in the log."""
    __slots__ = ("seq", "time", "request", "connection", "status", "fault", "aborted", "done")

    def __init__(self, seq, request):
        self.seq = seq
        self.time = time.time()
        self.request = request
        self.connection = request.connection.number
        self.status = None
        self.fault = None
        self.aborted = False
        self.done = False

    def members(self):
        """The entry as JSON members."""
        request = self.request
        moment = datetime.datetime.fromtimestamp(self.time, datetime.timezone.utc)
        shown = {"seq": self.seq, "time": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                 "epoch": exact.Raw(f"{self.time:.6f}"), "method": request.method, "path": request.target,
                 "headers": [list(pair) for pair in request.header_list]}
        try:
            shown["body"] = request.body.decode("utf-8")
        except UnicodeDecodeError:
            shown["body"] = None
            shown["bodyBase64"] = base64.b64encode(request.body).decode()
        shown.update(status=self.status, connection=self.connection, fault=self.fault,
                     aborted=self.aborted, done=self.done)
        return shown


class Peak:
    """The largest number of events within any one second."""
    __slots__ = ("recent", "most")

    def __init__(self):
        self.recent = deque()
        self.most = 0

    def add(self, moment):
        recent = self.recent
        recent.append(moment)
        while moment - recent[0] >= 1.0:
            recent.popleft()
        if len(recent) > self.most:
            self.most = len(recent)


class Journal:
    """The log and all counters."""

    def __init__(self, limit, path=None):
        self.limit = limit
        self.file = open(path, "a", encoding="utf-8", errors="surrogateescape") if path else None
        self.seq = 0
        self.waiters = []
        self.reset()

    def reset(self):
        """Delete everything except the running number."""
        self.entries = deque(maxlen=self.limit)
        self.posts = Counter()
        self.creates = Counter()
        self.reads = Counter()
        self.statuses = Counter()
        self.peaks = {}
        self.inflight = Counter()
        self.inflight_peaks = Counter()
        self.total = 0

    # --- recording ---

    def arrive(self, request):
        """A request of the payment API came in."""
        self.seq += 1
        self.total += 1
        entry = request.entry = Entry(self.seq, request)
        if self.limit:
            self.entries.append(entry)
        if request.route is not None:
            self._count_arrival(request)
        return entry

    def _count_arrival(self, request):
        project = request.route[1]
        peak = self.peaks.get(project)
        if peak is None:
            peak = self.peaks[project] = Peak()
        peak.add(time.monotonic())
        self.inflight[project] += 1
        if self.inflight[project] > self.inflight_peaks[project]:
            self.inflight_peaks[project] = self.inflight[project]
        if request.route[0] == "checkouts" and request.method == "POST":
            self.posts[(project, order_of(request))] += 1

    def finish(self, entry, status):
        """A request was answered (or left without an answer: status None)."""
        if entry.done:
            return
        entry.done = True
        entry.status = status
        route = entry.request.route
        if route is not None and self.inflight[route[1]] > 0:
            self.inflight[route[1]] -= 1
        self.statuses[str(status)] += 1
        if self.file:
            self.file.write(exact.dumps(entry.members()) + "\n")
            self.file.flush()
        if self.waiters:
            self.wake()

    def count_create(self, project, order):
        self.creates[(project, order)] += 1

    def count_read(self, project, ident):
        self.reads[(project, ident)] += 1

    def wake(self):
        """Wake all callers that wait for news, to check again."""
        waiting, self.waiters = self.waiters, []
        for look in waiting:
            look()

    # --- reporting ---

    def find(self, query):
        """Log entries after a number that match the query parameters given."""
        since = int(query.get("since", 0))
        tests = [lambda entry: entry.seq > since]
        if "path" in query:
            tests.append(lambda entry: query["path"] in entry.request.target)
        if "method" in query:
            tests.append(lambda entry: entry.request.method == query["method"])
        if "body" in query:
            tests.append(lambda entry: query["body"].encode() in entry.request.body)
        if "status" in query:
            tests.append(lambda entry: entry.done and str(entry.status) == query["status"])
        if query.get("done") == "1":
            tests.append(lambda entry: entry.done)
        return [entry for entry in self.entries if all(test(entry) for test in tests)]

    def counts(self, project=None):
        """All counters, of one project or of all."""
        def flat(counter):
            total = Counter()
            for (owner, name), number in counter.items():
                if project in (None, owner):
                    total[name if name is not None else ""] += number
            return dict(total)

        def mine(table, value):
            return {k or "": value(v) for k, v in table.items() if project in (None, k)}

        return {"total": self.total, "posts": flat(self.posts), "creates": flat(self.creates),
                "reads": flat(self.reads), "statuses": dict(self.statuses),
                "peaks": mine(self.peaks, lambda peak: peak.most),
                "inflight": mine(self.inflight, int), "inflightPeaks": mine(self.inflight_peaks, int)}


def order_of(request):
    """The clientOrderId in a request's body, if there is one."""
    try:
        body = request.json()
    except exact.BadJson:
        return None
    order = body.get("clientOrderId") if isinstance(body, dict) else None
    return order if isinstance(order, str) else None
