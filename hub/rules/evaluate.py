"""From what the field says to findings. Pure: no clock, no database, no waiting.

The caller hands in signals and memories and gets findings and changed memories back. Where the memories
live, and who wakes a timer, is ``hub.rule_work``'s matter.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from hub.alerts.finding import Finding
from hub.rules.asking import NOTHING_AROUND, Around, holds
from hub.rules.concluding import finding_of
from hub.rules.errors import ConditionError
from hub.rules.index import Index
from hub.rules.model import (
    SCOPE_OF,
    Asked,
    Happening,
    Key,
    Limit,
    Memory,
    Place,
    Rule,
    Signal,
    Step,
    Timed,
    instant,
    seconds,
)
from hub.rules.operators.absence import Absence

Active = Callable[[int], Collection[str]]
"""device id → the rules that remember something of that device alone."""


class Match(NamedTuple):
    """A rule that a signal concerns, and the memory that they meet in."""

    rule: Rule
    signal: Signal
    key: Key


@dataclass(frozen=True, slots=True)
class Failure:
    """A rule that raised an error while it was evaluated."""

    rule: Rule
    error: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What a batch comes to. ``late``: what would have been found, had it been told in time."""

    findings: list[Finding] = field(default_factory=list)
    late: list[Finding] = field(default_factory=list)
    memories: dict[Key, Memory] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    succeeded: set[str] = field(default_factory=set)


class RuleSet:
    """Rules indexed by what they look at; one lookup decides that a message concerns nobody."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules: dict[str, Rule] = {rule.name: rule for rule in rules}
        self._index = Index(self.rules.values())

    def knows(self, event_type: str) -> bool:
        return event_type in self._index.event_types

    def concerns(self, quantity: str) -> bool:
        return quantity in self._index.quantities

    def wants(self, quantity: str, kind: str, value: float, remembered: Collection[str]) -> bool:
        """Whether a reading can change anything: most of them cannot, and need not be made."""
        return self._index.wants(quantity, kind, value, remembered)

    def matches(self, signals: Iterable[Signal], active: Active) -> list[Match]:
        """Which rules the signals concern, in the order of time."""
        return [
            Match(rule, signal, key_of(rule, signal))
            for signal in sorted(signals, key=lambda s: s.at)
            for rule in self._index.rules_for(signal, active)
        ]

    def decide(
        self,
        matches: Sequence[Match],
        memories: Mapping[Key, Memory],
        now: datetime,
        around: Around = NOTHING_AROUND,
    ) -> Decision:
        """Judge the matches one after the other; ``now`` is when they were received."""
        decision = Decision()
        now_s = seconds(now)
        for match in matches:
            memory = decision.memories.get(match.key) or memories.get(match.key) or Memory()
            try:
                self._judge(match, memory, _Asked(match, now_s, around), now_s, around, decision)
            except ConditionError as error:
                decision.failures.append(_failure(match.rule, error))
                if match.rule.priority == 1:
                    # A condition that fails must not silence a call for help: it counts as met.
                    asked = _Asked(match, now_s, around, is_met=True)
                    self._judge(match, memory, asked, now_s, around, decision)
            except Exception as error:  # noqa: BLE001 - one rule's failure never stops the others
                decision.failures.append(_failure(match.rule, error))
            else:
                decision.succeeded.add(match.rule.name)
        return decision

    def _judge(
        self, match: Match, memory: Memory, asked: Asked, now_s: float, around: Around, decision: Decision
    ) -> None:
        rule, signal = match.rule, match.signal
        step = rule.operator.step(_fitting(rule, memory), signal, asked)
        if step is None:
            return
        if rule.operator.is_stateful:
            _remember(rule, match.key, memory, step, signal.device.device_id, decision)
        if step.told is not None:
            finding = finding_of(rule, signal.device, step.told, now_s, signal, around)
            (decision.late if step.told.is_late else decision.findings).append(finding)

    def due(
        self, key: Key, memory: Memory, device: Place | None, now: datetime, seen_at: datetime | None = None
    ) -> Decision:
        """The memory's timer ran out; ``seen_at`` is when its device was last heard (absence only).

        Nothing happens before its time, nor for a rule that is not known here.
        """
        rule = self.rules.get(key[0])
        if rule is None or memory.due_at is None or memory.due_at > now:
            return Decision()
        operator, state = rule.operator, _fitting(rule, memory)
        rest = Memory(None, None, memory.device_id, memory.version)
        if state is None or device is None or not isinstance(operator, Timed):
            # Another rule by that name, or a device that was deleted: nothing is left to watch.
            return Decision(memories={key: rest})
        try:
            step = operator.on_due(state, seconds(now), None if seen_at is None else seconds(seen_at))
        except Exception as error:  # noqa: BLE001 - one rule's failure never stops the others
            return Decision(memories={key: rest}, failures=[_failure(rule, error)])
        return _timed_out(rule, key, memory, step or Step(state), device, now)

    def heartbeats(self, rule: str) -> tuple[frozenset[str], frozenset[str]] | None:
        """(event types, quantities) whose silence the rule waits for; None for other rules."""
        found = self.rules.get(rule)
        if found is None or not isinstance(found.operator, Absence):
            return None
        return found.operator.events, found.operator.quantities


def key_of(rule: Rule, signal: Signal) -> Key:
    if rule.is_cached:
        return rule.name, str(signal.device.device_id)
    scope = SCOPE_OF[rule.by](signal.device)
    # A drill never meets what really happens.
    return rule.name, scope + ":drill" if signal.is_drill else scope


def _failure(rule: Rule, error: Exception) -> Failure:
    return Failure(rule, f"{type(error).__name__}: {error}"[:300])


def _timed_out(rule: Rule, key: Key, memory: Memory, step: Step, device: Place, now: datetime) -> Decision:
    decision = Decision()
    _remember(rule, key, memory, step, memory.device_id, decision)
    if step.told is not None:
        finding = finding_of(rule, device, step.told, seconds(now), None, NOTHING_AROUND, key[1])
        # An overdue timer is no late news: it was this hub that was away.
        (decision.late if step.told.is_late else decision.findings).append(finding)
    return decision


def _fitting(rule: Rule, memory: Memory) -> dict[str, Any] | None:
    """The state, unless a rule of another form left it under this name."""
    state = memory.state
    return state if state is not None and state.get("op") == rule.operator_name else None


def _remember(
    rule: Rule, key: Key, memory: Memory, step: Step, device_id: int | None, decision: Decision
) -> None:
    due_at = None if step.due_s is None else instant(step.due_s)
    state = None if step.state is None else {**step.state, "op": rule.operator_name}
    if state != memory.state or due_at != memory.due_at:
        decision.memories[key] = Memory(state, due_at, device_id, memory.version)


class _Asked:
    """Implements :class:`hub.rules.model.Asked` for one match; ``is_met`` answers for its condition."""

    __slots__ = ("_around", "_is_met", "_now_s", "_rule", "_signal", "device_id")

    def __init__(self, match: Match, now_s: float, around: Around, is_met: bool = False) -> None:
        self._rule, self._signal, _ = match
        self._now_s, self._around, self._is_met = now_s, around, is_met
        self.device_id = self._signal.device.device_id

    def holds(self) -> bool:
        rule = self._rule
        if self._is_met or (rule.condition is None and rule.during is None):
            return True
        return holds(rule.condition, rule.during, rule, self._signal, self._around)

    def limit(self, limit: Limit, /) -> float:
        if limit.name is None:
            return limit.value
        return self._around.limits.get((self.device_id, limit.name), limit.value)

    def is_late(self, at_s: float, /) -> bool:
        return self._now_s - at_s > self._rule.watermark_s

    def fields(self) -> Mapping[str, Any]:
        return self._signal.fields() if isinstance(self._signal, Happening) else {}
