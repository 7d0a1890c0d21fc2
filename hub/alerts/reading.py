"""What consoles and reports read about alerts. Every list has a page."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from hub.alerts.lifecycle import State
from hub.alerts.model import COLUMNS, Alert, LogEntry
from hub.alerts.visibility import visible_to
from hub.database import Pool

MAX_PAGE = 500


@dataclass(frozen=True, slots=True)
class OpenAfter:
    """Where a page of open alerts ended: the last alert's own order."""

    priority: int
    opened_at: datetime
    alert_id: uuid.UUID

    @classmethod
    def of(cls, alert: Alert) -> "OpenAfter":
        return cls(alert.priority, alert.opened_at, alert.alert_id)


@dataclass(frozen=True, slots=True)
class Counts:
    """Open alerts. ``unacknowledged`` are those in state received, also by priority."""

    open: int
    unacknowledged: int
    by_priority: dict[int, int]
    unacknowledged_by_priority: dict[int, int]
    by_state: dict[State, int]


async def list_open(
    pool: Pool,
    *,
    priority: int | None = None,
    limit: int = 100,
    after: OpenAfter | None = None,
    role: str | None = None,
) -> list[Alert]:
    """One page of open alerts, the most urgent first, then the oldest first; none that another covers.

    With ``role`` (of a user) reserved alerts are left out for those who may not know of them.
    """
    rows = await pool.fetch(
        f"select {COLUMNS} from alerts where closed_at is null and parent_id is null"  # noqa: S608  constants of ours
        f" and {visible_to(role)}"
        " and ($1::smallint is null or priority = $1)"
        " and ($2::smallint is null or (priority, opened_at, alert_id) > ($2, $3, $4))"
        " order by priority, opened_at, alert_id limit $5",
        priority,
        after and after.priority,
        after and after.opened_at,
        after and after.alert_id,
        _page(limit),
    )
    return [Alert.from_row(row) for row in rows]


async def search(
    pool: Pool,
    *,
    text: str = "",
    kind: str | None = None,
    priority: int | None = None,
    state: State | None = None,
    sector: str | None = None,
    device_id: int | None = None,
    opened_from: datetime | None = None,
    opened_until: datetime | None = None,
    include_drills: bool = True,
    limit: int = 50,
    after: Alert | None = None,
    role: str | None = None,
) -> list[Alert]:
    """One page of all alerts, open and closed, the newest first; pass the last one as ``after``.

    ``text`` is looked for in code, place and summary; ``opened_from`` is inclusive, ``opened_until`` not.
    ``role`` as in :func:`list_open`.
    """
    rows = await pool.fetch(
        f"select {COLUMNS} from alerts where {visible_to(role)}"  # noqa: S608  constants of ours
        " and ($1 = '' or code = upper($1) or place ilike $2 or summary ilike $2)"
        " and ($3::text is null or kind = $3) and ($4::smallint is null or priority = $4)"
        " and ($5::text is null or state = $5) and ($6::text is null or sector = $6)"
        " and ($7::int is null or device_id = $7)"
        " and ($8::timestamptz is null or opened_at >= $8) and ($9::timestamptz is null or opened_at < $9)"
        " and ($10 or not is_drill)"
        " and ($11::timestamptz is null or (opened_at, alert_id) < ($11, $12))"
        " order by opened_at desc, alert_id desc limit $13",
        text,
        f"%{_like(text)}%",
        kind,
        priority,
        state and state.value,
        sector,
        device_id,
        opened_from,
        opened_until,
        include_drills,
        after and after.opened_at,
        after and after.alert_id,
        _page(limit),
    )
    return [Alert.from_row(row) for row in rows]


async def get(pool: Pool, alert_id: uuid.UUID, *, role: str | None = None) -> Alert | None:
    """None also where ``role`` may not know that there is such an alert."""
    rows = await pool.fetch(
        f"select {COLUMNS} from alerts where alert_id = $1 and {visible_to(role)}",  # noqa: S608  constants
        alert_id,
    )
    return Alert.from_row(rows[0]) if rows else None


async def first_sent_at(pool: Pool, alert_id: uuid.UUID) -> datetime | None:
    """When somebody was first sent, or somebody else took the lead, or it was over."""
    found: datetime | None = await pool.fetchval(
        "select min(at) from alert_log where alert_id = $1"
        " and move in ('dispatch', 'arrive', 'control', 'refer', 'close', 'merge')",
        alert_id,
    )
    return found


async def timeline(pool: Pool, alert_id: uuid.UUID, *, limit: int = 200, after: int = 0) -> list[LogEntry]:
    """One page of an alert's timeline, the oldest first; pass the last ``log_id`` as ``after``."""
    rows = await pool.fetch(
        "select log_id, alert_id, at, author, move, from_state, to_state, note, source_event"
        " from alert_log where alert_id = $1 and log_id > $2 order by log_id limit $3",
        alert_id,
        after,
        _page(limit),
    )
    return [LogEntry.from_row(row) for row in rows]


async def counts(pool: Pool, *, role: str | None = None) -> Counts:
    """How many alerts are open, drills included: they stand on the same screen. ``role`` as above."""
    rows = await pool.fetch(
        "select priority, state, count(*) as n from alerts"  # noqa: S608  constants of ours
        f" where closed_at is null and parent_id is null and {visible_to(role)} group by priority, state"
    )
    open_rows = [(row["priority"], State(row["state"]), row["n"]) for row in rows]
    waiting = [row for row in open_rows if row[1] is State.RECEIVED]
    return Counts(
        open=sum(n for _, _, n in open_rows),
        unacknowledged=sum(n for _, _, n in waiting),
        by_priority=_by_priority(open_rows),
        unacknowledged_by_priority=_by_priority(waiting),
        by_state={state: sum(n for _, s, n in open_rows if s is state) for state in State},
    )


def _by_priority(rows: Sequence[tuple[int, State, int]]) -> dict[int, int]:
    return {priority: sum(n for p, _, n in rows if p == priority) for priority in (1, 2, 3, 4)}


def _page(limit: int) -> int:
    return min(max(limit, 1), MAX_PAGE)


def _like(text: str) -> str:
    """The text as itself inside a LIKE pattern."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
