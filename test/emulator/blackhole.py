"""Two extra ports for hanging connections: on one connect hangs, on the other the TLS handshake (or any answer) hangs.

Loopback only. Must not interpret what it receives.
"""

import asyncio
import socket


class Silent(asyncio.Protocol):
    """Accepts a connection and never sends a byte."""

    def __init__(self, connections):
        self.connections = connections
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport
        self.connections.add(transport)

    def connection_lost(self, _trouble):
        self.connections.discard(self.transport)


class Blackhole:
    """Both ports."""

    def __init__(self):
        self.full = None
        self.fillers = []
        self.silent = None
        self.connections = set()

    async def start(self):
        self.full = socket.socket()
        self.full.bind(("127.0.0.1", 0))
        self.full.listen(0)
        await self._fill()
        loop = asyncio.get_running_loop()
        self.silent = await loop.create_server(lambda: Silent(self.connections), "127.0.0.1", 0)

    async def _fill(self):
        """Fill the backlog of a listening socket that never accepts, so that the next connect hangs."""
        loop = asyncio.get_running_loop()
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            self.fillers.append(filler)
            try:
                await asyncio.wait_for(loop.sock_connect(filler, self.full.getsockname()), 0.2)
            except (asyncio.TimeoutError, OSError):
                return

    def ports(self):
        """The two port numbers, for control's `GET info`."""
        return {"connectHangs": self.full.getsockname()[1],
                "answerHangs": self.silent.sockets[0].getsockname()[1]}

    def stop(self):
        for sock in [self.full] + self.fillers:
            sock.close()
        self.silent.close()
        for transport in list(self.connections):
            transport.abort()
