"""A draft of rules over stored history: the alerts that it would have raised, beside what really happened."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hub.alerts.finding import SILENT_BUTTONS, Finding, silent_button
from hub.alerts.visibility import visible_to
from hub.database import Connection, Pool
from hub.devices.registry import Device
from hub.rule_work.history import Span, devices_of, signals
from hub.rules.asking import Around
from hub.rules.evaluate import RuleSet
from hub.rules.model import Rule
from hub.rules.replay import Replay
from hub.rules.schedule import SANTIAGO

JOINS = timedelta(hours=1)
"""A finding joins the alert that the same cause opened within this time: about how long one is worked on."""
FALSE_REASONS = ("nothing_found", "mistaken", "technical")
UNCOUNTED_REASONS = ("test", "drill", "duplicate")
EVERY = 5000
"""Signals between two reports of progress."""

_REAL = """
    select kind, device_id, coalesce(reason, 'open') as reason,
      extract(hour from opened_at at time zone 'America/Santiago')::int as hour, count(*)::int as n
    from alerts where opened_at >= $1 and opened_at < $2 and not is_drill and {seen} group by 1, 2, 3, 4
"""

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class DeviceCount:
    """``real``: alerts of the draft's kinds that this device really had."""

    device_id: int | None
    name: str
    alerts: int
    real: int = 0


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a draft would have done. ``false_share`` is what to expect (0..1); None without closed cases.

    ``by_hour``: alerts for each hour of the local day. ``really``: for each kind of the draft, how many real
    alerts ended for which reason.
    """

    since: datetime
    until: datetime
    signals: int
    alerts: int
    joined: int
    by_rule: dict[str, int]
    by_hour: list[int]
    by_device: list[DeviceCount]
    false_share: float | None
    really: dict[str, dict[str, int]]
    failures: dict[str, int] = field(default_factory=dict)
    real_by_hour: list[int] = field(default_factory=list)
    """The alerts of ``really``, as ``by_hour``."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"since": self.since.isoformat(), "until": self.until.isoformat()}


async def rehearse(
    pool: Pool,
    rules: Sequence[Rule],
    span: Span,
    on_progress: Progress = lambda _: None,
    *,
    role: str | None = None,
) -> Rehearsal:
    """Replay ``span`` through ``rules``. Reads only; nobody is told of anything.

    What really happened is counted as ``role`` (of a user) may know of it.
    """
    kinds = {rule.kind for rule in rules}
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        replay, count = await _replay(connection, rules, span, on_progress)
        real, real_by_hour = await _real(connection, span, kinds, role)
        names = {d.device_id: _name(d) for d in (await devices_of(connection)).values()}
    opened, joined = _fold(replay.findings)
    return Rehearsal(
        since=span.since,
        until=span.until,
        signals=count,
        alerts=len(opened),
        joined=joined,
        by_rule=dict(Counter(f.rule for f in opened)),
        by_hour=_by_hour(opened),
        by_device=_by_device(opened, names, real, kinds),
        false_share=_false_share(opened, real),
        really=_by_reason(real, kinds),
        failures=dict(Counter(f.rule.name for f in replay.failures)),
        real_by_hour=real_by_hour,
    )


async def _replay(
    connection: Connection, rules: Sequence[Rule], span: Span, on_progress: Progress
) -> tuple[Replay, int]:
    limits = await connection.fetch("select device_id, name, value from device_limits")
    around = Around({(row["device_id"], row["name"]): row["value"] for row in limits})
    replay, count = Replay(RuleSet(rules), around), 0
    near = {n.quantity for rule in rules for n in rule.near}
    types = {name for rule in rules for name in rule.operator.events}
    quantities = {name for rule in rules for name in rule.operator.quantities} | near
    length_s = (span.until - span.since).total_seconds()
    async for signal in signals(connection, await devices_of(connection), span, types, quantities):
        replay.feed(signal)
        count += 1
        if count % EVERY == 0:
            on_progress((signal.at - span.since).total_seconds() / length_s)
    replay.advance(span.until)
    on_progress(1.0)
    return replay, count


def _fold(findings: Iterable[Finding]) -> tuple[list[Finding], int]:
    """(findings that open an alert, how many join one)."""
    last_at: dict[str, datetime] = {}
    opened: list[Finding] = []
    joined = 0
    for finding in findings:
        before = last_at.get(finding.dedup_key)
        if before is None or finding.happened_at - before > JOINS:
            opened.append(finding)
        else:
            joined += 1
        last_at[finding.dedup_key] = finding.happened_at
    return opened, joined


def _by_hour(opened: Iterable[Finding]) -> list[int]:
    hours = Counter(f.happened_at.astimezone(SANTIAGO).hour for f in opened)
    return [hours[hour] for hour in range(24)]


def _by_device(
    opened: Iterable[Finding], names: Mapping[int, str], real: "_Real", kinds: set[str]
) -> list[DeviceCount]:
    counts = Counter(f.device_id for f in opened)
    had: Counter[int | None] = Counter()
    for (kind, device_id, _), n in real.items():
        had[device_id] += n * (kind in kinds)
    return [DeviceCount(d, names.get(d or 0, "—"), n, had[d]) for d, n in counts.most_common()]


def _name(device: Device) -> str:
    """A silent button is called by its number."""
    if device.kind in SILENT_BUTTONS:
        return silent_button(device.device_id).capitalize()
    return device.name or device.source


# ----------------------------------------------------------------------------- what really happened

_Real = dict[tuple[str, int | None, str], int]
"""(kind, device, reason) → alerts."""


async def _real(
    connection: Connection, span: Span, kinds: set[str], role: str | None
) -> tuple[_Real, list[int]]:
    """All alerts, and those of ``kinds`` by the local hour."""
    found: _Real = {}
    by_hour = [0] * 24
    for r in await connection.fetch(_REAL.format(seen=visible_to(role)), span.since, span.until):
        key = (r["kind"], r["device_id"], r["reason"])
        found[key] = found.get(key, 0) + r["n"]
        by_hour[r["hour"]] += r["n"] * (r["kind"] in kinds)
    return found, by_hour


def _by_reason(real: _Real, kinds: set[str]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {kind: {} for kind in sorted(kinds)}
    for (kind, _, reason), count in sorted(real.items(), key=str):
        if kind in kinds:
            found[kind][reason] = found[kind].get(reason, 0) + count
    return found


def _false_share(opened: Sequence[Finding], real: _Real) -> float | None:
    """Mean over the draft's alerts of how often their like turned out false.

    A device's own record counts most, then its kind's, then everything: each level leans on the wider
    one as if that were two cases more, so that one closed alert does not decide.
    """
    by_device: dict[tuple[str, int | None], list[int]] = {}
    by_kind: dict[str, list[int]] = {}
    total = [0, 0]
    for (kind, device_id, reason), count in real.items():
        if reason == "open" or reason in UNCOUNTED_REASONS:
            continue
        is_false = reason in FALSE_REASONS
        levels = (by_device.setdefault((kind, device_id), [0, 0]), by_kind.setdefault(kind, [0, 0]), total)
        for level in levels:
            level[0] += count * is_false
            level[1] += count
    if not total[1] or not opened:
        return None
    base = total[0] / total[1]

    def share(finding: Finding) -> float:
        of_kind = _leaning(by_kind.get(finding.kind, [0, 0]), base)
        return _leaning(by_device.get((finding.kind, finding.device_id), [0, 0]), of_kind)

    return round(sum(share(f) for f in opened) / len(opened), 3)


def _leaning(counts: Sequence[int], wider: float) -> float:
    return (counts[0] + 2 * wider) / (counts[1] + 2)
