-- Neighbours answer: groups, people, what came in by text, who is called, drills, bulletins.

-- ------------------------------------------------------------------------------ groups, people

-- Watch groups. Grows with the commune. Contacts and devices name theirs; an import makes what is missing.
create table watch_groups (
  name         text primary key check (length(name) between 1 and 120),
  place        text not null default '',
  sector       text not null default '',
  latitude     double precision check (latitude between -90 and 90),
  longitude    double precision check (longitude between -180 and 180),
  quorum       smallint not null default 2 check (quorum between 1 and 100),    -- who must say "voy" ...
  quorum_within_s integer not null default 180 check (quorum_within_s between 30 and 86400),  -- ... by then
  shows        text not null default 'call_sign' check (shows in ('call_sign', 'first_name', 'count')),
  drill_day    smallint check (drill_day between 1 and 28),                     -- null: no monthly drill
  drill_time   time not null default '11:00',                                   -- local wall time
  created_at   timestamptz not null default now()
);
insert into watch_groups (name)
select watch_group from contacts where watch_group <> ''
union select watch_group from devices where watch_group <> '';

alter table contacts
  add column cell text not null default '',          -- part of the group that looks after itself
  add column place text not null default '',         -- where the person lives, as neighbours call it
  add column role text not null default '' check (role in ('', 'base', 'guia', 'suplente')),
  add column call_order smallint check (call_order between 1 and 999),
  add column call_sign text not null default '',     -- on the radio
  add column signal text not null default '' check (signal in ('', 'buena', 'regular', 'mala')),
  add column bulletins boolean not null default false,
  add column left_at timestamptz;                    -- left by text; null and inactive: switched off by the room

-- What a person agreed to, or took back, and what proves it. Kept for ever: it is the proof.
create table consents (
  consent_id   bigint generated always as identity primary key,
  contact_id   integer not null references contacts,
  scope        text not null check (scope in ('alerts', 'bulletins')),
  is_given     boolean not null,
  how          text not null check (how in ('papel', 'sms', 'presencial', 'web')),
  proof        text not null default '',             -- folio of the paper, id of the text
  author       text not null check (author <> ''),   -- who took it
  at           timestamptz not null,
  unique (contact_id, scope, is_given, at)
);

-- -------------------------------------------------------------------------------- answers

-- Texts to one number that is no contact's, or a contact's that has left; what a text is for.
alter table notifications
  add column reply_to text,
  add column purpose text not null default 'alert'
    check (purpose in ('alert', 'answer', 'news', 'outcome', 'drill', 'bulletin'));
create index notifications_contact on notifications (contact_id, alert_id) where contact_id is not null;
-- Texts that belong to no alert are kept 400 days.
create index notifications_loose on notifications (created_at) where alert_id is null;
create index notifications_reply_to on notifications (reply_to, created_at) where reply_to is not null;

alter table confirmations drop constraint confirmations_answer_check;
alter table confirmations add constraint confirmations_answer_check
  check (answer in ('coming', 'nothing_found', 'help', 'not_coming'));

-- What came in, stored before anything is done about it. Kept 400 days.
create table inbound_texts (
  text_id      uuid primary key,                     -- UUIDv7 by the hub's clock
  transport    text not null,
  sender       text not null,                        -- E.164 where it is a Chilean mobile, else as it came
  body         text not null,
  reference    text not null default '',             -- the transport's own name of it
  sent_at      timestamptz not null,                 -- what the network says
  received_at  timestamptz not null,
  contact_id   integer references contacts,
  alert_id     uuid references alerts,
  meaning      text not null default '',
  state        text not null default 'new'
               check (state in ('new', 'done', 'unclear', 'unknown', 'limited', 'failed')),
  attempts     smallint not null default 0,
  due_at       timestamptz not null,
  answered     boolean not null default false,
  seen_by      text                                  -- who of the room has read it
);
create index inbound_texts_due on inbound_texts (due_at) where state = 'new';
create index inbound_texts_sender on inbound_texts (sender, received_at);
create index inbound_texts_unseen on inbound_texts (received_at)
  where seen_by is null and state in ('unclear', 'unknown', 'limited', 'failed');
-- A repeat of one delivery: by the transport's own name of it, whenever it is read; without, by its instant.
create unique index inbound_texts_named on inbound_texts (transport, sender, reference, md5(body))
  where reference <> '';
create unique index inbound_texts_unnamed on inbound_texts (transport, sender, sent_at, md5(body))
  where reference = '';

-- An answer that fitted several alerts, asked back once. One row a person, gone with the next answer.
create table open_questions (
  contact_id   integer primary key references contacts,
  answer       text not null,
  body         text not null,
  asked_at     timestamptz not null
);

-- "3 de 6 confirmaron": when the group of an alert is told again. Lives as long as its alert.
create table answer_news (
  alert_id     uuid primary key references alerts,
  due_at       timestamptz,                          -- null: nothing new
  told_at      timestamptz,
  told         smallint not null default 0
);
create index answer_news_due on answer_news (due_at) where due_at is not null;

-- Who hears how an alert goes on: who asked for help, and who went. Lives as long as its alert.
create table followers (
  alert_id     uuid not null references alerts,
  contact_id   integer not null references contacts,
  is_reporter  boolean not null default false,
  told_log_id  bigint not null,                      -- moves up to this line were told
  is_done      boolean not null default false,
  primary key (alert_id, contact_id)
);
create index followers_waiting on followers (alert_id) where not is_done;

-- ------------------------------------------------------------------------------ call tree

-- Alerts whose group did not answer in time: somebody of the room calls. Lives as long as its alert.
create table call_trees (
  alert_id     uuid primary key references alerts,
  watch_group  text not null,
  quorum       smallint not null,
  begun_at     timestamptz not null,
  ended_at     timestamptz
);
create index call_trees_open on call_trees (begun_at) where ended_at is null;

-- ------------------------------------------------------------------------- drills, bulletins

-- Kept for ever: the proof that the chain was tried, with who answered and who did not.
create table drills (
  drill_id     uuid primary key,
  sort         text not null check (sort in ('group', 'button')),
  watch_group  text not null,
  device_id    integer references devices,
  period       text not null default '',             -- YYYY-MM of a monthly drill; empty: started by a person
  planned_at   timestamptz not null,
  ends_at      timestamptz,
  state        text not null default 'planned'
               check (state in ('planned', 'running', 'closed', 'missed', 'cancelled')),
  alert_id     uuid references alerts,
  author       text not null,
  called       integer not null default 0,
  answered     integer not null default 0,
  snapshot     text not null default '',             -- JSON, exactly what digest was made of
  digest       text not null default '',             -- SHA-256, hexadecimal
  check ((sort = 'button') = (device_id is not null))
);
create unique index drills_once on drills (sort, watch_group, coalesce(device_id, 0), period) where period <> '';
create index drills_due on drills (planned_at) where state in ('planned', 'running');
create index drills_planned on drills (planned_at, drill_id);

-- Kept for ever: what the municipality told people.
create table bulletins (
  bulletin_id  uuid primary key,
  watch_group  text not null default '',             -- empty: every group
  text         text not null,
  author       text not null,
  at           timestamptz not null,
  recipients   integer not null
);
create index bulletins_at on bulletins (at);
create index confirmations_person on confirmations (person, at);
