-- What dashboards may read: views only, and what must not be seen is left out here, not in the dashboards.
-- Reserved alerts keep their times under a neutral label; their place, device, sector and coordinates are
-- null. No view has a person, a phone or a login. Views hold no rows, so nothing here grows.
-- A column's comment begins with its unit where it has one ('s: …'): the check of dashboards compares it.
-- Views are security barriers: a reader's own condition never sees a row that the view leaves out.

create schema panels_base;                       -- parts of the views; nobody is granted anything here
create schema panels;

create function panels_base.kind_name(kind text) returns text language sql immutable parallel safe as $$
  select case kind
    when 'panic' then 'Botón de pánico'
    when 'duress' then 'Atención reservada'
    when 'man_down' then 'Persona caída'
    when 'smoke' then 'Humo'
    when 'tamper' then 'Sabotaje'
    when 'camera_moved' then 'Cámara desviada'
    when 'camera_covered' then 'Cámara tapada'
    when 'gate_open' then 'Portón abierto'
    when 'sensor_failed' then 'Sensor con falla'
    when 'battery_low' then 'Batería baja'
    when 'river_high' then 'Crecida del río'
    when 'community_alarm' then 'Alarma comunitaria'
    when 'smoke_suspected' then 'Posible humo'
    when 'fire_weather' then 'Peligro de incendio'
    when 'river_rising' then 'El río sube rápido'
    when 'tank_low' then 'Estanque bajo'
    when 'pump_theft' then 'Posible robo de bomba'
    when 'gate_left_open' then 'Portón sin cerrar'
    when 'cattle_theft' then 'Ganado fuera del potrero'
    when 'collar_silent' then 'Collar sin señal'
    when 'cable_cut' then 'Cable cortado'
    when 'transformer_tilt' then 'Transformador inclinado'
    when 'transformer_dark' then 'Transformador sin tensión'
    when 'rule_failed' then 'Regla con falla'
    when 'rule_flood' then 'Regla con demasiados avisos'
    when 'device_silent' then 'Sin señal'
    when 'gateway_down' then 'Equipo caído'
    when 'gateway_silent' then 'Equipo sin señal'
    when 'room_silent' then 'Central sin operador'
    when 'transport_down' then 'Transporte sin servicio'
    when 'transport_credit' then 'Saldo bajo'
    when 'sms_help' then 'Pide ayuda por SMS'
    when 'sms_stranger' then 'Mensaje de número no inscrito'
    when 'drill' then 'Simulacro'
    when 'flapping' then 'Falla repetida'
    else kind end
$$;

create function panels_base.device_kind_name(kind text) returns text
language sql immutable parallel safe as $$
  select case kind
    when 'panic_button' then 'Botón de pánico'
    when 'duress_button' then 'Botón silencioso'
    when 'camera' then 'Cámara'
    when 'river_level' then 'Nivel de río'
    when 'temperature' then 'Temperatura'
    when 'gate' then 'Portón'
    when 'gate_contact' then 'Portón'
    when 'smoke' then 'Detector de humo'
    when 'smoke_detector' then 'Detector de humo'
    when 'rural_sensor' then 'Sensor rural'
    when 'tank_level' then 'Nivel de estanque'
    when 'water_tank' then 'Estanque de agua'
    when 'cattle' then 'Collar de ganado'
    when 'pump' then 'Bomba'
    when 'siren' then 'Sirena'
    when 'gateway' then 'Equipo'
    when 'other' then 'Otro'
    else kind end
$$;

-- The family of the catalogue that comes with the hub; a person's classification goes before the kind's.
create function panels_base.family(classification text, kind text) returns text
language sql immutable parallel safe as $$
  select case when classification <> '' then split_part(classification, '.', 1)
    when kind in ('smoke', 'river_high') then 'EMG'
    when kind = 'gate_open' then 'RUR'
    when kind in ('device_silent', 'gateway_silent', 'battery_low', 'tamper', 'camera_moved') then 'TEC'
    else 'SIN' end
$$;

-- Seconds in which an alert has to be taken (hub/plan/parameters.py).
create function panels_base.ack_target_s(priority smallint) returns integer
language sql immutable parallel safe as $$
  select case priority when 1 then 15 when 2 then 60 when 3 then 300 else 900 end
$$;

-- Whose device alone tells where somebody in danger lives: silent buttons, and any with a reserved alert.
create index alerts_restricted_device on alerts (device_id)
  where is_reserved or kind in ('duress', 'vif');
create view panels_base.private_devices as
select device_id from devices where kind in ('duress_button', 'vif_button')
union
select device_id from alerts where (is_reserved or kind in ('duress', 'vif')) and device_id is not null;

create view panels_base.seen_alerts as
select a.*, a.is_reserved or a.kind in ('duress', 'vif')
    or exists (select from panels_base.private_devices p where p.device_id = a.device_id) as is_hidden,
  a.is_drill or coalesce(a.reason, '') in ('test', 'drill') as is_test
from alerts a;

create view panels.alerts with (security_barrier) as
select a.code, a.opened_at, a.acknowledged_at, l.arrived_at, a.closed_at, a.priority, a.state,
  case a.state when 'received' then 'Recibida' when 'acknowledged' then 'Tomada'
    when 'verifying' then 'En verificación' when 'dispatched' then 'Despachada'
    when 'on_scene' then 'En el lugar' when 'controlled' then 'Controlada'
    when 'referred' then 'Derivada' when 'closed' then 'Cerrada' when 'merged' then 'Fusionada'
    else a.state end as state_name,
  case when not a.is_hidden then a.reason end as reason,
  case when a.is_hidden then 'reserved' else a.kind end as kind,
  case when a.is_hidden then 'Atención reservada' else panels_base.kind_name(a.kind) end as kind_name,
  case when not a.is_hidden then a.sector end as sector,
  case when not a.is_hidden then a.place end as place,
  case when not a.is_hidden then a.latitude end as latitude,
  case when not a.is_hidden then a.longitude end as longitude,
  a.is_test as is_drill, a.is_hidden as is_reserved,
  extract(epoch from a.acknowledged_at - a.opened_at)::float8 as ack_s,
  panels_base.ack_target_s(a.priority) as ack_target_s,
  extract(epoch from l.arrived_at - a.opened_at)::float8 as arrival_s,
  '/alertas/' || a.alert_id as console_path
from panels_base.seen_alerts a
left join lateral (
  select min(l.at) as arrived_at from alert_log l where l.alert_id = a.alert_id and l.move = 'arrive'
) l on true;
comment on column panels.alerts.ack_s is 's: from opening until a person took it';
comment on column panels.alerts.ack_target_s is 's: promised for its priority';
comment on column panels.alerts.arrival_s is 's: from opening until somebody was there';

-- Silence as the plan's figures know it (hub/plan/measures/equipment.py): from the last sign of life to the
-- next one.
create view panels_base.outages as
select s.alert_id, d.device_id, s.happened_at - make_interval(secs => d.silent_after_s) as began_at,
  e.ended_at, s.is_by_gateway, s.opened_at
from (
  select a.alert_id, a.device_id, a.happened_at, a.closed_at, a.opened_at, false as is_by_gateway
  from alerts a where a.kind = 'device_silent' and a.device_id is not null
  union all
  select a.alert_id, d.device_id, a.happened_at, a.closed_at, a.opened_at, true
  from alerts a join devices d on d.gateway = a.gateway where a.kind = 'gateway_silent'
) s join devices d using (device_id)
cross join lateral (
  select coalesce(
    (select min(l.at) from alert_log l where l.alert_id = s.alert_id
      and (l.move = 'cleared' or (l.move = 'close' and l.author like 'hub:%'))),
    s.closed_at) as ended_at
) e;
create index alerts_silent on alerts (opened_at) where kind in ('device_silent', 'gateway_silent');

create view panels.outages with (security_barrier) as
select coalesce(nullif(d.name, ''), d.source) as device, d.source, d.kind,
  panels_base.device_kind_name(d.kind) as kind_name, d.sector, d.gateway, o.opened_at, o.began_at,
  o.ended_at, o.is_by_gateway,
  extract(epoch from coalesce(o.ended_at, now()) - o.began_at)::float8 as outage_s
from panels_base.outages o join devices d using (device_id)
where not exists (select from panels_base.private_devices p where p.device_id = d.device_id)
  and coalesce(o.ended_at, 'infinity') > o.began_at;
comment on column panels.outages.outage_s is 's: until now where it lasts';

create view panels.devices with (security_barrier) as
select d.source, coalesce(nullif(d.name, ''), d.source) as name, d.kind,
  panels_base.device_kind_name(d.kind) as kind_name, d.sector, d.gateway, d.latitude, d.longitude,
  d.created_at as installed_at, s.last_seen_at,
  extract(epoch from now() - s.last_seen_at)::float8 as silence_s,
  s.last_seen_at is null or o.out_since is not null as is_out, o.out_since, s.battery
from devices d left join device_state s using (device_id)
left join lateral (
  select min(o.opened_at) as out_since from alerts o
  where o.closed_at is null and ((o.kind = 'device_silent' and o.device_id = d.device_id)
    or (o.kind = 'gateway_silent' and o.gateway = d.gateway))
) o on true
where not exists (select from panels_base.private_devices p where p.device_id = d.device_id);
comment on column panels.devices.silence_s is 's: since the hub last heard it';
comment on column panels.devices.battery is '/: 0 to 1';

-- All cameras of the inventory, also those never seen, each day of the commune in the last 400.
create view panels.camera_days with (security_barrier) as
with cameras as (
  select d.device_id, d.sector, d.created_at, s.first_seen_at,
    coalesce((select range_agg(tstzrange(o.began_at, coalesce(o.ended_at, 'infinity')))
      from panels_base.outages o
      where o.device_id = d.device_id and coalesce(o.ended_at, 'infinity') > o.began_at), '{}') as down
  from devices d left join device_state s using (device_id) where d.kind = 'camera'
),
days as (
  select day at time zone 'America/Santiago' as day,
    least(now(), (day + interval '1 day') at time zone 'America/Santiago') as day_end
  from generate_series(date_trunc('day', (now() - interval '400 days') at time zone 'America/Santiago'),
    now() at time zone 'America/Santiago', interval '1 day') day
)
select y.day, c.sector, count(*) as cameras,
  sum(extract(epoch from y.day_end - greatest(y.day, c.created_at)) / 60)::float8 as required_min,
  sum(coalesce((select sum(extract(epoch from upper(u) - lower(u)) / 60) from unnest(
    tstzmultirange(tstzrange(least(greatest(c.first_seen_at, c.created_at, y.day), y.day_end), y.day_end))
      - c.down) u where c.first_seen_at is not null), 0))::float8 as signal_min
from days y join cameras c on c.created_at < y.day_end
group by y.day, c.sector;
comment on column panels.camera_days.required_min is 'min: since the camera is in the inventory';
comment on column panels.camera_days.signal_min is 'min: of those, how long it spoke';

create index notifications_created on notifications (created_at);
create view panels.texts with (security_barrier) as
select n.created_at, n.sent_at, n.reported_at, n.transport, n.purpose,
  case when n.is_delivered then 'delivered' when n.is_delivered is false then 'undelivered'
    else n.state end as state,
  n.attempts, (select count(*) from delivery_parts p where p.notification_id = n.notification_id) as parts,
  case when n.is_delivered then extract(epoch from n.reported_at - n.created_at)::float8 end as reached_s,
  n.priority
from notifications n;
comment on column panels.texts.reached_s is 's: from writing until the network said that it arrived';

create view panels.reach with (security_barrier) as
select a.code, a.opened_at, a.sector, a.priority, a.is_test as is_drill, r.called, r.reached, r.answered
from panels_base.seen_alerts a
cross join lateral (
  select count(*) as called,
    count(*) filter (where least(p.delivered_at, p.answered_at) <= p.called_at + interval '10 minutes')
      as reached,
    count(p.answered_at) as answered
  from (
    select min(n.created_at) as called_at, min(n.reported_at) filter (where n.is_delivered) as delivered_at,
      (select min(c.at) from confirmations c
        where c.alert_id = a.alert_id and c.person = 'contact:' || n.contact_id) as answered_at
    from notifications n
    where n.alert_id = a.alert_id and n.contact_id is not null and n.purpose in ('alert', 'drill')
    group by n.contact_id
  ) p
) r
where not a.is_hidden and r.called > 0;

create view panels.transports with (security_barrier) as
select transport, owner as node, kind, is_ok, is_open, signal_dbm, queue, credit, credit_min, s_per_text,
  checked_at, since
from transport_states;
comment on column panels.transports.signal_dbm is 'dBm: of the modem';
comment on column panels.transports.s_per_text is 's: between two texts';

-- Frozen figures, the newest revision of each.
create view panels.indicators with (security_barrier) as
select s.plan_id as plan, s.indicator, s.document::jsonb ->> 'name' as name,
  s.document::jsonb ->> 'unit' as unit, i.direction, s.period, s.until, s.value, s.no_data, i.baseline,
  t.target,
  case when s.value is null then 'sin_dato' when i.direction = 'neutra' or t.target is null then 'sin_meta'
    when i.sign * s.value >= i.sign * t.target then 'cumple'
    when i.sign * s.value > i.sign * i.baseline then 'avanza' else 'atrasado' end as light
from (
  select distinct on (plan_id, indicator, period) * from plan_snapshots
  order by plan_id, indicator, period, revision desc
) s
left join lateral (
  select j -> 'meta' as targets, j ->> 'sentido' as direction,
    case when j ->> 'sentido' = 'sube' then 1 else -1 end as sign,
    (j -> 'linea_base' ->> 'valor')::float8 as baseline
  from plan_versions v, jsonb_path_query(v.document, '$.objetivos[*].indicadores[*]') j
  where v.plan_id = s.plan_id and v.update_number = (s.document::jsonb ->> 'update')::integer
    and j ->> 'id' = s.indicator
  limit 1
) i on true
left join lateral (
  select value::float8 as target from jsonb_each_text(i.targets)
  where key::integer <= left(s.period, 4)::integer order by key::integer desc limit 1
) t on true;

create view panels.activities with (security_barrier) as
with plan as (
  select v.plan_id, v.document from plan_versions v
  where v.starts_on <= (now() at time zone 'America/Santiago')::date
  order by v.starts_on desc, v.update_number desc limit 1
)
select plan.plan_id as plan, o ->> 'id' as objective, c ->> 'nombre' as component, a ->> 'id' as activity,
  a ->> 'nombre' as name, (a ->> 'inicio')::date as starts_on, (a ->> 'fin')::date as ends_on,
  (a ->> 'presupuesto_clp')::float8 as budget_clp, e.evidences, e.last_on as last_evidence_on
from plan, jsonb_array_elements(plan.document -> 'objetivos') o,
  jsonb_array_elements(o -> 'componentes') c, jsonb_array_elements(c -> 'actividades') a
cross join lateral (
  select count(*) as evidences, max(e.done_on) as last_on from plan_evidence e
  where e.plan_id = plan.plan_id and e.activity = a ->> 'id'
) e;
comment on column panels.activities.budget_clp is 'CLP: planned';

-- By the hour of receipt. date_bin, not date_trunc: it can be indexed.
create index events_hour on events
  using brin (date_bin('1 hour', received_at, timestamptz '1970-01-01 00:00:00+00'))
  with (autosummarize = on);
create view panels.events_hourly with (security_barrier) as
select date_bin('1 hour', e.received_at, timestamptz '1970-01-01 00:00:00+00') as at, d.sector,
  d.kind as device_kind, panels_base.device_kind_name(d.kind) as device_kind_name, e.type, count(*) as n
from events e join devices d using (device_id)
where not exists (select from panels_base.private_devices p where p.device_id = d.device_id)
group by 1, 2, 3, 4, 5;

create view panels_base.measuring as
select d.device_id, d.source, coalesce(nullif(d.name, ''), d.source) as device, d.kind, d.sector
from devices d
where not exists (select from panels_base.private_devices p where p.device_id = d.device_id);

create view panels.telemetry_1m with (security_barrier) as
select t.at, d.device, d.source, d.kind, d.sector, q.name as quantity, q.unit, t.n,
  t.sum / nullif(t.n, 0) as mean, t.min, t.max
from telemetry_1m t join panels_base.measuring d using (device_id) join quantities q using (quantity_id);
create view panels.telemetry_1h with (security_barrier) as
select t.at, d.device, d.source, d.kind, d.sector, q.name as quantity, q.unit, t.n,
  t.sum / nullif(t.n, 0) as mean, t.min, t.max
from telemetry_1h t join panels_base.measuring d using (device_id) join quantities q using (quantity_id);
create view panels.telemetry_1d with (security_barrier) as
select t.at, d.device, d.source, d.kind, d.sector, q.name as quantity, q.unit, t.n,
  t.sum / nullif(t.n, 0) as mean, t.min, t.max
from telemetry_1d t join panels_base.measuring d using (device_id) join quantities q using (quantity_id);

create view panels.latest with (security_barrier) as
select t.at, d.device, d.source, d.kind, d.sector, q.name as quantity, q.unit, t.value
from telemetry_latest t join panels_base.measuring d using (device_id) join quantities q using (quantity_id)
where t.value is not null;

create view panels.gateways with (security_barrier) as
select g.gateway, coalesce(nullif(g.name, ''), g.gateway) as name, g.state, g.version, g.clock, g.status_at,
  g.created_at, (select count(*) from panels_base.measuring m join devices d using (device_id)
    where d.gateway = g.gateway and d.kind <> 'gateway') as devices
from gateways g;

create view panels.sectors with (security_barrier) as
with population as (
  select distinct on (sector) sector, is_rural, residents from plan_population
  where season = 'permanente' and (now() at time zone 'America/Santiago')::date between starts_on and ends_on
  order by sector, starts_on desc
)
select sector, coalesce(nullif(s.name, ''), sector) as name, coalesce(s.is_rural, p.is_rural) as is_rural,
  p.residents
from sectors s full join population p using (sector);

-- For everybody: whole months, and no number that could point at somebody (fewer than five is null).
create view panels.public_events with (security_barrier) as
select date_trunc('month', a.opened_at at time zone 'America/Santiago') at time zone 'America/Santiago'
    as month,
  a.sector, panels_base.family(a.classification, a.kind) as family,
  case when count(*) >= 5 then count(*) end as n
from panels_base.seen_alerts a
where not a.is_hidden and not a.is_test and coalesce(a.reason, '') <> 'duplicate'
  and panels_base.family(a.classification, a.kind) not in ('TEC', 'VIF')
  and a.opened_at < date_trunc('month', now() at time zone 'America/Santiago') at time zone 'America/Santiago'
group by 1, 2, 3;
