"""What Grafana makes of a query before it sends it: variables, then macros. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from dashboards.verify.reading import Engine, VerifyError

_NAME = re.compile(r"\$\{(\w+)(?:\.[\w.]+)?(?::([\w:-]+))?\}|\$(\w+)|\[\[(\w+)(?::(\w+))?\]\]")
_MACRO = re.compile(r"\$__(\w+)(?:\(([^)]*)\))?")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdwMy])\Z")
_SECONDS = {
    "ms": 0.001,
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86400,
    "w": 604800,
    "M": 2629800,
    "y": 31557600,
}
_STEPS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Range:
    """The time range of the dashboard, aware UTC; ``points`` is the panel's width."""

    since: datetime
    until: datetime
    points: int = 1000

    @property
    def step_s(self) -> int:
        wanted = (self.until - self.since).total_seconds() / self.points
        return next((step for step in _STEPS if step >= wanted), _STEPS[-1])


@dataclass(frozen=True, slots=True)
class Value:
    """What is chosen of a variable; ``is_list``: several may be chosen, so it is quoted as a list."""

    values: tuple[str, ...]
    is_list: bool = False
    raw: str | None = None
    """The value of «All» that the variable gives by itself: goes in as it is."""


def expand(text: str, engine: Engine, values: Mapping[str, Value], span: Range) -> str:
    """Raises :class:`VerifyError` for a macro, a variable or a format that does not exist."""
    known = {"__interval": _duration(span.step_s), "__interval_ms": str(span.step_s * 1000)}
    seconds = int((span.until - span.since).total_seconds())
    known |= {"__from": _ms(span.since), "__to": _ms(span.until), "__range": f"{seconds}s"}
    known |= {"__range_s": str(seconds), "__range_ms": str(seconds * 1000), "__timezone": "America/Santiago"}
    known |= {"__rate_interval": f"{max(4 * span.step_s, 60)}s"}

    def put(found: re.Match[str]) -> str:
        name, form = found[1] or found[3] or found[4], found[2] or found[5] or ""
        if name in known:
            return known[name]
        if name in values:
            return _formatted(values[name], form, engine)
        if found[3] and (name.startswith("__") or name in ("timeFilter", "interval")):
            return found[0]
        if found[3] and (name.isdigit() or name.startswith("tag_")):
            return found[0]
        raise VerifyError(f"la variable ${name} no existe")

    text = _NAME.sub(put, text)
    if engine == "influx":
        low, high = _ms(span.since), _ms(span.until)
        text = text.replace("$timeFilter", f"time >= {low}ms and time <= {high}ms")
        return text.replace("$interval", _duration(span.step_s))
    return _MACRO.sub(lambda found: _macro(found, span), text) if engine == "postgres" else text


def _formatted(value: Value, form: str, engine: Engine) -> str:
    if value.raw is not None:
        return value.raw
    quoted = ["'" + one.replace("'", "''") + "'" for one in value.values]
    escaped = [re.sub(r"([\\^$.*+?()\[\]{}|/])", r"\\\1", one) for one in value.values]
    as_regex = escaped[0] if len(escaped) == 1 else "(" + "|".join(escaped) + ")"
    forms = {
        "csv": ",".join(value.values),
        "raw": ",".join(value.values),
        "text": " + ".join(value.values),
        "pipe": "|".join(value.values),
        "regex": as_regex,
        "sqlstring": ",".join(quoted),
        "singlequote": ",".join("'" + one.replace("'", "\\'") + "'" for one in value.values),
        "doublequote": ",".join('"' + one.replace('"', '\\"') + '"' for one in value.values),
        "json": json.dumps(list(value.values) if value.is_list else "".join(value.values)),
        "glob": value.values[0] if len(value.values) == 1 else "{" + ",".join(value.values) + "}",
    }
    if form and form not in forms:
        raise VerifyError(f"el formato :{form} no existe o no se conoce aquí; hay {', '.join(forms)}")
    if form:
        return forms[form]
    if engine == "postgres":
        return forms["sqlstring"] if value.is_list else "".join(value.values).replace("'", "''")
    return as_regex if value.is_list else "".join(value.values)


def _macro(found: re.Match[str], span: Range) -> str:
    name, inside = found[1], found[2]
    given = [part.strip() for part in (inside or "").split(",")]
    low, high = (f"'{at:%Y-%m-%dT%H:%M:%S}Z'" for at in (span.since, span.until))
    first, last = int(span.since.timestamp()), int(span.until.timestamp())
    column = given[0]
    if name not in ("timeFrom", "timeTo", "unixEpochFrom", "unixEpochTo") and not column:
        raise VerifyError(f"la macro $__{name} va sin columna; escriba $__{name}(columna)")
    plain = {
        "time": f'{column} AS "time"',
        "timeEpoch": f'extract(epoch from {column}) as "time"',
        "timeFilter": f"{column} BETWEEN {low} AND {high}",
        "timeFrom": low,
        "timeTo": high,
        "unixEpochFilter": f"{column} >= {first} AND {column} <= {last}",
        "unixEpochNanoFilter": f"{column} >= {first * 10**9} AND {column} <= {last * 10**9}",
        "unixEpochFrom": str(first),
        "unixEpochTo": str(last),
    }
    if name in plain:
        return plain[name]
    kind = name.removesuffix("Alias")
    if kind not in ("timeGroup", "unixEpochGroup"):
        raise VerifyError(f"la macro $__{name} no existe")
    if len(given) < 2:
        raise VerifyError(f"la macro $__{name} va con columna e intervalo")
    size = f"{seconds_of(given[1].strip(chr(39))):g}"
    of = f"extract(epoch from {column})" if kind == "timeGroup" else f"({column})"
    return f"floor({of}/{size})*{size}" + (' AS "time"' if name.endswith("Alias") else "")


def seconds_of(text: str) -> float:
    """``5m`` → 300.0; raises :class:`VerifyError`."""
    found = _DURATION.match(text)
    if not found:
        raise VerifyError(f"«{text}» no es un intervalo; escriba por ejemplo 5m")
    return float(found[1]) * _SECONDS[found[2]]


def _duration(seconds: int) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _ms(at: datetime) -> str:
    return str(int(at.timestamp() * 1000))
