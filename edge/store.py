"""The outbox's file: rows, counters and sequence numbers in one SQLite database. Blocking calls only.

One thread owns a :class:`Store` (see :mod:`edge.outbox`). Every change happens between
:meth:`Store.begin` and :meth:`Store.commit`, counters included, so that after any crash

    accepted == pending + receipted + refused + evicted + torn

holds for each lane. ``torn`` counts rows that a damaged file took with it.
"""

import sqlite3
import time
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from edge.disk import Disk
from edge.drivers import Lane
from edge.rows import COLUMNS, Entry, OutboxError, OutboxFullError, Row, Stats, TornFile, row_of

_RELIEF_ROWS = 20
"""Rows given up at a time on a full disk; a large transaction would itself need the room that is missing."""
_REFUSED_ROWS = 200
_REFUSED_PAYLOAD_BYTES = 2048
_COMMANDS_ROWS = 500
_EPOCH_BLOCK = 100
"""Epochs reserved by one fsync: reconnecting all night must not wear the SD card."""
COUNTERS = ("accepted", "receipted", "refused", "evicted", "torn")
_EVICTABLE = (Lane.TELEMETRY, Lane.EVENT)


_INSERT = (
    "insert or ignore into rows (lane, message_id, source, size, payload, crc, measurements, boot_id,"
    " boottime_ms, wall_ms, clock) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class Store:
    """An open outbox file. ``limit_bytes`` bounds what is pending, :attr:`Entry.size_bytes` each.

    Raises :class:`OutboxError` when the file cannot be opened, and sqlite3's errors from every call.
    """

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self._name = path.name
        self._limit_bytes = limit_bytes
        self._disk = Disk(path, limit_bytes)
        self._db = self._disk.db
        self._load()

    def close(self) -> None:
        self._db.close()

    def restore_ballast(self) -> None:
        """After a disk was full and has room again: be ready for the next time."""
        self._disk.restore_ballast()

    def relieve(self, lane: Lane | None) -> bool:
        """Make room on a full disk for a row of ``lane``: the ballast first, then some less urgent rows.

        Returns False when there was nothing left to give up.
        """
        if self._disk.drop_ballast():
            return True
        for victim in _EVICTABLE:
            if lane is not None and victim >= lane and self._pending[victim]:
                self.begin(durable=False)
                self._evict_oldest(victim, _RELIEF_ROWS)
                self.commit()
                self._disk.checkpoint()
                return True
        return lane is Lane.ALARM and self._disk.let_alarms_grow()

    # ------------------------------------------------------------------------- transactions

    def begin(self, *, durable: bool) -> None:
        """Start a change; ``durable`` makes :meth:`commit` wait for the disk (fsync of the log)."""
        self._db.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
        self._db.execute("begin immediate")

    def commit(self) -> None:
        self._db.executemany(
            "insert or replace into counters (name, lane, n) values (?, ?, ?)",
            [(name, lane, self._counts[name, lane]) for name, lane in self._dirty],
        )
        self._db.execute("commit")
        self._dirty.clear()

    def rollback(self) -> None:
        if self._db.in_transaction:
            self._db.execute("rollback")
        self._load()

    def _load(self) -> None:
        """What is kept in memory beside the file, read from it."""
        self.damaged = 0
        self._dirty: set[tuple[str, int]] = set()
        self._counts = {(name, int(lane)): 0 for name in (*COUNTERS, "measurements") for lane in Lane}
        for name, lane, n in self._db.execute("select name, lane, n from counters"):
            self._counts[name, lane] = n
        self._pending = dict.fromkeys(Lane, 0)
        self._bytes = dict.fromkeys(Lane, 0)
        for lane, n, size in self._db.execute("select lane, count(*), sum(size) from rows group by lane"):
            self._pending[Lane(lane)] = n
            self._bytes[Lane(lane)] = size

    def _count(self, name: str, lane: Lane, n: int) -> None:
        self._counts[name, int(lane)] += n
        self._dirty.add((name, int(lane)))

    # --------------------------------------------------------------------------------- rows

    def put(self, entry: Entry) -> None:
        """Store one entry; a repeated ``message_id`` changes nothing.

        Over the limit the oldest telemetry goes first, then for events and alarms the oldest events; alarms
        never. Raises :class:`OutboxFullError`, leaving everything as it was, when that is not enough.
        """
        self._make_room(entry)
        if not self._insert(entry):
            return
        self._count("accepted", entry.lane, 1)
        self._count("measurements", entry.lane, entry.measurements)
        if entry.sequence is not None:
            self._db.execute(
                "insert into sequences (source, n) values (?, ?)"
                " on conflict (source) do update set n = max(n, excluded.n)",
                (entry.source, entry.sequence),
            )

    def _insert(self, entry: Entry) -> bool:
        cursor = self._db.execute(
            _INSERT,
            (
                int(entry.lane),
                entry.message_id,
                entry.source,
                entry.size_bytes,
                entry.payload,
                zlib.crc32(entry.payload),
                entry.measurements,
                entry.boot_id,
                entry.boottime_ms,
                round(entry.wall.timestamp() * 1000),
                entry.clock.value,
            ),
        )
        if cursor.rowcount == 0:
            return False
        self._pending[entry.lane] += 1
        self._bytes[entry.lane] += entry.size_bytes
        return True

    def _make_room(self, entry: Entry) -> None:
        excess = sum(self._bytes.values()) + entry.size_bytes - self._limit_bytes
        if excess <= 0 or self._has(entry.message_id):
            return
        victims = [lane for lane in _EVICTABLE if lane >= entry.lane]
        if sum(self._bytes[lane] for lane in victims) < excess:
            raise OutboxFullError(f"the outbox holds {self._limit_bytes} bytes of more urgent rows")
        for lane in victims:
            while excess > 0 and self._pending[lane]:
                excess -= self._evict_oldest(lane, 1)

    def _has(self, message_id: str) -> bool:
        return bool(self._db.execute("select 1 from rows where message_id = ?", (message_id,)).fetchone())

    def _evict_oldest(self, lane: Lane, n: int) -> int:
        """Give up the ``n`` oldest rows of a lane; returns how many bytes that frees."""
        rows = self._db.execute(
            "select row_id, size from rows where lane = ? order by row_id limit ?", (int(lane), n)
        ).fetchall()
        freed: int = sum(size for _, size in rows)
        self._remove(lane, [row_id for row_id, _ in rows], freed)
        self._count("evicted", lane, len(rows))
        return freed

    def _remove(self, lane: Lane, row_ids: list[int], size_bytes: int) -> None:
        self._db.executemany("delete from rows where row_id = ?", [(row_id,) for row_id in row_ids])
        self._pending[lane] -= len(row_ids)
        self._bytes[lane] -= size_bytes

    def next(self, lane: Lane, limit: int, after: int = 0) -> list[Row]:
        """The oldest pending rows of a lane with ``row_id`` above ``after``, in order.

        A row whose payload no longer matches its checksum is refused here and left out; :attr:`damaged`
        counts them. Fewer rows than ``limit`` always means that there are no more.
        """
        found: list[Row] = []
        while wanted := limit - len(found):
            read = self._db.execute(
                f"select {COLUMNS} from rows where lane = ? and row_id > ? order by row_id limit ?",  # noqa: S608
                (int(lane), after, wanted),
            ).fetchall()
            for values in read:
                row = row_of(values)
                if row is None:
                    self.refuse(str(values[2]), "damaged on disk")
                    self.damaged += 1
                else:
                    found.append(row)
            if len(read) < wanted:
                break
            after = int(read[-1][0])
        return found

    def receipt(self, message_ids: Iterable[str]) -> None:
        """The hub has stored these: forget them. Ids that are not pending are passed over."""
        for message_id in message_ids:
            lane = self._forget(message_id)
            if lane is not None:
                self._count("receipted", lane, 1)

    def refuse(self, message_id: str, reason: str) -> None:
        """The hub will never take this one: set it aside, cut to its first bytes, newest 200 kept."""
        self._db.execute(
            "insert into refused (message_id, reason, payload, wall_ms)"
            " select message_id, ?, substr(payload, 1, ?), wall_ms from rows where message_id = ?",
            (reason, _REFUSED_PAYLOAD_BYTES, message_id),
        )
        lane = self._forget(message_id)
        if lane is None:
            return
        self._count("refused", lane, 1)
        self._db.execute(
            "delete from refused where row_id <= (select max(row_id) from refused) - ?", (_REFUSED_ROWS,)
        )

    def _forget(self, message_id: str) -> Lane | None:
        found = self._db.execute(
            "select row_id, lane, size from rows where message_id = ?", (message_id,)
        ).fetchone()
        if found is None:
            return None
        lane = Lane(found[1])
        self._remove(lane, [found[0]], found[2])
        return lane

    def refused(self) -> list[tuple[str, str]]:
        """(message id, reason), oldest first."""
        return list(self._db.execute("select message_id, reason from refused order by row_id"))

    def stats(self) -> Stats:
        return _stats(self._counts, self._pending, sum(self._bytes.values()))

    # -------------------------------------------------------------------------- numbers, commands

    def sequences(self) -> dict[str, int]:
        """The last durable sequence number of each source; the empty source holds a floor for all."""
        return dict(self._db.execute("select source, n from sequences"))

    def reserve_epochs(self) -> range:
        """Session epochs never given before; the caller commits before it uses one."""
        found = self._db.execute("select reserved from epochs").fetchone()
        first = (found[0] if found else 0) + 1
        last = first + _EPOCH_BLOCK - 1
        self._db.execute("insert or replace into epochs (one, reserved) values (1, ?)", (last,))
        return range(first, last + 1)

    def command_result(self, command_id: str) -> tuple[bool, bytes | None]:
        """(seen before, its encoded result); the result is None when it was begun and never ended."""
        found = self._db.execute("select result from commands where command_id = ?", (command_id,)).fetchone()
        return (False, None) if found is None else (True, found[0])

    def remember_command(self, command_id: str, result: bytes | None) -> None:
        """Begun (None) or ended; the newest 500 are kept."""
        self._db.execute(
            "insert into commands (command_id, result, wall_ms) values (?, ?, ?)"
            " on conflict (command_id) do update set result = excluded.result",
            (command_id, result, time.time_ns() // 1_000_000),
        )
        self._db.execute(
            "delete from commands where rowid <= (select max(rowid) from commands) - ?", (_COMMANDS_ROWS,)
        )

    # ------------------------------------------------------------------------------ after a tear

    def adopt(self, rows: Iterable[Row], counts: dict[tuple[str, int], int] | None) -> TornFile:
        """Take over what was read from a damaged file; ``counts`` is None when those were not readable."""
        # Above every row id of the old file: a reader that remembers where it was misses nothing.
        self._db.execute(
            "insert into sqlite_sequence (name, seq) values ('rows', ?)", (time.time_ns() // 1000,)
        )
        saved = 0
        for row in rows:
            with suppress(OutboxFullError):
                self._make_room(row.entry)
                saved += self._insert(row.entry)
        lost = 0
        for lane in Lane:
            lost += self._settle_counts(lane, counts)
        return TornFile(name=self._name, saved=saved, lost=lost)

    def _settle_counts(self, lane: Lane, counts: dict[tuple[str, int], int] | None) -> int:
        evicted_now = self._counts["evicted", int(lane)]
        old = counts or {}
        for name in (*COUNTERS, "measurements"):
            self._counts[name, int(lane)] = old.get((name, int(lane)), 0)
            self._dirty.add((name, int(lane)))
        self._count("evicted", lane, evicted_now)
        gone = sum(self._counts[name, int(lane)] for name in COUNTERS if name != "accepted")
        missing = self._counts["accepted", int(lane)] - gone - self._pending[lane]
        # Unreadable or outdated counters know fewer rows than there are.
        self._count("accepted", lane, max(0, -missing))
        self._count("torn", lane, max(0, missing))
        return max(0, missing)

    def adopt_numbers(self, sequences: dict[str, int], epoch: int) -> None:
        self._db.executemany("insert or replace into sequences values (?, ?)", list(sequences.items()))
        self._db.execute("insert or replace into epochs values (1, ?)", (epoch,))


def _stats(counts: dict[tuple[str, int], int], pending: dict[Lane, int], size_bytes: int) -> Stats:
    def by_lane(name: str) -> dict[str, int]:
        return {lane.name.lower(): counts.get((name, int(lane)), 0) for lane in Lane}

    return Stats(
        accepted=by_lane("accepted"),
        pending={lane.name.lower(): pending.get(lane, 0) for lane in Lane},
        receipted=by_lane("receipted"),
        refused=by_lane("refused"),
        evicted=by_lane("evicted"),
        torn=by_lane("torn"),
        measurements=sum(n for (name, _), n in counts.items() if name == "measurements"),
        size_bytes=size_bytes,
    )


def read_stats(path: Path) -> Stats:
    """The counters of a file that another process may be using; raises :class:`OutboxError`."""
    if not path.exists():
        raise OutboxError(f"{path} does not exist")
    try:
        db = sqlite3.connect(path.absolute().as_uri() + "?mode=rw", uri=True, timeout=5.0)
        try:
            db.execute("pragma query_only = on")
            db.execute("begin")
            counts = {(name, lane): n for name, lane, n in db.execute("select name, lane, n from counters")}
            rows = list(db.execute("select lane, count(*), sum(size) from rows group by lane"))
        finally:
            db.close()
    except sqlite3.Error as error:
        raise OutboxError(f"{path} cannot be read: {error}") from error
    return _stats(counts, {Lane(lane): n for lane, n, _ in rows}, sum(size for _, _, size in rows))
