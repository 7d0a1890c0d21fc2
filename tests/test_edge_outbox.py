"""The outbox: nothing that it accepted is lost but what it says, and the file never outgrows its limit."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edge import contract
from edge.drivers import Lane
from edge.outbox import Entry, Outbox, OutboxError, OutboxFullError, read_stats
from edge.rows import ROW_OVERHEAD_BYTES
from edge.salvage import open_store
from edge.store import Store

WALL = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LIMIT = 1024 * 1024


def entry(message_id: str, lane: Lane = Lane.EVENT, size: int = 300, **changes: object) -> Entry:
    fields = {
        "lane": lane,
        "message_id": message_id,
        "source": "urn:dev:org:32473-boton-1",
        "payload": b"x" * size,
        "boot_id": "a-boot",
        "boottime_ms": 1_000,
        "wall": WALL,
        "clock": contract.Clock.SYNCED,
        "measurements": 2 if lane is Lane.TELEMETRY else 0,
    }
    return Entry(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[Outbox]:
    async with aclosing(_opened(tmp_path / "outbox.db")) as opened:
        async for box in opened:
            yield box


async def _opened(path: Path, limit_bytes: int = LIMIT) -> AsyncIterator[Outbox]:
    box = await Outbox.open(path, limit_bytes)
    try:
        yield box
    finally:
        await box.close()


async def pending(box: Outbox, lane: Lane) -> list[str]:
    return [row.entry.message_id for row in await box.next(lane, 1_000_000)]


# ------------------------------------------------------------------------------- plain behaviour


async def test_rows_come_back_as_they_were_and_in_order(outbox: Outbox) -> None:
    entries = [entry(f"e{n}", payload=b'{"n":%d}' % n) for n in range(5)]
    for one in entries:
        await outbox.put(one)
    assert [row.entry for row in await outbox.next(Lane.EVENT, 3)] == entries[:3]
    last = (await outbox.next(Lane.EVENT, 3))[-1].row_id
    assert [row.entry for row in await outbox.next(Lane.EVENT, 9, after=last)] == entries[3:]
    assert await outbox.next(Lane.ALARM, 9) == []


async def test_a_receipt_removes_and_a_refusal_sets_aside(outbox: Outbox) -> None:
    for name in ("a", "b", "c"):
        await outbox.put(entry(name))
    await outbox.receipt(["a", "unknown"])
    await outbox.receipt(["a"])
    await outbox.refuse("b", "data: too strange")
    await outbox.refuse("unknown", "never seen")
    assert await pending(outbox, Lane.EVENT) == ["c"]
    assert await outbox.refused() == [("b", "data: too strange")]
    stats = await outbox.stats()
    assert (stats.accepted["event"], stats.receipted["event"], stats.refused["event"]) == (3, 1, 1)


async def test_the_refused_ones_are_bounded(outbox: Outbox) -> None:
    for n in range(230):
        await outbox.put(entry(f"e{n}"))
        await outbox.refuse(f"e{n}", "no")
    refused = await outbox.refused()
    assert [refused[0][0], refused[-1][0], len(refused)] == ["e30", "e229", 200]


async def test_a_repeated_id_is_one_row(outbox: Outbox) -> None:
    await outbox.put(entry("same", size=10))
    await outbox.put(entry("same", size=20))
    (row,) = await outbox.next(Lane.EVENT, 9)
    assert len(row.entry.payload) == 10
    assert (await outbox.stats()).accepted["event"] == 1


async def test_concurrent_puts_are_all_kept_and_alarms_are_committed_first(outbox: Outbox) -> None:
    heard: list[Lane] = []
    outbox.follow(heard.append)
    lanes = [Lane.TELEMETRY] * 400 + [Lane.ALARM] * 3
    await asyncio.gather(*(outbox.put(entry(f"e{n}", lane)) for n, lane in enumerate(lanes)))
    assert len(heard) == 403
    # The writer may have begun with what came first; from its second round on alarms lead.
    assert max(n for n, lane in enumerate(heard) if lane is Lane.ALARM) < 2 * 128
    assert (await outbox.stats()).pending == {"alarm": 3, "event": 0, "telemetry": 400}


async def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    async with aclosing(_opened(tmp_path / "o.db")) as first:
        box = await anext(first)
        assert [box.next_sequence("s"), box.next_sequence("s"), box.next_sequence("t")] == [1, 2, 1]
        await box.put(entry("a", source="s", sequence=2))
        epochs = [await box.next_epoch() for _ in range(150)]
        await box.remember_command("c1", None)
        await box.remember_command("c1", b"done")
    async with aclosing(_opened(tmp_path / "o.db")) as second:
        box = await anext(second)
        assert box.next_sequence("s") == 3
        assert box.next_sequence("t") == 1  # never made durable: no entry carried it
        assert epochs == sorted(set(epochs))
        assert await box.next_epoch() > epochs[-1]
        assert await box.command_result("c1") == (True, b"done")
        assert await box.command_result("c2") == (False, None)


async def test_statistics_can_be_read_while_it_is_in_use(outbox: Outbox, tmp_path: Path) -> None:
    await outbox.put(entry("t", Lane.TELEMETRY))
    assert read_stats(tmp_path / "outbox.db") == await outbox.stats()
    with pytest.raises(OutboxError, match="does not exist"):
        read_stats(tmp_path / "nothing.db")


async def test_a_file_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "o.db").mkdir()
    with pytest.raises(OutboxError, match=r"o\.db"):
        await Outbox.open(tmp_path / "o.db", LIMIT)


# ------------------------------------------------------------------------------------ the limit


async def test_oldest_telemetry_goes_first_then_events_and_alarms_never(tmp_path: Path) -> None:
    size = 1000 - ROW_OVERHEAD_BYTES
    async with aclosing(_opened(tmp_path / "o.db", 6_000)) as opened:
        box = await anext(opened)
        for name, lane in zip("aabbtt", (0, 0, 1, 1, 2, 2), strict=True):
            await box.put(entry(f"{name}{len(await pending(box, Lane(lane)))}", Lane(lane), size))
        await box.put(entry("t2", Lane.TELEMETRY, size))
        assert await pending(box, Lane.TELEMETRY) == ["t1", "t2"]
        for n in (2, 3, 4):
            await box.put(entry(f"b{n}", Lane.EVENT, size))
        assert await pending(box, Lane.TELEMETRY) == []
        assert await pending(box, Lane.EVENT) == ["b1", "b2", "b3", "b4"]
        with pytest.raises(OutboxFullError):
            await box.put(entry("t3", Lane.TELEMETRY, size))
        for n in (2, 3, 4, 5):
            await box.put(entry(f"a{n}", Lane.ALARM, size))
        assert await pending(box, Lane.EVENT) == []
        for name, lane in (("e", Lane.EVENT), ("a6", Lane.ALARM)):
            with pytest.raises(OutboxFullError):
                await box.put(entry(name, lane, size))
        assert await pending(box, Lane.ALARM) == [f"a{n}" for n in range(6)]
        assert (await box.stats()).evicted == {"alarm": 0, "event": 5, "telemetry": 3}


@pytest.mark.parametrize("size", [120, 300, 900, 1_200, 1_800, 3_000, 20_000])
def test_the_file_stays_near_its_limit(tmp_path: Path, size: int) -> None:
    store = Store(tmp_path / "o.db", LIMIT)
    for batch in range(4 * LIMIT // (100 * (size + ROW_OVERHEAD_BYTES)) + 1):
        store.begin(durable=False)
        for n in range(100):
            name = str(contract.uuid7())
            store.put(
                entry(name, Lane.TELEMETRY, size + n % 7, boot_id="6e8ac44f-3a0d-4bd5-8f0d-1d2c3b4a5f60")
            )
        store.commit()
        assert store.stats().size_bytes <= LIMIT, batch
    assert store.stats().evicted["telemetry"] > 0
    store.close()
    assert LIMIT / 2 < (tmp_path / "o.db").stat().st_size < LIMIT * 1.25


def test_only_what_must_survive_a_power_cut_waits_for_the_disk(tmp_path: Path) -> None:
    store = Store(tmp_path / "o.db", LIMIT)
    for durable, expected in ((True, 2), (False, 1), (True, 2)):  # FULL, NORMAL, FULL
        store.begin(durable=durable)
        assert store._db.execute("pragma synchronous").fetchone() == (expected,)
        store.commit()
    store.close()


# --------------------------------------------------------------------------- a model of the outbox


class Model(RuleBasedStateMachine):
    """The store beside a plain list, through restarts."""

    limit = 6_000

    @initialize()
    def start(self) -> None:
        self.folder = Path(os.environ["HYPOTHESIS_FOLDER"]) / contract.uuid7().hex
        self.folder.mkdir()
        self.store = self._open()
        self.rows: list[Entry] = []
        self.done = {name: dict.fromkeys(Lane, 0) for name in ("accepted", "receipted", "refused", "evicted")}

    def _open(self) -> Store:
        store, torn = open_store(self.folder / "o.db", self.limit)
        assert torn is None
        return store

    def _lane(self, lane: Lane) -> list[Entry]:
        return [row for row in self.rows if row.lane is lane]

    def _drop(self, row: Entry, why: str) -> None:
        self.rows.remove(row)
        self.done[why][row.lane] += 1

    def _expected(self, new: Entry) -> list[Entry] | None:
        """Who must go for the new one, or None when it has no place."""
        victims = [
            row for lane in (Lane.TELEMETRY, Lane.EVENT) if lane >= new.lane for row in self._lane(lane)
        ]
        excess = sum(row.size_bytes for row in self.rows) + new.size_bytes - self.limit
        chosen: list[Entry] = []
        while excess > 0:
            if not victims:
                return None
            chosen.append(victims.pop(0))
            excess -= chosen[-1].size_bytes
        return chosen

    @rule(lane=st.sampled_from(Lane), size=st.integers(1, 2500))
    def put(self, lane: Lane, size: int) -> None:
        new = entry(str(contract.uuid7()), lane, size)
        victims = self._expected(new)
        self.store.begin(durable=lane is not Lane.TELEMETRY)
        try:
            self.store.put(new)
        except OutboxFullError:
            assert victims is None
        else:
            assert victims is not None
            for victim in victims:
                self._drop(victim, "evicted")
            self.rows.append(new)
            self.done["accepted"][lane] += 1
        self.store.commit()

    @rule(data=st.data(), refuse=st.booleans())
    def end(self, data: st.DataObject, refuse: bool) -> None:
        if not self.rows:
            return
        row = data.draw(st.sampled_from(self.rows))
        self.store.begin(durable=False)
        if refuse:
            self.store.refuse(row.message_id, "no")
        else:
            self.store.receipt([row.message_id])
        self.store.commit()
        self._drop(row, "refused" if refuse else "receipted")

    @rule(lane=st.sampled_from(Lane), size=st.integers(1, 2500))
    def change_of_mind(self, lane: Lane, size: int) -> None:
        self.store.begin(durable=False)
        with suppress(OutboxFullError):
            self.store.put(entry(str(contract.uuid7()), lane, size))
        self.store.rollback()

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = self._open()

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "store"):
            return
        stats = self.store.stats()
        for lane in Lane:
            assert [row.entry for row in self.store.next(lane, 1000)] == self._lane(lane)
            name = lane.name.lower()
            for counter, by_lane in self.done.items():
                assert getattr(stats, counter)[name] == by_lane[lane]
            ended = stats.receipted[name] + stats.refused[name] + stats.evicted[name]
            assert stats.accepted[name] - ended == stats.pending[name] == len(self._lane(lane))
        assert stats.evicted["alarm"] == 0
        assert stats.size_bytes == sum(row.size_bytes for row in self.rows) <= self.limit

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()


@pytest.fixture(scope="module", autouse=True)
def _hypothesis_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    os.environ["HYPOTHESIS_FOLDER"] = str(tmp_path_factory.mktemp("model"))
    yield
    del os.environ["HYPOTHESIS_FOLDER"]


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


# ----------------------------------------------------------------------------------- kill -9

WRITER = textwrap.dedent(
    """
    import asyncio, os, sys
    from datetime import UTC, datetime
    from pathlib import Path
    from edge.contract import Clock
    from edge.drivers import Lane
    from edge.outbox import Entry, Outbox

    def entry(name, lane, sequence):
        return Entry(lane=lane, message_id=name, source="s", payload=b"x" * 200, boot_id="b", boottime_ms=1,
                     wall=datetime.now(UTC), clock=Clock.SYNCED, sequence=sequence)

    async def write(box, worker):
        n = 0
        while True:
            name = f"{sys.argv[2]}-{worker}-{n}"
            n += 1
            await box.put(entry(name, Lane(n % 3), box.next_sequence("s")))
            os.write(1, b"+" + name.encode() + b"\\n")
            if n % 4 == 0:
                os.write(1, b"?" + name.encode() + b"\\n")
                await box.receipt([name])
                os.write(1, b"-" + name.encode() + b"\\n")

    async def main():
        box = await Outbox.open(Path(sys.argv[1]), 64 * 1024 * 1024)
        await asyncio.gather(*(write(box, w) for w in range(3)))

    asyncio.run(main())
    """
)


def test_nothing_acknowledged_is_lost_over_fifty_kills(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    script = tmp_path / "writer.py"
    script.write_text(WRITER)
    put: set[str] = set()
    receipted: set[str] = set()
    maybe: set[str] = set()
    for run in range(50):
        for line in _killed_writer(script, tmp_path / "o.db", run, chance.randrange(1, 120)):
            {"+": put, "-": receipted, "?": maybe}[line[0]].add(line[1:])
    store, torn = open_store(tmp_path / "o.db", 64 * 1024 * 1024)
    rows = [row.entry.message_id for lane in Lane for row in store.next(lane, 1_000_000)]
    stats, sequence = store.stats(), store.sequences()["s"]
    store.close()
    assert torn is None
    assert len(rows) == len(set(rows)), f"seed {seed}"
    assert put - maybe <= set(rows), f"seed {seed}"
    assert not receipted & set(rows), f"seed {seed}"
    assert len(put) > 500
    assert sum(stats.accepted.values()) - sum(stats.receipted.values()) == len(rows)
    assert sequence >= len(put)


def _killed_writer(script: Path, path: Path, run: int, after_lines: int) -> list[str]:
    """What the writer said was done before it was killed at a random point."""
    child = subprocess.Popen([sys.executable, script, path, str(run)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(after_lines)]
    child.send_signal(signal.SIGKILL)
    lines += child.stdout.readlines()
    child.stdout.close()
    child.wait()
    return [line.decode().strip() for line in lines if line.endswith(b"\n")]


# -------------------------------------------------------------------------------- torn and full


def _filled(path: Path, n: int = 600) -> None:
    store = Store(path, LIMIT)
    for k in range(n):
        store.begin(durable=False)
        store.put(entry(f"e{k}", Lane(k % 3), 400, sequence=k + 1))
        store.commit()
    store.begin(durable=True)
    store.reserve_epochs()
    store.commit()
    store.close()


def _overwrite(path: Path, start: int, size: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(os.urandom(size))


async def test_a_file_with_a_damaged_page_is_replaced_by_what_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    _filled(path)
    _overwrite(path, path.stat().st_size // 2 // 4096 * 4096, 4096)
    async with aclosing(_opened(path)) as opened:
        box = await anext(opened)
        (torn,) = box.take_torn()
        stats = await box.stats()
        rows = [name for lane in Lane for name in await pending(box, lane)]
        assert (tmp_path / torn.name).exists()
        assert torn.saved == len(set(rows)) == sum(stats.pending.values())
        assert torn.saved >= 560
        assert torn.saved + torn.lost == 600 == sum(stats.accepted.values())
        assert sum(stats.torn.values()) == torn.lost
        assert box.next_sequence(entry("x").source) > 600
        assert await box.next_epoch() > 100
        await box.put(entry("new", Lane.ALARM))
        assert box.take_torn() == []


async def test_a_text_that_is_none_does_not_hold_up_the_rows_behind_it(tmp_path: Path) -> None:
    """A page turned over may leave a well-formed row with octets that are no UTF-8."""
    path = tmp_path / "o.db"
    _filled(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("update rows set message_id = cast(x'30ffbeadfe' as text) where row_id = 300")
    async with aclosing(_opened(path)) as opened:
        box = await anext(opened)
        for lane in Lane:
            await pending(box, lane)  # one of these meets it
        (torn,) = box.take_torn()
        stats = await box.stats()
        rows = [name for lane in Lane for name in await pending(box, lane)]
        assert (torn.saved, torn.lost) == (599, 1)
        assert len(rows) == 599 == sum(stats.pending.values())


@pytest.mark.parametrize("kept", [0, 50, 5_000, 70_000])
async def test_a_cut_file_never_stops_the_outbox(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "o.db"
    _filled(path)
    os.truncate(path, kept)
    async with aclosing(_opened(path)) as opened:
        box = await anext(opened)
        await box.put(entry("new", Lane.ALARM))
        assert "new" in await pending(box, Lane.ALARM)
        stats = await box.stats()
        for lane in ("alarm", "event", "telemetry"):
            assert stats.accepted[lane] == stats.pending[lane] + stats.torn[lane]


_FRAME = 24 + 4096


def _left_in_the_log(path: Path, n: int) -> int:
    """An outbox killed with ``n`` events, the last ones only in its log; returns how many frames that has."""
    store = Store(path, LIMIT)
    for k in range(n):
        store.begin(durable=True)
        store.put(entry(f"e{k}", sequence=k + 1))
        store.commit()
    log = path.with_name(path.name + "-wal")
    content, database = log.read_bytes(), path.read_bytes()
    store.close()
    log.write_bytes(content)
    path.write_bytes(database)
    return sum(content[at + 8 : at + 16] == content[16:24] for at in range(32, len(content), _FRAME))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_torn_log_costs_little_and_is_reported(data: st.DataObject) -> None:
    """SQLite alone would drop every commit behind the torn frame, and not say so."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "o.db"
        frames = _left_in_the_log(path, 60)
        log = path.with_name(path.name + "-wal")
        content = bytearray(log.read_bytes())
        frame = data.draw(st.integers(0, frames - 2))
        content[32 + frame * _FRAME + data.draw(st.integers(16, _FRAME - 1))] ^= 0xFF
        log.write_bytes(content)
        store, torn = open_store(path, LIMIT)
        rows = [row.entry.message_id for row in store.next(Lane.EVENT, 100)]
        sequences = store.sequences()
        store.close()
        assert torn is not None
        assert torn.saved == len(rows) == 60 - torn.lost
        assert torn.lost <= 12
        assert rows == sorted(rows, key=lambda name: int(name[1:]))
        assert max(sequences.values()) >= 60


@pytest.mark.parametrize("offset", range(16, 24))
def test_a_frame_whose_sum_alone_is_torn_costs_nothing_and_is_reported(tmp_path: Path, offset: int) -> None:
    path = tmp_path / "o.db"
    frames = _left_in_the_log(path, 60)
    log = path.with_name(path.name + "-wal")
    content = bytearray(log.read_bytes())
    content[32 + (frames - 2) * _FRAME + offset] ^= 0xFF
    log.write_bytes(content)
    store, torn = open_store(path, LIMIT)
    assert torn is not None
    assert (torn.saved, torn.lost, len(store.next(Lane.EVENT, 100))) == (60, 0, 60)
    store.close()


@pytest.mark.parametrize("cut", [1, 24, 3_000, 4_120, 9_000])
def test_a_torn_end_of_the_log_is_no_damage(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "o.db"
    _left_in_the_log(path, 20)
    log = path.with_name(path.name + "-wal")
    log.write_bytes(log.read_bytes()[:-cut])
    store, torn = open_store(path, LIMIT)
    assert torn is None
    assert len(store.next(Lane.EVENT, 100)) >= 18
    store.close()


async def test_numbers_never_go_back_even_if_they_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    _filled(path)
    _overwrite(path, 0, path.stat().st_size)
    async with aclosing(_opened(path)) as opened:
        box = await anext(opened)
        assert box.next_sequence("any") > 1_700_000_000
        assert await box.next_epoch() > 1_700_000_000


async def test_damage_while_in_use_is_survived(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    _filled(path)
    async with aclosing(_opened(path)) as opened:
        box = await anext(opened)
        _overwrite(path, 4096, path.stat().st_size - 4096)
        # A second connection's change makes the first forget the pages that it holds in memory.
        with sqlite3.connect(path) as other:
            other.execute("pragma user_version = 1")
        other.close()
        await box.put(entry("after", Lane.ALARM))
        assert await pending(box, Lane.ALARM) == ["after"]
        assert len(box.take_torn()) == 1


async def test_a_payload_that_rotted_on_disk_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    _filled(path, 6)
    with sqlite3.connect(path) as db:
        db.execute("update rows set payload = zeroblob(400) where message_id = 'e1'")
    db.close()
    async with aclosing(_opened(path)) as opened:
        box = await anext(opened)
        assert await pending(box, Lane.EVENT) == ["e4"]
        assert await box.refused() == [("e1", "damaged on disk")]
        assert [(torn.saved, torn.lost) for torn in box.take_torn()] == [(0, 1)]


async def test_behind_rotten_rows_reading_goes_on(tmp_path: Path) -> None:
    """Fewer rows than asked for would mean that the lane is empty, and the rest would never leave."""
    path = tmp_path / "o.db"
    _filled(path, 60)
    with sqlite3.connect(path) as db:
        db.execute("update rows set payload = zeroblob(400) where lane = 1 and row_id < 20")
    db.close()
    async with aclosing(_opened(path)) as opened:
        box = await anext(opened)
        rows = await box.next(Lane.EVENT, 10)
        assert [row.entry.message_id for row in rows] == [f"e{3 * k + 1}" for k in range(6, 16)]
        assert [torn.lost for torn in box.take_torn()] == [6]


FULL_DISK = textwrap.dedent(
    """
    import asyncio, os, sys
    sys.path.insert(0, {tests!r})
    from pathlib import Path
    from edge.drivers import Lane
    from edge.outbox import Outbox, OutboxFullError
    from test_edge_outbox import entry, pending

    async def main():
        folder = Path(sys.argv[1])
        box = await Outbox.open(folder / "o.db", 64 * 1024 * 1024)
        for n in range(300):
            await box.put(entry(f"t{{n}}", Lane.TELEMETRY, 1000))
        with open(folder / "others", "wb", buffering=0) as file:  # somebody else fills the disk
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass
        for n in range(2000):
            await box.put(entry(f"u{{n}}", Lane.TELEMETRY, 1000))
        for n in range(300):
            await box.put(entry(f"a{{n}}", Lane.ALARM, 1000))
        assert await pending(box, Lane.ALARM) == [f"a{{n}}" for n in range(300)]
        refused = 0
        for n in range(5000):
            try:
                await box.put(entry(f"e{{n}}", Lane.TELEMETRY if n % 2 else Lane.ALARM, 1000))
            except OutboxFullError:
                refused += 1
        stats = await box.stats()
        assert stats.evicted["telemetry"] > 0 and stats.evicted["alarm"] == 0, stats
        assert stats.pending["alarm"] == stats.accepted["alarm"] >= 300 and refused > 0, (stats, refused)
        os.unlink(folder / "others")
        for n in range(100):
            await box.put(entry(f"v{{n}}", Lane.EVENT, 1000))
            await box.receipt([f"a{{n}}"])
        stats = await box.stats()
        assert stats.receipted["alarm"] == 100 and stats.pending["event"] == 100, stats
        await box.close()
        print("survived", refused)

    asyncio.run(main())
    """
)


def _on_a_small_disk(tmp_path: Path, script: str, *phases: str) -> "subprocess.CompletedProcess[str]":
    """Run ``script disk phase`` for each phase on one tmpfs of 4 MB."""
    file, disk = tmp_path / "script.py", tmp_path / "disk"
    file.write_text(script.format(tests=str(Path(__file__).parent)))
    disk.mkdir()
    runs = " && ".join(f"{sys.executable} {file} {disk} {phase}" for phase in phases)
    namespaces = ["--mount"] if os.geteuid() == 0 else ["--mount", "--user", "--map-root-user"]
    return subprocess.run(
        ["unshare", *namespaces, "sh", "-c", f"mount -t tmpfs -o size=4m tmpfs {disk} && {runs}"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_on_a_full_disk_alarms_are_still_kept(tmp_path: Path) -> None:
    done = _on_a_small_disk(tmp_path, FULL_DISK, "once")
    assert "survived" in done.stdout, done.stderr


KILLED_ON_A_FULL_DISK = textwrap.dedent(
    """
    import asyncio, os, sys
    sys.path.insert(0, {tests!r})
    from pathlib import Path
    from edge.drivers import Lane
    from edge.outbox import Outbox
    from test_edge_outbox import entry, pending

    async def main():
        box = await Outbox.open(Path(sys.argv[1]) / "o.db", 64 * 1024 * 1024)
        for n in range(3000):
            await box.put(entry(f"{{sys.argv[2]}}-{{n}}", Lane.EVENT, 1000))
        stats = await box.stats()
        assert stats.evicted["event"] > 0, stats
        if sys.argv[2] == "first":
            os._exit(0)
        waiting = await pending(box, Lane.EVENT)
        for message_id in waiting:
            await box.receipt([message_id])
        assert await pending(box, Lane.EVENT) == []
        print("emptied", len(waiting))

    asyncio.run(main())
    """
)


def test_started_again_on_a_full_disk_it_still_books_receipts(tmp_path: Path) -> None:
    """Its ballast is spent: what is left of that room must stay for the log, or nothing can be deleted."""
    done = _on_a_small_disk(tmp_path, KILLED_ON_A_FULL_DISK, "first", "second")
    assert "emptied" in done.stdout, done.stderr
