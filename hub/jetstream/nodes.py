"""The cluster's nodes, and a connection to one of them that moves to another when it ends."""

import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import nats
from nats.aio.client import Client

log = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S = 2
# A node that vanished without a word is noticed within (1 + 2) of these.
_PING_S = 2
_UNANSWERED_PINGS = 2
_RECONNECT_PAUSE_S = 0.2
# What a dead client still had to acknowledge is delivered again in any case.
_CLOSE_LIMIT_S = 1

Callback = Callable[[], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """``servers`` are ``host:port`` of NATS' own protocol; one account for all of them."""

    servers: Sequence[str]
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None

    @asynccontextmanager
    async def connected(self, name: str, on_lost: Callback, on_back: Callback) -> AsyncIterator[Client]:
        """A client that reconnects for ever; waits until the first node answers.

        Subscriptions survive a change of node, requests that were under way do not.
        """
        scheme = "tls" if self.tls else "nats"
        client = await nats.connect(
            [f"{scheme}://{server}" for server in self.servers],
            name=name,
            user=self.username,
            password=self.password,
            tls=self.tls,
            connect_timeout=_CONNECT_TIMEOUT_S,
            ping_interval=_PING_S,
            max_outstanding_pings=_UNANSWERED_PINGS,
            reconnect_time_wait=_RECONNECT_PAUSE_S,
            max_reconnect_attempts=-1,
            drain_timeout=_CLOSE_LIMIT_S,
            error_cb=_Complaints(name).add,
            disconnected_cb=on_lost,
            reconnected_cb=on_back,
        )
        try:
            yield client
        finally:
            await client.close()


class _Complaints:
    """Logs each new trouble once: attempts come five times a second."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._last = ""

    async def add(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        if text != self._last:
            self._last = text
            log.warning("%s: %s", self._name, text)
