"""The routes of the payment API: create and read checkouts and requests, deposit options, balances.

Turns one request into one reply. Must not know sockets, faults or control.
"""

from decimal import Decimal
from urllib.parse import unquote

import auth
import exact
import replies
import stamps
from wire import HTML, JSON, Reply

_TYPES = ("FIXED_PRICE", "NO_PRICE", "SUGGESTED_FIXED_PRICE")
_PREFIX = ["", "v1", "user"]
_LOST = (b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head>"
         b"<body><h1>404</h1><p>There is no such page.</p></body></html>\n")


class Refusal(Exception):
    """An error reply of the API."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code = status, code

    def reply(self):
        return Reply(self.status, replies.error(self.code, str(self)), JSON)


def _invalid(message):
    return Refusal(400, "VALIDATION_ERROR", message)


def _not_found(what):
    return Refusal(404, "NOT_FOUND", what + " not found")


def route(path):
    """(name, project id, object id) of a known path, else None."""
    parts = path.split("/")
    if parts[:3] != _PREFIX:
        return None
    rest = [unquote(part) for part in parts[3:]] if "%" in path else parts[3:]
    if rest == ["wallet", "balances"]:
        return "balances", None, None
    if len(rest) < 3 or rest[0] != "crypto-acquiring" or not all(rest):
        return None
    if len(rest) == 3 and rest[2] in ("checkouts", "requests", "deposit-options"):
        return rest[2], rest[1], None
    if len(rest) == 4 and rest[2] in ("checkouts", "requests"):
        return rest[2][:-1], rest[1], rest[3]
    return None


# --- checks of what a merchant sends ---

def _object(request):
    try:
        body = request.json()
    except exact.BadJson as trouble:
        raise _invalid("body is not JSON: " + str(trouble)[:200]) from None
    if not isinstance(body, dict):
        raise _invalid("body must be a JSON object")
    return body


def _check_text(body, names):
    for name in names:
        if body.get(name) is not None and not isinstance(body[name], str):
            raise _invalid(name + " must be a string")


def _amount(value, name):
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise _invalid(name + " must be a number")
    if value <= 0:
        raise _invalid(name + " must be positive")
    amount = Decimal(value)
    if abs(amount.adjusted()) > 38 or amount.as_tuple().exponent < -38:
        raise _invalid(name + " is out of range")
    return amount


def _check_fixed(body):
    fixed = body.get("fixedAmount")
    if not isinstance(fixed, dict):
        raise _invalid("fixedAmount is required for FIXED_PRICE")
    _amount(fixed.get("amount"), "fixedAmount.amount")
    if not isinstance(fixed.get("currency"), str) or not fixed["currency"]:
        raise _invalid("fixedAmount.currency must be a string")


def _expiry(body):
    sent = body.get("expiresAt")
    if sent is None:
        default = stamps.now() + 3_600_000_000_000
        return default, stamps.text(default, 9)
    expires = stamps.parse(sent)
    if expires is None:
        raise _invalid("expiresAt must be an ISO 8601 timestamp")
    if expires <= stamps.now():
        raise _invalid("expiresAt must be in the future")
    return expires, sent


class Api:
    """Answers the payment API's routes."""

    def __init__(self, accounts, book, journal, base_url):
        self.accounts = accounts
        self.book = book
        self.journal = journal
        self.base_url = base_url
        self._actions = {
            "checkouts": ("POST", self._create), "checkout": ("GET", self._read),
            "requests": ("POST", self._create_request), "request": ("GET", self._read_request),
            "deposit-options": ("GET", self._options), "balances": ("GET", self._balances),
        }

    def answer(self, request, alterations=None):
        """The reply to one request, already counted as processed."""
        where = request.route
        if where is None:
            return Reply(404, _LOST, HTML)
        name, project_id, ident = where
        method, action = self._actions[name]
        try:
            if request.method != method:
                raise Refusal(405, "METHOD_NOT_ALLOWED", f"use {method} here")
            token = self._authenticate(request)
            target = self._project(token, project_id) if project_id is not None else token
            return action(request, target, ident, alterations)
        except Refusal as refusal:
            return refusal.reply()

    def _authenticate(self, request):
        token, trouble = auth.check(self.accounts, request.headers, request.body)
        if token is None:
            raise Refusal(401, "UNAUTHORIZED", trouble)
        return token

    def _project(self, token, ident):
        project = self.accounts.projects.get(ident)
        if project is None:
            raise _not_found("project")
        if project.account != token.account:
            raise Refusal(403, "FORBIDDEN", "project belongs to another account")
        if not project.active:
            raise Refusal(403, "FORBIDDEN", "widget is not active")
        return project

    # --- checkouts ---

    def _create(self, request, project, _ident, alterations):
        body = _object(request)
        return self._made(self.create(project, body), alterations)

    def create(self, project, body):
        """Check a create body and make the checkout, or return the earlier one if `duplicates` says so."""
        if body.get("type") not in _TYPES:
            raise _invalid("type must be one of " + ", ".join(_TYPES))
        _check_text(body, ("clientOrderId", "name", "returnUrl", "expiresAt"))
        if body["type"] == "FIXED_PRICE":
            _check_fixed(body)
        limit = project.switches["name_limit"]
        if limit is not None and len(body.get("name") or "") > limit:
            raise _invalid(f"name must have at most {limit} characters")
        expires, expires_text = _expiry(body)
        return self._duplicate(project, body) or self._new(project, body, expires, expires_text)

    def _duplicate(self, project, body):
        mode, order = project.switches["duplicates"], body.get("clientOrderId")
        known = None if mode == "allow" or order is None else self.book.first_of_order(project, order)
        if known is not None and mode == "reject":
            raise Refusal(409, "DUPLICATE_ORDER", f"clientOrderId {order} is already used")
        return known

    def _new(self, project, body, expires, expires_text):
        checkout = self.book.create(project, body, expires, expires_text)
        self.journal.count_create(project.id, checkout.client_order_id)
        return checkout

    def _made(self, thing, alterations):
        body = replies.render(thing, self.base_url, alterations)
        return Reply(thing.project.switches["create_status"], body, JSON)

    def _read(self, _request, project, ident, alterations):
        checkout = self.book.checkouts.get(ident)
        if checkout is None or checkout.project is not project:
            raise _not_found("checkout")
        self._expire_if_due(checkout)
        self.journal.count_read(project.id, ident)
        return Reply(200, replies.render(checkout, self.base_url, alterations, keep=True), JSON)

    def _expire_if_due(self, checkout):
        if (checkout.project.switches["auto_expire"] and checkout.status in ("NEW", "REQUEST_CREATED")
                and checkout.expires <= stamps.now()):
            self.book.expire(checkout)

    # --- requests for a merchant's own page ---

    def _create_request(self, request, project, _ident, alterations):
        body = _object(request)
        _check_text(body, ("clientOrderId", "amountIn", "cryptoCurrency", "methodKey"))
        asset = project.assets.get(body.get("cryptoCurrency"))
        if asset is None:
            raise _invalid("cryptoCurrency must be one of " + ", ".join(project.assets))
        amount = currency = None
        if body.get("amount") is not None or body.get("amountIn") is not None:
            amount, currency = self._request_price(project, asset, body)
        made = self.book.create_request(project, asset, body.get("clientOrderId"), amount, currency)
        return self._made(made, alterations)

    @staticmethod
    def _request_price(project, asset, body):
        amount, currency = _amount(body.get("amount"), "amount"), body.get("amountIn")
        if currency != asset.symbol and currency not in project.rates.get(asset.symbol, {}):
            raise _invalid("amountIn is not offered for this cryptoCurrency")
        return amount, currency

    def _read_request(self, _request, project, ident, alterations):
        found = self.book.requests.get(ident)
        if found is None or found.project is not project:
            raise _not_found("request")
        self.journal.count_read(project.id, ident)
        return Reply(200, replies.render(found, self.base_url, alterations), JSON)

    # --- the rest ---

    def _options(self, _request, project, _ident, alterations):
        members = replies.alter(replies.deposit_options(project), {**project.switches, **(alterations or {})})
        return Reply(200, exact.encode(exact.dumps(members, project.switches["exponent"])), JSON)

    def _balances(self, _request, token, _ident, _alterations):
        held = self.accounts.balances.get(token.account, {})
        rows = [{"currency": symbol, "balance": amount} for symbol, amount in sorted(held.items())]
        return Reply(200, exact.encode(exact.dumps(rows)), JSON)
