"""What the settings name, opened: folders, access, and the database for one command.

Apart from the composition root, which takes seconds to import: a command that asks one thing need not wait.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from hub.database import DatabaseError, Pool, connect, migrate
from hub.servers.postgres import EmbeddedPostgres
from hub.settings import HubSettings
from hub.telemetry import TelemetryError
from hub.telemetry.influx import Access

log = logging.getLogger(__name__)


class HubError(Exception):
    """The hub cannot run like this; the message (Spanish) says what to do."""


def postgres_folder(settings: HubSettings) -> Path:
    return settings.data / "postgres"


def broker_folder(settings: HubSettings) -> Path:
    return settings.data / "broker"


def rules_folder(settings: HubSettings) -> Path:
    """The municipality's own rules, beside those that come with the program."""
    return settings.data / "rules"


def influx_access(settings: HubSettings) -> Access:
    """Raises :class:`TelemetryError` where the settings do not say it all."""
    token_file = settings.influxdb_token_file
    if not settings.influxdb_url or not settings.influxdb_org or token_file is None:
        raise TelemetryError("faltan ajustes de InfluxDB: influxdb_url, influxdb_org e influxdb_token_file")
    return Access(
        url=settings.influxdb_url.rstrip("/"),
        org=settings.influxdb_org,
        bucket=settings.influxdb_bucket,
        token=token_file.read_text("utf-8").strip(),
        ca_file=str(settings.influxdb_ca_file or ""),
    )


@asynccontextmanager
async def open_database(settings: HubSettings) -> AsyncIterator[Pool]:
    """A migrated database for one command: the one of the settings, that of a running hub, or our own."""
    async with AsyncExitStack() as stack:
        dsn = settings.database.get_secret_value()
        if not dsn:
            dsn = await _embedded_dsn(settings, stack)
        pool = await connect(dsn, max_size=2)
        stack.push_async_callback(pool.close)
        await migrate(pool)
        yield pool


async def _embedded_dsn(settings: HubSettings, stack: AsyncExitStack) -> str:
    port_file = postgres_folder(settings) / "port"
    if port_file.is_file() and (port := port_file.read_text().strip()).isdigit():
        running = EmbeddedPostgres(postgres_folder(settings), port=int(port))
        try:
            pool = await connect(running.address, max_size=1)
        except DatabaseError:
            log.debug("no hub runs on this data folder")
        else:
            await pool.close()
            return running.address
    server = EmbeddedPostgres(postgres_folder(settings))
    stack.push_async_callback(server.stop)
    return await server.start()
