"""Rural: river and tank levels, smoke, and whether the watch groups were reached."""

from dashboards.boards.notes import URGENT
from dashboards.builder import SECTOR, Board, Panel, Variable, chart, influx, rows, series, stat, table
from dashboards.defaults import falling, rising

DEVICE = Variable(
    name="equipo",
    label="Equipo",
    query="""
select distinct source from panels.latest where quantity = 'level' and sector in ($sector) order by 1
""",
)


def levels() -> Panel:
    query = series("""
select at as time, device as metric, max as nivel from panels.telemetry_1h
where $__timeFilter(at) and quantity = 'level' and sector in ($sector) and source in ($equipo) order by 1
""")
    return chart(
        "Nivel de ríos y estanques",
        "El mayor de cada hora. Un corte en la línea es que no hubo lectura.",
        query,
        "lengthm",
        width=16,
        height=10,
        path="/dispositivos",
    )


def now() -> Panel:
    query = rows("""
select device as "Equipo", sector as "Sector", value as "Nivel", at as "Leído" from panels.latest
where quantity = 'level' and sector in ($sector) order by at
""")
    return table(
        "Último nivel",
        "Los que llevan más tiempo sin leer van primero.",
        query,
        "lengthm",
        width=8,
        height=10,
        path="/dispositivos",
    )


def fine() -> Panel:
    query = influx(
        """
select max("value") from "telemetry" where $timeFilter and "quantity" = 'level' and "device" =~ /^$equipo$/
group by time($__interval), "device" fill(none)
""",
        "$tag_device",
    )
    return chart(
        "Nivel, lectura a lectura",
        "De InfluxDB, para mirar una crecida de cerca.",
        query,
        "lengthm",
        width=24,
        path="/dispositivos",
    )


def smoke() -> Panel:
    query = rows("""
select count(*) as n from panels.alerts
where kind in ('smoke', 'smoke_suspected', 'fire_weather') and $__timeFilter(opened_at)
  and not is_drill and sector in ($sector)
""")
    return stat(
        "Avisos de humo",
        "En el período y los sectores elegidos.",
        query,
        "none",
        rising(1, 5),
        path="/alertas",
    )


def reached() -> Panel:
    query = rows("""
select sum(reached)::float8 / nullif(sum(called), 0) as parte from panels.reach
where $__timeFilter(opened_at) and not is_drill and sector in ($sector)
""")
    return stat(
        "Alcanzados en 10 minutos",
        "Parte de las personas avisadas a cuyo teléfono llegó o que respondieron.",
        query,
        "percentunit",
        falling(0.7, 0.85),
        path="/grupos",
    )


def answered() -> Panel:
    query = rows("""
select sum(answered)::float8 / nullif(sum(called), 0) as parte from panels.reach
where $__timeFilter(opened_at) and not is_drill and sector in ($sector)
""")
    return stat(
        "Respondieron",
        "Una alerta cuenta cuando una persona respondió.",
        query,
        "percentunit",
        falling(0.3, 0.5),
        path="/grupos",
    )


def reach_by_sector() -> Panel:
    query = rows("""
select sector as "Sector", sum(called)::integer as "Avisados", sum(reached)::integer as "Alcanzados",
  sum(answered)::integer as "Respondieron", sum(reached)::float8 / nullif(sum(called), 0) as "Alcance"
from panels.reach where $__timeFilter(opened_at) and not is_drill and sector in ($sector)
group by 1 order by 5
""")
    return table(
        "Alcance por sector",
        "Los de peor alcance primero.",
        query,
        width=12,
        steps=falling(0.7, 0.85),
        path="/grupos",
    )


def thefts() -> Panel:
    query = rows("""
select code as "Código", kind_name as "Qué", sector as "Sector", opened_at as "Recibida",
  state_name as "Estado"
from panels.alerts
where kind in ('cattle_theft', 'pump_theft', 'cable_cut', 'gate_open', 'gate_left_open', 'transformer_tilt')
  and $__timeFilter(opened_at) and not is_drill and sector in ($sector)
order by opened_at desc limit 200
""")
    return table(
        "Ganado, bombas, cables y portones", "Alertas rurales del período.", query, width=12, path="/alertas"
    )


RURAL = Board(
    uid="almenara-rural",
    title="Rural",
    doc="Niveles, humo y si los grupos de vigilancia fueron alcanzados.",
    panels=(
        *(smoke().sized(8, 4), reached().sized(8, 4), answered().sized(8, 4)),
        *(levels(), now(), fine(), reach_by_sector(), thefts()),
    ),
    variables=(SECTOR, DEVICE),
    notes=(URGENT,),
    span="now-7d",
    refresh="1m",
)
