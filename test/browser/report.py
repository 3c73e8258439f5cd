#!/usr/bin/python3
"""The report page in a real browser: made by the database, shown by Chromium, wide and narrow, light, dark and printed.

Prints TAP. Needs a running server with the extension installed, reached by psql's own settings, and chromium. Writes
pictures into the folder that INQUD_PICTURES names, else into one that is removed. Tests what a person sees and what
hostile texts could do; the figures and what is escaped how are for the regression test page.
"""

import os
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True

sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools", "run"))

import looks
from chromium import Chromium
from testing import Tap, sql
from web import Web

PHONE = {"width": 360, "height": 2400, "mobile": True}
DESKTOP = {"width": 1100, "height": 2400}
# Nothing is loaded, nothing runs, and the page's own style is all it needs.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
BEFORE = """
window.hacked = 0; window.violations = [];
document.addEventListener('securitypolicyviolation', function (e) { window.violations.push(e.violatedDirective); });
"""

# Some hundred checkouts of a month, the same each time.
REALISTIC = """
INSERT INTO inqud.checkout (project, project_id, order_id, owner, state, status, checkout_id, request_id, amount, currency,
    pay_currency, paid_amount, merchant_fee, processing_amount, created_at, opened_at, status_at, closed_at, paid_at)
SELECT 'shop', 'CAP-1', n, current_user, CASE WHEN s = 'NEW' THEN 'open' ELSE 'closed' END, s, 'CCO-' || n,
    CASE WHEN s <> 'NEW' AND n % 3 > 0 THEN 'CAPD-' || n END, a, c, CASE WHEN s = 'SUCCESS' THEN x END,
    CASE WHEN s = 'SUCCESS' THEN a * 1.005 END, CASE WHEN s = 'SUCCESS' THEN a * 0.01 END, CASE WHEN s = 'SUCCESS' THEN a * 0.995 END,
    t, t, t + n % 13 * n % 17 * interval '33 s' + interval '50 s', CASE WHEN s <> 'NEW' THEN now() END,
    CASE WHEN s = 'SUCCESS' THEN t + n % 13 * n % 17 * interval '33 s' + interval '50 s' END
FROM (SELECT n, (ARRAY['SUCCESS', 'SUCCESS', 'EXPIRED', 'SUCCESS', 'EXPIRED', 'NEW', 'SUCCESS', 'CONFLICT'])[1 + n % 8] AS s,
        5 + n * 7919 % 20000 / 100.0 AS a, (ARRAY['USD', 'USD', 'EUR', 'USD', 'GBP'])[1 + n % 5] AS c,
        (ARRAY['USDT', 'USDC', 'BTC'])[1 + n % 3] AS x, now() - n * 104729 % 2592000 * interval '1 s' AS t
    FROM generate_series(1, 600) n) g;"""

HOSTILE = ["<script>hacked=1</script>", "<img src=x onerror=hacked=1>", "\"><svg onload=hacked=1>", "' onfocus='hacked=1",
           "</title></style>hacked", "\u202edesrever", "W" * 20, "&lt;b&gt;", "<!--", "]]>"]
HOSTILE_ROWS = """
INSERT INTO inqud.checkout (project, project_id, order_id, owner, state, status, checkout_id, amount, currency, pay_currency,
    paid_amount, created_at, opened_at, status_at, closed_at, paid_at)
SELECT :'said', 'CAP-1', :'said', current_user, 'closed', 'SUCCESS', 'CCO-' || :'said',
    99999999999999999999.123456789012345678, :'said', :'said', 99999999999999999999.123456789012345678, now(), now(), now(), now(), now();"""


class Test:
    """What all tests use."""

    def __init__(self, tap, browser, web, folder):
        self.tap, self.browser, self.web, self.folder = tap, browser, web, folder

    def show(self, call, scheme="light", media="screen", **options):
        tab = self.browser.tab(before=BEFORE, **options)
        tab.send("Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}])
        tab.open(self.web.put(sql(f"SELECT {call};"), POLICY))
        return tab

    def judge(self, call, name, **options):
        """Nothing sticks out, all texts can be read, nothing ran; a picture of it."""
        tab = self.show(call, **options)
        self.tap.same(tab.value(looks.OVERFLOW), [], name + ": nothing sticks out")
        self.tap.same(tab.value(looks.CONTRAST), [], name + ": all texts have contrast")
        self.tap.same(tab.value("[window.hacked, window.violations, document.scripts.length]"), [0, [], 0], name + ": nothing runs or is blocked")
        self.tap.same(tab.complaints(), [], name + ": the console has nothing to say")
        tab.picture(os.path.join(self.folder, f"report-{name}.png".replace(" ", "-")))
        return tab


def fill(*rows, **values):
    sql("TRUNCATE inqud.checkout, inqud.queue, inqud.event;")
    for text in rows:
        sql(text, **values)


def all_looks(t, call, name):
    for scheme in ("light", "dark"):
        t.judge(call, f"{name} {scheme}", scheme=scheme, **DESKTOP).close()
    t.judge(call, f"{name} phone", **PHONE).close()


def test_realistic(t):
    fill(REALISTIC)
    all_looks(t, "inqud_report_page()", "month")
    t.judge("inqud_report_page(current_date - 800, current_date)", "years", **DESKTOP).close()
    t.judge("inqud_report_page(current_date, current_date)", "one day", **PHONE).close()


def test_empty(t):
    fill()
    all_looks(t, "inqud_report_page()", "empty")


def test_access(t):
    """What those hear and read who cannot see the pictures."""
    fill(REALISTIC)
    tab = t.show("inqud_report_page()", **DESKTOP)
    seen = tab.roles()
    names = [name for role, name, _ in seen if role in ("image", "img")]
    t.tap.same(len(names), 4, "three currencies and the times are pictures with names")
    t.tap.ok(all("by day" in name or "time" in name for name in names), "which say what they show", names)
    t.tap.same([more.get("level") for role, _, more in seen if role == "heading"], [1, 2, 2, 2, 2], "headings have their levels")
    t.tap.same(tab.value("document.querySelectorAll('figure svg').length === document.querySelectorAll('figure details table').length"), True,
               "each picture has its table")
    t.tap.same(tab.value("""Array.from(document.querySelectorAll('figure')).every(function (f) {
        return f.querySelectorAll('rect').length === f.querySelectorAll('tbody tr').length; })"""), True, "with a row for each column")
    tab.value("document.querySelectorAll('details').forEach(function (d) { d.open = true; })")
    t.tap.same(tab.value(looks.OVERFLOW), [], "opened tables do not stick out")
    tab.close()
    tab = t.show("inqud_report_page()", scheme="dark", media="print", **DESKTOP)
    t.tap.same(tab.value("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)", "on paper it is white")
    t.tap.same(tab.value(looks.CONTRAST), [], "and black")
    tab.close()


def test_hostile(t):
    fill()
    for text in HOSTILE:
        sql(HOSTILE_ROWS, said=text)
    for width, options in (("wide", DESKTOP), ("narrow", PHONE)):
        t.judge("inqud_report_page()", f"hostile {width}", **options).close()
    tab = t.judge("inqud_report_page(project => '<script>hacked=1</script>')", "hostile project", **DESKTOP)
    t.tap.same(tab.value("document.title"), "Payments of <script>hacked=1</script>", "a name is shown as it is")
    tab.close()


TESTS = (test_realistic, test_empty, test_access, test_hostile)


def run(tap, folder):
    web = Web()
    try:
        sql("DROP EXTENSION IF EXISTS inqud CASCADE; CREATE EXTENSION inqud;")
        with Chromium() as browser:
            t = Test(tap, browser, web, folder)
            for test in TESTS:
                print("# " + test.__name__[5:].replace("_", " "), flush=True)
                test(t)
    finally:
        web.close()


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
