"""Playing faults one after the other, and what came of each."""

import random
import statistics
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from bench.faults import judge
from bench.faults.database import Cluster
from bench.faults.fault import Fault
from bench.faults.judge import Evidence, Violation
from bench.faults.programs import folder_owner_may_pass
from bench.faults.world import Plan, World

Say = Callable[[str], None]


@dataclass(kw_only=True)
class Outcome:
    """One fault's row of the report. Durations in seconds."""

    name: str
    title: str
    simulated: str
    kills: int = 0
    accepted: int = 0
    stored: int = 0
    lost: int = 0
    handled_twice: int = 0
    wrong_order: int = 0
    panics: int = 0
    alerts: int = 0
    texts: int = 0
    texts_repeated: int = 0
    given_up: int = 0
    repeats_stopped: int = 0
    late_arrivals: int = 0
    recovery_s: list[float] = field(default_factory=list)
    drained: int = 0
    drain_s: float = 0.0
    alarm_delay_s: dict[str, float] = field(default_factory=dict)
    time_error_s: dict[str, float] = field(default_factory=dict)
    notes: dict[str, object] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)
    took_s: float = 0.0

    @property
    def passed(self) -> bool:
        return not self.violations

    def as_dict(self) -> dict[str, object]:
        return {**asdict(self), "passed": self.passed}


async def play_all(
    faults: Sequence[Fault], base: Plan, *, seed: int, events: int, root: Path, say: Say
) -> list[Outcome]:
    """Each fault in a world of its own, on one PostgreSQL cluster below ``root``."""
    cluster = Cluster(root / "postgres")
    await cluster.start()
    shares = sum(fault.weight for fault in faults)
    outcomes = []
    try:
        for fault in faults:
            folder = root / fault.name
            folder.mkdir()
            folder_owner_may_pass(folder)
            share = max(500, round(events * fault.weight / shares))
            plan = replace(base, events=share, **fault.plan)  # type: ignore[arg-type]
            say(f"{fault.name}: {fault.title}, {plan.events} events")
            outcome = await play(fault, World(folder, cluster, plan, random.Random(f"{seed}:{fault.name}")))  # noqa: S311
            say(f"{fault.name}: {_verdict(outcome)} in {outcome.took_s:.1f} s")
            outcomes.append(outcome)
    finally:
        await cluster.stop()
    return outcomes


def _verdict(outcome: Outcome) -> str:
    if outcome.passed:
        return f"ok, {outcome.stored} stored, {outcome.repeats_stopped} repeats stopped"
    return "VIOLATED " + "; ".join(f"{v.kind} {v.count} ({v.example})" for v in outcome.violations)


async def play(fault: Fault, world: World) -> Outcome:
    """One fault from an empty world to its verdict; trouble of the run itself counts as a violation."""
    began = time.monotonic()
    outcome = Outcome(name=fault.name, title=fault.title, simulated=fault.simulated)
    try:
        await world.start()
        await fault.play(world)
        await world.drain()
        evidence = await world.finish()
        if fault.check is not None:
            await fault.check(world, evidence)
    except Exception as error:  # noqa: BLE001 - whatever it was, the other faults are played too
        outcome.violations = [Violation("run_failed", 1, _where(error))]
    else:
        _fill(outcome, world, evidence)
        _look_at_recovery(outcome, fault)
        await world.database.drop()
    finally:
        await world.abandon()
    outcome.took_s = round(time.monotonic() - began, 1)
    return outcome


def _look_at_recovery(outcome: Outcome, fault: Fault) -> None:
    if not outcome.recovery_s:
        # Blows that the flood had passed already prove nothing.
        missed = Violation("run_failed", 1, "no event happened after any blow; ask for more events")
        outcome.violations = [*outcome.violations, missed]
    if max(outcome.recovery_s, default=0.0) > fault.recovers_within_s:
        text = (
            f"{max(outcome.recovery_s)} s until events came again, allowed are {fault.recovers_within_s:g} s"
        )
        outcome.violations = [*outcome.violations, Violation("slow_recovery", 1, text)]


def _where(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"


def _fill(outcome: Outcome, world: World, evidence: Evidence) -> None:
    tally = world.tally
    violations = judge.judge(evidence, tally.allowance())
    found = {v.kind: v for v in violations}
    delays = judge.alarm_delays_s(evidence)
    outcome.violations = [*violations, *(Violation("fault", 1, problem) for problem in tally.problems)]
    outcome.kills = tally.kills
    outcome.accepted = len(evidence.accepted)
    outcome.stored = len(evidence.stored)
    outcome.lost = found["lost"].count if "lost" in found else 0
    outcome.given_up = len(judge.lost(evidence)) - outcome.lost
    outcome.handled_twice = sum(found[k].count for k in ("stored_twice", "handled_twice") if k in found)
    outcome.wrong_order = sum(found[k].count for k in ("wrong_order", "sequence_repeated") if k in found)
    outcome.panics = sum(row.is_alarm for row in evidence.stored)
    outcome.alerts = len(evidence.event_counts)
    outcome.texts = len(evidence.texts)
    outcome.texts_repeated = len(evidence.lines) - len({line.text_id for line in evidence.lines})
    outcome.repeats_stopped = sum(hub.repeats for hub in world.hubs)
    outcome.late_arrivals = judge.out_of_order_arrivals(evidence.stored)
    outcome.recovery_s = [round(s, 2) for s in judge.recovery_s(evidence, world.blows)]
    outcome.drained, outcome.drain_s = world.drained_events, round(world.drain_s, 2)
    outcome.alarm_delay_s = _quantiles(delays)
    outcome.time_error_s = {k: round(v, 2) for k, v in judge.time_errors_s(evidence).items()}
    outcome.notes = tally.notes


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p99 (nearest rank) and max of ascending values."""
    if not values:
        return {}
    rank = min(len(values) - 1, round(0.99 * len(values)))
    return {"p50": round(statistics.median(values), 3), "p99": round(values[rank], 3), "max": values[-1]}
