"""Operativos: calendar, results, what followed."""

from dashboards.builder import SECTOR, Board, Panel, bars, rows, series, stat, table
from dashboards.defaults import falling

_HERE = "sector in ($sector)"


def held() -> Panel:
    query = rows(f"""
select count(*) as n from panels.operations
where $__timeFilter(planned_start) and state in ('executed', 'closed') and {_HERE}
""")
    return stat("Ejecutados", "Operativos ejecutados del período.", query, path="/operativos")


def closed() -> Panel:
    query = rows(f"""
select avg((state = 'closed')::int::float8) as parte from panels.operations
where $__timeFilter(planned_start) and {_HERE}
""")
    return stat(
        "Con acta cerrada",
        "Parte de los programados.",
        query,
        "percentunit",
        falling(0.6, 0.8),
        path="/operativos",
    )


def founded() -> Panel:
    query = rows(f"""
select avg((origins > 0)::int::float8) as parte from panels.operations
where $__timeFilter(planned_start) and state in ('executed', 'closed') and {_HERE}
""")
    return stat(
        "Con base en hechos",
        "Parte de los ejecutados que nacieron de alertas o de un foco.",
        query,
        "percentunit",
        falling(0.5, 0.8),
        path="/operativos",
    )


def inspections() -> Panel:
    query = rows(
        f"select count(*) as n from panels.inspections where $__timeFilter(inspected_at) and {_HERE}"
    )
    return stat(
        "Fiscalizaciones", "Hechas en el período; se muestran y no se califican.", query, path="/operativos"
    )


def calendar() -> Panel:
    query = rows(f"""
select planned_start as "Programado", folio as "Folio", kind as "Tipo", sector as "Sector",
  state_name as "Estado", institutions as "Instituciones", inspections as "Fiscalizaciones",
  infringements as "Infracciones"
from panels.operations where $__timeFilter(planned_start) and {_HERE} order by planned_start desc limit 200
""")
    return table(
        "Calendario", "Los del período, el más nuevo primero.", query, width=14, height=12, path="/operativos"
    )


def results() -> Panel:
    query = series(f"""
select date_bin('7 days', inspected_at, timestamptz '2000-01-03 03:00Z') as time, result_name as metric,
  count(*) as n
from panels.inspections where $__timeFilter(inspected_at) and {_HERE} group by 1, 2 order by 1
""")
    return bars(
        "Resultados por semana",
        "Fiscalizaciones por resultado.",
        query,
        width=10,
        height=12,
        path="/operativos",
    )


OPERATIONS = Board(
    uid="almenara-operativos",
    title="Operativos",
    doc="Calendario, resultados y lo que los originó.",
    panels=(held(), closed(), founded(), inspections(), calendar(), results()),
    variables=(SECTOR,),
    span="now-90d",
    refresh="5m",
)
