"""Plan: frozen figures against baseline and target, and what lacks evidence."""

from dashboards.builder import Board, Panel, Variable, chart, rows, series, stat, table
from dashboards.defaults import BAD, FAIR, GOOD, PLAIN, falling, override, rising, unit_of

INDICATOR = Variable(
    name="indicador",
    label="Indicador",
    query="select distinct indicator from panels.indicators where plan <> 'BASE' order by 1",
)
_LIGHTS = [
    {
        "type": "value",
        "options": {
            "cumple": {"text": "Cumple", "color": GOOD, "index": 0},
            "avanza": {"text": "Avanza", "color": FAIR, "index": 1},
            "atrasado": {"text": "Atrasado", "color": BAD, "index": 2},
            "sin_meta": {"text": "Sin meta", "color": PLAIN, "index": 3},
            "sin_dato": {"text": "Sin dato", "color": PLAIN, "index": 4},
        },
    }
]
_NEWEST = """
with newest as (
  select distinct on (plan, indicator) * from panels.indicators
  where plan <> 'BASE' and until <= $__timeTo() order by plan, indicator, until desc
)
"""


def met() -> Panel:
    query = rows(f"{_NEWEST} select count(*) as n from newest where light = 'cumple'")
    return stat(
        "Cumplen la meta", "Indicadores del plan en su último período congelado.", query, path="/plan"
    )


def behind() -> Panel:
    query = rows(f"{_NEWEST} select count(*) as n from newest where light = 'atrasado'")
    return stat("Atrasados", "No mejoran la línea base.", query, "none", rising(1, 3), path="/plan")


def unknown() -> Panel:
    query = rows(f"{_NEWEST} select count(*) as n from newest where light = 'sin_dato'")
    return stat("Sin dato", "No se sabe, y se dice.", query, "none", rising(1, 3), path="/plan")


def proven() -> Panel:
    query = rows("""
select avg((evidences > 0)::int::float8) as parte from panels.activities
where starts_on <= (now() at time zone 'America/Santiago')::date
""")
    return stat(
        "Actividades con evidencia",
        "Parte de las ya comenzadas.",
        query,
        "percentunit",
        falling(0.6, 0.9),
        path="/plan",
    )


def lights() -> Panel:
    query = rows(f"""
{_NEWEST}
select indicator as "Indicador", name as "Nombre", period as "Período", value as "Cifra", unit as "Unidad",
  baseline as "Línea base", target as "Meta", light as "Situación", no_data as "Por qué no hay dato"
from newest order by indicator
""")
    colours = override("Situación", {"mappings": _LIGHTS, "custom.cellOptions": {"type": "color-text"}})
    return table(
        "Indicadores",
        "La última cifra congelada contra su línea base y su meta.",
        query,
        "short",
        overrides=(colours,),
        width=24,
        height=9,
        path="/plan",
    )


def history() -> Panel:
    query = series("""
select until as time, indicator as metric, value from panels.indicators
where plan <> 'BASE' and indicator in ($indicador) and $__timeFilter(until) order by 1
""")
    return chart(
        "Evolución",
        "Cifras congeladas de los indicadores elegidos; «sin dato» es un corte.",
        query,
        "short",
        width=24,
        height=9,
        path="/plan",
    )


def activities() -> Panel:
    query = rows("""
select activity as "Actividad", name as "Nombre", starts_on as "Inicio", ends_on as "Término",
  budget_clp as "Presupuesto", evidences as "Evidencias", last_evidence_on as "Última"
from panels.activities order by evidences, starts_on
""")
    return table(
        "Actividades",
        "Las que no tienen evidencia primero.",
        query,
        overrides=(unit_of("Presupuesto", "currencyCLP"),),
        width=24,
        path="/plan",
    )


PLAN = Board(
    uid="almenara-plan",
    title="Plan comunal",
    doc="Indicadores contra línea base y meta, y lo que falta probar.",
    panels=(met(), behind(), unknown(), proven(), lights(), history(), activities()),
    variables=(INDICATOR,),
    span="now-1y",
    refresh="15m",
)
