"""The report: a table for the eye, JSON for machines, Markdown for the repository."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.cluster.speed import Row
from bench.cluster.world import Outcome

FORMAT = 1
_WORLD = (
    "Three nats-server processes (JetStream, every message on three disks), two hubs that pull from them,"
    " PostgreSQL, and edge agents with their own outboxes, over MQTT 3.1.1, spread over the nodes. All on one"
    " machine, over loopback: what a network between the nodes would add was not measured."
)
_BLOWS = (
    "The node is the one that led the stream of events; it comes back with its store, the hub too. Until"
    " something that happened after the blow was stored, of every gateway; *silence* is the longest time"
    " without a commit of other events than alarms. The seconds come from NATS: a stream whose leader died"
    " waits 4 to 9 s for a new one, and so does the session of a gateway that moves to another node. Alarms"
    " do not wait for the stream: hubs also hear them as they pass."
)
_SHARED = (
    "Load, brokers, hubs and PostgreSQL share the cores of this machine, so a second hub has no core of its"
    " own here; the CPU seconds are what a machine of its own would spend."
)


@dataclass(frozen=True, kw_only=True)
class Report:
    """``facts`` name date, revision, seed and machine."""

    facts: Mapping[str, Any]
    outcome: Outcome
    speed: Sequence[Row]
    speed_events: int

    @property
    def is_good(self) -> bool:
        return not self.outcome.violations and not any(row.lost for row in self.speed)


def write(report: Report, folder: Path) -> None:
    """``cluster.json`` and ``cluster.md`` below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"format": FORMAT, **asdict(report), "is_good": report.is_good}
    (folder / "cluster.json").write_text(json.dumps(content, indent=1, default=str) + "\n", "utf-8")
    (folder / "cluster.md").write_text(markdown(report), "utf-8")


def markdown(report: Report) -> str:
    o = report.outcome
    return "\n".join(
        [
            "# A node and a hub of a cluster die",
            "",
            *(f"- {name}: {value}" for name, value in report.facts.items()),
            "",
            _WORLD,
            "",
            *_table(["", ""], [[name, f"{value}"] for name, value in _counts(o)]),
            "",
            "| killed (-9) under load | every gateway's alarms | every gateway's events | longest silence |",
            "|---|---|---|---|",
            *(f"| {s.what} | {s.alarms_s} s | {s.events_s} s | {s.silence_s} s |" for s in o.strikes),
            "",
            _BLOWS,
            *(f"- VIOLATED {v.kind} x{v.count}: {v.example}" for v in o.violations),
            "",
            f"## Events a second, fully processed ({report.speed_events:,} events, medians)",
            "",
            "| way | events/s | range | to the first | hub CPU s/1,000 | broker CPU s/1,000 | lost |",
            "|---|---|---|---|---|---|---|",
            *(
                f"| {r.name} | **{r.events_per_s:,.0f}** | {r.low:,.0f}–{r.high:,.0f}"
                f" | {r.events_per_s / report.speed[0].events_per_s:.2f}× | {r.hub_cpu_s}"
                f" | {r.broker_cpu_s} | {r.lost} |"
                for r in report.speed
            ),
            "",
            _SHARED,
            f"PostgreSQL holds {o.bytes_per_event:,.0f} bytes for an event, indexes included.",
            "",
        ]
    )


def _counts(o: Outcome) -> list[tuple[str, object]]:
    return [
        ("accepted by the edges' outboxes", f"{o.accepted:,}"),
        ("stored", f"{o.stored:,}"),
        ("lost", f"**{o.lost}**"),
        ("stored or handled twice", f"**{o.twice}**"),
        ("in the wrong order", f"**{o.wrong_order}**"),
        ("panic presses / alerts", f"{o.panics:,} / {o.alerts:,}"),
        ("press → first text: p50 / p99 / max", " / ".join(f"{v} s" for v in o.alarm_delay_s.values())),
        ("texts sent / of them again", f"{o.texts_sent:,} / {o.texts_again}"),
        ("repeats stopped at the key", f"{o.repeats_stopped:,}"),
        ("edges that moved to another node", o.edges_moved),
        ("events a second over the whole run, blows included", o.events_per_s),
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]
