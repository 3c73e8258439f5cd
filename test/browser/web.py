"""A small web server that shows pages of a shop to the browser, each with a policy header or none.

On loopback and a free port; ends with the test. Must not know what the pages are about.
"""

import http.server
import secrets
import threading


class Web:
    """A web server of the pages put into it."""

    def __init__(self):
        pages = self.pages = {"/favicon.ico": (b"", None)}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body, policy = pages.get(self.path, (None, None))
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body or b"")))
                if policy:
                    self.send_header("Content-Security-Policy", policy)
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                """A browser may go away before it has read everything."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def put(self, html, policy=None):
        """Offer a page; gives its address."""
        path = "/" + secrets.token_hex(8)
        self.pages[path] = (html.encode("utf-8"), policy)
        return self.url + path

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
