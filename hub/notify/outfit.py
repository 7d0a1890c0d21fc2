"""The transports of one hub, built from its settings, with the loops that they need."""

import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hub.clock import Clock
from hub.database import Pool
from hub.notify.mailbox import Mailbox
from hub.notify.reporting import OnInbound, events_loop, nobody_reads, tidy_loop
from hub.notify.router import Router
from hub.notify.transports import Transport
from hub.notify.transports.http import Events
from hub.notify.transports.modem.state import ModemState
from hub.notify.transports.spec import AnySpec, build
from hub.notify.watching import OnFindings, OnState, Watch

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Outfit:
    """``mailboxes`` are of the transports that others push to."""

    specs: Sequence[AnySpec]
    transports: Mapping[str, Transport]
    router: Router
    pool: Pool
    clock: Clock
    mailboxes: Mapping[str, Mailbox] = field(default_factory=dict)

    def heard(self, transport: str) -> None:
        """Something was pushed; an empty name wakes all."""
        for name, mailbox in self.mailboxes.items():
            if not transport or name == transport:
                mailbox.wake.set()

    def loops(
        self, owner: str, on_findings: OnFindings, on_state: OnState, on_inbound: OnInbound = nobody_reads
    ) -> list[Coroutine[None, None, None]]:
        """Connections, what is heard, health, and the ledger's upkeep."""
        watch = Watch(
            pool=self.pool,
            owner=owner,
            router=self.router,
            clock=self.clock,
            on_findings=on_findings,
            on_state=on_state,
            kinds={spec.name: spec.kind for spec in self.specs},
            credit_mins={spec.name: spec.credit_min for spec in self.specs},
        )
        loops: list[Coroutine[None, None, None]] = [tidy_loop(self.pool, self.router, self.clock)]
        for name, transport in self.transports.items():
            loops += [
                self._kept(name, transport),
                events_loop(self.pool, name, transport, self.clock, on_inbound),
                watch.run_loop(name, transport),
            ]
        return loops

    async def _kept(self, name: str, transport: Transport) -> None:
        """A transport whose connection loop fails is started again; it never takes the hub with it."""
        is_over = False
        while not is_over:
            try:
                await transport.run_loop()
                is_over = True
            except Exception as error:  # noqa: BLE001  the others must go on
                log.error("transport %s failed (%s); again", name, type(error).__name__)  # noqa: TRY400
                await self.clock.sleep(5)


def outfit_for(
    specs: Iterable[AnySpec],
    pool: Pool,
    clock: Clock,
    default_path: Path,
    on_modem: Callable[[ModemState], None] | None = None,
) -> Outfit:
    """Raises ValueError (Spanish) for what cannot be used."""
    specs = tuple(specs)
    mailboxes = {spec.name: Mailbox(pool, spec.name) for spec in specs if spec.kind == "http"}

    def events(name: str) -> Events:
        return mailboxes[name].events

    return Outfit(
        specs=specs,
        transports={
            spec.name: build(spec, clock, default_path=default_path, events=events, on_modem=on_modem)
            for spec in specs
        },
        router=Router([spec.terms() for spec in specs], clock),
        pool=pool,
        clock=clock,
        mailboxes=mailboxes,
    )
