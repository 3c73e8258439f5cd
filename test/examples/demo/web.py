#!/usr/bin/env python3
"""web.py FOLDER EMULATOR - the demo's web shop: shows the pages in a folder, with the widget's stand-in in them.

On loopback and a free port, which it prints. The widget's script is the emulator's with a button to pay added, since nobody
has coins for a demo; what that script asks for is passed on. Must not know what an order is, and must pass nothing else on.
"""

import http.server
import os
import signal
import sys
import urllib.error
import urllib.request

FOLDER, EMULATOR = sys.argv[1:3]
PATIENCE = 10
MAX_BODY = 4096
PASSED_ON = {("GET", "/_emu/widget-status"), ("POST", "/_emu/settle")}
HTML, SCRIPT, JSON = "text/html; charset=utf-8", "text/javascript; charset=utf-8", "application/json"

BUTTON = """
document.querySelectorAll('app-widget').forEach(function (widget) {
  'use strict';
  var button = document.createElement('button');
  button.type = 'button';
  button.textContent = 'Pay (stand-in for a wallet)';
  button.style.cssText = 'margin-top:16px;padding:10px 20px;font:inherit';
  button.addEventListener('click', function () {
    button.disabled = true;
    fetch('/_emu/settle', { method: 'POST', body: JSON.stringify({ id: widget.id }) })
      .catch(function () { button.disabled = false; });
  });
  widget.addEventListener('statusChanged', function (event) {
    if (['SUCCESS', 'CONFLICT', 'EXPIRED'].indexOf(event.detail.status) >= 0) { button.remove(); }
  });
  widget.appendChild(button);
});
"""

# An environment's proxy must not come between the demo and its emulator.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class Handler(http.server.BaseHTTPRequestHandler):
    """Pages, the script, and what the script asks for."""

    timeout = PATIENCE

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def ask(self, data=None):
        """The emulator's answer to this request."""
        try:
            with _open(urllib.request.Request(EMULATOR + self.path, data), timeout=PATIENCE) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read()
        except OSError as trouble:
            return 502, str(trouble).encode()

    def do_GET(self):
        path = self.path.partition("?")[0]
        page = os.path.join(FOLDER, os.path.basename(path))
        if path == "/widget.js":
            status, script = self.ask()
            self.answer(status, SCRIPT, script + BUTTON.encode())
        elif ("GET", path) in PASSED_ON:
            status, reply = self.ask()
            self.answer(status, JSON, reply)
        elif path.endswith(".html") and os.path.isfile(page):
            with open(page, "rb") as file:
                self.answer(200, HTML, file.read())
        elif path == "/favicon.ico":
            self.answer(200, "image/x-icon", b"")
        else:
            self.answer(404, HTML, b"not here\n")

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if ("POST", self.path) in PASSED_ON and length.isdecimal() and int(length) <= MAX_BODY:
            status, reply = self.ask(self.rfile.read(int(length)))
            self.answer(status, JSON, reply)
        else:
            self.answer(404, HTML, b"not here\n")

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    """On loopback and a free port."""

    daemon_threads = True

    def handle_error(self, *_):
        """A browser may go away before it has read everything."""


def main():
    server = Server(("127.0.0.1", 0), Handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"listening http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


main()
