"""The ``when:`` part of a rule: one form for each operator, read from YAML."""

from collections.abc import Callable

import yaml

from hub.nodes import Table, choice
from hub.rules import words
from hub.rules.model import Limit, Operator
from hub.rules.operators.absence import Absence
from hub.rules.operators.count import MAX_KEPT, Count
from hub.rules.operators.event import Lasting, OnEvent
from hub.rules.operators.geofence import Geofence
from hub.rules.operators.quorum import Quorum
from hub.rules.operators.rate import Rate
from hub.rules.operators.sequence import Link, Sequence
from hub.rules.operators.threshold import Threshold
from hub.rules.zones import Circle, Polygon, Zone

Form = Callable[[Table, float], Operator]


def operator_of(when: Table, watermark_s: float) -> tuple[str, Operator | None]:
    """(name of the form, operator); what is wrong goes to the table's report, which then decides."""
    found = [name for name in FORMS if name in when]
    if len(found) != 1:
        when.problem(f"escriba exactamente una de estas formas: {', '.join(FORMS)}")
        return "", None
    name = found[0]
    operator = FORMS[name](when, watermark_s)
    when.finish()
    return name, operator


# -------------------------------------------------------------------------------------------- events


def _event(when: Table, _watermark_s: float) -> Operator:
    starts = frozenset(when.words("event"))
    ends = frozenset(when.words("until"))
    for_s = when.get("for", words.duration_s, 0.0)
    if bool(for_s) != bool(ends):
        when.problem("«for» y «until» van juntos: cuánto tiempo, y qué evento lo termina")
    if starts & ends:
        when.problem("«until» no puede ser el mismo evento: la regla no avisaría nunca", "until")
    return Lasting(starts, ends, for_s) if for_s else OnEvent(starts)


def _count(when: Table, watermark_s: float) -> Operator:
    inner = when.table("count")
    assert inner is not None  # noqa: S101 - the form was chosen by this key
    events = frozenset(inner.words("event"))
    if not events:
        inner.problem("falta «event»")
    at_least = inner.need("at_least", words.count, 2)
    within_s = inner.need("within", words.duration_s, 60.0)
    distinct = inner.get("of", choice("events", "devices"), "events")
    if not 2 <= at_least <= MAX_KEPT:
        inner.problem(
            f"«at_least» debe estar entre 2 y {MAX_KEPT}; para un solo evento use «event»", "at_least"
        )
    inner.finish()
    return Count(events, at_least, within_s, distinct == "devices", watermark_s)


def _sequence(is_ordered: bool) -> Form:
    def read(when: Table, watermark_s: float) -> Operator:
        links = tuple(_link(part) for part in when.tables("sequence" if is_ordered else "together"))
        if len(links) < 2:
            when.problem("hacen falta al menos dos pasos")
        if not is_ordered and len(set(links)) < len(links):
            when.problem("dos pasos son iguales: uno bastaría para los dos; use «count»")
        within_s = when.need("within", words.duration_s, 60.0)
        return Sequence(links, within_s, is_ordered, watermark_s)

    return read


def _link(part: Table) -> Link:
    if "event" in part:
        link = Link(part.need("event", str, ""), True)
    else:
        name = part.need("reading", str, "")
        is_above, limit = _side(part)
        link = Link(name, False, is_above, limit.value)
        if limit.name:
            part.problem("un paso no admite límites por dispositivo; escriba un número")
    part.finish()
    return link


def _absence(when: Table, _watermark_s: float) -> Operator:
    inner = when.table("silence")
    assert inner is not None  # noqa: S101 - the form was chosen by this key
    events, readings = frozenset(inner.words("event")), frozenset(inner.words("reading"))
    if not events | readings:
        inner.problem("falta «event» o «reading»: de qué se espera noticia")
    for_s = inner.need("for", words.duration_s, 60.0)
    inner.finish()
    return Absence(events, readings, for_s)


# ------------------------------------------------------------------------------------------ readings


def _reading(when: Table, _watermark_s: float) -> Operator:
    quantity = when.need("reading", str, "")
    is_above, limit = _side(when)
    clear = when.get("clear", words.number, limit.value)
    _check_clear(when, is_above, limit.value, clear)
    return Threshold(quantity, is_above, limit, clear, when.get("for", words.duration_s, 0.0))


def _check_clear(table: Table, is_above: bool, raise_at: float, clear: float) -> None:
    if clear > raise_at if is_above else clear < raise_at:
        side = "menor o igual" if is_above else "mayor o igual"
        table.problem(f"«clear» debe ser {side} que el límite: si no, la regla nunca descansa", "clear")


def _side(table: Table) -> tuple[bool, Limit]:
    if ("above" in table) == ("below" in table):
        table.problem("escriba «above» o «below», uno de los dos")
    name = "above" if "above" in table else "below"
    return name == "above", _limit(table, name)


def _limit(table: Table, name: str) -> Limit:
    node = table.node_of(name)
    if name not in table or not isinstance(node, yaml.MappingNode):
        return Limit(table.get(name, words.number, 0.0))
    inner = table.table(name)
    assert inner is not None  # noqa: S101 - it is there
    limit = Limit(inner.need("default", words.number, 0.0), inner.need("device", str, "") or None)
    inner.finish()
    return limit


def _rate(when: Table, _watermark_s: float) -> Operator:
    inner = when.table("rate")
    assert inner is not None  # noqa: S101 - the form was chosen by this key
    quantity = inner.need("reading", str, "")
    if ("rise" in inner) == ("fall" in inner):
        inner.problem("escriba «rise» o «fall», uno de los dos")
    size = inner.get("rise", words.number, 0.0) or inner.get("fall", words.number, 0.0)
    sign = 1.0 if "rise" in inner else -1.0
    inner.take("fall")
    if size <= 0:
        inner.problem("el cambio debe ser mayor que cero; para bajadas use «fall»")
    per_s = inner.get("per", words.duration_s, 3600.0)
    over_s = inner.need("over", words.duration_s, 3600.0)
    inner.finish()
    return Rate(quantity, sign * (size or 1.0), per_s, over_s)


def _quorum(when: Table, _watermark_s: float) -> Operator:
    inner = when.table("quorum")
    assert inner is not None  # noqa: S101 - the form was chosen by this key
    quantity = inner.need("reading", str, "")
    is_above, limit = _side(inner)
    if limit.name:
        inner.problem("un acuerdo de sensores no admite límites por dispositivo; escriba un número")
    clear = inner.get("clear", words.number, limit.value)
    _check_clear(inner, is_above, limit.value, clear)
    at_least = inner.need("at_least", words.count, 2)
    if at_least < 2:
        inner.problem("«at_least» debe ser 2 o más; para un sensor use «reading»", "at_least")
    share = inner.get("share", words.number, 0.0)
    if not 0 <= share <= 1:
        inner.problem("«share» es una parte entre 0 y 1", "share")
    fresh_s = inner.get("within", words.duration_s, 1800.0)
    inner.finish()
    return Quorum(quantity, is_above, limit.value, clear, at_least, share, fresh_s)


# --------------------------------------------------------------------------------------------- zones


def _geofence(when: Table, _watermark_s: float) -> Operator:
    inner = when.table("position")
    assert inner is not None  # noqa: S101 - the form was chosen by this key
    events = frozenset(inner.words("event")) or frozenset({"position.reported"})
    if ("outside" in inner) == ("inside" in inner):
        inner.problem("escriba «outside» o «inside», uno de los dos")
    side = "outside" if "outside" in inner else "inside"
    place = inner.table(side)
    zone = _zone(place) if place is not None else Circle(0.0, 0.0, 1.0)
    margin_m = inner.get("margin_m", words.number, 0.0)
    if margin_m < 0:
        inner.problem("«margin_m» no puede ser negativo", "margin_m")
    for_s = inner.get("for", words.duration_s, 0.0)
    inner.finish()
    return Geofence(events, zone, side == "outside", max(margin_m, 0.001), for_s)


def _zone(table: Table) -> Zone:
    if ("circle" in table) == ("polygon" in table):
        table.problem("escriba «circle: [lat, lon, radio en metros]» o «polygon: [[lat, lon], ...]»")
        return Circle(0.0, 0.0, 1.0)
    zone: Zone | None = None
    if "circle" in table:
        numbers = _numbers(table.take("circle"))
        if len(numbers) == 3 and numbers[2] > 0:
            zone = Circle(*numbers)
    else:
        node = table.take("polygon")
        corners = [_numbers(item) for item in node.value] if isinstance(node, yaml.SequenceNode) else []
        if len(corners) >= 3 and all(len(corner) == 2 for corner in corners):
            zone = Polygon(tuple((corner[0], corner[1]) for corner in corners))
    if zone is None:
        table.problem("la zona debe ser [lat, lon, radio en metros], o tres o más esquinas [lat, lon]")
    table.finish()
    return zone or Circle(0.0, 0.0, 1.0)


def _numbers(node: yaml.Node | None) -> list[float]:
    try:
        return (
            [words.number(item.value) for item in node.value] if isinstance(node, yaml.SequenceNode) else []
        )
    except (ValueError, TypeError):
        return []


FORMS: dict[str, Form] = {
    "event": _event,
    "reading": _reading,
    "count": _count,
    "silence": _absence,
    "rate": _rate,
    "sequence": _sequence(is_ordered=True),
    "together": _sequence(is_ordered=False),
    "quorum": _quorum,
    "position": _geofence,
}
