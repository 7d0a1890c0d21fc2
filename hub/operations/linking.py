"""Ties between operations and what the field said, made and taken back by the hub as both change.

Each round reads on in the two logs: which operations changed, which alerts did. What it finds is a function
of both as they are now, so a round that is repeated changes nothing. A link that a person took back is never
made again here. Reserved alerts, tests and drills are never tied, and a tie goes when its alert becomes one
of them, or is closed as nothing real.
"""

import json
import logging
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hub.alerts.model import RESTRICTED_KINDS
from hub.clock import Clock
from hub.database import UNAVAILABLE, Connection, Pool
from hub.database.statement import numbered
from hub.operations.places import Box, Place, box_of
from hub.operations.relating import REACH_M, Happening, Span, Tie, tie_of

log = logging.getLogger(__name__)

AUTHOR = "hub:linking"
CADENCE_S = 20.0
PORTION = 500
"""Log lines of alerts that one round reads."""
SETTLED = timedelta(minutes=2)
"""Younger lines are read again: a transaction that began earlier may still commit a lower number."""
_LOCK = 0x6C696E6B

# What may be tied: real, of the field, and not (yet) closed as something that was not.
_ELIGIBLE = """
  not a.is_drill and not a.is_reserved and not a.kind = any(:restricted::text[])
  and coalesce(a.reason, '') in ('', 'attended', 'referred') and a.merged_into is null
  and split_part(coalesce(nullif(a.classification, ''), c.code, ''), '.', 1) not in ('TEC', 'VIF')
"""
_CODES = "left join jsonb_each_text(:codes::jsonb) c (kind, code) on c.kind = a.kind"
_EVENT = "a.alert_id, a.opened_at, a.latitude, a.longitude, a.sector"

_SPANS = """
select o.operation_id, o.sector, o.area, o.planned_start, o.started_at, o.ended_at, o.origin_since,
  o.origin_until, o.hot_spot, s.area as sector_area,
  (select jsonb_agg(jsonb_build_array(coalesce(nullif(p.name, ''), p.point), p.latitude, p.longitude)
     order by p.point) from operation_points p where p.operation_id = o.operation_id) as points
from operations o left join sectors s on s.sector = o.sector
where o.state <> 'suspended' and not o.is_drill and {which}
order by o.operation_id
"""
_SPANS_BY_ID = numbered(_SPANS.format(which="o.operation_id = any(:ids::uuid[])"))
# An operation reaches from its origin window to a fortnight after its end.
_SPANS_AROUND = numbered(
    _SPANS.format(
        which="least(o.origin_since, o.planned_start - interval '29 days') <= :until::timestamptz"
        " and (o.ended_at is null or o.ended_at + interval '14 days' >= :since::timestamptz)"
        " and (o.started_at is not null or o.planned_start >= :since::timestamptz)"
    )
)
_EVENTS_OF_SPAN = numbered(f"""
select {_EVENT} from alerts a {_CODES}
where a.opened_at >= :since::timestamptz and a.opened_at <= :until::timestamptz and {_ELIGIBLE}
  and (a.latitude between :south::float8 and :north::float8 and a.longitude between :west and :east::float8
    or :by_sector::boolean and a.sector = :sector)
""")  # noqa: S608  constants of this module
_EVENTS_BY_ID = numbered(f"""
select {_EVENT} from alerts a {_CODES} where a.alert_id = any(:ids::uuid[]) and {_ELIGIBLE}
""")  # noqa: S608
_WRITE = numbered("""
insert into operation_links (operation_id, alert_id, relation, way, reason, author, at)
select t.operation_id, t.alert_id, t.relation, 'automatic', t.reason, :author, :now::timestamptz
from unnest(:operations::uuid[], :alerts::uuid[], :relations::text[], :reasons::text[])
  as t (operation_id, alert_id, relation, reason)
where not exists (
  select from operation_links l where l.operation_id = t.operation_id and l.alert_id = t.alert_id
    and (l.removed_at is null or l.removed_by is distinct from :author))
on conflict do nothing
returning link_id
""")
_TAKE_BACK = """
update operation_links l set removed_at = :now::timestamptz, removed_by = :author
where l.way = 'automatic' and l.removed_at is null and {which}
returning l.link_id
"""
_TAKE_BACK_UNWANTED = numbered(
    _TAKE_BACK.format(
        which="l.operation_id = :operation::uuid and not exists ("
        " select from unnest(:alerts::uuid[], :relations::text[]) as t (alert_id, relation)"
        " where t.alert_id = l.alert_id and t.relation = l.relation)"
    )
)
_TAKE_BACK_UNREAL = numbered(
    _TAKE_BACK.format(
        which="l.alert_id = any(:ids::uuid[]) and not exists ("
        f" select from alerts a {_CODES} where a.alert_id = l.alert_id and {_ELIGIBLE})"
    )
)
_CHANGED_ALERTS = """
select log_id, alert_id, at from alert_log
where log_id > (select log_id from linking_marks where log = 'alerts') order by log_id limit $1
"""
_CHANGED_OPERATIONS = """
select log_id, operation_id, at from operation_log
where log_id > (select log_id from linking_marks where log = 'operations') order by log_id limit $1
"""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did. ``is_last``: nothing settled was left to read."""

    made: int
    taken_back: int
    is_last: bool


class Linking:
    """The worker. Any number of hubs may run it: one works, the others find the lock taken."""

    def __init__(self, pool: Pool, codes: Callable[[], Mapping[str, str]]) -> None:
        """``codes``: which code of the catalogue a kind of alert stands for until somebody classified it."""
        self._pool = pool
        self._codes = codes

    def _words(self) -> dict[str, Any]:
        return {
            "author": AUTHOR,
            "codes": json.dumps(dict(self._codes())),
            "restricted": sorted(RESTRICTED_KINDS),
        }

    async def run_loop(self, clock: Clock) -> None:
        while True:
            try:
                while not (await self.round(clock.now())).is_last:
                    await clock.sleep(0)
            except UNAVAILABLE as error:
                log.warning("linking waits: database away (%s)", type(error).__name__)
            await clock.sleep(CADENCE_S)

    async def all(self, now: datetime) -> Round:
        """Every operation anew: some were imported, or the outline of a sector changed."""
        await self._pool.execute("update linking_marks set log_id = 0 where log = 'operations'")
        made = taken = 0
        while True:
            done = await self.round(now)
            made, taken = made + done.made, taken + done.taken_back
            if done.is_last:
                return Round(made, taken, is_last=True)

    async def round(self, now: datetime) -> Round:
        """One portion of both logs, in one transaction."""
        async with self._pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval("select pg_try_advisory_xact_lock($1)", _LOCK):
                return Round(0, 0, is_last=True)
            operations = await connection.fetch(_CHANGED_OPERATIONS, PORTION)
            alerts = await connection.fetch(_CHANGED_ALERTS, PORTION)
            made, taken = await self._of_operations(connection, _ids(operations, "operation_id"), now)
            more, less = await self._of_alerts(connection, _ids(alerts, "alert_id"), now)
            is_last = True
            for name, rows in (("operations", operations), ("alerts", alerts)):
                settled = [row["log_id"] for row in rows if row["at"] <= now - SETTLED]
                if settled:
                    sql = "update linking_marks set log_id = $2 where log = $1"
                    await connection.execute(sql, name, max(settled))
                is_last &= len(rows) < PORTION or not settled
        return Round(made + more, taken + less, is_last)

    async def _of_operations(
        self, connection: Connection, ids: Sequence[uuid.UUID], now: datetime
    ) -> tuple[int, int]:
        """Operations that changed: all that belongs to them, anew."""
        rows = await connection.fetch(_SPANS_BY_ID.sql, *_SPANS_BY_ID.arguments({"ids": ids}))
        spans = {row["operation_id"]: _span(dict(row)) for row in rows}
        made = taken = 0
        for operation_id in ids:
            span = spans.get(operation_id)  # a suspended one keeps nothing that the hub made
            ties = [] if span is None else await self._ties(connection, span, now)
            taken += await self._take_back_unwanted(connection, operation_id, ties, now)
            made += await self._write(connection, [(operation_id, tie) for tie in ties], now)
        return made, taken

    async def _ties(self, connection: Connection, span: Span, now: datetime) -> list[Tie]:
        box = box_of(span.area or (None if span.points else span.sector_area), _places(span), REACH_M)
        around = box or Box(0.0, 0.0, 0.0, 0.0)
        values = {
            **self._words(),
            "since": span.first,
            "until": span.last or now,
            "south": around.south,
            "north": around.north,
            "west": around.west,
            "east": around.east,
            "by_sector": not span.points and span.area is None,
            "sector": span.sector,
        }
        rows = await connection.fetch(_EVENTS_OF_SPAN.sql, *_EVENTS_OF_SPAN.arguments(values))
        return [tie for row in rows if (tie := tie_of(span, _happening(dict(row)))) is not None]

    async def _of_alerts(
        self, connection: Connection, ids: Sequence[uuid.UUID], now: datetime
    ) -> tuple[int, int]:
        """Alerts that changed: each against the operations whose time it falls into."""
        if not ids:
            return 0, 0
        values = {**self._words(), "ids": ids, "now": now}
        taken = await connection.fetch(_TAKE_BACK_UNREAL.sql, *_TAKE_BACK_UNREAL.arguments(values))
        rows = await connection.fetch(_EVENTS_BY_ID.sql, *_EVENTS_BY_ID.arguments(values))
        events = [_happening(dict(row)) for row in rows]
        if not events:
            return 0, len(taken)
        window = {"since": min(e.at for e in events), "until": max(e.at for e in events)}
        found = await connection.fetch(_SPANS_AROUND.sql, *_SPANS_AROUND.arguments(window))
        spans = [_span(dict(row)) for row in found]
        ties = [
            (span.operation_id, tie)
            for span in spans
            for event in events
            if (tie := tie_of(span, event)) is not None
        ]
        return await self._write(connection, ties, now), len(taken)

    async def _write(
        self, connection: Connection, ties: Sequence[tuple[uuid.UUID, Tie]], now: datetime
    ) -> int:
        values = {
            **self._words(),
            "now": now,
            "operations": [operation_id for operation_id, _ in ties],
            "alerts": [tie.alert_id for _, tie in ties],
            "relations": [tie.relation.value for _, tie in ties],
            "reasons": [tie.reason for _, tie in ties],
        }
        return len(await connection.fetch(_WRITE.sql, *_WRITE.arguments(values))) if ties else 0

    async def _take_back_unwanted(
        self, connection: Connection, operation_id: uuid.UUID, ties: Sequence[Tie], now: datetime
    ) -> int:
        values = {
            **self._words(),
            "now": now,
            "operation": operation_id,
            "alerts": [tie.alert_id for tie in ties],
            "relations": [tie.relation.value for tie in ties],
        }
        rows = await connection.fetch(_TAKE_BACK_UNWANTED.sql, *_TAKE_BACK_UNWANTED.arguments(values))
        return len(rows)


def _ids(rows: Iterable[Any], name: str) -> list[uuid.UUID]:
    return list(dict.fromkeys(row[name] for row in rows))


def _places(span: Span) -> list[Place]:
    return [place for _, place in span.points]


def _span(row: Any) -> Span:
    points = [(name, Place(latitude, longitude)) for name, latitude, longitude in _json(row["points"]) or ()]
    return Span(
        operation_id=row["operation_id"],
        sector=row["sector"],
        area=_json(row["area"]),
        sector_area=_json(row["sector_area"]),
        points=points,
        planned_start=row["planned_start"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        origin_since=row["origin_since"],
        origin_until=row["origin_until"],
        hot_spot=row["hot_spot"],
    )


def _json(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _happening(row: Any) -> Happening:
    has_place = row["latitude"] is not None and row["longitude"] is not None
    place = Place(row["latitude"], row["longitude"]) if has_place else None
    return Happening(row["alert_id"], row["opened_at"], place, row["sector"])
