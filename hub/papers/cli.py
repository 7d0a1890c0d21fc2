"""``almenara-hub papers …``: make documents and write them as PDF, spreadsheet, CSV or JSON."""

import argparse
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hub.papers.words import moment
from hub.settings import HubSettings

if TYPE_CHECKING:
    from hub.database import Pool
    from hub.papers.desk import Desk

AUTHOR = "línea de órdenes"
ENDINGS = (".pdf", ".xlsx", ".csv", ".json")
AddOptions = Callable[[argparse.ArgumentParser], None]


def add_papers(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", add_server_options: AddOptions
) -> None:
    papers = commands.add_parser("papers", help="documentos: hoja semanal, informe mensual, actas")
    actions = papers.add_subparsers(dest="action", required=True, metavar="ACCIÓN")
    make = actions.add_parser("make", help="prepara un documento, lo guarda y lo escribe en archivos")
    make.add_argument("kind", metavar="DOCUMENTO", help="por ejemplo stop o mes; «papers kinds» los nombra")
    make.add_argument(
        "subject", nargs="?", default="", metavar="PERÍODO", help="sin esto, el último terminado; o un folio"
    )
    make.add_argument(
        "--at", type=_instant, metavar="INSTANTE", help="con lo que se sabía entonces (RFC 3339)"
    )
    _add_out(make)
    make.set_defaults(act=_make)
    write = actions.add_parser("write", help="escribe en archivos un documento guardado")
    write.add_argument("paper", type=int, metavar="NÚMERO")
    _add_out(write)
    write.set_defaults(act=_write)
    listed = actions.add_parser("list", help="muestra los documentos guardados")
    listed.set_defaults(act=_list)
    public = actions.add_parser("public", help="hechos por sector y mes para publicar, en GeoJSON")
    public.add_argument("month", nargs="?", default="", metavar="MES", help="sin esto, el último terminado")
    public.add_argument("--out", type=Path, required=True, metavar="ARCHIVO", help="archivo .geojson")
    public.set_defaults(act=_public)
    for action in (make, write, listed, public):
        add_server_options(action)
    actions.add_parser("kinds", help="dice qué documentos hay").set_defaults(act=_kinds)


def _add_out(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--out",
        type=_out,
        action="append",
        default=[],
        metavar="ARCHIVO",
        help=f"archivo que escribir ({', '.join(ENDINGS)}); se puede repetir",
    )


def _out(text: str) -> Path:
    if Path(text).suffix not in ENDINGS:
        raise argparse.ArgumentTypeError(f"el nombre debe terminar en {', '.join(ENDINGS)}")
    return Path(text)


def _instant(text: str) -> datetime:
    try:
        at: datetime | None = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise argparse.ArgumentTypeError("escriba fecha, hora y zona: 2026-11-01T12:00:00-03:00")
    return at.astimezone(UTC)


async def _kinds(_settings: HubSettings, _arguments: argparse.Namespace) -> int:
    from hub.papers.kinds import KINDS

    for kind in KINDS.values():
        print(f"{kind.id:12} {kind.name} (por {kind.of}). {kind.doc}")
    return 0


def _desk(settings: HubSettings, pool: "Pool", as_of: datetime) -> "Desk":
    from hub.alerts.service import CatalogueBook
    from hub.papers.desk import Desk
    from hub.plan.service import TopicsBook

    return Desk(
        pool=pool,
        as_of=as_of,
        commune=settings.commune,
        catalogue=CatalogueBook(settings.data / "catalogue.yaml")(),
        topics=TopicsBook(settings.data / "materias.yaml")(),
        progress=_told,
    )


async def _public(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.papers import open_data
    from hub.papers.desk import PaperError

    async with open_database(settings) as pool:
        desk = _desk(settings, pool, datetime.now(UTC))
        try:
            found = await open_data.features(desk, open_data.month_of(desk, arguments.month))
        except PaperError as error:
            print(f"papers public: {error}", file=sys.stderr)
            return 1
    arguments.out.write_text(json.dumps(found, ensure_ascii=False), "utf-8")
    print(f"{arguments.out}: {len(found['features'])} sectores, {found['mes']}")
    return 0


async def _make(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.papers import service
    from hub.papers.desk import PaperError

    async with open_database(settings) as pool:
        desk = _desk(settings, pool, arguments.at or datetime.now(UTC))
        try:
            kind = service.kind_of(arguments.kind)
            subject = service.subject_of(kind, arguments.subject, desk.as_of)
            number = await service.make(desk, kind, subject, author=AUTHOR)
        except PaperError as error:
            print(f"papers make: {error}", file=sys.stderr)
            return 1
        print(f"documento {number}: {kind.name}, {subject.label}")
        return await _write_files(pool, number, arguments.out)


async def _told(done: int, of: int, what: str) -> None:
    print(f"  {done}/{of} {what} …", file=sys.stderr)


async def _write(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.papers.desk import PaperError

    async with open_database(settings) as pool:
        try:
            return await _write_files(pool, arguments.paper, arguments.out)
        except PaperError as error:
            print(f"papers write: {error}", file=sys.stderr)
            return 1


async def _write_files(pool: "Pool", number: int, files: list[Path]) -> int:
    from hub.papers import service
    from hub.papers.paper import encode
    from hub.papers.pdf import as_pdf
    from hub.papers.sheet import as_csv, as_xlsx, tables

    _, paper = await service.find(pool, number)
    for path in files:
        if path.suffix == ".pdf":
            path.write_bytes(await as_pdf(paper))
        elif path.suffix == ".xlsx":
            path.write_bytes(as_xlsx(paper))
        elif path.suffix == ".json":
            path.write_text(encode(paper), "utf-8")
        else:
            for index, one in enumerate(tables(paper), 1):
                part = path.with_stem(f"{path.stem}-{index}")
                part.write_text(as_csv(one), "utf-8", newline="")
                print(f"  {part}: {one.caption}")
            continue
        print(f"  {path}")
    return 0


async def _list(settings: HubSettings, _arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.papers import service

    async with open_database(settings) as pool:
        for one in await service.kept(pool):
            print(f"{one.paper_id:6} {moment(one.made_at)} {one.title} ({one.sha256[:12]})")
    return 0
