"""The embedded PostgreSQL: what an operator's machine does to it, on a real one."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from fakes import eventually

from hub.database import connect, migrate
from hub.servers import ServerError, child, files, postgres
from hub.servers.child import Server
from hub.servers.postgres import Binaries, EmbeddedPostgres, choose


@contextlib.asynccontextmanager
async def supervised(server: Server) -> AsyncIterator[None]:
    loop = asyncio.create_task(server.supervise_loop())
    yield
    assert not loop.done() or loop.exception() is None
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def ask(dsn: str, sql: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    # An orphan that nobody has buried yet is as dead as one that somebody has.
    return state != "Z"


@pytest_asyncio.fixture
async def server(server_folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    """Not started; its folder has a space in the name and lies in one that only we may enter."""
    closed = server_folder / "only for us"
    closed.mkdir(mode=0o700)
    found = EmbeddedPostgres(closed / "data")
    yield found
    await found.stop()


async def test_a_second_start_changes_nothing(server: EmbeddedPostgres) -> None:
    dsn = await server.start()
    pid = server.pid

    assert await server.start() == dsn
    assert server.pid == pid
    assert await ask(dsn, "select 1") == 1


async def test_the_dsn_outlives_a_restart_of_the_hub(server: EmbeddedPostgres) -> None:
    dsn = await server.start()
    await server.stop()
    assert server.pid is None

    again = EmbeddedPostgres(server.root)
    try:
        assert await again.start() == dsn
        assert await ask(dsn, "select current_database()") == postgres.DATABASE
    finally:
        await again.stop()


async def test_the_hub_is_no_superuser_and_nobody_gets_in_without_a_password(
    postgres_server: EmbeddedPostgres,
) -> None:
    dsn = postgres_server.address

    assert await ask(dsn, "select rolsuper from pg_roles where rolname = current_user") is False
    assert await ask(dsn, "show listen_addresses") == "127.0.0.1"
    assert await ask(dsn, "show fsync") == "on"
    assert await ask(dsn, "show synchronous_commit") == "on"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(dsn, password="guessed")
    for secret in ("password", "admin_password"):
        assert (postgres_server.root / secret).stat().st_mode & 0o777 == 0o600


async def test_the_log_keeps_no_values_of_rows(postgres_server: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(postgres_server.address)
    try:
        await connection.execute("create temporary table people (phone text primary key)")
        for _ in range(2):
            with contextlib.suppress(asyncpg.UniqueViolationError):
                await connection.execute("insert into people values ($1)", "+56911111111")
    finally:
        await connection.close()

    logged = postgres_server.log_file.read_text()
    assert "duplicate key" in logged
    assert "+56911111111" not in logged


async def test_a_killed_postmaster_comes_back_with_every_committed_row(server: EmbeddedPostgres) -> None:
    dsn = await server.start()
    await ask(dsn, "create table kept (n integer)")
    await ask(dsn, "insert into kept select generate_series(1, 1000)")
    killed = server.pid
    assert killed is not None

    async with supervised(server):
        os.kill(killed, signal.SIGKILL)
        await eventually(lambda: server.pid not in (None, killed))

    assert server.restarts == 1
    assert await server.start() == dsn
    assert await ask(dsn, "select count(*) from kept") == 1000


async def test_a_stop_on_purpose_is_no_restart(server: EmbeddedPostgres) -> None:
    await server.start()
    loop = asyncio.create_task(server.supervise_loop())
    await asyncio.sleep(0)

    await server.stop()
    async with asyncio.timeout(60):
        await loop

    assert (server.pid, server.restarts) == (None, 0)


async def test_what_crashes_leave_behind_does_not_stop_a_start(server: EmbeddedPostgres) -> None:
    server.root.mkdir()
    (server.root / "initdb.tmp").mkdir()
    (server.root / "initdb.tmp" / "half").write_text("a cluster")
    await server.start()
    await ask(server.address, "create table kept (n integer)")
    killed = server.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    await eventually(lambda: server.pid is None)
    (server.data / "postmaster.pid").write_bytes(b"")

    dsn = await server.start()

    assert await ask(dsn, "select count(*) from kept") == 0


async def test_a_port_that_was_taken_meanwhile_is_left_to_its_taker(server: EmbeddedPostgres) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taker:
        port = taker.getsockname()[1]
        server.root.mkdir()
        (server.root / "port").write_text(f"{port}\n")

        dsn = await server.start()

        assert f":{port}/" not in dsn
        assert await ask(dsn, "select 1") == 1


async def test_a_cluster_that_cannot_start_says_why(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "_ATTEMPTS", 2)
    await server.start()
    await server.stop()
    (server.data / "global" / "pg_control").unlink()

    with pytest.raises(ServerError, match="pg_control"):
        await server.start()


async def test_debian_s_postgresql_serves_where_the_wheel_is_missing(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres.importlib.util, "find_spec", lambda _name: None)

    pool = await connect(await server.start(), max_size=1)
    try:
        assert await migrate(pool) > 0
        major = int(await pool.fetchval("show server_version_num")) // 10_000
    finally:
        await pool.close()

    assert f"/{major}/" in str(next(postgres.installations()).folder)


def test_a_cluster_is_run_by_its_own_version_only(tmp_path: Path) -> None:
    newer, older = Binaries(tmp_path / "18", 18), Binaries(tmp_path / "15", 15)
    data = tmp_path / "pgdata"
    assert choose(data, [newer, older]) is newer

    data.mkdir()
    (data / "PG_VERSION").write_text("15\n")
    assert choose(data, [newer, older]) is older
    with pytest.raises(ServerError, match="made by PostgreSQL 15, here is only 18"):
        choose(data, [newer])
    with pytest.raises(ServerError, match="no PostgreSQL here"):
        choose(data, [])


# A hub that starts both servers, says who they are, and waits to be killed. It runs on uvloop, as hubs do.
_HUB = """
import asyncio, sys, uvloop
from pathlib import Path
from hub.servers.broker import EmbeddedBroker
from hub.servers.postgres import EmbeddedPostgres

async def main(root):
    servers = [EmbeddedPostgres(root / "postgres"), EmbeddedBroker(root / "broker")]
    for server in servers:
        await server.start()
    print(*(server.pid for server in servers), flush=True)
    await asyncio.gather(*(server.supervise_loop() for server in servers))

asyncio.Runner(loop_factory=uvloop.new_event_loop).run(main(Path(sys.argv[1])))
"""


def start_hub(folder: Path) -> tuple["subprocess.Popen[bytes]", list[int]]:
    hub = subprocess.Popen([sys.executable, "-c", _HUB, str(folder)], stdout=subprocess.PIPE)
    assert hub.stdout is not None
    return hub, [int(pid) for pid in hub.stdout.readline().split()]


async def test_the_servers_die_with_a_killed_hub_and_the_next_one_starts_at_once(server_folder: Path) -> None:
    hub, first = start_hub(server_folder)
    with hub:
        ports = [(server_folder / name / "port").read_text() for name in ("postgres", "broker")]
        assert len(first) == 2
        hub.kill()
    hub, second = start_hub(server_folder)
    with hub:
        await eventually(lambda: not any(is_alive(pid) for pid in first))
        assert [(server_folder / name / "port").read_text() for name in ("postgres", "broker")] == ports
        assert all(is_alive(pid) for pid in second)
        hub.kill()
    await eventually(lambda: not any(is_alive(pid) for pid in second))


async def test_supervision_runs_on_uvloop_too(server_folder: Path) -> None:
    hub, (killed, _) = start_hub(server_folder)
    with hub:
        os.kill(killed, signal.SIGKILL)
        pid_file = server_folder / "postgres" / "pgdata" / "postmaster.pid"

        def is_back() -> bool:
            lines = pid_file.read_text().splitlines() if pid_file.exists() else []
            return len(lines) >= 8 and lines[0] != str(killed) and lines[7].strip() == "ready"

        await eventually(is_back)
        again = int(pid_file.read_text().splitlines()[0])
        hub.kill()
    await eventually(lambda: not is_alive(again))


async def test_a_second_hub_on_the_same_folder_is_turned_away(server: EmbeddedPostgres) -> None:
    await server.start()
    second = EmbeddedPostgres(server.root)
    second.stop_patience_s = 0.1

    with pytest.raises(ServerError, match="another hub uses"):
        await second.start()

    assert await ask(server.address, "select 1") == 1


def test_the_first_of_two_makes_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret"

    assert files.kept_secret(path, b"first") == b"first"
    assert files.kept_secret(path, b"second") == b"first"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]
