"""Which rules a signal concerns, in a few look-ups, however many rules there are."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hub.rules.model import NAMED, Happening, Place, Reading, Rule, Signal
from hub.rules.operators.sequence import Sequence as Chain
from hub.rules.operators.threshold import Threshold


@dataclass(frozen=True, slots=True)
class _Limits:
    """Thresholds in the order of their limits: a value passes the first (or last) few of them."""

    limits: list[float] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Readers:
    """The rules of one quantity and kind of device.

    Thresholds with a fixed limit look at a value only when it is beyond the limit, or when they
    remember something of the device; ``always`` holds the others.
    """

    above: _Limits
    below: _Limits
    always: tuple[Rule, ...]
    thresholds: dict[str, Rule]
    lowest: float
    """The lowest limit that a value may pass upwards."""
    highest: float
    """The highest limit that a value may pass downwards."""

    def concerned(self, signal: Reading, remembered: Collection[str]) -> Iterator[Rule]:
        yield from self.always
        passed = self.above.rules[: bisect_right(self.above.limits, signal.value)]
        passed += self.below.rules[bisect_left(self.below.limits, signal.value) :]
        yield from passed
        if remembered:
            names = {rule.name for rule in passed}
            for name, rule in self.thresholds.items():
                if name in remembered and name not in names:
                    yield rule


MAX_KNOWN = 50_000
"""Answers kept of which rules an event of a kind of device, sector and place concerns; then anew."""


class Index:
    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_type: dict[str, list[Rule]] = {}
        self._by_quantity: dict[str, list[Rule]] = {}
        self._readers: dict[tuple[str, str], _Readers] = {}
        self._listeners: dict[tuple[str, str, str, str], tuple[Rule, ...]] = {}
        for rule in rules:
            for name in rule.operator.events:
                self._by_type.setdefault(name, []).append(rule)
            for name in rule.operator.quantities:
                self._by_quantity.setdefault(name, []).append(rule)
        self.event_types = self._by_type.keys()
        self.quantities = self._by_quantity.keys()

    def wants(self, quantity: str, kind: str, value: float, remembered: Collection[str]) -> bool:
        readers = self._readers.get((quantity, kind)) or self._read(quantity, kind)
        if readers.always or value >= readers.lowest or value <= readers.highest:
            return True
        return bool(remembered) and not readers.thresholds.keys().isdisjoint(remembered)

    def rules_for(self, signal: Signal, active: Callable[[int], Collection[str]]) -> Iterator[Rule]:
        device = signal.device
        if isinstance(signal, Happening):
            yield from self._hearing(signal.type, device)
            return
        readers = self._readers.get((signal.quantity, device.kind)) or self._read(
            signal.quantity, device.kind
        )
        for rule in readers.concerned(signal, active(device.device_id)):
            if (rule.sectors or rule.places or rule.by in NAMED) and not rule.is_about(device):
                continue
            # A link of a chain that the value does not reach would only load a memory in vain.
            if isinstance(rule.operator, Chain) and not any(
                link.fits(signal) for link in rule.operator.links
            ):
                continue
            yield rule

    def _hearing(self, type_: str, device: Place) -> tuple[Rule, ...]:
        """A rule asks for nothing of a device but these three, so the answer is theirs."""
        key = (type_, device.kind, device.sector, device.place)
        found = self._listeners.get(key)
        if found is None:
            if len(self._listeners) >= MAX_KNOWN:
                self._listeners.clear()
            found = tuple(rule for rule in self._by_type.get(type_, ()) if rule.is_about(device))
            self._listeners[key] = found
        return found

    def _read(self, quantity: str, kind: str) -> _Readers:
        found = self._readers[quantity, kind] = _readers(self._by_quantity.get(quantity, ()), kind)
        return found


def _readers(rules: Sequence[Rule], kind: str) -> _Readers:
    ours = [rule for rule in rules if not rule.kinds or kind in rule.kinds]
    fixed = [(rule, t) for rule in ours if (t := _fixed(rule)) is not None]
    names = {rule.name for rule, _ in fixed}
    above = _limits((rule, t) for rule, t in fixed if t.is_above)
    below = _limits((rule, t) for rule, t in fixed if not t.is_above)
    return _Readers(
        above=above,
        below=below,
        always=tuple(rule for rule in ours if rule.name not in names),
        thresholds={rule.name: rule for rule, _ in fixed},
        lowest=above.limits[0] if above.limits else math.inf,
        highest=below.limits[-1] if below.limits else -math.inf,
    )


def _fixed(rule: Rule) -> Threshold | None:
    operator = rule.operator
    return (
        operator
        if isinstance(operator, Threshold) and not operator.raise_at.name and rule.is_cached
        else None
    )


def _limits(pairs: Iterable[tuple[Rule, Threshold]]) -> _Limits:
    ordered = sorted(pairs, key=lambda pair: pair[1].raise_at.value)
    return _Limits([t.raise_at.value for _, t in ordered], [rule for rule, _ in ordered])
