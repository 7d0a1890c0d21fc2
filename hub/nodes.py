"""YAML as a tree that knows its lines. Scalars stay text: ``21:00`` is a time, ``on`` is a word."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml

MAX_CHARS = 1_000_000
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file; ``text`` is Spanish and says what to do. ``line`` counts from 1."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


class Report:
    """Collects the mistakes of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def add(self, node: yaml.Node | None, text: str) -> None:
        line = 1 if node is None else node.start_mark.line + 1
        self.problems.append(Problem(self.file, line, text))


def parse(text: str, report: Report, if_empty: str) -> yaml.Node | None:
    """The document's root; None where it cannot be read, which is reported. ``if_empty``: what to write."""
    if len(text) > MAX_CHARS:
        report.add(None, f"el archivo tiene más de {MAX_CHARS} caracteres; divídalo")
        return None
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        report.problems.append(Problem(report.file, line, f"no es YAML válido: {error.problem}"))
    except (yaml.YAMLError, RecursionError) as error:
        report.add(None, f"no es YAML válido: {type(error).__name__}")
    else:
        if root is None:
            report.add(None, f"el archivo está vacío; {if_empty}")
        return root
    return None


class Table:
    """A YAML mapping that is read key by key. What was not asked for is reported as unknown."""

    def __init__(self, node: yaml.Node, report: Report, what: str) -> None:
        self.node, self.report, self.what = node, report, what
        self._values: dict[str, yaml.Node] = {}
        self._keys: dict[str, yaml.Node] = {}
        self._asked: set[str] = set()
        if not isinstance(node, yaml.MappingNode):
            report.add(node, f"{what}: se esperaba «clave: valor»")
            return
        for key, value in node.value:
            name = str(key.value)
            if name in self._values:
                report.add(key, f"{what}: «{name}» está dos veces; deje una")
            self._values[name], self._keys[name] = value, key

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def node_of(self, name: str) -> yaml.Node:
        return self._values.get(name, self.node)

    def problem(self, text: str, name: str = "") -> None:
        self.report.add(self._keys.get(name, self.node), f"{self.what}: {text}")

    def take(self, name: str) -> yaml.Node | None:
        self._asked.add(name)
        return self._values.get(name)

    def get(self, name: str, read: Callable[[str], _T], default: _T) -> _T:
        """A scalar; ``read`` turns its text into a value or raises ValueError in Spanish."""
        node = self.take(name)
        if node is None:
            return default
        if not isinstance(node, yaml.ScalarNode):
            self.report.add(node, f"{self.what}: «{name}» debe ser un solo valor")
            return default
        try:
            return read(node.value)
        except ValueError as error:
            self.report.add(node, f"{self.what}: «{name}»: {error}")
            return default

    def need(self, name: str, read: Callable[[str], _T], default: _T) -> _T:
        if name not in self._values:
            self.problem(f"falta «{name}»")
        return self.get(name, read, default)

    def words(self, name: str) -> tuple[str, ...]:
        """One word or a list of words."""
        node = self.take(name)
        if node is None:
            return ()
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found = tuple(i.value for i in items if isinstance(i, yaml.ScalarNode) and i.value)
        if len(found) < len(items) or not found:
            self.report.add(node, f"{self.what}: «{name}» debe ser una palabra o una lista de palabras")
        return found

    def tables(self, name: str) -> Iterator["Table"]:
        """One mapping or a list of mappings."""
        node = self.take(name)
        if node is None:
            return
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if not items or (isinstance(node, yaml.ScalarNode) and node.value == ""):
            self.report.add(node, f"{self.what}: «{name}» está vacío; bórrelo o complételo")
            return
        for item in items:
            yield Table(item, self.report, f"{self.what}, {name}")

    def table(self, name: str) -> "Table | None":
        node = self.take(name)
        return None if node is None else Table(node, self.report, f"{self.what}, {name}")

    def finish(self) -> None:
        """Report what nobody asked for: a typing error must not pass as an entry without that key."""
        known = ", ".join(sorted(self._asked))
        for name in self._values.keys() - self._asked:
            self.problem(f"no existe «{name}» aquí; se puede escribir: {known}", name)


_PLAIN: Mapping[str, Any] = {"true": True, "false": False, "null": None}


def plain(node: yaml.Node | None, depth: int = 0) -> Any:
    """A node as plain data (for examples): numbers, true, false and null where unquoted, else text."""
    if node is None or depth > 8:
        return None
    if isinstance(node, yaml.MappingNode):
        return {str(k.value): plain(v, depth + 1) for k, v in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [plain(item, depth + 1) for item in node.value]
    if not isinstance(node, yaml.ScalarNode) or node.style in ("'", '"', "|", ">"):
        return node.value
    if node.value in _PLAIN:
        return _PLAIN[node.value]
    for kind in (int, float):
        try:
            return kind(node.value)
        except ValueError:
            continue
    return node.value


def choice(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"«{text}» no vale; elija entre {', '.join(words)}")
        return text

    return read


def number(text: str) -> float:
    """A finite decimal number with a point."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"«{text}» no es un número; use punto decimal, por ejemplo 2.5") from None
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(f"«{text}» no es un número finito")
    return value
