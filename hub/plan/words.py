"""A formula as a sentence, for people who will never read its signs. Pure."""

from hub.plan.formula import (
    AGGREGATES,
    Aggregate,
    Binary,
    Call,
    Duration,
    Node,
    Number,
    Reference,
    Test,
    render,
)
from hub.plan.measures import VOCABULARY

_SIGNS = {"+": "más", "-": "menos", "*": "por", "/": "dividido por"}
_COMPARED = {
    "<=": "a lo más",
    ">=": "al menos",
    "<": "menos de",
    ">": "más de",
    "=": "",
    "!=": "distinto de",
}
_UNITS = {"min": "minutos", "s": "segundos", "h": "horas", "d": "días", "a": "años"}


def in_words(node: Node) -> str:
    """«100 por la cantidad de alertas (cerrada), dividido por …»."""
    if isinstance(node, Number):
        return render(node).replace(".", ",")
    if isinstance(node, Reference):
        return f"el indicador {node.indicator}"
    if isinstance(node, Call):
        return _call(node)
    if isinstance(node, Binary):
        return f"{_operand(node.left, node.op)} {_SIGNS[node.op]} {_operand(node.right, node.op)}"
    return _aggregate(node)


def _operand(node: Node, op: str) -> str:
    """Sums inside of products need their brackets also in words."""
    is_sum = isinstance(node, Binary) and node.op in "+-" and op in "*/"
    return f"({in_words(node)})" if is_sum else in_words(node)


def _call(node: Call) -> str:
    first, second = in_words(node.arguments[0]), in_words(node.arguments[1])
    if node.name == "percent":
        return f"de cada cien: {first}, sobre {second}"
    if node.name == "change":
        return f"variación en %: {first}, comparado con {second}"
    return f"por cada {in_words(node.arguments[2])}: {first}, sobre {second}"


def _aggregate(node: Aggregate) -> str:
    measure = VOCABULARY[node.measure]
    if node.measure == "sector" and node.field:
        what = "la población" + (" con visitantes" if node.field == "con_flotante" else "")
    elif node.function == "n":
        what = f"cantidad de {measure.noun}"
    else:
        what = f"{AGGREGATES[node.function]} de «{node.field.replace('_', ' ')}» de {measure.noun}"
    conditions = [" o ".join(_test(test) for test in group) for group in node.where]
    conditions += [f"en {node.days} días"] if node.days else []
    conditions += (
        [f"hace {node.years_back} {'año' if node.years_back == 1 else 'años'}"] if (node.years_back) else []
    )
    return f"{what} ({'; '.join(conditions)})" if conditions else what


def _test(test: Test) -> str:
    name = test.field.replace("_", " ")
    values = [_value(value) for value in test.values]
    if test.op == "is" or values == ["true"]:
        return name
    if values == ["false"]:
        return f"no {name}"
    if test.op == "in":
        return f"{name}: {', '.join(values[:-1])} o {values[-1]}" if values[1:] else f"{name}: {values[0]}"
    return " ".join(filter(None, (name, _COMPARED[test.op], values[0])))


def _value(value: str | float | Duration) -> str:
    if isinstance(value, Duration):
        number = value.text.rstrip("smindha")
        return f"{number} {_UNITS[value.text[len(number) :]]}"
    return value.replace("_", " ") if isinstance(value, str) else f"{value:g}"
