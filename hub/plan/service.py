"""The plan's one door for the command line and the console: which plan rules, and its figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from hub.database import Pool
from hub.plan import freezing, versions
from hub.plan.errors import PlanError
from hub.plan.facts import Asking
from hub.plan.freezing import LIBRARY, Set, Snapshot, Verification
from hub.plan.loading import load_library, load_topics
from hub.plan.model import INDICATOR_PERIODS, Indicator, Topics
from hub.plan.periods import Period, last_finished
from hub.plan.versions import Version


@dataclass(frozen=True, slots=True)
class Frozen:
    """What a round of freezing did; ``already`` periods were frozen before."""

    new: Sequence[Snapshot]
    already: Sequence[str]


@cache
def library() -> tuple[Indicator, ...]:
    return load_library()


class TopicsBook:
    """The topics of a municipality's own file; without it, the hub's."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    def __call__(self) -> Topics:
        if self._path is None or not self._path.is_file():
            return load_topics()
        return load_topics(self._path.read_text("utf-8"), self._path.name)


async def sets(pool: Pool, topics: Topics, at: datetime) -> list[Set]:
    """The plan in force, if any, and the ready indicators."""
    version = await versions.current(pool, topics, at)
    found = [] if version is None else [_set_of(version)]
    return [*found, Set(LIBRARY, 0, library())]


def _set_of(version: Version) -> Set:
    return Set(version.plan.id, version.plan.update, tuple(version.plan.indicators()))


async def freeze(
    pool: Pool,
    topics: Topics,
    period: Period | None,
    asking: Asking,
    *,
    author: str,
    reason: str = "",
) -> Frozen:
    """Freeze one period, or without one the last finished of each kind; ``reason`` corrects."""
    new: list[Snapshot] = []
    already: list[str] = []
    kinds = [kind for kind in INDICATOR_PERIODS if kind != "operativo"]
    periods = [period] if period else [last_finished(kind, asking.as_of) for kind in kinds]
    for one in periods:
        for of in await sets(pool, topics, asking.as_of):
            if not of.of_kind(one.kind):
                continue
            frozen = await freezing.freeze(pool, of, one, asking, author=author, reason=reason)
            new += frozen
            already += [] if frozen else [f"{of.plan_id} {one.label}"]
    return Frozen(new, already)


async def verify(pool: Pool, topics: Topics, snapshot_id: int) -> Verification:
    """Raises :class:`PlanError` for a snapshot, or a plan's version, that is not there."""
    snapshot = await freezing.find(pool, snapshot_id)
    return await freezing.verify(pool, snapshot, await _indicators_of(pool, topics, snapshot))


async def _indicators_of(pool: Pool, topics: Topics, snapshot: Snapshot) -> Sequence[Indicator]:
    if snapshot.plan_id == LIBRARY:
        return library()
    update = _document(snapshot)["update"]
    for version in await versions.versions(pool, topics):
        if (version.plan.id, version.plan.update) == (snapshot.plan_id, update):
            return tuple(version.plan.indicators())
    raise PlanError(f"no está la actualización {update} de {snapshot.plan_id} con que se congeló")


def _document(snapshot: Snapshot) -> Mapping[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(snapshot.document)
    return found
