-- Rollups of numeric telemetry: how many, sum, lowest and highest of each minute, hour and day (UTC).
-- A minute lives as long as the readings themselves, in day partitions that are dropped whole; hours and
-- days live longer and are deleted by row: a device and quantity make 24 and 1 of them a day.

create table telemetry_1m (
  device_id    integer not null,
  quantity_id  integer not null,
  at           timestamptz not null,
  n            bigint not null,
  sum          double precision not null,
  min          double precision not null,
  max          double precision not null,
  primary key (device_id, quantity_id, at)
) partition by range (at);
create table telemetry_1m_default partition of telemetry_1m default;

create table telemetry_1h (like telemetry_1m including all);
create table telemetry_1d (like telemetry_1m including all);

-- Rollups look for ten minutes of all devices; the primary keys begin with the device.
create index telemetry_at on telemetry using brin (at) with (autosummarize = on);
create index telemetry_1m_at on telemetry_1m using brin (at) with (autosummarize = on);
create index telemetry_1h_at on telemetry_1h using brin (at) with (autosummarize = on);
create index telemetry_1d_at on telemetry_1d using brin (at) with (autosummarize = on);

-- Ten minutes in which a batch has stored readings, one row a batch and slot. A row is seen only together with
-- its readings, so whoever has rolled up the slots that it sees may delete exactly those rows. Emptied every
-- half minute.
create table telemetry_changes (
  store  text not null check (store in ('postgresql', 'influxdb')),
  slot   timestamptz not null
);

-- Days of history that were copied to another store, with the count at that time. One row a day of history.
create table telemetry_moves (
  day       date primary key,
  rows      bigint not null,
  moved_at  timestamptz not null
);

insert into telemetry_changes (store, slot)
select distinct 'postgresql', date_bin('10 minutes', at, 'epoch') from telemetry where value is not null;
