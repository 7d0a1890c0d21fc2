"""A rule set with a memory of its own: it replays signals in order. For examples and rehearsals. Pure."""

import heapq
import itertools
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import msgspec

from hub.alerts.finding import Finding
from hub.rules.asking import Around, near_keys, place_key
from hub.rules.confirming import confirmed_at
from hub.rules.evaluate import Decision, Failure, RuleSet
from hub.rules.model import (
    Example,
    ExampleSignal,
    Happening,
    Key,
    Memory,
    NearKey,
    Place,
    Reading,
    Rule,
    Signal,
)

NEAR_FOR = timedelta(hours=1)
"""A value measured longer ago says nothing of the surroundings any more."""


class Replay:
    """Feed signals, and let the time pass; ``findings`` and ``late`` grow."""

    def __init__(self, rules: RuleSet, around: Around | None = None) -> None:
        self._rules = rules
        self._given = around or Around()
        self._memories: dict[Key, Memory] = {}
        self._active: dict[int, set[str]] = {}
        self._timers: list[tuple[datetime, int, Key]] = []
        self._order = itertools.count()
        self._devices: dict[int, Place] = {}
        self._seen: dict[tuple[int, str], datetime] = {}
        self._heartbeats = {n for r in rules.rules for names in rules.heartbeats(r) or () for n in names}
        self._near: dict[NearKey, tuple[datetime, float]] = {}
        self._near_quantities = {near.quantity for rule in rules.rules.values() for near in rule.near}
        self.findings: list[Finding] = []
        self.late: list[Finding] = []
        self.failures: list[Failure] = []

    def feed(self, signal: Signal, received_at: datetime | None = None) -> None:
        """One signal; timers that were due before it fire first."""
        now = received_at or signal.at
        self.advance(now)
        self._note(signal)
        device_id = signal.device.device_id
        matches = self._rules.matches([signal], lambda d: self._active.get(d, ()))
        if matches:
            self._devices[device_id] = signal.device
            self._take(self._rules.decide(matches, self._memories, now, self._around(now)))

    def advance(self, to: datetime) -> None:
        """Let the time pass: every timer due until then fires, in order."""
        while self._timers and self._timers[0][0] <= to:
            due_at, _, key = heapq.heappop(self._timers)
            memory = self._memories.get(key)
            if memory is None or memory.due_at != due_at:
                continue  # an older timer of the same memory
            device = None if memory.device_id is None else self._devices.get(memory.device_id)
            self._take(self._rules.due(key, memory, device, due_at, self._seen_at(key, memory)))

    def _take(self, decision: Decision) -> None:
        self.findings += decision.findings
        self.late += decision.late
        self.failures += decision.failures
        for key, memory in decision.memories.items():
            self._memories[key] = memory
            if memory.due_at is not None:
                heapq.heappush(self._timers, (memory.due_at, next(self._order), key))
            if memory.device_id is not None and self._rules.rules[key[0]].is_cached:
                self._active.setdefault(memory.device_id, set()).add(key[0])

    def _note(self, signal: Signal) -> None:
        device = signal.device
        if signal.name in self._heartbeats:
            key = (device.device_id, signal.name)
            self._seen[key] = max(signal.at, self._seen.get(key, signal.at))
        if signal.name in self._near_quantities and isinstance(signal, Reading):
            for scope in ("place", "sector"):
                self._near[scope, place_key(device, scope), signal.quantity] = (signal.at, signal.value)

    def _around(self, now: datetime) -> Around:
        if not self._near_quantities:
            return self._given
        fresh = {key: value for key, (at, value) in self._near.items() if now - at <= NEAR_FOR}
        return Around(self._given.limits, {**self._given.near, **fresh})

    def _seen_at(self, key: Key, memory: Memory) -> datetime | None:
        names = self._rules.heartbeats(key[0])
        if names is None or memory.device_id is None:
            return None
        seen = (self._seen.get((memory.device_id, name)) for group in names for name in group)
        return max((at for at in seen if at is not None), default=None)


# --------------------------------------------------------------------------------------- examples


@dataclass(frozen=True, slots=True)
class _Thing:
    """A made-up device of an example."""

    device_id: int
    kind: str
    name: str
    sector: str
    place: str
    gateway: str = "gw-ejemplo"
    latitude: float | None = None
    longitude: float | None = None
    watch_group: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an example came to; ``problem`` is Spanish, empty when it is as expected."""

    rule: str
    example: str
    problem: str
    findings: list[Finding] = field(default_factory=list)


def run_example(rule: Rule, example: Example) -> Outcome:
    """The rule alone against its own example. Devices share the rule's first sector and place."""
    sector, place = min(rule.sectors, default="NORTE"), min(rule.places, default="Lugar")
    names = {s.device for s in example.signals}
    kind = example.kind or min(rule.kinds, default="other")
    things = {
        name: _Thing(i, kind, f"Equipo {name}", sector, place)
        for i, name in enumerate(sorted(names), start=1)
    }
    replay = Replay(RuleSet([rule]), Around(near=_near_of(rule, example, _Thing(0, kind, "", sector, place))))
    for told in sorted(example.signals, key=lambda s: s.at_s + s.late_s):
        at = example.start + timedelta(seconds=told.at_s)
        replay.feed(_signal(told, things[told.device], at), at + timedelta(seconds=told.late_s))
    last_s = max((s.at_s + s.late_s for s in example.signals), default=0.0)
    replay.advance(example.start + timedelta(seconds=max(example.until_s, last_s)))
    findings = [_after_answers(finding, example) for finding in replay.findings]
    return Outcome(rule.name, example.name, _problem(example, replay, findings), findings)


def _after_answers(finding: Finding, example: Example) -> Finding:
    confirm = finding.confirm
    if confirm is None or confirmed_at(confirm, finding.happened_at, example.answers) is None:
        return finding
    return replace(finding, priority=confirm.priority, confirm=None)


def _near_of(rule: Rule, example: Example, device: Place) -> dict[NearKey, float]:
    return {key: value for key in near_keys(rule, device) if (value := example.near.get(key[2])) is not None}


def run_examples(rules: Iterable[Rule]) -> list[Outcome]:
    return [run_example(rule, example) for rule in rules for example in rule.examples]


def _signal(told: ExampleSignal, thing: _Thing, at: datetime) -> Signal:
    if not told.is_event:
        return Reading(thing, told.name, at, told.value or 0.0)
    data = msgspec.json.encode(told.data).decode() if told.data else None
    return Happening(uuid.UUID(int=0), told.name, thing, at, "device", told.data.get("drill") is True, data)


def _problem(example: Example, replay: Replay, findings: Sequence[Finding]) -> str:
    if replay.failures:
        return f"la regla falla: {replay.failures[0].error}"
    count = len(findings)
    if count != example.alerts:
        return f"se esperaban {example.alerts} avisos y hubo {count}"
    if example.priority is not None and any(f.priority != example.priority for f in findings):
        found = ", ".join(str(f.priority) for f in findings)
        return f"se esperaba prioridad {example.priority} y fue {found}"
    return ""
