"""The bench: its arithmetic, and one tiny run of it with real processes."""

import asyncio
import sys
from pathlib import Path

import msgspec
import pytest

from bench import report
from bench.figures import Figure, Ratio, Section, figure, quantile, ratios
from bench.ground import TREE
from bench.rule_files import rule_files
from hub.rules.library import ready_files
from hub.rules.loading import live_rules


def test_quantiles_are_values_that_were_measured() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert [quantile(values, share) for share in (0.5, 0.99, 1.0)] == [50.0, 99.0, 100.0]
    assert quantile([7.0], 0.5) == 7.0


def test_ratios_compare_neighbours() -> None:
    assert ratios([90.0, 50.0, 30.0], [100.0, 100.0, 10.0]) == Figure(0.9, 0.5, 3.0, 3)


@pytest.mark.parametrize(
    ("budget", "is_met"), [(">= 0.9", True), (">= 0.96", False), ("<= 1", True), ("", None)]
)
def test_a_budget_is_met_by_the_median(budget: str, is_met: bool | None) -> None:
    assert Ratio("r", figure([0.1, 0.95, 2.0]), budget=budget).is_met is is_met


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345.6, "12,346"), (33.333, "33.3"), (2.5, "2.50"), (0.0467, "0.0467"), (8.0, "8"), (0.0, "0")],
)
def test_numbers_have_as_many_digits_as_they_bear(value: float, text: str) -> None:
    assert report.number(value) == text


def test_a_loss_stands_beside_the_ratios() -> None:
    facts = {
        "at": "",
        "revision": {},
        "seed": 1,
        "scale": "tiny",
        "took_s": 1.0,
        "sync_ms": {"p50": 1, "p99": 2},
    }
    machine = dict.fromkeys(
        ("cores", "cpu", "ram_mb", "kernel", "system", "python", "postgresql", "mosquitto", "load_before"), 0
    )
    section = Section("Title", [], ["lost"], {"hub": {"lost": figure([2])}}, lost=2)
    text = report.markdown({**facts, "machine": machine}, {"one": section})
    assert "| lost, over everything | 2 | | | 0 ✗ not met |" in text


@pytest.mark.parametrize("count", [3, 200])
def test_a_hub_takes_the_many_rules(count: int) -> None:
    rules = live_rules(ready_files(), rule_files(count, TREE))
    assert len(rules) == count
    assert "panic_pressed" in {rule.name for rule in rules}
    heard = [rule for rule in rules if "motion.detected" in rule.operator.events]
    assert len(heard) == (count + 9) // 10


async def test_a_tiny_run_makes_a_whole_report(tmp_path: Path) -> None:
    words = ["run", "--scale", "tiny", "--only", "throughput", "--only", "press", "--report", str(tmp_path)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench",
        *words,
        cwd=Path(__file__).parent.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, progress = await process.communicate()
    assert process.returncode == 0, progress.decode()
    found = msgspec.json.decode((tmp_path / "bench.json").read_bytes())
    assert output.decode() == (tmp_path / "bench.md").read_text("utf-8")
    assert {"at", "machine", "revision", "seed", "took_s", "sync_ms"} <= found.keys()
    throughput, press = found["measures"]["throughput"], found["measures"]["press"]
    assert throughput["lost"] == press["lost"] == 0
    assert {row["events/s"]["median"] > 0 for row in throughput["rows"].values()} == {True}
    assert {"hub, live", "hub, drain", "C + COPY, no key, live"} <= throughput["rows"].keys()
    assert len(press["rows"]) == 4
    for row in press["rows"].values():
        assert 0 < row["hub p50 ms"]["median"] <= row["hub p99 ms"]["median"] <= row["hub max ms"]["median"]
        assert row["hub p50 ms"]["median"] <= row["end to end p50 ms"]["median"]
    assert {ratio["value"]["median"] > 0 for ratio in throughput["ratios"] + press["ratios"]} == {True}
