"""Operations and what followed them: executed, joint, founded, inspected, cleared, and their effect."""

from hub.plan.measures.real import EXCLUSIONS
from hub.plan.vocabulary import Measure, duration, flag, number, word

EFFECT_DAYS = 14
EFFECT_RADIUS_M = 300
REAPPEARS_RADIUS_M = 100
"""A stall moves a few doors on, and a phone's position is good to some ten metres."""

# A box is looked at before the distance: degrees of latitude for the radius, of longitude down to 60 south.
_NEAR_POINT = f"""
      abs(a.latitude - p.latitude) < {EFFECT_RADIUS_M} / 111000.0
      and abs(a.longitude - p.longitude) < {EFFECT_RADIUS_M} / 55000.0
      and metres_between(a.latitude, a.longitude, p.latitude, p.longitude) <= {EFFECT_RADIUS_M}"""

# As the log tells it at :as_of; an operation is in it from its planning on.
_TOLD = """
told as (
  select o.*, coalesce((
      select l.to_state from operation_log l
      where l.operation_id = o.operation_id and l.to_state is not null and l.at <= :as_of::timestamptz
      order by l.log_id desc limit 1), 'planned') as told_state
  from operations o
  where o.planned_start >= :since::timestamptz and o.planned_start < :until::timestamptz
    and o.created_at <= :as_of::timestamptz and not o.is_drill
)"""

OPERATIONS = Measure(
    name="operativo",
    noun="operativos",
    doc="operativos cuyo inicio programado cae en el período",
    unit="operativos",
    source="operativos con su bitácora, instituciones, puntos y vínculos; alertas confirmadas para el efecto",
    exclusions="operativos de simulacro; en sus eventos, " + EXCLUSIONS,
    fields=(
        word("sector", "sector del operativo"),
        word("tipo", "tipo del catálogo de operativos"),
        flag("programado", "estaba programado en el período"),
        word(
            "estado",
            "estado del operativo; ejecutado vale también con el acta cerrada",
            *("programado", "confirmado", "en_curso", "ejecutado", "suspendido"),
        ),
        word("acta", "estado del acta", "abierta", "cerrada"),
        flag("interinstitucional", "estuvieron dos o más instituciones"),
        flag("con_base", "nació de un foco o tiene un evento de origen vinculado"),
        number(
            "eventos_antes",
            f"eventos confirmados en los {EFFECT_DAYS} días antes, a {EFFECT_RADIUS_M} m de sus puntos"
            f" (sin puntos: en su sector); sin dato hasta que pasan {EFFECT_DAYS} días del término",
        ),
        number("eventos_despues", f"lo mismo en los {EFFECT_DAYS} días después"),
    ),
    sql=f"""with {_TOLD},
ended as (
  select operation_id, sector, started_at, ended_at,
    exists (select from operation_points p where p.operation_id = told.operation_id) as has_points
  from told where told_state in ('executed', 'closed') and started_at is not null
    and ended_at <= :as_of::timestamptz - interval '{EFFECT_DAYS} days'
),
counted as (
  select e.operation_id, found.before, found.after
  from ended e cross join lateral (
    select count(*) filter (where a.opened_at < e.started_at) as before,
      count(*) filter (where a.opened_at >= e.ended_at) as after
    from alerts a cross join (select :settings::jsonb as settings) s
    where a.opened_at >= e.started_at - interval '{EFFECT_DAYS} days'
      and a.opened_at < e.ended_at + interval '{EFFECT_DAYS} days'
      and not a.is_drill and not a.is_reserved and not (s.settings -> 'restricted_kinds') ? a.kind
      and a.reason in ('attended', 'referred') and a.closed_at <= :as_of::timestamptz
      and split_part(coalesce(nullif(a.classification, ''), s.settings -> 'code_of_kind' ->> a.kind, ''),
        '.', 1) not in ('TEC', 'VIF')
      and case when e.has_points then exists (
          select from operation_points p where p.operation_id = e.operation_id and {_NEAR_POINT})
        else a.sector = e.sector and a.sector <> '' end
  ) found
)
select t.operation_id::text as id, t.sector, t.kind as tipo, true as programado,
  case t.told_state when 'planned' then 'programado' when 'confirmed' then 'confirmado'
    when 'in_progress' then 'en_curso' when 'suspended' then 'suspendido' else 'ejecutado' end as estado,
  case when t.told_state = 'closed' then 'cerrada' else 'abierta' end as acta,
  (select count(*) from operation_institutions i where i.operation_id = t.operation_id
    and (i.present > 0 or i.present is null and i.signed_at <= :as_of::timestamptz)) >= 2
    as interinstitucional,
  t.hot_spot <> '' or exists (
    select from operation_links l join alerts a using (alert_id)
    where l.operation_id = t.operation_id and l.relation = 'origin' and l.at <= :as_of::timestamptz
      and (l.removed_at is null or l.removed_at > :as_of::timestamptz)
      and not a.is_drill and not a.is_reserved
      and not (:settings::jsonb -> 'restricted_kinds') ? a.kind) as con_base,
  c.before::float8 as eventos_antes, c.after::float8 as eventos_despues
from told t left join counted c using (operation_id) order by t.operation_id
""",
)

# What stands at :as_of: a corrected inspection has given its place, a withdrawn one left it empty.
_STANDING = """
standing as (
  select i.* from inspection_versions i left join operations o using (operation_id)
  where i.recorded_at <= :as_of::timestamptz and not coalesce(o.is_drill, false)
    and (i.replaced_at is null or i.replaced_at > :as_of::timestamptz)
)"""

INSPECTIONS = Measure(
    name="fiscalizacion",
    noun="fiscalizaciones",
    doc="fiscalizaciones hechas en el período, cada una como quedó tras sus correcciones",
    unit="fiscalizaciones",
    source="fiscalizaciones y sus infracciones",
    exclusions="fiscalizaciones de simulacro, las reemplazadas por una corrección y las retiradas",
    fields=(
        word("sector", "sector"),
        word(
            "resultado",
            "resultado",
            *("sin_observacion", "advertencia", "infraccion", "clausura_derivada"),
        ),
        word(
            "permiso",
            "permiso municipal",
            *("vigente", "vencido", "sin_permiso", "desconocido", "no_requiere", "otro_lugar"),
        ),
        flag("con_infraccion", "terminó en una o más infracciones"),
    ),
    sql=f"""with {_STANDING}
select i.inspection_id::text as id, i.sector,
  case i.result when 'no_remark' then 'sin_observacion' when 'warning' then 'advertencia'
    when 'infringement' then 'infraccion' else 'clausura_derivada' end as resultado,
  case i.permit_state when 'valid' then 'vigente' when 'expired' then 'vencido'
    when 'none' then 'sin_permiso' when 'not_needed' then 'no_requiere'
    when 'other_place' then 'otro_lugar' else 'desconocido' end as permiso,
  i.result = 'infringement'
    or exists (select from infringements f where f.inspection_id = i.inspection_id) as con_infraccion
from standing i
where i.inspected_at >= :since::timestamptz and i.inspected_at < :until::timestamptz
order by i.inspection_id
""",
)

POINTS = Measure(
    name="punto",
    noun="puntos",
    doc="puntos que un operativo visitó o dejó despejados en el período",
    unit="puntos",
    source="puntos de los operativos y fiscalizaciones georreferenciadas posteriores",
    exclusions="operativos de simulacro; fiscalizaciones del mismo operativo y las reemplazadas",
    fields=(
        word("sector", "sector del punto"),
        flag("despejado", f"quedó despejado; sin dato hasta que pasan {EFFECT_DAYS} días"),
        flag(
            "revisitado",
            f"hubo una fiscalización a {REAPPEARS_RADIUS_M} m en los {EFFECT_DAYS} días siguientes;"
            " donde nadie volvió, no se sabe si reapareció",
        ),
        duration(
            "reaparece",
            "desde que quedó despejado hasta que una fiscalización halló allí comercio sin permiso vigente",
        ),
    ),
    sql=f"""with {_STANDING},
point as (
  select p.*, o.sector, coalesce(p.cleared_at, p.visited_at) as seen_at
  from operation_points p join operations o using (operation_id)
  where not o.is_drill and o.created_at <= :as_of::timestamptz
    and coalesce(p.cleared_at, p.visited_at) >= :since::timestamptz
    and coalesce(p.cleared_at, p.visited_at) < least(:until::timestamptz, :as_of::timestamptz)
)
select p.operation_id::text || ':' || p.point as id, p.sector,
  case when p.cleared_at is null then false
    when p.cleared_at <= :as_of::timestamptz - interval '{EFFECT_DAYS} days' then true end as despejado,
  coalesce(later.first_at <= p.cleared_at + interval '{EFFECT_DAYS} days', false) as revisitado,
  extract(epoch from later.found_at - p.cleared_at)::float8 as reaparece
from point p left join lateral (
  select min(i.inspected_at) as first_at,
    min(i.inspected_at) filter (where i.permit_state in ('expired', 'none', 'other_place')) as found_at
  from standing i
  left join operation_points at on at.operation_id = i.operation_id and at.point = i.point
  where i.inspected_at > p.cleared_at and i.inspected_at <= p.cleared_at + interval '90 days'
    and i.operation_id is distinct from p.operation_id
    and metres_between(coalesce(i.latitude, at.latitude), coalesce(i.longitude, at.longitude),
      p.latitude, p.longitude) <= {REAPPEARS_RADIUS_M}
) later on true
order by p.operation_id, p.point
""",
)
