"""Renders checkouts, requests, options and errors as JSON.

Applies the switches of a project (form, digits, exponents, dropped, null, extra and overridden members). Changes no
state.
"""

import exact
import money
import stamps
from exact import Raw

_MAPS = ("suggestedAmounts", "cryptoCurrencies", "cryptoCurrenciesByBlockchain", "cryptoCurrencyDetails",
         "estimatedPayAmounts", "minLimits", "maxLimits", "merchantFixedPlatformFees",
         "merchantPercentPlatformFees", "payerFixedPlatformFees", "payerPercentPlatformFees")
_EXTRA = {"emuUnknownText": "new in a later version", "emuUnknownNumber": 7, "emuUnknownObject": {"a": [1, None, {}]}}
HOSTED = "https://paycrypto.inqud.com/checkout/"


def error(code, message):
    """The body of a refusal."""
    return exact.encode(exact.dumps({"code": code, "message": message}))


# --- pieces that are the same for every checkout of a project ---

def _static(project):
    """The widget's maps as JSON text, rendered once per change of settings."""
    known = project.memo.get("static")
    if known is None:
        known = {name: Raw(exact.dumps(value, project.switches["exponent"]))
                 for name, value in _static_values(project).items()}
        project.memo["static"] = known
    return known


def _static_values(project):
    assets = project.assets
    chains = {}
    for code, asset in assets.items():
        chains.setdefault(asset.chain, []).append(code)
    return {
        "suggested": {"currency": "USD", "amounts": [10, 25, 50]},
        "codes": list(assets),
        "chains": chains,
        "details": {c: {"currency": a.symbol, "blockchain": a.chain} for c, a in assets.items()},
        "min": {c: a.min_limit for c, a in assets.items()},
        "max": {c: a.max_limit for c, a in assets.items()},
        "merchant_fixed": {c: a.merchant_fixed for c, a in assets.items()},
        "merchant_percent": {c: project.merchant_percent for c in assets},
        "payer_fixed": project.payer_fixed,
        "payer_percent": project.payer_percent,
    }


def _estimates(project, fixed):
    """Estimated pay amounts as JSON text; the same price is computed once."""
    key = (fixed["amount"], fixed["currency"]) if fixed else None
    known = project.memo.get(key)
    if known is None:
        table = money.estimates(project, key[0], key[1]) if key else {}
        known = Raw(exact.dumps(table, project.switches["exponent"]))
        if len(project.memo) < 1000:
            project.memo[key] = known
    return known


# --- objects ---

def checkout_members(checkout, base_url):
    """All members of a checkout in the vendor's order."""
    project, body = checkout.project, checkout.body
    switches, static = project.switches, _static(project)
    digits, kind = switches["digits"], body["type"]
    fixed = body.get("fixedAmount") if kind == "FIXED_PRICE" else None
    raw = checkout.updated_raw
    return {
        "id": checkout.id,
        "projectId": project.id,
        "projectName": project.name,
        "merchantDomain": project.domain,
        "clientOrderId": checkout.client_order_id,
        "status": checkout.status,
        "reason": checkout.reason,
        "name": body.get("name"),
        "type": kind,
        "fixedAmount": {"currency": fixed["currency"], "amount": fixed["amount"]} if fixed else None,
        "suggestedAmounts": static["suggested"] if kind == "SUGGESTED_FIXED_PRICE" else None,
        "cryptoCurrencies": static["codes"],
        "cryptoCurrenciesByBlockchain": static["chains"],
        "cryptoCurrencyDetails": static["details"],
        "estimatedPayAmounts": _estimates(project, fixed),
        "minLimits": static["min"],
        "maxLimits": static["max"],
        "merchantFixedPlatformFees": static["merchant_fixed"],
        "merchantPercentPlatformFees": static["merchant_percent"],
        "payerFixedPlatformFees": static["payer_fixed"],
        "payerPercentPlatformFees": static["payer_percent"],
        "request": request_members(checkout.request) if checkout.request else None,
        "returnUrl": body.get("returnUrl"),
        "acquiringUrl": (base_url + "/checkout/" if switches["own_page"] else HOSTED) + checkout.id,
        "createdAt": stamps.text(checkout.created, digits),
        "lastUpdatedAt": stamps.text(checkout.updated, digits) if raw is None else exact.raw_from(raw),
        "expiresAt": checkout.expires_text,
    }


def _payment(request):
    if request.payment_id is None:
        return None
    return {"id": request.payment_id, "orderId": request.order_id, "clientOrderId": request.client_order_id,
            "externalId": None, "status": request.payment_status, "orderType": "PAYIN", "transactionType": "CRYPTO",
            "method": request.asset.code, "amount": request.paid_amount, "currency": request.asset.symbol,
            "createdAt": stamps.text(request.payment_created, request.project.switches["digits"]), "h2H": False}


def _request_head(request):
    digits = request.project.switches["digits"]
    return {
        "id": request.id,
        "orderId": request.order_id,
        "clientOrderId": request.client_order_id,
        "currency": request.asset.symbol,
        "blockchain": request.asset.chain,
        "status": request.status,
        "reason": request.reason,
        "cryptoAcquiringProjectId": request.project.id,
        "cryptoAcquiringProjectName": request.project.name,
        "checkoutId": request.checkout.id if request.checkout else None,
        "address": request.address,
        "paymentWindowEndsAt": stamps.text(request.window_ends, digits),
        "expiresAt": stamps.text(request.expires, digits),
        "createdAt": stamps.text(request.created, digits),
        "lastUpdatedAt": stamps.text(request.updated, digits),
        "paymentStatus": request.payment_status,
        "paymentId": request.payment_id,
        "payment": _payment(request),
        "txHash": request.tx_hash,
    }


def request_members(request):
    """All members of a request."""
    project, code = request.project, request.asset.code
    free = request.amount is None
    return {
        **_request_head(request),
        "requestAmount": request.amount,
        "requestAmountIn": request.currency,
        "requestAmountConverted": request.converted,
        "convertPair": request.pair,
        "convertRate": request.rate,
        "payAmount": request.pay_amount,
        "payerPlatformFee": request.payer_fee,
        "payerFixedPlatformFee": project.payer_fixed.get(code),
        "payerPercentPlatformFee": project.payer_percent.get(code),
        "merchantPlatformFee": request.merchant_fee,
        "merchantFixedPlatformFee": request.asset.merchant_fixed,
        "merchantPercentPlatformFee": project.merchant_percent,
        "processingAmount": request.processing,
        "paidAmount": request.paid_amount,
        "overpaid": request.overpaid,
        "minLimit": request.asset.min_limit if free else None,
        "maxLimit": request.asset.max_limit if free else None,
    }


def deposit_options(project):
    """Reply of the deposit options route."""
    limits, by_currency = {}, {}
    for code, asset in project.assets.items():
        low, high = asset.min_limit, asset.max_limit
        limits[code] = {"minLimit": low, "maxLimit": high, "convertRate": None, "convertPair": None}
        prices = project.rates.get(asset.symbol, {})
        by_currency[code] = {asset.symbol: dict(limits[code])}
        for currency, rate in prices.items():
            by_currency[code][currency] = {"minLimit": low * rate, "maxLimit": high * rate, "convertRate": rate,
                                           "convertPair": asset.symbol + currency}
    static = _static(project)
    return {"cryptoCurrencies": static["codes"], "limits": limits, "minLimits": static["min"],
            "maxLimits": static["max"], "amountInOptions": by_currency}


# --- switches ---

def _shorten(members):
    return {k: v for k, v in members.items() if v is not None and k not in _MAPS}


def put(members, path, value):
    """Set a member; a dotted path reaches into nested objects that exist."""
    head, _, rest = path.partition(".")
    if not rest:
        members[head] = value
    elif isinstance(members.get(head), dict):
        put(members[head], rest, value)


def take_out(members, path):
    """Leave a member out, dotted as in put()."""
    head, _, rest = path.partition(".")
    if not rest:
        members.pop(head, None)
    elif isinstance(members.get(head), dict):
        take_out(members[head], rest)


def alter(members, rules):
    """Apply extra, drop, null and override to a reply about to be printed."""
    extra = rules.get("extra")
    if extra:
        members.update(_EXTRA if extra is True else extra)
    for path in rules.get("drop") or ():
        take_out(members, path)
    for path in rules.get("null") or ():
        put(members, path, None)
    for path, spec in (rules.get("override") or {}).items():
        put(members, path, exact.raw_from(spec))
    return members


def members_of(thing, base_url):
    """Members of a checkout or request under its project's switches."""
    switches = thing.project.switches
    members = checkout_members(thing, base_url) if thing.kind == "checkout" else request_members(thing)
    if switches["form"] == "short":
        members = _shorten(members)
    return alter(members, switches)


def render(thing, base_url, alterations=None, keep=False):
    """A checkout or request as reply bytes. With `keep` a checkout's text is kept until it changes."""
    if keep and alterations is None and thing.kind == "checkout":
        memo, settings = thing.memo, thing.project.memo
        if memo is None or memo[0] != thing.version or memo[1] is not settings:
            text = exact.dumps(members_of(thing, base_url), thing.project.switches["exponent"])
            thing.memo = memo = (thing.version, settings, exact.encode(text))
        return memo[2]
    members = members_of(thing, base_url)
    if alterations:
        members = alter(members, alterations)
    return exact.encode(exact.dumps(members, thing.project.switches["exponent"]))
