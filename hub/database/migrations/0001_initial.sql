-- The one source of truth. Runs on PostgreSQL 15 and later. Instants are UTC (timestamptz).
-- Every table names what keeps it from growing for ever.

-- The lower bound of all UUIDv7 made from an instant on: partitions and time-range queries on ids use it.
create function uuid7_floor(t timestamptz) returns uuid
language sql immutable strict parallel safe as $$
  select (lpad(to_hex((extract(epoch from t) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid
$$;

-- ---------------------------------------------------------------------------------- devices

-- A gateway is the identity of a connection. Grows with the fleet.
create table gateways (
  gateway      text primary key check (gateway ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  name         text not null default '',
  adopted      boolean not null default false,   -- taken in on first contact, in a laboratory
  created_at   timestamptz not null default now(),
  state        text not null default 'unknown' check (state in ('unknown', 'online', 'offline')),
  boot_id      text,
  epoch        bigint not null default 0,        -- of the newest birth: an older will is ignored
  version      text not null default '',
  clock        text not null default 'unsynced',
  status_at    timestamptz
);

-- Anything with an id. A gateway may speak only for its own devices. Grows with the fleet.
create table devices (
  device_id    integer generated always as identity primary key,
  source       text not null unique check (length(source) between 1 and 255),
  gateway      text not null references gateways,
  kind         text not null default 'other',    -- panic_button, camera, river_level, ... (free)
  name         text not null default '',
  place        text not null default '',         -- what a neighbour would call it
  sector       text not null default '',
  latitude     double precision check (latitude between -90 and 90),
  longitude    double precision check (longitude between -180 and 180),
  watch_group  text not null default '',         -- who is warned besides the duty phone
  silent_after_s integer not null default 180 check (silent_after_s > 0),
  adopted      boolean not null default false,
  created_at   timestamptz not null default now()
);
create index devices_gateway on devices (gateway);

-- What a device last said; written in batches, so apart from the registry. One row a device.
create table device_state (
  device_id    integer primary key references devices on delete cascade,
  last_seen_at timestamptz not null,             -- receipt time: the hub's clock
  battery      double precision                  -- 0..1
) with (fillfactor = 60);

-- Messages that were not accepted, one row for each gateway and cause. Bounded by that pair.
create table refusals (
  gateway      text not null,
  cause        text not null,                    -- unknown_gateway, foreign_device, malformed, too_large ...
  count        bigint not null default 0,
  first_at     timestamptz not null,
  last_at      timestamptz not null,
  detail       text not null default '',         -- the newest error, naming the field
  sample       bytea not null default '',        -- the newest payload's first 512 bytes
  primary key (gateway, cause)
);

-- Offset between the hub's clock and one unsynchronised boot of a gateway. Kept 400 days.
create table clock_offsets (
  gateway      text not null,
  boot_id      text not null,
  offset_s     double precision not null,
  created_at   timestamptz not null default now(),
  primary key (gateway, boot_id)
);

-- Hub to gateway. Kept 400 days after the end.
create table commands (
  command_id   uuid primary key,
  gateway      text not null,
  name         text not null,
  arguments    jsonb not null default '{}',
  expires_at   timestamptz not null,
  created_at   timestamptz not null default now(),
  state        text not null default 'queued'
               check (state in ('queued', 'sent', 'accepted', 'done', 'failed', 'expired')),
  detail       text not null default '',
  lease_until  timestamptz,
  ended_at     timestamptz
);
create index commands_queued on commands (created_at) where state = 'queued';

-- ----------------------------------------------------------------------------------- events

-- (device, event id) is the key for duplicates. Partitioned on the id's own time, so that an id stays
-- unique over all partitions; an id that is no UUIDv7, or whose time is far off, lives in the default
-- partition. Retention drops whole partitions.
create table events (
  id           uuid not null,                    -- the CloudEvent's id, or made from it (intake/ids)
  device_id    integer not null,
  event_id     text,                             -- the CloudEvent's id where it is no UUID
  gateway      text not null,
  type         text not null,
  happened_at  timestamptz not null,
  time_quality text not null,                    -- device, age, receipt
  claimed_at   timestamptz,                      -- what the device's wall clock said
  received_at  timestamptz not null,
  sequence     bigint,
  boot_id      text,
  digest       bytea not null,                   -- of type and data: tells a repeat from a clash
  data         jsonb,
  primary key (id, device_id)
) partition by range (id);
create table events_default partition of events default;
create index events_device on events (device_id, happened_at);
create index events_received on events (received_at);

-- -------------------------------------------------------------------------------- telemetry

-- Names of quantities; a few hundred rows at most.
create table quantities (
  quantity_id  integer generated always as identity primary key,
  name         text not null,
  unit         text not null default '',
  unique (name, unit)
);

-- The natural key makes a repeat harmless. Day partitions by the reading's time; far-off times live in
-- the default partition. Retention drops whole partitions.
create table telemetry (
  device_id    integer not null,
  quantity_id  integer not null,
  at           timestamptz not null,
  value        double precision,
  text         text,
  primary key (device_id, quantity_id, at)
) partition by range (at);
create table telemetry_default partition of telemetry default;

-- The newest reading of each series; a future-dated one never gets here. One row a series.
create table telemetry_latest (
  device_id    integer not null,
  quantity_id  integer not null,
  at           timestamptz not null,
  value        double precision,
  text         text,
  primary key (device_id, quantity_id)
) with (fillfactor = 60);

-- Hysteresis and such, one row for each rule and device that has something to remember.
create table rule_states (
  rule         text not null,
  device_id    integer not null,
  state        text not null,
  since        timestamptz not null,
  primary key (rule, device_id)
);

-- ----------------------------------------------------------------------------------- alerts

create sequence alert_numbers;

-- Kept for ever by default: they are the municipality's log book.
create table alerts (
  alert_id     uuid primary key,                 -- UUIDv7 by the hub's clock
  code         text not null,                    -- short name for people: K7
  kind         text not null,                    -- panic, battery_low, device_silent, gate_open ...
  priority     smallint not null check (priority between 1 and 4),
  state        text not null,
  reason       text,                             -- why it was closed
  dedup_key    text not null,                    -- one open alert for each
  device_id    integer references devices,
  gateway      text,
  place        text not null default '',
  sector       text not null default '',
  latitude     double precision,
  longitude    double precision,
  summary      text not null,                    -- Spanish, for people
  rule         text not null,
  happened_at  timestamptz not null,
  time_quality text not null default 'device',
  opened_at    timestamptz not null,             -- the hub's clock
  last_event_at timestamptz not null,
  event_count  integer not null default 1,
  is_drill     boolean not null default false,   -- tests and drills never enter indicators
  acknowledged_at timestamptz,
  acknowledged_by text,
  assigned_to  text,
  merged_into  uuid references alerts,
  closed_at    timestamptz,
  version      integer not null default 1        -- counts changes: two people never overwrite each other
);
create unique index alerts_open_key on alerts (dedup_key) where closed_at is null;
create unique index alerts_open_code on alerts (code) where closed_at is null;
create index alerts_open on alerts (priority, opened_at) where closed_at is null;
create index alerts_opened on alerts (opened_at);
create index alerts_device on alerts (device_id, opened_at);

-- The timeline: who did what, when and why. Lives as long as its alert.
create table alert_log (
  log_id       bigint generated always as identity primary key,
  alert_id     uuid not null references alerts,
  at           timestamptz not null,
  author       text not null,                    -- a user's login, or hub:<part>
  move         text not null,                    -- opened, joined, acknowledge, dispatch, close, notified ...
  from_state   text,
  to_state     text,
  note         text not null default '',
  source_event uuid
);
create index alert_log_alert on alert_log (alert_id, log_id);

-- The next free short code: two characters while they last, then three, four and five. A code is looked at
-- under its own lock, held to the end of the transaction: codes of a transaction that has not committed yet
-- cannot be seen. The look is a statement of its own after the lock, so that it sees what the last holder did.
create function next_alert_code() returns text language plpgsql as $$
declare
  letters constant text := 'ABCDEFGHJKLMNPRTUVWX';   -- none that is mistaken for another or for a digit
  n bigint := nextval('alert_numbers');
  numbers integer := 9;
  candidate text;
begin
  loop
    -- a stride that shares no factor with 20 keeps neighbours in time apart in the alphabet
    candidate := substr(letters, ((n * 7) % 20)::integer + 1, 1) || ((n / 20) % numbers + numbers / 9)::text;
    if pg_try_advisory_xact_lock(5202, hashtext(candidate)) then
      if not exists (select from alerts where code = candidate and closed_at is null)
         and not exists (select from alerts where code = candidate and closed_at > now() - interval '1 day') then
        return candidate;
      end if;
    end if;
    if numbers < 9000 then numbers := numbers * 10; else n := nextval('alert_numbers'); end if;
  end loop;
end $$;
create index alerts_closed_code on alerts (code, closed_at) where closed_at is not null;

-- ----------------------------------------------------------------------------- notifications

-- People who are warned. Grows with the watch groups.
create table contacts (
  contact_id   integer generated always as identity primary key,
  name         text not null,
  phone        text not null unique check (phone ~ '^\+569[0-9]{8}$'),
  watch_group  text not null default '',
  active       boolean not null default true,
  created_at   timestamptz not null default now()
);
create index contacts_group on contacts (watch_group) where active;

-- A row is the queue: claimed under a lease, finished after the act. Lives as long as its alert.
create table notifications (
  notification_id uuid primary key,              -- UUIDv7 by the hub's clock
  alert_id     uuid references alerts,
  contact_id   integer references contacts,      -- null: the duty recipient of the settings
  recipient    text not null,                    -- 'turno' or the contact's name, for the timeline
  transport    text not null default 'sms',
  priority     smallint not null,
  text         text not null,
  state        text not null default 'queued' check (state in ('queued', 'sent', 'failed')),
  due_at       timestamptz not null,
  attempts     smallint not null default 0,
  lease_until  timestamptz,
  created_at   timestamptz not null,
  sent_at      timestamptz,
  transport_ref text,
  error        text not null default ''
);
create index notifications_due on notifications (priority, due_at) where state = 'queued';
create index notifications_alert on notifications (alert_id);
-- One text of one alert reaches one person once for each step, however often the rules run.
create unique index notifications_once on notifications (alert_id, coalesce(contact_id, 0), text);

-- ------------------------------------------------------------------------------ people, audit

create table users (
  login        text primary key check (login ~ '^[a-z][a-z0-9._-]{1,31}$'),
  name         text not null,
  role         text not null check (role in ('operador', 'jefe_turno', 'director', 'tecnico', 'auditor')),
  password     text not null,                    -- argon2id
  active       boolean not null default true,
  created_at   timestamptz not null default now()
);

-- Expired sessions are swept hourly.
create table sessions (
  session_id   bytea primary key,                -- SHA-256 of the cookie: a stolen table opens nothing
  login        text not null references users on delete cascade,
  csrf         text not null,
  created_at   timestamptz not null,
  expires_at   timestamptz not null
);

-- Reads as well as writes. Kept for ever by default.
create table audit (
  audit_id     bigint generated always as identity primary key,
  at           timestamptz not null default now(),
  login        text not null,
  action       text not null,
  object       text not null default '',
  detail       text not null default ''
);
create index audit_at on audit (at);
