"""Conditions in CEL (Common Expression Language), compiled once. Library: common-expression-language."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cel

from hub.rules.errors import ConditionError, MissingFieldError

VARIABLES = ("type", "data", "value", "device", "local", "near")
"""What a condition may look at; ``hub.rules.asking`` makes them."""
MAX_LENGTH = 500

_BOUND = re.compile(r"\.(?:all|exists|exists_one|map|filter)\(\s*(\w+)\s*,")
_SAMPLE: dict[str, Any] = {
    "type": "panic.pressed",
    "data": {},
    "value": 1.0,
    "device": {"kind": "", "name": "", "place": "", "sector": "", "gateway": "", "watch_group": ""},
    "local": {"hour": 12, "minute": 0, "weekday": 0, "month": 1, "day": 1, "holiday": False, "summer": True},
    "near": {},
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition. ``variables`` are those that it names, so that only they are made."""

    text: str
    variables: frozenset[str]
    _program: cel.Program = field(repr=False, compare=False)

    def holds(self, variables: Mapping[str, Any]) -> bool:
        """Yes or no; :class:`MissingFieldError` where a field is missing, else :class:`ConditionError`."""
        try:
            answer = self._program.execute(dict(variables))
        except KeyError as error:
            raise MissingFieldError(f"falta el campo {error}") from None
        except Exception as error:
            # The library raises what fits the mistake: TypeError, RuntimeError, ZeroDivisionError ...
            raise ConditionError(f"{type(error).__name__}: {_first_line(error)}") from error
        if not isinstance(answer, bool):
            raise ConditionError("la condición no da verdadero o falso")
        return answer


def compile_condition(text: str) -> Condition:
    """Raises :class:`ConditionError` with what to do, in Spanish."""
    if len(text) > MAX_LENGTH:
        raise ConditionError(f"la condición tiene más de {MAX_LENGTH} caracteres; divida la regla")
    try:
        program = cel.compile(text)
    except ValueError as error:
        raise ConditionError(f"la condición «{text}» no se entiende: {_syntax(error)}") from None
    unknown = set(program.variables()) - set(VARIABLES) - set(_BOUND.findall(text))
    if unknown:
        names = ", ".join(sorted(unknown))
        raise ConditionError(f"la condición usa «{names}»; solo existen {', '.join(VARIABLES)}")
    condition = Condition(text, frozenset(program.variables()) & frozenset(VARIABLES), program)
    _try_out(condition)
    return condition


def _try_out(condition: Condition) -> None:
    """Mistakes of type that do not depend on a message's own fields show at once."""
    try:
        condition.holds({name: _SAMPLE[name] for name in condition.variables})
    except MissingFieldError:
        return
    except ConditionError as error:
        raise ConditionError(f"la condición «{condition.text}» falla: {error}") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:160]


def _syntax(error: ValueError) -> str:
    found = re.search(r"<input>:\d+:(\d+): ([^\n]*)", str(error))
    return f"columna {found[1]}: {found[2][:120]}" if found else _first_line(error)
