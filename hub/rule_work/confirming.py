"""Questions to people are rows with a due time: an answer makes them due at once, the lapse at the latest."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from hub.alerts import questions
from hub.clock import Clock
from hub.database import UNAVAILABLE, Pool
from hub.rule_work.work import React

log = logging.getLogger(__name__)

CADENCE_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Confirming:
    """Raises the alerts that people confirmed. Any number of hubs may run it on one database."""

    pool: Pool
    react: React
    clock: Clock

    async def run_loop(self) -> None:
        while True:
            try:
                while await self.decide_due() == questions.BATCH:
                    pass
            except UNAVAILABLE as error:
                log.warning("questions wait: database away (%s)", type(error).__name__)
            await self.clock.sleep(CADENCE_S)

    async def decide_due(self) -> int:
        """One batch in one transaction; returns how many questions it had."""
        now = self.clock.now()
        tell: Callable[[], None] | None = None
        async with self.pool.acquire() as connection, connection.transaction():
            due = await questions.claim(connection, now)
            if not due:
                return 0
            await questions.decide(connection, due, now)
            findings = [q.finding(now) for q in due if q.outcome(now) == "confirmed"]
            if findings:
                tell = await self.react(connection, findings, now)
        if tell:
            tell()
        log.info("%d questions looked at, %d alerts confirmed", len(due), len(findings))
        return len(due)
