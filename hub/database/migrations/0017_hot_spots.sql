-- Where operations are needed next, and what ties an operation to the field.

-- Metres along the ground between two places in degrees (haversine, mean radius of the earth).
create function metres_between(
  latitude_a double precision, longitude_a double precision,
  latitude_b double precision, longitude_b double precision
) returns double precision
language sql immutable parallel safe as $$
  select 2 * 6371008.8 * asin(sqrt(least(1, power(sin(radians(latitude_b - latitude_a) / 2), 2)
    + cos(radians(latitude_a)) * cos(radians(latitude_b)) * power(sin(radians(longitude_b - longitude_a) / 2), 2))))
$$;

-- A hot spot keeps its code for as long as its place is one: an operation names it years later.
-- Grows with the places of the commune, not with time.
create table hot_spots (
  code         text primary key check (code <> ''),  -- FOC-COSTA-03
  sector       text not null,
  number       smallint not null check (number > 0),
  cell         text not null,                    -- H3 index of its middle, resolution 9
  first_seen_at timestamptz not null,
  last_seen_at timestamptz not null,
  unique (sector, number)
);
create unique index hot_spots_cell on hot_spots (sector, cell);

-- What was found last, ready to be shown. One row for each family of events, written over.
create table hot_spot_sheets (
  family       text primary key,                 -- '' for all of them, or a family of the catalogue
  computed_at  timestamptz not null,
  took_ms      integer not null,
  sheet        jsonb not null
);

-- How far the linking has read in each log. Two rows.
create table linking_marks (
  log          text primary key check (log in ('alerts', 'operations')),
  log_id       bigint not null default 0
);
-- An operation reads all that is in its reach when it changes, so old alerts need no second look.
insert into linking_marks (log, log_id) select 'alerts', coalesce(max(log_id), 0) from alert_log;
insert into linking_marks (log) values ('operations');
