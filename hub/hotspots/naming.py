"""Codes of hot spots: one that lies where a known one lay has its code, whatever the month."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime

import h3

from hub.database import Connection
from hub.hotspots.finding import Peak

PREFIX = "FOC"
NO_SECTOR = "SIN-SECTOR"


def code_of(sector: str, number: int) -> str:
    """``FOC-QUEBRADA-HONDA-03``: letters, digits and hyphens only, whatever the sector is called."""
    plain = unicodedata.normalize("NFKD", sector).encode("ascii", "ignore").decode().upper()
    return f"{PREFIX}-{re.sub(r'[^A-Z0-9]+', '-', plain).strip('-') or NO_SECTOR}-{number:02}"


def match(cells: Sequence[str], known: Iterable[tuple[str, str]], taken: set[str]) -> str | None:
    """The code of a known (code, cell) whose middle is among these cells, or else beside the first."""
    places = {cell: code for code, cell in known if code not in taken}
    around = [*cells, *sorted(h3.grid_ring(cells[0], 1))]
    return next((places[cell] for cell in around if cell in places), None)


async def name_spots(connection: Connection, peaks: Sequence[Peak], now: datetime) -> list[str]:
    """The code of each peak, in their order; new ones are written down. In the caller's transaction."""
    rows = await connection.fetch("select code, sector, number, cell from hot_spots order by code")
    known = [(row["sector"], row["code"], row["cell"]) for row in rows]
    numbers = {(row["sector"], row["number"]) for row in rows}
    codes = {row["code"] for row in rows}
    named: list[str] = []
    for peak in peaks:
        own = [(code, cell) for sector, code, cell in known if sector == peak.sector]
        found = match(peak.cells, own, set(named))
        if found is None:
            number = 1
            while (peak.sector, number) in numbers or code_of(peak.sector, number) in codes:
                number += 1
            found = code_of(peak.sector, number)
            numbers.add((peak.sector, number))
            codes.add(found)
            known.append((peak.sector, found, peak.cells[0]))
            await connection.execute(
                "insert into hot_spots (code, sector, number, cell, first_seen_at, last_seen_at)"
                " values ($1, $2, $3, $4, $5, $5)",
                found,
                peak.sector,
                number,
                peak.cells[0],
                now,
            )
        named.append(found)
    await connection.execute(
        "update hot_spots set last_seen_at = $2 where code = any($1) and last_seen_at < $2", named, now
    )
    return named
