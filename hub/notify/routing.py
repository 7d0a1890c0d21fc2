"""Which transport takes which texts: by way, urgency, group, order and cost, around what is down. Pure.

A text names a *way* (``sms``, ``telegram``, or one transport by its name). Of the transports that go that way
the best that is well takes it; equals share. The rows stay where they are: a transport that is down simply
claims nothing, and the next one claims what it left.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

PRIORITIES = (1, 2, 3, 4)

OPEN_AFTER = 3
"""Failures in a row: fewer are bad luck, and each one costs a text up to eight seconds."""
OPEN_FIRST_S = 10.0
OPEN_MAX_S = 300.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What a transport is for. ``order`` 1 comes first, then ``cost`` decides, in pesos a text.

    Empty ``groups``: texts to every group. ``batch`` is how many texts it claims at once and ``parallel`` how
    many it sends at once: a modem takes one by one, so that another can take the rest. ``timeout_s`` is its
    time to answer; None: what every transport has.
    """

    name: str
    ways: tuple[str, ...] = ("sms",)
    order: int = 1
    cost: float = 0.0
    priorities: frozenset[int] = frozenset(PRIORITIES)
    groups: frozenset[str] = frozenset()
    batch: int = 50
    parallel: int = 1
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Breaker:
    """Holds a transport back after failures in a row, longer each time; then one text probes it."""

    failures: int = 0
    open_until: datetime | None = None
    open_s: float = 0.0

    def is_open(self, now: datetime) -> bool:
        return self.open_until is not None and now < self.open_until

    def is_probing(self, now: datetime) -> bool:
        return self.open_until is not None and now >= self.open_until

    def failed(self, now: datetime) -> "Breaker":
        """After trouble of the transport itself; a number that does not exist is none."""
        failures = self.failures + 1
        if failures < OPEN_AFTER and self.open_until is None:
            return replace(self, failures=failures)
        open_s = min(OPEN_MAX_S, self.open_s * 2 or OPEN_FIRST_S)
        return Breaker(failures, now + timedelta(seconds=open_s), open_s)

    def refused(self) -> "Breaker":
        """After a refusal of one phone or text: the other side is there, which ends a probe, and no more."""
        return self if self.open_until is None else CLOSED


CLOSED = Breaker()


@dataclass(frozen=True, slots=True)
class Rest:
    """A SIM that has sent what its operator tolerates takes nothing of priority ``least`` and below."""

    least: int
    until: datetime

    def covers(self, priority: int, now: datetime) -> bool:
        return priority >= self.least and now < self.until


@dataclass(frozen=True, slots=True)
class Condition:
    """How a transport is: what its texts and its own health say. One that rests is well."""

    breaker: Breaker = CLOSED
    is_healthy: bool = True
    rest: Rest | None = None

    @property
    def is_well(self) -> bool:
        return self.is_healthy and self.breaker.open_until is None

    def is_probing(self, now: datetime) -> bool:
        return self.is_healthy and self.breaker.is_probing(now)

    def rests(self, priority: int, now: datetime) -> bool:
        return self.rest is not None and self.rest.covers(priority, now)


WELL = Condition()


@dataclass(frozen=True, slots=True)
class Wants:
    """Which rows a transport takes: ``keys`` are ``<way> <priority> <group>``, the group empty unless it is
    one of ``groups``, which have transports of their own. ``least``: the least urgent priority among them.
    """

    keys: tuple[str, ...]
    groups: tuple[str, ...] = ()
    least: int = PRIORITIES[-1]


def want_key(way: str, priority: int, group: str = "") -> str:
    return f"{way} {priority} {group}"


def everything_for(way: str) -> Wants:
    """All rows of one way."""
    return Wants(tuple(want_key(way, priority) for priority in PRIORITIES))


@dataclass(frozen=True, slots=True)
class Share:
    """What a transport takes now; ``is_cautious``: one text at a time, to see whether it works."""

    wants: Wants
    is_cautious: bool = False


def share_of(
    name: str, terms: Sequence[Terms], conditions: Mapping[str, Condition], now: datetime
) -> Share | None:
    """What the transport takes now; None: nothing, the others do."""
    groups = tuple(sorted({group for one in terms for group in one.groups}))
    keys: list[tuple[int, str]] = []
    is_cautious = not conditions.get(name, WELL).is_well
    for way in ways_of(terms):
        for priority in PRIORITIES:
            for group in ("", *groups):
                if name in _chosen(way, priority, group, terms, conditions, now):
                    keys.append((priority, want_key(way, priority, group)))
    if not keys:
        return None
    wants = Wants(tuple(key for _, key in keys), groups, max(priority for priority, _ in keys))
    return Share(wants, is_cautious)


def ways_of(terms: Iterable[Terms]) -> tuple[str, ...]:
    """Every way that some transport goes, the transports' own names among them."""
    return tuple(sorted({way for one in terms for way in (one.name, *one.ways)}))


def has_other(name: str, terms: Sequence[Terms], conditions: Mapping[str, Condition]) -> bool:
    """Whether somebody who is well could take over what this transport leaves."""
    mine = next(one for one in terms if one.name == name)
    return any(
        one.name != name and set(one.ways) & set(mine.ways) and conditions.get(one.name, WELL).is_well
        for one in terms
    )


def _chosen(
    way: str,
    priority: int,
    group: str,
    terms: Sequence[Terms],
    conditions: Mapping[str, Condition],
    now: datetime,
) -> set[str]:
    """The best that are well and meant for this; else well at all; else all, because one of them may work.

    Those that rest are none of them: what nobody takes waits.
    """
    able = [t for t in _going(way, terms) if not conditions.get(t.name, WELL).rests(priority, now)]
    meant = [t for t in able if priority in t.priorities and _serves(t, group, able)] or able
    probing = {t.name for t in meant if conditions.get(t.name, WELL).is_probing(now)}
    for candidates in (meant, able):
        well = [t for t in candidates if conditions.get(t.name, WELL).is_well]
        if well:
            best = min(_rank(t, way) for t in well)
            return {t.name for t in well if _rank(t, way) == best} | probing
    return {t.name for t in meant}


def _going(way: str, terms: Sequence[Terms]) -> list[Terms]:
    """The transports of a way; where the way is one of them, those beside it stand in for it."""
    named = next((t for t in terms if t.name == way), None)
    ways = {way} if named is None else {way, *named.ways}
    return [t for t in terms if t.name == way or ways & set(t.ways)]


def _serves(terms: Terms, group: str, able: Sequence[Terms]) -> bool:
    """A group that has a transport of its own uses that; the others use those without groups."""
    if any(group in one.groups for one in able):
        return group in terms.groups
    return not terms.groups


def _rank(terms: Terms, way: str) -> tuple[bool, int, float]:
    return (terms.name != way, terms.order, terms.cost)
