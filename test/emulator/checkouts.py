"""Checkouts, their linked requests, and the status machine that moves both.

Knows no HTTP and no JSON. Every change goes through one function, which stamps it and tells the listener.
"""

import uuid
from decimal import Decimal

import money
import stamps

FINAL = ("SUCCESS", "CONFLICT", "EXPIRED")


class WrongStep(Exception):
    """The current status does not allow this step."""


def new_id(prefix):
    return prefix + str(uuid.uuid4())


class Checkout:
    """One invoice. `body` is what the merchant sent; stamps are nanoseconds."""
    __slots__ = ("id", "project", "client_order_id", "body", "status", "reason", "request", "created",
                 "updated", "updated_raw", "expires", "expires_text", "version", "memo")

    kind = "checkout"

    def __init__(self, project, body, expires, expires_text):
        self.id = new_id("CCO-")
        self.project = project
        self.client_order_id = body.get("clientOrderId")
        self.body = body
        self.status = "NEW"
        self.reason = None
        self.request = None
        self.created = stamps.now()
        self.updated = None
        self.updated_raw = None
        self.expires = expires
        self.expires_text = expires_text
        self.version = 0
        self.memo = None


class PayRequest:
    """The demand for one crypto amount, inside a checkout or made for a merchant's own page."""

    kind = "request"

    def __init__(self, project, asset, client_order_id, checkout=None):
        self.id = new_id("CAPD-")
        self.order_id = new_id("ORD-")
        self.project = project
        self.asset = asset
        self.client_order_id = client_order_id
        self.checkout = checkout
        self.status = "WAITING_PAYMENT"
        self.reason = None
        self.address = "0x" + uuid.uuid4().hex + uuid.uuid4().hex[:8]
        self.created = stamps.now()
        self.window_ends = self.created + 600_000_000_000
        self.expires = checkout.expires if checkout else self.created + 3_600_000_000_000
        self.updated = None
        self.payment_id = self.payment_status = self.payment_created = self.tx_hash = None
        self.amount = self.currency = self.converted = self.pair = self.rate = None
        self.pay_amount = self.paid_amount = None
        self.payer_fee = self.merchant_fee = self.processing = None
        self.overpaid = False

    def price(self, amount, currency):
        """Set the amount due; a request without a price has none of these members."""
        self.amount, self.currency = amount, currency
        base, self.pair, self.rate = money.convert(amount, currency, self.asset, self.project.rates)
        self.converted = base if self.pair else None
        self.payer_fee = money.payer_fee(self.project, self.asset, base)
        self.pay_amount = base + self.payer_fee if self.payer_fee else base
        self.take_fees(self.pay_amount)

    def take_fees(self, amount):
        """Compute the merchant's part of an amount."""
        self.merchant_fee = money.merchant_fee(self.project, self.asset, amount)
        self.processing = amount - self.merchant_fee

    @property
    def due(self):
        """The smallest amount that settles it."""
        return self.asset.min_limit if self.pay_amount is None else self.pay_amount


class CheckoutBook:
    """All checkouts and requests, and the steps they may take."""

    def __init__(self, accounts):
        self.accounts = accounts
        self.listener = lambda thing: None
        self.reset()

    def reset(self):
        self.checkouts = {}
        self.requests = {}
        self.by_order = {}

    # --- making and finding ---

    def create(self, project, body, expires, expires_text):
        checkout = Checkout(project, body, expires, expires_text)
        self.checkouts[checkout.id] = checkout
        if checkout.client_order_id is not None:
            self.by_order.setdefault((project.id, checkout.client_order_id), []).append(checkout)
        return checkout

    def first_of_order(self, project, client_order_id):
        known = self.by_order.get((project.id, client_order_id))
        return known[0] if known else None

    def last_of_order(self, project_id, client_order_id):
        known = self.by_order.get((project_id, client_order_id))
        return known[-1] if known else None

    def create_request(self, project, asset, client_order_id, amount=None, currency=None, checkout=None):
        request = PayRequest(project, asset, client_order_id, checkout)
        if amount is not None:
            request.price(amount, currency)
        self.requests[request.id] = request
        return request

    def find(self, ident):
        return self.checkouts.get(ident) or self.requests.get(ident)

    # --- the one function that changes a status ---

    def _touch(self, thing, status, reason=None):
        thing.status = status
        thing.reason = reason
        thing.updated = max(stamps.now(), (thing.updated or thing.created) + 1)
        if thing.kind == "checkout":
            thing.updated_raw = None
            thing.version += 1

    def _move(self, thing, status, request_status, reason=None):
        """Move a request and the checkout it belongs to, then tell the listener once for each."""
        request = thing if thing.kind == "request" else thing.request
        checkout = thing if thing.kind == "checkout" else thing.checkout
        if request is not None and request_status is not None:
            self._touch(request, request_status, reason)
        if checkout is not None:
            self._touch(checkout, status, reason)
            self.listener(checkout)
        if request is not None and request_status is not None:
            self.listener(request)

    # --- steps ---

    def choose(self, checkout, code=None, amount=None, currency=None):
        """The payer picks a currency: NEW -> REQUEST_CREATED."""
        if checkout.kind != "checkout" or checkout.status != "NEW":
            raise WrongStep(f"choose needs a checkout in NEW, this is {checkout.status}")
        assets = checkout.project.assets
        asset = next(iter(assets.values())) if code is None else assets.get(code)
        if asset is None:
            raise WrongStep(f"project does not take {code}")
        fixed = checkout.body.get("fixedAmount")
        if checkout.body["type"] == "FIXED_PRICE":
            amount, currency = Decimal(fixed["amount"]), fixed["currency"]
        elif checkout.body["type"] == "SUGGESTED_FIXED_PRICE" and amount is None:
            amount, currency = Decimal(10), "USD"
        request = self.create_request(checkout.project, asset, checkout.client_order_id, amount, currency, checkout)
        checkout.request = request
        self._touch(checkout, "REQUEST_CREATED")
        self.listener(checkout)
        self.listener(request)

    def detect(self, thing):
        """A transaction is seen: -> PAYMENT_DETECTED."""
        request = self._waiting(thing)
        request.payment_id = new_id("PMT-")
        request.payment_status = "PENDING"
        request.payment_created = stamps.now()
        request.tx_hash = "0x" + uuid.uuid4().hex + uuid.uuid4().hex
        self._move(thing, "PAYMENT_DETECTED", "PENDING_PAYMENT")

    def _waiting(self, thing):
        if thing.kind == "checkout" and thing.status == "NEW":
            self.choose(thing)
        request = thing if thing.kind == "request" else thing.request
        if request is None or request.status != "WAITING_PAYMENT":
            raise WrongStep(f"no request waits for money, {thing.kind} is {thing.status}")
        return request

    def settle(self, thing, paid=None, factor=None):
        """The transaction is processed: -> SUCCESS or CONFLICT. Takes steps that were left out first."""
        request = thing if thing.kind == "request" else thing.request
        if request is None or request.status == "WAITING_PAYMENT":
            self.detect(thing)
            request = thing if thing.kind == "request" else thing.request
        if request.status != "PENDING_PAYMENT":
            raise WrongStep(f"no payment is under way, {thing.kind} is {thing.status}")
        enough = self._pay(request, paid, factor)
        if enough:
            self._move(thing, "SUCCESS", "SUCCESS")
        else:
            self._move(thing, "CONFLICT", "CONFLICT", "UNDERPAID")

    def _pay(self, request, paid, factor):
        due = request.due
        if paid is None:
            paid = due if factor is None else (due * factor).quantize(request.asset.step)
        request.paid_amount = paid
        request.payment_status = "SUCCESS"
        request.overpaid = request.pay_amount is not None and paid > request.pay_amount
        request.take_fees(paid)
        self.accounts.credit(request.project.account, request.asset.symbol, request.processing)
        return paid >= due

    def expire(self, thing):
        """Not paid in time: -> EXPIRED."""
        if thing.status not in ("NEW", "REQUEST_CREATED", "WAITING_PAYMENT"):
            raise WrongStep(f"expire needs an unpaid {thing.kind}, this is {thing.status}")
        self._move(thing, "EXPIRED", "EXPIRED")

    def correct(self, thing, status, reason=None, paid=None):
        """A final status is corrected to another final one, as support may do by hand."""
        if thing.status not in FINAL or status not in FINAL:
            raise WrongStep(f"correct goes from final to final, not {thing.status} to {status}")
        request = thing if thing.kind == "request" else thing.request
        if request is not None and (paid is not None or (status == "SUCCESS" and request.paid_amount is None)):
            self._late_money(request, paid)
        self._move(thing, status, status, reason)

    def _late_money(self, request, paid):
        if request.payment_id is None:
            request.payment_id = new_id("PMT-")
            request.payment_created = stamps.now()
            request.tx_hash = "0x" + uuid.uuid4().hex + uuid.uuid4().hex
        self._pay(request, paid, None)

    def force(self, thing, status, reason=None, request_status=None, stamp=None, quiet=False):
        """Set any status text, valid or not, without checking the step.

        `stamp` is raw JSON text for a checkout's lastUpdatedAt; `quiet` tells the listener nothing.
        """
        self._touch(thing, status, reason)
        if thing.kind == "checkout":
            thing.updated_raw = stamp
            if request_status is not None and thing.request is not None:
                self._touch(thing.request, request_status, reason)
        elif thing.checkout is not None:
            thing.checkout.version += 1
        if not quiet:
            self.listener(thing)
