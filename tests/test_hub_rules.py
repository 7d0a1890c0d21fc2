"""Rules are pure: what the field says in, findings out."""

import uuid
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.alerts.finding import Finding
from hub.devices.registry import Device
from hub.rules.errors import RuleFileError
from hub.rules.evaluate import RuleSet
from hub.rules.library import ready_files, ready_rules
from hub.rules.loading import load_rules
from hub.rules.model import Happening, Reading, Signal
from hub.rules.replay import Replay
from hub.rules.schedule import is_within

NOON = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)  # 12:00 in Santiago, summer time
RULES = RuleSet(ready_rules())


def judged(*signals: Signal) -> list[Finding]:
    """What the ready rules find in one batch, as it comes."""
    now = max(signal.at for signal in signals)
    decision = RULES.decide(RULES.matches(signals, lambda _: ()), {}, now)
    assert not decision.failures
    return decision.findings


def device(device_id: int = 7, kind: str = "panic_button", name: str = "Los Boldos 12") -> Device:
    return Device(
        device_id,
        f"urn:x:{device_id}",
        "gw-1",
        kind,
        name,
        "Los Boldos",
        "NORTE",
        -34.4,
        -72.0,
        "jvr",
        60,
        False,
    )


def happening(event_type: str, at: datetime = NOON, is_drill: bool = False) -> Happening:
    return Happening(uuid.UUID(int=5), event_type, device(), at, "device", is_drill)


def reading(value: float, minute: int = 0, quantity: str = "battery", kind: str = "camera") -> Reading:
    return Reading(device(kind=kind), quantity, NOON + timedelta(minutes=minute), value)


def test_a_press_is_a_matter_of_life() -> None:
    (finding,) = judged(happening("panic.pressed"))
    assert (finding.kind, finding.priority) == ("panic", 1)
    assert finding.summary == "Botón de pánico: Los Boldos 12"
    assert finding.place == "Los Boldos"
    assert finding.watch_group == "jvr"


def test_an_event_that_no_rule_knows_raises_nothing() -> None:
    assert judged(happening("goat.sighted")) == []
    assert not RULES.knows("goat.sighted")


def test_a_drill_never_joins_the_real_alert() -> None:
    real, drill = judged(happening("panic.pressed"), happening("panic.pressed", is_drill=True))
    assert drill.is_drill
    assert real.dedup_key != drill.dedup_key


@pytest.mark.parametrize(
    ("utc_hour", "priority"),
    [(15, 3), (23, 3), (0, 2), (2, 2), (8, 2), (9, 3)],  # Santiago: 12, 20, 21, 23, 5, 6 o'clock
)
def test_a_gate_weighs_more_at_night(utc_hour: int, priority: int) -> None:
    (finding,) = judged(happening("gate.opened", NOON.replace(hour=utc_hour)))
    assert finding.priority == priority


@given(
    start=st.times(),
    end=st.times(),
    at=st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_an_instant_is_in_a_window_or_in_the_rest_of_the_day(start: time, end: time, at: datetime) -> None:
    if start != end:
        assert is_within((start, end), at) != is_within((end, start), at)


def replayed(*readings: Reading) -> Replay:
    replay = Replay(RULES)
    for one in readings:
        replay.feed(one)
    assert not replay.failures
    return replay


def test_a_threshold_speaks_once_until_it_is_quiet_again() -> None:
    values = [0.5, 0.19, 0.18, 0.25, 0.19, 0.31, 0.12]
    findings = replayed(*(reading(v, i) for i, v in enumerate(values))).findings
    assert [f.happened_at for f in findings] == [NOON + timedelta(minutes=m) for m in (1, 6)]
    assert "12 %" in findings[-1].summary


def test_a_batch_is_judged_in_the_order_of_time() -> None:
    findings = judged(reading(0.5, 2), reading(0.1, 1))
    assert [f.happened_at for f in findings] == [NOON + timedelta(minutes=1)]


def test_a_level_means_a_flood_at_a_river_only() -> None:
    (finding,) = judged(reading(2.61, quantity="level", kind="river_level"))
    assert (finding.kind, finding.priority) == ("river_high", 2)
    assert "2,61 m" in finding.summary
    assert judged(reading(2.61, quantity="level", kind="water_tank")) == []


def test_a_threshold_on_the_wrong_side_of_itself_is_refused() -> None:
    text = """rules:
  - {name: wrong, title: t, kind: k_k, priority: 4, when: {reading: q, above: 1, clear: 2}}
"""
    with pytest.raises(RuleFileError, match=r"a\.yaml:2: regla wrong, when: «clear» debe ser menor"):
        load_rules({"a.yaml": text})


@given(st.lists(st.floats(0, 1, allow_nan=False), max_size=60))
def test_every_raise_is_followed_by_a_clear_before_the_next(values: list[float]) -> None:
    replay = replayed(*(reading(value, minute) for minute, value in enumerate(values)))
    is_up, raises = False, []
    for minute, value in enumerate(values):
        before, is_up = is_up, value <= (0.3 if is_up else 0.2)
        if is_up and not before:
            raises.append(NOON + timedelta(minutes=minute))
    assert [f.happened_at for f in replay.findings] == raises


def test_the_ready_rules_have_names_titles_and_examples_of_their_own() -> None:
    rules = load_rules(ready_files())
    assert len({r.name for r in rules}) == len(rules) >= 20
    assert all(r.examples for r in rules)
    assert len({r.version for r in rules}) == len(rules)
