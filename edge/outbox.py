"""The outbox: what a driver saw is on disk before anything else happens, and stays until the hub has it.

``put`` returns once the entry is durable. For alarms and events that means an fsync: they survive a power
cut. An accepted telemetry row survives ``kill -9`` of this program, but a power cut in the next seconds may
take it: one fsync for each reading would wear out an SD card. The fsync of an alarm or event also saves all
telemetry accepted before it.

One thread owns the file. Whatever waits when it comes round is committed together, alarms first.
"""

import asyncio
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from edge.drivers import Lane
from edge.rows import Entry, OutboxError, OutboxFullError, Row, Stats, TornFile, is_full, is_torn
from edge.salvage import open_store, replace_torn
from edge.store import Store, read_stats

__all__ = [
    "Entry",
    "Outbox",
    "OutboxError",
    "OutboxFullError",
    "Row",
    "Stats",
    "TornFile",
    "outbox_path",
    "read_stats",
]

log = logging.getLogger(__name__)

_BATCH_JOBS = 128
"""Changes committed together at most: keeps an alarm that comes meanwhile from waiting for long."""
_RELIEF_TRIES = 200

_T = TypeVar("_T")


def outbox_path(data_dir: Path) -> Path:
    return data_dir / "outbox.db"


@dataclass(slots=True, kw_only=True)
class _Job:
    """One call for the writer thread. ``lane`` is set for a put; ``durable`` asks for an fsync."""

    act: Callable[[Store], Any]
    future: "asyncio.Future[Any]"
    lane: Lane | None = None
    durable: bool = False
    result: Any = None
    error: BaseException | None = None


class Outbox:
    """Open with :meth:`open`, end with :meth:`close`. All methods belong to the event loop's thread.

    Methods raise :class:`OutboxError` when the disk fails.
    """

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._loop = asyncio.get_running_loop()
        self._changed = threading.Condition()
        self._urgent: deque[_Job] = deque()
        self._others: deque[_Job] = deque()
        self._ending = False
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._listeners: list[Callable[[Lane], None]] = []
        self._sequences: dict[str, int] = {}
        self._epochs: deque[int] = deque()
        self._torn: deque[TornFile] = deque()

    @classmethod
    async def open(cls, path: Path, limit_bytes: int) -> "Outbox":
        """Open or make the file; a damaged one is set aside (see :meth:`take_torn`)."""
        outbox = cls(path, limit_bytes)
        threading.Thread(target=outbox._thread, name="outbox", daemon=True).start()
        await outbox._opened
        outbox._sequences = await outbox._call(lambda store: store.sequences())
        return outbox

    async def close(self) -> None:
        """Finish what was asked for and close the file."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        await self._ended

    # ------------------------------------------------------------------------------- calls

    async def put(self, entry: Entry) -> None:
        """Keep an entry; returns when it is durable (the module says what that means for telemetry).

        Raises :class:`OutboxFullError` when there is no room even after giving up what is less urgent.
        """
        await self._call(
            lambda store: store.put(entry), lane=entry.lane, durable=entry.lane is not Lane.TELEMETRY
        )

    async def next(self, lane: Lane, limit: int, after: int = 0) -> list[Row]:
        """The oldest pending rows of a lane whose ``row_id`` is above ``after``, in order."""
        return await self._call(lambda store: store.next(lane, limit, after))

    async def receipt(self, message_ids: Iterable[str]) -> None:
        """The hub has stored these: their rows go. Unknown ids are passed over."""
        ids = list(message_ids)
        await self._call(lambda store: store.receipt(ids))

    async def refuse(self, message_id: str, reason: str) -> None:
        """The hub will never take this one: its row is set aside."""
        await self._call(lambda store: store.refuse(message_id, reason))

    async def refused(self) -> list[tuple[str, str]]:
        """(message id, reason) of the newest 200 refused rows, oldest first."""
        return await self._call(lambda store: store.refused())

    async def stats(self) -> Stats:
        return await self._call(lambda store: store.stats())

    async def ping(self) -> None:
        """Returns once the writer thread came round."""
        await self._call(lambda _store: None)

    async def next_epoch(self) -> int:
        """A session epoch above all that were ever given, across restarts."""
        if not self._epochs:
            self._epochs.extend(await self._call(lambda store: store.reserve_epochs(), durable=True))
        return self._epochs.popleft()

    async def command_result(self, command_id: str) -> tuple[bool, bytes | None]:
        """(seen before, its encoded result); None when it was begun and never ended."""
        return await self._call(lambda store: store.command_result(command_id))

    async def remember_command(self, command_id: str, result: bytes | None) -> None:
        """A command was begun (None) or ended, durably."""
        await self._call(lambda store: store.remember_command(command_id, result), durable=True)

    def next_sequence(self, source: str) -> int:
        """The device's next number; it is durable once the entry that carries it is."""
        floor = self._sequences.get("", 0)
        self._sequences[source] = max(self._sequences.get(source, 0), floor) + 1
        return self._sequences[source]

    def follow(self, listener: Callable[[Lane], None]) -> None:
        """Call ``listener(lane)`` in the event loop after each put."""
        self._listeners.append(listener)

    def take_torn(self) -> list[TornFile]:
        """What was found damaged since the last call: files set aside, rows that rotted in a good one."""
        taken = list(self._torn)
        self._torn.clear()
        return taken

    async def _call(
        self, act: Callable[[Store], _T], *, lane: Lane | None = None, durable: bool = False
    ) -> _T:
        if self._ending:
            raise OutboxError("the outbox is closed")
        job = _Job(act=act, future=self._loop.create_future(), lane=lane, durable=durable)
        with self._changed:
            (self._urgent if lane is Lane.ALARM else self._others).append(job)
            self._changed.notify()
        return cast("_T", await job.future)

    # ----------------------------------------------------------------------- the writer thread

    def _thread(self) -> None:
        try:
            store, torn = open_store(self._path, self._limit_bytes)
        except (OSError, sqlite3.Error, OutboxError) as error:
            problem = error if isinstance(error, OutboxError) else OutboxError(f"{self._path}: {error}")
            self._loop.call_soon_threadsafe(self._opened.set_exception, problem)
            return
        if torn:
            self._torn.append(torn)
        self._loop.call_soon_threadsafe(self._opened.set_result, None)
        while batch := self._take():
            store = self._work(store, batch)
            self._loop.call_soon_threadsafe(self._deliver, batch)
        store.close()
        self._loop.call_soon_threadsafe(self._ended.set_result, None)

    def _take(self) -> list[_Job]:
        """What waits, alarms first; empty only at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._urgent or self._others or self._ending)
            batch = [self._urgent.popleft() for _ in range(min(_BATCH_JOBS, len(self._urgent)))]
            room = _BATCH_JOBS - len(batch)
            return batch + [self._others.popleft() for _ in range(min(room, len(self._others)))]

    def _work(self, store: Store, batch: list[_Job]) -> Store:
        """Carry out a batch in one transaction; if that fails, each job in its own."""
        try:
            _commit_together(store, batch)
        except sqlite3.Error as error:
            if is_torn(error):
                store = self._replace(store)
            for job in batch:
                _commit_alone(store, job)
        if store.damaged:
            self._torn.append(TornFile(name=self._path.name, saved=0, lost=store.damaged))
            store.damaged = 0
        store.restore_ballast()
        return store

    def _replace(self, store: Store) -> Store:
        log.warning("the outbox file is damaged while in use; it is set aside")
        store.close()
        try:
            store, torn = replace_torn(self._path, self._limit_bytes)
            self._torn.append(torn)
        except (OSError, sqlite3.Error, OutboxError):
            log.exception("no new outbox file can be made")  # every call fails from here on, and says so
        return store

    def _deliver(self, batch: list[_Job]) -> None:
        for job in batch:
            if job.error is None and job.lane is not None:
                for listener in self._listeners:
                    listener(job.lane)
            if job.future.done():  # its caller was cancelled; the work is done all the same
                continue
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)


def _commit_together(store: Store, batch: list[_Job]) -> None:
    try:
        store.begin(durable=any(job.durable for job in batch))
        for job in batch:
            _act(store, job)
        store.commit()
    except sqlite3.Error:
        store.rollback()
        raise


def _act(store: Store, job: _Job) -> None:
    job.result = job.error = None
    try:
        job.result = job.act(store)
    except sqlite3.Error:
        raise
    except Exception as error:  # noqa: BLE001 - handed to the caller; the thread must live on
        job.error = error


def _commit_alone(store: Store, job: _Job) -> None:
    """One job in its own transaction, making room on a full disk as often as it takes."""
    try:
        for _ in range(_RELIEF_TRIES):
            try:
                return _commit_together(store, [job])
            except sqlite3.Error as error:
                if not is_full(error):
                    raise
                if not _relieve(store, job.lane):
                    break
        job.error = OutboxFullError("the disk is full and nothing less urgent is left to give up")
    except (sqlite3.Error, OSError) as error:
        job.error = OutboxError(f"the outbox cannot be written: {error}")


def _relieve(store: Store, lane: Lane | None) -> bool:
    try:
        return store.relieve(lane)
    except sqlite3.Error as error:
        store.rollback()
        if not is_full(error):
            raise
        return False
