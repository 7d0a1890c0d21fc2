"""Repeats: events of one kind that follow each other at one place, as chains. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from hub.hotspots.model import Repeat

MAX_REPEATS = 50


def chained(ties: Sequence[Any]) -> list[Repeat]:
    """Chains of (alert, its nearest earlier one), the longest first, then the newest.

    Rows hold ``alert_id``, ``earlier``, ``earlier_at`` and the later event's own fields.
    """
    heads: dict[Any, Any] = {}

    def head(one: Any) -> Any:
        while heads.get(one, one) != one:
            heads[one] = heads.get(heads[one], heads[one])  # halves the way for the next who asks
            one = heads[one]
        return one

    for tie in ties:
        heads[head(tie["alert_id"])] = head(tie["earlier"])
    chains: dict[Any, list[Any]] = defaultdict(list)
    for tie in ties:
        chains[head(tie["alert_id"])].append(tie)
    found = [_repeat(chain) for chain in chains.values()]
    return sorted(found, key=lambda one: (-one.events, -one.last_at.timestamp()))[:MAX_REPEATS]


def _repeat(chain: Sequence[Any]) -> Repeat:
    newest = max(chain, key=lambda tie: tie["opened_at"])
    members: Iterable[Any] = {one for tie in chain for one in (tie["alert_id"], tie["earlier"])}
    return Repeat(
        newest["code"],
        newest["sector"],
        newest["place"],
        len(set(members)),
        min(tie["earlier_at"] for tie in chain),
        newest["opened_at"],
        newest["latitude"],
        newest["longitude"],
    )
