-- Rules as data: what a rule remembers of a scope is one row, changed in the transaction of its cause.

-- A memory belongs to a rule and a scope: a device's number, or place:…, sector:…, gateway:…, commune,
-- with ":drill" behind it for drills. "version" counts its changes, so that nobody overwrites another's.
alter table rule_states drop constraint rule_states_pkey;
alter table rule_states alter column device_id drop not null;
alter table rule_states add column scope text;
update rule_states set scope = device_id::text;
alter table rule_states alter column scope set not null;
alter table rule_states add primary key (rule, scope);
alter table rule_states alter column state drop not null;
alter table rule_states alter column state type jsonb using jsonb_build_object(
  'is', case state when 'raised' then 'up' else 'ok' end, 'at', extract(epoch from since), 'late', false,
  'op', 'reading');
alter table rule_states add column due_at timestamptz;                   -- when the rule asks again
alter table rule_states add column version integer not null default 1;
alter table rule_states rename column since to changed_at;
alter table rule_states set (fillfactor = 60);
create index rule_states_scope on rule_states (scope);
create index rule_states_due on rule_states (due_at) where due_at is not null;

-- Every version of a rule that was ever live: an alert names its own. Grows with edits, by hand.
create table rule_versions (
  rule         text not null,
  version      text not null,
  source       text not null,                    -- the rule's YAML
  file         text not null default '',
  first_live_at timestamptz not null,
  primary key (rule, version)
);

-- Rules that were stopped because they failed; a new version starts again. One row a version at most.
create table rule_stops (
  rule         text not null,
  version      text not null,
  stopped_at   timestamptz not null,
  cause        text not null,
  primary key (rule, version)
);

-- A device's own limits, which rules ask for by name. Grows with the fleet.
create table device_limits (
  device_id    integer not null references devices on delete cascade,
  name         text not null check (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  value        double precision not null,
  primary key (device_id, name)
);

alter table alerts add column rule_version text not null default '';
