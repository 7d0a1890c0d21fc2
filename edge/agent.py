"""The agent: everything that runs on a gateway, wired together. Reads as the list of its loops."""

import asyncio
import fcntl
import logging
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from edge import contract, health, watchdog
from edge.clock import Clock
from edge.commands import CommandError, Commands, ping
from edge.contract import Command, ContractError
from edge.drivers import Feedback, Lane
from edge.outbox import Outbox, OutboxError, outbox_path
from edge.outlet import AgentOutlet
from edge.settings import Settings, driver_settings
from edge.uplink import Uplink
from edge.watchdog import Beating, Pulse

log = logging.getLogger(__name__)

_PROBE_LIMIT_S = 10.0
_FIRST_RESTART_S = 1.0
_LONGEST_RESTART_S = 60.0


class AgentError(Exception):
    """The agent cannot run here; the message (Spanish) says why."""


def software_version() -> str:
    try:
        return version("almenara")
    except PackageNotFoundError:
        return "0"


async def run(settings: Settings, clock: Clock, stop: asyncio.Event) -> None:
    """Run until ``stop`` is set; then say goodbye and close. Raises :class:`AgentError`."""
    with _only_one(settings.data_dir):
        try:
            outbox = await Outbox.open(outbox_path(settings.data_dir), settings.outbox_limit_bytes)
        except OutboxError as error:
            raise AgentError(f"No se puede abrir la cola de salida: {error}") from error
        try:
            await Agent(settings, clock, outbox).run(stop)
        finally:
            await outbox.close()


class Agent:
    """Composition root over an open outbox."""

    def __init__(self, settings: Settings, clock: Clock, outbox: Outbox) -> None:
        self._settings = settings
        self._clock = clock
        self._outbox = outbox
        self._source = contract.device_urn(settings.gateway)
        self._pulse = Pulse(clock)
        self.outlet = AgentOutlet(outbox, clock, self._source)
        handlers = {"ping": ping, "show_feedback": self._show_feedback}
        self.uplink = Uplink(
            gateway=settings.gateway,
            mqtt=settings.mqtt,
            outbox=outbox,
            clock=clock,
            answer=Commands(handlers, outbox, clock).answer,
            received=self._received,
            beat=self._pulse.beater("uplink"),
            version=software_version(),
        )
        self.outlet.shout = self.uplink.shout
        self._drivers: dict[str, object] = {}

    async def run(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(loop) for loop in self._loops()]
            watchdog.notify("READY=1")
            log.info("gateway %s runs with %d drivers", self._settings.gateway, len(self._settings.drivers))
            await stop.wait()
            watchdog.notify("STOPPING=1")
            for task in tasks:
                task.cancel()
        log.info("gateway %s stopped", self._settings.gateway)

    def _loops(self) -> list[Coroutine[Any, Any, None]]:
        loops: list[Coroutine[Any, Any, None]] = [
            self.uplink.run(),
            self._health_loop(),
            watchdog.feed_loop(self._pulse, self._clock, self._probe),
        ]
        for index, (module, settings) in enumerate(driver_settings(self._settings)):
            label = f"driver {index} ({self._settings.drivers[index]['driver']})"
            loops.append(self._driver_loop(label, module, settings))
        return loops

    # ------------------------------------------------------------------------------------ drivers

    async def _driver_loop(self, label: str, module: ModuleType, settings: BaseModel) -> None:
        """Run a driver; one that fails is started again, and the hub hears of the first failure in a row."""
        delay_s = _FIRST_RESTART_S
        began_ms = self._clock.boottime_ms()
        self._pulse.beat(label)
        while (problem := await self._drive(label, module, settings)) is not None:
            if self._clock.boottime_ms() - began_ms > _LONGEST_RESTART_S * 1000:
                delay_s = _FIRST_RESTART_S
            log.error("%s failed; again in %.0f s", label, delay_s, exc_info=problem)
            if delay_s == _FIRST_RESTART_S:
                await self._report("driver.failed", {"driver": label, "problem": type(problem).__name__})
            await self._clock.sleep(delay_s)
            delay_s = min(_LONGEST_RESTART_S, delay_s * 2)
            began_ms = self._clock.boottime_ms()
        log.info("%s has finished", label)
        del self._drivers[label]
        self._pulse.forget(label)

    async def _drive(self, label: str, module: ModuleType, settings: BaseModel) -> Exception | None:
        """Run a driver until it ends; returns what went wrong, None when it has finished."""
        try:
            self._drivers[label] = driver = module.build(settings, self._clock)
            await driver.run(self.outlet)
        except Exception as error:  # noqa: BLE001 - whatever a driver does, the others go on
            return error
        else:
            return None
        finally:
            self._drivers[label] = None  # while it waits for its next start nothing is expected of it

    async def _report(self, type: str, data: dict[str, Any]) -> None:
        """An event of the gateway itself, as far as it can be stored."""
        with suppress(OutboxError, ContractError):
            await self.outlet.event(self._source, type, data, Lane.EVENT)

    # --------------------------------------------------------------------------- health, watchdog

    async def _health_loop(self) -> None:
        while True:
            for torn in self._outbox.take_torn():
                report = {"file": torn.name, "saved": torn.saved, "lost": torn.lost}
                await self._report("outbox.torn", report)
            try:
                found = await health.look(self._settings.data_dir, await self._outbox.stats())
                await self.outlet.measure(health.measurements(found, self._source, self._clock))
            except (OutboxError, OSError) as error:
                log.warning("the gateway's health could not be recorded (%s)", error)
            await self._clock.sleep(self._settings.health_interval_s)

    async def _probe(self) -> None:
        """Beat for the parts that only answer when asked: the outbox's thread and the drivers."""
        for label, driver in self._drivers.items():
            if not isinstance(driver, Beating) or driver.is_alive():
                self._pulse.beat(label)
        with suppress(TimeoutError, OutboxError):
            async with asyncio.timeout(_PROBE_LIMIT_S):
                await self._outbox.ping()
            self._pulse.beat("outbox")

    # ---------------------------------------------------------------------------------- feedback

    def _received(self, event_ids: Sequence[str]) -> None:
        self.outlet.tell(event_ids, Feedback.RECEIVED)

    async def _show_feedback(self, command: Command) -> str:
        """Arguments: ``event_id``, ``source`` (optional) and ``feedback``: ``on_its_way`` or ``closed``."""
        arguments = command.arguments
        event_id, source = arguments.get("event_id"), arguments.get("source")
        if not isinstance(event_id, str) or not isinstance(source, str | None):
            raise CommandError("event_id must be a text, and source too where it is given")
        if arguments.get("feedback") not in (Feedback.ON_ITS_WAY, Feedback.CLOSED):
            raise CommandError("feedback must be on_its_way or closed")
        if not self.outlet.tell([event_id], Feedback(arguments["feedback"]), source):
            raise CommandError("no device here shows feedback for that event")
        return "shown"


@contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    """Hold the data folder for one agent; two would send everything twice."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / "agent.lock").open("w")
    except OSError as error:
        raise AgentError(f"No se puede usar la carpeta {data_dir}: {error.strerror}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AgentError(f"Ya hay un agente usando la carpeta {data_dir}.") from None
        yield
