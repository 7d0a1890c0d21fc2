"""PromQL: its names against a real /metrics page, and the query itself where a Prometheus is given."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

from dashboards.verify.expanding import Range
from dashboards.verify.postgres import Answer
from dashboards.verify.reading import VerifyError

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`')
_BRACES = re.compile(r"\{([^}]*)\}")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_LISTED = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_RANGE = re.compile(r"\[[^\]]*\]")
_METRIC = re.compile(r"(?<![\w:.])([a-zA-Z_:][\w:]*)\b(?!\s*\()")
_WORDS = frozenset(
    "by without on ignoring group_left group_right and or unless offset bool inf nan atan2 start end".split()
)
_OF_SCRAPING = frozenset({"job", "instance"})
_LABELLED = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}")


def names_of(text: str) -> tuple[set[str], set[str]]:
    """(metrics, labels) that a PromQL query names. Pure."""
    bare = _STRING.sub('""', text)
    labels = {label for inside in _BRACES.findall(bare) for label in _LABEL.findall(inside)}
    labels |= {one.strip() for inside in _LISTED.findall(bare) for one in inside.split(",") if one.strip()}
    bare = _LISTED.sub(" ", _RANGE.sub(" ", _BRACES.sub(" ", bare))).replace('""', " ")
    return {name for name in _METRIC.findall(bare) if name.lower() not in _WORDS}, labels


def exposed(page: str) -> dict[str, set[str]]:
    """metric → labels of a /metrics page; raises :class:`VerifyError`. Families without a sample count."""
    found: dict[str, set[str]] = {}
    try:
        for family in text_string_to_metric_families(page):
            found.setdefault(family.name + ("_total" if family.type == "counter" else ""), set())
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    except ValueError as error:
        raise VerifyError(f"la página de métricas no se entiende: {error}") from error
    return found


def name_problems(text: str, known: Mapping[str, set[str]]) -> list[str]:
    """What the page does not have. Labels are known once one of the named metrics has them. Pure."""
    metrics, labels = names_of(text)
    problems = [f"la métrica {name} no existe" for name in sorted(metrics - set(known) - {"up"})]
    has = _OF_SCRAPING.union(*(known.get(name, set()) for name in metrics))
    return problems + [f"la etiqueta {label} no existe" for label in sorted(labels - has)]


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Either address may be empty: what cannot be looked at is said, not passed over."""

    url: str
    known: Mapping[str, set[str]] | None

    def ask(self, text: str, span: Range) -> tuple[Answer, str]:
        """The answer, and a note on what was not run."""
        problems = [] if self.known is None else name_problems(text, self.known)
        if not self.url:
            return Answer(0, problems=tuple(problems)), "PromQL no ejecutado: falta --prometheus"
        step = max(span.step_s, int((span.until - span.since).total_seconds()) // 10_000 + 1)
        asked: dict[str, str | float] = {
            "query": text,
            "start": span.since.timestamp(),
            "end": span.until.timestamp(),
            "step": step,
        }
        try:
            answer = httpx.get(f"{self.url.rstrip('/')}/api/v1/query_range", params=asked, timeout=30)
            document = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            return Answer(0, problems=(*problems, f"Prometheus no responde: {error}")), ""
        if document.get("status") != "success":
            return Answer(
                0, problems=(*problems, f"Prometheus: {document.get('error', answer.text[:200])}")
            ), ""
        return Answer(len(document["data"]["result"]), problems=tuple(problems)), ""


def read_metrics(url: str) -> dict[str, set[str]]:
    try:
        answer = httpx.get(url, timeout=30).raise_for_status()
    except httpx.HTTPError as error:
        raise VerifyError(f"{url}: no se pueden leer las métricas ({error})") from error
    return exposed(answer.text)
