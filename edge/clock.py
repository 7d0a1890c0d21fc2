"""Time at the edge: a wall clock that may be wrong, and a monotonic one that never is.

A Raspberry Pi has no battery behind its clock. After a power cut it may believe in 1970 until the network
is back, so every event carries the wall time, whether that was synchronised, and how long ago it happened
by the monotonic clock. ``CLOCK_BOOTTIME`` also counts while the machine sleeps; it starts anew at each boot,
which is why it only means something together with the boot's id.
"""

import asyncio
import ctypes
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from edge import contract

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STA_UNSYNC = 0x0040
"""Bit of ``timex.status``: no time source disciplines the clock (adjtimex(2)); needs no daemon to read."""


class Clock(Protocol):
    """Time as an argument: tests advance a virtual one."""

    @property
    def boot_id(self) -> str:
        """UUID of this boot of the machine."""
        ...

    def wall(self) -> datetime:
        """What the wall clock says, aware UTC; see :meth:`quality`."""
        ...

    def boottime_ms(self) -> int:
        """Milliseconds since this boot, sleep included; never steps."""
        ...

    def quality(self) -> contract.Clock:
        """Whether the wall clock is synchronised now."""
        ...

    async def sleep(self, delay_s: float) -> None: ...


class SystemClock:
    """The machine's own clocks (Linux)."""

    def __init__(self) -> None:
        self._boot_id = _BOOT_ID.read_text("ascii").strip()

    @property
    def boot_id(self) -> str:
        return self._boot_id

    def wall(self) -> datetime:
        return datetime.now(UTC)

    def boottime_ms(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def quality(self) -> contract.Clock:
        return contract.Clock.SYNCED if is_synchronised() else contract.Clock.UNSYNCED

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)


class _Timex(ctypes.Structure):
    """The head of ``struct timex``; the kernel writes beyond it, hence the room at the end."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


_libc = ctypes.CDLL(None, use_errno=True)


def is_synchronised() -> bool:
    """Whether NTP, PTP or a GNSS receiver disciplines the kernel's clock; False when it cannot be read."""
    timex = _Timex(modes=0)
    if _libc.adjtimex(ctypes.byref(timex)) < 0:
        return False
    return not timex.status & _STA_UNSYNC
