-- What was told to Grafana as an annotation: a case or an operation by its page. Some dozens a day; rows go
-- after the days in which a case can still end.
create table grafana_annotations (
  subject      text primary key,                 -- /alertas/ID, /operativos/FOLIO
  annotation   bigint,                           -- Grafana's number; null: being told
  claimed_at   timestamptz not null,
  ended_at     timestamptz                       -- its end was told
);
