"""Which transport takes which texts, and the breaker that holds one back. Pure."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes import VirtualClock

from hub.notify.escalation import transport_for
from hub.notify.router import Router
from hub.notify.routing import CLOSED, OPEN_AFTER, OPEN_FIRST_S, Breaker, Condition, Terms, share_of
from hub.notify.transports import Health, TransportError

NOW = datetime(2026, 11, 24, 0, 4, tzinfo=UTC)


def terms(name: str, **changes: Any) -> Terms:
    return Terms(name=name, **changes)


def keys(name: str, all_terms: list[Terms], now: datetime = NOW, **conditions: Condition) -> set[str]:
    """``way priority group`` of what the transport takes."""
    share = share_of(name, all_terms, conditions, now)
    return set() if share is None else set(share.wants.keys)


SMS = {f"sms {priority} " for priority in (1, 2, 3, 4)}
SICK = Condition(is_healthy=False)


def opened(now: datetime = NOW) -> Condition:
    breaker = CLOSED
    for _ in range(OPEN_AFTER):
        breaker = breaker.failed(now)
    return Condition(breaker)


def test_the_first_in_order_takes_all_and_the_next_nothing() -> None:
    both = [terms("modem"), terms("entel", order=2)]
    assert keys("modem", both) >= SMS
    assert not keys("entel", both) & SMS


def test_of_one_order_the_cheaper_one_takes_it() -> None:
    both = [terms("dear", cost=35), terms("cheap", cost=0)]
    assert keys("cheap", both) >= SMS
    assert not keys("dear", both) & SMS


def test_equals_share() -> None:
    both = [terms("sim1"), terms("sim2")]
    assert keys("sim1", both) >= SMS
    assert keys("sim2", both) >= SMS


@pytest.mark.parametrize("down", [SICK, opened()])
def test_the_next_one_takes_over_what_is_down(down: Condition) -> None:
    both = [terms("modem"), terms("entel", order=2)]
    assert not keys("modem", both, modem=down) & SMS
    assert keys("entel", both, modem=down) >= SMS


def test_where_all_are_down_all_try_one_by_one() -> None:
    both = [terms("modem"), terms("entel", order=2)]
    for name in ("modem", "entel"):
        share = share_of(name, both, {"modem": SICK, "entel": opened()}, NOW)
        assert share is not None
        assert share.is_cautious
        assert set(share.wants.keys) >= SMS


def test_priorities_and_groups_are_kept_for_whom_they_are_meant() -> None:
    all_terms = [
        terms("modem", priorities=frozenset({1})),
        terms("cerro", groups=frozenset({"El Cerro"})),
        terms("bulk", priorities=frozenset({2, 3, 4})),
    ]
    assert keys("modem", all_terms) & SMS == {"sms 1 "}
    assert keys("bulk", all_terms) & SMS == SMS - {"sms 1 "}
    assert {key for key in keys("cerro", all_terms) if key.startswith("sms")} == {
        f"sms {priority} El Cerro" for priority in (1, 2, 3, 4)
    }
    # its own transport is down: the group is not left alone
    assert "sms 1 El Cerro" in keys("modem", all_terms, cerro=SICK) | keys("bulk", all_terms, cerro=SICK)
    # nobody is meant for it and well: whoever can
    assert "sms 1 " in keys("bulk", all_terms, modem=SICK)


def test_the_rows_are_read_no_further_than_needed() -> None:
    both = [terms("modem", priorities=frozenset({1, 2})), terms("bulk", order=2)]
    share = share_of("modem", both, {}, NOW)
    assert share is not None
    assert share.wants.least == 2
    assert "sms 3 " in keys("bulk", both)


def test_a_transport_that_is_named_is_preferred_and_stood_in_for() -> None:
    both = [terms("modem"), terms("entel", order=2)]
    assert "entel 1 " in keys("entel", both)
    assert "entel 1 " not in keys("modem", both)
    assert "entel 1 " in keys("modem", both, entel=SICK)


def test_other_ways_are_not_mixed() -> None:
    both = [terms("modem"), terms("canal", ways=("telegram",))]
    assert not keys("canal", both, modem=SICK) & SMS
    assert "telegram 2 " in keys("canal", both)


def test_the_breaker_opens_after_failures_in_a_row_and_longer_each_time() -> None:
    breaker = CLOSED
    for _ in range(OPEN_AFTER - 1):
        breaker = breaker.failed(NOW)
    assert breaker.open_until is None
    breaker = breaker.failed(NOW)
    assert breaker.is_open(NOW)
    later = NOW + timedelta(seconds=OPEN_FIRST_S)
    assert breaker.is_probing(later)
    again = breaker.failed(later)
    assert again.open_until == later + timedelta(seconds=2 * OPEN_FIRST_S)
    assert again.refused() == CLOSED


def test_a_probe_takes_one_text_beside_the_others() -> None:
    both, later = [terms("modem"), terms("entel", order=2)], NOW + timedelta(seconds=OPEN_FIRST_S)
    share = share_of("modem", both, {"modem": opened()}, later)
    assert share is not None
    assert share.is_cautious
    assert set(share.wants.keys) >= SMS
    assert keys("entel", both, later, modem=opened()) >= SMS


def router(*names: str) -> Router:
    return Router([terms(name, order=order) for order, name in enumerate(names, 1)], VirtualClock(NOW))


def test_a_wrong_number_opens_no_breaker() -> None:
    one = router("modem", "entel")
    for _ in range(10):
        one.failed("modem", TransportError("no existe", permanent=True))
    assert one.condition("modem").is_well
    for _ in range(OPEN_AFTER):
        one.failed("modem", TransportError("sin red", permanent=False))
    assert not one.condition("modem").is_well


def limit(rest_s: float = 60) -> TransportError:
    return TransportError("la SIM llegó a su límite", permanent=False, rest_s=rest_s)


def claimed(one: Router, name: str) -> set[str]:
    share = one.share(name)
    return set() if share is None else set(share.wants.keys) & SMS


def test_a_sim_at_its_limit_is_well_and_still_takes_life_alerts() -> None:
    one, woken = router("modem", "entel"), []
    one.on_change = lambda: woken.append(1)
    for _ in range(OPEN_AFTER + 1):
        one.failed("modem", limit(), priority=3)
    assert one.condition("modem").breaker == Breaker()
    assert one.condition("modem").is_well
    assert claimed(one, "modem") == {"sms 1 ", "sms 2 "}
    assert claimed(one, "entel") == {"sms 3 ", "sms 4 "}
    assert woken
    one.sent("modem", 4)  # out of the reserve
    assert claimed(one, "entel") == {"sms 3 ", "sms 4 "}


def test_what_only_a_resting_sim_takes_waits_for_it() -> None:
    clock = VirtualClock(NOW)
    one = Router([terms("modem")], clock)
    one.failed("modem", limit(), priority=2)
    assert claimed(one, "modem") == {"sms 1 "}
    one.failed("modem", limit(20), priority=1)
    assert claimed(one, "modem") == set()
    asyncio.run(clock.advance(20))
    assert claimed(one, "modem") == SMS
    one.sent("modem", 4)
    assert one.condition("modem").rest is None


def test_whoever_may_take_over_is_woken_once() -> None:
    one, woken = router("modem", "entel"), []
    one.on_change = lambda: woken.append(1)
    for _ in range(2 * OPEN_AFTER):
        one.failed("modem", TransportError("sin red", permanent=False))
    assert len(woken) == 1
    one.sent("modem", 0.5)
    assert len(woken) == 2
    assert one.condition("modem").breaker == Breaker()


def test_health_holds_back_and_lets_go() -> None:
    one = router("modem", "entel")
    assert one.share("entel") is None or "sms 1 " not in one.share("entel").wants.keys  # type: ignore[union-attr]
    one.note_health("modem", Health(is_ok=False))
    share = one.share("entel")
    assert share is not None
    assert "sms 1 " in share.wants.keys
    one.note_health("modem", Health(is_ok=True))
    share = one.share("modem")
    assert share is not None
    assert "sms 1 " in share.wants.keys


def test_the_rate_follows_the_last_texts() -> None:
    one = router("modem")
    for _ in range(50):
        one.sent("modem", 4.0)
    assert one.s_per_text["modem"] == pytest.approx(4.0)
    for _ in range(50):
        one.sent("modem", 1.0)
    assert one.s_per_text["modem"] == pytest.approx(1.0, abs=0.01)


def test_a_step_whose_way_is_missing_goes_by_sms() -> None:
    assert transport_for(("telegram", "sms"), ("canal", "sms")) == "sms"
    assert transport_for(("telegram",), ("a-channel", "sms")) == "sms"
    assert transport_for(("telegram",), ("a-channel",)) == "a-channel"
    assert transport_for(("telegram",), ()) == "sms"
