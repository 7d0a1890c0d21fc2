"""Words that documents share. Pure."""

from datetime import date, datetime

from hub.papers.paper import Paper
from hub.plan.periods import SANTIAGO, Period

MONTHS = "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre".split()


def moment(at: datetime) -> str:
    """«26-11-2026, 14:32», in Chile."""
    return f"{at.astimezone(SANTIAGO):%d-%m-%Y, %H:%M}"


def day(on: date) -> str:
    return f"{on:%d-%m-%Y}"


def period_name(period: Period) -> str:
    """«octubre de 2026», «semana 43 de 2026», «tercer trimestre de 2026»."""
    year = period.year
    if period.kind == "mes":
        return f"{MONTHS[period.first_day.month - 1]} de {year}"
    if period.kind == "semana":
        iso_year, week, _ = period.first_day.isocalendar()
        return f"semana {week} de {iso_year}"
    if period.kind == "trimestre":
        ordinal = ("primer", "segundo", "tercer", "cuarto")[period.first_day.month // 3]
        return f"{ordinal} trimestre de {year}"
    return str(year) if period.kind == "anio" else day(period.first_day)


def footer_of(paper: Paper) -> str:
    public = " Cifras menores de 5 reservadas." if paper.is_public else ""
    return f"Preparado el {moment(paper.prepared_at)}.{public}"
