"""The Director's one screen: what waits, what is down, how the plan stands, what comes next, what is owed.

Each figure is one statement with an index behind it; the page asks them together.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from hub.alerts import service as alerts
from hub.operations.words import kind_name
from hub.plan.periods import SANTIAGO, local_midnight
from hub.web import planning
from hub.web.cards import Card, by_urgency, card_of
from hub.web.context import Console
from hub.web.sessions import Session

FEW = 8
"""Lines of each list: the page is a glance, the rest is behind its link."""
OPEN_TOO_LONG = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Answered:
    """Today by priority; ``p90_s`` None: nobody took one yet."""

    priority: int
    count: int
    in_time: int
    p90_s: float | None


@dataclass(frozen=True, slots=True)
class Down:
    name: str
    kind: str
    sector: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Next:
    """``why``: its hot spot, or how many cases it rests on."""

    folio: str
    name: str
    starts_at: datetime
    state: str
    why: str


@dataclass(frozen=True, slots=True)
class Owed:
    folio: str
    text: str
    owner: str
    due_on: date


@dataclass(frozen=True, kw_only=True, slots=True)
class Direction:
    urgent: Sequence[Card]
    answered: Sequence[Answered]
    down: Sequence[Down]
    down_count: int
    board: planning.Board
    behind: Sequence[planning.Card]
    coming: Sequence[Next]
    open_actas: Sequence[Next]
    session: tuple[str, datetime] | None
    agreements: Sequence[Owed]
    requests: Sequence[Owed]


_ANSWERED = """
select a.priority, count(*)::integer as count,
  count(*) filter (where a.acknowledged_at <= a.opened_at + make_interval(secs => t.s))::integer as in_time,
  percentile_cont(0.9) within group (order by extract(epoch from a.acknowledged_at - a.opened_at))::float8
    as p90_s
from alerts a join (values (1, 15), (2, 60)) t (priority, s) using (priority)
where a.opened_at >= $1 and not a.is_drill and a.merged_into is null
group by a.priority order by a.priority
"""
_DOWN = """
select coalesce(nullif(d.name, ''), d.source) as name, d.kind, d.sector, min(a.opened_at) as since,
  count(*) over ()::integer as total
from alerts a join devices d on (a.kind = 'device_silent' and a.device_id = d.device_id)
  or (a.kind = 'gateway_silent' and a.gateway = d.gateway)
where a.closed_at is null and a.kind in ('device_silent', 'gateway_silent')
  and d.kind not in ('duress_button', 'vif_button')
group by d.device_id, d.name, d.source, d.kind, d.sector order by since limit $1
"""
_COMING = """
select o.folio, o.name, o.kind, o.planned_start, o.state, o.hot_spot,
  (select count(*) from operation_links l where l.operation_id = o.operation_id and l.relation = 'origin'
    and l.removed_at is null)::integer as origins
from operations o
where o.state in ('planned', 'confirmed', 'in_progress') and o.planned_end >= $1 and not o.is_drill
order by o.planned_start limit $2
"""
_ACTAS = """
select o.folio, o.name, o.kind, o.planned_start, o.state, o.hot_spot, 0 as origins from operations o
where o.state = 'executed' and o.ended_at < $1 and not o.is_drill order by o.planned_start limit $2
"""
_SESSION = """
select folio, starts_at from council_sessions
where body = 'council' and state = 'planned' and starts_at >= $1 order by starts_at limit 1
"""
_AGREEMENTS = """
select folio, agreement as text, owner, due_on from council_agreements
where fulfilled_on is null and dropped_because = '' and due_on < $1 order by due_on limit $2
"""
_REQUESTS = """
select folio, document as text, institution as owner, due_on from image_requests
where answered_on is null and due_on < $1 order by due_on limit $2
"""


async def load(console: Console, session: Session) -> Direction:
    pool, now = console.pool, console.now()
    today = now.astimezone(SANTIAGO).date()
    open_, answered, down, board = await asyncio.gather(
        alerts.list_open(pool, limit=200, role=session.user.role),
        pool.fetch(_ANSWERED, local_midnight(today)),
        pool.fetch(_DOWN, FEW),
        planning.load_board(console),
    )
    sitting: Any = await pool.fetchrow(_SESSION, now)
    coming, actas, agreements, requests = await asyncio.gather(
        pool.fetch(_COMING, now, FEW),
        pool.fetch(_ACTAS, now - OPEN_TOO_LONG, FEW),
        pool.fetch(_AGREEMENTS, today, FEW),
        pool.fetch(_REQUESTS, today, FEW),
    )
    cards = by_urgency([card_of(one) for one in open_ if one.priority <= 2])
    plan_cards = [card for one in board.objectives for card in one.cards]
    return Direction(
        urgent=cards[:FEW],
        answered=[Answered(**dict(row)) for row in answered],
        down=[Down(row["name"], row["kind"], row["sector"], row["since"]) for row in down],
        down_count=down[0]["total"] if down else 0,
        board=board,
        behind=[card for card in plan_cards if card.light in ("atrasado", "sin_dato")],
        coming=[_next(row) for row in coming],
        open_actas=[_next(row) for row in actas],
        session=(sitting["folio"], sitting["starts_at"]) if sitting else None,
        agreements=[Owed(**dict(row)) for row in agreements],
        requests=[Owed(**dict(row)) for row in requests],
    )


def _next(row: Any) -> Next:
    why = f"foco {row['hot_spot']}" if row["hot_spot"] else ""
    if row["origins"]:
        why = f"{why}, {row['origins']} hechos".removeprefix(", ")
    name = row["name"] or kind_name(row["kind"])
    return Next(row["folio"], name, row["planned_start"], row["state"], why or "sin hechos vinculados")
