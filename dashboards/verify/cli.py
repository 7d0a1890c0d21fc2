"""``almenara-dashboards verify``. Exit codes: 0 all is well, 1 something is wrong and named, 2 wrong use."""

import argparse
import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from dashboards.verify import postgres, running
from dashboards.verify.expanding import Range, seconds_of
from dashboards.verify.influx import Influx
from dashboards.verify.prometheus import Prometheus, read_metrics
from dashboards.verify.reading import VerifyError, load


def add_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("folder", type=Path, metavar="CARPETA", help="tableros JSON que escribió build")
    sub.add_argument("--dsn", required=True, metavar="DSN", help="PostgreSQL, con el rol grafana_ro")
    sub.add_argument("--influx-url", metavar="URL", help="InfluxDB; sin esto InfluxQL no se ejecuta")
    sub.add_argument("--influx-database", default="almenara", metavar="BUCKET")
    sub.add_argument("--influx-token-file", type=Path, metavar="ARCHIVO")
    sub.add_argument("--metrics-url", metavar="URL", help="página /metrics de un hub: revisa los nombres")
    sub.add_argument("--prometheus", default="", metavar="URL", help="Prometheus que ejecuta PromQL")
    sub.add_argument("--last", default="30d", metavar="INTERVALO", help="cuánto hacia atrás (30d)")
    sub.add_argument("--until", type=datetime.fromisoformat, metavar="INSTANTE", help="hasta cuándo (ahora)")
    sub.add_argument("--may-be-empty", action="store_true", help="0 filas no es un problema")
    sub.add_argument("--json", action="store_true", help="escribe el resultado como JSON")


async def run(arguments: argparse.Namespace) -> list[running.Finding]:
    """Raises :class:`VerifyError` where nothing can be asked."""
    boards = await asyncio.to_thread(load, arguments.folder)
    until = arguments.until or datetime.now(UTC)
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    span = Range(until - timedelta(seconds=seconds_of(arguments.last)), until)
    prometheus = influx = None
    if arguments.metrics_url or arguments.prometheus:
        known = (
            await asyncio.to_thread(read_metrics, arguments.metrics_url) if arguments.metrics_url else None
        )
        prometheus = Prometheus(arguments.prometheus, known)
    if arguments.influx_url:
        path = arguments.influx_token_file
        token = "" if path is None else (await asyncio.to_thread(path.read_text, "utf-8")).strip()
        influx = Influx(arguments.influx_url, arguments.influx_database, token)
    try:
        database = await asyncpg.connect(arguments.dsn)
    except (OSError, asyncpg.PostgresError) as error:
        raise VerifyError(f"PostgreSQL no deja entrar: {error}") from error
    try:
        units = await postgres.column_units(database)
        engines = running.Engines(database, units, influx, prometheus, arguments.may_be_empty)
        return await running.verify(boards, engines, span)
    finally:
        await database.close()
        if influx is not None:
            influx.close()


def verify(arguments: argparse.Namespace) -> int:
    try:
        findings = asyncio.run(run(arguments))
    except (VerifyError, OSError) as error:
        sys.stderr.write(f"almenara-dashboards: {error}\n")
        return 1
    wrong = sum(1 for one in findings if one.problems)
    if arguments.json:
        sys.stdout.write(json.dumps([one.as_dict() for one in findings], ensure_ascii=False) + "\n")
    else:
        for one in findings:
            sys.stdout.write(one.line() + "\n")
        sys.stdout.write(f"{len(findings)} consultas, {wrong} con problemas\n")
    return 1 if wrong else 0
