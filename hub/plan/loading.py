"""A plan from YAML text: every mistake with its line, field and remedy. Pure: the caller reads the files."""

import importlib.resources
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TypeVar

import yaml

from hub.nodes import Problem, Report, Table, choice, parse
from hub.plan import fields
from hub.plan.checking import Checked, check, nearest, reference_problems
from hub.plan.errors import FormulaError, PlanFileError
from hub.plan.formula import aggregates
from hub.plan.measures import VOCABULARY
from hub.plan.model import (
    DIRECTIONS,
    INDICATOR_PERIODS,
    Activity,
    Approval,
    Baseline,
    Commune,
    Component,
    Indicator,
    Objective,
    Plan,
    Topics,
)
from hub.plan.periods import years_before

VALID_YEARS = 4
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A plan, and what was left out of it (only where the caller asked for a part)."""

    plan: Plan
    left_out: Sequence[Problem] = ()
    notes: Sequence[Problem] = ()
    """Nothing wrong, but worth a look before somebody relies on it."""


def load_plan(text: str, topics: Topics, file: str = "plan.yaml", *, is_partial: bool = False) -> Loaded:
    """The plan of ``text``; raises :class:`PlanFileError` with every mistake.

    ``is_partial``: indicators, activities and objectives with a mistake are left out, the rest is loaded.
    What the whole plan hangs on (id, days, commune) must be right in any case.
    """
    reader = _Reader(Report(file), topics)
    plan = reader.plan(text)
    problems = reader.report.problems
    if plan is None or (problems and not is_partial):
        raise PlanFileError(sorted(problems, key=lambda problem: problem.line))
    return Loaded(plan, problems, reader.notes)


def load_topics(text: str | None = None, file: str = "materias.yaml") -> Topics:
    """A catalogue of topics, without text the one that comes with the hub; raises :class:`PlanFileError`."""
    if text is None:
        text = (importlib.resources.files("hub.plan") / "topics.yaml").read_text("utf-8")
    report = Report(file)
    root = parse(text, report, "escriba «version:» y «materias:»")
    names: dict[str, str] = {}
    version = ""
    if root is not None:
        top = Table(root, report, "materias")
        version = top.need("version", fields.line, "")
        inner = top.table("materias")
        if inner is None:
            top.problem("falta «materias:» con código y nombre de cada una")
        for name in _keys(inner):
            if inner is not None:
                names[name] = inner.get(name, fields.line, "")
        top.finish()
    if report.problems:
        raise PlanFileError(report.problems)
    return Topics(version, names)


def load_library() -> tuple[Indicator, ...]:
    """The indicators that come with the hub, I01 to I26."""
    text = (importlib.resources.files("hub.plan") / "library.yaml").read_text("utf-8")
    reader = _Reader(Report("library.yaml"), load_topics())
    root = parse(text, reader.report, "escriba «indicadores:»")
    found = [] if root is None else list(reader.indicators(Table(root, reader.report, "biblioteca"), None))
    if reader.report.problems:
        raise PlanFileError(reader.report.problems)
    return tuple(found)


def overlap_problem(plan: Plan, plan_id: str, starts_on: date, ends_on: date) -> str:
    """Why ``plan`` cannot stand beside another plan of these days; empty where it can."""
    if plan.id == plan_id or plan.starts_on > ends_on or plan.ends_on < starts_on:
        return ""
    return (
        f"la vigencia {plan.starts_on} a {plan.ends_on} de {plan.id} se cruza con la de {plan_id}"
        f" ({starts_on} a {ends_on}); corrija «vigencia» o actualice ese plan con su mismo id"
    )


def _keys(table: Table | None) -> list[str]:
    node = table.node if table is not None else None
    return [str(key.value) for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []


@dataclass
class _Reader:
    report: Report
    topics: Topics
    notes: list[Problem] = field(default_factory=list)
    _ids: dict[str, int] = field(default_factory=dict)

    def _clean(self, read: Callable[[], _T]) -> _T | None:
        """What ``read`` gives, or None where it reported a mistake."""
        before = len(self.report.problems)
        found = read()
        return found if len(self.report.problems) == before else None

    def _note(self, table: Table, text: str) -> None:
        line = table.node.start_mark.line + 1
        self.notes.append(Problem(self.report.file, line, f"{table.what}: {text}"))

    def _new_id(self, table: Table, kind: str) -> str:
        found = table.need("id", fields.identifier, "")
        table.what = f"{kind} {found}" if found else kind
        line = table.node.start_mark.line + 1
        if found and self._ids.setdefault(found, line) != line:
            table.problem(
                f"el código ya está en la línea {self._ids[found]}; cada código se usa una vez", "id"
            )
        return found

    # ------------------------------------------------------------------------------------- plan

    def plan(self, text: str) -> Plan | None:
        root = parse(text, self.report, "escriba «plan:» y «objetivos:»")
        if root is None:
            return None
        top = Table(root, self.report, "archivo")
        head = top.table("plan")
        if head is None:
            top.problem("falta «plan:» con id, comuna y vigencia")
            return None
        plan = self._clean(lambda: self._head(head))
        span = (plan.starts_on, plan.ends_on) if plan is not None else None
        if "objetivos" not in top:
            top.problem("falta «objetivos:» con la lista de objetivos")
        objectives = [self._objective(table, span) for table in top.tables("objetivos")]
        top.finish()
        if plan is None:
            return None
        kept = self._without_bad_references(tuple(one for one in objectives if one is not None))
        return replace(plan, objectives=kept)

    def _head(self, table: Table) -> Plan:
        commune = self._commune(table)
        starts_on, ends_on = self._span(table)
        found = Plan(
            id=table.need("id", fields.identifier, "?"),
            commune=commune,
            starts_on=starts_on,
            ends_on=ends_on,
            update=table.get("actualizacion", fields.natural, 0),
            frame=table.words("marco"),
            approval=self._approval(table),
            published_on=table.get("publicado_web", fields.day, None),
            objectives=(),
        )
        table.finish()
        return found

    def _commune(self, table: Table) -> Commune:
        inner = table.table("comuna")
        if inner is None:
            table.problem("falta «comuna: {nombre, cut, poblacion}»")
            return Commune("", "", 0)
        found = Commune(
            inner.need("nombre", fields.line, ""),
            inner.need("cut", fields.identifier, ""),
            inner.get("poblacion", fields.natural, 0),
        )
        inner.finish()
        return found

    def _span(self, table: Table) -> tuple[date, date]:
        """Four years at most; a shorter plan is noted."""
        empty = (date(2000, 1, 1), date(2200, 1, 1))
        words = table.words("vigencia")
        if len(words) != 2:
            table.problem("«vigencia» lleva dos fechas: vigencia: [2025-01-01, 2028-12-31]", "vigencia")
            return empty
        try:
            starts_on, ends_on = fields.day(words[0]), fields.day(words[1])
        except ValueError as error:
            table.problem(f"«vigencia»: {error}", "vigencia")
            return empty
        limit = years_before(starts_on, -VALID_YEARS) - timedelta(days=1)
        if ends_on < starts_on:
            table.problem("la vigencia termina antes de empezar; invierta las fechas", "vigencia")
        elif ends_on > limit:
            table.problem(f"un plan vale {VALID_YEARS} años: a lo más hasta {limit}", "vigencia")
        elif ends_on < limit:
            self._note(table, f"vale menos de {VALID_YEARS} años (hasta {limit} se podría)")
        return starts_on, ends_on

    def _approval(self, table: Table) -> Approval | None:
        inner = table.table("aprobado")
        if inner is None:
            self._note(table, "no dice cuándo lo aprobó el Concejo («aprobado: {concejo, decreto}»)")
            return None
        found = Approval(
            inner.need("concejo", fields.day, date(2000, 1, 1)), inner.get("decreto", fields.line, "")
        )
        inner.finish()
        return found

    # -------------------------------------------------------------------------------- objectives

    def _objective(self, table: Table, span: tuple[date, date] | None) -> Objective | None:
        before = len(self.report.problems)
        draft = Objective(
            id=self._new_id(table, "objetivo"),
            problem=table.need("problema", fields.line, ""),
            topics=self._topics(table),
            goal=table.need("objetivo", fields.line, ""),
        )
        is_good = len(self.report.problems) == before
        components = [self._component(inner, span) for inner in table.tables("componentes")]
        indicators = tuple(self.indicators(table, span))
        before = len(self.report.problems)
        table.finish()
        if not is_good or len(self.report.problems) > before:
            return None
        kept = tuple(one for one in components if one is not None)
        return replace(draft, components=kept, indicators=indicators)

    def _topics(self, table: Table) -> tuple[str, ...]:
        found = table.words("materia_104F")
        if not found:
            table.problem("falta «materia_104F» con una o más materias, por ejemplo [d, g]")
        for code in found:
            if code not in self.topics.names:
                text = f"no existe la materia «{code}» en «{self.topics.version}»"
                table.problem(f"{text}; {nearest(code, self.topics.names)}", "materia_104F")
        return found

    def _component(self, table: Table, span: tuple[date, date] | None) -> Component | None:
        before = len(self.report.problems)
        component_id = self._new_id(table, "componente")
        name = table.need("nombre", fields.line, "")
        is_good = len(self.report.problems) == before
        activities = [
            self._clean(lambda inner=inner: self._activity(inner, span))  # type: ignore[misc]
            for inner in table.tables("actividades")
        ]
        before = len(self.report.problems)
        table.finish()
        if not is_good or len(self.report.problems) > before:
            return None
        return Component(component_id, name, tuple(one for one in activities if one is not None))

    def _activity(self, table: Table, span: tuple[date, date] | None) -> Activity:
        first_day, last_day = span or (date(2000, 1, 1), date(2200, 1, 1))
        found = Activity(
            id=self._new_id(table, "actividad"),
            name=table.need("nombre", fields.line, ""),
            starts_on=table.need("inicio", fields.day, first_day),
            ends_on=table.need("fin", fields.day, last_day),
            responsible=table.need("responsable", fields.line, ""),
            co_responsible=table.words("corresponsables"),
            budget_clp=table.get("presupuesto_clp", fields.natural, 0),
            fund=table.get("fuente", fields.line, "ninguno"),
        )
        table.finish()
        if found.ends_on < found.starts_on:
            table.problem(f"termina ({found.ends_on}) antes de empezar ({found.starts_on})", "fin")
        elif span is not None and (found.starts_on < span[0] or found.ends_on > span[1]):
            text = f"va de {found.starts_on} a {found.ends_on}, fuera de la vigencia {span[0]} a {span[1]}"
            table.problem(f"{text}; ajuste las fechas", "inicio")
        return found

    # -------------------------------------------------------------------------------- indicators

    def indicators(self, table: Table, span: tuple[date, date] | None) -> Iterator[Indicator]:
        for inner in table.tables("indicadores"):
            checked = self._clean(lambda inner=inner: self._indicator(inner, span))  # type: ignore[misc]
            if checked is not None:
                yield checked

    def _indicator(self, table: Table, span: tuple[date, date] | None) -> Indicator | None:
        indicator_id = self._new_id(table, "indicador")
        formula = table.need("formula", fields.line, "0")
        sectors = table.words("sectores")
        checked = self._checked(table, formula, sectors)
        values = {
            "base": table.get("base", fields.identifier, ""),
            "name": table.need("nombre", fields.line, ""),
            "unit": table.need("unidad", fields.line, ""),
            "direction": table.need("sentido", choice(*DIRECTIONS), "neutra"),
            "period": table.need("periodo", choice(*INDICATOR_PERIODS), "mes"),
            "verification": table.need("verificacion", fields.line, ""),
            "source": table.get("fuente", fields.line, ""),
            "assumption": table.get("supuesto", fields.line, ""),
            "note": table.get("nota", fields.line, ""),
        }
        baseline, targets = self._baseline(table), self._targets(table, span)
        table.finish()
        if checked is None:
            return None
        if span is not None and not sectors and "pob(sector" in formula.replace(" ", ""):
            self._note(table, "sin «sectores: [..]» se calcula para toda la comuna")
        return Indicator(
            id=indicator_id,
            formula=formula,
            sectors=sectors,
            baseline=baseline,
            targets=targets,
            checked=checked,
            **values,
        )

    def _checked(self, table: Table, formula: str, sectors: Sequence[str]) -> Checked | None:
        try:
            checked = check(formula, VOCABULARY)
        except FormulaError as error:
            for problem in error.problems:
                table.report.add(table.node_of("formula"), f"{table.what}: «formula», {problem}")
            return None
        if sectors and (without := _without_sector(checked)):
            table.problem(f"«{without}» no se puede separar por sector; quite «sectores»", "sectores")
        return checked

    def _baseline(self, table: Table) -> Baseline | None:
        inner = table.table("linea_base")
        if inner is None:
            return None
        found = Baseline(
            inner.need("valor", fields.optional_figure, None), inner.need("anio", fields.year, 2000)
        )
        inner.finish()
        return found

    def _targets(self, table: Table, span: tuple[date, date] | None) -> dict[int, float]:
        inner = table.table("meta")
        found: dict[int, float] = {}
        for key in _keys(inner):
            assert inner is not None  # noqa: S101 - it has keys
            value = inner.get(key, fields.optional_figure, None)
            try:
                year = fields.year(key)
            except ValueError as error:
                inner.problem(str(error), key)
                continue
            if span is not None and not span[0].year <= year <= span[1].year:
                inner.problem(f"el año {year} está fuera de la vigencia {span[0]} a {span[1]}", key)
            elif value is None:
                inner.problem(f"la meta de {year} debe ser un número", key)
            else:
                found[year] = value
        return found

    def _without_bad_references(self, objectives: tuple[Objective, ...]) -> tuple[Objective, ...]:
        """Takes out the indicators whose ``ind(…)`` leads nowhere, until none is left."""
        while True:
            named = {one.id: one.checked.node for o in objectives for one in o.indicators}
            bad = reference_problems(named)
            if not bad:
                return objectives
            for name, problem in bad.items():
                text = f"indicador {name}: «formula», {problem}"
                self.report.problems.append(Problem(self.report.file, self._ids[name], text))
            objectives = tuple(_without(one, bad.keys()) for one in objectives)


def _without(objective: Objective, names: Collection[str]) -> Objective:
    return replace(objective, indicators=tuple(one for one in objective.indicators if one.id not in names))


def _without_sector(checked: Checked) -> str:
    measures = (VOCABULARY[part.measure] for part in aggregates(checked.node))
    return next((one.name for one in measures if "sector" not in one.by_name), "")
