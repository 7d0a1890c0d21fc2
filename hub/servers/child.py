"""What the embedded servers share: a child process that dies with us, and its supervision.

A server is launched through util-linux' ``setpriv``, which asks the kernel to signal the child when the
thread that started it ends (``PR_SET_PDEATHSIG``) and drops root. So servers are started from the main
thread, and no code of ours runs between fork and exec.
"""

import abc
import asyncio
import logging
import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hub.servers import ServerError

log = logging.getLogger(__name__)

_LOG_KEPT_BYTES = 8 * 1024 * 1024
_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 30.0
# A server that ran this long was healthy: its next death is a new story, not the same one again.
_HEALTHY_S = 60.0
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


# ------------------------------------------------------------------------------------------- ports


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


# ---------------------------------------------------------------------------------------- accounts


@dataclass(frozen=True)
class Account:
    """Who a child runs as when we are root. ``is_penned``: folders on its way are closed to it."""

    uid: int
    gid: int
    is_penned: bool

    @property
    def options(self) -> list[str]:
        dropped = [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        # A data folder or a virtual environment below /root: the child keeps the one capability that
        # lets it in (and containers have), since opening other people's folders is not ours to do.
        kept = "-all,+dac_override" if self.is_penned else "-all"
        ambient = ["--ambient-caps=-all,+dac_override"] if self.is_penned else []
        return [*dropped, f"--inh-caps={kept}", *ambient]


def account_for(own: Path, needed: Sequence[Path]) -> Account | None:
    """None unless we are root; then the account that owns the folder ``own``, else ``nobody``.

    ``needed`` are the paths that the child must reach besides.
    """
    if os.geteuid() != 0:
        return None
    owner = own.stat() if own.exists() else None
    if owner is not None and owner.st_uid != 0:
        uid, gid = owner.st_uid, owner.st_gid
    else:
        entry = pwd.getpwnam("nobody")
        uid, gid = entry.pw_uid, entry.pw_gid
    return Account(uid, gid, not all(_can_reach(path, uid, gid) for path in (own, *needed)))


def _can_reach(path: Path, uid: int, gid: int) -> bool:
    return all(_can_pass(parent.stat(), uid, gid) for parent in path.resolve().parents if parent.exists())


def _can_pass(folder: os.stat_result, uid: int, gid: int) -> bool:
    bit = 0o100 if folder.st_uid == uid else 0o010 if folder.st_gid == gid else 0o001
    return bool(folder.st_mode & bit)


def give(path: Path, account: Account | None) -> None:
    """Make ``path`` the child's own."""
    if account is not None:
        os.chown(path, account.uid, account.gid)


# --------------------------------------------------------------------------------------- processes


def launch(
    argv: Sequence[str | Path],
    *,
    account: Account | None,
    death_signal: signal.Signals,
    output: IO[bytes],
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    environment: Mapping[str, str] = _ENVIRONMENT,
) -> "subprocess.Popen[bytes]":
    """Start ``argv``; the kernel sends it ``death_signal`` when we die. Raises :class:`ServerError`."""
    setpriv = shutil.which("setpriv", path="/usr/bin:/bin:/usr/sbin")
    if setpriv is None:
        raise ServerError("the program setpriv is missing: install util-linux")
    options = account.options if account else []
    return subprocess.Popen(
        [setpriv, f"--pdeathsig={death_signal.name.removeprefix('SIG')}", *options, "--", *map(str, argv)],
        stdin=stdin,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd="/",
        # Ctrl-C at the terminal is for us; we stop the server in order afterwards.
        start_new_session=True,
    )


async def ended(process: "subprocess.Popen[bytes]") -> int:
    """Wait for the end of a child; its return code (negative: the signal)."""
    if process.poll() is None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        handle = os.pidfd_open(process.pid)
        try:
            loop.add_reader(handle, over.set)
            await over.wait()
        finally:
            loop.remove_reader(handle)
            os.close(handle)
    return process.wait()


async def end(
    process: "subprocess.Popen[bytes]", gentle: signal.Signals, hard: signal.Signals, patience_s: float
) -> None:
    """Ask with ``gentle``, after ``patience_s`` insist with ``hard``."""
    process.send_signal(gentle)
    try:
        async with asyncio.timeout(patience_s):
            await ended(process)
    except TimeoutError:
        log.warning("%s did not stop within %g s; insisting", _name(process), patience_s)
        process.send_signal(hard)
        await ended(process)


def open_log(path: Path) -> IO[bytes]:
    """Append to a log file; one that has grown large becomes ``<name>.1`` first."""
    if path.exists() and path.stat().st_size > _LOG_KEPT_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    return path.open("ab")


def tail(path: Path, limit: int = 600) -> str:
    """The end of a log file in one line, for an error message."""
    text = path.read_bytes()[-limit:].decode("utf-8", "replace") if path.exists() else ""
    return " | ".join(line.strip() for line in text.splitlines() if line.strip())


def write_private(path: Path, text: str) -> None:
    """Write a whole file that only its owner may read; a crash leaves the old one or the new one."""
    part = path.with_name(path.name + ".tmp")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _name(process: "subprocess.Popen[bytes]") -> str:
    arguments = process.args if isinstance(process.args, list) else []
    return Path(arguments[arguments.index("--") + 1]).name if "--" in arguments else "the child"


# ------------------------------------------------------------------------------------- supervision


class Server(abc.ABC):
    """A child process that is started, stopped, and started again when it dies.

    ``restarts`` counts the deaths that nobody asked for.
    """

    title: str
    stop_signals: tuple[signal.Signals, signal.Signals]
    stop_patience_s = 30.0

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.restarts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = asyncio.Lock()

    @property
    @abc.abstractmethod
    def address(self) -> str:
        """What a client needs to connect."""

    @abc.abstractmethod
    async def _begin(self) -> "subprocess.Popen[bytes]":
        """Launch the server and wait until it is ready; raises :class:`ServerError`."""

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if self._process is not None and running else None

    async def start(self) -> str:
        """Start unless it runs already; returns :attr:`address`. Call it from the main thread."""
        async with self._turn:
            if self.pid is None:
                self._process = await self._begin()
            return self.address

    async def stop(self) -> None:
        """Stop in order; does nothing when it does not run. Ends :meth:`supervise_loop`."""
        async with self._turn:
            process, self._process = self._process, None
            if process is not None and process.poll() is None:
                await end(process, *self.stop_signals, self.stop_patience_s)

    async def supervise_loop(self) -> None:
        """Restart the server whenever it dies, later and later while it keeps dying."""
        delay_s = _FIRST_DELAY_S
        while (process := self._process) is not None:
            since = asyncio.get_running_loop().time()
            code = await ended(process)
            if self._process is not process:
                continue
            lived_s = asyncio.get_running_loop().time() - since
            delay_s = _FIRST_DELAY_S if lived_s > _HEALTHY_S else delay_s
            self.restarts += 1
            log.error("%s ended with code %d; restart %d in %.1f s", self.title, code, self.restarts, delay_s)
            await asyncio.sleep(delay_s)
            delay_s = min(_LONGEST_DELAY_S, delay_s * 2)
            await self._revive(process)

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
