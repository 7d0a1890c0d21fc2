-- What people in the street need and bring back: permits to check against, rounds proven by check-in
-- points, the phones that write without a network, and what of their queue has arrived.
-- Places and folios only: no holder of a permit is known here, by name or by RUT.

alter table users add column institution text not null default 'DSP' check (institution <> '');

-- The register of municipal permits as it was imported. A permit that left the register is kept until
-- its row is replaced: old inspections name it. Some thousands.
create table permits (
  folio        text primary key check (folio <> ''),  -- as it is searched: upper case, no blanks
  trade        text not null,                         -- rubro o giro
  place        text not null default '',
  sector       text not null default '',
  valid_from   date,
  valid_until  date not null,
  state        text not null check (state in ('active', 'suspended', 'revoked')),
  source       text not null,                         -- the file that it came from
  imported_at  timestamptz not null,
  check (valid_from is null or valid_from <= valid_until)
);
create index permits_until on permits (valid_until, folio);

-- Places where a patrol proves that it was there. A sticker carries the code, so a code never changes
-- its place; some dozens.
create table checkpoints (
  code         text primary key check (code ~ '^[0-9A-Z]{8}$'),
  name         text not null check (name <> ''),
  sector       text not null default '',
  latitude     double precision not null check (latitude between -90 and 90),
  longitude    double precision not null check (longitude between -180 and 180),
  radius_m     integer not null default 60 check (radius_m between 10 and 1000),
  author       text not null,
  created_at   timestamptz not null,
  retired_at   timestamptz
);

-- A planned round. Kept for ever: it is the proof of work. A few a day.
create table patrol_rounds (
  round_id     uuid primary key,                      -- UUIDv7 by the hub's clock
  name         text not null check (name <> ''),
  institution  text not null check (institution <> ''),
  operation_id uuid references operations,
  starts_at    timestamptz not null,
  ends_at      timestamptz not null,
  max_gap_s    integer not null check (max_gap_s > 0), -- longer without a check-in is a gap
  author       text not null,
  created_at   timestamptz not null,
  cancelled_at timestamptz,
  cancelled_because text not null default '',
  check (ends_at > starts_at),
  check ((cancelled_at is null) = (cancelled_because = ''))
);
create index patrol_rounds_at on patrol_rounds (starts_at desc, round_id);
create index patrol_rounds_institution on patrol_rounds (institution, starts_at);

create table patrol_points (
  round_id     uuid not null references patrol_rounds,
  position     smallint not null,
  code         text not null references checkpoints,
  primary key (round_id, position),
  unique (round_id, code)
);

-- One presence at one point, as the phone said it and as the hub judged it. Never changed, kept for ever:
-- some dozens a day. Where people were between the points is not recorded.
create table patrol_checkins (
  checkin_id   uuid primary key,                      -- UUIDv7 made on the phone
  round_id     uuid not null references patrol_rounds,
  code         text not null references checkpoints,
  way          text not null check (way in ('qr', 'code', 'position')),
  latitude     double precision check (latitude between -90 and 90),
  longitude    double precision check (longitude between -180 and 180),
  accuracy_m   double precision check (accuracy_m >= 0),
  distance_m   double precision,                      -- from the point; null: no position
  verdict      text not null check (verdict in ('proven', 'unsupported', 'contradicted')),
  at           timestamptz not null,                  -- corrected by the phone's offset against the hub
  time_quality text not null check (time_quality in ('device', 'offset', 'receipt')),
  author       text not null,
  phone        text not null,
  recorded_at  timestamptz not null
);
create index patrol_checkins_round on patrol_checkins (round_id, at);

-- A phone and a person who uses it. The key closes that person's queue on that phone: whoever signs in
-- after them cannot read it. Some dozens.
create table field_phones (
  phone        text not null,                         -- what the phone calls itself: a random id, no number
  login        text not null references users,
  key          bytea not null check (length(key) = 32),
  first_seen_at timestamptz not null,
  seen_at      timestamptz not null,
  primary key (phone, login)
);

-- What has arrived from phones, once for each id. Tens of thousands a year; kept like the records that
-- came of them, because a phone may repeat itself after a long winter in a drawer.
create table field_items (
  item_id      uuid primary key,
  kind         text not null check (kind in ('inspection', 'task', 'point', 'checkin')),
  digest       bytea not null,                        -- of its content: another content is no repeat
  answer       jsonb not null,                        -- what the phone was told
  login        text not null,
  phone        text not null,
  received_at  timestamptz not null
);
