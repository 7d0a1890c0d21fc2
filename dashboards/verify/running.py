"""All queries of all dashboards, one after another, and what became of each."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import asyncpg

from dashboards.verify import postgres
from dashboards.verify.expanding import Range, Value, expand
from dashboards.verify.influx import Influx
from dashboards.verify.postgres import Answer
from dashboards.verify.prometheus import Prometheus
from dashboards.verify.reading import Board, Query, Variable, VerifyError


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. ``problems`` empty: it is as it should be. ``note``: what was not run."""

    dashboard: str
    place: str
    ref: str
    engine: str
    rows: int
    ms: float
    problems: tuple[str, ...]
    note: str = ""

    def line(self) -> str:
        head = f"{self.dashboard} | {self.place} | {self.ref} | {self.rows} filas | {self.ms:.0f} ms"
        told = [f"PROBLEMA: {one}" for one in self.problems] + ([self.note] if self.note else [])
        return " | ".join([head, *(told or ["bien"])])

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class Engines:
    """What queries run on. None: not given, and its queries are named as not run."""

    database: "asyncpg.Connection[asyncpg.Record]"
    units: Mapping[str, Mapping[str, str]]
    influx: Influx | None = None
    prometheus: Prometheus | None = None
    may_be_empty: bool = False

    async def ask(self, query: Query, values: Mapping[str, Value], span: Range) -> tuple[Answer, str]:
        if query.engine is None:
            return Answer(0), "sin consulta propia"
        if not query.text.strip():
            return Answer(0, problems=("la consulta está vacía",)), ""
        try:
            text = expand(query.text, query.engine, values, span)
        except VerifyError as error:
            return Answer(0, problems=(str(error),)), ""
        if query.engine == "postgres":
            return await postgres.ask(self.database, query, text, self.units), ""
        if query.engine == "influx":
            if self.influx is None:
                return Answer(0), "InfluxQL no ejecutado: falta --influx-url"
            return await asyncio.to_thread(self.influx.ask, text), ""
        if self.prometheus is None:
            return Answer(0), "PromQL no ejecutado: faltan --metrics-url y --prometheus"
        return await asyncio.to_thread(self.prometheus.ask, text, span)


async def verify(boards: Sequence[Board], engines: Engines, span: Range) -> list[Finding]:
    """A finding for each query; never raises for what a dashboard holds."""
    findings = []
    for board in boards:
        values: dict[str, Value] = {}
        for variable in board.variables:
            chosen = variable.values
            if variable.query is not None:
                finding, chosen = await _one(variable.query, engines, values, span)
                findings.append(finding)
            values[variable.name] = _choice(variable, chosen)
        for query in board.queries:
            findings.append((await _one(query, engines, values, span))[0])
    return findings


async def _one(
    query: Query, engines: Engines, values: Mapping[str, Value], span: Range
) -> tuple[Finding, tuple[str, ...]]:
    begun = time.perf_counter()
    answer, note = await engines.ask(query, values, span)
    problems = list(answer.problems)
    if not (problems or note or answer.rows or engines.may_be_empty) and query.expects_rows:
        problems.append("0 filas")
    finding = Finding(
        dashboard=query.dashboard,
        place=query.place,
        ref=query.ref,
        engine=query.engine or "",
        rows=answer.rows,
        ms=round((time.perf_counter() - begun) * 1000, 1),
        problems=tuple(problems),
        note=note,
    )
    return finding, answer.first_column


def _choice(variable: Variable, found: Sequence[str]) -> Value:
    """«All» where there is one, else the first value."""
    is_list = variable.is_many or variable.has_all
    if variable.has_all and variable.all_value:
        return Value((), is_list, raw=variable.all_value)
    chosen = tuple(dict.fromkeys(found)) if variable.has_all else tuple(found[:1])
    return Value(chosen or ("",), is_list)
