"""Which rules a signal concerns, in a few look-ups, however many rules there are."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hub.rules.model import Happening, Reading, Rule, Signal
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

    def concerned(self, signal: Reading, remembered: Container[str]) -> Iterator[Rule]:
        yield from self.always
        passed = self.above.rules[: bisect_right(self.above.limits, signal.value)]
        passed += self.below.rules[bisect_left(self.below.limits, signal.value) :]
        yield from passed
        if remembered:
            names = {rule.name for rule in passed}
            for name, rule in self.thresholds.items():
                if name in remembered and name not in names:
                    yield rule


class Index:
    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_type: dict[str, list[Rule]] = {}
        self._by_quantity: dict[str, list[Rule]] = {}
        self._readers: dict[tuple[str, str], _Readers] = {}
        for rule in rules:
            for name in rule.operator.events:
                self._by_type.setdefault(name, []).append(rule)
            for name in rule.operator.quantities:
                self._by_quantity.setdefault(name, []).append(rule)
        self.event_types = self._by_type.keys()
        self.quantities = self._by_quantity.keys()

    def rules_for(self, signal: Signal, active: Callable[[int], Container[str]]) -> Iterator[Rule]:
        device = signal.device
        if isinstance(signal, Happening):
            yield from (rule for rule in self._by_type.get(signal.type, ()) if rule.is_about(device))
            return
        key = (signal.quantity, device.kind)
        readers = self._readers.get(key)
        if readers is None:
            readers = self._readers[key] = _readers(self._by_quantity.get(signal.quantity, ()), device.kind)
        for rule in readers.concerned(signal, active(device.device_id)):
            if (rule.sectors or rule.places) and not rule.is_about(device):
                continue
            # A link of a chain that the value does not reach would only load a memory in vain.
            if isinstance(rule.operator, Chain) and not any(
                link.fits(signal) for link in rule.operator.links
            ):
                continue
            yield rule


def _readers(rules: Sequence[Rule], kind: str) -> _Readers:
    ours = [rule for rule in rules if not rule.kinds or kind in rule.kinds]
    fixed = [(rule, t) for rule in ours if (t := _fixed(rule)) is not None]
    names = {rule.name for rule, _ in fixed}
    return _Readers(
        above=_limits((rule, t) for rule, t in fixed if t.is_above),
        below=_limits((rule, t) for rule, t in fixed if not t.is_above),
        always=tuple(rule for rule in ours if rule.name not in names),
        thresholds={rule.name: rule for rule, _ in fixed},
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
