#!/usr/bin/python3
"""The payment widget in a real browser: pages made by the database, shown by Chromium, driven by the emulator.

Prints TAP. Needs a running server with the extension installed, reached by psql's own settings, and chromium. Writes
pictures into the folder that INQUD_PICTURES names, else into one that is removed. Tests what a payer sees and what a
hostile order could do; what is escaped how is for the regression test widget.
"""

import json
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


# Is the form in the page, and is it to be seen?
FORM = """(function () {
  var form = document.querySelector('.inqud-widget');
  return [!!form, !!form && form.getClientRects().length > 0];
})()"""

# Rows of checkouts that are over, or not there yet, and a word of what the page says.
ENDS = {
    "paid": ({"state": "closed", "status": "SUCCESS"}, "has arrived"),
    "anomaly": ({"state": "closed", "status": "EXPIRED", "paid_at": "2020-01-01"}, "is checking something"),
    "expired": ({"state": "closed", "status": "EXPIRED"}, "not send any money"),
    "conflict": ({"state": "closed", "status": "CONFLICT"}, "contact the shop"),
    "canceled": ({"canceled_at": "2020-01-01", "current": False}, "was canceled"),
    "replaced": ({"current": False}, "not used any more"),
    "failed": ({"state": "failed", "status": None, "checkout_id": None, "acquiring_url": None}, "contact the shop"),
    "overdue": ({"created_at": "2020-01-01", "expires_at": "2020-01-02"}, "time for this payment is over"),
}

GERMAN = {
    "lang": "de", "order": "Bestellung {order_id}", "payment": "Zahlung",
    "queued": "Ihre Zahlung wird vorbereitet. Diese Seite sieht alle paar Sekunden nach.",
    "waiting": "Wir warten auf Ihre Zahlung.", "detected": "Ihre Zahlung wurde gesehen und wird best\u00e4tigt.",
    "paid": "Ihre Zahlung ist angekommen. Vielen Dank!", "anomaly": "Ihre Zahlung ist angekommen. Der Shop pr\u00fcft noch etwas.",
    "conflict": "Etwas an Ihrer Zahlung passt nicht, vielleicht der Betrag. Bitte wenden Sie sich an den Shop.",
    "expired": "Die Zeit f\u00fcr diese Zahlung ist abgelaufen. Bitte senden Sie jetzt kein Geld.",
    "canceled": "Diese Zahlung wurde storniert. Bitte senden Sie kein Geld.",
    "replaced": "Diese Seite gilt nicht mehr. Bitte senden Sie hier kein Geld.",
    "failed": "Diese Zahlung konnte nicht vorbereitet werden. Bitte wenden Sie sich an den Shop.",
    "closed": "Diese Zahlung ist beendet. Bitte senden Sie kein Geld.", "valid_until": "G\u00fcltig bis {time}",
    "pay_link": "Auf der Zahlungsseite bezahlen", "no_script": "Zum Bezahlen ist JavaScript n\u00f6tig, das ausgeschaltet ist.",
    "no_form": "Das Zahlungsformular konnte nicht geladen werden.", "look_again": "Noch einmal nachsehen", "back": "Zur\u00fcck zum Shop",
}


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

    def render(self, what, row, on_status="shop.onStatus", nonce=None, has=None, texts=None):
        """inqud_widget_page or inqud_widget_html of a row, with these members changed."""
        return sql(f"SELECT inqud_widget_{what}(jsonb_populate_record(c, :'has'), :'f', nullif(:'nonce', ''), nullif(:'texts', '')::jsonb)"
                   " FROM inqud.checkout c WHERE id = :row;",
                   f=on_status, nonce=nonce or "", row=row, has=json.dumps(has or {}), texts=json.dumps(texts) if texts else "")

    def policy(self, nonce, origin=""):
        """As strict as a policy can be that still lets the widget run; the widget itself talks to its origin."""
        return (f"default-src 'none'; script-src 'nonce-{nonce}' {origin}; style-src 'nonce-{nonce}'; "
                f"connect-src {self.emulator.url}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")

    def show(self, html, policy=None, before=BEFORE, scheme="light", media="screen", zone="UTC", **options):
        tab = self.browser.tab(before=before, **options)
        tab.send("Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}])
        tab.send("Emulation.setTimezoneOverride", timezoneId=zone)
        tab.open(self.web.put(html, policy))
        return tab

    def page(self, row, has=None, texts=None, **options):
        """The page of a row in a tab, under the strict policy."""
        nonce = secrets.token_urlsafe(18)
        return self.show(self.render("page", row, nonce=nonce, has=has, texts=texts), self.policy(nonce), **options)

    def picture(self, tab, name):
        tab.picture(os.path.join(self.folder, name + ".png"))

    def quiet(self, tab, what):
        """Nothing was blocked, nothing failed, nothing hostile ran."""
        self.tap.same(tab.value("[window.violations, window.hacked]"), [[], 0], what + ": nothing blocked, nothing hostile ran")
        self.tap.same(tab.complaints(), [], what + ": the console has nothing to say")


def one_line(name):
    """A name as it is recorded: white space of any kind is one blank."""
    return " ".join(name.split())


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
    t.tap.same(tab.value(FORM), [True, False], "and takes the form away")
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
        t.tap.same(tab.value(FORM), [True, False], f"{status} takes the form away")
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
        good &= t.tap.same((shown[0], shown[1], shown[3], shown[4]), (one_line(name), 2, 0, 17), "is a mere name: " + ascii(name))
        good &= shown[2] == 23 or not t.tap.same(shown[2], 23, "elements of the page")
        tab.close()
    row = t.checkout("".join(HOSTILE))
    tab = t.page(row, **PHONE)
    t.tap.same(tab.value("document.querySelector('h1').textContent"), one_line("".join(HOSTILE)), "all of them together are a mere name")
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


def test_over(t):
    """A checkout that is over, or not at Inqud yet: how it stands, and no form; light, dark, narrow, wide and printed."""
    row = t.checkout("Blue bicycle, 28 inch")
    for name, (has, words) in ENDS.items():
        for size, shape in (("phone", {"width": 390, "height": 740, "mobile": True}), ("desktop", DESKTOP)):
            for scheme in ("light", "dark"):
                what = f"{name}, {size}, {scheme}"
                tab = t.page(row, has=has, scheme=scheme, **shape)
                said = tab.value("document.getElementById('inqud-status').textContent")
                t.tap.same((words in said, tab.value(FORM), tab.value("document.scripts.length")), (True, [False, False], 0), what + ": says how it stands, without a form")
                t.tap.same((tab.value(looks.CONTRAST), tab.value(looks.OVERFLOW)), ([], []), what + ": can be read, and nothing sticks out")
                t.picture(tab, f"over-{name}-{size}-{scheme}")
                t.quiet(tab, what)
                tab.close()
    tab = t.page(row, has=ENDS["paid"][0], scheme="dark", media="print", **DESKTOP)
    t.tap.same(tab.value("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)", "printed: on white, in the dark, too")
    t.tap.same(tab.value(looks.CONTRAST), [], "printed: can be read")
    t.picture(tab, "over-paid-print")
    tab.close()


def test_not_open_yet(t):
    """A queued checkout: the page says so, and looks again by itself until there is a form."""
    row = t.checkout("Order on its way")
    tab = t.page(row, has={"state": "queued", "status": None, "checkout_id": None, "acquiring_url": None}, **PHONE)
    t.tap.ok("being prepared" in tab.value("document.getElementById('inqud-status').textContent"), "queued: says so")
    t.tap.same(tab.value("[document.querySelector('meta[http-equiv]').content, document.querySelector('a.inqud-pay').href === location.href]"),
               ["5", True], "queued: looks again, by itself and by a click")
    t.picture(tab, "phone-queued")
    t.quiet(tab, "queued")
    tab.close()


def test_valid_until(t):
    """The time in UTC, and with scripts in the reader's zone and language, too."""
    row = t.checkout("Concert ticket")
    has = {"expires_at": "2099-07-01T21:30:00Z"}
    for zone, texts, wanted in (("UTC", None, "2099-07-01 21:30 UTC"), ("Asia/Kolkata", None, "Jul 2, 2099, 03:00 AM GMT+5:30 (2099-07-01 21:30 UTC)"),
                                ("Europe/Berlin", GERMAN, "1. Juli 2099, 23:30 MESZ (2099-07-01 21:30 UTC)")):
        tab = t.page(row, has=has, texts=texts, zone=zone, **PHONE)
        shown = tab.value("document.querySelector('#inqud-until time').textContent").replace("\u202f", " ")
        t.tap.same(shown, wanted, f"valid until, in {zone}")
        t.tap.same(tab.value("document.querySelector('#inqud-until time').dateTime"), "2099-07-01T21:30Z", f"for machines, in {zone}")
        t.tap.same(tab.value(looks.OVERFLOW), [], f"nothing sticks out, in {zone}")
        t.quiet(tab, f"valid until, in {zone}")
        tab.close()
    tab = t.page(row, has=has, zone="Asia/Kolkata", before="", scripts=False, **PHONE)
    t.tap.same(tab.value("document.getElementById('inqud-until').textContent"), "Valid until 2099-07-01 21:30 UTC", "valid until, without scripts")
    tab.close()


def test_other_language(t):
    row = t.checkout("Fahrrad, blau, 28 Zoll")
    for scheme in ("light", "dark"):
        tab = t.page(row, has={"expires_at": "2099-07-01T21:30:00Z"}, texts=GERMAN, zone="Europe/Berlin", scheme=scheme, width=390, height=740, mobile=True)
        tab.wait("window.calls.length > 0")
        t.picture(tab, "german-" + scheme)
        t.tap.same(tab.value(looks.CONTRAST), [], f"German, {scheme}: can be read")
        tab.close()
    tab = t.page(row, texts=GERMAN, **PHONE)
    t.tap.same(tab.value("[document.documentElement.lang, document.getElementById('inqud-status').textContent]"), ["de", GERMAN["waiting"]], "German: language and words")
    text = tab.value("document.body.innerText")
    t.tap.same([word for word in ("the", "your", "payment", "shop page") if f" {word} " in f" {text.lower()} "], [], "German: nothing in English is left")
    t.emulator.control("settle", id=sql("SELECT checkout_id FROM inqud.checkout WHERE id = :row;", row=row))
    t.tap.ok(tab.wait(status_is("SUCCESS")), "German: a status that comes")
    t.tap.same(tab.value("document.getElementById('inqud-status').textContent"), GERMAN["paid"], "is told in German")
    t.quiet(tab, "German")
    tab.close()
    tab = t.page(row, has={"status": "NEW"}, texts={"lang": "ar", "dir": "rtl", "waiting": "\u0641\u064a \u0627\u0646\u062a\u0638\u0627\u0631 \u0627\u0644\u062f\u0641\u0639."}, **PHONE)
    t.tap.same(tab.value("[getComputedStyle(document.body).direction, document.documentElement.dir]"), ["rtl", "rtl"], "right to left")
    t.tap.same(tab.value(looks.OVERFLOW), [], "right to left: nothing sticks out")
    t.picture(tab, "right-to-left")
    tab.close()


def test_hostile_texts(t):
    """Sentences that try to be markup or code, in every place, also when a status comes."""
    row = t.checkout("Order")
    keys = [key for key in GERMAN if key != "lang"]
    texts = {key: "".join(HOSTILE) for key in keys}
    tab = t.show(t.render("page", row, has={"name": None, "expires_at": "2099-01-01"}, texts=texts), **PHONE)
    t.tap.same(tab.value("[document.querySelector('h1').textContent, document.querySelector('#inqud-status span').textContent]"),
               ["".join(HOSTILE)] * 2, "hostile texts are mere texts")
    t.emulator.control("settle", id=sql("SELECT checkout_id FROM inqud.checkout WHERE id = :row;", row=row))
    t.tap.ok(tab.wait(status_is("SUCCESS")), "hostile texts: the script runs")
    t.tap.same(tab.value("[document.querySelector('#inqud-status span').textContent, document.scripts.length, window.hacked]"), ["".join(HOSTILE), 2, 0], "and shows the next one as text")
    tab.close()
    for name, (has, _) in ENDS.items():
        tab = t.show(t.render("page", row, has=has, texts=texts), **PHONE)
        t.tap.same(tab.value("[document.querySelector('#inqud-status span').textContent, document.scripts.length, window.hacked]"), ["".join(HOSTILE), 0, 0], "hostile texts: " + name)
        tab.close()


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
    for scheme in ("light", "dark"):
        tab.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        for status in ("", "PAYMENT_DETECTED", "SUCCESS", "CONFLICT", "EXPIRED"):
            tab.value(f"document.getElementById('inqud-status').setAttribute('data-status', '{status}')")
            t.tap.same(tab.value(looks.CONTRAST), [], f"{scheme}: every text has a contrast of 4.5 to 1" + (" in " + status if status else ""))
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


TESTS = (test_page_is_paid, test_page_ends_badly, test_over, test_not_open_yet, test_valid_until, test_other_language,
         test_snippet, test_hostile_names, test_hostile_texts, test_hostile_ids, test_layout, test_access,
         test_without_scripts, test_script_lost, test_hosted_page)


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
