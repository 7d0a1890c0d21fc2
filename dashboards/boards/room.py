"""Sala: what waits now, and how fast it is taken."""

from dashboards.boards.notes import HELD, URGENT
from dashboards.builder import SECTOR, Board, Panel, bars, chart, rows, series, stat, table
from dashboards.defaults import falling, override, rising, unit_of

_HERE = "(sector in ($sector) or sector is null) and not is_drill"


def waiting() -> Panel:
    query = rows(
        "select count(*) as n from panels.alerts"
        " where priority = 1 and state = 'received' and closed_at is null"
    )
    return stat(
        "P1 sin tomar", "Alertas de vida que nadie ha tomado, ahora.", query, "none", rising(1, 1), path="/"
    )


def oldest() -> Panel:
    query = rows("""
select coalesce(max(extract(epoch from now() - opened_at)), 0)::float8 as espera
from panels.alerts where priority = 1 and state = 'received' and closed_at is null
""")
    return stat(
        "La que más espera",
        "Desde que llegó la P1 más antigua sin tomar.",
        query,
        "s",
        rising(15, 60),
        path="/",
    )


def still_open() -> Panel:
    query = rows(f"select count(*) as n from panels.alerts where closed_at is null and {_HERE}")
    return stat(
        "Abiertas", "Alertas abiertas de todas las prioridades, en los sectores elegidos.", query, path="/"
    )


def in_time() -> Panel:
    query = rows(f"""
select avg((ack_s <= ack_target_s)::int::float8) as parte from panels.alerts
where $__timeFilter(opened_at) and ack_s is not null and {_HERE}
""")
    return stat(
        "Tomadas a tiempo",
        "Parte de las alertas tomadas dentro del plazo de su prioridad.",
        query,
        "percentunit",
        falling(0.8, 0.9),
        path="/alertas",
    )


def open_list() -> Panel:
    query = rows(f"""
select priority as "P", code as "Código", kind_name as "Qué", coalesce(sector, '') as "Sector",
  state_name as "Estado", extract(epoch from now() - opened_at)::float8 as "Hace", console_path
from panels.alerts where closed_at is null and {_HERE} order by priority, opened_at limit 100
""")
    link = [
        {
            "title": "Abrir en la consola",
            "url": "${consola}${__data.fields.console_path}",
            "targetBlank": True,
        }
    ]
    return table(
        "Alertas abiertas",
        "Las abiertas ahora. Pulse el código: se atienden en la consola.",
        query,
        overrides=(
            unit_of("Hace", "s"),
            override("Código", {"links": link}),
            override("console_path", {"custom.hidden": True}),
        ),
        width=14,
        height=11,
    )


def by_hour() -> Panel:
    query = series(f"""
select date_bin('1 hour', opened_at, timestamptz '2000-01-01 00:00Z') as time, 'P' || priority as metric,
  count(*) as n
from panels.alerts where $__timeFilter(opened_at) and {_HERE} group by 1, 2 order by 1
""")
    return bars(
        "Alertas por hora", "Cuántas llegaron, por prioridad.", query, width=10, height=11, path="/alertas"
    )


def answer_times() -> Panel:
    query = series(f"""
select date_bin('1 hour', opened_at, timestamptz '2000-01-01 00:00Z') as time, 'P' || priority as metric,
  percentile_cont(0.9) within group (order by ack_s) as p90
from panels.alerts where $__timeFilter(opened_at) and ack_s is not null and {_HERE}
group by 1, 2 order by 1
""")
    return chart(
        "Acuse, percentil 90",
        "Nueve de cada diez se tomaron en este tiempo o menos.",
        query,
        "s",
        rising(15, 60),
        width=14,
        path="/alertas",
    )


def arrivals() -> Panel:
    query = rows(f"""
select percentile_cont(0.5) within group (order by arrival_s) as mediana from panels.alerts
where $__timeFilter(opened_at) and arrival_s is not null and {_HERE}
""")
    return stat(
        "Llegada a terreno",
        "Mediana desde que llega la alerta hasta que alguien está en el lugar.",
        query,
        "s",
        rising(900, 1800),
        width=5,
        height=8,
        path="/alertas",
    )


def outcome() -> Panel:
    query = rows(f"""
select avg((reason in ('nothing_found', 'mistaken', 'technical'))::int::float8) as parte
from panels.alerts where $__timeFilter(opened_at) and reason is not null and {_HERE}
""")
    return stat(
        "Inoficiosas",
        "Parte de las cerradas que no eran reales.",
        query,
        "percentunit",
        rising(0.4, 0.6),
        width=5,
        height=8,
        path="/alertas",
    )


ROOM = Board(
    uid="almenara-sala",
    title="Sala",
    doc="Lo que espera ahora y qué tan rápido se toma.",
    panels=(
        *(waiting(), oldest(), still_open(), in_time()),
        *(open_list(), by_hour()),
        *(answer_times(), arrivals(), outcome()),
    ),
    variables=(SECTOR,),
    notes=(URGENT, HELD),
    refresh="5s",
)
