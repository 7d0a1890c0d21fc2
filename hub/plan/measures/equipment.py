"""Devices: in service, out of service, and how long until they are back."""

from hub.plan.vocabulary import Measure, duration, flag, word

TYPES = ("boton", "sensor", "camara", "sirena", "gateway")

# Silence is what the hub itself noticed: the alerts of silent devices and gateways. It began at the last
# sign of life, so the patience of the supervision is taken off again. A person may close such an alert
# before the device is back; the sign of life (a line of the log) counts before that.
_OUTAGES = """
typed as (
  select d.*, case
    when d.kind in ('panic_button', 'duress_button', 'vif_button', 'wearable') then 'boton'
    when d.kind = 'camera' then 'camara' when d.kind = 'siren' then 'sirena'
    when d.kind = 'gateway' then 'gateway' else 'sensor' end as type,
    case when s.first_seen_at <= :as_of::timestamptz then s.first_seen_at end as first_seen_at,
    least(:until::timestamptz, :as_of::timestamptz) as window_end
  from devices d left join device_state s using (device_id)
  where d.created_at < least(:until::timestamptz, :as_of::timestamptz)
),
silent as (
  select a.alert_id, a.device_id, a.happened_at, a.closed_at from alerts a
  where a.kind = 'device_silent' and a.opened_at < least(:until::timestamptz, :as_of::timestamptz)
    and (a.closed_at is null or a.closed_at >= :since::timestamptz)
  union all
  select a.alert_id, d.device_id, a.happened_at, a.closed_at
  from alerts a join devices d on d.gateway = a.gateway
  where a.kind = 'gateway_silent' and a.opened_at < least(:until::timestamptz, :as_of::timestamptz)
    and (a.closed_at is null or a.closed_at >= :since::timestamptz)
),
outages as (
  select s.alert_id, t.device_id, t.type, t.sector, t.window_end,
    s.happened_at - make_interval(secs => t.silent_after_s) as began_at,
    case when e.ended_at <= :as_of::timestamptz then e.ended_at end as ended_at
  from silent s join typed t using (device_id)
  cross join lateral (
    select coalesce(
      (select min(l.at) from alert_log l where l.alert_id = s.alert_id
        and (l.move = 'cleared' or (l.move = 'close' and l.author like 'hub:%'))),
      s.closed_at) as ended_at
  ) e
),
down as (
  select device_id, range_agg(tstzrange(began_at, coalesce(ended_at, 'infinity'))) as spans
  from outages where coalesce(ended_at, 'infinity') > began_at group by device_id
)"""

_LIMITS = (
    "una mantención silenciada no abre alerta y no cuenta como caída; lo que ocurre mientras el hub está"
    " apagado no se ve"
)

CAMERAS = Measure(
    name="camara",
    noun="cámaras",
    doc="todas las cámaras del inventario en el período; una nunca vista cuenta como caída",
    unit="cámaras",
    source="dispositivos y alertas de silencio: dice si la cámara habla, no si su imagen vale",
    exclusions=_LIMITS,
    fields=(
        word("sector", "sector de la cámara"),
        duration("exigido", "tiempo del período desde que está inventariada"),
        duration("con_senal", "tiempo exigido en que habló"),
        duration("caida", "cuánto lleva sin señal al cierre del período; vacío si habla"),
    ),
    sql="with "
    + _OUTAGES
    + """,
demanded as (
  select t.*, greatest(t.created_at, :since::timestamptz) as starts_at, coalesce(d.spans, '{}') as spans
  from typed t left join down d using (device_id) where t.type = 'camara'
)
select device_id::text as id, sector,
  extract(epoch from window_end - starts_at)::float8 as exigido,
  coalesce(extract(epoch from (select sum(upper(u) - lower(u)) from unnest(
    tstzmultirange(tstzrange(least(greatest(first_seen_at, starts_at), window_end), window_end)) - spans
  ) u where first_seen_at is not null))::float8, 0) as con_senal,
  case when first_seen_at is null or first_seen_at > window_end
    then extract(epoch from window_end - created_at)::float8
    else (select extract(epoch from window_end - lower(u))::float8 from unnest(spans) u
      where u @> (window_end - interval '1 microsecond') limit 1) end as caida
from demanded where window_end > starts_at order by device_id
""",
)

DEVICES = Measure(
    name="dispositivo",
    noun="dispositivos",
    doc="dispositivos instalados, como estaban al cierre del período",
    unit="dispositivos",
    source="tablas devices, device_state y alertas de silencio y batería",
    exclusions=_LIMITS,
    fields=(
        word("sector", "sector del dispositivo"),
        word("tipo", "clase de dispositivo", *TYPES),
        flag("supervisado", "visto alguna vez, con señal y sin alerta de batería"),
        flag("con_senal", "visto alguna vez y sin alerta de silencio"),
    ),
    sql="with "
    + _OUTAGES
    + """
select t.device_id::text as id, t.sector, t.type as tipo,
  seen.alive and not exists (
    select from alerts a where a.kind = 'battery_low' and a.device_id = t.device_id
      and a.opened_at < t.window_end and (a.closed_at is null or a.closed_at >= t.window_end)
  ) as supervisado,
  seen.alive as con_senal
from typed t left join down d using (device_id)
cross join lateral (
  select t.first_seen_at is not null and t.first_seen_at < t.window_end
    and not coalesce(d.spans @> (t.window_end - interval '1 microsecond'), false) as alive
) seen
order by t.device_id
""",
)

FAILURES = Measure(
    name="falla",
    noun="fallas",
    doc="caídas que terminaron en el período",
    unit="fallas",
    source="alertas de silencio de dispositivos y equipos",
    exclusions=_LIMITS,
    fields=(
        word("sector", "sector del dispositivo"),
        word("tipo", "clase de dispositivo", *TYPES),
        duration("reposicion", "desde la última señal hasta la siguiente"),
    ),
    sql="with "
    + _OUTAGES
    + """
select o.alert_id::text || ':' || o.device_id as id, o.sector, o.type as tipo,
  extract(epoch from o.ended_at - o.began_at)::float8 as reposicion
from outages o
where o.ended_at >= :since::timestamptz and o.ended_at < :until::timestamptz and o.ended_at > o.began_at
order by 1
""",
)
