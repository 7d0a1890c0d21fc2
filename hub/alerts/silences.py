"""Silences, maintenance windows and declared drills: who asked for quiet, why, and until when.

The intake asks a snapshot in memory, so that a press costs nothing here. A panic button is never silenced:
a declared drill turns its presses into drills, which stay on the screen; a reserved alert is not even that.
"""

import asyncio
import enum
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from hub.alerts.finding import Finding
from hub.alerts.lifecycle import AlertError
from hub.alerts.model import RESTRICTED_KINDS
from hub.clock import Clock
from hub.database import Connection, Pool, persist

log = logging.getLogger(__name__)

CHANNEL = "silences"
MAX_LENGTH = timedelta(days=30)
MAX_DRILL = timedelta(days=1)
NEVER_SILENCED = frozenset({"panic", "man_down", "room_silent"}) | RESTRICTED_KINDS
"""Somebody calls for help, or nobody is there to hear it."""


class Sort(enum.StrEnum):
    SILENCE = "silence"
    MAINTENANCE = "maintenance"
    DRILL = "drill"


class SilenceError(AlertError):
    """A silence that may not be; the message is Spanish."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Silence:
    """One row of ``silences``: every field of ``device_id`` to ``sector`` that is given must match."""

    silence_id: int
    sort: Sort
    device_id: int | None
    gateway: str | None
    kind: str | None
    sector: str | None
    author: str
    reason: str
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    ended_by: str | None
    held_back: int
    last_held_at: datetime | None

    @classmethod
    def from_row(cls, row: Any) -> "Silence":
        values = {name: row[name] for name in cls.__slots__}
        return cls(**(values | {"sort": Sort(values["sort"])}))

    def matches(self, finding: Finding, now: datetime) -> bool:
        return (
            self.starts_at <= now < self.ends_at
            and self.device_id in (None, finding.device_id)
            and self.gateway in (None, finding.gateway)
            and self.kind in (None, finding.kind)
            and self.sector in (None, finding.sector)
        )


_COLUMNS = ", ".join(Silence.__slots__)


@dataclass(frozen=True, slots=True)
class SortedOut:
    """``kept`` go on, perhaps as drills; ``held_back`` counts what each silence kept from opening."""

    kept: list[Finding]
    held_back: Mapping[int, int]


def sort_out(findings: Iterable[Finding], silences: Sequence[Silence], now: datetime) -> SortedOut:
    """What of ``findings`` people hear of. Pure."""
    kept: list[Finding] = []
    held: dict[int, int] = {}
    for finding in findings:
        matching = [s for s in silences if s.matches(finding, now)]
        drill = next((s for s in matching if s.sort is Sort.DRILL), None)
        quiet = next((s for s in matching if s.sort is not Sort.DRILL), None)
        if drill is not None and not finding.is_restricted and not finding.is_drill:
            kept.append(replace(finding, is_drill=True, dedup_key=f"{finding.dedup_key}:drill"))
        elif quiet is None or finding.kind in NEVER_SILENCED:
            kept.append(finding)
        else:
            held[quiet.silence_id] = held.get(quiet.silence_id, 0) + 1
    return SortedOut(kept, held)


class Silences:
    """The silences that are or will be in force; a NOTIFY on :data:`CHANNEL` reloads them."""

    def __init__(self) -> None:
        self._all: list[Silence] = []
        self._is_stale = asyncio.Event()

    @property
    def are_any(self) -> bool:
        return bool(self._all)

    def sort_out(self, findings: Iterable[Finding], now: datetime) -> SortedOut:
        return sort_out(findings, self._all, now)

    async def load(self, pool: Pool, now: datetime) -> None:
        self._all = await list_silences(pool, now)

    def on_notify(self, payload: str) -> None:
        del payload  # whatever changed, all of them are read again
        self._is_stale.set()

    async def reload_loop(self, pool: Pool, clock: Clock) -> None:
        while True:
            await self._is_stale.wait()
            self._is_stale.clear()
            await persist(lambda: self.load(pool, clock.now()), clock.sleep, "silences")


async def note_held_back(connection: Connection, held_back: Mapping[int, int], now: datetime) -> None:
    if held_back:
        await connection.execute(
            "update silences s set held_back = s.held_back + h.n, last_held_at = $3"
            " from unnest($1::bigint[], $2::int[]) as h (silence_id, n) where s.silence_id = h.silence_id",
            list(held_back),
            list(held_back.values()),
            now,
        )


# ------------------------------------------------------------------------------------ people's side


async def create_silence(
    pool: Pool | Connection,
    *,
    sort: Sort,
    author: str,
    reason: str,
    starts_at: datetime,
    ends_at: datetime,
    now: datetime,
    device_id: int | None = None,
    gateway: str | None = None,
    kind: str | None = None,
    sector: str | None = None,
) -> int:
    """Ask for quiet; returns its id. Raises :class:`SilenceError` for one without reason, end or aim."""
    _check(sort, author, reason, starts_at, ends_at, now, kind)
    if not any((device_id, gateway, kind, sector)):
        raise SilenceError("Diga qué se silencia: un dispositivo, un equipo, un tipo o un sector.")
    silence_id: int = await pool.fetchval(
        "with made as (insert into silences (sort, device_id, gateway, kind, sector, author, reason,"
        " starts_at, ends_at, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
        " returning silence_id) select silence_id from made, pg_notify('silences', '')",
        sort.value,
        device_id,
        gateway or None,
        kind or None,
        sector or None,
        author,
        reason.strip()[:500],
        starts_at,
        ends_at,
        now,
    )
    log.info("silence %d made until %s", silence_id, ends_at.isoformat())
    return silence_id


def _check(
    sort: Sort,
    author: str,
    reason: str,
    starts_at: datetime,
    ends_at: datetime,
    now: datetime,
    kind: str | None,
) -> None:
    limit = MAX_DRILL if sort is Sort.DRILL else MAX_LENGTH
    if not author or not reason.strip():
        raise SilenceError("Escriba el motivo.")
    if ends_at <= max(starts_at, now):
        raise SilenceError("El término debe ser posterior al inicio y a este momento.")
    if ends_at - starts_at > limit:
        raise SilenceError(f"Como máximo {limit.days} días." if limit.days > 1 else "Como máximo un día.")
    if sort is not Sort.DRILL and kind in NEVER_SILENCED:
        raise SilenceError("Una llamada de auxilio no se silencia; si es un ejercicio, declare un simulacro.")
    if sort is Sort.DRILL and kind in RESTRICTED_KINDS:
        raise SilenceError("Una alerta reservada no se usa en simulacros.")


async def end_silence(pool: Pool, silence_id: int, author: str, now: datetime) -> None:
    """End it now; one that is over already stays as it was. Raises :class:`SilenceError` for an unknown."""
    found = await pool.fetchval(
        "with ended as (update silences set ended_by = $2, ends_at = $3,"
        " starts_at = least(starts_at, $3 - interval '1 millisecond') where silence_id = $1 and ends_at > $3)"
        " select exists (select from silences where silence_id = $1) from pg_notify('silences', '')",
        silence_id,
        author,
        now,
    )
    if not found:
        raise SilenceError("Ese silencio no existe.")


async def list_silences(pool: Pool, now: datetime, *, limit: int = 1000) -> list[Silence]:
    """Those in force or to come, the first to end first."""
    rows = await pool.fetch(
        f"select {_COLUMNS} from silences where ends_at > $1"  # noqa: S608  a constant
        " order by ends_at, silence_id limit $2",
        now,
        limit,
    )
    return [Silence.from_row(row) for row in rows]


async def past_silences(pool: Pool, now: datetime, *, limit: int = 50) -> list[Silence]:
    """Those that are over, the newest first: they explain what is missing."""
    rows = await pool.fetch(
        f"select {_COLUMNS} from silences where ends_at <= $1"  # noqa: S608  a constant
        " order by ends_at desc, silence_id desc limit $2",
        now,
        min(max(limit, 1), 500),
    )
    return [Silence.from_row(row) for row in rows]


async def about_to_end(pool: Pool, now: datetime, within: timedelta = timedelta(hours=12)) -> list[Silence]:
    """Those in force that end within ``within``: whoever has the room then will hear of it again."""
    return [s for s in await list_silences(pool, now) if s.starts_at <= now and s.ends_at <= now + within]
