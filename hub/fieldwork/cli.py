"""``almenara-hub permits import|stickers`` and ``almenara-hub evidence verify``."""

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from hub.settings import HubSettings

AddOptions = Callable[[argparse.ArgumentParser], None]


def add_fieldwork(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", add_server_options: AddOptions
) -> None:
    permits = commands.add_parser("permits", help="registro de permisos municipales, por folio")
    actions = permits.add_subparsers(dest="action", required=True, metavar="ACCIÓN")
    importing = actions.add_parser("import", help="importa o actualiza el registro desde CSV")
    importing.add_argument("file", type=Path, metavar="ARCHIVO")
    importing.add_argument("--partial", action="store_true", help="deja fuera las líneas con errores")
    importing.set_defaults(act=_import_permits)
    add_server_options(importing)
    printing = actions.add_parser("stickers", help="adhesivos con QR de los permisos que rigen, en PDF")
    printing.add_argument("--folio", action="append", default=[], help="solo este; se puede repetir")
    printing.add_argument("--sector", default="", help="solo los de este sector")
    printing.add_argument(
        "--output", type=Path, metavar="ARCHIVO", default=Path("adhesivos-permisos.pdf"), help="el PDF"
    )
    printing.set_defaults(act=_stickers)
    add_server_options(printing)
    evidence = commands.add_parser("evidence", help="fotos y documentos de las fiscalizaciones")
    actions = evidence.add_subparsers(dest="action", required=True, metavar="ACCIÓN")
    verifying = actions.add_parser("verify", help="recalcula la huella de cada archivo y dice qué difiere")
    verifying.set_defaults(act=_verify)
    add_server_options(verifying)


async def _import_permits(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.fieldwork.errors import RegisterError
    from hub.fieldwork.permits import import_permits
    from hub.opening import open_database

    text = arguments.file.read_text("utf-8-sig", "replace")
    async with open_database(settings) as pool:
        try:
            done = await import_permits(
                pool, text, arguments.file.name, datetime.now(UTC), is_partial=arguments.partial
            )
        except RegisterError as error:
            print(error, file=sys.stderr)
            print("no se importó nada; corrija o use --partial para dejar fuera esas líneas", file=sys.stderr)
            return 1
    for problem in done.problems:
        print(f"se deja fuera: {problem}", file=sys.stderr)
    print(f"permisos nuevos: {done.new}, cambiados: {done.changed}, iguales: {done.equal}")
    if done.absent:
        print(f"{done.absent} de importaciones anteriores no vienen en este archivo; quedan como estaban")
    return 1 if done.problems else 0


async def _stickers(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.fieldwork.permit_file import folio_of
    from hub.fieldwork.permits import in_force, sticker
    from hub.opening import open_database
    from hub.papers.stickers import stickers_pdf
    from hub.plan.periods import SANTIAGO

    now = datetime.now(UTC)
    try:
        folios = [folio_of(folio) for folio in arguments.folio]
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    async with open_database(settings) as pool:
        permits = await in_force(pool, now.astimezone(SANTIAGO).date(), folios, arguments.sector)
    missing = sorted(set(folios) - {permit.folio for permit in permits})
    for folio in missing:
        print(f"{folio}: no figura, venció o no rige; queda fuera", file=sys.stderr)
    if not permits:
        print("ningún permiso que rija; revise --folio y --sector, o importe el registro", file=sys.stderr)
        return 1
    made = await stickers_pdf(
        [sticker(permit) for permit in permits],
        kind="Permiso municipal",
        commune=settings.commune,
        prepared_at=now,
    )
    arguments.output.write_bytes(made)
    print(f"{arguments.output}: {len(permits)} adhesivos")
    return 1 if missing else 0


async def _verify(settings: HubSettings, _arguments: argparse.Namespace) -> int:
    from hub.fieldwork import evidence
    from hub.fieldwork.vault import Vault
    from hub.opening import open_database

    words = {
        "changed": "CAMBIÓ: los bytes en disco no dan su huella",
        "missing": "FALTA: el archivo no está en la bóveda",
        "awaited": "por llegar: el teléfono aún no envía el contenido",
    }
    counts: Counter[str] = Counter()
    async with open_database(settings) as pool:
        async for one in evidence.verify(pool, Vault(settings.vault_folder())):
            counts[one.state] += 1
            counts["differs"] += one.file.differs
            if one.state in words:
                print(f"{one.file.name}\t{one.file.file_id}\t{words[one.state]}")
            if one.file.differs:
                print(f"{one.file.name}\t{one.file.file_id}\tllegó con otra huella que al capturarla")
    print(
        f"iguales: {counts['equal']}, cambiados: {counts['changed']}, faltan: {counts['missing']},"
        f" por llegar: {counts['awaited']}, con otra huella que al capturar: {counts['differs']}"
    )
    return 1 if counts["changed"] or counts["missing"] else 0
