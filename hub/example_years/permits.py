"""The fictional register of permits: yearly ones, and those of one summer on the coast. From a seed."""

import random
from datetime import date, timedelta

from hub.example_years.commune import BY_ID, SECTORS, seasons
from hub.example_years.rows import Rows, chance_for
from hub.example_years.span import Span

SOURCE = "permisos-ejemplo.csv"
_YEARLY = {"Alimentos": 46, "Artesanía": 24, "Ropa": 38, "Frutas y verduras": 33, "Kiosco": 21}
"""Permits of a year; they run from January to December."""
_SUMMER = {"Alimentos": 30, "Artesanía": 36, "Bebidas": 18, "Arriendo de quitasoles": 12}
_URBAN = [sector.id for sector in SECTORS if not sector.is_rural]
_COAST = ("COSTA", "LAS DUNAS")


def record(rows: Rows, span: Span, seed: int) -> None:
    chance = chance_for(seed, "permits")
    last = span.end - timedelta(days=1)
    number = 0
    for year in range(span.first.year, last.year + 1):
        # each year a few more
        for trade, count in _YEARLY.items():
            for _ in range(count + 3 * (year - span.first.year)):
                number += 1
                first = date(year, 1, 1) if chance.random() < 0.8 else date(year, chance.randint(2, 9), 1)
                place = chance.choices(_URBAN, (5, 2, 2, 1))[0]
                _add(rows, chance, number, trade, place, first, date(year, 12, 31), span)
    for season in seasons(span.first, last):
        for trade, count in _SUMMER.items():
            for _ in range(count):
                number += 1
                place = chance.choices(_COAST, (4, 1))[0]
                _add(rows, chance, number, trade, place, season.starts_on, season.ends_on, span)


def _add(
    rows: Rows,
    chance: random.Random,
    number: int,
    trade: str,
    sector: str,
    first: date,
    last: date,
    span: Span,
) -> None:
    state = chance.choices(("active", "suspended", "revoked"), (0.95, 0.03, 0.02))[0]
    if first >= span.end:
        return
    rows.add(
        "permits",
        folio=f"PM-{first.year}-{number:04}",
        trade=trade,
        place=f"{BY_ID[sector].name}, puesto {number % 60 + 1}",
        sector=sector,
        valid_from=first,
        valid_until=last,
        state=state,
        source=SOURCE,
        imported_at=span.until,
    )
