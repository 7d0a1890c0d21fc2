-- The safety plan: its versions, the evidence of its activities, population, and frozen figures.

-- Since when a device is proven to work; its later sightings do not move it. One value a device.
alter table device_state add column first_seen_at timestamptz;
update device_state s set first_seen_at = least(d.created_at, s.last_seen_at) from devices d
  where d.device_id = s.device_id;
alter table device_state alter column first_seen_at set default now();

-- Every version that was ever in force. A few a year.
create table plan_versions (
  version_id   integer generated always as identity primary key,
  plan_id      text not null,
  update_number integer not null check (update_number >= 0),
  starts_on    date not null,
  ends_on      date not null check (ends_on >= starts_on),
  topics       text not null,                    -- the legal version of the catalogue of topics
  content      text not null,                    -- YAML, as exported
  document     jsonb not null,                   -- the same, for queries
  sha256       text not null,                    -- of content
  author       text not null,
  loaded_at    timestamptz not null,
  unique (plan_id, update_number)
);

-- What proves that an activity was done: a date, a note, perhaps a file by its hash. Grows with the work.
create table plan_evidence (
  evidence_id  bigint generated always as identity primary key,
  plan_id      text not null,
  activity     text not null,
  done_on      date not null,
  note         text not null check (note <> ''),
  file_name    text not null default '',
  sha256       text not null default '',
  author       text not null,
  recorded_at  timestamptz not null
);
create index plan_evidence_activity on plan_evidence (plan_id, activity, done_on);

-- Residents and visitors of each sector, by season. An import replaces a sector's rows.
create table plan_population (
  sector       text not null,
  season       text not null,                    -- 'permanente', or the season that brings visitors
  starts_on    date not null,
  ends_on      date not null check (ends_on >= starts_on),
  residents    integer not null check (residents >= 0),
  visitors     integer not null default 0 check (visitors >= 0),
  is_rural     boolean not null default false,
  source       text not null,
  primary key (sector, season, starts_on)
);

-- The rows that a frozen figure was computed from, kept under the hash of their text. Never changed.
create table plan_facts (
  sha256       text primary key,
  measure      text not null,
  content      text not null                     -- canonical JSON
);

-- Figures as they were when their period ended. Never changed: a correction is another revision.
create table plan_snapshots (
  snapshot_id  bigint generated always as identity primary key,
  plan_id      text not null,
  indicator    text not null,
  period       text not null,
  revision     integer not null default 1,
  until        timestamptz not null,             -- the period's end
  value        double precision,                 -- null: sin dato, and no_data says why
  no_data      text not null default '',
  document     text not null,                    -- canonical JSON: formula, queries, windows, evidence
  sha256       text not null,                    -- of document
  author       text not null,
  reason       text not null default '',         -- of a correction
  frozen_at    timestamptz not null,
  check ((value is null) = (no_data <> '')),
  unique (plan_id, indicator, period, revision)
);
create index plan_snapshots_period on plan_snapshots (plan_id, until);

create function plan_is_frozen() returns trigger language plpgsql as $$
begin
  raise exception 'a frozen figure is never changed; make another revision';
end $$;
create trigger plan_snapshots_frozen before update or delete on plan_snapshots
  for each row execute function plan_is_frozen();
create trigger plan_facts_frozen before update or delete on plan_facts
  for each row execute function plan_is_frozen();
