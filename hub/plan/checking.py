"""Does a formula speak of things that exist, in units that fit? Pure; all mistakes at once."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hub.plan.errors import FormulaError, FormulaProblem
from hub.plan.formula import (
    Aggregate,
    Binary,
    Call,
    Duration,
    Node,
    Number,
    Reference,
    Test,
    parse,
    references,
    render,
)
from hub.plan.vocabulary import Field, Kind, Measure, Vocabulary

ORDERED = (Kind.DURATION, Kind.NUMBER)


@dataclass(frozen=True, slots=True)
class Checked:
    """A formula that can be computed; ``unit`` is empty for a share or another pure number."""

    node: Node
    unit: str


def check(text: str, vocabulary: Vocabulary) -> Checked:
    """The formula of ``text``; raises :class:`FormulaError` with every mistake."""
    node = parse(text)
    checker = _Checker(vocabulary)
    unit = checker.unit(node)
    if checker.problems:
        raise FormulaError(checker.problems)
    return Checked(node, unit)


def nearest(word: str, words: Iterable[str]) -> str:
    """«…; quizás quiso decir X» or the whole list."""
    known = sorted(words)
    close = difflib.get_close_matches(word, known, 1)
    return f"quizás quiso decir «{close[0]}»" if close else f"use {', '.join(known)}"


class _Checker:
    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.problems: list[FormulaProblem] = []

    def _problem(self, column: int, text: str) -> None:
        self.problems.append(FormulaProblem(column, text))

    def unit(self, node: Node) -> str:
        """The unit of a part; its mistakes are collected."""
        if isinstance(node, Number | Reference):
            return ""
        if isinstance(node, Aggregate):
            return self._aggregate(node)
        if isinstance(node, Call):
            return self._call(node)
        return self._binary(node)

    def _binary(self, node: Binary) -> str:
        left, right = self.unit(node.left), self.unit(node.right)
        if node.op in "+-":
            if left != right and "?" not in left + right and not _is_zero(node.left):
                text = f"no se puede {_VERBS[node.op]} «{left or 'número'}» y «{right or 'número'}»"
                self._problem(node.column, f"{text}: son unidades distintas")
            return right if _is_zero(node.left) else left
        if node.op == "/":
            self._divisor(node.right)
            return _quotient(left, right)
        return left or right if not (left and right) else f"{left}·{right}"

    def _divisor(self, node: Node) -> None:
        if constant(node) == 0:
            self._problem(node.column, f"divide siempre por cero («{render(node)}»); corrija el denominador")

    def _call(self, node: Call) -> str:
        units = [self.unit(part) for part in node.arguments]
        self._divisor(node.arguments[1])
        if node.name == "change" and units[0] != units[1] and "?" not in units[0] + units[1]:
            text = f"change compara la misma unidad y aquí hay «{units[0]}» y «{units[1]}»"
            self._problem(node.column, text)
        if node.name == "rate" and not isinstance(node.arguments[2], Number):
            self._problem(node.arguments[2].column, "el tercer valor de rate es un número, por ejemplo 1000")
        return _quotient(units[0], units[1])

    def _aggregate(self, node: Aggregate) -> str:
        measure = self._vocabulary.get(node.measure)
        if measure is None:
            text = f"no existe la medida «{node.measure}»; {nearest(node.measure, self._vocabulary)}"
            self._problem(node.column, text)
            return "?"
        for group in node.where:
            for test in group:
                self._test(measure, test)
        return measure.noun if node.function == "n" else self._field_unit(measure, node)

    def _field_unit(self, measure: Measure, node: Aggregate) -> str:
        field = measure.by_name.get(node.field)
        numbers = [one.name for one in measure.fields if one.kind in ORDERED]
        if field is None or field.kind not in ORDERED:
            rest = nearest(node.field, numbers) if numbers else "use n(…)"
            self._problem(node.column, f"«{node.field}» no es un número de {measure.name}; {rest}")
            return "?"
        return field.unit

    def _test(self, measure: Measure, test: Test) -> None:
        field = measure.by_name.get(test.field)
        if field is None:
            rest = nearest(test.field, [*measure.by_name, "ventana", "hace"])
            self._problem(test.column, f"{measure.name} no tiene «{test.field}»; {rest}")
        elif problem := _test_problem(field, test):
            self._problem(test.column, problem)


_VERBS = {"+": "sumar", "-": "restar"}


def _is_zero(node: Node) -> bool:
    return isinstance(node, Number) and node.value == 0


def _quotient(left: str, right: str) -> str:
    if left == right:
        return ""
    return f"{left}/{right}" if right else left


def constant(node: Node) -> float | None:
    """The value of a part without measures; None where there is none."""
    if isinstance(node, Number):
        return node.value
    if not isinstance(node, Binary):
        return None
    left, right = constant(node.left), constant(node.right)
    if node.op == "*" and 0 in (left, right):
        return 0.0
    if node.op == "-" and render(node.left) == render(node.right):
        return 0.0
    if left is None or right is None or (node.op == "/" and right == 0):
        return None
    return {"+": left + right, "-": left - right, "*": left * right, "/": left / (right or 1)}[node.op]


def _test_problem(field: Field, test: Test) -> str:
    if test.op == "is":
        return "" if field.kind is Kind.FLAG else f"«{field.name}» necesita un valor: {field.name}=…"
    if field.kind is Kind.FLAG:
        is_good = test.op == "=" and test.values[0] in ("true", "false")
        return "" if is_good else f"«{field.name}» es sí o no: escriba {field.name} o {field.name}=false"
    if field.kind is Kind.WORD:
        return _word_problem(field, test)
    wanted, example = (Duration, "10min") if field.kind is Kind.DURATION else (float, "1")
    if not all(isinstance(value, wanted) and not getattr(value, "years", 0) for value in test.values):
        return f"«{field.name}» se compara con {'una duración' if wanted is Duration else 'un número'}: \
{field.name}<={example}"
    return ""


def _word_problem(field: Field, test: Test) -> str:
    if test.op not in ("=", "!=", "in"):
        return f"«{field.name}» es una palabra; use =, != o in [..]"
    if not all(isinstance(value, str) for value in test.values):
        return f"«{field.name}» se compara con una palabra"
    unknown = [value for value in test.values if field.words and value not in field.words]
    return (
        f"«{unknown[0]}» no es un valor de {field.name}; {nearest(str(unknown[0]), field.words)}"
        if (unknown)
        else ""
    )


# ------------------------------------------------------------------------------------------- order


def reference_problems(formulas: Mapping[str, Node]) -> dict[str, FormulaProblem]:
    """Indicators that name one that is not there, or that need themselves in the end."""
    problems = {}
    for name, node in formulas.items():
        for reference in references(node):
            if reference.indicator not in formulas:
                rest = nearest(reference.indicator, formulas)
                text = f"no existe el indicador «{reference.indicator}»; {rest}"
                problems[name] = FormulaProblem(reference.column, text)
            elif ring := _ring(name, formulas):
                text = f"el indicador se usa a sí mismo: {' → '.join(ring)}; quite uno de esos ind(…)"
                problems[name] = FormulaProblem(reference.column, text)
    return problems


def _ring(start: str, formulas: Mapping[str, Node]) -> list[str]:
    """The way from ``start`` back to itself; empty where there is none."""
    ways, seen = [[start]], set()
    while ways:
        way = ways.pop()
        for reference in references(formulas[way[-1]]) if way[-1] in formulas else ():
            if reference.indicator == start:
                return [*way, start]
            if reference.indicator not in seen:
                seen.add(reference.indicator)
                ways.append([*way, reference.indicator])
    return []


def in_order(formulas: Mapping[str, Node]) -> list[str]:
    """The indicators, each behind those that it names; only for formulas without a ring."""
    done: dict[str, None] = {}

    def visit(name: str) -> None:
        for reference in references(formulas[name]):
            if reference.indicator in formulas and reference.indicator not in done:
                visit(reference.indicator)
        done.setdefault(name)

    for name in formulas:
        visit(name)
    return list(done)
