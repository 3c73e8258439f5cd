"""The test-only control routes under /_emu/: move checkouts, set switches and faults, read the log.

Runs only for tests and the demo, without authentication. Turns JSON into calls of the other parts and does no work
itself.
"""

import asyncio

import api
import exact
import replies
import webhooks
from checkouts import WrongStep
from wire import JSON, Reply

_OPEN_TO_PAGES = [("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Headers", "*"),
                  ("Access-Control-Allow-Methods", "GET, POST, DELETE")]


class Missing(Exception):
    """A control call names an object that does not exist."""


def _reply(status, value):
    return Reply(status, exact.encode(exact.dumps(value)), JSON, _OPEN_TO_PAGES)


def _number(spec, name):
    return None if spec.get(name) is None else exact.to_decimal(spec[name])


class Control:
    """All control actions; each takes the body (POST, DELETE) or the query (GET)."""

    def __init__(self, hub):
        self.hub = hub
        self.posts = {name: getattr(self, "_post_" + name) for name in (
            "choose", "detect", "settle", "expire", "force", "correct", "create", "fault", "release", "project",
            "token", "settings", "webhooks", "webhook", "reset")}
        self.gets = {"checkouts": self._checkouts, "requests": self._requests, "counts": self._counts,
                     "faults": lambda query: [rule.members() for rule in self.hub.faults.rules],
                     "projects": self._projects, "info": lambda query: self.hub.info(),
                     "widget-status": self._widget_status}
        self.waits = {"log": self._log, "deliveries": self._deliveries}

    def handle(self, request):
        """Answer one control request: at once, or as soon as its `count` is reached or its `wait` is over."""
        name = request.path[len("/_emu/"):]
        if request.method == "GET" and name in self.waits:
            Wait(self, request, self.waits[name]).look()
            return
        request.connection.answer(self._answer(request, name))

    def _answer(self, request, name):
        if request.method == "OPTIONS":
            return _reply(200, {})
        try:
            return _reply(200, self._act(request, name))
        except Missing as trouble:
            return _reply(404, {"error": str(trouble)})
        except WrongStep as trouble:
            return _reply(409, {"error": str(trouble)})
        except api.Refusal as trouble:
            return _reply(trouble.status, {"error": str(trouble)})
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as trouble:
            return _reply(400, {"error": f"{type(trouble).__name__}: {trouble}"})

    def _act(self, request, name):
        if request.method == "GET" and name in self.gets:
            return self.gets[name](request.query())
        body = request.json() if request.body else {}
        if not isinstance(body, dict):
            raise ValueError("control bodies are JSON objects")
        if request.method == "POST" and name in self.posts:
            return self.posts[name](body)
        if request.method == "DELETE" and name == "faults":
            return self._clear(body)
        raise Missing(f"there is no control action {request.method} {name}")

    # --- finding and showing ---

    def _find(self, spec):
        """The checkout or request with this {id}, or the newest of {project, clientOrderId}."""
        if "id" in spec:
            thing = self.hub.book.find(spec["id"])
        else:
            project = spec.get("project", self.hub.options.project)
            thing = self.hub.book.last_of_order(project, spec["clientOrderId"])
        if thing is None:
            raise Missing("no such checkout or request")
        return thing

    def _show(self, thing):
        plain = replies.checkout_members if thing.kind == "checkout" else (lambda it, _url: replies.request_members(it))
        return plain(thing, self.hub.base_url)

    def _checkouts(self, query):
        tests = {"project": lambda c: c.project.id, "clientOrderId": lambda c: c.client_order_id,
                 "status": lambda c: c.status, "id": lambda c: c.id}
        wanted = [(tests[name], value) for name, value in query.items() if name in tests]
        found = [c for c in self.hub.book.checkouts.values() if all(test(c) == value for test, value in wanted)]
        return [self._show(checkout) for checkout in found]

    def _requests(self, query):
        found = self.hub.book.requests.values()
        return [self._show(r) for r in found if query.get("id") in (None, r.id)]

    def _projects(self, _query):
        return [{"id": p.id, "name": p.name, "account": p.account, "active": p.active, "switches": p.switches,
                 "webhooks": p.webhooks, "currencies": list(p.assets)} for p in self.hub.accounts.projects.values()]

    def _counts(self, query):
        return {**self.hub.journal.counts(query.get("project")), "connections": self.hub.connection_counts()}

    def _widget_status(self, query):
        thing = self._find(query)
        return {"id": thing.id, "status": thing.status, "reason": thing.reason,
                "returnUrl": thing.body.get("returnUrl") if thing.kind == "checkout" else None}

    # --- moving checkouts ---

    def _post_choose(self, spec):
        thing = self._find(spec)
        self.hub.book.choose(thing, spec.get("cryptoCurrency"), _number(spec, "amount"), spec.get("currency", "USD"))
        return self._show(thing)

    def _post_detect(self, spec):
        thing = self._find(spec)
        self.hub.book.detect(thing)
        return self._show(thing)

    def _post_settle(self, spec):
        thing = self._find(spec)
        self.hub.book.settle(thing, _number(spec, "paidAmount"), _number(spec, "factor"))
        return self._show(thing)

    def _post_expire(self, spec):
        thing = self._find(spec)
        self.hub.book.expire(thing)
        return self._show(thing)

    def _post_force(self, spec):
        thing = self._find(spec)
        stamp = exact.Raw(exact.dumps(spec["lastUpdatedAt"])) if "lastUpdatedAt" in spec else None
        self.hub.book.force(thing, spec["status"], spec.get("reason"), spec.get("requestStatus"), stamp,
                            spec.get("quiet", False))
        return self._show(thing)

    def _post_correct(self, spec):
        thing = self._find(spec)
        self.hub.book.correct(thing, spec["status"], spec.get("reason"), _number(spec, "paidAmount"))
        return self._show(thing)

    def _post_create(self, spec):
        """A checkout that was not made through the API: no authentication, no log, same checks."""
        body = dict(spec)
        ident = body.pop("project", self.hub.options.project)
        project = self.hub.accounts.projects.get(ident)
        if project is None:
            raise Missing("no such project")
        return self._show(self.hub.api.create(project, body))

    # --- settings ---

    def _post_project(self, spec):
        changes = spec.get("switches")
        project = self.hub.accounts.set_project(spec)
        if changes:
            self.hub.accounts.set_switches(changes, project)
        return {"id": project.id, "switches": project.switches}

    def _post_token(self, spec):
        token = self.hub.accounts.set_token(spec)
        return {"id": token.id, "account": token.account, "revoked": token.revoked}

    def _post_settings(self, spec):
        """Switches of all projects, or of one when `project` is given."""
        changes = dict(spec)
        ident = changes.pop("project", None)
        project = self._project(ident) if ident is not None else None
        self.hub.accounts.set_switches(changes, project)
        return {**self.hub.accounts.common, **(project.own_switches if project else {})}

    def _project(self, ident):
        project = self.hub.accounts.projects.get(ident)
        if project is None:
            raise Missing("no such project")
        return project

    def _post_reset(self, spec):
        self.hub.reset(spec.get("only"))
        return {}

    # --- faults ---

    def _post_fault(self, spec):
        return self.hub.faults.add(spec).members()

    def _clear(self, spec):
        self.hub.faults.clear(spec.get("number"))
        return {}

    def _post_release(self, _spec):
        return {"released": self.hub.release()}

    # --- webhooks ---

    def _post_webhooks(self, spec):
        settings = dict(spec)
        project = self._project(settings.pop("project", self.hub.options.project))
        webhooks.check_settings(settings)
        merged = {**project.webhooks, **settings}
        project.webhooks = {name: value for name, value in merged.items() if value is not None}
        return project.webhooks

    def _post_webhook(self, spec):
        mode = spec.get("mode", "send")
        if mode == "flush":
            return {"sent": self.hub.sender.flush(spec.get("order", "same"), spec.get("seed", 1))}
        self.hub.sender.provoke(self._find(spec), mode, spec)
        return {}

    # --- reports that a caller may wait for ---

    def _log(self, query):
        return [entry.members() for entry in self.hub.journal.find(query)]

    def _deliveries(self, query):
        tests = [("id", "id"), ("status", "status"), ("eventStatus", "eventStatus")]
        found = [d for d in self.hub.sender.deliveries if d["seq"] > int(query.get("since", 0))]
        for name, member in tests:
            if name in query:
                found = [d for d in found if str(d[member]) == query[name]]
        return [d for d in found if query.get("done") != "1" or d["done"]]


class Wait:
    """A report that is held back until it has `count` rows or `wait` milliseconds have passed."""

    def __init__(self, control, request, report):
        self.control = control
        self.request = request
        self.report = report
        self.query = request.query()
        self.until = None
        self.answered = False

    def look(self, last=False):
        """Answer if there are enough rows, else check again at the next news."""
        if self.answered:
            return
        try:
            rows, wait = self.report(self.query), int(self.query.get("wait", 0))
            enough = len(rows) >= int(self.query.get("count", 1))
        except ValueError as trouble:
            self._answer(_reply(400, {"error": str(trouble)}))
            return
        if last or enough or not wait or self.request.connection.closed:
            self._answer(_reply(200, rows))
            return
        if self.until is None:
            self.until = asyncio.get_running_loop().call_later(wait / 1000, self.look, True)
        self.control.hub.journal.waiters.append(self.look)

    def _answer(self, reply):
        self.answered = True
        if self.until is not None:
            self.until.cancel()
        self.request.connection.answer(reply)
