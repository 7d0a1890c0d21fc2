"""Findings become alerts: opened, or joined to the one that is open under the same key."""

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from edge.contract import uuid7
from hub.alerts.finding import Finding
from hub.alerts.model import Outcome
from hub.database import Connection
from hub.database.statement import statement

log = logging.getLogger(__name__)

CHANNEL = "alerts"
"""NOTIFY channel; the payload is the id of an alert that changed."""

# A repeat keeps its alert's code; it only gets a number behind Z, which next_alert_code() never uses, in case
# that alert is closed in this very moment. Arrays behind a "select" hide their length from the
# planner: it keeps one plan instead of planning anew each time, which is half of the cost of one alert.
# A repeat is no new version: somebody who presses again must not undo the operator's click.
OPENING = (
    """upserted as (
  insert into alerts (alert_id, code, kind, priority, state, dedup_key, device_id, gateway, place, sector,
    latitude, longitude, summary, rule, happened_at, time_quality, opened_at, last_event_at, event_count,
    is_drill, parent_id, rule_version, is_reserved)
  select f.alert_id,
    case when f.parent_id is not null
        or exists (select from alerts a where a.dedup_key = f.dedup_key and a.closed_at is null)
      then 'Z' || nextval('alert_numbers') % 100000 else next_alert_code() end,
    f.kind, f.priority, 'received', f.dedup_key, f.device_id, f.gateway, f.place,
    f.sector, f.latitude, f.longitude, f.summary, f.rule, f.happened_at, f.time_quality, :now,
    f.last_event_at, f.event_count, f.is_drill, f.parent_id, f.rule_version, f.is_reserved
  from unnest((select :alert_ids::uuid[]), :kinds::text[], :priorities::smallint[], :keys::text[],
    :device_ids::int[], :gateways::text[], :places::text[], :sectors::text[], :latitudes::float8[],
    :longitudes::float8[], :summaries::text[], :rules::text[], :happened::timestamptz[], :qualities::text[],
    :last_events::timestamptz[], :event_counts::int[], :drills::bool[], :parents::uuid[], :versions::text[],
    :reserved::bool[])
    as f (alert_id, kind, priority, dedup_key, device_id, gateway, place, sector, latitude, longitude,
          summary, rule, happened_at, time_quality, last_event_at, event_count, is_drill, parent_id,
          rule_version, is_reserved)
  on conflict (dedup_key) where closed_at is null do update
    set priority = least(alerts.priority, excluded.priority),
        last_event_at = greatest(alerts.last_event_at, excluded.last_event_at),
        event_count = alerts.event_count + excluded.event_count,
        is_reserved = alerts.is_reserved or excluded.is_reserved,
        parent_id = case when alerts.state = 'received' and alerts.parent_id is null then excluded.parent_id
                    else alerts.parent_id end,
        version = alerts.version + (excluded.priority < alerts.priority)::integer
  returning alert_id, code, kind, priority, state, dedup_key, parent_id,
    alert_id = any((select :alert_ids)::uuid[]) as opened
)""",
    """logged as (
  insert into alert_log (alert_id, at, author, move, from_state, to_state, note, source_event)
  select u.alert_id, :now, 'hub:rules', case when u.opened and l.is_first then 'opened' else 'joined' end,
    case when u.opened and l.is_first then null else u.state end, u.state, l.note, l.source_event
  from unnest((select :log_keys::text[]), :log_notes::text[], :log_events::uuid[], :log_firsts::bool[])
    with ordinality as l (dedup_key, note, source_event, is_first, position)
  join upserted u using (dedup_key)
  order by l.position
)""",
    """outcomes as (
  select u.*, not u.opened and (before.priority is null or u.priority < before.priority) as raised
  from upserted u left join alerts before using (alert_id)
)""",
)
"""Parts of a statement; what became of each alert is in ``outcomes``."""

_OPEN = statement(
    *OPENING,
    result="""
select alert_id, code, kind, priority, dedup_key, opened, raised,
  case when parent_id is null then pg_notify('alerts', alert_id::text) end
from outcomes
""",
)


@dataclass(frozen=True, slots=True)
class _Group:
    """The findings of one batch that belong to one alert, in the order in which they came."""

    findings: list[Finding]

    @property
    def first(self) -> Finding:
        return self.findings[0]

    @property
    def priority(self) -> int:
        return min(f.priority for f in self.findings)

    @property
    def last_event_at(self) -> datetime:
        return max(f.happened_at for f in self.findings)


async def open_or_join(connection: Connection, findings: Sequence[Finding], now: datetime) -> list[Outcome]:
    """Open or join the alerts of ``findings`` inside the caller's transaction: one outcome for each alert.

    Findings with one ``dedup_key`` are folded. Joining only ever makes an alert more urgent. Listeners on
    the channel ``alerts`` hear each alert's id once the caller commits. Raises
    ``asyncpg.SerializationError`` when the whole transaction has to be repeated (rare).
    """
    if not findings:
        return []
    groups = _fold(findings)
    outcomes = _outcomes(groups, await _open(connection, groups, now, {}))
    note_opened(outcomes, findings)
    return outcomes


def _outcomes(groups: Sequence["_Group"], rows: Sequence[asyncpg.Record]) -> list[Outcome]:
    by_key = {row["dedup_key"]: row for row in rows}
    return [
        Outcome(
            alert_id=row["alert_id"],
            code=row["code"],
            kind=row["kind"],
            priority=row["priority"],
            opened=row["opened"],
            raised=row["raised"],
            finding=group.first,
        )
        for group in groups
        for row in (by_key[group.first.dedup_key],)
    ]


def note_opened(outcomes: Sequence[Outcome], findings: Sequence[Finding]) -> None:
    """Tell the log."""
    opened = sum(outcome.opened for outcome in outcomes)
    log.info("%d findings: %d alerts opened, %d joined", len(findings), opened, len(outcomes) - opened)


@dataclass(frozen=True, slots=True)
class Opening:
    """Findings that open or join their alerts inside a larger statement; see :data:`OPENING`."""

    groups: Sequence["_Group"]
    arguments: Mapping[str, object]

    @classmethod
    def of(cls, findings: Sequence[Finding], now: datetime) -> "Opening":
        groups = _fold(findings)
        return cls(groups, _arguments(groups, now, {}))

    @property
    def firsts(self) -> list[tuple[Finding, int]]:
        """The first finding of each alert, with the alert's priority as far as it is known."""
        return [(group.first, group.priority) for group in self.groups]

    def outcomes(self, rows: Sequence[asyncpg.Record]) -> list[Outcome]:
        """From rows that hold the columns of ``outcomes``, perhaps each more than once."""
        return _outcomes(self.groups, rows)


async def _open(
    connection: Connection, groups: Sequence[_Group], now: datetime, parents: Mapping[str, uuid.UUID]
) -> list[asyncpg.Record]:
    try:
        return await connection.fetch(_OPEN.sql, *_OPEN.arguments(_arguments(groups, now, parents)))
    except asyncpg.UniqueViolationError as error:
        # The other transaction committed between the look at its code and the lock on it: the same batch
        # goes through next time, so say it in the way that callers repeat on.
        raise asyncpg.SerializationError("an alert code was taken meanwhile; repeat the batch") from error


async def open_under(connection: Connection, findings: Sequence[tuple[Finding, str]], now: datetime) -> None:
    """Open or join each finding under the open alert whose key stands beside it: nobody is told of it.

    It keeps a number instead of a code that people say, and one that somebody has taken stays on its own.
    """
    groups = _fold([finding for finding, _ in findings])
    rows = await connection.fetch(
        "select dedup_key, alert_id from alerts where dedup_key = any($1) and closed_at is null",
        sorted({key for _, key in findings}),
    )
    ids = {row["dedup_key"]: row["alert_id"] for row in rows}
    parents = {finding.dedup_key: ids[key] for finding, key in findings if key in ids}
    await _open(connection, groups, now, parents)


def _fold(findings: Sequence[Finding]) -> list[_Group]:
    groups: dict[str, _Group] = {}
    for finding in findings:
        groups.setdefault(finding.dedup_key, _Group([])).findings.append(finding)
    # Two hubs that open the same alerts lock them in the same order.
    return [groups[key] for key in sorted(groups)]


def _arguments(
    groups: Sequence[_Group], now: datetime, parents: Mapping[str, uuid.UUID]
) -> dict[str, object]:
    firsts = [group.first for group in groups]
    lines = [(f, f is group.first) for group in groups for f in group.findings]
    return {
        "now": now,
        "alert_ids": [uuid7(now) for _ in groups],
        "kinds": [f.kind for f in firsts],
        "priorities": [g.priority for g in groups],
        "keys": [f.dedup_key for f in firsts],
        "device_ids": [f.device_id for f in firsts],
        "gateways": [f.gateway for f in firsts],
        "places": [f.place for f in firsts],
        "sectors": [f.sector for f in firsts],
        "latitudes": [f.latitude for f in firsts],
        "longitudes": [f.longitude for f in firsts],
        "summaries": [f.summary for f in firsts],
        "rules": [f.rule for f in firsts],
        "happened": [f.happened_at for f in firsts],
        "qualities": [f.time_quality for f in firsts],
        "last_events": [g.last_event_at for g in groups],
        "event_counts": [len(g.findings) for g in groups],
        "drills": [f.is_drill for f in firsts],
        "parents": [parents.get(f.dedup_key) for f in firsts],
        "versions": [f.rule_version for f in firsts],
        "reserved": [any(f.is_reserved for f in g.findings) for g in groups],
        "log_keys": [f.dedup_key for f, _ in lines],
        "log_notes": [f.summary for f, _ in lines],
        "log_events": [f.source_event for f, _ in lines],
        "log_firsts": [is_first for _, is_first in lines],
    }
