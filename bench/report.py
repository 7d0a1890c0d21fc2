"""The report: one JSON file and the same as Markdown, ratios first."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from bench.figures import Figure, Ratio, Section

FORMAT = 1


def write(folder: Path, facts: Mapping[str, Any], sections: Mapping[str, Section]) -> tuple[Path, Path]:
    """Write ``bench.json`` and ``bench.md``; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    measures = {name: dataclasses.asdict(section) for name, section in sections.items()}
    for name, section in sections.items():
        measures[name]["ratios"] = [dataclasses.asdict(r) | {"is_met": r.is_met} for r in section.ratios]
    content = msgspec.json.encode({"format": FORMAT, **facts, "measures": measures})
    as_json, as_markdown = folder / "bench.json", folder / "bench.md"
    as_json.write_bytes(msgspec.json.format(content, indent=1) + b"\n")
    as_markdown.write_text(markdown(facts, sections), encoding="utf-8")
    return as_json, as_markdown


def markdown(facts: Mapping[str, Any], sections: Mapping[str, Section]) -> str:
    blocks = ["# Bench", _facts(facts), "## Ratios", _ratios(sections)]
    for section in sections.values():
        notes = "\n".join(f"- {note}" for note in section.notes)
        blocks += [f"## {section.title}", _table(section), notes]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _facts(facts: Mapping[str, Any]) -> str:
    machine = dict(facts["machine"])
    revisions = ", ".join(f"{name} {commit}" for name, commit in facts["revision"].items())
    return (
        f"{facts['at']}, revision: {revisions}; seed {facts['seed']}, scale {facts['scale']},"
        f" {facts['took_s']:.0f} s.\n{machine['cores']} cores {machine['cpu']}, {machine['ram_mb']:,} MB,"
        f" Linux {machine['kernel']}, {machine['system']}; Python {machine['python']}, PostgreSQL"
        f" {machine['postgresql']} (fsync on), Mosquitto {machine['mosquitto']}. Load before:"
        f" {machine['load_before']}; a page and fdatasync: p50 {facts['sync_ms']['p50']}, p99"
        f" {facts['sync_ms']['p99']} ms.\n\nEverything shares these cores: load generator, broker, database"
        " and subject. Absolute figures move with the machine; ratios within one run are what counts. A"
        " figure is the median of its runs, with the lowest and the highest."
    )


def _ratios(sections: Mapping[str, Section]) -> str:
    lines = ["| | median | range | runs | budget |", "|---|---|---|---|---|"]
    for section in sections.values():
        lines += [_ratio_line(ratio) for ratio in section.ratios]
    lost = sum(section.lost for section in sections.values())
    return "\n".join([*lines, f"| lost, over everything | {lost} | | | 0 {_mark(lost == 0)} |"])


def _ratio_line(r: Ratio) -> str:
    unit = "×" if r.unit == "x" else f" {r.unit}"
    budget = f"{r.budget.replace('>=', '≥').replace('<=', '≤')} {_mark(r.is_met)}" if r.budget else ""
    spread = f"{number(r.value.low)}–{number(r.value.high)}"
    return f"| {r.name} | **{number(r.value.median)}{unit}** | {spread} | {r.value.runs} | {budget} |"


def _mark(is_met: bool | None) -> str:
    return "" if is_met is None else "✓" if is_met else "✗ not met"


def _table(section: Section) -> str:
    lines = ["| | " + " | ".join(section.columns) + " |", "|---" * (len(section.columns) + 1) + "|"]
    for name, row in section.rows.items():
        lines.append(f"| {name} | " + " | ".join(_cell(row.get(c)) for c in section.columns) + " |")
    return "\n".join(lines)


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "–"
    if figure.low == figure.high:
        return number(figure.median)
    return f"{number(figure.median)} ({number(figure.low)}–{number(figure.high)})"


def number(value: float) -> str:
    """As many digits as a reader can use."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 20 else 2 if size >= 0.1 else 4
    return f"{value:,.{digits}f}"
