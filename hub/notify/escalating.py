"""The loop that fires what nobody answered: rows with a due time, each fired once, whoever holds them.

A step's texts, its line in the timeline and the row's next due time are one transaction: a hub that is
killed leaves either all of them or none, and the step to whoever comes next.
"""

import logging
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from hub.alerts.model import RESTRICTED_KINDS, Outcome
from hub.clock import Clock
from hub.database import UNAVAILABLE, Connection, Pool
from hub.notify import queue
from hub.notify.escalation import (
    Policies,
    Policy,
    Stage,
    Standing,
    Step,
    Target,
    Who,
    first_due_at,
    next_step,
    transport_for,
)
from hub.notify.policy import EQUIPMENT_KINDS, Draft
from hub.notify.queue import FirstStep
from hub.notify.text import reminder_text

log = logging.getLogger(__name__)

POLL_S = 0.5
"""Other hubs' rows, and those due sooner than the nearest one known, are found within this."""
_BUSY_S = 0.05
BATCH = 100
MAX_PASSES = 200
"""Steps of one alert in one transaction; what is left over is due at once in the next."""

LACKS: Mapping[Stage, str] = {Stage.ACKNOWLEDGE: "SIN ACUSE", Stage.DISPATCH: "SIN DESPACHO"}
_LACK_NOTES: Mapping[Stage, str] = {Stage.ACKNOWLEDGE: "sin acuse", Stage.DISPATCH: "sin despacho"}


@dataclass(frozen=True, slots=True)
class Person:
    """Who a target came to. ``is_quiet``: asleep to everything but priority 1."""

    contact_id: int
    name: str
    is_quiet: bool = False


class OnCall(Protocol):
    """Who is on call in a calendar, in the order in which they are called."""

    def __call__(self, calendar: str, at: datetime) -> Sequence[Person]: ...


def nobody_on_call(calendar: str, at: datetime) -> Sequence[Person]:
    """For a hub without calendars: every such step comes to its ``otherwise``."""
    del calendar, at
    return ()


LoadOnCall: TypeAlias = Callable[[Connection, datetime], Awaitable[OnCall]]
"""Reads the calendars as they are now, once for each round that fires something."""


def first_steps(outcomes: Iterable[Outcome], policies: Policies, now: datetime) -> list[FirstStep]:
    """The next step of each alert that opened or became more urgent."""
    found = []
    for outcome in outcomes:
        policy = policies.policy_for(outcome.kind, outcome.priority, outcome.finding.is_drill)
        if policy is not None:
            found.append(
                FirstStep(
                    alert_id=outcome.alert_id,
                    policy=policy.name,
                    due_at=first_due_at(policy, now),
                    dispatch_within_s=policy.dispatch_within_s,
                    watch_group=outcome.finding.watch_group,
                )
            )
    return found


# ------------------------------------------------------------------------------------------- firing


@dataclass(frozen=True, kw_only=True, slots=True)
class _Due:
    """A claimed row with what its text needs."""

    alert_id: uuid.UUID
    code: str
    kind: str
    priority: int
    place: str
    sector: str
    happened_at: datetime
    opened_at: datetime
    is_drill: bool
    is_closed: bool
    is_reserved: bool
    policy: str
    stage: Stage
    anchor_at: datetime
    fired: int
    watch_group: str
    confirmations: int

    @classmethod
    def from_row(cls, row: Any) -> "_Due":
        values = {name: row[name] for name in cls.__slots__}
        values["stage"] = Stage(values["stage"])
        return cls(**values)

    @property
    def is_restricted(self) -> bool:
        return self.kind in RESTRICTED_KINDS or self.is_reserved

    @property
    def standing(self) -> Standing:
        return Standing(stage=self.stage, anchor_at=self.anchor_at, fired=self.fired)


@dataclass(frozen=True, slots=True)
class _Line:
    alert_id: uuid.UUID
    note: str


@dataclass(slots=True)
class _Round:
    """What one transaction does."""

    drafts: list[Draft] = field(default_factory=list)
    lines: list[_Line] = field(default_factory=list)
    after: list[tuple[uuid.UUID, int, datetime | None]] = field(default_factory=list)


# The alert's row is locked before its next step's, as a move does; an alert that somebody moves in this very
# moment is left alone.
_CLAIM = """
select a.alert_id, a.code, a.kind, a.priority, a.place, a.sector, a.happened_at, a.opened_at, a.is_drill,
  a.closed_at is not null as is_closed, a.is_reserved, e.policy, e.stage, e.anchor_at, e.fired, e.watch_group,
  (select count(*) from confirmations c where c.alert_id = a.alert_id and c.answer = 'coming')::integer
    as confirmations
from escalations e join alerts a using (alert_id)
where e.due_at <= $1
order by e.due_at limit $2
for update of a, e skip locked
"""
_FINISH = """
with moved as (
  update escalations e set fired = n.fired, due_at = n.due_at
  from unnest($1::uuid[], $2::int[], $3::timestamptz[]) as n (alert_id, fired, due_at)
  where e.alert_id = n.alert_id
), logged as (
  insert into alert_log (alert_id, at, author, move, note)
  select l.alert_id, $4, 'hub:escalation', 'escalated', l.note
  from unnest($5::uuid[], $6::text[]) with ordinality as l (alert_id, note, position)
  order by l.position
)
select pg_notify('alerts', alert_id::text) from unnest($1::uuid[]) as n (alert_id)
"""


@dataclass(frozen=True, kw_only=True)
class Escalator:
    """What firing needs. ``transports`` are those of this hub; ``policies`` gives the set in force."""

    pool: Pool
    policies: Callable[[], Policies]
    transports: Collection[str] = ("sms",)
    on_call: LoadOnCall | None = None

    async def fire_due(self, now: datetime) -> int:
        """Fire everything that is due, in one transaction; returns how many alerts were looked at."""
        async with self.pool.acquire() as connection, connection.transaction():
            due = [_Due.from_row(row) for row in await connection.fetch(_CLAIM, now, BATCH)]
            if not due:
                return 0
            on_call = await self.on_call(connection, now) if self.on_call else nobody_on_call
            turn = _Round()
            for one in due:
                self._decide(one, on_call, now, turn)
            await queue.enqueue(connection, turn.drafts, now)
            await _finish(connection, turn, now)
        log.info("%d alerts escalated: %d steps", len(due), len(turn.lines))
        return len(due)

    def _decide(self, due: _Due, on_call: OnCall, now: datetime, turn: _Round) -> None:
        policy = None if due.is_closed else self._policy(due)
        step = None
        for _ in range(MAX_PASSES):
            step = None if policy is None else next_step(policy, due.standing, due.confirmations, now)
            if step is None or step.due_at > now:
                break
            people, note = recipients(step, due, on_call, now)
            turn.drafts += _drafts(step, due, people, transport_for(step.how, self.transports), now)
            turn.lines.append(_Line(due.alert_id, note))
            due = replace(due, fired=step.number + 1)
        turn.after.append((due.alert_id, due.fired, None if step is None else max(step.due_at, now)))

    def _policy(self, due: _Due) -> Policy | None:
        """Its own; where that was renamed or dropped meanwhile, the one that fits goes on where it stands."""
        policies = self.policies()
        return policies.by_name.get(due.policy) or policies.policy_for(due.kind, due.priority, due.is_drill)


async def _finish(connection: Connection, turn: _Round, now: datetime) -> None:
    await connection.fetch(
        _FINISH,
        [alert_id for alert_id, _, _ in turn.after],
        [fired for _, fired, _ in turn.after],
        [due_at for _, _, due_at in turn.after],
        now,
        [line.alert_id for line in turn.lines],
        [line.note for line in turn.lines],
    )


@dataclass(frozen=True, slots=True)
class Recipients:
    """``people`` by id, ``groups`` by name, and whether the duty phone is told."""

    people: tuple[Person, ...] = ()
    groups: tuple[str, ...] = ()
    duty: bool = False


def recipients(step: Step, due: "_Due", on_call: OnCall, now: datetime) -> tuple[Recipients, str]:
    """Whom the step comes to, and its line in the timeline (Spanish). Pure.

    Nobody on call, everybody asleep, or no group: the step falls through to ``otherwise`` and, if that is
    nobody either, to the duty phone. A step is never lost.
    """
    found, words = _resolve(step.who, due, on_call, now)
    if not words:
        found, words = _resolve(step.otherwise, due, on_call, now)
        words = ["nadie de guardia", *words] if words else words
    if not words:
        found, words = Recipients(duty=True), ["nadie de guardia", "turno"]
    kind = "recordatorio" if step.is_reminder else f"paso {step.number + 1}"
    waited_s = _waited_s(step, due)
    return found, f"{kind}, {_LACK_NOTES[step.stage]} hace {waited_s} s: {', '.join(words)}"


def _waited_s(step: Step, due: "_Due") -> int:
    """How long people waited by then: from the opening, whatever moved the schedule since."""
    since = due.opened_at if step.stage is Stage.ACKNOWLEDGE else due.anchor_at
    return int((step.due_at - since).total_seconds())


def _resolve(
    targets: Sequence[Target], due: "_Due", on_call: OnCall, now: datetime
) -> tuple[Recipients, list[str]]:
    people: dict[int, Person] = {}
    groups: list[str] = []
    words: list[str] = []
    duty = False
    for target in targets:
        if target.who is Who.DUTY:
            duty = True
            words.append("turno")
        elif target.who is Who.INSTITUTION:
            words.append(f"llame a {target.name}")
        elif target.who is Who.ON_CALL:
            awake = [p for p in on_call(target.name, now) if due.priority == 1 or not p.is_quiet]
            people.update({p.contact_id: p for p in awake[:1]})
            words += [f"{p.name} ({target.name})" for p in awake[:1]]
        elif group := _group(target, due):
            groups.append(group)
            words.append(f"grupo {group}")
    return Recipients(tuple(people.values()), tuple(groups), duty), words


def _group(target: Target, due: "_Due") -> str:
    """Neighbours never hear of a restricted alert, of equipment or of a drill."""
    if due.is_restricted or due.kind in EQUIPMENT_KINDS or due.is_drill:
        return ""
    return due.watch_group if target.who is Who.NEIGHBOURS else target.name


def _drafts(step: Step, due: _Due, to: Recipients, transport: str, now: datetime) -> list[Draft]:
    text = reminder_text(
        code=due.code,
        kind=due.kind,
        place=due.place or due.sector,
        happened_at=due.happened_at,
        now=now,
        lack=LACKS[step.stage],
        waited_s=_waited_s(step, due),
        is_drill=due.is_drill,
        is_restricted=due.is_restricted,
    )
    base = Draft(alert_id=due.alert_id, priority=due.priority, text=text, due_at=now, transport=transport)
    drafts = [replace(base, contact_id=person.contact_id) for person in to.people]
    drafts += [replace(base, watch_group=group) for group in to.groups]
    return [*drafts, base] if to.duty else drafts


# --------------------------------------------------------------------------------------------- loop


async def escalation_loop(escalator: Escalator, clock: Clock, wake: Callable[[], None]) -> None:
    """Fire every step at its time, for ever; ``wake`` is called after texts were queued.

    Any number of hubs may run this on one database.
    """
    while True:
        delay_s = POLL_S
        try:
            while await escalator.fire_due(clock.now()):
                wake()
            due_at = await escalator.pool.fetchval(
                "select min(due_at) from escalations where due_at is not null"
            )
            if due_at is not None:
                delay_s = min(POLL_S, max(_BUSY_S, (due_at - clock.now()).total_seconds()))
        except UNAVAILABLE as error:
            log.warning("escalation waits: database away (%s)", type(error).__name__)
        await clock.sleep(delay_s)
