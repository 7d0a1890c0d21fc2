"""From findings to few alerts: silenced, gathered under parents, opened; in the caller's transaction.

Life alerts and drills pass straight through: one statement, as if nothing here existed.
"""

import logging
from collections.abc import Sequence
from datetime import datetime

from hub.alerts import children, few, questions
from hub.alerts.few import Scope
from hub.alerts.finding import Finding
from hub.alerts.model import Outcome
from hub.alerts.opening import open_or_join, open_under
from hub.alerts.silences import Silences, note_held_back
from hub.database import Connection

log = logging.getLogger(__name__)

BATCH = 2000
"""Children in one statement: each row is small, and a batch of ten thousand must not hold up the lane."""


async def receive(
    connection: Connection, findings: Sequence[Finding], now: datetime, silences: Silences | None = None
) -> list[Outcome]:
    """Open or join what is not silenced; returns the outcomes that people may have to hear of.

    What went under another alert is not among them. Raises what
    :func:`hub.alerts.opening.open_or_join` raises.
    """
    if silences is not None and silences.are_any:
        sorted_out = silences.sort_out(findings, now)
        findings = sorted_out.kept
        await note_held_back(connection, sorted_out.held_back, now)
    ordinary = [f for f in findings if few.is_ordinary(f)]
    others = [f for f in findings if not few.is_ordinary(f)]
    if not others:
        outcomes = await open_or_join(connection, ordinary, now)
        await questions.ask(connection, outcomes, now)
        return outcomes
    plan = await _plan(connection, others, now)
    outcomes = await open_or_join(connection, [*ordinary, *plan.plain, *plan.parents], now)
    await _gather(connection, plan, outcomes, now)
    await questions.ask(connection, outcomes, now)
    return outcomes


_OPEN_KEYS = "select dedup_key from alerts where dedup_key = any($1) and closed_at is null"
_OPENINGS = """
select dedup_key, count(*)::integer as n from alerts
where dedup_key = any($1) and opened_at > $2 group by dedup_key
"""
_STANDING = """
select s.kind, s.field, s.value, count(*)::integer as n
from unnest($1::text[], $2::text[], $3::text[]) as s (kind, field, value)
join alerts a on a.closed_at is null and a.parent_id is null and a.state = 'received' and a.kind = s.kind
  and a.priority > 1 and a.opened_at > $4 and not a.is_drill and not a.dedup_key = any($5)
  and case s.field when 'gateway' then a.gateway when 'sector' then a.sector else a.place end = s.value
  and a.dedup_key not like 'group:%' and a.dedup_key not like 'flapping:%'
group by 1, 2, 3
"""


async def _plan(connection: Connection, findings: Sequence[Finding], now: datetime) -> few.Plan:
    keys = [f.dedup_key for f in findings]
    open_rows = await connection.fetch(_OPEN_KEYS, sorted(few.keys_to_look_up(findings)))
    openings = await connection.fetch(_OPENINGS, keys, now - few.FLAP_WINDOW)
    scopes = sorted(
        {scope for f in findings if (scope := few.scope_of(f))}, key=lambda s: (s.kind, s.field, s.value)
    )
    standing = await connection.fetch(
        _STANDING,
        [s.kind for s in scopes],
        [s.field for s in scopes],
        [s.value for s in scopes],
        now - few.GROUP_WINDOW,
        keys,
    )
    return few.plan(
        findings,
        frozenset(row["dedup_key"] for row in open_rows),
        {row["dedup_key"]: row["n"] for row in openings},
        {Scope(row["kind"], row["field"], row["value"]): row["n"] for row in standing},
        now,
    )


async def _gather(connection: Connection, plan: few.Plan, outcomes: Sequence[Outcome], now: datetime) -> None:
    """Put children under their parents, and what stands already under new ones."""
    for outcome in outcomes:
        if outcome.opened and outcome.kind == few.GATEWAY_KIND and outcome.finding.gateway:
            await children.adopt_of_gateway(
                connection, outcome.alert_id, outcome.finding.gateway, outcome.code, now
            )
    by_key = {outcome.finding.dedup_key: outcome for outcome in outcomes}
    for scope in plan.adopt:
        parent = by_key[scope.key]
        since = now - few.GROUP_WINDOW
        await children.adopt_of_scope(connection, parent.alert_id, scope, parent.code, now, since)
    for start in range(0, len(plan.children), BATCH):
        await open_under(connection, plan.children[start : start + BATCH], now)
    if plan.children:
        log.info("%d findings went under another alert", len(plan.children))
