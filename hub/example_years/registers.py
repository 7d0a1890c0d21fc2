"""What the fictional directorate kept: sessions, agreements, projects, referrals, requests. From a seed."""

import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from hub.example_years.commune import SECTORS
from hub.example_years.rows import Rows, chance_for
from hub.example_years.span import Span, local
from hub.registers.sessions import SEATS

AUTHOR = "ejemplo"
_ABSENT = {"Gendarmería": 0.4, "SENDA": 0.3, "Consejo de la sociedad civil 2": 0.35}
_AGREEMENTS = (
    ("Reforzar rondas en el Barrio Comercial", "DSP"),
    ("Reponer luminarias del borde costero", "Dirección de Obras"),
    ("Informar permisos de comercio vigentes", "Rentas"),
    ("Charla de botones de pánico en juntas de vecinos", "DIDECO"),
    ("Coordinar controles de alcohol de fin de semana", "Carabineros"),
    ("Catastro de sitios eriazos", "Dirección de Obras"),
)
_ASKERS = ("Fiscalía local", "Carabineros", "PDI", "Juzgado de Policía Local")
_TAKERS = ("Centro de la Mujer", "CAVD", "Oficina local de la niñez")


class Folios:
    """Numbers of a prefix and year, in the order in which they are asked for."""

    def __init__(self) -> None:
        self._next: dict[tuple[str, int], int] = {}

    def give(self, prefix: str, year: int) -> str:
        number = self._next[prefix, year] = self._next.get((prefix, year), 0) + 1
        return f"{prefix}-{year}-{number:04}"

    def record(self, rows: Rows) -> None:
        for (prefix, year), number in self._next.items():
            rows.add("folio_counters", prefix=prefix, year=year, next=number + 1)


def record(rows: Rows, span: Span, seed: int) -> None:
    folios = Folios()
    for first in _months(span):
        chance = chance_for(seed, "council", first)
        _session(rows, folios, span, first, chance)
        _outreach(rows, folios, first, chance)
        _referrals(rows, folios, span, first, chance)
        _requests(rows, folios, span, first, chance)
    _projects(rows, folios, span, chance_for(seed, "projects"))
    _partnerships(rows, folios, span)
    folios.record(rows)


def _months(span: Span) -> Sequence[date]:
    return [day for day in span.days() if day.day == 1]


def _known(day: date) -> datetime:
    """Typed on the evening of the day."""
    return local(day, 18 * 3600)


def _late(span: Span, day: date | None, told: date | None = None) -> tuple[date | None, datetime | None]:
    """A late fact and when it was told, if both lie within the history."""
    told = told or day
    if day is None or told is None or told >= span.end:
        return None, None
    return day, _known(told)


def _session(rows: Rows, folios: Folios, span: Span, first: date, chance: random.Random) -> None:
    day = first + timedelta(days=(2 - first.weekday()) % 7 + 7)
    folio, is_held = folios.give("CON", day.year), chance.random() < 0.92
    rows.add(
        "council_sessions",
        folio=folio,
        body="council",
        kind="ordinary",
        starts_at=local(day, 10 * 3600),
        place="Salón municipal",
        summoned_on=day - timedelta(days=7),
        summons_proof=f"oficio {chance.randrange(100, 999)}",
        state="held" if is_held else "cancelled",
        cancelled_because="" if is_held else "sin quórum citado",
        agenda="Cifras del mes\nOperativos\nAcuerdos pendientes",
        minutes="La dirección expone las cifras del mes; las policías, sus controles." if is_held else "",
        author=AUTHOR,
        recorded_at=_known(day - timedelta(days=7)),
    )
    if not is_held:
        return
    for seat in SEATS["council"]:
        is_present = chance.random() > _ABSENT.get(seat, 0.12)
        rows.add(
            "council_attendance",
            folio=folio,
            seat=seat,
            is_present=is_present,
            is_substitute=is_present and chance.random() < 0.15,
            recorded_at=_known(day),
        )
    for text, owner in chance.sample(_AGREEMENTS, chance.choice((1, 2, 3))):
        due_on = day + timedelta(days=chance.choice((30, 45, 60, 90)))
        done = due_on + timedelta(days=chance.randrange(-25, 20)) if chance.random() < 0.78 else None
        fulfilled_on, told_at = _late(span, done)
        rows.add(
            "council_agreements",
            folio=folios.give("ACU", day.year),
            session=folio,
            agreement=text,
            owner=owner,
            due_on=due_on,
            fulfilled_on=fulfilled_on,
            fulfilled_on_told_at=told_at,
            evidence=f"oficio {chance.randrange(100, 999)}" if fulfilled_on else "",
            author=AUTHOR,
            recorded_at=_known(day),
        )


def _outreach(rows: Rows, folios: Folios, first: date, chance: random.Random) -> None:
    for _ in range(chance.randrange(1, 4)):
        day = first + timedelta(days=chance.randrange(0, 27))
        kind = chance.choice(("talk", "fair", "training", "media"))
        rows.add(
            "outreach",
            folio=folios.give("DIF", day.year),
            day=day,
            sector=chance.choice(SECTORS).id,
            kind=kind,
            topic=chance.choice(("Botones de pánico", "Robo de bombas", "Convivencia", "Verano seguro")),
            attendees=0 if kind == "media" else chance.randrange(8, 90),
            author=AUTHOR,
            recorded_at=_known(day),
        )


def _referrals(rows: Rows, folios: Folios, span: Span, first: date, chance: random.Random) -> None:
    for _ in range(chance.randrange(3, 10)):
        day = first + timedelta(days=chance.randrange(0, 27))
        consents = chance.random() < 0.8
        referred = day + timedelta(days=chance.randrange(0, 3)) if consents else None
        accepted = (
            referred + timedelta(days=chance.randrange(1, 13))
            if referred and chance.random() < 0.85
            else None
        )
        accepted_on, told_at = _late(span, accepted)
        rows.add(
            "referrals",
            folio=folios.give("DER", day.year),
            opened_on=day,
            sector=chance.choice(SECTORS).id,
            matter=chance.choice(("vif", "vif", "robbery", "injury", "other")),
            has_consent=consents,
            consent_how="paper" if consents else "",
            consent_proof=f"hoja {chance.randrange(1, 999)}" if consents else "",
            institution=chance.choice(_TAKERS) if consents else "",
            referred_on=referred,
            accepted_on=accepted_on,
            accepted_on_told_at=told_at,
            author=AUTHOR,
            recorded_at=_known(day),
        )


def _requests(rows: Rows, folios: Folios, span: Span, first: date, chance: random.Random) -> None:
    for _ in range(chance.randrange(4, 12)):
        day = first + timedelta(days=chance.randrange(0, 27))
        due_on = day + timedelta(days=chance.choice((5, 7, 10)))
        answered = due_on + timedelta(days=chance.randrange(-5, 4)) if chance.random() < 0.93 else None
        answered_on, told_at = _late(span, answered and max(answered, day))
        outcome = chance.choices(("delivered", "lost", "none"), (0.85, 0.05, 0.1))[0] if answered_on else ""
        rows.add(
            "image_requests",
            folio=folios.give("REQ", day.year),
            institution=chance.choice(_ASKERS),
            document=f"oficio {chance.randrange(1000, 9999)}",
            received_on=day,
            due_on=due_on,
            cameras=f"Cámara {chance.choice(SECTORS).name} 1",
            span="21:00 a 23:00",
            answered_on=answered_on,
            answered_on_told_at=told_at,
            outcome=outcome,
            sha256=f"{chance.getrandbits(256):064x}" if outcome == "delivered" else "",
            author=AUTHOR,
            recorded_at=_known(day),
        )


def _projects(rows: Rows, folios: Folios, span: Span, chance: random.Random) -> None:
    plans: Sequence[tuple[str, str, int, int]] = (
        ("Red de sensores rurales", "FNDR", 18_000_000, 60),
        ("Cámaras del borde costero", "FNSP", 42_000_000, 200),
        ("Patrullas de verano", "municipal", 9_600_000, 45),
        ("Iluminación del Barrio Comercial", "SNSM", 25_000_000, 400),
    )
    for name, fund, amount, after in plans:
        starts_on = span.first + timedelta(days=after)
        if starts_on >= span.end:
            continue
        folio = folios.give("PRY", starts_on.year)
        rows.add(
            "projects",
            folio=folio,
            name=name,
            fund=fund,
            activity="O2C1A1" if fund == "FNDR" else "",
            amount_clp=amount,
            starts_on=starts_on,
            ends_on=starts_on + timedelta(days=364),
            state="running",
            author=AUTHOR,
            recorded_at=_known(starts_on),
        )
        for number in range(4):
            day = starts_on + timedelta(days=90 * number + 10)
            _payment(rows, folios, span, folio, "instalment", day, amount // 4)
            if chance.random() < 0.85:
                spent = round(amount // 4 * chance.uniform(0.7, 1.0))
                _payment(rows, folios, span, folio, "account", day + timedelta(days=75), spent)


def _payment(rows: Rows, folios: Folios, span: Span, project: str, sort: str, day: date, amount: int) -> None:
    if day < span.end:
        values: dict[str, Any] = {"project": project, "sort": sort, "day": day, "amount_clp": amount}
        rows.add(
            "project_payments",
            folio=folios.give("CUO", day.year),
            **values,
            document="comprobante",
            author=AUTHOR,
            recorded_at=_known(day),
        )


def _partnerships(rows: Rows, folios: Folios, span: Span) -> None:
    for name, parties, years in (
        ("Fiscalización conjunta de alcoholes", "Municipalidad, SENDA", 2),
        ("Rondas rurales con juntas de vigilancia", "Municipalidad, JVR, SAG", 3),
    ):
        rows.add(
            "partnerships",
            folio=folios.give("CNV", span.first.year),
            name=name,
            parties=parties,
            signed_on=span.first,
            starts_on=span.first,
            ends_on=span.first + timedelta(days=365 * years + 40),
            commitments="Reuniones mensuales y datos de controles",
            author=AUTHOR,
            recorded_at=_known(span.first),
        )
