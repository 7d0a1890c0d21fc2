"""What happens when nobody takes an alert: steps with waits, as data, and the next of them. Pure.

An alert stands in one of three stages. Until somebody acknowledges it, the steps of its policy fire one
after the other and then reminders; until somebody is sent, reminders again; then it rests. Waits count
from the start of the stage, so that a hub that was away catches up at once and never fires early.
"""

import enum
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta


class Stage(enum.StrEnum):
    """What an alert waits for."""

    ACKNOWLEDGE = "acknowledge"
    DISPATCH = "dispatch"
    REST = "rest"


class Who(enum.StrEnum):
    """Sorts of recipients. ON_CALL, GROUP and INSTITUTION are named: ``oncall:director``."""

    DUTY = "duty"
    NEIGHBOURS = "neighbours"
    ON_CALL = "oncall"
    GROUP = "group"
    INSTITUTION = "institution"
    """Called by a person of the room: the step is a line on the screen, no text goes out."""


NAMED = frozenset({Who.ON_CALL, Who.GROUP, Who.INSTITUTION})


@dataclass(frozen=True, slots=True)
class Target:
    """One recipient of a step; ``name`` is the calendar, the watch group or the institution."""

    who: Who
    name: str = ""

    def __str__(self) -> str:
        return f"{self.who}:{self.name}" if self.name else self.who.value


DUTY_TARGET = Target(Who.DUTY)


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyStep:
    """``wait_s`` after the one before: tell ``who``, each by the first of ``how`` that the hub has.

    ``otherwise`` are told when ``who`` comes to nobody. ``repeat`` more times, ``wait_s`` apart. With
    ``until_confirmed`` it fires only while fewer than so many people said that they are coming.
    """

    wait_s: int
    who: tuple[Target, ...]
    how: tuple[str, ...] = ("sms",)
    otherwise: tuple[Target, ...] = (DUTY_TARGET,)
    repeat: int = 0
    until_confirmed: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What is done for alerts of some priorities, or of some kinds alone; durations in seconds.

    ``acknowledge_within_s`` and ``dispatch_within_s`` are the promises (SLA); None where there is none.
    ``remind_every_s``: after the last step, and after a dispatch that does not come; None: no reminders.
    """

    name: str
    priorities: frozenset[int]
    kinds: frozenset[str] = frozenset()
    drills: bool = False
    acknowledge_within_s: int | None = None
    dispatch_within_s: int | None = None
    remind_every_s: int | None = None
    steps: tuple[PolicyStep, ...] = ()
    remind: tuple[Target, ...] = (DUTY_TARGET,)
    remind_how: tuple[str, ...] = ("sms",)


@dataclass(frozen=True, slots=True)
class Policies:
    """The set in force, in the order of the file."""

    policies: tuple[Policy, ...] = ()
    by_name: Mapping[str, Policy] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {policy.name: policy for policy in self.policies})

    def policy_for(self, kind: str, priority: int, is_drill: bool) -> Policy | None:
        """The first policy that names the kind, else the first for the priority; drills need their own."""
        fitting = [p for p in self.policies if priority in p.priorities and (p.drills or not is_drill)]
        named = (p for p in fitting if kind in p.kinds)
        return next(named, next((p for p in fitting if not p.kinds), None))


NO_POLICIES = Policies()


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Where an alert is: ``fired`` steps of the stage, which began at ``anchor_at``, are behind it."""

    stage: Stage
    anchor_at: datetime
    fired: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """Something to do at ``due_at``. ``number`` counts the steps of the stage from 0.

    ``waited_s`` is how long the stage lasts by then.
    """

    number: int
    stage: Stage
    due_at: datetime
    waited_s: int
    who: tuple[Target, ...]
    otherwise: tuple[Target, ...]
    how: tuple[str, ...]
    is_reminder: bool


def schedule(policy: Policy) -> tuple[tuple[int, PolicyStep], ...]:
    """(seconds from the start, step) of every firing of the policy's steps, repeats among them."""
    found: list[tuple[int, PolicyStep]] = []
    at_s = 0
    for step in policy.steps:
        for _ in range(step.repeat + 1):
            at_s += step.wait_s
            found.append((at_s, step))
    return tuple(found)


def next_step(policy: Policy, standing: Standing, confirmations: int, now: datetime) -> Step | None:
    """The step that comes next, due in the past or the future; None when nothing is to come.

    ``confirmations`` is how many people said that they are coming. A reminder that several reminders
    overtook stands for all of them.
    """
    if standing.stage is Stage.ACKNOWLEDGE:
        planned = schedule(policy)
        for number, (at_s, step) in enumerate(planned[standing.fired :], standing.fired):
            if step.until_confirmed is None or confirmations < step.until_confirmed:
                return _of_policy(step, number, at_s, standing)
        last_s = planned[-1][0] if planned else policy.acknowledge_within_s or 0
        first_s = None if policy.remind_every_s is None else last_s + policy.remind_every_s
        return _reminder(policy, standing, len(planned), first_s, now)
    if standing.stage is Stage.DISPATCH:
        return _reminder(policy, standing, 0, policy.dispatch_within_s, now)
    return None


def first_due_at(policy: Policy, anchor_at: datetime) -> datetime | None:
    """When an alert that opens at ``anchor_at`` gets its first step."""
    step = next_step(policy, Standing(stage=Stage.ACKNOWLEDGE, anchor_at=anchor_at), 0, anchor_at)
    return None if step is None else step.due_at


def _of_policy(step: PolicyStep, number: int, at_s: int, standing: Standing) -> Step:
    return Step(
        number=number,
        stage=standing.stage,
        due_at=standing.anchor_at + timedelta(seconds=at_s),
        waited_s=at_s,
        who=step.who,
        otherwise=step.otherwise,
        how=step.how,
        is_reminder=False,
    )


def _reminder(
    policy: Policy, standing: Standing, before: int, first_s: int | None, now: datetime
) -> Step | None:
    """The reminder after ``before`` steps; the first comes ``first_s`` after the stage's start."""
    if first_s is None:
        return None
    count = max(0, standing.fired - before)
    every_s = policy.remind_every_s
    if every_s is None and count:
        return None
    if every_s is not None:
        overdue_s = (now - standing.anchor_at).total_seconds() - first_s
        count = max(count, int(overdue_s // every_s))
    at_s = first_s + count * (every_s or 0)
    return Step(
        number=before + count,
        stage=standing.stage,
        due_at=standing.anchor_at + timedelta(seconds=at_s),
        waited_s=at_s,
        who=policy.remind,
        otherwise=(DUTY_TARGET,),
        how=policy.remind_how,
        is_reminder=True,
    )


def transport_for(how: Sequence[str], available: Collection[str]) -> str:
    """The first way that the hub has; else SMS or what it has at all, so that nobody is told by none."""
    others = ["sms"] if "sms" in available else sorted(available)
    return next((name for name in (*how, *others) if name in available), "sms")


def calendars_of(policies: Iterable[Policy]) -> frozenset[str]:
    """Every calendar that a policy calls people from."""
    return frozenset(
        target.name
        for policy in policies
        for group in (policy.remind, *(step.who + step.otherwise for step in policy.steps))
        for target in group
        if target.who is Who.ON_CALL
    )
