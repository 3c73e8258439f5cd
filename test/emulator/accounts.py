"""Accounts, projects, tokens and the switches that say how a project answers.

Holds settings only: no checkouts, no HTTP. At the start there are two accounts with three projects.
"""

from dataclasses import dataclass, field
from decimal import Decimal

import exact

PROJECT_STEM = "CAP-00000000-0000-4000-8000-00000000000"

# How replies look and how creates behave; any of them may be set for all projects or for one.
DEFAULT_SWITCHES = {
    "form": "full",          # full | short
    "digits": 9,             # fraction digits of the emulator's own timestamps
    "exponent": False,       # numbers as 1.00E+2
    "extra": None,           # object of unknown members to add, or true for a ready set
    "drop": [],              # members left out
    "null": [],              # members sent as null
    "override": {},          # member -> raw JSON; "request.payAmount" reaches into objects
    "duplicates": "allow",   # allow | return | reject
    "create_status": 200,    # status code of a successful create
    "own_page": False,       # acquiringUrl points at the emulator's page
    "auto_expire": False,    # an overdue checkout becomes EXPIRED when it is next read
    "name_limit": None,      # longest name accepted, in characters
}
_CHOICES = {"form": ("full", "short"), "duplicates": ("allow", "return", "reject")}


@dataclass
class Asset:
    """One payable code."""
    code: str
    symbol: str
    chain: str
    scale: int
    merchant_fixed: Decimal
    min_limit: Decimal
    max_limit: Decimal

    @property
    def step(self):
        return Decimal(1).scaleb(-self.scale)


def default_assets():
    """The payable codes of a project whose settings name none."""
    stable = (5, Decimal("0.1"), Decimal("1"), Decimal("999999"))
    rows = [
        Asset("ETHEREUM_USDT", "USDT", "ETHEREUM", *stable),
        Asset("TRON_USDT", "USDT", "TRON", *stable),
        Asset("SOLANA_USDC", "USDC", "SOLANA", *stable),
        Asset("BITCOIN_BTC", "BTC", "BITCOIN", 8, Decimal("0.00000100"), Decimal("0.00001000"), Decimal("20")),
    ]
    return {row.code: row for row in rows}


def default_rates():
    """symbol -> currency -> price of one unit."""
    stable = {"USD": Decimal("1.0054"), "EUR": Decimal("0.9241")}
    return {"USDT": dict(stable), "USDC": dict(stable),
            "BTC": {"USD": Decimal("64210.5"), "EUR": Decimal("59011.25")}}


@dataclass
class Token:
    """An API token; it belongs to an account and opens all its projects."""
    id: str
    secret: str
    account: str
    revoked: bool = False


@dataclass
class Project:
    """A project (widget) with its money settings and its own switches."""
    id: str
    name: str
    account: str
    active: bool = True
    domain: str = "shop.example"
    assets: dict = field(default_factory=default_assets)
    rates: dict = field(default_factory=default_rates)
    merchant_percent: Decimal = Decimal(5)
    payer_fixed: dict = field(default_factory=dict)
    payer_percent: dict = field(default_factory=dict)
    own_switches: dict = field(default_factory=dict)
    switches: dict = field(default_factory=dict)
    webhooks: dict = field(default_factory=dict)
    memo: dict = field(default_factory=dict)     # rendered pieces, thrown away at every change


def check_switches(changes):
    """Refuse unknown switches and values before anything is changed."""
    for name, value in changes.items():
        if name not in DEFAULT_SWITCHES:
            raise ValueError(f"unknown switch {name}; known: {', '.join(DEFAULT_SWITCHES)}")
        if name in _CHOICES and value not in _CHOICES[name]:
            raise ValueError(f"{name} is one of {', '.join(_CHOICES[name])}")
    if not 0 <= changes.get("digits", 9) <= 9:
        raise ValueError("digits is 0 to 9")
    for spec in changes.get("override", {}).values():
        exact.raw_from(spec)


class Accounts:
    """All projects and tokens of the emulated service."""

    def __init__(self, options):
        self.options = options
        self.reset()

    def reset(self):
        """Restore the two built-in accounts and their three projects."""
        self.projects = {}
        self.tokens = {}
        self.common = {}
        self.balances = {}
        self.version = 0
        first = self.options.project
        self._add_project(first, "demo", "first")
        self._add_project(PROJECT_STEM + "2", "second", "first")
        self._add_project(PROJECT_STEM + "3", "foreign", "other")
        self._add_token(self.options.token_id, self.options.token_secret, "first")
        self._add_token("TKN-other", "other-token-secret", "other")

    def _add_project(self, ident, name, account):
        self.projects[ident] = Project(ident, name, account)
        self.refresh()

    def _add_token(self, ident, secret, account):
        self.tokens[ident] = Token(ident, secret, account)

    def refresh(self):
        """Compute every project's switches again and drop the cache of rendered pieces."""
        self.version += 1
        for project in self.projects.values():
            project.switches = {**DEFAULT_SWITCHES, **self.common, **project.own_switches}
            project.memo = {}

    def set_switches(self, changes, project=None):
        """Set switches for all projects or one; null takes a switch back to its default."""
        check_switches({k: v for k, v in changes.items() if v is not None or k not in DEFAULT_SWITCHES})
        target = self.common if project is None else project.own_switches
        for name, value in changes.items():
            if value is None:
                target.pop(name, None)
            else:
                target[name] = value
        self.refresh()

    def set_project(self, spec):
        """Add a project or change its members."""
        project = self.projects.get(spec["id"])
        if project is None:
            project = Project(spec["id"], spec.get("name", "added"), spec.get("account", "first"))
            self.projects[project.id] = project
        for name in ("name", "account", "active", "domain"):
            if name in spec:
                setattr(project, name, spec[name])
        self._set_money(project, spec)
        self.refresh()
        return project

    @staticmethod
    def _set_money(project, spec):
        for symbol, prices in spec.get("rates", {}).items():
            table = project.rates.setdefault(symbol, {})
            table.update({k: exact.to_decimal(v) for k, v in prices.items()})
        for name in ("payer_fixed", "payer_percent"):
            if name in spec:
                setattr(project, name, {k: exact.to_decimal(v) for k, v in spec[name].items()})
        if "merchant_percent" in spec:
            project.merchant_percent = exact.to_decimal(spec["merchant_percent"])
        if "currencies" in spec:
            known = default_assets()
            project.assets = {code: known[code] for code in spec["currencies"]}

    def set_token(self, spec):
        """Add, rotate or revoke a token."""
        token = self.tokens.get(spec["id"])
        if token is None:
            token = Token(spec["id"], "", spec.get("account", "first"))
            self.tokens[token.id] = token
        for name in ("secret", "account", "revoked"):
            if name in spec:
                setattr(token, name, spec[name])
        return token

    def credit(self, account, symbol, amount):
        """Add a processed payment to an account's balance."""
        held = self.balances.setdefault(account, {})
        held[symbol] = held.get(symbol, Decimal(0)) + amount
