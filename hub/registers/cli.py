"""``almenara-hub registers …``: import and export the directorate's registers as CSV."""

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from hub.registers.catalogue import REGISTERS
from hub.settings import HubSettings

AUTHOR = "línea de órdenes"
AddOptions = Callable[[argparse.ArgumentParser], None]


def add_registers(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", add_server_options: AddOptions
) -> None:
    top = commands.add_parser("registers", help="Consejo, acuerdos, convenios, proyectos, difusión y demás")
    actions = top.add_subparsers(dest="action", required=True, metavar="ACCIÓN")
    load = actions.add_parser("import", help="importa un registro desde CSV")
    export = actions.add_parser("export", help="escribe un registro como CSV")
    for action, act in ((load, _import), (export, _export)):
        action.add_argument(
            "register", choices=sorted(REGISTERS), metavar="REGISTRO", help=", ".join(REGISTERS)
        )
        action.add_argument("file", type=Path, metavar="ARCHIVO")
        action.set_defaults(act=act)
        add_server_options(action)
    load.add_argument(
        "--partial", action="store_true", help="importa las líneas buenas y deja fuera las otras"
    )
    actions.add_parser("list", help="dice qué registros hay y sus columnas").set_defaults(act=_list)


async def _list(_settings: HubSettings, _arguments: argparse.Namespace) -> int:
    for register in REGISTERS.values():
        print(f"{register.id}: {register.doc}")
        print(f"  columnas: folio, {', '.join(field.title for field in register.fields)}")
    return 0


async def _import(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.registers import files

    register, name = REGISTERS[arguments.register], str(arguments.file)
    try:
        text = arguments.file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        print(f"registers import: no se pudo leer {name}: {error}", file=sys.stderr)
        return 1
    lines, problems = files.parse(register, text, name)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems and not arguments.partial:
        print("no se importó nada; corrija el archivo o use --partial", file=sys.stderr)
        return 1
    async with open_database(settings) as pool:
        done, refused = await files.store(
            pool,
            register,
            lines,
            name,
            author=AUTHOR,
            now=datetime.now(UTC),
            is_partial=arguments.partial,
        )
    for problem in refused:
        print(problem, file=sys.stderr)
    print(f"{register.title.lower()}: {done} líneas importadas, {len(problems) + len(refused)} fuera")
    return 1 if refused and not arguments.partial else 0


async def _export(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.registers import files, service

    register = REGISTERS[arguments.register]
    async with open_database(settings) as pool:
        entries = await service.listed(pool, register, limit=files.MAX_LINES)
    arguments.file.write_text(files.as_csv(register, entries), "utf-8", newline="")
    print(f"{arguments.file}: {len(entries)} líneas")
    return 0
