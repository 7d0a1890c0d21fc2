"""What every document is made with, and what kinds of documents there are."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hub.alerts.catalogue import Catalogue
from hub.database import Pool
from hub.papers.paper import Paper
from hub.plan.facts import Asking
from hub.plan.model import Topics
from hub.plan.parameters import parameters_of
from hub.plan.periods import Period

Progress = Callable[[int, int, str], Awaitable[None]]
"""Told (steps done, steps in all, what comes next in Spanish)."""


async def silent(_done: int, _of: int, _next: str) -> None:
    """Nobody waits."""


class PaperError(Exception):
    """A document that cannot be made; the message is Spanish and says what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """``as_of`` UTC: what was recorded later is not known to the document."""

    pool: Pool
    as_of: datetime
    commune: str
    catalogue: Catalogue
    topics: Topics
    progress: Progress = silent
    parameters: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", parameters_of(self.catalogue))

    @property
    def asking(self) -> Asking:
        return Asking(as_of=self.as_of, parameters=self.parameters)

    @property
    def letterhead(self) -> str:
        return f"{self.commune} · Dirección de Seguridad Pública"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a document is about: a period, or one thing by its folio or number."""

    label: str
    period: Period | None = None


Build = Callable[[Desk, Subject], Awaitable[Paper]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """``of`` is a kind of period, or ``folio`` where the subject is one thing."""

    id: str
    name: str
    doc: str
    of: str
    build: Build
    is_public: bool = False
