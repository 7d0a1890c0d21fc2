"""SMS: what left, what arrived, how fast, by which way, and what credit is left."""

from dashboards.builder import Board, Panel, bars, chart, rows, series, stat, table
from dashboards.defaults import falling, rising, unit_of


def sent() -> Panel:
    query = rows("select count(*) as n from panels.texts where $__timeFilter(created_at)")
    return stat("Mensajes", "Escritos en el período, de todas las clases.", query, path="/textos")


def delivered() -> Panel:
    query = rows("""
select avg((state = 'delivered')::int::float8) as parte from panels.texts
where $__timeFilter(created_at) and state in ('delivered', 'undelivered')
""")
    return stat(
        "Entregados",
        "Parte de los que la red informó.",
        query,
        "percentunit",
        falling(0.8, 0.9),
        path="/textos",
    )


def speed() -> Panel:
    query = rows("""
select percentile_cont(0.9) within group (order by reached_s) as p90 from panels.texts
where $__timeFilter(created_at) and reached_s is not null and priority = 1
""")
    return stat(
        "Entrega P1, percentil 90",
        "Desde que se escribe hasta que la red dice que llegó.",
        query,
        "s",
        rising(60, 300),
        path="/textos",
    )


def parts() -> Panel:
    query = rows("""
select coalesce(sum(greatest(parts, 1)), 0)::float8 as partes from panels.texts
where $__timeFilter(created_at)
""")
    return stat("Partes cobradas", "Un texto largo se cobra por partes.", query, path="/transportes")


def by_day() -> Panel:
    query = series("""
select date_bin('1 day', created_at, timestamptz '2000-01-01 03:00Z') as time, state as metric, count(*) as n
from panels.texts where $__timeFilter(created_at) group by 1, 2 order by 1
""")
    return bars("Mensajes por día", "Por su último estado conocido.", query, path="/textos")


def delays() -> Panel:
    query = series("""
select date_bin('1 day', created_at, timestamptz '2000-01-01 03:00Z') as time,
  percentile_cont(0.5) within group (order by reached_s) as mediana
from panels.texts where $__timeFilter(created_at) and reached_s is not null group by 1 order by 1
""")
    return chart("Tiempo hasta el teléfono", "Mediana por día.", query, "s", rising(60, 300), path="/textos")


def ways() -> Panel:
    query = rows("""
select transport as "Transporte", kind as "Clase",
  case when is_ok then 'en servicio' else 'caído' end as "Estado",
  case when is_open then 'retenido' else '' end as "Retenido", signal_dbm as "Señal", queue as "Cola",
  credit as "Saldo", s_per_text as "Por mensaje", checked_at as "Revisado"
from panels.transports order by is_ok, transport
""")
    return table(
        "Transportes",
        "Modems, SMPP y proveedores, como el hub los vio la última vez.",
        query,
        overrides=(unit_of("Señal", "dBm"), unit_of("Por mensaje", "s")),
        width=24,
        path="/transportes",
    )


TEXTS = Board(
    uid="almenara-sms",
    title="SMS",
    doc="Qué salió, qué llegó, cuánto tardó y por dónde.",
    panels=(sent(), delivered(), speed(), parts(), by_day(), delays(), ways()),
    span="now-30d",
    refresh="1m",
)
