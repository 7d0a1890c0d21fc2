"""The lists of the inspection form, from YAML: those that come with the program, or a commune's own. Pure."""

import importlib.resources
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hub.fieldwork.errors import FieldError

log = logging.getLogger(__name__)

FILE = "fiscalizacion.yaml"
MAX_ENTRIES = 200
_LISTS = ("rubros", "especies", "instituciones")
_KEYS = ("version", "normas", *_LISTS)


@dataclass(frozen=True, slots=True)
class Rule:
    """``rule`` is what goes into the record: Ordenanza 07 art. 12."""

    rule: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    version: str
    trades: tuple[str, ...]
    rules: tuple[Rule, ...]
    goods: tuple[str, ...]
    institutions: tuple[str, ...]


class FormBook:
    """The lists in force. A file that cannot be used is told in the log, and the ready lists serve."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    def __call__(self) -> Form:
        if self._path is None or not self._path.is_file():
            return load_form()
        try:
            return load_form(self._path.read_text("utf-8"), self._path.name)
        except (FieldError, UnicodeDecodeError) as error:
            log.warning("the lists of the inspection form are those of the program: %s", error)
            return load_form()


def load_form(own: str = "", file: str = FILE) -> Form:
    """The ready lists, each replaced by that of ``own`` (YAML) where it has one.

    Raises :class:`FieldError` that names file and key.
    """
    ready = importlib.resources.files(__package__).joinpath("form.yaml").read_text("utf-8")
    document: dict[str, Any] = yaml.safe_load(ready)
    if own.strip():
        document |= _mapping(own, file)
    return Form(
        version=_line(document["version"], file, "version"),
        trades=_lines(document["rubros"], file, "rubros"),
        rules=_rules(document["normas"], file),
        goods=_lines(document["especies"], file, "especies"),
        institutions=_lines(document["instituciones"], file, "instituciones"),
    )


def _mapping(text: str, file: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise FieldError(f"{file}:{mark.line + 1 if mark else 1}: no es YAML válido") from None
    if not isinstance(document, dict):
        raise FieldError(f"{file}: debe tener las claves {', '.join(_KEYS)}")
    if unknown := [key for key in document if key not in _KEYS]:
        raise FieldError(f"{file}: la clave «{unknown[0]}» no existe; use {', '.join(_KEYS)}")
    return document


def _line(value: object, file: str, key: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 120 or not value.isprintable():
        raise FieldError(f"{file}: «{key}» debe ser texto de 1 a 120 caracteres; ponga comillas si es número")
    return value.strip()


def _lines(value: object, file: str, key: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_ENTRIES:
        raise FieldError(f"{file}: «{key}» debe ser una lista de 1 a {MAX_ENTRIES} textos")
    return tuple(_line(one, file, key) for one in value)


def _rules(value: object, file: str) -> tuple[Rule, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_ENTRIES:
        raise FieldError(f"{file}: «normas» debe ser una lista de 1 a {MAX_ENTRIES} normas")
    rules = []
    for number, one in enumerate(value, 1):
        if not isinstance(one, dict) or set(one) != {"norma", "texto"}:
            raise FieldError(f"{file}: la norma {number} lleva «norma» y «texto», y nada más")
        rules.append(Rule(_line(one["norma"], file, "norma"), _line(one["texto"], file, "texto")))
    return tuple(rules)
