"""The language of indicators: counts and percentiles over named measures, and arithmetic. Pure.

    100 * n(alerta, tipo=RUR, cierre in [falsa, sin_novedad, error]) / n(alerta, tipo=RUR, cerrada)
    p90(alerta.acuse, prioridad=1)
    change(n(evento, confirmado, ventana=28d), n(evento, confirmado, ventana=28d, hace=1a))

``n`` counts things, ``sum``, ``mean``, ``p50`` and ``p90`` take a field of them, ``pob`` is the population;
conditions stand behind commas and must all hold, ``or`` joins alternatives. ``ventana`` and ``hace`` move
the window. ``rate(a, b, per)`` is per*a/b, ``percent(a, b)`` 100*a/b, ``change(a, b)`` 100*(a-b)/b, and
``ind("O1-1")`` is another indicator of the plan. There is nothing else, so nothing else can happen.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from hub.plan.errors import FormulaError, FormulaProblem

MAX_CHARS = 600
MAX_DEPTH = 20

AGGREGATES = {"n": "cantidad", "sum": "suma", "mean": "promedio", "p50": "mediana", "p90": "percentil 90"}
CALLS = {"rate": 3, "percent": 2, "change": 2}
"""Functions of figures, and how many they take."""
COMPARISONS = ("<=", ">=", "!=", "<", ">", "=")

_TOKEN = re.compile(
    r"\s*(?:(?P<duration>\d+(?:\.\d+)?(?:min|s|h|d|a)\b)|(?P<number>\d+(?:\.\d+)?)|(?P<word>[^\W\d]\w*)"
    r'|(?P<text>"[^"]{1,80}")|(?P<sign><=|>=|!=|[-+*/(),.=<>\[\]]))'
)
_UNIT_S = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


@dataclass(frozen=True, slots=True)
class Number:
    value: float
    column: int


@dataclass(frozen=True, slots=True)
class Duration:
    """``years`` is 0 where ``seconds`` counts."""

    text: str
    seconds: float
    years: int = 0


@dataclass(frozen=True, slots=True)
class Test:
    """One condition; ``op`` is a comparison, ``in``, or ``is`` for a bare word."""

    field: str
    op: str
    values: tuple[str | float | Duration, ...]
    column: int


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A function over the rows of a measure for which one of each group of ``where`` holds."""

    function: str
    measure: str
    field: str
    where: tuple[tuple[Test, ...], ...]
    days: int | None
    """The window's length up to the period's end; None: the period itself."""
    years_back: int
    column: int


@dataclass(frozen=True, slots=True)
class Reference:
    """The figure of another indicator of the plan."""

    indicator: str
    column: int


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple["Node", ...]
    column: int


@dataclass(frozen=True, slots=True)
class Binary:
    op: str
    left: "Node"
    right: "Node"
    column: int


Node: TypeAlias = Number | Aggregate | Reference | Call | Binary


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int


def parse(text: str) -> Node:
    """The formula as a tree; raises :class:`FormulaError` with the column and what to do."""
    if len(text) > MAX_CHARS:
        raise _error(1, f"la fórmula tiene más de {MAX_CHARS} caracteres; divídala con ind(…)")
    parser = _Parser(list(_tokens(text)), len(text) + 1)
    node = parser.addition(0)
    parser.end()
    return node


def _error(column: int, text: str) -> FormulaError:
    return FormulaError([FormulaProblem(column, text)])


def _tokens(text: str) -> Iterator[_Token]:
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            column = at + len(text[at:]) - len(text[at:].lstrip()) + 1
            raise _error(column, f"no se entiende «{text[column - 1]}»; bórrelo o revise la guía")
        kind = str(found.lastgroup)
        yield _Token(kind, found[kind], found.start(kind) + 1)
        at = found.end()


class _Parser:
    """Recursive descent over the tokens of one formula."""

    def __init__(self, tokens: list[_Token], end_column: int) -> None:
        self._tokens = tokens
        self._end = _Token("end", "el final", end_column)
        self._at = 0

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else self._end

    def _take(self) -> _Token:
        token = self._next
        self._at += 1
        return token

    def _skip(self, *signs: str) -> _Token | None:
        if self._next.kind in ("sign", "word") and self._next.text in signs:
            return self._take()
        return None

    def _need(self, sign: str, why: str) -> None:
        if self._skip(sign) is None:
            raise _error(self._next.column, f"se esperaba «{sign}» {why} y hay «{self._next.text}»")

    def _need_word(self, what: str) -> _Token:
        if self._next.kind != "word":
            raise _error(self._next.column, f"se esperaba {what} y hay «{self._next.text}»")
        return self._take()

    def end(self) -> None:
        if self._next.kind != "end":
            text = f"sobra «{self._next.text}»; falta un signo (+ - * /) o hay un paréntesis de más"
            raise _error(self._next.column, text)

    def addition(self, depth: int) -> Node:
        left = self._product(depth)
        while sign := self._skip("+", "-"):
            left = Binary(sign.text, left, self._product(depth), sign.column)
        return left

    def _product(self, depth: int) -> Node:
        left = self._factor(depth)
        while sign := self._skip("*", "/"):
            left = Binary(sign.text, left, self._factor(depth), sign.column)
        return left

    def _factor(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise _error(self._next.column, f"hay más de {MAX_DEPTH} paréntesis unos dentro de otros")
        token = self._take()
        if token.kind == "number":
            return Number(float(token.text), token.column)
        if token.text == "-" and token.kind == "sign":
            return Binary("-", Number(0.0, token.column), self._factor(depth + 1), token.column)
        if token.text == "(" and token.kind == "sign":
            inner = self.addition(depth + 1)
            self._need(")", "que cierra el paréntesis")
            return inner
        if token.kind == "word":
            return self._function(token, depth)
        raise _error(token.column, f"se esperaba un número, una función o «(» y hay «{token.text}»")

    def _function(self, name: _Token, depth: int) -> Node:
        known = [*AGGREGATES, "pob", *CALLS, "ind"]
        if name.text not in known:
            raise _error(name.column, f"no existe la función «{name.text}»; use {', '.join(known)}")
        self._need("(", f"después de {name.text}")
        if name.text in CALLS:
            found: Node = self._call(name, depth)
        elif name.text == "ind":
            found = self._reference(name)
        else:
            found = self._aggregate(name)
        self._need(")", f"que cierra {name.text}(…)")
        return found

    def _call(self, name: _Token, depth: int) -> Call:
        arguments = [self.addition(depth + 1)]
        while self._skip(","):
            arguments.append(self.addition(depth + 1))
        wanted = CALLS[name.text]
        if len(arguments) != wanted:
            text = f"{name.text} lleva {wanted} valores separados por comas y tiene {len(arguments)}"
            raise _error(name.column, text)
        return Call(name.text, tuple(arguments), name.column)

    def _reference(self, name: _Token) -> Reference:
        token = self._take()
        if token.kind != "text":
            raise _error(token.column, 'ind lleva el código de un indicador entre comillas: ind("O1-1")')
        return Reference(token.text.strip('"'), name.column)

    def _aggregate(self, name: _Token) -> Aggregate:
        measure = self._need_word("una medida, por ejemplo alerta")
        field = self._need_word("un campo").text if self._skip(".") else ""
        tests: list[tuple[Test, ...]] = []
        while self._skip(","):
            tests.append(self._alternatives())
        days, years_back, where = _window(tests)
        if name.text == "pob":
            return _population(name, measure, where, days, years_back)
        if (name.text == "n") == bool(field):
            how = "n(alerta, …)" if field else f"{name.text}({measure.text}.campo, …)"
            raise _error(measure.column, f"{name.text} se escribe {how}")
        return Aggregate(name.text, measure.text, field, where, days, years_back, name.column)

    def _alternatives(self) -> tuple[Test, ...]:
        tests = [self._test()]
        while self._skip("or"):
            tests.append(self._test())
        return tuple(tests)

    def _test(self) -> Test:
        field = self._need_word("una condición, por ejemplo cerrada o prioridad=1")
        if self._skip("in"):
            return Test(field.text, "in", tuple(self._list()), field.column)
        if sign := self._skip(*COMPARISONS):
            return Test(field.text, sign.text, (self._value(),), field.column)
        return Test(field.text, "is", (), field.column)

    def _list(self) -> Iterator[str | float | Duration]:
        self._need("[", "después de in")
        yield self._value()
        while self._skip(","):
            yield self._value()
        self._need("]", "que cierra la lista")

    def _value(self) -> str | float | Duration:
        token = self._take()
        if token.kind == "number":
            return float(token.text)
        if token.kind == "duration":
            return _duration(token)
        if token.kind == "text":
            return token.text.strip('"')
        if token.kind != "word":
            raise _error(token.column, f"se esperaba un valor y hay «{token.text}»")
        text = token.text
        while self._skip("."):
            text += f".{self._need_word('el resto del código').text}"
        return text


def _duration(token: _Token) -> Duration:
    number = token.text.rstrip("smindha")
    unit = token.text[len(number) :]
    if unit == "a":
        if not number.isdigit():
            raise _error(token.column, f"«{token.text}» no vale; los años son enteros, por ejemplo 1a")
        return Duration(token.text, 0.0, int(number))
    return Duration(token.text, float(number) * _UNIT_S[unit])


def _window(tests: list[tuple[Test, ...]]) -> tuple[int | None, int, tuple[tuple[Test, ...], ...]]:
    """Takes ``ventana`` and ``hace`` out of the conditions."""
    days, years_back = None, 0
    where = []
    for group in tests:
        test = group[0]
        if len(group) > 1 or test.field not in ("ventana", "hace"):
            where.append(group)
            continue
        value = test.values[0] if test.values else None
        if test.field == "ventana":
            days = _whole_days(test, value)
        else:
            years_back = _years(test, value)
    return days, years_back, tuple(where)


def _whole_days(test: Test, value: object) -> int:
    if test.op != "=" or not isinstance(value, Duration) or value.years or value.seconds % 86_400:
        raise _error(test.column, "ventana lleva días enteros: ventana=28d")
    days = int(value.seconds // 86_400)
    if not 1 <= days <= 366:
        raise _error(test.column, "ventana va de 1d a 366d")
    return days


def _years(test: Test, value: object) -> int:
    if test.op != "=" or not isinstance(value, Duration) or not 1 <= value.years <= 10:
        raise _error(test.column, "hace lleva años enteros, de 1a a 10a: hace=1a")
    return value.years


def _population(
    name: _Token, measure: _Token, where: tuple[tuple[Test, ...], ...], days: int | None, years_back: int
) -> Aggregate:
    """``pob(sector, flotante=true)`` is a sum over the measure sector."""
    options = [test for group in where for test in group if test.field == "flotante"]
    rest = tuple(group for group in where if not any(test in options for test in group))
    if measure.text != "sector":
        raise _error(measure.column, "la población se pide por sector: pob(sector) o pob(sector, …)")
    if any(test.op not in ("=", "is") or test.values not in ((), ("true",), ("false",)) for test in options):
        raise _error(options[0].column, "flotante es true o false")
    is_floating = any(test.values != ("false",) for test in options)
    field = "con_flotante" if is_floating else "residentes"
    return Aggregate("sum", "sector", field, rest, days, years_back, name.column)


# ------------------------------------------------------------------------------------------- reading


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it."""
    yield node
    if isinstance(node, Binary):
        yield from walk(node.left)
        yield from walk(node.right)
    elif isinstance(node, Call):
        for argument in node.arguments:
            yield from walk(argument)


def aggregates(node: Node) -> list[Aggregate]:
    """The aggregates of a formula, from left to right."""
    return [part for part in walk(node) if isinstance(part, Aggregate)]


def references(node: Node) -> list[Reference]:
    return [part for part in walk(node) if isinstance(part, Reference)]


def render(node: Node) -> str:
    """The formula in its one normal spelling: parsing it gives the same tree but for columns."""
    if isinstance(node, Number):
        return _plain_number(node.value)
    if isinstance(node, Reference):
        return f'ind("{node.indicator}")'
    if isinstance(node, Call):
        return f"{node.name}({', '.join(render(part) for part in node.arguments)})"
    if isinstance(node, Binary):
        return f"({render(node.left)} {node.op} {render(node.right)})"
    return render_aggregate(node)


def _plain_number(value: float) -> str:
    """The shortest decimal that is this number, never with an exponent."""
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def render_aggregate(node: Aggregate) -> str:
    subject = f"{node.measure}.{node.field}" if node.field else node.measure
    parts = [subject, *(" or ".join(_render_test(test) for test in group) for group in node.where)]
    parts += [f"ventana={node.days}d"] if node.days else []
    parts += [f"hace={node.years_back}a"] if node.years_back else []
    return f"{node.function}({', '.join(parts)})"


def _render_test(test: Test) -> str:
    values = [_render_value(value) for value in test.values]
    if test.op == "is":
        return test.field
    if test.op == "in":
        return f"{test.field} in [{', '.join(values)}]"
    return f"{test.field}{test.op}{values[0]}"


def _render_value(value: str | float | Duration) -> str:
    if isinstance(value, Duration):
        return value.text
    if isinstance(value, float):
        return _plain_number(value)
    return value if re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", value) else f'"{value}"'


def version(node: Node) -> str:
    """Twelve digits that change with the formula's meaning, not with its spelling."""
    return hashlib.sha256(render(node).encode()).hexdigest()[:12]
