"""A dashboard from panels, as Grafana's JSON (schema 41). Pure: the same parts give the same document.

Of our own: the foundation SDK has no queries for PostgreSQL or InfluxDB and gives panels no id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dashboards import defaults as house
from dashboards.defaults import COLUMNS, INFLUX, PG, PROMETHEUS, Steps

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """One target; ``text`` is SQL, InfluxQL or PromQL, by ``source``."""

    source: Mapping[str, str]
    text: str
    is_series: bool = False
    legend: str = ""

    def target(self, ref: str) -> Json:
        base: Json = {"refId": ref, "datasource": dict(self.source)}
        if self.source is PG:
            shape = "time_series" if self.is_series else "table"
            return {**base, "rawQuery": True, "editorMode": "code", "format": shape, "rawSql": self.text}
        if self.source is INFLUX:
            shape = "time_series" if self.is_series else "table"
            return {**base, "rawQuery": True, "query": self.text, "resultFormat": shape, "alias": self.legend}
        return {
            **base,
            "expr": self.text,
            "range": self.is_series,
            "instant": not self.is_series,
            "legendFormat": self.legend,
        }


def rows(text: str) -> Query:
    return Query(PG, _plain(text))


def series(text: str) -> Query:
    return Query(PG, _plain(text), is_series=True)


def influx(text: str, legend: str = "") -> Query:
    return Query(INFLUX, _plain(text), is_series=True, legend=legend)


def prom(text: str, legend: str = "", *, is_series: bool = True) -> Query:
    return Query(PROMETHEUS, text, is_series=is_series, legend=legend)


def _plain(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """``width`` in 24ths of the line, ``height`` in units of 30 px. ``path``: the console's page."""

    kind: str
    title: str
    doc: str
    queries: Sequence[Query]
    unit: str
    steps: Steps = house.FLAT
    width: int = 6
    height: int = 4
    path: str = "/"
    decimals: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    custom: Mapping[str, Any] = field(default_factory=dict)
    overrides: Sequence[Json] = ()

    def sized(self, width: int, height: int) -> "Panel":
        return replace(self, width=width, height=height)

    def document(self, number: int, x: int, y: int) -> Json:
        defaults = house.field(
            self.unit, self.steps, decimals=self.decimals, path=self.path, **dict(self.custom)
        )
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.doc,
            "datasource": dict(self.queries[0].source),
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "fieldConfig": {"defaults": defaults, "overrides": list(self.overrides)},
            "options": dict(self.options),
            "targets": [query.target(chr(65 + place)) for place, query in enumerate(self.queries)],
        }


_LAST = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_TOOLTIP = {"mode": "multi", "sort": "desc"}
_LEGEND = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}


def stat(
    title: str, doc: str, query: Query, unit: str = "none", steps: Steps = house.FLAT, **more: Any
) -> Panel:
    """One number."""
    options = {
        "reduceOptions": _LAST,
        "colorMode": "value",
        "graphMode": "none",
        "textMode": "auto",
        "justifyMode": "auto",
        "orientation": "auto",
    }
    return Panel(
        kind="stat", title=title, doc=doc, queries=(query,), unit=unit, steps=steps, options=options, **more
    )


def gauge(title: str, doc: str, query: Query, unit: str, steps: Steps, **more: Any) -> Panel:
    """One number between bounds."""
    options = {"reduceOptions": _LAST, "showThresholdLabels": False, "showThresholdMarkers": True}
    return Panel(
        kind="gauge", title=title, doc=doc, queries=(query,), unit=unit, steps=steps, options=options, **more
    )


def chart(
    title: str, doc: str, queries: Query | Sequence[Query], unit: str, steps: Steps = house.FLAT, **more: Any
) -> Panel:
    """Lines over time; a gap stays a gap."""
    custom = {"drawStyle": "line", "lineWidth": 2, "fillOpacity": 8, "spanNulls": False, "showPoints": "auto"}
    if len(steps) > 1:
        custom["thresholdsStyle"] = {"mode": "line"}
    return _over_time(title, doc, queries, unit, steps, custom, more)


def bars(
    title: str,
    doc: str,
    queries: Query | Sequence[Query],
    unit: str = "short",
    steps: Steps = house.FLAT,
    **more: Any,
) -> Panel:
    """Bars over time, for counts."""
    custom = {
        "drawStyle": "bars",
        "lineWidth": 1,
        "fillOpacity": 80,
        "stacking": {"mode": "normal", "group": "A"},
    }
    return _over_time(title, doc, queries, unit, steps, custom, more)


def _over_time(
    title: str,
    doc: str,
    queries: Query | Sequence[Query],
    unit: str,
    steps: Steps,
    custom: Json,
    more: Mapping[str, Any],
) -> Panel:
    several = (queries,) if isinstance(queries, Query) else tuple(queries)
    size = {"width": 12, "height": 8, **more}
    return Panel(
        kind="timeseries",
        title=title,
        doc=doc,
        queries=several,
        unit=unit,
        steps=steps,
        options={"tooltip": _TOOLTIP, "legend": _LEGEND},
        custom=custom,
        **size,
    )


def table(
    title: str, doc: str, query: Query, unit: str = "none", steps: Steps = house.FLAT, **more: Any
) -> Panel:
    """Rows; a column ``console_path`` is the target of each row's link and is not shown."""
    size = {"width": 12, "height": 8, **more}
    return Panel(
        kind="table",
        title=title,
        doc=doc,
        queries=(query,),
        unit=unit,
        steps=steps,
        options={"showHeader": True, "cellHeight": "sm"},
        custom={"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False, "filterable": True},
        **size,
    )


def geomap(
    title: str, doc: str, queries: Sequence[Query], *, latitude: float, longitude: float, **more: Any
) -> Panel:
    """Markers by the columns ``latitude`` and ``longitude``; the first query is red, the second blue."""
    layers = [
        {
            "name": name,
            "type": "markers",
            "location": {"mode": "coords", "latitude": "latitude", "longitude": "longitude"},
            "filterData": {"id": "byRefId", "options": ref},
            "tooltip": True,
            "config": {
                "showLegend": True,
                "style": {
                    "color": {"fixed": color},
                    "opacity": 0.8,
                    "size": {"fixed": size, "min": 3, "max": 15},
                    "symbol": {"mode": "fixed", "fixed": "img/icons/marker/circle.svg"},
                },
            },
        }
        for ref, name, color, size in (("A", "Alertas", house.BAD, 9), ("B", "Equipos", house.PLAIN, 5))
    ]
    options = {
        "view": {"id": "coords", "lat": latitude, "lon": longitude, "zoom": 12},
        "controls": {"showZoom": True, "mouseWheelZoom": True, "showAttribution": True, "showScale": True},
        "basemap": {"type": "default", "name": "Base", "config": {}},
        "layers": layers,
        "tooltip": {"mode": "details"},
    }
    size = {"width": 24, "height": 18, **more}
    return Panel(
        kind="geomap", title=title, doc=doc, queries=tuple(queries), unit="none", options=options, **size
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Variable:
    """A choice above the panels, filled by a query; several or all may be chosen."""

    name: str
    label: str
    query: str

    def document(self) -> Json:
        return {
            "type": "query",
            "name": self.name,
            "label": self.label,
            "datasource": dict(PG),
            "query": _plain(self.query),
            "multi": True,
            "includeAll": True,
            "current": {"text": ["All"], "value": ["$__all"]},
            "refresh": 2,
            "sort": 1,
            "options": [],
        }


SECTOR = Variable(name="sector", label="Sector", query="select sector from panels.sectors order by 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """What is drawn over the time axis of all panels."""

    name: str
    color: str
    query: str

    def document(self) -> Json:
        text = _plain(self.query)
        target = {"refId": "Anno", "rawQuery": True, "editorMode": "code", "format": "table", "rawSql": text}
        return {
            "name": self.name,
            "enable": True,
            "iconColor": self.color,
            "datasource": dict(PG),
            "target": target,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """``span``: how far back it looks when opened. Panels stand in lines of 24, in their order."""

    uid: str
    title: str
    doc: str
    panels: Sequence[Panel]
    variables: Sequence[Variable] = ()
    notes: Sequence[Note] = ()
    span: str = "now-24h"
    refresh: str = "30s"

    def document(self, console_url: str) -> Json:
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.doc,
            "tags": ["almenara"],
            "schemaVersion": house.SCHEMA_VERSION,
            "editable": False,
            "graphTooltip": 1,
            "timezone": house.TIMEZONE,
            "time": {"from": self.span, "to": "now"},
            "refresh": self.refresh,
            "templating": {
                "list": [_console(console_url), *(variable.document() for variable in self.variables)]
            },
            "annotations": {"list": [note.document() for note in self.notes]},
            "links": [
                {
                    "title": "Consola",
                    "type": "link",
                    "url": house.CONSOLE,
                    "targetBlank": True,
                    "icon": "external link",
                    "tooltip": "Abrir la consola de la central",
                    "asDropdown": False,
                    "includeVars": False,
                    "keepTime": False,
                    "tags": [],
                }
            ],
            "panels": _placed(self.panels),
        }


def _console(url: str) -> Json:
    value = {"text": url, "value": url}
    return {
        "type": "constant",
        "name": "consola",
        "label": "Consola",
        "query": url,
        "hide": 2,
        "current": value,
        "options": [],
    }


def _placed(panels: Sequence[Panel]) -> list[Json]:
    x = y = line = 0
    found = []
    for number, panel in enumerate(panels, 1):
        if x + panel.width > COLUMNS:
            x, y, line = 0, y + line, 0
        found.append(panel.document(number, x, y))
        x, line = x + panel.width, max(line, panel.height)
    return found
