"""Botones y sensores: heartbeat, battery, who is dead."""

from dashboards.builder import SECTOR, Board, Panel, bars, chart, rows, series, stat, table
from dashboards.defaults import falling, rising, unit_of

_NO_CAMERAS = "kind not in ('camera', 'gateway') and sector in ($sector)"


def installed() -> Panel:
    query = rows(f"select count(*) as n from panels.devices where {_NO_CAMERAS}")
    return stat(
        "Instalados",
        "Botones y sensores inscritos; los botones silenciosos no se muestran.",
        query,
        path="/dispositivos",
    )


def silent() -> Panel:
    query = rows(f"select count(*) as n from panels.devices where is_out and {_NO_CAMERAS}")
    return stat(
        "Sin señal",
        "Nunca vistos, o callados más que su plazo.",
        query,
        "none",
        rising(1, 10),
        path="/dispositivos",
    )


def weak() -> Panel:
    query = rows(f"select count(*) as n from panels.devices where battery < 0.2 and {_NO_CAMERAS}")
    return stat("Batería baja", "Con menos de 20 %.", query, "none", rising(1, 5), path="/dispositivos")


def repaired() -> Panel:
    query = rows(f"""
select avg(outage_s) as media from panels.outages
where $__timeFilter(ended_at) and {_NO_CAMERAS}
""")
    return stat(
        "Reposición",
        "Tiempo medio que estuvieron sin señal los que volvieron en el período.",
        query,
        "s",
        rising(86400, 259200),
        path="/dispositivos",
    )


def dead() -> Panel:
    query = rows(f"""
select name as "Equipo", kind_name as "Tipo", sector as "Sector", last_seen_at as "Última señal",
  silence_s as "Hace", battery as "Batería"
from panels.devices where is_out and {_NO_CAMERAS} order by last_seen_at nulls first limit 300
""")
    return table(
        "Sin señal ahora",
        "Los nunca vistos primero, luego los que llevan más tiempo.",
        query,
        overrides=(unit_of("Hace", "s"), unit_of("Batería", "percentunit")),
        height=10,
        path="/dispositivos",
    )


def batteries() -> Panel:
    query = rows(f"""
select name as "Equipo", kind_name as "Tipo", sector as "Sector", battery as "Batería"
from panels.devices where battery is not null and {_NO_CAMERAS} order by battery limit 100
""")
    return table(
        "Baterías más bajas",
        "Para planificar el cambio.",
        query,
        steps=falling(0.2, 0.4),
        overrides=(unit_of("Batería", "percentunit"),),
        height=10,
        path="/dispositivos",
    )


def events() -> Panel:
    query = series("""
select at as time, device_kind_name as metric, sum(n)::float8 as n from panels.events_hourly
where $__timeFilter(at) and sector in ($sector) group by 1, 2 order by 1
""")
    return bars(
        "Señales por hora",
        "Lo que enviaron los equipos, por tipo. Una caída general se ve aquí.",
        query,
        width=12,
        path="/dispositivos",
    )


def charge() -> Panel:
    query = series("""
select at as time, kind as metric, avg(mean)::float8 as media from panels.telemetry_1d
where $__timeFilter(at) and quantity = 'battery' and sector in ($sector) group by 1, 2 order by 1
""")
    return chart(
        "Carga media por tipo",
        "Media diaria de la batería.",
        query,
        "percentunit",
        falling(0.2, 0.4),
        path="/dispositivos",
    )


DEVICES = Board(
    uid="almenara-equipos",
    title="Botones y sensores",
    doc="Latido, batería y los que no hablan.",
    panels=(installed(), silent(), weak(), repaired(), dead(), batteries(), events(), charge()),
    variables=(SECTOR,),
    span="now-30d",
    refresh="1m",
)
