"""Every operator: in time, late, twice, out of order, and with a restart in the middle of it."""

import itertools
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.devices.registry import Device
from hub.rules.asking import Around
from hub.rules.evaluate import Decision, RuleSet
from hub.rules.library import ready_files
from hub.rules.loading import load_rules
from hub.rules.model import Happening, Key, Memory, Reading, Rule, Signal
from hub.rules.replay import Replay, run_examples

START = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)


def rules_of(when: str, **more: str) -> RuleSet:
    given_ = {"name": "r_r", "title": "T", "kind": "k_k", "priority": "2"} | more
    head = "\n    ".join(f"{key}: {value}" for key, value in given_.items())
    return RuleSet(load_rules({"r.yaml": f"rules:\n  - when: {when}\n    {head}\n"}))


def device(number: int = 1, sector: str = "NORTE") -> Device:
    return Device(
        number, f"urn:x:{number}", "gw", "other", f"D{number}", "Lugar", sector, None, None, "", 60, False
    )


def event(
    minute: float, type_: str = "a.x", number: int = 1, is_drill: bool = False, **data: object
) -> Happening:
    at = START + timedelta(minutes=minute)
    id_ = uuid.uuid5(uuid.NAMESPACE_OID, f"{minute}{type_}{number}{is_drill}")
    return Happening(id_, type_, device(number), at, "device", is_drill, json.dumps(data) if data else None)


def reading(minute: float, value: float, quantity: str = "q", number: int = 1) -> Reading:
    return Reading(device(number), quantity, START + timedelta(minutes=minute), value)


class Hub:
    """A rule set with durable memories, as the database keeps them: JSON and due times only."""

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules
        self.rows: dict[Key, tuple[str, datetime | None, int | None]] = {}
        self.told: list[datetime] = []
        self.filed: list[datetime] = []

    def hear(self, signals: Sequence[Signal], at: float | None = None) -> None:
        """``at``: minute of receipt; without it, each signal arrives when it happens."""
        now = START + timedelta(minutes=at) if at is not None else max(s.at for s in signals)
        memories = self._memories()
        active = {m.device_id: {k[0]} for k, m in memories.items()}
        matches = self.rules.matches(signals, lambda d: active.get(d, ()))
        self._take(self.rules.decide(matches, memories, now))

    def wait(self, minute: float) -> None:
        now = START + timedelta(minutes=minute)
        while due := [(m.due_at, k) for k, m in self._memories().items() if m.due_at and m.due_at <= now]:
            _, key = min(due)
            memory = self._memories()[key]
            self._take(self.rules.due(key, memory, device(memory.device_id or 1), now))

    def _memories(self) -> dict[Key, Memory]:
        return {
            k: Memory(json.loads(state), due_at, device_id)
            for k, (state, due_at, device_id) in self.rows.items()
        }

    def _take(self, decision: Decision) -> None:
        assert not decision.failures
        self.told += [f.happened_at for f in decision.findings]
        self.filed += [f.happened_at for f in decision.late]
        self.rows |= {k: (json.dumps(m.state), m.due_at, m.device_id) for k, m in decision.memories.items()}


@dataclass(frozen=True)
class Case:
    """``signals`` tell once, at minute ``at`` (of happening); ``until``: when the last timer ran out."""

    when: str
    signals: tuple[Signal, ...]
    at: float
    until: float = 0
    by: str = "device"
    orderless: bool = True
    """Whether the order of arrival cannot matter, so long as all of it is within the watermark."""


FAR = {"lat": -34.0, "lon": -72.0}
HOME = {"lat": -34.4, "lon": -72.0}
CASES = {
    "event": Case("{event: a.x}", (event(1),), 1),
    "lasting": Case("{event: a.x, until: b.x, for: 5 min}", (event(1, "b.x"), event(2)), 7, until=7),
    "threshold": Case("{reading: q, above: 5, clear: 3}", (reading(0, 4), reading(1, 6), reading(2, 4)), 1),
    "below": Case("{reading: q, below: 5, clear: 7}", (reading(0, 6), reading(1, 4), reading(2, 6)), 1),
    "for": Case(
        "{reading: q, above: 5, clear: 3, for: 5 min}",
        (reading(0, 2), reading(1, 6), reading(2, 4)),
        6,
        until=6,
    ),
    "rate": Case(
        "{rate: {reading: q, rise: 1, per: 1 h, over: 1 h}}",
        (reading(0, 1.0), reading(30, 1.1), reading(60, 2.0), reading(61, 2.0)),
        60,
        orderless=False,
    ),
    "fall": Case(
        "{rate: {reading: q, fall: 1, per: 1 h, over: 1 h}}",
        (reading(0, 3.0), reading(30, 2.9), reading(60, 1.9)),
        60,
        orderless=False,
    ),
    "count": Case(
        "{count: {event: a.x, at_least: 3, within: 5 min}}", (event(1), event(3), event(4), event(5)), 4
    ),
    "devices": Case(
        "{count: {event: a.x, at_least: 2, within: 5 min, of: devices}}",
        (event(1), event(2), event(3, number=2)),
        3,
        by="sector",
    ),
    "sequence": Case(
        "{sequence: [{event: a.x}, {event: b.x}], within: 5 min}", (event(1), event(3, "b.x")), 3
    ),
    "together": Case(
        "{together: [{reading: q, below: 1}, {event: b.x}], within: 5 min}",
        (event(1, "b.x"), reading(4, 0.5)),
        4,
    ),
    "quorum": Case(
        "{quorum: {reading: q, above: 5, at_least: 2, within: 10 min}}",
        (reading(0, 1), reading(1, 6), reading(2, 7, number=2)),
        2,
        by="place",
    ),
    "position": Case(
        "{position: {event: a.x, outside: {circle: [-34.4, -72.0, 500]}}}",
        (event(0, **HOME), event(1, **FAR), event(2, **FAR)),
        1,
        orderless=False,
    ),
    "silence": Case("{silence: {event: a.x, for: 5 min}}", (event(1),), 6, until=6),
}
NAMES = list(CASES)


def hub_of(name: str) -> Hub:
    return Hub(rules_of(CASES[name].when, by=CASES[name].by))


def minute(at: float) -> datetime:
    return START + timedelta(minutes=at)


@pytest.mark.parametrize("name", NAMES)
def test_in_time_it_tells_once(name: str) -> None:
    case, hub = CASES[name], hub_of(name)
    for signal in case.signals:
        hub.hear([signal])
    hub.wait(case.until)
    assert hub.told == [minute(case.at)]
    assert hub.filed == []


@pytest.mark.parametrize("name", NAMES)
def test_in_one_batch_it_tells_the_same(name: str) -> None:
    case, hub = CASES[name], hub_of(name)
    hub.hear(case.signals, at=max(case.at, 62 if name in ("rate", "fall") else 5))
    hub.wait(case.until)
    assert hub.told == [minute(case.at)]


@pytest.mark.parametrize("name", NAMES)
def test_a_repeat_tells_nothing_more(name: str) -> None:
    """Repeats of events stop at their key; readings come again with the same time."""
    case, hub = CASES[name], hub_of(name)
    for signal in case.signals:
        hub.hear([signal])
        if isinstance(signal, Reading):
            hub.hear([signal])
    hub.wait(case.until)
    assert hub.told == [minute(case.at)]


@pytest.mark.parametrize("name", NAMES)
def test_a_restart_after_each_signal_changes_nothing(name: str) -> None:
    case, hub = CASES[name], hub_of(name)
    for signal in case.signals:
        hub.hear([signal])
        after = hub_of(name)
        after.rows, after.told = hub.rows, hub.told
        hub = after
    hub.wait(case.until)
    assert hub.told == [minute(case.at)]


@pytest.mark.parametrize("name", NAMES)
def test_two_hubs_that_share_the_rows_tell_once(name: str) -> None:
    case, hubs = CASES[name], (hub_of(name), hub_of(name))
    for hub, signal in zip(itertools.cycle(hubs), case.signals, strict=False):
        hub.hear([signal])
        for other in hubs:
            other.rows = hub.rows
    for hub in hubs:
        hub.wait(case.until)
        for other in hubs:
            other.rows = hub.rows
    assert [at for hub in hubs for at in hub.told] == [minute(case.at)]


@pytest.mark.parametrize("name", [n for n in NAMES if CASES[n].orderless and len(CASES[n].signals) > 1])
def test_the_order_of_arrival_does_not_matter(name: str) -> None:
    """The newest state of things is told of, or what was told holds; nobody is told twice."""
    case = CASES[name]
    for order in itertools.permutations(case.signals):
        hub = hub_of(name)
        for signal in order:
            hub.hear([signal], at=5)
        hub.wait(max(case.until, 5))
        assert len(hub.told) == 1, order
        assert hub.filed == []


@pytest.mark.parametrize("name", [n for n in NAMES if n != "silence"])
def test_yesterdays_backlog_is_filed_and_opens_nothing(name: str) -> None:
    case, hub = CASES[name], hub_of(name)
    hub.hear(case.signals, at=24 * 60)
    hub.wait(24 * 60)
    assert hub.told == []
    assert hub.filed == [minute(case.at)]


@pytest.mark.parametrize("name", ["threshold", "below"])
def test_what_still_holds_after_a_backlog_is_told_now(name: str) -> None:
    """A river that rose during the outage and is high now is news."""
    case, hub = CASES[name], hub_of(name)
    hub.hear(case.signals, at=24 * 60)
    last = max((s for s in case.signals if isinstance(s, Reading)), key=lambda s: s.at)
    high = 1.0 if name == "below" else 9.0
    hub.hear([Reading(last.device, last.quantity, minute(24 * 60), high)])
    assert hub.told == [minute(24 * 60)]
    hub.hear([Reading(last.device, last.quantity, minute(24 * 60 + 1), high)])
    assert len(hub.told) == 1


@pytest.mark.parametrize("name", [n for n in NAMES if CASES[n].until])
def test_no_timer_fires_early_nor_twice(name: str) -> None:
    case, hub = CASES[name], hub_of(name)
    for signal in case.signals:
        hub.hear([signal])
    hub.wait(case.until - 0.001)
    assert hub.told == []
    hub.wait(case.until)
    hub.wait(case.until + 60)
    assert hub.told == [minute(case.at)]


CALMED: dict[str, Signal] = {"lasting": event(6, "b.x"), "for": reading(5, 1)}


@pytest.mark.parametrize("name", CALMED)
def test_what_ends_in_time_is_not_told(name: str) -> None:
    case, hub = CASES[name], hub_of(name)
    for signal in (*case.signals, CALMED[name]):
        hub.hear([signal])
    hub.wait(60)
    assert hub.told == []


def test_a_timer_that_nobody_heard_is_told_by_the_next_reading_once() -> None:
    hub = hub_of("for")
    for signal in (*CASES["for"].signals, reading(9, 8)):
        hub.hear([signal])
    hub.wait(30)
    assert hub.told == [minute(6)]


@pytest.mark.parametrize(("name", "needed"), [("count", 3), ("devices", 2), ("sequence", 2)])
def test_a_drill_never_meets_what_is_real(name: str, needed: int) -> None:
    case, hub = CASES[name], hub_of(name)
    for index, signal in enumerate(case.signals[-needed:]):
        assert isinstance(signal, Happening)
        hub.hear([event(index + 1, signal.type, signal.device.device_id, is_drill=index == 0)])
    assert hub.told == []


def test_a_count_is_used_up_by_telling() -> None:
    hub = hub_of("count")
    for at in (1, 2, 3, 3.5, 4, 4.5):
        hub.hear([event(at)])
    assert hub.told == [minute(3), minute(4.5)]


def test_one_device_too_few_for_the_share() -> None:
    rules = rules_of("{quorum: {reading: q, above: 5, at_least: 2, share: 0.6, within: 10 min}}", by="place")
    hub = Hub(rules)
    for number, value in ((1, 9), (2, 9), (3, 1), (4, 1)):
        hub.hear([reading(number / 10, value, number=number)])
    assert hub.told == [minute(0.2)]  # two of two, then two of four
    other = Hub(rules)
    for number, value in ((3, 1), (4, 1), (1, 9), (2, 9)):
        other.hear([reading((5 - number) / 10 if number > 2 else 1 + number / 10, value, number=number)])
    assert other.told == []


def test_a_device_has_its_own_limit() -> None:
    rules = rules_of("{reading: q, above: {default: 5, device: limite}, clear: 4}")
    around = Around(limits={(2, "limite"): 9.0})
    found = rules.decide(
        rules.matches([reading(1, 6), reading(1, 6, number=2), reading(2, 9, number=2)], lambda _: ()),
        {},
        minute(2),
        around,
    ).findings
    assert [(f.device_id, f.happened_at) for f in found] == [(1, minute(1)), (2, minute(2))]


def test_silence_ends_and_begins_anew() -> None:
    replay = Replay(rules_of("{silence: {event: a.x, for: 5 min}}"))
    for at in (0, 4, 8):
        replay.feed(event(at))
    replay.advance(minute(12))
    assert replay.findings == []
    replay.advance(minute(20))
    replay.feed(event(30))
    replay.advance(minute(34))
    assert [f.happened_at for f in replay.findings] == [minute(13)]
    replay.advance(minute(40))
    assert [f.happened_at for f in replay.findings] == [minute(13), minute(35)]


@settings(max_examples=150, deadline=None)
@given(
    minutes=st.lists(st.integers(0, 40), min_size=1, max_size=14, unique=True),
    at_least=st.integers(2, 4),
    order=st.randoms(use_true_random=False),
)
def test_a_count_tells_if_and_only_if_a_window_is_full(
    minutes: list[int], at_least: int, order: object
) -> None:
    when = f"{{count: {{event: a.x, at_least: {at_least}, within: 10 min}}}}"
    hub = Hub(rules_of(when, late_after="2 h"))
    arriving = sorted(minutes)
    order.shuffle(arriving)  # type: ignore[attr-defined]
    for at in arriving:
        hub.hear([event(at)], at=41)
    ordered = sorted(minutes)
    is_full = any(sum(end - 10 < other <= end for other in ordered) >= at_least for end in ordered)
    assert bool(hub.told) == is_full


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.sampled_from("ab")), max_size=12, unique_by=lambda p: p[0]))
def test_a_sequence_is_told_whatever_the_order_of_arrival(said: list[tuple[int, str]]) -> None:
    hub = Hub(rules_of("{sequence: [{event: a.x}, {event: b.x}], within: 5 min}", late_after="2 h"))
    for at, letter in said:
        hub.hear([event(at, f"{letter}.x")], at=61)
    is_there = any(la == "a" and lb == "b" and 0 < b - a <= 5 for a, la in said for b, lb in said)
    assert bool(hub.told) == is_there


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-20, 20, allow_nan=False), min_size=1, max_size=40), st.integers(0, 6))
def test_for_tells_as_a_simple_model_does(values: list[float], for_min: int) -> None:
    tail = f", for: {for_min} min" if for_min else ""
    hub = Hub(rules_of(f"{{reading: q, above: 10, clear: 5{tail}}}"))
    for at, value in enumerate(values):
        hub.wait(at - 0.5)
        hub.hear([reading(at, value)])
    expected, since, is_told = [], None, False
    for at, value in enumerate(values):
        if since is not None and not is_told and at - since >= for_min and for_min:
            expected.append(minute(since + for_min))
            is_told = True
        if since is None and value >= 10:
            since, is_told = at, for_min == 0
            expected += [minute(at)] * is_told
        elif since is not None and value < 5:
            since, is_told = None, False
    assert hub.told == expected


@pytest.mark.parametrize("rule", load_rules(ready_files()), ids=lambda rule: rule.name)
def test_every_ready_rule_passes_its_examples(rule: Rule) -> None:
    assert rule.examples
    assert [(o.example, o.problem) for o in run_examples([rule]) if o.problem] == []


@pytest.mark.parametrize("by", ["sector", "place"])
def test_devices_without_a_sector_are_no_neighbours(by: str) -> None:
    rules = rules_of("{count: {event: a.x, of: devices, at_least: 2, within: 5 min}}", by=by)
    nowhere = [
        Device(n, f"urn:x:{n}", "gw", "other", f"D{n}", "", "", None, None, "", 60, False) for n in (1, 2)
    ]
    hub = Hub(rules)
    for n, thing in enumerate(nowhere):
        hub.hear([Happening(uuid.uuid4(), "a.x", thing, minute(n), "device")])
    assert hub.told == []
