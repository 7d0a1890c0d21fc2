-- Somebody takes each alert: its next step, who is on call, what is silenced, what hands over.

-- ----------------------------------------------------------------------------- escalation

-- The next step of each alert, made in the transaction that opens it. Lives as long as its alert.
create table escalations (
  alert_id     uuid primary key references alerts,
  policy       text not null,
  stage        text not null check (stage in ('acknowledge', 'dispatch', 'rest')),
  anchor_at    timestamptz not null,             -- when the stage began: waits count from here
  fired        integer not null default 0,       -- steps of this stage that are behind it
  due_at       timestamptz,                      -- null: nothing to come
  dispatch_within_s integer,                     -- null: nobody has to be sent
  watch_group  text not null default ''
) with (fillfactor = 80);
create index escalations_due on escalations (due_at) where due_at is not null;

-- Who answered what to an alert; the newest answer counts. Lives as long as its alert.
create table confirmations (
  alert_id     uuid not null references alerts,
  person       text not null,                    -- contact:<id> or user:<login>
  answer       text not null check (answer in ('coming', 'nothing_found', 'help')),
  at           timestamptz not null,
  primary key (alert_id, person)
);

-- ------------------------------------------------------------------------------- on call

-- Turns of a calendar, as iCalendar has them: local wall time of Chile, perhaps repeated. Grows with the
-- calendars; an import replaces its own calendar.
create table oncall_turns (
  turn_id      bigint generated always as identity primary key,
  calendar     text not null check (calendar ~ '^[a-z][a-z0-9_]{0,39}$'),
  uid          text not null,
  recurrence   text not null default '',         -- RECURRENCE-ID: this row stands for that one instance
  contact_id   integer not null references contacts,
  starts_local timestamp not null,
  duration_s   integer not null check (duration_s between 60 and 31 * 86400),
  rrule        text not null default '',
  exdates      timestamp[] not null default '{}',
  level        smallint not null default 1 check (level between 1 and 9),  -- who is called first
  is_override  boolean not null default false,   -- stands before the rotation
  author       text not null,
  note         text not null default '',
  created_at   timestamptz not null default now(),
  unique (calendar, uid, recurrence)
);

-- Local times of day between which only priority 1 may wake this person. May cross midnight.
alter table contacts add column quiet_from time, add column quiet_until time,
  add constraint contacts_quiet check ((quiet_from is null) = (quiet_until is null));
create function is_quiet(c contacts, at timestamptz) returns boolean language sql stable as $$
  select case when c.quiet_from is null then false
    when c.quiet_from <= c.quiet_until then l.t >= c.quiet_from and l.t < c.quiet_until
    else l.t >= c.quiet_from or l.t < c.quiet_until end
  from (select (at at time zone 'America/Santiago')::time as t) l
$$;

-- Consoles that show that somebody is there. One row an operator.
create table room_heartbeats (
  login        text primary key,
  seen_at      timestamptz not null
);

-- ------------------------------------------------------------------------- few alerts

-- The alert that covers this one: a child is off the screen and calls nobody until its parent ends.
alter table alerts add column parent_id uuid references alerts;
create index alerts_parent on alerts (parent_id) where parent_id is not null;
-- How often the same thing came lately.
create index alerts_key_opened on alerts (dedup_key, opened_at);

-- Silences and maintenance windows; what is given must all match. Kept for ever: they explain what is missing.
create table silences (
  silence_id   bigint generated always as identity primary key,
  sort         text not null check (sort in ('silence', 'maintenance', 'drill')),
  device_id    integer references devices,
  gateway      text,
  kind         text,
  sector       text,
  author       text not null check (author <> ''),
  reason       text not null check (reason <> ''),
  starts_at    timestamptz not null,
  ends_at      timestamptz not null,
  created_at   timestamptz not null default now(),
  ended_by     text,
  held_back    bigint not null default 0,        -- findings that opened nothing
  last_held_at timestamptz,
  check (ends_at > starts_at and ends_at <= starts_at + interval '30 days'),
  check (num_nonnulls(device_id, gateway, kind, sector) > 0)
);
create index silences_ends on silences (ends_at);

-- --------------------------------------------------------------------------- lifecycle

-- What people found it to be: a code of the catalogue. The first one is never overwritten.
alter table alerts add column classification text not null default '',
  add column first_classification text not null default '',
  -- Classified as something that only the roles of the case may know of.
  add column is_reserved boolean not null default false;

-- What belongs to an alert in other rooms. Lives as long as its alert.
create table alert_links (
  link_id      bigint generated always as identity primary key,
  alert_id     uuid not null references alerts,
  sort         text not null check (sort in ('device', 'place', 'evidence', 'operation')),
  reference    text not null check (length(reference) between 1 and 200),
  note         text not null default '',
  author       text not null,
  at           timestamptz not null,
  unique (alert_id, sort, reference)
);
create index alert_links_reference on alert_links (sort, reference);

-- ---------------------------------------------------------------------------- hand-over

-- Who gave the shift away and who took it, over which state of things. Kept for ever.
create table shift_signatures (
  signature_id bigint generated always as identity primary key,
  login        text not null,
  role         text not null check (role in ('off', 'on')),
  since        timestamptz not null,             -- the shift that is handed over
  at           timestamptz not null,
  digest       text not null,                    -- SHA-256 of what was shown
  note         text not null default '',
  unique (login, role, since)
);
create index shift_signatures_at on shift_signatures (at);
create index alert_log_at on alert_log (at);
