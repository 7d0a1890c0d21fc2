-- What the directorate keeps for the safety plan and its council: sessions, agreements, projects, referrals ...
-- Offices and institutions only; no table has a person's name, RUT or phone. Money is in whole CLP.
-- A fact that is told later (accepted, fulfilled, answered) has beside it when it was told: a figure that was
-- frozen knows nothing of what came afterwards. All are kept for ever and grow by some hundreds a year.

-- What was changed, field by field, by whom. Grows with the changes of all registers.
create table register_log (
  log_id       bigint generated always as identity primary key,
  register     text not null,
  folio        text not null,
  at           timestamptz not null,
  author       text not null,
  changes      jsonb not null                    -- {field: [before, after]}
);
create index register_log_folio on register_log (register, folio, log_id);

create table council_sessions (
  folio        text primary key,                 -- CON-2026-0011
  body         text not null check (body in ('council', 'committee')),
  kind         text not null default 'ordinary' check (kind in ('ordinary', 'extraordinary')),
  starts_at    timestamptz not null,
  place        text not null default '',
  summoned_on  date,
  summons_proof text not null default '',
  state        text not null default 'planned' check (state in ('planned', 'held', 'cancelled')),
  cancelled_because text not null default '',
  agenda       text not null default '',         -- one item a line
  minutes      text not null default '',         -- what was said, by office and institution
  approved_on  date,
  acta_text    text not null default '',         -- as it was approved; never changed again
  acta_sha256  text not null default '',
  author       text not null,
  recorded_at  timestamptz not null,
  version      integer not null default 1,
  check ((acta_sha256 = '') = (approved_on is null))
);
create index council_sessions_at on council_sessions (starts_at);

create table council_attendance (
  folio        text not null references council_sessions,
  seat         text not null check (seat <> ''), -- the seat, not who sits on it
  is_present   boolean not null,
  is_substitute boolean not null default false,
  recorded_at  timestamptz not null,
  primary key (folio, seat)
);

create table council_agreements (
  folio        text primary key,                 -- ACU-2026-0001
  session      text not null references council_sessions,
  agreement    text not null,
  owner        text not null,                    -- an office or institution
  due_on       date not null,
  fulfilled_on date,
  fulfilled_on_told_at timestamptz,
  evidence     text not null default '',
  dropped_because text not null default '',
  author       text not null,
  recorded_at  timestamptz not null,
  version      integer not null default 1
);
create index council_agreements_due on council_agreements (due_on);

create table partnerships (
  folio        text primary key,                 -- CNV-2026-0001: convenios
  name         text not null,
  parties      text not null,                    -- institutions, separated by commas
  signed_on    date,
  starts_on    date not null,
  ends_on      date not null check (ends_on >= starts_on),
  commitments  text not null default '',
  document     text not null default '',         -- decree or folio
  sha256       text not null default '',
  author       text not null,
  recorded_at  timestamptz not null,
  version      integer not null default 1
);
create index partnerships_ends on partnerships (ends_on);

create table projects (
  folio        text primary key,                 -- PRY-2026-0001
  name         text not null,
  fund         text not null,                    -- SNSM, FNSP, FNDR, municipal ...
  activity     text not null default '',         -- of the plan
  amount_clp   bigint not null check (amount_clp >= 0),
  starts_on    date not null,
  ends_on      date not null check (ends_on >= starts_on),
  state        text not null default 'running' check (state in ('applied', 'running', 'finished', 'rejected')),
  author       text not null,
  recorded_at  timestamptz not null,
  version      integer not null default 1
);

create table project_payments (
  folio        text primary key,                 -- CUO-2026-0001: cuotas y rendiciones
  project      text not null references projects,
  sort         text not null check (sort in ('instalment', 'account')),
  day          date not null,                    -- transferred, or accounted for
  amount_clp   bigint not null check (amount_clp > 0),
  document     text not null default '',
  approved_on  date,
  author       text not null,
  recorded_at  timestamptz not null,
  version      integer not null default 1
);
create index project_payments_project on project_payments (project, day);

create table outreach (
  folio        text primary key,                 -- DIF-2026-0001
  day          date not null,
  sector       text not null default '',
  kind         text not null check (kind in ('talk', 'fair', 'media', 'training', 'other')),
  topic        text not null,
  attendees    integer not null default 0 check (attendees >= 0),
  activity     text not null default '',
  evidence     text not null default '',
  author       text not null,
  recorded_at  timestamptz not null,
  version      integer not null default 1
);
create index outreach_day on outreach (day);

-- Restricted: each reading is audited. A victim is a folio here and nothing more.
create table referrals (
  folio        text primary key,                 -- DER-2026-0001
  opened_on    date not null,
  sector       text not null default '',
  matter       text not null check (matter in ('vif', 'robbery', 'injury', 'sexual', 'other')),
  has_consent  boolean not null,
  consent_how  text not null default '' check (consent_how in ('', 'paper', 'recorded', 'in_person')),
  consent_proof text not null default '',        -- folio of the paper
  institution  text not null default '',         -- to whom
  referred_on  date,
  accepted_on  date,
  accepted_on_told_at timestamptz,
  outcome      text not null default '',
  author       text not null,
  recorded_at  timestamptz not null,
  version      integer not null default 1,
  check (referred_on is null or has_consent)
);
create index referrals_opened on referrals (opened_on);

create table image_requests (
  folio        text primary key,                 -- REQ-2026-0001
  institution  text not null,                    -- Fiscalía, Carabineros, PDI, JPL ...
  document     text not null default '',         -- its own number
  received_on  date not null,
  due_on       date not null check (due_on >= received_on),
  cameras      text not null default '',
  span         text not null default '',         -- the hours that are asked for
  answered_on  date,
  answered_on_told_at timestamptz,
  outcome      text not null default '' check (outcome in ('', 'delivered', 'lost', 'none')),
  sha256       text not null default '',         -- of what was handed over
  author       text not null,
  recorded_at  timestamptz not null,
  version      integer not null default 1,
  check ((answered_on is null) = (outcome = ''))
);
create index image_requests_due on image_requests (due_on);
