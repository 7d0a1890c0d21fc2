-- Operations (operativos de fiscalización): what is planned, what was done, and what proves it.
-- Places and folios only: nobody who was inspected has a name, a RUT or a row of their own here.
-- Codes are English and short; the room's tables of words turn them into Spanish.

alter table users drop constraint users_role_check;
alter table users add constraint users_role_check check
  (role in ('operador', 'jefe_turno', 'director', 'inspector', 'tecnico', 'auditor', 'victimas'));

-- The sectors of the commune and their outline. Few; an import replaces a sector's row.
create table sectors (
  sector       text primary key check (sector <> ''),
  name         text not null default '',
  area         jsonb,                            -- GeoJSON Polygon or MultiPolygon, WGS 84
  is_rural     boolean not null default false,
  control_for_effect text references sectors,    -- the sector that an effect here is compared with
  source       text not null default '',
  imported_at  timestamptz not null default now()
);

-- Periods of the year with visitors or work of their own (época estival). One or two a year.
create table seasons (
  season       text primary key check (season <> ''),
  name         text not null,
  starts_on    date not null,
  ends_on      date not null check (ends_on >= starts_on)
);

-- Operations that come again: an iCalendar RRULE with what each of them copies. A few a season.
create table operation_series (
  series_id    uuid primary key,
  name         text not null,
  rrule        text not null,                    -- RFC 5545, without DTSTART
  starts_at    timestamptz not null,             -- the first one; its local time of day is kept over DST
  duration_s   integer not null check (duration_s > 0),
  template     jsonb not null,                   -- kind, sector, points, legal basis, institutions, tasks
  season       text references seasons,
  author       text not null,
  created_at   timestamptz not null,
  ended_at     timestamptz
);

-- Folios of a year and their next number, for whatever has folios. One row a prefix and year.
create table folio_counters (
  prefix       text not null,                    -- OPF: operations, FIS: inspections, ACTA ...
  year         smallint not null,
  next         integer not null default 1 check (next > 0),
  primary key (prefix, year)
);

-- Numbers given to one phone beforehand, so that two without a network never take the same one.
-- Grows with phones and seasons; a block that was never used is kept: it explains the gap.
create table folio_blocks (
  block_id     bigint generated always as identity primary key,
  prefix       text not null,
  year         smallint not null,
  first        integer not null,
  last         integer not null check (last >= first),
  phone        text not null,                    -- what the phone calls itself: a random id, no number
  login        text not null,
  issued_at    timestamptz not null
);
create unique index folio_blocks_range on folio_blocks (prefix, year, first);

-- Kept for ever: operations are what the plan is judged by. Some hundreds a year.
create table operations (
  operation_id uuid primary key,                 -- UUIDv7 by the hub's clock
  folio        text not null unique,             -- OPF-2027-0014
  kind         text not null,                    -- street_trade, alcohol, traffic, noise ... (catalogue)
  name         text not null default '',
  state        text not null default 'planned' check
    (state in ('planned', 'confirmed', 'in_progress', 'executed', 'closed', 'suspended')),
  plan_id      text not null default '',
  objective    text not null default '',
  activity     text not null default '',
  season       text references seasons,
  series_id    uuid references operation_series,
  sector       text not null default '',
  area         jsonb,                            -- GeoJSON; null: the sector's
  planned_start timestamptz not null,
  planned_end  timestamptz not null,
  started_at   timestamptz,
  ended_at     timestamptz,
  hot_spot     text not null default '',         -- FOC-COSTA-03
  origin_since timestamptz,                      -- the window of events that caused it
  origin_until timestamptz,
  legal_basis  text[] not null default '{}',
  suspended_because text not null default '',
  acta_folio   text unique,                      -- set when the acta is closed
  acta_sha256  text not null default '',         -- of its text, as signed
  closed_at    timestamptz,
  remarks      text not null default '',
  is_drill     boolean not null default false,   -- never enters indicators
  author       text not null,
  created_at   timestamptz not null,
  version      integer not null default 1,
  check (planned_end > planned_start),
  check (ended_at is null or started_at is not null and ended_at >= started_at),
  check ((state = 'suspended') = (suspended_because <> '')),
  check ((state = 'closed') = (closed_at is not null and acta_folio is not null))
);
create index operations_planned on operations (planned_start);
create index operations_sector on operations (sector, planned_start);
create index operations_open on operations (planned_start) where state not in ('closed', 'suspended');
create unique index operations_once on operations (series_id, planned_start) where series_id is not null;

-- The timeline: who did what, when and why. With it a figure knows what a state was at any instant.
create table operation_log (
  log_id       bigint generated always as identity primary key,
  operation_id uuid not null references operations,
  at           timestamptz not null,
  author       text not null,
  move         text not null,                    -- plan, confirm, start, execute, close, suspend, change ...
  from_state   text,
  to_state     text,
  note         text not null default ''
);
create index operation_log_operation on operation_log (operation_id, log_id);

create table operation_institutions (
  operation_id uuid not null references operations,
  institution  text not null check (institution <> ''),
  role         text not null check (role in ('leads', 'joins')),
  acting       text not null default 'assisting' check (acting in ('autonomous', 'assisting')),
  assists      text not null default '',         -- coadyuvante: the unit that it accompanies
  headcount    smallint not null default 0 check (headcount >= 0),
  present      smallint check (present >= 0),    -- as counted on the day; null: not said
  signed_at    timestamptz,                      -- the lead of the institution signed the acta
  primary key (operation_id, institution)
);
create unique index operation_institutions_lead on operation_institutions (operation_id) where role = 'leads';

create table operation_points (
  operation_id uuid not null references operations,
  point        text not null check (point <> ''),
  name         text not null default '',
  latitude     double precision not null check (latitude between -90 and 90),
  longitude    double precision not null check (longitude between -180 and 180),
  visited_at   timestamptz,
  cleared_at   timestamptz,                      -- no irregular trade was left
  primary key (operation_id, point)
);

create table operation_tasks (
  operation_id uuid not null references operations,
  position     smallint not null,
  phase        text not null check (phase in ('before', 'during', 'after')),
  task         text not null check (task <> ''),
  institution  text not null default '',
  done_at      timestamptz,
  done_by      text,
  primary key (operation_id, position)
);

-- What was counted and not inspected one by one: identity checks, vehicles, arrests, sanitary files.
create table operation_counts (
  operation_id uuid not null references operations,
  kind         text not null,                    -- stalls, identity, vehicles, arrests, sanitary_files, victims_referred
  institution  text not null,                    -- whose result it is: only the competent body acts
  total        integer not null check (total >= 0),
  recorded_at  timestamptz not null,
  primary key (operation_id, kind, institution)
);

-- What links an operation to the field. A link is taken back, never deleted: the acta may have named it.
create table operation_links (
  link_id      bigint generated always as identity primary key,
  operation_id uuid not null references operations,
  alert_id     uuid not null references alerts,
  relation     text not null check (relation in ('origin', 'during', 'after')),
  way          text not null check (way in ('automatic', 'by_hand')),
  reason       text not null check (reason <> ''),
  author       text not null,
  at           timestamptz not null,
  removed_at   timestamptz,
  removed_by   text
);
create unique index operation_links_once on operation_links (operation_id, alert_id, relation)
  where removed_at is null;
create index operation_links_alert on operation_links (alert_id);

-- An inspection (fiscalización) as it was written in the street; never changed. A correction is another row
-- that replaces it. Kept for ever; tens of thousands a year at most.
create table inspections (
  inspection_id uuid primary key,                -- UUIDv7 made where it was written
  folio        text not null,                    -- FIS-2027-000123, from the phone's block
  operation_id uuid references operations,
  point        text not null default '',
  sector       text not null default '',
  latitude     double precision check (latitude between -90 and 90),
  longitude    double precision check (longitude between -180 and 180),
  accuracy_m   double precision check (accuracy_m >= 0),
  trade        text not null default '',         -- rubro o giro
  permit_state text not null check
    (permit_state in ('valid', 'expired', 'none', 'unknown', 'not_needed', 'other_place')),
  permit_folio text not null default '',
  result       text not null check (result in ('no_remark', 'warning', 'infringement', 'closure_referred')),
  acting       text not null default 'autonomous' check (acting in ('autonomous', 'assisting')),
  assists      text not null default '',
  institution  text not null default 'DSP',
  inspected_at timestamptz not null,             -- corrected by the phone's offset against the hub
  time_quality text not null default 'device',   -- device, offset, receipt
  note         text not null default '',
  replaces     uuid references inspections,
  phone        text not null default '',
  author       text not null,
  recorded_at  timestamptz not null              -- the hub's clock
);
create unique index inspections_folio on inspections (folio) where replaces is null;
create unique index inspections_replaced on inspections (replaces) where replaces is not null;
create index inspections_operation on inspections (operation_id, inspected_at);
create index inspections_at on inspections (inspected_at);

create table infringements (
  inspection_id uuid not null references inspections,
  position     smallint not null,
  rule         text not null check (rule <> ''), -- Ordenanza 07 art. 12
  ticket_folio text not null default '',         -- folio del parte
  court        text not null default '',         -- JPL
  hearing_on   date,
  primary key (inspection_id, position)
);

create table seizures (
  seizure_id   uuid primary key,
  inspection_id uuid not null references inspections,
  goods        text not null check (goods <> ''),
  quantity     numeric not null check (quantity > 0),
  unit         text not null check (unit in ('kg', 'un', 'l')),
  destination  text not null check (destination in ('destruction', 'charity', 'custody')),
  record_folio text not null default ''          -- acta de decomiso
);
create index seizures_inspection on seizures (inspection_id);

-- Who held the goods, one row a hand-over; each names an institution and a place, never a person.
create table seizure_custody (
  seizure_id   uuid not null references seizures,
  position     smallint not null,
  at           timestamptz not null,
  holder       text not null,
  place        text not null default '',
  note         text not null default '',
  author       text not null,
  primary key (seizure_id, position)
);

create table inspection_referrals (
  inspection_id uuid not null references inspections,
  institution  text not null,
  matter       text not null check (matter <> ''),
  primary key (inspection_id, institution)
);

-- Pictures and documents by their hash, taken where the picture was taken. The files lie in the vault.
create table operation_files (
  file_id      uuid primary key,
  operation_id uuid references operations,
  inspection_id uuid references inspections,
  name         text not null,
  media_type   text not null,
  size_bytes   bigint not null check (size_bytes >= 0),
  sha256       text not null check (sha256 ~ '^[0-9a-f]{64}$'),
  claimed_sha256 text not null default '',       -- at capture, on the phone
  captured_at  timestamptz,
  timestamp_file text not null default '',       -- RFC 3161 token, where there is one
  is_stored    boolean not null,                 -- false: known by its hash only
  author       text not null,
  received_at  timestamptz not null,
  check (operation_id is not null or inspection_id is not null)
);
create index operation_files_operation on operation_files (operation_id);
create index operation_files_inspection on operation_files (inspection_id);
