"""A TCP proxy on loopback that is a bad network: it cuts, resets, stalls, delays and loses connections."""

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field

_CHUNK_BYTES = 64 * 1024
_RESET = struct.pack("ii", 1, 0)


@dataclass(eq=False)
class _Pair:
    """One connection through us: its two ends."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    is_lost: bool = False

    def reset(self) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):
                raw: socket.socket = end.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.transport.abort()


@dataclass(eq=False)
class Proxy:
    """Forwards 127.0.0.1:``port`` to ``target_port``. ``delay_s`` holds every chunk back.

    ``connections`` counts those that were made through us, ``refused`` those turned away while cut,
    ``up_bytes`` what clients sent.
    """

    target_port: int
    port: int = 0
    delay_s: float = 0.0
    connections: int = 0
    refused: int = 0
    up_bytes: int = 0
    _pairs: set[_Pair] = field(default_factory=set)
    _is_cut: bool = False
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        self._flowing.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.reset()

    # ----------------------------------------------------------------------------- what goes wrong

    def reset(self) -> None:
        """RST on every connection; new ones pass."""
        for pair in list(self._pairs):
            pair.reset()

    def cut(self) -> None:
        """RST on every connection and on every attempt, until :meth:`mend`."""
        self._is_cut = True
        self.reset()

    def stall(self) -> None:
        """Bytes wait on all connections until :meth:`mend`; nobody is told."""
        self._flowing.clear()

    def lose(self) -> None:
        """Half-open: what is sent on the present connections vanishes for ever. New ones pass."""
        for pair in self._pairs:
            pair.is_lost = True

    def mend(self) -> None:
        self._is_cut = False
        self.delay_s = 0.0
        self._flowing.set()

    # ---------------------------------------------------------------------------------- forwarding

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            self.refused += 1
            _Pair(writer, writer).reset()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            self.refused += 1
            _Pair(writer, writer).reset()
            return
        pair = _Pair(writer, far_writer)
        for end in (writer, far_writer):
            raw: socket.socket = end.get_extra_info("socket")
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections += 1
        self._pairs.add(pair)
        try:
            await asyncio.gather(
                self._pump(pair, reader, far_writer, is_up=True),
                self._pump(pair, far_reader, writer, is_up=False),
            )
        finally:
            self._pairs.discard(pair)

    async def _pump(
        self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_up: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                await self._flowing.wait()
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if is_up:
                    self.up_bytes += len(data)
                if not pair.is_lost:
                    writer.write(data)
                    await writer.drain()
        if not pair.is_lost:  # a lost end hears nothing, not even of the other's goodbye
            writer.close()
