"""systemd's watchdog, fed only while every part of the agent makes progress (sd_notify(3)).

A part that hangs stops beating; after ``limit_s`` the watchdog is no longer fed, and systemd restarts us.
"""

import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, runtime_checkable

from edge.clock import Clock

log = logging.getLogger(__name__)

BEAT_LIMIT_S = 45.0
"""Longest honest silence of a part: a connection attempt (10 s), the longest pause (15 s) and a margin."""
_FEED_S = 5.0


@runtime_checkable
class Beating(Protocol):
    """A driver that can tell whether it still makes progress."""

    def is_alive(self) -> bool: ...


def notify(state: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Tell systemd, e.g. ``READY=1``; returns False when nobody listens (no ``NOTIFY_SOCKET``)."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    # systemd writes @ for the leading zero byte of an abstract socket.
    target = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.sendto(state.encode(), target)
    except OSError as error:
        log.warning("systemd cannot be told %s (%s)", state, error)
        return False
    return True


class Pulse:
    """When each part last made progress."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._beaten_ms: dict[str, int] = {}

    def beat(self, part: str) -> None:
        self._beaten_ms[part] = self._clock.boottime_ms()

    def beater(self, part: str) -> Callable[[], None]:
        """A function that beats for this part, which counts as alive from now on."""
        self.beat(part)
        return lambda: self.beat(part)

    def forget(self, part: str) -> None:
        """This part has ended in order."""
        self._beaten_ms.pop(part, None)

    def silent(self, limit_s: float = BEAT_LIMIT_S) -> list[str]:
        """The parts that have not beaten for longer than that."""
        oldest = self._clock.boottime_ms() - limit_s * 1000
        return sorted(part for part, at in self._beaten_ms.items() if at < oldest)


async def feed_loop(
    pulse: Pulse,
    clock: Clock,
    probe: Callable[[], Awaitable[None]],
    tell: Callable[[str], object] = notify,
) -> None:
    """Every 5 s: ``probe`` (which beats for what answers), then feed the watchdog if nothing is silent."""
    while True:
        await probe()
        silent = pulse.silent()
        if silent:
            log.error("no progress from %s; the watchdog is not fed", ", ".join(silent))
        else:
            tell("WATCHDOG=1")
        await clock.sleep(_FEED_S)
