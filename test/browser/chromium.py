"""Drives Debian's Chromium over the DevTools protocol on a pipe: one browser, any number of tabs.

Standard library only. Nothing listens on a port, nothing is looked up outside this machine, and the browser and
its folder are gone when the object is closed, however the test ends. Must not know what the pages are about.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

PATIENCE = 180          # seconds for any one answer or event; a busy machine takes its time
_FLAGS = ("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
          "--disable-component-update --disable-sync --disable-dev-shm-usage --disable-breakpad --no-pings "
          "--disable-extensions --disable-default-apps --mute-audio --hide-scrollbars --lang=en-US "
          "--force-color-profile=srgb --remote-debugging-pipe").split()


class BrowserError(Exception):
    """The browser refused, ended or did not answer in time."""


class Chromium:
    """A running browser."""

    def __init__(self, program="chromium"):
        self.folder = tempfile.mkdtemp(prefix="chromium.")
        self.process = None
        try:
            self._start(program)
        except BaseException:
            self.close()
            raise

    def _start(self, program):
        down_read, self.down = _high_pipe()
        self.up, up_write = _high_pipe()

        def place():
            os.dup2(down_read, 3)
            os.dup2(up_write, 4)

        command = [program, *_FLAGS, "--user-data-dir=" + self.folder + "/profile",
                   "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "about:blank"]
        environment = dict(os.environ, HOME=self.folder, XDG_CONFIG_HOME=self.folder, XDG_CACHE_HOME=self.folder)
        self.log = open(self.folder + "/log", "wb")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        env=environment, start_new_session=True, pass_fds=(3, 4), preexec_fn=place)
        os.close(down_read)
        os.close(up_write)
        self.number, self.pending, self.events = 0, b"", []
        self.send("Browser.getVersion")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """End the browser and all its helpers, and remove its folder."""
        if self.process and self.process.poll() is None:
            try:
                self.send("Browser.close", patience=10)
                self.process.wait(10)
            except (BrowserError, OSError, subprocess.TimeoutExpired):
                pass
        if self.process:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
            for end in (self.down, self.up):
                os.close(end)
            self.log.close()
            self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- the protocol ---

    def _read(self, deadline):
        """One message, or an error."""
        while b"\0" not in self.pending:
            ready, _, _ = select.select([self.up], [], [], max(0, deadline - time.monotonic()))
            part = os.read(self.up, 1 << 20) if ready else None
            if not part:
                raise BrowserError(("the browser ended" if ready else "the browser did not answer") + self._last_words())
            self.pending += part
        message, _, self.pending = self.pending.partition(b"\0")
        return json.loads(message)

    def _last_words(self):
        with open(self.folder + "/log", "rb") as log:
            return ":\n" + log.read()[-2000:].decode("utf-8", "replace")

    def send(self, method, session=None, patience=PATIENCE, **parameters):
        """Call a method and give back its result; events that come meanwhile are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.down, data):]
        deadline = time.monotonic() + patience
        while True:
            answer = self._read(deadline)
            if answer.get("id") == self.number:
                break
            self.events.append(answer)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error'].get('message')}")
        return answer["result"]

    def wait_event(self, method, session, patience=PATIENCE):
        """The next event of that name; those before it stay."""
        deadline = time.monotonic() + patience
        while True:
            for event in self.events:
                if event.get("method") == method and event.get("sessionId") == session:
                    self.events.remove(event)
                    return event["params"]
            self.events.append(self._read(deadline))

    def tab(self, **options):
        """A new tab, see Tab."""
        return Tab(self, **options)


class Tab:
    """One page: width and height in CSS pixels, scripts run or not, and what runs before any script of the page."""

    def __init__(self, browser, width=1280, height=900, mobile=False, scripts=True, before=""):
        self.browser = browser
        self.target = browser.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.send("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(domain + ".enable")
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if mobile else 1,
                  mobile=mobile)
        if not scripts:
            self.send("Emulation.setScriptExecutionDisabled", value=True)
        if before:
            self.send("Page.addScriptToEvaluateOnNewDocument", source=before)

    def send(self, method, **parameters):
        return self.browser.send(method, self.session, **parameters)

    def open(self, url):
        """Go there and wait until everything of the page is loaded."""
        failed = self.send("Page.navigate", url=url).get("errorText")
        if failed:
            raise BrowserError(f"{url}: {failed}")
        self.browser.wait_event("Page.loadEventFired", self.session)

    def value(self, expression):
        """What a JavaScript expression, or the promise it gives, comes to."""
        said = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in said:
            raise BrowserError(expression + ": " + json.dumps(said["exceptionDetails"])[:500])
        return said["result"].get("value")

    def wait(self, expression, patience=PATIENCE):
        """Wait until the expression is true; false when it does not become so in time."""
        deadline = time.monotonic() + patience
        pause = "new Promise(function (resolve) { setTimeout(function () { resolve(!!(%s)); }, 20); })" % expression
        while not self.value(pause):
            if time.monotonic() > deadline:
                return False
        return True

    def complaints(self):
        """What the console and the browser's own log said of this page."""
        self.value("0")
        texts = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            if event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] in ("warning", "error"):
                texts.append(event["params"]["entry"]["text"])
            elif event["method"] == "Runtime.exceptionThrown":
                texts.append(json.dumps(event["params"]["exceptionDetails"])[:500])
            elif event["method"] == "Page.javascriptDialogOpening":
                texts.append("dialog: " + event["params"]["message"])
        return texts

    def roles(self):
        """What a screen reader sees: [(role, name, level)] of everything with a role."""
        nodes = self.send("Accessibility.getFullAXTree")["nodes"]
        seen = []
        for node in nodes:
            if not node.get("ignored"):
                more = {one["name"]: one["value"].get("value") for one in node.get("properties", ())}
                seen.append((node["role"]["value"], node.get("name", {}).get("value", ""), more))
        return seen

    def picture(self, path):
        """Write what is seen, as PNG."""
        data = self.send("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def close(self):
        self.browser.send("Target.closeTarget", targetId=self.target)


def _high_pipe():
    """A pipe whose ends do not lie where the browser wants its own."""
    ends = []
    for end in os.pipe():
        ends.append(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10))
        os.close(end)
    return ends
