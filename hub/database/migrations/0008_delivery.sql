-- How far each text got, by which transport, and how the transports are.

-- A text is handed over to a phone at most twice, whatever fails: `handovers` counts those that may have
-- reached it, the one under way among them. The claim adds one, and only a transport's word that the text
-- surely did not leave takes it back.
alter table notifications
  add column watch_group text not null default '',  -- the contact's, for transports that are kept for groups
  add column handovers smallint not null default 0
    constraint notifications_at_most_twice check (handovers between 0 and 2),
  add column is_delivered boolean,                  -- null: the phone network has not said
  add column reported_at timestamptz;

-- Written by the claim, so before the text leaves. Lives as long as its text. No foreign key: it is written
-- in one statement with its text's row, on the alarm's way.
create table delivery_attempts (
  notification_id uuid not null,
  number       smallint not null,
  transport    text not null,
  at           timestamptz not null,
  ended_at     timestamptz,
  outcome      text not null default 'open' check (outcome in ('open', 'accepted', 'unknown', 'refused')),
  cause        text not null default '',
  primary key (notification_id, number)
);

-- The parts of an accepted text under the transport's references. A modem counts its references from 0 to
-- 255 and begins again: a report belongs to the newest part. Lives as long as its text.
create table delivery_parts (
  part_id      bigint generated always as identity primary key,
  notification_id uuid not null references notifications,
  attempt      smallint not null,
  transport    text not null,
  reference    text not null,
  at           timestamptz not null,
  is_delivered boolean,
  reported_at  timestamptz,
  detail       text not null default ''
);
create index delivery_parts_reference on delivery_parts (transport, reference, part_id desc);
create index delivery_parts_notification on delivery_parts (notification_id);

-- Reports that came before their part was written, or that belong to no text of ours. Swept after three days.
create table early_reports (
  report_id    bigint generated always as identity primary key,
  transport    text not null,
  reference    text not null,
  at           timestamptz not null,
  is_delivered boolean not null,
  detail       text not null default '',
  heard_at     timestamptz not null
);

-- A person of the room called somebody about an alert: the one table of calls, for the ledger and for the call
-- tree. Lives as long as its alert.
create table calls (
  call_id      bigint generated always as identity primary key,
  alert_id     uuid not null references alerts,
  contact_id   integer references contacts,      -- null: the duty phone
  outcome      text not null check (outcome in ('answered', 'no_answer', 'coming')),
  author       text not null,
  at           timestamptz not null
);
create index calls_alert on calls (alert_id, contact_id);

-- What the gateways of other people push to the console's address, until the transport takes it.
create table transport_inbox (
  inbox_id     bigint generated always as identity primary key,
  transport    text not null,
  at           timestamptz not null,
  reference    text not null default '',
  is_delivered boolean,                          -- null: a text that came in
  sender       text not null default '',
  text         text not null default ''
);
create index transport_inbox_transport on transport_inbox (transport, inbox_id);

-- The last word of each hub on each of its transports. A handful of rows.
create table transport_states (
  transport    text not null,
  owner        text not null,
  kind         text not null,
  is_ok        boolean not null,
  is_open      boolean not null,                 -- held back by its breaker
  detail       text not null default '',
  signal_dbm   integer,
  queue        integer,
  credit       double precision,
  credit_min   double precision,
  s_per_text   double precision,
  checked_at   timestamptz not null,
  since        timestamptz not null,             -- of is_ok
  primary key (transport, owner)
);
