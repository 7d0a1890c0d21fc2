-- Official series (CEAD and others), by code and level. They count police cases, never our events, so no
-- query joins them. Grows with the imports: a few thousand rows a year.
create table official_series (
  source       text not null,                    -- CEAD, STOP, INE ...
  level        text not null,                    -- familia, grupo, subgrupo: one name occurs at several
  code         text not null,
  name         text not null,
  period       text not null check (period ~ '^[0-9]{4}(-(0[1-9]|1[0-2])|-T[1-4])?$'),
  value        double precision not null,
  unit         text not null,
  imported_at  timestamptz not null,
  primary key (source, level, code, period)
);
