"""Rule files of a municipality that writes many: how many a hub holds must not tell on its speed.

Of each ten rules one is about the load's own events (of other places, but for the very first), five are about
its quantities (beyond what it says) and four about what nobody says. A smaller set is the beginning of a
larger one, so that both come to the same for each message.
"""

import re
from pathlib import Path

QUANTITIES = (
    "temperature", "humidity", "pressure", "battery", "rssi", "wind", "rain", "light", "soil", "noise",
)  # fmt: skip
KEPT = "panic_pressed"
"""The ready rule that stays: the bench presses buttons."""
_READY_NAME = re.compile(r"^  - name: (\w+)", re.MULTILINE)


def rule_files(count: int, tree: Path) -> dict[str, str]:
    """File name → text: with them a hub of ``tree`` has ``count`` rules, that of panic buttons included."""
    library = (file.read_text("utf-8") for file in sorted((tree / "hub/rules/library").glob("*.yaml")))
    ready = [name for text in library for name in _READY_NAME.findall(text) if name != KEPT]
    files = {"off.yaml": f"off: [{', '.join(ready)}]\n"}
    return files | {f"rule_{n}.yaml": _rule(n) for n in range(count - 1)}


def _quantity(number: int) -> str:
    return QUANTITIES[(number + number // 10) % len(QUANTITIES)]


def _rule(number: int) -> str:
    when, more = _FORMS[number % len(_FORMS)](number)
    head = f"name: bench_{number}, title: Regla {number}, kind: bench_{number}, priority: 3"
    return f"rules:\n  - {{{head}, when: {when}{more}}}\n"


def _own_event(number: int) -> tuple[str, str]:
    elsewhere = f", place: Lugar {number}" if number else ""
    return "{event: motion.detected}", f", if: data.zone > 99{elsewhere}"


def _threshold(number: int) -> tuple[str, str]:
    return f"{{reading: {_quantity(number)}, above: {100 + number}, clear: 50}}", ""


def _low(number: int) -> tuple[str, str]:
    return f"{{reading: {_quantity(number)}, below: -{number}, clear: 0, for: 5 min}}", ""


def _rate(number: int) -> tuple[str, str]:
    inner = f"{{reading: {_quantity(number)}, rise: {number}, per: 1 h, over: 1 h}}"
    return f"{{rate: {inner}}}", ", device_kind: river_level"


def _other(number: int) -> tuple[str, str]:
    return f"{{event: other.happened_{number}}}", ""


def _count(number: int) -> tuple[str, str]:
    return f"{{count: {{event: other.counted_{number}, at_least: 3, within: 5 min}}}}", ", by: sector"


def _lasting(number: int) -> tuple[str, str]:
    return f"{{event: other.opened_{number}, until: other.closed_{number}, for: 5 min}}", ""


def _sequence(number: int) -> tuple[str, str]:
    first, second = f"other.first_{number}", f"other.second_{number}"
    return f"{{sequence: [{{event: {first}}}, {{event: {second}}}], within: 5 min}}", ""


_FORMS = (_own_event, _threshold, _low, _other, _threshold, _rate, _count, _threshold, _lasting, _sequence)
