"""What a document says, whatever it is shown as. Pure.

A document is a list of blocks. Numbers stay numbers until they are shown, so that the spreadsheet can add
them; None is «sin dato», never zero.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

Cell = str | float | int | None


class Heading(msgspec.Struct, frozen=True, tag="heading"):
    """``level`` 1 is a chapter, 2 a section of it."""

    text: str
    level: int = 1


class Paragraph(msgspec.Struct, frozen=True, tag="paragraph"):
    """``is_note``: small print, such as where a figure comes from."""

    text: str
    is_note: bool = False


class KeyFigure(msgspec.Struct, frozen=True):
    """``light`` is one of good, fair, bad, plain."""

    label: str
    value: str
    note: str = ""
    light: str = "plain"


class KeyFigures(msgspec.Struct, frozen=True, tag="key_figures"):
    figures: tuple[KeyFigure, ...]


class Column(msgspec.Struct, frozen=True):
    """``is_number``: set right; ``decimals`` of its numbers; ``width`` is a share of the line."""

    title: str
    is_number: bool = False
    decimals: int = 0
    width: float = 1.0
    is_signed: bool = False
    """A change: a plus sign is written."""


class Table(msgspec.Struct, frozen=True, tag="table"):
    """``strong`` are the indices of rows that are totals; ``lights`` colour a row's first cell."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    strong: tuple[int, ...] = ()
    lights: tuple[str, ...] = ()
    note: str = ""


class Chart(msgspec.Struct, frozen=True, tag="chart"):
    """``svg`` is a whole drawing; ``alt`` says in words what it shows."""

    caption: str
    alt: str
    svg: str


class Signatures(msgspec.Struct, frozen=True, tag="signatures"):
    """One line for each; an institution or an office, never a person."""

    lines: tuple[str, ...]


class NewPage(msgspec.Struct, frozen=True, tag="new_page"):
    pass


Block = Heading | Paragraph | KeyFigures | Table | Chart | Signatures | NewPage


class Paper(msgspec.Struct, frozen=True, kw_only=True):
    """``prepared_at`` UTC: nothing later is known to it. ``folio`` is set where it has a number."""

    kind: str
    title: str
    subtitle: str
    commune: str
    prepared_at: datetime
    blocks: tuple[Block, ...]
    folio: str = ""
    is_draft: bool = False
    is_public: bool = False
    """For publication: small cells are suppressed in it."""


def table(
    caption: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], **options: object
) -> Table:
    """A table from any sequences. Raises ValueError for a row that does not fit its columns."""
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"{caption}: a row has {len(row)} cells for {len(columns)} columns")
    values = {"caption": caption, "columns": tuple(columns), "rows": tuple(map(tuple, rows)), **options}
    return msgspec.convert(values, Table)


def number(value: float, decimals: int = 0, *, is_signed: bool = False) -> str:
    """As it is written in Chile: 1.234,5, with a true minus sign."""
    text = f"{value:{'+' if is_signed and value else ''},.{decimals}f}"
    return text.translate(str.maketrans(",.-", ".,−"))


def shown(cell: Cell, column: Column) -> str:
    if cell is None:
        return "sin dato"
    if isinstance(cell, str):
        return cell
    return number(cell, column.decimals, is_signed=column.is_signed)


def encode(paper: Paper) -> str:
    """Canonical JSON: the same content gives the same text, and so the same hash."""
    return msgspec.json.encode(paper, order="sorted").decode()


def decode(text: str) -> Paper:
    return msgspec.json.decode(text, type=Paper)
