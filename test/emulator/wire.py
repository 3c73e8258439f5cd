"""HTTP/1.1 on one connection: reads requests, writes replies, closes or resets on demand.

Answers one request after the other and hands each to a handler, which calls back with the reply.
Must not know what a request means.
"""

import asyncio
import socket
import struct
from http import HTTPStatus
from urllib.parse import parse_qs

import exact

JSON = "application/json"
HTML = "text/html; charset=utf-8"
MAX_HEAD = 65536
MAX_BODY = 32 * 1024 * 1024

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_USUAL = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
_UNREAD = object()


class Reply:
    """One HTTP reply; `headers` are extra (name, value) pairs."""
    __slots__ = ("status", "body", "content_type", "headers", "close")

    def __init__(self, status, body=b"", content_type=JSON, headers=(), close=False):
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers
        self.close = close

    def head(self, length=None, chunked=False):
        """Status line and headers as bytes."""
        if self.status == 200 and self.content_type == JSON and not self.headers and length is None and not chunked:
            close = b"\r\nConnection: close" if self.close else b""
            return b"%s%d%s\r\n\r\n" % (_USUAL, len(self.body), close)
        lines = [f"HTTP/1.1 {self.status} {_PHRASES.get(self.status, 'Unknown')}"]
        if self.content_type:
            lines.append("Content-Type: " + self.content_type)
        names = {name.lower() for name, _ in self.headers}
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        elif "content-length" not in names:
            lines.append(f"Content-Length: {len(self.body) if length is None else length}")
        lines.extend(f"{name}: {value}" for name, value in self.headers)
        if self.close:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


class Request:
    """One request as it came. `route` is filled in by the handler."""
    __slots__ = ("method", "target", "path", "query_text", "header_list", "headers", "body", "connection",
                 "route", "entry", "keep_alive", "_json")

    def __init__(self, method, target, header_list, version):
        self.method = method
        self.target = target
        self.path, _, self.query_text = target.partition("?")
        self.header_list = header_list
        self.headers = {name.lower(): value for name, value in header_list}
        self.body = b""
        self.connection = None
        self.route = None
        self.entry = None
        wish = self.headers.get("connection", "").lower()
        self.keep_alive = wish != "close" if version == "HTTP/1.1" else wish == "keep-alive"
        self._json = _UNREAD

    def json(self):
        """The body as JSON, read once; raises BadJson."""
        if self._json is _UNREAD:
            try:
                self._json = exact.loads(self.body)
            except exact.BadJson as trouble:
                self._json = trouble
        if isinstance(self._json, exact.BadJson):
            raise self._json
        return self._json

    def query(self):
        """First value of each query parameter."""
        return {name: values[0] for name, values in parse_qs(self.query_text, keep_blank_values=True).items()}


class BadRequest(Exception):
    """The bytes are no HTTP request."""


def parse_head(head):
    """Head bytes (without the empty line) to a Request."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadRequest("malformed request line")
    pairs = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequest("malformed header line")
        pairs.append((name, value.strip()))
    return Request(words[0], words[1], pairs, words[2])


def parse_chunked(buffer):
    """(body, bytes used) of a chunked body, or None while it is incomplete."""
    body, at = bytearray(), 0
    while True:
        end = buffer.find(b"\r\n", at)
        if end < 0:
            return None
        try:
            size = int(bytes(buffer[at:end]).split(b";")[0], 16)
        except ValueError:
            raise BadRequest("malformed chunk size") from None
        at = end + 2
        if size == 0:
            end = buffer.find(b"\r\n", at)
            while end > at:
                at, end = end + 2, buffer.find(b"\r\n", end + 2)
            return None if end < 0 else (bytes(body), end + 2)
        if len(buffer) < at + size + 2:
            return None
        if buffer[at + size:at + size + 2] != b"\r\n":
            raise BadRequest("malformed chunk")
        body += buffer[at:at + size]
        at += size + 2


class Connection(asyncio.Protocol):
    """One client connection."""

    def __init__(self, hub):
        self.hub = hub
        self.number = 0
        self.transport = None
        self.buffer = bytearray()
        self.request = None        # being received
        self.current = None        # being answered
        self.closed = False
        self.poison = None         # "rst" or "fin": what the next request gets instead of an answer
        self.writable = None       # future while the client reads too slowly

    # --- called by the event loop ---

    def connection_made(self, transport):
        self.transport = transport
        self.number = self.hub.opened(self)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, _trouble):
        self.closed = True
        self.resume_writing()
        self.hub.lost(self)

    def pause_writing(self):
        self.writable = asyncio.get_running_loop().create_future()

    def resume_writing(self):
        if self.writable is not None and not self.writable.done():
            self.writable.set_result(None)
        self.writable = None

    def data_received(self, data):
        self.buffer += data
        if self.poison and self.current is None:
            self.drop(self.poison)
        elif self.current is None:
            self._advance()

    # --- receiving ---

    def _advance(self):
        try:
            while self.current is None and not self.transport.is_closing() and self._receive():
                request, self.request = self.request, None
                self.current = request
                self.hub.handle(request)
        except BadRequest as trouble:
            self.write(Reply(400, str(trouble).encode(), "text/plain", close=True))
            self.end(close=True)

    def write(self, reply):
        """A whole reply in one piece."""
        self.transport.write(reply.head() + reply.body)

    def _receive(self):
        if self.request is None:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self.buffer) > MAX_HEAD:
                    raise BadRequest("request head too large")
                return False
            self.request = parse_head(bytes(self.buffer[:end]))
            self.request.connection = self
            del self.buffer[:end + 4]
        return self._receive_body(self.request)

    def _receive_body(self, request):
        headers = request.headers
        length = headers.get("content-length")
        if length is None and "transfer-encoding" not in headers:
            return True
        if length is not None and not length.isdecimal():
            raise BadRequest("malformed content length")
        done = self._chunks(request) if length is None else self._sized(request, int(length))
        if not done and headers.pop("expect", "").lower() == "100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return done

    def _sized(self, request, length):
        if length > MAX_BODY:
            raise BadRequest("request body too large")
        if len(self.buffer) < length:
            return False
        request.body = bytes(self.buffer[:length])
        del self.buffer[:length]
        return True

    def _chunks(self, request):
        found = parse_chunked(self.buffer)
        if found is None:
            if len(self.buffer) > MAX_BODY:
                raise BadRequest("request body too large")
            return False
        request.body = found[0]
        del self.buffer[:found[1]]
        return True

    # --- answering ---

    def answer(self, reply):
        """Send a reply and go on with the next request."""
        if not self.closed:
            self.write(reply)
        self.end(close=reply.close)

    def end(self, close=False):
        """End the current request; close the connection or go on with the next request."""
        request, self.current = self.current, None
        if request is not None and not request.keep_alive:
            close = True
        if close and not self.closed:
            self.transport.close()
        elif self.buffer and not self.closed:
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self):
        if self.current is None:
            self._advance()

    def drop(self, how="rst"):
        """End the connection without another byte: reset, or an orderly close."""
        if self.closed:
            return
        if how == "rst":
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            self.transport.close()
