"""The queries of a dashboard: of panels, variables and annotations. Pure but for :func:`load`."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Engine = Literal["postgres", "influx", "prometheus"]
_ENGINES: Mapping[str, Engine] = {
    "grafana-postgresql-datasource": "postgres",
    "postgres": "postgres",
    "influxdb": "influx",
    "prometheus": "prometheus",
}
NEEDS_UNIT = frozenset({"timeseries", "stat", "gauge", "bargauge"})


class VerifyError(Exception):
    """What was asked cannot be done; the message (Spanish) says what is wrong."""


@dataclass(frozen=True, slots=True)
class Query:
    """One query as the dashboard has it. ``units``: column → Grafana unit; "" is the panel's default."""

    dashboard: str
    place: str
    ref: str
    engine: Engine | None
    text: str
    format: str = "table"
    kind: str = ""
    units: Mapping[str, str] = field(default_factory=dict)
    expects_rows: bool = True


@dataclass(frozen=True, slots=True)
class Variable:
    """One template variable. ``query`` is None where its values stand in ``values``."""

    name: str
    query: Query | None
    values: tuple[str, ...]
    is_many: bool
    has_all: bool
    all_value: str


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard: ``variables`` in order, since a later one may use an earlier one."""

    name: str
    variables: tuple[Variable, ...]
    queries: tuple[Query, ...]


def load(folder: Path) -> list[Board]:
    """All dashboards below ``folder``; raises :class:`VerifyError` naming the file."""
    files = sorted(folder.rglob("*.json")) if folder.is_dir() else [folder]
    boards = []
    for path in files:
        try:
            document = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise VerifyError(f"{path}: no se puede leer como JSON ({error})") from error
        if isinstance(document, dict) and isinstance(document.get("panels"), list):
            boards.append(board_of(document))
    if not boards:
        raise VerifyError(f"{folder}: no hay tableros; ejecute antes «almenara-dashboards build»")
    return boards


def board_of(document: Mapping[str, Any]) -> Board:
    name = str(document.get("title") or document.get("uid") or "sin título")
    variables = tuple(
        _variable(name, one) for one in document.get("templating", {}).get("list", []) if _has_values(one)
    )
    queries = [query for panel in _panels(document["panels"]) for query in _of_panel(name, panel)]
    queries += [
        _query(name, f"anotación «{one.get('name', '')}»", _target(one), one, expects_rows=False)
        for one in document.get("annotations", {}).get("list", [])
        if _engine(one.get("datasource")) is not None
    ]
    return Board(name, variables, tuple(queries))


def _panels(panels: list[Any]) -> Iterator[Mapping[str, Any]]:
    for panel in panels:
        yield panel
        yield from _panels(panel.get("panels", []))


def _of_panel(board: str, panel: Mapping[str, Any]) -> Iterator[Query]:
    place = f"{panel.get('id', '?')} «{panel.get('title', '')}»"
    config = panel.get("fieldConfig", {})
    units = {"": config.get("defaults", {}).get("unit", "")}
    for override in config.get("overrides", []):
        if override.get("matcher", {}).get("id") == "byName":
            for item in override.get("properties", []):
                if item.get("id") == "unit":
                    units[override["matcher"]["options"]] = item["value"]
    for target in panel.get("targets", []):
        of = {"datasource": panel.get("datasource")} | target
        yield _query(board, place, target, of, kind=panel.get("type", ""), units=units)


def _target(annotation: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**annotation, **(annotation.get("target") or {})}


def _query(board: str, place: str, target: Mapping[str, Any], of: Mapping[str, Any], **more: Any) -> Query:
    text = next(
        (target[k] for k in ("rawSql", "rawQuery", "query", "expr") if isinstance(target.get(k), str)), ""
    )
    return Query(
        dashboard=board,
        place=place,
        ref=str(target.get("refId", "A")),
        engine=_engine(target.get("datasource") or of.get("datasource")),
        text=text,
        format=str(target.get("format") or target.get("resultFormat") or "table"),
        **more,
    )


def _engine(source: Any) -> Engine | None:
    return _ENGINES.get(source.get("type", "")) if isinstance(source, dict) else None


def _has_values(one: Mapping[str, Any]) -> bool:
    return one.get("type") in ("query", "custom", "constant", "textbox", "interval")


def _variable(board: str, one: Mapping[str, Any]) -> Variable:
    name, text = str(one["name"]), one.get("query", "")
    if isinstance(text, dict):
        text = text.get("rawSql") or text.get("query") or text.get("expr") or ""
    is_query = one["type"] == "query"
    target = {"rawSql": text, "refId": name, "datasource": one.get("datasource")}
    values = (str(text),) if one["type"] in ("constant", "textbox") else _listed(str(text))
    return Variable(
        name=name,
        query=_query(board, f"variable ${name}", target, target) if is_query else None,
        values=() if is_query else values,
        is_many=bool(one.get("multi")),
        has_all=bool(one.get("includeAll")),
        all_value=str(one.get("allValue") or ""),
    )


def _listed(text: str) -> tuple[str, ...]:
    """``Todos : all, Vida : 1`` or plain values, as a custom variable lists them."""
    return tuple(part.rpartition(" : ")[2].strip() for part in text.split(",") if part.strip())
