"""What happened in the commune: confirmed events by family, and those that come again at a place."""

from hub.plan.measures.real import EXCLUSIONS, real
from hub.plan.vocabulary import Measure, flag, word

FAMILIES = ("incivilidades", "delitos", "rural", "emergencias", "social", "sin_clasificar")

EVENTS = Measure(
    name="evento",
    noun="eventos",
    doc="hechos recibidos en el período; confirmados son los que se cerraron como reales",
    unit="eventos",
    source="tabla alerts y catálogo de clasificación; no son casos policiales y nunca se suman con ellos",
    exclusions=EXCLUSIONS,
    fields=(
        word("sector", "sector del hecho"),
        word("familia", "familia del catálogo", *FAMILIES),
        word("codigo", "código del catálogo, por ejemplo INC.RUIDOS"),
        flag("dmcs", "su código es de los delitos de mayor connotación social"),
        flag("confirmado", "cerrado como real: atendido o derivado"),
    ),
    sql="with "
    + real()
    + """
select r.alert_id::text as id, r.sector,
  case r.family when 'INC' then 'incivilidades' when 'DEL' then 'delitos' when 'RUR' then 'rural'
    when 'EMG' then 'emergencias' when 'SOC' then 'social' else 'sin_clasificar' end as familia,
  nullif(r.class_code, '') as codigo,
  (r.settings -> 'dmcs') ? r.class_code as dmcs,
  coalesce(r.reason in ('attended', 'referred'), false) as confirmado
from real r order by r.alert_id
""",
)

# Pairs are sought in a grid of cells that are at least 200 m wide down to 60 degrees south, so that a busy
# month costs neighbours, not squares; the distance itself is exact (haversine).
REPEATS = Measure(
    name="evento_ubicado",
    noun="eventos ubicados",
    doc="eventos confirmados con código y posición",
    unit="eventos",
    source="tabla alerts y catálogo de clasificación",
    exclusions=EXCLUSIONS + ", y eventos sin posición o sin código",
    fields=(
        word("sector", "sector del hecho"),
        word("codigo", "código del catálogo"),
        flag("reiterado", "hubo otro del mismo código a 200 m o menos en los 28 días anteriores"),
    ),
    sql="with "
    + real(28)
    + """,
placed as materialized (
  select alert_id, sector, class_code, opened_at, latitude, longitude,
    floor(latitude / 0.0018)::integer as y, floor(longitude / 0.0036)::integer as x
  from real where reason in ('attended', 'referred') and class_code <> '' and latitude is not null
    and longitude is not null
),
near as materialized (
  select n.alert_id, n.class_code, n.opened_at, n.latitude, n.longitude, n.y + dy as y, n.x + dx as x
  from placed n cross join generate_series(-1, 1) dy cross join generate_series(-1, 1) dx
  where n.opened_at >= :since::timestamptz
),
again as (
  select distinct n.alert_id
  from near n join placed e using (class_code, y, x)
  where e.alert_id <> n.alert_id
    and e.opened_at <= n.opened_at and e.opened_at >= n.opened_at - interval '28 days'
    and 2 * 6371008.8 * asin(sqrt(least(1, power(sin(radians(e.latitude - n.latitude) / 2), 2)
      + cos(radians(n.latitude)) * cos(radians(e.latitude))
        * power(sin(radians(e.longitude - n.longitude) / 2), 2)))) <= 200
)
select alert_id::text as id, p.sector, p.class_code as codigo,
  again.alert_id is not null as reiterado
from placed p left join again using (alert_id) where p.opened_at >= :since::timestamptz order by alert_id
""",
)
