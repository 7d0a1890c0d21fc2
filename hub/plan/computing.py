"""A figure from rows: conditions, counts, percentiles, arithmetic. Pure, and the same for ever.

A figure is a number or :class:`NoData`: a denominator of zero, nothing to take a percentile of, a measure
that nobody records yet. "Sin dato" is never zero.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from hub.plan.formula import Aggregate, Call, Duration, Node, Number, Reference, Test, render
from hub.plan.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class NoData:
    """There is no figure; ``reason`` is Spanish: why, and where it can be mended, how."""

    reason: str


Datum: TypeAlias = float | NoData
Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, order=True, slots=True)
class Use:
    """Rows that a formula needs: of which measure, over which window (see :class:`Aggregate`)."""

    measure: str
    days: int | None = None
    years_back: int = 0

    @classmethod
    def of(cls, node: Aggregate) -> "Use":
        return cls(node.measure, node.days, node.years_back)


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """What a formula is computed from. ``sectors`` None: the whole commune."""

    vocabulary: Vocabulary
    facts: Mapping[Use, Sequence[Row]]
    figures: Mapping[str, Datum]
    """Other indicators of the plan, for ``ind(…)``."""
    sectors: frozenset[str] | None = None


def compute(node: Node, inputs: Inputs) -> Datum:
    """The figure of a checked formula."""
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Reference):
        return inputs.figures.get(node.indicator, NoData(f"falta el indicador {node.indicator}"))
    if isinstance(node, Aggregate):
        return _aggregate(node, inputs)
    if isinstance(node, Call):
        return _call(node, inputs)
    return _binary(node.op, node.right, compute(node.left, inputs), compute(node.right, inputs))


def _binary(op: str, right_node: Node, left: Datum, right: Datum) -> Datum:
    if isinstance(left, NoData):
        return left
    if isinstance(right, NoData):
        return right
    if op == "/":
        if right == 0:
            return NoData(f"el denominador es 0: {render(right_node)}")
        return left / right
    return {"+": left + right, "-": left - right, "*": left * right}[op]


def _call(node: Call, inputs: Inputs) -> Datum:
    figures = [compute(part, inputs) for part in node.arguments]
    first, second = figures[0], figures[1]
    top = _binary("-", node.arguments[1], first, second) if node.name == "change" else first
    share = _binary("/", node.arguments[1], top, second)
    per = figures[2] if node.name == "rate" else 100.0
    return _binary("*", node.arguments[-1], share, per)


def _aggregate(node: Aggregate, inputs: Inputs) -> Datum:
    measure = inputs.vocabulary[node.measure]
    rows = inputs.facts[Use.of(node)]
    if not rows and measure.if_none:
        return NoData(measure.if_none)
    chosen = select(node, rows, inputs.sectors)
    if node.function == "n":
        return float(len(chosen))
    values = [float(row[node.field]) for row in chosen if row[node.field] is not None]
    return (
        _STATISTICS[node.function](values)
        if values or node.function == "sum"
        else NoData(f"no hay ningún caso para {render(node)}")
    )


def select(node: Aggregate, rows: Iterable[Row], sectors: frozenset[str] | None = None) -> list[Row]:
    """The rows that the aggregate counts."""
    predicates = [_any(group) for group in node.where]
    return [
        row
        for row in rows
        if (sectors is None or row.get("sector") in sectors) and all(holds(row) for holds in predicates)
    ]


def _any(group: Sequence[Test]) -> Callable[[Row], bool]:
    tests = [_predicate(test) for test in group]
    return tests[0] if len(tests) == 1 else lambda row: any(holds(row) for holds in tests)


def _predicate(test: Test) -> Callable[[Row], bool]:
    """An unknown value (None) meets no condition, also not ``!=``."""
    name, values = test.field, [_plain(value) for value in test.values]
    if test.op == "is":
        return lambda row: row[name] is True
    if test.op == "in":
        return lambda row: row[name] in values
    compare, wanted = _COMPARE[test.op], values[0]
    return lambda row: row[name] is not None and compare(row[name], wanted)


def _plain(value: str | float | Duration) -> Any:
    if isinstance(value, Duration):
        return value.seconds
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    "<=": lambda a, b: bool(a <= b),
    ">=": lambda a, b: bool(a >= b),
    "<": lambda a, b: bool(a < b),
    ">": lambda a, b: bool(a > b),
}


def percentile(values: Sequence[float], share: float) -> float:
    """Between the two nearest values, as PostgreSQL's ``percentile_cont``; ``share`` 0..1, not empty."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


_STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "sum": lambda values: float(sum(values)),
    "mean": lambda values: sum(values) / len(values),
    "p50": lambda values: percentile(values, 0.5),
    "p90": lambda values: percentile(values, 0.9),
}
