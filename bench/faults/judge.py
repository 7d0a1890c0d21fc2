"""The judge: what was promised against what came of it. Pure, so that it can be shown doctored evidence."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """An event that an outbox accepted, from the driver's own list; ``at_ms`` is CLOCK_BOOTTIME."""

    id: str
    source: str
    gateway: str
    is_alarm: bool
    life: int
    n: int
    at_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A row of the hub's events. Times are on the same scale as :attr:`Accepted.at_ms`."""

    id: str
    source: str
    gateway: str
    is_alarm: bool
    sequence: int
    life: int
    n: int
    received_ms: int
    happened_ms: int
    time_quality: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """A notification row."""

    id: str
    alert_id: str
    recipient: str
    state: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SentLine:
    """A line of the file transport: somebody's phone rang."""

    text_id: str
    alert_id: str
    at_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Everything that is looked at. ``handled`` are (event, alert) pairs of the panic alerts' timelines;
    ``event_counts`` what each alert counts; ``steps`` (alert, line) of escalation; ``pending`` what still
    waits anywhere at the end."""

    accepted: Sequence[Accepted]
    stored: Sequence[Stored]
    handled: Sequence[tuple[str, str]]
    event_counts: Mapping[str, int]
    texts: Sequence[Text]
    lines: Sequence[SentLine]
    steps: Sequence[tuple[str, str]] = ()
    pending: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowance:
    """What a fault may cost by what is documented.

    ``hub_kills``: each may repeat a text once. ``unlogged``: events that were on disk when an edge was killed
    before its driver could write its list. ``missing`` and ``missing_alarms``: given up on a full disk, or in
    a torn file, and reported. ``may_gap``: numbers of events that were never accepted are missing.
    """

    hub_kills: int = 0
    unlogged: int = 0
    missing: int = 0
    missing_alarms: int = 0
    may_gap: bool = False


@dataclass(frozen=True, slots=True)
class Violation:
    """``count`` cases of one kind, with one of them as an example."""

    kind: str
    count: int
    example: str


def judge(evidence: Evidence, allowance: Allowance | None = None) -> list[Violation]:
    """All violations; none is what every fault run must give."""
    allowed = allowance or Allowance()
    cases: list[tuple[str, list[str]]] = [
        ("lost", _beyond(lost(evidence), allowed.missing)),
        ("alarm_lost", _beyond(_lost_alarms(evidence), allowed.missing_alarms)),
        ("stored_twice", list(_stored_twice(evidence.stored))),
        ("handled_twice", list(_handled_twice(evidence))),
        ("never_accepted", _beyond(_unknown(evidence), allowed.unlogged)),
        ("wrong_order", list(_wrong_order(evidence.stored))),
        ("sequence_repeated", list(_sequence_repeated(evidence.stored))),
        ("sequence_gap", [] if allowed.may_gap else list(_sequence_gaps(evidence.stored))),
        ("panic_without_alert", list(_without_alert(evidence))),
        ("panic_unnotified", list(_unnotified(evidence))),
        ("step_fired_twice", list(_repeated(evidence.steps))),
        ("told_too_often", list(_told_too_often(evidence, allowed.hub_kills))),
        ("still_pending", [f"{name}: {n}" for name, n in evidence.pending.items() for _ in range(n)]),
    ]
    return [Violation(kind, len(found), found[0]) for kind, found in cases if found]


def _beyond(found: list[str], allowed: int) -> list[str]:
    """Nothing while no more were found than are allowed; else all beyond."""
    return found[allowed:]


def lost(evidence: Evidence) -> list[str]:
    """Ids that an outbox accepted and the database does not hold."""
    stored = {row.id for row in evidence.stored}
    return [a.id for a in evidence.accepted if a.id not in stored]


def _lost_alarms(evidence: Evidence) -> list[str]:
    stored = {row.id for row in evidence.stored}
    return [a.id for a in evidence.accepted if a.is_alarm and a.id not in stored]


def _repeated(keys: Iterable[tuple[object, ...]]) -> Iterator[str]:
    for key, count in Counter(keys).items():
        if count > 1:
            yield f"{' '.join(map(str, key))} x{count}"


def _stored_twice(stored: Sequence[Stored]) -> Iterator[str]:
    yield from _repeated((row.source, row.id) for row in stored)
    ids = {(row.source, row.id): row for row in stored}.values()
    # One press under two ids would be two presses to everybody.
    yield from _repeated((row.source, f"life {row.life}", f"number {row.n}") for row in ids)


def _handled_twice(evidence: Evidence) -> Iterator[str]:
    yield from _repeated((event_id,) for event_id, _ in evidence.handled)
    by_alert = Counter(alert_id for _, alert_id in evidence.handled)
    for alert_id, count in evidence.event_counts.items():
        if count != by_alert[alert_id]:
            yield f"alert {alert_id} counts {count} events, its timeline names {by_alert[alert_id]}"


def _unknown(evidence: Evidence) -> list[str]:
    accepted = {a.id for a in evidence.accepted}
    return [row.id for row in evidence.stored if row.id not in accepted]


def _by_source(stored: Sequence[Stored]) -> dict[str, list[Stored]]:
    """Each device's rows as the hub puts them in order: by sequence."""
    rows = defaultdict(list)
    for row in stored:
        rows[row.source].append(row)
    return {source: sorted(found, key=lambda row: row.sequence) for source, found in rows.items()}


def _wrong_order(stored: Sequence[Stored]) -> Iterator[str]:
    for source, rows in _by_source(stored).items():
        for before, after in itertools.pairwise(rows):
            if (before.life, before.n) >= (after.life, after.n) and before.id != after.id:
                yield f"{source}: number {after.n} stands behind {before.n}"


def _sequence_repeated(stored: Sequence[Stored]) -> Iterator[str]:
    ids = {(row.source, row.id): row for row in stored}.values()
    yield from _repeated((row.source, f"sequence {row.sequence}") for row in ids)


def _sequence_gaps(stored: Sequence[Stored]) -> Iterator[str]:
    for source, rows in _by_source(stored).items():
        numbers = [0, *(row.sequence for row in rows)]
        for before, after in itertools.pairwise(numbers):
            if after > before + 1:
                yield f"{source}: {after} follows {before}"


def _without_alert(evidence: Evidence) -> Iterator[str]:
    handled = {event_id for event_id, _ in evidence.handled}
    return (row.id for row in evidence.stored if row.is_alarm and row.id not in handled)


def _unnotified(evidence: Evidence) -> Iterator[str]:
    told = {line.alert_id for line in evidence.lines}
    return (event_id for event_id, alert_id in evidence.handled if alert_id not in told)


def _told_too_often(evidence: Evidence, hub_kills: int) -> Iterator[str]:
    for text_id, count in Counter(line.text_id for line in evidence.lines).items():
        if count > 1 + hub_kills:
            yield f"text {text_id} sent {count} times with {hub_kills} kills of the hub"
    steps = Counter(alert_id for alert_id, _ in evidence.steps)
    told = Counter((text.alert_id, text.recipient) for text in evidence.texts)
    for (alert_id, recipient), count in told.items():
        # Once when it opens, then at most once for each step that fired.
        if count > 1 + steps[alert_id]:
            yield f"alert {alert_id}: {count} texts to {recipient} with {steps[alert_id]} steps"


# ------------------------------------------------------------------------------------------ figures


@dataclass(frozen=True, slots=True)
class Blow:
    """A fault struck at ``at_ms``; ``gateways`` are those that it could hold up, empty for all."""

    at_ms: int
    gateways: Collection[str] = ()


def recovery_s(evidence: Evidence, blows: Sequence[Blow]) -> list[float]:
    """For each blow: until the first event that happened after it was stored, in seconds."""
    received = {row.id: row.received_ms for row in evidence.stored}
    accepted = [a for a in evidence.accepted if a.id in received]
    found = []
    for blow in blows:
        after = [
            received[a.id]
            for a in accepted
            if a.at_ms >= blow.at_ms and (not blow.gateways or a.gateway in blow.gateways)
        ]
        if after:
            found.append(max(0.0, min(after) - blow.at_ms) / 1000)
    return found


def alarm_delays_s(evidence: Evidence) -> list[float]:
    """Press to the first text of the alert that it opened, in seconds, ascending."""
    pressed = {a.id: a.at_ms for a in evidence.accepted}
    first_line: dict[str, int] = {}
    for line in evidence.lines:
        first_line[line.alert_id] = min(line.at_ms, first_line.get(line.alert_id, line.at_ms))
    first_press: dict[str, int] = {}
    for event_id, alert_id in evidence.handled:
        if event_id in pressed:
            first_press[alert_id] = min(pressed[event_id], first_press.get(alert_id, pressed[event_id]))
    return sorted(
        max(0, first_line[alert_id] - at_ms) / 1000
        for alert_id, at_ms in first_press.items()
        if alert_id in first_line
    )


def time_errors_s(evidence: Evidence) -> dict[str, float]:
    """The largest difference between when it happened and what the hub says, by time quality."""
    happened = {a.id: a.at_ms for a in evidence.accepted}
    worst: dict[str, float] = {}
    for row in evidence.stored:
        if row.id in happened:
            error_s = abs(row.happened_ms - happened[row.id]) / 1000
            worst[row.time_quality] = max(worst.get(row.time_quality, 0.0), error_s)
    return worst


def out_of_order_arrivals(stored: Sequence[Stored]) -> int:
    """Rows that were stored later than a later one of their device; a repeat that came first, usually."""
    late = 0
    for rows in _by_source(stored).values():
        newest = 0
        for row in rows:
            late += row.received_ms < newest
            newest = max(newest, row.received_ms)
    return late
