"""``python -m bench``: see README.md. Exit codes: 0 done, 1 could not run or lost something, 2 wrong use."""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine, report
from bench.errors import BenchError
from bench.figures import Section
from bench.ground import TREE, prepared
from bench.measures import MEASURES
from bench.scale import SCALES
from bench.setting import Setting

REPORT = Path(__file__).parent / "report"


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure, and write bench.json and bench.md")
    run.add_argument("--only", action="append", choices=list(MEASURES), help="this measure; may be repeated")
    run.add_argument("--scale", choices=list(SCALES), default="full", help="how much is measured")
    run.add_argument("--quick", action="store_const", const="quick", dest="scale", help="--scale quick")
    run.add_argument(
        "--rounds",
        type=int,
        metavar="N",
        help="repeat what is compared N times, not as often as the scale says",
    )
    run.add_argument("--seed", type=int, default=1, help="of ids and of the moments of presses")
    run.add_argument("--report", type=Path, default=REPORT, metavar="FOLDER", help="where the report goes")
    run.add_argument(
        "--hub",
        action="append",
        type=_tree,
        metavar="NAME=TREE",
        help="measure the hub of this checkout under this name; repeat it to compare checkouts",
    )
    return top


def _tree(text: str) -> tuple[str, Path]:
    name, _, folder = text.partition("=")
    if not name or not (Path(folder) / "hub" / "cli.py").is_file():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=TREE with a checkout in TREE")
    return name, Path(folder).resolve()


async def run(arguments: argparse.Namespace) -> int:
    scale = SCALES[arguments.scale]
    if arguments.rounds:
        scale = replace(scale, rounds=arguments.rounds)
    trees = dict(arguments.hub or [("hub", TREE)])
    facts: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": {name: machine.revision(tree) for name, tree in trees.items()},
        "seed": arguments.seed,
        "scale": scale.name,
        "machine": machine.describe(),
    }
    started = time.monotonic()
    sections: dict[str, Section] = {}
    async with asyncio.timeout(scale.limit_s), prepared() as ground:
        setting = Setting(ground, scale, arguments.seed, trees)
        facts["sync_ms"] = machine.sync_ms(ground.folder)
        await setting.make_templates()
        for name in arguments.only or MEASURES:
            sections[name] = await MEASURES[name](setting)
    facts["took_s"] = round(time.monotonic() - started, 1)
    paths = report.write(arguments.report, facts, sections)
    sys.stdout.write(report.markdown(facts, sections))
    setting.say(f"written: {paths[0]}, {paths[1]}")
    return 1 if any(section.lost for section in sections.values()) else 0


async def _until_told(arguments: argparse.Namespace) -> int:
    """SIGTERM ends the bench like Ctrl-C does: with everything that it started."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - we run in it
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run(arguments)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        return asyncio.run(_until_told(arguments))
    except BenchError as error:
        _complain(str(error))
    except TimeoutError:
        _complain(f"not done within {SCALES[arguments.scale].limit_s:g} s")
    except (KeyboardInterrupt, asyncio.CancelledError):
        _complain("stopped")
    return 1


def _complain(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
