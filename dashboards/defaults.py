"""House defaults: sources, colours, steps, words. One place, so that nine dashboards look like one. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

PG = {"type": "grafana-postgresql-datasource", "uid": "almenara-pg"}
INFLUX = {"type": "influxdb", "uid": "almenara-influx"}
PROMETHEUS = {"type": "prometheus", "uid": "almenara-prometheus"}

NO_VALUE = "sin datos"
TIMEZONE = "America/Santiago"
SCHEMA_VERSION = 41
FOLDER_UID, FOLDER = "almenara", "Almenara"
COLUMNS = 24
CONSOLE = "${consola}"
"""A variable of every dashboard: the console's address, which links lead to."""

GOOD, FAIR, BAD, PLAIN = "#3f9b6c", "#d99b2b", "#c9403a", "#5b87a6"
"""They differ in lightness too: a third of the men on a shift may not tell red from green."""

Step = tuple[float | None, str]
Steps = Sequence[Step]
FLAT: Steps = ((None, PLAIN),)


def rising(fair: float, bad: float) -> Steps:
    """More is worse."""
    return ((None, GOOD), (fair, FAIR), (bad, BAD))


def falling(bad: float, fair: float) -> Steps:
    """Less is worse: below ``bad`` it is bad, below ``fair`` it is fair."""
    return ((None, BAD), (bad, FAIR), (fair, GOOD))


def thresholds(steps: Steps) -> dict[str, Any]:
    return {"mode": "absolute", "steps": [{"value": value, "color": color} for value, color in steps]}


def field(
    unit: str, steps: Steps, *, decimals: int | None = None, path: str = "/", **custom: Any
) -> dict[str, Any]:
    """The defaults of a panel's fields; each value leads to the console page ``path``."""
    found: dict[str, Any] = {
        "unit": unit,
        "noValue": NO_VALUE,
        "color": {"mode": "thresholds"},
        "thresholds": thresholds(steps),
        "links": [{"title": "Abrir en la consola", "url": f"{CONSOLE}{path}", "targetBlank": True}],
        "custom": custom,
    }
    if decimals is not None:
        found["decimals"] = decimals
    return found


def unit_of(column: str, unit: str) -> dict[str, Any]:
    """An override: one column's unit."""
    return override(column, {"unit": unit})


def override(column: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "matcher": {"id": "byName", "options": column},
        "properties": [{"id": name, "value": value} for name, value in properties.items()],
    }


def hidden(column: str) -> dict[str, Any]:
    return override(column, {"custom.hidden": True})
