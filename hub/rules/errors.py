"""What can be wrong with a rule: with its text (for its author), or while it runs (for the hub)."""

from collections.abc import Sequence

from hub.nodes import Problem


class RuleError(Exception):
    """Base of this package's errors."""


class RuleFileError(RuleError):
    """Rules that cannot be loaded; holds every mistake found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = list(problems)


class ConditionError(RuleError):
    """A condition that cannot be compiled, or that gave no yes or no; Spanish."""


class MissingFieldError(ConditionError):
    """A condition asked for a field that this message does not have: the rule does not apply."""
