"""``almenara-hub telemetry …``: prepare InfluxDB, move history there, look whether all is well."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hub.settings import HubSettings
from hub.telemetry import Keep

if TYPE_CHECKING:
    from hub.telemetry.influx.server import InfluxServer

AddOptions = Callable[[argparse.ArgumentParser], None]
_PENDING = "select store, count(distinct slot) as slots from telemetry_changes group by store order by store"


def add_telemetry(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", add_server_options: AddOptions
) -> None:
    telemetry = commands.add_parser("telemetry", help="series de mediciones: InfluxDB y PostgreSQL")
    actions = telemetry.add_subparsers(dest="action", required=True, metavar="ACCIÓN")
    setup = actions.add_parser("setup", help="crea o corrige en InfluxDB los buckets y cuánto conservan")
    setup.add_argument(
        "--admin-token-file",
        type=Path,
        metavar="ARCHIVO",
        help="token con permiso de crear buckets; sin esto, el de influxdb_token_file",
    )
    setup.set_defaults(act=_setup)
    move = actions.add_parser(
        "move", help="copia la historia de PostgreSQL a InfluxDB; si se corta, sigue donde quedó"
    )
    add_server_options(move)
    move.set_defaults(act=_move)
    check = actions.add_parser("check", help="revisa el almacén de mediciones y lo copiado")
    add_server_options(check)
    check.set_defaults(act=_check)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def keep_of(settings: HubSettings) -> Keep:
    return Keep(settings.telemetry_days, settings.telemetry_rollup_days)


def _secret(path: Path) -> str:
    return path.read_text("utf-8").strip()


@asynccontextmanager
async def _server(settings: HubSettings, token_file: Path | None = None) -> "AsyncIterator[InfluxServer]":
    from hub.opening import influx_access
    from hub.telemetry.influx.server import InfluxServer

    access = influx_access(settings)
    if token_file is not None:
        access = replace(access, token=await asyncio.to_thread(_secret, token_file))
    async with InfluxServer(access) as server:
        yield server


async def _setup(settings: HubSettings, arguments: argparse.Namespace) -> int:
    from hub.telemetry.influx.setup import set_up

    async with _server(settings, arguments.admin_token_file) as server:
        _say(f"InfluxDB {await server.version()} en {server.access.url}")
        for line in await set_up(server, keep_of(settings)):
            _say(line)
    return 0


async def _move(settings: HubSettings, _arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.telemetry.influx.moving import move

    total = rejected = 0
    async with open_database(settings) as pool, _server(settings) as server:
        async for step in move(pool, server, keep_of(settings), datetime.now(UTC)):
            total, rejected = total + step.rows, step.rejected
            told = f"{step.rows} mediciones" if step.rows else "ya estaba"
            _say(f"{step.days_done}/{step.days}  {step.day}  {told}")
    _say(f"{total} mediciones copiadas; InfluxDB no aceptó {rejected}")
    return 1 if rejected else 0


async def _check(settings: HubSettings, _arguments: argparse.Namespace) -> int:
    from hub.opening import open_database
    from hub.telemetry.postgres import PostgresTelemetry

    found: list[str] = []
    async with open_database(settings) as pool:
        _say(f"telemetry_store: {settings.telemetry_store}")
        _say((await PostgresTelemetry().health(pool)).detail)
        for store, slots in await pool.fetch(_PENDING):
            _say(f"resúmenes por poner al día en {store}: {slots} períodos de diez minutos")
        if settings.influxdb_url:
            from hub.telemetry.influx.moving import differences
            from hub.telemetry.influx.setup import problems

            async with _server(settings) as server:
                _say(f"InfluxDB {await server.version()} en {server.access.url}")
                found += await problems(server, keep_of(settings))
                if not found:
                    found += await differences(pool, server, keep_of(settings), datetime.now(UTC))
    for line in found:
        _say(f"PROBLEMA: {line}")
    _say("todo está bien" if not found else f"{len(found)} problemas")
    return 1 if found else 0
