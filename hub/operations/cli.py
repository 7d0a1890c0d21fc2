"""``almenara-hub operations …``: load, list and show operations; sectors and seasons from files."""

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hub.settings import HubSettings

if TYPE_CHECKING:
    from hub.nodes import Problem

AUTHOR = "línea de órdenes"
AddOptions = Callable[[argparse.ArgumentParser], None]


def add_operations(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", add_server_options: AddOptions
) -> None:
    top = commands.add_parser("operations", help="operativos: cargar, listar, ver; sectores y temporadas")
    actions = top.add_subparsers(dest="action", required=True, metavar="ACCIÓN")
    check = actions.add_parser("check", help="revisa un operativo en YAML sin cargarlo")
    load = actions.add_parser("load", help="carga un operativo en YAML")
    sectors = actions.add_parser("sectors", help="importa los sectores de la comuna desde GeoJSON")
    for action, act in ((check, _check), (load, _load), (sectors, _sectors)):
        action.add_argument("file", type=Path, metavar="ARCHIVO")
        action.add_argument("--partial", action="store_true", help="deja fuera lo que tiene errores")
        action.set_defaults(act=act)
    season = actions.add_parser("season", help="registra una temporada, por ejemplo la época estival")
    season.add_argument("season", metavar="CÓDIGO", help="por ejemplo estival-2026-2027")
    season.add_argument("first", type=_day, metavar="DESDE", help="AAAA-MM-DD")
    season.add_argument("last", type=_day, metavar="HASTA", help="AAAA-MM-DD")
    season.add_argument("--name", metavar="NOMBRE", default="Época estival")
    season.set_defaults(act=_season)
    repeat = actions.add_parser("repeat", help="repite un operativo programado según una regla iCalendar")
    repeat.add_argument("folio", metavar="FOLIO")
    repeat.add_argument("rule", metavar="REGLA", help="por ejemplo «FREQ=WEEKLY;BYDAY=FR,SA;UNTIL=20270315»")
    repeat.set_defaults(act=_repeat)
    again = actions.add_parser("series", help="muestra los operativos que se repiten")
    again.set_defaults(act=_series)
    listed = actions.add_parser("list", help="muestra los operativos más nuevos")
    listed.set_defaults(act=_list)
    show = actions.add_parser("acta", help="escribe el acta de un operativo como texto")
    show.add_argument("folio", metavar="FOLIO")
    show.set_defaults(act=_acta)
    for action in (load, sectors, season, repeat, again, listed, show):
        add_server_options(action)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"«{text}» no es una fecha AAAA-MM-DD") from error


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        print(f"operations: no se pudo leer {path}: {error}", file=sys.stderr)
        return None


def _tell(problems: "list[Problem]") -> None:
    for problem in problems:
        print(problem, file=sys.stderr)


async def _check(_settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.operations.loading import OperationFileError, load_operation

    text = _read(arguments.file)
    if text is None:
        return 1
    try:
        filed, left_out = load_operation(text, (), str(arguments.file), is_partial=arguments.partial)
    except OperationFileError as error:
        _tell(error.problems)
        return 1
    _tell(left_out)
    print(f"{filed.folio}: correcto, {len(filed.inspections)} fiscalizaciones")
    return 0


async def _load(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.operations import importing, reading
    from hub.operations.loading import OperationFileError, load_operation
    from hub.operations.model import OperationError

    text = _read(arguments.file)
    if text is None:
        return 1
    async with open_database(settings) as pool:
        known = [one.sector for one in await reading.sectors(pool)]
        try:
            filed, left_out = load_operation(text, known, str(arguments.file), is_partial=arguments.partial)
            operation, notes = await importing.store(pool, filed, author=AUTHOR, now=datetime.now(UTC))
        except OperationFileError as error:
            _tell(error.problems)
            return 1
        except OperationError as error:
            print(f"operations load: {error}", file=sys.stderr)
            return 1
    _tell(left_out)
    for note in notes:
        print(note, file=sys.stderr)
    left = f" ({len(left_out)} partes quedaron fuera)" if left_out else ""
    print(f"{operation.folio} cargado{left}")
    return 0


async def _sectors(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.operations import importing
    from hub.operations.areas import load_sectors

    text = _read(arguments.file)
    if text is None:
        return 1
    sectors, problems = load_sectors(text, str(arguments.file))
    _tell(problems)
    if problems and not arguments.partial:
        print("no se importó nada; corrija el archivo o use --partial", file=sys.stderr)
        return 1
    async with open_database(settings) as pool:
        count = await importing.store_sectors(pool, sectors, arguments.file.name, datetime.now(UTC))
    print(f"{count} sectores importados")
    return 0


async def _season(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.operations import importing
    from hub.operations.model import OperationError

    async with open_database(settings) as pool:
        try:
            await importing.store_season(
                pool, arguments.season, arguments.name, arguments.first, arguments.last
            )
        except OperationError as error:
            print(f"operations season: {error}", file=sys.stderr)
            return 1
    print(f"{arguments.season}: del {arguments.first} al {arguments.last}")
    return 0


async def _repeat(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.operations import series
    from hub.operations.model import OperationError
    from hub.operations.recurrence import words

    async with open_database(settings) as pool:
        try:
            found, count = await series.repeat(
                pool, arguments.folio, arguments.rule, author=AUTHOR, now=datetime.now(UTC)
            )
        except OperationError as error:
            print(f"operations repeat: {error}", file=sys.stderr)
            return 1
    print(f"{arguments.folio} se repite {words(found.rule)}; {count} más quedaron programados")
    return 0


async def _series(settings: HubSettings, _arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.operations import series
    from hub.operations.recurrence import words

    async with open_database(settings) as pool:
        for one in await series.listed(pool, datetime.now(UTC)):
            state = "terminó" if one.ended_at else one.problem or f"próximo: {one.next_folio or 'ninguno'}"
            print(f"{one.name}: {words(one.rule)}; {one.planned} programados; {state}")
    return 0


async def _list(settings: HubSettings, _arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.operations import reading
    from hub.operations.words import STATES
    from hub.plan.periods import SANTIAGO

    async with open_database(settings) as pool:
        for one in await reading.listed(pool, reading.Filter()):
            at = one.planned_start.astimezone(SANTIAGO)
            print(f"{one.folio:14} {at:%d-%m-%Y %H:%M} {one.sector:16} {STATES[one.state]:24} {one.name}")
    return 0


async def _acta(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.operations import acta, reading
    from hub.operations.model import OperationError

    async with open_database(settings) as pool:
        try:
            dossier = await reading.dossier(pool, arguments.folio)
        except OperationError as error:
            print(f"operations acta: {error}", file=sys.stderr)
            return 1
    print(acta.text(dossier), end="")
    return 0
