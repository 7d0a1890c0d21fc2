"""The transports of one hub as they are now: who takes what, who is held back, how fast each is."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from hub.clock import Clock
from hub.notify.routing import (
    CLOSED,
    PRIORITIES,
    WELL,
    Condition,
    Rest,
    Share,
    Terms,
    has_other,
    share_of,
    want_key,
    ways_of,
)
from hub.notify.transports import Health, TransportError

log = logging.getLogger(__name__)

_NEW_WEIGHT = 0.2
"""Of the last text in the mean time a text takes: about the last ten texts count."""


@dataclass
class Router:
    """``on_change`` is called when somebody may have to take over, or may work again."""

    terms: Sequence[Terms]
    clock: Clock
    on_change: Callable[[], None] = lambda: None
    conditions: dict[str, Condition] = field(default_factory=dict)
    s_per_text: dict[str, float] = field(default_factory=dict)
    _peaceful: dict[str, Share | None] = field(default_factory=dict)

    def terms_of(self, name: str) -> Terms:
        return next(one for one in self.terms if one.name == name)

    def ways(self) -> tuple[str, ...]:
        return ways_of(self.terms)

    def share(self, name: str) -> Share | None:
        """What the transport claims now; None: nothing."""
        if not all(condition == WELL for condition in self.conditions.values()):
            return share_of(name, self.terms, self.conditions, self.clock.now())
        # on the alarm's way, and the same as long as all are well
        if name not in self._peaceful:
            self._peaceful[name] = share_of(name, self.terms, {}, self.clock.now())
        return self._peaceful[name]

    def first_for(self, way: str) -> str | None:
        """Who takes the most urgent texts of a way, of every group without a transport of its own."""
        key = want_key(way, PRIORITIES[0])
        for one in self.terms:
            share = self.share(one.name)
            if share is not None and key in share.wants.keys:
                return one.name
        return None

    def has_other(self, name: str) -> bool:
        return has_other(name, self.terms, self.conditions)

    def condition(self, name: str) -> Condition:
        return self.conditions.get(name) or Condition()

    def sent(self, name: str, took_s: float) -> None:
        old = self.condition(name)
        if old.breaker != CLOSED:
            self._set(name, replace(old, breaker=CLOSED))
        if old.rest is not None and self.clock.now() >= old.rest.until:
            self._set(name, replace(self.condition(name), rest=None))
        each_s = took_s / self.terms_of(name).parallel
        before_s = self.s_per_text.get(name, each_s)
        self.s_per_text[name] = before_s + _NEW_WEIGHT * (each_s - before_s)

    def failed(self, name: str, error: TransportError, priority: int = PRIORITIES[0]) -> None:
        """Trouble of the transport opens its breaker; what is wrong with one phone, or a SIM's limit, not."""
        old, now = self.condition(name), self.clock.now()
        if error.rest_s is not None:
            rest = Rest(priority, now + timedelta(seconds=error.rest_s))
            log.info("%s: %s; priority %d and below wait or take another", name, error, priority)
            self.conditions[name] = replace(old, breaker=old.breaker.refused(), rest=rest)
            self.on_change()
            return
        breaker = old.breaker.refused() if error.permanent else old.breaker.failed(now)
        self._set(name, replace(old, breaker=breaker))

    def note_health(self, name: str, health: Health) -> None:
        self._set(name, replace(self.condition(name), is_healthy=health.is_ok))

    def _set(self, name: str, new: Condition) -> None:
        old = self.condition(name)
        self.conditions[name] = new
        if old.is_well != new.is_well:
            log.warning("transport %s %s", name, "works again" if new.is_well else "is held back")
            self.on_change()


def router_for(names: Sequence[str], clock: Clock) -> Router:
    """Each transport on the way of its own name and no other."""
    return Router([Terms(name=name, ways=(name,)) for name in names], clock)
