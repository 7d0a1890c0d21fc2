"""When a recurring operation takes place: RFC 5545 rules, read and told in Spanish. Pure.

A rule is kept without DTSTART and without zone: its times are the commune's wall clock, so that a round at
21:00 stays at 21:00 when the clocks change.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta

from dateutil.rrule import rrule, rrulestr  # type: ignore[import-untyped]

from hub.operations.model import OperationError
from hub.plan.periods import SANTIAGO

DAYS = {
    "MO": "lunes",
    "TU": "martes",
    "WE": "miércoles",
    "TH": "jueves",
    "FR": "viernes",
    "SA": "sábado",
    "SU": "domingo",
}
_ORDINALS = {1: "primer", 2: "segundo", 3: "tercer", 4: "cuarto", -1: "último"}
LONGEST = timedelta(days=4 * 366)
"""A plan's validity: nobody plans beyond it."""
MAX_OCCURRENCES = 1000
_EXAMPLE = "FREQ=WEEKLY;BYDAY=FR,SA;UNTIL=20270315"
_PARTS = {"FREQ", "INTERVAL", "BYDAY", "BYMONTHDAY", "UNTIL", "COUNT"}


def weekly(days: Sequence[str], every: int, last: date) -> str:
    """Each ``every`` weeks on ``days`` (MO … SU) until ``last``, which counts. Raises OperationError."""
    if not days or any(day not in DAYS for day in days):
        raise OperationError("elija al menos un día de la semana")
    if not 1 <= every <= 52:
        raise OperationError("cada cuántas semanas: de 1 a 52")
    chosen = ",".join(day for day in DAYS if day in days)
    return f"FREQ=WEEKLY;INTERVAL={every};BYDAY={chosen};UNTIL={last:%Y%m%d}"


def monthly(starts_at: datetime, last: date) -> str:
    """Each month on the same weekday of the same week as ``starts_at`` (the second Friday) until ``last``."""
    local = starts_at.astimezone(SANTIAGO)
    place = (local.day - 1) // 7 + 1
    day = list(DAYS)[local.weekday()]
    return f"FREQ=MONTHLY;BYDAY={place if place < 5 else -1}{day};UNTIL={last:%Y%m%d}"


def checked(rule: str, starts_at: datetime) -> str:
    """The rule, with its own end, as it is kept. Raises :class:`OperationError` that says what to do."""
    rule = rule.strip().upper().removeprefix("RRULE:")
    parts = dict(part.partition("=")[::2] for part in rule.split(";") if part)
    if unknown := set(parts) - _PARTS:
        raise OperationError(f"la repetición no usa {', '.join(sorted(unknown))}; por ejemplo: {_EXAMPLE}")
    if parts.get("FREQ") not in ("DAILY", "WEEKLY", "MONTHLY"):
        raise OperationError(f"la repetición es diaria, semanal o mensual; por ejemplo: {_EXAMPLE}")
    if ("UNTIL" in parts) == ("COUNT" in parts):
        raise OperationError(f"la repetición necesita un término, UNTIL o COUNT; por ejemplo: {_EXAMPLE}")
    if not parts.get("INTERVAL", "1").isdigit() or int(parts.get("INTERVAL", "1")) < 1:
        raise OperationError("INTERVAL es cada cuántas veces: 1 o más")
    try:
        found = list(_limited(rule, starts_at))
    except (ValueError, TypeError, OverflowError) as error:
        raise OperationError(
            f"no se entiende la repetición «{rule}» ({error}); por ejemplo: {_EXAMPLE}"
        ) from None
    if not found:
        raise OperationError("esa repetición no tiene ningún día; revise los días y el término")
    if len(found) > MAX_OCCURRENCES or found[-1] - starts_at > LONGEST:
        raise OperationError(f"pasa de cuatro años o de {MAX_OCCURRENCES} veces; acerque el término")
    return rule


def _rule(rule: str, starts_at: datetime) -> rrule:
    parts = []
    for part in rule.split(";"):
        name, _, value = part.partition("=")
        if name == "UNTIL":
            part = f"UNTIL={_last_local(value):%Y%m%dT%H%M%S}"
        parts.append(part)
    local = starts_at.astimezone(SANTIAGO).replace(tzinfo=None)
    found = rrulestr(";".join(parts), dtstart=local)
    if not isinstance(found, rrule):  # a set of rules came in on several lines
        raise ValueError("una sola regla")  # noqa: TRY004
    return found


def _last_local(value: str) -> datetime:
    """UNTIL as a wall clock; a day counts to its end. Raises ValueError."""
    if len(value) == 8:
        return datetime.combine(datetime.strptime(value, "%Y%m%d").date(), time(23, 59, 59))  # noqa: DTZ007
    if value.endswith("Z"):
        at = datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return at.astimezone(SANTIAGO).replace(tzinfo=None)
    return datetime.strptime(value, "%Y%m%dT%H%M%S")  # noqa: DTZ007


def _limited(rule: str, starts_at: datetime) -> Iterator[datetime]:
    for number, local in enumerate(_rule(rule, starts_at)):
        if number > MAX_OCCURRENCES:
            return
        # where the clock jumps over that time of day, the round begins after the jump
        yield local.replace(tzinfo=SANTIAGO).astimezone(UTC)


def occurrences(rule: str, starts_at: datetime, after: datetime, until: datetime) -> list[datetime]:
    """The beginnings after ``after`` up to and including ``until``, in order; aware UTC."""
    return [at for at in _limited(rule, starts_at) if after < at <= until]


def words(rule: str) -> str:
    """``los viernes y sábados, cada 2 semanas, hasta el 15-03-2027``."""
    parts = dict(part.partition("=")[::2] for part in rule.split(";"))
    every = int(parts.get("INTERVAL", "1"))
    said = [_when(parts, every)]
    if every > 1:
        unit = {"DAILY": "días", "WEEKLY": "semanas", "MONTHLY": "meses"}[parts["FREQ"]]
        said.append(f"cada {every} {unit}")
    if "UNTIL" in parts:
        said.append(f"hasta el {_last_local(parts['UNTIL']):%d-%m-%Y}")
    elif parts["COUNT"] == "1":
        said.append("una vez")
    else:
        said.append(f"{parts['COUNT']} veces")
    return ", ".join(said)


def _when(parts: dict[str, str], every: int) -> str:
    days = [part for part in parts.get("BYDAY", "").split(",") if part]
    if days:
        named = [_day(one, parts["FREQ"]) for one in days]
        told = " y ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)
        return told if parts["FREQ"] == "MONTHLY" else f"los {told}"
    if "BYMONTHDAY" in parts:
        return f"el día {parts['BYMONTHDAY'].replace(',', ' y ')} de cada mes"
    if parts["FREQ"] == "DAILY":
        return "todos los días" if every == 1 else "por días"
    return "el mismo día de la semana" if parts["FREQ"] == "WEEKLY" else "el mismo día del mes"


def _day(part: str, freq: str) -> str:
    name = DAYS[part[-2:]]
    place = part[:-2]
    if freq != "MONTHLY":
        return name if name.endswith("s") else f"{name}s"
    if not place:
        return f"cada {name}"
    number = int(place)
    return f"el {_ORDINALS.get(number, f'{number}.º')} {name} del mes"
