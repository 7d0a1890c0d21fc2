"""The loop behind answers, news, outcomes, calls and drills. Rows are its queue."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

from hub.clock import Clock, wake_or_sleep
from hub.database import UNAVAILABLE
from hub.notify import call_tree, drills, following, inbound
from hub.notify.inbound import Desk

log = logging.getLogger(__name__)

POLL_S = 1.0
"""Finds what another hub stored; a text of our own transports wakes the loop itself."""
PLAN_EVERY = timedelta(hours=1)


async def people_loop(desk: Desk, clock: Clock, heard: asyncio.Event) -> None:
    """For ever; ``heard`` says that a text was stored. Any number of hubs may run this on one database."""
    plan_at = clock.now()
    while True:
        heard.clear()
        now = clock.now()
        await run_once(desk, now)
        if now >= plan_at:
            plan_at = now + PLAN_EVERY
            await _guarded("upkeep", partial(_upkeep, desk, now))
        await wake_or_sleep(heard, clock, POLL_S)


async def run_once(desk: Desk, now: datetime) -> None:
    """Everything that is due; one that fails does not hold up the others."""
    acts: tuple[tuple[str, Callable[[], Awaitable[int]]], ...] = (
        ("texts", lambda: desk.handle_due(now)),
        ("news", lambda: following.tell_news(desk.pool, now)),
        ("outcomes", lambda: following.tell_outcomes(desk.pool, now)),
        ("calls", lambda: call_tree.watch_quorums(desk.pool, now)),
        ("drills", lambda: drills.run_due(desk.pool, desk.settings, now)),
    )
    done = 0
    for what, act in acts:
        done += await _guarded(what, act)
    if done:
        desk.wake()


async def _guarded(what: str, act: Callable[[], Awaitable[int]]) -> int:
    try:
        return await act()
    except UNAVAILABLE as error:
        log.warning("%s wait: database away (%s)", what, type(error).__name__)
    except Exception as error:
        # the type alone: an unknown error may hold a number; the others still get their turn
        log.error("%s failed: %s", what, type(error).__name__)  # noqa: TRY400
        log.debug("%s", what, exc_info=error)
    return 0


async def _upkeep(desk: Desk, now: datetime) -> int:
    await drills.plan(desk.pool, now)
    await inbound.forget_old(desk.pool, now)
    return 0
