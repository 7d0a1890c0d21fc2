"""The real servers that tests talk to. All listen on loopback, on free ports, and end with the tests."""

import asyncio
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from hub.database import Pool, connect, migrate
from hub.servers import files, process
from hub.servers.broker import EmbeddedBroker
from hub.servers.child import free_port
from hub.servers.postgres import ROLE, EmbeddedPostgres

MEMORY = Path("/dev/shm")
MEMORY_BYTES = 3 << 30

_numbers = itertools.count(1)

# Half a minute and more each, and begun first: the last worker to finish decides how long all of it takes.
_LONGEST = (
    *("test_sms_end_to_end", "test_bench_faults", "test_hub_console", "test_hub_notify_modem", "test_demo"),
    *("test_hub_web", "test_hub_people_pages", "test_hub_serve", "test_hub_rules_kill", "test_bench"),
    *("test_hub_terreno", "test_modem_conformance", "test_hub_notify_modem_oracle", "test_hub_jetstream"),
    *("test_dashboards", "test_hub_console_charts", "test_edge_outbox", "test_hub_telemetry", "test_walk"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


def pytest_configure() -> None:
    # Hundreds of processes of ours are started: each would compile all of our modules anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # Started in the background of a script, a process ignores Ctrl-C and hands that on to its children.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _parent_of_servers() -> Path | None:
    """Memory where there is enough of it, else None: the usual place.

    A database is some hundred files, and most tests have one made: on a disk that takes ten times as long.
    Tests kill processes, never machines, and what a process wrote outlives it on either.
    """
    if not os.access(MEMORY, os.W_OK | os.X_OK) or shutil.disk_usage(MEMORY).free < MEMORY_BYTES:
        return None
    return MEMORY


@pytest.fixture(scope="session")
def server_root() -> Iterator[Path]:
    """A folder that server accounts can reach; pytest's own is closed to them when we are root."""
    folder = Path(tempfile.mkdtemp(prefix="almenara-tests-", dir=_parent_of_servers()))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def server_folder(server_root: Path) -> Iterator[Path]:
    """A folder below :func:`server_root`, fresh for one test and gone after it."""
    folder = server_root / f"test-{next(_numbers)}"
    folder.mkdir(mode=0o711)
    yield folder
    # a server that just died may still have a file under way; the whole root is removed at the end
    shutil.rmtree(folder, ignore_errors=True)


# -------------------------------------------------------------------------------------- PostgreSQL


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_server(server_root: Path) -> AsyncIterator[EmbeddedPostgres]:
    """The embedded PostgreSQL, holding a migrated database named ``migrated``."""
    server = EmbeddedPostgres(server_root / "postgres")
    await server.start()
    try:
        admin = await asyncpg.connect(server.admin_dsn)
        await admin.execute(f"create database migrated owner {ROLE}")
        await admin.close()
        pool = await connect(_database(server.address, "migrated"), max_size=1)
        await migrate(pool)
        await pool.close()
        yield server
    finally:
        await server.stop()


@pytest.fixture(scope="session")
def postgres_dsn(postgres_server: EmbeddedPostgres) -> str:
    """The superuser's DSN of the embedded server."""
    return postgres_server.admin_dsn


@pytest_asyncio.fixture
async def dsn(postgres_server: EmbeddedPostgres) -> AsyncIterator[str]:
    """A fresh migrated database for one test, with the rights that the hub has in production."""
    name = f"test_{next(_numbers)}"
    admin = await asyncpg.connect(postgres_server.admin_dsn)
    try:
        await admin.execute(f"create database {name} template migrated owner {ROLE}")
        yield _database(postgres_server.address, name)
        await admin.execute(f"drop database {name} with (force)")
    finally:
        await admin.close()


@pytest_asyncio.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    """A pool on a fresh migrated database."""
    opened = await connect(dsn)
    yield opened
    try:
        async with asyncio.timeout(30):
            await opened.close()
    except TimeoutError:
        opened.terminate()
        raise  # a connection that a test keeps is a leak of the code under test


def _database(address: str, name: str) -> str:
    return f"{address.rpartition('/')[0]}/{name}"


# --------------------------------------------------------------------------------------- Mosquitto


class Mosquitto:
    """Debian's Mosquitto with the settings that production uses; anonymous, MQTT 3.1.1 and 5.

    ``has_memory`` True saves sessions to disk (an orderly :meth:`stop` keeps them); False forgets all.
    """

    host = "127.0.0.1"

    def __init__(self, root: Path, *, has_memory: bool = False) -> None:
        self.root = root
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        root.mkdir(mode=0o711)
        store = root / "store"
        store.mkdir()
        # Started as root it becomes the user mosquitto before it opens its store.
        store.chmod(0o777)
        lines = [
            f"listener {self.port} {self.host}",
            "allow_anonymous true",
            "set_tcp_nodelay true",
            "max_queued_messages 1000000",
            "max_inflight_messages 1000",
            "persistent_client_expiration 14d",
            f"persistence {'true' if has_memory else 'false'}",
            f"persistence_location {store}/",
            "autosave_interval 1",
        ]
        (root / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start on the same port as before, and wait until it answers."""
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        assert program is not None, "install mosquitto (make peers)"
        with (self.root / "mosquitto.log").open("ab") as output:
            self._process = process.launch(
                [program, "-c", self.root / "mosquitto.conf"],
                account=None,
                death_signal=signal.SIGKILL,
                output=output,
            )
        wait_for_port(self.port, self._process, self.root / "mosquitto.log")

    def stop(self) -> None:
        """An orderly end (SIGTERM)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """``kill -9``."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """``kill -9`` and start again."""
        self.kill()
        self.start()

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(10)
            self._process = None


def wait_for_port(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    """Return when 127.0.0.1:``port`` accepts; fails after 10 s, or when ``server`` ends."""
    for _ in range(2000):
        assert server.poll() is None, files.tail(log)
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        try:
            server.wait(0.005)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError(f"nobody listens on {port}: {files.tail(log)}")


@pytest.fixture
def mosquitto(server_folder: Path) -> Iterator[Mosquitto]:
    """A running Mosquitto whose memory is lost when it is killed."""
    broker = Mosquitto(server_folder / "mosquitto")
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def lasting_mosquitto(server_folder: Path) -> Iterator[Mosquitto]:
    """A running Mosquitto that keeps its sessions on disk."""
    broker = Mosquitto(server_folder / "lasting", has_memory=True)
    broker.start()
    yield broker
    broker.kill()


# ----------------------------------------------------------------------------- the embedded broker


@pytest_asyncio.fixture
async def nats_broker(server_folder: Path) -> AsyncIterator[EmbeddedBroker]:
    """The embedded broker, running, with the gateways ``gw-1`` and ``gw-2``; nobody restarts it."""
    broker = EmbeddedBroker(server_folder / "broker")
    await broker.set_gateways(["gw-1", "gw-2"])
    await broker.start()
    yield broker
    await broker.stop()
