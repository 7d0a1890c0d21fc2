"""``almenara-hub rules …``: check a draft, list what is live, rehearse a draft over history."""

import argparse
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from hub.settings import HubSettings

if TYPE_CHECKING:
    from hub.rule_work.rehearsal import Rehearsal
    from hub.rules.model import Rule

BAR_CHARS = 30
TOP_DEVICES = 10

AddOptions = Callable[[argparse.ArgumentParser], None]


def add_rules(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", add_server_options: AddOptions
) -> None:
    rules = commands.add_parser("rules", help="reglas: de lo que pasa en terreno a las alertas")
    actions = rules.add_subparsers(dest="action", required=True, metavar="ACCIÓN")
    check = actions.add_parser("check", help="revisa archivos de reglas y corre sus ejemplos")
    check.add_argument("path", type=Path, metavar="ARCHIVO|CARPETA")
    check.set_defaults(act=_check)
    listing = actions.add_parser("list", help="muestra las reglas activas")
    add_server_options(listing)
    listing.set_defaults(act=_list)
    trial = actions.add_parser("rehearse", help="ensaya un borrador sobre la historia guardada")
    trial.add_argument("file", type=Path, metavar="ARCHIVO")
    trial.add_argument("--since", default="30d", metavar="PLAZO", help="cuánta historia: 30d, 12h (30d)")
    trial.add_argument("--json", action="store_true", help="escribe el resultado como JSON")
    add_server_options(trial)
    trial.set_defaults(act=_rehearse)
    example = actions.add_parser(
        "example-history", help="llena una base vacía con un mes de una comuna ficticia, para ensayar"
    )
    example.add_argument("--days", type=int, default=30, metavar="DÍAS", help="cuánta historia (30)")
    example.add_argument("--seed", type=int, metavar="N", help="la misma semilla da los mismos datos")
    add_server_options(example)
    example.set_defaults(act=_example_history)


async def _check(_settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.rules.errors import RuleFileError
    from hub.rules.loading import example_problems

    try:
        rules = _read(arguments.path)
        problems = example_problems(rules)
    except RuleFileError as error:
        problems = error.problems
        rules = []
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print(f"{len(problems)} errores: estas reglas no se pueden activar", file=sys.stderr)
        return 1
    examples = sum(len(rule.examples) for rule in rules)
    print(f"{len(rules)} reglas correctas; {examples} ejemplos resultaron como dicen")
    without = [rule.name for rule in rules if not rule.examples]
    if without:
        print(f"sin ejemplo: {', '.join(without)}")
    return 0


def _read(path: Path) -> "list[Rule]":
    from hub.rule_work.live import read_folder
    from hub.rules.loading import load_rules

    if path.is_dir():
        return load_rules(read_folder(path))
    return load_rules({str(path): path.read_text("utf-8", "replace")})


async def _list(settings: HubSettings, _arguments: argparse.Namespace) -> int:
    from hub.opening import rules_folder
    from hub.rule_work.live import read_folder
    from hub.rules.errors import RuleFileError
    from hub.rules.library import ready_files
    from hub.rules.loading import live_rules

    try:
        rules = live_rules(ready_files(), read_folder(rules_folder(settings)))
    except RuleFileError as error:
        print(error, file=sys.stderr)
        return 1
    for rule in sorted(rules, key=lambda r: (r.priority, r.name)):
        print(f"P{rule.priority}\t{rule.name}\t{rule.kind}\t{rule.title}\t{rule.version}\t{rule.file}")
    return 0


async def _rehearse(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.rule_work.history import Span
    from hub.rule_work.rehearsal import rehearse
    from hub.rules.errors import RuleFileError
    from hub.rules.words import duration_s

    try:
        rules = _read(arguments.file)
        length = timedelta(seconds=duration_s(arguments.since))
    except (RuleFileError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    until = datetime.now(UTC)
    if settings.telemetry_store != "postgresql":
        print("el ensayo mira solo las mediciones que están en PostgreSQL", file=sys.stderr)
    async with open_database(settings) as pool:
        found = await rehearse(pool, rules, Span(until - length, until), _progress)
    print(json.dumps(found.as_json()) if arguments.json else _text(found))
    return 1 if found.failures else 0


async def _example_history(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub import example_history as example
    from hub.opening import open_database

    if not 1 <= arguments.days <= 90:
        print("--days va de 1 a 90", file=sys.stderr)
        return 2
    until = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    length = example.Length(until - timedelta(days=arguments.days), until)
    seed = example.SEED if arguments.seed is None else arguments.seed
    async with open_database(settings) as pool:
        try:
            written = await example.write(pool, length, seed)
        except example.HistoryError as error:
            print(error, file=sys.stderr)
            return 1
    print(
        f"Comuna ficticia de {example.INHABITANTS} habitantes, semilla {seed}: {written.devices} equipos,"
        f" {written.events} eventos, {written.measurements} mediciones, {written.alerts} alertas cerradas"
    )
    print("Ensaye un borrador con: almenara-hub rules rehearse ARCHIVO --since 30d")
    return 0


def _progress(share: float) -> None:
    filled = round(share * BAR_CHARS)
    end = "\n" if share >= 1 else ""
    bar = "#" * filled + "." * (BAR_CHARS - filled)
    print(f"\r[{bar}] {share * 100:3.0f} %", end=end, file=sys.stderr, flush=True)


def _text(found: "Rehearsal") -> str:
    share = "sin casos cerrados" if found.false_share is None else f"{found.false_share * 100:.0f} %"
    lines = [
        f"Ensayo de {found.since:%d-%m-%Y %H:%M} a {found.until:%d-%m-%Y %H:%M} UTC",
        f"{found.signals} señales; {found.alerts} alertas nuevas, {found.joined} se unirían a ellas",
        f"falsas alarmas esperadas, según los cierres de casos parecidos: {share}",
        *(f"  {name}: {count}" for name, count in sorted(found.by_rule.items())),
        "Por hora del día:",
        *(
            f"  {hour:02d} h {'#' * _bar(n, max(found.by_hour))} {n}"
            for hour, n in enumerate(found.by_hour)
            if n
        ),
        "Por dispositivo:",
        *(f"  {device.name}: {device.alerts}" for device in found.by_device[:TOP_DEVICES]),
        "Lo que ocurrió de verdad (alertas de esos tipos, por motivo de cierre):",
    ]
    for kind, reasons in found.really.items():
        told = ", ".join(f"{reason} {count}" for reason, count in reasons.items()) or "ninguna"
        lines.append(f"  {kind}: {told}")
    lines += [f"ATENCIÓN: la regla {name} falló {n} veces" for name, n in found.failures.items()]
    return "\n".join(lines)


def _bar(count: int, most: int) -> int:
    return max(1, round(count / most * BAR_CHARS))
