"""What the directorate keeps: referrals, council, agreements, image requests, projects."""

from hub.plan.vocabulary import Measure, duration, flag, number, word

# A day is over at its midnight in Chile: a delay counts from the start of one day to the start of another.
_DAY_S = 86_400

REFERRALS = Measure(
    name="victima",
    noun="víctimas",
    doc="derivaciones abiertas en el período, una por víctima",
    unit="víctimas",
    source="registro de derivaciones",
    exclusions="ninguna; sin consentimiento no hay derivación y así se cuenta",
    fields=(
        word("sector", "sector, si se anotó"),
        flag("consiente", "dio su consentimiento"),
        duration("aceptada", "desde que se derivó hasta que la institución aceptó, en días corridos"),
    ),
    sql=f"""
select r.folio as id, r.sector, r.has_consent as consiente,
  case when r.accepted_on_told_at <= :as_of::timestamptz
    then ((r.accepted_on - r.referred_on) * {_DAY_S})::float8 end as aceptada
from referrals r
where r.opened_on >= (:since::timestamptz at time zone 'America/Santiago')::date
  and r.opened_on < (:until::timestamptz at time zone 'America/Santiago')::date
  and r.recorded_at <= :as_of::timestamptz and :settings::jsonb is not null
order by r.folio
""",
)

SESSIONS = Measure(
    name="sesion",
    noun="sesiones",
    doc="sesiones del Consejo Comunal realizadas en el período",
    unit="sesiones",
    source="registro de sesiones y asistencia, por asiento",
    exclusions="sesiones suspendidas o sin realizar, y las del Comité",
    fields=(
        number("asistentes", "asientos presentes, también con suplente", "asientos"),
        number("convocados", "asientos convocados", "asientos"),
    ),
    sql="""
select s.folio as id, count(a.seat) filter (where a.is_present)::float8 as asistentes,
  count(a.seat)::float8 as convocados
from council_sessions s
left join council_attendance a on a.folio = s.folio and a.recorded_at <= :as_of::timestamptz
where s.body = 'council' and s.state = 'held' and s.recorded_at <= :as_of::timestamptz
  and s.starts_at >= :since::timestamptz and s.starts_at < least(:until::timestamptz, :as_of::timestamptz)
  and :settings::jsonb is not null
group by s.folio order by s.folio
""",
)

AGREEMENTS = Measure(
    name="acuerdo",
    noun="acuerdos",
    doc="acuerdos del Consejo cuyo plazo cae en el período",
    unit="acuerdos",
    source="registro de acuerdos",
    exclusions="los que el Consejo dejó sin efecto",
    fields=(
        flag("vencido", "su plazo ya pasó"),
        flag("cumplido_en_plazo", "se cumplió a más tardar el día del plazo"),
    ),
    sql="""
select g.folio as id,
  g.due_on < (least(:until::timestamptz, :as_of::timestamptz) at time zone 'America/Santiago')::date
    as vencido,
  coalesce(g.fulfilled_on <= g.due_on and g.fulfilled_on_told_at <= :as_of::timestamptz, false)
    as cumplido_en_plazo
from council_agreements g
where g.due_on >= (:since::timestamptz at time zone 'America/Santiago')::date
  and g.due_on < (:until::timestamptz at time zone 'America/Santiago')::date
  and g.dropped_because = '' and g.recorded_at <= :as_of::timestamptz and :settings::jsonb is not null
order by g.folio
""",
)

REQUESTS = Measure(
    name="requerimiento",
    noun="requerimientos",
    doc="requerimientos de imágenes recibidos en el período",
    unit="requerimientos",
    source="libro de requerimientos",
    exclusions="ninguna",
    fields=(
        flag("en_plazo", "se respondió a más tardar el día del plazo"),
        flag("perdido", "las imágenes ya no estaban: venció la conservación"),
    ),
    sql="""
select q.folio as id,
  coalesce(q.answered_on <= q.due_on and q.outcome <> 'lost'
    and q.answered_on_told_at <= :as_of::timestamptz, false) as en_plazo,
  q.outcome = 'lost' and coalesce(q.answered_on_told_at <= :as_of::timestamptz, false) as perdido
from image_requests q
where q.received_on >= (:since::timestamptz at time zone 'America/Santiago')::date
  and q.received_on < (:until::timestamptz at time zone 'America/Santiago')::date
  and q.recorded_at <= :as_of::timestamptz and :settings::jsonb is not null
order by q.folio
""",
)

PROJECTS = Measure(
    name="proyecto",
    noun="proyectos",
    doc="proyectos en ejecución o terminados, con lo transferido y lo rendido hasta el cierre del período",
    unit="proyectos",
    source="registro de proyectos, cuotas y rendiciones",
    exclusions="postulados, no adjudicados, y los de fondo municipal: no se rinden a otro",
    fields=(
        word("fondo", "fondo que lo paga"),
        number("rendido", "monto rendido", "CLP"),
        number("transferido", "monto transferido", "CLP"),
    ),
    sql="""
with span as (
  select (least(:until::timestamptz, :as_of::timestamptz) at time zone 'America/Santiago')::date as end_day,
    (:since::timestamptz, :settings::jsonb) as unused
)
select p.folio as id, p.fund as fondo,
  coalesce(sum(m.amount_clp) filter (where m.sort = 'account'), 0)::float8 as rendido,
  coalesce(sum(m.amount_clp) filter (where m.sort = 'instalment'), 0)::float8 as transferido
from projects p cross join span
left join project_payments m on m.project = p.folio and m.day < span.end_day
  and m.recorded_at <= :as_of::timestamptz
where p.state in ('running', 'finished') and p.starts_on < span.end_day and lower(p.fund) <> 'municipal'
  and p.recorded_at <= :as_of::timestamptz
group by p.folio, p.fund order by p.folio
""",
)
