-- Secret addresses of the calendar, for a person's own phone. The table holds their SHA-256 alone. A few a
-- person; one ends with its date, with its owner's account, or when somebody takes it back.
create table calendar_keys (
  key_id       uuid primary key,
  sha256       bytea not null unique check (length(sha256) = 32),
  login        text not null references users on delete cascade,
  label        text not null check (label <> ''),
  created_at   timestamptz not null,
  expires_at   timestamptz not null,
  read_at      timestamptz,
  revoked_at   timestamptz
);
create index calendar_keys_login on calendar_keys (login, created_at);
