"""What a formula may speak of: measures, each with its documented fields. Pure."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Kind(enum.StrEnum):
    """What a field holds, and so how it may be compared."""

    FLAG = "flag"
    WORD = "word"
    DURATION = "duration"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a measure. Durations are in seconds; ``words`` are the only values of a closed list."""

    name: str
    kind: Kind
    doc: str
    unit: str = ""
    words: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """Things that can be counted: one SQL query that gives one row for each thing.

    The query takes ``:since``, ``:until`` (the window), ``:as_of`` (nothing later is known), ``:settings``
    (JSON), and gives ``id`` and the fields.
    """

    name: str
    noun: str
    """Plural, for sentences."""
    doc: str
    unit: str
    source: str
    exclusions: str
    fields: tuple[Field, ...]
    sql: str
    if_none: str = ""
    """Why no row at all means "sin dato" instead of zero; empty where zero is a true count."""
    by_name: Mapping[str, Field] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {one.name: one for one in self.fields})


Vocabulary = Mapping[str, Measure]


def flag(name: str, doc: str) -> Field:
    return Field(name, Kind.FLAG, doc)


def word(name: str, doc: str, *words: str) -> Field:
    return Field(name, Kind.WORD, doc, words=words)


def duration(name: str, doc: str) -> Field:
    return Field(name, Kind.DURATION, doc, unit="s")


def number(name: str, doc: str, unit: str = "") -> Field:
    return Field(name, Kind.NUMBER, doc, unit=unit)
