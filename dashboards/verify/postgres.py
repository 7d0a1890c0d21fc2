"""SQL on a real PostgreSQL, as the role that Grafana has."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from dashboards.verify.reading import NEEDS_UNIT, Query

_NUMBERS = frozenset({"int2", "int4", "int8", "float4", "float8", "numeric"})
_TIMES = ("time", "time_sec", "timeend")
_WORD = re.compile(r"[a-z_][a-z_0-9]*", re.IGNORECASE)
# A unit that was computed into another one cannot be followed.
_COMPUTED = re.compile(r"[*/]|\bcount\s*\(|\bcase\b", re.IGNORECASE)
UNITS: Mapping[str, frozenset[str]] = {
    "s": frozenset({"s", "dtdurations", "clocks", "dthms"}),
    "min": frozenset({"m", "min", "dtdurationm"}),
    "/": frozenset({"percentunit"}),
    "dBm": frozenset({"dBm"}),
    "CLP": frozenset({"currencyCLP"}),
}
"""The unit of a view's column, as its comment begins, and what Grafana calls it."""


@dataclass(frozen=True, slots=True)
class Answer:
    rows: int
    first_column: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


async def column_units(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[str, dict[str, str]]:
    """view → column → unit, from the comments of ``panels``."""
    rows = await connection.fetch(
        "select c.relname, a.attname, col_description(c.oid, a.attnum) as comment from pg_class c"
        " join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid"
        " where n.nspname = 'panels' and a.attnum > 0 and col_description(c.oid, a.attnum) is not null"
    )
    units: dict[str, dict[str, str]] = {}
    for view, column, comment in rows:
        units.setdefault(view, {})[column] = comment.partition(":")[0]
    return units


async def ask(
    connection: "asyncpg.Connection[asyncpg.Record]",
    query: Query,
    sql: str,
    units: Mapping[str, Mapping[str, str]],
) -> Answer:
    """Run it; what the server refuses is a problem of the query, not of the run."""
    try:
        prepared = await connection.prepare(sql)
        rows = await prepared.fetch()
    except asyncpg.PostgresError as error:
        return Answer(0, problems=(f"PostgreSQL: {error}",))
    columns = [(one.name, one.type.name) for one in prepared.get_attributes()]
    problems = [*shape_problems(query, columns), *unit_problems(query, sql, units)]
    first = tuple(str(row[_value_column(row)]) for row in rows[:1000])
    return Answer(len(rows), first, tuple(problems))


def _value_column(row: "asyncpg.Record") -> str | int:
    return "__value" if "__value" in row else 0


def shape_problems(query: Query, columns: Sequence[tuple[str, str]]) -> list[str]:
    """A time that is none, a series without a number. Pure."""
    problems = []
    is_epoch = re.search(r"\$__(timeGroup|unixEpochGroup|timeEpoch)", query.text) is not None
    times = [(name, kind) for name, kind in columns if name.lower() in _TIMES]
    for name, kind in times:
        if kind != "timestamptz" and not (is_epoch and kind in _NUMBERS):
            problems.append(f"la columna de tiempo «{name}» es {kind}; debe ser timestamptz")
    if query.format == "time_series":
        if not times:
            problems.append("serie de tiempo sin columna «time»")
        if not any(kind in _NUMBERS for name, kind in columns if name.lower() not in _TIMES):
            given = ", ".join(f"{name} {kind}" for name, kind in columns)
            problems.append(f"serie de tiempo sin columna numérica: {given}")
    return problems


def unit_problems(query: Query, sql: str, units: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The panel's unit against that of the views' columns that it shows. Pure.

    Followed through one function (``avg(ack_s) as media``), not through arithmetic.
    """
    known = {
        column: unit
        for view in re.findall(r"\bpanels\.(\w+)", sql)
        for column, unit in units.get(view, {}).items()
    }
    problems = []
    for expression, name in _selected(sql):
        named = [known[word] for word in _WORD.findall(expression) if word in known]
        if len(named) != 1 or _COMPUTED.search(expression):
            continue
        shown = query.units.get(name) or query.units.get("", "")
        fitting = UNITS.get(named[0], frozenset({named[0]}))
        if shown in fitting or (not shown and query.kind not in NEEDS_UNIT):
            continue
        problems.append(
            f"la columna «{name}» está en {named[0]} y el panel dice «{shown or 'sin unidad'}»;"
            f" use {' o '.join(sorted(fitting))}"
        )
    return problems


def _selected(sql: str) -> list[tuple[str, str]]:
    """(expression, name) of the outermost select list of a plain query."""
    found = re.match(r"\s*select\s+", sql, re.IGNORECASE)
    if not found:
        return []
    parts, depth, start = [], 0, found.end()
    for token in re.finditer(r"'[^']*'|\"[^\"]*\"|[(),]|\bfrom\b", sql, re.IGNORECASE):
        if token.start() < start:
            continue
        if token[0] in "()":
            depth += 1 if token[0] == "(" else -1
        elif depth == 0 and (token[0] == "," or token[0].lower() == "from"):
            parts.append(sql[start : token.start()].strip())
            start = token.end()
            if token[0] != ",":
                break
    return [_named(part) for part in parts]


def _named(part: str) -> tuple[str, str]:
    found = re.match(r"(.*?)\s+as\s+\"?([^\"]+?)\"?\Z", part, re.IGNORECASE | re.DOTALL)
    return (found[1], found[2]) if found else (part, part.rpartition(".")[2])
