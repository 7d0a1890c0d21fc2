"""An operator's center dies in the middle of an alert and another takes over: two real SMSCs, real time."""

import asyncio
import time
from collections import Counter

import pytest
from fakes import assert_in_time, eventually
from smsc import Smsc, bound
from test_hub_ledger import SETTINGS, people, raise_alert

from hub.clock import SystemClock
from hub.database import Pool
from hub.notify import service
from hub.notify.reporting import events_loop, tidy_loop
from hub.notify.router import Router
from hub.notify.routing import Terms
from hub.servers.child import free_port


@pytest.mark.speed
async def test_a_center_that_dies_in_the_middle_of_an_alert_is_taken_over(pool: Pool) -> None:
    first, second = Smsc(free_port()), Smsc(free_port())
    await first.start()
    await second.start()
    await people(pool, 60)
    clock = SystemClock()
    router = Router([Terms(name="operador", parallel=3), Terms(name="otro", order=2, parallel=3)], clock)
    async with bound(first) as operator, bound(second) as other:
        transports = {"operador": operator, "otro": other}
        wake = asyncio.Event()
        tasks = [
            asyncio.create_task(loop)
            for loop in (
                service.notify_loop(pool, transports, clock, wake, "hub", settings=SETTINGS, router=router),
                tidy_loop(pool, router, clock),
                *(events_loop(pool, name, transport, clock) for name, transport in transports.items()),
            )
        ]
        # the center takes twenty texts, then swallows what comes, then is gone
        await first.tell(mute_after=20)
        await raise_alert(pool, clock.now())
        wake.set()
        await eventually(lambda: any("muted" in line for line in first.heard))
        await first.kill()
        died_at = time.monotonic()
        await eventually(lambda: is_every_text_sent(pool))
        took_s = time.monotonic() - died_at
        await eventually(lambda: is_second_half_delivered(pool))
        for task in tasks:
            assert not task.done(), task
            task.cancel()
        await asyncio.wait(tasks)
    got = Counter(line.get("to") or line.get("muted") for line in first.heard if {"to", "muted"} & set(line))
    got += Counter(line["to"] for line in second.submits())
    assert len(got) == 61
    assert max(got.values()) == 2  # those that were swallowed: nobody knew
    assert_in_time(took_s, 10)
    await second.kill()


async def is_every_text_sent(pool: Pool) -> bool:
    return await pool.fetchval("select bool_and(state = 'sent') from notifications") is True


async def is_second_half_delivered(pool: Pool) -> bool:
    delivered = await pool.fetchval("select count(*) from notifications where is_delivered")
    return bool(delivered >= 41)
