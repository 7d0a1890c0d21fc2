"""Mapa: where it happens, and what stands there."""

from dashboards.builder import SECTOR, Board, Panel, geomap, rows


def places() -> Panel:
    alerts = rows("""
select latitude, longitude, code as "Código", kind_name as "Qué", priority as "P", sector as "Sector",
  opened_at as "Recibida"
from panels.alerts
where $__timeFilter(opened_at) and latitude is not null and not is_drill and sector in ($sector)
order by opened_at desc limit 2000
""")
    devices = rows("""
select latitude, longitude, name as "Equipo", kind_name as "Tipo", sector as "Sector",
  case when is_out then 'sin señal' else 'con señal' end as "Estado"
from panels.devices where latitude is not null and sector in ($sector) limit 5000
""")
    return geomap(
        "Alertas y equipos",
        "Alertas del período (rojo) y equipos (azul). Los casos reservados no están en el mapa.",
        (alerts, devices),
        latitude=-34.39,
        longitude=-72.0,
        path="/",
    )


MAP = Board(
    uid="almenara-mapa",
    title="Mapa",
    doc="Dónde ocurre y qué equipos hay ahí.",
    panels=(places(),),
    variables=(SECTOR,),
    span="now-7d",
    refresh="1m",
)
