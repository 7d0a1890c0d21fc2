"""A document as a spreadsheet (XLSX, one sheet a table) or as CSV. Numbers stay numbers."""

import csv
import io
import re
from collections.abc import Sequence

import xlsxwriter

from hub.papers.paper import Cell, Column, KeyFigures, Paper, Table
from hub.papers.words import footer_of

_FORBIDDEN = re.compile(r"[\[\]:*?/\\]")
_NAME_LENGTH = 31
"""Of a sheet's name, by the format."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_xlsx(paper: Paper) -> bytes:
    """A cover sheet with what the document is, then its tables in order."""
    target = io.BytesIO()
    # texts are texts: what somebody typed is never run as a formula nor followed as a link
    options = {
        "in_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "default_date_format": "dd-mm-yyyy",
    }
    with xlsxwriter.Workbook(target, options) as book:
        properties = {"title": paper.title, "subject": paper.subtitle, "company": paper.commune}
        book.set_properties({**properties, "created": paper.prepared_at.replace(tzinfo=None)})
        _cover(book, paper)
        names: set[str] = {"portada"}
        for block in paper.blocks:
            if isinstance(block, Table):
                _sheet(book, block, _name(block.caption, names))
    return target.getvalue()


def _cover(book: xlsxwriter.Workbook, paper: Paper) -> None:
    sheet = book.add_worksheet("Portada")
    strong = book.add_format({"bold": True, "font_size": 14})
    sheet.set_column(0, 0, 44)
    sheet.set_column(1, 2, 24)
    lines = (paper.title, paper.subtitle, paper.commune, footer_of(paper))
    for row, line in enumerate(lines):
        sheet.write_string(row, 0, line, strong if row == 0 else None)
    row = len(lines) + 1
    for block in paper.blocks:
        if isinstance(block, KeyFigures):
            for one in block.figures:
                for column, text in enumerate((one.label, one.value, one.note)):
                    sheet.write_string(row, column, text)
                row += 1


def _sheet(book: xlsxwriter.Workbook, table: Table, name: str) -> None:
    sheet = book.add_worksheet(name)
    head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
    formats = [book.add_format({"num_format": _number_format(column)}) for column in table.columns]
    for index, column in enumerate(table.columns):
        sheet.write_string(0, index, column.title, head)
        sheet.set_column(index, index, max(12, 16 * column.width))
    for row, cells in enumerate(table.rows, 1):
        for index, cell in enumerate(cells):
            if cell is None:
                sheet.write_string(row, index, "sin dato")
            elif isinstance(cell, str):
                sheet.write_string(row, index, cell)
            else:
                sheet.write_number(row, index, cell, formats[index])
    sheet.freeze_panes(1, 1)
    if table.note:
        sheet.write_string(len(table.rows) + 2, 0, table.note)


def _number_format(column: Column) -> str:
    plain = "#,##0" + ("." + "0" * column.decimals if column.decimals else "")
    return f"+{plain};-{plain};0" if column.is_signed else plain


def _name(caption: str, taken: set[str]) -> str:
    base = _FORBIDDEN.sub(" ", caption).strip()[:_NAME_LENGTH].strip("' ") or "Tabla"
    name, count = base, 1
    while name.lower() in taken:
        count += 1
        name = f"{base[: _NAME_LENGTH - 4]} ({count})"
    taken.add(name.lower())
    return name


def as_csv(table: Table) -> str:
    """RFC 4180 with a byte order mark, which spreadsheets need to read Spanish."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([column.title for column in table.columns])
    writer.writerows([[_plain(cell) for cell in row] for row in table.rows])
    return "\ufeff" + out.getvalue()


def _plain(cell: Cell) -> str | float | int:
    if cell is None:
        return "sin dato"
    # a spreadsheet runs a cell that begins like a formula
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def tables(paper: Paper) -> Sequence[Table]:
    return [block for block in paper.blocks if isinstance(block, Table)]
