"""What things are called: the editable catalogue of operational codes, each with its likeness in CEAD."""

import importlib.resources
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

log = logging.getLogger(__name__)

RESTRICTED_FAMILY = "VIF"
COMPETENCES = frozenset("municipal carabineros pdi bomberos samu conaf armada".split())
_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,15}(\.[A-Z0-9_]{1,30})?\Z")
MAX_FILE_CHARS = 256 * 1024


class CatalogueError(Exception):
    """The file gives no catalogue; the message (Spanish) names the file, the entry and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """One entry. ``cead`` is the group it resembles: our events are never added to police cases."""

    code: str
    label: str
    priority: int
    competence: str
    cap: str = "Other"
    cead: str = ""
    dmcs: bool = False
    visibility: str = "normal"
    retired: bool = False
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


class CatalogueBook:
    """The catalogue in force: that of ``path`` where the file is and is right, else the hub's own.

    A change of the file counts at the next look; a wrong one is logged, and the catalogue before it stays.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._current = load()

    def __call__(self) -> Catalogue:
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._current = load(self._path if stamp else None)
            except (CatalogueError, OSError, UnicodeDecodeError) as error:
                log.error("the catalogue stays as it was: %s", error)  # noqa: TRY400 - it says it all
        return self._current

    def _look(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat() if self._path else None
        except OSError:
            return None
        return found and (found.st_mtime_ns, found.st_size)


def load(path: Path | None = None) -> Catalogue:
    """The catalogue of ``path``, or the one that comes with the hub; raises :class:`CatalogueError`."""
    if path is None:
        text = (importlib.resources.files("hub.alerts") / "catalogue.yaml").read_text("utf-8")
        return parse(text, "catalogue.yaml")
    return parse(path.read_text("utf-8"), path.name)


def parse(text: str, name: str = "catalogo.yaml") -> Catalogue:
    """Raises :class:`CatalogueError` with every problem, one a line."""
    if len(text) > MAX_FILE_CHARS or "&" in text:
        raise CatalogueError(f"{name}: es demasiado largo o usa anclas de YAML (&). Simplifíquelo.")
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = 1 if mark is None else mark.line + 1
        raise CatalogueError(f"{name}:{line}: no es YAML. Revise sangría, comillas y llaves.") from None
    entries = document.get("codes") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        raise CatalogueError(f"{name}: falta la lista codes. Escriba codes: y una línea por código.")
    problems: list[str] = []
    codes: dict[str, Code] = {}
    for number, entry in enumerate(entries, 1):
        problem = _problem(entry, codes)
        if problem:
            problems.append(f"{name}: código {number}: {problem}")
        else:
            codes[entry["code"]] = Code(**(entry | {"kinds": tuple(entry.get("kinds", ()))}))
    if problems:
        raise CatalogueError("\n".join(problems))
    return Catalogue(tuple(codes.values()))


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
    "kinds": list,
}
_REQUIRED = ("code", "label", "priority", "competence")


def _problem(entry: Any, codes: Mapping[str, Code]) -> str:
    if not isinstance(entry, dict):
        return "no son campos (nombre: valor)."
    if unknown := sorted(str(key) for key in entry if key not in _TYPES):
        return f"no existe el campo «{unknown[0][:40]}»; se conocen {', '.join(_TYPES)}."
    if missing := [key for key in _REQUIRED if key not in entry]:
        return f"falta {missing[0]}."
    if wrong := [key for key, value in entry.items() if type(value) is not _TYPES[key]]:
        return f"el campo {wrong[0]} tiene otro tipo de valor."
    if not _CODE.match(entry["code"]):
        return f"«{entry['code'][:40]}» no sirve de código; use FAMILIA.NOMBRE en mayúsculas."
    if entry["code"] in codes:
        return f"{entry['code']} está dos veces; deje uno."
    if not 1 <= entry["priority"] <= 4:
        return "la prioridad va de 1 (vida) a 4."
    if entry["competence"] not in COMPETENCES:
        return f"competence es una de {', '.join(sorted(COMPETENCES))}."
    if entry.get("visibility", "normal") not in ("normal", "restricted"):
        return "visibility es normal o restricted."
    if not all(isinstance(kind, str) for kind in entry.get("kinds", [])):
        return "kinds es una lista de tipos de alerta."
    return ""
