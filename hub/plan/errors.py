"""What can be wrong with a plan: with its file, or with one formula of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from hub.nodes import Problem


class PlanError(Exception):
    """Base of this room's errors; the message is Spanish and says what to do."""


@dataclass(frozen=True, slots=True)
class FormulaProblem:
    """One mistake in a formula; ``column`` counts from 1."""

    column: int
    text: str

    def __str__(self) -> str:
        return f"columna {self.column}: {self.text}"


class FormulaError(PlanError):
    """A formula that cannot be used; holds every mistake that could be told apart."""

    def __init__(self, problems: Sequence[FormulaProblem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = list(problems)


class PlanFileError(PlanError):
    """A file that cannot be loaded; holds every mistake found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = list(problems)
