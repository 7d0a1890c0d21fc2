"""The report: a table for the eye, JSON for machines, Markdown for the repository."""

import json
import os
import platform
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.faults import peers
from bench.faults.programs import TREE
from bench.faults.run import Outcome
from hub.servers import broker
from hub.servers.postgres import installations


@dataclass(frozen=True, kw_only=True)
class Run:
    """One call of the command."""

    seed: int
    events: int
    took_s: float
    outcomes: Sequence[Outcome]


_COLUMNS: dict[str, Callable[[Outcome], str]] = {
    "fault": lambda o: o.name,
    "blows": lambda o: str(o.kills),
    "accepted": lambda o: str(o.accepted),
    "stored": lambda o: str(o.stored),
    "lost": lambda o: str(o.lost),
    "twice": lambda o: str(o.handled_twice),
    "order": lambda o: str(o.wrong_order),
    "given up": lambda o: str(o.given_up),
    "repeats stopped": lambda o: str(o.repeats_stopped),
    "alerts": lambda o: str(o.alerts),
    "texts": lambda o: str(o.texts),
    "again": lambda o: str(o.texts_repeated),
    "recovery s": lambda o: f"{max(o.recovery_s):.1f}" if o.recovery_s else "-",
    "drain/s": lambda o: f"{o.drained / o.drain_s:.0f}" if o.drain_s > 0.5 and o.drained > 200 else "-",
    "alarm max s": lambda o: f"{o.alarm_delay_s['max']:.1f}" if o.alarm_delay_s else "-",
    "verdict": lambda o: "ok" if o.passed else "VIOLATED",
}

_LEGEND = """
- **accepted**: events that an edge's outbox had on disk (the driver's own list, written after the outbox
  answered); **stored**: rows of the hub's database. Compared as sets of ids, not as counts.
- **lost**, **twice** (stored or handled), **order** (per device by sequence number): all must be 0.
- **given up**: accepted, then given up by a rule that says so (a full disk evicts the oldest events, never
  alarms; a torn file loses what cannot be read) and reported by the edge itself.
- **repeats stopped** at the key (source, id); after a kill of the hub its last half second is not counted.
- **again**: texts that were sent once more; allowed is one repeat a text for each kill of the hub.
- **recovery s**: from the blow to the commit of the first event that happened after it, the worst blow.
- **drain/s**: events a second that left the outboxes after the flood had ended.
- **alarm max s**: the longest time from a press to the first text of its alert, blows included (in *away* the
  presses are 23 hours old when the hub returns).
"""


def table(run: Run) -> str:
    """For a terminal, with what was violated below it."""
    rows = [list(_COLUMNS), *([read(o) for read in _COLUMNS.values()] for o in run.outcomes)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(_COLUMNS))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([*lines, *_complaints(run)])


def _complaints(run: Run) -> list[str]:
    return [f"{o.name}: {v.kind} x{v.count}: {v.example}" for o in run.outcomes for v in o.violations]


def write(run: Run, folder: Path) -> None:
    """``faults.json`` and ``faults.md`` below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = _facts(run)
    content = {**facts, "faults": [outcome.as_dict() for outcome in run.outcomes]}
    (folder / "faults.json").write_text(json.dumps(content, indent=2, default=str) + "\n", "utf-8")
    (folder / "faults.md").write_text(_markdown(run, facts), "utf-8")


def _markdown(run: Run, facts: dict[str, object]) -> str:
    rows = [list(_COLUMNS), ["---"] * len(_COLUMNS)]
    rows += [[read(o) for read in _COLUMNS.values()] for o in run.outcomes]
    parts = ["# Fault runs", "", *(f"- {name}: {value}" for name, value in facts.items()), ""]
    parts += ["| " + " | ".join(row) + " |" for row in rows]
    parts += [_LEGEND, "## What was done", ""]
    for o in run.outcomes:
        parts.append(f"- **{o.name}**: {o.title}." + (f" Simulated: {o.simulated}." if o.simulated else ""))
        parts += [f"  - {name}: {value}" for name, value in o.notes.items()]
    parts += ["", "The three-node NATS JetStream cluster has a run of its own (`bench/cluster`)."]
    if complaints := _complaints(run):
        parts += ["", "## Violations", "", *(f"- {line}" for line in complaints)]
    return "\n".join(parts) + "\n"


def _facts(run: Run) -> dict[str, object]:
    cpu = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "revision": _revision(),
        "seed": run.seed,
        "events asked for": run.events,
        "took": f"{run.took_s:.0f} s",
        "machine": f"{os.cpu_count()} cores ({cpu[1] if cpu else '?'}), {memory} GB, {platform.release()}",
        "python": platform.python_version(),
        "postgresql": _version([next(installations()).folder / "postgres", "-V"]),
        "mosquitto": _version([peers.mosquitto_program(), "-h"]),
        "nats-server": _version([broker.program(), "-v"]),
    }


def _version(words: Sequence[object]) -> str:
    found = re.search(r"\d+(?:\.\d+)+", _output(words))
    return found[0] if found else "unknown"


def _revision() -> str:
    """The commit; ``+`` where something in edge, hub or bench/faults is not committed."""
    commit = _output(["git", "-C", TREE, "rev-parse", "--short=12", "HEAD"]).strip() or "unknown"
    changed = _output(["git", "-C", TREE, "status", "--porcelain", "--", "edge", "hub", "bench/faults"])
    return f"{commit}{'+' if changed.strip() else ''}"


def _output(words: Sequence[object]) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
