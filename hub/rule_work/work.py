"""A batch of signals is judged inside the batch's own transaction: findings out, memories changed."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from hub.alerts.finding import Finding
from hub.database import Connection, Pool
from hub.devices.registry import Device
from hub.metrics import Metrics
from hub.rule_work.health import Health
from hub.rule_work.memories import Memories
from hub.rules.asking import Around, near_keys
from hub.rules.evaluate import Decision, Match, RuleSet
from hub.rules.model import NearKey, Reading, Rule, Signal
from hub.rules.replay import NEAR_FOR
from hub.telemetry import Point

log = logging.getLogger(__name__)

_OPEN_KEYS = "select dedup_key from alerts where dedup_key = any($1) and closed_at is null"
_NEAR = """
    select d.sector, d.place, q.name, avg(l.value) as value
    from telemetry_latest l join quantities q using (quantity_id) join devices d using (device_id)
    where q.name = any($1) and d.sector = any($2) and l.at > $3 and l.value is not null
    group by grouping sets ((d.sector, q.name), (d.sector, d.place, q.name))
"""


class React(Protocol):
    """What happens with findings inside the batch's transaction: alerts open, notifications queue.

    Returns how to tell of it once the transaction has committed.
    """

    async def __call__(
        self, connection: Connection, findings: Sequence[Finding], now: datetime
    ) -> Callable[[], None]: ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a batch came to. ``findings`` go to the alerts; the rest is for after the commit."""

    findings: list[Finding] = field(default_factory=list)
    decision: Decision = field(default_factory=Decision)
    rules: RuleSet | None = None
    filed: int = 0


class RuleWork:
    """The live rules of this hub, with their memories and their health."""

    def __init__(self, rules: Iterable[Rule], metrics: Metrics | None = None) -> None:
        self.rules = RuleSet(rules)
        self.memories = Memories()
        self.health = Health()
        self._metrics = metrics
        self._limits: dict[tuple[int, str], float] = {}
        self._all: tuple[Rule, ...] = tuple(self.rules.rules.values())

    def use(self, rules: Iterable[Rule]) -> None:
        """From now on these rules are live; those that were stopped stay out until they change."""
        self._all = tuple(rules)
        self.rules = RuleSet(rule for rule in self._all if not self.health.is_stopped(rule))

    async def load(self, pool: Pool) -> None:
        """Read what is kept in memory: at the start, and when a shard comes from another hub."""
        await self.memories.load(pool)
        await self.health.load(pool)
        rows = await pool.fetch("select device_id, name, value from device_limits")
        self._limits = {(row["device_id"], row["name"]): row["value"] for row in rows}
        self.use(self._all)

    def sees_nothing(self, samples: Sequence[tuple[Point, Device]]) -> bool:
        """Whether judging the measurements would change nothing: it needs no transaction then."""
        rules, memories = self.rules, self.memories
        return not any(
            not memories.knows(p.device_id)
            or rules.wants(p.quantity, d.kind, p.value, memories.active(p.device_id))
            for p, d in samples
            if p.value is not None and rules.concerns(p.quantity)
        )

    async def judge_points(
        self, connection: Connection, samples: Sequence[tuple[Point, Device]], now: datetime
    ) -> Verdict:
        """The same for measurements: only those that can change anything become readings."""
        rules, active = self.rules, self.memories.active
        concerned = [(p, d) for p, d in samples if p.value is not None and rules.concerns(p.quantity)]
        await self.memories.know(connection, {p.device_id for p, _ in concerned})
        readings = [
            Reading(d, p.quantity, p.at, p.value)
            for p, d in concerned
            if p.value is not None and rules.wants(p.quantity, d.kind, p.value, active(p.device_id))
        ]
        return await self.judge(connection, readings, now)

    def foresee(self, signals: Sequence[Signal], now: datetime) -> Verdict | None:
        """The verdict on signals that are not stored yet, by what rules remembered when they were seen last.

        That is how presses are judged, by rules of priority 1 alone; None for all others. It holds only if
        the memories of ``decision`` can be written, all of them, with what they were read as.
        """
        rules = self.rules
        if any(rules.concerns(s.name) for s in signals):
            return None
        matches = rules.matches(signals, self.memories.active)
        if not all(m.rule.priority == 1 and not m.rule.near for m in matches):
            return None
        recalled = self.memories.recall(m.key for m in matches if m.rule.operator.is_stateful)
        decision = rules.decide(matches, recalled, now, Around(self._limits, {}))
        if decision.failures or decision.late or not decision.findings or not self._has_room(matches, now):
            return None
        for key, memory in recalled.items():
            decision.memories.setdefault(key, memory)
        self.health.succeeded(decision.succeeded)
        findings, _ = self._admitted(rules, decision.findings, now)
        return Verdict(findings, decision, rules)

    async def judge(self, connection: Connection, signals: Sequence[Signal], now: datetime) -> Verdict:
        """Judge signals that were stored in this very transaction. ``now`` is their receipt."""
        if not signals:
            return Verdict()
        rules = self.rules
        cached = {s.device.device_id for s in signals if rules.concerns(s.name)}
        await self.memories.know(connection, cached)
        matches = rules.matches(signals, self.memories.active)
        if not matches:
            return Verdict()
        memories = await self.memories.read(connection, matches, now)
        around = await self._around(connection, matches, now)
        decision = rules.decide(matches, memories, now, around)
        await self.memories.save(connection, decision.memories, now)
        return await self.conclude(connection, rules, decision, now)

    async def conclude(
        self, connection: Connection, rules: RuleSet, decision: Decision, now: datetime
    ) -> Verdict:
        """Health and late news: what of a decision may open or join alerts."""
        findings, held = self._admitted(rules, decision.findings, now)
        if decision.failures or decision.succeeded:
            findings += await self.health.failed(connection, decision.failures, decision.succeeded, now)
        joining = await self._joining(connection, decision.late)
        return Verdict(findings + joining, decision, rules, held + len(decision.late) - len(joining))

    def _has_room(self, matches: Sequence[Match], now: datetime) -> bool:
        """Whether no breaker can trip."""
        wanted = Counter(match.rule.name for match in matches)
        return all(self.health.has_room(self.rules.rules[name], n, now) for name, n in wanted.items())

    def _admitted(self, rules: RuleSet, told: Sequence[Finding], now: datetime) -> tuple[list[Finding], int]:
        """What the breakers let through, and how many they hold back."""
        findings: list[Finding] = []
        held = 0
        for name in dict.fromkeys(f.rule for f in told):
            admitted, kept_back = self.health.admit(
                rules.rules[name], [f for f in told if f.rule == name], now
            )
            findings += admitted
            held += kept_back
        return findings, held

    def committed(self, verdict: Verdict) -> None:
        """The transaction has committed: remember and tell."""
        if verdict.rules is not None:
            self.memories.keep(verdict.decision.memories, verdict.rules)
        if any(self.health.is_stopped(failure.rule) for failure in verdict.decision.failures):
            self.use(self._all)
        if verdict.filed:
            log.info("%d findings only filed: late, or held back by a breaker", verdict.filed)
            if self._metrics is not None:
                self._metrics.filed.inc(verdict.filed)

    async def _joining(self, connection: Connection, late: Sequence[Finding]) -> list[Finding]:
        """Late news joins the alert that is open for it, and opens none."""
        if not late:
            return []
        rows = await connection.fetch(_OPEN_KEYS, [f.dedup_key for f in late])
        keys = {row["dedup_key"] for row in rows}
        return [f for f in late if f.dedup_key in keys]

    async def _around(self, connection: Connection, matches: Sequence[Match], now: datetime) -> Around:
        wanted = {key for m in matches if m.rule.near for key in near_keys(m.rule, m.signal.device)}
        near = await _near(connection, wanted, now) if wanted else {}
        return Around(self._limits, near)


async def _near(
    connection: Connection, wanted: Collection[NearKey], now: datetime, fresh: timedelta = NEAR_FOR
) -> dict[NearKey, float]:
    quantities = sorted({key[2] for key in wanted})
    sectors = sorted({key[1].partition(":")[0] for key in wanted})
    found: dict[NearKey, float] = {}
    for r in await connection.fetch(_NEAR, quantities, sectors, now - fresh):
        is_sector = r["place"] is None
        name = r["sector"] if is_sector else f"{r['sector']}:{r['place']}"
        found["sector" if is_sector else "place", name, r["name"]] = r["value"]
    return found
