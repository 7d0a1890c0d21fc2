"""Alerts: how fast they are taken, how they end."""

from hub.plan.measures.real import EXCLUSIONS, real
from hub.plan.vocabulary import Measure, duration, flag, number, word

ALERTS = Measure(
    name="alerta",
    noun="alertas",
    doc="alertas recibidas por la central en el período (por su hora de recepción)",
    unit="alertas",
    source="tablas alerts y alert_log",
    exclusions=EXCLUSIONS,
    fields=(
        word("sector", "sector de la alerta"),
        word("tipo", "familia del catálogo: EMG, DEL, INC, RUR, SOC", "EMG", "DEL", "INC", "RUR", "SOC"),
        word("codigo", "código del catálogo, por ejemplo DEL.HURTO"),
        word("clase", "clase que puso la regla, por ejemplo panic"),
        number("prioridad", "1 vida, 2 en curso, 3 bienes, 4 mantención"),
        word(
            "cierre",
            "motivo de cierre; error es «falsa por error», falsa es «falsa técnica»",
            *("atendida", "derivada", "sin_novedad", "error", "falsa"),
        ),
        flag("cerrada", "tiene motivo de cierre"),
        flag("acusada", "una persona la tomó"),
        flag("en_sla", "tomada dentro del plazo de su prioridad; sin tomar no lo está"),
        duration("acuse", "desde la recepción hasta que una persona la toma"),
        duration("llegada", "desde la recepción hasta la llegada registrada al lugar"),
    ),
    sql="with "
    + real()
    + """
select r.alert_id::text as id, r.sector, nullif(r.family, '') as tipo, nullif(r.class_code, '') as codigo,
  r.kind as clase, r.priority as prioridad,
  case r.reason when 'attended' then 'atendida' when 'referred' then 'derivada'
    when 'nothing_found' then 'sin_novedad' when 'mistaken' then 'error' when 'technical' then 'falsa'
    end as cierre,
  r.reason is not null as cerrada,
  r.acknowledged_at is not null as acusada,
  coalesce(extract(epoch from r.acknowledged_at - r.opened_at)
    <= (r.settings -> 'sla_s' ->> r.priority::text)::float8, false) as en_sla,
  extract(epoch from r.acknowledged_at - r.opened_at)::float8 as acuse,
  extract(epoch from l.arrived_at - r.opened_at)::float8 as llegada
from real r left join lateral (
  select min(l.at) as arrived_at from alert_log l
  where l.alert_id = r.alert_id and l.move = 'arrive' and l.at <= :as_of::timestamptz
) l on true
order by r.alert_id
""",
)
