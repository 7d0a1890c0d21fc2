"""A document as PDF: A4, tagged (PDF/UA-1), fit to be kept (PDF/A-2a), with its fonts inside."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import typst

from hub.papers.paper import Paper, Table, shown
from hub.papers.words import footer_of

_TEMPLATE = Path(__file__).with_name("paper.typ")


class PdfError(Exception):
    """The engine refused the document; the message is for the log."""


async def as_pdf(paper: Paper) -> bytes:
    """The same document gives the same bytes. Raises :class:`PdfError`.

    Done in a thread: the engine lets the loop, which carries alarms, run meanwhile.
    """
    return await asyncio.to_thread(_compile, paper)


def _compile(paper: Paper) -> bytes:
    content = msgspec.json.encode(as_shown(paper)).decode()
    return compiled(_TEMPLATE, {"paper": content}, paper.prepared_at)


def compiled(template: Path, inputs: Mapping[str, str], prepared_at: datetime) -> bytes:
    """What the template makes of its inputs. Raises :class:`PdfError`."""
    try:
        made = typst.compile(
            _source(template),
            sys_inputs=dict(inputs),
            pdf_standards=["a-2a", "ua-1"],
            ignore_system_fonts=True,
            timestamp=prepared_at.replace(microsecond=0),
        )
    except typst.TypstError as error:
        raise PdfError(f"{template.name}: {error}; {error.trace or error.hints}") from error
    assert isinstance(made, bytes)  # noqa: S101  (several only where images of pages are asked for)
    return made


@cache
def _source(template: Path) -> bytes:
    return template.read_bytes()


def as_shown(paper: Paper) -> dict[str, Any]:
    """The document with every cell as the text that is printed."""
    found: dict[str, Any] = msgspec.to_builtins(paper)
    for block, built in zip(paper.blocks, found["blocks"], strict=True):
        if isinstance(block, Table):
            built["rows"] = [
                [shown(cell, column) for cell, column in zip(row, block.columns, strict=True)]
                for row in block.rows
            ]
    found["footer"] = footer_of(paper)
    return found
