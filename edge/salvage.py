"""A torn outbox file: set aside, read as far as it can be read, and replaced by a new one.

Power cuts and dying SD cards damage files in ways that no transaction prevents. What can be read is carried
over; the damaged file stays beside the new one for whoever wants to look.
"""

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from edge import wal
from edge.rows import COLUMNS, Row, TornFile, is_torn, row_of
from edge.store import Store

log = logging.getLogger(__name__)

_KEPT_FILES = 3
_SLACK = 100_000
"""The page with the numbers may be an older one: more than a log between two checkpoints can have given."""
_MISSES = 10_000
"""Rows that cannot be read, one after the other, before the search behind a damaged page ends."""

_T = TypeVar("_T")


def open_store(path: Path, limit_bytes: int) -> tuple[Store, TornFile | None]:
    """Open the outbox file, making it when it is missing and replacing it when it is damaged.

    Raises :class:`edge.rows.OutboxError` and sqlite3's or the system's errors when neither works.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if torn_frames := wal.mend(path.with_name(path.name + "-wal")):
        log.warning("%d torn frames in the outbox's log; the file is set aside", torn_frames)
        return replace_torn(path, limit_bytes)
    try:
        return Store(path, limit_bytes), None
    except sqlite3.DatabaseError as error:
        if not is_torn(error):
            raise
        log.warning("the outbox file is damaged (%s); it is set aside", error)
    return replace_torn(path, limit_bytes)


def replace_torn(path: Path, limit_bytes: int) -> tuple[Store, TornFile]:
    """Set the closed, damaged file aside and start a new one with what can be read of it."""
    aside = _set_aside(path)
    store = Store(path, limit_bytes)
    with closing(sqlite3.connect(aside, isolation_level=None)) as db:
        store.begin(durable=True)
        torn = replace(store.adopt(_rows(db), _try(db, _counts)), name=aside.name)
        # Numbers count up for ever; when they cannot be read, the present second is above all given before.
        floor = int(time.time())
        sequences = {source: n + _SLACK for source, n in (_try(db, _sequences) or {"": floor}).items()}
        store.adopt_numbers(sequences, (_try(db, _epoch) or floor) + _SLACK)
        store.commit()
    log.error("%d rows saved from the damaged outbox, %d lost; kept as %s", torn.saved, torn.lost, torn.name)
    return store, torn


def _set_aside(path: Path) -> Path:
    """Rename the database together with its log, which belongs to it; forget the oldest such files."""
    aside = path.with_name(f"{path.name}.torn-{time.time_ns() // 1_000_000}")
    for suffix in ("-wal", ""):
        old = path.with_name(path.name + suffix)
        if old.exists():
            old.rename(aside.with_name(aside.name + suffix))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    kept = sorted(p for p in path.parent.glob(f"{path.name}.torn-*") if p.name[-1].isdigit())
    for old in kept[:-_KEPT_FILES]:
        for suffix in ("-wal", "-shm", ""):
            old.with_name(old.name + suffix).unlink(missing_ok=True)
    return aside


def _try(db: sqlite3.Connection, read: Callable[[sqlite3.Connection], _T | None]) -> _T | None:
    try:
        return read(db)
    except sqlite3.Error:
        return None


def _counts(db: sqlite3.Connection) -> dict[tuple[str, int], int]:
    return {(name, lane): n for name, lane, n in db.execute("select name, lane, n from counters")}


def _sequences(db: sqlite3.Connection) -> dict[str, int]:
    return dict(db.execute("select source, n from sequences"))


def _epoch(db: sqlite3.Connection) -> int | None:
    found = db.execute("select reserved from epochs").fetchone()
    return int(found[0]) if found else None


_SELECT = f"select {COLUMNS} from rows not indexed "  # noqa: S608 - a constant of ours


def _rows(db: sqlite3.Connection) -> Iterator[Row]:
    """Every row that can be read: in order up to the first damaged page, then one by one behind it."""
    last = 0
    try:
        for values in db.execute(_SELECT + "order by row_id"):
            last = int(values[0])
            yield from _row(values)
    except sqlite3.Error:
        yield from _probed(db, last + 1)


def _probed(db: sqlite3.Connection, first: int) -> Iterator[Row]:
    end = _try(db, lambda db: int(db.execute("select max(row_id) from rows not indexed").fetchone()[0] or 0))
    row_id, misses = first, 0
    while misses < _MISSES and (end is None or row_id <= end):
        values = _try(db, partial(_lookup, row_id))
        misses = 0 if values else misses + 1
        row_id += 1
        yield from _row(values) if values else ()


def _lookup(row_id: int, db: sqlite3.Connection) -> tuple[object, ...] | None:
    found: tuple[object, ...] | None = db.execute(_SELECT + "where row_id = ?", (row_id,)).fetchone()
    return found


def _row(values: tuple[object, ...]) -> Iterator[Row]:
    try:
        row = row_of(values)
    except ValueError:
        return
    if row is not None:
        yield row
