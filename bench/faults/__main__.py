"""``python -m bench.faults``: play the faults, print a table, write the report.

Exit code 1 when anything was violated, 2 for wrong use.
"""

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.faults import peers, report
from bench.faults.catalogue import FAULTS
from bench.faults.fault import Fault
from bench.faults.programs import TREE, folder_owner_may_pass
from bench.faults.run import play_all
from bench.faults.world import Plan

_QUICK_EVENTS = 20_000
_EVENTS = 100_000
_QUICK = Plan(events=0, edges=2, buttons=20, window=150, most_blows=2, hasten_leases=True)
_LONG = Plan(events=0, edges=3, buttons=60)


def parser() -> argparse.ArgumentParser:
    known = ", ".join(fault.name for fault in FAULTS)
    options = argparse.ArgumentParser(prog="bench.faults", description=__doc__)
    options.add_argument("--seed", type=int, default=1, help="decides the moments of all blows")
    options.add_argument("--events", type=int, help=f"over all faults together (default {_EVENTS})")
    options.add_argument("--only", metavar="NAME,...", help=f"of: {known}")
    options.add_argument("--quick", action="store_true", help="the most telling faults, in under a minute")
    options.add_argument("--report", type=Path, default=TREE / "bench" / "report", metavar="DIR")
    options.add_argument("--keep", type=Path, metavar="DIR", help="work here and leave everything behind")
    options.add_argument("--log", default="error", help="level of our own log lines")
    return options


def chosen(only: str | None, *, is_quick: bool) -> list[Fault]:
    """The faults to play; raises ValueError for a name that there is not."""
    if only is None:
        return [fault for fault in FAULTS if fault.is_quick or not is_quick]
    by_name = {fault.name: fault for fault in FAULTS}
    if unknown := [name for name in only.split(",") if name not in by_name]:
        raise ValueError(f"no such fault: {', '.join(unknown)}; there are {', '.join(by_name)}")
    return [by_name[name] for name in only.split(",")]


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    form = "%(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=options.log.upper(), stream=sys.stderr, format=form)
    try:
        faults = chosen(options.only, is_quick=options.quick)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    peers.ensure_peers()
    events = options.events or (_QUICK_EVENTS if options.quick else _EVENTS)
    plan = _QUICK if options.quick else _LONG
    root = options.keep or Path(tempfile.mkdtemp(prefix="almenara-faults-"))
    root.mkdir(parents=True, exist_ok=True)
    folder_owner_may_pass(root)
    began = time.monotonic()
    try:
        outcomes = asyncio.run(play_all(faults, plan, seed=options.seed, events=events, root=root, say=_say))
    finally:
        if options.keep is None:
            shutil.rmtree(root, ignore_errors=True)
    took_s = round(time.monotonic() - began, 1)
    whole = report.Run(seed=options.seed, events=events, took_s=took_s, outcomes=outcomes)
    report.write(whole, options.report)
    sys.stdout.write(report.table(whole) + "\n")
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
