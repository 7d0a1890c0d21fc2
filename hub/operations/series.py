"""Operations that come again: made from one that is planned, and each planned ahead by itself.

A series copies everything but the day. Those that are close get a folio and stand in the list like any
other, to be changed, suspended or confirmed on their own; the rest follow as time goes by. An occurrence is
planned once: who moves or suspends it has the last word. Any number of hubs may do the planning.
"""

import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

from edge.contract import uuid7
from hub.clock import Clock
from hub.database import UNAVAILABLE, Connection, Pool
from hub.operations import reading, service
from hub.operations.lifecycle import CHANGEABLE, Move
from hub.operations.model import Draft, Institution, OperationError, Point, Task
from hub.operations.recurrence import checked, occurrences

log = logging.getLogger(__name__)

AHEAD = timedelta(weeks=8)
"""So far ahead each is a planned operation: two months in which institutions confirm who comes."""
CADENCE_S = 600.0
_COPIED = ("kind", "name", "sector", "area", "plan_id", "objective", "activity", "remarks", "is_drill")


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """``problem`` says why the next one could not be planned; ``planned`` counts those that were."""

    series_id: uuid.UUID
    name: str
    rule: str
    starts_at: datetime
    duration: timedelta
    author: str
    created_at: datetime
    ended_at: datetime | None
    problem: str
    planned: int
    next_folio: str | None
    next_start: datetime | None


def _template(draft: Draft) -> str:
    """What every occurrence copies, as JSON; what was done, signed or counted is of one alone."""
    return json.dumps(
        {name: getattr(draft, name) for name in _COPIED}
        | {
            "legal_basis": list(draft.legal_basis),
            "institutions": [
                {key: asdict(one)[key] for key in ("name", "role", "acting", "assists", "headcount")}
                for one in draft.institutions
            ],
            "points": [
                {"id": p.id, "name": p.name, "latitude": p.latitude, "longitude": p.longitude}
                for p in draft.points
            ],
            "tasks": [{"phase": t.phase, "task": t.task, "institution": t.institution} for t in draft.tasks],
        },
        ensure_ascii=False,
    )


def _draft(template: Mapping[str, Any], series_id: uuid.UUID, start: datetime, duration: timedelta) -> Draft:
    return Draft(
        **{name: template[name] for name in _COPIED},
        legal_basis=tuple(template["legal_basis"]),
        institutions=tuple(Institution(**one) for one in template["institutions"]),
        points=tuple(Point(**one) for one in template["points"]),
        tasks=tuple(Task(**one) for one in template["tasks"]),
        series_id=series_id,
        planned_start=start,
        planned_end=start + duration,
    )


async def season_end(pool: Pool, season: str) -> date | None:
    """The last day of a season."""
    found: date | None = await pool.fetchval("select ends_on from seasons where season = $1", season)
    return found


async def repeat(pool: Pool, folio: str, rule: str, *, author: str, now: datetime) -> tuple[Series, int]:
    """Make the operation the first of a series; returns it and how many more are planned already.

    Raises :class:`OperationError` that says what to do.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select from operations where folio = $1 for update", folio)
        operation = await reading.find(connection, folio)
        draft = operation.draft
        if draft.series_id is not None:
            raise OperationError(f"{folio} ya es parte de una repetición; termínela antes de hacer otra")
        if operation.state not in CHANGEABLE:
            raise OperationError(f"{folio} ya empezó; repita uno que esté programado")
        rule = checked(rule, draft.planned_start)
        series_id = uuid7(now)
        await connection.execute(
            "insert into operation_series (series_id, name, rrule, starts_at, duration_s, template, season,"
            " author, created_at, planned_until) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $4)",
            *(series_id, draft.name, rule, draft.planned_start),
            int((draft.planned_end - draft.planned_start).total_seconds()),
            *(_template(draft), draft.season, author, now),
        )
        await connection.execute(
            "update operations set series_id = $2 where operation_id = $1", operation.operation_id, series_id
        )
        await service.touch(connection, operation, now, author, "change", note="se repite")
        count = await _plan_one(connection, series_id, now)
    [found] = [one for one in await listed(pool, now) if one.series_id == series_id]
    return found, count


async def plan_due(pool: Pool, now: datetime) -> int:
    """Plan what has come close of every series; how many were planned. One that fails stops no other."""
    ids = await pool.fetch("select series_id from operation_series where ended_at is null order by series_id")
    count = 0
    for row in ids:
        try:
            async with pool.acquire() as connection, connection.transaction():
                count += await _plan_one(connection, row["series_id"], now)
        except OperationError as error:
            log.warning("series %s: its next operation is not planned: %s", row["series_id"], error)
            await pool.execute(
                "update operation_series set problem = $2 where series_id = $1", row["series_id"], str(error)
            )
    return count


async def _plan_one(connection: Connection, series_id: uuid.UUID, now: datetime) -> int:
    """Nothing where another hub is at it."""
    row = await connection.fetchrow(
        "select * from operation_series where series_id = $1 and ended_at is null for update skip locked",
        series_id,
    )
    if row is None:
        return 0
    after = max(row["planned_until"] or row["starts_at"] - timedelta(seconds=1), now)
    due = occurrences(row["rrule"], row["starts_at"], after, now + AHEAD)
    template, duration = json.loads(row["template"]), timedelta(seconds=row["duration_s"])
    for start in due:
        draft = _draft(template, series_id, start, duration)
        await service.plan_within(connection, draft, author=row["author"], now=now)
    await connection.execute(
        "update operation_series set planned_until = $2, problem = '' where series_id = $1"
        " and (planned_until is distinct from $2 or problem <> '')",
        *(series_id, due[-1] if due else row["planned_until"]),
    )
    return len(due)


async def plan_loop(pool: Pool, clock: Clock) -> None:
    while True:
        try:
            await plan_due(pool, clock.now())
        except UNAVAILABLE as error:
            log.warning("recurring operations wait: database away (%s)", type(error).__name__)
        await clock.sleep(CADENCE_S)


async def end(
    pool: Pool, series_id: uuid.UUID, *, suspends: bool, reason: str, author: str, now: datetime
) -> list[str]:
    """Plan no more of them; with ``suspends`` those that are still ahead are suspended for ``reason``.

    Returns the folios that were suspended. Raises :class:`OperationError`.
    """
    if suspends and not reason.strip():
        raise OperationError("diga por qué se suspenden los que ya están programados")
    async with pool.acquire() as connection, connection.transaction():
        done = await connection.execute(
            "update operation_series set ended_at = $2 where series_id = $1 and ended_at is null",
            *(series_id, now),
        )
        if done.endswith(" 0"):
            raise OperationError("esa repetición ya terminó o no existe")
        if not suspends:
            return []
        ahead = await connection.fetch(
            "select folio, version from operations where series_id = $1 and planned_start > $2"
            " and state in ('planned', 'confirmed') order by planned_start for update",
            *(series_id, now),
        )
        for row in ahead:
            await service.move_within(
                connection,
                row["folio"],
                Move.SUSPEND,
                version=row["version"],
                author=author,
                now=now,
                note=reason,
            )
    return [row["folio"] for row in ahead]


async def listed(pool: Pool, now: datetime) -> Sequence[Series]:
    """Those that go on first, the newest first. A few a season."""
    rows = await pool.fetch(
        """
select s.series_id, s.name, s.rrule as rule, s.starts_at, s.duration_s, s.author, s.created_at, s.ended_at,
  s.problem, count(o.operation_id)::integer as planned,
  (array_agg(o.folio order by o.planned_start) filter (where o.planned_start > $1))[1] as next_folio,
  min(o.planned_start) filter (where o.planned_start > $1) as next_start
from operation_series s left join operations o using (series_id)
group by s.series_id order by s.ended_at is not null, s.created_at desc limit 500
""",
        now,
    )
    return [
        Series(
            **{k: v for k, v in row.items() if k != "duration_s"},
            duration=timedelta(seconds=row["duration_s"]),
        )
        for row in rows
    ]


async def rule_of(pool: Pool, series_id: uuid.UUID) -> str:
    """The rule of a series that is there."""
    found: str = await pool.fetchval("select rrule from operation_series where series_id = $1", series_id)
    return found
