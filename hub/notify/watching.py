"""How the transports are: asked every few seconds, shown, and told as an alert when one is dead or broke.

The alert's own text leaves by another transport, because the router holds the dead one back.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from hub.alerts.finding import Finding
from hub.clock import Clock
from hub.database import UNAVAILABLE, Pool
from hub.notify.router import Router
from hub.notify.transports import Health, Transport

log = logging.getLogger(__name__)

CADENCE_S = 5.0
ANSWER_S = 4.0
DOWN_AFTER_S = 20.0
"""A connection that breaks and comes back at once is no news; a hub that starts gives its own this long."""

DOWN_KIND, CREDIT_KIND = "transport_down", "transport_credit"

OnFindings: TypeAlias = Callable[[Sequence[Finding], Sequence[str]], Awaitable[None]]
"""``on_findings(new, cleared)``: alerts to open, and the dedup keys of what is well again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """What is known of one transport. ``since`` is when it became what it is; ``told``: its open alerts."""

    name: str
    kind: str
    credit_min: float | None = None
    health: Health = field(default_factory=lambda: Health(is_ok=True))
    is_held_back: bool = False
    since: datetime
    told: frozenset[str] = frozenset()

    @property
    def is_well(self) -> bool:
        return self.health.is_ok and not self.is_held_back


OnState: TypeAlias = Callable[[Watched, float | None], None]
"""``on_state(watched, s_per_text)`` after each look, for the metrics."""


def looked(watched: Watched, health: Health, *, is_held_back: bool, now: datetime) -> Watched:
    """After a look at it. Pure."""
    new = replace(watched, health=health, is_held_back=is_held_back)
    return new if new.is_well == watched.is_well else replace(new, since=now)


def judged(watched: Watched, owner: str, now: datetime) -> tuple[list[Finding], list[str]]:
    """What is to be told of it now, and which alerts are over. Pure."""
    wrong = {finding.dedup_key: finding for finding in _wrong(watched, owner, now)}
    over = {key for key in watched.told - wrong.keys() if not key.startswith(DOWN_KIND) or watched.is_well}
    return [finding for key, finding in wrong.items() if key not in watched.told], sorted(over)


def _wrong(watched: Watched, owner: str, now: datetime) -> list[Finding]:
    found = []
    if not watched.is_well and now - watched.since >= timedelta(seconds=DOWN_AFTER_S):
        cause = watched.health.detail if not watched.health.is_ok else "los envíos fallan"
        found.append(
            _finding(DOWN_KIND, watched, owner, 2, f"Transporte {watched.name} sin servicio: {cause}", now)
        )
    credit, least = watched.health.credit, watched.credit_min
    if credit is not None and least is not None and credit < least:
        words = f"Queda poco saldo en {watched.name}: {credit:g} (mínimo {least:g})"
        found.append(_finding(CREDIT_KIND, watched, owner, 3, words, now))
    return found


def _finding(kind: str, watched: Watched, owner: str, priority: int, summary: str, now: datetime) -> Finding:
    return Finding(
        rule=kind,
        kind=kind,
        priority=priority,
        dedup_key=f"{kind}:{owner}:{watched.name}",
        summary=summary,
        happened_at=max(watched.since, now - timedelta(hours=1)),
        time_quality="receipt",
        place=watched.name,
    )


# --------------------------------------------------------------------------------------------- loop


@dataclass(kw_only=True)
class Watch:
    """``kinds`` and ``credit_mins`` by transport."""

    pool: Pool
    owner: str
    router: Router
    clock: Clock
    on_findings: OnFindings
    on_state: OnState
    kinds: Mapping[str, str] = field(default_factory=dict)
    credit_mins: Mapping[str, float | None] = field(default_factory=dict)

    async def run_loop(self, name: str, transport: Transport) -> None:
        """Look at one transport, for ever; one that hangs does not hold up the others."""
        watched = Watched(
            name=name,
            kind=self.kinds.get(name, ""),
            credit_min=self.credit_mins.get(name),
            since=self.clock.now(),
        )
        has_asked = False
        while True:
            await self.clock.sleep(CADENCE_S)
            try:
                if not has_asked:
                    watched, has_asked = replace(watched, told=await self._open_keys(name)), True
                watched = await self.look(watched, transport)
            except UNAVAILABLE as error:
                log.warning("transports are not watched: database away (%s)", type(error).__name__)

    async def look(self, watched: Watched, transport: Transport) -> Watched:
        """One round."""
        health, now = await ask(transport), self.clock.now()
        self.router.note_health(watched.name, health)
        is_held_back = self.router.condition(watched.name).breaker.open_until is not None
        watched = looked(watched, health, is_held_back=is_held_back, now=now)
        s_per_text = self.router.s_per_text.get(watched.name)
        self.on_state(watched, s_per_text)
        new, over = judged(watched, self.owner, now)
        if new or over:
            await self.on_findings(new, over)
        await self._keep(watched, s_per_text, now)
        told = (watched.told | {finding.dedup_key for finding in new}) - set(over)
        return replace(watched, told=frozenset(told))

    async def _open_keys(self, name: str) -> frozenset[str]:
        """Alerts that were open before a restart are known, so that their end is told too."""
        rows = await self.pool.fetch(
            "select dedup_key from alerts where closed_at is null and dedup_key = any($1)",
            [f"{kind}:{self.owner}:{name}" for kind in (DOWN_KIND, CREDIT_KIND)],
        )
        return frozenset(row["dedup_key"] for row in rows)

    async def _keep(self, watched: Watched, s_per_text: float | None, now: datetime) -> None:
        await self.pool.execute(
            _KEEP,
            watched.name,
            self.owner,
            watched.kind,
            watched.health.is_ok,
            watched.is_held_back,
            watched.health.detail,
            watched.health.signal_dbm,
            watched.health.queue,
            watched.health.credit,
            watched.credit_min,
            s_per_text,
            now,
            watched.since,
        )


_KEEP = """
insert into transport_states (transport, owner, kind, is_ok, is_open, detail, signal_dbm, queue, credit,
  credit_min, s_per_text, checked_at, since)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
on conflict (transport, owner) do update set kind = excluded.kind, is_ok = excluded.is_ok,
  is_open = excluded.is_open, detail = excluded.detail, signal_dbm = excluded.signal_dbm,
  queue = excluded.queue, credit = excluded.credit, credit_min = excluded.credit_min,
  s_per_text = excluded.s_per_text, checked_at = excluded.checked_at, since = excluded.since
"""


async def ask(transport: Transport) -> Health:
    """Its health, whatever it does instead of answering."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return await transport.health()
    except TimeoutError:
        return Health(is_ok=False, detail="no contesta")
    except Exception as error:  # noqa: BLE001  a defect in one transport must not silence the hub
        return Health(is_ok=False, detail=f"falla ({type(error).__name__})")


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """A transport's last word, for the console."""

    transport: str
    owner: str
    kind: str
    is_ok: bool
    is_open: bool
    detail: str
    signal_dbm: int | None
    queue: int | None
    credit: float | None
    credit_min: float | None
    s_per_text: float | None
    checked_at: datetime
    since: datetime


async def states(pool: Pool) -> list[State]:
    """Of every hub's transports."""
    rows = await pool.fetch("select * from transport_states order by transport, owner")
    return [State(**{name: row[name] for name in State.__slots__}) for row in rows]
