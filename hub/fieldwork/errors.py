"""What can be wrong with what the street brings in."""

from collections.abc import Sequence

from hub.nodes import Problem


class FieldError(Exception):
    """Base of this room's errors; the message is Spanish and says what to do."""


class RefusedError(FieldError):
    """One item that cannot be taken as it is; the phone keeps it with this reason."""


class RegisterError(FieldError):
    """A file of permits that is not imported; holds every mistake found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = list(problems)


class VaultError(FieldError):
    """A photo that the vault does not take or cannot give."""
