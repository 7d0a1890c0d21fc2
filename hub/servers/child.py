"""What the embedded servers share: a remembered port, a patient start, and supervision."""

import abc
import asyncio
import logging
import os
import signal
import socket
import subprocess
from pathlib import Path

from hub.servers import ServerError, files, process

log = logging.getLogger(__name__)

_POLL_S = 0.02
# Recovery after a crash reads the log since the last checkpoint; on an SD card that takes minutes.
_START_TIMEOUT_S = 600.0
# After a crash old processes hold the shared memory or the port for a moment.
_ATTEMPTS = 20
_ATTEMPT_PAUSE_S = 0.25
_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 30.0
# A server that ran this long was healthy: its next death is a new story, not the same one again.
_HEALTHY_S = 60.0


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:``port``."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class Server(abc.ABC):
    """A child process below ``root`` that is started, stopped, and started again when it dies.

    ``port`` None or 0 keeps the port of the last run, or takes a free one. ``restarts`` counts the deaths
    that nobody asked for.
    """

    title: str
    stop_signals: tuple[signal.Signals, signal.Signals]
    stop_patience_s = 30.0

    def __init__(self, root: Path, port: int | None = None) -> None:
        self.root = root.absolute()
        self.restarts = 0
        self._asked_port = port or 0
        self._port = self._asked_port
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = asyncio.Lock()

    @property
    @abc.abstractmethod
    def address(self) -> str:
        """What a client needs to connect."""

    @property
    @abc.abstractmethod
    def log_file(self) -> Path: ...

    @property
    @abc.abstractmethod
    def _pid_file(self) -> Path:
        """Where the server writes its process id, on its first line."""

    @property
    @abc.abstractmethod
    def _mark(self) -> Path:
        """The argument that tells our server from another process."""

    @abc.abstractmethod
    async def _prepare(self) -> None:
        """Everything that must be in place before a launch; raises :class:`ServerError`."""

    @abc.abstractmethod
    def _launch(self) -> "subprocess.Popen[bytes]": ...

    @abc.abstractmethod
    def _is_ready(self, pid: int) -> bool: ...

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        running = self._process
        return running.pid if running is not None and running.poll() is None else None

    async def start(self) -> str:
        """Start unless it runs already; returns :attr:`address`. Call it from the main thread."""
        async with self._turn:
            if self.pid is None:
                self._process = await self._begin()
            return self.address

    async def stop(self) -> None:
        """Stop in order; does nothing when it does not run. Ends :meth:`supervise_loop`."""
        async with self._turn:
            running, self._process = self._process, None
            if running is not None and running.poll() is None:
                await process.end(running, *self.stop_signals, self.stop_patience_s)

    async def supervise_loop(self) -> None:
        """Restart the server whenever it dies, later and later while it keeps dying."""
        delay_s = _FIRST_DELAY_S
        loop = asyncio.get_running_loop()
        while (running := self._process) is not None:
            since = loop.time()
            code = await process.ended(running)
            if self._process is not running:
                continue
            delay_s = _FIRST_DELAY_S if loop.time() - since > _HEALTHY_S else delay_s
            self.restarts += 1
            log.error("%s ended with code %d; restart %d in %.1f s", self.title, code, self.restarts, delay_s)
            await asyncio.sleep(delay_s)
            delay_s = min(_LONGEST_DELAY_S, delay_s * 2)
            await self._revive(running)

    async def _revive(self, dead: "subprocess.Popen[bytes]") -> None:
        async with self._turn:
            if self._process is not dead:
                return
            try:
                self._process = await self._begin()
            except (ServerError, OSError) as error:
                log.error("%s does not start again: %s", self.title, error)  # noqa: TRY400 - the message says it
            else:
                log.warning("%s runs again", self.title)

    async def _begin(self) -> "subprocess.Popen[bytes]":
        await self._prepare()
        await self._await_predecessor()
        for attempt in range(1, _ATTEMPTS + 1):
            self._choose_port()
            started = self._launch()
            try:
                if await self._becomes_ready(started):
                    return started
            except BaseException:
                started.send_signal(self.stop_signals[1])
                started.wait()
                raise
            log.warning("%s ended with code %d while starting (%d)", self.title, started.wait(), attempt)
            await asyncio.sleep(_ATTEMPT_PAUSE_S)
        raise ServerError(f"{self.title} does not start: {files.tail(self.log_file)}")

    async def _await_predecessor(self) -> None:
        """A server whose hub was killed is still closing its files: let it finish."""
        try:
            async with asyncio.timeout(self.stop_patience_s):
                while self._predecessor() is not None:  # noqa: ASYNC110 - another's child cannot be awaited
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise ServerError(
                f"another hub uses {self.root} ({self.title}, process {self._predecessor()})"
            ) from error

    def _predecessor(self) -> int | None:
        """Process id in the pid file when that process really is our server."""
        try:
            pid = int(self._pid_file.read_bytes().split(b"\n")[0])
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if os.fsencode(self._mark) in arguments else None

    async def _becomes_ready(self, started: "subprocess.Popen[bytes]") -> bool:
        """False when the process ended instead."""
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                while started.poll() is None:
                    if self._is_ready(started.pid):
                        return True
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise ServerError(f"{self.title} is not ready after {_START_TIMEOUT_S:g} s") from error
        return False

    def _choose_port(self) -> None:
        """Clients, Grafana among them, keep an address: so the port is remembered over restarts."""
        remembered = self.root / "port"
        text = remembered.read_text().strip() if remembered.exists() else ""
        port = self._asked_port or (int(text) if text.isdigit() else 0)
        if not self._asked_port and (port == 0 or not is_free(port)):
            if port:
                log.warning("port %d is taken; %s moves to another", port, self.title)
            port = free_port()
        if str(port) != text:
            files.write_private(remembered, b"%d\n" % port)
        self._port = port
