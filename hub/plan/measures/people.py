"""Who lives where, and who is reached: sectors, rural localities, people who are warned."""

from hub.plan.vocabulary import Measure, duration, flag, number, word

# Visitors count by the days of the window that their season covers.
SECTORS = Measure(
    name="sector",
    noun="sectores",
    doc="sectores con población en la fecha en que empieza el período",
    unit="sectores",
    source="población importada por sector y temporada (CSV, con su fuente)",
    exclusions="sectores sin población vigente",
    fields=(
        word("sector", "nombre del sector"),
        flag("rural", "sector rural"),
        number("residentes", "habitantes", "habitantes"),
        number(
            "con_flotante", "habitantes más visitantes, según los días de temporada del período", "habitantes"
        ),
    ),
    if_none="falta la población de los sectores; impórtela con «plan population ARCHIVO»",
    sql="""
with span as (
  select (:since::timestamptz at time zone 'America/Santiago')::date as first_day,
    (:until::timestamptz at time zone 'America/Santiago')::date as end_day,
    (:settings::jsonb, :as_of::timestamptz) as unused
)
select p.sector as id, p.sector, p.is_rural as rural, p.residents::float8 as residentes,
  p.residents + coalesce((
    select sum(v.visitors * greatest(0, least(v.ends_on + 1, span.end_day)
      - greatest(v.starts_on, span.first_day))::float8 / greatest(1, span.end_day - span.first_day))
    from plan_population v where v.sector = p.sector
  ), 0) as con_flotante
from plan_population p cross join span
where p.season = 'permanente' and span.first_day between p.starts_on and p.ends_on
order by p.sector
""",
)

LOCALITIES = Measure(
    name="localidad",
    noun="localidades",
    doc="localidades rurales: los sectores que la población importada marca así, al cierre del período",
    unit="localidades",
    source="población importada, dispositivos por sector y respuestas de los grupos de vigilancia",
    exclusions="sectores urbanos o sin población vigente; sirven también las respuestas a simulacros",
    fields=(
        word("sector", "nombre de la localidad"),
        flag("rural", "siempre: una localidad urbana no se cuenta"),
        flag("sensor_vivo", "tiene un dispositivo con señal y ninguna alerta de silencio abierta"),
        duration("contacto_probado", "hace cuánto respondió alguien de su grupo de vigilancia"),
    ),
    if_none="faltan los sectores rurales; impórtelos con «plan population ARCHIVO»",
    sql="""
with span as (
  select least(:until::timestamptz, :as_of::timestamptz) as end_at,
    (:since::timestamptz at time zone 'America/Santiago')::date as first_day, :settings::jsonb as unused
),
alive as (
  select distinct d.sector from devices d join device_state s using (device_id) cross join span
  where d.created_at < span.end_at and s.first_seen_at < span.end_at and d.kind <> 'gateway'
    and not exists (
      select from alerts a where a.opened_at < span.end_at
        and (a.closed_at is null or a.closed_at >= span.end_at)
        and ((a.kind = 'device_silent' and a.device_id = d.device_id)
          or (a.kind = 'gateway_silent' and a.gateway = d.gateway)))
),
answered as (
  select d.sector, max(c.at) as at from confirmations c cross join span
  join contacts p on c.person = 'contact:' || p.contact_id
  join (select distinct sector, watch_group from devices where watch_group <> '') d
    on d.watch_group = p.watch_group
  where c.at < span.end_at group by d.sector
)
select p.sector as id, p.sector, p.is_rural as rural,
  exists (select from alive where alive.sector = p.sector) as sensor_vivo,
  extract(epoch from span.end_at - answered.at)::float8 as contacto_probado
from plan_population p cross join span left join answered using (sector)
where p.season = 'permanente' and p.is_rural and span.first_day between p.starts_on and p.ends_on
order by p.sector
""",
)

RECIPIENTS = Measure(
    name="destinatario",
    noun="destinatarios",
    doc="personas de grupos de vigilancia a las que se avisó de una alerta, una vez por persona y alerta",
    unit="destinatarios",
    source="avisos, informes de entrega de la red y respuestas; que un aviso salga no prueba que llegó",
    exclusions="pruebas, simulacros, boletines, alertas reservadas y el teléfono de turno",
    fields=(
        word("sector", "sector de la alerta"),
        flag("convocado", "se le avisó"),
        duration("entrega_o_respuesta", "desde el primer aviso hasta que llegó a su teléfono o respondió"),
    ),
    sql="""
with known as (
  select a.alert_id, a.sector from alerts a
  where a.opened_at < least(:until::timestamptz, :as_of::timestamptz) and not a.is_drill
    and not a.is_reserved and not (:settings::jsonb -> 'restricted_kinds') ? a.kind
    and not (coalesce(a.reason, '') in ('test', 'drill') and a.closed_at <= :as_of::timestamptz)
)
select n.alert_id::text || ':' || n.contact_id as id, k.sector, true as convocado,
  extract(epoch from least(min(c.at), min(n.reported_at) filter (
    where n.is_delivered and n.reported_at <= :as_of::timestamptz)) - min(n.created_at))::float8
    as entrega_o_respuesta
from notifications n join known k using (alert_id)
join contacts p using (contact_id)
left join confirmations c on c.alert_id = n.alert_id and c.person = 'contact:' || n.contact_id
  and c.at <= :as_of::timestamptz
where n.created_at >= :since::timestamptz
  and n.created_at < least(:until::timestamptz, :as_of::timestamptz) and p.watch_group <> ''
  and n.purpose = 'alert'
group by n.alert_id, n.contact_id, k.sector order by 1
""",
)

ACTIVITIES = Measure(
    name="actividad",
    noun="actividades",
    doc="actividades del plan vigente que ya debían haber empezado al cierre del período",
    unit="actividades",
    source="versión vigente del plan y evidencias registradas",
    exclusions="ninguna",
    fields=(
        flag("comprometida", "su inicio es anterior al cierre del período"),
        flag("con_evidencia", "tiene una evidencia fechada desde su inicio"),
    ),
    if_none="falta un plan vigente con actividades iniciadas; cárguelo con «plan load ARCHIVO»",
    sql="""
with span as (
  select (least(:until::timestamptz, :as_of::timestamptz) at time zone 'America/Santiago')::date as end_day,
    (:since::timestamptz, :settings::jsonb) as unused
),
plan as (
  select v.plan_id, v.document from plan_versions v cross join span
  where v.loaded_at <= :as_of::timestamptz and v.starts_on < span.end_day
  order by v.starts_on desc, v.update_number desc limit 1
),
activity as (
  select plan.plan_id, a ->> 'id' as activity, (a ->> 'inicio')::date as starts_on
  from plan, jsonb_path_query(plan.document, '$.objetivos[*].componentes[*].actividades[*]') a
)
select a.activity as id, true as comprometida, exists (
    select from plan_evidence e where e.plan_id = a.plan_id and e.activity = a.activity
      and e.done_on >= a.starts_on and e.done_on < span.end_day and e.recorded_at <= :as_of::timestamptz
  ) as con_evidencia
from activity a cross join span where a.starts_on < span.end_day order by a.activity
""",
)
