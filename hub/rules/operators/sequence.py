"""One thing after another (or together with it) within a time."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hub.rules.model import Asked, Happening, Signal, Step, Told, seconds

MAX_HITS = 50
"""Instants kept of one link; older ones cannot be part of a shorter chain."""


@dataclass(frozen=True, slots=True)
class Link:
    """One part of the chain: an event of this type, or a reading beyond ``limit``."""

    name: str
    is_event: bool
    is_above: bool = True
    limit: float = 0.0

    def fits(self, signal: Signal) -> bool:
        if isinstance(signal, Happening):
            return self.is_event and signal.type == self.name
        if self.is_event or signal.quantity != self.name:
            return False
        return signal.value >= self.limit if self.is_above else signal.value <= self.limit


@dataclass(frozen=True, slots=True)
class Sequence:
    """All ``links`` within ``within_s``: in their order, or in any (``is_ordered`` False).

    State: ``{"hits": [[instants of link 0], ...], "told": instant}``, by when they happened.
    """

    links: tuple[Link, ...]
    within_s: float
    is_ordered: bool = True
    keep_s: float = 0.0
    is_stateful: bool = True

    @property
    def events(self) -> frozenset[str]:
        return frozenset(link.name for link in self.links if link.is_event)

    @property
    def quantities(self) -> frozenset[str]:
        return frozenset(link.name for link in self.links if not link.is_event)

    def step(self, state: dict[str, Any] | None, signal: Signal, asked: Asked) -> Step | None:
        fitting = [index for index, link in enumerate(self.links) if link.fits(signal)]
        at_s = seconds(signal.at)
        told_s = state["told"] if state else 0.0
        if not fitting or at_s <= told_s or not asked.holds():
            return None
        hits: list[list[float]] = [list(h) for h in state["hits"]] if state else [[] for _ in self.links]
        for index in fitting:
            hits[index] = sorted({*hits[index], at_s})
        end_s = self._complete_at(hits, at_s)
        if end_s is not None:
            rest = [[t for t in times if t > end_s] for times in hits]
            return Step({"hits": rest, "told": end_s}, told=Told(end_s, is_late=asked.is_late(end_s)))
        oldest_s = max(times[-1] for times in hits if times) - self.within_s - self.keep_s
        kept = [[t for t in times if t > oldest_s][-MAX_HITS:] for times in hits]
        return Step({"hits": kept, "told": told_s})

    def _complete_at(self, hits: list[list[float]], at_s: float) -> float | None:
        """The first instant, not before the new signal, at which the chain is whole."""
        last: Iterable[list[float]] = hits[-1:] if self.is_ordered else hits
        ends = sorted(t for times in last for t in times if at_s <= t <= at_s + self.within_s)
        whole = self._is_chain if self.is_ordered else self._is_together
        return next((end_s for end_s in ends if whole(hits, end_s)), None)

    def _is_chain(self, hits: list[list[float]], end_s: float) -> bool:
        """Going back from the end, the latest instant of each link leaves the most room."""
        before_s = end_s
        for times in reversed(hits[:-1]):
            earlier = [t for t in times if t < before_s]
            if not earlier:
                return False
            before_s = earlier[-1]
        return end_s - before_s <= self.within_s

    def _is_together(self, hits: list[list[float]], end_s: float) -> bool:
        return all(any(end_s - self.within_s <= t <= end_s for t in times) for times in hits)
