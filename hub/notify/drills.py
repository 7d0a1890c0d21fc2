"""Drills: planned each month for every group and every panic button, run, judged and kept as proof.

A group's drill is an alert of its own that is a drill, so that answers, codes and timeline work as on the
day; it never enters an indicator. A button's drill is a declared window in which a press counts as one.
"""

import hashlib
import json
import logging
import uuid
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from edge.contract import uuid7
from hub.alerts import service as alerts
from hub.alerts.finding import Finding
from hub.alerts.lifecycle import Move, Reason, Step
from hub.alerts.opening import open_or_join
from hub.alerts.silences import SilenceError
from hub.alerts.silences import Sort as SilenceSort
from hub.database import Connection, Pool
from hub.notify import answer_text
from hub.notify.direct import LAST, Text, queue_texts
from hub.notify.policy import NotifySettings
from hub.notify.text import SANTIAGO

log = logging.getLogger(__name__)

KIND = "drill"
LENGTH = timedelta(minutes=30)
BUTTON_LENGTH = timedelta(minutes=15)
BUTTON_AFTER = timedelta(minutes=45)
"""Buttons are tried after the group's own drill, when people are still at it."""
MISSED_AFTER = timedelta(hours=2)
"""A drill that a hub slept through is not held in the middle of the night."""
PLANNER = "hub:drills"
BATCH = 20


class DrillError(Exception):
    """A drill that cannot be; the message is Spanish."""


# ---------------------------------------------------------------------------------------- planning


def planned_at(year: int, month: int, day: int, at: time) -> datetime:
    """The instant of a monthly drill, by the clock on the wall. Pure."""
    return datetime(year, month, day, at.hour, at.minute, tzinfo=SANTIAGO)


def months_to_plan(now: datetime) -> list[tuple[int, int]]:
    """This month and the next, as they are in Chile. Pure."""
    local = now.astimezone(SANTIAGO)
    following = (local.year + local.month // 12, local.month % 12 + 1)
    return [(local.year, local.month), following]


_PLAN = """
insert into drills (drill_id, sort, watch_group, device_id, period, planned_at, author)
values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing
"""


async def plan(pool: Pool, now: datetime) -> None:
    """Rows for the drills of this month and the next, where they are yet to come; repeating it adds none."""
    groups = await pool.fetch(
        "select name, drill_day, drill_time from watch_groups where drill_day is not null order by name"
    )
    for group in groups:
        buttons = await pool.fetch(
            "select device_id from devices where watch_group = $1 and kind = 'panic_button'", group["name"]
        )
        for year, month in months_to_plan(now):
            at = planned_at(year, month, group["drill_day"], group["drill_time"])
            if at <= now:
                continue
            period = f"{year}-{month:02}"
            rows = [(uuid7(now), "group", group["name"], None, period, at, PLANNER)]
            rows += [
                (uuid7(now), "button", group["name"], b["device_id"], period, at + BUTTON_AFTER, PLANNER)
                for b in buttons
            ]
            await pool.executemany(_PLAN, rows)


# ----------------------------------------------------------------------------------------- running

_DUE = """
select drill_id, sort, watch_group, device_id, planned_at, author from drills
where state = 'planned' and planned_at <= $1 order by planned_at limit $2
for update skip locked
"""
_ENDING = """
select drill_id, sort, watch_group, device_id, planned_at, ends_at, alert_id, author from drills
where state = 'running' and ends_at <= $1 order by ends_at limit $2
for update skip locked
"""


async def run_due(pool: Pool, settings: NotifySettings, now: datetime) -> int:
    """Start what is due and end what is over; returns how many drills were moved."""
    async with pool.acquire() as connection, connection.transaction():
        due = await connection.fetch(_DUE, now, BATCH)
        for row in due:
            await _start_or_miss(connection, row, settings, now)
    async with pool.acquire() as connection, connection.transaction():
        ending = await connection.fetch(_ENDING, now, BATCH)
        for row in ending:
            await _end(connection, row, now)
    return len(due) + len(ending)


async def _start_or_miss(connection: Connection, row: Any, settings: NotifySettings, now: datetime) -> None:
    if now - row["planned_at"] <= MISSED_AFTER:
        try:
            async with connection.transaction():
                await _start(connection, row, settings, now)
        except (DrillError, SilenceError) as error:
            log.warning("drill %s cannot start: %s", row["drill_id"], type(error).__name__)
        else:
            return
    await connection.execute("update drills set state = 'missed' where drill_id = $1", row["drill_id"])


async def run_now(pool: Pool, group: str, *, author: str, now: datetime) -> uuid.UUID:
    """Start a drill of the group at once; raises :class:`DrillError`."""
    drill_id = uuid7(now)
    async with pool.acquire() as connection, connection.transaction():
        if not await connection.fetchval("select true from watch_groups where name = $1 for update", group):
            raise DrillError(f"No existe el grupo «{group}».")
        if await connection.fetchval(
            "select true from drills where watch_group = $1 and sort = 'group' and state = 'running'", group
        ):
            raise DrillError(f"Ya hay un simulacro en curso en «{group}».")
        await connection.execute(_PLAN, drill_id, "group", group, None, "", now, author)
        await _start_group(connection, {"drill_id": drill_id, "watch_group": group}, now)
    return drill_id


async def _start(connection: Connection, row: Any, settings: NotifySettings, now: datetime) -> None:
    if row["sort"] == "button":
        await _start_button(connection, row, settings, now)
    else:
        await _start_group(connection, row, now)


# Who sleeps is not woken by an exercise, and is not called silent for it.
_AWAKE = """
select contact_id, name from contacts c
where watch_group = $1 and active and not is_quiet(c, $2) order by contact_id
"""


async def _start_group(connection: Connection, row: Any, now: datetime) -> None:
    group = row["watch_group"]
    people = await connection.fetch(_AWAKE, group, now)
    if not people:
        raise DrillError(f"El grupo «{group}» no tiene a quién avisar a esta hora.")
    finding = Finding(
        rule="drill",
        kind=KIND,
        priority=3,
        dedup_key=f"drill:{row['drill_id']}",
        summary=f"Simulacro del grupo {group}",
        happened_at=now,
        time_quality="receipt",
        place=group,
        is_drill=True,
    )
    [outcome] = await open_or_join(connection, [finding], now)
    text = answer_text.drill(outcome.code, group, now)
    texts = [
        Text(
            text=text,
            purpose="drill",
            priority=LAST,
            recipient=person["name"],
            contact_id=person["contact_id"],
            alert_id=outcome.alert_id,
        )
        for person in people
    ]
    await queue_texts(connection, texts, now)
    await _mark_running(connection, row, now, now + LENGTH, outcome.alert_id, called=len(people))


async def _start_button(connection: Connection, row: Any, settings: NotifySettings, now: datetime) -> None:
    """The group's base or guide is asked to have the button pressed; in the window a press is a drill."""
    device = await connection.fetchrow(
        "select name, place, kind from devices where device_id = $1", row["device_id"]
    )
    if device is None:
        raise DrillError("el botón ya no está en el registro")
    until = now + BUTTON_LENGTH
    await alerts.create_silence(
        connection,
        sort=SilenceSort.DRILL,
        author=row["author"],
        reason="Simulacro mensual del botón",
        starts_at=now,
        ends_at=until,
        now=now,
        device_id=row["device_id"],
    )
    asked = await connection.fetch(_LEADERS, row["watch_group"], now)
    text = answer_text.button_drill(
        device["place"] or device["name"], now, until, settings.emergency_number_for("panic")
    )
    texts = [
        Text(text=text, purpose="drill", priority=LAST, recipient=p["name"], contact_id=p["contact_id"])
        for p in asked
    ]
    await queue_texts(connection, texts, now)
    await _mark_running(connection, row, now, until, None, called=1)


_LEADERS = """
select contact_id, name from contacts c
where watch_group = $1 and active and role in ('base', 'guia') and not is_quiet(c, $2) order by contact_id
"""


async def _mark_running(
    connection: Connection,
    row: Any,
    now: datetime,
    ends_at: datetime,
    alert_id: uuid.UUID | None,
    *,
    called: int,
) -> None:
    await connection.execute(
        "update drills set state = 'running', planned_at = $2, ends_at = $3, alert_id = $4, called = $5"
        " where drill_id = $1",
        row["drill_id"],
        now,
        ends_at,
        alert_id,
        called,
    )


# ----------------------------------------------------------------------------------------- results


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """How one person, or one button, answered; ``answered_s`` from the text's hand-over, None: silent.

    ``sent`` is how the text got away: sent, queued or failed.
    """

    contact_id: int | None
    name: str
    sent: str
    answer: str
    answered_s: int | None


_RESULTS = """
select n.contact_id, n.recipient as name, n.state as sent, coalesce(k.answer, '') as answer,
  extract(epoch from k.at - coalesce(n.sent_at, n.created_at))::integer as answered_s
from notifications n
left join confirmations k on k.alert_id = n.alert_id and k.person = 'contact:' || n.contact_id
where n.alert_id = $1 and n.purpose = 'drill' order by n.contact_id
"""
_PRESSED = """
select extract(epoch from min(opened_at) - $2)::integer as answered_s from alerts
where device_id = $1 and is_drill and opened_at >= $2 and opened_at < $3
"""


async def results(pool: Pool | Connection, drill: Any) -> list[Result]:
    """Of a drill row that has started, as they stand now."""
    if drill["sort"] == "button":
        pressed = await pool.fetchval(_PRESSED, drill["device_id"], drill["planned_at"], drill["ends_at"])
        answer = "" if pressed is None else "pressed"
        return [Result(contact_id=None, name="botón", sent="sent", answer=answer, answered_s=pressed)]
    rows = await pool.fetch(_RESULTS, drill["alert_id"])
    return [Result(**{**dict(r), "answered_s": _not_before(r["answered_s"])}) for r in rows]


def _not_before(answered_s: int | None) -> int | None:
    """An answer overtakes the mark "sent" by a moment at most."""
    return None if answered_s is None else max(0, answered_s)


async def _end(connection: Connection, row: Any, now: datetime) -> None:
    found = await results(connection, row)
    if row["alert_id"] is not None:
        await _close_alert(connection, row["alert_id"], now)
    text = snapshot(row, found, now)
    await connection.execute(
        "update drills set state = 'closed', answered = $2, snapshot = $3, digest = $4 where drill_id = $1",
        row["drill_id"],
        sum(result.answered_s is not None for result in found),
        text,
        digest_of(text),
    )
    log.info("drill %s over: %d of %d answered", row["drill_id"], _answered(found), len(found))


def _answered(found: list[Result]) -> int:
    return sum(result.answered_s is not None for result in found)


async def _close_alert(connection: Connection, alert_id: uuid.UUID, now: datetime) -> None:
    alert = await alerts.locked_alert(connection, alert_id)
    if alert.is_open:
        step = Step(move=Move.CLOSE, author=PLANNER, at=now, reason=Reason.DRILL)
        await alerts.move_within(connection, alert_id, step)


def snapshot(row: Any, found: list[Result], closed_at: datetime) -> str:
    """The proof: JSON with sorted keys. People stand in it by the number of their contact. Pure."""
    document = {
        "drill_id": str(row["drill_id"]),
        "sort": row["sort"],
        "watch_group": row["watch_group"],
        "device_id": row["device_id"],
        "started_at": row["planned_at"].isoformat(),
        "closed_at": closed_at.isoformat(),
        "author": row["author"],
        "results": [
            {"contact_id": r.contact_id, "sent": r.sent, "answer": r.answer, "answered_s": r.answered_s}
            for r in found
        ],
    }
    return json.dumps(document, sort_keys=True, ensure_ascii=False)


def digest_of(text: str) -> str:
    """SHA-256, hexadecimal, of the snapshot's UTF-8: ``sha256sum`` gives the same."""
    return hashlib.sha256(text.encode()).hexdigest()


# ----------------------------------------------------------------------------------------- reading


@dataclass(frozen=True, kw_only=True, slots=True)
class Drill:
    """One row of ``drills`` as pages and lists show it; ``planned_at`` is its start once it has begun."""

    drill_id: uuid.UUID
    sort: str
    watch_group: str
    device_id: int | None
    device: str
    planned_at: datetime
    ends_at: datetime | None
    state: str
    alert_id: uuid.UUID | None
    author: str
    called: int
    answered: int
    snapshot: str
    digest: str

    @classmethod
    def from_row(cls, row: Any) -> "Drill":
        return cls(**{name: row[name] for name in cls.__slots__})

    @property
    def is_proof_intact(self) -> bool:
        return digest_of(self.snapshot) == self.digest

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)


_SELECT = """
select d.*, coalesce(nullif(v.name, ''), nullif(v.place, ''), v.source, '') as device
from drills d left join devices v using (device_id)
"""


async def list_drills(
    pool: Pool, *, watch_group: str | None = None, limit: int = 50, before: datetime | None = None
) -> list[Drill]:
    """One page, the newest first; pass the last ``planned_at`` as ``before``."""
    rows = await pool.fetch(
        _SELECT + " where ($1::text is null or d.watch_group = $1)"
        " and ($2::timestamptz is null or d.planned_at < $2)"
        " order by d.planned_at desc, d.drill_id desc limit $3",
        watch_group,
        before,
        min(max(limit, 1), 500),
    )
    return [Drill.from_row(row) for row in rows]


async def get_drill(pool: Pool, drill_id: uuid.UUID) -> Drill | None:
    row = await pool.fetchrow(_SELECT + " where d.drill_id = $1", drill_id)
    return None if row is None else Drill.from_row(row)
