#!/usr/bin/python3
"""Entry point of the payment API emulator: options, listening, stopping.

Listens on loopback only and prints one line when it is ready. Everything else is in the other files of this folder.
"""

import argparse
import asyncio
import gc
import os
import signal
import ssl
import sys
import threading

sys.dont_write_bytecode = True      # the folder may belong to somebody else

from accounts import PROJECT_STEM
from blackhole import Blackhole
from hub import Hub
from wire import Connection


def parse_options(arguments=None):
    """The command line."""
    parser = argparse.ArgumentParser(description="Emulator of the Inqud payment API for tests.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: any free one)")
    parser.add_argument("--tls-cert", metavar="FILE", help="certificate chain; turns the API port into https")
    parser.add_argument("--tls-key", metavar="FILE")
    parser.add_argument("--log", metavar="FILE", help="append every request as one JSON line")
    parser.add_argument("--log-limit", type=int, default=100000, help="requests kept in memory (0: none)")
    parser.add_argument("--project", default=PROJECT_STEM + "1")
    parser.add_argument("--token-id", default="TKN-test")
    parser.add_argument("--token-secret", default="test-token-secret")
    parser.add_argument("--listen-blackhole", action="store_true", help="two extra ports on which connections hang")
    parser.add_argument("--until-eof", action="store_true", help="stop when standard input ends")
    return parser.parse_args(arguments)


def tls_context(options):
    """Server side of TLS, or None for plain http."""
    if not options.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.tls_cert, options.tls_key)
    return context


def watch_stdin(stop):
    """Call stop() when standard input ends."""
    loop = asyncio.get_running_loop()

    def read():
        try:
            while os.read(0, 4096):
                pass
        except OSError:
            pass
        loop.call_soon_threadsafe(stop)

    threading.Thread(target=read, daemon=True).start()


async def listen(options):
    """Open the ports; gives (hub, servers, first line)."""
    loop = asyncio.get_running_loop()
    hubs = []
    context = tls_context(options)

    def connection():
        return Connection(hubs[0])

    server = await loop.create_server(connection, "127.0.0.1", options.port, ssl=context, backlog=1024,
                                      start_serving=False)
    url = f"http{'s' if context else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    hubs.append(Hub(options, url))
    servers, line = [server], "listening " + url
    if context:
        plain = await loop.create_server(connection, "127.0.0.1", 0, backlog=1024)
        servers.append(plain)
        line += f" control http://127.0.0.1:{plain.sockets[0].getsockname()[1]}"
    return hubs[0], servers, line


async def serve(options):
    """Run until told to stop."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    hub, servers, line = await listen(options)
    if options.listen_blackhole:
        hub.blackhole = Blackhole()
        await hub.blackhole.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    for server in servers:
        await server.start_serving()
    print(line, flush=True)
    if options.until_eof:
        watch_stdin(stop.set)
    await stop.wait()
    shut(hub, servers)


def shut(hub, servers):
    """Close everything that is open."""
    for server in servers:
        server.close()
    for connection in list(hub.connections):
        connection.transport.abort()
    for task in list(hub.tasks):
        task.cancel()
    if hub.blackhole:
        hub.blackhole.stop()


def main():
    gc.set_threshold(100000, 50, 100)
    asyncio.run(serve(parse_options()))


if __name__ == "__main__":
    sys.exit(main())
