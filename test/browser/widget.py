#!/usr/bin/python3
"""The payment widget in a real browser: pages made by the database, shown by Chromium, driven by the emulator.

Prints TAP. Needs a running server with the extension installed, reached by psql's own settings, and chromium. Writes
pictures into the folder that INQUD_PICTURES names, else into one that is removed. Tests what a payer sees and what a
hostile order could do; what is escaped how is for the regression test widget.
"""

import os
import secrets
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True

sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools", "run"))

import looks
from chromium import Chromium
from testing import Emulator, SqlError, Tap, sql
from web import Web

PHONE = {"width": 360, "height": 740, "mobile": True}
DESKTOP = {"width": 1280, "height": 900}

# Runs before the page: the shop's function, and notes of what must not happen.
BEFORE = """
window.calls = []; window.violations = []; window.hacked = 0;
window.shop = { onStatus: function (id, status) { window.calls.push([id, status, this === window.shop]); } };
document.addEventListener('securitypolicyviolation', function (e) {
  window.violations.push(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample);
});
window.alert = window.print = function () { window.hacked += 1; };
"""

HOSTILE = [
    "<script>hacked=1</script>", "</title></head><script>hacked=1</script>", "<img src=x onerror=hacked=1>",
    "</h1><svg onload=hacked=1>", "\"><script>hacked=1</script>", "' autofocus onfocus='hacked=1",
    "\" autofocus onfocus=\"hacked=1", "</script><script>hacked=1</script>", "<!--<script>", "-->", "]]><script>hacked=1</script>",
    "&lt;script&gt;hacked=1&lt;/script&gt;", "${hacked=1}", "`;hacked=1;`", "{{constructor.constructor('hacked=1')()}}", "\\u003cscript\\u003ehacked=1",
    "\u2028hacked=1\u2029", "</style><style>*{display:none}</style>", "<iframe srcdoc='<script>parent.hacked=1</script>'>",
    "<base href=//evil.example/>", "<meta http-equiv=refresh content=0;url=//evil.example/>", "+ADw-script+AD4-hacked=1",
]


class Test:
    """What all tests use."""

    def __init__(self, tap, browser, emulator, web, folder):
        self.tap, self.browser, self.emulator, self.web, self.folder = tap, browser, emulator, web, folder
        self.order = 0

    def checkout(self, name="Order", amount="49.90", currency="USD"):
        """A real checkout by way of the API; gives the number of its row."""
        self.order += 1
        return sql("SELECT (inqud_create_checkout('shop', :'order', :'name', :'back', :'amount', :'currency')).id;",
                   order=f"w{self.order}", name=name, back=self.web.url + "/back", amount=amount, currency=currency)

    def render(self, what, row, on_status="shop.onStatus", nonce=None):
        """inqud_widget_page or inqud_widget_html of a row."""
        return sql(f"SELECT inqud_widget_{what}(c, :'f', nullif(:'nonce', '')) FROM inqud.checkout c WHERE id = :row;",
                   f=on_status, nonce=nonce or "", row=row)

    def policy(self, nonce, origin=""):
        """As strict as a policy can be that still lets the widget run; the widget itself talks to its origin."""
        return (f"default-src 'none'; script-src 'nonce-{nonce}' {origin}; style-src 'nonce-{nonce}'; "
                f"connect-src {self.emulator.url}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")

    def show(self, html, policy=None, before=BEFORE, **options):
        tab = self.browser.tab(before=before, **options)
        tab.open(self.web.put(html, policy))
        return tab

    def page(self, row, **options):
        """The page of a row in a tab, under the strict policy."""
        nonce = secrets.token_urlsafe(18)
        return self.show(self.render("page", row, nonce=nonce), self.policy(nonce), **options)

    def picture(self, tab, name):
        tab.picture(os.path.join(self.folder, name + ".png"))

    def quiet(self, tab, what):
        """Nothing was blocked, nothing failed, nothing hostile ran."""
        self.tap.same(tab.value("[window.violations, window.hacked]"), [[], 0], what + ": nothing blocked, nothing hostile ran")
        self.tap.same(tab.complaints(), [], what + ": the console has nothing to say")


def status_is(status):
    return f"document.getElementById('inqud-status').getAttribute('data-status') === '{status}'"


def test_page_is_paid(t):
    row = t.checkout("Two tickets, row 7")
    ident = sql("SELECT checkout_id FROM inqud.checkout WHERE id = :row;", row=row)
    tab = t.page(row, **DESKTOP)
    t.tap.same(tab.value("document.querySelector('app-widget').id"), ident, "the element carries the checkout's id")
    t.tap.ok(tab.wait("window.calls.length === 1"), "the callback hears of the first status")
    t.tap.same(tab.value("document.querySelector('h1').textContent"), "Two tickets, row 7", "the order's name is the heading")
    t.tap.same(tab.value("document.title"), "Two tickets, row 7", "and the title")
    t.picture(tab, "desktop-new")
    t.emulator.control("detect", id=ident)
    t.tap.ok(tab.wait(status_is("PAYMENT_DETECTED")), "the page says that money was seen")
    t.emulator.control("settle", id=ident)
    t.tap.ok(tab.wait(status_is("SUCCESS")), "the page says that the payment has arrived")
    t.tap.ok("has arrived" in tab.value("document.getElementById('inqud-status').textContent"), "in words")
    calls = tab.value("window.calls")
    t.tap.same([calls[0], calls[-1]], [[ident, "NEW", True], [ident, "SUCCESS", True]], "the callback gets id and status, as a method")
    t.picture(tab, "desktop-success")
    t.quiet(tab, "page under a strict policy")
    tab.close()


def test_page_ends_badly(t):
    for status, action, words in (("CONFLICT", {"factor": "0.5"}, "contact the shop"), ("EXPIRED", None, "not send any money")):
        row = t.checkout(f"Order with a bad end: {status}")
        ident = sql("SELECT checkout_id FROM inqud.checkout WHERE id = :row;", row=row)
        tab = t.page(row, **PHONE)
        if action:
            t.emulator.control("settle", id=ident, **action)
        else:
            t.emulator.control("expire", id=ident)
        t.tap.ok(tab.wait(status_is(status)), f"{status} reaches the page")
        t.tap.ok(words in tab.value("document.getElementById('inqud-status').textContent"), f"{status} in words")
        t.tap.same(tab.value("window.calls.pop().slice(0, 2)"), [ident, status], f"{status} reaches the callback")
        t.picture(tab, "phone-" + status.lower())
        t.quiet(tab, status)
        tab.close()


def test_snippet(t):
    """The snippet in a shop's own page, whose function is defined by a script after it."""
    row = t.checkout("Snippet")
    ident = sql("SELECT checkout_id FROM inqud.checkout WHERE id = :row;", row=row)
    nonce = secrets.token_urlsafe(18)
    shop = (f"<!DOCTYPE html><html lang=en><title>Shop</title><body>{t.render('html', row, 'store.told', nonce)}"
            f"<script nonce={nonce}>const store = {{ told: function (id, status) {{ window.calls.push([id, status]); }} }};</script>")
    tab = t.show(shop, t.policy(nonce, t.emulator.url))
    t.tap.ok(tab.wait("window.calls.length === 1"), "snippet: the callback hears of the first status")
    t.emulator.control("settle", id=ident, factor="0.9")
    t.tap.ok(tab.wait("window.calls.length > 1 && window.calls[window.calls.length - 1][1] === 'CONFLICT'"), "snippet: and of CONFLICT")
    t.tap.same(tab.value("document.querySelector('.inqud-widget').getBoundingClientRect().width"), 392, "snippet: the container is 392 px wide")
    t.quiet(tab, "snippet")
    tab.close()
    plain = sql("SELECT inqud_widget_html(c) FROM inqud.checkout c WHERE id = :row;", row=row)
    tab = t.show(f"<!DOCTYPE html><title>Shop</title>{plain}")
    t.tap.ok(tab.wait("document.querySelector('app-widget').textContent.includes('CONFLICT')"), "snippet without callback, nonce and policy: the widget runs")
    t.quiet(tab, "plain snippet")
    tab.close()


def test_hostile_names(t):
    """Without any policy, so that nothing but the escaping protects; then everything at once under one."""
    good = True
    for name in HOSTILE:
        row = t.checkout(name)
        tab = t.show(t.render("page", row))
        shown = tab.value("[document.querySelector('h1').textContent, document.scripts.length,"
                          " document.querySelectorAll('body *').length, window.hacked, location.pathname.length]")
        good &= t.tap.same((shown[0], shown[1], shown[3], shown[4]), (name, 2, 0, 17), "is a mere name: " + ascii(name))
        good &= shown[2] == 13 or not t.tap.same(shown[2], 13, "elements of the page")
        tab.close()
    row = t.checkout("".join(HOSTILE))
    tab = t.page(row, **PHONE)
    t.tap.same(tab.value("document.querySelector('h1').textContent"), "".join(HOSTILE), "all of them together are a mere name")
    t.picture(tab, "phone-hostile")
    t.quiet(tab, "hostile name under a policy")
    tab.close()


def test_hostile_ids(t):
    """An id that the API never gives is refused, and no page is made."""
    for ident in ("CCO-1\"><script>hacked=1</script>", "CCO-1');hacked=1;('", "CCO-</script>", "CAPD-1"):
        try:
            page = sql("SELECT inqud_widget_page(jsonb_populate_record(NULL::inqud.checkout, jsonb_build_object('checkout_id', :'i')));", i=ident)
            t.tap.ok(False, "refused: " + ident, page)
        except SqlError as error:
            t.tap.ok("22023" in str(error), "refused: " + ident, error)


def test_layout(t):
    row = t.checkout("W" * 200)
    for width in (320, 360, 391, 455, 456, 1280):
        tab = t.page(row, width=width, height=740, mobile=width < 500)
        tab.wait("window.calls.length > 0")
        t.tap.same(tab.value(looks.OVERFLOW), [], f"nothing sticks out at {width} px")
        box = tab.value("var r = document.querySelector('.inqud-widget').getBoundingClientRect(); [r.left, r.width]")
        t.tap.same(box[1], min(392, width), f"the widget has {min(392, width)} px of {width}")
        t.tap.ok(abs(box[0] * 2 + box[1] - width) <= 1, f"and stands in the middle at {width} px", box)
        tab.close()
    tab = t.page(t.checkout("Blue bicycle, 28 inch"), **PHONE)
    tab.wait("window.calls.length > 0")
    t.picture(tab, "phone-new")
    tab.value("document.querySelector('app-widget').firstChild.style.width = '392px'")
    t.tap.same(tab.value("[document.documentElement.scrollWidth, document.querySelector('.inqud-widget').scrollWidth > 360]"), [360, True],
               "a widget that insists on 392 px scrolls inside of its container, and the page does not")
    tab.close()


def test_access(t):
    tab = t.page(t.checkout("Order 7"), **PHONE)
    tab.wait("window.calls.length > 0")
    seen = tab.roles()
    roles = [role for role, _, _ in seen]
    t.tap.same((roles.count("main"), roles.count("status")), (1, 1), "one main landmark, one status line")
    t.tap.same([(name, more.get("level")) for role, name, more in seen if role == "heading"], [("Order 7", 1)], "one heading: the order's name")
    t.tap.same([more.get("live") for role, _, more in seen if role == "status"], ["polite"], "the status line is announced politely")
    t.tap.same([name for role, name, _ in seen if role == "link"], ["Back to the shop"], "the links say where they lead")
    t.tap.same(tab.value("[document.documentElement.lang, document.characterSet, document.compatMode]"), ["en", "UTF-8", "CSS1Compat"], "language, encoding, mode")
    for status in ("", "PAYMENT_DETECTED", "SUCCESS", "CONFLICT", "EXPIRED"):
        tab.value(f"document.getElementById('inqud-status').setAttribute('data-status', '{status}')")
        t.tap.same(tab.value(looks.CONTRAST), [], "every text has a contrast of 4.5 to 1" + (" in " + status if status else ""))
    tab.close()


def test_without_scripts(t):
    row = t.checkout("Order for lynx")
    url = sql("SELECT acquiring_url FROM inqud.checkout WHERE id = :row;", row=row)
    tab = t.page(row, before="", scripts=False, **PHONE)
    t.tap.same(tab.value("document.querySelector('noscript a').href"), url, "without scripts: a link to the payment page")
    t.tap.ok(tab.value("document.querySelector('noscript a').getClientRects().length > 0"), "which is to be seen")
    t.tap.same(tab.value(looks.OVERFLOW), [], "nothing sticks out")
    t.picture(tab, "phone-noscript")
    tab.close()


def test_script_lost(t):
    """The widget's script cannot be had: the page offers the payment page."""
    row = t.checkout("Order behind a blocker")
    nonce = secrets.token_urlsafe(18)
    html = t.render("page", row, nonce=nonce).replace("/widget.js", "/no-such-widget.js")
    tab = t.show(html, t.policy(nonce), **PHONE)
    t.tap.ok(tab.wait("!document.getElementById('inqud-fallback').hidden"), "without the widget: the payment page is offered")
    t.tap.same(tab.value("document.querySelector('#inqud-fallback a').href"),
               sql("SELECT acquiring_url FROM inqud.checkout WHERE id = :row;", row=row), "by a link")
    t.picture(tab, "phone-lost")
    tab.close()
    tab = t.page(row, **PHONE)
    tab.wait("window.calls.length > 0")
    t.tap.ok(tab.value("document.getElementById('inqud-fallback').getClientRects().length === 0"), "with the widget it is not offered")
    tab.close()


def test_hosted_page(t):
    """The emulator's stand-in for the hosted page, on which the demo's payers may click."""
    t.emulator.control("settings", own_page=True)
    row = t.checkout("Hosted")
    url = sql("SELECT acquiring_url FROM inqud.checkout WHERE id = :row;", row=row)
    tab = t.browser.tab(before=BEFORE, **PHONE)
    tab.open(url)
    t.tap.ok(tab.wait("document.getElementById('status').textContent === 'NEW'"), "hosted page: shows the status")
    tab.value("document.getElementById('settle').click()")
    t.tap.ok(tab.wait("document.getElementById('status').textContent === 'SUCCESS'"), "hosted page: a click pays")
    t.tap.same(tab.value(looks.OVERFLOW), [], "hosted page: nothing sticks out")
    t.picture(tab, "hosted")
    t.quiet(tab, "hosted page")
    tab.close()
    t.emulator.control("settings", own_page=None)


TESTS = (test_page_is_paid, test_page_ends_badly, test_snippet, test_hostile_names, test_hostile_ids, test_layout,
         test_access, test_without_scripts, test_script_lost, test_hosted_page)


def run(tap, folder):
    emulator, web = Emulator(), Web()
    try:
        sql("""DROP EXTENSION IF EXISTS inqud CASCADE; CREATE EXTENSION inqud;
            CREATE SERVER shop FOREIGN DATA WRAPPER inqud OPTIONS (project_id 'CAP-00000000-0000-4000-8000-000000000001',
                base_url :'url', widget_url :'script', rate_limit '0');
            CREATE USER MAPPING FOR PUBLIC SERVER shop OPTIONS (token_id 'TKN-test', token_secret 'test-token-secret');""",
            url=emulator.url, script=emulator.url + "/widget.js")
        with Chromium() as browser:
            t = Test(tap, browser, emulator, web, folder)
            for test in TESTS:
                print("# " + test.__name__[5:].replace("_", " "), flush=True)
                test(t)
    finally:
        web.close()
        emulator.close()


def main():
    tap = Tap()
    kept = os.environ.get("INQUD_PICTURES")
    folder = kept or tempfile.mkdtemp(prefix="pictures.")
    try:
        run(tap, folder)
    finally:
        if not kept:
            shutil.rmtree(folder)
    return tap.close()


if __name__ == "__main__":
    sys.exit(main())
