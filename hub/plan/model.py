"""A plan as data: problem → objective → component → activity, and the indicators of each objective. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from hub.plan.checking import Checked

DIRECTIONS = ("sube", "baja", "neutra")
INDICATOR_PERIODS = ("dia", "semana", "mes", "trimestre", "anio", "operativo")


@dataclass(frozen=True, slots=True)
class Commune:
    name: str
    cut: str
    """The commune's official code (código único territorial)."""
    population: int


@dataclass(frozen=True, slots=True)
class Approval:
    council_on: date
    decree: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Activity:
    """``budget_clp`` in pesos; ``fund`` is where they come from, perhaps ``ninguno``."""

    id: str
    name: str
    starts_on: date
    ends_on: date
    responsible: str
    co_responsible: tuple[str, ...] = ()
    budget_clp: int = 0
    fund: str = "ninguno"


@dataclass(frozen=True, slots=True)
class Component:
    id: str
    name: str
    activities: tuple[Activity, ...]


@dataclass(frozen=True, slots=True)
class Baseline:
    """``value`` None: it is still to be measured in ``year``."""

    value: float | None
    year: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Indicator:
    """``targets``: year → value. ``sectors`` empty: the whole commune. ``checked`` is the formula's tree."""

    id: str
    name: str
    formula: str
    unit: str
    direction: str
    period: str
    verification: str
    base: str = ""
    baseline: Baseline | None = None
    targets: Mapping[int, float] = field(default_factory=dict)
    source: str = ""
    assumption: str = ""
    sectors: tuple[str, ...] = ()
    note: str = ""
    checked: Checked = field(compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """``topics`` are codes of the catalogue of art. 104 F."""

    id: str
    problem: str
    topics: tuple[str, ...]
    goal: str
    components: tuple[Component, ...] = ()
    indicators: tuple[Indicator, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """One version; ``update`` counts the yearly updates. ``starts_on`` and ``ends_on`` are its days."""

    id: str
    commune: Commune
    starts_on: date
    ends_on: date
    update: int
    frame: tuple[str, ...]
    approval: Approval | None
    published_on: date | None
    objectives: tuple[Objective, ...]

    def indicators(self) -> Iterator[Indicator]:
        for objective in self.objectives:
            yield from objective.indicators

    def activities(self) -> Iterator[Activity]:
        for objective in self.objectives:
            for component in objective.components:
                yield from component.activities


@dataclass(frozen=True, slots=True)
class Topics:
    """What a plan must at least treat: code → name, as the law had it in ``version``."""

    version: str
    names: Mapping[str, str]
