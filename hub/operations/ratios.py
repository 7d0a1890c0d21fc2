"""Counts compared honestly: exact intervals for ratios of small counts. Pure.

Counts of events are taken as Poisson. Given their sum, one of two counts is binomial, and given all margins
one of four is hypergeometric; both intervals come from turning the exact tails round (Clopper and Pearson
1934; Fisher's odds ratio). Nothing is approximated below :data:`EXACT_UP_TO` events.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

CONFIDENCE = 0.95
EXACT_UP_TO = 500
"""Above it the exact tail costs a long sum, and the Wilson interval differs in the third digit."""
_Z = 1.959963984540054
_STEPS = 60


@dataclass(frozen=True, slots=True)
class Ratio:
    """``value`` None: nothing to divide by. ``high`` None: no upper bound can be told from these counts."""

    value: float | None
    low: float
    high: float | None

    @property
    def is_less(self) -> bool:
        return self.high is not None and self.high < 1

    @property
    def is_more(self) -> bool:
        return self.low > 1

    @property
    def may_be_chance(self) -> bool:
        return not (self.is_less or self.is_more)


def rate_ratio(count: int, base: int, exposure: float = 1.0, base_exposure: float = 1.0) -> Ratio:
    """(count / exposure) over (base / base_exposure), with its exact 95 % interval.

    Exposures are what the counts are to be measured by: days, or all events of the same time.
    """
    if exposure <= 0 or base_exposure <= 0:
        return Ratio(None, 0.0, None)
    scale = base_exposure / exposure
    low, high = _share_interval(count, count + base)
    return Ratio(
        count / base * scale if base else None,
        low / (1 - low) * scale,
        high / (1 - high) * scale if high < 1 else None,
    )


def relative_ratio(after: int, before: int, control_after: int, control_before: int) -> Ratio:
    """How a count changed against how a control changed: (after / before) over the same of the control."""
    below = before * control_after
    return Ratio(
        after * control_before / below if below else None,
        *_odds_interval(after, after + before, control_after + control_before, after + control_after),
    )


def poisson_tail(count: int, mean: float) -> float:
    """The chance of ``count`` or more where ``mean`` are expected."""
    if mean <= 0:
        return 0.0 if count else 1.0
    below = math.fsum(math.exp(i * math.log(mean) - mean - math.lgamma(i + 1)) for i in range(count))
    return max(0.0, 1.0 - below)


def binomial_tail(count: int, total: int, share: float) -> float:
    """The chance of ``count`` or more out of ``total``, each with the chance ``share``."""
    return min(1.0, math.fsum(_binomial(i, total, share) for i in range(count, total + 1)))


def _binomial(count: int, total: int, share: float) -> float:
    if share in (0.0, 1.0):
        return float(count == share * total)
    return math.exp(
        _log_choose(total, count) + count * math.log(share) + (total - count) * math.log1p(-share)
    )


def _share_interval(count: int, total: int) -> tuple[float, float]:
    if total == 0:
        return 0.0, 1.0
    if total > EXACT_UP_TO:
        return _wilson(count, total)
    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if count == 0 else _root(lambda p: binomial_tail(count, total, p) - tail)
    high = 1.0 if count == total else _root(lambda p: tail - (1 - binomial_tail(count + 1, total, p)))
    return low, high


def _wilson(count: int, total: int) -> tuple[float, float]:
    share, spread = count / total, _Z**2 / total
    middle = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(share * (1 - share) / total + spread / total / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def _root(rises: Callable[[float], float]) -> float:
    """Where a function that rises over 0..1 is zero."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if rises(middle) < 0 else (low, middle)
    return (low + high) / 2


def _odds_interval(count: int, row: int, other_row: int, column: int) -> tuple[float, float | None]:
    """Of the odds ratio of a table with these margins; ``count`` is its first cell."""
    least, most = max(0, column - other_row), min(row, column)
    weights = [_log_choose(row, x) + _log_choose(other_row, column - x) for x in range(least, most + 1)]
    if len(weights) == 1:
        return 0.0, None
    tail, place = (1 - CONFIDENCE) / 2, count - least

    def share(odds: float, first: int, last: int) -> float:
        """The chance of a first cell from ``first`` to ``last`` (places) where the odds ratio is ``odds``."""
        terms = [weight + x * math.log(odds) for x, weight in enumerate(weights)]
        top = max(terms)
        scaled = [math.exp(term - top) for term in terms]
        return math.fsum(scaled[first : last + 1]) / math.fsum(scaled)

    def odds(p: float) -> float:
        return max(p, 1e-12) / max(1 - p, 1e-12)

    end = len(weights) - 1
    low = 0.0 if place == 0 else odds(_root(lambda p: share(odds(p), place, end) - tail))
    high = None if place == end else odds(_root(lambda p: tail - share(odds(p), 0, place)))
    return low, high


def _log_choose(total: int, count: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(count + 1) - math.lgamma(total - count + 1)
