"""InfluxQL on a real engine. A name that does not exist is no error there, so names are looked up."""

import re
from collections.abc import Iterable
from typing import Any

import httpx

from dashboards.verify.postgres import Answer
from dashboards.verify.reading import VerifyError

_QUOTED = re.compile(r'"([^"]+)"')
_FROM = re.compile(r'\bfrom\s+((?:"[^"]+"\.){0,2}"[^"]+"|[\w.]+)', re.IGNORECASE)
_ALIAS = re.compile(r'\bas\s+"([^"]+)"', re.IGNORECASE)


class Influx:
    """``token`` may be empty; ``database`` is the bucket's name."""

    def __init__(self, url: str, database: str, token: str) -> None:
        headers = {"Authorization": f"Token {token}"} if token else {}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=30)
        self._database = database
        self._names: dict[str, frozenset[str]] = {}

    def close(self) -> None:
        self._client.close()

    def ask(self, text: str) -> Answer:
        try:
            series = self._series(text)
        except VerifyError as error:
            return Answer(0, problems=(str(error),))
        rows = [row for one in series for row in one["values"]]
        first = tuple(str(row[-1]) for row in rows)
        is_show = text.lstrip().lower().startswith("show")
        return Answer(len(rows), first, () if is_show else tuple(self._unknown(text)))

    def _series(self, text: str) -> list[dict[str, Any]]:
        try:
            answer = self._client.post("/query", data={"db": self._database, "q": text, "epoch": "ms"})
        except httpx.HTTPError as error:
            raise VerifyError(f"InfluxDB no responde: {error}") from error
        try:
            document = answer.json()
        except ValueError:
            raise VerifyError(f"InfluxDB: {answer.status_code} {answer.text[:200]}") from None
        found = []
        for result in document.get("results", [document]):
            if refused := result.get("error") or result.get("message"):
                raise VerifyError(f"InfluxDB: {refused}")
            found += result.get("series", [])
        return found

    def _unknown(self, text: str) -> Iterable[str]:
        measured = [name.rpartition(".")[2].strip('"') for name in _FROM.findall(text)]
        known = self._listed("show measurements")
        for measurement in measured:
            if measurement not in known:
                yield f"la medición «{measurement}» no existe"
        if not measured or not known.issuperset(measured):
            return
        names = self._listed("show field keys") | self._listed("show tag keys")
        sources = {part for name in _FROM.findall(text) for part in _QUOTED.findall(name)}
        for name in dict.fromkeys(_QUOTED.findall(text)):
            if name not in names | sources | set(_ALIAS.findall(text)):
                yield f"el campo o la etiqueta «{name}» no existe"

    def _listed(self, text: str) -> frozenset[str]:
        if text not in self._names:
            rows = [row[0] for one in self._series(text) for row in one["values"]]
            self._names[text] = frozenset(rows)
        return self._names[text]
