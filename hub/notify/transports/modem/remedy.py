"""What to do with a modem that stopped answering: one step harder each time (pure)."""

from enum import Enum

DEAD_AFTER = 3
"""Failures in a row: answer lost, reopened without success, reset without success."""
RESET_EVERY = 5
"""A dead modem is reset again at every fifth attempt: heat or a cell's trouble may have passed."""


class Remedy(Enum):
    """In the order in which they are tried. Power can only be cut by a person or a switched hub."""

    REOPEN = "reopen"
    RESET = "reset"


def remedy(failures: int) -> Remedy:
    """``failures`` sessions in a row ended without an answer, at least one."""
    if failures < DEAD_AFTER - 1:
        return Remedy.REOPEN
    return Remedy.RESET if (failures - DEAD_AFTER + 1) % RESET_EVERY == 0 else Remedy.REOPEN


def is_dead(failures: int) -> bool:
    """Whether a person has to know."""
    return failures >= DEAD_AFTER
