"""The serial line: a pseudo-terminal behind a link, served by one thread."""

import contextlib
import fcntl
import heapq
import itertools
import os
import selectors
import struct
import termios
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from modem_emulator.inotify import CLOSED, OPENED, Watch

T = TypeVar("T")


class Line:
    """``feed`` gets what the computer writes; ``reopened`` is called when it opens the line.

    What is written while nobody has the line open is lost, as on a real one. All callbacks run on the
    line's thread; :meth:`call` gets there from any other.
    """

    def __init__(self, link: Path, feed: Callable[[bytes], None], reopened: Callable[[], None]) -> None:
        self.link = link
        self._feed = feed
        self._reopened = reopened
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._woken)
        self._master = self._slave = -1
        self._watch: Watch | None = None
        self._clients = 0
        self._unwritten = bytearray()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="modem-emulator", daemon=True)

    # --------------------------------------------------------------------------- from other threads

    def start(self) -> None:
        self.plug()
        self._thread.start()

    def stop(self) -> None:
        self._is_stopping = True
        self._wake()
        self._thread.join(10)
        self.unplug()
        for fd in (self._wake_read, self._wake_write):
            os.close(fd)
        self._selector.close()

    def call(self, action: Callable[[], T]) -> T:
        """Run ``action`` on the line's thread and return what it returns."""
        if threading.current_thread() is self._thread:
            return action()
        done = threading.Event()
        outcome: list[T] = []
        failure: list[BaseException] = []

        def run() -> None:
            try:
                outcome.append(action())
            except BaseException as error:  # noqa: BLE001 - raised again on the caller's thread
                failure.append(error)
            done.set()

        self.later(0, run)
        if not done.wait(10):
            raise TimeoutError("the emulator's thread does not answer")
        if failure:
            raise failure[0]
        return outcome[0]

    def later(self, delay_s: float, action: Callable[[], None]) -> None:
        with self._lock:
            heapq.heappush(self._due, (time.monotonic() + delay_s, next(self._order), action))
        self._wake()

    def serve(self, fd: int, action: Callable[[], None]) -> None:
        """Call ``action`` on the line's thread whenever ``fd`` can be read."""
        self.call(lambda: self._selector.register(fd, selectors.EVENT_READ, action))

    def forget(self, fd: int) -> None:
        self.call(lambda: self._selector.unregister(fd))

    # ------------------------------------------------------------------------- on the line's thread

    def plug(self) -> None:
        """Make the pseudo-terminal and its link."""
        if self._master >= 0:
            return
        self._master, self._slave = os.openpty()
        for fd in (self._master, self._slave):
            tty.setraw(fd)
        os.set_blocking(self._master, False)
        name = os.ttyname(self._slave)
        self._watch = Watch(name)
        self._clients = 0
        self._selector.register(self._watch, selectors.EVENT_READ, self._watched)
        self._selector.register(self._master, selectors.EVENT_READ, self._readable)
        temporary = self.link.with_name(f".{self.link.name}.new")
        temporary.symlink_to(name)
        temporary.replace(self.link)

    def unplug(self) -> None:
        """As if the modem was pulled out: the link is gone, and whoever has it open sees an end."""
        if self._master < 0:
            return
        self.link.unlink(missing_ok=True)
        assert self._watch is not None
        self._selector.unregister(self._watch)
        self._selector.unregister(self._master)
        self._watch.close()
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = -1
        self._unwritten.clear()

    def write(self, data: bytes) -> None:
        if self._master < 0 or not self._has_client():
            return
        self._unwritten += data
        self._write_some()

    def _has_client(self) -> bool:
        self._watched()
        return self._clients > 0

    def _write_some(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._unwritten:
                del self._unwritten[: os.write(self._master, self._unwritten)]
        if self._unwritten:
            self.later(0.02, self._write_again)  # the computer does not read

    def _write_again(self) -> None:
        if self._master >= 0:
            self._write_some()

    def _readable(self) -> None:
        self._watched()
        with contextlib.suppress(BlockingIOError):
            self._feed(os.read(self._master, 65536))

    def _watched(self) -> None:
        """Count who has the line open."""
        assert self._watch is not None
        has_opened = has_closed = False
        for mask in self._watch.read():
            self._clients = max(self._clients + (1 if mask & OPENED else -1), 0)
            has_opened |= self._clients == 1 and bool(mask & OPENED)
            has_closed |= bool(mask & CLOSED)
        if has_opened:
            self._reopened()
        if has_closed and not self._clients:
            self._last_closed()

    def _last_closed(self) -> None:
        """What nobody read is lost; what was written last still counts."""
        self._unwritten.clear()
        waiting = struct.unpack("i", fcntl.ioctl(self._master, termios.FIONREAD, b"\0\0\0\0"))[0]
        written = os.read(self._master, waiting) if waiting else b""
        termios.tcflush(self._slave, termios.TCIFLUSH)
        if written:
            self._watched()  # it may come from somebody who has opened the line just now
            self._feed(written)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"\0")

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def _run(self) -> None:
        while not self._is_stopping:
            for key, _ in self._selector.select(self._pause_s()):
                # an earlier callback may have unplugged the line
                if key.fd in self._selector.get_map():
                    key.data()
            self._run_due()

    def _pause_s(self) -> float | None:
        with self._lock:
            return max(self._due[0][0] - time.monotonic(), 0) if self._due else None

    def _run_due(self) -> None:
        while True:
            with self._lock:
                if not self._due or self._due[0][0] > time.monotonic():
                    return
                _, _, action = heapq.heappop(self._due)
            action()
