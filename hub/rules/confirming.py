"""Confirmation by people: when enough of them have said that it is true. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.alerts.finding import Confirm


@dataclass(frozen=True, slots=True)
class Answer:
    """What ``person`` said at ``at``: ``coming``, ``nothing_found`` or ``help``."""

    at: datetime
    person: str
    answer: str


def confirmed_at(confirm: Confirm, asked_at: datetime, answers: Iterable[Answer]) -> datetime | None:
    """When the question was answered with yes; None where it lapsed. A person's newest answer counts."""
    lapses_at = asked_at + timedelta(seconds=confirm.within_s)
    said: dict[str, str] = {}
    for answer in sorted(answers, key=lambda a: a.at):
        if not asked_at <= answer.at <= lapses_at:
            continue
        said[answer.person] = answer.answer
        if sum(word in confirm.answers for word in said.values()) >= confirm.at_least:
            return answer.at
    return None
