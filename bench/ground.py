"""The ground that every measurement stands on: one PostgreSQL, a fresh broker and a fresh database each time.

Everything listens on loopback, on free ports, below one temporary folder, and ends with the context.
"""

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from bench import fleet, usage
from bench.errors import BenchError
from bench.programs import Programs, build
from bench.usage import Cpu
from hub.servers import files, process
from hub.servers.child import free_port
from hub.servers.postgres import ROLE, EmbeddedPostgres

HOST = "127.0.0.1"
TREE = Path(__file__).parent.parent
_MOSQUITTO = "/usr/sbin/mosquitto"
_READY_S = 60.0
_CONNECTED = "almenara_broker_connected{"

# What the bare subscribers write into: a heap, and a table with the key and the indexes of the hub's events.
_BARE_TABLES = """
    create table bench_log (
      received_at timestamptz not null default now(), topic text not null, payload jsonb not null);
    create table bench_keyed (
      id uuid primary key, source text not null, type text not null, happened_at timestamptz not null,
      received_at timestamptz not null default now(), topic text not null, payload jsonb not null);
    create index on bench_keyed (source, happened_at);
    create index on bench_keyed (received_at);
"""


_HAS_PARTITIONS = "select count(*) > 1 from pg_inherits where inhparent = 'events'::regclass"


@dataclass(frozen=True)
class Broker:
    """A running Mosquitto with an empty memory."""

    pid: int
    port: int


@dataclass(frozen=True)
class Hub:
    """A running ``almenara-hub serve`` whose lanes are connected."""

    pid: int
    url: str
    folder: Path

    @property
    def texts(self) -> Path:
        """Where the file transport writes."""
        return self.folder / "sms.jsonl"


class Ground:
    """Starts what a measurement needs. Made by :func:`prepared`."""

    def __init__(self, folder: Path, postgres: EmbeddedPostgres, programs: Programs) -> None:
        self.folder = folder
        self.programs = programs
        self._postgres = postgres
        self._numbers = itertools.count(1)

    # ------------------------------------------------------------------------------------ database

    def dsn(self, database: str) -> str:
        return f"{self._postgres.address.rpartition('/')[0]}/{database}"

    async def admin(self, *statements: str) -> None:
        connection = await asyncpg.connect(self._postgres.admin_dsn)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def template(self, name: str, sensors: int, buttons: int, tree: Path = TREE) -> None:
        """A migrated database with this fleet registered, to make others from."""
        await self.admin(f"create database {name} owner {ROLE}")
        devices = self.folder / f"{name}.csv"
        fleet.write_devices(devices, sensors, buttons)
        words = ["devices", "import", devices, "--database", self.dsn(name), "--data", self.folder / name]
        code, output = await _command(tree, words)
        if code:
            raise BenchError(f"the devices were not imported: {output[-500:]}")
        await self.query(name, _BARE_TABLES)
        # What is measured is a hub in its ordinary life, not the minute in which it makes its partitions.
        async with self.broker() as broker, self.hub(broker, name, tree), asyncio.timeout(_READY_S):
            while not (await self.query(name, _HAS_PARTITIONS))[0][0]:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.1)

    @contextlib.asynccontextmanager
    async def database(self, template: str) -> AsyncIterator[str]:
        """The name of a fresh database, on disk before anything is measured; dropped at the end."""
        name = f"run_{next(self._numbers)}"
        await self.admin(f"create database {name} template {template} owner {ROLE}", "checkpoint")
        try:
            yield name
        finally:
            await self.admin(f"drop database {name} with (force)")

    async def query(self, database: str, statement: str, *values: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.dsn(database))
        try:
            if values or statement.lstrip().startswith("select"):
                return list(await connection.fetch(statement, *values))
            await connection.execute(statement)
            return []
        finally:
            await connection.close()

    async def count(self, database: str, table: str) -> int:
        rows = await self.query(database, f"select count(*) from {table}")  # noqa: S608 - a name of ours
        return int(rows[0][0])

    # -------------------------------------------------------------------------------------- broker

    @contextlib.asynccontextmanager
    async def broker(self) -> AsyncIterator[Broker]:
        folder = self.folder / f"broker-{next(self._numbers)}"
        folder.mkdir(mode=0o711)
        port = free_port()
        lines = [
            f"listener {port} {HOST}",
            "allow_anonymous true",
            "set_tcp_nodelay true",
            "max_queued_messages 1000000",
            "max_inflight_messages 1000",
        ]
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        with (folder / "mosquitto.log").open("ab") as output:
            words = [_MOSQUITTO, "-c", folder / "mosquitto.conf"]
            child = process.launch(words, account=None, death_signal=signal.SIGKILL, output=output)
        try:
            await _until(lambda: _answers(port), child, folder / "mosquitto.log")
            yield Broker(child.pid, port)
        finally:
            child.kill()
            child.wait()

    # ----------------------------------------------------------------------------------------- hub

    @contextlib.asynccontextmanager
    async def hub(
        self, broker: Broker, database: str, tree: Path = TREE, options: Sequence[str] = ()
    ) -> AsyncIterator[Hub]:
        """A hub from the checkout ``tree``, with further options; stopped in order at the end."""
        folder = self.folder / f"hub-{next(self._numbers)}"
        folder.mkdir(mode=0o711)
        words = ["--mqtt", f"{HOST}:{broker.port}", "--database", self.dsn(database), "--data", folder]
        log = folder / "hub.log"
        with log.open("ab") as output:
            child = _launch_hub(tree, ["serve", "--http", f"{HOST}:0", *words, *options], output.fileno())
        try:
            await _until(lambda: "consola: " in log.read_text(), child, log)
            url = log.read_text().partition("consola: ")[2].split()[0]
            await _until(lambda: _is_connected(url), child, log)
            yield Hub(child.pid, url, folder)
            if child.poll() is not None:
                raise BenchError(f"the hub ended by itself with code {child.poll()}: {files.tail(log)}")
        finally:
            if child.poll() is None:
                await process.end(child, signal.SIGTERM, signal.SIGKILL, 20.0)

    # --------------------------------------------------------------------------------------- usage

    def cpu(self, hub_pid: int | None, broker: Broker) -> Cpu:
        return Cpu(usage.cpu_s(hub_pid), usage.cpu_of_family_s(self._postgres_pid), usage.cpu_s(broker.pid))

    def database_mb(self) -> float:
        return usage.memory_mb([self._postgres_pid, *usage.children(self._postgres_pid)])

    @property
    def _postgres_pid(self) -> int:
        pid = self._postgres.pid
        if pid is None:
            raise BenchError("PostgreSQL ended in the middle of the bench")
        return pid


@contextlib.asynccontextmanager
async def prepared() -> AsyncIterator[Ground]:
    """A ground; everything on it ends with the context."""
    programs = build()
    with _folder() as folder:
        postgres = EmbeddedPostgres(folder / "postgres")
        try:
            await postgres.start()
            yield Ground(folder, postgres, programs)
        finally:
            await postgres.stop()


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="almenara-bench-"))
    folder.chmod(0o711)  # servers that were started by root run under another account
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# ------------------------------------------------------------------------------------------- helpers


def environment(tree: Path) -> dict[str, str]:
    """Ours without anybody's settings, so that programs come from ``tree`` and run with their defaults."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ALMENARA_")}
    return {**kept, "PYTHONPATH": str(tree)}


def _launch_hub(tree: Path, words: list[object], output: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "hub.cli", *map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd=tree,
        env=environment(tree),
    )


async def _command(tree: Path, words: list[object]) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hub.cli",
        *map(str, words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=tree,
        env=environment(tree),
    )
    output, _ = await child.communicate()
    return child.returncode or 0, output.decode()


async def _until(is_so: Callable[[], bool], child: "subprocess.Popen[bytes]", log: Path) -> None:
    async with asyncio.timeout(_READY_S):
        while not await asyncio.to_thread(is_so):
            if child.poll() is not None:
                raise BenchError(f"a server of the bench ended: {files.tail(log)}")
            await asyncio.sleep(0.02)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def _is_connected(url: str) -> bool:
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:  # noqa: S310 - our own hub
        lines = answer.read().decode().splitlines()
    up = {line.split('"')[1] for line in lines if line.startswith(_CONNECTED) and line.endswith(" 1.0")}
    return up >= {"alarm", "event", "telemetry"}
