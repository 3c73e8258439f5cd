"""Creates the parts and connects them: one object that every connection and every control action uses.

Decides only which part handles a request. Must have no rules of its own.
"""

import asyncio

import api
import pages
from accounts import Accounts
from checkouts import CheckoutBook
from control import Control
from course import Course
from faults import FaultBook
from journal import Journal
from webhooks import WebhookSender


class Hub:
    """The emulated service."""

    def __init__(self, options, base_url):
        self.options = options
        self.base_url = base_url
        self.accounts = Accounts(options)
        self.book = CheckoutBook(self.accounts)
        self.journal = Journal(options.log_limit, options.log)
        self.faults = FaultBook(self.book)
        self.api = api.Api(self.accounts, self.book, self.journal, base_url)
        self.sender = WebhookSender(base_url, self.spawn, self.journal.wake)
        self.book.listener = self.sender.changed
        self.control = Control(self)
        self.blackhole = None
        self.held = []
        self.tasks = set()
        self.connections = set()
        self.opened_total = 0

    # --- connections ---

    def opened(self, connection):
        self.connections.add(connection)
        self.opened_total += 1
        return self.opened_total

    def lost(self, connection):
        self.connections.discard(connection)
        request = connection.current
        if request is not None and request.entry is not None and not request.entry.done:
            request.entry.aborted = True
            self.journal.finish(request.entry, None)

    def connection_counts(self):
        return {"opened": self.opened_total, "open": len(self.connections)}

    # --- requests ---

    def handle(self, request):
        """One request has arrived on a connection."""
        path = request.path
        if path.startswith("/_emu/"):
            self.control.handle(request)
            return
        request.route = api.route(path)
        entry = self.journal.arrive(request)
        if self.faults.rules:
            rules = self.faults.pick(request)
            if rules:
                Course(self, request, rules).start()
                return
        reply = None if request.route else pages.page(path)
        reply = reply or self.api.answer(request)
        self.journal.finish(entry, reply.status)
        request.connection.answer(reply)

    # --- the rest ---

    def spawn(self, work):
        """Run a task in the background; a reset cancels it."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def release(self):
        """Release held requests."""
        held, self.held = self.held, []
        for course in held:
            course.release()
        return len(held)

    def reset(self, only=None):
        """Restore the state at the start, of everything or of the named parts."""
        parts = {"faults": self._reset_faults, "log": self.journal.reset, "checkouts": self.book.reset,
                 "projects": self.accounts.reset, "webhooks": self._reset_webhooks}
        for name in only if only is not None else parts:
            parts[name]()

    def _reset_faults(self):
        self.faults.clear()
        held, self.held = self.held, []
        for course in held:
            course.connection.drop("rst")
        for connection in self.connections:
            connection.poison = None

    def _reset_webhooks(self):
        for task in list(self.tasks):
            task.cancel()
        self.sender.reset()

    def info(self):
        """Address, projects, token and extra ports, for control's `GET info`."""
        shown = {"url": self.base_url, "project": self.options.project, "projects": list(self.accounts.projects),
                 "token": self.options.token_id}
        if self.blackhole:
            shown["blackhole"] = self.blackhole.ports()
        return shown
