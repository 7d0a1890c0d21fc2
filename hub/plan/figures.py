"""Figures of indicators over one period, in whole and by sector. Pure over the rows it is given."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hub.plan.checking import in_order
from hub.plan.computing import Datum, Inputs, NoData, Row, Use, compute, select
from hub.plan.formula import Node, aggregates, references
from hub.plan.measures import VOCABULARY
from hub.plan.model import Indicator

SMALL = 5
"""A public figure never rests on fewer cases than this."""
PER_OPERATION = "se calcula por operativo: está en el efecto de cada uno"
COUNT = "n"
"""The unit of a plain count, which is not written."""
_TIME_UNITS_S = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}

Facts = Mapping[Use, Sequence[Row]]


@dataclass(frozen=True, slots=True)
class Figure:
    """``cases``: the smallest count that the figure rests on; None where it counts nothing."""

    datum: Datum
    cases: int | None

    @property
    def is_small(self) -> bool:
        return self.cases is not None and self.cases < SMALL


def compute_all(indicators: Sequence[Indicator], facts: Facts) -> dict[str, Figure]:
    """The figure of each indicator, in the unit that it declares."""
    trees: dict[str, Node] = {one.id: one.checked.node for one in indicators}
    by_id = {one.id: one for one in indicators}
    data: dict[str, Datum] = {}
    found: dict[str, Figure] = {}
    for name in in_order(trees):
        indicator = by_id[name]
        scope = frozenset(indicator.sectors) or None
        found[name] = _figure(indicator, facts, data, scope)
        data[name] = found[name].datum
    return {name: found[name] for name in trees}


def by_sector(indicator: Indicator, facts: Facts) -> dict[str, Figure]:
    """The figure of each sector that its rows name; empty where the formula knows no sectors."""
    parts = aggregates(indicator.checked.node)
    if not parts or references(indicator.checked.node):
        return {}
    if any("sector" not in VOCABULARY[part.measure].by_name for part in parts):
        return {}
    rows = (row for part in parts for row in facts.get(Use.of(part), ()))
    sectors = sorted({str(row["sector"]) for row in rows if row["sector"]})
    if indicator.sectors:
        sectors = [name for name in sectors if name in indicator.sectors]
    return {name: _figure(indicator, facts, {}, frozenset({name})) for name in sectors}


def _figure(
    indicator: Indicator, facts: Facts, figures: Mapping[str, Datum], sectors: frozenset[str] | None
) -> Figure:
    node = indicator.checked.node
    if indicator.period == "operativo":
        return Figure(NoData(PER_OPERATION), None)
    inputs = Inputs(vocabulary=VOCABULARY, facts=facts, figures=figures, sectors=sectors)
    datum = compute(node, inputs)
    if not isinstance(datum, NoData) and indicator.checked.unit == "s":
        datum /= _TIME_UNITS_S.get(indicator.unit, 1.0)
    return Figure(datum, _cases(node, facts, sectors))


def _cases(node: Node, facts: Facts, sectors: frozenset[str] | None) -> int | None:
    """Sums over sectors are of people, not of cases, so they do not count here."""
    parts = [part for part in aggregates(node) if part.measure != "sector" and Use.of(part) in facts]
    counts = [len(select(part, facts[Use.of(part)], sectors)) for part in parts]
    return min(counts, default=None)


def suppressed(figures: Mapping[str, Figure]) -> dict[str, Figure | None]:
    """Figures as the public may see them: small ones are None."""
    hidden = not_for_all({name: figure.cases for name, figure in figures.items()})
    return {name: None if name in hidden else figure for name, figure in figures.items()}


def not_for_all(cases: Mapping[str, int | None]) -> set[str]:
    """The names whose count is too small to be published; None counts nothing.

    Where a single one would be missing, the total would tell it; so the next smallest goes with it.
    """
    counted = {name: n for name, n in cases.items() if n is not None}
    hidden = {name for name, n in counted.items() if n < SMALL}
    if len(hidden) == 1:
        rest = sorted((n, name) for name, n in counted.items() if name not in hidden)
        hidden |= {name for _, name in rest[:1]}
    return hidden


def shown(datum: Datum, unit: str = "") -> str:
    """«12,5 %», «1.234», or «sin dato» with its reason."""
    if isinstance(datum, NoData):
        return f"sin dato: {datum.reason}"
    return f"{decimal(datum)} {'' if unit == COUNT else unit}".strip()


def decimal(value: float) -> str:
    """As it is written in Chile: 1.234,5; at most two decimals."""
    text = f"{value:,.2f}".rstrip("0").rstrip(".")
    text = "0" if text in ("-0", "") else text
    return text.translate(str.maketrans(",.", ".,"))


def named(indicators: Iterable[Indicator]) -> dict[str, Indicator]:
    return {one.id: one for one in indicators}
