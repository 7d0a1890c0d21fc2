"""What things are called: the editable catalogue of operational codes, each with its likeness in CEAD."""

import importlib.resources
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from hub.clock import Clock
from hub.database import Pool
from hub.watching import Stamp, stamp_of

log = logging.getLogger(__name__)

RESTRICTED_FAMILY = "VIF"
COMPETENCES = frozenset("municipal carabineros pdi bomberos samu conaf armada".split())
_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,15}(\.[A-Z0-9_]{1,30})?\Z")
MAX_FILE_CHARS = 256 * 1024
FILE = "catalogue.yaml"
"""A municipality's own rows, in the hub's data folder."""
WATCH_S = 5.0


class CatalogueError(Exception):
    """The file gives no catalogue; the message (Spanish) names the file, the line and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """One entry. ``cead`` is the group it resembles: our events are never added to police cases.

    ``legal`` names the law or list that the row follows, with its version. A ``retired`` code names what
    was classified with it, and nothing new.
    """

    code: str
    label: str
    priority: int
    competence: str
    cap: str = "Other"
    cead: str = ""
    dmcs: bool = False
    visibility: str = "normal"
    retired: bool = False
    legal: str = ""
    kinds: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        return self.code.partition(".")[0]

    @property
    def is_restricted(self) -> bool:
        return self.visibility == "restricted" or self.family == RESTRICTED_FAMILY


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The codes in the order of the file."""

    codes: tuple[Code, ...]
    by_code: Mapping[str, Code] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_code", {code.code: code for code in self.codes})

    def suggest(self, kind: str) -> Code | None:
        """The code that an alert of ``kind`` most likely ends with."""
        return next((code for code in self.codes if kind in code.kinds and not code.retired), None)

    def keeping(self, others: Iterable[Code]) -> "Catalogue":
        """With ``others`` that are not in it any more, as retired: what they name must stay readable."""
        gone = (replace(code, retired=True) for code in others if code.code not in self.by_code)
        return Catalogue((*self.codes, *gone))


def load(path: Path | None = None) -> Catalogue:
    """The catalogue that comes with the hub, with the rows of ``path`` over it.

    Raises :class:`CatalogueError`.
    """
    if path is None:
        text = (importlib.resources.files("hub.alerts") / "catalogue.yaml").read_text("utf-8")
        return parse(text, "catalogue.yaml")
    return parse(path.read_text("utf-8", "replace"), path.name, load())


def parse(text: str, name: str = FILE, base: Catalogue | None = None) -> Catalogue:
    """The rows of ``text`` over those of ``base``; raises :class:`CatalogueError`, one problem a line.

    A row whose code is in ``base`` changes what it names; any other is new.
    """
    if len(text) > MAX_FILE_CHARS or "&" in text:
        raise CatalogueError(f"{name}:1: es demasiado largo o usa anclas de YAML (&). Simplifíquelo.")
    document, lines = _read(text, name)
    entries = document.get("codes")
    if not isinstance(entries, list) or not entries:
        raise CatalogueError(f"{name}:1: falta la lista codes. Escriba codes: y una línea por código.")
    problems = [
        f"{name}:1: no existe «{str(key)[:40]}»; se conocen codes y legal." for key in {*document} - _TOP
    ]
    legal = document.get("legal", "")
    if not isinstance(legal, str):
        problems.append(f"{name}:1: legal es un texto: la ley o lista que se sigue y su versión.")
    known = dict(base.by_code) if base is not None else {}
    seen: set[str] = set()
    for line, entry in zip(lines, entries, strict=True):
        if problem := _problem(entry, seen, known):
            problems.append(f"{name}:{line}: {problem}")
            continue
        seen.add(entry["code"])
        known[entry["code"]] = _code(entry, known.get(entry["code"]), legal)
    if problems:
        raise CatalogueError("\n".join(problems))
    return Catalogue(tuple(known.values()))


def _read(text: str, name: str) -> tuple[dict[Any, Any], list[int]]:
    """(the document, the line of each entry of ``codes``)."""
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        document = {} if root is None else loader.construct_document(root)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = 1 if mark is None else mark.line + 1
        raise CatalogueError(f"{name}:{line}: no es YAML. Revise sangría, comillas y llaves.") from None
    finally:
        loader.dispose()
    if root is None or not isinstance(document, dict):
        return {}, []
    lists = [value for key, value in root.value if key.value == "codes"]
    return document, [node.start_mark.line + 1 for node in lists[-1].value] if lists else []


_TOP = {"codes", "legal"}
_TYPES: Mapping[str, type] = {
    "code": str,
    "label": str,
    "priority": int,
    "competence": str,
    "cap": str,
    "cead": str,
    "dmcs": bool,
    "visibility": str,
    "retired": bool,
    "legal": str,
    "kinds": list,
}
_REQUIRED = ("code", "label", "priority", "competence")


def _code(entry: dict[str, Any], base: Code | None, legal: str) -> Code:
    given = {"legal": legal} | entry | {"kinds": tuple(entry.get("kinds", base.kinds if base else ()))}
    return Code(**((asdict(base) if base else {}) | given))


def _problem(entry: Any, seen: set[str], known: Mapping[str, Code]) -> str:
    if not isinstance(entry, dict):
        return "no son campos (nombre: valor)."
    if unknown := sorted(str(key) for key in entry if key not in _TYPES):
        return f"no existe el campo «{unknown[0][:40]}»; se conocen {', '.join(_TYPES)}."
    base = known.get(str(entry.get("code")))
    if missing := [key for key in _REQUIRED if key not in entry and (base is None or key == "code")]:
        return f"falta {missing[0]}."
    if wrong := [key for key, value in entry.items() if type(value) is not _TYPES[key]]:
        return f"el campo {wrong[0]} tiene otro tipo de valor."
    if entry["code"] in seen:
        return f"{entry['code']} está dos veces; deje uno."
    return _value_problem(entry, base)


def _value_problem(entry: dict[str, Any], base: Code | None) -> str:
    if not _CODE.match(entry["code"]):
        return f"«{entry['code'][:40]}» no sirve de código; use FAMILIA.NOMBRE en mayúsculas."
    if not 1 <= entry.get("priority", 1) <= 4:
        return "la prioridad va de 1 (vida) a 4."
    if entry.get("competence", "municipal") not in COMPETENCES:
        return f"competence es una de {', '.join(sorted(COMPETENCES))}."
    if entry.get("visibility", "normal") not in ("normal", "restricted"):
        return "visibility es normal o restricted."
    if base is not None and base.is_restricted and entry.get("visibility") == "normal":
        return f"{base.code} es reservado y no puede dejar de serlo; quite visibility."
    if not all(isinstance(kind, str) for kind in entry.get("kinds", [])):
        return "kinds es una lista de tipos de alerta."
    return ""


# ----------------------------------------------------------------------------------------- in force


class CatalogueBook:
    """The catalogue in force: what comes with the hub, and the rows of ``path`` where that file is.

    A wrong file is logged and changes nothing. A code that is gone from the file stays, as retired.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._stamp: Stamp | None = None
        self._current = load()
        self.problems: list[str] = []
        self.refresh()

    def __call__(self) -> Catalogue:
        return self._current

    def refresh(self) -> None:
        """Take up the file where it changed."""
        stamp = None if self._path is None else stamp_of(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            fresh = load(self._path if stamp else None)
        except (CatalogueError, OSError) as error:
            self.problems = str(error).splitlines()
            log.error("the catalogue stays as it was: %s", error)  # noqa: TRY400 - it says it all
            return
        self.problems = []
        self._current = fresh.keeping(self._current.codes)

    async def keep_used(self, pool: Pool) -> None:
        """Codes that alerts carry and no file names stay readable; asked once, at the start."""
        rows = await pool.fetch(
            "select classification as code from alerts union select first_classification from alerts"
        )
        used = sorted(row["code"] for row in rows if row["code"])
        self._current = self._current.keeping(
            Code(code=code, label=code, priority=4, competence="municipal") for code in used
        )


async def catalogue_watch_loop(book: CatalogueBook, clock: Clock) -> None:
    """Take up a changed file, for ever."""
    while True:
        await clock.sleep(WATCH_S)
        book.refresh()
