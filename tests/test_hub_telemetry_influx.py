"""InfluxDB as the store: the spool, a server that is away or refuses, buckets, and history that moves."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from conftest import Mosquitto, wait_for_port
from fakes import VirtualClock, eventually
from hypothesis import given
from hypothesis import strategies as st
from influx_engine import ORG, TOKEN, InfluxEngine, Shim
from processes import hub_process

from edge import contract
from hub.clock import SystemClock
from hub.database import Pool
from hub.metrics import Metrics
from hub.servers import process
from hub.servers.child import free_port
from hub.settings import SettingsError, load
from hub.telemetry import Keep, Point, Resolution, Series, TelemetryError
from hub.telemetry.influx import Access
from hub.telemetry.influx import store as influx_store
from hub.telemetry.influx.lines import Batch, batch, prefix, split
from hub.telemetry.influx.moving import differences, move
from hub.telemetry.influx.server import InfluxServer
from hub.telemetry.influx.setup import problems, set_up
from hub.telemetry.influx.spool import Position, Record, Spool
from hub.telemetry.influx.store import InfluxTelemetry, open_influx
from hub.telemetry.partitions import ensure_partitions
from hub.telemetry.postgres import PostgresTelemetry

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEEP = Keep(raw_days=4000, rollup_days=9000)
ROOM = 4 * 2**20
SERIES = Series(1, "temperature", "Cel")


def reading(value: float, after: timedelta = timedelta(), device_id: int = 1) -> Point:
    return Point(device_id, "temperature", "Cel", NOON + after, value)


# ------------------------------------------------------------------------------------------- lines


def test_lines_carry_tags_in_one_order_and_times_in_milliseconds() -> None:
    start = prefix("urn:dev:org:32473-río 1", "a=b", "")
    points = [
        reading(0.1, timedelta(milliseconds=1)),
        Point(1, "a", "", NOON, None, 'x "y"'),
        Point(1, "a", "", NOON, None, None),
    ]
    assert batch([start] * 3, points) == Batch(
        (
            "telemetry,device=urn:dev:org:32473-río\\ 1,quantity=a\\=b value=0.1 1795521600001\n"
            'telemetry,device=urn:dev:org:32473-río\\ 1,quantity=a\\=b text="x \\"y\\"" 1795521600000'
        ).encode(),
        2,
        (1_795_521_600_000,),
    )


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5), st.text(max_size=10))
def test_texts_with_line_breaks_and_marks_are_split_where_lines_end(texts: list[str], unit: str) -> None:
    start = prefix("urn:x", "q", unit)
    points = [Point(1, "q", unit, NOON, None, text) for text in texts]
    single = [batch([start], [p]).lines for p in points]
    assert split(batch([start] * len(points), points).lines) == single


# ------------------------------------------------------------------------------------------- spool


def lines(name: str, size: int = 10) -> Batch:
    return Batch(f"telemetry,device={name} value={'1' * size} 1".encode(), 1, (0,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def opened(folder: Path, room: int = ROOM) -> tuple[Spool, list[int]]:
    dropped: list[int] = []
    return Spool(folder, room, dropped.append), dropped


def names(spool: Spool) -> list[str]:
    return [name_of(r) for r in spool.peek(2**30)]


def name_of(record: Record) -> str:
    return record.batch.lines.split(b"=")[1].split(b" ")[0].decode()


def test_what_was_appended_is_there_after_a_restart_and_in_order(folder: Path) -> None:
    spool, _ = opened(folder)
    for name in "abc":
        spool.append(lines(name))
    spool.advance(spool.peek(1)[0].after)
    spool.close()
    spool, _ = opened(folder)
    spool.append(lines("d"))
    assert names(spool) == ["b", "c", "d"]
    spool.advance(spool.peek(2**30)[-1].after)
    assert names(spool) == []
    spool.close()


def test_what_is_on_its_way_is_passed_over(folder: Path) -> None:
    spool, _ = opened(folder)
    for name in "abc":
        spool.append(lines(name))
    first = spool.peek(1)[0]
    assert [name_of(r) for r in spool.peek(2**30, first.after)] == ["b", "c"]
    assert names(spool) == ["a", "b", "c"], "looking takes nothing away"
    spool.advance(spool.peek(2**30)[1].after)
    assert [name_of(r) for r in spool.peek(2**30, first.after)] == ["c"], "never back to what is done"
    spool.close()


def test_a_torn_record_costs_only_itself(folder: Path) -> None:
    spool, _ = opened(folder)
    spool.append(lines("a"))
    spool.append(lines("b"))
    spool.close()
    path = next(folder.glob("*.lines"))
    path.write_bytes(path.read_bytes()[:-3])
    spool, _ = opened(folder)
    spool.append(lines("c"))
    assert names(spool) == ["a", "c"]
    spool.close()


def test_a_cursor_beyond_what_the_disk_kept_hides_nothing_new(folder: Path) -> None:
    """The server had it, the power went before our disk had it: the file is shorter than the cursor says."""
    spool, _ = opened(folder)
    spool.append(lines("a"))
    spool.append(lines("b"))
    spool.advance(spool.peek(2**30)[-1].after)
    spool.close()
    path = next(folder.glob("*.lines"))
    path.write_bytes(path.read_bytes()[:20])
    spool, _ = opened(folder)
    spool.append(lines("c"))
    assert names(spool) == ["c"]
    spool.close()


def test_a_full_spool_gives_up_its_oldest_and_says_so(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool, dropped = opened(folder, room=40_000)
    for n in range(100):
        spool.append(lines(f"{n:03d}", size=1000))
    kept = names(spool)
    assert kept == [f"{n:03d}" for n in range(100 - len(kept), 100)]
    assert 0 < sum(dropped) == 100 - len(kept)
    assert spool.waiting_bytes <= 40_000
    assert "its oldest" in caplog.text
    spool.close()


def test_what_the_server_had_is_not_counted_as_lost(folder: Path) -> None:
    spool, dropped = opened(folder, room=40_000)
    for n in range(100):
        spool.append(lines(f"{n:03d}", size=1000))
        spool.advance(spool.peek(1)[-1].after)
    assert dropped == []
    spool.close()


# ------------------------------------------------------------------------------------------ server


@pytest_asyncio.fixture
async def engine(server_folder: Path) -> AsyncIterator[InfluxEngine]:
    made = InfluxEngine(server_folder / "influx")
    await made.start()
    yield made
    await made.kill()


@pytest_asyncio.fixture
async def shim(engine: InfluxEngine) -> AsyncIterator[Shim]:
    async with Shim(engine) as made:
        yield made


def access(shim: Shim, token: str = TOKEN) -> Access:
    return Access(url=shim.url, org=ORG, bucket="almenara", token=token)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest_asyncio.fixture
async def store(shim: Shim, pool: Pool, folder: Path, metrics: Metrics) -> AsyncIterator[InfluxTelemetry]:
    await register(pool)
    async with open_influx(access(shim), folder, ROOM, KEEP, metrics) as made:
        await set_up(made.server, KEEP)
        await made.load(pool)
        yield made


async def register(pool: Pool) -> None:
    await pool.execute("insert into gateways (gateway) values ('gw-1')")
    await pool.execute(
        "insert into devices (source, gateway, kind, name)"
        " select 'urn:dev:org:32473-sensor-' || n, 'gw-1', 'sensor', '' from generate_series(1, 10) n"
    )


async def write(store: InfluxTelemetry, pool: Pool, *points: Point) -> None:
    await store.prepare(pool, points)
    await store.write(pool, points, NOON)


async def raw(store: InfluxTelemetry, pool: Pool) -> list[float]:
    found = await store.history(pool, SERIES, NOON, NOON + timedelta(hours=1), Resolution.RAW)
    return [row.sum for row in found]


def sample(metrics: Metrics, name: str) -> float:
    return metrics.registry.get_sample_value(f"almenara_telemetry_{name}") or 0


async def test_a_bad_line_stands_alone_and_is_reported(
    store: InfluxTelemetry, pool: Pool, metrics: Metrics, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A time beyond InfluxDB's cannot be parsed; a field of another type makes a partial write."""
    far = Point(1, "temperature", "Cel", datetime(9000, 1, 1, tzinfo=UTC), 1.0)
    good = [reading(float(n), timedelta(seconds=n)) for n in range(9)]
    clash = Batch(b'telemetry,device=x,quantity=y value="text" 1795521600000', 1, (1_795_521_600_000,))
    await write(store, pool, *good[:4], far, *good[4:])
    await store.send_waiting(pool, SystemClock())
    store.spool.append(clash)
    await write(store, pool, reading(100.0, timedelta(seconds=100)))
    await store.send_waiting(pool, SystemClock())
    assert await raw(store, pool) == [*(float(n) for n in range(9)), 100.0]
    assert sample(metrics, "rejected_total") == 2
    kept = (folder / "rejected.lines").read_text()
    assert "value=1.0 221845392000000" in kept
    assert "field type conflict" in kept
    assert "telemetry,device=x,quantity=y" in caplog.text
    assert store.spool.peek(1) == []


async def test_readings_wait_on_disk_while_the_server_is_away(
    store: InfluxTelemetry, engine: InfluxEngine, pool: Pool, metrics: Metrics
) -> None:
    await engine.kill()
    await write(store, pool, *[reading(float(n), timedelta(seconds=n)) for n in range(5)])
    assert sample(metrics, "waiting_bytes") > 0
    assert not (await store.health(pool)).is_up
    assert (await store.latest(pool, [1]))[0].value == 4.0, "rules need the newest, server or not"
    await engine.start()
    await store.send_waiting(pool, SystemClock())
    assert await raw(store, pool) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert sample(metrics, "waiting_bytes") == 0


async def test_a_request_leaves_the_spool_once_its_slots_are_noted(
    store: InfluxTelemetry, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent, noted, then forgotten, while later requests are under way already."""
    monkeypatch.setattr(influx_store, "REQUEST_BYTES", 1)
    for n in range(6):
        await write(store, pool, reading(float(n), timedelta(minutes=10 * n)))
    steps: list[tuple[str, int]] = []
    server_write, advance = store.server.write, store.spool.advance

    async def written(resolution: Resolution, lines: bytes) -> None:
        await server_write(resolution, lines)
        steps.append(("sent", int(float(lines.split(b"value=")[1].split(b" ")[0]))))

    def advanced(position: Position) -> None:
        steps.append(("forgotten", sum(step == "forgotten" for step, _ in steps)))
        advance(position)

    monkeypatch.setattr(store.server, "write", written)
    monkeypatch.setattr(store.spool, "advance", advanced)
    await store.send_waiting(pool, SystemClock())
    assert [n for step, n in steps if step == "sent"] == list(range(6))
    assert all(steps.index(("sent", n)) < steps.index(("forgotten", n)) for n in range(6))
    assert await pool.fetchval("select count(distinct slot) from telemetry_changes") == 6
    assert store.spool.peek(1) == []


async def test_an_overwritten_value_is_the_one_that_came_last(
    store: InfluxTelemetry, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(influx_store, "REQUEST_BYTES", 1)
    for n in range(20):
        await write(store, pool, reading(float(n)))
    await store.send_waiting(pool, SystemClock())
    assert await raw(store, pool) == [19.0]


async def test_the_sender_waits_longer_and_longer_and_nothing_is_dropped(
    store: InfluxTelemetry, engine: InfluxEngine, shim: Shim, pool: Pool
) -> None:
    await engine.kill()
    await write(store, pool, reading(1.0))
    clock = VirtualClock()
    sending = asyncio.create_task(store.send_loop(pool, clock))
    waits = []
    for _ in range(10):
        await clock.sleeping()
        due = clock.next_due_at()
        assert due is not None
        waits.append((due - clock.now()).total_seconds())
        await clock.advance(waits[-1])
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]
    await engine.start()
    while store.spool.peek(1):
        await clock.advance(30)
        await eventually(lambda: clock.sleeper_count or not store.spool.peek(1))
    sending.cancel()
    assert await raw(store, pool) == [1.0]


async def test_a_wrong_token_is_named_and_nothing_is_lost(
    store: InfluxTelemetry, shim: Shim, pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    async with InfluxServer(access(shim, "hub:falso")) as stranger:
        with pytest.raises(TelemetryError, match="influxdb_token_file"):
            await stranger.write(Resolution.RAW, b"telemetry value=1 1")
    async with InfluxServer(Access(shim.url, ORG, "otro", TOKEN)) as lost:
        with pytest.raises(TelemetryError, match="telemetry setup"):
            await lost.write(Resolution.RAW, b"telemetry value=1 1")
    assert "falso" not in caplog.text


async def test_setup_makes_the_buckets_mends_retention_and_is_idempotent(shim: Shim) -> None:
    async with InfluxServer(access(shim)) as server:
        assert len(await problems(server, KEEP)) == 4
        assert all("creado" in line for line in await set_up(server, KEEP))
        assert await problems(server, KEEP) == []
        assert all("está bien" in line for line in await set_up(server, KEEP))
        longer = Keep(raw_days=5000, rollup_days=9000)
        assert ["ahora" in line for line in await set_up(server, longer)] == [True, True, False, False]
        keeps = {name: bucket.keep_s for name, bucket in (await server.buckets()).items() if bucket}
        assert keeps[Resolution.MINUTE] == 5000 * 86_400
        assert keeps[Resolution.DAY] == 9000 * 86_400


async def test_two_rollers_do_not_get_in_each_others_way(store: InfluxTelemetry, pool: Pool) -> None:
    await write(store, pool, *[reading(1.0, timedelta(minutes=n)) for n in range(120)])
    await store.send_waiting(pool, SystemClock())
    counts = await asyncio.gather(store.roll_up(pool, NOON), store.roll_up(pool, NOON))
    assert sum(counts) == 12
    rows = await store.history(pool, SERIES, NOON, NOON + timedelta(hours=2), Resolution.HOUR)
    assert [row.n for row in rows] == [60, 60]


# ----------------------------------------------------------------------------------------- history


async def test_history_moves_and_a_cut_move_goes_on_where_it_was(
    store: InfluxTelemetry, engine: InfluxEngine, pool: Pool
) -> None:
    old = PostgresTelemetry(KEEP)
    await ensure_partitions(pool, NOON.date())
    points = [reading(float(n), timedelta(hours=n)) for n in range(72)]
    points.append(Point(2, "door", "", NOON, None, "abierta"))
    await old.prepare(pool, points)
    await old.write(pool, points, NOON + timedelta(days=4))
    while await old.roll_up(pool, NOON):
        pass
    seen = []

    async def moving() -> None:
        async for step in move(pool, store.server, KEEP, NOON):
            seen.append(step)
            await engine.kill()

    with pytest.raises(TelemetryError, match="503"):
        await moving()
    assert [(step.days_done, step.days, step.rows) for step in seen] == [(1, 4, 13)]
    await engine.start()
    again = [step async for step in move(pool, store.server, KEEP, NOON)]
    assert [step.rows for step in again] == [0, 24, 24, 12]
    assert await differences(pool, store.server, KEEP, NOON) == []
    span = (NOON - timedelta(days=1), NOON + timedelta(days=9))
    for resolution in Resolution:
        theirs = await store.history(pool, SERIES, *span, resolution)
        assert theirs == await old.history(pool, SERIES, *span, resolution), resolution
    await store.server.query('delete from "telemetry" where time < 1795521600001ms')
    assert len(await differences(pool, store.server, KEEP, NOON)) == 1


def hub(*words: object) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "hub.cli", "--log", "error", *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


async def test_the_commands_prepare_move_and_check(shim: Shim, dsn: str, pool: Pool, tmp_path: Path) -> None:
    await register(pool)
    old = PostgresTelemetry()
    now = datetime.now(UTC).replace(microsecond=0)
    points = [Point(1, "temperature", "Cel", now - timedelta(minutes=n), float(n)) for n in range(30)]
    await old.prepare(pool, points)
    await old.write(pool, points, now)
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    config = tmp_path / "hub.toml"
    config.write_text(
        f'data = "{tmp_path}"\ndatabase = "{dsn}"\ntelemetry_store = "influxdb"\n'
        f'influxdb_url = "{shim.url}"\n'
        f'influxdb_org = "{ORG}"\ninfluxdb_token_file = "{token}"\n'
    )
    found = {
        word: await asyncio.to_thread(hub, "--config", config, "telemetry", word)
        for word in ("check", "setup", "move")
    }
    assert found["check"].returncode == 1
    assert "PROBLEMA: falta el bucket almenara" in found["check"].stdout
    assert found["setup"].returncode == 0, found["setup"].stderr
    assert found["move"].returncode == 0, found["move"].stderr
    assert "30 mediciones copiadas" in found["move"].stdout
    after = await asyncio.to_thread(hub, "--config", config, "telemetry", "check")
    assert (after.returncode, after.stdout.splitlines()[-1]) == (0, "todo está bien")
    await pool.execute("delete from telemetry_moves")
    token.write_text("hub:falso")
    wrong = await asyncio.to_thread(hub, "--config", config, "telemetry", "move")
    assert wrong.returncode == 1
    assert "influxdb_token_file" in wrong.stderr
    assert "Traceback" not in wrong.stderr


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"influxdb_url": "http://series.comuna.cl:8086"}, "use https"),
        ({"influxdb_url": "series.comuna.cl"}, "influxdb_url: escriba"),
        ({"influxdb_org": ""}, "influxdb_org: hace falta"),
        ({"influxdb_token_file": None}, "influxdb_token_file: hace falta"),
        ({"influxdb_bucket": "a/b"}, "sin barra"),
    ],
)
def test_settings_that_cannot_work_are_named(
    tmp_path: Path, changes: dict[str, str | None], words: str
) -> None:
    token = tmp_path / "token"
    token.write_text("x")
    good = {
        "telemetry_store": "influxdb",
        "influxdb_url": "https://series.comuna.cl:8086",
        "influxdb_org": "comuna",
        "influxdb_token_file": token,
    }
    assert load(**good).telemetry_store == "influxdb"
    with pytest.raises(SettingsError, match=words):
        load(**(good | changes))


# ------------------------------------------------------------------------------------ the whole hub


def pack(number: int, at: datetime) -> str:
    records = [
        {"bn": "urn:dev:org:32473-sensor-1:", "bt": at.timestamp(), "id": f"pack-{number}", "clock": "synced"}
        | {"n": "temperature", "u": "Cel", "v": float(number)},
    ]
    return json.dumps(records)


async def test_a_hub_that_is_killed_while_influxdb_is_away_loses_no_receipted_reading(
    shim: Shim, engine: InfluxEngine, mosquitto: Mosquitto, dsn: str, pool: Pool, server_folder: Path
) -> None:
    await register(pool)
    async with InfluxServer(access(shim)) as server:
        await set_up(server, KEEP)
        token = server_folder / "token"
        token.write_text(TOKEN)
        names = {"URL": shim.url, "ORG": ORG, "TOKEN_FILE": str(token)}
        environment = {f"ALMENARA_HUB_INFLUXDB_{name}": value for name, value in names.items()}
        environment["ALMENARA_HUB_TELEMETRY_STORE"] = "influxdb"
        options = ("--mqtt", f"127.0.0.1:{mosquitto.port}", "--database", dsn)
        options += ("--data", str(server_folder / "data"))
        now = datetime.now(UTC).replace(microsecond=0)
        await engine.kill()
        async with hub_process(server_folder, *options, environment=environment) as hub:
            packs = [pack(n, now - timedelta(seconds=n)) for n in range(20)]

            async def arrived() -> int:
                # Until the hub has subscribed nobody keeps them; then they come more than once.
                await asyncio.to_thread(publish_packs, mosquitto.port, packs)
                return spooled(server_folder / "data" / "telemetry") >= 40

            await eventually(arrived)
            assert await pool.fetchval("select value from telemetry_latest") == 0.0
            await hub.kill()
        await engine.start()
        async with hub_process(server_folder, *options, environment=environment):
            counting = f'select count("value") from {server.table(Resolution.RAW)}'

            async def stored() -> bool:
                answer = await server.query(counting)
                return bool(answer) and answer[0].values[0][1] == 20

            await eventually(stored)


def publish_packs(port: int, packs: list[str]) -> None:
    topic = contract.topic("gw-1", contract.Leaf.TELEMETRY)
    words = ["/usr/bin/mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-t", topic, "-l"]
    subprocess.run(words, input="\n".join(packs).encode() + b"\n", check=True, timeout=20)


def spooled(folder: Path) -> int:
    """Lines in the files of a spool, read as a stranger would."""
    return sum(path.read_bytes().count(b" value=") for path in folder.glob("0*.lines"))


# --------------------------------------------------------------------------------- VictoriaMetrics


@pytest.fixture
def victoria(server_folder: Path) -> Iterator[str]:
    """Debian's VictoriaMetrics, which takes version 2's writes by itself; its address."""
    port = free_port()
    with (server_folder / "victoria.log").open("wb") as output:
        child = process.launch(
            [
                "/usr/bin/victoria-metrics",
                f"-storageDataPath={server_folder}/victoria",
                f"-httpListenAddr=127.0.0.1:{port}",
                "-retentionPeriod=100y",
                "-influxListenAddr=",
            ],
            account=None,
            death_signal=signal.SIGKILL,
            output=output,
        )
    wait_for_port(port, child, server_folder / "victoria.log")
    yield f"http://127.0.0.1:{port}"
    child.kill()
    child.wait(10)


async def test_another_server_of_the_same_protocol_takes_our_writes(victoria: str) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    start = prefix("urn:dev:org:32473-sensor-1", "caudal, río", "m3/s")
    points = [Point(1, "q", "", now - timedelta(seconds=n), float(n)) for n in range(100)]
    async with InfluxServer(Access(victoria, "x", "y", "z")) as server, aiohttp.ClientSession() as session:
        await server.write(Resolution.RAW, batch([start] * 100, points).lines)
        async with session.get(f"{victoria}/internal/force_flush"):
            pass

        async def exported() -> str:
            async with session.get(f"{victoria}/api/v1/export?match[]=telemetry_value") as response:
                return await response.text()

        found = await eventually(exported)
    assert '"quantity":"caudal, río"' in found
    assert found.count(",") > 190  # a hundred values and their times
