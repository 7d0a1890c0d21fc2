"""``almenara-hub plan …``: load, show, compare and export plans; compute, freeze and verify figures."""

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub.plan import fields
from hub.plan.periods import parse_period
from hub.settings import HubSettings

if TYPE_CHECKING:
    from hub.database import Pool
    from hub.nodes import Problem
    from hub.plan.facts import Asking
    from hub.plan.figures import Figure
    from hub.plan.model import Plan, Topics

AUTHOR = "línea de órdenes"
AddOptions = Callable[[argparse.ArgumentParser], None]


def add_plan(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", add_server_options: AddOptions
) -> None:
    plan = commands.add_parser("plan", help="Plan Comunal: versiones, indicadores y cifras congeladas")
    actions = plan.add_subparsers(dest="action", required=True, metavar="ACCIÓN")
    added = {}
    for name, act, text in (
        ("check", _check, "revisa un plan en YAML sin cargarlo"),
        ("load", _load, "carga una versión del plan"),
        ("show", _show, "muestra el plan vigente y las versiones guardadas"),
        ("diff", _diff, "dice qué cambia entre el plan vigente y un archivo"),
        ("export", _export, "escribe el plan vigente como YAML"),
        ("measures", _measures, "explica las medidas que una fórmula puede usar"),
        ("indicators", _indicators, "calcula los indicadores de un período"),
        ("freeze", _freeze, "congela las cifras de un período terminado"),
        ("snapshots", _snapshots, "muestra las cifras congeladas de un período"),
        ("verify", _verify, "recalcula una cifra congelada y dice si es igual o qué difiere"),
        ("evidence", _evidence, "registra la evidencia de una actividad"),
        ("population", _population, "importa población por sector y temporada desde CSV"),
        ("series", _series, "importa una serie oficial (CEAD u otra) desde CSV"),
    ):
        action = actions.add_parser(name, help=text)
        action.set_defaults(act=act)
        if name not in ("check", "measures"):
            add_server_options(action)
        added[name] = action
    _add_arguments(added)


def _add_arguments(actions: dict[str, argparse.ArgumentParser]) -> None:
    for name in ("check", "load", "diff", "population", "series"):
        actions[name].add_argument("file", type=Path, metavar="ARCHIVO")
    for name in ("check", "load"):
        actions[name].add_argument("--partial", action="store_true", help="deja fuera lo que tiene errores")
    actions["export"].add_argument("file", type=Path, nargs="?", metavar="ARCHIVO")
    for name in ("indicators", "freeze", "snapshots"):
        text = "2026-10, 2026-W43, 2026-T3, 2026 o 2026-10-05; sin esto, el último terminado"
        actions[name].add_argument("--period", type=_spanish(parse_period), metavar="PERÍODO", help=text)
    actions["indicators"].add_argument("--json", action="store_true", help="escribe el resultado como JSON")
    actions["indicators"].add_argument("--by-sector", action="store_true", help="también por sector")
    text = "para publicar: oculta lo que se apoya en menos de 5 casos"
    actions["indicators"].add_argument("--public", action="store_true", help=text)
    actions["freeze"].add_argument("--rectify", metavar="MOTIVO", default="", help="congela otra revisión")
    actions["verify"].add_argument("snapshot", type=int, metavar="NÚMERO")
    evidence = actions["evidence"]
    evidence.add_argument("activity", metavar="ACTIVIDAD")
    evidence.add_argument(
        "--date", required=True, type=_spanish(fields.day), metavar="AAAA-MM-DD", help="día en que se hizo"
    )
    text = "qué prueba; sin nombres ni RUT"
    evidence.add_argument("--note", required=True, type=_spanish(fields.line), metavar="TEXTO", help=text)
    evidence.add_argument("--file", type=Path, metavar="ARCHIVO", help="guarda su nombre y huella SHA-256")
    actions["series"].add_argument("--source", required=True, metavar="FUENTE", help="por ejemplo CEAD")


def _spanish(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """For argparse, which shows a ValueError's text only where it is of its own sort."""

    def of(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return of


# --------------------------------------------------------------------------------------------- plans


def _topics(settings: HubSettings) -> "Topics":
    from hub.plan.service import TopicsBook

    return TopicsBook(settings.data / "materias.yaml")()


def _read_plan(settings: HubSettings, path: Path, *, is_partial: bool) -> "Plan | None":
    """The file's plan; prints every mistake and note. None where it cannot be loaded."""
    from hub.plan.errors import PlanFileError
    from hub.plan.loading import load_plan

    try:
        text = path.read_text("utf-8-sig", "replace")
        loaded = load_plan(text, _topics(settings), path.name, is_partial=is_partial)
    except PlanFileError as error:
        _print_problems(error.problems)
        print(f"{len(error.problems)} errores: este plan no se carga", file=sys.stderr)
        return None
    _print_problems(loaded.left_out, "se deja fuera: ")
    _print_problems(loaded.notes, "atención: ")
    return loaded.plan


def _print_problems(problems: "Sequence[Problem]", before: str = "") -> None:
    for problem in problems:
        print(f"{before}{problem}", file=sys.stderr)


async def _check(settings: HubSettings, arguments: argparse.Namespace) -> int:
    plan = _read_plan(settings, arguments.file, is_partial=arguments.partial)
    if plan is None:
        return 1
    print(_summary(plan))
    return 0


async def _load(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.plan import versions

    plan = _read_plan(settings, arguments.file, is_partial=arguments.partial)
    if plan is None:
        return 1
    async with open_database(settings) as pool:
        now = datetime.now(UTC)
        is_new = await versions.store(pool, plan, _topics(settings), author=AUTHOR, now=now)
    print(_summary(plan) if is_new else f"{plan.id}: esta versión ya estaba cargada")
    return 0


def _summary(plan: "Plan") -> str:
    return (
        f"{plan.id}, actualización {plan.update}: {len(plan.objectives)} objetivos,"
        f" {len(list(plan.activities()))} actividades, {len(list(plan.indicators()))} indicadores;"
        f" rige de {plan.starts_on} a {plan.ends_on}"
    )


async def _current(pool: "Pool", settings: HubSettings) -> "Plan":
    from hub.plan import versions
    from hub.plan.errors import PlanError

    version = await versions.current(pool, _topics(settings), datetime.now(UTC))
    if version is None:
        raise PlanError("no hay un plan vigente; cárguelo con «plan load ARCHIVO»")
    return version.plan


async def _show(settings: HubSettings, _arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.plan import versions

    async with open_database(settings) as pool:
        plan = await _current(pool, settings)
        stored = await versions.versions(pool, _topics(settings))
    print(_summary(plan))
    for objective in plan.objectives:
        print(f"{objective.id} {objective.goal} [{', '.join(objective.topics)}]")
        for component in objective.components:
            for one in component.activities:
                print(f"  {one.id} {one.name}: {one.starts_on} a {one.ends_on}, {one.responsible}")
        for indicator in objective.indicators:
            print(f"  {indicator.id} {indicator.name} ({indicator.unit}, {indicator.period})")
    print("Versiones guardadas:")
    for version in stored:
        print(f"  {version.plan.id} {version.plan.update} {version.loaded_at:%Y-%m-%d} {version.sha256[:12]}")
    return 0


async def _diff(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.plan.difference import differences

    plan = _read_plan(settings, arguments.file, is_partial=False)
    if plan is None:
        return 1
    async with open_database(settings) as pool:
        lines = differences(await _current(pool, settings), plan)
    print("\n".join(lines) or "no cambia nada")
    return 0


async def _export(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.plan.writing import to_yaml

    async with open_database(settings) as pool:
        text = to_yaml(await _current(pool, settings))
    if arguments.file is None:
        print(text, end="")
    else:
        arguments.file.write_text(text, "utf-8")
    return 0


async def _measures(_settings: HubSettings, _arguments: argparse.Namespace) -> int:
    from hub.plan.measures import VOCABULARY

    for measure in VOCABULARY.values():
        print(f"{measure.name}: {measure.doc}")
        print(f"  fuente: {measure.source}\n  no cuenta: {measure.exclusions}")
        for field in measure.fields:
            values = f" ({', '.join(field.words)})" if field.words else ""
            print(f"  .{field.name}: {field.doc}{values}")
    return 0


# ------------------------------------------------------------------------------------------- figures


def _asking(settings: HubSettings) -> "Asking":
    from hub.alerts.service import CatalogueBook
    from hub.plan.facts import Asking
    from hub.plan.parameters import parameters_of

    known = CatalogueBook(settings.data / "catalogue.yaml")()
    return Asking(as_of=datetime.now(UTC), parameters=parameters_of(known))


async def _indicators(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.plan import service
    from hub.plan.periods import last_finished

    asking = _asking(settings)
    period = arguments.period or last_finished("mes", asking.as_of)
    async with open_database(settings) as pool:
        sets = await service.sets(pool, _topics(settings), asking.as_of)
        lines = [line for one in sets for line in await _lines(pool, one, period, asking, arguments)]
    if arguments.json:
        print(json.dumps({"period": period.label, "indicators": lines}, ensure_ascii=False))
        return 0
    print(f"Período {period.label}; indicadores con este período")
    for line in lines:
        print(f"{line['indicator']}\t{line['name']}\t{line['shown']}")
        for sector, shown in line.get("by_sector", {}).items():
            print(f"\t  {sector}\t{shown['shown']}")
    return 0


async def _lines(
    pool: "Pool", of: Any, period: Any, asking: "Asking", arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    from hub.plan import figures, freezing

    indicators = of.of_kind(period.kind)
    found, facts = await freezing.compute_period(pool, indicators, period, asking)
    lines = []
    for one in indicators:
        line = {"plan": of.plan_id, "indicator": one.id, "name": one.name}
        hidden = arguments.public and found[one.id].is_small
        line |= _told(None if hidden else found[one.id], one.unit)
        if arguments.by_sector:
            cells = figures.by_sector(one, facts)
            shown = figures.suppressed(cells) if arguments.public else dict(cells)
            line["by_sector"] = {name: _told(cell, one.unit) for name, cell in shown.items()}
        lines.append(line)
    return lines


def _told(figure: "Figure | None", unit: str) -> dict[str, Any]:
    from hub.plan.computing import NoData
    from hub.plan.figures import shown

    if figure is None:
        return {"value": None, "shown": "menos de 5 casos: no se publica", "suppressed": True}
    value = None if isinstance(figure.datum, NoData) else figure.datum
    return {"value": value, "unit": unit, "shown": shown(figure.datum, unit)}


async def _freeze(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.plan import service
    from hub.plan.figures import shown

    async with open_database(settings) as pool:
        frozen = await service.freeze(
            pool,
            _topics(settings),
            arguments.period,
            _asking(settings),
            author=AUTHOR,
            reason=arguments.rectify,
        )
    for one in frozen.new:
        print(
            f"{one.snapshot_id}\t{one.plan_id}\t{one.indicator}\t{one.period}\t{shown(one.datum)}\t{one.sha256}"
        )
    for text in frozen.already:
        print(f"ya estaba congelado: {text}; para corregir use --rectify MOTIVO")
    return 0


async def _snapshots(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.plan.figures import shown
    from hub.plan.freezing import Snapshot
    from hub.plan.periods import last_finished

    now = datetime.now(UTC)
    period = arguments.period or last_finished("mes", now)
    async with open_database(settings) as pool:
        rows = await pool.fetch(
            "select * from plan_snapshots where period = $1 order by plan_id, indicator, revision",
            period.label,
        )
    for one in map(Snapshot.from_row, rows):
        print(
            f"{one.snapshot_id}\t{one.plan_id}\t{one.indicator}\t{one.revision}\t{shown(one.datum)}\t{one.sha256}"
        )
    return 0


async def _verify(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.plan import service
    from hub.plan.figures import shown

    async with open_database(settings) as pool:
        found = await service.verify(pool, _topics(settings), arguments.snapshot)
    one = found.snapshot
    print(f"{one.plan_id} {one.indicator} {one.period}, revisión {one.revision}: {shown(one.datum)}")
    for note in found.notes:
        print(f"atención: {note}")
    if found.is_equal:
        print(f"igual: recalculada desde los datos da lo mismo; SHA-256 {one.sha256}")
        return 0
    for difference in found.differences:
        print(f"difiere: {difference}")
    return 1


# ------------------------------------------------------------------------------------------- imports


async def _evidence(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.plan import versions

    data = arguments.file.read_bytes() if arguments.file else b""
    evidence = versions.Evidence(
        activity=arguments.activity,
        done_on=arguments.date,
        note=arguments.note,
        file_name=arguments.file.name if arguments.file else "",
        sha256=hashlib.sha256(data).hexdigest() if arguments.file else "",
        author=AUTHOR,
    )
    async with open_database(settings) as pool:
        plan = await _current(pool, settings)
        await versions.add_evidence(pool, plan, evidence, datetime.now(UTC))
    print(f"{evidence.activity}: evidencia del {evidence.done_on} registrada {evidence.sha256}".strip())
    return 0


async def _population(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.plan.csv_files import read_population
    from hub.plan.importing import store_population

    rows, problems = read_population(arguments.file.read_text("utf-8-sig", "replace"), arguments.file.name)
    async with open_database(settings) as pool:
        sectors = await store_population(pool, rows)
    _print_problems(problems)
    print(f"{len(rows)} líneas de {sectors} sectores guardadas; {len(problems)} con errores")
    return 1 if problems else 0


async def _series(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.plan.csv_files import read_series
    from hub.plan.importing import store_series

    rows, problems = read_series(arguments.file.read_text("utf-8-sig", "replace"), arguments.file.name)
    async with open_database(settings) as pool:
        await store_series(pool, arguments.source, rows, datetime.now(UTC))
    _print_problems(problems)
    print(f"{arguments.source}: {len(rows)} valores guardados aparte; {len(problems)} líneas con errores")
    return 1 if problems else 0
