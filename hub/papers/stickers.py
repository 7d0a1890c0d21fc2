"""Stickers with a code, in writing and as QR: ten on a sheet of A4, to print and cut out.

What the QR holds is the code itself (ISO/IEC 18004, level M): it is read without a network, and tells a
stranger nothing that the writing beside it does not.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
import segno

from hub.papers.pdf import compiled

_TEMPLATE = Path(__file__).with_name("stickers.typ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sticker:
    code: str
    name: str
    place: str = ""


async def stickers_pdf(
    stickers: Sequence[Sticker], *, kind: str, commune: str, prepared_at: datetime
) -> bytes:
    """One PDF, in the order given. ``kind`` stands on each. Raises :class:`hub.papers.pdf.PdfError`."""
    return await asyncio.to_thread(_made, stickers, kind, commune, prepared_at)


def _made(stickers: Sequence[Sticker], kind: str, commune: str, prepared_at: datetime) -> bytes:
    sheet = {
        "title": f"{kind}: adhesivos",
        "kind": kind,
        "commune": commune,
        "stickers": [
            {"code": one.code, "name": one.name, "place": one.place, "qr": qr(one.code)} for one in stickers
        ],
    }
    return compiled(_TEMPLATE, {"sheet": msgspec.json.encode(sheet).decode()}, prepared_at)


def qr(text: str) -> str:
    """The QR of a text as SVG, with the quiet zone that readers need."""
    return segno.make_qr(text, error="m", encoding="utf-8").svg_inline(border=4)
