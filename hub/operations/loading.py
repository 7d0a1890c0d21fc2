"""An operation from YAML: every mistake with its line, field and remedy. Pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hub.nodes import Problem, Report, Table, choice, number, parse, plain
from hub.operations import fields
from hub.operations.areas import check_area
from hub.operations.checking import problems
from hub.operations.model import Area, Draft, Institution, OperationError, Point, Task
from hub.plan.periods import local_midnight

EXAMPLE = "operativo-ejemplo.yaml"
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands where the file has no instant, which was reported."""
_STATES = {
    "programado": "planned",
    "confirmado": "confirmed",
    "en_curso": "in_progress",
    "ejecutado": "executed",
    "suspendido": "suspended",
}
_PERMITS = {
    "vigente": "valid",
    "vencido": "expired",
    "no": "none",
    "no_se_sabe": "unknown",
    "no_requiere": "not_needed",
    "otro_lugar": "other_place",
}
_RESULTS = {
    "sin_observacion": "no_remark",
    "advertencia": "warning",
    "infraccion": "infringement",
    "clausura_derivada": "closure_referred",
}
_DESTINATIONS = {"destruccion": "destruction", "beneficencia": "charity", "custodia": "custody"}
_ACTING = {"autonomo": "autonomous", "coadyuvante": "assisting"}
_PHASES = {"antes": "before", "durante": "during", "despues": "after"}
_COUNTED = {"identidad": "identity", "vehiculares": "vehicles", "detenidos": "arrests"}
_PLAIN_COUNTS = {
    "puestos": "stalls",
    "sumarios_sanitarios": "sanitary_files",
    "victimas_derivadas": "victims_referred",
}


class OperationFileError(OperationError):
    """A file that cannot be loaded; holds every mistake found."""

    def __init__(self, found: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, found)))
        self.problems = list(found)


@dataclass(frozen=True, kw_only=True, slots=True)
class FiledInspection:
    """``id`` is the file's own name for it; ``line`` stands in messages."""

    id: str
    point: str
    trade: str
    permit_state: str
    result: str
    infringements: Sequence[Mapping[str, Any]] = ()
    seizures: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Filed:
    """An operation as a file tells it: what was planned and, perhaps, what was done."""

    folio: str
    state: str
    draft: Draft
    started_at: datetime | None = None
    ended_at: datetime | None = None
    suspended_because: str = ""
    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    inspections: Sequence[FiledInspection] = ()
    files: Sequence[tuple[str, str, str]] = ()
    """(name, SHA-256, time-stamp file)."""
    acta_folio: str = ""
    signatures: Sequence[str] = ()


def load_operation(
    text: str, sectors: Collection[str] = (), file: str = "operativo.yaml", *, is_partial: bool = False
) -> tuple[Filed, list[Problem]]:
    """The operation of ``text`` and what was left out; raises :class:`OperationFileError`.

    ``is_partial``: inspections, files and counts with a mistake are left out. What, where, when and who
    must be right in any case.
    """
    report = Report(file)
    root = parse(text, report, "escriba «operativo:»")
    reader = _Reader(report, sectors)
    filed = reader.operation(Table(root, report, "archivo")) if root is not None else None
    if filed is None or reader.is_broken or (report.problems and not is_partial):
        raise OperationFileError(sorted(report.problems, key=lambda problem: problem.line))
    return filed, report.problems


class _Reader:
    def __init__(self, report: Report, sectors: Collection[str]) -> None:
        self._report = report
        self._sectors = sectors
        self.is_broken = False
        """Something is wrong without which there is no operation."""

    def operation(self, top: Table) -> Filed | None:
        table = top.table("operativo")
        if table is None:
            top.problem("falta «operativo:»")
            self.is_broken = True
            return None
        before = len(self._report.problems)
        folio = table.need("folio", fields.folio, "")
        draft, executed = self._draft(table), table.table("ejecutado")
        started_at, ended_at, state = self._executed(executed)
        closing = table.table("cierre")
        acta_folio, signatures, remarks = self._closing(closing, draft.institutions)
        draft = replace(draft, remarks=remarks)
        for text in problems(draft, self._sectors):
            table.problem(text)
        self.is_broken |= len(self._report.problems) > before
        counts = self._counts(table, draft)
        filed = Filed(
            folio=folio,
            state="closed" if acta_folio and state == "executed" else state,
            draft=draft,
            started_at=started_at,
            ended_at=ended_at,
            suspended_because=table.get("motivo_suspension", fields.line, ""),
            counts=counts,
            inspections=self._inspections(table, draft),
            files=self._files(table),
            acta_folio=acta_folio,
            signatures=signatures,
        )
        self._effect(table)
        table.finish()
        top.finish()
        return filed

    # ------------------------------------------------------------------------------------- the plan

    def _draft(self, table: Table) -> Draft:
        plan, origin, planned = (table.table(name) for name in ("plan", "origen", "programado"))
        if planned is None:
            table.problem("falta «programado: {inicio: …, fin: …}»")
        start = planned.need("inicio", fields.instant, _NEVER) if planned else _NEVER
        end = planned.need("fin", fields.instant, _NEVER) if planned else _NEVER
        sector = table.table("sector")
        area = self._area(sector)
        window = origin.words("ventana") if origin and "ventana" in origin else ()
        since, until = self._window(origin, window)
        draft = Draft(
            kind=table.need("tipo", fields.slug, "other"),
            name=table.get("nombre", fields.line, ""),
            sector=sector.get("id", fields.line, "") if sector else "",
            area=area,
            planned_start=start,
            planned_end=end,
            legal_basis=table.words("base_legal"),
            institutions=self._institutions(table),
            points=self._points(sector),
            tasks=self._tasks(table),
            plan_id=plan.get("id", fields.line, "") if plan else "",
            objective=plan.get("objetivo", fields.line, "") if plan else "",
            activity=plan.get("actividad", fields.line, "") if plan else "",
            season=plan.get("temporada", fields.line, None) if plan else None,
            hot_spot=origin.get("foco", fields.line, "") if origin else "",
            origin_since=since,
            origin_until=until,
            is_drill=table.get("simulacro", fields.flag, default=False),
        )
        if origin:
            origin.words("eventos")  # named for people; the hub finds its own by place and time
        for inner in (plan, origin, planned, sector):
            if inner:
                inner.finish()
        return draft

    def _window(self, origin: Table | None, days: Sequence[str]) -> tuple[datetime | None, datetime | None]:
        if not days:
            return None, None
        try:
            first, last = (fields.day(text) for text in days)
        except ValueError:
            assert origin is not None  # noqa: S101  (the days came from it)
            origin.problem("«ventana» son dos fechas AAAA-MM-DD", "ventana")
            return None, None
        return local_midnight(first), local_midnight(last)

    def _institutions(self, table: Table) -> tuple[Institution, ...]:
        found: list[Institution] = []
        if "instituciones" not in table:
            table.problem("no tiene instituciones; agregue «instituciones:» con la que lidera")
        for one in table.tables("instituciones"):
            role = one.need("rol", choice("lidera", "participa"), "participa")
            default = "autonomo" if role == "lidera" else "coadyuvante"
            acting = one.get("actuar", choice(*_ACTING), default)
            found.append(
                Institution(
                    name=one.need("nombre", fields.line, ""),
                    role="leads" if role == "lidera" else "joins",
                    acting=_ACTING[acting],
                    assists=one.get("acompana", fields.line, ""),
                    headcount=one.get("personal", fields.natural, 0),
                )
            )
            one.finish()
        lead = next((one.name for one in found if one.is_lead), "")
        # who only joins accompanies the one that leads, unless the file says otherwise
        return tuple(
            replace(one, assists=lead) if one.acting == "assisting" and not one.assists else one
            for one in found
        )

    def _points(self, sector: Table | None) -> tuple[Point, ...]:
        found = []
        for one in sector.tables("puntos") if sector and "puntos" in sector else ():
            found.append(
                Point(
                    id=one.need("id", fields.line, ""),
                    name=one.get("nombre", fields.line, ""),
                    latitude=one.need("lat", number, 0.0),
                    longitude=one.need("lon", number, 0.0),
                )
            )
            one.finish()
        return tuple(found)

    def _area(self, sector: Table | None) -> Area | None:
        node = sector.take("poligono") if sector else None
        if node is None or sector is None:
            return None
        area = {"type": "Polygon", "coordinates": [plain(node)]}
        try:
            check_area(area)
        except ValueError as error:
            self._report.add(node, f"sector, poligono: {error}")
            return None
        return area

    def _tasks(self, table: Table) -> tuple[Task, ...]:
        found = []
        for one in table.tables("tareas") if "tareas" in table else ():
            found.append(
                Task(
                    phase=_PHASES[one.get("fase", choice(*_PHASES), "durante")],
                    task=one.need("tarea", fields.line, ""),
                    institution=one.get("institucion", fields.line, ""),
                )
            )
            one.finish()
        return tuple(found)

    # ---------------------------------------------------------------------------------- what was done

    def _executed(self, table: Table | None) -> tuple[datetime | None, datetime | None, str]:
        if table is None:
            return None, None, "planned"
        state = _STATES[table.need("estado", choice(*_STATES), "programado")]
        started_at = table.get("inicio", fields.instant_or_none, None)
        ended_at = table.get("fin", fields.instant_or_none, None)
        if state == "executed" and (started_at is None or ended_at is None):
            table.problem("un operativo ejecutado necesita «inicio» y «fin»")
        elif started_at and ended_at and ended_at < started_at:
            table.problem("«fin» va después de «inicio»", "fin")
        table.finish()
        return started_at, ended_at, state

    def _counts(self, table: Table, draft: Draft) -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        lead = next((one.name for one in draft.institutions if one.is_lead), "")
        names = {one.name for one in draft.institutions}
        for key in ("controles", "otros"):
            inner = table.table(key)
            if inner is None:
                continue
            for name, kind in _PLAIN_COUNTS.items():
                if name in inner:
                    found[kind, lead] = inner.get(name, fields.natural, 0)
            for name, kind in _COUNTED.items():
                part = inner.table(name)
                if part is None:
                    continue
                by = part.need("por", fields.line, "")
                if by and by not in names:
                    part.problem(f"«{by}» no está en «instituciones»", "por")
                found[kind, by] = part.need("total", fields.natural, 0)
                part.finish()
            inner.finish()
        return found

    def _inspections(self, table: Table, draft: Draft) -> tuple[FiledInspection, ...]:
        points = {point.id for point in draft.points}
        fines = self._by_inspection(table, "infracciones", self._fine)
        goods = self._by_inspection(table, "decomisos", self._goods)
        found: dict[str, FiledInspection] = {}
        for one in table.tables("fiscalizaciones") if "fiscalizaciones" in table else ():
            before = len(self._report.problems)
            name = one.need("id", fields.line, "")
            point = one.get("punto", fields.line, "")
            if point and point not in points:
                one.problem(f"el punto «{point}» no está en «sector, puntos»", "punto")
            if name in found:
                one.problem(f"«{name}» está dos veces; cámbiele el id", "id")
            inspection = FiledInspection(
                id=name,
                point=point,
                trade=one.get("rubro", fields.line, ""),
                permit_state=_PERMITS[one.need("permiso", choice(*_PERMITS), "no_se_sabe")],
                result=_RESULTS[one.need("resultado", choice(*_RESULTS), "sin_observacion")],
                infringements=fines.pop(name, ()),
                seizures=goods.pop(name, ()),
            )
            one.finish()
            if len(self._report.problems) == before:
                found[name] = inspection
        for key, left in (("infracciones", fines), ("decomisos", goods)):
            for name in left:
                table.problem(f"«{key}» nombra la fiscalización «{name}», que no está", key)
        return tuple(found.values())

    def _by_inspection(
        self, table: Table, key: str, read: Callable[[Table], Mapping[str, Any]]
    ) -> dict[str, list[Mapping[str, Any]]]:
        found: dict[str, list[Mapping[str, Any]]] = {}
        for one in table.tables(key) if key in table else ():
            before = len(self._report.problems)
            name, values = one.need("fiscalizacion", fields.line, ""), read(one)
            one.finish()
            if len(self._report.problems) == before:
                found.setdefault(name, []).append(values)
        return found

    def _fine(self, one: Table) -> Mapping[str, Any]:
        court = one.table("citacion")
        values = {
            "rule": one.need("norma", fields.line, ""),
            "ticket_folio": one.get("parte", fields.line, ""),
            "court": court.get("tribunal", fields.line, "") if court else "",
            "hearing_on": court.get("audiencia", fields.day_or_none, None) if court else None,
        }
        if court:
            court.finish()
        return values

    def _goods(self, one: Table) -> Mapping[str, Any]:
        return {
            "goods": one.need("especie", fields.line, ""),
            "quantity": one.need("cantidad", fields.quantity, Decimal(1)),
            "unit": one.need("unidad", choice("kg", "un", "l"), "un"),
            "destination": _DESTINATIONS[one.need("destino", choice(*_DESTINATIONS), "custodia")],
            "record_folio": one.get("acta", fields.line, ""),
        }

    def _files(self, table: Table) -> tuple[tuple[str, str, str], ...]:
        found = []
        for one in table.tables("evidencias") if "evidencias" in table else ():
            before = len(self._report.problems)
            values = (
                one.need("archivo", fields.line, ""),
                one.need("sha256", fields.sha256, ""),
                one.get("tsa", fields.line, ""),
            )
            one.finish()
            if len(self._report.problems) == before:
                found.append(values)
        return tuple(found)

    def _closing(
        self, table: Table | None, institutions: Sequence[Institution]
    ) -> tuple[str, tuple[str, ...], str]:
        if table is None:
            return "", (), ""
        acta, signatures = table.need("acta", fields.line, ""), table.words("firmas")
        for name in signatures:
            if name not in {one.name for one in institutions}:
                table.problem(f"firma «{name}», que no está en «instituciones»", "firmas")
        remarks = table.get("observaciones", fields.line, "")
        table.finish()
        return acta, signatures, remarks

    def _effect(self, table: Table) -> None:
        """Read and not believed: the hub counts the effect itself, from its own events."""
        inner = table.table("efecto")
        if inner is not None:
            for name in ("radio_m", "dias", "eventos_antes", "eventos_despues", "evaluar_el"):
                inner.take(name)
            inner.finish()
