"""Cámaras: whether the whole inventory speaks, which are out and since when."""

from dashboards.builder import SECTOR, Board, Panel, chart, rows, series, stat, table
from dashboards.defaults import falling, rising, unit_of


def inventory() -> Panel:
    query = rows("select count(*) as n from panels.devices where kind = 'camera' and sector in ($sector)")
    return stat(
        "Inventario", "Todas las cámaras inscritas, también las nunca vistas.", query, path="/dispositivos"
    )


def out_now() -> Panel:
    query = rows(
        "select count(*) as n from panels.devices where kind = 'camera' and is_out and sector in ($sector)"
    )
    return stat(
        "Fuera de servicio", "Cámaras sin señal ahora.", query, "none", rising(1, 3), path="/dispositivos"
    )


def long_out() -> Panel:
    query = rows("""
select count(*) as n from panels.outages
where kind = 'camera' and ended_at is null and began_at < now() - interval '72 hours' and sector in ($sector)
""")
    return stat(
        "Más de 72 horas",
        "Las que la Contraloría pregunta: sin señal por más de tres días.",
        query,
        "none",
        rising(1, 1),
        path="/dispositivos",
    )


def availability() -> Panel:
    query = rows("""
select sum(signal_min) / nullif(sum(required_min), 0) as parte from panels.camera_days
where $__timeFilter(day) and sector in ($sector)
""")
    return stat(
        "Disponibilidad",
        "Tiempo con señal sobre el exigido a todo el inventario.",
        query,
        "percentunit",
        falling(0.9, 0.95),
        path="/dispositivos",
    )


def by_day() -> Panel:
    query = series("""
select day as time, sector as metric, signal_min / nullif(required_min, 0) as parte
from panels.camera_days where $__timeFilter(day) and sector in ($sector) order by 1
""")
    return chart(
        "Disponibilidad por día",
        "Dice si la cámara habla, no si su imagen sirve.",
        query,
        "percentunit",
        falling(0.9, 0.95),
        width=24,
        path="/dispositivos",
    )


def outages() -> Panel:
    query = rows("""
select device as "Cámara", sector as "Sector", began_at as "Desde", ended_at as "Hasta", outage_s as "Tiempo"
from panels.outages where kind = 'camera' and sector in ($sector)
  and began_at <= $__timeTo() and coalesce(ended_at, 'infinity') >= $__timeFrom()
order by ended_at is not null, outage_s desc limit 200
""")
    return table(
        "Caídas",
        "Las que siguen primero; luego las más largas del período.",
        query,
        overrides=(unit_of("Tiempo", "s"),),
        width=14,
        height=10,
        path="/dispositivos",
    )


def tampering() -> Panel:
    query = rows("""
select code as "Código", kind_name as "Qué", sector as "Sector", opened_at as "Recibida",
  state_name as "Estado"
from panels.alerts
where kind in ('camera_moved', 'camera_covered', 'tamper') and $__timeFilter(opened_at)
  and not is_drill and sector in ($sector)
order by opened_at desc limit 200
""")
    return table(
        "Movidas, tapadas y sabotajes",
        "Alertas de cámaras en el período.",
        query,
        width=10,
        height=10,
        path="/alertas",
    )


CAMERAS = Board(
    uid="almenara-camaras",
    title="Cámaras",
    doc="Si todo el inventario habla, cuáles no y desde cuándo.",
    panels=(inventory(), out_now(), long_out(), availability(), by_day(), outages(), tampering()),
    variables=(SECTOR,),
    span="now-30d",
    refresh="5m",
)
