-- Alerts that wait for people's word: raised once enough of them confirm. At most one row an alert, made
-- with it; lives as long as its alert.
create table alert_questions (
  alert_id     uuid primary key references alerts,
  rule         text not null,
  at_least     smallint not null,
  answers      text[] not null,                  -- the answers that confirm
  priority     smallint not null,                -- of the alert once it is confirmed
  asked_at     timestamptz not null,
  lapses_at    timestamptz not null,
  due_at       timestamptz,                      -- when to look at the answers; null: decided
  outcome      text check (outcome in ('confirmed', 'lapsed', 'moot'))
);
create index alert_questions_due on alert_questions (due_at) where due_at is not null;
