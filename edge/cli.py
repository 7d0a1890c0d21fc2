"""The command ``almenara-edge``. What it prints is Spanish: its readers install and look after gateways."""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge.outbox import OutboxError, Stats, outbox_path, read_stats
from edge.settings import DEFAULT_CONFIG, ENV_CONFIG, Settings, SettingsError, config_path, effective, load

OK, FAILED, BAD_SETTINGS = 0, 1, 2


class _SpanishHelp(argparse.HelpFormatter):
    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, "uso: " if prefix is None else prefix)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 failed, 2 wrong settings or arguments."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return BAD_SETTINGS
    except OutboxError as error:
        print(f"Error: {error}", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="almenara-edge", description="Agente del gateway.", add_help=False, formatter_class=_SpanishHelp
    )
    _options(parser)
    commands = parser.add_subparsers(required=True, metavar="ORDEN", title="órdenes")
    for name, (run, text) in _COMMANDS.items():
        command = commands.add_parser(
            name, help=text, description=f"{text}.", add_help=False, formatter_class=_SpanishHelp
        )
        command.set_defaults(run=run)
        options = _options(command)
        options.add_argument(
            "--config",
            type=Path,
            metavar="ARCHIVO",
            help=f"archivo de ajustes (o la variable {ENV_CONFIG}; si no, {DEFAULT_CONFIG})",
        )
        if name == "queue":
            options.add_argument("--data", type=Path, metavar="CARPETA", help="carpeta de datos del agente")
            options.add_argument("--json", action="store_true", help="una línea JSON")
    return parser


def _options(parser: argparse.ArgumentParser) -> "argparse._ArgumentGroup":
    options = parser.add_argument_group("opciones")
    options.add_argument("-h", "--help", action="help", help="muestra esta ayuda y termina")
    return options


# ------------------------------------------------------------------------------------------- run


def _run(options: argparse.Namespace) -> int:
    from edge.agent import AgentError  # the other commands need no broker client

    settings = load(config_path(options.config))
    logging.basicConfig(
        level=settings.log_level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        _run_agent(settings)
    except AgentError as error:
        print(error, file=sys.stderr)
        return FAILED
    if threading.active_count() > 1:
        # A connection attempt may hang in a thread for seconds; all that matters is on disk by now.
        sys.stderr.flush()
        os._exit(OK)
    return OK


def _run_agent(settings: Settings) -> None:
    from edge.agent import run
    from edge.clock import SystemClock

    # Not asyncio.run: it would wait for that same thread.
    loop = asyncio.new_event_loop()
    try:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.run_until_complete(run(settings, SystemClock(), stop))
    finally:
        loop.close()


# ---------------------------------------------------------------------------------------- queue


def _queue(options: argparse.Namespace) -> int:
    data_dir = options.data or load(config_path(options.config)).data_dir
    stats = read_stats(outbox_path(data_dir))
    print(json.dumps(asdict(stats)) if options.json else "\n".join(_table(stats)))
    return OK


_COLUMNS = {
    "accepted": "recibidos",
    "pending": "en cola",
    "receipted": "entregados",
    "evicted": "descartados",
    "refused": "rechazados",
    "torn": "dañados",
}
_ROWS = {"alarm": "alarmas", "event": "eventos", "telemetry": "telemetría"}


def _table(stats: Stats) -> list[str]:
    counts = asdict(stats)
    lines = [" " * 12 + "".join(f"{title:>13}" for title in _COLUMNS.values())]
    lines += [
        f"{title:<12}" + "".join(f"{counts[column][lane]:>13}" for column in _COLUMNS)
        for lane, title in _ROWS.items()
    ]
    return [*lines, f"{stats.measurements} mediciones recibidas; {stats.size_bytes} bytes en cola"]


# ---------------------------------------------------------------------------------------- check


def _check(options: argparse.Namespace) -> int:
    path = config_path(options.config)
    settings = load(path)
    print(f"# Ajustes correctos{f' ({path})' if path else ''}")
    print("\n".join(effective(settings)))
    return OK


_COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], int], str]] = {
    "run": (_run, "Ejecuta el agente hasta que se le pida terminar"),
    "queue": (_queue, "Muestra la cola de salida, con el agente andando o no"),
    "check": (_check, "Revisa los ajustes y los muestra, sin secretos"),
}


if __name__ == "__main__":
    sys.exit(main())
