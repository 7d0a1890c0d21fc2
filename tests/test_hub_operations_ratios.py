"""Exact intervals, against published figures and against brute force in fractions."""

import math
from fractions import Fraction

import pytest

from hub.operations.ratios import (
    Ratio,
    binomial_tail,
    poisson_tail,
    rate_ratio,
    relative_ratio,
)


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [  # Clopper and Pearson, as R's binom.test prints them
        (10, 20, 0.2719578, 0.7280422),
        (1, 10, 0.0025286, 0.4450161),
        (0, 10, 0.0, 0.3084971),
        (7, 7, 0.5903836, 1.0),
    ],
)
def test_the_share_behind_a_ratio_has_its_published_interval(
    count: int, total: int, low: float, high: float
) -> None:
    found = rate_ratio(count, total - count)
    assert found.low == pytest.approx(low / (1 - low), abs=1e-5)
    assert found.high is None if high == 1 else found.high == pytest.approx(high / (1 - high), rel=1e-5)


def test_few_events_do_not_rule_out_chance_and_many_do() -> None:
    assert rate_ratio(7, 12).may_be_chance
    assert rate_ratio(70, 120).is_less
    assert rate_ratio(3, 20).is_less
    assert rate_ratio(20, 3).is_more


def test_exposure_is_what_counts_are_measured_by() -> None:
    found = rate_ratio(10, 100, exposure=28, base_exposure=280)
    assert found.value == pytest.approx(1.0)
    assert found.may_be_chance
    assert rate_ratio(1, 1, exposure=0) == Ratio(None, 0.0, None)


def test_nothing_before_is_no_ratio_but_still_a_bound() -> None:
    found = rate_ratio(8, 0)
    assert found.value is None
    assert found.high is None
    assert found.is_more
    assert rate_ratio(0, 0).may_be_chance


def test_a_control_that_fell_as_much_leaves_nothing() -> None:
    assert relative_ratio(70, 120, 70, 120).value == pytest.approx(1.0)
    assert relative_ratio(70, 120, 70, 120).may_be_chance
    assert relative_ratio(30, 120, 110, 120).is_less
    assert relative_ratio(5, 0, 4, 4).value is None


@pytest.mark.parametrize("table", [(3, 1, 1, 3), (7, 12, 9, 10), (2, 15, 10, 9), (0, 5, 4, 4)])
def test_the_odds_interval_turns_the_exact_tails_round(table: tuple[int, int, int, int]) -> None:
    after, before, control_after, control_before = table
    found = relative_ratio(after, before, control_after, control_before)

    def tail(odds: float, *, upper: bool) -> float:
        row, other, column = after + before, control_after + control_before, after + control_after
        chances = {
            x: math.comb(row, x) * math.comb(other, column - x) * Fraction(odds) ** x
            for x in range(max(0, column - other), min(row, column) + 1)
        }
        inside = sum(c for x, c in chances.items() if (x >= after if upper else x <= after))
        return float(inside / sum(chances.values()))

    if found.low:
        assert tail(found.low, upper=True) == pytest.approx(0.025, rel=1e-6)
    assert found.high is not None
    assert tail(found.high, upper=False) == pytest.approx(0.025, rel=1e-6)


def test_wilson_takes_over_without_a_jump() -> None:
    exact, wide = rate_ratio(200, 300), rate_ratio(201, 301)
    assert wide.low == pytest.approx(exact.low, rel=0.02)
    assert wide.high == pytest.approx(exact.high, rel=0.02)
    assert rate_ratio(40_000, 50_000).is_less


def test_tails_are_chances() -> None:
    assert poisson_tail(8, 3.0) == pytest.approx(0.0119045, rel=1e-4)
    assert poisson_tail(0, 3.0) == 1.0
    assert poisson_tail(3, 0.0) == 0.0
    expected = sum(Fraction(math.comb(7, k)) * 5 ** (7 - k) for k in range(5, 8)) / 6**7
    assert binomial_tail(5, 7, 1 / 6) == pytest.approx(float(expected))
    assert binomial_tail(3, 3, 1.0) == 1.0
