"""What anybody may know: confirmed events by sector and family of a finished month, as GeoJSON (RFC 7946).

Counts below five are not told, and where that would leave one hole in a family the next smallest count goes
too. No sums are told: a sum less its parts is what was hidden. Reserved cases never count.
"""

import json
from datetime import timedelta
from typing import Any

from hub.database.statement import numbered
from hub.papers.desk import Desk, PaperError
from hub.papers.happenings import FAMILY_NAMES, Span
from hub.plan.figures import not_for_all
from hub.plan.measures.real import real
from hub.plan.parameters import as_json
from hub.plan.periods import Period, last_finished, local_midnight, parse_period, period_of

MONTHS_BACK = 24
_FAMILIES = {family: name for family, name in FAMILY_NAMES.items() if family}

_COUNTS = (
    "with "
    + real()
    + """
select s.sector, f.family, count(r.alert_id)::integer as n
from sectors s cross join unnest(:families::text[]) as f (family)
left join real r on r.sector = s.sector and r.family = f.family and r.reason in ('attended', 'referred')
group by s.sector, f.family
"""
)


def month_of(desk: Desk, text: str) -> Period:
    """The month asked for, or the last that is over. Raises :class:`PaperError` for any other."""
    newest = last_finished("mes", desk.as_of)
    if not text:
        return newest
    try:
        month = parse_period(text)
    except ValueError as error:
        raise PaperError(str(error)) from error
    oldest = period_of("mes", newest.first_day - timedelta(days=30 * MONTHS_BACK))
    if month.kind != "mes" or not oldest.first_day <= month.first_day <= newest.first_day:
        raise PaperError(f"se publica por mes, de {oldest.label} a {newest.label}")
    return month


async def features(desk: Desk, month: Period) -> dict[str, Any]:
    """A FeatureCollection with one feature a sector: its outline, and a count or null for each family."""
    span = Span(month.label, month.first_day, month.end_day)
    statement = numbered(_COUNTS)
    values: dict[str, Any] = {
        "since": local_midnight(span.first),
        "until": local_midnight(span.end),
        "as_of": desk.as_of,
        "settings": as_json(desk.parameters),
        "families": list(_FAMILIES),
    }
    rows = await desk.pool.fetch(statement.sql, *statement.arguments(values), timeout=60)
    by_family: dict[str, dict[str, int]] = {family: {} for family in _FAMILIES}
    for row in rows:
        by_family[row["family"]][row["sector"]] = row["n"]
    told: dict[str, dict[str, int | None]] = {}
    for family, counts in by_family.items():
        hidden = not_for_all(counts)
        told[family] = {sector: None if sector in hidden else n for sector, n in counts.items()}
    sectors = await desk.pool.fetch("select sector, name, area from sectors order by sector")
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "id": row["sector"],
                "geometry": json.loads(row["area"]) if row["area"] else None,
                "properties": {
                    "sector": row["sector"],
                    "nombre": row["name"],
                    "mes": month.label,
                    "hechos": {_FAMILIES[family]: told[family][row["sector"]] for family in _FAMILIES},
                },
            }
            for row in sectors
        ],
        "comuna": desk.commune,
        "mes": month.label,
        "preparado": desk.as_of.isoformat(timespec="seconds"),
        "nota": (
            "Hechos confirmados por la central de la comuna; no son casos policiales. null: menos de 5, o"
            " reservado para que no se deduzca."
        ),
    }
