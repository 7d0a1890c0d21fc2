"""Import of a device list: one transaction, idempotent, and a bad line never stops the others."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from hub.database import Connection, Pool
from hub.devices.import_fields import Problem, quoted
from hub.devices.import_files import read_sheet
from hub.devices.import_plan import Gateway, ImportReport, Plan, make_plan
from hub.devices.registry import CHANNEL, COLUMNS, Device

log = logging.getLogger(__name__)


async def import_file(pool: Pool, path: Path | str) -> ImportReport:
    """Import a CSV or TOML file; whatever is wrong with it stands in the report."""
    path = Path(path)
    try:
        raw = await asyncio.to_thread(path.read_bytes)
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or "la ruta no sirve"
        problem = Problem(None, f"el archivo no se puede leer ({cause})", "Revise la ruta y los permisos.")
        return ImportReport(problems=(problem,))
    return await import_bytes(pool, path.name, raw)


async def import_bytes(pool: Pool, file_name: str, raw: bytes) -> ImportReport:
    """The same for a file's content; ``file_name`` tells TOML from CSV."""
    sheet = await asyncio.to_thread(read_sheet, file_name, raw)
    async with pool.acquire() as connection, connection.transaction():
        # Reads go on; adoptions and other imports wait, so that the comparison stays true until the commit.
        await connection.execute("lock table gateways, devices in share row exclusive mode")
        gateways = await connection.fetch("select gateway, name, adopted from gateways")
        devices = await connection.fetch(f"select {COLUMNS} from devices")  # noqa: S608  a constant of ours
        plan = make_plan(
            sheet,
            {r["gateway"]: Gateway(*r) for r in gateways},
            {r["source"]: Device(*r) for r in devices},
        )
        await _write(connection, plan)
    report = plan.report
    log.info(
        "device list imported: %d created, %d updated, %d unchanged, %d problems",
        report.created,
        report.updated,
        report.unchanged,
        len(report.problems),
    )
    return report


_UPSERT_GATEWAYS = """
insert into gateways (gateway, name)
select * from unnest($1::text[], $2::text[])
on conflict (gateway) do update set name = excluded.name, adopted = false
"""

_ROWS = """unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
  $8::float8[], $9::float8[], $10::text[], $11::int[])
  as n (device_id, source, gateway, kind, name, place, sector, latitude, longitude, watch_group,
        silent_after_s)"""

_INSERT = f"""
insert into devices (source, gateway, kind, name, place, sector, latitude, longitude, watch_group,
                     silent_after_s)
select source, gateway, kind, name, place, sector, latitude, longitude, watch_group, silent_after_s
from {_ROWS}
"""  # noqa: S608  constants of ours

_UPDATE = f"""
update devices d
set gateway = n.gateway, kind = n.kind, name = n.name, place = n.place, sector = n.sector,
    latitude = n.latitude, longitude = n.longitude, watch_group = n.watch_group,
    silent_after_s = n.silent_after_s, adopted = false
from {_ROWS}
where d.device_id = n.device_id
"""  # noqa: S608  constants of ours


async def _write(connection: Connection, plan: Plan) -> None:
    if plan.gateways:
        await connection.execute(
            _UPSERT_GATEWAYS, [g.gateway for g in plan.gateways], [g.name for g in plan.gateways]
        )
    for sql, devices in ((_INSERT, plan.new), (_UPDATE, plan.changed)):
        if devices:
            await connection.execute(sql, *_columns(devices))
    if plan.gateways or plan.new or plan.changed:
        await connection.execute("select pg_notify($1, '')", CHANNEL)


def _columns(devices: Sequence[Device]) -> list[list[object]]:
    return [
        [d.device_id for d in devices],
        [d.source for d in devices],
        [d.gateway for d in devices],
        [d.kind for d in devices],
        [d.name for d in devices],
        [d.place for d in devices],
        [d.sector for d in devices],
        [d.latitude for d in devices],
        [d.longitude for d in devices],
        [d.watch_group for d in devices],
        [d.silent_after_s for d in devices],
    ]


def render_report(report: ImportReport) -> str:
    """The report as people read it, in Spanish, one finding a line."""
    counts = f"{report.created} nuevos, {report.updated} actualizados, {report.unchanged} sin cambios"
    lines = [f"Dispositivos: {counts}. Gateways nuevos: {report.gateways_created}."]
    lines += [f"Línea {m.line}: {m.source} pasa del gateway {m.before} a {m.after}." for m in report.moved]
    if report.unknown_columns:
        names = ", ".join(quoted(name) for name in report.unknown_columns)
        lines.append(f"Columnas desconocidas, no se usaron: {names}.")
    lines += [
        f"{'Archivo' if p.line is None else f'Línea {p.line}'}: {p.problem}. {p.remedy}"
        for p in report.problems
    ]
    if report.problems:
        lines.append(f"Con problemas: {len(report.problems)}. Lo demás quedó guardado.")
    return "\n".join(lines)
